"""The compiled kernels of passes for several problems that share rows, such as folds.

Each has its own theta, and so its own column of margins, and its own set of rows. As
:mod:`.softmax_kernels`, with a stage between that takes each column for itself. They are compiled
when sets of rows are first asked for.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import call_at
from fastlogreg.backends.numba.jit import allocating, exact, kernel, merged, parallel_kernel, prange
from fastlogreg.backends.numba.stages import products
from fastlogreg.backends.numba.stages.csr import Csr


class Rows(NamedTuple):
    """What goes with each row of X; see :class:`.kernels.Rows`.

    ``members`` (sets, n) says how often each row is in a set; ``chosen`` is empty.
    """

    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    members: NDArray[np.uint8]
    chosen: NDArray[np.int64]
    by_column: int


class Model(NamedTuple):
    """Parameters W as :mod:`.stages.products` lays them out, m columns and the set of each."""

    W: NDArray[np.float64]
    sets: NDArray[np.int64]
    intercept: int
    kind: int
    scale: float


class Sums(NamedTuple):
    """What a pass fills: losses (chunks, m), gradients (chunks, shape of W), or largest sizes.

    An array without a size is left out. ``sizes`` (chunks, m) are of the margins, without offset,
    in rows of a set with weight; with them nothing else is filled.
    """

    losses: NDArray[np.float64]
    gradients: NDArray[np.float64]
    sizes: NDArray[np.float64]


class Workspace(NamedTuple):
    """Where blocks are worked on: rows of X or copies of them, tiles (m, rows), three vectors.

    Z has rows up to a multiple as :mod:`.stages.products` takes them.
    """

    X: NDArray[np.floating] | Csr
    buffer: NDArray[np.generic]
    Z: NDArray[np.float64]
    B: NDArray[np.float64]
    largest: NDArray[np.float64]
    vectors: NDArray[np.float64]


@allocating
def _workspace(X, rows, model, block):
    copies = products.copies(X, rows.by_column)
    buffer = products.row_buffer(X, rows.by_column, block if copies else 0)
    width = model.W.shape[1]
    Z = products.aligned(width * (block + 8)).reshape((width, block + 8))
    Z[:] = 0.0
    return Workspace(
        products.rows(X, copies, buffer),
        buffer,
        Z,
        products.aligned((block + 8) * width).reshape((block + 8, width)),
        np.empty((model.sets.size, block)),
        products.aligned(3 * block).reshape((3, block)),
    )


@exact
def keep_members(members, lo, n, value, residual):
    """Multiply value and residual by how often a row is in the set; 0 where it isn't at all."""
    counts = members[lo : lo + n]
    for i in range(counts.size):
        times = np.float64(counts[i])
        value[i] = value[i] * times if times > 0.0 else 0.0
        residual[i] = residual[i] * times if times > 0.0 else 0.0


@exact
def raise_to_members(members, lo, n, z, largest):
    """Raise largest[:n] to the sizes of z in rows of the set; NaN goes through."""
    counts = members[lo : lo + n]
    for i in range(counts.size):
        size = abs(z[i]) if counts[i] != 0 else 0.0
        largest[i] = largest[i] if size <= largest[i] else size


@exact
def largest_of(values):
    """Return the largest of values, infinity where one is NaN."""
    found = 0.0
    for i in range(values.size):
        found = found if values[i] <= found else values[i]
        if not found == found:
            return np.inf
    return found


@merged
def _blocks(X, rows, work, model, cut, c, out):
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    value, residual, curvature = work.vectors[0], work.vectors[1], work.vectors[2]
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        row = start
        if products.copies(X, rows.by_column):
            products.copy_rows(X, rows.by_column, start, n, work.buffer)
            row = 0
        products.margins(work.X, row, n, model.intercept, model.W, work.Z, work.B)
        for k in range(model.sets.size):
            z, members = work.Z[k], rows.members[model.sets[k]]
            if out.sizes.size:
                raise_to_members(members, start, n, z, work.largest[k])
                continue
            if rows.offset.size:
                stages.add(rows.offset, start, n, z)
            jets = (value, residual, curvature)
            stages.pointwise(model.kind, model.scale, z, rows.y, start, n, jets)
            if rows.weight.size:
                stages.apply_weights(rows.weight, start, n, value, residual, curvature)
            keep_members(members, start, n, value, residual)
            out.losses[c, k] += stages.total(value, n)
            stages.copy(residual, 0, n, z)
        if out.gradients.size:
            products.accumulate(work.X, row, n, model.intercept, work.Z, out.gradients[c], work.B)


@kernel
def evaluate(X, rows, model, cut, first, last, out):
    """Fill what ``out`` (:class:`Sums`) has room for, for the chunks first <= c < last."""
    work = _workspace(X, rows, model, cut.block)
    for c in range(first, last):
        out.losses[c] = 0.0
        out.gradients[c] = 0.0
        work.largest[:] = 0.0
        _blocks(X, rows, work, model, cut, c, out)
        if out.sizes.size:
            for k in range(model.sets.size):
                out.sizes[c, k] = largest_of(work.largest[k])


@parallel_kernel
def evaluate_on_threads(address, X, rows, model, cut, first, last, out):
    """Do as evaluate does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, rows, model, cut, c, c + 1, out))
    return failed.any()
