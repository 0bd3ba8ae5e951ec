"""What was slow before, what was asked, and what it takes now: ``python -m benchmarks.debts``.

One table of the package's weak spots, each measured by the command that measures its kind
(:mod:`benchmarks.commands.kernel_matrix`, ``minibatch_table``, ``fit_matrix``, ``cold_start``) and
shown as one figure beside the one that was asked for. A figure is a ratio on the same data in the
same rounds, but for the seconds of a fresh cache.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table

from benchmarks import cases, cold_start, fit_matrix, kernel_matrix, minibatch_table
from benchmarks.harness.options import chosen
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console, geometric_mean
from fastlogreg.backends import PassSpec
from fastlogreg.cli.measuring import best_of_rounds, new_table


class Debt(NamedTuple):
    """A weak spot: what is measured, in which unit, what it was, and what is asked."""

    what: str
    unit: str
    was: float
    asked: float
    at_most: bool  # else at least


#: shape -> reads of X that one evaluation took, and may take
READS = {
    (4_000_000, 2): (8.9, 4.0),
    (2_000_000, 10): (2.1, 1.5),
    (1_000_000, 20): (1.2, 1.1),
    (600_000, 50): (1.9, 1.2),
    (200_000, 100): (1.3, 1.1),
}
#: shape -> speed over NumPy
OVER_NUMPY = {(1_000, 10): (1.1, 3.0), (10_000, 20): (1.6, 4.0)}
#: shape, batch -> speed over an epoch of SGDClassifier
EPOCHS = {
    ((1_000_000, 20), 256): (13.0, 20.0),
    ((200_000, 100), 256): (9.5, 15.0),
    ((1_000_000, 20), 1): (2.1, 4.0),
    ((200_000, 100), 1): (1.7, 4.0),
}
#: case -> speed over the best solver of scikit-learn that is within 1e-6
BEST = {"2e4 x 1000": (1.7, 2.5), "CSR 2e4 x 5e4": (2.5, 5.0)}
WIDE = "2e3 x 5000"

Found = tuple[Debt, float, dict[str, Any]]


def kernels(seconds: float) -> Iterator[Found]:
    """Yield evaluations in reads of X, then over NumPy."""
    over_numpy = []
    for n, d in (*READS, *OVER_NUMPY):
        row = kernel_matrix.measure(n, d, "float64", seconds)
        shape = f"loss + gradient, {n:,} x {d}"
        gain = row["numpy"] / row["fastlogreg"]
        if (n, d) in READS:
            reads = row["fastlogreg"] / row["read"]
            yield Debt(shape, "reads", *READS[n, d], at_most=True), reads, row
        else:
            yield Debt(shape, "x NumPy", *OVER_NUMPY[n, d], at_most=False), gain, row
        if (n, d) != (10_000, 20):
            over_numpy.append(gain)
    mean = Debt("the same shapes with 1,000 x 10, geometric mean", "x NumPy", 3.7, 6.0, False)
    yield mean, geometric_mean(over_numpy), {}


def epochs(seconds: float) -> Iterator[Found]:
    """Yield shuffled epochs over scikit-learn's."""
    for shape in dict.fromkeys(shape for shape, _ in EPOCHS):
        rows = {row["batch"]: row for row in minibatch_table.epochs(*shape, seconds)}
        for (asked_shape, batch), figures in EPOCHS.items():
            if asked_shape == shape:
                what = f"epoch, batches of {batch}, {shape[0]:,} x {shape[1]}"
                debt = Debt(what, "x SGDClassifier", *figures, at_most=False)
                yield debt, rows[batch]["over_sgd"], rows[batch]


def fits(seconds: float) -> Iterator[Found]:
    """Yield whole fits over scikit-learn's."""
    for case, figures in BEST.items():
        row = fit_matrix.measure(case, seconds, limit=20.0)
        debt = Debt(f"fit, {case}", "x best of scikit-learn", *figures, at_most=False)
        yield debt, row["over best"] or np.nan, row
    row = fit_matrix.measure(WIDE, seconds, limit=20.0)
    debt = Debt(f"fit, {WIDE}, defaults", "x scikit-learn's default", 0.5, 1.0, at_most=False)
    yield debt, row["over lbfgs"] or np.nan, row


def first_fits(seconds: float) -> Iterator[Found]:
    """Yield whole processes that fit iris, compiled before and not."""
    theirs, ours, fresh = "fit iris, scikit-learn", "fit iris", "fit iris, nothing compiled"
    calls: dict[str, Callable[[], object]] = {
        name: partial(cold_start.run, name) for name in (theirs, ours)
    }
    times = {name: min(own) for name, own in best_of_rounds(calls, seconds).items()}
    above = times[ours] - times[theirs]
    debt = Debt("process with a fit of iris, above scikit-learn's", "s", 0.39, 0.3, at_most=True)
    yield debt, above, times
    alone = min(best_of_rounds({fresh: partial(cold_start.run, fresh)}, seconds, warm=False)[fresh])
    debt = Debt("the same in a fresh cache, whole", "s", 9.5, 8.0, at_most=True)
    yield debt, alone, {fresh: alone}


def search_for_nan(seconds: float) -> Iterator[Found]:
    """Yield what finding out whether X is finite takes, in reads of X."""
    from fastlogreg.backends import numba as backend

    X, _, _ = cases.kernel_data(1_000_000, 20, "float64")
    search = backend.bind(X, None, None, None, PassSpec()).first_not_finite
    calls = {"read": lambda: backend.read_sum(X), "search": search}
    times = {name: min(own) for name, own in best_of_rounds(calls, seconds).items()}
    debt = Debt("search for NaN, 1,000,000 x 20", "reads", np.nan, 1.1, at_most=True)
    yield debt, times["search"] / times["read"], times


GROUPS = {
    "kernels": kernels,
    "nan": search_for_nan,
    "epochs": epochs,
    "fits": fits,
    "first": first_fits,
}


def paid(debt: Debt, value: float) -> bool:
    """Return whether a figure is what was asked."""
    return value <= debt.asked if debt.at_most else value >= debt.asked


def tabulate(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each debt."""
    table = new_table("debts of speed", "what", "unit", "was", "asked", "now", "paid")
    for row in rows:
        was = "" if np.isnan(row["was"]) else f"{row['was']:.3g}"
        value = f"{row['now']:.3g}"
        table.add_row(
            row["what"],
            row["unit"],
            was,
            f"{row['asked']:.3g}",
            value,
            "yes" if row["paid"] else "NO",
        )
    return table


def main(
    only: Annotated[str, typer.Option(help="Names of groups, separated by commas.")] = "",
    quick: Annotated[bool, typer.Option(help="One figure, few rounds.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each figure.")] = 6.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure what was slow, beside what was asked."""
    names = chosen(only, GROUPS, "group")
    if quick:
        names, seconds = names or ["nan"], min(seconds, 0.3)
    rows = []
    for name in names or GROUPS:
        typer.echo(name, err=True)
        for debt, value, measured in GROUPS[name](seconds):
            row = {**debt._asdict(), "now": value, "paid": paid(debt, value), "measured": measured}
            rows.append(row)
    show(tabulate(rows), rows, output)
    unpaid = sum(not row["paid"] for row in rows)
    console().print(f"{len(rows) - unpaid} of {len(rows)} as asked", highlight=False)


if __name__ == "__main__":
    typer.run(main)
