"""Random tables built to deceive, and what solvers say: ``python -m benchmarks.random_tables``.

Each seed is a table: columns of many kinds (heavy tails, counts, rare dummies, constants, far
from 0, of any scale, nearly collinear, in correlated blocks), rows sorted, repeated or with an
outlier, labels drawn from the columns or very rare, weights of several kinds, class weights,
offsets, any C up to infinity, with and without an intercept, float32 and float64, three storages.
The judge is :mod:`benchmarks.harness.reference`. ``tests/test_random_tables.py`` runs over some of
the seeds; the command runs over as many as are asked for, can be stopped at any time, and goes on
from a stored result with ``--resume``.
"""

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
import typer
from numpy.typing import NDArray
from rich.table import Table as Printed
from sklearn.exceptions import ConvergenceWarning

import fastlogreg as flr
from benchmarks.harness import reference
from benchmarks.harness.problem import theta_of
from benchmarks.harness.stored import store
from benchmarks.harness.tables import console, tiny
from fastlogreg.cli.measuring import new_table

SOLVERS = ("auto", "newton", "newton-cg", "lbfgs")
LIMIT = 1e-6  # relative distance above the optimum that counts as there

#: verdicts: the first rows are faults
WRONG = "wrong"
SILENT = "silent"
UNSAID = "no optimum, unsaid"
ERROR = "error"
WARNED = "warned"
FALSE = "false warning"
RIGHT = "right"
SAID = "no optimum, said"
UNJUDGED = "unjudged"
VERDICTS = {
    WRONG: "says converged_ and is above the optimum",
    SILENT: "is above it, and no warning",
    UNSAID: "there is no optimum, and converged_ or no warning",
    ERROR: "an exception, or a warning of another kind",
    WARNED: "is above an optimum that can be reached, and says so",
    FALSE: "is there, and warns",
    RIGHT: "is there, and says so",
    SAID: "there is no optimum, and it says so",
    UNJUDGED: "the reference is not sure of itself",
}
FAULTS = (WRONG, SILENT, UNSAID, ERROR)
FINE = (RIGHT, SAID)

_VALUES = 1_500_000  # of a table, at most
_LARGEST = 1e140  # squares of more than this, summed, leave float64
_LARGEST_SINGLE = 1e30
_STORE_SECONDS = 30.0

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Table:
    """What one seed makes: the arguments of an estimator and of its ``fit``."""

    seed: int
    X: Any
    y: NDArray[np.int64]
    sample_weight: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None
    C: float
    fit_intercept: bool
    class_weight: dict[int, float] | str | None
    traits: tuple[str, ...]

    def __str__(self) -> str:
        n, d = self.X.shape
        return f"{n} x {d}, C={self.C:.1e}, {', '.join(self.traits)}"

    def data(self) -> reference.Data:
        """Return what an estimator is asked to minimize, by the words of its documentation."""
        X = self.X.toarray() if sp.issparse(self.X) else self.X
        n = self.y.size
        weights = np.ones(n) if self.sample_weight is None else self.sample_weight
        if self.class_weight is not None:
            total = [weights[self.y == label].sum() for label in (0, 1)]
            by_class = (
                {label: 0.5 * sum(total) / total[label] for label in (0, 1)}
                if isinstance(self.class_weight, str)
                else self.class_weight
            )
            weights = weights * np.where(self.y == 1, by_class.get(1, 1.0), by_class.get(0, 1.0))
        kept = weights > 0.0
        offset = np.zeros(n) if self.offset is None else self.offset
        y = self.y.astype(np.float64)
        return reference.Data(
            X[kept], y[kept], weights[kept], offset[kept], self.C, self.fit_intercept
        )


# --- tables ------------------------------------------------------------------------------

Generator = np.random.Generator


def _power(rng: Generator, low: float, high: float, size: int | None = None) -> Any:
    return 10.0 ** rng.uniform(low, high, size)


COLUMNS: dict[str, tuple[float, Callable[[Generator, int], Rows]]] = {
    "normal": (4, lambda rng, n: rng.normal(size=n)),
    "lognormal": (2, lambda rng, n: np.exp(rng.normal(size=n) * rng.uniform(0.5, 3.0))),
    "cauchy": (1, lambda rng, n: rng.standard_cauchy(size=n)),
    "counts": (1, lambda rng, n: rng.poisson(_power(rng, -2, 3), n).astype(float)),
    "levels": (1, lambda rng, n: rng.integers(0, 3, n).astype(float)),
    "dummy": (2, lambda rng, n: (rng.random(n) < _power(rng, -4, -0.3)).astype(float)),
    "constant": (0.5, lambda rng, n: np.full(n, rng.normal() * _power(rng, -3, 3))),
    "far": (2, lambda rng, n: rng.normal(size=n) + rng.choice([-1, 1]) * _power(rng, 0, 8)),
    "time": (1, lambda rng, n: 1.7e9 + np.sort(rng.random(n)) * _power(rng, 1.5, 8)),
    "scaled": (1.5, lambda rng, n: rng.normal(size=n) * _power(rng, -8, 8)),
    "any scale": (0.2, lambda rng, n: rng.normal(size=n) * _power(rng, -140, 140)),
}


