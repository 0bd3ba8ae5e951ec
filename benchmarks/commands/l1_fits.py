"""Exact fits with L1 and elastic net: ``python -m benchmarks.l1_fits``.

Each case has three problems: L1 at 1/10 and 1/100 of the penalty that leaves no column, and the
elastic net with l1_ratio 0.5 at 1/10 of its own. Ours is timed at tol=1e-2, 1e-3, 1e-4, 1e-6 and
its default 1e-8; the peers of :mod:`benchmarks.peers.penalized`, where they are installed, at
tighter and tighter tolerances until one is within 1e-8 of the optimum. Each peer first runs in a
process of its own, which is ended where a fit takes more than a limit of seconds. Then ours and the
two fastest settings of peers within each of 1e-4, 1e-6 and 1e-8 are timed again in interleaved
rounds in one process, with one thread for the BLAS.

Objectives are computed by NumPy for everyone; the optimum is the lowest that anybody reached, a
tight fit of ours included. A ratio is of seconds: those of the fastest setting of any peer over
those of our fastest setting, each among the settings whose true distance from that optimum is
within the target. What a fit says of itself, a tolerance or a gap, never counts; so a fit of ours
at tol=1e-3 that ended within 1e-6 counts for 1e-6, as a peer's does.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks.harness.options import chosen
from benchmarks.harness.processes import CutOff, each_within
from benchmarks.harness.stored import joined, show
from benchmarks.harness.tables import console, geometric_mean, ms, ratio, tiny
from benchmarks.peers.penalized import Penalized, Setting, settings
from benchmarks.penalty_cases import L1_FITS
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, new_table

NEAR = 1e-6
TARGETS = (1e-4, NEAR, 1e-8)  # relative distances from the optimum
TOLERANCES = (1e-2, 1e-3, *TARGETS)  # ours: of a gap; where it is large the distance is far less
DEFAULT = 1e-8  # our tolerance where none is given
#: the share of the strongest, and l1_ratio
PENALTIES: tuple[tuple[int, float], ...] = ((10, 1.0), (100, 1.0), (10, 0.5))
LONG = 2.0  # seconds after which a peer that is near, or was out of iterations, is left at that


class Run(NamedTuple):
    """One fit: where it ended, its seconds, and how many warnings it gave."""

    model: Any
    seconds: float
    warned: int


def ours(problem: Penalized, tol: float) -> Any:
    """Return our estimator."""
    return flr.LogisticRegression(l1_ratio=problem.l1_ratio, C=problem.C, tol=tol)


def fit(problem: Penalized, make: Callable[[], Any]) -> Run:
    """Fit once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = time.perf_counter()
        model = make().fit(problem.X, problem.y)
        return Run(model, time.perf_counter() - begun, len(caught))


def warm(problem: Penalized, make: Callable[[], Any]) -> None:
    """Fit a few rows once: imports, and compilation where the peer is compiled."""
    few = problem._replace(X=problem.X[:50], y=np.arange(50) % problem.n_classes)
    fit(few, make)


def climb(problem: Penalized, ladder: list[Setting], best: float) -> Iterator[tuple[Run, float]]:
    """Yield a peer's fits and their objectives from loose to tight, while it makes sense.

    ``best`` is the least objective that is known; 0 makes it take every setting.
    """
    warm(problem, ladder[0][1])
    for _, make in ladder:
        run = fit(problem, make)
        value = problem.objective(run.model.coef_, run.model.intercept_)
        yield run, value
        best = min(best, value)
        solved, near = (value <= best * (1.0 + target) for target in (min(TARGETS), NEAR))
        if solved or (run.seconds > LONG and (near or run.warned)):
            return


class Peers(NamedTuple):
    """What the peers reached, by setting: fits, their objectives, and why others have none."""

    runs: dict[str, Run]
    values: dict[str, float]
    cut: dict[str, str]


def first_runs(problem: Penalized, best: float, limit: float) -> Peers:
    """Return what each peer reached in a process of its own."""
    found = Peers({}, {}, {})
    for ladder in settings(problem).values():
        labels = iter(label for label, _ in ladder)
        try:
            for run, value in each_within(limit, climb, problem, ladder, best):
                label = next(labels)
                found.runs[label], found.values[label] = run, value
        except (CutOff, RuntimeError) as why:  # too long, too large, or refused
            found.cut[next(labels)] = str(why)
    return found


