"""Directions of proximal Newton whose decrement is a duality gap, and what they share.

The stop rule is the duality gap (:meth:`fastlogreg.problem.penalties.ElasticNet.duality_gap`),
judged in centred columns, plus what the intercepts would still gain.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil, isfinite, log
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet, move_along_flat
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Iteration, Result, Status, TwiceDifferentiable
from fastlogreg.solvers.convergence import STAGE, Convergence, Limits
from fastlogreg.solvers.direction import Iterate, Proposal, Sure
from fastlogreg.solvers.handover import parts
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.quadratic import inverse, lower
from fastlogreg.solvers.search import ROUNDING, Point, polyak, search
from fastlogreg.solvers.trace import Trace
from fastlogreg.solvers.unpenalized import Block, Products, has_unpenalized

__all__ = [
    "FIRST_RATE",
    "INNER_ITERATIONS",
    "LARGEST",
    "Model",
    "Sets",
    "gap_of",
    "go",
    "judge",
    "moments_of",
    "stages_of",
    "stopped",
]

INNER_ITERATIONS = 50  # on a part of the rows, and in a working set
LARGEST = 3000  # entries of theta in a Hessian at most
FIRST_RATE = 0.3  # what a step is expected to leave of the gap where nothing is known
_STAGE_TOL = 1e-2  # gap of a part of the rows, relative
_INNER = 0.1  # share of the gap that a working set is solved to
_MODEL = 1e-3  # of the relative gap: by how much slopes may still move, of the L1 strength
_MODEL_FLOOR = 0.02  # of ``tol``
_FRESH_STEPS = 2  # steps with new Hessians that lead to the goal from near
_DEAR = 3.0  # passes that a Hessian costs, from which one is waited for
_MODEL_SWEEPS = 25.0  # over a Hessian, that its model costs, where an entry is a value of a pass
_FARTHEST = 10.0  # by which intercepts of several classes are taken to be off at the most
_UNSEEN = 1e-10  # of the value: a gain that its rounding may hide
_NEAR = 1e-4  # of the value: a gap of which the distance is far below
_NOISE = 1e-12  # of the value: its rounding, at the most
_TINY = 1e-13  # of the Hessian's intercepts: no curvature

_Vector = NDArray[np.float64]


def judge(objective: Problem, limits: Limits) -> Convergence:
    """Return what says enough: a gap proves itself, and needs no further rule."""
    return Convergence(cast(TwiceDifferentiable, objective), limits, STAGE)


def go(
    objective: Problem,
    theta: _Vector,
    direction: "Model | Sets",
    convergence: Convergence,
    trace: Trace[Iteration],
) -> Result:
    """Go where the direction leads; entries at 0 stay there until it moves them."""
    seen = cast(TwiceDifferentiable, objective)
    return minimize(seen, theta, direction, convergence, trace, centred=False)


def stages_of(
    objective: Problem,
    theta: _Vector,
    trace: Trace[Iteration],
    make: Callable[[Problem, Convergence, Any], "Model"],
) -> tuple[_Vector, Any, Status]:
    """Return the optimum of the largest part of the rows, its curvature, and how it ended.

    ``make`` makes the direction of a part, with the curvature that the one before has left.
    """
    curvature = None
    status = Status.CONVERGED
    for step in parts(objective.effective_rows(), objective.layout):
        part = objective.part(step)
        convergence = judge(part, Limits(_STAGE_TOL, INNER_ITERATIONS))
        direction = make(part, convergence, curvature)
        result = go(part, theta, direction, convergence, trace)
        status = result.status
        if not result.finite:
            break
        theta, curvature = result.theta, direction.curvature
        if status is Status.STOPPED:
            break
    return theta, curvature, status


def stopped(objective: Problem, theta: _Vector, trace: Trace[Iteration]) -> Result:
    """Return the result of a fit that was stopped on a part of the rows: the figures are of all."""
    point = Point(*objective.value_gradient_moments(theta))
    norm = float(objective.penalty.subgradient_distance(theta, point.gradient).max())
    gap = gap_of(objective, Iterate(theta, point), point.curvature)
    passes = objective.n_passes
    return Result(theta, point.value, norm, gap, 0, passes, False, Status.STOPPED, trace.history)


def gap_of(objective: Problem, at: Iterate, moments: Moments) -> float:
    """Return how far above the optimum an iterate is at the most; infinity where nothing is known.

    Intercepts have no dual constraint but an equation, which holds after their own Newton step:
    what that gains is added (twice), and the gradient is taken there, in centred columns. Groups
    of classes that no row confuses have next to no curvature between them, whatever each class
    has: there the slope itself counts.
    """
    layout, penalty = objective.layout, cast(ElasticNet, objective.penalty)
    value, gradient, _ = at.point
    b = layout.intercepts(gradient).reshape(-1)
    left = 0.0
    if b.any():
        total = moments.total
        if not (total > 0.0).all() or (np.abs(b) > total).any():
            return np.inf  # their step is too long to be judged by a parabola
        left = float((b * b / total).sum())
        if layout.n_outputs > 1:
            left += _FARTHEST * float(np.abs(b).sum())
    slope = moments.to_centred(gradient) - penalty.smooth_gradient(at.theta)
    layout.intercepts(slope)[:] = 0.0
    gap = penalty.duality_gap(at.theta, slope, value - penalty.value(at.theta))
    return gap + left if isfinite(gap) else np.inf


def moments_of(hessian: NDArray[np.float64], objective: Problem) -> Moments:
    """Return what moments say, from the Hessian."""
    layout = objective.layout
    first, width = layout.first, layout.width
    penalty = layout.coefficients(objective.penalty.smooth_diagonal)
    diagonal = layout.rows(hessian.diagonal())
    squares = diagonal[:, first:] - penalty
    total = np.ones(layout.n_outputs)
    sums = np.zeros_like(squares)
    if first:
        total = diagonal[:, 0].copy()
        for k in range(layout.n_outputs):
            at = k * width
            sums[k] = hessian[at, at + 1 : at + width]
    return Moments(layout, total, sums, squares, penalty)


class Model(Sure, ABC):
    """The step to the minimum of Newton's model with the penalty.

    Attributes
    ----------
    curvature : object
        What the next model of other rows, or under another penalty, can begin with; None before
        anything was looked at.
    """

    def __init__(self, objective: Problem, convergence: Convergence, curvature: Any) -> None:
        self.curvature = curvature
        self._objective = objective
        self._convergence = convergence
        self._fresh = False  # whether the curvature is that of the iterate
        self._rate = FIRST_RATE
        self._before: float | None = None  # the gap before the last full step
        self._has_unpenalized = has_unpenalized(objective)
        self._places = _places(objective)

    def start(self, theta: _Vector) -> Point:
        """Return what is to be known at the start, (p,)."""
        return self._look(theta, self.curvature is None)

    def propose(self, at: Iterate) -> Proposal:
        """Return a step from here, and the gap."""
        gap = self._gap(at)
        if self._before is not None and isfinite(gap) and isfinite(self._before):
            self._rate = gap / self._before if self._before > 0.0 else 0.0
        self._before = None
        if gap <= self._convergence.goal(at.point.value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        return Proposal(self._step(at, gap), gap, known=True)

    @abstractmethod
    def _gap(self, at: Iterate) -> float:
        """Take up what was looked at, and return the gap: what is enough is sure."""

    @abstractmethod
    def _step(self, at: Iterate, gap: float) -> _Vector:
        """Return the step to the model's minimum."""

    def _enough(self, value: float, gap: float) -> float:
        """Return by how much slopes of the model may still move, in the units of its entries."""
        ratio = min(1.0, gap / value) if value > 0.0 else 1.0
        return max(_MODEL * ratio, _MODEL_FLOOR * self._convergence.goal(1.0))

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        """Return where the step leads; None: nowhere."""
        renew = not self._keeping_pays(proposal.decrement, at.point.value)
        accepted = self._search(at, proposal.step, renew)
        if accepted is None and self._fresh and not converged:  # every row saturated
            for end in self._escapes(at):
                accepted = accepted or self._search(at, end - at.theta, True)
        return accepted

    def _escapes(self, at: Iterate) -> Iterator[_Vector]:
        """Yield where to look where no curvature is left."""
        penalty = cast(ElasticNet, self._objective.penalty)
        home = penalty.projected(np.zeros(at.theta.size))
        if not penalty.bounded:
            yield home
        # bounds may hold it far from 0, and then the intercept leads back
        for held in (penalty.free, np.ones(at.theta.size, dtype=bool)):
            downhill = np.where(held, at.point.gradient, 0.0)
            if downhill.any():
                yield penalty.projected(at.theta + polyak(at.point.value, downhill))
        yield home

    def _search(
        self, at: Iterate, step: _Vector, hessian: bool
    ) -> tuple[_Vector, Point, float] | None:
        penalty, value = cast(ElasticNet, self._objective.penalty), at.point.value
        kinks = float(penalty.l1 @ (np.abs(at.theta + step) - np.abs(at.theta)))
        slope = float(at.point.gradient @ step) + kinks
        # values of far columns and of large margins carry more rounding than such a step gains;
        # the gap says whether it leads on
        unseen = -slope <= _UNSEEN * value
        return search(
            at.theta,
            at.point,
            step,
            first=lambda trial: self._look(trial, hessian),
            value=self._objective.value,
            evaluate=lambda trial: self._look(trial, hessian),
            slope=slope,
            rounding=_NOISE if unseen else ROUNDING,
            within=penalty.projected if penalty.bounded else None,
        )

    def renew(self, at: Iterate) -> Point | None:
        """Return a closer look at where no step led on."""
        return None if self._fresh else self._look(at.theta, True)

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        """Learn from the step that was taken."""
        self._before = proposal.decrement if at.length == 1.0 else None
        if at.length < 1.0:
            self._rate = 1.0

    def _keeping_pays(self, gap: float, value: float) -> bool:
        """Whether the next pass should give no Hessian: what is left in passes, either way."""
        after = self._rate * gap
        goal = self._convergence.goal(value)
        # what a Hessian of here leads to shows without another
        if after <= goal or (self._fresh and self._objective.hessian_passes >= _DEAR):
            return True
        if self._rate >= 1.0 or not isfinite(after):
            return False
        left = ceil(log(goal / after) / log(self._rate)) if self._rate > 0.0 else 1
        of = self._objective
        work = of.n_values * of.layout.n_outputs
        step = 1.0 + _MODEL_SWEEPS * of.size**2 / max(1.0, work)
        return (left - _FRESH_STEPS) * step <= of.hessian_passes - 1.0

    def _look(self, theta: _Vector, hessian: bool) -> Point:
        if hessian:
            return Point(*self._objective.value_gradient_hessian(theta))
        return Point(*self._objective.value_gradient_moments(theta))

    def _step_of_matrix(self, H: NDArray[np.float64], at: Iterate, gap: float) -> _Vector:
        """Return the step to the minimum of a model with that Hessian, what is free eliminated."""
        layout = self._objective.layout
        penalty = cast(ElasticNet, self._objective.penalty)
        value, gradient, _ = at.point
        free, w = self._places
        any_free = bool(penalty.free.any())
        block = None
        model = np.array(H[w][:, w], order="C")
        slope = gradient[w].copy()
        if any_free:  # intercepts, and columns without penalty and bounds
            own, cross = H[free][:, free], H[free][:, w]
            if self._has_unpenalized:
                block = Block(own, value)
            solution = inverse(own) if block is None else block.inverse
            gone = solution @ cross
            diagonal = model.diagonal().copy()
            model -= cross.T @ gone
            slope -= gone.T @ gradient[free]
            # what is left of a column that is all intercept is rounding
            lost = model.diagonal() <= _TINY * diagonal
            model.flat[:: model.shape[0] + 1][lost] = np.maximum(_TINY * diagonal, 0.0)[lost]
        u = at.theta[w].copy()
        kept = u.copy()
        enough = self._enough(value, gap)
        # in these units a change of ``enough`` costs the gap that share of the value
        curved = penalty.smooth_diagonal[w]
        curved = np.where(curved > 0.0, 2.0 * curved, np.maximum(model.diagonal(), 0.0))
        unit = np.where(penalty.l1[w] > 0.0, penalty.l1[w], np.sqrt(curved * value / enough))
        unit[unit == 0.0] = 1.0
        bounds = penalty.lower[w], penalty.upper[w]
        quadratic = backends.QuadraticModel(model, penalty.l1[w], *bounds, unit)
        lower(quadratic, slope, u, enough, enough * value, self._along_flat())
        step = np.zeros(layout.size)
        step[w] = u - kept
        if any_free:
            step[free] = -(solution @ gradient[free] + gone @ step[w])
        if block is not None:
            if self._fresh and block.unresolved(gradient[free]):
                products = Products(self._objective, at.theta)
                step[free] += block.along_flat(gradient[free], products.of(np.flatnonzero(free)))
            _centre(step, layout, penalty.free)
        return step

    def _along_flat(self) -> Callable[[_Vector, _Vector], None] | None:
        """Return what moves u, the penalized entries, along the flat directions of several classes.

        None where there are none: one class, or bounds or columns without L1 in the way.
        """
        layout, penalty = self._objective.layout, cast(ElasticNet, self._objective.penalty)
        l1 = layout.coefficients(penalty.l1)
        if layout.n_outputs == 1 or penalty.bounded or not (l1 > 0.0).all():
            return None
        return partial(move_along_flat, l1, layout.coefficients(penalty.smooth_diagonal))


