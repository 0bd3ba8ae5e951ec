"""A batch of rows with K margins each, softmax: the sums of its chunks, and the update.

Blocks are worked on by the stages of softmax (:mod:`.columns`, :mod:`..stages.softmax`),
and parameters lie as these want them: W is ``state.theta``, (K, p padded) for dense rows and
(p, K padded) for sparse ones, an intercept first among the p; velocities, squares and averages lie
as it does. Scales and means belong to columns, which all classes share.

``sums[c, 0]`` begins with the loss and the weight of chunk c; from ``sums[c, 1]`` on there is the
gradient, laid out as W is.

The rules are those of :mod:`.optimizers`, for one class after the other where rows are dense, and
for one column after the other where they are sparse.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.jit import borrowing, by_storage, stage
from fastlogreg.backends.numba.minibatch import columns, optimizers
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.state import ADAGRAD, SGD, State
from fastlogreg.backends.numba.stages import softmax as tiles
from fastlogreg.backends.numba.stages.csr import Csr

_place = np.uint64


class ClassesWorkspace(NamedTuple):
    """Where one thread works on a block: the rows picked, their columns T, tiles and vectors.

    ``X`` are the picked rows of a sparse matrix, in ``places``. ``inverse``, ``zeros`` and ``g``
    hold a column's entries for all classes.
    """

    picked: NDArray[np.int64]
    X: NDArray[np.floating] | Csr
    places: NDArray[np.generic]
    codes: NDArray[np.float64]
    weight: NDArray[np.float64]
    vectors: NDArray[np.float64]
    T: NDArray[np.float64]
    tile: NDArray[np.float64]
    Z: NDArray[np.float64]
    offset: NDArray[np.float64]
    B: NDArray[np.float64]
    inverse: NDArray[np.float64]
    zeros: NDArray[np.float64]
    g: NDArray[np.float64]


def _classes_dense(X, theta):
    return theta.shape[0]


def _classes_csr(X, theta):
    return theta.shape[1]


def _listed_dense(X, block):
    return 0


def _listed_csr(X, block):
    return block


_padded_classes = by_storage(_classes_dense, _classes_csr)
_listed = by_storage(_listed_dense, _listed_csr)


def workspace(sums, X, epoch):
    """Return a workspace for blocks of the epoch."""
    block = epoch.plan.block
    width = epoch.state.theta.shape[1]
    K = epoch.plan.n_classes
    places = stages.row_buffer(X, epoch.rows.by_column, _listed(X, block))
    vectors = np.empty((7, block))
    tile = np.zeros((2, _padded_classes(X, epoch.state.theta), block + 8))
    column = np.zeros((3, _padded_classes(X, epoch.state.theta)))
    return ClassesWorkspace(
        np.empty(block, np.int64),
        stages.gathered(X, places),
        places,
        vectors[5],
        vectors[6],
        vectors,
        columns.column_buffer(X, epoch.rows.by_column, epoch.plan.intercept, width, block),
        tile[0],
        tile[0, :K],
        tile[1, :K],
        np.zeros((_listed(X, block) + 8, width)),
        column[0],
        column[1],
        column[2],
    )


def chunk(sums, X, epoch, workspace, lo, hi, c):
    """Set the sums of chunk c to those over the positions lo : hi."""
    rows = epoch.rows
    plan = epoch.plan
    intercept = plan.intercept
    Z = workspace.Z
    m, others, value = workspace.vectors[0], workspace.vectors[1], workspace.vectors[2]
    ties, scale = workspace.vectors[3], workspace.vectors[4]
    head = sums[c, 0]
    G = sums[c, 1:]
    _clear(X, intercept, head, G)
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(epoch.order, p, n, workspace.picked)
        prefetched = orders.row_to_prefetch(epoch.order, p, n)
        _pick(X, rows.by_column, intercept, n, prefetched, workspace)
        columns.margins(
            workspace.X,
            0,
            n,
            intercept,
            workspace.T,
            epoch.state.theta,
            workspace.tile,
            workspace.B,
        )
        if rows.offset.size:
            tiles.tile_of_chosen(rows.offset, workspace.picked, 0, n, workspace.offset)
            tiles.add_tile(workspace.offset, n, Z)
        stages.gather(rows.codes, workspace.picked, 0, n, workspace.codes)
        tiles.largest(Z, n, m)
        tiles.losses_of_codes(Z, workspace.codes, 0, n, m, value)
        tiles.exponentials(Z, n, m, others, ties)
        tiles.add_log_sums(others, n, value)
        tiles.inverses(others, n, scale)
        if rows.weight.size:
            stages.gather(rows.weight, workspace.picked, 0, n, workspace.weight)
            tiles.product(workspace.weight, 0, value, n, value)
            tiles.product(workspace.weight, 0, scale, n, scale)
            head[1] += stages.total(workspace.weight, n)
        else:
            head[1] += n
        head[0] += stages.total(value, n)
        tiles.residuals_of_codes(Z, workspace.codes, 0, n, others, scale)
        columns.accumulate(
            workspace.X, 0, n, intercept, workspace.T, workspace.tile, G, workspace.B
        )


def _pick_dense(X, by_column, intercept, n, prefetched, workspace):
    """Make the picked rows what the products read: the columns T."""
    columns.columns_at(X, by_column, workspace.picked, n, intercept, workspace.T, prefetched)


def _pick_csr(X, by_column, intercept, n, prefetched, workspace):
    stages.gather_rows(X, by_column, workspace.picked, 0, n, workspace.places)


def _clear_dense(X, intercept, head, G):
    """Set a chunk's sums to 0."""
    head[0] = 0.0
    head[1] = 0.0
    for k in range(G.shape[0]):
        for j in range(G.shape[1]):
            G[k, j] = 0.0


