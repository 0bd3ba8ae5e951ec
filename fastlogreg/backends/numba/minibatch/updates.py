"""From the gradient of a batch to new parameters: optimizers, penalties, averaging, scales.

Dense and sparse rows share the rules and differ in who is moved. With dense rows every
coefficient moves with every batch, in loops over the columns that LLVM vectorizes. With sparse
rows :data:`SGD` and :data:`ADAGRAD` move only the columns that the batch holds, so that a batch
costs what it stores, however many columns there are; what the penalty and the average owe to the
others is paid where they are held next (Langford, Li and Zhang, "Sparse online learning via
truncated gradient", 2009), or by :func:`.epochs.apply_lazy_updates`.
Optimizers with a velocity move all columns always.

Scales. Coefficient j moves in units of ``1 / s_j``, where s_j is the root mean square of what is
stored in column j, about its mean where the model has an intercept and the rows are dense: learned
as the rows come (Ross, Mineiro and Langford, "Normalized online learning", 2013). The
intercept then is the one at the mean: where coefficients move it is moved so that margins at the
mean stay. X is never touched. While few rows have been seen, steps are short: scales may be wrong.

Penalties are proximal steps: ``w`` becomes ``soft(w, a l1) / (1 + a l2)``, with the length ``a`` of
the step that the loss takes in that column, so that the fixed point is the optimum of loss plus
penalty for any step length (Beck and Teboulle 2009 for one length; here each column has its own).

The average weighs later iterates more (polynomial decay, Shamir and Zhang 2013), so that it forgets
the way from the start: iterate t in proportion to (t + 1) .. (t + k - 1), k = :data:`RECENCY`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.jit import borrowing, by_storage, stage

SGD, MOMENTUM, NESTEROV, ADAGRAD, ADAM = 0, 1, 2, 3, 4
CONSTANT, INVSCALING, OPTIMAL = 0, 1, 2
RECENCY = 3  # _averaged is written for it

_place = np.uint64

# places in State.clock
UPDATES, STEPS, SEEN, STORED, SAMPLES, AVERAGED, FAILED, LOSS, WEIGHT = range(9)
CLOCK = 9

_SCALES_ALWAYS = 4096  # samples: until then each batch is looked at for scales
_SCALES_EVERY = 64  # then every so many
_TRUSTED = 20.0  # samples from which scales are taken for what they are


class Rule(NamedTuple):
    """How parameters are moved: an optimizer, a schedule, penalties on the mean loss."""

    optimizer: int
    schedule: int
    eta0: float
    power: float
    shift: float
    alpha: float
    momentum: float
    beta1: float
    beta2: float
    epsilon: float
    l1: float
    l2: float
    average_from: float  # samples; negative for no average
    learns_scales: int
    centres: int
    stops: int  # at a loss that is not finite


class State(NamedTuple):
    """What moves; all of theta's size p, but moments (3, p), clock, and step, size as buffers.

    ``moments`` holds, for each column, the sums of ``x - reference`` and of its square and the
    number of values that are not 0, over the samples that were looked at; ``lag`` and ``met`` are
    the sum of step lengths and the averaged updates when a sparse column was last moved.
    """

    theta: NDArray[np.float64]
    velocity: NDArray[np.float64]
    squares: NDArray[np.float64]
    average: NDArray[np.float64]
    inverse: NDArray[np.float64]
    mean: NDArray[np.float64]
    reference: NDArray[np.float64]
    lag: NDArray[np.float64]
    met: NDArray[np.float64]
    step: NDArray[np.float64]
    size: NDArray[np.float64]
    moments: NDArray[np.float64]
    clock: NDArray[np.float64]


@borrowing
def rate(rule, clock):
    """Return the learning rate of the next update."""
    t = clock[UPDATES]
    if rule.schedule == INVSCALING:
        return rule.eta0 / (t + 1.0) ** rule.power
    if rule.schedule == OPTIMAL:
        return 1.0 / (rule.alpha * (rule.shift + t))
    return rule.eta0


@borrowing
def scale_confidence(rule, clock):
    """Return the fraction of a step that what is known of the scales allows.

    A scale from two rows may be any: where rows come one by one, full steps at first lead
    farther off than hundreds of rows lead back.
    """
    if not rule.learns_scales or clock[SEEN] >= _TRUSTED:
        return 1.0
    return (clock[SEEN] / _TRUSTED) ** 2


@borrowing
def updates_scales(rule, clock, batch):
    """Whether the batch is looked at for scales: a matter of how much has been seen alone."""
    if not rule.learns_scales:
        return False
    if clock[SAMPLES] < _SCALES_ALWAYS:
        return True
    return np.int64(clock[UPDATES]) % _SCALES_EVERY == 0  # of floats it takes 30 ns


# --- scales ------------------------------------------------------------------------------


def _add_moments_dense(X, by_column, index, n, intercept, state):
    reference = state.reference[intercept:]
    sums = state.moments[0, intercept:]
    squares = state.moments[1, intercept:]
    counts = state.moments[2, intercept:]
    if by_column:
        for j in range(X.shape[0]):
            for i in range(n):
                x = X[j, index[i]]
                deviation = x - reference[j]
                sums[j] += deviation
                squares[j] += deviation * deviation
                counts[j] += 1.0 if x != 0.0 else 0.0
    else:
        for i in range(n):
            row = index[i]
            for j in range(X.shape[1]):
                x = X[row, j]
                deviation = x - reference[j]
                sums[j] += deviation
                squares[j] += deviation * deviation
                counts[j] += 1.0 if x != 0.0 else 0.0


def _add_moments_csr(X, by_column, index, n, intercept, state):
    squares = state.moments[1, intercept:]
    counts = state.moments[2, intercept:]
    for i in range(n):
        row = index[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            j = _place(X.indices[k])
            x = X.data[k]
            squares[j] += x * x
            counts[j] += 1.0 if x != 0.0 else 0.0


def _set_scales_dense(X, index, n, intercept, centres, state):
    """Set the scales, and the means where they are asked for, from the moments."""
    seen = state.clock[SEEN]
    stored = 0.0
    for j in range(intercept, state.theta.size):
        count = state.moments[2, j]
        stored += count
        reference = state.reference[j]
        about = state.moments[0, j] / seen  # of the reference
        spread = state.moments[1, j] - about * state.moments[0, j]
        square = spread
        if centres:
            state.mean[j] = reference + about
            # few samples may lie close by chance: at least the root mean square by their number
            doubt = np.exp(-seen / _TRUSTED) / seen
            square += (spread / seen + state.mean[j] * state.mean[j]) * doubt
        else:
            square += seen * (reference + about) ** 2
        state.inverse[j] = (count / square) ** 0.5 if square > 0.0 and count > 0.0 else 0.0
    state.clock[STORED] = stored


def _set_scales_csr(X, index, n, intercept, centres, state):
    for i in range(n):
        row = index[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            j = _place(X.indices[k]) + _place(intercept)
            square = state.moments[1, j]
            state.inverse[j] = (state.moments[2, j] / square) ** 0.5 if square > 0.0 else 0.0
        state.clock[STORED] += X.ends[row] - X.starts[row]


add_moments = by_storage(_add_moments_dense, _add_moments_csr)
set_scales = by_storage(_set_scales_dense, _set_scales_csr)


def _set_reference_dense(X, by_column, row, intercept, centres, state):
    if centres:
        if by_column:
            for j in range(X.shape[0]):
                state.reference[intercept + j] = X[j, row]
        else:
            for j in range(X.shape[1]):
                state.reference[intercept + j] = X[row, j]


def _set_reference_csr(X, by_column, row, intercept, centres, state):
    pass


set_reference = by_storage(_set_reference_dense, _set_reference_csr)


@borrowing
def row_square(rule, clock):
    """Return the mean squared length of a row in units of the scales, 1 for the intercept."""
    if rule.learns_scales and clock[SEEN] > 0.0:
        return 1.0 + clock[STORED] / clock[SEEN]
    return 1.0


# --- all columns -------------------------------------------------------------------------


@stage
def _centre(g, mean):
    for j in range(1, g.size):
        g[j] -= mean[j] * g[0]


@stage
def _sgd(g, eta, inverse, step, size):
    for j in range(g.size):
        a = eta * inverse[j] * inverse[j]
        size[j] = a
        step[j] = a * g[j]


@stage
def _heavy_ball(g, eta, inverse, momentum, looks_ahead, velocity, step, size):
    for j in range(g.size):
        a = eta * inverse[j] * inverse[j]
        v = momentum * velocity[j] + a * g[j]
        velocity[j] = v
        step[j] = momentum * v + a * g[j] if looks_ahead else v
        size[j] = a / (1.0 - momentum)


@stage
def _adagrad(g, eta, inverse, epsilon, squares, step, size):
    for j in range(g.size):
        s = squares[j] + g[j] * g[j]
        squares[j] = s
        a = eta * inverse[j] * inverse[j] / (inverse[j] * np.sqrt(s) + epsilon)
        size[j] = a
        step[j] = a * g[j]


@stage
def _adam(g, eta, inverse, rule, t, velocity, squares, step, size):
    # Kingma and Ba 2015, algorithm 1; the bias of both means is taken out of the lengths
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
def _move(theta, intercept, l1, l2, step, size, mean):
    """Take the steps and the penalties' proximal steps; return how far the mean's margin went."""
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


@borrowing
def _sweep(rule, eta, g, intercept, state):
    """Move every column by the gradient g."""
    if rule.centres:
        _centre(g, state.mean)
    inverse = state.inverse
    step = state.step
    size = state.size
    if rule.optimizer == SGD:
        _sgd(g, eta, inverse, step, size)
    elif rule.optimizer == ADAGRAD:
        _adagrad(g, eta, inverse, rule.epsilon, state.squares, step, size)
    elif rule.optimizer == ADAM:
        t = state.clock[UPDATES] + 1.0
        _adam(g, eta, inverse, rule, t, state.velocity, state.squares, step, size)
    else:
        ahead = rule.optimizer == NESTEROV
        _heavy_ball(g, eta, inverse, rule.momentum, ahead, state.velocity, step, size)
    mean_shift = _move(state.theta, intercept, rule.l1, rule.l2, step, size, state.mean)
    if intercept:
        state.theta[0] -= step[0] + mean_shift


@borrowing
def sweep_average(rule, state):
    """Take theta into the average, if there is one by now."""
    if state.clock[AVERAGED] > 0.0:
        t = state.clock[AVERAGED]
        _blend(state.theta, RECENCY / (t + (RECENCY - 1.0)), state.average)


# --- the columns that a sparse batch holds -----------------------------------------------


@stage
def _metric(adapts, inverse, square, epsilon):
    """Return the length of a column's step for a learning rate of 1."""
    metric = inverse * inverse
    if adapts:
        metric /= inverse * np.sqrt(square) + epsilon
    return metric


