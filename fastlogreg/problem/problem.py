"""The penalized mean loss as a function of theta: all that a solver may see.

    f(theta) = (sum_i s_i l_i(theta)) / S + 1/2 sum_j l2_j w_j²,    S = sum_i s_i

with the sample weights s_i (1 each where none are given). The bias is never
penalized. With ``l2 = 1 / (C * S)`` this is scikit-learn's objective divided by
``C * S``, so both have the same optimum; ``l2 = 0`` is ``C = inf``.

The loss is a sum over rows and the penalty is not, so everything that reads rows goes
through one method, :meth:`Objective._mean_loss`: another source of rows (a file, other
machines) replaces that method and nothing else. The penalty is added here, once.

A pass over the rows is the unit of cost, so the objective counts them: whatever a
solver does, ``n_passes`` says what it cost. A pass over a part of the rows
(:meth:`Objective.part`) counts as that part.

Nothing is checked here: the arrays follow the contract of :mod:`fastlogreg.backends`,
which :mod:`fastlogreg.data.validation` establishes.
"""

from contextlib import AbstractContextManager
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends

__all__ = ["Moments", "Objective"]

_LOST = 1e-14  # variance below this share of the mean square is rounding


class Moments(NamedTuple):
    """What is cheap to know of a Hessian: sums, means and squares of columns in its metric.

    Attributes
    ----------
    total : float
        Mean of the curvatures h of the rows.
    sums, squares : ndarray of shape (d,)
        Means of h x and h x².
    penalty : ndarray of shape (d,)
    intercept : bool
    """

    total: float
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    penalty: NDArray[np.float64]
    intercept: bool

    def centre(self) -> NDArray[np.float64]:
        """Return the weighted means of the columns, (d,), or 0 where nothing is centred."""
        if self.intercept and self.total > 0.0:
            return self.sums / self.total
        return np.zeros_like(self.sums)

    def spread(self) -> NDArray[np.float64]:
        """Return means of h (x - centre)², (d,): the Hessian's diagonal in centred columns.

        It is the difference of nearly equal numbers where a column is far from 0: not below what
        may be rounding.
        """
        centred = self.squares - self.sums * self.centre()
        return np.maximum(centred, _LOST * self.squares)


