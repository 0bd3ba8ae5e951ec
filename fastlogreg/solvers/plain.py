"""Proximal Newton where every coefficient has L1 and no bounds: the plain elastic net.

The Hessian of two classes is kept as long as its steps do well, recalibrated by the moments of the
columns at each iterate, and corrected by what each step has shown
(:class:`fastlogreg.solvers.metric.Metric`), so that a level which the part of the rows hardly held
costs no false step. In many sparse columns, or where theta has more entries than a Hessian has room
for, none is made, and coordinate descent reads the columns
(:class:`fastlogreg.problem.columns.ColumnModel`). Intercepts have no penalty: they are eliminated
from the model exactly, so that columns far from 0 are no harder for coordinate descent than centred
ones.

What a fit has learnt is handed to the next, whose penalty is stronger or weaker (:class:`Kept`).
"""

from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.columns import ColumnModel, Descent
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.by_gap import (
    FIRST_RATE,
    LARGEST,
    Model,
    Sets,
    gap_of,
    moments_of,
)
from fastlogreg.solvers.convergence import Convergence
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.metric import Metric
from fastlogreg.solvers.quadratic import lower, with_kinks
from fastlogreg.solvers.search import Point

__all__ = ["Kept", "Near", "PlainModel", "PlainSets", "is_plain"]

_FIRST_COLUMNS = 100  # of a working set
_FEW_SPARSE = 500  # entries of theta up to which a Hessian is made of sparse rows
_COLUMN_SWEEPS = 1000  # beyond them, after which a linear system helps
_SWEEPS_ALONE = 30  # of more than a Hessian holds: the next model is worth more than more of them
_SPARSE_GROWTH = 4  # of a working set there, at least: sweeps cost little beside the copy of a set
_SPARSE_SHARE = 3.0  # times the share of the gap that others are solved to: there is no Hessian
_SPARSE_FLOOR = 1.0  # of ``tol``: by how much slopes may still move
_FAR_BEYOND = 1.5  # times the strength of L1: the slopes of a first fit
_MANY_VALUES = 1_000_000  # of X, from which copies of columns pay
_NARROW = 0.5  # of the columns: a working set that does
_ROOM = 1.5  # times the columns that a new working set is needed for

_Vector = NDArray[np.float64]


def is_plain(objective: Problem) -> bool:
    """Whether every coefficient has L1 and none has a bound: what this module is for."""
    penalty = cast(ElasticNet, objective.penalty)
    return not penalty.bounded and bool((objective.layout.coefficients(penalty.l1) > 0.0).all())


class Near(NamedTuple):
    """What is known of the curvature from near, and the share of the gap that a step leaves."""

    curvature: Metric | ColumnModel | NDArray[np.float64] | None = None
    rate: float = FIRST_RATE
    missed: _Vector | None = None  # by the first step of the last fit
    moved: _Vector | None = None  # by the last fit


class Left(NamedTuple):
    """Where a direction ended: what is known there, and the penalty that it is of."""

    theta: _Vector | None = None
    point: Point | None = None
    penalty: ElasticNet | None = None
    near: Near = Near()

    def at(self, objective: Problem, theta: _Vector) -> tuple[Point | None, Near]:
        """Return what is known at theta, and from near, with the objective's penalty."""
        if self.theta is None or self.point is None or self.penalty is None:
            return None, Near()
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
        self.of_all = Left()
        self.columns: NDArray[np.intp] | None = None
        self.part: Problem | None = None  # in these columns
        self.of_part = Left()

    def begin(self, penalty: ElasticNet, theta: _Vector, point: Point) -> None:
        """Begin at a theta, (p,), whose coefficients are 0; ``point`` is of the loss there.

        Where the slopes are far beyond the penalty they don't say which columns are needed.
        """
        slope = np.abs(point.curvature.to_centred(point.gradient))
        if (slope > _FAR_BEYOND * np.maximum(penalty.l1, 1e-300))[penalty.l1 > 0.0].any():
            return
        none = np.zeros_like(theta)
        self.of_all = Left(theta, point, ElasticNet(none, none))

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


