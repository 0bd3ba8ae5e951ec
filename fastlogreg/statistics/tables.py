"""Summaries as text and as HTML: a title, pairs of figures beside each other, tables, notes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Summary", "Table", "number"]

_WIDTH = 78


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and rows whose first cell is a name."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Summary:
    """What people read of a fit; ``str()`` is text, and notebooks show HTML.

    Attributes
    ----------
    title : str
    pairs : list of (str, str)
        Figures by name, shown in two columns.
    tables : list of Table
    notes : list of str
    """

    title: str
    pairs: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=list)

    def as_text(self) -> str:
        """Return the text."""
        blocks = [_lines(table) for table in self.tables]
        width = max([_WIDTH, *(len(line) for block in blocks for line in block)])
        out = [self.title.center(width).rstrip(), "=" * width]
        half = -(-len(self.pairs) // 2)
        column = (width - 4) // 2
        for k in range(half):
            left = _pair(self.pairs[k], column)
            right = _pair(self.pairs[k + half], column) if k + half < len(self.pairs) else ""
            out.append(f"{left}    {right}".rstrip())
        for table, block in zip(self.tables, blocks, strict=True):
            out.append("=" * width)
            if table.caption:
                out.append(table.caption)
            out += [block[0], "-" * width, *block[1:]]
        out.append("=" * width)
        for note in self.notes:
            out += _wrapped(note, width)
        return "\n".join(out)

    def as_html(self) -> str:
        """Return the HTML, a ``div``."""
        half = -(-len(self.pairs) // 2)
        out = [f"<div><strong>{escape(self.title)}</strong>", "<table>"]
        for k in range(half):
            cells = [self.pairs[k]]
            cells += [self.pairs[k + half]] if k + half < len(self.pairs) else []
            row = "".join(f"<th>{escape(a)}</th><td>{escape(b)}</td>" for a, b in cells)
            out.append(f"<tr>{row}</tr>")
        out.append("</table>")
        for table in self.tables:
            out.append("<table>")
            if table.caption:
                out.append(f"<caption>{escape(table.caption)}</caption>")
            out.append(f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in table.header)}</tr>")
            for name, *values in table.rows:
                row = "".join(f"<td>{escape(value)}</td>" for value in values)
                out.append(f"<tr><th>{escape(name)}</th>{row}</tr>")
            out.append("</table>")
        out += [f"<p>{escape(note)}</p>" for note in self.notes]
        return "\n".join([*out, "</div>"])

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()


def number(value: float, digits: int = 4) -> str:
    """Return a figure of so many places, or in powers of ten where they would say nothing."""
    if value != value or abs(value) == float("inf"):
        return str(value)
    if value != 0.0 and not 10.0**-digits <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}f}"


def _pair(pair: tuple[str, str], width: int) -> str:
    name, value = f"{pair[0]}:", pair[1]
    room = max(4, width - len(name) - 1)
    if len(value) > room:
        value = f"{value[: room - 3]}..."
    return f"{name} {value:>{room}}"


def _lines(table: Table) -> list[str]:
    columns = list(zip(*[table.header, *table.rows], strict=True))
    widths = [max(map(len, column)) for column in columns]
    if sum(widths) + 2 * len(widths) < _WIDTH:
        widths[0] += _WIDTH - sum(widths) - 2 * (len(widths) - 1)
    return [
        "  ".join(
            [
                f"{row[0]:<{widths[0]}}",
                *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in [table.header, *table.rows]
    ]


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)
