"""What the commands that print tables share: means, forms of numbers, the terminal."""

import math

from rich.console import Console


def geometric_mean(values: list[float]) -> float:
    """Return exp of the mean logarithm."""
    return math.exp(sum(map(math.log, values)) / len(values))


def ms(seconds: float | None) -> str:
    """Return a time in milliseconds, three figures; empty for none."""
    if seconds is None:
        return ""
    return f"{seconds * 1e3:,.0f}" if seconds >= 1 else f"{seconds * 1e3:.3g}"


def tiny(value: float | None) -> str:
    """Return a relative distance; empty for none."""
    return "" if value is None else "0" if value == 0 else f"{value:.0e}"


def ratio(value: float | None) -> str:
    """Return a ratio; empty for none."""
    return "" if value is None else f"{value:.3g} x" if value < 1000 else f"{value:,.0f} x"


def console() -> Console:
    """Return a terminal that doesn't cut wide tables where the output goes to a file."""
    out = Console()
    return out if out.is_terminal else Console(width=200)
