"""The forms of :mod:`.small` for softmax and L2: dense rows, a Hessian of all classes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.intrinsics import call_at, freeze
from fastlogreg.backends.numba.jit import allocating, borrowing, kernel
from fastlogreg.backends.numba.passes.kernels import Cut
from fastlogreg.backends.numba.passes.small import Elastic, Work, descend, solve_on_support, work_of
from fastlogreg.backends.numba.passes.softmax_kernels import LOSS, Model, Rows, Sums


class _Several(NamedTuple):
    """What a pass takes and fills, the penalty, (K p,) each, W as it lies for passes, and room."""

    address: int
    X: NDArray[np.floating]
    rows: Rows
    model: Model
    cut: Cut
    out: Sums
    penalty: Elastic
    W: NDArray[np.float64]
    work: Work


@borrowing
def _evaluate(data, theta):
    W, form = data.W, data.model
    p = theta.size // form.n_classes
    for k in range(form.n_classes):
        for j in range(p):
            W[k, j] = theta[k * p + j]
    model = Model(freeze(W), form.n_classes, form.intercept, LOSS)
    return call_at(data.address, (data.X, data.rows, model, data.cut, 0, 1, data.out))


@borrowing
def _value(data, theta):
    value = data.out.losses[0] * data.penalty.per_weight
    for j in range(theta.size):
        value += 0.5 * data.penalty.l2[j] * theta[j] * theta[j]
    return value


@borrowing
def _quadratic(data, theta):
    """Fill the slope, (K p,), and H, (K p, K p), which is made positive along what changes nothing.

    What is added to all classes alike of an entry without a penalty changes no probability, and has
    no slope.
    """
    penalty, by, K = data.penalty, data.penalty.per_weight, data.model.n_classes
    H, slope, blocks = data.work.H, data.work.slope, data.out.hessians[0]
    p = theta.size // K
    pair = 0
    for k in range(K):
        for j in range(p):
            at = k * p + j
            slope[at] = data.out.gradients[0, k, j] * by + penalty.l2[at] * theta[at]
        for m in range(k, K):
            upper = blocks[pair]
            pair += 1
            for i in range(p):
                for j in range(p):
                    h = by * (upper[i, j] if i <= j else upper[j, i])
                    H[k * p + i, m * p + j] = h
                    H[m * p + j, k * p + i] = h
    for j in range(p):
        flat = 0.0
        for k in range(K):
            flat += H[k * p + j, k * p + j] / K
        for k in range(K):
            at = k * p + j
            if penalty.l2[at] > 0.0:
                H[at, at] += penalty.l2[at]
                continue
            for m in range(K):
                H[at, m * p + j] += flat


@allocating
def _propose(data, theta, end, enough):
    work = data.work
    _quadratic(data, theta)
    farthest, gain = 0.0, 0.0
    for j in range(theta.size):
        farthest = max(farthest, abs(work.slope[j]))
        work.u[j], work.before[j] = theta[j], work.slope[j]
    if not solve_on_support(work, data.penalty.l1):
        return 0.0, farthest
    for j in range(theta.size):
        end[j] = work.u[j]
        gain += work.before[j] * (theta[j] - end[j])
    return gain, farthest


@kernel
def of_several(address, X, rows, model, cut, out, penalty, theta, goal, stop_value, log, counts):
    """Do what :func:`.small.lower` says for the margins of several classes, without L1."""
    W = np.zeros(model.W.shape)
    data = _Several(address, X, rows, model, cut, out, penalty, W, work_of(theta.size))
    descend(_evaluate, _value, _propose, data, theta, (goal, stop_value, True), log, counts)
