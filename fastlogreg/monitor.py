"""What the estimators do at each step of a fit: print it, tell scikit-learn's callbacks."""

import time
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlogreg.two_class import FitTasks

__all__ = ["FitMonitor"]


class FitMonitor:
    """Prints the steps of a fit as lines of a table, and hears whether a callback ends it.

    Parameters
    ----------
    begun : float
        When the fit began, as ``time.perf_counter`` has it.
    prints : bool
    tasks : FitTasks, optional
        scikit-learn's callbacks.
    """

    header: ClassVar[str]

    def __init__(self, begun: float, prints: bool, tasks: FitTasks | None) -> None:
        self.begun = begun
        self.prints = prints
        self.tasks = tasks
        self._lines = 0

    def seconds(self) -> float:
        """Return the seconds since the fit began."""
        return time.perf_counter() - self.begun

    def print_line(self, line: str) -> None:
        """Print a step, the first below the header."""
        if self._lines == 0:
            print(self.header)
        self._lines += 1
        print(line, flush=True)

    def is_stopped_at(self, theta: NDArray[np.float64]) -> bool:
        """Tell the callbacks of a step; return whether one of them ends the fit."""
        return self.tasks is not None and self.tasks.iteration_ended(theta)
