"""The estimator with more than two classes."""

import pickle
import re
import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog, minimize
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.preprocessing import StandardScaler

from benchmarks.harness import class_reference
from fastlogreg import LogisticRegression
from tests.store_model import DATA
from tests.test_linear_model import Listener

SOLVERS = ["auto", "newton", "newton-cg", "lbfgs"]


@pytest.fixture(params=SOLVERS)
def solver(request):
    return request.param


def table(rng, n=300, d=5, K=4):
    """Return rows and labels 0 .. K - 1 of classes that overlap."""
    X = rng.normal(size=(n, d)) + 0.5
    y = (X @ rng.normal(size=(d, K)) + rng.gumbel(size=(n, K))).argmax(axis=1)
    y[:K] = np.arange(K)
    return X, y


@pytest.fixture
def data(rng):
    return table(rng)


def mean_loss(X, y, model, offset=0.0):
    """Return the objective over C times the rows, by NumPy; y are codes."""
    coef = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
    z = X @ coef.T + model.intercept_ + offset
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    penalty = (coef**2).sum() / (2 * model.C * len(y))
    return -log_p[np.arange(len(y)), y].mean() + penalty


def same_fit(one, other, rtol=1e-6):
    scale = np.abs(other.coef_).max()
    assert_allclose(one.coef_, other.coef_, rtol=rtol, atol=rtol * scale)
    scale = np.abs(other.intercept_).max()
    assert_allclose(one.intercept_, other.intercept_, rtol=rtol, atol=rtol * scale)


# --- the optimum -------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits])
def test_agrees_with_scikit_learn(load):
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    kinds = [{}, {"C": 0.1, "fit_intercept": False}, {"class_weight": "balanced"}]
    for kind in kinds[: 1 if load is load_digits else 3]:
        ours = LogisticRegression(tol=1e-13, **kind).fit(X, y)
        theirs = Reference(solver="newton-cg", tol=1e-9, max_iter=1000, **kind).fit(X, y)
        same_fit(ours, theirs, 2e-5)
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-4, atol=1e-12)
        log_p = theirs.predict_log_proba(X)
        assert_allclose(ours.predict_log_proba(X), log_p, rtol=1e-4, atol=1e-8)
        z = theirs.decision_function(X)
        assert_allclose(ours.decision_function(X), z, rtol=1e-4, atol=1e-4)
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert ours.score(X, y) == theirs.score(X, y)
        assert_array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits])
@pytest.mark.parametrize("C", [1e-2, 1.0, 1e4])
def test_within_tol_of_the_optimum_on_raw_columns(load, C, solver):
    X, y = load(return_X_y=True)
    if load is load_digits:
        X, y = X[::4, ::3], y[::4]  # for the reference's sake
    best = class_reference.optimum(X, y.astype(float), C)
    model = LogisticRegression(C=C, solver=solver, max_iter=1000).fit(X, y)
    assert model.converged_
    assert mean_loss(X, y, model) - best <= 1.1e-8 * best
    assert model.objective_ == pytest.approx(mean_loss(X, y, model), rel=1e-12)


def test_rows_of_theta_sum_to_zero(data, solver):
    X, y = data
    for C in (1.0, np.inf):
        model = LogisticRegression(C=C, solver=solver, max_iter=1000).fit(X, y)
        assert_allclose(model.coef_.sum(axis=0), 0.0, atol=1e-13 * np.abs(model.coef_).max())
        assert_allclose(model.intercept_.sum(), 0.0, atol=1e-13)
        best = class_reference.optimum(X, y.astype(float), C)
        assert model.objective_ - best <= 1e-8 * best


