"""Runs the fits of the peers of one environment: ``python -m benchmarks.peers.worker``.

Reads one JSON request a line and answers with one: which problem, then which peer at which setting.
It is a process of its own, so that a fit that takes too long can be ended with it. What
peers print goes nowhere.
"""

import json
import os
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.problem import Problem
from benchmarks.harness.resident import NOW, PEAK, reset_peak, resident
from benchmarks.harness.timing import first_line
from benchmarks.peers.adapters import PEERS, Peer

_ENOUGH = 0.5  # seconds of one setting


def load(folder: Path, C: float) -> Problem:
    """Read a problem from the arrays in a folder."""
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    if "X" in arrays:
        X: Any = arrays["X"]
    else:
        from scipy.sparse import csr_array

        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        X = csr_array(parts, shape=tuple(arrays["shape"]))
    return Problem(X, arrays["y"], arrays.get("weight"), C)


def run(peer: Peer, setting: float | None, most_times: int) -> dict[str, Any]:
    """Fit at one setting, more than once where that is quick, and return what came of it."""
    times: list[float] = []
    cpu = 0.0
    extra = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while not times or (sum(times) + times[-1] < _ENOUGH and len(times) < most_times):
            before = resident(NOW) if not times and reset_peak() else None
            used, start = time.process_time(), time.perf_counter()
            answer = peer.fit(setting)
            times.append(time.perf_counter() - start)
            cpu += time.process_time() - used
            if before is not None:
                extra = max(0, (resident(PEAK) or 0) - before)
    return {
        "seconds": min(times),
        "times": len(times),
        "theta": answer.theta.tolist(),
        "n_iter": answer.n_iter,
        "extra_bytes": extra,
        "threads": cpu / sum(times),
        "note": first_line(caught)[:120],
    }


def _failed(error: BaseException) -> dict[str, Any]:
    text = (str(error).strip().splitlines() or [""])[0]
    return {"error": f"{type(error).__name__}: {text}"[:200]}


def serve() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    problem: Problem | None = None
    ready: dict[str, Peer] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            match request["do"]:
                case "problem":
                    ready.clear()
                    problem = load(Path(request["folder"]), request["C"])
                case "prepare":
                    peer = PEERS[request["peer"]]
                    assert problem is not None
                    answer["refusal"] = peer.refusal(problem)
                    if not answer["refusal"]:
                        peer.prepare(problem)
                        peer.warm()
                        ready[request["peer"]] = peer
                    answer["versions"] = {name: version(name) for name in peer.packages}
                case "fit":
                    peer = ready[request["peer"]]
                    answer = run(peer, request["setting"], request["most_times"])
        except (PackageNotFoundError, ImportError) as error:
            answer = {"error": f"not installed: {error}"}
        except Exception as error:  # whatever a peer raises stands in the table
            answer = _failed(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
