"""Friendly input to strict contract: the one place that raises for bad input.

Callers hand over what users have (lists, frames, integers, read-only or strided
arrays, SciPy's sparse matrices); the backends get what :mod:`fastlogreg.backends` asks for.
Nothing is copied that already fits. Each error names the argument, what was wrong and where,
and is raised before anything is computed.

Values of X are not read here: in the functional interface NaN in gives NaN out. The
estimators refuse non-finite values through :func:`check_finite`.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg.backends import (
    BACKENDS,
    COMBINATIONS,
    Matrix,
    PassSpec,
    get,
)

_INDICES = {np.dtype(np.int32), np.dtype(np.int64)}  # of sparse matrices
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PIECE = 1 << 16  # indices that are looked at together: they stay in cache
_SUM_OF_PROBABILITIES = 1e-6  # how far from 1: probabilities may come from float32
_NATIVE = (np.dtype(np.float64), np.dtype(np.float32))


def _as_float_array(value: Any, name: str) -> NDArray[np.floating]:
    """Return ``value`` as a float32 or float64 array; other real dtypes become float64."""
    if type(value) is np.ndarray:
        array = value
    else:
        check_readable(value, name)
        array = np.asarray(value)
    if array.dtype in _NATIVE and array.dtype.isnative:
        return array
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(f"{name}: complex data not supported (dtype {array.dtype})")
    if kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    if array.dtype == np.float32:  # the other byte order
        return array.astype(np.float32)
    return array.astype(np.float64)


def _numbers_of_objects(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return an array of objects as float64, if all are real numbers."""
    numbers = np.empty(array.shape)
    for index, value in np.ndenumerate(array):
        try:
            if isinstance(value, (str, bytes)):  # float() would read some
                raise TypeError
            numbers[index] = float(value)
        except (TypeError, ValueError):
            place = ", ".join(map(str, index))
            raise TypeError(
                f"{name} must be an array of real numbers, got {value!r} at index {place}"
            ) from None
    return numbers


def check_readable(value: Any, name: str) -> None:
    """Refuse what NumPy would read as something else: masked values, frames not yet computed."""
    rows = value if isinstance(value, (list, tuple)) else [value]
    if any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, rows))):
        mask = np.array([np.ma.getmaskarray(row) for row in rows])
        mask = mask if rows is value else mask[0]
        if mask.any():
            place = ", ".join(map(str, np.argwhere(mask)[0]))
            raise ValueError(
                f"{name} has masked values, first at index {place}: drop them, or put numbers in "
                "their place (filled)"
            )
    if hasattr(value, "collect") and not hasattr(value, "__array__"):
        raise TypeError(
            f"{name} is a {type(value).__name__}, which holds no rows before they are computed: "
            "give what its collect() returns"
        )


def check_matrix(X: ArrayLike, *, min_rows: int = 1) -> Matrix:
    """Return X as float32 or float64: a contiguous (C or Fortran) 2-d array, or in CSR form."""
    if is_sparse(X):
        return _check_csr(X, "X", min_rows)
    array = _as_float_array(X, "X")
    if array.ndim != 2:
        raise ValueError(
            f"X must be a 2-d array (n_samples, n_features), got {array.ndim}-d of shape "
            f"{array.shape}; use X.reshape(-1, 1) for one feature or X.reshape(1, -1) for one "
            "sample"
        )
    _check_shape(array, min_rows, "X")
    flags = array.flags
    if not (flags.c_contiguous or flags.f_contiguous) or not flags.aligned:
        array = np.ascontiguousarray(array)
        array = np.require(array, requirements="A")
    return array


