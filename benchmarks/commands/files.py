"""A fit of files larger than the memory it may use: ``python -m benchmarks.files``.

Writes a table to Parquet files and measures, each in a fresh process, on the same files:

- a plain read of all batches by pyarrow, the unit of time;
- the exact fit of ``open_rows`` with a memory limit: its time, its passes, the peak of anonymous
  memory above that before the fit;
- the same model on the same rows as an array in memory;
- ``SGDClassifier.partial_fit`` over the same batches, one epoch and more, columns scaled by means
  and deviations that cost one more reading: the time, and how far above the optimum it ends;
- dask-glm and h2o on the same files, and statsmodels on the rows in memory, each in an environment
  of its own (:mod:`benchmarks.peers.beyond_memory`) that is made where it is missing. Who is not
  installed, fails or takes longer than ``--limit`` stays in the table with the reason.

Distances are those of the objective of all rows above the lowest that anybody reached, relative to
it.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.harness.parquet import arrays, batches, whole, write
from benchmarks.harness.processes import fresh
from benchmarks.harness.resident import anonymous_mb, anonymous_peak
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console, tiny
from benchmarks.peers.beyond_memory import FILES
from benchmarks.peers.runner import once
from fastlogreg.cli.measuring import new_table

_FEW = 20_000  # rows of the files that peers are warmed up with

#: what is asked for
READS, PASS_SPEED = 6.0, 0.8


def read(folder: str) -> dict[str, Any]:
    """Read all files three times; return the best time."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        n = sum(batch.num_rows for batch in batches(folder))
        times.append(time.perf_counter() - begun)
    return {"seconds": min(times), "rows": n}


def fit(folder: str, limit: int) -> dict[str, Any]:
    """Fit the files within a memory limit."""
    import fastlogreg as flr

    few = next(batches(folder)).slice(0, 20_000)  # kernels, threads and imports are there then
    flr.LogisticRegression().fit(flr.open_rows(few, target="y", memory_limit=1 << 20))
    before = anonymous_mb()
    with anonymous_peak() as peak:
        begun = time.perf_counter()
        rows = flr.open_rows(folder, target="y", memory_limit=limit)
        n = rows.n_rows  # the look
        looked = time.perf_counter() - begun
        model = flr.LogisticRegression().fit(rows)
        seconds = time.perf_counter() - begun
    # one more pass, alone
    source = rows.source(None)
    from fastlogreg.backends import PassSpec

    bound = source.bind(PassSpec())
    theta = np.r_[model.intercept_, model.coef_[0]]
    bound(theta, 1)
    begun = time.perf_counter()
    bound(theta, 1)
    a_pass = time.perf_counter() - begun
    return {
        "rows": n,
        "seconds": seconds,
        "look": looked,
        "pass": a_pass,
        "passes": model.n_passes_,
        "peak_mb": peak[0] - before,
        "theta": theta.tolist(),
    }


def in_memory(folder: str) -> dict[str, Any]:
    """Fit the rows in memory."""
    import fastlogreg as flr

    X, y = whole(folder)
    flr.LogisticRegression(max_iter=1, tol=0.5).fit(X[:1000], y[:1000])
    begun = time.perf_counter()
    model = flr.LogisticRegression().fit(X, y)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "theta": [*model.intercept_, *model.coef_[0]]}


