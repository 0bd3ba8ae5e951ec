"""
Odds ratios and their intervals
===============================

How much does each column multiply the odds? Without a penalty, coefficients have standard errors
from the Hessian of the loss, which the functional interface gives in one pass.
"""

# %%
# Which tumours are benign, by six columns in units of their spread; ``C=np.inf`` is no penalty.
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

import fastlogreg as flr

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = X[
    [
        "mean texture",
        "mean smoothness",
        "mean symmetry",
        "texture error",
        "symmetry error",
        "fractal dimension error",
    ]
]
X = (X - X.mean()) / X.std()
model = flr.LogisticRegression(C=np.inf).fit(X, y)

# %%
# The Hessian of the mean loss times the number of rows is the observed information; its inverse is
# the covariance of theta = (b, w).
theta = np.concatenate([model.intercept_, model.coef_[0]])
_, _, hessian = flr.loss_gradient_hessian(X, y, theta)
errors = np.sqrt(np.diag(np.linalg.inv(len(y) * hessian)))[1:]
coef = model.coef_[0]
table = pd.DataFrame(
    {
        "odds ratio": np.exp(coef),
        "low": np.exp(coef - 1.96 * errors),
        "high": np.exp(coef + 1.96 * errors),
    },
    index=X.columns,
)
print(table.round(3))

# %%
# A frame of estimates and ends is what :func:`fastlogreg.plots.forest` draws; intervals that leave
# 1 out are coloured.
ax = flr.plots.forest(table.sort_values("odds ratio"), label="odds ratio of a benign tumour, 95 %")
