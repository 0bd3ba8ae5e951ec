"""How good an answer is: the objective of coefficients, computed the same way for everyone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlogreg as flr


def objective(X: NDArray[Any], y: NDArray[np.float64], model: Any, C: float) -> float:
    """Return the penalized mean loss of a fitted model, by the NumPy backend."""
    w = np.ravel(model.coef_).astype(np.float64)
    theta = np.concatenate([np.ravel(model.intercept_).astype(np.float64), w])
    return flr.loss(X, y, theta, backend="numpy") + float(w @ w) / (2.0 * C * len(y))


def optimum(X: NDArray[Any], y: NDArray[np.float64], C: float) -> float:
    """Return the objective of a fit at the tightest tolerance that rounding allows."""
    return objective(X, y, flr.LogisticRegression(C=C, tol=1e-15).fit(X, y), C)


def above_optimum(X: NDArray[Any], y: NDArray[np.float64], model: Any, C: float) -> float:
    """Return the relative distance of a model's objective above the optimum; 0 at best."""
    best = optimum(X, y, C)
    return max(0.0, objective(X, y, model, C) - best) / best
