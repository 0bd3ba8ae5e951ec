"""What code written for scikit-learn relies on, beside what its own tests of conformance show."""

import os
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.linear_model import SGDClassifier
from sklearn.utils.fixes import parse_version

from fastlogreg import LogisticRegression, MiniBatchLogisticRegression
from fastlogreg.data.validation import check_threads, resolve_penalty

SOLVERS = ("auto", "newton", "newton-cg", "lbfgs", "newton-cholesky", "liblinear", "sag", "saga")
THEIRS = Reference().get_params()


@pytest.fixture(scope="module")
def rows():
    return make_classification(600, 4, n_informative=3, n_redundant=0, flip_y=0.1, random_state=3)


# --- parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("C", [0.1, np.inf])
def test_every_solver_means_the_same_optimum(rows, solver, C):
    X, y = rows
    model = LogisticRegression(solver=solver, C=C).fit(X, y)
    best = LogisticRegression(solver="newton", C=C, tol=1e-14).fit(X, y)
    assert model.converged_
    assert model.objective_ <= best.objective_ * (1 + 1e-8)
    assert_allclose(model.coef_, best.coef_, atol=2e-3)


def test_parameters_without_effect(rows):
    X, y = rows
    plain = LogisticRegression(solver="liblinear").fit(X, y)
    same = LogisticRegression(solver="liblinear", dual=True, intercept_scaling=7).fit(X, y)
    assert_array_equal(same.coef_, plain.coef_)
    assert_array_equal(same.intercept_, plain.intercept_)


PENALTIES = [
    # parameters, what they mean: C and the share of L1, warnings
    ({}, (1.0, 0.0), []),
    ({"C": np.inf}, (np.inf, 0.0), []),
    ({"C": np.inf, "l1_ratio": 1}, (np.inf, 0.0), []),
    ({"C": np.inf, "l1_ratio": 0.5}, (np.inf, 0.0), ["only used when"]),
    ({"l1_ratio": None}, (1.0, 0.0), ["'l1_ratio=None' was deprecated"]),
    ({"l1_ratio": 1}, (1.0, 1.0), []),
    ({"l1_ratio": 0.3, "C": 2}, (2.0, 0.3), []),
    ({"penalty": "l2", "C": 2.0}, (2.0, 0.0), ["'penalty' was deprecated"]),
    ({"penalty": "l2", "C": np.inf}, (np.inf, 0.0), ["'penalty' was deprecated"]),
    ({"penalty": "l2", "l1_ratio": 1}, (1.0, 0.0), ["'penalty' was", "Inconsistent values"]),
    ({"penalty": "l1", "l1_ratio": 1}, (1.0, 1.0), ["'penalty' was deprecated"]),
    ({"penalty": "l1"}, (1.0, 1.0), ["'penalty' was", "Inconsistent values"]),
    (
        {"penalty": "l1", "l1_ratio": 0.5},
        (1.0, 1.0),
        ["'penalty' was", "Inconsistent values", "only used when"],
    ),
    ({"penalty": "elasticnet", "l1_ratio": 0.5}, (1.0, 0.5), ["'penalty' was deprecated"]),
    ({"penalty": None}, (np.inf, 0.0), ["'penalty' was deprecated"]),
    ({"penalty": None, "C": 3}, (np.inf, 0.0), ["'penalty' was", "will ignore the C"]),
]


@pytest.mark.parametrize(("parameters", "meaning", "warned"), PENALTIES)
def test_the_penalty_in_the_words_of_each_release(parameters, meaning, warned):
    given = {"penalty": "deprecated", "C": 1.0, "l1_ratio": 0.0, **parameters}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert resolve_penalty(**given) == meaning
    texts = [str(warning.message) for warning in heard]
    assert len(texts) == len(warned)
    for start in warned:
        assert any(start in text for text in texts), texts


@pytest.mark.skipif(THEIRS.get("penalty") != "deprecated", reason="scikit-learn before 1.8 or 1.10")
@pytest.mark.parametrize(("parameters", "meaning", "warned"), PENALTIES)
def test_scikit_learn_warns_of_the_same(rows, parameters, meaning, warned):
    X, y = rows
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        Reference(solver="saga", **parameters).fit(X, y)
    texts = [str(w.message) for w in heard if not issubclass(w.category, ConvergenceWarning)]
    assert len(texts) == len(warned)
    for start in warned:
        assert any(start in text for text in texts), texts


