"""Folders whose names hold columns, and data sets that make other columns: against pyarrow."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

import fastlogreg as flr

N = 60
X = np.arange(N) / 7
Y = np.arange(N) % 2
HIVE = ds.partitioning(pa.schema([("g", pa.string())]), flavor="hive")


def written(folder, values):
    """Write a folder for each of the values, of which each row holds one; return these."""
    g = [values[i % len(values)] for i in range(N)]
    table = pa.table({"x": X, "g": pa.array(g, pa.string()), "y": Y})
    ds.write_dataset(table, folder, format="parquet", partitioning=HIVE)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["a b/c", "ü=1", "c%20"], ["a b/c", "c%20", "ü=1"]),
        (["1", "b", "nan"], ["1", "b", "nan"]),
        (["1", None, "b"], ["1", "b", "nan"]),
    ],
)
def test_names_of_folders_are_read_as_pyarrow_writes_them(values, levels, tmp_path):
    written(tmp_path / "g", values)
    for source in (tmp_path / "g", ds.dataset(tmp_path / "g", partitioning=HIVE)):
        rows = flr.open_rows(source, target="y", missing="mean")
        assert rows.schema.names().tolist() == ["x", *(f"g_{level}" for level in levels)]
        found = rows.collect()
        order = np.rint(found.matrix.toarray()[:, 0] * 7).astype(int)
        wanted = [levels.index(values[i % 3] or "nan") for i in order]
        assert_array_equal(found.matrix.toarray()[:, 1:], np.eye(3)[wanted])
        assert_array_equal(found.targets, Y[order])
    if None in values:
        with pytest.raises(ValueError, match="column 'g' has no value"):
            _ = flr.open_rows(tmp_path / "g", target="y").schema


def test_a_category_of_folders_has_its_levels_as_they_are_written(tmp_path):
    written(tmp_path / "g", ["01", "02", "10"])
    levels = ["g_01", "g_02", "g_10"]
    numbers = flr.open_rows(tmp_path / "g", target="y")
    text = flr.open_rows(tmp_path / "g", target="y", categorical=["g"])
    declared = flr.open_rows(ds.dataset(tmp_path / "g", partitioning=HIVE), target="y")
    assert numbers.schema.names().tolist() == ["x", "g"]
    assert text.schema.names().tolist() == ["x", *levels]
    assert declared.schema.names().tolist() == ["x", *levels]
    # levels that all look like numbers are those of the model, if it has such
    model = flr.LogisticRegression().fit(text)
    one = ds.dataset(tmp_path / "g" / "g=01")
    alone = one.to_table().append_column("g", pa.array(["01"] * 20))
    (tmp_path / "new").mkdir()
    (tmp_path / "g" / "g=01").rename(tmp_path / "new" / "g=01")
    found = model.predict_proba(flr.open_rows(tmp_path / "new"))
    assert_array_equal(found, model.predict_proba(alone))


def test_a_column_of_the_file_is_not_that_of_its_folder(tmp_path):
    for name in ("g=1", "g=2"):
        (tmp_path / name).mkdir()
        table = pa.table({"x": X, "y": Y, "g": [f"of {name}"] * N})
        pq.write_table(table, tmp_path / name / "rows.parquet")
    names = flr.open_rows(tmp_path, target="y").schema.names().tolist()
    assert names == ["x", "g_of g=1", "g_of g=2"]


def test_folders_alone_are_features_also_of_empty_files(tmp_path):
    for name, rows in (("g=1", 0), ("g=2", N), ("g=3", N)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"y": Y[:rows]}), tmp_path / name / "rows.parquet")
    model = flr.LogisticRegression().fit(flr.open_rows(tmp_path, target="y"))
    assert model.predict(flr.open_rows(tmp_path)).shape == (2 * N,)


def test_data_sets_are_what_they_declare(tmp_path):
    table = pa.table({"x": X, "code": np.arange(N) % 3, "y": Y})
    pq.write_table(table, tmp_path / "rows.parquet")
    text = table.schema.set(1, pa.field("code", pa.string()))
    rows = flr.open_rows(ds.dataset(tmp_path, schema=text), target="y")
    assert rows.schema.names().tolist() == ["x", "code_0", "code_1", "code_2"]
    some = flr.open_rows(ds.dataset(tmp_path).filter(pc.field("x") > 3), target="y")
    assert_array_equal(some.collect().matrix[:, 0], X[X > 3])
