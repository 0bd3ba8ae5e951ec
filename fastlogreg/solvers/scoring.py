"""Fisher's scoring: Newton's steps on a matrix that stands for the Hessian and isn't it.

For objectives whose value costs about what a matrix costs (Firth's likelihood), so that there is
nothing to keep: one evaluation a step. What steps did to the gradient corrects the matrix
(:class:`fastlogreg.solvers.curvature.Secants`), and with it the distance that it says.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.firth import FirthProblem
from fastlogreg.solvers import Iteration, Result, TwiceDifferentiable
from fastlogreg.solvers.convergence import Convergence, Limits, Rule
from fastlogreg.solvers.curvature import Secants
from fastlogreg.solvers.direction import Iterate, Proposal, Sure
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.search import Point, search
from fastlogreg.solvers.trace import Trace

__all__ = ["scoring"]

_RULE = Rule(0.01)

_Vector = NDArray[np.float64]


def scoring(
    objective: FirthProblem,
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
    objective : FirthProblem
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
    seen = cast(TwiceDifferentiable, objective)
    convergence = Convergence(seen, Limits(tol, max_iter, stop_value), _RULE)
    return minimize(seen, theta, _Scoring(objective, convergence), convergence, trace)


class _Scoring(Sure):
    """The direction of scoring, corrected by the steps before."""

    def __init__(self, objective: FirthProblem, convergence: Convergence) -> None:
        self._objective = objective
        self._convergence = convergence
        self._model: Secants | None = None

    def start(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_spanned(theta))

    def propose(self, at: Iterate) -> Proposal:
        value, gradient, matrix = at.point
        self._model = Secants(matrix) if self._model is None else self._model.rebased(matrix)
        step, decrement = self._model.step(gradient, self._convergence.goal(value))
        if not np.isfinite(decrement) or float(gradient @ step) > 0.0:
            self._model = Secants(matrix)
            step, decrement = self._model.step(gradient, self._convergence.goal(value))
        return Proposal(step, decrement, known=True)

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

    def renew(self, at: Iterate) -> Point | None:
        if self._model is None or not self._model.has_pairs:
            return None
        self._model = None
        return at.point

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        assert self._model is not None
        self._model.add(at.theta - before.theta, before.point.gradient, at.point.gradient)
