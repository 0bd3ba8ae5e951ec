"""What this machine can do at most, measured: the roofs under which the kernels are judged.

- *bandwidth*: bytes a second that are read and summed, for a working set of a given size
  (the caches are much faster than memory), on one thread or several;
- *multiply-adds* a second: those of the BLAS's matrix product, the fastest code there is;
- *pointwise* rows a second: sigmoid, loss, residual and curvature (or the sigmoid alone) of margins
  in the first cache. It is our own code, so a roof for the passes around it, not for itself.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastlogreg.backends.numba import stages

#: bytes of the working sets, from the first cache to what no cache holds
WORKING_SETS = tuple(2**k for k in range(15, 30))
_SECONDS = 0.02  # of one timed call
_ROUNDS = 5
_PRODUCT = 1536  # rows and columns
_POINTS = 512  # rows of a block


@numba.njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy", nogil=True)
def _read(x, times, out):
    for k in range(times):
        s = 0.0
        for i in range(x.size):
            s += x[i]
        out[k] = s  # may lie in x for all the compiler knows, so that x is read again


@numba.njit(error_model="numpy", nogil=True)
def _jets(times, z, y, out):
    for _ in range(times):
        stages.pointwise(stages.BCE, 1.0, z, y, 0, z.size, (out[0], out[1], out[2]))


@numba.njit(error_model="numpy", nogil=True)
def _sigmoids(times, z, out):
    for _ in range(times):
        stages.activate(stages.PROBABILITY, 1.0, z, z.size, 0, out)


def _rate(run: Callable[[int], object], units: float) -> float:
    """Return units a second of ``run(times)``, which does ``units`` so many times."""
    times = 1
    while True:  # the first call compiles
        run(times)
        start = time.perf_counter()
        run(times)
        seconds = time.perf_counter() - start
        if seconds > _SECONDS / 4:
            break
        times *= 4
    best = seconds / times
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run(times)
        best = min(best, (time.perf_counter() - start) / times)
    return units / best


def _on_threads(work: list[Callable[[int], object]]) -> Callable[[int], object]:
    """Return a call that does each piece of work on a thread of its own."""
    if len(work) == 1:
        return work[0]
    pool = ThreadPoolExecutor(len(work))
    return lambda times: list(pool.map(lambda piece: piece(times), work))


def _values(n: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal(n)


@cache
def bandwidth(n_bytes: int, n_threads: int) -> float:
    """Return bytes a second that are read from a working set of this size."""
    values = _values(n_bytes // 8)

    def reader(slice_: NDArray[np.float64]) -> Callable[[int], object]:
        return lambda times: _read(slice_, times, np.empty(times))

    slices = np.array_split(values, n_threads)
    return _rate(_on_threads([reader(slice_) for slice_ in slices]), float(values.nbytes))


@cache
def multiply_adds(n_threads: int) -> float:
    """Return multiply-adds a second in float64."""
    A = _values(_PRODUCT**2).reshape(_PRODUCT, _PRODUCT)
    out = np.empty_like(A)

    def product(times: int) -> None:
        for _ in range(times):
            np.matmul(A, A, out=out)

    with threadpool_limits(n_threads, user_api="blas"):
        return _rate(product, float(_PRODUCT) ** 3)


@cache
def pointwise(n_threads: int, *, loss: bool = True) -> float:
    """Return rows a second of the pointwise stage, or of the sigmoid alone."""

    def piece() -> Callable[[int], object]:
        z = 3.0 * _values(_POINTS)
        if loss:
            y, out = (z > 0.0).astype(np.float64), np.empty((3, _POINTS))
            return lambda times: _jets(times, z, y, out)
        p = np.empty((_POINTS, 1))
        return lambda times: _sigmoids(times, z, p)

    return _rate(_on_threads([piece() for _ in range(n_threads)]), float(n_threads * _POINTS))


def bandwidth_for(n_bytes: float, n_threads: int) -> float:
    """Return the bandwidth of the measured working set that is nearest in size."""
    nearest = min(WORKING_SETS, key=lambda size: abs(np.log(size / n_bytes)))
    return bandwidth(nearest, n_threads)
