"""Penalty factors and bounds: the optimum, its certificate, and what equals what."""

import pickle
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.preprocessing import scale

pytest.importorskip("typer")
from benchmarks.penalty_tables import FAULTS, judge

from fastlogreg import LogisticRegression
from fastlogreg.problem.penalties import ElasticNet
from tests.l1_witness import objective, optimum, violation

RIGHT = 1 + 1e-8


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:, :12], y


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


# --- tables built to deceive ---------------------------------------------------------------


@pytest.mark.parametrize("first", range(20, 50, 10))
def test_never_wrong_and_never_silent_on_tables_that_deceive(first):
    found = {seed: judge(seed) for seed in range(first, first + 10)}
    assert not {seed: each for seed, each in found.items() if each.verdict in FAULTS}
    counts = Counter(each.verdict for each in found.values())
    assert counts["warned"] + counts["needless"] <= 3, counts


@pytest.mark.parametrize("fits", ["warm", "folds", "path"])
def test_never_wrong_and_never_silent_however_models_come_about(fits):
    found = {seed: judge(seed, fits) for seed in (2000, 2006, 2013, 2014, 2020, 2024, 2063)}
    assert not {seed: each for seed, each in found.items() if each and each.verdict in FAULTS}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_conditions_of_the_optimum(data):
    """Slopes point out of the box at bounds, are within the L1 strength at 0, and else balance."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n, d, classes = 60, 4, data.draw(st.sampled_from([2, 3]))
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-1, 2, d)
    y = rng.integers(0, classes, n)
    y[:classes] = np.arange(classes)
    entries = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=d, max_size=d)
    factors = np.array(data.draw(entries))
    lower = -np.array(data.draw(entries)) / 10
    upper = np.where(rng.random(d) < 0.3, np.inf, np.array(data.draw(entries)) / 10)
    rho = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    C = data.draw(st.sampled_from([0.03, 1.0, 30.0, np.inf]))
    model = LogisticRegression(
        C=C,
        l1_ratio=rho if C < np.inf else 0.0,
        penalty_factors=factors,
        lower_bounds=lower,
        upper_bounds=upper,
        tol=1e-13,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1e-13 is near rounding
        model.fit(X, y)
    assert violation(model) == 0.0
    W = model.coef_
    P = model.predict_proba(X) - np.eye(classes)[y]
    P = P[:, 1:] if classes == 2 else P
    strength = factors / (C * n)
    g = P.T @ X / n + (1 - model.l1_ratio) * strength * W
    l1 = model.l1_ratio * strength
    left, right = g + np.where(W > 0, l1, -l1), g + np.where(W < 0, -l1, l1)
    close = 2e-5 * np.sqrt(np.mean(X**2, axis=0))
    assert (left <= close)[lower[None] < W].all()
    assert (right >= -close)[upper[None] > W].all()
    assert_allclose(P.sum(axis=0), 0.0, atol=2e-5 * n)


# --- peers and equivalents -----------------------------------------------------------------


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_factors_are_scales_of_columns(cancer, iris, l1_ratio, rng):
    """scikit-learn's fit of columns divided by their factors (or their roots) is the same."""
    for X, y in (cancer, iris):
        factors = rng.uniform(0.3, 3.0, X.shape[1])
        by = factors if l1_ratio else np.sqrt(factors)
        ours = LogisticRegression(C=0.3, l1_ratio=l1_ratio, penalty_factors=factors).fit(X, y)
        solver = {"solver": "saga", "max_iter": 100_000} if l1_ratio else {"max_iter": 10_000}
        peer = Reference(C=0.3, l1_ratio=l1_ratio, tol=1e-8, **solver).fit(X / by, y)
        assert ours.converged_
        assert_allclose(ours.coef_, peer.coef_ / by, atol=2e-4)