def sgd(folder: str, epochs: int) -> dict[str, Any]:
    """Go over the batches by SGDClassifier; return theta in the units of the columns."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.preprocessing import StandardScaler

    begun = time.perf_counter()
    scaler = StandardScaler()
    n = 0
    for batch in batches(folder):
        X, _ = arrays(batch)
        scaler.partial_fit(X)
        n += len(X)
    model = SGDClassifier(loss="log_loss", random_state=0)
    for _ in range(epochs):
        for batch in batches(folder):
            X, y = arrays(batch)
            model.partial_fit(scaler.transform(X), y, classes=[0, 1])
    seconds = time.perf_counter() - begun
    w = model.coef_[0] / scaler.scale_
    return {"seconds": seconds, "theta": [float(model.intercept_[0] - w @ scaler.mean_), *w]}


def objectives(folder: str, thetas: list[list[float]]) -> list[float]:
    """Return the objective of each theta over all rows."""
    import fastlogreg as flr

    X, y = whole(folder)
    return [
        float(flr.loss(X, y, theta)) + float(np.sum(np.square(theta[1:]))) / (2 * len(X))
        for theta in thetas
    ]


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what a table shows of a way to fit, with the reason where there is no answer."""
    return (
        row["case"],
        f"{row['seconds']:.2f}" if "seconds" in row else "",
        f"{row['reads']:.2f}" if "reads" in row else "",
        f"{row['passes']:.2f}" if "passes" in row else "",
        f"{row['peak_mb']:.0f}" if "peak_mb" in row else "",
        tiny(max(row["above"], 0.0)) if "above" in row else "",
        row.get("reason", row.get("remark", "")),
    )


def main(
    rows: Annotated[int, typer.Option(help="Of the table.")] = 10_000_000,
    columns: Annotated[int, typer.Option(help="Of the table.")] = 20,
    limit_mb: Annotated[int, typer.Option(help="Memory limit of the fit.")] = 200,
    epochs: Annotated[int, typer.Option(help="Of SGDClassifier.")] = 1,
    limit: Annotated[float, typer.Option(help="Seconds of a peer's process.")] = 300.0,
    install: Annotated[bool, typer.Option(help="Make missing environments of peers.")] = True,
    folder: Annotated[Path | None, typer.Option(help="Where the files are written.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small table; nothing is made.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure a fit of Parquet files within a memory limit, and those of peers."""
    if quick:
        rows, limit_mb, limit, install = 200_000, 8, min(limit, 60.0), False
    with tempfile.TemporaryDirectory(dir=folder) as top:
        made, few = f"{top}/rows", f"{top}/few"
        for name in (made, few):
            Path(name).mkdir()
        size = write(Path(made), rows, columns)
        write(Path(few), min(rows, _FEW), columns)
        unit = fresh("files", f"read({made!r})")["seconds"]
        found = {
            "fastlogreg, files": fresh("files", f"fit({made!r}, {limit_mb * 10**6})"),
            "fastlogreg, in memory": fresh("files", f"in_memory({made!r})"),
            f"SGDClassifier, {epochs} epoch(s)": fresh("files", f"sgd({made!r}, {epochs})"),
        }
        for name, peer in FILES.items():
            typer.echo(name, err=True)
            found[name] = once(peer, (made, few), limit, install)
        thetas = {name: each.pop("theta") for name, each in found.items() if "theta" in each}
        asked = json.dumps([*thetas.values()])
        values = fresh("files", f"objectives({made!r}, {asked})")
    ours = found["fastlogreg, files"]
    apart = float(np.max(np.abs(np.subtract(*[*thetas.values()][:2]))))
    title = f"{rows:,} x {columns} in Parquet, {size:,.0f} MB, memory_limit {limit_mb} MB"
    caption = (
        f"a plain read {unit:.2f} s; one pass {ours['pass']:.2f} s, at "
        f"{unit / ours['pass']:.0%} of the reader's speed; the look {ours['look']:.2f} s; "
        f"coefficients of files and memory differ by {apart:.1e} at the most"
    )
    table = new_table(title, "", "seconds", "reads", "passes", "MB", "above", caption=caption)
    table.add_column("note", overflow="fold")
    for name, value in zip(thetas, values, strict=True):
        reads = found[name]["seconds"] / unit
        found[name] |= {"reads": reads, "above": value / min(values) - 1.0, "read": unit}
    kept = [{"case": name, **each} for name, each in found.items()]
    for row in kept:
        table.add_row(*cells(row))
    show(table, kept, output)
    if ours["seconds"] / unit > READS:
        console().print(f"missed: {ours['seconds'] / unit:.1f} reads, not {READS:g}")
    if unit / ours["pass"] < PASS_SPEED:
        console().print(f"missed: a pass at {unit / ours['pass']:.0%}, not {PASS_SPEED:.0%}")


if __name__ == "__main__":
    typer.run(main)
