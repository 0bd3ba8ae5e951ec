"""Truncated Newton: the Newton step by conjugate gradients, for data too wide for a Hessian.

No p x p matrix is made. Each outer iteration solves ``H s = -g`` by preconditioned conjugate
gradients, whose products ``H v`` cost one pass each; a pass that gives value and gradient at a
new iterate keeps the curvature of each row (8 bytes), so that its products need no margins anew.

How passes are saved:

- *The preconditioner* is the Hessian's diagonal in centred columns
  (:class:`fastlogreg.solvers.curvature.Centred`), from one pass over X: the scales and the offsets
  of columns do not matter, and X is not touched.
- *Directions of one solve correct the preconditioner of the next* (Morales and Nocedal): the
  Hessian changes little from one iterate to the next, so the pairs (v, H v) that were paid for are
  used again.
- *A solve is as exact as the outer iteration deserves*: a fifth of the gradient (or less, by the
  square root of what is left), and no further than the goal.
- *The end costs no solve*: the smallest Ritz value of the solves so far bounds what a decrement in
  the preconditioner's metric can hide, and where even that is within the goal the fit is over.

Progress is safe: conjugate gradients from zero give a descent direction at any moment, steps are
shortened until the value falls, and a direction of negative curvature (squared error of a sigmoid)
ends a solve.

What products do not see: a direction of little curvature that holds little of the gradient
(columns equal to 1e-6, rare levels). So a fit that seems done is confirmed, by the first of these
that can:

1. what the penalty's own curvature bounds (:meth:`fastlogreg.solvers.curvature.Centred.most`),
   whatever the Hessian is;
2. one Hessian, where it fits and costs little: :mod:`fastlogreg.solvers.newton` has the last word;
3. a solve that goes on until 1 holds, up to what a Hessian would cost, and then 2;
4. where no Hessian fits in memory, such a solve of at most :data:`_CONFIRMING` products: what it
   has not found then may be there still.
"""

import numpy as np
from numpy.typing import NDArray

from fastlogreg.solvers import Callback, HessianProduct, Iteration, Result, Universal
from fastlogreg.solvers.curvature import Centred, Secants, is_lost
from fastlogreg.solvers.handover import CHEAP, budget, fits, go_on
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.search import ROUNDING, Point, all_finite, polyak, search, stretch

__all__ = ["newton_cg"]

_AIM = 1e-2  # share of tol to reach: at 0.1 an outlier of 1e8 hid 9e-4 of the distance
_LOOSE = 0.2  # a solve leaves at most this share of the gradient
_MOST = 500  # products of one solve
_CONFIRMING = 30  # products at most for a bound on the distance where no Hessian fits
_MEMORY = 24  # pairs that correct the preconditioner
_LEAST_MEMORY = 4
_AGED = 0.3  # the preconditioner is made anew once the value has fallen to this share
_POOR = 1e-6  # or a Ritz value to this: rows that gave a column its scale may be saturated by now
_SLOW = (
    0.3  # or a full step left more: so do steps of 1 along an outlier that holds all the curvature
)

_Vector = NDArray[np.float64]


def newton_cg(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    callback: Callback | None = None,
) -> Result:
    """Minimize an objective that is bounded below by zero by truncated Newton steps.

    Where they prove dear, or have nothing but their own word, Newton on the Hessian goes on.

    Parameters
    ----------
    objective : Problem or the like
        See :class:`fastlogreg.solvers.Universal`.
    theta : ndarray of shape (p,), float64
        The start; it is not changed.
    tol : float, default=1e-8
        Converged where half the Newton decrement is estimated at ``tol`` times the value or less.
    max_iter : int, default=100
        Outer iterations at most.
    stop_value : float, default=0.0
        Stop, not converged, at a value of this or less.
    callback : callable, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta.

    Returns
    -------
    Result

    References
    ----------
    Nocedal and Wright, Numerical Optimization, section 7.1 (truncated Newton, forcing terms);
    Morales and Nocedal (2000), Automatic preconditioning by limited memory quasi-Newton updating,
    SIAM J. Optim. 10.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> from fastlogreg.problem.problem import Problem
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> result = newton_cg(Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0]))), np.zeros(2))
    >>> result.converged, result.theta.round(4)
    (True, array([-1.3623,  0.9082]))
    """
    first, confirmed = _truncated(
        objective, theta, tol=tol, max_iter=max_iter, stop_value=stop_value, callback=callback
    )
    if confirmed or not first.finite or first.value <= stop_value or not fits(theta.size):
        return first
    if first.n_iter >= max_iter and not first.converged:
        return first
    return go_on(
        newton,
        objective,
        first,
        max_iter=max_iter,
        callback=callback,
        tol=tol,
        stop_value=stop_value,
        stages=False,
    )