def test_a_factor_for_all_is_another_C(cancer):
    X, y = cancer
    for l1_ratio in (0.0, 0.5):
        four = LogisticRegression(l1_ratio=l1_ratio, penalty_factors=np.full(12, 4.0)).fit(X, y)
        plain = LogisticRegression(l1_ratio=l1_ratio, C=0.25).fit(X, y)
        assert_allclose(four.coef_, plain.coef_, rtol=1e-9)
        ones = LogisticRegression(l1_ratio=l1_ratio, C=0.25, penalty_factors=np.ones(12))
        assert_array_equal(ones.fit(X, y).coef_, plain.coef_)


def test_no_factor_is_no_penalty(iris):
    X, y = iris
    y = (y == 1).astype(int)
    free = LogisticRegression(C=np.inf).fit(X, y)
    for l1_ratio in (0.0, 1.0):
        model = LogisticRegression(l1_ratio=l1_ratio, penalty_factors=np.zeros(4)).fit(X, y)
        assert_allclose(model.coef_, free.coef_, rtol=1e-6)


def test_bounds_that_bind_nothing_are_none(cancer):
    X, y = cancer
    plain = LogisticRegression().fit(X, y)
    wide = LogisticRegression(lower_bounds=-1e6, upper_bounds=1e6).fit(X, y)
    none = LogisticRegression(lower_bounds=-np.inf, upper_bounds=np.full(12, np.inf)).fit(X, y)
    assert_allclose(wide.coef_, plain.coef_, atol=1e-4)
    assert_array_equal(none.coef_, plain.coef_)
    assert wide.duality_gap_ <= 1e-8 * wide.objective_
    assert not hasattr(none, "duality_gap_")


def test_a_column_with_equal_bounds_is_an_offset(cancer):
    X, y = cancer
    w = np.zeros(12)
    w[3] = 0.7
    low, high = np.full(12, -np.inf), np.full(12, np.inf)
    low[3] = high[3] = 0.7
    model = LogisticRegression(lower_bounds=low, upper_bounds=high).fit(X, y)
    rest = np.delete(X, 3, axis=1)
    other = LogisticRegression().fit(rest, y, offset=X @ w)
    assert model.coef_[0, 3] == 0.7
    assert_allclose(np.delete(model.coef_[0], 3), other.coef_[0], atol=1e-4)
    assert_allclose(model.intercept_, other.intercept_, atol=1e-4)


PENALTIES = {
    "L1, factors": {"l1_ratio": 1.0, "C": 0.5},
    "bounds": {"lower_bounds": 0.0, "upper_bounds": 0.3},
    "bounds alone": {"C": np.inf, "lower_bounds": -0.2, "upper_bounds": 0.3},
    "one side alone": {"C": np.inf, "lower_bounds": 0.0},
    "beside 0": {"l1_ratio": 0.5, "lower_bounds": 0.1, "upper_bounds": 2.0},
}


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("classes", [2, 3])
def test_storages_weights_and_starts_agree(kind, classes, rng):
    X = np.round(rng.normal(size=(150, 5)) * (rng.random((150, 5)) < 0.7), 2).astype(np.float32)
    y = rng.integers(0, classes, 150)
    parameters = dict(PENALTIES[kind])
    if "factors" in kind:
        parameters["penalty_factors"] = [0.0, 1.0, 2.0, 0.0, 1.0]
    wide = X.astype(float)
    first = LogisticRegression(**parameters).fit(wide, y)
    best = optimum(first, wide, y)
    assert first.converged_
    assert objective(first, wide, y) <= best * RIGHT
    for A in (np.asfortranarray(wide), csr_array(wide), X, csr_array(X)):
        model = LogisticRegression(**parameters).fit(A, y)
        assert model.converged_ and violation(model) == 0.0
        assert model.objective_ <= best * RIGHT
    weights = rng.integers(0, 3, 150)
    weighted = LogisticRegression(**parameters).fit(wide, y, weights)
    again = LogisticRegression(**parameters)
    again.fit(np.repeat(wide, weights, axis=0), np.repeat(y, weights))
    assert weighted.objective_ == pytest.approx(again.objective_, rel=2e-8)
    # from coefficients outside of the bounds
    model = LogisticRegression(warm_start=True, **parameters)
    model.classes_, model.intercept_ = first.classes_, np.zeros_like(first.intercept_)
    model.coef_ = np.full_like(first.coef_, -3.0)
    model.fit(wide, y)
    assert model.converged_ and model.objective_ <= best * RIGHT
    assert model.fit(wide, y).n_iter_[0] <= 1
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_coefficients_stay_within_bounds(dtype, rng):
    X = rng.normal(size=(200, 4)).astype(dtype)
    y = (X.sum(axis=1) > 0).astype(int)
    bound = np.array([0.1, 0.3, 0.7, 1.1])
    model = LogisticRegression(upper_bounds=bound).fit(X, y)
    assert model.coef_.dtype == dtype
    assert (model.coef_.astype(float) <= bound).all()
    assert_allclose(model.coef_[0, :3], bound[:3], rtol=1e-6)


