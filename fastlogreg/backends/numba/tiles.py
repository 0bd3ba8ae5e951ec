"""Products of rows with the entries of K classes, in tiles of sums that stay in registers.

A tile is some rows (or columns) of X by up to three vectors of classes: each value of X is loaded
once for all classes of the tile, each vector of parameters once for all its rows. So X is used
where it lies, and nothing is transposed but the K margins of a row. Where processors have 512 bits
a tile has 8 x 24 sums, else 4 x 12.

All arrays are float64 and C-contiguous. The second dimension of parameters, margins and sums is K,
padded by :func:`padded_classes`.
"""

from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from fastlogreg.backends.numba.intrinsics import ask_for
from fastlogreg.backends.numba.jit import PREFETCHES, WIDE_VECTORS
from fastlogreg.backends.numba.vectors import splat, steps, transposed

LANES = 8 if WIDE_VECTORS else 4
_HALF = 4  # lanes where there are no more classes
_MOST = 3  # vectors of classes in a tile
_RUN = 32  # rows that are summed one after the other
# rows in a tile, by its vectors: 32 registers hold 24 sums, 16 hold 12
_TILE_ROWS = (0, 8, 8, 8) if WIDE_VECTORS else (0, 8, 4, 4)

# Where processors want to be told what comes: of short rows those some rows ahead in the first
# product, of long ones the next block's in the second (one thread of Emerald Rapids, margins of
# 100,000 x 54: 7 to 2.6 ms; loss and gradient of 10,000 x 500, K = 10: 6.6 to 5.9).
_SHORT, _AHEAD, _LINE = 128, 16, 8

_DOUBLE, _INDEX, _I32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_FREE = ("contract", "nsz")


