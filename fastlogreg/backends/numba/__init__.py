"""The Numba backend: fused kernels over blocks of rows.

From the top: ``driver`` (chunks and sums in a fixed order), ``threads`` (who runs the
chunks), ``kernels`` (what is compiled and cached), ``stages`` (block stages),
``formulas`` (scalar mathematics), ``jit`` (compile options and the disk cache). Mini-batches have
their own: ``epochs`` (plans, the group of threads), ``batches`` (the compiled loop), ``updates``
(optimizers, penalties, scales) and ``order`` (of the rows).
"""

from typing import Any

from fastlogreg.backends.numba.driver import bind, read_sum, solving
from fastlogreg.backends.numba.epochs import train_epoch, warmup
from fastlogreg.backends.numba.threads import default_threads

__all__ = [
    "bind",
    "default_threads",
    "info",
    "read_sum",
    "solving",
    "train_epoch",
    "warmup",
]


def info() -> dict[str, Any]:
    """Return versions, threads, threading layer, processor and cache folder."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba
    import numpy as np

    from fastlogreg.backends.numba import jit, threads

    folder = jit.cache_folder()
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "threading_layer": threads.layer(),
        "n_threads": default_threads(),
        "cpu": llvm.get_host_cpu_name(),
        "cache_folder": None if folder is None else str(folder),
        "source_hash": jit.source_hash(),
    }
