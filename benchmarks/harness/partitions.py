"""Rows that are made where they are needed: here, or as partitions of Dask on its workers.

It imports NumPy and Dask alone: workers of other packages' environments import it too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def part(k: int, rows: int, columns: int) -> tuple[Array, Array]:
    """Return the columns and the labels of a partition."""
    random = np.random.default_rng(k)
    w = np.random.default_rng(10**6).standard_normal(columns) / np.sqrt(columns)
    X = random.standard_normal((rows, columns))
    return X, (random.random(rows) < 1.0 / (1.0 + np.exp(-(X @ w)))).astype(np.float64)


def _matrix(k: int, rows: int, columns: int) -> Array:
    return part(k, rows, columns)[0]


def _labels(k: int, rows: int, columns: int) -> Array:
    return part(k, rows, columns)[1]


def collections(rows: int, columns: int, parts: int) -> tuple[Any, Any]:
    """Return the columns and the labels of all partitions as lazy arrays of Dask."""
    import dask.array as da
    from dask.delayed import delayed

    each = rows // parts
    X = [
        da.from_delayed(delayed(_matrix)(k, each, columns), (each, columns), dtype=float)
        for k in range(parts)
    ]
    y = [
        da.from_delayed(delayed(_labels)(k, each, columns), (each,), dtype=float)
        for k in range(parts)
    ]
    return da.concatenate(X), da.concatenate(y)
