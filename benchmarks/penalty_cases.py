"""The cases of L1 fits, and those that fit many penalties: paths and cross-validations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import cases
from benchmarks.class_cases import ClassData, normal, shipped, sparse


def standardized(make: Callable[[], tuple[Any, NDArray[Any]]]) -> ClassData:
    """Return data with columns of mean 0 and variance 1; constant ones are 0."""
    X, y = make()
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0), y.astype(np.int64)


def from_few(make: Callable[[], Any], n_true: int) -> ClassData:
    """Return X, and two classes of a model with ``n_true`` coefficients."""
    X, random = make(), np.random.default_rng(1)
    coef = np.zeros(X.shape[1])
    coef[:: X.shape[1] // n_true] = random.standard_normal(coef[:: X.shape[1] // n_true].size)
    return X, (X @ coef + random.logistic(size=X.shape[0]) > 0).astype(np.int64)


def _normal(n: int, d: int) -> NDArray[np.float64]:
    X: NDArray[np.float64] = normal(n, d, 2, strength=1.0)[0]
    return X


def _correlated() -> NDArray[np.float64]:
    X = _normal(100_000, 100)
    for j in range(1, 100):
        X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
    return X


def _sparse() -> Any:
    return sparse(20_000, 50_000, 50, 2)[0]


def _census() -> ClassData:
    X, y = cases.census()
    return X, y.astype(np.int64)


def _dummies(n: int = 32_561) -> ClassData:
    """Return six numbers and eight columns of levels, some rare, as 108 columns, standardized."""
    random = np.random.default_rng(3)
    columns = [random.normal(size=n) for _ in range(6)]
    for levels in (9, 16, 7, 15, 6, 5, 2, 42):
        of = random.choice(levels, size=n, p=random.dirichlet(np.full(levels, 0.5)))
        columns += [(of == level).astype(float) for level in range(levels)]
    X, _ = standardized(lambda: (np.column_stack(columns), np.zeros(n)))
    margin = X @ (0.4 * random.normal(size=X.shape[1])) - 1.2
    return np.ascontiguousarray(X), (random.logistic(size=n) < margin).astype(np.int64)


_BREAST_CANCER = partial(shipped, "load_breast_cancer")
_DIGITS = partial(shipped, "load_digits")

#: what :mod:`benchmarks.l1_fits` fits
L1_FITS: dict[str, Callable[[], ClassData]] = {
    "breast cancer standardized": partial(standardized, _BREAST_CANCER),
    "1e5 x 100 correlated": partial(from_few, _correlated, 10),
    "2e4 x 500": partial(from_few, partial(_normal, 20_000, 500), 50),
    "2e3 x 5000": partial(from_few, partial(_normal, 2_000, 5_000), 50),
    "CSR 2e4 x 5e4": partial(from_few, _sparse, 100),
    "census-like": _census,
    "census-like standardized": partial(standardized, _census),
    "digits": partial(standardized, _DIGITS),
}

#: what :mod:`benchmarks.paths` follows
PATHS = {
    name: L1_FITS[name]
    for name in (
        "breast cancer standardized",
        "1e5 x 100 correlated",
        "census-like standardized",
        "2e3 x 5000",
        "CSR 2e4 x 5e4",
    )
}

#: what :mod:`benchmarks.cross_validation` chooses C for
CROSS_VALIDATIONS: dict[str, Callable[[], ClassData]] = {
    "breast cancer": _BREAST_CANCER,
    "breast cancer standardized": partial(standardized, _BREAST_CANCER),
    "1e5 x 20": partial(normal, 100_000, 20, 2, strength=1.0),
    "census-like 32,561 x 108": _dummies,
    "digits": _DIGITS,
}
