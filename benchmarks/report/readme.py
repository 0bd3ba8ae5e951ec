"""The figures of README and site, from the stored JSON: ``python -m benchmarks.report.readme``.

Rewrites what stands between the two marks in README.md, which says what each figure comes to, and
in docs/benchmarks.md, which has the tables, and draws the charts that they show;
``tests/test_readme.py`` checks that both agree with the JSON.
"""

from typing import Any

import typer

from benchmarks.harness.stored import FOLDER, ROOT
from benchmarks.harness.tables import tiny
from benchmarks.report.__main__ import load
from benchmarks.report.page import as_png, markdown_table
from benchmarks.report.sections import Section
from benchmarks.report.tables import Table
from fastlogreg.cli.measuring import duration

README = ROOT / "README.md"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- figures: python -m benchmarks.report.readme writes them from docs/benchmarks -->"
END = "<!-- end of figures -->"
#: charts that the site shows, and of which it has a narrow one for phones
CHARTS = ("vectorization", "suboptimality", "speedups")
#: sections of which the README says what they come to
CONCLUSIONS = (
    *("kernels", "suboptimality", "fits", "class_fits", "l1_fits", "paths", "cross_validation"),
    *("softmax", "epochs", "class_epochs", "files", "cluster", "shell", "inference"),
)
#: sections that the site shows beside these, and those whose tables are too long for it
MORE = ("debts", "memory", "minibatch_memory", "cold_start", "growth", "threads")
LONG = ("suboptimality",)

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


def _file(section: Section, narrow: bool) -> str:
    return f"{section.name}{'-narrow' if narrow else ''}.png"


def figures(sections: list[tuple[Section, Data | None]]) -> str:
    """Return the README's figures, from mark to mark."""
    known = {section.name: (section, data) for section, data in sections if data is not None}
    parts = [BEGIN]
    if "vectorization" in known:
        section, data = known["vectorization"]
        parts += [
            f"{section.says} {section.concludes(data)}",
            f"![{section.title}](docs/benchmarks/{section.name}.png)",
            _cancer(data),
        ]
    rows = []
    for name in CONCLUSIONS:
        if name in known:
            section, data = known[name]
            command = section.measured_by.split(" --")[0]
            rows.append((section.title, section.concludes(data), f"`{command}`"))
    table = markdown_table(Table(("what", "comes to", "measured by"), rows))
    return "\n\n".join([*parts, table.replace("---:", "---"), END])


def page(sections: list[tuple[Section, Data | None]]) -> str:
    """Return the site's figures, from mark to mark."""
    parts = [BEGIN]
    for section, data in sections:
        if data is None or section.name not in {*CHARTS, *CONCLUSIONS, *MORE}:
            continue
        parts.append(f"## {section.title}\n\n{section.says} {section.concludes(data)}".rstrip())
        parts.append(f"`{data['command']}` ({_machine(data)})")
        if section.name in CHARTS:
            for narrow in (False, True):
                parts.append(
                    f"```{{image}} benchmarks/{_file(section, narrow)}\n:alt: {section.title}\n"
                    f":class: {'narrow' if narrow else 'wide'}\n```"
                )
        table = section.table(data)
        if table.rows and section.name not in LONG:
            parts.append(markdown_table(table))
    return "\n\n".join([*parts, END])


def main() -> None:
    """Write the figures of README and site, and the charts that they show."""
    sections = load(FOLDER)
    for path, made in ((README, figures(sections)), (PAGE, page(sections))):
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        path.write_text(before + made + rest.split(END)[1], encoding="utf-8")
        typer.echo(f"wrote {path}")
    for section, data in sections:
        if data is not None and section.name in CHARTS:
            for narrow in (False, True):
                as_png(section, data, FOLDER / _file(section, narrow), narrow=narrow)


if __name__ == "__main__":
    typer.run(main)
