"""The Numba backend: fused kernels over blocks of rows.

From the top: ``passes`` (rows bound to what is computed on them: ``bound``; ``plan``: chunks;
``kernels``: what is compiled and cached), ``threads`` (who runs the chunks), ``stages`` (block
stages), ``formulas`` (scalar mathematics), ``jit`` (compile options and the disk cache).
``minibatch`` has its own: ``epochs`` (the group of threads, what is kept), ``batches`` (the
compiled loop), ``one_margin``, ``single`` and ``softmax`` (what is done in it), ``optimizers`` and
``scales`` (an update), ``plan`` (what a batch is), ``order`` (of the rows) and ``state``.
"""

from collections.abc import Iterator
from typing import Any

from fastlogreg.backends.numba.passes.bound import BoundPass, solving
from fastlogreg.backends.numba.passes.readers import read_sum
from fastlogreg.backends.numba.threads import default_threads

# What only some callers need is imported by those calls: with softmax and the mini-batch engine
# this package took 0.37 s to import, without 0.27.

__all__ = [
    "bind",
    "bind_sets",
    "class_descent",
    "column_descent",
    "coordinate_descent",
    "default_threads",
    "info",
    "kept_theta",
    "mini_batches",
    "read_sum",
    "solving",
    "train_epoch",
    "warmup",
]


def bind(X: Any, y: Any, sample_weight: Any, offset: Any, spec: Any) -> Any:
    """Return a pass over these rows; see :class:`fastlogreg.backends.Backend`."""
    if spec.activation != "softmax":
        return BoundPass(X, y, sample_weight, offset, spec)
    from fastlogreg.backends.numba.passes.softmax import SoftmaxPass

    return SoftmaxPass(X, y, sample_weight, offset, spec)


def bind_sets(*arguments: Any) -> Any:
    """Return a pass over sets of rows; see :class:`fastlogreg.backends.CompiledBackend`."""
    from fastlogreg.backends.numba.passes.sets import SetsPass

    return SetsPass(*arguments)


def coordinate_descent(*arguments: Any) -> Any:
    """Lower a model between bounds; see :class:`fastlogreg.backends.CompiledBackend`."""
    from fastlogreg.backends.numba import coordinates

    run: Any = coordinates.coordinate_descent
    return run(*arguments)


def column_descent(*arguments: Any) -> Any:
    """Lower a model in sparse columns; see :class:`fastlogreg.backends.CompiledBackend`."""
    from fastlogreg.backends.numba import coordinates

    run: Any = coordinates.column_descent
    return run(*arguments)


def class_descent(*arguments: Any) -> Any:
    """Lower a model of several classes; see :class:`fastlogreg.backends.CompiledBackend`."""
    from fastlogreg.backends.numba import class_coordinates

    run: Any = class_coordinates.class_descent
    return run(*arguments)


def train_epoch(X: Any, y: Any, theta: Any, rows: Any, spec: Any, learning_rate: float) -> Any:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`."""
    from fastlogreg.backends.numba.minibatch import epochs
    from fastlogreg.backends.numba.passes import softmax

    run = softmax.train_epoch if spec.activation == "softmax" else epochs.train_epoch
    return run(X, y, theta, rows, spec, learning_rate)


def mini_batches(*arguments: Any, **named: Any) -> Any:
    """Return rows as mini-batches; see :class:`fastlogreg.backends.Backend`."""
    from fastlogreg.backends.numba.minibatch import epochs

    return epochs.mini_batches(*arguments, **named)


def kept_theta(*arguments: Any, **named: Any) -> Any:
    """Return the theta of a kept state; see :class:`fastlogreg.backends.Backend`."""
    from fastlogreg.backends.numba.minibatch import epochs

    return epochs.kept_theta(*arguments, **named)


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) every kernel; yield its name and the seconds it took."""
    from fastlogreg.backends.numba import class_coordinates, coordinates
    from fastlogreg.backends.numba.minibatch import epochs
    from fastlogreg.backends.numba.passes import bound, sets, softmax

    compile_coordinates: Any = coordinates.warmup
    compile_classes: Any = class_coordinates.warmup
    yield from bound.warmup(dtypes)
    yield from softmax.warmup(dtypes)
    yield from sets.warmup(dtypes)
    yield from epochs.warmup(dtypes)
    yield from compile_coordinates()
    yield from compile_classes()


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
