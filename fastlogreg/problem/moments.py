"""What is cheap to know of a Hessian: sums, means and squares of columns in its metric."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastlogreg.problem.layout import Layout

__all__ = ["Moments"]

_LOST = 1e-14  # variance below this share of the mean square is rounding

_Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Means over rows, for each column of margins, of its curvature h, of h x and of h x².

    With the weighted means c_j of the columns, the model in *centred columns* has the margin
    ``b + c @ w + (x - c) @ w``. There the Hessian has no entries between an intercept and the
    weights of its own row of theta.

    Attributes
    ----------
    layout : Layout
    total : ndarray of shape (m,)
        Mean curvatures.
    sums, squares : ndarray of shape (m, d)
        Means of h x and h x².
    penalty : ndarray of shape (m, d)
        What a penalty adds to the Hessian's diagonal.
    """

    layout: Layout
    total: _Array
    sums: _Array
    squares: _Array
    penalty: _Array

    @cached_property
    def centre(self) -> _Array:
        """Return the weighted means of the columns, (m, d), or 0 where nothing is centred."""
        if not self.layout.intercept:
            return np.zeros_like(self.sums)
        total = self.total[:, None]
        return np.divide(self.sums, total, out=np.zeros_like(self.sums), where=total > 0.0)

    @cached_property
    def spread(self) -> _Array:
        """Return means of h (x - centre)², (m, d): the Hessian's diagonal in centred columns.

        It is the difference of nearly equal numbers where a column is far from 0: not below what
        may be rounding.
        """
        centred = self.squares - self.sums * self.centre
        return np.maximum(centred, _LOST * self.squares)

    def to_centred(self, gradient: _Array) -> _Array:
        """Return the gradient, (m p,), of the same function in centred columns."""
        out = gradient.copy()
        if self.layout.intercept:
            rows = self.layout.rows(out)
            rows[:, 1:] -= self.centre * rows[:, :1]
        return out

    def with_intercept(self, step: _Array, gradient: _Array) -> _Array:
        """Return the step, (p,), of these coefficients, (d,), and of the intercept of one output.

        ``gradient``, (p,), is that where the step begins.
        """
        out = np.zeros(self.layout.size)
        out[self.layout.first :] = step
        if self.layout.intercept:
            total = self.total[0]
            own = -gradient[0] / total if total > 0.0 else 0.0
            out[0] = own - float(self.centre[0] @ step)
        return out

    def from_centred(self, step: _Array) -> _Array:
        """Return the step, (m p,), that is ``step`` in centred columns."""
        out = step.copy()
        if self.layout.intercept:
            rows = self.layout.rows(out)
            rows[:, 0] -= (self.centre * rows[:, 1:]).sum(axis=1)
        return out
