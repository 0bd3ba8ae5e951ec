"""Exact fits with L1: ``python -m benchmarks.l1_fits``.

At 1/10 and 1/100 of the penalty that leaves no column: ours at its defaults, scikit-learn's
liblinear and saga at tighter and tighter tolerances until one is within 1e-6 of the optimum, and
skglm and glum where they are installed, each first in a process of its own that is ended at a
limit of seconds. Ours and the two best are timed again in interleaved rounds in one process, with
one thread for the BLAS. liblinear penalizes its intercept, here scaled until that is little.
Objectives are computed by NumPy for everyone; the optimum is the lowest that anybody reached, a
tight fit of ours included.
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
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks import cases
from benchmarks.class_cases import normal, shipped, sparse
from benchmarks.harness.options import chosen
from benchmarks.harness.processes import CutOff, within
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import console, geometric_mean, ms, ratio, tiny
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table

NEAR = 1e-6
SHARES = (10, 100)
_GLUM_COLUMNS = 10_000  # beyond these its Hessian does not fit
LONG = 2.0  # seconds after which no setting with ten times as many iterations is tried


def _cancer() -> tuple[Any, NDArray[np.int64]]:
    X, y = shipped("load_breast_cancer")
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def _correlated() -> tuple[Any, NDArray[np.int64]]:
    X = normal(100_000, 100, 2, strength=1.0)[0]
    for j in range(1, 100):
        X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
    return X, _drawn(X, 10)


def _drawn(X: Any, n_true: int) -> NDArray[np.int64]:
    """Return classes of a model with ``n_true`` coefficients."""
    random = np.random.default_rng(1)
    coef = np.zeros(X.shape[1])
    coef[:: X.shape[1] // n_true] = random.standard_normal(coef[:: X.shape[1] // n_true].size)
    positive: NDArray[np.int64] = (X @ coef + random.logistic(size=X.shape[0]) > 0).astype(int)
    return positive


def _census(*, scaled: bool) -> tuple[Any, NDArray[np.int64]]:
    X, y = cases.census()
    return (X - X.mean(axis=0)) / X.std(axis=0) if scaled else X, y.astype(np.int64)


def drawn(X: Any, n_true: int) -> tuple[Any, NDArray[np.int64]]:
    return X, _drawn(X, n_true)


CASES: dict[str, Callable[[], tuple[Any, NDArray[np.int64]]]] = {
    "breast cancer standardized": _cancer,
    "1e5 x 100 correlated": _correlated,
    "2e4 x 500": lambda: drawn(normal(20_000, 500, 2, strength=1.0)[0], 50),
    "2e3 x 5000": lambda: drawn(normal(2_000, 5_000, 2, strength=1.0)[0], 50),
    "CSR 2e4 x 5e4": lambda: drawn(sparse(20_000, 50_000, 50, 2)[0], 100),
    "census-like": lambda: _census(scaled=False),
    "census-like standardized": lambda: _census(scaled=True),
}


class Run(NamedTuple):
    """One fit: where it ended, and how many warnings it gave."""

    model: Any
    seconds: float
    warned: int


def objective(X: Any, y: NDArray[np.int64], C: float, model: Any) -> float:
    """Return the penalized mean loss, by NumPy."""
    coef = np.ravel(model.coef_)
    z = X @ coef + np.ravel(model.intercept_)
    losses = np.logaddexp(0.0, (1 - 2 * y) * z)
    return float(losses.mean()) + float(np.abs(coef).sum()) / (C * y.size)


def peers(C: float, n: int, d: int) -> dict[str, list[tuple[str, Callable[[], Any]]]]:
    """Return each peer's settings from loose to tight, and how each is made."""
    from sklearn.linear_model import LogisticRegression

    def theirs(solver: str, tol: float, most: int) -> Callable[[], Any]:
        return partial(
            LogisticRegression,
            l1_ratio=1.0,
            C=C,
            solver=solver,
            tol=tol,
            max_iter=most,
            random_state=0,
            intercept_scaling=100.0,
        )

    found = {
        solver: [
            (f"{solver} tol={tol:g}", theirs(solver, tol, most))
            for tol, most in ((1e-4, 100), (1e-4, 1000), (1e-6, 1000), (1e-8, 1000))
        ]
        for solver in ("liblinear", "saga")
    }
    if find_spec("skglm") is not None:
        from skglm import SparseLogisticRegression

        found["skglm"] = [
            (f"skglm tol={tol:g}", partial(SparseLogisticRegression, 1 / (C * n), tol=tol))
            for tol in (1e-4, 1e-6, 1e-8)
        ]
    if find_spec("glum") is not None and d <= _GLUM_COLUMNS:
        from glum import GeneralizedLinearRegressor

        found["glum"] = [
            (
                f"glum tol={tol:g}",
                partial(
                    GeneralizedLinearRegressor,
                    family="binomial",
                    alpha=1 / (C * n),
                    l1_ratio=1.0,
                    gradient_tol=tol,
                    max_iter=1000,
                ),
            )
            for tol in (1e-4, 1e-6, 1e-8)
        ]
    return found


