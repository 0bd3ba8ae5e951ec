"""Firth's penalized likelihood as something to minimize: finite estimates where rows are separated.

    f(theta) = mean loss + (log det I_0 - log det I(theta)) / (2 S)

with the information ``I = sum_i s_i p_i (1 - p_i) a_i a_i'`` of the rows ``a_i = [1, x_i]``, their
total weight S, and the largest information there is, ``I_0``, where all probabilities are 1/2.
Taking it away makes the penalty, Jeffreys' prior, positive and blind to the scales of columns, so
that distances relative to f mean what they do elsewhere; the optimum is the same. Columns that
depend on others are no trouble: determinants are those in a basis of what the rows span.

With the leverages ``h_i = s_i p_i (1 - p_i) a_i' I^-1 a_i`` the gradient is ``sum_i (s_i (p_i -
y_i) + h_i (p_i - 1/2)) a_i / S``: as if each row had h_i / 2 of a success and of a failure more. In
the place of the Hessian stands that of these rows with h held, ``sum_i (s_i + h_i) p_i (1 - p_i)
a_i a_i' / S``: the information alone is half of it where rows have a leverage of 1, and steps by it
go to and fro.

Matrices are made in columns that are centred, scaled and orthonormal in the metric of I_0
(``Z = A T``), some rows at a time: sums of squares of columns far from 0 would lose the digits that
the determinant is made of.

References
----------
Firth (1993), Bias reduction of maximum likelihood estimates, Biometrika 80; Heinze and Schemper
(2002), A solution to the problem of separation in logistic regression, Statistics in Medicine 21.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.penalties import L2
from fastlogreg.problem.problem import Problem

__all__ = ["FirthProblem", "Spanned"]

_FLAT = 4e-15  # times p: singular values of columns of length 1 up to this are rounding
_BLOCK = 1 << 15  # values of Z that are worked on at a time: they stay in cache
_KEPT = 1 << 20  # values of Z up to which it is kept

_Vector = NDArray[np.float64]
_Matrix = NDArray[np.float64]


class FirthProblem(Problem):
    """Firth's penalized mean loss over rows in memory, for two classes.

    A value costs a pass and products with all rows; derivatives cost about twice that.

    Parameters
    ----------
    source : MemoryRows
    spec : PassSpec, optional

    Examples
    --------
    Three of three: the optimum is log((3 + 1/2) / (0 + 1/2)), and not infinite.

    >>> import numpy as np
    >>> rows = MemoryRows(np.ones((3, 1)), np.ones(3))
    >>> problem = FirthProblem(rows, PassSpec(intercept=False))
    >>> bool(abs(problem.value_gradient(np.array([np.log(7.0)]))[1][0]) < 1e-15)
    True
    """

    source: MemoryRows

    def __init__(self, source: MemoryRows, spec: PassSpec | None = None) -> None:
        super().__init__(source, 0.0, spec)
        self.penalty = _Everywhere(np.zeros(self.size))
        weights = source.arrays[2]
        self._weights = np.ones(self.n_rows) if weights is None else weights
        self._columns = _Columns(source.arrays[0], 0.25 * self._weights, self.layout.first)
        self.count(3.0)

    def log_likelihood(self, value: float) -> float:
        """Return the penalized log-likelihood, ``l + log det I / 2``, for a value of f.

        -infinity where columns depend on others.
        """
        return 0.5 * self._columns.log_determinant - self.source.total_weight * value

    def value(self, theta: _Vector) -> float:
        """Return f(theta)."""
        loss = self._mean_loss(theta, 0)[0]
        return loss + self._information(self._pair(theta))[0]

    def value_gradient(self, theta: _Vector) -> tuple[float, _Vector]:
        """Return f(theta) and its gradient, (p,)."""
        value, gradient, _ = self.value_gradient_spanned(theta)
        return value, gradient

    def value_gradient_hessian(self, theta: _Vector) -> tuple[float, _Vector, _Matrix]:
        """Return f(theta), its gradient, (p,), and what stands for its Hessian, (p, p)."""
        value, gradient, spanned = self.value_gradient_spanned(theta)
        return value, gradient, spanned.matrix()

    def value_gradient_spanned(self, theta: _Vector) -> tuple[float, _Vector, "Spanned"]:
        """Return the same, the matrix as it is made."""
        loss, gradient, _ = self._mean_loss(theta, 1)
        pair = self._pair(theta)
        penalty, half = self._information(pair)
        columns, total = self._columns, self.source.total_weight
        if not np.isfinite(penalty):
            return np.inf, gradient, Spanned(columns, np.eye(half.shape[1]))
        self.count(2.0)
        both = pair[:, 0] * pair[:, 1]
        leverages = np.empty(self.n_rows)
        square = np.zeros((half.shape[1], half.shape[1]))
        for at, Z in columns.blocks():
            scaled = Z @ half
            lengths = np.einsum("ij,ij->i", scaled, scaled)
            leverages[at] = self._weights[at] * both[at] * lengths
            square += (Z * ((self._weights[at] + leverages[at]) * both[at])[:, None]).T @ Z
        d, first = self.layout.n_columns, self.layout.first
        more = self._pass.moments(leverages * 0.5 * (pair[:, 1] - pair[:, 0]))
        gradient += more[1 - first : 1 + d] / total
        return loss + penalty, gradient, Spanned(columns, square / total)

    def _pair(self, theta: _Vector) -> _Matrix:
        self.count(1.0)
        return self._pass.predict_pair(theta)

    def _information(self, pair: _Matrix) -> tuple[float, _Matrix]:
        """Return the penalty, and L with ``L L' = (Z' diag(s p (1 - p)) Z)^-1``."""
        self.count(1.0)
        size = self._columns.size
        if not self._columns.is_finite:
            return np.inf, np.zeros((0, 0))
        curvatures = self._weights * pair[:, 0] * pair[:, 1]
        square = np.zeros((size, size))
        for at, Z in self._columns.blocks():
            square += (Z * curvatures[at, None]).T @ Z
        if not np.isfinite(square).all():
            return np.inf, square
        values, vectors = np.linalg.eigh(square)
        if not (values > 0.0).all():
            return np.inf, square
        penalty = -0.5 * float(np.log(values).sum()) / self.source.total_weight
        return penalty, vectors / np.sqrt(values)


class Spanned:
    """A matrix, (p, p), of what rows span, made in orthonormal columns."""

    frozen: NDArray[np.bool_]

    def __init__(self, columns: "_Columns", square: _Matrix) -> None:
        self._columns, self._square = columns, square
        self.frozen = np.zeros(columns.T.shape[0], dtype=bool)
        values, vectors = np.linalg.eigh(square)
        least = float(np.finfo(np.float64).eps) * values.max(initial=0.0)
        self._half = columns.T @ (vectors / np.sqrt(values.clip(least)))

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return the inverse, where rows span something, times the gradient."""
        found: _Vector = self._half @ (self._half.T @ gradient)
        return found

    def matrix(self) -> _Matrix:
        """Return the matrix."""
        back = self._columns.back
        found: _Matrix = back.T @ self._square @ back
        return found


