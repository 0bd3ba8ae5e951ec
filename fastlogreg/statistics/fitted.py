"""From a fit to its results: :func:`inference`, and what it shares with formulas."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fastlogreg import backends
from fastlogreg.data import validation as check
from fastlogreg.data.labels import encode_counts
from fastlogreg.data.memory import Columns, Rows
from fastlogreg.data.separation import step_shows_overlap, suspicion
from fastlogreg.data.weightless import NEVER
from fastlogreg.estimators.input import (
    Training,
    checked_rows,
    encoded_matrix,
    is_lazy,
    is_opened,
    training,
    training_data,
    validated,
)
from fastlogreg.estimators.logistic import LogisticRegression
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.penalties import ElasticNet
from fastlogreg.statistics.bootstrap import bootstrap
from fastlogreg.statistics.covariance import (
    COV_TYPES,
    Sums,
    SumsInMemory,
    check_groups,
    decrement,
    robust,
)
from fastlogreg.statistics.firth import FirthFit, fit_firth
from fastlogreg.statistics.in_parts import PartedLikelihood, SumsOfParts
from fastlogreg.statistics.likelihood import Derivatives, Likelihood
from fastlogreg.statistics.multinomial import MNLogitResults
from fastlogreg.statistics.results import Design, Fit, LogitResults, Results, check_level

__all__ = ["Asked", "check_asked", "inference", "referred", "results_of"]

_FAR = 1e-2  # of the log-likelihood: what estimates may be below the maximum, 0.14 errors at most
# for each row: how near estimates are where errors change by 1e-6 at most; by 1e-7 where one more
# pass takes next to nothing, of so many products of the information at the most
_NEAR, _NEARER, _LITTLE = 1e-12, 1e-15, 1e8
_WEIGHTS = ("frequency", "sampling")
NO_WEIGHTS = "{} is not taken beside counts, which are weights themselves"
_NOT_THERE = (
    "the coefficients are not at the maximum of the likelihood of these rows: the log-likelihood, "
    "{:.6g}, could rise by some {:.2g}. Hand over the rows, labels, weights and offset that model "
    "was fitted to, or fit it with a smaller tol"
)

_Array = NDArray[np.float64]
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Asked(NamedTuple):
    """What was asked for beside the estimates, checked."""

    cov_type: str
    groups: list[NDArray[np.int64]]
    level: float
    sampling: bool
    n_bootstrap: int
    random: Any


def check_asked(
    cov_type: Any,
    groups: Any,
    level: Any,
    weight_type: Any,
    n_bootstrap: Any,
    random_state: Any,
    n: int,
    weighted: bool,
    counts: bool = False,
) -> Asked:
    """Return what was asked for, checked, of n rows."""
    check.check_choice(cov_type, "cov_type", COV_TYPES)
    level = check_level(level)
    check.check_choice(weight_type, "weight_type", _WEIGHTS)
    if counts and weight_type == "sampling":
        raise ValueError("weight_type='sampling' is of sample_weight, which counts do not take")
    count = check.check_count(n_bootstrap, "n_bootstrap", low=2)
    assert count is not None
    if weight_type == "sampling" and weighted and cov_type == "nonrobust":
        raise ValueError(
            "weight_type='sampling' asks for a robust cov_type ('HC0', 'HC1', 'cluster' or "
            "'bootstrap'): sampling weights say nothing of the information in a row"
        )
    if groups is None:
        if cov_type == "cluster":
            raise ValueError("cov_type='cluster' needs groups: a cluster for each row")
        codes = []
    else:
        if cov_type not in ("cluster", "bootstrap"):
            raise ValueError(f"groups are for cov_type='cluster' and 'bootstrap', got {cov_type!r}")
        codes = check_groups(groups, n)
        if cov_type == "bootstrap" and len(codes) > 1:
            raise ValueError("groups: the bootstrap draws clusters of one way, got two")
    random = check_random_state(random_state)
    # the score of a row of counts is that of all its trials, as that of a sampled row is weighted
    return Asked(cov_type, codes, level, weight_type == "sampling" or counts, count, random)


@numpy_defaults
def inference(
    model: LogisticRegression,
    X: Any,
    y: Any = None,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    cov_type: str = "nonrobust",
    groups: Any = None,
    level: float = 0.95,
    weight_type: str = "frequency",
    reference: Any = None,
    penalized: bool = False,
    n_bootstrap: int = 500,
    random_state: Any = None,
) -> LogitResults | MNLogitResults:
    """Return standard errors, tests and intervals of a fitted model.

    The model stays as it is. One reading of the rows gives the information, and a robust
    covariance takes one more.

    Rows beyond memory (``open_rows`` above its ``memory_limit``, collections of Dask) are read in
    parts, and give the same numbers: two or three readings for the information and whether the
    classes can be separated, one more for a robust covariance, and what a result needs when it is
    asked for. Estimates, errors, tests, intervals (those of profiles take many readings), measures
    and :meth:`~LogitResults.predict` of new rows work so; what has a value for each row of the fit
    (residuals, leverages, calibration, marginal effects) and the bootstrap need rows in memory, and
    say so.

    Parameters
    ----------
    model : LogisticRegression
        Fitted with ``C=np.inf`` (or penalty factors of 0), to these rows. With ``firth=True``
        tests and intervals are those of the penalized likelihood, as of ``logit(method="firth")``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Or rows of :func:`fastlogreg.open_rows`, or a collection of Dask.
    y : array-like of shape (n_samples,), or of whole numbers (n_samples, 2)
        Labels; or counts of successes (the second class) and failures, each row an observation, of
        a model that was fitted to the rows twice, with the counts as weights. None beside rows of
        ``open_rows``, which name their target, weights and offset.
    sample_weight : array-like of shape (n_samples,), optional
        As they were fitted; the model's ``class_weight`` is multiplied with them. None beside
        counts.
    offset : array-like of shape (n_samples,), or (n_samples, n_classes), optional
        As it was fitted.
    cov_type : {"nonrobust", "HC0", "HC1", "cluster", "bootstrap"}, default="nonrobust"
        "nonrobust" is the inverse information. "HC0" and "HC1" (times n / (n - q)) hold where the
        model does not; "cluster" where rows of a group depend on each other; "bootstrap" is the
        covariance of fits to rows, or groups, drawn with replacement.
    groups : array-like of shape (n_samples,), or a pair of those, optional
        Clusters: one way or two. Of rows of ``open_rows`` also the name of a column, or a list of
        two names. Codes of the clusters, 8 bytes a row, are held in memory.
    level : float, default=0.95
        Of intervals where none is asked for.
    weight_type : {"frequency", "sampling"}, default="frequency"
        Whether a row of weight w stands for w rows, or was drawn with probability 1 / w. It
        matters to robust covariances and to the number of observations; "sampling" needs one.
    reference : label, optional
        The class that the others are against; default the first of ``classes_``.
    penalized : bool, default=False
        Whether a fit with an L2 penalty is let through: its errors are then those of the posterior
        with that prior, and there are no p-values.
    n_bootstrap : int, default=500
        Replicates of the bootstrap.
    random_state : int, RandomState instance or None, default=None
        Of the bootstrap.

    Returns
    -------
    LogitResults, or MNLogitResults for more than two classes

    Raises
    ------
    ValueError, TypeError
        If the model has a penalty, was not fitted to these rows, the classes can be separated, or
        columns are collinear: the message names them. Or an argument is not as described.

    See Also
    --------
    logit : The same from a formula and a frame.

    References
    ----------
    Agresti (2013), Categorical Data Analysis, chapters 5 and 6.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean texture", "mean smoothness"]]
    >>> model = flr.LogisticRegression(C=np.inf).fit(X, y)
    >>> results = flr.inference(model, X, y, cov_type="HC1")
    >>> results.to_frame()["std_err"].round(3).to_dict()
    {'Intercept': 1.206, 'mean texture': 0.031, 'mean smoothness': 9.532}
    """
    if not isinstance(model, LogisticRegression):
        raise TypeError(
            "model must be a fastlogreg.LogisticRegression, which ends at an optimum; got "
            f"{type(model).__name__}"
        )
    if not hasattr(model, "C"):
        raise TypeError(
            f"model must be a fastlogreg.LogisticRegression, got {type(model).__name__}: fit one "
            "with its C_, or with C=np.inf for estimates without a penalty"
        )
    penalized = check.check_flag(penalized, "penalized")
    theta = model._theta()
    settings = model._settings()
    if not hasattr(model, "classes_"):
        raise ValueError("model must be fitted: it has no classes_")
    if model.class_weight is not None and (theta[:, 0] <= NEVER).any():
        raise ValueError(
            "a class has weight 0 in class_weight, so that its intercept has no optimum and no "
            "standard error: leave its rows out and fit anew"
        )
    shape: tuple[int, ...] = () if is_opened(X) else np.shape(y)
    counts = len(shape) == 2 and shape[1] == 2
    if counts:
        data = _training_of_counts(model, X, y, sample_weight, offset)
    else:
        data = _training(model, X, y, sample_weight, offset)
    columns, source = data.columns, data.source
    if is_opened(X) and groups is not None:
        groups = _groups_of_columns(X, groups)
    elif groups is not None and is_lazy(groups):
        groups = np.asarray(groups.compute())
    n = data.rows.targets.size if source is None else source.n_rows
    weighted = data.is_weighted or model.class_weight is not None
    asked = check_asked(
        cov_type, groups, level, weight_type, n_bootstrap, random_state, n, weighted, counts
    )
    if source is not None and settings.firth:
        raise ValueError(
            "Firth's method needs all rows in memory: raise memory_limit in open_rows, or compute "
            "the collection"
        )
    if source is not None and cov_type == "bootstrap":
        raise ValueError(
            "cov_type='bootstrap' draws rows in memory: raise memory_limit in open_rows, or take "
            "'HC1' or 'cluster'"
        )
    if not settings.intercept:
        theta = np.ascontiguousarray(theta[:, 1:])
    layout = Layout(columns.number, settings.intercept, len(theta))
    if source is None:
        weights = data.rows.weights
        total = float(n if weights is None else weights.sum())
    else:
        total = source.total_weight
    ridge = _ridge(settings, total, layout, penalized)
    likelihood: Likelihood
    design: Design = _ModelDesign(model)
    if source is None:
        rows, theta, code, design = referred(data.rows, theta, reference, design)
        likelihood = Likelihood(rows, settings.intercept, code, settings.n_threads, counts=counts)
    else:
        likelihood = PartedLikelihood(
            source,
            data.rows.classes,
            settings.intercept,
            _reference_of_parts(data.rows.classes, reference),
            settings.n_threads,
            has_offset=data.rows.offset is not None or offset is not None,
        )
    names = ["Intercept"] * int(settings.intercept) + (
        [f"x{j}" for j in range(columns.number)]
        if columns.names is None
        else [str(name) for name in columns.names]
    )
    parameters = likelihood.parameters(theta)
    firth = None
    if settings.firth:
        refuse_covariance_beside_firth(asked.cov_type)
        firth = fit_firth(likelihood, names, near=parameters)
        gain = firth.derivatives.value - firth.objective.value(parameters)
        if gain > _FAR:
            raise ValueError(_NOT_THERE.format(firth.derivatives.value - gain, gain))
        parameters = firth.parameters
    notes = []
    if model.class_weight is not None:
        notes.append("Weights of the classes are in the likelihood: its errors take them as data.")
    target = X.schema.target if is_opened(X) else getattr(y, "name", None)
    return results_of(
        likelihood,
        parameters,
        names,
        asked,
        design,
        notes=notes,
        ridge=ridge,
        target="y" if target is None else str(target),
        firth=firth,
    )


def _training(model: Any, X: Any, y: Any, sample_weight: Any, offset: Any) -> Training:
    """Return the rows that a model was fitted to, checked against the model."""
    if not (is_opened(X) or is_lazy(X)):
        matrix, labels, columns = training_data(model, X, y, reset=False)
        rows = checked_rows(
            model, matrix, labels, sample_weight, offset, labels=np.asarray(model.classes_)
        )
        metadata = {"sample_weight": sample_weight, "offset": offset}
        return Training(rows, columns, labels, metadata)
    data = training(model, X, y, sample_weight, offset, parts=True, partitions=True)
    _check_columns(model, data.columns)
    if data.rows.classes.tolist() != model.classes_.tolist():
        raise ValueError(
            f"rows have the classes {data.rows.classes.tolist()}, and model was fitted to "
            f"{model.classes_.tolist()}"
        )
    return data


def _check_columns(model: Any, columns: Columns) -> None:
    known = getattr(model, "feature_names_in_", None)
    same = columns.number == model.n_features_in_
    if same and known is not None and columns.names is not None:
        same = [str(name) for name in columns.names] == [str(name) for name in known]
    if not same:
        raise ValueError(
            "the columns of the rows are not those of the fit: hand over the rows that model was "
            "fitted to, opened as they were then"
        )


def _groups_of_columns(rows: Any, groups: Any) -> Any:
    """Return codes of clusters that columns of a table name; what is no name stays as it is."""
    names = [groups] if isinstance(groups, str) else groups
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
        if len(names) > 2:
            raise ValueError(f"groups must be one or two ways of clustering, got {len(names)}")
        codes = [rows.codes_of(name) for name in names]
        return codes[0] if len(codes) == 1 else np.column_stack(codes)
    return groups


def _code_of(reference: Any, classes: NDArray[Any]) -> int:
    """Return the number of the reference class, 0 by default."""
    names = classes.tolist()
    if reference is None:
        return 0
    if reference not in names:
        raise ValueError(f"reference must be one of the classes {names}, got {reference!r}")
    code: int = names.index(reference)
    return code


def _reference_of_parts(classes: NDArray[Any], reference: Any) -> int:
    code = _code_of(reference, classes)
    if classes.size == 2 and code == 1:
        raise ValueError(
            "reference must be the first of two classes where rows come in parts; against the "
            "other, estimates and intervals change their sign alone"
        )
    return code


def _training_of_counts(
    model: LogisticRegression, X: Any, y: Any, sample_weight: Any, offset: Any
) -> Training:
    """Return rows whose targets are shares of successes, and weights the trials."""
    if sample_weight is not None or model.class_weight is not None:
        raise ValueError(NO_WEIGHTS.format("sample_weight or class_weight"))
    classes = np.asarray(model.classes_)
    if classes.size != 2:
        raise ValueError(f"counts are for two classes, and model has {classes.size}")
    matrix, _, columns = validated(model, X, reset=False)
    check.check_finite(matrix)
    n = matrix.shape[0]
    if len(y) != n:
        raise ValueError(f"y must have a row of counts for each of the {n} rows of X, got {len(y)}")
    names = [str(name) for name in classes[::-1].tolist()]
    _, shares, trials = encode_counts(np.asarray(y), names)
    known = check.check_offset(offset, n, 1, finite=True)
    metadata = {"sample_weight": None, "offset": offset}
    return Training(Rows(matrix, shares, trials, known, classes), columns, shares, metadata)


class _ModelDesign:
    """Rows as the model takes them."""

    def __init__(self, model: LogisticRegression) -> None:
        state = object.__new__(type(model))
        state.__dict__.update(vars(model))  # later fits of the model change nothing here
        self._model = state

    def rows(self, X: Any, offset: Any) -> tuple[Any, _Array | None, NDArray[np.bool_] | None]:
        encoded = encoded_matrix(self._model, X)
        if encoded is not None:
            matrix, own = encoded
            offset = own if offset is None else offset
        else:
            matrix = validated(self._model, X, reset=False)[0]
            check.check_finite(matrix)
        n_classes = len(self._model.classes_)
        known = check.check_offset(
            offset, matrix.shape[0], 1 if n_classes == 2 else n_classes, finite=True
        )
        return matrix, known, None


def refuse_covariance_beside_firth(cov_type: str) -> None:
    """Refuse robust covariances of Firth's method."""
    if cov_type != "nonrobust":
        raise ValueError(f"cov_type={cov_type!r} is not offered for Firth's method")


