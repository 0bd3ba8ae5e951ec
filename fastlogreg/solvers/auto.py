"""Choose a solver by what its passes cost, and change it when the choice proves wrong.

A pass that gives the Hessian costs ``objective.hessian_passes`` gradient passes (a cost model of
the backend: bytes of X, flops of the Hessian, measured rates). Newton needs one or two of them on
all rows beside its gradient passes, so where they are cheap it is taken. Else truncated Newton
starts, which on well-conditioned data needs fewer passes than one Hessian costs; where it has spent
what Newton would have, and a Hessian fits in memory, Newton goes on from there.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Callback, Iteration, Result, Universal
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg

__all__ = ["auto"]

CHEAP = 12.0  # Hessian passes, in gradient passes, up to which Newton is taken at once
_LARGEST = 6000  # p of the largest Hessian: 288 MB, and as much again to factor it
_PATIENCE = 2.0  # times what Newton would cost


def auto(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    floor: float = 0.0,
    callback: Callback | None = None,
    stages: bool = True,
) -> Result:
    """Minimize by the solver that should need least; see :func:`fastlogreg.solvers.newton.newton`.

    Parameters
    ----------
    objective : Objective
    theta, tol, max_iter, floor, callback, stages
        As for :func:`fastlogreg.solvers.newton.newton`.

    Returns
    -------
    Result
        Its history is that of all solvers used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.objective import Objective
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> auto(Objective(X, np.array([0.0, 1.0, 0.0, 1.0])), np.zeros(2)).converged
    True
    """
    fits = theta.size <= _LARGEST
    if fits and objective.hessian_passes <= CHEAP:
        return newton(
            objective,
            theta,
            tol=tol,
            max_iter=max_iter,
            floor=floor,
            callback=callback,
            stages=stages,
        )
    budget = _PATIENCE * (objective.hessian_passes + 10.0) if fits else np.inf
    first = newton_cg(
        objective,
        theta,
        tol=tol,
        max_iter=max_iter,
        floor=floor,
        callback=callback,
        max_passes=budget,
    )
    if first.converged or objective.n_passes < budget or not first.finite:
        return first
    history = list(first.history)

    def shifted(now: Iteration, at: NDArray[np.float64]) -> None:
        history.append(now._replace(n_iter=first.n_iter + now.n_iter))
        if callback is not None:
            callback(history[-1], at)

    rest = newton(
        objective,
        first.theta,
        tol=tol,
        max_iter=max_iter - first.n_iter,
        floor=floor,
        callback=shifted,
        stages=False,
    )
    return replace(rest, n_iter=first.n_iter + rest.n_iter, history=history)
