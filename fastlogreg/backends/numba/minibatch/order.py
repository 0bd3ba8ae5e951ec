"""In which order an epoch takes the rows: rules that give the row of each position.

Three orders, one form (:class:`Order`):

- as stored: position p is row p;
- listed: a permutation of all rows, 8 bytes each;
- by windows: the rows are cut into stretches of equal length and these into blocks of
  consecutive rows. A window holds one block of each stretch, chosen at random, and takes its rows
  in a random order (in that of the memory where each batch holds whole windows). A window fits the
  cache, so that rows are fetched from memory block by block and taken from the cache one by one;
  and since it has a block of each stretch, data that are sorted, by label or by anything, give
  windows that look alike. What is stored is a row for each block and one permutation for all
  windows of an epoch.

Where only some rows take part (``subset``), the order is one of their places.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.jit import borrowing

STRETCHES = 16  # blocks of a window
LEAST_WINDOWS = 4  # fewer than these: a permutation of all rows, which then fit some cache


class Order(NamedTuple):
    """Positions of an epoch.

    ``starts[k, s]`` is the first row of block s of window k; place a of a window is row
    ``offset[a]`` of block ``block[a]``. Positions beyond the windows are ``listed``; where there
    is neither, positions are rows. ``subset``, where it has a length, maps all of that to rows.
    """

    starts: NDArray[np.int64]
    block: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    listed: NDArray[np.int64]
    subset: NDArray[np.int64]
    height: int  # rows of a block
    scattered: int  # whether a window's rows are not in the order of the memory
    prefetch_distance: int  # positions between one that is used and one that is fetched meanwhile


@borrowing
def fill(order, p, n, index):
    """Set index[:n] to the rows of the positions p .. p + n."""
    size = order.block.size
    windowed = order.starts.shape[0] * size
    i = 0
    while i < n:
        at = p + i
        if at < windowed:
            k = at // size
            a = at - k * size
            count = min(n - i, size - a)
            starts = order.starts[k]
            for q in range(count):
                index[i + q] = starts[order.block[a + q]] + order.offset[a + q]
            i += count
        else:
            count = n - i
            if order.listed.size:
                for q in range(count):
                    index[i + q] = order.listed[at - windowed + q]
            else:
                for q in range(count):
                    index[i + q] = at + q
            i += count
    if order.subset.size:
        for q in range(n):
            index[q] = order.subset[index[q]]


@borrowing
def window_to_fetch(order, p, n):
    """Return the window of scattered rows whose first position is among p .. p + n, or -1."""
    size = order.block.size
    if size == 0 or not order.scattered:
        return -1
    k = -(-p // size)
    return k if k < order.starts.shape[0] and k * size < p + n else -1


@borrowing
def row_to_prefetch(order, p, n):
    """Return a row that will be wanted soon, with the n - 1 after it, in the memory's order."""
    size = order.block.size
    position = p + order.prefetch_distance
    if size == 0:
        return position
    k = position // size
    if k >= order.starts.shape[0]:
        return 0
    a = position - k * size
    return order.starts[k, a // order.height] + a % order.height


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


_NO_STARTS = _frozen(np.empty((0, 0), np.int64))
_NO_PLACES = _frozen(np.empty(0, np.uint32))
_NOT_LISTED = _frozen(np.empty(0, np.int64))


def as_stored(subset: NDArray[np.int64], prefetch_distance: int = 1) -> Order:
    """Return the order of the memory; ``prefetch_distance`` rows on is what a thread wants next."""
    return Order(_NO_STARTS, _NO_PLACES, _NO_PLACES, _NOT_LISTED, subset, 1, 0, prefetch_distance)


def listed(rows: NDArray[np.int64], subset: NDArray[np.int64]) -> Order:
    """Return the order that a permutation, (n,), gives."""
    rows = rows.view()
    return Order(_NO_STARTS, _NO_PLACES, _NO_PLACES, _frozen(rows), subset, 1, 0, 1)


def by_windows(
    n: int,
    height: int,
    random: np.random.Generator,
    subset: NDArray[np.int64],
    prefetch_distance: int | None = None,
) -> Order:
    """Return a random order by windows, each of a block of ``height`` rows of every stretch.

    ``prefetch_distance`` is given where batches hold whole windows: then the rows of a window need
    no order of their own. Rows that are too few for another window come last, in an order of their
    own; which they are is drawn too.
    """
    size = height * STRETCHES
    windows = n // size
    rest = n - windows * size
    shift = int(random.integers(rest + 1))
    blocks = np.tile(np.arange(windows), (STRETCHES, 1))
    starts = random.permuted(blocks, axis=1).T * height
    starts += np.arange(STRETCHES) * (windows * height) + shift
    places = random.permutation(size) if prefetch_distance is None else np.arange(size)
    last = np.concatenate([np.arange(shift), np.arange(shift + windows * size, n)])
    random.shuffle(last)
    return Order(
        _frozen(np.ascontiguousarray(starts)),
        _frozen((places // height).astype(np.uint32)),
        _frozen((places % height).astype(np.uint32)),
        _frozen(last),
        subset,
        height,
        int(prefetch_distance is None),
        size if prefetch_distance is None else prefetch_distance,
    )