def test_offsets_in_the_gradient(data, solver, rng):
    """At the optimum the gradient, written out, is zero."""
    X, y = data
    offset, weights = rng.normal(size=(300, 4)), np.linspace(0.1, 2.0, 300)
    model = LogisticRegression(C=0.1, tol=1e-14, solver=solver, max_iter=1000)
    model.fit(X, y, sample_weight=weights, offset=offset)
    z = X @ model.coef_.T + model.intercept_ + offset
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    residual = weights[:, None] * (p - np.eye(4)[y])
    assert_allclose(residual.T @ X + model.coef_ / 0.1, 0.0, atol=1e-5)
    assert_allclose(residual.sum(axis=0), 0.0, atol=1e-5)
    assert_allclose(model.predict_proba(X, offset=offset), p, rtol=1e-12)
    assert_allclose(model.decision_function(X, offset=offset), z, rtol=1e-12, atol=1e-13)
    assert_allclose(model.predict_log_proba(X, offset=offset), np.log(p), rtol=1e-10, atol=1e-14)
    assert_array_equal(model.predict(X, offset=offset), p.argmax(axis=1))
    assert model.score(X, y, offset=offset) == (p.argmax(axis=1) == y).mean()
    assert not np.allclose(model.predict_proba(X), p)


def test_weights_are_repetitions(data, solver):
    X, y = data
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    counts[:4] = 1
    kind = {"solver": solver, "tol": 1e-13, "max_iter": 1000}
    weighted = LogisticRegression(**kind).fit(X, y, sample_weight=counts)
    repeated = LogisticRegression(**kind).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    same_fit(weighted, repeated)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-12)


def test_one_weight_for_all(data):
    X, y = data
    scalar = LogisticRegression(tol=1e-13).fit(X, y, sample_weight=2.0)
    same_fit(scalar, LogisticRegression(C=2.0, tol=1e-13).fit(X, y))


@pytest.mark.parametrize("class_weight", [{0: 3.0, 2: 0.5}, "balanced"])
def test_class_weights_are_those_of_scikit_learn(data, class_weight):
    X, y = data
    weights = np.linspace(0.1, 2.0, len(y))
    kind = {"class_weight": class_weight, "max_iter": 1000}
    ours = LogisticRegression(tol=1e-13, **kind).fit(X, y)
    same_fit(ours, Reference(solver="newton-cg", tol=1e-9, **kind).fit(X, y), 2e-5)
    if class_weight == "balanced":  # here of the sums of the weights
        held = np.bincount(y, weights)
        each = weights.sum() / (4 * held)
    else:
        each = np.array([3.0, 1.0, 0.5, 1.0])
    ours.fit(X, y, weights)
    same_fit(ours, LogisticRegression(tol=1e-13).fit(X, y, weights * each[y]))


# --- what X may be -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_and_dtypes(data, dtype):
    X, y = data
    X = X.astype(dtype)
    model = LogisticRegression().fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == dtype
    assert model.predict_proba(X).dtype == model.decision_function(X).dtype == dtype
    assert model.predict_log_proba(X).dtype == dtype
    frozen = X.copy()
    frozen.flags.writeable = False
    rtol = 1e-7 if dtype == np.float64 else 1e-4
    for same in (np.asfortranarray(X), frozen, np.repeat(X, 2, axis=0)[::2], X.tolist()):
        again = LogisticRegression().fit(same, y)
        same_fit(again, model, rtol)
        assert_allclose(again.predict_proba(same), model.predict_proba(X), rtol=rtol)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows(rng, index, dtype, solver):
    X, y = table(rng, 400, 8)
    X = np.where(rng.random(X.shape) < 0.4, X, 0.0).astype(dtype)
    csr = sparse.csr_array(X)
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    dense = LogisticRegression(tol=1e-12).fit(X, y)
    model = LogisticRegression(tol=1e-12, solver=solver, max_iter=1000).fit(csr, y)
    rtol = 1e-5 if dtype == np.float64 else 1e-4
    same_fit(model, dense, rtol)
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        found = getattr(model, method)(csr)
        assert found.dtype == dtype
        assert_allclose(found, getattr(dense, method)(X), rtol=rtol, atol=rtol)
    assert_array_equal(model.predict(csr), dense.predict(X))


def test_same_bits_for_any_number_of_threads(rng, solver):
    X, y = table(rng, 30_000, 6)
    for rows in (X, np.asfortranarray(X), sparse.csr_array(np.where(X > 0.5, X, 0.0))):
        one, two = (LogisticRegression(solver=solver, n_threads=k).fit(rows, y) for k in (1, 2))
        assert_array_equal(one.coef_, two.coef_)
        assert_array_equal(one.intercept_, two.intercept_)
        assert one.objective_ == two.objective_
        assert_array_equal(one.predict_proba(rows), two.predict_proba(rows))


