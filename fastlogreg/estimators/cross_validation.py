"""The exact estimator with its penalty chosen by cross-validation.

scikit-learn's contract around :func:`fastlogreg.solvers.folds.fit_folds`: folds are sets of row
numbers, of which nothing is copied, and the fit of all rows under each penalty comes with theirs,
so that a refit costs nothing. The usual scores come from the margins of the held-out rows, under
all values of C in one reading; any other scorer is called as scikit-learn calls it.
"""

import inspect
import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, Tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from fastlogreg import backends
from fastlogreg.backends import PassSpec
from fastlogreg.data import validation as check
from fastlogreg.data.memory import Rows
from fastlogreg.estimators.input import checked_rows, training_data
from fastlogreg.estimators.linear_classifier import LinearClassifier
from fastlogreg.estimators.logistic import LogisticRegression, refuse
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.problem.layout import Layout
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.folds import FoldFits, fit_folds
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.trace import Trace

__all__ = ["LogisticRegressionCV"]

_BUILT_IN = ("accuracy", "neg_log_loss", "neg_brier_score")
_SEPARATED = 1e-8  # a mean loss below this is hardly reached but by separated classes

_Array = NDArray[np.float64]


class LogisticRegressionCV(LinearClassifier):
    """Exact logistic regression whose ``C`` and ``l1_ratio`` are chosen by cross-validation.

    Takes the parameters of ``sklearn.linear_model.LogisticRegressionCV`` with their meaning, and
    has its attributes. All folds, and the fit of all rows, are made together: none of X is copied,
    and a reading of X serves all of them.

    Parameters
    ----------
    Cs : int or array-like of float, default=10
        Values of C to try; a number asks for as many between 1e-4 and 1e4, evenly in logarithm.
        ``np.inf`` is no penalty.
    l1_ratios : array-like of float or None, default=None
        Shares of L1 to try, in [0, 1]; None, deprecated as in scikit-learn, is L2 alone.
    fit_intercept : bool, default=True
    cv : int, splitter or iterable, optional
        As in scikit-learn: default stratified folds, 5.
    dual : bool, default=False
        Without effect.
    penalty : {"l1", "l2", "elasticnet"}, optional
        Deprecated, as in scikit-learn.
    scoring : str, callable or None, default=None
        None is accuracy. "accuracy", "neg_log_loss" and "neg_brier_score" take no time to speak of.
    solver : str, default="auto"
        One of the names that :class:`fastlogreg.LogisticRegression` takes, without effect: fits
        that go together share what they learn of the Hessian.
    tol : float, default=1e-8
        Bound on the estimated distance above the optimum, of each fit, as for
        :class:`fastlogreg.LogisticRegression`.
    max_iter : int, default=100
        Steps of a fit at most.
    class_weight : dict, "balanced" or None, default=None
        "balanced" is of all rows, as in scikit-learn.
    n_jobs : int, optional
        Threads, as for :class:`fastlogreg.LogisticRegression`.
    verbose : int, default=0
        Without effect.
    refit : bool, default=True
        Whether coefficients are those of all rows under the best penalty; else the mean over the
        folds of each one's best.
    intercept_scaling : float, default=1.0
        Without effect.
    random_state : int, RandomState instance or None, default=None
        Without effect: shuffling is the splitter's.
    use_legacy_attributes : bool, default=True
        Whether attributes have scikit-learn's older form: dicts by class. With False they are
        arrays, as below.
    n_threads : int, optional

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    Cs_ : ndarray of shape (n_cs,)
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_cs, 1 or n_classes, n_features + 1)
        The intercept last, if there is one.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
    score_std_errors_ : ndarray of shape (n_l1_ratios, n_cs)
        Standard errors of the mean scores: the spread over folds by the root of their number.
    C_, l1_ratio_ : float
        With the best mean score.
    C_1se_ : float
        The least C, with that ``l1_ratio_``, whose mean score is within one standard error of the
        best, as glmnet has it.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_cs), int32
    n_passes_ : float
        Readings of all rows, for all fits and scores together.
    objective_ : float
        Of the refit, as for :class:`fastlogreg.LogisticRegression`; only with ``refit``.
    converged_ : bool
        Whether all fits are within ``tol``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where X has string column names.

    See Also
    --------
    LogisticRegression : With a penalty that is given.

    Notes
    -----
    The one-standard-error rule is that of Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning, section 7.10.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogreg import LogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegressionCV(
    ...     l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False
    ... ).fit(X, y)
    >>> model.scores_.shape
    (5, 1, 10)
    >>> model.converged_, bool(model.C_1se_ <= model.C_)
    (True, True)
    """

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 10,
        l1_ratios: ArrayLike | str | None = "warn",
        fit_intercept: bool = True,
        cv: Any = None,
        dual: bool = False,
        penalty: str = "deprecated",
        scoring: Any = "warn",
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        class_weight: dict[Any, float] | str | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        refit: bool = True,
        intercept_scaling: float = 1.0,
        random_state: Any = None,
        use_legacy_attributes: bool | str = "warn",
        n_threads: int | None = None,
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
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes
        self.n_threads = n_threads

    @numpy_defaults
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Fit all folds and all rows under each penalty, and choose.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels: two different values or more.
        sample_weight : array-like of shape (n_samples,), optional
            For the fits and, as in scikit-learn, for the scores.
        offset : array-like of shape (n_samples,), or (n_samples, n_classes) beyond two, optional
            A known part of the margins; the usual scores know it, other scorers do not.
        **params
            For the splitter and the scorer, as scikit-learn routes them: ``groups``.

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
            If fits did not reach ``tol``; the message says how many.
        """
        grid = self._grid()
        matrix, y, columns = training_data(self, X, y)
        rows = checked_rows(self, matrix, y, sample_weight, offset, finite=False)
        routed = self._routed(sample_weight, params)
        splitter = check_cv(self.cv, y, classifier=True)
        folds = [_Fold(*map(_numbers, fold)) for fold in splitter.split(X, y, **routed.split)]
        if not folds:
            raise ValueError("cv gives no fold")
        weight = None if sample_weight is None else check.check_weights(sample_weight, len(y))
        scorer = _Scorer.made(grid.scoring, rows, X, y, weight, routed.score, self._theta_to_model)
        found = [self._fit_ratio(grid, ratio, rows, folds, scorer) for ratio in grid.ratios]
        if not all(one.fits.whole[0].finite for one in found):
            refuse(rows, None, self._threads())
        self._become(columns, **self._chosen(grid, rows, found, folds))
        self._warn(found)
        return self

    def _grid(self) -> "_Grid":
        """Return the parameters, checked, having said what is deprecated."""
        ratios, is_none = self._ratios()
        scoring = self.scoring
        if isinstance(scoring, str) and scoring == "warn":
            warnings.warn(
                "The default value of the parameter 'scoring' will change from None, i.e. accuracy,"
                " to 'neg_log_loss' in version 1.11 of scikit-learn. To silence this warning, set "
                "scoring='neg_log_loss' for the new, scoring='accuracy' or scoring=None for the "
                "old default.",
                FutureWarning,
                stacklevel=4,
            )
            scoring = None
        legacy = self.use_legacy_attributes
        if isinstance(legacy, str) and legacy == "warn":
            warnings.warn(
                f"The fitted attributes of {type(self).__name__} will be simplified in version 1.10"
                " of scikit-learn to remove redundancy. Set `use_legacy_attributes=False` to have "
                "the new ones now, or `True` to silence this warning. The default value of "
                "use_legacy_attributes will change from True to False then.",
                FutureWarning,
                stacklevel=4,
            )
            legacy = True
        check.check_flag(self.refit, "refit")
        legacy = check.check_flag(legacy, "use_legacy_attributes")
        get_scorer("accuracy" if scoring is None else scoring)  # one that is none is refused
        return _Grid(check.check_Cs(self.Cs), ratios, is_none, scoring, legacy)

    def _ratios(self) -> tuple[tuple[float, ...], bool]:
        """Return the shares of L1, and whether there is to be an axis for them."""
        given = self.l1_ratios
        if isinstance(given, str) and given == "warn":
            given = None
            warnings.warn(
                "The default value for l1_ratios will change from None to (0.0,) in version 1.10 of"
                " scikit-learn. To avoid this warning, set it, e.g. l1_ratios=(0,).",
                FutureWarning,
                stacklevel=5,
            )
        elif given is None and self.penalty == "deprecated":
            warnings.warn(
                "'l1_ratios=None' was deprecated in version 1.8 of scikit-learn and will be an "
                "error in 1.10. Use an array-like with values in [0, 1] instead.",
                FutureWarning,
                stacklevel=5,
            )
        if self.penalty == "deprecated":
            return (0.0,) if given is None else check.check_ratios(given), given is None
        warnings.warn(
            "'penalty' was deprecated in version 1.8 of scikit-learn and will be removed in 1.10. "
            "Use l1_ratios=(0,) instead of penalty='l2', l1_ratios=(1,) instead of penalty='l1', "
            "l1_ratios between 0 and 1 instead of penalty='elasticnet', and Cs=(np.inf,) instead of"
            " penalty=None.",
            FutureWarning,
            stacklevel=5,
        )
        penalty = check.check_choice(self.penalty, "penalty", ("l1", "l2", "elasticnet"))
        if penalty == "elasticnet":
            return check.check_ratios(given), False
        if given is not None:
            check.warn(
                f"l1_ratios parameter is only used when penalty is 'elasticnet'. Got "
                f"(penalty={penalty})",
                UserWarning,
            )
        ratio = float(penalty == "l1")
        n = 1 if given is None else len(check.check_ratios(given))
        return (ratio,) * n, given is None

    def _routed(self, sample_weight: ArrayLike | None, params: dict[str, Any]) -> Bunch:
        """Return what goes to the splitter (``split``) and to the scorer (``score``)."""
        if _routes():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return Bunch(split=routed.splitter.split, score=routed.scorer.score)
        if params:
            raise ValueError(
                f"{sorted(params)} were passed to fit, which is only supported if "
                "enable_metadata_routing=True is set in scikit-learn's config"
            )
        score = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(split={}, score=score)

    def _fit_ratio(
        self, grid: "_Grid", ratio: float, rows: Rows, folds: list["_Fold"], scorer: "_Scorer"
    ) -> "_Found":
        """Fit folds and all rows under all Cs with one share of L1, and score."""
        plain = LogisticRegression(
            l1_ratio=ratio,
            fit_intercept=self.fit_intercept,
            dual=self.dual,
            intercept_scaling=self.intercept_scaling,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            n_threads=self._threads(),
            verbose=self.verbose,
        )
        settings = plain._settings()
        settings = replace(settings, solver=proximal if ratio > 0.0 else auto, prints=False)
        problem = settings.problem(rows)
        order = np.argsort(grid.Cs, kind="stable")

        def penalty(weight: float, number: int) -> Any:
            strength = check.check_penalty(float(grid.Cs[order[number]]), weight)
            return settings.penalty(strength, problem.layout)

        last = {"stop_value": _SEPARATED} if np.isinf(grid.Cs).any() else {}
        with problem.solving():
            fits = fit_folds(
                problem,
                [np.sort(fold.train) for fold in folds],
                order.size,
                penalty,
                settings.solver,
                tol=settings.tol,
                max_iter=settings.max_iter,
                **last,
            )
        back = np.argsort(order)
        whole = [fits.whole[k] for k in back]
        for k in np.flatnonzero(np.isinf(grid.Cs)):  # is there an optimum?
            own = replace(settings, C=np.inf)
            whole[k] = own.solve(own.problem(rows), rows, whole[k].theta, Trace())[0]
        fits = FoldFits(whole, [[results[k] for k in back] for results in fits.sets])
        scores = np.empty((len(folds), grid.Cs.size))
        if fits.whole[0].finite:
            for number, fold in enumerate(folds):
                results = fits.sets[number]
                thetas = np.array([problem.layout.rows(one.theta) for one in results])
                scores[number] = scorer(fold.test, thetas, settings.intercept)
            problem.count(sum(fold.test.size for fold in folds) / len(rows.targets))
        return _Found(fits, scores, problem.n_passes, problem.layout)

    def _theta_to_model(self, theta: _Array, rows: Rows) -> LogisticRegression:
        """Return a fitted estimator with these coefficients, (m, p), for a scorer."""
        model = LogisticRegression(fit_intercept=self.fit_intercept, n_threads=self._threads())
        model.classes_ = rows.classes
        model.coef_, model.intercept_ = model._coefficients(theta, rows.matrix)
        model.n_features_in_ = rows.matrix.shape[1]
        return model

    def _chosen(
        self, grid: "_Grid", rows: Rows, found: list["_Found"], folds: list["_Fold"]
    ) -> dict[str, Any]:
        """Return the attributes."""
        layout = found[0].layout
        scores = np.stack([one.scores for one in found], axis=1)  # (folds, ratios, Cs)
        n_folds = len(folds)
        mean = scores.mean(axis=0)
        errors = np.full_like(mean, np.nan)
        if n_folds > 1:
            errors = scores.std(axis=0, ddof=1) / np.sqrt(n_folds)
        # the first of equals: of the Cs, and of a C the ratios, as scikit-learn does
        best_C, best_ratio = np.unravel_index(int(scores.sum(axis=0).T.argmax()), mean.T.shape)
        best = found[best_ratio].fits.whole[best_C]
        near = mean[best_ratio] >= mean[best_ratio, best_C] - np.nan_to_num(
            errors[best_ratio, best_C]
        )
        n_iter = np.array(
            [[[r.n_iter for r in one.fits.sets[k]] for one in found] for k in range(n_folds)],
            dtype=np.int32,
        )
        thetas = np.array(
            [
                [[layout.rows(r.theta) for r in one.fits.sets[k]] for one in found]
                for k in range(n_folds)
            ]
        )
        paths = np.roll(thetas, -layout.first, axis=-1)  # the intercept last
        C, ratio = float(grid.Cs[best_C]), float(grid.ratios[best_ratio])
        theta = layout.rows(best.theta)
        if not self.refit:
            by_fold = scores.swapaxes(1, 2).reshape(n_folds, -1).argmax(axis=1)
            at_C, at_ratio = np.unravel_index(by_fold, mean.T.shape)
            theta = thetas[np.arange(n_folds), at_ratio, at_C].mean(axis=0)
            C, ratio = float(grid.Cs[at_C].mean()), float(np.take(grid.ratios, at_ratio).mean())
        coef, intercept = self._coefficients(theta, rows.matrix)
        results = [r for one in found for results in one.fits.sets for r in results] + (
            [best] if self.refit else []
        )
        attributes: dict[str, Any] = {
            "classes_": rows.classes,
            "coef_": coef,
            "intercept_": intercept,
            "Cs_": grid.Cs,
            "l1_ratios_": np.array([None]) if grid.no_ratios else np.array(grid.ratios),
            "score_std_errors_": errors,
            "C_1se_": float(grid.Cs[near].min()),
            "n_passes_": float(sum(one.n_passes for one in found)),
            "converged_": all(r.converged for r in results),
        }
        if self.refit:
            attributes["objective_"] = best.value
        n_classes = rows.classes.size
        if not grid.legacy:
            return attributes | {
                "C_": C,
                "l1_ratio_": ratio,
                "coefs_paths_": paths,
                "scores_": scores,
                "n_iter_": n_iter,
            }
        # by class, and folds x Cs x ratios
        by_C = paths.swapaxes(1, 2), scores.swapaxes(1, 2), n_iter.swapaxes(1, 2)[None]
        if grid.no_ratios:
            by_C = by_C[0][:, :, 0], by_C[1][:, :, 0], by_C[2][..., 0]
        labels = rows.classes[1:] if n_classes == 2 else rows.classes
        return attributes | {
            "C_": np.full(labels.size, C),
            "l1_ratio_": np.full(labels.size, None if grid.no_ratios and self.refit else ratio),
            "coefs_paths_": {label: by_C[0][..., k, :] for k, label in enumerate(labels)},
            "scores_": {label: by_C[1].copy() for label in labels},
            "n_iter_": by_C[2],
        }

    def _warn(self, found: list["_Found"]) -> None:
        folds = [r for one in found for results in one.fits.sets for r in results]
        failed = sum(not r.converged for r in folds)
        whole = [r for one in found for r in one.fits.whole]
        others = sum(not r.converged for r in whole)
        if failed or (others and self.refit and not self.converged_):
            check.warn(
                f"no convergence to tol={self.tol:g}: {failed} of {len(folds)} fits of folds and "
                f"{others} of {len(whole)} of all rows; raise max_iter or tol, or leave out the "
                "largest Cs (of classes that can be separated without penalty there is no optimum)",
                ConvergenceWarning,
            )

    # --- scoring and routing ------------------------------------------------------------------

    @numpy_defaults
    def score(  # type: ignore[override]
        self, X: ArrayLike, y: ArrayLike, **score_params: Any
    ) -> float:
        """Return the score of ``scoring`` on these rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            The true labels.
        **score_params
            For the scorer, such as ``sample_weight``.

        Returns
        -------
        float
        """
        scorer = self._get_scorer()
        if _routes():
            given = process_routing(self, "score", **score_params).scorer.score
        else:
            unknown = sorted(set(score_params) - {"sample_weight"})
            if unknown:
                raise ValueError(
                    f"{unknown} were passed to score, which is only supported if "
                    "enable_metadata_routing=True is set in scikit-learn's config"
                )
            given = {k: v for k, v in score_params.items() if v is not None}
        return float(scorer(self, X, y, **given))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata go to the splitter and to the scorer.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        mapping = MethodMapping().add(caller="score", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._get_scorer(),
                method_mapping=mapping.add(caller="fit", callee="score"),
            )
        )

    def _get_scorer(self) -> Any:
        scoring = self.scoring
        if scoring is None or (isinstance(scoring, str) and scoring == "warn"):
            scoring = "accuracy"
        return get_scorer(scoring)

    def plot(self, ax: Any = None) -> Any:
        """Draw mean scores with their standard errors over C.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Default: a new one.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib: ``pip install 'fastlogreg[plot]'``.
        """
        self._theta()
        plt = check.check_matplotlib()
        if ax is None:
            ax = plt.subplots(figsize=(7, 4.5), layout="constrained")[1]
        scores = self.scores_
        if isinstance(scores, dict):
            scores = next(iter(scores.values()))
            scores = scores[:, None] if scores.ndim == 2 else scores.swapaxes(1, 2)
        mean = scores.mean(axis=0)
        order = np.argsort(self.Cs_)
        for k, ratio in enumerate(np.atleast_1d(self.l1_ratios_)):
            name = None if mean.shape[0] == 1 else f"l1_ratio = {ratio:g}"
            ax.errorbar(
                self.Cs_[order],
                mean[k, order],
                self.score_std_errors_[k, order],
                marker="o",
                markersize=4,
                linewidth=1.2,
                elinewidth=0.8,
                capsize=2,
                label=name,
            )
        ax.axvline(float(np.ravel(self.C_)[0]), color="0.3", linewidth=1, label="best")
        ax.axvline(self.C_1se_, color="0.3", linewidth=1, linestyle=":", label="within 1 s.e.")
        ax.set_xscale("log")
        ax.set_xlabel("C")
        name = self.scoring if isinstance(self.scoring, str) and self.scoring != "warn" else None
        ax.set_ylabel("mean score" if name is None else name)
        ax.legend(frameon=False)
        return ax

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags


class _Fold(NamedTuple):
    """Numbers of the rows of a fold."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


