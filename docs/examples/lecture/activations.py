"""
Sigmoid and tanh
================

tanh(z) is 2 sigmoid(2z) - 1, and its slope is 1 - tanh². So a model with tanh is a model with a
sigmoid and half the coefficients.
"""

# %%
import numpy as np

import fastlogreg as flr

ax = flr.plots.activations()

# %%
# ``activation="tanh"`` means the probability (tanh z + 1) / 2. Trained long enough, both reach the
# same predictions, and coefficients differ by the factor of 2.
X = np.array([[0.5], [1.0], [1.5], [2.0], [2.5], [3.0]])
y = np.array([0, 1, 0, 1, 0, 1])
for activation in ("sigmoid", "tanh"):
    theta = flr.train(X, y, activation=activation, n_epochs=5_000, learning_rate=1.0).theta
    print(f"{activation:8s} theta {theta.round(4)}")
