"""Several problems that share rows, such as the training sets of folds: one reading serves all.

Each has a set of the rows of its own, and a theta and a penalty. Values are means over its set.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.penalties import Penalty
from fastlogreg.problem.problem import Problem

__all__ = ["Derivatives", "ProblemSets"]

_LOST = 1e-8  # of a diagonal: what is left of it by subtraction has too few digits

_Vector = NDArray[np.float64]


class Derivatives(NamedTuple):
    """Mean loss, gradient and Hessian of a set, without penalty."""

    value: float
    gradient: _Vector
    hessian: NDArray[np.float64]


class ProblemSets:
    """Problems on sets of the rows of one, for a single column of margins.

    Parameters
    ----------
    problem : Problem
        Of all rows; it counts the passes.
    training : list of int64 arrays
        Numbers of the rows of each set, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> problem = Problem(MemoryRows(X, np.array([0.0, 1.0, 0.0, 1.0])))
    >>> halves = ProblemSets(problem, [np.array([0, 1]), np.array([2, 3])])
    >>> values, gradients = halves.value_gradient(np.zeros((2, 2)), np.arange(2))
    >>> gradients
    array([[ 0.  , -0.25],
           [ 0.  , -0.25]])
    >>> problem.n_passes
    1.0
    """

    def __init__(self, problem: Problem, training: list[NDArray[np.int64]]) -> None:
        self.problem = problem
        self.parts = [problem.source.subset(rows) for rows in training]
        self.total_weights = np.array([part.total_weight for part in self.parts])
        members = np.zeros((len(training), problem.n_rows), dtype=bool)
        for number, rows in enumerate(training):
            members[number, rows] = True
        self._pass = problem.bind_sets(members)
        self._held_out: list[Problem] | None = None
        if (members.sum(axis=0) == len(training) - 1).all():  # each row is held out once
            others = [problem.source.subset(np.flatnonzero(~row)) for row in members]
            self._held_out = [problem.subset(part, problem.penalty) for part in others]

    def part(self, number: int, penalty: Penalty) -> Problem:
        """Return the problem of one set alone."""
        return self.problem.subset(self.parts[number], penalty)

    def value_gradient(
        self, theta: _Vector, sets: NDArray[np.int64]
    ) -> tuple[_Vector, NDArray[np.float64]]:
        """Return mean losses, (m,), and gradients, (m, p), at each theta, (m, p): one reading."""
        self.problem.count(1.0)
        losses, gradients = self._pass(theta, sets)
        assert gradients is not None
        weights = self.total_weights[sets]
        return losses / weights, gradients / weights[:, None]

    def largest_changes(self, steps: _Vector, sets: NDArray[np.int64]) -> _Vector:
        """Return by how much each step, (m, p), changes a margin of its set, (m,): one reading."""
        self.problem.count(1.0)
        return self._pass.largest_margins(steps, sets)

    def derivatives(self, theta: _Vector) -> tuple[list[Derivatives], NDArray[np.float64] | None]:
        """Return what each set has at one theta, (p,), and the Hessian of all rows.

        Where each row is held out by one set, all come from one reading: of the held-out rows. What
        that has lost to rounding is made anew. The Hessian of all rows, a mean without penalty, is
        None where it is no by-product.
        """
        if self._held_out is None:
            return [self.own(number, theta) for number in range(len(self.parts))], None
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
            value, gradient, hessian = (
                (a - b) / weight for a, b in zip(total[1:], own[1:], strict=True)
            )
            lost = np.diagonal(hessian) * weight < _LOST * diagonal
            if lost.any():
                found.append(self.own(number, theta))
            else:
                found.append(Derivatives(value, gradient, hessian))
        return found, total[3] / total[0]

    def own(self, number: int, theta: _Vector) -> Derivatives:
        """Return what one set has at theta, (p,), from its own rows."""
        return Derivatives(*self.part(number, self.problem.penalty).mean_loss(theta))
