"""Exact fits against scikit-learn: ``python -m benchmarks.fit_matrix``.

For each case of :data:`benchmarks.cases.FITS`: our fit at its defaults, and every solver of
scikit-learn at its defaults, which may stop early, and at tighter tolerances until one run is near
enough to the optimum (each in a process of its own: :mod:`benchmarks.peers.runner`). The runs that
can be the best, scikit-learn's default, ours and a parallel read of X are then timed again
in interleaved rounds, and the best of each is shown. Distances above the optimum are relative
and computed in the same way for everyone (:mod:`benchmarks.harness.quality`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness import quality
from benchmarks.harness.options import chosen
from benchmarks.harness.problem import Problem, theta_of
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import console, geometric_mean, ms, ratio, tiny
from benchmarks.harness.timing import timed_fit
from benchmarks.peers.adapters import ScikitLearn
from benchmarks.peers.runner import Worker, given
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table

#: in the order of what is expected of them on tall tables
SOLVERS = ("lbfgs", "newton-cholesky", "newton-cg", "liblinear", "sag", "saga")
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)  # beside each solver's defaults
NEAR = 1e-6  # relative distance above the optimum that counts as solved
_NEAR_THE_BEST = 2.0  # times its seconds: who is timed again
_TIMED_AGAIN = 3
_TOO_LONG = 3.0  # seconds: what takes longer is not timed again

#: what is asked for: our distance, ratios to the best solver and to lbfgs, reads of X
DISTANCE = 1e-8
BEST, BEST_OF_ALL = 2.5, 6.0
BEST_WHERE = {"iris": 1.5}  # checking the input is most of the time there
LBFGS, LBFGS_OF_ALL = 1.0, 20.0
READS, READS_ROWS, READS_COLUMNS = 25.0, 1_000_000, 20


@dataclass
class Run:
    """One solver at one setting; ``seconds`` is the best so far, or the limit if cut off."""

    solver: str
    tol: float | None  # None: all at defaults
    seconds: float | None = None
    theta: NDArray[np.float64] | None = field(default=None, repr=False)
    n_iter: int | None = None
    above: float | None = None
    rounds: int = 0
    note: str = ""

    @property
    def name(self) -> str:
        """Solver and setting."""
        return self.solver if self.tol is None else f"{self.solver} tol={self.tol:.0e}"

    @property
    def solved(self) -> bool:
        """Whether it is near enough to the optimum."""
        return self.above is not None and self.above <= NEAR

    @property
    def peer(self) -> str:
        """Its name among the peers."""
        return f"scikit-learn {self.solver}"

    def model(self, C: float) -> Any:
        """Return scikit-learn's estimator with these settings."""
        return ScikitLearn(self.solver).model(C, self.tol)


def run_once(worker: Worker, solver: str, tol: float | None, limit: float) -> Run:
    """Have one solver fit once, within ``limit`` seconds."""
    run = Run(solver, tol)
    answer = worker.prepare(run.peer)
    if "error" in answer or answer["refusal"]:
        run.note = answer.get("error") or answer["refusal"]
        return run
    answer = worker.fit(run.peer, tol, limit, most_times=1)
    if "error" in answer:
        run.note, run.seconds = answer["error"], answer.get("cut")
        return run
    run.seconds, run.note, run.rounds = answer["seconds"], answer["note"], 1
    run.theta, run.n_iter = np.array(answer["theta"]), answer["n_iter"]
    return run


def every_solver(
    worker: Worker, ours: float, seconds: float, distance: Callable[[NDArray[np.float64]], float]
) -> Iterator[Run]:
    """Run every solver at its defaults, then tighter until it is near the optimum.

    Parameters
    ----------
    worker : Worker
        Who has the problem.
    ours : float
        What our fit takes; a solver gets 60 times as much, a second at least, ``seconds``
        at most (and lbfgs, the default, twice ``seconds``).
    seconds : float
    distance : callable
        Of theta above the optimum, relative.
    """
    most = min(max(60.0 * ours, 1.0), seconds)
    fastest = np.inf
    for solver in SOLVERS:
        finished = False  # at its default tol, which is the first of TOLERANCES
        for tol in (None, *TOLERANCES):
            if tol == TOLERANCES[0] and finished:
                continue
            limit = 2 * seconds if (solver, tol) == ("lbfgs", None) else most
            if tol is not None:  # only of interest where it may become the best
                limit = min(limit, 1.5 * fastest + 0.05)
            run = run_once(worker, solver, tol, limit)
            if run.theta is not None:
                run.above = distance(run.theta)
            yield run
            if run.solved:
                assert run.seconds is not None
                fastest = min(fastest, run.seconds)
            if run.solved or run.theta is None or (run.seconds or 0.0) > min(30 * ours, limit):
                break  # a tighter run takes no less
            finished = not run.note


