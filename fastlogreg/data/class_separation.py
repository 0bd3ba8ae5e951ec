"""Separated classes of softmax: the question of two classes, asked of pairs.

Without a penalty the loss of softmax has no optimum where a direction of theta raises the margin of
each row's own class against no other class less than it stands, and against some more (Albert and
Anderson 1984). So each row i and each other class k make one row of a table whose columns are
theta's entries, ``[.., a_i in the columns of the own class, .., -a_i in those of k, ..]`` with
``a_i = (1, x_i)``, and :func:`fastlogreg.data.separation.find_separation` asks whether a direction
makes all its margins positive or 0.

As for two classes a suspicion comes first: at the optimum the residuals (share of the weight times
the probability of the other class) rule every direction out where all of them are more than
rounding; else Newton's step may, by one Hessian
(:func:`fastlogreg.data.separation.may_be_separated`). The table of pairs is made only then, and
only up to :data:`_VALUES` values.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.data.separation import InMemory, Separation, find_separation, may_be_separated

__all__ = ["find_class_separation", "names_of_entries"]

_VALUES = 20_000_000  # of the largest table of pairs

_Array = NDArray[np.float64]


def find_class_separation(
    rows: Rows,
    theta: _Array,
    *,
    intercept: bool = True,
    grows: NDArray[np.bool_] | None = None,
    decrement: float = np.inf,
) -> Separation | None:
    """Return what separates the classes of a softmax fit; None where nothing does.

    Parameters
    ----------
    rows : Rows
        As they were fitted; the targets are codes.
    theta : ndarray of shape (K, p), float64
        Where the fit ended: the nearer to the optimum, the cheaper the answer.
    intercept : bool, default=True
    grows : ndarray of shape (2, K p), bool, optional
        Entries of theta that may fall, and rise, without bound. Default: all.
    decrement : float, default=inf
        Estimated distance of the mean loss at ``theta`` above its optimum.

    Returns
    -------
    Separation or None
        Its columns are entries of theta, row after row (:func:`names_of_entries`).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [0.0], [0.0], [1.0]])
    >>> rows = Rows(X, np.array([0.0, 1.0, 2.0, 2.0]), None, None, np.arange(3))
    >>> found = find_class_separation(rows, np.zeros((3, 2)))
    >>> found.rows
    array([ True,  True,  True,  True])
    """
    n, K = rows.targets.size, theta.shape[0]
    codes = rows.targets.astype(np.int64)
    spec = backends.PassSpec("cross_entropy", "softmax", intercept, n_outputs=K)
    counts = np.ones(n, dtype=bool) if rows.weights is None else rows.weights > 0.0
    source = InMemory(MemoryRows(rows.matrix, rows.targets, rows.weights, rows.offset))
    free = np.ones((2, theta.size), dtype=bool) if grows is None else grows
    if not may_be_separated(source, spec, theta, free, decrement):
        return None
    A = _with_ones(rows.matrix, intercept)
    if 2 * (K - 1) * (A.size if isinstance(A, np.ndarray) else A.nnz) > _VALUES:
        nothing = np.zeros(n, dtype=bool)
        return Separation(
            decided=False, rows=nothing, complete=False, counted=int(np.count_nonzero(counts))
        )
    weights = None if rows.weights is None else np.repeat(rows.weights, K - 1)
    found = find_separation(
        _pairs(A, codes, K),
        np.ones(n * (K - 1)),
        theta.reshape(-1),
        sample_weight=weights,
        intercept=False,
        grows=grows,
    )
    if found is None:
        return None
    apart = np.logical_or.reduce(found.rows.reshape(n, K - 1), axis=1)
    counted = int(np.count_nonzero(counts))
    return replace(
        found,
        rows=apart,
        counted=counted,
        complete=found.decided and bool(found.rows.reshape(n, K - 1)[counts].all()),
    )


def names_of_entries(
    columns: NDArray[Any] | None, classes: NDArray[Any], width: int, intercept: bool
) -> NDArray[Any]:
    """Return what theta's entries are called, (K p,): column and class."""
    first = int(intercept)
    of = [str(j) for j in range(width - first)] if columns is None else [str(c) for c in columns]
    entries = ["intercept"] * first + of
    return np.array([f"{name} of class {label}" for label in classes.tolist() for name in entries])


def _with_ones(X: Any, intercept: bool) -> Any:
    """Return [1, X] with dense columns centred, which changes no direction but in its intercept."""
    if isinstance(X, np.ndarray):
        X = X.astype(np.float64)
        if not intercept:
            return X
        return np.column_stack([np.ones(len(X)), X - np.median(X, axis=0)])
    X = X.astype(np.float64)
    if not intercept:
        return sp.csr_array(X)
    return sp.csr_array(sp.hstack([np.ones((X.shape[0], 1)), X], format="csr"))


def _pairs(A: Any, codes: NDArray[np.int64], K: int) -> Any:
    """Return the table of pairs, (n (K - 1), K p), in CSR form."""
    n, p = A.shape
    own = np.repeat(codes, K - 1)
    others = np.array([[k for k in range(K) if k != code] for code in range(K)])[codes].reshape(-1)
    A = sp.csr_array(A)[np.repeat(np.arange(n), K - 1)]
    counts = np.diff(A.indptr)
    first = A.indices + np.repeat(np.minimum(own, others), counts) * p
    second = A.indices + np.repeat(np.maximum(own, others), counts) * p
    sign = np.repeat(np.where(own < others, 1.0, -1.0), counts)
    indptr = np.zeros(A.shape[0] + 1, dtype=np.int64)
    np.cumsum(2 * counts, out=indptr[1:])
    # within a row: the values in the columns of the smaller class, then those of the larger
    places = np.arange(A.nnz) - np.repeat(A.indptr[:-1], counts) + np.repeat(indptr[:-1], counts)
    data, indices = np.empty(2 * A.nnz), np.empty(2 * A.nnz, dtype=np.int64)
    shift = np.repeat(counts, counts)
    data[places], indices[places] = sign * A.data, first
    data[places + shift], indices[places + shift] = -sign * A.data, second
    pairs = sp.csr_array((data, indices, indptr), shape=(A.shape[0], K * p))
    pairs.eliminate_zeros()
    return pairs
