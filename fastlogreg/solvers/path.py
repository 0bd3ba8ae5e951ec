"""Fits of one problem under penalties of neighbouring strengths, the strongest first.

Each fit begins where the last one ended, with all that is known there: the loss and its gradient,
the Hessian, the working set of columns (:class:`fastlogreg.solvers.plain.Kept`). So the first
step costs no pass, and where a fit ends within the last step's pass, a point costs one or two.

The *null model* has coefficients of 0 and optimal intercepts. The path begins at the *base*: the
null model, or where columns have no penalty or 0 is outside of bounds, the optimum with all other
columns as near to 0 as they may be. The strongest penalty of interest is the least that leaves it
there.

References
----------
Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via
coordinate descent, Journal of Statistical Software 33 (the shape of a path, warm starts).
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import L2, ElasticNet, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result, Universal
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.plain import Kept
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.search import Point

__all__ = ["base_model", "follow", "null_model", "strongest"]

_STEPS = 50  # of the intercepts
_ROUNDING = 1e-15  # of the value
_LEAST = 1e-12  # share of a class in a first guess

_Vector = NDArray[np.float64]


def null_model(problem: Problem) -> tuple[_Vector, Point]:
    """Return the optimum of the intercepts where all coefficients are 0, and what is known there.

    Parameters
    ----------
    problem : Problem
        Whatever its penalty is: it has no part in the null model's value.

    Returns
    -------
    theta : ndarray of shape (p,)
    Point
        Its curvature are moments.

    Examples
    --------
    >>> from fastlogreg.data.memory import MemoryRows
    >>> rows = MemoryRows(np.ones((4, 1)), np.array([0.0, 1.0, 1.0, 1.0]))
    >>> null_model(Problem(rows))[0].round(6)
    array([1.098612, 0.      ])
    """
    layout = problem.layout
    theta = np.zeros(layout.size)
    point = Point(*problem.value_gradient_moments(theta))
    if not layout.intercept:
        return theta, point
    step = _first_guess(problem, point)
    for _ in range(_STEPS):
        b = layout.intercepts(point.gradient).reshape(-1)
        gain = -0.5 * float(b @ step)
        if not gain > _ROUNDING * point.value:
            break
        for _ in range(_STEPS):
            trial = theta.copy()
            layout.intercepts(trial)[:, 0] += step
            found = Point(*problem.value_gradient_moments(trial))
            if found.value < point.value:
                break
            step = 0.5 * step
        else:
            break
        theta, point = trial, found
        step = _newton_step(problem, theta, point)
    return theta, point


def _first_guess(problem: Problem, point: Point) -> _Vector:
    """Return the step of the intercepts from 0 to the optimum where there is no offset."""
    m = problem.layout.n_outputs
    b = problem.layout.intercepts(point.gradient).reshape(-1)
    shares = np.maximum((0.5 if m == 1 else 1.0 / m) - b, _LEAST)
    if m == 1:
        step: _Vector = np.log(shares / np.maximum(1.0 - shares, _LEAST))
        return step
    logs: _Vector = np.log(shares)
    logs -= logs.mean()
    return logs


def _newton_step(problem: Problem, theta: _Vector, point: Point) -> _Vector:
    """Return Newton's step of the intercepts alone."""
    layout = problem.layout
    b = layout.intercepts(point.gradient).reshape(-1)
    if layout.n_outputs == 1:
        total = cast(Moments, point.curvature).total
        return np.divide(-b, total, out=np.zeros_like(b), where=total > 0.0)
    if float(np.abs(b).max()) <= _ROUNDING:
        return np.zeros_like(b)
    coupling = problem.value_gradient_product(theta)[2].coupling()
    step: _Vector = -np.linalg.pinv(coupling, hermitian=True) @ b
    return step


