"""Proximal Newton: a penalty with kinks, exact zeros and a duality gap.

Each step lowers Newton's quadratic model plus the L1 penalty by coordinate descent. The Hessian is
kept as long as its steps do well, recalibrated by the moments of the columns at each iterate, and
corrected by what each step has shown (:class:`fastlogreg.solvers.metric.Metric`), so that a level
which the part of the rows hardly held costs no false step.
In many sparse columns it is never made, and coordinate descent reads the columns
(:class:`fastlogreg.problem.problem.ColumnModel`). Intercepts have no penalty: they are eliminated
from the model exactly, so that columns far from 0 are no harder for coordinate descent than centred
ones.

Where a Hessian of all columns is dear, the same is done in a *working set* of columns: those that
are not 0 and those whose gradient is furthest beyond the L1 strength. Each round costs a pass over
all columns, which also gives the gap over all columns.

The stop rule is the duality gap (:meth:`fastlogreg.problem.penalties.ElasticNet.duality_gap`),
judged in centred columns, plus what the intercepts would still gain.

References
----------
Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM
J. Optim. 24; Massias, Gramfort and Salmon (2018), Celer: a fast solver for the Lasso with dual
extrapolation, ICML (working sets by violation).
"""

from dataclasses import replace
from math import ceil, isfinite, log
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fastlogreg import backends
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import ColumnModel, Problem
from fastlogreg.solvers import Iteration, Result, Status, TwiceDifferentiable
from fastlogreg.solvers.convergence import STAGE, Convergence, Limits
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.handover import parts
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.metric import Metric
from fastlogreg.solvers.search import ROUNDING, Point, search
from fastlogreg.solvers.trace import Trace

__all__ = ["Kept", "proximal"]

