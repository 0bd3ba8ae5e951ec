"""Behind ``fastlogreg fit``, ``predict`` and ``summary``: tables in, models and scores out.

What is computed is the library's; here is how it is asked for and what a person reads at the end.
Nothing is printed by what computes: tables of rich are returned, and progress is told to whoever
listens (:class:`Progress`).

Exit codes (:class:`Exit`): 0, 1 for what can't be read or fitted, 2 for a command that can't be
understood (typer's), 3 for a fit that did not converge (its model is stored all the same), 130 for
Ctrl-C.
"""

import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fastlogreg as flr
from fastlogreg.cli.measuring import duration, new_table
from fastlogreg.data.files import TableRows, keyed_batches
from fastlogreg.data.tables import found_files, open_table

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "Exit",
    "Fitted",
    "Options",
    "bytes_of",
    "check_output",
    "fit",
    "predict",
    "summary_tables",
]

_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 1 << 10,
    "MI": 1 << 20,
    "GI": 1 << 30,
    "TI": 1 << 40,
}
_SHOWN = 15  # coefficients of each class in a report


class Exit(IntEnum):
    """What the shell is told."""

    FINE = 0
    ERROR = 1
    NOT_CONVERGED = 3
    INTERRUPTED = 130


@dataclass(frozen=True)
class Options:
    """What ``fit`` was asked for; see ``fastlogreg fit --help``."""

    target: str
    weight: str | None = None
    offset: str | None = None
    features: list[str] | None = None
    categorical: list[str] | None = None
    missing: str = "error"
    drop_first: bool = False
    min_frequency: float | int | None = None
    C: float = 1.0
    l1_ratio: float = 0.0
    balanced: bool = False
    cv: int | None = None
    tol: float = 1e-8
    max_iter: int = 100
    test_size: float | None = None
    seed: int = 0
    memory_limit: int | None = None
    threads: int | None = None


@dataclass
class Fitted:
    """A model, how it went, and how good it is on rows that were kept aside."""

    model: Any
    rows: TableRows
    seconds: float
    warnings: list[str]
    held_out: dict[str, float] | None


def bytes_of(text: str) -> int:
    """Read '200MB', '1GiB' or '1e9' as bytes."""
    plain = text.strip().upper().removesuffix("B").replace("_", "")
    number = plain.rstrip("KMGTI")
    unit = plain[len(number) :]
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise ValueError(f"{text!r} is no number of bytes, such as 200MB or 1GiB") from None
    if not 0 < value < 2**62:
        raise ValueError(f"{text!r} is no number of bytes, such as 200MB or 1GiB")
    return int(value)


@contextmanager
def _readable(source: str) -> Iterator[str]:
    """Return the source; standard input ('-') is CSV, and put into a file that can be read anew."""
    if source != "-":
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "standard input.csv"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield str(copy)
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), "standard input")) from error


def check_output(output: str | Path, source: str) -> None:
    """Refuse, before work is done, what can't be written, or would take the place of the rows."""
    path = Path(output)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--output {output}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"--output {output} is a folder: name a file in it")
    if path.is_file() and source != "-":
        if any(path.samefile(file.path) for file in found_files(source)):
            raise ValueError(f"--output {output} is a file of the rows: name another")