def test_nothing_that_is_given_changes(data, rng):
    X, y = data
    given = X, y, rng.random(300), rng.normal(size=(300, 4))
    before = [a.copy() for a in given]
    LogisticRegression(class_weight="balanced").fit(X, y, given[2], offset=given[3])
    for a, b in zip(given, before, strict=True):
        assert_array_equal(a, b)


# --- labels ------------------------------------------------------------------------------

LABELS = {
    "strings": np.array(["dog", "cat", "a longer name", "eel"]),
    "strings in an object array": np.array(["dog", "cat", "zebra", "eel"], object),
    "negative numbers": np.array([-5, -1, 0, 7]),
    "gaps": np.array([10, 100_000, -(2**40), 3]),
    "floats": np.array([1.0, -3.0, 7.0, 1e12]),
    "small integers": np.array([200, 3, 255, 0], np.uint8),
    "unsigned": np.array([2**63, 2**64 - 1, 0, 5], np.uint64),
    "int8": np.array([-128, 127, 0, 5], np.int8),
    "large unsigned": np.uint64(2**63) + np.array([1, 3, 4, 0], np.uint64),
    "float16": np.array([-30_000, 1, 2, 30_000], np.float16),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(data, labels):
    X, y = data
    named = labels[y]
    model = LogisticRegression().fit(X, named)
    assert_array_equal(model.classes_, np.unique(labels))
    assert model.classes_.dtype == labels.dtype
    found = model.predict(X)
    assert found.dtype == labels.dtype and found.shape == (300,)
    assert_array_equal(found, model.classes_[model.predict_proba(X).argmax(axis=1)])
    # the rows of coef_ go with the labels
    plain = LogisticRegression().fit(X, y)
    order = np.argsort(labels)
    assert_allclose(model.coef_, plain.coef_[order], rtol=1e-6, atol=1e-8)
    assert model.score(X, named) == plain.score(X, y)


def test_labels_of_pandas(data):
    X, y = data
    names = np.array(["dog", "cat", "emu", "eel"])[y]
    plain = LogisticRegression().fit(X, names)
    kinds = [
        pd.Series(names),
        pd.Series(names, dtype="string"),
        pd.Series(pd.Categorical(names, categories=["emu", "dog", "cat", "eel", "unused"])),
        pd.Categorical(names),
        names.tolist(),
        names[:, None],
    ]
    for kind in kinds:
        with warnings.catch_warnings():
            if isinstance(kind, np.ndarray):  # scikit-learn warns of a column
                warnings.simplefilter("ignore")
            model = LogisticRegression().fit(pd.DataFrame(X, columns=list("abcde")), kind)
        assert model.classes_.tolist() == ["cat", "dog", "eel", "emu"]
        assert_array_equal(model.coef_, plain.coef_)
        assert model.feature_names_in_.tolist() == list("abcde")


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0.5, 1.5, 2.25, 3.75], ValueError, "continuous"),
        ([0.0, 1.0, np.nan, 2.0], ValueError, "y contains NaN"),
        (np.array(["a", "b", None, "c"], object), ValueError, "y contains NaN or None"),
        (np.array(["a", "b", 3, "c"], object), TypeError, "labels of one kind"),
        ([0, 0, 0, 0], ValueError, "only one class: 0"),
        (np.array([3, 1, 2, 0], object), ValueError, "Unknown label type"),
        ([b"a", b"b", b"c", b"d"], TypeError, "bytes"),  # scikit-learn's words, these two
    ],
)
def test_labels_that_are_none(data, labels, error, message):
    X, y = data
    with pytest.raises(error, match=message):
        LogisticRegression().fit(X, np.asarray(labels)[y])


