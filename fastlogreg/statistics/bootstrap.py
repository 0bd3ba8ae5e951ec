"""The bootstrap: fits to rows drawn with replacement, each from where the first fit ended.

A replicate says how often each row, or each cluster, was drawn. No row is copied. Replicates are
fitted side by side, some dozens at a time, by the one Hessian of all rows
(:func:`fastlogreg.solvers.folds.fit_drawn`): of two classes all in one reading of the rows. Where
that Hessian is dear, replicates are fitted one after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.centred import CentredRows
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.separation import all_overlap
from fastlogreg.problem.centring import centring
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result, TwiceDifferentiable, Universal
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.folds import fit_drawn
from fastlogreg.solvers.handover import is_cheap
from fastlogreg.statistics.likelihood import Likelihood

__all__ = ["Replicates", "bootstrap"]

_TOL = 1e-12
_TOL_TOGETHER = 1e-10  # of two classes: goes to 1e-13, and mostly one step beyond
_STOP = 1e-8  # a mean loss below this is that of separated classes
_MOST_LOST = 0.1
_TOGETHER = 64  # replicates in one reading, at most; 128 are no quicker
_BYTES = 1 << 26  # of their counts
_LARGEST_OF_CLASSES = 2000  # entries of theta, as for folds
_MOST_TIMES = 255  # that a row is drawn, of those fitted together

_Array = NDArray[np.float64]
_Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Estimates of replicates.

    Attributes
    ----------
    parameters : ndarray of shape (n_replicates, q)
        Those that have an optimum.
    lost : int
        How many have none.
    n_passes : float
        Readings of the rows.
    """

    parameters: _Array
    lost: int
    n_passes: float


def bootstrap(
    likelihood: Likelihood,
    parameters: _Array,
    n_replicates: int,
    random: np.random.RandomState,
    *,
    groups: NDArray[np.int64] | None = None,
    sampling: bool = False,
) -> Replicates:
    """Return estimates of replicates.

    Parameters
    ----------
    parameters : ndarray of shape (q,)
        The estimates of all rows, where each fit starts.
    groups : ndarray of shape (n,), optional
        Codes of clusters that are drawn as a whole.
    sampling : bool, default=False
        Whether weights are those of a sample, or the trials of counts: rows are drawn alike, and
        keep their weights. Else a row of weight w stands for w rows, and its count is drawn.

    Raises
    ------
    ValueError
        Where more than a tenth of the replicates have no optimum.
    """
    fits = _Fits(likelihood, parameters, drawn_alike=sampling or groups is not None)
    draws = _draws(likelihood, n_replicates, random, groups, sampling)
    found: list[_Array] = []
    while times := list(islice(draws, fits.at_once)):
        found += fits.of([each for each in times if fits.holds_all_classes(each)])
    lost = n_replicates - len(found)
    if lost > _MOST_LOST * n_replicates:
        raise ValueError(
            f"{lost} of {n_replicates} bootstrap replicates have no optimum: their classes can be "
            "separated, so that there are no bootstrap errors; use method='firth' of flr.logit, "
            "or another cov_type"
        )
    return Replicates(np.array(found), lost, fits.n_passes)


def _draws(
    likelihood: Likelihood,
    n_replicates: int,
    random: np.random.RandomState,
    groups: NDArray[np.int64] | None,
    sampling: bool,
) -> Iterator[_Times]:
    """Yield how often each row was drawn, (n,), of each replicate."""
    weights, n = likelihood.rows.weights, likelihood.n_rows
    held = np.arange(n) if weights is None else np.flatnonzero(weights)
    for _ in range(n_replicates):
        if groups is not None:
            size = int(groups.max()) + 1
            yield np.bincount(random.randint(0, size, size), minlength=size)[groups]
        elif weights is None or sampling:
            drawn = random.randint(0, held.size, held.size)
            yield np.bincount(drawn if held.size == n else held[drawn], minlength=n)
        else:
            total = max(1, round(float(weights.sum())))
            yield random.multinomial(total, weights / weights.sum())


