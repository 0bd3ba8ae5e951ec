"""Newton's method on a small table in one call: what is done between passes is compiled too.

Of a few hundred rows a pass takes less time than Python takes between two of them. This goes near
the optimum; a solver then begins there, and says whether it is one.

One column of margins and several are the same here but for what a pass is given. So passes are
called by their address, and the kernel sees what they fill.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.coordinates import sweep
from fastlogreg.backends.numba.intrinsics import call_at
from fastlogreg.backends.numba.jit import borrowing, kernel

_SWEEPS = 10  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_RIDGE = 1e-13  # of a diagonal: columns may be the same
_HALVINGS = 4  # of a step
_ARMIJO = 1e-4  # of what it should gain
_ENOUGH = 1e-4  # of what a step may gain, relative: by how much slopes of its model may still move
_FLOOR = 0.01  # the same, of the goal
_LAST = 0.01  # of the goal: a gain after which no step is needed
_UNSEEN = 1e-13  # of the value: a gain that its rounding hides

_Array = NDArray[np.float64]


class Penalty(NamedTuple):
    """The strengths of L1 and L2, (m p,) each."""

    l1: _Array
    l2: _Array


class Filled(NamedTuple):
    """What a pass reads and fills, in its own memory; both may be padded.

    ``theta`` is (p, m), ``loss`` (1,), ``gradient`` (p, m), and ``hessians`` (pairs, p, p) have the
    upper triangles of the blocks of the pairs k <= l of margins, row by row.
    """

    theta: _Array
    loss: _Array
    gradient: _Array
    hessians: _Array


class _Room(NamedTuple):
    """Where a quadratic model of q entries is made and lowered."""

    H: _Array
    factor: _Array
    vectors: _Array
    bounds: _Array
    support: NDArray[np.int64]


def lower(
    evaluate: Any,
    code: str,
    given: tuple[Any, ...],
    filled: Filled,
    m: int,
    penalty: Penalty,
    theta: _Array,
    limits: tuple[float, int, float],
    *,
    intercept: int,
    total: float,
) -> tuple[_Array, _Array, int, bool]:
    """Return a theta nearer to the optimum, (m p,), the steps, the passes, if ``filled`` is of it.

    The steps, (1 + steps, 5), are told as :class:`fastlogreg.backends.SmallPass` says.

    Parameters
    ----------
    evaluate : Kernel
        Of the passes.
    code : str
        Of the storage, as kernels have it.
    given : tuple
        X, rows, model, cut and sums, as ``evaluate`` takes them: one chunk with its Hessian.
    filled : Filled
        Parts of ``given``.
    m : int
        Columns of margins.
    penalty : Penalty
        L1 is for one column of margins alone.
    theta : ndarray of shape (m p,)
        The start; it is not changed.
    limits : tuple of float, int and float
        The goal: where a step gains less than that share of the value, another is hardly needed.
        The most steps. The value at which it ends, or at less.
    intercept : int
        1 where there are intercepts, else 0.
    total : float
        The weight of all rows.
    """
    X, rows, model, cut, out = given
    address = evaluate.address(code, *given[:-1], 0, 0, out)
    q = theta.size - (intercept if m == 1 else 0)
    square = np.empty((2, q, q))
    bounds = np.full((2, q), np.inf)
    bounds[0] = -np.inf
    vectors = np.zeros((6, theta.size))
    room = _Room(square[0], square[1], vectors, bounds, np.empty(q, dtype=np.int64))
    goal, most, stop_value = limits
    lowered, log = theta.copy(), np.empty((1 + most, 5))
    counts = np.zeros(3, dtype=np.int64)
    run = _lower[code if m == 1 else f"{code}:classes"]
    scales = intercept, 1.0 / total, goal, stop_value
    run(address, X, rows, model, cut, out, filled, m, penalty, room, lowered, *scales, log, counts)
    steps, passes, known = counts.tolist()
    return lowered, log[: 1 + steps], passes, bool(known)


@borrowing
def _solve_on_support(H, factor, l1, slope, u, step, support):
    """Go to the minimum with the signs of u, if it has them too; return whether it has.

    ``slope`` follows. What has no L1 may change its sign.
    """
    q = H.shape[0]
    k = 0
    for j in range(q):
        if u[j] != 0.0 or l1[j] == 0.0:
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
                return False
    for a in range(k):
        for b in range(a):
            step[a] -= factor[a, b] * step[b]
        step[a] /= factor[a, a]
    for a in range(k - 1, -1, -1):
        for b in range(a + 1, k):
            step[a] -= factor[b, a] * step[b]
        step[a] /= factor[a, a]
        j = support[a]
        if l1[j] > 0.0 and not (u[j] + step[a]) * u[j] > 0.0:
            return False
    for a in range(k):
        j = support[a]
        u[j] += step[a]
        for i in range(q):
            slope[i] += step[a] * H[j, i]
    return True


@borrowing
def _quadratic(filled, m, l2, per_weight, theta, gone, H, slope, cross):
    """Fill H, (q, q), and the slope, (q,); the first ``gone`` entries of theta are eliminated.

    Returns the slope and the curvature of what is gone; ``cross`` is its row of the Hessian,
    divided by its curvature. What is added to all classes alike of an entry without a penalty
    changes no probability and has no slope: along it H is made positive.
    """
    p = theta.size // m
    pair = 0
    for k in range(m):
        for j in range(gone, p):
            at = k * p + j
            slope[at - gone] = filled.gradient[j, k] * per_weight + l2[at] * theta[at]
        for n in range(k, m):
            upper = filled.hessians[pair]
            pair += 1
            for i in range(gone, p):
                for j in range(gone, p):
                    h = per_weight * (upper[i, j] if i <= j else upper[j, i])
                    H[k * p + i - gone, n * p + j - gone] = h
                    H[n * p + j - gone, k * p + i - gone] = h
    pull, total = 0.0, 0.0
    q = H.shape[0]
    if gone:
        row = filled.hessians[0, 0]
        pull, total = filled.gradient[0, 0] * per_weight, row[0] * per_weight
        for j in range(q):
            cross[j] = row[1 + j] / row[0] if total > 0.0 else 0.0
            slope[j] -= cross[j] * pull
        for i in range(q):
            for j in range(q):
                H[i, j] -= total * cross[i] * cross[j]
    for j in range(p - gone):
        flat = 0.0
        for k in range(m):
            flat += H[k * p + j, k * p + j] / m
        for k in range(m):
            at = k * p + j
            H[at, at] += l2[at + gone]
            if m > 1 and l2[at + gone] == 0.0:
                for n in range(m):
                    H[at, n * p + j] += flat
    return pull, total


@kernel
def _lower(
    address,
    X,
    rows,
    model,
    cut,
    out,
    filled,
    m,
    penalty,
    room,
    theta,
    intercept,
    per_weight,
    goal,
    stop_value,
    log,
    counts,
):
    """Do what :func:`lower` says, with theta in place; ``counts`` (3,) are steps, passes, known."""
    l1, l2 = penalty.l1, penalty.l2
    H, u, slope, before = room.H, room.vectors[0], room.vectors[1], room.vectors[2]
    cross, end, step, support = room.vectors[3], room.vectors[4], room.vectors[5], room.support
    p = theta.size // m
    gone = intercept if m == 1 else 0
    q = theta.size - gone
    strengths = l1[gone:]
    quadratic = (H, strengths, room.bounds[0], room.bounds[1], strengths)
    smooth = True
    for j in range(q):
        smooth = smooth and strengths[j] == 0.0
    for j in range(theta.size):
        end[j] = theta[j]
    value, gain, length, steps, tries = np.inf, 0.0, 1.0, -1, 0
    while True:
        for k in range(m):
            for j in range(p):
                at = k * p + j
                filled.theta[j, k] = theta[at] + length * (end[at] - theta[at])
        counts[2] = 0
        if call_at(address, (X, rows, model, cut, 0, 1, out)):
            return
        counts[1] += 1
        found = filled.loss[0] * per_weight
        for k in range(m):
            for j in range(p):
                w = filled.theta[j, k]
                found += l1[k * p + j] * abs(w) + 0.5 * l2[k * p + j] * w * w
        if steps >= 0 and not found <= value - _ARMIJO * length * gain:
            length *= 0.5
            tries += 1
            if tries == _HALVINGS:
                return
            continue
        for k in range(m):
            for j in range(p):
                theta[k * p + j] = filled.theta[j, k]
        left = gain * min(1.0, gain / found) if smooth else gain
        ratio = min(1.0, gain / found) if steps >= 0 else 1.0
        value, steps, tries = found, steps + 1, 0
        counts[0], counts[2] = steps, 1
        log[steps, 4] = length
        last = steps > 0 and length == 1.0 and left <= _LAST * goal * value
        if last or steps == log.shape[0] - 1 or not (stop_value < value < np.inf):
            return

        pull, total = _quadratic(filled, m, l2, per_weight, theta, gone, H, slope, cross)
        if gone and not total > 0.0:
            return
        farthest = abs(pull)
        for j in range(q):
            w = theta[gone + j]
            here = slope[j] + cross[j] * pull
            beyond = abs(here) - strengths[j]
            if w != 0.0:
                beyond = abs(here + (strengths[j] if w > 0.0 else -strengths[j]))
            farthest = max(farthest, beyond)
            u[j], before[j] = w, slope[j]
        enough = max(_ENOUGH * ratio, _FLOOR * goal)
        for _ in range(_ROUNDS):
            if not smooth and sweep(quadratic, slope, u, support, enough, _SWEEPS) <= enough:
                break
            solved = _solve_on_support(H, room.factor, strengths, slope, u, step, support)
            if smooth:
                if not solved:
                    return
                break
        gain, ahead = 0.0, 0.0
        for j in range(q):
            w = theta[gone + j]
            gain += before[j] * (w - u[j]) + strengths[j] * (abs(w) - abs(u[j]))
            ahead += cross[j] * (u[j] - w)
            end[gone + j] = u[j]
        if gone:
            end[0] = theta[0] - pull / total - ahead
            gain += pull * pull / total
        log[steps, 0], log[steps, 1], log[steps, 2] = counts[1], value, farthest
        log[steps, 3] = 0.5 * gain
        if not gain > _UNSEEN * value:
            return
        length = 1.0
