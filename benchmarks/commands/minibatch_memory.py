"""The memory of a fit on a file larger than it: ``python -m benchmarks.minibatch_memory``.

Writes a matrix of the size asked for, fits it memory-mapped in a fresh process that watches its
own anonymous resident memory, and prints the peak. Pages of the file that the system keeps in its
cache are not the process's own: it drops them when somebody needs room.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from benchmarks.harness.resident import anonymous_mb, anonymous_peak
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console

_COLUMNS = 100
_PIECE = 50_000  # rows written together

#: what is asked for
LIMIT_MB = 300.0


def write(folder: Path, gigabytes: float) -> int:
    """Write X and y to a folder; return the number of rows."""
    rows = int(gigabytes * 1e9 / 8 / _COLUMNS)
    random = np.random.default_rng(0)
    w = random.standard_normal(_COLUMNS) / np.sqrt(_COLUMNS)
    with open(folder / "X.bin", "wb") as X_file, open(folder / "y.bin", "wb") as y_file:
        for first in range(0, rows, _PIECE):
            X = random.standard_normal((min(_PIECE, rows - first), _COLUMNS))
            y = (random.random(len(X)) < 1.0 / (1.0 + np.exp(-X @ w))).astype(np.float64)
            X.tofile(X_file)
            y.tofile(y_file)
    return rows


def fit(folder: str, rows: int, epochs: int) -> None:
    """Fit in this process and print what was found as JSON."""
    from fastlogreg import MiniBatchLogisticRegression

    X = np.memmap(Path(folder) / "X.bin", dtype=np.float64, mode="r", shape=(rows, _COLUMNS))
    y = np.memmap(Path(folder) / "y.bin", dtype=np.float64, mode="r", shape=(rows,))
    few = slice(0, 4096)
    MiniBatchLogisticRegression(max_iter=1, tol=None).fit(np.array(X[few]), np.array(y[few]))
    before = anonymous_mb()
    with anonymous_peak() as peak:
        start = time.perf_counter()
        model = MiniBatchLogisticRegression(
            alpha=1.0 / rows, max_iter=epochs, tol=None, random_state=0
        ).fit(X, y)
        seconds = time.perf_counter() - start
    result = {"before_mb": before, "peak_mb": peak[0], "seconds": seconds, "epochs": epochs}
    print(json.dumps({**result, "loss": model.loss_curve_[-1]}))


def main(
    gigabytes: Annotated[float, typer.Option(help="Of the file.")] = 4.0,
    epochs: Annotated[int, typer.Option(help="Of the fit.")] = 2,
    folder: Annotated[Path | None, typer.Option(help="Where the file is written.")] = None,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure the peak of anonymous memory of a fit on a memory-mapped file."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        rows = write(Path(made), gigabytes)
        code = f"from benchmarks.minibatch_memory import fit; fit({made!r}, {rows}, {epochs})"
        ran = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
    row = {"case": f"{rows:,} x {_COLUMNS}", "gigabytes": gigabytes, **json.loads(ran.stdout)}
    table = Table(title="fit of a memory-mapped file")
    for name in ("case", "GB", "epochs", "seconds", "anonymous MB before", "peak"):
        table.add_column(name)
    table.add_row(
        row["case"],
        f"{gigabytes:g}",
        str(epochs),
        f"{row['seconds']:.1f}",
        f"{row['before_mb']:.0f}",
        f"{row['peak_mb']:.0f}",
    )
    show(table, [row], output)
    if row["peak_mb"] > LIMIT_MB:
        console().print(f"missed: {row['peak_mb']:.0f} MB, not {LIMIT_MB:.0f}")


if __name__ == "__main__":
    typer.run(main)
