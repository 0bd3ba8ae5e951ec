"""The products of a mini-batch's rows with the parameters of K classes, by columns.

The picked rows are copied to float64 columns T (p, rows), with a column of ones where there is an
intercept and columns of zeros up to a multiple of 4: both products are loops over rows then, with
tiles of 2 classes x 4 columns in registers, and parameters lie class by class, as the rules of
optimizers take them. (Passes read rows where they lie: :mod:`..stages.products`.) Sparse rows are
used as passes use them.

Parameters W and gradients G are (K, p padded) for dense rows and (p, K padded) for sparse ones.
Z and R are (K, rows).
"""

import numpy as np

from fastlogreg.backends.numba.intrinsics import prefetch
from fastlogreg.backends.numba.jit import PREFETCHES, by_storage, stage
from fastlogreg.backends.numba.stages import products
from fastlogreg.backends.numba.vectors import LANES, set_columns

_PANEL = 16  # classes whose tile stays in L1 while the columns pass by


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
        set_columns(X, rows, 0, d, T, intercept, i)
    for i in range(body, n):
        k = index[i]
        for j in range(d):
            T[intercept + j, i] = X[k, j]


def _column_buffer_dense(X, by_column, intercept, p, n):
    """Return a buffer for p columns of n rows: the intercept's ones and the zeros in place.

    Rows are not a power of two apart, so that columns of one row do not fight for a set of L1.
    """
    T = np.empty((p, n + 8))
    d = X.shape[0] if by_column else X.shape[1]
    T[intercept + d :, :] = 0.0
    if intercept:
        T[0, :] = 1.0
    return T


def _margins_dense(X, lo, n, intercept, T, W, Z, B):
    """Set Z[:, :n] = W [1, X[lo : lo + n]]'; T has been filled, B is for sparse rows."""
    K = W.shape[0]
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
    K = G.shape[0]
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


def _accumulate_dense(X, lo, n, intercept, T, R, G, B):
    """Do G += R[:, :n] [1, X[lo : lo + n]]."""
    _accumulate_tiles(T, R, n, G)


def _column_buffer_csr(X, by_column, intercept, p, n):
    """Return an empty buffer: sparse rows need none."""
    return np.zeros((0, 0))


def _margins_csr(X, lo, n, intercept, T, W, Z, B):
    """Set Z[:, :n] = W' [1, X[lo : lo + n]]'."""
    products.margins(X, lo, n, intercept, W, Z, B)


def _accumulate_csr(X, lo, n, intercept, T, R, G, B):
    """Do G += [1, X[lo : lo + n]]' R[:, :n]'."""
    products.accumulate(X, lo, n, intercept, R, G, B)


columns_at = stage(columns_at)
column_buffer = by_storage(_column_buffer_dense, _column_buffer_csr, allocates=True)
margins = by_storage(_margins_dense, _margins_csr)
accumulate = by_storage(_accumulate_dense, _accumulate_csr)
