"""An independent optimum with L1, factors and bounds, and tables built to deceive.

NumPy and SciPy, nothing of ours. The kinks are gone where ``w = u - v`` with ``u, v >= 0``, which
L-BFGS-B minimizes in centred columns of unit spread, between the bounds; the penalty is that of the
columns as they were.
"""

import numpy as np
from scipy.optimize import linprog, minimize
from scipy.special import expit, logsumexp

_FAR = {"maxiter": 20000, "maxfun": 30000, "ftol": 1e-16, "gtol": 1e-13, "maxcor": 50}


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


def _penalty(model, total, d):
    """Return the strengths of L1 and L2 and the bounds of a model's columns, (d,) each."""
    given = model.get_params()
    factors = given.get("penalty_factors")
    lower, upper = given.get("lower_bounds"), given.get("upper_bounds")
    strength = np.ones(d) if factors is None else np.asarray(factors, float)
    strength = strength / (model.C * total)
    low = np.full(d, -np.inf) if lower is None else np.broadcast_to(lower, d)
    high = np.full(d, np.inf) if upper is None else np.broadcast_to(upper, d)
    return model.l1_ratio * strength, (1.0 - model.l1_ratio) * strength, low, high


def violation(model):
    """Return by how much a coefficient of a fitted model is outside of its bounds at the most."""
    _, _, low, high = _penalty(model, 1.0, model.coef_.shape[1])
    return float(max((low - model.coef_).max(), (model.coef_ - high).max(), 0.0))


def objective(model, X, y, weights=None):
    """Return the objective of a fitted model, divided by C times the sum of weights."""
    weights = np.ones(y.size) if weights is None else weights
    rows = np.asarray(model.coef_, float)
    if model.fit_intercept:
        rows = np.column_stack([model.intercept_, rows])
    l1, l2, _, _ = _penalty(model, weights.sum(), X.shape[1])
    classes = model.classes_.size
    value, _, W = value_gradient(rows.ravel(), X, y, weights, 0.0, model.fit_intercept, classes)
    return value + float((l1 * np.abs(W)).sum() + 0.5 * (l2 * W**2).sum())


def optimum(model, X, y, weights=None, *, polish=False):
    """Return the least objective for the parameters of a model.

    With ``polish`` it is looked for from the model's coefficients too: is there a way down?
    """
    weights = np.ones(y.size) if weights is None else weights
    first, classes = int(model.fit_intercept), max(2, np.unique(y).size)
    m, share = (1 if classes == 2 else classes), weights / weights.sum()
    centre = share @ X if first else np.zeros(X.shape[1])
    spread = np.sqrt(share @ (X - centre) ** 2)
    spread[spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)] = 1.0
    A = (X - centre) / spread
    l1, l2, low, high = _penalty(model, weights.sum(), X.shape[1])

    def of_all(values, at_intercept):
        return np.tile(np.r_[[at_intercept] * first, values], m)

    l1, l2 = of_all(l1 / spread, 0.0), of_all(l2 / spread**2, 0.0)
    low, high = of_all(low * spread, -np.inf), of_all(high * spread, np.inf)

    def of_parts(parts):
        plus, minus = np.split(parts, 2)
        theta = plus - minus
        value, gradient, _ = value_gradient(theta, A, y, weights, 0.0, model.fit_intercept, classes)
        value += 0.5 * float(l2 @ theta**2) + float(l1 @ (plus + minus))
        gradient = gradient + l2 * theta
        return value, np.concatenate([gradient + l1, l1 - gradient])

    kinks = l1 > 0.0
    bounds = [
        (max(lo, 0.0), max(hi, 0.0)) if kink else (lo, hi)
        for lo, hi, kink in zip(low, high, kinks, strict=True)
    ]
    bounds += [
        (max(-hi, 0.0), max(-lo, 0.0)) if kink else (0.0, 0.0)
        for lo, hi, kink in zip(low, high, kinks, strict=True)
    ]
    least, most = np.array(bounds).T

    def lowest(theta):
        at = np.r_[np.where(kinks, np.maximum(theta, 0.0), theta), np.maximum(-theta, 0.0) * kinks]
        at = np.clip(at, least, most)
        for _ in range(4):  # a new start forgets curvatures that mislead
            found = minimize(of_parts, at, jac=True, method="L-BFGS-B", bounds=bounds, options=_FAR)
            at = found.x
        return float(found.fun)

    best = lowest(np.zeros(l1.size))
    if polish:
        rows = model.coef_.astype(float) * spread
        if first:
            rows = np.column_stack([model.intercept_ + model.coef_ @ centre, rows])
        best = min(best, lowest(rows.ravel()))
    return best


