"""The estimator: scikit-learn's contract, and the optimum on real data."""

import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastlogreg import LogisticRegression


@parametrize_with_checks([LogisticRegression()])
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


def test_clone_pickle_joblib(data, tmp_path):
    X, y = data
    model = LogisticRegression(C=0.5, n_threads=1).fit(X, y)
    assert clone(model).get_params() == model.get_params()
    expected = model.predict_proba(X)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    joblib.dump(model, tmp_path / "model")
    assert_array_equal(joblib.load(tmp_path / "model").predict_proba(X), expected)


def test_weights_are_repetitions(data):
    X, y = data
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    weighted = LogisticRegression().fit(X, y, sample_weight=counts)
    repeated = LogisticRegression().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-12)


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
        assert_allclose(again.coef_, model.coef_, rtol=1e-9)
        assert_allclose(again.predict_proba(same), model.predict_proba(X), rtol=1e-9)


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
    with pytest.warns(ConvergenceWarning, match=r"max_iter.*gradient.*1 iterations.*passes"):
        model = LogisticRegression(max_iter=1).fit(X, y)
    assert not model.converged_


def test_verbose(data, capsys):
    LogisticRegression(verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert "objective" in lines[0]
    assert len(lines) > 3


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
        (GOOD[0], [0, 1, 2, 1], ValueError, "Only binary classification.*3 classes"),
        (GOOD[0][:, 0], GOOD[1], ValueError, "2D array"),
        (GOOD[0], [0, 1], ValueError, "inconsistent numbers of samples"),
        (GOOD[0] + 1j, GOOD[1], ValueError, "Complex data"),
        (np.array([["a", "b"]] * 4, dtype=object), GOOD[1], ValueError, "could not convert"),
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
        ([1, 1], "sample_weight.shape"),
        ([1, 0, 0, 1], "only one class among samples of positive weight"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(*GOOD, sample_weight=weights)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"C": 0}, ValueError),
        ({"C": -1.0}, ValueError),
        ({"C": "1"}, TypeError),
        ({"tol": 0}, ValueError),
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


def test_a_stored_model_needs_no_file_of_ours_open():
    model = LogisticRegression().fit(*GOOD)
    buffer = io.BytesIO()
    pickle.dump(model, buffer)
    assert len(buffer.getvalue()) < 5_000
