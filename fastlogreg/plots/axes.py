"""What all pictures share: the axes that they draw on, their colours and their frame.

Colours are those of Okabe and Ito (2008), which people who see no red or no green tell apart.
"""

from typing import TYPE_CHECKING, Any

from fastlogreg.data import validation as check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "FAINT", "GREY", "axes_for", "tidy"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777")
GREY = "#666666"
FAINT = "#dddddd"


def axes_for(
    ax: Any, *, size: tuple[float, float] = (6.4, 4.4), projection: str | None = None
) -> "Axes":
    """Return the axes to draw on: those given, or those of a new figure of pyplot's."""
    if ax is None:
        figure = check.check_pyplot().figure(figsize=size, layout="constrained")
        return figure.add_subplot(projection=projection)  # type: ignore[no-any-return]
    from matplotlib import axes

    if not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be Matplotlib axes (one of them), got {type(ax).__name__}")
    return ax


def tidy(ax: "Axes", *, grid: str = "both") -> None:
    """Take away the lines of the frame that bear no numbers, and draw a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", axis=grid, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
