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


def _first_not_finite(X: NDArray[np.floating]) -> tuple[int, int] | None:
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            if not math.isfinite(X[i, j]):
                return i, j
    return None


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
        if moments is not None:
            moments[:] = 0.0
        total, gradient, upper = self._sums(theta, order, curvatures, moments)
        if order == 0:
            return total, None, None
        if order == 1:
            return total, np.array(gradient), None
        H = np.array(upper)
        return total, np.array(gradient), H + np.triu(H, 1).T

    def _sums(
        self,
        theta: _Vector,
        order: int,
        curvatures: _Vector | None,
        moments: _Vector | None,
    ) -> tuple[float, list[float], list[list[float]]]:
        """Return the sums of loss, gradient and (upper triangle of the) Hessian."""
        assert self._y is not None
        X, y, sample_weight, spec = self._X, self._y, self._sample_weight, self._spec
        b, w = _split(theta, spec.intercept)
        p, first = theta.size, int(spec.intercept)
        total = 0.0
        gradient = [0.0] * p
        hessian = [[0.0] * p for _ in range(p)] if order >= 2 else []
        rows = range(X.shape[0]) if self._rows is None else self._rows.tolist()
        for k, i in enumerate(rows):
            z = _margin(X, i, b, w, self._offset)
            value, residual, curvature = _jet(z, float(y[i]), spec.loss, spec.activation)
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
            if first:
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
        return _first_not_finite(self._X)


class _Softmax:
    """The softmax of one row's margins, nothing by cancellation."""

    def __init__(self, z: list[float]) -> None:
        self.z = z
        self.top = 0
        for k in range(1, len(z)):
            if z[k] > z[self.top]:
                self.top = k
        m = z[self.top] if math.isfinite(z[self.top]) else math.nan  # which makes its row NaN
        self.t = [math.exp(a - m) if a <= m else math.nan for a in z]
        self.others = self.t[self.top] - 1.0
        for k in range(len(z)):
            if k != self.top:
                self.others += self.t[k]
        total = 1.0 + self.others
        self.log_total = math.log1p(self.others)
        self.p = [t / total for t in self.t]
        self.q = [(total - t) / total for t in self.t]
        self.q[self.top] = self.others / total

    def loss(self, y: list[float]) -> float:
        """Return the cross-entropy of a row of probabilities."""
        value = 0.0
        for k in range(len(y)):
            if y[k] != 0.0:
                value += y[k] * ((self.z[self.top] - self.z[k]) + self.log_total)
        return value


