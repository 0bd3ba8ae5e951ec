"""The optimum of a softmax problem by plain NumPy, and tables of classes built to deceive.

Nothing of the package is used: columns are centred and scaled (the penalty follows), and damped
Newton steps by eigenvalues go on until the decrement is rounding.
"""

from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """A problem of softmax."""

    X: np.ndarray
    y: np.ndarray  # codes
    sample_weight: np.ndarray | None
    C: float
    what: str


def _loss(A, T, s, theta):
    z = A @ theta.T
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    value = float(s @ (np.log(total[:, 0]) + top[:, 0] - (T * z).sum(axis=1)))
    return value, p


def optimum(X, y, C, sample_weight=None, max_iter=300):
    """Return the least mean loss plus ``||w||² / (2 C S)``, S the sum of weights."""
    K = int(y.max()) + 1
    s = np.ones(len(y)) if sample_weight is None else sample_weight
    keep = s > 0.0
    X, y, s = np.asarray(X[keep], dtype=np.float64), y[keep].astype(int), s[keep]
    S = s.sum()
    s = s / S
    # not the mean and the deviation: one row far outside would make them
    middle = np.median(X, axis=0)
    spread = np.median(np.abs(X - middle), axis=0)
    rare = spread <= 1e-12 * (1e-300 + np.abs(middle))  # more than half the rows hold one value
    spread[rare] = np.sqrt(np.mean((X - middle) ** 2, axis=0))[rare]
    spread[spread == 0.0] = 1.0
    A = np.column_stack([np.ones(len(y)), (X - middle) / spread])
    penalty = np.r_[0.0, 1.0 / (C * S * spread**2)]
    T = np.eye(K)[y]
    p = A.shape[1]
    theta = np.zeros((K, p))

    def objective(theta):
        value, P = _loss(A, T, s, theta)
        return value + 0.5 * float((penalty * theta**2).sum()), P

    value, P = objective(theta)
    small = 0
    for _ in range(max_iter):
        R = (P - T) * s[:, None]
        g = (R.T @ A + penalty * theta).reshape(-1)
        H = np.empty((K, p, K, p))
        for k in range(K):
            for m in range(K):
                h = s * P[:, k] * ((k == m) - P[:, m])
                H[k, :, m, :] = A.T @ (A * h[:, None])
        H = H.reshape(K * p, K * p) + np.diag(np.tile(penalty, K))
        scale = 1.0 / np.sqrt(np.maximum(np.diag(H), 1e-300))
        values, vectors = np.linalg.eigh(H * scale[:, None] * scale)
        along = vectors.T @ (scale * g)
        held = values > 1e-15
        step = -scale * (vectors[:, held] @ (along[held] / values[held]))
        decrement = -0.5 * float(g @ step)
        length = 1.0
        while length > 1e-12:
            trial = theta + length * step.reshape(K, p)
            new, newP = objective(trial)
            if new <= value - 1e-4 * length * decrement * 2 or new <= value * (1 + 1e-16):
                break
            length *= 0.5
        else:
            break
        theta, value, P = trial, min(value, new), newP
        small = small + 1 if decrement <= 1e-14 * value else 0
        if small >= 3:
            break
    return value


def make(seed):
    """Return a table of 3 to 12 classes that holds several of what deceives."""
    rng = np.random.default_rng(seed)
    K = int(rng.integers(3, 13))
    d = int(rng.integers(1, 8))
    n = int(rng.integers(max(2 * K, 20), 1500))
    X = rng.normal(size=(n, d))
    what = []

    def chance(name, share=0.25):
        if rng.random() < share:
            what.append(name)
            return True
        return False

    shift = np.log(rng.dirichlet(np.full(K, 0.3)) + 1e-6) if chance("rare classes") else 0.0
    z = X @ rng.normal(size=(K, d)).T * rng.choice([0.3, 1.0, 4.0]) + shift
    y = (z + rng.gumbel(size=(n, K))).argmax(axis=1)
    y[:K] = np.arange(K)  # none is empty
    if chance("a class of one row"):
        y[(y == K - 1) & (np.arange(n) != K - 1)] = 0
    columns = [X]
    if chance("levels"):
        level = rng.choice(6, n, p=rng.dirichlet(np.full(6, 0.3)))
        columns.append(np.eye(6)[level])
    if chance("nearly equal"):
        columns.append(X[:, :1] + 10.0 ** rng.uniform(-7, -3) * rng.normal(size=(n, 1)))
    if chance("collinear"):
        columns.append(X[:, :1] * 2.0)
    if chance("constant"):
        columns.append(np.full((n, 1), 3.0))
    X = np.column_stack(columns)
    if chance("scales"):
        X = X * 10.0 ** rng.uniform(-6, 6, X.shape[1])
    if chance("far"):
        X = X + np.abs(X).max(axis=0) * 10.0 ** rng.uniform(0, 5, X.shape[1])
    if chance("an outlier", 0.15):
        X[rng.integers(n)] *= 10.0 ** rng.uniform(1, 6)
    weights = None
    if chance("weights"):
        weights = rng.exponential(size=n) * (rng.random(n) < 0.9)
        weights[:K] = 1.0
        if chance("one heavy row"):
            weights[rng.integers(n)] = 1e4 * n
    C = float(10.0 ** rng.uniform(-3, 4))
    return Table(np.ascontiguousarray(X), y.astype(np.float64), weights, C, ", ".join(what))
