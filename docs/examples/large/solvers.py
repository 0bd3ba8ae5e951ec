"""
What a fit costs: passes
========================

The cost of a fit is how often it reads the rows. All solvers reach the same optimum; on tall
tables Newton's method needs few passes, since it begins on parts of the rows (rings) and takes
their Hessian with it.
"""

# %%
from sklearn.datasets import make_classification

import fastlogreg as flr

X, y = make_classification(60_000, 40, n_informative=15, random_state=0)
models = {
    solver: flr.LogisticRegression(solver=solver).fit(X, y)
    for solver in ("newton", "newton-cg", "lbfgs")
}
for name, model in models.items():
    print(f"{name:10s} {model.n_passes_:5.1f} passes, objective {model.objective_:.12f}")

# %%
ax = flr.plots.convergence(models)
