"""The mini-batch loop, compiled: many batches in one call, each on one thread or on several.

A batch of some work is cut into chunks by its shape alone; each chunk has its own sums, which are
added in the order of the chunks, so that the result is the same to the bit for any number of
threads. Threads join the loop as a team: one leads (it opens each batch, closes it and makes the
update), the others help. Opening is one atomic store, and whoever is there takes the chunks that
nobody has taken; the leader takes them too and waits for nobody who has not begun. So a helper that
comes late, or never, costs time and nothing else, and no thread waits for one that does not run.

A parallel loop of OpenMP would take 5 us a batch and a pool of Python threads 30, where the batches
of the common sizes take 3 to 50.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import order as orders
from fastlogreg.backends.numba import single, stages, updates
from fastlogreg.backends.numba.intrinsics import (
    atomic_load,
    atomic_store,
    compare_exchange,
    give_way,
    pause,
)
from fastlogreg.backends.numba.jit import allocating, borrowing, kernel
from fastlogreg.backends.numba.updates import (
    AVERAGED,
    FAILED,
    LOSS,
    SAMPLES,
    SEEN,
    STEPS,
    UPDATES,
    WEIGHT,
)

_COLUMNS = 257  # sparse columns that are moved together, and one
_ROWS_AHEAD = 8  # how far ahead rows are fetched that come one by one
_INFINITY = float("inf")
LINE = 8  # words of a cache line
LEADER = -1  # the ``begin`` of who leads
_BATCH, _CLOSED = 0, -1  # the word of control that names the open batch, and its value at the end
_PATIENCE = 4096  # turns of a waiting loop before the core is offered to others
_TOO_LONG = 1 << 25  # turns after which a helper leaves: the leader was interrupted


class Plan(NamedTuple):
    """How an epoch of ``samples`` positions is cut, and what is computed.

    Batch k is ``chunks`` runs of ``chunk`` positions from ``k * stride + c * lane``; what is left
    after the last whole batch is one smaller batch, cut in the same way.
    """

    samples: int
    batch: int
    chunks: int
    chunk: int
    stride: int
    lane: int
    block: int
    intercept: int
    kind: int
    scale: float


class Desk(NamedTuple):
    """Where one thread works on a block: the rows picked, a buffer for each part of the jets."""

    picked: NDArray[np.int64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    value: NDArray[np.float64]
    residual: NDArray[np.float64]
    curvature: NDArray[np.float64]
    margin: NDArray[np.float64]
    places: NDArray[np.int64]
    gradients: NDArray[np.float64]


@allocating
def _desk(block):
    buffers = np.empty((7, block))
    return Desk(
        np.empty(block, np.int64),
        buffers[0],
        buffers[1],
        buffers[2],
        buffers[3],
        buffers[4],
        buffers[5],
        buffers[6],
        np.empty(_COLUMNS, np.int64),
        np.empty(_COLUMNS),
    )


@borrowing
def _span(plan, k, c):
    """Return the positions lo, hi of chunk c of batch k."""
    before = c * plan.chunk
    if (k + 1) * plan.batch <= plan.samples:
        lo = k * plan.stride + c * plan.lane
        return lo, lo + min(plan.chunk, plan.batch - before)
    lo = min(plan.samples // plan.batch * plan.batch + before, plan.samples)
    return lo, min(lo + plan.chunk, plan.samples)


@borrowing
def _chunk(X, rows, order, plan, theta, desk, lo, hi, sums):
    """Set sums to (loss, weight, gradient) over the positions lo : hi."""
    intercept = plan.intercept
    b = theta[0] if intercept else 0.0
    w = theta[intercept:]
    g = sums[2 + intercept :]
    updates.clear(X, 2 + intercept, sums)
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(order, p, n, desk.picked)
        stages.margins_at(X, rows.by_column, desk.picked, n, w, b, desk.margin)
        if rows.offset.size:
            stages.gather(rows.offset, desk.picked, 0, n, desk.offset)
            stages.add(desk.offset, 0, n, desk.margin)
        stages.gather(rows.y, desk.picked, 0, n, desk.y)
        stages.pointwise(
            plan.kind,
            plan.scale,
            desk.margin,
            desk.y,
            0,
            n,
            desk.value,
            desk.residual,
            desk.curvature,
        )
        if rows.weight.size:
            stages.gather(rows.weight, desk.picked, 0, n, desk.weight)
            stages.apply_weights(desk.weight, 0, n, desk.value, desk.residual, desk.curvature)
            sums[1] += stages.total(desk.weight, n)
        else:
            sums[1] += n
        sums[0] += stages.total(desk.value, n)
        if intercept:
            sums[2] += stages.total(desk.residual, n)
        later = orders.ahead(order, p, n)
        stages.accumulate_at(X, rows.by_column, desk.picked, n, desk.residual, g, later)


@borrowing
def _take(X, rows, order, plan, theta, desk, k, turn, begin, sums, control):
    """Do the chunks of batch k that nobody has taken, from ``begin`` on."""
    for i in range(plan.chunks):
        c = (begin + i) % plan.chunks
        word = (1 + c) * LINE  # 2 turn - 1: somebody does the chunk; 2 turn: it is done
        free = 2 * turn - 2
        if atomic_load(control, word) == free and compare_exchange(control, word, free, free + 1):
            lo, hi = _span(plan, k, c)
            _chunk(X, rows, order, plan, theta, desk, lo, hi, sums[c])
            atomic_store(control, word, free + 2)


@borrowing
def _await(plan, turn, control):
    """Wait until all chunks are done."""
    for c in range(plan.chunks):
        turns = 0
        while atomic_load(control, (1 + c) * LINE) != 2 * turn:
            turns += 1
            if turns % _PATIENCE:
                pause()
            else:
                give_way()


@borrowing
def _look(X, rows, order, plan, rule, state, index, lo, hi):
    """Learn scales from the positions lo : hi."""
    intercept = plan.intercept
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(order, p, n, index)
        if state.clock[SEEN] == 0.0:
            updates.first_row(X, rows.by_column, index[0], intercept, rule.centres, state)
        updates.look(X, rows.by_column, index, n, intercept, state)
        state.clock[SEEN] += n
        updates.learn(X, index, n, intercept, rule.centres, state)


@borrowing
def _move_stored(X, order, plan, rule, eta, state, desk, lo, hi, scale, sums):
    """Move the columns that the positions lo : hi hold."""
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(order, p, n, desk.picked)
        updates.move_stored(
            X,
            desk.picked,
            n,
            plan.intercept,
            scale,
            rule,
            eta,
            sums,
            state,
            desk.places,
            desk.gradients,
        )


@borrowing
def _close(X, rows, order, plan, rule, state, desk, k, sums, losses):
    """Make the update of batch k from its chunks' sums; return whether they are finite."""
    clock = state.clock
    updates.total_chunks(X, plan.chunks, sums)
    loss = sums[0, 0]
    if rule.stops and not abs(loss) < _INFINITY:
        clock[FAILED] = 1.0
        return False
    n = min(plan.batch, plan.samples - k * plan.batch)
    if losses.size:
        losses[k] = loss / sums[0, 1]
    clock[LOSS] += loss
    clock[WEIGHT] += sums[0, 1]
    looks = updates.looks(rule, clock, k)
    if looks or (rule.learns_scales and updates.unseen(X, plan.intercept, sums[0], state)):
        for c in range(plan.chunks):
            lo, hi = _span(plan, k, c)
            _look(X, rows, order, plan, rule, state, desk.picked, lo, hi)
    eta = updates.rate(rule, clock) * updates.certainty(rule, clock)
    if rule.optimizer != updates.ADAGRAD and rule.optimizer != updates.ADAM:
        eta /= updates.row_square(rule, clock)
    clock[STEPS] += eta
    if rule.average_from >= 0.0 and clock[SAMPLES] >= rule.average_from:
        clock[AVERAGED] += 1.0
    scale = 1.0 / n
    by_row = updates.move(X, plan.chunks, plan.intercept, scale, rule, eta, sums, state)
    if by_row:
        for c in range(plan.chunks):
            lo, hi = _span(plan, k, c)
            _move_stored(X, order, plan, rule, eta, state, desk, lo, hi, scale, sums)
    clock[UPDATES] += 1.0
    clock[SAMPLES] += n
    return True


