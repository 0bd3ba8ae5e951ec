"""How often files are read, by how many threads, and what is found only far down in them."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlogreg as flr
from fastlogreg.backends import PassSpec
from fastlogreg.data import files
from fastlogreg.data.tables import Columns, File, found_files

LIMIT = 1 << 20
ROWS, COLUMNS, GROUP = 60_000, 4, 5_000


@pytest.fixture
def columns():
    rng = np.random.default_rng(3)
    found = {f"x{j}": rng.normal(size=ROWS) * 10.0**j for j in range(COLUMNS)}
    margin = sum(x / 10.0**j for j, x in enumerate(found.values()))
    return found | {"y": (margin + rng.logistic(size=ROWS) > 0.3).astype(np.int8)}


def written(folder, columns, group=GROUP):
    """Write two files; return their folder."""
    for k, rows in enumerate((slice(None, ROWS // 2), slice(ROWS // 2, None))):
        table = pa.table({name: values[rows] for name, values in columns.items()})
        pq.write_table(table, folder / f"{k}.parquet", row_group_size=group)
    return folder


def opened(folder, limit=LIMIT):
    return flr.open_rows(folder, target="y", memory_limit=limit)


@pytest.fixture
def reads(monkeypatch):
    """Watch which columns of which row groups are read, how often."""
    counted = []
    made = File.parquet_reader

    class Watched:
        def __init__(self, file, reader):
            self.file, self.reader = file, reader

        def read_row_groups(self, groups, columns, **more):
            counted.extend((self.file.path, group, columns[0]) for group in groups)
            return self.reader.read_row_groups(groups, columns=columns, **more)

        def iter_batches(self, rows, **more):
            counted.append((self.file.path, "from the first row on", rows))
            return self.reader.iter_batches(rows, **more)

    monkeypatch.setattr(File, "parquet_reader", lambda self: Watched(self, made(self)))
    return counted


def test_the_look_and_each_pass_read_each_column_of_each_row_group_once(tmp_path, columns, reads):
    rows = opened(written(tmp_path, columns))
    once = 2 * (ROWS // 2 // GROUP) * (COLUMNS + 1)
    assert rows.n_rows == ROWS and not rows.fits_in_memory()
    assert len(reads) == len(set(reads)) == once
    parts = rows.source(None)._parts
    parts._room = 0  # nothing stays
    reads.clear()
    for _ in range(2):
        assert sum(block.rows.n_rows for block in parts.read()) == ROWS
    assert len(reads) == 2 * once and len(set(reads)) == once


def test_a_fit_beyond_memory_is_three_readings_and_the_look(tmp_path, columns, reads):
    model = flr.LogisticRegression().fit(opened(written(tmp_path, columns)))
    once = 2 * (ROWS // 2 // GROUP) * (COLUMNS + 1)
    assert int(model.n_passes_) == 3
    assert len(reads) <= 4 * once + 1  # and the first rows alone
    X = np.column_stack([columns[f"x{j}"] for j in range(COLUMNS)])
    whole = flr.LogisticRegression(tol=1e-12).fit(X, columns["y"])
    assert model.converged_
    assert model.objective_ == pytest.approx(whole.objective_, rel=1e-9)


@pytest.mark.parametrize("group", [300, GROUP, ROWS])
def test_sums_are_those_of_the_formula_whatever_the_row_groups(group, tmp_path, columns):
    source = opened(written(tmp_path, columns, group)).source(None)
    theta = np.array([0.1, 0.5, -0.02, 0.003, 1e-4])
    loss, gradient, hessian = source.bind(PassSpec())(theta, 2)
    X = np.column_stack([np.ones(ROWS), *(columns[f"x{j}"] for j in range(COLUMNS))])
    y, z = columns["y"], X @ theta
    p = 1.0 / (1.0 + np.exp(-z))
    assert loss == pytest.approx(np.sum(np.logaddexp(0.0, z) - y * z), rel=1e-12)
    assert_allclose(gradient, X.T @ (p - y), rtol=1e-11)
    assert_allclose(hessian, (X.T * (p * (1.0 - p))) @ X, rtol=1e-11, atol=1e-8)


def test_the_bits_do_not_depend_on_who_reads(tmp_path, columns, monkeypatch):
    folder = written(tmp_path, columns)
    fits = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(files, "_cores", lambda cores=cores: cores)
        fits.append(flr.LogisticRegression(n_threads=1).fit(opened(folder)))
    for fit in fits[1:]:
        assert_array_equal(fit.coef_, fits[0].coef_)
        assert fit.schema_ == fits[0].schema_


@pytest.mark.parametrize("group", [GROUP, ROWS])
@pytest.mark.parametrize(("value", "what"), [(np.nan, "has no value"), (np.inf, "holds infinity")])
def test_what_stands_in_the_last_row_group_is_refused_with_its_place(
    value, what, group, tmp_path, columns
):
    columns["x2"][-7] = value
    folder = written(tmp_path, columns, group)
    model = flr.LogisticRegression().fit(np.arange(4.0)[:, None], [0, 1, 0, 1])
    before = {name: repr(each) for name, each in vars(model).items()}
    place = rf"1\.parquet, row {ROWS // 2 - 7}: column 'x2' {what}"
    with pytest.raises(ValueError, match=place):
        model.fit(opened(folder))
    assert {name: repr(each) for name, each in vars(model).items()} == before


@pytest.mark.parametrize("group", [GROUP, ROWS])
def test_a_file_that_is_cut_during_a_fit_is_one_error(group, tmp_path, columns):
    rows = opened(written(tmp_path, columns, group))
    assert rows.n_rows == ROWS
    cut = tmp_path / "1.parquet"

    def shorten(n):
        if cut.stat().st_size > 10_000:
            with cut.open("r+b") as file:
                file.truncate(5_000)

    rows.on_rows = shorten
    model = flr.LogisticRegression()
    before = dict(vars(model))
    with pytest.raises(ValueError, match="has changed since it was opened: open it anew"):
        model.fit(rows)
    assert vars(model) == before


def test_columns_are_chosen_and_files_are_sent(tmp_path, columns):
    (first, _) = found_files(str(written(tmp_path, columns)))
    start, data = next(
        pickle.loads(pickle.dumps(first)).batches({"x1": None, "y": None}, 1_000, 0, GROUP)
    )
    assert isinstance(data, Columns) and (start, data.num_rows) == (0, GROUP)
    mask = columns["y"][:GROUP] > 0
    some = data.filter(pa.array(mask))
    assert some.num_rows == mask.sum()
    assert_array_equal(some["x1"].to_numpy(), columns["x1"][:GROUP][mask])
    assert data.num_rows == GROUP


def test_work_ahead_comes_in_order_and_ends_early():
    import threading
    import time

    before = threading.active_count()

    def work(k):
        time.sleep(0.002 * (k % 3 == 0))
        return k

    made = files.in_order(work, iter(range(40)), 3)
    assert list(made) == list(range(40))
    made = files.in_order(work, files.ahead(iter(range(10_000))), 3)
    assert [next(made), next(made)] == [0, 1]
    made.close()
    assert threading.active_count() == before

    def broken(k):
        if k == 3:
            raise ValueError("item 3")
        return k

    made = files.in_order(broken, iter(range(10)), 4)
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(made)
    assert threading.active_count() == before
