"""How an epoch is cut into batches, chunks and blocks: by the shape of the data alone."""

from typing import Any, NamedTuple

from fastlogreg.backends.numba.jit import PREFETCHES, borrowing
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.passes.bound import kind_of
from fastlogreg.backends.numba.passes.plan import (
    ROW_SECONDS,
    SPARSE_VALUE_SECONDS,
    VALUE_SECONDS,
    Shape,
    classes_seconds,
)

# Of rows that are fetched together; where the processor reads ahead by itself it needs longer runs
# (Zen 4, one thread, epochs in batches of 256 at 20 columns: 42 -> 36 ns a row, of 4096 at 100:
# 131 -> 95).
_BLOCK_BYTES, _RUN_BYTES_AT_MOST = (10240, 20480) if PREFETCHES else (20480, 81920)
_WORK_BYTES = 10240  # of rows that are worked on together
_RUN_BYTES = 8192  # of a stretch's rows in one batch: enough to be read in the memory's order
_MIN_HEIGHT, _MAX_HEIGHT = 16, 128 if PREFETCHES else 512
_MAX_BLOCK = 128  # rows
_MIN_BLOCK, _TILE_BYTES = 16, 1 << 17  # of softmax: its columns, or its margins
_TWO_CHUNKS, _MORE_CHUNKS = 2e-6, 4e-6  # seconds of a batch, and of each of its chunks beyond two
_SPARSE_CHUNK = 8e-6
_MAX_CHUNKS, _MAX_SPARSE_CHUNKS = 32, 4

_BatchSpec = Any  # fastlogreg.backends.BatchSpec, of a floor above


class Plan(NamedTuple):
    """How an epoch of ``samples`` positions is cut, and what is computed.

    Batch k is ``chunks`` runs of ``chunk`` positions from ``k * batch_stride + c * chunk_stride``;
    what is left after the last whole batch is one smaller batch, cut in the same way.
    """

    samples: int
    batch: int
    chunks: int
    chunk: int
    batch_stride: int
    chunk_stride: int
    block: int
    n_classes: int
    intercept: int
    kind: int
    scale: float


@borrowing  # type: ignore[untyped-decorator]
def chunk_range(plan: Plan, k: int, c: int) -> tuple[int, int]:
    """Return the positions lo, hi of chunk c of batch k."""
    before = c * plan.chunk
    if (k + 1) * plan.batch <= plan.samples:
        lo = k * plan.batch_stride + c * plan.chunk_stride
        return lo, lo + min(plan.chunk, plan.batch - before)
    lo = min(plan.samples // plan.batch * plan.batch + before, plan.samples)
    return lo, min(lo + plan.chunk, plan.samples)


class Layout(NamedTuple):
    """A plan, and what orders of its epochs need to know.

    Attributes
    ----------
    plan : Plan
    seconds : float
        Of a batch, on one thread.
    height : int
        Consecutive rows that an order by windows keeps together.
    by_windows : bool
        Whether shuffled orders are by windows.
    whole_windows : bool
        Whether batches hold whole windows.
    prefetch_distance : int
        Positions between one that is used and one that is fetched meanwhile.
    """

    plan: Plan
    seconds: float
    height: int
    by_windows: bool
    whole_windows: bool
    prefetch_distance: int


def layout_of(n: int, shape: Shape, spec: _BatchSpec) -> Layout:
    """Return how an epoch of n samples is cut."""
    batch = min(spec.batch_size, n)
    K = spec.n_outputs
    chunks, chunk, seconds = _cut(batch, shape, K)
    row_bytes = max(1.0, shape.width * shape.itemsize)
    stretch_rows = batch // orders.STRETCHES // 8 * 8  # of a batch, from one stretch
    whole_windows = stretch_rows * row_bytes >= _RUN_BYTES
    run_bytes = _RUN_BYTES_AT_MOST if whole_windows else _BLOCK_BYTES
    height = min(_MAX_HEIGHT, max(_MIN_HEIGHT, int(run_bytes / row_bytes) // 8 * 8))
    height = min(height, stretch_rows) if whole_windows else height
    by_windows = spec.shuffle is True and n >= orders.LEAST_WINDOWS * height * orders.STRETCHES
    interleaved = by_windows and not whole_windows and chunk * chunks == batch
    block = min(
        height if by_windows else _MAX_BLOCK,
        -(-chunk // 8) * 8 if batch > 1 else _MAX_BLOCK,
        max(_MIN_HEIGHT, min(_MAX_BLOCK, int(_WORK_BYTES / row_bytes) // 8 * 8)),
    )
    kind, scale = (0, 1.0) if K > 1 else kind_of(spec.loss, spec.activation)
    if K > 1:
        width = K if shape.sparse else max(K, shape.width + 1)
        block = min(block, max(_MIN_BLOCK, int(_TILE_BYTES / (8.0 * width)) // 8 * 8))
    return Layout(
        Plan(
            samples=n,
            batch=batch,
            chunks=chunks,
            chunk=chunk,
            batch_stride=chunk if interleaved else batch,
            chunk_stride=n // batch * chunk if interleaved else chunk,
            block=block,
            n_classes=K,
            intercept=int(spec.intercept),
            kind=kind,
            scale=scale,
        ),
        seconds,
        height,
        by_windows,
        whole_windows,
        # of this chunk the next block, or in the next batch: the rows between are other threads'
        block if chunk > block or chunks == 1 else batch,
    )


def _cut(batch: int, shape: Shape, K: int) -> tuple[int, int, float]:
    """Return chunks of a batch, positions of a chunk and the seconds of a batch."""
    value = SPARSE_VALUE_SECONDS if shape.sparse else VALUE_SECONDS
    row = ROW_SECONDS + shape.width * value if K == 1 else classes_seconds(shape, K)
    seconds = batch * row
    if shape.sparse:
        chunks = min(_MAX_SPARSE_CHUNKS, int(seconds / _SPARSE_CHUNK))
    elif seconds < 4.0 * _MORE_CHUNKS:
        chunks = 2 if seconds >= _TWO_CHUNKS else 1
    else:
        chunks = min(_MAX_CHUNKS, int(seconds / _MORE_CHUNKS))
    chunks = 1 << max(0, chunks.bit_length() - 1)
    chunk = -(-batch // chunks)
    return -(-batch // chunk), chunk, seconds
