"""
Why cross-entropy and not squared error
=======================================

Of a sigmoid, the mean cross-entropy is convex in weight and bias: whoever walks downhill arrives.
The mean squared error is not: it has plateaus that lead nowhere. Four petals are enough to see it.
"""

# %%
# The two losses over the weight w and the bias b. Squared error is flat where the model is wrong
# and sure of it; cross-entropy is steep there.
import matplotlib.pyplot as plt

import fastlogreg as flr

figure = plt.figure(figsize=(9.5, 4.4), layout="constrained")
for k, loss in enumerate(("mse", "bce")):
    flr.plots.loss_surface(loss, ax=figure.add_subplot(1, 2, k + 1, projection="3d"))

# %%
# A function is convex where its Hessian has no negative eigenvalue. The Hessian comes out of the
# same pass as the loss, ``loss_gradient_hessian``, so its sign can be drawn.
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
for loss, ax in zip(("mse", "bce"), axes, strict=True):
    flr.plots.convexity(loss, ax=ax)

# %%
# And without derivatives: a convex function never lies above its chord.
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for loss, ax in zip(("mse", "bce"), axes, strict=True):
    flr.plots.chord(loss, ax=ax)
