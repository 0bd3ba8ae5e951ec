"""Covariances of the estimates: from the information, robust ones, clusters, bootstrap aside.

All are ``B M B`` with the inverse information B ("bread"). ``nonrobust`` is B itself; for ``HC0``
M sums the outer products of the rows' scores; ``HC1`` is that times n / (n - q), as in R's
sandwich (statsmodels' HC1 of a Logit is its HC0, without the factor); ``cluster`` sums scores
within clusters first, times G / (G - 1) (n - 1) / (n - q), as statsmodels and Stata do; two ways
are one plus the other minus their intersection (Cameron, Gelbach and Miller 2011).

One reading of the rows gives the information, and one more the sum of scores: the residuals are
weights of a squared error, whose Hessian it is.

References
----------
White (1982), Maximum likelihood estimation of misspecified models, Econometrica 50; Cameron,
Gelbach and Miller (2011), Robust inference with multiway clustering, JBES 29.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from fastlogreg.data.labels import whole_numbers
from fastlogreg.statistics.coordinates import (
    ROUNDING,
    Coordinates,
    Covariance,
    Moved,
    Orthonormal,
    is_well_conditioned,
    symmetric,
    unit,
)
from fastlogreg.statistics.likelihood import Derivatives, Likelihood

__all__ = [
    "COV_TYPES",
    "Bread",
    "Sums",
    "SumsInMemory",
    "check_groups",
    "cluster_factor",
    "decrement",
    "robust",
    "summed_scores",
    "white",
]

COV_TYPES = ("nonrobust", "HC0", "HC1", "cluster", "bootstrap")

_FLAT = 1e-14  # eigenvalues of a correlation matrix up to this are rounding
_SCORES = 1 << 20  # values of summed scores that are held at a time
_BLOCK = 1 << 17  # values of rows that are summed at a time

_Array = NDArray[np.float64]


class Bread(NamedTuple):
    """The inverse information in some coordinates, and as a covariance of the parameters."""

    coordinates: Coordinates
    inverse: _Array
    errors: Covariance

    @property
    def covariance(self) -> _Array:
        """Return the covariance of the parameters, (q, q)."""
        return self.errors.matrix


def decrement(derivatives: Derivatives, ridge: _Array | float = 0.0) -> float:
    """Return by how much Newton's step would raise the log-likelihood, by its model.

    Directions without curvature are left out: their slope is rounding, or they separate rows.
    """
    _, score, information = derivatives
    information = information + np.diag(np.broadcast_to(ridge, score.shape))
    diagonal = information.diagonal()
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    values, vectors = np.linalg.eigh(information * scale * scale[:, None])
    along = vectors.T @ (scale * score)
    held = values > _FLAT * score.size
    return 0.5 * float((along[held] ** 2 / values[held]).sum())


class Sums(ABC):
    """Whoever sums what covariances are made of over the rows, at some parameters.

    Parameters
    ----------
    likelihood : Likelihood
    parameters : ndarray of shape (q,)
    """

    def __init__(self, likelihood: Likelihood, parameters: _Array) -> None:
        self._likelihood, self._parameters = likelihood, parameters

    def bread(
        self, derivatives: Derivatives, names: list[str], ridge: _Array | float = 0.0
    ) -> Bread:
        """Return the inverse of the information, plus a ridge (q,) on its diagonal.

        Raises
        ------
        ValueError
            If columns are collinear; the message names them.
        """
        information, coordinates = derivatives.information, Coordinates(self._likelihood)
        if np.any(np.asarray(ridge) > 0.0):
            middle = self._likelihood.far_middle if self._likelihood.intercept else None
            if middle is not None:
                coordinates, near = Moved(self._likelihood, middle), self._likelihood.less(middle)
                at = self._likelihood.moved(self._parameters, middle)
                information = near.derivatives(at).information
            information = information + np.diag(np.broadcast_to(ridge, derivatives.score.shape))
        elif not is_well_conditioned(information):
            coordinates, information = self._better(names[int(self._likelihood.intercept) :])
        scale = 1.0 / np.sqrt(information.diagonal())
        factor = cho_factor(information * scale * scale[:, None], lower=True)
        inverse = symmetric(cho_solve(factor, np.eye(scale.size)) * scale * scale[:, None])
        return Bread(coordinates, inverse, coordinates.covariance(inverse))

    @abstractmethod
    def _better(self, names: list[str]) -> tuple[Coordinates, _Array]:
        """Return coordinates that keep the digits of the information, and it there."""

    @abstractmethod
    def white(self, of: Bread, *, sampling: bool) -> _Array:
        """Return the sum of the outer products of the rows' scores, (q, q)."""

    @abstractmethod
    def clustered(self, of: Bread, codes: NDArray[np.int64], nobs: float) -> _Array:
        """Return the sum over clusters of outer products of summed scores, with its factor."""


