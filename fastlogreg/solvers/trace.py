"""What a fit leaves behind, and who may end it: one protocol for every solver.

A solver notes each iteration and its theta. The callback hears of both at once, must not change
theta, and returns whether to stop; the solver then ends where it stands, and says so by its status.
Nothing is thrown: a stop is as ordinary as ``max_iter``.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Trace"]


_Record = TypeVar("_Record")  # a named tuple with the number of the iteration, ``n_iter``


class Trace(Generic[_Record]):
    """The history of a fit, by however many solvers.

    Parameters
    ----------
    callback : callable, optional
        Hears of each record and its theta, (p,), and returns whether to stop.
    live : bool, default=True
        Whether it must hear of a step before the next one is taken; else it may hear of several
        together, with a later theta.

    Attributes
    ----------
    history : list of records

    Examples
    --------
    >>> from typing import NamedTuple
    >>> class Step(NamedTuple):
    ...     n_iter: int
    >>> trace = Trace(lambda now, theta: now.n_iter >= 4)
    >>> theta = np.zeros(2)
    >>> [trace.note(Step(k), theta) for k in range(3)]
    [False, False, False]
    >>> [trace.after(2).note(Step(k), theta) for k in (1, 2)]
    [False, True]
    >>> [now.n_iter for now in trace.history]
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        callback: Callable[[_Record, NDArray[np.float64]], bool] | None = None,
        *,
        live: bool = True,
    ) -> None:
        self.history: list[_Record] = []
        self.live = live and callback is not None
        self._callback = callback
        self._before = 0

    def after(self, n_iter: int) -> "Trace[_Record]":
        """Return the trace for a solver that goes on after so many iterations of this one's.

        It counts from 0, and its records count on: same history, same callback.
        """
        rest: Trace[_Record] = Trace(self._callback, live=self.live)
        rest.history = self.history
        rest._before = self._before + n_iter
        return rest

    def through(
        self, back: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> "Trace[_Record]":
        """Return the trace for a solver whose theta means ``back(theta)``: same history."""
        tell = self._callback
        seen: Trace[_Record] = Trace(
            None if tell is None else lambda now, theta: tell(now, back(theta)),
            live=self.live,
        )
        seen.history, seen._before = self.history, self._before
        return seen

    def note(self, now: _Record, theta: NDArray[np.float64]) -> bool:
        """Note where a solver stands; return whether it is asked to stop there."""
        if self._before:
            now = _replaced(now, n_iter=self._before + now.n_iter)  # type: ignore[attr-defined]
        self.history.append(now)
        return self._callback is not None and bool(self._callback(now, theta))

    def amend(self, **changes: Any) -> None:
        """Correct the last record, where a closer look has found more than was told."""
        self.history[-1] = _replaced(self.history[-1], **changes)


def _replaced(record: Any, **changes: Any) -> Any:
    return record._replace(**changes)
