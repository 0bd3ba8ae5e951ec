"""The compiled kernels: stages put together over blocks, blocks over chunks.

A kernel gets the rows and the model as NamedTuples of read-only arrays, so that each
has one signature for each dtype of X, and a range of chunks to do. The driver decides
which thread does which chunks; no kernel knows of threads but the two ``_on_threads``
forms, which hand the same chunks to ``prange``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import freeze
from fastlogreg.backends.numba.jit import kernel, orchestrate, parallel_kernel, prange


class Rows(NamedTuple):
    """Samples: X (n, d), or its transpose where ``by_column``, and what goes with each row.

    ``weight`` and ``offset`` have length 0 where there are none. Where ``index`` has a
    length, row i of the problem is row ``index[i]`` of the arrays.
    """

    X: NDArray[np.floating]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    index: NDArray[np.int64]
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
    """Where one block is worked on: its rows, and a buffer for each column of the jets.

    ``X``, ``y``, ``weight`` and ``offset`` are the problem's own arrays or, where rows are
    gathered, read-only views of the ``gathered`` buffers. Made once a chunk: making an
    array inside the loop over blocks costs 0.1 us each, which is 1 to 3 ns a row.
    """

    X: NDArray[np.floating]
    by_column: int
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    gathered: tuple[NDArray[np.floating], NDArray[np.float64]]
    value: NDArray[np.float64]
    residual: NDArray[np.float64]
    curvature: NDArray[np.float64]
    margin: NDArray[np.float64]


@orchestrate
def _work(rows, block):
    d = rows.X.shape[0] if rows.by_column else rows.X.shape[1]
    gathers = rows.index.size > 0
    values = np.empty((3, block if gathers else 0))
    gathered = (np.empty((block if gathers else 0, d), rows.X.dtype), values)
    jets = np.empty((4, block))
    return Work(
        freeze(gathered[0]) if gathers else rows.X,
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


@orchestrate
def _gather(rows, work, lo, n):
    """Copy the rows that the index names to work's buffers; return 0, the first of them."""
    stages.gather_rows(rows.X, rows.by_column, rows.index, lo, n, work.gathered[0])
    values = work.gathered[1]
    stages.gather(rows.y, rows.index, lo, n, values[0])
    if rows.weight.size:
        stages.gather(rows.weight, rows.index, lo, n, values[1])
    if rows.offset.size:
        stages.gather(rows.offset, rows.index, lo, n, values[2])
    return 0


# Reading an array out of a tuple counts a reference, which costs two atomic additions:
# 0.3 us a block when the loop over blocks does it. So it is done once a chunk, and what
# runs for each block takes plain arrays.
@orchestrate
def _block(
    X,
    by_column,
    y,
    weight,
    offset,
    lo,
    n,
    theta,
    w,
    intercept,
    kind,
    scale,
    value,
    residual,
    curvature,
    margin,
    sums,
    g,
):
    """Fill the jets of the n rows from lo and add their loss and gradient to sums.

    w and g are views of theta and sums without what belongs to the intercept. A label
    outside [0, 1] makes the loss NaN, whose cause the caller then looks for.
    """
    b = theta[0] if intercept else 0.0
    stages.margins(X, by_column, lo, n, w, b, margin)
    if offset.size:
        stages.add(offset, lo, n, margin)
    stages.pointwise(kind, scale, margin, y, lo, n, value, residual, curvature)
    if weight.size:
        stages.apply_weights(weight, lo, n, value, residual, curvature)
    sums[0] += stages.total(value, n)
    if kind != stages.SQUARED and stages.outside(y, lo, n):
        sums[0] = stages.NAN
    if intercept:
        sums[1] += stages.total(residual, n)
    stages.accumulate(X, by_column, lo, n, residual, g)


