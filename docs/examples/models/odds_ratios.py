"""
Odds ratios and their intervals
===============================

How much does each column multiply the odds? :func:`fastlogreg.logit` fits a formula without a
penalty, and its results know their errors.
"""

# %%
# Which tumours are benign, by six columns in units of their spread.
from sklearn.datasets import load_breast_cancer

import fastlogreg as flr

data = load_breast_cancer(as_frame=True).frame
columns = [
    "mean texture",
    "mean smoothness",
    "mean symmetry",
    "texture error",
    "symmetry error",
    "fractal dimension error",
]
data[columns] = (data[columns] - data[columns].mean()) / data[columns].std()
results = flr.logit("target ~ " + " + ".join(f"`{name}`" for name in columns), data)
print(results.summary())

# %%
# A frame of estimates and ends is what :func:`fastlogreg.plots.forest` draws; intervals that leave
# 1 out are coloured.
import pandas as pd

ratios = pd.DataFrame(
    results.odds_ratios()[1:], index=results.names[1:], columns=["odds ratio", "low", "high"]
)
ax = flr.plots.forest(ratios.sort_values("odds ratio"), label="odds ratio of a benign tumour, 95 %")