class PlainModel(Model):
    """The step to the minimum of Newton's model with a plain penalty.

    Its ``curvature`` is a :class:`Metric`, a :class:`ColumnModel`, or for several classes a
    Hessian, (p, p).
    """

    def __init__(
        self,
        objective: Problem,
        convergence: Convergence,
        near: Near,
        start: Point | None = None,
    ) -> None:
        super().__init__(objective, convergence, near.curvature)
        self._rate = near.rate
        self._near = near
        self._start = start
        self._last: Iterate | None = None
        self._moved: tuple[_Vector, _Vector] | None = None  # the last step and what it changed
        self._aim: _Vector | None = None  # where the first step was to lead
        self._begun: _Vector | None = None
        self._by_column = _goes_by_column(objective)

    def start(self, theta: _Vector) -> Point:
        """Return what is to be known at the start, (p,)."""
        return self._start or super().start(theta)

    def left(self) -> Left:
        """Return what the next fit may take up."""
        at = self._last
        if at is None or not isinstance(at.point.curvature, Moments):
            return Left()
        near = Near(self.curvature, self._rate)
        if self._aim is not None and self._begun is not None:
            near = near._replace(missed=at.theta - self._aim, moved=at.theta - self._begun)
        return Left(at.theta, at.point, cast(ElasticNet, self._objective.penalty), near)

    def _gap(self, at: Iterate) -> float:
        moments = self._take_up(at)
        self._last = at
        return gap_of(self._objective, at, moments)

    def _step(self, at: Iterate, gap: float) -> _Vector:
        step = self._model_step(at, gap)
        if at.n_iter > 0:
            return step
        self._begun, self._aim = at.theta, at.theta + step
        return self._bent(at.theta, step)

    def _bent(self, theta: _Vector, step: _Vector) -> _Vector:
        """Return the first step, with what the last fit's first step has missed."""
        missed = self._near.missed
        if missed is None:
            return step
        goal = theta + step
        bent = goal + missed
        kept = (goal * bent > 0.0) & (theta * goal > 0.0)
        l1 = cast(ElasticNet, self._objective.penalty).l1
        return np.where(kept | (l1 == 0.0), bent, goal) - theta

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        """Learn from the step that was taken."""
        super().moved(before, at, proposal)
        smooth = self._objective.penalty.smooth_gradient
        step = at.theta - before.theta
        self._moved = step, at.point.gradient - before.point.gradient - smooth(step)

    def _look(self, theta: _Vector, hessian: bool) -> Point:
        if self._by_column:
            return Point(*self._objective.value_gradient_columns(theta))
        # a model by column is of where it was made
        return super()._look(theta, hessian or isinstance(self.curvature, ColumnModel))

    def _take_up(self, at: Iterate) -> Moments:
        """Take the curvature that was looked at for the model; return its moments."""
        seen = at.point.curvature
        self._fresh = False
        moved, self._moved = self._moved, None
        if isinstance(seen, ColumnModel):
            self.curvature = seen
            at.point = at.point._replace(curvature=seen.moments)
            self._fresh = True
            return seen.moments
        if isinstance(seen, Moments):
            curvature = self.curvature
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
            hessian, seen = seen, moments_of(seen, self._objective)
            single = self._objective.layout.n_outputs == 1
            self.curvature = Metric(hessian, seen) if single else hessian
            at.point = at.point._replace(curvature=seen)
            self._fresh = True
        return cast(Moments, at.point.curvature)

    def _model_step(self, at: Iterate, gap: float) -> _Vector:
        """Return the step to the model's minimum."""
        if self.curvature is None:  # what is known of the start has none
            at.point = self._look(at.theta, True)
            self._take_up(at)
        l1 = cast(ElasticNet, self._objective.penalty).l1
        curvature = self.curvature
        enough = self._enough(at.point.value, gap)
        if isinstance(curvature, ColumnModel):
            enough = max(enough, _SPARSE_FLOOR * self._convergence.goal(1.0))
            theta, gradient, guess = at.theta, at.point.gradient, self._guess(at)
            # linear systems help where sweeps alone do not end
            alone = self._objective.size > LARGEST
            sweeps = _SWEEPS_ALONE if alone else _COLUMN_SWEEPS
            descent = Descent(theta, gradient, l1, guess, enough, sweeps)
            step, done = curvature.lower(descent)
            self._by_column = done or alone
            return step
        if isinstance(curvature, Metric):
            guess = self._guess(at)[self._objective.layout.first :]
            return _step_of_one(curvature, at, l1, guess, enough)
        assert curvature is not None
        return self._step_of_matrix(curvature, at, gap)

    def _guess(self, at: Iterate) -> _Vector:
        """Return the coefficients, as theta, to begin with: as far on as the last fit has moved."""
        w, moved = at.theta, self._near.moved
        if at.n_iter > 0 or moved is None:
            return w
        on = w + moved
        return np.where(w * on > 0.0, on, w)


