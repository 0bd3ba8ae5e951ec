"""The command line: ``fastlogreg``, also ``python -m fastlogreg``.

``compare`` measures what vectorizing and fusing gain, ``lecture`` computes the lecture's figures
and draws its pictures, ``warmup`` compiles and caches every kernel, ``info`` says what is installed
and used. Nothing is computed here, and what
computes is imported by the command that needs it.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
except ImportError as error:  # the extra is not installed
    raise SystemExit(
        f"fastlogreg's command line needs {error.name}: python3 -m pip install 'fastlogreg[cli]'"
    ) from None

import fastlogreg

app = typer.Typer(
    name="fastlogreg",
    help="Fast and sturdy logistic regression on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _numbers(text: str) -> list[int]:
    """Read '1000,10_000,1e5' as row counts."""
    found = []
    for part in text.split(","):
        try:
            value = float(part.strip().replace("_", ""))
        except ValueError:
            raise typer.BadParameter(f"{part.strip()!r} is not a number of rows") from None
        if not (value >= 1 and value.is_integer()):
            raise typer.BadParameter(f"{part.strip()!r} must be a whole number of at least 1")
        found.append(int(value))
    return found


def _checked_numbers(text: str) -> str:
    _numbers(text)
    return text


def _dtype(text: str) -> str:
    if text not in ("float64", "float32"):
        raise typer.BadParameter(f"{text!r} is not one of float64, float32")
    return text


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _need_matplotlib(who: str, instead: str = "") -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        advice = "python3 -m pip install 'fastlogreg[plot]'" + ("," + instead if instead else "")
        raise typer.BadParameter(f"{who} matplotlib: {advice}") from None


def _make_folder(output: Path) -> None:
    """Make the folder of ``--output``, and see that it can be written to, before work is done."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise typer.BadParameter(f"--output {output}: {error.strerror}") from None


def _version(show: bool) -> None:
    if show:
        typer.echo(f"fastlogreg {fastlogreg.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def compare(
    sizes: Annotated[
        str,
        typer.Option(callback=_checked_numbers, help="Row counts, separated by commas."),
    ] = "1000,10000,100000,1000000",
    features: Annotated[int, typer.Option(min=1, help="Columns of X.")] = 20,
    classes: Annotated[
        int, typer.Option(min=2, help="2: the sigmoid; more: the softmax of so many.")
    ] = 2,
    dtype: Annotated[str, typer.Option(callback=_dtype, help="float64 or float32.")] = "float64",
    threads: Annotated[
        int | None, typer.Option(min=1, help="What 'all threads' means; default all.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for compare.json and compare.png.")] = Path(
        "fastlogreg-compare"
    ),
    draw: Annotated[
        bool, typer.Option("--chart/--no-chart", help="Whether to draw compare.png.")
    ] = True,
) -> None:
    """Measure the vectorization argument: loop, NumPy and fused kernels over growing sizes."""
    if draw:
        _need_matplotlib("the chart needs", " or --no-chart")
    _make_folder(output)

    from fastlogreg.cli import compare as comparison

    command = "fastlogreg compare" + "".join(f" {a}" for a in _given())
    out, notes = Console(), Console(stderr=True)
    rows: list[comparison.Row] = []
    petals: list[comparison.Petals] = []
    fits: list[comparison.Fit] = []
    interrupted = False
    with _progress(notes) as progress:
        task = progress.add_task("compiling, or loading from the cache")
        try:
            measured = comparison.measure(
                _numbers(sizes), features, dtype, classes=classes, threads=threads
            )
            for row in measured:
                rows.append(row)
                progress.update(task, description=f"measured {row.n:,} rows: {row.backend}")
            if classes == 2:  # the petals and the tumours have two
                progress.update(task, description="training the lecture's petals")
                petals = comparison.train_petals()
                progress.update(task, description="fitting the breast-cancer data")
                fits = comparison.fit_cancer()
        except KeyboardInterrupt:
            interrupted = True
    if rows:
        out.print(comparison.table(rows))
    if petals:
        out.print(comparison.petals_table(petals))
    if fits:
        out.print(comparison.fits_table(fits))
    if rows:
        target = output / "compare.json"
        target.write_text(
            json.dumps(comparison.report(rows, petals, fits, command), indent=1) + "\n"
        )
        out.print(f"figures: {target}", highlight=False, soft_wrap=True)
        if draw:
            comparison.chart(rows, output / "compare.png", command)
            out.print(f"chart:   {output / 'compare.png'}", highlight=False, soft_wrap=True)
    if interrupted:
        notes.print("interrupted; what is above had been measured")
        raise typer.Exit(130)


def _given() -> list[str]:
    """Return the arguments after the command's name, as typed."""
    arguments = sys.argv[1:]
    return arguments[arguments.index("compare") + 1 :] if "compare" in arguments else []


@app.command()
def lecture(
    output: Annotated[Path, typer.Option(help="Folder for the pictures, PNG files.")] = Path(
        "fastlogreg-lecture"
    ),
    draw: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Whether to draw them.")
    ] = True,
) -> None:
    """Compute the lecture's worked figures, and draw why cross-entropy and not squared error."""
    if draw:
        _need_matplotlib("the pictures need", " or --no-pictures")
        _make_folder(output)

    from fastlogreg.cli import lecture as lesson

    out, notes = Console(), Console(stderr=True)
    with _progress(notes) as progress:
        task = progress.add_task("compiling, or loading from the cache")
        figures = lesson.worked_figures()
        out.print(lesson.table(figures))
        for name, path in lesson.draw(output) if draw else ():
            progress.update(task, description=f"drew {path}")
            out.print(f"{name}: {path}", highlight=False, soft_wrap=True)
    if not all(figure.agrees for figure in figures):
        raise typer.Exit(1)


@app.command()
def warmup(
    dtype: Annotated[
        list[str] | None, typer.Option(help="float64 or float32; default both.")
    ] = None,
) -> None:
    """Compile every kernel and store it in the cache, so that no later process waits."""
    names = tuple(_dtype(text) for text in dtype or ("float64", "float32"))
    from fastlogreg import backends

    kernels = backends.get("numba")

    total = 0.0
    for name, seconds in kernels.warmup(names):
        typer.echo(f"{seconds:7.2f} s  {name}")
        total += seconds
    folder = kernels.info()["cache_folder"]
    typer.echo(f"{total:7.2f} s  in all; cache: {folder or 'no folder is writable'}")


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which versions, threads, threading layer and cache folder are used."""
    import platform

    import scipy
    import sklearn

    from fastlogreg import backends

    kernels = backends.get("numba")

    facts: dict[str, Any] = {
        "fastlogreg": fastlogreg.__version__,
        "python": platform.python_version(),
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        **kernels.info(),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:{width}}  {value}")


def main() -> None:
    """Run the command line."""
    app()
