"""Few rows: Newton's steps in one call, from whose end a solver goes on.

Over some hundred rows a pass takes less time than Python takes between two, so the backend makes
all steps at once (:meth:`fastlogreg.backends.SmallPass.lower`). It promises nothing: a solver
begins where it ended, with what is known there, and says whether that is the optimum.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Iteration, Result
from fastlogreg.solvers.convergence import Limits
from fastlogreg.solvers.search import Point
from fastlogreg.solvers.trace import Trace

__all__ = ["Lowered", "lowered"]

_MOST = 20  # steps

_Vector = NDArray[np.float64]


class Lowered(NamedTuple):
    """Where one call has led.

    Attributes
    ----------
    theta : ndarray of shape (p,)
    point : Point or None
        What is known there, with the Hessian; None where nothing is.
    steps : list of Iteration
        The iterates before; one or more.
    length : float
        Of the last step.
    limits : Limits
        What is left of them.
    trace : Trace
        For the solver that goes on: it has heard of the steps.
    """

    theta: _Vector
    point: Point | None
    steps: list[Iteration]
    length: float
    limits: Limits
    trace: Trace[Iteration]

    def counted(self, result: Result) -> Result:
        """Return the result of the solver that went on, with the steps of the call."""
        return replace(result, n_iter=len(self.steps) + result.n_iter)


def lowered(
    objective: Any,
    theta: _Vector,
    l1: _Vector | None,
    limits: Limits,
    trace: Trace[Iteration],
) -> Lowered | None:
    """Return where one call leads; None where rows are many, or each step is to be heard of.

    Parameters
    ----------
    objective : Problem or the like
    theta : ndarray of shape (p,)
        The start; it is not changed.
    l1 : ndarray of shape (p,), optional
        The strengths of L1 in the objective's penalty; None if it is L2.
    limits : Limits
        Where they leave a step or none, the solver takes it itself.
    trace : Trace
    """
    lower = getattr(objective, "lowered", None)
    if lower is None or trace.live or limits.max_iter < 2:
        return None
    if l1 is None:
        theta = objective.layout.centred(theta)
    most = min(limits.max_iter - 1, _MOST)
    found = lower(theta, l1, limits.tol, most, limits.stop_value)
    if found is None or len(found[2]) < 2:
        return None
    end, known, told = found
    share = objective.share
    steps = [
        Iteration(k, passes, value, norm, left, length, share)
        for k, (passes, value, norm, left, length) in enumerate(told[:-1].tolist())
    ]
    for now in steps:
        trace.note(now, end)
    rest = limits._replace(max_iter=limits.max_iter - len(steps))
    point = None if known is None else Point(*known)
    return Lowered(end, point, steps, float(told[-1, 4]), rest, trace.after(len(steps)))
