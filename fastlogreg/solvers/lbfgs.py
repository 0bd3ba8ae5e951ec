"""L-BFGS in centred and scaled columns: one pass a step, and nothing kept but 2 m vectors.

The initial matrix is the Hessian's diagonal in centred columns, from one pass
(:class:`fastlogreg.solvers.curvature.Centred`): plain L-BFGS stalls on unscaled columns, this
does not notice them.

L-BFGS does not know how far it is from the optimum: its own metric may be wrong by the condition
number. So where that metric says that the goal is near, or it has cost more than Newton would,
truncated Newton (:mod:`fastlogreg.solvers.newton_cg`) goes on: mostly one solve that confirms it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Iteration, Result, Status, Universal
from fastlogreg.solvers.convergence import HANDING_OVER, Convergence, Limits
from fastlogreg.solvers.curvature import Centred, Secants
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.handover import budget, go_on
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.near import in_near_columns
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.search import Point, polyak, search
from fastlogreg.solvers.trace import Trace

__all__ = ["lbfgs"]

_MEMORY = 12
_OPENING = 2.0  # passes before the first step

_Vector = NDArray[np.float64]


@in_near_columns
def lbfgs(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
) -> Result:
    """Minimize an objective that is bounded below by zero by L-BFGS.

    Parameters
    ----------
    objective : Problem or the like
        See :class:`fastlogreg.solvers.Universal`.
    theta : ndarray of shape (p,), float64
        The start; it is not changed.
    tol : float, default=1e-8
        Converged where half the Newton decrement is estimated at ``tol`` times the value or less.
    max_iter : int, default=1000
        Steps at most.
    stop_value : float, default=0.0
        Stop, not converged, at a value of this or less.
    trace : Trace, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta, and may stop.

    Returns
    -------
    Result

    References
    ----------
    Nocedal and Wright, Numerical Optimization, section 7.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> from fastlogreg.problem.problem import Problem
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> result = lbfgs(Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))), np.zeros(2))
    >>> result.converged, result.theta.round(4)
    (True, array([-1.3623,  0.9082]))
    """
    trace = Trace() if trace is None else trace
    max_passes = objective.n_passes + _OPENING + budget(objective.hessian_passes, theta.size)
    convergence = Convergence(
        objective, Limits(tol, max_iter, stop_value, max_passes), HANDING_OVER
    )
    first = minimize(objective, theta, _Secant(objective, convergence), convergence, trace)
    if first.status in (Status.STOPPED, Status.NOT_FINITE):
        return first
    return go_on(
        newton_cg,
        objective,
        first,
        max_iter=max_iter,
        trace=trace,
        tol=tol,
        stop_value=stop_value,
    )


class _Secant:
    """The direction of L-BFGS; it ends where the last word is to be asked for."""

    def __init__(self, objective: Universal, convergence: Convergence) -> None:
        self._objective = objective
        self._convergence = convergence
        self._model: Secants | None = None

    def start(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_product(theta))

    def propose(self, at: Iterate) -> Proposal | None:
        if self._model is None:
            self._model = Secants(Centred(at.point.curvature.moments()), _MEMORY)
        value, gradient, _ = at.point
        step, decrement = self._model.step(gradient, 0.0)
        if (
            not np.isfinite(decrement)
            or decrement <= self._convergence.goal(value)
            or value <= self._convergence.limits.stop_value
            or self._convergence.spent(at) is not None
        ):
            return None
        return Proposal(step, decrement)

    def proves(self, at: Iterate) -> bool:
        return False

    def confirm(self, at: Iterate, proposal: Proposal) -> Proposal:
        return replace(proposal, ends=True)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        return self._search(at, proposal.step) or self._search(
            at, polyak(at.point.value, at.point.gradient)
        )

    def renew(self, at: Iterate) -> None:
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        assert self._model is not None
        step = at.theta - before.theta
        self._model.add(step, before.point.gradient, at.point.gradient)

    def _search(self, at: Iterate, step: _Vector) -> tuple[_Vector, Point, float] | None:
        return search(
            at.theta,
            at.point,
            step,
            first=self._eval_gradient,
            value=self._objective.value,
            evaluate=self._eval_gradient,
        )

    def _eval_gradient(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient(theta), None)
