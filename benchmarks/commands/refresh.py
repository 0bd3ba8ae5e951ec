"""Measures every stored figure again on this machine: ``python -m benchmarks.refresh``.

Figures that are of this machine and of the code as it is are left as they are, so that a run that
was interrupted goes on where it stopped when it is started again; ``--again`` measures them too. A
figure is put in its place when it is complete: until then it lies in ``.refresh/``, and one that is
measured case by case goes on at the case that is missing. At the end the README's figures and its
charts are written (:mod:`benchmarks.report.readme`). ``--list`` measures nothing and says of each
figure what is not as it is here.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness import stored
from benchmarks.harness.stored import FIGURES, FOLDER, ROOT, Data, Figure, differences
from benchmarks.harness.tables import console
from fastlogreg.cli.measuring import new_table

WORK = ROOT / ".refresh"
_STORE_SECONDS = 10.0  # that an interrupted command gets
_INTERRUPTED = 130  # its exit status


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


def _run(arguments: list[str]) -> int:
    typer.echo(f"$ python {' '.join(arguments)}", err=True)
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT)
    try:
        return process.wait()
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):  # it was told too, and may have a result to store
            process.wait(_STORE_SECONDS)
        process.kill()
        raise


def measure(figure: Figure, folder: Path, work: Path) -> bool:
    """Measure a figure, from where a run left it; return whether it is in its place now."""
    path = work / f"{figure.name}.json"
    before = stored.read(path)
    if before is None or differences(before) or not (figure.pieces or figure.resumes):
        path.unlink(missing_ok=True)
        before = None
    work.mkdir(parents=True, exist_ok=True)
    if figure.pieces:
        for piece in _missing(figure, before):
            if _run([*figure.command(work), "--cases", piece]):
                return False
    else:
        status = _run([*figure.command(work), *(["--resume"] if figure.resumes else [])])
        if status == _INTERRUPTED or (status and figure.resumes):
            return False
        if status:  # the gate's when it says no; its figures are as good
            typer.echo(f"{figure.name}: its command ended with status {status}", err=True)
    data = stored.read(path)
    if data is None or _missing(figure, data):
        return False
    stored.write({"code": stored.code(), **data, "command": figure.typed}, folder / path.name)
    path.unlink()
    return True


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
    folder: Annotated[Path, typer.Option(help="Where the figures are stored.")] = FOLDER,
    work: Annotated[Path, typer.Option(help="Where unfinished figures lie.")] = WORK,
) -> None:
    """Measure every stored figure that is of another machine or commit, or none, again."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise typer.BadParameter(f"no figure {unknown[0]!r}; there are: {', '.join(FIGURES)}")
    chosen = [figure for name, figure in FIGURES.items() if not names or name in names]
    if show_only:
        show(chosen, folder)
        return
    failed = []
    try:
        for figure in chosen:
            if not again and not state(figure, folder)[1]:
                typer.echo(f"{figure.name}: up to date", err=True)
            elif not measure(figure, folder, work):
                failed.append(figure.name)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if folder == FOLDER and _run(["-m", "benchmarks.report.readme"]):
        failed.append("README.md")
    show(chosen, folder)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
