"""What the estimators do at each step of a fit: print it, tell scikit-learn's callbacks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.memory import Columns, Rows

__all__ = ["FitMonitor", "FitTasks", "fit_tasks"]


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

    def __init__(self, begun: float, prints: bool, tasks: "FitTasks | None") -> None:
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


@contextmanager
def fit_tasks(
    estimator: Any, rows: Rows, y: NDArray[Any], columns: Columns, metadata: dict[str, Any]
) -> Iterator["FitTasks | None"]:
    """Set scikit-learn's callbacks up for a fit, and tear them down however it ends.

    None where none are set. The estimator is fitted where the block ends.
    """
    if not hasattr(estimator, "_skl_callbacks"):
        yield None
        return
    from sklearn.callback import with_callbacks

    try:
        tasks = FitTasks(estimator, rows, y, columns, metadata)
        yield tasks
        tasks.close()
    finally:  # what follows a method under this decorator
        with_callbacks(_nothing)(estimator)


def _nothing(estimator: Any) -> None:
    pass


class FitTasks:
    """A fit as scikit-learn's callbacks see it: a task, and in it one for each iteration.

    The solver says where it stands at the start and after each iteration; the first opens a task
    and each of the others ends one and opens the next. So the last that was opened is of an
    iteration that never came, and is ended without data, as scikit-learn does for its lbfgs.
    """

    def __init__(
        self,
        estimator: Any,
        rows: Rows,
        y: NDArray[Any],
        columns: Columns,
        metadata: dict[str, Any],
    ) -> None:
        from sklearn.callback import CallbackSupportMixin

        given = {name: value for name, value in metadata.items() if value is not None}
        self.estimator = estimator
        self.width = columns.number + int(estimator.fit_intercept)
        self.told = {
            "estimator": estimator,
            "X": rows.matrix,
            "y": y,
            "metadata": given or None,
        }
        # the estimator itself has none of these before the fit ends
        self.known: dict[str, Any] = {"classes_": rows.classes, "n_features_in_": columns.number}
        if columns.names is not None or hasattr(estimator, "feature_names_in_"):
            self.known["feature_names_in_"] = columns.names
        # how many iterations there will be is not known: those on parts of the rows come first;
        # the method is what scikit-learn documents for fit to call
        self.root = CallbackSupportMixin._init_callback_context(estimator, max_subtasks=None)
        self.root.call_on_fit_task_begin(**self.told)
        self.open: Any = None

    def iteration_ended(self, theta: NDArray[np.float64]) -> bool:
        """End the open task at this theta and open the next; return whether to stop instead."""
        rows = theta.reshape(-1, self.width)
        coef, intercept = self.estimator._coefficients(rows, self.told["X"])
        fitted = {**self.known, "coef_": coef, "intercept_": intercept}
        at = {**self.told, "reconstruction_attributes": fitted}
        if self.open is not None:
            last, self.open = self.open, None
            if last.call_on_fit_task_end(**at):
                return True
        self.open = self.root.subcontext(task_name="iteration")
        self.open.call_on_fit_task_begin(**at)
        return False

    def close(self) -> None:
        """End the fit's task; the estimator is fitted by now."""
        if self.open is not None:
            self.open.call_on_fit_task_end(estimator=self.estimator)
        self.root.call_on_fit_task_end(**self.told, reconstruction_attributes={})
