"""What a model knows of the columns of a table, and how batches become rows of numbers by it.

A :class:`Schema` is what a look at the rows found (:mod:`fastlogreg.data.look`). It travels with
the model: it encodes batches (:meth:`Schema.encode`), refuses those that do not fit, and can be
stored as JSON.

- Numbers and booleans (0 and 1) are a column each.
- Text is a category, and so is a column that ``categorical`` names: one column of 0 and 1 for each
  level, sorted by name; levels are compared as text, so that the 1 of a Parquet file is the "1" of
  a CSV file, and its "1.0". Rows of a table with categories are CSR: a dense block of dummies is
  never made.
- A column without a name is no feature: it is the row numbers that pandas and R write.

The names of dummies are those that scikit-learn's ``OneHotEncoder`` gives: ``colour_red``.
"""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import Matrix
from fastlogreg.data.tables import Batch, Table
from fastlogreg.data.values import (
    CATEGORY,
    NUMBER,
    codes_of,
    finite_of,
    first_true,
    floats_of,
    kind_of,
    levels_of,
    usable,
    weights_of,
)

__all__ = ["DTYPES", "Buffers", "Column", "Encoded", "Schema"]

_WHOLE = re.compile(r"-?\d+\.0+")
_RARE = "infrequent"  # scikit-learn's word for levels below min_frequency
_MISSING = "nan"
DTYPES = ("float64", "float32")


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
        if self.kind == NUMBER:
            return 1
        return len(self.levels) + bool(self.rare) + self.missing

    def names(self) -> list[str]:
        """Return the names of these."""
        if self.kind == NUMBER:
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
        return any(column.kind == CATEGORY for column in self.columns)

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
        return tuple(column.name for column in self.columns if column.kind == CATEGORY)

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
            found = kind_of(types[column.name], column.name, table.name)
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
            codes = codes_of(data[self.target], self.classes, self.target, place)
        if "sample_weight" in roles and self.sample_weight is not None:
            weights = weights_of(data, self.sample_weight, place)
        if "offset" in roles and self.offset is not None:
            offset = finite_of(data, self.offset, place, "offset")
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
            if column.kind == NUMBER:
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
            if column.kind == CATEGORY:
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
                _one_of(stored["dtype"], DTYPES),
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


_PLURAL = {NUMBER: "numbers", CATEGORY: "text"}


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
    name, kind = _text(stored["name"]), _one_of(stored["kind"], (NUMBER, CATEGORY))
    if kind == NUMBER:
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


def _numbers(batch: Batch, column: Column, dtype: str, seen: bool = False) -> NDArray[np.floating]:
    """Return a column of numbers, missing ones replaced by the mean, or refused."""
    values = floats_of(batch.data[column.name])
    if seen and column.mean is None:
        return values
    return usable(values, batch.place, column.name, column.mean, dtype)


def _levels(batch: Batch, column: Column) -> NDArray[np.int64]:
    """Return the place of each row's level among the columns of a category; -1 for none."""
    levels, codes = levels_of(batch, column.name)
    unknown = -2
    absent = len(column.levels) if column.missing else unknown
    other = column.width - 1 if column.rare else unknown
    places = [column.find(level) for level in levels]
    table = np.array([*(other if place is None else place for place in places), absent])
    found: NDArray[np.int64] = table[codes]
    if unknown in table and (found == unknown).any():
        i = first_true(found == unknown)
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
