"""Newton's model of a problem that is lowered column by column: its Hessian is never made."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import ClassQuadratic, ColumnQuadratic
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import move_along_flat

__all__ = ["ClassColumnModel", "ColumnModel", "Descent", "OneColumnModel"]

_Vector = NDArray[np.float64]


class Descent(NamedTuple):
    """Coordinate descent on a model: from where, under which L1, and how far.

    Attributes
    ----------
    theta, gradient : ndarray of shape (p,)
        Where the model is made.
    l1 : ndarray of shape (p,)
    guess : ndarray of shape (p,)
        Where it begins; its intercepts do not matter.
    enough : float
        By how much slopes at a coordinate may still move, relative to ``l1``.
    sweeps : int
        At most.
    """

    theta: _Vector
    gradient: _Vector
    l1: _Vector
    guess: _Vector
    enough: float
    sweeps: int


class ColumnModel(ABC):
    """The Hessian of a problem at one theta, by column, never made.

    Attributes
    ----------
    moments : Moments
    """

    moments: Moments

    @abstractmethod
    def lower(self, descent: Descent) -> tuple[_Vector, bool]:
        """Return the step, (p,), of coordinate descent, and whether no sweep would add to it."""


class OneColumnModel(ColumnModel):
    """That of one column of margins.

    Parameters
    ----------
    source : RowSource
        One that goes by column.
    curvatures : ndarray of shape (n,)
        Weight times second derivative of the loss of each row, over the sum of weights.
    moments : Moments
    """

    def __init__(self, source: Any, curvatures: NDArray[np.float64], moments: Moments) -> None:
        self._source = source
        self._curvatures = curvatures
        self.moments = moments

    def lower(self, descent: Descent) -> tuple[_Vector, bool]:
        """Return the step, (p,), and whether it is done; see :class:`ColumnModel`."""
        theta, gradient, l1, guess, enough, sweeps = descent
        moments, first = self.moments, self.moments.layout.first
        centre, soft, total = moments.centre[0], moments.penalty[0], float(moments.total[0])
        slope = np.ascontiguousarray(moments.to_centred(gradient)[first:])
        w = np.ascontiguousarray(theta[first:])
        u = guess[first:].copy()
        model = ColumnQuadratic(
            slope,
            moments.spread[0] + soft,
            np.ascontiguousarray(soft),
            np.ascontiguousarray(centre),
            np.ascontiguousarray(l1[first:]),
            w,
            total if first else 0.0,
        )
        left = self._source.column_descent(self._curvatures, model, u, enough, sweeps)
        return moments.with_intercept(u - w, gradient), left <= enough


class ClassColumnModel(ColumnModel):
    """That of several classes.

    Parameters
    ----------
    source : RowSource
        One that goes by column.
    probabilities : ndarray of shape (n, K)
    moments : Moments
    coupling : ndarray of shape (K, K)
        The Hessian between intercepts.
    """

    def __init__(
        self,
        source: Any,
        probabilities: NDArray[np.float64],
        moments: Moments,
        coupling: NDArray[np.float64],
    ) -> None:
        self._source = source
        self._probabilities = probabilities
        self._coupling = coupling
        self.moments = moments

    def lower(self, descent: Descent) -> tuple[_Vector, bool]:
        """Return the step, (p,), and whether it is done; see :class:`ColumnModel`.

        It begins where the model is made.
        """
        theta, gradient, l1, _, enough, sweeps = descent
        moments, layout = self.moments, self.moments.layout
        own = layout.intercepts(gradient).reshape(-1)
        start = np.ascontiguousarray(layout.coefficients(theta))
        model = ClassQuadratic(
            np.ascontiguousarray(layout.coefficients(gradient)),
            moments.squares + moments.penalty,
            np.ascontiguousarray(moments.penalty),
            np.ascontiguousarray(layout.coefficients(l1)),
            start,
            own.copy(),
            self._coupling if layout.first else np.empty((0, 0)),
        )
        u, b = start.copy(), np.zeros(own.size)
        of_rows, along_flat = self._probabilities, partial(move_along_flat, model.l1, model.l2)
        left = self._source.class_descent(of_rows, model, u, b, enough, sweeps, along_flat)
        step = np.zeros(layout.size)
        layout.coefficients(step)[:] = u - start
        layout.intercepts(step)[:] = b.reshape(layout.n_outputs, layout.first)
        return step, left <= enough