@stage
def _averaged(average, averaged_at, weights, before, w):
    """Return an average that held ``before`` since ``averaged_at`` and takes w now.

    ``weights`` are those of w and, but for the factor of ``averaged_at``, of what was.
    """
    a = before + averaged_at * (averaged_at + 1.0) * (averaged_at + 2.0) * weights[1] * (
        average - before
    )
    return a + weights[0] * (w - a)


@stage
def _average_weights(now):
    """Return what ``_averaged`` needs at update ``now``, from 1 on."""
    past = now - 1.0
    kept = 1.0 / (past * (past + 1.0) * (past + 2.0)) if past > 0.0 else 0.0
    return RECENCY / (now + (RECENCY - 1.0)), kept


@borrowing
def _move_intercept(rule, eta, g, state):
    adapts = rule.optimizer == ADAGRAD
    if adapts:
        state.squares[0] += g * g
    before = state.theta[0]
    state.theta[0] = before - eta * g * _metric(adapts, 1.0, state.squares[0], rule.epsilon)
    now = state.clock[AVERAGED]
    if now > 0.0:
        weights = _average_weights(now)
        average = state.average[0]
        state.average[0] = _averaged(average, now - 1.0, weights, before, state.theta[0])
        state.met[0] = now


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


def _move_dense(X, chunks, intercept, scale, rule, eta, sums, state):
    g = sums[0, 2 : 2 + state.theta.size]
    for j in range(g.size):
        g[j] *= scale
    _sweep(rule, eta, g, intercept, state)
    sweep_average(rule, state)
    return False


