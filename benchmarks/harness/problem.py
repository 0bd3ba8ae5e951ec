"""What is fitted, and the parameters that a fit returns; it imports nothing but NumPy."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Problem(NamedTuple):
    """X (n, d), dense or CSR, labels 0.0 and 1.0, weights (n,) or None, and the penalty's C."""

    X: Any
    y: NDArray[np.float64]
    sample_weight: NDArray[np.float64] | None = None
    C: float = 1.0

    @property
    def dense(self) -> bool:
        """Whether X is an array."""
        return isinstance(self.X, np.ndarray)

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(self.y.size if self.sample_weight is None else self.sample_weight.sum())


def theta_of(model: Any) -> NDArray[np.float64]:
    """Return [b, w_1 .. w_d] of a fitted model."""
    parts = (np.ravel(model.intercept_), np.ravel(model.coef_))
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
