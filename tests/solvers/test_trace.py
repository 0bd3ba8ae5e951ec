"""A trace keeps the history of a fit, and a stop that it hands on ends any solver where it is."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import make_classification

from fastlogreg import LogisticRegression, MiniBatchLogisticRegression
from fastlogreg.solvers import Status
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.descent import Stopping, descend
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.trace import Trace
from tests.problems import problem_of

SOLVERS = {"newton": newton, "newton-cg": newton_cg, "lbfgs": lbfgs, "auto": auto}


@pytest.fixture(params=SOLVERS.values(), ids=SOLVERS)
def solver(request):
    return request.param


def rows(rng, n=300, correlated=False):
    X = rng.normal(size=(n, 8))
    if correlated:
        X = X.cumsum(axis=1)
    z = X[:, 3] - 2 * X[:, 4] + 0.5
    return X, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)


class StopAt:
    """Hear of all records, and ask for the end at one of them."""

    def __init__(self, record):
        self.record = record
        self.heard, self.thetas = [], []

    def __call__(self, now, theta):
        self.heard.append(now)
        self.thetas.append(theta.copy())
        return len(self.heard) == self.record + 1


@pytest.mark.parametrize("correlated", [False, True])
def test_a_stop_at_any_iteration(solver, correlated, rng):
    X, y = rows(rng, correlated=correlated)
    whole = solver(problem_of(X, y, l2=1e-4), np.zeros(9), max_iter=500)
    best = newton(problem_of(X, y, l2=1e-4), np.zeros(9), tol=1e-15).value
    assert whole.converged and len(whole.history) > 3
    for record in range(len(whole.history)):
        stop = StopAt(record)
        problem = problem_of(X, y, l2=1e-4)
        result = solver(problem, np.zeros(9), max_iter=500, trace=Trace(stop))
        assert result.status is Status.STOPPED
        assert len(stop.heard) == record + 1
        assert result.history == stop.heard
        assert [now[0] for now in result.history] == [now[0] for now in whole.history[: record + 1]]
        assert_array_equal(result.theta, stop.thetas[-1])
        assert result.n_iter == stop.heard[-1].n_iter
        assert result.n_passes == problem.n_passes
        assert result.value == pytest.approx(problem.value(result.theta), rel=1e-13)
        assert result.decrement == stop.heard[-1].decrement
        if result.converged:
            assert result.value - best <= 1e-8 * best
    if solver is newton:
        assert result.converged  # it knew, when it was asked for the end


@pytest.mark.parametrize("record", [0, 1, 3])
def test_a_stop_on_a_part_of_the_rows(record, rng):
    X, y = rows(rng, 30_000)
    stop = StopAt(record)
    problem = problem_of(X, y)
    result = newton(problem, np.zeros(9), trace=Trace(stop))
    assert stop.heard[-1].share < 1.0
    assert result.status is Status.STOPPED and result.finite and not result.converged
    assert_array_equal(result.theta, stop.thetas[-1])
    # the figures are of all rows, on which no step was taken
    value, gradient = problem.value_gradient(result.theta)
    assert (result.value, result.gradient_norm) == (value, np.abs(gradient).max())
    assert (result.n_iter, result.decrement) == (0, np.inf)
    assert len(result.history) == record + 1


def test_iterations_count_on_where_a_solver_hands_over(rng):
    X, y = rows(rng, correlated=True)
    problem = problem_of(X, y, l2=1e-6)
    whole = lbfgs(problem, np.zeros(9), max_iter=500)
    numbers = [now.n_iter for now in whole.history]
    # the one that follows notes once more where it begins
    assert numbers == sorted(numbers) and set(numbers) == set(range(whole.n_iter + 1))
    assert len(numbers) > whole.n_iter + 1
    for record in range(len(numbers) - 2, len(numbers)):
        stop = StopAt(record)
        result = lbfgs(problem_of(X, y, l2=1e-6), np.zeros(9), max_iter=500, trace=Trace(stop))
        assert result.status is Status.STOPPED
        assert result.n_iter == numbers[record]
        assert result.history == whole.history[: record + 1]


def test_a_start_that_is_not_finite_is_not_what_a_callback_wanted(solver, rng):
    X, y = rows(rng)
    result = solver(problem_of(X, y), np.full(9, np.nan), trace=Trace(StopAt(0)))
    assert result.status is Status.NOT_FINITE
    assert not result.finite and not result.converged


def test_without_a_callback_and_with_one_that_returns_nothing(solver, rng):
    X, y = rows(rng)
    silent = solver(problem_of(X, y), np.zeros(9), max_iter=500)
    heard = solver(problem_of(X, y), np.zeros(9), max_iter=500, trace=Trace(lambda *now: None))
    assert silent.history == heard.history
    assert silent.status is heard.status is Status.CONVERGED


class Number(NamedTuple):
    n_iter: int
    size: float = 0.0


def test_traces_of_solvers_that_follow_share_history_and_callback():
    heard = []
    trace = Trace(lambda now, theta: bool(heard.append(now)) or now.n_iter == 5)
    theta = np.zeros(2)
    assert not trace.note(Number(0), theta) and not trace.note(Number(1), theta)
    second = trace.after(1)
    assert not second.note(Number(1), theta)
    third = second.after(2)
    assert not third.note(Number(1), theta)
    assert third.note(Number(2), theta)
    assert [now.n_iter for now in heard] == [0, 1, 2, 4, 5]
    assert trace.history == second.history == third.history == heard
    third.amend(size=3.0)
    assert trace.history[-1] == Number(5, 3.0)
    assert heard[-1] == Number(5)


# --- the descent over mini-batches ---------------------------------------------------------


class Batches:
    """A loss that halves in each epoch, and a parameter that counts them."""

    def __init__(self):
        self.epochs = 0

    def epoch(self, random, shrink):
        self.epochs += 1
        return 0.5**self.epochs, True

    def theta(self):
        return np.array([float(self.epochs)])

    def save(self):
        return self.epochs

    def restore(self, saved):
        self.epochs = saved


@pytest.mark.parametrize("last", [1, 3])
def test_a_stop_at_any_epoch(last):
    stop = StopAt(last - 1)
    stopping = Stopping(max_iter=9, tol=None, n_iter_no_change=5, adaptive=False, eta0=0.1)
    result = descend(Batches(), stopping, random=None, trace=Trace(stop))
    assert (result.n_iter, result.ended, result.plateaued) == (last, True, False)
    assert_array_equal(result.theta, [last])
    assert result.history == stop.heard
    assert [now.loss for now in result.history] == [0.5**k for k in range(1, last + 1)]
    assert result.last_loss == 0.5**last


# --- scikit-learn's callbacks ----------------------------------------------------------------


class Ending:
    """A callback of scikit-learn that ends the fit after so many iterations or epochs."""

    def __init__(self, after):
        self.after = after
        self.torn_down = False

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context, **kind):
        pass

    def on_fit_task_end(self, estimator, context, **kind):
        return context.task_id + 1 == self.after


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("solver", ["newton", "newton-cg", "lbfgs"])
def test_a_callback_ends_the_exact_fit(after, solver):
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    X, y = make_classification(400, 6, random_state=3)
    ending = Ending(after)
    model = LogisticRegression(solver=solver, C=np.inf).set_callbacks(ending).fit(X, y)
    assert len(model.history_) == after + 1
    assert model.n_iter_[0] == model.history_["iteration"][-1]
    assert not model.converged_
    assert ending.torn_down


@pytest.mark.parametrize("after", [1, 2])
def test_a_callback_ends_the_descent(after):
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    X, y = make_classification(400, 6, random_state=3)
    ending = Ending(after)
    model = MiniBatchLogisticRegression(random_state=0, max_iter=9, tol=None)
    model.set_callbacks(ending).fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == after
    assert ending.torn_down
    same = MiniBatchLogisticRegression(random_state=0, max_iter=after, tol=None).fit(X, y)
    assert_array_equal(model.coef_, same.coef_)
