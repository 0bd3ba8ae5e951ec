"""Proximal Newton between bounds, and where columns have no penalty.

The Hessian is recalibrated by the moments of the columns at each iterate
(:func:`fastlogreg.solvers.curvature.recalibrated`). Intercepts and columns without penalty and
bounds are *free*: they are eliminated from the model exactly. Coordinate descent clips at bounds.

Columns without a penalty have no dual constraint but an equation, where they are free or between
their bounds: they are judged by the Hessian there (:mod:`fastlogreg.solvers.unpenalized`).
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.by_gap import (
    LARGEST,
    Model,
    Sets,
    gap_of,
    moments_of,
)
from fastlogreg.solvers.convergence import Convergence
from fastlogreg.solvers.curvature import recalibrated
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.search import Point
from fastlogreg.solvers.unpenalized import gap_beside, has_unpenalized, take_out

__all__ = ["BoxModel", "BoxSets", "final_gap"]

_FIRST_COLUMNS = 100  # of a working set

_Vector = NDArray[np.float64]


def final_gap(objective: Problem, theta: _Vector) -> float:
    """Return the gap at the end of a fit that did not converge: others were estimates."""
    if objective.size > LARGEST:
        return np.inf
    at = Iterate(theta, Point(*objective.value_gradient_hessian(theta)))
    out = take_out(objective, at, at.point.curvature, np.arange(theta.size), exact=True)
    return gap_beside(objective, at, out, sure=True)


class BoxModel(Model):
    """The step to the minimum of Newton's model with any elastic net, between bounds.

    Its ``curvature`` is a Hessian, (p, p).
    """

    def _gap(self, at: Iterate) -> float:
        """Take up what was looked at, and return the gap: what is enough is sure."""
        moments = self._take_up(at)
        if not self._has_unpenalized:
            return gap_of(self._objective, at, moments)
        estimate = self._gap_beside(at, sure=False)
        if estimate > self._convergence.goal(at.point.value):
            return estimate
        if not self._fresh:
            at.point = self._look(at.theta, True)
            self._take_up(at)
        return self._gap_beside(at, sure=True)

    def _gap_beside(self, at: Iterate, *, sure: bool) -> float:
        assert self.curvature is not None
        everything = np.arange(at.theta.size)
        out = take_out(self._objective, at, self.curvature, everything, exact=sure)
        return gap_beside(self._objective, at, out, sure=sure)

    def _take_up(self, at: Iterate) -> Moments:
        """Take the curvature that was looked at for the model; return its moments."""
        seen = at.point.curvature
        self._fresh = False
        if isinstance(seen, Moments):
            assert self.curvature is not None
            if self._objective.layout.n_outputs > 1:  # with classes coupled it may not be convex
                return seen
            value, gradient, _ = at.point
            better = recalibrated(self.curvature, seen, gradient, value)
            if better is not None:
                self.curvature = better
                return seen
            at.point = self._look(at.theta, True)
            seen = at.point.curvature
        if isinstance(seen, np.ndarray):
            self.curvature = seen
            self._seen = moments_of(seen, self._objective)
            at.point = at.point._replace(curvature=self._seen)
            self._fresh = True
        return self._seen

    def _step(self, at: Iterate, gap: float) -> _Vector:
        assert self.curvature is not None
        return self._step_of_matrix(self.curvature, at, gap)


class BoxSets(Sets):
    """The step to the optimum in some columns, all that have no penalty among them."""

    def __init__(self, objective: Problem, convergence: Convergence) -> None:
        super().__init__(objective, convergence)
        self._columns = _FIRST_COLUMNS
        self._has_unpenalized = has_unpenalized(objective)

    def propose(self, at: Iterate) -> Proposal:
        """Return a step from here, and the gap."""
        value = at.point.value
        chosen = self._choose(at)
        part = self._objective.columns(chosen)
        places = self._objective.layout.entries(chosen)
        start = at.theta[places]
        if self._has_unpenalized:
            gap = self._gap_beside(at, part.value_gradient_hessian(start)[2], places)
        else:
            gap = gap_of(self._objective, at, at.point.curvature)
        if gap <= self._convergence.goal(value):
            return Proposal(np.zeros(at.theta.size), gap, known=True)
        _, result = self._solved(
            part, start, self._share(gap, value), lambda inner: BoxModel(part, inner, None)
        )
        step = np.zeros(at.theta.size)
        step[places] = result.theta - start
        return Proposal(step, gap, known=True)

    def _gap_beside(
        self, at: Iterate, hessian: NDArray[np.float64], places: NDArray[np.intp]
    ) -> float:
        out = take_out(self._objective, at, hessian, places, exact=True)
        return gap_beside(self._objective, at, out, sure=True)

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
        most = max(1, LARGEST // layout.n_outputs)
        self._columns = min(most, max(self._columns, 2 * int(used.sum())))
        if used.sum() < most:
            worst = np.where(used, np.inf, worst)
        n = min(self._columns, worst.size)
        best = np.argpartition(worst, worst.size - n)[worst.size - n :]
        best = best[(worst[best] > 0.0)]
        return np.sort(best)