class _Columns:
    """Columns Z = A T, orthonormal in the metric of weights, that span what A = [1, X] or X spans.

    Attributes
    ----------
    size : int
        How many they are.
    is_finite : bool
        Whether the squares of columns are; nothing else is made where they aren't.
    T : ndarray of shape (p, size)
    back : ndarray of shape (size, p)
        With ``A = Z back``.
    log_determinant : float
        That of ``A' diag(weights) A``.
    """

    def __init__(self, X: Any, weights: _Vector, first: int) -> None:
        self._X, self._first = X, first
        d = X.shape[1]
        self._total = float(weights.sum())
        self._centre = np.zeros(d)
        self._step = max(64, _BLOCK // max(1, d))
        if first:
            for _ in range(2):  # the second time from near the mean, without cancellation
                sums = sum(weights[at] @ self._centred(at) for at in self._slices())
                self._centre = self._centre + sums / self._total
        squares = np.zeros(d)
        with np.errstate(over="ignore", under="ignore"):
            for at in self._slices():
                squares += weights[at] @ np.square(self._centred(at))
        self.size, self.log_determinant = 0, -np.inf
        self._kept: _Matrix | None = None
        self.is_finite = bool(np.isfinite(squares).all())
        if not self.is_finite:
            self.T, self.back = np.zeros((d + first, 0)), np.zeros((0, d + first))
            return
        spread = np.sqrt(squares)
        scale = np.divide(1.0, spread, out=np.zeros(d), where=spread > 0.0)
        triangle = np.zeros((0, d))
        for at in self._slices():
            part = self._centred(at) * scale * np.sqrt(weights[at])[:, None]
            stacked = np.vstack([triangle, part])
            triangle = np.asarray(np.linalg.qr(stacked, mode="r"), dtype=np.float64)
        _, values, vectors = np.linalg.svd(triangle, full_matrices=False)
        held = values > _FLAT * (d + first)
        values, vectors = values[held], vectors[held].T
        self._factor = scale[:, None] * vectors / values
        self.size = first + values.size
        self.T = np.zeros((d + first, self.size))
        self.back = np.zeros((self.size, d + first))
        self.T[first:, first:] = self._factor
        self.back[first:, first:] = (spread[:, None] * vectors * values).T
        if first:
            self.T[0, 0] = 1.0 / np.sqrt(self._total)
            self.T[0, 1:] = -self._centre @ self._factor
            self.back[0] = np.sqrt(self._total) * np.concatenate([[1.0], self._centre])
        if values.size == d:
            logs = np.log(values).sum() + np.log(spread).sum()
            self.log_determinant = 2.0 * float(logs) + first * float(np.log(self._total))
        if X.shape[0] * self.size <= _KEPT:
            self._kept = self._orthonormal(slice(None))

    def blocks(self) -> Iterator[tuple[slice, _Matrix]]:
        """Yield rows of Z, some at a time, and which they are."""
        if self._kept is not None:
            yield slice(None), self._kept
            return
        for at in self._slices():
            yield at, self._orthonormal(at)

    def _slices(self) -> Iterator[slice]:
        for start in range(0, self._X.shape[0], self._step):
            yield slice(start, start + self._step)

    def _centred(self, at: slice) -> _Matrix:
        part = self._X[at]
        part = part if isinstance(part, np.ndarray) else part.toarray()
        return np.asarray(part, dtype=np.float64) - self._centre

    def _orthonormal(self, at: slice) -> _Matrix:
        part = self._centred(at)
        Z = np.empty((len(part), self.size))
        Z[:, : self._first] = 1.0 / np.sqrt(self._total)
        np.matmul(part, self._factor, out=Z[:, self._first :])
        return Z


class _Everywhere(L2):
    """What a solver sees of Jeffreys' prior: it grows in all directions."""

    def grows(self) -> NDArray[np.bool_]:
        """Return that no entry may fall or rise without bound at no cost."""
        return np.zeros((2, self.smooth_diagonal.size), dtype=bool)
