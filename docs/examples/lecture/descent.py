"""
One sample, mini-batch, batch
=============================

Gradient descent takes a step by one sample, by a few, or by all. The more samples, the straighter
the way, and the fewer steps there are in an epoch.
"""

# %%
# Thirty epochs from the same start, with the same step length. Steps of one sample wander, but
# there are four times as many of them.
import matplotlib.pyplot as plt

import fastlogreg as flr

ax = flr.plots.descent_paths(batch_sizes=(1, 2, None), n_epochs=30)

# %%
# From a plateau of the squared error nobody gets away; under cross-entropy the same start is no
# harder than another.
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
for loss, ax in zip(("mse", "bce"), axes, strict=True):
    flr.plots.descent_paths(
        loss, theta=(4.0, -4.0), n_epochs=50, w=(-5.0, 5.0), b=(-9.0, 7.0), ax=ax
    )

# %%
# The steps are those of :func:`fastlogreg.train`, which does exactly the lecture's five steps:
X, y = [[1.4], [1.5], [3.0], [4.1]], [0, 0, 1, 1]
result = flr.train(X, y, batch_size=1, learning_rate=0.5, n_epochs=30, seed=0)
print(f"theta {result.theta.round(3)}, mean loss of the last epoch {result.epoch_losses[-1]:.3f}")
