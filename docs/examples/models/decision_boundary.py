"""
Decision boundaries
===================

Of two columns one can see the whole model: scikit-learn's ``DecisionBoundaryDisplay`` takes ours
as one of its own, and :func:`fastlogreg.plots.decision_boundary` adds colours, the line at a half
and the rows.
"""

# %%
# Two classes: the probability falls off evenly on both sides of a straight line.
from sklearn.datasets import load_breast_cancer, load_iris

import fastlogreg as flr

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = X[["mean radius", "mean texture"]]
ax = flr.plots.decision_boundary(flr.LogisticRegression().fit(X, y), X, y)

# %%
# Three classes meet in straight lines too.
iris = load_iris(as_frame=True)
X = iris.data[["petal length (cm)", "petal width (cm)"]]
names = iris.target_names[iris.target]
ax = flr.plots.decision_boundary(flr.LogisticRegression(C=10).fit(X, names), X, names)
