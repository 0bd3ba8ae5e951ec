"""Mini-batch training against its peers: ``python -m benchmarks.minibatch_table``.

Two tables. Epochs: a shuffled epoch at several sizes of batch, beside an epoch of scikit-learn's
``SGDClassifier`` (one row at a time) and a parallel read of X, all in interleaved rounds. Time to
target: how long each takes to come within 1 % and 0.1 % of the optimal objective, at the same
penalty; epochs are timed one by one, and the objective after each is computed by us
(:mod:`benchmarks.harness.quality`), outside the time. The optimum is that of
``LogisticRegression``.

PyTorch's loop draws rows by index (a ``DataLoader`` is slower still) and is run with Adam at its
own rate of 0.001 and at 0.01. It is left out where it is not installed or X is sparse.
"""

import time
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness import quality
from benchmarks.harness.options import chosen
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console, geometric_mean, ms, ratio, tiny
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import best_of_rounds, new_table

BATCHES = (1, 32, 256, 4096)
TARGETS = (1e-2, 1e-3)
_EPOCHS = 4  # of the longer fit
EPOCH_SHAPES = ((1_000_000, 20), (200_000, 100))

#: what is asked for: an epoch of SGDClassifier over ours, by batch; reads of X of ours
OVER_SGD = {1: 4.0, 256: 20.0, 4096: 20.0}
READS = 2.0
TARGET_MEAN = 10.0

Step = Callable[[], np.ndarray]  # runs an epoch and returns theta


def _sorted_labels() -> cases.Data:
    X, y = cases.synthetic(1_000_000, 20)
    order = np.argsort(y, kind="stable")
    return X[order], y[order]


TARGET_CASES: dict[str, Callable[[], cases.Data]] = {
    "1e6 x 20": partial(cases.synthetic, 1_000_000, 20),
    "1e6 x 20 unscaled": cases.FITS["1e6 x 20 unscaled"].make,
    "1e6 x 20 sorted labels": _sorted_labels,
    "census-like": cases.FITS["census-like"].make,
    "CSR 2e4 x 5e4": cases.FITS["CSR 2e4 x 5e4"].make,
}
QUICK = ("census-like",)


