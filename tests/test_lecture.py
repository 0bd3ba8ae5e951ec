"""Every worked figure of the lecture, through the public functions, in all three backends.

The lecture prints figures truncated or rounded, so they are compared to one unit of the
last digit printed, but where noted.
"""

from types import MappingProxyType

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr

X = np.array([[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]])
Y = np.array([0.0, 0.0, 1.0, 1.0])
THETA = np.array([0.1, 0.5, -0.1])


def margins(X, theta, backend, **kind):
    return flr.predict_proba(X, theta, activation="identity", backend=backend, **kind)


def test_dot_products(backend):
    dot = margins([[1, 2, 3]], [2, 3, 4], backend, intercept=False)
    assert dot.tolist() == [20.0]
    assert margins([[1, 2]], [2, 3], backend, intercept=False).tolist() == [8.0]


class TestBatch:
    def test_margins(self, backend):
        assert_allclose(margins(X, THETA, backend), [0.78, 0.83, 1.49, 2.02], atol=1e-12)

    def test_output(self, backend):
        found = flr.predict_proba(X, THETA, backend=backend)
        assert_allclose(found, [0.6856, 0.6963, 0.8160, 0.8828], atol=1e-4)

    def test_loss(self, backend):
        # the lecture takes logarithms of its truncated outputs, so its last digit is off
        assert flr.loss(X, Y, THETA, backend=backend) == pytest.approx(0.6691, abs=2e-4)

    def test_gradient(self, backend):
        gradient = flr.loss_gradient(X, Y, THETA, backend=backend)[1]
        assert_allclose(gradient[:2], [0.2702, 0.2431], atol=1e-4)
        assert gradient[2] == pytest.approx(-0.019, abs=1e-3)


class TestMiniBatch:
    """Rows 2 and 4, m = 2."""

    rows = np.array([1, 3])

    def test_margins_and_output(self, backend):
        assert_allclose(margins(X[self.rows], THETA, backend), [0.83, 2.02], atol=1e-12)
        found = flr.predict_proba(X[self.rows], THETA, backend=backend)
        assert_allclose(found, [0.6963, 0.8828], atol=1e-4)
        assert_allclose(found, [0.69, 0.88], atol=1e-2)

    def test_loss(self, backend):
        found = flr.loss(X[self.rows], Y[self.rows], THETA, backend=backend)
        assert found == pytest.approx(0.65815, abs=1e-4)

    def test_gradient_is_the_mean_of_the_two_samples(self, backend):
        both = flr.loss_gradient(X[self.rows], Y[self.rows], THETA, backend=backend)[1]
        single = [flr.loss_gradient(X[[i]], Y[[i]], THETA, backend=backend)[1] for i in self.rows]
        assert_allclose(both, np.mean(single, axis=0), rtol=1e-14)


@pytest.mark.parametrize("columns", [[0], [0, 1]], ids=["one feature", "two features"])
def test_one_sample_at_a_time(backend, columns):
    """The lecture's first five steps, for each sample: dw = x (p - y), db = p - y."""
    theta = np.array([0.1, 0.5, -0.1])[: 1 + len(columns)]
    for x, y in zip(X[:, columns], Y, strict=True):
        p = 1 / (1 + np.exp(-(theta[0] + x @ theta[1:])))
        assert flr.predict_proba([x], theta, backend=backend)[0] == pytest.approx(p, rel=1e-14)
        value, gradient = flr.loss_gradient([x], [y], theta, backend=backend)
        assert value == pytest.approx(-y * np.log(p) - (1 - y) * np.log(1 - p), rel=1e-13)
        assert_allclose(gradient, [p - y, *(x * (p - y))], rtol=1e-13)
        stepped = flr.train(
            [x], [y], theta=theta, batch_size=1, learning_rate=0.01, n_epochs=1, backend=backend
        )
        assert_allclose(stepped.theta, theta - 0.01 * gradient, rtol=1e-14)