_DIRECT = 300  # entries of theta up to which all columns are one working set
_FIRST_COLUMNS = 100  # of a working set
_STAGE_TOL = 1e-2  # gap of a part of the rows, relative
_INNER = 0.1  # share of the gap that a working set is solved to
_INNER_ITERATIONS = 50
_FEW_SPARSE = 500  # columns of sparse rows up to which a Hessian is made
_COLUMN_SWEEPS = 1000  # beyond them: there is no linear system to help
_SWEEPS = 100  # of coordinate descent between two solutions on the support
_ROUNDS = 20
_CROSSINGS = 10  # entries that may become 0 in one of them
_MODEL = 1e-3  # of the relative gap: by how much slopes may still move, of the L1 strength
_MODEL_FLOOR = 0.02  # of ``tol``
_FIRST_RATE = 0.3  # what a step is expected to leave of the gap where nothing is known
_FRESH_STEPS = 2  # steps with new Hessians that lead to the goal from near
_RIDGE = 1e-13  # of a unit diagonal: columns may be the same
_FARTHEST = 10.0  # by which intercepts of several classes are taken to be off at the most
_UNSEEN = 1e-10  # of the value: a gain that its rounding may hide
_NEAR = 1e-4  # of the value: a gap of which the distance is far below
_NOISE = 1e-12  # of the value: its rounding, at the most
_TINY = 1e-13  # of the Hessian's intercepts: no curvature
_LARGEST = 3000  # entries of theta in a working set at most
_FAR_BEYOND = 1.5  # times the strength of L1: the slopes of a first fit
_MANY_VALUES = 1_000_000  # of X, from which copies of columns pay
_NARROW = 0.5  # of the columns: a working set that does
_ROOM = 1.5  # times the columns that a new working set is needed for

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
    kept: "Kept | None" = None,
) -> Result:
    """Minimize a loss with hard labels and an elastic net penalty.

    Parameters
    ----------
    objective : Problem
        Its penalty is an :class:`fastlogreg.problem.penalties.ElasticNet`.
    theta : ndarray of shape (p,)
        The start; it is not changed.
    tol : float, default=1e-8
        Converged where the duality gap is at most ``tol`` times the value.
    max_iter, stop_value, trace, stages
        As for :func:`fastlogreg.solvers.newton.newton`.
    kept : Kept, optional
        What fits with neighbouring penalties have left, and where this one leaves its own.

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
    direction: _Model | _WorkingSets
    kept = Kept() if kept is None else kept
    start, near = kept.of_all.at(objective, theta)
    direct = objective.size <= _DIRECT
    if direct and start is not None and near.curvature is None:
        direct = not kept.is_narrow(objective, theta, start)
    if direct:
        if stages and max_iter > 0:
            theta, near, status = _stages(objective, theta, trace)
            if status is Status.STOPPED:
                return _stopped(objective, theta, trace)
        direction = _Model(objective, convergence, near, start)
    else:
        direction = _WorkingSets(objective, convergence, kept, start)
    result = _minimize(objective, theta, direction, convergence, trace)
    kept.of_all = direction.left()
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
) -> tuple[_Vector, "_Near", Status]:
    """Return the optimum of the largest part of the rows, its curvature, and how it ended."""
    near = _Near()
    status = Status.CONVERGED
    for step in parts(objective.effective_rows(), objective.layout):
        part = objective.part(step)
        convergence = _judge(part, Limits(_STAGE_TOL, _INNER_ITERATIONS))
        direction = _Model(part, convergence, near)
        result = _minimize(part, theta, direction, convergence, trace)
        status = result.status
        if not result.finite:
            break
        theta, near = result.theta, _Near(direction.near.curvature)
        if status is Status.STOPPED:
            break
    return theta, near, status


def _stopped(objective: Problem, theta: _Vector, trace: Trace[Iteration]) -> Result:
    """Return the result of a fit that was stopped on a part of the rows: the figures are of all."""
    point = Point(*objective.value_gradient_moments(theta))
    norm = float(objective.penalty.subgradient_distance(theta, point.gradient).max())
    gap = _gap(objective, Iterate(theta, point), point.curvature)
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


class _Near(NamedTuple):
    """What is known of the curvature from near, and the share of the gap that a step leaves."""

    curvature: Metric | ColumnModel | NDArray[np.float64] | None = None
    rate: float = _FIRST_RATE
    missed: _Vector | None = None  # by the first step of the last fit
    moved: _Vector | None = None  # by the last fit


class _Left(NamedTuple):
    """Where a direction ended: what is known there, and the penalty that it is of."""

    theta: _Vector | None = None
    point: Point | None = None
    penalty: ElasticNet | None = None
    near: _Near = _Near()

    def at(self, objective: Problem, theta: _Vector) -> tuple[Point | None, _Near]:
        """Return what is known at theta, and from near, with the objective's penalty."""
        if self.theta is None or self.point is None or self.penalty is None:
            return None, _Near()
        layout, old, new = objective.layout, self.penalty, cast(ElasticNet, objective.penalty)
        near = self.near
        more = new.smooth_diagonal - old.smooth_diagonal
        if isinstance(near.curvature, np.ndarray) and more.any():
            hessian = near.curvature.copy()
            hessian.flat[:: layout.size + 1] += more
            near = near._replace(curvature=hessian)
        if not np.array_equal(theta, self.theta):
            return None, near
        value, gradient, moments = self.point
        strengths = layout.coefficients(new.smooth_diagonal)
        point = Point(
            value - old.value(theta) + new.value(theta),
            gradient + (new.smooth_gradient(theta) - old.smooth_gradient(theta)),
            replace(moments, penalty=strengths),
        )
        return point, near


