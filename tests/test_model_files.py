"""Models in files: round trips, files of former releases, damaged and hostile ones."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import fastlogreg as flr
from tests.rows.test_schema import table

X, y = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"], dtype=object)
STORED = Path(__file__).parent / "data" / "models"


def minibatch(**more):
    return flr.MiniBatchLogisticRegression(random_state=0, **more)


MODELS = {
    "classes": lambda: flr.LogisticRegression(class_weight={0: 1.0, 2: 2.0}).fit(X, y),
    "two classes": lambda: flr.LogisticRegression(C=np.inf, tol=1e-3).fit(X[50:, :2], y[50:] > 1),
    "words": lambda: flr.LogisticRegression(penalty_factors=np.ones(4)).fit(X, WORDS[y]),
    "strings": lambda: flr.LogisticRegression().fit(X, WORDS[y].astype(str)),
    "sparse float32": lambda: (
        flr.LogisticRegression(l1_ratio=0.9, C=0.1).fit(X.astype(np.float32), y).sparsify()
    ),
    "table": lambda: flr.LogisticRegression().fit(
        flr.open_rows(table(), target="y", missing="mean")
    ),
    "cross-validation": lambda: flr.LogisticRegressionCV(
        Cs=[0.1, 1], cv=3, l1_ratios=(0.0, 0.5), scoring="accuracy", use_legacy_attributes=False
    ).fit(X, y),
    "cross-validation, as it was": lambda: flr.LogisticRegressionCV(
        Cs=2, cv=3, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=True
    ).fit(X, y),
    "mini-batches": lambda: minibatch().fit(X, y),
    "mini-batches with Adam": lambda: minibatch(optimizer="adam").partial_fit(
        X[:90], y[:90] > 0, classes=[False, True]
    ),
    "sparse mini-batches": lambda: minibatch().partial_fit(
        csr_array(X[:90]), y[:90], classes=[0, 1, 2]
    ),
}


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


def content(model):
    file = io.BytesIO()
    flr.save(model, file)
    return file.getvalue()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_stored_comes_back(name, models, tmp_path):
    model = models[name]
    flr.save(model, tmp_path / "model.flr")
    again = flr.load(tmp_path / "model.flr")
    rows = table() if name == "table" else X[:, : model.n_features_in_]
    assert type(again) is type(model) and repr(again) == repr(model)
    assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert_array_equal(again.predict(rows), model.predict(rows))
    assert again.classes_.dtype == model.classes_.dtype
    assert set(vars(again)) == set(model.__getstate__()) - {"_sklearn_version", *_formats(model)}
    assert content(again) == content(model)
    if hasattr(model, "partial_fit"):
        labels = model.classes_[np.minimum(y, model.classes_.size - 1)]
        for each in (again, flr.load(tmp_path / "model.flr")):
            each.partial_fit(X, labels)
            other = flr.load(io.BytesIO(content(model))).partial_fit(X, labels)
            assert_array_equal(each.coef_, other.coef_)


def _formats(model):
    return {name for name in model.__getstate__() if name == "_fastlogreg_format"}


def test_a_stream_goes_on_as_the_one_that_was_stored():
    model = minibatch().partial_fit(X[::2], y[::2], classes=[0, 1, 2])
    again = flr.load(io.BytesIO(content(model)))
    for each in (model, again):
        each.partial_fit(X[1::2], y[1::2])
    assert_array_equal(again.coef_, model.coef_)
    assert again.t_ == model.t_


def test_what_can_not_be_stored_is_said(tmp_path):
    target = tmp_path / "model.flr"
    with pytest.raises(NotFittedError):
        flr.save(flr.LogisticRegression(), target)
    with pytest.raises(TypeError, match="an estimator of fastlogreg, got DummyClassifier"):
        from sklearn.dummy import DummyClassifier

        flr.save(DummyClassifier(), target)
    model = flr.LogisticRegression(random_state=np.random.RandomState(0)).fit(X, y)
    with pytest.raises(TypeError, match="the parameter random_state can't be stored"):
        flr.save(model, target)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none$"):
        flr.save(model.set_params(random_state=0), tmp_path / "none" / "model.flr")
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, models):
    target = tmp_path / "model.flr"
    flr.save(models["classes"], target)
    before = target.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        flr.save(models["words"], target)
    assert target.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("path", sorted(STORED.glob("*.flr")), ids=lambda path: path.stem)
def test_files_of_former_releases_are_read(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    model = flr.load(path)
    rows = np.array(expected["rows"])
    if hasattr(model, "schema_"):
        import pandas as pd

        rows = pd.DataFrame(expected["rows"])
    assert_array_equal(np.round(model.predict_proba(rows), 12), expected["probabilities"])
    assert model.predict(rows).tolist() == expected["labels"]


def test_there_are_files_of_former_releases():
    assert len(list(STORED.glob("*.flr"))) >= 4


# --- damaged and hostile files --------------------------------------------------------------------


def header(stored):
    size = int.from_bytes(stored[:8], "little")
    return json.loads(stored[8 : 8 + size]), stored[8 + size :]


def with_header(head, rest):
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + rest


def changed(stored, change):
    """Return a file whose state ``change`` has changed."""
    head, rest = header(stored)
    ours = json.loads(head["__metadata__"]["fastlogreg"])
    change(ours)
    head["__metadata__"]["fastlogreg"] = json.dumps(ours)
    return with_header(head, rest)


def refused(stored, message="no model of fastlogreg, or damaged"):
    with pytest.raises(ValueError, match=message):
        flr.load(io.BytesIO(stored))


def test_hostile_files_are_refused(models):
    stored = content(models["classes"])
    refused(b"")
    refused(b"\x80\x04\x95")
    refused((2**60).to_bytes(8, "little") + b"{}")
    refused(with_header({"a": 1}, b""))
    refused(with_header({"__metadata__": {"fastlogreg": "[" * 100_000}}, b""))
    refused(with_header({"__metadata__": {"fastlogreg": '{"format": NaN}'}}, b""))
    refused(changed(stored, lambda head: head.update(format=2)), "format 2.*upgrade fastlogreg")
    refused(changed(stored, lambda head: head.update({"class": "object"})))
    for name in ("fit", "predict", "__class__", "_theta", "__dict__", "x", "score"):
        refused(changed(stored, lambda head, name=name: head["state"].update({name: 1})))
    for name, value in {
        "coef_": {"texts": ["O", [3, 4], ["a"] * 12]},
        "classes_": {"list": [0, 1, 2]},
        "n_features_in_": 5,
        "n_threads": "many",
        "fit_intercept": 3,
        "feature_names_in_": {"texts": ["O", [3], ["a", "b", "c"]]},
        "schema_": {"schema": {"dict": []}},
        "intercept_": 0.5,
        "history_": {"array": "a0"},
        "C": {"run": "print(1)"},
    }.items():
        refused(changed(stored, lambda head, n=name, v=value: head["state"].update({n: v})))
    refused(changed(stored, lambda head: head["state"].pop("C")))
    large = {
        "csr": {
            "data": {"list": []},
            "indices": {"list": []},
            "indptr": {"list": [0]},
            "shape": [3, 2**40],
            "kind": "csr_array",
        }
    }
    refused(changed(stored, lambda head: head["state"].update(coef_=large)))


def test_the_state_of_mini_batches_must_be_one(models):
    stored = content(models["sparse mini-batches"])

    def state(head):
        return dict((key, value) for key, value in head["state"]["_state"]["dict"])

    def without(head):
        head["state"]["_state"]["dict"].pop(3)

    def swapped(head):
        pairs = head["state"]["_state"]["dict"]
        pairs[0][1], pairs[4][1] = pairs[4][1], pairs[0][1]

    def other(head):
        for pair in head["state"]["_how"]["dict"]:
            if pair[0] == "n_outputs":
                pair[1] = 200

    for change in (without, swapped, other):
        refused(changed(stored, change), "mini-batches")


SAMPLES = [content(MODELS[name]()) for name in ("two classes", "table", "sparse mini-batches")]


@settings(max_examples=300, deadline=None)
@given(
    which=st.integers(0, len(SAMPLES) - 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1),
    cut=st.booleans(),
)
def test_a_damaged_file_is_a_value_error_or_a_model(which, flips, keep, cut):
    stored = bytearray(SAMPLES[which])
    for at, value in flips:
        stored[int(at * (len(stored) - 1))] = value
    if cut:
        del stored[int(keep * len(stored)) :]
    try:
        model = flr.load(io.BytesIO(bytes(stored)))
    except ValueError:
        return
    if not hasattr(model, "schema_"):
        model.predict(np.ones((2, model.n_features_in_)))
