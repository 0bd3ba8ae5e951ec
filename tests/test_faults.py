"""What people did to models and rows elsewhere, and what must come of it: no wrong number.

Coefficients of a wrong shape, damaged sparse rows, refused fits, models made by hand, masked
values, frames that hold no rows yet.
"""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import fastlogreg as flr
from fastlogreg import LogisticRegression, MiniBatchLogisticRegression
from fastlogreg.data import validation

PREDICTIONS = ["decision_function", "predict", "predict_proba", "predict_log_proba"]


def logistic(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, (X.sum(axis=1) + rng.logistic(size=n) > 0).astype(int)


@pytest.fixture(scope="module")
def data():
    return logistic()


def kinds():
    return LogisticRegression(), MiniBatchLogisticRegression(random_state=0, max_iter=3, tol=None)


@pytest.fixture(params=[0, 1], ids=["exact", "mini-batch"])
def model(request):
    return kinds()[request.param]


def snapshot(model):
    """Return all that a model holds, as bytes."""
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


# --- coefficients of a wrong shape ---------------------------------------------------------


WRONG = {
    "too narrow": ("coef_", np.zeros((1, 2))),
    "too wide": ("coef_", np.ones((1, 4))),
    "two rows": ("coef_", np.ones((2, 3))),
    "a column": ("coef_", np.ones((3, 1))),
    "a number": ("coef_", np.float64(1.0)),
    "three dimensions": ("coef_", np.ones((1, 1, 3))),
    "none": ("coef_", np.ones((1, 0))),
    "sparse, too narrow": ("coef_", sp.csr_array(np.ones((1, 2)))),
    "sparse, two rows": ("coef_", sp.csr_matrix(np.ones((2, 3)))),
    "list": ("coef_", [[1.0, 2.0]]),
    "two intercepts": ("intercept_", np.zeros(2)),
    "no intercept": ("intercept_", np.zeros(0)),
    "intercept in a matrix": ("intercept_", np.zeros((1, 1))),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
def test_wrong_shapes_of_coefficients(data, model, case, csr):
    X, y = data
    rows = sp.csr_array(X) if csr else X
    model.fit(X, y)
    name, value = WRONG[case]
    setattr(model, name, value)
    wanted = (1, 3) if name == "coef_" else (1,)
    both = (
        re.escape(f"{name} must have shape {wanted}")
        + ".*got shape "
        + re.escape(str(np.shape(value)))
    )
    for method in PREDICTIONS:
        for some in (rows, rows[:1]):
            with pytest.raises(ValueError, match=both):
                getattr(model, method)(some)
    with pytest.raises(ValueError, match=both):
        model.score(rows, y)
    for method in ("sparsify", "densify"):
        with pytest.raises(ValueError, match=both):
            getattr(model, method)()
    before = snapshot(model.set_params(warm_start=True))
    with pytest.raises(ValueError, match=both):
        model.fit(rows, y)
    assert snapshot(model) == before


def test_coefficients_as_wide_as_rows_but_not_as_the_model(data, model):
    X, y = data
    model.fit(X, y)
    model.coef_ = np.ones((1, 4))
    with pytest.raises(ValueError, match=r"coef_ must have shape \(1, 3\).*\(1, 4\)"):
        model.predict(np.ones((2, 4)))
    model.n_features_in_ = 2
    with pytest.raises(ValueError, match=r"coef_ must have shape \(1, 2\).*\(1, 4\)"):
        model.predict(X)


def test_a_warm_start_from_another_width(data, model):
    X, y = data
    model.set_params(warm_start=True).fit(X, y)
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"coef_ must have shape \(1, 2\).*\(1, 3\)"):
        model.fit(X[:, :2], y)
    assert snapshot(model) == before


@pytest.mark.parametrize("value", [["a", "b", "c"], [[1j, 1, 1]]])
def test_coefficients_that_are_no_numbers(data, model, value):
    X, y = data
    model.fit(X, y).coef_ = value
    with pytest.raises((TypeError, ValueError), match="coef_"):
        model.predict_proba(X)


@pytest.mark.parametrize("n_labels", [1, 3])
def test_wrong_numbers_of_labels(data, model, n_labels):
    X, y = data
    model.fit(X, y).classes_ = np.arange(n_labels)
    with pytest.raises(
        ValueError, match=rf"classes_ must be two labels, got shape \({n_labels},\)"
    ):
        model.predict(X)
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match="classes_ must be two labels"):
            model.partial_fit(X, y)