def is_sparse(X: Any) -> bool:
    """Whether X is one of SciPy's sparse matrices, without importing them (0.1 s)."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(X))


def _check_shape(X: Matrix, min_rows: int, name: str) -> None:
    n, d = X.shape
    if n < min_rows or d < 1:
        raise ValueError(
            f"{name} must have at least {min_rows} sample(s) and 1 feature, got shape {X.shape}"
        )


def _check_csr(X: Any, name: str, min_rows: int = 1) -> Matrix:
    """Return a sparse matrix in the form that backends take; one that has it is not copied.

    SciPy's matrices are open to change, and neither SciPy nor a kernel looks where their indices
    lead: that is looked at here before anyone follows them, whatever they are flagged as.
    """
    if X.ndim != 2:
        raise ValueError(f"{name} must be 2-d (n_samples, n_features), got {X.ndim}-d sparse")
    _check_shape(X, min_rows, name)
    matrix = X if X.format == "csr" else _to_csr(X, name)
    data, indices, indptr = map(np.asarray, (matrix.data, matrix.indices, matrix.indptr))
    n, d = matrix.shape
    ordered = _check_runs(indptr, indices, data, (n, d), name, ("row", "column"))
    values = _as_float_array(matrix.data, name)
    if not (
        values is matrix.data
        and values.size == indptr[-1]
        and all(part.flags.c_contiguous and part.flags.aligned for part in (values, indices))
        and indptr.flags.aligned
        and indices is matrix.indices
        and indptr is matrix.indptr
        and {indices.dtype, indptr.dtype} <= _INDICES
    ):
        stored = int(indptr[-1])
        parts = (values[:stored], indices[:stored], indptr)
        tidy = tuple(np.require(part, requirements=["C", "A"]) for part in parts)
        matrix = type(matrix)(tidy, shape=(n, d))
    if not ordered:
        matrix = matrix.copy()  # without flags, and nobody else's
        matrix.sum_duplicates()
    return matrix


def _to_csr(X: Any, name: str) -> Any:
    """Return another sparse form as CSR; what leads the conversion astray is refused."""
    n, d = X.shape
    if X.format == "csc":
        _check_runs(X.indptr, X.indices, X.data, (d, n), name, ("column", "row"))
    elif X.format == "bsr":
        height, width = X.blocksize
        shape = n // height, d // width
        _check_runs(X.indptr, X.indices, X.data, shape, name, ("block row", "block column"))
    elif X.format == "dia":
        if X.data.ndim != 2 or X.offsets.shape != X.data.shape[:1]:
            raise ValueError(f"{name} is a damaged sparse matrix: it has not one offset a diagonal")
    elif X.format == "lil":
        for i, (columns, values) in enumerate(zip(X.rows, X.data, strict=True)):
            if len(columns) != len(values):
                raise ValueError(
                    f"{name} is a damaged sparse matrix: row {i} has {len(values)} values and "
                    f"{len(columns)} column indices"
                )
    else:
        X = X.tocoo()
        if not X.row.shape == X.col.shape == X.data.shape:
            raise ValueError(
                f"{name} is a damaged sparse matrix: it has {X.data.size} values, {X.row.size} row "
                f"indices and {X.col.size} column indices"
            )
        for indices, bound, what in ((X.row, n, "row"), (X.col, d, "column")):
            k = _first_outside(indices, bound)
            if k is not None:
                raise ValueError(
                    f"{name} is a damaged sparse matrix: value {k}, in row {X.row[k]}, has the "
                    f"{what} index {indices[k]}, outside 0 .. {bound - 1}"
                )
    return X.tocsr()


def _first_outside(indices: NDArray[np.integer], bound: int) -> int | None:
    """Return the first place of an index outside 0 .. bound - 1."""
    if indices.dtype.kind not in "iu":
        return 0 if indices.size else None
    # a negative one is a large one without its sign
    unsigned = indices.view(indices.dtype.str.replace("i", "u"))
    if not indices.size or unsigned.max() < bound:
        return None
    return int(np.flatnonzero(unsigned >= bound)[0])


def _check_runs(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    data: NDArray[Any],
    shape: tuple[int, int],
    name: str,
    words: tuple[str, str],
) -> bool:
    """Refuse a compressed matrix whose runs leave its arrays, or whose indices its shape.

    ``words`` name a run and a place in it: row and column of CSR. Returns whether the places of
    each run are in order and none is there twice.
    """
    n, d = shape
    run, place = words
    damaged = f"{name} is a damaged sparse matrix"
    if indptr.shape != (n + 1,) or indptr.dtype.kind not in "iu":
        raise ValueError(
            f"{damaged}: indptr must be {n + 1} integers, got shape {indptr.shape} of dtype "
            f"{indptr.dtype}"
        )
    stored = min(indices.size, len(data))
    starts, ends = indptr[:-1], indptr[1:]
    if indptr[0] != 0 or indptr[-1] > stored or (ends < starts).any():
        wrong = (starts < 0) | (ends < starts) | (ends > stored)
        wrong[0] |= indptr[0] != 0
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{damaged}: by indptr {run} {i} goes from {starts[i]} to {ends[i]} of the {stored} "
            "stored values"
        )
    if indices.ndim != 1 or indices.size != len(data):
        i = min(int(np.searchsorted(ends, stored, side="right")), n - 1)
        raise ValueError(
            f"{damaged}: it has {len(data)} values and {indices.size} {place} indices, which part "
            f"in {run} {i}"
        )
    stored = int(indptr[-1])
    ordered = True
    for low in range(0, stored, _PIECE):
        piece = indices[low : min(low + _PIECE, stored)]
        k = _first_outside(piece, d)
        if k is not None:
            i = int(np.searchsorted(ends, low + k, side="right"))
            raise ValueError(
                f"{damaged}: {run} {i} has the {place} index {piece[k]}, outside 0 .. {d - 1}"
            )
        following = indices[low + 1 : min(low + _PIECE + 1, stored)]
        rises = following > piece[: following.size]
        # of its own dtype, or NumPy would convert all of indptr for each piece
        between = np.array([low + 1, low + following.size + 1], dtype=indptr.dtype)
        first, last = indptr.searchsorted(between)
        rises[indptr[first:last] - (low + 1)] = True  # from one run to the next
        ordered = ordered and bool(rises.all())
    return ordered


def check_vector(
    value: ArrayLike, name: str, length: int, *, of: str = "one value for each row of X"
) -> NDArray[np.float64]:
    """Return ``value`` as a contiguous float64 vector of the given length."""
    if type(value) is not np.ndarray:
        check_readable(value, name)
        value = np.asarray(value)
    if value.dtype.kind == "O":  # as a table's columns of mixed origin are
        value = _numbers_of_objects(value, name)
    array = _as_float_array(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-d, got {array.ndim}-d of shape {array.shape}")
    if array.shape[0] != length:
        raise ValueError(f"{name} must have length {length} ({of}), got {array.shape[0]}")
    flags = array.flags
    if array.dtype == _NATIVE[0] and flags.c_contiguous and flags.aligned:
        return cast("NDArray[np.float64]", array)  # np.require finds out the same, for 1.5 us
    return np.require(array, np.float64, ["C", "A"])


def check_table(
    value: ArrayLike, name: str, shape: tuple[int | None, int | None], of: str
) -> NDArray[np.float64]:
    """Return ``value`` as a C-contiguous float64 matrix of the given shape; None: any length."""
    check_readable(value, name)
    array = np.asarray(value)
    if array.dtype.kind == "O":
        array = _numbers_of_objects(array.ravel(), name).reshape(array.shape)
    array = _as_float_array(array, name)
    wanted = tuple("K" if size is None else size for size in shape)
    fits = array.ndim == 2 and all(
        size is None or size == found for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        text = f"({wanted[0]}, {wanted[1]})"
        raise ValueError(f"{name} must have shape {text} ({of}), got shape {array.shape}")
    return np.require(array, np.float64, ["C", "A"])


def check_targets(y: ArrayLike, n: int, n_classes: int | None) -> NDArray[np.float64]:
    """Return what softmax is compared with: codes (n,), or rows of probabilities (n, K)."""
    if not is_sparse(y) and np.ndim(y) == 2:
        return check_table(y, "y", (n, n_classes), "a row of probabilities for each row of X")
    return check_vector(y, "y", n)


def check_classes(y: NDArray[np.float64], n_classes: int) -> None:
    """Refuse codes that are no class, and rows that are no probabilities.

    NaN in a row of probabilities is let through: NaN in gives NaN out.
    """
    if y.ndim == 1:
        wrong = np.flatnonzero(~((y >= 0.0) & (y < n_classes) & (y == np.floor(y))))
        if wrong.size:
            raise ValueError(
                f"y must hold the codes 0 .. {n_classes - 1} of the {n_classes} classes, got "
                f"{y[wrong[0]]} at index {wrong[0]}"
            )
        return
    outside = np.argwhere((y < 0.0) | (y > 1.0))
    if outside.size:
        i, k = outside[0]
        raise ValueError(f"y must lie in [0, 1], got {y[i, k]} in row {i}, column {k}")
    sums = y.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_OF_PROBABILITIES)
    if wrong.size:
        raise ValueError(
            f"each row of y must have the sum 1, got {sums[wrong[0]]} in row {wrong[0]}"
        )


def check_labels(y: NDArray[np.float64], activation: str) -> None:
    """Refuse labels outside [0, 1] unless the activation is the identity.

    NaN is let through: NaN in gives NaN out.
    """
    if activation == "identity":
        return
    outside = np.flatnonzero((y < 0.0) | (y > 1.0))
    if outside.size:
        raise ValueError(
            f"y must lie in [0, 1] for activation {activation!r}, got "
            f"{y[outside[0]]} at index {outside[0]}"
        )


def check_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Return the weights as (n,) float64: finite, none negative, not all zero."""
    if sample_weight is None:
        return None
    array = check_vector(sample_weight, "sample_weight", n)
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0.0)))
    if bad.size:
        value = array[bad[0]]
        what = "negative" if value < 0 else "NaN or infinity"
        raise ValueError(
            f"sample_weight must be finite and not negative, got {what} ({value}) at index {bad[0]}"
        )
    if not array.any():
        raise ValueError("sample_weight is zero for every sample: there is nothing to learn from")
    with np.errstate(over="ignore"):
        if array.sum() == np.inf:
            raise ValueError("sample_weight is too large: the sum of all overflows float64")
    if array.max() < np.finfo(np.float64).tiny:
        raise ValueError(
            "sample_weight is too small: the largest, "
            f"{array.max():g}, is below what float64 holds in full; multiply all of them"
        )
    return array


