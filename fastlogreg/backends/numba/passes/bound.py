"""The Numba backend: chunks, threads and sums in a fixed order around the kernels.

:class:`BoundPass` prepares rows once for all passes over them: read-only views,
the form of the kernels' arguments, plans. A pass cuts the rows into chunks by the shape of the
data alone, lets :mod:`.threads` run them, and adds the chunks' sums in the order of the chunks.
So the result is the same to the bit for any number of threads.

The Hessian of dense rows has two ways: own loops over tiles of sums up to :data:`BLAS_WIDTH`
columns, and beyond them the BLAS, one thread a chunk, on rows scaled while they are in cache.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.limits import one_blas_thread
from fastlogreg.backends.numba import stages
from fastlogreg.backends.numba.jit import Kernel
from fastlogreg.backends.numba.passes import kernels
from fastlogreg.backends.numba.passes.kernels import Cut, Model, Rows, Sums
from fastlogreg.backends.numba.passes.plan import BLAS_WIDTH, hessian_cost, plan
from fastlogreg.backends.numba.passes.rows import RowsPass
from fastlogreg.backends.numba.passes.storage import (
    NO_VALUES,
    NOTHING,
    forms,
    prepared,
    readonly,
    storage_code,
    symmetric,
)
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.threads import run_chunks

_BLAS_THREADS_FROM = 96  # p from which OpenBLAS uses threads between passes: p * p of 9216
_FACTOR_THREADS_FROM = 2000  # p from which a Cholesky factor gains more than the passes lose
_VECTOR_THREADS_FROM = 10_000  # p from which OpenBLAS adds vectors on threads
_BLAS_ROWS = 1024  # rows of one matrix product
_BLAS_WORK = 4e9  # rows * p * p of one product at the most: some 0.1 s, for Ctrl-C

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Spec = Any  # fastlogreg.backends.PassSpec, of a floor above

_KIND = {"bce": stages.BCE, "mse": stages.MSE}
_NO_MATRIX = np.empty((0, 0))


def kind_of(loss: str, activation: str) -> tuple[int, float]:
    """Return pointwise's code and scale."""
    kind = stages.SQUARED if activation == "identity" else _KIND[loss]
    return kind, 2.0 if activation == "tanh" else 1.0


@lru_cache(maxsize=64)
def _left_out(chunks: int) -> Sums:
    """Return the empty arrays of :class:`Sums`, for all that a pass leaves out."""
    none = np.empty((chunks, 0))
    return Sums(none, np.empty((chunks, 0, 0)), none, NOTHING, _NO_MATRIX)


def solving(p: int) -> AbstractContextManager[AbstractContextManager[object]]:
    """Return what a solver runs in; see :class:`fastlogreg.backends.Backend`.

    The BLAS keeps its threads spinning for a while after a call, on the cores that the next pass
    wants, so between passes it gets one thread. Below :data:`_BLAS_THREADS_FROM` parameters it
    takes no more anyway; a factor of :data:`_FACTOR_THREADS_FROM` or more gains from several,
    and vectors of :data:`_VECTOR_THREADS_FROM` are beyond any Hessian.
    """
    if _BLAS_THREADS_FROM <= p < _FACTOR_THREADS_FROM or p >= _VECTOR_THREADS_FROM:
        return one_blas_thread()
    return nullcontext(nullcontext())