class Kept:
    """What fits of the same rows leave to the next, whose penalty has another strength.

    At a solution all derivatives of the loss are known, so that the next fit begins with a step and
    not with a pass; the Hessian is near; and so is the working set, whose columns are copied
    anew only where others are needed.
    """

    def __init__(self) -> None:
        self.of_all = _Left()
        self.columns: NDArray[np.intp] | None = None
        self.part: Problem | None = None  # in these columns
        self.of_part = _Left()

    def begin(self, penalty: ElasticNet, theta: _Vector, point: Point) -> None:
        """Begin at a theta, (p,), whose coefficients are 0; ``point`` is of the loss there.

        Where the slopes are far beyond the penalty they don't say which columns are needed.
        """
        slope = np.abs(point.curvature.to_centred(point.gradient))
        if (slope > _FAR_BEYOND * np.maximum(penalty.l1, 1e-300))[penalty.l1 > 0.0].any():
            return
        none = np.zeros_like(theta)
        self.of_all = _Left(theta, point, ElasticNet(none, none))

    def is_narrow(self, objective: Problem, theta: _Vector, point: Point) -> bool:
        """Whether few enough columns are needed at a new strength that copies of them pay."""
        if objective.n_values < _MANY_VALUES:
            return False
        needed = _needed(objective, theta, point, self.of_all.penalty)
        return bool(_ROOM * np.count_nonzero(needed) <= _NARROW * needed.size)


