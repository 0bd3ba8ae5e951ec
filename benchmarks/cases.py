"""The one table of cases: what is measured, by whichever runner.

Kernels are measured on :data:`SHAPES` x :data:`DTYPES` x backends, fits on :data:`FITS`.
``asv_suite`` and ``pytest_suite`` both read this table, so that a
case added here is seen by both. All data are seeded or shipped with scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.problem import Problem
from fastlogreg.cli.measuring import make_data

Data = tuple[Any, NDArray[np.float64]]  # X, dense or scipy.sparse, and labels 0.0 and 1.0

#: rows x columns: from what fits the first cache to what no cache holds
SHAPES = ((1_000, 10), (200_000, 100), (1_000_000, 20), (1_000_000, 50), (2_000_000, 10),
          (4_000_000, 2))  # fmt: skip
#: what a smoke run measures
SMALL_SHAPES = ((1_000, 10), (20_000, 20))
DTYPES = ("float64", "float32")
#: the loop backend takes 0.35 us a value; more than this many it is not given
LOOP_VALUES = 500_000


def backend_can(backend: str, n: int, d: int) -> bool:
    """Return whether a backend does this size in reasonable time."""
    return backend != "loop" or n * d <= LOOP_VALUES


@lru_cache(maxsize=1)
def kernel_data(n: int, d: int, dtype: str) -> tuple[NDArray[Any], ...]:
    """Return X (n, d), labels y (n,) and theta (d + 1,) for a kernel; the last is kept."""
    return make_data(n, d, dtype)


def synthetic(
    n: int,
    d: int,
    *,
    scales: tuple[float, float] = (1.0, 1.0),
    correlation: float = 0.0,
    dtype: str = "float64",
    seed: int = 0,
) -> Data:
    """Return normal columns and labels drawn from a logistic model.

    Parameters
    ----------
    n, d : int
        Rows and columns.
    scales : (float, float)
        Standard deviations of the first and the last column, geometric between.
    correlation : float
        Between neighbouring columns (an autoregressive chain).
    dtype : str
        Of X.
    seed : int
        Of everything.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32).astype(np.float64)
    if correlation:
        fresh = np.sqrt(1.0 - correlation**2)
        for j in range(1, d):
            X[:, j] = correlation * X[:, j - 1] + fresh * X[:, j]
    w = rng.standard_normal(d) / np.sqrt(d)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-(X @ w + 0.2)))).astype(np.float64)
    X *= np.geomspace(*scales, d)
    return X.astype(dtype, copy=False), y


def census(n: int = 32_561, d: int = 100, seed: int = 0) -> Data:
    """Return a table like a census: heavy-tailed numbers and rare one-hot levels.

    Six log-normal columns of scales 1 to 1e6, then the levels of eight categories, each
    level rarer than the last, down to ten rows.
    """
    rng = np.random.default_rng(seed)
    numeric = rng.lognormal(0.0, 1.0, (n, 6)) * np.geomspace(1.0, 1e6, 6)
    numeric[:, 5] *= rng.random(n) < 0.08  # most have no such income
    widths = np.full(8, (d - 6) // 8)
    widths[: (d - 6) % 8] += 1
    columns = [numeric]
    for width in widths:
        frequency = np.geomspace(1.0, 10.0 * width / n, width)
        level = rng.choice(width, n, p=frequency / frequency.sum())
        level[rng.choice(n, 10 * width, replace=False)] = np.repeat(np.arange(width), 10)
        columns.append(np.eye(width)[level])
    X = np.ascontiguousarray(np.hstack(columns))
    w = np.concatenate(
        [rng.standard_normal(6) / np.geomspace(1.0, 1e6, 6) / 3, rng.normal(size=d - 6)]
    )
    z = X @ w
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-(z - np.median(z) - 1.0)))).astype(np.float64)
    return X, y


def two_of(load: str, first: int, second: int) -> Data:
    """Return two classes of a data set that scikit-learn ships, the second as 1."""
    from sklearn import datasets

    X, y = getattr(datasets, load)(return_X_y=True)
    keep = (y == first) | (y == second)
    return np.ascontiguousarray(X[keep], dtype=np.float64), (y[keep] == second).astype(np.float64)