def in_rounds(problem: Penalized, again: set[str], seconds: float) -> dict[str, float]:
    """Return the least seconds of ours at each tolerance, and of some settings of peers."""
    calls: dict[Any, Callable[[], object]] = {
        _label(tol): partial(fit, problem, partial(ours, problem, tol)) for tol in TOLERANCES
    }
    for label, make in (setting for ladder in settings(problem).values() for setting in ladder):
        if label in again:
            warm(problem, make)
            calls[label] = partial(fit, problem, make)
    with threadpool_limits(1, user_api="blas"):
        times = best_of_rounds(calls, seconds, warm=False, pause=PAUSE)
    return {label: min(found) for label, found in times.items()}


def _label(tol: float) -> str:
    return f"ours tol={tol:g}"


def fastest(took: dict[str, float], above: dict[str, float], target: float) -> list[str]:
    """Return the settings within a true distance of the optimum, the fastest first."""
    return sorted(
        (label for label in took if above[label] <= target), key=lambda label: took[label]
    )


def _winner(took: dict[str, float], above: dict[str, float], target: float) -> dict[str, Any]:
    """Return the fastest setting within a target, its seconds and its true distance."""
    for label in fastest(took, above, target):
        return {"run": label, "seconds": took[label], "above": above[label]}
    return {"run": "", "seconds": None, "above": None}


def measure(name: str, share: int, l1_ratio: float, seconds: float, limit: float) -> dict[str, Any]:
    """Return the figures of a case at one penalty.

    A row has ours at the default (``ours``, ``above``, ``gap``, ...) and at each tolerance (``to``,
    ``to_above``), the fastest setting of ours and of any peer ``within`` each target, the best peer
    within 1e-6 (``peer``, ``best``, ``peer_above``), and all ``runs`` of peers.
    """
    problem = Penalized.below_top(*L1_FITS[name](), share, l1_ratio)
    fit(problem, partial(ours, problem, DEFAULT))  # compiled
    mine = {tol: fit(problem, partial(ours, problem, tol)) for tol in (*TOLERANCES, 1e-11)}
    values = {
        tol: problem.objective(run.model.coef_, run.model.intercept_) for tol, run in mine.items()
    }
    known = 0.0 if mine[DEFAULT].warned else min(values.values())
    peers = first_runs(problem, known, limit)
    best = min([*values.values(), *peers.values.values()])

    my_above = {_label(tol): values[tol] / best - 1.0 for tol in TOLERANCES}
    above = {label: value / best - 1.0 for label, value in peers.values.items()}
    first = {label: run.seconds for label, run in peers.runs.items()}
    again = {label for target in TARGETS for label in fastest(first, above, target)[:2]}
    took = in_rounds(problem, again, seconds)
    my_took = {label: took.pop(label) for label in my_above}
    at_target = {
        f"{target:g}": {
            "ours": _winner(my_took, my_above, target),
            "peer": _winner(took, above, target),
        }
        for target in TARGETS
    }
    near = at_target[f"{NEAR:g}"]["peer"]
    default = mine[DEFAULT].model
    return {
        "case": name,
        "share": share,
        "l1_ratio": l1_ratio,
        "ours": my_took[_label(DEFAULT)],
        "above": my_above[_label(DEFAULT)],
        "gap": default.duality_gap_ / default.objective_,
        "warnings": mine[DEFAULT].warned,
        "passes": default.n_passes_,
        "nonzeros": int(np.count_nonzero(default.coef_)),
        "to": {f"{tol:g}": my_took[_label(tol)] for tol in TOLERANCES},
        "to_above": {f"{tol:g}": my_above[_label(tol)] for tol in TOLERANCES},
        "to_warnings": {f"{tol:g}": mine[tol].warned for tol in TOLERANCES},
        "within": at_target,
        "peer": near["run"],
        "best": near["seconds"],
        "peer_above": near["above"],
        "runs": [
            {
                "run": label,
                "seconds": run.seconds,
                "again": took.get(label),
                "above": above[label],
                "warnings": run.warned,
            }
            for label, run in peers.runs.items()
        ]
        + [
            {"run": label, "seconds": limit, "above": None, "cut": True, "why": why}
            for label, why in peers.cut.items()
        ],
    }


def net(row: dict[str, Any]) -> str:
    """Return what follows the penalty of a row where it is not L1; older figures are of L1."""
    l1_ratio = row.get("l1_ratio", 1.0)
    return "" if l1_ratio == 1.0 else ", elastic net"


