"""High-precision truth for the tests: textbook definitions in mpmath, nothing of ours.

Derivatives are taken by mpmath's own differentiation in 60 digits, so that no formula of
the library is checked against itself retyped.
"""

import math

import mpmath as mp
import numpy as np

DIGITS = 60


def sigmoid(z):
    """Return 1 / (1 + exp(-z)); limits at infinity."""
    return 1 / (1 + mp.exp(-z))


def prediction(z, activation):
    if activation == "identity":
        return z
    return sigmoid(z) if activation == "sigmoid" else (mp.tanh(z) + 1) / 2


def sample_loss(z, y, loss, activation):
    """Return the loss of one sample by its definition; 0 log 0 is 0."""
    p = prediction(z, activation)
    if loss == "mse":
        return (p - y) ** 2
    left = -y * mp.log(p) if y != 0 else mp.mpf(0)
    right = -(1 - y) * mp.log(1 - p) if y != 1 else mp.mpf(0)
    return left + right


def mean_loss(X, y, theta, loss, activation, weights=None, offset=None, intercept=True):
    """Return the (weighted) mean loss of mpf parameters theta on float data."""
    total = size = mp.mpf(0)
    for i, row in enumerate(np.asarray(X, dtype=float)):
        z = theta[0] if intercept else mp.mpf(0)
        for x, w in zip(row, theta[int(intercept) :], strict=True):
            z += mp.mpf(float(x)) * w
        if offset is not None:
            z += mp.mpf(float(offset[i]))
        weight = mp.mpf(1 if weights is None else float(weights[i]))
        size += weight
        total += weight * sample_loss(z, mp.mpf(float(y[i])), loss, activation)
    return total / size


def derivatives(X, y, theta, loss, activation, **rest):
    """Return (loss, gradient, Hessian) as floats, by differentiation in 60 digits."""
    with mp.workdps(DIGITS):
        at = [mp.mpf(float(t)) for t in theta]
        p = len(at)

        def f(*parameters):
            return mean_loss(X, y, list(parameters), loss, activation, **rest)

        def partial(*orders):
            return float(mp.diff(f, tuple(at), orders))

        unit = np.eye(p, dtype=int)
        gradient = np.array([partial(*map(int, unit[j])) for j in range(p)])
        hessian = np.array(
            [[partial(*map(int, unit[j] + unit[k])) for k in range(p)] for j in range(p)]
        )
        return float(f(*at)), gradient, hessian


def ulps(computed, exact):
    """Return the distance of a float from an mpf in units of the exact value's last place."""
    computed = float(computed)
    rounded = float(exact)
    if math.isnan(rounded):
        return 0.0 if math.isnan(computed) else math.inf
    if math.isinf(rounded) or math.isinf(computed):
        return 0.0 if computed == rounded else math.inf
    if math.isnan(computed):
        return math.inf
    return float(abs(mp.mpf(computed) - exact) / mp.mpf(math.ulp(rounded)))