class SumsInMemory(Sums):
    """Sums over rows in memory."""

    @cached_property
    def _probabilities(self) -> _Array:
        return self._likelihood.probabilities(self._parameters)

    @cached_property
    def _residuals(self) -> _Array:
        """Return the residuals, (n, K - 1), without weights."""
        return self._likelihood.residuals(self._probabilities)

    def _better(self, names: list[str]) -> tuple[Coordinates, _Array]:
        of, p = self._likelihood, self._probabilities[:, self._likelihood.others]
        coordinates = Orthonormal(of, of.weighted((p * (1.0 - p)).sum(axis=1)), names)
        return coordinates, _information(of, coordinates, self._probabilities)

    def white(self, of: Bread, *, sampling: bool) -> _Array:
        """Return the sum of the outer products of the rows' scores, (q, q)."""
        return white(self._likelihood, of.coordinates, self._residuals, sampling=sampling)

    def clustered(self, of: Bread, codes: NDArray[np.int64], nobs: float) -> _Array:
        """Return the sum over clusters of outer products of summed scores, with its factor."""
        weights = self._likelihood.rows.weights
        residuals = self._residuals
        scores = residuals if weights is None else residuals * weights[:, None]
        return _clustered(self._likelihood, of.coordinates, scores, codes, nobs)


def _information(likelihood: Likelihood, coordinates: Coordinates, probabilities: _Array) -> _Array:
    """Return the information in coordinates, (q, q)."""

    def between(a: int, b: int) -> _Array:
        pa = probabilities[:, likelihood.others[a]]
        pb = probabilities[:, likelihood.others[b]]
        both: _Array = pa * (_other(likelihood, probabilities, a) if a == b else -pb)
        return likelihood.weighted(both)

    return _of_pairs(likelihood, coordinates, between)


def _of_pairs(
    likelihood: Likelihood, coordinates: Coordinates, between: Callable[[int, int], _Array]
) -> _Array:
    """Return the cross products of columns, (q, q), by what rows weigh ``between`` equations."""
    k, p = likelihood.n_equations, likelihood.width
    out = np.empty((k, p, k, p))
    for a in range(k):
        for b in range(a + 1):
            out[a, :, b] = coordinates.cross(between(a, b))
            out[b, :, a] = out[a, :, b].T
    return out.reshape(k * p, k * p)


def _other(likelihood: Likelihood, probabilities: _Array, equation: int) -> _Array:
    """Return 1 - p of an equation's class, without cancellation."""
    others = np.delete(probabilities, likelihood.others[equation], axis=1)
    return np.asarray(others.sum(axis=1), dtype=np.float64)


