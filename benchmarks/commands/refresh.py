"""Measures every stored figure again on this machine: ``python -m benchmarks.refresh``.

Figures that are of this machine and of the code as it is are left as they are, so that a run that
was interrupted goes on where it stopped when it is started again; ``--again`` measures them too. A
figure is put in its place when it is complete: until then it lies in ``.refresh/``, and one that is
measured case by case goes on at the case that is missing. A command that fails or takes longer than
its figure allows is ended and named, and the next is measured. After ``--minutes`` no other command
is started: the same command, started again, goes on. At the end the README's figures and its charts
are written (:mod:`benchmarks.report.readme`). ``--list`` measures nothing and says of each figure
what is not as it is here. What takes an hour is measured where ``--slow`` or ``--only`` asks for
it.
"""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness import stored
from benchmarks.harness.options import chosen
from benchmarks.harness.stored import FIGURES, FOLDER, ROOT, Data, Figure, differences
from benchmarks.harness.tables import console
from fastlogreg.cli.measuring import new_table

WORK = ROOT / ".refresh"
_STORE_SECONDS = 10.0  # that an interrupted command gets
_INTERRUPTED = 130  # its exit status
_CUT = 124  # of a command that its limit ended


def state(figure: Figure, folder: Path) -> tuple[Data | None, list[str]]:
    """Return a stored figure, and why it should be measured again; nothing where it needn't be."""
    data = stored.read(folder / f"{figure.name}.json")
    if data is None:
        return None, ["not measured"]
    reasons = differences(data)
    missing = _missing(figure, data)
    if missing:
        reasons.append(f"{len(missing)} of {len(figure.pieces)} cases not measured")
    return data, reasons


def _missing(figure: Figure, data: Data | None) -> list[str]:
    known = {row["case"] for row in data["rows"]} if data and figure.pieces else set()
    return [piece for piece in figure.pieces if piece not in known]


def _run(arguments: list[str], minutes: float | None = None) -> int:
    typer.echo(f"$ python {' '.join(arguments)}", err=True)
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT)
    try:
        return process.wait(None if minutes is None else 60.0 * minutes)
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as end:
        if isinstance(end, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):  # it was told too, and may have a result to store
            process.wait(_STORE_SECONDS)
        process.kill()
        process.wait()
        if isinstance(end, KeyboardInterrupt):
            raise
        return _CUT
    finally:
        typer.echo(f"  {time.monotonic() - begun:.0f} s", err=True)


def _failure(status: int, figure: Figure) -> str:
    return f"cut off after {figure.minutes:g} min" if status == _CUT else f"status {status}"


def measure(figure: Figure, folder: Path, work: Path, deadline: float = float("inf")) -> str:
    """Measure a figure, from where a run left it; return why it is not in its place, if it isn't.

    Parameters
    ----------
    figure : Figure
    folder, work : Path
        Of what is stored, and of what is unfinished.
    deadline : float
        On the clock of ``time.monotonic``; no command is begun later.
    """
    if time.monotonic() >= deadline:
        return "no time left"
    path = work / f"{figure.name}.json"
    before = stored.read(path)
    if before is None or differences(before) or not (figure.pieces or figure.resumes):
        path.unlink(missing_ok=True)
        before = None
    work.mkdir(parents=True, exist_ok=True)
    if figure.pieces:
        for piece in _missing(figure, before):
            if time.monotonic() >= deadline:
                return f"no time left for {piece} and what follows"
            status = _run([*figure.command(work), "--cases", piece], figure.minutes)
            if status:
                return f"{piece}: {_failure(status, figure)}"
    else:
        more = ["--resume"] if figure.resumes else []
        status = _run([*figure.command(work), *more], figure.minutes)
        if status in (_INTERRUPTED, _CUT) or (status and figure.resumes):
            return _failure(status, figure)
        if status:  # the gate's when it says no; its figures are as good
            typer.echo(f"{figure.name}: its command ended with status {status}", err=True)
    data = stored.read(path)
    if data is None or _missing(figure, data):
        return "it wrote nothing"
    stored.write({"code": stored.code(), **data, "command": figure.typed}, folder / path.name)
    path.unlink()
    return ""


def show(figures: list[Figure], folder: Path) -> None:
    """Print what is stored and what of it is of another machine or another commit."""
    table = new_table("stored figures", "figure", "measured", "commit")
    table.add_column("not as here", overflow="fold")
    for figure in figures:
        data, reasons = state(figure, folder)
        date, commit = "", ""
        if data is not None:
            date, commit = data["machine"]["date"], data.get("code", {}).get("commit") or ""
        table.add_row(figure.name, date, commit, "; ".join(reasons) or "up to date")
    console().print(table)


def main(
    only: Annotated[str, typer.Option(help="Names of figures, separated by commas.")] = "",
    show_only: Annotated[bool, typer.Option("--list", help="Measure nothing.")] = False,
    again: Annotated[bool, typer.Option(help="Also what is up to date.")] = False,
    slow: Annotated[bool, typer.Option(help="Also what takes an hour or more.")] = False,
    minutes: Annotated[float, typer.Option(help="After these no command is started.")] = 40.0,
    folder: Annotated[Path, typer.Option(help="Where the figures are stored.")] = FOLDER,
    work: Annotated[Path, typer.Option(help="Where unfinished figures lie.")] = WORK,
) -> None:
    """Measure every stored figure that is of another machine or commit, or none, again."""
    names = chosen(only, FIGURES, "figure")
    figures = [
        figure
        for name, figure in FIGURES.items()
        if name in names or (not names and (slow or show_only or not figure.slow))
    ]
    deadline = time.monotonic() + 60.0 * minutes
    if show_only:
        show(figures, folder)
        return
    failed = []
    try:
        for figure in figures:
            if not again and not state(figure, folder)[1]:
                typer.echo(f"{figure.name}: up to date", err=True)
            elif reason := measure(figure, folder, work, deadline):
                failed.append(f"{figure.name} ({reason})")
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if folder == FOLDER and _run(["-m", "benchmarks.report.readme"]):
        failed.append("README.md")
    show(figures, folder)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
