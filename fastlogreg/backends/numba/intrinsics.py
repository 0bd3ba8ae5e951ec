"""Machine instructions that Numba has no name for."""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

_FOR_READING, _ALL_CACHE_LEVELS, _DATA = 0, 3, 1


def _prefetch(_context, array, offset):
    """Ask for the cache line of element ``offset`` of a contiguous array.

    A hint: an offset outside the array is harmless.
    """

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address.type, i32, i32, i32]),
            "llvm.prefetch.p0",
        )
        builder.call(function, [address, i32(_FOR_READING), i32(_ALL_CACHE_LEVELS), i32(_DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _freeze(_context, array):
    """Return the array under its read-only type, so that both kinds meet in one variable."""

    def generate(context, builder, signature, arguments):
        return impl_ret_borrowed(context, builder, signature.return_type, arguments[0])

    return array.copy(readonly=True)(array), generate


def _no_prefetch(array, offset):
    """Stand in for prefetch where nothing is compiled (NUMBA_DISABLE_JIT)."""


def _no_freeze(array):
    """Stand in for freeze where nothing is compiled."""
    return array


prefetch = _no_prefetch if config.DISABLE_JIT else intrinsic(_prefetch)
freeze = _no_freeze if config.DISABLE_JIT else intrinsic(_freeze)