def measure(case: str, seconds: float, limit: float, *, with_peers: bool = True) -> dict[str, Any]:
    """Return what was found for one case; times in seconds, distances relative."""
    problem = cases.fit_data(case)
    X, y, weights, C = problem
    values = X if isinstance(X, np.ndarray) else X.data.reshape(-1, 1)
    row: dict[str, Any] = {
        "case": case,
        "n": X.shape[0],
        "d": X.shape[1],
        "storage": "dense" if isinstance(X, np.ndarray) else "csr",
        "dtype": str(X.dtype),
        "C": C,
        "weighted": weights is not None,
        "error": "",
    }
    model = flr.LogisticRegression(C=C)
    calls: dict[Any, Any] = {"read": partial(kernels.read_sum, values)}
    thetas = []
    try:
        timed_fit(model, problem)  # compiles, and says whether it can
        first, row["warning"] = timed_fit(model, problem)
        thetas.append(theta_of(model))
        row |= {"passes": model.n_passes_, "n_iter": int(model.n_iter_[0])}
        row["converged"] = model.converged_
        calls["fastlogreg"] = partial(model.fit, X, y, sample_weight=weights)
    except (TypeError, ValueError) as error:
        first, row["error"] = 0.1, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    best = quality.optimum(problem, *thetas)

    runs: list[Run] = []
    if with_peers:
        with Worker("") as worker, given(problem, [worker]):
            runs.extend(every_solver(worker, first, limit, partial(_above, problem, best)))
        best = min([best, *(quality.objective(problem, r.theta) for r in runs if _fitted(r))])
        for run in filter(_fitted, runs):
            run.above = quality.above(problem, run.theta, best)
        for run in _again(runs):
            calls[run.name] = partial(timed_fit, run.model(C), problem)
    times = best_of_rounds(calls, seconds, pause=PAUSE)
    row["read"] = min(times["read"])
    row["optimum"] = best
    if thetas:
        row["seconds"] = min(times["fastlogreg"])
        row["rounds"] = len(times["fastlogreg"])
        row["reads"] = row["seconds"] / row["read"]
        row["above"] = quality.above(problem, thetas[0], best)
    for run in runs:
        if run.name in times:
            run.seconds, run.rounds = min(times[run.name]), len(times[run.name])
    row["peers"] = [
        {k: v for k, v in vars(run).items() if k != "theta"} | {"name": run.name} for run in runs
    ]
    solved = [run for run in row["peers"] if run["above"] is not None and run["above"] <= NEAR]
    row["best"] = min(solved, key=lambda run: run["seconds"], default=None)
    row["lbfgs"] = row["peers"][0] if runs else None
    for name in ("best", "lbfgs"):
        peer = row[name]
        known = peer is not None and peer["seconds"] is not None and "seconds" in row
        row[f"over {name}"] = peer["seconds"] / row["seconds"] if known else None
    return row


def _above(problem: Problem, best: float, theta: NDArray[np.float64]) -> float:
    return quality.above(problem, theta, best)


def _fitted(run: Run) -> bool:
    return run.theta is not None


def _again(runs: list[Run]) -> list[Run]:
    """Return who is timed again, beside us: who may be the best, and scikit-learn's default."""
    solved = sorted((r for r in runs if r.solved), key=lambda r: r.seconds or np.inf)
    near = [r for r in solved if r.seconds <= _NEAR_THE_BEST * solved[0].seconds][:_TIMED_AGAIN]
    default = [r for r in runs[:1] if _fitted(r) and r not in near]
    return [r for r in near + default if r.seconds <= _TOO_LONG]


