"""The bootstrap: fits to rows drawn with replacement, each from where the first fit ended.

A replicate is a column of weights: how often each row, or each cluster, was drawn. No row is
copied. Starting at the estimates of all rows, a fit takes two or three passes.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Universal
from fastlogreg.solvers.auto import auto
from fastlogreg.statistics.likelihood import Likelihood

__all__ = ["Replicates", "bootstrap"]

_TOL = 1e-12
_STOP = 1e-8  # a mean loss below this is that of separated classes
_MOST_LOST = 0.1

_Array = NDArray[np.float64]


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
        Where each fit starts.
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
    X, y, weights, offset, _ = likelihood.rows
    n = likelihood.n_rows
    theta = likelihood.theta(parameters).reshape(-1)
    found, lost, passes = [], 0, 0.0
    held = np.flatnonzero(np.ones(n) if weights is None else weights)
    for _ in range(n_replicates):
        if groups is not None:
            size = int(groups.max()) + 1
            counts = np.bincount(random.randint(0, size, size), minlength=size)[groups]
            drawn = counts.astype(np.float64) * (1.0 if weights is None else weights)
        elif weights is None or sampling:
            counts = np.bincount(held[random.randint(0, held.size, held.size)], minlength=n)
            drawn = counts.astype(np.float64) * (1.0 if weights is None else weights)
        else:
            total = max(1, round(float(weights.sum())))
            drawn = random.multinomial(total, weights / weights.sum()).astype(np.float64)
        if (likelihood.class_weights(drawn) == 0.0).any():
            lost += 1
            continue
        problem = Problem(MemoryRows(X, y, drawn, offset), spec=likelihood.spec)
        with problem.solving():
            result = auto(cast(Universal, problem), theta, tol=_TOL, stop_value=_STOP, stages=False)
        passes += problem.n_passes
        rows = likelihood.rows._replace(weights=drawn)
        own = Likelihood(rows, likelihood.intercept, likelihood.reference, likelihood.n_threads)
        at = likelihood.parameters(result.theta)
        total_lost = result.decrement * own.total_weight
        if not result.finite or own.separation(at, total_lost) is not None:
            lost += 1
            continue
        found.append(at)
    if lost > _MOST_LOST * n_replicates:
        raise ValueError(
            f"{lost} of {n_replicates} bootstrap replicates have no optimum: their classes can be "
            "separated, so that there are no bootstrap errors; use method='firth' of flr.logit, "
            "or another cov_type"
        )
    return Replicates(np.array(found), lost, passes)
