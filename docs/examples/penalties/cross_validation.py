"""
Choosing C by cross-validation
==============================

:class:`fastlogreg.LogisticRegressionCV` fits all folds and penalties together and copies no rows.
With the scores come their standard errors, so that the strongest penalty that is as good can be
seen.
"""

# %%
import numpy as np
from sklearn.datasets import load_breast_cancer

import fastlogreg as flr

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = flr.LogisticRegressionCV(
    Cs=np.logspace(-4, 3, 15),
    l1_ratios=(0.0, 1.0),
    scoring="neg_log_loss",
    use_legacy_attributes=False,
).fit((X - X.mean()) / X.std(), y)
print(f"C = {model.C_:.3g}, l1_ratio = {model.l1_ratio_:g}; within an error: {model.C_1se_:.3g}")
print(f"{model.n_passes_:.0f} passes for {5 * 15 * 2 + 1} fits")

# %%
ax = model.plot()
