"""What is learned of columns, and how batches become numbers, against scikit-learn's encoders."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import issparse
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

import fastlogreg as flr
from fastlogreg.data.schema import Schema


def table():
    rng = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame(
        {
            "x": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n) * 3 + 1),
            "c": rng.choice(["red", "green", "blue", "teal"], n, p=[0.5, 0.3, 0.18, 0.02]),
            "k": rng.integers(0, 3, n),
            "b": rng.random(n) < 0.5,
            "y": rng.integers(0, 2, n),
        }
    )
    frame.loc[::11, "c"] = None
    return frame


def dense(matrix):
    return matrix.toarray() if issparse(matrix) else matrix


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("least", [None, 20, 0.05])
def test_rows_are_those_of_scikit_learns_encoders(drop, least):
    frame = table()
    rows = flr.open_rows(
        frame,
        target="y",
        missing="mean",
        categorical=["k"],
        drop_first=drop,
        min_frequency=least,
    )
    whole = rows.collect()
    encoder = OneHotEncoder(sparse_output=False, min_frequency=least)
    expected = make_column_transformer(
        (SimpleImputer(), ["x"]),
        (encoder, ["c"]),
        (OneHotEncoder(sparse_output=False), ["k"]),
        ("passthrough", ["b"]),
        verbose_feature_names_out=False,
    )
    found = expected.fit_transform(frame.drop(columns="y")).astype(float)
    names = expected.get_feature_names_out().tolist()
    names = [
        name.replace("_None", "_nan").replace("infrequent_sklearn", "infrequent") for name in names
    ]
    ours = rows.schema.names().tolist()
    if drop:
        assert [name for name in names if name not in ours] == [
            "c_blue" if "c_blue" in names else "c_green",
            "k_0",
        ]
        found = found[:, [names.index(name) for name in ours]]
        names = [name for name in names if name in ours]
    assert ours == names
    assert_allclose(dense(whole.matrix), found)
    assert_allclose(rows.schema.scales(), dense(whole.matrix).std(axis=0), atol=1e-12)
    assert whole.matrix.has_sorted_indices if issparse(whole.matrix) else True


def test_a_table_of_numbers_is_dense_and_in_columns():
    frame = table()[["k", "b", "y"]]
    matrix = flr.open_rows(frame, target="y").collect().matrix
    assert matrix.flags.f_contiguous and matrix.dtype == np.float64
    assert_array_equal(matrix, frame[["k", "b"]].to_numpy(float))
    narrow = flr.open_rows(frame, target="y", dtype="float32").collect().matrix
    assert narrow.dtype == np.float32


def test_levels_that_only_predictions_meet():
    frame = pd.DataFrame({"c": ["a"] * 10 + ["b"] * 10 + ["z"], "y": [0, 1] * 10 + [1]})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", min_frequency=2))
    assert model.feature_names_in_.tolist() == ["c_a", "c_b", "c_infrequent"]
    new, rare = (model.predict_proba(pd.DataFrame({"c": [level]})) for level in ("new", "z"))
    assert_array_equal(new, rare)


def test_levels_are_compared_as_text(tmp_path):
    frame = pd.DataFrame({"k": [1, 2, 3, 1, 2, 3], "y": list("nynyyn")})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y", categorical=["k"]))
    frame.to_csv(tmp_path / "k.csv", index=False)
    from_text = model.predict_proba(flr.open_rows(tmp_path / "k.csv"))
    assert_array_equal(from_text, model.predict_proba(frame))
    floats = model.predict_proba(frame.astype({"k": float}).drop(columns="y"))
    assert_array_equal(from_text, floats)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 2, 3, 30], ["1.0", "2.00", "3.0", "30.0"]), ([True, False], ["True", "False"])],
)
def test_levels_that_a_csv_file_writes_otherwise_are_not_rare(first, second, tmp_path):
    k = first * 5 + first[:1]
    frame = pd.DataFrame({"k": k, "y": np.arange(len(k)) % 3 == 0})
    other = frame.assign(k=[second[first.index(level)] for level in k])
    frame.to_parquet(tmp_path / "k.parquet")
    other.to_csv(tmp_path / "k.csv", index=False)
    one, two = (
        flr.open_rows(tmp_path / name, target="y", categorical=["k"], min_frequency=6)
        for name in ("k.parquet", "k.csv")
    )
    for rows, new in ((one, two), (two, one)):
        model = flr.LogisticRegression().fit(rows)
        assert model.schema_.columns[0].rare
        assert_array_equal(model.predict_proba(new), model.predict_proba(rows))


def test_levels_that_two_ways_of_writing_tell_apart_stay_apart():
    frame = pd.DataFrame(
        {"k": ["1", "1.0", "01", "2.0"] * 4, "y": [0, 0, 1, 1, 0, 1] * 2 + [0] * 4}
    )
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    assert model.schema_.columns[0].levels == ("01", "1", "1.0", "2.0")
    two = model.predict_proba(pd.DataFrame({"k": ["2.0", "2"]}))
    assert_array_equal(two[0], two[1])
    for unknown in ("1.00", "02", "1.5"):
        with pytest.raises(ValueError, match=f"has '{unknown}', which is none"):
            model.predict(pd.DataFrame({"k": [unknown]}))


@pytest.mark.parametrize(
    "labels",
    [["n", "y"], [0, 1], [-1, 1], [False, True], ["b", "a", "c"], [3, 1, 2]],
)
def test_labels_keep_their_kind(labels):
    rng = np.random.default_rng(0)
    y = np.array(labels)[rng.integers(0, len(labels), 60)]
    frame = pd.DataFrame({"x": rng.normal(size=60), "y": y})
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    plain = flr.LogisticRegression().fit(frame[["x"]].to_numpy(), y)
    assert model.classes_.tolist() == plain.classes_.tolist()
    assert_array_equal(model.predict(frame), plain.predict(frame[["x"]].to_numpy()))
    assert_allclose(model.coef_, plain.coef_)


def test_a_frame_of_encoded_columns_is_taken_as_it_is():
    frame = table().dropna()
    model = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    whole = flr.open_rows(frame, target="y").collect()
    again = pd.DataFrame(dense(whole.matrix), columns=model.feature_names_in_)
    assert_allclose(model.predict_proba(again), model.predict_proba(frame), rtol=1e-12)


def test_a_column_without_a_name_is_no_feature(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]})
    frame.to_csv(tmp_path / "rows.csv")  # and the numbers of its rows
    model = flr.LogisticRegression().fit(flr.open_rows(tmp_path / "rows.csv", target="y"))
    assert model.feature_names_in_.tolist() == ["x"]
    without = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    for each in (model, without):
        found = each.predict_proba(flr.open_rows(tmp_path / "rows.csv"))
        assert np.array_equal(found, each.predict_proba(frame))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_column_that_is_empty_in_one_file(kind, order, tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "s": [None, None, "a", "b"], "y": [0, 1] * 2})
    paths = [tmp_path / f"{k}.{kind}" for k in (0, 1)]
    for k, path in enumerate(paths):
        part = frame.iloc[2 * k : 2 * k + 2]
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path)
    rows = flr.open_rows([paths[k] for k in order], target="y", missing="mean")
    model = flr.LogisticRegression().fit(rows)
    assert model.feature_names_in_.tolist() == ["x", "s_a", "s_b", "s_nan"]
    assert model.predict(flr.open_rows(paths[0])).size == 2


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["a", "b", "z"])])
def test_categories_of_polars(dtype):
    frame = pl.DataFrame({"s": ["a", "b", None, "b"], "y": [0, 1, 0, 1]})
    frame = frame.with_columns(pl.col("s").cast(dtype))
    rows = flr.open_rows(frame, target="y", missing="mean")
    assert rows.schema.names().tolist() == ["s_a", "s_b", "s_nan"]
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert rows.collect().matrix.toarray().tolist() == expected


def test_the_schema_is_json():
    rows = flr.open_rows(table(), target="y", missing="mean", min_frequency=20, drop_first=True)
    schema = rows.schema
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


def paths(tree, at=()):
    yield at
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from paths(tree[key], (*at, key))


STORED = flr.open_rows(table(), target="y", missing="mean", min_frequency=20).schema.to_dict()


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from([path for path in paths(STORED) if path]),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([]), st.just({})
    ),
)
def test_a_damaged_schema_is_a_value_error_or_a_schema(path, value):
    damaged = json.loads(json.dumps(STORED))
    inner = damaged
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        schema = Schema.from_dict(damaged)
    except ValueError:
        return
    assert schema.width == len(schema.names())


@pytest.mark.parametrize("coded", [False, True])
def test_decimals_are_labels(coded):
    labels = pa.array([3, 1, 3, 1]).cast(pa.decimal128(20, 0))
    rows = pa.table(
        {"x": [1.0, 2.0, 3.0, 4.0], "y": labels.dictionary_encode() if coded else labels}
    )
    model = flr.LogisticRegression().fit(flr.open_rows(rows, target="y"))
    assert model.classes_.tolist() == [1, 3] and model.classes_.dtype == np.int64
    assert model.score(rows) == np.mean(model.predict(rows) == [3, 1, 3, 1])
    broken = rows.set_column(1, "y", pa.array(["0.5", "1", "2", "1"]).cast(pa.decimal128(3, 1)))
    with pytest.raises(ValueError, match="this looks like a quantity"):
        flr.LogisticRegression().fit(flr.open_rows(broken, target="y"))


def test_sparse_columns_of_pandas_are_read():
    frame = pd.DataFrame({"x": np.arange(8.0), "site": ["a", "b", "c", "a"] * 2})
    dense = pd.get_dummies(frame, dtype=float).assign(y=[0, 1, 1, 0, 1, 0, 0, 1])
    sparse = pd.get_dummies(frame, dtype=float, sparse=True).assign(y=dense.y)
    assert any(isinstance(dtype, pd.SparseDtype) for dtype in sparse.dtypes)
    model = flr.LogisticRegression().fit(flr.open_rows(sparse, target="y"))
    same = flr.LogisticRegression().fit(flr.open_rows(dense, target="y"))
    assert model.coef_.tolist() == same.coef_.tolist()
    assert model.predict_proba(sparse).tolist() == same.predict_proba(dense).tolist()


def test_labels_that_float64_does_not_tell_apart_are_refused(tmp_path):
    labels = [2**53, 2**53 + 1, 7, -(2**53) - 1]
    text = "x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "rows.csv").write_text(text)
    decimals = pa.table({"x": range(4), "y": pa.array(labels).cast(pa.decimal128(20, 0))})
    for source in (tmp_path / "rows.csv", decimals):
        with pytest.raises(ValueError, match="target 'y' has 9007199254740992: from"):
            flr.LogisticRegression().fit(flr.open_rows(source, target="y"))
    whole = pa.table({"x": range(4), "y": labels})
    model = flr.LogisticRegression().fit(flr.open_rows(whole, target="y"))
    assert model.classes_.tolist() == sorted(labels)
    (tmp_path / "rows.csv").write_text(text.replace("9007", "8007"))
    model = flr.LogisticRegression().fit(flr.open_rows(tmp_path / "rows.csv", target="y"))
    assert model.classes_.size == 4


@pytest.mark.parametrize("name", ["column_names", "schema", "to_arrow", "num_rows"])
def test_a_column_may_have_the_name_of_a_method(name):
    frame = pd.DataFrame({name: np.arange(6.0), "num_rows_": 1.0, "y": [0, 1] * 3})
    rows = flr.open_rows(frame, target="y")
    assert rows.schema.names().tolist() == [name, "num_rows_"]
    assert flr.LogisticRegression().fit(rows).predict(frame).shape == (6,)


@pytest.mark.parametrize(
    "change",
    [
        {"target": None},
        {"target": "x"},
        {"offset": "c"},
        {"sample_weight": "k", "offset": "k"},
        {"unused": ["x"]},
        {"classes": [1, 0]},
        {"classes": [0, 0]},
        {"classes": [0, "1"]},
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(change):
    with pytest.raises(ValueError, match="the stored schema is damaged"):
        Schema.from_dict({**STORED, **change})
