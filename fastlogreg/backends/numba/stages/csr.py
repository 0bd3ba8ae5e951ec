"""The stages over rows of a sparse matrix in CSR form; see :mod:`.stages` for what they do.

A row is a run of stored values with their columns, so each function walks runs; what a dense
block shares between its rows (tiles, vectors) is not to be had here. Zeros that are not stored
cost nothing, in the Hessian neither.

The columns of a row must be in order and none twice (:mod:`fastlogreg.data.validation` sees to it).

Places are unsigned in the loops (:data:`_place`): for signed ones Numba looks whether they count
from the end, which takes 1.7 ns a stored value where the product takes 0.65.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.intrinsics import freeze, prefetch

_place = np.uint64
_AHEAD = 4  # rows


class Csr(NamedTuple):
    """Row i has the values ``data[starts[i] : ends[i]]`` in the columns ``indices[...]``.

    Chosen rows are chosen starts and ends: no value is moved.
    """

    data: NDArray[np.floating]
    indices: NDArray[np.integer]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def margins(X, by_column, lo, n, w, b, z):
    """Set z[:n] = X[lo : lo + n] @ w + b."""
    for i in range(n):
        s = 0.0
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            s += X.data[k] * w[_place(X.indices[k])]
        z[i] = s + b


def accumulate(X, by_column, lo, n, r, g):
    """Do g += X[lo : lo + n].T @ r[:n]."""
    for i in range(n):
        ri = r[i]
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            g[_place(X.indices[k])] += X.data[k] * ri


def scaled_rows(X, by_column, lo, n, intercept, h, first, A):
    """Write rows of diag(sqrt|h|) [1, X] to A[first : first + n]."""
    for i in range(n):
        s = abs(h[i]) ** 0.5
        A[first + i, :] = 0.0
        if intercept:
            A[first + i, 0] = s
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            A[first + i, intercept + _place(X.indices[k])] = s * X.data[k]


def accumulate_moments(X, by_column, lo, n, h, sums, squares):
    """Do sums += X[lo : lo + n].T @ h[:n] and squares likewise with X * X."""
    for i in range(n):
        hi = h[i]
        for k in range(_place(X.starts[lo + i]), _place(X.ends[lo + i])):
            x = X.data[k]
            t = hi * x
            sums[_place(X.indices[k])] += t
            squares[_place(X.indices[k])] += t * x


def accumulate_hessian(X, by_column, lo, n, intercept, h, buffers, H):
    """Do H[j, k] += sum_i h_i A[i, j] A[i, k] for k >= j, with A = [1, X] or X."""
    for i in range(n):
        hi = h[i]
        start = _place(X.starts[lo + i])
        end = _place(X.ends[lo + i])
        first = _place(intercept)
        if intercept:
            H[0, 0] += hi
            for k in range(start, end):
                H[0, first + _place(X.indices[k])] += hi * X.data[k]
        for k in range(start, end):
            x = hi * X.data[k]
            row = H[first + _place(X.indices[k]), first:]
            for m in range(k, end):
                row[_place(X.indices[m])] += x * X.data[m]


def hessian_buffer(X, p, n):
    """Return an empty buffer: the Hessian needs none."""
    return np.zeros((0, 0))


def row_buffer(X, by_column, n):
    """Return a buffer for n chosen rows: their starts and ends."""
    return np.empty((2, n), np.int64)


def gather_rows(X, by_column, index, lo, n, out):
    """Make out the rows index[lo : lo + n] of X."""
    for i in range(n):
        k = index[lo + i]
        out[0, i] = X.starts[k]
        out[1, i] = X.ends[k]


def gathered(X, buffer):
    """Return the chosen rows as a matrix of the type of X."""
    return Csr(X.data, X.indices, freeze(buffer[0]), freeze(buffer[1]))


# --- rows named one by one ---------------------------------------------------------------


def margins_at(X, by_column, index, n, w, b, z):
    """Set z[:n] = X[index[:n]] @ w + b."""
    for i in range(n):
        row = index[i]
        later = index[min(i + _AHEAD, n - 1)]
        for k in range(X.starts[later], X.ends[later], 8):
            prefetch(X.data, k)
            prefetch(X.indices, k)
        s = 0.0
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            s += X.data[k] * w[_place(X.indices[k])]
        z[i] = s + b


def accumulate_at(X, by_column, index, n, r, g, ahead):
    """Do g += X[index[:n]].T @ r[:n]."""
    for i in range(n):
        ri = r[i]
        row = index[i]
        for k in range(_place(X.starts[row]), _place(X.ends[row])):
            g[_place(X.indices[k])] += X.data[k] * ri


def fetch(X, by_column, first_rows, n):
    """Do nothing: rows of unequal length are asked for one by one."""
    return 0.0
