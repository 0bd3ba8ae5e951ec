"""Where a sequence of sweeps leads to: Anderson extrapolation.

References
----------
Bertrand and Massias (2021), Anderson acceleration of coordinate descent, AISTATS.
"""

import numpy as np
from numpy.typing import NDArray

#: Sweeps that an extrapolation is made from.
SEQUENCE = 5


def weights_of(entries: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the weights, (k,), of the last k of k + 1 places, (k + 1, p); None where none moved.

    They sum to 1; at that mean of the places the next move would be least, if moves were linear.
    """
    steps = np.diff(entries, axis=0)
    products = steps @ steps.T
    scale = np.trace(products)
    if not scale > 0.0:
        return None
    products /= scale  # which may be tiny
    products.flat[:: len(steps) + 1] += 1e-12
    found = np.linalg.solve(products, np.ones(len(steps)))
    weights: NDArray[np.float64] = found / found.sum()
    return weights
