"""The estimators: scikit-learn's contract around a solver, and nothing numerical.

``fit`` turns friendly input into the strict contract, makes an objective, hands it to a
solver and stores what comes back under scikit-learn's names. ``predict`` and its kin
hand rows to the backend. What scikit-learn offers (input validation, tags, metadata
routing, callbacks) is called and not rebuilt; only the check for NaN and infinity is our own,
since it runs on all threads.

What only some callers need is imported by those calls: ``sklearn.linear_model`` takes 0.15 s
and ``sklearn.callback`` 0.03 s, where this module takes 0.02.

Refused for now, each with a clear error: more than two classes, L1.
"""

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

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
_STOPPED = "a callback asked for the end"
_HISTORY = np.dtype(
    [
        ("iteration", np.int32),
        ("passes", np.float64),
        ("objective", np.float64),
        ("gradient_norm", np.float64),
        ("decrement", np.float64),
        ("step", np.float64),
        ("share", np.float64),
        ("seconds", np.float64),
    ]
)
_STATE_FORMAT = 1  # of stored models; 0 had no number, nor l1_ratio, random_state, history_


def _has_callbacks(estimator: Any) -> bool:
    """Whether the installed scikit-learn has callbacks: from 1.9 on."""
    return find_spec("sklearn.callback") is not None


