"""Passes that read X and compute next to nothing: its sum, the first value that is not finite."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.passes import kernels
from fastlogreg.backends.numba.passes.plan import Shape, plan
from fastlogreg.backends.numba.passes.storage import forms, readonly, storage_code
from fastlogreg.backends.numba.threads import run_chunks

_LINE = 512  # values of a sparse matrix that are read as one row

_Matrix = Any  # an array or a SciPy matrix in CSR form


def read_sum(X: _Matrix, *, n_threads: int | None = None) -> float:
    """Return the sum of X by one parallel pass: the floor under every pass over X.

    ``X`` as in :class:`fastlogreg.backends.Backend`; float64 sum of all its values. Of a sparse
    matrix the stored values are read and not their places.
    """
    total = 0.0
    for matrix in _values(X):
        _, chunk, chunks, seconds = _reader_plan(matrix)
        out = np.empty(chunks)
        code = storage_code(matrix)
        run_chunks(
            *forms(kernels.read, kernels.read_on_threads, code, (matrix, chunk), out),
            chunks,
            seconds,
            n_threads,
        )
        total += float(out.sum())
    return total


def _read(
    run: Any, matrix: NDArray[np.floating], chunk: int, out: NDArray[Any], first: int, last: int
) -> None:
    run(matrix, chunk, first, last, out)


def _values(X: _Matrix) -> list[NDArray[np.floating]]:
    """Return all values of X as C-ordered matrices, without a copy."""
    if isinstance(X, np.ndarray):
        return [readonly(X if X.flags.c_contiguous else X.T)]
    whole = X.data.size // _LINE * _LINE
    parts = X.data[:whole].reshape(-1, _LINE), X.data[whole:].reshape(1, -1)
    return [readonly(part) for part in parts if part.size]


def _reader_plan(matrix: NDArray[np.floating]) -> tuple[int, int, int, float]:
    n, d = matrix.shape
    return plan(n, Shape(d, matrix.itemsize), d, False, 0)


def first_not_finite(X: _Matrix, n_threads: int | None) -> tuple[int, int] | None:
    """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
    start = 0  # the first row that may be bad
    found = False
    for matrix in _values(X):
        _, chunk, chunks, seconds = _reader_plan(matrix)
        out = np.empty(chunks, dtype=np.int64)
        run = kernels.not_finite[storage_code(matrix)]
        run_chunks(partial(_read, run, matrix, chunk, out), None, chunks, seconds, n_threads)
        if out.any():
            found = True
            if isinstance(X, np.ndarray) and X.flags.c_contiguous:
                start = int(np.flatnonzero(out)[0]) * chunk
            break
    if not found:
        return None
    if not isinstance(X, np.ndarray):
        k = np.flatnonzero(~np.isfinite(X.data))[0]
        return int(np.searchsorted(X.indptr, k, side="right")) - 1, int(X.indices[k])
    for i in range(start, X.shape[0]):
        bad = np.flatnonzero(~np.isfinite(X[i]))
        if bad.size:
            return i, int(bad[0])
    raise AssertionError("unreachable: the kernel counted a value that is finite")