class _Found(NamedTuple):
    """What was found with one share of L1: fits, in the order of Cs, and scores (folds, Cs)."""

    fits: FoldFits
    scores: _Array
    n_passes: float
    layout: Layout


@dataclass(frozen=True)
class _Grid:
    """The parameters, checked."""

    Cs: _Array
    ratios: tuple[float, ...]
    no_ratios: bool  # no axis for them
    scoring: Any
    legacy: bool


@dataclass(frozen=True)
class _Scorer:
    """Scores of held-out rows under several thetas."""

    name: str | None  # of a built-in one
    scorer: Any
    rows: Rows
    X: Any
    y: NDArray[Any]
    weight: _Array | None
    params: dict[str, Any]
    to_model: Any

    @classmethod
    def made(
        cls,
        scoring: Any,
        rows: Rows,
        X: Any,
        y: NDArray[Any],
        weight: _Array | None,
        params: dict[str, Any],
        to_model: Any,
    ) -> "_Scorer":
        scorer = None if scoring is None else get_scorer(scoring)
        if scoring is None:  # the estimator's own score
            return cls("accuracy", None, rows, X, y, weight, {}, to_model)
        if isinstance(scoring, str) and scoring in _BUILT_IN and set(params) <= {"sample_weight"}:
            own = params.get("sample_weight")
            own = None if own is None else np.asarray(own, dtype=np.float64)
            return cls(scoring, None, rows, X, y, own, {}, to_model)
        return cls(None, _with_labels(scorer, rows.classes), rows, X, y, None, params, to_model)

    def __call__(self, test: NDArray[np.int64], thetas: _Array, intercept: bool) -> _Array:
        """Return the scores of these rows under each theta, (n, m, p)."""
        if self.name is None:
            return self._by_scorer(test, thetas)
        n, m, p = thetas.shape
        spec = PassSpec("cross_entropy", "softmax", intercept, n_outputs=n * m)
        bound = backends.get("numba").bind(self.rows.matrix, None, None, None, spec)
        # under all of them in one reading, as if they were classes
        margins = bound.sample(test).margins(thetas.reshape(n * m, p)).reshape(-1, n, m)
        if self.rows.offset is not None:
            margins += self.rows.offset[test].reshape(test.size, 1, -1)
        codes = self.rows.targets[test].astype(np.intp)
        weight = None if self.weight is None else self.weight[test]
        built_in = {
            "accuracy": _accuracy,
            "neg_log_loss": _log_loss,
            "neg_brier_score": _brier,
        }[self.name]
        return np.array([built_in(margins[:, k], codes, weight) for k in range(n)])

    def _by_scorer(self, test: NDArray[np.int64], thetas: _Array) -> _Array:
        from sklearn.utils import _safe_indexing

        X, y = _safe_indexing(self.X, test), self.y[test]
        n = len(self.y)
        params = {
            name: _safe_indexing(value, test) if _has_rows(value, n) else value
            for name, value in self.params.items()
        }
        return np.array(
            [self.scorer(self.to_model(theta, self.rows), X, y, **params) for theta in thetas]
        )


