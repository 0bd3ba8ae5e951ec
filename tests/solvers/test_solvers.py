"""What every solver promises, whichever way it goes; what one alone does is in its own file."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.curvature import Centred, Conjugate, Curvature, Secants
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.trace import Trace
from tests.problems import problem_of

SOLVERS = {"newton": newton, "newton-cg": newton_cg, "lbfgs": lbfgs, "auto": auto}


@pytest.fixture(params=SOLVERS.values(), ids=SOLVERS)
def solver(request):
    return request.param


def labels(rng, z):
    return (rng.random(z.size) < 1 / (1 + np.exp(-z))).astype(float)


def ordinary(rng):
    X = rng.normal(size=(300, 5))
    return X, labels(rng, X @ rng.normal(size=5) + 1), 0.01


def unscaled(rng):
    X, y, _ = ordinary(rng)
    return X * np.geomspace(1e-8, 1e8, 5), y, 0.01 * np.geomspace(1e-8, 1e8, 5) ** 2


def far_from_zero(rng):
    X, y, _ = ordinary(rng)
    return X + 1e4, y, 0.01


def collinear(rng):
    X, y, _ = ordinary(rng)
    return np.column_stack([X, X[:, :2], X.sum(axis=1), np.full(300, 7.0), np.zeros(300)]), y, 0.0


def wide(rng):
    X = rng.normal(size=(40, 200))
    return X, labels(rng, X[:, 0]), 0.001


def rare(rng):
    X = (rng.random((2000, 30)) < np.geomspace(0.5, 0.002, 30)).astype(float)
    return X, labels(rng, X @ rng.normal(size=30)), 1e-4


def correlated(rng):
    X = rng.normal(size=(500, 20)).cumsum(axis=1)
    return X, labels(rng, X[:, 3] - X[:, 4]), 1e-6


PROBLEMS = [ordinary, unscaled, far_from_zero, collinear, wide, rare, correlated]


def never_rises(result):
    values = np.array([entry.value for entry in result.history if entry.share == 1.0])
    return bool((values[1:] <= values[:-1] * (1 + 1e-14)).all())


@pytest.mark.parametrize("problem", PROBLEMS)
def test_optimum(solver, problem, rng):
    X, y, l2 = problem(rng)
    best = newton(problem_of(X, y, l2=l2, backend="numpy"), np.zeros(X.shape[1] + 1), tol=1e-15)
    objective = problem_of(X, y, l2=l2)
    result = solver(objective, np.zeros(objective.size), max_iter=500)
    assert result.converged, result
    assert never_rises(result)
    assert result.value - best.value <= 1e-8 * best.value
    assert result.value == pytest.approx(objective.value(result.theta), rel=1e-13)
    assert result.decrement <= 1e-8 * result.value


def test_without_intercept_and_with_weights(solver, rng):
    X, y, _ = ordinary(rng)
    weights = rng.gamma(1.0, size=300)
    kind = {"l2": 0.02, "intercept": False, "sample_weight": weights}
    best = newton(problem_of(X, y, **kind, backend="numpy"), np.zeros(5), tol=1e-15)
    result = solver(problem_of(X, y, **kind), np.zeros(5), max_iter=500)
    assert result.converged
    assert_allclose(result.theta, best.theta, atol=1e-4)


@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-12])
@pytest.mark.parametrize("problem", [ordinary, rare, correlated])
def test_tol_bounds_the_distance(solver, problem, tol, rng):
    X, y, l2 = problem(rng)
    best = newton(problem_of(X, y, l2=l2), np.zeros(X.shape[1] + 1), tol=1e-15).value
    result = solver(problem_of(X, y, l2=l2), np.zeros(X.shape[1] + 1), tol=tol, max_iter=1000)
    assert result.converged
    assert result.value - best <= 2 * tol * best + 1e-14


def test_history_and_callback(solver, rng):
    X, y, l2 = ordinary(rng)
    heard, thetas = [], []

    def callback(now, theta):
        heard.append(now)
        thetas.append(theta)

    objective = problem_of(X, y, l2=l2)
    result = solver(objective, np.zeros(6), trace=Trace(callback), max_iter=500)
    assert result.history == heard
    # the theta that comes with an iteration is where its value was computed
    values = [problem_of(X, y, l2=l2).value(theta) for theta in thetas]
    assert_allclose(values, [entry.value for entry in heard], rtol=1e-12)
    assert_array_equal(thetas[-1], result.theta)
    assert [entry.n_iter for entry in heard] == sorted(entry.n_iter for entry in heard)
    assert heard[-1].value == result.value
    assert heard[-1].n_iter == result.n_iter
    assert heard[-1].n_passes == result.n_passes == objective.n_passes


def test_start_is_not_changed_and_max_iter_is_heeded(solver, rng):
    X, y, l2 = ordinary(rng)
    start = rng.normal(size=6)
    before = start.copy()
    result = solver(problem_of(X, y, l2=l2), start, max_iter=0)
    assert_array_equal(start, before)
    assert_array_equal(result.theta, before)
    assert not result.converged
    assert solver(problem_of(X, y, l2=l2), start, max_iter=2).n_iter <= 2


def test_separable_classes_stop_at_the_floor(solver):
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    result = solver(problem_of(X, y), np.zeros(2), stop_value=1e-6, max_iter=500)
    assert not result.converged
    assert result.value <= 1e-6
    assert np.isfinite(result.theta).all()


@pytest.mark.parametrize("start", [0.0, 3.0, 300.0])
def test_squared_error_of_a_sigmoid_never_rises(solver, start, rng):
    X, y, _ = ordinary(rng)
    objective = problem_of(X, y, l2=0.001, loss="mse")
    result = solver(objective, start * rng.normal(size=6), max_iter=200)
    assert never_rises(result)
    assert np.isfinite(result.theta).all()


def test_a_start_that_is_not_finite(solver):
    X, y = np.array([[-1.0], [1.0], [0.5]]), np.array([0.0, 1.0, 1.0])
    start = np.array([0.0, np.nan])
    result = solver(problem_of(X, y), start)
    assert not result.finite
    assert not result.converged
    assert_array_equal(result.theta, start)


def test_saturated_start_comes_back(solver, rng):
    X, y, l2 = ordinary(rng)
    best = newton(problem_of(X, y, l2=l2), np.zeros(6)).value
    result = solver(problem_of(X, y, l2=l2), np.full(6, 1e4), max_iter=500)
    assert result.value <= best * (1 + 1e-6)


# --- what newton does on parts of the rows ----------------------------------------------


def large(rng):
    X = rng.normal(size=(30_000, 4))
    return X, labels(rng, X @ [1.0, -1.0, 0.5, 0.0])


def test_stages_save_passes(rng):
    X, y = large(rng)
    with_stages = newton(problem_of(X, y), np.zeros(5))
    without = newton(problem_of(X, y), np.zeros(5), stages=False)
    assert with_stages.converged and without.converged
    assert with_stages.value == pytest.approx(without.value, rel=1e-9)
    assert with_stages.n_passes < without.n_passes
    shares = [entry.share for entry in with_stages.history]
    assert shares[0] < 0.2
    assert shares == sorted(shares)
    assert {entry.share for entry in without.history} == {1.0}


def test_no_stage_where_a_part_would_say_nothing(rng):
    X, y = large(rng)
    weights = np.full(30_000, 1e-9)
    weights[:50] = 1.0
    positive = np.zeros(30_000)
    positive[17] = 1.0
    for objective in (
        problem_of(X, y, sample_weight=weights),
        problem_of(X, positive, l2=1e-3),
        problem_of(X[:2000], y[:2000]),
    ):
        result = newton(objective, np.zeros(5))
        assert result.converged
        assert {entry.share for entry in result.history} == {1.0}


def test_a_part_is_the_objective_of_its_rows(rng):
    X, y = large(rng)
    weights = rng.random(30_000)
    objective = problem_of(X, y, sample_weight=weights, l2=0.1)
    part = objective.part(8)
    draws = np.random.default_rng(0).integers(0, 8, size=3750)
    rows = 8 * np.arange(3750) + draws  # one of every eight
    same = problem_of(X[rows], y[rows], sample_weight=weights[rows], l2=0.1)
    theta = rng.normal(size=5)
    for a, b in zip(
        part.value_gradient_hessian(theta), same.value_gradient_hessian(theta), strict=True
    ):
        assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    assert objective.n_passes == part.n_passes == 0.125
    assert part.largest_change(theta) == pytest.approx(same.largest_change(theta))
    part = objective.part(8, np.array([0.0, 0.3, 0.3, 0.3, 0.3]))
    assert part.value(theta) == pytest.approx(
        same.value(theta) + 0.1 * float(theta[1:] @ theta[1:])
    )
    assert objective.value(theta) == pytest.approx(
        problem_of(X, y, sample_weight=weights, l2=0.1).value(theta)
    )


def test_auto_changes_to_newton_where_conjugate_gradients_are_slow(rng):
    X = rng.normal(size=(400, 120)).cumsum(axis=1)
    y = labels(rng, X[:, 3] - X[:, 4])
    objective = problem_of(X, y, l2=1e-9)
    objective.hessian_passes = 13.0
    result = auto(objective, np.zeros(121), max_iter=300)
    assert result.converged
    best = newton(problem_of(X, y, l2=1e-9), np.zeros(121), tol=1e-14, max_iter=300)
    assert result.value <= best.value * (1 + 1e-8)
    assert_array_equal(
        [e.n_passes for e in result.history], sorted(e.n_passes for e in result.history)
    )


# --- what solvers know of the curvature --------------------------------------------------


def test_centred_is_the_hessian_of_independent_columns(rng):
    n = 200_000
    X = rng.normal(size=(n, 2)) * [1.0, 100.0] + [50.0, -3.0]
    objective = problem_of(X, np.zeros(n), l2=0.5)
    hessian = objective.value_gradient_hessian(np.zeros(3))[2]
    base = Centred(objective.value_gradient_product(np.zeros(3))[2].moments())
    found = np.column_stack([base.solve(hessian[:, j], 0.0) for j in range(3)])
    values = np.linalg.eigvals(found)
    assert_allclose(values, 1.0, atol=0.02)


def test_centred_leaves_out_what_has_no_curvature():
    sums, squares = np.array([[0.5, 0.0]]), np.array([[1.0, 0.0]])
    base = Centred(Moments(Layout(2), np.array([0.25]), sums, squares, np.zeros((1, 2))))
    assert base.frozen.tolist() == [False, False, True]
    assert np.isfinite(base.solve(np.ones(3), 0.0)).all()


def test_conjugate_directions_give_the_hessian(rng):
    A = rng.normal(size=(6, 6))
    H = A @ A.T + np.eye(6)
    g = rng.normal(size=6)
    pairs = [(v, H @ v) for v in np.linalg.eigh(H)[1].T]
    step, decrease = Conjugate(Curvature(np.eye(6)), pairs).step(g)
    assert_allclose(step, -np.linalg.solve(H, g), rtol=1e-9)
    assert decrease == pytest.approx(0.5 * g @ np.linalg.solve(H, g))


def test_directions_that_are_not_conjugate_still_give_a_descent(rng):
    A = rng.normal(size=(6, 6))
    H = A @ A.T + 1e-3 * np.eye(6)
    pairs = [(v, H @ v) for v in rng.normal(size=(4, 6))]
    model = Conjugate(Curvature(np.diag([1.0, 1e4, 1e-3, 1.0, 2.0, 5.0])), pairs)
    inverse = np.column_stack([model.solve(e) for e in np.eye(6)])
    assert_allclose(inverse, inverse.T, rtol=1e-6, atol=1e-9 * np.abs(inverse).max())
    assert np.linalg.eigvalsh(inverse).min() > 0.0


def test_a_pair_without_curvature_is_left_out():
    model = Secants(Curvature(np.eye(2)))
    expected = model.step(np.array([1.0, 2.0]), 0.0)
    model.add(np.ones(2), np.ones(2), np.ones(2) * (1 - 1e-12))
    model.add(np.ones(2), np.ones(2), np.zeros(2))
    model.add(np.ones(2), np.ones(2), np.full(2, np.inf))
    found = model.step(np.array([1.0, 2.0]), 0.0)
    assert_array_equal(found[0], expected[0])
