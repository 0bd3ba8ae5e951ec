"""The stages that read X where a row has K margins: small matrix products, X read once a block.

Dense rows are taken where they lie, as float64 of C order; others are copied to such rows first.
Sparse rows work row by row: a stored value meets the K parameters of its column.

Both want the K entries of a column side by side: parameters W and gradients G are (p, K padded).
What is done with margins wants those of a class side by side: Z and R are (K padded, rows). B is
(rows, K padded), between the two.
"""

import numpy as np

from fastlogreg.backends.numba import tiles
from fastlogreg.backends.numba.intrinsics import freeze, prefetch
from fastlogreg.backends.numba.jit import allocating, by_storage, stage
from fastlogreg.backends.numba.stages import csr
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.tiles import (
    add_multiple,
    add_products,
    add_upper_products,
    one_of,
    set_products,
    set_rows,
    set_scaled,
)
from fastlogreg.backends.numba.vectors import LANES, set_columns

_place = np.uint64
_LINE = 8  # values in a cache line
_hessian_csr = stage(csr.accumulate_hessian)

# Stored values from here to the one whose row of W or G is asked for: 10,000 x 20,000 with 50 a
# row and 20 classes took 40 to 80 ms without, 11 to 18 so (on a busy machine).
_AHEAD = _place(16)

# --- the rows of a block -----------------------------------------------------------------


def copies_dense(X, by_column):
    """Return whether a block of rows must be copied."""
    return by_column != 0 or X.itemsize != 8


def copies_csr(X, by_column):
    """Return that sparse rows are used where they lie."""
    return False


