"""The shape of theta: who stands where in the vector that solvers move.

A solver sees one flat vector. What it means is known here alone: m rows (one for each column of
margins: 1 for two classes, one a class for softmax) of ``[b, w_1 .. w_d]``, or of ``[w_1 .. w_d]``
where the model has no intercept.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout"]

_Vector = NDArray[np.float64]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Layout:
    """How theta is laid out.

    Parameters
    ----------
    n_columns : int
        Columns d of X.
    intercept : bool, default=True
    n_outputs : int, default=1
        Columns m of margins.

    Examples
    --------
    >>> import numpy as np
    >>> layout = Layout(2, n_outputs=3)
    >>> layout.size
    9
    >>> layout.by_column(np.array([5.0, 7.0]))
    array([0., 5., 7., 0., 5., 7., 0., 5., 7.])
    """

    n_columns: int
    intercept: bool = True
    n_outputs: int = 1

    @cached_property
    def first(self) -> int:
        """Return the place of the first coefficient in a row."""
        return int(self.intercept)

    @cached_property
    def width(self) -> int:
        """Return the length p of a row."""
        return self.n_columns + self.first

    @cached_property
    def size(self) -> int:
        """Return the length m p of theta."""
        return self.n_outputs * self.width

    def rows(self, theta: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Return a view of theta as rows, (m, p)."""
        return theta.reshape(self.n_outputs, self.width)

    def for_pass(self, theta: _Vector) -> _Vector:
        """Return theta as a backend takes it: (p,) for one column of margins, else (m, p)."""
        return theta if self.n_outputs == 1 else self.rows(theta)

    def intercepts(self, theta: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Return a view of the intercepts, (m, 1), or (m, 0) without."""
        return self.rows(theta)[:, : self.first]

    def coefficients(self, theta: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Return a view of the coefficients, (m, d)."""
        return self.rows(theta)[:, self.first :]

    def by_column(self, values: float | _Vector) -> _Vector:
        """Return theta's shape with these values at the coefficients, (d,), and 0 at intercepts."""
        out = np.zeros(self.size)
        self.coefficients(out)[:] = values
        return out

    def entries(self, chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the places in theta of the intercepts and of some columns, as of fewer columns."""
        places = np.concatenate([np.arange(self.first), self.first + chosen])
        found: NDArray[np.intp] = (
            np.arange(self.n_outputs)[:, None] * self.width + places
        ).reshape(-1)
        return found

    def alike(self, values: _Vector) -> _Vector:
        """Return the values, (m p,), with their mean over the rows of theta in each row."""
        if self.n_outputs == 1:
            return values
        return np.tile(self.rows(values).mean(axis=0), self.n_outputs)

    def centred(self, theta: _Vector) -> _Vector:
        """Return theta with rows that sum to 0: softmax gives the same probabilities."""
        if self.n_outputs == 1:
            return theta
        rows = self.rows(theta)
        centred: _Vector = (rows - rows.mean(axis=0)).reshape(-1)
        return centred
