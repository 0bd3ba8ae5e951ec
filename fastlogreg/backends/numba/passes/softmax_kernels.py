"""The compiled kernels of passes with K margins a row: softmax and cross-entropy.

As :mod:`.kernels`, with other stages: products of small matrices (:mod:`.stages.products`) around
the softmax of a tile (:mod:`.stages.softmax`). They are compiled when softmax is first asked for.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.intrinsics import call_at, freeze
from fastlogreg.backends.numba.jit import (
    allocating,
    kernel,
    merged,
    parallel_kernel,
    prange,
)
from fastlogreg.backends.numba.stages import products, softmax
from fastlogreg.backends.numba.stages.csr import Csr

LOSS, PRODUCT, MOMENTS = 0, 1, 2  # the codes of evaluate


class Rows(NamedTuple):
    """What goes with each row of X; see :class:`.kernels.Rows`.

    ``codes`` (n,) or ``targets`` (n, K) are the classes, ``weight`` is (n,) and ``offset`` (n, K);
    an array without a size is not there. Where ``chosen`` has a length, row i of the problem is
    row ``chosen[i]`` of the arrays.
    """

    codes: NDArray[np.float64]
    targets: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]
    chosen: NDArray[np.int64]
    by_column: int


class Model(NamedTuple):
    """Parameters W as :mod:`.stages.products` lays them out, K, 1 or 0 for an intercept, a code."""

    W: NDArray[np.float64]
    n_classes: int
    intercept: int
    task: int


class Sums(NamedTuple):
    """What a pass fills, one entry a chunk; an array without a size is left out.

    ``losses`` (chunks,) and ``gradients`` (chunks, shape of W) are of the loss; the gradient's
    place is the product's where that is the task. ``hessians`` (chunks, K (K + 1) / 2, p padded,
    p padded) has upper triangles of A' diag(h) A, with h = weight p_k (1 - p_k) or -weight p_k p_l,
    for the pairs k <= l row by row. ``totals`` (chunks, K) and ``moments`` (chunks, 2, shape of W)
    are the sums of h, of h x and of h x², where h = weight p_k (1 - p_k).

    ``probabilities`` (n, K) is written by the loss and read by the other tasks. ``matrix`` (n, p
    padded), for one chunk alone, gets the rows [1, X], for the BLAS.
    """

    losses: NDArray[np.float64]
    gradients: NDArray[np.float64]
    hessians: NDArray[np.float64]
    totals: NDArray[np.float64]
    moments: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    matrix: NDArray[np.float64]


class Workspace(NamedTuple):
    """Where blocks are worked on: their rows, tiles (K, rows) and vectors.

    A block is the rows from ``0`` on of X where it is ``buffered``, else those from its first on.
    ``X``, ``codes`` and ``weight`` are the problem's own arrays or, where rows are chosen or
    copied, read-only views of the ``gathered`` buffers. ``tiles`` (3, K padded, rows) begin with
    Z, Y and H; B and ``scratch`` are as :mod:`.stages.products` takes them.
    """

    X: NDArray[np.floating] | Csr
    buffered: bool
    codes: NDArray[np.float64]
    weight: NDArray[np.float64]
    gathered: tuple[NDArray[np.generic], NDArray[np.float64]]
    tiles: NDArray[np.float64]
    Z: NDArray[np.float64]
    Y: NDArray[np.float64]
    H: NDArray[np.float64]
    B: NDArray[np.float64]
    scratch: NDArray[np.float64]
    vectors: NDArray[np.float64]


@allocating
def _workspace(X, rows, model, block, columns):
    chosen = block if rows.chosen.size > 0 else 0
    buffered = chosen > 0 or products.copies(X, rows.by_column)
    values = np.empty((2, chosen))
    buffer = products.row_buffer(X, rows.by_column, block if buffered else 0)
    K, width = model.n_classes, model.W.shape[1]
    tiles = products.aligned(3 * width * (block + 8)).reshape((3, width, block + 8))
    tiles[:] = 0.0  # what is beyond K stays so
    return Workspace(
        products.rows(X, buffered, buffer),
        buffered,
        freeze(values[0]) if chosen else rows.codes,
        freeze(values[1]) if chosen and rows.weight.size else rows.weight,
        (buffer, values),
        tiles,
        tiles[0, :K],
        tiles[1, :K],
        tiles[2, :K],
        products.aligned((block + 8) * width).reshape((block + 8, width)),
        products.scratch(X, block * columns),
        products.aligned(7 * block).reshape((7, block)),
    )


@merged
def _place(X, rows, work, start, n):
    """Return where the block begins in codes and weights, having gathered or copied its rows."""
    if rows.chosen.size == 0:
        if products.copies(X, rows.by_column):
            products.copy_rows(X, rows.by_column, start, n, work.gathered[0])
        return start
    stages.gather_rows(X, rows.by_column, rows.chosen, start, n, work.gathered[0])
    values = work.gathered[1]
    if rows.codes.size:
        stages.gather(rows.codes, rows.chosen, start, n, values[0])
    if rows.weight.size:
        stages.gather(rows.weight, rows.chosen, start, n, values[1])
    return 0


@merged
def _row(work, start):
    """Return where the block begins in work's rows of X."""
    return 0 if work.buffered else start


