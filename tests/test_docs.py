"""The examples in docs/ run, and so does the code on its pages."""

import importlib.util
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fastlogreg
from fastlogreg.cli.app import app

DOCS = Path(fastlogreg.__file__).parents[1] / "docs"


pytestmark = pytest.mark.skipif(
    not (DOCS.parent / ".ci").exists(), reason="an installed package has no docs"
)


def example(name):
    spec = importlib.util.spec_from_file_location(Path(name).name, DOCS / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stream(capsys):
    stream = example("large/stream")
    model, shares = stream.main(count=12, rows=2_000)
    assert len(shares) == 11 and shares[-1] > 0.8
    assert model.n_iter_ == 12
    assert model.t_ == 12 * 8
    X, y = next(stream.pieces(1, 4_000))
    assert model.score(X, y) > 0.8
    assert "24,000 rows" in capsys.readouterr().out


def test_digits(capsys, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="the extra plot")
    pyplot.switch_backend("agg")
    model, score, display = example("models/digits").main(tmp_path / "confusion.png")
    assert model.converged_ and model.coef_.shape == (10, 64)
    assert score > 0.95
    matrix = display.confusion_matrix
    assert matrix.shape == (10, 10) and matrix.sum() == 450
    assert np.trace(matrix) / 450 == pytest.approx(score)
    assert pyplot.imread(tmp_path / "confusion.png").ndim == 3
    pyplot.close(display.figure_)
    assert f"{score:.1%} of" in capsys.readouterr().out


EXAMPLES = sorted(DOCS.glob("examples/*/*.py"))
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "```python" in page.read_text()]
PYTHON = re.compile(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
# in blocks of the kind console: a command, and what it prints up to the next
COMMAND = re.compile(r"^\$ ((?:fastlogreg|echo).*)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)
#: what a page shows beside its two side bars at 1280 pixels (docs/_static/site.css)
CODE_WIDTH = 88
GENERATED = ("_build", "gallery", "generated")


@pytest.fixture
def pyplot(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="the extra plot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr("fastlogreg.plots.lecture._POINTS", 21)  # the site's are finer
    monkeypatch.setattr(sys, "argv", ["example"])
    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_gallery_ends_with_a_picture(path, pyplot):
    found = runpy.run_path(str(path), run_name="__main__")
    assert re.match(r"\n(.+)\n=+\n", found["__doc__"]), "its title"
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert figures
    for figure in figures:
        assert all(ax.has_data() for ax in figure.axes if ax.get_label() != "<colorbar>")


def test_the_gallery_is_large():
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not set(GENERATED) & set(page.parts)],
    ids=lambda page: page.relative_to(DOCS).as_posix(),
)
def test_the_code_of_a_page_runs(page, pyplot, tmp_path, monkeypatch, capsys):
    if "statsmodels" in page.name:
        pytest.importorskip("statsmodels")
    monkeypatch.chdir(tmp_path)
    if page.name == "model_files.md":
        for name in ("onnxruntime", "safetensors", "skl2onnx", "skops"):
            pytest.importorskip(name)
    names = {}
    for code, shown in PYTHON.findall(page.read_text()):
        assert max(map(len, code.splitlines())) <= CODE_WIDTH
        exec(compile(code, str(page), "exec"), names)
        printed = capsys.readouterr().out
        assert not shown or stripped(printed) == stripped(shown)


def test_the_commands_of_the_page_on_the_shell_print_what_it_shows(tmp_path, monkeypatch):
    guide = DOCS / "user_guide"
    monkeypatch.chdir(tmp_path)
    tables, _ = PYTHON.findall((guide / "files.md").read_text())[0]
    exec(compile(tables, "files.md", "exec"), {})
    env = {"COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    code = 0
    commands = COMMAND.findall((guide / "shell.md").read_text())
    assert len(commands) >= 8
    for command, shown in commands:
        if command == "echo $?":
            assert code == int(shown)
            continue
        result = CliRunner().invoke(app, shlex.split(command)[1:], env=env)
        code = result.exit_code
        assert measured(result.output) == measured(shown), command


def stripped(text):
    return [line.rstrip() for line in text.strip().splitlines()]


def measured(text):
    """Lines without what differs between machines: times, and digits beyond the third."""
    kept = [line for line in stripped(text) if not line.startswith(("time ", "distance "))]
    return [re.sub(r"\d+\.\d+(e-\d+)?", lambda n: f"{float(n[0]):.3g}", line) for line in kept]


def test_links_that_lead_nowhere_are_found(tmp_path):
    links = runpy.run_path(str(DOCS.parent / ".ci" / "links.py"))
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here"></a><a href="b.html#there"></a><img src="https://x.org/y.png">'
    )
    (tmp_path / "b.html").write_text('<h1 id="there"><a href="a.html">')
    assert list(links["faults"](tmp_path)) == []
    (tmp_path / "b.html").write_text('<a href="a.html#no"></a><img src="c.png"><a href="https:">')
    assert [fault.rpartition(": ")[2] for fault in links["faults"](tmp_path)] == [
        *("no such place", "no such place", "no such file", "no address"),
    ]


def test_words_beyond_the_edge_of_a_phone_are_found(tmp_path):
    widths = runpy.run_path(str(DOCS.parent / ".ci" / "widths.py"))
    chromium = widths["chromium"]()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    pytest.importorskip("playwright.sync_api")
    long = "x" * 200
    for name, hidden in (("wide", "hidden"), ("scrolls", "auto")):
        page = f'<article style="overflow: hidden"><p style="overflow: {hidden}"><b>{long}</b></p>'
        (tmp_path / f"{name}.html").write_text(page)
    (found,) = widths["faults"](tmp_path, chromium)
    assert found.startswith("wide.html") and found.endswith("beyond 390 pixels")


def test_every_public_name_is_in_the_reference():
    listed = (DOCS / "api" / "index.md").read_text().split()
    names = set(fastlogreg.__all__) - {"__version__", "plots"} | set(fastlogreg.plots.__all__)
    assert names <= set(listed)
