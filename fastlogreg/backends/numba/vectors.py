"""Sums over the columns of a few rows at once, in vectors that are written out.

LLVM makes loops over columns into vectors by itself, but for long ones: it takes 16 columns in a
step and what is left one by one, and asks before each loop whether arrays overlap. At 20 columns
margins took 2.1 ns a row so and sums of rows 4.0, where these take 1.3 and 1.2 (Zen 4, in cache).

Rows are of a C-ordered array of at least :data:`LANES` columns, float32 or float64; vectors beside
them and all sums are float64. Columns beyond the last whole vector are read within the last
:data:`LANES` of their row, and what was done already is left out again: nothing beside the row is
read, and an infinite value stays in its own sum.
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 4
_CHAINS = 4  # sums that grow side by side: an addition waits for the one before it

_DOUBLE, _INDEX, _I32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_FREE = ("contract", "nsz")


# --- what the builder lacks ---------------------------------------------------------------


def _lanes(builder, vector, chosen):
    """Return some lanes of a vector, a vector too."""
    places = ir.Constant(ir.VectorType(_I32, len(chosen)), chosen)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)


def splat(builder, value, lanes=LANES):
    """Return a vector with a value in all lanes."""
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    return _lanes(builder, builder.insert_element(nothing, value, _I32(0)), [0] * lanes)


def _place(builder, pointer, offset):
    vector = ir.VectorType(pointer.type.pointee, LANES)
    return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())


def _load(builder, pointer, offset):
    """Return LANES values as float64."""
    is_double = pointer.type.pointee == _DOUBLE
    loaded = builder.load(_place(builder, pointer, offset), align=8 if is_double else 4)
    return loaded if is_double else builder.fpext(loaded, _VECTOR)


def _plus(builder, a, b):
    return builder.fadd(a, b, flags=_FREE)


def _times(builder, a, b):
    return builder.fmul(a, b, flags=_FREE)


def _add_to(builder, pointer, offset, value):
    place = _place(builder, pointer, offset)
    builder.store(_plus(builder, builder.load(place, align=8), value), place, align=8)


def _grow(builder, total, value):
    builder.store(_plus(builder, builder.load(total), value), total)


def _sum(builder, values):
    """Return the sum of a power of two of values, in pairs."""
    while len(values) > 1:
        values = [_plus(builder, a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def _sum_of_lanes(builder, vector):
    n = LANES
    while n > 1:
        n //= 2
        halves = [_lanes(builder, vector, list(range(first, first + n))) for first in (0, n)]
        vector = _sum(builder, halves)
    return builder.extract_element(vector, _I32(0))


def _halves(builder, a, b, *chosen):
    """Return vectors of lanes of a and b, one for each list of them."""
    places = [ir.Constant(ir.VectorType(_I32, len(lanes)), lanes) for lanes in chosen]
    return [builder.shuffle_vector(a, b, lanes) for lanes in places]


def _sums_of_lanes(builder, vectors):
    """Return the sums of the lanes of each of LANES vectors, as a vector."""
    a, b, c, d = vectors
    ab = _sum(builder, _halves(builder, a, b, [0, 4, 2, 6], [1, 5, 3, 7]))
    cd = _sum(builder, _halves(builder, c, d, [0, 4, 2, 6], [1, 5, 3, 7]))
    return _sum(builder, _halves(builder, ab, cd, [0, 1, 4, 5], [2, 3, 6, 7]))


def transposed(builder, square):
    """Return the columns of some rows of as many values, a power of two."""
    square, half = list(square), 1
    while half < len(square):
        low = [k + (len(square) - half if k & half else 0) for k in range(len(square))]
        high = [k + (len(square) if k & half else half) for k in range(len(square))]
        for k in range(len(square)):
            if not k & half:
                pair = square[k], square[k + half]
                square[k], square[k + half] = _halves(builder, *pair, low, high)
        half *= 2
    return square


def _totals(builder, n):
    """Return places for n vectors of sums, which the compiler keeps in registers."""
    return [cgutils.alloca_once_value(builder, _ZERO) for _ in range(n)]


def steps(builder, first, last, step=LANES):
    """Return a loop over first, first + step and so on below last."""
    return cgutils.for_range_slice(builder, first, last, _INDEX(step), _INDEX, inc=True)


def _multiple(builder, n, step=LANES):
    """Return the largest multiple of step up to n."""
    return builder.sub(n, builder.srem(n, _INDEX(step)))


class _Rows:
    """The rows of an array: their number of columns, and pointers to them."""

    def __init__(self, context, builder, kind, array, d=None):
        made = context.make_array(kind)(context, builder, array)
        self.builder, self.data = builder, made.data
        self.stored = cgutils.unpack_tuple(builder, made.shape, 2)[1]
        self.d = self.stored if d is None else d
        self.whole = _multiple(builder, self.d)  # columns that fill vectors
        self.last = builder.sub(self.d, _INDEX(LANES))  # where the last vector begins

    def at(self, k):
        return self.builder.gep(self.data, [self.builder.mul(k, self.stored)])

    def where_left(self):
        """Return a block for what is left of the columns."""
        return self.builder.if_then(self.builder.icmp_signed("<", self.whole, self.d))

    def left_of(self, vector):
        """Return a vector of the last columns, with 0 where they fill vectors."""
        builder = self.builder
        done = builder.sub(self.whole, self.last)
        lanes = ir.Constant(ir.VectorType(_INDEX, LANES), list(range(LANES)))
        left = builder.icmp_signed(">=", lanes, splat(builder, done))
        return builder.select(left, vector, _ZERO)


def _vector(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).data


# --- the sums -----------------------------------------------------------------------------


def _products(builder, X, rows, w):
    """Return a vector for each row, whose lanes add up to its inner product with w."""
    chains = max(1, _CHAINS // len(rows))
    totals = [_totals(builder, chains) for _ in rows]

    def products(j):
        wj = _load(builder, w, j)
        return [_times(builder, _load(builder, row, j), wj) for row in rows]

    def grow(j, chain):
        for total, product in zip(totals, products(j), strict=True):
            _grow(builder, total[chain], product)

    first = _INDEX(0)
    if chains > 1:
        first = _multiple(builder, X.d, chains * LANES)
        with steps(builder, _INDEX(0), first, chains * LANES) as (j, _):
            for chain in range(chains):
                grow(builder.add(j, _INDEX(chain * LANES)), chain)
    with steps(builder, first, X.whole) as (j, _):
        grow(j, 0)
    with X.where_left():
        for total, product in zip(totals, products(X.last), strict=True):
            _grow(builder, total[0], X.left_of(product))
    return [_sum(builder, [builder.load(one) for one in total]) for total in totals]


def _dot(_context, X, k, w):
    """Return the inner product of row k with w."""

    def generate(context, builder, signature, arguments):
        X = _Rows(context, builder, signature.args[0], arguments[0])
        w = _vector(context, builder, signature.args[2], arguments[2])
        return _sum_of_lanes(builder, _products(builder, X, [X.at(arguments[1])], w)[0])

    return types.float64(X, types.intp, w), generate


def _set_margins(_context, X, which, w, b, z, i):
    """Set z[i : i + LANES] to the inner products of the rows ``which``, a tuple, with w, plus b."""

    def generate(context, builder, signature, arguments):
        X = _Rows(context, builder, signature.args[0], arguments[0])
        rows = [X.at(k) for k in cgutils.unpack_tuple(builder, arguments[1])]
        w = _vector(context, builder, signature.args[2], arguments[2])
        z = _vector(context, builder, signature.args[4], arguments[4])
        sums = _sums_of_lanes(builder, _products(builder, X, rows, w))
        margins = _plus(builder, sums, splat(builder, arguments[3]))
        builder.store(margins, _place(builder, z, arguments[5]), align=8)
        return context.get_dummy_value()

    return types.void(X, which, w, types.float64, z, types.intp), generate


def _set_columns(_context, X, which, lo, d, T, first, i):
    """Copy d columns from lo on of rows ``which``, a tuple of 4 or 8, at least LANES, to columns.

    T[first + j, i + a] = X[which[a], lo + j].
    """

    def generate(context, builder, signature, arguments):
        X = _Rows(context, builder, signature.args[0], arguments[0], arguments[3])
        rows = [
            builder.gep(X.at(k), [arguments[2]])
            for k in cgutils.unpack_tuple(builder, arguments[1])
        ]
        made = context.make_array(signature.args[4])(context, builder, arguments[4])
        width = cgutils.unpack_tuple(builder, made.shape, 2)[1]
        first, i = arguments[5:]

        def copy(j):
            for a in range(0, len(rows), LANES):
                square = [_load(builder, row, j) for row in rows[a : a + LANES]]
                at = builder.add(i, _INDEX(a))
                for lane, column in enumerate(transposed(builder, square)):
                    row = builder.add(first, builder.add(j, _INDEX(lane)))
                    offset = builder.add(builder.mul(row, width), at)
                    builder.store(column, _place(builder, made.data, offset), align=8)

        with steps(builder, _INDEX(0), X.whole) as (j, _):
            copy(j)
        with X.where_left():
            copy(X.last)  # some for the second time
        return context.get_dummy_value()

    return types.void(X, which, types.intp, types.intp, T, types.intp, types.intp), generate


def _add_rows(_context, X, which, factors, g):
    """Add the rows ``which``, 1 or 8, times their factors to g, in columns that fill vectors."""

    def generate(context, builder, signature, arguments):
        X = _Rows(context, builder, signature.args[0], arguments[0])
        rows = [X.at(k) for k in cgutils.unpack_tuple(builder, arguments[1])]
        factors = [splat(builder, r) for r in cgutils.unpack_tuple(builder, arguments[2])]
        g = _vector(context, builder, signature.args[3], arguments[3])
        with steps(builder, _INDEX(0), X.whole) as (j, _):
            terms = [
                _times(builder, _load(builder, row, j), factor)
                for row, factor in zip(rows, factors, strict=True)
            ]
            _add_to(builder, g, j, _sum(builder, terms))
        return context.get_dummy_value()

    return types.void(X, which, factors, g), generate


def _add_left(_context, X, where, n, r, g):
    """Add n rows times r to g in the columns that are left: the rows from ``where``, or in it."""

    def generate(context, builder, signature, arguments):
        of_X, of_where, _, of_r, of_g = signature.args
        X = _Rows(context, builder, of_X, arguments[0])
        n, r = arguments[2], _vector(context, builder, of_r, arguments[3])
        g = _vector(context, builder, of_g, arguments[4])

        def row(i):
            if isinstance(of_where, types.Integer):
                return X.at(builder.add(arguments[1], i))
            index = _vector(context, builder, of_where, arguments[1])
            return X.at(builder.load(builder.gep(index, [i])))

        def grow(total, i):
            factor = splat(builder, builder.load(builder.gep(r, [i])))
            _grow(builder, total, _times(builder, _load(builder, row(i), X.last), factor))

        with X.where_left():
            totals = _totals(builder, _CHAINS)
            whole = _multiple(builder, n, _CHAINS)
            with steps(builder, _INDEX(0), whole, _CHAINS) as (i, _):
                for chain, total in enumerate(totals):
                    grow(total, builder.add(i, _INDEX(chain)))
            with steps(builder, whole, n, 1) as (i, _):
                grow(totals[0], i)
            total = _sum(builder, [builder.load(one) for one in totals])
            _add_to(builder, g, X.last, X.left_of(total))
        return context.get_dummy_value()

    of_where = types.intp if isinstance(where, types.Integer) else where
    return types.void(X, of_where, types.intp, r, g), generate


# --- the same where nothing is compiled (NUMBA_DISABLE_JIT) --------------------------------


def _plain_dot(X, k, w):
    return float(X[k].astype(w.dtype) @ w)


def _plain_set_margins(X, which, w, b, z, i):
    for place, k in enumerate(which):
        z[i + place] = _plain_dot(X, k, w) + b


def _plain_set_columns(X, which, lo, d, T, first, i):
    for a, k in enumerate(which):
        T[first : first + d, i + a] = X[k, lo : lo + d]


def _plain_add_rows(X, which, factors, g):
    whole = g.size - g.size % LANES
    for k, factor in zip(which, factors, strict=True):
        g[:whole] += X[k, :whole].astype(g.dtype) * factor


def _plain_add_left(X, where, n, r, g):
    whole = g.size - g.size % LANES
    for i in range(n):
        k = where + i if isinstance(where, int) else where[i]
        g[whole:] += X[k, whole:].astype(g.dtype) * r[i]


dot = _plain_dot if config.DISABLE_JIT else intrinsic(_dot)
set_margins = _plain_set_margins if config.DISABLE_JIT else intrinsic(_set_margins)
set_columns = _plain_set_columns if config.DISABLE_JIT else intrinsic(_set_columns)
add_rows = _plain_add_rows if config.DISABLE_JIT else intrinsic(_add_rows)
add_left = _plain_add_left if config.DISABLE_JIT else intrinsic(_add_left)