def _columns(rng: Generator, n: int, d: int) -> tuple[Rows, set[str]]:
    """Return columns of random kinds, and what is special about them."""
    names = list(COLUMNS)
    odds = np.array([COLUMNS[name][0] for name in names], dtype=float)
    picked = [names[k] for k in rng.choice(len(names), d, p=odds / odds.sum())]
    X = np.column_stack([COLUMNS[name][1](rng, n) for name in picked])
    traits = {name for name in picked if name in ("far", "time", "any scale", "cauchy")}
    # combinations of columns that are far from 0 would be of their rounding errors
    near = [j for j, name in enumerate(picked) if name in ("normal", "lognormal", "counts")]
    if len(near) > 2 and rng.random() < 0.35:
        a, b, c = rng.choice(near, 3, replace=False)
        mixed = X[:, a] * rng.normal() + X[:, b] * rng.integers(0, 2)
        X[:, c] = mixed + _power(rng, -9, -1) * mixed.std() * rng.normal(size=n)
        traits.add("collinear")
    if d > 1 and rng.random() < 0.1:
        a, b = rng.choice(d, 2, replace=False)
        X[:, a] = X[:, b] * rng.choice([1.0, 1.0, -2.0, 1024.0])
        traits.add("twice")
    if len(near) > 2 and rng.random() < 0.15:
        common = rng.normal(size=(n, 1))
        X[:, near] = common + _power(rng, -3, 0) * rng.normal(size=(n, len(near)))
        X[:, near] *= _power(rng, -3, 3, len(near))
        traits.add("block")
    if rng.random() < 0.08:
        X[rng.integers(n)] *= _power(rng, 2, 8)
        traits.add("outlier")
    return np.clip(X, -_LARGEST, _LARGEST), traits


def _labels(rng: Generator, X: Rows) -> NDArray[np.int64]:
    """Return labels that depend on the columns more or less, a few of one class at times."""
    n, d = X.shape
    middle = np.median(X, axis=0)
    size = np.abs(X - middle).mean(axis=0)
    Z = np.clip((X - middle) / np.where(size > 0.0, size, 1.0), -20.0, 20.0)
    w = rng.normal(size=d) * _power(rng, -1, 0.7) / np.sqrt(d)
    y = (rng.random(n) < reference.expit(Z @ w + 2.0 * rng.normal())).astype(np.int64)
    if rng.random() < 0.08:
        y[:] = 0
        y[rng.choice(n, rng.integers(1, 4), replace=False)] = 1
        y = y if rng.random() < 0.5 else 1 - y
    return y


def _weights(rng: Generator, n: int) -> tuple[NDArray[np.float64] | None, str]:
    kind = rng.choice(["", "uniform", "wide", "counts", "heavy"], p=[0.45, 0.15, 0.15, 0.15, 0.1])
    if kind == "uniform":
        return rng.random(n), "weights"
    if kind == "wide":
        return _power(rng, -6, 2, n), "wide weights"
    if kind == "counts":
        return rng.integers(0, 3, n).astype(float), "weights with zeros"
    if kind == "heavy":
        weights = np.ones(n)
        weights[rng.integers(n)] = n * _power(rng, 0, 4)
        return weights, "a heavy row"
    return None, ""