def test_a_class_of_no_weight(data):
    X, y = data
    names = np.array(["dog", "cat", "emu", "eel"])[y]
    weights = np.where(names == "emu", 0.0, 1.0)
    message = (
        r"only 3 of 4 among samples of positive weight: \['cat', 'dog', 'eel'\] \(none of 'emu'\)"
    )
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(X, names, weights)
    with pytest.raises(ValueError, match="only one class among samples of positive weight: 'cat'"):
        LogisticRegression().fit(X, names, np.where(names == "cat", 1.0, 0.0))


# --- predictions -------------------------------------------------------------------------


def by_hand(coef, intercept, classes=None):
    model = LogisticRegression()
    model.coef_, model.intercept_ = np.asarray(coef), np.asarray(intercept)
    model.classes_ = np.arange(len(coef)) if classes is None else np.asarray(classes)
    return model


def test_probabilities_of_1e_300_are_accurate():
    rng = np.random.default_rng(0)
    coef = rng.normal(size=(5, 3)) * 200.0
    coef[2] -= 300.0
    X = np.round(rng.random((50, 3)) * 2.0**10) / 2.0**10
    coef = np.round(coef * 2.0**10) / 2.0**10  # margins are exact
    model = by_hand(coef, np.zeros(5))
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    z = X @ coef.T
    with mp.workdps(500):  # 1 and 1e-300
        for i in range(50):
            total = mp.fsum(mp.exp(mp.mpf(float(a))) for a in z[i])
            for k in range(5):
                log = mp.mpf(float(z[i, k])) - mp.log(total)
                exact = mp.exp(log)
                if exact > 1e-305:
                    assert p[i, k] == pytest.approx(float(exact), rel=1e-14)
                assert log_p[i, k] == pytest.approx(float(log), rel=1e-14)
    assert 0.0 < p[p > 0.0].min() < 1e-300
    huge = by_hand(coef * 1e300, np.zeros(5))
    with np.errstate(all="raise"):
        assert np.isfinite(huge.predict_proba(X)).all()
        assert not np.isnan(huge.predict_log_proba(X)).any()


def test_shapes_and_dtypes_of_predictions(data):
    X, y = data
    model = LogisticRegression().fit(X, y)
    assert model.coef_.shape == (4, 5) and model.intercept_.shape == (4,)
    assert model.n_iter_.shape == (1,) and model.n_iter_.dtype == np.int32
    for rows in (X, X[:1], sparse.csr_array(X)):
        n = rows.shape[0]
        p = model.predict_proba(rows)
        assert p.shape == model.decision_function(rows).shape == (n, 4)
        assert model.predict_log_proba(rows).shape == (n, 4)
        assert_allclose(p.sum(axis=1), 1.0, rtol=1e-15)
        assert_allclose(np.exp(model.predict_log_proba(rows)), p, rtol=1e-12)
        assert_array_equal(model.predict(rows), model.decision_function(rows).argmax(axis=1))
    weights = np.arange(300.0)
    right = model.predict(X) == y
    assert model.score(X, y, weights) == pytest.approx(right @ weights / weights.sum())


def test_hand_made_models(data):
    X, y = data
    fitted = LogisticRegression().fit(X, y)
    model = by_hand(fitted.coef_.tolist(), fitted.intercept_.tolist(), ["a", "b", "c", "d"])
    assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(model.predict(X), np.array(list("abcd"))[fitted.predict(X)])
    model.set_params(fit_intercept=False)
    del model.intercept_
    z = X @ fitted.coef_.T
    assert_allclose(model.decision_function(X), z, rtol=1e-12, atol=1e-13)
    model.sparsify()
    assert sparse.issparse(model.coef_)
    assert_allclose(model.decision_function(X), z, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coef_": np.zeros((2, 5))}, r"coef_ must have shape .*; got shape \(2, 5\)"),
        ({"coef_": np.zeros((4, 5, 1))}, r"coef_ must have shape .*; got shape \(4, 5, 1\)"),
        ({"coef_": np.zeros(5)}, r"intercept_ must have shape \(1,\), got shape \(4,\)"),
        ({"intercept_": np.zeros(3)}, r"intercept_ must have shape \(4,\), got shape \(3,\)"),
        ({"intercept_": np.zeros((4, 2))}, r"intercept_ must have shape \(4,\)"),
        ({"classes_": np.arange(3)}, r"classes_ must be 4 labels, got shape \(3,\)"),
        ({"coef_": np.zeros((4, 6))}, "coef_|6 features"),
    ],
)
def test_wrong_shapes_of_hand_made_models(data, change, message):
    X, _ = data
    model = by_hand(np.zeros((4, 5)), np.zeros(4))
    vars(model).update(change)
    with pytest.raises(ValueError, match=message):
        model.predict(X)


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (np.zeros(300), r"offset must be 2-d|offset must have shape \(300, 4\)"),
        (np.zeros((300, 3)), r"offset must have shape \(300, 4\)"),
        (np.zeros((4, 300)), r"offset must have shape \(300, 4\)"),
        (np.full((300, 4), np.nan), "offset must be finite, got nan at row 0, column 0"),
        (1.0, "offset"),
    ],
)
def test_bad_offsets(data, offset, message):
    X, y = data
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(X, y, offset=offset)
    model = LogisticRegression().fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(X, offset=offset)