def test_wide_rows_take_working_sets(rng):
    n, d = 150, 700
    X = rng.normal(size=(n, d))
    y = (X[:, :5].sum(axis=1) + rng.logistic(size=n) > 0).astype(int)
    factors, low, high = np.ones(d), np.full(d, -np.inf), np.full(d, np.inf)
    factors[[0, 690]] = 0.0
    low[:350], high[5:20] = 0.0, 0.05
    low[3] = 0.2
    for parameters in (
        {"penalty_factors": factors},
        {"lower_bounds": low, "upper_bounds": high},
        {"penalty_factors": factors, "lower_bounds": low, "upper_bounds": high},
    ):
        model = LogisticRegression(l1_ratio=1.0, C=0.2, **parameters).fit(X, y)
        assert model.converged_ and violation(model) == 0.0
        assert objective(model, X, y) <= optimum(model, X, y) * RIGHT
        assert np.count_nonzero(model.coef_) < 200


# --- no optimum ----------------------------------------------------------------------------


def with_a_level_of_one_class(rng, classes):
    X = rng.normal(size=(90, 3))
    y = rng.integers(0, classes, 90)
    level = np.arange(90) < 6
    y[level] = 0
    return np.column_stack([X, level]), y


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_free_column_that_separates_is_named(rng, classes, l1_ratio):
    X, y = with_a_level_of_one_class(rng, classes)
    model = LogisticRegression(l1_ratio=l1_ratio, penalty_factors=[1, 1, 1, 0])
    with pytest.warns(ConvergenceWarning, match=r"6 of 90 rows.*'?3.*penalty factor above 0"):
        model.fit(X, y)
    assert not model.converged_
    # and with a penalty there is no trouble
    assert LogisticRegression(l1_ratio=l1_ratio, penalty_factors=[0, 0, 0, 1]).fit(X, y).converged_


def test_a_bound_on_the_side_where_it_would_grow_is_an_optimum(rng):
    X, y = with_a_level_of_one_class(rng, 2)
    model = LogisticRegression(C=np.inf, lower_bounds=[-np.inf] * 3 + [-2.0]).fit(X, y)
    assert model.converged_ and model.coef_[0, 3] == -2.0
    with pytest.warns(ConvergenceWarning, match=r"column 3 \(to -infinity\) alone"):
        LogisticRegression(C=np.inf, upper_bounds=[np.inf] * 3 + [2.0]).fit(X, y)


def test_separated_classes_have_an_optimum_between_bounds(rng):
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(int)
    model = LogisticRegression(C=np.inf, lower_bounds=-30.0, upper_bounds=30.0).fit(X, y)
    assert model.converged_
    assert model.coef_[0, 0] == 30.0


# --- input ---------------------------------------------------------------------------------

