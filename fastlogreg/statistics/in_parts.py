"""Inference of rows that are never in memory together: files beyond memory, partitions of Dask.

What inference needs are sums over rows. Log-likelihood, score and information are those of a pass;
the sums of robust covariances are asked of each part (:class:`fastlogreg.data.parts.Question`),
which answers as a likelihood of its own rows: the code is that of rows in memory. Scores of
clusters are summed by cluster, for as many clusters in one reading as there is room for.

What needs every row at once (residuals, leverages, calibration, the bootstrap) is refused, with
the remedy, where the rows are touched (:class:`_AbsentRows`).
"""

from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import Pass
from fastlogreg.data.centred import near_rows
from fastlogreg.data.memory import MemoryRows, Rows, dense
from fastlogreg.data.parts import PartedRows
from fastlogreg.data.separation import Separation, may_be_separated
from fastlogreg.problem.centring import rows_near_to_0
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.path import null_model
from fastlogreg.statistics.coordinates import (
    Coordinates,
    covariance_back,
    is_well_conditioned,
)
from fastlogreg.statistics.covariance import Bread, Sums, cluster_factor, summed_scores, white
from fastlogreg.statistics.likelihood import Likelihood

__all__ = ["PartedLikelihood", "SumsOfParts"]

_ROOM = 1 << 22  # values of the scores that are summed by cluster in one reading

_Array = NDArray[np.float64]


class _AbsentRows:
    """Stands where rows in memory would: the classes are known, all else is refused."""

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes

    def __getattr__(self, name: str) -> Any:
        if name in Rows._fields:
            raise ValueError(
                "this needs all rows in memory, and they come in parts: raise memory_limit in "
                "open_rows, or hand a sample of the rows to flr.inference as arrays"
            )
        raise AttributeError(name)

    def _replace(self, **values: Any) -> Rows:
        return Rows(**{"classes": self.classes, **values})


class PartedLikelihood(Likelihood):
    """The likelihood of rows in parts.

    Parameters
    ----------
    source : PartedRows
    classes : ndarray of shape (K,)
    intercept : bool
    reference : int, default=0
    n_threads : int, optional
    has_offset : bool, default=False
    """

    def __init__(
        self,
        source: PartedRows,
        classes: NDArray[Any],
        intercept: bool,
        reference: int = 0,
        n_threads: int | None = None,
        *,
        has_offset: bool = False,
    ) -> None:
        self.source, self.has_offset = source, has_offset
        self.rows = cast(Rows, _AbsentRows(classes))
        self._set_shape(source.n_rows, source.n_columns, intercept, reference, n_threads)

    @cached_property
    def _bound(self) -> Any:
        return self.source.bind(self.spec)

    def margins(self, parameters: _Array) -> _Array:
        """Refuse: there is one for each row."""
        return cast(_Array, self.rows.matrix)

    def probabilities(self, parameters: _Array) -> _Array:
        """Refuse: there are some for each row."""
        return cast(_Array, self.rows.matrix)

    def less(self, middle: _Array) -> "PartedLikelihood":
        """Return that of the same rows with ``middle``, (d,), subtracted from the columns."""
        return PartedLikelihood(
            cast(PartedRows, near_rows(self.source, middle)),
            self.rows.classes,
            self.intercept,
            self.reference,
            self.n_threads,
            has_offset=self.has_offset,
        )

    @property
    def far_middle(self) -> _Array | None:
        """Return about the middle of columns that are far from 0, (d,); None where none is."""
        return self.source.far_middle

    @property
    def total_weight(self) -> float:
        """Return the sum of the weights."""
        return self.source.total_weight

    @cached_property
    def n_counted(self) -> int:
        """Return how many rows have a weight above 0, in one reading."""
        return int(self.source.ask(_counted, spec=self.spec))

    @cached_property
    def null(self) -> float:
        """Return the log-likelihood where all coefficients are 0: intercepts and offset alone."""
        if self.intercept and not self.has_offset:
            counts = self._weights_of_classes
            shares = counts[counts > 0.0] / counts.sum()
            return float(counts[counts > 0.0] @ np.log(shares))
        first = self.source.columns(np.zeros(1, dtype=np.intp))
        return -null_model(Problem(first, spec=self.spec))[1].value * self.total_weight

    def separation(self, parameters: _Array, decrement: float) -> Separation | None:
        """Return that the classes may be separated; None where nothing separates them."""
        problem, distance = Problem(self.source, spec=self.spec), decrement / self.total_weight
        source, theta = rows_near_to_0(problem, self.theta(parameters).reshape(-1))
        grows = np.ones((2, theta.size), dtype=bool)
        at = problem.layout.for_pass(theta)
        if not may_be_separated(cast(PartedRows, source), self.spec, at, grows, distance):
            return None
        return Separation(False, np.zeros(1, dtype=bool), complete=False, counted=self.n_rows)

    def is_of_the_rows_of(self, other: Likelihood) -> bool:
        """Whether both are of the same rows: as many, of equal weights by class."""
        if not isinstance(other, PartedLikelihood) or self.n_rows != other.n_rows:
            return False
        if self.rows.classes.tolist() != other.rows.classes.tolist():
            return False
        return np.array_equal(self._weights_of_classes, other._weights_of_classes)

    @cached_property
    def _weights_of_classes(self) -> _Array:
        """Return the weight of each class, (K,), in one reading."""
        found: _Array = self.source.ask(_class_weights, self.n_classes, spec=self.spec)
        return found


