"""formulaic, imported where a formula is read."""

from collections.abc import Sequence
from itertools import pairwise
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
        found = LinearConstraints.from_spec(_pairs(text), variable_names=list(names))
    except Exception as error:  # of several kinds
        raise ValueError(
            f"restriction {text!r} is no equation of the parameters {list(names)}: {error}"
        ) from error
    R = np.atleast_2d(np.asarray(found.constraint_matrix, dtype=np.float64))
    r = np.atleast_1d(np.asarray(found.constraint_values, dtype=np.float64))
    return R, r


def _pairs(text: str) -> str:
    """Return the equations with two sides each, which is all that formulaic reads rightly.

    It takes ``a = b = c`` for ``a - b + c = 0``, and knows no ``= -b``.
    """
    pairs = []
    for equation in _split(text, ","):
        sides = _split(equation, "=")
        if len(sides) == 1:
            pairs.append(equation)
        pairs += [f"{left} = ({right})" for left, right in pairwise(sides)]
    return ", ".join(pairs)


def _split(text: str, mark: str) -> list[str]:
    """Return the pieces between marks that stand outside of brackets and backticks."""
    pieces, depth, quoted = [""], 0, False
    for letter in text:
        if letter == "`":
            quoted = not quoted
        elif not quoted:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == mark and depth == 0 and not quoted:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces
