"""Tables of the report: a header and rows of text, and rows of any kind as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Data = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A header and rows of text; the first column is flush left."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def anything(data: Data) -> Table:
    """Return rows of plain values as they are: the fields of the first row are the header."""
    if not data["rows"]:
        return Table((), [])
    plain = (str, int, float, bool, type(None))
    fields = [k for k, v in data["rows"][0].items() if isinstance(v, plain)]
    rows = [tuple(_text(row.get(field)) for field in fields) for row in data["rows"]]
    return Table(tuple(field.replace("_", " ") for field in fields), rows)


def of_kind(kind: str) -> Callable[[Data], Table]:
    """Return a table of the rows of one kind."""
    return lambda data: anything(
        {"rows": [row for row in data["rows"] if row.get("kind", kind) == kind]}
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