def make(seed: int, largest: int = 200_000) -> Table:
    """Return the table of a seed, of ``largest`` rows at most."""
    rng = np.random.default_rng(seed)
    bounds = ((1.3, 3.2), (3.2, 4.5), (4.5, 5.3))[rng.choice(3, p=[0.7, 0.22, 0.08])]
    n = min(int(_power(rng, *bounds)), largest)
    C = float(rng.choice([1.0, 1e-3, 1e3, 1e6, _power(rng, -5, 6), np.inf]))
    wide = n <= 60 and np.isfinite(C) and rng.random() < 0.3
    d = int(rng.integers(n, 2 * n) if wide else min(rng.integers(1, 26), max(1, n // 5)))
    d = max(1, min(d, _VALUES // n))
    X, special = _columns(rng, n, d)
    if rng.random() < 0.12:  # of a few kinds of rows
        X = X[rng.integers(0, max(2, int(n * _power(rng, -2, 0))), n)]
        special.add("repeated rows")
    y = _labels(rng, X)
    order = rng.choice(["", "by label", "by a column"], p=[0.75, 0.15, 0.1])
    if order:
        key = y if order == "by label" else X[:, rng.integers(d)]
        by = np.argsort(key, kind="stable")
        X, y = X[by], y[by]
        special.add(f"sorted {order}")
    weights, weighted = _weights(rng, n)
    for label in (0, 1):  # a class without weight has no optimum, whatever the penalty
        if not (y == label).any() or (weights is not None and not weights[y == label].any()):
            row = rng.choice(np.flatnonzero((y != label) & (np.arange(n) != 0)))
            y[row] = label
            if weights is not None:
                weights[row] = max(weights[row], 1.0)
    offset = None
    if rng.random() < 0.25:
        offset = rng.normal(size=n) * _power(rng, -1, 1) + rng.normal() * rng.choice([0.0, 5.0])
        special.add("offset")
    class_weight: dict[int, float] | str | None = None
    if rng.random() < 0.25:
        class_weight = "balanced" if rng.random() < 0.5 else {1: float(_power(rng, -3, 3))}
        special.add("class weights")
    intercept = bool(rng.random() < 0.88)
    if not intercept:
        special.add("no intercept")
    stored: Any = X
    if rng.random() < 0.2:
        stored = np.clip(X, -_LARGEST_SINGLE, _LARGEST_SINGLE).astype(np.float32)
        special.add("float32")
    form = rng.choice(["C", "F", "CSR"], p=[0.5, 0.25, 0.25])
    if form == "CSR":
        stored = sp.csr_array(stored)
    else:
        stored = np.asarray(stored, order=form)
    traits = (str(form), *sorted(special), *([weighted] if weighted else []))
    return Table(seed, stored, y, weights, offset, C, intercept, class_weight, traits)


# --- verdicts ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What one solver came to on one table; ``above`` is None where there is no optimum."""

    table: Table
    solver: str
    verdict: str
    above: float | None = None
    note: str = ""

    def __str__(self) -> str:
        parts = [f"seed {self.table.seed} {self.solver}: {self.verdict}"]
        parts += [f"{tiny(self.above)} above"] if self.above is not None else []
        return ", ".join([*parts, str(self.table)]) + (f" ({self.note})" if self.note else "")

    def row(self) -> dict[str, Any]:
        """Return what is stored."""
        return {
            "seed": self.table.seed,
            "solver": self.solver,
            "verdict": self.verdict,
            "above": self.above,
            "table": str(self.table),
            "note": self.note,
        }


@dataclass(frozen=True)
class _Fit:
    model: Any
    told: tuple[str, ...]  # first lines of convergence warnings
    error: str = ""  # an exception, or a warning of another kind


def _fit(table: Table, solver: str) -> _Fit:
    model = flr.LogisticRegression(
        C=table.C,
        fit_intercept=table.fit_intercept,
        class_weight=table.class_weight,
        solver=solver,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(table.X, table.y, sample_weight=table.sample_weight, offset=table.offset)
        except Exception as error:
            return _Fit(None, (), f"{type(error).__name__}: {error}".splitlines()[0])
    told = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    other = [w for w in caught if w not in told]
    return _Fit(
        model,
        tuple(str(w.message).splitlines()[0] for w in told),
        f"{other[0].category.__name__}: {other[0].message}" if other else "",
    )


def _rounding(data: reference.Data, best: reference.Optimum, dtype: np.dtype[Any]) -> float:
    """Return how far above the optimum its own coefficients are once they are rounded."""
    if dtype == np.float64:
        return 0.0
    with np.errstate(over="ignore"):
        return max(0.0, reference.above(data, best.theta.astype(dtype), best))


def judge(table: Table, solvers: tuple[str, ...] = SOLVERS) -> list[Verdict]:
    """Return the verdict on each solver's fit of a table."""
    data = table.data()
    fits = {solver: _fit(table, solver) for solver in solvers}
    thetas = [theta_of(fit.model) for fit in fits.values() if fit.model is not None]
    best = reference.optimum(data, *(theta for theta in thetas if np.isfinite(theta).all()))

    def verdict(solver: str, fit: _Fit) -> Verdict:
        note = fit.told[0] if fit.told else ""
        if fit.error:
            return Verdict(table, solver, ERROR, note=fit.error)
        converged = fit.model.converged_
        if best.exists is False:
            said = fit.told and not converged
            return Verdict(table, solver, SAID if said else UNSAID, note=note)
        distance = reference.above(data, theta_of(fit.model), best)
        limit = LIMIT + 10.0 * _rounding(data, best, fit.model.coef_.dtype)
        there = distance <= limit  # False for NaN
        if best.exists is None or (there and not best.certified):
            name = UNJUDGED
        elif there:
            name = RIGHT if converged and not fit.told else FALSE
        else:
            name = WRONG if converged else WARNED if fit.told else SILENT
        return Verdict(table, solver, name, distance, note)

    return [verdict(solver, fit) for solver, fit in fits.items()]


# --- the command -------------------------------------------------------------------------


class Campaign:
    """Verdicts on the tables of some seeds, one after the other."""

    def __init__(self, seeds: range, solvers: tuple[str, ...], largest: int) -> None:
        self.seeds = seeds
        self.solvers = solvers
        self.largest = largest
        self.next = seeds.start
        self.counts = {solver: Counter[str]() for solver in solvers}
        self.kept: list[dict[str, Any]] = []  # fits that are neither right nor said to be none

    @property
    def asked(self) -> dict[str, Any]:
        """What tells one campaign from another."""
        return {
            "seeds": [self.seeds.start, self.seeds.stop],
            "solvers": list(self.solvers),
            "largest": self.largest,
        }

    def run(self) -> Iterator[list[Verdict]]:
        """Judge one table after the other; yield the verdicts on each."""
        for seed in range(self.next, self.seeds.stop):
            verdicts = judge(make(seed, self.largest), self.solvers)
            for found in verdicts:
                self.counts[found.solver][found.verdict] += 1
                if found.verdict not in FINE:
                    self.kept.append(found.row())
            self.next = seed + 1
            yield verdicts

    def rows(self) -> list[dict[str, Any]]:
        """Return for each solver how many fits had which verdict."""
        return [
            {"solver": solver, **{name: self.counts[solver][name] for name in VERDICTS}}
            for solver in self.solvers
        ]

    def store(self, output: Path | None) -> None:
        store(self.rows(), output, **self.asked, done=self.next, fits=self.kept)

    def resume(self, output: Path) -> None:
        """Go on where a stored campaign ended."""
        stored = json.loads(output.read_text())
        for name, value in self.asked.items():
            if stored[name] != value:
                raise typer.BadParameter(
                    f"{output} is of {name} {stored[name]}, not {value}: it can't be resumed"
                )
        self.next = stored["done"]
        self.kept = stored["fits"]
        for row in stored["rows"]:
            self.counts[row.pop("solver")].update(row)


def _table(campaign: Campaign) -> Printed:
    tables = campaign.next - campaign.seeds.start
    table = new_table(
        f"random tables: verdicts on {tables:,} tables by solver",
        *("verdict", *campaign.solvers, "meaning"),
    )
    for name, meaning in VERDICTS.items():
        table.add_row(name, *(f"{campaign.counts[s][name]:,}" for s in campaign.solvers), meaning)
        if name == FAULTS[-1]:
            table.add_section()
    return table


def _seeds(text: str) -> range:
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise typer.BadParameter(f"seeds are FIRST:LAST, such as 0:1000, not {text!r}")
    return range(int(first), int(last))


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:LAST, the last not included.")] = "0:200",
    solvers: Annotated[str, typer.Option(help="By commas.")] = ",".join(SOLVERS),
    largest: Annotated[int, typer.Option(help="Rows of a table at most.")] = 200_000,
    everything: Annotated[bool, typer.Option("--all", help="Print all but what is right.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with what --output holds.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Fit random tables with each solver, and say which answers are wrong."""
    campaign = Campaign(_seeds(seeds), tuple(name.strip() for name in solvers.split(",")), largest)
    if resume:
        if output is None:
            raise typer.BadParameter("--resume needs the --output to go on with")
        if output.exists():
            campaign.resume(output)
    stored, interrupted = time.monotonic(), False
    try:
        for verdicts in campaign.run():
            for found in verdicts:
                if found.verdict in FAULTS or (everything and found.verdict not in FINE):
                    typer.echo(str(found))
            if time.monotonic() - stored > _STORE_SECONDS:
                stored = time.monotonic()
                campaign.store(output)
                typer.echo(f"{campaign.next - campaign.seeds.start:,} tables", err=True)
    except KeyboardInterrupt:
        interrupted = True
        typer.echo(f"interrupted before seed {campaign.next}; --resume goes on", err=True)
    console().print(_table(campaign))
    campaign.store(output)
    if interrupted:
        raise typer.Exit(130)


if __name__ == "__main__":
    typer.run(main)
