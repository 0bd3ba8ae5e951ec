"""How ``fastlogreg compare`` and the benchmarks measure: data, rounds, the machine, tables.

Everything is called once before it is timed (compilation); then rounds over all calls in turn,
so that a busy moment of the machine falls on all of them alike.
"""

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastlogreg as flr
from fastlogreg import backends

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "PAUSE",
    "best_of_rounds",
    "duration",
    "machine",
    "make_classes",
    "make_data",
    "new_table",
]

PAUSE = 0.05  # seconds before a fit, for the threads of the one before to come to rest
_MAX_ROUNDS = 200
_MIN_ROUNDS = 3


def make_data(
    n: int, d: int, dtype: str = "float64", seed: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.float64], NDArray[np.float64]]:
    """Return seeded X (n, d), labels y (n,) and parameters theta (d + 1,) to evaluate at."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    w = rng.standard_normal(d) / np.sqrt(d)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-(X @ w)))).astype(np.float64)
    return X.astype(dtype), y, np.concatenate([[0.1], rng.standard_normal(d) / np.sqrt(d)])


def make_classes(
    n: int, d: int, n_classes: int, dtype: str = "float64", seed: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.float64], NDArray[np.float64]]:
    """Return seeded X (n, d), codes y (n,) of K classes and theta (K, d + 1) to evaluate at."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    W = rng.standard_normal((n_classes, d)) / np.sqrt(d)
    y = (X @ W.T + rng.gumbel(size=(n, n_classes))).argmax(axis=1).astype(np.float64)
    theta = rng.standard_normal((n_classes, d + 1)) / np.sqrt(d)
    return X.astype(dtype), y, theta


def best_of_rounds(
    calls: dict[Any, Callable[[], object]],
    seconds: float,
    *,
    warm: bool = True,
    pause: float = 0.0,
) -> dict[Any, list[float]]:
    """Time the calls in turn, round after round, and return the times of each.

    Each is called once before (``warm``). A call joins no further round once its own times
    add up to its share of ``seconds`` and it was in three rounds, or to three such shares.

    ``pause`` seconds of sleep come before each turn, which then is a burst of calls of as many
    seconds in all, one at the least. Threads of a BLAS or of OpenMP spin for some 0.03 s after the
    work is done: without a pause, who comes next finds the cores taken (twice the time was seen).
    """
    share = seconds / len(calls)
    times: dict[Any, list[float]] = {key: [] for key in calls}
    for call in calls.values() if warm else ():
        call()
    active = dict(calls)
    for _ in range(_MAX_ROUNDS):
        for key, call in list(active.items()):
            time.sleep(pause)
            turn = time.perf_counter()
            while True:
                start = time.perf_counter()
                call()
                end = time.perf_counter()
                times[key].append(end - start)
                if end - turn >= pause:
                    break
            spent = sum(times[key])
            if spent >= share and (len(times[key]) >= _MIN_ROUNDS or spent >= 3 * share):
                del active[key]
        if not active:
            break
    return times


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, threads, versions, the time."""
    import sklearn

    info = backends.get("numba").info()
    return {
        "cpu": info["cpu"],
        "system": platform.platform(terse=True),
        "n_threads": info["n_threads"],
        "threading_layer": info["threading_layer"],
        "python": platform.python_version(),
        "fastlogreg": flr.__version__,
        "numpy": info["numpy"],
        "numba": info["numba"],
        "scikit-learn": sklearn.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def duration(seconds: float) -> str:
    """Return a time with its unit, two or three figures."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def new_table(title: str, left: str, *right: str, caption: str | None = None) -> "Table":
    """Return an empty table that fits 80 columns: one column flush left, the others right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    out = Table(
        title=title, caption=caption, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    out.add_column(left, no_wrap=True)
    for name in right:
        out.add_column(name, justify="right", no_wrap=True)
    return out
