"""One page of all figures: ``python -m benchmarks.report``.

Reads the JSON files that the other commands of this folder write, and writes ``report.html``
(everything inside it), ``report.md`` (for the summary of a CI job) and a PNG for each chart.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.harness.stored import FOLDER
from benchmarks.report.page import as_html, as_markdown, as_png
from benchmarks.report.sections import SECTIONS, Section


def load(folder: Path) -> list[tuple[Section, dict[str, Any] | None]]:
    """Return each section with its figures, None where they are not there."""
    by_name: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if content.get("rows"):
            content.setdefault(
                "command", next((s.measured_by for s in SECTIONS if s.source == path.stem), "")
            )
            by_name[path.stem] = content
    return [(section, by_name.get(section.source)) for section in SECTIONS]


def main(
    figures: Annotated[Path, typer.Option(help="A folder of JSON files.")] = FOLDER,
    output: Annotated[Path, typer.Option(help="A folder for the page.")] = Path("report"),
    png: Annotated[bool, typer.Option(help="Whether to draw PNGs.")] = True,
) -> None:
    """Write the report: HTML, Markdown, PNGs."""
    if not figures.is_dir():
        raise typer.BadParameter(f"--figures {figures} is no folder")
    sections = load(figures)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.html").write_text(as_html(sections), encoding="utf-8")
    (output / "report.md").write_text(as_markdown(sections), encoding="utf-8")
    for section, data in sections:
        if data is None:
            typer.echo(f"not measured: {section.title}: {section.measured_by}", err=True)
        elif png and section.chart is not None:
            as_png(section, data, output / f"{section.name}.png")
    typer.echo(f"wrote {output / 'report.html'}")


if __name__ == "__main__":
    typer.run(main)
