"""Models in files: round trips, files of former releases, damaged and hostile ones."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import fastlogreg as flr
from fastlogreg.io import model_files
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
    "numbers": lambda: flr.LogisticRegression(warm_start=True).fit(
        X, np.array([-1.0, 0.0, 7.0])[y]
    ),
    "small integers": lambda: flr.LogisticRegression().fit(X, np.array([3, 1, 255], np.uint8)[y]),
    "weights of classes": lambda: flr.LogisticRegression(
        class_weight={np.int64(2): np.float32(2.0)}
    ).fit(X, y),
    "named columns": lambda: flr.LogisticRegression().fit(load_iris(as_frame=True).data, y),
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
    rows = {"table": table, "named columns": lambda: load_iris(as_frame=True).data}.get(
        name, lambda: X[:, : model.n_features_in_]
    )()
    assert type(again) is type(model) and repr(again) == repr(model)
    assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert_array_equal(again.predict(rows), model.predict(rows))
    assert again.classes_.dtype == model.classes_.dtype
    assert list(map(type, again.classes_)) == list(map(type, model.classes_))
    assert type(again.coef_) is type(model.coef_) and again.coef_.dtype == model.coef_.dtype
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


@pytest.mark.parametrize("kind", [flr.LogisticRegression, flr.MiniBatchLogisticRegression])
def test_requests_of_metadata_come_back(kind):
    with config_context(enable_metadata_routing=True):
        asking = kind().set_fit_request(sample_weight="w").set_score_request(offset=True)
        again = flr.load(io.BytesIO(content(asking.fit(X, y))))
        expected, found = (each.get_metadata_routing() for each in (asking, again))
        for method in ("fit", "score", "predict"):
            assert getattr(found, method).requests == getattr(expected, method).requests
        again.set_fit_request(sample_weight=False)
        assert flr.load(io.BytesIO(content(again))).get_metadata_routing().fit.requests == {
            "sample_weight": False,
            "offset": None,
        }
    for wrong in ("owner", "consumes", "__class__", "fit"):
        value = {"dict": [[wrong, {"dict": [["run", True]]}]]}
        refused(
            changed(content(again), lambda head, v=value: head["state"].update(_metadata_request=v))
        )


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
    model = flr.LogisticRegressionCV(
        Cs=2, l1_ratios=(0,), use_legacy_attributes=False, scoring=lambda *_: 0.5
    ).fit(X, y)
    with pytest.raises(TypeError, match="the parameter scoring can't be stored: it is a function"):
        flr.save(model, target)
    model = flr.LogisticRegression().fit(X, y)
    model.threshold = 0.3
    with pytest.raises(TypeError, match="the attribute threshold can't be stored"):
        flr.save(model, target)
    del model.threshold
    with pytest.raises(ValueError, match="tol must be at least 0"):
        flr.save(model.set_params(tol=-1.0), target)
    assert not list(tmp_path.iterdir())


def test_files_are_paths_or_binary_files(models, tmp_path):
    model = models["classes"]
    for wrong in (3, None, [b""]):
        with pytest.raises(TypeError, match="file must be a path or a binary file"):
            flr.save(model, wrong)
        with pytest.raises(TypeError, match="file must be a path or a binary file"):
            flr.load(wrong)
    with pytest.raises(TypeError, match="must be a binary file"):
        flr.load(io.StringIO("{}"))
    with pytest.raises(FileNotFoundError):
        flr.load(tmp_path / "none.flr")
    flr.save(model, str(tmp_path / "model.flr"))
    (tmp_path / "link.flr").symlink_to(tmp_path / "model.flr")
    flr.save(models["words"], tmp_path / "link.flr")
    assert (tmp_path / "link.flr").is_symlink()
    with open(tmp_path / "model.flr", "rb") as file:
        assert flr.load(file).classes_[0] == "setosa"


def test_without_safetensors_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['safetensors'] = None\n"
        "import fastlogreg as flr\n"
        "model = flr.LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 0])\n"
        "for use in (lambda: flr.save(model, 'x.flr'), lambda: flr.load('x.flr')):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.count("fastlogreg[files]") == 2


def test_parameters_that_come_later_have_their_defaults(models, monkeypatch):
    stored = content(models["classes"])
    for module in (model_files, sys.modules[flr.LogisticRegression.__mro__[1].__module__]):
        monkeypatch.setattr(module, "STATE_FORMAT", model_files.STATE_FORMAT + 1)
    lacking = changed(stored, lambda head: head["state"].pop("upper_bounds"))
    assert flr.load(io.BytesIO(lacking)).upper_bounds is None
    monkeypatch.undo()
    refused(lacking, "upper_bounds is missing")


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
        "feature_names_in_": {"texts": ["O", [4], ["a", "b", "c", 4]]},
        "schema_": {"schema": {"dict": []}},
        "intercept_": 0.5,
        "history_": {"array": "a0"},
        "C": {"run": "print(1)"},
        "max_iter": {"list": []},
        "solver": "magic",
        "class_weight": 3,
        "upper_bounds": {"list": [1.0]},
        "feature_names_in_ ": 1,  # with a blank
        "few_letters_": {"texts": ["U", [8000], ["a" * 16_000] + ["b"] * 7999]},
    }.items():
        refused(changed(stored, lambda head, n=name, v=value: head["state"].update({n: v})))
    refused(changed(stored, lambda head: head["state"].pop("C")))
    refused(changed(stored, lambda head: head["state"].pop("history_")), "nothing uses the array")
    refused(
        changed(stored, lambda head: head["state"].update(_fastlogreg_format=99)),
        "state format 99.*upgrade fastlogreg",
    )
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
    stored = content(models["table"])
    refused(changed(stored, lambda head: head["state"].pop("feature_names_in_")), "another model")
    refused(
        changed(stored, lambda head: head["state"]["feature_names_in_"]["texts"][2].reverse()),
        "schema_ is of another model",
    )
    many = '{"list":[' + ",".join(['{"list":[]}'] * 2_000_001) + "]}"
    refused(with_header({"__metadata__": {"fastlogreg": many}}, b""), "too many values")


def test_what_is_loaded_can_be_shown(models):
    from fastlogreg.cli.files import summary_tables

    wrong = ("text", None, True, 7, {"list": []}, {"list": ["a"]}, {"dict": [["a", None]]})
    for model in models.values():
        stored = content(model)
        names = json.loads(header(stored)[0]["__metadata__"]["fastlogreg"])["state"]
        for name in names:
            for value in wrong:
                hostile = changed(
                    stored, lambda head, n=name, v=value: head["state"].update({n: v})
                )
                try:
                    found = flr.load(io.BytesIO(hostile))
                except ValueError:
                    continue
                summary_tables(found, 5)
    for name, value in {"objective_": "low", "n_passes_": None, "converged_": 1}.items():
        stored = content(models["table"])
        hostile = changed(stored, lambda head, n=name, v=value: head["state"].update({n: v}))
        refused(hostile, f"{name} must be")


def test_what_is_no_model_is_not_read_whole():
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, n=-1):
            assert n >= 0
            self.taken += n
            return b"0" * n

    file = Endless()
    with pytest.raises(ValueError, match="no model of fastlogreg"):
        flr.load(file)
    assert file.taken == 8


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


def _places(tree, path=()):
    """Return the path of each value in a tree of JSON."""
    inner = {dict: dict.items, list: enumerate}.get(type(tree), lambda _: ())
    return [path, *(found for key, each in inner(tree) for found in _places(each, (*path, key)))]


TREES = [json.loads(header(stored)[0]["__metadata__"]["fastlogreg"]) for stored in SAMPLES]
PLACES = [_places(tree)[1:] for tree in TREES]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["a0", "a1", [], {}, {"array": "a0"}, {"number": "nan"}, {"dict": [[1, 2]]}]),
    st.recursive(
        st.integers(-2, 3) | st.text(max_size=2),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["list", "tuple", "dict", "scalar", "texts", "record", "csr", "schema"]
            ),
            st.lists(inner, max_size=4),
            max_size=2,
        ),
        max_leaves=6,
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_a_header_is_a_value_error_or_a_model(data):
    which = data.draw(st.integers(0, len(SAMPLES) - 1))

    def change(head):
        for _ in range(data.draw(st.integers(1, 3))):
            *path, last = data.draw(st.sampled_from(PLACES[which]))
            try:
                at = head
                for key in path:
                    at = at[key]
                if data.draw(st.booleans()):
                    del at[last]
                else:
                    at[last] = data.draw(VALUES)
            except (KeyError, IndexError, TypeError):
                pass  # a former change took it away

    stored = changed(SAMPLES[which], change)
    try:
        model = flr.load(io.BytesIO(stored))
    except ValueError:
        return
    content(model)
    if not hasattr(model, "feature_names_in_"):
        model.predict(np.ones((2, model.n_features_in_)))
