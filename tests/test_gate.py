"""The gate's decisions, on ratios that are made up; what it measures is shown by demo."""

import json

import pytest

pytest.importorskip("typer")
from typer import Typer
from typer.testing import CliRunner

from benchmarks.gate import __main__ as gate
from benchmarks.gate import demo


def measurements(*values):
    left = list(values)
    return lambda name: left.pop(0)


def test_what_holds_is_measured_once():
    [row] = gate.judge({"a": 10.0}, 0.3, measurements(7.1))
    assert row["held"]
    assert row["repeats"] == 1
    assert row["change"] == pytest.approx(-0.29)


def test_a_loss_that_does_not_persist_is_no_loss():
    [row] = gate.judge({"a": 10.0}, 0.3, measurements(2.0, 9.0, 6.0, 9.5, 9.0))
    assert row["held"]
    assert row["measured"] == 9.0


def test_a_loss_that_persists_is_one():
    [a, b] = gate.judge({"a": 10.0, "b": 1.0}, 0.3, measurements(6.6, 6.7, 7.1, 6.5, 6.6, 1.0))
    assert not a["held"]
    assert a["measured"] == 6.6
    assert b["held"]


def test_a_processor_is_held_to_the_nearest_that_is_known():
    stored = {"znver3": {"a": 5.0, "b": 2.0}, "znver5": {"a": 9.0, "b": 1.0, "c": 3.0}}
    stored["icelake-server"] = {"a": 4.0, "d": 6.0}

    def known(cpu):
        return {
            (of.loss, *item)
            for of in gate.references_for(cpu, stored)
            for item in of.ratios.items()
        }

    own, family, other = gate.LOSS, gate.LOSS_IN_FAMILY, gate.LOSS_ELSEWHERE
    assert known("znver3") == {
        *((own, "a", 5.0), (own, "b", 2.0), (family, "c", 3.0), (other, "d", 6.0)),
    }
    assert known("znver4") == {
        *((family, "a", 5.0), (family, "b", 1.0), (family, "c", 3.0), (other, "d", 6.0)),
    }
    assert known("sapphirerapids") == {
        *((family, "a", 4.0), (family, "d", 6.0), (other, "b", 1.0), (other, "c", 3.0)),
    }
    assert known("generic") == {
        *((other, "a", 4.0), (other, "b", 1.0), (other, "c", 3.0), (other, "d", 6.0)),
    }
    assert gate.references_for("generic", {}) == []


@pytest.mark.parametrize(
    ("cpu", "family"),
    [
        ("znver4", "Zen"),
        ("skylake", "Intel with 256-bit vectors"),
        ("skylake-avx512", "Intel with 512-bit vectors"),
        ("apple-m1", "Apple"),
        ("generic", ""),
    ],
)
def test_families(cpu, family):
    assert gate.family_of(cpu) == family


def test_the_stored_references_are_of_todays_ratios():
    stored = json.loads(gate.REFERENCES.read_text())["processors"].values()
    assert set.union(*map(set, stored)) == set(gate.RATIOS)


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setattr(gate, "RATIOS", {"a": lambda: None, "b": lambda: None})
    app = Typer()
    app.command()(gate.main)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_fails_and_names_what_is_lost(command, monkeypatch, tmp_path):
    path = tmp_path / "gate.json"
    monkeypatch.setattr(gate, "measure", lambda ratio: 10.0)
    assert command("--update", "--reference", path).exit_code == 0
    assert command("--reference", path).exit_code == 0
    monkeypatch.setattr(gate, "measure", lambda ratio: 6.0)
    done = command("--reference", path, "--output", tmp_path / "run.json")
    assert done.exit_code == 1
    assert "lost: a: -40%, 5 times" in done.output
    assert [row["held"] for row in json.loads((tmp_path / "run.json").read_text())["rows"]] == [
        False,
        False,
    ]


def test_the_command_wants_references(command, tmp_path):
    done = command("--reference", tmp_path / "none.json")
    assert done.exit_code == 2
    assert "--update stores them" in done.output


def test_a_slowed_kernel_returns_what_the_kernel_does():
    slow = demo.Slowed({"d": lambda a, b: a + b}, 1.5)
    assert slow["d"](1, 2) == 3