def padded_classes(K: int, *, sparse: bool) -> int:
    """Return the number of classes that arrays have room for.

    What sparse rows meet is not in the first caches: it is as small as can be.
    """
    lanes = _HALF if sparse or K <= _HALF else LANES
    return -(-K // lanes) * lanes


class _Matrix:
    """An array of two dimensions."""

    def __init__(self, context, builder, kind, array):
        made = context.make_array(kind)(context, builder, array)
        self.builder, self.data = builder, made.data
        self.rows, self.columns = cgutils.unpack_tuple(builder, made.shape, 2)

    def at(self, row, column):
        """Return a pointer to an entry."""
        offset = self.builder.add(self.builder.mul(row, self.columns), column)
        return self.builder.gep(self.data, [offset])


class _Sums:
    """Sums of some rows by some vectors, which the compiler keeps in registers."""

    def __init__(self, builder, rows, vectors, lanes):
        self.builder, self.lanes = builder, lanes
        self.kind = ir.VectorType(_DOUBLE, lanes)
        self.zero = ir.Constant(self.kind, [0.0] * lanes)
        self.places = [
            [cgutils.alloca_once_value(builder, self.zero) for _ in range(vectors)]
            for _ in range(rows)
        ]

    def vector(self, pointer, c=0):
        """Return a pointer to the c-th vector from a pointer on."""
        at = self.builder.gep(pointer, [_INDEX(c * self.lanes)])
        return self.builder.bitcast(at, self.kind.as_pointer())

    def load(self, pointer, c=0):
        return self.builder.load(self.vector(pointer, c), align=8)

    def begin(self, vectors):
        for row in self.places:
            for place, vector in zip(row, vectors, strict=True):
                self.builder.store(vector, place)

    def grow(self, values, vectors):
        """Add the outer product of values, given by their pointers, and vectors."""
        builder = self.builder
        for row, value in zip(self.places, values, strict=True):
            factor = splat(builder, builder.load(value), self.lanes)
            for place, vector in zip(row, vectors, strict=True):
                product = builder.fmul(factor, vector, flags=_FREE)
                builder.store(builder.fadd(product, builder.load(place), flags=_FREE), place)

    def add(self, terms):
        """Add vectors, rows of them."""
        for row, vectors in zip(self.places, terms, strict=True):
            for place, vector in zip(row, vectors, strict=True):
                total = self.builder.fadd(self.builder.load(place), vector, flags=_FREE)
                self.builder.store(total, place)

    def values(self):
        """Return the vectors, rows of them."""
        return [[self.builder.load(place) for place in row] for row in self.places]

    def write(self, row, pointer, *, adds):
        builder = self.builder
        for c, place in enumerate(self.places[row]):
            total = builder.load(place)
            if adds:
                total = builder.fadd(total, self.load(pointer, c), flags=_FREE)
            builder.store(total, self.vector(pointer, c), align=8)


@contextmanager
def _runs(builder, n, totals):
    """Return first and last of some of n rows, and sums for them: long sums lose digits."""
    run = _Sums(builder, len(totals.places), len(totals.places[0]), totals.lanes)
    with steps(builder, _INDEX(0), n, _RUN) as (first, _):
        run.begin([run.zero] * len(run.places[0]))
        yield first, _smaller(builder, n, builder.add(first, _INDEX(_RUN))), run
        totals.add(run.values())


def _smaller(builder, a, b):
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _is_short(builder, X):
    return builder.icmp_signed("<=", X.columns, _INDEX(_SHORT))


def _panels(builder, width, work, most=_MOST):
    """Call ``work(first, vectors, lanes)`` for panels of classes, as loops in machine code."""
    vectors = builder.sdiv(width, _INDEX(LANES))
    whole = builder.sdiv(vectors, _INDEX(most))
    with steps(builder, _INDEX(0), whole, 1) as (panel, _):
        work(builder.mul(panel, _INDEX(most * LANES)), most, LANES)
    left = builder.sub(vectors, builder.mul(whole, _INDEX(most)))
    first = builder.mul(whole, _INDEX(most * LANES))
    for some in range(1, most):
        with builder.if_then(builder.icmp_signed("==", left, _INDEX(some))):
            work(first, some, LANES)
    if LANES > _HALF:
        with builder.if_then(builder.icmp_signed("==", width, _INDEX(_HALF))):
            work(_INDEX(0), 1, _HALF)


def _set_products(_context, X, lo, n, intercept, W, B):
    """Set B[:n] = [1, X[lo : lo + n]] @ W, or without the ones where there is no intercept."""

    def generate(context, builder, signature, arguments):
        X, W, B = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 4, 5))
        lo, n, intercept = arguments[1:4]
        last = builder.sub(n, _INDEX(1))

        def panel(first, vectors, lanes):
            rows = _TILE_ROWS[vectors]
            sums = _Sums(builder, rows, vectors, lanes)
            begins = builder.icmp_signed(">", intercept, _INDEX(0))
            ones = W.at(_INDEX(0), first)
            start = [builder.select(begins, sums.load(ones, c), sums.zero) for c in range(vectors)]
            with steps(builder, _INDEX(0), n, rows) as (i, _):
                # the last tile does the last row more than once
                here = [_smaller(builder, builder.add(i, _INDEX(a)), last) for a in range(rows)]
                values = [X.at(builder.add(lo, k), _INDEX(0)) for k in here]
                sums.begin(start)
                if PREFETCHES:
                    later = X.at(builder.add(lo, builder.add(i, _INDEX(_AHEAD))), _INDEX(0))
                    size = builder.mul(X.columns, _INDEX(rows))
                    asked = builder.select(_is_short(builder, X), size, _INDEX(0))
                    with steps(builder, _INDEX(0), asked, _LINE) as (k, _):
                        ask_for(builder, builder.gep(later, [k]))
                with steps(builder, _INDEX(0), X.columns, 1) as (j, _):
                    w = W.at(builder.add(intercept, j), first)
                    weights = [sums.load(w, c) for c in range(vectors)]
                    sums.grow([builder.gep(value, [j]) for value in values], weights)
                for a, k in enumerate(here):
                    sums.write(a, B.at(k, first), adds=False)

        _panels(builder, W.columns, panel)
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, types.intp, W, B), generate


