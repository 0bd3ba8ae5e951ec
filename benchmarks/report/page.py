"""Writes the sections: as one HTML page with everything inside it, as Markdown, as PNGs."""

import html
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.report.charts import INK, SERIES
from benchmarks.report.sections import Section, Table

Data = dict[str, Any]
_PNG_DPI = 160
_PNG_COLOURS = 128
_PNG_LINE = 135  # characters of the caption's size as wide as a chart
_MOST_ROWS = 60  # of a table in Markdown

_LIGHT = {**INK, **SERIES, "page": "#ffffff", "panel": "#f6f7f9"}
_DARK = {
    **{"text": "#e6e9ed", "muted": "#98a2ae", "grid": "#2c333c", "paper": "#14181d"},
    **{"ours": "#4bb3e0", "second": "#f08a4b", "third": "#b48ad0", "fourth": "#74c483"},
    **{"fifth": "#dcb94f", "sixth": "#ec7c98", "other": "#6d7783"},
    **{"page": "#14181d", "panel": "#1b2027"},
}

_STYLE = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) { :root { DARK } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 64px }
h1 { font-size: 1.7rem; margin: 0 0 4px }
h2 { font-size: 1.2rem; margin: 48px 0 4px }
p { margin: 4px 0 10px; max-width: 76ch }
nav { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 12px 0; font-size: .9rem }
a { color: var(--ours) }
.concludes { font-weight: 600 }
.muted, figcaption { color: var(--muted); font-size: .82rem }
figure { margin: 12px 0; padding: 12px; background: var(--panel); border-radius: 10px }
figcaption { margin-top: 8px; overflow-wrap: anywhere }
figure svg { display: block; width: 100%; height: auto }
figure svg.narrow { display: none }
.missing { padding: 12px; border: 1px dashed var(--muted); border-radius: 10px;
  overflow-wrap: anywhere }
details { margin: 8px 0 }
summary { cursor: pointer; color: var(--ours); padding: 6px 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid) }
th:first-child, td:first-child { text-align: left }
th { color: var(--muted); font-weight: 600 }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em }
@media (max-width: 640px) {
  main { padding: 16px 12px 48px }
  h1 { font-size: 1.4rem }
  figure { padding: 8px; margin: 10px -4px }
  figure svg.wide { display: none }
  figure svg.narrow { display: block }
}
"""


def caption(data: Data) -> str:
    """Return machine, threads, versions, date and command of stored figures."""
    machine = data["machine"]
    system = machine["system"].partition("-")[0]  # without the kernel's version
    threads = f"{machine['n_threads']} thread{'s' * (machine['n_threads'] != 1)}"
    return (
        f"{machine['cpu']}, {threads} ({machine['threading_layer']}), {system}; "
        f"fastlogreg {machine['fastlogreg']}, Python {machine['python']}, "
        f"NumPy {machine['numpy']}, Numba {machine['numba']}, "
        f"scikit-learn {machine['scikit-learn']}; {machine['date']}; {data['command']}"
    )


def _svg(section: Section, data: Data, *, narrow: bool) -> str:
    """Return the chart as an SVG element whose colours are the page's variables."""
    assert section.chart is not None
    prefix = f"{section.name}-{'narrow' if narrow else 'wide'}"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, **_FONT}):
        figure = section.chart(data, narrow)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # ids are of the whole page
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    for name, colour in {**INK, **SERIES}.items():
        text = text.replace(colour, f"var(--{name})")
    label = html.escape(f"{section.title}. {section.says}", quote=True)
    head = f'<svg class="{prefix.rsplit("-", 1)[1]}" role="img" aria-label="{label}"'
    text = text.replace("<svg", head, 1)
    text = re.sub(r' height="[^"]*pt"', "", text, count=1)
    return re.sub(r' width="[^"]*pt"', "", text, count=1)


_FONT = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK["text"],
}


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _section(section: Section, data: Data | None) -> Iterator[str]:
    yield f'<section id="{section.name}">\n<h2>{html.escape(section.title)}</h2>'
    yield f"<p>{html.escape(section.says)}</p>"
    if data is None:
        yield (
            f'<p class="missing">Not measured: run <code>{html.escape(section.measured_by)}'
            "</code></p>\n</section>"
        )
        return
    concludes = section.concludes(data)
    if concludes:
        yield f'<p class="concludes">{html.escape(concludes)}</p>'
    source = f"<figcaption>{html.escape(caption(data))}</figcaption>"
    table = section.table(data)
    if section.chart is not None:
        wide, narrow = (_svg(section, data, narrow=narrow) for narrow in (False, True))
        yield f"<figure>{wide}\n{narrow}\n{source}</figure>"
        if table.rows:
            yield f"<details><summary>The figures</summary>{_table(table)}</details>"
    else:
        yield f"<figure>{_table(table)}\n{source}</figure>"
    yield "</section>"


def as_html(sections: list[tuple[Section, Data | None]]) -> str:
    """Return the page; it asks for nothing from anywhere, and its policy forbids it to."""

    def variables(colours: dict[str, str]) -> str:
        return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())

    style = _STYLE.replace("LIGHT", variables(_LIGHT)).replace("DARK", variables(_DARK))
    links = "".join(f'<a href="#{s.name}">{html.escape(s.title)}</a>' for s, _ in sections)
    body = "\n".join(part for section, data in sections for part in _section(section, data))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>fastlogreg: benchmarks</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>fastlogreg: benchmarks</h1>
<p>Ratios within one run carry over to other machines; seconds do not. Under each chart:
the machine, threads, versions, the date, and the command that measured it.</p>
<nav>{links}</nav>
{body}
</main>
</body>
</html>
"""


def as_markdown(sections: list[tuple[Section, Data | None]]) -> str:
    """Return the same without charts, for the summary of a CI job."""
    parts = ["# fastlogreg: benchmarks\n"]
    for section, data in sections:
        parts.append(f"## {section.title}\n\n{section.says}\n")
        if data is None:
            parts.append(f"Not measured: run `{section.measured_by}`\n")
            continue
        concludes = section.concludes(data)
        if concludes:
            parts.append(f"**{concludes}**\n")
        table = section.table(data)
        if table.rows:
            parts.append(markdown_table(table, _MOST_ROWS) + "\n")
        parts.append(f"<sub>{caption(data)}</sub>\n")
    return "\n".join(parts)


def markdown_table(table: Table, most: int | None = None) -> str:
    """Return a table in Markdown, its first rows where it is long."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rows = table.rows[:most]
    lines = [line(table.header), line(("---", *["---:"] * (len(table.header) - 1)))]
    lines += [line(row) for row in rows]
    if len(rows) < len(table.rows):
        lines.append(f"\n{len(table.rows) - len(rows)} more rows in the page and the JSON file.")
    return "\n".join(lines)


def as_png(section: Section, data: Data, path: Path, *, narrow: bool = False) -> None:
    """Draw a section's chart to a file; the wide one says below where its figures are from."""
    from PIL import Image

    assert section.chart is not None
    drawn = io.BytesIO()
    with mpl.rc_context(_FONT):
        figure = section.chart(data, narrow)
        if not narrow:
            source = textwrap.fill(caption(data), _PNG_LINE)
            figure.text(0.0, -0.01, source, fontsize=7, color=INK["muted"], va="top")
        figure.savefig(drawn, dpi=_PNG_DPI, facecolor="white", bbox_inches="tight")
    # a palette of the few colours takes a third of the bytes
    few = Image.open(drawn).convert("RGB").quantize(_PNG_COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
