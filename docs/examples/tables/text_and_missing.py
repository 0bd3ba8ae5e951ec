"""
Text and missing values
=======================

A table as tables are: text, numbers of any size, values that are missing.
:func:`fastlogreg.open_rows` learns its columns, makes numbers of them, and the model remembers how.
"""

# %%
# A CSV file of patients, with an eighth of the doses and some sites missing.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fastlogreg as flr

random = np.random.default_rng(0)
n = 8_000
table = pd.DataFrame(
    {
        "age": random.integers(18, 90, n),
        "dose_mg": random.gamma(2.0, 150.0, n).round(1),
        "smoker": random.random(n) < 0.3,
        "site": random.choice(["Basel", "Lyon", "Porto", "Turku"], n, p=[0.5, 0.3, 0.195, 0.005]),
    }
)
effects = table.site.map({"Basel": 0.0, "Lyon": 0.5, "Porto": -0.5, "Turku": 0.0})
margin = (
    0.5 - 0.04 * (table.age - 50) + 0.004 * (table.dose_mg - 300) - 0.8 * table.smoker + effects
)
table["cured"] = np.where(random.random(n) < 1 / (1 + np.exp(-margin)), "yes", "no")
table.loc[random.random(n) < 1 / 8, "dose_mg"] = np.nan
table.loc[random.random(n) < 0.03, "site"] = None

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "patients.csv"
table.to_csv(path, index=False)
print(path.read_text()[:130])

# %%
# Missing doses become their mean, missing sites a level of their own, and levels of fewer than 100
# rows one level. A quarter of the rows is kept aside.
rows = flr.open_rows(path, target="cured", missing="mean", min_frequency=100)
train, test = rows.split(0.25, seed=0)
model = flr.LogisticRegression().fit(train)
print(f"{model.score(test):.1%} of {test.n_rows:,} rows")
for column in model.schema_.columns:
    print(column.kind, *column.names())

# %%
# The same columns predict a frame, in any order; what does not fit is refused.
print(model.predict_proba(table[["site", "smoker", "dose_mg", "age"]].head(2)).round(3))
try:
    model.predict(table.rename(columns={"site": "hospital"}))
except ValueError as error:
    print(error)

# %%
# Coefficients of columns in different units can be compared when they are multiplied by the
# standard deviation of their column, which the schema knows, too.
sizes = pd.Series(model.coef_[0] * model.schema_.scales(), model.feature_names_in_)
sizes = sizes.sort_values(key=abs)
figure, ax = plt.subplots(layout="constrained")
ax.barh(sizes.index, sizes, color=np.where(sizes > 0, "tab:blue", "tab:orange"))
ax.axvline(0, color="black", linewidth=0.8)
ax.set(xlabel="coefficient times standard deviation: above 0, more are cured")
folder.cleanup()
