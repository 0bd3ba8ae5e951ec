"""The estimator: scikit-learn's contract, and the optimum on real data."""

import io
import pickle
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastlogreg import LogisticRegression
from tests.store_model import DATA


@parametrize_with_checks(
    [
        LogisticRegression(),
        LogisticRegression(solver="newton", tol=1e-12, class_weight="balanced"),
        LogisticRegression(solver="newton-cg", n_threads=1),
        LogisticRegression(solver="lbfgs", C=10.0, warm_start=True, max_iter=1000),
    ]
)
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        # checks fit a handful of points, some of which scikit-learn itself warns about
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def data():
    return make_classification(400, 6, n_informative=4, n_redundant=0, random_state=3)


def iris():
    X, y = load_iris(return_X_y=True)
    return X[y > 0], y[y > 0]


def digits():
    X, y = load_digits(return_X_y=True)
    keep = (y == 3) | (y == 8)
    return X[keep], y[keep]


def cancer():
    return load_breast_cancer(return_X_y=True)


def extended_optimum(X, y, C, theta):
    """Return the least mean objective and its function, by Newton in extended precision.

    From the fit's theta, so that few steps do; the linear systems are solved in float64,
    which makes each step contract and leaves the limit as exact as the gradient.
    """
    A = np.column_stack([np.ones(len(X)), X]).astype(np.longdouble)
    t = (y == np.unique(y)[1]).astype(np.longdouble)
    penalty = np.full(A.shape[1], 1 / np.longdouble(C * len(X)))
    penalty[0] = 0

    def objective(theta):
        z = A @ theta.astype(np.longdouble)
        return np.logaddexp(0, np.where(t == 1, -z, z)).mean() + (penalty * theta**2).sum() / 2

    theta = theta.astype(np.longdouble)
    for _ in range(30):
        p = 1 / (1 + np.exp(-(A @ theta)))
        gradient = A.T @ (p - t) / len(X) + penalty * theta
        H = (A.T * (p * (1 - p))) @ A / len(X) + np.diag(penalty)
        scale = 1 / np.sqrt(np.maximum(np.diag(H), 1e-300))
        scaled = (H * scale[:, None] * scale).astype(float)
        step = -scale * np.linalg.lstsq(scaled, (scale * gradient).astype(float), rcond=None)[0]
        if objective(theta + step) > objective(theta):
            break
        theta = theta + step
    return objective(theta), objective


@pytest.mark.parametrize("load", [iris, cancer, digits])
@pytest.mark.parametrize("C", [1.0, 1e-2, 1e4])
def test_within_1e_10_of_the_optimum(load, C):
    X, y = load()
    model = LogisticRegression(C=C).fit(X, y)
    theta = np.concatenate([model.intercept_, model.coef_[0]])
    best, objective = extended_optimum(X, y, C, theta)
    assert 0 <= objective(theta) - best + 1e-18 < 1e-10
    assert model.objective_ == pytest.approx(float(objective(theta)), rel=1e-12)
    assert model.converged_


def test_agrees_with_scikit_learn(data):
    X, y = data
    for kind in ({}, {"C": 0.1}, {"fit_intercept": False}, {"class_weight": "balanced"}):
        ours = LogisticRegression(tol=1e-14, **kind).fit(X, y)
        theirs = Reference(solver="newton-cholesky", tol=1e-10, **kind).fit(X, y)
        assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
        assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-12)
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
        assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-5)
        assert_array_equal(ours.predict(X), theirs.predict(X))


def test_without_penalty(data):
    X, y = data
    ours = LogisticRegression(C=np.inf, tol=1e-14).fit(X, y)
    theirs = Reference(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [-1, 1], [False, True], [2.0, 7.0], np.array(["b", "a"], object)]
)
def test_any_two_labels(data, labels):
    X, y = data
    named = np.asarray(labels)[y]
    model = LogisticRegression().fit(X, named)
    assert_array_equal(model.classes_, np.unique(named))
    assert set(model.predict(X)) == set(named)
    assert model.score(X, named) > 0.8


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames(data, frame):
    X, y = data
    names = [f"column {j}" for j in range(X.shape[1])]
    table = frame(dict(zip(names, X.T, strict=True)))
    series = pd.Series(y) if frame is pd.DataFrame else pl.Series(y)
    model = LogisticRegression().fit(table, series)
    assert model.feature_names_in_.tolist() == names
    assert_allclose(model.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[names[::-1]])