def test_bad_rows_to_predict(data):
    X, y = data
    model = LogisticRegression().fit(X, y)
    bad = X.copy()
    bad[3, 1] = np.nan
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(ValueError, match="NaN, first at row 3, column 1"):
            getattr(model, method)(bad)
        with pytest.raises(ValueError, match="4 features"):
            getattr(model, method)(X[:, :4])


# --- a model's life ----------------------------------------------------------------------


def test_clone_pickle_sparsify(data):
    X, y = data
    model = LogisticRegression(C=0.5, warm_start=True).fit(X, y)
    expected, coef = model.predict_proba(X), model.coef_.copy()
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), expected)
    assert_array_equal(again.history_, model.history_)
    assert clone(model).get_params() == model.get_params()
    assert model.sparsify() is model and sparse.issparse(model.coef_)
    assert_array_equal(model.predict_proba(X), expected)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), again.predict(X))
    model.fit(X, y)  # starts from the sparse ones, and leaves an array
    assert model.n_iter_[0] < again.n_iter_[0]
    model.sparsify()
    assert model.densify().densify() is model
    assert_allclose(model.coef_, coef, rtol=1e-4, atol=1e-5)


def test_warm_start(data, solver):
    X, y = data
    model = LogisticRegression(solver=solver, warm_start=True, max_iter=1000).fit(X, y)
    cold = model.objective_
    first = model.n_iter_[0]
    model.fit(X, y)
    assert model.n_iter_[0] < first and model.converged_
    assert model.objective_ == pytest.approx(cold, rel=1e-8)
    model.set_params(C=0.5).fit(X, y)
    assert model.objective_ == pytest.approx(LogisticRegression(C=0.5).fit(X, y).objective_)
    # from coefficients that are not centred, too
    model.coef_, model.intercept_ = model.coef_ + 5.0, model.intercept_ - 3.0
    model.fit(X, y)
    assert_allclose(model.coef_.sum(axis=0), 0.0, atol=1e-12)
    assert model.objective_ == pytest.approx(LogisticRegression(C=0.5).fit(X, y).objective_)


def test_warm_start_with_other_classes(data):
    X, y = data
    model = LogisticRegression(warm_start=True).fit(X, y)
    before = dict(vars(model))
    for other, rows in ((np.minimum(y, 2), 4), (np.minimum(y, 1), 4), (np.arange(300) % 7, 4)):
        message = rf"warm_start=True starts from coef_, which has {rows} row\(s\) where"
        with pytest.raises(ValueError, match=message):
            model.fit(X, other)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    two = LogisticRegression(warm_start=True).fit(X, np.minimum(y, 1))
    with pytest.raises(ValueError, match=r"has 1 row\(s\)"):
        two.fit(X, y)


def test_refused_fits_leave_the_model_as_it_was(data):
    X, y = data
    model = LogisticRegression().fit(X, y)
    before = dict(vars(model))
    bad = X.copy()
    bad[7, 2] = np.nan
    for arguments in (
        {"X": bad, "y": y},
        {"X": X, "y": np.zeros(300)},
        {"X": X, "y": y, "sample_weight": (y != 2).astype(float)},
        {"X": X, "y": y, "offset": np.zeros(300)},
        {"X": X * 1e300, "y": y},
        {"X": X, "y": y[:10]},
    ):
        with pytest.raises(ValueError):
            model.fit(**arguments)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())