def test_warnings_about_parameters_name_the_line_that_called_fit(rows):
    X, y = rows
    with pytest.warns(FutureWarning, match="'penalty' was deprecated") as heard:
        old = LogisticRegression("l2", C=0.5).fit(X, y)
    assert heard[0].filename == __file__
    assert_array_equal(old.coef_, LogisticRegression(C=0.5).fit(X, y).coef_)
    with pytest.warns(FutureWarning, match="'penalty' was deprecated"):
        free = LogisticRegression(penalty=None).fit(X, y)
    assert_array_equal(free.coef_, LogisticRegression(C=np.inf).fit(X, y).coef_)
    with (
        pytest.warns(FutureWarning, match="'penalty' was deprecated"),
        pytest.raises(ValueError, match="l1_ratio must be specified"),
    ):
        LogisticRegression(penalty="elasticnet", l1_ratio=None).fit(X, y)


def test_separated_classes_without_penalty_in_the_old_words():
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    with (
        pytest.warns(FutureWarning, match="'penalty' was deprecated"),
        pytest.warns(ConvergenceWarning, match="classes can be separated"),
    ):
        LogisticRegression(penalty=None).fit(X, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("n_threads", "n_jobs", "expected"),
    [
        (None, None, None),
        (None, -1, None),
        (None, 3, 3),
        (2, 3, 2),
        (2, -1, 2),
        (None, -2, max(1, os.cpu_count() - 1)),
        (None, -1000, 1),
    ],
)
def test_n_jobs(n_threads, n_jobs, expected):
    assert check_threads(n_threads, n_jobs) == expected


def test_n_jobs_without_a_warning(rows):
    X, y = rows
    expected = LogisticRegression().fit(X, y)
    for n_jobs in (1, 2, -1):
        model = LogisticRegression(n_jobs=n_jobs).fit(X, y)
        assert_array_equal(model.coef_, expected.coef_)
        assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    with pytest.raises(ValueError, match="n_jobs"):
        model.set_params(n_jobs=0).predict(X)


# --- ends of a fit -------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_step_at_all(rows, solver):
    X, y = rows
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = LogisticRegression(solver=solver, max_iter=0).fit(X, y)
    assert model.n_iter_.tolist() == [0]
    assert not model.coef_.any() and not model.intercept_.any()
    assert_array_equal(model.predict_proba(X), 0.5)
    # from the last fit's coefficients it leaves them
    model.set_params(max_iter=100, warm_start=True).fit(X, y)
    found = model.coef_.copy()
    assert_array_equal(model.set_params(max_iter=0).fit(X, y).coef_, found)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("max_iter", [1, 2])
def test_no_more_steps_than_asked_for(rows, solver, max_iter):
    X, y = rows
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = LogisticRegression(solver=solver, max_iter=max_iter, tol=0).fit(X, y)
    assert model.n_iter_.tolist() == [max_iter]
    assert model.objective_ < np.log(2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_tol_of_0_asks_for_the_rounding(rows, solver):
    model = LogisticRegression(solver=solver, tol=0).fit(*rows)
    assert model.converged_
    assert model.gradient_norm_ < 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_warm_starts_with_and_without_an_intercept(rows, solver, dtype):
    X, y = rows[0].astype(dtype), rows[1]
    for changes in ({}, {"fit_intercept": False}, {"fit_intercept": True}, {"C": 0.9}):
        model = LogisticRegression(solver=solver, warm_start=True, C=1.0).fit(X, y)
        model.set_params(**changes).fit(X, y)
        assert_allclose(
            model.decision_function(X),
            LogisticRegression(**changes).fit(X, y).decision_function(X),
            atol=2e-3,
        )
    # steps one at a time lead there too; those of lbfgs forget what they learned
    one = LogisticRegression(solver=solver, warm_start=True, max_iter=1)
    for _ in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            one.fit(X, y)
    best = LogisticRegression().fit(X, y).objective_
    assert one.objective_ == pytest.approx(best, rel=1e-2 if solver == "lbfgs" else 1e-7)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0}])
