"""Replicates, fitted side by side or alone, against Newton's method in NumPy on the rows drawn."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.special import expit, softmax

from fastlogreg.data.memory import Rows
from fastlogreg.statistics import bootstrap as module
from fastlogreg.statistics.likelihood import Likelihood

N = 400


def newton(A, y, weights, offset):
    """Return the maximum, None where there is none."""
    theta = np.zeros(A.shape[1])
    for _ in range(60):
        p = expit(A @ theta + offset)
        step = np.linalg.lstsq(
            (A * (weights * p * (1 - p))[:, None]).T @ A, A.T @ (weights * (y - p)), rcond=1e-13
        )[0]
        theta = theta + step
        if np.abs(step).max() < 1e-12:
            return theta
    return None


def newton_of_classes(A, y, weights):
    """Return the maximum for three classes, the first of them the reference."""
    T, p = np.eye(3)[y.astype(int)], A.shape[1]
    theta = np.zeros((3, p))
    for _ in range(60):
        P = softmax(A @ theta.T, axis=1)
        score = ((T - P) * weights[:, None]).T @ A
        blocks = P[:, :, None] * np.eye(3) - P[:, :, None] * P[:, None]
        information = np.einsum("i,ikl,ia,ib->kalb", weights, blocks, A, A)[1:, :, 1:]
        step = np.linalg.solve(information.reshape(2 * p, -1), score[1:].reshape(-1))
        theta[1:] += step.reshape(2, p)
        if np.abs(step).max() < 1e-13:
            break
    return theta[1:].reshape(-1)


def draws(kind, weights, groups, number):
    random = np.random.RandomState(5)
    for _ in range(number):
        if kind == "groups":
            size = groups.max() + 1
            times = np.bincount(random.randint(0, size, size), minlength=size)[groups]
        elif kind == "frequency":
            times = random.multinomial(round(weights.sum()), weights / weights.sum())
        else:
            times = np.bincount(random.randint(0, N, N), minlength=N)
        keeps = weights is not None and kind != "frequency"
        yield times * weights if keeps else times.astype(float)


@pytest.mark.parametrize("kind", ["plain", "sampling", "groups", "frequency"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_replicates_are_fits_of_the_rows_drawn(kind, storage, monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N, 3)) * [1.0, 100.0, 0.01]
    X[:, 1] = rng.random(N) < 0.03  # a level of twelve rows
    offset = rng.normal(size=N)
    y = (X[:, 0] + 2 * X[:, 1] + offset + rng.logistic(size=N) > 0.5).astype(float)
    weights = None if kind == "plain" else rng.integers(1, 4, N).astype(float)
    groups = np.arange(N) // 4 if kind == "groups" else None
    A = np.column_stack([np.ones(N), X])
    likelihood = Likelihood(Rows(storage(X), y, weights, offset, np.arange(2)), True)
    best = newton(A, y, np.ones(N) if weights is None else weights, offset)
    expected = [newton(A, y, drawn, offset) for drawn in draws(kind, weights, groups, 50)]
    held = [theta for theta in expected if theta is not None]
    arguments = (likelihood, best, 50)
    options = {"groups": groups, "sampling": kind == "sampling"}
    found = module.bootstrap(*arguments, np.random.RandomState(5), **options)
    assert found.lost == len(expected) - len(held)
    scale = np.std(held, axis=0)
    assert_allclose(found.parameters / scale, held / scale, atol=2e-5)
    assert found.n_passes < 80  # far fewer than one by one
    monkeypatch.setattr(module, "_MOST_TIMES", 0)
    alone = module.bootstrap(*arguments, np.random.RandomState(5), **options)
    assert alone.lost == found.lost and alone.n_passes > 100
    assert_allclose(alone.parameters / scale, held / scale, atol=2e-5)


def test_separated_replicates_are_left_out():
    """One row of a level is of the other class: more than a third of the replicates lack it."""
    y = np.r_[np.zeros(30), np.ones(30), np.ones(9), 0.0]
    X = np.column_stack([np.r_[np.zeros(60), np.ones(10)], np.arange(70) % 7])
    likelihood = Likelihood(Rows(X, y, None, None, np.arange(2)), True)
    best = newton(np.column_stack([np.ones(70), X]), y, np.ones(70), 0.0)
    with pytest.raises(ValueError, match="of 60 bootstrap replicates have no optimum"):
        module.bootstrap(likelihood, best, 60, np.random.RandomState(0))


@pytest.mark.parametrize("kind", ["plain", "sampling", "frequency"])
@pytest.mark.parametrize("moved", [0.0, 1e6])
def test_replicates_of_several_classes_are_fits_of_the_rows_drawn(kind, moved, monkeypatch):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(N, 3))
    y = (X @ rng.normal(size=(3, 3)) + rng.gumbel(size=(N, 3))).argmax(axis=1).astype(float)
    weights = None if kind == "plain" else rng.integers(1, 4, N).astype(float)
    A = np.column_stack([np.ones(N), X])
    best = newton_of_classes(A, y, np.ones(N) if weights is None else weights)
    held = np.array([newton_of_classes(A, y, drawn) for drawn in draws(kind, weights, None, 70)])

    def in_columns(parameters, sign):
        rows = parameters.reshape(-1, 2, 4).copy()
        rows[..., 0] += sign * moved * rows[..., 1]
        return rows.reshape(parameters.shape)

    away = X + np.array([moved, 0.0, 0.0])
    likelihood = Likelihood(Rows(away, y, weights, None, np.arange(3)), True)
    arguments = (likelihood, in_columns(best, -1.0), 70)
    options = {"sampling": kind == "sampling"}
    found = module.bootstrap(*arguments, np.random.RandomState(5), **options)
    again = module.bootstrap(*arguments, np.random.RandomState(5), **options)
    np.testing.assert_array_equal(found.parameters, again.parameters)
    scale = np.std(held, axis=0)
    assert found.lost == 0
    assert_allclose(in_columns(found.parameters, 1.0) / scale, held / scale, atol=2e-6)
    monkeypatch.setattr(module, "_MOST_TIMES", 0)
    alone = module.bootstrap(*arguments, np.random.RandomState(5), **options)
    assert_allclose(in_columns(alone.parameters, 1.0) / scale, held / scale, atol=2e-5)
