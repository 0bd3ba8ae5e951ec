"""Rows bound to softmax and cross-entropy: K margins a row, around :mod:`.softmax_kernels`.

Chunks, threads and the order of the sums are those of :mod:`.bound`. The Hessian is made of the
K (K + 1) / 2 blocks A' diag(h) A with h = weight p_k (1 - p_k) or -weight p_k p_l, each of them
symmetric: half the work of one product of rows of K p entries, and the blocks on the diagonal
are sums of positive terms. Own tiles up to :data:`.plan.BLAS_WIDTH` columns, then the BLAS.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.limits import one_blas_thread
from fastlogreg.backends.numba.passes import softmax_kernels as kernels
from fastlogreg.backends.numba.passes.kernels import Cut
from fastlogreg.backends.numba.passes.plan import (
    BLAS_WIDTH,
    classes_hessian_cost,
    plan_of_classes,
)
from fastlogreg.backends.numba.passes.rows import RowsPass
from fastlogreg.backends.numba.passes.softmax_kernels import Model, Rows, Sums
from fastlogreg.backends.numba.passes.storage import (
    NO_ROWS,
    NO_VALUES,
    NOTHING,
    aligned,
    forms,
    packed,
    padded,
    readonly,
    stored,
    symmetric,
    unpacked,
)
from fastlogreg.backends.numba.stages import softmax
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.threads import run_chunks

_BLAS_ROWS = 1024  # rows of one matrix product

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Spec = Any  # fastlogreg.backends.PassSpec, of a floor above
_Array = NDArray[np.float64]

_NO_MATRIX = np.empty((0, 0))
_FEW = 72  # entries of theta up to which own loops factor a Hessian
_COUPLED = 4096  # rows whose probabilities are multiplied together
_NO_TILE = readonly(_NO_MATRIX)


@lru_cache(maxsize=64)
def _left_out(chunks: int) -> Sums:
    """Return the empty arrays of :class:`Sums`, for all that a pass leaves out."""
    return Sums(
        np.empty(chunks),
        np.empty((chunks, 0, 0)),
        np.empty((chunks, 0, 0, 0)),
        np.empty((chunks, 0)),
        np.empty((chunks, 0, 0, 0)),
        _NO_MATRIX,
        _NO_MATRIX,
    )


@lru_cache(maxsize=16)
def _pairs(K: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(K)


class _Prepared(NamedTuple):
    """How a pass is cut into chunks, and what is left out of its results."""

    cut: Cut
    chunks: int
    seconds: float
    left_out: Sums


def rows_of_classes(
    X: _Matrix, y: _Array | None, sample_weight: _Array | None, offset: _Array | None
) -> tuple[NDArray[np.floating] | Csr, Rows]:
    """Return X and the rest as kernels of softmax take them."""
    storage, by_column = stored(X)
    return storage, Rows(
        NO_VALUES if y is None or y.ndim == 2 else readonly(y),
        readonly(y) if y is not None and y.ndim == 2 else _NO_TILE,
        NO_VALUES if sample_weight is None else readonly(sample_weight),
        _NO_TILE if offset is None else readonly(offset),
        NO_ROWS,
        by_column,
    )


class SoftmaxPass(RowsPass):
    """Rows and softmax; see :class:`fastlogreg.backends.Pass`: theta is (K, p).

    ``y`` is (n,), codes 0 .. K - 1, or (n, K), rows of probabilities; ``offset`` is (n, K).
    """

    def __init__(
        self,
        X: _Matrix,
        y: _Array | None,
        sample_weight: _Array | None,
        offset: _Array | None,
        spec: _Spec,
    ) -> None:
        storage, rows = rows_of_classes(X, y, sample_weight, offset)
        super().__init__(X, storage, rows, sample_weight, spec)
        self.n_classes = int(spec.n_outputs)
        self.size = self.n_classes * self._p

    @property
    def _p(self) -> int:
        return int(self._given.shape[1]) + self._intercept

    @cached_property
    def hessian_cost(self) -> float:
        """Return what the Hessian costs in gradient passes."""
        return classes_hessian_cost(self._shape, self.n_classes, self._p)

    def __call__(
        self,
        theta: _Array,
        order: int = 1,
        *,
        curvatures: _Array | None = None,
        moments: _Array | None = None,
    ) -> tuple[float, _Array | None, _Array | None]:
        """Return the sums of loss, gradient (K, p) and Hessian (K p, K p).

        ``curvatures``, (n_rows, K), is filled with the probabilities; ``moments``, (K, 1 + 2 d),
        with the sums of h, h x and h x² for h = weight p_k (1 - p_k).
        """
        if order == 2 and self._by_blas:
            assert curvatures is None and moments is None
            return self._sums_by_blas(theta)
        out = self._run(
            self._model(theta, kernels.LOSS), self._rows, order, curvatures, moments is not None
        )
        total = float(out.losses.sum())
        if moments is not None:
            moments[:] = self._moments_of(out)
        gradient = self._unpacked(out.gradients.sum(axis=0)) if order else None
        return total, gradient, self._whole(out.hessians.sum(axis=0)) if order == 2 else None

    def lower(
        self,
        theta: _Array,
        strengths: tuple[_Array, _Array],
        goal: float,
        most: int,
        stop_value: float = 0.0,
    ) -> Any:
        """Go near the optimum in one call; see :class:`fastlogreg.backends.SmallPass`."""
        l1, l2 = strengths
        cut, chunks, _, out = self._prepared(2)
        if chunks > 1 or theta.size > _FEW or self._by_blas or self._shape.sparse or l1.any():
            return None
        from fastlogreg.backends.numba.passes import small  # compiled where it is used

        K, p = self.n_classes, padded(self._p)
        at = packed(theta.reshape(K, -1), sparse=False)
        gradients = np.empty((1, *at.shape))
        hessians = np.empty((1, K * (K + 1) // 2, p, p))
        out = out._replace(losses=np.empty(1), gradients=gradients, hessians=hessians)
        model = Model(readonly(at), K, self._intercept, kernels.LOSS)
        lowered, steps, passes, known = small.lower(
            kernels.evaluate,
            self._code,
            (self._storage, self._rows, model, cut, out),
            small.Filled(at, out.losses, gradients[0], hessians[0]),
            K,
            small.Penalty(l1, l2),
            theta,
            (goal, most, stop_value),
            intercept=self._intercept,
            total=self.total_weight,
        )
        end = None
        if known:
            gradient = self._unpacked(gradients[0]).reshape(-1)
            end = float(out.losses[0]), gradient, self._whole(hessians[0])
        return lowered, end, steps, passes

    def product(self, probabilities: _Array, vector: _Array) -> _Array:
        """Return the Hessian times a direction (K, p), given the rows' probabilities (n, K)."""
        model = self._model(vector, kernels.PRODUCT)
        rows = self._rows._replace(offset=_NO_TILE)
        return self._unpacked(self._run(model, rows, 1, probabilities).gradients.sum(axis=0))

    def moments(self, probabilities: _Array) -> _Array:
        """Return the sums of h, h x and h x², (K, 1 + 2 d), for h = weight p_k (1 - p_k)."""
        model = self._model(np.zeros((self.n_classes, self._p)), kernels.MOMENTS)
        return self._moments_of(self._run(model, self._rows, 0, probabilities, True))

    def coupling(self, probabilities: _Array) -> _Array:
        """Return the sums of weight times (diag(p) - p p'), (K, K), without reading X."""
        weight, out = self._weights(), np.zeros((self.n_classes, self.n_classes))
        for first in range(0, len(probabilities), _COUPLED):
            P = probabilities[first : first + _COUPLED]
            weighted = P * weight[first : first + _COUPLED, None] if weight.size else P
            out -= weighted.T @ P
        np.fill_diagonal(out, 0.0)
        return out - np.diag(out.sum(axis=1))  # without cancellation

    def margins(self, theta: _Array, *, with_offset: bool = True) -> _Array:
        """Return the margins, (n_rows, K)."""
        return self._predict(theta, softmax.MARGIN, with_offset=with_offset)

    def predict(self, theta: _Array) -> _Array:
        """Return the probabilities, (n_rows, K)."""
        return self._predict(theta, softmax.PROBABILITY)

    def log_proba(self, theta: _Array) -> _Array:
        """Return the logarithms of the probabilities, (n_rows, K), also where these are 0."""
        return self._predict(theta, softmax.LOG_PROBABILITY)

    def predict_class(self, theta: _Array) -> NDArray[np.int64]:
        """Return the first class with the largest margin, (n_rows,)."""
        return self._predict(theta, softmax.CLASS)[:, 0].astype(np.int64)

    def largest_margin(self, vector: _Array) -> float:
        """Return the largest size of V A' in rows of weight above 0."""
        largest = self._largest_of_few(vector)
        if largest is not None:
            return largest
        size = self._predict(vector, softmax.LARGEST_SIZE, with_offset=False)[:, 0]
        if self._rows.weight.size:
            size = size[self._weights() > 0.0]
        return float(size.max())

    # --- parameters as the stages lay them out

    def _model(self, theta: _Array, task: int) -> Model:
        W = packed(theta, sparse=self._shape.sparse)
        return Model(readonly(W), len(theta), self._intercept, task)

    def _unpacked(self, W: _Array) -> _Array:
        """Return what lies as W does as (..., K, p), C-contiguous."""
        return unpacked(W, self.n_classes)

    def _moments_of(self, out: Sums) -> _Array:
        first, second = self._unpacked(out.moments.sum(axis=0))[..., self._intercept :]
        return np.hstack([out.totals.sum(axis=0)[:, None], first, second])

    # --- running the kernels

    def _prepared(self, order: int) -> _Prepared:
        found: _Prepared | None = self._plans.get(order)
        if found is None:
            n, gathers = self.n_rows, self._rows.chosen.size > 0
            shape = self.n_classes, self._p
            block, chunk, chunks, seconds = plan_of_classes(n, self._shape, shape, order, gathers)
            found = _Prepared(Cut(0, n, chunk, block), chunks, seconds, _left_out(chunks))
            self._plans[order] = found
        return found

    def _run(
        self,
        model: Model,
        rows: Rows,
        order: int,
        probabilities: _Array | None = None,
        with_moments: bool = False,
    ) -> Sums:
        """Run evaluate over all chunks and return what they have summed."""
        cut, chunks, seconds, out = self._prepared(order)
        out = out._replace(losses=np.empty(chunks))
        if order or model.task == kernels.PRODUCT:
            out = out._replace(gradients=aligned(chunks, *model.W.shape))
        if order == 2:
            K, p = self.n_classes, padded(self._p)
            out = out._replace(hessians=np.empty((chunks, K * (K + 1) // 2, p, p)))
        if with_moments:
            out = out._replace(
                totals=np.empty((chunks, self.n_classes)),
                moments=np.empty((chunks, 2, *model.W.shape)),
            )
        if probabilities is not None:
            out = out._replace(probabilities=probabilities)
        arguments = (self._storage, rows, model, cut)
        run = forms(kernels.evaluate, kernels.evaluate_on_threads, self._code, arguments, out)
        run_chunks(*run, chunks, seconds, self._n_threads)
        return out

    def _predict(self, theta: _Array, form: int, *, with_offset: bool = True) -> _Array:
        cut, chunks, seconds, _ = self._prepared(0)
        narrow = form in (softmax.CLASS, softmax.LARGEST_SIZE)
        out = np.empty((self.n_rows, 1 if narrow else self.n_classes))
        rows = self._rows if with_offset else self._rows._replace(offset=_NO_TILE)
        arguments = (self._storage, rows, self._model(theta, form), cut)
        run = forms(kernels.predict, kernels.predict_on_threads, self._code, arguments, out)
        run_chunks(*run, chunks, seconds, self._n_threads)
        return out

    # --- the Hessian

    @property
    def _by_blas(self) -> bool:
        return self._p >= BLAS_WIDTH and not self._shape.sparse

    def _whole(self, blocks: _Array) -> _Array:
        """Return the (K p, K p) matrix of the upper triangles of the blocks of pairs."""
        K, p = self.n_classes, self._p
        blocks = symmetric(blocks[:, :p, :p])
        first, second = _pairs(K)
        whole = np.empty((K, p, K, p))
        by_pair = whole.swapaxes(1, 2)
        by_pair[first, second] = blocks
        by_pair[second, first] = blocks
        return whole.reshape(K * p, K * p)

    def _sums_by_blas(self, theta: _Array) -> tuple[float, _Array, _Array]:
        model = self._model(theta, kernels.LOSS)
        X, rows, K = self._storage, self._rows, self.n_classes
        cut, chunks, seconds, _ = self._prepared(2)
        p = padded(self._p)
        losses, gradients = np.zeros(chunks), np.zeros((chunks, *model.W.shape))
        hessians = np.zeros((chunks, K * (K + 1) // 2, p, p))
        fill = kernels.evaluate[self._code]
        weight = self._weights()
        step = padded(_BLAS_ROWS, cut.block)

        def run(first: int, last: int) -> None:
            probabilities, matrix = np.empty((cut.hi, K)), np.zeros((step, p))
            part = _left_out(1)._replace(
                losses=np.empty(1), gradients=np.empty((1, *model.W.shape)), matrix=matrix
            )
            for c in range(first, last):
                start = c * cut.chunk
                stop = min(start + cut.chunk, cut.hi)
                for lo in range(start, stop, step):
                    hi = min(lo + step, stop)
                    out = part._replace(probabilities=probabilities)
                    fill(X, rows, model, Cut(lo, hi, hi - lo, cut.block), 0, 1, out)
                    losses[c] += part.losses[0]
                    gradients[c] += part.gradients[0]
                    s = weight[lo:hi] if weight.size else None
                    _add_pairs(matrix[: hi - lo], probabilities[lo:hi], s, hessians[c])

        limit = one_blas_thread()
        with limit, limit:
            run_chunks(run, None, chunks, seconds, self._n_threads)
        gradient = self._unpacked(gradients.sum(axis=0))
        return float(losses.sum()), gradient, self._whole(hessians.sum(axis=0))


def _add_pairs(A: _Array, P: _Array, weight: _Array | None, blocks: _Array) -> None:
    """Do blocks[pair] += A' diag(h) A for the pairs of classes."""
    K = P.shape[1]
    root = np.sqrt(P if weight is None else P * weight[:, None])
    largest = (np.arange(P.shape[0]), P.argmax(axis=1))
    rest = P.copy()
    rest[largest] = 0.0
    complement = 1.0 - P
    complement[largest] = rest.sum(axis=1)
    scaled, product = np.empty_like(A), np.empty_like(blocks[0])
    pair = 0
    for k in range(K):
        for m in range(k, K):
            factor = root[:, k] * np.sqrt(complement[:, k] if k == m else P[:, m])
            np.multiply(A, factor[:, None], out=scaled)
            np.matmul(scaled.T, scaled, out=product)  # recognised and done in half the work
            if k == m:
                blocks[pair] += product
            else:
                blocks[pair] -= product
            pair += 1


def train_epoch(
    X: _Matrix,
    y: _Array,
    theta: _Array,
    rows: NDArray[np.int64] | None,
    spec: Any,
    learning_rate: float,
) -> _Array:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`.

    A pass over each batch: no loop of its own as with one margin a row.
    """
    batch_size = spec.batch_size
    whole = SoftmaxPass(X, y, None, None, spec)
    n = whole.n_rows
    order = np.arange(n) if rows is None else rows
    losses = np.empty(-(-n // batch_size))
    for k in range(losses.size):
        chosen = order[k * batch_size : (k + 1) * batch_size]
        batch = whole if rows is None and chosen.size == n else whole.sample(chosen)
        total, gradient, _ = batch(theta)
        assert gradient is not None
        losses[k] = total / batch.n_rows
        theta -= learning_rate * (gradient / batch.n_rows)
    return losses


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) every kernel of softmax; yield its name and the seconds it took."""
    from time import perf_counter

    from fastlogreg.backends.numba.threads import prange_is_safe

    spec = SimpleNamespace(intercept=True, n_threads=1, n_outputs=3)
    for name in dtypes:
        bound = SoftmaxPass(np.ones((16, 3), dtype=name), NOTHING, None, None, spec)
        model = bound._model(np.zeros((3, 4)), kernels.LOSS)
        before = (bound._storage, bound._rows, model, Cut(0, 16, 16, 16))
        for serial, on_threads, after in (
            (kernels.evaluate, kernels.evaluate_on_threads, (_left_out(1),)),
            (kernels.predict, kernels.predict_on_threads, (np.empty((16, 3)),)),
        ):
            run, run_on_threads = forms(serial, on_threads, bound._code, before, *after)
            for kernel, call in ((serial, run), (on_threads, run_on_threads)):
                if kernel is on_threads and not prange_is_safe():
                    continue
                start = perf_counter()
                call(0, 0)
                yield f"{kernel.__name__} of softmax ({name})", perf_counter() - start
        start = perf_counter()
        bound = SoftmaxPass(np.ones((16, 3), dtype=name), np.zeros(16), None, None, spec)
        bound.lower(np.zeros(12), (np.zeros(12), np.ones(12)), 1e-8, 1)
        yield f"lower of softmax ({name})", perf_counter() - start
