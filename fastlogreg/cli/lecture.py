"""The lecture behind ``fastlogreg lecture``: its worked figures, and its pictures.

:func:`worked_figures` computes every figure that the lecture works out, by the public functions in
all three backends; :func:`table` puts them beside what the lecture prints; :func:`draw` makes the
pictures of :mod:`fastlogreg.plots` that show what the lecture shows: of a sigmoid, cross-entropy is
convex and squared error is not, and what that does to gradient descent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastlogreg as flr
from fastlogreg.backends import BACKENDS
from fastlogreg.cli.measuring import new_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["WorkedFigure", "draw", "table", "worked_figures"]

PETALS = ((1.4, 0.2), (1.5, 0.2), (3.0, 1.1), (4.1, 1.3))  # length and width
LABELS = (0.0, 0.0, 1.0, 1.0)
THETA = (0.1, 0.5, -0.1)
_PAIR = (1, 3)  # the rows of the mini-batch

_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class WorkedFigure:
    """A figure of the lecture beside ours.

    ``printed`` is what the lecture prints, to ``unit`` in its last digit; ``computed`` what the
    compiled backend says, and ``spread`` the largest difference between the three backends.
    """

    name: str
    printed: tuple[float, ...]
    unit: float
    computed: tuple[float, ...]
    spread: float

    @property
    def agrees(self) -> bool:
        """Whether ours is within a unit of the last digit that the lecture prints."""
        apart = np.abs(np.subtract(self.computed, self.printed)).max()
        return bool(apart <= self.unit * 1.000001 and self.spread < 1e-9)


def worked_figures() -> list[WorkedFigure]:
    """Compute them all, in the lecture's order."""
    X, y = np.array(PETALS), np.array(LABELS)
    pair, labels = X[list(_PAIR)], y[list(_PAIR)]
    line: dict[str, Any] = {"loss": "mse", "activation": "identity"}

    def dot(backend: str, a: list[float], b: list[float]) -> _Vector:
        return flr.predict_proba([a], b, activation="identity", intercept=False, backend=backend)

    def margins(backend: str, rows: _Vector) -> _Vector:
        return flr.predict_proba(rows, THETA, activation="identity", backend=backend)

    def tanh(backend: str, z: float) -> float:
        p = flr.predict_proba([[z]], [1.0], activation="tanh", intercept=False, backend=backend)
        return float(2.0 * p[0] - 1.0)

    def identity_of_tanh(backend: str) -> float:
        p = flr.predict_proba([[2.0]], [1.0], intercept=False, backend=backend)
        return tanh(backend, 1.0) - (2.0 * float(p[0]) - 1.0)

    def gradient_of_tanh(backend: str) -> float:
        # of BCE on (tanh z + 1) / 2 at z = 1, y = 0, x = 1: the lecture's x (tanh z + 1 - 2 y)
        g = flr.loss_gradient(
            [[1.0]], [0.0], [1.0], activation="tanh", intercept=False, backend=backend
        )[1]
        return float(g[0]) - (tanh(backend, 1.0) + 1.0)

    def second(backend: str, loss: str, label: float, p: float) -> float:
        z = float(np.log(p / (1.0 - p)))
        return float(
            flr.loss_gradient_hessian(
                [[1.0]], [label], [z], loss=loss, intercept=False, backend=backend
            )[2][0, 0]
        )

    def least(backend: str) -> _Vector:
        found = flr.train([[1.0], [2.0]], [5.0, 7.0], n_epochs=2000, backend=backend, **line).theta
        return found[::-1]  # a, b

    cases: list[tuple[str, float | tuple[float, ...], float, Callable[[str], Any]]] = [
        ("dot([1, 2, 3], [2, 3, 4])", 20.0, 1e-12, lambda k: dot(k, [1, 2, 3], [2, 3, 4])),
        ("dot([1, 2], [2, 3])", 8.0, 1e-12, lambda k: dot(k, [1, 2], [2, 3])),
        ("a x + b at (1, 5), (2, 7): a, b", (2.0, 3.0), 1e-6, least),
        ("mini-batch: z", (0.83, 2.02), 1e-12, lambda k: margins(k, pair)),
        (
            "mini-batch: y_hat",
            (0.6963, 0.8828),
            1e-4,
            lambda k: flr.predict_proba(pair, THETA, backend=k),
        ),
        # the lecture takes logarithms of outputs cut to 4 digits: 2 units in its fourth
        ("mini-batch: loss", 0.65815, 2e-4, lambda k: flr.loss(pair, labels, THETA, backend=k)),
        ("batch: z", (0.78, 0.83, 1.49, 2.02), 1e-12, lambda k: margins(k, X)),
        (
            "batch: y_hat",
            (0.6856, 0.6963, 0.8160, 0.8828),
            1e-4,
            lambda k: flr.predict_proba(X, THETA, backend=k),
        ),
        ("batch: loss", 0.6691, 2e-4, lambda k: flr.loss(X, y, THETA, backend=k)),
        (
            "batch: gradient of b, w1",
            (0.2702, 0.2431),
            1e-4,
            lambda k: flr.loss_gradient(X, y, THETA, backend=k)[1][:2],
        ),
        (
            "batch: gradient of w2",
            -0.019,
            1e-3,
            lambda k: flr.loss_gradient(X, y, THETA, backend=k)[1][2],
        ),
        ("tanh(1) - 2 sigmoid(2) + 1", 0.0, 1e-12, identity_of_tanh),
        ("tanh: dL - x (y_hat + 1 - 2 y)", 0.0, 1e-12, gradient_of_tanh),
        ("BCE: largest second derivative", 0.25, 1e-12, lambda k: second(k, "bce", 1.0, 0.5)),
        ("MSE, y = 0: that at y_hat = 2/3", 0.0, 1e-12, lambda k: second(k, "mse", 0.0, 2 / 3)),
        ("MSE, y = 1: that at y_hat = 1/3", 0.0, 1e-12, lambda k: second(k, "mse", 1.0, 1 / 3)),
    ]
    found = []
    for name, printed, unit, compute in cases:
        values = np.array([np.atleast_1d(compute(backend)) for backend in BACKENDS])
        ours = values[BACKENDS.index("numba")]
        found.append(
            WorkedFigure(
                name,
                tuple(np.atleast_1d(printed).tolist()),
                unit,
                tuple(ours.tolist()),
                float(np.ptp(values, axis=0).max()),
            )
        )
    return found


