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
all rows at the iterate itself (:class:`fastlogreg.problem.moments.Moments`), in centred columns.

:class:`Secants` corrects a Hessian that is kept while the iterate moves on, or that was made of
a part of the rows: the changes of the gradient along past steps say what the curvature there
really is (L-BFGS with the Hessian as its initial matrix). A pass that asks for the gradient alone
then still improves the direction.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy, ddot
from scipy.linalg.lapack import dpotrf, dpotrs

from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.problem import HessianProduct

__all__ = [
    "Base",
    "Centred",
    "Conjugate",
    "Curvature",
    "Secants",
    "bound",
    "centred_diagonal",
    "is_lost",
    "is_said",
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


def _eigh(matrix: NDArray[np.float64]) -> tuple[_Vector, NDArray[np.float64]]:
    """Return the eigenvalues and the eigenvectors of a symmetric matrix."""
    try:
        values, vectors = np.linalg.eigh(matrix)
    except np.linalg.LinAlgError:  # divide and conquer now and then ends nowhere; slower, this does
        from scipy.linalg import eigh

        values, vectors = eigh(matrix, driver="evr", check_finite=False)
    return values, vectors


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

    def __init__(
        self, hessian: NDArray[np.float64], value: float = 0.0, layout: Layout | None = None
    ) -> None:
        self._layout = layout if layout is not None and layout.n_outputs > 1 else None
        if self._layout is not None:
            hessian = filled(hessian, self._layout)
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
            values, self.vectors = _eigh(scaled)
            self.values = np.maximum(np.abs(values), self.flat)
            self._steep = self.values > self.flat

    def unresolved(self, gradient: _Vector) -> bool:
        """Whether the gradient is more than rounding along a direction that seems flat."""
        if self.factor is not None:
            return False
        along = (self.scale * gradient) @ self.vectors
        flat = self.values <= self.flat
        return bool((np.abs(along) > self._noise(along))[flat].any())

    def _noise(self, along: _Vector) -> float:
        """Return what of a gradient, given along the directions, flat ones may show by rounding.

        Beside its own rounding, that of the directions: each leans towards a steep one by rounding
        over that one's curvature, and shows as much of what the gradient holds there.
        """
        steep = self._steep
        leaning = float((np.abs(along[steep]) / self.values[steep]).sum())
        return float(self.rounded + _EPS * self.scale.size * leaning)

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
            if not (np.isfinite(along).all() and along[j] > 0.0):
                continue
            with np.errstate(over="ignore"):
                # twice a root: what is under it may be beyond float64
                scale = np.sqrt(step[j]) / np.sqrt(along[j])
            if np.isfinite(scale):  # else the coefficient would be beyond it too
                self.scale[j] = scale
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
        values, rotation = _eigh(vectors.T @ np.column_stack(along))
        self.vectors[:, flat] = vectors @ rotation
        # what directions lean towards steep ones shows as curvature, too
        least = self.values[self._steep].min(initial=1.0)
        self.flat = max(self.flat**2, (_EPS * self.scale.size) ** 2 / least)
        self.values[flat] = np.maximum(np.abs(values), self.flat)

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return H^-1 gradient; flat directions that promise less than negligible left out."""
        g = self.scale * gradient
        if self.factor is not None:
            s, _ = dpotrs(self.factor, g, lower=1)
        else:
            along = g @ self.vectors
            shares = along / self.values
            nothing = (along * shares <= 2 * negligible) | (np.abs(along) <= self._noise(along))
            shares[(self.values <= self.flat) & nothing] = 0.0
            s = self.vectors @ shares
        found: _Vector = self.scale * s
        # rounding that flat directions magnify must not add up to a shift that has a penalty
        return found if self._layout is None else self._layout.centred(found)


class Centred:
    """The diagonal of a Hessian in centred columns: scales and offsets of columns, no more.

    In centred columns (:class:`fastlogreg.problem.moments.Moments`) an intercept stands alone; the
    diagonal there (variances and penalty) is taken back to the columns as they are.

    Parameters
    ----------
    moments : Moments
        Without an intercept nothing is centred.
    """

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self.layout = layout = moments.layout
        self._diagonal = np.zeros(layout.size)
        layout.intercepts(self._diagonal)[:] = moments.total[:, None]
        free = moments.spread + moments.penalty
        # its inverse is finite
        layout.coefficients(self._diagonal)[:] = np.where(free < _TINY, 0.0, free)
        self.frozen = self._diagonal <= 0.0
        self._inverse = np.divide(
            1.0, self._diagonal, out=np.zeros(layout.size), where=~self.frozen
        )

    def solve(self, gradient: _Vector, negligible: float) -> _Vector:
        """Return about ``H^-1 gradient``, in O(p)."""
        moments, layout = self._moments, self.layout
        step: _Vector = self._inverse * gradient
        if not layout.intercept:
            return layout.centred(step)
        # the inverse of what is centred, and back, with few copies: of many classes p is large
        rows = layout.rows(step)
        along = layout.rows(gradient)[:, :1]
        rows[:, 1:] -= self._inverse_centre * along
        rows[:, 0] -= np.einsum("kj,kj->k", moments.centre, rows[:, 1:])
        return layout.centred(step)

    @cached_property
    def _inverse_centre(self) -> _Vector:
        """Return the centres in the units of a step, (m, d)."""
        return self.layout.coefficients(self._inverse) * self._moments.centre

    def most(self, gradient: _Vector) -> float:
        """Return a bound on half the Newton decrement that holds whatever the Hessian is.

        In centred columns the Hessian is the penalty's and something positive, and the bias stands
        alone: the decrement is at most ``g_b² / total + sum_j g_j² / penalty_j``. With several
        intercepts, which do not stand alone, :func:`bound` takes them out first.
        """
        return self._most(self._moments.to_centred(gradient))

    def most_of_weights(self, gradient: _Vector) -> float:
        """Return the same for a gradient, (p,), that is 0 at the intercepts."""
        return self._most(gradient)

    def _most(self, g: _Vector) -> float:
        layout, moments = self.layout, self._moments
        least = np.empty(layout.size)
        layout.intercepts(least)[:] = moments.total[:, None]
        layout.coefficients(least)[:] = moments.penalty
        with np.errstate(all="ignore"):
            most = 0.5 * float(np.sum(np.where(g == 0.0, 0.0, g * g / least)))
        return most if np.isfinite(most) else np.inf


class Conjugate:
    """A base corrected by directions that are conjugate, and what the Hessian does along them.

    With the directions as rows of S, the Hessian along them as rows of Y and the diagonal D of
    ``S Y'``, a base that solves by B becomes

        ``(I - S' D^-1 Y) B (I - Y' D^-1 S) + S' D^-1 S``,

    which is positive definite, whatever S and Y are, as long as B and D are.

    Parameters
    ----------
    base : Base
    pairs : sequence of (ndarray of shape (p,), ndarray of shape (p,))
        Directions v and ``H v``, with ``v @ H v`` above 0.

    References
    ----------
    Morales and Nocedal (2000), Automatic preconditioning by limited memory quasi-Newton updating,
    SIAM J. Optim. 10; Gratton, Sartenaer and Tshimanga (2011), On a class of limited memory
    preconditioners for large scale linear systems with multiple right-hand sides, SIAM J. Optim. 21
    (the formula, which is that of L-BFGS where directions are conjugate).

    Examples
    --------
    >>> from fastlogreg.problem.layout import Layout
    >>> one = np.ones((1, 2))
    >>> moments = Moments(Layout(2, intercept=False), np.ones(1), 0 * one, one, one)
    >>> hessian = np.array([[3.0, 1.0], [1.0, 2.0]])
    >>> first, second = np.array([1.0, 0.0]), np.array([-1.0, 3.0])
    >>> pairs = [(v, hessian @ v) for v in (first, second)]
    >>> Conjugate(Centred(moments), pairs).solve(np.array([4.0, 3.0])).round(12)
    array([1., 1.])
    """

    def __init__(self, base: Base, pairs: Sequence[tuple[_Vector, _Vector]] = ()) -> None:
        self.base = base
        self._any = bool(pairs)
        if pairs:
            self._directions = np.array([v for v, _ in pairs])
            self._along = np.array([Hv for _, Hv in pairs])
            # as whoever gives the pairs takes them: a sum in another order may be below 0
            self._curvatures = np.array([float(v @ Hv) for v, Hv in pairs])

    def solve(self, gradient: _Vector) -> _Vector:
        """Return about ``H^-1 gradient``, (p,)."""
        if not self._any:
            return self.base.solve(gradient, 0.0)
        shares = (self._directions @ gradient) / self._curvatures
        found = self.base.solve(gradient - shares @ self._along, 0.0)
        found += (shares - (self._along @ found) / self._curvatures) @ self._directions
        return found

    def step(self, gradient: _Vector) -> tuple[_Vector, float]:
        """Return the step to the estimated optimum, and the decrease that it promises.

        The decrease, half the (squared) Newton decrement, is NaN where an overflow made the step
        useless.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.solve(gradient)
            decrease = 0.5 * float(gradient @ found)
        if not np.isfinite(decrease) or not np.isfinite(found).all():
            return -found, np.nan
        # below zero by rounding where the step is all but orthogonal to the gradient
        return -found, abs(decrease)


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

    @property
    def has_pairs(self) -> bool:
        """Whether steps have been taken into account."""
        return bool(self._pairs)

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


def bound(product: HessianProduct, base: Centred, gradient: _Vector, enough: float) -> float:
    """Return a bound on half the Newton decrement that holds whatever the Hessian is.

    Steps of the intercepts alone (by the Hessian's entries between them, which are known) leave a
    gradient of the weights, and there the penalty bounds what is left. With several intercepts that
    costs a pass, which is saved where the bound without it is above ``enough``.

    Parameters
    ----------
    product : HessianProduct
    base : Centred
        Made of its moments.
    gradient : ndarray of shape (p,)
    enough : float
    """
    layout = base.layout
    most = base.most(gradient)
    if layout.n_outputs == 1 or not layout.intercept or most > enough:
        return most
    coupling = product.coupling()
    alone = np.zeros_like(gradient)
    along = layout.intercepts(gradient)[:, 0]
    layout.intercepts(alone)[:, 0] = np.linalg.pinv(coupling, hermitian=True) @ along
    left = gradient - product(alone)
    won = 0.5 * float(gradient @ alone)
    rest = layout.intercepts(left)
    if (np.abs(rest[:, 0]) > 1e-6 * np.abs(along).max()).any():  # singular, and asked for
        return np.inf
    rest[:] = 0.0
    return won + base.most_of_weights(left)


def filled(hessian: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
    """Return the Hessian of softmax with curvature where it has none.

    The same step in all rows of theta changes no probability. Where theta is centred
    (:meth:`fastlogreg.problem.layout.Layout.centred`) no gradient asks for such a step, so whatever
    is added there changes no step, and makes the Hessian regular: here the mean of the blocks on
    its diagonal, which has their scales.
    """
    m, width = layout.n_outputs, layout.width
    blocks = hessian.reshape(m, width, m, width)
    mean = np.einsum("kikj->ij", blocks) / m**2
    out: NDArray[np.float64] = (blocks + mean[:, None]).reshape(hessian.shape)
    return out


def centred_diagonal(hessian: NDArray[np.float64], layout: Layout) -> _Vector:
    """Return the Hessian's diagonal in centred columns, (p,); that of intercepts is as it is."""
    diagonal: _Vector = np.abs(hessian.diagonal())
    if layout.intercept:
        for k in range(layout.n_outputs):
            at = k * layout.width
            bias = hessian[at, at]
            if bias > 0.0:
                inner = slice(at + 1, at + layout.width)
                spread = diagonal[inner] - hessian[at, inner] ** 2 / bias
                diagonal[inner] = np.maximum(spread, _EPS * diagonal[inner])
    return diagonal


def recalibrated(
    hessian: NDArray[np.float64], moments: Moments, gradient: _Vector, value: float
) -> NDArray[np.float64] | None:
    """Return the Hessian with its correlations, and the moments of all rows.

    In centred columns: those of the Hessian itself before, those of the moments after.

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
    if not is_said(moments, gradient, value):
        return None
    layout, first = moments.layout, moments.layout.first
    spread = moments.spread
    far = _is_far(moments)
    m, width = layout.n_outputs, layout.width
    before = np.zeros((m, layout.n_columns))
    if first:
        for k in range(m):
            at = k * width
            if hessian[at, at] > 0.0:
                before[k] = hessian[at, at + 1 : at + width] / hessian[at, at]
    out = hessian.copy()
    _shift(out, layout, -before)
    own = layout.rows(out.diagonal().copy())
    held = own[:, first:] - moments.penalty
    raw = np.abs(layout.rows(hessian.diagonal())[:, first:])
    usable = (held > _FAR * raw) & ~far  # columns that the other rows held
    ratio = np.zeros((m, width))
    if first:
        ratio[:, 0] = np.sqrt(
            np.divide(moments.total, own[:, 0], out=np.zeros(m), where=own[:, 0] > 0.0)
        )
    np.divide(spread, held, out=ratio[:, first:], where=usable)
    np.sqrt(ratio[:, first:], out=ratio[:, first:])
    flat = ratio.reshape(-1)
    out *= flat[:, None]
    out *= flat
    new = np.zeros((m, width))
    new[:, :first] = moments.total[:, None]
    new[:, first:] = spread + moments.penalty
    out.flat[:: layout.size + 1] = new.reshape(-1)
    for k in range(m if first else 0):  # of one row of theta the intercept stands alone
        at = k * width
        out[at, at + 1 : at + width] = out[at + 1 : at + width, at] = 0.0
    _shift(out, layout, moments.centre)
    return out


def is_said(moments: Moments, gradient: _Vector, value: float) -> bool:
    """Whether moments say all that matters of a Hessian's diagonal, in centred columns.

    Not where they are not convex, or a column with a gradient that is more than rounding has an
    offset of more than 3e5 times its spread; arguments are those of :func:`recalibrated`.
    """
    if not ((moments.total > 0.0).all() and (moments.squares >= 0.0).all()):
        return False
    far = _is_far(moments)
    if not far.any():
        return True
    along = np.abs(moments.layout.coefficients(moments.to_centred(gradient)))
    return not bool((along > _ROUNDED * np.sqrt(value * moments.squares))[far].any())


def _is_far(moments: Moments) -> NDArray[np.bool_]:
    far: NDArray[np.bool_] = moments.spread <= _FAR * moments.squares
    return far | (moments.squares < _TINY)


def _shift(hessian: NDArray[np.float64], layout: Layout, by: _Vector) -> None:
    """Make it the Hessian of columns that ``by``, (m, d), is added to, in place."""
    if not layout.intercept:
        return
    m, width = layout.n_outputs, layout.width
    for k in range(m):  # by rows, then by columns: with T = [[1, 0], [by, 1]] it is T H T'
        at = k * width
        hessian[at + 1 : at + width] += by[k][:, None] * hessian[at]
    for k in range(m):
        at = k * width
        hessian[:, at + 1 : at + width] += hessian[:, at : at + 1] * by[k]


def is_lost(curvature: Base, gradient: _Vector) -> bool:
    """Whether columns without any curvature hold a real share of the gradient."""
    if not curvature.frozen.any():
        return False
    # largest components: a norm would square them, and may underflow
    share = np.abs(gradient[curvature.frozen]).max()
    return bool(share > np.sqrt(_EPS) * np.abs(gradient).max())
