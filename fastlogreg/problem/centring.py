"""The same problem in columns near to 0, where those of X are far from it.

With an intercept nothing penalizes, subtracting ``c_j`` from each column changes no fit but its
intercept: ``b + x @ w = (b + c @ w) + (x - c) @ w``. What it changes is how many digits sums over
rows keep: the variance of a column 1e5 times its spread from 0 is 1e-10 of its mean square, and
what columns have in common takes as many digits of their correlations again. Below that no solver
sees curvature, or gradient beyond rounding, and none can say how far the optimum is.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.centred import near_rows
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import PartedRows
from fastlogreg.data.sources import RowSource
from fastlogreg.problem.problem import Problem

__all__ = ["Centring", "centring", "rows_near_to_0"]

_Vector = NDArray[np.float64]


class Centring(NamedTuple):
    """A problem in columns near to 0, and the way there and back.

    Attributes
    ----------
    problem : Problem
        Its passes are counted where those of the given problem are.
    middle : ndarray of shape (d,)
        What was subtracted.
    """

    problem: Problem
    middle: _Vector

    def there(self, theta: _Vector) -> _Vector:
        """Return the same model, (m p,), in the columns near to 0."""
        return self._moved(theta, 1.0)

    def back(self, theta: _Vector) -> _Vector:
        """Return the same model, (m p,), in the columns as they are."""
        return self._moved(theta, -1.0)

    def _moved(self, theta: _Vector, sign: float) -> _Vector:
        layout, moved = self.problem.layout, theta.copy()
        by = layout.coefficients(theta).astype(np.longdouble) @ self.middle
        layout.intercepts(moved)[:, 0] = layout.intercepts(theta)[:, 0] + sign * by
        return moved


def centring(problem: Any) -> Centring | None:
    """Return the problem in columns near to 0; None where no column is far, or it can't be.

    Columns of a model without an intercept stay as they are.

    Examples
    --------
    >>> X = np.array([[1e9], [1e9 + 1.0], [1e9 + 2.0], [1e9 + 3.0]])
    >>> far = Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0])), 0.1)
    >>> near = centring(far)
    >>> theta = near.there(np.array([-1e9, 1.0]))
    >>> bool(abs(near.problem.value(theta) - far.value(near.back(theta))) < 1e-6)
    True
    """
    if not isinstance(problem, Problem):
        return None
    source, layout = problem.source, problem.layout
    if not layout.intercept or not isinstance(source, MemoryRows | PartedRows):
        return None
    middle = source.far_middle
    if middle is None:
        return None
    return Centring(problem.subset(near_rows(source, middle), problem.penalty), middle)


def rows_near_to_0(problem: Problem, theta: _Vector) -> tuple[RowSource, _Vector]:
    """Return the rows in columns near to 0, as they are where none is far, and theta, (m p,)."""
    near = centring(problem)
    if near is None:
        return problem.source, theta
    return near.problem.source, near.there(theta)
