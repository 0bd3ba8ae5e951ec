"""What a Dask cluster adds to a pass: ``python -m benchmarks.cluster``.

Rows are made by two worker processes of one thread each, fitted there, and compared with the same
rows in memory on two threads: the time of a pass, the whole fit, and the coefficients. Then a
worker is killed in the middle of a fit.
"""

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import fastlogreg as flr
from benchmarks.harness.stored import show
from fastlogreg.backends import PassSpec
from fastlogreg.cli.measuring import new_table
from fastlogreg.data import cluster
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import PartedRows


def _part(k: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(k)
    w = np.random.default_rng(10**6).standard_normal(columns) / np.sqrt(columns)
    X = random.standard_normal((rows, columns))
    return X, (random.random(rows) < 1.0 / (1.0 + np.exp(-(X @ w)))).astype(np.float64)


def _matrix(k: int, rows: int, columns: int) -> np.ndarray:
    return _part(k, rows, columns)[0]


def _labels(k: int, rows: int, columns: int) -> np.ndarray:
    return _part(k, rows, columns)[1]


def _collections(rows: int, columns: int, parts: int) -> tuple[Any, Any]:
    import dask.array as da
    from dask.delayed import delayed

    each = rows // parts
    X = [
        da.from_delayed(delayed(_matrix)(k, each, columns), (each, columns), dtype=float)
        for k in range(parts)
    ]
    y = [
        da.from_delayed(delayed(_labels)(k, each, columns), (each,), dtype=float)
        for k in range(parts)
    ]
    return da.concatenate(X), da.concatenate(y)


def _best(call: Any, times: int = 5) -> float:
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return min(found)


def _pass_seconds(lazy: tuple[Any, Any], theta: np.ndarray) -> float:
    """Return the time of a pass over partitions that lie on workers."""
    opened = cluster.open_collection(*lazy, None, None)
    bound = PartedRows(opened.source(None)).bind(PassSpec())
    bound(theta, 1)
    return _best(lambda: bound(theta, 1))


def main(
    rows: Annotated[int, typer.Option(help="Of the table.")] = 2_000_000,
    columns: Annotated[int, typer.Option(help="Of the table.")] = 20,
    parts: Annotated[int, typer.Option(help="Partitions.")] = 8,
    quick: Annotated[bool, typer.Option("--quick", help="A small table.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure passes and fits of two worker processes against memory."""
    from distributed import Client, LocalCluster

    if quick:
        rows = 80_000
    made = [_part(k, rows // parts, columns) for k in range(parts)]
    X, y = np.concatenate([X for X, _ in made]), np.concatenate([y for _, y in made])
    del made
    model = flr.LogisticRegression(tol=1e-10)
    theta = np.zeros(1 + columns)
    bound = MemoryRows(X, y).bind(PassSpec())
    bound(theta, 1)
    found = [
        {
            "case": "in memory, 2 threads",
            "pass": _best(lambda: bound(theta, 1)),
            "fit": _best(lambda: model.fit(X, y), 3),
        }
    ]
    coef = model.coef_.copy()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        lazy = _collections(rows, columns, parts)
        model.fit(*lazy)  # workers import and load kernels
        found.append(
            {
                "case": "two worker processes",
                "pass": _pass_seconds(lazy, theta),
                "fit": _best(lambda: model.fit(*lazy), 3),
                "apart": float(np.abs(model.coef_ - coef).max()),
                "passes": model.n_passes_,
            }
        )
        asked = []
        ask = cluster.Partitions.ask

        def killing(self: Any, question: Any, spec: Any) -> Any:
            asked.append(question)
            if len(asked) == 3:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            return ask(self, question, spec)

        cluster.Partitions.ask = killing  # type: ignore[method-assign]
        try:
            begun = time.perf_counter()
            model.fit(*lazy)
            seconds = time.perf_counter() - begun
        finally:
            cluster.Partitions.ask = ask  # type: ignore[method-assign]
        apart = float(np.abs(model.coef_ - coef).max())
        found.append({"case": "one of them killed in the fit", "fit": seconds, "apart": apart})
    title = f"{rows:,} x {columns} in {parts} partitions"
    table = new_table(title, "", "pass, ms", "fit, s", "coefficients apart")
    for each in found:
        table.add_row(
            str(each["case"]),
            f"{each['pass'] * 1e3:.1f}" if "pass" in each else "",
            f"{each['fit']:.2f}",
            f"{each['apart']:.1e}" if "apart" in each else "",
        )
    show(table, found, output)


if __name__ == "__main__":
    typer.run(main)
