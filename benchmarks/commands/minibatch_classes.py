"""Mini-batches of more than two classes: ``python -m benchmarks.minibatch_classes``.

Seconds of a shuffled epoch at several sizes of batch, beside scikit-learn's ``SGDClassifier``,
which fits one class against the rest, and beside a loop of PyTorch with Adam at batches of 256; and
how far above the optimum of softmax each is after 1 and 3 epochs, at the same penalty. (One against
the rest has another optimum: its distance is what its probabilities lose to softmax's, normalized
by scikit-learn.) An epoch is what a fit of several takes longer than a fit of one.
"""

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from scipy.special import logsumexp
from sklearn.linear_model import SGDClassifier

import fastlogreg as flr
from benchmarks.harness.stored import show
from benchmarks.harness.tables import ms, ratio, tiny
from fastlogreg.cli.measuring import best_of_rounds, new_table

BATCHES = (32, 256, 4096)
EPOCHS = (1, 3)

Fit = Callable[[int], Any]  # of so many epochs; what gives theta (K, p), or None and probabilities


def make(n: int, d: int, K: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return normal columns and labels drawn from softmax."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    margins = X @ (rng.normal(size=(d, K)) / np.sqrt(d)) * 2.0
    return X, (margins + rng.gumbel(size=(n, K))).argmax(axis=1)


def objective(
    X: NDArray[np.float64], y: NDArray[np.int64], theta: NDArray[np.float64], alpha: float
) -> float:
    """Return the penalized mean loss at theta (K, 1 + d), by NumPy."""
    z = X @ theta[:, 1:].T + theta[:, 0]
    losses = logsumexp(z, axis=1) - z[np.arange(y.size), y]
    return float(losses.mean()) + 0.5 * alpha * float((theta[:, 1:] ** 2).sum())


def ours(X: Any, y: Any, alpha: float, batch: int, n_epochs: int) -> NDArray[np.float64]:
    """Fit ours; return theta (K, 1 + d)."""
    model = flr.MiniBatchLogisticRegression(
        alpha=alpha, batch_size=batch, max_iter=n_epochs, tol=None, random_state=0
    ).fit(X, y)
    return np.column_stack([model.intercept_, model.coef_])


def sgd(X: Any, y: Any, alpha: float, n_epochs: int) -> SGDClassifier:
    """Fit scikit-learn's, one class against the rest."""
    kind = {"loss": "log_loss", "alpha": alpha, "average": True, "n_jobs": -1, "random_state": 0}
    return SGDClassifier(max_iter=n_epochs, tol=None, **kind).fit(X, y)


def torch_adam(X: Any, y: Any, alpha: float, n_epochs: int) -> NDArray[np.float64]:
    """Run a loop of PyTorch; return theta (K, 1 + d)."""
    import torch

    torch.manual_seed(0)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    linear = torch.nn.Linear(X.shape[1], int(y.max()) + 1, dtype=torch.float64)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    adam = torch.optim.Adam(linear.parameters(), lr=0.01)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(n_epochs):
        order = torch.randperm(len(labels))
        for first in range(0, len(labels), 256):
            picked = order[first : first + 256]
            adam.zero_grad()
            value = loss(linear(rows[picked]), labels[picked])
            (value + 0.5 * alpha * linear.weight.square().sum()).backward()
            adam.step()
    with torch.no_grad():
        return torch.cat([linear.bias[:, None], linear.weight], dim=1).numpy().copy()


def measure(n: int, d: int, K: int, seconds: float, batches: tuple[int, ...]) -> list[dict]:
    """Return a row for each way to train."""
    X, y = make(n, d, K)
    alpha = 1.0 / n
    exact = flr.LogisticRegression(tol=1e-10).fit(X, y)
    best = objective(X, y, np.column_stack([exact.intercept_, exact.coef_]), alpha)
    fits: dict[str, Fit] = {
        **{f"fastlogreg {batch}": partial(ours, X, y, alpha, batch) for batch in batches},
        "SGDClassifier": partial(sgd, X, y, alpha),
    }
    if find_spec("torch"):
        fits["PyTorch Adam 256"] = partial(torch_adam, X, y, alpha)

    def distance(result: Any) -> float:
        if isinstance(result, np.ndarray):
            return (objective(X, y, result, alpha) - best) / best
        with np.errstate(divide="ignore"):
            losses = -result.predict_log_proba(X)[np.arange(n), y]
        return float((losses.mean() - best) / best)

    ours(X, y, alpha, batches[0], 1)  # compiled
    above = {name: [distance(fit(k)) for k in EPOCHS] for name, fit in fits.items()}
    calls: dict[Any, Any] = {
        (name, k): partial(fit, k) for name, fit in fits.items() for k in EPOCHS
    }
    times = best_of_rounds(calls, seconds, warm=False, pause=0.05)
    first, last = EPOCHS
    rows = []
    for name in fits:
        spent = (min(times[name, last]) - min(times[name, first])) / (last - first)
        rows.append(
            {
                "case": f"{n:,} x {d}, K = {K}",
                "who": name,
                "epoch_s": spent,
                "above_1": above[name][0],
                "above_3": above[name][1],
                "rounds": len(times[name, last]),
            }
        )
    theirs = next(row["epoch_s"] for row in rows if row["who"] == "SGDClassifier")
    return [{**row, "over_sgd": theirs / row["epoch_s"]} for row in rows]


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each way to train."""
    table = new_table(
        "a shuffled epoch of several classes",
        *("case", "who", "ms", "SGDClassifier over it", "above after 1 epoch", "after 3"),
    )
    for row in rows:
        table.add_row(
            row["case"],
            row["who"],
            ms(row["epoch_s"]),
            ratio(row["over_sgd"]),
            tiny(row["above_1"]),
            tiny(row["above_3"]),
        )
    return table


def main(
    quick: Annotated[bool, typer.Option(help="A small case: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds.")] = 30.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure epochs of softmax in mini-batches."""
    shape = (20_000, 20, 5) if quick else (1_000_000, 20, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = measure(*shape, 0.3 if quick else seconds, BATCHES)
    show(table_of(rows), rows, output)


if __name__ == "__main__":
    typer.run(main)