def test_ecosystem(data):
    X, y = data
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    assert pipe.fit(X, y).score(X, y) > 0.8
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, n_jobs=2, cv=3).fit(X, y)
    assert search.best_score_ > 0.7
    assert (cross_val_score(LogisticRegression(), X, y, cv=3) > 0.7).all()
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (len(X), 2)
    assert SelectFromModel(LogisticRegression()).fit(X, y).transform(X).shape[1] < X.shape[1]
    X, y = load_iris(return_X_y=True)
    assert OneVsRestClassifier(LogisticRegression()).fit(X, y).score(X, y) > 0.9


def test_parameters_are_those_of_scikit_learn(data):
    ours = LogisticRegression().get_params()
    theirs = Reference().get_params()
    assert set(theirs) - set(ours) <= {"multi_class"}  # of before 1.8
    more = {"n_threads", "penalty_factors", "lower_bounds", "upper_bounds", "firth"}
    assert set(ours) - set(theirs) == more
    for name in set(theirs) - {"tol", "solver", "penalty", "l1_ratio", "multi_class"}:
        assert ours[name] == theirs[name]
    assert ours["l1_ratio"] == 0.0


def test_random_state_changes_nothing(data):
    X, y = data
    plain = LogisticRegression().fit(X, y)
    same = LogisticRegression(random_state=7).fit(X, y)
    assert_array_equal(same.coef_, plain.coef_)


def test_html_and_tags(data):
    model = LogisticRegression(C=0.5)
    assert "C" in model._repr_html_()
    page = model.fit(*data)._repr_html_()
    assert "LogisticRegression" in page
    assert 'href="https://scikit-learn.org' not in page  # its page of that name is of another class
    tags = get_tags(model)
    assert (tags.estimator_type, tags.target_tags.required) == ("classifier", True)
    assert tags.classifier_tags.multi_class
    assert not tags.input_tags.allow_nan
    assert not tags.non_deterministic


def test_clone_pickle_joblib(data, tmp_path):
    X, y = data
    model = LogisticRegression(C=0.5, n_threads=1).fit(X, y)
    assert clone(model).get_params() == model.get_params()
    expected = model.predict_proba(X)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    joblib.dump(model, tmp_path / "model")
    assert_array_equal(joblib.load(tmp_path / "model").predict_proba(X), expected)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 2 wrote them")
@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
def test_models_of_former_releases_load(number):
    """Written by ``python -m tests.store_model`` when that was the format of states."""
    stored = pickle.loads((DATA / f"model_format_{number}.pickle").read_bytes())
    model = stored["model"]
    # to the bit on the same processor; another one may round otherwise
    assert_allclose(model.predict_proba(stored["X"]), stored["probabilities"], rtol=1e-12)
    assert set(model.predict(stored["X"])) <= {"benign", "malignant"}
    # and lives on: what came later has its defaults
    assert clone(model).get_params() == {
        **LogisticRegression().get_params(),
        "C": 0.5,
        "class_weight": "balanced",
    }
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.coef_, model.coef_)
    assert again.__getstate__()["_fastlogreg_format"] == 5


def test_a_model_of_a_later_release_says_so():
    model = LogisticRegression()
    with pytest.raises(ValueError, match=r"later release.*format 9.*knows up to 5.*upgrade"):
        model.__setstate__({**model.__getstate__(), "_fastlogreg_format": 9})


