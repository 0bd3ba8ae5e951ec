"""Each kernel's share of the roof that limits it: ``python -m benchmarks.roofline``.

A kernel can take no less than its bytes at the machine's bandwidth, and no less than its
multiply-adds and pointwise rows at the machine's rates; the larger of the two is its bound. The
rates are measured in the same run (:mod:`benchmarks.harness.ceilings`); bytes and operations are
counted from the shape. The bandwidth is that of a working set of the same size, so that a table
that fits a cache is judged by that cache.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness import ceilings
from benchmarks.harness.stored import show
from benchmarks.harness.tables import ms
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import best_of_rounds, new_table


class Cost(NamedTuple):
    """What one call must do: bytes moved, multiply-adds, rows of the pointwise stage."""

    n_bytes: float
    multiply_adds: float
    rows: float
    with_loss: bool = True


def read(n: int, d: int, itemsize: int) -> Cost:
    """Count a sum over X (an addition counts as a multiply-add)."""
    return Cost(n * d * itemsize, n * d, 0)


def prediction(n: int, d: int, itemsize: int) -> Cost:
    """Count X read; the output is written, and its lines are fetched for that."""
    return Cost(n * (d * itemsize + 16.0), n * d, n, with_loss=False)


def gradient(n: int, d: int, itemsize: int) -> Cost:
    """Count X and y read; margins, X'r."""
    return Cost(n * (d * itemsize + 8.0), 2.0 * n * d, n)


def hessian(n: int, d: int, itemsize: int) -> Cost:
    """Count the gradient's, and half of the symmetric product."""
    p = d + 1
    return gradient(n, d, itemsize)._replace(multiply_adds=2.0 * n * d + n * p * (p + 1) / 2)


KERNELS: dict[str, Callable[[int, int, int], Cost]] = {
    "read": read,
    "predict_proba": prediction,
    "loss_gradient": gradient,
    "loss_gradient_hessian": hessian,
}
_HESSIAN_PRODUCTS = 1e10  # a smaller shape shows the same


def bound(cost: Cost, n_threads: int) -> tuple[str, float]:
    """Return what limits a kernel and the seconds that it can't take less than."""
    memory = cost.n_bytes / ceilings.bandwidth_for(cost.n_bytes, n_threads)
    products = cost.multiply_adds / ceilings.multiply_adds(n_threads)
    rows = cost.rows / ceilings.pointwise(n_threads, loss=cost.with_loss) if cost.rows else 0.0
    if memory >= products + rows:
        return "bandwidth", memory
    return ("multiply-adds" if products >= rows else "pointwise"), products + rows


def measure(
    n: int, d: int, dtype: str, thread_counts: tuple[int, ...], seconds: float
) -> list[dict[str, Any]]:
    """Return a row for each kernel and number of threads, times in seconds."""
    X, y, theta = cases.kernel_data(n, d, dtype)
    calls: dict[Any, Callable[[], object]] = {}
    for threads in thread_counts:
        calls["read", threads] = partial(kernels.read_sum, X, n_threads=threads)
        for name in list(KERNELS)[1:]:
            if name == "loss_gradient_hessian" and n * d * d > _HESSIAN_PRODUCTS:
                continue
            arguments = (X, theta) if name == "predict_proba" else (X, y, theta)
            calls[name, threads] = partial(getattr(flr, name), *arguments, n_threads=threads)
    times = best_of_rounds(calls, seconds)
    rows = []
    for (name, threads), own in times.items():
        cost = KERNELS[name](n, d, np.dtype(dtype).itemsize)
        by, least = bound(cost, threads)
        rows.append(
            {
                "kernel": name,
                "n": n,
                "d": d,
                "dtype": dtype,
                "n_threads": threads,
                "seconds": min(own),
                "rounds": len(own),
                **cost._asdict(),
                "bound_by": by,
                "bound_seconds": least,
                "share": least / min(own),
            }
        )
    return rows


def roofs(thread_counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the measured ceilings for each number of threads."""
    return [
        {
            "n_threads": threads,
            "multiply_adds": ceilings.multiply_adds(threads),
            "pointwise": ceilings.pointwise(threads),
            "sigmoid": ceilings.pointwise(threads, loss=False),
            "bandwidth": {
                str(size): ceilings.bandwidth(size, threads) for size in ceilings.WORKING_SETS
            },
        }
        for threads in thread_counts
    ]


def main(
    quick: Annotated[bool, typer.Option(help="Small shapes, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each shape.")] = 4.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure the machine's roofs and each kernel's share of the one that limits it."""
    counts = tuple(sorted({1, kernels.default_threads()}))
    ceiling = roofs(counts)
    rows: list[dict[str, Any]] = []
    for n, d in cases.SMALL_SHAPES if quick else cases.SHAPES:
        for dtype in cases.DTYPES:
            rows += measure(n, d, dtype, counts, 0.2 if quick else seconds)
    largest = str(ceilings.WORKING_SETS[-1])
    lines = "; ".join(
        f"{roof['n_threads']} thread{'s' * (roof['n_threads'] > 1)}: "
        f"{roof['bandwidth'][largest] / 1e9:.3g} GB/s from memory, "
        f"{roof['multiply_adds'] / 1e9:.3g} G multiply-adds/s, "
        f"{roof['pointwise'] / 1e9:.3g} G pointwise rows/s"
        for roof in ceiling
    )
    table = new_table(
        "kernels under the roof that limits them",
        "kernel",
        *("n x d", "dtype", "threads", "best ms", "bound ms", "bound by", "share"),
        caption=lines,
    )
    for row in rows:
        table.add_row(
            row["kernel"],
            f"{row['n']:,} x {row['d']}",
            row["dtype"],
            str(row["n_threads"]),
            ms(row["seconds"]),
            ms(row["bound_seconds"]),
            row["bound_by"],
            f"{row['share']:.0%}",
        )
    show(table, rows, output, roofs=ceiling)


if __name__ == "__main__":
    typer.run(main)
