"""The compiled kernels: stages put together over blocks, blocks over chunks.

A kernel gets the rows and the model as NamedTuples of read-only arrays, so that each
has one signature for each storage of X, and a range of chunks to do. The driver decides
which thread does which chunks; no kernel knows of threads but the ``_on_threads`` forms. These
hand chunks to ``prange`` and call the other form by its address, so that its machine code is
made once: as a function that Numba knows it would be optimized anew at each of the four levels
of calls that ``prange`` adds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import call_at, freeze
from fastlogreg.backends.numba.jit import (
    allocating,
    borrowing,
    kernel,
    merged,
    parallel_kernel,
    prange,
)
from fastlogreg.backends.numba.stages.csr import Csr


class Rows(NamedTuple):
    """What goes with each row of X, which is (n, d), or its transpose where ``by_column``, or CSR.

    X is passed beside it: ``prange`` takes no tuples within tuples. ``weight`` and ``offset``
    have length 0 where there are none. Where ``chosen`` has a length, row i of the problem is row
    ``chosen[i]`` of the arrays.
    """

    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    chosen: NDArray[np.int64]
    by_column: int


class Model(NamedTuple):
    """Parameters theta (p,), 1 or 0 for an intercept, and pointwise's code and scale."""

    theta: NDArray[np.float64]
    intercept: int
    kind: int
    scale: float


class Cut(NamedTuple):
    """Rows ``lo : hi`` cut into chunks of ``chunk`` rows and these into blocks of ``block``."""

    lo: int
    hi: int
    chunk: int
    block: int


class BlockWorkspace(NamedTuple):
    """Where blocks are worked on: their rows, buffers for the jets' parts and for the Hessian.

    ``X``, ``y``, ``weight`` and ``offset`` are the problem's own arrays or, where rows are
    gathered, read-only views of the ``gathered`` buffers.
    """

    X: NDArray[np.floating] | Csr
    by_column: int
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    gathered: tuple[NDArray[np.generic], NDArray[np.float64]]
    value: NDArray[np.float64]
    residual: NDArray[np.float64]
    curvature: NDArray[np.float64]
    margin: NDArray[np.float64]
    columns: NDArray[np.float64]
    products: NDArray[np.float64]


class Sums(NamedTuple):
    """What a pass fills, one entry a chunk; an array without a size is left out.

    ``sums`` (chunks, 1 + p) has loss and gradient, ``hessians`` (chunks, padded p, padded p) the
    upper triangles, ``moments`` (chunks, 1 + 2 d) the sums of the curvatures h, of h x and of h x²,
    ``curvatures`` (n,) one value a row. ``scaled`` (n, p), diag(sqrt|h|) [1, X], is for one chunk
    alone: its Hessian is then one matrix product, which the BLAS does.
    """

    sums: NDArray[np.float64]
    hessians: NDArray[np.float64]
    moments: NDArray[np.float64]
    curvatures: NDArray[np.float64]
    scaled: NDArray[np.float64]


@allocating
def _workspace(X, rows, block, padded):
    gathers = rows.chosen.size > 0
    values = np.empty((3, block if gathers else 0))
    gathered = (stages.row_buffer(X, rows.by_column, block if gathers else 0), values)
    jets = np.empty((4, block))
    return BlockWorkspace(
        stages.gathered(X, gathered[0]) if gathers else X,
        0 if gathers else rows.by_column,
        freeze(values[0]) if gathers else rows.y,
        freeze(values[1]) if gathers and rows.weight.size else rows.weight,
        freeze(values[2]) if gathers and rows.offset.size else rows.offset,
        gathered,
        jets[0],
        jets[1],
        jets[2],
        jets[3],
        stages.hessian_buffer(X, padded, block),
        np.empty((2, block)),
    )


@merged
def _place(X, rows, work, lo, n):
    """Return the first of the block's rows in work's arrays, having gathered them if need be."""
    if rows.chosen.size == 0:
        return lo
    stages.gather_rows(X, rows.by_column, rows.chosen, lo, n, work.gathered[0])
    values = work.gathered[1]
    stages.gather(rows.y, rows.chosen, lo, n, values[0])
    if rows.weight.size:
        stages.gather(rows.weight, rows.chosen, lo, n, values[1])
    if rows.offset.size:
        stages.gather(rows.offset, rows.chosen, lo, n, values[2])
    return 0


