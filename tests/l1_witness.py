"""An independent optimum with L1, and tables built to deceive: NumPy and SciPy, nothing of ours.

The kinks are gone where ``w = u - v`` with ``u, v >= 0``, which L-BFGS-B minimizes in centred
columns of unit spread; the penalty is that of the columns as they were.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp


def value_gradient(theta, X, y, weights, l2, intercept, classes):
    """Return the mean loss plus the L2 penalty and the gradient, at rows [b, w] of theta."""
    rows = theta.reshape(1 if classes == 2 else classes, -1)
    b, W = (rows[:, 0], rows[:, 1:]) if intercept else (0.0, rows)
    Z = X @ W.T + b
    if classes == 2:
        z = Z[:, 0]
        loss, R = np.logaddexp(0.0, (1 - 2 * y) * z), (expit(z) - y)[:, None]
    else:
        all_of = logsumexp(Z, axis=1)
        loss, R = all_of - Z[np.arange(y.size), y], np.exp(Z - all_of[:, None])
        R[np.arange(y.size), y] -= 1.0
    share = weights / weights.sum()
    R = R * share[:, None]
    G = R.T @ X + l2 * W
    gradient = np.column_stack([R.sum(axis=0), G]) if intercept else G
    return float(share @ loss + 0.5 * l2 * (W**2).sum()), gradient.ravel(), W


def objective(model, X, y, weights=None):
    """Return the objective of a fitted model, divided by C times the sum of weights."""
    weights = np.ones(y.size) if weights is None else weights
    rows = np.asarray(model.coef_, float)
    if model.fit_intercept:
        rows = np.column_stack([model.intercept_, rows])
    strength = 1.0 / (model.C * weights.sum())
    l1, l2 = model.l1_ratio * strength, (1.0 - model.l1_ratio) * strength
    classes = model.classes_.size
    value, _, W = value_gradient(rows.ravel(), X, y, weights, l2, model.fit_intercept, classes)
    return value + l1 * float(np.abs(W).sum())


def optimum(model, X, y, weights=None):
    """Return the least objective for the parameters of a model."""
    weights = np.ones(y.size) if weights is None else weights
    first, classes = int(model.fit_intercept), max(2, np.unique(y).size)
    m, share = (1 if classes == 2 else classes), weights / weights.sum()
    centre = share @ X if first else np.zeros(X.shape[1])
    spread = np.sqrt(share @ (X - centre) ** 2)
    spread[spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)] = 1.0
    A = (X - centre) / spread
    free = np.zeros((m, X.shape[1] + first), dtype=bool)
    free[:, :first] = True
    by = np.ones(free.shape)
    by[:, first:] = 1.0 / spread
    free, by = free.ravel(), by.ravel()
    strength = 1.0 / (model.C * weights.sum())
    l1 = np.where(free, 0.0, model.l1_ratio * strength * by)
    l2 = np.where(free, 0.0, (1.0 - model.l1_ratio) * strength * by**2)

    def of_parts(parts):
        plus, minus = np.split(parts, 2)
        theta = plus - minus
        value, gradient, _ = value_gradient(theta, A, y, weights, 0.0, model.fit_intercept, classes)
        value += 0.5 * float(l2 @ theta**2) + float(l1 @ (plus + minus))
        gradient = gradient + l2 * theta
        return value, np.concatenate([gradient + l1, np.where(free, 0.0, l1 - gradient)])

    bounds = [(None, None) if f else (0, None) for f in free]
    bounds += [(0, 0) if f else (0, None) for f in free]
    options = {"maxiter": 20000, "maxfun": 30000, "ftol": 1e-16, "gtol": 1e-13, "maxcor": 50}
    at = np.zeros(2 * free.size)
    for _ in range(4):  # a new start forgets curvatures that mislead
        found = minimize(of_parts, at, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        at = found.x
    return float(found.fun)


def deceiving(seed):
    """Return X, codes of two to five classes, weights or None, and the model's parameters."""
    rng = np.random.default_rng(seed)
    n, d, classes = int(rng.integers(2, 400)), int(rng.integers(1, 30)), rng.choice([2, 2, 3, 5])
    X = rng.normal(size=(n, d))
    for j in range(d):
        kind, other = rng.integers(0, 9), rng.integers(0, max(j, 1))
        if kind == 0:
            X[:, j] = rng.random(n) < 3 / n
        elif kind == 1:
            X[:, j] *= 10.0 ** rng.integers(-6, 7)
        elif kind == 2:
            X[:, j] += 10.0 ** rng.integers(1, 6)
        elif kind == 3 and j:
            X[:, j] = X[:, other]
        elif kind == 4 and j:
            X[:, j] = X[:, other] + 1e-4 * X[:, j]
        elif kind == 5:
            X[:, j] = rng.normal()
    W = rng.normal(size=(d, classes)) * (rng.random((d, 1)) < 0.4)
    W /= np.maximum(X.std(axis=0), 1e-12)[:, None]
    Z = (X - X.mean(axis=0)) @ W * rng.choice([0.3, 1, 5])
    y = np.argmax(Z + rng.gumbel(size=Z.shape), axis=1)
    if np.unique(y).size < 2:
        y[0] = (y[0] + 1) % classes
    y = np.unique(y, return_inverse=True)[1]
    weights, kind = None, rng.integers(0, 4)
    if kind == 0:
        weights = rng.integers(0, 4, n).astype(float)
    elif kind == 1:
        weights = np.ones(n)
        weights[0] = 1e4
    if weights is not None and np.unique(y[weights > 0]).size < np.unique(y).size:
        weights = None
    parameters = {
        "l1_ratio": float(rng.choice([1.0, 1.0, 0.5, 0.1])),
        "C": 10.0 ** rng.uniform(-2, 2),
        "fit_intercept": bool(rng.random() < 0.9),
    }
    return X, y, weights, parameters
