"""Who runs the chunks: this thread, Numba's threads, or a pool of our own.

The result is the same to the bit whoever runs them (the driver fixes the chunks and the
order of their sum), so this is a matter of speed and of safety alone:

- below :data:`SERIAL_SECONDS` of work, the calling thread;
- where Numba's threading layer is tbb or omp, its threads (5 us a dispatch);
- else a pool of Python threads (30 us): the workqueue layer aborts the process when two
  Python threads enter it at once, and a forked child of a process that used a layer is
  killed or hangs at its first parallel call.

No call into a kernel lasts longer than about :data:`CALL_SECONDS`, and between calls
Ctrl-C is seen.
"""

import os
import queue
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numba
from numba import config

from fastlogreg.backends.limits import Limit

SERIAL_SECONDS = 3e-4
CALL_SECONDS = 0.2

_SAFE_LAYERS = ("tbb", "omp")


def default_threads() -> int:
    """Return how many threads are used where nobody says: NUMBA_NUM_THREADS, else the cores."""
    return int(config.NUMBA_NUM_THREADS)


# --- Numba's layer ---------------------------------------------------------------------

_lock = threading.Lock()
_layer: str | None = None
_forked = False


def _after_fork_in_child() -> None:
    global _lock, _forked, _pool
    _lock = threading.Lock()  # another thread of the parent may have held it
    _pool = None
    try:
        numba.threading_layer()
    except ValueError:
        return  # the parent had started no layer: the child may start its own
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def layer() -> str:
    """Return the name of Numba's threading layer, starting it if need be."""
    global _layer
    if _layer is None:
        with _lock:
            numba.get_num_threads()  # starts the layer
            _layer = numba.threading_layer()
    return _layer


def prange_is_safe() -> bool:
    """Whether this process may enter a parallel kernel."""
    return not _forked and layer() in _SAFE_LAYERS


# --- our pool --------------------------------------------------------------------------


class _Task:
    """One job that several threads take chunks from, until none is left."""

    def __init__(self, work: Callable[[int], None], n: int) -> None:
        self.work = work
        self.n = n
        self.next = count()
        self.error: BaseException | None = None
        self.begun: list[None] = []  # one for each worker that has taken the job
        self.ended: list[None] = []

    def run(self) -> None:
        try:
            for c in self.next:  # one C call, so atomic under the interpreter's lock
                if c >= self.n or self.error is not None:
                    return
                self.work(c)
        except BaseException as error:
            self.error = error

    def run_as_worker(self) -> None:
        self.begun.append(None)
        self.run()
        self.ended.append(None)


class _Pool:
    """Daemon threads that wait for tasks; it grows to the most that was asked for."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[tuple[_Task, threading.Lock]] = queue.SimpleQueue()
        self.size = 0
        self.growing = threading.Lock()

    def _serve(self) -> None:
        while True:
            task, done = self.queue.get()
            task.run_as_worker()
            del task
            done.release()

    def run(self, work: Callable[[int], None], n: int, n_threads: int) -> None:
        workers = min(n_threads, n) - 1
        with self.growing:
            while self.size < workers:
                threading.Thread(target=self._serve, name="fastlogreg", daemon=True).start()
                self.size += 1
        task = _Task(work, n)
        locks = [threading.Lock() for _ in range(workers)]
        try:
            for lock in locks:
                lock.acquire()
                self.queue.put((task, lock))
            task.run()
            for lock in locks:
                lock.acquire()
        except BaseException as interrupt:
            # Ctrl-C while we wait: workers write into arrays of ours, so let those end that have
            # begun; who begins now sees the error first. Not by their locks: the interrupt may
            # have come when we had just acquired one.
            task.error = interrupt
            while len(task.ended) < len(task.begun):
                time.sleep(1e-4)
            raise
        if task.error is not None:
            raise task.error


_pool: _Pool | None = None


def run_on_pool(work: Callable[[int], None], n: int, n_threads: int) -> None:
    """Call work(0) .. work(n - 1) on up to n_threads threads, this one among them."""
    global _pool
    if n_threads == 1 or n == 1:
        for c in range(n):
            work(c)
        return
    with _lock:
        if _pool is None:
            _pool = _Pool()
        pool = _pool
    pool.run(work, n, n_threads)


# --- dispatch --------------------------------------------------------------------------


def _numba_threads(n: int) -> Limit:
    before = numba.get_num_threads()
    return Limit(lambda: numba.set_num_threads(n), lambda: numba.set_num_threads(before))


def run_chunks(
    serial: Callable[[int, int], Any],
    on_threads: Callable[[int, int], Any] | None,
    n_chunks: int,
    seconds_per_chunk: float,
    n_threads: int | None,
) -> None:
    """Run the chunks 0 .. n_chunks - 1 by ``serial(first, last)`` or ``on_threads(first, last)``.

    ``seconds_per_chunk`` is an estimate for one thread; it decides who runs the chunks
    and how many go into one call, never what comes out.
    """
    if n_chunks * seconds_per_chunk < SERIAL_SECONDS:
        serial(0, n_chunks)
        return
    threads = min(n_threads or default_threads(), n_chunks)
    if threads > 1 and on_threads is not None and prange_is_safe():
        threads = min(threads, default_threads())
        step = max(threads, int(threads * CALL_SECONDS / seconds_per_chunk))
        limit = _numba_threads(threads)
        with limit, limit:
            for first in range(0, n_chunks, step):
                on_threads(first, min(first + step, n_chunks))
        return
    step = max(1, int(CALL_SECONDS / seconds_per_chunk))
    if threads > 1:
        # several calls a thread, so that a thread that is held up is not waited for
        step = min(step, -(-n_chunks // (4 * threads)))

    def work(call: int) -> None:
        serial(call * step, min((call + 1) * step, n_chunks))

    run_on_pool(work, -(-n_chunks // step), threads)
