"""Rows bound to several problems that share them, each on a set of its own: one reading for all.

Around :mod:`.sets_kernels`; chunks, threads and the order of the sums are those of :mod:`.bound`.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.passes import sets_kernels as kernels
from fastlogreg.backends.numba.passes.bound import kind_of
from fastlogreg.backends.numba.passes.kernels import Cut
from fastlogreg.backends.numba.passes.plan import plan_of_classes
from fastlogreg.backends.numba.passes.rows import RowsPass
from fastlogreg.backends.numba.passes.sets_kernels import Model, Rows, Sums
from fastlogreg.backends.numba.passes.storage import (
    NO_ROWS,
    NO_VALUES,
    forms,
    packed,
    readonly,
    stored,
    unpacked,
)
from fastlogreg.backends.numba.threads import run_chunks

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Spec = Any  # fastlogreg.backends.PassSpec, of a floor above
_Array = NDArray[np.float64]


class SetsPass(RowsPass):
    """Rows and sets of them; see :class:`fastlogreg.backends.SetsPass`."""

    def __init__(
        self,
        X: _Matrix,
        y: _Array,
        sample_weight: _Array | None,
        offset: _Array | None,
        members: NDArray[np.bool_] | NDArray[np.uint8],
        spec: _Spec,
    ) -> None:
        storage, by_column = stored(X)
        given = members.view(np.uint8)
        if sample_weight is not None:  # rows without weight may hold anything
            given = given * (sample_weight > 0.0)
        rows = Rows(
            readonly(y),
            NO_VALUES if sample_weight is None else readonly(sample_weight),
            NO_VALUES if offset is None else readonly(offset),
            readonly(np.ascontiguousarray(given, dtype=np.uint8)),
            NO_ROWS,
            by_column,
        )
        super().__init__(X, storage, rows, sample_weight, spec)
        self._kind, self._scale = kind_of(spec.loss, spec.activation)

    def __call__(
        self, theta: _Array, sets: NDArray[np.int64], order: int = 1
    ) -> tuple[_Array, _Array | None]:
        """Return the sums of losses, (m,), and gradients, (m, p), each over its set."""
        out = self._run(theta, sets, order, False)
        gradients = None
        if order:
            total = out.gradients.sum(axis=0)
            gradients = unpacked(total, len(theta))
        return out.losses.sum(axis=0), gradients

    def largest_margins(self, vectors: _Array, sets: NDArray[np.int64]) -> _Array:
        """Return the largest size of ``A vectors[k]`` in rows with weight of each set, (m,)."""
        largest: _Array = self._run(vectors, sets, 0, True).sizes.max(axis=0)
        return largest

    def _run(self, theta: _Array, sets: NDArray[np.int64], order: int, sizes: bool) -> Sums:
        W = packed(theta, sparse=self._shape.sparse)
        found = self._plans.get((theta.shape, order))
        if found is None:
            n = self.n_rows
            block, chunk, *rest = plan_of_classes(n, self._shape, theta.shape, order, False)
            found = self._plans[theta.shape, order] = Cut(0, n, chunk, block), *rest
        cut, chunks, seconds = found
        m = len(theta)
        out = Sums(
            np.empty((chunks, m)),
            np.empty((chunks, *W.shape) if order else (chunks, 0, 0)),
            np.empty((chunks, m if sizes else 0)),
        )
        model = Model(readonly(W), readonly(sets), self._intercept, self._kind, self._scale)
        arguments = (self._storage, self._rows, model, cut)
        run = forms(kernels.evaluate, kernels.evaluate_on_threads, self._code, arguments, out)
        run_chunks(*run, chunks, seconds, self._n_threads)
        return out


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) every kernel of sets; yield its name and the seconds it took."""
    from time import perf_counter

    spec = SimpleNamespace(intercept=True, n_threads=1, loss="bce", activation="sigmoid")
    for name in dtypes:
        start = perf_counter()
        X, members = np.ones((16, 3), dtype=name), np.ones((1, 16), dtype=bool)
        bound = SetsPass(X, np.zeros(16), None, None, members, spec)
        bound(np.zeros((1, 4)), np.zeros(1, dtype=np.int64))
        yield f"evaluate of sets ({name})", perf_counter() - start