def test_sparse_coefficients(data):
    X, y = data
    model = LogisticRegression(warm_start=True).fit(X, y)
    expected = model.predict_proba(X), model.coef_.copy()
    assert model.sparsify() is model
    assert type(model.coef_).__name__.startswith("csr")
    assert_array_equal(model.predict_proba(X), expected[0])
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected[0])
    again = clone(model).fit(X, y)
    model.fit(X, y)  # starts from the sparse ones, and leaves an array
    assert model.n_iter_[0] < again.n_iter_[0]
    model.sparsify()
    assert model.densify().densify() is model
    assert_allclose(model.coef_, expected[1], rtol=1e-7)


def test_coefficients_that_a_user_set(data):
    X, y = data
    model = LogisticRegression().fit(X, y)
    expected = model.predict_proba(X)
    model.coef_, model.intercept_ = model.coef_.tolist(), float(model.intercept_[0])
    assert_array_equal(model.predict_proba(X), expected)


# --- offset ------------------------------------------------------------------------------


def known_part(X):
    return 2.0 * X[:, 0] - 0.5


def test_an_offset_is_a_column_with_coefficient_one(data):
    X, y = data
    offset = known_part(X)
    plain = LogisticRegression(C=np.inf, tol=1e-14).fit(X, y)
    shifted = LogisticRegression(C=np.inf, tol=1e-14).fit(X, y, offset=offset)
    # without a penalty the coefficients take up what the offset holds of the columns
    assert_allclose(shifted.coef_[0, 0], plain.coef_[0, 0] - 2.0, rtol=1e-6)
    assert_allclose(shifted.coef_[0, 1:], plain.coef_[0, 1:], rtol=1e-6)
    assert_allclose(shifted.intercept_, plain.intercept_ + 0.5, rtol=1e-6)
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        ours = getattr(shifted, method)(X, offset=offset)
        assert_allclose(ours, getattr(plain, method)(X), rtol=1e-5, atol=1e-9)
        assert not np.allclose(ours, getattr(shifted, method)(X))
    assert_array_equal(shifted.predict(X, offset=offset), plain.predict(X))
    assert shifted.score(X, y, offset=offset) == plain.score(X, y)
    assert shifted.score(X, y) < plain.score(X, y)


@pytest.mark.parametrize("solver", ["newton", "newton-cg", "lbfgs"])
def test_offset_with_a_penalty_and_weights(data, solver):
    """At the optimum the gradient, written out, is zero."""
    X, y = data
    offset, weights = known_part(X), np.linspace(0.1, 2.0, len(y))
    model = LogisticRegression(C=0.1, tol=1e-14, solver=solver, max_iter=1000)
    model.fit(X, y, sample_weight=weights, offset=offset)
    p = 1 / (1 + np.exp(-(X @ model.coef_[0] + model.intercept_ + offset)))
    residual = weights * (p - y)
    assert_allclose(X.T @ residual + model.coef_[0] / 0.1, 0.0, atol=1e-5)
    assert_allclose(residual.sum(), 0.0, atol=1e-5)


def test_parameters_go_through_pipelines_and_searches(data):
    X, y = data
    offset, weights = known_part(X), np.linspace(0.1, 2.0, len(y))
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    name = "logisticregression"
    pipe.fit(X, y, **{f"{name}__offset": offset, f"{name}__sample_weight": weights})
    scaled = StandardScaler().fit_transform(X)
    alone = LogisticRegression().fit(scaled, y, sample_weight=weights, offset=offset)
    assert_array_equal(pipe[-1].coef_, alone.coef_)
    assert_array_equal(
        pipe.predict_proba(X, offset=offset), alone.predict_proba(scaled, offset=offset)
    )
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=3).fit(X, y, offset=offset)
    best = LogisticRegression().fit(X, y, offset=offset)
    assert_array_equal(search.best_estimator_.coef_, best.coef_)


