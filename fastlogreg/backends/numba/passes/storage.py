"""Rows as kernels take them, read-only views of one type for each storage, and their results."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.jit import Kernel
from fastlogreg.backends.numba.passes.kernels import Rows
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.tiles import LANES, padded_classes

_Matrix = Any  # an array or a SciPy matrix in CSR form


def readonly(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view: kernels then see one type, whatever the caller's flags."""
    view = array.view()
    flags = view.flags
    flags.writeable = False
    assert flags.c_contiguous  # a kernel would read between its values: see Kernel
    return view


NOTHING = np.empty(0)
NO_VALUES = readonly(NOTHING)
NO_ROWS = readonly(np.empty(0, dtype=np.int64))


_LINE = 8  # values in a cache line
_LARGE = 4096  # values of an array that is not in the first cache anyway


def stored(X: _Matrix) -> tuple[NDArray[np.floating] | Csr, int]:
    """Return X as kernels take it, and 1 if that is its transpose, else 0."""
    if not isinstance(X, np.ndarray):
        return _csr(X), 0
    by_column = not X.flags.c_contiguous or X.shape[1] == 1
    return readonly(X.T if by_column else X), int(by_column)


def prepared(
    X: _Matrix,
    y: NDArray[np.float64] = NOTHING,
    weight: NDArray[np.float64] | None = None,
    offset: NDArray[np.float64] | None = None,
    chosen: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.floating] | Csr, Rows]:
    """Return X and the rest as kernels take them."""
    storage, by_column = stored(X)
    return storage, Rows(
        readonly(y),
        NO_VALUES if weight is None else readonly(weight),
        NO_VALUES if offset is None else readonly(offset),
        NO_ROWS if chosen is None else readonly(chosen),
        by_column,
    )


def _csr(X: Any) -> Csr:
    indptr = readonly(X.indptr.astype(np.int64, copy=False))
    return Csr(readonly(X.data), readonly(X.indices), indptr[:-1], indptr[1:])


def storage_code(X: NDArray[np.floating] | Csr) -> str:
    """Return what the kernels for this storage are called; see :class:`.jit.Kernel`."""
    if isinstance(X, Csr):
        return X.data.dtype.char + X.indices.dtype.char
    return X.dtype.char


def forms(
    serial: Kernel, on_threads: Kernel, code: str, before: tuple[Any, ...], *after: Any
) -> tuple[Callable[[int, int], Any], Callable[[int, int], Any]]:
    """Return the two forms of a kernel as :func:`.threads.run_chunks` calls them."""

    def threaded(first: int, last: int) -> None:
        address = serial.address(code, *before, 0, 0, *after)
        if on_threads[code](address, *before, first, last, *after):
            # what a chunk raised is lost on its thread; here it is raised, or all goes well
            serial[code](*before, first, last, *after)

    return lambda first, last: serial[code](*before, first, last, *after), threaded


def padded(size: int, to: int = LANES) -> int:
    """Return the size, rounded up to a multiple."""
    return -(-size // to) * to


def aligned(*shape: int) -> NDArray[np.float64]:
    """Return an array that begins a cache line where it is large: a row of few takes less of them.

    Sparse rows meet rows of W and G in any order.
    """
    size = math.prod(shape)
    if size < _LARGE:
        return np.empty(shape)
    room = np.empty(size + _LINE)
    address: int = room.__array_interface__["data"][0]
    first = -(address // 8) % _LINE
    return room[first : first + size].reshape(shape)


def packed(theta: NDArray[np.float64], *, sparse: bool) -> NDArray[np.float64]:
    """Return theta, (m, p), as :mod:`.stages.products` takes it: (p, m padded)."""
    m, p = theta.shape
    W = aligned(p, padded_classes(m, sparse=sparse))
    W[:, :m] = theta.T
    W[:, m:] = 0.0
    return W


def unpacked(W: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """Return what lies as ``packed`` does as (..., m, p), C-contiguous."""
    return np.ascontiguousarray(W.swapaxes(-1, -2)[..., :m, :])


@lru_cache(maxsize=16)
def _above_diagonal(p: int) -> NDArray[np.bool_]:
    return np.triu(np.ones((p, p), dtype=bool))


def symmetric(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric matrices (..., p, p) with these upper triangles."""
    return np.where(_above_diagonal(upper.shape[-1]), upper, upper.swapaxes(-1, -2))
