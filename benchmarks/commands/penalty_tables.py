"""Penalties of all kinds on tables built to deceive: ``python -m benchmarks.penalty_tables``.

Each table (:mod:`benchmarks.harness.penalty_reference`: two to five classes; rare levels, far,
equal and nearly equal columns, scales, constants, separated classes, one row that holds all the
weight) has a penalty of its own: L2, L1 or both, factors by column of which some are 0, bounds with
a penalty or without. The judge is SciPy: L-BFGS-B on positive and negative parts, from 0 and from
the fit itself, and a linear program for whether there is an optimum:

- *right*: converged, within ``tol`` of the optimum, relatively, and within the bounds;
- *said*: there is no optimum, and that was said;
- *needless*: warned, and is at the optimum;
- *warned*: said that it is not there;
- *wrong*: converged, and farther away, outside of the bounds, where there is no optimum, or below
  it by its own gap; or said that there is none where there is one;
- *silent*: not converged without a warning, or the reverse.
"""

import warnings
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.progress import track
from sklearn.exceptions import ConvergenceWarning

from benchmarks.harness.penalty_reference import (
    deceiving_penalties,
    is_separated,
    objective,
    optimum,
    violation,
)
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console
from fastlogreg import LogisticRegression
from fastlogreg.cli.measuring import new_table

VERDICTS = ("right", "said", "needless", "warned", "wrong", "silent")
FAULTS = ("wrong", "silent")
WITHIN = 2e-8  # of the optimum, relatively: tol is 1e-8, and half a decrement an estimate
NOTHING = 1e-15  # of a value: what rounding leaves where the optimum is 0


class Found(NamedTuple):
    """What is found of one fit."""

    kind: str
    verdict: str
    above: float  # the optimum, relatively


def fit(seed: int) -> tuple[Any, str, tuple[Any, ...]]:
    """Return a model, the text of its warning, and its rows."""
    X, y, weights, parameters = deceiving_penalties(seed)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = LogisticRegression(n_threads=1, **parameters).fit(X, y, weights)
    assert all(each.category is ConvergenceWarning for each in heard), heard
    return model, " ".join(str(each.message) for each in heard), (X, y, weights)


def judge(seed: int) -> Found:
    """Return a verdict on the fit of one table."""
    model, warned, rows = fit(seed)
    here = objective(model, *rows)
    best = min(here, optimum(model, *rows, polish=True))
    above = (here - best) / max(best, NOTHING)
    within = here - best <= WITHIN * best + NOTHING and violation(model) == 0.0
    gap = getattr(model, "duality_gap_", np.inf)
    false_gap = here - gap > best * (1.0 + 1e-9) + NOTHING
    says_none = "can be separated" in warned
    is_none = is_separated(model, *rows)
    if bool(warned) == model.converged_:
        verdict = "silent"
    elif (model.converged_ and (is_none or not within)) or false_gap or is_none < says_none:
        verdict = "wrong"
    elif says_none:
        verdict = "said"
    elif model.converged_:
        verdict = "right"
    else:
        verdict = "needless" if within else "warned"
    return Found(kind_of(model), verdict, above)


def kind_of(model: Any) -> str:
    """Return in words which penalty a model has."""
    words = ["no penalty" if np.isinf(model.C) else "L1" if model.l1_ratio else "L2"]
    if 0.0 < model.l1_ratio < 1.0:
        words = ["elastic net"]
    if model.penalty_factors is not None:
        words.append("factors")
    if model.lower_bounds is not None or model.upper_bounds is not None:
        words.append("bounds")
    return ", ".join(words)


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:LAST, the last left out.")] = "0:1000",
    output: Annotated[Path | None, typer.Option(help="A JSON file for the counts.")] = None,
) -> None:
    """Count right and wrong answers over random tables."""
    first, last = map(int, seeds.split(":"))
    counts: dict[str, Counter[str]] = {}
    for seed in track(range(first, last), console=console()):
        found = judge(seed)
        counts.setdefault(found.kind, Counter())[found.verdict] += 1
        if found.verdict in FAULTS:
            console().print(f"seed {seed}: {found.kind} {found.verdict}, {found.above:.1e} above")
    table = new_table(f"Tables {seeds} with penalties of all kinds", "penalty", *VERDICTS)
    rows = [{"penalty": kind, **{v: counts[kind][v] for v in VERDICTS}} for kind in sorted(counts)]
    for row in rows:
        table.add_row(*map(str, row.values()))
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
