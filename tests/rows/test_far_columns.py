"""Columns far from 0 in files and partitions: the fit of the same columns near to it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr
from fastlogreg.backends import PassSpec
from fastlogreg.data.centred import NearParts, near_rows
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.layout import Layout

N = 40_000
AWAY = np.array([2e7, -3e5, 0.0, 4e6])


@pytest.fixture(scope="module")
def table():
    """Return columns of which the last is nearly the first, 1e5 to 2e7 spreads away, and labels."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(N, 4))
    X[:, 3] = X[:, 0] + 0.02 * rng.normal(size=N)
    y = (X @ [1.0, -2.0, 0.5, 0.0] + rng.logistic(size=N) > 0).astype(int)
    y[rng.random(N) < 0.2] = 2
    return np.round(X, 6), y


def frame_of(X, y):
    return pd.DataFrame(X, columns=list("abcd")).assign(y=y)


def in_files(X, y, tmp_path, name):
    path = tmp_path / f"{name}.parquet"
    frame_of(X, y).to_parquet(path, row_group_size=6_000)
    return (flr.open_rows(path, target="y", memory_limit=1 << 20),)


def in_partitions(X, y, tmp_path, name):
    array = pytest.importorskip("dask.array")
    return array.from_array(X, chunks=(9_000, 4)), array.from_array(y, chunks=9_000)


@pytest.mark.parametrize("rows_of", [in_files, in_partitions])
@pytest.mark.parametrize(
    ("n_classes", "settings"),
    [
        (2, {"C": 100.0}),
        (3, {"C": 0.01}),
        (2, {"C": 0.002, "l1_ratio": 1.0}),
        (2, {"upper_bounds": 0.4}),
        (2, {"C": np.inf}),
    ],
)
def test_a_fit_is_that_of_the_columns_near_to_0(rows_of, n_classes, settings, table, tmp_path):
    X, y = table
    X, y = X[y < n_classes], y[y < n_classes]
    far = flr.LogisticRegression(**settings).fit(*rows_of(X + AWAY, y, tmp_path, "far"))
    near = flr.LogisticRegression(**settings).fit(*rows_of(X, y, tmp_path, "near"))
    assert far.converged_
    assert far.objective_ == pytest.approx(near.objective_, rel=1e-8)
    assert_allclose(far.coef_, near.coef_, rtol=2e-3, atol=2e-3)
    assert_allclose(far.n_passes_, near.n_passes_, atol=2.0)


@pytest.mark.parametrize("rows_of", [in_files, in_partitions])
@pytest.mark.parametrize("n", [7_000, 36_000])
def test_rows_in_the_order_of_a_far_column(rows_of, n, table, tmp_path):
    """As a table by date: in the first rows, and the first partition, that column is constant."""
    X, y = (each[:n] for each in table)
    day = np.sort(np.floor(30.0 * np.random.default_rng(1).random(n))) - 15.0
    X, y = np.column_stack([X[:, :3], day]), y % 2
    if rows_of is in_partitions:
        day[: min(n, 9_000)] = day[0]
    models = [
        flr.LogisticRegression(C=100.0).fit(*rows_of(X + away, y, tmp_path, str(k)))
        for k, away in enumerate((0.0, [0.0, 0.0, 0.0, 2e7]))
    ]
    assert models[1].converged_
    assert models[1].objective_ == pytest.approx(models[0].objective_, rel=1e-8)
    assert models[1].n_passes_ <= models[0].n_passes_ + 2.0


def test_folds_of_far_columns(table, tmp_path):
    X, y = table
    settings = {"Cs": [0.01, 1.0], "cv": 3, "scoring": "neg_log_loss", "tol": 1e-10}
    settings |= {"l1_ratios": (0.0,), "use_legacy_attributes": False}
    models = [
        flr.LogisticRegressionCV(**settings).fit(*in_files(each, y, tmp_path, str(k)))
        for k, each in enumerate((X, X + AWAY))
    ]
    assert all(model.converged_ for model in models)
    assert_allclose(models[1].scores_, models[0].scores_, rtol=1e-7)


def test_near_parts_are_parts_of_the_rows_moved(table):
    """Some rows of parts, some columns of those, samples: each is that of X minus the middle."""
    from fastlogreg.data.files import TableRows

    X, y = (each[:9_000] for each in table)
    far = flr.open_rows(frame_of(X + AWAY, y % 2), target="y", memory_limit=1 << 20)
    assert isinstance(far, TableRows)
    source = far.source(None)
    middle = source.far_middle
    assert_allclose(middle, AWAY, atol=1.0)
    near = near_rows(source, middle)
    assert near.far_middle is None and source.columns(np.array([2])).far_middle is None
    assert isinstance(near._parts, NearParts)
    moved = X + AWAY - middle
    some, chosen = np.arange(100, 8_000, 3), np.array([0, 2])
    layout, spec = Layout(2), PassSpec(n_threads=1)
    theta = np.linspace(-1.0, 1.0, layout.size)
    expected = MemoryRows(moved[some][:, chosen], y[some] % 2.0).bind(spec)(theta, 2)
    for rows in (
        near.subset(some).columns(chosen),
        near.columns(chosen).subset(some),
        near_rows(source.subset(some), middle).columns(chosen),
        near_rows(source.subset(some).columns(chosen), middle[chosen]),
        near.subset(np.arange(100, 8_000)).subset(some - 100).columns(chosen),
    ):
        for one, other in zip(rows.bind(spec)(theta, 2), expected, strict=True):
            assert_allclose(one, other, rtol=1e-11)
    low, high = near.column_ranges()
    assert_allclose([low, high], [moved.min(axis=0), moved.max(axis=0)])
    drawn = near.sample(8)
    assert abs(drawn.arrays[0]).max() < 10.0 and drawn.n_rows >= 9_000 // 8


@pytest.mark.parametrize("n_classes", [2, 3])
def test_errors_are_those_of_the_columns_near_to_0(n_classes, table, tmp_path):
    X, y = table
    X, y = X[y < n_classes], y[y < n_classes]
    errors = []
    for name, columns in (("near", X), ("far", X + AWAY)):
        (rows,) = in_files(columns, y, tmp_path, name)
        model = flr.LogisticRegression(C=np.inf).fit(rows)
        results = flr.inference(model, rows, cov_type="HC0")
        errors.append(np.asarray(results.bse).reshape(n_classes - 1, -1)[:, 1:])
    assert_allclose(errors[1], errors[0], rtol=1e-6)
