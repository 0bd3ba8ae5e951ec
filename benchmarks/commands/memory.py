"""What a fit needs beside its data: ``python -m benchmarks.memory``.

Each fit runs in a fresh process, which loads X and y from a file, fits a small part of them (so
that imports, compiled kernels and threads are there already), and then notes how far the resident
memory rises at the most during the fit of the whole. Linux alone tells the peak of one call.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import cases
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console
from fastlogreg.cli.measuring import new_table

#: what is asked for, of dense rows of fewer than 100 columns
BYTES_A_ROW, BYTES = 16, 64 << 20

CASES = ("1e6 x 20 unscaled", "1e6 x 20 unscaled float32", "1e6 x 10 weighted", "3e5 x 50")
MODELS = {
    "fastlogreg": "from fastlogreg import LogisticRegression; model = LogisticRegression(C=C)",
    "sklearn newton-cholesky": "from sklearn.linear_model import LogisticRegression; "
    "model = LogisticRegression(C=C, solver='newton-cholesky')",
    "sklearn lbfgs": "from sklearn.linear_model import LogisticRegression; "
    "model = LogisticRegression(C=C, max_iter=5)",
}
_PROGRAM = """
import json, sys, warnings
import numpy as np
from benchmarks.harness.resident import NOW, PEAK, resident, reset_peak
folder, C = sys.argv[1], float(sys.argv[2])
{model}
warnings.simplefilter("ignore")
X, y = np.load(folder + "/X.npy"), np.load(folder + "/y.npy")
try:
    weights = np.load(folder + "/weights.npy")
except FileNotFoundError:
    weights = None
few = slice(0, 20_000)
model.fit(X[few], y[few], sample_weight=None if weights is None else weights[few])
if not reset_peak():
    sys.exit("no /proc/self/clear_refs here, and so no peak of one call")
before = resident(NOW)
model.fit(X, y, sample_weight=weights)
print(json.dumps([before, resident(PEAK)]))
"""


def measure(case: str, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each model: bytes resident before a fit, and the rise of their peak."""
    X, y, weights, C = cases.fit_data(case.removesuffix(" float32"))
    if case.endswith("float32"):
        X = X.astype(np.float32)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    (folder / "weights.npy").unlink(missing_ok=True)
    if weights is not None:
        np.save(folder / "weights.npy", weights)
    rows = []
    for name, model in MODELS.items():
        program = _PROGRAM.format(model=model)
        ended = subprocess.run(
            [sys.executable, "-c", program, str(folder), repr(C)],
            capture_output=True,
            text=True,
            check=True,
        )
        before, after = json.loads(ended.stdout)
        row = {"case": case, "model": name, "n": X.shape[0], "d": X.shape[1]}
        row |= {"data": X.nbytes, "before": before, "extra": after - before}
        row["allowed"] = BYTES_A_ROW * X.shape[0] + BYTES
        rows.append(row)
    return rows


def main(
    only: Annotated[str, typer.Option("--cases", help="Names, separated by commas.")] = "",
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure how far a fit raises the highest resident memory of its process."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in [name.strip() for name in only.split(",") if name.strip()] or CASES:
            typer.echo(case, err=True)
            rows += measure(case, Path(folder))
    table = new_table(
        "peak memory of a fit beside its data, MB",
        "case",
        *("model", "X", "extra", "bytes a row", "allowed"),
        caption=f"allowed: {BYTES_A_ROW} bytes a row and {BYTES >> 20} MB; lbfgs: 5 iterations",
    )
    for row in rows:
        table.add_row(
            row["case"],
            row["model"],
            *(f"{row[key] / 1e6:,.0f}" for key in ("data", "extra")),
            f"{row['extra'] / row['n']:.3g}",
            f"{row['allowed'] / 1e6:,.0f}",
        )
    show(table, rows, output)
    for row in rows:
        if row["model"] == "fastlogreg" and row["extra"] > row["allowed"]:
            console().print(f"missed: {row['case']}: {row['extra'] / 1e6:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