def check_offset(
    offset: ArrayLike | None, n: int, n_outputs: int = 1, *, finite: bool = False
) -> NDArray[np.float64] | None:
    """Return the offset as float64, (n,) or for several columns of margins (n, m), or None.

    NaN and infinity are refused where that is asked for.
    """
    if offset is None:
        return None
    if n_outputs == 1:
        array = check_vector(offset, "offset", n)
    else:
        array = check_table(offset, "offset", (n, n_outputs), "one value for each class")
    if finite and not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        at = f"index {first[0]}" if n_outputs == 1 else f"row {first[0]}, column {first[1]}"
        raise ValueError(f"offset must be finite, got {array[tuple(first)]} at {at}")
    return array


def check_theta(
    theta: ArrayLike, n_features: int, *, intercept: bool, copy: bool = False
) -> NDArray[np.float64]:
    """Return theta as (p,) float64, p = n_features + 1 with an intercept."""
    layout = "[b, w_1 .. w_d]" if intercept else "[w_1 .. w_d], since intercept=False"
    array = check_vector(theta, "theta", n_features + bool(intercept), of=layout)
    return array.copy() if copy else array


def check_class_theta(
    theta: ArrayLike, n_features: int, *, intercept: bool, copy: bool = False
) -> NDArray[np.float64]:
    """Return theta as (K, p) float64, one row for each class, two of them at the least."""
    layout = "[b, w_1 .. w_d]" if intercept else "[w_1 .. w_d], since intercept=False,"
    of = f"a row {layout} for each class"
    array = check_table(theta, "theta", (None, n_features + bool(intercept)), of)
    if array.shape[0] < 2:
        raise ValueError(f"theta must have a row for each of two classes or more, got {len(array)}")
    return array.copy() if copy else array


