"""The command line: ``fastlogreg``, also ``python -m fastlogreg``.

``compare`` measures what vectorizing and fusing gain, ``lecture`` computes the lecture's figures
and draws its pictures; ``fit``, ``predict`` and ``summary`` fit tables in files and use what was
fitted; ``warmup`` compiles and caches every kernel, ``info`` says what is installed and used.
Nothing is computed here, and what computes is imported by the command that needs it.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich.console import Console, RenderableType
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


def _bytes(text: str | None) -> str | None:
    from fastlogreg.cli.files import bytes_of

    if text is not None:
        try:
            bytes_of(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return text


def _frequency(text: str | None) -> str | None:
    if text is not None:
        try:
            float(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no number of rows or share of them") from None
    return text


def _list_of(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


@contextmanager
def _errors() -> Iterator[None]:
    """Let what a person got wrong end the command with one line, and Ctrl-C with its code."""
    from fastlogreg.cli.files import Exit

    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        yield
    except BrokenPipeError:  # whoever reads our output has seen enough
        sys.stderr.close()
        raise typer.Exit(Exit.ERROR) from None
    except (ValueError, TypeError, OSError, ImportError) as error:
        notes.print(f"error: {error}", markup=False)
        raise typer.Exit(Exit.ERROR) from None
    except KeyboardInterrupt:
        notes.print("interrupted; nothing was written")
        raise typer.Exit(Exit.INTERRUPTED) from None


@contextmanager
def _reading(notes: Console) -> Iterator[Callable[[str, Any], None]]:
    """Show how many rows have been read; return what is told of the next thing that is done."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[read]}"),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    ) as progress:
        task = progress.add_task("opening", read="")

        def listen(what: str, rows: Any) -> None:
            read = 0

            def on_rows(n: int) -> None:
                nonlocal read
                read += n
                progress.update(task, read=f"{read:,} rows read")

            rows.on_rows = on_rows
            progress.update(task, description=what, read="")

        yield listen


@app.command()
def fit(
    source: Annotated[
        str,
        typer.Argument(
            help="CSV, Parquet or Arrow: a file, a glob, a folder; - for CSV from standard input."
        ),
    ],
    target: Annotated[str, typer.Option(help="Column of the labels.")],
    output: Annotated[
        Path | None, typer.Option(help="File for the model; without it, the report is all.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of sample weights.")] = None,
    offset: Annotated[str | None, typer.Option(help="Column of known parts of margins.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Columns to fit, separated by commas; default all others.")
    ] = None,
    categorical: Annotated[
        str | None,
        typer.Option(
            help="Columns of numbers that are levels, separated by commas; text always is."
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="error, or mean: means for numbers, a level of its own for text.")
    ] = "error",
    drop_first: Annotated[
        bool, typer.Option("--drop-first", help="No column for each category's first level.")
    ] = False,
    min_frequency: Annotated[
        str | None,
        typer.Option(
            callback=_frequency,
            help="Levels of fewer rows (below 1: of a smaller share) become one: infrequent.",
        ),
    ] = None,
    C: Annotated[
        float, typer.Option("--C", help="Inverse strength of the penalty; inf for none.")
    ] = 1.0,
    l1_ratio: Annotated[float, typer.Option(help="Share of L1 in the penalty.")] = 0.0,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="All classes weigh the same.")
    ] = False,
    cv: Annotated[
        int | None,
        typer.Option(min=2, help="Folds of a cross-validation that chooses C by log loss."),
    ] = None,
    tol: Annotated[float, typer.Option(help="Distance from the optimum, relative.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(min=1, help="Steps at most.")] = 100,
    test_size: Annotated[
        float | None, typer.Option(help="Share of rows kept aside, to be scored.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of which rows are kept aside.")] = 0,
    memory_limit: Annotated[
        str | None,
        typer.Option(callback=_bytes, help="Memory for rows, such as 200MB; default a quarter."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default all.")] = None,
) -> None:
    """Fit the rows of a table, and store the model."""
    from fastlogreg.cli import files

    options = files.Options(
        target,
        weight,
        offset,
        _list_of(features),
        _list_of(categorical),
        missing,
        drop_first,
        None if min_frequency is None else _number(min_frequency),
        C,
        l1_ratio,
        balanced,
        cv,
        tol,
        max_iter,
        test_size,
        seed,
        None if memory_limit is None else files.bytes_of(memory_limit),
        threads,
    )
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    with _errors():
        if output is not None:
            files.check_output(output, source)
        with _reading(notes) as listen:
            fitted = files.fit(source, options, listen)
        if output is not None:
            fastlogreg.save(fitted.model, output)
    out = Console()
    _print_apart(out, files.report(fitted))
    if output is not None:
        out.print(f"model: {output}", highlight=False, soft_wrap=True)
    for text in fitted.warnings:
        notes.print(f"warning: {text}", markup=False)
    if not fitted.model.converged_:
        raise typer.Exit(files.Exit.NOT_CONVERGED)


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model of fastlogreg fit.")],
    source: Annotated[str, typer.Argument(help="Rows, as for fit; - for standard input.")],
    output: Annotated[
        str, typer.Option(help="CSV, Parquet or Arrow file; - for CSV on standard output.")
    ] = "-",
    proba: Annotated[
        bool, typer.Option("--proba", help="Probabilities of the classes, too.")
    ] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A column to copy before the predictions; may be given several times."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default all.")] = None,
) -> None:
    """Predict the rows of a table."""
    from fastlogreg.cli import files

    with _errors():
        if output != "-":
            files.check_output(output, source)
        loaded = fastlogreg.load(model).set_params(n_threads=threads)
        with files.writer(output) as write:
            n = files.predict(loaded, source, write, proba=proba, keys=key or ())
    Console(stderr=True, highlight=False).print(f"{n:,} rows predicted")


@app.command()
def summary(
    model: Annotated[Path, typer.Argument(help="A model of fastlogreg fit.")],
    coefficients: Annotated[
        int | None, typer.Option(min=0, help="How many to show, the largest first; default all.")
    ] = None,
) -> None:
    """Say what a stored model is."""
    from fastlogreg.cli import files

    with _errors():
        tables = files.summary_tables(fastlogreg.load(model), coefficients)
    _print_apart(Console(), tables)


def _print_apart(out: Console, tables: Iterable[RenderableType]) -> None:
    for number, table in enumerate(tables):
        if number:
            out.print()
        out.print(table)


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