def test_metadata_is_routed(data):
    X, y = data
    offset, weights = known_part(X), np.linspace(0.1, 2.0, len(y))
    folds = StratifiedKFold(3)
    with config_context(enable_metadata_routing=True):
        model = (
            LogisticRegression()
            .set_fit_request(sample_weight=True, offset=True)
            .set_score_request(sample_weight=True, offset=True)
            .set_predict_request(offset=True)
            .set_predict_proba_request(offset=True)
            .set_predict_log_proba_request(offset=True)
            .set_decision_function_request(offset=True)
        )
        both = {"sample_weight": weights, "offset": offset}
        alone = LogisticRegression().fit(X, y, **both)

        pipe = make_pipeline(clone(model)).fit(X, y, **both)
        assert_array_equal(pipe[-1].coef_, alone.coef_)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            assert_array_equal(
                getattr(pipe, method)(X, offset=offset), getattr(alone, method)(X, offset=offset)
            )

        # each fold gets its rows of both, in fit and in score
        scores = cross_validate(model, X, y, cv=folds, params=both)["test_score"]
        search = GridSearchCV(clone(model), {"C": [1.0]}, cv=folds).fit(X, y, **both)
        for k, (train, test) in enumerate(folds.split(X, y)):
            fold = LogisticRegression().fit(
                X[train], y[train], sample_weight=weights[train], offset=offset[train]
            )
            score = fold.score(X[test], y[test], weights[test], offset=offset[test])
            assert scores[k] == search.cv_results_[f"split{k}_test_score"][0] == score
        assert_array_equal(search.best_estimator_.coef_, alone.coef_)

        with pytest.raises(ValueError, match="offset"):  # not asked for: not passed in silence
            cross_validate(LogisticRegression(), X, y, params={"offset": offset})


def test_weights_are_repetitions(data):
    X, y = data
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    weighted = LogisticRegression().fit(X, y, sample_weight=counts)
    repeated = LogisticRegression().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-12)


def test_one_weight_for_all(data):
    X, y = data
    scalar = LogisticRegression().fit(X, y, sample_weight=2.0)
    assert_allclose(scalar.coef_, LogisticRegression(C=2.0).fit(X, y).coef_, rtol=1e-6)


def test_balanced_classes_weigh_the_same(data):
    X, y = data
    weights = np.linspace(0.1, 2.0, len(y))
    model = LogisticRegression(class_weight="balanced").fit(X, y, sample_weight=weights)
    sums = weights[y == 0].sum(), weights[y == 1].sum()
    factor = sum(sums) / (2 * np.array(sums))
    by_hand = LogisticRegression().fit(X, y, sample_weight=weights * factor[y])
    assert_allclose(model.coef_, by_hand.coef_, rtol=1e-9)


def test_class_weights_multiply_sample_weights(data):
    X, y = data
    by_class = LogisticRegression(class_weight={0: 1.0, 1: 3.0}).fit(X, y)
    by_sample = LogisticRegression().fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    assert_allclose(by_class.coef_, by_sample.coef_, rtol=1e-12)


def test_warm_start(data):
    X, y = data
    model = LogisticRegression(warm_start=True).fit(X, y)
    first = model.n_iter_[0]
    model.fit(X, y)
    assert model.n_iter_[0] < first
    cold = LogisticRegression().fit(X, y)
    assert_allclose(model.coef_, cold.coef_, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_and_dtypes(data, dtype):
    X, y = data
    X = X.astype(dtype)
    model = LogisticRegression().fit(X, y)
    frozen = X.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(X), frozen, np.repeat(X, 2, axis=0)[::2], X.tolist()):
        again = LogisticRegression().fit(same, y)
        rtol = 1e-9 if dtype == np.float64 else 2e-6  # a list is float64
        assert_allclose(again.coef_, model.coef_, rtol=rtol)
        assert_allclose(again.predict_proba(same), model.predict_proba(X), rtol=rtol)


def test_same_bits_for_any_number_of_threads():
    X, y = make_classification(30_000, 12, random_state=0)
    fits = [LogisticRegression(n_threads=k).fit(X, y) for k in (1, 2, 8)]
    for other in fits[1:]:
        assert_array_equal(other.coef_, fits[0].coef_)
        assert other.objective_ == fits[0].objective_


