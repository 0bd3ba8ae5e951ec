"""The NumPy backend: the lecture's vectorized formulas on whole arrays, in stable forms.

It imports nothing of ours: it is an independent witness of the Numba backend, and the
reference that its speed is measured against. So it is what a good NumPy programmer
writes: no column of ones, no clipping, no work that ``order`` does not ask for.

float32 samples are promoted to float64 whole, because products and sums are float64 in
every backend; a product in float32 would lose seven digits.

X may be sparse: SciPy's products take the place of NumPy's.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

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


class _Rows:
    """Rows and what to compute on them, whatever the activation."""

    def __init__(
        self,
        X: _Matrix,
        y: _Vector | None,
        sample_weight: _Vector | None,
        offset: _Vector | None,
        spec: Any,
    ) -> None:
        self._X, self._y, self._sample_weight, self._offset = X, y, sample_weight, offset
        self._spec = spec
        self.n_rows, d = X.shape
        self.size = spec.n_outputs * (d + spec.intercept)
        self.total_weight = float(self.n_rows if sample_weight is None else sample_weight.sum())
        self.hessian_cost = 1.0 + self.size / 4.0

    def sample(self, rows: NDArray[np.int64] | slice) -> Self:
        """Return the pass over these rows of it."""
        y, s, offset = (
            None if given is None else given[rows]
            for given in (self._y, self._sample_weight, self._offset)
        )
        return type(self)(self._X[rows], y, s, offset, self._spec)

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        X = self._X
        bad = np.argwhere(~np.isfinite(X if isinstance(X, np.ndarray) else X.toarray()))
        return (int(bad[0, 0]), int(bad[0, 1])) if len(bad) else None

    def _matrix(self) -> _Matrix:
        return self._X.astype(np.float64, copy=False)


class BoundPass(_Rows):
    """Rows and what to compute on them; see :class:`fastlogreg.backends.Pass`."""

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
        X, s, spec = self._matrix(), self._sample_weight, self._spec
        z = _margins(X, theta, self._offset, spec.intercept)
        jet_order = order if curvatures is None and moments is None else 2
        value, residual, curvature = _jet(z, self._y, spec.loss, spec.activation, jet_order)
        total = float(value.sum() if s is None else s @ value)
        if s is not None:
            residual = residual if residual is None else residual * s
            curvature = curvature if curvature is None else curvature * s
        if curvatures is not None:
            curvatures[:] = curvature
        if moments is not None and curvature is not None:
            moments[:] = self.moments(curvature)
        if order == 0 or residual is None:
            return total, None, None
        first = int(spec.intercept)
        gradient = np.empty(theta.size)
        gradient[first:] = X.T @ residual
        if first:
            gradient[0] = residual.sum()
        if order == 1 or curvature is None:
            return total, gradient, None
        hessian = np.empty((theta.size, theta.size))
        product = X.T @ _scaled(X, curvature)
        hessian[first:, first:] = product if isinstance(product, np.ndarray) else product.toarray()
        if first:
            hessian[0, 0] = curvature.sum()
            hessian[0, 1:] = hessian[1:, 0] = X.T @ curvature
        upper = np.triu(hessian)  # the product is symmetric to rounding only
        return total, gradient, upper + np.triu(hessian, 1).T

    def product(self, curvatures: _Vector, vector: _Vector) -> _Vector:
        """Return A' diag(h) A v."""
        X = self._matrix()
        scaled = curvatures * _margins(X, vector, None, self._spec.intercept)
        product = X.T @ scaled
        return np.concatenate([[scaled.sum()], product]) if self._spec.intercept else product

    def moments(self, curvatures: _Vector) -> _Vector:
        """Return the sums of h, of h x and of h x²."""
        X = self._matrix()
        squares = X * X if isinstance(X, np.ndarray) else X.multiply(X)
        return np.concatenate([[curvatures.sum()], X.T @ curvatures, squares.T @ curvatures])

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of A v in rows of weight above 0."""
        size = np.abs(_margins(self._X, vector, None, self._spec.intercept))
        return float((size if self._sample_weight is None else size[self._sample_weight > 0]).max())

    def margins(self, theta: _Vector, *, with_offset: bool = True) -> _Vector:
        """Return the margins, (n,)."""
        return _margins(self._X, theta, self._offset if with_offset else None, self._spec.intercept)

    def predict(self, theta: _Vector) -> _Vector:
        """Return the predictions, (n,)."""
        if self._spec.activation == "identity":
            return self.margins(theta)
        return self.predict_pair(theta)[:, 1]

    def predict_pair(self, theta: _Vector) -> NDArray[np.float64]:
        """Return 1 - p and p, (n, 2)."""
        z = self.margins(theta)
        if self._spec.activation == "tanh":
            z *= 2.0
        p, q = _sigmoid_pair(z, np.exp(-np.abs(z)))
        return np.stack([q, p]).T


class SoftmaxPass(_Rows):
    """Rows and softmax; see :class:`fastlogreg.backends.Pass`: theta is (K, p)."""

    def _exponentials(self, Z: _Vector) -> tuple[_Vector, _Vector, _Vector]:
        """Return t = exp(z - m), S - t of each class and S - 1: nothing cancels."""
        top = (np.arange(Z.shape[0]), Z.argmax(axis=1))
        with np.errstate(invalid="ignore"):  # rows with an infinite margin become NaN
            t = np.exp(Z - Z[top][:, None])
        smaller = t.copy()
        smaller[top] = 0.0
        others = smaller.sum(axis=1)
        rest = (1.0 + others)[:, None] - t
        rest[top] = others
        return t, rest, others + (t[top] - 1.0)

    def __call__(
        self,
        theta: _Vector,
        order: int = 1,
        *,
        curvatures: _Vector | None = None,
        moments: _Vector | None = None,
    ) -> tuple[float, _Vector | None, NDArray[np.float64] | None]:
        """Return the sums of loss, gradient (K, p) and Hessian (K p, K p)."""
        assert self._y is not None
        y, s = self._y, self._sample_weight
        Z = self.margins(theta)
        t, rest, others = self._exponentials(Z)
        with np.errstate(invalid="ignore"):
            below = Z.max(axis=1, keepdims=True) - Z
        rows = np.arange(self.n_rows)
        if y.ndim == 1:
            code = y.astype(np.int64)
            value = below[rows, code] + np.log1p(others)
        else:
            value = np.multiply(y, below, out=np.zeros_like(y), where=y != 0.0).sum(axis=1)
            value += y.sum(axis=1) * np.log1p(others)
        total = float(value.sum() if s is None else s @ value)
        if order == 0 and curvatures is None and moments is None:
            return total, None, None
        inverse = 1.0 / (1.0 + others)[:, None]
        P, Q = t * inverse, rest * inverse
        if curvatures is not None:
            curvatures[:] = P
        if moments is not None:
            moments[:] = self._moments(P, Q)
        if order == 0:
            return total, None, None
        if y.ndim == 1:
            R = P.copy()
            R[rows, code] = -Q[rows, code]
        else:
            R = (1.0 - y) * P - y * Q
        gradient = self._summed(R if s is None else R * s[:, None])
        return total, gradient, self._hessian(P, Q) if order == 2 else None

    def _summed(self, R: _Vector) -> _Vector:
        """Return R' A, (K, p)."""
        product = (self._matrix().T @ R).T
        if self._spec.intercept:
            product = np.column_stack([R.sum(axis=0), product])
        return np.ascontiguousarray(product)

    def _hessian(self, P: _Vector, Q: _Vector) -> _Vector:
        X, s, K = self._matrix(), self._sample_weight, self._spec.n_outputs
        first = int(self._spec.intercept)
        p = X.shape[1] + first
        H = np.empty((K, p, K, p))
        for k in range(K):
            for m in range(k + 1):
                h = P[:, k] * Q[:, k] if m == k else -P[:, k] * P[:, m]
                if s is not None:
                    h *= s
                block = np.empty((p, p))
                product = X.T @ _scaled(X, h)
                block[first:, first:] = (
                    product if isinstance(product, np.ndarray) else product.toarray()
                )
                if first:
                    block[0, 0] = h.sum()
                    block[0, 1:] = block[1:, 0] = X.T @ h
                block = np.triu(block) + np.triu(block, 1).T
                H[k, :, m, :] = H[m, :, k, :] = block
        return H.reshape(K * p, K * p)

    def product(self, probabilities: _Vector, vector: _Vector) -> _Vector:
        """Return the Hessian times a direction (K, p), given the rows' probabilities (n, K)."""
        P = probabilities
        U = self.margins(vector, with_offset=False)
        U -= U[np.arange(self.n_rows), P.argmax(axis=1)][:, None]  # lest large numbers cancel
        R = P * (U - (P * U).sum(axis=1, keepdims=True))
        return self._summed(R if self._sample_weight is None else R * self._sample_weight[:, None])

    def moments(self, probabilities: _Vector) -> _Vector:
        """Return the sums of h, h x and h x², (K, 1 + 2 d), for h = weight p_k (1 - p_k)."""
        top = (np.arange(self.n_rows), probabilities.argmax(axis=1))
        rest = probabilities.copy()
        rest[top] = 0.0
        Q = 1.0 - probabilities
        Q[top] = rest.sum(axis=1)
        return self._moments(probabilities, Q)

    def _moments(self, P: _Vector, Q: _Vector) -> _Vector:
        X, s = self._matrix(), self._sample_weight
        h = P * Q if s is None else P * Q * s[:, None]
        squares = X * X if isinstance(X, np.ndarray) else X.multiply(X).tocsr()
        return np.vstack([h.sum(axis=0), X.T @ h, squares.T @ h]).T

    def coupling(self, probabilities: _Vector) -> _Vector:
        """Return the sums of weight times (diag(p) - p p'), (K, K)."""
        s = self._sample_weight
        P = probabilities if s is None else probabilities * s[:, None]
        coupling = -(P.T @ probabilities)
        np.fill_diagonal(coupling, 0.0)
        return coupling - np.diag(coupling.sum(axis=1))  # without cancellation

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of V A' in rows of weight above 0."""
        size = np.abs(self.margins(vector, with_offset=False))
        return float((size if self._sample_weight is None else size[self._sample_weight > 0]).max())

    def margins(self, theta: _Vector, *, with_offset: bool = True) -> _Vector:
        """Return the margins, (n, K)."""
        first = int(self._spec.intercept)
        Z: _Vector = self._matrix() @ theta[:, first:].T
        if first:
            Z += theta[:, 0]
        if with_offset and self._offset is not None:
            Z += self._offset
        return Z

    def predict(self, theta: _Vector) -> _Vector:
        """Return the probabilities, (n, K)."""
        t, _, others = self._exponentials(self.margins(theta))
        return t * (1.0 / (1.0 + others))[:, None]

    def log_proba(self, theta: _Vector) -> _Vector:
        """Return the logarithms of the probabilities, (n, K)."""
        Z = self.margins(theta)
        others = self._exponentials(Z)[2]
        logs: _Vector = (Z - Z.max(axis=1, keepdims=True)) - np.log1p(others)[:, None]
        return logs

    def predict_class(self, theta: _Vector) -> NDArray[np.int64]:
        """Return the first class with the largest margin, (n,)."""
        classes: NDArray[np.int64] = self.margins(theta).argmax(axis=1)
        return classes


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
    whole = bind(X, y, None, None, spec)
    size = spec.batch_size
    starts = range(0, X.shape[0], size)
    losses = np.empty(len(starts))
    for k, lo in enumerate(starts):
        batch = whole.sample(slice(lo, lo + size) if rows is None else rows[lo : lo + size])
        total, gradient, _ = batch(theta)
        assert gradient is not None
        losses[k] = total / batch.n_rows
        theta -= learning_rate * (gradient / batch.n_rows)
    return losses