@lru_cache(maxsize=1)
def problem_of(case: str) -> tuple[cases.Problem, float]:
    X, y = TARGET_CASES[case]()
    problem = cases.Problem(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exact = flr.LogisticRegression(tol=1e-12).fit(X, y)
    return problem, quality.objective(problem, quality.theta_of(exact))


# --- epochs ------------------------------------------------------------------------------


def ours_by_epoch(X: Any, y: Any, **kind: Any) -> Step:
    """Return a step of our estimator; its input is checked in every epoch, as a user's is."""
    model = flr.MiniBatchLogisticRegression(alpha=1.0 / y.size, random_state=0, **kind)

    def step() -> np.ndarray:
        model.partial_fit(X, y, classes=[0.0, 1.0])
        return quality.theta_of(model)

    return step


def _sgd(X: Any, y: Any, **kind: Any) -> Step:
    model = SGDClassifier(loss="log_loss", alpha=1.0 / y.size, random_state=0, **kind)

    def step() -> np.ndarray:
        model.partial_fit(X, y, classes=[0.0, 1.0])
        return quality.theta_of(model)

    return step


def _torch(X: Any, y: Any, batch: int, rate: float) -> Step:
    import torch

    torch.manual_seed(0)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    linear = torch.nn.Linear(X.shape[1], 1, dtype=torch.float64)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    adam = torch.optim.Adam(linear.parameters(), lr=rate)
    loss = torch.nn.BCEWithLogitsLoss()
    l2 = 0.5 / y.size

    def step() -> np.ndarray:
        order = torch.randperm(len(labels))
        for first in range(0, len(labels), batch):
            picked = order[first : first + batch]
            adam.zero_grad()
            value = loss(linear(rows[picked]).squeeze(1), labels[picked])
            (value + l2 * linear.weight.square().sum()).backward()
            adam.step()
        with torch.no_grad():
            return torch.cat([linear.bias, linear.weight[0]]).numpy().copy()

    return step


def epochs(n: int, d: int, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each size of batch; all are timed in the same rounds.

    An epoch is what a fit of several takes longer than a fit of one, for both alike: checking the
    input is no part of it.
    """
    X, y = cases.synthetic(n, d)
    common = {"alpha": 1.0 / n, "tol": None, "random_state": 0}
    calls: dict[Any, Any] = {"read": partial(kernels.read_sum, X)}
    for n_epochs in (1, _EPOCHS):
        kind = {**common, "max_iter": n_epochs}
        calls["sgd", n_epochs] = partial(SGDClassifier(loss="log_loss", **kind).fit, X, y)
        for batch in BATCHES:
            model = flr.MiniBatchLogisticRegression(batch_size=batch, **kind)
            calls[batch, n_epochs] = partial(model.fit, X, y)
    times = best_of_rounds(calls, seconds, pause=0.05)

    def epoch(who: Any) -> float:
        return (min(times[who, _EPOCHS]) - min(times[who, 1])) / (_EPOCHS - 1)

    read, sgd = min(times["read"]), epoch("sgd")
    return [
        {
            "kind": "epoch",
            "case": f"{n:,} x {d}",
            "batch": batch,
            "epoch_s": epoch(batch),
            "sgd_epoch_s": sgd,
            "read_s": read,
            "reads": epoch(batch) / read,
            "over_sgd": sgd / epoch(batch),
            "first_s": min(times[batch, 1]),
            "rounds": len(times[batch, _EPOCHS]),
        }
        for batch in BATCHES
    ]


# --- time to target ----------------------------------------------------------------------


def reach(make: Callable[[], Step], case: str, limit: float) -> dict[str, Any]:
    """Return the seconds and epochs until each target that ``limit`` seconds suffice for."""
    problem, best = problem_of(case)
    step = make()
    seconds, n_epochs, above = 0.0, 0, np.inf
    result: dict[str, Any] = {"reached": {}, "epochs": {}}
    while len(result["reached"]) < len(TARGETS) and seconds < limit:
        start = time.perf_counter()
        theta = step()
        seconds += time.perf_counter() - start
        n_epochs += 1
        finite = bool(np.isfinite(theta).all())
        above = (quality.objective(problem, theta) - best) / best if finite else np.inf
        for target in TARGETS:
            if above <= target and target not in result["reached"]:
                result["reached"][target] = seconds
                result["epochs"][target] = n_epochs
    return {**result, "above": float(above), "spent": seconds}


def targets(case: str, limit: float, repeats: int) -> list[dict[str, Any]]:
    """Return a row for each peer and target; the best of some runs, in rounds."""
    (X, y, _, _), _ = problem_of(case)
    runs: dict[str, Callable[[], Step]] = {
        "fastlogreg": partial(ours_by_epoch, X, y),
        "SGDClassifier": partial(_sgd, X, y),
        "SGDClassifier averaged": partial(_sgd, X, y, average=True),
    }
    if isinstance(X, np.ndarray) and find_spec("torch"):
        for batch in (256, 4096):
            for rate in (1e-3, 1e-2):
                name = f"PyTorch Adam {batch} rate {rate:g}"
                runs[name] = partial(_torch, X, y, batch, rate)
    ours_by_epoch(X, y)()  # compiles
    rows = []
    for name, make in runs.items():
        repeated = [reach(make, case, limit)]
        while len(repeated) < repeats and repeated[-1]["spent"] < limit / 4.0:
            repeated.append(reach(make, case, limit))
        for target in TARGETS:
            reached = [f["reached"][target] for f in repeated if target in f["reached"]]
            rows.append(
                {
                    "kind": "target",
                    "case": case,
                    "peer": name,
                    "target": target,
                    "seconds": min(reached, default=None),
                    "epochs": repeated[0]["epochs"].get(target),
                    "above": min(f["above"] for f in repeated),
                    "limit_s": limit,
                }
            )
    return rows


# --- tables ------------------------------------------------------------------------------


def epoch_table(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each shape and size of batch."""
    table = new_table(
        f"a shuffled epoch, float64, {kernels.default_threads()} threads",
        *("rows x columns", "batch", "ms", "reads", "SGDClassifier ms", "over it", "read ms"),
    )
    for row in rows:
        table.add_row(
            row["case"],
            str(row["batch"]),
            ms(row["epoch_s"]),
            f"{row['reads']:.2f}",
            ms(row["sgd_epoch_s"]),
            ratio(row["over_sgd"]),
            ms(row["read_s"]),
        )
    return table


def _seconds(rows: list[dict[str, Any]], case: str, peer: str, target: float) -> float | None:
    for row in rows:
        if (row["case"], row.get("peer"), row.get("target")) == (case, peer, target):
            return row["seconds"]
    return None


def target_table(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each case and peer."""
    table = new_table(
        "time to come near the optimum",
        *("case", "who", "1 % ms", "epochs", "0.1 % ms", "epochs", "ours is faster", "last above"),
        caption="> where the limit was not enough; faster: at 1 % and at 0.1 %",
    )
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        cells = []
        faster = []
        for row in (first, second):
            ours = _seconds(rows, row["case"], "fastlogreg", row["target"])
            known = row["seconds"] is not None
            cells += [
                ms(row["seconds"]) if known else f">{ms(row['limit_s'])}",
                str(row["epochs"] or ""),
            ]
            if ours is not None and row["peer"] != "fastlogreg":
                value = (row["seconds"] if known else row["limit_s"]) / ours
                faster.append(("" if known else ">") + ratio(value))
        last = tiny(second["above"])
        table.add_row(first["case"], first["peer"], *cells, ", ".join(faster), last)
        if second is rows[-1] or rows[rows.index(second) + 1]["case"] != second["case"]:
            table.add_section()
    return table


def missed(rows: list[dict[str, Any]]) -> list[str]:
    """Return which of the targets the figures miss."""
    out = []
    gains = []
    for row in rows:
        if row["kind"] == "epoch":
            least = OVER_SGD.get(row["batch"], 0.0)
            if row["over_sgd"] < least:
                out.append(
                    f"{row['case']}, batch {row['batch']}: {row['over_sgd']:.1f} x as fast as an "
                    f"epoch of SGDClassifier, not {least:g} x"
                )
            if row["batch"] >= 256 and row["reads"] > READS:
                out.append(
                    f"{row['case']}, batch {row['batch']}: {row['reads']:.1f} reads, not {READS:g}"
                )
            continue
        ours = _seconds(rows, row["case"], "fastlogreg", row["target"])
        if row["peer"] == "fastlogreg":
            if ours is None:
                out.append(f"{row['case']}: {row['target']:g} not reached")
            continue
        if ours is None:
            continue
        if row["seconds"] is not None and row["seconds"] < ours:
            out.append(
                f"{row['case']}, {row['target']:g}: {row['peer']} {row['seconds'] * 1e3:.0f} ms, "
                f"ours {ours * 1e3:.0f}"
            )
        if row["peer"] == "SGDClassifier":
            gains.append((row["seconds"] or row["limit_s"]) / ours)
    if gains and geometric_mean(gains) < TARGET_MEAN:
        out.append(f"geometric mean over SGDClassifier: {geometric_mean(gains):.1f} x")
    return out


def main(
    only: Annotated[str, typer.Option("--cases", help="Of time to target, by commas.")] = "",
    with_epochs: Annotated[bool, typer.Option("--epochs/--no-epochs", help="Time epochs.")] = True,
    quick: Annotated[bool, typer.Option(help="Small cases: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each shape.")] = 12.0,
    limit: Annotated[float, typer.Option(help="Seconds for one run to the targets.")] = 5.0,
    repeats: Annotated[int, typer.Option(help="Runs to the targets, at most.")] = 3,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure epochs and times to target of mini-batch training."""
    names = chosen(only, TARGET_CASES, "case")
    shapes = EPOCH_SHAPES
    if quick:
        shapes, limit, seconds, names = ((20_000, 20),), 3.0, 0.5, names or list(QUICK)
    rows: list[dict[str, Any]] = []
    if with_epochs:
        for n, d in shapes:
            rows += epochs(n, d, seconds)
        console().print(epoch_table(rows))
    reached: list[dict[str, Any]] = []
    for name in names or TARGET_CASES:
        typer.echo(name, err=True)
        reached += targets(name, limit, repeats)
    rows += reached
    show(target_table(reached), rows, output)
    for line in missed(rows):
        console().print(f"missed: {line}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