def test_separable_classes():
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), [0, 0, 1, 1]
    model = LogisticRegression().fit(X, y)
    assert model.converged_
    with pytest.warns(ConvergenceWarning, match="classes can be separated"):
        model = LogisticRegression(C=np.inf).fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) == 1.0


def test_no_convergence_is_told_with_figures(data):
    X, y = data
    with pytest.warns(ConvergenceWarning) as caught:
        model = LogisticRegression(max_iter=1).fit(X, y)
    assert not model.converged_
    text = str(caught[0].message)
    assert caught[0].filename == __file__  # points at the call of fit
    figures = (
        r"tol=1e-08: max_iter reached \(objective (\S+), estimated distance above the optimum "
        r"(\S+) \(half the Newton decrement\), largest gradient component (\S+), 1 iterations, "
        r"2 passes\); raise max_iter or tol, or lower C"
    )
    objective, decrement, gradient = map(float, re.search(figures, text).groups())
    assert objective == pytest.approx(model.objective_, rel=1e-5)
    assert decrement == pytest.approx(model.history_["decrement"][-1], rel=0.1)
    assert gradient == pytest.approx(model.gradient_norm_, rel=0.1)


def test_no_convergence_that_more_iterations_would_not_help():
    with pytest.warns(ConvergenceWarning, match=r"raise tol, lower C, or look for .*collinear"):
        LogisticRegression().fit(*GOOD, offset=np.full(4, 1e200))


@pytest.mark.parametrize("solver", ["auto", "newton", "newton-cg", "lbfgs"])
def test_history(solver):
    X, y = make_classification(20_000, 6, random_state=0)
    model = LogisticRegression(solver=solver).fit(X, y)
    history = model.history_
    last = history[-1]
    assert last["iteration"] == model.n_iter_[0]
    assert last["passes"] == model.n_passes_
    assert last["objective"] == model.objective_
    assert last["gradient_norm"] == model.gradient_norm_
    assert last["decrement"] <= model.tol * model.objective_
    assert last["share"] == 1.0
    for name in ("passes", "seconds"):
        assert (np.diff(history[name]) >= 0).all()
    whole = history[history["share"] == 1.0]
    assert_array_equal(np.unique(whole["iteration"]), np.arange(model.n_iter_[0] + 1))
    assert (np.diff(whole["objective"]) <= 1e-12).all()
    assert (history["share"] < 1.0).any() == (solver in ("auto", "newton"))
    table = pd.DataFrame(history)
    assert table.columns.tolist() == list(history.dtype.names)
    assert_array_equal(pickle.loads(pickle.dumps(model)).history_, history)


def test_verbose_prints_the_history(capsys):
    X, y = make_classification(20_000, 6, random_state=0)
    model = LogisticRegression(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == (
        ["rows", "iter", "passes", "objective", "gradient", "above", "opt.", "step", "seconds"]
    )
    assert len(lines) == 1 + len(model.history_)  # one heading, also with several shares
    share, iteration, passes, objective, gradient, *_ = lines[-1].split()
    assert (share, int(iteration)) == ("100.0%", model.n_iter_[0])
    assert float(passes) == pytest.approx(model.n_passes_, rel=1e-3)
    assert float(objective) == pytest.approx(model.objective_, rel=1e-9)
    assert float(gradient) == pytest.approx(model.gradient_norm_, rel=1e-2)
    LogisticRegression().fit(X, y)
    assert capsys.readouterr().out == ""


def test_probabilities_are_accurate_at_both_ends():
    model = LogisticRegression().fit([[-1.0], [1.0], [0.5]], [0, 1, 1])
    p = model.predict_proba([[1e6], [-1e6], [60.0], [-60.0]])
    assert (p[[0, 1]].max(axis=1) == 1.0).all()
    assert 0 < p[2, 0] < 1e-10
    assert 0 < p[3, 1] < 1e-10
    assert np.isfinite(model.predict_log_proba([[1e300], [-1e300]])).all()


GOOD = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.5]]), [0, 1, 1, 0]