def fit(X: Any, y: NDArray[np.int64], make: Callable[[], Any]) -> Run:
    """Fit once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = time.perf_counter()
        model = make().fit(X, y)
        return Run(model, time.perf_counter() - begun, len(caught))


def _warm_fit(X: Any, y: NDArray[np.int64], make: Callable[[], Any]) -> Run:
    """Fit once, after imports, and compilation where the peer is compiled."""
    fit(X[:50], np.arange(50) % 2, make)
    return fit(X, y, make)


def measure(name: str, share: int, seconds: float, limit: float) -> dict[str, Any]:
    """Return the figures of a case."""
    X, y = CASES[name]()
    C = float(share / np.abs(X.T @ (y - y.mean())).max())

    def ours(tol: float = 1e-8) -> Any:
        return flr.LogisticRegression(l1_ratio=1.0, C=C, tol=tol)

    fit(X, y, ours)  # compiled
    mine, tight = fit(X, y, ours), fit(X, y, lambda: ours(1e-11))
    runs: dict[str, tuple[Run, Callable[[], Any]]] = {}
    best = min(objective(X, y, C, run.model) for run in (mine, tight))
    cut: dict[str, str] = {}
    for settings in peers(C, *X.shape).values():
        for label, make in settings:
            try:
                run = within(limit, _warm_fit, X, y, make)
            except (CutOff, RuntimeError) as why:  # too long, too large, or refused
                cut[label] = str(why)
                break
            runs[label] = run, make
            value = objective(X, y, C, run.model)
            best = min(best, value)
            if value <= best * (1.0 + NEAR) or run.seconds > LONG:
                break
    above = {label: objective(X, y, C, run.model) / best - 1.0 for label, (run, _) in runs.items()}
    solved = sorted(
        (label for label in above if above[label] <= NEAR), key=lambda label: runs[label][0].seconds
    )
    calls = {"ours": lambda: fit(X, y, ours)}
    for label in solved[:2]:
        calls[label] = lambda make=runs[label][1]: fit(X, y, make)
    with threadpool_limits(1, user_api="blas"):
        times = best_of_rounds(calls, seconds, warm=False, pause=PAUSE)
    took = {key: min(found) for key, found in times.items()}
    fastest = min(solved[:2], key=lambda label: took[label]) if solved else None
    return {
        "case": name,
        "share": share,
        "ours": took["ours"],
        "above": objective(X, y, C, mine.model) / best - 1.0,
        "gap": mine.model.duality_gap_ / mine.model.objective_,
        "warnings": mine.warned,
        "passes": mine.model.n_passes_,
        "nonzeros": int(np.count_nonzero(mine.model.coef_)),
        "peer": fastest or "",
        "best": took[fastest] if fastest else None,
        "peer_above": above[fastest] if fastest else None,
        "runs": [
            {"run": label, "seconds": run.seconds, "above": above[label], "warnings": run.warned}
            for label, (run, _) in runs.items()
        ]
        + [
            {"run": label, "seconds": limit, "above": None, "cut": True, "why": why}
            for label, why in cut.items()
        ],
    }


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table: times in ms, ratios to ours."""
    table = new_table(
        "Exact fits with L1 (ms; above: relative distance from the optimum)",
        "case",
        "ours",
        "above",
        "gap",
        "passes",
        "non-zeros",
        "best within 1e-6",
        "ms",
        "above",
        "ratio",
    )
    for row in rows:
        table.add_row(
            f"{row['case']}, /{row['share']}",
            ms(row["ours"]),
            tiny(row["above"]),
            tiny(row["gap"]) + (" warned" if row["warnings"] else ""),
            f"{row['passes']:.4g}",
            str(row["nonzeros"]),
            row["peer"],
            ms(row["best"]),
            tiny(row["peer_above"]),
            ratio(row["best"] / row["ours"] if row["best"] else None),
        )
    ratios = [row["best"] / row["ours"] for row in rows if row["best"]]
    if ratios:
        table.add_section()
        table.add_row("geometric mean", *[""] * 8, ratio(geometric_mean(ratios)))
    return table


def main(
    only: Annotated[
        str,
        typer.Option(
            "--cases", help="Names, separated by commas; they join those already in --output."
        ),
    ] = "",
    quick: Annotated[bool, typer.Option(help="One small case, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each case.")] = 4.0,
    limit: Annotated[float, typer.Option(help="Seconds for one fit of a peer.")] = 60.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure exact fits with L1 against scikit-learn's solvers."""
    named, shares = chosen(only, CASES, "case"), SHARES
    names = named or list(CASES)
    if quick:
        names, shares, seconds = names[:1], shares[:1], 0.3
    rows = []
    for name in names:
        for share in shares:
            typer.echo(f"{name}, lambda_max / {share}", err=True)
            rows.append(measure(name, share, seconds, limit))
    rows, by = joined(rows, named, output, CASES)
    show(matrix(rows), rows, output, command=by)
    for row in rows:
        if row["gap"] > 1e-8 or row["warnings"]:
            console().print(f"missed: {row['case']}, /{row['share']}: a gap of {row['gap']:.1e}")


if __name__ == "__main__":
    typer.run(main)
