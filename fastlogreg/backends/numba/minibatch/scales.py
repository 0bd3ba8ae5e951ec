"""The scales of the columns, learned as the rows come.

Coefficient j moves in units of ``1 / s_j``, where s_j is the root mean square of what is stored in
column j, about its mean where the model has an intercept and the rows are dense (Ross, Mineiro and
Langford, "Normalized online learning", 2013). The intercept then is the one at the mean: where
coefficients move it is moved so that margins at the mean stay. X is never touched. While few rows
have been seen, steps are short: scales may be wrong.
"""

import numpy as np

from fastlogreg.backends.numba.jit import borrowing, by_storage
from fastlogreg.backends.numba.minibatch import order as orders

_place = np.uint64

_ALWAYS = 4096  # samples: until then each batch is looked at for scales
_EVERY = 64  # then every so many
_TRUSTED = 20.0  # samples from which scales are taken for what they are


@borrowing
def scale_confidence(rule, clock):
    """Return the fraction of a step that what is known of the scales allows.

    A scale from two rows may be any: where rows come one by one, full steps at first lead
    farther off than hundreds of rows lead back.
    """
    if not rule.learns_scales or clock.scale_samples >= _TRUSTED:
        return 1.0
    return (clock.scale_samples / _TRUSTED) ** 2


@borrowing
def updates_scales(rule, clock):
    """Whether the batch is looked at for scales: a matter of how much has been seen alone."""
    if not rule.learns_scales:
        return False
    return clock.samples < _ALWAYS or clock.updates % _EVERY == 0


@borrowing
def row_square(rule, clock):
    """Return the mean squared length of a row in units of the scales, 1 for the intercept."""
    if rule.learns_scales and clock.scale_samples > 0:
        return 1.0 + clock.scale_values / clock.scale_samples
    return 1.0


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
    seen = float(state.clock[0].scale_samples)
    stored = 0.0
    for j in range(intercept, state.inverse.size):
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
    state.clock[0].scale_values = stored


def _set_scales_csr(X, index, n, intercept, centres, state):
    for i in range(n):
        row = index[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            j = _place(X.indices[k]) + _place(intercept)
            square = state.moments[1, j]
            state.inverse[j] = (state.moments[2, j] / square) ** 0.5 if square > 0.0 else 0.0
        state.clock[0].scale_values += X.ends[row] - X.starts[row]


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


add_moments = by_storage(_add_moments_dense, _add_moments_csr)
set_scales = by_storage(_set_scales_dense, _set_scales_csr)
set_reference = by_storage(_set_reference_dense, _set_reference_csr)


@borrowing
def learn(epoch, X, index, lo, hi):
    """Learn scales from the positions lo : hi; ``index`` is a buffer for the rows of a block."""
    plan = epoch.plan
    state = epoch.state
    by_column = epoch.rows.by_column
    intercept = plan.intercept
    centres = epoch.rule.centres
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(epoch.order, p, n, index)
        if state.clock[0].scale_samples == 0:
            set_reference(X, by_column, index[0], intercept, centres, state)
        add_moments(X, by_column, index, n, intercept, state)
        state.clock[0].scale_samples += n
        set_scales(X, index, n, intercept, centres, state)


def _has_unscaled_column_dense(X, intercept, sums, state):
    """Whether a column has a gradient and no scale yet."""
    for j in range(intercept, state.inverse.size):
        if state.moments[2, j] == 0.0 and sums[2 + j] != 0.0:
            return True
    return False


def _has_unscaled_column_csr(X, intercept, sums, state):
    return False  # the update looks at the value that it meets


has_unscaled_column = by_storage(_has_unscaled_column_dense, _has_unscaled_column_csr)