def _needed(
    objective: Problem, theta: _Vector, point: Point, before: ElasticNet | None
) -> NDArray[np.bool_]:
    """Return which columns are not 0, or will not be, as far as the slopes say, (d,).

    ``before`` is the penalty whose optimum theta is, None where it is none: slopes move no faster
    than the strength, mostly (the sequential strong rule); the gap, over all columns, says where
    that was wrong.
    """
    layout, l1 = objective.layout, cast(ElasticNet, objective.penalty).l1
    allowed = l1 if before is None else np.minimum(l1, 2.0 * l1 - before.l1)
    beyond = np.abs(point.curvature.to_centred(point.gradient)) > np.maximum(allowed, 1e-300)
    seen = layout.coefficients(np.logical_or(theta != 0.0, beyond).astype(np.float64))
    return cast(NDArray[np.bool_], seen.any(axis=0))


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
        near: _Near,
        start: Point | None = None,
    ) -> None:
        self.near = near
        self._start = start if near.curvature is not None else None
        self._last: Iterate | None = None
        self._objective = objective
        self._convergence = convergence
        self._fresh = False
        self._before: float | None = None  # the gap before the last full step
        self._moved: tuple[_Vector, _Vector] | None = None  # the last step and what it changed
        self._aim: _Vector | None = None  # where the first step was to lead
        self._begun: _Vector | None = None
        self._by_column = objective.descends and objective.layout.n_columns > _FEW_SPARSE

    def start(self, theta: _Vector) -> Point:
        return self._start or self._look(theta, self.near.curvature is None)

    def left(self) -> _Left:
        """Return what the next fit may take up."""
        at = self._last
        if at is None or not isinstance(at.point.curvature, Moments):
            return _Left()
        penalty = cast(ElasticNet, self._objective.penalty)
        near = self.near._replace(missed=None, moved=None)
        if self._aim is not None and self._begun is not None:
            near = near._replace(missed=at.theta - self._aim, moved=at.theta - self._begun)
        return _Left(at.theta, at.point, penalty, near)

    def propose(self, at: Iterate) -> Proposal:
        moments = self._take_up(at)
        self._last = at
        gap = _gap(self._objective, at, moments)
        if self._before is not None and isfinite(gap) and isfinite(self._before):
            rate = gap / self._before if self._before > 0.0 else 0.0
            self.near = self.near._replace(rate=rate)
        self._before = None
        if gap <= self._convergence.goal(at.point.value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        step = self._step(at, gap)
        if at.n_iter == 0:
            self._begun, self._aim = at.theta, at.theta + step
            step = self._bent(at.theta, step)
        return Proposal(step, gap, known=True)

    def _bent(self, theta: _Vector, step: _Vector) -> _Vector:
        """Return the first step, with what the last fit's first step has missed."""
        missed = self.near.missed
        if missed is None:
            return step
        goal = theta + step
        bent = goal + missed
        kept = (goal * bent > 0.0) & (theta * goal > 0.0)
        l1 = cast(ElasticNet, self._objective.penalty).l1
        return np.where(kept | (l1 == 0.0), bent, goal) - theta

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        renew = not self._keeping_pays(proposal.decrement, at.point.value)
        accepted = self._search(at, proposal.step, renew)
        if accepted is None and self._fresh and not converged:  # every row saturated
            accepted = self._search(at, -at.theta, True)
        return accepted

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
        )

    def renew(self, at: Iterate) -> Point | None:
        return None if self._fresh else self._look(at.theta, True)

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        self._before = proposal.decrement if at.length == 1.0 else None
        if at.length < 1.0:
            self.near = self.near._replace(rate=1.0)
        smooth = self._objective.penalty.smooth_gradient
        step = at.theta - before.theta
        self._moved = step, at.point.gradient - before.point.gradient - smooth(step)

    def _keeping_pays(self, gap: float, value: float) -> bool:
        """Whether the next pass should give no Hessian: what is left in passes, either way."""
        rate = self.near.rate
        after = rate * gap
        goal = self._convergence.goal(value)
        if after <= goal:
            return True
        if rate >= 1.0 or not isfinite(after):
            return False
        left = ceil(log(goal / after) / log(rate)) if rate > 0.0 else 1
        return left <= self._objective.hessian_passes - 1.0 + _FRESH_STEPS

    def _look(self, theta: _Vector, hessian: bool) -> Point:
        if self._by_column:
            return Point(*self._objective.value_gradient_columns(theta))
        if hessian:
            return Point(*self._objective.value_gradient_hessian(theta))
        return Point(*self._objective.value_gradient_moments(theta))

    def _take_up(self, at: Iterate) -> Moments:
        """Take the curvature that was looked at for the model; return its moments."""
        seen = at.point.curvature
        self._fresh = False
        moved, self._moved = self._moved, None
        if isinstance(seen, ColumnModel):
            self.near = self.near._replace(curvature=seen)
            at.point = at.point._replace(curvature=seen.moments)
            self._fresh = True
            return seen.moments
        if isinstance(seen, Moments):
            curvature = self.near.curvature
            if isinstance(curvature, ColumnModel):  # it was made here, with another penalty
                curvature.moments = seen
                return seen
            if not isinstance(curvature, Metric):  # with classes coupled it may not be convex
                return seen
            if curvature.move(seen, at.point.gradient, at.point.value):
                if moved is not None:
                    curvature.learn(*moved)
                return seen
            at.point = self._look(at.theta, True)
            seen = at.point.curvature
        if isinstance(seen, np.ndarray):
            hessian, seen = seen, _moments_of(seen, self._objective)
            single = self._objective.layout.n_outputs == 1
            self.near = self.near._replace(curvature=Metric(hessian, seen) if single else hessian)
            at.point = at.point._replace(curvature=seen)
            self._fresh = True
        return cast(Moments, at.point.curvature)

    def _step(self, at: Iterate, gap: float) -> _Vector:
        """Return the step to the model's minimum, intercepts eliminated."""
        value = at.point.value
        ratio = min(1.0, gap / value) if value > 0.0 else 1.0
        enough = max(_MODEL * ratio, _MODEL_FLOOR * self._convergence.goal(1.0))
        l1 = cast(ElasticNet, self._objective.penalty).l1
        curvature = self.near.curvature
        guess = self._guess(at)
        if isinstance(curvature, ColumnModel):
            here = at.theta, at.point.gradient
            return curvature.lower(here, l1, guess, enough, _COLUMN_SWEEPS)
        if isinstance(curvature, Metric):
            return _step_of_one(curvature, at, l1, guess, enough)
        assert curvature is not None
        return _step_of_several(curvature, self._objective.layout, at, l1, enough)

    def _guess(self, at: Iterate) -> _Vector:
        """Return the coefficients, (d,), to begin with: as far on as the last fit has moved."""
        first = self._objective.layout.first
        w, moved = at.theta[first:], self.near.moved
        if at.n_iter > 0 or moved is None:
            return w
        on = w + moved[first:]
        return np.where(w * on > 0.0, on, w)


