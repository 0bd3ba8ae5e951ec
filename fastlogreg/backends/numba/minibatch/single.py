"""Batches of one row, of dense rows: the mini-batch loop without its machinery.

The blocks and thread groups of :mod:`.batches` cost 0.5 us a batch, ten times what one row of 20
columns needs. Here a row is read, its residual made and its step taken in three short loops. All is
one function: passing a state on costs more than a row of 20 columns. The rules are those of
:mod:`.optimizers`, for the two optimizers that keep no velocity.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import prefetch
from fastlogreg.backends.numba.jit import borrowing, by_storage, inlined
from fastlogreg.backends.numba.minibatch import optimizers, scales
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.optimizers import Update, prox
from fastlogreg.backends.numba.minibatch.state import ADAGRAD, SGD

_ROWS_AHEAD = 8  # how far ahead rows are fetched
_INFINITY = float("inf")


class Columns(NamedTuple):
    """The parts of a state that belong to columns, without that of the intercept."""

    w: NDArray[np.float64]
    squares: NDArray[np.float64]
    inverse: NDArray[np.float64]
    mean: NDArray[np.float64]
    g: NDArray[np.float64]


@borrowing
def columns_of(state, intercept):
    """Return views of a state's columns."""
    return Columns(
        state.theta[intercept:],
        state.squares[intercept:],
        state.inverse[intercept:],
        state.mean[intercept:],
        state.step[intercept:],
    )


@inlined
def _margin_of_row(X, row, w, b):
    s = 0.0
    for j in range(X.shape[1]):
        s += X[row, j] * w[j]
    return s + b


@inlined
def _margin_of_column(XT, row, w, b):
    s = 0.0
    for j in range(XT.shape[0]):
        s += XT[j, row] * w[j]
    return s + b


def _margin(X, by_column, row, w, b):
    """Return the margin of one row."""
    if by_column:
        return _margin_of_column(X, row, w, b)
    return _margin_of_row(X, row, w, b)


@inlined
def _gradient(X, by_column, row, residual, mean, g):
    if by_column:
        for j in range(X.shape[0]):
            g[j] = residual * (X[j, row] - mean[j])
    else:
        for j in range(X.shape[1]):
            g[j] = residual * (X[row, j] - mean[j])


@inlined
def _plain(rule, eta, columns):
    g, inverse, mean, w = columns.g, columns.inverse, columns.mean, columns.w
    mean_shift = 0.0
    for j in range(g.size):
        a = eta * inverse[j] * inverse[j]
        new = prox(w[j] - a * g[j], rule.l1, rule.l2, a)
        mean_shift += mean[j] * (new - w[j])
        w[j] = new
    return mean_shift


@inlined
def _adapting_without_l1(rule, eta, columns):
    """Do as :func:`_adapting` does, with one division for two."""
    g, inverse, mean, w = columns.g, columns.inverse, columns.mean, columns.w
    squares = columns.squares
    mean_shift = 0.0
    for j in range(g.size):
        s = squares[j] + g[j] * g[j]
        squares[j] = s
        length = eta * inverse[j] * inverse[j]
        per = inverse[j] * np.sqrt(s) + rule.epsilon
        new = (w[j] * per - length * g[j]) / (per + rule.l2 * length)
        mean_shift += mean[j] * (new - w[j])
        w[j] = new
    return mean_shift


@inlined
def _adapting(rule, eta, columns):
    g, inverse, mean, w = columns.g, columns.inverse, columns.mean, columns.w
    squares = columns.squares
    mean_shift = 0.0
    for j in range(g.size):
        s = squares[j] + g[j] * g[j]
        squares[j] = s
        a = eta * inverse[j] * inverse[j] / (inverse[j] * np.sqrt(s) + rule.epsilon)
        new = prox(w[j] - a * g[j], rule.l1, rule.l2, a)
        mean_shift += mean[j] * (new - w[j])
        w[j] = new
    return mean_shift


