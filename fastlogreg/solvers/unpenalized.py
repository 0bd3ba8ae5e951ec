"""Coefficients without a penalty beside others with kinks or bounds: their steps and their gap.

A dual point has an equation for each entry of theta without penalty and bounds, as for intercepts,
and no scaling makes it hold. Newton's step of these entries does: where the residuals of the rows
are changed by a step t, in the metric of their curvatures, the slopes at those entries become 0 if
t solves their block of the Hessian. The loss's conjugate is then larger by less than its parabola,
twice what the step gains, if no margin changes by more than 1: with the change c of a row's margin
the conjugate's second derivative is at most ``1 / (1 - |c|)`` times that of here. With several
classes c is the difference of two changes, so that half of that is asked for. Entries between their
bounds are taken out with them; those that a bound holds need not be.

This is a bound wherever the Hessian is that of the iterate, so that rows which can be separated by
such entries never look as if they had an optimum: their margins would change by 1 or more.
"""

from collections.abc import Callable
from math import isfinite
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrs

from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.curvature import Curvature
from fastlogreg.solvers.direction import Iterate

__all__ = ["Block", "Products", "TakenOut", "gap_beside", "has_unpenalized", "take_out"]

_CHANGE = 0.5  # of a margin, at the most
_ROUNDED = 32 * float(np.finfo(np.float64).eps)  # times the root of the value: of a scaled slope
_ROUNDS = 20  # of entries that a bound holds no longer once others are taken out
_REFINEMENTS = 4
_MOST_FLAT = 30  # directions that a product each is paid for

_Vector = NDArray[np.float64]
_Product = Callable[[_Vector], _Vector]


def has_unpenalized(objective: Problem) -> bool:
    """Whether there are coefficients without a penalty."""
    penalty = cast(ElasticNet, objective.penalty)
    return bool(objective.layout.coefficients(penalty.unpenalized).any())


class Block:
    """The Hessian of some entries, to solve with; directions that are flat in it are apart.

    Where columns are nearly collinear, or far from 0, the Hessian has lost what curvature there is;
    Hessian products still know it (:meth:`fastlogreg.solvers.curvature.Curvature.sharpen`).

    Parameters
    ----------
    hessian : ndarray of shape (k, k)
    value : float
        The objective there.

    Attributes
    ----------
    inverse : ndarray of shape (k, k)
        Without those directions.
    """

    def __init__(self, hessian: NDArray[np.float64], value: float) -> None:
        self._curvature = curvature = Curvature(hessian, value)
        scale = curvature.scale
        with np.errstate(over="ignore", invalid="ignore"):  # where all rows are saturated
            if curvature.factor is not None:
                inverse, _ = dpotrs(curvature.factor, np.eye(scale.size), lower=1)
                inverse = inverse * scale * scale[:, None]
            else:
                self._flat = curvature.values <= curvature.flat
                vectors = scale[:, None] * curvature.vectors[:, ~self._flat]
                inverse = (vectors / curvature.values[~self._flat]) @ vectors.T
        self.inverse = inverse if np.isfinite(inverse).all() else np.zeros_like(inverse)

    def unresolved(self, slope: _Vector) -> bool:
        """Whether there is a slope, (k,), along flat directions that products may resolve."""
        curvature = self._curvature
        few = curvature.factor is None and np.count_nonzero(self._flat) <= _MOST_FLAT
        return bool(few) and curvature.unresolved(slope)

    def along_flat(self, slope: _Vector, product: _Product) -> _Vector:
        """Return Newton's step along flat directions, (k,), by products with the Hessian.

        Where they are :meth:`unresolved`.
        """
        curvature = self._curvature
        if curvature.flat > 1e-20:  # not learnt yet
            curvature.sharpen(product)
        vectors = curvature.scale[:, None] * curvature.vectors[:, self._flat]
        along = slope @ vectors
        along[np.abs(along) <= curvature.rounded] = 0.0
        step: _Vector = -vectors @ (along / curvature.values[self._flat])
        return step


