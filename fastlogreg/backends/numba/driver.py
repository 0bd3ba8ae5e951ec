"""The Numba backend: chunks, threads and sums in a fixed order around the kernels.

:class:`BoundPass` prepares rows once for all passes over them: read-only views,
the form of the kernels' arguments, plans. A pass cuts the rows into chunks by the shape of the
data alone, lets :mod:`.threads` run them, and adds the chunks' sums in the order of the chunks.
So the result is the same to the bit for any number of threads.

The Hessian of dense rows has two ways: own loops over tiles of sums up to :data:`BLAS_WIDTH`
columns, and beyond them the BLAS, one thread a chunk, on rows scaled while they are in cache.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba import kernels, stages
from fastlogreg.backends.numba.csr import Csr
from fastlogreg.backends.numba.jit import Kernel
from fastlogreg.backends.numba.kernels import Cut, Model, Rows, Sums
from fastlogreg.backends.numba.threads import one_blas_thread, run_chunks

BLAS_WIDTH = (
    72  # p from which the BLAS makes the Hessian: 28 against 34 GFLOP/s at 80, 30 against 26 at 63
)
_BLAS_THREADS_FROM = 96  # p from which OpenBLAS uses threads between passes: p * p of 9216
_FACTOR_THREADS_FROM = 2000  # p from which a Cholesky factor gains more than the passes lose
_VECTOR_THREADS_FROM = 10_000  # p from which OpenBLAS adds vectors on threads
_BLAS_ROWS = 1024  # rows of one matrix product
_BLAS_WORK = 4e9  # rows * p * p of one product at the most: some 0.1 s, for Ctrl-C
_BLOCK_BYTES = 24576  # of X in one block: half of L1, the other half for the next block
_MIN_BLOCK, _MAX_BLOCK = 16, 512
_WIDE_BYTES = 1 << 18  # a block of rows wider than this in all has 8 rows: a quarter of L2
_MIN_COLUMN_BLOCK = 128  # a block of columns reads runs of this many values
_CHUNK_SECONDS = 1e-4
_MAX_CHUNK_SECONDS = 0.1
_MAX_CHUNKS = 256
_ACCUMULATOR_BYTES = 64 << 20  # of all chunks together, where that leaves 4 of them
_ACCUMULATOR_SHARE = 0.2  # of a chunk's time for its accumulator, where that leaves 4 of them

# Rough costs on one thread, for planning only.
ROW_SECONDS = 4e-9
VALUE_SECONDS = 4e-10
SPARSE_VALUE_SECONDS = 2e-9
_SPARSE_PRODUCT_SECONDS = 1e-9  # two stored values of a row
_ACCUMULATOR_SECONDS = 4e-10  # a byte: set to zero, and summed at the end
_COPY_SECONDS = 3e-10  # a value, into the buffer of the Hessian
_PRODUCT_SECONDS = 5e-11  # of the p * p, by own loops
_BLAS_SECONDS = 2.5e-11
_PASS_SECONDS = 8e-10  # a value from memory, while the other threads read too
_CALL_SECONDS = 2e-5
_GATHER_FACTOR = 4.0

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Spec = Any  # fastlogreg.backends.PassSpec, of a floor above

_KIND = {"bce": stages.BCE, "mse": stages.MSE}
_LINE = 512  # values of a sparse matrix that are read as one row
_NONE = np.empty(0)
_NO_MATRIX = np.empty((0, 0))
_NO_INDEX = np.empty(0, dtype=np.int64)


def _readonly(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view: kernels then see one type, whatever the caller's flags."""
    view = array.view()
    view.flags.writeable = False
    return view


_NO_VALUES = _readonly(_NONE)
_NO_ROWS = _readonly(_NO_INDEX)


