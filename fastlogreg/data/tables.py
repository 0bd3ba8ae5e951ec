"""Tables of rows, wherever they are, as a stream of Arrow batches.

Parquet, Arrow and CSV files (one, a glob, a list, a folder with hive keys), data sets of pyarrow,
and frames in memory become one thing: names and types of columns, and batches of rows in a fixed
order, of which each says where it stands (:class:`Place`), so that a message can name the file and
the row or line. pyarrow reads; nothing is interpreted here (that is :mod:`fastlogreg.data.values`).

Files are read by ``ParquetFile``, not by ``Dataset.to_batches``, whose memory grows with the file
(apache/arrow issue 39808). No file is mapped into memory: who touches a mapping whose file has
become shorter since is killed (SIGBUS). A row group of Parquet that is small enough is read column
by column (:class:`Columns`), so that each is used while it is in the cache, and several threads can
read.

A column of a CSV file has the type of its first block of values; whole numbers are read as float64.
Where a later line does not fit, that is an error which names the line: a stray word would
otherwise turn a column of numbers into a category with thousands of levels.
"""

import csv
import glob
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

__all__ = [
    "Batch",
    "Columns",
    "Place",
    "Table",
    "arrow",
    "found_files",
    "is_frame",
    "is_number",
    "open_table",
]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_KINDS = "Parquet (.parquet, .pq), Arrow (.arrow, .feather, .ipc) and CSV (.csv, .tsv, .txt)"
_DELIMITERS = ",;\t|"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_CSV_BLOCK = 1 << 22  # bytes
_READ_BYTES = 1 << 18  # of a column of a Parquet file, at a time


def arrow() -> Any:
    """Return pyarrow; it is imported here, where tables are read."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "tables need pyarrow: python3 -m pip install 'fastlogreg[files]'"
        ) from error
    return pa


class Place(NamedTuple):
    """Where a batch stands.

    Attributes
    ----------
    source : str
        The file, or what the table is.
    first : int
        Number of its first row in that source, from 0.
    piece : File, optional
        The file: lines of CSV can be numbered.
    """

    source: str
    first: int
    piece: Any = None

    @property
    def is_text(self) -> bool:
        """Return whether it stands in a CSV file, where numbers are words, too."""
        return self.piece is not None and self.piece.kind == "csv"

    def row(self, i: int) -> str:
        """Return where row i of the batch stands, in words."""
        number = self.first + int(i)
        if self.is_text:
            return f"{self.source}, line {self.piece.line_of(number)}"
        return f"{self.source}, row {number}"


class Columns:
    """Columns of some rows of a Parquet file, each of which is read when it is asked for.

    What is read is not kept. One thread may ask at a time; others may ask other rows of the file.

    Attributes
    ----------
    num_rows : int
    """

    def __init__(
        self, file: "File", groups: Sequence[int], num_rows: int, keys: Mapping[str, Any]
    ) -> None:
        self._file, self._groups = file, groups
        self._keys = keys  # columns that the names of folders hold, by name
        self._chosen: list[tuple[str, Any]] = []  # what was chosen of the rows
        self.num_rows = num_rows

    @cached_property
    def _reader(self) -> Any:
        return self._file.parquet_reader()

    def __getitem__(self, name: str) -> Any:
        """Return a column, an array of Arrow."""
        found = self._keys.get(name)
        if found is None:
            with _naming(self._file.path):
                read = self._reader.read_row_groups(self._groups, columns=[name], use_threads=False)
            found = read.column(name).combine_chunks()
        for how, which in self._chosen:
            found = getattr(found, how)(which)
        return found

    def filter(self, mask: Any) -> "Columns":
        """Return the same columns of the rows that a mask of Arrow chooses."""
        chosen = copy(self)
        chosen._chosen = [*self._chosen, ("filter", mask)]
        chosen.num_rows = mask.true_count
        return chosen


class Batch(NamedTuple):
    """Some consecutive rows, where they stand, and the number of the first in the whole table."""

    data: Any  # pyarrow.RecordBatch, or Columns
    place: Place
    first: int


class Table(Protocol):
    """Rows of a table, to be read as often as wanted.

    Attributes
    ----------
    name : str
        What the table is, for messages.
    names : list of str
    """

    name: str
    names: list[str]

    @property
    def n_rows(self) -> int | None:
        """Return how many rows there are, where that is known without reading them."""

    def stamp(self) -> Any:
        """Return what is another once the rows have changed; None where nothing says so."""

    def types(self, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of columns; ``as_text`` are those to be read as text."""

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int = 0, most: int = 0
    ) -> Iterator[Batch]:
        """Read these columns, as the types say, in batches of ``rows`` rows or less.

        Of the first ``skip`` rows, those that need not be read are left out. Where rows can be
        had column by column (:class:`Columns`), batches may have up to ``most`` rows.
        """


