"""What is asked for of a table, and the reading that learns its columns.

One streaming look (:class:`Look`) finds the levels of categories, the means of columns with missing
values, and the classes of the target; what it found is a :class:`fastlogreg.data.schema.Schema`.
Dates and times, lists and binary columns are refused, with a hint, and so is text of a CSV file
that is dates or numbers in a form that is not read, where its levels are many.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastlogreg.data.schema import DTYPES, Column, Schema
from fastlogreg.data.tables import Batch, Table, is_number
from fastlogreg.data.values import (
    CATEGORY,
    NUMBER,
    finite_of,
    first_true,
    floats_of,
    kind_of,
    labels_of,
    levels_of,
    usable,
    weights_of,
)

__all__ = ["Counts", "Look", "Request"]

_MOST_LEVELS = 10_000
_MOST_CLASSES = 1_000
_FEW_LEVELS = 20  # of them, quantities are good categories, too
_QUANTITY = re.compile(r"\W*(\d+|\d{1,3}([.,'\s]\d{3})+)([.,]\d+)?\W*")  # 1,5  $1,200  12 %
_DATE = re.compile(r"(\d{4}([-/.]\d{1,2}){2}|(\d{1,2}[-/.]){2}\d{4})([T ].*)?")


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
    if name not in DTYPES:
        raise ValueError(f"dtype must be float64 or float32, got {value!r}")
    return name


class _Number:
    """What the look learns of a column of numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mean, self.held = 0.0, 0
        self.squares = 0.0  # of what values differ from the mean

    def measure(self, batch: Batch, request: Request) -> tuple[int, float, float]:
        """Return how many values there are, their mean, and the squares of what differs from it."""
        stand_in = 0.0 if request.missing == "mean" else None
        values = floats_of(batch.data[self.name])
        with np.errstate(all="ignore"):
            mean = float(values.mean(dtype=np.float64))
            if not np.isfinite(mean) or request.dtype == "float32":
                # refuses what can't be used
                usable(values, batch.place, self.name, stand_in, request.dtype)
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
            return Column(self.name, NUMBER, scales=scales)
        if not self.held:
            raise ValueError(
                f"{where}: column {self.name!r} has no value in any row: there is no mean; leave "
                "it out with features="
            )
        return Column(self.name, NUMBER, mean=self.mean, scales=scales)


class _Category:
    """What the look learns of a category."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self.absent = False
        self.from_text = False  # whether numbers may have been read as text

    def measure(self, batch: Batch, request: Request) -> tuple[list[str], list[int], bool, bool]:
        """Return levels, in how many rows each is, and whether one is missing, or was a number."""
        levels, codes = levels_of(batch, self.name)
        from_text = batch.place.is_text and self.name not in request.as_text()
        missing = codes < 0
        if missing.any():
            if request.missing == "error":
                raise ValueError(
                    f"{batch.place.row(first_true(missing))}: column {self.name!r} has no value; "
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
            self.name, CATEGORY, tuple(levels), dropped, tuple(rare), self.absent, scales=scales
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
        labels, at = labels_of(batch.data[self.name], self.name, batch.place)
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
        kinds = {name: kind_of(types[name], name, table.name) for name in request.features}
        for role in ("sample_weight", "offset"):
            name = getattr(request, role)
            if name is not None and kind_of(types[name], name, table.name) != NUMBER:
                raise ValueError(f"{table.name}: column {name!r}, the {role}, holds text")
        self._table, self._request = table, request
        self._learners = [
            _Number(name) if kind == NUMBER else _Category(name) for name, kind in kinds.items()
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
            weights = weights_of(data, request.sample_weight, place)
        if request.offset is not None:
            finite_of(data, request.offset, place, "offset")
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