def changed(value):
    X = GOOD[0].copy()
    X[2, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (changed(np.nan), GOOD[1], ValueError, "contains NaN, first at row 2, column 1"),
        (changed(np.inf), GOOD[1], ValueError, "contains infinity, first at row 2, column 1"),
        (np.asfortranarray(changed(np.nan)), GOOD[1], ValueError, "row 2, column 1"),
        (np.empty((0, 2)), [], ValueError, r"0 sample\(s\)"),
        (GOOD[0], [1, 1, 1, 1], ValueError, "only one class: "),
        (GOOD[0], None, ValueError, "y is None"),
        (GOOD[0], [0, 1, np.nan, 1], ValueError, "y contains NaN"),
        (GOOD[0], ["a", "b", None, "b"], ValueError, "y contains NaN or None, first at index 2"),
        (GOOD[0], pd.Series(["a", "b", None, "b"]), ValueError, "y contains NaN"),
        (GOOD[0], pd.array(["a", "b", None, "b"], "string"), ValueError, "y contains NaN"),
        (GOOD[0], np.array(["a", 1, "a", 1], object), TypeError, "y must hold.*int, str"),
        (GOOD[0], np.eye(2)[[0, 1, 1, 0]], ValueError, "y should be a 1d array"),
        (GOOD[0], 3, ValueError, "y should be a 1d array"),
        (GOOD[0][:, 0], GOOD[1], ValueError, "2D array"),
        (GOOD[0], [0, 1], ValueError, "inconsistent numbers of samples"),
        (GOOD[0] + 1j, GOOD[1], ValueError, "Complex data"),
        (np.array([["a", "b"]] * 4, dtype=object), GOOD[1], ValueError, "X must hold numbers"),
        (pd.DataFrame({"a": list("abcd")}), GOOD[1], ValueError, "X must hold .* open_rows"),
        ("rows.csv", GOOD[1], TypeError, "X is the path 'rows.csv': give what open_rows returns"),
        (GOOD[0] * 1e300, GOOD[1], ValueError, "values in X are too large"),
        (GOOD[0], [0.1, 0.2, 0.3, 0.7], ValueError, "Unknown label type"),
    ],
)
def test_bad_data(X, y, error, message):
    with pytest.raises(error, match=message):
        LogisticRegression().fit(X, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -1, 1, 1], "[Nn]egative"),
        ([1, np.nan, 1, 1], "NaN"),
        ([0, 0, 0, 0], "zero"),
        ([1, 1], "sample_weight must have length 4"),
        ([[1], [1], [1], [1]], "sample_weight must be 1-d"),
        ([1, np.inf, 1, 1], "sample_weight.*infinity.*index 1"),
        ([1e308] * 4, "sample_weight is too large"),
        ([1e-310] * 4, "sample_weight is too small"),
        (0, "sample_weight is zero"),
        (-1.0, "sample_weight.*negative"),
        ([1, 0, 0, 1], "only one class among samples of positive weight"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(*GOOD, sample_weight=weights)


@pytest.mark.parametrize(
    ("offset", "error", "message"),
    [
        ([1, 1], ValueError, "offset must have length 4"),
        ([1, 1, np.nan, 1], ValueError, "offset must be finite, got nan at index 2"),
        ([-np.inf, 1, 1, 1], ValueError, "offset must be finite, got -inf at index 0"),
        (2.0, ValueError, "offset must be 1-d"),
        ([[1], [1], [1], [1]], ValueError, "offset must be 1-d"),
        (["a", "b", "c", "d"], TypeError, "offset must be an array of real numbers"),
        ([1j, 1j, 1j, 1j], ValueError, "offset: complex"),
        ([1e308, -1e308, 1e308, -1e308], ValueError, "values in X or offset are too large"),
    ],
)
def test_bad_offsets(offset, error, message):
    with pytest.raises(error, match=message):
        LogisticRegression().fit(*GOOD, offset=offset)
    model = LogisticRegression().fit(*GOOD)
    if "too large" not in message:  # a margin may be that large
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            with pytest.raises(error, match=message):
                getattr(model, method)(GOOD[0], offset=offset)
    with pytest.raises(TypeError, match="positional"):  # or it would pass for sample_weight
        model.predict(GOOD[0], offset)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"C": 0}, ValueError),
        ({"C": np.nan}, ValueError),
        ({"C": None}, TypeError),
        ({"C": 1e-310}, ValueError),
        ({"C": 10**400}, ValueError),
        ({"l1_ratio": 1.5}, ValueError),
        ({"l1_ratio": "0"}, TypeError),
        ({"l1_ratio": -0.1}, ValueError),
        ({"penalty": "L2"}, ValueError),
        ({"dual": 1}, TypeError),
        ({"intercept_scaling": 0}, ValueError),
        ({"n_jobs": 0}, ValueError),
        ({"n_jobs": 1.0}, TypeError),
        ({"solver": "cholesky"}, ValueError),
        ({"solver": None}, ValueError),
        ({"fit_intercept": "yes"}, TypeError),
        ({"fit_intercept": 1}, TypeError),
        ({"warm_start": None}, TypeError),
        ({"tol": None}, TypeError),
        ({"class_weight": [1, 2]}, TypeError),
        ({"class_weight": {0: -1}}, ValueError),
        ({"class_weight": {1: 0}}, ValueError),
        ({"class_weight": {0: "2"}}, TypeError),
        ({"class_weight": {0: np.nan}}, ValueError),
        ({"class_weight": {"0": 2.0}}, ValueError),
        ({"C": -1.0}, ValueError),
        ({"C": "1"}, TypeError),
        ({"tol": -1e-3}, ValueError),
        ({"max_iter": -1}, ValueError),
        ({"max_iter": 2.5}, TypeError),
        ({"n_threads": 0}, ValueError),
        ({"verbose": "yes"}, TypeError),
        ({"class_weight": "equal"}, ValueError),
    ],
)
def test_bad_parameters(parameters, error):
    name = next(iter(parameters))
    with pytest.raises(error, match=name):
        LogisticRegression(**parameters).fit(*GOOD)


