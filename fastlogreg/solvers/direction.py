"""A direction: where a solver would go next, and what it knows of the way that is left.

A direction holds what a method keeps from one iteration to the next (a Hessian, a preconditioner,
secant pairs); the loop (:mod:`fastlogreg.solvers.loop`) holds where it stands. Another method is
another direction, and another rule in :mod:`fastlogreg.solvers.convergence`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers.search import Point

__all__ = ["Direction", "Iterate", "Proposal", "Sure"]

_Vector = NDArray[np.float64]


@dataclass(slots=True)
class Iterate:
    """Where a solver stands.

    Attributes
    ----------
    theta : ndarray of shape (p,)
    point : Point
        What was computed there.
    n_iter : int
        Steps taken.
    length : float
        Fraction of the full step that led here.
    """

    theta: _Vector
    point: Point
    n_iter: int = 0
    length: float = 1.0


@dataclass(slots=True)
class Proposal:
    """A step, and what it promises.

    Attributes
    ----------
    step : ndarray of shape (p,)
    decrement : float
        Estimated distance above the optimum: half of what the full step gains by its slope.
    known : bool
        Whether the curvature is that of here, so that the decrement may be the distance.
    fresh : bool
        Whether it was made here: the step may be stretched.
    lost : bool
        Whether columns without curvature hold a gradient: nothing is known of the distance.
    pivot : float
        The least of the Hessian, scaled to a unit diagonal; 1 where none was made.
    ends : bool
        Whether the direction leads no further, and another solver should go on.
    """

    step: _Vector
    decrement: float
    known: bool = False
    fresh: bool = False
    lost: bool = False
    pivot: float = 1.0
    ends: bool = False


class Direction(Protocol):
    """What the loop asks of a method, in this order."""

    def start(self, theta: _Vector) -> Point:
        """Return what is to be known at the start, (p,)."""

    def propose(self, at: Iterate) -> Proposal | None:
        """Return a step from here; None to hand over without one.

        The direction may look closer, and renew ``at.point``.
        """

    def proves(self, at: Iterate) -> bool:
        """Whether the decrement here, where it is known, is sure without a further pass."""

    def confirm(self, at: Iterate, proposal: Proposal) -> Proposal | None:
        """Return None where a decrement that is enough is the distance, or else a better step.

        One that ends leaves it to another solver to say.
        """

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        """Return where steps lead, as :func:`fastlogreg.solvers.search.search`; None: nowhere."""

    def renew(self, at: Iterate) -> Point | None:
        """Return a closer look at where no step led on, None where nothing better is known."""

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        """Learn from the step that was taken."""


class Sure:
    """What directions share whose decrement, where it is known, is sure without a further pass."""

    def proves(self, at: Iterate) -> bool:
        """Whether it is sure: it is."""
        return True

    def confirm(self, at: Iterate, proposal: Proposal) -> None:
        """Return that it needs no better step."""
        return None
