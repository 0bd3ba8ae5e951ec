"""What a process pays before its first answer: ``python -m benchmarks.cold_start``.

Whole processes, from start to exit: imports; a fit of iris with the kernels compiled before, beside
scikit-learn's; the same with nothing compiled; and with nothing compiled, fits that between them
need every kernel of ``LogisticRegression.fit`` on dense float64. asv measures the same programs
(``bench_cold_start``).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.harness.stored import show
from fastlogreg.cli.measuring import best_of_rounds, new_table

_FIT_IRIS = """
import numpy as np
from sklearn.datasets import load_iris
from {package} import LogisticRegression
X, y = load_iris(return_X_y=True)
LogisticRegression().fit(X[y > 0], y[y > 0])
"""
# on one thread, on several, with the Hessian by the BLAS, and without one
_FIT_EVERYTHING = """
import numpy as np
from fastlogreg import LogisticRegression
rng = np.random.default_rng(0)
for n, d in ((100, 4), (400_000, 10), (20_000, 100), (3_000, 2_000)):
    X = rng.standard_normal((n, d))
    y = X[:, 0] + rng.standard_normal(n) > 0.0
    LogisticRegression().fit(X, y)
"""

#: name -> (program, whether it finds nothing compiled)
PROGRAMS = {
    "python alone": ("pass", False),
    "import numpy": ("import numpy", False),
    "import numba": ("import numba", False),
    "import fastlogreg": ("import fastlogreg", False),
    "from fastlogreg import loss_gradient": ("from fastlogreg import loss_gradient", False),
    "first loss_gradient": (
        "from fastlogreg import loss_gradient; loss_gradient([[0.5], [1.0]], [0, 1], [0.1, 0.2])",
        False,
    ),
    "import sklearn.linear_model": ("import sklearn.linear_model", False),
    "from fastlogreg import LogisticRegression": (
        "from fastlogreg import LogisticRegression",
        False,
    ),
    "fit iris, scikit-learn": (_FIT_IRIS.format(package="sklearn.linear_model"), False),
    "fit iris": (_FIT_IRIS.format(package="fastlogreg"), False),
    "fit iris, nothing compiled": (_FIT_IRIS.format(package="fastlogreg"), True),
    "every dense float64 fit, nothing compiled": (_FIT_EVERYTHING, True),
}
WARM = tuple(name for name, (_, fresh) in PROGRAMS.items() if not fresh)
FRESH = tuple(name for name, (_, fresh) in PROGRAMS.items() if fresh)

#: what is asked for
IMPORT, WARM_FIT, EVERYTHING = 1.10, 0.3, 8.0


def run(name: str) -> None:
    """Run a program in a process of its own, with an empty kernel cache where it wants one."""
    code, fresh = PROGRAMS[name]
    # bytecode is kept, as that of an installed package is
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() if fresh else nullcontext() as cache:
        if cache is not None:
            environment["NUMBA_CACHE_DIR"] = cache
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def compile_times(dtype: str = "float64") -> list[dict[str, Any]]:
    """Return what each kernel takes to compile, in a process that finds nothing compiled."""
    code = (
        "from fastlogreg.backends import numba as kernels\n"
        f"for name, seconds in kernels.warmup(({dtype!r},)): print(seconds, name)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    rows = (line.split(" ", 1) for line in done.stdout.splitlines())
    return [{"kernel": name, "seconds": float(seconds)} for seconds, name in rows]


def missed(seconds: dict[str, float]) -> list[str]:
    """Return which of the targets the figures miss."""
    bounds = {
        "import fastlogreg": IMPORT * seconds["import numba"],
        "fit iris": seconds["fit iris, scikit-learn"] + WARM_FIT,
        "every dense float64 fit, nothing compiled": EVERYTHING,
    }
    return [
        f"{name}: {seconds[name]:.2f} s, not {most:.2f} s"
        for name, most in bounds.items()
        if name in seconds and seconds[name] > most
    ]


def main(
    quick: Annotated[bool, typer.Option(help="Once each, compiled only: no figures.")] = False,
    rounds: Annotated[int, typer.Option(help="Of the programs that compile.")] = 3,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure imports, first fits with a warm cache, and first fits with a fresh one."""
    calls: dict[str, Callable[[], object]] = {name: partial(run, name) for name in WARM}
    times = best_of_rounds(calls, 0.1 if quick else 60.0)  # called once before: files are cached
    compiling = []
    if not quick:
        for _ in range(rounds):
            for name in FRESH:
                start = time.perf_counter()
                run(name)
                times.setdefault(name, []).append(time.perf_counter() - start)
        compiling = compile_times()
    table = new_table(
        "whole processes", "program", "best s", "median s", "rounds", "over python alone"
    )
    rows = []
    floor = min(times["python alone"])
    for name, own in times.items():
        row = {"program": name, "seconds": min(own), "median": median(own), "rounds": len(own)}
        rows.append(row)
        table.add_row(
            name,
            f"{row['seconds']:.3f}",
            f"{row['median']:.3f}",
            str(row["rounds"]),
            f"{row['seconds'] - floor:.3f}",
        )
    if compiling:
        table.add_section()
        for kernel in compiling:
            table.add_row(f"compiling {kernel['kernel']}", f"{kernel['seconds']:.3f}")
    show(table, rows, output, compiling=compiling)
    for line in missed({row["program"]: row["seconds"] for row in rows}):
        typer.echo(f"missed: {line}")


if __name__ == "__main__":
    typer.run(main)
