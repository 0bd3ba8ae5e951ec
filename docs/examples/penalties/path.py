"""
A path of L1 penalties
======================

From the strongest penalty, under which nothing is left, to a weak one: which columns come in, and
when? Each fit begins where the last one ended, and each has its own bound on its distance from the
optimum.
"""

# %%
from sklearn.datasets import load_breast_cancer

import fastlogreg as flr

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
path = flr.regularization_path((X - X.mean()) / X.std(), y)
print(path)

# %%
ax = path.plot(n_names=8)
best = path.select("bic")
ax.axvline(path.lambdas[best], color="black", linestyle=":")

# %%
# The dotted line is the choice of the Bayesian criterion; its model predicts as any other does.
model = path.best("bic")
chosen = model.feature_names_in_[model.coef_[0] != 0]
print(f"{len(chosen)} columns: {', '.join(chosen)}")
