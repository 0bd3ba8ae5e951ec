"""Newton's method on a small table in one call: what is done between passes is compiled too.

Of a few hundred rows a pass takes less time than Python takes between two of them. This goes near
the optimum; a solver then begins there, and says whether it is one.

:func:`descend` makes the steps. What a pass is, the value of its sums and the step they lead to are
functions that it is given: here those of one column of margins, with L1 or without, and in
:mod:`.small_classes` those of softmax.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.coordinates import sweep
from fastlogreg.backends.numba.intrinsics import call_at, freeze
from fastlogreg.backends.numba.jit import allocating, borrowing, kernel, merged
from fastlogreg.backends.numba.passes.kernels import Cut, Model, Rows, Sums
from fastlogreg.backends.numba.stages.csr import Csr

_SWEEPS = 10  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_RIDGE = 1e-13  # of a diagonal: columns may be the same
_HALVINGS = 4  # of a step
_ARMIJO = 1e-4  # of what it should gain
_ENOUGH = 1e-4  # of what a step may gain, relative: by how much slopes of its model may still move
_FLOOR = 0.01  # the same, of the goal
_LAST = 0.01  # of the goal: a gain after which no step is needed
_LAST_SMOOTH = 0.5  # the same without L1, where what a step leaves is foreseen
_RATE = 30.0  # a step divides a relative gain r by 1 / (30 r)
_UNSEEN = 1e-13  # of the value: a gain that its rounding hides


class Elastic(NamedTuple):
    """The penalty, (d,) each, and 1 over the rows' total weight."""

    l1: NDArray[np.float64]
    l2: NDArray[np.float64]
    per_weight: float


class Work(NamedTuple):
    """Where a quadratic model is made and lowered: its Hessian, slope, and what solving needs."""

    H: NDArray[np.float64]
    slope: NDArray[np.float64]
    u: NDArray[np.float64]
    before: NDArray[np.float64]
    support: NDArray[np.int64]
    factor: NDArray[np.float64]
    part: NDArray[np.float64]


def lower(
    kernel: Any,
    evaluate: Any,
    given: tuple[Any, ...],
    penalty: Elastic,
    theta: NDArray[np.float64],
    limits: tuple[float, float],
    log: NDArray[np.float64],
) -> tuple[int, int, bool]:
    """Lower theta, (p,), in place; return the steps, the passes, and if the sums are of its end.

    Parameters
    ----------
    kernel : Kernel
        :data:`of_one`, or the like of softmax.
    evaluate : Kernel
        Of the passes.
    given : tuple
        The code of the storage, X, rows, model, cut and sums, as that takes them: one chunk with
        its Hessian. The model's theta is not looked at.
    penalty : Elastic
    theta : ndarray of shape (p,)
    limits : tuple of float
        The goal: where a step gains less than that share of the value, another is hardly needed.
        The value at which it ends, or at less.
    log : ndarray of shape (1 + most, 5)
        Filled with the passes so far, the value, the distance of 0 from the subdifferential, half
        of what a step may gain, and the length of the step that led there, before each step; of the
        end with that length alone.
    """
    code, X, rows, model, cut, out = given
    address = evaluate.address(code, X, rows, model, cut, 0, 0, out)
    counts = np.zeros(3, dtype=np.int64)
    kernel[code](address, X, rows, model, cut, out, penalty, theta, *limits, log, counts)
    return int(counts[0]), int(counts[1]), bool(counts[2])


@allocating
def work_of(size):
    """Return room for a model of so many entries."""
    return Work(
        np.empty((size, size)),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size, dtype=np.int64),
        np.empty((size, size)),
        np.empty(size),
    )


@merged
def descend(evaluate, value_of, propose, data, theta, limits, log, counts):
    """Take steps until one leaves little; counts (3,) are as in :func:`lower`.

    ``evaluate(data, theta)`` makes a pass and returns whether it failed; ``value_of(data, theta)``
    is the objective then; ``propose(data, theta, end, enough)`` fills ``end`` with where a full
    step leads, and returns what that gains at first order, and the distance of 0 from the
    subdifferential. ``limits`` are the goal, the stop value, and 1 where there is no L1.
    """
    goal, stop_value, smooth = limits
    end, trial = np.empty_like(theta), np.empty_like(theta)
    log[0, 4] = 1.0
    if evaluate(data, theta):
        return
    counts[1], counts[2] = 1, 1
    value = value_of(data, theta)
    ratio = 1.0
    for step in range(log.shape[0] - 1):
        if not (stop_value < value < np.inf):
            return
        gain, farthest = propose(data, theta, end, max(_ENOUGH * ratio, _FLOOR * goal))
        log[step, 0], log[step, 1], log[step, 2] = counts[1], value, farthest
        log[step, 3] = 0.5 * gain
        if not gain > _UNSEEN * value:
            return
        length, found = 1.0, np.inf
        counts[2] = 0
        for _ in range(_HALVINGS):
            for j in range(theta.size):
                trial[j] = theta[j] + length * (end[j] - theta[j])
            if evaluate(data, trial):
                return
            counts[1] += 1
            found = value_of(data, trial)
            if found <= value - _ARMIJO * length * gain:
                break
            length *= 0.5
        else:
            return
        theta[:] = trial
        counts[0], counts[2] = step + 1, 1
        log[step + 1, 4] = length
        ratio = min(1.0, gain / value)
        value = found
        # slopes, which make a gap, are left by as much as the step's square root
        left = gain * min(0.5, _RATE * ratio) if smooth else gain
        if length == 1.0 and left <= (_LAST_SMOOTH if smooth else _LAST) * goal * value:
            return


