"""Options that commands share."""

from collections.abc import Container, Iterable
from typing import Protocol

import typer


class Known(Container[str], Iterable[str], Protocol):
    """Names that can be chosen."""


def chosen(given: str, known: Known, what: str, separator: str = ",") -> list[str]:
    """Return the names in an option's text, each of which must be known; ``what`` they name."""
    names = [name.strip() for name in given.split(separator) if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        there = f"{separator} ".join(known)
        raise typer.BadParameter(f"no {what} {unknown[0]!r}; there are: {there}")
    return names
