"""What the README tells people to type works as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they may write
    exec(compile(code, "README.md", "exec"), {})


def test_every_file_it_names_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_every_subcommand_it_names_exists():
    from typer.main import get_command

    from fastlogreg.cli.app import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"fastlogreg (\w+)", "".join(blocks("bash"))))
    assert named
    assert named <= known


def test_it_is_short():
    assert len(README.read_text().splitlines()) < 150


def test_the_figures_of_readme_and_site_are_those_that_are_stored():
    from benchmarks.harness.stored import FOLDER
    from benchmarks.report import readme
    from benchmarks.report.__main__ import load

    sections = load(FOLDER)
    for path, expected in (
        (readme.README, readme.figures(sections)),
        (readme.PAGE, readme.page(sections)),
    ):
        text = path.read_text(encoding="utf-8")
        begin, end = text.index(readme.BEGIN), text.index(readme.END) + len(readme.END)
        assert text[begin:end] == expected
    for section, data in sections:
        if data is not None and section.name in readme.CHARTS:
            assert (FOLDER / f"{section.name}.png").exists()
            assert (FOLDER / f"{section.name}-narrow.png").exists()