@borrowing
def _one_by_one(X, rows, order, plan, rule, state, desk, losses, first, last):
    """Make the updates first <= k < last, of one row each."""
    clock = state.clock
    theta = state.theta
    intercept = plan.intercept
    picked = desk.picked
    columns = single.columns_of(state, intercept)
    unseen = rule.learns_scales == 1
    for k in range(first, last):
        i = (k - first) % plan.block
        if i == 0:
            orders.fill(order, k, min(plan.block, last - k), picked)
        row = picked[i]
        if i + _ROWS_AHEAD < min(plan.block, last - k + i):
            single.fetch(X, rows.by_column, picked[i + _ROWS_AHEAD])
        b = theta[0] if intercept else 0.0
        z = single.margin(X, rows.by_column, row, columns.w, b)
        if rows.offset.size:
            z += rows.offset[row]
        value, residual = stages.jet(plan.kind, plan.scale, z, rows.y[row])
        weight = 1.0
        if rows.weight.size:
            weight = rows.weight[row]
        if rule.stops and not abs(weight * value) < _INFINITY:
            clock[FAILED] = 1.0
            return
        if losses.size:
            losses[k] = value
        clock[LOSS] += weight * value
        clock[WEIGHT] += weight
        if updates.looks(rule, clock, k) or (
            unseen and single.holds_unseen(X, rows.by_column, row, intercept, state)
        ):
            _look(X, rows, order, plan, rule, state, desk.places, k, k + 1)
            unseen = single.any_unseen(X, intercept, state)
        eta = updates.rate(rule, clock) * updates.certainty(rule, clock)
        if rule.optimizer == updates.SGD:
            eta /= updates.row_square(rule, clock)
        clock[STEPS] += eta
        if rule.average_from >= 0.0 and clock[SAMPLES] >= rule.average_from:
            clock[AVERAGED] += 1.0
        residual *= weight
        single.step(X, rows.by_column, row, residual, rule, eta, columns, theta, state.squares)
        updates.sweep_average(rule, state)
        clock[UPDATES] += 1.0
        clock[SAMPLES] += 1.0