class TakenOut(NamedTuple):
    """The slope of the loss, (p,), after a step, (p,), of entries without a penalty."""

    slope: _Vector
    step: _Vector
    gain: float  # twice what the step gains by its model; infinity where it is not known


def take_out(
    objective: Problem,
    at: Iterate,
    hessian: NDArray[np.float64],
    entries: NDArray[np.intp],
    *,
    exact: bool,
) -> TakenOut:
    """Take out entries without a penalty that no bound holds.

    Parameters
    ----------
    objective : Problem
    at : Iterate
    hessian : ndarray of shape (k, k)
        Of some entries of theta, all that may be taken out among them.
    entries : ndarray of shape (k,)
        Their places.
    exact : bool
        Whether to ask for products with the whole Hessian: where it is not all that is given, or
        where it has lost digits. They cost passes; without them the gain is an estimate.
    """
    penalty = cast(ElasticNet, objective.penalty)
    value, gradient, _ = at.point
    slope = gradient - penalty.smooth_gradient(at.theta)
    whole = entries.size == slope.size
    known = np.zeros(slope.size, dtype=bool)
    known[entries] = True
    products = Products(objective, at.theta) if exact else None
    chosen = penalty.free | (penalty.unpenalized & ~penalty.held(at.theta, slope))
    for _ in range(_ROUNDS):
        some = np.flatnonzero(chosen[entries])
        places = entries[some]
        if not some.size:
            return TakenOut(slope, np.zeros(slope.size), 0.0)
        block = Block(hessian[np.ix_(some, some)], value)
        rounding = _ROUNDED * np.sqrt(value * hessian.diagonal()[some].clip(0.0))
        step, after = np.zeros(slope.size), slope
        for _ in range(_REFINEMENTS):
            own = after[places]
            step[places] -= block.inverse @ own
            flat = products is not None and block.unresolved(own)
            if products is not None and flat:
                step[places] += block.along_flat(own, products.of(places))
            if products is None or (whole and not flat):
                after = slope + hessian @ step if whole else slope
            else:
                after = slope + products(step)
            if (np.abs(after[places]) <= rounding).all():
                break
        late = penalty.unpenalized & ~chosen & known & ~penalty.held(at.theta, after)
        if not late.any():
            break
        chosen |= late
    gain = -float(slope @ step)
    left = np.abs(after[places]) > rounding
    if not exact:
        left[:] = False
    elif left[penalty.free[places]].any() or not known[chosen].all():
        gain = np.inf
    after[places[~left]] = 0.0  # between bounds the rest costs what it may lead to
    return TakenOut(after, step, gain)


class Products:
    """Products with the Hessian at theta, which is read once where one is asked for."""

    def __init__(self, objective: Problem, theta: _Vector) -> None:
        self._objective = objective
        self._theta = theta
        self._product: _Product | None = None

    def __call__(self, step: _Vector) -> _Vector:
        """Return the product with all of a step, (p,)."""
        if self._product is None:
            self._product = self._objective.value_gradient_product(self._theta)[2]
        return self._product(step)

    def of(self, places: NDArray[np.intp]) -> _Product:
        """Return products of some entries."""

        def product(v: _Vector) -> _Vector:
            step = np.zeros(self._theta.size)
            step[places] = v
            return self(step)[places]

        return product


def gap_beside(objective: Problem, at: Iterate, out: TakenOut, *, sure: bool) -> float:
    """Return how far above the optimum an iterate is at the most, with some entries taken out.

    ``sure`` says whether the Hessian is that of here, and the margins are to be looked at.
    """
    penalty, value = cast(ElasticNet, objective.penalty), at.point.value
    gap = penalty.duality_gap(at.theta, out.slope, value - penalty.value(at.theta)) + out.gain
    if not isfinite(gap) or (sure and objective.largest_change(out.step) > _CHANGE):
        return np.inf
    return gap
