"""An SGDClassifier made of our mini-batch estimator, through its public interface alone."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fastlogreg import MiniBatchLogisticRegression

_SHARES = {"l2": 0.0, "l1": 1.0, None: 0.0}


class SGDClassifier(ClassifierMixin, BaseEstimator):
    """scikit-learn's parameters, one row a step and no more: log loss only, and by default."""

    def __init__(
        self,
        loss="log_loss",
        *,
        penalty="l2",
        alpha=1e-4,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="optimal",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
    ):
        for name, value in list(locals().items()):
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _prepared(self):
        """Return our model with these parameters, and with what it has learned so far."""
        if self.loss != "log_loss":
            raise NotImplementedError(f"loss={self.loss!r}")
        mixed = self.penalty == "elasticnet"
        if not hasattr(self, "model_"):
            self.model_ = MiniBatchLogisticRegression(
                optimizer="sgd", batch_size=1, standardize=False
            )
        return self.model_.set_params(
            alpha=0.0 if self.penalty is None else self.alpha,
            l1_ratio=self.l1_ratio if mixed else _SHARES[self.penalty],
            fit_intercept=self.fit_intercept,
            max_iter=self.max_iter,
            tol=self.tol,
            shuffle=self.shuffle,
            verbose=self.verbose,
            n_threads=self.n_jobs,
            random_state=self.random_state,
            learning_rate=self.learning_rate,
            eta0=self.eta0,
            power_t=self.power_t,
            early_stopping=self.early_stopping,
            validation_fraction=self.validation_fraction,
            n_iter_no_change=self.n_iter_no_change,
            class_weight=self.class_weight,
            warm_start=self.warm_start,
            average=self.average,
        )

    def fit(self, X, y, coef_init=None, intercept_init=None, sample_weight=None):
        model = self._prepared()
        if coef_init is not None:  # coefficients that somebody set are where a warm start begins
            model.coef_, model.intercept_ = coef_init, np.zeros(len(np.atleast_2d(coef_init)))
            if intercept_init is not None:
                model.intercept_ = np.reshape(intercept_init, -1)
            model.set_params(warm_start=True)
        model.fit(X, y, sample_weight)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        self._prepared().partial_fit(X, y, classes, sample_weight)
        return self

    def __getattr__(self, name):
        """Read what was learned."""
        if name == "model_" or not name.endswith("_") or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.model_, name)

    def sparsify(self):
        self.model_.sparsify()
        return self

    def decision_function(self, X):
        return self.model_.decision_function(X)

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict_log_proba(self, X):
        return self.model_.predict_log_proba(X)