def test_values_in_X_that_are_not_finite(data, solver):
    X, y = data
    for value, what in ((np.nan, "NaN"), (np.inf, "infinity")):
        bad = X.copy()
        bad[7, 2] = value
        for rows in (bad, np.asfortranarray(bad), sparse.csr_array(bad)):
            with pytest.raises(ValueError, match=f"{what}, first at row 7, column 2"):
                LogisticRegression(solver=solver).fit(rows, y)


def test_history_and_verbose(rng, solver, capsys):
    X, y = table(rng, 20_000, 5)
    model = LogisticRegression(solver=solver, verbose=1).fit(X, y)
    history = model.history_
    last = history[-1]
    assert last["iteration"] == model.n_iter_[0]
    # the last look at margins, where there is one, comes after the last record
    assert 0.0 <= model.n_passes_ - last["passes"] <= 1.0
    assert last["objective"] == model.objective_
    assert last["gradient_norm"] == model.gradient_norm_
    assert last["decrement"] <= model.tol * model.objective_
    whole = history[history["share"] == 1.0]
    assert_array_equal(np.unique(whole["iteration"]), np.arange(model.n_iter_[0] + 1))
    assert (np.diff(whole["objective"]) <= 1e-12).all()
    assert (history["share"] < 1.0).any() == (solver in ("auto", "newton"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(history)
    objective = float(lines[-1].split()[3])
    assert objective == pytest.approx(model.objective_, rel=1e-9)


def test_callbacks(data, solver):
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    X, y = data
    listener = CodesListener()
    model = LogisticRegression(solver=solver).set_callbacks(listener).fit(X, y)
    ends = [fitted for fitted in listener.fitted if fitted is not None]
    assert len(ends) == len(model.history_)  # one for each iteration, one of the fit
    for fitted, record in zip(ends[:-1], model.history_[1:], strict=True):
        assert fitted.coef_.shape == (4, 5) and fitted.intercept_.shape == (4,)
        assert mean_loss(X, y, fitted) == pytest.approx(record["objective"], rel=1e-9)
        assert fitted.predict_proba(X).shape == (300, 4)
    assert_array_equal(ends[-1].coef_, model.coef_)
    stopped = LogisticRegression(solver=solver).set_callbacks(CodesListener(2)).fit(X, y)
    assert not stopped.converged_  # and no warning
    assert len(stopped.history_) == 3
    assert stopped.objective_ == pytest.approx(mean_loss(X, y, stopped), rel=1e-12)


class CodesListener(Listener):
    """Write down the models that it is shown."""

    def __init__(self, iterations=None):
        super().__init__(iterations)
        self.fitted = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.fitted.append(fitted_estimator)
        return context.task_id + 1 == self.iterations


def test_two_classes_are_as_they_were():
    """A fit of two classes gives the coefficients that were stored before there were more."""
    from sklearn.datasets import load_breast_cancer

    stored = pickle.loads((DATA / "model_format_2.pickle").read_bytes())["model"]
    X, y = load_breast_cancer(return_X_y=True)
    model = clone(stored).fit(X[:, :5], np.where(y == 1, "benign", "malignant"))
    assert model.coef_.shape == (1, 5)
    # to the bit on the same processor; another one may round otherwise
    assert_allclose(model.coef_, stored.coef_, rtol=1e-9)
    assert_allclose(model.intercept_, stored.intercept_, rtol=1e-9)


def test_no_convergence_is_told(data):
    X, y = data
    with pytest.warns(ConvergenceWarning, match="max_iter reached") as caught:
        model = LogisticRegression(max_iter=1).fit(X, y)
    assert not model.converged_
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="max_iter reached"):
        model = LogisticRegression(max_iter=0).fit(X, y)
    assert_array_equal(model.coef_, np.zeros((4, 5)))


# --- tables that are hard ----------------------------------------------------------------


def many_classes(rng):
    X = rng.normal(size=(150, 6))
    return X, np.arange(150) % 50


def a_class_of_one_row(rng):
    X, y = table(rng, 200, 4, 3)
    y[17] = 3
    return X, y


def more_classes_than_columns(rng):
    return table(rng, 500, 1, 12)


def collinear_and_constant(rng):
    X, y = table(rng, 200, 3)
    return np.column_stack([X, X[:, 0], X.sum(axis=1), np.full(200, 7.0), np.zeros(200)]), y


def fewer_rows_than_parameters(rng):
    return table(rng, 30, 20)


def unscaled(rng):
    X, y = table(rng, 300, 6)
    return X * np.geomspace(1e-8, 1e8, 6), y


def far_from_zero(rng):
    X, y = table(rng, 300, 3)
    return X + np.array([1e4, -1e5, 0.0]), y


TABLES = [
    many_classes,
    a_class_of_one_row,
    more_classes_than_columns,
    collinear_and_constant,
    fewer_rows_than_parameters,
    unscaled,
    far_from_zero,
]


@pytest.mark.parametrize("C", [0.1, 1e3])
@pytest.mark.parametrize("make", TABLES)
def test_hard_tables(make, C, solver, rng):
    X, y = make(rng)
    model = LogisticRegression(C=C, solver=solver, max_iter=1000).fit(X, y)
    best = class_reference.optimum(X, y.astype(float), C)
    assert model.converged_
    assert mean_loss(X, y, model) - best <= 2e-8 * best
    assert np.abs(model.coef_.sum(axis=0)).max() <= 1e-10 * np.abs(model.coef_).max()


def wide_and_sparse(rng):
    n, d, K = 3000, 4000, 6
    X = sparse.random_array((n, d), density=0.005, rng=rng, format="csr")
    w = rng.normal(size=(d, K)) * (rng.random((d, 1)) < 0.1)
    y = (X @ w * 6 + rng.gumbel(size=(n, K))).argmax(axis=1)
    return X, y


@pytest.mark.parametrize("solver", ["auto", "newton-cg", "lbfgs"])
def test_too_many_parameters_for_a_hessian(rng, solver):
    """The penalty alone bounds the distance: that of a fit without intercepts, by its gradient."""
    X, y = wide_and_sparse(rng)
    model = LogisticRegression(C=1.0, solver=solver, fit_intercept=False).fit(X, y)
    assert model.converged_ and model.coef_.shape == (6, 4000)
    value = mean_loss(X, y, model)
    assert model.objective_ == pytest.approx(value, rel=1e-12)
    p = model.predict_proba(X)
    gradient = (X.T @ (p - np.eye(6)[y])).T / 3000 + model.coef_ / 3000
    assert (gradient**2).sum() * 3000 / 2 <= 1.01e-8 * value


def test_too_many_parameters_with_intercepts(rng):
    X, y = wide_and_sparse(rng)
    model = LogisticRegression(C=1.0).fit(X, y)
    assert model.converged_
    T = np.eye(6)[y]

    def f(flat):
        theta = flat.reshape(6, -1)
        z = X @ theta[:, 1:].T + theta[:, 0]
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        value = -(T * log_p).sum() / 3000 + (theta[:, 1:] ** 2).sum() / 6000
        residual = (np.exp(log_p) - T) / 3000
        weights = (X.T @ residual).T + theta[:, 1:] / 3000
        return value, np.column_stack([residual.sum(axis=0), weights]).reshape(-1)

    options = {"maxiter": 3000, "maxfun": 5000, "ftol": 1e-15, "gtol": 1e-9}
    best = minimize(f, np.zeros(6 * 4001), jac=True, method="L-BFGS-B", options=options).fun
    assert mean_loss(X, y, model) - best <= 1.01e-8 * best


# --- without a penalty -------------------------------------------------------------------


def separable(X, y):
    """Whether a direction lowers some row's loss and raises none, by one linear program."""
    n, d = X.shape
    A = np.column_stack([np.ones(n), X])
    K, p = int(y.max()) + 1, d + 1
    rows = []
    for i in range(n):
        for k in range(K):
            if k != y[i]:
                row = np.zeros((K, p))
                row[y[i]] += A[i]
                row[k] -= A[i]
                rows.append(row.reshape(-1))
    rows = np.array(rows)
    found = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1))
    assert found.status == 0
    return -found.fun > 1e-7


