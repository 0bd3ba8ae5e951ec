"""The comparison: what is measured, left out, drawn and stored."""

import io
import json

import numpy as np
import pytest

import fastlogreg as flr
from fastlogreg.cli import compare, measuring


@pytest.fixture(scope="module")
def rows():
    return list(compare.measure((300, 100), 3, threads=2, round_seconds=0.02))


def test_each_backend_at_each_size(rows):
    assert [(r.n, r.backend, r.n_threads) for r in rows] == [
        (n, backend, n_threads)
        for n in (100, 300)
        for backend, n_threads in (("loop", 1), ("numpy", 2), ("numba", 1), ("numba", 2))
    ]
    for row in rows:
        assert row.best is not None
        assert 0 < row.best <= row.median
        assert row.rounds >= 1
        assert row.n_bytes == row.n * (3 * 8 + 8)
        assert row.bandwidth == row.n_bytes / row.best


def test_softmax_is_measured_alike():
    from rich.console import Console

    rows = list(compare.measure((60,), 3, classes=10, threads=1, round_seconds=0.02))
    assert [r.backend for r in rows] == ["loop", "numpy", "numba"]
    assert all(row.best is not None and row.classes == 10 for row in rows)
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(compare.table(rows))
    assert "3 features, 10 classes, float64" in console.export_text()
    X, y, theta = measuring.make_classes(50, 3, 4, "float32")
    assert X.dtype == np.float32
    assert theta.shape == (4, 4)
    assert set(y) <= {0.0, 1.0, 2.0, 3.0}


def test_the_loop_is_left_out_where_it_would_take_too_long():
    rows = list(compare.measure((50, 100_000), 2, loop_seconds=1e-3, round_seconds=0.02))
    small, large = (r for r in rows if r.backend == "loop")
    assert small.loop_measured
    assert large.best is None
    assert not large.loop_measured
    assert large.loop_best == pytest.approx(small.best / 50 * 100_000)


def test_data_is_seeded_and_of_the_dtype_asked_for():
    first, second = measuring.make_data(20, 3, "float32"), measuring.make_data(20, 3, "float32")
    assert first[0].dtype == np.float32
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(first[1]) <= {0.0, 1.0}


def test_petals_train_alike():
    petals = compare.train_petals(n_epochs=3)
    assert [p.backend for p in petals] == ["loop", "numpy", "numba"]
    assert np.ptp([p.theta for p in petals], axis=0).max() < 1e-12


def test_fits_are_measured_on_the_same_footing():
    fits = compare.fit_cancer(seconds=0.05)
    ours, newton, lbfgs = fits
    assert 0 <= ours.above_optimum < 1e-8
    assert not ours.warned
    assert newton.above_optimum < 1e-6
    assert lbfgs.warned  # the reason that this data is shown


def test_table_says_what_was_left_out(rows):
    from rich.console import Console

    left_out = list(compare.measure((50, 5_000), 2, loop_seconds=0.0, round_seconds=0.02))
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(compare.table(left_out))
    text = console.export_text()
    assert "left out" in text
    assert "~" in text


def test_report_goes_through_json(rows):
    stored = json.loads(json.dumps(compare.report(rows, [], [], "fastlogreg compare")))
    assert stored["format"] == 1
    assert stored["machine"]["fastlogreg"] == flr.__version__
    assert [r["n"] for r in stored["rows"]] == [r.n for r in rows]
    assert stored["rows"][0]["bandwidth"] == rows[0].bandwidth


def test_chart_is_a_picture(rows, tmp_path):
    path = tmp_path / "chart.png"
    compare.chart(rows, path, "fastlogreg compare")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000
