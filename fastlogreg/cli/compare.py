"""The comparison behind ``fastlogreg compare``: cases, timing, table, chart.

The argument of vectorization, measured: loss and gradient through the public function, by
a scalar loop, by NumPy, and by the fused kernels on one and on all threads, over growing
sizes. Beside each time stands the floor, a parallel read of X in the same run. Then the
lecture's petals trained by all three backends, and an exact fit of real data beside
scikit-learn's.

Measuring, showing and storing are apart: :func:`measure` yields rows and prints nothing;
:func:`table` and :func:`chart` draw them; :func:`report` is what goes to the JSON file.
rich and matplotlib are imported where they draw. How it is timed:
:func:`fastlogreg.cli.measuring.best_of_rounds`; the best and the median of the rounds are kept.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

import fastlogreg as flr
from fastlogreg import backends
from fastlogreg.cli.measuring import (
    PAUSE,
    best_of_rounds,
    duration,
    machine,
    make_classes,
    make_data,
    new_table,
)

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Row", "chart", "fit_cancer", "measure", "report", "table", "train_petals"]

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FEATURES = 20
LOOP_SECONDS = 2.5  # the loop is not started on a size that it would take longer for
_ROUND_SECONDS = 1.2  # of rounds a size


@dataclass(frozen=True)
class Row:
    """One backend at one size; times in seconds for one evaluation of loss and gradient.

    With more than two ``classes`` the loss is cross-entropy of the softmax.

    ``best`` and ``median`` are None where the loop was left out; ``loop_best`` is what
    the loop took, or would have taken by its rate at the largest size it did.
    """

    backend: str
    n_threads: int
    n: int
    d: int
    dtype: str
    best: float | None
    median: float | None
    rounds: int
    loop_best: float
    loop_measured: bool
    numpy_best: float
    read_best: float
    classes: int = 2

    @property
    def n_values(self) -> int:
        """How many values X holds."""
        return self.n * self.d

    @property
    def n_bytes(self) -> int:
        """How many bytes X and y hold."""
        return self.n_values * np.dtype(self.dtype).itemsize + self.n * 8

    @property
    def bandwidth(self) -> float | None:
        """Bytes of X and y per second."""
        return None if self.best is None else self.n_bytes / self.best

    @property
    def read_bandwidth(self) -> float:
        """Bytes of X per second in a parallel read of it."""
        return self.n_values * np.dtype(self.dtype).itemsize / self.read_best


def measure(
    sizes: Sequence[int] = SIZES,
    features: int = FEATURES,
    dtype: str = "float64",
    *,
    classes: int = 2,
    threads: int | None = None,
    loop_seconds: float = LOOP_SECONDS,
    round_seconds: float = _ROUND_SECONDS,
) -> Iterator[Row]:
    """Measure all backends at each size and yield their rows, smallest size first.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of rows; measured in ascending order.
    features : int
        Number of columns.
    dtype : {"float64", "float32"}
        Of X.
    classes : int
        2: binary cross-entropy of the sigmoid; more: cross-entropy of the softmax.
    threads : int, optional
        What "all threads" means; default all of this machine.
    loop_seconds : float
        The loop is left out where it would take longer.
    round_seconds : float
        How long the rounds over one size take, roughly.
    """
    all_threads = threads or backends.get("numba").default_threads()
    loop_rate: float | None = None  # seconds a row, at the largest size so far
    for n in sorted(sizes):
        if classes == 2:
            X, y, theta = make_data(n, features, dtype)
            evaluate = partial(flr.loss_gradient, X, y, theta)
        else:
            X, y, theta = make_classes(n, features, classes, dtype)
            evaluate = partial(
                flr.loss_gradient, X, y, theta, loss="cross_entropy", activation="softmax"
            )
        calls: dict[Any, Callable[[], object]] = {
            "read": partial(backends.get("numba").read_sum, X, n_threads=all_threads),
            ("numpy", all_threads): partial(evaluate, backend="numpy"),
            ("numba", 1): partial(evaluate, n_threads=1),
        }
        if all_threads > 1:
            calls["numba", all_threads] = partial(evaluate, n_threads=all_threads)
        with_loop = loop_rate is None or loop_rate * n <= loop_seconds
        times = best_of_rounds(calls, round_seconds)
        if with_loop:
            # nothing to compile, and one call may take seconds: no call beforehand
            loop: dict[Any, Callable[[], object]] = {("loop", 1): partial(evaluate, backend="loop")}
            times |= best_of_rounds(loop, round_seconds / 2, warm=False)
            loop_rate = min(times["loop", 1]) / n
        assert loop_rate is not None
        for key in [("loop", 1), *(k for k in calls if k != "read")]:
            own = times.get(key)
            yield Row(
                backend=key[0],
                n_threads=key[1],
                n=n,
                d=features,
                dtype=dtype,
                best=min(own) if own else None,
                median=median(own) if own else None,
                rounds=len(own or ()),
                loop_best=loop_rate * n,
                loop_measured=with_loop,
                numpy_best=min(times["numpy", all_threads]),
                read_best=min(times["read"]),
                classes=classes,
            )


@dataclass(frozen=True)
class Petals:
    """The lecture's petal problem, trained by one backend."""

    backend: str
    theta: list[float]
    loss: float
    accuracy: float
    seconds: float


