"""Fisher's scoring: Newton's steps on a matrix that stands for the Hessian and isn't it.

For objectives whose value costs what a matrix costs (Firth's likelihood), so that there is nothing
to keep: one evaluation a step. Steps leave a fixed share of the way, mostly below a tenth, and what
they leave says how far the optimum still is.
"""

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Iteration, Result, TwiceDifferentiable
from fastlogreg.solvers.convergence import Convergence, Limits, Rule
from fastlogreg.solvers.curvature import Curvature
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.search import Point, search
from fastlogreg.solvers.trace import Trace

__all__ = ["scoring"]

_RULE = Rule(0.01)
_LEAST = 0.05  # of the distance that is left is sure to go by a step, whatever the last ones say

_Vector = NDArray[np.float64]


def scoring(
    objective: TwiceDifferentiable,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
) -> Result:
    """Minimize by steps on the matrix that the objective gives for its Hessian.

    Parameters
    ----------
    objective : FirthProblem or the like
        Bounded below by zero.
    theta, tol, max_iter, stop_value, trace
        As for :func:`fastlogreg.solvers.newton.newton`.

    Returns
    -------
    Result

    References
    ----------
    Kosmidis and Firth (2009), Bias reduction in exponential family nonlinear models, Biometrika 96
    (quasi Fisher scoring).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> from fastlogreg.problem.firth import FirthProblem
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> result = scoring(FirthProblem(MemoryRows(X, np.array([0.0, 0.0, 1.0, 1.0]))), np.zeros(2))
    >>> result.converged, result.theta.round(4)
    (True, array([-1.9649,  1.3099]))
    """
    trace = Trace() if trace is None else trace
    convergence = Convergence(objective, Limits(tol, max_iter, stop_value), _RULE)
    return minimize(objective, theta, _Scoring(objective, convergence), convergence, trace)


class _Scoring:
    """The direction of scoring."""

    def __init__(self, objective: TwiceDifferentiable, convergence: Convergence) -> None:
        self._objective = objective
        self._convergence = convergence
        self._last = np.inf  # half the slope along the last step, where that was taken whole

    def start(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_hessian(theta))

    def propose(self, at: Iterate) -> Proposal:
        value, gradient, matrix = at.point
        step = -Curvature(matrix, value).solve(gradient, self._convergence.goal(value))
        slope = -0.5 * float(gradient @ step)
        # each step leaves the same share r of the way, and r² of the slope: 1 / (1 - r) in all
        share = np.sqrt(slope / self._last) if slope < self._last < np.inf else 0.0
        self._last = slope
        return Proposal(step, slope / max(1.0 - share, _LEAST), known=True)

    def proves(self, at: Iterate) -> bool:
        return True

    def confirm(self, at: Iterate, proposal: Proposal) -> None:
        return None

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        return search(
            at.theta,
            at.point,
            proposal.step,
            first=self.start,
            value=self._objective.value,
            evaluate=self.start,
        )

    def renew(self, at: Iterate) -> None:
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        if at.length < 1.0:
            self._last = np.inf