def base_model(
    problem: Problem,
    unit: ElasticNet,
    theta: _Vector,
    point: Point,
    *,
    tol: float,
    max_iter: int,
    stop_value: float = 0.0,
) -> tuple[_Vector, Point]:
    """Return where a path begins, and what is known there.

    Parameters
    ----------
    problem : Problem
        Without a penalty of its own.
    unit : ElasticNet
        The penalty of the path at strength 1.
    theta : ndarray of shape (p,)
    point : Point
        Of :func:`null_model`.
    tol, max_iter, stop_value
        As solvers take them. Rows that columns without a penalty separate have no such optimum:
        this then ends far out.
    """
    layout = problem.layout
    pinned = layout.by_column(1.0) > 0.0
    pinned &= ~unit.unpenalized
    nearest = np.where(pinned, np.clip(0.0, unit.lower, unit.upper), 0.0)
    if not nearest.any() and not unit.bounded and bool((pinned == layout.by_column(1.0)).all()):
        return theta, point
    limits: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "stop_value": stop_value}
    none = np.zeros(theta.size)
    if nearest.any():
        lower, upper = (np.where(pinned, nearest, bound) for bound in (unit.lower, unit.upper))
        own = problem.with_penalty(ElasticNet(none, none, lower, upper))
        found = proximal(own, nearest + np.where(pinned, 0.0, theta), **limits).theta
    else:
        free = layout.coefficients((unit.unpenalized & ~pinned).astype(np.float64)).any(axis=0)
        chosen = np.flatnonzero(free)
        if not chosen.size:
            return theta, point
        places = layout.entries(chosen)
        bounds = unit.lower[places], unit.upper[places]
        box = ElasticNet(none[places], none[places], *bounds)
        part = problem.columns(chosen)
        found = np.zeros(theta.size)
        if box.bounded:
            result = proximal(part.with_penalty(box), theta[places], **limits)
        else:
            seen = cast(Universal, part.with_penalty(L2(none[places])))
            result = auto(seen, theta[places], **limits)
        found[places] = result.theta
    return found, Point(*problem.value_gradient_moments(found))


def strongest(unit: ElasticNet, theta: _Vector, point: Point) -> float:
    """Return the least strength of a penalty that leaves all coefficients as near to 0 as may be.

    Parameters
    ----------
    unit : ElasticNet
        The penalty of strength 1.
    theta : ndarray of shape (p,)
    point : Point
        Of :func:`base_model`.

    Returns
    -------
    float
        0 where no coefficient has L1, or none has a slope.
    """
    slope = cast(Moments, point.curvature).to_centred(point.gradient)
    held = (unit.l1 > 0.0) & (unit.lower < unit.upper)
    if not held.any():
        return 0.0
    upward = np.where(theta < unit.upper, -slope, 0.0)
    outward = np.maximum(upward, np.where(theta > unit.lower, slope, 0.0))
    price = unit.l1 + unit.smooth_diagonal * np.abs(theta)
    return max(0.0, float((outward[held] / price[held]).max()))


def follow(
    problem: Problem,
    penalties: Iterable[Penalty],
    theta: _Vector,
    point: Point | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
) -> Iterator[Result]:
    """Yield the optimum under each penalty; ask for the next one or leave it.

    Parameters
    ----------
    problem : Problem
        It counts the passes; its own penalty is not looked at.
    penalties : iterable of Penalty
        The strongest first, all elastic nets or all L2.
    theta : ndarray of shape (p,)
        Where the first fit begins: the base model.
    point : Point, optional
        What is known there of the loss, without a penalty.
    tol, max_iter, stop_value
        Of each fit, as for :func:`fastlogreg.solvers.newton.newton`.

    Yields
    ------
    Result
        Its ``n_passes`` are those of its own fit.
    """
    kept = Kept()
    limits: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "stop_value": stop_value}
    first = True
    for penalty in penalties:
        part = problem.with_penalty(penalty)
        before = problem.n_passes
        if isinstance(penalty, ElasticNet):
            if first and point is not None:
                kept.begin(penalty, theta, point)
            result = proximal(part, theta, stages=first and point is None, kept=kept, **limits)
        else:
            seen = cast(Universal, part)
            result = auto(seen, theta, stages=first, **limits)
        first = False
        theta = result.theta
        yield result.since(before)
