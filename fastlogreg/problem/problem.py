"""What is minimized: a penalized mean loss over a source of rows, as a function of theta.

    f(theta) = (sum_i s_i l_i(theta)) / S + penalty(theta),    S = sum_i s_i

with the sample weights s_i (1 each where none are given). Intercepts are never penalized. With an
L2 penalty of ``1 / (C * S)`` this is scikit-learn's objective divided by ``C * S``, so both have
the same optimum; no penalty is ``C = inf``.

A solver sees a problem and never rows. What reads rows goes through the source's bound pass, in one
method (:meth:`Problem._mean_loss`) and the Hessian's product: files and other machines are other
sources. The penalty is added here, once; where intercepts stand, the layout knows.

A pass over the rows is the unit of cost, so the problem counts them: whatever a solver does,
``n_passes`` says what it cost. A pass over a part of the rows (:meth:`Problem.part`) counts as that
part.

Nothing is checked here: the rows follow the contract of :mod:`fastlogreg.backends`, which
:mod:`fastlogreg.data.validation` establishes.
"""

from copy import copy
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import ClassesPass, PassSpec, SetsPass, Solving
from fastlogreg.data.sources import RowSource
from fastlogreg.problem.columns import ClassColumnModel, ColumnModel, OneColumnModel
from fastlogreg.problem.layout import Layout
from fastlogreg.problem.moments import Moments
from fastlogreg.problem.penalties import L2, Penalty

__all__ = ["HessianProduct", "Problem"]

_Vector = NDArray[np.float64]


