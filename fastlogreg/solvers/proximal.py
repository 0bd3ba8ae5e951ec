"""Proximal Newton: a penalty with kinks or bounds, exact zeros and a duality gap.

Each step lowers Newton's quadratic model plus the L1 penalty between the bounds by coordinate
descent. The Hessian is
kept as long as its steps do well, and recalibrated by the moments of the columns at each iterate
(:func:`fastlogreg.solvers.curvature.recalibrated`), so that a level which the part of the rows
hardly held costs no false step. Intercepts and columns without penalty and bounds are *free*: they
are eliminated from the model exactly, so that columns far from 0 are no harder for coordinate
descent than centred ones.

Where a Hessian of all columns is dear, the same is done in a *working set* of columns: those that
are not 0 and those whose gradient is furthest beyond the L1 strength. Each round costs a pass over
all columns, which also gives the gap over all columns.

The stop rule is the duality gap (:meth:`fastlogreg.problem.penalties.ElasticNet.duality_gap`),
judged in centred columns, plus what the intercepts would still gain. Columns without a penalty have
no dual constraint but an equation, where they are free or between their bounds: they are judged by
the Hessian there (:mod:`fastlogreg.solvers.unpenalized`).

References
----------
Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM
J. Optim. 24; Massias, Gramfort and Salmon (2018), Celer: a fast solver for the Lasso with dual
extrapolation, ICML (working sets by violation).
"""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, isfinite, log
from typing import Any, cast

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fastlogreg import backends
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Iteration, Result, Status, TwiceDifferentiable
from fastlogreg.solvers.convergence import STAGE, Convergence, Limits
from fastlogreg.solvers.curvature import recalibrated
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.handover import parts
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.search import ROUNDING, Point, polyak, search
from fastlogreg.solvers.trace import Trace
from fastlogreg.solvers.unpenalized import Block, Products, gap_beside, has_unpenalized, take_out

__all__ = ["proximal"]

_DIRECT = 300  # entries of theta up to which all columns are one working set
_FIRST_COLUMNS = 100  # of a working set
_STAGE_TOL = 1e-2  # gap of a part of the rows, relative
_INNER = 0.1  # share of the gap that a working set is solved to
_INNER_ITERATIONS = 50
_SWEEPS = 50  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_CROSSINGS = 10  # entries that may become 0 in one of them
_MODEL = 1e-3  # of the relative gap: by how much slopes may still move, of the L1 strength
_MODEL_FLOOR = 0.02  # of ``tol``
_FIRST_RATE = 0.3  # what a step is expected to leave of the gap where nothing is known
_FRESH_STEPS = 2  # steps with new Hessians that lead to the goal from near
_RIDGE = 1e-13  # of a unit diagonal: columns may be the same
_FARTHEST = 10.0  # by which intercepts of several classes are taken to be off at the most
_UNSEEN = 1e-10  # of the value: a gain that its rounding may hide
_NOISE = 1e-12  # of the value: its rounding, at the most
_TINY = 1e-13  # of the Hessian's intercepts: no curvature
_LARGEST = 3000  # entries of theta in a working set at most

_Vector = NDArray[np.float64]


def proximal(
    objective: Problem,
    theta: _Vector,
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
    stages: bool = True,
) -> Result:
    """Minimize a loss with hard labels and an elastic net penalty, between bounds or without.

    Parameters
    ----------
    objective : Problem
        Its penalty is an :class:`fastlogreg.problem.penalties.ElasticNet`.
    theta : ndarray of shape (p,)
        The start; it is not changed. Where it is outside of the bounds it is moved there.
    tol : float, default=1e-8
        Converged where the duality gap is at most ``tol`` times the value.
    max_iter, stop_value, trace, stages
        As for :func:`fastlogreg.solvers.newton.newton`.

    Returns
    -------
    Result
        Its ``decrement`` is the duality gap, and ``gradient_norm`` the largest distance of 0 from
        a subdifferential.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> rows = MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))
    >>> strengths = np.array([0.0, 0.1, 0.1])
    >>> result = proximal(Problem(rows, ElasticNet(strengths, np.zeros(3))), np.zeros(3))
    >>> result.converged, result.theta.round(4)
    (True, array([ 1.3863,  0.    , -2.7726]))
    """
    trace = Trace() if trace is None else trace
    limits = Limits(tol, max_iter, stop_value)
    convergence = _judge(objective, limits)
    penalty = cast(ElasticNet, objective.penalty)
    theta = penalty.projected(theta)
    direction: _Model | _WorkingSets
    if objective.size <= (_DIRECT if penalty.l1.any() else _LARGEST):
        hessian = None
        # a part of the rows may be separated by columns without a penalty
        if stages and max_iter > 0 and not has_unpenalized(objective):
            theta, hessian, status = _stages(objective, theta, trace)
            if status is Status.STOPPED:
                return _stopped(objective, theta, trace)
        direction = _Model(objective, convergence, hessian)
    else:
        direction = _WorkingSets(objective, convergence)
    result = _minimize(objective, theta, direction, convergence, trace)
    if not result.converged and result.finite and has_unpenalized(objective):
        return replace(result, decrement=_final_gap(objective, result.theta))
    return result


