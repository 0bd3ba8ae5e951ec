"""The examples in docs/ run."""

import importlib.util
from pathlib import Path

import pytest

import fastlogreg

DOCS = Path(fastlogreg.__file__).parents[1] / "docs"


@pytest.mark.skipif(not DOCS.exists(), reason="an installed package has no docs")
def test_stream(capsys):
    spec = importlib.util.spec_from_file_location("stream", DOCS / "examples" / "stream.py")
    stream = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stream)
    model = stream.main(count=12, rows=2_000)
    assert model.n_iter_ == 12
    assert model.t_ == 12 * 8
    X, y = next(stream.pieces(1, 4_000))
    assert model.score(X, y) > 0.8
    assert "24,000 rows" in capsys.readouterr().out
