"""Regularization paths: ``python -m benchmarks.paths``.

A path of 100 penalties down to a thousandth of the strongest: ours at five tolerances, adelie at
four, and skglm fitted from one penalty to the next at two, where they are installed. Who is not
within 1e-6 of the optimum at each point is shown as well, with how far it is. All solve for the
same penalties, with one thread for the BLAS; peers in processes of their own, which are ended at a
limit of seconds. Objectives are computed by NumPy for everyone; the
optimum at a point is the lowest that anybody reached, a tight path of ours included.
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from scipy.sparse import issparse
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks.commands.l1_fits import NEAR, TOLERANCES
from benchmarks.harness.options import chosen
from benchmarks.harness.processes import CutOff, within
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import console, geometric_mean, ratio, tiny
from benchmarks.peers.penalized import adelie_path
from benchmarks.penalty_cases import PATHS
from fastlogreg.cli.measuring import new_table

POINTS = 100
RATIO = 1e-3


class Run(NamedTuple):
    """One path: seconds, coefficients (n_points, d), intercepts, and what ours says of itself."""

    seconds: float
    coefs: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    passes: float | None = None
    gap: float | None = None


def ours(X: Any, y: NDArray[np.int64], lambdas: NDArray[np.float64], tol: float) -> Run:
    """Return our path."""
    begun = time.perf_counter()
    path = flr.regularization_path(X, y, Cs=1.0 / (lambdas * y.size), tol=tol)
    seconds = time.perf_counter() - begun
    gap = float((path.duality_gaps / path.objectives).max())
    return Run(seconds, path.coefs, path.intercepts, path.n_passes_total, gap)


def adelie(X: Any, y: NDArray[np.int64], lambdas: NDArray[np.float64], tol: float) -> Run:
    """Return adelie's path."""
    begun = time.perf_counter()
    coefs, intercepts = adelie_path(X, y, lambdas, tol)
    return Run(time.perf_counter() - begun, coefs, intercepts)


def skglm(X: Any, y: NDArray[np.int64], lambdas: NDArray[np.float64], tol: float) -> Run:
    """Return skglm's fits, each from the last."""
    from skglm import SparseLogisticRegression

    begun = time.perf_counter()
    by_column = X.tocsc() if issparse(X) else np.asfortranarray(X)
    model = SparseLogisticRegression(tol=tol, warm_start=True)
    coefs, intercepts = [], []
    for strength in lambdas:
        model.set_params(alpha=float(strength)).fit(by_column, y)
        coefs.append(np.ravel(model.coef_).copy())
        intercepts.append(float(np.ravel(model.intercept_)[0]))
    return Run(time.perf_counter() - begun, np.array(coefs), np.array(intercepts))


def settings() -> dict[str, Callable[..., Run]]:
    """Return who is run, by name."""
    found = {f"ours tol={tol:g}": partial(ours, tol=tol) for tol in TOLERANCES}
    for name, run, tols in (
        ("adelie", adelie, (1e-7, 1e-8, 1e-9, 1e-10)),
        ("skglm", skglm, (1e-4, 1e-6)),
    ):
        if find_spec(name) is not None:
            found |= {f"{name} tol={tol:g}": partial(_warm, run, tol=tol) for tol in tols}
    return found


def _warm(
    run: Callable[..., Run],
    X: Any,
    y: NDArray[np.int64],
    lambdas: NDArray[np.float64],
    tol: float,
) -> Run:
    """Return a peer's path, after a short one that imports and compiles."""
    run(X, y, lambdas[:2], tol)
    return run(X, y, lambdas, tol)


def objectives(
    X: Any, y: NDArray[np.int64], lambdas: NDArray[np.float64], run: Run
) -> NDArray[np.float64]:
    """Return the penalized mean loss at each point, by NumPy."""
    values = []
    for strength, w, b in zip(lambdas, run.coefs, run.intercepts, strict=True):
        loss = float(np.logaddexp(0.0, (1 - 2 * y) * (X @ w + b)).mean())
        values.append(loss + strength * float(np.abs(w).sum()))
    return np.array(values)


def measure(name: str, points: int, limit: float) -> list[dict[str, Any]]:
    """Return the figures of a case, one row for each setting."""
    X, y = PATHS[name]()
    top = float(np.abs(X.T @ (y - y.mean())).max()) / y.size
    lambdas = np.geomspace(top, RATIO * top, points)
    runs, values = {}, {}
    cut: list[str] = []
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours(X, y, lambdas[:: max(1, points // 4)], 1e-4)  # compiled
        best = objectives(X, y, lambdas, ours(X, y, lambdas, 1e-9))
        for label, run in settings().items():
            console().print(f"[dim]{name}: {label}[/dim]")
            if label.startswith("ours"):
                runs[label] = run(X, y, lambdas)
            else:
                try:
                    runs[label] = within(limit, run, X, y, lambdas)
                except CutOff:
                    cut.append(label)
                    continue
            values[label] = objectives(X, y, lambdas, runs[label])
            best = np.minimum(best, values[label])
    return [
        {
            "case": name,
            "run": label,
            "seconds": run.seconds,
            "above": float((values[label] / best - 1.0).max()),
            "passes": run.passes,
            "gap": run.gap,
            "nonzeros": int(np.count_nonzero(run.coefs[-1])),
        }
        for label, run in runs.items()
    ] + [{"case": name, "run": label, "seconds": limit, "cut": True} for label in cut]


def speedups(rows: list[dict[str, Any]]) -> list[float]:
    """Return, by case, the seconds of the best peer within 1e-6 over those of our best."""
    found = []
    for name in dict.fromkeys(row["case"] for row in rows):
        near = [row for row in rows if row["case"] == name and row.get("above", np.inf) <= NEAR]
        mine = [row["seconds"] for row in near if row["run"].startswith("ours")]
        theirs = [row["seconds"] for row in near if not row["run"].startswith("ours")]
        if mine and theirs:
            found.append(min(theirs) / min(mine))
    return found


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table."""
    table = new_table(
        "Paths (above: the largest relative distance from the optimum)",
        "case",
        "run",
        "s",
        "above",
        "gap",
        "passes",
        "non-zeros at the end",
    )
    for row in rows:
        if "cut" in row:
            table.add_row(row["case"], row["run"], f"cut off at {row['seconds']:g}")
            continue
        table.add_row(
            row["case"],
            row["run"],
            f"{row['seconds']:.3g}",
            tiny(row["above"]),
            "" if row["gap"] is None else tiny(row["gap"]),
            "" if row["passes"] is None else f"{row['passes']:.4g}",
            str(row["nonzeros"]),
        )
    ratios = speedups(rows)
    if ratios:
        table.add_section()
        table.add_row("over the best peer within 1e-6", "", ratio(geometric_mean(ratios)))
    return table


def main(
    only: Annotated[
        str,
        typer.Option(
            "--cases", help="Names, separated by commas; they join those already in --output."
        ),
    ] = "",
    quick: Annotated[bool, typer.Option(help="One small case, few points: no figures.")] = False,
    limit: Annotated[float, typer.Option(help="Seconds for one path of a peer.")] = 60.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure whole paths against packages that fit them."""
    named = chosen(only, PATHS, "case")
    names = (named or list(PATHS))[: 1 if quick else None]
    rows = [row for name in names for row in measure(name, 10 if quick else POINTS, limit)]
    rows, by = joined(rows, named, output, PATHS)
    show(matrix(rows), rows, output, command=by)


if __name__ == "__main__":
    typer.run(main)
