"""Sources of rows: one in memory, and one that sums two pieces, through the same protocol."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from fastlogreg.backends import PassSpec
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from tests.halves import halves_of


@pytest.fixture(params=["dense", "csr"])
def rows(request, rng):
    n = 24_000
    X = rng.normal(size=(n, 6)) * np.logspace(-2, 2, 6) + 1.0
    z = (X - 1.0) @ (rng.normal(size=6) / np.logspace(-2, 2, 6))
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-z))).astype(np.float64)
    if request.param == "csr":
        X = sparse.csr_array(X * (rng.random(X.shape) < 0.4))
    return X, y, rng.random(n), rng.normal(size=n)


def test_the_sums_of_two_halves_are_those_of_the_whole(rows, rng):
    memory, halves = (Problem(make(*rows), 1e-4) for make in (MemoryRows, halves_of))
    theta, v = rng.normal(size=(2, 7)) * 0.1
    near = {"rtol": 1e-11, "atol": 1e-12}
    for method in ("value_gradient_hessian", "value_gradient_moments", "value_gradient_product"):
        a, b = (getattr(each, method)(theta) for each in (memory, halves))
        assert a[0] == pytest.approx(b[0], rel=1e-13)
        assert_allclose(a[1], b[1], **near)
        if method.endswith("hessian"):
            assert_allclose(a[2], b[2], **near)
        elif method.endswith("moments"):
            assert_allclose(a[2].squares, b[2].squares, **near)
        else:
            assert_allclose(a[2](v), b[2](v), **near)
            assert_allclose(a[2].moments().spread, b[2].moments().spread, **near)
    assert memory.largest_change(v) == pytest.approx(halves.largest_change(v))
    assert memory.n_passes == halves.n_passes


@pytest.mark.parametrize("solve", [auto, newton, newton_cg, lbfgs])
def test_a_solver_cannot_tell_who_sums(solve, rows):
    whole, halves = (Problem(make(*rows), 1e-4) for make in (MemoryRows, halves_of))
    expected, found = (solve(each, np.zeros(7), tol=1e-10) for each in (whole, halves))
    assert found.converged and expected.converged
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.n_passes < 2 * expected.n_passes


def test_a_part_has_a_penalty_of_its_own(rows):
    problem = Problem(MemoryRows(*rows), 1e-3)
    part = problem.part(8, np.full(7, 0.5))
    assert part.share == pytest.approx(1 / 8) and part.n_rows == 3000
    assert part.penalty.smooth_diagonal.tolist() == [0.5] * 7
    assert problem.penalty.smooth_diagonal.tolist() == [0.0] + [1e-3] * 6
    part.value(np.zeros(7))
    assert problem.n_passes == pytest.approx(1 / 8)


def test_effective_rows_of_classes():
    y = np.repeat([0.0, 1.0, 2.0], [50, 30, 20])
    assert MemoryRows(np.ones((100, 1)), y).effective_rows() == pytest.approx(100 / 3 + 50)
    y = np.repeat([0.0, 1.0, 2.0], [90, 9, 1])
    assert MemoryRows(np.ones((100, 1)), y).effective_rows() == pytest.approx(100 / 3 + 10)
    shares = np.column_stack([y == k for k in range(3)]).astype(np.float64)
    assert MemoryRows(np.ones((100, 1)), shares).effective_rows() == pytest.approx(100 / 3 + 10)


def test_the_first_value_that_is_not_finite():
    X = np.ones((5, 2))
    assert MemoryRows(X, np.ones(5)).first_not_finite() is None
    X[3, 1] = np.inf
    assert MemoryRows(X, np.ones(5)).first_not_finite() == (3, 1)


def test_a_source_binds_what_the_specification_asks_for(rows):
    X, y, s, offset = rows
    bound = MemoryRows(X, y, s, offset).bind(PassSpec(intercept=False))
    assert bound.total_weight == pytest.approx(s.sum())
    assert bound(np.zeros(6))[1].shape == (6,)