def fit_without_penalty(X, y, **kind):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = LogisticRegression(C=np.inf, **kind).fit(X, y)
    assert all(each.category is ConvergenceWarning for each in heard)
    return model, [str(each.message) for each in heard]


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_separation_is_what_a_linear_program_says(first):
    apart = 0
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        K, d, n = rng.integers(3, 6), rng.integers(1, 4), rng.integers(8, 40)
        X = rng.integers(-3, 4, size=(n, d)).astype(float)
        z = X @ rng.normal(size=(d, K)) * rng.choice([0.3, 3.0])
        y = (z + rng.gumbel(size=(n, K))).argmax(axis=1)
        y = np.unique(y, return_inverse=True)[1]
        if y.max() < 2:
            continue
        model, heard = fit_without_penalty(X, y, solver=SOLVERS[seed % 4], max_iter=500)
        if separable(X, y):
            apart += 1
            assert len(heard) == 1 and "can be separated" in heard[0], (seed, heard)
            assert not model.converged_
        else:
            assert model.converged_ and not heard, (seed, heard)
            best = class_reference.optimum(X, y.astype(float), np.inf)
            assert model.objective_ - best <= 2e-8 * best
    assert 0 < apart < 20


def test_classes_that_overlap_have_an_optimum(data, solver):
    X, y = data
    model, heard = fit_without_penalty(X, y, solver=solver, max_iter=500)
    assert model.converged_ and not heard
    theirs = Reference(C=np.inf, solver="newton-cg", tol=1e-9, max_iter=1000).fit(X, y)
    same_fit(LogisticRegression(C=np.inf, tol=1e-13).fit(X, y), theirs, 2e-5)


