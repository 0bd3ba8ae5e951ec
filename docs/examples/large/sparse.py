"""
Wide sparse rows
================

Text and categories make rows of many columns that are mostly 0. CSR matrices are used as they are,
never made dense, and an L1 penalty keeps the few columns that matter.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse

import fastlogreg as flr

random = np.random.default_rng(0)
X = sparse.random(5_000, 2_000, density=0.01, format="csr", random_state=0)
X.data[:] = 1.0
w = np.zeros(2_000)
w[:20] = random.choice([-4.0, 4.0], 20)
y = random.random(5_000) < 1 / (1 + np.exp(-(X @ w)))
print(f"{X.shape[0]:,} x {X.shape[1]:,}, of which {X.nnz:,} are stored")

# %%
model = flr.LogisticRegression(l1_ratio=1.0, C=0.1).fit(X, y)
found = np.flatnonzero(model.coef_[0])
right = np.isin(found, range(20)).sum()
print(f"{len(found)} columns are left, {right} of them of the 20 that count")
print(f"at most {model.duality_gap_ / model.objective_:.0e} above the optimum, relatively")

# %%
figure, ax = plt.subplots(layout="constrained")
ax.plot(model.coef_[0], ".", color="0.6", markersize=3)
ax.plot(np.arange(20), model.coef_[0][:20], "o", label="columns that count")
ax.set(xlabel="column", ylabel="coefficient")
ax.legend()
