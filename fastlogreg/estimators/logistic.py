"""The exact estimator: scikit-learn's contract around a solver, and nothing numerical.

``fit`` turns friendly input into the strict contract, makes an objective, hands it to a
solver and stores what comes back under scikit-learn's names. ``predict`` and its kin
hand rows to the backend. What scikit-learn offers (input validation, tags, metadata
routing, callbacks) is called and not rebuilt; only the check for NaN and infinity is our own,
since it runs on all threads.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, NoReturn, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags

from fastlogreg.backends import PassSpec
from fastlogreg.data import validation as check
from fastlogreg.data.class_separation import find_class_separation, names_of_entries
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.data.parts import PartedRows
from fastlogreg.data.separation import (
    Separation,
    asks_for_step,
    find_separation,
    may_be_separated,
    step_shows_overlap,
)
from fastlogreg.data.weightless import NEVER, set_aside, taken_away
from fastlogreg.estimators.callbacks import FitMonitor, FitTasks, fit_tasks
from fastlogreg.estimators.input import training
from fastlogreg.estimators.linear_classifier import LinearClassifier
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.problem.centring import rows_near_to_0
from fastlogreg.problem.firth import FirthProblem
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.penalties import L2, ElasticNet, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Iteration, Result, Status
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.handover import fits, go_on
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.scoring import scoring
from fastlogreg.solvers.trace import Trace

__all__ = [
    "SEPARATED",
    "IterationMonitor",
    "LogisticRegression",
    "Settings",
    "all_rows",
    "by_penalty",
    "has_gap",
    "may_separate",
    "refuse",
    "within_bounds",
]

_SOLVERS: dict[str, Callable[..., Result]] = {
    "auto": auto,
    "newton": newton,
    "newton-cg": newton_cg,
    "lbfgs": lbfgs,
    # scikit-learn's other names: the same optimum, by the way that passes make the cheapest
    "newton-cholesky": newton,
    "liblinear": auto,
    "sag": auto,
    "saga": auto,
}
SEPARATED = 1e-8  # a mean loss below this is hardly reached but by separated classes
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


class LogisticRegression(LinearClassifier):
    """Exact logistic regression for any number of classes, with L1, L2 or both as penalty.

    Minimizes scikit-learn's objective::

        C * sum_i s_i loss_i + l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2

    or, with penalty factors v and bounds::

        C * sum_i s_i loss_i + sum_j v_j (l1_ratio |w_j| + (1 - l1_ratio) / 2 w_j^2),
        lower_j <= w_j <= upper_j

    with the weights s, the margins ``z = X @ w + b + offset`` and, for two classes, ``loss_i =
    log(1 + exp(-(2 y_i - 1) z_i))``. For K > 2 each class k has margins z_k of its own, and
    ``loss_i = log(sum_k exp(z_ik)) - z_i,y_i`` (softmax; all K rows are kept, and sum to 0).
    Intercepts b are never penalized. Scales of columns do not matter to any solver.

    Every fit ends within ``tol`` of the optimum, as far as that can be estimated, or warns
    ``ConvergenceWarning`` with figures and advice.

    Code written for ``sklearn.linear_model.LogisticRegression`` runs unchanged: each of its
    parameters is taken, with its meaning or, where that belongs to its solvers alone, without
    effect.

    Parameters
    ----------
    penalty : {"l1", "l2", "elasticnet"} or None, optional
        Deprecated, as in scikit-learn: ``l1_ratio`` and ``C`` say the same. "l2" is
        ``l1_ratio=0``, "l1" is ``l1_ratio=1``, None is ``C=np.inf``.
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` for none.
    l1_ratio : float, default=0.0
        The share of L1 in the penalty: 0 is L2 alone, 1 is L1 alone. With L1, coefficients are
        exactly 0 or not at all. None, which is deprecated, means 0.
    dual : bool, default=False
        Without effect: the dual problem has the same optimum.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    intercept_scaling : float, default=1.0
        Without effect: the intercept is not penalized, whatever the solver.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. A dict gives 1 to a class it
        does not name; "balanced" gives all classes the same total weight. A class of weight 0
        beside two others or more keeps its place and is never predicted: the others are as if it
        had no rows, its coefficients are 0 and its intercept is -2**100, for minus infinity.
    random_state : int, RandomState instance or None, default=None
        Without effect: the same data give the same fit. Here so that code written for
        scikit-learn runs.
    solver : {"auto", "newton", "newton-cg", "lbfgs", "newton-cholesky", "liblinear", "sag", \
            "saga"}, default="auto"
        All reach the same optimum, and none minds the scales of columns. ``"newton"`` and
        ``"newton-cholesky"``: on the Hessian, for up to some hundred columns. ``"newton-cg"``:
        truncated Newton, for wider data. ``"lbfgs"``: the least memory. ``"auto"`` chooses by
        what passes over these data would cost. ``"liblinear"``, ``"sag"`` and ``"saga"`` are
        there for code that names them, and do what ``"auto"`` does. With L1 all do the same:
        proximal Newton, in a working set of columns where there are many.
    tol : float, default=1e-8
        Bound on the estimated distance of the objective above its optimum, relative to the
        objective. The estimate is half the Newton decrement, ``g' H^-1 g / 2`` with the gradient
        g and the Hessian H, which does not change when columns of X are rescaled. Below 2e-15,
        the rounding of float64, and at 0 it asks for that. With L1 or bounds it bounds the duality
        gap, relative to the objective; the distance is mostly far less.
    max_iter : int, default=100
        Steps at most, not counting those on parts of the rows.
    warm_start : bool, default=False
        Whether ``fit`` starts from the coefficients of the last fit.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.
    n_jobs : int, optional
        The same in scikit-learn's words: None and -1 are all, -2 all but one; ``n_threads`` goes
        before.
    verbose : int, default=0
        Above 0: a line for each iteration, with what ``history_`` keeps.
    penalty_factors : array-like of shape (n_features,), optional
        What the penalty of each column is multiplied with, none negative; 0 leaves a column
        without a penalty. Default: 1 each. They are taken as they are (glmnet makes their mean 1).
    lower_bounds, upper_bounds : float or array-like of shape (n_features,), optional
        Between which coefficients must lie, of each class the same; ``-np.inf`` and ``np.inf``,
        the default, are no bounds. The intercept has none. With bounds all solvers do the same, as
        with L1.
    firth : bool, default=False
        Whether Firth's penalty is added, for two classes and rows in memory, with ``C=np.inf`` and
        no bounds: finite coefficients where rows can be separated, and less bias in few rows.
        ``solver`` has no effect then.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; of two the model gives the probability of the second.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features), of the dtype of X
        Or a SciPy CSR matrix of that shape after :meth:`sparsify`. float32 for float32 X (all sums
        are float64 even so), unless that would move the margins: float64 then, as for all else.
    intercept_ : ndarray of shape (1,) or (n_classes,), of the dtype of ``coef_``
    n_iter_ : ndarray of shape (1,), int32
        Steps taken.
    n_passes_ : float
        Readings of all rows.
    objective_ : float
        The objective at the solution, divided by ``C`` times the sum of weights: the mean
        loss plus the penalty divided by ``C sum_i s_i``. With ``firth=True`` the penalty on the
        mean loss is half the logarithm of how much smaller the information's determinant is than
        where all probabilities are 1/2, divided by ``sum_i s_i``.
    duality_gap_ : float
        Only with L1 or bounds: a bound on how far ``objective_`` is above the optimum.
    gradient_norm_ : float
        Largest absolute component of its gradient; with L1 or bounds, of the smallest subgradient.
    converged_ : bool
        Whether the estimated distance above the optimum is within ``tol``.
    history_ : ndarray of shape (n_records,), structured
        One record for the start and each iteration, for plots: ``iteration``; ``passes`` so far;
        ``objective`` and ``gradient_norm`` as above; ``decrement``, the estimated distance above
        the optimum, with L1 or bounds the duality gap; ``step``, the fraction of the full step that
        led there; ``share`` of the rows that it was computed on (values on different shares do not
        compare); ``seconds`` since ``fit`` began. ``pandas.DataFrame(model.history_)`` is a table
        of it.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where X has string column names. Of a table: those of the encoded columns, such as
        ``colour_red``.
    schema_ : Schema
        Only after a fit on rows of :func:`fastlogreg.open_rows`: kinds, levels and means of their
        columns. Predictions then take tables and frames with these columns.

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
    Vandenberghe, Convex Optimization, section 9.5 (damped Newton); Firth (1993), Bias reduction of
    maximum likelihood estimates, Biometrika 80.

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

    Separated rows have finite coefficients with Firth's penalty:

    >>> import numpy as np
    >>> separated = LogisticRegression(C=np.inf, firth=True)
    >>> separated = separated.fit([[0], [1], [2], [3]], [0, 0, 1, 1])
    >>> separated.coef_.round(3)
    array([[1.31]])
    """

    def __init__(
        self,
        penalty: str | None = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: dict[Any, float] | str | None = None,
        random_state: Any = None,
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        warm_start: bool = False,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        penalty_factors: ArrayLike | None = None,
        lower_bounds: ArrayLike | None = None,
        upper_bounds: ArrayLike | None = None,
        firth: bool = False,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.penalty_factors = penalty_factors
        self.lower_bounds = lower_bounds
        self.upper_bounds = upper_bounds
        self.firth = firth

    @numpy_defaults
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
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
            Or rows of :func:`fastlogreg.open_rows`, which name their target, weights and offset;
            more of them than memory holds are read again for each pass.
        y : array-like of shape (n_samples,)
            Labels: two different values or more.
        sample_weight : array-like of shape (n_samples,), optional
            Weights: finite, none negative, not all zero. A weight of 0 leaves a sample out.
        offset : array-like of shape (n_samples,), or (n_samples, n_classes) beyond two, optional
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
            If the optimum was not reached within ``tol``, or there is none (rows that can be
            separated, without penalty; the message names columns and rows). Not where a
            callback asked for the end.
        """
        begun = time.perf_counter()
        settings = self._settings()
        beyond = not settings.firth  # memory
        data = training(
            self, X, y, sample_weight, offset, finite=not beyond, parts=beyond, partitions=beyond
        )
        columns, classes, held = data.columns, data.rows.classes, None
        rows = data.rows
        if data.source is None:
            rows, held = set_aside(rows, self.class_weight, settings.intercept)
        problem = settings.problem(rows, data.source, softmax=classes.size > 2)
        start = None
        if settings.warm_start:
            start = self._start(columns.number, 1 if classes.size == 2 else classes.size)
        if start is not None and settings.intercept:
            start = taken_away(start.reshape(-1, problem.layout.width), held).reshape(-1)
        with fit_tasks(self, rows, data.y, columns, data.metadata) as tasks:
            monitor = IterationMonitor(begun, settings.prints, tasks)
            trace = Trace(monitor, live=tasks is not None)
            result, separation = settings.solve(problem, rows, start, trace)
            if not result.finite:
                refuse(rows, start, settings.n_threads)
            coef, intercept = self._coefficients(all_rows(result.theta, problem, held), rows.matrix)
            coef = within_bounds(coef, problem)
            self._become(
                columns,
                classes_=classes,
                coef_=coef,
                intercept_=intercept,
                n_iter_=np.array([result.n_iter], dtype=np.int32),
                n_passes_=result.n_passes,
                objective_=result.value,
                gradient_norm_=result.gradient_norm,
                converged_=result.converged,
                forget=("duality_gap_",),
                **data.fitted,
                **({"duality_gap_": result.decrement} if has_gap(problem) else {}),
                history_=np.array(monitor.records, dtype=_HISTORY),
            )
        if not result.converged and result.status is not Status.STOPPED:
            self._warn(result, separation, settings.C, rows.classes)
        return self

    def _settings(self) -> "Settings":
        """Return the parameters, checked."""
        C, l1_ratio = check.resolve_penalty(self.penalty, self.C, self.l1_ratio)
        settings = self._settings_at(C, l1_ratio)
        if settings.firth:
            check.refuse_penalties_beside_firth(C, self.lower_bounds, self.upper_bounds)
        return settings

    def _settings_at(self, C: float, l1_ratio: float) -> "Settings":
        """Return all parameters, of which those of the penalty are known."""
        check.check_flag(self.dual, "dual")
        check.check_real(self.intercept_scaling, "intercept_scaling")
        intercept = check.check_flag(self.fit_intercept, "fit_intercept")
        warm_start = check.check_flag(self.warm_start, "warm_start")
        tol = check.check_real(self.tol, "tol", positive=False)
        max_iter = check.check_count(self.max_iter, "max_iter", low=0)
        assert max_iter is not None
        solver = _SOLVERS[check.check_choice(self.solver, "solver", tuple(_SOLVERS))]
        n_threads = self._threads()
        if not isinstance(self.verbose, Integral):
            raise TypeError(f"verbose must be an integer, got {self.verbose!r}")
        prints = bool(self.verbose > 0)
        shape = self.penalty_factors, self.lower_bounds, self.upper_bounds
        firth = check.check_flag(self.firth, "firth")
        if firth:
            solver = scoring
        return Settings(
            C,
            l1_ratio,
            shape,
            intercept,
            warm_start,
            tol,
            max_iter,
            solver,
            n_threads,
            prints,
            firth,
        )

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: Firth's penalty is for two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.firth is not True
        return tags

    def _check_stored(self) -> None:
        """Refuse wrong parameters too; what penalties are deprecated is not said again."""
        super()._check_stored()
        self._check_penalty()
        self._settings_at(1.0, 0.0)
        check.check_factors(self.penalty_factors, self.n_features_in_)
        check.check_bounds(self.lower_bounds, self.upper_bounds, self.n_features_in_)

    def _check_penalty(self) -> None:
        check.check_real(self.C, "C", infinite=True)
        if self.l1_ratio is not None:
            check.check_share(self.l1_ratio, "l1_ratio", closed=True)
        if self.penalty is not None:
            check.check_choice(self.penalty, "penalty", ("deprecated", "l1", "l2", "elasticnet"))

    def _warn(
        self, result: Result, separation: Separation | None, C: float, fitted: NDArray[Any]
    ) -> None:
        """Warn of a fit of these classes at this C."""
        measure = "duality gap" if hasattr(self, "duality_gap_") else "half the Newton decrement"
        figures = (
            f"objective {result.value:.6g}, estimated distance above the optimum "
            f"{result.decrement:.2g} ({measure}), largest gradient component "
            f"{result.gradient_norm:.2g}, {result.n_iter} iterations, {result.n_passes:g} passes"
        )
        if separation is not None:
            names = getattr(self, "feature_names_in_", None)
            if self.classes_.size > 2:
                width = self.n_features_in_ + int(self.fit_intercept)
                names = names_of_entries(names, fitted, width, self.fit_intercept)
            remedy = "give C a finite value"
            if C < np.inf:
                remedy = "give their columns a penalty factor above 0"
            text = f"{separation.describe(names)}; {separation.advice(remedy)} ({figures})"
        else:
            ended = result.n_iter >= self.max_iter
            advice = (
                "raise max_iter or tol, or lower C"
                if ended
                else "raise tol, lower C, or look for nearly collinear columns and for columns "
                "whose offset is far beyond their spread"
            )
            text = (
                f"no convergence to tol={self.tol:g}: {result.status.value} ({figures}); {advice}"
            )
        check.warn(text, ConvergenceWarning)


@dataclass(frozen=True)
class Settings:
    """The estimator's parameters, checked."""

    C: float
    l1_ratio: float
    by_column: tuple[Any, Any, Any]  # factors, lower and upper bounds, as they were given
    intercept: bool
    warm_start: bool
    tol: float
    max_iter: int
    solver: Callable[..., Result]
    n_threads: int | None
    prints: bool
    firth: bool = False

    def problem(
        self, rows: Rows, parts: PartedRows | None = None, *, softmax: bool | None = None
    ) -> Problem:
        """Return what is to be minimized, on rows in memory or on those that come in parts.

        ``softmax`` says whether it is that of several classes; default: where these are several.
        """
        source: Any = parts
        if parts is None:
            source = MemoryRows(rows.matrix, rows.targets, rows.weights, rows.offset)
        spec = self.spec(rows.classes.size, softmax)
        if self.firth:
            check.check_two_classes(max(rows.classes.size, spec.n_outputs + 1), "firth=True")
            if not fits(source.n_columns):
                raise ValueError(
                    f"firth=True holds the information of all pairs of columns, and X has "
                    f"{source.n_columns:,}: take fewer, or a penalty (a finite C, firth=False)"
                )
            return FirthProblem(source, spec)
        layout = Layout(source.n_columns, self.intercept, spec.n_outputs)
        return Problem(source, self.penalty(source.total_weight, layout), spec)

    def spec(self, n_classes: int, softmax: bool | None = None) -> PassSpec:
        """Return what a pass over the rows computes."""
        spec = PassSpec(intercept=self.intercept, n_threads=self.n_threads)
        if n_classes > 2 or softmax:
            spec = spec._replace(loss="cross_entropy", activation="softmax", n_outputs=n_classes)
        return spec

    def penalty(self, total_weight: float, layout: Layout) -> L2:
        """Return the penalty on the mean loss of rows of that total weight."""
        return self.penalty_at(check.check_penalty(self.C, total_weight), layout)

    def penalty_at(self, strength: float, layout: Layout) -> L2:
        """Return the penalty of a strength on the mean loss, whatever C is.

        What holds for columns is checked here.
        """
        factors, lower, upper = self.by_column
        factors = check.check_factors(factors, layout.n_columns)
        bounds = check.check_bounds(lower, upper, layout.n_columns)
        strengths = layout.by_column(check.check_strengths(strength, factors))
        l1 = self.l1_ratio * strengths
        if bounds is None:
            return ElasticNet(l1, strengths - l1) if l1.any() else L2(strengths)
        box = layout.by_column(bounds[0]), layout.by_column(bounds[1])
        for values, none in zip(box, (-np.inf, np.inf), strict=True):
            layout.intercepts(values)[:] = none
        return ElasticNet(l1, strengths - l1, *box)

    def solve(
        self,
        problem: Problem,
        rows: Rows,
        start: NDArray[np.float64] | None,
        trace: Trace[Iteration],
        **wanted: Any,
    ) -> tuple[Result, Separation | None]:
        """Return the optimum, and where there is none, why: what separates the rows.

        ``wanted`` is what else Newton is asked for.
        """
        solver = proximal if has_gap(problem) else self.solver
        stages: dict[str, Any] = (
            {"stages": start is None} if solver in (auto, newton, proximal) else {}
        )
        theta = np.zeros(problem.size) if start is None else start
        grows = problem.penalty.grows()
        separable = may_separate(problem.layout, problem.penalty)
        stop_value = SEPARATED if separable else 0.0
        with problem.solving() as again, again:
            result = solver(
                problem,
                theta,
                tol=self.tol,
                max_iter=self.max_iter,
                stop_value=stop_value,
                trace=trace,
                **stages,
                **(wanted if solver in (auto, newton) else {}),
            )
        if not separable or not result.finite:
            return result, None
        if result.status is Status.STOPPED and not result.converged:
            return result, None
        with problem.solving() as again, again:
            separation = self.separation(rows, problem, grows, result)
        if separation is None and result.status is Status.STOP_VALUE:
            # rows that overlap weigh next to nothing: there is an optimum below
            with problem.solving() as again, again:
                result = go_on(
                    solver,
                    problem,
                    result,
                    max_iter=self.max_iter,
                    trace=trace,
                    tol=self.tol,
                    **dict.fromkeys(stages, False),
                )
                separation = self.separation(rows, problem, grows, result)
        if separation is not None:  # whatever a solver took for the optimum
            result = replace(result, converged=False)
        return result, separation

    def separation(
        self, rows: Rows, problem: Problem, grows: NDArray[np.bool_], result: Result
    ) -> Separation | None:
        """Return what separates the rows; None where nothing does.

        ``grows``, (2, p), says which entries of theta may fall, and rise, without bound.
        """
        layout, source = problem.layout, problem.source
        point = result.point
        if layout.n_outputs == 1:
            held: NDArray[np.bool_] = np.array(grows.any(axis=0))
            layout.intercepts(held)[:] = True
            if point is None and asks_for_step(problem, result.decrement):
                point = problem.value_gradient_hessian(result.theta)
            if point is not None and step_shows_overlap(problem, *point[1:], held):
                return None
        if isinstance(source, PartedRows):
            near, theta = rows_near_to_0(problem, result.theta)
            source, theta = cast(PartedRows, near), layout.for_pass(theta)
            spec = self.spec(rows.classes.size)
            if not may_be_separated(source, spec, theta, grows, result.decrement):
                return None
            nothing = np.zeros(1, dtype=bool)  # rows can't be named from parts
            return Separation(False, nothing, complete=False, counted=source.n_rows)
        if layout.n_outputs > 1:
            return find_class_separation(
                rows,
                result.theta.reshape(rows.classes.size, -1),
                intercept=self.intercept,
                grows=grows,
                decrement=result.decrement,
            )
        return find_separation(
            rows.matrix,
            rows.targets,
            result.theta,
            sample_weight=rows.weights,
            offset=rows.offset,
            intercept=self.intercept,
            grows=grows[:, layout.first :],
            decrement=result.decrement,
            n_threads=self.n_threads,
        )


def has_gap(problem: Problem) -> bool:
    """Whether the penalty has kinks or bounds, so that a duality gap bounds the distance."""
    return isinstance(problem.penalty, ElasticNet)


def all_rows(
    theta: NDArray[np.float64], problem: Problem, held: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return theta as rows, (m, p), with those of classes that were set aside; ``held`` is (K,)."""
    layout = problem.layout
    if held is None:
        return layout.rows(theta)
    rows = np.zeros((held.size, layout.width))
    if isinstance(problem.penalty, ElasticNet):
        rows[:] = layout.rows(problem.penalty.projected(np.zeros(layout.size)))[0]
    rows[:, 0] = NEVER
    rows[held] = layout.rows(theta)
    return rows


def may_separate(layout: Layout, penalty: Penalty) -> bool:
    """Whether coefficients may grow without bound at no cost, so that there may be no optimum."""
    grows = penalty.grows()
    return bool(layout.coefficients(grows[0] | grows[1]).any())


def by_penalty(problem: Problem, theta: NDArray[np.float64], **limits: Any) -> Result:
    """Minimize by the solver that the penalty asks for, where others of a grid ask for another."""
    solver: Callable[..., Result] = proximal if has_gap(problem) else auto
    return solver(problem, theta, **limits)


def within_bounds(coef: NDArray[np.floating], problem: Problem) -> NDArray[np.floating]:
    """Return coefficients within their bounds: rounding to float32 may lead over one."""
    if coef.dtype == np.float64 or not isinstance(problem.penalty, ElasticNet):
        return coef
    low, high = (
        problem.layout.coefficients(bound)
        for bound in (problem.penalty.lower, problem.penalty.upper)
    )
    coef = np.where(coef.astype(np.float64) > high, np.nextafter(coef, -np.inf), coef)
    return np.where(coef.astype(np.float64) < low, np.nextafter(coef, np.inf), coef)


def refuse(rows: Rows, start: NDArray[np.float64] | None, n_threads: int | None) -> NoReturn:
    """Say why the objective is not finite at the start.

    NaN and infinity in X reach the first value on all rows, so that looking for them beforehand
    would be a pass for nothing.
    """
    check.check_finite(rows.matrix, n_threads=n_threads)
    also = "" if rows.offset is None else " or offset"
    also += "" if start is None else " or the coefficients of the warm start"
    raise ValueError(
        f"the objective is not finite at the start: values in X{also} are too large for "
        "float64 (their squares are summed)"
    )


class IterationMonitor(FitMonitor):
    """Keeps the record of each iteration too, for ``history_``."""

    header = "rows    iter  passes         objective   gradient  above opt.    step  seconds"

    def __init__(self, begun: float, prints: bool, tasks: FitTasks | None) -> None:
        super().__init__(begun, prints, tasks)
        self.records: list[tuple[float, ...]] = []

    def __call__(self, now: Iteration, theta: NDArray[np.float64]) -> bool:
        """Keep and print an iteration; return whether a callback ends the fit."""
        seconds = self.seconds()
        self.records.append((*now, seconds))
        if self.prints:
            self.print_line(
                f"{now.share:6.1%}  {now.n_iter:4d}  {now.n_passes:6.4g}  {now.value:16.10g}"
                f"  {now.gradient_norm:9.2e}  {now.decrement:10.2e}  {now.step:6.3g}"
                f"  {seconds:7.3f}"
            )
        return self.is_stopped_at(theta)
