"""Fits of one problem under several penalties, on all rows and on sets of them, such as folds.

Penalties go from the strongest on, each started where the one before it ended. For each, the fit of
all rows comes first, and each set starts from where it ended, moved as all rows have moved.
Hessians at the optimum of all rows (which for folds cost one reading for all of them) are kept from
penalty to penalty, with what steps have shown since, and each step is one reading for all sets,
side by side (:class:`fastlogreg.problem.sets.ProblemSets`).

What makes such a fit certain is that the Hessian was the right one: ranges of the columns, or else
a last reading, say by how much margins have changed since it was made, and by how much the step
that is left would change them. No row's curvature has changed by more than the exponential of that,
which multiplies the distance. Where that is too much, or steps grow slow, a set gets a Hessian of
its own; what that doesn't settle (a singular one, a row that holds all the weight) is left to
Newton on its rows alone. Several columns of margins, L1 and bounds, and data whose Hessians are
dear, are fitted set by set.

References
----------
Bach (2010), Self-concordant analysis for logistic regression, Electronic Journal of Statistics 4
(curvatures by changes of margins).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.centring import centring
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.penalties import L2, Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.problem.sets import Derivatives, DrawnSets, ProblemSets
from fastlogreg.solvers import Result, Status, TwiceDifferentiable
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.curvature import Curvature, Secants
from fastlogreg.solvers.handover import is_cheap
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.search import ROUNDING

__all__ = ["FoldFits", "fit_drawn", "fit_folds"]

_LEFT = 0.5  # change of a margin by the step that is left, at the most
_CHANGE = 5.0  # of a margin since the Hessian was made: beyond, another one is worth making
_RIGHT = 2.0  # times too small is the Hessian at the most, where a step surely leads down
_CERTIFICATES = 4
_AIM = 1e-3  # share of ``tol`` that steps go to: scores of held-out rows are the root of it off
_STEP_PASSES = 0.5  # what one fit of several pays for a reading, in passes of its own
_FRESH_STEPS = 2  # that lead from near to the optimum
_SUFFICIENT = 1e-4  # share of the promised decrease (Armijo)
_KEPT = 2000  # entries of theta, and
_KEPT_PASSES = 30  # for each set, up to which the Hessian of all rows is made for all of them
_SHORTER, _SHORTEST = 0.25, 4  # times a step that led up, and how often

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
        Numbers of the rows of each set, ascending; one that is there twice counts twice.
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
    near = centring(problem)
    found = _fit(
        problem if near is None else near.problem, training, n_penalties, penalty, solve, limits
    )
    if near is not None:
        found = [[replace(fit, theta=near.back(fit.theta)) for fit in fits] for fits in found]
    *sets, whole = (list(results) for results in zip(*found, strict=True))
    return FoldFits(whole, sets)


def _fit(
    problem: Problem,
    training: Sequence[NDArray[np.int64]],
    n_penalties: int,
    penalty: _PenaltyOf,
    solve: Callable[..., Result],
    limits: dict[str, Any],
) -> list[list[Result]]:
    """Return the fits of the sets and, last, of all rows, by penalty."""
    fits: _Separately | _Together
    once = all((np.diff(rows) > 0).all() for rows in training)  # no row twice
    if once and _go_together(problem, len(training), penalty, solve):
        fits = _Together(ProblemSets(problem, list(training)), limits)
    else:
        fits = _Separately(problem, training, solve, limits)
    return [fits.fit(_numbered(penalty, number)) for number in range(n_penalties)]


def fit_drawn(
    problem: Problem,
    times: NDArray[np.uint8],
    theta: _Vector,
    hessian: NDArray[np.float64],
    *,
    tol: float,
    max_iter: int = 100,
    stop_value: float = 0.0,
) -> list[Result]:
    """Return the fits of sets that rows are drawn into, side by side.

    Parameters
    ----------
    problem : Problem
        Over rows in memory, whose penalty is that of all sets; it counts the passes.
    times : ndarray of shape (n_sets, n), uint8
        How often each row is in a set.
    theta : ndarray of shape (p,)
        Where each fit starts: the optimum of all rows.
    hessian : ndarray of shape (p, p)
        Of the mean loss of all rows there.
    tol, max_iter, stop_value
        As for :func:`fastlogreg.solvers.newton.newton`.
    """
    limits = {"tol": tol, "max_iter": max_iter, "stop_value": stop_value}
    return _Together(DrawnSets(problem, times), limits).fit_from(theta, hessian)


def _numbered(penalty: _PenaltyOf, number: int) -> Callable[[float], Penalty]:
    return lambda weight: penalty(weight, number)


def _go_together(
    problem: Problem, n_sets: int, penalty: _PenaltyOf, solve: Callable[..., Result]
) -> bool:
    """Whether Hessians are cheap, one reading for all sets at least, and all there is to know."""
    if problem.layout.n_outputs == 1:
        cheap = is_cheap(cast(TwiceDifferentiable, problem))
    else:
        cheap = problem.size <= _KEPT and problem.hessian_passes <= _KEPT_PASSES * n_sets
    return solve in (auto, newton) and cheap and type(penalty(1.0, 0)) is L2


class _Separately:
    """Each set by the solver itself, from the optimum of all rows."""

    def __init__(
        self,
        problem: Problem,
        training: Sequence[NDArray[np.int64]],
        solve: Callable[..., Result],
        limits: dict[str, Any],
    ) -> None:
        self._problem = problem
        self._parts = [problem.source.subset(rows) for rows in training]
        self._solve = solve
        self._limits = limits
        self._theta: _Vector | None = None  # the last optimum of all rows
        self._starts: list[_Vector] = []
        # a Hessian of all rows at their optimum, which serves the sets and the next penalty too
        self._keeps = (
            solve in (auto, newton)
            and problem.size <= _KEPT
            and problem.hessian_passes <= _KEPT_PASSES * len(training)
        )
        self._hessian: NDArray[np.float64] | None = None  # a mean, without penalty

    def fit(self, penalty: Callable[[float], Penalty]) -> list[Result]:
        """Return the fits of the sets and, last, that of all rows."""
        own = self._problem.with_penalty(penalty(self._problem.source.total_weight))
        before = self._theta
        whole = self._minimize(own, before)
        self._theta = whole.theta
        if self._keeps:
            self._hessian = self._problem.mean_loss(whole.theta)[2]
        if before is None:
            self._starts = [whole.theta] * len(self._parts)
        else:  # what sets them apart from all rows changes little with the penalty
            self._starts = [theta + (whole.theta - before) for theta in self._starts]
        found = []
        for part, start in zip(self._parts, self._starts, strict=True):
            own = self._problem.subset(part, penalty(part.total_weight))
            found.append(self._minimize(own, start))
        self._starts = [result.theta for result in found]
        return [*found, whole]

    def _minimize(self, problem: Problem, start: _Vector | None) -> Result:
        if start is None:
            return self._solve(problem, np.zeros(problem.size), **self._limits)
        if self._hessian is None:
            return self._solve(problem, start, stages=False, **self._limits)
        hessian = self._hessian + np.diag(problem.penalty.smooth_diagonal)
        seen = cast(TwiceDifferentiable, problem)
        return newton(seen, start, hessian=hessian, **self._limits)


class _Together:
    """All fits side by side, on Hessians that are kept as long as they hold."""

    def __init__(self, sets: ProblemSets, limits: dict[str, Any]) -> None:
        self._sets = sets
        self._limits = limits
        self._fits: list[_Fit] = []
        self._may_share = True  # the Hessians of all sets, from one reading, for this penalty

    def fit(self, penalty: Callable[[float], Penalty]) -> list[Result]:
        """Return the fits of the sets and, last, that of all rows."""
        penalties = [penalty(weight) for weight in self._sets.total_weights]
        first = not self._fits
        if first:
            self._begin(penalties)
        *folds, whole = self._fits
        before = whole.theta
        for fit, own in zip(self._fits, penalties, strict=True):
            fit.begin(own)
        self._may_share = True
        self._walk([whole])
        # what sets them apart from all rows changes little with the penalty
        folds = [fit for fit in folds if fit.goes_on(self._limits["tol"])]
        if folds and whole.theta is not before:
            starts = np.array([fit.theta + (whole.theta - before) for fit in folds])
            for fit, start, loss, slope in zip(
                folds, starts, *self._look(starts, folds), strict=True
            ):
                fit.jump(start, loss, slope)
        return self._finished()

    def fit_from(self, theta: _Vector, hessian: NDArray[np.float64]) -> list[Result]:
        """Return the fits of all sets, without a penalty, from one theta and with one Hessian.

        The Hessian, a mean, is that of rows which all sets are nearly like.
        """
        number_of = len(self._sets.total_weights)
        layout, penalty = self._sets.problem.layout, self._sets.problem.penalty
        theta = layout.centred(theta)
        starts = np.broadcast_to(theta, (number_of, theta.size))
        looks = self._sets.value_gradient(np.ascontiguousarray(starts), np.arange(number_of))
        value = float(looks[0].mean()) + penalty.value(theta)
        shared = Curvature(hessian + np.diag(penalty.smooth_diagonal), value, layout)
        for number, (loss, slope) in enumerate(zip(*looks, strict=True)):
            own = Derivatives(float(loss), slope, hessian)
            # a copy: the Hessian is not that of this set here, and so never fresh
            self._fits.append(_Fit(number, penalty, theta.copy(), own, layout))
            self._fits[-1].made_at = theta
            self._fits[-1].begin(penalty, shared)
        self._may_share = False
        return self._finished()

    def _finished(self) -> list[Result]:
        """Walk and certify until nothing is uncertain; return the fits."""
        uncertain = self._fits
        for _ in range(_CERTIFICATES):
            self._walk(uncertain)
            uncertain = self._certify(uncertain)
            if not uncertain:
                break
        return [self._result(fit) for fit in self._fits]

    def _begin(self, penalties: list[Penalty]) -> None:
        theta = np.zeros(self._sets.problem.size)
        layout = self._sets.problem.layout
        derivatives = self._sets.derivatives(theta)
        for number, penalty in enumerate(penalties):
            own = derivatives[number] if derivatives else self._sets.own(number, theta)
            self._fits.append(_Fit(number, penalty, theta, own, layout))

    def _look(self, trials: _Vector, fits: list["_Fit"]) -> tuple[_Vector, _Vector]:
        return self._sets.value_gradient(trials, _numbers(fits))

    def _walk(self, fits: list["_Fit"]) -> None:
        """Take steps, all in one reading, until none is worth taking."""
        tol = self._limits["tol"]
        for _ in range(self._limits["max_iter"]):
            self._renew([fit for fit in fits if fit.asks_for_hessian])
            active = [fit for fit in fits if fit.goes_on(tol)]
            if not active:
                return
            trials = np.array([fit.theta + fit.step for fit in active])
            dear = self._sets.problem.hessian_passes
            if self._may_share:
                dear /= len(fits)
            looks = self._look(trials, active)
            for fit, trial, loss, slope in zip(active, trials, *looks, strict=True):
                fit.move(trial, loss, slope, tol, dear)

    def _renew(self, fits: list["_Fit"]) -> None:
        """Make the Hessians that are asked for: those of all sets where the whole asks."""
        whole = self._fits[-1]
        if whole in fits or (self._may_share and len(fits) > 1):
            derivatives = self._sets.derivatives(whole.theta)
            if derivatives is not None:
                self._may_share = False
                for fit, own in zip(self._fits, derivatives, strict=True):
                    if not fit.is_certain:  # by the Hessian it has
                        fit.use(own, whole.theta)
                return
        for fit in fits:
            fit.use(self._sets.own(fit.number, fit.theta), fit.theta)

    def _certify(self, fits: list["_Fit"]) -> list["_Fit"]:
        """Set the distances by the Hessians that have held; return what goes on."""
        tol = self._limits["tol"]
        near = [fit for fit in fits if not fit.is_lost and not fit.goes_on(tol)]
        if not near:
            return []
        steps = np.array([fit.newton_step() for fit in near])
        moves = np.array([fit.theta - fit.made_at for fit in near])
        left, changes = (self._sets.most_changes(vectors) for vectors in (steps, moves))
        doubtful = [k for k, fit in enumerate(near) if not fit.would_do(changes[k], left[k], tol)]
        if doubtful:
            vectors = np.concatenate([steps[doubtful], moves[doubtful]])
            numbers = np.tile(_numbers([near[k] for k in doubtful]), 2)
            found = self._sets.largest_changes(vectors, numbers)
            left[doubtful], changes[doubtful] = found[: len(doubtful)], found[len(doubtful) :]
        return [
            fit
            for fit, change, rest in zip(near, changes, left, strict=True)
            if not fit.certify(change, rest, tol)
        ]

    def _result(self, fit: "_Fit") -> Result:
        """Return a fit, or what Newton makes of it from where it stands."""
        if fit.is_certain:
            return fit.result(self._sets.problem.n_passes)
        part = cast(TwiceDifferentiable, self._sets.part(fit.number, fit.penalty))
        result = newton(part, fit.theta, stages=False, **self._limits)
        fit.theta = result.theta  # where the next begins
        fit.use(self._sets.own(fit.number, fit.theta), fit.theta)
        return replace(result, n_iter=result.n_iter + fit.n_iter)


def _numbers(fits: list["_Fit"]) -> NDArray[np.int64]:
    return np.array([fit.number for fit in fits], dtype=np.int64)


class _Fit:
    """Where the fit of a set stands, and the Hessian it goes by.

    Attributes
    ----------
    number : int
        Of the set.
    penalty : Penalty
    theta, step : ndarray of shape (p,)
    value, decrement : float
        The objective, and the distance that the Hessian and the steps since say.
    made_at : ndarray of shape (p,)
        Where the Hessian was made.
    is_fresh : bool
        Whether that is here.
    asks_for_hessian : bool
        Whether another should be made.
    is_lost : bool
        Whether it is left to Newton.
    is_certain : bool
        Whether the distance was certified.
    n_iter : int
        Steps under this penalty.
    """

    def __init__(
        self, number: int, penalty: Penalty, theta: _Vector, own: Derivatives, layout: Layout
    ) -> None:
        self.number, self.penalty, self.theta = number, penalty, theta
        self._layout = layout
        self._loss, self._slope = own.value, own.gradient
        self._hessian, self.made_at = own.hessian, theta

    def begin(self, penalty: Penalty, curvature: Curvature | None = None) -> None:
        """Go on from here under another penalty; the curvature is that of the Hessian with it."""
        self.penalty = penalty
        self.is_lost = self.is_certain = False
        self.n_iter = self._shortened = 0
        self._distance, self._aim, self._wrong_by = np.inf, _AIM, np.inf
        self._factor(curvature)

    def jump(self, theta: _Vector, loss: float, slope: _Vector) -> None:
        """Start elsewhere, if that is nearer."""
        if loss + self.penalty.value(theta) <= self.value:
            self.theta, self._loss, self._slope = theta, loss, slope
            self._take_up()

    def use(self, own: Derivatives, made_at: _Vector) -> None:
        """Go by another Hessian."""
        self._hessian, self.made_at = own.hessian, made_at
        if made_at is self.theta:
            self._loss, self._slope = own.value, own.gradient
        self._factor()

    def _factor(self, curvature: Curvature | None = None) -> None:
        self.asks_for_hessian = False
        self._shortened = 0
        if curvature is None:
            hessian = self._hessian + np.diag(self.penalty.smooth_diagonal)
            curvature = Curvature(hessian, self._loss, self._layout)
        self._curvature = curvature
        self._model = Secants(self._curvature)
        self.is_lost = self.is_lost or self._curvature.factor is None  # Newton knows what to do
        self._take_up()

    def _take_up(self) -> None:
        """Look where to go from here."""
        self.is_fresh = self.made_at is self.theta
        self.value = float(self._loss) + self.penalty.value(self.theta)
        self.gradient = self._slope + self.penalty.smooth_gradient(self.theta)
        self.step, self.decrement = np.zeros_like(self.theta), np.inf
        if not self.is_lost:
            self.step, self.decrement = self._model.step(self.gradient, 0.0)
            self.is_lost = not (np.isfinite(self.decrement) and np.isfinite(self.value))

    def goes_on(self, tol: float) -> bool:
        """Whether a step is worth taking."""
        return not self.is_lost and self.decrement > self._goal(tol)

    def _goal(self, tol: float) -> float:
        return max(self._aim * tol, ROUNDING) * self.value

    def move(
        self, theta: _Vector, loss: float, slope: _Vector, tol: float, hessian_passes: float
    ) -> None:
        """Take the step to theta if it leads down, and say how to go on."""
        value = float(loss) + self.penalty.value(theta)
        promised = -float(self.gradient @ self.step)
        if not value <= self.value - _SUFFICIENT * promised + ROUNDING * abs(self.value):
            if not self.is_fresh:
                self.asks_for_hessian = True
                return
            self._shortened += 1
            self.step = _SHORTER * self.step
            self.is_lost = self._shortened > _SHORTEST
            return
        before, step, gradient = self.decrement, self.step, self.gradient
        self.theta, self._loss, self._slope = theta, loss, slope
        self._model.add(step, gradient, slope + self.penalty.smooth_gradient(theta))
        self._take_up()
        self.n_iter += 1
        if not self.goes_on(tol):
            return
        rate = self.decrement / before
        left = np.inf
        if rate < 1.0 and not self._shortened:
            left = np.ceil(np.log(self._goal(tol) / self.decrement) / np.log(rate))
        self.asks_for_hessian = bool((left - _FRESH_STEPS) * _STEP_PASSES > hessian_passes)

    def newton_step(self) -> _Vector:
        """Return the step by the Hessian alone."""
        return -self._curvature.solve(self.gradient, 0.0)

    def _bound(self, change: float, left: float) -> tuple[float, float]:
        """Return the distance by how margins have changed and may, over the decrement, and it.

        Where the Hessian is too large, the step that is left is too short by as much.
        """
        decrement = 0.5 * float(self.gradient @ self._curvature.solve(self.gradient, 0.0))
        if change > _CHANGE or left * np.exp(change) > _LEFT:
            return np.inf, np.inf
        factor = float(np.exp(change + 2.0 * left * np.exp(change)))
        return factor, decrement * factor

    def would_do(self, change: float, left: float, tol: float) -> bool:
        """Whether changes of this size would be small enough."""
        return self._bound(change, left)[1] <= tol * self.value

    def certify(self, change: float, left: float, tol: float) -> bool:
        """Judge the distance by these changes; return whether no more is to be done."""
        factor, self._distance = self._bound(change, left)
        self._wrong_by = factor
        if self._distance <= tol * self.value:
            self.is_certain = True
        elif self.is_fresh:
            self.is_lost = True
        elif factor == np.inf or self._goal(tol) <= ROUNDING * self.value:
            self.asks_for_hessian = True
        else:  # nearer by as much as is not known of the Hessian
            self._aim = min(0.5 * self._aim, 0.5 / factor)
        return self.is_certain or self.is_lost

    def result(self, passes: float) -> Result:
        """Return the fit, and the last step taken: it leads down where the Hessian is so right.

        The value is then what that step leads to by the Hessian.
        """
        norm = float(np.abs(self.gradient).max())
        theta, value = self.theta, self.value
        if self._wrong_by < _RIGHT:
            step = self.newton_step()
            theta, value = theta + step, value + 0.5 * float(self.gradient @ step)
        found = (theta, value, norm, self._distance, self.n_iter, passes)
        return Result(*found, True, Status.CONVERGED, [])
