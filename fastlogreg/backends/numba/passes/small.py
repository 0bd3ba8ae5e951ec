"""Proximal Newton of a small table in one call: what is done between passes is compiled too.

Of a few hundred rows a pass takes less time than Python takes between two of them. This goes near
the optimum; a solver then begins there, and says whether it is one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.coordinates import sweep
from fastlogreg.backends.numba.intrinsics import call_at, freeze
from fastlogreg.backends.numba.jit import borrowing, kernel
from fastlogreg.backends.numba.passes.kernels import Model

_SWEEPS = 10  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_RIDGE = 1e-13  # of a diagonal: columns may be the same
_HALVINGS = 4  # of a step
_ENOUGH = 1e-4  # of what a step may gain, relative: by how much slopes of its model may still move
_FLOOR = 0.01  # the same, of the goal
_LAST = 0.01  # of the goal: a gain after which no step is needed
_UNSEEN = 1e-13  # of the value: a gain that its rounding hides


class Elastic(NamedTuple):
    """The penalty, (d,) each, and 1 over the rows' total weight."""

    l1: NDArray[np.float64]
    l2: NDArray[np.float64]
    per_weight: float


def lower(evaluate, code, X, rows, model, cut, out, penalty, theta, goal, log):
    """Lower theta, (p,), in place; return the steps and passes made, and if ``out`` is of its end.

    Parameters
    ----------
    evaluate : Kernel
    code, X, rows, model, cut, out
        What it takes: one chunk with its Hessian. The model's theta is not looked at.
    penalty : Elastic
    theta : ndarray of shape (p,)
    goal : float
        Where a step gains less than that share of the value, another is hardly needed.
    log : ndarray of shape (most, 5)
        Filled with the passes so far, the value, the distance of 0 from the subdifferential, what
        a step may gain, and the length of the step that led there, before each step.
    """
    address = evaluate.address(code, X, rows, model, cut, 0, 0, out)
    counts = np.zeros(3, dtype=np.int64)
    _lower[code](address, X, rows, model, cut, out, penalty, theta, goal, log, counts)
    return int(counts[0]), int(counts[1]), bool(counts[2])


@borrowing
def _value(out, penalty, intercept, theta):
    """Return the objective from the sums of a pass."""
    value = out.sums[0, 0] * penalty.per_weight
    for j in range(penalty.l1.size):
        w = theta[intercept + j]
        value += penalty.l1[j] * abs(w) + 0.5 * penalty.l2[j] * w * w
    return value


@borrowing
def _quadratic(out, penalty, intercept, theta, slope, H, cross):
    """Fill slope (d,) and H (d, d), the intercept eliminated; return its slope and curvature.

    ``cross`` (d,) becomes its row of the Hessian, divided by its curvature.
    """
    sums, upper, by = out.sums[0], out.hessians[0], penalty.per_weight
    d = slope.size
    first = 1 + intercept
    for j in range(d):
        slope[j] = sums[first + j] * by + penalty.l2[j] * theta[intercept + j]
        for k in range(j, d):
            h = upper[intercept + j, intercept + k] * by
            H[j, k] = h
            H[k, j] = h
    pull, total = 0.0, 0.0
    if intercept:
        pull, total = sums[1] * by, upper[0, 0] * by
        if total > 0.0:
            for j in range(d):
                cross[j] = upper[0, 1 + j] / upper[0, 0]
            for j in range(d):
                slope[j] -= cross[j] * pull
                for k in range(d):
                    H[j, k] -= total * cross[j] * cross[k]
    for j in range(d):
        H[j, j] += penalty.l2[j]
    return pull, total