def train_petals(n_epochs: int = 300) -> list[Petals]:
    """Train petal length and width of two kinds of iris by mini-batches, in each backend."""
    from sklearn.datasets import load_iris

    data, target = load_iris(return_X_y=True)
    keep = target < 2
    X, y = data[keep][:, 2:4], target[keep].astype(np.float64)
    found = []
    for backend in ("loop", "numpy", "numba"):
        for _ in range(2):  # the first call compiles
            start = time.perf_counter()
            result = flr.train(X, y, batch_size=10, n_epochs=n_epochs, seed=0, backend=backend)
            seconds = time.perf_counter() - start
        p = flr.predict_proba(X, result.theta, backend=backend)
        found.append(
            Petals(
                backend,
                result.theta.tolist(),
                flr.loss(X, y, result.theta, backend=backend),
                float(((p > 0.5) == y).mean()),
                seconds,
            )
        )
    return found


@dataclass(frozen=True)
class Fit:
    """An exact fit of the breast-cancer data, columns as they are."""

    solver: str
    seconds: float
    above_optimum: float  # relative to the optimum
    iterations: int
    accuracy: float
    warned: bool


def fit_cancer(seconds: float = 0.6) -> list[Fit]:
    """Fit the breast-cancer data with our estimator and scikit-learn's, at their defaults.

    The objective of every fit is computed by us, at the same penalty; the optimum is the
    lowest that any of them or a fit of ours at a tolerance of 1e-14 reaches.
    """
    from sklearn.datasets import load_breast_cancer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression as Reference

    X, y = load_breast_cancer(return_X_y=True)
    targets = y.astype(np.float64)

    def objective(model: Any) -> float:
        theta = np.concatenate([model.intercept_, model.coef_[0]])
        return flr.loss(X, targets, theta) + float(theta[1:] @ theta[1:]) / (2 * len(y))

    models: dict[str, Any] = {
        "fastlogreg": flr.LogisticRegression(),
        "sklearn newton-cholesky": Reference(solver="newton-cholesky"),
        "sklearn lbfgs (default)": Reference(),
    }
    warned = dict.fromkeys(models, False)

    def fit(name: str) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            models[name].fit(X, y)
        warned[name] |= any(issubclass(w.category, ConvergenceWarning) for w in caught)

    times = best_of_rounds({name: partial(fit, name) for name in models}, seconds, pause=PAUSE)
    values = {name: objective(model) for name, model in models.items()}
    tight = flr.LogisticRegression(tol=1e-14).fit(X, y)
    optimum = min(objective(tight), *values.values())
    return [
        Fit(
            name,
            min(times[name]),
            (values[name] - optimum) / optimum,
            int(np.max(model.n_iter_)),
            float(model.score(X, y)),
            warned[name],
        )
        for name, model in models.items()
    ]


# --- showing ---------------------------------------------------------------------------


def _ratio(numerator: float, denominator: float | None, *, about: bool = False) -> str:
    if denominator is None:
        return "-"
    ratio = numerator / denominator
    text = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.{3 if ratio >= 1 else 1}g}"
    return f"{'~' if about else ''}{text} x"


def _of_classes(row: Row) -> str:
    return f"{row.classes} classes, " if row.classes > 2 else ""


def table(rows: Sequence[Row]) -> "Table":
    """Return the rows as a table for the terminal."""
    first = rows[0]
    out = new_table(
        f"loss + gradient, {first.d} features, {_of_classes(first)}{first.dtype}",
        "backend",
        *("rows", "threads", "time", "ns/val", "vs loop", "vs NumPy", "GB/s", "read"),
        caption="~ against the loop's rate at the largest size it did; "
        "read: share of the bandwidth of a parallel read of X",
    )
    previous = first.n
    for row in rows:
        if row.n != previous:
            out.add_section()
            previous = row.n
        out.add_row(
            row.backend,
            f"{row.n:,}",
            str(row.n_threads),
            "left out" if row.best is None else duration(row.best),
            "-" if row.best is None else f"{row.best / row.n_values * 1e9:.3g}",
            _ratio(row.loop_best, row.best, about=not row.loop_measured),
            _ratio(row.numpy_best, row.best),
            "-" if row.bandwidth is None else f"{row.bandwidth / 1e9:.2g}",
            "-" if row.bandwidth is None else f"{row.bandwidth / row.read_bandwidth:.0%}",
        )
    return out


