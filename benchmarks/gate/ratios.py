"""The ratios that the gate measures, and its verdict on them.

Each ratio is of two calls that suffer alike from whatever else is running: one thread, tables of
some megabytes, both in turn, round after round, the median of the rounds. What is measured is the
process's own time, where its clock is fine enough: waiting for a processor that others have is no
loss of ours.
"""

import time
from collections.abc import Callable, Collection
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import fastlogreg as flr
from benchmarks import cases
from fastlogreg.cli.measuring import make_data

LOSS = 0.30  # of a ratio against its reference that is too much
REPEATS = 5  # of what looks lost
_ROUNDS = 15
_REFERENCE_RUNS = 5
_CALL_SECONDS = 0.008  # each side of a round takes about this long

_FINE = time.get_clock_info("process_time").resolution < 1e-5  # not so on Windows
clock = time.process_time if _FINE else time.perf_counter

Call = Callable[[], object]


class Ratio(NamedTuple):
    """``peer`` over ``ours``: how many times as fast we are."""

    peer: Call
    ours: Call


def _kernel(function: str, n: int, d: int) -> Ratio:
    X, y, theta = make_data(n, d)
    arguments = (X, theta) if function == "predict_proba" else (X, y, theta)
    call = partial(getattr(flr, function), *arguments)
    return Ratio(partial(call, backend="numpy"), partial(call, n_threads=1))


def _fit(data: cases.Data) -> Ratio:
    from sklearn.linear_model import LogisticRegression

    peer = LogisticRegression(solver="newton-cholesky", tol=1e-8)
    return Ratio(partial(peer.fit, *data), partial(flr.LogisticRegression(n_threads=1).fit, *data))


def _epoch(n: int, d: int, batch_size: int) -> Ratio:
    """An epoch over what NumPy needs for the same rows alone: to gather them and two products.

    Against a plain sum of X the ratio swung between 0.058 and 0.109 on unchanged code: the sum
    hangs on the memory, the epoch on jumps in it.
    """
    X, y, _ = make_data(n, d)
    order = np.random.default_rng(0).permutation(n)
    w = np.ones(d)

    def products() -> None:
        for first in range(0, n, batch_size):
            rows = X[order[first : first + batch_size]]
            rows.T @ (rows @ w)

    return Ratio(
        products,
        partial(flr.train, X, y, batch_size=batch_size, n_epochs=1, seed=0, n_threads=1),
    )


RATIOS: dict[str, Callable[[], Ratio]] = {
    "loss_gradient 40000 x 20 over NumPy": partial(_kernel, "loss_gradient", 40_000, 20),
    "loss_gradient 100000 x 2 over NumPy": partial(_kernel, "loss_gradient", 100_000, 2),
    "loss_gradient_hessian 20000 x 30 over NumPy": partial(
        _kernel, "loss_gradient_hessian", 20_000, 30
    ),
    "predict_proba 50000 x 8 over NumPy": partial(_kernel, "predict_proba", 50_000, 8),
    "fit 20000 x 20 over newton-cholesky": lambda: _fit(cases.synthetic(20_000, 20)),
    "fit breast cancer over newton-cholesky": lambda: _fit(
        cases.two_of("load_breast_cancer", 0, 1)
    ),
    "epoch in batches of 256, 5000 x 20, over NumPy's products": partial(_epoch, 5_000, 20, 256),
}


def _seconds(call: Call, times: int) -> float:
    start = clock()
    for _ in range(times):
        call()
    return (clock() - start) / times


def measure(ratio: Ratio) -> float:
    """Return the median over rounds of the peer's time over ours."""
    with threadpool_limits(1):
        times = []
        for call in ratio:
            call()  # compiles
            times.append(max(1, round(_CALL_SECONDS / _seconds(call, 3))))
        rounds = []
        for _ in range(_ROUNDS):
            peer, ours = (_seconds(call, count) for call, count in zip(ratio, times, strict=True))
            rounds.append(peer / ours)
    return median(rounds)


def reference_of(names: Collection[str], again: Callable[[str], float]) -> dict[str, float]:
    """Return what each ratio is today: the median of several measurements (``again``)."""
    runs = [{name: again(name) for name in names} for _ in range(_REFERENCE_RUNS)]
    return {name: median(run[name] for run in runs) for name in names}


def judge(
    reference: dict[str, float], loss: float, again: Callable[[str], float]
) -> list[dict[str, Any]]:
    """Measure each ratio, again where it is lost, and return a row for each.

    Parameters
    ----------
    reference : dict
        Name -> ratio.
    loss : float
        A share; a greater loss counts if the median of ``REPEATS`` measurements shows it.
    again : callable
        Name -> ratio, measured.
    """
    rows = []
    for name, expected in reference.items():
        least = (1.0 - loss) * expected
        measured = [again(name)]
        while measured[0] < least and len(measured) < REPEATS:
            measured.append(again(name))
        result = median(measured)
        rows.append(
            {
                "ratio": name,
                "reference": expected,
                "measured": result,
                "change": result / expected - 1.0,
                "held": result >= least,
                "repeats": len(measured),
            }
        )
    return rows
