"""``LogisticRegression`` under scikit-learn's name of its module, where stored models look."""

from fastlogreg.estimators.logistic import LogisticRegression

__all__ = ["LogisticRegression"]
