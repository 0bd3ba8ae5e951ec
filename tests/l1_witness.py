"""The independent optimum with L1, factors and bounds, and tables built to deceive."""

from benchmarks.harness.penalty_reference import (
    deceiving,
    deceiving_penalties,
    objective,
    optimum,
    violation,
)

__all__ = ["deceiving", "deceiving_penalties", "objective", "optimum", "violation"]