def _judge(objective: Problem, limits: Limits) -> Convergence:
    """Return what says enough: a gap proves itself, and needs no further rule."""
    return Convergence(cast(TwiceDifferentiable, objective), limits, STAGE)


def _minimize(
    objective: Problem,
    theta: _Vector,
    direction: "_Model | _WorkingSets",
    convergence: Convergence,
    trace: Trace[Iteration],
) -> Result:
    """Go where the direction leads; entries at 0 stay there until it moves them."""
    seen = cast(TwiceDifferentiable, objective)
    return minimize(seen, theta, direction, convergence, trace, centred=False)


def _stages(
    objective: Problem, theta: _Vector, trace: Trace[Iteration]
) -> tuple[_Vector, NDArray[np.float64] | None, Status]:
    """Return the optimum of the largest part of the rows, its Hessian, and how it ended."""
    hessian = None
    status = Status.CONVERGED
    for step in parts(objective.effective_rows(), objective.layout):
        part = objective.part(step)
        convergence = _judge(part, Limits(_STAGE_TOL, _INNER_ITERATIONS))
        direction = _Model(part, convergence, hessian)
        result = _minimize(part, theta, direction, convergence, trace)
        status = result.status
        if not result.finite:
            break
        theta, hessian = result.theta, direction.hessian
        if status is Status.STOPPED:
            break
    return theta, hessian, status


def _stopped(objective: Problem, theta: _Vector, trace: Trace[Iteration]) -> Result:
    """Return the result of a fit that was stopped on a part of the rows: the figures are of all."""
    point = Point(*objective.value_gradient_moments(theta))
    norm = float(objective.penalty.subgradient_distance(theta, point.gradient).max())
    gap = _gap(objective, Iterate(theta, point), point.curvature)  # none is without a penalty
    passes = objective.n_passes
    return Result(theta, point.value, norm, gap, 0, passes, False, Status.STOPPED, trace.history)


def _gap(objective: Problem, at: Iterate, moments: Moments) -> float:
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


def _final_gap(objective: Problem, theta: _Vector) -> float:
    """Return the gap at the end of a fit that did not converge: others were estimates."""
    if objective.size > _LARGEST:
        return np.inf
    at = Iterate(theta, Point(*objective.value_gradient_hessian(theta)))
    out = take_out(objective, at, at.point.curvature, np.arange(theta.size), exact=True)
    return gap_beside(objective, at, out, sure=True)


def _moments_of(hessian: NDArray[np.float64], objective: Problem) -> Moments:
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


class _ByGap:
    """A direction whose decrement is a duality gap: it proves itself."""

    def proves(self, at: Iterate) -> bool:
        return True

    def confirm(self, at: Iterate, proposal: Proposal) -> None:
        return None


