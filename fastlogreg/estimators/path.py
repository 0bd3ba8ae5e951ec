"""Regularization paths: the same fit from the strongest penalty to a weak one.

:func:`regularization_path` takes what :class:`fastlogreg.LogisticRegression` takes, checked by the
same code, and hands penalties of falling strength to :func:`fastlogreg.solvers.path.follow`, which
begins each fit where the last one ended. :class:`Path` is what comes back: arrays by point, and
what people do with them (a table, a picture, the choice of a point).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from sklearn.exceptions import ConvergenceWarning

from fastlogreg.data import validation as check
from fastlogreg.data.memory import Columns, Rows
from fastlogreg.data.weightless import NEVER, set_aside
from fastlogreg.estimators.input import training
from fastlogreg.estimators.logistic import (
    SEPARATED,
    LogisticRegression,
    Settings,
    all_rows,
    may_separate,
    refuse,
)
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.plots.models import coefficient_path
from fastlogreg.problem.centring import centring
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import L2, ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result
from fastlogreg.solvers.path import base_model, follow, null_model, strongest
from fastlogreg.solvers.search import Point

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Path", "regularization_path"]

# where a path ends early, as in glmnet (its `mnlam`, `fdev` and `devmax`)
_LEAST_POINTS = 5
_LEAST_GAIN = 1e-5  # of the deviance explained, as a share of it
_MOST_EXPLAINED = 0.999
_LEAST_L1 = 1e-3  # share of L1 that the strongest penalty is that of, at least, as in glmnet
_CRITERIA = ("aic", "bic", "ebic")
_BASE_TOL = 1e-15  # of the fit without the columns that have a penalty
_SLOPE = 4e-15  # of a column's size: a slope below that is rounding
_HAIR = 1e-12  # of the strongest penalty: what is added beside columns without one at least,
_MOST_MOVED = 1e-3  # and at most
_COMPLETE = "complete"

_Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Path:
    """Models by strength of the penalty, the strongest first; see :func:`regularization_path`.

    Attributes
    ----------
    Cs : ndarray of shape (n_points,)
        Inverse strengths of the penalty, ascending.
    lambdas : ndarray of shape (n_points,)
        Strengths on the mean loss, ``1 / (C * S)`` with the sum S of the weights: glmnet's.
    l1_ratio : float
    coefs : ndarray of shape (n_points, n_features) or (n_points, n_classes, n_features)
        The second for more than two classes.
    intercepts : ndarray of shape (n_points,) or (n_points, n_classes)
    n_nonzero : ndarray of shape (n_points,), int64
        Columns with a coefficient that is not 0, of any class.
    deviance : ndarray of shape (n_points,)
        ``2 sum_i s_i loss_i``.
    null_deviance : float
        That of the model without columns: the intercepts and the offset alone.
    deviance_explained : ndarray of shape (n_points,)
        ``1 - deviance / null_deviance``.
    objectives : ndarray of shape (n_points,)
        The mean loss plus the penalty.
    duality_gaps : ndarray of shape (n_points,)
        Bounds on how far each objective is above its optimum; without L1 the estimates, half the
        Newton decrements.
    n_iter : ndarray of shape (n_points,), int64
        Steps taken at each point.
    n_passes : ndarray of shape (n_points,)
        Readings of all rows at each point.
    n_passes_total : float
        Those of all, the null model's too.
    converged : ndarray of shape (n_points,), bool
        Whether each distance is within ``tol`` of its objective.
    status : str
        Why the path ended: "complete", or what was enough.
    classes_ : ndarray of shape (n_classes,)
    feature_names : ndarray of shape (n_features,), str
    n_samples : int
        Rows of weight above 0.
    """

    Cs: _Vector
    lambdas: _Vector
    l1_ratio: float
    coefs: _Vector
    intercepts: _Vector
    n_nonzero: NDArray[np.int64]
    deviance: _Vector
    null_deviance: float
    deviance_explained: _Vector
    objectives: _Vector
    duality_gaps: _Vector
    n_iter: NDArray[np.int64]
    n_passes: _Vector
    n_passes_total: float
    converged: NDArray[np.bool_]
    status: str
    classes_: NDArray[Any]
    feature_names: NDArray[Any]
    n_samples: int
    _estimator: LogisticRegression = field(repr=False)
    _columns: Columns = field(repr=False)

    def __len__(self) -> int:
        return int(self.Cs.size)

    def __repr__(self) -> str:
        return (
            f"Path({len(self)} points, lambda {self.lambdas[0]:.3g} to {self.lambdas[-1]:.3g}, "
            f"{self.n_nonzero[-1]} of {self.feature_names.size} columns at the last, "
            f"{self.deviance_explained[-1]:.1%} of the deviance explained; {self.status})"
        )

    # --- choosing a point -----------------------------------------------------------------

    @property
    def degrees_of_freedom(self) -> NDArray[np.int64]:
        """Return the free parameters at each point, (n_points,).

        Of L1 these are the coefficients that are not 0 (Zou, Hastie and Tibshirani 2007), and the
        intercepts; for K > 2 classes, whose intercepts sum to 0, K - 1 of them. A class without
        weight, which the fit sets aside, has none; of two classes that remain a column has one.
        """
        coefs: NDArray[Any] = self.coefs
        k = self.classes_.size
        if not self._estimator.fit_intercept:
            return _counted(coefs)
        if k > 2:
            held = self.intercepts[0] > NEVER
            coefs, k = coefs[:, held], int(held.sum())
            if k == 2:
                coefs = np.asarray(coefs.any(axis=1))
        return _counted(coefs) + k - 1

    def aic(self) -> _Vector:
        """Return Akaike's criterion at each point, ``deviance + 2 df``, (n_points,)."""
        return self._criterion(2.0)

    def bic(self) -> _Vector:
        """Return the Bayesian criterion at each point, ``deviance + log(n_samples) df``."""
        return self._criterion(np.log(self.n_samples))

    def ebic(self, gamma: float = 0.5) -> _Vector:
        """Return the extended Bayesian criterion at each point, (n_points,).

        ``bic + 2 gamma log(d choose k)`` for k columns of d that are not 0: for many columns, of
        which few should be chosen.

        Parameters
        ----------
        gamma : float, default=0.5
            From 0, which is the Bayesian criterion, to 1.

        References
        ----------
        Chen and Chen (2008), Extended Bayesian information criteria for model selection with
        large model spaces, Biometrika 95.
        """
        gamma = check.check_share(gamma, "gamma", closed=True)
        d, k = float(self.feature_names.size), self.n_nonzero
        models = gammaln(d + 1.0) - gammaln(k + 1.0) - gammaln(d - k + 1.0)
        found: _Vector = self.bic() + 2.0 * gamma * models
        return found

    def _criterion(self, price: float) -> _Vector:
        if self.l1_ratio == 0.0:
            raise ValueError(
                "information criteria count the coefficients that are not 0, and without L1 none "
                "is: use l1_ratio above 0"
            )
        found: _Vector = self.deviance + price * self.degrees_of_freedom
        return found

    def select(self, criterion: str = "bic", **options: Any) -> int:
        """Return the point at which a criterion is least; of equals that of the strongest penalty.

        Sums of weights other than the number of rows change what the criteria mean.

        Parameters
        ----------
        criterion : {"aic", "bic", "ebic"}, default="bic"
        **options
            ``gamma`` for "ebic".

        Returns
        -------
        int
        """
        name = check.check_choice(criterion, "criterion", _CRITERIA)
        return int(np.argmin(getattr(self, name)(**options)))

    def best(self, criterion: str = "bic", **options: Any) -> LogisticRegression:
        """Return the model of :meth:`select`."""
        return self.model(self.select(criterion, **options))

    def model(self, point: int) -> LogisticRegression:
        """Return the model at a point, as fitted; it predicts, and ``fit`` fits it anew.

        Parameters
        ----------
        point : int
            Counted from the strongest penalty; negative from the weakest.

        Returns
        -------
        LogisticRegression
        """
        if not isinstance(point, Integral):
            raise TypeError(f"point must be an integer, got {point!r}")
        if not -len(self) <= point < len(self):
            raise IndexError(f"point must be within the {len(self)} points, got {point}")
        i = int(point)
        model = LogisticRegression(**{**self._estimator.get_params(), "C": float(self.Cs[i])})
        own = self._estimator
        bounds = check.check_bounds(own.lower_bounds, own.upper_bounds, self.feature_names.size)
        has_gap = self.l1_ratio > 0.0 or bounds is not None
        certificate = {"duality_gap_": float(self.duality_gaps[i])} if has_gap else {}
        model._become(
            self._columns,
            classes_=self.classes_,
            coef_=np.atleast_2d(self.coefs[i]).copy(),
            intercept_=np.atleast_1d(self.intercepts[i]).copy(),
            n_iter_=np.array([self.n_iter[i]], dtype=np.int32),
            n_passes_=float(self.n_passes[i]),
            objective_=float(self.objectives[i]),
            converged_=bool(self.converged[i]),
            **certificate,
        )
        return model

    # --- looking at it --------------------------------------------------------------------

    def to_frame(self, *, coefs: bool = False) -> "pd.DataFrame":
        """Return a table with a row for each point, by pandas.

        Parameters
        ----------
        coefs : bool, default=False
            Whether it has the intercept and the coefficients too, a column each by name; for more
            than two classes one for each class, by (name, class).

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        names = ["deviance", "deviance_explained", "objective", "duality_gap"]
        values = [self.deviance, self.deviance_explained, self.objectives, self.duality_gaps]
        table: dict[str, Any] = {"C": self.Cs, "lambda": self.lambdas, "n_nonzero": self.n_nonzero}
        table |= dict(zip(names, values, strict=True))
        table |= {"n_iter": self.n_iter, "n_passes": self.n_passes, "converged": self.converged}
        frame = pd.DataFrame(table)
        if not check.check_flag(coefs, "coefs"):
            return frame
        columns: list[Any] = ["intercept", *self.feature_names]
        rows = np.concatenate([self.intercepts[..., None], self.coefs], axis=-1)
        if rows.ndim == 3:
            columns = [(name, label) for label in self.classes_ for name in columns]
        more = pd.DataFrame(rows.reshape(len(self), -1))
        more.columns = pd.Index(columns, tupleize_cols=False)
        return pd.concat([frame, more], axis=1)

    def plot(self, ax: "Axes | None" = None, *, n_names: int = 10) -> "Axes":
        """Draw the coefficients over the strength of the penalty, by Matplotlib.

        For more than two classes each line is the size of a column's coefficients, the root of the
        sum of their squares.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; default those of a new figure.
        n_names : int, default=10
            How many columns are named at the end of their lines: those of the largest
            coefficients there.

        Returns
        -------
        matplotlib.axes.Axes
        """
        return coefficient_path(self, n_names=n_names, ax=ax)


@numpy_defaults
def regularization_path(
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    Cs: int | ArrayLike = 100,
    l1_ratio: float = 1.0,
    C_min_ratio: float = 1e-3,
    fit_intercept: bool = True,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    class_weight: dict[Any, float] | str | None = None,
    tol: float = 1e-8,
    max_iter: int = 100,
    early_stopping: bool = True,
    n_threads: int | None = None,
    feature_names: ArrayLike | None = None,
    verbose: int = 0,
    penalty_factors: ArrayLike | None = None,
    lower_bounds: ArrayLike | None = None,
    upper_bounds: ArrayLike | None = None,
) -> Path:
    """Fit logistic regression from the strongest penalty to a weak one, each from the last.

    The objective is that of :class:`fastlogreg.LogisticRegression`, and each point ends within
    ``tol`` of its optimum as there; glmnet's ``lambda`` is ``1 / (C * S)``, S the sum of the
    weights.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        float32 and float64 arrays and CSR matrices are used in place. Columns are not
        standardized; the penalty is that of the columns as they are. Or rows of
        :func:`fastlogreg.open_rows`, or a collection of Dask; beyond memory they are read for each
        pass, and ``n_passes_total`` says how often.
    y : array-like of shape (n_samples,)
        Labels: two different values or more.
    Cs : int or array-like of shape (n_points,), default=100
        How many points, on a logarithmic grid from the strongest penalty (the least that leaves
        all coefficients at 0) downward; or these inverse strengths, in any order, which the result
        has in ascending order.
    l1_ratio : float, default=1.0
        The share of L1. Below 1e-3 the grid starts where it would for 1e-3, as in glmnet.
    C_min_ratio : float, default=1e-3
        The weakest penalty of the grid over the strongest, above 0 and below 1.
    fit_intercept : bool, default=True
    sample_weight : array-like of shape (n_samples,), optional
    offset : array-like of shape (n_samples,), or (n_samples, n_classes) beyond two, optional
        A known part of the margins.
    class_weight : dict, "balanced" or None, default=None
    tol : float, default=1e-8
        Bound on the duality gap at each point, relative to the objective.
    max_iter : int, default=100
        Steps at each point at most.
    early_stopping : bool, default=True
        Whether a grid (an int for ``Cs``) ends, after five points at least, where a point explains
        less than 1e-5 more of the deviance, relatively, or the deviance explained is above 0.999,
        as in glmnet. ``status`` says so.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.
    feature_names : array-like of shape (n_features,), optional
        Default the names of a frame's columns, or x0, x1 and so on.
    verbose : int, default=0
        Above 0: a line for each point.
    penalty_factors, lower_bounds, upper_bounds
        As for :class:`fastlogreg.LogisticRegression`. The grid starts at the strongest penalty of
        which all columns that have one stay at 0, or as near to it as their bounds let them be:
        columns with a factor of 0 are fitted first, and what is left of their slopes is added.

    Returns
    -------
    Path

    Raises
    ------
    ValueError, TypeError
        If a parameter or the input is not as described; the message names it.

    Warns
    -----
    ConvergenceWarning
        If points did not reach ``tol``: one warning that says how many. ``converged`` says which.

    Notes
    -----
    Columns that may matter at the next point are guessed by how far their slopes may move (the
    sequential strong rule), which can be wrong; the duality gap is over all columns, so that a
    wrong guess costs another step and never a wrong answer.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via
    coordinate descent, Journal of Statistical Software 33; Tibshirani et al. (2012), Strong rules
    for discarding predictors in lasso-type problems, JRSS B 74.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogreg import regularization_path
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> path = regularization_path((X - X.mean(axis=0)) / X.std(axis=0), y, Cs=20)
    >>> path.n_nonzero[[0, -1]].tolist(), bool(path.converged.all())
    ([0, 22], True)
    >>> path.best("bic").coef_.shape
    (1, 30)
    """
    estimator = LogisticRegression(
        l1_ratio=l1_ratio,
        fit_intercept=fit_intercept,
        class_weight=class_weight,
        tol=tol,
        max_iter=max_iter,
        n_threads=n_threads,
        verbose=verbose,
        penalty_factors=penalty_factors,
        lower_bounds=lower_bounds,
        upper_bounds=upper_bounds,
    )
    settings = estimator._settings()
    grid = _checked_grid(Cs, C_min_ratio)
    ends_early = check.check_flag(early_stopping, "early_stopping") and isinstance(grid, int)
    data = training(
        estimator, X, y, sample_weight, offset, finite=False, parts=True, partitions=True
    )
    columns, classes = data.columns, data.rows.classes
    rows, held = data.rows, None
    if data.source is None:
        rows, held = set_aside(rows, class_weight, settings.intercept)
    names = _names(feature_names, columns)
    problem = settings.problem(rows, data.source, softmax=classes.size > 2)
    layout, total = problem.layout, problem.source.total_weight
    near = centring(problem)  # what follows is in its columns, where there are any
    own = problem if near is None else near.problem
    with problem.solving() as again, again:
        none = np.zeros(layout.size)
        without = own.with_penalty(L2(none))
        theta, point = null_model(without)
        if not np.isfinite(point.value) or not np.isfinite(point.gradient).all():
            refuse(rows, None, settings.n_threads)
        null = point.value
        top = replace(settings, l1_ratio=max(settings.l1_ratio, _LEAST_L1))
        unit = top.penalty_at(1.0, layout)
        if not isinstance(unit, ElasticNet):  # no column has a penalty
            unit = ElasticNet(none, none)
        separable = may_separate(layout, unit)
        limits: dict[str, Any] = {
            "tol": settings.tol,
            "max_iter": settings.max_iter,
            "stop_value": SEPARATED if separable else 0.0,
        }
        theta, point = base_model(without, unit, theta, point, **limits | {"tol": _BASE_TOL})
        if isinstance(grid, int):
            lambdas = _falling(_top(unit, theta, point), grid, C_min_ratio)
            grid = 1.0 / (lambdas * total)
        lambdas = np.array([check.check_penalty(C, total) for C in grid])
        penalties = [settings.penalty_at(strength, layout) for strength in lambdas]
        found = follow(own, penalties, theta, point, **limits)
        if near is not None:
            found = (replace(each, theta=near.back(each.theta)) for each in found)
        points, status = _collect(found, penalties, null, ends_early, settings.prints)
        if separable:
            points = [_judged(result, settings, rows, problem, unit) for result in points]
    k = len(points)
    full = problem.with_penalty(unit)  # its bounds
    thetas = np.array([all_rows(result.theta, full, held) for result in points])
    first = layout.first
    coefs = thetas[:, :, first:]
    intercepts = thetas[:, :, 0] if first else np.zeros(thetas.shape[:2])
    if layout.n_outputs == 1:
        coefs, intercepts = coefs[:, 0], intercepts[:, 0]
    losses = np.array([r.value - p.value(r.theta) for r, p in zip(points, penalties, strict=False)])
    if data.source is not None:
        weights = data.source.labels[1]
        n_samples = data.source.n_rows
    else:
        weights, n_samples = rows.weights, rows.targets.size
    if weights is not None:
        n_samples = int(np.count_nonzero(weights))
    path = Path(
        Cs=grid[:k],
        lambdas=lambdas[:k],
        l1_ratio=settings.l1_ratio,
        coefs=coefs.copy(),
        intercepts=intercepts.copy(),
        n_nonzero=(thetas[:, :, first:] != 0.0).any(axis=1).sum(axis=1),
        deviance=2.0 * total * losses,
        null_deviance=2.0 * total * null,
        deviance_explained=_explained(losses, null),
        objectives=np.array([result.value for result in points]),
        duality_gaps=np.array([result.decrement for result in points]),
        n_iter=np.array([result.n_iter for result in points]),
        n_passes=np.array([result.n_passes for result in points]),
        n_passes_total=problem.n_passes,
        converged=np.array([result.converged for result in points]),
        status=status,
        classes_=classes,
        feature_names=names,
        n_samples=n_samples,
        _estimator=estimator,
        _columns=columns,
    )
    if not path.converged.all():
        _warn(path, settings.tol)
    return path


def _judged(
    result: Result, settings: Settings, rows: Rows, problem: Problem, unit: ElasticNet
) -> Result:
    """Return a point, not converged where columns without a penalty separate the rows."""
    if result.finite and settings.separation(rows, problem, unit.grows(), result):
        return replace(result, converged=False)
    return result


def _collect(
    found: Iterator[Result], penalties: list[Any], null: float, ends_early: bool, prints: bool
) -> tuple[list[Result], str]:
    """Return the points up to where it is enough, and why they end."""
    points: list[Result] = []
    before = 0.0
    for penalty, result in zip(penalties, found, strict=True):
        if result.decrement == 0.0:  # of an objective of 0 it is no part
            result = replace(result, converged=True)
        points.append(result)
        explained = _explained(result.value - penalty.value(result.theta), null)
        if prints:
            print(
                f"{len(points):4d}  explained {explained:8.4%}  objective {result.value:14.8g}  "
                f"gap {result.decrement:8.2e}  steps {result.n_iter:3d}  "
                f"passes {result.n_passes:6.4g}"
            )
        if ends_early and result.converged and len(points) >= _LEAST_POINTS:
            if explained > _MOST_EXPLAINED:
                return points, f"more than {_MOST_EXPLAINED:.1%} of the deviance is explained"
            if explained - before < _LEAST_GAIN * explained:
                return points, f"a point explains less than {_LEAST_GAIN:g} more of the deviance"
        before = explained
    return points, _COMPLETE


def _explained(loss: Any, null: float) -> Any:
    """Return the share of the null model's loss that is explained: 0 where it loses nothing."""
    return 1.0 - loss / null if null > 0.0 else 0.0 * loss