def prepared(
    X: _Matrix,
    y: NDArray[np.float64] = _NONE,
    weight: NDArray[np.float64] | None = None,
    offset: NDArray[np.float64] | None = None,
    chosen: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.floating] | Csr, Rows]:
    """Return X and the rest as kernels take them."""
    storage: NDArray[np.floating] | Csr
    if isinstance(X, np.ndarray):
        by_column = not X.flags.c_contiguous or X.shape[1] == 1
        storage = _readonly(X.T if by_column else X)
    else:
        by_column = False
        storage = _csr(X)
    return storage, Rows(
        _readonly(y),
        _NO_VALUES if weight is None else _readonly(weight),
        _NO_VALUES if offset is None else _readonly(offset),
        _NO_ROWS if chosen is None else _readonly(chosen),
        int(by_column),
    )


def _csr(X: Any) -> Csr:
    indptr = _readonly(X.indptr.astype(np.int64, copy=False))
    return Csr(_readonly(X.data), _readonly(X.indices), indptr[:-1], indptr[1:])


def storage_code(X: NDArray[np.floating] | Csr) -> str:
    """Return what the kernels for this storage are called; see :class:`.jit.Kernel`."""
    if isinstance(X, Csr):
        return X.data.dtype.char + X.indices.dtype.char
    return X.dtype.char


def kind_of(loss: str, activation: str) -> tuple[int, float]:
    """Return pointwise's code and scale."""
    kind = stages.SQUARED if activation == "identity" else _KIND[loss]
    return kind, 2.0 if activation == "tanh" else 1.0


class Shape(NamedTuple):
    """What plans depend on: stored values of a row and their bytes, and how they lie."""

    width: float
    itemsize: int
    by_column: bool = False
    sparse: bool = False


def shape_of(X: NDArray[np.floating] | Csr, rows: Rows) -> Shape:
    """Return what plans depend on."""
    if isinstance(X, Csr):
        width = X.data.size / max(1, X.starts.size)
        return Shape(width, X.data.itemsize + X.indices.itemsize, False, True)
    return Shape(X.shape[0 if rows.by_column else 1], X.itemsize, bool(rows.by_column))


@lru_cache(maxsize=1024)
def _block_rows(shape: Shape, by_column: bool) -> int:
    row = max(1.0, shape.width * shape.itemsize)
    least = _MIN_BLOCK if _MIN_BLOCK * row <= _WIDE_BYTES else _MIN_BLOCK // 2
    rows = int(_BLOCK_BYTES / row) // 8 * 8
    return max(_MIN_COLUMN_BLOCK if by_column else least, min(_MAX_BLOCK, rows))


