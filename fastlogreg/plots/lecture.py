"""The lecture's pictures: loss surfaces, their second derivatives, descent, sigmoid and tanh.

They argue one thing: of a sigmoid, cross-entropy is convex in (w, b) and squared error is not.
:func:`loss_surface` shows both, :func:`convexity` the sign of their second derivatives,
:func:`chord` a line on which squared error lies above its chord, :func:`second_derivatives` why,
and :func:`descent_paths` what gradient descent makes of it. Every number comes from the public
functions; nothing here knows a formula of a loss.

Tables have one column, x, so that theta is (b, w) and can be drawn. Default are the lecture's
four petals: their lengths, and whether the iris is versicolor (1) or setosa (0).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg import functional
from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.plots.axes import COLOURS, GREY, axes_for, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "activations",
    "chord",
    "convexity",
    "descent_paths",
    "loss_surface",
    "second_derivatives",
]

PETAL_LENGTHS = (1.4, 1.5, 3.0, 4.1)
LABELS = (0.0, 0.0, 1.0, 1.0)
_LOSSES = ("mse", "bce")
_NAMES = {"mse": "squared error (MSE)", "bce": "cross-entropy (BCE)"}
_W = (-6.0, 6.0)
_B = (-12.0, 12.0)
_POINTS = 91  # of a grid's side: some 0.4 s
# of the largest curvature of a point; below, a smallest one is what rounding makes of 0
_ROUNDING = 1e-10

_Vector = NDArray[np.float64]


@numpy_defaults
def loss_surface(
    loss: str = "bce",
    *,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    w: tuple[float, float] = _W,
    b: tuple[float, float] = _B,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the mean loss of a sigmoid over its weight and bias.

    Parameters
    ----------
    loss : {"bce", "mse"}, default="bce"
    X : array-like of shape (n,) or (n, 1), optional
        Default: the lengths of the lecture's petals.
    y : array-like of shape (n,), optional
        Labels in [0, 1].
    w, b : tuple of two floats
        From where to where.
    ax : matplotlib.axes.Axes, optional
        With the projection "3d", as the default's, it shows a surface; otherwise contours.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> ax = flr.plots.loss_surface("mse")  # doctest: +SKIP
    """
    grid = _Grid(loss, X, y, w, b)
    ax = axes_for(ax, size=(6.4, 5.2), projection="3d")
    values = grid.losses()
    if ax.name == "3d":
        surface: Any = ax
        surface.plot_surface(
            *grid.mesh,
            values,
            cmap="viridis",
            rcount=_POINTS,
            ccount=_POINTS,
            linewidth=0,
            antialiased=False,  # otherwise seams between the patches show through
        )
        surface.set_zlabel("mean loss")
        surface.view_init(elev=28, azim=-125)
        surface.set_box_aspect(None, zoom=0.92)  # or the labels are cut off
    else:
        filled = ax.contourf(*grid.mesh, values, levels=20, cmap="viridis")
        ax.figure.colorbar(filled, ax=ax, label="mean loss")
    ax.set(xlabel="w", ylabel="b")
    ax.set_title(_NAMES[grid.loss], y=0.97 if ax.name == "3d" else None)
    return ax