def power_law_csr(
    n: int = 20_000, d: int = 50_000, density: float = 1e-3, dtype: str = "float64", seed: int = 0
) -> Data:
    """Return sparse rows like counts of words: few columns are frequent, most are rare.

    The column of rank k is held by a share of rows in proportion to 1 / (k + 10); indices are
    int32. The true model has weights on a tenth of the columns.
    """
    from scipy.sparse import coo_array

    rng = np.random.default_rng(seed)
    frequency = 1.0 / (np.arange(d) + 10.0)
    counts = np.minimum(np.ceil(density * n * d * frequency / frequency.sum()), n).astype(int)
    columns = np.repeat(rng.permutation(d), counts).astype(np.int32)
    rows = np.concatenate([rng.choice(n, k, replace=False) for k in counts]).astype(np.int32)
    values = 1.0 + rng.exponential(1.0, columns.size)
    X = coo_array((values, (rows, columns)), shape=(n, d)).tocsr()
    w = rng.standard_normal(d) * (rng.random(d) < 0.1)
    z = X @ w
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-2.0 * (z - z.mean()) / z.std()))).astype(np.float64)
    return X.astype(dtype, copy=False), y


def openml(name: str, most: int = 1_000_000) -> Problem:
    """Return a data set of OpenML, its most frequent label against the rest; needs the network.

    Columns that are not numbers are left out, and rows with missing values.
    """
    from sklearn.datasets import fetch_openml

    frame = fetch_openml(name=name, version=1, as_frame=True, parser="auto")
    numbers = frame.data.select_dtypes("number")
    keep = numbers.notna().all(axis=1) & frame.target.notna()
    X = np.ascontiguousarray(numbers[keep].to_numpy(np.float64)[:most])
    target = frame.target[keep][:most]
    return Problem(X, (target == target.mode()[0]).to_numpy(np.float64))


def uneven_weights(n: int, seed: int = 1) -> NDArray[np.float64]:
    """Return positive sample weights, log-normal."""
    return np.random.default_rng(seed).lognormal(0.0, 1.0, n)


@dataclass(frozen=True)
class Fit:
    """A problem to fit: its name, how to make X and y, its penalty and its weights."""

    name: str
    make: Callable[[], Data]
    C: float = 1.0
    weights: Callable[[int], NDArray[np.float64]] | None = None


def _with_penalties(fit: Fit) -> tuple[Fit, ...]:
    """Return a case at C = 1 and, on the same data, at 0.01 and 10,000."""
    return (fit, *(replace(fit, name=f"{fit.name} C={C:g}", C=C) for C in (1e-2, 1e4)))


FITS = {
    fit.name: fit
    for fit in (
        Fit("iris", partial(two_of, "load_iris", 1, 2)),
        *_with_penalties(Fit("breast cancer", partial(two_of, "load_breast_cancer", 0, 1))),
        Fit("digits 3 against 8", partial(two_of, "load_digits", 3, 8)),
        *_with_penalties(Fit("census-like", census)),
        Fit("1e6 x 10", partial(synthetic, 1_000_000, 10)),
        Fit("1e6 x 10 float32", partial(synthetic, 1_000_000, 10, dtype="float32")),
        Fit("1e6 x 10 weighted", partial(synthetic, 1_000_000, 10), weights=uneven_weights),
        Fit("1e6 x 20 unscaled", partial(synthetic, 1_000_000, 20, scales=(1e-2, 1e2))),
        *_with_penalties(Fit("3e5 x 50", partial(synthetic, 300_000, 50))),
        Fit("3e5 x 50 float32", partial(synthetic, 300_000, 50, dtype="float32")),
        Fit("3e5 x 50 unscaled", partial(synthetic, 300_000, 50, scales=(1e-2, 1e2))),
        Fit("1e5 x 200 correlated 0.5", partial(synthetic, 100_000, 200, correlation=0.5)),
        Fit("1e5 x 200 correlated 0.95", partial(synthetic, 100_000, 200, correlation=0.95)),
        Fit("2e4 x 1000", partial(synthetic, 20_000, 1_000)),
        Fit("2e3 x 5000", partial(synthetic, 2_000, 5_000)),
        Fit("CSR 2e4 x 5e4", power_law_csr),
    )
}
#: what a smoke run fits
SMALL_FITS = ("iris", "breast cancer", "digits 3 against 8")


@lru_cache(maxsize=1)
def _rows(make: Callable[[], Data]) -> Data:
    return make()


def fit_data(name: str) -> Problem:
    """Return the problem of a case; the last X and y are kept."""
    fit = FITS[name]
    X, y = _rows(fit.make)
    weights = None if fit.weights is None else fit.weights(y.size)
    return Problem(X, y, weights, fit.C)
