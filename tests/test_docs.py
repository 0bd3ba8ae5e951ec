"""The examples in docs/ run, and so does the code on its pages."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import fastlogreg

DOCS = Path(fastlogreg.__file__).parents[1] / "docs"


pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="an installed package has no docs")


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
