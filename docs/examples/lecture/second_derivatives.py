"""
The sign of second derivatives
==============================

The lecture derives both second derivatives of one sample's loss: x²(p - p²) for cross-entropy,
which is never negative, and 2x² p(1 - p)(-3p² + 2p - y + 2yp) for squared error, which is negative
where the prediction is far from its label.
"""

# %%
# One sample with x = 1: the Hessian of one weight is the second derivative.
import numpy as np

import fastlogreg as flr

p = 0.9
_, _, hessian = flr.loss_gradient_hessian(
    [[1.0]], [0.0], [np.log(p / (1 - p))], loss="mse", intercept=False
)
print(f"computed {hessian[0, 0]:.6f}, by the formula {2 * p * (1 - p) * (-3 * p**2 + 2 * p):.6f}")

# %%
# Over all predictions: the sign changes at 2/3 where the label is 0, and at 1/3 where it is 1.
ax = flr.plots.second_derivatives()
