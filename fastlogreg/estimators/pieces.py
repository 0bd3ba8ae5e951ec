"""Mini-batches over rows that come in pieces, for :mod:`fastlogreg.solvers.descent`.

Each piece gets a stream of its own, which goes on from the state that the last one left, as
``partial_fit`` does; so a batch never spans two pieces, and the order of rows is shuffled within
pieces alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.data.memory import MemoryRows

__all__ = ["StreamOfPieces"]


class StreamOfPieces:
    """A stream over all pieces; see :class:`fastlogreg.backends.Stream`.

    Parameters
    ----------
    read : callable
        Returns the pieces anew for each epoch.
    some : MemoryRows
        Some of the rows, of which dtype and storage are those of all.
    make : callable
        Returns the stream over a piece, which has yet to begin or go on.
    steps : StepSpec
    intercept : bool
    """

    def __init__(
        self,
        read: Callable[[], Iterator[MemoryRows]],
        some: MemoryRows,
        make: Callable[[MemoryRows], backends.Stream],
        steps: backends.StepSpec,
        intercept: bool,
    ) -> None:
        self._read, self._make = read, make
        self._some = some
        self._steps, self._intercept = steps, intercept
        first = make(some)
        self.shape, self.sparse = first.shape, first.sparse
        self._kept: dict[str, NDArray[Any]] = {}

    @property
    def n_updates(self) -> int:
        """Return the updates made."""
        return self._at_hand().n_updates

    def _at_hand(self) -> backends.Stream:
        """Return the state with a few rows."""
        stream = self._make(self._some)
        stream.go_on(self._kept)
        return stream

    def begin(self, theta: NDArray[np.float64] | None) -> None:
        """Start at theta, or at zeros, with nothing learned."""
        stream = self._make(self._some)
        stream.begin(theta)
        self._kept = stream.keep()

    def go_on(self, kept: dict[str, NDArray[Any]]) -> None:
        """Go on from a state that was kept."""
        self._kept = kept

    def go_from(self, theta: NDArray[np.float64]) -> None:
        """Go on from other parameters, with what was learned; an average begins anew."""
        stream = self._at_hand()
        stream.go_from(theta)
        self._kept = stream.keep()

    def epoch(self, random: np.random.Generator | None, shrink: float) -> tuple[float, bool]:
        """Go over all pieces; return the mean loss and whether all is finite."""
        loss = weight = 0.0
        for rows in self._read():
            if rows.total_weight == 0.0:
                continue
            stream = self._make(rows)
            stream.go_on(self._kept)
            each, finite = stream.epoch(random, shrink)
            self._kept = stream.keep()
            if not finite:
                return each, False
            loss += each * rows.total_weight
            weight += rows.total_weight
        return loss / weight, True

    def theta(self) -> NDArray[np.float64]:
        """Return the parameters, or their average."""
        outputs = self.shape[0] if len(self.shape) == 2 else 1
        return backends.get("numba").kept_theta(
            self._kept, self._steps, outputs, intercept=self._intercept, sparse=self.sparse
        )

    def save(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what the next epoch may change."""
        return {name: array.copy() for name, array in self._kept.items()}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Go back to before the epoch that was saved for."""
        self._kept = saved

    def keep(self, *, sums: bool = False) -> dict[str, NDArray[Any]]:
        """Return the state itself, arrays by name."""
        return self._kept
