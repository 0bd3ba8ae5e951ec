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
   Hessian of every 8th row, or of an earlier part, is the first of all rows; where the last part
   is far smaller, as of rows in files, it gives its own. Secant pairs correct it
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
counts as a rise. When a small decrement is the distance is said by
:mod:`fastlogreg.solvers.convergence`.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import ceil, floor, isfinite, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.solvers import Iteration, Result, Status, TwiceDifferentiable
from fastlogreg.solvers.at_once import Lowered, lowered
from fastlogreg.solvers.convergence import NEWTON, STAGE, Convergence, Limits
from fastlogreg.solvers.curvature import (
    Curvature,
    Secants,
    centred_diagonal,
    is_lost,
    recalibrated,
)
from fastlogreg.solvers.direction import Iterate, Proposal, Sure
from fastlogreg.solvers.handover import parts
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.near import in_near_columns
from fastlogreg.solvers.search import Point, all_finite, polyak, search
from fastlogreg.solvers.trace import Trace

__all__ = ["newton"]

_EPS = float(np.finfo(np.float64).eps)
_RATE = 30.0  # a new Hessian divides a relative distance r by 1 / (30 r), until seen otherwise
_FIRST_RATE = 0.5  # what a step is expected to leave where nothing is known
_CLOSE = 100.0  # times the goal: a step that should come so near may reach it
_STAGE_ITERATIONS = 15
_STAGE_FLOOR = 1e-6  # value at which a stage ends: its rows can be separated
_STAGE_TOL = 0.02  # times p / m
_NOTHING = 0.1  # passes on all rows: next to nothing

_Vector = NDArray[np.float64]


