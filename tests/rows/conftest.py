"""A table with numbers, text, booleans and whole numbers, and where it may lie."""

import numpy as np
import pandas as pd
import pytest

N = 6_000


@pytest.fixture(scope="session")
def frame():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "dose": rng.normal(size=N) * 10 + 300,
            "age": rng.integers(20, 90, N),
            "site": rng.choice(["oslo", "rome", "ürümqi"], N, p=[0.6, 0.3, 0.1]),
            "smoker": rng.random(N) < 0.3,
            "grade": rng.integers(1, 4, N),
            "w": rng.random(N) + 0.1,
            "known": rng.normal(size=N) * 0.3,
        }
    )
    z = 0.1 * (frame.dose - 300) - 0.03 * (frame.age - 50) + (frame.site == "rome") - frame.smoker
    frame["cured"] = np.where(rng.random(N) < 1 / (1 + np.exp(-z)), "yes", "no")
    frame["stage"] = rng.permutation(np.arange(N) % 3) + (frame.dose > 310).astype(int)
    return frame


@pytest.fixture(scope="session")
def encoded(frame):
    """Return the features as scikit-learn encodes them, in the order of the columns."""
    from sklearn.preprocessing import OneHotEncoder

    dummies = OneHotEncoder(sparse_output=False).fit_transform(frame[["site"]])
    return np.column_stack(
        [frame.dose, frame.age, dummies, frame.smoker.astype(float), frame.grade]
    ).astype(np.float64)


FEATURES = ["dose", "age", "site", "smoker", "grade"]


@pytest.fixture(scope="session")
def places(frame, tmp_path_factory):
    """Return the table as each kind of source."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.feather as feather

    folder = tmp_path_factory.mktemp("rows")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    frame.to_parquet(folder / "all.parquet", row_group_size=700)
    parts = folder / "parts"
    parts.mkdir()
    for k, first in enumerate(range(0, N, 2500)):
        frame.iloc[first : first + 2500].to_parquet(parts / f"{k}.parquet")
    feather.write_feather(table, folder / "all.feather", chunksize=900)
    frame.to_csv(folder / "all.csv", index=False)
    frame.to_csv(folder / "all.csv.gz", index=False)
    frame.to_csv(folder / "semicolons.csv", index=False, sep=";")
    hive = folder / "hive"
    ds.write_dataset(
        table.filter(pa.array(np.arange(N) < 0)) if N < 0 else table,
        hive,
        format="parquet",
        partitioning=ds.partitioning(pa.schema([("grade", pa.int64())]), flavor="hive"),
    )
    return {
        "parquet": folder / "all.parquet",
        "folder": parts,
        "glob": str(parts / "*.parquet"),
        "list": [parts / f"{k}.parquet" for k in range(3)],
        "feather": folder / "all.feather",
        "csv": folder / "all.csv",
        "gzipped csv": str(folder / "all.csv.gz"),
        "semicolons": folder / "semicolons.csv",
        "hive": hive,
        "data set": ds.dataset(parts, format="parquet"),
        "arrow table": table,
        "pandas": frame,
        "pandas categories": frame.astype({"site": "category"}),
        "polars": pl.from_pandas(frame),
        "polars lazy": pl.scan_parquet(folder / "all.parquet"),
    }