def is_frame(value: Any) -> bool:
    """Whether a value is a frame of pandas or polars, or a table of Arrow."""
    for kind in type(value).__mro__:
        root = kind.__module__.split(".")[0]
        if root in ("pandas", "polars") and kind.__name__ in ("DataFrame", "LazyFrame"):
            return True
        if root == "pyarrow" and kind.__name__ in ("Table", "RecordBatch"):
            return True
    return False


def open_table(source: Any) -> Table:
    """Return the table that a path, a list of paths, a data set or a frame stands for.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError, TypeError
        Where it is none of these, or can't be read; the message names the file.
    """
    arrow()
    if is_frame(source):
        return Frame(source)
    if type(source).__module__.startswith("dask") and hasattr(source, "to_delayed"):
        return Partitions(source)
    import pyarrow.dataset as ds

    if isinstance(source, ds.Dataset):
        return _of_dataset(source)
    if isinstance(source, str | Path):
        return Files(found_files(str(source)))
    if isinstance(source, list | tuple) and source:
        if all(isinstance(each, str | Path) for each in source):
            return Files([file for each in source for file in found_files(str(each))])
    shown = type(source).__name__
    raise TypeError(
        "rows are opened from a path, a glob, a folder or a list of files, a pyarrow data set or "
        f"table, or a frame of pandas or polars; got {shown}. Arrays, numpy.memmap too, are "
        "fitted as they are: fit(X, y)"
    )


def found_files(path: str) -> "list[File]":
    """Return the files that a path, a folder or a glob stands for, in the order of their names."""
    place = Path(path)
    if place.is_dir():
        inside = [each for each in sorted(place.rglob("*")) if _is_data(each, place)]
        if not inside:
            raise FileNotFoundError(f"no file of rows in the folder {path}: {_KINDS} are read")
        keys = [_hive_keys(each, place) for each in inside]
        numeric = _numeric(keys)
        return [
            File(str(each), _format(each), named, numeric)
            for each, named in zip(inside, keys, strict=True)
        ]
    if place.is_file():
        return [File(path, _format(place))]
    if glob.has_magic(path):
        names = sorted(each for each in glob.glob(path, recursive=True) if Path(each).is_file())
        if names:
            return [File(each, _format(Path(each))) for each in names]
        raise FileNotFoundError(f"no file matches {path}")
    raise FileNotFoundError(f"no such file or folder: {path}")


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder is meant: not those that begin with a dot or underscore."""
    inner = path.relative_to(folder).parts
    hidden = any(part.startswith((".", "_")) for part in inner)
    return path.is_file() and not hidden and _suffix(path) in _FORMATS


def _suffix(path: Path) -> str:
    suffixes = [each.lower() for each in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in _COMPRESSED:
        return suffixes[-2]
    return suffixes[-1] if suffixes else ""


def _format(path: Path) -> str:
    known = _FORMATS.get(_suffix(path))
    with path.open("rb") as file:
        head = file.read(6)
    if not head:
        raise ValueError(f"{path} is empty")
    if known is not None:
        return known
    if head[:4] == b"PAR1":
        return "parquet"
    if head == b"ARROW1":
        return "arrow"
    raise ValueError(f"{path}: not known what its rows are in; {_KINDS} are read")


def _hive_keys(path: Path, folder: Path) -> dict[str, str | None]:
    """Return the columns that the names of folders hold, as in ``year=2024/part.parquet``."""
    parts = path.relative_to(folder).parts[:-1]
    pairs = [map(unquote, part.split("=", 1)) for part in parts if "=" in part]
    return {name: None if value == _NO_VALUE else value for name, value in pairs}


def _numeric(keys: "list[dict[str, str | None]]") -> frozenset[str]:
    """Return the names of keys that are numbers in all folders: a column has one kind."""
    text = {
        name
        for each in keys
        for name, value in each.items()
        if value is not None and not (is_number(value) and isfinite(float(value)))
    }
    return frozenset(name for each in keys for name in each) - text


def _of_dataset(dataset: Any) -> Table:
    """Return the table of a pyarrow data set, whose files are read by our own readers.

    Where the data set makes other columns of the files, or leaves rows out, it is read as it is.
    """
    import pyarrow.dataset as ds

    kinds = {"ParquetFileFormat": "parquet", "IpcFileFormat": "arrow"}
    if not isinstance(dataset, ds.FileSystemDataset):
        return Scanned(dataset)
    kind = kinds.get(type(dataset.format).__name__)
    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # it is filtered
        return Scanned(dataset)
    if kind is None or not fragments:
        return Scanned(dataset)
    declared = {field.name: _kind(_values_of(field.type)) for field in dataset.schema}
    numeric = frozenset(name for name, each in declared.items() if each == "number")
    files = []
    for fragment in fragments:
        keys = ds.get_partition_keys(fragment.partition_expression)
        named = {name: None if value is None else str(value) for name, value in keys.items()}
        files.append(File(fragment.path, kind, named, numeric, dataset.filesystem))
    found = {field.name: _kind(_values_of(field.type)) for field in files[0].schema}
    return Files(files) if found == declared else Scanned(dataset)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Let an error in reading name the file."""
    pa = arrow()
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} is not there any more") from error
        raise ValueError(f"{path} can't be read: {error}") from error


