"""Few rows: Newton's steps in one call, and what a solver makes of where it ends."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import fastlogreg as flr
from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.trace import Trace

STORED = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "CSR": sparse.csr_array,
    "CSR float32": lambda X: sparse.csr_array(X.astype(np.float32)),
}


def table(seed=0, n=150, d=8):
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, d)).astype(np.float32).astype(np.float64)
    X[:, 1] = X[:, 0] + np.float32(1e-3) * X[:, 1]
    X = X.astype(np.float32).astype(np.float64)
    y = (X[:, 0] - X[:, 2] + random.logistic(size=n) > 0.3).astype(float)
    return X, y, random.uniform(0.5, 2.0, n), random.standard_normal(n)


def problem_of(X, y, *, l1=0.02, l2=0.0, intercept=True, weight=None, offset=None):
    spec = PassSpec(intercept=intercept)
    own = np.r_[np.zeros(int(intercept)), np.ones(X.shape[1])]
    rows = MemoryRows(X, y, weight, offset)
    return Problem(rows, ElasticNet(l1 * own, l2 * own), spec)


def step_by_step(problem, theta, **options):
    """Solve with a callback that must hear of each step: nothing is done in one call."""
    return proximal(problem, theta, trace=Trace(lambda now, theta: False), **options)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_one_call_ends_where_steps_one_by_one_do(stored, intercept, l2):
    X, y, weight, offset = table()
    options = {"l2": l2, "intercept": intercept, "weight": weight, "offset": offset}
    problem = problem_of(STORED[stored](X), y, **options)
    found = problem.lowered(np.zeros(problem.size), problem.penalty.l1, 1e-10, 20)
    assert found is not None
    theta, known, steps = found
    assert len(steps) > 2 and problem.n_passes >= len(steps)
    assert (np.diff(steps[:-1, 1]) < 0.0).all(), "values fall"
    witness = problem_of(X, y, **options)
    value, gradient, hessian = witness.value_gradient_hessian(theta)
    assert known[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(known[1], gradient, atol=1e-12)
    np.testing.assert_allclose(known[2], hessian, atol=1e-12)
    best = step_by_step(witness, np.zeros(problem.size), tol=1e-12)
    assert value <= best.value * (1.0 + 1e-10)
    np.testing.assert_array_equal(theta == 0.0, best.theta == 0.0)


def test_a_fit_counts_the_steps_of_the_call():
    X, y, *_ = table()
    problem = problem_of(X, y)
    result = proximal(problem, np.zeros(problem.size))
    alone = step_by_step(problem_of(X, y), np.zeros(problem.size))
    assert result.converged and alone.converged
    assert result.value == pytest.approx(alone.value, rel=1e-9)
    assert [now.n_iter for now in result.history] == list(range(result.n_iter + 1))
    assert result.history[-1].n_passes <= result.n_passes == problem.n_passes
    assert result.decrement <= 1e-8 * result.value
    assert abs(result.n_iter - alone.n_iter) <= 2


@pytest.mark.parametrize("max_iter", [0, 1, 2, 3])
def test_no_more_steps_are_taken_than_are_allowed(max_iter):
    X, y, *_ = table()
    result = proximal(problem_of(X, y, l1=1e-4), np.zeros(9), tol=1e-12, max_iter=max_iter)
    assert result.n_iter <= max_iter and not result.converged


@pytest.mark.parametrize("case", ["separated", "far", "huge", "constant", "equal", "heavy"])
def test_tables_built_to_deceive_are_proved_by_their_gap(case):
    X, y, *_ = table()
    weight = None
    if case == "separated":
        X[:, 0] = y
    if case == "far":
        X[:, 3] += 1e7
    if case == "huge":
        X[0, 0] = 1e9
    if case == "constant":
        X[:, 4] = 3.0
    if case == "equal":
        X[:, 5] = X[:, 0]
    if case == "heavy":
        weight = np.r_[1e8, np.ones(y.size - 1)]
    for l1 in (0.1, 1e-3, 1e-6):
        result = proximal(problem_of(X, y, l1=l1, weight=weight), np.zeros(9), max_iter=300)
        best = step_by_step(
            problem_of(X, y, l1=l1, weight=weight), np.zeros(9), tol=1e-11, max_iter=1000
        )
        assert result.converged
        assert result.value <= best.value * (1.0 + 1e-8), (case, l1)


def test_rows_that_are_not_numbers_are_left_to_the_solver():
    X, y, *_ = table()
    problem = problem_of(X, y)
    theta, _, steps = problem.lowered(np.full(9, np.nan), None, 1e-8, 5)
    assert len(steps) == 1 and np.isnan(theta).all()


def test_many_rows_and_other_backends_go_step_by_step():
    X, y, *_ = table(n=40_000)
    assert problem_of(X, y).lowered(np.zeros(9), None, 1e-8, 5) is None
    spec = PassSpec(intercept=True)
    X, y, *_ = table()
    rows = MemoryRows(X, y, backend="numpy")
    l1 = np.r_[0.0, np.ones(8)]
    assert Problem(rows, ElasticNet(l1, 0.0 * l1), spec).lowered(np.zeros(9), l1, 1e-8, 5) is None


def test_the_history_of_an_estimator_has_the_steps():
    X, y, *_ = table()
    model = flr.LogisticRegression(C=0.1, l1_ratio=1.0).fit(X, y)
    assert model.converged_ and model.duality_gap_ <= 1e-8 * model.objective_
    assert model.history_["iteration"].tolist() == list(range(model.n_iter_[0] + 1))
    assert (np.diff(model.history_["objective"]) <= 1e-12).all()
    quiet = flr.LogisticRegression(C=0.1, l1_ratio=1.0, n_threads=1).fit(X, y)
    np.testing.assert_array_equal(model.coef_, quiet.coef_)


# --- several classes, with L2 ---------------------------------------------------------------


def classes_of(X, K, seed=1):
    random = np.random.default_rng(seed)
    margins = X @ random.standard_normal((X.shape[1], K)) + random.gumbel(size=(X.shape[0], K))
    return margins.argmax(axis=1).astype(float)


def softmax_of(X, y, K, *, l2=0.01, intercept=True, weight=None, offset=None):
    spec = PassSpec("cross_entropy", "softmax", intercept=intercept, n_outputs=K)
    rows = MemoryRows(X, y, weight, offset)
    return Problem(rows, l2, spec)


@pytest.mark.parametrize("stored", ["C", "Fortran", "float32"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("K", [3, 7])
def test_one_call_of_several_classes_ends_where_steps_do(stored, intercept, K):
    X, _, weight, _ = table()
    y = classes_of(X, K)
    offset = np.random.default_rng(5).standard_normal((y.size, K))
    options = {"intercept": intercept, "weight": weight, "offset": offset}
    problem = softmax_of(STORED[stored](X), y, K, **options)
    theta, known, steps = problem.lowered(np.zeros(problem.size), None, 1e-10, 20)
    assert len(steps) > 2 and (np.diff(steps[:-1, 1]) < 0.0).all()
    witness = softmax_of(X, y, K, **options)
    value, gradient, hessian = witness.value_gradient_hessian(theta)
    assert known[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(known[1], gradient, atol=1e-12)
    np.testing.assert_allclose(known[2], hessian, atol=1e-12)
    np.testing.assert_allclose(theta.reshape(K, -1).sum(axis=0), 0.0, atol=1e-9)
    best = newton(witness, np.zeros(problem.size), tol=1e-13, trace=Trace(lambda *now: False))
    assert value <= best.value * (1.0 + 1e-9)


@pytest.mark.parametrize("case", ["plain", "separated", "far", "huge", "equal", "heavy", "rare"])
@pytest.mark.parametrize("l2", [1e-2, 1e-6, 0.0])
def test_classes_built_to_deceive_are_as_near_as_they_say(case, l2):
    X, _, _, _ = table()
    y = classes_of(X[:, :4], 3)
    X, weight = X[:, :4].copy(), None
    if case == "separated":
        X[:, 0] = y
    if case == "far":
        X[:, 3] += 1e7
    if case == "huge":
        X[0, 0] = 1e9
    if case == "equal":
        X[:, 1] = X[:, 0]
    if case == "heavy":
        weight = np.r_[1e8, np.ones(y.size - 1)]
    if case == "rare":
        y[y == 2.0] = 0.0
        y[7] = 2.0
    if l2 == 0.0 and case in ("separated", "rare"):
        return  # there may be no optimum; tests/test_separation.py has them
    start = np.zeros(15)
    result = newton(softmax_of(X, y, 3, l2=l2, weight=weight), start, max_iter=500)
    alone = newton(
        softmax_of(X, y, 3, l2=l2, weight=weight),
        start,
        tol=1e-13,
        max_iter=500,
        trace=Trace(lambda *now: False),
    )
    assert result.converged
    assert result.value <= alone.value * (1.0 + 1e-8)


def test_classes_count_the_steps_of_the_call_too():
    X, y = load_iris(return_X_y=True)
    model = flr.LogisticRegression().fit(X, y)
    assert model.converged_
    assert model.history_["iteration"].tolist() == list(range(model.n_iter_[0] + 1))
    assert model.history_["passes"][-1] <= model.n_passes_
    short = flr.LogisticRegression(max_iter=3)
    with pytest.warns(ConvergenceWarning):
        short.fit(X, y)
    assert short.n_iter_[0] == 3 and not short.converged_


def test_two_classes_with_l2_compile_nothing_more():
    code = (
        "import sys, numpy as np, fastlogreg as flr\n"
        "X = np.arange(20.0).reshape(10, 2) ** 1.5\n"
        "flr.LogisticRegression().fit(X, np.arange(10) % 3 == 0)\n"
        "assert 'fastlogreg.backends.numba.passes.small' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
