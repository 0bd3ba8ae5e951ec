"""
A model in a file
=================

:func:`fastlogreg.save` writes a fitted model to a file that holds no code, and
:func:`fastlogreg.load` gives it back: it says the same probabilities to the bit. Are they right on
the next year's rows?
"""

# %%
# Fitted on one year; the table's columns are stored with the model.
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import fastlogreg as flr


def year(seed: int, shift: float) -> pd.DataFrame:
    """Make up loans; ``shift`` changes how many are paid back."""
    random = np.random.default_rng(seed)
    n = 6_000
    table = pd.DataFrame(
        {
            "income": np.exp(random.normal(10.3, 0.5, n)),
            "years": random.integers(1, 30, n),
            "purpose": random.choice(["car", "house", "study"], n),
        }
    )
    margin = np.log(table.income) - 10.3 + 0.06 * (table.years - 15) + shift
    margin += table.purpose.map({"car": -0.5, "house": 0.8, "study": 0.2})
    return table.assign(paid=random.random(n) < 1 / (1 + np.exp(-margin)))


model = flr.LogisticRegression(C=np.inf).fit(
    flr.open_rows(year(0, 0.0), target="paid", drop_first=True)
)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "loans.flr"
flr.save(model, path)
print(f"{path.stat().st_size:,} bytes")

# %%
# Elsewhere, later: the file is all that is needed.
loaded = flr.load(path)
same = year(1, 0.0)
print("to the bit:", bool((loaded.predict_proba(same) == model.predict_proba(same)).all()))
print(f"fitted on {loaded.schema_.target!r}, converged: {loaded.converged_}")

# %%
# On rows like those of the fit it is calibrated. In a year in which fewer pay back, its
# probabilities are too high, whatever file it came from: a reason to fit again.
ax = None
for name, rows in {"a year like it": same, "a worse year": year(2, -0.7)}.items():
    ax = flr.plots.calibration(loaded, rows.drop(columns="paid"), rows.paid, name=name, ax=ax)
folder.cleanup()
