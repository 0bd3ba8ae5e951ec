"""Loss and gradient against the floor and the peers: ``python -m benchmarks.kernel_matrix``.

For each shape of :data:`benchmarks.cases.SHAPES`: a parallel read of X (the floor), the NumPy
backend, scikit-learn's compiled loss (``LinearModelLoss``, what its solvers call), and the
fused kernels, in interleaved rounds; the best of each is shown.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness.stored import show
from benchmarks.harness.tables import geometric_mean, ms
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table


def measure(n: int, d: int, dtype: str, seconds: float) -> dict[str, Any]:
    """Return the best times, in seconds, of one shape."""
    from sklearn._loss.loss import HalfBinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    X, y, theta = cases.kernel_data(n, d, dtype)
    theirs = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)
    coef = np.roll(theta, -1).astype(X.dtype)
    threads = kernels.default_threads()
    evaluate = partial(flr.loss_gradient, X, y, theta)
    calls = {
        "read": partial(kernels.read_sum, X),
        "numpy": partial(evaluate, backend="numpy"),
        "scikit-learn": partial(
            theirs.loss_gradient, coef, X, y.astype(X.dtype), n_threads=threads
        ),
        "fastlogreg": evaluate,
    }
    times = best_of_rounds(calls, seconds, pause=PAUSE)
    return {"n": n, "d": d, "dtype": dtype, **{name: min(own) for name, own in times.items()}}


def main(
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    seconds: Annotated[float, typer.Option(help="Of rounds for each shape.")] = 4.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure loss + gradient against a read of X, NumPy and scikit-learn's compiled loss."""
    rows = [measure(n, d, dtype, seconds) for n, d in cases.SHAPES]
    table = new_table(
        f"loss + gradient, {dtype}, {kernels.default_threads()} threads, best ms",
        *("n x d", "read", "NumPy", "sklearn", "ours", "reads", "vs NumPy", "vs sklearn"),
    )
    ratios: dict[str, list[float]] = {"numpy": [], "scikit-learn": []}
    for row in rows:
        for peer, own in ratios.items():
            own.append(row[peer] / row["fastlogreg"])
        table.add_row(
            f"{row['n']:,} x {row['d']}",
            *(ms(row[k]) for k in ("read", "numpy", "scikit-learn", "fastlogreg")),
            f"{row['fastlogreg'] / row['read']:.2f}",
            *(f"{own[-1]:.1f} x" for own in ratios.values()),
        )
    means = [f"{geometric_mean(own):.1f} x" for own in ratios.values()]
    table.add_section()
    table.add_row("geometric mean", *[""] * 5, *means)
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