def _clear_csr(X, intercept, head, G):
    """Set a chunk's sums to 0; those of columns are left at 0 by every update."""
    head[0] = 0.0
    head[1] = 0.0
    if intercept:
        for k in range(G.shape[1]):
            G[0, k] = 0.0


_pick = by_storage(_pick_dense, _pick_csr)
_clear = by_storage(_clear_dense, _clear_csr)


def totals(sums, X, chunks):
    """Add up the sums of the chunks where that is not done later; return loss and weight."""
    head = sums[0, 0]
    for c in range(1, chunks):
        head[0] += sums[c, 0, 0]
        head[1] += sums[c, 0, 1]
    _total(X, chunks, sums)
    return head[0], head[1]


def _total_dense(X, chunks, sums):
    for c in range(1, chunks):
        for k in range(1, sums.shape[1]):
            for j in range(sums.shape[2]):
                sums[0, k, j] += sums[c, k, j]


def _total_csr(X, chunks, sums):
    pass


_total = by_storage(_total_dense, _total_csr)


def has_unscaled_column(sums, X, intercept, state):
    """Whether a column has a gradient and no scale yet."""
    return _unscaled(X, intercept, sums[0], state)


def _unscaled_dense(X, intercept, sums, state):
    for j in range(intercept, state.inverse.size):
        if state.moments[2, j] == 0.0:
            for k in range(1, sums.shape[0]):
                if sums[k, j] != 0.0:
                    return True
    return False


def _unscaled_csr(X, intercept, sums, state):
    return False  # the update looks at the value that it meets


_unscaled = by_storage(_unscaled_dense, _unscaled_csr)


def run_single_rows(sums, X, epoch, workspace, first, last):
    """Return that batches of one row are nothing of their own here."""
    return False


# --- an update ---------------------------------------------------------------------------


def move(sums, X, workspace, chunks, intercept, update, state):
    """Move what the update moves by the gradient alone; return whether rows are needed for more."""
    return _move(X, sums, workspace, intercept, update, state)


def move_stored(sums, X, workspace, n, intercept, update, state):
    """Move the columns that n rows hold, ``workspace.picked``."""
    _move_stored(X, sums, workspace, n, intercept, update, state)


@borrowing
def _of_class(state, k):
    """Return the state of one class of dense rows, as that of one margin is."""
    p = state.inverse.size
    return State(
        state.theta[k, :p],
        state.velocity[k, :p],
        state.squares[k, :p],
        state.average[k, :p],
        state.inverse,
        state.mean,
        state.reference,
        state.applied_steps,
        state.averaged_at,
        state.step,
        state.size[0],
        state.moments,
        state.clock,
    )


