"""What a solver knows of the curvature: a Hessian or its diagonal, and secant pairs on top.

:class:`Curvature` is a Hessian scaled to a unit diagonal, so that the scales of columns do not
matter, and factored. Where its Cholesky factor shows that it is singular to rounding (collinear
columns without penalty) or indefinite (squared error of a sigmoid), the eigenvalues decide:
absolute values, raised to :data:`_FLAT`; a flat direction is followed only where it promises
more than what is negligible, and where the gradient along it is more than rounding, so that noise
along duplicate columns is not followed at all. Where it is more, the columns are nearly collinear,
or their offsets are 1e8 times their spread, and the Hessian has lost what curvature there is.
Hessian products still give it (:meth:`Curvature.sharpen`): a margin loses half the digits that a
sum of squares loses.

A Hessian of a part of the rows, or of an earlier iterate, may be wrong by any factor where a column
is far from 0, a level is rare, or rows have saturated since, and can't know it.
:func:`recalibrated` keeps its correlations and takes sums, means and variances of the columns from
all rows at the iterate itself (:class:`fastlogreg.problem.problem.Moments`), in centred columns.

:class:`Secants` corrects a Hessian that is kept while the iterate moves on, or that was made of
a part of the rows: the changes of the gradient along past steps say what the curvature there
really is (L-BFGS with the Hessian as its initial matrix). A pass that asks for the gradient alone
then still improves the direction.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy, ddot
from scipy.linalg.lapack import dpotrf, dpotrs

from fastlogreg.problem.problem import Moments

__all__ = [
    "Base",
    "Centred",
    "Curvature",
    "Secants",
    "centred_diagonal",
    "is_lost",
    "recalibrated",
]

_EPS = float(np.finfo(np.float64).eps)
_FLAT = 10 * _EPS  # times p: curvature below this share of the diagonal is rounding
_ROUNDED = 32 * _EPS  # times the root of the value: a scaled gradient up to this may be rounding
_TINY = 1e-290  # a diagonal below this has lost digits, or all, to underflow
_UNDERFLOWS = 1e-140  # size of a column whose diagonal is so small
_SMALLEST = 1e-300  # its inverse, and what it is multiplied with, are finite
_FAR = 1e-11  # variance below this share of the mean square has few digits left
_MEMORY = 12  # secant pairs
_NOISE = 1e-8  # change of the slope along a step, relative to it, that may be rounding

_Vector = NDArray[np.float64]


class Base(Protocol):
    """An approximate Hessian that can be solved with."""

    frozen: NDArray[np.bool_]

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return about ``H^-1 gradient``."""


