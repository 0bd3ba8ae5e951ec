"""The stages that read X, over rows of an array; see :mod:`fastlogreg.backends.numba.stages`.

X of Fortran order comes as its transpose, an array of the same type as one of C order.
"""

import numpy as np

from fastlogreg.backends.numba.intrinsics import freeze, prefetch
from fastlogreg.backends.numba.jit import PREFETCHES, exact, stage
from fastlogreg.backends.numba.vectors import (
    LANES,
    add_left,
    add_rows,
    dot,
    set_columns,
    set_margins,
)

_INFINITY = float("inf")
# Columns from which margins are computed row by row: four rows at once are four streams, which
# leave the reading ahead of AMD's processors behind (Zen 4, 200,000 x 100: 69 against 30 ns a row,
# which is what reading them takes). Elsewhere it was not measured.
_ONE_BY_ONE = 1 << 62 if PREFETCHES else 32


# --- margins ---------------------------------------------------------------------------


@stage
def _margins_rows(X, lo, n, w, b, z):
    d = X.shape[1]
    if d == 2:  # a loop over two columns costs more than their work: 1.4 -> 0.5 ns a row
        flat = X[lo : lo + n].reshape(2 * n)
        w0 = w[0]
        w1 = w[1]
        for i in range(n):
            z[i] = (flat[2 * i] * w0 + flat[2 * i + 1] * w1) + b
        return
    if d < LANES:
        for i in range(n):
            s0 = 0.0
            for j in range(d):
                s0 += X[lo + i, j] * w[j]
            z[i] = s0 + b
        return
    body = n - n % 4 if d < _ONE_BY_ONE else 0
    for i in range(0, body, 4):
        k = lo + i
        set_margins(X, (k, k + 1, k + 2, k + 3), w, b, z, i)
    for i in range(body, n):
        z[i] = dot(X, lo + i, w) + b


@stage
def _margins_columns(XT, lo, n, w, b, z):
    d = XT.shape[0]
    body = d - d % 4
    for i in range(n):
        z[i] = b
    for j in range(0, body, 4):
        # views that begin at the block: with lo + i as the index no loop becomes vectors
        x0, x1 = XT[j, lo : lo + n], XT[j + 1, lo : lo + n]
        x2, x3 = XT[j + 2, lo : lo + n], XT[j + 3, lo : lo + n]
        w0 = w[j]
        w1 = w[j + 1]
        w2 = w[j + 2]
        w3 = w[j + 3]
        for i in range(n):
            z[i] += (x0[i] * w0 + x1[i] * w1) + (x2[i] * w2 + x3[i] * w3)
    for j in range(body, d):
        x0 = XT[j, lo : lo + n]
        wj = w[j]
        for i in range(n):
            z[i] += x0[i] * wj


def margins(X, by_column, lo, n, w, b, z):
    """Set z[:n] = X[lo : lo + n] @ w + b."""
    if by_column:
        _margins_columns(X, lo, n, w, b, z)
    else:
        _margins_rows(X, lo, n, w, b, z)


# --- accumulate ------------------------------------------------------------------------


@stage
def _accumulate_rows(X, lo, n, r, g):
    d = X.shape[1]
    if d == 2:
        flat = X[lo : lo + n].reshape(2 * n)
        s0 = 0.0
        s1 = 0.0
        for i in range(n):
            s0 += flat[2 * i] * r[i]
            s1 += flat[2 * i + 1] * r[i]
        g[0] += s0
        g[1] += s1
        return
    if d < LANES:
        for i in range(n):
            for j in range(d):
                g[j] += X[lo + i, j] * r[i]
        return
    body = n - n % 8
    for i in range(0, body, 8):
        # The next block, while this one's arithmetic leaves the memory idle. On Sapphire Rapids
        # 2,000,000 x 10 falls from 1.46 to 1.15 reads, 1,000,000 x 20 from 1.17 to 0.95; on
        # Zen 4, whose own prefetching reads further ahead, 600,000 x 50 rises from 11 to 15 ms.
        if PREFETCHES:
            for j in range(d):
                prefetch(X, (lo + n + i) * d + 8 * j)
        k = lo + i
        add_rows(
            X,
            (k, k + 1, k + 2, k + 3, k + 4, k + 5, k + 6, k + 7),
            (r[i], r[i + 1], r[i + 2], r[i + 3], r[i + 4], r[i + 5], r[i + 6], r[i + 7]),
            g,
        )
    for i in range(body, n):
        add_rows(X, (lo + i,), (r[i],), g)
    add_left(X, lo, n, r, g)