def _products_added(X, B, G, *, upper):
    def generate(context, builder, signature, arguments):
        X, B, G = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 4, 5))
        lo, n, intercept = arguments[1:4]
        after = builder.select(_is_short(builder, X), lo, builder.add(lo, n))

        def panel(first, vectors, lanes):
            columns = _TILE_ROWS[vectors]
            ones = _Sums(builder, 1, vectors, lanes)
            with builder.if_then(builder.icmp_signed(">", intercept, _INDEX(0))):
                ones.begin([ones.zero] * vectors)
                with (
                    _runs(builder, n, ones) as (begin, end, run),
                    steps(builder, begin, end, 1) as (i, _),
                ):
                    b = B.at(i, first)
                    run.add([[run.load(b, c) for c in range(vectors)]])
                ones.write(0, G.at(_INDEX(0), first), adds=True)
            stop = X.columns
            if upper:
                beyond = builder.add(first, _INDEX(vectors * lanes))
                stop = _smaller(builder, stop, builder.sub(beyond, intercept))
            few = builder.icmp_signed("<", X.columns, _INDEX(columns))
            with builder.if_else(few) as (one_by_one, by_tile):
                with one_by_one, steps(builder, _INDEX(0), stop, 1) as (j, _):
                    tile(first, j, j, _Sums(builder, 1, vectors, lanes))
                with by_tile, steps(builder, _INDEX(0), stop, columns) as (j, _):
                    # the last tile does some columns for the second time, and drops them
                    k = _smaller(builder, j, builder.sub(X.columns, _INDEX(columns)))
                    tile(first, j, k, _Sums(builder, columns, vectors, lanes))

        def tile(first, j, first_column, sums):
            rows, vectors = len(sums.places), len(sums.places[0])
            sums.begin([sums.zero] * vectors)
            with (
                _runs(builder, n, sums) as (begin, end, run),
                steps(builder, begin, end, 1) as (i, _),
            ):
                row = builder.add(lo, i)
                if PREFETCHES and not upper:
                    ask_for(builder, X.at(builder.add(after, i), j))
                b, x = B.at(i, first), X.at(row, first_column)
                terms = [run.load(b, c) for c in range(vectors)]
                run.grow([builder.gep(x, [_INDEX(a)]) for a in range(rows)], terms)
            for a in range(len(sums.places)):
                k = builder.add(first_column, _INDEX(a))
                with builder.if_then(builder.icmp_signed(">=", k, j)):
                    sums.write(a, G.at(builder.add(intercept, k), first), adds=True)

        _panels(builder, G.columns, panel, 1 if upper else _MOST)
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, types.intp, B, G), generate


def _add_products(_context, X, lo, n, intercept, B, G):
    """Do G += [1, X[lo : lo + n]]' @ B[:n], without the ones where there is no intercept."""
    return _products_added(X, B, G, upper=False)


def _add_upper_products(_context, X, lo, n, intercept, B, G):
    """Do the same on and above the diagonal, and at some places below it."""
    return _products_added(X, B, G, upper=True)


def _set_scaled(_context, X, lo, n, intercept, h, S):
    """Set the rows S[:n] to h times [1, X[lo : lo + n]], or without the ones."""

    def generate(context, builder, signature, arguments):
        X, S = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 5))
        h = context.make_array(signature.args[4])(context, builder, arguments[4]).data
        lo, n, intercept = arguments[1:4]
        sums = _Sums(builder, 0, 0, LANES)
        whole = builder.sub(X.columns, builder.srem(X.columns, _INDEX(LANES)))
        none = builder.icmp_signed("==", whole, _INDEX(0))
        with steps(builder, _INDEX(0), n, 1) as (i, _):
            value = builder.load(builder.gep(h, [i]))
            factor = splat(builder, value, LANES)
            given, scaled = X.at(builder.add(lo, i), _INDEX(0)), S.at(i, intercept)

            def scale(j, given=given, scaled=scaled, factor=factor):
                product = builder.fmul(sums.load(builder.gep(given, [j])), factor, flags=_FREE)
                place = sums.vector(builder.gep(scaled, [j]))
                builder.store(product, place, align=8)

            with builder.if_then(builder.icmp_signed(">", intercept, _INDEX(0))):
                builder.store(value, S.at(i, _INDEX(0)))
            with steps(builder, _INDEX(0), whole, LANES) as (j, _):
                scale(j)
            with builder.if_else(none) as (few, many):
                with few, steps(builder, _INDEX(0), X.columns, 1) as (j, _):
                    x = builder.load(builder.gep(given, [j]))
                    place = builder.gep(scaled, [j])
                    builder.store(builder.fmul(x, value, flags=_FREE), place)
                with many:
                    scale(builder.sub(X.columns, _INDEX(LANES)))  # some for the second time
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, types.intp, h, S), generate