def _truncated(
    objective: Universal,
    theta: _Vector,
    *,
    tol: float,
    max_iter: int,
    stop_value: float,
    callback: Callback | None,
) -> tuple[Result, bool]:
    """Minimize by products alone; return also whether the result is confirmed.

    Where it is not, only a Hessian can say whether it is the optimum.
    """
    history: list[Iteration] = []
    theta = theta.copy()
    large = not fits(theta.size)
    max_passes = objective.n_passes + budget(objective.hessian_passes, theta.size)

    def eval_product(at: _Vector) -> Point:
        return Point(*objective.value_gradient_product(at))

    current = eval_product(theta)
    n_iter, length = 0, 1.0

    def note(decrement: float) -> None:
        norm = float(np.abs(current.gradient).max())
        passes = objective.n_passes
        history.append(Iteration(n_iter, passes, current.value, norm, decrement, length))
        if callback is not None:
            callback(history[-1], theta)

    def finish(converged: bool, message: str, confirmed: bool = False) -> tuple[Result, bool]:
        last = history[-1]
        result = Result(
            theta,
            current.value,
            last.gradient_norm,
            last.decrement,
            n_iter,
            objective.n_passes,
            converged,
            message,
            history,
        )
        return result, confirmed

    if not all_finite(current):
        note(np.nan)
        return finish(False, "the objective or a derivative is not finite at the start")
    # what the pairs cost in an iteration, 4 p values each, should stay below a pass
    memory = int(min(_MEMORY, max(_LEAST_MEMORY, objective.n_values / (2 * theta.size))))
    made_at = np.inf  # the value where the preconditioner was made
    made_in, smallest = -1, 1.0  # the iteration where it was, and the least Ritz value since
    may_stretch = True  # no step has gone too far yet
    last = np.inf  # the decrement before the last step
    slow = was_slow = False  # whether that step, and the one before, left much of it
    largest = 0.0  # size of the gradient at the start, in the preconditioner's metric

    while True:
        goal = max(_AIM * tol, ROUNDING) * current.value
        poor = (slow or smallest < _POOR) and made_in < n_iter
        if current.value < _AGED * made_at or poor:
            base, made_at = Centred(current.curvature.moments()), current.value
            made_in, model, smallest = n_iter, Secants(base, memory), 1.0
        quick, short = model.step(current.gradient, 0.0)
        lost = not np.isfinite(short) or is_lost(base, current.gradient)
        if lost and not large:
            decrement = current.value
            note(decrement)
            return finish(False, "columns without curvature hold a gradient")
        if lost:
            step, decrement = -theta, current.value
        elif n_iter and short / smallest <= goal:
            step, decrement = quick, short / smallest
        else:
            largest = largest or np.sqrt(short)
            wanted = min(_LOOSE, np.sqrt(np.sqrt(short) / largest)) if short else _LOOSE
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite ends the solve
                step, decrement, smallest, model = _solve(
                    current.curvature, current.gradient, model, base, wanted, goal, smallest
                )
        note(decrement)
        slow, was_slow = length == 1.0 and decrement > _SLOW * last, slow
        last = decrement
        if current.value <= stop_value:
            return finish(False, "the objective fell to its floor")
        reliable = not (slow or was_slow) or decrement <= ROUNDING * current.value
        converged = reliable and decrement <= tol * current.value
        if reliable and decrement <= goal:
            most = base.most(current.gradient)
            if most <= tol * current.value:
                return finish(True, "converged", confirmed=True)
            if not large and objective.hessian_passes <= CHEAP:
                return finish(True, "converged")
            limit = int(objective.hessian_passes) if not large else _CONFIRMING
            step, most = _bounded(current, model, base, 0.3 * tol * current.value, limit)
            if most <= tol * current.value:
                return finish(True, "converged", confirmed=True)
            if not np.isfinite(most):
                return finish(True, "converged", confirmed=large)
            # the solve found what the decrement did not know of: its step is taken
            history[-1] = history[-1]._replace(decrement=most)
        if n_iter >= max_iter:
            return finish(converged, "max_iter reached")
        if objective.n_passes >= max_passes:
            return finish(converged, "the Hessian costs no more")
        accepted = None
        if may_stretch and not lost:
            step = stretch(decrement, current.value) * step
        for direction in (step, quick, -theta, polyak(current.value, current.gradient)):
            accepted = search(
                theta,
                current,
                direction,
                first=eval_product,
                value=objective.value,
                evaluate=eval_product,
            )
            if accepted is not None or converged:
                break
        if accepted is None:
            return finish(converged, "no step lowers the objective further")
        theta, current, length = accepted
        may_stretch = (
            may_stretch and length == 1.0 and (lost or float(current.gradient @ step) <= 0.0)
        )
        n_iter += 1


