"""The minimum of a quadratic model with L1 between bounds, whose Hessian is a matrix.

Coordinate descent finds the support, and is slow where columns are nearly collinear; on a support
the minimum is that of a linear system. Each lowers what the other left.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from fastlogreg import backends
from fastlogreg.backends import QuadraticModel

__all__ = ["inverse", "lower", "with_kinks"]

_SWEEPS = 100  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_CROSSINGS = 10  # entries that may become 0, or reach a bound, in one of them
_FLAT_SWEEPS, _FLAT_CROSSINGS = 300, 3  # the same with flat directions, where sweeps gain more
_BETWEEN = 10  # sweeps between two moves along these
_RIDGE = 1e-13  # of a unit diagonal: columns may be the same
_TINY = 1e-13  # of the largest: no curvature

_Vector = NDArray[np.float64]


def with_kinks(hessian: NDArray[np.float64], l1: _Vector) -> QuadraticModel:
    """Return the model without bounds, in which slopes are measured by the L1 strengths."""
    endless = np.full(l1.size, np.inf)
    return QuadraticModel(hessian, l1, -endless, endless, np.where(l1 > 0.0, l1, 1.0))


def inverse(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a Hessian, (k, k), of a few entries, 0 along what has no curvature."""
    if own.shape == (1, 1):
        return np.full((1, 1), 1.0 / own[0, 0] if own[0, 0] > 0.0 else 0.0)
    return cast(NDArray[np.float64], np.linalg.pinv(own, rcond=_TINY, hermitian=True))


def lower(
    model: QuadraticModel,
    slope: _Vector,
    u: _Vector,
    enough: float,
    negligible: float = 0.0,
    along_flat: Callable[[_Vector, _Vector], None] | None = None,
) -> None:
    """Move u to where the model is least, in place, and ``slope`` with it.

    Parameters
    ----------
    model : QuadraticModel
    slope : ndarray of shape (p,)
        The gradient of its smooth part at u.
    u : ndarray of shape (p,)
        Within the bounds.
    enough : float
        By how much slopes at an entry may still move, in its unit.
    negligible : float, default=0.0
        A gain on the support that is none, where entries without L1 are to be solved together.
    along_flat : callable, optional
        Moves u and ``slope``, in place, to where the model is least along its flat directions.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.zeros(2)
    >>> lower(with_kinks(np.eye(2), np.ones(2)), np.array([-3.0, 0.5]), u, 1e-9)
    >>> u
    array([2., 0.])
    """
    numba = cast(Any, backends.get("numba"))
    # without L1 the slopes that are left may lead far where columns are nearly collinear
    may_deceive = not (model.l1 > 0.0).all()

    def sweeps_solve() -> bool:
        if along_flat is None:
            return bool(numba.coordinate_descent(model, slope, u, enough, _SWEEPS) <= enough)
        for _ in range(_FLAT_SWEEPS // _BETWEEN):
            along_flat(u, slope)
            if numba.coordinate_descent(model, slope, u, enough, _BETWEEN) <= enough:
                return True
        return False

    for _ in range(_ROUNDS):
        solved = sweeps_solve()
        if solved and not may_deceive:
            return
        gain = 0.0
        for _ in range(_CROSSINGS if along_flat is None else _FLAT_CROSSINGS):
            gained, ended = _solve_on_support(model, slope, u)
            gain += gained
            if ended:
                break
        if solved and gain <= negligible:
            return


def _solve_on_support(model: QuadraticModel, slope: _Vector, u: _Vector) -> tuple[float, bool]:
    """Go to the minimum with the signs of u, or to where the first changes.

    A bound ends it as a change of sign does. Returns what was gained, and whether it is there.
    """
    H, l1, lower, upper, _ = model
    support = np.flatnonzero(((u != 0.0) | (l1 == 0.0)) & (u > lower) & (u < upper))
    support = support[H.diagonal()[support] > 0.0]
    if support.size == 0:
        return 0.0, True
    sign = np.where(l1[support] > 0.0, np.sign(u[support]), 0.0)
    part = H[np.ix_(support, support)]
    unit = np.sqrt(part.diagonal())
    part /= unit
    part /= unit[:, None]
    part.flat[:: support.size + 1] += _RIDGE
    # of the transpose, which is the same: no copy
    factor, singular = dpotrf(part.T, lower=1, clean=0, overwrite_a=1)
    if singular:
        return 0.0, True
    pull = (slope[support] + l1[support] * sign) / unit
    step = -dpotrs(factor, pull, lower=1)[0] / unit
    end = np.where(step > 0.0, upper[support], lower[support])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        end = np.where((step * sign < 0.0) & (end * sign < 0.0), 0.0, end)
        until = np.where(step != 0.0, (end - u[support]) / step, np.inf)
    first = int(until.argmin())
    length = min(1.0, float(until[first]))
    if not np.isfinite(step).all():
        return 0.0, True
    moved = u[support] + length * step
    if until[first] <= 1.0:
        moved[first] = end[first]
    slope += (moved - u[support]) @ H[support]
    u[support] = moved
    gain = -(1.0 - 0.5 * length) * length * float((pull * unit) @ step)
    return gain, length == 1.0
