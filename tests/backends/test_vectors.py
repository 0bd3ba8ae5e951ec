"""Rows of every width and blocks of every height: what the vectors leave over, and beside them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlogreg as flr

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 16, 17, 31, 32, 33, 34, 50, 67)


def _rows(n, d, dtype="float64"):
    """Return n rows with NaN in the rows before and after them, and labels."""
    random = np.random.default_rng(100 * n + d)
    around = np.full((n + 2, d), np.nan, dtype)
    around[1:-1] = random.standard_normal((n, d))
    X = around[1:-1]
    assert X.flags.c_contiguous
    return X, (random.random(n) < 0.5).astype(float), random.standard_normal(d + 1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("d", WIDTHS)
def test_any_width_and_height(d, dtype):
    for n in (1, 3, 4, 7, 8, 9, 21, 130):
        X, y, theta = _rows(n, d, dtype)
        for given in (X, np.asfortranarray(X)):
            found = flr.loss_gradient_hessian(given, y, theta)
            expected = flr.loss_gradient_hessian(X.astype(float), y, theta, backend="numpy")
            for ours, reference in zip(found, expected, strict=True):
                assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)
            proba = flr.predict_proba(given, theta)
            assert_allclose(proba, flr.predict_proba(X, theta, backend="numpy"), rtol=1e-12)


@pytest.mark.parametrize("d", [3, 4, 6, 7, 9, 33])
def test_softmax_of_any_width(d):
    for n in (3, 8, 21):
        X, _, _ = _rows(n, d)
        random = np.random.default_rng(n)
        y, theta = random.integers(0, 3, n), random.standard_normal((3, d + 1))
        how = {"loss": "cross_entropy", "activation": "softmax"}
        found = flr.loss_gradient(X, y, theta, **how)
        expected = flr.loss_gradient(X, y, theta, **how, backend="numpy")
        for ours, reference in zip(found, expected, strict=True):
            assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("d", [4, 5, 6, 7, 10, 35])
def test_an_infinite_value_stays_in_its_own_sum(d):
    for n in (4, 9, 17):
        X, _, theta = _rows(n, d)
        X[n - 1] = 0.0
        for j in (0, d // 2, d - 1):
            spoiled = X.copy()
            spoiled[n - 1, j] = np.inf
            with np.errstate(invalid="ignore"):
                margins = flr.predict_proba(spoiled, theta, activation="identity")
            clean = flr.predict_proba(X, theta, activation="identity")
            assert_array_equal(margins[:-1], clean[:-1])
            assert margins[-1] == np.sign(theta[1 + j]) * np.inf


@pytest.mark.parametrize("d", [3, 5, 8, 10])
def test_batches_of_any_width(d):
    X, y, _ = _rows(700, d)
    for batch in (7, 64):
        how = {"batch_size": batch, "n_epochs": 2, "seed": 1, "learning_rate": 0.3}
        ours, numpy = (flr.train(X, y, **how, backend=name) for name in ("numba", "numpy"))
        assert_allclose(ours.theta, numpy.theta, rtol=1e-11)
