"""Damped Newton on the full Hessian, with as few passes as it can.

Each iteration solves ``H s = -g`` and walks along s. Half the Newton decrement,
``g' H^-1 g / 2``, estimates the distance above the optimum; it does not change when
columns of X are rescaled, and the stop rule is written in it.

How passes are saved. The unit of cost is one pass that gives the gradient; one that gives the
Hessian too costs ``objective.hessian_passes`` of them (2 at 20 columns, 8 at 100).

1. *Stages*: the first steps, far from the optimum, are taken on every 512th, 64th and 8th row,
   where they cost next to nothing. The optimum of a part of m rows is about p / 2m above that
   of all rows, so a stage ends there.
2. *A Hessian is kept* as long as that is cheaper: from how well the last step did, the passes that
   are left are predicted, with the old Hessian and with a new one, and the less is chosen. The
   Hessian of every 8th row is the first of all rows. Secant pairs correct it
   (:mod:`fastlogreg.solvers.curvature`); where they can't, the prediction asks for a new one.
   It can't judge its own distance: the last pass also gives the moments of the columns there
   (:func:`fastlogreg.solvers.curvature.recalibrated`), and only with them is convergence said.
   Given by the first pass on all rows too, they cost the census-like case 3 passes of 7.
3. Far from the optimum the loss falls like an exponential, and a step with a new Hessian goes up to
   twice as far as Newton's (:func:`fastlogreg.solvers.search.stretch`).
4. The full step is nearly always accepted, so its derivatives are asked for at once, and only a
   rejected step is shortened on values alone.

How it stays sturdy: see :class:`fastlogreg.solvers.curvature.Curvature` for singular and
indefinite Hessians. Where columns have no curvature but a gradient (every sample saturated), or
Newton's direction leads nowhere, a step towards zero, or else a gradient step of Polyak's length
``f / ||g||²`` (the loss is bounded below by zero), leads back. A trial value that is not finite
counts as a rise. A decrement that is not finite is never taken for convergence, nor is a small one
where one of the last two steps left more than a tenth of it: a row far outside holds all the
curvature until its loss, which falls to 1/e in a step, is nothing; the other directions show only
then (a row of 1e9 times the others' size: 1e-10 at step 27, and yet 8e-4 above the optimum). Where
the Hessian is ill-conditioned, such a row may be why, and where a few rows hold most of the weight
the others show late too; so there the step is looked at: the decrement is the distance only if no
margin would change by more than :data:`_CHANGE`.
"""

from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.moments import Moments
from fastlogreg.solvers import Callback, Iteration, Result, TwiceDifferentiable
from fastlogreg.solvers.curvature import (
    Curvature,
    Secants,
    centred_diagonal,
    is_lost,
    recalibrated,
)
from fastlogreg.solvers.search import ROUNDING, Point, all_finite, polyak, search, stretch

__all__ = ["newton"]

_EPS = float(np.finfo(np.float64).eps)
# share of tol to reach: where a column is seen in a row or two, a kept Hessian of every 8th row
# takes its curvature for 8 times what it is, and the distance for 1/8
_AIM = 0.1
_SLOW = 0.1  # share of the distance that a step near the optimum leaves at most
_ILL = 1e-5  # a pivot of the Hessian, scaled to a unit diagonal, below this
_CHANGE = 0.5  # of a margin: a row whose loss falls like an exponential asks for 1
_LIKE_AN_EXPONENTIAL = 0.25  # steps along one leave 1/e
_RATE = 30.0  # a new Hessian divides a relative distance r by 1 / (30 r), until seen otherwise
_CLOSE = 100.0  # times the goal: a step that should come so near may reach it
_STAGE = 8  # rows of one stage over those of the one before
_STAGE_ROWS = 20  # times p: the least rows of a stage
_STAGE_LEAST = 1000  # rows
_STAGE_ITERATIONS = 15

_Vector = NDArray[np.float64]


