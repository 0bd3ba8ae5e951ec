"""``MiniBatchLogisticRegression`` where stored models of former releases look it up."""

from fastlogreg.estimators.minibatch import MiniBatchLogisticRegression

__all__ = ["MiniBatchLogisticRegression"]
