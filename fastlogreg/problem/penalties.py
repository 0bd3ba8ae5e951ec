"""What is added to the mean loss: small classes with the few methods that solvers need.

A penalty knows the flat theta of a solver and has a strength for each of its entries, 0 at
intercepts. A new one touches no solver: it says its value, what is smooth of it, its proximal step,
and how far zero is from its subgradients.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["L2", "ElasticNet", "Penalty", "least_shift", "move_along_flat"]

_SCALES = 9  # of the dual point, of which the best counts
_MANY = 1000  # entries from which those that say nothing are left out

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

    def grows(self) -> NDArray[np.bool_]:
        """Return which entries may fall, and rise, without bound at no cost, (2, p)."""

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

    def grows(self) -> NDArray[np.bool_]:
        """Return which entries may fall, and rise, without bound at no cost, (2, p)."""
        return np.tile(self.smooth_diagonal == 0.0, (2, 1))

    def at_least(self, strength: _Vector) -> "L2":
        """Return the penalty with strengths of at least these, (p,)."""
        return L2(np.maximum(self.smooth_diagonal, strength))

    def of(self, entries: NDArray[np.intp]) -> "L2":
        """Return the penalty of some entries of theta, numbered."""
        return L2(self.smooth_diagonal[entries])


class ElasticNet(L2):
    """``sum_j l1_j |theta_j| + 1/2 sum_j l2_j theta_j²`` where ``lower <= theta <= upper``.

    Parameters
    ----------
    l1, l2 : ndarray of shape (p,)
        Strengths, 0 at intercepts.
    lower, upper : ndarray of shape (p,), optional
        Bounds, infinite at intercepts; default: none. Outside of them the penalty is infinite.

    Attributes
    ----------
    unpenalized : ndarray of shape (p,), bool
        Entries of no strength, intercepts among them; they may have bounds.
    free : ndarray of shape (p,), bool
        Those of them that have no bounds.

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

    def __init__(
        self,
        l1: _Vector,
        l2: _Vector,
        lower: _Vector | None = None,
        upper: _Vector | None = None,
    ) -> None:
        super().__init__(l2)
        self.l1 = l1
        self.lower = np.full(l1.shape, -np.inf) if lower is None else lower
        self.upper = np.full(l1.shape, np.inf) if upper is None else upper
        self.unpenalized: NDArray[np.bool_] = (l1 == 0.0) & (l2 == 0.0)
        unbounded = np.isneginf(self.lower) & np.isposinf(self.upper)
        self.free: NDArray[np.bool_] = self.unpenalized & unbounded
        self.bounded = not bool(unbounded.all())
        self._none_free = not bool(self.free.any())
        self._is_smooth = bool(l2.any())

    def value(self, theta: _Vector) -> float:
        """Return the penalty of theta, (p,)."""
        if self.bounded and ((theta < self.lower) | (theta > self.upper)).any():
            return np.inf
        kinks = float(self.l1 @ np.abs(theta))
        return super().value(theta) + kinks if self._is_smooth else kinks

    def prox(self, v: _Vector, step: float | _Vector) -> _Vector:
        """Return the minimizer over u of ``(u - v)² / (2 step) + penalty(u)``, (p,)."""
        kept = np.maximum(np.abs(v) - self.l1 * step, 0.0)
        return self._within(super().prox(np.copysign(kept, v), step))

    def projected(self, theta: _Vector, rounding: _Vector | float = 0.0) -> _Vector:
        """Return the nearest theta, (p,), within the bounds; ``rounding`` from one is at it."""
        if not self.bounded:
            return theta
        inside = self._within(theta)
        at_lower = inside - self.lower <= rounding
        at_upper = self.upper - inside <= rounding
        at: _Vector = np.where(at_lower, self.lower, np.where(at_upper, self.upper, inside))
        return at

    def _within(self, theta: _Vector) -> _Vector:
        return np.clip(theta, self.lower, self.upper) if self.bounded else theta

    def subgradient_distance(self, theta: _Vector, gradient: _Vector) -> _Vector:
        """Return by how much each entry of 0 lies outside of the subdifferential, (p,)."""
        leftward, rightward = self._slopes(theta, gradient)
        if self.bounded:
            leftward[theta <= self.lower] = -np.inf
            rightward[theta >= self.upper] = np.inf
        return np.maximum(np.maximum(leftward, -rightward), 0.0)

    def support(self, theta: _Vector) -> NDArray[np.bool_]:
        """Return which entries are at no bound, and not at 0 or have no kink there, (p,)."""
        smooth: NDArray[np.bool_] = (theta != 0.0) | (self.l1 == 0.0)
        return smooth & (theta > self.lower) & (theta < self.upper)

    def held(self, theta: _Vector, gradient: _Vector) -> NDArray[np.bool_]:
        """Return which entries are at a bound that the slope holds them at, (p,)."""
        leftward, rightward = self._slopes(theta, gradient)
        at_lower, at_upper = theta <= self.lower, theta >= self.upper
        held: NDArray[np.bool_] = (at_lower & (rightward >= 0.0)) | (at_upper & (leftward <= 0.0))
        return held | (at_lower & at_upper)

    def _slopes(self, theta: _Vector, gradient: _Vector) -> tuple[_Vector, _Vector]:
        """Return the objective's slopes at the left and at the right of theta, (p,) each."""
        leftward = gradient + np.where(theta > 0.0, self.l1, -self.l1)
        return leftward, gradient + np.where(theta < 0.0, -self.l1, self.l1)

    def grows(self) -> NDArray[np.bool_]:
        """Return which entries may fall, and rise, without bound at no cost, (2, p)."""
        endless: NDArray[np.bool_] = np.array([np.isneginf(self.lower), np.isposinf(self.upper)])
        return self.unpenalized & endless

    def at_least(self, strength: _Vector) -> "ElasticNet":
        """Return the penalty with smooth strengths of at least these, (p,)."""
        l2 = np.maximum(self.smooth_diagonal, strength)
        return ElasticNet(self.l1, l2, self.lower, self.upper)

    def of(self, entries: NDArray[np.intp]) -> "ElasticNet":
        """Return the penalty of some entries of theta, numbered."""
        own = (self.l1, self.smooth_diagonal, self.lower, self.upper)
        return ElasticNet(*(values[entries] for values in own))

    def duality_gap(self, theta: _Vector, gradient: _Vector, loss: float) -> float:
        """Return a bound on how far theta, (p,), is above the optimum, from the gradient alone.

        The dual point is the residuals r of the rows, times a ``t <= 1`` at which all conjugates
        are finite. A loss that can be 0 has a conjugate with 0 at 0, so that ``conjugate(t r) <= t
        conjugate(r)``, and no pass is needed for

            (1 - t) loss + sum_j (h_j(theta_j) + h_j*(-t g_j) + t g_j theta_j),

        with ``h_j*(u) = max (u w - h_j(w))`` over w between the bounds. Without L2 it is infinite
        where ``|u| > l1_j`` and there is no bound on that side.

        Parameters
        ----------
        theta : ndarray of shape (p,)
            Within the bounds.
        gradient : ndarray of shape (p,)
            Of the mean loss. Entries without any penalty or bounds, intercepts, are taken to be 0:
            what they are is the caller's to judge.
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
        >>> penalty = ElasticNet(np.zeros(1), np.zeros(1), np.zeros(1), np.ones(1))
        >>> penalty.duality_gap(np.zeros(1), np.array([-1.0]), 5.0)
        1.0
        """
        if not self.bounded:
            return self._gap_without_bounds(theta, gradient, loss)
        judged = ~self.free
        l1, l2 = self.l1[judged], self.smooth_diagonal[judged]
        lower, upper = self.lower[judged], self.upper[judged]
        g, w = gradient[judged], theta[judged]
        size, linear = np.abs(g), l2 == 0.0
        beyond = size > l1
        endless = np.isinf(np.where(g > 0.0, lower, upper))  # to the side where -g leads
        hard = linear & beyond & endless
        most = float((l1[hard] / size[hard]).min()) if hard.any() else 1.0
        # between these, 0 is the best for entries without L2
        floor = np.where(np.isneginf(lower), -l1, -np.inf)
        ceiling = np.where(np.isposinf(upper), l1, np.inf)
        nearest = np.clip(0.0, lower, upper)
        safe = np.where(linear, 1.0, l2)

        def gap(t: float) -> float:
            u = -t * g
            u = np.where(linear, np.clip(u, floor, ceiling), u)  # over by rounding at the most
            shrunk = np.copysign(np.maximum(np.abs(u) - l1, 0.0), u)
            end = np.where(u > l1, upper, np.where(u < -l1, lower, nearest))
            with np.errstate(over="ignore", invalid="ignore"):  # NaN then says nothing is known
                best = np.where(linear, end, np.clip(shrunk / safe, lower, upper))
                by = best - w
                terms = u * by - l1 * (np.abs(best) - np.abs(w)) - 0.5 * l2 * by * (best + w)
                return (1.0 - t) * loss + float(np.maximum(terms, 0.0).sum())

        may_shrink = ~hard & beyond & (l1 > 0.0)  # what a smaller t may gain by
        if not may_shrink.any():
            return min(gap(most), gap(0.0))
        below = float((l1[may_shrink] / size[may_shrink]).min())
        return min(gap(t) for t in (0.0, *np.linspace(min(most, below), most, _SCALES)))

    def _gap_without_bounds(self, theta: _Vector, gradient: _Vector, loss: float) -> float:
        """Return the same, with ``h_j*(u) = max(|u| - l1_j, 0)² / (2 l2_j)``."""
        l1, l2 = self.l1, self.smooth_diagonal
        with np.errstate(over="ignore", invalid="ignore"):  # NaN then says nothing is known
            g = gradient if self._none_free else np.where(self.free, 0.0, gradient)
            size = np.abs(g)
            if theta.size > _MANY:  # entries at 0 that stay there add nothing
                used = np.flatnonzero((theta != 0.0) | ~(size <= l1))
                theta, g, size, l1, l2 = (each[used] for each in (theta, g, size, l1, l2))
            own, slope = l1 * np.abs(theta), g * theta
            if self._is_smooth:
                own += 0.5 * l2 * theta * theta
            beyond = np.flatnonzero(size > l1)
            scales, bent = [1.0], beyond[:0]
            if beyond.size:
                soft = l2[beyond] > 0.0
                ratios = l1[beyond] / size[beyond]
                most = float(ratios[~soft].min(initial=1.0))
                bent = beyond[soft]  # whose conjugates may be curved
                below = float(ratios[soft & (ratios > 0.0)].min(initial=most))
                scales = list(np.linspace(below, most, _SCALES)) if below < most else [most]

            def gap(t: float) -> float:
                terms = own + t * slope
                if bent.size:
                    past = np.maximum(t * size[bent] - l1[bent], 0.0)
                    terms[bent] += 0.5 * past * past / l2[bent]
                return (1.0 - t) * loss + float(np.maximum(terms, 0.0).sum())

            return min(loss + float(own.sum()), *(gap(t) for t in scales))  # the first: t = 0


