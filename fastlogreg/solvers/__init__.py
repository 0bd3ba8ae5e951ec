"""Solvers: from an objective and a start to the optimum, in few passes.

A solver is a function of the signature :class:`Solver`. It sees an objective, never X,
and asks it only for what the method needs (:class:`Smooth` and
:class:`TwiceDifferentiable` are the parts of :class:`fastlogreg.problem.problem.Problem`
that the solvers here use). What it costs is counted by the objective, in passes.

What every solver promises:

- the value never rises beyond rounding, and the best iterate comes back;
- ``tol`` bounds the estimated distance above the optimum relative to the value there, an
  estimate that does not change when a column of X is rescaled;
- no warning and no printing: :class:`Result` says what happened, and the
  :class:`fastlogreg.solvers.trace.Trace` hears of each iteration and its theta, and may end it.

What they share. A solver is a *direction* (:mod:`fastlogreg.solvers.direction`) in the one loop of
:mod:`fastlogreg.solvers.loop`; :mod:`fastlogreg.solvers.convergence` says when it is enough, and
:mod:`fastlogreg.solvers.search` walks.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import Penalty
from fastlogreg.solvers.trace import Trace

__all__ = [
    "HessianProduct",
    "Implicit",
    "Iteration",
    "Result",
    "Smooth",
    "Solver",
    "Status",
    "TwiceDifferentiable",
    "Universal",
]


class Smooth(Protocol):
    """An objective with a gradient; it is bounded below by zero."""

    n_passes: float

    def value(self, theta: NDArray[np.float64]) -> float:
        """Return f(theta)."""

    def value_gradient(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return f(theta) and its gradient, (p,)."""


class TwiceDifferentiable(Smooth, Protocol):
    """An objective with a Hessian small enough to be held."""

    share: float
    hessian_passes: float
    n_rows: int
    layout: Layout
    penalty: Penalty

    def effective_rows(self) -> float:
        """Return how many rows of equal weight would say as much as these do."""

    def part(self, step: int, least: NDArray[np.float64] | None = None) -> "TwiceDifferentiable":
        """Return the same over some rows, one of ``step``, with a penalty of at least ``least``."""

    def largest_change(self, step: NDArray[np.float64]) -> float:
        """Return by how much ``step`` changes the margin of a row at the most."""

    def value_gradient_moments(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], Moments]:
        """Return f(theta), its gradient, (p,), and what is cheap to know of its Hessian."""

    def value_gradient_hessian(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return f(theta), its gradient, (p,), and its Hessian, (p, p)."""

    def value_gradient_product(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], "HessianProduct"]:
        """Return f(theta), its gradient, (p,), and its Hessian as an operator; not of a part."""


class HessianProduct(Protocol):
    """The Hessian at one iterate, as far as one can know it without making it."""

    def __call__(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Hessian times a vector, (p,), in one pass."""

    def moments(self) -> Moments:
        """Return what is cheap to know of the Hessian, in one pass."""

    def coupling(self) -> NDArray[np.float64]:
        """Return the Hessian's entries between intercepts, (m, m), without reading X."""


class Implicit(Smooth, Protocol):
    """An objective whose Hessian multiplies vectors and is never made.

    ``n_values`` is how many values of X a pass reads.
    """

    n_values: int

    def value_gradient_product(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], HessianProduct]:
        """Return f(theta), its gradient, (p,), and its Hessian as an operator, in one pass."""


class Universal(TwiceDifferentiable, Implicit, Protocol):
    """An objective that any solver can work on."""


class Iteration(NamedTuple):
    """Where a solver stands; iteration 0 is the start."""

    n_iter: int
    n_passes: float
    value: float
    gradient_norm: float  # largest absolute component
    decrement: float  # estimated distance above the optimum
    step: float  # fraction of the full step (up to twice Newton's) that led here
    share: float = 1.0  # of the rows; values of different shares do not compare


class Status(Enum):
    """Why a solver ended; the value is for people to read."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter reached"
    STOPPED = "a callback asked for the end"
    STOP_VALUE = "the objective fell to its floor"
    NO_DESCENT = "no step lowers the objective further"
    NOT_FINITE = "the objective or a derivative is not finite at the start"
    HANDED_OVER = "another solver should go on"


@dataclass(frozen=True)
class Result:
    """What a solver returns.

    Attributes
    ----------
    theta : ndarray of shape (p,), float64
        The best iterate.
    value : float
        The objective there.
    gradient_norm : float
        Largest absolute component of the gradient there.
    decrement : float
        Estimated distance of ``value`` above the optimum; NaN where the value or a
        derivative is not finite at the start, which is then returned untouched.
    n_iter : int
        Steps taken.
    n_passes : float
        Passes over the rows.
    converged : bool
        Whether ``decrement`` is within ``tol`` times ``value``.
    status : Status
        Why the solver ended. One that reached ``max_iter``, was stopped or found no step may
        have converged by then.
    history : list of Iteration
    point : tuple of float, ndarray of shape (p,), ndarray of shape (p, p), optional
        The objective, its gradient and its Hessian at ``theta``, where the last pass gave them.
    """

    theta: NDArray[np.float64]
    value: float
    gradient_norm: float
    decrement: float
    n_iter: int
    n_passes: float
    converged: bool
    status: Status
    history: list[Iteration] = field(repr=False)
    point: tuple[float, NDArray[np.float64], NDArray[np.float64]] | None = field(
        default=None, repr=False
    )

    @property
    def finite(self) -> bool:
        """Whether the value and the derivatives at the start were finite."""
        return self.status is not Status.NOT_FINITE

    def since(self, n_passes: float) -> "Result":
        """Return the same with the passes after the first ``n_passes`` alone."""
        return replace(self, n_passes=self.n_passes - n_passes)


class Solver(Protocol):
    """The signature that solvers share; ``objective`` is as rich as the method needs."""

    def __call__(
        self,
        objective: TwiceDifferentiable,
        theta: NDArray[np.float64],
        *,
        tol: float = ...,
        max_iter: int = ...,
        stop_value: float = ...,
        trace: Trace[Iteration] | None = ...,
    ) -> Result:
        """Minimize from ``theta`` (p,), which is not changed.

        The solver stops, not converged, at a value of ``stop_value`` or less: for callers
        who know that such a value has no optimum below it.
        """
