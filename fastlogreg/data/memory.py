"""Rows in memory."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "Rows"]


class Columns(NamedTuple):
    """What is noted of the columns of X: how many, and their names where all are strings."""

    number: int
    names: NDArray[Any] | None


class Rows(NamedTuple):
    """Rows to fit, as backends take them; weights and offset are None where there are none."""

    matrix: Any
    targets: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None
    classes: NDArray[Any]
