"""
The same bits on any number of threads
======================================

Rows are cut into chunks by the table's shape alone, and the chunks' sums are added in a fixed
order. So a result does not depend on the number of threads, and a model can be compared to the
bit.
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import fastlogreg as flr

random = np.random.default_rng(0)
X = random.standard_normal((200_000, 20))
y = (random.random(200_000) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
theta = np.zeros(21)
results, times = [], []
threads = [1, 2]
for n in threads:
    best = np.inf
    for _ in range(5):
        begin = time.perf_counter()
        value, gradient = flr.loss_gradient(X, y, theta, n_threads=n)
        best = min(best, time.perf_counter() - begin)
    results.append(np.append(gradient, value))
    times.append(best)
print("the same bits:", np.array_equal(*results))

# %%
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
ax.bar([str(n) for n in threads], [1e3 * t for t in times], width=0.5)
ax.set(xlabel="threads", ylabel="milliseconds for loss and gradient")
