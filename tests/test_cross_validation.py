"""LogisticRegressionCV against scikit-learn's, fitted tightly."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV as Reference
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastlogreg import LogisticRegression, LogisticRegressionCV, open_rows

PLAIN = {
    "Cs": (10.0, 0.01, 1.0),  # in no order
    "l1_ratios": (0.0,),
    "cv": 3,
    "scoring": "neg_log_loss",
    "use_legacy_attributes": False,
}
BUILT_IN = [None, "accuracy", "neg_log_loss", "neg_brier_score"]


# tol: rows of weight 0, and no rows, are to be alike to 1e-7
@parametrize_with_checks(
    [LogisticRegressionCV(Cs=2, cv=3, tol=1e-13, **{k: PLAIN[k] for k in ("l1_ratios", "scoring")})]
)
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def table(n_classes, n=150):
    return make_classification(
        n,
        4,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        flip_y=0.2,
        random_state=3,
    )


def ours(**changes):
    return LogisticRegressionCV(**{**PLAIN, "tol": 1e-14, **changes})


def theirs(**changes):
    solver = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
    return Reference(**{**PLAIN, **solver, **changes})


def assert_same(found, expected, atol=1e-5):
    def values(model, name):
        value = getattr(model, name)
        return list(value.values()) if isinstance(value, dict) else value

    for name in ("coefs_paths_", "scores_", "C_", "l1_ratio_", "coef_", "intercept_", "Cs_"):
        assert_allclose(
            np.array(values(found, name), dtype=float),
            np.array(values(expected, name), dtype=float),
            atol=atol,
            err_msg=name,
        )
    assert found.n_iter_.shape == expected.n_iter_.shape


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_as_scikit_learn(n_classes, refit, legacy):
    X, y = table(n_classes)
    weights = np.linspace(0.0, 2.0, y.size)
    settings = {"refit": refit, "use_legacy_attributes": legacy, "class_weight": "balanced"}
    found = ours(**settings).fit(X, y, weights)
    assert_same(found, theirs(**settings).fit(X, y, weights))
    assert found.converged_
    if legacy:
        assert (
            list(found.scores_)
            == list(found.coefs_paths_)
            == ([1] if n_classes == 2 else [*y[:0], 0, 1, 2])
        )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_shares_of_l1(n_classes):
    X, y = table(n_classes)
    settings = {"l1_ratios": (0.0, 0.5, 1.0), "Cs": (0.05, 1.0)}
    found = ours(**settings, tol=1e-13).fit(X, y)
    saga = {"solver": "saga", "tol": 1e-9, "max_iter": 20000}
    expected = theirs(**settings, **saga).fit(X, y)
    assert_same(found, expected, atol=1e-4)
    assert found.score_std_errors_.shape == (3, 2)


@pytest.mark.parametrize("scoring", BUILT_IN)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_from_margins_are_those_of_the_scorers(n_classes, scoring):
    X, y = table(n_classes)
    weights = np.where(np.arange(y.size) % 3, np.linspace(0.5, 2.0, y.size), 0.0)
    scorer = get_scorer(scoring or "accuracy")
    built_in = ours(scoring=scoring).fit(X, y, weights)
    # a callable is called, with labels that it can't be told here: each fold has all
    called = ours(scoring=lambda *at, **more: scorer(*at, **more)).fit(X, y, weights)
    assert_allclose(built_in.scores_, called.scores_, rtol=0, atol=1e-12)
    assert_array_equal(built_in.coef_, called.coef_)


@pytest.mark.parametrize("form", [csr_array, np.asfortranarray, np.float32])
def test_other_rows(form):
    X, y = table(2)
    X = X.astype(np.float32).astype(np.float64)
    found = ours().fit(form(X), y)
    expected = ours().fit(X, y)
    assert_allclose(found.scores_, expected.scores_, atol=1e-7)
    assert found.C_ == expected.C_
    assert_allclose(found.coef_, expected.coef_, atol=1e-6)


def test_folds_that_lack_a_class():
    X, y = table(3)
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    # of each split the training rows lack a class, whose intercept goes to minus infinity
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ours(cv=KFold(3), tol=1e-8).fit(X, y)
    assert np.isfinite(model.scores_).all()
    assert (model.scores_ < -1.0).all()
    assert np.isfinite(model.coefs_paths_).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pair = ours(cv=KFold(2), tol=1e-8).fit(X[y < 2], y[y < 2])
    assert np.isfinite(pair.coefs_paths_).all()


def test_groups_and_weights_are_routed():
    X, y = table(2)
    groups = np.arange(y.size) % 5
    with config_context(enable_metadata_routing=True):
        found = ours(cv=GroupKFold(3)).fit(X, y, groups=groups)
        expected = theirs(cv=GroupKFold(3)).fit(X, y, groups=groups)
        assert_same(found, expected)
        scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
        weighted = ours(scoring=scorer).set_fit_request(sample_weight=True)
        weighted.fit(X, y, sample_weight=groups + 1.0)
        plain = ours(scoring="accuracy")
    assert_allclose(weighted.scores_, plain.fit(X, y, groups + 1.0).scores_)
    with pytest.raises(ValueError, match="groups"):
        ours().fit(X, y, groups=groups)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_offset_counts_in_fits_and_scores(n_classes):
    X, y = table(n_classes)
    shape = y.size if n_classes == 2 else (y.size, n_classes)
    offset = np.random.default_rng(0).normal(size=shape)
    found = ours(Cs=[0.5]).fit(X, y, offset=offset)
    single = LogisticRegression(C=0.5, tol=1e-14).fit(X, y, offset=offset)
    assert_allclose(found.coef_, single.coef_, atol=1e-6)
    assert found.objective_ == pytest.approx(single.objective_, rel=1e-12)
    scorer = get_scorer("neg_log_loss")
    called = ours(Cs=[0.5], scoring=lambda *at: scorer(*at)).fit(X, y, offset=offset)
    assert_allclose(called.scores_, found.scores_, atol=1e-12)
    loss = -single.predict_log_proba(X, offset=offset)[np.arange(y.size), y].mean()
    assert found.score(X, y, offset=offset) == pytest.approx(-loss, abs=1e-5)


def test_scores_with_an_offset_know_the_columns():
    X, y = table(2)
    offset = np.random.default_rng(0).normal(size=y.size)
    names = [f"c{j}" for j in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    found = ours(Cs=[0.5]).fit(frame, y, offset=offset)
    plain = ours(Cs=[0.5]).fit(X, y, offset=offset)
    assert found.score(frame, y, offset=offset) == plain.score(X, y, offset=offset)
    with pytest.raises(ValueError, match="same order"):
        found.score(frame[names[::-1]], y, offset=offset)
    with pytest.raises(ValueError, match="X has 2 features, but LogisticRegressionCV"):
        plain.score(X[:, :2], y, offset=offset)


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc"])
def test_a_table_is_scored_by_its_own_labels(scoring):
    X, y = table(2)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    columns = {
        "label": np.array(["no", "yes"])[y],
        "w": rng.random(y.size),
        "o": rng.random(y.size),
    }
    frame = frame.assign(**columns)
    rows = open_rows(frame, target="label", sample_weight="w", offset="o")
    found = ours(Cs=[0.5], scoring=scoring).fit(rows)
    plain = ours(Cs=[0.5], scoring=scoring).fit(X, y, columns["w"], offset=columns["o"])
    expected = plain.score(X, y, columns["w"], offset=columns["o"])
    assert found.score(frame) == pytest.approx(expected, rel=1e-12)
    assert found.score(rows) == pytest.approx(expected, rel=1e-12)
    for model in (found, LogisticRegression().fit(rows)):
        for given in ("sample_weight", "offset"):
            with pytest.raises(TypeError, match=f"{given} must not be given without y"):
                model.score(frame, **{given: columns["w"]})
    with pytest.raises(ValueError, match="y must be given"):
        plain.score(X)


def test_the_one_standard_error_rule():
    X, y = table(2)
    model = ours(Cs=12).fit(X, y)
    means = model.scores_.mean(axis=0)[0]
    errors = model.scores_.std(axis=0, ddof=1)[0] / np.sqrt(3)
    assert_allclose(model.score_std_errors_[0], errors)
    best = means.argmax()
    assert model.C_ == model.Cs_[best]
    assert model.C_1se_ == model.Cs_[means >= means[best] - errors[best]].min()
    assert model.C_1se_ <= model.C_


def test_what_is_refused_changes_nothing():
    X, y = table(2)
    model = ours().fit(X, y)
    before = pickle.dumps(model.coef_), sorted(vars(model))
    zero = np.zeros(y.size)
    zero[:75] = 1.0
    for changes, weights, match in [
        ({"Cs": 0}, None, "Cs"),
        ({"Cs": [1.0, -1.0]}, None, "Cs"),
        ({"Cs": []}, None, "Cs"),
        ({"Cs": "many"}, None, "Cs"),
        ({"l1_ratios": ()}, None, "l1_ratios"),
        ({"l1_ratios": (0.5, 2.0)}, None, "l1_ratios"),
        ({"cv": "l5o"}, None, "cv"),
        ({"cv": []}, None, "cv"),
        ({"cv": KFold(2)}, zero, "sample_weight is 0"),
        ({"scoring": "best"}, None, "scoring|best"),
        ({"scoring": 3}, None, "scoring"),
        ({"refit": "no"}, None, "refit"),
        ({"use_legacy_attributes": "no"}, None, "use_legacy_attributes"),
        ({"scoring": lambda *at, **more: np.nan}, None, "NaN"),
    ]:
        other = clone(model)
        vars(other).update(vars(model))
        other.set_params(**changes)
        with pytest.raises((ValueError, TypeError), match=match):
            other.fit(X, y, weights)
        assert (pickle.dumps(other.coef_), sorted(vars(other))) == before


def test_fits_that_end_early_are_counted():
    X, y = table(2)
    with pytest.warns(ConvergenceWarning) as heard:
        model = ours(max_iter=1, Cs=[1.0, 100.0]).fit(X, y)
    assert any("of 6 fits of folds did not reach" in str(w.message) for w in heard)
    assert not model.converged_


def test_pickles_and_clones():
    X, y = table(2)
    model = ours().fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert clone(model).get_params() == model.get_params()
    assert again.n_passes_ == model.n_passes_ > 0


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    X, y = table(2)
    for legacy in (True, False):
        model = ours(use_legacy_attributes=legacy, l1_ratios=(0.0, 1.0), tol=1e-8).fit(X, y)
        ax = model.plot()
        assert ax.get_xscale() == "log"
        assert len(ax.containers) == 2
        assert model.plot(ax) is ax
        pyplot.close(ax.figure)


@pytest.mark.parametrize("wrong", [np.ones(3), "good", None])
def test_a_scorer_that_gives_no_number(wrong):
    X, y = table(2)
    model = LogisticRegressionCV(**{**PLAIN, "scoring": lambda *_: wrong})
    with pytest.raises(ValueError, match="scoring must return a number, got"):
        model.fit(X, y)


@pytest.mark.parametrize("right", [np.float32(0.5), np.array(0.5), 1, True])
def test_a_scorer_that_gives_any_number(right):
    X, y = table(2)
    model = LogisticRegressionCV(**{**PLAIN, "scoring": lambda *_: right}).fit(X, y)
    assert (model.scores_ == float(right)).all()


# --- scikit-learn's callbacks ----------------------------------------------------------------


class Counter:
    """Count what a callback hears; ask for the end after some iterations."""

    def __init__(self, last=None):
        self.last, self.ended, self.torn_down = last, [], False

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context, **kind):
        pass

    def on_fit_task_end(self, estimator, context, **kind):
        self.ended.append(context.task_name)
        return context.task_id + 1 == self.last


def test_callbacks_hear_of_the_fit_on_all_rows():
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    X, y = make_classification(200, 5, random_state=0)
    counter = Counter()
    model = LogisticRegressionCV(**PLAIN)
    silent = clone(model).fit(X, y)
    model.set_callbacks(counter).fit(X, y)
    assert counter.torn_down and counter.ended[-1] == "fit"
    assert set(counter.ended[:-1]) == {"iteration"} and len(counter.ended) > 3
    assert_allclose(model.coef_, silent.coef_, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = clone(model).set_callbacks(Counter(1)).fit(X, y)
    assert not stopped.converged_
    without = Counter()
    clone(model).set_params(refit=False).set_callbacks(without).fit(X, y)
    assert without.ended == ["fit"]
