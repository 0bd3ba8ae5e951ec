"""A table in Parquet files: written, and read in batches; it imports NumPy and pyarrow alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROUP = 125_000  # rows of a row group
_FILES = 8
_BATCH = 65_536  # rows that a reader takes together

Rows = tuple[NDArray[np.float64], NDArray[np.int8]]


def write(folder: Path, rows: int, columns: int) -> float:
    """Write a table to files; return their size in MB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    w = random.standard_normal(columns) / np.sqrt(columns)
    names = [f"x{j}" for j in range(columns)]
    each = -(-rows // _FILES)
    for k in range(_FILES):
        schema = pa.schema([(name, pa.float64()) for name in names] + [("y", pa.int8())])
        with pq.ParquetWriter(folder / f"part{k}.parquet", schema) as file:
            left = min(each, rows - k * each)
            while left > 0:
                X = random.standard_normal((min(_GROUP, left), columns))
                y = random.random(len(X)) < 1.0 / (1.0 + np.exp(-(X @ w) - 0.5))
                arrays = [pa.array(X[:, j]) for j in range(columns)]
                file.write_table(pa.table([*arrays, pa.array(y.astype(np.int8))], schema=schema))
                left -= len(X)
    return sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6


def batches(folder: str) -> Iterator[Any]:
    """Read all batches of all files."""
    import pyarrow.parquet as pq

    for path in sorted(Path(folder).glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH)


def arrays(batch: Any) -> Rows:
    """Return the columns and the labels of a batch."""
    columns = [batch.column(j).to_numpy() for j in range(batch.num_columns - 1)]
    return np.column_stack(columns), batch.column(batch.num_columns - 1).to_numpy()


def whole(folder: str) -> Rows:
    """Return all rows in memory."""
    parts = [arrays(batch) for batch in batches(folder)]
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])
