"""formulaic, imported where a formula is read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_formulaic", "formulaic_constraints"]


def check_formulaic() -> Any:
    """Return the package, or say how to get it."""
    try:
        import formulaic
    except ImportError as error:
        raise ImportError(
            "formulas need formulaic: python3 -m pip install 'fastlogreg[formula]'"
        ) from error
    return formulaic


def formulaic_constraints(
    text: str, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return R, (k, q), and r, (k,), of equations between names."""
    check_formulaic()
    from formulaic.utils.constraints import LinearConstraints

    try:
        found = LinearConstraints.from_spec(text, variable_names=list(names))
    except Exception as error:  # of several kinds
        raise ValueError(
            f"restriction {text!r} is no equation of the parameters {list(names)}: {error}"
        ) from error
    R = np.atleast_2d(np.asarray(found.constraint_matrix, dtype=np.float64))
    r = np.atleast_1d(np.asarray(found.constraint_values, dtype=np.float64))
    return R, r
