"""
A known part of the margin
==========================

Of a rare event all cases are kept and one in twenty of the others: the usual economy. The sample's
odds are then twenty times too high. An offset of log 20 says so, and the intercept comes out as
that of the population.
"""

# %%
import numpy as np

import fastlogreg as flr

random = np.random.default_rng(7)
X = random.standard_normal((200_000, 2))
margins = -5.0 + X @ [1.0, -0.5]
y = random.random(len(X)) < 1 / (1 + np.exp(-margins))
kept = y | (random.random(len(X)) < 1 / 20)
print(f"{y.sum():,} cases in {len(X):,} rows; {kept.sum():,} rows are kept")

# %%
plain = flr.LogisticRegression(C=np.inf).fit(X[kept], y[kept])
offset = np.full(kept.sum(), np.log(20.0))
known = flr.LogisticRegression(C=np.inf).fit(X[kept], y[kept], offset=offset)
for name, model in (("without an offset", plain), ("with it", known)):
    print(
        f"{name:18s} intercept {model.intercept_[0]:6.2f}, coefficients {model.coef_[0].round(2)}"
    )

# %%
# Both draw the same line between the classes' odds; only the second gives the population's
# probabilities.
ax = None
for name, model in (("without an offset", plain), ("with it", known)):
    ax = flr.plots.calibration(model, X, y, n_bins=20, name=name, ax=ax)
ax.set(xlim=(0, 0.15), ylim=(0, 0.15))
