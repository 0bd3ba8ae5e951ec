"""
Rows that arrive in pieces
==========================

Train on batches that arrive one after another, with a progress bar.

Any iterator of (X, y) pieces will do: a database cursor, files in a folder, a socket. Here pieces
are made up as they are asked for, so that the whole never exists. Run it with
``python docs/examples/large/stream.py``; it takes some seconds and the memory of one piece.
"""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from rich.progress import Progress

from fastlogreg import MiniBatchLogisticRegression


def pieces(count: int, rows: int, columns: int = 20) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pieces of data whose columns have scales from 0.01 to 100."""
    random = np.random.default_rng(0)
    w = random.standard_normal(columns)
    scales = np.geomspace(1e-2, 1e2, columns)
    for _ in range(count):
        X = random.standard_normal((rows, columns))
        y = random.random(rows) < 1.0 / (1.0 + np.exp(-X @ w))
        yield X * scales, y


class Run(NamedTuple):
    """A model, and what share of each piece but the first it told right before learning from it."""

    model: MiniBatchLogisticRegression
    shares: list[float]


def main(count: int = 100, rows: int = 20_000) -> Run:
    """Train on the pieces; each is predicted before the model learns from it."""
    model = MiniBatchLogisticRegression(random_state=0)
    seen = 0
    shares: list[float] = []
    with Progress() as progress:
        task = progress.add_task("training", total=count)
        for X, y in pieces(count, rows):
            if seen:
                shares.append(float((model.predict(X) == y).mean()))
            model.partial_fit(X, y, classes=[False, True])
            seen += rows
            share = float(np.mean(shares)) if shares else 0.0
            progress.update(
                task, advance=1, description=f"{seen:,} rows, right before learning: {share:.1%}"
            )
    return Run(model, shares)


if __name__ == "__main__":
    run = main(count=40, rows=5_000)
    figure, ax = plt.subplots(layout="constrained")
    ax.plot(np.arange(2, len(run.shares) + 2), run.shares, ".-")
    ax.set(xlabel="piece", ylabel="told right before learning from it")
