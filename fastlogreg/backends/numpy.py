"""The NumPy backend: the lecture's vectorized formulas on whole arrays, in stable forms.

It imports nothing of ours: it is an independent witness of the Numba backend, and the
reference that its speed is measured against. So it is what a good NumPy programmer
writes: no column of ones, no clipping, no work that ``order`` does not ask for.

float32 samples are promoted to float64 whole, because products and sums are float64 in
every backend; a product in float32 would lose seven digits.

X may be sparse: SciPy's products take the place of NumPy's.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float64]
_Matrix = Any  # an array or a SciPy matrix


def _scaled(X: _Matrix, h: _Vector) -> _Matrix:
    """Return diag(h) X."""
    return X * h[:, None] if isinstance(X, np.ndarray) else X.multiply(h[:, None]).tocsr()


def _margins(X: _Matrix, theta: _Vector, offset: _Vector | None, intercept: bool) -> _Vector:
    z: _Vector = X.astype(np.float64, copy=False) @ theta[int(intercept) :]
    if intercept:
        z += theta[0]
    if offset is not None:
        z += offset
    return z


def _sigmoid_pair(z: _Vector, t: _Vector) -> tuple[_Vector, _Vector]:
    """Return (p, 1 - p) given t = exp(-|z|), neither by cancellation."""
    larger = 1.0 / (1.0 + t)
    smaller = t * larger
    positive = z >= 0.0
    return np.where(positive, larger, smaller), np.where(positive, smaller, larger)


def _jet(
    z: _Vector, y: _Vector, loss: str, activation: str, order: int
) -> tuple[_Vector, _Vector | None, _Vector | None]:
    """Return (value, residual, curvature) of each sample; None for those not asked for."""
    if activation == "identity":
        error = z - y
        return (
            error * error,
            2.0 * error if order >= 1 else None,
            np.full_like(z, 2.0) if order >= 2 else None,
        )
    scale = 2.0 if activation == "tanh" else 1.0
    if scale != 1.0:
        z = scale * z  # tanh z = 2 sigmoid(2 z) - 1
    size = np.abs(z)
    t = np.exp(-size)
    residual = curvature = None
    if loss == "bce":
        # |z| times (1 - y or y) is max(z, 0) - y z; a share of 0 of an infinite margin is 0
        share = np.where(z >= 0.0, 1.0 - y, y)
        value = np.multiply(share, size, out=np.zeros_like(size), where=share != 0.0)
        value += np.log1p(t)
        if order >= 1:
            p, q = _sigmoid_pair(z, t)
            residual = scale * ((1.0 - y) * p - y * q)
            if order >= 2:
                curvature = scale * scale * (p * q)
        return value, residual, curvature
    p, q = _sigmoid_pair(z, t)
    error = (1.0 - y) * p - y * q  # p - y without cancellation
    if order >= 1:
        slope = p * q
        residual = 2.0 * scale * (slope * error)
        if order >= 2:
            curvature = 2.0 * scale * scale * (slope * (slope + error * (q - p)))
    return error * error, residual, curvature


def predict(
    X: _Matrix,
    theta: _Vector,
    *,
    offset: _Vector | None = None,
    activation: str = "sigmoid",
    intercept: bool = True,
    n_threads: int | None = None,
) -> _Vector:
    """Return the predictions, (n,); see :class:`fastlogreg.backends.Backend`."""
    z = _margins(X, theta, offset, intercept)
    if activation == "identity":
        return z
    if activation == "tanh":
        z *= 2.0
    return _sigmoid_pair(z, np.exp(-np.abs(z)))[0]


def evaluate(
    X: _Matrix,
    y: _Vector,
    theta: _Vector,
    *,
    sample_weight: _Vector | None = None,
    offset: _Vector | None = None,
    loss: str = "bce",
    activation: str = "sigmoid",
    intercept: bool = True,
    order: int = 1,
    n_threads: int | None = None,
    rows: NDArray[np.int64] | None = None,
    curvatures: _Vector | None = None,
    moments: _Vector | None = None,
) -> tuple[float, _Vector | None, NDArray[np.float64] | None]:
    """Return mean loss, gradient and Hessian; see :class:`fastlogreg.backends.Backend`."""
    if rows is not None:
        X, y = X[rows], y[rows]
        sample_weight = None if sample_weight is None else sample_weight[rows]
        offset = None if offset is None else offset[rows]
    X = X.astype(np.float64, copy=False)
    z = _margins(X, theta, offset, intercept)
    jet_order = order if curvatures is None and moments is None else 2
    value, residual, curvature = _jet(z, y, loss, activation, jet_order)
    if sample_weight is None:
        size = float(y.size)
        mean = float(value.sum()) / size
    else:
        size = float(sample_weight.sum())
        mean = float(sample_weight @ value) / size
        residual = residual if residual is None else residual * sample_weight
        curvature = curvature if curvature is None else curvature * sample_weight
    if curvatures is not None:
        curvatures[:] = curvature
    if moments is not None and curvature is not None:
        moments[:] = np.concatenate([[curvature.sum()], *column_moments(X, curvature)])
    if order == 0 or residual is None:
        return mean, None, None
    first = int(intercept)
    gradient = np.empty(theta.size)
    gradient[first:] = X.T @ residual
    if intercept:
        gradient[0] = residual.sum()
    gradient /= size
    if order == 1 or curvature is None:
        return mean, gradient, None
    hessian = np.empty((theta.size, theta.size))
    product = X.T @ _scaled(X, curvature)
    hessian[first:, first:] = product if isinstance(product, np.ndarray) else product.toarray()
    if intercept:
        hessian[0, 0] = curvature.sum()
        hessian[0, 1:] = hessian[1:, 0] = X.T @ curvature
    upper = np.triu(hessian)  # the product is symmetric to rounding only
    return mean, gradient, (upper + np.triu(hessian, 1).T) / size


def solving(p: int) -> AbstractContextManager[None]:
    """Return a context that changes nothing; see :class:`fastlogreg.backends.Backend`."""
    return nullcontext()


def hessian_passes(X: _Matrix, p: int) -> float:
    """Return an estimate; see :class:`fastlogreg.backends.Backend`."""
    return 1.0 + p / 4.0


def hessian_product(
    X: _Matrix,
    curvatures: _Vector,
    vector: _Vector,
    *,
    intercept: bool = True,
    n_threads: int | None = None,
) -> _Vector:
    """Return A' diag(h) A v; see :class:`fastlogreg.backends.Backend`."""
    X = X.astype(np.float64, copy=False)
    scaled = curvatures * _margins(X, vector, None, intercept)
    product = X.T @ scaled
    return np.concatenate([[scaled.sum()], product]) if intercept else product


def column_moments(
    X: _Matrix, curvatures: _Vector, *, n_threads: int | None = None
) -> tuple[_Vector, _Vector]:
    """Return X' h and (X * X)' h; see :class:`fastlogreg.backends.Backend`."""
    X = X.astype(np.float64, copy=False)
    squares = X * X if isinstance(X, np.ndarray) else X.multiply(X)
    return X.T @ curvatures, squares.T @ curvatures


def train_epoch(
    X: _Matrix,
    y: _Vector,
    theta: _Vector,
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int,
    learning_rate: float,
    loss: str = "bce",
    activation: str = "sigmoid",
    intercept: bool = True,
    n_threads: int | None = None,
) -> _Vector:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`."""
    starts = range(0, y.size, batch_size)
    losses = np.empty(len(starts))
    for k, lo in enumerate(starts):
        batch = slice(lo, lo + batch_size) if rows is None else rows[lo : lo + batch_size]
        losses[k], gradient, _ = evaluate(
            X[batch], y[batch], theta, loss=loss, activation=activation, intercept=intercept
        )
        assert gradient is not None
        theta -= learning_rate * gradient
    return losses
