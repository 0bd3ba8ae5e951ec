"""Cross-validation: ``python -m benchmarks.cross_validation``.

Ten values of C and five folds with L2, 60 fits with the refit: ``LogisticRegressionCV`` at its
defaults beside scikit-learn's class with each of its solvers, and beside ``GridSearchCV`` over our
plain estimator. Each peer first runs in a process of its own, where it is cut off at a limit of
seconds; then all are timed in interleaved rounds in one process, with one thread for the BLAS. How
good they are is said by the scores, here the log loss: the largest difference from those of fits of
ours at ``tol=1e-13``. A peer counts where that is at most 1e-4.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks.harness.options import chosen
from benchmarks.harness.processes import CutOff, within
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import geometric_mean, ms, ratio, tiny
from benchmarks.penalty_cases import CROSS_VALIDATIONS
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table

NEAR = 1e-4
COMMON = {"Cs": 10, "cv": 5, "scoring": "neg_log_loss"}


class Run(NamedTuple):
    """One cross-validation: what was found, and how many warnings it gave."""

    model: Any
    warned: int


def ours(tol: float = 1e-8) -> Any:
    """Return our class."""
    return flr.LogisticRegressionCV(**COMMON, l1_ratios=(0,), use_legacy_attributes=False, tol=tol)


def grid_search() -> Any:
    """Return scikit-learn's search over our plain estimator."""
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(
        flr.LogisticRegression(), {"C": np.logspace(-4, 4, 10)}, cv=5, scoring="neg_log_loss"
    )


def peers() -> dict[str, Callable[[], Any]]:
    """Return scikit-learn's class: at its defaults, and with the solvers that may converge."""
    from sklearn.linear_model import LogisticRegressionCV

    def theirs(**more: Any) -> Callable[[], Any]:
        given = {**COMMON, "l1_ratios": (0,), "use_legacy_attributes": False, **more}
        return partial(LogisticRegressionCV, **given)

    return {
        "lbfgs, default": theirs(),
        "lbfgs, tol=1e-6": theirs(tol=1e-6, max_iter=1000),
        "newton-cholesky": theirs(solver="newton-cholesky"),
        "newton-cg": theirs(solver="newton-cg"),
    }


def fit(X: Any, y: NDArray[np.int64], make: Callable[[], Any]) -> Run:
    """Fit once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return Run(make().fit(X, y), len(caught))


def first(X: Any, y: NDArray[np.int64], make: Callable[[], Any]) -> tuple[NDArray[np.float64], int]:
    """Return a peer's scores, and how many warnings it gave."""
    run = fit(X, y, make)
    return run.model.scores_, run.warned


def measure(name: str, seconds: float, limit: float) -> dict[str, Any]:
    """Return the figures of a case."""
    X, y = CROSS_VALIDATIONS[name]()
    tight = fit(X, y, lambda: ours(1e-13)).model.scores_
    mine = fit(X, y, ours)
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: fit(X, y, ours)}
    off: dict[str, float] = {}
    warned: dict[str, int] = {}
    for label, make in peers().items():
        try:
            scores, warned[label] = within(limit, first, X, y, make)
        except CutOff:
            continue
        off[label] = float(np.abs(scores - tight).max())
        calls[label] = lambda make=make: fit(X, y, make)
    with threadpool_limits(1, user_api="blas"):
        calls["grid search"] = lambda: fit(X, y, grid_search)
        times = best_of_rounds(calls, seconds, warm=False, pause=PAUSE)
    took = {label: min(found) for label, found in times.items()}
    solved = [label for label in off if off[label] <= NEAR]
    best = min(solved, key=lambda label: took[label]) if solved else ""
    return {
        "case": name,
        "ours": took["ours"],
        "off": float(np.abs(mine.model.scores_ - tight).max()),
        "warnings": mine.warned,
        "passes": mine.model.n_passes_,
        "peer": best,
        "best": took[best] if best else None,
        "default": took.get("lbfgs, default", limit),
        "default_off": off.get("lbfgs, default"),
        "default_warnings": warned.get("lbfgs, default"),
        "grid_search": took["grid search"],
        "runs": [
            {
                "run": label,
                "seconds": took.get(label, limit),
                "off": off.get(label),
                "warnings": warned.get(label),
                "cut": label not in off,
            }
            for label in peers()
        ],
    }


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table: times in ms, ratios to ours."""
    table = new_table(
        "Cross-validation, 10 Cs x 5 folds (ms; off: largest difference of a log loss)",
        "case",
        "ours",
        "off",
        "readings",
        "best within 1e-4",
        "ms",
        "ratio",
        "default",
        "off",
        "ratio",
        "grid search",
    )
    for row in rows:
        table.add_row(
            row["case"],
            ms(row["ours"]) + (" warned" if row["warnings"] else ""),
            tiny(row["off"]),
            f"{row['passes']:.4g}",
            row["peer"],
            ms(row["best"]),
            ratio(row["best"] / row["ours"] if row["best"] else None),
            ms(row["default"]) + (" cut off" if row["default_off"] is None else ""),
            tiny(row["default_off"]),
            ratio(row["default"] / row["ours"]),
            ratio(row["grid_search"] / row["ours"]),
        )
    table.add_section()
    means = [
        [row[key] / row["ours"] for row in rows if row[key]]
        for key in ("best", "default", "grid_search")
    ]
    best, default, grid = (ratio(geometric_mean(found)) if found else "" for found in means)
    table.add_row("geometric mean", *[""] * 5, best, "", "", default, grid)
    return table


def main(
    only: Annotated[
        str,
        typer.Option(
            "--cases", help="Names, separated by semicolons; they join those already in --output."
        ),
    ] = "",
    quick: Annotated[bool, typer.Option(help="One small case, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each case.")] = 6.0,
    limit: Annotated[float, typer.Option(help="Seconds for one run of a peer.")] = 60.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure cross-validation against scikit-learn's class."""
    named = chosen(only, CROSS_VALIDATIONS, "case", ";")
    names = named or list(CROSS_VALIDATIONS)
    if quick:
        names, seconds = names[:1], 0.3
    rows = []
    for name in names:
        typer.echo(name, err=True)
        rows.append(measure(name, seconds, limit))
    rows, by = joined(rows, named, output, CROSS_VALIDATIONS)
    show(matrix(rows), rows, output, command=by)


if __name__ == "__main__":
    typer.run(main)