def fit(
    source: str, options: Options, listen: Callable[[str, TableRows], None] = lambda *_: None
) -> Fitted:
    """Fit the rows of a table; ``listen`` hears what is being done to which rows."""
    with _readable(source) as path:
        rows = flr.open_rows(
            path,
            target=options.target,
            features=options.features,
            sample_weight=options.weight,
            offset=options.offset,
            categorical="auto" if options.categorical is None else options.categorical,
            missing=options.missing,
            drop_first=options.drop_first,
            min_frequency=options.min_frequency,
            memory_limit=options.memory_limit,
        )
        held_out = None
        if options.test_size is not None:
            if not 0.0 < options.test_size < 1.0:
                raise ValueError(f"--test-size must lie between 0 and 1, got {options.test_size}")
            rows, held_out = rows.split(options.test_size, options.seed)
        begun = time.perf_counter()
        listen("looking at the rows", rows)
        _ = rows.schema
        listen("fitting", rows)
        model = _estimator(options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(rows)
        seconds = time.perf_counter() - begun
        figures = None
        if held_out is not None:
            listen("scoring the rows kept aside", held_out)
            figures = _scored(model, held_out)
        told = [str(each.message) for each in caught]
        return Fitted(model, rows, seconds, told, figures)


def _estimator(options: Options) -> Any:
    common: dict[str, Any] = {
        "class_weight": "balanced" if options.balanced else None,
        "tol": options.tol,
        "max_iter": options.max_iter,
        "n_threads": options.threads,
    }
    if options.cv is None:
        return flr.LogisticRegression(C=options.C, l1_ratio=options.l1_ratio, **common)
    return flr.LogisticRegressionCV(
        cv=options.cv,
        l1_ratios=(options.l1_ratio,),
        scoring="neg_log_loss",
        use_legacy_attributes=False,
        **common,
    )


def _scored(model: Any, rows: TableRows) -> dict[str, float]:
    """Return accuracy, log loss and AUC on rows that the model has not seen."""
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    schema = model.schema_
    roles = ["target"]
    roles += [role for role in ("sample_weight", "offset") if getattr(schema, role) is not None]
    probabilities: list[Any] = []
    codes: list[Any] = []
    weights: list[Any] = []
    for batch in rows.encoded_by(schema, roles):
        probabilities.append(model.predict_proba(batch, offset=batch.offset))
        codes.append(batch.codes)
        weights.append(batch.weights)
    p = np.concatenate(probabilities)
    y = np.concatenate(codes).astype(np.intp)
    w: Any = None if weights[0] is None else np.concatenate(weights)
    labels = np.arange(p.shape[1])
    figures = {
        "rows": float(y.size),
        "accuracy": float(accuracy_score(y, p.argmax(axis=1), sample_weight=w)),
        "log loss": float(log_loss(y, p, sample_weight=w, labels=labels)),
    }
    if np.unique(y).size == p.shape[1]:  # else there is none
        scores, how = (p[:, 1], {}) if p.shape[1] == 2 else (p, {"multi_class": "ovr"})
        figures["AUC"] = float(roc_auc_score(y, scores, sample_weight=w, **how))
    return figures


def predict(
    model: Any,
    source: str,
    write: Callable[[Any], None],
    *,
    proba: bool,
    keys: Sequence[str] = (),
) -> int:
    """Predict a table batch by batch; ``write`` takes Arrow batches. Return the number of rows.

    ``keys`` are columns of the table that stand before the predictions, as they are.
    """
    import pyarrow as pa

    schema = getattr(model, "schema_", None)
    if schema is None:
        raise ValueError(
            "the model was fitted on arrays, not on a table, so it does not know which columns to "
            "take"
        )
    own = {"prediction", *(f"probability_{label}" for label in model.classes_.tolist())}
    taken = [name for name in keys if name in own]
    if taken:
        raise ValueError(f"--key {taken[0]}: a column of the output has that name")
    roles = ["offset"] if schema.offset is not None else []
    n = 0
    with _readable(source) as path:
        for batch, columns in keyed_batches(schema, open_table(path), roles, keys=keys):
            found = model.predict(batch, offset=batch.offset)
            columns["prediction"] = pa.array(found)
            if proba:
                found = model.predict_proba(batch, offset=batch.offset)
                for label, each in zip(model.classes_.tolist(), found.T, strict=True):
                    columns[f"probability_{label}"] = pa.array(each)
            write(pa.RecordBatch.from_pydict(columns))
            n += batch.matrix.shape[0]
    return n


@contextmanager
def writer(output: str) -> Iterator[Callable[[Any], None]]:
    """Return what writes batches to a CSV, Parquet or Arrow file, or as CSV to standard output.

    A file appears under its name when all has been written.
    """
    import pyarrow as pa

    if output == "-":
        with _Batches("csv", sys.stdout.buffer) as batches:
            yield batches
        return
    kinds = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    kinds |= dict.fromkeys((".arrow", ".feather", ".ipc"), "arrow")
    path = Path(output)
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"--output {output}: its name must end in {', '.join(kinds)}")
    partial = path.with_name(path.name + ".partial")
    try:
        with pa.OSFile(str(partial), "wb") as file, _Batches(kind, file) as batches:
            yield batches
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Batches:
    """Writes Arrow batches; how, the first one says."""

    def __init__(self, kind: str, file: Any) -> None:
        self._kind, self._file = kind, file
        self._open: Any = None

    def __enter__(self) -> "_Batches":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._open is not None:
            self._open.close()

    def __call__(self, batch: Any) -> None:
        if self._open is None:
            if self._kind == "csv":
                import pyarrow.csv as pc

                self._open = pc.CSVWriter(self._file, batch.schema)
            elif self._kind == "parquet":
                import pyarrow.parquet as pq

                self._open = pq.ParquetWriter(self._file, batch.schema)
            else:
                import pyarrow as pa

                self._open = pa.ipc.new_file(self._file, batch.schema)
        self._open.write_batch(batch) if self._kind != "arrow" else self._open.write(batch)


# --- what a person reads --------------------------------------------------------------------------