WRONG = [
    ({"penalty_factors": [1, 1]}, ValueError, "penalty_factors must have length 12"),
    ({"penalty_factors": 1.0}, ValueError, "penalty_factors must be 1-d"),
    ({"penalty_factors": [1] * 11 + [-1]}, ValueError, "penalty_factors .* for column 11"),
    ({"penalty_factors": [np.nan] * 12}, ValueError, "penalty_factors .* for column 0"),
    ({"penalty_factors": [1e308] * 12, "C": 1e-9}, ValueError, "penalty_factors .* overflows"),
    ({"penalty_factors": ["a"] * 12}, TypeError, "penalty_factors"),
    ({"lower_bounds": [0, 1]}, ValueError, "lower_bounds must have length 12"),
    ({"lower_bounds": np.nan}, ValueError, "lower_bounds .*nan for column 0"),
    ({"lower_bounds": np.inf}, ValueError, "lower_bounds .*inf for column 0"),
    ({"upper_bounds": -np.inf}, ValueError, "upper_bounds .*-inf for column 0"),
    ({"upper_bounds": "much"}, TypeError, "upper_bounds"),
    ({"lower_bounds": True}, TypeError, "lower_bounds"),
    (
        {"lower_bounds": 0.0, "upper_bounds": [1] * 5 + [-1] + [1] * 6},
        ValueError,
        "lower_bounds must not be above upper_bounds, got 0.0 and -1.0 for column 5",
    ),
]


@pytest.mark.parametrize(("parameters", "error", "message"), WRONG)
def test_what_is_wrong_is_named_and_changes_nothing(cancer, parameters, error, message):
    X, y = cancer
    model = LogisticRegression().fit(X, y)
    before = model.set_params(**parameters).__dict__.copy()
    with pytest.raises(error, match=message):
        model.fit(X, y)
    assert model.__dict__.keys() == before.keys()
    assert_array_equal(model.coef_, before["coef_"])


# --- the penalty itself --------------------------------------------------------------------


@given(
    l1=st.sampled_from([0.0, 0.5, 2.0]),
    l2=st.sampled_from([0.0, 0.3]),
    box=st.sampled_from([(-1.0, 2.0), (0.0, 40.0), (-40.0, -0.5), (0.5, 1.5), (0.0, 0.0)]),
    g=st.floats(-5.0, 5.0),
    where=st.floats(0.0, 1.0),
)
def test_the_gap_of_a_linear_loss_is_the_distance(l1, l2, box, g, where):
    """Of one entry between finite bounds: what a grid finds, or the value where that is less."""
    at = np.array([box[0] + where * (box[1] - box[0])])
    penalty = ElasticNet(*(np.array([value]) for value in (l1, l2, *box)))
    grid = np.unique(np.r_[np.linspace(*box, 20_001), np.clip(0.0, *box)])
    values = g * (grid - at) + l1 * np.abs(grid) + 0.5 * l2 * grid**2
    gap = penalty.duality_gap(at, np.array([g]), 3.0)
    own = l1 * np.abs(grid) + 0.5 * l2 * grid**2
    of_zero = 3.0 + penalty.value(at) - own.min()
    assert gap <= min(penalty.value(at) - values.min(), of_zero) + 1e-4
    assert gap >= 0.0
    if of_zero > penalty.value(at) - values.min() and l1 == 0.0:
        assert gap == pytest.approx(penalty.value(at) - values.min(), abs=1e-4)


@given(
    l1=st.floats(0.0, 3.0),
    l2=st.floats(0.0, 3.0),
    v=st.floats(-9.0, 9.0),
    box=st.sampled_from([(-1.0, 2.0), (0.0, np.inf), (-np.inf, -0.5), (0.5, 1.5), (0.0, 0.0)]),
)
def test_prox_between_bounds_is_where_no_slope_is_left(l1, l2, v, box):
    penalty = ElasticNet(*(np.array([value]) for value in (l1, l2, *box)))
    at = penalty.prox(np.array([v]), 1.0)
    assert box[0] <= at[0] <= box[1]
    gradient = at - v + penalty.smooth_gradient(at)
    assert_allclose(penalty.subgradient_distance(at, gradient), 0.0, atol=1e-12)
    assert_array_equal(penalty.projected(at), at)
    assert np.isinf(box[0]) or penalty.value(np.array([box[0] - 1.0])) == np.inf
    assert not (penalty.held(at, gradient) & penalty.support(at)).any()
