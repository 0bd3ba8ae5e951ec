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

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy

from fastlogreg.solvers import HessianProduct, Iteration, Result, Status, Universal
from fastlogreg.solvers.convergence import TRUNCATED, Convergence, Limits
from fastlogreg.solvers.curvature import Centred, Conjugate, bound, is_lost
from fastlogreg.solvers.direction import Iterate, Proposal
from fastlogreg.solvers.handover import budget, fits, go_on, is_cheap
from fastlogreg.solvers.loop import minimize
from fastlogreg.solvers.near import in_near_columns
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.search import Point, polyak, search
from fastlogreg.solvers.trace import Trace

__all__ = ["newton_cg"]

_LOOSE = 0.2  # a solve leaves at most this share of the gradient
_MOST = 500  # products of one solve
_CONFIRMING = 30  # products at most for a bound on the distance where no Hessian fits
_MEMORY = 24  # pairs that correct the preconditioner
_LEAST_MEMORY = 4
_AGED = 0.3  # the preconditioner is made anew once the value has fallen to this share
_POOR = 1e-6  # or a Ritz value to this: rows that gave a column its scale may be saturated by now
_ENDS = (Status.CONVERGED, Status.STOPPED, Status.NOT_FINITE)  # no one goes on after these

_Vector = NDArray[np.float64]


