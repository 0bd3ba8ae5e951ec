"""Replicates, fitted side by side or alone, against Newton's method in NumPy on the rows drawn."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.special import expit

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
