"""Time against the number of rows, and the exponent that fits it: ``python -m benchmarks.growth``.

Every pass should grow as n does. The exponent is the slope of log(time) over log(n) by least
squares, over sizes large enough that the cost of a call itself doesn't matter.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness.stored import show
from benchmarks.harness.tables import ms
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import best_of_rounds, new_table

COLUMNS = 20
ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SMALL_ROWS = (2_000, 20_000)
_FROM = 30_000  # rows from which on the exponent is fitted

OPERATIONS = (
    "loss_gradient, NumPy",
    "loss_gradient",
    "loss_gradient_hessian",
    "predict_proba",
    "LogisticRegression.fit",
)


def call(operation: str, n: int) -> Callable[[], object]:
    """Return an operation on the first n rows of the largest table."""
    X, y, theta = cases.kernel_data(max(ROWS), COLUMNS, "float64")
    X, y = X[:n], y[:n]
    if operation == "LogisticRegression.fit":
        return partial(flr.LogisticRegression().fit, X, y)
    if operation == "predict_proba":
        return partial(flr.predict_proba, X, theta)
    name, _, backend = operation.partition(", ")
    return partial(getattr(flr, name), X, y, theta, backend=backend.lower() or "numba")


def measure(operation: str, sizes: Sequence[int], seconds: float) -> dict[int, float]:
    """Return the best seconds at each size."""
    times = best_of_rounds({n: call(operation, n) for n in sizes}, seconds)
    return {n: min(own) for n, own in times.items()}


def exponent(seconds: dict[int, float]) -> float:
    """Return the slope of log(time) over log(rows), by least squares."""
    sizes = [n for n in seconds if n >= _FROM] or list(seconds)
    if len(sizes) < 2:
        sizes = list(seconds)
    return float(np.polyfit(np.log(sizes), np.log([seconds[n] for n in sizes]), 1)[0])


def main(
    quick: Annotated[bool, typer.Option(help="Small sizes, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each operation.")] = 6.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure time against rows at a fixed number of columns, and fit the exponent."""
    sizes = SMALL_ROWS if quick else ROWS
    table = new_table(
        f"growth with rows, {COLUMNS} columns, {kernels.default_threads()} threads, best ms",
        "operation",
        *(f"{n:,}" for n in sizes),
        "exponent",
        caption=f"exponent: slope of log(time) over log(rows), from {_FROM:,} rows on",
    )
    rows: list[dict[str, Any]] = []
    for operation in OPERATIONS:
        best = measure(operation, sizes, 0.3 if quick else seconds)
        rows.append(
            {
                "operation": operation,
                "d": COLUMNS,
                "seconds": {str(n): value for n, value in best.items()},
                "exponent": exponent(best),
            }
        )
        values = [ms(best[n]) for n in sizes]
        table.add_row(operation, *values, f"{rows[-1]['exponent']:.2f}")
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