@dataclass(frozen=True)
class File:
    """A file of rows; it can be pickled, and read elsewhere.

    Attributes
    ----------
    path : str
    kind : {"parquet", "arrow", "csv"}
    keys : dict of str to str or None
        Columns that the names of its folders hold.
    numeric : frozenset of str
        Those of them that are numbers.
    filesystem : pyarrow.fs.FileSystem, optional
        Default: the local one.
    """

    path: str
    kind: str
    keys: dict[str, str | None] = field(default_factory=dict)
    numeric: frozenset[str] = frozenset()
    filesystem: Any = None

    def _source(self) -> Any:
        if self.filesystem is None:
            return self.path
        return self.filesystem.open_input_file(self.path)

    @cached_property
    def _metadata(self) -> Any:
        """Return what stands at the end of a Parquet file."""
        import pyarrow.parquet as pq

        return pq.read_metadata(self._source())

    @cached_property
    def _inner(self) -> Any:
        """Return the names and types of the columns that are in the file itself."""
        with _naming(self.path):
            if self.kind == "parquet":
                return self._metadata.schema.to_arrow_schema()
            if self.kind == "arrow":
                return self._ipc().schema
            return self._csv_schema()

    @cached_property
    def schema(self) -> Any:
        """Return the names and types of the columns, an Arrow schema."""
        pa = arrow()
        inner = self._inner
        for name in self._outer():
            number = name in self.numeric
            inner = inner.append(pa.field(name, pa.float64() if number else pa.string()))
        twice = {name for name in inner.names if inner.names.count(name) > 1}
        if twice:
            raise ValueError(f"{self.path} has two columns of the name {sorted(twice)[0]!r}")
        return inner

    def _ipc(self, columns: Sequence[str] | None = None) -> Any:
        """Return the reader of an Arrow file, of these columns alone."""
        import pyarrow as pa

        source = pa.OSFile(self.path) if self.filesystem is None else self._source()
        if columns is None:
            return pa.ipc.open_file(source)
        fields = [self._inner.get_field_index(name) for name in columns]
        return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))

    def stamp(self) -> tuple[Any, Any]:
        """Return the file's size, and when it was written."""
        with _naming(self.path):
            if self.filesystem is None:
                found = os.stat(self.path)
                return found.st_size, found.st_mtime_ns
            info = self.filesystem.get_file_info(self.path)
            return info.size, info.mtime_ns

    @cached_property
    def n_rows(self) -> int | None:
        """Return the number of rows, where that is known without reading them."""
        with _naming(self.path):
            if self.kind == "parquet":
                return int(self._metadata.num_rows)
            if self.kind == "arrow":
                import pyarrow.dataset as ds

                # from the metadata alone
                return int(
                    ds.dataset(self.path, format="ipc", filesystem=self.filesystem).count_rows()
                )
        return None

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int, most: int = 0
    ) -> Iterator[tuple[int, Any]]:
        """Read columns in batches, as :class:`Table` does, each with its first row's number."""
        inner = [name for name in types if name in self._inner.names]
        with _naming(self.path):
            if self.kind == "parquet" and inner:
                yield from self._read_parquet(inner, types, rows, skip, most)
                return
            for first, found in self._read(inner, types, rows, skip):
                yield first, self._with_keys(found, types)

    def _outer(self) -> list[str]:
        """Return the columns that only the folders' names hold."""
        return [name for name in self.keys if name not in self._inner.names]

    def _with_keys(self, batch: Any, types: Mapping[str, Any]) -> Any:
        outer = self._keys_of(types, batch.num_rows)
        if not outer:
            return batch
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True)) | outer
        return arrow().RecordBatch.from_arrays(
            [arrays[name] for name in types], names=[str(name) for name in types]
        )

    def _keys_of(self, types: Mapping[str, Any], rows: int) -> dict[str, Any]:
        """Return the columns that only the folders' names hold, each of so many rows."""
        pa = arrow()
        arrays = {}
        for name in self._outer():
            if name not in types:
                continue
            text = self.keys[name]
            # a category has its levels as they are written: 01 is not 1
            number = name in self.numeric and not pa.types.is_dictionary(types[name])
            value: Any = text if text is None or not number else float(text)
            kind = pa.float64() if number else pa.string()
            arrays[name] = pa.repeat(pa.scalar(value, kind), rows)
        return arrays

    def _read(
        self, columns: list[str], types: Mapping[str, Any], rows: int, skip: int
    ) -> Iterator[tuple[int, Any]]:
        if self.kind == "parquet":  # all columns are keys
            none = arrow().RecordBatch.from_arrays([arrow().nulls(self._metadata.num_rows)], ["_"])
            return ((first, batch.select([])) for first, batch in _cut([none], rows))
        if self.kind == "arrow":
            return self._read_ipc(columns, rows, skip)
        return _cut(self._read_csv(columns, types), rows)

    def parquet_reader(self) -> Any:
        """Return a reader of a Parquet file, for one thread."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        # text as codes of a dictionary: as it is stored mostly, and as it will be used
        text = [
            field.name
            for field in self._inner
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        here = self.filesystem is None
        return pq.ParquetFile(
            self._source(),
            metadata=self._metadata,
            read_dictionary=text,
            # elsewhere a column is fetched as a whole, and here piece by piece: of a row group
            # of 200 MB, 70 were in memory, not 280
            buffer_size=_READ_BYTES if here else 0,
            pre_buffer=not here,
        )

    def _read_parquet(
        self, columns: list[str], types: Mapping[str, Any], rows: int, skip: int, most: int
    ) -> Iterator[tuple[int, Any]]:
        reader = None
        most = most if self.filesystem is None else 0
        for first, last, groups in _runs_of_groups(self._metadata, rows):
            if last <= skip:
                continue
            if last - first <= most:
                keys = self._keys_of(types, last - first)
                yield first, Columns(self, groups, last - first, keys)
                continue
            reader = self.parquet_reader() if reader is None else reader
            for batch in reader.iter_batches(rows, row_groups=groups, columns=columns):
                yield first, self._with_keys(batch.select(columns), types)
                first += batch.num_rows

    def _read_ipc(self, columns: list[str], rows: int, skip: int) -> Iterator[tuple[int, Any]]:
        reader = self._ipc(columns if columns else None)
        first = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number).select(columns)
            if first + batch.num_rows > skip:
                for start, part in _cut([batch], rows):
                    yield first + start, part
            first += batch.num_rows

    # --- CSV ----------------------------------------------------------------------------------

    @cached_property
    def _delimiter(self) -> str:
        """Return what separates the values: of the usual ones that which the header has most."""
        try:
            with self._lines() as lines:
                head = next(lines, "")
        except UnicodeDecodeError as error:
            raise self._not_text(error) from error
        if not head.strip():
            raise ValueError(f"{self.path} begins with an empty line, where names of columns stand")
        return max(_DELIMITERS, key=head.count)

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        pa = arrow()
        with _naming(self.path), pa.input_stream(self.path) as raw:
            with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                yield iter(text)

    def _not_text(self, error: UnicodeDecodeError) -> ValueError:
        """Return the error with the line whose bytes are no text."""
        pa = arrow()

        def is_text(content: bytes) -> bool:
            try:
                content.decode("utf-8")
            except UnicodeDecodeError:
                return False
            return True

        with _naming(self.path), pa.input_stream(self.path) as raw, io.BufferedReader(raw) as file:
            line = 1 + sum(1 for _ in takewhile(is_text, file))
        return ValueError(
            f"{self.path}, line {line}: not UTF-8 text ({error.reason}); store the file as UTF-8"
        )

    def _csv(self, columns: list[str] | None, types: Mapping[str, Any]) -> Any:
        import pyarrow.csv as pc

        return pc.open_csv(
            self.path,
            read_options=pc.ReadOptions(block_size=_CSV_BLOCK),
            parse_options=pc.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                column_types=dict(types), include_columns=columns or [], strings_can_be_null=True
            ),
        )

    def _csv_schema(self) -> Any:
        pa = arrow()
        try:
            with self._csv(None, {}) as reader:
                inferred = reader.schema
        except pa.ArrowInvalid as error:
            raise self._explained(error, {}) from error
        fields = []
        for each in inferred:
            whole = pa.types.is_integer(each.type)
            fields.append(pa.field(each.name, pa.float64() if whole else each.type))
        return pa.schema(fields)

    def _read_csv(self, columns: list[str], types: Mapping[str, Any]) -> Iterator[Any]:
        pa = arrow()
        asked = {name: types[name] for name in columns}
        end = self._inner.names[-1]  # where a quote that nothing closes is seen
        read = asked if end in asked else {**asked, end: pa.string()}
        try:
            last = None
            with self._csv(list(read), read) as reader:
                for batch in reader:
                    last = batch if batch.num_rows else last
                    yield batch.select(columns)
        except pa.ArrowInvalid as error:
            raise self._explained(error, asked) from error
        if last is not None:
            self._refuse_open_quote(last.column(end)[-1].as_py())

    def _refuse_open_quote(self, value: Any) -> None:
        """Refuse a last value that a quote begins and nothing closes: it holds all later rows."""
        if not isinstance(value, str) or "\n" not in value:
            return
        end, number = "", 0
        with self._lines() as lines:
            for line in lines:
                end, number = line.rstrip() or end, number + 1
        if not end.endswith('"'):
            line_of_quote = number - value.count("\n") + value.endswith("\n")
            raise ValueError(
                f"{self.path}, line {line_of_quote}: column {self._inner.names[-1]!r} has a quote "
                "that nothing closes: mend the file"
            )

    def _explained(self, error: Exception, types: Mapping[str, Any]) -> ValueError:
        """Return the error with the line that it is about, found by reading the file again."""
        pa = arrow()
        try:
            with self._lines() as lines:
                reader = csv.reader(lines, delimiter=self._delimiter)
                names = next(reader)
                numbers = [
                    (j, name)
                    for j, name in enumerate(names)
                    if name in types and pa.types.is_floating(types[name])
                ]
                before = reader.line_num
                for values in reader:
                    line, before = before + 1, reader.line_num
                    if not values:
                        continue
                    if len(values) != len(names):
                        return ValueError(
                            f"{self.path}, line {line}: {len(values)} values, where the header "
                            f"has {len(names)} columns"
                        )
                    for j, name in numbers:
                        if not (is_number(values[j]) or _is_null(values[j])):
                            return ValueError(
                                f"{self.path}, line {line}: column {name!r} holds numbers, and "
                                f"{values[j]!r} is none: mend the file, or name the column in "
                                "categorical="
                            )
        except UnicodeDecodeError as damaged:
            return self._not_text(damaged)
        except csv.Error as damaged:
            return ValueError(f"{self.path}: {damaged}")
        return ValueError(f"{self.path} can't be read: {error}")

    def line_of(self, row: int) -> int:
        """Return the line, from 1, on which a row of a CSV file begins."""
        with self._lines() as lines:
            reader = csv.reader(lines, delimiter=self._delimiter)
            next(reader)
            before, number = reader.line_num, 0
            for values in reader:
                line, before = before + 1, reader.line_num
                if not values:
                    continue
                if number == row:
                    return line
                number += 1
        return before


def _cut(batches: Iterable[Any], rows: int) -> Iterator[tuple[int, Any]]:
    """Return batches of ``rows`` rows or less, each with the number of its first row."""
    before = 0
    for batch in batches:
        for first in range(0, batch.num_rows, rows):
            yield before + first, batch.slice(first, rows)
        before += batch.num_rows


def _runs_of_groups(metadata: Any, rows: int) -> Iterator[tuple[int, int, list[int]]]:
    """Return runs of row groups of ``rows`` rows or less, or of one; each with its rows' numbers.

    These are that of the first row, and of the one after the last.
    """
    run: list[int] = []
    first = last = 0
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if run and last + size - first > rows:
            yield first, last, run
            first, run = last, []
        run.append(group)
        last += size
    if run:
        yield first, last, run


def is_number(text: str) -> bool:
    """Return whether a CSV file's text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_null(text: str) -> bool:
    import pyarrow.csv as pc

    return text in pc.ConvertOptions().null_values