def test_what_is_given_is_left_untouched(rows, class_weight):
    X, y = rows
    weights = np.linspace(0.0, 2.0, y.size)
    given = X.copy(), y.copy(), weights.copy()
    model = LogisticRegression(class_weight=class_weight, warm_start=True)
    model.fit(*given)
    model.fit(*given)
    MiniBatchLogisticRegression(class_weight=class_weight, max_iter=2, tol=None).fit(*given)
    for before, after in zip((X, y, weights), given, strict=True):
        assert_array_equal(after, before)


# --- dtypes --------------------------------------------------------------------------------


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="other dtypes before"
)
@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, csr_array])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (LogisticRegression(), Reference()),
        (MiniBatchLogisticRegression(random_state=0), SGDClassifier("log_loss", random_state=0)),
    ],
    ids=["exact", "mini-batch"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dtypes_are_those_of_scikit_learn(rows, ours, theirs, form, fit_intercept, dtype):
    X = form((10 * rows[0]).round().astype(dtype))
    ours.set_params(fit_intercept=fit_intercept).fit(X, rows[1])
    theirs.set_params(fit_intercept=fit_intercept, max_iter=3000).fit(X, rows[1])
    assert ours.coef_.dtype == theirs.coef_.dtype
    assert ours.intercept_.dtype == theirs.intercept_.dtype
    for other in (np.float32, np.float64):
        Z = X.astype(other)
        for name in ("decision_function", "predict_proba", "predict_log_proba"):
            with np.errstate(divide="ignore"):  # scikit-learn takes the logarithm of 0
                ours_there, theirs_there = (getattr(model, name)(Z) for model in (ours, theirs))
            assert ours_there.dtype == theirs_there.dtype, (name, other)
    assert pickle.loads(pickle.dumps(ours)).coef_.dtype == theirs.coef_.dtype


def test_float32_is_a_rounding_of_the_same_fit(rows):
    X, y = rows[0].astype(np.float32), rows[1]
    narrow = LogisticRegression().fit(X, y)
    wide = LogisticRegression().fit(X.astype(np.float64), y)
    assert_array_equal(narrow.coef_, wide.coef_.astype(np.float32))
    assert narrow.objective_ == pytest.approx(wide.objective_, rel=1e-12)
    assert_allclose(narrow.predict_proba(X), wide.predict_proba(X), rtol=2e-6)
    assert_array_equal(narrow.predict(X), wide.predict(X))
    # far out: infinite margins, and probabilities and logarithms that are right
    far = np.float32(3e38) * np.sign(narrow.coef_)
    assert narrow.predict_proba(far).tolist() == [[0.0, 1.0]]
    assert narrow.predict_log_proba(far)[0, 1] == 0.0
    near = narrow.coef_ * np.float32(60 / (narrow.coef_**2).sum())
    assert 0.0 < narrow.predict_proba(near)[0, 0] < 1e-20


@pytest.mark.parametrize("model", [LogisticRegression(C=np.inf), LogisticRegression()])
def test_coefficients_that_float32_cannot_hold_stay_float64(model):
    random = np.random.default_rng(0)
    # a column 4e5 spreads from 0: rounded coefficients would move the margins by 0.005
    spread = random.integers(0, 8, 4000)
    X = np.column_stack([spread + 1e6, random.normal(size=4000)]).astype(np.float32)
    y = random.random(4000) < 1 / (1 + np.exp(-(spread - 3.5)))
    model.fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float64
    assert model.predict_proba(X).dtype == np.float64
    loss = -np.log(model.predict_proba(X)[np.arange(4000), y.astype(int)]).mean()
    penalty = 0.0 if np.isinf(model.C) else model.coef_[0] @ model.coef_[0] / (2 * 4000)
    assert loss + penalty == pytest.approx(model.objective_, rel=1e-8)
    # columns as small as float32 has them ask for coefficients beyond its range
    tiny = (X - [1e6, 0]).astype(np.float32) * np.float32(1e-39)
    free = LogisticRegression(C=np.inf).fit(tiny, y)
    assert np.isfinite(free.coef_).all()
    assert free.score(tiny, y) > 0.7
