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

from fastlogreg.backends.numba.intrinsics import (
    atomic_load,
    atomic_store,
    compare_exchange,
    give_way,
    pause,
)
from fastlogreg.backends.numba.jit import borrowing, by_outputs, kernel
from fastlogreg.backends.numba.minibatch import one_margin, optimizers, scales, single, softmax
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.optimizers import Update
from fastlogreg.backends.numba.minibatch.order import Order
from fastlogreg.backends.numba.minibatch.plan import Plan, chunk_range
from fastlogreg.backends.numba.minibatch.state import Rule, State
from fastlogreg.backends.numba.passes import softmax_kernels
from fastlogreg.backends.numba.passes.kernels import Rows

_INFINITY = float("inf")
LINE = 8  # words of a cache line
LEADER = -1  # the ``begin`` of the leader
_BATCH, _CLOSED = 0, -1  # the word of control that names the open batch, and its value at the end
_SPINS_BEFORE_YIELD = 4096  # rounds of a waiting loop before the core is offered to others
_SPINS_BEFORE_LEAVING = 1 << 25  # rounds after which a worker leaves: the leader was interrupted


class Epoch(NamedTuple):
    """What the threads of a group share.

    ``sums`` has an entry for each chunk: of one dimension (:mod:`.one_margin`) or of two
    (:mod:`.softmax`).
    ``control`` has a word for the open batch and one for each chunk, each in a cache line of its
    own, and is 0 where the threads start. ``losses`` takes the mean loss of each batch, if it is
    not empty.
    """

    rows: Rows | softmax_kernels.Rows
    order: Order
    plan: Plan
    rule: Rule
    state: State
    sums: NDArray[np.float64]
    control: NDArray[np.int64]
    losses: NDArray[np.float64]


workspace_of = by_outputs(one_margin.workspace, softmax.workspace, allocates=True)
run_single_rows = by_outputs(single.run, softmax.run_single_rows)
# merged: each level of calls copies what an epoch holds, 1 us of 2.3 for 8 rows
chunk = by_outputs(one_margin.chunk, softmax.chunk, is_merged=True)
totals = by_outputs(one_margin.totals, softmax.totals, is_merged=True)
has_unscaled_column = by_outputs(
    one_margin.has_unscaled_column, softmax.has_unscaled_column, is_merged=True
)
move = by_outputs(one_margin.move, softmax.move, is_merged=True)
move_stored = by_outputs(one_margin.move_stored, softmax.move_stored, is_merged=True)


@borrowing
def _run_free_chunks(epoch, X, workspace, k, turn, begin):
    """Do the chunks of batch k that nobody has taken, from ``begin`` on."""
    chunks = epoch.plan.chunks
    control = epoch.control
    for i in range(chunks):
        c = (begin + i) % chunks
        word = (1 + c) * LINE  # 2 turn - 1: somebody does the chunk; 2 turn: it is done
        free = 2 * turn - 2
        if atomic_load(control, word) == free and compare_exchange(control, word, free, free + 1):
            lo, hi = chunk_range(epoch.plan, k, c)
            chunk(epoch.sums, X, epoch, workspace, lo, hi, c)
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
def _move_stored(epoch, X, workspace, update, lo, hi):
    """Move the columns that the positions lo : hi hold."""
    plan = epoch.plan
    for p in range(lo, hi, plan.block):
        n = min(plan.block, hi - p)
        orders.fill(epoch.order, p, n, workspace.picked)
        move_stored(epoch.sums, X, workspace, n, plan.intercept, update, epoch.state)


@borrowing
def _finish_batch(epoch, X, workspace, k):
    """Make the update of batch k from its chunks' sums; return whether they are finite."""
    plan = epoch.plan
    rule = epoch.rule
    state = epoch.state
    sums = epoch.sums
    clock = state.clock[0]
    loss, weight = totals(sums, X, plan.chunks)
    if rule.stops and not abs(loss) < _INFINITY:
        clock.failed = 1
        return False
    n = min(plan.batch, plan.samples - k * plan.batch)
    if epoch.losses.size:
        epoch.losses[k] = loss / weight
    clock.loss += loss
    clock.weight += weight
    if scales.updates_scales(rule, clock) or (
        rule.learns_scales and has_unscaled_column(sums, X, plan.intercept, state)
    ):
        for c in range(plan.chunks):
            lo, hi = chunk_range(plan, k, c)
            scales.learn(epoch, X, workspace.picked, lo, hi)
    eta = optimizers.step_length(rule, clock)
    update = Update(rule, eta, 1.0 / n)
    if move(sums, X, workspace, plan.chunks, plan.intercept, update, state):
        for c in range(plan.chunks):
            lo, hi = chunk_range(plan, k, c)
            _move_stored(epoch, X, workspace, update, lo, hi)
    clock.updates += 1
    clock.samples += n
    return True


@borrowing
def _run_leader(epoch, X, workspace, first, last):
    for k in range(first, last):
        turn = k - first + 1
        atomic_store(epoch.control, _BATCH, turn)
        _run_free_chunks(epoch, X, workspace, k, turn, 0)
        _wait_for_chunks(epoch.plan.chunks, turn, epoch.control)
        if not _finish_batch(epoch, X, workspace, k):
            break
    atomic_store(epoch.control, _BATCH, _CLOSED)


@borrowing
def _run_worker(epoch, X, workspace, first, begin):
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
        _run_free_chunks(epoch, X, workspace, first + turn - 1, turn, begin)


@kernel
def train(X, epoch, first, last, begin):
    """Run the batches first <= k < last, as the leader or as a worker.

    A worker takes chunks from ``begin`` on. All threads of a group get the same ``epoch``.
    """
    workspace = workspace_of(epoch.sums, X, epoch)
    if epoch.plan.batch == 1 and run_single_rows(epoch.sums, X, epoch, workspace, first, last):
        return
    if begin == LEADER:
        _run_leader(epoch, X, workspace, first, last)
    else:
        _run_worker(epoch, X, workspace, first, begin)
