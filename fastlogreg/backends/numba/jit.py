"""Every compile option and the disk cache of the Numba backend.

No other module sets a compile option (``tests/test_architecture.py`` checks it).
The kinds of function and their decorators:

``exact``
    Scalar mathematics whose roundings matter. No ``reassoc``: it would remove the
    add-and-subtract rounding of ``exp_neg`` without a word.
``stage``
    Loops over one block of rows. Sums may be reassociated, which is what lets LLVM
    vectorize them. NaN and infinity keep their meaning: ``nnan`` and ``ninf`` are
    never allowed.
``inlined``
    A stage that LLVM copies into its caller, for what is called for each row.
``borrowing`` / ``allocating``
    What puts stages together. The three so far make no array but views of their
    arguments; what needs memory of its own is ``allocating``.
``merged``, ``merged_exact``
    Parts of one of the above, copied into it before anything is compiled: a level of calls less.
    They get the roundings of what they are copied into.
``by_storage``
    A stage with one form for dense rows and one for CSR, chosen while compiling.
``by_outputs``
    A part of the mini-batch loop with one form for one margin a row and one for softmax.
``kernel`` / ``parallel_kernel``
    What Python calls. Cached on disk, without the GIL. A :class:`Kernel` compiles
    one function object for each storage of X: then each cache file holds one signature.

``error_model="numpy"`` throughout: the Python model puts a branch before every
division, which stops vectorization.

The cache
---------
Numba looks at the file of the kernel alone, so that after an edit of ``formulas.py``
the machine code of ``kernels.py`` would be stale. Our files therefore live in a folder
named by a hash of all sources under this folder, of the versions of Numba and llvmlite and of the
processor. Numba also numbers the files of one function in the order of its signatures,
and two processes that compile different signatures at once can store one under the
name of the other; one signature a function leaves nothing to confuse.

Machine code from a file is loaded without what only a compilation needs (:class:`_Cache`).

The folder is the first writable of ``$NUMBA_CACHE_DIR/fastlogreg``, the user's cache
folder, and ``__pycache__`` beside this file. Where none is writable, nothing is cached.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import config, types
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from numba.extending import overload

from fastlogreg.backends.numba.wide import WideCompiler

_EXACT = {"contract", "nsz"}
_REDUCING = {"reassoc", "contract", "nsz", "arcp"}
_ONLY_PRANGE = {
    "comprehension": False,
    "reduction": False,
    "inplace_binop": False,
    "setitem": False,
    "numpy": False,
    "stencil": False,
    "fusion": False,
    "prange": True,
}

# Numba optimizes a function anew, with all that it calls, at each level of calls and for each
# entry point that it makes. Nobody calls an inner function from C, so none is made for it. (None
# for Python would save another 0.9 s of 12.8, and crash whoever calls one from there.)
_INNER = {"error_model": "numpy", "no_cfunc_wrapper": True}

# Without reference counts (as in Numba's own mergesort): with them each level of calls
# costs two atomic additions an array, 0.5 us a block, a quarter of the time at d = 50.
_BORROWING = {"_nrt": False, **_INNER}

_PROCESSOR = config.CPU_NAME or llvm.get_host_cpu_name()
# Emerald Rapids: loss and gradient take 10 % less at 1,000 x 10 and 10,000 x 20, 25 % at 1e6 x 2.
_WIDE = {"icelake-server", "sapphirerapids", "emeraldrapids", "graniterapids"}
_VECTORIZED = {**_BORROWING, **({"pipeline_class": WideCompiler} if _PROCESSOR in _WIDE else {})}
_STAGE = {"fastmath": _REDUCING, **_VECTORIZED}

#: Whether vectors of 512 bits are written out: as above, and where LLVM takes them by itself.
WIDE_VECTORS = _PROCESSOR in _WIDE | {"znver4", "znver5"}

#: Whether to ask for rows before they are needed, where they are read in order: AMD's processors do
#: it better by themselves. A constant in machine code, which is kept by processor.
PREFETCHES = not _PROCESSOR.startswith("znver")

exact = numba.njit(fastmath=_EXACT, **_VECTORIZED)
stage = numba.njit(**_STAGE)
inlined = numba.njit(forceinline=True, **_STAGE)  # by LLVM: arrays are passed on at 7 words each
borrowing = numba.njit(**_BORROWING)
allocating = numba.njit(**_INNER)
merged = numba.njit(inline="always", **_INNER)
merged_exact = numba.njit(inline="always", fastmath=_EXACT, **_BORROWING)


def by_storage(
    dense: Any, csr: Any, *, allocates: bool = False, is_merged: bool = False
) -> Callable[..., Any]:
    """Make one stage of two forms, plain functions of the same arguments, X first.

    An array X gets ``dense``, a tuple (:class:`.stages.csr.Csr`) gets ``csr``.

    With ``is_merged`` it is copied into its caller, which must be ``borrowing``; sums of its own
    keep their order then.
    """
    how: dict[str, Any] = {"inline": "always"} if is_merged else {}
    options = _BORROWING if is_merged else _STAGE
    return _chosen(
        lambda X: csr if isinstance(X, tuple) else dense,
        lambda X: csr if isinstance(X, types.BaseTuple) else dense,
        _INNER if allocates else options,
        **how,
    )


def by_outputs(
    one: Any, several: Any, *, allocates: bool = False, is_merged: bool = False
) -> Callable[..., Any]:
    """Make one function of two forms, plain functions of the same arguments, sums first.

    Sums of two dimensions (:class:`.minibatch.batches.Epoch`) get ``one``: one margin a row; of
    three ``several``.

    With ``is_merged`` it is copied into its caller, which must be ``borrowing``: in one that counts
    references, views that a ``borrowing`` function returned would be released without having been
    counted.
    """

    def choose(sums: Any) -> Any:
        return one if sums.ndim == 2 else several

    if is_merged:
        return _chosen(choose, choose, _BORROWING, inline="always")
    return _chosen(choose, choose, _INNER if allocates else _BORROWING)


def _chosen(of_value: Any, of_type: Any, options: dict[str, Any], **how: Any) -> Callable[..., Any]:
    """Return a function that passes its arguments on to what the first one chooses."""

    def choose(first: Any, *rest: Any) -> Any:
        return of_value(first)(first, *rest)

    if not config.DISABLE_JIT:

        @overload(choose, jit_options=options, strict=False, **how)  # type: ignore[untyped-decorator]
        def _typed(first: Any, *rest: Any) -> Any:
            return of_type(first)

    return choose


@cache
def source_hash() -> str:
    """Return a hash of everything that decides the machine code, as 16 hex digits."""
    digest = hashlib.sha256()
    tree = Path(__file__).parent
    for name in sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*.py")):
        digest.update(name.encode() + b"\0" + (tree / name).read_bytes() + b"\0")
    for fact in (
        numba.__version__,
        llvmlite.__version__,
        _PROCESSOR,
        config.CPU_FEATURES or llvm.get_host_cpu_features().flatten(),
        config.OPT,
        config.BOUNDSCHECK,
    ):
        digest.update(str(fact).encode() + b"\0")
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _candidates() -> list[Callable[[], Path]]:
    return [
        *([lambda: Path(config.CACHE_DIR) / "fastlogreg"] if config.CACHE_DIR else []),
        lambda: _user_cache() / "fastlogreg",
        lambda: Path(__file__).parent / "__pycache__",
    ]


@cache
def cache_folder() -> Path | None:
    """Return the folder of this build's machine code, or None where none is writable."""
    for candidate in _candidates():
        try:
            folder = candidate() / source_hash()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except (OSError, RuntimeError):  # RuntimeError: there is no home folder
            continue
        return folder
    return None


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, loading machine code without the tables of its compiler.

    Numba imports all that it can compile and fills its registries before it looks into a file:
    0.3 s, most of a first fit. What machine code calls is the runtime of reference counts, and a
    compilation, where one is needed after all, fills the registries itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function of a signature from its file; None where there is none."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    folder = cache_folder()
    if folder is None or config.DISABLE_JIT:
        return numba.njit(
            function, error_model="numpy", nogil=True, no_cfunc_wrapper=True, **options
        )
    # Numba reads the folder while it decorates, and never again.
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        compiled = numba.njit(
            function, error_model="numpy", nogil=True, cache=True, no_cfunc_wrapper=True, **options
        )
        compiled._cache = _Cache(compiled.py_func)
    finally:
        config.CACHE_DIR = before
    return compiled