@in_near_columns
def newton(
    objective: TwiceDifferentiable,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
    stages: bool = True,
    hessian: NDArray[np.float64] | None = None,
    ends_with_hessian: bool = False,
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
    trace : Trace, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta, and may stop.
    stages : bool, default=True
        Whether the first steps may be taken on a part of the rows: not where ``theta`` is
        known to be close already.
    hessian : ndarray of shape (p, p), optional
        With this penalty, at a point near the start: the first steps are taken with it, and there
        are no stages.
    ends_with_hessian : bool, default=False
        Whether the Hessian is wanted where the fit ends: then the pass that should be the last
        gives it, too (``Result.point``).

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
    trace = Trace() if trace is None else trace
    limits = Limits(tol, max_iter, stop_value)
    kept = few = None
    if hessian is None and objective.layout.n_outputs > 1:
        few = lowered(objective, theta, None, limits, trace)  # of two classes it isn't compiled
    if hessian is not None:
        kept = _Kept(hessian, 0.0, _FIRST_RATE)
    elif few is not None:
        theta, limits, trace = few.theta, few.limits, few.trace
    elif stages and max_iter > 0:
        theta, kept, stopped = _stages(objective, theta, trace)
        if stopped:
            return _stopped_in_stages(objective, theta, trace)
    rule = NEWTON._replace(settles=ends_with_hessian)
    convergence = Convergence(objective, limits, rule)
    direction = _Newton(objective, convergence, kept, ends_with_hessian)
    if few is not None:
        direction.go_on(few)
    result = minimize(objective, theta, direction, convergence, trace)
    if few is not None:
        result = few.counted(result)
    return replace(result, point=direction.point) if ends_with_hessian else result


class _Kept(NamedTuple):
    """A Hessian from elsewhere, the objective where it was made, and how good it should be.

    ``damping``, (p,), is added to its diagonal for steps, but not to judge the distance: along
    columns together, too, a part may have next to no curvature where all rows have.
    """

    hessian: NDArray[np.float64]
    value: float
    rate: float  # share of the distance that a step with it may leave
    damping: _Vector | None = None

    def curvature(self, layout: Layout) -> Curvature:
        """Return what steps are made with."""
        if self.damping is None:
            return Curvature(self.hessian, self.value, layout)
        return Curvature(self.hessian + np.diag(self.damping), self.value, layout)


def _stages(
    objective: TwiceDifferentiable, theta: _Vector, trace: Trace[Iteration]
) -> tuple[_Vector, _Kept | None, bool]:
    """Return where parts of the rows, each larger than the last, have their optimum.

    Returns theta, the last part's Hessian, and whether the trace asked for a stop.
    """
    kept: _Kept | None = None
    rows = objective.effective_rows()
    steps = parts(rows, objective.layout)
    for step in steps:
        m = rows / step
        if kept is None:
            start = Point(*objective.part(step).value_gradient_hessian(theta))
            if not all_finite(start):
                return theta, None, False
            kept = _Kept(start.curvature, start.value, _FIRST_RATE)
        # a penalty of one sample's worth of data, or columns that the part hardly holds could
        # be separated there and run away; of centred columns, or one far from 0 could not move
        least = centred_diagonal(kept.hessian, objective.layout) / m
        objective.layout.intercepts(least)[:] = 0.0
        least = objective.layout.alike(least)
        subsample = objective.part(step, least)
        damping = subsample.penalty.smooth_diagonal - objective.penalty.smooth_diagonal
        kept = kept._replace(hessian=kept.hessian + np.diag(damping), damping=None)
        m = rows / floor(1.0 / subsample.share)  # of fewer rows, where there was no room
        tol = _STAGE_TOL * theta.size / m
        limits = Limits(tol, _STAGE_ITERATIONS, _STAGE_FLOOR)
        convergence = Convergence(subsample, limits, STAGE)
        result, kept = _minimize(subsample, theta, kept, convergence, trace)
        if not result.finite:
            return theta, None, False
        theta = result.theta
        if result.status is Status.STOPPED:
            return theta, None, True
        if step == steps[-1] and subsample.hessian_passes * subsample.share < _NOTHING:
            # the one at hand may be of the first part, and leave what so few rows leave
            last = Point(*subsample.value_gradient_hessian(theta))
            if all_finite(last):
                kept = kept._replace(hessian=last.curvature, value=last.value)
        # the penalty of the part is not the problem's
        undamped = kept.hessian - np.diag(damping)
        kept = _Kept(undamped, kept.value, min(0.5, 4.0 * theta.size / m), damping)
    return theta, kept, False


def _stopped_in_stages(
    objective: TwiceDifferentiable, theta: _Vector, trace: Trace[Iteration]
) -> Result:
    """Return the result of a fit that was stopped on a part of the rows: the figures are of all."""
    value, gradient = objective.value_gradient(theta)
    norm = float(np.abs(gradient).max())
    passes = objective.n_passes
    return Result(theta, value, norm, np.inf, 0, passes, False, Status.STOPPED, trace.history)


def _minimize(
    objective: TwiceDifferentiable,
    theta: _Vector,
    kept: _Kept | None,
    convergence: Convergence,
    trace: Trace[Iteration],
) -> tuple[Result, _Kept]:
    """Minimize on the objective's rows; return the result and the last Hessian made or given."""
    direction = _Newton(objective, convergence, kept)
    result = minimize(objective, theta, direction, convergence, trace)
    return result, direction.kept or _Kept(np.eye(theta.size), 0.0, _FIRST_RATE)


class _Last(NamedTuple):
    """What was known before a step."""

    distance: float
    fresh: bool  # whether the Hessian was made there


class _Newton(Sure):
    """Newton's direction, with a Hessian that is kept as long as that is cheaper."""

    def __init__(
        self,
        objective: TwiceDifferentiable,
        convergence: Convergence,
        kept: _Kept | None,
        ends_with_hessian: bool = False,
    ) -> None:
        self.kept = kept
        self._start: Point | None = None  # what is known of the start
        self.point: Point | None = None  # with the Hessian, where the last pass gave it
        self._ends_with_hessian = ends_with_hessian
        self._objective = objective
        self._convergence = convergence
        self._entire = objective.share == 1.0
        # what the next step should leave of the distance
        self._rate = _FIRST_RATE if kept is None else kept.rate
        # a new Hessian leaves newton_contraction * distance / value of the distance
        self._newton_contraction = _RATE
        self._curvature: Curvature
        self._model: Secants | None = None
        self._fresh = self._judged = False  # made here of all rows; may say the distance
        self._resolved = True  # no gradient along directions that seem flat
        self._left: float | None = None  # distance before the last step, until it was compared
        self._last: _Last | None = None

    def go_on(self, few: Lowered) -> None:
        """Go on where one call has led, and learn from its steps."""
        self._start = few.point
        for before, after in pairwise(few.steps):
            left = after.decrement if after.step == 1.0 else before.decrement
            self._convergence.note_step(left, before.decrement)
        self._left = few.steps[-1].decrement if few.length == 1.0 else None

    def start(self, theta: _Vector) -> Point:
        if self._start is not None:
            return self._start
        return self._eval_hessian(theta) if self.kept is None else self._eval_gradient(theta)

    def propose(self, at: Iterate) -> Proposal:
        while True:
            if isinstance(at.point.curvature, np.ndarray):
                self._take_up(at)
            elif self._model is None:
                self._take_kept()
            assert self._model is not None
            gradient, value = at.point.gradient, at.point.value
            step, decrement = self._model.step(gradient, self._convergence.goal(value))
            lost = not isfinite(decrement) or is_lost(self._curvature, gradient)
            if lost:
                decrement = value  # the most that it can be: losses are not below zero
            # a kept Hessian may hide that the objective still falls along a direction flat in it
            self._resolved = (
                self._fresh or not self._entire or not self._curvature.unresolved(gradient)
            )
            if self._judged or not self._resolved or decrement > self._convergence.enough(at):
                break
            self._recalibrate(at)
        self._compare(decrement, value, at.length == 1.0 and not lost, lost)
        known = self._resolved and self._judged
        return Proposal(step, decrement, known, self._fresh, lost, self._curvature.pivot)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        accepted = None
        if self._resolved and not proposal.lost:
            accepted = self._search(at, proposal.step, self._first(at, proposal))
        if accepted is None and self._fresh and not converged:
            for escape in (-at.theta, polyak(at.point.value, at.point.gradient)):
                accepted = accepted or self._search(at, escape, None)
        return accepted

    def renew(self, at: Iterate) -> Point | None:
        if self._fresh:
            return None
        self._last = None
        return self._eval_hessian(at.theta)

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        if not isinstance(at.point.curvature, np.ndarray):
            assert self._model is not None
            step = at.theta - before.theta
            self._model.add(step, before.point.gradient, at.point.gradient)
        self._last = None if proposal.lost else _Last(proposal.decrement, self._fresh)
        self._left = None if proposal.lost else proposal.decrement
        self._fresh, self._judged, self.point = False, not self._entire, None

    def _take_up(self, at: Iterate) -> None:
        """Solve with the Hessian that was made here."""
        self.point = point = at.point
        self.kept = _Kept(point.curvature, point.value, self._rate)
        curvature = Curvature(self.kept.hessian, point.value, self._objective.layout)
        if self._entire and curvature.underflowed(point.gradient).any():
            product = self._objective.value_gradient_product(at.theta)[2]
            curvature.thaw(self.kept.hessian, point.gradient, product)
        if self._entire and curvature.unresolved(point.gradient):
            curvature.sharpen(self._objective.value_gradient_product(at.theta)[2])
        self._curvature, self._model = curvature, Secants(curvature)
        at.point = point._replace(curvature=None)
        self._fresh = self._judged = True

    def _take_kept(self) -> None:
        """Solve with the Hessian from elsewhere."""
        assert self.kept is not None
        self._curvature = self.kept.curvature(self._objective.layout)
        self._model = Secants(self._curvature)
        self._judged = not self._entire

    def _recalibrate(self, at: Iterate) -> None:
        """Let the kept Hessian judge its distance by the moments of the columns here."""
        if self._ends_with_hessian:
            at.point, self._last = self._eval_hessian(at.theta), None
            return
        if not isinstance(at.point.curvature, Moments):
            # where it was at once: a pass for nothing but to be sure
            at.point = self._eval_moments(at.theta)
        value, gradient, moments = at.point
        assert self.kept is not None and self._model is not None
        better = recalibrated(self.kept.hessian, moments, gradient, value)
        if better is None:  # the moments can't say: a new Hessian can
            at.point, self._last = self._eval_hessian(at.theta), None
            return
        self.kept = _Kept(better, value, self._rate)
        self._curvature = self.kept.curvature(self._objective.layout)
        self._model = self._model.rebased(self._curvature)
        self._judged = True

    def _compare(self, decrement: float, value: float, full: bool, lost: bool) -> None:
        """Learn from what is left of the distance after the last step."""
        if self._left is not None:
            self._convergence.note_step(*((decrement, self._left) if full else (1.0, 1.0)))
            self._left = None
        if self._last is not None:
            distance, fresh = self._last
            self._rate = decrement / distance if full else 1.0
            if fresh and not lost:
                contraction = min(self._rate * value / distance, 1e6)
                self._newton_contraction = max(_RATE / 10, contraction)

    def _first(self, at: Iterate, proposal: Proposal) -> Callable[[_Vector], Point] | None:
        """Return what to ask for at the full step."""
        decrement, value = proposal.decrement, at.point.value
        goal, contraction = self._convergence.goal(value), self._newton_contraction
        expected = min(0.5, contraction * decrement / value) if self._fresh else self._rate
        if decrement > goal and _keeping_pays(
            decrement, goal, expected, contraction / value, self._objective.hessian_passes
        ):
            if self._ends_with_hessian:
                last = expected * decrement <= goal
                return self._eval_hessian if last else self._eval_gradient
            near = self._entire and expected * decrement <= _CLOSE * goal
            return self._eval_moments if near else self._eval_gradient
        return self._eval_hessian if at.length == 1.0 else None

    def _search(
        self, at: Iterate, step: _Vector, first: Callable[[_Vector], Point] | None
    ) -> tuple[_Vector, Point, float] | None:
        return search(
            at.theta,
            at.point,
            step,
            first=first,
            value=self._objective.value,
            evaluate=self._eval_hessian,
        )

    def _eval_hessian(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_hessian(theta))

    def _eval_gradient(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient(theta), None)

    def _eval_moments(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_moments(theta))


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