class _Fits:
    """Fits to rows as often as they were drawn.

    ``drawn_alike`` says whether rows keep their weights; else what was drawn are the weights.

    Attributes
    ----------
    at_once : int
        Replicates that :meth:`of` should be asked for together.
    n_passes : float
    """

    def __init__(self, likelihood: Likelihood, parameters: _Array, *, drawn_alike: bool) -> None:
        X, y, weights, offset, _ = likelihood.rows
        self._likelihood, self._estimates = likelihood, parameters
        self._source = MemoryRows(X, y, weights if drawn_alike else None, offset)
        theta, problem = (
            likelihood.theta(parameters).reshape(-1),
            Problem(self._source, spec=likelihood.spec),
        )
        self._near = centring(problem)  # what follows is in its columns, where there are any
        self._theta = theta if self._near is None else self._near.there(theta)
        self._problem = problem if self._near is None else self._near.problem
        given = self._source.arrays[2]
        self._lightest = 1.0 if given is None else float(given[given > 0.0].min())
        self._hessian: NDArray[np.float64] | None = None
        self.at_once = 1
        if self._goes_together():
            self._hessian = self._problem.mean_loss(self._theta)[2]
            # several classes hold the weights of each replicate, not its counts alone
            bytes_of_row = 1 if likelihood.n_equations == 1 else 8
            self.at_once = min(_TOGETHER, max(1, _BYTES // (bytes_of_row * likelihood.n_rows)))

    def _goes_together(self) -> bool:
        if self._likelihood.n_equations == 1:
            return is_cheap(cast(TwiceDifferentiable, self._problem))
        return self._problem.size <= _LARGEST_OF_CLASSES  # made once, for all replicates

    @property
    def n_passes(self) -> float:
        """Return the readings so far."""
        return self._problem.n_passes

    def holds_all_classes(self, times: _Times) -> bool:
        """Whether rows of each class were drawn."""
        drawn = self._source.times(times).arrays[2]
        return bool((self._likelihood.class_weights(drawn) > 0.0).all())

    def of(self, times: list[_Times]) -> list[_Array]:
        """Return the estimates of those that have an optimum."""
        if len(times) > 1 and max(int(each.max()) for each in times) <= _MOST_TIMES:
            assert self._hessian is not None
            results = fit_drawn(
                self._problem,
                np.array(times, dtype=np.uint8),
                self._theta,
                self._hessian,
                tol=_TOL_TOGETHER if self._likelihood.n_equations == 1 else _TOL,
                stop_value=_STOP,
            )
        else:
            results = [self._fit(each) for each in times]
        return [
            self._parameters(result)
            for result, each in zip(results, times, strict=True)
            if self._has_optimum(result, each)
        ]

    def _parameters(self, result: Result) -> _Array:
        theta = result.theta if self._near is None else self._near.back(result.theta)
        return self._likelihood.parameters(theta)

    def _fit(self, times: _Times) -> Result:
        source = cast(MemoryRows | CentredRows, self._problem.source)
        problem = self._problem.subset(source.times(times), self._problem.penalty)
        with problem.solving() as again, again:
            return auto(
                cast(Universal, problem), self._theta, tol=_TOL, stop_value=_STOP, stages=False
            )

    @cached_property
    def _known(self) -> tuple[float, _Array]:
        """Return the largest margin at the estimates, and the largest size of each column."""
        of, first = self._likelihood, self._problem.layout.first
        low, high = self._problem.column_ranges()
        sizes = np.concatenate([np.ones(first), np.maximum(np.abs(low), np.abs(high))])
        largest = np.abs(of.margins(self._estimates)).max()
        return float(largest), sizes

    def _largest(self, theta: _Array) -> float:
        """Return what no margin at theta is larger than; infinity for several classes."""
        if self._likelihood.n_equations > 1:
            return np.inf
        largest, sizes = self._known
        return largest + float(sizes @ np.abs(theta - self._theta))

    def _has_optimum(self, result: Result, times: _Times) -> bool:
        if not result.finite:
            return False
        of, weights = self._likelihood, self._source.arrays[2]
        total = float(times.sum() if weights is None else times @ weights)
        if all_overlap(self._lightest / total, self._largest(result.theta), result.decrement):
            return True
        drawn = self._source.times(times).arrays[2]
        own = Likelihood(of.rows._replace(weights=drawn), of.intercept, of.reference, of.n_threads)
        at = self._parameters(result)
        return own.separation(at, result.decrement * own.total_weight) is None