@in_near_columns
def newton_cg(
    objective: Universal,
    theta: NDArray[np.float64],
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    stop_value: float = 0.0,
    trace: Trace[Iteration] | None = None,
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
    trace : Trace, optional
        Hears of each :class:`fastlogreg.solvers.Iteration` and its theta, and may stop.

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
    trace = Trace() if trace is None else trace
    max_passes = objective.n_passes + budget(objective.hessian_passes, theta.size)
    convergence = Convergence(objective, Limits(tol, max_iter, stop_value, max_passes), TRUNCATED)
    direction = _Truncated(objective, convergence, large=not fits(theta.size))
    first = minimize(objective, theta, direction, convergence, trace)
    if first.status in _ENDS or first.value <= stop_value or not fits(theta.size):
        return first
    if first.n_iter >= max_iter and not first.converged:
        return replace(first, status=Status.MAX_ITER)
    return go_on(
        newton,
        objective,
        first,
        max_iter=max_iter,
        trace=trace,
        tol=tol,
        stop_value=stop_value,
        stages=False,
    )


class _Truncated:
    """Newton's direction by conjugate gradients, and the preconditioner that it learns."""

    def __init__(self, objective: Universal, convergence: Convergence, large: bool) -> None:
        self._objective = objective
        self._convergence = convergence
        self._large = large  # too large for a Hessian
        self._made_at = np.inf  # the value where the preconditioner was made
        self._made_in = -1  # and the iteration
        self._smallest = 1.0  # the least Ritz value since
        self._last = np.inf  # the decrement before the last step
        self._largest = 0.0  # size of the gradient at the start, in the preconditioner's metric
        self._base: Centred
        self._memory = _LEAST_MEMORY  # pairs that correct it
        self._model: Conjugate
        self._quick: _Vector  # the preconditioner's own step

    def start(self, theta: _Vector) -> Point:
        return self._eval_product(theta)

    def propose(self, at: Iterate) -> Proposal:
        value, gradient, _ = at.point
        poor = (self._convergence.slow or self._smallest < _POOR) and self._made_in < at.n_iter
        if value < _AGED * self._made_at or poor:
            self._precondition(at)
        self._quick, short = self._model.step(gradient)
        lost = not np.isfinite(short) or is_lost(self._base, gradient)
        if lost:  # columns without curvature hold a gradient
            step, decrement = -at.theta, value
        elif at.n_iter and short / self._smallest <= self._convergence.goal(value):
            step, decrement = self._quick, short / self._smallest
        else:
            step, decrement = self._solve(at, short)
        full = at.length == 1.0
        self._convergence.note_step(*((decrement, self._last) if full else (0.0, 0.0)))
        self._last = decrement
        ends = lost and not self._large
        return Proposal(step, decrement, known=True, fresh=not lost, lost=lost, ends=ends)

    def proves(self, at: Iterate) -> bool:
        _, gradient, product = at.point
        within = self._convergence.limits.tol * at.point.value
        return bound(product, self._base, gradient, within) <= within

    def confirm(self, at: Iterate, proposal: Proposal) -> Proposal | None:
        if self.proves(at):
            return None
        cost = self._objective.hessian_passes
        if not self._large and is_cheap(self._objective):
            return replace(proposal, ends=True)
        within = self._convergence.limits.tol * at.point.value
        limit = _CONFIRMING if self._large else int(cost)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite ends the solve
            step, most = _bounded(at.point, self._model, self._base, 0.3 * within, limit)
        if most <= within or (self._large and not np.isfinite(most)):
            return None
        if not np.isfinite(most):
            return replace(proposal, ends=True)
        # the solve found what the decrement did not know of: its step is taken
        return Proposal(step, most)

    def walk(
        self, at: Iterate, proposal: Proposal, converged: bool
    ) -> tuple[_Vector, Point, float] | None:
        value, gradient, _ = at.point
        for step in (proposal.step, self._quick, -at.theta, polyak(value, gradient)):
            accepted = search(
                at.theta,
                at.point,
                step,
                first=self._eval_product,
                value=self._objective.value,
                evaluate=self._eval_product,
            )
            if accepted is not None or converged:
                return accepted
        return None

    def renew(self, at: Iterate) -> None:
        return None

    def moved(self, before: Iterate, at: Iterate, proposal: Proposal) -> None:
        pass

    def _eval_product(self, theta: _Vector) -> Point:
        return Point(*self._objective.value_gradient_product(theta))

    def _precondition(self, at: Iterate) -> None:
        """Make the preconditioner anew."""
        # what the pairs cost in an iteration, 4 p values each, should stay below a pass
        memory = max(_LEAST_MEMORY, self._objective.n_values / (2 * at.theta.size))
        self._memory = int(min(_MEMORY, memory))
        self._base = Centred(at.point.curvature.moments())
        self._model = Conjugate(self._base)
        self._made_at, self._made_in, self._smallest = at.point.value, at.n_iter, 1.0

    def _solve(self, at: Iterate, short: float) -> tuple[_Vector, float]:
        """Return the step of conjugate gradients, as exact as it deserves, and its decrement."""
        self._largest = self._largest or np.sqrt(short)
        wanted = min(_LOOSE, np.sqrt(np.sqrt(short) / self._largest)) if short else _LOOSE
        system = _System(
            at.point.curvature, at.point.gradient, self._base, self._model, self._memory
        )
        goal = self._convergence.goal(at.point.value)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite ends the solve
            solved = _conjugate_gradients(system, wanted, 0.1 * goal, self._smallest)
        self._smallest, self._model = solved.smallest, solved.model
        return solved.step, solved.decrement


def _bounded(
    current: Point, model: Conjugate, base: Centred, enough: float, limit: int
) -> tuple[_Vector, float]:
    """Solve ``H s = -g`` until the penalty bounds what is left by ``enough``.

    Returns s and a bound on half the decrement of -g, infinite where ``limit`` products did not do.
    """
    s = np.zeros_like(current.gradient)
    r = -current.gradient
    z = model.solve(r)
    v, rz = z, float(r @ z)
    for _ in range(limit):
        Hv = current.curvature(v)
        curvature = float(v @ Hv)
        if not curvature > 0.0:
            break
        s += rz / curvature * v
        r -= rz / curvature * Hv
        left = bound(current.curvature, base, r, enough)
        if left <= enough:
            return s, -0.5 * float(current.gradient @ s) + left
        z = model.solve(r)
        before, rz = rz, float(r @ z)
        if not rz > 0.0:
            break
        v = z + rz / before * v
    return s, np.inf


class _System(NamedTuple):
    """``H s = -g``, and what preconditions it."""

    product: HessianProduct
    gradient: _Vector
    base: Centred
    model: Conjugate
    memory: int  # pairs to correct the next one by


class _Solved(NamedTuple):
    """What a solve found."""

    step: _Vector
    decrement: float
    smallest: float  # Ritz value so far
    model: Conjugate  # the next preconditioner


def _conjugate_gradients(
    system: _System, wanted: float, negligible: float, smallest: float
) -> _Solved:
    """Solve until the residual is ``wanted`` of g, or what is left is negligible."""
    product, gradient, base, model, memory = system
    s = np.zeros_like(gradient)
    r = -gradient  # residual
    z = model.solve(r)
    v = z
    rz = first = float(r @ z)
    alphas: list[float] = []
    betas: list[float] = []
    pairs = _Pairs(2 * memory)
    for _ in range(min(_MOST, 2 * gradient.size + 10)):
        Hv = product(v)
        curvature = float(v @ Hv)
        if not curvature > 0.0:  # not convex here, or flat to rounding
            break
        alpha = rz / curvature
        s = daxpy(v, s, a=alpha)  # in place
        r = daxpy(Hv, r, a=-alpha)
        pairs.add(v, Hv)
        z = model.solve(r)
        new = float(r @ z)
        if not np.isfinite(new):
            break
        alphas.append(alpha)
        betas.append(new / rz)
        rz = new
        # what is left of the decrement: at most rz / smallest
        if rz <= wanted * wanted * first or 0.5 * rz <= negligible * smallest:
            break
        v = daxpy(v, z, a=betas[-1])  # of z, which no one else holds
    if not alphas:  # not a single step: take the preconditioner's
        s = model.step(gradient)[0]
    smallest = min(smallest, _least_ritz_value(alphas, betas))
    # conjugate gradients: the decrease promised is half of -g's
    decrement = -0.5 * float(gradient @ s) + 0.5 * max(rz, 0.0) / smallest
    return _Solved(s, decrement, smallest, pairs.corrected(base, memory))


class _Pairs:
    """Some of the pairs (v, H v) of a solve, evenly spread over it and never many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pairs: list[tuple[_Vector, _Vector]] = []
        self._seen, self._stride = 0, 1

    def add(self, v: _Vector, Hv: _Vector) -> None:
        """Keep a pair, if it is the turn of one."""
        if self._seen % self._stride == 0:
            self._pairs.append((v, Hv))
            if len(self._pairs) > self._most:
                self._pairs, self._stride = self._pairs[::2], 2 * self._stride
        self._seen += 1

    def corrected(self, base: Centred, memory: int) -> Conjugate:
        """Return the base corrected by as many of the pairs as there is memory for."""
        few = min(memory, len(self._pairs))
        chosen = np.unique(np.linspace(0, len(self._pairs) - 1, few).astype(int))
        return Conjugate(base, [self._pairs[k] for k in chosen])


def _least_ritz_value(alphas: list[float], betas: list[float]) -> float:
    """Return the least eigenvalue of the Lanczos matrix that belongs to these coefficients.

    Saad, Iterative Methods for Sparse Linear Systems, section 6.7.3.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    if not alphas:
        return 1.0
    a, b = np.array(alphas), np.array(betas[:-1])
    if not (b >= 0.0).all():  # rounding left the preconditioner indefinite: nothing is known
        return 1e-12
    diagonal = 1.0 / a
    if a.size == 1:  # which SciPy before 1.13 refuses
        return float(max(diagonal[0], 1e-12))
    diagonal[1:] += b / a[:-1]
    beyond = np.sqrt(b) / a[:-1]
    return float(
        max(eigvalsh_tridiagonal(diagonal, beyond, select="i", select_range=(0, 0))[0], 1e-12)
    )
