"""The peers' runs: who reaches what, who is cut off or missing, pieces that add up."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("typer")
from benchmarks import cases
from benchmarks.harness import processes
from benchmarks.peers import beyond_memory, environments
from benchmarks.peers.__main__ import beaten, merged
from benchmarks.peers.adapters import PEERS
from benchmarks.peers.runner import Worker, measure, once

HERE = ("fastlogreg", "scikit-learn newton-cholesky")


@pytest.fixture(scope="module")
def workers():
    made = {"": Worker("")}
    yield made
    made[""].stop()


@pytest.mark.parametrize("case", ["iris", "CSR"])
def test_everyone_reaches_the_optimum(workers, case):
    if case == "iris":
        problem = cases.fit_data("iris")
    else:
        problem = cases.Problem(*cases.power_law_csr(300, 40, density=0.1), C=0.5)
    optimum, rows = measure(problem, list(HERE), workers, limit=60.0, budget=60.0)
    [found] = merged([], [{"case": case, "optimum": optimum, "peers": rows}])
    assert [row["peer"] for row in found["peers"]] == list(HERE)
    for row in found["peers"]:
        assert row["reason"] == ""
        assert all(seconds > 0.0 for seconds in row["reached"].values())
        assert row["versions"]
        tightest = row["runs"][-1]
        assert 0.0 <= tightest["above"] <= 1e-8
        assert tightest["threads"] > 0.0


def test_who_is_cut_off_stays_with_a_reason_and_the_next_starts_anew(workers):
    X, y = cases.synthetic(20_000, 20, scales=(1e-2, 1e2))
    problem = cases.Problem(X, y)
    peers = ["scikit-learn saga", "fastlogreg"]
    _, [slow, ours] = measure(problem, peers, workers, limit=0.3, budget=60.0)
    assert "cut off after 0.3 s" in slow["reason"]
    assert slow["reason"].startswith("tol ")
    assert ours["runs"]


def test_who_refuses_stays_with_a_reason(workers):
    wide = cases.Problem(np.eye(8, 6001), np.arange(8) % 2.0)
    _, [row] = measure(wide, ["scikit-learn newton-cholesky"], workers, limit=5.0, budget=5.0)
    assert row["runs"] == []
    assert row["reason"].startswith("not tried: its Hessian")


def test_pieces_add_up():
    def case(peer, value, optimum=1.0, seconds=0.5):
        run = {"seconds": seconds, "value": value, "extra_bytes": None, "threads": 1.0}
        return {"case": "iris", "optimum": optimum, "peers": [{"peer": peer, "runs": [run]}]}

    first = merged([], [case("skglm", 1.0)])
    assert first[0]["peers"][0]["reached"]["1e-08"] == 0.5
    # a lower optimum found later puts those who came before further away
    both = merged(first, [case("fastlogreg", 0.999, optimum=0.999, seconds=0.7)])
    ours, skglm = both[0]["peers"]
    assert ours["peer"] == "fastlogreg"
    assert ours["reached"]["1e-08"] == 0.7
    assert skglm["reached"] == {"0.01": 0.5, "0.0001": None, "1e-06": None, "1e-08": None}
    assert beaten(both) == ["iris, 0.01: skglm 500 ms, fastlogreg 700 ms"]
    again = merged(both, [case("skglm", 0.999, seconds=0.1)])
    assert again[0]["peers"][1]["reached"]["1e-08"] == 0.1


def test_every_environment_has_requirements():
    beyond = {**beyond_memory.FILES, **beyond_memory.CLUSTER}
    named = {peer.environment for peer in (*PEERS.values(), *beyond.values())} - {""}
    assert named == set(environments.REQUIREMENTS)


def test_the_command_says_what_is_missing(tmp_path):
    output = tmp_path / "peers.json"
    command = "--cases iris --peers glum,fastlogreg --no-install --limit 30 --output"
    code = (
        "from pathlib import Path; import sys, typer\n"
        "from benchmarks.peers import environments, __main__ as command\n"
        f"environments.FOLDER = Path({str(tmp_path)!r})\n"
        "typer.run(command.main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split(), str(output)],
        capture_output=True,
        text=True,
        check=True,
        cwd=environments.ROOT,
    )
    assert "not installed: run without --no-install" in " ".join(done.stdout.split())
    assert '"peer": "glum"' in output.read_text()


def test_a_call_in_its_own_process_ends_at_its_limit(monkeypatch):
    assert processes.within(60.0, max, 2, 3) == 3
    with pytest.raises(RuntimeError, match="ValueError: invalid literal"):
        processes.within(60.0, int, "x")
    with pytest.raises(processes.CutOff, match="ended"):
        processes.within(60.0, os._exit, 1)
    with pytest.raises(processes.CutOff, match="allocate"):
        processes.within(60.0, np.empty, (10**15,))
    monkeypatch.setattr(processes, "_START_SECONDS", 0.5)
    with pytest.raises(processes.CutOff, match="cut off after"):
        processes.within(0.1, time.sleep, 60.0)


def test_a_call_in_a_fresh_process_ends_at_its_limit(tmp_path):
    assert processes.fresh("peers.environments", "os.path.basename('a/b')") == "b"
    with pytest.raises(RuntimeError, match="TypeError: expected str"):
        processes.fresh("peers.environments", "os.fspath(1)")
    with pytest.raises(processes.CutOff, match="ended"):
        processes.fresh("peers.environments", "os.abort()")
    with pytest.raises(processes.CutOff, match="memory"):
        processes.fresh("peers.adapters", "np.empty(10**15)")
    # with what it started
    sleeper = f"subprocess.run(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'])"
    with pytest.raises(processes.CutOff, match="cut off at 3 s"):
        processes.fresh("peers.environments", sleeper, limit=3.0)
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # until it is reaped
            os.kill(int((tmp_path / "pid").read_text()), 0)
            time.sleep(0.1)


def test_peers_beyond_memory_answer_or_say_why_not(monkeypatch, tmp_path):
    peer = beyond_memory.Peer("h2o", "h2o_glm", "IRLSM")
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    found = once(peer, ("rows", "few"), 1.0, install=False)
    assert found["reason"].startswith("not installed: ")
    here = beyond_memory.Peer("", "no_such_function")
    assert "no_such_function" in once(here, (), 60.0, install=True)["reason"]
    for theta, key in (([1.0], "theta"), ([np.nan], "reason")):
        answer = {"theta": theta, "remark": ""}
        monkeypatch.setattr(processes, "fresh", lambda *_, answer=answer, **__: answer)
        assert list(once(here, (), 60.0, install=True)) == [key]


@pytest.mark.parametrize(("command", "peers"), [("files", "FILES"), ("cluster", "CLUSTER")])
def test_files_and_cluster_do_without_their_peers(command, peers, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("distributed")
    code = (
        "from pathlib import Path; import typer\n"
        f"from benchmarks import {command}\n"
        "from benchmarks.peers import environments\n"
        "if __name__ == '__main__':\n"
        f"    environments.FOLDER = Path({str(tmp_path)!r})\n"
        f"    typer.run({command}.main)"
    )
    output = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-c", code, "--quick", "--output", str(output)],
        capture_output=True,
        check=True,
        cwd=environments.ROOT,
    )
    rows = {row["case"]: row for row in json.loads(output.read_text())["rows"]}
    for name in getattr(beyond_memory, peers):
        assert rows[name]["reason"].startswith("not installed: ")
    ours = [row["above"] for name, row in rows.items() if "above" in row and "SGD" not in name]
    assert len(ours) >= 2
    assert max(ours) < 1e-8


def _counting(n):
    yield from range(n)
    raise ValueError("no more")


def test_what_a_process_yielded_before_its_error_is_not_lost():
    seen = []
    with pytest.raises(RuntimeError, match="ValueError: no more"):
        for k in processes.each_within(60.0, _counting, 3):
            seen.append(k)
    assert seen == [0, 1, 2]
    assert list(processes.each_within(60.0, iter, [4, 5])) == [4, 5]
