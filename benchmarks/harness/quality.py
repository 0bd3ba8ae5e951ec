"""How good an answer is: the objective of coefficients, computed the same way for everyone.

Plain NumPy and SciPy in float64, whatever computed the coefficients: nothing here calls the
kernels, and sparse and weighted problems need no support of ours. The optimum is the lowest
objective that anybody reached, a tight fit of ours and some plain Newton steps included.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, solve
from scipy.sparse.linalg import LinearOperator, cg

import fastlogreg as flr
from benchmarks.harness.problem import Problem, theta_of

_DENSE_FLOPS = 6e10  # of one Hessian: a second or two
_STEPS = 30
_LENGTHS = (1.0, 0.5, 0.25, 0.125)

Vector = NDArray[np.float64]


def objective(problem: Problem, theta: Vector) -> float:
    """Return the penalized mean loss at [b, w_1 .. w_d]; the intercept is free."""
    X, y, weights, C = problem
    z = X @ theta[1:] + theta[0]
    losses = np.logaddexp(0.0, np.where(y == 1.0, -z, z))
    penalty = 0.5 * float(theta[1:] @ theta[1:]) / C
    if weights is None:
        return float(losses.mean()) + penalty / y.size
    return (float((weights * losses).sum()) + penalty) / float(weights.sum())


def newton_step(problem: Problem, theta: Vector) -> Vector:
    """Return the Newton step from theta, its Hessian made by NumPy or only multiplied."""
    X, y, weights, C = problem
    s = np.ones(y.size) if weights is None else weights
    with np.errstate(over="ignore"):
        p = 1.0 / (1.0 + np.exp(-(X @ theta[1:] + theta[0])))
    residual, curvature = s * (p - y), s * p * (1.0 - p)
    gradient = np.concatenate([[residual.sum()], X.T @ residual + theta[1:] / C])
    n, d = X.shape
    if isinstance(X, np.ndarray) and n * d * d <= _DENSE_FLOPS:
        hessian = np.empty((d + 1, d + 1))
        hessian[0, 0] = curvature.sum()
        hessian[0, 1:] = hessian[1:, 0] = X.T @ curvature
        rows = X * np.sqrt(curvature)[:, None]
        hessian[1:, 1:] = rows.T @ rows
        hessian.flat[d + 2 :: d + 2] += 1.0 / C
        scale = 1.0 / np.sqrt(hessian.diagonal())
        scaled = hessian * np.outer(scale, scale)
        return -scale * solve(scaled, scale * gradient, assume_a="pos")

    def product(v: Vector) -> Vector:
        v = v.ravel()
        r = curvature * (X @ v[1:] + v[0])
        return np.concatenate([[r.sum()], X.T @ r + v[1:] / C])

    squares = (X * X if isinstance(X, np.ndarray) else X.multiply(X)).T @ curvature
    inverse = 1.0 / np.concatenate([[curvature.sum()], squares + 1.0 / C])
    shape = (d + 1, d + 1)
    step, _ = cg(
        LinearOperator(shape, matvec=product, dtype=np.float64),
        gradient,
        rtol=1e-6,
        maxiter=500,
        M=LinearOperator(shape, matvec=lambda v: inverse * v.ravel(), dtype=np.float64),
    )
    return -step


def optimum(problem: Problem, *thetas: Vector) -> float:
    """Return the lowest objective found: of ``thetas``, of a tight fit, of Newton from the best."""
    by_value = {objective(problem, theta): theta for theta in thetas}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tight = flr.LogisticRegression(C=problem.C, tol=1e-15, max_iter=500)
            tight.fit(problem.X, problem.y, sample_weight=problem.sample_weight)
            by_value[objective(problem, theta_of(tight))] = theta_of(tight)
        except (TypeError, ValueError):
            if not by_value:  # a storage that is not supported has the others' answers to go by
                by_value[np.log(2.0)] = np.zeros(problem.X.shape[1] + 1)
    value = min(by_value)
    theta = by_value[value]
    for _ in range(_STEPS):
        try:
            step = newton_step(problem, theta)
        except LinAlgError:
            break
        trials = ((objective(problem, theta + t * step), theta + t * step) for t in _LENGTHS)
        lower, theta = next((trial for trial in trials if trial[0] < value), (value, theta))
        gain, value = value - lower, lower
        if gain <= 1e-13 * value:
            break
    return value


def above(problem: Problem, theta: Vector, best: float) -> float:
    """Return the relative distance of an objective above the optimum; 0 at best."""
    return max(0.0, objective(problem, theta) - best) / best


def above_optimum(problem: Problem, model: Any) -> float:
    """Return the relative distance of a model's objective above the optimum; 0 at best."""
    theta = theta_of(model)
    return above(problem, theta, optimum(problem, theta))
