"""Estimates and tests by Firth's penalized likelihood, of :mod:`fastlogreg.problem.firth`.

Tests and intervals are those of the penalized likelihood, of which a parameter is held while the
information stays that of all columns: what R's ``logistf`` does.

References
----------
Heinze and Schemper (2002), A solution to the problem of separation in logistic regression,
Statistics in Medicine 21.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.validation import check_two_classes
from fastlogreg.problem.firth import FirthProblem
from fastlogreg.statistics.coordinates import Orthonormal, is_well_conditioned
from fastlogreg.statistics.likelihood import Derivatives, Likelihood
from fastlogreg.statistics.profile import maximize

__all__ = ["FirthFit", "FirthLikelihood", "fit_firth"]

_ENOUGH = 1e-15  # what a step may still gain at the end

_Array = NDArray[np.float64]


class FirthLikelihood:
    """The penalized likelihood of two classes: sums, where the problem to minimize has means.

    Parameters
    ----------
    likelihood : Likelihood
    """

    def __init__(self, likelihood: Likelihood) -> None:
        X, y, weights, offset, _ = likelihood.rows
        self.likelihood = likelihood
        self.size = likelihood.size
        self._problem = FirthProblem(MemoryRows(X, y, weights, offset), likelihood.spec)

    def value(self, parameters: _Array) -> float:
        """Return the penalized log-likelihood."""
        return self._problem.log_likelihood(self._problem.value(parameters))

    def derivatives(self, parameters: _Array) -> Derivatives:
        """Return it with its score and a matrix near minus its second derivative."""
        value, gradient, hessian = self._problem.value_gradient_hessian(parameters)
        total = self.likelihood.total_weight
        return Derivatives(self._problem.log_likelihood(value), -total * gradient, total * hessian)

    def less(self, middle: _Array) -> "FirthLikelihood":
        """Return that of columns less ``middle``, (d,): it has the same determinant."""
        return FirthLikelihood(self.likelihood.less(middle))


@dataclass(frozen=True, eq=False)
class FirthFit:
    """A penalized fit.

    Attributes
    ----------
    objective : FirthLikelihood
    parameters : ndarray of shape (p,)
    derivatives : Derivatives
        With the information, where the objective has a matrix nearer to its second derivative.
    statistics : ndarray of shape (p,)
        Twice the penalized log-likelihood that is lost where a parameter is 0.
    null : float
        The penalized log-likelihood where all coefficients are 0.
    """

    objective: FirthLikelihood
    parameters: _Array
    derivatives: Derivatives
    statistics: _Array
    null: float


def fit_firth(likelihood: Likelihood, names: list[str], near: _Array | None = None) -> FirthFit:
    """Return the maximum, and the likelihood-ratio statistic of each parameter.

    ``names`` are those of the columns, the intercept's first, for what is said of collinear ones;
    ``near`` is a point to begin at, (p,).
    """
    check_two_classes(likelihood.n_classes, "method='firth'")
    objective = FirthLikelihood(likelihood)
    start = np.zeros(objective.size)
    if not is_well_conditioned(likelihood.derivatives(start).information):
        pair = likelihood.probabilities(start)
        curvatures = likelihood.weighted(pair[:, 0] * pair[:, 1])
        Orthonormal(likelihood, curvatures, names[int(likelihood.intercept) :])
    everything = np.ones(objective.size, dtype=bool)
    start = start if near is None else near
    parameters, top, converged = maximize(objective, start, everything, enough=_ENOUGH)
    if not converged:
        raise ValueError(
            "no convergence of the penalized likelihood: look for columns that are nearly "
            "collinear, or whose offset is far beyond their spread"
        )
    statistics = np.zeros(objective.size)
    for j in range(objective.size):
        free = everything.copy()
        free[j] = False
        held = parameters.copy()
        held[j] = 0.0
        statistics[j] = 2.0 * (top.value - maximize(objective, held, free)[1].value)
    first = np.zeros(objective.size, dtype=bool)
    first[: int(likelihood.intercept)] = True
    null = maximize(objective, np.where(first, parameters, 0.0), first)[1].value
    top = top._replace(information=likelihood.derivatives(parameters).information)
    return FirthFit(objective, parameters, top, statistics.clip(0.0), null)