def _step_of_one(
    metric: Metric, at: Iterate, l1: _Vector, guess: _Vector, enough: float
) -> _Vector:
    """Return the step of one column of margins."""
    layout, scale = metric.moments.layout, metric.scale
    slope = metric.moments.to_centred(at.point.gradient)[layout.first :] / scale
    w = at.theta[layout.first :]
    u = guess * scale
    ahead = u - w * scale
    if ahead.any():
        slope += ahead @ metric.matrix
    _lower(metric.matrix, slope, l1[layout.first :] / scale, u, enough)
    after = u / scale
    after[u == w * scale] = w[u == w * scale]  # as they were, to the bit
    return metric.moments.with_intercept(after - w, at.point.gradient)


def _step_of_several(
    H: NDArray[np.float64], layout: Layout, at: Iterate, l1: _Vector, enough: float
) -> _Vector:
    """Return the step of several columns of margins, whose classes are coupled."""
    gradient = at.point.gradient
    free, w = _places(layout)
    model = np.array(H[w][:, w], order="C")
    slope = gradient[w].copy()
    if layout.first:
        own, cross = H[free][:, free], H[free][:, w]
        inverse = np.linalg.pinv(own, rcond=_TINY, hermitian=True)
        gone = inverse @ cross
        diagonal = model.diagonal().copy()
        model -= cross.T @ gone
        slope -= gone.T @ gradient[free]
        # what is left of a column that is all intercept is rounding
        lost = model.diagonal() <= _TINY * diagonal
        model.flat[:: model.shape[0] + 1][lost] = np.maximum(_TINY * diagonal, 0.0)[lost]
    u = at.theta[w].copy()
    kept = u.copy()
    _lower(model, slope, l1[w], u, enough)
    step = np.zeros(layout.size)
    step[w] = u - kept
    if layout.first:
        step[free] = -(inverse @ gradient[free] + gone @ step[w])
    return step


