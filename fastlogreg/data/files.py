"""Rows of tables and files, opened once and read as often as a fit needs.

:func:`open_rows` returns :class:`TableRows`, which ``fit`` of the estimators takes in place of X
and y. A first look (one reading) learns the schema. Rows that fit into half of ``memory_limit``
are then encoded into memory once, and everything goes on as for arrays, to the same bits. Others
are read anew for each pass, batch after batch: threads read and encode ahead while the kernels
work (:func:`in_order`), and what fits of the first batches stays in memory.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import chain, count, islice, takewhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastlogreg.backends import PassSpec
from fastlogreg.data.labels import weights_by_class
from fastlogreg.data.look import Counts, Look, Request
from fastlogreg.data.memory import MemoryRows, Rows, some_rows
from fastlogreg.data.parts import (
    STAGE,
    Block,
    Facts,
    PartedRows,
    Question,
    effective_rows,
    gathered,
    joined,
    pick,
    sample_places,
)
from fastlogreg.data.schema import Buffers, Encoded, Schema
from fastlogreg.data.tables import Batch, Table, arrow, open_table

__all__ = ["TableRows", "encoded_batches", "keyed_batches", "open_rows"]

_BATCH_BYTES = 1 << 24  # of encoded values in a batch, roughly
_LEAST_BATCH, _LARGEST_BATCH = 1 << 10, 1 << 18  # rows
_ROLES = ("target", "sample_weight", "offset")
_LEAST_SAMPLE = 1_000  # rows
_FEW, _FEW_OF_ALL = 256, 2_000  # rows of a batch, of a sample, that show which columns are far
_AHEAD = 2  # batches that wait to be encoded
_MOST_READERS = 8  # threads
_COLUMNS_BYTES = 1 << 25  # in a batch that is read column by column, or a 16th of the memory limit
_PREDICTED = 1 << 30  # bytes, where there is no memory limit


def open_rows(
    source: Any,
    *,
    target: str | None = None,
    features: Sequence[str] | None = None,
    sample_weight: str | None = None,
    offset: str | None = None,
    categorical: Sequence[str] | str = "auto",
    missing: str = "error",
    drop_first: bool = False,
    min_frequency: float | int | None = None,
    dtype: DTypeLike = np.float64,
    memory_limit: int | None = None,
) -> "TableRows":
    """Open the rows of files or of a frame, to be fitted or predicted without holding them all.

    Parameters
    ----------
    source : path, glob, folder, list of paths, data set, table or frame
        Parquet (``.parquet``, ``.pq``), Arrow or Feather (``.arrow``, ``.feather``, ``.ipc``) or
        CSV (``.csv``, ``.tsv``, ``.txt``, also compressed) files with the same columns; folders may
        hold columns in their names (``year=2024/``). Or a ``pyarrow.dataset.Dataset``, a
        ``pyarrow.Table``, a pandas or polars frame, eager or lazy, or a frame of Dask, whose
        partitions are brought here one by one (``fit(X, y)`` of Dask leaves them where they are).
    target : str
        The column of labels: text, numbers or booleans; two different ones or more. Rows that are
        only predicted need none.
    features : list of str, optional
        Columns to fit; default all others that have a name.
    sample_weight, offset : str, optional
        Columns of weights, and of the known part of the margins. Predictions of a model that was
        fitted with an offset need that column, too.
    categorical : "auto" or list of str, default="auto"
        Columns of levels, each of which becomes a column of 0 and 1 named ``column_level``, in
        sparse rows. Text always is; a list adds columns of whole numbers.
    missing : {"error", "mean"}, default="error"
        "mean" puts the mean of the column where a number is missing, and makes a missing category
        a level of its own, ``column_nan``.
    drop_first : bool, default=False
        Whether the first level of each category has no column: for fits without a penalty.
    min_frequency : int or float, optional
        Levels of fewer rows (a float: of a smaller share of them) become one,
        ``column_infrequent``, and so do levels that only predictions meet.
    dtype : {float64, float32}, default=float64
        Of the encoded rows.
    memory_limit : int, optional
        Bytes that rows may take up in memory; default a quarter of the machine's memory.

    Returns
    -------
    TableRows
        For ``fit``, ``score``, and ``predict`` and its kin, of the estimators.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        Where files can't be read or columns can't be used; the message names the file and the row
        or line. What only reading all rows shows is said at the fit.
    ImportError
        Without pyarrow (the extra ``files``).

    Examples
    --------
    >>> import pandas as pd
    >>> from fastlogreg import LogisticRegression, open_rows
    >>> frame = pd.DataFrame({
    ...     "dose": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    ...     "site": ["a", "b", "a", "b", "a", "b"],
    ...     "cured": ["no", "no", "yes", "no", "yes", "yes"],
    ... })
    >>> model = LogisticRegression().fit(open_rows(frame, target="cured"))
    >>> model.feature_names_in_.tolist()
    ['dose', 'site_a', 'site_b']
    >>> model.predict(frame.drop(columns="cured")).tolist()
    ['no', 'no', 'yes', 'no', 'yes', 'yes']
    """
    table = open_table(source)
    request = Request.of(
        table,
        target=target,
        features=features,
        sample_weight=sample_weight,
        offset=offset,
        categorical=categorical,
        missing=missing,
        drop_first=drop_first,
        min_frequency=min_frequency,
        dtype=dtype,
    )
    return TableRows(table, request, _checked_limit(memory_limit))


def _checked_limit(value: Any) -> int:
    if value is None:
        try:
            return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // 4
        except (ValueError, OSError, AttributeError):  # not on this system
            return 1 << 30
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"memory_limit must be a number of bytes, got {value!r}")
    if value < 1 << 20:
        raise ValueError(f"memory_limit must be at least 1 MiB (1048576 bytes), got {value}")
    return int(value)


class _Found(NamedTuple):
    """What the first reading found."""

    schema: Schema
    counts: Counts
    n_rows: int
    few: NDArray[np.float64] | None  # rows of a sample, where it drew one and they may be moved


class Split(NamedTuple):
    """Which rows are meant: those whose number's hash lies below a share of all, or the others."""

    share: float
    seed: int
    below: bool

    def of(self, first: int, n: int) -> NDArray[np.bool_]:
        """Return which of n rows, the first of them numbered, are meant."""
        return self.of_numbers(np.arange(first, first + n, dtype=np.int64))

    def of_numbers(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows of these numbers are meant."""
        x = rows.astype(np.uint64)
        # splitmix64 (Steele, Lea and Flood, 2014): each row's own random number, whoever reads it
        x += np.uint64((self.seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        low: NDArray[np.bool_] = (x >> np.uint64(11)) * 2.0**-53 < self.share
        return low if self.below else ~low


class TableRows:
    """Rows of a table with their target: what :func:`open_rows` returns.

    Nothing is read before it is needed; the first look at all rows is then kept.

    Attributes
    ----------
    name : str
        What the table is.
    schema : Schema
        What the look learned of the columns.
    n_rows : int
    classes : ndarray of shape (n_classes,)
    on_rows : callable, optional
        Called with the number of rows of each batch that was read, once it has been used.
    """

    def __init__(
        self, table: Table, request: Request, memory_limit: int, split: Split | None = None
    ) -> None:
        self._table = table
        self._request = request
        self._split = split
        self._drawn: dict[int, Encoded] = {}
        self.on_rows: Callable[[int], None] | None = None  # hears how many rows were read
        self.memory_limit = memory_limit
        self.name = table.name
        self._stamp = table.stamp()
        self._types = table.types(request.columns(), request.as_text())

    def __repr__(self) -> str:
        """Return what it is of."""
        return f"<rows of {self.name}, target {self._request.target!r}>"

    @property
    def has_target(self) -> bool:
        """Return whether a target was named."""
        return self._request.target is not None

    @cached_property
    def _look(self) -> _Found:
        if not self.has_target:
            raise ValueError(
                f"rows to fit need a target: open_rows({self.name!r}, target=...) names its column"
            )
        width, n = 8 * len(self._request.features), self._table.n_rows
        look = Look(self._table, self._request, self._types)
        draws = None
        if self._split is None and (n is None or self._is_large(n)):
            draws = _Draws(n, self.memory_limit // 8 // width)
        for seen in self._each(
            look.measure if draws is None else draws.watching(look.measure), width
        ):
            look.add(seen)
            if draws is not None:
                draws.add(seen.batch)
        found = _Found(*look.found(), None)
        if draws is not None and self._is_large(found.n_rows):
            self._drawn = draws.encoded(found.schema, found.n_rows)
            for drawn in islice(self._drawn.values(), 1):  # the first to ask takes it away
                found = found._replace(few=some_rows(drawn.matrix, _FEW_OF_ALL))
        return found

    @cached_property
    def far_middle(self) -> NDArray[np.float64] | None:
        """Return about the middle of each column that is far from 0, by some of the rows.

        See :attr:`fastlogreg.data.memory.MemoryRows.far_middle`.
        """
        few = self._look.few
        if few is None and not self._drawn:
            all_of_them = self.n_rows < STAGE * _LEAST_SAMPLE  # too few for a sample
            read = self._read_here()
            batches = read if all_of_them else islice(read, 1)
            rows = [some_rows(each.matrix, _FEW) for each in batches]
            few = joined(rows) if rows else None
        return None if few is None else MemoryRows(few, np.zeros(few.shape[0])).far_middle

    def _is_large(self, n: int) -> bool:
        """Whether n rows may be more than are encoded once."""
        return n * 8 * len(self._request.features) > self.memory_limit // 2

    def drawn(self, step: int) -> Encoded | None:
        """Return the sample of one of ``step`` rows, where the look drew one; it is given away."""
        _ = self._look
        return self._drawn.pop(step, None)

    @property
    def schema(self) -> Schema:
        """Return what was learned of the columns."""
        return self._look.schema

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return self._look.n_rows

    @property
    def classes(self) -> NDArray[Any]:
        """Return the labels of the target, sorted."""
        return self.schema.labels()

    @property
    def counts(self) -> Counts:
        """Return the rows, and the weights, of each class."""
        return self._look.counts

    def split(self, share: float, seed: int = 0) -> "tuple[TableRows, TableRows]":
        """Return two random parts: the rest, and about ``share`` of the rows.

        A row's part depends on its number and the seed alone.
        """
        return tuple(  # type: ignore[return-value]
            TableRows(self._table, self._request, self.memory_limit, Split(share, seed, below))
            for below in (False, True)
        )

    def _each(self, work: Callable[[Batch], Any], row_bytes: int, skip: int = 0) -> Iterator[Any]:
        """Return what threads make of each batch; of the first ``skip`` rows some are left out.

        ``row_bytes`` are those of a row of what is made.
        """
        self._check_unchanged()
        limit = self.memory_limit
        threads, most = reading_threads(limit), _most_bytes(limit) // row_bytes
        size = _batch_rows(row_bytes, limit)
        batches = _reading(self._table, self._types, size, skip, self._split, most)

        def worked(batch: Batch) -> tuple[int, Any]:
            return batch.data.num_rows, work(batch)

        try:
            for n, made in in_order(worked, ahead(batches), threads):
                yield made
                if self.on_rows is not None:
                    self.on_rows(n)
        except ValueError:
            self._check_unchanged()  # the better reason
            raise
        finally:
            arrow().default_memory_pool().release_unused()  # what the threads that end held
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """Refuse files that were written since they were opened: passes must see the same rows."""
        if self._table.stamp() != self._stamp:
            raise ValueError(f"{self.name} has changed since it was opened: open it anew")

    def codes_of(self, name: str) -> NDArray[np.int64]:
        """Return codes of a column's values, (n,), in one reading of it: 8 bytes a row.

        Raises
        ------
        ValueError
            If there is no such column, or a value is missing.
        """
        if name not in self._table.names:
            raise ValueError(f"{self.name} has no column {name!r}")
        self._check_unchanged()
        types = self._table.types([name], [])
        known: dict[Any, int] = {}
        found = []
        for batch in _reading(self._table, types, _LARGEST_BATCH, 0, self._split):
            values = batch.data.column(0)
            if not hasattr(values, "dictionary"):
                values = values.dictionary_encode()
            levels = values.dictionary.to_pylist()
            indices = values.indices.to_numpy(zero_copy_only=False).astype(np.float64)
            nothing = np.array([each is None or each != each for each in levels], dtype=bool)
            missing = np.isnan(indices)
            missing[~missing] = nothing[indices[~missing].astype(np.intp)]
            if missing.any():
                where = batch.place.row(int(np.flatnonzero(missing)[0]))
                raise ValueError(f"{where}: column {name!r} has no value, and so no cluster")
            codes = np.array([known.setdefault(each, len(known)) for each in levels], np.int64)
            found.append(codes[indices.astype(np.intp)])
        self._check_unchanged()
        codes = np.concatenate(found)
        self._check_count(codes.size)
        return codes

    def encoded_by(self, schema: Schema, roles: Sequence[str] = ()) -> Iterator[Encoded]:
        """Return the rows in batches as the schema of a model encodes them.

        What the rows were opened with must be what is read: a score of other labels is none.
        """
        read = _ROLES if "target" in roles else ("offset",)
        for role in read:
            asked, known = getattr(self._request, role), getattr(schema, role)
            if asked not in (None, known):
                raise ValueError(
                    f"{self.name} was opened with {role}={asked!r}, and the model was fitted with "
                    f"{role}={known!r}"
                )
        return encoded_batches(schema, self._table, roles, self._split)

    # --- encoded ------------------------------------------------------------------------------

    @cached_property
    def _row_bytes(self) -> int:
        schema = self.schema
        size = np.dtype(schema.dtype).itemsize
        return schema.values_a_row * (size + 4 * schema.has_categories) + 24

    def fits_in_memory(self) -> bool:
        """Return whether all rows, encoded, take up at most half of the memory limit."""
        return self._row_bytes * self.n_rows <= self.memory_limit // 2

    def _encoded(self) -> Iterator[Encoded]:
        schema = self.schema
        return self._each(lambda batch: schema.encode(batch, *_ROLES, seen=True), self._row_bytes)

    def collect(self) -> Rows:
        """Return all rows in memory, without weights by class."""
        return self._collected

    @cached_property
    def _collected(self) -> Rows:
        parts = [list(each) for each in zip(*self._encoded(), strict=True)]
        columns = []
        while parts:  # what has been joined is let go
            columns.append(joined(parts.pop(0)))
        self._check_count(columns[0].shape[0])
        matrix, codes, weights, offset = columns
        return Rows(matrix, codes, weights, offset, self.classes)

    def _check_count(self, found: int) -> None:
        if found != self.n_rows:
            raise ValueError(
                f"{self.name} has changed: {found} rows, where the first look found {self.n_rows}"
            )

    def source(self, by_class: NDArray[np.float64] | None) -> PartedRows:
        """Return the rows as a source that reads them; ``by_class`` are weights of the classes."""
        return PartedRows(FileParts(self, by_class))

    def _read_here(self) -> Iterator[Encoded]:
        """Return the batches, encoded, without threads that read ahead."""
        self._check_unchanged()
        size = _batch_rows(self._row_bytes, self.memory_limit)
        for batch in _reading(self._table, self._types, size, 0, self._split):
            yield self.schema.encode(batch, *_ROLES, seen=True)

    def first_rows(self) -> Rows:
        """Return the first rows in memory."""
        found = next(self._read_here())
        assert found.codes is not None
        return Rows(found.matrix, found.codes, found.weights, found.offset, self.classes)


class _Draws:
    """The rows of samples, drawn while the look reads all, and encoded when it knows how.

    Those of all samples are taken together: a row of several is taken once. Where the number of
    rows is not known before, one of every eight is taken, and half of them are let go whenever
    they are more than there is room for.
    """

    def __init__(self, n: int | None, room: int) -> None:
        self._room = room
        self._places: dict[int, NDArray[np.int64]] = {}
        self._all: NDArray[np.int64] | None = None
        self._wide = STAGE  # one row of so many is taken, where n is not known
        self._taken: list[tuple[Batch, NDArray[np.int64]]] = []  # and the numbers of their rows
        if n is not None:
            self._places = {step: sample_places(n, step, room) for step in _steps(n)}
            none: NDArray[np.int64] = np.empty(0, dtype=np.int64)
            self._all = np.unique(np.concatenate([none, *self._places.values()]))

    def watching(self, work: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """Return the work on a batch, with which the rows of the samples are copied."""

        def watched(batch: Batch) -> Any:
            return work(batch._replace(data=_Watched(batch, self._rows_of(batch))))

        return watched

    def _rows_of(self, batch: Batch) -> NDArray[np.int64]:
        """Return the numbers of a batch's rows that are taken."""
        first, last = batch.first, batch.first + batch.data.num_rows
        if self._all is None:
            rows = np.arange(first, last, dtype=np.int64)
            return rows[_is_drawn(rows, self._wide)]
        low, high = np.searchsorted(self._all, (first, last))
        return self._all[low:high]

    def add(self, batch: Batch) -> None:
        """Keep what was copied of the next batch that was watched."""
        rows, copied = batch.data.rows, batch.data.copied(batch.place)
        if rows.size:
            self._taken.append((copied, rows))
            if self._all is None:
                self._keep_drawn()  # fewer, if room was made since it was watched
        while self._all is None and sum(rows.size for _, rows in self._taken) > self._room:
            self._wide *= 2
            self._keep_drawn()

    def _keep_drawn(self) -> None:
        """Let rows go that are not drawn any more."""
        kept = [(batch, rows, _is_drawn(rows, self._wide)) for batch, rows in self._taken]
        self._taken = [
            (batch, rows) if still.all() else (_some_of(batch, np.flatnonzero(still)), rows[still])
            for batch, rows, still in kept
            if still.any()
        ]

    def _settle(self, n: int) -> None:
        """Say which rows are in which sample, now that their number is known."""
        if self._all is None:
            self._all = np.concatenate([rows for _, rows in self._taken])
            for step in _steps(n):
                size = min(self._all.size, n // step)
                self._places[step] = self._all[np.arange(size) * self._all.size // size]

    def encoded(self, schema: Schema, n: int) -> dict[int, Encoded]:
        """Return the samples of all n rows by their step, each once."""
        if not self._taken:
            return {}
        self._settle(n)
        assert self._all is not None
        batches, self._taken = self._taken[::-1], []
        pieces = []
        while batches:  # what has been encoded is let go
            pieces.append(schema.encode(batches.pop()[0], *_ROLES, seen=True))
        whole = [joined(list(each)) for each in zip(*pieces, strict=True)]
        found = {}
        for step, places in self._places.items():
            at = np.searchsorted(self._all, places)
            found[step] = Encoded(*(None if each is None else each[at] for each in whole))
        return found


def _steps(n: int) -> list[int]:
    """Return of how many rows each sample takes one."""
    return list(takewhile(lambda step: n // step >= _LEAST_SAMPLE, (STAGE**k for k in count(1))))


def _is_drawn(rows: NDArray[np.int64], wide: int) -> NDArray[np.bool_]:
    """Return which rows, by their numbers, are drawn from every ``wide``, a power of 2.

    Those of twice as many are among them: of each bit of a row's number another one is drawn.
    """
    drawn = np.ones(rows.size, dtype=bool)
    bit = 1
    while bit < wide:
        drawn &= (rows & bit > 0) == Split(0.5, bit, True).of_numbers(rows // (2 * bit))
        bit *= 2
    return drawn


def _some_of(batch: Batch, rows: NDArray[np.int64]) -> Batch:
    """Return a copy of some rows of a batch."""
    import pyarrow as pa

    some = _Some(batch.place, rows)
    return Batch(batch.data.take(pa.array(rows)), some, 0)  # type: ignore[arg-type]


class _Watched:
    """The columns of a batch, of which some rows are copied when they are asked for."""

    def __init__(self, batch: Batch, rows: NDArray[np.int64]) -> None:
        self.num_rows = batch.data.num_rows
        self.rows = rows  # their numbers
        self._at = rows - batch.first
        self._data = batch.data
        self._copies: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a column."""
        found = self._data[name]
        if self.rows.size and name not in self._copies:
            self._copies[name] = found.take(self._at)
        return found

    def copied(self, place: Any) -> Batch:
        """Return the rows that were copied, of the columns that were asked for."""
        import pyarrow as pa

        names = list(self._copies)
        data = pa.RecordBatch.from_arrays([self._copies[name] for name in names], names)
        return Batch(data, _Some(place, self._at), 0)  # type: ignore[arg-type]


class FileParts:
    """A table's rows, encoded batch by batch; see :class:`fastlogreg.data.parts.Parts`."""

    reading_cost = 2.0  # of Parquet, 4,000,000 x 20: 0.36 s of processor time, and a pass 0.15

    def __init__(self, table: TableRows, by_class: NDArray[np.float64] | None) -> None:
        self._table, self._by_class = table, by_class
        schema, counts, n_rows = table.schema, table.counts, table.n_rows
        each = np.ones(counts.rows.size) if by_class is None else by_class
        self.facts = Facts(
            n_rows,
            schema.width,
            n_rows * schema.values_a_row,
            float(each @ counts.weights),
            effective_rows(*counts, by_class),
            table.far_middle,
        )
        limit, size = table.memory_limit, table._row_bytes
        self.room = limit // 8
        self.sample_rows = self.room // size
        self._room = limit * 3 // 4 // size  # rows, of which as many stay as those ahead leave
        self._in_flight = reading_threads(limit) + 1  # blocks
        self._kept: list[Block] = []
        self._skip = 0  # rows of the table that these were
        self._complete = False  # whether those that stay have been collected
        self._buffers = Buffers()

    def ask(self, question: Question, spec: PassSpec) -> Any:
        """Ask each block as it comes, beside the threads that read."""
        most = _kernel_threads()
        limit = most if spec.n_threads is None else min(most, spec.n_threads)
        spec = spec._replace(n_threads=limit)
        total = None
        for block in self.read():
            answer = question.of(block.first, block.last).ask(block, spec)
            total = answer if total is None else question.added(total, answer)
        return total

    def samples(self, steps: list[int]) -> tuple[dict[int, MemoryRows], float]:
        """Return samples: those that the look has drawn, or others for one reading."""
        drawn = {step: self._table.drawn(step) for step in steps}
        if all(drawn.values()):
            return {step: self._rows(found) for step, found in drawn.items() if found}, 0.0
        n, room = self.facts.n_rows, self.sample_rows
        places = {step: sample_places(n, step, room) for step in steps}
        return gathered(pick(block, places) for block in self.read()), 1.0

    def columns(self, chosen: NDArray[np.intp]) -> "SomeColumns":
        """Return the same rows with some of the columns."""
        return SomeColumns(self, chosen)

    def _rows(self, found: Encoded) -> MemoryRows:
        assert found.codes is not None
        weights = weights_by_class(found.codes, found.weights, self._by_class)
        return MemoryRows(found.matrix, found.codes, weights, found.offset)

    def read(self) -> Iterator[Block]:
        """Return the blocks: those that stayed in memory, and the rest as they are read."""
        table = self._table
        yield from self._kept
        number = self._kept[-1].last if self._kept else 0
        keeps, skip = not self._complete, self._skip

        def encode(batch: Batch) -> tuple[int, Encoded] | None:
            if batch.first < skip:
                return None
            encoded = table.schema.encode(batch, *_ROLES, seen=True, into=self._buffers)
            return batch.first + batch.data.num_rows, encoded

        for made in table._each(encode, table._row_bytes, skip):
            if made is None:
                continue
            end, encoded = made
            block = Block(self._rows(encoded), number)
            number = block.last
            keeps = keeps and number + self._in_flight * block.rows.n_rows <= self._room
            if keeps:
                self._kept.append(block)
                self._skip = end
            yield block
            if not keeps:
                self._buffers.give(encoded.matrix)
        self._complete = True
        table._check_count(number)


class SomeColumns(FileParts):
    """A table's rows with some of their columns, which are cut out of each block."""

    def __init__(self, whole: FileParts, chosen: NDArray[np.intp]) -> None:
        self._whole, self._chosen = whole, chosen
        facts = whole.facts
        share = chosen.size / max(1, facts.n_columns)
        self.facts = facts.of_columns(chosen, int(facts.n_values * share))
        self.room, self.sample_rows = whole.room, whole.sample_rows

    def read(self) -> Iterator[Block]:
        """Return the blocks, cut."""
        for block in self._whole.read():
            yield Block(block.rows.columns(self._chosen), block.first)

    def samples(self, steps: list[int]) -> tuple[dict[int, MemoryRows], float]:
        """Return samples, for one reading."""
        places = {step: sample_places(self.facts.n_rows, step, self.sample_rows) for step in steps}
        return gathered(pick(block, places) for block in self.read()), 1.0

    def columns(self, chosen: NDArray[np.intp]) -> "SomeColumns":
        """Return some of these columns."""
        return SomeColumns(self._whole, self._chosen[chosen])


def _kernel_threads() -> int:
    """Return the threads that kernels have while others read.

    A thread of OpenMP spins between passes, on the core that a reader wants.
    """
    return max(1, _cores() // 2)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _most_bytes(limit: int) -> int:
    """Return the bytes of a batch that is read column by column, within a limit of memory.

    The number of cores has no say in it: sums are added batch by batch, and keep their bits.
    """
    return max(min(_COLUMNS_BYTES, limit * 5 // 16), limit // 16)


def reading_threads(limit: int) -> int:
    """Return how many threads read, each a batch; with one beside them all are in the limit."""
    return max(2, min(_cores(), _MOST_READERS, limit // _most_bytes(limit) - 1))


def _batch_rows(row_bytes: int, limit: int = 32 * _BATCH_BYTES) -> int:
    """Return the rows of a batch; several of them may be in memory at once."""
    size = min(_BATCH_BYTES, limit // 32)
    return max(_LEAST_BATCH, min(_LARGEST_BATCH, size // row_bytes))


def _filtered(batch: Batch, mask: NDArray[np.bool_]) -> Batch:
    """Return some rows of a batch, whose places are still those of the file."""
    import pyarrow as pa

    some = _Some(batch.place, np.flatnonzero(mask))
    return Batch(batch.data.filter(pa.array(mask)), some, batch.first)  # type: ignore[arg-type]


class _Some(NamedTuple):
    """Where some rows of a batch stand; see :class:`fastlogreg.data.tables.Place`."""

    place: Any
    numbers: NDArray[np.int64]

    @property
    def source(self) -> str:
        """Return the file."""
        return str(self.place.source)

    @property
    def is_text(self) -> bool:
        """Return whether it is a CSV file."""
        return bool(self.place.is_text)

    def row(self, i: int) -> str:
        """Return where row i stands."""
        return str(self.place.row(int(self.numbers[i])))


def encoded_batches(
    schema: Schema, table: Table, roles: Sequence[str] = (), split: Split | None = None
) -> Iterator[Encoded]:
    """Return a table to predict as encoded batches, checked against the schema of the model.

    ``roles`` are what is read beside the features: of "target", "sample_weight", "offset".
    """
    return (encoded for encoded, _ in keyed_batches(schema, table, roles, split))


def keyed_batches(
    schema: Schema,
    table: Table,
    roles: Sequence[str] = (),
    split: Split | None = None,
    keys: Sequence[str] = (),
) -> Iterator[tuple[Encoded, dict[str, Any]]]:
    """Return encoded batches, each with columns of the table as they stand, Arrow arrays by name.

    ``keys`` are their names. Of a CSV file they are text, unless they are features, too.
    """
    missing = [name for name in keys if name not in table.names]
    if missing:
        raise ValueError(f"{table.name} has no column {missing[0]!r}")
    types = schema.check_table(table, roles=roles, also=keys)
    types = {**table.types(list(keys), list(keys)), **types}
    size = schema.values_a_row * (np.dtype(schema.dtype).itemsize + 4) + 24
    reading = _reading(table, types, _batch_rows(size), 0, split, _most_bytes(_PREDICTED) // size)

    def encode(batch: Batch) -> tuple[Encoded, dict[str, Any]]:
        return schema.encode(batch, *roles), {name: _plain(batch.data, name) for name in keys}

    batches = in_order(encode, ahead(reading), reading_threads(_PREDICTED))
    first = next(batches, None)
    if first is None:
        raise ValueError(f"{table.name} has no rows")
    return chain([first], batches)


def _plain(data: Any, name: str) -> Any:
    """Return a column of a batch, text as text."""
    values = data[name]
    return values.dictionary_decode() if hasattr(values, "dictionary") else values


def _reading(
    table: Table,
    types: dict[str, Any],
    rows: int,
    skip: int,
    split: Split | None,
    most: int = 0,
) -> Iterator[Batch]:
    """Read a table, or a split of it, in batches; see :meth:`Table.batches`."""
    for batch in table.batches(types, rows, skip, most):
        if split is not None:
            mask = split.of(batch.first, batch.data.num_rows)
            if not mask.all():
                batch = _filtered(batch, mask)
        if batch.data.num_rows:
            yield batch


def in_order(work: Callable[[Any], Any], items: Iterator[Any], threads: int) -> Iterator[Any]:
    """Return what ``work`` makes of each item, in their order; threads work ahead of the user.

    No more than ``threads`` results are there, or being made, beside the one that is used.
    """
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads, "fastlogreg-reader") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
            close = getattr(items, "close", None)
            if close is not None:
                close()


class _End:
    """What the reading thread says last: nothing, or what went wrong."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Return the items, which a thread makes ahead of whoever uses them."""
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        error = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as caught:  # it is raised where the items are used
            error = caught
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(_End(error))

    thread = threading.Thread(target=work, name="fastlogreg-reader", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()
