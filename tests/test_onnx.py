"""ONNX graphs under onnxruntime, against our predictions."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastlogreg as flr
from fastlogreg.io.onnx import register_skl2onnx
from tests.rows.test_schema import table

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

X, y = load_iris(return_X_y=True)
X2, y2 = load_breast_cancer(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"], dtype=object)
# the rounding of a float32 probability; below its smallest normal number there are fewer digits
ROUNDED = {"rtol": 2.0**-23, "atol": 1.2e-38}


def run(graph, inputs):
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def stream(**more):
    return flr.MiniBatchLogisticRegression(random_state=0, max_iter=3, tol=None, **more)


MODELS = {
    "two classes": lambda: flr.LogisticRegression(C=1e3).fit(X2, y2),
    "booleans": lambda: flr.LogisticRegression().fit(X2, y2 > 0),
    "two words, no intercept": lambda: flr.LogisticRegression(fit_intercept=False).fit(
        X[:100], WORDS[y[:100]].astype(str)
    ),
    "classes": lambda: flr.LogisticRegression(C=1e6).fit(X, y),
    "words": lambda: flr.LogisticRegression().fit(X, WORDS[y]),
    "numbers": lambda: flr.LogisticRegression().fit(X, np.array([-1.0, 0.0, 7.0])[y]),
    "small integers": lambda: flr.LogisticRegression().fit(X, np.array([3, 1, 255], np.uint8)[y]),
    "sparse": lambda: flr.LogisticRegression(l1_ratio=1.0, C=0.1).fit(X, y).sparsify(),
    "cross-validation": lambda: flr.LogisticRegressionCV(
        Cs=[0.1, 1], cv=3, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False
    ).fit(X, y),
    "mini-batches": lambda: stream().fit(X, y),
    "tanh": lambda: stream(activation="tanh").fit(X2, y2),
    "squared error": lambda: stream(loss="mse").fit(X2, y2),
}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_ours_within_the_rounding_of_float32(name):
    model = MODELS[name]()
    rows = (X if model.n_features_in_ == 4 else X2).astype(np.float32)
    label, found = run(flr.to_onnx(model), {"X": rows})
    assert found.dtype == np.float32
    assert_allclose(found, model.predict_proba(rows), **ROUNDED)
    assert_array_equal(label, model.predict(rows))
    if model.classes_.dtype.kind not in "OU":
        assert label.dtype == model.classes_.dtype
    wide = run(flr.to_onnx(model, dtype="float64"), {"X": rows.astype(np.float64)})[1]
    assert_allclose(wide, model.predict_proba(rows.astype(np.float64)), rtol=1e-11)


def test_tails_keep_their_digits_in_float32_too():
    model = flr.LogisticRegression().fit(X[:100], y[:100])
    model.coef_, model.intercept_ = np.array([[1.0, 0, 0, 0]]), np.zeros(1)
    rows = np.zeros((4, 4), np.float32)
    rows[:, 0] = -80.0, -30.0, 30.0, 80.0
    for arithmetic in ("float32", "float64"):
        found = run(flr.to_onnx(model, arithmetic=arithmetic), {"X": rows})[1]
        assert_allclose(found, model.predict_proba(rows), rtol=1e-6)
    assert found[0, 1] < 1e-34


def test_columns_far_from_0_lose_digits_in_float32_alone():
    far = X2[:, :5] + 1e6
    model = flr.LogisticRegression(C=10).fit(far, y2)
    rows = far.astype(np.float32)
    exact = run(flr.to_onnx(model), {"X": rows})[1]
    assert_allclose(exact, model.predict_proba(rows), **ROUNDED)
    rough = run(flr.to_onnx(model, arithmetic="float32"), {"X": rows})[1]
    assert np.abs(rough - exact).max() > 1e-3


@pytest.mark.parametrize("more", [{}, {"drop_first": True}, {"min_frequency": 20}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tables_are_an_input_a_column(more, dtype):
    frame = table()
    rows = flr.open_rows(frame, target="y", missing="mean", categorical=["k"], dtype=dtype, **more)
    model = flr.LogisticRegression().fit(rows)
    inputs = {
        "x": frame[["x"]].to_numpy(dtype),
        "b": frame[["b"]].to_numpy(dtype),
        "c": frame[["c"]].fillna("").to_numpy(object, copy=True),
        "k": frame[["k"]].astype(str).to_numpy(object),
    }
    graph = flr.to_onnx(model, dtype=dtype)
    label, found = run(graph, inputs)
    tolerance = ROUNDED if dtype == "float32" else {"rtol": 1e-11}
    if dtype == "float32":
        frame = frame.astype({"x": np.float32})
    assert_allclose(found, model.predict_proba(frame), **tolerance)
    assert_array_equal(label, model.predict(frame))
    inputs["c"][3] = "mauve"
    if "min_frequency" in more:  # counts as a rare one, in either
        other = frame.drop(columns="y").assign(c=inputs["c"][:, 0])
        other["c"] = other["c"].where(frame["c"].notna() | (other.index == 3), None)
        assert_allclose(run(graph, inputs)[1], model.predict_proba(other), **tolerance)
    else:
        with pytest.raises(Exception, match="out of data bounds"):
            run(graph, inputs)


def test_tables_of_numbers_or_of_text_alone_and_names_of_outputs():
    frame = pd.DataFrame({"label": X[:, 0], "probabilities": X[:, 1], "y": WORDS[y]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    graph = flr.to_onnx(model, dtype="float64")
    assert [each.name for each in graph.graph.output] == ["label_", "probabilities_"]
    label, found = run(graph, {"label": X[:, :1], "probabilities": X[:, 1:2]})
    assert_allclose(found, model.predict_proba(frame), rtol=1e-11)
    assert_array_equal(label, model.predict(frame))

    frame = pd.DataFrame({"c": WORDS[y], "y": y})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    found = run(flr.to_onnx(model, dtype="float64"), {"c": WORDS[y][:, None]})[1]
    assert_allclose(found, model.predict_proba(frame), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_rounded_as_the_rows_of_the_fit(dtype):
    frame = pd.DataFrame({"a": X[:, 0] + 1e6, "b": X[:, 1] / 3, "y": y})
    frame.loc[::7, "b"] = None
    rows = flr.open_rows(frame, target="y", dtype="float32", missing="mean")
    model = flr.LogisticRegression(C=100).fit(rows)
    inputs = {name: frame[[name]].to_numpy(dtype) for name in ("a", "b")}
    found = run(flr.to_onnx(model, dtype=dtype), inputs)[1]
    assert_allclose(found, model.predict_proba(frame), rtol=2e-7)


def test_a_missing_text_is_no_rare_level():
    frame = pd.DataFrame({"c": ["a", "b", "b", "c"] * 10 + ["d"], "y": [0, 1, 1] * 13 + [0, 1]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", min_frequency=5))
    graph = flr.to_onnx(model)
    found = run(graph, {"c": np.array([["e"], ["d"]], dtype=object)})[1]
    assert_array_equal(found[0], found[1])
    with pytest.raises(Exception, match="out of data bounds"):
        run(graph, {"c": np.array([["e"], [""]], dtype=object)})


@pytest.mark.parametrize("names", [("v0", "c1"), ("X", "x"), ("a b", "a/b"), ("1", "2")])
def test_columns_may_be_called_anything(names):
    frame = pd.DataFrame({names[0]: X[:, 0], names[1]: X[:, 1], "y": WORDS[y]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    found = run(
        flr.to_onnx(model, dtype="float64"), {name: frame[[name]].to_numpy() for name in names}
    )[1]
    assert_allclose(found, model.predict_proba(frame), rtol=1e-11)


def test_the_offset_of_a_table_is_an_input():
    frame = pd.DataFrame({"a": X[:, 0], "c": WORDS[(y + np.arange(150)) % 3], "y": y > 0})
    frame["o"] = X[:, 3]
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", offset="o"))
    inputs = {name: frame[[name]].to_numpy() for name in ("a", "c", "o")}
    label, found = run(flr.to_onnx(model, dtype="float64"), inputs)
    assert_allclose(found, model.predict_proba(frame), rtol=1e-11)
    assert_array_equal(label, model.predict(frame))


def test_what_onnx_can_not_say_is_refused():
    with pytest.raises(NotFittedError):
        flr.to_onnx(flr.LogisticRegression())
    with pytest.raises(TypeError, match=r"DummyClassifier; pipelines .*register_skl2onnx"):
        flr.to_onnx(DummyClassifier())
    model = flr.LogisticRegression().fit(X, y)
    for name in ("dtype", "arithmetic"):
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            flr.to_onnx(model, **{name: "float16"})
    model.classes_ = np.array(["a", "b", 3], dtype=object)
    with pytest.raises(TypeError, match="classes_ must be text or numbers, got int, str"):
        flr.to_onnx(model)
    frame = pd.DataFrame({"fastlogreg:1": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    with pytest.raises(ValueError, match="can't have a column called 'fastlogreg:1'"):
        flr.to_onnx(model)
    frame = pd.DataFrame({"c": ["", "a", None, "b"] * 9, "y": [0, 1, 1] * 12})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", missing="mean"))
    with pytest.raises(ValueError, match="column 'c' has the level '' and missing values"):
        flr.to_onnx(model)


def test_names_of_columns_are_kept():
    frame = load_iris(as_frame=True).data
    graph = flr.to_onnx(flr.LogisticRegression().fit(frame, y))
    (kept,) = graph.metadata_props
    assert kept.key == "feature_names_in" and "sepal length (cm)" in kept.value


def test_without_onnx_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['onnx'] = sys.modules['skl2onnx'] = None\n"
        "import fastlogreg as flr\n"
        "from fastlogreg.io.onnx import register_skl2onnx\n"
        "for use in (lambda: flr.to_onnx(None), register_skl2onnx):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.count("fastlogreg[onnx]") == 2


# --- skl2onnx -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skl2onnx():
    found = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    register_skl2onnx()  # twice is as good as once
    return found


@pytest.mark.parametrize("name", [name for name in MODELS if name != "numbers"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pipelines_convert(name, dtype, skl2onnx):
    model = MODELS[name]()
    rows, labels = (X, y) if model.n_features_in_ == 4 else (X2, y2)
    rows, labels = rows[labels < model.classes_.size], labels[labels < model.classes_.size]
    labels = model.classes_[labels]
    pipeline = make_pipeline(StandardScaler(), model).fit(rows, labels)
    rows = rows.astype(dtype)
    graph = skl2onnx.to_onnx(pipeline, rows[:1], options={"zipmap": False})
    label, found = run(graph, {"X": rows})
    assert found.dtype == dtype
    # scaled columns are float32 there, and float64 with us
    tolerance = {"atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-9}
    assert_allclose(found, pipeline.predict_proba(rows), **tolerance)
    assert_array_equal(label, pipeline.predict(rows).astype(label.dtype))


def test_options_of_skl2onnx(skl2onnx):
    def raw(pipeline):
        return {id(pipeline[-1]): {"zipmap": False, "raw_scores": True}}

    two = make_pipeline(StandardScaler(), flr.LogisticRegression()).fit(X2, y2)
    graph = skl2onnx.to_onnx(two, X2[:1], options=raw(two))
    margins = two.decision_function(X2)
    assert_allclose(run(graph, {"X": X2})[1], np.column_stack([-margins, margins]), rtol=1e-9)
    many = make_pipeline(StandardScaler(), flr.LogisticRegression()).fit(X, WORDS[y])
    graph = skl2onnx.to_onnx(many, X[:1], options=raw(many))
    assert_allclose(run(graph, {"X": X})[1], many.decision_function(X), rtol=1e-9)
    maps = run(skl2onnx.to_onnx(many, X[:1].astype(np.float32)), {"X": X.astype(np.float32)})[1]
    assert set(maps[0]) == set(WORDS)
    numbers = skl2onnx.to_onnx(many, X[:1], options={"zipmap": False, "nocl": True})
    assert_array_equal(WORDS[run(numbers, {"X": X})[0]], many.predict(X))


def test_tables_and_searches_convert(skl2onnx):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": WORDS[(y + np.arange(150)) % 3]})
    pipeline = make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["c"])),
        GridSearchCV(flr.LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    ).fit(frame, y)
    graph = skl2onnx.to_onnx(pipeline, frame[:1], options={"zipmap": False})
    inputs = {name: frame[[name]].to_numpy() for name in frame}
    assert_allclose(run(graph, inputs)[1], pipeline.predict_proba(frame), rtol=1e-6)


def test_what_skl2onnx_can_not_take_is_refused(skl2onnx):
    with pytest.raises(TypeError, match="text or whole numbers for skl2onnx"):
        model = flr.LogisticRegression().fit(X, y)
        model.classes_ = np.array([0.5, 1.0, 2.0])
        skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    with pytest.raises(TypeError, match="fitted on a table is converted by fastlogreg"):
        frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y})
        model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
        skl2onnx.to_onnx(model, X[:1, :2])