@lru_cache(maxsize=1024)
def _plan(n: int, shape: Shape, p: int, gathers: bool, order: int) -> tuple[int, int, int, float]:
    """Return (rows a block, rows a chunk, chunks, seconds a chunk): of the shape alone."""
    block = _block_rows(shape, shape.by_column and not gathers)
    value = SPARSE_VALUE_SECONDS if shape.sparse else VALUE_SECONDS
    per_row = ROW_SECONDS + shape.width * value * (_GATHER_FACTOR if gathers else 1.0)
    chunk_bytes = 8 * (p + 1)
    if order == 2:
        per_row += _products_seconds(shape.width**2) if shape.sparse else p * p * _PRODUCT_SECONDS
        chunk_bytes += 8 * p * p
    seconds = n * per_row
    adding = chunk_bytes * _ACCUMULATOR_SECONDS
    most = min(
        _MAX_CHUNKS,
        max(4, _ACCUMULATOR_BYTES // chunk_bytes),
        max(4, int(_ACCUMULATOR_SHARE * seconds / adding)),
    )
    chunks = int(max(1, min(most, seconds / _CHUNK_SECONDS), seconds / _MAX_CHUNK_SECONDS))
    rows = -(-n // chunks)
    rows = -(-rows // block) * block
    return block, rows, -(-n // rows), rows * per_row


def _products_seconds(squares: float) -> float:
    """Return what the Hessian takes where the counts of stored values have this sum of squares."""
    return 0.5 * squares * _SPARSE_PRODUCT_SECONDS


@lru_cache(maxsize=64)
def _left_out(chunks: int) -> Sums:
    """Return the empty arrays of :class:`Sums`, for all that a pass leaves out."""
    none = np.empty((chunks, 0))
    return Sums(none, np.empty((chunks, 0, 0)), none, _NONE, _NO_MATRIX)


def _forms(
    serial: Kernel, on_threads: Kernel, code: str, before: tuple[Any, ...], *after: Any
) -> tuple[Callable[[int, int], Any], Callable[[int, int], Any]]:
    """Return the two forms of a kernel as :func:`.threads.run_chunks` calls them."""

    def threaded(first: int, last: int) -> None:
        address = serial.address(code, *before, 0, 0, *after)
        if on_threads[code](address, *before, first, last, *after):
            # what a chunk raised is lost on its thread; here it is raised, or all goes well
            serial[code](*before, first, last, *after)

    return lambda first, last: serial[code](*before, first, last, *after), threaded


def solving(p: int) -> AbstractContextManager[None]:
    """Return what a solver runs in; see :class:`fastlogreg.backends.Backend`.

    The BLAS keeps its threads spinning for a while after a call, on the cores that the next pass
    wants, so between passes it gets one thread. Below :data:`_BLAS_THREADS_FROM` parameters it
    takes no more anyway; a factor of :data:`_FACTOR_THREADS_FROM` or more gains from several,
    and vectors of :data:`_VECTOR_THREADS_FROM` are beyond any Hessian.
    """
    if _BLAS_THREADS_FROM <= p < _FACTOR_THREADS_FROM or p >= _VECTOR_THREADS_FROM:
        return one_blas_thread()
    return nullcontext()


class BoundPass:
    """Rows as kernels take them, and what to compute; see :class:`fastlogreg.backends.Pass`."""

    def __init__(
        self,
        X: _Matrix,
        y: NDArray[np.float64] | None,
        sample_weight: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        spec: _Spec,
    ) -> None:
        self._given = X
        self._storage, self._rows = prepared(X, _NONE if y is None else y, sample_weight, offset)
        self._code = storage_code(self._storage)
        self._shape = shape_of(self._storage, self._rows)
        self._intercept = int(spec.intercept)
        self._kind, self._scale = kind_of(spec.loss, spec.activation)
        self._form = stages.MARGIN if spec.activation == "identity" else stages.PROBABILITY
        self._n_threads = spec.n_threads
        self._plans: dict[tuple[int, int, int], _Prepared] = {}
        self.n_rows = int(X.shape[0])
        self.size = int(X.shape[1]) + self._intercept
        self.total_weight = float(self.n_rows if sample_weight is None else sample_weight.sum())

    def sample(self, rows: NDArray[np.int64]) -> "BoundPass":
        """Return the pass over these rows of it, of which none is copied."""
        assert not self._rows.chosen.size, "a sample of a sample is not offered"
        part = copy(self)
        part._rows = self._rows._replace(chosen=_readonly(rows))
        part._plans = {}
        part.n_rows = int(rows.size)
        weight = self._rows.weight
        part.total_weight = float(weight[rows].sum()) if weight.size else float(rows.size)
        return part

    @cached_property
    def hessian_cost(self) -> float:
        """Return what the Hessian costs in gradient passes.

        Measured on 2 threads: 2.7 at 1,000,000 x 20, 7.1 at 200,000 x 100.
        """
        X, n, p = self._given, self._given.shape[0], self.size
        if not isinstance(X, np.ndarray):
            counts = np.diff(X.indptr).astype(np.float64)
            products = _products_seconds(float(counts @ counts))
            chunks = min(4.0, max(1.0, products / _CHUNK_SECONDS))  # at the least
            adding = chunks * 8.0 * p * p * _ACCUMULATOR_SECONDS
            gradient = _CALL_SECONDS + n * ROW_SECONDS + X.nnz * SPARSE_VALUE_SECONDS
            return float(1.0 + (products + adding) / gradient)
        gradient = _CALL_SECONDS + n * (ROW_SECONDS + p * _PASS_SECONDS)
        product = _PRODUCT_SECONDS if p < BLAS_WIDTH else _BLAS_SECONDS * (1.0 + 100.0 / p)
        return float(1.0 + n * p * (_COPY_SECONDS + p * product) / gradient)

    def __call__(
        self,
        theta: NDArray[np.float64],
        order: int = 1,
        *,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return the sums of loss, gradient and Hessian."""
        model = Model(_readonly(theta), self._intercept, self._kind, self._scale)
        sums, hessian = self._sums(self._rows, model, order, curvatures, moments)
        return float(sums[0]), sums[1:] if order else None, hessian

    def product(
        self, curvatures: NDArray[np.float64], vector: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return A' diag(h) A v.

        It is half the gradient at v of the squared error with weights h and targets 0, so the
        kernel of the loss does it.
        """
        model = Model(_readonly(vector), self._intercept, stages.SQUARED, 1.0)
        product = self._sums(self._squared_error(curvatures), model, 1)[0][1:]
        product *= 0.5
        return product

    def moments(
        self, curvatures: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return X' h and (X * X)' h.

        They are moments of the squared error with weights h / 2, whose second derivative is 2.
        """
        d = self.size - self._intercept
        model = Model(_readonly(np.zeros(d)), 0, stages.SQUARED, 1.0)
        moments = np.empty(1 + 2 * d)
        self._sums(self._squared_error(0.5 * curvatures), model, 1, moments=moments)
        return moments[1 : 1 + d], moments[1 + d :]

    def _squared_error(self, weights: NDArray[np.float64]) -> Rows:
        assert not self._rows.chosen.size, "a sample is too small to need products"
        zeros = _readonly(np.zeros(weights.size))
        return self._rows._replace(y=zeros, weight=_readonly(weights), offset=_NO_VALUES)

    def margins(
        self, theta: NDArray[np.float64], *, with_offset: bool = True
    ) -> NDArray[np.float64]:
        """Return the margins, (n,)."""
        rows = self._rows if with_offset else self._rows._replace(offset=_NO_VALUES)
        return self._predict(rows, theta, stages.MARGIN, 1)[:, 0]

    def predict(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions, (n,)."""
        return self._predict(self._rows, theta, self._form, 1)[:, 0]

    def predict_pair(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2): 1 - p and p of the sigmoid or the tanh, neither by cancellation."""
        return self._predict(self._rows, theta, stages.PROBABILITY, 2)

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        return _first_not_finite(self._given, self._n_threads)

    def _predict(
        self, rows: Rows, theta: NDArray[np.float64], form: int, width: int
    ) -> NDArray[np.float64]:
        n = self._given.shape[0]
        out = np.empty((n, width))
        model = Model(_readonly(theta), self._intercept, self._kind, self._scale)
        block, chunk, chunks, seconds = _plan(n, self._shape, theta.size, False, 0)
        cut = Cut(0, n, chunk, block)
        arguments = (self._storage, rows, model, cut)
        forms = _forms(
            kernels.predict, kernels.predict_on_threads, self._code, arguments, form, out
        )
        run_chunks(*forms, chunks, seconds, self._n_threads)
        return out[rows.chosen] if rows.chosen.size else out

    def _prepared(self, p: int, order: int, n_moments: int) -> "_Prepared":
        """Return the plan of a pass, made once; kernels see the same types in each call."""
        found = self._plans.get((p, order, n_moments))
        if found is None:
            gathers = self._rows.chosen.size > 0
            n, width = self.n_rows, p + n_moments
            block, chunk, chunks, seconds = _plan(n, self._shape, width, gathers, order)
            by_blas = order == 2 and p >= BLAS_WIDTH and not self._shape.sparse
            padded = -(-p // 4) * 4 if order == 2 else 0
            cut = Cut(0, n, chunk, block)
            found = _Prepared(cut, chunks, seconds, padded, by_blas, _left_out(chunks))
            self._plans[p, order, n_moments] = found
        return found

    def _sums(
        self,
        rows: Rows,
        model: Model,
        order: int,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the sums (loss, gradient) over the rows and, if order is 2, the Hessian's.

        ``curvatures``, (n,), and ``moments``, (1 + 2 d,), are filled where they are given
        (order 0 or 1).
        """
        X, p = self._storage, model.theta.size
        n_moments = 0 if moments is None else moments.size
        cut, chunks, seconds, padded, by_blas, out = self._prepared(p, order, n_moments)
        sums = np.empty((chunks, 1 + p))
        if by_blas:
            assert curvatures is None
            return _sum_chunks_by_blas(X, rows, model, cut, sums, seconds, self._n_threads)
        out = Sums(
            sums,
            np.empty((chunks, padded, padded)) if padded else out.hessians,
            np.empty((chunks, n_moments)) if n_moments else out.moments,
            out.curvatures if curvatures is None else curvatures,
            out.scaled,
        )
        arguments = (X, rows, model, cut)
        forms = _forms(kernels.evaluate, kernels.evaluate_on_threads, self._code, arguments, out)
        run_chunks(*forms, chunks, seconds, self._n_threads)
        total = sums[0] if chunks == 1 else sums.sum(axis=0)
        if moments is not None:
            out.moments.sum(axis=0, out=moments)
        if order < 2:
            return total, None
        whole = out.hessians[0] if chunks == 1 else out.hessians.sum(axis=0)
        return total, _symmetric(whole[:p, :p])


class _Prepared(NamedTuple):
    """How a pass is cut into chunks, and what is left out of its results."""

    cut: Cut
    chunks: int
    seconds: float
    padded: int
    by_blas: bool
    left_out: Sums


bind = BoundPass


@lru_cache(maxsize=16)
def _above_diagonal(p: int) -> NDArray[np.bool_]:
    return np.triu(np.ones((p, p), dtype=bool))


def _symmetric(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric matrix with this upper triangle."""
    return np.where(_above_diagonal(upper.shape[0]), upper, upper.T)


def _sum_chunks_by_blas(
    X: NDArray[np.floating] | Csr,
    rows: Rows,
    model: Model,
    cut: Cut,
    sums: NDArray[np.float64],
    seconds: float,
    n_threads: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    chunks = sums.shape[0]
    p = model.theta.size
    hessians = np.empty((chunks, p, p))
    fill = kernels.evaluate[storage_code(X)]
    always_convex = model.kind != stages.MSE
    curvatures = _NONE if always_convex else np.empty(cut.hi)
    step = min(_BLAS_ROWS, max(64, int(_BLAS_WORK / p**2)))

    def run(first: int, last: int) -> None:
        scaled = np.empty((step, p))
        part = np.empty((1, sums.shape[1]))
        out = _left_out(1)._replace(sums=part, scaled=scaled, curvatures=curvatures)
        product = np.empty((p, p))
        for c in range(first, last):
            sums[c] = 0.0
            start = cut.lo + c * cut.chunk
            stop = min(start + cut.chunk, cut.hi)
            for lo in range(start, stop, step):
                hi = min(lo + step, stop)
                fill(X, rows, model, Cut(lo, hi, hi - lo, cut.block), 0, 1, out)
                sums[c] += part[0]
                A = scaled[: hi - lo]
                # A' A is recognised by NumPy and done in half the work (dsyrk)
                B = A if always_convex else A * np.where(curvatures[lo:hi, None] < 0.0, -1.0, 1.0)
                target = hessians[c] if lo == start else product
                np.matmul(A.T, B, out=target)
                if target is product:
                    hessians[c] += product

    with one_blas_thread():
        run_chunks(run, None, chunks, seconds, n_threads)
    return sums.sum(axis=0), _symmetric(hessians.sum(axis=0))


def read_sum(X: _Matrix, *, n_threads: int | None = None) -> float:
    """Return the sum of X by one parallel pass: the floor under every pass over X.

    ``X`` as in :class:`fastlogreg.backends.Backend`; float64 sum of all its values. Of a sparse
    matrix the stored values are read and not their places.
    """
    total = 0.0
    for matrix in _values(X):
        _, chunk, chunks, seconds = _reader_plan(matrix)
        out = np.empty(chunks)
        code = storage_code(matrix)
        run_chunks(
            *_forms(kernels.read, kernels.read_on_threads, code, (matrix, chunk), out),
            chunks,
            seconds,
            n_threads,
        )
        total += float(out.sum())
    return total


def _read(
    run: Any, matrix: NDArray[np.floating], chunk: int, out: NDArray[Any], first: int, last: int
) -> None:
    run(matrix, chunk, first, last, out)


def _values(X: _Matrix) -> list[NDArray[np.floating]]:
    """Return all values of X as C-ordered matrices, without a copy."""
    if isinstance(X, np.ndarray):
        return [_readonly(X if X.flags.c_contiguous else X.T)]
    whole = X.data.size // _LINE * _LINE
    parts = X.data[:whole].reshape(-1, _LINE), X.data[whole:].reshape(1, -1)
    return [_readonly(part) for part in parts if part.size]


def _reader_plan(matrix: NDArray[np.floating]) -> tuple[int, int, int, float]:
    n, d = matrix.shape
    return _plan(n, Shape(d, matrix.itemsize), d, False, 0)


def _first_not_finite(X: _Matrix, n_threads: int | None) -> tuple[int, int] | None:
    start = 0  # the first row that may be bad
    found = False
    for matrix in _values(X):
        _, chunk, chunks, seconds = _reader_plan(matrix)
        out = np.empty(chunks, dtype=np.int64)
        run = kernels.not_finite[storage_code(matrix)]
        run_chunks(partial(_read, run, matrix, chunk, out), None, chunks, seconds, n_threads)
        if out.any():
            found = True
            if isinstance(X, np.ndarray) and X.flags.c_contiguous:
                start = int(np.flatnonzero(out)[0]) * chunk
            break
    if not found:
        return None
    if not isinstance(X, np.ndarray):
        k = np.flatnonzero(~np.isfinite(X.data))[0]
        return int(np.searchsorted(X.indptr, k, side="right")) - 1, int(X.indices[k])
    for i in range(start, X.shape[0]):
        bad = np.flatnonzero(~np.isfinite(X[i]))
        if bad.size:
            return i, int(bad[0])
    raise AssertionError("unreachable: the kernel counted a value that is finite")


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) every kernel; yield its name and the seconds it took."""
    from time import perf_counter

    for name in dtypes:
        dtype = np.dtype(name)
        X = np.ones((16, 3), dtype=dtype)
        matrix, rows = prepared(X, np.zeros(16), np.ones(16))
        theta = np.zeros(4)
        model = Model(_readonly(theta), 1, *kind_of("bce", "sigmoid"))
        cut = Cut(0, 16, 16, 16)
        sums, hessians, out = np.empty((1, 5)), np.empty((1, 4, 4)), np.empty((16, 2))
        code = storage_code(matrix)
        one = np.empty(1)
        evaluating = (
            matrix,
            rows,
            model,
            cut,
            0,
            1,
            _left_out(1)._replace(sums=sums, hessians=hessians),
        )
        predicting = (matrix, rows, model, cut, 0, 1, stages.PROBABILITY, out)
        calls: list[tuple[Any, tuple[Any, ...]]] = [
            (kernels.evaluate, evaluating),
            (kernels.predict, predicting),
            (kernels.not_finite, (matrix, 16, 0, 1, np.empty(1, dtype=np.int64))),
            (kernels.read, (matrix, 16, 0, 1, one)),
        ]
        from fastlogreg.backends.numba.threads import prange_is_safe

        if prange_is_safe():
            calls += [
                (kernels.evaluate_on_threads, (kernels.evaluate, *evaluating)),
                (kernels.predict_on_threads, (kernels.predict, *predicting)),
                (kernels.read_on_threads, (kernels.read, matrix, 16, 0, 1, one)),
            ]
        for which, arguments in calls:
            if isinstance(arguments[0], Kernel):
                arguments = (arguments[0].address(code, *arguments[1:]), *arguments[1:])
            start = perf_counter()
            which[code](*arguments)
            yield f"{which.__name__} ({name})", perf_counter() - start