def table(figures: list[WorkedFigure]) -> "Table":
    """Return the figures as a table for the terminal."""
    spread = max(figure.spread for figure in figures)
    out = new_table(
        "the lecture's worked figures",
        *("figure", "lecture", "fastlogreg", "same"),
        caption="same: to a unit of the last digit printed; losses to 2, since the lecture takes "
        f"logarithms of outputs cut to 4 digits. Loop, NumPy and Numba differ by {spread:.0e}",
    )
    for figure in figures:
        digits = max(0, min(5, round(-np.log10(figure.unit)) + 1))
        out.add_row(
            figure.name,
            _two_a_line([f"{value:g}" for value in figure.printed]),
            # + 0.0: no minus before a 0
            _two_a_line([f"{round(value, digits) + 0.0:g}" for value in figure.computed]),
            "yes" if figure.agrees else "no",
        )
    return out


def _two_a_line(numbers: list[str]) -> str:
    """Return them so that the table fits 80 columns."""
    pairs = [numbers[k : k + 2] for k in range(0, len(numbers), 2)]
    return ",\n".join(", ".join(pair) for pair in pairs)


def draw(folder: Path) -> Iterator[tuple[str, Path]]:
    """Draw the pictures into a folder, PNG files; yield the name and file of each."""
    for name, file, make in (
        ("the loss over (w, b)", "loss-surfaces.png", _surfaces),
        ("where the loss bends downwards", "convexity.png", _convexity),
        ("second derivatives of one sample", "second-derivatives.png", _second_derivatives),
        ("gradient descent from one start", "descent-paths.png", _descent),
        ("sigmoid and tanh", "activations.png", _activations),
    ):
        path = folder / file
        make().savefig(path, dpi=100)
        yield name, path


def _figure(width: float, height: float) -> "Figure":
    """Return a figure that no window and no global state of pyplot's knows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _surfaces() -> "Figure":
    figure = _figure(9.0, 4.2)
    for k, loss in enumerate(("mse", "bce")):
        flr.plots.loss_surface(loss, ax=figure.add_subplot(1, 2, k + 1, projection="3d"))
    figure.suptitle("Mean loss of a sigmoid on the lecture's four petals")
    return figure


def _convexity() -> "Figure":
    figure = _figure(9.0, 7.6)
    axes = figure.subplots(2, 2)
    start, end = (4.0, -4.0), (-10.0, 4.0)  # from a plateau to a good theta
    (b, w) = zip(start, end, strict=True)
    for k, loss in enumerate(("mse", "bce")):
        flr.plots.convexity(loss, ax=axes[0, k])
        flr.plots.chord(loss, start=start, end=end, ax=axes[1, k])
        axes[0, k].plot(w, b, "o--", color="#444444", markersize=5)
        axes[1, k].set_title("along the dashed line")
    return figure


def _second_derivatives() -> "Figure":
    figure = _figure(8.0, 5.0)
    ax = flr.plots.second_derivatives(ax=figure.add_subplot())
    ax.set_title("Cross-entropy never bends downwards, squared error does where it is most wrong")
    return figure


def _descent() -> "Figure":
    figure = _figure(9.0, 4.4)
    for ax, loss in zip(figure.subplots(1, 2), ("mse", "bce"), strict=True):
        flr.plots.descent_paths(
            loss, theta=(4.0, -4.0), n_epochs=100, w=(-5.0, 5.0), b=(-9.0, 7.0), ax=ax
        )
        ax.set_title(
            "squared error: stuck on a plateau"
            if loss == "mse"
            else "cross-entropy: a slope everywhere"
        )
    return figure


def _activations() -> "Figure":
    figure = _figure(8.0, 5.0)
    ax = flr.plots.activations(ax=figure.add_subplot())
    ax.set_title("tanh(z) = 2 sigmoid(2 z) - 1: one curve on two scales")
    return figure