@merged
def _block(work, model, lo, n, sums):
    """Fill the jets of work's n rows from lo and add their loss and gradient to sums.

    A label outside [0, 1] makes the loss NaN, whose cause the caller then looks for.
    """
    intercept = model.intercept
    b = model.theta[0] if intercept else 0.0
    stages.margins(work.X, work.by_column, lo, n, model.theta[intercept:], b, work.margin)
    if work.offset.size:
        stages.add(work.offset, lo, n, work.margin)
    stages.pointwise(
        model.kind,
        model.scale,
        work.margin,
        work.y,
        lo,
        n,
        (work.value, work.residual, work.curvature),
    )
    if work.weight.size:
        stages.apply_weights(work.weight, lo, n, work.value, work.residual, work.curvature)
    sums[0] += stages.total(work.value, n)
    if model.kind != stages.SQUARED and stages.outside(work.y, lo, n):
        sums[0] = stages.NAN
    if intercept:
        sums[1] += stages.total(work.residual, n)
    stages.accumulate(work.X, work.by_column, lo, n, work.residual, sums[1 + intercept :])


@borrowing
def _blocks(X, rows, work, model, cut, c, out):
    """Add the rows of chunk c to its sums = (loss, gradient) and fill what else is asked for."""
    sums, hessian, moments = out.sums[c], out.hessians[c], out.moments[c]
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        at = _place(X, rows, work, start, n)
        _block(work, model, at, n, sums)
        if out.curvatures.size:
            stages.copy(work.curvature, 0, n, out.curvatures[start:])
        if hessian.size:
            stages.accumulate_hessian(
                work.X,
                work.by_column,
                at,
                n,
                model.intercept,
                work.curvature,
                (work.columns, work.products),
                hessian,
            )
        if moments.size:
            moments[0] += stages.total(work.curvature, n)
            d = moments.size // 2
            stages.accumulate_moments(
                work.X,
                work.by_column,
                at,
                n,
                work.curvature,
                moments[1 : 1 + d],
                moments[1 + d :],
            )
        if out.scaled.size:
            stages.scaled_rows(
                work.X,
                work.by_column,
                at,
                n,
                model.intercept,
                work.curvature,
                start - lo,
                out.scaled,
            )


@kernel
def evaluate(X, rows, model, cut, first, last, out):
    """Fill what ``out`` (:class:`Sums`) has room for, for the chunks first <= c < last."""
    for c in range(first, last):
        out.sums[c, :] = 0.0
        out.hessians[c, :, :] = 0.0
        out.moments[c, :] = 0.0
        work = _workspace(X, rows, cut.block, out.hessians.shape[1])
        _blocks(X, rows, work, model, cut, c, out)


@parallel_kernel
def evaluate_on_threads(address, X, rows, model, cut, first, last, out):
    """Do as evaluate does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, rows, model, cut, c, c + 1, out))
    return failed.any()


@borrowing
def _predict_blocks(X, rows, model, cut, c, z, out):
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    intercept = model.intercept
    b = model.theta[0] if intercept else 0.0
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        stages.margins(X, rows.by_column, start, n, model.theta[intercept:], b, z)
        if rows.offset.size:
            stages.add(rows.offset, start, n, z)
        stages.activate(model.kind, model.scale, z, n, start, out)


@kernel
def predict(X, rows, model, cut, first, last, out):
    """Fill the rows of out that belong to the chunks first <= c < last.

    The model's kind is a code of ``activate``.
    """
    z = np.empty(cut.block)
    for c in range(first, last):
        _predict_blocks(X, rows, model, cut, c, z, out)


@parallel_kernel
def predict_on_threads(address, X, rows, model, cut, first, last, out):
    """Do as predict does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, rows, model, cut, c, c + 1, out))
    return failed.any()


@kernel
def read(X, chunk, first, last, out):
    """Fill out[c] with the sum of chunk c: the floor under every pass."""
    for c in range(first, last):
        lo = c * chunk
        out[c] = stages.read(X, lo, min(chunk, X.shape[0] - lo))


@parallel_kernel
def read_on_threads(address, X, chunk, first, last, out):
    """Do as read does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, chunk, c, c + 1, out))
    return failed.any()


@kernel
def not_finite(X, chunk, first, last, out):
    """Fill out[c] with the number of values of chunk c that are NaN or infinite."""
    for c in range(first, last):
        lo = c * chunk
        out[c] = stages.not_finite(X, lo, min(chunk, X.shape[0] - lo))
