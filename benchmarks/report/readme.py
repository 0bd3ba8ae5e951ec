"""The README's figures, from the stored JSON: ``python -m benchmarks.report.readme``.

Rewrites what stands between the two marks in README.md and draws the charts it shows;
``tests/test_readme.py`` checks that README and JSON agree.
"""

from typing import Any

import typer

from benchmarks.harness.stored import FOLDER, ROOT
from benchmarks.harness.tables import tiny
from benchmarks.report.__main__ import load
from benchmarks.report.page import as_png, markdown_table
from benchmarks.report.sections import Section, Table
from fastlogreg.cli.measuring import duration

README = ROOT / "README.md"
BEGIN = "<!-- figures: python -m benchmarks.report.readme writes them from docs/benchmarks -->"
END = "<!-- end of figures -->"
#: charts that the README shows
CHARTS = ("vectorization", "speedups")
#: sections whose table it shows, and those of which it shows what they come to
TABLES = ("kernels",)
CONCLUSIONS = ("fits", "suboptimality")

Data = dict[str, Any]


def _machine(data: Data) -> str:
    m = data["machine"]
    return (
        f"{m['cpu']}, {m['n_threads']} threads, Python {m['python']}, NumPy {m['numpy']}, "
        f"Numba {m['numba']}, scikit-learn {m['scikit-learn']}, {m['date']}"
    )


def _cancer(data: Data) -> str:
    rows = [
        (
            fit["solver"].replace("sklearn ", "scikit-learn, ").replace(" (default)", ", default"),
            duration(fit["seconds"]),
            tiny(fit["above_optimum"]) + (", with a ConvergenceWarning" if fit["warned"] else ""),
        )
        for fit in data["fits"]
    ]
    table = Table(("solver", "time", "objective above its optimum, relative"), rows)
    return (
        "The same command fits the breast-cancer data (569 x 30, columns as they are) at default "
        f"settings:\n\n{markdown_table(table)}"
    )


def figures(sections: list[tuple[Section, Data | None]]) -> str:
    """Return the Markdown between the marks."""
    parts = [BEGIN]
    for section, data in sections:
        if data is None or section.name not in {*CHARTS, *TABLES, *CONCLUSIONS}:
            continue
        if section.name != "speedups":  # it belongs to the section before it
            parts.append(f"**{section.title}.** {section.says} {section.concludes(data)}".rstrip())
            parts.append(f"`{section.measured_by}` ({_machine(data)})")
        if section.name in CHARTS:
            parts.append(f"![{section.title}](docs/benchmarks/{section.name}.png)")
        if section.name in TABLES:
            parts.append(markdown_table(section.table(data)))
        if section.source == "compare":
            parts.append(_cancer(data))
    return "\n\n".join([*parts, END])


def main() -> None:
    """Write the README's figures and the charts that it shows."""
    sections = load(FOLDER)
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(before + figures(sections) + after, encoding="utf-8")
    for section, data in sections:
        if data is not None and section.name in CHARTS:
            as_png(section, data, FOLDER / f"{section.name}.png")
    typer.echo(f"wrote {README}")


if __name__ == "__main__":
    typer.run(main)
