"""The objective: what it adds to the backends' mean loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_info, threadpool_limits

from fastlogreg import backends
from tests.problems import problem_of

L2 = {"none": 0.0, "scalar": 0.3, "columns": np.array([0.5, 0.0, 2.0])}


@pytest.fixture(params=[True, False], ids=["intercept", "no intercept"])
def intercept(request):
    return request.param


@pytest.fixture(params=L2.values(), ids=L2)
def l2(request):
    return request.param


@pytest.fixture
def problem(rng, intercept):
    return rng.normal(size=(25, 3)), rng.random(25), 1 + rng.normal(size=3 + intercept)


def all_three(objective, theta):
    """Return value, gradient and Hessian, after checking that the shorter calls agree."""
    value, gradient, hessian = objective.value_gradient_hessian(theta)
    short_value, short_gradient = objective.value_gradient(theta)
    assert_allclose([short_value, objective.value(theta)], value, rtol=1e-14)
    assert_allclose(short_gradient, gradient, rtol=1e-12, atol=1e-14)
    return value, gradient, hessian


def test_penalty(problem, backend, combination, intercept, l2):
    X, y, theta = problem
    objective = problem_of(X, y, l2=l2, intercept=intercept, backend=backend, **combination)
    value, gradient, hessian = all_three(objective, theta)
    spec = backends.PassSpec(**combination, intercept=intercept)
    sums = backends.get(backend).bind(X, y, None, None, spec)(theta, 2)
    loss, loss_gradient, loss_hessian = (total / 25 for total in sums)
    strength = [0.0] * intercept + list(np.broadcast_to(l2, 3))
    assert objective.size == len(strength)
    penalty = sum(s * t**2 / 2 for s, t in zip(strength, theta, strict=True))
    assert value == pytest.approx(loss + penalty, rel=1e-14)
    assert_allclose(gradient, loss_gradient + strength * theta, rtol=1e-13, atol=1e-15)
    assert_allclose(hessian, loss_hessian + np.diag(strength), rtol=1e-13, atol=1e-15)


def test_finite_differences(problem, backend, combination, intercept):
    X, y, theta = problem
    objective = problem_of(
        X, y, l2=L2["columns"], intercept=intercept, backend=backend, **combination
    )
    _, gradient, hessian = all_three(objective, theta)
    step = 1e-5
    for j, unit in enumerate(np.eye(theta.size) * step):
        up, down = theta + unit, theta - unit
        rise = objective.value(up) - objective.value(down)
        assert_allclose(rise / (2 * step), gradient[j], rtol=1e-6, atol=1e-8)
        turn = objective.value_gradient(up)[1] - objective.value_gradient(down)[1]
        assert_allclose(turn / (2 * step), hessian[j], rtol=1e-6, atol=1e-8)


def test_passes(problem, backend, intercept):
    X, y, theta = problem
    objective = problem_of(X, y, intercept=intercept, backend=backend)
    other = problem_of(X, y, intercept=intercept, backend=backend)
    seen = [objective.n_passes]
    for method in (
        objective.value,
        objective.value_gradient,
        objective.value_gradient_hessian,
        objective.value,
    ):
        method(theta)
        seen.append(objective.n_passes)
    assert seen == [0, 1, 2, 3, 4]
    assert other.n_passes == 0


def test_bias_is_free(rng, backend):
    X, y = rng.normal(size=(10, 2)), rng.random(10)
    theta = np.array([3.0, 0.0, 0.0])
    free, penalized = (problem_of(X, y, l2=l2, backend=backend) for l2 in (0.0, 1e6))
    assert penalized.value(theta) == free.value(theta)
    assert_array_equal(penalized.value_gradient(theta)[1], free.value_gradient(theta)[1])
    difference = penalized.value_gradient_hessian(theta)[2] - free.value_gradient_hessian(theta)[2]
    assert_allclose(difference, np.diag([0.0, 1e6, 1e6]), rtol=1e-12)


def test_weights_are_repetitions(problem, backend, combination, intercept, l2, rng):
    X, y, theta = problem
    counts = rng.integers(0, 4, len(y))
    kind = {"l2": l2, "intercept": intercept, "backend": backend, **combination}
    weighted = problem_of(X, y, sample_weight=counts.astype(float), **kind)
    repeated = problem_of(np.repeat(X, counts, axis=0), np.repeat(y, counts), **kind)
    for a, b in zip(all_three(weighted, theta), all_three(repeated, theta), strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_scaled_weights_change_nothing(problem, backend, intercept, rng):
    """The loss is a mean: the penalty's share does not depend on the sum of the weights."""
    X, y, theta = problem
    weights = rng.random(len(y))
    kind = {"l2": 0.3, "intercept": intercept, "backend": backend}
    one, thousand = (problem_of(X, y, sample_weight=k * weights, **kind) for k in (1.0, 1000.0))
    for a, b in zip(all_three(one, theta), all_three(thousand, theta), strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_offset_is_a_column_held_fixed(problem, backend, combination, intercept):
    X, y, theta = problem
    kind = {"intercept": intercept, "backend": backend, **combination}
    l2 = L2["columns"]
    whole = problem_of(X, y, l2=l2, **kind)
    rest = problem_of(X[:, :-1].copy(), y, l2=l2[:-1], offset=X[:, -1] * theta[-1], **kind)
    value, gradient, hessian = all_three(whole, theta)
    rest_value, rest_gradient, rest_hessian = all_three(rest, theta[:-1].copy())
    assert rest_value + l2[-1] * theta[-1] ** 2 / 2 == pytest.approx(value, rel=1e-12)
    assert_allclose(rest_gradient, gradient[:-1], rtol=1e-11, atol=1e-13)
    assert_allclose(rest_hessian, hessian[:-1, :-1], rtol=1e-11, atol=1e-13)


def test_only_new_arrays_are_written(problem, backend, intercept, rng):
    X, y, theta = problem
    weights, offset, l2 = rng.random(len(y)), rng.normal(size=len(y)), L2["columns"].copy()
    given = (X, y, theta, weights, offset, l2)
    before = [array.copy() for array in given]
    objective = problem_of(
        X, y, sample_weight=weights, offset=offset, l2=l2, intercept=intercept, backend=backend
    )
    _, first, hessian = objective.value_gradient_hessian(theta)
    _, second = objective.value_gradient(theta)
    kept = [array.copy() for array in (first, second, hessian)]
    objective.value_gradient(theta + 1)
    objective.value_gradient_hessian(theta + 1)
    for array, copy in zip((*given, first, second, hessian), (*before, *kept), strict=True):
        assert_array_equal(array, copy)


def test_l2_is_read_once(problem, intercept):
    X, y, theta = problem
    l2 = np.ones(3)
    objective = problem_of(X, y, l2=l2, intercept=intercept)
    value = objective.value(theta)
    l2[:] = 100.0
    assert objective.value(theta) == value


@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_free_parameters_may_be_huge(backend, l2):
    X, y = np.array([[-1.0], [1.0]]), np.array([0.0, 0.0])
    objective = problem_of(X, y, l2=l2, backend=backend)
    assert objective.value(np.array([1e160, 0.0])) == pytest.approx(1e160)


@pytest.mark.parametrize(("p", "limited"), [(5, False), (200, True)])
def test_the_blas_leaves_the_cores_to_the_passes_while_solving(p: int, limited: bool) -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    objective = problem_of(np.zeros((3, p)), np.array([0.0, 1.0, 1.0]), intercept=False)
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with objective.solving():
            assert threads() == ([1] * len(before) if limited else before)
            with objective.solving():
                pass
            assert threads() == ([1] * len(before) if limited else before)
        assert threads() == before