def _step(X, by_column, row, residual, update, columns, state):
    """Move all parameters by one row's residual."""
    rule = update.rule
    _gradient(X, by_column, row, residual, columns.mean, columns.g)
    rate = update.eta
    if rule.optimizer == ADAGRAD:
        if rule.l1 == 0.0:
            mean_shift = _adapting_without_l1(rule, update.eta, columns)
        else:
            mean_shift = _adapting(rule, update.eta, columns)
        if columns.w.size < state.theta.size:
            state.squares[0] += residual * residual
            rate = update.eta / (np.sqrt(state.squares[0]) + rule.epsilon)
    else:
        mean_shift = _plain(rule, update.eta, columns)
    if columns.w.size < state.theta.size:
        state.theta[0] -= rate * residual + mean_shift


def _fetch(X, by_column, row):
    """Ask for a row that comes soon."""
    if not by_column:
        d = X.shape[1]
        for j in range(0, d + 7, 8):
            prefetch(X, row * d + j)


def _holds_unscaled_column(X, by_column, row, intercept, state):
    """Whether a row has a value in a column that has no scale yet."""
    for j in range(state.theta.size - intercept):
        if state.moments[2, intercept + j] == 0.0:
            x = X[j, row] if by_column else X[row, j]
            if x != 0.0:
                return True
    return False


def _any_unscaled_column(X, intercept, state):
    """Whether a column has no scale yet."""
    for j in range(intercept, state.theta.size):
        if state.moments[2, j] == 0.0:
            return True
    return False


def _no_margin(X, by_column, row, w, b):
    return 0.0


def _no_step(X, by_column, row, residual, update, columns, state):
    pass


def _no_fetch(X, by_column, row):
    pass


def _holds_none(X, by_column, row, intercept, state):
    return False


def _any_none(X, intercept, state):
    return False


def _handles_dense(X, rule):
    """Whether rows are taken one by one here."""
    return rule.optimizer == SGD or rule.optimizer == ADAGRAD


def _handles_csr(X, rule):
    return False


margin = by_storage(_margin, _no_margin, is_merged=True)
step = by_storage(_step, _no_step, is_merged=True)
fetch = by_storage(_fetch, _no_fetch)
holds_unscaled_column = by_storage(_holds_unscaled_column, _holds_none)
any_unscaled_column = by_storage(_any_unscaled_column, _any_none)
_handles = by_storage(_handles_dense, _handles_csr)


def run(sums, X, epoch, workspace, first, last):
    """Make the updates first <= k < last, of one row each; return whether that is done here."""
    if not _handles(X, epoch.rule):
        return False
    rows = epoch.rows
    plan = epoch.plan
    rule = epoch.rule
    state = epoch.state
    clock = state.clock[0]
    theta = state.theta
    intercept = plan.intercept
    picked = workspace.picked
    columns = columns_of(state, intercept)
    has_unscaled_column = rule.learns_scales == 1
    for k in range(first, last):
        i = (k - first) % plan.block
        if i == 0:
            orders.fill(epoch.order, k, min(plan.block, last - k), picked)
        row = picked[i]
        if i + _ROWS_AHEAD < min(plan.block, last - k + i):
            fetch(X, rows.by_column, picked[i + _ROWS_AHEAD])
        b = theta[0] if intercept else 0.0
        z = margin(X, rows.by_column, row, columns.w, b)
        if rows.offset.size:
            z += rows.offset[row]
        value, residual = stages.jet(plan.kind, plan.scale, z, rows.y[row])
        weight = 1.0
        if rows.weight.size:
            weight = rows.weight[row]
        if rule.stops and not abs(weight * value) < _INFINITY:
            clock.failed = 1
            return True
        if epoch.losses.size:
            epoch.losses[k] = value
        clock.loss += weight * value
        clock.weight += weight
        if scales.updates_scales(rule, clock) or (
            has_unscaled_column and holds_unscaled_column(X, rows.by_column, row, intercept, state)
        ):
            scales.learn(epoch, X, workspace.places, k, k + 1)
            has_unscaled_column = any_unscaled_column(X, intercept, state)
        eta = optimizers.step_length(rule, clock)
        residual *= weight
        step(X, rows.by_column, row, residual, Update(rule, eta, 1.0), columns, state)
        optimizers.sweep_average(state)
        clock.updates += 1
        clock.samples += 1
    return True