def _checked_grid(Cs: int | ArrayLike, C_min_ratio: float) -> int | _Vector:
    """Return how many points, or the inverse strengths in ascending order."""
    ratio = check.check_share(C_min_ratio, "C_min_ratio")
    if ratio == 0.0:
        raise ValueError("C_min_ratio must be above 0, got 0")
    if isinstance(Cs, Integral):
        count = check.check_count(Cs, "Cs")
        assert count is not None
        return count
    check.check_readable(Cs, "Cs")
    try:
        grid = np.array(Cs, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"Cs must be an integer or an array of numbers, got {Cs!r}") from None
    if grid.ndim != 1 or grid.size == 0:
        raise ValueError(f"Cs must be a one-dimensional array of numbers, got shape {grid.shape}")
    if not (np.isfinite(grid) & (grid > 0.0)).all():
        raise ValueError("Cs must hold finite numbers above 0")
    return np.sort(grid)


def _top(unit: ElasticNet, theta: _Vector, point: Point) -> float:
    """Return the strength at which a grid begins: a hair above the least that leaves all at 0.

    Columns without a penalty are not at their optimum to the last digit, and what is left of their
    slopes may move those of the others: so much is added. 0 where all slopes are rounding.
    """
    top, moments = strongest(unit, theta, point), cast(Moments, point.curvature)
    slope = moments.layout.coefficients(moments.to_centred(point.gradient))
    # residuals of the null model are twice its curvatures in the mean: about mean |r x|
    size = np.sqrt(moments.squares * moments.total[:, None])
    if (np.abs(slope) <= _SLOPE * size).all():
        return 0.0
    inside = unit.unpenalized & (unit.lower < theta) & (theta < unit.upper)
    free = moments.layout.coefficients(inside) & (moments.spread > 0.0)
    if not free.any():
        return top
    left = np.sqrt((slope[free] ** 2 / moments.spread[free]).sum())
    price = moments.layout.coefficients(unit.l1)
    held = price > 0.0
    moved = np.sqrt(moments.spread[held]) * left / price[held]
    return top * (1.0 + _HAIR) + min(_MOST_MOVED * top, 2.0 * float(moved.max(initial=0.0)))