@merged
def _tile(values, rows, start, n, Z):
    """Fill Z with the rows of an (n, K) array that belong to the block."""
    if rows.chosen.size:
        softmax.tile_of_chosen(values, rows.chosen, start, n, Z)
    else:
        softmax.tile_of(values, start, n, Z)


@merged
def _margins(rows, work, model, start, n):
    row = _row(work, start)
    products.margins(work.X, row, n, model.intercept, model.W, work.tiles[0], work.B)
    if rows.offset.size:
        _tile(rows.offset, rows, start, n, work.H)
        softmax.add_tile(work.H, n, work.Z)


@merged
def _loss(rows, work, start, at, n):
    """Return the block's loss; Z holds t = exp(z - m) then, and others what S - 1 is."""
    m, others, ties, value = work.vectors[0], work.vectors[1], work.vectors[2], work.vectors[3]
    softmax.largest(work.Z, n, m)
    if rows.targets.size:
        _tile(rows.targets, rows, start, n, work.Y)
        softmax.losses_of_rows(work.Z, work.Y, n, m, value)
        softmax.exponentials(work.Z, n, m, others, ties)
        softmax.add_log_sums_of_rows(work.Y, others, n, ties, value)
    else:
        softmax.losses_of_codes(work.Z, work.codes, at, n, m, value)
        softmax.exponentials(work.Z, n, m, others, ties)
        softmax.add_log_sums(others, n, value)
    if work.weight.size:
        softmax.product(work.weight, at, value, n, value)
    return stages.total(value, n)


@merged
def _gradient(work, model, start, n, gradient):
    row = _row(work, start)
    products.accumulate(work.X, row, n, model.intercept, work.tiles[0], gradient, work.B)


@merged
def _curvatures(work, model, start, n, hessian, totals):
    """Add the blocks of the Hessian, or fill H with weight p (1 - p) and add it to totals."""
    others, inverse, scale, h = work.vectors[1], work.vectors[4], work.vectors[5], work.vectors[6]
    K = model.n_classes
    row = _row(work, start)
    if totals.size:
        for k in range(K):
            softmax.curvatures(work.Z, k, n, others, inverse, scale, work.H[k])
        softmax.row_sums(work.H, n, totals)
    if hessian.size:
        pair = 0
        for k in range(K):
            for m in range(k, K):
                if m == k:
                    softmax.curvatures(work.Z, k, n, others, inverse, scale, h)
                else:
                    softmax.cross_curvatures(work.Z, k, m, n, inverse, scale, h)
                products.accumulate_hessian(
                    work.X, row, n, model.intercept, h, work.scratch, hessian[pair]
                )
                pair += 1


@merged
def _moments(work, model, start, n, moments):
    """Add the sums of H x and of H x²."""
    row = _row(work, start)
    intercept, H, B = model.intercept, work.tiles[2], work.B
    products.accumulate(work.X, row, n, intercept, H, moments[0], B)
    products.accumulate_squares(work.X, row, n, intercept, H, moments[1], B, work.scratch)


@merged
def _loss_blocks(X, rows, work, model, cut, c, out):
    """Add the rows of chunk c to its sums and fill what else is asked for."""
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    others, inverse, scale = work.vectors[1], work.vectors[4], work.vectors[5]
    writes = out.probabilities.size > 0
    more = writes or out.gradients.size > 0 or out.totals.size > 0
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        at = _place(X, rows, work, start, n)
        _margins(rows, work, model, start, n)
        out.losses[c] += _loss(rows, work, start, at, n)
        if not more:
            continue
        softmax.inverses(others, n, inverse)
        if work.weight.size:
            softmax.product(work.weight, at, inverse, n, scale)
        else:
            stages.copy(inverse, 0, n, scale)
        if writes:
            softmax.write_probabilities(work.Z, n, inverse, out.probabilities, start)
        if out.totals.size or out.hessians.size:
            _curvatures(work, model, start, n, out.hessians[c], out.totals[c])
        if out.gradients.size:
            if rows.targets.size:
                softmax.residuals_of_rows(work.Z, work.Y, n, others, scale)
            else:
                softmax.residuals_of_codes(work.Z, work.codes, at, n, others, scale)
            _gradient(work, model, start, n, out.gradients[c])
        if out.matrix.size:
            row = _row(work, start)
            products.write_rows(work.X, row, n, model.intercept, out.matrix, start - lo)
        if out.totals.size:
            _moments(work, model, start, n, out.moments[c])


