"""Solvers work in columns near to 0: see :mod:`fastlogreg.problem.centring`."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.centring import centring
from fastlogreg.solvers import Result
from fastlogreg.solvers.trace import Trace

__all__ = ["in_near_columns"]

_Solve = TypeVar("_Solve", bound=Callable[..., Result])


def in_near_columns(solve: _Solve) -> _Solve:
    """Return the solver, which works in columns near to 0 where those of the problem are far.

    Values, distances and passes are the same there; the trace hears of theta in the columns as they
    are, and the size of the gradient is that in the columns near to 0; derivatives at the end are
    not handed on. A Hessian that is given
    (``hessian=``) is of the columns as they are, and so is then the solver's work.
    """

    @wraps(solve)
    def solved(
        objective: Any,
        theta: NDArray[np.float64],
        *,
        trace: Trace[Any] | None = None,
        **options: Any,
    ) -> Result:
        near = centring(objective) if options.get("hessian") is None else None
        if near is None:
            return solve(objective, theta, trace=trace, **options)
        seen = (Trace() if trace is None else trace).through(near.back)
        result = solve(near.problem, near.there(theta), trace=seen, **options)
        return replace(result, theta=near.back(result.theta), point=None)

    return cast(_Solve, solved)
