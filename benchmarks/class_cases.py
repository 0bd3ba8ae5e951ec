"""The cases of more than two classes: what :mod:`benchmarks.multiclass_fits` fits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

ClassData = tuple[Any, NDArray[np.int64]]  # X, dense or scipy.sparse, and codes of classes


def drawn(X: Any, coef: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return classes drawn from softmax: margins and Gumbel noise."""
    z = X @ coef.T
    codes: NDArray[np.int64] = (z + random.gumbel(size=z.shape)).argmax(axis=1)
    return codes


def shipped(load: str) -> ClassData:
    """Return a data set that scikit-learn ships."""
    from sklearn import datasets

    X, y = getattr(datasets, load)(return_X_y=True)
    return np.ascontiguousarray(X, dtype=np.float64), y


def normal(n: int, d: int, K: int, *, strength: float, seed: int = 0) -> ClassData:
    """Return normal columns, and classes of a model with coefficients of ``strength / sqrt(d)``."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, d), dtype=np.float32).astype(np.float64)
    return X, drawn(X, strength * random.standard_normal((K, d)) / np.sqrt(d), random)


def covtype_like(n: int = 100_000, K: int = 7, seed: int = 0) -> ClassData:
    """Return raw columns like covtype's: ten of scales 1 to 1e3, 44 dummies, most of them rare."""
    random = np.random.default_rng(seed)
    scales = np.geomspace(1.0, 1e3, 10)
    X = np.zeros((n, 54))
    X[:, :10] = (random.standard_normal((n, 10)) + 2.0) * scales
    for first, width, evenness in ((10, 4, 0.5), (14, 40, 0.3)):
        level = random.choice(width, n, p=random.dirichlet(np.full(width, evenness)))
        X[np.arange(n), first + level] = 1.0
    coef = random.standard_normal((K, 54))
    coef[:, :10] *= 0.7 / scales
    return X, drawn(X, coef, random)


def sparse(n: int = 10_000, d: int = 20_000, a_row: int = 50, K: int = 20) -> ClassData:
    """Return sparse rows with ``a_row`` values each."""
    from scipy.sparse import csr_array

    random = np.random.default_rng(0)
    columns = np.sort(random.integers(0, d, (n, a_row)), axis=1).ravel()
    X = csr_array(
        (random.standard_normal(n * a_row), columns, np.arange(n + 1) * a_row), shape=(n, d)
    )
    X.sum_duplicates()
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # as peers want
    return X, drawn(X, random.standard_normal((K, d)), random)


CLASS_FITS: dict[str, Callable[[], ClassData]] = {
    "iris": partial(shipped, "load_iris"),
    "wine": partial(shipped, "load_wine"),
    "digits": partial(shipped, "load_digits"),
    "covtype-like 1e5 x 54, K = 7": covtype_like,
    "1e5 x 30, K = 5": partial(normal, 100_000, 30, 5, strength=2.0),
    "1e4 x 500, K = 10": partial(normal, 10_000, 500, 10, strength=1.5),
    "CSR 1e4 x 2e4, K = 20": sparse,
    "2e4 x 20, K = 100": partial(normal, 20_000, 20, 100, strength=2.0),
}
