"""The estimators: scikit-learn's contract around a solver, and nothing numerical.

``fit`` turns friendly input into the strict contract, makes an objective, hands it to a
solver and stores what comes back under scikit-learn's names. ``predict`` and its kin
hand rows to the backend. What scikit-learn offers (input validation, class weights, tags,
scores) is called and not rebuilt; only the check for NaN and infinity is our own, since
it runs on all threads.

Refused for now, with a clear error: more than two classes.
"""

import time
import warnings
from collections.abc import Callable
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastlogreg import backends
from fastlogreg import validation as check
from fastlogreg.objective import Objective
from fastlogreg.solvers import Iteration, Result
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg

__all__ = ["LogisticRegression"]

_DTYPES = [np.float64, np.float32]
_SOLVERS: dict[str, Callable[..., Result]] = {
    "auto": auto,
    "newton": newton,
    "newton-cg": newton_cg,
    "lbfgs": lbfgs,
}
_SEPARATED = 1e-8  # a mean loss below this is reached by separated classes alone


class LogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Exact logistic regression for two classes, with an L2 penalty.

    Minimizes scikit-learn's objective

        C * sum_i s_i loss_i + 1/2 ||w||^2,    loss_i = log(1 + exp(-(2 y_i - 1) z_i)),

    with the margins ``z = X @ w + b``; the intercept b is never penalized. The solver is a
    damped Newton method on the full Hessian, which does not mind the scales of columns.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` for none.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``.
    solver : {"auto", "newton", "newton-cg", "lbfgs"}, default="auto"
        All reach the same optimum, and none minds the scales of columns. ``"newton"``: on the
        Hessian, for up to some hundred columns. ``"newton-cg"``: truncated Newton, for wider
        data. ``"lbfgs"``: the least memory. ``"auto"`` chooses by what passes over these data
        would cost.
    tol : float, default=1e-8
        Bound on the estimated distance of the objective above its optimum, relative to the
        objective. The estimate is half the Newton decrement, which does not change when
        columns of X are rescaled.
    max_iter : int, default=100
        Newton steps at most.
    warm_start : bool, default=False
        Whether ``fit`` starts from the coefficients of the last fit.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.
    verbose : int, default=0
        Above 0: a line for each iteration.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels; the model gives the probability of the second.
    coef_ : ndarray of shape (1, n_features), float64
    intercept_ : ndarray of shape (1,), float64
    n_iter_ : ndarray of shape (1,), int32
        Newton steps taken.
    n_passes_ : float
        Readings of all rows.
    objective_ : float
        The objective at the solution, divided by ``C`` times the sum of weights: the mean
        loss plus ``||w||^2 / (2 C sum_i s_i)``.
    gradient_norm_ : float
        Largest absolute component of its gradient.
    converged_ : bool
        Whether the estimated distance above the optimum is within ``tol``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where X has string column names.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model, other solvers.

    References
    ----------
    The lecture "Insight into Logistic Regression" (loss, gradient, convexity); Boyd and
    Vandenberghe, Convex Optimization, section 9.5 (damped Newton).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogreg import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegression().fit(X, y)
    >>> round(model.score(X, y), 3)
    0.958
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        warm_start: bool = False,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 and float64 arrays in C or Fortran order are used in place, and so are CSR
            matrices with int32 or int64 indices; other sparse forms are converted to CSR once.
        y : array-like of shape (n_samples,)
            Labels: any two values.
        sample_weight : array-like of shape (n_samples,), optional
            Weights: finite, none negative, not all zero. A weight of 0 leaves a sample out.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the input is not as described.

        Warns
        -----
        ConvergenceWarning
            If the optimum was not reached within ``max_iter`` steps, or there is none
            (separated classes without penalty).
        """
        C = check.check_real(self.C, "C", infinite=True)
        tol = check.check_real(self.tol, "tol")
        max_iter = check.check_count(self.max_iter, "max_iter", low=0)
        solver = check.check_choice(self.solver, "solver", tuple(_SOLVERS))
        threads = check.check_count(self.n_threads, "n_threads", none=True)
        if not isinstance(self.verbose, Integral):
            raise TypeError(f"verbose must be an integer, got {self.verbose!r}")
        assert max_iter is not None

        X, y = self._training_data(X, y)
        matrix = check.check_matrix(X)
        check.check_finite(matrix, n_threads=threads)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, matrix, dtype=np.float64, ensure_non_negative=True
            )
            weights = check.check_weights(weights, matrix.shape[0])
        self.classes_, targets = check.encode_two_classes(y, weights)
        weights = self._class_weights(y, targets, weights)

        total = float(matrix.shape[0] if weights is None else weights.sum())
        objective = Objective(
            matrix,
            targets,
            sample_weight=weights,
            l2=0.0 if C == np.inf else 1.0 / (C * total),
            intercept=bool(self.fit_intercept),
            n_threads=threads,
        )
        start = self._start(objective.size)
        solve = _SOLVERS[solver]
        result = solve(
            objective,
            np.zeros(objective.size) if start is None else start,
            tol=tol,
            max_iter=max_iter,
            floor=_SEPARATED if C == np.inf else 0.0,
            callback=_Progress() if self.verbose > 0 else None,
            **({"stages": start is None} if solve in (auto, newton) else {}),
        )
        if not result.finite:
            raise ValueError(
                "the objective is not finite at the start: values in X are too large for "
                "float64 (their squares are summed)"
            )
        self._store(result)
        if not result.converged:
            self._warn(result, separated=C == np.inf and result.value < 1e-3)
        return self

    def _training_data(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        """Return X and y as scikit-learn's ``validate_data`` does, and what it notes of X.

        Plain arrays that it would let through as they are do without it: it takes 0.3 ms, as long
        as a fit of a hundred rows.
        """
        plain = (
            _is_plain(X)
            and type(y) is np.ndarray
            and y.shape == X.shape[:1]
            and (y.dtype.kind in "iub" or (y.dtype.kind == "f" and np.isfinite(y).all()))
        )
        if not plain:
            return validate_data(  # type: ignore[no-any-return]
                self, X, y, dtype=_DTYPES, ensure_all_finite=False, accept_sparse="csr"
            )
        self.n_features_in_ = X.shape[1]
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return X, y

    def _class_weights(
        self,
        y: NDArray[Any],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weights
        low, high = compute_class_weight(
            self.class_weight, classes=self.classes_, y=y, sample_weight=weights
        )
        by_class = np.where(targets == 1.0, float(high), float(low))
        return check.check_weights(by_class if weights is None else by_class * weights, y.size)

    def _start(self, size: int) -> NDArray[np.float64] | None:
        """Return the last fit's theta where it is wanted and fits, else None."""
        fits = self.warm_start and hasattr(self, "coef_")
        if fits and self.coef_.shape == (1, size - bool(self.fit_intercept)):
            return self._theta()
        return None

    def _store(self, result: Result) -> None:
        first = int(bool(self.fit_intercept))
        self.coef_ = result.theta[None, first:].copy()
        self.intercept_ = result.theta[:1].copy() if first else np.zeros(1)
        self.n_iter_ = np.array([result.n_iter], dtype=np.int32)
        self.n_passes_ = result.n_passes
        self.objective_ = result.value
        self.gradient_norm_ = result.gradient_norm
        self.converged_ = result.converged

    def _warn(self, result: Result, *, separated: bool) -> None:
        figures = (
            f"objective {result.value:.6g}, estimated distance above the optimum "
            f"{result.decrement:.2g}, largest gradient component {result.gradient_norm:.2g}, "
            f"{result.n_iter} iterations, {result.n_passes:g} passes"
        )
        if separated:
            text = (
                "the classes can be separated, so that without a penalty there is no optimum "
                f"and the coefficients grow without bound; give C a finite value ({figures})"
            )
        else:
            text = (
                f"no convergence to tol={self.tol:g}: {result.message} ({figures}); raise "
                "max_iter or tol, or lower C"
            )
        warnings.warn(text, ConvergenceWarning, stacklevel=3)

    def _theta(self) -> NDArray[np.float64]:
        """Return [b, w_1 .. w_d], or the weights alone for a model without intercept."""
        w = self.coef_[0]
        return np.concatenate([self.intercept_, w]) if self.fit_intercept else w.copy()

    def _rows(self, X: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
        """Return rows to predict, checked against the fit, and [b, w_1 .. w_d]."""
        check_is_fitted(self)
        fits = _is_plain(X) and X.shape[1] == self.n_features_in_  # type: ignore[union-attr]
        if not fits or hasattr(self, "feature_names_in_"):
            X = validate_data(
                self, X, dtype=_DTYPES, ensure_all_finite=False, reset=False, accept_sparse="csr"
            )
        matrix = check.check_matrix(X)
        check.check_finite(matrix, n_threads=self.n_threads)
        return matrix, np.concatenate([self.intercept_, self.coef_[0]])

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the margins ``X @ w + b``: above 0 for the second class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        matrix, theta = self._rows(X)
        return backends.get("numba").predict(
            matrix,
            theta,
            offset=None,
            activation="identity",
            intercept=True,
            n_threads=self.n_threads,
        )

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), of the dtype of the labels
        """
        second = self.decision_function(X) > 0.0
        labels: NDArray[Any] = self.classes_[second.astype(np.intp)]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of both classes, each accurate however small it is.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
            Columns in the order of ``classes_``.
        """
        matrix, theta = self._rows(X)
        from fastlogreg.backends.numba import predict_pair

        return predict_pair(matrix, theta, n_threads=self.n_threads)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities of both classes; never log 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
        """
        z = self.decision_function(X)
        return -np.logaddexp(0.0, np.column_stack([z, -z]))

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: two classes only, sparse rows welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_class = False
        return tags


def _is_plain(X: Any) -> bool:
    """Whether X is an array that scikit-learn's validation would return as it is."""
    return type(X) is np.ndarray and X.dtype in _DTYPES and X.ndim == 2 and X.size > 0


class _Progress:
    """Print a line for each iteration."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self, now: Iteration) -> None:
        if now.n_iter == 0:
            print("rows    iter  passes         objective   gradient  above opt.    step  seconds")
        seconds = time.perf_counter() - self.start
        print(
            f"{now.share:6.1%}  {now.n_iter:4d}  {now.n_passes:6.4g}  {now.value:16.10g}"
            f"  {now.gradient_norm:9.2e}  {now.decrement:10.2e}  {now.step:6.3g}  {seconds:7.3f}",
            flush=True,
        )