def _has_rows(value: Any, n: int) -> bool:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return bool(len(shape) and shape[0] == n)
    return hasattr(value, "__len__") and not isinstance(value, str | dict) and len(value) == n


def _with_labels(scorer: Any, classes: NDArray[Any]) -> Any:
    """Return a scorer that knows all classes, where it takes them: a fold may lack one."""
    function = getattr(scorer, "_score_func", None)
    takes = inspect.signature(function).parameters if function is not None else {}
    if "labels" not in takes:
        return scorer
    more = {"pos_label": classes[-1]} if classes.size == 2 and "pos_label" in takes else {}
    return make_scorer(
        function,
        greater_is_better=scorer._sign == 1,
        response_method=scorer._response_method,
        labels=classes,
        **{**more, **getattr(scorer, "_kwargs", {})},
    )


def _probabilities(margins: _Array) -> _Array:
    """Return the probabilities of the classes, (n, K), from (n, 1) or (n, K) margins."""
    if margins.shape[1] == 1:
        z = margins[:, 0]
        t = np.exp(-np.abs(z))
        large, small = 1.0 / (1.0 + t), t / (1.0 + t)
        return np.column_stack([np.where(z < 0, large, small), np.where(z < 0, small, large)])
    t = np.exp(margins - margins.max(axis=1, keepdims=True))
    found: _Array = t / t.sum(axis=1, keepdims=True)
    return found


def _accuracy(margins: _Array, codes: NDArray[np.intp], weight: _Array | None) -> float:
    if margins.shape[1] == 1:
        found = margins[:, 0] > 0.0
    else:
        found = margins.argmax(axis=1)
    return float(np.average(found == codes, weights=weight))


def _log_loss(margins: _Array, codes: NDArray[np.intp], weight: _Array | None) -> float:
    p = _probabilities(margins)[np.arange(codes.size), codes]
    eps = np.finfo(np.float64).eps  # scikit-learn's log_loss clips
    return float(np.average(np.log(np.clip(p, eps, 1.0 - eps)), weights=weight))


def _brier(margins: _Array, codes: NDArray[np.intp], weight: _Array | None) -> float:
    p = _probabilities(margins)
    p[np.arange(codes.size), codes] -= 1.0
    square = (p * p).sum(axis=1)
    if margins.shape[1] == 1:
        square = 0.5 * square  # the square of one of two
    return -float(np.average(square, weights=weight))


def _numbers(rows: Any) -> NDArray[np.int64]:
    """Return row numbers, of numbers or a mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)


def _routes() -> bool:
    from sklearn import get_config

    return bool(get_config().get("enable_metadata_routing", False))