class _Model(_ByGap):
    """The step to the minimum of Newton's model with the penalty."""

    def __init__(
        self,
        objective: Problem,
        convergence: Convergence,
        hessian: NDArray[np.float64] | None,
    ) -> None:
        self.hessian = hessian
        self._objective = objective
        self._convergence = convergence
        self._fresh = False
        self._rate = _FIRST_RATE
        self._before: float | None = None  # the gap before the last full step
        self._has_unpenalized = has_unpenalized(objective)
        self._places = _places(objective)

    def start(self, theta: _Vector) -> Point:
        return self._look(theta, self.hessian is None)

    def propose(self, at: Iterate) -> Proposal:
        gap = self._gap(at)
        if self._before is not None and isfinite(gap) and isfinite(self._before):
            self._rate = gap / self._before if self._before > 0.0 else 0.0
        self._before = None
        if gap <= self._convergence.goal(at.point.value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        with np.errstate(over="ignore", invalid="ignore"):  # such a step leads nowhere
            step = self._step(at, gap)
        return Proposal(step, gap, known=True)

    def _gap(self, at: Iterate) -> float:
        """Take up what was looked at, and return the gap: what is enough is sure."""
        moments = self._take_up(at)
        if not self._has_unpenalized:
            return _gap(self._objective, at, moments)
        estimate = self._gap_beside(at, sure=False)
        if estimate > self._convergence.goal(at.point.value):
            return estimate
        if not self._fresh:
            at.point = self._look(at.theta, True)
            self._take_up(at)
        return self._gap_beside(at, sure=True)

    def _gap_beside(self, at: Iterate, *, sure: bool) -> float:
        assert self.hessian is not None
        everything = np.arange(at.theta.size)
        out = take_out(self._objective, at, self.hessian, everything, exact=sure)
        return gap_beside(self._objective, at, out, sure=sure)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
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
        return None if self._fresh else self._look(at.theta, True)

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        self._before = proposal.decrement if at.length == 1.0 else None
        if at.length < 1.0:
            self._rate = 1.0

    def _keeping_pays(self, gap: float, value: float) -> bool:
        """Whether the next pass should give no Hessian: what is left in passes, either way."""
        after = self._rate * gap
        goal = self._convergence.goal(value)
        if after <= goal:
            return True
        if self._rate >= 1.0 or not isfinite(after):
            return False
        left = ceil(log(goal / after) / log(self._rate)) if self._rate > 0.0 else 1
        return left <= self._objective.hessian_passes - 1.0 + _FRESH_STEPS

    def _look(self, theta: _Vector, hessian: bool) -> Point:
        if hessian:
            return Point(*self._objective.value_gradient_hessian(theta))
        return Point(*self._objective.value_gradient_moments(theta))

    def _take_up(self, at: Iterate) -> Moments:
        """Take the curvature that was looked at for the model; return its moments."""
        seen = at.point.curvature
        self._fresh = False
        if isinstance(seen, Moments):
            assert self.hessian is not None
            if self._objective.layout.n_outputs > 1:  # with classes coupled it may not be convex
                return seen
            value, gradient, _ = at.point
            better = recalibrated(self.hessian, seen, gradient, value)
            if better is not None:
                self.hessian = better
                return seen
            at.point = self._look(at.theta, True)
            seen = at.point.curvature
        if isinstance(seen, np.ndarray):
            self.hessian = seen
            self._seen = _moments_of(seen, self._objective)
            at.point = at.point._replace(curvature=self._seen)
            self._fresh = True
        return self._seen

    def _step(self, at: Iterate, gap: float) -> _Vector:
        """Return the step to the model's minimum, what is free eliminated."""
        assert self.hessian is not None
        layout = self._objective.layout
        penalty = cast(ElasticNet, self._objective.penalty)
        value, gradient, _ = at.point
        free, w = self._places
        any_free = bool(penalty.free.any())
        block = None
        H = self.hessian
        model = np.array(H[w][:, w], order="C")
        slope = gradient[w].copy()
        if any_free:  # intercepts, and columns without penalty and bounds
            own, cross = H[free][:, free], H[free][:, w]
            if self._has_unpenalized:
                block = Block(own, value)
            inverse = _inverse(own) if block is None else block.inverse
            gone = inverse @ cross
            diagonal = model.diagonal().copy()
            model -= cross.T @ gone
            slope -= gone.T @ gradient[free]
            # what is left of a column that is all intercept is rounding
            lost = model.diagonal() <= _TINY * diagonal
            model.flat[:: model.shape[0] + 1][lost] = np.maximum(_TINY * diagonal, 0.0)[lost]
        u = at.theta[w].copy()
        kept = u.copy()
        ratio = min(1.0, gap / value) if value > 0.0 else 1.0
        enough = max(_MODEL * ratio, _MODEL_FLOOR * self._convergence.goal(1.0))
        # in these units a change of ``enough`` costs the gap that share of the value
        curved = penalty.smooth_diagonal[w]
        curved = np.where(curved > 0.0, 2.0 * curved, np.maximum(model.diagonal(), 0.0))
        unit = np.where(penalty.l1[w] > 0.0, penalty.l1[w], np.sqrt(curved * value / enough))
        unit[unit == 0.0] = 1.0
        bounds = penalty.lower[w], penalty.upper[w]
        quadratic = backends.QuadraticModel(model, penalty.l1[w], *bounds, unit)
        _lower(quadratic, slope, u, enough, enough * value)
        step = np.zeros(layout.size)
        step[w] = u - kept
        if any_free:
            step[free] = -(inverse @ gradient[free] + gone @ step[w])
        if block is not None:
            if self._fresh and block.unresolved(gradient[free]):
                products = Products(self._objective, at.theta)
                step[free] += block.along_flat(gradient[free], products.of(np.flatnonzero(free)))
            _centre(step, layout, penalty.free)
        return step


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


def _inverse(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of the intercepts' curvature, 0 along what has none."""
    if own.shape == (1, 1):
        return np.full((1, 1), 1.0 / own[0, 0] if own[0, 0] > 0.0 else 0.0)
    return cast(NDArray[np.float64], np.linalg.pinv(own, rcond=_TINY, hermitian=True))


def _lower(
    model: backends.QuadraticModel,
    slope: _Vector,
    u: _Vector,
    enough: float,
    negligible: float,
) -> None:
    """Move u to where the model with the penalty is least, in place, and ``slope`` with it.

    Coordinate descent finds the support, and is slow where columns are nearly collinear; on a
    support the minimum is that of a linear system. Each lowers what the other left.
    """
    numba = cast(Any, backends.get("numba"))
    # without L1 the slopes that are left may lead far where columns are nearly collinear
    may_deceive = not (model.l1 > 0.0).all()
    for _ in range(_ROUNDS):
        solved = numba.coordinate_descent(model, slope, u, enough, _SWEEPS) <= enough
        if solved and not may_deceive:
            return
        gain = 0.0
        for _ in range(_CROSSINGS):
            gained, ended = _solve_on_support(model, slope, u)
            gain += gained
            if ended:
                break
        if solved and gain <= negligible:
            return


def _solve_on_support(
    model: backends.QuadraticModel, slope: _Vector, u: _Vector
) -> tuple[float, bool]:
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
    try:
        factor = cho_factor(part, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return 0.0, True
    pull = (slope[support] + l1[support] * sign) / unit
    step = -cho_solve(factor, pull, check_finite=False) / unit
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
    slope += H[:, support] @ (moved - u[support])
    u[support] = moved
    gain = -(1.0 - 0.5 * length) * length * float((pull * unit) @ step)
    return gain, length == 1.0


class _WorkingSets(_ByGap):
    """The step to the optimum in some columns, found in rows of those columns alone."""

    def __init__(self, objective: Problem, convergence: Convergence) -> None:
        self._objective = objective
        self._convergence = convergence
        self._columns = _FIRST_COLUMNS
        self._has_unpenalized = has_unpenalized(objective)

    def start(self, theta: _Vector) -> Point:
        return self._look(theta)

    def propose(self, at: Iterate) -> Proposal:
        value = at.point.value
        chosen = self._choose(at)
        part = self._objective.columns(chosen)
        places = self._objective.layout.entries(chosen)
        start = at.theta[places]
        if self._has_unpenalized:
            gap = self._gap_beside(at, part.value_gradient_hessian(start)[2], places)
        else:
            gap = _gap(self._objective, at, at.point.curvature)
        if gap <= self._convergence.goal(value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        relative = min(1.0, gap / value) if value > 0.0 else 1.0
        tol = max(_INNER * relative, 0.5 * self._convergence.limits.tol)
        limits = Limits(tol, _INNER_ITERATIONS)
        inner = _judge(part, limits)
        direction = _Model(part, inner, None)
        result = _minimize(part, start, direction, inner, Trace())
        step = np.zeros(at.theta.size)
        step[places] = result.theta - start
        return Proposal(step, gap, known=True)

    def _gap_beside(
        self, at: Iterate, hessian: NDArray[np.float64], places: NDArray[np.intp]
    ) -> float:
        out = take_out(self._objective, at, hessian, places, exact=True)
        return gap_beside(self._objective, at, out, sure=True)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        penalty = cast(ElasticNet, self._objective.penalty)
        trial = penalty.projected(at.theta + proposal.step)
        if not proposal.step.any():
            return None
        point = self._look(trial)
        if not point.value <= at.point.value * (1.0 + 1e-14):
            return None
        return trial, point, 1.0

    def renew(self, at: Iterate) -> None:
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        return None

    def _look(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_moments(theta))

    def _choose(self, at: Iterate) -> NDArray[np.intp]:
        """Return the columns to work in, in ascending order."""
        layout, penalty = self._objective.layout, cast(ElasticNet, self._objective.penalty)
        moments = at.point.curvature
        slope = moments.to_centred(at.point.gradient)
        curved = np.zeros(layout.size)
        layout.coefficients(curved)[:] = np.sqrt(
            (moments.spread + moments.penalty) * at.point.value
        )
        unit = np.where(penalty.l1 > 0.0, penalty.l1, curved)
        beyond = penalty.subgradient_distance(at.theta, slope) / np.maximum(unit, 1e-300)
        worst = layout.coefficients(beyond).max(axis=0)
        # those without a penalty too: their equations are judged together
        used = layout.coefficients((at.theta != 0.0) | penalty.unpenalized).any(axis=0)
        most = max(1, _LARGEST // layout.n_outputs)
        self._columns = min(most, max(self._columns, 2 * int(used.sum())))
        if used.sum() < most:
            worst = np.where(used, np.inf, worst)
        n = min(self._columns, worst.size)
        best = np.argpartition(worst, worst.size - n)[worst.size - n :]
        best = best[(worst[best] > 0.0)]
        return np.sort(best)
