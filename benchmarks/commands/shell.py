"""A CSV from the shell, stage by stage: ``python -m benchmarks.shell``.

Writes a table with text, whole numbers and missing values, and puts it through, each in a fresh
process:

- ``fastlogreg fit`` and ``fastlogreg predict``, whole commands, and the stages of the fit;
- pandas and scikit-learn: ``read_csv``, a ``ColumnTransformer`` of ``SimpleImputer`` and
  ``OneHotEncoder``, and ``LogisticRegression`` (its default solver on scaled columns, and
  ``newton-cholesky``), fitted and scored on the same split by the order of rows.

Peaks are of resident memory. Scores are of rows that were not fitted.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.harness.processes import fresh
from benchmarks.harness.resident import PEAK, resident
from benchmarks.harness.stored import show
from fastlogreg.cli.measuring import new_table

_PIECE = 100_000


def write(path: Path, rows: int, seed: int) -> None:
    """Write a table of so many rows."""
    import pandas as pd

    random = np.random.default_rng(seed)
    regions = [f"region {k:02d}" for k in range(30)]
    jobs = [f"job {k:03d}" for k in range(100)]
    effects = np.random.default_rng(99).normal(size=(2, 100))
    for first in range(0, rows, _PIECE):
        n = min(_PIECE, rows - first)
        region, job = random.integers(0, 30, n), random.integers(0, 100, n)
        frame = pd.DataFrame(
            {
                "age": np.where(random.random(n) < 0.05, np.nan, random.integers(18, 90, n)),
                "income": np.where(random.random(n) < 0.1, np.nan, random.lognormal(10, 1, n)),
                "hours": random.normal(38, 8, n).round(1),
                "region": np.array(regions)[region],
                "job": np.array(jobs)[job],
                "member": random.random(n) < 0.4,
            }
        )
        z = 0.03 * (frame.age.fillna(50) - 50) + effects[0, region] + effects[1, job]
        z += 0.5 * frame.member - 0.02 * (frame.hours - 38)
        frame["left"] = np.where(random.random(n) < 1.0 / (1.0 + np.exp(-z)), "yes", "no")
        frame.to_csv(path, index=False, mode="a" if first else "w", header=not first)


def ours(train: str, test: str, folder: str) -> dict[str, Any]:
    """Fit and score by the library, stage by stage."""
    from sklearn.metrics import roc_auc_score

    import fastlogreg as flr

    begun = time.perf_counter()
    rows = flr.open_rows(train, target="left", missing="mean")
    _ = rows.schema
    look = time.perf_counter()
    rows.collect()
    encoded = time.perf_counter()
    model = flr.LogisticRegression().fit(rows)
    fitted = time.perf_counter()
    p = model.predict_proba(flr.open_rows(test))[:, 1]
    scored = time.perf_counter()
    y = flr.open_rows(test, target="left", missing="mean").collect().targets
    stages = {
        "read": look - begun,
        "encode": encoded - look,
        "fit": fitted - encoded,
        "score": scored - fitted,
    }
    return {**stages, "auc": roc_auc_score(y, p), "peak": resident(PEAK)}


def theirs(train: str, test: str, solver: str) -> dict[str, Any]:
    """Fit and score by pandas and scikit-learn."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    begun = time.perf_counter()
    frame = pd.read_csv(train)
    read = time.perf_counter()
    numbers, text = ["age", "income", "hours", "member"], ["region", "job"]
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("n", scaled, numbers), ("t", OneHotEncoder(), text)])
    if solver == "newton-cholesky":
        columns.set_params(t__sparse_output=False)
    X = columns.fit_transform(frame)
    encoded = time.perf_counter()
    model = LogisticRegression(solver=solver, max_iter=1000).fit(X, frame.left)
    fitted = time.perf_counter()
    new = pd.read_csv(test)
    p = model.predict_proba(columns.transform(new))[:, 1]
    scored = time.perf_counter()
    stages = {
        "read": read - begun,
        "encode": encoded - read,
        "fit": fitted - encoded,
        "score": scored - fitted,
    }
    return {**stages, "auc": roc_auc_score(new.left == "yes", p), "peak": resident(PEAK)}


def _command(*arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fastlogreg", *arguments], check=True, capture_output=True
    )
    return time.perf_counter() - begun


def main(
    rows: Annotated[int, typer.Option(help="Of the table.")] = 1_000_000,
    quick: Annotated[bool, typer.Option("--quick", help="A small table.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure a CSV from the shell, and beside it pandas and scikit-learn."""
    rows = 20_000 if quick else rows
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        train, test = folder / "train.csv", folder / "test.csv"
        write(train, rows, 0)
        write(test, rows // 5, 1)
        model, scores = folder / "model.flr", folder / "scores.csv"
        asked = ("fit", str(train), "--target", "left", "--missing", "mean")
        _command(*asked, "--output", str(model))  # kernels are there then
        fit = _command(*asked, "--output", str(model))
        predict = _command("predict", str(model), str(test), "--proba", "--output", str(scores))
        size = train.stat().st_size / 1e6
        found = {
            "fastlogreg": fresh("shell", f"ours({str(train)!r}, {str(test)!r}, {made!r})"),
            "scikit-learn, lbfgs": fresh(
                "shell", f"theirs({str(train)!r}, {str(test)!r}, 'lbfgs')"
            ),
            "scikit-learn, newton-cholesky": fresh(
                "shell", f"theirs({str(train)!r}, {str(test)!r}, 'newton-cholesky')"
            ),
        }
    caption = f"fastlogreg fit: {fit:.2f} s, fastlogreg predict: {predict:.2f} s, whole commands"
    stages = ("read", "encode", "fit", "score")
    table = new_table(
        f"{rows:,} rows of CSV, {size:.0f} MB",
        "seconds",
        *stages,
        "all",
        "peak, MB",
        "AUC",
        caption=caption,
    )
    kept = []
    for name, each in found.items():
        total = sum(each[stage] for stage in stages)
        peak = each["peak"] / 2**20 if each["peak"] else float("nan")
        cells = [f"{each[stage]:.2f}" for stage in stages]
        table.add_row(name, *cells, f"{total:.2f}", f"{peak:.0f}", f"{each['auc']:.5f}")
        kept.append({"case": name, **each, "total": total})
    show(table, kept, output, commands={"fit": fit, "predict": predict})


if __name__ == "__main__":
    typer.run(main)