def check_width(X: Matrix, n_features: int, estimator: str) -> None:
    """Refuse rows of another width than the model's, in scikit-learn's words."""
    if X.shape[1] != n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but {estimator} is expecting {n_features} features as "
            "input."
        )


def check_coefficients(
    coef: Any, intercept: Any, n_features: int | None = None
) -> NDArray[np.float64]:
    """Return rows of [b, w_1 .. w_d], (m, 1 + d), of coefficients in whatever form they were set.

    ``coef`` is (m, d), dense or sparse, one row for two classes and else one a class, or (d,); d is
    its own where ``n_features`` is None. ``intercept`` is (m,), or a number.
    """
    if is_sparse(coef):
        coef = cast(Any, _check_csr(coef, "coef_")).toarray()
    w = _as_float_array(coef, "coef_")
    b = _as_float_array(intercept, "intercept_")
    d = (w.shape[-1] if w.ndim else 1) if n_features is None else n_features
    rows = w.shape[0] if w.ndim == 2 else 1
    if (w.shape != (rows, d) and (w.shape != (d,) or d < 1)) or rows in (0, 2):
        raise ValueError(
            f"coef_ must have shape (1, {d}), one value for each column of X, or for more than two "
            f"classes (n_classes, {d}); got shape {w.shape}"
        )
    if b.shape not in ((rows,), ()) or (b.shape == () and rows > 1 and b != 0.0):
        raise ValueError(f"intercept_ must have shape ({rows},), got shape {b.shape}")
    theta = np.empty((rows, 1 + d))
    theta[:, 0] = b
    theta[:, 1:] = w
    return theta