def _ridge(settings: Any, total: float, layout: Layout, penalized: bool) -> _Array | None:
    """Return the ridge on the information of one row of theta, (p,); None without a penalty."""
    penalty = settings.penalty(total, layout)
    if isinstance(penalty, ElasticNet):
        raise ValueError(
            "model has an L1 penalty or bounds: its estimates have no standard errors, and after a "
            "selection of columns p-values do not hold on the same rows. Fit the columns of "
            "interest with C=np.inf and without bounds, best on other rows"
        )
    ridge = total * np.asarray(penalty.smooth_diagonal)
    if not ridge.any():
        return None
    if not penalized:
        raise ValueError(
            f"model has a penalty (C={settings.C:g}): its estimates are biased towards 0, and "
            "p-values and intervals of an unpenalized fit do not hold. Fit it with C=np.inf, or "
            "set penalized=True for errors without p-values"
        )
    if layout.n_outputs > 1:
        raise ValueError("penalized=True is for two classes: fit with C=np.inf")
    return ridge


class _Exchanged:
    """Rows of two classes that have changed places: their offsets are of the other class."""

    def __init__(self, design: Design) -> None:
        self._design = design

    def rows(self, X: Any, offset: Any) -> tuple[Any, _Array | None, NDArray[np.bool_] | None]:
        matrix, known, kept = self._design.rows(X, offset)
        return matrix, None if known is None else -known, kept


