"""What is learned of a table's columns, and how its batches become rows of numbers.

One streaming look (:class:`Look`) finds the levels of categories, the means of columns with missing
values, and the classes of the target. What it found is a :class:`Schema`, which travels with the
model: it encodes batches (:meth:`Schema.encode`), refuses those that do not fit, and can be stored
as JSON.

- Numbers and booleans (0 and 1) are a column each.
- Text is a category, and so is a column that ``categorical`` names: one column of 0 and 1 for each
  level, sorted by name; levels are compared as text, so that the 1 of a Parquet file is the "1" of
  a CSV file, and its "1.0". Rows of a table with categories are CSR: a dense block of dummies is
  never made.
- Dates and times, lists and binary columns are refused, with a hint, and so is text of a CSV file
  that is dates or numbers in a form that is not read, where its levels are many.
- A column without a name is no feature: it is the row numbers that pandas and R write.

The names of dummies are those that scikit-learn's ``OneHotEncoder`` gives: ``colour_red``.
"""

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastlogreg.backends import Matrix
from fastlogreg.data.tables import Batch, Table, arrow, is_number

__all__ = ["Buffers", "Column", "Counts", "Encoded", "Look", "Request", "Schema"]

_MOST_LEVELS = 10_000
_MOST_CLASSES = 1_000
_FEW_LEVELS = 20  # of them, quantities are good categories, too
_QUANTITY = re.compile(r"\W*(\d+|\d{1,3}([.,'\s]\d{3})+)([.,]\d+)?\W*")  # 1,5  $1,200  12 %
_DATE = re.compile(r"(\d{4}([-/.]\d{1,2}){2}|(\d{1,2}[-/.]){2}\d{4})([T ].*)?")
_WHOLE = re.compile(r"-?\d+\.0+")
_RARE = "infrequent"  # scikit-learn's word for levels below min_frequency
_MISSING = "nan"
_DTYPES = ("float64", "float32")
_NUMBER, _CATEGORY = "number", "category"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : {"number", "category"}
    levels : tuple of str
        Of a category, sorted: those that have a column of their own.
    dropped : str or None
        The level that has none, since all others at 0 say it.
    rare : tuple of str
        Levels that share the column ``infrequent``; empty where there is none.
    missing : bool
        Whether a missing value is a level, ``nan``.
    mean : float or None
        What stands for a missing number; None where that is refused.
    scales : tuple of float
        Standard deviations of the columns of numbers that it becomes, so that coefficients can be
        compared; empty where they are not known.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    dropped: str | None = None
    rare: tuple[str, ...] = ()
    missing: bool = False
    mean: float | None = None
    scales: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Return how many columns of numbers it becomes."""
        if self.kind == _NUMBER:
            return 1
        return len(self.levels) + bool(self.rare) + self.missing

    def names(self) -> list[str]:
        """Return the names of these."""
        if self.kind == _NUMBER:
            return [self.name]
        found = [f"{self.name}_{level}" for level in self.levels]
        for there, word in ((self.missing, _MISSING), (self.rare, _RARE)):
            if there:
                called = f"{self.name}_{word}"
                while called in found:
                    called += "_"
                found.append(called)
        return found

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Return the place of each level among the columns; -1 for that without one."""
        codes = {level: i for i, level in enumerate(self.levels)}
        codes.update(dict.fromkeys(self.rare, self.width - 1))
        if self.dropped is not None:
            codes[self.dropped] = -1
        return codes

    @cached_property
    def code_of_value(self) -> dict[str, int]:
        """Return the same by :func:`_value`, where one level alone has it."""
        times = Counter(map(_value, self.code_of))
        found = ((_value(level), code) for level, code in self.code_of.items())
        return {value: code for value, code in found if times[value] == 1}

    def find(self, level: str) -> int | None:
        """Return the place of a level, None for one that the fit has not met."""
        code = self.code_of.get(level)
        return self.code_of_value.get(_value(level)) if code is None else code


def _value(level: str) -> str:
    """Return a level as text of a Parquet file, which a CSV file may have as 1.0 or True."""
    if level in ("True", "False"):
        return level.lower()
    return level.split(".")[0] if _WHOLE.fullmatch(level) else level


