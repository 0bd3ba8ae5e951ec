"""From the gradient of a batch to new parameters: optimizers, penalties, averages.

Dense and sparse rows share the rules and differ in who is moved. With dense rows every
coefficient moves with every batch, in loops over the columns that LLVM vectorizes. With sparse
rows :data:`.state.SGD` and :data:`.state.ADAGRAD` move only the columns that the batch holds, so
that a batch costs what it stores, however many columns there are; what the penalty and the average
owe to the others is paid where they are held next (Langford, Li and Zhang, "Sparse online learning
via truncated gradient", 2009), or by :func:`.state.parameters`.
Optimizers with a velocity move all columns always.

Coefficients move in units of the scales of their columns (:mod:`.scales`), and the intercept so
that margins at the mean of the rows stay.

Penalties are proximal steps: ``w`` becomes ``soft(w, a l1) / (1 + a l2)``, with the length ``a`` of
the step that the loss takes in that column, so that the fixed point is the optimum of loss plus
penalty for any step length (Beck and Teboulle 2009 for one length; here each column has its own).

The average weighs later iterates more (polynomial decay, Shamir and Zhang 2013), so that it forgets
the way from the start: iterate t in proportion to (t + 1) .. (t + k - 1), k = :data:`RECENCY`.
"""

from typing import NamedTuple

import numpy as np

from fastlogreg.backends.numba.jit import borrowing, by_storage, merged, stage
from fastlogreg.backends.numba.minibatch import scales
from fastlogreg.backends.numba.minibatch.state import (
    ADAGRAD,
    ADAM,
    INVSCALING,
    NESTEROV,
    OPTIMAL,
    SGD,
    Rule,
)

RECENCY = 3  # averaged() is written for it

_place = np.uint64


class Update(NamedTuple):
    """One update: the rule, its rate, and what the sums of gradients are multiplied with."""

    rule: Rule
    eta: float
    scale: float


@borrowing
def rate(rule, clock):
    """Return the learning rate of the next update."""
    t = float(clock.updates)
    if rule.schedule == INVSCALING:
        return rule.eta0 / (t + 1.0) ** rule.power
    if rule.schedule == OPTIMAL:
        return 1.0 / (rule.alpha * (rule.shift + t))
    return rule.eta0


@borrowing
def step_length(rule, clock):
    """Return the rate of the next update, in units of the scales, and take note of it."""
    eta = rate(rule, clock) * scales.scale_confidence(rule, clock)
    if rule.optimizer != ADAGRAD and rule.optimizer != ADAM:
        eta /= scales.row_square(rule, clock)
    clock.steps += eta
    if rule.average_from >= 0.0 and clock.samples >= rule.average_from:
        clock.averaged += 1
    return eta


# --- all columns -------------------------------------------------------------------------


@stage
def _centre(g, mean):
    for j in range(1, g.size):
        g[j] -= mean[j] * g[0]


@stage
def _sgd(g, eta, state):
    inverse, step, size = state.inverse, state.step, state.size
    for j in range(g.size):
        a = eta * inverse[j] * inverse[j]
        size[j] = a
        step[j] = a * g[j]


@stage
def _heavy_ball(g, eta, momentum, looks_ahead, state):
    inverse, velocity, step, size = state.inverse, state.velocity, state.step, state.size
    for j in range(g.size):
        a = eta * inverse[j] * inverse[j]
        v = momentum * velocity[j] + a * g[j]
        velocity[j] = v
        step[j] = momentum * v + a * g[j] if looks_ahead else v
        size[j] = a / (1.0 - momentum)


@stage
def _adagrad(g, eta, epsilon, state):
    inverse, squares, step, size = state.inverse, state.squares, state.step, state.size
    for j in range(g.size):
        s = squares[j] + g[j] * g[j]
        squares[j] = s
        a = eta * inverse[j] * inverse[j] / (inverse[j] * np.sqrt(s) + epsilon)
        size[j] = a
        step[j] = a * g[j]


@stage
def _adam(g, eta, rule, t, state):
    # Kingma and Ba 2015, algorithm 1; the bias of both means is taken out of the lengths
    inverse, velocity, squares = state.inverse, state.velocity, state.squares
    step, size = state.step, state.size
    first = 1.0 / (1.0 - rule.beta1**t)
    second = (1.0 / (1.0 - rule.beta2**t)) ** 0.5
    for j in range(g.size):
        v = rule.beta1 * velocity[j] + (1.0 - rule.beta1) * g[j]
        s = rule.beta2 * squares[j] + (1.0 - rule.beta2) * g[j] * g[j]
        velocity[j] = v
        squares[j] = s
        a = eta * inverse[j] * inverse[j] / (inverse[j] * np.sqrt(s) * second + rule.epsilon)
        size[j] = a
        step[j] = a * first * v


