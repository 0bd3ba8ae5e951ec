"""Measuring all stored figures again: what is done, left as it is, and gone on with."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("typer")
from typer import Typer
from typer.testing import CliRunner

from benchmarks import refresh
from benchmarks.harness import stored
from benchmarks.harness.stored import Figure

TABLE = {
    figure.name: figure
    for figure in (
        Figure("short", ("benchmarks.short",)),
        Figure("table", ("benchmarks.table_of_cases",), pieces=("a", "b", "c")),
        Figure("long", ("benchmarks.long",), resumes=True),
        Figure("whole", ("fastlogreg", "compare"), whole_folder=True),
    )
}


class Commands:
    """Stands for the processes: notes what is called and writes what the command would."""

    def __init__(self):
        self.called = []
        self.interrupted_at = self.fails_at = None
        self.status = {}

    def __call__(self, arguments, minutes=None):
        module, output = arguments[1], arguments[arguments.index("--output") + 1]
        case = arguments[-1] if "--cases" in arguments else None
        name = next(n for n, figure in TABLE.items() if figure.run[0] == module)
        self.called.append((name, case))
        if self.interrupted_at == (name, case):
            raise KeyboardInterrupt
        if self.fails_at == (name, case):
            return 1
        path = Path(output)
        path = path / f"{name}.json" if TABLE[name].whole_folder else path
        before = stored.read(path)
        rows = (before["rows"] if before else []) + [{"case": case}]
        data = {"command": "a piece", "machine": stored.machine(), "rows": rows}
        stored.write(data if name == "whole" else {**data, "code": stored.code()}, path)
        return self.status.get(name, 0)


@pytest.fixture
def commands(monkeypatch):
    commands = Commands()
    monkeypatch.setattr(refresh, "FIGURES", TABLE)
    monkeypatch.setattr(refresh, "_run", commands)
    return commands


@pytest.fixture
def run(tmp_path):
    app = Typer()
    app.command()(refresh.main)
    folders = ["--folder", str(tmp_path / "figures"), "--work", str(tmp_path / "work")]
    return lambda *arguments: CliRunner().invoke(app, [*arguments, *folders])


def figures(tmp_path):
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "figures").iterdir()}


EVERYTHING = [
    ("short", None),
    ("table", "a"),
    ("table", "b"),
    ("table", "c"),
    ("long", None),
    ("whole", None),
]


def test_everything_is_measured_in_order_and_then_left_as_it_is(commands, run, tmp_path):
    assert run().exit_code == 0
    assert commands.called == EVERYTHING
    found = figures(tmp_path)
    assert [row["case"] for row in found["table"]["rows"]] == ["a", "b", "c"]
    assert found["short"]["command"] == (
        "python -m benchmarks.short --output docs/benchmarks/short.json"
    )
    assert found["whole"]["command"] == "fastlogreg compare --output docs/benchmarks"
    assert found["whole"]["code"] == stored.code()  # the command itself knows nothing of it
    assert list((tmp_path / "work").iterdir()) == []

    commands.called.clear()
    done = run()
    assert done.exit_code == 0
    assert commands.called == []
    assert run("--again").exit_code == 0
    assert commands.called == EVERYTHING


def test_an_interrupted_run_goes_on_where_it_stopped(commands, run, tmp_path):
    run()
    before = figures(tmp_path)["table"]
    commands.called.clear()
    stale = {**before, "code": {"hash": "another", "commit": "0123abc"}}
    stored.write(stale, tmp_path / "figures" / "table.json")
    commands.interrupted_at = ("table", "b")
    done = run()
    assert done.exit_code == 130
    assert commands.called == [("table", "a"), ("table", "b")]
    assert figures(tmp_path)["table"] == stale  # until the new one is complete

    commands.interrupted_at = None
    commands.called.clear()
    assert run().exit_code == 0
    assert commands.called == [("table", "b"), ("table", "c")]
    assert figures(tmp_path)["table"] == before


def test_what_was_begun_with_other_code_is_begun_anew(commands, run, tmp_path, monkeypatch):
    commands.interrupted_at = ("table", "c")
    run("--only", "table")
    commands.interrupted_at = None
    commands.called.clear()
    monkeypatch.setattr(stored, "code", lambda: {"hash": "edited", "commit": "0123abc+"})
    assert run("--only", "table").exit_code == 0
    assert commands.called == [("table", "a"), ("table", "b"), ("table", "c")]


def test_what_fails_is_named_and_the_others_are_measured(commands, run, tmp_path):
    commands.fails_at = ("table", "b")
    done = run()
    assert done.exit_code == 1
    assert "failed: table (b: status 1)" in done.output
    assert set(figures(tmp_path)) == {"short", "long", "whole"}


def test_what_says_no_is_stored_and_what_was_interrupted_is_gone_on_with(commands, run, tmp_path):
    commands.status = {"short": 1, "long": 130}
    done = run()
    assert "short: its command ended with status 1" in done.output
    assert done.exit_code == 1
    assert "failed: long" in done.output
    assert set(figures(tmp_path)) == {"short", "table", "whole"}
    assert (tmp_path / "work" / "long.json").exists()

    commands.called.clear()
    commands.status = {}
    assert run().exit_code == 0
    assert commands.called == [("long", None)]
    assert len(figures(tmp_path)["long"]["rows"]) == 2  # it was given what there was


def test_after_its_minutes_no_command_is_started(commands, run, tmp_path):
    done = run("--minutes", "0")
    assert done.exit_code == 1
    assert commands.called == []
    assert "failed: short (no time left)" in done.output


def test_what_is_slow_is_measured_where_it_is_asked_for(commands, run, monkeypatch):
    slow = replace(TABLE["short"], slow=True)
    monkeypatch.setattr(refresh, "FIGURES", TABLE | {"short": slow})
    run()
    assert ("short", None) not in commands.called
    run("--only", "short")
    assert commands.called[-1] == ("short", None)
    commands.called.clear()
    run("--again", "--slow")
    assert commands.called == EVERYTHING


def test_a_command_that_takes_too_long_is_ended():
    sleep = ["-c", "import time; time.sleep(60)"]
    assert refresh._run(sleep, 0.005) == refresh._CUT
    assert refresh._run(["-c", "raise SystemExit(3)"], 1.0) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a group are POSIX")
def test_an_interrupt_waits_for_the_command(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    open(sys.argv[1], 'w').write('stored')\n"
    )
    out = tmp_path / "out"
    code = (
        "import signal, sys\n"
        "from benchmarks import refresh\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    refresh._run(sys.argv[1:])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(script), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=stored.ROOT,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert out.read_text() == "stored"


def test_the_list_says_what_is_not_as_here_and_measures_nothing(commands, run, tmp_path):
    run("--only", "short,table")
    commands.called.clear()
    path = tmp_path / "figures" / "table.json"
    data = stored.read(path)
    machine = {**data["machine"], "cpu": "i486"}
    code = {"hash": "another", "commit": "0123abc"}
    stored.write({**data, "machine": machine, "code": code, "rows": data["rows"][:1]}, path)
    listed = " ".join(run("--list").output.split())
    assert commands.called == []
    assert "up to date" in listed
    assert "not measured" in listed
    for reason in ("cpu i486, here", "code of commit 0123abc, here", "2 of 3 cases not measured"):
        assert reason in listed


def test_a_name_that_is_none_is_an_error(commands, run):
    done = run("--only", "tables")
    assert done.exit_code == 2
    assert "no figure 'tables'" in done.output
    assert commands.called == []


def test_every_stored_file_and_command_is_in_the_table():
    from importlib import import_module
    from importlib.util import find_spec
    from inspect import signature

    from benchmarks import cases
    from benchmarks.class_cases import CLASS_FITS
    from benchmarks.penalty_cases import CROSS_VALIDATIONS, L1_FITS, PATHS

    whole = {
        "l1_fits": L1_FITS,
        "multiclass_fits": CLASS_FITS,
        "paths": PATHS,
        "cross_validation": CROSS_VALIDATIONS,
    }
    assert {path.stem for path in stored.FOLDER.glob("*.json")} <= set(stored.FIGURES)
    for figure in stored.FIGURES.values():
        assert find_spec(figure.run[0]) is not None
        options = [option for option in figure.run[1:] if option.startswith("--")]
        if options or figure.pieces:
            main = signature(import_module(figure.run[0].replace(".peers", ".peers.__main__")).main)
            assert {o[2:].replace("-", "_") for o in options} <= set(main.parameters)
            assert set(figure.pieces) <= set(whole.get(figure.name, cases.FITS))
            assert figure.name not in whole or set(figure.pieces) == set(whole[figure.name])


def test_an_edit_of_the_package_is_told_and_a_commit_that_leaves_it_alone_is_not(
    tmp_path, monkeypatch
):
    package = tmp_path / "fastlogreg" / "sub"
    package.mkdir(parents=True)
    (package / "module.py").write_text("a = 1\n")
    monkeypatch.setattr(stored, "ROOT", tmp_path)

    def code():
        stored.code.cache_clear()
        return stored.code()

    try:
        first = code()
        assert first["commit"] is None  # no repository
        data = {"machine": stored.machine(), "code": first}
        (tmp_path / "README.md").write_text("figures")
        code()
        assert stored.differences(data) == []
        (package / "module.py").write_text("a = 2\n")
        code()
        assert stored.differences(data) == ["code of commit unknown, here unknown"]
    finally:
        stored.code.cache_clear()
