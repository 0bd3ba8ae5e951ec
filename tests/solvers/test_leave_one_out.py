"""Approximate leave-one-out, against fits without each row."""

import numpy as np
import pytest
import scipy.sparse as sp
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
    with pytest.raises(ValueError, match="two classes"):
        ours("loo").fit(X, np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="neg_brier_score"):
        ours("loo", scoring="roc_auc").fit(X, y)