@borrowing
def _solve_on_support(H, l1, slope, u, support, factor, step):
    """Go to the minimum with the signs of u, if it has them too; slope follows."""
    k = 0
    for j in range(u.size):
        if u[j] != 0.0:
            support[k] = j
            k += 1
    for a in range(k):
        j = support[a]
        step[a] = -slope[j] - (l1[j] if u[j] > 0.0 else -l1[j])
        for b in range(a + 1):
            left = H[j, support[b]]
            for c in range(b):
                left -= factor[a, c] * factor[b, c]
            if b < a:
                factor[a, b] = left / factor[b, b]
            elif left > _RIDGE * H[j, j]:
                factor[a, a] = np.sqrt(left)
            else:
                return
    for a in range(k):
        for b in range(a):
            step[a] -= factor[a, b] * step[b]
        step[a] /= factor[a, a]
    for a in range(k - 1, -1, -1):
        for b in range(a + 1, k):
            step[a] -= factor[b, a] * step[b]
        step[a] /= factor[a, a]
        if not (u[support[a]] + step[a]) * u[support[a]] > 0.0:
            return
    for a in range(k):
        j = support[a]
        u[j] += step[a]
        for i in range(u.size):
            slope[i] += step[a] * H[j, i]


@kernel
def _lower(address, X, rows, model, cut, out, penalty, theta, goal, log, counts):
    """Do what :func:`lower` says; counts (3,) are steps, passes, and 1 if ``out`` is of theta."""
    p, intercept, kind, scale = theta.size, model.intercept, model.kind, model.scale
    d = p - intercept
    w = theta[intercept:]
    H, slope, cross = np.empty((d, d)), np.empty(d), np.zeros(d)
    u, trial = np.empty(d), np.empty(p)
    support, factor, part = np.empty(d, dtype=np.int64), np.empty((d, d)), np.empty(d)
    endless = np.full(d, np.inf)
    quadratic = (H, penalty.l1, -endless, endless, penalty.l1)
    model = Model(freeze(theta), intercept, kind, scale)
    if call_at(address, (X, rows, model, cut, 0, 1, out)):
        return
    counts[1], counts[2] = 1, 1
    value = _value(out, penalty, intercept, theta)
    ratio, length = 1.0, 1.0
    for step in range(log.shape[0]):
        if not (0.0 < value < np.inf):
            return
        pull, total = _quadratic(out, penalty, intercept, theta, slope, H, cross)
        if intercept and not total > 0.0:
            return
        farthest = abs(pull)
        gain = 0.0
        for j in range(d):
            full = slope[j] + cross[j] * pull
            strength = penalty.l1[j]
            beyond = abs(full) - strength
            if w[j] != 0.0:
                beyond = abs(full + (strength if w[j] > 0.0 else -strength))
            farthest = max(farthest, beyond)
            u[j] = w[j]
            gain += slope[j] * w[j] + strength * abs(w[j])
        before = slope.copy()
        enough = max(_ENOUGH * ratio, _FLOOR * goal)
        for _ in range(_ROUNDS):
            if sweep(quadratic, slope, u, enough, _SWEEPS) <= enough:
                break
            _solve_on_support(H, penalty.l1, slope, u, support, factor, part)
        ahead = 0.0
        for j in range(d):
            gain -= before[j] * u[j] + penalty.l1[j] * abs(u[j])
            ahead += cross[j] * (u[j] - w[j])
        if intercept:
            move = -pull / total
            gain -= pull * move
            ahead -= move
        log[step, 0], log[step, 1], log[step, 2] = counts[1], value, farthest
        log[step, 3], log[step, 4] = 0.5 * gain, length
        if not gain > _UNSEEN * value:
            return
        length = 1.0
        counts[2] = 0
        found = np.inf
        for _ in range(_HALVINGS):
            for j in range(d):
                trial[intercept + j] = w[j] + length * (u[j] - w[j])
            if intercept:
                trial[0] = theta[0] - length * ahead
            model = Model(freeze(trial), intercept, kind, scale)
            if call_at(address, (X, rows, model, cut, 0, 1, out)):
                return
            counts[1] += 1
            found = _value(out, penalty, intercept, trial)
            if found <= value - 1e-4 * length * gain:
                break
            length *= 0.5
        else:
            return
        theta[:] = trial
        counts[0] += 1
        counts[2] = 1
        ratio = min(1.0, gain / value)
        value = found
        if length == 1.0 and gain <= _LAST * goal * value:
            return