def check_start(theta: NDArray[np.float64]) -> None:
    """Refuse coefficients, rows of [b, w_1 .. w_d], from which no fit can start."""
    bad = np.argwhere(~np.isfinite(theta))
    if bad.size:
        k, j = bad[0].tolist()
        row = f" of row {k}" if len(theta) > 1 else ""
        what = (
            f"coef_ has {theta[k, j]} for column {j - 1}{row}"
            if j
            else f"intercept_ is {theta[k, 0]}{row}"
        )
        raise ValueError(
            f"{what}: warm_start=True starts from these coefficients, which must be finite; set "
            "others, or warm_start=False"
        )


def check_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def check_combination(
    loss: str, activation: str, pairs: Sequence[tuple[str, str]] = COMBINATIONS
) -> tuple[str, str]:
    """Return the pair if the loss and the activation exist and go together."""
    if (loss, activation) not in pairs:
        check_choice(loss, "loss", tuple(dict.fromkeys(pair[0] for pair in pairs)))
        check_choice(activation, "activation", tuple(dict.fromkeys(pair[1] for pair in pairs)))
        if activation == "softmax" or loss == "cross_entropy":
            advice = "softmax and loss='cross_entropy' go together, and with nothing else"
        else:
            advice = (
                "the identity is no probability; use loss='mse', or activation='sigmoid' or 'tanh'"
            )
        raise ValueError(f"loss={loss!r} does not go with activation={activation!r}: {advice}")
    return loss, activation


def check_backend(backend: str) -> str:
    """Return the name of a backend that exists."""
    return check_choice(backend, "backend", BACKENDS)


