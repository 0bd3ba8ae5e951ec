"""Keeps time over the peers' processes: a fit that takes too long ends with its process."""

import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import quality
from benchmarks.cases import Problem
from benchmarks.peers import environments
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
                found = self._ask(self.problem, _START_SECONDS)
                if found:
                    return found
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
        found: dict[str, Any] = json.loads(line)
        return found

    def prepare(self, peer: str) -> dict[str, Any]:
        """Have the data brought to the peer's form and the peer warmed up."""
        found = self._ask({"do": "prepare", "peer": peer}, _START_SECONDS)
        if "error" not in found and not found["refusal"]:
            self._ready.add(peer)
        return found

    def fit(self, peer: str, setting: float, limit: float) -> dict[str, Any]:
        """Fit within ``limit`` seconds."""
        if peer not in self._ready:
            found = self.prepare(peer)
            if "error" in found:
                return found
        return self._ask({"do": "fit", "peer": peer, "setting": setting}, limit)


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
    found = worker.prepare(peer)
    row["versions"] = found.get("versions", {})
    row["reason"] = found.get("error", "") or found.get("refusal", "")
    if row["reason"]:
        if "cut" in found:
            row["reason"] = f"did not get ready within {found['cut']:.3g} s"
        return row
    spent = 0.0
    for setting in PEERS[peer].ladder:
        start = time.perf_counter()
        found = worker.fit(peer, setting, limit)
        if "error" in found:
            row["reason"] = f"{PEERS[peer].knob} {setting:g}: {found['error']}"
            break
        theta = np.array(found.pop("theta"))
        finite = bool(np.isfinite(theta).all())
        value = quality.objective(problem, theta) if finite else float("inf")
        row["runs"].append({"setting": setting, "knob": PEERS[peer].knob, **found, "value": value})
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


def contest(
    problem: Problem, peers: list[str], workers: dict[str, Worker], limit: float, budget: float
) -> tuple[float, list[dict[str, Any]]]:
    """Return the optimum and a row for each peer, on one problem."""
    best = quality.optimum(problem)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        save(problem, Path(name))
        for worker in workers.values():
            worker.give(Path(name), problem.C)
        for peer in peers:
            environment = PEERS[peer].environment
            if environment in workers:
                rows.append(climb(workers[environment], peer, problem, best, limit, budget))
    values = [run["value"] for row in rows for run in row["runs"]]
    return min([best, *values]), rows