def titled(row: dict[str, Any]) -> str:
    """Return the case and the penalty of a row."""
    return f"{row['case']}, /{row['share']}{net(row)}"


def near_seconds(row: dict[str, Any]) -> float | None:
    """Return the seconds of our fastest setting that is truly within 1e-6.

    Older figures have our default alone, which is.
    """
    found = row["within"][f"{NEAR:g}"]["ours"]["seconds"] if "within" in row else row["ours"]
    return None if found is None else float(found)


def speedup(row: dict[str, Any], target: float = NEAR) -> float | None:
    """Return the best peer's seconds over ours, both truly within a target; None without either."""
    if "within" in row:
        found = row["within"][f"{target:g}"]
        mine, theirs = found["ours"]["seconds"], found["peer"]["seconds"]
    else:  # older figures: our default, and what was within 1e-6
        mine, theirs = (row["ours"], row["best"]) if target == NEAR else (None, None)
    return theirs / mine if mine and theirs else None


def speedups(rows: list[dict[str, Any]], target: float = NEAR) -> list[float]:
    """Return :func:`speedup` of the rows that have it."""
    return [found for row in rows if (found := speedup(row, target)) is not None]


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table: times in ms, ratios to ours."""
    table = new_table(
        "Exact fits with L1, and the elastic net with l1_ratio 0.5 (ms)",
        "case, / of the strongest penalty",
        "default",
        "above",
        "gap",
        "passes",
        "non-zeros",
        "tol=1e-6",
        "above",
        "tol=1e-4",
        "above",
        "ours in 1e-6",
        "best peer in 1e-6",
        "ms",
        "above",
        "ratio",
        "in 1e-4",
        "in 1e-8",
        caption=(
            "default, tol=: our fits, tol=1e-8 is the default. above: the true relative distance "
            "from the optimum, by NumPy. gap: what our default fit says of it. in 1e-6: the "
            "fastest setting whose true distance is within 1e-6, ours and a peer's; ratio: the "
            "latter's time over the former's. in 1e-4, in 1e-8: the same ratio for these."
        ),
    )
    for row in rows:
        looser = []
        for tol in ("1e-06", "0.0001"):
            looser += [ms(row.get("to", {}).get(tol)), tiny(row.get("to_above", {}).get(tol))]
        table.add_row(
            titled(row),
            ms(row["ours"]),
            tiny(row["above"]),
            tiny(row["gap"]) + (" warned" if row["warnings"] else ""),
            f"{row['passes']:.4g}",
            str(row["nonzeros"]),
            *looser,
            ms(near_seconds(row)),
            row["peer"],
            ms(row["best"]),
            tiny(row["peer_above"]),
            *[ratio(speedup(row, target)) for target in (NEAR, 1e-4, 1e-8)],
        )
    if speedups(rows):
        table.add_section()
        means = [
            ratio(geometric_mean(found)) if (found := speedups(rows, target)) else ""
            for target in (NEAR, 1e-4, 1e-8)
        ]
        table.add_row("geometric mean", *[""] * 13, *means)
    return table


def missed(row: dict[str, Any]) -> list[str]:
    """Return what of our fits in a row is not as it should be."""
    said = []
    if row["gap"] > DEFAULT:
        said.append(f"a gap of {row['gap']:.1e}")
    if row["warnings"]:
        said.append(f"{row['warnings']} warnings")
    for tol, above in row.get("to_above", {}).items():
        if above > float(tol):
            said.append(f"tol={tol} ended {above:.1e} above the optimum")
        if row["to_warnings"][tol] and float(tol) != DEFAULT:
            said.append(f"tol={tol} gave {row['to_warnings'][tol]} warnings")
    return said


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
    """Measure exact fits with L1 and elastic net against the packages that fit them."""
    named, penalties = chosen(only, L1_FITS, "case"), PENALTIES
    names = named or list(L1_FITS)
    if quick:
        names, penalties, seconds = names[:1], penalties[:1], 0.3
    rows = []
    for name in names:
        for share, l1_ratio in penalties:
            typer.echo(f"{name}, l1_ratio {l1_ratio:g}, lambda_max / {share}", err=True)
            rows.append(measure(name, share, l1_ratio, seconds, limit))
    rows, by = joined(rows, named, output, L1_FITS)
    show(matrix(rows), rows, output, command=by)
    for row in rows:
        if said := missed(row):
            console().print(f"missed: {titled(row)}: {', '.join(said)}")


if __name__ == "__main__":
    typer.run(main)
