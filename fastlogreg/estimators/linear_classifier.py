"""What the estimators share: all that does not depend on how they were fitted.

Predictions, coefficients, sparse ones too, stored states, callbacks, tags.

A fit looks at everything first and assigns everything at its end, in one step
(:meth:`LinearClassifier._become`): one that is refused or interrupted leaves the estimator as it
was.

What only some callers need is imported by those calls: ``sklearn.callback`` takes 0.03 s, where
this module takes 0.02.
"""

from collections.abc import Callable
from functools import partial, wraps
from importlib.util import find_spec
from inspect import signature
from numbers import Real
from typing import Any, Self, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastlogreg import backends
from fastlogreg.data import validation as check
from fastlogreg.data.labels import check_labels_of_model
from fastlogreg.data.memory import Columns
from fastlogreg.data.schema import Encoded, Schema
from fastlogreg.estimators.input import encoded_rows, is_lazy, is_plain, scored_rows, validated
from fastlogreg.floating_point import numpy_defaults

__all__ = ["STATE_FORMAT", "LinearClassifier"]

# of stored models; 0 had no number, nor l1_ratio, random_state, history_; 1 had no penalty, dual,
# intercept_scaling, n_jobs; 2 had other arrays in the state of mini-batches; 3 had no
# penalty_factors, lower_bounds, upper_bounds; 4 had no firth
STATE_FORMAT = 5
_MOVED = 1e-4  # how far float32 coefficients may move margins: the root of the mean square
_MOST_COEFFICIENTS = 1 << 30  # of a stored model
_JUDGED = 1_000_000  # values of X that this is judged on, at most


def _has_callbacks(estimator: Any) -> bool:
    """Whether the installed scikit-learn has callbacks: from 1.9 on."""
    return find_spec("sklearn.callback") is not None