class Objective:
    """Penalized mean loss over rows in memory.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        As in :mod:`fastlogreg.backends`.
    y : ndarray of shape (n,), float64
    sample_weight, offset : ndarray of shape (n,), float64, optional
    l2 : float or ndarray of shape (d,), float64, default=0.0
        Strength of the penalty; an array gives each column its own.
    intercept : bool, default=True
        Whether theta begins with the bias.
    loss, activation : str
        A pair of :data:`fastlogreg.backends.COMBINATIONS`.
    backend : {"numba", "numpy", "loop"}, default="numba"
    n_threads : int, optional
        Threads at most; default all.

    Attributes
    ----------
    size : int
        Length p of theta.
    intercept : bool
    penalty : ndarray of shape (p,)
        Strength for each parameter, 0 for the bias.
    n_passes : float
        Passes over the rows so far, those of the parts included.
    n_rows : int
    n_values : int
        Values of X that a pass reads: of sparse rows those that are stored.
    share : float
        Of the rows: 1, or less for a part.
    hessian_passes : float
        What a pass that gives the Hessian costs, in passes that give the gradient.

    Examples
    --------
    At theta = 0 the loss is log 2 whatever the data, and nothing is penalized:

    >>> import numpy as np
    >>> objective = Objective(np.array([[1.0], [2.0]]), np.array([0.0, 1.0]), l2=0.5)
    >>> round(objective.value(np.zeros(2)), 6)
    0.693147
    >>> value, gradient = objective.value_gradient(np.zeros(2))
    >>> gradient
    array([ 0.  , -0.25])
    >>> objective.n_passes
    2.0
    """

    def __init__(
        self,
        X: backends.Matrix,
        y: NDArray[np.float64],
        *,
        sample_weight: NDArray[np.float64] | None = None,
        offset: NDArray[np.float64] | None = None,
        l2: float | NDArray[np.float64] = 0.0,
        intercept: bool = True,
        loss: str = "bce",
        activation: str = "sigmoid",
        backend: str = "numba",
        n_threads: int | None = None,
    ) -> None:
        self._y = y
        self._sample_weight = sample_weight
        self._backend = backends.get(backend)
        spec = backends.PassSpec(loss, activation, bool(intercept), n_threads)
        self._pass = self._backend.bind(X, y, sample_weight, offset, spec)
        self._rows: NDArray[np.int64] | None = None
        self._effective: float | None = None
        self._passes: _Counter = _Counter()
        self.share = 1.0
        self.size = X.shape[1] + intercept
        self.intercept = bool(intercept)
        self.n_values = int(X.size)
        self.n_rows = int(X.shape[0])
        self.hessian_passes = self._pass.hessian_cost
        self.penalty = np.zeros(self.size)
        self.penalty[int(intercept) :] = l2

    @property
    def n_passes(self) -> float:
        """Return the passes over the rows so far."""
        return float(self._passes.total)

    def solving(self) -> AbstractContextManager[None]:
        """Return the context to solve in: vector work between passes leaves them the threads."""
        return self._backend.solving(self.size)

    def value(self, theta: NDArray[np.float64]) -> float:
        """Return f(theta) in one pass."""
        return self._mean_loss(theta, 0)[0] + self._penalty_value(theta)

    def value_gradient(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return f(theta) and its gradient, (p,), in one pass."""
        value, gradient, _ = self._mean_loss(theta, 1)
        assert gradient is not None
        gradient += self.penalty * theta
        return value + self._penalty_value(theta), gradient

    def value_gradient_hessian(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return f(theta), its gradient, (p,), and its Hessian, (p, p), in one pass."""
        value, gradient, hessian = self._mean_loss(theta, 2)
        assert gradient is not None and hessian is not None
        gradient += self.penalty * theta
        hessian.flat[:: self.size + 1] += self.penalty
        return value + self._penalty_value(theta), gradient, hessian

    def value_gradient_moments(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], Moments]:
        """Return f(theta), its gradient, (p,), and what is cheap to know of its Hessian.

        One pass, some tenths dearer than that of :meth:`value_gradient`.
        """
        d = self.size - self.intercept
        moments = np.empty(1 + 2 * d)
        value, gradient, _ = self._mean_loss(theta, 1, moments=moments)
        assert gradient is not None
        gradient += self.penalty * theta
        moments /= self._pass.total_weight
        found = Moments(
            float(moments[0]),
            moments[1 : 1 + d],
            moments[1 + d :],
            self.penalty[int(self.intercept) :],
            self.intercept,
        )
        return value + self._penalty_value(theta), gradient, found

    def value_gradient_product(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], "HessianProduct"]:
        """Return f(theta), its gradient, (p,), and its Hessian as an operator, in one pass.

        The operator keeps the curvature of each row: 8 bytes a row.
        """
        curvatures = np.empty(self._pass.n_rows)
        value, gradient, _ = self._mean_loss(theta, 1, curvatures=curvatures)
        assert gradient is not None
        gradient += self.penalty * theta
        return value + self._penalty_value(theta), gradient, HessianProduct(self, curvatures)

    def largest_change(self, step: NDArray[np.float64]) -> float:
        """Return by how much ``step`` changes the margin of a row at the most, in one pass.

        Where that is little against 1, no curvature changes by more than its exponential, and half
        the Newton decrement is the distance from the optimum. Rows of weight 0 do not count.
        """
        self._passes.total += self.share
        change = np.abs(self._pass.margins(step, with_offset=False))
        if self._sample_weight is not None:
            weight = self._sample_weight if self._rows is None else self._sample_weight[self._rows]
            change = change[weight > 0.0]
        return float(change.max())

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much.

        That is ``(sum s)^2 / sum s^2``, and not more than four times the rows that hold the
        rarer half of the labels: a part of one row in a million positives says nothing.
        """
        if self._effective is not None:
            return self._effective
        n = self.n_rows
        s = self._sample_weight
        weighted = float(n)
        if s is not None:
            largest = float(s.max())
            weighted = float(s.sum() / largest) ** 2 / float(((s / largest) ** 2).sum())
        positive = int(np.count_nonzero(self._y > 0.5))
        rarer: int = min(positive, n - positive)
        self._effective = min(weighted, 4.0 * rarer)
        return self._effective

    def part(self, step: int, least: NDArray[np.float64] | None = None) -> "Objective":
        """Return the objective over one row, drawn with a fixed seed, of every ``step`` rows.

        Its passes are counted here, each as ``1 / step``. Its penalty is at least ``least``, (p,).
        """
        n = self.n_rows
        whole = n // step
        rows = np.arange(0, whole * step, step, dtype=np.int64)
        rows += np.random.default_rng(0).integers(0, step, size=whole)
        part = copy(self)
        part._rows = rows
        part._pass = self._pass.sample(rows)
        part.share = whole / n
        if least is not None:
            part.penalty = np.maximum(self.penalty, least)
        return part

    def _penalty_value(self, theta: NDArray[np.float64]) -> float:
        with np.errstate(over="ignore"):  # far out the penalty is infinite, and that is right
            return 0.5 * float((self.penalty * theta) @ theta)

    def _mean_loss(
        self,
        theta: NDArray[np.float64],
        order: int,
        *,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return the mean loss and its derivatives up to ``order``: the one reader of rows."""
        self._passes.total += self.share
        loss, gradient, hessian = self._pass(theta, order, curvatures=curvatures, moments=moments)
        total = self._pass.total_weight
        if gradient is not None:
            gradient /= total
        if hessian is not None:
            hessian /= total
        return loss / total, gradient, hessian


class HessianProduct:
    """The Hessian of an objective at one theta, never made: H v costs one pass.

    Parameters
    ----------
    objective : Objective
    curvatures : ndarray of shape (n,)
        Weight times second derivative of the loss in the margin, of each row there.
    """

    def __init__(self, objective: Objective, curvatures: NDArray[np.float64]) -> None:
        self._objective = objective
        self._curvatures = curvatures
        self._total = objective._pass.total_weight

    def __call__(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return H v, (p,), in one pass."""
        of = self._objective
        of._passes.total += 1.0
        product = of._pass.product(self._curvatures, vector)
        product /= self._total
        product += of.penalty * vector
        return product

    def moments(self) -> Moments:
        """Return what is cheap to know of the Hessian, in one pass."""
        of = self._objective
        of._passes.total += 1.0
        sums, squares = of._pass.moments(self._curvatures)
        return Moments(
            float(self._curvatures.sum()) / self._total,
            sums / self._total,
            squares / self._total,
            of.penalty[int(of.intercept) :],
            of.intercept,
        )


class _Counter:
    """Passes, shared by an objective and its parts."""

    def __init__(self) -> None:
        self.total: float = 0.0
