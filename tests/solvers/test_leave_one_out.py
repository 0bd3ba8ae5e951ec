"""Approximate leave-one-out, against fits without each row."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import LeaveOneOut

from fastlogreg import LogisticRegression, LogisticRegressionCV


def table(n=120, d=5):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X[:n, :d], y[:n]


def ours(cv, **parameters):
    given = {"Cs": [0.01, 0.3, 3.0], "l1_ratios": (0.0,), "scoring": "neg_log_loss"}
    return LogisticRegressionCV(**{**given, "cv": cv, "use_legacy_attributes": False, **parameters})


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score", "accuracy"])
def test_close_to_leaving_each_row_out(ratio, scoring):
    X, y = table()
    approximate = ours("loo", scoring=scoring, l1_ratios=(ratio,)).fit(X, y)
    exact = ours(LeaveOneOut(), scoring=scoring, l1_ratios=(ratio,)).fit(X, y)
    mean = exact.scores_.mean(axis=0)
    # where L1 leaves coefficients near 0, which these are changes with the row
    close = {"rtol": 0.02 if ratio == 0.0 else 0.05, "atol": 1.5 / len(y)}
    if scoring != "accuracy":
        close["atol"] = 1e-3
    np.testing.assert_allclose(approximate.scores_[0], mean, **close)
    errors = exact.scores_.std(axis=0, ddof=1) / np.sqrt(len(y))
    np.testing.assert_allclose(approximate.score_std_errors_, errors, rtol=0.1, atol=0.005)


def test_weights_offset_and_storage():
    X, y = table()
    rng = np.random.default_rng(0)
    weights, offset = rng.integers(1, 3, len(y)).astype(float), rng.normal(size=len(y))
    found = ours("loo").fit(X, y, weights, offset=offset)
    total = 0.0
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        model = LogisticRegression(C=0.3).fit(X[kept], y[kept], weights[kept], offset=offset[kept])
        p = model.predict_log_proba(X[[i]], offset=offset[[i]])[0, y[i]]
        total += weights[i] * p
    assert found.scores_[0, 0, 1] == pytest.approx(total / weights.sum(), rel=0.02)
    sparse = ours("loo").fit(sp.csr_matrix(X), y, weights, offset=offset)
    np.testing.assert_allclose(sparse.scores_, found.scores_, rtol=1e-6)


def test_columns_far_from_0_and_collinear():
    X, y = table()
    moved = np.column_stack([X * [1, 1e3, 1e-3, 1, 1], X[:, 0]])
    plain = ours("loo", Cs=[np.inf]).fit(X, y)
    other = ours("loo", Cs=[np.inf]).fit(moved + np.array([10.0, 0, 0, 5.0, 0, 0]), y)
    np.testing.assert_allclose(other.scores_, plain.scores_, rtol=1e-4)


def test_what_it_is_not_for():
    X, y = table()
    with pytest.raises(ValueError, match="3,003 coefficients and intercepts"):
        ours("loo").fit(np.ones((len(y), 1000)), np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="neg_brier_score"):
        ours("loo", scoring="roc_auc").fit(X, y)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score"])
def test_several_classes_are_close_to_leaving_each_row_out(rng, ratio, scoring):
    X = rng.normal(size=(90, 4))
    y = np.argmax(X[:, :3] + rng.gumbel(size=(90, 3)), axis=1)
    X[:, 1] += 100.0
    given = {"scoring": scoring, "l1_ratios": (ratio,)}
    approximate = ours("loo", **given).fit(X, y)
    exact = ours(LeaveOneOut(), **given).fit(X, y)
    # where L1 leaves coefficients near 0, which these are changes with the row
    close = {"rtol": 0.02 if ratio == 0.0 else 0.06, "atol": 1e-3}
    np.testing.assert_allclose(approximate.scores_[0], exact.scores_.mean(axis=0), **close)


def test_several_classes_by_l1_alone_are_those_of_next_to_no_l2(rng):
    """Columns with some entries at 0 have no direction that changes no probability."""
    X = rng.normal(size=(150, 3))
    y = np.argmax(X[:, :1] * np.arange(3) + rng.gumbel(size=(150, 3)), axis=1)
    given = {"Cs": [1.0, 100.0], "l1_ratios": (0.9999, 1.0)}
    near, alone = ours("loo", **given).fit(X, y).scores_[0]
    np.testing.assert_allclose(alone, near, rtol=1e-4)
    exact = ours(LeaveOneOut(), **given).fit(X, y).scores_.mean(axis=0)[1]
    np.testing.assert_allclose(alone, exact, rtol=5e-3)


def test_several_classes_by_one_newton_step_on_the_rows_that_are_left(rng):
    X = rng.normal(size=(60, 3))
    y, weights, C, K = rng.integers(0, 3, 60), rng.integers(0, 3, 60).astype(float), 0.5, 3
    found = ours("loo", Cs=[C], tol=1e-13).fit(X, y, weights)
    theta = found.coefs_paths_[0, 0, 0]  # the intercept comes last
    A = np.column_stack([X, np.ones(60)])
    total = 0.0
    for i in np.flatnonzero(weights):
        s = np.where(np.arange(60) == i, 0.0, weights)
        P = softmax(A @ theta.T, axis=1)
        ridge = np.tile(np.r_[np.ones(3), 0.0], K) / C
        gradient = ((P - np.eye(K)[y]) * s[:, None]).T @ A + (ridge * theta.ravel()).reshape(K, 4)
        H = np.diag(ridge)
        for k, m in np.ndindex(K, K):
            h = s * P[:, k] * ((k == m) - P[:, m])
            H[4 * k : 4 * k + 4, 4 * m : 4 * m + 4] += A.T @ (h[:, None] * A)
        step = -np.linalg.pinv(H, rcond=1e-12) @ gradient.ravel()
        left = theta + step.reshape(K, 4)
        total += weights[i] * np.log(softmax(A[i] @ left.T))[y[i]]
    assert found.scores_[0, 0, 0] == pytest.approx(total / weights.sum(), rel=1e-6)


def test_several_classes_without_a_penalty_and_with_one_of_no_weight(rng):
    X = rng.normal(size=(150, 2))
    y = np.argmax(X @ rng.normal(size=(2, 4)) + rng.gumbel(size=(150, 4)), axis=1)
    free = ours("loo", Cs=[np.inf]).fit(X, y)
    moved = ours("loo", Cs=[np.inf]).fit(np.column_stack([X * [1e3, 1e-3], X[:, 0]]) + 5.0, y)
    np.testing.assert_allclose(moved.scores_, free.scores_, rtol=1e-4)
    given = {"Cs": [1.0], "scoring": "accuracy"}
    order = np.argsort(y == 0, kind="stable")
    X, y = X[order], y[order]
    n = np.count_nonzero(y > 0)
    without = ours("loo", class_weight={0: 0.0}, **given).fit(X, y)
    alone = ours("loo", **given).fit(X[:n], y[:n])
    assert without.scores_[0, 0, 0] * y.size == pytest.approx(alone.scores_[0, 0, 0] * n)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy"])
def test_rows_of_weight_0_are_no_rows(scoring):
    X, y = table()
    weights = np.r_[np.ones(len(y)), np.zeros(3 * len(y))]
    found = ours("loo", scoring=scoring).fit(np.tile(X, (4, 1)), np.tile(y, 4), weights)
    alone = ours("loo", scoring=scoring).fit(X, y)
    np.testing.assert_allclose(found.scores_, alone.scores_, rtol=1e-9)
    np.testing.assert_allclose(found.score_std_errors_, alone.score_std_errors_, rtol=1e-9)
    assert found.C_1se_ == alone.C_1se_