class Problem:
    """Penalized mean loss over a source of rows.

    Parameters
    ----------
    source : RowSource
        Such as :class:`fastlogreg.data.memory.MemoryRows`.
    penalty : Penalty, or float or ndarray of shape (d,), default=0.0
        Numbers are strengths of L2, one for all columns or one for each.
    spec : PassSpec, optional
        Loss, activation, whether theta has an intercept, threads.

    Attributes
    ----------
    layout : Layout
        The shape of theta, which is flat here: ``size`` entries.
    penalty : Penalty
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
    >>> from fastlogreg.data.memory import MemoryRows
    >>> rows = MemoryRows(np.array([[1.0], [2.0]]), np.array([0.0, 1.0]))
    >>> problem = Problem(rows, 0.5)
    >>> round(problem.value(np.zeros(2)), 6)
    0.693147
    >>> value, gradient = problem.value_gradient(np.zeros(2))
    >>> gradient
    array([ 0.  , -0.25])
    >>> problem.n_passes
    2.0
    """

    def __init__(
        self,
        source: RowSource,
        penalty: Penalty | float | _Vector = 0.0,
        spec: PassSpec | None = None,
    ) -> None:
        spec = spec or PassSpec()
        self.source = source
        self.layout = Layout(source.n_columns, bool(spec.intercept), spec.n_outputs)
        if isinstance(penalty, float | int | np.ndarray):
            penalty = L2(self.layout.by_column(penalty))
        self.penalty: Penalty = penalty
        self._spec = spec
        self._pass = source.bind(spec)
        self._counter = _Counter()
        self._reads = 1.0  # what a pass here reads of one over all columns
        self.hessian_passes = self._pass.hessian_cost
        self.size = self.layout.size

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return self.source.n_rows

    @property
    def n_values(self) -> int:
        """Return how many values of X a pass reads."""
        return self.source.n_values

    @property
    def share(self) -> float:
        """Return which share of the rows this is of."""
        return self.source.fraction

    @property
    def n_passes(self) -> float:
        """Return the passes over the rows so far."""
        return float(self._counter.total)

    def solving(self) -> Solving:
        """Return the context to solve in: vector work between passes leaves them the threads."""
        return self.source.solving(self.size)

    def value(self, theta: _Vector) -> float:
        """Return f(theta) in one pass."""
        return self._mean_loss(theta, 0)[0] + self.penalty.value(theta)

    def value_gradient(self, theta: _Vector) -> tuple[float, _Vector]:
        """Return f(theta) and its gradient, (p,), in one pass."""
        value, gradient, _ = self._mean_loss(theta, 1)
        return value + self.penalty.value(theta), gradient + self.penalty.smooth_gradient(theta)

    def value_gradient_hessian(self, theta: _Vector) -> tuple[float, _Vector, NDArray[np.float64]]:
        """Return f(theta), its gradient, (p,), and its Hessian, (p, p), in one pass."""
        return self._penalized(theta, *self._mean_loss(theta, 2))

    def value_gradient_moments(self, theta: _Vector) -> tuple[float, _Vector, Moments]:
        """Return f(theta), its gradient, (p,), and what is cheap to know of its Hessian.

        One pass, some tenths dearer than that of :meth:`value_gradient`.
        """
        layout = self.layout
        buffer = np.empty((layout.n_outputs, 1 + 2 * layout.n_columns))
        into = buffer[0] if layout.n_outputs == 1 else buffer
        value, gradient, _ = self._mean_loss(theta, 1, moments=into)
        gradient += self.penalty.smooth_gradient(theta)
        return value + self.penalty.value(theta), gradient, self._moments(buffer)

    def value_gradient_product(self, theta: _Vector) -> tuple[float, _Vector, "HessianProduct"]:
        """Return f(theta), its gradient, (p,), and its Hessian as an operator, in one pass.

        The operator keeps the curvature of each row: 8 bytes a row and column of margins.
        """
        n, m = self.n_rows, self.layout.n_outputs
        curvatures = np.empty(n if m == 1 else (n, m))
        value, gradient, _ = self._mean_loss(theta, 1, curvatures=curvatures)
        gradient += self.penalty.smooth_gradient(theta)
        return value + self.penalty.value(theta), gradient, HessianProduct(self, curvatures)

    def lowered(
        self,
        theta: _Vector,
        l1: _Vector | None,
        goal: float,
        most: int,
        stop_value: float = 0.0,
    ) -> (
        tuple[
            _Vector,
            tuple[float, _Vector, NDArray[np.float64]] | None,
            NDArray[np.float64],
        ]
        | None
    ):
        """Return a theta nearer to the optimum, and how it was come by.

        As :meth:`fastlogreg.backends.SmallPass.lower` does: with what
        :meth:`value_gradient_hessian` returns there, if it is known, and the steps. None where that
        is not offered: for rows that are not in memory or not few, other backends, several columns
        of margins with L1. ``l1``, (p,), are the penalty's strengths of L1, None if it is L2; it
        has no bounds.
        """
        lower = getattr(self._pass, "lower", None)
        if lower is None:
            return None
        l2 = self.penalty.smooth_diagonal
        strengths = np.zeros_like(l2) if l1 is None else l1, l2
        found = lower(theta, strengths, goal, most, stop_value)
        if found is None:
            return None
        theta, sums, steps, passes = found
        steps[:, 0] = self.n_passes + self.share * self._reads * steps[:, 0]
        self.count(passes)
        return theta, None if sums is None else self._penalized(theta, *self._means(*sums)), steps

    def column_ranges(self) -> tuple[_Vector, _Vector]:
        """Return the smallest and the largest value of each column, (d,) each, in one reading."""
        self.count(1.0)
        return self.source.column_ranges()

    def squared_lengths(self, matrix: NDArray[np.float64]) -> _Vector:
        """Return the squared length of ``[1, x] matrix`` for each row, (n,), in one pass."""
        self.count(1.0)
        return self.source.squared_lengths(matrix, self.layout.intercept)

    @property
    def by_column(self) -> bool:
        """Return whether :meth:`value_gradient_columns` is offered: for rows in memory."""
        return bool(getattr(self.source, "by_column", False))

    @property
    def collects(self) -> bool:
        """Return whether :meth:`columns` brings rows in parts into memory, as far as is known."""
        return bool(getattr(self.source, "collects", False))

    @property
    def descends(self) -> bool:
        """Return whether it is, and columns are sparse."""
        return bool(getattr(self.source, "descends", False))

    def value_gradient_columns(self, theta: _Vector) -> tuple[float, _Vector, ColumnModel]:
        """Return f(theta), its gradient, (p,), and its Hessian by column, in one pass.

        It keeps the curvature of each row: 8 bytes a row and column of margins.
        """
        n, m = self.n_rows, self.layout.n_outputs
        buffer = np.empty((m, 1 + 2 * self.layout.n_columns))
        kept = np.empty(n if m == 1 else (n, m))
        into = buffer[0] if m == 1 else buffer
        value, gradient, _ = self._mean_loss(theta, 1, curvatures=kept, moments=into)
        gradient += self.penalty.smooth_gradient(theta)
        moments, total = self._moments(buffer), self._pass.total_weight
        model: ColumnModel
        if m == 1:
            model = OneColumnModel(self.source, kept / total, moments)
        else:
            coupling = cast(ClassesPass, self._pass).coupling(kept)
            model = ClassColumnModel(self.source, kept, moments, coupling / total)
        return value + self.penalty.value(theta), gradient, model

    def largest_change(self, step: _Vector) -> float:
        """Return by how much ``step`` changes the margin of a row at the most, in one pass.

        Where that is little against 1, no curvature changes by more than its exponential, and half
        the Newton decrement is the distance from the optimum. Rows of weight 0 do not count.
        """
        self.count(1.0)
        return self._pass.largest_margin(self.layout.for_pass(step))

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much."""
        return self.source.effective_rows()

    def part(self, step: int, least: _Vector | None = None) -> "Problem":
        """Return the problem over one row, drawn with a fixed seed, of every ``step`` rows.

        Its passes are counted here, each as ``1 / step``. Its penalty is at least ``least``, (p,).
        """
        part = copy(self)
        part.source = self.source.sample(step)
        self.count(self.source.sample_readings())
        part._pass = part.source.bind(self._spec)
        if least is not None:
            part.penalty = self.penalty.at_least(least)
        return part

    def with_penalty(self, penalty: Penalty) -> "Problem":
        """Return the problem with another penalty; its passes are counted here."""
        other = copy(self)
        other.penalty = penalty
        return other

    def bind_sets(self, members: NDArray[np.bool_] | NDArray[np.uint8]) -> SetsPass:
        """Return a pass over sets of the rows; ``members`` is (n_sets, n)."""
        return self.source.bind_sets(members, self._spec)

    def count(self, readings: float) -> None:
        """Count readings of these rows that went by another pass."""
        self._counter.total += readings * self.share * self._reads

    def mean_loss_gradient(self, theta: _Vector) -> tuple[float, _Vector]:
        """Return the mean loss and its gradient, (p,), without penalty."""
        return self._mean_loss(theta, 1)[:2]

    def mean_loss(self, theta: _Vector) -> tuple[float, _Vector, NDArray[np.float64]]:
        """Return the mean loss, its gradient, (p,), and its Hessian, (p, p), without penalty."""
        value, gradient, hessian = self._mean_loss(theta, 2)
        assert hessian is not None
        return value, gradient, hessian

    def subset(self, source: RowSource, penalty: Penalty) -> "Problem":
        """Return a problem of its own over some of the rows, such as a fold's.

        Its passes are counted here, each by what it reads.
        """
        part = copy(self)
        part.source, part.penalty = source, penalty
        part._pass = source.bind(self._spec)
        part.hessian_passes = part._pass.hessian_cost
        part._reads = self._reads * part.n_values / max(1, self.n_values)
        return part

    def columns(self, chosen: NDArray[np.intp]) -> "Problem":
        """Return the problem in some columns, numbered in ascending order; the others hold 0.

        Its passes are counted here, each by what it reads.
        """
        part = copy(self)
        part.source = self.source.columns(chosen)
        self.count(self.source.sample_readings())
        part.layout = replace(self.layout, n_columns=chosen.size)
        part.size = part.layout.size
        part.penalty = self.penalty.of(self.layout.entries(chosen))
        part._pass = part.source.bind(self._spec)
        part.hessian_passes = part._pass.hessian_cost
        part._reads = self._reads * part.n_values / max(1, self.n_values)
        return part

    def _mean_loss(
        self,
        theta: _Vector,
        order: int,
        *,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, _Vector, NDArray[np.float64] | None]:
        """Return the mean loss and its derivatives up to ``order``: the one reader of rows."""
        self.count(1.0)
        at = self.layout.for_pass(theta)
        loss, gradient, hessian = self._pass(at, order, curvatures=curvatures, moments=moments)
        return self._means(loss, theta if gradient is None else gradient, hessian, order)

    def _means(
        self,
        loss: float,
        gradient: _Vector,
        hessian: NDArray[np.float64] | None,
        order: int = 2,
    ) -> tuple[float, _Vector, NDArray[np.float64] | None]:
        """Return the means of sums over the rows, in their place."""
        total = self._pass.total_weight
        if hessian is not None:
            hessian /= total
        if order:
            gradient /= total
        return loss / total, gradient.reshape(-1), hessian

    def _penalized(
        self, theta: _Vector, value: float, gradient: _Vector, hessian: NDArray[np.float64] | None
    ) -> tuple[float, _Vector, NDArray[np.float64]]:
        """Return the derivatives of the mean loss with those of the penalty, in their place."""
        assert hessian is not None
        gradient += self.penalty.smooth_gradient(theta)
        hessian.flat[:: self.size + 1] += self.penalty.smooth_diagonal
        return value + self.penalty.value(theta), gradient, hessian

    def _moments(self, sums: NDArray[np.float64]) -> Moments:
        """Return the moments from their sums over rows, (m, 1 + 2 d)."""
        means = sums / self._pass.total_weight
        d = self.layout.n_columns
        penalty = self.layout.coefficients(self.penalty.smooth_diagonal)
        return Moments(self.layout, means[:, 0], means[:, 1 : 1 + d], means[:, 1 + d :], penalty)


class HessianProduct:
    """The Hessian of a problem at one theta, never made: H v costs one pass.

    Parameters
    ----------
    problem : Problem
    curvatures : ndarray of shape (n,)
        Weight times second derivative of the loss in the margin, of each row there.
    """

    def __init__(self, problem: Problem, curvatures: NDArray[np.float64]) -> None:
        self._problem = problem
        self._curvatures = curvatures

    def __call__(self, vector: _Vector) -> _Vector:
        """Return H v, (p,), in one pass."""
        of = self._problem
        of.count(1.0)
        product = of._pass.product(self._curvatures, of.layout.for_pass(vector)).reshape(-1)
        product /= of._pass.total_weight
        product += of.penalty.smooth_diagonal * vector
        return product

    def moments(self) -> Moments:
        """Return what is cheap to know of the Hessian, in one pass."""
        of = self._problem
        of.count(1.0)
        return of._moments(np.atleast_2d(of._pass.moments(self._curvatures)))

    def coupling(self) -> NDArray[np.float64]:
        """Return the Hessian's entries between intercepts, (m, m), without reading X."""
        of = self._problem
        bound = cast(ClassesPass, of._pass)
        return bound.coupling(self._curvatures) / bound.total_weight


class _Counter:
    """Passes, shared by a problem and its parts."""

    def __init__(self) -> None:
        self.total: float = 0.0