def robust(
    sums: Sums,
    of: Bread,
    size: int,
    cov_type: str,
    groups: list[NDArray[np.int64]],
    *,
    nobs: float,
    sampling: bool,
) -> tuple[Covariance, list[str]]:
    """Return a covariance that is robust, and what is to be said of it.

    Parameters
    ----------
    size : int
        The number q of parameters.
    cov_type : {"HC0", "HC1", "cluster"}
    groups : list of one or two arrays of codes, (n,)
    nobs : float
    sampling : bool
        Whether weights are those of a sample: a row's score has its weight then. Else a row of
        weight w stands for w rows.
    """
    q = size
    notes = []
    if cov_type in ("HC0", "HC1"):
        meat = sums.white(of, sampling=sampling)
        if cov_type == "HC1":
            meat *= nobs / (nobs - q)
    else:
        meat = sums.clustered(of, groups[0], nobs)
        if len(groups) == 2:
            meat += sums.clustered(of, groups[1], nobs)
            both = np.unique(np.column_stack(groups), axis=0, return_inverse=True)[1].reshape(-1)
            meat -= sums.clustered(of, both, nobs)
        fewest = min(int(np.count_nonzero(np.bincount(g))) for g in groups)
        if fewest <= q:
            notes.append(
                f"There are {fewest} clusters and {q} parameters: errors by cluster are unreliable."
            )
    covariance = of.coordinates.covariance(of.inverse @ meat @ of.inverse)
    if len(groups) == 2 and np.linalg.eigvalsh(unit(covariance.near))[0] < -ROUNDING:
        notes.append(
            "The two-way covariance is not positive: some tests of several parameters fail, and "
            "errors of predictions and effects are NaN where their variance is below 0."
        )
        if covariance.near.diagonal().min() < 0.0:
            values, vectors = np.linalg.eigh(covariance.near)
            positive = symmetric((vectors * values.clip(0.0)) @ vectors.T)
            covariance = Covariance.of_near(positive, covariance.middle)
            notes[-1] = (
                "The two-way covariance was not positive: its negative eigenvalues were made 0."
            )
    return covariance, notes


def white(
    likelihood: Likelihood, coordinates: Coordinates, residuals: _Array, *, sampling: bool
) -> _Array:
    """Return the sum of the outer products of the rows' scores, (q, q).

    Parameters
    ----------
    residuals : ndarray of shape (n, K - 1)
        Without weights.
    sampling : bool
        Whether weights are those of a sample, and so squared.
    """
    weights = likelihood.rows.weights
    if weights is not None and sampling:
        weights = weights**2

    def between(a: int, b: int) -> _Array:
        both: _Array = residuals[:, a] * residuals[:, b]
        return both if weights is None else both * weights

    return _of_pairs(likelihood, coordinates, between)