class _TwoClassModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What does not depend on how a model of two classes was fitted.

    Predictions from ``coef_``, ``intercept_`` and ``classes_``, sparse coefficients, stored
    states, callbacks, tags.
    """

    classes_: NDArray[Any]
    coef_: Any
    intercept_: Any
    n_features_in_: int
    n_threads: int | None

    # --- predictions ---------------------------------------------------------------------

    def _theta(self) -> NDArray[np.float64]:
        """Return [b, w_1 .. w_d], whoever made the coefficients and in whatever form."""
        w = self.coef_
        if not isinstance(w, np.ndarray):
            w = w.toarray() if hasattr(w, "toarray") else np.asarray(w)
        theta = np.empty(1 + w.size)
        theta[:1] = self.intercept_
        theta[1:] = w
        return theta

    def _rows(
        self, X: ArrayLike, offset: ArrayLike | None
    ) -> tuple[NDArray[np.floating], NDArray[np.float64], NDArray[np.float64] | None]:
        """Return rows to predict, checked against the fit, [b, w_1 .. w_d] and the offset."""
        if not hasattr(self, "coef_"):
            check_is_fitted(self, "coef_")
        check.check_count(self.n_threads, "n_threads", none=True)
        fits = _is_plain(X) and X.shape[1] == self.n_features_in_  # type: ignore[union-attr]
        if not fits or hasattr(self, "feature_names_in_"):
            X = self._validated(X, reset=False)
        matrix = check.check_matrix(X)
        check.check_finite(matrix, n_threads=self.n_threads)
        return matrix, self._theta(), check.check_offset(offset, matrix.shape[0], finite=True)

    def _validated(self, X: Any, *y: Any, reset: bool = True) -> Any:
        """Return what scikit-learn's ``validate_data`` makes of X, and of y where there is one."""
        try:
            return validate_data(
                self,
                X,
                *y,
                dtype=_DTYPES,
                ensure_all_finite=False,
                accept_sparse="csr",
                reset=reset,
            )
        except (ValueError, TypeError) as error:
            if str(error).startswith("could not convert string"):
                raise ValueError(f"X must hold numbers alone: {error}") from error
            # that of X is looked for later; the second is what pandas.NA says
            if str(error) in ("Input contains NaN", "boolean value of NA is ambiguous"):
                raise ValueError("Input y contains NaN or NA") from error
            raise

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
            return self._validated(X, y)  # type: ignore[no-any-return]
        self.n_features_in_ = X.shape[1]
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return X, y

    def decision_function(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the margins ``X @ w + b + offset``: above 0 for the second class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        matrix, theta, known = self._rows(X, offset)
        return backends.get("numba").predict(
            matrix,
            theta,
            offset=known,
            activation="identity",
            intercept=True,
            n_threads=self.n_threads,
        )

    def predict(self, X: ArrayLike, *, offset: ArrayLike | None = None) -> NDArray[Any]:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples,), of the dtype of the labels
        """
        second = self.decision_function(X, offset=offset) > 0.0
        labels: NDArray[Any] = self.classes_[second.astype(np.intp)]
        return labels

    def predict_proba(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the probabilities of both classes, each accurate however small it is.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
            Columns in the order of ``classes_``.
        """
        matrix, theta, known = self._rows(X, offset)
        from fastlogreg.backends.numba import predict_pair

        return predict_pair(matrix, theta, offset=known, n_threads=self.n_threads)

    def predict_log_proba(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities of both classes; never log 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
        """
        z = self.decision_function(X, offset=offset)
        return -np.logaddexp(0.0, np.column_stack([z, -z]))

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> float:
        """Return the (weighted) share of rows that are predicted right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            The true labels.
        sample_weight : array-like of shape (n_samples,), optional
        offset : array-like of shape (n_samples,), optional
            The known part of the margins; default 0.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        found = self.predict(X, offset=offset)
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    # --- coefficients, states, callbacks, tags -------------------------------------------

    def sparsify(self) -> Self:
        """Turn ``coef_`` into a SciPy CSR matrix: smaller where most coefficients are 0.

        Returns
        -------
        self
        """
        from sklearn.linear_model._base import SparseCoefMixin

        return SparseCoefMixin.sparsify(self)  # type: ignore[no-any-return]

    def densify(self) -> Self:
        """Turn ``coef_`` back into an array; without effect where it is one.

        Returns
        -------
        self
        """
        from sklearn.linear_model._base import SparseCoefMixin

        return SparseCoefMixin.densify(self)  # type: ignore[no-any-return]

    @available_if(_has_callbacks)  # type: ignore[untyped-decorator]
    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set scikit-learn's callbacks, which hear of the fit and of each iteration.

        With scikit-learn 1.9 or newer, whose callbacks are experimental. A callback whose
        ``on_fit_task_end`` returns True ends the fit at that iteration.

        Parameters
        ----------
        *callbacks : callback instances
            Such as ``sklearn.callback.ProgressBar()``; none takes those set before away.

        Returns
        -------
        self
        """
        from sklearn.callback import CallbackSupportMixin

        return CallbackSupportMixin.set_callbacks(self, *callbacks)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_fastlogreg_format": _STATE_FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored = state.pop("_fastlogreg_format", 0)
        if stored > _STATE_FORMAT:
            raise ValueError(
                f"this {type(self).__name__} was stored by a later release of fastlogreg (state "
                f"format {stored}; this release knows up to {_STATE_FORMAT}): upgrade fastlogreg "
                "to load it, or fit anew"
            )
        if stored < _STATE_FORMAT:  # parameters that came later have their defaults
            for name, parameter in signature(type(self)).parameters.items():
                state.setdefault(name, parameter.default)
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: two classes only, sparse rows welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_class = False
        return tags


class LogisticRegression(_TwoClassModel):
    """Exact logistic regression for two classes, with an L2 penalty.

    Minimizes scikit-learn's objective

        C * sum_i s_i loss_i + 1/2 ||w||^2,    loss_i = log(1 + exp(-(2 y_i - 1) z_i)),

    with the margins ``z = X @ w + b + offset`` and the weights s; the intercept b is never
    penalized. Scales of columns do not matter to any solver.

    Every fit ends within ``tol`` of the optimum, as far as that can be estimated, or warns
    ``ConvergenceWarning`` with figures and advice.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` for none.
    l1_ratio : float, default=0.0
        The share of L1 in the penalty; only 0, which is L2 alone, is supported. None means 0.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. A dict gives 1 to a class it
        does not name; "balanced" gives both classes the same total weight.
    random_state : int, RandomState instance or None, default=None
        Without effect: the same data give the same fit. Here so that code written for
        scikit-learn runs.
    solver : {"auto", "newton", "newton-cg", "lbfgs"}, default="auto"
        All reach the same optimum, and none minds the scales of columns. ``"newton"``: on the
        Hessian, for up to some hundred columns. ``"newton-cg"``: truncated Newton, for wider
        data. ``"lbfgs"``: the least memory. ``"auto"`` chooses by what passes over these data
        would cost.
    tol : float, default=1e-8
        Bound on the estimated distance of the objective above its optimum, relative to the
        objective. The estimate is half the Newton decrement, ``g' H^-1 g / 2`` with the gradient
        g and the Hessian H, which does not change when columns of X are rescaled. Below 2e-15,
        the rounding of float64, it asks for that.
    max_iter : int, default=100
        Steps at most, not counting those on parts of the rows.
    warm_start : bool, default=False
        Whether ``fit`` starts from the coefficients of the last fit.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.
    verbose : int, default=0
        Above 0: a line for each iteration, with what ``history_`` keeps.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels; the model gives the probability of the second.
    coef_ : ndarray of shape (1, n_features), float64
        Or a SciPy CSR matrix of that shape after :meth:`sparsify`.
    intercept_ : ndarray of shape (1,), float64
    n_iter_ : ndarray of shape (1,), int32
        Steps taken.
    n_passes_ : float
        Readings of all rows.
    objective_ : float
        The objective at the solution, divided by ``C`` times the sum of weights: the mean
        loss plus ``||w||^2 / (2 C sum_i s_i)``.
    gradient_norm_ : float
        Largest absolute component of its gradient.
    converged_ : bool
        Whether the estimated distance above the optimum is within ``tol``.
    history_ : ndarray of shape (n_records,), structured
        One record for the start and each iteration, for plots: ``iteration``; ``passes`` so far;
        ``objective`` and ``gradient_norm`` as above; ``decrement``, the estimated distance above
        the optimum; ``step``, the fraction of the full step that led there; ``share`` of the rows
        that it was computed on (values on different shares do not compare); ``seconds`` since
        ``fit`` began. ``pandas.DataFrame(model.history_)`` is a table of it.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where X has string column names.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model, other solvers.

    Notes
    -----
    Stored models (pickle, joblib) carry the number of their form: later releases load them, and a
    release that meets a newer form says so.

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
    >>> bool(model.history_["decrement"][-1] <= 1e-8 * model.objective_)
    True
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        random_state: Any = None,
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        warm_start: bool = False,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Self:
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
        offset : array-like of shape (n_samples,), optional
            A known part of the margins, finite; it has the coefficient 1 and no penalty.
            Predictions do not know it: hand theirs to them.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the input is not as described; the message names it.

        Warns
        -----
        ConvergenceWarning
            If the optimum was not reached within ``tol``, or there is none (separated classes
            without penalty). Not where a callback asked for the end.
        """
        fit = type(self)._fit
        if hasattr(self, "_skl_callbacks"):
            from sklearn.callback import with_callbacks

            fit = with_callbacks(fit)
        result = fit(self, X, y, sample_weight, offset)
        if not result.converged and result.message != _STOPPED:
            self._warn(result, separated=self.C == np.inf and result.value < 1e-3)
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None, offset: ArrayLike | None
    ) -> Result:
        begun = time.perf_counter()
        C = check.check_real(self.C, "C", infinite=True)
        check.check_l1_ratio(self.l1_ratio)
        intercept = check.check_flag(self.fit_intercept, "fit_intercept")
        warm = check.check_flag(self.warm_start, "warm_start")
        tol = check.check_real(self.tol, "tol")
        max_iter = check.check_count(self.max_iter, "max_iter", low=0)
        solve = _SOLVERS[check.check_choice(self.solver, "solver", tuple(_SOLVERS))]
        threads = check.check_count(self.n_threads, "n_threads", none=True)
        if not isinstance(self.verbose, Integral):
            raise TypeError(f"verbose must be an integer, got {self.verbose!r}")

        X, y = self._training_data(X, y)
        matrix = check.check_matrix(X)
        check.check_finite(matrix, n_threads=threads)
        n = matrix.shape[0]
        if isinstance(sample_weight, Real):  # one for all
            sample_weight = np.full(n, sample_weight)
        weights = check.check_weights(sample_weight, n)
        known = check.check_offset(offset, n, finite=True)
        self.classes_, targets = check.encode_two_classes(y, weights)
        if self.class_weight is not None:
            low, high = check.check_class_weight(self.class_weight, self.classes_, targets, weights)
            by_class = np.where(targets == 1.0, high, low)
            weights = check.check_weights(by_class if weights is None else by_class * weights, n)

        objective = Objective(
            matrix,
            targets,
            sample_weight=weights,
            offset=known,
            l2=check.check_penalty(C, float(n if weights is None else weights.sum())),
            intercept=intercept,
            n_threads=threads,
        )
        start = self._start(objective.size) if warm else None
        tasks = None
        if hasattr(self, "_skl_callbacks"):
            tasks = _Tasks(self, X, y, {"sample_weight": sample_weight, "offset": offset})
        watch = _Watch(begun, bool(self.verbose > 0), tasks)
        try:
            with objective.solving():
                result = solve(
                    objective,
                    np.zeros(objective.size) if start is None else start,
                    tol=tol,
                    max_iter=max_iter,
                    floor=_SEPARATED if C == np.inf else 0.0,
                    callback=watch,
                    **({"stages": start is None} if solve in (auto, newton) else {}),
                )
        except _Stop as stop:
            result = stop.result(objective, tol)
        if not result.finite:
            also = "" if known is None else " or offset"
            raise ValueError(
                f"the objective is not finite at the start: values in X{also} are too large for "
                "float64 (their squares are summed)"
            )
        self.coef_, self.intercept_ = self._coefficients(result.theta)
        self.n_iter_ = np.array([result.n_iter], dtype=np.int32)
        self.n_passes_ = result.n_passes
        self.objective_ = result.value
        self.gradient_norm_ = result.gradient_norm
        self.converged_ = result.converged
        self.history_ = np.array(watch.records, dtype=_HISTORY)
        if tasks is not None:
            tasks.close()
        return result

    def _start(self, size: int) -> NDArray[np.float64] | None:
        """Return the last fit's theta where there is one that fits, else None."""
        first = int(self.fit_intercept)
        if hasattr(self, "coef_") and self.coef_.shape == (1, size - first):
            return self._theta()[1 - first :]
        return None

    def _coefficients(
        self, theta: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``coef_`` and ``intercept_`` for a theta."""
        first = int(self.fit_intercept)
        return theta[None, first:].copy(), theta[:1].copy() if first else np.zeros(1)

    def _warn(self, result: Result, *, separated: bool) -> None:
        figures = (
            f"objective {result.value:.6g}, estimated distance above the optimum "
            f"{result.decrement:.2g} (half the Newton decrement), largest gradient component "
            f"{result.gradient_norm:.2g}, {result.n_iter} iterations, {result.n_passes:g} passes"
        )
        if separated:
            text = (
                "the classes can be separated, so that without a penalty there is no optimum "
                f"and the coefficients grow without bound; give C a finite value ({figures})"
            )
        else:
            ended = result.n_iter >= self.max_iter
            advice = (
                "raise max_iter or tol, or lower C"
                if ended
                else "raise tol, lower C, or look for nearly collinear columns and for columns "
                "whose offset is far beyond their spread"
            )
            text = f"no convergence to tol={self.tol:g}: {result.message} ({figures}); {advice}"
        warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _is_plain(X: Any) -> bool:
    """Whether X is an array that scikit-learn's validation would return as it is."""
    return type(X) is np.ndarray and X.dtype in _DTYPES and X.ndim == 2 and X.size > 0


class _Watch:
    """Hears of each iteration: keeps its record, prints it, tells scikit-learn's callbacks."""

    def __init__(self, begun: float, prints: bool, tasks: "_Tasks | None") -> None:
        self.begun = begun
        self.prints = prints
        self.tasks = tasks
        self.records: list[tuple[float, ...]] = []

    def __call__(self, now: Iteration, theta: NDArray[np.float64]) -> None:
        seconds = time.perf_counter() - self.begun
        self.records.append((*now, seconds))
        if self.prints:
            if len(self.records) == 1:
                print(
                    "rows    iter  passes         objective   gradient  above opt.    step  seconds"
                )
            print(
                f"{now.share:6.1%}  {now.n_iter:4d}  {now.n_passes:6.4g}  {now.value:16.10g}"
                f"  {now.gradient_norm:9.2e}  {now.decrement:10.2e}  {now.step:6.3g}"
                f"  {seconds:7.3f}",
                flush=True,
            )
        if self.tasks is not None and self.tasks.iteration_ended(theta):
            raise _Stop(now, theta)


class _Stop(Exception):
    """A callback asked for the end of the fit; carries where it stood."""

    def __init__(self, now: Iteration, theta: NDArray[np.float64]) -> None:
        super().__init__(_STOPPED)
        self.now = now
        self.theta = theta

    def result(self, objective: Objective, tol: float) -> Result:
        """Return the result of a fit that ends here."""
        value, norm, decrement = self.now.value, self.now.gradient_norm, self.now.decrement
        if self.now.share < 1.0:  # what is known is of a part of the rows
            value, gradient = objective.value_gradient(self.theta)
            norm, decrement = float(np.abs(gradient).max()), np.inf
        return Result(
            self.theta,
            value,
            norm,
            decrement,
            self.now.n_iter if self.now.share == 1.0 else 0,
            objective.n_passes,
            decrement <= tol * value,
            _STOPPED,
            [],
        )


class _Tasks:
    """A fit as scikit-learn's callbacks see it: a task, and in it one for each iteration.

    The solver says where it stands at the start and after each iteration; the first opens a task
    and each of the others ends one and opens the next. So the last that was opened is of an
    iteration that never came, and is ended without data, as scikit-learn does for its lbfgs.
    """

    def __init__(
        self, estimator: LogisticRegression, X: Any, y: Any, metadata: dict[str, Any]
    ) -> None:
        from sklearn.callback import CallbackSupportMixin

        given = {name: value for name, value in metadata.items() if value is not None}
        self.estimator = estimator
        self.told = {"estimator": estimator, "X": X, "y": y, "metadata": given or None}
        # how many iterations there will be is not known: those on parts of the rows come first
        self.root = CallbackSupportMixin._init_callback_context(estimator, max_subtasks=None)
        self.root.call_on_fit_task_begin(**self.told)
        self.open: Any = None

    def iteration_ended(self, theta: NDArray[np.float64]) -> bool:
        """End the open task at this theta and open the next; return whether to stop instead."""
        coef, intercept = self.estimator._coefficients(theta)
        at = {**self.told, "reconstruction_attributes": {"coef_": coef, "intercept_": intercept}}
        if self.open is not None:
            last, self.open = self.open, None
            if last.call_on_fit_task_end(**at):
                return True
        self.open = self.root.subcontext(task_name="iteration")
        self.open.call_on_fit_task_begin(**at)
        return False

    def close(self) -> None:
        """End the fit's task; the estimator is fitted by now."""
        if self.open is not None:
            self.open.call_on_fit_task_end(estimator=self.estimator)
        self.root.call_on_fit_task_end(**self.told, reconstruction_attributes={})