def _move_csr(X, chunks, intercept, scale, rule, eta, sums, state):
    if rule.optimizer == SGD or rule.optimizer == ADAGRAD:
        if intercept:
            g0 = 0.0
            for c in range(chunks):
                g0 += sums[c, 2]
            _move_intercept(rule, eta, scale * g0, state)
        return True
    p = state.theta.size
    for c in range(1, chunks):
        for j in range(2, 2 + p):
            sums[0, j] += sums[c, j]
            sums[c, j] = 0.0
    g = sums[0, 2 : 2 + p]
    for j in range(p):
        g[j] *= scale
    _sweep(rule, eta, g, intercept, state)
    sweep_average(rule, state)
    for j in range(p):
        g[j] = 0.0
    return False


def _move_stored_dense(X, index, n, intercept, scale, rule, eta, sums, state, places, gradients):
    pass


def _move_stored_csr(X, index, n, intercept, scale, rule, eta, sums, state, places, gradients):
    # Two loops without a branch on what a column holds: with one, half of whose turns find a
    # column that was moved already, this takes 8 ns a value and not 4.
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
            gradients[count] = g * scale
            count += _place(1) if g != 0.0 else _place(0)
            if count == room:
                _move_columns(X, rule, eta, count, places, gradients, intercept, state)
                count = _place(0)
    _move_columns(X, rule, eta, count, places, gradients, intercept, state)


