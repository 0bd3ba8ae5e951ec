"""NumPy's handling of floating-point errors, as NumPy ships: what a caller set changes nothing.

An exponential that underflows to 0 is right here, and under a caller's ``np.seterr(all="raise")``
it would end a fit. So each public function runs under :func:`numpy_defaults`.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

__all__ = ["numpy_defaults"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def numpy_defaults(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function run under NumPy's own settings of ``np.seterr``."""

    @wraps(function)
    def under_defaults(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            return function(*args, **kwargs)

    return under_defaults