class Buffers:
    """Memory that is used again, by several threads.

    New memory costs more than what is written into it: on a virtual machine its first touch took
    20 ms for 11 MB, copying 2.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[Any]] = []
        self._lock = threading.Lock()

    def take(self, size: int, dtype: str) -> NDArray[Any]:
        """Return an array of so many entries, whatever they are."""
        with self._lock:
            for k, buffer in enumerate(self._free):
                if buffer.size >= size and buffer.dtype == dtype:
                    return self._free.pop(k)[:size]
            if self._free:  # it is too small, and would stay beside the one that is needed
                self._free.pop(0)
        return np.empty(size, dtype=dtype)

    def give(self, array: Any) -> None:
        """Take back what nobody reads any more: what :meth:`take` gave, or a view of it."""
        while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
            array = array.base
        if isinstance(array, np.ndarray) and array.ndim == 1:
            with self._lock:
                self._free.append(array)


class Encoded(NamedTuple):
    """Rows of a batch as numbers; what the table does not have is None."""

    matrix: Matrix
    codes: NDArray[np.float64] | None
    weights: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None


class Counts(NamedTuple):
    """What the look counted: rows of each class, sums of their weights and of the squares."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float64]
    squares: NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What of a table is asked for, checked; see :func:`fastlogreg.open_rows`."""

    target: str | None
    features: tuple[str, ...]
    sample_weight: str | None
    offset: str | None
    categorical: tuple[str, ...] | str
    missing: str
    drop_first: bool
    min_frequency: float | int | None
    dtype: str

    @classmethod
    def of(
        cls,
        table: Table,
        *,
        target: str | None,
        features: Sequence[str] | None,
        sample_weight: str | None,
        offset: str | None,
        categorical: Sequence[str] | str,
        missing: str,
        drop_first: bool,
        min_frequency: float | int | None,
        dtype: DTypeLike,
    ) -> Self:
        """Return the request, checked against the names of the table's columns."""
        roles = {"target": target, "sample_weight": sample_weight, "offset": offset}
        for role, name in roles.items():
            if name is not None:
                _check_name(table, name, role)
        taken = [name for name in roles.values() if name is not None]
        if len(set(taken)) < len(taken):
            raise ValueError(
                f"target, sample_weight and offset must be different columns, got {taken}"
            )
        if features is None:
            chosen = [name for name in table.names if name.strip() and name not in taken]
        else:
            chosen = _names(features, "features")
            for name in chosen:
                _check_name(table, name, "features")
                if name in taken:
                    role = next(role for role, other in roles.items() if other == name)
                    raise ValueError(f"features names {name!r}, which is the column of {role}")
        if not chosen:
            raise ValueError(f"{table.name} has no column left for features")
        if categorical != "auto":
            categorical = tuple(_names(categorical, "categorical"))
            for name in categorical:
                _check_name(table, name, "categorical")
                if name not in chosen:
                    raise ValueError(f"categorical names {name!r}, which is no feature")
        if missing not in ("error", "mean"):
            raise ValueError(f"missing must be 'error' or 'mean', got {missing!r}")
        if not isinstance(drop_first, bool | np.bool_):
            raise TypeError(f"drop_first must be True or False, got {drop_first!r}")
        return cls(
            target,
            tuple(chosen),
            sample_weight,
            offset,
            categorical,
            missing,
            bool(drop_first),
            _checked_frequency(min_frequency),
            _checked_dtype(dtype),
        )

    def columns(self) -> list[str]:
        """Return all columns that are read."""
        roles = (self.target, self.sample_weight, self.offset)
        return [*self.features, *(name for name in roles if name is not None)]

    def as_text(self) -> tuple[str, ...]:
        """Return the columns that are read as text whatever they hold."""
        return () if isinstance(self.categorical, str) else self.categorical