class _Centred(Coordinates):
    """Columns less their means, over their spreads: ``Z = A T`` of an invertible T.

    Sums over raw columns far from 0 lose digits; parts centre their own rows before they sum.
    """

    def __init__(self, likelihood: PartedLikelihood, names: list[str]) -> None:
        super().__init__(likelihood)
        source, d = likelihood.source, likelihood.n_columns
        self.centre, self.spread = np.zeros(d), np.ones(d)
        low, high = source.column_ranges()
        flat = np.flatnonzero(low == high) if likelihood.intercept else np.empty(0, np.intp)
        if flat.size:
            raise ValueError(
                f"column {names[flat[0]]!r} is constant, as the intercept is: there are no "
                "standard errors; drop it"
            )
        if likelihood.intercept:
            sums = source.ask(_shifted_sums, low, spec=likelihood.spec)
            self.centre = low + sums[:-1] / sums[-1]
        largest = np.maximum(high - self.centre, self.centre - low)
        self.spread = np.where(largest > 0.0, largest, 1.0)
        # A T = Z
        first = int(likelihood.intercept)
        self.T = np.diag(np.r_[np.ones(first), 1.0 / self.spread])
        if first:
            self.T[0, 1:] = -self.centre / self.spread
            self.middle = self.centre

    def parameters(self, parameters: _Array) -> _Array:
        """Return parameters, (q,), of these columns."""
        of = self.likelihood
        table = parameters.reshape(of.n_equations, of.width).copy()
        first = int(of.intercept)
        if first:
            table[:, 0] += table[:, 1:] @ self.centre
        table[:, first:] *= self.spread
        return table.reshape(-1)

    def back(self, matrix: _Array) -> _Array:
        """Return a covariance, (q, q), of the parameters for one in these coordinates."""
        return covariance_back(matrix, self.T)

    def near(self, matrix: _Array) -> _Array:
        """Return the covariance of columns less ``middle`` for one in these coordinates."""
        return covariance_back(matrix, np.diag(self.T.diagonal()))

    @property
    def shift(self) -> tuple[_Array, _Array]:
        """Return what a part centres and scales its rows by."""
        return self.centre, self.spread


