"""The loop of all solvers: ask a direction, note, judge, walk."""

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Iteration, Result, Status, TwiceDifferentiable
from fastlogreg.solvers.convergence import Convergence
from fastlogreg.solvers.direction import Direction, Iterate
from fastlogreg.solvers.search import all_finite, stretch
from fastlogreg.solvers.trace import Trace

__all__ = ["minimize"]


def minimize(
    objective: TwiceDifferentiable,
    theta: NDArray[np.float64],
    direction: Direction,
    convergence: Convergence,
    trace: Trace[Iteration],
    *,
    centred: bool = True,
) -> Result:
    """Go where the direction leads until it is enough.

    Parameters
    ----------
    objective : Problem or the like
    theta : ndarray of shape (p,)
        The start; it is not changed.
    direction : Direction
    convergence : Convergence
    trace : Trace
        A stop that is asked for ends the loop where it stands.
    centred : bool, default=True
        Whether rows of theta for several classes are made to sum to 0 at the start: not where a
        penalty holds entries at 0.

    Returns
    -------
    Result
        Handed over where the direction says so; nothing is noted where it proposes no step.
    """
    theta = objective.layout.centred(theta.copy()) if centred else theta.copy()
    at = Iterate(theta, direction.start(theta))
    if not all_finite(at.point):
        trace.note(_iteration(objective, at, np.nan), theta)
        return _result(objective, at, trace, False, Status.NOT_FINITE)
    may_stretch = True  # no step has gone too far yet
    while True:
        proposal = direction.propose(at)
        if proposal is None:
            return _result(objective, at, trace, False, Status.HANDED_OVER)
        if trace.note(_iteration(objective, at, proposal.decrement), at.theta):
            sure = convergence.judge(at, proposal).converged and direction.proves(at)
            return _result(objective, at, trace, sure, Status.STOPPED)
        if at.point.value <= convergence.limits.stop_value:
            return _result(objective, at, trace, False, Status.STOP_VALUE)
        if proposal.ends:
            return _result(objective, at, trace, False, Status.HANDED_OVER)
        converged, enough = convergence.judge(at, proposal)
        if enough:
            confirmed = direction.confirm(at, proposal)
            if confirmed is None:
                return _result(objective, at, trace, True, Status.CONVERGED)
            if confirmed.ends:
                return _result(objective, at, trace, True, Status.HANDED_OVER)
            proposal = confirmed
            trace.amend(decrement=proposal.decrement)
        spent = convergence.spent(at)
        if spent is not None:
            return _result(objective, at, trace, converged, spent)

        if may_stretch and proposal.fresh:
            proposal.step = stretch(proposal.decrement, at.point.value) * proposal.step
        accepted = direction.walk(at, proposal, converged)
        if accepted is None:
            renewed = direction.renew(at)
            if renewed is None:
                return _result(objective, at, trace, converged, Status.NO_DESCENT)
            at.point = renewed
            continue
        before = Iterate(at.theta, at.point)
        at.theta, at.point, at.length = accepted
        at.n_iter += 1
        if may_stretch:
            along = 0.0 if proposal.lost else float(at.point.gradient @ proposal.step)
            may_stretch = at.length == 1.0 and along <= 0.0
        direction.moved(before, at, proposal)


def _iteration(objective: TwiceDifferentiable, at: Iterate, decrement: float) -> Iteration:
    value, gradient, _ = at.point
    norm = float(objective.penalty.subgradient_distance(at.theta, gradient).max())
    return Iteration(
        at.n_iter, objective.n_passes, value, norm, decrement, at.length, objective.share
    )


def _result(
    objective: TwiceDifferentiable,
    at: Iterate,
    trace: Trace[Iteration],
    converged: bool,
    status: Status,
) -> Result:
    """Return the result of a solver that ends here; its distance is what was noted last."""
    return Result(
        at.theta,
        at.point.value,
        float(objective.penalty.subgradient_distance(at.theta, at.point.gradient).max()),
        trace.history[-1].decrement if trace.history else np.inf,
        at.n_iter,
        objective.n_passes,
        converged,
        status,
        trace.history,
    )
