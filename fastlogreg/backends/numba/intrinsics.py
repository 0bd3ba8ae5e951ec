"""Machine instructions that Numba has no name for."""

import sys
import threading
import time

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

_FOR_READING, _ALL_CACHE_LEVELS, _DATA = 0, 3, 1


def ask_for(builder, pointer):
    """Ask for the cache line that a pointer is in."""
    address = builder.bitcast(pointer, ir.IntType(8).as_pointer())
    i32 = ir.IntType(32)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [address.type, i32, i32, i32]),
        "llvm.prefetch.p0",
    )
    builder.call(function, [address, i32(_FOR_READING), i32(_ALL_CACHE_LEVELS), i32(_DATA)])


def _prefetch(_context, array, offset):
    """Ask for the cache line of element ``offset`` of a contiguous array.

    A hint: an offset outside the array is harmless.
    """

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        ask_for(builder, builder.gep(data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _freeze(_context, array):
    """Return the array under its read-only type, so that both kinds meet in one variable."""

    def generate(context, builder, signature, arguments):
        return impl_ret_borrowed(context, builder, signature.return_type, arguments[0])

    return array.copy(readonly=True)(array), generate


def _call_at(_context, address, arguments):
    """Call the machine code at an address: a compiled function of these arguments, without result.

    Return whether it raised something, which is then lost. Integers are passed as int64; nobody
    checks that the function has this signature.
    """
    parts = [types.int64 if isinstance(t, types.Integer) else t for t in arguments.types]

    def generate(context, builder, signature, values):
        convention = context.call_conv
        kind = convention.get_function_type(types.none, parts)
        function = builder.inttoptr(values[0], kind.as_pointer())
        given = [
            context.cast(builder, value, of, to)
            for value, of, to in zip(
                cgutils.unpack_tuple(builder, values[1]),
                signature.args[1].types,
                parts,
                strict=True,
            )
        ]
        status, _ = convention.call_function(builder, function, types.none, parts, given)
        return status.is_error

    return types.boolean(types.intp, arguments), generate


# --- words that several threads write ---------------------------------------------------

_WORD = ir.IntType(64)
_BYTES = 8


def _word_address(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _atomic_load(_context, array, offset):
    """Return element ``offset`` of an int64 array; what was written before it is seen."""

    def generate(context, builder, signature, arguments):
        address = _word_address(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(address, "acquire", _BYTES)

    return types.int64(array, types.intp), generate


def _atomic_store(_context, array, offset, value):
    """Set element ``offset`` of an int64 array; all that was written before is seen with it."""

    def generate(context, builder, signature, arguments):
        address = _word_address(context, builder, signature.args[0], *arguments[:2])
        builder.store_atomic(arguments[2], address, "release", _BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


def _compare_exchange(_context, array, offset, expected, value):
    """Set element ``offset`` to ``value`` if it is ``expected``; return whether it was."""

    def generate(context, builder, signature, arguments):
        address = _word_address(context, builder, signature.args[0], *arguments[:2])
        pair = builder.cmpxchg(address, arguments[2], arguments[3], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), generate


def _pause(_context):
    """Tell the processor that this thread waits in a loop."""
    processor = llvm.get_process_triple().split("-")[0]

    def generate(context, builder, signature, arguments):
        if processor == "x86_64":
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), []
            )
        elif processor in ("aarch64", "arm64"):
            i32 = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [i32])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint"), [i32(1)]
            )
        return context.get_dummy_value()

    return types.void(), generate


def _give_way(_context):
    """Let another thread have this core, if one waits for it."""
    name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate


def _no_prefetch(array, offset):
    """Stand in for prefetch where nothing is compiled (NUMBA_DISABLE_JIT)."""


def _no_freeze(array):
    """Stand in for freeze where nothing is compiled."""
    return array


def _plain_load(array, offset):
    """Stand in for atomic_load where nothing is compiled: one thread runs at a time."""
    return int(array[offset])


def _plain_store(array, offset, value):
    """Stand in for atomic_store where nothing is compiled."""
    array[offset] = value


def _plain_call(function, arguments):
    """Stand in for call_at where nothing is compiled: the address is the function."""
    function(*arguments)
    return False


_exchanging = threading.Lock()


def _plain_exchange(array, offset, expected, value):
    """Stand in for compare_exchange where nothing is compiled."""
    with _exchanging:
        was = array[offset] == expected
        if was:
            array[offset] = value
        return was


def _sleep():
    """Stand in for pause and give_way where nothing is compiled."""
    time.sleep(0)


prefetch = _no_prefetch if config.DISABLE_JIT else intrinsic(_prefetch)
freeze = _no_freeze if config.DISABLE_JIT else intrinsic(_freeze)
call_at = _plain_call if config.DISABLE_JIT else intrinsic(_call_at)
atomic_load = _plain_load if config.DISABLE_JIT else intrinsic(_atomic_load)
atomic_store = _plain_store if config.DISABLE_JIT else intrinsic(_atomic_store)
compare_exchange = _plain_exchange if config.DISABLE_JIT else intrinsic(_compare_exchange)
pause = _sleep if config.DISABLE_JIT else intrinsic(_pause)
give_way = _sleep if config.DISABLE_JIT else intrinsic(_give_way)