def report(fitted: Fitted) -> "list[Table]":
    """Return the tables that end a fit."""
    model, rows = fitted.model, fitted.rows
    counts = ", ".join(
        f"{label}: {count:,}"
        for label, count in zip(model.classes_.tolist(), rows.counts.rows.tolist(), strict=True)
    )
    facts = {
        "rows": f"{rows.n_rows:,}",
        "classes": counts if model.classes_.size <= 8 else f"{model.classes_.size}",
        "time": duration(fitted.seconds),
        "held in memory": "yes" if rows.fits_in_memory() else "no, read for each pass",
    }
    tables = [_facts(model, facts)]
    if fitted.held_out is not None:
        table = new_table("Rows kept aside", "figure", "value")
        for name, value in fitted.held_out.items():
            table.add_row(name, f"{value:,.0f}" if name == "rows" else f"{value:.4f}")
        tables.append(table)
    return [*tables, _coefficients(model, _SHOWN)]


def summary_tables(model: Any, shown: int | None = None) -> "list[Table]":
    """Return what a stored model is: its parameters, its fit, its columns, its coefficients."""
    kinds = {}
    schema = getattr(model, "schema_", None)
    if schema is not None:
        kinds["target"] = str(schema.target)
    kinds["classes"] = ", ".join(map(str, model.classes_.tolist()[:12]))
    tables = [_facts(model, kinds)]
    if schema is not None:
        table = new_table("Columns of the table", "column", "kind", "levels or mean")
        for column in schema.columns:
            more = f"mean {column.mean:.6g} where missing" if column.mean is not None else ""
            if column.kind == "category":
                levels = [*column.levels, *(["(infrequent)"] if column.rare else [])]
                levels += ["(missing)"] if column.missing else []
                more = ", ".join(levels[:10]) + (", ..." if len(levels) > 10 else "")
                if column.dropped is not None:
                    more += f"; dropped {column.dropped}"
            table.add_row(column.name, column.kind, more)
        tables.append(table)
    return [*tables, _coefficients(model, shown)]


def _facts(model: Any, first: dict[str, str]) -> "Table":
    defaults = type(model)().get_params()
    given = {
        name: value
        for name, value in model.get_params().items()
        if repr(value) != repr(defaults[name])
    }
    table = new_table(type(model).__name__, "figure", "value")
    facts = dict(first)
    facts["columns of numbers"] = f"{model.coef_.shape[1]:,}"
    if given:
        facts["parameters"] = ", ".join(f"{name}={value!r}" for name, value in given.items())
    if hasattr(model, "C_"):
        facts["chosen C"] = ", ".join(f"{C:.6g}" for C in np.unique(model.C_))
    for name, words, shape in (
        ("n_passes_", "passes over the rows", "{:.4g}"),
        ("objective_", "objective", "{:.8g}"),
    ):
        if hasattr(model, name):
            facts[words] = shape.format(getattr(model, name))
    if hasattr(model, "history_") and len(model.history_):
        distance = model.history_["decrement"][-1] / max(model.objective_, np.finfo(float).tiny)
        facts["distance from the optimum, relative"] = f"{max(distance, 0.0):.2g}"
    if hasattr(model, "converged_"):
        facts["converged"] = "yes" if model.converged_ else "NO"
    for name, value in facts.items():
        table.add_row(name, value)
    return table


def _coefficients(model: Any, shown: int | None) -> "Table":
    """Return the coefficients, the largest first: times their column's standard deviation."""
    schema = getattr(model, "schema_", None)
    coef = np.asarray(model.coef_.todense() if hasattr(model.coef_, "todense") else model.coef_)
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = np.array([f"x{j}" for j in range(coef.shape[1])])
    scales = np.full(coef.shape[1], np.nan) if schema is None else schema.scales()
    sized = np.abs(coef) * np.where(np.isnan(scales), 1.0, scales)
    order = np.argsort(-sized.max(axis=0), kind="stable")
    kept = order if shown is None else order[:shown]
    few = coef.shape[0] <= 6
    labels = model.classes_.tolist() if coef.shape[0] > 1 else [model.classes_.tolist()[1]]
    left = f", the first {kept.size} of {order.size}" if kept.size < order.size else ""
    by = "" if np.isnan(scales).any() else ", by size times standard deviation"
    heads = [f"{label}" for label in labels] if few else ["largest of a class"]
    table = new_table(f"Coefficients{by}{left}", "column", *heads, "standardized")
    intercept = np.broadcast_to(np.asarray(model.intercept_, float), (coef.shape[0],))
    cells = [f"{b:.6g}" for b in intercept] if few else [f"{np.abs(intercept).max():.6g}"]
    table.add_row("(intercept)", *cells, "")
    for j in kept:
        cells = [f"{w:.6g}" for w in coef[:, j]] if few else [f"{np.abs(coef[:, j]).max():.6g}"]
        table.add_row(
            str(names[j]), *cells, "" if np.isnan(scales[j]) else f"{sized[:, j].max():.4g}"
        )
    return table
