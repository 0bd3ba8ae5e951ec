"""Logistic regression whose penalty is chosen by cross-validation.

Folds are sets of rows of one problem (:mod:`fastlogreg.solvers.folds`), so that nothing is copied.
How held-out rows are scored stands in :mod:`fastlogreg.estimators.fold_scores`. Axes inside both
modules are (folds, Cs, l1_ratios); :meth:`_Table.attributes` lays them out as scikit-learn does.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    process_routing,
)

from fastlogreg.data import validation as check
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.data.weightless import set_aside
from fastlogreg.estimators.callbacks import fit_tasks
from fastlogreg.estimators.fold_scores import Scores, ScoresOfParts, at_offset
from fastlogreg.estimators.input import in_one, scored_rows, training
from fastlogreg.estimators.logistic import (
    SEPARATED,
    IterationMonitor,
    LogisticRegression,
    Settings,
    all_rows,
    by_penalty,
    has_gap,
    may_separate,
    refuse,
    within_bounds,
)
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.plots.models import cross_validation_curve
from fastlogreg.problem.penalties import ElasticNet, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result, Status
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.folds import FoldFits, fit_folds
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.trace import Trace

__all__ = ["LogisticRegressionCV"]

_Vector = NDArray[np.float64]
_Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


class LogisticRegressionCV(LogisticRegression):
    """Exact logistic regression that chooses ``C`` and ``l1_ratio`` by cross-validation.

    The model and its objective are those of :class:`fastlogreg.LogisticRegression`. Code written
    for ``sklearn.linear_model.LogisticRegressionCV`` (1.9) runs unchanged.

    Parameters
    ----------
    Cs : int or array-like of floats, default=10
        Values of ``C``; a number asks for so many from 1e-4 to 1e4, evenly in the logarithm.
        ``np.inf`` is no penalty.
    l1_ratios : array-like of floats in [0, 1], optional
        Shares of L1. Left out or None, which is deprecated in scikit-learn, it is 0.
    fit_intercept : bool, default=True
    cv : int, splitter or iterable, optional
        As in scikit-learn; default 5 stratified folds. "loo" leaves each row out in turn,
        approximately: from the fit of all rows alone, for the three scores that copy no rows and
        up to 3,000 coefficients of all classes together. It is close where rows are many beside
        the coefficients that are not 0, and may fail where they are not (n below p with little
        penalty), where one row decides one, or classes are nearly separated.
    dual : bool, default=False
        Without effect.
    penalty : {"l1", "l2", "elasticnet"}, optional
        Deprecated, as in scikit-learn: ``l1_ratios`` says the same.
    scoring : str, callable or None, optional
        What the held-out rows are judged by. None, and today the default, is accuracy.
        ``"accuracy"``, ``"neg_log_loss"`` and ``"neg_brier_score"`` copy no rows.
    solver, tol, max_iter, class_weight, n_jobs, n_threads, intercept_scaling, random_state
        As for :class:`fastlogreg.LogisticRegression`; folds are fitted by ``"auto"``. The weights
        of ``class_weight="balanced"`` are those of all rows.
    verbose : int, default=0
        Above 0: a line for each iteration of the fit on all rows.
    refit : bool, default=True
        Whether the model is fitted on all rows at the best ``C`` and ``l1_ratio`` of the mean
        score; else coefficients, ``C_`` and ``l1_ratio_`` are means over each fold's best.
    use_legacy_attributes : bool, optional
        Whether attributes have the shapes of scikit-learn before 1.10, today the default.
    penalty_factors, lower_bounds, upper_bounds
        As for :class:`fastlogreg.LogisticRegression`, in each fold too.

    Attributes
    ----------
    classes_, coef_, intercept_, n_features_in_, feature_names_in_
        As for :class:`fastlogreg.LogisticRegression`.
    Cs_ : ndarray of shape (n_cs,)
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
    C_, l1_ratio_ : float, or ndarray of shape (n_classes,) or (1,) in the legacy form
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
        Legacy: a dict from classes to (n_folds, n_cs, n_l1_ratios), the same for all.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_cs, n_classes, n_dof)
        The intercept comes last; one class for two. Legacy: a dict from classes to
        (n_folds, n_cs, n_l1_ratios, n_dof).
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_cs), int32
        Legacy: (1, n_folds, n_cs, n_l1_ratios). Without ``l1_ratios``, the axis of l1_ratios is
        missing from the legacy forms.
    score_std_errors_ : ndarray of shape (n_l1_ratios, n_cs)
        Standard errors of the mean scores over folds: the deviation of the folds' scores over the
        root of their number; NaN for one fold. Legacy: (n_cs, n_l1_ratios).
    C_1se_ : float
        The smallest ``C`` whose mean score is within one standard error of the best, at the best
        ``l1_ratio``: the one-standard-error rule, as in glmnet.
    n_passes_ : float
        Readings of all rows, those of folds and scores included.
    objective_ : float
        As for :class:`fastlogreg.LogisticRegression`, at ``C_`` and ``l1_ratio_``.
    duality_gap_ : float
        Only after a refit with L1 or bounds.
    converged_ : bool
        Whether the fit on all rows and those of all folds are within ``tol``.

    See Also
    --------
    fastlogreg.LogisticRegression : The same model at one ``C``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogreg import LogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegressionCV(
    ...     Cs=[0.01, 1.0, 100.0],
    ...     l1_ratios=(0,),
    ...     scoring="neg_log_loss",
    ...     use_legacy_attributes=False,
    ... ).fit(X, y)
    >>> model.C_
    100.0
    >>> model.scores_.shape
    (5, 1, 3)
    >>> model.converged_
    True
    """

    __metadata_request__score = {"sample_weight": UNUSED}  # noqa: RUF012
    warm_start = False  # no parameters here
    firth = False

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 10,
        l1_ratios: ArrayLike | str | None = "warn",
        fit_intercept: bool = True,
        cv: Any = None,
        dual: bool = False,
        penalty: str = "deprecated",
        scoring: str | Callable[..., float] | None = "warn",
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        class_weight: dict[Any, float] | str | None = None,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        refit: bool = True,
        intercept_scaling: float = 1.0,
        random_state: Any = None,
        use_legacy_attributes: bool | str = "warn",
        penalty_factors: ArrayLike | None = None,
        lower_bounds: ArrayLike | None = None,
        upper_bounds: ArrayLike | None = None,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.dual = dual
        self.penalty = penalty
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes
        self.penalty_factors = penalty_factors
        self.lower_bounds = lower_bounds
        self.upper_bounds = upper_bounds

    @numpy_defaults
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Choose the penalty, and fit the model.

        Parameters
        ----------
        X, y, sample_weight, offset
            As for :meth:`fastlogreg.LogisticRegression.fit`. Weights count in the scores too. Rows
            of :func:`fastlogreg.open_rows` beyond its memory limit, and collections of Dask, are
            read for each pass, one reading for all folds where their fits go side by side, and
            else one for each fold; ``n_passes_`` counts every reading. In memory are the labels,
            weights and folds of the rows, some 20 bytes a row. They are scored by "accuracy",
            "neg_log_loss" or "neg_brier_score", and a splitter sees the labels alone.
        **params
            For the splitter and the scorer, such as ``groups``, with scikit-learn's metadata
            routing enabled.

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
            If the optimum was not reached within ``tol`` on all rows, or in some of the folds.
        """
        begun = time.perf_counter()
        _raise_for_params(params, self, "fit")
        grid = _grid(self.Cs, self.penalty, self.l1_ratios)
        settings = self._settings_at(float(grid.Cs.min()), grid.shares[0])
        refit = check.check_flag(self.refit, "refit")
        scoring = self._scoring()
        legacy = self._legacy()
        data = training(
            self, X, y, sample_weight, offset, parts=True, partitions=True
        ).with_labels()
        rows, columns, y, matrix = data.rows, data.columns, data.y, data.rows.matrix
        sample_weight, offset = data.metadata["sample_weight"], data.metadata["offset"]
        weights = check.check_weights(sample_weight, rows.targets.size)
        split_params, score_params = self._routed(sample_weight, offset, params)
        alone = isinstance(self.cv, str) and self.cv == "loo"
        folds: list[_Fold] = []
        if not alone:
            split = matrix
            if data.source is not None:  # splitters ask for the number of rows alone
                split = np.broadcast_to(0.0, (rows.targets.size, 1))
            folds = _folds(self.cv, split, y, split_params, rows.weights, weights)
        problem = settings.problem(rows, data.source)
        of_held, held = set_aside(rows, self.class_weight, settings.intercept)
        fitted = problem
        if held is not None:
            fitted = settings.problem(of_held, softmax=True)
        scores_of = Scores if data.source is None else ScoresOfParts
        scores = scores_of(problem, rows, y, weights, settings, scoring, score_params)

        with fit_tasks(self, rows, y, columns, data.metadata) as tasks:
            if alone:
                scores.refuse_left_out()
            cells = [
                _fit_grid(fitted, of_held, folds, settings, grid, share) for share in grid.shares
            ]
            if alone:  # the fits of all rows are those of one fold
                everything = np.arange(rows.targets.size)
                folds = [(everything, everything)]
                cells = [cell._replace(sets=[cell.whole]) for cell in cells]
            if not all(result.finite for cell in cells for fold in cell.sets for result in fold):
                refuse(rows, None, settings.n_threads)
            if held is not None:
                cells = [_of_all_classes(cell, fitted, held) for cell in cells]
            kind = _LeaveOneOut if alone else _Table
            table = kind(grid, problem, rows.classes, folds, cells, scores)
            n_missed = sum(not r.converged for r in table.results())
            theta, C, l1_ratio = table.best() if refit else table.mean_of_bests()
            final = replace(settings, C=C, l1_ratio=l1_ratio)
            full = fitted.with_penalty(final.penalty(scores.total_weight, fitted.layout))
            result, separation = None, None
            if refit:
                monitor = IterationMonitor(begun, settings.prints, tasks)
                trace = Trace(monitor, live=tasks is not None)
                # from 0: to the bit what LogisticRegression finds at this C
                result, separation = final.solve(full, of_held, None, trace)
                theta, value = all_rows(result.theta, full, held), result.value
            else:
                theta = problem.layout.rows(theta)
                value = full.value((theta if held is None else theta[held]).reshape(-1))
            coef, intercept = self._coefficients(theta, matrix)
            coef = within_bounds(coef, full)
            n_passes = problem.n_passes + (0.0 if held is None else fitted.n_passes)
            named = l1_ratio if grid.ratios is not None else None
            self._become(
                columns,
                classes_=rows.classes,
                coef_=coef,
                intercept_=intercept,
                **table.attributes(C, named, legacy, refit),
                C_1se_=table.one_standard_error(),
                objective_=value,
                # the check of X for NaN and infinity is one reading too
                n_passes_=1.0 + n_passes + scores.n_passes,
                converged_=n_missed == 0 and (result is None or result.converged),
                forget=("duality_gap_",),
                **data.fitted,
                **({"duality_gap_": result.decrement} if result and has_gap(full) else {}),
            )
        if n_missed:
            check.warn(
                f"{n_missed} of {len(table.results())} fits of folds did not reach "
                f"tol={self.tol:g}: their scores, and the C that they choose, may be off; raise "
                "max_iter or tol, leave out the largest Cs, or see that no fold lacks a class",
                ConvergenceWarning,
            )
        if result is not None and not result.converged and result.status is not Status.STOPPED:
            self._warn(result, separation, C, of_held.classes)
        return self

    @numpy_defaults
    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **score_params: Any,
    ) -> float:
        """Return the score of the model by ``scoring``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Or a table, or rows of :func:`fastlogreg.open_rows`, which hold the target, too.
        y : array-like of shape (n_samples,)
            The true labels.
        sample_weight : array-like of shape (n_samples,), optional
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            The known part of the margins; default 0.
        **score_params
            For the scorer, with scikit-learn's metadata routing enabled.

        Returns
        -------
        float
        """
        _raise_for_params(score_params, self, "score")
        model: Any = self
        if y is None:
            X, codes, sample_weight, known = in_one(scored_rows(self, X, sample_weight, offset))
            y = self.classes_[np.asarray(codes, dtype=np.intp)]
            model = at_offset(self.classes_, self.coef_, self.intercept_, known)
        elif offset is not None:
            X, _, known = self._rows(X, offset)
            model = at_offset(self.classes_, self.coef_, self.intercept_, known)
        if sample_weight is not None:
            score_params["sample_weight"] = sample_weight
        if get_config()["enable_metadata_routing"]:
            score_params = process_routing(self, "score", **score_params).scorer.score
        return self._get_scorer()(model, X, y, **score_params)  # type: ignore[no-any-return]

    def get_metadata_routing(self) -> MetadataRouter:
        """Return who takes which metadata: the estimator, its splitter and its scorer."""
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._get_scorer(),
                method_mapping=MethodMapping()
                .add(caller="score", callee="score")
                .add(caller="fit", callee="score"),
            )
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the mean scores with their standard errors against C, one line for each l1_ratio.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Default: those of a new figure.

        Returns
        -------
        matplotlib axes

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        self._theta()  # whether it is fitted
        return cross_validation_curve(self, ax=ax)

    # --- parameters ----------------------------------------------------------------------------

    def _get_scorer(self) -> Any:
        """Return the scorer that ``scoring`` names."""
        scoring = self.scoring
        if scoring is None or (isinstance(scoring, str) and scoring == "warn"):
            return get_scorer("accuracy")
        return get_scorer(scoring)

    def _scoring(self) -> Any:
        if isinstance(self.scoring, str) and self.scoring == "warn":
            check.warn(
                "The default value of the parameter 'scoring' will change from None, i.e. "
                "accuracy, to 'neg_log_loss' in version 1.11 of scikit-learn. To silence this "
                "warning, set scoring: 'neg_log_loss' for the new, 'accuracy' or None for the old.",
                FutureWarning,
            )
            return None
        if not (self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring)):
            raise TypeError(f"scoring must be a string, callable or None, got {self.scoring!r}")
        self._get_scorer()  # whether there is one of that name
        return self.scoring

    def _check_penalty(self) -> None:
        """Refuse wrong values of what is this class's own: no grid is made, no warning given."""
        if isinstance(self.Cs, Integral) and not isinstance(self.Cs, bool):
            check.check_count(self.Cs, "Cs", low=1)
        else:
            for C in _listed(self.Cs, "Cs", "an integer or an array of numbers above 0"):
                check.check_real(C, "Cs", infinite=True)
        if self.l1_ratios is not None and not _is_warn(self.l1_ratios):
            for share in _listed(self.l1_ratios, "l1_ratios", "numbers between 0 and 1"):
                check.check_share(share, "l1_ratios", closed=True)
        check.check_choice(self.penalty, "penalty", ("deprecated", "l1", "l2", "elasticnet"))
        if not (self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring)):
            raise TypeError(f"scoring must be a string, callable or None, got {self.scoring!r}")
        check.check_flag(self.refit, "refit")
        if not _is_warn(self.use_legacy_attributes):
            check.check_flag(self.use_legacy_attributes, "use_legacy_attributes")

    def _legacy(self) -> bool:
        if isinstance(self.use_legacy_attributes, str) and self.use_legacy_attributes == "warn":
            check.warn(
                f"The fitted attributes of {type(self).__name__} will be simplified in "
                "scikit-learn 1.10 to remove redundancy. Set `use_legacy_attributes=False` to "
                "enable the new behavior now, or True to silence this warning. The default value "
                "of use_legacy_attributes will change from True to False.",
                FutureWarning,
            )
            return True
        return check.check_flag(self.use_legacy_attributes, "use_legacy_attributes")

    def _routed(
        self, sample_weight: Any, offset: Any, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what of the metadata goes to the splitter, and what to the scorer."""
        if get_config()["enable_metadata_routing"]:
            if offset is not None:
                params = {**params, "offset": offset}
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return routed.splitter.split, routed.scorer.score
        return {}, {} if sample_weight is None else {"sample_weight": sample_weight}


# --- what is tried ------------------------------------------------------------------------------


class _Grid(NamedTuple):
    """Values of C in the user's order, l1_ratios as given (None without) and shares of L1."""

    Cs: _Vector
    ratios: _Vector | None
    shares: list[float]

    @property
    def size(self) -> int:
        return self.Cs.size * len(self.shares)


def _grid(Cs: Any, penalty: Any, l1_ratios: Any) -> _Grid:
    """Return what is tried, checked; the warnings are scikit-learn's."""
    if isinstance(Cs, Integral) and not isinstance(Cs, bool):
        count = check.check_count(Cs, "Cs", low=1)
        values = np.logspace(-4, 4, int(count or 1))
    else:
        given = _listed(Cs, "Cs", "an integer or an array of numbers above 0")
        values = np.array([check.check_real(C, "Cs", infinite=True) for C in given])
    left_out = isinstance(l1_ratios, str) and l1_ratios == "warn"
    if left_out:
        check.warn(
            "The default value for l1_ratios will change from None to (0.0,) in version 1.10 of "
            "scikit-learn. To avoid this warning, set a value, e.g. l1_ratios=(0,).",
            FutureWarning,
        )
    wrong = (
        f"l1_ratios must be an array-like of numbers between 0 and 1; got (l1_ratios={l1_ratios!r})"
    )
    ratios = None
    if not left_out and l1_ratios is not None:
        given = _listed(l1_ratios, "l1_ratios", "an array-like of numbers between 0 and 1")
        if not all(isinstance(r, Real) and 0.0 <= float(r) <= 1.0 for r in given):
            raise ValueError(wrong)
        ratios = np.array(given, dtype=np.float64)
    if isinstance(penalty, str) and penalty == "deprecated":
        if l1_ratios is None:
            check.warn(
                "'l1_ratios=None' was deprecated in version 1.8 of scikit-learn and will trigger "
                "an error in 1.10. Use an array-like with values in [0, 1] instead.",
                FutureWarning,
            )
        return _Grid(values, ratios, [0.0] if ratios is None else ratios.tolist())
    check.check_choice(penalty, "penalty", ("l1", "l2", "elasticnet"))
    check.warn(
        "'penalty' was deprecated in version 1.8 of scikit-learn and will be removed in 1.10. "
        "Leave it out: l1_ratios=(0,) is penalty='l2', l1_ratios=(1,) is penalty='l1', values "
        "between are penalty='elasticnet', and Cs=(np.inf,) is penalty=None.",
        FutureWarning,
    )
    if penalty == "elasticnet":
        if ratios is None:
            raise ValueError(wrong)
        return _Grid(values, ratios, ratios.tolist())
    if ratios is not None:
        check.warn(
            "l1_ratios parameter is only used when penalty is 'elasticnet'. Got "
            f"(penalty={penalty})"
        )
    return _Grid(values, ratios, [float(penalty == "l1")] * (1 if ratios is None else ratios.size))


def _is_warn(value: Any) -> bool:
    return isinstance(value, str) and value == "warn"


def _listed(values: Any, name: str, what: str) -> list[Any]:
    """Return the values of a 1-d array-like that has some."""
    if isinstance(values, str | bytes | dict) or not np.iterable(values):
        raise TypeError(f"{name} must be {what}, got {values!r}")
    found = list(values)
    if not found:
        raise ValueError(f"{name} must be {what}, got none (l1_ratios and Cs need one at least)")
    return found


def _folds(
    cv: Any,
    X: Any,
    y: NDArray[Any],
    params: dict[str, Any],
    weights: _Vector | None,
    scored: _Vector | None,
) -> list[_Fold]:
    """Return the rows of each training set, ascending, and of each held-out set."""
    numbers = np.arange(X.shape[0], dtype=np.int64)
    folds: list[_Fold] = []
    for k, (train, test) in enumerate(check_cv(cv, y, classifier=True).split(X, y, **params)):
        training, held_out = np.sort(numbers[train]), numbers[test]
        if not training.size or not held_out.size:
            raise ValueError(f"cv gives no rows to train on or to hold out in split {k}")
        for of, s, chosen in (
            ("training", weights, training),
            ("held-out", scored, held_out),
        ):
            if s is not None and not s[chosen].any():
                raise ValueError(f"sample_weight is 0 in all {of} rows of split {k} of cv")
        folds.append((training, held_out))
    if not folds:
        raise ValueError("cv gives no splits")
    return folds


# --- fits ----------------------------------------------------------------------------------------


def _stop_value(may_separate: bool, rows: Rows, folds: list[_Fold]) -> float:
    """Return a mean loss that ends a fit: above 0 where some set of rows may have no optimum.

    That is where coefficients grow at no cost, and where a training set is of one class: its
    intercept has no end.
    """
    if may_separate:
        return SEPARATED
    held = np.ones(rows.targets.size, bool) if rows.weights is None else rows.weights > 0.0
    for trained, _ in folds:
        targets = rows.targets[trained[held[trained]]]
        if (targets == targets[0]).all():
            return SEPARATED
    return 0.0


def _fit_grid(
    problem: Problem,
    rows: Rows,
    folds: list[_Fold],
    settings: Settings,
    grid: _Grid,
    share: float,
) -> FoldFits:
    """Return the fits of all rows and of each fold at each C, in the user's order of Cs."""
    order = np.argsort(grid.Cs, kind="stable")
    layout = problem.layout

    def penalty(total_weight: float, number: int) -> Penalty:
        at = replace(settings, C=float(grid.Cs[order[number]]), l1_ratio=share)
        return at.penalty(total_weight, layout)

    penalties = [penalty(1.0, number) for number in range(grid.Cs.size)]
    growing = [may_separate(layout, each) for each in penalties]
    kinds = {isinstance(each, ElasticNet) for each in penalties}
    with problem.solving() as again, again:
        found = fit_folds(
            problem,
            [training for training, _ in folds],
            grid.Cs.size,
            penalty,
            by_penalty if len(kinds) > 1 else proximal if True in kinds else auto,
            tol=settings.tol,
            max_iter=settings.max_iter,
            stop_value=_stop_value(any(growing), rows, folds),
        )
    for number in np.flatnonzero(growing):  # whatever a solver took for the optimum
        grows = penalties[number].grows()
        for fits, (trained, _) in zip(found.sets, folds, strict=True):
            of_set = _only(rows, problem, trained)
            if fits[number].finite and settings.separation(*of_set, grows, fits[number]):
                fits[number] = replace(fits[number], converged=False)
    back = np.argsort(order)
    whole, *sets = ([results[i] for i in back] for results in [found.whole, *found.sets])
    return FoldFits(whole, sets)


def _of_all_classes(fits: FoldFits, problem: Problem, held: NDArray[np.bool_]) -> FoldFits:
    """Return the fits with those classes that were set aside."""

    def grown(result: Result) -> Result:
        return replace(result, theta=all_rows(result.theta, problem, held).reshape(-1))

    whole, *sets = ([grown(result) for result in fit] for fit in (fits.whole, *fits.sets))
    return FoldFits(whole, sets)


def _only(rows: Rows, problem: Problem, chosen: NDArray[np.int64]) -> tuple[Rows, Problem]:
    """Return what is asked whether some of the rows are separated: X is not copied.

    In memory the others have weights of 0; of rows in parts some are asked.
    """
    if not isinstance(problem.source, MemoryRows):
        return rows, problem.subset(problem.source.subset(chosen), problem.penalty)
    weights = np.zeros(rows.targets.size)
    np.add.at(weights, chosen, 1.0 if rows.weights is None else rows.weights[chosen])
    return rows._replace(weights=weights), problem


class _Table:
    """Coefficients, scores and iterations by fold, C and l1_ratio."""

    def __init__(
        self,
        grid: _Grid,
        problem: Problem,
        classes: NDArray[Any],
        folds: list[_Fold],
        cells: Sequence[FoldFits],
        scores: Scores,
    ) -> None:
        self.grid, self.layout, self.classes = grid, problem.layout, classes
        self._cells = cells
        shape = len(folds), grid.Cs.size, len(cells)
        self.thetas = np.empty((*shape, problem.size))
        self.scores = np.empty(shape)
        self.n_iter = np.empty(shape, dtype=np.int32)
        for i in range(len(folds)):
            for j, k in np.ndindex(shape[1:]):
                result = cells[k].sets[i][j]
                self.thetas[i, j, k], self.n_iter[i, j, k] = result.theta, result.n_iter
        self._score(folds, scores)
        # a score that is undefined is no good one
        self._ranked = np.where(np.isnan(self.scores), -np.inf, self.scores)
        if np.isneginf(self._ranked.sum(axis=0)).all():
            raise ValueError("scoring gives NaN somewhere for every C and l1_ratio: none is best")

    def results(self) -> list[Result]:
        """Return the fits that scores come from."""
        return [r for cell in self._cells for fold in cell.sets for r in fold]

    def _score(self, folds: list[_Fold], scores: Scores) -> None:
        """Set the scores of each fold."""
        for i, (_, held_out) in enumerate(folds):
            self.scores[i] = scores.of(held_out, self.thetas[i])

    def _best(self) -> tuple[int, int]:
        sums = self._ranked.sum(axis=0)
        j, k = np.unravel_index(int(np.argmax(sums)), sums.shape)
        return int(j), int(k)

    def best(self) -> tuple[_Vector, float, float]:
        """Return the theta of all rows, C and share of L1 at the best mean score."""
        j, k = self._best()
        return self._cells[k].whole[j].theta, float(self.grid.Cs[j]), self.grid.shares[k]

    def mean_of_bests(self) -> tuple[_Vector, float, float]:
        """Return the means of theta, C and share of L1 over each fold's best."""
        n_folds, n_cs, n_ratios = self.scores.shape
        j, k = np.unravel_index(self._ranked.reshape(n_folds, -1).argmax(axis=1), (n_cs, n_ratios))
        theta = self.thetas[np.arange(n_folds), j, k].mean(axis=0)
        return theta, float(self.grid.Cs[j].mean()), float(np.array(self.grid.shares)[k].mean())

    def std_errors(self) -> _Vector:
        """Return the standard errors of the mean scores, (n_cs, n_l1_ratios)."""
        n_folds = self.scores.shape[0]
        if n_folds == 1:
            return np.full(self.scores.shape[1:], np.nan)
        errors: _Vector = self.scores.std(axis=0, ddof=1) / np.sqrt(n_folds)
        return errors

    def one_standard_error(self) -> float:
        """Return the strongest penalty's C that scores within one standard error of the best."""
        j, k = self._best()
        means = self._ranked.mean(axis=0)[:, k]
        error = np.nan_to_num(self.std_errors()[j, k])
        return float(self.grid.Cs[means >= means[j] - error].min())

    def attributes(
        self, C: float, l1_ratio: float | None, legacy: bool, refit: bool
    ) -> dict[str, Any]:
        """Return what scikit-learn's class keeps of the table, in one of its two forms."""
        n_folds, n_cs, n_ratios = self.scores.shape
        paths = self.thetas.reshape(
            n_folds, n_cs, n_ratios, self.layout.n_outputs, self.layout.width
        )
        paths = np.roll(paths, -self.layout.first, axis=-1)  # the intercept comes last
        ratios = self.grid.ratios
        found: dict[str, Any] = {
            "Cs_": self.grid.Cs,
            "l1_ratios_": np.array([None]) if ratios is None else ratios,
        }
        if not legacy:
            return {
                **found,
                "C_": C,
                "l1_ratio_": self.grid.shares[0] if l1_ratio is None else l1_ratio,
                "coefs_paths_": np.moveaxis(paths, 1, 2),
                "scores_": np.moveaxis(self.scores, 1, 2),
                "n_iter_": np.moveaxis(self.n_iter, 1, 2),
                "score_std_errors_": self.std_errors().T,
            }
        scores, n_iter, errors = self.scores, self.n_iter, self.std_errors()
        if ratios is None:
            paths, scores, n_iter, errors = (
                paths[:, :, 0],
                scores[..., 0],
                n_iter[..., 0],
                errors[:, 0],
            )
        names = self.classes if self.classes.size > 2 else self.classes[1:]
        if l1_ratio is None and not refit:
            l1_ratio = 0.0  # as scikit-learn has it
        return {
            **found,
            "C_": np.full(names.size, C),
            "l1_ratio_": np.array([l1_ratio] * names.size),
            "coefs_paths_": {c: paths[..., i, :].copy() for i, c in enumerate(names)},
            "scores_": {c: scores.copy() for c in names},
            "n_iter_": n_iter[None],
            "score_std_errors_": errors,
        }


class _LeaveOneOut(_Table):
    """The same for each row left out in turn, from the fits of all rows: one fold of all."""

    def _score(self, folds: list[_Fold], scores: Scores) -> None:
        self._errors = np.empty(self.scores.shape[1:])
        for j, k in np.ndindex(*self._errors.shape):
            C, share = float(self.grid.Cs[j]), self.grid.shares[k]
            found = scores.left_out(self.thetas[0, j, k], C, share)
            self.scores[0, j, k], self._errors[j, k] = found

    def std_errors(self) -> _Vector:
        """Return the standard errors of the mean scores: of the rows' by the root of their n."""
        return self._errors
