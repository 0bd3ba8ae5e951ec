"""Rows and labels as scikit-learn validates them, under the strict contract of the backends.

What scikit-learn offers is called and not rebuilt; only the check for NaN and infinity in X is our
own, since it runs on all threads. Nothing here changes the estimator.
"""

from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from fastlogreg import backends
from fastlogreg.data import validation as check
from fastlogreg.data.labels import (
    check_class_weight,
    encode_classes,
    encode_known_classes,
    weights_by_class,
)
from fastlogreg.data.memory import Columns, Rows
from fastlogreg.data.parts import PartedRows, joined
from fastlogreg.data.schema import Encoded, Schema

__all__ = [
    "Training",
    "checked_rows",
    "encoded_matrix",
    "encoded_rows",
    "in_one",
    "is_lazy",
    "is_opened",
    "is_plain",
    "scored_rows",
    "training",
    "training_data",
    "validated",
]

_DTYPES = [np.float64, np.float32]


def validated(
    estimator: Any, X: Any, *y: Any, reset: bool = True
) -> tuple[backends.Matrix, Any, Columns]:
    """Return X under the strict contract, y (None without one) and what is noted of columns.

    Both as scikit-learn's ``validate_data`` takes them, which notes on its way what it sees:
    here on a stand-in, so that the estimator stays as it is.
    """
    if isinstance(X, str | Path):
        raise TypeError(f"X is the path {str(X)!r}: give what open_rows returns for it")
    for value, name in zip((X, *y), "Xy", strict=False):
        check.check_readable(value, name)
    sparse = check.is_sparse(X)
    if sparse:  # before SciPy converts it: that reads what a damaged one says
        X = check.check_matrix(X)
    stand_in = object.__new__(type(estimator))
    stand_in.__dict__.update(vars(estimator))
    try:
        found = validate_data(
            stand_in,
            X,
            *y,
            dtype=_DTYPES,
            ensure_all_finite=False,  # of X: looked for later
            accept_sparse="csr",
            reset=reset,
        )
    except (ValueError, TypeError) as error:
        # the values say what was wrong, where scikit-learn names neither X nor y
        without_labels = bool(y) and y[0] is None
        text = isinstance(error, ValueError) and not sparse and _holds_text(X)
        if text and not without_labels:
            advice = "; open_rows(frame, target=...) makes numbers of a frame's text"
            raise ValueError(
                f"X must hold numbers alone: {error}{advice if hasattr(X, 'columns') else ''}"
            ) from error
        if y and _holds_missing(y[0]):
            raise ValueError("Input y contains NaN or NA") from error
        raise
    table, labels = found if y else (found, None)
    names = getattr(stand_in, "feature_names_in_", None)
    matrix = X if sparse else check.check_matrix(table)
    return matrix, labels, Columns(matrix.shape[1], names)


def training_data(
    estimator: Any, X: Any, y: Any, *, reset: bool = True
) -> tuple[backends.Matrix, NDArray[Any], Columns]:
    """Return X and y as :func:`validated` does, and what is noted of X.

    Plain arrays and sparse rows that it would let through as they are do without it: it takes
    0.3 ms, as long as a fit of a hundred rows. ``reset`` says whether columns may be others
    than before.
    """
    if is_opened(X) or is_lazy(X):
        what = "a collection of Dask" if is_lazy(X) else "rows of open_rows"
        raise TypeError(f"{what} is taken by fit, not in pieces: X must be an array")
    plain = (
        (is_plain(X) or check.is_sparse(X))
        and type(y) is np.ndarray
        and y.shape == X.shape[:1]
        and (y.dtype.kind in "iub" or (y.dtype.kind == "f" and np.isfinite(y).all()))
    )
    same = reset or not (
        hasattr(estimator, "feature_names_in_") or X.shape[1:] != (estimator.n_features_in_,)
    )
    if plain and same:
        return check.check_matrix(X), y, Columns(X.shape[1], None)
    return validated(estimator, X, y, reset=reset)


def checked_rows(
    estimator: Any,
    matrix: backends.Matrix,
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    offset: ArrayLike | None,
    *,
    labels: NDArray[Any] | None = None,
    finite: bool = True,
) -> Rows:
    """Return the rows to fit under the strict contract.

    ``labels`` are the classes where they are known; ``finite`` says whether to look for NaN and
    infinity in X now.
    """
    if finite:
        name, threads = type(estimator).__name__, estimator._threads()
        check.check_finite(matrix, estimator=name, n_threads=threads)
    n = matrix.shape[0]
    if isinstance(sample_weight, Real):  # one for all
        sample_weight = np.full(n, sample_weight)
    weights = check.check_weights(sample_weight, n)
    if labels is None:
        labels, targets = encode_classes(y, weights)
    else:
        targets = encode_known_classes(y, labels)
    known = check.check_offset(offset, n, 1 if labels.size == 2 else labels.size, finite=True)
    if estimator.class_weight is not None:
        each = check_class_weight(estimator.class_weight, labels, targets, weights)
        weights = check.check_weights(weights_by_class(targets, weights, each), n)
    return Rows(matrix, targets, weights, known, labels)


