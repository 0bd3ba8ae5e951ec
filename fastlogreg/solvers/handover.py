"""One solver goes on where another ended, and both are one fit: steps, history, callback."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastlogreg.problem.layout import Layout
from fastlogreg.solvers import Iteration, Result, TwiceDifferentiable
from fastlogreg.solvers.trace import Trace

__all__ = ["budget", "fits", "go_on", "is_cheap", "parts"]

_CHEAP = 12.0  # Hessian passes, in gradient passes, up to which Newton is taken at once
STAGE = 8  # rows of one stage over those of the one before
_STAGE_ROWS = 20  # times p: the least rows of a stage
_STAGE_LEAST = 1000  # rows
_LARGEST = 6000  # p of the largest Hessian: 288 MB, and as much again to factor it
_PATIENCE = 2.0  # times what Newton would cost


def is_cheap(objective: TwiceDifferentiable) -> bool:
    """Whether Newton is taken at once: a Hessian fits, and costs little.

    With several columns of margins the Hessian is dearer, and where it can be that of a part of the
    rows, that is what it costs (covtype-like 1e5 x 54, K = 7: 46 passes, and Newton needs 20).
    """
    layout, cost = objective.layout, objective.hessian_passes
    if layout.n_outputs > 1 and parts(objective.effective_rows(), layout):
        cost /= STAGE
    return fits(layout.size) and cost <= _CHEAP


def parts(rows: float, layout: Layout) -> list[int]:
    """Return of how many rows each stage takes one, the smallest part first.

    Rows of several classes say more than those of two: half as many do for each parameter.
    """
    least = _STAGE_ROWS * layout.size / (1 if layout.n_outputs == 1 else 2)
    steps = []
    step = STAGE
    while rows / step >= max(least, _STAGE_LEAST):
        steps.append(step)
        step *= STAGE
    return steps[::-1]


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
