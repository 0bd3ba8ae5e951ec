"""Several problems that share rows, such as the training sets of folds: one reading serves all.

Each has a set of the rows of its own, and a theta and a penalty. Values are means over its set.
:class:`ProblemSets` are sets that hold a row or not; in those of :class:`DrawnSets`, such as the
replicates of a bootstrap, a row may be several times.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.centred import CentredRows
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.penalties import Penalty
from fastlogreg.problem.problem import Problem

__all__ = ["Derivatives", "DrawnSets", "ProblemSets"]

_LOST = 1e-8  # of a diagonal: what is left of it by subtraction has too few digits

_Vector = NDArray[np.float64]


class Derivatives(NamedTuple):
    """Mean loss, gradient and Hessian of a set, without penalty."""

    value: float
    gradient: _Vector
    hessian: NDArray[np.float64]


class ProblemSets:
    """Problems on sets of the rows of one.

    With a single column of margins one reading of the rows serves all sets; with several, whose
    arithmetic is far dearer than reading, each set is read for itself.

    Parameters
    ----------
    problem : Problem
        Of all rows; it counts the passes.
    training : list of int64 arrays
        Numbers of the rows of each set, ascending. One more set, the last, is all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> problem = Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0])))
    >>> halves = ProblemSets(problem, [np.array([0, 1]), np.array([2, 3])])
    >>> values, gradients = halves.value_gradient(np.zeros((3, 2)), np.arange(3))
    >>> gradients
    array([[ 0.  , -0.25],
           [ 0.  , -0.25],
           [ 0.  , -0.25]])
    >>> problem.n_passes
    1.0
    """

    _whole: int | None  # the set that is all rows
    _held_out: list[Problem] | None
    _ranges: tuple[_Vector, _Vector] | None  # middles and half lengths

    def __init__(self, problem: Problem, training: list[NDArray[np.int64]]) -> None:
        self._parts = [problem.source.subset(rows) for rows in training]
        self._parts.append(problem.source)
        self.total_weights = np.array([part.total_weight for part in self._parts])
        members = np.zeros((len(self._parts), problem.n_rows), dtype=bool)
        members[-1] = True
        for number, rows in enumerate(training):
            members[number, rows] = True
        self._whole = len(training)
        self._begin(problem, members)
        # where each row is held out by one set
        if training and (members.sum(axis=0) == len(training)).all():
            others = [problem.source.subset(np.flatnonzero(~row)) for row in members[:-1]]
            self._held_out = [problem.subset(part, problem.penalty) for part in others]

    def _begin(self, problem: Problem, members: NDArray[np.bool_] | NDArray[np.uint8]) -> None:
        self.problem = problem
        self._pass = problem.bind_sets(members) if problem.layout.n_outputs == 1 else None
        self._alone: dict[int, Problem] = {}  # of each set, where it is read for itself
        self._held_out = None
        self._ranges = None

    def part(self, number: int, penalty: Penalty) -> Problem:
        """Return the problem of one set alone."""
        return (
            self.problem.with_penalty(penalty)
            if number == self._whole
            else self.problem.subset(self._parts[number], penalty)
        )

    def _of(self, number: int) -> Problem:
        """Return the problem of one set alone, made once: its penalty is anything."""
        if number not in self._alone:
            self._alone[number] = self.part(number, self.problem.penalty)
        return self._alone[number]

    def value_gradient(
        self, theta: _Vector, sets: NDArray[np.int64]
    ) -> tuple[_Vector, NDArray[np.float64]]:
        """Return mean losses, (m,), and gradients, (m, p), at each theta, (m, p): one reading."""
        if len(sets) == 1 and sets[0] == self._whole:
            value, gradient = self.problem.mean_loss_gradient(theta[0])
            return np.array([value]), gradient[None]
        if self._pass is None:
            found = [
                self._of(number).mean_loss_gradient(own)
                for number, own in zip(sets, theta, strict=True)
            ]
            return np.array([loss for loss, _ in found]), np.array([slope for _, slope in found])
        self.problem.count(1.0)
        losses, gradients = self._pass(theta, sets)
        assert gradients is not None
        weights = self.total_weights[sets]
        return losses / weights, gradients / weights[:, None]

    def most_changes(self, steps: _Vector) -> _Vector:
        """Return what no margin changes by more, (m,), along each step, (m, p), by no reading.

        From the ranges of the columns: loose where a step is large, and enough where it is small.
        Of several margins of a row it is the largest difference of their changes that counts:
        those of all rows alike change no probability.
        """
        layout = self.problem.layout
        if self._ranges is None:
            low, high = self.problem.column_ranges()
            self._ranges = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
        middle, radius = self._ranges
        rows = steps.reshape(-1, layout.n_outputs, layout.width)
        along = rows[..., layout.first :]
        constant = along @ middle + rows[..., : layout.first].sum(axis=-1)
        around = np.abs(along) @ radius
        if layout.n_outputs == 1:
            most: _Vector = (np.abs(constant) + around)[:, 0]
            return most
        most = (constant + around).max(axis=1) - (constant - around).min(axis=1)
        return most

    def largest_changes(self, steps: _Vector, sets: NDArray[np.int64]) -> _Vector:
        """Return by how much each step, (m, p), changes a margin of its set, (m,): one reading.

        Of several margins of a row at least the largest difference of their changes.
        """
        if self._pass is None:
            of = zip(sets, steps, strict=True)
            return np.array([2.0 * self._of(number).largest_change(step) for number, step in of])
        self.problem.count(1.0)
        return self._pass.largest_margins(steps, sets)

    def derivatives(self, theta: _Vector) -> list[Derivatives] | None:
        """Return what each set has at one theta, (p,), by one reading of the held-out rows.

        What that loses to rounding is made anew. None where a row is held out by no set or by
        several.
        """
        if self._held_out is None:
            return None
        sums = []
        for part in self._held_out:
            weight = part.source.total_weight
            if weight > 0.0:
                sums.append([weight, *(weight * a for a in part.mean_loss(theta))])
            else:
                sums.append([0.0] * 4)
        total = [sum(column) for column in zip(*sums, strict=True)]
        diagonal = np.diagonal(total[3])
        found = []
        for number, own in enumerate(sums):
            weight = total[0] - own[0]
            left = [(a - b) / weight for a, b in zip(total[1:], own[1:], strict=True)]
            if (np.diagonal(left[2]) * weight < _LOST * diagonal).any():
                found.append(self.own(number, theta))
            else:
                found.append(Derivatives(*left))
        return [*found, Derivatives(*(a / total[0] for a in total[1:]))]

    def own(self, number: int, theta: _Vector) -> Derivatives:
        """Return what one set has at theta, (p,), from its own rows."""
        keeps = self._pass is None
        part = self._of(number) if keeps else self.part(number, self.problem.penalty)
        return Derivatives(*part.mean_loss(theta))


class DrawnSets(ProblemSets):
    """Problems on sets that rows are drawn into, each perhaps several times, or never.

    Parameters
    ----------
    problem : Problem
        Over rows in memory; it counts the passes.
    times : ndarray of shape (n_sets, n), uint8
        How often each row is in a set; its weight is multiplied with that.

    Examples
    --------
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> problem = Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0])))
    >>> drawn = DrawnSets(problem, np.array([[2, 0, 0, 2], [0, 1, 3, 0]], dtype=np.uint8))
    >>> drawn.value_gradient(np.zeros((2, 2)), np.arange(2))[1]
    array([[ 0.   , -0.75 ],
           [ 0.25 ,  0.625]])
    """

    def __init__(self, problem: Problem, times: NDArray[np.uint8]) -> None:
        assert isinstance(problem.source, MemoryRows | CentredRows)
        self._source, self._times = problem.source, times
        self.total_weights = np.array([self._source.times(row).total_weight for row in times])
        self._whole = None
        self._begin(problem, times)

    def part(self, number: int, penalty: Penalty) -> Problem:
        """Return the problem of one set alone."""
        return self.problem.subset(self._source.times(self._times[number]), penalty)