@merged
def _curvature_blocks(X, rows, work, model, cut, c, out):
    """Add the rows of chunk c to its product with the Hessian, or to its moments."""
    lo = cut.lo + c * cut.chunk
    hi = min(lo + cut.chunk, cut.hi)
    largest_at, others, buffer = work.vectors[0], work.vectors[1], work.vectors[2]
    for start in range(lo, hi, cut.block):
        n = min(cut.block, hi - start)
        at = _place(X, rows, work, start, n)
        softmax.tile_of(out.probabilities, start, n, work.Y)
        softmax.others_of(work.Y, n, largest_at, others)
        if model.task == PRODUCT:
            _margins(rows, work, model, start, n)
            softmax.directional(work.Y, work.Z, n, largest_at, others, buffer)
            if work.weight.size:
                softmax.scale_rows(work.weight, at, n, work.Z)
            _gradient(work, model, start, n, out.gradients[c])
        else:
            softmax.curvatures_of(work.Y, n, largest_at, others, work.H)
            if work.weight.size:
                softmax.scale_rows(work.weight, at, n, work.H)
            softmax.row_sums(work.H, n, out.totals[c])
            _moments(work, model, start, n, out.moments[c])


@kernel
def evaluate(X, rows, model, cut, first, last, out):
    """Fill what ``out`` (:class:`Sums`) has room for, for the chunks first <= c < last."""
    work = _workspace(
        X,
        rows,
        model,
        cut.block,
        max(out.hessians.shape[3], model.W.shape[0] if out.moments.size else 0),
    )
    for c in range(first, last):
        out.losses[c] = 0.0
        out.gradients[c] = 0.0
        out.hessians[c] = 0.0
        out.totals[c] = 0.0
        out.moments[c] = 0.0
        if model.task == LOSS:
            _loss_blocks(X, rows, work, model, cut, c, out)
        else:
            _curvature_blocks(X, rows, work, model, cut, c, out)


@parallel_kernel
def evaluate_on_threads(address, X, rows, model, cut, first, last, out):
    """Do as evaluate does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, rows, model, cut, c, c + 1, out))
    return failed.any()


@merged
def _write_predictions(work, n, form, out, start):
    m, others, ties, inverse = work.vectors[0], work.vectors[1], work.vectors[2], work.vectors[4]
    if form == softmax.MARGIN:
        softmax.write_rows(work.Z, n, out, start)
        return
    if form == softmax.CLASS:
        softmax.first_largest(work.Z, n, m, out, start)
        return
    if form == softmax.LARGEST_SIZE:
        softmax.largest_size(work.Z, n, out, start)
        return
    softmax.largest(work.Z, n, m)
    if form == softmax.LOG_PROBABILITY:
        softmax.keep(work.Z, n, work.Y)
        softmax.exponentials(work.Z, n, m, others, ties)
        softmax.log_probabilities(work.Y, n, m, others)
        softmax.write_rows(work.Y, n, out, start)
        return
    softmax.exponentials(work.Z, n, m, others, ties)
    softmax.inverses(others, n, inverse)
    softmax.write_probabilities(work.Z, n, inverse, out, start)


@kernel
def predict(X, rows, model, cut, first, last, out):
    """Fill the rows of out that belong to the chunks first <= c < last; the task is a form."""
    work = _workspace(X, rows, model, cut.block, 0)
    for c in range(first, last):
        lo = cut.lo + c * cut.chunk
        hi = min(lo + cut.chunk, cut.hi)
        for start in range(lo, hi, cut.block):
            n = min(cut.block, hi - start)
            _place(X, rows, work, start, n)
            _margins(rows, work, model, start, n)
            _write_predictions(work, n, model.task, out, start)


@parallel_kernel
def predict_on_threads(address, X, rows, model, cut, first, last, out):
    """Do as predict does, which is at ``address``, on Numba's threads; return if one failed."""
    failed = np.zeros(last - first, np.bool_)
    for c in prange(first, last):
        failed[c - first] = call_at(address, (X, rows, model, cut, c, c + 1, out))
    return failed.any()
