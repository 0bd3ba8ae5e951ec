"""The Hessian of one column of margins as correlations and scales, kept from iterate to iterate.

In centred columns an intercept stands alone, and what is left of the Hessian are scales of columns
times their correlations. Scales and centres are cheap to know at each iterate (moments), so the
correlations alone are kept: a new iterate costs O(p) and no copy of a matrix. Each step says what
the Hessian does along it, and the correlations learn it (BFGS): the steps of a path go much the
same way, so that this is most of what they need.

References
----------
Nocedal and Wright, Numerical Optimization, section 6.1 (BFGS).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dger

from fastlogreg.problem.moments import Moments
from fastlogreg.solvers.curvature import is_said

__all__ = ["Metric"]

_FAR = 1e-11  # variance below this share of the mean square has few digits left
_NOISE = 1e-8  # change of the slope along a step, relative to it, that may be rounding

_Vector = NDArray[np.float64]


class Metric:
    """Correlations of the columns, with the scales and centres of an iterate.

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
        With the penalty of ``moments``.
    moments : Moments
        Those of the Hessian itself.

    Attributes
    ----------
    matrix : ndarray of shape (d, d)
        The Hessian of the coefficients, the intercept eliminated, in columns divided by ``scale``;
        its diagonal holds the penalty too.
    scale : ndarray of shape (d,)
    """

    def __init__(self, hessian: NDArray[np.float64], moments: Moments) -> None:
        first = moments.layout.first
        centre, spread = moments.centre[0], moments.spread[0]
        self.matrix = np.array(hessian[first:, first:], order="C")
        self.matrix -= np.outer(moments.total[0] * centre, centre)
        usable = spread > np.maximum(_FAR * moments.squares[0], 0.0)
        self.scale = np.sqrt(np.where(spread > 0.0, spread, 1.0))
        by = np.where(usable, 1.0 / self.scale, 0.0)
        self.matrix *= by[:, None]
        self.matrix *= by
        self._own = np.where(spread > 0.0, 1.0, 0.0)  # the diagonal without a penalty
        self._take(moments)

    def _take(self, moments: Moments) -> None:
        self.moments = moments
        self._soft = moments.penalty[0] / self.scale**2
        self.matrix.flat[:: self.scale.size + 1] = self._own + self._soft

    def move(self, moments: Moments, gradient: _Vector, value: float) -> bool:
        """Take the scales and centres of another iterate; whether they can say all of it.

        Parameters
        ----------
        moments : Moments
        gradient : ndarray of shape (p,)
        value : float
            Of the objective there.
        """
        if moments is self.moments:
            return True
        if not is_said(moments, gradient, value):
            return False
        spread = moments.spread[0]
        own = np.where(self._own > 0.0, self._own, 1.0)
        self.scale = np.sqrt(np.where(spread > 0.0, spread, 1.0) / own)
        self._own = np.where(spread > 0.0, own, 0.0)
        self._take(moments)
        return True

    def learn(self, step: _Vector, change: _Vector) -> None:
        """Learn that ``step``, (p,), has changed the loss's gradient, (p,), by ``change``."""
        first = self.moments.layout.first
        s = step[first:] * self.scale
        y = self.moments.to_centred(change)[first:] / self.scale
        product = float(s @ y)
        moved = np.flatnonzero(s)
        if moved.size == 0 or not np.isfinite(product):
            return
        matrix = self.matrix
        diagonal = matrix.reshape(-1)[:: s.size + 1]
        diagonal -= self._soft
        along = s[moved] @ matrix[moved]
        before = float(along @ s)
        if before > 0.0 and product > _NOISE * before:
            # of the transpose, which is the same: no copy
            dger(1.0 / product, y, y, a=matrix.T, overwrite_a=1)
            dger(-1.0 / before, along, along, a=matrix.T, overwrite_a=1)
            self._own = np.maximum(diagonal, 0.0)
        diagonal += self._soft