class Training(NamedTuple):
    """What a fit begins with.

    Attributes
    ----------
    rows : Rows
        In memory; where ``source`` has them in parts, the first of them.
    columns : Columns
    y : ndarray of shape (n,)
        Labels, as they were given.
    metadata : dict
        What was given beside, by name.
    source : PartedRows, optional
        All rows, where they are more than are held in memory.
    fitted : dict
        What the estimator takes on beside what the fit finds: the schema of a table.
    """

    rows: Rows
    columns: Columns
    y: NDArray[Any]
    metadata: dict[str, Any]
    source: PartedRows | None = None
    fitted: dict[str, Any] = {}  # noqa: RUF012
    by_class: NDArray[np.float64] | None = None

    def with_labels(self) -> "Training":
        """Return the same with the targets and weights of all rows in memory, where they weren't.

        The matrix of ``rows`` is still that of the first ones. Labels and the user's weights,
        ``metadata["sample_weight"]``, are those of all rows.
        """
        if self.source is None:
            return self
        targets, weights = self.source.labels
        codes = targets.astype(np.intp)
        given = weights
        if weights is not None and self.by_class is not None:
            each = self.by_class[codes]
            given = np.divide(weights, each, out=np.zeros_like(weights), where=each > 0.0)
        rows = self.rows._replace(targets=targets, weights=weights, offset=None)
        metadata = {"sample_weight": given if self.is_weighted else None, "offset": None}
        return self._replace(rows=rows, y=self.rows.classes[codes], metadata=metadata)

    @property
    def is_weighted(self) -> bool:
        """Return whether the rows in parts have weights of the user's."""
        schema = self.fitted.get("schema_")
        if schema is not None:
            return schema.sample_weight is not None
        return self.metadata["sample_weight"] is not None


def training(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    offset: Any,
    *,
    finite: bool = True,
    parts: bool = False,
    partitions: bool = False,
) -> Training:
    """Return what a fit begins with: arrays, checked, or the rows that ``open_rows`` opened.

    ``finite`` says whether to look for NaN and infinity in X now, ``parts`` whether the
    estimator can do with rows that are never in memory together, ``partitions`` whether with those
    of Dask, too.
    """
    metadata = {"sample_weight": sample_weight, "offset": offset}
    if is_lazy(X):
        if not partitions:
            raise TypeError(
                "all rows must be in memory here, and X is a collection of Dask: compute() it, or "
                "take LogisticRegression.fit (without firth)"
            )
        return _of_collection(estimator, X, y, metadata)
    if not is_opened(X):
        matrix, labels, columns = training_data(estimator, X, y)
        if isinstance(sample_weight, Real):  # one for all: callbacks hear of each
            metadata["sample_weight"] = sample_weight = np.full(matrix.shape[0], sample_weight)
        rows = checked_rows(estimator, matrix, labels, sample_weight, offset, finite=finite)
        return Training(rows, columns, labels, metadata)
    for name, value in {"y": y, **metadata}.items():
        if value is not None:
            role = "target" if name == "y" else name
            raise TypeError(
                f"{name} must not be given beside rows of open_rows: its {role}= names the column"
            )
    columns = Columns(X.schema.width, X.schema.names())
    fitted = {"schema_": X.schema}
    labels, by_class = X.classes, None
    if estimator.class_weight is not None:
        codes, sums = np.arange(labels.size, dtype=np.float64), X.counts.weights
        by_class = check_class_weight(estimator.class_weight, labels, codes, sums)
    if not X.fits_in_memory():
        if not parts:
            raise ValueError(
                f"all rows must be in memory here, and those of {X.name} take up more than half of "
                f"memory_limit={X.memory_limit:,} bytes: raise it in open_rows, or take "
                "LogisticRegression.fit (without firth), which reads them again and again"
            )
        first = X.first_rows()
        given = labels[first.targets.astype(np.intp)]
        _refuse_weightless(by_class, f"those of {X.name}")
        return Training(first, columns, given, metadata, X.source(by_class), fitted, by_class)
    rows = X.collect()
    metadata = {"sample_weight": rows.weights, "offset": rows.offset}
    codes = rows.targets.astype(np.intp)
    if by_class is not None:
        weights = weights_by_class(rows.targets, rows.weights, by_class)
        rows = rows._replace(weights=check.check_weights(weights, codes.size))
    return Training(rows, columns, labels[codes], metadata, None, fitted)