def _add_multiple(_context, x, A, k, B, i):
    """Do B[i] += x A[k]; rows of A and B are padded to a multiple of 4."""

    def generate(context, builder, signature, arguments):
        A, B = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in (1, 3))
        x, k, i = arguments[0], arguments[2], arguments[4]
        given, grown = A.at(k, _INDEX(0)), B.at(i, _INDEX(0))
        whole = builder.sub(A.columns, builder.srem(A.columns, _INDEX(LANES)))

        def grow(c, lanes):
            one = _Sums(builder, 0, 0, lanes)
            place = one.vector(builder.gep(grown, [c]))
            product = builder.fmul(
                one.load(builder.gep(given, [c])), splat(builder, x, lanes), flags=_FREE
            )
            total = builder.fadd(builder.load(place, align=8), product, flags=_FREE)
            builder.store(total, place, align=8)

        with steps(builder, _INDEX(0), whole, LANES) as (c, _):
            grow(c, LANES)
        if LANES > _HALF:
            with builder.if_then(builder.icmp_signed("<", whole, A.columns)):
                grow(whole, _HALF)
        return context.get_dummy_value()

    return types.void(types.float64, A, types.intp, B, types.intp), generate


def _set_rows(_context, XT, lo, n, B):
    """Set B[:n] = XT[:, lo : lo + n]'; neither n nor the columns of B are fewer than LANES."""

    def generate(context, builder, signature, arguments):
        XT, B = (_Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 3))
        lo, n = arguments[1:3]
        of_X = ir.VectorType(XT.data.type.pointee, LANES)
        of_B = ir.VectorType(_DOUBLE, LANES)
        size = _INDEX(LANES)
        with steps(builder, _INDEX(0), XT.rows, LANES) as (j, _):
            # the last square of a row or column copies some for the second time
            first = _smaller(builder, j, builder.sub(XT.rows, size))
            with steps(builder, _INDEX(0), n, LANES) as (i, _):
                row = _smaller(builder, i, builder.sub(n, size))
                square = []
                for a in range(LANES):
                    place = XT.at(builder.add(first, _INDEX(a)), builder.add(lo, row))
                    place = builder.bitcast(place, of_X.as_pointer())
                    vector = builder.load(place, align=4)
                    square.append(vector if of_X == of_B else builder.fpext(vector, of_B))
                for a, column in enumerate(transposed(builder, square)):
                    place = B.at(builder.add(row, _INDEX(a)), first)
                    builder.store(column, builder.bitcast(place, of_B.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(XT, types.intp, types.intp, B), generate


def _one_of(_context, condition, X, Y):
    """Return X where the condition holds, else Y; Y where X is of another type."""

    def generate(context, builder, signature, arguments):
        condition, X, Y = arguments
        same = signature.args[1] == signature.args[2]
        chosen = builder.select(condition, X, Y) if same else Y
        return impl_ret_borrowed(context, builder, signature.return_type, chosen)

    return Y(types.boolean, X, Y), generate


# --- the same where nothing is compiled (NUMBA_DISABLE_JIT) --------------------------------


def _plain_set_products(X, lo, n, intercept, W, B):
    B[:n] = X[lo : lo + n] @ W[intercept : intercept + X.shape[1]]
    if intercept:
        B[:n] += W[0]


def _plain_add_products(X, lo, n, intercept, B, G):
    G[intercept : intercept + X.shape[1]] += X[lo : lo + n].T @ B[:n]
    if intercept:
        G[0] += B[:n].sum(axis=0)


def _plain_set_scaled(X, lo, n, intercept, h, S):
    S[:n, intercept : intercept + X.shape[1]] = X[lo : lo + n] * h[:n, None]
    if intercept:
        S[:n, 0] = h[:n]


def _plain_add_multiple(x, A, k, B, i):
    B[i] += x * A[k]


def _plain_set_rows(XT, lo, n, B):
    B[:n] = XT[:, lo : lo + n].T


def _plain_one_of(condition, X, Y):
    return X if condition and X.dtype == np.float64 else Y


set_products = _plain_set_products if config.DISABLE_JIT else intrinsic(_set_products)
add_products = _plain_add_products if config.DISABLE_JIT else intrinsic(_add_products)
add_upper_products = _plain_add_products if config.DISABLE_JIT else intrinsic(_add_upper_products)
set_scaled = _plain_set_scaled if config.DISABLE_JIT else intrinsic(_set_scaled)
add_multiple = _plain_add_multiple if config.DISABLE_JIT else intrinsic(_add_multiple)
set_rows = _plain_set_rows if config.DISABLE_JIT else intrinsic(_set_rows)
one_of = _plain_one_of if config.DISABLE_JIT else intrinsic(_one_of)
