"""
A folder larger than memory
===========================

``memory_limit`` is what rows may take up in memory. Beyond it they are read again for each pass, so
a fit costs readings; few are needed, since the first steps are made on samples that the first
reading has drawn.
"""

# %%
# A folder of Parquet files, one for each month. The limit is tiny, so that it takes seconds.
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fastlogreg as flr

random = np.random.default_rng(0)
w = random.standard_normal(10)
folder = tempfile.TemporaryDirectory()
for month in range(1, 7):
    part = pd.DataFrame(random.standard_normal((40_000, 10))).add_prefix("x")
    part["clicked"] = random.random(40_000) < 1 / (1 + np.exp(2 - part.to_numpy() @ w))
    place = Path(folder.name) / f"month={month}"
    place.mkdir()
    part.to_parquet(place / "part.parquet", row_group_size=10_000)

# %%
# The fit tells of each batch that it reads: ``on_rows`` is called by the thread that does.
MIB = 1 << 20


def fitted(limit: int) -> tuple[flr.LogisticRegression, np.ndarray, bool]:
    """Fit the folder; return the model, how often it was read by when, and if memory held it."""
    rows = flr.open_rows(folder.name, target="clicked", memory_limit=limit)
    heard = [(time.perf_counter(), 0)]
    rows.on_rows = lambda n: heard.append((time.perf_counter(), heard[-1][1] + n))
    model = flr.LogisticRegression().fit(rows)
    heard.append((time.perf_counter(), heard[-1][1]))
    return model, (np.array(heard) - heard[0]) / [1, rows.n_rows], rows.fits_in_memory()


fitted(4 * MIB)  # reads what is compiled, or compiles it
models, read = {}, {}
for name, limit in (("limit 4 MiB", 4 * MIB), ("limit 24 MiB", 24 * MIB), ("in memory", 256 * MIB)):
    models[name], read[name], held = fitted(limit)
    print(
        f"{name:12s} in memory: {held}, {models[name].n_passes_:.1f} passes, "
        f"files read {read[name][-1, 1]:.1f} times"
    )
apart = np.abs(models["limit 4 MiB"].coef_ - models["in memory"].coef_).max()
print(f"{len(models['in memory'].feature_names_in_)} columns, coefficients differ by {apart:.0e}")

# %%
# Left, what was read: in memory, a look at the rows and their encoding are all. With a larger limit
# more of the rows stay, and a reading is less of the files. Right, the distance from the optimum
# against passes: most steps cost parts of one.
figure, (left, right) = plt.subplots(1, 2, layout="constrained", figsize=(9, 4))
for name, (seconds, times) in ((name, steps.T) for name, steps in read.items()):
    left.plot(seconds, times, label=name)
left.set(xlabel="seconds", ylabel="times that the files were read")
left.legend()
flr.plots.convergence({name: model for name, model in models.items() if "24" not in name}, ax=right)
folder.cleanup()
