"""Classes of weight 0: the others are fitted as if those had no rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

import fastlogreg as flr
from fastlogreg import (
    LogisticRegression,
    LogisticRegressionCV,
    MiniBatchLogisticRegression,
    regularization_path,
)


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(300, 4))
    X[:, 1] += 50.0
    y = np.argmax(X[:, [0, 2, 3, 0]] + 2.0 * rng.gumbel(size=(300, 4)), axis=1)
    return X, np.array(["a", "b", "c", "d"])[y]


KINDS = [
    {},
    {"C": 0.1, "l1_ratio": 1.0},
    {"l1_ratio": 0.5, "penalty_factors": [1.0, 0.5, 2.0, 1.0]},
    {"lower_bounds": -0.1},
    {"C": np.inf, "lower_bounds": -0.3, "upper_bounds": 0.3},
    {"C": np.inf},
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_others_are_as_without_its_rows(rows, kind):
    X, y = rows
    weights = {"b": 0.0, "a": 2.0}
    model = LogisticRegression(class_weight=weights, **kind).fit(X, y)
    kept = y != "b"
    alone = LogisticRegression(class_weight={"a": 2.0}, **kind).fit(X[kept], y[kept])
    assert model.converged_ and model.classes_.tolist() == ["a", "b", "c", "d"]
    assert model.objective_ == pytest.approx(alone.objective_, rel=1e-7)
    p = model.predict_proba(X)
    assert_array_equal(p[:, 1], 0.0)
    assert_allclose(p[:, [0, 2, 3]], alone.predict_proba(X), atol=2e-3)
    assert set(model.predict(X)) <= {"a", "c", "d"}
    assert_array_equal(model.coef_[1], 0.0)
    assert (model.predict_log_proba(X)[:, 1] < -1e20).all()


def test_two_that_are_left_keep_the_penalty_of_both_rows(rows):
    X, y = rows
    model = LogisticRegression(class_weight={"b": 0, "d": 0}, tol=1e-13).fit(X, y)
    kept = (y == "a") | (y == "c")
    # w_c = -w_a = v / 2 has half the penalty of v
    binary = LogisticRegression(C=2.0, tol=1e-13).fit(X[kept], y[kept])
    assert_allclose(2.0 * model.coef_[2], binary.coef_[0], rtol=1e-5, atol=1e-7)
    assert_allclose(-model.coef_[0], model.coef_[2], rtol=1e-6, atol=1e-9)


def test_without_an_intercept_there_is_an_optimum(rows):
    from sklearn.linear_model import LogisticRegression as Reference

    X, y = rows
    kind = {"class_weight": {"b": 0.0}, "fit_intercept": False}
    model = LogisticRegression(tol=1e-12, **kind).fit(X, y)
    expected = Reference(tol=1e-10, max_iter=10_000, **kind).fit(X, y)
    assert_allclose(model.coef_, expected.coef_, atol=1e-4)


def test_float32_sparse_rows_and_warm_starts(rows):
    X, y = rows
    weights = {"b": 0.0}
    expected = LogisticRegression(class_weight=weights).fit(X, y)
    for given in (X.astype(np.float32), csr_array(X)):
        model = LogisticRegression(class_weight=weights).fit(given, y)
        assert_allclose(model.coef_, expected.coef_, rtol=1e-2, atol=1e-3)
        assert model.coef_.dtype == given.dtype
    again = expected.set_params(warm_start=True).fit(X, y)
    assert again.n_passes_ < 8
    with_all = again.set_params(class_weight=None).fit(X, y)
    assert with_all.objective_ == pytest.approx(LogisticRegression().fit(X, y).objective_, rel=1e-7)


def test_cross_validation_and_paths(rows):
    X, y = rows
    kept = y != "b"
    order = np.argsort(~kept, kind="stable")  # rows of "b" last
    X, y = X[order], y[order]
    n = np.count_nonzero(kept)
    half = np.arange(n) % 2
    cv = [(np.flatnonzero(half == k), np.flatnonzero(half != k)) for k in (0, 1)]
    kind = {"Cs": [0.1, 1.0], "l1_ratios": (0.0, 1.0), "scoring": "neg_log_loss"}
    kind |= {"use_legacy_attributes": False, "cv": cv}
    model = LogisticRegressionCV(class_weight={"b": 0.0}, **kind).fit(X, y)
    alone = LogisticRegressionCV(**kind).fit(X[:n], y[:n])
    assert model.converged_
    assert_allclose(model.scores_, alone.scores_, rtol=1e-4)
    assert_array_equal(model.predict_proba(X)[:, 1], 0.0)
    path = regularization_path(X, y, Cs=4, class_weight={"b": 0.0})
    assert path.converged.all()
    others = regularization_path(X[:n], y[:n], Cs=path.Cs)
    assert_allclose(path.objectives, others.objectives, rtol=1e-7)


@pytest.mark.parametrize("without", ["b", "bd"])
@pytest.mark.parametrize("lower", [None, 0.01])
def test_a_path_counts_the_parameters_of_the_others_alone(rows, without, lower):
    X, y = rows
    kept = ~np.isin(y, list(without))
    if lower is not None and without == "bd":
        pytest.skip("bounds of a pair's two rows are not those of one")
    kind = {"Cs": 5, "early_stopping": False, "lower_bounds": lower}
    path = regularization_path(X, y, class_weight=dict.fromkeys(without, 0.0), **kind)
    alone = regularization_path(X[kept], y[kept], **kind)
    assert_array_equal(path.degrees_of_freedom, alone.degrees_of_freedom)
    assert_allclose(path.bic(), alone.bic(), rtol=1e-6)


def test_mini_batches_learn_nothing_from_its_rows(rows):
    X, y = rows
    kind = {"random_state": 0, "max_iter": 20, "tol": None}
    model = MiniBatchLogisticRegression(class_weight={"b": 0.0}, **kind).fit(X, y)
    weights = np.where(y == "b", 0.0, 1.0)
    assert (model.predict(X) != "b").mean() > 0.95
    same = MiniBatchLogisticRegression(**kind)
    for _ in range(3):
        same.partial_fit(X, y, classes=list("abcd"), sample_weight=weights)
    other = MiniBatchLogisticRegression(class_weight={"b": 0.0}, **kind)
    for _ in range(3):
        other.partial_fit(X, y, classes=list("abcd"))
    assert_array_equal(same.coef_, other.coef_)


def test_what_has_no_answer_is_refused(rows, tmp_path):
    X, y = rows
    two = np.where(y == "a", "a", "b")
    for kind in (LogisticRegression, MiniBatchLogisticRegression):
        with pytest.raises(ValueError, match="above 0 for two classes at least"):
            kind(class_weight={"a": 0.0}).fit(X, two)
    model = LogisticRegression(class_weight={"b": 0.0}).fit(X, y)
    with pytest.raises(ValueError, match="has weight 0 in class_weight"):
        flr.inference(model, X, y)
    flr.save(model, tmp_path / "model.flr")
    assert_array_equal(flr.load(tmp_path / "model.flr").predict_proba(X), model.predict_proba(X))
