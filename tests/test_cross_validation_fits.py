"""What LogisticRegressionCV fits and scores together, against each fold on its own."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from fastlogreg import LogisticRegression, LogisticRegressionCV

NEW = {"use_legacy_attributes": False}
CS = [0.01, 1.0, 30.0]


def binary():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X)[:300, :8], y[:300]


def three():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["a", "b", "c"])[y]


def ours(**parameters):
    return LogisticRegressionCV(
        **{"Cs": CS, "l1_ratios": (0.0,), "scoring": "neg_log_loss", **NEW, **parameters}
    )


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "neg_brier_score"])
@pytest.mark.parametrize("data", [binary, three], ids=["two", "three"])
def test_scores_of_our_own_are_scikit_learns(data, scoring):
    from sklearn.metrics import get_scorer

    X, y = data()
    weights = np.random.default_rng(0).random(len(y))
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    model = ours(scoring=scoring, cv=folds).fit(X, y, weights)
    scorer = get_scorer(scoring)
    for k, (_, test) in enumerate(folds):
        for c in range(len(CS)):
            theta = model.coefs_paths_[k, 0, c]
            plain = LogisticRegression()
            plain.classes_, plain.coef_, plain.intercept_ = model.classes_, *_parts(theta)
            score = scorer(plain, X[test], y[test], sample_weight=weights[test])
            assert model.scores_[k, 0, c] == pytest.approx(score, rel=1e-12, abs=1e-14)


def _parts(theta):
    return theta[:, :-1], theta[:, -1]


def test_each_fit_is_that_of_its_fold():
    X, y = binary()
    cv = ShuffleSplit(4, test_size=0.3, random_state=0)  # rows that no fold or several hold out
    model = ours(l1_ratios=(0.0, 0.5), cv=cv).fit(X, y)
    for k, (train, _) in enumerate(cv.split(X)):
        for r, ratio in enumerate((0.0, 0.5)):
            for c, C in enumerate(CS):
                plain = LogisticRegression(C=C, l1_ratio=ratio, tol=1e-12).fit(X[train], y[train])
                coef, intercept = _parts(model.coefs_paths_[k, r, c])
                np.testing.assert_allclose(coef, plain.coef_, rtol=2e-3, atol=2e-4)
                np.testing.assert_allclose(intercept, plain.intercept_, rtol=2e-3, atol=2e-4)


def test_storages_weights_and_offset_agree():
    X, y = binary()
    X = np.where(X > 0.2, X, 0.0).astype(np.float32)
    rng = np.random.default_rng(1)
    weights, offset = rng.integers(0, 3, len(y)).astype(float), rng.normal(size=len(y))
    expected = ours().fit(X.astype(np.float64), y, weights, offset=offset)
    for given in (X, np.asfortranarray(X), sp.csr_matrix(X), sp.csr_array(X.astype(np.float64))):
        model = ours().fit(given, y, weights, offset=offset)
        np.testing.assert_allclose(model.scores_, expected.scores_, rtol=1e-5)
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-3, atol=1e-4)
    # weights are repetitions
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    plain = LogisticRegression(C=expected.C_).fit(X[rows], y[rows], offset=offset[rows])
    np.testing.assert_allclose(expected.coef_, plain.coef_, rtol=1e-2, atol=1e-3)


def test_a_fold_may_lack_a_class():
    X, y = three()
    order = np.argsort(y, kind="stable")
    folds = [(order[:140], order[140:]), (order[50:], order[:50])]  # the second has no "a"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ours(cv=folds).fit(X, y)
    assert model.coefs_paths_.shape == (2, 1, 3, 3, 5)
    assert np.isfinite(model.coefs_paths_).all()


def test_same_bits_for_any_number_of_threads():
    X, y = binary()
    X = np.tile(X, (40, 1)) + np.random.default_rng(0).normal(size=(12000, 8))
    y = np.tile(y, 40)
    one = ours(cv=3, n_threads=1).fit(X, y)
    two = ours(cv=3, n_threads=2).fit(X, y)
    np.testing.assert_array_equal(one.coefs_paths_, two.coefs_paths_)
    np.testing.assert_array_equal(one.scores_, two.scores_)


def test_strengths_may_mix_with_none():
    X, y = binary()
    Cs = [0.1, np.inf]
    model = ours(Cs=Cs, l1_ratios=(1.0,), cv=2, max_iter=300).fit(X, y)
    for c, C in enumerate(Cs):
        coef, _ = _parts(model.coefs_paths_[0, 0, c])
        train, _ = next(iter(StratifiedKFold(2).split(X, y)))
        plain = LogisticRegression(C=C, l1_ratio=1.0 if C < 1 else 0.0, tol=1e-12)
        np.testing.assert_allclose(coef, plain.fit(X[train], y[train]).coef_, rtol=2e-3, atol=1e-3)


def test_without_a_penalty_separated_rows_are_told_of():
    X = np.arange(20.0)[:, None]
    y = (X[:, 0] > 9).astype(int)
    with pytest.warns(ConvergenceWarning) as told:
        model = ours(Cs=[np.inf], cv=KFold(2, shuffle=True, random_state=0)).fit(X, y)
    assert any("give C a finite value" in str(each.message) for each in told)
    assert not model.converged_


def test_folds_that_free_columns_separate_in_part_are_not_called_converged():
    X = np.zeros((80, 2))
    X[:, 0] = np.random.default_rng(0).normal(size=80)
    X[::8, 1] = 1.0  # all of them in one class: no end, while the others overlap
    y = np.where(X[:, 1] > 0, 1, np.random.default_rng(1).integers(0, 2, 80))
    with pytest.warns(ConvergenceWarning):
        model = ours(cv=3, penalty_factors=[1.0, 0.0], refit=False).fit(X, y)
    assert not model.converged_


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("data", [binary, three], ids=["two", "three"])
def test_factors_and_bounds_are_those_of_single_fits(data, l1_ratio):
    X, y = data()
    d = X.shape[1]
    shape = {
        # of several classes a free column has no optimum of its own: only differences count
        "penalty_factors": np.linspace(0.0 if data is binary else 0.1, 2.0, d),
        "lower_bounds": np.r_[-np.inf, np.full(d - 1, -0.4)],
        "upper_bounds": 0.7,
    }
    cv = StratifiedKFold(3)
    model = ours(l1_ratios=(l1_ratio,), cv=cv, **shape).fit(X, y)
    assert model.duality_gap_ >= 0.0 and model.converged_
    for k, (train, _) in enumerate(cv.split(X, y)):
        for c, C in enumerate(CS):
            plain = LogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-11, **shape)
            plain.fit(X[train], y[train])
            coef, _ = _parts(model.coefs_paths_[k, 0, c])
            np.testing.assert_allclose(coef, plain.coef_, rtol=5e-3, atol=1e-3)
            assert (coef >= shape["lower_bounds"]).all() and (coef <= 0.7).all()
    again = LogisticRegression(C=model.C_, l1_ratio=l1_ratio, **shape).fit(X, y)
    np.testing.assert_array_equal(model.coef_, again.coef_)


def test_wrong_factors_and_bounds_are_refused_before_anything_is_fitted():
    X, y = binary()
    for wrong, text in (
        ({"penalty_factors": [1.0]}, "penalty_factors"),
        ({"penalty_factors": -np.ones(8)}, "penalty_factors must be finite and not negative"),
        ({"lower_bounds": 1.0, "upper_bounds": 0.0}, "lower_bounds must not be above"),
    ):
        model = ours(**wrong)
        with pytest.raises(ValueError, match=text):
            model.fit(X, y)
        assert not hasattr(model, "coef_")
