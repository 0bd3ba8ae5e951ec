"""Rows in memory: arrays under the contract of :mod:`fastlogreg.backends`, as a source.

Nothing is checked here and nothing copied; :mod:`fastlogreg.data.validation` establishes the
contract.
"""

from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.backends import (
    ClassQuadratic,
    ColumnQuadratic,
    Matrix,
    Pass,
    PassSpec,
    SetsPass,
    Solving,
)

_BLOCK_VALUES = 1 << 20  # of a product that is made block by block
_FAR = 1e3  # times its spread from 0: sums of squares lose 6 digits
_FEW, _MANY = 64, 2000  # rows that show whether columns may be far, and are
_LINE = 64  # bytes that a processor reads at once

__all__ = ["Columns", "MemoryRows", "Rows", "dense", "some_rows"]


class Columns(NamedTuple):
    """What is noted of the columns of X: how many, and their names where all are strings."""

    number: int
    names: NDArray[Any] | None


class Rows(NamedTuple):
    """Rows to fit, as backends take them; weights and offset are None where there are none."""

    matrix: Any
    targets: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None
    classes: NDArray[Any]


class MemoryRows:
    """Rows in memory; see :class:`fastlogreg.data.sources.RowSource`.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    y : ndarray of shape (n,), float64
        Labels, or codes of classes; or rows of probabilities, (n, K).
    sample_weight : ndarray of shape (n,), float64, optional
    offset : ndarray of shape (n,), or (n, K) for K classes, float64, optional
    backend : {"numba", "numpy", "loop"}, default="numba"

    Examples
    --------
    >>> import numpy as np
    >>> rows = MemoryRows(np.ones((4, 2)), np.array([0.0, 1.0, 1.0, 1.0]))
    >>> rows.n_rows, rows.total_weight, rows.effective_rows()
    (4, 4.0, 4.0)
    >>> rows.sample(2).fraction
    0.5
    """

    def __init__(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None = None,
        offset: NDArray[np.float64] | None = None,
        *,
        backend: str = "numba",
    ) -> None:
        self._arrays = X, y, sample_weight, offset
        self._backend = backends.get(backend)
        self._chosen: NDArray[np.int64] | None = None
        self._is_subset = False
        self.n_rows, self.n_columns = map(int, X.shape)
        self.n_values = int(X.size)
        self.fraction = 1.0
        self._samples: dict[int, MemoryRows] = {}
        self._readings = 0.0  # of samples, not yet asked for

    @property
    def arrays(self) -> tuple[Matrix, Any, Any, Any]:
        """Return X, y, weights and offset; of a part, those of all rows."""
        return self._arrays

    @property
    def chosen(self) -> NDArray[np.int64] | None:
        """Return which rows of the arrays these are; None for all of them."""
        return self._chosen

    def like(self, X: Matrix, y: Any, sample_weight: Any, offset: Any) -> "MemoryRows":
        """Return other rows for the same backend."""
        other = MemoryRows(X, y, sample_weight, offset)
        other._backend = self._backend
        return other

    def of(self, X: Matrix) -> "MemoryRows":
        """Return these rows with other values of the columns, for all rows of the arrays."""
        other = copy(self)
        other._arrays = X, *self._arrays[1:]
        for name in ("_by_column", "far_middle"):
            other.__dict__.pop(name, None)
        other._samples = {}
        return other

    @cached_property
    def total_weight(self) -> float:
        """Return the sum of the weights."""
        weight = self._arrays[2]
        if weight is None:
            return float(self.n_rows)
        return float(weight.sum() if self._chosen is None else weight[self._chosen].sum())

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much.

        That is ``(sum s)² / sum s²``, and of two classes not more than four times the rows of the
        rarer: a part of one row in a million positives says nothing. Of several classes each says
        its own: those of a class beyond its equal share count for nothing.
        """
        return self._effective

    @cached_property
    def _effective(self) -> float:
        _, y, s, _ = self._arrays
        if self._is_subset:
            y, s = y[self._chosen], None if s is None else s[self._chosen]
        n = y.shape[0]
        weighted = float(n)
        if s is not None:
            largest = float(s.max())
            weighted = float(s.sum() / largest) ** 2 / float(((s / largest) ** 2).sum())
        counts = _class_counts(y)
        if counts.size == 2:
            return min(weighted, 4.0 * float(counts.min()))
        return min(weighted, float(np.minimum(counts, n / counts.size).sum()))

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows, to be called many times."""
        bound = self._backend.bind(*self._arrays, spec)
        return bound if self._chosen is None else bound.sample(self._chosen)

    def bind_sets(self, members: NDArray[np.bool_] | NDArray[np.uint8], spec: PassSpec) -> SetsPass:
        """Return a pass over sets of the rows, ``members`` (n_sets, n), for one column each."""
        assert self._chosen is None, "sets of a part are not offered"
        return backends.get("numba").bind_sets(*self._arrays, members, spec)

    def sample(self, step: int) -> "MemoryRows":
        """Return one row, drawn with a fixed seed, of every ``step`` rows.

        Of Fortran order they are copied: to read one value in eight of a column takes as long as to
        read it all. Else none is.
        """
        assert self.fraction == 1.0, "a sample of a sample is not offered"
        if step not in self._samples:
            whole = self.n_rows // step
            rows = np.arange(0, whole * step, step, dtype=np.int64)
            rows += np.random.default_rng(0).integers(0, step, size=whole)
            rows = rows if self._chosen is None else self._chosen[rows]
            X = self._arrays[0]
            if not isinstance(X, np.ndarray) or X.flags.c_contiguous:
                part = self._with_rows(rows)
            else:
                part = self.like(*(_taken(array, rows) for array in self._arrays))
                self._readings += min(1.0, _LINE / X.itemsize / step)
            part.fraction = whole / self.n_rows
            self._samples[step] = part
        return self._samples[step]

    def sample_readings(self) -> float:
        """Return the readings that samples took and nobody has counted yet."""
        found, self._readings = self._readings, 0.0
        return found

    def subset(self, rows: NDArray[np.int64]) -> "MemoryRows":
        """Return some of the rows, in ascending order, as rows of their own; none is copied."""
        assert self._chosen is None, "a subset of a part is not offered"
        part = self._with_rows(rows)
        part._is_subset = True
        return part

    def times(self, counts: NDArray[Any]) -> "MemoryRows":
        """Return the same rows, each so often, (n,): its weight is multiplied with that."""
        assert self._chosen is None, "counts of a part are not offered"
        X, y, weights, offset = self._arrays
        drawn = counts.astype(np.float64)
        part = copy(self)
        for name in ("total_weight", "_effective"):
            part.__dict__.pop(name, None)
        part._arrays = X, y, drawn if weights is None else drawn * weights, offset
        part._samples = {}
        return part

    def _with_rows(self, rows: NDArray[np.int64]) -> "MemoryRows":
        part = copy(self)
        for name in ("total_weight", "_effective"):
            part.__dict__.pop(name, None)
        part._chosen = rows
        part._samples, part._readings = {}, 0.0
        part.n_values = int(self.n_values * rows.size / max(1, self.n_rows))
        part.n_rows = rows.size
        return part

    def columns(self, chosen: NDArray[np.intp]) -> "MemoryRows":
        """Return the same rows with some of the columns, numbered, which are copied."""
        assert self.fraction == 1.0, "columns of a sample are not offered"
        X = self._arrays[0]
        if self.descends:  # of columns that lie together, and for descents of the part, too
            by_column = self._by_column[:, chosen]
            part = self.of(by_column.tocsr())
            part.__dict__["_by_column"] = by_column
        else:
            part = self.of(X[:, chosen])
        part.n_columns = chosen.size
        part.n_values = int(part._arrays[0].size * self.n_rows / max(1, X.shape[0]))
        return part

    def column_ranges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the smallest and the largest value of each column of all rows, (d,) each."""
        X = self._arrays[0]
        low, high = X.min(axis=0), X.max(axis=0)
        if not isinstance(X, np.ndarray):
            low, high = low.toarray().ravel(), high.toarray().ravel()
        return low.astype(np.float64), high.astype(np.float64)

    @cached_property
    def far_middle(self) -> NDArray[np.float64] | None:
        """Return about the middle of each column that is far from 0, and 0 of the others, (d,).

        None where none is. Some rows say so: their median, and the median of what differs from it,
        which rows far outside do not change. Constant columns are not far.
        """
        X = self._arrays[0]
        few, columns = some_rows(X, _FEW), np.arange(X.shape[1])
        if not isinstance(few, np.ndarray):  # most rows store a column that is far from 0
            stored = np.bincount(few.indices, minlength=X.shape[1])
            columns = np.flatnonzero(2 * stored > few.shape[0])
            few = few[:, columns].toarray()
        if not few.size:
            return None
        few.sort(axis=0)
        middle, quarter = few[len(few) // 2], len(few) // 4
        with np.errstate(over="ignore", invalid="ignore"):
            spread = few[-1 - quarter] - few[quarter]
            spread = np.where(spread > 0.0, spread, few[-1] - few[0])
            perhaps = columns[np.abs(middle) > 0.1 * _FAR * spread]
        if not perhaps.size:
            return None
        found = np.zeros(X.shape[1])
        for j in perhaps:
            found[j] = _far_from_zero(X[:, j] if isinstance(X, np.ndarray) else X[:, [j]])
        return found if found.any() else None

    def squared_lengths(self, matrix: NDArray[np.float64], intercept: bool) -> NDArray[np.float64]:
        """Return the squared length of ``[1, x] matrix``, or ``x matrix``, for each row, (n,)."""
        assert self._chosen is None, "lengths of some rows are not offered"
        X, first = self._arrays[0], int(intercept)
        found = np.empty(self.n_rows)
        step = max(64, _BLOCK_VALUES // max(1, matrix.shape[1]))
        for start in range(0, self.n_rows, step):
            block = np.asarray(X[start : start + step] @ matrix[first:], dtype=np.float64)
            if first:
                block += matrix[0]
            np.einsum("ij,ij->i", block, block, out=found[start : start + step])
        return found

    @property
    def by_column(self) -> bool:
        """Return whether :meth:`column_descent` and :meth:`class_descent` are offered."""
        return self._chosen is None and self._backend is backends.get("numba")

    @property
    def descends(self) -> bool:
        """Return whether they are and cost little: where a column stores few values."""
        return self.by_column and not isinstance(self._arrays[0], np.ndarray)

    @cached_property
    def _by_column(self) -> Any:
        """Return X by column, in CSC form: a copy."""
        X: Any = self._arrays[0]
        if not isinstance(X, np.ndarray):
            return X.tocsc()
        from scipy import sparse

        return sparse.csc_array(X)

    def column_descent(
        self,
        curvatures: NDArray[np.float64],
        model: ColumnQuadratic,
        u: NDArray[np.float64],
        enough: float,
        sweeps: int,
    ) -> float:
        """Lower a quadratic model; see :class:`fastlogreg.backends.CompiledBackend`."""
        compiled = backends.get("numba")
        return compiled.column_descent(self._by_column, curvatures, model, u, enough, sweeps)

    def class_descent(
        self,
        probabilities: NDArray[np.float64],
        model: ClassQuadratic,
        u: NDArray[np.float64],
        b: NDArray[np.float64],
        enough: float,
        sweeps: int,
        along_flat: Callable[[NDArray[np.float64]], None],
    ) -> float:
        """Lower a model of several classes; see :class:`fastlogreg.backends.CompiledBackend`."""
        compiled, weights = backends.get("numba"), self._arrays[2]
        of_rows = np.full(self.n_rows, 1.0) if weights is None else weights
        of_rows = of_rows / self.total_weight
        return compiled.class_descent(
            self._by_column, of_rows, probabilities, model, u, b, enough, sweeps, along_flat
        )

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        return self._backend.bind(self._arrays[0], None, None, None, PassSpec()).first_not_finite()

    def solving(self, size: int) -> Solving:
        """Return what a solver of ``size`` parameters runs in, so that passes find the threads."""
        return self._backend.solving(size)


def _taken(array: Any, rows: NDArray[np.int64]) -> Any:
    """Return rows of an array, in its order; None for None."""
    if array is None:
        return None
    return array[rows] if array.flags.c_contiguous else array.T[..., rows].T


def dense(X: Matrix) -> NDArray[np.floating]:
    """Return rows as an array."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def some_rows(X: Matrix, most: int) -> Any:
    """Return so many rows at the most, evenly spaced, as float64: an array, or CSR."""
    return X[:: max(1, -(-X.shape[0] // most))].astype(np.float64)


def _far_from_zero(column: Matrix) -> float:
    """Return about the middle of a column that is far from 0; 0 of another."""
    part = dense(some_rows(column, _MANY)).ravel()
    middle = float(np.median(part))
    away = np.abs(part - middle)
    away = away[away > 0.0]
    if away.size:
        spread = float(np.median(away))
    else:  # more than a sample knows
        spread = max(float(column.max()) - middle, middle - float(column.min()))
    return middle if 0.0 < _FAR * spread < abs(middle) < np.inf else 0.0


def _class_counts(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many rows hold each class: of two where y is labels in [0, 1]."""
    if y.ndim == 2:
        counts: NDArray[np.float64] = y.sum(axis=0)
        return counts
    if y.size and y.max() > 1.0:
        return np.bincount(y.astype(np.int64)).astype(np.float64)
    positive = float(np.count_nonzero(y > 0.5))
    return np.array([y.size - positive, positive])