def newton(
    objective: TwiceDifferentiable,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    callback: Callback | None = None,
    stages: bool = True,
) -> Result:
    """Minimize a twice differentiable objective that is bounded below by zero.

    Parameters
    ----------
    objective : Problem or the like
        See :class:`fastlogreg.solvers.TwiceDifferentiable`.
    theta : ndarray of shape (p,), float64
        The start; it is not changed.
    tol : float, default=1e-8
        Converged where half the Newton decrement is at most ``tol`` times the value.
    max_iter : int, default=100
        Steps on all rows at most.
    stop_value : float, default=0.0
        Stop, not converged, at a value of this or less.
    callback : callable, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta.
    stages : bool, default=True
        Whether the first steps may be taken on a part of the rows: not where ``theta`` is
        known to be close already.

    Returns
    -------
    Result
        Where the start gives a value or derivative that is not finite: the start,
        with a decrement of NaN.

    References
    ----------
    Boyd and Vandenberghe, Convex Optimization, sections 9.5 (damped Newton, the
    decrement) and 9.2 (backtracking); Bollapragada, Byrd and Nocedal (2019), Exact and inexact
    subsampled Newton methods, IMA J. Numer. Anal. 39.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> from fastlogreg.problem.problem import Problem
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> result = newton(Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))), np.zeros(2))
    >>> result.converged, result.theta.round(4)
    (True, array([-1.3623,  0.9082]))
    """
    history: list[Iteration] = []

    def record(now: Iteration, at: _Vector) -> None:
        history.append(now)
        if callback is not None:
            callback(now, at)

    kept = None
    if stages and max_iter > 0:
        theta, kept = _stages(objective, theta, record)
    return _minimize(objective, theta, kept, tol, _AIM, max_iter, stop_value, history, record)[0]


class _Kept(NamedTuple):
    """A Hessian from elsewhere, the objective where it was made, and how good it should be.

    ``damping``, (p,), is added to its diagonal for steps, but not to judge the distance: along
    columns together, too, a part may have next to no curvature where all rows have.
    """

    hessian: NDArray[np.float64]
    value: float
    rate: float  # share of the distance that a step with it may leave
    damping: _Vector | None = None

    def curvature(self) -> Curvature:
        """Return what steps are made with."""
        if self.damping is None:
            return Curvature(self.hessian, self.value)
        return Curvature(self.hessian + np.diag(self.damping), self.value)


def _stages(
    objective: TwiceDifferentiable, theta: _Vector, record: Callback
) -> tuple[_Vector, _Kept | None]:
    """Return where a part of the rows, then a larger one, has its optimum, and its Hessian."""
    p = theta.size
    rows = objective.effective_rows()
    steps = []
    step = _STAGE
    while rows / step >= max(_STAGE_ROWS * p, _STAGE_LEAST):
        steps.append(step)
        step *= _STAGE
    kept: _Kept | None = None
    for step in reversed(steps):
        m = rows / step
        if kept is None:
            start = Point(*objective.part(step).value_gradient_hessian(theta))
            if not all_finite(start):
                return theta, None
            kept = _Kept(start.curvature, start.value, 0.5)
        # a penalty of one sample's worth of data, or columns that the part hardly holds could
        # be separated there and run away; of centred columns, or one far from 0 could not move
        least = centred_diagonal(kept.hessian, objective.layout) / m
        objective.layout.intercepts(least)[:] = 0.0
        subsample = objective.part(step, least)
        damping = subsample.penalty.smooth_diagonal - objective.penalty.smooth_diagonal
        kept = kept._replace(hessian=kept.hessian + np.diag(damping), damping=None)
        result, kept = _minimize(
            subsample, theta, kept, 0.02 * p / m, 1.0, _STAGE_ITERATIONS, 1e-6, [], record
        )
        if not result.finite:
            return theta, None
        theta = result.theta
        # the penalty of the part is not the problem's
        undamped = kept.hessian - np.diag(damping)
        kept = _Kept(undamped, kept.value, min(0.5, 4.0 * p / m), damping)
    return theta, kept


