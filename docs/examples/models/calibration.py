"""
Are the probabilities right?
============================

Of the rows that a model gives 80 %, about 80 % should be of that class. Logistic regression with
an intercept is calibrated on the rows it was fitted on; naive Bayes, which takes columns for
independent, is too sure of itself.
"""

# %%
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

import fastlogreg as flr

X, y = make_classification(
    6_000, 20, n_informative=4, n_redundant=12, class_sep=0.8, flip_y=0.1, random_state=1
)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
models = {"logistic regression": flr.LogisticRegression(), "naive Bayes": GaussianNB()}
ax = None
for name, model in models.items():
    ax = flr.plots.calibration(model.fit(X_train, y_train), X_test, y_test, name=name, ax=ax)
