"""The columns of a batch as NumPy arrays, or refused: with the file, and the row or line.

What kind of column an Arrow type is, numbers as floats, categories as their levels and codes, and
the target as labels and codes. What is learned of a column and remembered stands in
:mod:`fastlogreg.data.look` and :mod:`fastlogreg.data.schema`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.tables import Batch, arrow

__all__ = [
    "CATEGORY",
    "NUMBER",
    "codes_of",
    "finite_of",
    "first_true",
    "floats_of",
    "kind_of",
    "labels_of",
    "levels_of",
    "usable",
    "weights_of",
]

NUMBER, CATEGORY = "number", "category"
_LARGEST_WHOLE = 2**53  # from here on float64 leaves whole numbers out


def kind_of(dtype: Any, name: str, where: str) -> str:
    """Return the kind of a column by its Arrow type, or refuse it."""
    pa = arrow()
    t = pa.types
    if t.is_dictionary(dtype):
        inner = dtype.value_type
        if t.is_string(inner) or t.is_large_string(inner) or t.is_integer(inner):
            return CATEGORY
    elif t.is_integer(dtype) or t.is_floating(dtype) or t.is_boolean(dtype) or t.is_null(dtype):
        return NUMBER
    elif t.is_decimal(dtype):
        return NUMBER
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


def first_true(mask: NDArray[np.bool_]) -> int:
    """Return the first row that is so."""
    return int(np.argmax(mask))


def _nulls(array: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return found


def _is_bytes(dtype: Any) -> bool:
    t = arrow().types
    kinds = (t.is_binary, t.is_large_binary, t.is_fixed_size_binary, t.is_binary_view)
    return any(is_kind(dtype) for is_kind in kinds)


def floats_of(column: Any) -> NDArray[np.floating]:
    """Return numbers or booleans of Arrow as floats, missing ones as NaN."""
    pa, array = arrow(), _plain(column)
    if not pa.types.is_floating(array.type):
        safe = not pa.types.is_integer(array.type)  # whole numbers beyond 2^53 are rounded
        array = array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array
        array = array.cast(pa.float64(), safe=safe)
    values: Any = array.to_numpy(zero_copy_only=False)
    found: NDArray[np.floating] = (
        values.astype(np.float32) if values.dtype == np.float16 else values
    )
    return found


def usable(
    values: NDArray[np.floating], place: Any, name: str, mean: float | None, dtype: str
) -> NDArray[np.floating]:
    """Return numbers, missing ones replaced by the mean, or refused where it is None."""
    # the sum of all is finite where each is, but for sums that overflow: half the work
    with np.errstate(all="ignore"):
        clean = np.isfinite(values.sum())
    if not clean and not (finite := np.isfinite(values)).all():
        absent = np.isnan(values)
        infinite = ~finite & ~absent
        if infinite.any():
            where = place.row(first_true(infinite))
            raise ValueError(f"{where}: column {name!r} holds infinity")
        if mean is None:
            where = place.row(first_true(absent))
            raise ValueError(
                f"{where}: column {name!r} has no value; missing='mean' at the fit would "
                "put the mean of the column there"
            )
        values = np.where(absent, mean, values)
    if dtype == "float32" and values.dtype == np.float64:
        beyond = np.abs(values) > np.finfo(np.float32).max
        if beyond.any():
            where = place.row(first_true(beyond))
            raise ValueError(f"{where}: column {name!r} is too large for float32")
    return values


def levels_of(batch: Batch, name: str) -> tuple[list[str], NDArray[np.int64]]:
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


def finite_of(data: Any, name: str, place: Any, role: str) -> NDArray[np.float64]:
    """Return the numbers of a role, (n,); missing ones and infinities are refused."""
    values = floats_of(data[name]).astype(np.float64, copy=False)
    bad = ~np.isfinite(values)
    if bad.any():
        i = first_true(bad)
        what = "no value" if np.isnan(values[i]) else "infinity"
        raise ValueError(f"{place.row(i)}: column {name!r}, the {role}, has {what}")
    return np.ascontiguousarray(values)


def weights_of(data: Any, name: str, place: Any) -> NDArray[np.float64]:
    """Return the sample weights, (n,); negative ones are refused too."""
    values = finite_of(data, name, place, "sample_weight")
    negative = values < 0.0
    if negative.any():
        i = first_true(negative)
        raise ValueError(
            f"{place.row(i)}: column {name!r}, the sample_weight, is negative ({values[i]})"
        )
    return values


def labels_of(column: Any, name: str, place: Any) -> tuple[list[Any], NDArray[np.int64]]:
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
        i = first_true(_nulls(array))
        raise ValueError(f"{place.row(i)}: column {name!r}, the target, has no value")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    labels = array.dictionary.to_pylist()
    if None in labels:
        absent = np.array([label is None for label in labels])[array.indices.to_numpy()]
        if absent.any():
            raise ValueError(
                f"{place.row(first_true(absent))}: column {name!r}, the target, has no value"
            )
    labels = [
        int(label) if isinstance(label, float) and label.is_integer() else label for label in labels
    ]
    if pa.types.is_floating(array.type.value_type):
        whole = (label for label in labels if isinstance(label, int))
        large = next((label for label in whole if abs(label) >= _LARGEST_WHOLE), None)
        if large is not None:
            raise ValueError(
                f"{place.source}: the target {name!r} has {large}: from 2**53 on float64, which "
                "these labels are read as, does not tell all whole numbers apart; put a letter "
                "before them, or store them as int64 in a Parquet file"
            )
    return labels, array.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def codes_of(column: Any, classes: Sequence[Any], name: str, place: Any) -> NDArray[np.float64]:
    """Return the place of each row's label among the classes, (n,); others are refused."""
    labels, at = labels_of(column, name, place)
    known = {label: float(code) for code, label in enumerate(classes)}
    table = np.array([known.get(label, -1.0) for label in labels])
    codes: NDArray[np.float64] = table[at]
    if (codes < 0.0).any():
        i = first_true(codes < 0.0)
        raise ValueError(
            f"{place.row(i)}: column {name!r} has {labels[at[i]]!r}, which is none of the classes "
            f"{list(classes)[:6]}"
        )
    return codes
