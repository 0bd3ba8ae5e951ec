"""Degenerate data, and what happens to each: ``python -m benchmarks.degenerate``.

:data:`CASES` is the one table: ``tests/test_degenerate.py`` runs over it too. The judge is Newton
in 80 digits (:mod:`benchmarks.harness.extended`). Beside ours stand scikit-learn's default (lbfgs)
and its newton-cholesky on the same data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import fastlogreg as flr
from benchmarks.harness import extended
from benchmarks.harness.problem import Problem, theta_of
from benchmarks.harness.stored import show
from benchmarks.harness.tables import ms, tiny
from benchmarks.harness.timing import timed_fit
from benchmarks.peers.adapters import ScikitLearn
from fastlogreg.cli.measuring import best_of_rounds, new_table

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Case:
    """Degenerate data, and the warning or error that they deserve; none for most."""

    name: str
    make: Callable[[], Problem]
    warning: str = ""
    error: str = ""
    needs_hessian: bool = False  # conjugate gradients don't notice what little curvature there is


def sample(n: int = 150, d: int = 3, seed: int = 3) -> tuple[Rows, NDArray[np.float64]]:
    """Return normal columns, and labels that no plane separates.

    The values are multiples of 2^-16: sums and multiples of columns are exact. Columns that are
    collinear but for their rounding have another optimum: with coefficients of 1e16, the rounding
    errors are a column like any other.
    """
    rng = np.random.default_rng(seed)
    X = np.round(rng.standard_normal((n, d)) * 2.0**16) / 2.0**16
    p = 1.0 / (1.0 + np.exp(-(X @ np.linspace(1.0, -1.0, d)) - 0.3))
    return X, (rng.random(n) < p).astype(np.float64)


def changed(change: Callable[[Rows], Rows], C: float = 1.0) -> Problem:
    """Return the sample with its columns changed."""
    X, y = sample()
    return Problem(change(X), y, C=C)


def separable(n: int = 40, C: float = 1.0) -> Problem:
    """Return rows that a plane separates."""
    X, _ = sample(n, 2)
    X[:, 0] += np.sign(X[:, 0]) * 0.1
    return Problem(X, (X[:, 0] > 0.0).astype(np.float64), C=C)


def rare(n: int = 1_000_000, C: float = 1.0) -> Problem:
    """Return one positive in a million rows, of a few kinds."""
    X = np.random.default_rng(4).integers(0, 4, (n, 2)).astype(np.float64)
    y = np.zeros(n)
    y[n // 3] = 1.0
    X[n // 3] = [1.0, 2.0]
    return Problem(X, y, C=C)


def weighted(C: float = 1.0, zero: float = 0.0) -> Problem:
    """Return weights from 1e-12 to 1e12 in random order; a share of them zero."""
    X, y = sample()
    rng = np.random.default_rng(5)
    weights = rng.permutation(np.geomspace(1e-12, 1e12, y.size))
    # the heaviest rows of both labels, or one alone would be all the data
    weights[:6], y[:6] = 1e12, [0, 1, 0, 1, 0, 1]
    weights[rng.random(y.size) < zero] = 0.0
    return Problem(X, y, weights, C)


def one_hot_alone(C: float) -> Problem:
    """Return a column that one row alone holds."""
    return changed(lambda X: np.column_stack([X, np.arange(len(X)) == 7]), C)


def outlier(scale: float, C: float) -> Problem:
    """Return one row far from all others."""

    def change(X: Rows) -> Rows:
        X[11] *= scale
        return X

    return changed(change, C)


def in_float32(smallest: float, largest: float, C: float = 1.0) -> Problem:
    """Return float32 columns of these scales."""
    X, y = sample()
    X = X / np.abs(X).max(axis=0) * np.geomspace(smallest, largest, X.shape[1])
    return Problem(X.astype(np.float32), y, C=C)


def _twice(X: Rows) -> Rows:
    return np.column_stack([X, X[:, 0]])


def _multiple(X: Rows) -> Rows:
    return np.column_stack([X, -3e5 * X[:, 1]])


def _sum(X: Rows) -> Rows:
    return np.column_stack([X, X @ [1.0, 2.0, 3.0]])


def _nearly(noise: float, X: Rows) -> Rows:
    return np.column_stack([X, X[:, 0] + noise * np.cos(np.arange(len(X)) ** 2)])


def _constant(X: Rows) -> Rows:
    return np.column_stack([X, np.full(len(X), 7.0)])


def _scales(X: Rows) -> Rows:
    return X * [1e-8, 1.0, 1e8]


def _offsets(times: float, X: Rows) -> Rows:
    return X + times


def _times(factor: float, X: Rows) -> Rows:
    return X * factor


_INF = np.inf
_SEPARATED = "the classes can be separated"

CASES = {
    case.name: case
    for case in (
        Case("constant column", partial(changed, _constant)),
        Case("constant column, no penalty", partial(changed, _constant, _INF)),
        Case("duplicate columns", partial(changed, _twice)),
        Case("duplicate columns, no penalty", partial(changed, _twice, _INF)),
        Case("multiple of a column, no penalty", partial(changed, _multiple, _INF)),
        Case("collinear columns", partial(changed, _sum)),
        Case("collinear columns, no penalty", partial(changed, _sum, _INF)),
        Case("nearly equal, 1e-6", partial(changed, partial(_nearly, 1e-6))),
        *(
            Case(
                f"nearly equal, {e:.0e}, no penalty",
                partial(changed, partial(_nearly, e), _INF),
                needs_hessian=True,
            )
            for e in (1e-6, 1e-9)
        ),
        Case("all columns zero", partial(changed, np.zeros_like)),
        Case("all columns zero, no penalty", partial(changed, np.zeros_like, _INF)),
        Case("all rows equal", partial(changed, lambda X: np.tile(X[:1], (len(X), 1)))),
        Case("scales 1e-8 to 1e8", partial(changed, _scales)),
        Case("scales 1e-8 to 1e8, no penalty", partial(changed, _scales, _INF)),
        Case("offsets 1e6", partial(changed, partial(_offsets, 1e6))),
        Case("offsets 1e6, no penalty", partial(changed, partial(_offsets, 1e6), _INF)),
        Case("offsets 1e8", partial(changed, partial(_offsets, 1e8))),
        Case("offsets 1e8, no penalty", partial(changed, partial(_offsets, 1e8), _INF)),
        Case("separable", separable),
        Case("separable, C=1e12", partial(separable, C=1e12)),
        Case("separable, no penalty", partial(separable, C=_INF), warning=_SEPARATED),
        Case("a column of one row", partial(one_hot_alone, 1.0)),
        Case(
            "a column of one row, no penalty",
            partial(one_hot_alone, _INF),
            warning=r"1 of 150 rows \(row 7\) can be separated by column 3 .* no optimum",
        ),
        Case("one positive in 1e6 rows", rare),
        Case("one positive in 1e6 rows, no penalty", partial(rare, C=_INF)),
        Case("20 x 40", lambda: Problem(*sample(20, 40))),
        Case("20 x 40, C=1e8", lambda: Problem(*sample(20, 40), C=1e8)),
        Case("20 x 40, no penalty", lambda: Problem(*sample(20, 40), C=_INF), _SEPARATED),
        Case("2 rows", lambda: Problem(np.array([[1.0], [2.0]]), np.array([0.0, 1.0]))),
        Case("2 equal rows", lambda: Problem(np.array([[3.0], [3.0]]), np.array([0.0, 1.0]))),
        Case(
            "2 rows, no penalty",
            lambda: Problem(np.array([[1.0], [2.0]]), np.array([0.0, 1.0]), C=_INF),
            _SEPARATED,
        ),
        Case("weights 1e-12 to 1e12", weighted),
        Case("weights 1e-12 to 1e12, no penalty", partial(weighted, _INF)),
        Case("weights 1e-12 to 1e12, half zero", partial(weighted, zero=0.5)),
        Case("an outlier, 1e8", partial(outlier, 1e8, 1.0)),
        Case("an outlier, 1e8, no penalty", partial(outlier, 1e8, _INF)),
        Case("an outlier, 1e12", partial(outlier, 1e12, 1.0), needs_hessian=True),
        Case("an outlier, 1e12, no penalty", partial(outlier, 1e12, _INF), needs_hessian=True),
        Case("C=1e-12", partial(changed, np.copy, 1e-12)),
        Case("C=1e12", partial(changed, np.copy, 1e12)),
        Case("values of 1e150", partial(changed, partial(_times, 1e150))),
        Case("values of 1e150, no penalty", partial(changed, partial(_times, 1e150), _INF)),
        Case("values of 1e160", partial(changed, partial(_times, 1e160)), error="too large"),
        Case("values of 1e-150", partial(changed, partial(_times, 1e-150))),
        Case("values of 1e-150, no penalty", partial(changed, partial(_times, 1e-150), _INF)),
        Case("float32, 1e-38 to 3e38", partial(in_float32, 1e-38, 3e38)),
        Case("float32, 1e-38 to 3e38, no penalty", partial(in_float32, 1e-38, 3e38, _INF)),
        Case("float32, 1e-44 to 1, no penalty", partial(in_float32, 1e-44, 1.0, _INF)),
    )
}


PEERS = ("lbfgs", "newton-cholesky")


def outcome(model: Any, problem: Problem) -> dict[str, Any]:
    """Return what a fit came to: theta or an error, the first warning."""
    try:
        _, warning = timed_fit(model, problem)
    except ValueError as error:
        return {"theta": None, "note": str(error).splitlines()[0], "ended": "refused"}
    theta = theta_of(model)
    ended = "WARNED" if warning else "fine"
    return {"theta": theta, "note": warning, "ended": ended if np.isfinite(theta).all() else "NaN"}


def measure(case: Case, seconds: float) -> dict[str, Any]:
    """Return what happened to one case, ours first."""
    problem = case.make()
    models: dict[str, Any] = {"fastlogreg": flr.LogisticRegression(C=problem.C)}
    for solver in PEERS:
        models[solver] = ScikitLearn(solver).model(problem.C)
    row: dict[str, Any] = {name: outcome(model, problem) for name, model in models.items()}
    fits = {
        name: partial(timed_fit, model, problem)
        for name, model in models.items()
        if row[name]["theta"] is not None
    }
    for name, times in best_of_rounds(fits, seconds, warm=False).items():
        row[name]["seconds"] = min(times)
    ours = row["fastlogreg"]
    if ours["theta"] is not None:
        ours["passes"] = models["fastlogreg"].n_passes_
        mirrored = flr.LogisticRegression(C=problem.C)
        timed_fit(mirrored, problem._replace(y=1.0 - problem.y))
        ours["flipped"] = float(np.abs(theta_of(mirrored) + ours["theta"]).max())
    if not (case.warning or case.error):
        judge = extended.Extended(problem)
        best = extended.optimum(judge, ours["theta"])
        for name in models:
            theta = row[name]["theta"]
            if theta is not None and np.isfinite(theta).all():
                row[name]["above"] = extended.above(judge, theta, best)
    for name in models:
        del row[name]["theta"]
    as_expected = (
        ours["ended"] == "refused" and case.error in ours["note"]
        if case.error
        else ours["ended"] == "WARNED" and case.warning in ours["note"]
        if case.warning
        else ours["ended"] == "fine" and ours["above"] <= 1e-8
    )
    return {"case": case.name, "as expected": as_expected, **row}


def main(
    only: Annotated[str, typer.Option("--cases", help="Parts of names, by semicolons.")] = "",
    seconds: Annotated[float, typer.Option(help="Of rounds for each case.")] = 0.5,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Fit all degenerate data, and show what happened in each."""
    wanted = [part.strip() for part in only.split(";") if part.strip()]
    chosen = [
        case for name, case in CASES.items() if not wanted or any(part in name for part in wanted)
    ]
    rows = [measure(case, seconds) for case in chosen]
    table = new_table(
        "degenerate data, default settings",
        "case",
        *("ended", "passes", "ms", "above", "flipped"),
        *(f"{title}" for solver in PEERS for title in (solver, "ms", "above")),
        caption="above: the objective above its optimum, relative, in 80 digits; empty where there "
        "is no optimum. flipped: how far the parameters are from the negative of those with labels "
        "flipped; WARNED and refused: see the notes below",
    )
    notes = []
    for row in rows:
        ours = row["fastlogreg"]
        cells = [ours["ended"], f"{ours.get('passes', 0):.3g}", ms(ours.get("seconds"))]
        cells += [tiny(ours.get("above")), tiny(ours.get("flipped"))]
        for solver in PEERS:
            peer = row[solver]
            cells += [peer["ended"], ms(peer.get("seconds")), tiny(peer.get("above"))]
        table.add_row(row["case"], *cells)
        if ours["note"]:
            notes.append(f"{row['case']}: {ours['note']}")
    show(table, rows, output)
    for note in notes:
        typer.echo(note)
    for row in rows:
        if not row["as expected"]:
            typer.echo(f"missed: {row['case']}")


if __name__ == "__main__":
    typer.run(main)
