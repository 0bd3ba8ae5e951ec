"""One solver goes on where another ended, and both are one fit: steps, history, callback."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastlogreg.solvers import Iteration, Result, TwiceDifferentiable
from fastlogreg.solvers.trace import Trace

__all__ = ["budget", "fits", "go_on", "is_cheap"]

_CHEAP = 12.0  # Hessian passes, in gradient passes, up to which Newton is taken at once
_CHEAP_OF_SEVERAL = 100.0
_LARGEST = 6000  # p of the largest Hessian: 288 MB, and as much again to factor it
_PATIENCE = 2.0  # times what Newton would cost


def is_cheap(objective: TwiceDifferentiable) -> bool:
    """Whether Newton is taken at once: a Hessian fits, and costs little.

    With several columns of margins conjugate gradients need more products (30 to 300 on ten
    tables of 3 to 100 classes, where Newton needs 7 to 50 gradients), so a Hessian may cost more.
    """
    limit = _CHEAP if objective.layout.n_outputs == 1 else _CHEAP_OF_SEVERAL
    return fits(objective.layout.size) and objective.hessian_passes <= limit


def fits(size: int) -> bool:
    """Whether a Hessian of ``size`` parameters fits in memory."""
    return size <= _LARGEST


def budget(hessian_passes: float, size: int) -> float:
    """Return after how many passes a solver without Hessians should hand over to Newton."""
    return _PATIENCE * (hessian_passes + 10.0) if fits(size) else np.inf


def go_on(
    solve: Callable[..., Result],
    objective: Any,
    first: Result,
    *,
    max_iter: int,
    trace: Trace[Iteration],
    **options: Any,
) -> Result:
    """Return the result of ``solve`` from where ``first`` ended, as one fit with one trace.

    ``max_iter`` counts the steps of both.
    """
    rest = solve(
        objective,
        first.theta,
        max_iter=max_iter - first.n_iter,
        trace=trace.after(first.n_iter),
        **options,
    )
    return replace(rest, n_iter=first.n_iter + rest.n_iter)
