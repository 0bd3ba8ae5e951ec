"""Fits of one problem under several penalties, on all rows and on sets of them, such as folds.

Penalties go from the strongest on, each started where the one before it ended. For each, the fit of
all rows comes first, and those of the sets start from it. The optimum of a set is near: its own
Hessian at that common point (which for folds costs one reading for all of them) leads there in a
step or two, and each further step is one reading for all sets, side by side
(:class:`fastlogreg.problem.sets.ProblemSets`).

What makes such a fit certain is that the Hessian was the right one: a last reading says by how
much margins have changed since it was made, and by how much the step that is left would change
them. Where each is at most 1/2, no row's curvature has changed by more than the exponential of
that, which bounds the distance. Where they have changed more, or steps grow slow, a set gets a
Hessian of its own; what that doesn't settle (a singular one, a row that holds all the weight) is
left to Newton on its rows alone.

References
----------
Bach (2010), Self-concordant analysis for logistic regression, Electronic Journal of Statistics 4
(curvatures by changes of margins).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.penalties import L2, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.problem.sets import Derivatives, ProblemSets
from fastlogreg.solvers import Result, Status
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.curvature import Curvature
from fastlogreg.solvers.handover import is_cheap
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.search import ROUNDING

__all__ = ["FoldFits", "fit_folds"]

_CHANGE = 0.5  # of a margin, since the Hessian was made and by the step that is left
_CERTIFICATES = 3
_FRESH_STEPS = 2  # that lead from near to the optimum
_SHORTER, _SHORTEST = 0.25, 4  # times a step that led up, and how often
_SUFFICIENT = 1e-4  # share of the promised decrease (Armijo)
_AIM = 0.1  # share of ``tol``

_Vector = NDArray[np.float64]
_PenaltyOf = Callable[[float, int], Penalty]


class FoldFits(NamedTuple):
    """The fits, by penalty.

    Attributes
    ----------
    whole : list of Result
        Of all rows.
    sets : list of lists of Result
        Of each set.
    """

    whole: list[Result]
    sets: list[list[Result]]


def fit_folds(
    problem: Problem,
    training: Sequence[NDArray[np.int64]],
    n_penalties: int,
    penalty: _PenaltyOf,
    solve: Callable[..., Result],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    **limits: Any,
) -> FoldFits:
    """Fit all rows, and each set of them, under each penalty.

    Parameters
    ----------
    problem : Problem
        Of all rows; it counts the passes.
    training : sequence of int64 arrays
        Numbers of the rows of each set, ascending.
    n_penalties : int
    penalty : callable
        Takes the total weight of a set and the number of a penalty, 0 for the strongest, and
        returns it.
    solve : callable
        A solver, such as :func:`fastlogreg.solvers.auto.auto`.
    tol, max_iter, **limits
        As solvers take them.

    Returns
    -------
    FoldFits

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1.5], [0.5]])
    >>> problem = Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])))
    >>> sets = [np.array([0, 1, 2, 3]), np.array([2, 3, 4, 5]), np.array([0, 1, 4, 5])]
    >>> def penalty(weight, number):
    ...     return L2(problem.layout.by_column([1.0, 0.1][number] / weight))
    >>> fits = fit_folds(problem, sets, 2, penalty, newton)
    >>> [[result.converged for result in one] for one in fits.sets]
    [[True, True], [True, True], [True, True]]
    """
    limits = {"tol": tol, "max_iter": max_iter, **limits}
    fits: _Separately | _Together
    if _go_together(problem, penalty, solve):
        fits = _Together(ProblemSets(problem, list(training)), penalty, limits)
    else:
        fits = _Separately(problem, training, penalty, solve, limits)
    whole: list[Result] = []
    sets: list[list[Result]] = []
    for number in range(n_penalties):
        theta = whole[-1].theta if whole else np.zeros(problem.size)
        own = problem.with_penalty(penalty(problem.source.total_weight, number))
        whole.append(fits.fit_whole(own, theta, first=number == 0))
        sets.append(fits.fit_sets(whole[-1].theta, number))
    return FoldFits(whole, [list(results) for results in zip(*sets, strict=True)])


def _go_together(problem: Problem, penalty: _PenaltyOf, solve: Callable[..., Result]) -> bool:
    """Whether Hessians are cheap, and all there is to know."""
    return (
        problem.layout.n_outputs == 1
        and solve in (auto, newton)
        and is_cheap(problem)
        and type(penalty(1.0, 0)) is L2
    )


class _Separately:
    """Each set by the solver itself, from the optimum of all rows."""

    def __init__(
        self,
        problem: Problem,
        training: Sequence[NDArray[np.int64]],
        penalty: _PenaltyOf,
        solve: Callable[..., Result],
        limits: dict[str, Any],
    ) -> None:
        self._problem = problem
        self._parts = [problem.source.subset(rows) for rows in training]
        self._penalty = penalty
        self._solve = solve
        self._limits = limits

    def fit_whole(self, problem: Problem, theta: _Vector, *, first: bool) -> Result:
        return self._solve(problem, theta, stages=first, **self._limits)

    def fit_sets(self, theta: _Vector, number: int) -> list[Result]:
        found = []
        for part in self._parts:
            own = self._problem.subset(part, self._penalty(part.total_weight, number))
            found.append(self._solve(own, theta, stages=False, **self._limits))
        return found


class _Together:
    """All sets side by side, on Hessians that are kept as long as they hold."""

    def __init__(self, sets: ProblemSets, penalty: _PenaltyOf, limits: dict[str, Any]) -> None:
        self._sets = sets
        self._penalty = penalty
        self._limits = limits
        self._hessian: NDArray[np.float64] | None = None  # of all rows, without penalty
        self._before: _Vector | None = None  # the optimum of all rows under the last penalty
        self._far: dict[int, _Vector] = {}  # optima there of sets that were not near it

    def fit_whole(self, problem: Problem, theta: _Vector, *, first: bool) -> Result:
        hessian = None
        if self._hessian is not None:
            hessian = self._hessian + np.diag(problem.penalty.smooth_diagonal)
        return newton(problem, theta, stages=first, hessian=hessian, **self._limits)

    def fit_sets(self, theta: _Vector, number: int) -> list[Result]:
        fits = self._begin(theta, number)
        uncertain = fits
        for _ in range(_CERTIFICATES):
            self._walk(uncertain)
            uncertain = self._certify(uncertain)
            if not uncertain:
                break
        passes = self._sets.problem.n_passes
        results = [fit.result(passes) if fit.is_certain else self._alone(fit) for fit in fits]
        self._before = theta
        self._far = {
            fit.number: result.theta
            for fit, result in zip(fits, results, strict=True)
            if fit.was_far
        }
        return results

    def _begin(self, theta: _Vector, number: int) -> list["_Fit"]:
        """Return where the fits of the sets start: at theta, or by where they ended before."""
        penalties = [self._penalty(weight, number) for weight in self._sets.total_weights]
        starts = dict.fromkeys(range(len(penalties)), theta)
        if self._before is not None:
            # what sets them apart from all rows changes little with the penalty
            starts.update((k, far + (theta - self._before)) for k, far in self._far.items())
        if len(self._far) == len(penalties):
            derivatives, self._hessian = [self._sets.own(k, starts[k]) for k in starts], None
        else:
            derivatives, self._hessian = self._sets.derivatives(theta)
            for k in self._far:
                derivatives[k] = self._sets.own(k, starts[k])
        return [
            _Fit(k, penalty, starts[k], derivatives[k], self._sets.problem, k in self._far)
            for k, penalty in enumerate(penalties)
        ]

    def _walk(self, fits: list["_Fit"]) -> None:
        """Take steps, all sets in one reading, until none is worth taking."""
        tol, max_iter = self._limits["tol"], self._limits["max_iter"]
        for _ in range(max_iter):
            for fit in fits:
                if fit.asks_for_hessian:
                    fit.renew(self._sets.own(fit.number, fit.theta))
            active = [fit for fit in fits if fit.goes_on(_AIM * tol)]
            if not active:
                return
            trials = np.array([fit.theta + fit.step for fit in active])
            values, gradients = self._sets.value_gradient(trials, _numbers(active))
            cost = self._sets.problem.hessian_passes
            for fit, trial, value, gradient in zip(active, trials, values, gradients, strict=True):
                fit.move(trial, value, gradient, _AIM * tol, cost)

    def _certify(self, fits: list["_Fit"]) -> list["_Fit"]:
        """Set the distances of fits whose Hessian has held; return those that need another."""
        near = [fit for fit in fits if fit.is_near(self._limits["tol"])]
        if not near:
            return []
        moved = [fit for fit in near if not fit.is_fresh]
        steps = [fit.step for fit in near] + [fit.theta - fit.made_at for fit in moved]
        numbers = np.concatenate([_numbers(near), _numbers(moved)])
        changes = self._sets.largest_changes(np.array(steps), numbers)
        before = dict(zip(_numbers(moved), changes[len(near) :], strict=True))
        return [
            fit
            for fit, left in zip(near, changes, strict=False)
            if not fit.certify(before.get(fit.number, 0.0), left, self._limits["tol"])
        ]

    def _alone(self, fit: "_Fit") -> Result:
        """Return what Newton makes of a set, from where it stands."""
        part = self._sets.part(fit.number, fit.penalty)
        result = newton(part, fit.theta, stages=False, **self._limits)
        return replace(result, n_iter=result.n_iter + fit.n_iter)


def _numbers(fits: list["_Fit"]) -> NDArray[np.int64]:
    return np.array([fit.number for fit in fits], dtype=np.int64)


class _Fit:
    """Where the fit of a set stands, and the Hessian it goes by.

    Attributes
    ----------
    number : int
        Of the set.
    theta, step : ndarray of shape (p,)
    value, decrement : float
        The objective, and the distance that the Hessian says.
    made_at : ndarray of shape (p,)
        Where the Hessian was made.
    is_fresh : bool
        Whether that is here.
    asks_for_hessian : bool
        Whether another should be made here.
    is_certain : bool
        Whether the distance was certified.
    was_far : bool
        Whether the Hessian of its start did not lead to the optimum.
    n_iter : int
    """

    def __init__(
        self,
        number: int,
        penalty: Penalty,
        theta: _Vector,
        own: Derivatives,
        problem: Problem,
        was_far: bool,
    ) -> None:
        self.number, self.penalty = number, penalty
        self.theta = theta
        self.n_iter = 0
        self.is_certain, self.was_far = False, was_far
        self._layout = problem.layout
        self._lost = False  # Newton knows what to do
        self._distance = np.inf
        self._use(own)

    def renew(self, own: Derivatives) -> None:
        """Go by the Hessian of here."""
        self.was_far = True
        self._use(own)

    def _use(self, own: Derivatives) -> None:
        self.made_at, self.is_fresh, self.asks_for_hessian = self.theta, True, False
        self._shortened = 0
        hessian = own.hessian + np.diag(self.penalty.smooth_diagonal)
        self._curvature = Curvature(hessian, own.value, self._layout)
        self._lost = self._curvature.factor is None
        self._look(own.value, own.gradient)

    def _look(self, loss: float, gradient: _Vector) -> None:
        """Take the mean loss and its gradient at theta."""
        self.value = float(loss) + self.penalty.value(self.theta)
        self.gradient = gradient + self.penalty.smooth_gradient(self.theta)
        self.step, self.decrement = np.zeros_like(self.theta), np.inf
        if not self._lost:
            self.step = -self._curvature.solve(self.gradient, 0.0)
            self.decrement = -0.5 * float(self.gradient @ self.step)
            self._lost = not (np.isfinite(self.decrement) and np.isfinite(self.value))

    def goes_on(self, tol: float) -> bool:
        """Whether a step is worth taking."""
        return not self._lost and self.decrement > max(tol, ROUNDING) * self.value

    def is_near(self, tol: float) -> bool:
        """Whether the Hessian says that the optimum is near enough."""
        return not self._lost and self.decrement <= tol * self.value

    def move(
        self, theta: _Vector, loss: float, gradient: _Vector, tol: float, hessian_passes: float
    ) -> None:
        """Take the step to theta if it leads down, and say how to go on."""
        promised = -float(self.gradient @ (theta - self.theta))
        value = float(loss) + self.penalty.value(theta)
        if not value <= self.value - _SUFFICIENT * promised + ROUNDING * abs(self.value):
            if not self.is_fresh:
                self.asks_for_hessian = True
                return
            self._shortened += 1
            self.step = _SHORTER * self.step
            self._lost = self._shortened > _SHORTEST
            return
        before = self.decrement
        self.theta, self.is_fresh = theta, False
        self.n_iter += 1
        self._look(loss, gradient)
        if not self.goes_on(tol):
            return
        rate = self.decrement / before
        left = np.inf
        if rate < 1.0 and not self._shortened:
            left = np.ceil(np.log(tol * self.value / self.decrement) / np.log(rate))
        self.asks_for_hessian = bool(left > hessian_passes + _FRESH_STEPS)

    def certify(self, change: float, left: float, tol: float) -> bool:
        """Judge the distance by how margins have changed and may; whether no more is to be done."""
        if change <= _CHANGE and left <= _CHANGE:
            self._distance = self.decrement * float(np.exp(change + 2.0 * left))
            self.is_certain = self._distance <= tol * self.value
        self._lost = self._lost or (self.is_fresh and not self.is_certain)
        self.asks_for_hessian = not self.is_certain
        return self.is_certain or self._lost

    def result(self, passes: float) -> Result:
        """Return the fit."""
        norm = float(np.abs(self.gradient).max())
        found = (self.theta, self.value, norm, self._distance, self.n_iter, passes)
        return Result(*found, True, Status.CONVERGED, [])