def _check_name(table: Table, name: Any, role: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{role} must name a column, got {name!r}")
    if name not in table.names:
        shown = ", ".join(map(repr, table.names[:8])) + (", ..." if len(table.names) > 8 else "")
        raise ValueError(f"{role}: {table.name} has no column {name!r}; it has {shown}")


def _names(value: Any, role: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"{role} must be a list of names of columns, got {value!r}")
    names = [str(name) if isinstance(name, np.str_) else name for name in value]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{role} names {twice[0]!r} twice")
    return names


def _checked_frequency(value: Any) -> float | int | None:
    """Return scikit-learn's ``min_frequency``: a number of rows, or a share of them."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"min_frequency must be a number of rows or a share, got {value!r}")
    if isinstance(value, Integral):
        if value < 1:
            raise ValueError(f"min_frequency must be at least 1 row, got {value}")
        return int(value)
    share = float(value)
    if not 0.0 < share < 1.0:
        raise ValueError(f"min_frequency as a share must lie between 0 and 1, got {value}")
    return share


def _checked_dtype(value: Any) -> str:
    try:
        name = str(np.dtype(value).name)
    except TypeError:
        name = str(value)
    if name not in _DTYPES:
        raise ValueError(f"dtype must be float64 or float32, got {value!r}")
    return name


@dataclass(frozen=True)
class Schema:
    """What a model knows of the table that it was fitted on.

    Attributes
    ----------
    columns : tuple of Column
        Those that are features, in the order of the model's coefficients.
    target : str or None
    classes : tuple
        Labels of the target, sorted: strings, numbers or booleans.
    sample_weight, offset : str or None
        The columns of these.
    missing : {"error", "mean"}
    dtype : {"float64", "float32"}
    unused : tuple of str
        Columns of the table that are none of these.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    classes: tuple[Any, ...] = ()
    sample_weight: str | None = None
    offset: str | None = None
    missing: str = "error"
    dtype: str = "float64"
    unused: tuple[str, ...] = field(default=())

    @property
    def width(self) -> int:
        """Return the columns of encoded rows."""
        return sum(column.width for column in self.columns)

    @property
    def has_categories(self) -> bool:
        """Return whether encoded rows are sparse."""
        return any(column.kind == _CATEGORY for column in self.columns)

    @property
    def values_a_row(self) -> int:
        """Return how many values a row stores, at the most."""
        return len(self.columns) if self.has_categories else self.width

    def scales(self) -> NDArray[np.float64]:
        """Return the standard deviations of the columns of encoded rows, (width,)."""
        found = [scale for column in self.columns for scale in column.scales]
        return np.array(found) if len(found) == self.width else np.full(self.width, np.nan)

    def names(self) -> NDArray[Any]:
        """Return the names of the columns of encoded rows, (width,)."""
        return np.array([n for column in self.columns for n in column.names()], dtype=object)

    def labels(self) -> NDArray[Any]:
        """Return the classes as an array."""
        return np.array(self.classes, dtype=object if _is_text(self.classes) else None)

    def as_text(self) -> tuple[str, ...]:
        """Return the columns that are read as text."""
        return tuple(column.name for column in self.columns if column.kind == _CATEGORY)

    # --- checks of a table to predict ---------------------------------------------------------

    def check_table(
        self, table: Table, *, roles: Sequence[str] = (), also: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the types of the columns to read of a table, which must be like the first one.

        ``roles`` are further columns to be read: of "target", "sample_weight", "offset". Those
        that ``also`` names may be there beside.
        """
        known = {column.name for column in self.columns} | set(self.unused)
        known |= {name for name in (self.target, self.sample_weight, self.offset) if name}
        known |= set(also)
        wanted = [column.name for column in self.columns]
        wanted += [name for role in roles if (name := getattr(self, role)) is not None]
        for name in wanted:
            if name not in table.names:
                raise ValueError(
                    f"{table.name} has no column {name!r}, which the model was fitted with"
                )
        for name in table.names:
            if name.strip() and name not in known:
                raise ValueError(
                    f"{table.name} has a column {name!r}, which the table that the model was "
                    "fitted on did not have"
                )
        types = table.types(wanted, self.as_text())
        for column in self.columns:
            found = _kind_of(types[column.name], column.name, table.name)
            if found != column.kind:
                raise ValueError(
                    f"{table.name}: column {column.name!r} holds {_PLURAL[found]}, where the "
                    f"model was fitted on {_PLURAL[column.kind]}"
                )
        return types

    # --- batches to numbers -------------------------------------------------------------------

    def encode(
        self, batch: Batch, *roles: str, seen: bool = False, into: Buffers | None = None
    ) -> Encoded:
        """Return a batch as numbers; ``roles`` are those beside the features that are read.

        ``seen`` says that the look has found all its numbers finite: that is then not asked again.
        Dense rows are written into memory of ``into``, where that is given.
        """
        data, place, _ = batch
        if self.has_categories:
            matrix = self._sparse(batch, seen)
        else:
            matrix = self._dense(batch, seen, into)
        codes = weights = offset = None
        if "target" in roles and self.target is not None:
            codes = _codes(data[self.target], self.classes, self.target, place)
        if "sample_weight" in roles and self.sample_weight is not None:
            weights = _weights(data, self.sample_weight, place)
        if "offset" in roles and self.offset is not None:
            offset = _finite(data, self.offset, place, "offset")
        return Encoded(matrix, codes, weights, offset)

    def _dense(self, batch: Batch, seen: bool, into: Buffers | None) -> NDArray[np.floating]:
        shape = batch.data.num_rows, len(self.columns)
        into = into or Buffers()
        out = into.take(shape[0] * shape[1], self.dtype).reshape(shape, order="F")
        for j, column in enumerate(self.columns):
            out[:, j] = _numbers(batch, column, self.dtype, seen)
        return out

    def _sparse(self, batch: Batch, seen: bool) -> Matrix:
        from scipy import sparse

        n, k = batch.data.num_rows, len(self.columns)
        data = np.ones((n, k), dtype=self.dtype)
        indices = np.empty((n, k), dtype=np.int32)
        start = 0
        for j, column in enumerate(self.columns):
            if column.kind == _NUMBER:
                indices[:, j] = start
                data[:, j] = _numbers(batch, column, self.dtype, seen)
            else:
                codes = _levels(batch, column)
                indices[:, j] = np.where(codes < 0, -1, codes + start)
            start += column.width
        stored = indices >= 0
        if stored.all():
            ends = np.arange(0, n * k + 1, k, dtype=np.int32 if n * k < 2**31 else np.int64)
            parts = data.reshape(-1), indices.reshape(-1), ends
        else:
            ends = np.concatenate([[0], np.cumsum(stored.sum(axis=1))]).astype(np.int32)
            parts = data[stored], indices[stored], ends
        return sparse.csr_array(parts, shape=(n, self.width))

    # --- as JSON ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        columns = []
        for column in self.columns:
            each: dict[str, Any] = {"name": column.name, "kind": column.kind}
            if column.kind == _CATEGORY:
                each |= {
                    "levels": list(column.levels),
                    "dropped": column.dropped,
                    "rare": list(column.rare),
                    "missing": column.missing,
                }
            else:
                each["mean"] = column.mean
            columns.append({**each, "scales": list(column.scales)})
        return {
            "columns": columns,
            "target": self.target,
            "classes": list(self.classes),
            "sample_weight": self.sample_weight,
            "offset": self.offset,
            "missing": self.missing,
            "dtype": self.dtype,
            "unused": list(self.unused),
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """Return the schema that :meth:`to_dict` stored; ValueError where it is none."""
        try:
            columns = tuple(_column_from(each) for each in _list(stored["columns"]))
            found = cls(
                columns,
                _text(stored["target"]),
                tuple(_label(each) for each in _list(stored["classes"])),
                _text_or_none(stored["sample_weight"]),
                _text_or_none(stored["offset"]),
                _one_of(stored["missing"], ("error", "mean")),
                _one_of(stored["dtype"], _DTYPES),
                tuple(_text(each) for each in _list(stored["unused"])),
            )
            in_order = list(found.classes) == sorted(set(found.classes))
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the stored schema is damaged: {error}") from error
        roles = (found.target, found.sample_weight, found.offset)
        names = [*(column.name for column in columns), *found.unused]
        names += [name for name in roles if name is not None]
        if not columns or len(set(names)) < len(names):
            raise ValueError("the stored schema is damaged: names of columns")
        if not in_order:  # scores look labels up by their order
            raise ValueError("the stored schema is damaged: the order of the classes")
        return found


_PLURAL = {_NUMBER: "numbers", _CATEGORY: "text"}


def _is_text(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], str)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _label(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r:.40} is no label")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


def _one_of(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise TypeError(f"{value!r:.40} is none of {choices}")
    return str(value)


def _column_from(stored: Any) -> Column:
    name, kind = _text(stored["name"]), _one_of(stored["kind"], (_NUMBER, _CATEGORY))
    if kind == _NUMBER:
        mean = stored["mean"]
        if mean is not None and not (isinstance(mean, float | int) and np.isfinite(mean)):
            raise TypeError(f"{mean!r:.40} is no mean")
        mean = None if mean is None else float(mean)
        return _with_scales(Column(name, kind, mean=mean), stored["scales"])
    levels, rare = ([_text(each) for each in _list(stored[key])] for key in ("levels", "rare"))
    dropped = _text_or_none(stored["dropped"])
    column = Column(name, kind, tuple(levels), dropped, tuple(rare), _flag(stored["missing"]))
    if len({*levels, *rare}) < len(levels) + len(rare) or dropped in column.levels:
        raise TypeError(f"levels of {name!r:.40} stand there twice")
    return _with_scales(column, stored["scales"])


def _with_scales(column: Column, stored: Any) -> Column:
    scales = _list(stored)
    if len(scales) not in (0, column.width):
        raise TypeError(f"{len(scales)} scales of {column.name!r:.40}")
    for scale in scales:
        if isinstance(scale, bool) or not isinstance(scale, float | int) or not scale >= 0.0:
            raise TypeError(f"{scale!r:.40} is no scale")
    return replace(column, scales=tuple(map(float, scales)))


# --- kinds of columns -----------------------------------------------------------------------------


def _kind_of(dtype: Any, name: str, where: str) -> str:
    """Return the kind of a column by its Arrow type, or refuse it."""
    pa = arrow()
    t = pa.types
    if t.is_dictionary(dtype):
        inner = dtype.value_type
        if t.is_string(inner) or t.is_large_string(inner) or t.is_integer(inner):
            return _CATEGORY
    elif t.is_integer(dtype) or t.is_floating(dtype) or t.is_boolean(dtype) or t.is_null(dtype):
        return _NUMBER
    elif t.is_decimal(dtype):
        return _NUMBER
    elif t.is_temporal(dtype):
        raise ValueError(
            f"{where}: column {name!r} holds dates or times ({dtype}): replace it by what of them "
            "matters, such as the year, the weekday or the days since some day, or leave it out "
            "with features="
        )
    raise ValueError(
        f"{where}: column {name!r} holds {dtype}, which are neither numbers nor text: leave it out "
        "with features="
    )


def _plain(column: Any) -> Any:
    """Return a column as an array of Arrow without chunks."""
    pa = arrow()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _first(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask))


def _nulls(array: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return found


def _is_bytes(dtype: Any) -> bool:
    t = arrow().types
    kinds = (t.is_binary, t.is_large_binary, t.is_fixed_size_binary, t.is_binary_view)
    return any(is_kind(dtype) for is_kind in kinds)


def _floats(array: Any) -> NDArray[np.floating]:
    """Return numbers or booleans of Arrow as floats, missing ones as NaN."""
    pa = arrow()
    if not pa.types.is_floating(array.type):
        safe = not pa.types.is_integer(array.type)  # whole numbers beyond 2^53 are rounded
        array = array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array
        array = array.cast(pa.float64(), safe=safe)
    values: Any = array.to_numpy(zero_copy_only=False)
    found: NDArray[np.floating] = (
        values.astype(np.float32) if values.dtype == np.float16 else values
    )
    return found


def _numbers(batch: Batch, column: Column, dtype: str, seen: bool = False) -> NDArray[np.floating]:
    """Return a column of numbers, missing ones replaced by the mean, or refused."""
    values = _floats(_plain(batch.data[column.name]))
    return values if seen and column.mean is None else _usable(values, batch.place, column, dtype)


def _usable(
    values: NDArray[np.floating], place: Any, column: Column, dtype: str
) -> NDArray[np.floating]:
    """Return numbers, missing ones replaced by the mean of the column, or refused."""
    # the sum of all is finite where each is, but for sums that overflow: half the work
    with np.errstate(all="ignore"):
        clean = np.isfinite(values.sum())
    if not clean and not (finite := np.isfinite(values)).all():
        absent = np.isnan(values)
        infinite = ~finite & ~absent
        if infinite.any():
            where = place.row(_first(infinite))
            raise ValueError(f"{where}: column {column.name!r} holds infinity")
        if column.mean is None:
            where = place.row(_first(absent))
            raise ValueError(
                f"{where}: column {column.name!r} has no value; missing='mean' at the fit would "
                "put the mean of the column there"
            )
        values = np.where(absent, column.mean, values)
    if dtype == "float32" and values.dtype == np.float64:
        beyond = np.abs(values) > np.finfo(np.float32).max
        if beyond.any():
            where = place.row(_first(beyond))
            raise ValueError(f"{where}: column {column.name!r} is too large for float32")
    return values


def _dictionary(batch: Batch, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the levels of a batch as text, and each row's place among them; -1 where missing."""
    pa = arrow()
    array = _plain(batch.data[name])
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values = array.dictionary
    if pa.types.is_floating(values.type):
        whole = values.drop_null().to_numpy(zero_copy_only=False)
        whole = whole[~np.isnan(whole)]
        broken = whole[whole % 1 != 0]
        if broken.size:
            raise ValueError(
                f"{batch.place.source}: column {name!r} holds {broken[0]}: categories must be text "
                "or whole numbers"
            )
        values = pa.array(
            [None if v is None or v != v else str(int(v)) for v in values.to_pylist()], pa.string()
        )
    elif pa.types.is_boolean(values.type) or not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    levels: list[str | None] = values.to_pylist()
    # polars counts without a sign
    codes = array.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
    if None in levels:
        absent = np.array([level is None for level in levels] + [False])
        codes = np.where(absent[codes], -1, codes)
    return [level if level is not None else "" for level in levels], codes


def _levels(batch: Batch, column: Column) -> NDArray[np.int64]:
    """Return the place of each row's level among the columns of a category; -1 for none."""
    levels, codes = _dictionary(batch, column.name)
    unknown = -2
    absent = len(column.levels) if column.missing else unknown
    other = column.width - 1 if column.rare else unknown
    places = [column.find(level) for level in levels]
    table = np.array([*(other if place is None else place for place in places), absent])
    found: NDArray[np.int64] = table[codes]
    if unknown in table and (found == unknown).any():
        i = _first(found == unknown)
        where = batch.place.row(i)
        if codes[i] < 0:
            raise ValueError(
                f"{where}: column {column.name!r} has no value, which no row that the model was "
                "fitted on lacked"
            )
        known = [*column.levels, *([column.dropped] if column.dropped is not None else [])]
        shown = ", ".join(map(repr, sorted(known)[:6])) + (", ..." if len(known) > 6 else "")
        raise ValueError(
            f"{where}: column {column.name!r} has {levels[codes[i]]!r}, which is none of the "
            f"levels that the model was fitted on: {shown}"
        )
    return found


def _finite(data: Any, name: str, place: Any, role: str) -> NDArray[np.float64]:
    values = _floats(_plain(data[name])).astype(np.float64, copy=False)
    bad = ~np.isfinite(values)
    if bad.any():
        i = _first(bad)
        what = "no value" if np.isnan(values[i]) else "infinity"
        raise ValueError(f"{place.row(i)}: column {name!r}, the {role}, has {what}")
    return np.ascontiguousarray(values)


def _weights(data: Any, name: str, place: Any) -> NDArray[np.float64]:
    values = _finite(data, name, place, "sample_weight")
    negative = values < 0.0
    if negative.any():
        i = _first(negative)
        raise ValueError(
            f"{place.row(i)}: column {name!r}, the sample_weight, is negative ({values[i]})"
        )
    return values


# --- the target -----------------------------------------------------------------------------------


def _target(column: Any, name: str, place: Any) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the labels of a batch, and each row's place among them; missing ones are refused."""
    pa = arrow()
    array = _plain(column)
    dtype = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    t = pa.types
    if any(is_kind(dtype) for is_kind in (t.is_temporal, t.is_nested, _is_bytes)):
        raise ValueError(f"the target {name!r} holds {array.type}: labels are text or numbers")
    if t.is_decimal(dtype):
        array = array.dictionary_decode() if dtype != array.type else array
        array = array.cast(pa.float64())
    if pa.types.is_floating(array.type):
        import pyarrow.compute as pc

        array = pc.if_else(pc.is_nan(array), None, array)
    if array.null_count:
        i = _first(_nulls(array))
        raise ValueError(f"{place.row(i)}: column {name!r}, the target, has no value")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    labels = array.dictionary.to_pylist()
    if None in labels:
        absent = np.array([label is None for label in labels])[array.indices.to_numpy()]
        if absent.any():
            raise ValueError(
                f"{place.row(_first(absent))}: column {name!r}, the target, has no value"
            )
    labels = [
        int(label) if isinstance(label, float) and label.is_integer() else label for label in labels
    ]
    return labels, array.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _codes(column: Any, classes: Sequence[Any], name: str, place: Any) -> NDArray[np.float64]:
    labels, at = _target(column, name, place)
    known = {label: float(code) for code, label in enumerate(classes)}
    table = np.array([known.get(label, -1.0) for label in labels])
    codes: NDArray[np.float64] = table[at]
    if (codes < 0.0).any():
        i = _first(codes < 0.0)
        raise ValueError(
            f"{place.row(i)}: column {name!r} has {labels[at[i]]!r}, which is none of the classes "
            f"{list(classes)[:6]}"
        )
    return codes


# --- the look -------------------------------------------------------------------------------------


class _Number:
    """What the look learns of a column of numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mean, self.held = 0.0, 0
        self.squares = 0.0  # of what values differ from the mean

    def measure(self, batch: Batch, request: Request) -> tuple[int, float, float]:
        """Return how many values there are, their mean, and the squares of what differs from it."""
        known = Column(self.name, _NUMBER, mean=0.0 if request.missing == "mean" else None)
        values = _floats(_plain(batch.data[self.name]))
        with np.errstate(all="ignore"):
            mean = float(values.mean(dtype=np.float64))
            if not np.isfinite(mean) or request.dtype == "float32":
                _usable(values, batch.place, known, request.dtype)  # refuses what can't be used
            if not np.isfinite(mean):  # some are missing, or the sum overflows
                values = values[~np.isnan(values)]
                mean = float((values / max(1, values.size)).sum(dtype=np.float64))
            from_mean = values - mean
            squares = float(np.einsum("i,i->", from_mean, from_mean))
        return values.size, mean, squares

    def add(self, found: tuple[int, float, float], batch: Batch) -> None:
        """Add what was measured: two sets of rows made one (Chan, Golub and LeVeque, 1979)."""
        size, mean, squares = found
        if not size:
            return
        with np.errstate(all="ignore"):
            apart, held = mean - self.mean, self.held + size
            self.squares += squares + apart**2 * self.held * size / held
            self.mean += apart * size / held
        self.held = held

    def column(self, request: Request, rows: int, where: str) -> Column:
        # a missing value will hold the mean
        scales = (float(np.sqrt(self.squares / rows)),) if np.isfinite(self.squares) else ()
        if request.missing == "error":
            return Column(self.name, _NUMBER, scales=scales)
        if not self.held:
            raise ValueError(
                f"{where}: column {self.name!r} has no value in any row: there is no mean; leave "
                "it out with features="
            )
        return Column(self.name, _NUMBER, mean=self.mean, scales=scales)


class _Category:
    """What the look learns of a category."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self.absent = False
        self.from_text = False  # whether numbers may have been read as text

    def measure(self, batch: Batch, request: Request) -> tuple[list[str], list[int], bool, bool]:
        """Return levels, in how many rows each is, and whether one is missing, or was a number."""
        levels, codes = _dictionary(batch, self.name)
        from_text = batch.place.is_text and self.name not in request.as_text()
        missing = codes < 0
        if missing.any():
            if request.missing == "error":
                raise ValueError(
                    f"{batch.place.row(_first(missing))}: column {self.name!r} has no value; "
                    "missing='mean' would make that a level of its own"
                )
            codes = codes[~missing]
        counted = np.bincount(codes, minlength=len(levels)).tolist()
        return levels, counted, bool(missing.any()), from_text

    def add(self, found: tuple[list[str], list[int], bool, bool], batch: Batch) -> None:
        """Add what was measured."""
        levels, counted, missing, from_text = found
        self.absent |= missing
        self.from_text |= from_text
        for level, count in zip(levels, counted, strict=True):
            if count:
                self.counts[level] = self.counts.get(level, 0) + count
        if len(self.counts) > _MOST_LEVELS:
            raise ValueError(
                f"{batch.place.source}: column {self.name!r} has more than {_MOST_LEVELS:,} "
                f"levels, such as {levels[0]!r}: leave it out with features=, or make groups"
            )

    def column(self, request: Request, rows: int, where: str) -> Column:
        levels = sorted(self.counts)
        if self.from_text:
            self._refuse_numbers(where)
        least = request.min_frequency
        rare: list[str] = []
        if least is not None:
            limit = least if isinstance(least, int) else least * rows
            rare = [level for level in levels if self.counts[level] < limit]
            levels = [level for level in levels if self.counts[level] >= limit]
        dropped = levels.pop(0) if request.drop_first and levels else None
        held = [self.counts[level] for level in levels]
        held += [rows - sum(self.counts.values())] if self.absent else []
        held += [sum(self.counts[level] for level in rare)] if rare else []
        share = np.array(held) / rows
        scales = tuple(np.sqrt(share * (1.0 - share)).tolist())
        return Column(
            self.name, _CATEGORY, tuple(levels), dropped, tuple(rare), self.absent, scales=scales
        )

    def _refuse_numbers(self, where: str) -> None:
        """Refuse numbers that a stray word has made text."""
        words = [level for level in self.counts if not is_number(level)]
        others = sum(self.counts[level] for level in words)
        numbers = sum(self.counts.values()) - others
        if words and numbers > others:
            raise ValueError(
                f"{where}: column {self.name!r} holds numbers in {numbers:,} rows and text in "
                f"{others:,}, such as {words[0]!r}: mend the file, or name the column in "
                "categorical="
            )
        if len(self.counts) <= _FEW_LEVELS:
            return
        shown = f"{where}: column {self.name!r} has {len(self.counts):,} levels, such as "
        if all(map(_DATE.fullmatch, self.counts)):
            raise ValueError(
                f"{shown}{words[0]!r}, which look like dates: replace them by what of them "
                "matters, such as the year or the weekday, leave the column out with features=, or "
                "name it in categorical="
            )
        if all(map(_QUANTITY.fullmatch, self.counts)):
            raise ValueError(
                f"{shown}{words[0]!r}, which look like numbers, but are not written as 1234.5: "
                "mend the file, or name the column in categorical="
            )


class _Target:
    """What the look learns of the target: its labels, and how many rows and weight each has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sums: dict[Any, NDArray[np.float64]] = {}

    def measure(
        self, batch: Batch, weights: NDArray[np.float64] | None
    ) -> tuple[list[Any], NDArray[np.float64]]:
        """Return labels, and for each its rows, the sum of their weights, and of the squares."""
        labels, at = _target(batch.data[self.name], self.name, batch.place)
        size = len(labels)
        counted = np.bincount(at, minlength=size).astype(np.float64)
        if weights is None:
            found = np.column_stack([counted, counted, counted])
        else:
            found = np.column_stack(
                [
                    counted,
                    np.bincount(at, weights, minlength=size),
                    np.bincount(at, weights * weights, minlength=size),
                ]
            )
        return labels, found

    def add(self, measured: tuple[list[Any], NDArray[np.float64]], batch: Batch) -> None:
        """Add what was measured."""
        labels, found = measured
        for label, sums in zip(labels, found, strict=True):
            if sums[0]:
                self.sums[label] = self.sums.get(label, 0.0) + sums
        broken = next((x for x in labels if isinstance(x, float)), None)
        if broken is not None:
            raise ValueError(
                f"{batch.place.source}: the target {self.name!r} has {broken}: labels are text, "
                "booleans or whole numbers, and this looks like a quantity"
            )
        if len(self.sums) > _MOST_CLASSES:
            raise ValueError(
                f"{batch.place.source}: the target {self.name!r} has more than {_MOST_CLASSES:,} "
                f"different values, such as {labels[0]!r}: is it a quantity rather than a label?"
            )

    def classes(self, where: str) -> tuple[tuple[Any, ...], Counts]:
        try:
            labels = sorted(self.sums)
        except TypeError:
            raise TypeError(
                f"{where}: the target {self.name!r} has labels of several kinds"
            ) from None
        if len(labels) < 2:
            raise ValueError(
                f"{where}: the target {self.name!r} has only one class: {labels[0]!r}; a model "
                "needs two or more"
            )
        table = np.array([self.sums[label] for label in labels])
        empty = np.flatnonzero(table[:, 1] == 0.0)
        if empty.size:
            raise ValueError(
                f"{where}: the class {labels[empty[0]]!r} of the target {self.name!r} has no row "
                "of positive weight"
            )
        return tuple(labels), Counts(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


class Seen(NamedTuple):
    """What was measured of a batch."""

    batch: Batch
    features: list[Any]
    target: Any


class Look:
    """A reading that finds the schema, and counts rows and classes; see the module.

    Batches may be measured by several threads, and what that gave is added in their order. All
    that can't be fitted is refused, with the file and row or line.

    Parameters
    ----------
    table : Table
    request : Request
        Its target is named.
    types : mapping of str to pyarrow.DataType
        Of the columns that are asked for.
    """

    def __init__(self, table: Table, request: Request, types: Mapping[str, Any]) -> None:
        kinds = {name: _kind_of(types[name], name, table.name) for name in request.features}
        for role in ("sample_weight", "offset"):
            name = getattr(request, role)
            if name is not None and _kind_of(types[name], name, table.name) != _NUMBER:
                raise ValueError(f"{table.name}: column {name!r}, the {role}, holds text")
        self._table, self._request = table, request
        self._learners = [
            _Number(name) if kind == _NUMBER else _Category(name) for name, kind in kinds.items()
        ]
        assert request.target is not None
        self._target = _Target(request.target)
        self._rows = 0

    def measure(self, batch: Batch) -> Seen:
        """Return what a batch of the columns that are asked for adds; each is read once."""
        request, data, place = self._request, batch.data, batch.place
        features = [learner.measure(batch, request) for learner in self._learners]
        weights = None
        if request.sample_weight is not None:
            weights = _weights(data, request.sample_weight, place)
        if request.offset is not None:
            _finite(data, request.offset, place, "offset")
        return Seen(batch, features, self._target.measure(batch, weights))

    def add(self, seen: Seen) -> None:
        """Add what was measured of the next batch."""
        for learner, found in zip(self._learners, seen.features, strict=True):
            learner.add(found, seen.batch)
        self._target.add(seen.target, seen.batch)
        self._rows += seen.batch.data.num_rows

    def found(self) -> tuple[Schema, Counts, int]:
        """Return the schema, what was counted of the classes, and of rows."""
        table, request, rows = self._table, self._request, self._rows
        if not rows:
            raise ValueError(f"{table.name} has no rows")
        classes, counts = self._target.classes(table.name)
        if not np.isfinite(counts.weights.sum()):
            raise ValueError(
                f"{table.name}: the sum of {request.sample_weight!r} overflows float64"
            )
        columns = tuple(learner.column(request, rows, table.name) for learner in self._learners)
        read = set(request.columns())
        schema = Schema(
            columns,
            request.target,
            classes,
            request.sample_weight,
            request.offset,
            request.missing,
            request.dtype,
            tuple(name for name in table.names if name not in read),
        )
        names = schema.names().tolist()
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"{table.name}: a column and the level of another would both be called {twice!r}: "
                "rename the column"
            )
        if schema.width == 0:
            raise ValueError(f"{table.name}: every feature has one level alone, which was dropped")
        return schema, counts, rows