def _centre(step: _Vector, layout: Layout, free: NDArray[np.bool_]) -> None:
    """Let free columns sum to 0 over the classes: softmax gives the same probabilities."""
    if layout.n_outputs > 1:
        columns = layout.rows(free).all(axis=0)
        rows = layout.rows(step)
        rows[:, columns] -= rows[:, columns].mean(axis=0)


def _places(objective: Problem) -> tuple[Any, Any]:
    """Return where what is free and what isn't stands in theta: slices where they can be."""
    layout, free = objective.layout, cast(ElasticNet, objective.penalty).free
    if layout.n_outputs == 1 and not free[layout.first :].any():
        return slice(0, layout.first), slice(layout.first, None)
    return free, ~free


_Direction = TypeVar("_Direction", bound=Model)


class Sets(Sure, ABC):
    """The step to the optimum in some columns, found in rows of those columns alone."""

    def __init__(self, objective: Problem, convergence: Convergence) -> None:
        self._objective = objective
        self._convergence = convergence

    def start(self, theta: _Vector) -> Point:
        """Return what is to be known at the start, (p,)."""
        return self._look(theta)

    @abstractmethod
    def propose(self, at: Iterate) -> Proposal:
        """Choose columns, and go to the optimum in them."""

    def _share(self, gap: float, value: float) -> float:
        """Return to which relative gap a working set is solved, far from the optimum."""
        return _INNER * (min(1.0, gap / value) if value > 0.0 else 1.0)

    def _solved(
        self,
        part: Problem,
        start: _Vector,
        share: float,
        make: Callable[[Convergence], _Direction],
    ) -> tuple[_Direction, Result]:
        """Go to the optimum in some columns, up to a relative gap, by the direction that is made.

        Where these columns hold less of the whole gap than that, to a share of what they hold.
        """
        least = 0.5 * self._convergence.limits.tol
        while True:
            inner = judge(part, Limits(max(share, least), INNER_ITERATIONS))
            direction = make(inner)
            result = go(part, start, direction, inner, Trace())
            if not result.converged or result.n_iter > 0 or share <= least:
                return direction, result
            held = result.decrement / result.value if result.value > 0.0 else 0.0
            share = _INNER * min(share, held)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        """Return where the step leads; None: nowhere."""
        if not proposal.step.any():
            return None
        trial = cast(ElasticNet, self._objective.penalty).projected(at.theta + proposal.step)
        point = self._look(trial)
        # near the optimum the inner steps may gain less than values say (as in Model._search)
        near = proposal.decrement <= _NEAR * at.point.value
        if not point.value <= at.point.value * (1.0 + (_NOISE if near else ROUNDING)):
            return None
        return trial, point, 1.0

    def renew(self, at: Iterate) -> None:
        """Return that no closer look is known."""
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        """Learn from the step that was taken."""
        return None

    def _look(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_moments(theta))
