"""Classes without weight among those of softmax: the model that a fit tends to, without an end.

Where a class weight is 0 and other classes have rows, the loss falls for ever as the intercept of
that class goes to minus infinity. What it tends to is the fit of the other classes alone, with
coefficients of the class that cost the least: 0, or what is nearest between their bounds. So the
others are fitted, and the class is put in its place afterwards. Without an intercept there is an
optimum, and nothing of this is needed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.memory import Rows

__all__ = ["NEVER", "set_aside", "taken_away"]

NEVER = -(2.0**100)  # an intercept in place of minus infinity: finite, and of float32 too

_Vector = NDArray[np.float64]


def set_aside(
    rows: Rows, class_weight: Any, intercept: bool
) -> tuple[Rows, NDArray[np.bool_] | None]:
    """Return the rows as of the classes that have weight, and which these are, (K,).

    None where all have, or nothing needs to be done. Rows of the others, whose weight is 0, are
    called the first class: X is not copied.

    Examples
    --------
    >>> y = np.array([0.0, 1.0, 2.0])
    >>> rows = Rows(np.ones((3, 1)), y, np.array([1.0, 0.0, 1.0]), None, np.array(["a", "b", "c"]))
    >>> of_held, held = set_aside(rows, {"b": 0.0}, True)
    >>> of_held.targets, held
    (array([0., 0., 1.]), array([ True, False,  True]))
    """
    K, weights = rows.classes.size, rows.weights
    if K == 2 or not intercept or weights is None or not isinstance(class_weight, dict):
        return rows, None
    codes = rows.targets.astype(np.intp)
    held = np.bincount(codes, weights > 0.0, minlength=K) > 0.0
    if held.all():
        return rows, None
    code = np.where(held, np.cumsum(held) - 1.0, 0.0)
    offset = None if rows.offset is None else np.ascontiguousarray(rows.offset[:, held])
    of_held = rows._replace(targets=code[codes], offset=offset, classes=rows.classes[held])
    return of_held, held


def taken_away(theta: _Vector, held: NDArray[np.bool_] | None) -> _Vector:
    """Return the rows of theta, (K, p), to start from; intercepts begin where there were none."""
    theta = theta.copy() if held is None else theta[held]
    theta[theta[:, 0] <= NEVER, 0] = 0.0
    return theta
