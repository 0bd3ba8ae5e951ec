"""The mini-batch loop, compiled: many batches in one call, each on one thread or on several.

A batch of some work is cut into chunks by its shape alone; each chunk has its own sums, which are
added in the order of the chunks, so that the result is the same to the bit for any number of
threads. The threads of a group run the loop together: the leader opens each batch, finishes it and
makes the update; the others are workers. Opening is one atomic store, and whoever is there takes
the chunks that nobody has taken; the leader takes them too and waits for nobody who has not begun.
So a worker that comes late, or never, costs time and nothing else, and no thread waits for one that
does not run.

A parallel loop of OpenMP would take 5 us a batch and a pool of Python threads 30, where the batches
of the common sizes take 3 to 50.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import (
    atomic_load,
    atomic_store,
    compare_exchange,
    give_way,
    pause,
)
from fastlogreg.backends.numba.jit import allocating, borrowing, kernel
from fastlogreg.backends.numba.minibatch import optimizers, scales, single
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.optimizers import Update
from fastlogreg.backends.numba.minibatch.order import Order
from fastlogreg.backends.numba.minibatch.plan import Plan
from fastlogreg.backends.numba.minibatch.state import ADAGRAD, ADAM, SGD, Rule, State
from fastlogreg.backends.numba.passes.kernels import Rows

_COLUMNS = 257  # sparse columns that are moved together, and one
_ROWS_AHEAD = 8  # how far ahead rows are fetched that come one by one
_INFINITY = float("inf")
LINE = 8  # words of a cache line
LEADER = -1  # the ``begin`` of the leader
_BATCH, _CLOSED = 0, -1  # the word of control that names the open batch, and its value at the end
_SPINS_BEFORE_YIELD = 4096  # rounds of a waiting loop before the core is offered to others
_SPINS_BEFORE_LEAVING = 1 << 25  # rounds after which a worker leaves: the leader was interrupted


class Epoch(NamedTuple):
    """What the threads of a group share.

    ``sums`` are (chunks, 2 + p or more): the loss, the weight and the gradient of each chunk.
    ``control`` has a word for the open batch and one for each chunk, each in a cache line of its
    own, and is 0 where the threads start. ``losses`` takes the mean loss of each batch, if it is
    not empty.
    """

    rows: Rows
    order: Order
    plan: Plan
    rule: Rule
    state: State
    sums: NDArray[np.float64]
    control: NDArray[np.int64]
    losses: NDArray[np.float64]


class BatchWorkspace(NamedTuple):
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
def _workspace(block):
    buffers = np.empty((7, block))
    return BatchWorkspace(
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
def _chunk_range(plan, k, c):
    """Return the positions lo, hi of chunk c of batch k."""
    before = c * plan.chunk
    if (k + 1) * plan.batch <= plan.samples:
        lo = k * plan.batch_stride + c * plan.chunk_stride
        return lo, lo + min(plan.chunk, plan.batch - before)
    lo = min(plan.samples // plan.batch * plan.batch + before, plan.samples)
    return lo, min(lo + plan.chunk, plan.samples)


@borrowing
def _chunk(X, epoch, workspace, lo, hi, sums):
    """Set sums to (loss, weight, gradient) over the positions lo : hi."""
    rows = epoch.rows
    order = epoch.order
    plan = epoch.plan
    intercept = plan.intercept
    b = epoch.state.theta[0] if intercept else 0.0
    w = epoch.state.theta[intercept:]
    g = sums[2 + intercept :]
    optimizers.clear(X, 2 + intercept, sums)
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(order, p, n, workspace.picked)
        stages.margins_at(X, rows.by_column, workspace.picked, n, w, b, workspace.margin)
        if rows.offset.size:
            stages.gather(rows.offset, workspace.picked, 0, n, workspace.offset)
            stages.add(workspace.offset, 0, n, workspace.margin)
        stages.gather(rows.y, workspace.picked, 0, n, workspace.y)
        stages.pointwise(
            plan.kind,
            plan.scale,
            workspace.margin,
            workspace.y,
            0,
            n,
            (workspace.value, workspace.residual, workspace.curvature),
        )
        if rows.weight.size:
            stages.gather(rows.weight, workspace.picked, 0, n, workspace.weight)
            stages.apply_weights(
                workspace.weight, 0, n, workspace.value, workspace.residual, workspace.curvature
            )
            sums[1] += stages.total(workspace.weight, n)
        else:
            sums[1] += n
        sums[0] += stages.total(workspace.value, n)
        if intercept:
            sums[2] += stages.total(workspace.residual, n)
        prefetched = orders.row_to_prefetch(order, p, n)
        stages.accumulate_at(
            X, rows.by_column, workspace.picked, n, workspace.residual, g, prefetched
        )


@borrowing
def _run_free_chunks(X, epoch, workspace, k, turn, begin):
    """Do the chunks of batch k that nobody has taken, from ``begin`` on."""
    chunks = epoch.plan.chunks
    control = epoch.control
    for i in range(chunks):
        c = (begin + i) % chunks
        word = (1 + c) * LINE  # 2 turn - 1: somebody does the chunk; 2 turn: it is done
        free = 2 * turn - 2
        if atomic_load(control, word) == free and compare_exchange(control, word, free, free + 1):
            lo, hi = _chunk_range(epoch.plan, k, c)
            _chunk(X, epoch, workspace, lo, hi, epoch.sums[c])
            atomic_store(control, word, free + 2)


@borrowing
def _wait_for_chunks(chunks, turn, control):
    """Wait until all chunks are done."""
    for c in range(chunks):
        spins = 0
        while atomic_load(control, (1 + c) * LINE) != 2 * turn:
            spins += 1
            if spins % _SPINS_BEFORE_YIELD:
                pause()
            else:
                give_way()


@borrowing
def _learn_scales(X, epoch, index, lo, hi):
    """Learn scales from the positions lo : hi."""
    plan = epoch.plan
    state = epoch.state
    by_column = epoch.rows.by_column
    intercept = plan.intercept
    centres = epoch.rule.centres
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(epoch.order, p, n, index)
        if state.clock[0].scale_samples == 0:
            scales.set_reference(X, by_column, index[0], intercept, centres, state)
        scales.add_moments(X, by_column, index, n, intercept, state)
        state.clock[0].scale_samples += n
        scales.set_scales(X, index, n, intercept, centres, state)


@borrowing
def _move_stored(X, epoch, workspace, update, lo, hi):
    """Move the columns that the positions lo : hi hold."""
    plan = epoch.plan
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(epoch.order, p, n, workspace.picked)
        optimizers.move_stored(X, workspace, n, plan.intercept, update, epoch.sums, epoch.state)


@borrowing
def _step_length(rule, by_row_square, clock):
    """Return the rate of an update and take note of it."""
    eta = optimizers.rate(rule, clock) * scales.scale_confidence(rule, clock)
    if by_row_square:
        eta /= scales.row_square(rule, clock)
    clock.steps += eta
    if rule.average_from >= 0.0 and clock.samples >= rule.average_from:
        clock.averaged += 1
    return eta


@borrowing
def _finish_batch(X, epoch, workspace, k):
    """Make the update of batch k from its chunks' sums; return whether they are finite."""
    plan = epoch.plan
    rule = epoch.rule
    state = epoch.state
    sums = epoch.sums
    clock = state.clock[0]
    optimizers.total_chunks(X, plan.chunks, sums)
    loss = sums[0, 0]
    if rule.stops and not abs(loss) < _INFINITY:
        clock.failed = 1
        return False
    n = min(plan.batch, plan.samples - k * plan.batch)
    if epoch.losses.size:
        epoch.losses[k] = loss / sums[0, 1]
    clock.loss += loss
    clock.weight += sums[0, 1]
    if scales.updates_scales(rule, clock) or (
        rule.learns_scales and scales.has_unscaled_column(X, plan.intercept, sums[0], state)
    ):
        for c in range(plan.chunks):
            lo, hi = _chunk_range(plan, k, c)
            _learn_scales(X, epoch, workspace.picked, lo, hi)
    adapts = rule.optimizer == ADAGRAD or rule.optimizer == ADAM
    update = Update(rule, _step_length(rule, not adapts, clock), 1.0 / n)
    if optimizers.move(X, plan.chunks, plan.intercept, update, sums, state):
        for c in range(plan.chunks):
            lo, hi = _chunk_range(plan, k, c)
            _move_stored(X, epoch, workspace, update, lo, hi)
    clock.updates += 1
    clock.samples += n
    return True