@numpy_defaults
def convexity(
    loss: str = "bce",
    *,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    w: tuple[float, float] = _W,
    b: tuple[float, float] = _B,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw where the mean loss of a sigmoid bends downwards in some direction of (w, b).

    That is where the smaller eigenvalue of its Hessian is negative; a function is convex where it
    never is. Thin lines are the loss's contours.

    Parameters
    ----------
    loss, X, y, w, b
        As in :func:`fastlogreg.plots.loss_surface`.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.
    """
    from matplotlib.patches import Patch

    grid = _Grid(loss, X, y, w, b)
    ax = axes_for(ax)
    bends = grid.bends()
    light, strong = "#cfe3f1", "#e8a07a"
    ax.contourf(*grid.mesh, bends, levels=[-2.0, -_ROUNDING, 2.0], colors=[strong, light])
    ax.contour(*grid.mesh, grid.losses(), levels=12, colors="white", linewidths=0.7)
    share = float((bends < -_ROUNDING).mean())
    ax.legend(
        handles=[
            Patch(color=light, label="bends downwards in no direction"),
            Patch(color=strong, label="bends downwards in some direction"),
        ],
        loc="upper right",
        fontsize="small",
    )
    where = "nowhere: convex" if share == 0.0 else f"on {share:.0%} of this picture: not convex"
    ax.set(xlabel="w", ylabel="b", title=f"{_NAMES[grid.loss]} bends downwards\n{where}")
    return ax


@numpy_defaults
def chord(
    loss: str = "bce",
    *,
    start: ArrayLike = (4.0, -4.0),
    end: ArrayLike = (-10.0, 4.0),
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the mean loss of a sigmoid on the line between two thetas, and its chord.

    A convex function never lies above a chord; where this one does is filled.

    Parameters
    ----------
    loss, X, y
        As in :func:`fastlogreg.plots.loss_surface`.
    start, end : array-like of shape (2,)
        The two thetas, (b, w).
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.
    """
    loss = check.check_choice(loss, "loss", _LOSSES)
    matrix, targets = _table(X, y)
    ends = [check.check_vector(p, n, 2) for p, n in ((start, "start"), (end, "end"))]
    if (ends[0] == ends[1]).all():
        raise ValueError(f"start and end must be two thetas, got {ends[0]} twice")
    ax = axes_for(ax)
    t = np.linspace(0.0, 1.0, 201)
    thetas = ends[0] + t[:, None] * (ends[1] - ends[0])
    values = np.array([functional.loss(matrix, targets, theta, loss=loss) for theta in thetas])
    straight = values[0] + t * (values[-1] - values[0])
    above = values > straight * (1.0 + _ROUNDING)
    ax.plot(t, values, color=COLOURS[0], linewidth=2, label=_NAMES[loss])
    ax.plot(t, straight, "o--", color=GREY, markevery=[0, -1], markersize=5, label="chord")
    if above.any():
        ax.fill_between(
            t,
            values,
            straight,
            where=above.tolist(),
            color=COLOURS[1],
            alpha=0.35,
            label="above its chord: not convex",
        )
    ax.set_xticks([0.0, 0.5, 1.0], [_theta(ends[0]), "midway", _theta(ends[1])])
    ax.set(xlabel="theta = (b, w)", ylabel="mean loss")
    ax.legend(fontsize="small")
    tidy(ax)
    return ax


@numpy_defaults
def second_derivatives(*, ax: "Axes | None" = None) -> "Axes":
    """Draw the second derivatives of one sample's loss in its margin, over its prediction.

    They are those in a weight divided by x squared, so that their sign is that of the lecture's
    ``-3 p^2 + 2 p - y + 2 y p`` for squared error, and of ``p - p^2`` for cross-entropy.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without Matplotlib.
    """
    ax = axes_for(ax)
    margins = np.linspace(-7.0, 7.0, 281)
    predictions = functional.predict_proba(margins[:, None], [1.0], intercept=False)
    lines: tuple[tuple[str, float, str, str], ...] = (
        ("bce", 1.0, "-", "BCE, y = 0 and y = 1"),
        ("mse", 0.0, "-", "MSE, y = 0"),
        ("mse", 1.0, "--", "MSE, y = 1"),
    )
    for (loss, label, style, name), colour in zip(lines, COLOURS, strict=False):
        second = np.array(
            [
                functional.loss_gradient_hessian([[1.0]], [label], [z], loss=loss, intercept=False)[
                    2
                ][0, 0]
                for z in margins
            ]
        )
        ax.plot(predictions, second, style, color=colour, linewidth=2, label=name)
    low, high = ax.get_ylim()
    ax.axhspan(low, 0.0, color=COLOURS[1], alpha=0.12, linewidth=0)
    ax.text(0.5, low * 0.88, "negative: bends downwards", ha="center", color=COLOURS[1])
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.set_ylim(low, high + 0.15 * (high - low))  # for the legend
    ax.set_xlim(0.0, 1.0)
    ax.set_xticks([0, 1 / 3, 0.5, 2 / 3, 1], ["0", "1/3", "1/2", "2/3", "1"])
    ax.set(xlabel="prediction p", ylabel="second derivative in the margin")
    ax.legend(fontsize="small", loc="upper center", ncols=3)
    tidy(ax)
    return ax


@numpy_defaults
def descent_paths(
    loss: str = "bce",
    *,
    batch_sizes: Sequence[int | None] = (1, 2, None),
    theta: ArrayLike = (2.0, -1.0),
    learning_rate: float = 0.5,
    n_epochs: int = 30,
    seed: int | None = 0,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    w: tuple[float, float] | None = None,
    b: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the ways of gradient descent over the contours of the mean loss.

    Parameters
    ----------
    loss, X, y
        As in :func:`fastlogreg.plots.loss_surface`.
    batch_sizes : sequence of int or None, default=(1, 2, None)
        A line for each: of one sample a step, of several, or (None) of all.
    theta : array-like of shape (2,), default=(2.0, -1.0)
        Where they begin, (b, w).
    learning_rate : float, default=0.5
    n_epochs : int, default=30
        How often each sample is used.
    seed : int, optional
        Of the random order of the samples.
    w, b : tuple of two floats, optional
        From where to where the contours go; default: what holds the paths.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.

    See Also
    --------
    fastlogreg.train : What takes these steps.
    """
    loss = check.check_choice(loss, "loss", _LOSSES)
    matrix, targets = _table(X, y)
    begin = check.check_vector(theta, "theta", 2)
    epochs = check.check_count(n_epochs, "n_epochs")
    rate = check.check_real(learning_rate, "learning_rate")
    if not batch_sizes:
        raise ValueError("batch_sizes must name one size at least, got none")
    sizes = [check.check_count(size, "batch_sizes", none=True) for size in batch_sizes]
    assert epochs is not None
    paths = [
        _path(matrix, targets, begin, loss, size or len(targets), rate, epochs, seed)
        for size in sizes
    ]
    every = np.vstack(paths)
    ax = axes_for(ax, size=(6.4, 5.0))
    width = _around(every[:, 1]) if w is None else w
    height = _around(every[:, 0]) if b is None else b
    grid = _Grid(loss, matrix, targets, width, height)
    values = grid.losses()
    # twice the range, so that the darkest grey does not drown the lines
    most = 2.0 * float(values.max()) - float(values.min())
    filled = ax.contourf(*grid.mesh, values, levels=20, cmap="Greys", vmax=most)
    ax.figure.colorbar(filled, ax=ax, label=f"mean loss, {loss.upper()}")
    for size, path, colour in zip(sizes, paths, _cycle(len(paths)), strict=True):
        name = "all" if size is None or size >= len(targets) else f"{size}"
        end = functional.loss(matrix, targets, path[-1], loss=loss)
        label = f"{name}: ends at loss {end:.3g}"
        ax.plot(path[:, 1], path[:, 0], ".-", color=colour, linewidth=1, markersize=3, label=label)
        ax.plot(path[-1, 1], path[-1, 0], "o", color=colour, markeredgecolor="white")
    ax.plot(begin[1], begin[0], "X", color="black", markersize=9, label="start")
    ax.set(xlabel="w", ylabel="b")
    ax.legend(fontsize="small", title="samples a step", title_fontsize="small")
    return ax


@numpy_defaults
def activations(*, ax: "Axes | None" = None) -> "Axes":
    """Draw sigmoid and tanh, their slopes, and that tanh(z) = 2 sigmoid(2 z) - 1.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without Matplotlib.
    """
    ax = axes_for(ax)
    z = np.linspace(-5.0, 5.0, 201)

    def activate(margins: _Vector, kind: str) -> _Vector:
        return functional.predict_proba(margins[:, None], [1.0], activation=kind, intercept=False)

    sigmoid = activate(z, "sigmoid")
    tanh = 2.0 * activate(z, "tanh") - 1.0  # the package's is (tanh + 1) / 2, a probability
    ax.plot(z, sigmoid, color=COLOURS[0], linewidth=2, label="sigmoid(z)")
    ax.plot(
        z, sigmoid * (1 - sigmoid), "--", color=COLOURS[0], label="its slope, sigmoid (1 - sigmoid)"
    )
    ax.plot(z, tanh, color=COLOURS[1], linewidth=2, label="tanh(z)")
    ax.plot(z, 1 - tanh**2, "--", color=COLOURS[1], label="its slope, 1 - tanh²")
    some = z[::10]
    ax.plot(
        some,
        2 * activate(2 * some, "sigmoid") - 1,
        "o",
        color="black",
        markersize=4,
        markerfacecolor="none",
        label="2 sigmoid(2 z) - 1",
    )
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    ax.set(xlabel="margin z", ylabel="activation")
    ax.legend(fontsize="small", loc="lower right")
    tidy(ax)
    return ax


class _Grid:
    """A loss of one table over a rectangle of (w, b), and what is drawn of it.

    ``mesh`` is two arrays (b's, w's) of w and b, in Matplotlib's order.
    """

    def __init__(self, loss: str, X: Any, y: Any, w: Any, b: Any) -> None:
        self.loss = check.check_choice(loss, "loss", _LOSSES)
        self.X, self.y = _table(X, y)
        ends = [np.linspace(*_range(*pair), _POINTS) for pair in ((w, "w"), (b, "b"))]
        self.mesh = np.meshgrid(*ends)

    def _thetas(self) -> _Vector:
        return np.stack([self.mesh[1].ravel(), self.mesh[0].ravel()], axis=1)

    def losses(self) -> _Vector:
        """Return the mean loss at every point."""
        found = [functional.loss(self.X, self.y, t, loss=self.loss) for t in self._thetas()]
        return np.reshape(found, self.mesh[0].shape)

    def bends(self) -> _Vector:
        """Return the smaller eigenvalue of each Hessian over the larger in size, -1 to 1."""
        found = np.stack(
            [
                functional.loss_gradient_hessian(self.X, self.y, t, loss=self.loss)[2]
                for t in self._thetas()
            ]
        )
        curvatures = np.linalg.eigvalsh(found)
        largest = np.abs(curvatures).max(axis=1)
        smaller = np.divide(
            curvatures[:, 0], largest, where=largest > 0, out=np.zeros_like(largest)
        )
        return np.reshape(smaller, self.mesh[0].shape)


def _table(X: Any, y: Any) -> tuple[_Vector, _Vector]:
    """Return one column and its labels, checked; the lecture's where none are given."""
    if (X is None) != (y is None):
        raise ValueError("X and y go together: give both or neither")
    array = np.asarray(PETAL_LENGTHS if X is None else X)
    if array.ndim == 1:
        array = array[:, None]
    matrix = np.asarray(check.check_matrix(array), dtype=np.float64)
    if matrix.shape[1] != 1:
        raise ValueError(f"X must have one column, so that (b, w) is a plane, got {array.shape}")
    targets = check.check_vector(LABELS if y is None else y, "y", len(matrix))
    check.check_labels(targets, "sigmoid")
    return matrix, targets


def _range(ends: Any, name: str) -> tuple[float, float]:
    low, high = check.check_vector(ends, name, 2, of="from where to where")
    if not low < high:
        raise ValueError(f"{name} must go from less to more, got {low:g} and {high:g}")
    return float(low), float(high)


def _around(values: _Vector) -> tuple[float, float]:
    """Return the range of the values, and a tenth of it more at both ends."""
    low, high = float(values.min()), float(values.max())
    more = 0.1 * (high - low) or 1.0
    return low - more, high + more


def _path(
    X: _Vector,
    y: _Vector,
    theta: _Vector,
    loss: str,
    size: int,
    rate: float,
    n_epochs: int,
    seed: int | None,
) -> _Vector:
    """Return theta before and after each step of gradient descent, (steps + 1, 2)."""
    random = np.random.default_rng(seed)
    path = [theta]
    for _ in range(n_epochs):
        order = random.permutation(len(y)) if size < len(y) else np.arange(len(y))
        for first in range(0, len(y), size):
            rows = order[first : first + size]
            # of a few rows NumPy is as quick, and nothing has to be compiled
            step = functional.train(
                X[rows],
                y[rows],
                theta=path[-1],
                learning_rate=rate,
                n_epochs=1,
                loss=loss,
                backend="numpy",
            )
            path.append(step.theta)
    return np.vstack(path)


def _cycle(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _theta(theta: _Vector) -> str:
    return f"({theta[0]:g}, {theta[1]:g})"