class Curvature:
    """A Hessian (p, p) made ready to solve with, in coordinates where its diagonal is one.

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
    value : float
        The objective where it was made; it says how large the gradient's rounding is. A residual is
        at most the loss of its row, so a scaled component sums terms with squares that sum to
        the value at most.
    """

    def __init__(self, hessian: NDArray[np.float64], value: float = 0.0) -> None:
        diagonal = np.abs(hessian.diagonal())
        self.tiny = diagonal < _TINY
        self.frozen = diagonal == 0.0
        free = np.where(self.frozen, 1.0, diagonal)
        self.scale = np.where(self.frozen, 0.0, 1.0 / np.sqrt(free))
        scaled = hessian * self.scale[:, None]
        scaled *= self.scale
        self.rounded = _ROUNDED * np.sqrt(value)
        self._factor(scaled)

    def _factor(self, scaled: NDArray[np.float64]) -> None:
        size = self.scale.size
        scaled.flat[:: size + 1][self.frozen] = 1.0
        self.flat = _FLAT * size
        # lower triangle of the transpose: LAPACK gets its column order without a copy
        factor, info = dpotrf(scaled.T, lower=1, clean=0)
        self.factor = None
        self.pivot = float(factor.diagonal().min()) ** 2 if info == 0 else 0.0
        if info == 0 and self.pivot > self.flat:
            self.factor = factor
        else:
            values, self.vectors = np.linalg.eigh(scaled)
            self.values = np.maximum(np.abs(values), self.flat)

    def unresolved(self, gradient: _Vector) -> bool:
        """Whether the gradient is more than rounding along a direction that seems flat."""
        if self.factor is not None:
            return False
        along = (self.scale * gradient) @ self.vectors[:, self.values <= self.flat]
        return bool((np.abs(along) > self.rounded).any())

    def underflowed(self, gradient: _Vector) -> NDArray[np.bool_]:
        """Return which columns are so small that their squares have underflowed, (p,).

        Saturated rows leave as little curvature, but to columns of any gradient.
        """
        if not self.tiny.any():
            return self.tiny
        size = np.abs(gradient)
        return self.tiny & (size < _UNDERFLOWS) & (size > 0.0)

    def thaw(
        self,
        hessian: NDArray[np.float64],
        gradient: _Vector,
        product: Callable[[_Vector], _Vector],
    ) -> None:
        """Learn the curvature of columns whose squares underflow from Hessian products, one each.

        Of a column of size 1e-160 the square is 0; a product along a step of 1e160 is not.
        """
        learnt = []
        for j in np.flatnonzero(self.underflowed(gradient)):
            step = np.zeros_like(gradient)
            step[j] = 1.0 / max(abs(gradient[j]), _SMALLEST)  # a residual is at most 1
            along = product(step)
            if np.isfinite(along).all() and along[j] > 0.0:
                # twice a root: what is under it may be beyond float64
                self.scale[j] = np.sqrt(step[j]) / np.sqrt(along[j])
                self.frozen[j] = self.tiny[j] = False
                learnt.append((j, along, step[j]))
        scaled = hessian * self.scale[:, None]
        scaled *= self.scale
        for j, along, length in learnt:
            row = self.scale * along * (self.scale[j] / length)
            row[j] = 1.0
            scaled[j] = scaled[:, j] = row
        self._factor(scaled)

    def sharpen(self, product: Callable[[_Vector], _Vector]) -> None:
        """Learn the curvature along flat directions from Hessian products, one for each."""
        flat = self.values <= self.flat
        vectors = self.vectors[:, flat]
        along = [self.scale * product(self.scale * v) for v in vectors.T]
        values, rotation = np.linalg.eigh(vectors.T @ np.column_stack(along))
        self.vectors[:, flat] = vectors @ rotation
        self.flat **= 2
        self.values[flat] = np.maximum(np.abs(values), self.flat)

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return H^-1 gradient; flat directions that promise less than negligible left out."""
        g = self.scale * gradient
        if self.factor is not None:
            s, _ = dpotrs(self.factor, g, lower=1)
        else:
            along = g @ self.vectors
            shares = along / self.values
            nothing = (along * shares <= 2 * negligible) | (np.abs(along) <= self.rounded)
            shares[(self.values <= self.flat) & nothing] = 0.0
            s = self.vectors @ shares
        found: _Vector = self.scale * s
        return found


class Centred:
    """The diagonal of a Hessian in centred columns: scales and offsets of columns, no more.

    With weighted means m_j of the columns, the model in centred columns has the margin
    ``b + m @ w + (x - m) @ w``. Its Hessian has no entries between the bias and the weights;
    its diagonal (variances and penalty) is taken back to the columns as they are.

    Parameters
    ----------
    moments : Moments
        Without an intercept nothing is centred.
    """

    def __init__(self, moments: Moments) -> None:
        total = moments.total
        self.intercept = moments.intercept and total > 0.0
        self.first = int(moments.intercept)
        self.total = total
        self.means = moments.centre()
        self.penalty = moments.penalty
        free = moments.spread() + moments.penalty
        free = np.where(free < _TINY, 0.0, free)  # its inverse is finite
        self.inverse = np.divide(1.0, free, out=np.zeros_like(free), where=free > 0.0)
        self.frozen = np.concatenate([np.full(self.first, total <= 0.0), free <= 0.0])

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return about ``H^-1 gradient``, in O(d)."""
        out = np.zeros_like(gradient)
        w = gradient[self.first :]
        if self.intercept:
            b = gradient[0]
            out[1:] = self.inverse * (w - self.means * b)
            out[0] = b / self.total - float(self.means @ out[1:])
        else:
            out[self.first :] = self.inverse * w
        return out

    def most(self, gradient: _Vector) -> float:
        """Return a bound on half the Newton decrement that holds whatever the Hessian is.

        In centred columns the Hessian is the penalty's and something positive, and the bias stands
        alone: the decrement is at most ``g_b² / total + sum_j g_j² / penalty_j``.
        """
        w = gradient[self.first :]
        bias = 0.0
        with np.errstate(all="ignore"):
            if self.intercept:
                bias = float(gradient[0]) ** 2 / self.total
                w = w - self.means * gradient[0]
            most = 0.5 * (bias + float(np.sum(np.where(w == 0.0, 0.0, w * w / self.penalty))))
        return most if np.isfinite(most) else np.inf