@stage
def _accumulate_columns(XT, lo, n, r, g):
    d = XT.shape[0]
    body = d - d % 4
    for j in range(0, body, 4):
        x0, x1 = XT[j, lo : lo + n], XT[j + 1, lo : lo + n]
        x2, x3 = XT[j + 2, lo : lo + n], XT[j + 3, lo : lo + n]
        s0 = 0.0
        s1 = 0.0
        s2 = 0.0
        s3 = 0.0
        for i in range(n):
            ri = r[i]
            s0 += x0[i] * ri
            s1 += x1[i] * ri
            s2 += x2[i] * ri
            s3 += x3[i] * ri
        g[j] += s0
        g[j + 1] += s1
        g[j + 2] += s2
        g[j + 3] += s3
    for j in range(body, d):
        x0 = XT[j, lo : lo + n]
        s0 = 0.0
        for i in range(n):
            s0 += x0[i] * r[i]
        g[j] += s0


def accumulate(X, by_column, lo, n, r, g):
    """Do g += X[lo : lo + n].T @ r[:n]."""
    if by_column:
        _accumulate_columns(X, lo, n, r, g)
    else:
        _accumulate_rows(X, lo, n, r, g)


@stage
def _accumulate_moments_rows(X, lo, n, h, sums, squares):
    d = X.shape[1]
    body = n - n % 4
    for i in range(0, body, 4):
        h0 = h[i]
        h1 = h[i + 1]
        h2 = h[i + 2]
        h3 = h[i + 3]
        for j in range(d):
            x0 = X[lo + i, j]
            x1 = X[lo + i + 1, j]
            x2 = X[lo + i + 2, j]
            x3 = X[lo + i + 3, j]
            t0 = h0 * x0
            t1 = h1 * x1
            t2 = h2 * x2
            t3 = h3 * x3
            sums[j] += (t0 + t1) + (t2 + t3)
            squares[j] += (t0 * x0 + t1 * x1) + (t2 * x2 + t3 * x3)
    for i in range(body, n):
        hi = h[i]
        for j in range(d):
            t = hi * X[lo + i, j]
            sums[j] += t
            squares[j] += t * X[lo + i, j]


@stage
def _accumulate_moments_columns(XT, lo, n, h, sums, squares):
    for j in range(XT.shape[0]):
        x = XT[j, lo : lo + n]
        first = 0.0
        second = 0.0
        for i in range(n):
            t = h[i] * x[i]
            first += t
            second += t * x[i]
        sums[j] += first
        squares[j] += second


def accumulate_moments(X, by_column, lo, n, h, sums, squares):
    """Do sums += X[lo : lo + n].T @ h[:n] and squares likewise with X * X."""
    if by_column:
        _accumulate_moments_columns(X, lo, n, h, sums, squares)
    else:
        _accumulate_moments_rows(X, lo, n, h, sums, squares)


@stage
def copy_rows(X, lo, n, first, T):
    """Copy rows lo : lo + n to the columns T[first :, :n]."""
    d = X.shape[1]
    body = n - n % 8 if d >= LANES else 0
    for i in range(0, body, 8):
        # Whole cache lines of T at once, and the next rows while this is done: of 100,000 x 54
        # 5.1 ms for 7.1 with four rows, of 10,000 x 500 float32 2.7 for 6.5.
        k = lo + i
        if PREFETCHES:
            for j in range(d):
                prefetch(X, (k + 8) * d + 8 * j)
        rows = (k, k + 1, k + 2, k + 3, k + 4, k + 5, k + 6, k + 7)
        set_columns(X, rows, 0, d, T, first, i)
    for j in range(d):
        for i in range(body, n):
            T[first + j, i] = X[lo + i, j]


