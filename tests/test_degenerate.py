"""Degenerate data: the optimum, or the warning or the error that they deserve.

The cases and the judge (Newton in 80 digits) are those of ``python -m benchmarks.degenerate``.
"""

from functools import lru_cache

import numpy as np
import pytest
from benchmarks.degenerate import CASES
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from benchmarks.harness import extended
from benchmarks.harness.problem import theta_of
from fastlogreg import LogisticRegression

WITH_OPTIMUM = [name for name, case in CASES.items() if not (case.warning or case.error)]


@lru_cache(maxsize=1)
def judged(name):
    """Return the problem, its objective in extended precision, and the optimum."""
    problem = CASES[name].make()
    judge = extended.Extended(problem)
    return problem, judge, extended.optimum(judge, fitted(problem))


def fitted(problem, solver="auto"):
    model = LogisticRegression(C=problem.C, solver=solver)
    model.fit(problem.X, problem.y, sample_weight=problem.sample_weight)
    assert model.converged_
    return theta_of(model)


@pytest.mark.parametrize("solver", ["auto", "newton-cg"])
@pytest.mark.parametrize("name", WITH_OPTIMUM)
def test_optimum(name, solver):
    if solver == "newton-cg" and CASES[name].needs_hessian:
        pytest.skip("only a Hessian shows the curvature that there is")
    problem, judge, best = judged(name)
    assert extended.above(judge, fitted(problem, solver), best) <= 1e-8


@pytest.mark.parametrize("name", WITH_OPTIMUM)
def test_flipped_labels_negate(name):
    problem = CASES[name].make()
    assert_array_equal(fitted(problem._replace(y=1.0 - problem.y)), -fitted(problem))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.warning])
def test_warning(name):
    problem = CASES[name].make()
    model = LogisticRegression(C=problem.C)
    with pytest.warns(ConvergenceWarning, match=CASES[name].warning):
        model.fit(problem.X, problem.y)
    assert not model.converged_
    assert np.isfinite(theta_of(model)).all()
    if "the classes" in CASES[name].warning:
        assert model.score(problem.X, problem.y) == 1.0


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.error])
def test_error(name):
    problem = CASES[name].make()
    with pytest.raises(ValueError, match=CASES[name].error):
        LogisticRegression(C=problem.C).fit(problem.X, problem.y)


def test_judge():
    """The judge's optimum is where SciPy finds it, and labels that tie have log 2."""
    from scipy.optimize import minimize

    problem, judge, best = judged("constant column")
    X, y, _, C = problem

    def plain(theta):
        z = np.where(y == 1.0, -1.0, 1.0) * (X @ theta[1:] + theta[0])
        return np.logaddexp(0.0, z).mean() + theta[1:] @ theta[1:] / (2 * C * len(y))

    found = minimize(plain, np.zeros(X.shape[1] + 1), tol=1e-9)
    assert float(best) == pytest.approx(found.fun, rel=1e-9)
    assert float(best) <= found.fun
    assert extended.above(judge, found.x, best) < 1e-9
    assert float(judged("2 equal rows")[2]) == pytest.approx(np.log(2.0), rel=1e-15)


@pytest.mark.filterwarnings(
    "error::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize(
    ("seed", "C", "solver"),
    [(42, 1e-3, "lbfgs"), (45, 10.0, "lbfgs"), (63, 1e-3, "lbfgs"), (62, 10.0, "newton-cg")],
)
def test_rounding_in_columns_of_all_scales_ends_no_fit(seed, C, solver):
    """Along a direction that is kept, curvature of 1e-16 of its terms was below 0 or above."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((30, 50))
    X[:, :25] = X[:, 25:]
    X *= 10.0 ** random.uniform(-100, 100, 50)
    y = random.integers(0, 3, 30)
    y[:3] = range(3)
    model = LogisticRegression(C=C, solver=solver).fit(X, y)
    assert np.isfinite(model.coef_).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_hessian_that_divide_and_conquer_has_no_eigenvalues_of():
    """LAPACK's ``dsyevd`` raised LinAlgError in the fit of this one."""
    random = np.random.default_rng(66)
    X = random.standard_normal((30, 50))
    X[:, :25] = X[:, 25:]
    X *= 10.0 ** random.uniform(-100, 100, 50)
    y = random.integers(0, 3, 30)
    y[:3] = range(3)
    assert np.isfinite(LogisticRegression(C=1e-3).fit(X, y).coef_).all()
