"""Time of every peer to each distance above the optimum: ``python -m benchmarks.peers``.

Each peer runs in a process of its own environment, from loose settings to tight ones, and stays in
the table with a reason where it is missing, refuses, fails or is cut off. The objective is computed
by us on the returned coefficients (:mod:`benchmarks.harness.quality`). Pieces add up: a run with
``--output`` replaces the rows of its cases and peers in that file and keeps the others.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmarks import cases
from benchmarks.harness.stored import command, command_in_pieces, store
from benchmarks.harness.tables import console, ms
from benchmarks.peers import environments
from benchmarks.peers.adapters import PEERS
from benchmarks.peers.runner import DISTANCES, Worker, judge, measure
from fastlogreg.cli.measuring import new_table


def _chosen(text: str, known: list[str], what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no {what} {name!r}; there are: {'; '.join(known)}")
    return names or known


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cases of both; a peer's row in ``new`` replaces that in ``old``."""
    by_name = {case["case"]: case for case in old}
    for case in new:
        before = by_name.get(case["case"], {"peers": [], "optimum": case["optimum"]})
        rows = {row["peer"]: row for row in before["peers"] + case["peers"]}
        optimum = min(before["optimum"], case["optimum"])
        order = [rows[peer] for peer in PEERS if peer in rows]
        by_name[case["case"]] = {**case, "optimum": optimum, "peers": order}
    known = list(cases.FITS) + [name for name in by_name if name not in cases.FITS]
    out = [by_name[name] for name in known if name in by_name]
    for case in out:
        for row in case["peers"]:
            judge(row, case["optimum"])
    return out


def table(case: dict[str, Any]) -> Table:
    """Return one case as a table."""
    out = new_table(
        f"{case['case']}: best ms to a distance above the optimum",
        "peer",
        *(f"{distance:g}" for distance in DISTANCES),
        *("closest", "extra MB", "threads"),
    )
    out.add_column("reason", overflow="fold")
    for row in case["peers"]:
        closest = min((run["above"] for run in row["runs"]), default=None)
        memory, threads = row["extra_bytes"], row["threads"]
        out.add_row(
            row["peer"],
            *(ms(seconds) for seconds in row["reached"].values()),
            "" if closest is None else f"{closest:.0e}",
            "" if memory is None else f"{memory / 1e6:.0f}",
            "" if threads is None else f"{threads:.1f}",
            "; ".join(part for part in (row["reason"], row["remark"]) if part),
        )
    return out


def beaten(rows: list[dict[str, Any]]) -> list[str]:
    """Return the cells in which a peer is faster than we are."""
    out = []
    for case in rows:
        ours = next((row for row in case["peers"] if row["peer"] == "fastlogreg"), None)
        for row in case["peers"]:
            for distance, seconds in row["reached"].items():
                mine = ours["reached"][distance] if ours else None
                if row is not ours and seconds is not None and mine is not None and seconds < mine:
                    out.append(
                        f"{case['case']}, {distance}: {row['peer']} {ms(seconds)} ms, "
                        f"fastlogreg {ms(mine)} ms"
                    )
    return out


def main(
    only: Annotated[str, typer.Option("--cases", help="Names, separated by commas.")] = "",
    of: Annotated[str, typer.Option("--peers", help="Names, separated by commas.")] = "",
    openml: Annotated[str, typer.Option(help="Names of OpenML data sets, e.g. covertype.")] = "",
    quick: Annotated[bool, typer.Option(help="Small cases, short limits: no figures.")] = False,
    install: Annotated[bool, typer.Option(help="Make missing environments.")] = True,
    limit: Annotated[float, typer.Option(help="Seconds for one fit.")] = 10.0,
    budget: Annotated[float, typer.Option(help="Seconds for one peer in one case.")] = 30.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure every peer's time to 1e-2, 1e-4, 1e-6 and 1e-8 above the optimum."""
    names = _chosen(only, list(cases.FITS), "case")
    peers = _chosen(of, list(PEERS), "peer")
    if quick:
        limit, budget = min(limit, 1.0), min(budget, 2.0)
        names = names if only else list(cases.SMALL_FITS)
    wrong = {}
    for environment in dict.fromkeys(PEERS[peer].environment for peer in peers):
        if install:
            typer.echo(f"environment {environment or 'of this command'}", err=True)
        wrong[environment] = environments.ready(environment, install)
    workers = {name: Worker(name) for name, reason in wrong.items() if not reason}
    measured = []
    problems = [(name, lambda name=name: cases.fit_data(name)) for name in names]
    problems += [(name, lambda name=name: cases.openml(name)) for name in openml.split(",") if name]
    try:
        for name, make in problems:
            typer.echo(name, err=True)
            try:
                problem = make()
            except OSError as error:  # offline
                typer.echo(f"skipped {name}: {error}", err=True)
                continue
            optimum, rows = measure(problem, peers, workers, limit, budget)
            missing = [
                {"peer": peer, "runs": [], "remark": "", "versions": {}, "reason": reason}
                for peer in peers
                if (reason := wrong[PEERS[peer].environment])
            ]
            n, d = problem.X.shape
            measured.append(
                {
                    "case": name,
                    "n": n,
                    "d": d,
                    "measured_by": command(),
                    "optimum": optimum,
                    "peers": rows + missing,
                }
            )
    finally:
        for worker in workers.values():
            worker.stop()
    measured = merged([], measured)
    for case in measured:
        console().print(table(case))
    for line in beaten(measured):
        console().print(f"beaten: {line}", highlight=False)
    if output is not None:
        old = json.loads(output.read_text())["rows"] if output.exists() else []
        by = command_in_pieces(output) if old else command()
        store(merged(old, measured), output, command=by)


if __name__ == "__main__":
    typer.run(main)
