"""L-BFGS in centred and scaled columns: one pass a step, and nothing kept but 2 m vectors.

The initial matrix is the Hessian's diagonal in centred columns, from one pass
(:class:`fastlogreg.solvers.curvature.Centred`): plain L-BFGS stalls on unscaled columns, this
does not notice them.

L-BFGS does not know how far it is from the optimum: its own metric may be wrong by the condition
number. So where that metric says that the goal is near, or it has cost more than Newton would,
truncated Newton (:mod:`fastlogreg.solvers.newton_cg`) goes on: mostly one solve that confirms it.
"""

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Callback, Iteration, Result, Universal
from fastlogreg.solvers.curvature import Centred, Secants
from fastlogreg.solvers.handover import budget, go_on
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.search import Point, all_finite, polyak, search

__all__ = ["lbfgs"]

_MEMORY = 12
_NEAR = 0.1  # share of tol at which the last word is asked for

_Vector = NDArray[np.float64]


def lbfgs(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    stop_value: float = 0.0,
    callback: Callback | None = None,
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
    callback : callable, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta.

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
    history: list[Iteration] = []
    theta = theta.copy()

    def eval_gradient(at: _Vector) -> Point:
        return Point(*objective.value_gradient(at), None)

    current = Point(*objective.value_gradient_product(theta))
    n_iter, length = 0, 1.0

    def note(decrement: float) -> None:
        norm = float(np.abs(current.gradient).max())
        passes = objective.n_passes
        history.append(Iteration(n_iter, passes, current.value, norm, decrement, length))
        if callback is not None:
            callback(history[-1], theta)

    def last_word() -> Result:
        """Go on from here by truncated Newton."""
        norm = float(np.abs(current.gradient).max())
        first = Result(
            theta, current.value, norm, np.nan, n_iter, objective.n_passes, False, "", history
        )
        return go_on(
            newton_cg,
            objective,
            first,
            max_iter=max_iter,
            callback=callback,
            tol=tol,
            stop_value=stop_value,
        )

    if not all_finite(current):
        return last_word()
    model = Secants(Centred(current.curvature.moments()), _MEMORY)
    max_passes = objective.n_passes + budget(objective.hessian_passes, theta.size)
    while True:
        step, decrement = model.step(current.gradient, 0.0)
        if (
            not np.isfinite(decrement)
            or decrement <= _NEAR * tol * current.value
            or current.value <= stop_value
            or n_iter >= max_iter
            or objective.n_passes >= max_passes
        ):
            return last_word()
        note(decrement)
        accepted = search(
            theta, current, step, first=eval_gradient, value=objective.value, evaluate=eval_gradient
        )
        if accepted is None:
            step = polyak(current.value, current.gradient)
            accepted = search(
                theta,
                current,
                step,
                first=eval_gradient,
                value=objective.value,
                evaluate=eval_gradient,
            )
        if accepted is None:
            return last_word()
        before, (moved, current, length) = current, accepted
        model.add(moved - theta, before.gradient, current.gradient)
        theta = moved
        n_iter += 1
