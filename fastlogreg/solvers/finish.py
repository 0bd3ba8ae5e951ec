"""The last word on a run of mini-batches: how far from the optimum it ended, and the way there.

A loss that stands still says nothing of what is left: steps may be short beside the way (rows that
can nearly be separated, few rows, rare levels), and an epoch's loss is noise beside it. So the end
is judged by the gradient over all rows, as the solvers of the exact fit judge theirs, and where
it is too far, they go the rest: from a point that is near, a few passes, each a fraction of an
epoch's time.

Many rows are judged by a Hessian of every 8th of them: a pass and a quarter. It may take the
curvature of a rare level for up to 8 times what it is, so only well within the tolerance is
near; else all rows decide.

With an L1 penalty proximal Newton goes on, and the distance is the duality gap. Squared errors have
none, and of many columns a run leaves more that are not 0 than a Hessian holds: there no solver
goes on, and the distance is a lower bound, what one step of all coordinates at once is sure to win.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Universal
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.curvature import Curvature, Secants, is_lost
from fastlogreg.solvers.handover import is_cheap
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.search import Point, all_finite

__all__ = ["Finish", "finish"]

_STEP = 8  # of so many rows one is in the part
_PART_ROWS = 10_000  # a part of fewer saves nothing
_ROWS_A_COLUMN = 20  # of a part, for its Hessian to say anything
_WELL_WITHIN = 0.25  # share of the tolerance
_FLOOR = 1e-6  # of the loss of rows that can be separated, where nothing is penalized
_TIGHTEST = 1e-8
_L1_ENTRIES = 1000  # of theta, that proximal Newton goes on from

_Vector = NDArray[np.float64]


class Finish(NamedTuple):
    """Where a run ends, how far above the optimum, relatively, and whether within tolerance."""

    theta: _Vector
    distance: float
    near: bool


def finish(
    problem: Problem,
    theta: _Vector,
    *,
    tol: float,
    n_rows: int,
    l1: float = 0.0,
    has_gap: bool = True,
    penalized: bool = True,
    other: _Vector | None = None,
) -> Finish:
    """Judge theta, (p,), and go on from it where it is not within ``tol`` of the optimum.

    Parameters
    ----------
    problem : Problem
        Without the L1 penalty.
    tol : float
        Largest distance, relative to the problem.
    l1 : float, default=0.0
        Strength of the L1 penalty.
    has_gap : bool, default=True
        Whether the loss is a cross-entropy, so that there is a duality gap with L1.
    penalized : bool, default=True
        Whether there is any penalty: without one, rows that can be separated have no optimum.
    other : ndarray of shape (p,), optional
        Another start, taken where it is better.
    """
    if l1 > 0.0 and not (has_gap and theta.size <= _L1_ENTRIES):
        return _judge_l1(problem, theta, tol, l1)
    tol = max(tol, _TIGHTEST)
    if l1 > 0.0:
        return _go_on_l1(problem, theta, tol, l1)
    many = n_rows / _STEP >= max(_PART_ROWS, _ROWS_A_COLUMN * theta.size)
    if many and is_cheap(cast(Universal, problem)):
        here = Point(*problem.value_gradient(theta), None)
        part = problem.part(_STEP).value_gradient_hessian(theta)
        if all_finite(here) and np.isfinite(part[2]).all():
            curvature = Curvature(part[2], here.value, problem.layout)
            goal = _WELL_WITHIN * tol * here.value
            decrement = Secants(curvature).step(here.gradient, 0.1 * goal)[1]
            if decrement <= goal and not is_lost(curvature, here.gradient):
                return Finish(theta, decrement / here.value, True)
    if other is not None:
        value = problem.value(theta)
        if not value <= problem.value(other):
            theta = other
    stop_value = 0.0 if penalized else _FLOOR
    with problem.solving() as again, again:
        result = auto(cast(Universal, problem), theta, tol=tol, stop_value=stop_value, stages=False)
    distance = result.decrement / result.value if result.value > 0.0 else 0.0
    return Finish(result.theta if result.finite else theta, distance, result.converged)


def _go_on_l1(problem: Problem, theta: _Vector, tol: float, l1: float) -> Finish:
    """Go on where the duality gap is more than asked for."""
    penalty = ElasticNet(problem.layout.by_column(l1), problem.penalty.smooth_diagonal)
    with problem.solving() as again, again:
        result = proximal(problem.with_penalty(penalty), theta, tol=tol, stages=False)
    distance = result.decrement / result.value if result.value > 0.0 else 0.0
    return Finish(result.theta if result.finite else theta, distance, result.converged)


def _judge_l1(problem: Problem, theta: _Vector, tol: float, l1: float) -> Finish:
    """Return theta with a lower bound of its distance."""
    value, gradient, product = problem.value_gradient_product(theta)
    moments, layout = product.moments(), problem.layout
    penalty = ElasticNet(layout.by_column(l1), np.zeros(layout.size))
    g = moments.to_centred(gradient)
    # a Hessian of unit diagonal has no eigenvalue above p
    bound = np.zeros(layout.size)
    layout.intercepts(bound)[:] = theta.size * np.maximum(moments.total, 0.0)[:, None]
    layout.coefficients(bound)[:] = theta.size * (moments.spread + moments.penalty)
    length = np.divide(1.0, bound, out=np.zeros(layout.size), where=bound > 0.0)
    after = penalty.prox(theta - length * g, length)
    step = np.where(bound > 0.0, after - theta, 0.0)
    moved = penalty.value(theta + step) - penalty.value(theta)
    won = -(float(g @ step + 0.5 * (bound * step) @ step) + moved)
    value += penalty.value(theta)
    distance = won / value if value > 0.0 else 0.0
    return Finish(theta, distance, bool(distance <= tol))
