"""Fits of several classes on tables built to deceive: ``python -m benchmarks.class_tables``.

Each table (:mod:`benchmarks.harness.class_reference`: 3 to 12 classes; rare classes and levels,
far, nearly equal and collinear columns, scales, outliers, weights) is fitted by every solver and
judged against an optimum by plain NumPy that owes nothing to the package:

- *right*: converged, and within 2e-8 of the optimum, relatively;
- *warned*: said that it is not there;
- *wrong*: converged, and farther away;
- *unsaid*: not converged without a warning, or the reverse.
"""

import warnings
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track
from sklearn.exceptions import ConvergenceWarning

from benchmarks.harness import class_reference
from benchmarks.harness.class_reference import Table
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console
from fastlogreg import LogisticRegression
from fastlogreg.cli.measuring import new_table

SOLVERS = ("auto", "newton", "newton-cg", "lbfgs")
FAULTS = ("wrong", "unsaid")
WITHIN = 2e-8  # of the optimum, relatively: tol is 1e-8, and half a decrement an estimate
LARGEST = 150  # K d of a table whose reference takes next to no time


def objective(table: Table, model: Any) -> float:
    """Return the mean loss and penalty of a fitted model in extended precision, by NumPy."""
    n = len(table.y)
    s = np.ones(n) if table.sample_weight is None else table.sample_weight
    s = s.astype(np.longdouble)
    w, b = model.coef_.astype(np.longdouble), model.intercept_.astype(np.longdouble)
    z = table.X.astype(np.longdouble) @ w.T + b
    top = z.max(axis=1)
    own = z[np.arange(n), table.y.astype(int)]
    loss = np.log(np.exp(z - top[:, None]).sum(axis=1)) + (top - own)
    return float(s @ loss / s.sum() + (w**2).sum() / (2 * table.C * s.sum()))


def fit(table: Table, solver: str) -> tuple[Any, bool]:
    """Return a model and whether it warned."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = LogisticRegression(C=table.C, solver=solver, n_threads=1)
        model.fit(table.X, table.y, table.sample_weight)
    assert all(each.category is ConvergenceWarning for each in heard), heard
    return model, bool(heard)


def judge(table: Table, best: float, model: Any, warned: bool) -> tuple[str, float]:
    """Return a verdict on one fit, and how far above the optimum it is."""
    above = objective(table, model) / best - 1.0
    if warned == model.converged_:
        return "unsaid", above
    if not model.converged_:
        return "warned", above
    return ("right" if above <= WITHIN else "wrong"), above


def verdicts(
    seed: int, solvers: tuple[str, ...] = SOLVERS, largest: int = LARGEST
) -> dict[str, tuple[str, float]]:
    """Return what is found of each solver on a table; nothing of one that is too large."""
    table = class_reference.make(seed)
    if table.X.shape[1] * (table.y.max() + 1) > largest:
        return {}
    best = class_reference.optimum(table.X, table.y, table.C, table.sample_weight)
    fits = {solver: fit(table, solver) for solver in solvers}
    # a fit that is below shows that the reference is not sure
    best = min(best, *(objective(table, model) for model, _ in fits.values()))
    return {solver: judge(table, best, *found) for solver, found in fits.items()}


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:LAST, the last left out.")] = "0:1000",
    output: Annotated[Path | None, typer.Option(help="A JSON file for the counts.")] = None,
) -> None:
    """Count right and wrong answers over random tables."""
    first, last = map(int, seeds.split(":"))
    counts: dict[str, Counter[str]] = {solver: Counter() for solver in SOLVERS}
    for seed in track(range(first, last), console=console()):
        for solver, (verdict, above) in verdicts(seed).items():
            counts[solver][verdict] += 1
            if verdict in FAULTS:
                console().print(f"seed {seed}: {solver} {verdict}, {above:.1e} above")
    names = ("right", "warned", *FAULTS)
    table = new_table(f"Tables {seeds} of several classes", "solver", *names)
    for solver, found in counts.items():
        table.add_row(solver, *(str(found[name]) for name in names))
    rows = [{"solver": solver, **{n: found[n] for n in names}} for solver, found in counts.items()]
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
