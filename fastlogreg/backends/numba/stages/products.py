"""The stages that read X where a row has K margins: small matrix products, X read once a block.

Dense rows are copied to float64 columns T (p, rows) first, with a column of ones where there is
an intercept and columns of zeros up to a multiple of 4: both products are then loops over rows
with tiles of 2 classes x 4 columns in registers, and a loop over one panel of classes finds its
margins or residuals in L1. Twice the speed of the BLAS on such blocks (docs/decisions.md).

Sparse rows work row by row: a stored value meets the K parameters of its column, which lie side
by side.

Parameters W and gradients G are laid out for that, each row padded to a multiple of :data:`WIDTH`:
(K, p padded) for dense rows, (p, K padded) for sparse ones. Z and R are (K, rows).
"""

import numpy as np

from fastlogreg.backends.numba.intrinsics import prefetch
from fastlogreg.backends.numba.jit import PREFETCHES, by_storage, stage
from fastlogreg.backends.numba.stages import csr, dense
from fastlogreg.backends.numba.stages.dense import copy_rows
from fastlogreg.backends.numba.vectors import LANES, set_columns

_place = np.uint64
WIDTH = 4  # entries that rows of W and G are padded to
_hessian_csr = stage(csr.accumulate_hessian)

# Stored values from here to the one whose row of W or G is asked for: 10,000 x 20,000 with 50 a
# row and 20 classes took 40 to 80 ms without, 11 to 18 so (on a busy machine).
_AHEAD = _place(16)
_PANEL = 16  # classes whose tile stays in L1 while the columns pass by


def columns_dense(X, by_column, lo, n, intercept, T):
    """Copy rows lo : lo + n to T (p, n), float64 columns; the intercept's column stands there."""
    if by_column:
        for j in range(X.shape[0]):
            column, x = T[intercept + j], X[j, lo : lo + n]
            for i in range(n):
                column[i] = x[i]
        return
    copy_rows(X, lo, n, intercept, T)


def columns_at(X, by_column, index, n, intercept, T, ahead):
    """Copy the rows index[:n] to T (p, n); ``ahead`` is the first of n rows that come later."""
    if by_column:
        for j in range(X.shape[0]):
            for i in range(n):
                T[intercept + j, i] = X[j, index[i]]
        return
    d = X.shape[1]
    body = n - n % 4 if d >= LANES else 0
    for i in range(0, body, 4):
        if PREFETCHES:
            for j in range(0, 4 * d, 8):
                prefetch(X, (ahead + i) * d + j)
        rows = (index[i], index[i + 1], index[i + 2], index[i + 3])
        set_columns(X, rows, T, intercept, i)
    for i in range(body, n):
        k = index[i]
        for j in range(d):
            T[intercept + j, i] = X[k, j]


def columns_csr(X, by_column, lo, n, intercept, T):
    """Do nothing: sparse rows are used where they lie."""


def column_buffer_dense(X, by_column, intercept, p, n):
    """Return a buffer for p columns of n rows: the intercept's ones and the zeros in place.

    Rows are not a power of two apart, so that columns of one row do not fight for a set of L1.
    """
    T = np.empty((p, n + 8))
    d = X.shape[0] if by_column else X.shape[1]
    T[intercept + d :, :] = 0.0
    if intercept:
        T[0, :] = 1.0
    return T


def value_buffer_dense(X, K, n):
    """Return an empty buffer: dense rows need none."""
    return np.zeros((0, 0))


def value_buffer_csr(X, K, n):
    """Return a buffer of n rows of K values (padded)."""
    return np.zeros((n, K))


def column_buffer_csr(X, by_column, intercept, p, n):
    """Return an empty buffer: sparse rows need none."""
    return np.zeros((0, 0))


def margins_dense(X, lo, n, intercept, T, W, Z, B):
    """Set Z[:, :n] = W [1, X[lo : lo + n]]'; T has been filled, B is for sparse rows."""
    K = Z.shape[0]
    for k in range(K):
        for i in range(n):
            Z[k, i] = 0.0
    for first in range(0, K, _PANEL):
        last = min(first + _PANEL, K)
        pairs = last - (last - first) % 2
        for j in range(0, W.shape[1], 4):
            for k in range(first, pairs, 2):
                a0 = W[k, j]
                a1 = W[k, j + 1]
                a2 = W[k, j + 2]
                a3 = W[k, j + 3]
                b0 = W[k + 1, j]
                b1 = W[k + 1, j + 1]
                b2 = W[k + 1, j + 2]
                b3 = W[k + 1, j + 3]
                for i in range(n):
                    t0 = T[j, i]
                    t1 = T[j + 1, i]
                    t2 = T[j + 2, i]
                    t3 = T[j + 3, i]
                    Z[k, i] += (a0 * t0 + a1 * t1) + (a2 * t2 + a3 * t3)
                    Z[k + 1, i] += (b0 * t0 + b1 * t1) + (b2 * t2 + b3 * t3)
            for k in range(pairs, last):
                a0 = W[k, j]
                a1 = W[k, j + 1]
                a2 = W[k, j + 2]
                a3 = W[k, j + 3]
                for i in range(n):
                    Z[k, i] += (a0 * T[j, i] + a1 * T[j + 1, i]) + (
                        a2 * T[j + 2, i] + a3 * T[j + 3, i]
                    )


