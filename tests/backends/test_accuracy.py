"""Scalar accuracy of each backend, in units in the last place, through public functions."""

import math
import warnings

import mpmath as mp
import numpy as np
import pytest

import fastlogreg as flr
from tests import oracle

LIMIT = 4.0  # ULP, DESIGN's promise for every backend

SPECIAL = [0.0]
for _size in (1e-300, 1e-8, 1.0, 18.0, 37.0, 709.0, 745.0, 1e3, 1e20, math.inf):
    SPECIAL += [_size, -_size]


def grid():
    rng = np.random.default_rng(1)
    return np.concatenate(
        [SPECIAL, rng.uniform(-2, 2, 150), rng.normal(size=150) * 20, rng.uniform(-746, 746, 100)]
    )


Z = grid()


def proba(z, backend, activation="sigmoid"):
    return flr.predict_proba(
        np.asarray(z)[:, None], [1.0], intercept=False, backend=backend, activation=activation
    )


def one_loss(z, y, backend, **kind):
    return flr.loss([[z]], [y], [1.0], intercept=False, backend=backend, **kind)


def worst(found, exact):
    with mp.workdps(oracle.DIGITS):
        return max(oracle.ulps(a, exact(mp.mpf(float(z)))) for a, z in zip(found, Z, strict=True))


def test_sigmoid(backend):
    assert worst(proba(Z, backend), oracle.sigmoid) <= LIMIT


def test_complement(backend):
    """1 - p of a sample is p at -z: no cancellation however large z is."""
    assert worst(proba(-Z, backend), lambda z: oracle.sigmoid(-z)) <= LIMIT


def test_tanh_activation(backend):
    found = proba(Z, backend, "tanh")
    assert worst(found, lambda z: oracle.sigmoid(2 * z)) <= LIMIT


def test_log1p_exp(backend):
    """The loss of label 0 is log(1 + exp z), that of label 1 log(1 + exp -z)."""
    exact = lambda z: z if z == mp.inf else mp.log1p(mp.exp(z))  # noqa: E731
    assert worst([one_loss(z, 0.0, backend) for z in Z], exact) <= LIMIT
    assert worst([one_loss(z, 1.0, backend) for z in Z], lambda z: exact(-z)) <= LIMIT


def test_residuals(backend):
    """With an intercept and X = 0 the gradient of the bias is the residual itself."""

    def residual(z, y):
        return flr.loss_gradient([[0.0]], [y], [z, 0.0], backend=backend)[1][0]

    assert worst([residual(z, 0.0) for z in Z], oracle.sigmoid) <= LIMIT
    assert worst([residual(z, 1.0) for z in Z], lambda z: -oracle.sigmoid(-z)) <= LIMIT


def test_nan_in_gives_nan_out(backend, combination):
    X = [[1.0], [math.nan], [2.0]]
    y, theta = [0.0, 1.0, 1.0], [0.1, 0.2]
    value, gradient, hessian = flr.loss_gradient_hessian(
        X, y, theta, backend=backend, **combination
    )
    assert math.isnan(value)
    assert np.isnan(gradient).all()
    if combination["activation"] != "identity":  # whose curvature is 2 whatever the margin
        assert np.isnan(hessian).all()
    found = flr.predict_proba(X, theta, activation=combination["activation"], backend=backend)
    assert np.isnan(found).tolist() == [False, True, False]
    labels = [0.0, math.nan, 1.0]
    assert math.isnan(flr.loss([[1.0]] * 3, labels, theta, backend=backend, **combination))


@pytest.mark.parametrize("size", [1e100, 1e300])
def test_huge_values_do_not_overflow(backend, size):
    X = np.array([[size, -1.0], [-size, 2.0], [0.5, 1.0]])
    y, theta = [1.0, 0.0, 1.0], [0.0, 1.0, 0.1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flr.predict_proba(X, theta, backend=backend)[:2].tolist() == [1.0, 0.0]
        value, gradient = flr.loss_gradient(X, y, theta, backend=backend)
    expected = math.log1p(math.exp(-0.6)) / 3
    assert value == pytest.approx(expected, rel=1e-14)
    assert np.isfinite(gradient).all()


def test_infinite_margins_on_the_right_side_cost_nothing(backend):
    X = [[math.inf], [-math.inf]]
    assert flr.loss(X, [1, 0], [0.0, 1.0], backend=backend) == 0.0
    assert flr.loss(X, [0, 1], [0.0, 1.0], backend=backend) == math.inf
