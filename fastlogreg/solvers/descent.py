"""Mini-batch descent: epochs over batches of rows until the training loss or a score plateaus.

The steps themselves are the backend's (:mod:`fastlogreg.backends.numba.minibatch`); here is what
happens between epochs: when to stop, when to lower the rate, what to return of a run that diverged.
Stochastic (batches of 1), mini-batch (m) and batch (all rows) descent differ in nothing here.

Rules of stopping are scikit-learn's (``SGDClassifier``, ``MLPClassifier``): an epoch makes progress
if its mean loss, taken before each update, falls by more than ``tol`` below the best so far, or
the score rises by more than ``tol`` above it; ``n_iter_no_change`` epochs in a row without progress
end the run, or divide an adaptive rate by five until it is below 1e-6.

A run fails where a loss or a parameter is not finite: the parameters of the last epoch before are
returned.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers.trace import Trace

__all__ = ["DIVERGED", "Batches", "Epoch", "Outcome", "Stopping", "descend", "go_over"]

DIVERGED = 2.0  # times the loss of parameters of 0
_ADAPT = 5.0  # an adaptive rate is divided by this ...
_LEAST_RATE = 1e-6  # ... down to this


class Batches(Protocol):
    """Rows cut into batches, and the state of the optimizer that goes over them."""

    def epoch(self, random: np.random.Generator | None, shrink: float) -> tuple[float, bool]:
        """Run one epoch, rates times ``shrink``; return its mean loss and whether all is finite."""

    def theta(self) -> NDArray[np.float64]:
        """Return the parameters, (p,), or their average."""

    def save(self) -> Any:
        """Return a copy of what the next epoch may change."""

    def restore(self, saved: Any) -> None:
        """Go back to before the epoch that was saved for."""


@dataclass(frozen=True)
class Stopping:
    """When to stop; ``tol`` None: after ``max_iter`` epochs. ``eta0`` is what adapts."""

    max_iter: int
    tol: float | None
    n_iter_no_change: int
    adaptive: bool
    eta0: float


class Epoch(NamedTuple):
    """What is known after an epoch."""

    n_iter: int
    loss: float
    score: float | None
    rate: float


@dataclass
class Outcome:
    """What a run gives.

    Attributes
    ----------
    theta : ndarray of shape (p,), float64
        The last parameters (or averages); with scores, those of the best score.
    n_iter : int
        Epochs, that of a failure included.
    history : list of Epoch
        The epochs that ended.
    failed : bool
        Whether a loss or a parameter was not finite.
    ended : bool
        Whether the run ended before ``max_iter``: by itself, or as a callback asked.
    plateaued : bool
        Whether it ended by itself.
    distance : float or None
        How far above the optimum ``theta`` is estimated, relative to the objective there; None
        where nobody looked.
    near : bool
        Whether that is within the tolerance.
    at_zero : float
        The mean loss of parameters of 0, where it is known.
    """

    theta: NDArray[np.float64]
    n_iter: int = 0
    history: list[Epoch] = field(default_factory=list)
    failed: bool = False
    ended: bool = False
    plateaued: bool = False
    distance: float | None = None
    near: bool = False
    at_zero: float = np.inf

    @property
    def last_loss(self) -> float:
        """Return the mean loss of the last epoch that ended, NaN where none did."""
        return self.history[-1].loss if self.history else np.nan

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's loss is more than twice that of parameters of 0."""
        return self.last_loss > DIVERGED * self.at_zero


def descend(
    batches: Batches,
    stopping: Stopping,
    *,
    random: np.random.Generator | None,
    score: Callable[[NDArray[np.float64]], float] | None = None,
    trace: Trace[Epoch] | None = None,
) -> Outcome:
    """Run epochs; ``random`` draws their orders.

    ``score`` judges parameters where progress is measured on other rows. ``trace`` hears of each
    epoch and its parameters, and may end the run.
    """
    trace = Trace() if trace is None else trace
    result = Outcome(batches.theta(), history=trace.history)
    best_loss, best_score = np.inf, -np.inf
    n_no_change = 0
    shrink = 1.0
    for n_iter in range(1, stopping.max_iter + 1):
        before = batches.save()
        result.n_iter = n_iter
        loss, finite = batches.epoch(random, shrink)
        theta = batches.theta()
        if not finite:
            batches.restore(before)
            result.theta = batches.theta()
            result.failed = True
            break
        scored = None if score is None else score(theta)
        if scored is None:
            result.theta = theta
        elif scored > best_score:
            result.theta = theta
        if trace.note(Epoch(n_iter, loss, scored, stopping.eta0 * shrink), theta):
            result.ended = True
            break
        if stopping.tol is None:
            continue
        if scored is None:
            n_no_change = n_no_change + 1 if loss > best_loss - stopping.tol else 0
        else:
            n_no_change = n_no_change + 1 if scored < best_score + stopping.tol else 0
            best_score = max(best_score, scored)
        best_loss = min(best_loss, loss)
        if n_no_change >= stopping.n_iter_no_change:
            if not stopping.adaptive or stopping.eta0 * shrink <= _LEAST_RATE:
                result.ended = result.plateaued = True
                break
            shrink /= _ADAPT
            n_no_change = 0
    return result


def go_over(batches: Batches, random: np.random.Generator | None) -> tuple[float, bool]:
    """Run one epoch; return its mean loss and whether it counts.

    One that failed, or was interrupted, leaves all as it was.
    """
    before = batches.save()
    try:
        loss, finite = batches.epoch(random, 1.0)
    except BaseException:
        batches.restore(before)
        raise
    if not finite:
        batches.restore(before)
    return loss, finite