def _bounded(
    current: Point, model: Secants, base: Centred, enough: float, limit: int
) -> tuple[_Vector, float]:
    """Solve ``H s = -g`` until the penalty bounds what is left by ``enough``.

    Returns s and a bound on half the decrement of -g, infinite where ``limit`` products did not do.
    """
    s = np.zeros_like(current.gradient)
    r = -current.gradient
    z = -model.step(r, 0.0)[0]
    v, rz = z, float(r @ z)
    for _ in range(limit):
        Hv = current.curvature(v)
        curvature = float(v @ Hv)
        if not curvature > 0.0:
            break
        s += rz / curvature * v
        r -= rz / curvature * Hv
        left = base.most(r)
        if left <= enough:
            return s, -0.5 * float(current.gradient @ s) + left
        z = -model.step(r, 0.0)[0]
        before, rz = rz, float(r @ z)
        if not rz > 0.0:
            break
        v = z + rz / before * v
    return s, np.inf


def _solve(
    product: HessianProduct,
    gradient: _Vector,
    model: Secants,
    base: Centred,
    wanted: float,
    goal: float,
    smallest: float,
) -> tuple[_Vector, float, float, Secants]:
    """Solve ``H s = -g`` by conjugate gradients until the residual is ``wanted`` of g.

    Returns s, half its decrement, the smallest Ritz value seen and the next preconditioner.
    """
    s = np.zeros_like(gradient)
    r = -gradient  # residual
    z = -model.step(r, 0.0)[0]
    v = z
    rz = first = float(r @ z)
    alphas: list[float] = []
    betas: list[float] = []
    pairs: list[tuple[_Vector, _Vector]] = []
    stride = 1  # of the products whose pairs are kept: some of all, and never many
    for k in range(min(_MOST, 2 * gradient.size + 10)):
        Hv = product(v)
        curvature = float(v @ Hv)
        if not curvature > 0.0:  # not convex here, or flat to rounding
            break
        alpha = rz / curvature
        s += alpha * v
        r -= alpha * Hv
        if k % stride == 0:
            pairs.append((v, Hv))
            if len(pairs) > 2 * model.memory:
                pairs, stride = pairs[::2], 2 * stride
        z = -model.step(r, 0.0)[0]
        new = float(r @ z)
        if not np.isfinite(new):
            break
        alphas.append(alpha)
        betas.append(new / rz)
        rz = new
        # what is left of the decrement: at most rz / smallest
        if rz <= wanted * wanted * first or 0.5 * rz <= 0.1 * goal * smallest:
            break
        v = z + betas[-1] * v
    if not alphas:  # not a single step: take the preconditioner's
        s = model.step(gradient, 0.0)[0]
    smallest = min(smallest, _least_ritz_value(alphas, betas))
    following = Secants(base, model.memory)
    few = min(model.memory, len(pairs))
    for k in np.unique(np.linspace(0, len(pairs) - 1, few).astype(int)):
        following.add_pair(*pairs[k])
    # conjugate gradients: the decrease promised is half of -g's
    decrement = -0.5 * float(gradient @ s) + 0.5 * max(rz, 0.0) / smallest
    return s, decrement, smallest, following


def _least_ritz_value(alphas: list[float], betas: list[float]) -> float:
    """Return the least eigenvalue of the Lanczos matrix that belongs to these coefficients.

    Saad, Iterative Methods for Sparse Linear Systems, section 6.7.3.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    if not alphas:
        return 1.0
    a, b = np.array(alphas), np.array(betas[:-1])
    diagonal = 1.0 / a
    diagonal[1:] += b / a[:-1]
    beyond = np.sqrt(b) / a[:-1]
    return float(
        max(eigvalsh_tridiagonal(diagonal, beyond, select="i", select_range=(0, 0))[0], 1e-12)
    )
