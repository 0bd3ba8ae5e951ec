"""Fits of the same problem on several sets of rows, such as the training sets of folds.

Each set is a view of the same rows: nothing is copied, and passes are counted by what they read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.penalties import Penalty
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers import Result

__all__ = ["fit_folds"]

_PenaltyOf = Callable[[float, int], Penalty]


def fit_folds(
    problem: Problem,
    training: Sequence[NDArray[np.int64]],
    n_penalties: int,
    penalty: _PenaltyOf,
    solve: Callable[..., Result],
    **limits: Any,
) -> list[list[Result]]:
    """Fit each set of rows under each penalty.

    Parameters
    ----------
    problem : Problem
        Of all rows; it counts the passes.
    training : sequence of int64 arrays
        Numbers of the rows of each set, ascending.
    n_penalties : int
    penalty : callable
        Takes the total weight of a set and the number of a penalty, 0 for the strongest, and
        returns it.
    solve : callable
        A solver, such as :func:`fastlogreg.solvers.auto.auto`.
    **limits
        ``tol``, ``max_iter`` and the like, as solvers take them.

    Returns
    -------
    list of lists of Result
        By set and penalty.
    """
    found = []
    for rows in training:
        source = problem.source.subset(rows)
        theta = np.zeros(problem.size)
        results: list[Result] = []
        for number in range(n_penalties):
            part = problem.subset(source, penalty(source.total_weight, number))
            results.append(solve(part, theta, stages=number == 0, **limits))
            theta = results[-1].theta
        found.append(results)
    return found