def petals_table(rows: Sequence[Petals]) -> "Table":
    """Return the trained petals as a table for the terminal."""
    spread = np.ptp([row.theta for row in rows], axis=0).max()
    out = new_table(
        "the lecture's petals: iris setosa and versicolor, mini-batches of 10",
        *("backend", "b", "w (length)", "w (width)", "loss", "accuracy", "time"),
        caption=f"largest difference between the backends' parameters: {spread:.1e}",
    )
    for row in rows:
        out.add_row(
            row.backend,
            *(f"{t:.9f}" for t in row.theta),
            f"{row.loss:.6f}",
            f"{row.accuracy:.1%}",
            duration(row.seconds),
        )
    return out


def fits_table(rows: Sequence[Fit]) -> "Table":
    """Return the fits of the breast-cancer data as a table for the terminal."""
    out = new_table(
        "exact fit: breast cancer, 569 x 30, unscaled columns, default settings",
        *("solver", "time", "vs ours", "above opt.", "iter", "accuracy", "warned"),
        caption="above opt.: of the penalized objective above its optimum, relative; "
        "warned: of no convergence",
    )
    for row in rows:
        out.add_row(
            row.solver,
            duration(row.seconds),
            f"{row.seconds / rows[0].seconds:.3g} x",
            f"{row.above_optimum:.1e}",
            str(row.iterations),
            f"{row.accuracy:.2%}",
            "yes" if row.warned else "no",
        )
    return out


def report(
    rows: Sequence[Row],
    petals: Sequence[Petals],
    fits: Sequence[Fit],
    command: str,
) -> dict[str, Any]:
    """Return everything measured, for the JSON file.

    ``rows`` have times in seconds and bandwidths in bytes per second; ``fits`` have
    ``above_optimum`` relative to the optimum.
    """
    return {
        "format": 1,
        "command": command,
        "machine": machine(),
        "rows": [
            {**asdict(r), "bandwidth": r.bandwidth, "read_bandwidth": r.read_bandwidth}
            for r in rows
        ],
        "petals": [asdict(p) for p in petals],
        "fits": [asdict(f) for f in fits],
    }


_COLOURS = {"loop": "#b0413e", "numpy": "#c98a1b", "numba": "#1f6f8b"}


def chart(rows: Sequence[Row], path: Path, command: str) -> None:
    """Draw time against rows, both logarithmic, to a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    most = max(row.n_threads for row in rows)
    for backend, n_threads, label, style in (
        ("loop", 1, "scalar loop", "o-"),
        ("numpy", most, "NumPy", "s-"),
        ("numba", 1, "fused, 1 thread", "^--"),
        ("numba", most, f"fused, {most} threads", "D-"),
    ):
        line = [
            (r.n, r.best)
            for r in rows
            if (r.backend, r.n_threads) == (backend, n_threads) and r.best is not None
        ]
        if not line or (backend == "numba" and n_threads == 1 and style == "D-"):
            continue
        ns, best = zip(*line, strict=True)
        axes.plot(ns, best, style, color=_COLOURS[backend], label=label, markersize=5)
        axes.annotate(
            duration(best[-1]),
            (ns[-1], best[-1]),
            textcoords="offset points",
            xytext=(7, 0),
            va="center",
            fontsize=8,
            color=_COLOURS[backend],
        )
    floor = sorted({(r.n, r.read_best) for r in rows})
    axes.plot(*zip(*floor, strict=True), ":", color="#666666", label="parallel read of X")
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds for one evaluation")
    axes.margins(x=0.12)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    first, where = rows[0], machine()
    axes.set_title(
        f"Loss and gradient of logistic regression, {first.d} features, "
        f"{_of_classes(first)}{first.dtype}",
        loc="left",
        fontsize=11,
    )
    figure.supxlabel(
        f"{where['cpu']}, {most} threads; Python {where['python']}, NumPy {where['numpy']}, "
        f"Numba {where['numba']}; {where['date']}\n{command}",
        fontsize=7,
        color="#666666",
    )
    figure.savefig(path)
