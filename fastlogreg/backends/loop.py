"""The loop backend: scalar Python, one sample at a time, one feature at a time.

What the lecture calls the traditional way, in stable forms: values are read from the
arrays where they are needed, as a first program does. It imports nothing of ours and
computes with Python floats and :mod:`math` alone, so it is an independent witness of the
other two, and the baseline of what vectorizing gains.

A sparse X is made dense first: what the loop can do in a lifetime fits in memory.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float64]
_Matrix = Any  # an array or a SciPy matrix


def _dense(X: _Matrix) -> NDArray[np.floating]:
    return X if isinstance(X, np.ndarray) else X.toarray()


def _sigmoid_pair(z: float) -> tuple[float, float, float]:
    """Return (p, 1 - p, exp(-|z|)), the first two without cancellation."""
    t = math.exp(-abs(z))
    larger = 1.0 / (1.0 + t)
    smaller = t * larger
    if z >= 0.0:
        return larger, smaller, t
    return smaller, larger, t


def _jet(z: float, y: float, loss: str, activation: str) -> tuple[float, float, float]:
    """Return (value, residual, curvature) of one sample at its margin."""
    if activation == "identity":
        error = z - y
        return error * error, 2.0 * error, 2.0
    scale = 2.0 if activation == "tanh" else 1.0
    z *= scale
    p, q, t = _sigmoid_pair(z)
    error = (1.0 - y) * p - y * q
    if loss == "bce":
        share = 1.0 - y if z >= 0.0 else y
        value = math.log1p(t)
        if share != 0.0:  # a share of 0 of an infinite margin is 0
            value += share * abs(z)
        return value, scale * error, scale * scale * p * q
    slope = p * q
    curvature = 2.0 * slope * (slope + error * (q - p))
    return error * error, scale * 2.0 * error * slope, scale * scale * curvature


def _split(theta: _Vector, intercept: bool) -> tuple[float, list[float]]:
    values = theta.tolist()
    return (values[0], values[1:]) if intercept else (0.0, values)


def _margin(
    X: NDArray[np.floating], i: int, b: float, w: list[float], offset: _Vector | None
) -> float:
    z = b
    for j in range(len(w)):
        z += float(X[i, j]) * w[j]
    if offset is not None:
        z += float(offset[i])
    return z


def _sums(
    X: NDArray[np.floating],
    y: _Vector,
    theta: _Vector,
    sample_weight: _Vector | None,
    offset: _Vector | None,
    loss: str,
    activation: str,
    intercept: bool,
    order: int,
    rows: NDArray[np.int64] | None = None,
    curvatures: _Vector | None = None,
    moments: _Vector | None = None,
) -> tuple[float, list[float], list[list[float]]]:
    """Return the sums of loss, gradient and (upper triangle of the) Hessian."""
    b, w = _split(theta, intercept)
    p, first = theta.size, int(intercept)
    total = 0.0
    gradient = [0.0] * p
    hessian = [[0.0] * p for _ in range(p)] if order >= 2 else []
    for k, i in enumerate(range(X.shape[0]) if rows is None else rows.tolist()):
        z = _margin(X, i, b, w, offset)
        value, residual, curvature = _jet(z, float(y[i]), loss, activation)
        weight = 1.0 if sample_weight is None else float(sample_weight[i])
        total += weight * value
        if curvatures is not None:
            curvatures[k] = weight * curvature
        if moments is not None:
            d = p - first
            moments[0] += weight * curvature
            for j in range(d):
                first_power = weight * curvature * float(X[i, j])
                moments[1 + j] += first_power
                moments[1 + d + j] += first_power * float(X[i, j])
        if order == 0:
            continue
        residual *= weight
        if intercept:
            gradient[0] += residual
        for j in range(p - first):
            gradient[first + j] += residual * float(X[i, j])
        if order >= 2:
            curvature *= weight
            x = [1.0] * first + [float(X[i, j]) for j in range(p - first)]
            for j in range(p):
                for m in range(j, p):
                    hessian[j][m] += curvature * x[j] * x[m]
    return total, gradient, hessian


class BoundPass:
    """Rows and what to compute on them; see :class:`fastlogreg.backends.Pass`."""

    def __init__(
        self,
        X: _Matrix,
        y: _Vector | None,
        sample_weight: _Vector | None,
        offset: _Vector | None,
        spec: Any,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self._X, self._y, self._sample_weight, self._offset = _dense(X), y, sample_weight, offset
        self._spec, self._rows = spec, rows
        chosen = range(X.shape[0]) if rows is None else rows.tolist()
        self.n_rows = len(chosen)
        self.total_weight = float(self.n_rows)
        if sample_weight is not None:
            self.total_weight = 0.0
            for i in chosen:
                self.total_weight += float(sample_weight[i])
        self.hessian_cost = 1.0 + (X.shape[1] + spec.intercept) / 4.0

    def sample(self, rows: NDArray[np.int64]) -> "BoundPass":
        """Return the pass over these rows of it."""
        return BoundPass(self._X, self._y, self._sample_weight, self._offset, self._spec, rows)

    def __call__(
        self,
        theta: _Vector,
        order: int = 1,
        *,
        curvatures: _Vector | None = None,
        moments: _Vector | None = None,
    ) -> tuple[float, _Vector | None, NDArray[np.float64] | None]:
        """Return the sums of loss, gradient and Hessian."""
        assert self._y is not None
        if moments is not None:
            moments[:] = 0.0
        total, gradient, upper = _sums(
            self._X,
            self._y,
            theta,
            self._sample_weight,
            self._offset,
            self._spec.loss,
            self._spec.activation,
            self._spec.intercept,
            order,
            self._rows,
            curvatures,
            moments,
        )
        if order == 0:
            return total, None, None
        if order == 1:
            return total, np.array(gradient), None
        H = np.array(upper)
        return total, np.array(gradient), H + np.triu(H, 1).T

    def product(self, curvatures: _Vector, vector: _Vector) -> _Vector:
        """Return A' diag(h) A v."""
        X = self._X
        b, w = _split(vector, self._spec.intercept)
        first = int(self._spec.intercept)
        product = [0.0] * vector.size
        for i in range(X.shape[0]):
            z = float(curvatures[i]) * _margin(X, i, b, w, None)
            if first:
                product[0] += z
            for j in range(len(w)):
                product[first + j] += z * float(X[i, j])
        return np.array(product)

    def moments(self, curvatures: _Vector) -> _Vector:
        """Return the sums of h, of h x and of h x²."""
        X = self._X
        d = X.shape[1]
        sums, squares = [0.0] * d, [0.0] * d
        for i in range(X.shape[0]):
            h = float(curvatures[i])
            for j in range(d):
                x = float(X[i, j])
                sums[j] += h * x
                squares[j] += h * x * x
        return np.array([float(sum(curvatures)), *sums, *squares])

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of A v in rows of weight above 0."""
        b, w = _split(vector, self._spec.intercept)
        s = self._sample_weight
        return max(
            abs(_margin(self._X, i, b, w, None))
            for i in range(self._X.shape[0])
            if s is None or s[i] > 0.0
        )

    def margins(self, theta: _Vector, *, with_offset: bool = True) -> _Vector:
        """Return the margins, (n,)."""
        b, w = _split(theta, self._spec.intercept)
        offset = self._offset if with_offset else None
        chosen = range(self._X.shape[0]) if self._rows is None else self._rows.tolist()
        return np.array([_margin(self._X, i, b, w, offset) for i in chosen])

    def predict(self, theta: _Vector) -> _Vector:
        """Return the predictions, (n,)."""
        if self._spec.activation == "identity":
            return self.margins(theta)
        return self.predict_pair(theta)[:, 1].copy()

    def predict_pair(self, theta: _Vector) -> NDArray[np.float64]:
        """Return 1 - p and p, (n, 2)."""
        scale = 2.0 if self._spec.activation == "tanh" else 1.0
        pairs = [_sigmoid_pair(scale * z) for z in self.margins(theta).tolist()]
        return np.array([(q, p) for p, q, _ in pairs])

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        for i in range(self._X.shape[0]):
            for j in range(self._X.shape[1]):
                if not math.isfinite(self._X[i, j]):
                    return i, j
        return None


bind = BoundPass


def solving(p: int) -> AbstractContextManager[None]:
    """Return a context that changes nothing; see :class:`fastlogreg.backends.Backend`."""
    return nullcontext()


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
    X = _dense(X)
    order = np.arange(y.size) if rows is None else rows
    losses = []
    for lo in range(0, y.size, batch_size):
        batch = order[lo : lo + batch_size]
        size = float(batch.size)
        total, gradient, _ = _sums(X, y, theta, None, None, loss, activation, intercept, 1, batch)
        losses.append(total / size)
        for j in range(theta.size):
            theta[j] -= learning_rate * gradient[j] / size
    return np.array(losses)
