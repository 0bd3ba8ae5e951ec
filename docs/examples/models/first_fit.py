"""
A first fit
===========

The breast-cancer table as it comes: columns from 0.05 to 2,500, nothing scaled. The exact
estimator does not mind, and says how far from the optimum it is.
"""

# %%
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import fastlogreg as flr

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
model = flr.LogisticRegression().fit(X_train, y_train)
print(f"{model.score(X_test, y_test):.1%} of rows that it has not seen are right")
print(f"{model.n_passes_:.3g} passes over the rows; converged: {model.converged_}")

# %%
# ``history_`` has a record for each step; the distance is the fit's own estimate of how far the
# objective is above its optimum.
ax = flr.plots.convergence(model)
ax.set_title("breast cancer, columns as they are")

# %%
# ``C`` and what it means are scikit-learn's, so the class can take the other's place:
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pipeline = make_pipeline(StandardScaler(), flr.LogisticRegression(C=0.1)).fit(X_train, y_train)
print(f"scaled, and with a stronger penalty: {pipeline.score(X_test, y_test):.1%}")
