"""Firth's penalized likelihood as something to minimize: finite estimates where rows are separated.

    f(theta) = mean loss + (log det I_0 - log det I(theta)) / (2 S)

with the information ``I = sum_i s_i p_i (1 - p_i) a_i a_i'`` of the rows ``a_i = [1, x_i]``, their
total weight S, and the largest information there is, ``I_0``, where all probabilities are 1/2.
Taking it away makes the penalty, Jeffreys' prior, positive and blind to the scales of columns, so
that distances relative to f mean what they do elsewhere; the optimum is the same. Columns that
depend on others are no trouble: determinants are those in a basis of what the rows span.

With the leverages ``h_i = s_i p_i (1 - p_i) a_i' I^-1 a_i`` the gradient is ``sum_i (s_i (p_i -
y_i) + h_i (p_i - 1/2)) a_i / S``: as if each row had h_i / 2 of a success and of a failure more. In
the place of the Hessian stands ``I / S``.

References
----------
Firth (1993), Bias reduction of maximum likelihood estimates, Biometrika 80; Heinze and Schemper
(2002), A solution to the problem of separation in logistic regression, Statistics in Medicine 21.
"""

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.penalties import L2
from fastlogreg.problem.problem import Problem

__all__ = ["FirthProblem"]

_FLAT = 4e-15  # times p: eigenvalues of a correlation matrix up to this are rounding
_NOTHING = 1e-26  # the same of sums that are no differences

_Vector = NDArray[np.float64]


class FirthProblem(Problem):
    """Firth's penalized mean loss over rows in memory, for two classes.

    A value costs what its derivatives cost, a Hessian pass and three more.

    Parameters
    ----------
    source : MemoryRows
    spec : PassSpec, optional

    Attributes
    ----------
    is_resolved : bool
        Whether it is sure what rows span: not where columns are far from 0, beside their spread.

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
        X, _, weights, _ = source.arrays
        flat = MemoryRows(X, np.zeros(self.n_rows), weights)
        squares = self._spec._replace(loss="mse", activation="identity")
        hessian = flat.bind(squares)(np.zeros(self.size), 2)[2]
        assert hessian is not None
        self.is_resolved = True
        self._most = -np.inf  # log det I_0
        self._basis = np.zeros((self.size, 0))  # B with B' I_0 B = 1
        if np.isfinite(hessian).all():  # else no value is
            self._make_basis(0.125 * hessian)

    def _make_basis(self, largest: NDArray[np.float64]) -> None:
        diagonal = largest.diagonal()
        scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros(self.size), where=diagonal > 0.0)
        values, vectors = np.linalg.eigh(largest * scale * scale[:, None])
        held = values > _FLAT * self.size
        self._basis = scale[:, None] * vectors[:, held] / np.sqrt(values[held])
        if held.all():
            self._most = float(np.log(values).sum() - 2.0 * np.log(scale).sum())
            return
        self.count(1.0)
        left = self.source.squared_lengths(
            scale[:, None] * vectors[:, ~held], self.layout.intercept
        )
        weights = self.source.arrays[2]
        total = float((left if weights is None else weights * left).sum())
        self.is_resolved = total <= _NOTHING * self.size * (~held).sum()

    def log_likelihood(self, value: float) -> float:
        """Return the penalized log-likelihood, ``l + log det I / 2``, for a value of f.

        -infinity where columns depend on others.
        """
        return 0.5 * self._most - self.source.total_weight * value

    def value(self, theta: _Vector) -> float:
        """Return f(theta)."""
        loss, _, hessian = self.mean_loss(theta)
        return loss + self._penalty(hessian)[0]

    def value_gradient(self, theta: _Vector) -> tuple[float, _Vector]:
        """Return f(theta) and its gradient, (p,)."""
        return self.value_gradient_hessian(theta)[:2]

    def value_gradient_hessian(self, theta: _Vector) -> tuple[float, _Vector, NDArray[np.float64]]:
        """Return f(theta), its gradient, (p,), and the information over S, (p, p)."""
        loss, gradient, hessian = self.mean_loss(theta)
        penalty, half = self._penalty(hessian)
        if not np.isfinite(penalty):
            return np.inf, gradient, hessian
        self.count(3.0)
        pair = self._pass.predict_pair(theta)
        weights = self.source.arrays[2]
        curvatures = pair[:, 0] * pair[:, 1]
        if weights is not None:
            curvatures *= weights
        leverages = curvatures * self.source.squared_lengths(half, self.layout.intercept)
        d, first = self.layout.n_columns, self.layout.first
        more = self._pass.moments(leverages * 0.5 * (pair[:, 1] - pair[:, 0]))
        gradient += more[1 - first : 1 + d] / self.source.total_weight
        return loss + penalty, gradient, hessian

    def _penalty(self, hessian: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the penalty, and L with ``L L' = I^-1`` in what the rows span."""
        total = self.source.total_weight
        if not np.isfinite(hessian).all():
            return np.inf, self._basis
        values, vectors = np.linalg.eigh(total * (self._basis.T @ hessian @ self._basis))
        if not (values > 0.0).all():
            return np.inf, self._basis
        half = self._basis @ (vectors / np.sqrt(values))
        return -0.5 * float(np.log(values).sum()) / total, half


class _Everywhere(L2):
    """What a solver sees of Jeffreys' prior: it grows in all directions."""

    def grows(self) -> NDArray[np.bool_]:
        """Return that no entry may fall or rise without bound at no cost."""
        return np.zeros((2, self.smooth_diagonal.size), dtype=bool)
