"""Time against the number of threads: ``python -m benchmarks.threads``.

The results are the same to the bit for any number; only the time should change. A read of X
stands beside the kernels: where it gains nothing from a thread, no pass over X can.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness.stored import show
from benchmarks.harness.tables import ms
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import best_of_rounds, new_table

SHAPE = (1_000_000, 20)
SMALL_SHAPE = (20_000, 20)
OPERATIONS = ("read", "predict_proba", "loss_gradient", "loss_gradient_hessian", "fit")


def counts() -> tuple[int, ...]:
    """Return 1, 2, 4, ... and all threads of this machine."""
    most = kernels.default_threads()
    return tuple(sorted({2**k for k in range(most.bit_length()) if 2**k <= most} | {most}))


def call(operation: str, n_threads: int, shape: tuple[int, int] = SHAPE) -> Callable[[], object]:
    """Return an operation that uses this many threads."""
    X, y, theta = cases.kernel_data(*shape, "float64")
    if operation == "read":
        return partial(kernels.read_sum, X, n_threads=n_threads)
    if operation == "fit":
        return partial(flr.LogisticRegression(n_threads=n_threads).fit, X, y)
    arguments = (X, theta) if operation == "predict_proba" else (X, y, theta)
    return partial(getattr(flr, operation), *arguments, n_threads=n_threads)


def main(
    quick: Annotated[bool, typer.Option(help="A small table, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each operation.")] = 5.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure each operation on 1, 2, ... all threads."""
    shape = SMALL_SHAPE if quick else SHAPE
    table = new_table(
        f"threads, {shape[0]:,} x {shape[1]}, best ms",
        "operation",
        *(f"{k} thread{'s' * (k > 1)}" for k in counts()),
        "gain",
    )
    rows: list[dict[str, Any]] = []
    for operation in OPERATIONS:
        calls = {k: call(operation, k, shape) for k in counts()}
        times = best_of_rounds(calls, 0.3 if quick else seconds)
        best = {k: min(own) for k, own in times.items()}
        gain = best[1] / best[max(best)]
        rows.append(
            {
                "operation": operation,
                "n": shape[0],
                "d": shape[1],
                "seconds": {str(k): value for k, value in best.items()},
                "gain": gain,
            }
        )
        table.add_row(operation, *map(ms, best.values()), f"{gain:.2f} x")
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
