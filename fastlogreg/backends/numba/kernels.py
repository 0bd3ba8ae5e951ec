"""The compiled kernels: stages put together over blocks, blocks over chunks.

A kernel gets the rows and the model as NamedTuples of read-only arrays, so that each
has one signature for each storage of X, and a range of chunks to do. The driver decides
which thread does which chunks; no kernel knows of threads but the two ``_on_threads``
forms, which hand the same chunks to ``prange``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.csr import Csr
from fastlogreg.backends.numba.intrinsics import freeze
from fastlogreg.backends.numba.jit import (
    allocating,
    borrowing,
    kernel,
    merged,
    parallel_kernel,
    prange,
)


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


class Work(NamedTuple):
    """Where blocks are worked on: their rows, and a buffer for each part of the jets.

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


@allocating
def _work(X, rows, block):
    gathers = rows.chosen.size > 0
    values = np.empty((3, block if gathers else 0))
    gathered = (stages.row_buffer(X, rows.by_column, block if gathers else 0), values)
    jets = np.empty((4, block))
    return Work(
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
    )


@borrowing
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


@borrowing
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
        work.value,
        work.residual,
        work.curvature,
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
def _blocks(X, rows, work, model, lo, hi, block, sums, columns, products, hessian, curvatures):
    """Add the rows lo : hi to sums = (loss, gradient) and, where it has a size, hessian.

    ``curvatures``, where it has a size, is filled with those of these rows.
    """
    for start in range(lo, hi, block):
        n = min(block, hi - start)
        at = _place(X, rows, work, start, n)
        _block(work, model, at, n, sums)
        if curvatures.size:
            stages.copy(work.curvature, 0, n, curvatures[start:])
        if hessian.size:
            stages.accumulate_hessian(
                work.X,
                work.by_column,
                at,
                n,
                model.intercept,
                model.theta.size,
                work.curvature,
                columns,
                products,
                hessian,
            )


@merged
def _evaluate_chunk(X, rows, model, cut, c, sums, hessian, curvatures):
    """Loss, gradient and (where hessian has a size) Hessian of one chunk."""
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    work = _work(X, rows, cut.block)
    columns = stages.hessian_buffer(X, hessian.shape[0], cut.block)
    products = np.empty((2, cut.block))
    sums[:] = 0.0
    hessian[:, :] = 0.0
    _blocks(X, rows, work, model, lo, hi, cut.block, sums, columns, products, hessian, curvatures)


@kernel
def evaluate(X, rows, model, cut, first, last, sums, hessians, curvatures):
    """Fill sums[c], hessians[c] and curvatures for the chunks first <= c < last."""
    for c in range(first, last):
        _evaluate_chunk(X, rows, model, cut, c, sums[c], hessians[c], curvatures)


@parallel_kernel
def evaluate_on_threads(X, rows, model, cut, first, last, sums, hessians, curvatures):
    """Do as evaluate does, on Numba's threads."""
    for c in prange(first, last):
        _evaluate_chunk(X, rows, model, cut, c, sums[c], hessians[c], curvatures)


@borrowing
def _moment_blocks(X, rows, lo, hi, block, h, sums, squares):
    for start in range(lo, hi, block):
        n = min(block, hi - start)
        stages.copy(rows.weight, start, n, h)
        stages.accumulate(X, rows.by_column, start, n, h, sums)
        stages.accumulate_squares(X, rows.by_column, start, n, h, squares)


@kernel
def moments(X, rows, cut, first, last, out):
    """Fill out[c] = (X' h, (X * X)' h), (2, d), with h = rows.weight, for first <= c < last."""
    h = np.empty(cut.block)
    for c in range(first, last):
        out[c] = 0.0
        lo = cut.lo + c * cut.chunk
        _moment_blocks(X, rows, lo, min(lo + cut.chunk, cut.hi), cut.block, h, out[c, 0], out[c, 1])


@borrowing
def _scaled_blocks(X, rows, work, model, lo, hi, block, sums, scaled, signs):
    for start in range(lo, hi, block):
        n = min(block, hi - start)
        at = _place(X, rows, work, start, n)
        _block(work, model, at, n, sums)
        stages.scaled_rows(
            work.X, work.by_column, at, n, model.intercept, work.curvature, start - lo, scaled
        )
        stages.signs_of(work.curvature, n, start - lo, signs)


@kernel
def evaluate_scaled(X, rows, model, cut, lo, hi, sums, scaled, signs):
    """Add rows lo : hi to sums and write diag(sqrt|h|) [1, X] and the signs of h.

    The Hessian of these rows is then one matrix product, which the BLAS does.
    """
    work = _work(X, rows, cut.block)
    _scaled_blocks(X, rows, work, model, lo, hi, cut.block, sums, scaled, signs)


@borrowing
def _predict_blocks(X, rows, model, lo, hi, block, activation, z, out):
    intercept = model.intercept
    b = model.theta[0] if intercept else 0.0
    for start in range(lo, hi, block):
        n = min(block, hi - start)
        stages.margins(X, rows.by_column, start, n, model.theta[intercept:], b, z)
        if rows.offset.size:
            stages.add(rows.offset, start, n, z)
        stages.activate(activation, model.scale, z, n, start, out)


@merged
def _predict_chunk(X, rows, model, cut, c, activation, out):
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    _predict_blocks(X, rows, model, lo, hi, cut.block, activation, np.empty(cut.block), out)


@kernel
def predict(X, rows, model, cut, first, last, activation, out):
    """Fill the rows of out that belong to the chunks first <= c < last."""
    for c in range(first, last):
        _predict_chunk(X, rows, model, cut, c, activation, out)


@parallel_kernel
def predict_on_threads(X, rows, model, cut, first, last, activation, out):
    """Do as predict does, on Numba's threads."""
    for c in prange(first, last):
        _predict_chunk(X, rows, model, cut, c, activation, out)


@kernel
def read(X, chunk, first, last, out):
    """Fill out[c] with the sum of chunk c: the floor under every pass."""
    for c in range(first, last):
        lo = c * chunk
        out[c] = stages.read(X, lo, min(chunk, X.shape[0] - lo))


@parallel_kernel
def read_on_threads(X, chunk, first, last, out):
    """Do as read does, on Numba's threads."""
    for c in prange(first, last):
        lo = c * chunk
        out[c] = stages.read(X, lo, min(chunk, X.shape[0] - lo))


@kernel
def not_finite(X, chunk, first, last, out):
    """Fill out[c] with the number of values of chunk c that are NaN or infinite."""
    for c in range(first, last):
        lo = c * chunk
        out[c] = stages.not_finite(X, lo, min(chunk, X.shape[0] - lo))
