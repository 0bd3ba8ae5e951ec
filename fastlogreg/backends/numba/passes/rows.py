"""What every bound pass has, whatever it computes: rows as kernels take them, samples, sums."""

from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.passes.plan import shape_of
from fastlogreg.backends.numba.passes.readers import first_not_finite
from fastlogreg.backends.numba.passes.storage import readonly, storage_code
from fastlogreg.backends.numba.stages.csr import Csr

_FEW_VALUES = 1 << 16

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Rows = Any  # the named tuple of rows that the kernels of the pass take
_Spec = Any  # fastlogreg.backends.PassSpec, of a floor above


class RowsPass:
    """Rows of X prepared once for all passes over them.

    ``rows`` is the named tuple that the kernels of the pass take; all have ``weight`` (n,), empty
    where there are none, ``chosen`` and ``by_column``.
    """

    def __init__(
        self,
        X: _Matrix,
        storage: NDArray[np.floating] | Csr,
        rows: _Rows,
        sample_weight: NDArray[np.float64] | None,
        spec: _Spec,
    ) -> None:
        self._given = X
        self._storage, self._rows = storage, rows
        self._code = storage_code(storage)
        self._shape = shape_of(storage, rows)
        self._intercept = int(spec.intercept)
        self._n_threads = spec.n_threads
        self._plans: dict[Any, Any] = {}
        self.n_rows = int(X.shape[0])
        self.total_weight = float(self.n_rows if sample_weight is None else sample_weight.sum())

    def sample(self, rows: NDArray[np.int64]) -> Self:
        """Return the pass over these rows of it, of which none is copied."""
        assert not self._rows.chosen.size, "a sample of a sample is not offered"
        part = copy(self)
        part._rows = self._rows._replace(chosen=readonly(rows))
        part._plans = {}
        part.n_rows = int(rows.size)
        weight = self._rows.weight
        part.total_weight = float(weight[rows].sum()) if weight.size else float(rows.size)
        return part

    def _weights(self) -> NDArray[np.float64]:
        """Return the weights of the rows that there are, empty where there are none."""
        weight: NDArray[np.float64] = self._rows.weight
        chosen = self._rows.chosen
        return weight[chosen] if chosen.size and weight.size else weight

    def _largest_of_few(self, vectors: NDArray[np.float64]) -> float | None:
        """Return the largest size of margins ``A vectors'`` in rows of weight above 0, by NumPy.

        None where X is more than a small table. A fit asks for no other margins, and its first
        one spares their kernel's compilation.
        """
        X, chosen, weight = self._given, self._rows.chosen, self._weights()
        if not isinstance(X, np.ndarray) or self.n_rows * X.shape[1] > _FEW_VALUES:
            return None
        X = X[chosen] if chosen.size else X
        with np.errstate(all="ignore"):  # as kernels
            size = X @ vectors[:, self._intercept :].T + vectors[:, : self._intercept].sum(axis=1)
            size = np.abs(size)
        return float((size[weight > 0.0] if weight.size else size).max())

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""
        return first_not_finite(self._given, self._n_threads)
