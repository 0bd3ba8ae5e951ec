"""Exact fits of more than two classes: ``python -m benchmarks.multiclass_fits``.

For each case of :mod:`benchmarks.class_cases`: our fit at its defaults, and scikit-learn's lbfgs,
newton-cg and newton-cholesky at their defaults and at tighter tolerances until one is within 1e-6
of the optimum. Each first run has a process of its own, with one thread for the BLAS (with several
it is slower beside others) and a limit of seconds; the best peer that gets there, scikit-learn's
default and ours are then timed again in interleaved rounds. Objectives are computed by NumPy for
everyone; the optimum is the lowest that anybody reached, a tight fit of ours included.
"""

import time
import warnings
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks.class_cases import CLASS_FITS
from benchmarks.harness.options import chosen
from benchmarks.harness.processes import CutOff, within
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import console, geometric_mean, ms, ratio, tiny
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table

SOLVERS = ("lbfgs", "newton-cholesky", "newton-cg")
TOLERANCES = (None, 1e-6, 1e-8, 1e-10)  # None: all at defaults
NEAR = 1e-6
C = 1.0


class Run(NamedTuple):
    """One fit: who, its seconds, where it ended, and how many warnings it gave."""

    name: str
    seconds: float
    coef: NDArray[np.float64] | None
    intercept: NDArray[np.float64] | None
    warned: int


def objective(X: Any, y: NDArray[np.int64], run: Run) -> float:
    """Return the penalized mean loss, by NumPy."""
    z = X @ run.coef.T + run.intercept
    losses = logsumexp(z, axis=1) - z[np.arange(y.size), y]
    return float(losses.mean()) + 0.5 * float((run.coef**2).sum()) / (C * y.size)


def model(solver: str | None, tol: float | None) -> Any:
    """Return ours (``solver`` None) or scikit-learn's estimator."""
    if solver is None:
        return flr.LogisticRegression(C=C, **({} if tol is None else {"tol": tol}))
    from sklearn.linear_model import LogisticRegression

    tight = {} if tol is None else {"tol": tol, "max_iter": 10_000}
    return LogisticRegression(C=C, solver=solver, **tight)


def fit(X: Any, y: NDArray[np.int64], solver: str | None, tol: float | None) -> Run:
    """Fit once."""
    made = model(solver, tol)
    name = f"{solver or 'fastlogreg'}{'' if tol is None else f' tol={tol:g}'}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = time.perf_counter()
        made.fit(X, y)
        seconds = time.perf_counter() - begun
    return Run(name, seconds, made.coef_, made.intercept_, len(caught))


def peer(limit: float, X: Any, y: NDArray[np.int64], solver: str, tol: float | None) -> Run:
    """Fit scikit-learn's; a run without coefficients where the limit cut it off."""
    try:
        return within(limit, fit, X, y, solver, tol)
    except CutOff:
        return Run(f"{solver}{'' if tol is None else f' tol={tol:g}'}", limit, None, None, 0)


def measure(name: str, seconds: float, limit: float) -> dict[str, Any]:
    """Return the figures of a case."""
    X, y = CLASS_FITS[name]()
    fit(X, y, None, None)  # compiled
    ours, tight = fit(X, y, None, None), fit(X, y, None, 1e-13)
    peers: dict[tuple[str, float | None], Run] = {}
    best = min(objective(X, y, ours), objective(X, y, tight))
    for solver in SOLVERS:
        for tol in TOLERANCES:
            run = peer(limit, X, y, solver, tol)
            peers[solver, tol] = run
            if run.coef is None:
                break
            value = objective(X, y, run)
            best = min(best, value)
            if value <= best * (1.0 + 0.1 * NEAR):
                break
    above = {
        key: (objective(X, y, run) - best) / best
        for key, run in peers.items()
        if run.coef is not None
    }
    solved = [key for key in above if above[key] <= NEAR]
    again = {("ours", None), ("lbfgs", None)} & {("ours", None), *above}
    again |= set(sorted(solved, key=lambda key: peers[key].seconds)[:2])
    calls = {
        key: (lambda key=key: fit(X, y, None if key[0] == "ours" else key[0], key[1]))
        for key in again
    }
    with threadpool_limits(1, user_api="blas"):
        times = best_of_rounds(calls, seconds, warm=False, pause=PAUSE)
    took = {key: min(found) for key, found in times.items()}
    fastest = min((took[key], key) for key in took if key in solved) if solved else None
    default = took.get(("lbfgs", None), peers["lbfgs", None].seconds)
    fitted = flr.LogisticRegression(C=C).fit(X, y)
    return {
        "case": name,
        "ours": took["ours", None],
        "above": (objective(X, y, ours) - best) / best,
        "warnings": ours.warned,
        "passes": fitted.n_passes_,
        "peer": peers[fastest[1]].name if fastest else "",
        "best": fastest[0] if fastest else None,
        "peer_above": above[fastest[1]] if fastest else None,
        "default": default,
        "default_above": above.get(("lbfgs", None)),
        "default_warnings": peers["lbfgs", None].warned,
        "runs": [
            {
                "run": run.name,
                "seconds": run.seconds,
                "above": above.get(key),
                "cut": key not in above,
            }
            for key, run in peers.items()
        ],
    }


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table: times in ms, ratios to ours."""
    table = new_table(
        "Exact fits of several classes (ms; above: relative distance from the optimum)",
        "case",
        "ours",
        "above",
        "passes",
        "best within 1e-6",
        "ms",
        "above",
        "ratio",
        "lbfgs default",
        "above",
        "ratio",
    )
    for row in rows:
        table.add_row(
            row["case"],
            ms(row["ours"]),
            tiny(row["above"]) + (" warned" if row["warnings"] else ""),
            f"{row['passes']:.4g}",
            row["peer"],
            ms(row["best"]),
            tiny(row["peer_above"]),
            ratio(row["best"] / row["ours"] if row["best"] else None),
            ms(row["default"]),
            tiny(row["default_above"]) + (" warned" if row["default_warnings"] else ""),
            ratio(row["default"] / row["ours"]),
        )
    ratios = [row["best"] / row["ours"] for row in rows if row["best"]]
    defaults = [row["default"] / row["ours"] for row in rows]
    if ratios:
        table.add_section()
        means = ratio(geometric_mean(ratios)), ratio(geometric_mean(defaults))
        table.add_row("geometric mean", *[""] * 6, means[0], "", "", means[1])
    return table


def main(
    only: Annotated[
        str,
        typer.Option(
            "--cases", help="Names, separated by semicolons; they join those already in --output."
        ),
    ] = "",
    quick: Annotated[bool, typer.Option(help="Two small cases, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each case.")] = 6.0,
    limit: Annotated[float, typer.Option(help="Seconds for one fit of scikit-learn.")] = 20.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure exact fits of several classes against scikit-learn's solvers."""
    named = chosen(only, CLASS_FITS, "case", ";")
    names = named or list(CLASS_FITS)
    if quick:
        names, seconds, limit = named or ["iris", "wine"], 0.3, 5.0
    rows = []
    for name in names:
        typer.echo(name, err=True)
        rows.append(measure(name, seconds, limit))
    rows, by = joined(rows, named, output, CLASS_FITS)
    show(matrix(rows), rows, output, command=by)
    for row in rows:
        if row["above"] > 1e-8 or row["warnings"]:
            console().print(f"missed: {row['case']}: {row['above']:.1e} above the optimum")


if __name__ == "__main__":
    typer.run(main)