@borrowing
def _run_single_rows(X, epoch, workspace, first, last):
    """Make the updates first <= k < last, of one row each."""
    rows = epoch.rows
    plan = epoch.plan
    rule = epoch.rule
    state = epoch.state
    clock = state.clock[0]
    theta = state.theta
    intercept = plan.intercept
    picked = workspace.picked
    columns = single.columns_of(state, intercept)
    has_unscaled_column = rule.learns_scales == 1
    for k in range(first, last):
        i = (k - first) % plan.block
        if i == 0:
            orders.fill(epoch.order, k, min(plan.block, last - k), picked)
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
            clock.failed = 1
            return
        if epoch.losses.size:
            epoch.losses[k] = value
        clock.loss += weight * value
        clock.weight += weight
        if scales.updates_scales(rule, clock) or (
            has_unscaled_column
            and single.holds_unscaled_column(X, rows.by_column, row, intercept, state)
        ):
            _learn_scales(X, epoch, workspace.places, k, k + 1)
            has_unscaled_column = single.any_unscaled_column(X, intercept, state)
        eta = _step_length(rule, rule.optimizer == SGD, clock)
        residual *= weight
        single.step(X, rows.by_column, row, residual, Update(rule, eta, 1.0), columns, state)
        optimizers.sweep_average(state)
        clock.updates += 1
        clock.samples += 1


@borrowing
def _run_leader(X, epoch, workspace, first, last):
    for k in range(first, last):
        turn = k - first + 1
        atomic_store(epoch.control, _BATCH, turn)
        _run_free_chunks(X, epoch, workspace, k, turn, 0)
        _wait_for_chunks(epoch.plan.chunks, turn, epoch.control)
        if not _finish_batch(X, epoch, workspace, k):
            break
    atomic_store(epoch.control, _BATCH, _CLOSED)


@borrowing
def _run_worker(X, epoch, workspace, first, begin):
    last_turn = 0
    spins = 0
    while True:
        turn = atomic_load(epoch.control, _BATCH)
        if turn == _CLOSED:
            return
        if turn == last_turn:
            spins += 1
            if spins == _SPINS_BEFORE_LEAVING:
                return
            if spins % _SPINS_BEFORE_YIELD:
                pause()
            else:
                give_way()
            continue
        last_turn = turn
        spins = 0
        _run_free_chunks(X, epoch, workspace, first + turn - 1, turn, begin)


@kernel
def train(X, epoch, first, last, begin):
    """Run the batches first <= k < last, as the leader or as a worker.

    A worker takes chunks from ``begin`` on. All threads of a group get the same ``epoch``.
    """
    workspace = _workspace(epoch.plan.block)
    if epoch.plan.batch == 1 and single.handles(X, epoch.rule):
        _run_single_rows(X, epoch, workspace, first, last)
    elif begin == LEADER:
        _run_leader(X, epoch, workspace, first, last)
    else:
        _run_worker(X, epoch, workspace, first, begin)