def test_one_class_of_iris_is_apart(solver):
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model, heard = fit_without_penalty(X, names, solver=solver, max_iter=500)
    assert len(heard) == 1 and not model.converged_
    # all 50 of setosa, and of the others those that nothing but setosa would hold back
    count = int(re.search(r"(\d+) of 150 rows", heard[0]).group(1))
    assert 50 <= count
    assert "of class setosa" in heard[0]
    assert "without a penalty there is no optimum" in heard[0]
    assert "give C a finite value" in heard[0]
    # the other two overlap
    _, heard = fit_without_penalty(X[50:], y[50:])
    assert not heard


def test_all_classes_apart():
    X = np.array([[0.0], [1.0], [4.0], [5.0], [9.0], [10.0]])
    model, heard = fit_without_penalty(X, [0, 0, 1, 1, 2, 2])
    assert "the classes can be separated" in heard[0] and not model.converged_
    assert np.isfinite(model.coef_).all() and model.score(X, [0, 0, 1, 1, 2, 2]) == 1.0


def test_two_classes_apart_that_a_third_holds():
    """0 and 1 are far from each other, but 2 is everywhere."""
    X = np.concatenate([np.linspace(-2, -1, 5), np.linspace(1, 2, 5), np.linspace(-3, 3, 13)])
    y = np.repeat([0, 1, 2], [5, 5, 13])
    assert not separable(X[:, None], y)
    model, heard = fit_without_penalty(X[:, None], y)
    assert model.converged_ and not heard


def test_digits_without_a_penalty():
    X, y = load_digits(return_X_y=True)
    model, heard = fit_without_penalty(X[:500], y[:500])
    assert not model.converged_ and len(heard) == 1
    assert "separat" in heard[0]


def test_a_column_named_in_the_warning():
    rng = np.random.default_rng(1)
    X, y = table(rng, 400, 2, 3)
    X = pd.DataFrame(X, columns=["height", "width"])
    X["only in b"] = np.where(y == 1, rng.random(400) < 0.3, False).astype(float)
    model, heard = fit_without_penalty(X, np.array(["a", "b", "c"])[y])
    assert not model.converged_
    assert "'only in b of class b' (" in heard[0]
    assert "height" not in heard[0]
