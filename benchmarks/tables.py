"""What the commands that print tables share: means, showing, storing."""

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fastlogreg.compare import machine


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


def command() -> str:
    """Return the command that is running, as one would type it."""
    spec = sys.modules["__main__"].__spec__
    program = f"-m {spec.name}" if spec is not None else sys.argv[0]
    return " ".join(["python", program.removesuffix(".__main__"), *map(shlex.quote, sys.argv[1:])])


def store(rows: list[dict[str, Any]], output: Path | None, **more: Any) -> None:
    """Write rows, the machine, the command and whatever else to a JSON file, where one is named."""
    if output is None:
        return
    found = {"format": 1, "command": command(), "machine": machine(), **more, "rows": rows}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=1) + "\n")


def show(table: Table, rows: list[dict[str, Any]], output: Path | None, **more: Any) -> None:
    """Print a table and store its rows (:func:`store`)."""
    console().print(table)
    store(rows, output, **more)