def _falling(top: float, count: int, ratio: float) -> _Vector:
    """Return strengths on a logarithmic grid; where no column has a slope any will do."""
    return np.geomspace(1.0, ratio, count) * (top if top > 0.0 else 1.0)


def _names(feature_names: ArrayLike | None, columns: Columns) -> NDArray[Any]:
    """Return the names of the columns."""
    if feature_names is None:
        if columns.names is not None:
            return np.asarray(columns.names, dtype=object)
        return np.array([f"x{j}" for j in range(columns.number)], dtype=object)
    names = np.array(feature_names, dtype=object)
    if names.shape != (columns.number,):
        raise ValueError(
            f"feature_names must have shape ({columns.number},), got shape {names.shape}"
        )
    return names


def _counted(coefs: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many values of each point are not 0."""
    nonzero: NDArray[np.int64] = np.count_nonzero(coefs.reshape(len(coefs), -1), axis=1)
    return nonzero


def _warn(path: Path, tol: float) -> None:
    missed = np.flatnonzero(~path.converged)
    i = int(missed[0])
    check.warn(
        f"{missed.size} of {len(path)} points did not reach tol={tol:g}, the first of them point "
        f"{i} (C={path.Cs[i]:.6g}: distance above the optimum at most {path.duality_gaps[i]:.2g}, "
        f"objective {path.objectives[i]:.6g}); raise max_iter or tol, or end the path earlier",
        ConvergenceWarning,
    )