@orchestrate
def _evaluate_rows(rows, model, lo, hi, block, sums, hessian, scaled, signs):
    """Add the rows lo : hi to sums = (loss, gradient), and fill what is not None or empty.

    None leaves the code out when it is compiled, a size of 0 when it runs. hessian
    (padded as accumulate_hessian wants it): the Hessian is added to its upper triangle. scaled (hi - lo, p): row i becomes sqrt|h_i| [1, x_i], signs[i] that of h_i.
    """
    work = _work(rows, block)
    X, by_column, y, weight, offset = work.X, work.by_column, work.y, work.weight, work.offset
    value, residual, curvature, margin = work.value, work.residual, work.curvature, work.margin
    theta, intercept, kind, scale = model.theta, model.intercept, model.kind, model.scale
    w = theta[intercept:]
    g = sums[1 + intercept :]
    gathers = rows.index.size > 0
    if hessian is not None:
        columns = np.zeros((hessian.shape[0], block))
        products = np.empty((2, block))
    for start in range(lo, hi, block):
        n = min(block, hi - start)
        at = _gather(rows, work, start, n) if gathers else start
        _block(
            X,
            by_column,
            y,
            weight,
            offset,
            at,
            n,
            theta,
            w,
            intercept,
            kind,
            scale,
            value,
            residual,
            curvature,
            margin,
            sums,
            g,
        )
        if hessian is not None and hessian.size:
            stages.columns_of_block(X, by_column, at, n, intercept, columns)
            stages.accumulate_hessian(columns, curvature, n, theta.size, products, hessian)
        if scaled is not None:
            first = start - lo
            stages.scaled_rows(X, by_column, at, n, intercept, curvature, first, scaled)
            stages.signs_of(curvature, n, first, signs)


@orchestrate
def _evaluate_chunk(rows, model, cut, c, sums, hessian):
    """Loss, gradient and (where hessian has a size) Hessian of one chunk."""
    lo = cut.lo + c * cut.chunk
    sums[:] = 0.0
    hessian[:, :] = 0.0
    hi = min(lo + cut.chunk, cut.hi)
    _evaluate_rows(rows, model, lo, hi, cut.block, sums, hessian, None, None)


@kernel
def evaluate(rows, model, cut, first, last, sums, hessians):
    """Fill sums[c] and hessians[c] for the chunks first <= c < last."""
    for c in range(first, last):
        _evaluate_chunk(rows, model, cut, c, sums[c], hessians[c])


@parallel_kernel
def evaluate_on_threads(rows, model, cut, first, last, sums, hessians):
    """Do as evaluate does, on Numba's threads."""
    for c in prange(first, last):
        _evaluate_chunk(rows, model, cut, c, sums[c], hessians[c])


@kernel
def evaluate_scaled(rows, model, cut, lo, hi, sums, scaled, signs):
    """Add rows lo : hi to sums and write diag(sqrt|h|) [1, X] and the signs of h.

    The Hessian of these rows is then one matrix product, which the BLAS does.
    """
    _evaluate_rows(rows, model, lo, hi, cut.block, sums, None, scaled, signs)


@kernel
def train_batches(rows, model, block, theta, batch, first, last, learning_rate, losses):
    """Take the lecture's steps 2 to 5 for the batches first <= k < last.

    ``model.theta`` must be a read-only view of ``theta``, which is updated. A batch is
    one chunk here; the driver does larger ones.
    """
    gathers = rows.index.size > 0
    samples = rows.index.size if gathers else rows.y.size
    work = _work(rows, block)
    X, by_column, y, weight, offset = work.X, work.by_column, work.y, work.weight, work.offset
    value, residual, curvature, margin = work.value, work.residual, work.curvature, work.margin
    intercept, kind, scale = model.intercept, model.kind, model.scale
    frozen = model.theta
    w = frozen[intercept:]
    sums = np.empty(1 + theta.size)
    g = sums[1 + intercept :]
    for k in range(first, last):
        lo = k * batch
        hi = min(lo + batch, samples)
        for j in range(sums.size):
            sums[j] = 0.0
        for start in range(lo, hi, block):
            n = min(block, hi - start)
            at = _gather(rows, work, start, n) if gathers else start
            _block(
                X,
                by_column,
                y,
                weight,
                offset,
                at,
                n,
                frozen,
                w,
                intercept,
                kind,
                scale,
                value,
                residual,
                curvature,
                margin,
                sums,
                g,
            )
        losses[k] = sums[0] / (hi - lo)
        step = learning_rate / (hi - lo)
        for j in range(theta.size):
            theta[j] -= step * sums[1 + j]


@orchestrate
def _predict_chunk(rows, model, cut, c, activation, out):
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    z = np.empty(cut.block)
    b = model.theta[0] if model.intercept else 0.0
    w = model.theta[model.intercept :]
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        stages.margins(rows.X, rows.by_column, start, n, w, b, z)
        if rows.offset.size:
            stages.add(rows.offset, start, n, z)
        stages.activate(activation, model.scale, z, n, start, out)


@kernel
def predict(rows, model, cut, first, last, activation, out):
    """Fill the rows of out that belong to the chunks first <= c < last."""
    for c in range(first, last):
        _predict_chunk(rows, model, cut, c, activation, out)


@parallel_kernel
def predict_on_threads(rows, model, cut, first, last, activation, out):
    """Do as predict does, on Numba's threads."""
    for c in prange(first, last):
        _predict_chunk(rows, model, cut, c, activation, out)


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