def _goes_by_column(objective: Problem) -> bool:
    """Whether a Hessian costs more than descent by column, or more than there is room for."""
    if objective.size > LARGEST:
        return objective.by_column
    return objective.descends and objective.size > _FEW_SPARSE


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
    lower(with_kinks(metric.matrix, l1[layout.first :] / scale), slope, u, enough)
    after = u / scale
    after[u == w * scale] = w[u == w * scale]  # as they were, to the bit
    return metric.moments.with_intercept(after - w, at.point.gradient)


class PlainSets(Sets):
    """The step to the optimum in some columns, found in rows of those columns alone."""

    def __init__(
        self, objective: Problem, convergence: Convergence, kept: Kept, start: Point | None
    ) -> None:
        super().__init__(objective, convergence)
        self._kept = kept
        self._start = start
        self._near = start is not None  # what is needed shows in the slopes
        self._last: Iterate | None = None

    def start(self, theta: _Vector) -> Point:
        """Return what is to be known at the start, (p,)."""
        return self._start or super().start(theta)

    def left(self) -> Left:
        """Return what the next fit may take up."""
        if self._last is None:
            return Left()
        penalty = cast(ElasticNet, self._objective.penalty)
        return Left(self._last.theta, self._last.point, penalty)

    def propose(self, at: Iterate) -> Proposal:
        """Return a step from here, and the gap."""
        self._last = at
        gap = gap_of(self._objective, at, at.point.curvature)
        value = at.point.value
        if gap <= self._convergence.goal(value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        part, places, chosen = self._part(at)
        share = 0.0 if self._near else self._share(gap, value)
        if self._objective.descends:
            share *= _SPARSE_SHARE
        start = at.theta[places]

        def make(inner: Convergence) -> PlainModel:
            _, near = self._kept.of_part.at(part, start)
            return PlainModel(part, inner, near, _of_columns(at.point, places, chosen, part))

        direction, result = self._solved(part, start, share, make)
        self._kept.of_part = direction.left()
        step = np.zeros(at.theta.size)
        step[places] = result.theta - start
        return Proposal(step, gap, known=True)

    def _part(self, at: Iterate) -> tuple[Problem, NDArray[np.intp], NDArray[np.intp]]:
        """Return the problem in the working set, its places in theta, and its columns."""
        kept, objective = self._kept, self._objective
        chosen = self._choose(at)
        if kept.part is None or chosen is not kept.columns:
            part = objective.columns(chosen)
            if part.size > LARGEST and not part.by_column:  # there was no room for so many
                chosen = self._choose(at)
                part = objective.columns(chosen)
            kept.part, kept.columns, kept.of_part = part, chosen, Left()
        places = objective.layout.entries(chosen)
        return kept.part.with_penalty(objective.penalty.of(places)), places, chosen

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
            growth = _SPARSE_GROWTH if self._objective.descends else 2
            n = max(least, growth * int(used.sum()), int(inside.sum()))
        any_number = self._objective.by_column or self._objective.collects
        most = needed.size if any_number else max(1, LARGEST // layout.n_outputs)
        n = min(most, n, needed.size)
        size = np.abs(at.point.curvature.to_centred(at.point.gradient))
        worst = layout.coefficients(size / np.maximum(penalty.l1, 1e-300)).max(axis=0)
        if used.sum() < most:
            worst = np.where(used, np.inf, worst)
        if not self._near:
            worst = np.where(needed, worst, 0.0)
        best = np.flatnonzero(worst > 0.0)
        if best.size > n:
            best = best[np.argpartition(worst[best], best.size - n)[best.size - n :]]
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