@borrowing
def _of_column(state, j, workspace):
    """Return the state of one column of sparse rows: its entries for all classes."""
    return State(
        state.theta[j],
        state.velocity[j],
        state.squares[j],
        state.average[j],
        workspace.inverse,
        workspace.zeros,
        workspace.zeros,
        workspace.zeros,
        workspace.zeros,
        state.step,
        state.size[j],
        state.moments,
        state.clock,
    )


def _move_dense(X, sums, workspace, intercept, update, state):
    p = state.inverse.size
    for k in range(state.theta.shape[0]):
        g = sums[0, 1 + k, :p]
        for j in range(p):
            g[j] *= update.scale
        of_class = _of_class(state, k)
        optimizers.sweep(update.rule, update.eta, g, intercept, of_class)
        optimizers.sweep_average(of_class)
    return False


def _move_csr(X, sums, workspace, intercept, update, state):
    rule = update.rule
    lazy = rule.optimizer == SGD or rule.optimizer == ADAGRAD
    if lazy:
        if intercept and _gradient(sums, _place(0), update.scale, workspace.g):
            _move_column(update, 0.0, 0.0, 1.0, _place(0), workspace.g, state)
        return True
    for j in range(_place(state.theta.shape[0])):
        g = workspace.g
        _gradient(sums, j, update.scale, g)
        shrinks = not (intercept and j == 0)
        for k in range(g.size):
            workspace.inverse[k] = state.inverse[j]
        of_column = _of_column(state, j, workspace)
        optimizers.steps(rule, update.eta, g, of_column)
        optimizers.take(0, rule.l1 if shrinks else 0.0, rule.l2 if shrinks else 0.0, of_column)
        optimizers.sweep_average(of_column)
    return False


@stage
def _gradient(sums, j, scale, g):
    """Set g to a column's gradient, and its sums to 0; return whether an entry is not 0."""
    size = _place(g.size)
    for k in range(size):
        g[k] = 0.0
    for c in range(sums.shape[0]):
        at = sums[c, j + _place(1)]
        for k in range(size):
            g[k] += at[k]
            at[k] = 0.0
    held = _place(0)
    for k in range(size):
        held += _place(1) if g[k] != 0.0 else _place(0)
        g[k] *= scale
    return held > _place(0)


def _move_stored_dense(X, sums, workspace, n, intercept, update, state):
    pass


def _move_stored_csr(X, sums, workspace, n, intercept, update, state):
    rule = update.rule
    shift = _place(intercept)
    for i in range(n):
        row = workspace.picked[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            j = _place(X.indices[k]) + shift
            if _gradient(sums, j, update.scale, workspace.g):
                x = np.float64(X.data[k])
                _move_column(update, rule.l1, rule.l2, x, j, workspace.g, state)


@stage
def _move_column(update, l1, l2, x, j, g, state):
    """Move a column's coefficients of all classes; pay what penalty and average owe.

    x is a value of the column.
    """
    if state.inverse[j] == 0.0:  # the scale of a column that was never looked at: its value here
        state.moments[1, j] = x * x
        state.moments[2, j] = 1.0
        state.inverse[j] = 1.0 / abs(x)
    rule = update.rule
    inverse = state.inverse[j]
    adapts = rule.optimizer == ADAGRAD
    owed = state.clock[0].steps - update.eta - state.applied_steps[j]
    now = float(state.clock[0].averaged)
    weights = optimizers.average_weights(now)
    averaged_at = state.averaged_at[j]
    theta = state.theta[j]
    squares = state.squares[j]
    length = state.size[j]
    average = state.average[j]
    for k in range(_place(g.size)):
        before = theta[k]
        if adapts:
            squares[k] += g[k] * g[k]
        metric = optimizers.metric(adapts, inverse, squares[k], rule.epsilon)
        w = optimizers.lazy_move(before, g[k], metric, length[k], owed, l1, l2, update.eta)
        length[k] = metric
        theta[k] = w
        if now > 0.0:
            average[k] = optimizers.averaged(average[k], averaged_at, weights, before, w)
    state.applied_steps[j] = state.clock[0].steps
    state.averaged_at[j] = now


_move = by_storage(_move_dense, _move_csr)
_move_stored = by_storage(_move_stored_dense, _move_stored_csr)