class SumsOfParts(Sums):
    """Sums over rows in parts."""

    _likelihood: PartedLikelihood

    def _better(self, names: list[str]) -> tuple[Coordinates, _Array]:
        coordinates = _Centred(self._likelihood, names)
        information: _Array = self._ask(coordinates, _information)
        if not is_well_conditioned(information):
            self._refuse_collinear(information, names)
        return coordinates, information

    def _refuse_collinear(self, information: _Array, names: list[str]) -> None:
        p = self._likelihood.width
        block = information[:p, :p]
        scale = 1.0 / np.sqrt(np.maximum(block.diagonal(), np.finfo(float).tiny))
        _, vectors = np.linalg.eigh(block * scale * scale[:, None])
        share = np.abs(vectors[:, 0])
        names = ["Intercept"] * int(self._likelihood.intercept) + names
        named = [repr(names[j]) for j in np.flatnonzero(share > 1e-3 * share.max())[:6]]
        raise ValueError(
            f"columns are collinear, or nearly, so that there are no standard errors: "
            f"{', '.join(named)}. Drop one of them (drop_first=True in open_rows for the levels of "
            "categories), or fit LogisticRegression with a finite C"
        )

    def white(self, of: Bread, *, sampling: bool) -> _Array:
        """Return the sum of the outer products of the rows' scores, (q, q)."""
        meat: _Array = self._ask(of.coordinates, _white, sampling)
        return meat

    def clustered(self, of: Bread, codes: NDArray[np.int64], nobs: float) -> _Array:
        """Return the sum over clusters of outer products of summed scores, with its factor."""
        q = self._likelihood.size
        size = int(codes.max()) + 1
        room = max(1, _ROOM // q)
        meat, n = np.zeros((q, q)), 0
        for low in range(0, size, room):
            found = self._ask(of.coordinates, _by_cluster, low, low + room, cut=codes, add=_merged)
            meat += found[1].T @ found[1]
            n += found[0].size
        return meat * cluster_factor(n, nobs, q)

    def _ask(
        self, coordinates: Coordinates, answer: Any, *asked: Any, cut: Any = None, add: Any = None
    ) -> Any:
        of, parameters, shift = self._likelihood, self._parameters, None
        if isinstance(coordinates, _Centred):
            parameters, shift = coordinates.parameters(parameters), coordinates.shift
        settings = of.n_classes, of.intercept, of.reference
        return of.source.ask(
            answer, settings, parameters, shift, *asked, cut=cut, add=add, spec=of.spec
        )


# --- what a part answers --------------------------------------------------------------------------


def _counted(bound: Pass, rows: MemoryRows) -> int:
    weights = rows.arrays[2]
    return rows.n_rows if weights is None else int(np.count_nonzero(weights))


def _class_weights(bound: Pass, rows: MemoryRows, n_classes: int) -> _Array:
    _, y, weights, _ = rows.arrays
    sums: _Array = np.bincount(y.astype(np.intp), weights, n_classes).astype(np.float64)
    return sums


def _shifted_sums(bound: Pass, rows: MemoryRows, low: _Array) -> _Array:
    """Answer with the sums of the columns above their least values, and the number of rows."""
    X = rows.arrays[0]
    if isinstance(X, np.ndarray):
        sums = (X - low).sum(axis=0, dtype=np.float64)
    else:
        sums = np.asarray(X.sum(axis=0), dtype=np.float64).reshape(-1) - rows.n_rows * low
    out: _Array = np.r_[sums, float(rows.n_rows)]
    return out


def _likelihood(
    bound: Pass,
    rows: MemoryRows,
    settings: tuple[int, bool, int],
    shift: tuple[_Array, _Array] | None,
) -> Likelihood:
    """Return the likelihood of a part's own rows."""
    X, y, weights, offset = rows.arrays
    if shift is not None:
        X = (np.asarray(dense(X), dtype=np.float64) - shift[0]) / shift[1]
    n_classes, intercept, reference = settings
    own = Rows(X, y, weights, offset, np.arange(n_classes))
    return Likelihood(own, intercept, reference, n_threads=1)  # other threads read, or ask


def _information(
    bound: Pass, rows: MemoryRows, settings: Any, parameters: _Array, shift: Any
) -> _Array:
    information: _Array = _likelihood(bound, rows, settings, shift).derivatives(parameters)[2]
    return information


def _white(
    bound: Pass,
    rows: MemoryRows,
    settings: Any,
    parameters: _Array,
    shift: Any,
    sampling: bool,
) -> _Array:
    own = _likelihood(bound, rows, settings, shift)
    residuals = own.residuals(own.probabilities(parameters))
    return white(own, Coordinates(own), residuals, sampling=sampling)


def _by_cluster(
    bound: Pass,
    rows: MemoryRows,
    settings: Any,
    parameters: _Array,
    shift: Any,
    low: int,
    high: int,
    codes: NDArray[np.int64],
) -> list[Any]:
    """Answer with the clusters between two, ascending, and the sums of their scores, (g, q)."""
    meant = (codes >= low) & (codes < high)
    weights = rows.arrays[2]
    if weights is not None:  # clusters of nothing but weights of 0 are none
        meant &= weights > 0.0
    at = np.flatnonzero(meant)
    own = _likelihood(bound, rows, settings, shift)
    if not at.size:
        return [np.empty(0, dtype=np.int64), np.zeros((0, own.size))]
    scores = own.residuals(own.probabilities(parameters))
    if weights is not None:
        scores = scores * weights[:, None]
    found, places = np.unique(codes[at], return_inverse=True)
    sums = np.zeros((found.size, own.size))
    summed_scores(own, Coordinates(own), scores, at, places.reshape(-1), sums)
    return [found, sums]


def _merged(one: list[Any], other: list[Any]) -> list[Any]:
    """Return the sums of two answers by cluster."""
    if one[0].size == other[0].size and np.array_equal(one[0], other[0]):
        one[1] += other[1]
        return one
    found = np.union1d(one[0], other[0])
    sums = np.zeros((found.size, one[1].shape[1]))
    sums[np.searchsorted(found, one[0])] = one[1]
    sums[np.searchsorted(found, other[0])] += other[1]
    return [found, sums]
