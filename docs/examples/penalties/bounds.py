"""
Bounds, and penalties by column
===============================

What is known beforehand can be said: a coefficient that must not be negative, a column that takes
no penalty.
"""

# %%
# Four columns that nearly say the same, of which one comes out negative; it is known that none can
# be.
import matplotlib.pyplot as plt
import numpy as np

import fastlogreg as flr

random = np.random.default_rng(1)
common = random.standard_normal((120, 1))
X = common + 0.3 * random.standard_normal((120, 4))
y = random.random(120) < 1 / (1 + np.exp(-1.5 * common[:, 0]))
models = {
    "free": flr.LogisticRegression(C=100),
    "not negative": flr.LogisticRegression(C=100, lower_bounds=0.0),
    "L1, first column free of it": flr.LogisticRegression(
        C=0.02, l1_ratio=1.0, penalty_factors=[0, 1, 1, 1]
    ),
}
figure, ax = plt.subplots(layout="constrained")
for k, (name, model) in enumerate(models.items()):
    coef = model.fit(X, y).coef_[0]
    print(f"{name:28s} {coef.round(3)}, mean loss and penalty {model.objective_:.4f}")
    ax.bar(np.arange(4) + 0.27 * (k - 1), coef, width=0.25, label=name)
ax.axhline(0, color="black", linewidth=0.8)
ax.set(ylabel="coefficient", xticks=range(4), xticklabels=[f"x{j}" for j in range(4)])
ax.legend()
