"""Firth's penalized likelihood: finite estimates where rows are separated, less bias in few rows.

    l*(theta) = l(theta) + log det I(theta) / 2

Jeffreys' prior of the information I. With the leverages ``h_i`` the score is ``sum_i (s_i (y_i -
p_i) + h_i (1/2 - p_i)) a_i``, as if each row had h_i / 2 of a success and of a failure more.
Newton's steps use I for the second derivative. Tests and intervals are those of the penalized
likelihood, of which a parameter is held while the information stays that of all columns: what R's
``logistf`` does.

References
----------
Firth (1993), Bias reduction of maximum likelihood estimates, Biometrika 80; Heinze and Schemper
(2002), A solution to the problem of separation in logistic regression, Statistics in Medicine 21.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlogreg.statistics.coordinates import Orthonormal, is_well_conditioned
from fastlogreg.statistics.likelihood import Derivatives, Likelihood
from fastlogreg.statistics.profile import maximize

__all__ = ["FirthFit", "FirthLikelihood", "fit_firth"]

_ENOUGH = 1e-15  # what a step may still gain at the end

_Array = NDArray[np.float64]


class FirthLikelihood:
    """The penalized likelihood of two classes.

    Parameters
    ----------
    likelihood : Likelihood

    Examples
    --------
    Three of three: the estimate is log((3 + 1/2) / (0 + 1/2)), and not infinite.

    >>> from fastlogreg.data.memory import Rows
    >>> rows = Rows(np.ones((3, 1)), np.ones(3), None, None, np.arange(2))
    >>> found = maximize(
    ...     FirthLikelihood(Likelihood(rows, False)), np.zeros(1), np.ones(1, dtype=bool)
    ... )
    >>> found[0].round(4), round(float(np.log(7.0)), 4)
    (array([1.9459]), 1.9459)
    """

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood
        self.size = likelihood.size

    def value(self, parameters: _Array) -> float:
        """Return the penalized log-likelihood."""
        return self._value(self.likelihood.derivatives(parameters))

    def _value(self, plain: Derivatives) -> float:
        sign, logarithm = np.linalg.slogdet(plain.information)
        return plain.value + 0.5 * float(logarithm) if sign > 0 else -np.inf

    def derivatives(self, parameters: _Array) -> Derivatives:
        """Return it with its score and the information."""
        plain = self.likelihood.derivatives(parameters)
        value = self._value(plain)
        if not np.isfinite(value):
            return Derivatives(-np.inf, plain.score, plain.information)
        pair = self.likelihood.probabilities(parameters)
        h = self.leverages(plain.information, pair)
        more = self.likelihood.column_sums(h * 0.5 * (pair[:, 0] - pair[:, 1]))
        return Derivatives(value, plain.score + more, plain.information)

    def leverages(self, information: _Array, pair: _Array) -> _Array:
        """Return the leverages, (n,)."""
        scale = 1.0 / np.sqrt(information.diagonal())
        values, vectors = np.linalg.eigh(information * scale * scale[:, None])
        held = values > 1e-15 * values.size
        half = scale[:, None] * vectors[:, held] / np.sqrt(values[held])
        out: _Array = self.likelihood.weighted(pair[:, 0] * pair[:, 1])
        return out * self.likelihood.squared_lengths(half)


@dataclass(frozen=True, eq=False)
class FirthFit:
    """A penalized fit.

    Attributes
    ----------
    objective : FirthLikelihood
    parameters : ndarray of shape (p,)
    derivatives : Derivatives
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


def fit_firth(likelihood: Likelihood, names: list[str]) -> FirthFit:
    """Return the maximum, and the likelihood-ratio statistic of each parameter.

    ``names`` are those of the columns, the intercept's first, for what is said of collinear ones.
    """
    if likelihood.n_equations > 1:
        raise ValueError(
            f"method='firth' is for two classes, got {likelihood.n_classes}: leave some out, or "
            "use method='ml'"
        )
    objective = FirthLikelihood(likelihood)
    start = np.zeros(objective.size)
    if not is_well_conditioned(likelihood.derivatives(start).information):
        pair = likelihood.probabilities(start)
        curvatures = likelihood.weighted(pair[:, 0] * pair[:, 1])
        Orthonormal(likelihood, curvatures, names[int(likelihood.intercept) :])
    everything = np.ones(objective.size, dtype=bool)
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
    return FirthFit(objective, parameters, top, statistics.clip(0.0), null)
