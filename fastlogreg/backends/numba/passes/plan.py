"""How rows are cut into blocks and chunks, and what passes cost.

Of the shape of the data and the processor alone: never of the threads.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.jit import PREFETCHES
from fastlogreg.backends.numba.stages.csr import Csr

BLAS_WIDTH = (
    72  # p from which the BLAS makes the Hessian: 28 against 34 GFLOP/s at 80, 30 against 26 at 63
)
# Of X in one block: half of L1, the other half for the next block; where the processor reads ahead
# by itself, a few pages, so that it is stopped less (Zen 4, 600,000 x 50: 9.3 -> 6.6 ms).
_BLOCK_BYTES = 24576 if PREFETCHES else 8192
_ONCE_BYTES = 24576  # where rows are read once
_MIN_BLOCK, _MAX_BLOCK = 16, 512
_WIDE_BYTES = 1 << 18  # a block of rows wider than this in all has 8 rows: a quarter of L2
_MIN_COLUMN_BLOCK = 128  # a block of columns reads runs of this many values
# Where the processor reads ahead by itself, longer ones, up to half of L2 (Zen 4, 1,000,000 x 20:
# 24 -> 19 ms).
_COLUMN_BYTES, _MAX_COLUMN_BLOCK = (24576, _MAX_BLOCK) if PREFETCHES else (1 << 19, 1024)
_LEAST_TILE_ROWS, _TILE_ROWS = 32, 256  # of a block with several margins a row
_TILE_BYTES = 1 << 15  # of its rows, or of their margins; for the Hessian half: it makes others
_COPIED_BYTES = 1 << 20  # of rows that are copied from columns
_CHUNK_SECONDS = 1e-4
_MAX_CHUNK_SECONDS = 0.1
_MAX_CHUNKS = 256
_ACCUMULATOR_BYTES = 64 << 20  # of all chunks together, where that leaves 4 of them
_ACCUMULATOR_SHARE = 0.2  # of a chunk's time for its accumulator, where that leaves 4 of them

# Rough costs on one thread, for planning only.
ROW_SECONDS = 4e-9
VALUE_SECONDS = 4e-10
SPARSE_VALUE_SECONDS = 2e-9
_SPARSE_PRODUCT_SECONDS = 1e-9  # two stored values of a row
_ACCUMULATOR_SECONDS = 4e-10  # a byte: set to zero, and summed at the end
COPY_SECONDS = 3e-10  # a value, into the buffer of the Hessian
_PRODUCT_SECONDS = 5e-11  # of the p * p, by own loops
_BLAS_SECONDS = 2.5e-11
_PASS_SECONDS = 8e-10  # a value from memory, while the other threads read too
_CALL_SECONDS = 2e-5
_CLASS_SECONDS = 4e-9  # the softmax of one margin, and its residual
_VALUE_CLASS_SECONDS = 1.7e-10  # a value for one class: its parts of margin and gradient
_PAIR_PRODUCT_SECONDS = 3.3e-11  # of the p * p of a pair of classes
_SCALED_SECONDS = 4.7e-10  # a value times the curvature of a pair
_SPARSE_ROW_SECONDS = 3e-8
_SPARSE_PAIR_SECONDS = 3e-8  # what a pair takes beside its products
_GATHER_FACTOR = 4.0


class Shape(NamedTuple):
    """What plans depend on: stored values of a row and their bytes, and how they lie."""

    width: float
    itemsize: int
    by_column: bool = False
    sparse: bool = False


def shape_of(X: NDArray[np.floating] | Csr, rows: Any) -> Shape:
    """Return what plans depend on."""
    if isinstance(X, Csr):
        width = X.data.size / max(1, X.starts.size)
        return Shape(width, X.data.itemsize + X.indices.itemsize, False, True)
    return Shape(X.shape[0 if rows.by_column else 1], X.itemsize, bool(rows.by_column))


@lru_cache(maxsize=1024)
def _block_rows(shape: Shape, by_column: bool, block_bytes: int) -> int:
    row = max(1.0, shape.width * shape.itemsize)
    if by_column:
        rows = int(_COLUMN_BYTES / row) // 8 * 8
        return max(_MIN_COLUMN_BLOCK, min(_MAX_COLUMN_BLOCK, rows))
    least = _MIN_BLOCK if _MIN_BLOCK * row <= _WIDE_BYTES else _MIN_BLOCK // 2
    rows = int(block_bytes / row) // 8 * 8
    return max(least, min(_MAX_BLOCK, rows))


@lru_cache(maxsize=1024)
def plan(n: int, shape: Shape, p: int, gathers: bool, order: int) -> tuple[int, int, int, float]:
    """Return (rows a block, rows a chunk, chunks, seconds a chunk): of the shape alone."""
    in_bytes = _BLOCK_BYTES if order else _ONCE_BYTES
    block = _block_rows(shape, shape.by_column and not gathers, in_bytes)
    value = SPARSE_VALUE_SECONDS if shape.sparse else VALUE_SECONDS
    per_row = ROW_SECONDS + shape.width * value * (_GATHER_FACTOR if gathers else 1.0)
    chunk_bytes = 8 * (p + 1)
    if order == 2:
        per_row += products_seconds(shape.width**2) if shape.sparse else p * p * _PRODUCT_SECONDS
        chunk_bytes += 8 * p * p
    return cut(n, block, per_row, chunk_bytes)


def cut(n: int, block: int, per_row: float, chunk_bytes: float) -> tuple[int, int, int, float]:
    """Return (rows a block, rows a chunk, chunks, seconds a chunk), given the cost of a row."""
    seconds = n * per_row
    adding = chunk_bytes * _ACCUMULATOR_SECONDS
    most = min(
        _MAX_CHUNKS,
        max(4, int(_ACCUMULATOR_BYTES / chunk_bytes)),
        max(4, int(_ACCUMULATOR_SHARE * seconds / adding)),
    )
    chunks = int(max(1, min(most, seconds / _CHUNK_SECONDS), seconds / _MAX_CHUNK_SECONDS))
    rows = -(-n // chunks)
    rows = -(-rows // block) * block
    return block, rows, -(-n // rows), rows * per_row


@lru_cache(maxsize=1024)
def plan_of_classes(
    n: int, shape: Shape, parameters: tuple[int, int], order: int, gathers: bool
) -> tuple[int, int, int, float]:
    """Return what plan does, for K margins a row; ``parameters`` is (K, p)."""
    K, p = parameters
    row_bytes = 8.0 * max(K, 8 if shape.sparse else p)
    bytes_of_rows = _TILE_BYTES if order < 2 else _TILE_BYTES // 2
    if shape.by_column and not gathers and order < 2:  # longer runs of each column
        bytes_of_rows = _COPIED_BYTES
    rows = int(bytes_of_rows / row_bytes) // 16 * 16
    block = max(_LEAST_TILE_ROWS, min(_TILE_ROWS, rows))
    per_row = classes_seconds(shape, K, _GATHER_FACTOR if gathers else 1.0)
    chunk_bytes = 8.0 * (1 + K * p)
    if order == 2:
        per_row += hessian_seconds(shape, K, p)
        chunk_bytes += 4.0 * K * (K + 1) * p * p
    return cut(n, block, per_row, chunk_bytes)


def classes_seconds(shape: Shape, K: int, reading: float = 1.0) -> float:
    """Return what loss and gradient of K classes take for a row; ``reading`` scales that of X."""
    products = shape.width * K * _VALUE_CLASS_SECONDS
    if shape.sparse:
        values = shape.width * SPARSE_VALUE_SECONDS * reading
        return _SPARSE_ROW_SECONDS + values + products + 2.0 * K * _CLASS_SECONDS
    return shape.width * COPY_SECONDS * reading + products + K * _CLASS_SECONDS


def hessian_seconds(shape: Shape, K: int, p: int) -> float:
    """Return what a row adds to the Hessian of K classes and p parameters in each."""
    pairs = 0.5 * K * (K + 1)
    if shape.sparse:
        return pairs * (products_seconds(shape.width**2) + _SPARSE_PAIR_SECONDS)
    return pairs * p * (p * _PAIR_PRODUCT_SECONDS + _SCALED_SECONDS)


def classes_hessian_cost(shape: Shape, K: int, p: int) -> float:
    """Return what the Hessian of K classes costs in gradient passes.

    Measured on one thread: 26 at 20,000 x 54, K = 7 (estimate 29), 6.9 at 50,000 x 20, K = 5 (11),
    118 at 2,000 x 100, K = 10 (90); sparse, 12 of 54 stored, 21 (26).
    """
    return 1.0 + hessian_seconds(shape, K, p) / classes_seconds(shape, K)


def products_seconds(squares: float) -> float:
    """Return what the Hessian takes where the counts of stored values have this sum of squares."""
    return 0.5 * squares * _SPARSE_PRODUCT_SECONDS


def hessian_cost(X: Any, p: int) -> float:
    """Return what the Hessian of p parameters costs in gradient passes.

    Measured on 2 threads: 2.7 at 1,000,000 x 20, 7.1 at 200,000 x 100.
    """
    n = X.shape[0]
    if not isinstance(X, np.ndarray):
        counts = np.diff(X.indptr).astype(np.float64)
        products = products_seconds(float(counts @ counts))
        chunks = min(4.0, max(1.0, products / _CHUNK_SECONDS))  # at the least
        adding = chunks * 8.0 * p * p * _ACCUMULATOR_SECONDS
        gradient = _CALL_SECONDS + n * ROW_SECONDS + X.nnz * SPARSE_VALUE_SECONDS
        return float(1.0 + (products + adding) / gradient)
    gradient = _CALL_SECONDS + n * (ROW_SECONDS + p * _PASS_SECONDS)
    product = _PRODUCT_SECONDS if p < BLAS_WIDTH else _BLAS_SECONDS * (1.0 + 100.0 / p)
    return float(1.0 + n * p * (COPY_SECONDS + p * product) / gradient)
