"""Problems over arrays, in the words of the tests."""

from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.problem import Problem


def problem_of(X, y, *, sample_weight=None, offset=None, l2=0.0, backend="numba", **spec):
    """Return the problem over these rows; ``spec`` as PassSpec takes it."""
    return Problem(MemoryRows(X, y, sample_weight, offset, backend=backend), l2, PassSpec(**spec))
