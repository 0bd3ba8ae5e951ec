"""Fits of one problem under penalties of neighbouring strengths, the strongest first.

Each fit begins where the last one ended, with all that is known there: the loss and its gradient,
the Hessian, the working set of columns (:class:`fastlogreg.solvers.plain.Kept`). So the first
step costs no pass, and where a fit ends within the last step's pass, a point costs one or two.

The path begins at the *null model*, whose coefficients are 0 and whose intercepts are optimal; the
strongest penalty of interest is the least that leaves it there.

References
----------
Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via
coordinate descent, Journal of Statistical Software 33 (the shape of a path, warm starts).
"""

from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import ElasticNet, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result, Universal
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.plain import Kept
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.search import Point

__all__ = ["follow", "null_model", "strongest"]

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


def strongest(unit: ElasticNet, theta: _Vector, point: Point) -> float:
    """Return the least strength of a penalty that leaves all coefficients at 0.

    Parameters
    ----------
    unit : ElasticNet
        The penalty of strength 1.
    theta : ndarray of shape (p,)
    point : Point
        Of :func:`null_model`.
    """
    slope = np.abs(cast(Moments, point.curvature).to_centred(point.gradient))
    held = unit.l1 > 0.0
    slope[~held] = 0.0
    return float((slope[held] / unit.l1[held]).max())


def follow(
    problem: Problem,
    penalties: Iterable[Penalty],
    theta: _Vector,
    point: Point | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
) -> Iterator[Result]:
    """Yield the optimum under each penalty; ask for the next one or leave it.

    Parameters
    ----------
    problem : Problem
        It counts the passes; its own penalty is not looked at.
    penalties : iterable of Penalty
        The strongest first, all elastic nets or all L2.
    theta : ndarray of shape (p,)
        Where the first fit begins: the null model.
    point : Point, optional
        What is known there of the loss, without a penalty.
    tol, max_iter
        Of each fit, as for :func:`fastlogreg.solvers.newton.newton`.

    Yields
    ------
    Result
        Its ``n_passes`` are those of its own fit.
    """
    kept = Kept()
    first = True
    for penalty in penalties:
        part = problem.with_penalty(penalty)
        before = problem.n_passes
        if isinstance(penalty, ElasticNet):
            if first and point is not None:
                kept.begin(penalty, theta, point)
            result = proximal(
                part, theta, tol=tol, max_iter=max_iter, stages=first and point is None, kept=kept
            )
        else:
            seen = cast(Universal, part)
            result = auto(seen, theta, tol=tol, max_iter=max_iter, stages=first)
        first = False
        theta = result.theta
        yield result.since(before)
