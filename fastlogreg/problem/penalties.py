"""What is added to the mean loss: small classes with the few methods that solvers need.

A penalty knows the flat theta of a solver and has a strength for each of its entries, 0 at
intercepts. A new one touches no solver: it says its value, what is smooth of it, its proximal step,
and how far zero is from its subgradients.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["L2", "ElasticNet", "Penalty"]

_Vector = NDArray[np.float64]


class Penalty(Protocol):
    """What is added to the mean loss."""

    smooth_diagonal: _Vector

    def value(self, theta: _Vector) -> float:
        """Return the penalty of theta, (p,)."""

    def smooth_gradient(self, theta: _Vector) -> _Vector:
        """Return the gradient, (p,), of what is smooth of it; its Hessian is smooth_diagonal."""

    def prox(self, v: _Vector, step: float | _Vector) -> _Vector:
        """Return the minimizer over u of ``(u - v)² / (2 step) + penalty(u)``, (p,)."""

    def subgradient_distance(self, theta: _Vector, gradient: _Vector) -> _Vector:
        """Return by how much each entry of 0 lies outside of the objective's subdifferential, (p,).

        ``gradient`` is that of all that is smooth, this penalty's part too. All are 0 at the
        optimum.
        """

    def support(self, theta: _Vector) -> NDArray[np.bool_]:
        """Return which entries the penalty does not hold at a kink, (p,)."""

    def at_least(self, strength: _Vector) -> "Penalty":
        """Return the penalty with smooth strengths of at least these, (p,); for parts of rows."""

    def of(self, entries: NDArray[np.intp]) -> "Penalty":
        """Return the penalty of some entries of theta, numbered."""


class L2:
    """``1/2 sum_j l2_j theta_j²``.

    Parameters
    ----------
    l2 : ndarray of shape (p,)
        Strengths, 0 at intercepts.

    Examples
    --------
    >>> import numpy as np
    >>> L2(np.array([0.0, 2.0])).value(np.array([5.0, 3.0]))
    9.0
    """

    def __init__(self, l2: _Vector) -> None:
        self.smooth_diagonal = l2

    def value(self, theta: _Vector) -> float:
        """Return the penalty of theta, (p,)."""
        with np.errstate(over="ignore"):  # far out the penalty is infinite, and that is right
            return 0.5 * float((self.smooth_diagonal * theta) @ theta)

    def smooth_gradient(self, theta: _Vector) -> _Vector:
        """Return the gradient, (p,)."""
        return self.smooth_diagonal * theta

    def prox(self, v: _Vector, step: float | _Vector) -> _Vector:
        """Return the minimizer over u of ``(u - v)² / (2 step) + penalty(u)``, (p,)."""
        shrunk: _Vector = v / (1.0 + self.smooth_diagonal * step)
        return shrunk

    def subgradient_distance(self, theta: _Vector, gradient: _Vector) -> _Vector:
        """Return the size of the objective's gradient, (p,)."""
        return np.abs(gradient)

    def support(self, theta: _Vector) -> NDArray[np.bool_]:
        """Return that no entry is held at a kink: there is none."""
        return np.ones(theta.shape, dtype=bool)

    def at_least(self, strength: _Vector) -> "L2":
        """Return the penalty with strengths of at least these, (p,)."""
        return L2(np.maximum(self.smooth_diagonal, strength))

    def of(self, entries: NDArray[np.intp]) -> "L2":
        """Return the penalty of some entries of theta, numbered."""
        return L2(self.smooth_diagonal[entries])


