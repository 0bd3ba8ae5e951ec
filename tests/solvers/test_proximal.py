"""Proximal Newton: exact zeros, and a gap that is true, against an optimum of SciPy's."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csc_array, csr_array, random_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from fastlogreg import LogisticRegression, backends
from fastlogreg.problem.penalties import ElasticNet, least_shift
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import plain
from fastlogreg.solvers.proximal import proximal
from tests.halves import halves_of
from tests.l1_witness import deceiving, objective, optimum


def fitted(X, y, sample_weight=None, **parameters):
    return LogisticRegression(**{"l1_ratio": 1.0, **parameters}).fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def model_of(H, l1, lower=-np.inf, upper=np.inf):
    box = (np.full(l1.size, bound) for bound in (lower, upper))
    return backends.QuadraticModel(H, l1, *box, np.where(l1 > 0.0, l1, 1.0))


def lower(model, slope, u):
    """Return the minimum of the quadratic model by plain proximal gradient steps."""
    H, l1, least, most, _ = model
    bound = np.linalg.eigvalsh(H).max()
    for _ in range(20_000):
        v = u - slope / bound
        new = np.copysign(np.maximum(np.abs(v) - l1 / bound, 0.0), v)
        new = np.clip(new, least, most)
        slope = slope + H @ (new - u)
        u = new
    return u


class TestCoordinateDescent:
    @pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-0.5, 0.4), (0.1, np.inf)])
    def test_finds_the_minimum_and_its_slope(self, rng, bounds):
        A = rng.normal(size=(60, 12))
        H, slope, l1 = A.T @ A / 60, rng.normal(size=12), rng.uniform(1.0, 3.0, 12)
        start = np.clip(rng.normal(size=12), *bounds)
        model = model_of(H, l1, *bounds)
        u, at = start.copy(), slope.copy()
        moved = backends.get("numba").coordinate_descent(model, at, u, 1e-13, 10_000)
        assert moved <= 1e-13
        assert_allclose(u, lower(model, slope, start), atol=1e-9)
        assert 0 < np.count_nonzero((u != 0.0) & (u > bounds[0]) & (u < bounds[1])) < 12
        assert_allclose(at, slope + H @ (u - start), atol=1e-12)

    def test_in_sparse_columns_finds_the_same(self, rng):
        X = rng.normal(size=(60, 12))
        X[rng.random(X.shape) < 0.5] = 0.0
        h, l2 = rng.random(60) / 60, rng.random(12)
        centre, total = h @ X / h.sum(), h.sum()
        H = (X - centre).T @ (h[:, None] * (X - centre)) + np.diag(l2)
        slope, l1 = rng.normal(size=12), rng.uniform(0.1, 1.0, 12)
        start, guess = rng.normal(size=(2, 12))
        model = backends.ColumnQuadratic(slope, H.diagonal().copy(), l2, centre, l1, start, total)
        run = backends.get("numba").column_descent
        assert run(csc_array(X), h, model, guess, 1e-13, 10_000) <= 1e-13
        assert_allclose(guess, lower(model_of(H, l1), slope, start), atol=1e-9)
        assert run(csc_array(X), h, model, rng.normal(size=12), 1e-13, 1) > 1e-13

    @pytest.mark.parametrize("intercept", [True, False])
    def test_of_several_classes_finds_the_same(self, rng, intercept):
        n, d, K = 60, 9, 4
        X = rng.normal(size=(n, d)) + 0.5
        X[rng.random(X.shape) < 0.5] = 0.0
        s, P = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(K), n)
        A = np.column_stack([np.ones(n), X]) if intercept else X
        p = A.shape[1]
        H = np.einsum("i,ik,kl,ia,ib->kalb", s, P, np.eye(K), A, A)
        H -= np.einsum("i,ik,il,ia,ib->kalb", s, P, P, A, A)
        l1, l2 = rng.uniform(0.02, 0.1, d), rng.uniform(0.0, 0.05, d)
        l2[:3] = 0.0  # nothing but L1 along what all classes share
        H = H.reshape(K * p, K * p)
        soft, kinks = np.zeros((2, K, p))
        soft[:, -d:], kinks[:, -d:] = l2, l1
        H += np.diag(soft.ravel())
        slope, start = rng.normal(size=(K, p)) * 0.05, rng.normal(size=(K, p))
        slope -= slope.mean(axis=0)
        slope += soft * start
        if intercept:
            start[:, 0] = 0.0
        expected = lower(model_of(H, kinks.ravel()), slope.ravel(), start.ravel()).reshape(K, p)
        model = backends.ClassQuadratic(
            slope[:, -d:].copy(),
            H.diagonal().reshape(K, p)[:, -d:].copy(),
            soft[:, -d:].copy(),
            kinks[:, -d:].copy(),
            start[:, -d:].copy(),
            slope[:, : p - d].ravel().copy(),
            H.reshape(K, p, K, p)[:, 0, :, 0].copy() if intercept else np.empty((0, 0)),
        )
        u, b = start[:, -d:].copy(), np.zeros(K * (p - d))

        def along_flat(u):
            u[:] = least_shift(u, l1, l2)

        run = backends.get("numba").class_descent
        state = csc_array(X), s, P, model
        assert run(*state, u.copy(), b.copy(), 1e-13, 1, along_flat) > 1e-13
        assert run(*state, u, b, 1e-13, 10_000, along_flat) <= 1e-13

        def value(u, b):
            step = np.column_stack([*([b] if intercept else []), u]) - start
            smooth = slope.ravel() @ step.ravel() + 0.5 * step.ravel() @ H @ step.ravel()
            return smooth + (l1 * np.abs(u)).sum()

        best = value(expected[:, -d:], expected[:, 0])
        assert value(u, b) == pytest.approx(best, abs=1e-12)
        assert value(u, b) <= best + 1e-14
        assert 0 < np.count_nonzero(u) < u.size
        assert_allclose(u[:, 3:], expected[:, -d:][:, 3:], atol=1e-6)

    def test_says_when_it_is_not_there(self, rng):
        A = rng.normal(size=(60, 12))
        arguments = model_of(A.T @ A / 60, np.full(12, 0.1)), rng.normal(size=12), np.zeros(12)
        assert backends.get("numba").coordinate_descent(*arguments, 1e-13, 2) > 1e-13

    def test_an_entry_without_curvature_stays(self):
        u = np.array([3.0])
        model = model_of(np.zeros((1, 1)), np.array([0.1]))
        backends.get("numba").coordinate_descent(model, np.array([1.0]), u, 0.0, 5)
        assert u[0] == 3.0


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("C", [1e-2, 1.0, 1e2])
def test_the_optimum_of_two_classes(cancer, l1_ratio, C):
    X, y = cancer
    model = fitted(X, y, l1_ratio=l1_ratio, C=C)
    best = optimum(model, X, y)
    assert model.converged_
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-12)
    assert model.objective_ <= best * (1 + 1e-8)
    assert model.objective_ - model.duality_gap_ <= best * (1 + 1e-12)
    if l1_ratio == 1.0 and C < 100:
        assert np.count_nonzero(model.coef_) < 20


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_the_optimum_of_three_classes(l1_ratio):
    X, y = load_iris(return_X_y=True)
    model = fitted(X, y, l1_ratio=l1_ratio)
    assert model.converged_
    assert model.objective_ <= optimum(model, X, y) * (1 + 1e-8)
    assert (model.coef_ == 0.0).any()


@pytest.mark.parametrize("seed", range(24))
def test_never_wrong_and_never_silent_on_tables_that_deceive(seed):
    X, y, weights, parameters = deceiving(seed)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = fitted(X, y, weights, **parameters)
    best = optimum(model, X, y, weights)
    here = objective(model, X, y, weights)
    if model.converged_:
        assert here <= best * (1 + 1e-8)
    else:
        assert [each.category for each in heard] == [ConvergenceWarning]
    assert here - model.duality_gap_ <= best * (1 + 1e-9)


@pytest.mark.parametrize("distance", [3.0, 10.0, 30.0])
def test_two_groups_of_classes_that_no_row_confuses(rng, distance):
    """Each class has curvature, and between the groups there is next to none."""
    X = rng.normal(size=(300, 3))
    group, of_two = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    X[:, 0] += distance * group
    X[:, 1] += of_two
    y = 2 * group + of_two
    model = fitted(X, y, C=50.0)
    assert model.converged_
    assert objective(model, X, y) <= optimum(model, X, y) * (1 + 1e-8)


def test_wide_rows_take_working_sets(rng):
    X = rng.normal(size=(80, 700))
    y = (X[:, :5].sum(axis=1) + rng.logistic(size=80) > 0).astype(int)
    model = fitted(X, y, C=0.5)
    assert model.converged_
    assert model.objective_ <= optimum(model, X, y) * (1 + 1e-8)
    slope = np.abs(X.T @ (model.predict_proba(X)[:, 1] - y)) * 0.5
    assert slope.max() <= 1 + 1e-6
    assert_allclose(slope[model.coef_[0] != 0], 1.0, atol=1e-6)


def test_a_working_set_that_holds_little_of_the_gap(rng):
    """Ten thousand columns of about the same slope: the first hundred are a hundredth of it."""
    X = random_array((2_000, 10_000), density=2e-3, rng=rng, format="csr")
    y = (X @ rng.normal(size=10_000) + rng.logistic(size=2_000) > 0).astype(int)
    strongest = np.abs(X.T @ (y - y.mean())).max()
    for A in (X, X[:, :3_000].toarray()):
        model = fitted(A, y, C=10 / (0.5 * strongest), l1_ratio=0.5)
        assert model.converged_
        assert np.count_nonzero(model.coef_) > 300


@pytest.mark.parametrize("storage", ["sparse", "dense"])
@pytest.mark.parametrize(("d", "K", "C"), [(60, 5, 50.0), (900, 4, 2.0)])
def test_wide_rows_of_several_classes(rng, storage, d, K, C):
    """With a Hessian and without one: the same optimum, and that of a plain descent."""
    X = random_array((150, d), density=0.05, rng=rng, format="csr")
    z = 3.0 * X @ rng.normal(size=(d, K)) + rng.gumbel(size=(150, K))
    y = z.argmax(axis=1)
    model = fitted(X if storage == "sparse" else X.toarray(), y, C=C, l1_ratio=0.8)
    assert model.converged_
    assert model.objective_ <= optimum(model, X.toarray(), y) * (1 + 1e-8)


@pytest.mark.parametrize(("d", "K"), [(600, 2), (250, 3)])
def test_sweeps_that_do_not_end_give_way_to_a_hessian(rng, monkeypatch, d, K):
    monkeypatch.setattr(plain, "_COLUMN_SWEEPS", 3)
    X = random_array((200, d), density=0.05, rng=rng, format="csr")
    y = (3.0 * X @ rng.normal(size=(d, K)) + rng.gumbel(size=(200, K))).argmax(axis=1)
    model = fitted(X, y, C=20.0)
    assert model.converged_
    monkeypatch.setattr(plain, "_COLUMN_SWEEPS", 1000)
    assert model.objective_ == pytest.approx(fitted(X, y, C=20.0).objective_, rel=2e-8)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_least_shift_is_the_least(rng, l2):
    for K in (2, 3, 6, 7):
        u = rng.normal(size=(K, 5)).round(1)
        by = least_shift(u, np.full(5, 0.7), np.full(5, l2)) - u
        assert_allclose(by, by[:1].repeat(K, axis=0))
        grid = np.linspace(-4.0, 4.0, 8001)[:, None, None]
        penalties = (0.7 * np.abs(u + grid) + 0.5 * l2 * (u + grid) ** 2).sum(axis=1)
        mine = (0.7 * np.abs(u + by) + 0.5 * l2 * (u + by) ** 2).sum(axis=0)
        assert (mine <= penalties.min(axis=0) + 1e-12).all()


def test_storages_agree(rng):
    X = rng.normal(size=(120, 500)) * (rng.random((120, 500)) < 0.3)
    y = (X[:, :4].sum(axis=1) + rng.logistic(size=120) > 0).astype(int)
    models = [fitted(A, y, C=0.5) for A in (X, np.asfortranarray(X), csr_array(X))]
    models.append(fitted(X.astype(np.float32), y, C=0.5))
    for model in models[1:]:
        assert model.objective_ == pytest.approx(models[0].objective_, rel=1e-6)
        assert_array_equal(model.coef_ == 0, models[0].coef_ == 0)


def test_weights_are_repeated_rows(cancer, rng):
    X, y = cancer
    weights = rng.integers(0, 3, y.size)
    model = fitted(X, y, weights.astype(float), C=0.1)
    again = fitted(np.repeat(X, weights, axis=0), np.repeat(y, weights), C=0.1)
    assert_allclose(model.coef_, again.coef_, atol=1e-6)


def test_offsets(cancer):
    X, y = cancer
    shift = np.full(y.size, 1.5)
    plain, moved = fitted(X, y, C=0.1), LogisticRegression(l1_ratio=1.0, C=0.1)
    moved.fit(X, y, offset=shift)
    assert_allclose(moved.coef_, plain.coef_, atol=1e-6)
    assert_allclose(moved.intercept_ + 1.5, plain.intercept_, atol=1e-6)


def test_a_large_penalty_leaves_nothing_but_the_intercept(cancer):
    X, y = cancer
    strongest = np.abs(X.T @ (y - y.mean())).max()
    model = fitted(X, y, C=0.999 / strongest)
    assert not model.coef_.any()
    assert model.intercept_[0] == pytest.approx(np.log(y.mean() / (1 - y.mean())), abs=2e-4)
    assert fitted(X, y, C=1.01 / strongest).coef_.any()


def test_separated_rows_have_an_optimum(rng):
    X = rng.normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    model = fitted(X, y, C=10.0)
    assert model.converged_
    assert model.objective_ <= optimum(model, X, y) * (1 + 1e-8)


def test_two_rows_and_equal_columns():
    X = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    model = fitted(X, [0, 1], C=20.0)
    assert model.converged_
    assert model.objective_ <= optimum(model, X, np.array([0, 1])) * (1 + 1e-8)


def test_a_warm_start_needs_next_to_nothing(cancer):
    X, y = cancer
    model = LogisticRegression(l1_ratio=1.0, C=0.1, warm_start=True).fit(X, y)
    first = model.n_passes_
    coef = model.coef_.copy()
    assert model.fit(X, y).n_passes_ <= 2 < first
    assert_array_equal(model.coef_ == 0, coef == 0)


def test_many_rows_start_on_a_part_of_them(rng):
    X = rng.normal(size=(20_000, 10))
    y = (X[:, 0] - X[:, 1] + rng.logistic(size=20_000) > 0).astype(int)
    model = fitted(X, y, C=1e-3)
    assert model.converged_
    assert model.history_["share"].min() < 0.2
    assert model.objective_ <= optimum(model, X, y) * (1 + 1e-8)


def test_the_same_bits_for_any_number_of_threads(cancer):
    X, y = cancer
    one, two = (fitted(X, y, n_threads=k) for k in (1, 2))
    assert_array_equal(one.coef_, two.coef_)


def test_another_source_has_the_same_optimum(cancer):
    X, y = cancer
    penalty = ElasticNet(np.r_[0.0, np.full(30, 0.01)], np.zeros(31))
    result = proximal(Problem(halves_of(X, y.astype(float)), penalty), np.zeros(31))
    model = fitted(X, y, C=100 / y.size)
    assert result.converged
    assert result.value == pytest.approx(model.objective_, rel=1e-8)
    assert_array_equal(result.theta[1:] == 0, model.coef_[0] == 0)


def test_a_callback_and_max_iter_end_it_where_it_stands(cancer):
    X, y = cancer
    with pytest.warns(ConvergenceWarning, match=r"max_iter reached .*\(duality gap\)"):
        model = fitted(X, y, max_iter=2)
    assert not model.converged_
    assert model.n_iter_[0] == 2
    assert model.objective_ - model.duality_gap_ <= optimum(model, X, y)


def test_sparsify_and_predictions(cancer):
    X, y = cancer
    model = fitted(X, y, C=0.1)
    before = model.predict_proba(X)
    assert model.sparsify().coef_.nnz < 15
    assert_allclose(model.predict_proba(X), before)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("make", [np.asarray, csr_array])
def test_storages_and_classes_with_and_without_an_intercept(rng, make, classes, fit_intercept):
    X = rng.normal(size=(200, 150)) * (rng.random((200, 150)) < 0.05)  # 600 entries of theta
    y = np.arange(200) % classes
    X[np.arange(200), y] += 1.0
    model = LogisticRegression(l1_ratio=0.7, C=0.5, fit_intercept=fit_intercept, tol=1e-10)
    model.fit(make(X), y)
    assert model.intercept_.any() == fit_intercept
    best = optimum(model, X, y)
    assert objective(model, X, y) == pytest.approx(best, rel=1e-8)
