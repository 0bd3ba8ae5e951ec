"""LogisticRegressionCV: against scikit-learn's, and against fits of single folds."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import clone, config_context
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV as Theirs
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score
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


def theirs(**parameters):
    given = {"Cs": CS, "l1_ratios": (0.0,), "scoring": "neg_log_loss", "solver": "newton-cholesky"}
    return Theirs(**{**given, "tol": 1e-12, "max_iter": 300, **NEW, **parameters})


@pytest.mark.parametrize("data", [binary, three], ids=["two", "three"])
@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "neg_brier_score", "balanced_accuracy"])
def test_as_scikit_learn(data, scoring):
    X, y = data()
    weights = np.random.default_rng(0).random(len(y))
    for given in (None, weights):
        mine = ours(scoring=scoring).fit(X, y, given)
        other = theirs(scoring=scoring).fit(X, y, given)
        assert mine.C_ == other.C_ and mine.l1_ratio_ == other.l1_ratio_
        np.testing.assert_allclose(mine.scores_, other.scores_, rtol=1e-3)
        np.testing.assert_allclose(mine.coefs_paths_, other.coefs_paths_, rtol=5e-3, atol=2e-3)
        np.testing.assert_allclose(mine.coef_, other.coef_, rtol=1e-2, atol=2e-3)
        assert mine.coefs_paths_.shape == other.coefs_paths_.shape
        assert mine.n_iter_.shape == other.n_iter_.shape
        assert mine.converged_


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


@pytest.mark.parametrize("form", ["legacy", "new"])
def test_layout_of_attributes(form):
    legacy = {"use_legacy_attributes": form == "legacy"}
    for data in (binary, three):
        X, y = data()
        for ratios in ((0.0,), (0.0, 0.5)):
            mine = ours(l1_ratios=ratios, cv=3, **legacy).fit(X, y)
            other = theirs(l1_ratios=ratios, cv=3, solver="saga", max_iter=3, tol=1.0, **legacy)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other.fit(X, y)
            for name in ("C_", "l1_ratio_", "Cs_", "l1_ratios_", "n_iter_"):
                assert np.shape(getattr(mine, name)) == np.shape(getattr(other, name)), name
            for name in ("scores_", "coefs_paths_"):
                a, b = getattr(mine, name), getattr(other, name)
                if form == "legacy":
                    assert list(a) == list(b)
                    a, b = np.array(list(a.values())), np.array(list(b.values()))
                assert a.shape == b.shape, name


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


def test_class_weights_are_of_all_rows():
    X, y = binary()
    for class_weight in ("balanced", {0: 1.0, 1: 3.0}):
        mine = ours(class_weight=class_weight).fit(X, y)
        other = theirs(class_weight=class_weight).fit(X, y)
        np.testing.assert_allclose(mine.scores_, other.scores_, rtol=1e-3)
        assert mine.C_ == other.C_


def test_groups_are_routed():
    X, y = binary()
    groups = np.arange(len(y)) % 5
    with config_context(enable_metadata_routing=True):
        model = ours(cv=GroupKFold(5)).fit(X, y, groups=groups)
    assert model.scores_.shape == (5, 1, 3)
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        ours(cv=GroupKFold(5)).fit(X, y, groups=groups)


def test_a_fold_may_lack_a_class():
    X, y = three()
    order = np.argsort(y, kind="stable")
    folds = [(order[:140], order[140:]), (order[50:], order[:50])]  # the second has no "a"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ours(cv=folds).fit(X, y)
    assert model.coefs_paths_.shape == (2, 1, 3, 3, 5)
    assert np.isfinite(model.coefs_paths_).all()


def test_the_refit_is_the_fit_of_all_rows():
    X, y = binary()
    for ratio in (0.0, 0.7):
        model = ours(l1_ratios=(ratio,)).fit(X, y)
        plain = LogisticRegression(C=model.C_, l1_ratio=ratio).fit(X, y)
        assert model.objective_ == pytest.approx(plain.objective_, rel=2e-8)
    no = ours(refit=False).fit(X, y)
    best = no.scores_[:, 0].argmax(axis=1)
    coef = no.coefs_paths_[np.arange(5), 0, best, 0]
    np.testing.assert_allclose(no.coef_[0], coef[:, :-1].mean(axis=0))
    assert no.C_ == pytest.approx(np.take(CS, best).mean())


def test_the_one_standard_error_rule():
    X, y = binary()
    model = ours(Cs=10).fit(X, y)
    mean = model.scores_.mean(axis=0)[0]
    errors = model.scores_[:, 0].std(axis=0, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(model.score_std_errors_[0], errors)
    best = mean.argmax()
    near = model.Cs_[mean >= mean[best] - errors[best]]
    assert model.C_1se_ == near.min() <= model.C_ == model.Cs_[best]


def test_no_penalty_and_separated_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    y = (X[:, 0] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="fits of folds"):
        model = ours(Cs=[1.0, np.inf], cv=3).fit(X, y)
    assert not model.converged_
    y = (X[:, 0] + rng.logistic(size=120) > 0).astype(int)
    model = ours(Cs=[np.inf, 1.0], cv=3).fit(X, y)
    assert model.converged_
    plain = LogisticRegression(C=np.inf).fit(X, y)
    free = ours(Cs=[np.inf], cv=3).fit(X, y)
    np.testing.assert_allclose(free.coef_, plain.coef_, rtol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Cs": []}, "Cs must be"),
        ({"Cs": [1.0, -1.0]}, "Cs must hold numbers above 0"),
        ({"Cs": 0}, "Cs"),
        ({"l1_ratios": (2.0,)}, "l1_ratios must be"),
        ({"cv": "five"}, "cv"),
        ({"scoring": "no such score"}, "scoring|score"),
        ({"tol": -1.0}, "tol"),
        ({"solver": "fastest"}, "solver"),
        ({"use_legacy_attributes": "yes"}, "use_legacy_attributes"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(parameters, message):
    X, y = binary()
    model = ours(cv=3).fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    model.set_params(**parameters)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y)
    model.set_params(**ours(cv=3).get_params())
    bad = X.copy()
    bad[3, 2] = np.nan
    for arguments in ((bad, y), (X, np.zeros(len(y))), (X, y[:-1])):
        with pytest.raises(ValueError):
            model.fit(*arguments)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)


def test_clone_pickle_and_cross_val_score():
    X, y = binary()
    model = ours(cv=3)
    assert clone(model).get_params() == model.get_params()
    fitted = model.fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert fitted.score(X, y) == pytest.approx(
        np.log(fitted.predict_proba(X)[np.arange(len(y)), y]).mean()
    )
    assert cross_val_score(model, X, y, cv=3).shape == (3,)


def test_same_bits_for_any_number_of_threads():
    X, y = binary()
    X = np.tile(X, (40, 1)) + np.random.default_rng(0).normal(size=(12000, 8))
    y = np.tile(y, 40)
    one = ours(cv=3, n_threads=1).fit(X, y)
    two = ours(cv=3, n_threads=2).fit(X, y)
    np.testing.assert_array_equal(one.coefs_paths_, two.coefs_paths_)
    np.testing.assert_array_equal(one.scores_, two.scores_)


def test_plot():
    import matplotlib as mpl

    mpl.use("Agg")
    X, y = binary()
    for legacy in (True, False):
        model = ours(l1_ratios=(0.0, 1.0), cv=3, use_legacy_attributes=legacy).fit(X, y)
        ax = model.plot()
        assert ax.get_xscale() == "log" and ax.get_ylabel() == "neg_log_loss"
        assert len(ax.containers) == 2
        assert model.plot(ax) is ax