class TestLinearWarmUp:
    """(1, 5) and (2, 7) under squared error: f = a x + b is least at a = 2, b = 3."""

    points, targets = ((1.0,), (2.0,)), (5.0, 7.0)
    kind = MappingProxyType({"loss": "mse", "activation": "identity"})

    @pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (1.0, -2.0), (3.5, 0.25)])
    def test_gradients(self, backend, a, b):
        for (x,), y in zip(self.points, self.targets, strict=True):
            f = a * x + b
            value, gradient = flr.loss_gradient([[x]], [y], [b, a], backend=backend, **self.kind)
            assert value == pytest.approx((f - y) ** 2)
            assert_allclose(gradient, [2 * (f - y), 2 * x * (f - y)])

    def test_minimum(self, backend):
        value, gradient = flr.loss_gradient(
            self.points, self.targets, [3, 2], backend=backend, **self.kind
        )
        assert value == 0.0
        assert gradient.tolist() == [0.0, 0.0]

    def test_gradient_descent_finds_it(self, backend):
        found = flr.train(self.points, self.targets, n_epochs=2000, backend=backend, **self.kind)
        assert_allclose(found.theta, [3, 2], atol=1e-8)


class TestTanh:
    z = np.linspace(-5, 5, 41)[:, None]

    def tanh(self, z, backend):
        p = flr.predict_proba(z, [1.0], activation="tanh", intercept=False, backend=backend)
        return 2 * p - 1

    def test_is_a_sigmoid_of_twice_the_margin(self, backend):
        sigmoid = flr.predict_proba(2 * self.z, [1.0], intercept=False, backend=backend)
        assert_allclose(self.tanh(self.z, backend), 2 * sigmoid - 1, atol=1e-15)
        assert_allclose(self.tanh(self.z, backend), np.tanh(self.z[:, 0]), atol=1e-15)

    def test_slope_is_one_minus_its_square(self, backend):
        h = 1e-6
        slope = (self.tanh(self.z + h, backend) - self.tanh(self.z - h, backend)) / (2 * h)
        assert_allclose(slope, 1 - self.tanh(self.z, backend) ** 2, atol=1e-9)

    def test_gradient(self, backend):
        """x (y_hat + 1 - 2 y) with y_hat = tanh z, for x = (1, petal length, petal width)."""
        for x, y in zip(X, Y, strict=True):
            y_hat = np.tanh(THETA[0] + x @ THETA[1:])
            gradient = flr.loss_gradient([x], [y], THETA, activation="tanh", backend=backend)[1]
            assert_allclose(gradient, np.array([1.0, *x]) * (y_hat + 1 - 2 * y), rtol=1e-12)


class TestSecondDerivatives:
    """One weight, no bias: the Hessian is the lecture's second derivative."""

    w = np.linspace(-4, 4, 33)
    x = 1.5

    def second(self, y, backend, loss):
        return np.array(
            [
                flr.loss_gradient_hessian(
                    [[self.x]], [y], [w], loss=loss, intercept=False, backend=backend
                )[2][0, 0]
                for w in self.w
            ]
        )

    @pytest.mark.parametrize("y", [0, 1])
    def test_of_cross_entropy_are_never_negative(self, backend, y):
        p = 1 / (1 + np.exp(-self.x * self.w))
        found = self.second(y, backend, "bce")
        assert_allclose(found, self.x**2 * (p - p**2), rtol=1e-12)
        assert (found >= 0).all()

    @pytest.mark.parametrize("y", [0, 1])
    def test_of_squared_error_are_negative_somewhere(self, backend, y):
        p = 1 / (1 + np.exp(-self.x * self.w))
        expected = 2 * self.x**2 * p * (1 - p) * (-3 * p**2 + 2 * p - y + 2 * y * p)
        found = self.second(y, backend, "mse")
        assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
        assert found.min() < -0.01
        assert found.max() > 0.01


def by_hand(batch_size, learning_rate, n_epochs):
    """Return (theta, losses) as the lecture's NumPy code has it, step by step."""
    design = np.column_stack([np.ones(len(X)), X])
    theta, losses = THETA.copy(), []
    for _ in range(n_epochs):
        for lo in range(0, len(X), batch_size):
            x, y = design[lo : lo + batch_size], Y[lo : lo + batch_size]
            y_hat = 1 / (1 + np.exp(-(x @ theta)))
            losses.append(np.mean(-y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat)))
            theta = theta - learning_rate * (x.T @ (y_hat - y)) / len(y)
    return theta, losses


@pytest.mark.parametrize("batch_size", [1, 2, None], ids=["stochastic", "mini-batch", "batch"])
def test_demos(backend, batch_size):
    theta, losses = by_hand(batch_size or len(X), 0.1, 20)
    found = flr.train(
        X,
        Y,
        theta=THETA,
        batch_size=batch_size,
        learning_rate=0.1,
        n_epochs=20,
        shuffle=False,
        backend=backend,
    )
    assert_allclose(found.theta, theta, rtol=1e-12)
    assert_allclose(found.losses, losses, rtol=1e-12)
