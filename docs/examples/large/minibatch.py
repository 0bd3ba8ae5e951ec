"""
Mini-batches, columns of any scale
==================================

The columns' spreads go from 0.01 to 100. Stochastic descent in the usual form fails there or needs
a scaler first; :class:`fastlogreg.MiniBatchLogisticRegression` learns the scales as the rows come.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

import fastlogreg as flr

random = np.random.default_rng(0)
X = random.standard_normal((20_000, 20))
y = random.random(20_000) < 1 / (1 + np.exp(-X @ random.standard_normal(20)))
X *= np.geomspace(1e-2, 1e2, 20)
best = log_loss(y, flr.LogisticRegression(C=np.inf).fit(X, y).predict_proba(X))

sgd = SGDClassifier(loss="log_loss", random_state=0)
# the penalty is on coefficients of the columns as they are, so it must be weak here
models = {
    "fastlogreg": flr.MiniBatchLogisticRegression(alpha=1e-6, random_state=0),
    "SGDClassifier": sgd,
    "SGDClassifier, scaled": clone(sgd),
}
tables = dict.fromkeys(models, X) | {"SGDClassifier, scaled": X / X.std(axis=0)}
losses: dict[str, list[float]] = {name: [] for name in models}
for _ in range(8):  # epochs
    for name, model in models.items():
        model.partial_fit(tables[name], y, classes=[False, True])
        losses[name].append(log_loss(y, model.predict_proba(tables[name])))
for name, found in losses.items():
    print(f"{name:22s} {found[-1]:.4f} after 8 epochs; the optimum is {best:.4f}")

# %%
figure, ax = plt.subplots(layout="constrained")
for name, found in losses.items():
    ax.plot(range(1, 9), found, "o-", label=name)
ax.axhline(best, color="black", linestyle=":", label="the optimum")
ax.set(xlabel="epochs", ylabel="mean log loss", yscale="log")
ax.legend()