def _places(layout: Layout) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where intercepts and coefficients stand in theta."""
    free = np.zeros(layout.size, dtype=bool)
    layout.intercepts(free)[:] = True
    return free, ~free


def _lower(
    model: NDArray[np.float64], slope: _Vector, l1: _Vector, u: _Vector, enough: float
) -> None:
    """Move u to where the model with the penalty is least, in place, and ``slope`` with it.

    Coordinate descent finds the support, and is slow where columns are nearly collinear; on a
    support the minimum is that of a linear system. Each lowers what the other left.
    """
    numba = cast(Any, backends.get("numba"))
    for _ in range(_ROUNDS):
        if numba.coordinate_descent(model, slope, l1, u, enough, _SWEEPS) <= enough:
            return
        for _ in range(_CROSSINGS):
            if _solve_on_support(model, slope, l1, u):
                break


def _solve_on_support(model: NDArray[np.float64], slope: _Vector, l1: _Vector, u: _Vector) -> bool:
    """Go to the minimum with the signs of u, or to where the first changes; whether it is there."""
    support = np.flatnonzero(u)
    if support.size == 0:
        return True
    sign = np.sign(u[support])
    part = model[np.ix_(support, support)]
    unit = np.sqrt(part.diagonal())
    part /= unit
    part /= unit[:, None]
    part.flat[:: support.size + 1] += _RIDGE
    try:
        factor = cho_factor(part, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return True
    pull = (slope[support] + l1[support] * sign) / unit
    step = -cho_solve(factor, pull, check_finite=False) / unit
    with np.errstate(divide="ignore", invalid="ignore"):
        until = np.where(step * sign < 0.0, -u[support] / step, np.inf)
    first = int(until.argmin())
    length = min(1.0, float(until[first]))
    if not np.isfinite(step).all():
        return True
    moved = u[support] + length * step
    if until[first] <= 1.0:
        moved[first] = 0.0
    slope += model[:, support] @ (moved - u[support])
    u[support] = moved
    return length == 1.0


class _WorkingSets(_ByGap):
    """The step to the optimum in some columns, found in rows of those columns alone."""

    def __init__(
        self, objective: Problem, convergence: Convergence, kept: Kept, start: Point | None
    ) -> None:
        self._objective = objective
        self._convergence = convergence
        self._kept = kept
        self._start = start
        self._near = start is not None  # what is needed shows in the slopes
        self._last: Iterate | None = None

    def start(self, theta: _Vector) -> Point:
        return self._start or self._look(theta)

    def left(self) -> _Left:
        """Return what the next fit may take up."""
        if self._last is None:
            return _Left()
        penalty = cast(ElasticNet, self._objective.penalty)
        return _Left(self._last.theta, self._last.point, penalty)

    def propose(self, at: Iterate) -> Proposal:
        self._last = at
        gap = _gap(self._objective, at, at.point.curvature)
        value = at.point.value
        if gap <= self._convergence.goal(value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        part, places, chosen = self._part(at)
        relative = min(1.0, gap / value) if value > 0.0 else 1.0
        tol = max(0.0 if self._near else _INNER * relative, 0.5 * self._convergence.limits.tol)
        inner = _judge(part, Limits(tol, _INNER_ITERATIONS))
        start = at.theta[places]
        _, near = self._kept.of_part.at(part, start)
        direction = _Model(part, inner, near, _of_columns(at.point, places, chosen, part))
        result = _minimize(part, start, direction, inner, Trace())
        self._kept.of_part = direction.left()
        step = np.zeros(at.theta.size)
        step[places] = result.theta - start
        return Proposal(step, gap, known=True)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        trial = at.theta + proposal.step
        if not proposal.step.any():
            return None
        point = self._look(trial)
        # near the optimum the inner steps may gain less than values say (as in _Model._search)
        near = proposal.decrement <= _NEAR * at.point.value
        if not point.value <= at.point.value * (1.0 + (_NOISE if near else ROUNDING)):
            return None
        return trial, point, 1.0

    def renew(self, at: Iterate) -> None:
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        return None

    def _look(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_moments(theta))

    def _part(self, at: Iterate) -> tuple[Problem, NDArray[np.intp], NDArray[np.intp]]:
        """Return the problem in the working set, its places in theta, and its columns."""
        kept, objective = self._kept, self._objective
        chosen = self._choose(at)
        places = objective.layout.entries(chosen)
        if kept.part is None or chosen is not kept.columns:
            kept.part, kept.columns, kept.of_part = objective.columns(chosen), chosen, _Left()
        return kept.part.penalized(objective.penalty.of(places)), places, chosen

    def _choose(self, at: Iterate) -> NDArray[np.intp]:
        """Return the columns to work in, in ascending order: the last ones, if they will do."""
        layout, penalty = self._objective.layout, cast(ElasticNet, self._objective.penalty)
        kept = self._kept
        first = self._near and at.n_iter == 0
        needed = _needed(
            self._objective, at.theta, at.point, kept.of_all.penalty if first else None
        )
        inside = np.zeros(needed.size, dtype=bool)
        if kept.columns is not None:
            inside[kept.columns] = True
            if not needed[~inside].any():
                return kept.columns
        used = (layout.coefficients(at.theta) != 0.0).any(axis=0)
        least = min(_FIRST_COLUMNS, max(1, needed.size // 10))
        if self._near:
            n = max(least, int(_ROOM * np.count_nonzero(needed)))
        else:
            n = max(least, 2 * int(used.sum()), int(inside.sum()))
        most = needed.size if self._objective.descends else max(1, _LARGEST // layout.n_outputs)
        n = min(most, n, needed.size)
        size = np.abs(at.point.curvature.to_centred(at.point.gradient))
        worst = layout.coefficients(size / np.maximum(penalty.l1, 1e-300)).max(axis=0)
        if used.sum() < most:
            worst = np.where(used, np.inf, worst)
        if not self._near:
            worst = np.where(needed, worst, 0.0)
        best = np.argpartition(worst, worst.size - n)[worst.size - n :]
        best = best[(worst[best] > 0.0)]
        return np.sort(best)


def _of_columns(
    point: Point, places: NDArray[np.intp], chosen: NDArray[np.intp], part: Problem
) -> Point:
    """Return what is known of some columns, where all others hold 0."""
    seen = point.curvature
    moments = Moments(
        part.layout,
        seen.total,
        seen.sums[:, chosen],
        seen.squares[:, chosen],
        seen.penalty[:, chosen],
    )
    return Point(point.value, point.gradient[places], moments)
