"""ONNX models under onnxruntime, against our own predictions."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastlogreg as flr

ort = pytest.importorskip("onnxruntime", reason="the extra onnx")

X, y = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"], dtype=object)


def run(model, feed):
    content = flr.to_onnx(model).SerializeToString()
    return ort.InferenceSession(content).run(["label", "probabilities"], feed)


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("labels", [y, WORDS[y], y > 0, (y > 1) * 2 - 1])
def test_probabilities_are_ours_within_rounding(labels, far):
    rows = X + far
    model = flr.LogisticRegression().fit(rows, labels)
    label, probabilities = run(model, {"X": rows})
    assert probabilities.dtype == np.float32
    assert_allclose(probabilities, model.predict_proba(rows), rtol=2e-7, atol=1e-12)
    assert_array_equal(label, model.predict(rows).astype(label.dtype))


def test_other_estimators():
    narrow = X.astype(np.float32)
    models = (
        flr.LogisticRegression(l1_ratio=1.0, C=0.5).fit(narrow, WORDS[y]).sparsify(),
        flr.MiniBatchLogisticRegression(random_state=0, activation="tanh").fit(narrow, y > 1),
        flr.LogisticRegressionCV(
            Cs=2, cv=3, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False
        ).fit(narrow, y),
    )
    for model in models:
        kind = np.float32 if model.coef_.dtype == np.float32 else np.float64
        label, probabilities = run(model, {"X": X.astype(kind)})
        assert_allclose(probabilities, model.predict_proba(narrow), rtol=1e-6, atol=1e-9)
        assert_array_equal(label, model.predict(narrow).astype(label.dtype))


@pytest.mark.parametrize("target", ["two", "three"])
def test_a_model_of_a_table(target):
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(50, 10, n)),
            "site": rng.choice(["oslo", "rome", "graz", "bern"], n, p=[0.5, 0.3, 0.18, 0.02]),
            "grade": rng.integers(1, 4, n),
            "two": rng.choice(["no", "yes"], n),
            "three": rng.integers(0, 3, n),
        }
    )
    frame.loc[::9, "site"] = None
    rows = flr.open_rows(
        frame,
        target=target,
        features=["age", "site", "grade"],
        categorical=["grade"],
        missing="mean",
        min_frequency=20,
        drop_first=True,
    )
    model = flr.LogisticRegression().fit(rows)
    feed = {
        "age": frame[["age"]].to_numpy(),
        "site": frame[["site"]].fillna("").to_numpy(dtype=object, copy=True),
        "grade": frame[["grade"]].astype(str).to_numpy(dtype=object, copy=True),
    }
    label, probabilities = run(model, feed)
    assert_allclose(probabilities, model.predict_proba(frame), rtol=2e-7)
    assert_array_equal(label, model.predict(frame).astype(label.dtype))
    # a level that is new is rare, where there is a column for these, and else unknown
    feed["site"][:] = "paris"
    assert np.isfinite(run(model, feed)[1]).all()
    feed["grade"][:] = "9"
    assert np.isnan(run(model, feed)[1]).all()


@pytest.mark.parametrize("labels", [y, WORDS[y], y > 0])
def test_a_pipeline_is_converted_by_skl2onnx(labels):
    from skl2onnx import to_onnx

    from fastlogreg.io.onnx import register_converters

    register_converters()
    pipeline = make_pipeline(StandardScaler(), flr.LogisticRegression()).fit(X, labels)
    made = to_onnx(pipeline, X[:1].astype(np.float32), options={"zipmap": False})
    session = ort.InferenceSession(made.SerializeToString())
    label, probabilities = session.run(None, {"X": X.astype(np.float32)})
    assert_allclose(probabilities, pipeline.predict_proba(X), atol=1e-6)
    assert_array_equal(label, pipeline.predict(X).astype(label.dtype))


def test_what_can_not_be_a_graph():
    with pytest.raises(NotFittedError):
        flr.to_onnx(flr.LogisticRegression())
    with pytest.raises(TypeError, match="an estimator of fastlogreg, got StandardScaler"):
        flr.to_onnx(StandardScaler())
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "o": [0.0, 0.1, 0.2, 0.3], "y": [0, 1, 0, 1]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", offset="o"))
    with pytest.raises(ValueError, match="need the offset 'o'"):
        flr.to_onnx(model)
    mixed = flr.LogisticRegression().fit(X, y)
    mixed.classes_ = np.array([0.5, 1.5, 2.5])
    with pytest.raises(ValueError, match="whole numbers or text"):
        flr.to_onnx(mixed)
