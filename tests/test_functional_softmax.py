"""The functional interface with softmax: answers of all backends, and bad input."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import fastlogreg as flr

SOFTMAX = {"loss": "cross_entropy", "activation": "softmax"}
RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 2))
CODES = np.arange(12) % 3
ROWS = RNG.dirichlet(np.ones(3), 12)
THETA = RNG.normal(size=(3, 3))


def textbook(targets, theta=THETA, weights=None, offset=0.0):
    """Return the mean loss and probabilities as a first course writes them."""
    Z = np.column_stack([np.ones(12), X]) @ theta.T + offset
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    Y = np.eye(3)[targets] if targets.ndim == 1 else targets
    return np.average(-(Y * np.log(P)).sum(axis=1), weights=weights), P


@pytest.mark.parametrize("targets", [CODES, ROWS], ids=["codes", "rows"])
def test_loss_and_derivatives(targets, backend):
    weights, offset = RNG.random(12), RNG.normal(size=(12, 3))
    kind = {**SOFTMAX, "sample_weight": weights, "offset": offset, "backend": backend}
    value, gradient, hessian = flr.loss_gradient_hessian(X, targets, THETA, **kind)
    expected, P = textbook(targets, weights=weights, offset=offset)
    assert value == pytest.approx(expected, rel=1e-13)
    assert gradient.shape == (3, 3) and hessian.shape == (9, 9)
    assert flr.loss(X, targets, THETA, **kind) == pytest.approx(value, rel=1e-14)
    assert_allclose(flr.loss_gradient(X, targets, THETA, **kind)[1], gradient, rtol=1e-12)
    rest = {"activation": "softmax", "offset": offset, "backend": backend}
    assert_allclose(flr.predict_proba(X, THETA, **rest), P, rtol=1e-13)
    h = 1e-6
    for j in range(9):
        step = np.zeros(9)
        step[j] = h
        up, down = (
            flr.loss_gradient(X, targets, THETA + sign * step.reshape(3, 3), **kind)
            for sign in (1, -1)
        )
        assert gradient.flat[j] == pytest.approx((up[0] - down[0]) / (2 * h), abs=1e-8)
        assert_allclose(hessian[j], (up[1] - down[1]).ravel() / (2 * h), atol=1e-8)


@pytest.mark.parametrize("batch_size", [None, 1, 5])
@pytest.mark.parametrize("targets", [CODES, ROWS], ids=["codes", "rows"])
def test_train_is_the_five_steps(targets, batch_size, backend):
    found = flr.train(
        X, targets, batch_size=batch_size, n_epochs=3, shuffle=False, backend=backend, **SOFTMAX
    )
    theta, losses = np.zeros((3, 3)), []
    size = batch_size or 12
    for _ in range(3):
        for lo in range(0, 12, size):
            batch = slice(lo, lo + size)
            value, gradient = flr.loss_gradient(
                X[batch], targets[batch], theta, backend="loop", **SOFTMAX
            )
            losses.append(value)
            theta = theta - 0.1 * gradient
    assert_allclose(found.theta, theta, rtol=1e-11, atol=1e-13)
    assert_allclose(found.losses, losses, rtol=1e-11)


def test_shuffled_batches_are_the_same_in_every_backend():
    kind = {"batch_size": 5, "seed": 3, "n_epochs": 4, **SOFTMAX}
    first, *others = (
        flr.train(X, CODES, backend=name, **kind).theta for name in ("loop", "numpy", "numba")
    )
    for other in others:
        assert_allclose(other, first, rtol=1e-11, atol=1e-13)


def test_train_counts_the_classes_and_leaves_its_start_alone():
    assert flr.train(X, np.zeros(12), n_epochs=1, **SOFTMAX).theta.shape == (2, 3)
    start = np.zeros((5, 3))
    assert flr.train(X, CODES, theta=start, n_epochs=1, **SOFTMAX).theta.shape == (5, 3)
    assert not start.any()


def test_forms_of_input(backend):
    expected = flr.loss(X, CODES, THETA, backend=backend, **SOFTMAX)
    wide = np.zeros((6, 6))[::2, ::2]
    wide[...] = THETA
    for theta in (THETA.tolist(), np.asfortranarray(THETA), wide, THETA.astype(">f8")):
        assert flr.loss(X, CODES.tolist(), theta, backend=backend, **SOFTMAX) == expected
    matrix = sparse.csr_array(X)
    assert_allclose(flr.loss(matrix, CODES, THETA, backend=backend, **SOFTMAX), expected)
    columns = np.eye(3)[CODES]
    for y in (columns, np.asfortranarray(columns), columns.tolist(), columns.astype(np.float32)):
        assert_allclose(flr.loss(X, y, THETA, backend=backend, **SOFTMAX), expected, rtol=1e-14)


def test_nan_in_gives_nan_out(backend):
    bad = X.copy()
    bad[3, 1] = np.nan
    assert np.isnan(flr.loss(bad, CODES, THETA, backend=backend, **SOFTMAX))
    P = flr.predict_proba(bad, THETA, activation="softmax", backend=backend)
    assert_array_equal(np.isnan(P).any(axis=1), np.arange(12) == 3)


CODES_OF_FOUR = np.where(CODES == 2, 3, CODES)
ROWS_OFF = np.where(np.arange(12)[:, None] == 7, 0.5, ROWS)
BAD = {
    "code": ({"y": CODES_OF_FOUR}, r"y must hold the codes 0 .. 2 .*got 3.0 at index 2"),
    "fraction": ({"y": CODES + 0.5}, r"y must hold the codes .*got 0.5 at index 0"),
    "NaN": ({"y": np.where(CODES == 1, np.nan, CODES)}, "got nan at index 1"),
    "sum": ({"y": ROWS_OFF}, "each row of y must have the sum 1, got 1.5 in row 7"),
    "negative": ({"y": ROWS - 0.9}, r"y must lie in \[0, 1\], got -.* in row 0"),
    "columns of y": ({"y": ROWS[:, :2]}, r"y must have shape \(12, 3\)"),
    "rows of y": ({"y": ROWS[:5]}, r"y must have shape \(12, 3\)"),
    "short y": ({"y": CODES[:5]}, "y must have length 12"),
    "vector": ({"theta": THETA[0]}, r"theta must have shape \(K, 3\) .*got shape \(3,\)"),
    "columns": ({"theta": THETA[:, :2]}, r"theta must have shape \(K, 3\)"),
    "one class": ({"theta": THETA[:1]}, "theta must have a row for each of two classes"),
    "offset": ({"offset": np.zeros(12)}, r"offset must have shape \(12, 3\)"),
    "pair": ({"activation": "sigmoid"}, "softmax and loss='cross_entropy' go together"),
    "other pair": ({"loss": "bce"}, "softmax and loss='cross_entropy' go together"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, backend):
    change, message = BAD[case]
    given = {"X": X, "y": CODES, "theta": THETA, "backend": backend, **SOFTMAX, **change}
    with pytest.raises(ValueError, match=message):
        flr.loss_gradient(**given)
    if "offset" not in change:
        with pytest.raises(ValueError, match=message):
            flr.train(**given)


def test_codes_that_skip_too_far_are_no_codes():
    with pytest.raises(ValueError, match="y must hold the codes"):
        flr.train(X, CODES * 1e9, **SOFTMAX)
    with pytest.raises(ValueError, match="y must hold the codes"):
        flr.train(X, CODES - 1.0, **SOFTMAX)