def check_count(value: Any, name: str, *, low: int = 1, none: bool = False) -> int | None:
    """Return an integer of at least ``low`` (or None where None is allowed)."""
    if value is None and none:
        return None
    if not isinstance(value, Integral) or isinstance(value, (bool, np.bool_)):
        allowed = " or None" if none else ""
        raise TypeError(f"{name} must be an integer{allowed}, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def check_real(value: Any, name: str, *, positive: bool = True, infinite: bool = False) -> float:
    """Return a real number above zero (or, with positive=False, not below it)."""
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer
        raise ValueError(f"{name} is beyond the largest float64") from None
    ok = number > 0.0 if positive else number >= 0.0
    if not ok or (number == np.inf and not infinite):
        bound = "above 0" if positive else "at least 0"
        finite = "" if infinite else " and finite"
        raise ValueError(f"{name} must be {bound}{finite}, got {value}")
    return number


def check_share(value: Any, name: str, *, closed: bool = False) -> float:
    """Return a real number of at least 0 and below 1, or at most 1 where ``closed``."""
    number = check_real(value, name, positive=False)
    if number > 1.0 or (number == 1.0 and not closed):
        raise ValueError(
            f"{name} must be at least 0 and {'at most' if closed else 'below'} 1, got {value}"
        )
    return number


def check_flag(value: Any, name: str) -> bool:
    """Return a truth value; numbers and strings are refused, they are mistakes mostly."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_threads(n_threads: Any, n_jobs: Any = None) -> int | None:
    """Return how many threads there may be at most, None for all; ``n_threads`` goes before."""
    threads = check_count(n_threads, "n_threads", none=True)
    if n_jobs is None:
        return threads
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, (bool, np.bool_)):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}")
    jobs = int(n_jobs)
    if jobs == 0:
        raise ValueError("n_jobs must not be 0: -1 or None for all threads, k for at most k")
    if threads is not None or jobs == -1:
        return threads
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def resolve_penalty(penalty: Any, C: Any, l1_ratio: Any) -> tuple[float, float]:
    """Return C and the share of L1, for the three parameters in which scikit-learn has them.

    ``penalty`` is deprecated there since 1.8, and so is ``l1_ratio=None``; what they mean and the
    warnings about them are scikit-learn's.
    """
    C = check_real(C, "C", infinite=True)
    share = None if l1_ratio is None else check_share(l1_ratio, "l1_ratio", closed=True)
    kind = penalty
    if isinstance(penalty, str) and penalty == "deprecated":
        if share is None:
            warn(
                "'l1_ratio=None' was deprecated in version 1.8 of scikit-learn and will be an "
                "error in 1.10. Use 0<=l1_ratio<=1 instead.",
                FutureWarning,
            )
        if C == np.inf:
            kind = None
        else:
            kind = {None: "l2", 0.0: "l2", 1.0: "l1"}.get(share, "elasticnet")
    else:
        if penalty is not None:
            check_choice(penalty, "penalty", ("l1", "l2", "elasticnet"))
        warn(
            "'penalty' was deprecated in version 1.8 of scikit-learn and will be removed in 1.10. "
            "Leave it out: l1_ratio=0 is penalty='l2', l1_ratio=1 is penalty='l1', an l1_ratio "
            "between 0 and 1 is penalty='elasticnet', and C=np.inf is penalty=None.",
            FutureWarning,
        )
        if penalty is None and C != 1.0:
            warn("Setting penalty=None will ignore the C and l1_ratio parameters")
        if (penalty == "l2" and share != 0.0) or (penalty == "l1" and share != 1.0):
            warn(
                f"Inconsistent values: penalty={penalty} with l1_ratio={l1_ratio}. penalty is "
                "deprecated. Please use l1_ratio only."
            )
    if kind == "elasticnet":
        if share is None:
            raise ValueError("l1_ratio must be specified when penalty is elasticnet.")
        return C, share
    if share is not None and 0.0 < share < 1.0:
        warn(f"l1_ratio parameter is only used when penalty is 'elasticnet'. Got (penalty={kind})")
    return (np.inf if kind is None else C), float(kind == "l1")


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called into this package, through however many of our own frames."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def refuse_penalties_beside_firth(C: float, lower: Any, upper: Any) -> None:
    """Refuse a penalty of ``C`` or bounds beside Firth's."""
    if C < np.inf:
        raise ValueError(
            f"firth=True is a penalty of its own: set C=np.inf beside it, got C={C:g}; or set "
            "firth=False"
        )
    if lower is not None or upper is not None:
        raise ValueError("firth=True is not offered with lower_bounds or upper_bounds")


def check_two_classes(n_classes: int, name: str) -> None:
    """Refuse more than two classes."""
    if n_classes > 2:
        raise ValueError(
            f"{name} is for two classes. Only binary classification is supported: y has "
            f"{n_classes} classes; leave some out"
        )


def check_penalty(C: float, total: float) -> float:
    """Return the strength of the penalty on the mean loss, for ``total`` the sum of weights."""
    strength = C * total
    if strength == 0.0 or 1.0 / strength == np.inf:
        raise ValueError(
            f"C={C:g} is too small: one over C times the sum of weights ({total:g}) overflows "
            "float64"
        )
    return 1.0 / strength


def check_strengths(
    strength: float, factors: NDArray[np.float64] | None
) -> float | NDArray[np.float64]:
    """Return the strength of the penalty, or of each column's, (d,), where there are factors."""
    if factors is None:
        return strength
    with np.errstate(over="ignore"):
        strengths: NDArray[np.float64] = strength * factors
    beyond = np.flatnonzero(np.isinf(strengths))
    if beyond.size:
        raise ValueError(
            f"penalty_factors has {factors[beyond[0]]} for column {beyond[0]}: times the strength "
            f"of the penalty ({strength:g}) it overflows float64"
        )
    return strengths


def check_factors(factors: Any, n_features: int) -> NDArray[np.float64] | None:
    """Return the penalty factors, (d,): finite, none negative; None where all are 1."""
    if factors is None:
        return None
    array = check_vector(
        factors, "penalty_factors", n_features, of="one value for each column of X"
    )
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0.0)))
    if bad.size:
        raise ValueError(
            f"penalty_factors must be finite and not negative, got {array[bad[0]]} for column "
            f"{bad[0]}"
        )
    return None if (array == 1.0).all() else array