@borrowing
def solve_on_support(work, l1):
    """Go to the minimum with the signs of u, if it has them too; return whether it has.

    ``slope`` follows. What has no L1 may change its sign.
    """
    H, slope, u, support, factor, step = (
        work.H,
        work.slope,
        work.u,
        work.support,
        work.factor,
        work.part,
    )
    k = 0
    for j in range(u.size):
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
        for i in range(u.size):
            slope[i] += step[a] * H[j, i]
    return True


class _One(NamedTuple):
    """One column of margins: what a pass takes and fills, the penalty, and room."""

    address: int
    X: NDArray[np.floating] | Csr
    rows: Rows
    model: Model
    cut: Cut
    out: Sums
    penalty: Elastic
    work: Work
    cross: NDArray[np.float64]


@borrowing
def _evaluate(data, theta):
    form = data.model
    model = Model(freeze(theta), form.intercept, form.kind, form.scale)
    return call_at(data.address, (data.X, data.rows, model, data.cut, 0, 1, data.out))


@borrowing
def _value(data, theta):
    penalty, intercept = data.penalty, data.model.intercept
    value = data.out.sums[0, 0] * penalty.per_weight
    for j in range(penalty.l1.size):
        w = theta[intercept + j]
        value += penalty.l1[j] * abs(w) + 0.5 * penalty.l2[j] * w * w
    return value


@borrowing
def _quadratic(data, theta):
    """Fill slope (d,) and H (d, d), the intercept eliminated; return its slope and curvature.

    ``cross`` (d,) becomes its row of the Hessian, divided by its curvature.
    """
    penalty, intercept = data.penalty, data.model.intercept
    sums, upper, by = data.out.sums[0], data.out.hessians[0], penalty.per_weight
    H, slope, cross = data.work.H, data.work.slope, data.cross
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


@allocating
def _propose(data, theta, end, enough):
    work, cross, l1, intercept = data.work, data.cross, data.penalty.l1, data.model.intercept
    H, slope, u, before = work.H, work.slope, work.u, work.before
    d = u.size
    pull, total = _quadratic(data, theta)
    if intercept and not total > 0.0:
        return 0.0, 0.0
    farthest, gain, kinks = abs(pull), 0.0, 0.0
    for j in range(d):
        w = theta[intercept + j]
        slope_here = slope[j] + cross[j] * pull
        beyond = abs(slope_here) - l1[j]
        if w != 0.0:
            beyond = abs(slope_here + (l1[j] if w > 0.0 else -l1[j]))
        farthest = max(farthest, beyond)
        kinks = max(kinks, l1[j])
        u[j], before[j] = w, slope[j]
    if kinks > 0.0:
        endless = np.full(d, np.inf)
        quadratic = (H, l1, -endless, endless, l1)
        for _ in range(_ROUNDS):
            if sweep(quadratic, slope, u, enough, _SWEEPS) <= enough:
                break
            solve_on_support(work, l1)
    elif not solve_on_support(work, l1):
        return 0.0, farthest
    ahead = 0.0
    for j in range(d):
        w = theta[intercept + j]
        gain += before[j] * (w - u[j]) + l1[j] * (abs(w) - abs(u[j]))
        ahead += cross[j] * (u[j] - w)
        end[intercept + j] = u[j]
    if intercept:
        end[0] = theta[0] - pull / total - ahead
        gain += pull * pull / total
    return gain, farthest


@kernel
def of_one(address, X, rows, model, cut, out, penalty, theta, goal, stop_value, log, counts):
    """Do what :func:`lower` says for one column of margins; counts (3,) are what it returns."""
    d = penalty.l1.size
    data = _One(address, X, rows, model, cut, out, penalty, work_of(d), np.zeros(d))
    smooth = not penalty.l1.any()
    descend(_evaluate, _value, _propose, data, theta, (goal, stop_value, smooth), log, counts)