def least_shift(u: NDArray[np.float64], l1: _Vector, l2: _Vector) -> NDArray[np.float64]:
    """Return u with a number added to each of its columns such that their penalty is least.

    Softmax is flat there: what all classes share in a column changes no loss.

    Parameters
    ----------
    u : ndarray of shape (K, d)
    l1, l2 : ndarray of shape (d,)
        The penalty of a column is ``sum_k l1 |u_k| + l2 u_k**2 / 2``.

    Returns
    -------
    ndarray of shape (K, d)

    References
    ----------
    Li and Osher (2009), A new median formula with applications to PDE based denoising, Commun.
    Math. Sci. 7: the least value is at a median of the entries and of where the parabolas between
    them have theirs.

    Examples
    --------
    >>> u = np.array([[3.0, 3.0], [1.0, 1.0], [5.0, 8.0]])
    >>> least_shift(u, np.ones(2), np.array([0.0, 1e9])).round(4)
    array([[ 0., -1.],
           [-2., -3.],
           [ 2.,  4.]])
    """
    n_classes = u.shape[0]
    ordered = np.sort(u, axis=0)
    low, high = ordered[(n_classes - 1) // 2], ordered[n_classes // 2]
    by = np.where(np.abs(low) < np.abs(high), low, high)
    by[(low <= 0.0) & (high >= 0.0)] = 0.0  # all between are as good
    soft = l2 > 0.0
    if soft.any():
        below = np.arange(n_classes + 1)[:, None]
        pull = l1[soft] / l2[soft] * (2 * below - n_classes)
        least = (ordered[:, soft].sum(axis=0) - pull) / n_classes
        by[soft] = np.median(np.concatenate([ordered[:, soft], least]), axis=0)
    shifted: NDArray[np.float64] = u - by
    return shifted


def move_along_flat(
    l1: NDArray[np.float64],
    l2: NDArray[np.float64],
    u: NDArray[np.float64],
    slope: NDArray[np.float64] | None = None,
) -> None:
    """Move u to its :func:`least_shift`, in place, and the penalty's part of ``slope`` with it.

    Parameters
    ----------
    l1, l2 : ndarray of shape (K, d)
        The same for all classes.
    u : ndarray of shape (K, d) or (K * d,)
    slope : ndarray of the shape of u, optional
        A gradient that has ``l2 * u`` in it.
    """
    entries = u.reshape(l1.shape)  # a view
    used = np.flatnonzero(entries.any(axis=0))  # 0 is the least already
    before = entries[:, used]
    after = least_shift(before, l1[0, used], l2[0, used])
    entries[:, used] = after
    if slope is not None:
        slope.reshape(l1.shape)[:, used] += l2[:, used] * (after - before)