class Kernel:
    """A function that Python calls, compiled for one storage of X at a time.

    ``kernel[code](...)`` calls it; the code holds the characters of X's dtypes: one for an array
    ("d" or "f"), two for CSR ("di": float64 values, int32 indices). All arguments but X have the
    same types in every call, so that each entry has one signature; where they have others, a word
    for them follows a colon ("di:classes").

    The first call compiles (or loads). Later ones go to the machine code at once, without asking
    again of which types the arguments are (3 to 5 of 7 us): so arrays must be C-contiguous and of
    the dtypes of the first call. With ``NUMBA_BOUNDSCHECK`` each call asks.
    """

    made: ClassVar[list["Kernel"]] = []

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        assert isinstance(function, FunctionType)
        self.function = function
        self.options = options
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._entries: dict[str, Any] = {}
        self._compiled: dict[str, Any] = {}
        self._address: dict[str, int] = {}
        self.made.append(self)

    def __getitem__(self, code: str) -> Any:
        entry = self._entries.get(code)
        if entry is not None:
            return entry
        compiled = self._compiled.get(code)
        if compiled is None:
            source = self.function
            copy = FunctionType(source.__code__, source.__globals__, source.__name__)
            copy.__module__ = source.__module__
            chars, _, variant = code.partition(":")
            storage = "_".join([*(str(np.dtype(char)) for char in chars), *variant.split()])
            copy.__qualname__ = f"{source.__qualname__}_{storage}"  # names the cache file
            compiled = self._compiled.setdefault(code, _compile(copy, **self.options))
        elif not (config.DISABLE_JIT or config.BOUNDSCHECK):
            ready = list(compiled.overloads.values())
            if len(ready) == 1:
                self._entries[code] = ready[0].entry_point
        return compiled

    def signatures(self) -> dict[str, list[Any]]:
        """Return the signatures that were compiled, by code: one for each."""
        if config.DISABLE_JIT:
            return {}
        return {code: compiled.signatures for code, compiled in self._compiled.items()}

    def address(self, code: str, *arguments: Any) -> Any:
        """Return where the machine code is, for :func:`.intrinsics.call_at`.

        ``arguments`` must ask it to do nothing: it is called with them if it isn't compiled yet.
        """
        found = self._address.get(code)
        if found is None:
            call = self[code]
            if config.DISABLE_JIT:
                return call
            call(*arguments)
            compiled = self._compiled[code]
            (made,) = compiled.overloads.values()
            found = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
            self._address[code] = found
        return found


def kernel(function: Callable[..., Any]) -> Kernel:
    """Make a kernel that runs in the thread that calls it."""
    return Kernel(function)


def parallel_kernel(function: Callable[..., Any]) -> Kernel:
    """Make a kernel whose ``prange`` runs on Numba's threads."""
    return Kernel(function, parallel=_ONLY_PRANGE)


# What the kernels' own modules need of Numba, so that only this module names it.
prange = numba.prange
