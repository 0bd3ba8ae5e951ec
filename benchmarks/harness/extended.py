"""The optimum in 80 digits: a judge of fits that double precision can't judge.

Newton's method in mpmath on the objective's definition, from NumPy's arrays alone. Equal rows are
counted once, with their weights added up, so that a million rows of few kinds are few.
"""

from typing import Any

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.problem import Problem

DIGITS = 80
_STEPS = 2000
_END = mp.mpf(10) ** -20  # decrement over value
_RIDGE = mp.mpf(10) ** -40  # of a scaled Hessian: collinear columns without penalty
_LARGEST_MARGIN = 1000  # margins beyond this are at their limits, to far more than 80 digits

Numbers = list[Any]


class Extended:
    """The penalized mean loss of a problem, in 80 digits.

    Parameters
    ----------
    problem : Problem
        Dense; labels 0 and 1.
    """

    def __init__(self, problem: Problem) -> None:
        X, y, weights, C = problem
        rows = np.column_stack([np.asarray(X, dtype=np.float64), y])
        order = np.lexsort(rows.T)
        rows = rows[order]
        starts = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
        ends = np.append(starts[1:], len(rows))
        kinds = rows[starts]
        counts = [mp.mpf(int(k)) for k in ends - starts]
        if weights is not None:
            exact = [mp.mpf(float(s)) for s in weights[order]]
            counts = [mp.fsum(exact[i:j]) for i, j in zip(starts, ends, strict=True)]
        with mp.workdps(DIGITS):
            self.rows = [[mp.mpf(1), *map(_exact, row[:-1])] for row in kinds]
            self.second = [bool(row[-1]) for row in kinds]
            self.counts = counts
            self.total = mp.fsum(counts)
            self.l2 = mp.mpf(0) if np.isinf(C) else 1 / (mp.mpf(float(C)) * self.total)

    def value(self, theta: Numbers) -> Any:
        """Return the objective."""
        return mp.fsum(
            count * self._jet(row, second, theta)[0]
            for row, second, count in zip(self.rows, self.second, self.counts, strict=True)
        ) / self.total + self.l2 / 2 * mp.fsum(w * w for w in theta[1:])

    def _jet(self, row: Numbers, second: bool, theta: Numbers) -> tuple[Any, Any, Any]:
        z = mp.fdot(row, theta)
        t = mp.exp(-abs(z)) if abs(z) < _LARGEST_MARGIN else mp.mpf(0)
        right = (z >= 0) == second  # of the boundary
        value = mp.log1p(t) if right else abs(z) + mp.log1p(t)
        wrong = t / (1 + t) if right else 1 / (1 + t)  # probability of the other label
        return value, -wrong if second else wrong, t / (1 + t) ** 2

    def step(self, theta: Numbers) -> tuple[Numbers, Any]:
        """Return the Newton step and half its decrement."""
        p = len(theta)
        gradient = [mp.mpf(0)] * p
        hessian = mp.zeros(p)
        for row, second, count in zip(self.rows, self.second, self.counts, strict=True):
            _, residual, curvature = self._jet(row, second, theta)
            r, h = count * residual / self.total, count * curvature / self.total
            for j, x in enumerate(row):
                if x:
                    gradient[j] += r * x
                    hx = h * x
                    for k in range(j + 1):
                        hessian[j, k] += hx * row[k]
        for j in range(1, p):
            gradient[j] += self.l2 * theta[j]
            hessian[j, j] += self.l2
        scale = [1 / mp.sqrt(hessian[j, j]) if hessian[j, j] else mp.mpf(0) for j in range(p)]
        for j in range(p):
            for k in range(j + 1):
                hessian[j, k] *= scale[j] * scale[k]
                hessian[k, j] = hessian[j, k]
            hessian[j, j] = 1 + _RIDGE
        scaled = mp.matrix([s * g for s, g in zip(scale, gradient, strict=True)])
        solution = mp.cholesky_solve(hessian, scaled)
        step = [-s * f for s, f in zip(scale, solution, strict=True)]
        return step, -mp.fdot(step, gradient) / 2


def _exact(x: float) -> Any:
    return mp.mpf(float(x))


def optimum(extended: Extended, start: NDArray[np.float64]) -> Any:
    """Return the lowest value of the objective, by damped Newton from ``start``."""
    with mp.workdps(DIGITS):
        theta = [_exact(t) for t in start]
        value = extended.value(theta)
        for _ in range(_STEPS):
            step, decrement = extended.step(theta)
            length = mp.mpf(1)
            while True:
                trial = [t + length * s for t, s in zip(theta, step, strict=True)]
                lower = extended.value(trial)
                if lower <= value - length * decrement / 10_000:
                    break
                length /= 2
                if length < _END:
                    return value
            theta, value = trial, lower
            if length == 1 and decrement <= _END * value:
                return value
        raise RuntimeError("Newton in extended precision did not come to an end")


def above(extended: Extended, theta: NDArray[np.float64], best: Any) -> float:
    """Return the relative distance of an objective above the optimum."""
    with mp.workdps(DIGITS):
        return float((extended.value([_exact(t) for t in theta]) - best) / best)