@stage
def _move_columns(X, rule, eta, count, places, gradients, intercept, state):
    """Move some columns, named by one of their values each; pay what penalty and average owe."""
    data = X.data
    indices = X.indices
    theta = state.theta[intercept:]
    squares = state.squares[intercept:]
    inverse = state.inverse[intercept:]
    length = state.size[intercept:]
    applied_steps = state.lag[intercept:]
    average = state.average[intercept:]
    averaged_at = state.met[intercept:]
    l1 = rule.l1
    l2 = rule.l2
    epsilon = rule.epsilon
    penalized = l1 > 0.0 or l2 > 0.0
    adapts = rule.optimizer == ADAGRAD
    steps = state.clock[STEPS]
    now = state.clock[AVERAGED]
    weights = _average_weights(now)
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
        w = before
        if penalized:
            w = prox(w, l1, l2, length[j] * (steps - eta - applied_steps[j]))
            applied_steps[j] = steps
        if adapts:
            squares[j] += g * g
        metric = _metric(adapts, inverse[j], squares[j], epsilon)
        w -= eta * metric * g
        if penalized:
            length[j] = metric
            w = prox(w, l1, l2, eta * metric)
        theta[j] = w
        if now > 0.0:
            average[j] = _averaged(average[j], averaged_at[j], weights, before, w)
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


def _has_unscaled_column_dense(X, intercept, sums, state):
    """Whether a column has a gradient and no scale yet."""
    for j in range(intercept, state.theta.size):
        if state.moments[2, j] == 0.0 and sums[2 + j] != 0.0:
            return True
    return False


def _has_unscaled_column_csr(X, intercept, sums, state):
    return False  # the update looks at the value that it meets


has_unscaled_column = by_storage(_has_unscaled_column_dense, _has_unscaled_column_csr)
