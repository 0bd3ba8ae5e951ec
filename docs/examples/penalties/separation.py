"""
When there is no optimum
========================

Where a column separates the classes, the likelihood rises for ever with its coefficient. Without a
penalty the fit says so and names the column; the least penalty gives an answer.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fastlogreg as flr

random = np.random.default_rng(2)
X = pd.DataFrame({"age": random.normal(50, 12, 300), "rare": random.random(300) < 0.03})
y = random.random(300) < 1 / (1 + np.exp(-(X.age - 50) / 10))
y |= X.rare.to_numpy()  # of the rare level, every row is of the second class
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = flr.LogisticRegression(C=np.inf).fit(X, y)
print(caught[0].message)

# %%
# With a penalty there is an optimum, and it shows what is going on: one coefficient goes with log
# C, the other stays.
Cs = np.logspace(-1, 6, 15)
coefs = np.array([flr.LogisticRegression(C=C).fit(X, y).coef_[0] for C in Cs])
figure, ax = plt.subplots(layout="constrained")
for name, line in zip(X.columns, coefs.T, strict=True):
    ax.plot(Cs, line, "o-", markersize=4, label=name)
ax.set(xscale="log", xlabel="C", ylabel="coefficient")
ax.legend()
ax.grid(alpha=0.3)