class Files:
    """Files with the same columns, one after the other; see :class:`Table`."""

    def __init__(self, files: list[File]) -> None:
        self.files = files
        first = files[0]
        self.name = first.path if len(files) == 1 else f"{first.path} and {len(files) - 1} more"
        self.names = list(first.schema.names)

    @cached_property
    def n_rows(self) -> int | None:
        """Return the number of rows of all files."""
        each = [file.n_rows for file in self.files]
        return None if None in each else sum(n for n in each if n is not None)

    def stamp(self) -> Any:
        """Return the sizes of all files, and when they were written."""
        return [file.stamp() for file in self.files]

    def types(self, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of columns, which all files must agree in."""
        pa = arrow()
        found = _types(self.files[0].schema, columns, as_text)
        first = dict.fromkeys(columns, self.files[0])
        for file in self.files[1:]:
            missing = [name for name in columns if name not in file.schema.names]
            if missing:
                raise ValueError(
                    f"{file.path} has no column {missing[0]!r}, which {self.files[0].path} has"
                )
            other = _types(file.schema, columns, as_text)
            for name in columns:
                if pa.types.is_null(found[name]):  # no value yet that says what it is
                    found[name], first[name] = other[name], file
                elif pa.types.is_null(other[name]):
                    continue
                elif _kind(found[name]) != _kind(other[name]):
                    before = first[name]
                    raise ValueError(
                        f"column {name!r} is {before.schema.field(name).type} in {before.path} and "
                        f"{file.schema.field(name).type} in {file.path}"
                    )
        # a later line of a CSV file may have a number
        return {n: pa.float64() if pa.types.is_null(t) else t for n, t in found.items()}

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int = 0, most: int = 0
    ) -> Iterator[Batch]:
        """Read these columns of one file after the other."""
        before = 0
        for file in self.files:
            if skip and file.n_rows is not None and before + file.n_rows <= skip:
                before += file.n_rows
                continue
            end = 0
            for first, data in file.batches(types, rows, skip - before, most):
                yield Batch(data, Place(file.path, first, file), before + first)
                end = first + data.num_rows
            before += end


class Frame:
    """A frame in memory; see :class:`Table`. A lazy frame of polars is collected once."""

    n_rows = None

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        kind = type(frame)
        self.name = f"the {kind.__module__.split('.')[0]} {kind.__name__}"
        self._lazy = kind.__name__ == "LazyFrame"
        pa = arrow()
        # asked by type: a column of pandas may have any name
        if self._lazy:
            names = frame.collect_schema().names()
        elif isinstance(frame, pa.Table | pa.RecordBatch):
            names = frame.schema.names
        else:
            names = list(frame.columns)
        other = [name for name in names if not isinstance(name, str)]
        if other:
            raise TypeError(f"names of columns must be strings, got {other[0]!r}")
        twice = {name for name in names if list(names).count(name) > 1}
        if twice:
            raise ValueError(f"{self.name} has two columns of the name {sorted(twice)[0]!r}")
        self.names = list(names)
        self._tables: dict[tuple[str, ...], Any] = {}

    def _table(self, columns: Sequence[str]) -> Any:
        """Return these columns as an Arrow table, without a copy where the frame allows it."""
        pa = arrow()
        key = tuple(columns)
        if key not in self._tables:
            chosen = list(columns)
            frame = self._frame
            if self._lazy:
                found = frame.select(chosen).collect().to_arrow()
            elif isinstance(frame, pa.Table):
                found = frame.select(chosen)
            elif isinstance(frame, pa.RecordBatch):
                found = pa.Table.from_batches([frame]).select(chosen)
            elif hasattr(type(frame), "to_arrow"):  # of polars
                found = frame.select(chosen).to_arrow()
            else:
                found = _of_pandas(frame, chosen)
            self._tables = {key: found}
        return self._tables[key]

    def stamp(self) -> Any:
        """Return None: nothing says whether its rows have changed."""

    def types(self, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of columns."""
        return _types(self._table(columns).schema, columns, as_text)

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int = 0, most: int = 0
    ) -> Iterator[Batch]:
        """Return runs of rows of the frame."""
        for first, batch in _cut(self._table(list(types)).to_batches(), rows):
            yield Batch(batch, Place(self.name, first), first)


