"""What a Dask cluster adds to a pass: ``python -m benchmarks.cluster``.

Rows are made by two worker processes of one thread each, fitted there, and compared with the same
rows in memory on two threads: the time of a pass, the whole fit, and the coefficients. Then a
worker is killed in the middle of a fit.

dask-glm fits the same partitions on workers of the same kind, persisted there before its clock
starts, in an environment of its own (:mod:`benchmarks.peers.beyond_memory`); so do we once more.
Distances are those of the objective above the lowest that anybody reached, relative to it. Who is
not installed, fails or takes longer than ``--limit`` stays in the table with the reason.
"""

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import fastlogreg as flr
from benchmarks.harness import quality
from benchmarks.harness.partitions import collections, part
from benchmarks.harness.problem import Problem, theta_of
from benchmarks.harness.stored import show
from benchmarks.harness.tables import tiny
from benchmarks.peers.beyond_memory import CLUSTER
from benchmarks.peers.runner import once
from fastlogreg.backends import PassSpec
from fastlogreg.cli.measuring import new_table
from fastlogreg.data import cluster
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import PartedRows


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


def _judge(found: list[dict[str, Any]], problem: Problem) -> None:
    """Put the distance above the lowest objective in the place of coefficients."""
    values = {
        each["case"]: quality.objective(problem, np.asarray(each.pop("theta")))
        for each in found
        if "theta" in each
    }
    best = min(values.values())
    for each in found:
        if each["case"] in values:
            each["above"] = values[each["case"]] / best - 1.0


def main(
    rows: Annotated[int, typer.Option(help="Of the table.")] = 2_000_000,
    columns: Annotated[int, typer.Option(help="Of the table.")] = 20,
    parts: Annotated[int, typer.Option(help="Partitions.")] = 8,
    limit: Annotated[float, typer.Option(help="Seconds of a peer's process.")] = 300.0,
    install: Annotated[bool, typer.Option(help="Make missing environments of peers.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="A small table; nothing is made.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure passes and fits of two worker processes against memory, and fits of dask-glm."""
    from distributed import Client, LocalCluster, wait

    if quick:
        rows, limit, install = 80_000, min(limit, 60.0), False
    made = [part(k, rows // parts, columns) for k in range(parts)]
    X, y = np.concatenate([X for X, _ in made]), np.concatenate([y for _, y in made])
    del made
    model = flr.LogisticRegression(tol=1e-10)
    theta = np.zeros(1 + columns)
    bound = MemoryRows(X, y).bind(PassSpec())
    bound(theta, 1)
    found: list[dict[str, Any]] = [
        {
            "case": "in memory, 2 threads",
            "pass": _best(lambda: bound(theta, 1)),
            "fit": _best(lambda: model.fit(X, y), 3),
            "theta": theta_of(model),
        }
    ]
    coef = model.coef_.copy()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        lazy = collections(rows, columns, parts)
        model.fit(*lazy)  # workers import and load kernels
        found.append(
            {
                "case": "two worker processes",
                "pass": _pass_seconds(lazy, theta),
                "fit": _best(lambda: model.fit(*lazy), 3),
                "apart": float(np.abs(model.coef_ - coef).max()),
                "passes": model.n_passes_,
                "theta": theta_of(model),
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
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        lying = client.persist(collections(rows, columns, parts))
        wait(lying)
        model.fit(*lying)
        fit = _best(lambda: model.fit(*lying), 3)
        apart = float(np.abs(model.coef_ - coef).max())
        persisted = {"fit": fit, "apart": apart, "theta": theta_of(model)}
        found.append({"case": "two worker processes, persisted", **persisted})
    for name, peer in CLUSTER.items():
        typer.echo(name, err=True)
        each = once(peer, (rows, columns, parts), limit, install)
        if "theta" in each:
            each["apart"] = float(np.abs(np.subtract(each["theta"][1:], coef[0])).max())
        found.append({"case": name, **each})
    _judge(found, Problem(X, y))
    title = f"{rows:,} x {columns} in {parts} partitions"
    table = new_table(title, "", "pass, ms", "fit, s", "coefficients apart", "above")
    table.add_column("note", overflow="fold")
    for each in found:
        table.add_row(
            str(each["case"]),
            f"{each['pass'] * 1e3:.1f}" if "pass" in each else "",
            f"{each['fit']:.2f}" if "fit" in each else "",
            f"{each['apart']:.1e}" if "apart" in each else "",
            tiny(each.get("above")),
            each.get("reason", each.get("remark", "")),
        )
    show(table, found, output)


if __name__ == "__main__":
    typer.run(main)