def missed(rows: list[dict[str, Any]]) -> list[str]:
    """Return which of the targets the figures miss."""
    out = []
    for row in rows:
        case = row["case"]
        if row["error"]:
            out.append(f"{case}: {row['error']}")
            continue
        if not row["above"] <= DISTANCE:
            out.append(f"{case}: {row['above']:.1e} above the optimum, not {DISTANCE:g}")
        if row["warning"] or not row["converged"]:
            out.append(f"{case}: {row['warning'] or 'not converged'}")
        if row["n"] >= READS_ROWS and row["d"] <= READS_COLUMNS and row["reads"] > READS:
            out.append(f"{case}: {row['reads']:.1f} reads of X, not {READS:g}")
        for name, least in (("best", BEST_WHERE.get(case, BEST)), ("lbfgs", LBFGS)):
            over = row[f"over {name}"]
            if over is not None and over < least:
                peer = row[name]["name"]
                out.append(f"{case}: {over:.2f} x as fast as {peer}, not {least:g} x")
    for name, least in (("best", BEST_OF_ALL), ("lbfgs", LBFGS_OF_ALL)):
        mean = _mean(rows, name)
        if mean is not None and mean < least:
            out.append(f"geometric mean over {name}: {mean:.1f} x, not {least:g} x")
    return out


def _mean(rows: list[dict[str, Any]], name: str) -> float | None:
    ratios = [row[f"over {name}"] for row in rows if row[f"over {name}"] is not None]
    return geometric_mean(ratios) if ratios else None


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each case."""
    table = new_table(
        f"exact fits at defaults, {kernels.default_threads()} threads, best ms",
        "case",
        *("reads", "passes", "ms", "above", "ended"),
        *("best of sklearn", "ms", "above", "ratio", "lbfgs ms", "above", "ratio"),
        caption="reads: our time in parallel reads of X; above: the objective above its optimum, "
        f"relative; best of sklearn: the fastest run within {NEAR:g}; lbfgs: "
        "scikit-learn's defaults; > where a fit was cut off; liblinear penalizes the intercept too",
    )
    for row in rows:
        if row["error"]:
            ours = ("", "", "", "", row["error"][:40])
        else:
            ended = "converged" if row["converged"] and not row["warning"] else "WARNED"
            ours = (
                f"{row['reads']:.1f}",
                f"{row['passes']:.3g}",
                ms(row["seconds"]),
                tiny(row["above"]),
                ended,
            )
        best, lbfgs = row["best"] or {}, row["lbfgs"] or {}
        cut = ">" if lbfgs and lbfgs["above"] is None else ""
        table.add_row(
            row["case"],
            *ours,
            best.get("name", "none" if row["peers"] else ""),
            ms(best.get("seconds")),
            tiny(best.get("above")),
            ratio(row["over best"]),
            cut + ms(lbfgs.get("seconds")),
            tiny(lbfgs.get("above")),
            cut + ratio(row["over lbfgs"]),
        )
    table.add_section()
    means = ratio(_mean(rows, "best")), ratio(_mean(rows, "lbfgs"))
    table.add_row("geometric mean", *[""] * 8, means[0], "", "", means[1])
    return table


def every_run(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each run of scikit-learn."""
    table = new_table("every run of scikit-learn", "case", "run", "ms", "rounds", "iter", "above")
    table.add_column("note", overflow="fold")
    for row in rows:
        for run in row["peers"]:
            n_iter = "" if run["n_iter"] is None else str(run["n_iter"])
            table.add_row(
                row["case"],
                run["name"],
                ms(run["seconds"]),
                str(run["rounds"]),
                n_iter,
                tiny(run["above"]),
                run["note"][:70],
            )
        table.add_section()
    return table


def main(
    only: Annotated[
        str,
        typer.Option(
            "--cases", help="Names, separated by commas; they join those already in --output."
        ),
    ] = "",
    quick: Annotated[bool, typer.Option(help="Small cases, few rounds: no figures.")] = False,
    with_peers: Annotated[bool, typer.Option("--peers/--no-peers", help="scikit-learn.")] = True,
    every: Annotated[bool, typer.Option("--all", help="Show every run of scikit-learn.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each case.")] = 3.0,
    limit: Annotated[float, typer.Option(help="Seconds for one fit of scikit-learn.")] = 8.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure exact fits against every solver of scikit-learn."""
    names = chosen(only, cases.FITS, "case")
    if quick:
        seconds, limit = min(seconds, 0.3), min(limit, 2.0)
    rows = []
    for name in names or (cases.SMALL_FITS if quick else cases.FITS):
        typer.echo(name, err=True)
        rows.append(measure(name, seconds, limit, with_peers=with_peers))
    rows, by = joined(rows, names, output, cases.FITS)
    if every:
        console().print(every_run(rows))
    show(matrix(rows), rows, output, command=by)
    for line in missed(rows):
        console().print(f"missed: {line}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