def is_separated(model, X, y, weights=None):
    """Return whether the loss falls for ever along entries without a penalty, by a linear program.

    Whether a direction raises the margin of each row's own class against no other class less than
    it stands, and some more; near that, to 1e-5, the answer is not sure.
    """
    kept = np.ones(y.size, dtype=bool) if weights is None else weights > 0.0
    X, y = X[kept], y[kept]
    first, classes = int(model.fit_intercept), model.classes_.size
    l1, l2, low, high = _penalty(model, 1.0, X.shape[1])
    none = (l1 == 0.0) & (l2 == 0.0)
    if not (none & (np.isinf(low) | np.isinf(high))).any():
        return False
    centre = X.mean(axis=0) if first else 0.0
    spread = np.sqrt(np.mean((X - centre) ** 2, axis=0))
    moves = none & (spread > 1e-12 * np.maximum(np.abs(X).max(axis=0), 1e-300))
    A = (X - centre) / np.where(moves, spread, 1.0) * moves
    A = np.column_stack([np.ones((y.size, first)), A])
    reach = float(np.abs(A).sum(axis=1).max())
    least = np.r_[[-reach] * first, np.where(moves & np.isinf(low), -1.0, 0.0)]
    most = np.r_[[reach] * first, np.where(moves & np.isinf(high), 1.0, 0.0)]
    if classes == 2:
        rows, m = (2 * y - 1)[:, None] * A, 1
    else:
        m, p = classes, A.shape[1]
        rows = np.zeros((y.size, classes - 1, classes, p))
        for i, own in enumerate(y):
            for at, other in enumerate(np.delete(np.arange(classes), own)):
                rows[i, at, own], rows[i, at, other] = A[i], -A[i]
        rows = rows.reshape(-1, classes * p)
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300)
    box = list(zip(np.tile(least, m), np.tile(most, m), strict=True))
    found = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=box)
    return bool(found.status == 0 and -found.fun > 1e-5)


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


def deceiving_penalties(seed):
    """Return a table as :func:`deceiving` does, with factors or bounds among the parameters."""
    X, y, weights, parameters = deceiving(seed)
    rng = np.random.default_rng([seed, 1])
    n, d = X.shape
    if rng.random() < 0.2:  # the classes are separated, all or but for a row
        y = (X[:, rng.integers(d)] > np.median(X)).astype(int)
        y[rng.integers(n, size=rng.integers(0, 2))] ^= 1
        if np.unique(y).size < 2:
            y[0] = 1 - y[0]
        weights = None
    parameters["l1_ratio"] = float(rng.choice([0.0, 0.0, 1.0, 1.0, 0.5]))
    parameters["C"] = 10.0 ** rng.uniform(-2, 4)
    kind = rng.integers(0, 4)  # factors, bounds, both, or bounds without a penalty
    if kind in (0, 2):
        factors = rng.choice([0.0, 0.0, 0.1, 1.0, 1.0, 1.0, 10.0, 1e4], size=d)
        if rng.random() < 0.5:  # few are free
            factors[rng.random(d) < 0.8] = 1.0
        parameters["penalty_factors"] = factors
    if kind > 0:
        parameters.update(_bounds(rng, X))
    if kind == 3:
        parameters.update(C=np.inf, l1_ratio=0.0)
    return X, y, weights, parameters


def folds_of(seed, y, weights=None):
    """Return three folds in which each class has rows of weight to train on, or None."""
    fold = np.random.default_rng([seed, 4]).integers(0, 3, y.size)
    held = np.ones(y.size, dtype=bool) if weights is None else weights > 0.0
    for k in range(3):
        trained = np.bincount(y[(fold != k) & held], minlength=y.max() + 1)
        if not ((fold == k) & held).any() or (trained == 0).any():
            return None
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]


def _bounds(rng, X):
    """Return bounds of a kind: signs, boxes around 0 and beside it, one side, constants."""
    d, kind = X.shape[1], rng.integers(0, 6)
    spread = X.std(axis=0)
    unit = 1.0 / np.where(spread > 1e-9, spread, 1.0)
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    if kind == 0:
        return {"lower_bounds": 0.0}
    if kind == 1:
        return {"upper_bounds": float(rng.choice([0.0, -0.1]))}
    if kind == 2:
        low, high = -rng.random(d) * unit, rng.random(d) * unit
    elif kind == 3:
        low = rng.normal(size=d) * unit
        high = low + rng.random(d) * unit * (rng.random(d) < 0.8)
    else:
        some, others = rng.random((2, d)) < (0.5 if kind == 4 else 0.1)
        low[some] = -rng.choice([0.0, 0.1, 1.0]) * unit[some]
        high[others] = rng.choice([0.0, 0.1, 1.0]) * unit[others]
    return {"lower_bounds": low, "upper_bounds": high}
