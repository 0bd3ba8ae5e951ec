"""Maxima with some parameters held, and the intervals that profiles of the likelihood give.

A limit is where twice the likelihood lost, all other parameters at their best, is the quantile of
chi-squared. The signed root of that loss is nearly a line in the parameter, so Newton finds where
it crosses; each point is a fit that starts from the last one's tangent, and costs a pass or two.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.statistics.likelihood import Derivatives

__all__ = ["Mapped", "Objective", "maximize", "profile_limit"]

_STEPS = 200
_HALVINGS = 40
_ENOUGH = 1e-11  # of the log-likelihood, by Newton's model
_ROUNDING = 4e-16  # of the log-likelihood's size
_POINTS = 60  # of a profile
_CROSSED = 1e-8  # of the root of the loss
_FAR = 1e4  # Wald's half widths: a limit further away is taken for infinite

_Array = NDArray[np.float64]


class Objective(Protocol):
    """What is maximized."""

    size: int

    def value(self, parameters: _Array) -> float:
        """Return the (penalized) log-likelihood."""

    def derivatives(self, parameters: _Array) -> Derivatives:
        """Return it with its score and a positive matrix near minus its second derivative."""

    def less(self, middle: _Array) -> "Objective":
        """Return that of columns less ``middle``, (d,): of intercepts plus ``middle @ w``."""


class Mapped:
    """An objective in other parameters: those of the given one are ``matrix @ parameters``.

    Parameters
    ----------
    objective : Objective
    matrix : ndarray of shape (q, q)
    """

    def __init__(self, objective: Objective, matrix: _Array) -> None:
        self.objective, self.matrix = objective, matrix
        self.size = objective.size

    def value(self, parameters: _Array) -> float:
        """Return the (penalized) log-likelihood."""
        return self.objective.value(self.matrix @ parameters)

    def derivatives(self, parameters: _Array) -> Derivatives:
        """Return it with its score and a positive matrix near minus its second derivative."""
        value, score, information = self.objective.derivatives(self.matrix @ parameters)
        T = self.matrix
        return Derivatives(value, T.T @ score, T.T @ information @ T)

    def less(self, middle: _Array) -> Objective:
        """Refuse: the parameters are not those of columns."""
        raise NotImplementedError


def maximize(
    objective: Objective,
    start: _Array,
    free: NDArray[np.bool_],
    *,
    enough: float = _ENOUGH,
) -> tuple[_Array, Derivatives, bool]:
    """Return the maximum over the free parameters, what is known there, and whether it is one.

    Parameters
    ----------
    start : ndarray of shape (q,)
    free : ndarray of shape (q,), bool
        The others stay where they start.
    enough : float
        What Newton's step may still gain.
    """
    at = start.copy()
    here = objective.derivatives(at)
    for _ in range(_STEPS):
        if not free.any():
            return at, here, True
        step = newton_step(here, free)
        gain = 0.5 * float(step[free] @ here.score[free])
        limit = max(enough, _ROUNDING * abs(here.value))
        if gain <= limit:
            return at, here, True
        for _ in range(_HALVINGS):
            there = objective.derivatives(at + step)
            # a last step may lose to rounding what it gains
            if np.isfinite(there.value) and there.value >= here.value - limit:
                break
            step = 0.5 * step
        else:
            return at, here, False
        at, here = at + step, there
    return at, here, False


def newton_step(here: Derivatives, free: NDArray[np.bool_]) -> _Array:
    """Return Newton's step, (q,), 0 in parameters that are held."""
    step = np.zeros(here.score.size)
    step[free] = _solve(here.information[np.ix_(free, free)], here.score[free])
    return step


def _solve(matrix: _Array, right: _Array) -> _Array:
    diagonal = matrix.diagonal()
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    found = np.linalg.lstsq(matrix * scale * scale[:, None], scale * right, rcond=1e-14)[0]
    out: _Array = scale * found
    return out


def profile_limit(
    objective: Objective,
    best: _Array,
    top: Derivatives,
    index: int,
    step: float,
    root: float,
) -> float:
    """Return where the profile of a parameter has lost half the square of ``root``.

    Parameters
    ----------
    best : ndarray of shape (q,)
        The maximum; ``top`` is what is known there.
    index : int
        Of the parameter.
    step : float
        Where to look first, from the maximum: its sign says on which side.

    Returns
    -------
    float
        Infinity on that side where the profile never loses as much; NaN where it can't be followed.
    """
    free = np.ones(best.size, dtype=bool)
    free[index] = False
    at, here = best, top
    inside, outside = best[index], np.sign(step) * np.inf
    v = best[index] + step
    for _ in range(_POINTS):
        move = np.zeros(best.size)
        move[index] = v - at[index]
        if free.any():
            tangent = here.information[free, index] * move[index]
            move[free] = -_solve(here.information[np.ix_(free, free)], tangent)
        start = at + move
        start[index] = v
        at, here, converged = maximize(objective, start, free)
        if not converged:
            return float("nan")
        lost = float(np.sqrt(2.0 * max(top.value - here.value, 0.0)))
        if abs(lost - root) <= _CROSSED * root:
            return float(v)
        if lost > root:
            outside = v
        else:
            inside = v
        slope = -here.score[index] / lost if lost > 0.0 else 0.0
        v = v - (lost - root) / slope if slope * step > 0.0 else np.nan
        low, high = sorted((inside, outside))
        if not low < v < high:
            far = abs(outside) == np.inf
            v = best[index] + 2.0 * (inside - best[index]) if far else 0.5 * (inside + outside)
            if far and inside == best[index]:
                v = best[index] + 2.0 * step
        if abs(v - best[index]) > _FAR * abs(step):
            return float(np.sign(step) * np.inf)
    return float(v)