def _clustered(
    likelihood: Likelihood,
    coordinates: Coordinates,
    scores: _Array,
    codes: NDArray[np.int64],
    nobs: float,
) -> _Array:
    """Return the sum over clusters of outer products of summed scores, with its factor."""
    q, weights = likelihood.size, likelihood.rows.weights
    if (int(codes.max()) + 1) * q <= _SCORES:  # of all clusters at once: rows as they come
        sums = np.zeros((int(codes.max()) + 1, q))
        step = max(1, _BLOCK // q)
        for begin in range(0, codes.size, step):
            some = slice(begin, begin + step)
            summed_scores(likelihood, coordinates, scores, some, codes[some], sums)
        counted = codes if weights is None else codes[weights > 0.0]  # others are no clusters
        n_clusters = int(np.count_nonzero(np.bincount(counted)))
        return np.asarray(sums.T @ sums * cluster_factor(n_clusters, nobs, q), dtype=np.float64)
    order = np.argsort(codes, kind="stable")
    if weights is not None:  # clusters of nothing but weights of 0 are none
        order = order[weights[order] > 0.0]
    ends = np.r_[np.flatnonzero(np.diff(codes[order])) + 1, order.size]
    starts = np.r_[0, ends[:-1]]
    most = max(1, _SCORES // q)
    out = np.zeros((q, q))
    first = 0
    while first < ends.size:
        # whole clusters, not many rows at a time
        last = int(np.searchsorted(ends, starts[first] + most, side="right"))
        last = max(last, first + 1)
        sums = np.zeros((last - first, q))
        for begin in range(int(starts[first]), int(ends[last - 1]), most):
            at = order[begin : min(begin + most, int(ends[last - 1]))]
            places = np.searchsorted(ends[first:last], np.arange(begin, begin + at.size), "right")
            summed_scores(likelihood, coordinates, scores, at, places, sums)
        out += sums.T @ sums
        first = last
    return np.asarray(out * cluster_factor(ends.size, nobs, q), dtype=np.float64)


def summed_scores(
    likelihood: Likelihood,
    coordinates: Coordinates,
    scores: _Array,
    rows: NDArray[np.intp] | slice,
    places: NDArray[np.intp],
    sums: _Array,
) -> None:
    """Add the scores of some rows to those of their clusters.

    Parameters
    ----------
    scores : ndarray of shape (n, K - 1)
        Residuals times weights.
    rows : ndarray of shape (k,), or slice
        Numbers of rows.
    places : ndarray of shape (k,)
        Number of each row's cluster.
    sums : ndarray of shape (n_clusters, q)
        Changed.
    """
    part, width = coordinates.transform(likelihood.rows.matrix[rows]), likelihood.width
    for a in range(likelihood.n_equations):
        indicator = sp.csc_array(
            (scores[rows, a], places, np.arange(places.size + 1)), shape=(len(sums), places.size)
        )
        sums[:, a * width : (a + 1) * width] += indicator @ part


def cluster_factor(n_clusters: int, nobs: float, size: int) -> float:
    """Return G / (G - 1) (n - 1) / (n - q).

    Raises
    ------
    ValueError
        If there is one cluster only.
    """
    if n_clusters < 2:
        raise ValueError("groups must name two clusters or more among rows of positive weight")
    return (n_clusters / (n_clusters - 1.0)) * ((nobs - 1.0) / (nobs - size))


def check_groups(groups: Any, n: int) -> list[NDArray[np.int64]]:
    """Return codes of clusters, one or two arrays (n,).

    ``groups`` is (n,) of anything that sorts or hashes, (n, 1) or (n, 2), or a pair of (n,).
    """
    ways = _ways(groups, n)
    if len(ways) not in (1, 2):
        raise ValueError(f"groups must be one or two ways of clustering, got {len(ways)}")
    codes = []
    for way in ways:
        values = np.asarray(way)
        if values.shape != (n,):
            raise ValueError(
                f"groups must hold one value for each of the {n} rows, got shape {values.shape}"
            )
        missing = np.flatnonzero(_missing(values))
        if missing.size:
            raise ValueError(f"groups must not have missing values, got one at row {missing[0]}")
        if values.dtype == object:
            known: dict[Any, int] = {}
            found = np.array([known.setdefault(v, len(known)) for v in values.tolist()])
        else:
            known_codes = whole_numbers(values) or np.unique(values, return_inverse=True)
            found = known_codes[1].reshape(-1)
        if found.max() == 0:
            raise ValueError("groups must name two clusters or more, got one")
        codes.append(found.astype(np.int64))
    return codes


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values, (n,), are None, NaN or no time."""
    if values.dtype.kind in "fc":
        return np.asarray(np.isnan(values), dtype=np.bool_)
    if values.dtype.kind in "mM":
        return np.asarray(np.isnat(values), dtype=np.bool_)
    if values.dtype.kind in "biuSU":
        return np.zeros(values.shape, dtype=np.bool_)
    return np.array([v is None or v != v for v in values.tolist()], dtype=np.bool_)


def _ways(groups: Any, n: int) -> list[ArrayLike]:
    if isinstance(groups, (list, tuple)) and len(groups) in (1, 2) and n > 2:
        return list(groups)
    values = groups.to_numpy() if hasattr(groups, "to_numpy") else np.asarray(groups)
    return [values] if values.ndim != 2 else list(values.T)
