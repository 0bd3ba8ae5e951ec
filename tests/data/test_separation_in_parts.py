"""What rows in parts say of separation, against linear programs of the same rows."""

import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import fastlogreg as flr
from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import Block, Facts, PartedRows
from fastlogreg.data.separation import may_be_separated


class Halves:
    """Two parts of rows in memory; see :class:`fastlogreg.data.parts.Parts`."""

    def __init__(self, X, y):
        cut = len(y) // 2
        self.blocks = [
            Block(MemoryRows(X[:cut], y[:cut]), 0),
            Block(MemoryRows(X[cut:], y[cut:]), cut),
        ]
        self.facts = Facts(*X.shape, X.size, float(len(y)), float(len(y)))
        self.room = 0

    def ask(self, question, spec):
        total = None
        for block in self.blocks:
            answer = question.of(block.first, block.last).ask(block, spec)
            total = answer if total is None else question.added(total, answer)
        return total


def suspected(X, y, K, max_iter=100):
    """Return whether rows in parts are suspected where a fit in memory ends."""
    model = flr.LogisticRegression(C=np.inf, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    theta = np.ascontiguousarray(np.column_stack([model.intercept_, model.coef_]))
    spec = PassSpec(n_threads=1)
    if K == 2:
        theta = theta[0]
    else:
        spec = spec._replace(loss="cross_entropy", activation="softmax", n_outputs=K)
    grows = np.ones((2, theta.size), dtype=bool)
    distance = float(model.history_["decrement"][-1])
    return may_be_separated(PartedRows(Halves(X, y)), spec, theta, grows, distance)


def is_separated(X, y, K):
    """Return whether a linear program finds a direction (Konis 2007), of pairs of classes."""
    A = np.column_stack([np.ones(len(X)), X])
    rows = []
    for a, own in zip(A, y.astype(int), strict=True):
        for k in range(K):
            if k != own:
                row = np.zeros((K, A.shape[1]))
                row[own], row[k] = a, -a
                rows.append(row.ravel())
    rows = np.array(rows)
    found = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1))
    return -found.fun > 1e-7


def table(seed, K):
    """Return rows of numbers and of dummies that add up to 1, which may be separated or not."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 90))
    level = rng.integers(0, 3, n)
    X = np.column_stack([rng.normal(size=(n, 2)), np.eye(3)[level]])
    if seed % 3 == 0:
        X = np.column_stack([X, X[:, 0] - 2.0 * X[:, 2]])
    z = X[:, :3] @ rng.normal(size=(3, K)) * rng.choice([0.3, 2.0, 6.0])
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1).astype(np.float64)
    y[:K] = np.arange(K)
    return X, y


@pytest.mark.parametrize("K", [2, 3])
def test_none_that_is_separated_is_cleared_and_few_others_are_suspected(K):
    wrong, n_separated, n_others = 0, 0, 0
    for seed in range(60):
        X, y = table(seed, K)
        told = suspected(X, y, K)
        if is_separated(X, y, K):
            n_separated += 1
            assert told, seed
        else:
            n_others += 1
            wrong += told
    assert n_separated >= 6 and n_others >= 20
    assert wrong == 0


def test_fits_that_ended_early_are_not_cleared_where_rows_are_separated():
    for seed in range(12):
        X, y = table(seed, 2)
        y = (X[:, 0] > 0.1).astype(float)
        y[0], X[0, 0] = 1.0, 0.5
        for max_iter in (2, 5, 20):
            assert suspected(X, y, 2, max_iter)
