"""The command line, as a person types it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import fastlogreg
from fastlogreg.cli.app import app


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_compare_prints_and_stores(tmp_path):
    result = invoke("compare", "--sizes", "100,1e3", "--features", "3", "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    for text in ("loss + gradient, 3 features", "petals", "breast cancer", "compare.png"):
        assert text in result.output
    stored = json.loads((tmp_path / "compare.json").read_text())
    assert {row["n"] for row in stored["rows"]} == {100, 1000}
    assert {row["backend"] for row in stored["rows"]} == {"loop", "numpy", "numba"}
    assert len(stored["petals"]) == 3
    assert (tmp_path / "compare.png").stat().st_size > 20_000


def test_compare_without_chart_in_float32(tmp_path):
    arguments = ("--sizes", "50", "--features", "1", "--dtype", "float32", "--no-chart")
    result = invoke("compare", *arguments, "--output", str(tmp_path / "new" / "folder"))
    assert result.exit_code == 0, result.output
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["compare.json"]


def test_an_interrupted_comparison_keeps_what_it_has(tmp_path, monkeypatch):
    from fastlogreg.cli import compare

    def interrupted(*_, **__):
        yield from rows[:4]
        raise KeyboardInterrupt

    rows = list(compare.measure((100,), 2, round_seconds=0.02))
    monkeypatch.setattr(compare, "measure", interrupted)
    result = invoke("compare", "--output", str(tmp_path))
    assert result.exit_code == 130
    assert len(json.loads((tmp_path / "compare.json").read_text())["rows"]) == len(rows[:4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sizes", "0"), "at least 1"),
        (("--sizes", "ten"), "not a number of rows"),
        (("--sizes", "1.5"), "whole number"),
        (("--features", "0"), "Invalid value for '--features'"),
        (("--dtype", "float16"), "not one of float64, float32"),
        (("--threads", "0"), "Invalid value for '--threads'"),
    ],
)
def test_bad_options_of_compare(arguments, message, tmp_path):
    result = invoke("compare", *arguments, "--output", str(tmp_path))
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = invoke("compare", "--output", str(blocked / "folder"))
    assert result.exit_code == 2
    assert "--output" in result.output


def test_info():
    result = invoke("info", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.output)
    assert facts["fastlogreg"] == fastlogreg.__version__
    assert facts["threading_layer"] in ("tbb", "omp", "workqueue")
    assert "cache_folder" in invoke("info").output


def test_warmup():
    result = invoke("warmup", "--dtype", "float64")
    assert result.exit_code == 0
    assert "evaluate (float64)" in result.output
    assert "cache" in result.output
    assert invoke("warmup", "--dtype", "int8").exit_code == 2


def test_module_and_version():
    out = subprocess.run(
        [sys.executable, "-m", "fastlogreg", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == f"fastlogreg {fastlogreg.__version__}"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['fastlogreg', '--help']\n"
        "from fastlogreg.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numba', 'numpy', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_missing_extra_is_named():
    code = "import sys\nsys.modules['typer'] = None\nfrom fastlogreg.cli import main\nmain()\n"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "fastlogreg[cli]" in result.stderr
    assert "Traceback" not in result.stderr
