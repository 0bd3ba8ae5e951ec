"""Damped Newton on the full Hessian, with as few passes as it can.

Each iteration solves ``H s = -g`` and walks along s. The half Newton decrement
``g' H^-1 g / 2`` estimates the distance above the optimum; it does not change when
columns of X are rescaled, and the stop rule is written in it.

How passes are saved: the full step is nearly always accepted, so its value, gradient
and Hessian are asked for in one pass, and only a rejected step is shortened on values
alone. Close to the optimum the Hessian is kept and only gradients are asked for, as long
as each such pass divides the estimated distance by :data:`_CONTRACTION`; otherwise the
Hessian is made anew. So the estimate that ends the fit has been seen to be right, and the
last step costs no Hessian.

How it stays sturdy: H is scaled to a unit diagonal first, so that the scales of columns
do not matter. Where its Cholesky factor shows that H is singular to rounding (collinear
columns without penalty) or indefinite (squared error of a sigmoid), the eigenvalues
decide: absolute values, raised to :data:`_FLAT`; a flat direction is followed only where
it promises more than the goal, so that rounding noise along duplicate columns is not
followed at all. Where columns have no curvature but a gradient (every sample
saturated), or Newton's direction leads nowhere, a gradient step of Polyak's length
``f / ||g||²`` (the loss is bounded below by zero) leads back. A trial value that is not
finite counts as a rise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from fastlogreg.solvers import Iteration, Result, TwiceDifferentiable

__all__ = ["newton"]

_EPS = float(np.finfo(np.float64).eps)
_ARMIJO = 1e-4  # share of the predicted decrease that a step must bring
_HALVINGS = 40  # trials along one direction
_ROUNDING = 8 * _EPS  # differences of values below this share of them are noise
_NEAR = 1e-5  # relative distance from which gradients alone may do
_CONTRACTION = 0.01  # of the distance, by a step with a kept Hessian
_AIM = 1e-5  # share of tol to reach where it is cheap: the last step is a gradient pass
_FLAT = 10 * _EPS  # times p: curvature below this share of the diagonal is rounding

_Vector = NDArray[np.float64]


class _Curvature:
    """A Hessian made ready to solve with, in coordinates where its diagonal is one."""

    def __init__(self, hessian: NDArray[np.float64]) -> None:
        size = hessian.shape[0]
        diagonal = np.abs(hessian.diagonal())
        self.frozen = diagonal == 0.0
        self.scale = np.where(self.frozen, 0.0, 1.0 / np.sqrt(np.where(self.frozen, 1.0, diagonal)))
        scaled = hessian * self.scale[:, None] * self.scale
        scaled.flat[:: size + 1][self.frozen] = 1.0
        self.flat = _FLAT * size
        # lower triangle of the transpose: LAPACK gets its column order without a copy
        factor, info = dpotrf(scaled.T, lower=1, clean=0)
        self.factor = None
        if info == 0 and factor.diagonal().min() ** 2 > self.flat:
            self.factor = factor
        else:
            values, self.vectors = np.linalg.eigh(scaled)
            self.values = np.maximum(np.abs(values), self.flat)

    def step(self, gradient: _Vector, negligible: float) -> tuple[_Vector, float]:
        """Return the Newton step and half the decrement, the decrease it promises."""
        g = self.scale * gradient
        if self.factor is not None:
            s, _ = dpotrs(self.factor, -g, lower=1)
        else:
            along = g @ self.vectors
            shares = along / self.values
            shares[(self.values <= self.flat) & (along * shares <= 2 * negligible)] = 0.0
            s = -(self.vectors @ shares)
        return self.scale * s, -0.5 * float(g @ s)


def _finite(value: float, gradient: _Vector, hessian: NDArray[np.float64] | None = None) -> bool:
    return bool(
        np.isfinite(value)
        and np.isfinite(gradient).all()
        and (hessian is None or np.isfinite(hessian).all())
    )


def newton(
    objective: TwiceDifferentiable,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    floor: float = 0.0,
    callback: Callable[[Iteration], None] | None = None,
) -> Result:
    """Minimize a twice differentiable objective that is bounded below by zero.

    Parameters
    ----------
    objective : Objective or the like
        See :class:`fastlogreg.solvers.TwiceDifferentiable`.
    theta : ndarray of shape (p,), float64
        The start; it is not changed.
    tol : float, default=1e-8
        Converged where half the Newton decrement is at most ``tol`` times the value.
    max_iter : int, default=100
        Steps at most.
    floor : float, default=0.0
        Stop, not converged, at a value of this or less.
    callback : callable, optional
        Hears of each :class:`fastlogreg.solvers.Iteration`.

    Returns
    -------
    Result
        Where the start gives a value or derivative that is not finite: the start,
        with a decrement of NaN.

    References
    ----------
    Boyd and Vandenberghe, Convex Optimization, sections 9.5 (damped Newton, the
    decrement) and 9.2 (backtracking).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.objective import Objective
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> result = newton(Objective(X, np.array([0.0, 1.0, 0.0, 1.0])), np.zeros(2))
    >>> result.converged, result.theta.round(6)
    (True, array([-1.362276,  0.908184]))
    """
    history: list[Iteration] = []
    theta = theta.copy()
    value, gradient, hessian = objective.value_gradient_hessian(theta)
    n_iter, length = 0, 1.0
    fresh = True
    previous = np.inf  # decrement before the last step

    def record(decrement: float) -> None:
        norm = float(np.abs(gradient).max())
        history.append(Iteration(n_iter, objective.n_passes, value, norm, decrement, length))
        if callback is not None:
            callback(history[-1])

    def finish(converged: bool, message: str) -> Result:
        last = history[-1]
        return Result(
            theta,
            value,
            last.gradient_norm,
            last.decrement,
            n_iter,
            objective.n_passes,
            converged,
            message,
            history,
        )

    if not _finite(value, gradient, hessian):
        record(np.nan)
        return finish(False, "the objective or a derivative is not finite at the start")
    curvature = _Curvature(hessian)

    while True:
        goal = max(_AIM * tol, _ROUNDING) * value
        step, decrement = curvature.step(gradient, goal)
        if not fresh and decrement > max(goal, _CONTRACTION * previous):
            value, gradient, hessian = objective.value_gradient_hessian(theta)
            curvature, fresh = _Curvature(hessian), True
            step, decrement = curvature.step(gradient, goal)
        lost = _is_lost(curvature, gradient)
        if lost:
            step = _polyak(value, gradient)
            decrement = value
        record(decrement)
        if value <= floor:
            return finish(False, "the objective fell to its floor")
        converged = decrement <= tol * value
        if decrement <= goal:
            return finish(True, "converged")
        if n_iter >= max_iter:
            return finish(converged, "max_iter reached")

        keep = decrement <= _NEAR * value
        found = _search(objective, theta, value, gradient, step, keep, length == 1.0)
        if found is None and not fresh:
            previous = 0.0  # the next round makes a new Hessian here and tries again
            continue
        if found is None and not converged and not lost:
            step = _polyak(value, gradient)
            found = _search(objective, theta, value, gradient, step, False, False)
        if found is None:
            return finish(converged, "no step lowers the objective further")
        theta, value, gradient, new_hessian, length = found
        n_iter += 1
        previous = decrement
        fresh = new_hessian is not None
        if new_hessian is not None:
            curvature = _Curvature(new_hessian)


def _is_lost(curvature: _Curvature, gradient: _Vector) -> bool:
    """Whether columns without any curvature hold a real share of the gradient."""
    if not curvature.frozen.any():
        return False
    share = np.linalg.norm(gradient[curvature.frozen])
    return bool(share > np.sqrt(_EPS) * np.linalg.norm(gradient))


def _polyak(value: float, gradient: _Vector) -> _Vector:
    """Return the gradient step that would reach zero if the objective were linear."""
    largest = np.abs(gradient).max()
    unit = gradient / largest  # its square cannot overflow
    step: _Vector = -(value / largest / float(unit @ unit)) * unit
    return step


_Found = tuple[_Vector, float, _Vector, NDArray[np.float64] | None, float]


def _search(
    objective: TwiceDifferentiable,
    theta: _Vector,
    value: float,
    gradient: _Vector,
    step: _Vector,
    keep: bool,
    hopeful: bool,
) -> _Found | None:
    """Walk along ``step`` until the value falls; None where it never does.

    ``keep``: no new Hessian is wanted. ``hopeful``: the full step will do, so its
    derivatives are asked for at once; shorter ones are first tried on the value alone.
    """
    slope = float(gradient @ step)
    if not (np.isfinite(slope) and slope < 0.0):
        return None
    length = 1.0
    for k in range(_HALVINGS):
        trial = theta + length * step
        if np.array_equal(trial, theta):
            return None
        g, H = None, None
        if k == 0 and keep:
            v, g = objective.value_gradient(trial)
        elif k == 0 and hopeful:
            v, g, H = objective.value_gradient_hessian(trial)
        else:
            v = objective.value(trial)
        if v <= value + _ARMIJO * length * slope + _ROUNDING * value:
            if g is None:
                v, g, H = objective.value_gradient_hessian(trial)
            if _finite(v, g, H):
                return trial, v, g, H, length
        # the minimum of the parabola through value, slope and v, within bounds
        rise = v - value - length * slope
        shrink = -0.5 * length * slope / rise if np.isfinite(rise) and rise > 0.0 else 0.0
        length *= min(0.5, max(0.1, shrink))
    return None