@stage
def _columns_of_block(X, by_column, lo, n, intercept, T):
    """Copy the block to float64 columns: T[0, :n] = 1 with an intercept, then X's columns."""
    if intercept:
        for i in range(n):
            T[0, i] = 1.0
    if by_column:
        for j in range(X.shape[0]):
            column, x = T[intercept + j], X[j, lo : lo + n]
            for i in range(n):
                column[i] = x[i]
    else:
        copy_rows(X, lo, n, intercept, T)


@stage
def accumulate_tiles(T, h, n, p, S, H):
    """Do H[j, k] += sum_i h_i T[j, i] T[k, i] for k >= j (and a few entries below).

    T has its rows padded with zeros to a multiple of 4, H likewise, so that tiles of
    2 x 4 sums need no edges; S is a buffer of two columns times h.
    """
    for j in range(0, p, 2):
        for i in range(n):
            S[0, i] = h[i] * T[j, i]
            S[1, i] = h[i] * T[j + 1, i]
        for k in range(j - j % 4, p, 4):
            a0 = 0.0
            a1 = 0.0
            a2 = 0.0
            a3 = 0.0
            b0 = 0.0
            b1 = 0.0
            b2 = 0.0
            b3 = 0.0
            for i in range(n):
                x = S[0, i]
                y = S[1, i]
                t0 = T[k, i]
                t1 = T[k + 1, i]
                t2 = T[k + 2, i]
                t3 = T[k + 3, i]
                a0 += x * t0
                a1 += x * t1
                a2 += x * t2
                a3 += x * t3
                b0 += y * t0
                b1 += y * t1
                b2 += y * t2
                b3 += y * t3
            H[j, k] += a0
            H[j, k + 1] += a1
            H[j, k + 2] += a2
            H[j, k + 3] += a3
            H[j + 1, k] += b0
            H[j + 1, k + 1] += b1
            H[j + 1, k + 2] += b2
            H[j + 1, k + 3] += b3