def _minimize(
    objective: TwiceDifferentiable,
    theta: _Vector,
    kept: _Kept | None,
    tol: float,
    aim: float,
    max_iter: int,
    stop_value: float,
    history: list[Iteration],
    record: Callback,
) -> tuple[Result, _Kept]:
    """Minimize on the objective's rows; return the result and the last Hessian made or given."""
    theta = theta.copy()
    whole = objective.share == 1.0

    def eval_hessian(at: _Vector) -> Point:
        return Point(*objective.value_gradient_hessian(at))

    def eval_gradient(at: _Vector) -> Point:
        return Point(*objective.value_gradient(at), None)

    def eval_moments(at: _Vector) -> Point:
        return Point(*objective.value_gradient_moments(at))

    def factored(hessian: NDArray[np.float64], point: Point, at: _Vector) -> Curvature:
        curvature = Curvature(hessian, point.value)
        if whole and curvature.underflowed(point.gradient).any():
            product = objective.value_gradient_product(at)[2]
            curvature.thaw(hessian, point.gradient, product)
        if whole and curvature.unresolved(point.gradient):
            curvature.sharpen(objective.value_gradient_product(at)[2])
        return curvature

    current = eval_hessian(theta) if kept is None else eval_gradient(theta)
    n_iter, length = 0, 1.0

    def note(decrement: float) -> None:
        norm = float(np.abs(current.gradient).max())
        share = objective.share
        now = Iteration(n_iter, objective.n_passes, current.value, norm, decrement, length, share)
        record(now, theta)

    def finish(decrement: float, converged: bool, message: str) -> tuple[Result, _Kept]:
        norm = float(np.abs(current.gradient).max())
        result = Result(
            theta,
            current.value,
            norm,
            decrement,
            n_iter,
            objective.n_passes,
            converged,
            message,
            history,
        )
        return result, kept or _Kept(np.eye(theta.size), 0.0, 0.5)

    if not all_finite(current):
        note(np.nan)
        return finish(np.nan, False, "the objective or a derivative is not finite at the start")
    fresh = judged = False  # the Hessian is of this iterate and all rows; may say the distance
    rate = 0.5 if kept is None else kept.rate  # what the next step should leave of the distance
    model: Secants | None = None
    # a new Hessian leaves newton_contraction * distance / value of the distance
    newton_contraction = _RATE
    last: tuple[float, bool] | None = None  # distance and fresh before the last full step
    may_stretch = True  # no step has gone too far yet
    # a tenth of the rows, or fewer, say as much as all of them
    uneven = whole and objective.effective_rows() < 0.1 * objective.n_rows
    before_step: float | None = None  # distance before the last full step
    left = 0.0  # what the last step left of the distance
    slow = was_slow = False  # the last step, and the one before, left more than near the optimum

    while True:
        if isinstance(current.curvature, np.ndarray):
            kept = _Kept(current.curvature, current.value, rate)
            curvature = factored(kept.hessian, current, theta)
            model, current = Secants(curvature), current._replace(curvature=None)
            fresh = judged = True
        elif model is None:
            assert kept is not None
            curvature = kept.curvature()
            model, judged = Secants(curvature), not whole
        goal = max(aim * tol, ROUNDING) * current.value
        step, decrement = model.step(current.gradient, goal)
        lost = not np.isfinite(decrement) or is_lost(curvature, current.gradient)
        if lost:
            decrement = current.value  # the most that it can be: losses are not below zero
        # a kept Hessian may hide that the objective still falls along a direction flat in it
        known = fresh or not whole or not curvature.unresolved(current.gradient)
        enough = tol * current.value if n_iter >= max_iter else goal
        if known and not judged and decrement <= enough:
            if not isinstance(current.curvature, Moments):
                # where it was at once: a pass for nothing but to be sure
                current = eval_moments(theta)
            assert kept is not None
            better = recalibrated(kept.hessian, current.curvature, current.gradient, current.value)
            if better is None:  # the moments can't say: a new Hessian can
                current, last = eval_hessian(theta), None
            else:
                kept = _Kept(better, current.value, rate)
                curvature = kept.curvature()
                model, judged = model.rebased(curvature), True
            continue
        if before_step is not None:
            was_slow = left > _LIKE_AN_EXPONENTIAL
            left = decrement / before_step if length == 1.0 and not lost else 1.0
            slow, before_step = left > _SLOW, None
        if last is not None:
            rate = decrement / last[0] if length == 1.0 and not lost else 1.0
            if last[1] and not lost:
                newton_contraction = max(_RATE / 10, min(rate * current.value / last[0], 1e6))
        note(decrement)
        if current.value <= stop_value:
            return finish(decrement, False, "the objective fell to its floor")
        within = not (slow or was_slow) or not whole or decrement <= ROUNDING * current.value
        reliable = known and judged and within
        if reliable and whole and decrement <= enough and (uneven or curvature.pivot < _ILL):
            reliable = objective.largest_change(step) <= _CHANGE
        converged = reliable and decrement <= tol * current.value
        if reliable and decrement <= goal:
            return finish(decrement, True, "converged")
        if n_iter >= max_iter:
            return finish(decrement, converged, "max_iter reached")

        expected = min(0.5, newton_contraction * decrement / current.value) if fresh else rate
        keep = (
            not lost
            and known
            and decrement > goal
            and _keeping_pays(
                decrement,
                goal,
                expected,
                newton_contraction / current.value,
                objective.hessian_passes,
            )
        )
        light = eval_moments if whole and expected * decrement <= _CLOSE * goal else eval_gradient
        first = light if keep else eval_hessian if length == 1.0 else None
        if lost or not known:
            accepted = None
        else:
            if may_stretch and fresh:
                step = stretch(decrement, current.value) * step
            accepted = search(
                theta, current, step, first=first, value=objective.value, evaluate=eval_hessian
            )
        if accepted is None and not fresh:
            current, last = eval_hessian(theta), None
            continue
        if accepted is None and not converged:
            for escape in (-theta, polyak(current.value, current.gradient)):
                accepted = accepted or search(
                    theta, current, escape, first=None, value=objective.value, evaluate=eval_hessian
                )
        if accepted is None:
            return finish(decrement, converged, "no step lowers the objective further")
        n_iter += 1
        before, (moved, current, length) = current, accepted
        may_stretch = (
            may_stretch and length == 1.0 and (lost or float(current.gradient @ step) <= 0.0)
        )
        if not isinstance(current.curvature, np.ndarray):
            model.add(moved - theta, before.gradient, current.gradient)
        theta = moved
        last = None if lost else (decrement, fresh)
        before_step = None if lost else decrement
        fresh, judged = False, not whole


def _keeping_pays(
    distance: float, goal: float, rate: float, newton_contraction: float, hessian_passes: float
) -> bool:
    """Whether the next pass should give the gradient alone.

    ``rate`` is what this step is expected to leave of the distance, and every further step with
    the same Hessian; with a new one a step leaves ``newton_contraction`` times the distance.
    """
    after = rate * distance
    if after <= goal:
        return True
    keeping = 1.0 + _steps(after, goal, rate)
    renewing, left = hessian_passes, after
    while left > goal and renewing < keeping:
        left *= min(0.5, newton_contraction * left)
        renewing += 1.0
    return keeping <= renewing


def _steps(distance: float, goal: float, rate: float) -> float:
    """Return how many steps that each leave ``rate`` of the distance lead to the goal."""
    if rate >= 1.0 or not goal > 0.0:
        return np.inf
    return float(ceil(log(goal / distance) / log(max(rate, _EPS))))