class Secants:
    """A base corrected by the last steps and what they did to the gradient.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, algorithm 7.4 (two-loop recursion).
    """

    def __init__(self, base: Base, memory: int = _MEMORY) -> None:
        self.base = base
        self.memory = memory
        self._pairs: list[tuple[_Vector, _Vector, float]] = []

    def rebased(self, base: Base) -> "Secants":
        """Return the same pairs on another base."""
        other = Secants(base, self.memory)
        other._pairs = self._pairs
        return other

    def add(self, step: _Vector, before: _Vector, after: _Vector) -> None:
        """Remember that ``step`` changed the gradient from ``before`` to ``after``."""
        change = after - before
        with np.errstate(over="ignore", invalid="ignore"):
            product = float(step @ change)
            slope = abs(float(step @ before))
        # a pair without curvature (not convex there, or all rounding) says nothing
        if np.isfinite(product) and product > _NOISE * slope:
            self._pairs = [*self._pairs[1 - self.memory :], (step, change, product)]

    def add_pair(self, step: _Vector, change: _Vector) -> None:
        """Remember that the Hessian times ``step`` is ``change``."""
        self._pairs = [*self._pairs[1 - self.memory :], (step, change, float(step @ change))]

    def step(self, gradient: _Vector, negligible: float) -> tuple[_Vector, float]:
        """Return the step to the estimated optimum, and the decrease that it promises.

        The decrease, half the (squared) Newton decrement, is NaN where an overflow made the
        step useless.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            q = gradient.copy()
            shares = []
            for s, y, product in reversed(self._pairs):
                share = ddot(s, q) / product
                shares.append(share)
                q = daxpy(y, q, a=-share)  # in place
            r = self.base.solve(q, negligible)
            for (s, y, product), share in zip(self._pairs, reversed(shares), strict=True):
                r = daxpy(s, r, a=share - ddot(y, r) / product)
            decrease = 0.5 * float(gradient @ r)
            # below zero by rounding where the step is all but orthogonal to the gradient
            if not np.isfinite(decrease) or not np.isfinite(r).all():
                return -r, np.nan
        return -r, abs(decrease)


def centred_diagonal(hessian: NDArray[np.float64], intercept: bool) -> _Vector:
    """Return the Hessian's diagonal in centred columns, (p,); that of the bias is as it is."""
    diagonal: _Vector = np.abs(hessian.diagonal())
    if intercept and hessian[0, 0] > 0.0:
        spread = diagonal[1:] - hessian[0, 1:] ** 2 / hessian[0, 0]
        diagonal[1:] = np.maximum(spread, _EPS * diagonal[1:])
    return diagonal


def recalibrated(
    hessian: NDArray[np.float64], moments: Moments, gradient: _Vector, value: float
) -> NDArray[np.float64] | None:
    """Return the Hessian with its correlations, and the moments of all rows.

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
        Of a part of the rows or another iterate, with the penalty of ``moments``.
    moments : Moments
        Of all rows, here.
    gradient : ndarray of shape (p,)
        Here: what it is said of.
    value : float
        The objective here; it says how large the gradient's rounding is.

    Returns
    -------
    ndarray of shape (p, p) or None
        None where the moments can't say: not convex, or a column with a gradient that is more
        than rounding has an offset of more than 3e5 times its spread.
    """
    first = int(moments.intercept)
    means, spread = moments.centre(), moments.spread()
    if not (moments.total > 0.0 and (moments.squares >= 0.0).all()):
        return None
    along = np.abs(gradient[first:] - means * gradient[0] if first else gradient)
    far = (spread <= _FAR * moments.squares) | (moments.squares < _TINY)
    if (along > _ROUNDED * np.sqrt(value * moments.squares))[far].any():
        return None
    inner = hessian[first:, first:]
    if first and hessian[0, 0] > 0.0:
        inner = inner - hessian[1:, :1] * (hessian[0, 1:] / hessian[0, 0])
    own = inner.diagonal() - moments.penalty
    held = own > _FAR * np.abs(hessian.diagonal()[first:])  # columns that the other rows held
    ratio = np.sqrt(np.divide(spread, own, out=np.zeros_like(own), where=held & ~far))
    d = own.size
    out = np.empty_like(hessian)
    block = out[first:, first:]
    np.multiply(inner, ratio[:, None], out=block)
    block *= ratio
    block.flat[:: d + 1] = spread
    if first:
        out[0, 0] = moments.total
        out[0, 1:] = out[1:, 0] = moments.sums
        block += moments.sums[:, None] * means
    out.flat[(d + 2) * first :: hessian.shape[0] + 1] += moments.penalty
    return out


def is_lost(curvature: Base, gradient: _Vector) -> bool:
    """Whether columns without any curvature hold a real share of the gradient."""
    if not curvature.frozen.any():
        return False
    # largest components: a norm would square them, and may underflow
    share = np.abs(gradient[curvature.frozen]).max()
    return bool(share > np.sqrt(_EPS) * np.abs(gradient).max())
