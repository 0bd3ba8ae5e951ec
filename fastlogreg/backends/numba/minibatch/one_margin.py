"""A batch of rows with one margin each: the sums of its chunks, and the update.

``sums[c]`` is the loss, the weight and the gradient of chunk c.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.minibatch import optimizers, scales
from fastlogreg.backends.numba.minibatch import order as orders

_COLUMNS = 257  # sparse columns that are moved together, and one


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
    fetched: NDArray[np.float64]
    places: NDArray[np.int64]
    gradients: NDArray[np.float64]


def workspace(sums, X, epoch):
    """Return a workspace for blocks of the epoch."""
    block = epoch.plan.block
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
        np.empty(1),
        np.empty(_COLUMNS, np.int64),
        np.empty(_COLUMNS),
    )


def chunk(all_sums, X, epoch, workspace, lo, hi, c):
    """Set the sums of chunk c to those over the positions lo : hi."""
    sums = all_sums[c]
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
        window = orders.window_to_fetch(order, p, n)
        if window >= 0:
            starts = order.starts[window]
            workspace.fetched[0] = stages.fetch(X, rows.by_column, starts, order.height)
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


def totals(sums, X, chunks):
    """Add up the sums of the chunks where that is not done later; return loss and weight."""
    optimizers.total_chunks(X, chunks, sums)
    return sums[0, 0], sums[0, 1]


def has_unscaled_column(sums, X, intercept, state):
    """Whether a column has a gradient and no scale yet."""
    return scales.has_unscaled_column(X, intercept, sums[0], state)


def move(sums, X, workspace, chunks, intercept, update, state):
    """Move what the update moves by the gradient alone; return whether rows are needed for more."""
    return optimizers.move(X, chunks, intercept, update, sums, state)


def move_stored(sums, X, workspace, n, intercept, update, state):
    """Move the columns that n rows hold, ``workspace.picked``."""
    optimizers.move_stored(X, workspace, n, intercept, update, sums, state)