def accumulate_hessian(X, by_column, lo, n, intercept, h, buffers, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X.

    ``buffers`` are of :func:`hessian_buffer` and of two rows of n.
    """
    columns, products = buffers
    p = intercept + (X.shape[0] if by_column else X.shape[1])
    _columns_of_block(X, by_column, lo, n, intercept, columns)
    accumulate_tiles(columns, h, n, p, products, H)


def hessian_buffer(X, p, n):
    """Return a buffer for p columns of n rows."""
    return np.zeros((p, n))


def scaled_rows(X, by_column, lo, n, intercept, h, first, A):
    """Write rows of diag(sqrt|h|) [1, X] to A[first : first + n], for the BLAS."""
    for i in range(n):
        s = abs(h[i]) ** 0.5
        if intercept:
            A[first + i, 0] = s
        if by_column:
            for j in range(X.shape[0]):
                A[first + i, intercept + j] = s * X[j, lo + i]
        else:
            for j in range(X.shape[1]):
                A[first + i, intercept + j] = s * X[lo + i, j]


# --- gather ----------------------------------------------------------------------------


def row_buffer(X, by_column, n):
    """Return a buffer for n chosen rows."""
    return np.empty((n, X.shape[0] if by_column else X.shape[1]), X.dtype)


def gather_rows(X, by_column, index, lo, n, out):
    """Set out[:n] = the rows index[lo : lo + n] of X."""
    if by_column:
        for j in range(X.shape[0]):
            for i in range(n):
                out[i, j] = X[j, index[lo + i]]
    else:
        for i in range(n):
            k = index[lo + i]
            for j in range(X.shape[1]):
                out[i, j] = X[k, j]


def gathered(X, buffer):
    """Return the chosen rows as a matrix of the type of X."""
    return freeze(buffer)


# --- rows named one by one ---------------------------------------------------------------
#
# Mini-batches in random order read rows where they lie: gathering them into a buffer first takes
# 27 ns a row at 20 columns where this takes 15 (in order: 10).


@stage
def _margins_at_rows(X, index, n, w, b, z):
    d = X.shape[1]
    if d < LANES:
        for i in range(n):
            s0 = 0.0
            for j in range(d):
                s0 += X[index[i], j] * w[j]
            z[i] = s0 + b
        return
    body = n - n % 4 if d < _ONE_BY_ONE else 0
    for i in range(0, body, 4):
        set_margins(X, (index[i], index[i + 1], index[i + 2], index[i + 3]), w, b, z, i)
    for i in range(body, n):
        z[i] = dot(X, index[i], w) + b


@stage
def _margins_at_columns(XT, index, n, w, b, z):
    for i in range(n):
        z[i] = b
    for j in range(XT.shape[0]):
        wj = w[j]
        for i in range(n):
            z[i] += XT[j, index[i]] * wj


def margins_at(X, by_column, index, n, w, b, z):
    """Set z[:n] = X[index[:n]] @ w + b."""
    if by_column:
        _margins_at_columns(X, index, n, w, b, z)
    else:
        _margins_at_rows(X, index, n, w, b, z)


@stage
def _accumulate_at_rows(X, index, n, r, g, ahead):
    d = X.shape[1]
    if d < LANES:
        for i in range(n):
            for j in range(d):
                g[j] += X[index[i], j] * r[i]
        return
    body = n - n % 8
    for i in range(0, body, 8):
        # rows of a later batch, in the order of the memory: 21 -> 15 ns a row at 20 columns,
        # where asking for all of them in one burst gains nothing
        if PREFETCHES:
            for j in range(d):
                prefetch(X, (ahead + i) * d + 8 * j)
        add_rows(
            X,
            (
                index[i],
                index[i + 1],
                index[i + 2],
                index[i + 3],
                index[i + 4],
                index[i + 5],
                index[i + 6],
                index[i + 7],
            ),
            (r[i], r[i + 1], r[i + 2], r[i + 3], r[i + 4], r[i + 5], r[i + 6], r[i + 7]),
            g,
        )
    for i in range(body, n):
        add_rows(X, (index[i],), (r[i],), g)
    add_left(X, index, n, r, g)


@stage
def _accumulate_at_columns(XT, index, n, r, g):
    for j in range(XT.shape[0]):
        s = 0.0
        for i in range(n):
            s += XT[j, index[i]] * r[i]
        g[j] += s


def accumulate_at(X, by_column, index, n, r, g, ahead):
    """Do g += X[index[:n]].T @ r[:n]; ``ahead`` is the first of n rows that come later."""
    if by_column:
        _accumulate_at_columns(X, index, n, r, g)
    else:
        _accumulate_at_rows(X, index, n, r, g, ahead)


# --- readers ---------------------------------------------------------------------------


@stage
def read(X, lo, n):
    """Return the sum of rows lo : lo + n: the least that any pass over X costs."""
    flat = X[lo : lo + n].reshape(n * X.shape[1])  # in rows of 20, a third of the speed
    s = 0.0
    for i in range(flat.size):
        s += flat[i]
    return s


def fetch(X, by_column, first_rows, n):
    """Read n rows from each of first_rows, so that they are in cache; return anything.

    For processors that read ahead by themselves, if rows are taken in the order of the memory.
    """
    s = 0.0
    if not PREFETCHES and not by_column:
        for k in first_rows:
            s += read(X, k, n)
    return s


@exact
def not_finite(X, lo, n):
    """Return how many values of rows lo : lo + n are NaN or infinite."""
    flat = X[lo : lo + n].reshape(n * X.shape[1])
    bad = 0
    for i in range(flat.size):
        bad += 0 if abs(flat[i]) < _INFINITY else 1
    return bad