class SoftmaxPass:
    """Rows and softmax; see :class:`fastlogreg.backends.Pass`: theta is (K, p)."""

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
        self._spec = spec
        self._rows = list(range(X.shape[0])) if rows is None else rows.tolist()
        self.n_rows = len(self._rows)
        self.total_weight = 0.0
        for i in self._rows:
            self.total_weight += self._weight(i)
        self.size = spec.n_outputs * (X.shape[1] + spec.intercept)
        self.hessian_cost = 1.0 + self.size / 4.0

    def sample(self, rows: NDArray[np.int64]) -> "SoftmaxPass":
        """Return the pass over these rows of it."""
        return SoftmaxPass(self._X, self._y, self._sample_weight, self._offset, self._spec, rows)

    def _weight(self, i: int) -> float:
        return 1.0 if self._sample_weight is None else float(self._sample_weight[i])

    def _row(self, i: int) -> list[float]:
        """Return [1, x] or x of a row."""
        return [1.0] * int(self._spec.intercept) + [float(x) for x in self._X[i]]

    def _margins(self, i: int, theta: list[list[float]], offset: bool) -> list[float]:
        x = self._row(i)
        z = []
        for k in range(len(theta)):
            a = 0.0
            for j in range(len(x)):
                a += theta[k][j] * x[j]
            if offset and self._offset is not None:
                a += float(self._offset[i, k])
            z.append(a)
        return z

    def _target(self, i: int, K: int) -> list[float]:
        assert self._y is not None
        if self._y.ndim == 2:
            return [float(y) for y in self._y[i]]
        return [1.0 if k == self._y[i] else 0.0 for k in range(K)]

    def __call__(
        self,
        theta: _Vector,
        order: int = 1,
        *,
        curvatures: _Vector | None = None,
        moments: _Vector | None = None,
    ) -> tuple[float, _Vector | None, NDArray[np.float64] | None]:
        """Return the sums of loss, gradient (K, p) and Hessian (K p, K p)."""
        parameters = theta.tolist()
        K, p = theta.shape
        total = 0.0
        gradient = [[0.0] * p for _ in range(K)]
        hessian = np.zeros((K, p, K, p))
        if moments is not None:
            moments[:] = 0.0
        for at, i in enumerate(self._rows):
            y, x, weight = self._target(i, K), self._row(i), self._weight(i)
            soft = _Softmax(self._margins(i, parameters, True))
            total += weight * soft.loss(y)
            for k in range(K):
                residual = weight * ((1.0 - y[k]) * soft.p[k] - y[k] * soft.q[k])
                for j in range(p):
                    gradient[k][j] += residual * x[j]
                if curvatures is not None:
                    curvatures[at, k] = soft.p[k]
                if moments is not None:
                    self._add_moments(i, weight * soft.p[k] * soft.q[k], moments[k])
                for m in range(K if order == 2 else 0):
                    h = weight * soft.p[k] * (soft.q[k] if m == k else -soft.p[m])
                    for j in range(p):
                        for r in range(p):
                            hessian[k, j, m, r] += h * x[j] * x[r]
        if order == 0:
            return total, None, None
        H = hessian.reshape(K * p, K * p)
        return total, np.array(gradient), np.triu(H) + np.triu(H, 1).T if order == 2 else None

    def _add_moments(self, i: int, h: float, moments: _Vector) -> None:
        d = self._X.shape[1]
        moments[0] += h
        for j in range(d):
            x = float(self._X[i, j])
            moments[1 + j] += h * x
            moments[1 + d + j] += h * x * x

    def product(self, probabilities: _Vector, vector: _Vector) -> _Vector:
        """Return the Hessian times a direction (K, p), given the rows' probabilities (n, K)."""
        direction = vector.tolist()
        product = np.zeros(vector.shape)
        for at, i in enumerate(self._rows):
            p, u, x = probabilities[at].tolist(), self._margins(i, direction, False), self._row(i)
            for k in range(len(p)):
                difference = 0.0
                for m in range(len(p)):
                    difference += p[m] * (u[k] - u[m])
                for j in range(len(x)):
                    product[k, j] += self._weight(i) * p[k] * difference * x[j]
        return product

    def moments(self, probabilities: _Vector) -> _Vector:
        """Return the sums of h, h x and h x², (K, 1 + 2 d), for h = weight p_k (1 - p_k)."""
        K = self._spec.n_outputs
        moments = np.zeros((K, 1 + 2 * self._X.shape[1]))
        for at, i in enumerate(self._rows):
            p = probabilities[at].tolist()
            for k in range(K):
                rest = 0.0
                for m in range(K):
                    rest += p[m] if m != k else 0.0
                self._add_moments(i, self._weight(i) * p[k] * rest, moments[k])
        return moments

    def coupling(self, probabilities: _Vector) -> _Vector:
        """Return the sums of weight times (diag(p) - p p'), (K, K)."""
        n, K = probabilities.shape
        out = np.zeros((K, K))
        for i in range(n):
            p = probabilities[i].tolist()
            for k in range(K):
                for m in range(k):
                    a = self._weight(i) * p[k] * p[m]
                    out[k, m] -= a
                    out[m, k] -= a
                    out[k, k] += a
                    out[m, m] += a
        return out

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of V A' in rows of weight above 0."""
        largest = 0.0
        direction = vector.tolist()
        for i in self._rows:
            if self._weight(i) > 0.0:
                largest = max(largest, *(abs(z) for z in self._margins(i, direction, False)))
        return largest

    def margins(self, theta: _Vector, *, with_offset: bool = True) -> _Vector:
        """Return the margins, (n, K)."""
        parameters = theta.tolist()
        return np.array([self._margins(i, parameters, with_offset) for i in self._rows])

    def predict(self, theta: _Vector) -> _Vector:
        """Return the probabilities, (n, K)."""
        return np.array([_Softmax(z).p for z in self.margins(theta).tolist()])

    def log_proba(self, theta: _Vector) -> _Vector:
        """Return the logarithms of the probabilities, (n, K)."""
        softs = [_Softmax(z) for z in self.margins(theta).tolist()]
        return np.array([[(z - s.z[s.top]) - s.log_total for z in s.z] for s in softs])

    def predict_class(self, theta: _Vector) -> NDArray[np.int64]:
        """Return the first class with the largest margin, (n,)."""
        softs = [_Softmax(z) for z in self.margins(theta).tolist()]
        return np.array([s.top for s in softs], dtype=np.int64)

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        return _first_not_finite(self._X)


def bind(
    X: _Matrix,
    y: _Vector | None,
    sample_weight: _Vector | None,
    offset: _Vector | None,
    spec: Any,
) -> BoundPass | SoftmaxPass:
    """Return a pass over these rows; see :class:`fastlogreg.backends.Backend`."""
    kind = SoftmaxPass if spec.activation == "softmax" else BoundPass
    return kind(X, y, sample_weight, offset, spec)


def solving(p: int) -> AbstractContextManager[AbstractContextManager[object]]:
    """Return a context that changes nothing; see :class:`fastlogreg.backends.Backend`."""
    return nullcontext(nullcontext())


def train_epoch(
    X: _Matrix,
    y: _Vector,
    theta: _Vector,
    rows: NDArray[np.int64] | None,
    spec: Any,
    learning_rate: float,
) -> _Vector:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`."""
    X = _dense(X)
    whole = bind(X, y, None, None, spec)
    order = np.arange(X.shape[0]) if rows is None else rows
    losses = []
    for lo in range(0, X.shape[0], spec.batch_size):
        batch = whole.sample(order[lo : lo + spec.batch_size])
        total, gradient, _ = batch(theta)
        assert gradient is not None
        losses.append(total / batch.n_rows)
        for j in np.ndindex(theta.shape):
            theta[j] -= learning_rate * gradient[j] / batch.n_rows
    return np.array(losses)