def test_bad_rows_to_predict():
    model = LogisticRegression().fit(*GOOD)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        model.predict(np.empty((0, 2)))
    with pytest.raises(ValueError, match="3 features"):
        model.predict(np.ones((1, 3)))
    with pytest.raises(ValueError, match="row 0, column 1"):
        model.predict_proba([[0.0, np.nan]])
    with pytest.raises(ValueError, match="X must hold numbers"):
        model.predict_proba([["a", "b"]])
    with pytest.raises(NotFittedError):
        LogisticRegression().predict([[0.0, 1.0]])
    with pytest.raises(TypeError, match="n_threads"):
        model.set_params(n_threads="2").predict([[0.0, 1.0]])


def test_a_parameter_that_scikit_learn_no_longer_has():
    with pytest.raises(TypeError, match="multi_class"):
        LogisticRegression(multi_class="ovr")


def test_a_stored_model_needs_no_file_of_ours_open():
    model = LogisticRegression().fit(*GOOD)
    buffer = io.BytesIO()
    pickle.dump(model, buffer)
    assert len(buffer.getvalue()) < 5_000


# --- scikit-learn's callbacks ------------------------------------------------------------


class Listener:
    """Write down all that a callback hears; ask for the end after some iterations."""

    def __init__(self, iterations=None):
        self.iterations = iterations
        self.heard = []

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.heard.append(("begin", context.task_name, X.shape, y.shape, metadata))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        loss = None
        if fitted_estimator is not None:
            theta = np.concatenate([fitted_estimator.intercept_, fitted_estimator.coef_[0]])
            loss = fitted_estimator, theta
        self.heard.append(("end", context.task_name, loss))
        return context.task_id + 1 == self.iterations

    def ends(self):
        return [entry for entry in self.heard if entry[0] == "end"]


@pytest.fixture
def callback_module():
    return pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")


