"""What the benchmark commands make of their measurements."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("typer")
from benchmarks import cold_start, growth, minibatch_classes, roofline, softmax_kernels, threads
from benchmarks.harness import ceilings


@pytest.fixture
def machine(monkeypatch):
    """A machine of 10 bytes, 100 multiply-adds, 5 pointwise rows a second."""
    monkeypatch.setattr(ceilings, "bandwidth", lambda size, n_threads: 10.0)
    monkeypatch.setattr(ceilings, "multiply_adds", lambda n_threads: 100.0)
    monkeypatch.setattr(ceilings, "pointwise", lambda n_threads, *, loss=True: 5.0)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (roofline.Cost(50, 100, 5), ("bandwidth", 5.0)),
        (roofline.Cost(5, 300, 5), ("multiply-adds", 4.0)),
        (roofline.Cost(5, 50, 50), ("pointwise", 10.5)),
        (roofline.Cost(50, 100, 0), ("bandwidth", 5.0)),
    ],
)
def test_what_takes_longest_is_the_bound(machine, cost, expected):
    assert roofline.bound(cost, 1) == expected


def test_costs_are_counted_from_the_shape():
    assert roofline.gradient(100, 3, 8) == (100 * (24 + 8), 600, 100, True)
    assert roofline.gradient(100, 3, 4).n_bytes == 100 * (12 + 8)
    p = 4
    assert roofline.hessian(100, 3, 8).multiply_adds == 600 + 100 * p * (p + 1) / 2
    assert roofline.prediction(100, 3, 8) == (100 * (24 + 16), 300, 100, False)


def test_the_roofs_are_measured():
    assert ceilings.bandwidth(2**15, 1) > 1e7
    assert ceilings.pointwise(1) > 1e5


def test_the_exponent_of_a_power_law():
    seconds = {n: 3e-9 * n**1.5 for n in (30_000, 100_000, 1_000_000)}
    assert growth.exponent(seconds) == pytest.approx(1.5)
    # what is too small to count does not
    assert growth.exponent({1_000: 1.0, **seconds}) == pytest.approx(1.5)


def test_thread_counts_end_at_all_of_them(monkeypatch):
    from fastlogreg.backends import numba as kernels

    for most, expected in ((1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))):
        monkeypatch.setattr(kernels, "default_threads", lambda most=most: most)
        assert threads.counts() == expected


def test_cold_start_says_what_it_misses():
    seconds = {
        "import numba": 1.0,
        "import fastlogreg": 1.05,
        "fit iris, scikit-learn": 1.0,
        "fit iris": 1.4,
        "every dense float64 fit, nothing compiled": 7.0,
    }
    assert cold_start.missed(seconds) == ["fit iris: 1.40 s, not 1.30 s"]


def test_every_program_of_the_cold_start_can_run():
    for code, _ in cold_start.PROGRAMS.values():
        compile(code, "program", "exec")


def test_stored_figures_name_their_command(tmp_path):
    output = tmp_path / "threads.json"
    command = ["-m", "benchmarks.threads", "--quick", "--output", str(output)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    stored = json.loads(output.read_text())
    assert stored["command"] == " ".join(["python", *command])
    assert stored["machine"]["n_threads"] >= 1
    assert {row["operation"] for row in stored["rows"]} == set(threads.OPERATIONS)


def test_minibatch_table_finds_what_falls_short():
    from benchmarks import minibatch_table

    def epoch(batch, seconds):
        return {
            "kind": "epoch",
            "case": "c",
            "batch": batch,
            "epoch_s": seconds,
            "over_sgd": 1.0 / seconds,
            "reads": 30.0 * seconds,
        }

    def target(peer, seconds):
        return {"kind": "target", "case": "c", "peer": peer, "target": 1e-2, "seconds": seconds} | {
            "limit_s": 5.0
        }

    fine = [epoch(1, 0.2), epoch(256, 0.04), target("fastlogreg", 0.1), target("torch", 0.2)]
    assert minibatch_table.missed([*fine, target("SGDClassifier", None)]) == []
    found = minibatch_table.missed([epoch(256, 0.1), *fine[2:3], target("SGDClassifier", 0.05)])
    assert [line.split(":")[0] for line in found] == [
        "c, batch 256",
        "c, batch 256",
        "c, 0.01",
        "geometric mean over SGDClassifier",
    ]


def test_minibatch_table_measures(tmp_path):
    out = tmp_path / "minibatch.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.minibatch_table", "--quick", "--output", str(out)],
        check=True,
        capture_output=True,
    )
    rows = json.loads(out.read_text())["rows"]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert [row["batch"] for row in epochs] == [1, 32, 256, 4096]
    assert all(
        row["epoch_s"] > 0 and row["read_s"] > 0 and row["sgd_epoch_s"] > 0 for row in epochs
    )
    ours = [row for row in rows if row.get("peer") == "fastlogreg"]
    assert [row["target"] for row in ours] == [1e-2, 1e-3]
    assert all(row["seconds"] is not None for row in ours)


@pytest.mark.parametrize("shape", softmax_kernels.SMALL_SHAPES, ids=lambda shape: shape.text)
def test_all_who_evaluate_softmax_agree(shape):
    rows = softmax_kernels.measure(shape, 2, 0.02)
    assert {"NumPy", "fastlogreg", "scikit-learn"} <= {row["who"] for row in rows}
    for row in rows:
        assert row["loss_off"] < 1e-12
        assert row["gradient_off"] < 1e-11
        assert row["gflops"] > 0


def test_mini_batches_of_several_classes_come_near_the_optimum():
    rows = {row["who"]: row for row in minibatch_classes.measure(20_000, 5, 3, 0.1, (256,))}
    assert set(rows) >= {"fastlogreg 256", "SGDClassifier"}
    assert 0.0 < rows["fastlogreg 256"]["above_3"] < 1e-3


def test_every_module_can_be_imported_where_asv_imports_it():
    """asv's environment has the extras cli and plot, and imports all there is in the folder."""
    program = """
import importlib, pkgutil, sys
for absent in ("pandas", "polars", "pyarrow", "dask", "distributed", "formulaic", "statsmodels"):
    sys.modules[absent] = None
import benchmarks
for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
