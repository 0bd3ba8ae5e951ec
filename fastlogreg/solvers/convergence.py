"""When a solver ends: the only place that says "enough".

Half the Newton decrement estimates the distance above the optimum. It is taken for the distance
(*reliable*) only where

- it is of the curvature here, on all rows (*known*: the direction says so);
- neither of the last two full steps left much of the distance. A row far outside holds all the
  curvature until its loss, which falls to 1/e in a step, is nothing; the other directions show only
  then (a row of 1e9 times the others' size: 1e-10 at step 27, and yet 8e-4 above the optimum);
- where the Hessian is ill-conditioned, such a row may be why, and where a few rows hold most of the
  weight the others show late too: there no margin may change by more than :data:`_CHANGE` along the
  step that is left.

Directions aim at a share of ``tol`` (:class:`Rule`) and go on while a step may bring more than that
*goal*; at the last iteration, ``tol`` itself is enough. Nothing below rounding is asked for.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.layout import Layout
from fastlogreg.solvers import Status
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.search import ROUNDING

__all__ = ["HANDING_OVER", "NEWTON", "STAGE", "TRUNCATED", "Convergence", "Limits", "Rule"]

_ILL = 1e-5  # a pivot of the Hessian, scaled to a unit diagonal, below this
_ILL_OF_SEVERAL = np.inf  # columns of margins: always, a pass is little beside their Hessian
_CHANGE = 0.5  # of a margin: a row whose loss falls like an exponential asks for 1
_CHANGE_KEPT = 0.1  # by a kept Hessian of several classes, which may say a quarter of it
_STILL = 1e-3  # of a margin: the Hessian is that of the optimum to a thousandth
_UNEVEN = 0.1  # a tenth of the rows, or fewer, say as much as all of them


class Rule(NamedTuple):
    """What one way of solving needs to be sure.

    Attributes
    ----------
    aim : float
        Share of ``tol`` to reach.
    slow, slow_before : float
        Share of the distance that the last step near the optimum, and the one before, leave at
        most; steps along an exponential leave 1/e.
    looks : bool
        Whether margins are looked at where the Hessian or the weights may deceive.
    settles : bool
        Whether ``tol`` is enough where the Hessian was made, and margins are looked at rather
        than a step taken: the caller takes one.
    """

    aim: float
    slow: float = np.inf
    slow_before: float = np.inf
    looks: bool = False
    settles: bool = False


# aim: where a column is seen in a row or two, a kept Hessian of every 8th row takes its curvature
# for 8 times what it is, and the distance for 1/8
NEWTON = Rule(0.1, 0.1, 0.25, looks=True)
STAGE = Rule(1.0)  # on a part of the rows, whose optimum is not the problem's
# aim: at 0.1 an outlier of 1e8 hid 9e-4 of the distance
TRUNCATED = Rule(1e-2, 0.3, 0.3)
HANDING_OVER = Rule(0.1)  # near enough to ask another solver for the last word


class Limits(NamedTuple):
    """What a solver may spend, and what it is to reach; see :class:`fastlogreg.solvers.Solver`."""

    tol: float
    max_iter: int
    stop_value: float = 0.0
    max_passes: float = np.inf


class Judged(Protocol):
    """What is asked of an objective."""

    n_passes: float
    n_rows: int
    layout: Layout

    def effective_rows(self) -> float:
        """Return how many rows of equal weight would say as much as these do."""

    def largest_change(self, step: NDArray[np.float64]) -> float:
        """Return by how much ``step`` changes the margin of a row at the most."""


class Verdict(NamedTuple):
    """What is known of an iterate."""

    converged: bool  # it is surely within ``tol``
    enough: bool  # and within the goal


class Convergence:
    """Judge where a solver stands.

    Parameters
    ----------
    objective : Problem or the like
    limits : Limits
    rule : Rule

    Attributes
    ----------
    slow : bool
        Whether the last step left more of the distance than one near the optimum.
    """

    def __init__(self, objective: Judged, limits: Limits, rule: Rule) -> None:
        self.limits = limits
        self.slow = False
        self._slow_before = False
        self._left = (0.0, 0.0)  # the distance after the last step and the one before it
        self._objective = objective
        self._rule = rule
        self._aim = max(rule.aim * limits.tol, ROUNDING)
        self._paced = rule.slow < np.inf
        self._single = objective.layout.n_outputs == 1
        self._ill = _ILL if self._single else _ILL_OF_SEVERAL
        self._uneven = rule.looks and objective.effective_rows() < _UNEVEN * objective.n_rows

    def goal(self, value: float) -> float:
        """Return the distance within which no step is worth taking."""
        return self._aim * value

    def enough(self, at: Iterate) -> float:
        """Return the distance to be sure of: the goal, and at the last iteration ``tol``."""
        value = at.point.value
        return self.limits.tol * value if at.n_iter >= self.limits.max_iter else self.goal(value)

    def note_step(self, after: float, before: float) -> None:
        """Note that a step left ``after`` of a distance of ``before``."""
        if not self._paced:
            return
        self._slow_before = self._left[0] > self._rule.slow_before * self._left[1]
        self._left = after, before
        self.slow = after > self._rule.slow * before

    def judge(self, at: Iterate, proposal: Proposal) -> Verdict:
        """Return what is known of an iterate from the step that would be next."""
        value, decrement = at.point.value, proposal.decrement
        slow = self.slow or self._slow_before
        if not proposal.known:
            return Verdict(False, False)
        near = decrement <= self.limits.tol * value
        if slow and decrement > ROUNDING * value and not (near and self._stands(proposal)):
            return Verdict(False, False)
        doubtful = self._rule.looks and (self._uneven or proposal.pivot < self._ill)
        if doubtful and decrement <= self.enough(at):
            most = _CHANGE if proposal.fresh or self._single else _CHANGE_KEPT
            if self._objective.largest_change(proposal.step) > most:
                return Verdict(False, False)
        settled = near and self._rule.settles and proposal.fresh
        return Verdict(near, settled or decrement <= self.goal(value))

    def _stands(self, proposal: Proposal) -> bool:
        """Whether no margin changes along Newton's step, so that steps before it say nothing."""
        if not (self._rule.settles and proposal.fresh):
            return False
        return self._objective.largest_change(proposal.step) <= _STILL

    def spent(self, at: Iterate) -> Status | None:
        """Return what there is no more of, None where the solver may go on."""
        if at.n_iter >= self.limits.max_iter:
            return Status.MAX_ITER
        if self._objective.n_passes >= self.limits.max_passes:
            return Status.HANDED_OVER
        return None