class BoundPass(RowsPass):
    """Rows as kernels take them, and what to compute; see :class:`fastlogreg.backends.Pass`."""

    _rows: Rows

    def __init__(
        self,
        X: _Matrix,
        y: NDArray[np.float64] | None,
        sample_weight: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        spec: _Spec,
    ) -> None:
        storage, rows = prepared(X, NOTHING if y is None else y, sample_weight, offset)
        super().__init__(X, storage, rows, sample_weight, spec)
        self._kind, self._scale = kind_of(spec.loss, spec.activation)
        self._form = stages.MARGIN if spec.activation == "identity" else stages.PROBABILITY
        self.size = int(X.shape[1]) + self._intercept

    @cached_property
    def hessian_cost(self) -> float:
        """Return what the Hessian costs in gradient passes.

        Measured on 2 threads: 2.7 at 1,000,000 x 20, 7.1 at 200,000 x 100.
        """
        return hessian_cost(self._given, self.size)

    def __call__(
        self,
        theta: NDArray[np.float64],
        order: int = 1,
        *,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return the sums of loss, gradient and Hessian."""
        model = Model(readonly(theta), self._intercept, self._kind, self._scale)
        sums, hessian = self._sums(self._rows, model, order, curvatures, moments)
        return float(sums[0]), sums[1:] if order else None, hessian

    def lower(
        self,
        theta: NDArray[np.float64],
        strengths: tuple[NDArray[np.float64], NDArray[np.float64]],
        goal: float,
        most: int,
        stop_value: float = 0.0,
    ) -> Any:
        """Go near the optimum in one call; see :class:`fastlogreg.backends.SmallPass`."""
        p = theta.size
        cut, chunks, _, padded, by_blas, out = self._prepared(p, 2, 0)
        if chunks > 1 or by_blas:
            return None
        from fastlogreg.backends.numba.passes import small  # compiled where it is used

        sums, hessians = np.empty((1, 1 + p)), np.empty((1, padded, padded))
        at = np.empty((p, 1))
        model = Model(readonly(at[:, 0]), self._intercept, self._kind, self._scale)
        out = out._replace(sums=sums, hessians=hessians)
        lowered, steps, passes, known = small.lower(
            kernels.evaluate,
            self._code,
            (self._storage, self._rows, model, cut, out),
            small.Filled(at, sums[0, :1], sums[0, 1:, None], hessians),
            1,
            small.Penalty(*strengths),
            theta,
            (goal, most, stop_value),
            intercept=self._intercept,
            total=self.total_weight,
        )
        end = (float(sums[0, 0]), sums[0, 1:], symmetric(hessians[0, :p, :p])) if known else None
        return lowered, end, steps, passes

    def product(
        self, curvatures: NDArray[np.float64], vector: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return A' diag(h) A v.

        It is half the gradient at v of the squared error with weights h and targets 0, so the
        kernel of the loss does it.
        """
        model = Model(readonly(vector), self._intercept, stages.SQUARED, 1.0)
        product = self._sums(self._squared_error(curvatures), model, 1)[0][1:]
        product *= 0.5
        return product

    def moments(self, curvatures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of h, of h x and of h x².

        They are moments of the squared error with weights h / 2, whose second derivative is 2.
        """
        d = self.size - self._intercept
        model = Model(readonly(np.zeros(d)), 0, stages.SQUARED, 1.0)
        moments = np.empty(1 + 2 * d)
        self._sums(self._squared_error(0.5 * curvatures), model, 1, moments=moments)
        moments[0] = curvatures.sum()  # as the curvatures are: not twice their halves
        return moments

    def largest_margin(self, vector: NDArray[np.float64]) -> float:
        """Return the largest size of A v in rows of weight above 0."""
        largest = self._largest_of_few(vector[None])
        if largest is not None:
            return largest
        size = np.abs(self.margins(vector, with_offset=False))
        if self._rows.weight.size:
            size = size[self._weights() > 0.0]
        return float(size.max())

    def _squared_error(self, weights: NDArray[np.float64]) -> Rows:
        chosen, zeros = self._rows.chosen, np.zeros(self._given.shape[0])
        if chosen.size:
            placed = np.zeros_like(zeros)
            placed[chosen] = weights
            weights = placed
        return self._rows._replace(y=readonly(zeros), weight=readonly(weights), offset=NO_VALUES)

    def margins(
        self, theta: NDArray[np.float64], *, with_offset: bool = True
    ) -> NDArray[np.float64]:
        """Return the margins, (n,)."""
        rows = self._rows if with_offset else self._rows._replace(offset=NO_VALUES)
        return self._predict(rows, theta, stages.MARGIN, 1)[:, 0]

    def predict(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions, (n,)."""
        return self._predict(self._rows, theta, self._form, 1)[:, 0]

    def predict_pair(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2): 1 - p and p of the sigmoid or the tanh, neither by cancellation."""
        return self._predict(self._rows, theta, stages.PROBABILITY, 2)

    def _predict(
        self, rows: Rows, theta: NDArray[np.float64], form: int, width: int
    ) -> NDArray[np.float64]:
        n = self._given.shape[0]
        out = np.empty((n, width))
        model = Model(readonly(theta), self._intercept, form, self._scale)
        block, chunk, chunks, seconds = plan(n, self._shape, theta.size, False, 0)
        cut = Cut(0, n, chunk, block)
        arguments = (self._storage, rows, model, cut)
        run = forms(kernels.predict, kernels.predict_on_threads, self._code, arguments, out)
        run_chunks(*run, chunks, seconds, self._n_threads)
        return out[rows.chosen] if rows.chosen.size else out

    def _prepared(self, p: int, order: int, n_moments: int) -> "_Prepared":
        """Return the plan of a pass, made once; kernels see the same types in each call."""
        found: _Prepared | None = self._plans.get((p, order, n_moments))
        if found is None:
            gathers = self._rows.chosen.size > 0
            n, width = self.n_rows, p + n_moments
            block, chunk, chunks, seconds = plan(n, self._shape, width, gathers, order)
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
        run = forms(kernels.evaluate, kernels.evaluate_on_threads, self._code, arguments, out)
        run_chunks(*run, chunks, seconds, self._n_threads)
        total = sums[0] if chunks == 1 else sums.sum(axis=0)
        if moments is not None:
            out.moments.sum(axis=0, out=moments)
        if order < 2:
            return total, None
        whole = out.hessians[0] if chunks == 1 else out.hessians.sum(axis=0)
        return total, symmetric(whole[:p, :p])


class _Prepared(NamedTuple):
    """How a pass is cut into chunks, and what is left out of its results."""

    cut: Cut
    chunks: int
    seconds: float
    padded: int
    by_blas: bool
    left_out: Sums


bind = BoundPass


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
    curvatures = NOTHING if always_convex else np.empty(cut.hi)
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

    limit = one_blas_thread()
    with limit, limit:
        run_chunks(run, None, chunks, seconds, n_threads)
    return sums.sum(axis=0), symmetric(hessians.sum(axis=0))


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) every kernel; yield its name and the seconds it took."""
    from time import perf_counter

    for name in dtypes:
        dtype = np.dtype(name)
        X = np.ones((16, 3), dtype=dtype)
        matrix, rows = prepared(X, np.zeros(16), np.ones(16))
        theta = np.zeros(4)
        model = Model(readonly(theta), 1, *kind_of("bce", "sigmoid"))
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
        predicting = (matrix, rows, model._replace(kind=stages.PROBABILITY), cut, 0, 1, out)
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
        start = perf_counter()
        spec = SimpleNamespace(loss="bce", activation="sigmoid", intercept=True, n_threads=1)
        bound = BoundPass(X, np.zeros(16), None, None, spec)
        bound.lower(np.zeros(4), (np.array([0.0, 1.0, 1.0, 1.0]), np.zeros(4)), 1e-8, 1)
        yield f"lower ({name})", perf_counter() - start