@allocating
def aligned(size):
    """Return room for values, from the beginning of a cache line on: loops take vectors of one."""
    room = np.empty(size + _LINE)
    first = -(room.ctypes.data // 8) % _LINE
    return room[first : first + size]


def row_buffer_dense(X, by_column, n):
    """Return a buffer for n rows."""
    d = X.shape[0] if by_column else X.shape[1]
    return aligned(n * d).reshape((n, d))


def row_buffer_csr(X, by_column, n):
    """Return a buffer for the starts and ends of n rows."""
    return np.empty((2, n), np.int64)


def scratch_dense(X, size):
    """Return room for rows that are made of those of a block."""
    room = aligned(size)
    room[:] = 0.0
    return room


def scratch_csr(X, size):
    """Return nothing: sparse rows need no room."""
    return np.empty(0)


def rows_dense(X, buffered, buffer):
    """Return what the products read: the buffer, or X."""
    return one_of(not buffered, X, freeze(buffer))


def rows_csr(X, buffered, buffer):
    """Return what the products read: the rows in the buffer, or X."""
    return Csr(X.data, X.indices, freeze(buffer[0]), freeze(buffer[1])) if buffered else X


def copy_rows_dense(X, by_column, lo, n, buffer):
    """Set buffer[:n] = X[lo : lo + n]."""
    if by_column:
        if min(n, X.shape[0]) >= tiles.LANES:
            set_rows(X, lo, n, buffer)
            return
        for j in range(X.shape[0]):
            x = X[j, lo : lo + n]
            for i in range(n):
                buffer[i, j] = x[i]
        return
    size = n * X.shape[1]
    given, copied = X[lo : lo + n].reshape(size), buffer[:n].reshape(size)
    for k in range(size):
        copied[k] = given[k]


def copy_rows_csr(X, by_column, lo, n, buffer):
    """Do nothing."""


# --- between margins and rows of them ----------------------------------------------------


@stage
def _by_class(B, n, Z):
    """Set Z[:, :n] = B[:n]'."""
    for i in range(0, n, 8):
        rows = (i, i + 1, i + 2, i + 3, i + 4, i + 5, i + 6, i + 7)
        set_columns(B, rows, 0, B.shape[1], Z, 0, i)


@stage
def _by_row(R, n, B):
    """Set B[:n] = R[:, :n]'."""
    for k in range(0, B.shape[1], 4):
        set_columns(R, (k, k + 1, k + 2, k + 3), 0, max(n, LANES), B, 0, k)


# --- dense rows --------------------------------------------------------------------------


def margins_dense(X, lo, n, intercept, W, Z, B):
    """Set Z[:, :n] = W' [1, X[lo : lo + n]]'."""
    set_products(X, lo, n, intercept, W, B)
    _by_class(B, n, Z)


@stage
def _add_rows(X, lo, n, intercept, R, G, B):
    _by_row(R, n, B)
    add_products(X, lo, n, intercept, B, G)


def accumulate_dense(X, lo, n, intercept, R, G, B):
    """Do G += [1, X[lo : lo + n]]' R[:, :n]'."""
    _add_rows(X, lo, n, intercept, R, G, B)


def accumulate_squares_dense(X, lo, n, intercept, R, G, B, scratch):
    """Do G += [1, X * X]' R[:, :n]'."""
    d = X.shape[1]
    squares = scratch[: n * d].reshape(n, d)
    for i in range(n):
        for j in range(d):
            squares[i, j] = X[lo + i, j] * X[lo + i, j]
    _add_rows(freeze(squares), 0, n, intercept, R, G, B)


def accumulate_hessian_dense(X, lo, n, intercept, h, scratch, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X."""
    scaled = scratch.reshape(scratch.size // H.shape[1], H.shape[1])
    set_scaled(X, lo, n, intercept, h, scaled)
    add_upper_products(X, lo, n, intercept, scaled, H)


def write_rows_dense(X, lo, n, intercept, A, first):
    """Write the rows [1, X[lo : lo + n]] to A[first : first + n], for the BLAS."""
    for i in range(n):
        if intercept:
            A[first + i, 0] = 1.0
        for j in range(X.shape[1]):
            A[first + i, intercept + j] = X[lo + i, j]


# --- sparse rows -------------------------------------------------------------------------


def margins_csr(X, lo, n, intercept, W, Z, B):
    """Set Z[:, :n] = W' [1, X[lo : lo + n]]'."""
    width = _place(W.shape[1])
    shift = _place(intercept)
    final = _place(X.indices.size - 1)
    for i in range(n):
        for c in range(width):
            B[i, c] = W[0, c] if intercept else 0.0
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            later = shift + _place(X.indices[min(k + _AHEAD, final)])
            for c in range(_place(0), width, _place(8)):
                prefetch(W, later * width + c)
            add_multiple(np.float64(X.data[k]), W, shift + _place(X.indices[k]), B, i)
    _by_class(B, n, Z)


@stage
def _accumulate_csr(X, lo, n, intercept, R, G, B, power):
    width = _place(G.shape[1])
    shift = _place(intercept)
    final = _place(X.indices.size - 1)
    _by_row(R, n, B)
    for i in range(n):
        if intercept:
            for c in range(width):
                G[0, c] += B[i, c]
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            later = shift + _place(X.indices[min(k + _AHEAD, final)])
            for c in range(_place(0), width, _place(8)):
                prefetch(G, later * width + c)
            x = np.float64(X.data[k])
            if power == 2:
                x = x * x
            add_multiple(x, B, i, G, shift + _place(X.indices[k]))


def accumulate_csr(X, lo, n, intercept, R, G, B):
    """Do G += [1, X[lo : lo + n]]' R[:, :n]'."""
    _accumulate_csr(X, lo, n, intercept, R, G, B, 1)


def accumulate_squares_csr(X, lo, n, intercept, R, G, B, scratch):
    """Do G += [1, X * X]' R[:, :n]'."""
    _accumulate_csr(X, lo, n, intercept, R, G, B, 2)


def accumulate_hessian_csr(X, lo, n, intercept, h, scratch, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X."""
    _hessian_csr(X, 0, lo, n, intercept, h, scratch, H)


def write_rows_csr(X, lo, n, intercept, A, first):
    """Do nothing: the Hessian of sparse rows is not the BLAS's."""


copies = by_storage(copies_dense, copies_csr)
row_buffer = by_storage(row_buffer_dense, row_buffer_csr, allocates=True)
scratch = by_storage(scratch_dense, scratch_csr, allocates=True)
rows = by_storage(rows_dense, rows_csr, allocates=True)
copy_rows = by_storage(copy_rows_dense, copy_rows_csr)
margins = by_storage(margins_dense, margins_csr)
accumulate = by_storage(accumulate_dense, accumulate_csr)
accumulate_squares = by_storage(accumulate_squares_dense, accumulate_squares_csr)
accumulate_hessian = by_storage(accumulate_hessian_dense, accumulate_hessian_csr)
write_rows = by_storage(write_rows_dense, write_rows_csr)
