"""What is minimized: a source of rows, a loss, a penalty and the shape of theta.

:class:`fastlogreg.problem.problem.Problem` puts them together; it is all that a solver sees.
"""