@borrowing
def _lead(X, rows, order, plan, rule, state, desk, sums, control, losses, first, last):
    for k in range(first, last):
        turn = k - first + 1
        atomic_store(control, _BATCH, turn)
        _take(X, rows, order, plan, state.theta, desk, k, turn, 0, sums, control)
        _await(plan, turn, control)
        if not _close(X, rows, order, plan, rule, state, desk, k, sums, losses):
            break
    atomic_store(control, _BATCH, _CLOSED)


@borrowing
def _help(X, rows, order, plan, state, desk, sums, control, first, begin):
    seen = 0
    turns = 0
    while True:
        turn = atomic_load(control, _BATCH)
        if turn == _CLOSED:
            return
        if turn == seen:
            turns += 1
            if turns == _TOO_LONG:
                return
            if turns % _PATIENCE:
                pause()
            else:
                give_way()
            continue
        seen = turn
        turns = 0
        k = first + turn - 1
        _take(X, rows, order, plan, state.theta, desk, k, turn, begin, sums, control)


@kernel
def train(X, rows, order, plan, rule, state, sums, control, losses, first, last, begin):
    """Lead the batches first <= k < last, or help; a helper looks for chunks from ``begin`` on.

    All threads of a team get the same arguments; ``control`` must be 0 where they start.
    """
    desk = _desk(plan.block)
    if plan.batch == 1 and single.can(X, rule):
        _one_by_one(X, rows, order, plan, rule, state, desk, losses, first, last)
    elif begin == LEADER:
        _lead(X, rows, order, plan, rule, state, desk, sums, control, losses, first, last)
    else:
        _help(X, rows, order, plan, state, desk, sums, control, first, begin)
