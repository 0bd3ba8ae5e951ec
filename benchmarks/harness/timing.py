"""One fit, its seconds and what it warned of; rounds are :mod:`fastlogreg.cli.measuring`'s."""

import time
import warnings
from typing import Any

from benchmarks.harness.problem import Problem


def timed_fit(model: Any, problem: Problem) -> tuple[float, str]:
    """Fit, and return the seconds and the first warning."""
    X, y, weights, _ = problem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, y, sample_weight=weights)
        seconds = time.perf_counter() - start
    return seconds, first_line(caught)


def first_line(caught: list[warnings.WarningMessage]) -> str:
    """Return the first line of the first warning; empty for none."""
    return str(caught[0].message).split("\n")[0].strip() if caught else ""
