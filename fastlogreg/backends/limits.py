"""Settings of the process that are changed for a while, and surely changed back.

Ctrl-C may arrive between any two steps of Python, also in the leaving of a context, which then is
left half done. It arrives once: so a context is written twice into its ``with``, and whichever
leaving was broken off, the other one is whole::

    limit = one_blas_thread()
    with limit, limit:
        ...

"""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Limit", "one_blas_thread"]


class Limit:
    """A context that may be entered and left again, where only the first time does something.

    Parameters
    ----------
    change, restore : callable
        Without arguments; ``restore`` may be called more than once, and after a part of ``change``.

    Examples
    --------
    >>> settings = {"threads": 2}
    >>> with Limit(lambda: settings.update(threads=1), lambda: settings.update(threads=2)) as again:
    ...     with again:
    ...         print(settings)
    {'threads': 1}
    >>> settings
    {'threads': 2}
    """

    def __init__(self, change: Callable[[], None], restore: Callable[[], None]) -> None:
        self._change, self._restore = change, restore
        self._entered = False

    def __enter__(self) -> "Limit":
        if not self._entered:
            self._entered = True
            try:
                self._change()
            except BaseException:
                self._restore()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered:
            self._restore()
            self._entered = False


_lock = threading.Lock()
_holders: set[object] = set()
_before: list[tuple[Any, int]] | None = None  # each BLAS, and the threads that it had
_libraries: Any = None


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def one_blas_thread() -> Limit:
    """Return the context in which the BLAS has one thread a call, while our own threads call it.

    The limit belongs to the process: the first to enter sets it and the last to leave takes it
    back, else two callers could restore each other's limit for good.
    """
    holder = object()

    def change() -> None:
        global _before, _libraries
        from threadpoolctl import ThreadpoolController

        with _lock:
            _holders.add(holder)
            if _libraries is None:
                _libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            if _before is None:
                _before = [(library, library.num_threads) for library in _libraries]
                for library in _libraries:
                    library.set_num_threads(1)

    def restore() -> None:
        global _before
        with _lock:
            _holders.discard(holder)
            if not _holders and _before is not None:
                for library, threads in _before:
                    library.set_num_threads(threads)
                _before = None

    return Limit(change, restore)