@stage
def prox(w, l1, l2, length):
    """Return the point that the penalties lead w to in a step of this length."""
    left = abs(w) - l1 * length
    left = 0.0 if left < 0.0 else left
    return (left if w >= 0.0 else -left) / (1.0 + l2 * length)


@stage
def take(intercept, l1, l2, state):
    """Take the steps and the penalties' proximal steps; return how far the mean's margin went."""
    theta, step, size, mean = state.theta, state.step, state.size, state.mean
    mean_shift = 0.0
    for j in range(intercept, theta.size):
        w = prox(theta[j] - step[j], l1, l2, size[j])
        mean_shift += mean[j] * (w - theta[j])
        theta[j] = w
    return mean_shift


@stage
def _blend(theta, fraction, average):
    for j in range(theta.size):
        average[j] += fraction * (theta[j] - average[j])


@merged
def steps(rule, eta, g, state):
    """Set ``state.step`` and ``state.size`` to the steps by the gradient g and their lengths."""
    if rule.optimizer == SGD:
        _sgd(g, eta, state)
    elif rule.optimizer == ADAGRAD:
        _adagrad(g, eta, rule.epsilon, state)
    elif rule.optimizer == ADAM:
        _adam(g, eta, rule, state.clock[0].updates + 1.0, state)
    else:
        _heavy_ball(g, eta, rule.momentum, rule.optimizer == NESTEROV, state)


@borrowing
def sweep(rule, eta, g, intercept, state):
    """Move every column by the gradient g."""
    if rule.centres:
        _centre(g, state.mean)
    steps(rule, eta, g, state)
    mean_shift = take(intercept, rule.l1, rule.l2, state)
    if intercept:
        state.theta[0] -= state.step[0] + mean_shift


@borrowing
def sweep_average(state):
    """Take theta into the average, if there is one by now."""
    t = float(state.clock[0].averaged)
    if t > 0.0:
        _blend(state.theta, RECENCY / (t + (RECENCY - 1.0)), state.average)


# --- the columns that a sparse batch holds -----------------------------------------------


@stage
def metric(adapts, inverse, square, epsilon):
    """Return the length of a column's step for a learning rate of 1."""
    length = inverse * inverse
    if adapts:
        length /= inverse * np.sqrt(square) + epsilon
    return length


@stage
def averaged(average, averaged_at, weights, before, w):
    """Return an average that held ``before`` since ``averaged_at`` and takes w now.

    ``weights`` are those of w and, but for the factor of ``averaged_at``, of what was.
    """
    a = before + averaged_at * (averaged_at + 1.0) * (averaged_at + 2.0) * weights[1] * (
        average - before
    )
    return a + weights[0] * (w - a)


@stage
def average_weights(now):
    """Return what ``averaged`` needs at update ``now``, from 1 on."""
    past = now - 1.0
    kept = 1.0 / (past * (past + 1.0) * (past + 2.0)) if past > 0.0 else 0.0
    return RECENCY / (now + (RECENCY - 1.0)), kept


@borrowing
def _move_intercept(rule, eta, g, state):
    adapts = rule.optimizer == ADAGRAD
    if adapts:
        state.squares[0] += g * g
    before = state.theta[0]
    state.theta[0] = before - eta * g * metric(adapts, 1.0, state.squares[0], rule.epsilon)
    now = float(state.clock[0].averaged)
    if now > 0.0:
        weights = average_weights(now)
        average = state.average[0]
        state.average[0] = averaged(average, now - 1.0, weights, before, state.theta[0])
        state.averaged_at[0] = now


@stage
def lazy_move(w, g, metric, length, owed, l1, l2, eta):
    """Return where a coefficient moves that paid no penalty for ``owed`` steps of ``length``."""
    penalized = l1 > 0.0 or l2 > 0.0
    if penalized:
        w = prox(w, l1, l2, length * owed)
    w -= eta * metric * g
    if penalized:
        w = prox(w, l1, l2, eta * metric)
    return w


# --- an update ---------------------------------------------------------------------------


def _total_dense(X, chunks, sums):
    """Add the chunks' sums to the first's, in their order."""
    for c in range(1, chunks):
        for j in range(sums.shape[1]):
            sums[0, j] += sums[c, j]


