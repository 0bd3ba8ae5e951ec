"""Whoever can sum over rows: the one protocol that problems read rows through.

In memory (:mod:`fastlogreg.data.memory`), in files or on other machines: a source binds a
specification to a pass, whose results are sums, which parts of the rows can add.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import Pass, PassSpec, SetsPass, Solving

__all__ = ["RowSource"]


class RowSource(Protocol):
    """Rows with their targets, weights and offsets.

    Attributes
    ----------
    n_rows, n_columns : int
    n_values : int
        Values of X that a pass reads: of sparse rows those that are stored.
    fraction : float
        Of the rows that there are: 1, or less for a sample.
    """

    n_rows: int
    n_columns: int
    n_values: int
    fraction: float

    @property
    def total_weight(self) -> float:
        """Return the sum of the weights."""

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much."""

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows, to be called many times."""

    def bind_sets(self, members: NDArray[np.bool_] | NDArray[np.uint8], spec: PassSpec) -> SetsPass:
        """Return a pass over sets of the rows for one column of margins each.

        ``members``, (n_sets, n), says whether a row is in a set, or how often, 255 times at most.
        """

    def sample(self, step: int) -> "RowSource":
        """Return one row, drawn with a fixed seed, of every ``step`` rows."""

    def sample_readings(self) -> float:
        """Return the readings that samples took and nobody has counted yet."""

    def subset(self, rows: NDArray[np.int64]) -> "RowSource":
        """Return some of the rows, numbered in ascending order, as rows of their own."""

    def columns(self, chosen: NDArray[np.intp]) -> "RowSource":
        """Return the same rows with some of the columns, numbered in ascending order."""

    def column_ranges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the smallest and the largest value of each column, (d,) each."""

    def squared_lengths(self, matrix: NDArray[np.float64], intercept: bool) -> NDArray[np.float64]:
        """Return the squared length of ``[1, x] matrix``, or ``x matrix``, for each row, (n,)."""

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""

    def solving(self, size: int) -> Solving:
        """Return what a solver of ``size`` parameters runs in, so that passes find the threads."""