class Partitions:
    """A frame of Dask, whose partitions are computed one after the other; see :class:`Table`."""

    n_rows = None

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.name = "the Dask DataFrame"
        self.names = list(frame.columns)

    def stamp(self) -> Any:
        """Return None: nothing says whether its rows have changed."""

    def types(self, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of columns: those of the first partition with rows."""
        for batch in self.batches(dict.fromkeys(columns), 1):
            return _types(batch.data.schema, columns, as_text)
        return _types(Frame(self._frame._meta)._table(columns).schema, columns, as_text)

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int = 0, most: int = 0
    ) -> Iterator[Batch]:
        """Return runs of rows of one partition after the other."""
        before = 0
        for k, part in enumerate(self._frame[list(types)].partitions):
            table = _of_pandas(part.compute(), list(types))
            for first, batch in _cut(table.to_batches(), rows):
                yield Batch(batch, Place(f"{self.name}, partition {k}", first), before + first)
            before += table.num_rows


def _of_pandas(frame: Any, chosen: list[str]) -> Any:
    pa = arrow()
    arrays = []
    for name in chosen:
        column = frame[name]
        if hasattr(column, "sparse"):  # pandas' own: Arrow takes none of them
            column = column.sparse.to_dense()
        try:
            arrays.append(pa.array(column, from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TypeError(f"column {name!r} holds values of several kinds: {error}") from error
        except pa.ArrowNotImplementedError as error:
            raise TypeError(
                f"column {name!r} holds {column.dtype}, which are neither numbers nor text"
            ) from error
    chunked = [
        each if isinstance(each, pa.ChunkedArray) else pa.chunked_array([each]) for each in arrays
    ]
    return pa.table(dict(zip(chosen, chunked, strict=True)))


class Scanned:
    """A data set of pyarrow that is none of Parquet or Arrow files, read by its scanner."""

    n_rows = None

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.name = f"the {type(dataset).__name__}"
        self.names = list(dataset.schema.names)

    def stamp(self) -> Any:
        """Return None: nothing says whether its rows have changed."""

    def types(self, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of columns."""
        return _types(self._dataset.schema, columns, as_text)

    def batches(
        self, types: Mapping[str, Any], rows: int, skip: int = 0, most: int = 0
    ) -> Iterator[Batch]:
        """Read these columns."""
        with _naming(self.name):
            scanned = self._dataset.to_batches(columns=list(types), batch_size=rows)
            for first, batch in _cut(scanned, rows):
                yield Batch(batch, Place(self.name, first), first)


def _types(schema: Any, columns: Sequence[str], as_text: Sequence[str]) -> dict[str, Any]:
    pa = arrow()
    found = {}
    for name in columns:
        kind = schema.field(name).type
        if name in as_text or _is_text(kind):
            kind = pa.dictionary(pa.int32(), pa.string())
        found[name] = kind
    return found


def _is_text(dtype: Any) -> bool:
    pa = arrow()
    t = pa.types
    return bool(t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype))


def _values_of(dtype: Any) -> Any:
    """Return the type of a dictionary's values, or that of any other column."""
    return dtype.value_type if arrow().types.is_dictionary(dtype) else dtype


def _kind(dtype: Any) -> str:
    """Return what two files must agree in: not how wide a number is."""
    pa = arrow()
    if pa.types.is_dictionary(dtype) or _is_text(dtype):
        return "text"
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    return str(dtype)
