"""The forest plot: estimates with their intervals, one below another."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.plots.axes import COLOURS, FAINT, GREY, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["forest"]

_NAME_WIDTH = 36  # characters on a line, so that room is left for the intervals

_Vector = NDArray[np.float64]


@numpy_defaults
def forest(
    estimates: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    names: ArrayLike | None = None,
    *,
    log: bool = True,
    label: str = "odds ratio",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw estimates and their intervals, the first at the top, beside what they say in figures.

    Intervals that leave out the value of no effect (1 on a logarithmic axis, 0 on a linear one) are
    coloured. Bounds that are not finite, as of separated data, end in an arrow.

    Parameters
    ----------
    estimates : array-like of shape (n,), or frame of shape (n, 3)
        Such as odds ratios. A frame of pandas or an array of three columns holds the estimates and
        the lower and upper ends of their intervals, in this order; then ``low`` and ``high`` are
        left out.
    low, high : array-like of shape (n,), optional
        The ends of the intervals.
    names : array-like of shape (n,), optional
        Default: the index of a frame or series, or x0, x1 and so on.
    log : bool, default=True
        Whether the axis is logarithmic, as for ratios; False for coefficients.
    label : str, default="odds ratio"
        What is estimated.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure, as high as the rows need.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which row.
    ImportError
        Without Matplotlib.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> ax = flr.plots.forest([1.4, 0.8], [1.1, 0.5], [1.8, 1.3], ["age", "dose"])  # doctest: +SKIP
    """
    logarithmic = check.check_flag(log, "log")
    titles = _names(estimates, names)
    if low is None and high is None:
        table = np.asarray(estimates, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != 3:
            raise ValueError(
                "without low and high, estimates must have three columns (estimate, lower end, "
                f"upper end), got an array of shape {table.shape}"
            )
        middle, lower, upper = table.T
    elif low is None or high is None:
        raise ValueError("low and high go together: give both or neither")
    else:
        middle = _vector(estimates, "estimates", None)
        lower = _vector(low, "low", middle.size)
        upper = _vector(high, "high", middle.size)
    if titles is None:
        titles = [f"x{j}" for j in range(middle.size)]
    if len(titles) != middle.size:
        raise ValueError(f"names must have {middle.size} entries, got {len(titles)}")
    _check_rows(middle, lower, upper, titles, logarithmic)
    ax = axes_for(ax, size=(8.0, 1.3 + 0.34 * middle.size))
    _draw(ax, middle, lower, upper, titles, logarithmic)
    ax.set_xlabel(label + (" (logarithmic)" if logarithmic else ""))
    return ax


def _names(estimates: Any, names: Any) -> list[str] | None:
    if names is not None:
        if isinstance(names, (str, bytes)):
            raise TypeError(f"names must be a list of names, got {names!r}")
        return [_name(name) for name in names]
    index = getattr(estimates, "index", None)
    # a list has a method of that name
    return None if index is None or callable(index) else [_name(name) for name in index]


def _name(name: Any) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _vector(values: Any, name: str, size: int | None) -> _Vector:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or (size is not None and array.size != size):
        wanted = "one number a row" if size is None else f"shape ({size},), as estimates has"
        raise ValueError(f"{name} must have {wanted}, got an array of shape {array.shape}")
    return array


def _check_rows(
    middle: _Vector, lower: _Vector, upper: _Vector, titles: list[str], logarithmic: bool
) -> None:
    for name, values in (("estimates", middle), ("low", lower), ("high", upper)):
        bad = np.flatnonzero(np.isnan(values))
        if bad.size:
            raise ValueError(f"{name} must be numbers, got NaN in row {bad[0]} ({titles[bad[0]]})")
        bad = np.flatnonzero(values < 0.0) if logarithmic else bad
        if bad.size:
            k = bad[0]
            raise ValueError(
                f"{name} must not be negative on a logarithmic axis, got {values[k]:g} in row {k} "
                f"({titles[k]}): log=False is for coefficients"
            )
    bad = np.flatnonzero((lower > middle) | (middle > upper))
    if bad.size:
        k = bad[0]
        raise ValueError(
            f"low, estimates and high must ascend, got {lower[k]:g}, {middle[k]:g}, {upper[k]:g} "
            f"in row {k} ({titles[k]})"
        )


def _draw(
    ax: "Axes", middle: _Vector, lower: _Vector, upper: _Vector, titles: list[str], log: bool
) -> None:
    none = 1.0 if log else 0.0
    shown = np.concatenate([middle, lower, upper, [none]])
    usable = shown[np.isfinite(shown) & ((shown > 0.0) if log else True)]
    left, right = _limits(usable, log)
    if log:
        ax.set_xscale("log")
    ax.set_xlim(left, right)
    for k, (value, lo, hi) in enumerate(zip(middle, lower, upper, strict=True)):
        apart = lo > none or hi < none
        colour = (COLOURS[1] if lo > none else COLOURS[0]) if apart else GREY
        ends = max(lo, left), min(hi, right)
        ax.plot(ends, (k, k), "-", color=colour, linewidth=1.6, solid_capstyle="butt")
        for end, seen, mark in ((lo, left, "<"), (hi, right, ">")):
            if end == seen or left <= end <= right:
                ax.plot(end, k, "|", color=colour, markersize=7)
            else:
                ax.plot(seen, k, mark, color=colour, markersize=6, clip_on=False)
        if left <= value <= right:
            ax.plot(value, k, "s", color=colour, markersize=6)
        ax.annotate(
            f"{_figure(value)}  ({_figure(lo)} to {_figure(hi)})",
            (1.0, k),
            (10, 0),  # beyond an arrow at the edge
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize="small",
            annotation_clip=False,
        )
    ax.axvline(none, color="black", linewidth=0.9, zorder=1)
    ax.set_yticks(range(len(titles)), [fill(title, _NAME_WIDTH) for title in titles])
    ax.set_ylim(len(titles) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(True, axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    if log:
        _plain_ticks(ax)


def _limits(values: _Vector, log: bool) -> tuple[float, float]:
    """Return from where to where the axis goes: what is finite, and some more at both ends."""
    low, high = float(values.min()), float(values.max())
    if log:
        more = 0.06 * np.log(high / low) or 0.7
        return low * float(np.exp(-more)), high * float(np.exp(more))
    more = 0.06 * (high - low) or 1.0
    return low - more, high + more


def _plain_ticks(ax: "Axes") -> None:
    """Write 0.5 and 20, not powers of 10, where the axis spans few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    left, right = ax.get_xlim()
    decades = np.log10(right / left)
    if decades > 4:
        return
    if decades < 1:
        ax.xaxis.set_major_locator(MaxNLocator(7))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades <= 2 else (1.0, 3.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _figure(value: float) -> str:
    if not np.isfinite(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if 0.1 <= size < 1000 or size == 0:
        return f"{value:.2f}"
    return f"{value:,.0f}" if 1000 <= size < 1e6 else f"{value:.2g}"
