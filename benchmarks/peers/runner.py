"""Runs peers' fits in processes of their own, so that a fit that takes too long can be ended.

A fit inside compiled code can't be interrupted: at its limit its process is ended, and another is
started for the next.
"""

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import processes, quality
from benchmarks.harness.problem import Problem
from benchmarks.peers import beyond_memory, environments
from benchmarks.peers.adapters import PEERS

DISTANCES = (1e-2, 1e-4, 1e-6, 1e-8)
_NEAR = DISTANCES[-1]
_START_SECONDS = 90.0  # to import, to compile, to bring the data to a peer's form


class Worker:
    """The process of one environment; it is started when it is first asked."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.problem: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._ready: set[str] = set()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [environments.python(self.environment), "-m", "benchmarks.peers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=environments.ROOT,
            env={**os.environ, "PYTHONPATH": str(environments.ROOT)},
        )
        self._ready = set()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def give(self, folder: Path, C: float) -> None:
        """Set the problem, for this process and those that may follow it."""
        self.problem = {"do": "problem", "folder": str(folder), "C": C}
        self._ready = set()
        if self._process is not None:
            self._ask(self.problem, _START_SECONDS)

    def _ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        if self._process is None:
            self._start()
            if request is not self.problem:
                answer = self._ask(self.problem, _START_SECONDS)
                if answer:  # an error
                    return answer
        assert self._process is not None and self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return {"error": "its process ended"}
        readable, _, _ = select.select([self._process.stdout], [], [], limit)
        line = self._process.stdout.readline() if readable else None
        if not line:
            self.stop()
            if line is None:
                return {"error": f"cut off after {limit:.3g} s", "cut": limit}
            return {"error": "its process ended (out of memory or a crash)"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def prepare(self, peer: str) -> dict[str, Any]:
        """Have the data brought to the peer's form and the peer warmed up."""
        answer = self._ask({"do": "prepare", "peer": peer}, _START_SECONDS)
        if "error" not in answer and not answer["refusal"]:
            self._ready.add(peer)
        return answer

    def fit(
        self, peer: str, setting: float | None, limit: float, most_times: int = 7
    ) -> dict[str, Any]:
        """Fit within ``limit`` seconds, as often as half a second allows, ``most_times`` at most.

        A setting of None leaves all at the peer's defaults, where it has such.
        """
        if peer not in self._ready:
            answer = self.prepare(peer)
            if "error" in answer:
                return answer
        request = {"do": "fit", "peer": peer, "setting": setting, "most_times": most_times}
        return self._ask(request, limit)


def once(
    peer: beyond_memory.Peer, arguments: tuple[Any, ...], limit: float, install: bool
) -> dict[str, Any]:
    """Return what a peer beyond memory returns in a process of its own, or the reason why not.

    Parameters
    ----------
    peer : Peer
    arguments : tuple
        Of its function, before the solver.
    limit : float
        Seconds, with those that it needs to start and to warm up.
    install : bool
        Make its environment where it is missing.
    """
    if reason := environments.ready(peer.environment, install):
        return {"reason": reason}
    call = f"{peer.function}(*{(*arguments, peer.solver)!r})"
    python = environments.python(peer.environment)
    try:
        found = processes.fresh("peers.beyond_memory", call, python=python, limit=limit)
    except processes.CutOff as cut:
        return {"reason": str(cut)}
    except RuntimeError as error:
        return {"reason": (str(error).strip().splitlines() or ["failed"])[-1][:200]}
    if not np.isfinite(found.get("theta", 0.0)).all():
        return {"reason": "its coefficients are not finite"}
    return {key: value for key, value in found.items() if value != ""}


def save(problem: Problem, folder: Path) -> None:
    """Write a problem's arrays to a folder."""
    X, y, weights, _ = problem
    arrays = {"y": y} if weights is None else {"y": y, "weight": weights}
    if isinstance(X, np.ndarray):
        arrays["X"] = X
    else:
        arrays |= {"data": X.data, "indices": X.indices, "indptr": X.indptr}
        arrays["shape"] = np.array(X.shape)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def climb(
    worker: Worker, peer: str, problem: Problem, best: float, limit: float, budget: float
) -> dict[str, Any]:
    """Run a peer from loose to tight until it is near the optimum or out of time."""
    row: dict[str, Any] = {"peer": peer, "runs": [], "reason": "", "remark": PEERS[peer].remark}
    answer = worker.prepare(peer)
    row["versions"] = answer.get("versions", {})
    row["reason"] = answer.get("error", "") or answer.get("refusal", "")
    if row["reason"]:
        if "cut" in answer:
            row["reason"] = f"did not get ready within {answer['cut']:.3g} s"
        return row
    spent = 0.0
    for setting in PEERS[peer].ladder:
        start = time.perf_counter()
        answer = worker.fit(peer, setting, limit)
        if "error" in answer:
            row["reason"] = f"{PEERS[peer].knob} {setting:g}: {answer['error']}"
            break
        theta = np.array(answer.pop("theta"))
        finite = bool(np.isfinite(theta).all())
        value = quality.objective(problem, theta) if finite else float("inf")
        row["runs"].append({"setting": setting, "knob": PEERS[peer].knob, **answer, "value": value})
        spent += time.perf_counter() - start
        if (value - best) / best <= _NEAR:
            break
        if spent > budget:
            row["reason"] = f"no further: {spent:.0f} s spent"
            break
    return row


def judge(row: dict[str, Any], optimum: float) -> None:
    """Set each run's distance above the optimum, and the time to each of the distances."""
    for run in row["runs"]:
        run["above"] = max(0.0, (run["value"] - optimum) / optimum)
    row["reached"] = {
        f"{distance:g}": min(
            (run["seconds"] for run in row["runs"] if run["above"] <= distance), default=None
        )
        for distance in DISTANCES
    }
    row["extra_bytes"] = max((run["extra_bytes"] or 0 for run in row["runs"]), default=None)
    longest = max(row["runs"], key=lambda run: run["seconds"], default=None)
    row["threads"] = longest and longest["threads"]


@contextmanager
def given(problem: Problem, workers: Iterable[Worker]) -> Iterator[None]:
    """Set the problem of all workers, while the files that they read it from are there."""
    with tempfile.TemporaryDirectory() as name:
        save(problem, Path(name))
        for worker in workers:
            worker.give(Path(name), problem.C)
        yield


def measure(
    problem: Problem, peers: list[str], workers: dict[str, Worker], limit: float, budget: float
) -> tuple[float, list[dict[str, Any]]]:
    """Return the optimum and a row for each peer, on one problem."""
    best = quality.optimum(problem)
    rows = []
    with given(problem, workers.values()):
        for peer in peers:
            environment = PEERS[peer].environment
            if environment in workers:
                rows.append(climb(workers[environment], peer, problem, best, limit, budget))
    values = [run["value"] for row in rows for run in row["runs"]]
    return min([best, *values]), rows