# --- damaged sparse rows --------------------------------------------------------------------


def sparse(index=np.int32, dtype=np.float64):
    matrix = sp.random(60, 8, density=0.4, random_state=1, format="csr", dtype=dtype)
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    assert matrix.has_canonical_format  # a flag that SciPy keeps
    return matrix


def pointer(place, value):
    def damage(A):
        A.indptr[place] = value(A) if callable(value) else value

    return damage


def index(place, value):
    def damage(A):
        A.indices[place] = value

    return damage


def replaced(name, change):
    def damage(A):
        setattr(A, name, change(getattr(A, name)))

    return damage


DAMAGES = {  # what it does, and the row where it is seen
    "backwards": (pointer(10, lambda A: A.indptr[12] + 5), 10),
    "before the data": (pointer(3, -4_000_000), 2),
    "beyond the data": (pointer(30, 2 * 10**9), 29),
    "beyond the data at the end": (pointer(-1, 10**6), 59),
    "largest integer": (pointer(-1, 2**31 - 1), 59),
    "not from 0": (pointer(0, 1), 0),
    "from below 0": (pointer(0, -1), 0),
    "column too large": (index(0, 8), 0),
    "column far too large": (index(0, 2**31 - 1), 0),
    "negative column": (index(0, -1), 0),
    "most negative column": (index(-1, -(2**31)), 59),
    "fewer values": (replaced("data", lambda a: a[:-1]), 59),
    "more values": (replaced("data", lambda a: np.append(a, 1.0)), 59),
    "fewer columns": (replaced("indices", lambda a: a[:-1]), 59),
}


def calls():
    """Return every way that sparse rows have into the package, by name."""
    X, y = sparse().toarray(), np.arange(60) % 2
    exact, batches = (m.fit(X, y) for m in kinds())
    theta = np.ones(9)
    found = {
        f"{m.__class__.__name__}.{name}": lambda A, m=m, name=name: getattr(m, name)(A)
        for m in (exact, batches)
        for name in PREDICTIONS
    }
    return found | {
        "score": lambda A: exact.score(A, y),
        "fit": lambda A: LogisticRegression().fit(A, y),
        "warm fit": lambda A: exact.set_params(warm_start=True).fit(A, y),
        "newton-cg": lambda A: LogisticRegression(solver="newton-cg").fit(A, y),
        "fit in batches": lambda A: kinds()[1].fit(A, y),
        "first piece": lambda A: kinds()[1].partial_fit(A, y, classes=[0, 1]),
        "next piece": lambda A: batches.partial_fit(A, y),
        "loss": lambda A: flr.loss(A, y, theta),
        "loss by numpy": lambda A: flr.loss(A, y, theta, backend="numpy"),
        "loss by loop": lambda A: flr.loss(A, y, theta, backend="loop"),
        "hessian": lambda A: flr.loss_gradient_hessian(A, y, theta),
        "predict_proba": lambda A: flr.predict_proba(A, theta),
        "train": lambda A: flr.train(A, y, n_epochs=1, batch_size=8),
    }


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_rows_are_refused_everywhere(case):
    damage, row = DAMAGES[case]
    for name, call in calls().items():
        A = sparse()
        damage(A)
        with pytest.raises(ValueError, match=rf"X is a damaged sparse matrix.*\brow {row}\b"):
            call(A)
            pytest.fail(name)