@pytest.mark.parametrize("solver", ["newton", "newton-cg", "lbfgs"])
def test_callbacks_hear_of_each_iteration(data, solver, callback_module):
    X, y = data
    listener = Listener()
    model = LogisticRegression(solver=solver).set_callbacks(listener)
    model.fit(X, y, offset=np.zeros(len(y)))
    assert (listener.heard[0], listener.heard[-1]) == ("setup", "teardown")
    begun = [entry for entry in listener.heard if entry[0] == "begin"]
    assert begun[0][1:4] == ("fit", X.shape, y.shape)
    assert list(begun[0][4]) == ["offset"]
    ends = listener.ends()
    # one for each iteration, one of the iteration that never came, one of the fit
    assert len(ends) == len(begun) == len(model.history_) + 1
    assert [name for _, name, _ in ends] == ["iteration"] * len(model.history_) + ["fit"]
    assert ends[-2][2] is None
    # the model as it is after each iteration has the objective of the history
    for (_, _, (fitted, theta)), record in zip(ends[:-2], model.history_[1:], strict=True):
        assert fitted is not model
        loss = np.logaddexp(0, np.where(y == 1, -1, 1) * (X @ theta[1:] + theta[0])).mean()
        penalty = theta[1:] @ theta[1:] / (2 * len(y))
        assert loss + penalty == pytest.approx(record["objective"], rel=1e-9)
    assert_array_equal(ends[-1][2][0].coef_, model.coef_)
    silent = LogisticRegression(solver=solver).fit(X, y)
    assert_allclose(model.coef_, silent.coef_, rtol=1e-12)


@pytest.mark.parametrize(("rows", "iterations"), [(400, 2), (30_000, 1)])
def test_a_callback_may_end_the_fit(rows, iterations, callback_module):
    X, y = make_classification(rows, 6, random_state=3)
    model = LogisticRegression().set_callbacks(Listener(iterations)).fit(X, y)  # and no warning
    assert not model.converged_
    assert len(model.history_) == iterations + 1
    theta = np.concatenate([model.intercept_, model.coef_[0]])
    loss = np.logaddexp(0, np.where(y == 1, -1, 1) * (X @ theta[1:] + theta[0])).mean()
    # where it ended on a part of the rows, the figures are of all rows all the same
    assert model.objective_ == pytest.approx(loss + theta[1:] @ theta[1:] / (2 * rows), rel=1e-9)
    assert model.score(X, y) > 0.6
    assert_array_equal(model.set_callbacks().fit(X, y).converged_, True)


def test_callbacks_are_torn_down_after_an_error(data, callback_module):
    X, y = data
    listener = Listener()
    model = LogisticRegression().set_callbacks(listener)
    with pytest.raises(ValueError, match="too large"):
        model.fit(X * 1e300, y)
    assert listener.heard[-1] == "teardown"
    assert not [name for name in vars(model) if "ctx" in name or "teardown" in name]
    with pytest.raises(TypeError, match="protocol"):
        model.set_callbacks(print)


def test_callbacks_of_scikit_learn(data, callback_module, capsys):
    X, y = data
    monitor = callback_module.ScoringMonitor(scoring="neg_log_loss")
    model = LogisticRegression().set_callbacks(callback_module.ProgressBar(), monitor).fit(X, y)
    assert "LogisticRegression - fit" in capsys.readouterr().out
    scores = [row["neg_log_loss"] for row in monitor.get_logs().data if row["task_name"] != "fit"]
    assert len(scores) == len(model.history_) - 1
    assert scores == sorted(scores)
    # from a search down to each fit, and to clones
    bar = callback_module.ProgressBar(max_propagation_depth=None)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=2).set_callbacks(bar).fit(X, y)
    assert "LogisticRegression - fit" in capsys.readouterr().out
    assert clone(model)._skl_callbacks == model._skl_callbacks


def test_without_callbacks_in_scikit_learn(data, monkeypatch):
    monkeypatch.setattr("fastlogreg.estimators.linear_classifier.find_spec", lambda name: None)
    model = LogisticRegression()
    assert not hasattr(model, "set_callbacks")
    assert model.fit(*data).converged_
