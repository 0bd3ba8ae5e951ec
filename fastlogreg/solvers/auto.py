"""Choose a solver by what its passes cost.

A pass that gives the Hessian costs ``objective.hessian_passes`` gradient passes (a cost model of
the backend: bytes of X, flops of the Hessian, measured rates). Newton needs one or two of them on
all rows beside its gradient passes, so where they are cheap it is taken. Else truncated Newton
starts, which on well-conditioned data needs fewer passes than one Hessian costs; where it has spent
what Newton would have, and a Hessian fits in memory, it hands over to Newton itself.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Iteration, Result, Universal
from fastlogreg.solvers.handover import is_cheap
from fastlogreg.solvers.near import in_near_columns
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.trace import Trace

__all__ = ["auto"]


@in_near_columns
def auto(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
    stages: bool = True,
    ends_with_hessian: bool = False,
) -> Result:
    """Minimize by the solver that should need least; see :func:`fastlogreg.solvers.newton.newton`.

    Parameters
    ----------
    objective : Problem
    theta, tol, max_iter, stop_value, trace, stages, ends_with_hessian
        As for :func:`fastlogreg.solvers.newton.newton`.

    Returns
    -------
    Result
        Its history is that of all solvers used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> from fastlogreg.problem.problem import Problem
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> auto(Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))), np.zeros(2)).converged
    True
    """
    solve: Callable[..., Result] = newton_cg
    if is_cheap(objective):
        solve = partial(newton, stages=stages, ends_with_hessian=ends_with_hessian)
    return solve(objective, theta, tol=tol, max_iter=max_iter, stop_value=stop_value, trace=trace)
