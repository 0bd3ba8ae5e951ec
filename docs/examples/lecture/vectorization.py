"""
What vectorizing gains, measured
================================

The same loss and gradient three times: by a scalar loop in Python, by NumPy, and by compiled
kernels that do everything in one pass over the rows. ``fastlogreg compare`` does this with more
care, on larger tables.
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import fastlogreg as flr

random = np.random.default_rng(0)
sizes = [100, 1_000, 10_000, 100_000]
times: dict[str, list[float]] = {"loop": [], "numpy": [], "numba": []}
for n in sizes:
    X = random.standard_normal((n, 20))
    y = (random.random(n) < 0.5).astype(float)
    theta = 0.1 * random.standard_normal(21)
    for backend, found in times.items():
        if backend == "loop" and n > 10_000:
            continue  # some 0.4 s a call
        best = np.inf
        for _ in range(3 if backend == "loop" else 7):
            begin = time.perf_counter()
            flr.loss_gradient(X, y, theta, backend=backend)
            best = min(best, time.perf_counter() - begin)
        found.append(best)

# %%
# All three say the same, to rounding:
values = [flr.loss(X[:1000], y[:1000], theta, backend=backend) for backend in times]
print(f"they differ by {max(values) - min(values):.0e}")

# %%
figure, ax = plt.subplots(layout="constrained")
for (backend, found), marker in zip(times.items(), "os^", strict=True):
    ax.loglog(sizes[: len(found)], found, marker=marker, label=backend)
ax.set(xlabel="rows of 20 columns", ylabel="seconds for loss and gradient")
ax.legend()
ax.grid(alpha=0.3)