def _of_collection(estimator: Any, X: Any, y: Any, metadata: dict[str, Any]) -> Training:
    """Return what a fit of a collection of Dask begins with."""
    from fastlogreg.data.cluster import open_collection

    found = open_collection(X, y, metadata["sample_weight"], metadata["offset"])
    by_class = None
    if estimator.class_weight is not None:
        codes = np.arange(found.classes.size, dtype=np.float64)
        sums = found.counts[1]
        by_class = check_class_weight(estimator.class_weight, found.classes, codes, sums)
    _refuse_weightless(by_class, "those of a collection of Dask")
    matrix, labels = found.first_rows()
    first = Rows(matrix, np.zeros(matrix.shape[0]), None, None, found.classes)
    source = PartedRows(found.source(by_class))
    return Training(first, found.columns, labels, metadata, source, by_class=by_class)


def _refuse_weightless(by_class: NDArray[np.float64] | None, what: str) -> None:
    """Refuse class weights of 0 where rows are not in memory together."""
    if by_class is not None and not by_class.all():
        raise ValueError(
            f"class_weight may hold 0 only where all rows are in memory, and {what} are not: "
            "leave these rows out"
        )


def is_lazy(X: Any) -> bool:
    """Whether X is a collection of Dask; what only they need is imported by them."""
    if not type(X).__module__.startswith("dask"):
        return False
    from fastlogreg.data.cluster import is_collection

    return is_collection(X)


def is_opened(X: Any) -> bool:
    """Whether X is rows of ``open_rows``; what only they need is imported by them."""
    return type(X).__name__ == "TableRows" and type(X).__module__ == "fastlogreg.data.files"


def encoded_rows(estimator: Any, X: Any, *, score: bool = False) -> Iterator[Encoded] | None:
    """Return a table to predict in encoded batches; None where X is none, but an array.

    A frame is one where the model was fitted on a table, unless its columns are those of the
    encoded rows. ``score`` says whether target and weights are read, too.
    """
    schema: Schema | None = getattr(estimator, "schema_", None)
    opened = is_opened(X)
    if schema is None:
        if opened:
            raise ValueError(
                f"this {type(estimator).__name__} was not fitted on rows of open_rows, so it does "
                "not know which columns to take: predict arrays or a frame"
            )
        return None
    from fastlogreg.data.tables import is_frame

    if not opened and not is_frame(X):
        return None
    roles = ["offset"] if schema.offset is not None else []
    if score:
        roles += ["target", *(["sample_weight"] if schema.sample_weight is not None else [])]
    if opened:
        found: Iterator[Encoded] = X.encoded_by(schema, roles)
        return found
    from fastlogreg.data.files import encoded_batches
    from fastlogreg.data.tables import open_table

    table = open_table(X)
    if schema.has_categories and set(table.names) == set(schema.names()):
        return None
    return encoded_batches(schema, table, roles)


def encoded_matrix(
    estimator: Any, X: Any
) -> tuple[backends.Matrix, NDArray[np.float64] | None] | None:
    """Return a table to predict as one matrix, and its offset; None where X is none."""
    batches = encoded_rows(estimator, X)
    if batches is None:
        return None
    whole = in_one(batches)
    return whole.matrix, whole.offset


def scored_rows(estimator: Any, X: Any, sample_weight: Any, offset: Any) -> Iterator[Encoded]:
    """Return a table that holds its labels in encoded batches; refuse what is none."""
    batches = encoded_rows(estimator, X, score=True)
    if batches is None:
        raise ValueError("y must be given: only rows of open_rows name their labels")
    for name, value in {"sample_weight": sample_weight, "offset": offset}.items():
        if value is not None:
            raise TypeError(
                f"{name} must not be given without y: of a table it is the column that open_rows "
                "named"
            )
    return batches


def in_one(batches: Iterator[Encoded]) -> Encoded:
    """Return the rows of all batches as one."""
    return Encoded(*(joined(list(each)) for each in zip(*batches, strict=True)))


def is_plain(X: Any) -> bool:
    """Whether X is an array that scikit-learn's validation would return as it is."""
    return type(X) is np.ndarray and X.dtype in _DTYPES and X.ndim == 2 and X.size > 0


def _holds_text(X: Any) -> bool:
    """Whether X holds what does not become a number."""
    try:
        values = np.asarray(X)
    except (ValueError, TypeError):
        return False
    if values.dtype.kind not in "OSTU":
        return False
    try:
        values.astype(np.float64)
    except (ValueError, TypeError):
        return True
    return False


def _holds_missing(y: Any) -> bool:
    """Whether y holds NaN, or an NA of pandas."""
    try:
        values = np.asarray(y)
    except (ValueError, TypeError):
        return False
    if values.dtype.kind == "f":
        return bool(np.isnan(values).any())
    return values.dtype.kind == "O" and any(map(_is_missing, values.ravel()))


def _is_missing(value: Any) -> bool:
    try:
        return bool(value != value)  # NaN and NaT
    except TypeError:  # NA does not say whether it is itself
        return True
    except ValueError:  # an array
        return False
