"""Tables as formulas read them: a frame of pandas whose columns formulaic knows, and its values."""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_of", "compared_with_nothing", "frame_of", "missing", "used_levels", "values_of"]

_QUOTED = re.compile(r"`([^`]*)`")


def frame_of(data: Any) -> Any:
    """Return a frame of pandas, its rows numbered from 0, with types that formulaic knows."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        frame = data.reset_index(drop=True)
        for j, dtype in enumerate(frame.dtypes):
            if _is_nullable(dtype):
                frame.isetitem(j, values_of(frame.iloc[:, j]))
        return frame
    if isinstance(data, Mapping):
        return frame_of(pd.DataFrame(dict(data)))
    if type(data).__module__.split(".")[0] == "polars" and hasattr(data, "get_columns"):
        return pd.DataFrame({name: _of_polars(data[name]) for name in data.columns})
    raise TypeError(
        "data must be a pandas or polars frame or a mapping of names to columns, got "
        f"{type(data).__name__}"
    )


def _is_nullable(dtype: Any) -> bool:
    """Whether a column says by pandas' own NA that a value is missing."""
    import pandas as pd

    if isinstance(dtype, pd.StringDtype | pd.ArrowDtype):
        return getattr(dtype, "na_value", pd.NA) is pd.NA
    kinds = (pd.api.types.is_bool_dtype, pd.api.types.is_numeric_dtype)
    own = not isinstance(dtype, np.dtype | pd.CategoricalDtype | pd.SparseDtype)
    return own and any(kind(dtype) for kind in kinds)


def _of_polars(series: Any) -> Any:
    known = not series.null_count() or series.dtype.is_numeric()
    if known and (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
        return series.to_numpy()
    if str(series.dtype).startswith(("Date", "Time", "Duration")):
        return series.to_numpy()
    return np.array(series.to_list(), dtype=object)


def values_of(series: Any) -> NDArray[Any]:
    """Return a column as NumPy has it; missing values are NaN or None."""
    import pandas as pd

    if series.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: the column {series.name!r}")
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return np.asarray(series.to_numpy())
    if pd.api.types.is_bool_dtype(series.dtype) and not series.isna().any():
        return np.asarray(series.to_numpy(dtype=bool))
    if pd.api.types.is_numeric_dtype(series.dtype):
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    values = series.astype(object).to_numpy(copy=True)
    values[series.isna().to_numpy()] = None
    return np.asarray(values)


def column_of(frame: Any, given: Any, argument: str) -> Any:
    """Return values that are given by a column's name or as they are; None for None."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in frame.columns:
            raise ValueError(f"{argument}={given!r} is no column of data")
        return values_of(frame[given])
    values = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    if values.ndim == 0 or len(values) != len(frame):
        raise ValueError(
            f"{argument} must have one value for each of the {len(frame)} rows of data, got shape "
            f"{values.shape}"
        )
    return values


def missing(values: Any, n: int, argument: str) -> NDArray[np.bool_]:
    """Return which values are missing, (n,)."""
    import pandas as pd

    array = np.asarray(values)
    if array.shape[:1] != (n,):
        raise ValueError(f"{argument} must have one value for each of the {n} rows")
    found: NDArray[np.bool_] = np.asarray(pd.isna(array), dtype=np.bool_)
    return np.asarray(found.reshape(n, -1).any(axis=1), dtype=np.bool_)


def used_levels(frame: Any) -> Any:
    """Return a frame without the levels of its categories that no row has, as R's ``glm`` does."""
    import pandas as pd

    unused = {
        j: frame.iloc[:, j].cat.remove_unused_categories()
        for j, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, pd.CategoricalDtype)
    }
    if unused:
        frame = frame.copy(deep=False)
        for j, column in unused.items():
            frame.isetitem(j, column)
    return frame


def compared_with_nothing(
    expressions: Iterable[str], frame: Any, context: dict[str, Any]
) -> NDArray[np.bool_]:
    """Return rows in which one of these expressions compares a missing value, (n,).

    pandas says that nothing is more than a missing value, so that ``I(x > 0)`` would take it for a
    value of at most 0; R says that it is missing.
    """
    import pandas as pd

    found = np.zeros(len(frame), dtype=bool)
    for expression in expressions:
        names: dict[str, str] = {}

        def named(match: re.Match[str], names: dict[str, str] = names) -> str:
            return names.setdefault(match[1], f"_quoted_{len(names)}")

        try:
            tree = ast.parse(_QUOTED.sub(named, expression).strip(), mode="eval")
        except SyntaxError:  # formulaic says what is wrong
            continue
        compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        if not compared:
            continue
        known = {name: frame[name] for name in frame.columns if isinstance(name, str)}
        known |= {own: frame[name] for name, own in names.items() if name in frame.columns}
        for node in compared:
            for operand in (node.left, *node.comparators):
                code = compile(ast.Expression(operand), "<formula>", "eval")
                try:
                    value = eval(code, {**context, **known})  # as formulaic does
                except Exception:  # a transformation of formulaic's own
                    continue
                if np.shape(value)[:1] == (len(frame),):
                    found |= np.asarray(pd.isna(value)).reshape(len(frame), -1).any(axis=1)
    return found