class ElasticNet(L2):
    """``sum_j l1_j |theta_j| + 1/2 sum_j l2_j theta_j²``.

    Parameters
    ----------
    l1, l2 : ndarray of shape (p,)
        Strengths, 0 at intercepts.

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging
    Sciences 2 (the proximal step).

    Examples
    --------
    >>> import numpy as np
    >>> penalty = ElasticNet(np.array([1.0, 1.0]), np.zeros(2))
    >>> penalty.prox(np.array([3.0, -0.25]), 0.5)
    array([ 2.5, -0. ])
    >>> penalty.support(np.array([2.5, 0.0]))
    array([ True, False])
    """

    def __init__(self, l1: _Vector, l2: _Vector) -> None:
        super().__init__(l2)
        self.l1 = l1

    def value(self, theta: _Vector) -> float:
        """Return the penalty of theta, (p,)."""
        return super().value(theta) + float(self.l1 @ np.abs(theta))

    def prox(self, v: _Vector, step: float | _Vector) -> _Vector:
        """Return the minimizer over u of ``(u - v)² / (2 step) + penalty(u)``, (p,)."""
        kept = np.maximum(np.abs(v) - self.l1 * step, 0.0)
        return super().prox(np.copysign(kept, v), step)

    def subgradient_distance(self, theta: _Vector, gradient: _Vector) -> _Vector:
        """Return by how much each entry of 0 lies outside of the subdifferential, (p,)."""
        moved = np.abs(gradient + self.l1 * np.sign(theta))
        at_zero = np.maximum(np.abs(gradient) - self.l1, 0.0)
        return np.where(theta == 0.0, at_zero, moved)

    def support(self, theta: _Vector) -> NDArray[np.bool_]:
        """Return which entries are not at 0, or have no kink there, (p,)."""
        free: NDArray[np.bool_] = (theta != 0.0) | (self.l1 == 0.0)
        return free

    def at_least(self, strength: _Vector) -> "ElasticNet":
        """Return the penalty with smooth strengths of at least these, (p,)."""
        return ElasticNet(self.l1, np.maximum(self.smooth_diagonal, strength))

    def of(self, entries: NDArray[np.intp]) -> "ElasticNet":
        """Return the penalty of some entries of theta, numbered."""
        return ElasticNet(self.l1[entries], self.smooth_diagonal[entries])

    def duality_gap(self, theta: _Vector, gradient: _Vector, loss: float) -> float:
        """Return a bound on how far theta, (p,), is above the optimum, from the gradient alone.

        The dual point is the residuals r of the rows, times the largest ``t <= 1`` with ``t |g_j|
        <= l1_j`` where there is no L2, or less. A loss that can be 0 has a conjugate with 0 at 0,
        so that ``conjugate(t r) <= t conjugate(r)``, and no pass is needed for

            (1 - t) loss + sum_j (h_j(theta_j) + h_j*(-t g_j) + t g_j theta_j).

        Parameters
        ----------
        theta : ndarray of shape (p,)
        gradient : ndarray of shape (p,)
            Of the mean loss. Entries without any penalty, intercepts, are taken to be 0: what
            they are is the caller's to judge.
        loss : float
            The mean loss, of hard labels.

        References
        ----------
        Fercoq, Gramfort and Salmon (2015), Mind the duality gap: safer rules for the Lasso, ICML
        (the dual point by scaling).

        Examples
        --------
        >>> import numpy as np
        >>> penalty = ElasticNet(np.array([0.5]), np.zeros(1))
        >>> penalty.duality_gap(np.zeros(1), np.array([-0.5]), 1.0)
        0.0
        >>> penalty.duality_gap(np.zeros(1), np.array([-1.0]), 1.0)
        0.5
        """
        l1, l2 = self.l1, self.smooth_diagonal
        held = (l1 > 0.0) | (l2 > 0.0)
        l1, l2, g, w = l1[held], l2[held], gradient[held], theta[held]
        hard = (l2 == 0.0) & (np.abs(g) > l1)
        most = float((l1[hard] / np.abs(g[hard])).min()) if hard.any() else 1.0
        own = l1 * np.abs(w) + 0.5 * l2 * w * w
        soft = l2 > 0.0

        def gap(t: float) -> float:
            beyond = np.maximum(t * np.abs(g) - l1, 0.0)
            conjugate = np.zeros(g.size)
            conjugate[soft] = 0.5 * beyond[soft] ** 2 / l2[soft]
            terms = own + conjugate + t * g * w
            return (1.0 - t) * loss + float(np.maximum(terms, 0.0).sum())

        if not soft.any():
            return gap(most)
        below = float((l1[soft] / np.maximum(np.abs(g[soft]), l1[soft])).min())
        return min(gap(t) for t in np.linspace(min(most, below), most, 9))