def _total_csr(X, chunks, sums):
    """Add the chunks' losses and weights to the first's, in their order."""
    for c in range(1, chunks):
        sums[0, 0] += sums[c, 0]
        sums[0, 1] += sums[c, 1]


def _move_dense(X, chunks, intercept, update, sums, state):
    """Move what the update moves by the gradient alone; return whether rows are needed for more."""
    g = sums[0, 2 : 2 + state.theta.size]
    for j in range(g.size):
        g[j] *= update.scale
    sweep(update.rule, update.eta, g, intercept, state)
    sweep_average(state)
    return False


def _move_csr(X, chunks, intercept, update, sums, state):
    rule = update.rule
    if rule.optimizer == SGD or rule.optimizer == ADAGRAD:
        if intercept:
            g0 = 0.0
            for c in range(chunks):
                g0 += sums[c, 2]
            _move_intercept(rule, update.eta, update.scale * g0, state)
        return True
    p = state.theta.size
    for c in range(1, chunks):
        for j in range(2, 2 + p):
            sums[0, j] += sums[c, j]
            sums[c, j] = 0.0
    g = sums[0, 2 : 2 + p]
    for j in range(p):
        g[j] *= update.scale
    sweep(rule, update.eta, g, intercept, state)
    sweep_average(state)
    for j in range(p):
        g[j] = 0.0
    return False


def _move_stored_dense(X, workspace, n, intercept, update, sums, state):
    pass


def _move_stored_csr(X, workspace, n, intercept, update, sums, state):
    """Move the columns that n rows hold, ``workspace.picked``."""
    # Two loops without a branch on what a column holds: with one, half of whose turns find a
    # column that was moved already, this takes 8 ns a value and not 4.
    index = workspace.picked
    places = workspace.places
    gradients = workspace.gradients
    first = _place(2 + intercept)
    room = _place(places.size - 1)
    count = _place(0)
    for i in range(n):
        row = index[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            at = _place(X.indices[k]) + first
            g = 0.0
            for c in range(sums.shape[0]):
                g += sums[c, at]
                sums[c, at] = 0.0
            places[count] = k
            gradients[count] = g * update.scale
            count += _place(1) if g != 0.0 else _place(0)
            if count == room:
                _move_columns(X, update, count, places, gradients, intercept, state)
                count = _place(0)
    _move_columns(X, update, count, places, gradients, intercept, state)


@stage
def _move_columns(X, update, count, places, gradients, intercept, state):
    """Move some columns, named by one of their values each; pay what penalty and average owe."""
    data = X.data
    indices = X.indices
    theta = state.theta[intercept:]
    squares = state.squares[intercept:]
    inverse = state.inverse[intercept:]
    length = state.size[intercept:]
    applied_steps = state.applied_steps[intercept:]
    average = state.average[intercept:]
    averaged_at = state.averaged_at[intercept:]
    eta = update.eta
    l1 = update.rule.l1
    l2 = update.rule.l2
    epsilon = update.rule.epsilon
    penalized = l1 > 0.0 or l2 > 0.0
    adapts = update.rule.optimizer == ADAGRAD
    sum_of_steps = state.clock[0].steps
    now = float(state.clock[0].averaged)
    weights = average_weights(now)
    for i in range(count):
        k = _place(places[i])
        j = _place(indices[k])
        g = gradients[i]
        if inverse[j] == 0.0:  # the scale of a column that was never looked at: its value here
            x = data[k]
            state.moments[1, intercept + j] = x * x
            state.moments[2, intercept + j] = 1.0
            inverse[j] = 1.0 / abs(x)
        before = theta[j]
        if adapts:
            squares[j] += g * g
        by = metric(adapts, inverse[j], squares[j], epsilon)
        w = lazy_move(before, g, by, length[j], sum_of_steps - eta - applied_steps[j], l1, l2, eta)
        if penalized:
            applied_steps[j] = sum_of_steps
            length[j] = by
        theta[j] = w
        if now > 0.0:
            average[j] = averaged(average[j], averaged_at[j], weights, before, w)
            averaged_at[j] = now


def _clear_dense(X, first, sums):
    """Set a chunk's sums to 0."""
    for j in range(sums.size):
        sums[j] = 0.0


def _clear_csr(X, first, sums):
    """Set a chunk's sums to 0; those of columns are left at 0 by every update."""
    for j in range(first):
        sums[j] = 0.0


total_chunks = by_storage(_total_dense, _total_csr)
move = by_storage(_move_dense, _move_csr)
move_stored = by_storage(_move_stored_dense, _move_stored_csr)
clear = by_storage(_clear_dense, _clear_csr)
