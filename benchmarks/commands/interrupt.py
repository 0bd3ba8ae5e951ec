"""How soon a fit answers Ctrl-C: ``python -m benchmarks.interrupt``.

Fits that would take about half a minute (large, or told to go on to the last bit) run in the
main thread, and a second thread sends SIGINT at random moments. What is shown is the time from
the signal to the KeyboardInterrupt, the longest of several, and whether the next fit in the same
process returns the same bits as before.
"""

import os
import random
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from threadpoolctl import threadpool_info

import fastlogreg as flr
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console, ms
from fastlogreg.cli.measuring import new_table

#: what is asked for
SECONDS = 0.5

#: name -> (rows, columns, solver)
CASES = {
    "4e6 x 10, newton": (4_000_000, 10, "newton"),
    "1e6 x 20, lbfgs": (1_000_000, 20, "lbfgs"),
    "2e4 x 1000, newton-cg": (20_000, 1_000, "newton-cg"),
    "2e4 x 1000, newton": (20_000, 1_000, "newton"),
    "6e3 x 3000, newton": (6_000, 3_000, "newton"),
}


def measure(case: str, times: int) -> dict[str, Any]:
    """Interrupt fits of a case and return how long each took to answer, in seconds."""
    n, d, solver = CASES[case]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = (X[:, 0] + rng.standard_normal(n) > 0.0).astype(np.float64)
    small = X[:5_000, :5]
    before = flr.LogisticRegression().fit(small, y[:5_000]).coef_
    model = flr.LogisticRegression(solver=solver, tol=1e-15, max_iter=100_000)
    model.fit(X, y)
    pools = threadpool_info()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell said "&"
    moments = random.Random(0)
    answers = []
    for _ in range(times):
        sent = []

        def send(sent: list[float] = sent, wait: float = moments.uniform(0.3, 1.5)) -> None:
            time.sleep(wait)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=send)
        try:
            thread.start()
            while True:  # a fit that ends early begins again
                model.fit(X, y)
        except KeyboardInterrupt:
            answers.append(time.perf_counter() - sent[0])
        thread.join()
    after = flr.LogisticRegression().fit(small, y[:5_000]).coef_
    usable = bool((before == after).all()) and threadpool_info() == pools
    return {"case": case, "answers": answers, "usable": usable}


def main(
    times: Annotated[int, typer.Option(help="Interrupts for each case.")] = 10,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure how soon a fit answers Ctrl-C."""
    warnings.simplefilter("ignore")
    rows = []
    for case in CASES:
        typer.echo(case, err=True)
        rows.append(measure(case, times))
    table = new_table(
        f"from Ctrl-C to KeyboardInterrupt, ms, {times} times at random moments",
        "fit",
        *("median", "longest", "then"),
    )
    for row in rows:
        table.add_row(
            row["case"],
            ms(float(np.median(row["answers"]))),
            ms(max(row["answers"])),
            "the same bits" if row["usable"] else "BROKEN",
        )
    show(table, rows, output)
    for row in rows:
        if max(row["answers"]) > SECONDS or not row["usable"]:
            console().print(f"missed: {row['case']}: {max(row['answers']):.2f} s")


if __name__ == "__main__":
    typer.run(main)