def _by_batches(predict: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
    """Let predictions take tables, batch by batch, where the model was fitted on one."""

    @wraps(predict)
    def whole_or_by_batches(self: Any, X: Any, *, offset: Any = None) -> NDArray[Any]:
        if is_lazy(X):
            return cast(NDArray[Any], _lazily(self, predict, X, offset))
        batches = encoded_rows(self, X)
        if batches is None:
            return predict(self, X, offset=offset)
        if offset is not None:
            raise TypeError(
                "offset must not be given beside a table: it is the column that open_rows named"
            )
        return np.concatenate([predict(self, batch, offset=batch.offset) for batch in batches])

    return whole_or_by_batches


def _lazily(model: Any, predict: Callable[..., NDArray[Any]], X: Any, offset: Any) -> Any:
    """Return the predictions of a collection of Dask as one that is not computed yet."""
    from fastlogreg.data.cluster import lazily

    if offset is not None:
        raise TypeError("offset is not taken beside a collection of Dask: predict its partitions")
    few = np.zeros((1, model._theta().shape[1] - 1), dtype=getattr(X, "dtype", np.float64))
    encoded = Encoded(few, None, None, None)
    return lazily(partial(predict, model), X, predict(model, encoded))


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What does not depend on how a model was fitted.

    Predictions from ``coef_``, ``intercept_`` and ``classes_``, sparse coefficients, stored
    states, callbacks, tags.
    """

    class_weight: Any
    classes_: NDArray[Any]
    coef_: Any
    intercept_: Any
    fit_intercept: bool
    n_features_in_: int
    n_threads: int | None
    n_jobs: int | None = None  # a parameter of some
    _wide_intercept = False  # whether ``intercept_`` is float64 whatever X is

    def _threads(self) -> int | None:
        """Return how many threads there may be at most, None for all."""
        return check.check_threads(self.n_threads, self.n_jobs)

    # --- coefficients ---------------------------------------------------------------------

    def _activation(self) -> str:
        """Return how a margin becomes the probability of the second class."""
        return "sigmoid"

    def _start(self, n_features: int, n_outputs: int = 1) -> NDArray[np.float64] | None:
        """Return the theta of the coefficients there are, whoever made them; None without any."""
        if not hasattr(self, "coef_"):
            return None
        theta = self._theta(n_features)
        check.check_start(theta)
        if len(theta) != n_outputs:
            raise ValueError(
                f"warm_start=True starts from coef_, which has {len(theta)} row(s) where the "
                f"classes of y ask for {n_outputs}: set warm_start=False for other classes"
            )
        return theta[:, 1 - int(self.fit_intercept) :].reshape(-1)

    def _coefficients(
        self, theta: NDArray[np.float64], X: Any
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return ``coef_`` and ``intercept_``, of the dtype of X where that can hold them.

        ``theta`` is (p,) or (m, p).
        """
        first = int(self.fit_intercept)
        theta = np.atleast_2d(theta)
        kept: NDArray[np.floating] = theta
        if X.dtype == np.float32:
            with np.errstate(all="ignore"):
                rounded = theta.astype(np.float32)
                error = rounded - theta
                if self._wide_intercept:
                    error[:, :first] = 0.0
                if _same_margins(error, X):
                    kept = rounded
        constant = theta if self._wide_intercept else kept
        intercept = constant[:, 0].copy() if first else np.zeros(len(theta), constant.dtype)
        return kept[:, first:].copy(), intercept

    def _become(self, columns: Columns, *, forget: tuple[str, ...] = (), **fitted: Any) -> None:
        """Take on all that a fit found, in one step: before it, nothing has changed."""
        state = {**vars(self), "n_features_in_": columns.number}
        for name in forget:
            state.pop(name, None)
        state.update(fitted)
        for name in ("feature_names_in_", "schema_"):
            if name not in fitted:
                state.pop(name, None)
        if columns.names is not None:
            state["feature_names_in_"] = columns.names
        self.__dict__ = state

    # --- predictions ---------------------------------------------------------------------

    def _theta(self, n_features: int | None = None) -> NDArray[np.float64]:
        """Return rows [b, w_1 .. w_d], (m, 1 + d), whoever made the coefficients."""
        missing = [name for name in ("coef_", "intercept_") if not hasattr(self, name)]
        if missing == ["intercept_"] and not self.fit_intercept:
            intercept: Any = 0.0
        elif missing:
            check_is_fitted(self, missing[0], msg=_unfitted(missing[0]))
        else:
            intercept = self.intercept_
        if n_features is None:
            n_features = getattr(self, "n_features_in_", None)
        return check.check_coefficients(self.coef_, intercept, n_features)

    def _rows(
        self, X: ArrayLike, offset: ArrayLike | None
    ) -> tuple[backends.Matrix, NDArray[np.float64], NDArray[np.float64] | None]:
        """Return rows to predict, checked against the fit, theta (m, 1 + d) and the offset."""
        theta = self._theta()
        threads = self._threads()
        if isinstance(X, Encoded):  # by the schema, which has looked at all
            return X.matrix, theta, check.check_offset(offset, X.matrix.shape[0], len(theta))
        if hasattr(self, "feature_names_in_") or not (is_plain(X) or check.is_sparse(X)):
            matrix = validated(self, X, reset=not hasattr(self, "n_features_in_"))[0]
        else:
            matrix = check.check_matrix(X)
        check.check_width(matrix, theta.shape[1] - 1, type(self).__name__)
        check.check_finite(matrix, n_threads=threads)
        known = check.check_offset(offset, matrix.shape[0], len(theta), finite=True)
        return matrix, theta, known

    def _margins(
        self, X: ArrayLike, offset: ArrayLike | None
    ) -> tuple[NDArray[np.float64], np.dtype[Any]]:
        """Return the margins, and the dtype that predictions for these rows have."""
        bound, theta, dtype = self._bound(X, offset)
        return bound.margins(theta), dtype

    def _bound(
        self, X: ArrayLike, offset: ArrayLike | None
    ) -> tuple[backends.Pass, NDArray[np.float64], np.dtype[Any]]:
        """Return these rows bound to the model's predictions, theta, and their dtype."""
        matrix, theta, known = self._rows(X, offset)
        spec = backends.PassSpec(activation=self._activation(), n_threads=self._threads())
        if len(theta) == 1:
            theta = theta[0]
        else:
            spec = spec._replace(loss="cross_entropy", activation="softmax", n_outputs=len(theta))
        bound = backends.get("numba").bind(matrix, None, None, known, spec)
        return bound, theta, self._dtype(matrix)

    def _dtype(self, matrix: Any) -> np.dtype[Any]:
        """Return the dtype of predictions for these rows, as scikit-learn's have it."""
        parts = (self.coef_, getattr(self, "intercept_", 0.0))
        learned = (getattr(part, "dtype", np.float64) for part in parts)
        return np.result_type(matrix.dtype, *learned)

    @_by_batches
    @numpy_defaults
    def decision_function(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Return the margins ``X @ w + b + offset``: above 0 for the second of two classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for more than two classes
            float32 where X, ``coef_`` and ``intercept_`` are, else float64.
        """
        return _narrowed(*self._margins(X, offset))

    @_by_batches
    @numpy_defaults
    def predict(self, X: ArrayLike, *, offset: ArrayLike | None = None) -> NDArray[Any]:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples,), of the dtype of the labels
        """
        if not hasattr(self, "classes_"):
            check_is_fitted(self, "classes_", msg=_unfitted("classes_"))
        bound, theta, _ = self._bound(X, offset)
        labels = check_labels_of_model(self.classes_, 2 if theta.ndim == 1 else len(theta))
        if theta.ndim == 1:
            return labels[(bound.margins(theta) > 0.0).astype(np.intp)]
        return labels[cast(backends.ClassesPass, bound).predict_class(theta)]

    @_by_batches
    @numpy_defaults
    def predict_proba(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Return the probabilities of the classes, each accurate however small it is.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``. float32 where X, ``coef_`` and ``intercept_``
            are, else float64.
        """
        bound, theta, dtype = self._bound(X, offset)
        pair = theta.ndim == 1
        return _narrowed(bound.predict_pair(theta) if pair else bound.predict(theta), dtype)

    @_by_batches
    @numpy_defaults
    def predict_log_proba(
        self, X: ArrayLike, *, offset: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Return the logarithms of the probabilities of the classes; never log 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            float32 where X, ``coef_`` and ``intercept_`` are, else float64.
        """
        bound, theta, dtype = self._bound(X, offset)
        if theta.ndim == 2:
            return _narrowed(cast(backends.ClassesPass, bound).log_proba(theta), dtype)
        z = bound.margins(theta)
        if self._activation() == "tanh":
            z *= 2.0
        return _narrowed(-np.logaddexp(0.0, np.column_stack([z, -z])), dtype)

    @numpy_defaults
    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> float:
        """Return the (weighted) share of rows that are predicted right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Or a table, or rows of :func:`fastlogreg.open_rows`, which hold the target, too.
        y : array-like of shape (n_samples,)
            The true labels.
        sample_weight : array-like of shape (n_samples,), optional
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        if y is None:
            right = total = 0.0
            for batch in scored_rows(self, X, sample_weight, offset):
                codes = np.searchsorted(self.classes_, self.predict(batch, offset=batch.offset))
                each = np.ones(codes.size) if batch.weights is None else batch.weights
                right += float(each @ (codes == batch.codes))
                total += float(each.sum())
            return right / total
        check.check_readable(y, "y")
        check.check_readable(sample_weight, "sample_weight")
        found = self.predict(X, offset=offset)
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    # --- sparse coefficients, states, callbacks, tags -------------------------------------------

    def sparsify(self) -> Self:
        """Turn ``coef_`` into a SciPy CSR matrix: smaller where most coefficients are 0.

        Returns
        -------
        self
        """
        self._theta()  # whether the coefficients are some
        arrays = get_config().get("sparse_interface") == "sparray"  # from scikit-learn 1.9 on
        self.coef_ = (sp.csr_array if arrays else sp.csr_matrix)(self.coef_)
        return self

    def densify(self) -> Self:
        """Turn ``coef_`` back into an array; without effect where it is one.

        Returns
        -------
        self
        """
        self._theta()
        if sp.issparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

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

    def _check_stored(self) -> None:
        """Refuse a state that predictions can't be made from, whoever made it: in model files."""
        for name in ("classes_", "coef_", "intercept_", "n_features_in_"):
            if not hasattr(self, name):
                check_is_fitted(self, name, msg=_unfitted(name))
        self._threads()
        check.check_flag(self.fit_intercept, "fit_intercept")
        weight = self.class_weight
        if not (weight is None or isinstance(weight, dict) or weight == "balanced"):
            raise TypeError(f"class_weight must be a dict, 'balanced' or None, got {weight!r:.40}")
        d = self.n_features_in_
        shape: tuple[Any, ...] = getattr(self.coef_, "shape", ())
        classes = self.classes_
        if type(d) is not int or d < 1 or len(shape) != 2 or shape[1] != d or shape[0] < 1:
            raise ValueError(f"coef_ of shape {shape} and n_features_in_ = {d!r:.20}")
        if shape[0] * d > _MOST_COEFFICIENTS:
            raise ValueError(f"coef_ of shape {shape} is too large")
        if not isinstance(classes, np.ndarray) or classes.ndim != 1 or shape[0] == 2:
            raise ValueError("classes_ must be an array of labels")
        if classes.size != max(2, shape[0]) or self.coef_.dtype.kind != "f":
            raise ValueError(f"coef_ of shape {shape} for {classes.size} classes")
        intercept = self.intercept_
        if not isinstance(intercept, np.ndarray) or intercept.shape != shape[:1]:
            raise ValueError(f"intercept_ must have shape {shape[:1]}")
        if intercept.dtype.kind != "f":
            raise ValueError(f"intercept_ of {intercept.dtype}")
        names, schema = (vars(self).get(name) for name in ("feature_names_in_", "schema_"))
        if names is not None and not (
            isinstance(names, np.ndarray)
            and names.shape == (d,)
            and all(isinstance(name, str) for name in names)
        ):
            raise ValueError(f"feature_names_in_ must be {d} names")
        if schema is not None and not (
            isinstance(schema, Schema)
            and schema.width == d
            and list(schema.classes) == classes.tolist()
            and names is not None
            and schema.names().tolist() == names.tolist()
        ):
            raise ValueError("schema_ is of another model")
        for name, (is_right, what) in _FOUND.items():
            if name in vars(self) and not is_right(vars(self)[name]):
                raise ValueError(f"{name} must be {what}")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_fastlogreg_format": STATE_FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored = state.pop("_fastlogreg_format", 0)
        if stored > STATE_FORMAT:
            raise ValueError(
                f"this {type(self).__name__} was stored by a later release of fastlogreg (state "
                f"format {stored}; this release knows up to {STATE_FORMAT}): upgrade fastlogreg "
                "to load it, or fit anew"
            )
        if stored < STATE_FORMAT:  # parameters that came later have their defaults
            for name, parameter in signature(type(self)).parameters.items():
                state.setdefault(name, parameter.default)
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: sparse rows are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _is_some(value: Any) -> bool:
    """Whether it is a number, an array of numbers, or None in the place of one."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return all(each is None or _is_real(each) for each in value.ravel())
    return value is None or _is_real(value) or _is_numeric(value)


def _is_by_class(value: Any) -> bool:
    """Whether it is an array of numbers, or one for each label."""
    return all(map(_is_numeric, value.values())) if isinstance(value, dict) else _is_numeric(value)


def _is_history(value: Any) -> bool:
    names = getattr(getattr(value, "dtype", None), "names", None)
    if not isinstance(value, np.ndarray) or names is None or value.ndim != 1:
        return False
    return "decrement" in names and all(value.dtype[name].kind in "iufb" for name in names)


def _is_curve(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_real, value)))


# what fits leave beside the coefficients: whoever shows a model formats it
_FOUND: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("objective_", "n_passes_", "gradient_norm_", "duality_gap_", "C_1se_"),
        (_is_real, "a number"),
    ),
    "converged_": (lambda value: isinstance(value, bool | np.bool_), "True or False"),
    "t_": (_is_real, "a number"),
    **dict.fromkeys(("loss_curve_", "validation_scores_"), (_is_curve, "a list of numbers")),
    "history_": (_is_history, "a table of numbers"),
    **dict.fromkeys(
        ("n_iter_", "Cs_", "C_", "score_std_errors_"),
        (lambda value: _is_real(value) or _is_numeric(value), "numbers"),
    ),
    **dict.fromkeys(("l1_ratio_", "l1_ratios_"), (_is_some, "numbers")),
    **dict.fromkeys(("scores_", "coefs_paths_"), (_is_by_class, "arrays of numbers")),
}


def _unfitted(name: str) -> str:
    """Return what to say where an attribute that predictions need is missing."""
    return (
        f"This %(name)s instance is not fitted yet: it has no {name}. Call 'fit', or set classes_, "
        "coef_ and intercept_."
    )


def _same_margins(error: NDArray[np.float64], X: NDArray[np.float32] | Any) -> bool:
    """Whether coefficients with this error give the same margins, as far as it matters.

    Where columns are far from 0, and the intercept takes their part in the margin back, rounded
    ones may not: 4e5 spreads from 0, margins move by 0.005 (times in seconds). Judged on some
    of the rows. A mean square of 1e-8 raises the mean loss by less than 2e-9.
    """
    n, d = X.shape
    count = min(n, max(8, min(256, _JUDGED // d)))
    moved = X[:: n // count] @ error[:, -d:].T
    if error.shape[1] > d:
        moved += error[:, 0]
    return bool(np.mean(moved**2) <= _MOVED**2)  # not where it overflows: NaN and infinity


def _narrowed(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.floating]:
    """Return the values in float32 where that is the dtype; beyond its range they are infinite."""
    if dtype != np.float32:
        return values
    with np.errstate(all="ignore"):
        return values.astype(np.float32)
