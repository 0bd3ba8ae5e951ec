"""Proximal Newton: a penalty with kinks or bounds, exact zeros and a duality gap.

Each step lowers Newton's quadratic model plus the L1 penalty between the bounds by coordinate
descent (:mod:`fastlogreg.solvers.quadratic`). The Hessian is kept as long as its steps do well.

Where a Hessian of all columns is dear, the same is done in a *working set* of columns: those that
are not 0 and those whose gradient is furthest beyond the L1 strength. Each round costs a pass over
all columns, which also gives the gap over all columns. The stop rule is that gap
(:mod:`fastlogreg.solvers.by_gap`).

A penalty is *plain* where every coefficient has L1 and none has bounds
(:mod:`fastlogreg.solvers.plain`); all others go by :mod:`fastlogreg.solvers.box`.

References
----------
Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM
J. Optim. 24; Massias, Gramfort and Salmon (2018), Celer: a fast solver for the Lasso with dual
extrapolation, ICML (working sets by violation).
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Iteration, Result, Status
from fastlogreg.solvers.at_once import lowered
from fastlogreg.solvers.box import BoxModel, BoxSets, final_gap
from fastlogreg.solvers.by_gap import LARGEST, go, judge, moments_of, stages_of, stopped
from fastlogreg.solvers.convergence import Convergence, Limits
from fastlogreg.solvers.near import in_near_columns
from fastlogreg.solvers.plain import Kept, Near, PlainModel, PlainSets, is_plain
from fastlogreg.solvers.search import Point
from fastlogreg.solvers.trace import Trace
from fastlogreg.solvers.unpenalized import has_unpenalized

__all__ = ["proximal"]

_DIRECT = 300  # entries of theta up to which all columns are one working set; of classes more

_Vector = NDArray[np.float64]


@in_near_columns
def proximal(
    objective: Problem,
    theta: _Vector,
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
    stages: bool = True,
    kept: Kept | None = None,
) -> Result:
    """Minimize a loss with hard labels and an elastic net penalty, between bounds or without.

    Parameters
    ----------
    objective : Problem
        Its penalty is an :class:`fastlogreg.problem.penalties.ElasticNet`.
    theta : ndarray of shape (p,)
        The start; it is not changed. Where it is outside of the bounds it is moved there.
    tol : float, default=1e-8
        Converged where the duality gap is at most ``tol`` times the value.
    max_iter, stop_value, trace, stages
        As for :func:`fastlogreg.solvers.newton.newton`.
    kept : Kept, optional
        What fits with neighbouring penalties have left, and where this one leaves its own; only
        plain penalties know it.

    Returns
    -------
    Result
        Its ``decrement`` is the duality gap, and ``gradient_norm`` the largest distance of 0 from
        a subdifferential.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> rows = MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))
    >>> strengths = np.array([0.0, 0.1, 0.1])
    >>> result = proximal(Problem(rows, ElasticNet(strengths, np.zeros(3))), np.zeros(3))
    >>> result.converged, result.theta.round(4)
    (True, array([ 1.3863,  0.    , -2.7726]))
    """
    trace = Trace() if trace is None else trace
    convergence = judge(objective, Limits(tol, max_iter, stop_value))
    stages = stages and max_iter > 0
    with np.errstate(over="ignore", invalid="ignore"):  # models far out: no step is taken by them
        if is_plain(objective):
            kept = Kept() if kept is None else kept
            return _plain(objective, theta, convergence, trace, stages, kept)
        return _between_bounds(objective, theta, convergence, trace, stages)


def _plain(
    objective: Problem,
    theta: _Vector,
    convergence: Convergence,
    trace: Trace[Iteration],
    stages: bool,
    kept: Kept,
) -> Result:
    """Minimize with a plain penalty."""
    start, near = kept.of_all.at(objective, theta)
    direct = objective.size <= (_DIRECT if objective.layout.n_outputs == 1 else LARGEST)
    if direct and start is not None and near.curvature is None:
        direct = not kept.is_narrow(objective, theta, start)
    direction: PlainModel | PlainSets
    l1 = cast(ElasticNet, objective.penalty).l1
    few = lowered(objective, theta, l1, convergence.limits, trace) if direct else None
    if few is not None:
        theta, trace = few.theta, few.trace
        convergence, near = judge(objective, few.limits), Near()
        start = few.point
        if start is not None:
            start = start._replace(curvature=moments_of(start.curvature, objective))
    elif direct:
        if stages:
            theta, curvature, status = stages_of(objective, theta, trace, _plain_model)
            if status is Status.STOPPED:
                return stopped(objective, theta, trace)
            near = Near(curvature)
            if curvature is not None:  # of a part of the rows, which shows what is needed of all
                start = Point(*objective.value_gradient_moments(theta))
                direct = not kept.is_narrow(objective, theta, start)
    if direct:
        direction = PlainModel(objective, convergence, near, start)
    else:
        direction = PlainSets(objective, convergence, kept, start)
    result = go(objective, theta, direction, convergence, trace)
    kept.of_all = direction.left()
    return result if few is None else few.counted(result)


def _plain_model(objective: Problem, convergence: Convergence, curvature: Any) -> PlainModel:
    return PlainModel(objective, convergence, Near(curvature))


def _between_bounds(
    objective: Problem,
    theta: _Vector,
    convergence: Convergence,
    trace: Trace[Iteration],
    stages: bool,
) -> Result:
    """Minimize with any elastic net, between bounds or where columns have no penalty."""
    penalty = cast(ElasticNet, objective.penalty)
    theta = penalty.projected(theta)
    direction: BoxModel | BoxSets
    if objective.size <= (_DIRECT if penalty.l1.any() else LARGEST):
        hessian = None
        # a part of the rows may be separated by columns without a penalty
        if stages and not has_unpenalized(objective):
            theta, hessian, status = stages_of(objective, theta, trace, BoxModel)
            if status is Status.STOPPED:
                return stopped(objective, theta, trace)
        direction = BoxModel(objective, convergence, hessian)
    else:
        direction = BoxSets(objective, convergence)
    result = go(objective, theta, direction, convergence, trace)
    if result.finite and has_unpenalized(objective):
        if not result.converged:
            return replace(result, decrement=final_gap(objective, result.theta))
        rounding = _margin_rounding(objective, result.theta)
        if rounding > convergence.limits.tol * result.value:
            gap = result.decrement + rounding
            result = replace(result, decrement=gap, converged=False, status=Status.NO_DESCENT)
        return replace(result, n_passes=objective.n_passes)
    return result


def _margin_rounding(objective: Problem, theta: _Vector) -> float:
    """Return how much rounding margins may carry, by the ranges of the columns.

    A constant column without a penalty is an intercept: both may run to 1e10 against each other.
    """
    layout = objective.layout
    low, high = objective.column_ranges()
    size = np.abs(layout.coefficients(theta)) @ np.maximum(np.abs(low), np.abs(high))
    if layout.first:
        size = size + np.abs(layout.intercepts(theta))[:, 0]
    return float(np.finfo(np.float64).eps * size.max())