@pytest.mark.parametrize("integers", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_rows_of_any_type(case, integers, dtype):
    damage, row = DAMAGES[case]
    A = sparse(integers, dtype)
    damage(A)
    with pytest.raises(ValueError, match=rf"damaged sparse matrix.*\brow {row}\b"):
        validation.check_matrix(A)


def test_a_bad_column_beyond_the_first_piece_of_indices():
    A = sp.csr_array(np.ones((3, 100_000)))
    A.indices[250_000] = 100_000
    with pytest.raises(
        ValueError, match=r"row 2 has the column index 100000, outside 0 \.\. 99999"
    ):
        validation.check_matrix(A)


@pytest.mark.parametrize("format", ["csc", "bsr", "coo", "dok", "lil", "dia"])
def test_other_forms_are_looked_at_before_they_are_converted(format):
    A = sparse().asformat(format)
    assert_array_equal(validation.check_matrix(A).toarray(), sparse().toarray())
    if format in ("csc", "bsr"):
        A.indices[5] = 10**6
    elif format == "coo":
        A.row[5] = 10**6
    elif format == "dok":
        A._dict[10**6, 3] = 1.0  # which SciPy sees by itself
    elif format == "lil":
        A.rows[3].append(5)
    else:
        A.offsets = A.offsets[:-1]
    with pytest.raises(ValueError, match=r"X is a damaged sparse matrix|exceeds matrix dimension"):
        validation.check_matrix(A)


def test_pointers_of_a_wrong_kind():
    A = sparse()
    A.indptr = A.indptr[:-1]
    with pytest.raises(ValueError, match="indptr must be 61 integers"):
        validation.check_matrix(A)
    A = sparse()
    A.indptr = A.indptr.astype(float)
    with pytest.raises(ValueError, match="indptr must be 61 integers"):
        validation.check_matrix(A)


def strange(A, name):
    """Return the same matrix with one of its arrays in a form that no kernel takes."""
    array = getattr(A, name)
    wide = np.zeros(2 * array.size, array.dtype)
    wide[::2] = array
    yield "strided", wide[::2]
    yield "backwards in memory", array[::-1].copy()[::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
    raw[:] = array
    yield "not aligned", raw
    yield "other byte order", array.astype(array.dtype.newbyteorder())
    yield "list", array.tolist()
    if name != "data":
        yield "short integers", array.astype(np.int16)
        yield "unsigned", array.astype(np.uint64)


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
def test_sound_rows_in_strange_arrays(name):
    y = np.arange(60) % 2
    expected = LogisticRegression().fit(sparse(), y).predict_proba(sparse())
    for kind, array in strange(sparse(), name):
        A = sparse()
        setattr(A, name, array)
        found = LogisticRegression().fit(A, y).predict_proba(A)
        assert_allclose(found, expected, rtol=1e-12, err_msg=kind)


def test_values_that_no_row_has_are_not_read():
    A, y = sparse(), np.arange(60) % 2
    expected = LogisticRegression().fit(A, y).coef_
    A.data, A.indices = np.append(A.data, np.nan), np.append(A.indices, 10**6)
    assert_array_equal(LogisticRegression().fit(A, y).coef_, expected)


@pytest.mark.parametrize("twice", [False, True], ids=["not in order", "twice"])
def test_a_flag_is_not_believed(twice):
    A, y = sparse(), np.arange(60) % 2
    if twice:
        A.indices[1] = A.indices[0]
    else:
        A.indices[[0, 1]], A.data[[0, 1]] = A.indices[[1, 0]], A.data[[1, 0]]
    assert A.has_canonical_format  # which is not so
    kept = A.data.copy(), A.indices.copy()
    dense = np.zeros(A.shape)
    np.add.at(dense, (np.repeat(np.arange(60), np.diff(A.indptr)), A.indices), A.data)
    theta = np.linspace(-1, 1, 9)
    for ours, theirs in zip(
        flr.loss_gradient_hessian(A, y, theta),
        flr.loss_gradient_hessian(dense, y, theta),
        strict=True,
    ):
        assert_allclose(ours, theirs, rtol=1e-12)
    assert_array_equal(A.data, kept[0])
    assert_array_equal(A.indices, kept[1])


def test_sound_rows_are_not_copied():
    for integers in (np.int32, np.int64):
        for dtype in (np.float32, np.float64):
            A = sparse(integers, dtype)
            assert validation.check_matrix(A) is A


def test_damaged_sparse_coefficients(data):
    X, y = data
    model = LogisticRegression().fit(X, y).sparsify()
    model.coef_.indices[0] = 10**6
    with pytest.raises(ValueError, match="coef_ is a damaged sparse matrix"):
        model.predict(X)


# --- a refused fit changes nothing -----------------------------------------------------------


def table(X):
    return pd.DataFrame(X, columns=[f"other {j}" for j in range(X.shape[1])])


def with_nan(X):
    X = X.copy()
    X[3, 1] = np.nan
    return X


REFUSED = {
    "NaN and other labels": lambda X, y: (with_nan(X), np.where(y == 1, "a", "b")),
    "NaN in a frame": lambda X, y: (table(with_nan(X)), y),
    "NaN and another width": lambda X, y: (with_nan(X)[:, :2], y),
    "infinity in CSR": lambda X, y: (sp.csr_array(np.where(X == X[0, 0], np.inf, X)), y),
    "one class": lambda X, y: (table(X), np.zeros(len(y))),
    "labels that are measurements": lambda X, y: (table(X), np.linspace(0.0, 1.0, len(y))),
    "labels of two kinds": lambda X, y: (table(X), np.array([1, "a"] * (len(y) // 2), object)),
    "too few labels": lambda X, y: (table(X), y[1:]),
    "text": lambda X, y: (pd.DataFrame({"a": ["x"] * len(y)}), y),
    "weights": lambda X, y: (table(X), y, -np.ones(len(y))),
    "weights of one class": lambda X, y: (table(X), y, y.astype(float)),
    "no rows": lambda X, y: (table(X)[:0], y[:0]),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("frame", [False, True], ids=["array", "frame"])
def test_a_refused_fit_changes_nothing(data, model, case, frame):
    X, y = data
    model.fit(pd.DataFrame(X, columns=list("abc")) if frame else X, y)
    before = snapshot(model)
    with pytest.raises((ValueError, TypeError)):
        model.fit(*REFUSED[case](X, y))
    assert snapshot(model) == before


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("case", [case for case in REFUSED if "one class" not in case])
def test_a_refused_piece_changes_nothing(data, case):
    X, y = data
    model = MiniBatchLogisticRegression(random_state=0).partial_fit(X, y, classes=[0, 1])
    twin = pickle.loads(pickle.dumps(model))
    before = snapshot(model)
    rows, labels, *weights = REFUSED[case](X, y)
    with pytest.raises((ValueError, TypeError)):
        model.partial_fit(rows, labels, None, *weights)
    assert snapshot(model) == before
    assert_array_equal(model.partial_fit(X, y).coef_, twin.partial_fit(X, y).coef_)


def test_a_refused_first_fit_leaves_no_attribute(data, model):
    X, y = data
    before = snapshot(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(table(with_nan(X)), y)
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match="NaN"):
            model.partial_fit(table(with_nan(X)), y, classes=[0, 1])
    assert snapshot(model) == before
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize(
    "change",
    [{"n_threads": "2"}, {"class_weight": {"x": 1.0, "y": 2.0}}, {"fit_intercept": "yes"}],
)
def test_a_parameter_that_is_refused_changes_nothing(data, model, change):
    X, y = data
    model.fit(X, y).set_params(**change)
    before = snapshot(model)
    with pytest.raises((ValueError, TypeError)):
        model.fit(table(X), np.where(y == 1, "a", "b"))
    assert snapshot(model) == before


class Boom(Exception):
    pass


class Exploding:
    """A callback of scikit-learn that fails, or presses Ctrl-C, at some iteration."""

    def __init__(self, error):
        self.error = error

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kind):
        pass

    def on_fit_task_end(self, estimator, context, **kind):
        raise self.error


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_a_fit_that_is_interrupted_changes_nothing(data, model, error):
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    X, y = data
    model.fit(X, y).set_callbacks(Exploding(error))
    before = snapshot(model)
    with pytest.raises(error):
        model.fit(table(X[:, :2]), np.where(y == 1, "a", "b"))
    assert snapshot(model) == before


def test_names_follow_the_last_fit(data, model):
    X, y = data
    model.fit(table(X), y)
    assert model.feature_names_in_.tolist() == ["other 0", "other 1", "other 2"]
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    model.predict(X)


# --- models made by hand -----------------------------------------------------------------------


def by_hand(model, d=3):
    model.classes_ = np.array(["no", "yes"])
    model.coef_ = np.ones((1, d))
    model.intercept_ = np.zeros(1)
    return model


FORMS = {
    "array": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "Fortran order": np.asfortranarray,
    "list": np.ndarray.tolist,
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "pandas": lambda X: pd.DataFrame(X, columns=list("abc")),
    "polars": lambda X: pl.DataFrame(X, schema=list("abc")),
}


@pytest.mark.parametrize("form", FORMS)
def test_models_made_by_hand_predict(model, form):
    X = FORMS[form](np.eye(3))
    by_hand(model)
    before = snapshot(model)
    p = 1 / (1 + np.exp(-1))
    assert_allclose(model.predict_proba(X), [[1 - p, p]] * 3, rtol=1e-14)
    assert_allclose(model.predict_log_proba(X), [[np.log(1 - p), np.log(p)]] * 3, rtol=1e-14)
    assert_allclose(model.decision_function(X), [1.0] * 3, rtol=1e-14)
    assert model.predict(X).tolist() == ["yes"] * 3
    assert model.score(X, ["yes", "yes", "no"]) == pytest.approx(2 / 3)
    assert snapshot(model) == before


def test_a_model_made_by_hand_knows_its_width(model):
    by_hand(model)
    for X in (np.ones((2, 4)), sp.csr_array(np.ones((2, 4))), pd.DataFrame(np.ones((2, 4)))):
        with pytest.raises(
            ValueError, match=f"X has 4 features, but {type(model).__name__} is expecting 3"
        ):
            model.predict(X)
    model.sparsify().predict(np.eye(3))
    model.coef_ = model.coef_[:, :2]
    with pytest.raises(ValueError, match="expecting 2"):
        model.predict(np.eye(3))


def test_lists_and_numbers_do(model):
    model.classes_, model.coef_, model.intercept_ = [0, 1], [1, 2, 3], 0
    assert model.predict(np.eye(3)).tolist() == [1, 1, 1]
    assert_allclose(model.decision_function(np.eye(3)), [1, 2, 3])


@pytest.mark.parametrize("name", ["classes_", "coef_", "intercept_"])
def test_what_a_model_made_by_hand_lacks_is_named(model, name):
    by_hand(model)
    delattr(model, name)
    with pytest.raises(NotFittedError, match=f"has no {name}"):
        model.predict(np.eye(3))


def test_training_goes_on_from_coefficients_that_were_set(data):
    X, y = data
    model = LogisticRegression(warm_start=True, max_iter=0, tol=1e9)
    model.coef_, model.intercept_ = np.array([[0.5, -0.5, 2.0]]), np.array([0.25])
    model.fit(X, y)
    assert_array_equal(model.coef_, [[0.5, -0.5, 2.0]])
    assert_array_equal(model.intercept_, [0.25])
    model = LogisticRegression(warm_start=True).fit(X, y)
    first = model.n_iter_[0]
    model.coef_ = sp.csr_array(model.coef_)
    assert model.fit(X, y).n_iter_[0] < first
    model.coef_ = model.coef_ + 5.0
    far = model.history_["objective"][0]
    assert model.fit(X, y).history_["objective"][0] > far


# --- masked values, lazy frames, messages -----------------------------------------------------


def masked(values, *place):
    found = np.ma.array(values, dtype=float, copy=True)
    found[place] = np.ma.masked
    return found


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight", "offset"])
def test_masked_values_are_refused(data, model, argument):
    X, y = data
    given = {"X": X, "y": y, "sample_weight": np.ones(60), "offset": np.zeros(60)}
    bad = {**given, argument: masked(given[argument], *((2, 1) if argument == "X" else (2,)))}
    at = "index 2, 1" if argument == "X" else "index 2:"
    says = rf"{argument} has masked values, first at {at}"
    before = snapshot(model)
    with pytest.raises(ValueError, match=says):
        model.fit(**bad)
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match=says):
            model.partial_fit(**bad, classes=[0, 1])
    assert snapshot(model) == before
    theta = np.ones(4)
    for backend in ("numba", "numpy", "loop"):
        with pytest.raises(ValueError, match=says):
            flr.loss(**bad, theta=theta, backend=backend)
    model.fit(X, y)
    if argument != "sample_weight":
        rest = {"offset": bad["offset"]}
        with pytest.raises(ValueError, match=says):
            model.score(bad["X"], bad["y"], **rest)
        if argument != "y":
            for method in PREDICTIONS:
                with pytest.raises(ValueError, match=says):
                    getattr(model, method)(bad["X"], **rest)
    else:
        with pytest.raises(ValueError, match=says):
            model.score(X, y, bad["sample_weight"])


def test_masked_theta_coefficients_and_rows_of_a_list(data):
    X, y = data
    with pytest.raises(ValueError, match="theta has masked values"):
        flr.loss(X, y, masked(np.ones(4), 1))
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="X has masked values, first at index 1, 0"):
        model.predict([X[0], masked(X[1], 0)])
    model.coef_ = masked(model.coef_, 0, 2)
    with pytest.raises(ValueError, match="coef_ has masked values"):
        model.predict(X)


def test_masked_arrays_without_a_masked_value_do(data, model):
    X, y = data
    expected = model.fit(X, y).predict_proba(X)
    found = model.fit(np.ma.array(X), np.ma.array(y), sample_weight=np.ma.ones(60))
    assert_allclose(found.predict_proba(np.ma.array(X)), expected, rtol=1e-12)


def test_a_lazy_frame_says_collect(data, model):
    X, y = data
    lazy = pl.DataFrame(X).lazy()
    says = r"is a LazyFrame.*collect\(\)"
    with pytest.raises(TypeError, match="X " + says):
        model.fit(lazy, y)
    with pytest.raises(TypeError, match="y " + says):
        model.fit(X, pl.DataFrame(y).lazy())
    with pytest.raises(TypeError, match="sample_weight " + says):
        model.fit(X, y, sample_weight=pl.DataFrame(y).lazy())
    with pytest.raises(TypeError, match="X " + says):
        flr.loss(lazy, y, np.ones(4))
    model.fit(lazy.collect(), y)
    with pytest.raises(TypeError, match="X " + says):
        model.predict(lazy)


def test_fit_intercept_changed_between_pieces(data):
    X, y = data
    model = MiniBatchLogisticRegression().partial_fit(X, y, classes=[0, 1])
    model.set_params(fit_intercept=False)
    with pytest.raises(ValueError, match="fit_intercept=False is not what it was"):
        model.partial_fit(X, y)
    model.set_params(fit_intercept=True).partial_fit(X, y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_warm_start_from_no_numbers(data, model, value):
    X, y = data
    model.set_params(warm_start=True).fit(X, y)
    model.coef_[0, 1] = value
    with pytest.raises(ValueError, match=f"coef_ has {value} for column 1: warm_start=True"):
        model.fit(X, y)
    model.coef_[0, 1], model.intercept_[0] = 0.0, value
    with pytest.raises(ValueError, match=f"intercept_ is {value}: warm_start=True"):
        model.fit(X, y)


def test_a_warm_start_from_coefficients_that_are_too_large(data):
    X, y = data
    model = LogisticRegression(warm_start=True).fit(X, y)
    model.coef_ = np.full((1, 3), 1e300)
    with pytest.raises(ValueError, match="or the coefficients of the warm start are too large"):
        model.fit(X, y)


def test_weights_of_objects(data, model):
    X, y = data
    weights = np.linspace(1.0, 2.0, 60)
    expected = model.fit(X, y, sample_weight=weights).coef_
    assert_array_equal(
        model.fit(X, y, sample_weight=pd.Series(weights, dtype=object)).coef_, expected
    )
    for bad in (None, "1.0", pd.NA, 1j):
        mixed = np.array(weights, dtype=object)
        mixed[7] = bad
        says = f"sample_weight must be an array of real numbers, got {bad!r} at index 7"
        says = re.escape(says)
        with pytest.raises(TypeError, match=says):
            model.fit(X, y, sample_weight=mixed)


def test_labels_are_named_as_people_write_them(data, model):
    X, y = data
    with pytest.raises(ValueError, match="only one class: 'z'"):
        model.fit(X, np.full(60, "z"))
    with pytest.raises(ValueError, match=r"only one class: 3$"):
        model.fit(X, np.full(60, 3))
    with pytest.raises(ValueError, match=r"positive weight: 'a' \(none of 'b'\)"):
        model.fit(X, np.where(y == 1, "b", "a"), sample_weight=1.0 - y)
    stream = MiniBatchLogisticRegression()
    with pytest.raises(ValueError, match="y has 'c' at index 0"):
        stream.partial_fit(X, np.full(60, "c"), classes=["a", "b"])


# --- what the caller asked of NumPy -----------------------------------------------------------


def everything(X, y):
    """Return results of all public functions on rows whose exponentials underflow."""
    far, tiny = X * 1e6, np.c_[X, X[:, 0] * 1e-160]
    weights = np.linspace(1e-200, 1.0, len(y))
    theta = np.linspace(-1.0, 1.0, X.shape[1] + 1)
    for model in kinds():
        model.fit(tiny, y, sample_weight=weights)
        yield model.coef_, model.intercept_
        model.fit(X * 1000, y)
        yield model.coef_, model.intercept_
        for method in PREDICTIONS:
            yield getattr(model, method)(far)
        yield model.score(far, y, weights)
    for solver in ("newton", "newton-cg", "lbfgs"):
        for C in (1e-200, 1e200):
            yield LogisticRegression(solver=solver, C=C, tol=1e-3).fit(X, y).coef_
    model = MiniBatchLogisticRegression(random_state=0, optimizer="adam", learning_rate="optimal")
    for rows in (far, sp.csr_array(far)):
        yield model.partial_fit(rows, y, classes=[0, 1]).coef_
    for backend in ("numba", "numpy", "loop"):
        for kind in ({}, {"activation": "tanh"}, {"loss": "mse"}):
            yield flr.loss_gradient_hessian(far, y, theta, backend=backend, **kind)
        yield flr.predict_proba(far, theta, backend=backend)
        result = flr.train(far, y, n_epochs=2, batch_size=7, seed=0, backend=backend)
        yield result.theta, result.epoch_losses


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("setting", ["raise", "ignore", "call"])
def test_the_settings_of_the_caller_change_nothing(data, setting):
    def never(kind, flag):
        pytest.fail(f"told of {kind}")

    expected = list(everything(*data))
    before = np.geterr()
    with np.errstate(all=setting, call=never):
        inside = np.geterr()
        found = list(everything(*data))
        assert np.geterr() == inside
    assert np.geterr() == before
    for ours, theirs in zip(found, expected, strict=True):
        if isinstance(ours, tuple):
            for a, b in zip(ours, theirs, strict=True):
                assert_array_equal(a, b)
        else:
            assert_array_equal(ours, theirs)


def test_settings_come_back_after_an_error(data):
    X, y = data
    with np.errstate(all="raise"):
        with pytest.raises(ValueError, match="NaN"):
            LogisticRegression().fit(with_nan(X), y)
        assert set(np.geterr().values()) == {"raise"}


def test_a_warning_of_a_fit_names_the_line_that_called_it(data):
    X, y = data
    with pytest.warns(ConvergenceWarning) as told:
        LogisticRegression(max_iter=1, solver="lbfgs").fit(X, y)
    with pytest.warns(ConvergenceWarning) as also_told:
        MiniBatchLogisticRegression(max_iter=2, tol=1e-9).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="diverged") as piece:
        MiniBatchLogisticRegression(
            standardize=False, optimizer="sgd", eta0=1e6, batch_size=1
        ).partial_fit(X, y, classes=[0, 1])
    assert {told[0].filename, also_told[0].filename, piece[0].filename} == {__file__}


# --- answers that said they were right ----------------------------------------------------

EXACT = ("auto", "newton", "newton-cg", "lbfgs")


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("ratio", [1e5, 1e7])
@pytest.mark.parametrize("solver", EXACT)
def test_far_column(solver, ratio, C):
    """Times in seconds: many rows, so that parts of them come first."""
    Z, y = logistic(60_000, 2)
    X = Z + np.array([ratio, 0.0])
    best = LogisticRegression(C=C, solver="newton").fit(Z, y)
    model = LogisticRegression(C=C, solver=solver).fit(X, y)
    assert model.converged_
    assert model.objective_ == pytest.approx(best.objective_, rel=2e-8)


@pytest.mark.parametrize("storage", [np.asfortranarray, sp.csr_array])
def test_far_column_stored_otherwise(storage):
    Z, y = logistic(40_000, 2)
    X = Z + np.array([1e6, 0.0])
    best = LogisticRegression().fit(Z, y)
    model = LogisticRegression().fit(storage(X), y)
    assert model.converged_
    assert model.objective_ == pytest.approx(best.objective_, rel=2e-8)


@pytest.mark.parametrize("difference", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("solver", EXACT)
def test_near_equal(solver, difference, rng):
    """Two nearly equal columns span the plane of their sum and their difference."""
    z, y = logistic(300, 1)
    a = 5 + rng.normal(size=(300, 1))
    best = LogisticRegression(C=np.inf).fit(np.hstack([a, z]), y)
    model = LogisticRegression(C=np.inf, solver=solver).fit(np.hstack([a, a + difference * z]), y)
    assert model.converged_
    assert model.objective_ == pytest.approx(best.objective_, rel=2e-8)


@pytest.mark.parametrize("size", [1e-150, 1e-160, 1e-165, 1e-300])
@pytest.mark.parametrize("solver", EXACT)
def test_tiny_columns(solver, size):
    z, y = logistic(300, 2)
    best = LogisticRegression(C=np.inf).fit(z, y)
    model = LogisticRegression(C=np.inf, solver=solver).fit(z * [size, 1.0], y)
    assert model.converged_
    assert_allclose(model.coef_[0] * [size, 1.0], best.coef_[0], rtol=1e-3)


@pytest.mark.parametrize("size", [1e-309, 1e-310, 1e-320])
@pytest.mark.parametrize("solver", EXACT)
def test_columns_that_need_a_coefficient_beyond_float64(solver, size):
    """They count as columns of zeros: the fit ends, the others as if they were not there."""
    z, y = logistic(300, 2)
    z[:, 0] += 0.5 * (2 * y - 1)
    best = LogisticRegression(C=np.inf).fit(z[:, 1:], y)
    model = LogisticRegression(C=np.inf, solver=solver).fit(z * [size, 1.0], y)
    assert np.isfinite(model.coef_).all()
    assert_allclose(model.coef_[0, 1], best.coef_[0, 0], rtol=1e-3)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("solver", EXACT)
def test_one_row_far_outside(solver, far):
    """It holds all the curvature until it is saturated; then it is as if it were not there."""
    X, y = logistic(400, 3)
    best = LogisticRegression(C=np.inf).fit(X, y)
    outlier = far * np.sign(best.coef_)
    model = LogisticRegression(C=np.inf, solver=solver, max_iter=300)
    model.fit(np.vstack([X, outlier]), np.append(y, 1))
    assert model.converged_
    assert model.objective_ * 401 == pytest.approx(best.objective_ * 400, rel=1e-7)