def check_bounds(
    lower: Any, upper: Any, n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the bounds of the coefficients, (d,) each; None where there are none."""
    if lower is None and upper is None:
        return None
    low = _bound(lower, "lower_bounds", n_features, -np.inf)
    high = _bound(upper, "upper_bounds", n_features, np.inf)
    crossed = np.flatnonzero(low > high)
    if crossed.size:
        j = crossed[0]
        raise ValueError(
            f"lower_bounds must not be above upper_bounds, got {low[j]} and {high[j]} for column "
            f"{j}"
        )
    return (low, high) if np.isfinite(low).any() or np.isfinite(high).any() else None


def _bound(value: Any, name: str, n_features: int, none: float) -> NDArray[np.float64]:
    """Return one side's bounds, (d,); ``none`` is the infinity that stands for no bound."""
    if value is None:
        return np.full(n_features, none)
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        array = np.full(n_features, float(value))
    elif isinstance(value, (str, bytes, bool, np.bool_)):
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}")
    else:
        array = check_vector(value, name, n_features, of="one value for each column of X")
    bad = np.flatnonzero(np.isnan(array) | (array == -none))
    if bad.size:
        raise ValueError(
            f"{name} must be numbers or {none}, got {array[bad[0]]} for column {bad[0]}"
        )
    return array


def check_pyplot() -> Any:
    """Return matplotlib's pyplot; it is imported here, where something is drawn."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot needs Matplotlib: python3 -m pip install 'fastlogreg[plot]'"
        ) from error
    return plt


def check_finite(
    X: Matrix, *, estimator: str = "LogisticRegression", n_threads: int | None = None
) -> None:
    """Refuse NaN and infinity in X, naming the first row and column that has one.

    The words are scikit-learn's, which its users and tests look for.
    """
    if not X.shape[0]:  # a pass reads one row at least
        return
    found = get("numba").bind(X, None, None, None, PassSpec(n_threads=n_threads)).first_not_finite()
    if found is None:
        return
    row, column = found
    what = "NaN" if np.isnan(X[row, column]) else "infinity"
    raise ValueError(
        f"Input X contains {what}, first at row {row}, column {column}. {estimator} does not "
        "accept missing values encoded as NaN, nor infinity: impute or drop them."
    )
