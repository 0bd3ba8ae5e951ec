"""Newton: it gets to the optimum, cheaply, says how close it is, and survives bad data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from fastlogreg.backends import ONE_MARGIN
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import L2
from fastlogreg.solvers import Status
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.trace import Trace
from tests.problems import problem_of

ROUNDING = 1e-14
FAR = np.array([5.0, -5.0, 10.0, -15.0])


@pytest.fixture
def sample(rng):
    """Samples that no plane separates."""
    X = rng.normal(size=(80, 3))
    chance = 1 / (1 + np.exp(-X @ [1.0, -0.5, 0.2] - 0.3))
    return X, (rng.random(80) < chance).astype(float)


def never_rises(result):
    values = np.array([entry.value for entry in result.history])
    return bool((values[1:] <= values[:-1] * (1 + ROUNDING)).all())


def plain(X, y, l2, loss, activation):
    """Return the objective by its definition."""

    def f(theta):
        z = X @ theta[1:] + theta[0]
        p = {"sigmoid": 1 / (1 + np.exp(-z)), "tanh": (np.tanh(z) + 1) / 2, "identity": z}
        p = p[activation]
        each = (p - y) ** 2 if loss == "mse" else -np.log(np.where(y == 1, p, 1 - p))
        return each.mean() + l2 / 2 * (theta[1:] ** 2).sum()

    return f


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_optimum(sample, combination, l2):
    best = minimize(plain(*sample, l2, **combination), np.zeros(4), tol=1e-7)
    result = newton(problem_of(*sample, l2=l2, **combination), np.zeros(4), tol=1e-11)
    assert result.converged and result.finite
    assert result.status is Status.CONVERGED
    assert result.value == pytest.approx(best.fun, rel=1e-9)
    assert_allclose(result.theta, best.x, atol=1e-4)
    assert result.gradient_norm < 1e-6
    assert plain(*sample, l2, **combination)(result.theta) == pytest.approx(result.value, rel=1e-13)


def test_bias_alone():
    y = np.array([0.0, 1.0, 1.0, 1.0])
    result = newton(problem_of(np.zeros((4, 1)), y), np.zeros(2), tol=1e-14)
    assert result.converged
    assert_allclose(result.theta, [np.log(3), 0.0], rtol=1e-6)


def test_least_squares_in_one_step(sample):
    X, y = sample
    result = newton(problem_of(X, y, loss="mse", activation="identity"), np.ones(4))
    A = np.column_stack([np.ones(80), X])
    assert result.n_iter == 1
    assert_allclose(result.theta, np.linalg.lstsq(A, y, rcond=None)[0], rtol=1e-10)


@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize("start", [np.zeros(4), FAR], ids=["zeros", "far"])
def test_tol_bounds_the_distance(sample, tol, start):
    best = newton(problem_of(*sample), np.zeros(4), tol=1e-16).value
    result = newton(problem_of(*sample), start, tol=tol)
    assert result.converged
    assert 0 <= result.decrement <= tol * result.value
    assert result.value - best <= 2 * tol * best + ROUNDING


def test_tol_is_heeded(sample):
    rough, fine = (newton(problem_of(*sample), FAR, tol=tol) for tol in (0.5, 1e-14))
    assert rough.n_passes < fine.n_passes
    assert rough.decrement > 1e-14 * rough.value


def test_decrement_is_the_distance(sample):
    best = newton(problem_of(*sample, l2=0.01), np.zeros(4), tol=1e-16).value
    history = newton(problem_of(*sample, l2=0.01), np.zeros(4)).history
    seen = 0
    for entry in history:
        if 1e-11 < entry.value - best < 1e-2:
            assert entry.decrement == pytest.approx(entry.value - best, rel=0.1)
            seen += 1
    assert seen > 1


def test_converged_is_what_decrement_says(sample):
    tols = (1e-2, 1e-3, 1e-4)
    results = []
    for tol in tols:
        for k in range(12):
            result = newton(problem_of(*sample), FAR, tol=tol, max_iter=k)
            assert result.converged == (result.decrement <= tol * result.value)
            results.append(result)
    # within tol, though the solver would have gone on
    assert any(r.converged and r.status is Status.MAX_ITER for r in results)


class Stub:
    """What an objective says of its rows."""

    share = 1.0
    hessian_passes = 2.0
    n_passes = 0.0
    n_rows = 1
    layout = Layout(1)
    penalty = L2(np.zeros(2))

    def effective_rows(self):
        return 1.0

    def largest_change(self, step):
        return 0.0

    def value_gradient_moments(self, theta):
        value, gradient, hessian = self.value_gradient_hessian(theta)
        layout = Layout(theta.size, intercept=False)
        zeros, diagonal = np.zeros((1, theta.size)), hessian.diagonal()[None]
        return value, gradient, Moments(layout, np.ones(1), zeros, diagonal, zeros)


class Counter:
    """An objective that notes which method is called."""

    def __init__(self, objective):
        self._objective = objective
        self.calls = []

    def __getattr__(self, name):
        found = getattr(self._objective, name)
        if not name.startswith("value"):
            return found

        def counted(theta):
            self.calls.append(name)
            return found(theta)

        return counted


def test_few_passes(sample):
    counter = Counter(problem_of(*sample, l2=0.01))
    result = newton(counter, np.zeros(4))
    assert result.converged
    assert result.n_passes == len(counter.calls) <= result.n_iter + 2
    assert counter.calls.count("value") == 0
    # the last step asks for no Hessian
    assert counter.calls[-1] == "value_gradient_moments"
    assert counter.calls.count("value_gradient_hessian") <= result.n_iter


SCALES = {
    "powers of two": 2.0 ** np.array([-40, 7, 30]),
    "tiny": np.full(3, 1e-6),
    "huge": np.full(3, 1e6),
    "mixed": np.array([1e-6, 1.0, 1e6]),
    "extreme": np.array([1e-100, 1e100, 1.0]),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("start", [np.zeros(4), FAR], ids=["zeros", "far"])
def test_scales_of_columns_do_not_matter(sample, scale, l2, start):
    X, y = sample
    whole = np.concatenate([[1.0], scale])
    plain = newton(problem_of(X, y, l2=np.full(3, l2)), start)
    scaled = newton(problem_of(X * scale, y, l2=l2 * scale**2), start / whole)
    assert plain.converged and scaled.converged
    assert (scaled.n_iter, scaled.n_passes) == (plain.n_iter, plain.n_passes)
    assert scaled.value == pytest.approx(plain.value, rel=1e-13)
    assert scaled.decrement == pytest.approx(plain.decrement, rel=1e-3)
    assert_allclose(scaled.theta * whole, plain.theta, rtol=1e-9)


SUPERFLUOUS = {
    "duplicate": lambda X: X[:, :1],
    "multiple": lambda X: -3e5 * X[:, :1],
    "sum": lambda X: X @ [[1.0], [2.0], [3.0]],
    "constant": lambda X: np.full((len(X), 1), 7.0),
    "zero": lambda X: np.zeros((len(X), 1)),
    "all": lambda X: np.column_stack([X, X.sum(axis=1), np.ones(len(X)), np.zeros(len(X)), X]),
}


@pytest.mark.parametrize("make", SUPERFLUOUS.values(), ids=SUPERFLUOUS)
@pytest.mark.parametrize("started", ["zeros", "random"])
def test_superfluous_columns(sample, make, started, rng):
    X, y = sample
    best = newton(problem_of(X, y), np.zeros(4))
    wide = np.column_stack([X, make(X)])
    size = wide.shape[1] + 1
    start = np.zeros(size) if started == "zeros" else rng.normal(size=size) / abs(wide).max()
    result = newton(problem_of(wide, y), start)
    assert result.converged and never_rises(result)
    assert abs(result.theta).max() < 20
    assert result.value == pytest.approx(best.value, rel=1e-9)
    margins = wide @ result.theta[1:] + result.theta[0]
    assert_allclose(margins, X @ best.theta[1:] + best.theta[0], atol=1e-4)
    assert result.n_iter <= best.n_iter + 5


def test_noise_along_duplicates_is_not_followed(sample):
    X, y = sample
    theta = newton(problem_of(np.column_stack([X, X[:, 0], X[:, 1]]), y), np.zeros(6)).theta
    assert_allclose(theta[4:], theta[1:3], rtol=1e-9)


def test_more_columns_than_rows(rng):
    X, y = rng.normal(size=(6, 30)), np.array([0.0, 1.0] * 3)
    result = newton(problem_of(X, y, l2=0.05), rng.normal(size=31))
    assert result.converged
    assert result.gradient_norm < 1e-6
    # what is penalized lies in the space of the rows, and is what the residuals say
    p = 1 / (1 + np.exp(-X @ result.theta[1:] - result.theta[0]))
    assert_allclose(result.theta[1:], X.T @ (y - p) / (6 * 0.05), atol=1e-4)


@pytest.mark.parametrize("factor", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_indefinite_hessian(sample, activation, factor):
    objective = problem_of(*sample, loss="mse", activation=activation)
    start = factor * FAR
    assert np.linalg.eigvalsh(objective.value_gradient_hessian(start)[2]).min() < -1e-5
    result = newton(objective, start)
    assert never_rises(result)
    assert result.value < 0.95 * result.history[0].value
    assert result.converged
    assert result.gradient_norm < 1e-5


@pytest.mark.parametrize("factor", [5.0, 20.0, 1e2])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturated_start(sample, activation, factor):
    kind = {"loss": "bce", "activation": activation}
    best = newton(problem_of(*sample, **kind), np.zeros(4)).value
    result = newton(problem_of(*sample, **kind), factor * FAR)
    assert never_rises(result)
    assert result.converged
    assert result.value == pytest.approx(best, rel=1e-7)


def test_no_curvature_at_all(sample):
    objective = problem_of(*sample)
    start = 1e100 * FAR
    value, _, hessian = objective.value_gradient_hessian(start)
    assert not hessian.any()
    result = newton(objective, start)
    assert never_rises(result)
    assert result.value < 1e-6 * value
    # no curvature says nothing of the distance, which is at most the value
    assert result.history[0].decrement == value
    assert not newton(objective, start, max_iter=0).converged


def test_straight_line_down():
    """A loss that is linear between the start and its least value needs one step."""
    objective = problem_of(np.ones((2, 1)), np.array([0.0, 1.0]), intercept=False)
    result = newton(objective, np.array([800.0]))
    assert (result.n_iter, result.n_passes, result.converged) == (1, 3, True)
    assert_array_equal(result.theta, 0)


def test_no_curvature_in_one_column():
    """Only the rows of the first column are saturated, and they pull."""
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    y = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    objective = problem_of(X, y, intercept=False)
    result = newton(objective, np.array([800.0, 0.0]))
    assert result.converged and never_rises(result)
    assert_allclose(result.theta, [0.0, np.log(2)], atol=1e-3)


def test_max_iter(sample):
    objective = problem_of(*sample)
    start = np.array([0.3, 0.1, -0.2, 0.4])
    value, gradient = objective.value_gradient(start)
    none = newton(objective, start, max_iter=0)
    assert_array_equal(none.theta, start)
    assert not np.shares_memory(none.theta, start)
    assert (none.value, none.gradient_norm) == (value, abs(gradient).max())
    assert (none.n_iter, none.n_passes, len(none.history)) == (0, 2, 1)
    one = newton(problem_of(*sample), start, max_iter=1)
    assert (one.n_iter, len(one.history)) == (1, 2)
    assert one.value < none.value
    for result in (none, one):
        assert not result.converged
        assert result.status is Status.MAX_ITER


def test_no_step_from_the_optimum(sample):
    best = newton(problem_of(*sample), np.zeros(4), tol=1e-13)
    again = newton(problem_of(*sample), best.theta)
    assert (again.n_iter, again.n_passes, again.converged) == (0, 1, True)
    assert_array_equal(again.theta, best.theta)


def test_floor(sample):
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    result = newton(problem_of(X, y), np.zeros(2), stop_value=1e-3)
    assert not result.converged
    assert result.status is Status.STOP_VALUE
    values = [entry.value for entry in result.history]
    assert values[-1] == result.value <= 1e-3 < values[-2]
    assert newton(problem_of(*sample), np.zeros(4), stop_value=1e-3).converged


@pytest.mark.parametrize("stop_value", [0.0, 1e-3])
def test_separable_without_end(stop_value):
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    result = newton(problem_of(X, y), np.zeros(2), stop_value=stop_value)
    assert not result.converged
    assert never_rises(result)
    assert np.isfinite(result.theta).all()


def test_start_that_is_not_finite(sample):
    X, y = sample
    heard = []
    for objective, start in (
        (problem_of(X * 1e200, y), np.zeros(4)),  # its Hessian overflows, only that
        (problem_of(X, y), np.array([0.0, np.nan, 0.0, 0.0])),
    ):
        result = newton(objective, start, trace=Trace(lambda now, theta: heard.append(now)))
        assert_array_equal(result.theta, start)
        assert np.isnan(result.decrement)
        assert not result.finite and not result.converged
        assert result.status is Status.NOT_FINITE
        assert (result.n_iter, result.n_passes, len(result.history)) == (0, 1, 1)
    assert len(heard) == 2


@pytest.mark.parametrize("start", [np.zeros(4), FAR], ids=["zeros", "far"])
def test_history_and_callback(sample, start, capsys):
    objective = problem_of(*sample)
    heard = []

    def callback(entry, theta):
        assert entry.n_passes == objective.n_passes
        assert np.isfinite(theta).all()
        heard.append(entry)

    before = start.copy()
    result = newton(objective, start, trace=Trace(callback))
    assert_array_equal(start, before)
    assert not np.shares_memory(start, result.theta)
    assert heard == result.history
    assert [entry.n_iter for entry in heard] == list(range(result.n_iter + 1))
    passes = [entry.n_passes for entry in heard]
    assert passes[0] == 1
    assert passes == sorted(passes)
    assert passes[-1] == result.n_passes == objective.n_passes
    last = heard[-1]
    assert (last.value, last.gradient_norm) == (result.value, result.gradient_norm)
    assert last.decrement == result.decrement
    assert all(0 < entry.step <= 1 for entry in heard)
    value, gradient = objective.value_gradient(result.theta)
    assert value == pytest.approx(result.value, rel=1e-14)
    assert abs(gradient).max() == pytest.approx(result.gradient_norm, rel=1e-9)
    assert capsys.readouterr() == ("", "")


def test_backends_take_the_same_steps(sample, backend):
    result = newton(problem_of(*sample, backend=backend), FAR)
    expected = newton(problem_of(*sample, backend="numpy"), FAR)
    assert (result.n_iter, result.n_passes) == (expected.n_iter, expected.n_passes)
    assert_allclose(result.theta, expected.theta, rtol=1e-9)


class Valley(Stub):
    """1 + sum log cosh: steep at first, flat far out, where full Newton steps diverge."""

    def __init__(self, beyond=None, wall=np.inf, stretch=1.0):
        self.n_passes = 0.0
        self.beyond = beyond  # what is spoiled beyond the wall, and how
        self.wall = wall
        self.stretch = stretch  # of the Hessian, which is then wrong
        self.hessians = self.outside = 0

    def value_gradient_hessian(self, theta):
        self.hessians += 1
        return *self.value_gradient(theta), self.stretch * np.diag(1 - np.tanh(theta) ** 2)

    def value_gradient(self, theta):
        gradient = np.tanh(theta)
        if self.beyond == "gradient" and abs(theta).max() > self.wall:
            gradient[:] = np.nan
        return self.value(theta), gradient

    def value(self, theta):
        self.n_passes += 1
        size = abs(theta)
        if size.max() > self.wall:
            self.outside += 1
            if self.beyond != "gradient":
                return self.beyond
        return 1 + float(np.sum(size + np.log1p(np.exp(-2 * size)) - np.log(2)))


@pytest.mark.parametrize("start", [[1.2], [2.0], [3.0, -2.0], [6.0, 0.1, -3.0], [15.0, 15.0]])
def test_full_steps_diverge(start):
    result = newton(Valley(), np.array(start), tol=1e-12)
    assert never_rises(result)
    assert result.converged
    assert_allclose(result.theta, 0, atol=1e-6)
    assert any(entry.step < 1 for entry in result.history)


def test_rejected_steps_are_cheap():
    valley = Valley()
    result = newton(valley, np.array([2.0]))
    assert any(entry.step < 1 for entry in result.history)
    # a Hessian at the start, one for the rejected full step, none for the last step
    assert valley.hessians <= result.n_iter + 1
    # the first full step is 10^12 times too long, and few trials find that out
    assert newton(Valley(), np.array([15.0, 15.0])).n_passes < 40


def test_negative_curvature_is_taken_by_its_size():
    class Hilly(Stub):
        def value(self, theta):
            self.n_passes += 1
            return 2 - float(np.cos(theta[0]))

        def value_gradient(self, theta):
            return self.value(theta), np.sin(theta)

        def value_gradient_hessian(self, theta):
            return *self.value_gradient(theta), np.diag(np.cos(theta))

    result = newton(Hilly(), np.array([2.5]), tol=1e-12)
    assert result.converged and never_rises(result)
    assert result.history[1].step == 1
    assert_allclose(result.theta, 0, atol=1e-6)


@pytest.mark.parametrize("beyond", [np.nan, np.inf, -np.inf, "gradient"])
@pytest.mark.parametrize("start", [[2.0], [3.0, -2.0], [6.0, 0.1, -3.0]])
def test_trials_that_are_not_finite(start, beyond):
    valley = Valley(beyond, wall=6.5)
    result = newton(valley, np.array(start), tol=1e-12)
    assert valley.outside > 0
    assert result.converged and never_rises(result)
    assert np.isfinite([entry[2:] for entry in result.history]).all()
    assert_allclose(result.theta, 0, atol=1e-6)


def test_hessian_is_kept_only_while_it_is_right():
    right, wrong = Valley(), Valley(stretch=1.5)
    results = [newton(valley, np.array([0.5, -0.3]), tol=1e-6) for valley in (right, wrong)]
    assert right.hessians < results[0].n_iter + 1
    assert results[1].n_iter >= results[0].n_iter
    for result in results:
        assert result.converged
        assert result.value - 1 <= 2e-6


def test_every_step_uphill():
    class Pit(Valley):
        def value(self, theta):
            return super().value(theta) + 10.0 * bool((theta != start).any())

    start = np.array([1.0, 2.0])
    result = newton(Pit(), start)
    assert not result.converged
    assert result.status is Status.NO_DESCENT
    assert_array_equal(result.theta, start)
    assert result.value == Valley().value(start)
    assert result.n_iter == 0
    assert result.n_passes < 100


def test_gradient_step_where_newton_leads_nowhere():
    class Ray(Stub):
        """A bowl that is defined only along the gradient at (1, 1)."""

        def value(self, theta):
            self.n_passes += 1
            return 1 + float(theta @ (theta * [1, 4])) / 2 if self.on(theta) else np.nan

        def on(self, theta):
            return abs((1 - theta[1]) - 4 * (1 - theta[0])) < 1e-9

        def value_gradient(self, theta):
            return self.value(theta), theta * [1, 4]

        def value_gradient_hessian(self, theta):
            return *self.value_gradient(theta), np.diag([1.0, 4.0])

    result = newton(Ray(), np.ones(2))
    assert result.n_iter > 0
    assert never_rises(result)
    assert result.value < 3
    assert not result.converged


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_small_data(data):
    n = data.draw(st.integers(1, 20), "n")
    d = data.draw(st.integers(1, 5), "d")
    loss, activation = data.draw(st.sampled_from(ONE_MARGIN), "combination")
    l2 = data.draw(st.sampled_from([0.0, 1e-6, 1e-2, 1.0]), "l2")
    spread = data.draw(st.sampled_from([0.0, 0.1, 3.0]), "spread of the start")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    X = rng.integers(-2, 3, (n, d)) * 10.0 ** rng.integers(-3, 4, d)
    y = data.draw(st.sampled_from([rng.random(n), np.round(rng.random(n)), np.ones(n)]), "y")
    start = spread * rng.normal(size=d + 1)
    objective = problem_of(X, y, l2=l2, loss=loss, activation=activation, backend="numpy")
    result = newton(objective, start, max_iter=30)
    assert never_rises(result)
    assert np.isfinite(result.theta).all()
    assert np.isfinite([entry[2:4] for entry in result.history]).all()
    assert result.value == pytest.approx(objective.value(result.theta), rel=1e-12)
    assert result.value <= result.history[0].value
    # not the other way round: a small decrement where steps leave much of it is not the distance
    if result.converged:
        assert result.status is not Status.STOP_VALUE
        assert result.decrement <= 1e-8 * result.value


@pytest.mark.parametrize("start", [400.0, 700.0, 740.0])
def test_curvature_that_is_nearly_nothing(start):
    X, y = np.ones((2, 1)), np.array([0.0, 1.0])
    result = newton(problem_of(X, y, intercept=False), np.array([start]))
    assert result.converged
    assert result.value == pytest.approx(np.log(2))


def test_overflow_is_not_convergence():
    X, y = np.array([[1.0, -2.0], [1.0, -1.0]]), np.array([0.0, 1.0])
    with np.errstate(all="ignore"):
        result = newton(problem_of(X, y, intercept=False), np.array([-48.0, -788.0]))
    assert result.value < 700 or not result.converged


def test_underflow_is_not_convergence():
    X, y = np.array([[-1.0], [1.0], [1.0], [2.0]]) * 1e-165, np.array([0.0, 1.0, 0.0, 1.0])
    result = newton(problem_of(X, y, intercept=False), np.zeros(1))
    assert result.value < 0.65 or not result.converged


def test_a_value_that_underflows_is_gone_down_to():
    """One sample of squared error is fitted exactly, and the goal underflows before the value."""
    for target in np.linspace(0.2, 0.8, 30):
        X, y = np.array([[10.0]]), np.array([target])
        problem = problem_of(X, y, l2=0.01, loss="mse", backend="numpy")
        result = newton(problem, np.zeros(2), max_iter=60)
        assert result.value < 1e-15
        assert never_rises(result)


@pytest.mark.parametrize("n", [300, 30_000])
@pytest.mark.parametrize("tol", [1e-4, 1e-12])
def test_the_hessian_is_that_of_the_end(n, tol, rng):
    X = rng.standard_normal((n, 4)) * [1.0, 10.0, 0.1, 1.0]
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ [1.0, 0.1, -3.0, 0.0]))).astype(float)
    objective = problem_of(X, y, l2=1.0)
    result = newton(objective, np.zeros(5), tol=tol, ends_with_hessian=True)
    assert result.converged and result.point is not None
    value, gradient, hessian = objective.value_gradient_hessian(result.theta)
    assert result.value == result.point[0] == value
    assert_allclose(result.point[1], gradient, rtol=1e-12, atol=1e-18)
    assert_allclose(result.point[2], hessian, rtol=1e-12)
    step = np.linalg.solve(hessian, gradient)
    assert 0.5 * gradient @ step <= tol * value
    plain = newton(objective, np.zeros(5), tol=tol)
    assert plain.point is None
    assert_allclose(result.theta, plain.theta, atol=10 * np.sqrt(tol))


def test_an_outlier_hides_nothing_where_the_hessian_is_wanted(rng):
    n = 2_000
    X = rng.standard_normal((n, 3))
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ [1.0, -1.0, 0.5]))).astype(float)
    X[0], y[0] = [1e9, -1e9, 1e9], 1.0
    objective = problem_of(X, y, l2=1e-3)
    exact = newton(objective, np.zeros(4), tol=1e-13, max_iter=300).value
    for tol in (1e-3, 1e-6, 1e-10):
        for start in (np.zeros(4), np.array([0.0, 1e-7, 0.0, 0.0])):
            result = newton(objective, start, tol=tol, max_iter=300, ends_with_hessian=True)
            if result.converged:
                assert result.value - exact <= 2.0 * tol * exact