@stage
def _accumulate_tiles(T, R, n, G):
    K = R.shape[0]
    for first in range(0, K, _PANEL):
        last = min(first + _PANEL, K)
        pairs = last - (last - first) % 2
        for j in range(0, G.shape[1], 4):
            for k in range(first, pairs, 2):
                a0 = 0.0
                a1 = 0.0
                a2 = 0.0
                a3 = 0.0
                b0 = 0.0
                b1 = 0.0
                b2 = 0.0
                b3 = 0.0
                for i in range(n):
                    x = R[k, i]
                    y = R[k + 1, i]
                    t0 = T[j, i]
                    t1 = T[j + 1, i]
                    t2 = T[j + 2, i]
                    t3 = T[j + 3, i]
                    a0 += x * t0
                    a1 += x * t1
                    a2 += x * t2
                    a3 += x * t3
                    b0 += y * t0
                    b1 += y * t1
                    b2 += y * t2
                    b3 += y * t3
                G[k, j] += a0
                G[k, j + 1] += a1
                G[k, j + 2] += a2
                G[k, j + 3] += a3
                G[k + 1, j] += b0
                G[k + 1, j + 1] += b1
                G[k + 1, j + 2] += b2
                G[k + 1, j + 3] += b3
            for k in range(pairs, last):
                a0 = 0.0
                a1 = 0.0
                a2 = 0.0
                a3 = 0.0
                for i in range(n):
                    x = R[k, i]
                    a0 += x * T[j, i]
                    a1 += x * T[j + 1, i]
                    a2 += x * T[j + 2, i]
                    a3 += x * T[j + 3, i]
                G[k, j] += a0
                G[k, j + 1] += a1
                G[k, j + 2] += a2
                G[k, j + 3] += a3


def accumulate_dense(X, lo, n, intercept, T, R, G, B):
    """Do G += R[:, :n] [1, X[lo : lo + n]]."""
    _accumulate_tiles(T, R, n, G)


def accumulate_squares_dense(X, lo, n, intercept, T, R, G, B):
    """Do G += R[:, :n] [1, X * X]; T holds the squares afterwards."""
    for j in range(T.shape[0]):
        for i in range(n):
            T[j, i] *= T[j, i]
    _accumulate_tiles(T, R, n, G)


def accumulate_hessian_dense(X, lo, n, intercept, h, T, S, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X."""
    dense.accumulate_tiles(T, h, n, T.shape[0], S, H)


# --- sparse rows -------------------------------------------------------------------------


def margins_csr(X, lo, n, intercept, T, W, Z, B):
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
            x = np.float64(X.data[k])
            w = W[shift + _place(X.indices[k])]
            for c in range(width):
                B[i, c] += x * w[c]
    for k in range(Z.shape[0]):
        for i in range(n):
            Z[k, i] = B[i, k]


@stage
def _accumulate_csr(X, lo, n, intercept, R, G, B, power):
    width = _place(G.shape[1])
    shift = _place(intercept)
    final = _place(X.indices.size - 1)
    for k in range(R.shape[0]):
        for i in range(n):
            B[i, k] = R[k, i]
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
            g = G[shift + _place(X.indices[k])]
            for c in range(width):
                g[c] += x * B[i, c]


def accumulate_csr(X, lo, n, intercept, T, R, G, B):
    """Do G += [1, X[lo : lo + n]]' R[:, :n]'."""
    _accumulate_csr(X, lo, n, intercept, R, G, B, 1)


def accumulate_squares_csr(X, lo, n, intercept, T, R, G, B):
    """Do G += [1, X * X]' R[:, :n]'."""
    _accumulate_csr(X, lo, n, intercept, R, G, B, 2)


def accumulate_hessian_csr(X, lo, n, intercept, h, T, S, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X."""
    _hessian_csr(X, 0, lo, n, intercept, h, (T, S), H)


columns = by_storage(columns_dense, columns_csr)
columns_at = stage(columns_at)
column_buffer = by_storage(column_buffer_dense, column_buffer_csr, allocates=True)
value_buffer = by_storage(value_buffer_dense, value_buffer_csr, allocates=True)
margins = by_storage(margins_dense, margins_csr)
accumulate = by_storage(accumulate_dense, accumulate_csr)
accumulate_squares = by_storage(accumulate_squares_dense, accumulate_squares_csr)
accumulate_hessian = by_storage(accumulate_hessian_dense, accumulate_hessian_csr)