def referred(
    rows: Rows, theta: _Array | None, reference: Any, design: Design
) -> tuple[Rows, Any, int, Design]:
    """Return rows and theta, (m, p), with a reference class, its number, and what makes new rows.

    The first of two classes is the reference: they change places where the other is asked for.
    """
    code = _code_of(reference, rows.classes)
    if rows.classes.size > 2 or code == 0:
        return rows, theta, code, design
    changed = rows._replace(
        targets=1.0 - rows.targets,
        offset=None if rows.offset is None else -rows.offset,
        classes=rows.classes[::-1].copy(),
    )
    return changed, None if theta is None else -theta, 0, _Exchanged(design)


def _solving(make: Callable[Concatenate[Likelihood, _P], _T]) -> Callable[..., _T]:
    """Let a function that makes results run in what a solver of as many parameters runs in."""

    @wraps(make)
    def made(likelihood: Likelihood, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with backends.get("numba").solving(likelihood.size) as again, again:
            return make(likelihood, *args, **kwargs)

    return made


@_solving
def results_of(
    likelihood: Likelihood,
    parameters: _Array,
    names: list[str],
    asked: Asked,
    design: Design,
    *,
    notes: list[str],
    ridge: _Array | None = None,
    target: str = "y",
    polish: bool = False,
    firth: FirthFit | None = None,
    formula: str | None = None,
    n_missing: int = 0,
    cleared: float | None = None,
    known: Derivatives | None = None,
) -> LogitResults | MNLogitResults:
    """Return the results of estimates, or say why there are none.

    ``polish`` lets one more step be taken from what is known at the estimates. ``cleared`` is the
    estimated distance of the mean loss above its optimum with which these very estimates were
    asked before whether rows are separated, and none were. ``known`` are the derivatives at the
    estimates, where a fit ended with them.
    """
    nobs = float(likelihood.n_counted) if asked.sampling else likelihood.total_weight
    sums_at: type[Sums] = SumsInMemory
    if isinstance(likelihood, PartedLikelihood):
        sums_at = SumsOfParts
    if firth is not None:
        derivatives = firth.derivatives
    else:
        derivatives = likelihood.derivatives(parameters) if known is None else known
        derivatives = _at_optimum(
            likelihood, parameters, derivatives, names, ridge, polish, cleared
        )
    added = 0.0 if ridge is None else ridge
    sums = sums_at(likelihood, parameters)
    found = sums.bread(derivatives, names, added)
    if polish:
        step = found.covariance @ derivatives.score
        parameters = parameters + step
        cheap = likelihood.n_rows * likelihood.size**2 <= _LITTLE
        if decrement(derivatives) > (_NEARER if cheap else _NEAR) * nobs:
            derivatives = likelihood.derivatives(parameters)
            sums = sums_at(likelihood, parameters)
            found = sums.bread(derivatives, names, added)
            step = found.covariance @ derivatives.score
            parameters = parameters + step
        gain = 0.5 * float(step @ derivatives.score)
        derivatives = derivatives._replace(value=derivatives.value + gain)
    df = float(likelihood.size)
    if ridge is not None:
        df -= float(found.covariance.diagonal() @ ridge)  # the trace of covariance @ information
        notes = [
            *notes,
            "Penalized (L2): estimates are biased towards 0, and errors are those of the "
            "posterior with the penalty as a normal prior. There are no p-values.",
        ]
        if asked.cov_type != "nonrobust":
            raise ValueError(f"cov_type={asked.cov_type!r} is not offered for a penalized fit")
    covariance = found.errors
    if asked.cov_type in ("HC1", "cluster") and nobs <= likelihood.size:
        raise ValueError(
            f"cov_type={asked.cov_type!r} needs more observations than parameters, got {nobs:g} "
            f"and {likelihood.size}"
        )
    if asked.cov_type == "bootstrap":
        replicates = bootstrap(
            likelihood,
            parameters,
            asked.n_bootstrap,
            asked.random,
            groups=asked.groups[0] if asked.groups else None,
            sampling=asked.sampling,
        )
        covariance = found.coordinates.covariance_of(replicates.parameters)
        of = "clusters" if asked.groups else "rows"
        lost = f"; {replicates.lost} had no optimum and are left out" if replicates.lost else ""
        notes = [*notes, f"{asked.n_bootstrap} bootstrap replicates of {of}{lost}."]
    elif asked.cov_type != "nonrobust":
        covariance, more = robust(
            sums,
            found,
            likelihood.size,
            asked.cov_type,
            asked.groups,
            nobs=nobs,
            sampling=asked.sampling,
        )
        notes = [*notes, *more]
        if asked.groups:
            sizes = " and ".join(str(int(codes.max()) + 1) for codes in asked.groups)
            notes = [*notes, f"Errors are by clusters: {sizes}."]
    fit = Fit(
        likelihood=likelihood,
        parameters=parameters,
        llf=derivatives.value + likelihood.constant,
        covariance=covariance,
        information_inverse=found.errors,
        names=names,
        cov_type=asked.cov_type,
        level=asked.level,
        nobs=nobs,
        df=df,
        design=design,
        notes=notes,
        method="Firth" if firth else "L2-penalized ML" if ridge is not None else "ML",
        target=target,
        formula=formula,
        n_missing=n_missing,
        firth=firth,
        penalized=ridge is not None,
    )
    kind: type[Results] = LogitResults if likelihood.n_equations == 1 else MNLogitResults
    return kind(fit)  # type: ignore[return-value]


def _at_optimum(
    likelihood: Likelihood,
    parameters: _Array,
    derivatives: Derivatives,
    names: list[str],
    ridge: _Array | None,
    polish: bool,
    cleared: float | None,
) -> Derivatives:
    """Return the derivatives where the estimates are a maximum; say so where they aren't one."""
    if not np.isfinite(derivatives.value):
        raise ValueError(
            "the log-likelihood of these rows is not finite: values in X or coefficients are too "
            "large for float64"
        )
    if ridge is not None:
        derivatives = derivatives._replace(score=derivatives.score - ridge * parameters)
        distance = decrement(derivatives, ridge)
    else:
        distance = decrement(derivatives)
        if not (_is_cleared(likelihood, distance, cleared) or _overlap(likelihood, derivatives)):
            refuse_separated(likelihood, parameters, names, distance)
    if distance > _FAR and not polish:
        raise ValueError(_NOT_THERE.format(derivatives.value, distance))
    return derivatives


def _overlap(likelihood: Likelihood, derivatives: Derivatives) -> bool:
    """Whether derivatives at the estimates show that two classes overlap, in one reading."""
    if likelihood.n_equations > 1:
        return False
    _, score, information = derivatives
    every = np.ones(score.size, dtype=bool)
    return step_shows_overlap(likelihood, -score, information, every)


def _is_cleared(likelihood: Likelihood, distance: float, cleared: float | None) -> bool:
    """Whether asking for separation before, of a distance no smaller, left nothing to ask."""
    if cleared is None or likelihood.n_equations > 1:
        return False
    return suspicion(distance / likelihood.total_weight) <= suspicion(cleared)


def refuse_separated(
    likelihood: Likelihood, parameters: _Array, names: list[str], distance: float
) -> None:
    """Raise where the classes can be separated, naming the columns that do it."""
    found = likelihood.separation(parameters, distance)
    if found is None or (not found.rows.any() and found.decided):
        return
    first = int(likelihood.intercept)
    columns: NDArray[Any] = np.array(names[first:])
    if likelihood.n_equations > 1:
        labels = likelihood.rows.classes.tolist()
        columns = np.array([f"{name} of class {label}" for label in labels for name in names])
    remedy = "Fit LogisticRegression with a finite C"
    if likelihood.n_equations == 1:
        remedy = "Use method='firth' of flr.logit"
    raise ValueError(
        f"{found.describe(columns)}: there are no standard errors. {found.advice(remedy)}"
    )
