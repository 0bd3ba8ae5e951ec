"""Models in files that hold no code: ``save`` and ``load``.

A file is one of safetensors: arrays as they lie in memory, after a header of JSON. What an
estimator keeps (its state, as pickles have it) is a tree of plain values in that header, in which
arrays stand by name; so there is nothing that could be run. Lists, tuples, dicts, arrays of text
and sparse coefficients are objects of one key that says what they are (:func:`_packed`).

Whatever a file says is checked before it is believed: sizes before anything is allocated, names
before they are set, parameters and shapes before kernels see them. A damaged or hostile file is a
ValueError, and takes some ten times its header in memory at most. What would not be loaded is not
stored either: :func:`save` goes through the same checks.

Versions: a file says by which format it was written (:data:`FORMAT`), and by which the state in it
(that of pickles). Files of all former formats are read, with the defaults of parameters that came
later; those of later ones are refused.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import fastlogreg
from fastlogreg.data.schema import Schema
from fastlogreg.estimators.cross_validation import LogisticRegressionCV
from fastlogreg.estimators.linear_classifier import STATE_FORMAT, LinearClassifier
from fastlogreg.estimators.logistic import LogisticRegression
from fastlogreg.estimators.minibatch import MiniBatchLogisticRegression

__all__ = ["FORMAT", "load", "save"]

FORMAT = 1
_KEY = "fastlogreg"  # of the metadata
_MOST_HEADER = 100_000_000  # bytes, as safetensors has it
_MOST_CONTAINERS = 4_000_000  # lists and objects: of the header's bytes, they cost the most memory
_MOST_PADDING = 64, 64 << 20  # of an array of text: times its text, and bytes that are always right
_DEEPEST = 20  # of trees
_MODELS: dict[str, type[LinearClassifier]] = {
    "LogisticRegression": LogisticRegression,
    "LogisticRegressionCV": LogisticRegressionCV,
    "MiniBatchLogisticRegression": MiniBatchLogisticRegression,
}
_REQUESTS = "_metadata_request"  # what set_fit_request and its like have set
_PRIVATE = ("_state", "_how", "_unjudged", "_fastlogreg_format", _REQUESTS)
_LEFT_OUT = ("_sklearn_version", "_skl_callbacks")
_DTYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def save(model: Any, file: str | Path | IO[bytes]) -> None:
    """Store a fitted estimator in a file without code.

    Parameters
    ----------
    model : LogisticRegression, LogisticRegressionCV or MiniBatchLogisticRegression
    file : path or binary file
        A path is written whole or not at all.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Where the model is not fitted.
    TypeError, ValueError
        Where it is another kind of model, a parameter is neither a plain value nor an array, such
        as a scorer that is a function, or one is wrong; the message names it.
    ImportError
        Without safetensors (the extra ``files``).

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = flr.LogisticRegression().fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     flr.save(model, Path(folder) / "model.flr")
    ...     again = flr.load(Path(folder) / "model.flr")
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    safetensors = _safetensors()
    if not isinstance(file, str | os.PathLike) and not hasattr(file, "write"):
        raise TypeError(f"file must be a path or a binary file, got {type(file).__name__}")
    name = type(model).__name__
    if type(model) is not _MODELS.get(name):
        raise TypeError(f"model must be an estimator of fastlogreg, got {name}")
    model._check_stored()
    arrays: dict[str, NDArray[Any]] = {}
    state = {}
    parameters = signature(type(model)).parameters
    for key, value in model.__getstate__().items():
        if key in _LEFT_OUT:
            continue
        what = f"the parameter {key}" if key in parameters else f"the attribute {key}"
        if not isinstance(key, str) or not _is_known(type(model), key):
            raise TypeError(
                f"{what} can't be stored: a model file holds parameters, and attributes whose "
                "names end in _ and are no method's; rename or delete it, or use pickle"
            )
        if key == _REQUESTS:
            value = {
                method: each.requests for method, each in vars(value).items() if method != "owner"
            }
        state[key] = _packed(value, arrays, what, 0)
    head = {"format": FORMAT, "version": fastlogreg.__version__, "class": name, "state": state}
    content = safetensors.save(arrays, {_KEY: json.dumps(head, allow_nan=False)})
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    if len(header) > _MOST_HEADER or _n_containers(header.decode()) > _MOST_CONTAINERS:
        raise ValueError(
            "model is too large for a model file: its parameters, names and labels take "
            f"{len(header):,} bytes as JSON; pickle holds it"
        )
    if isinstance(file, str | os.PathLike):
        _write_whole(Path(os.path.realpath(file)), content)
    else:
        file.write(content)


def load(file: str | Path | IO[bytes]) -> Any:
    """Return the estimator that :func:`save` has stored.

    Nothing in a file is run, whoever wrote it.

    Parameters
    ----------
    file : path or binary file

    Returns
    -------
    LogisticRegression, LogisticRegressionCV or MiniBatchLogisticRegression
        It predicts to the bit as the one that was stored, and mini-batches go on from where they
        were.

    Raises
    ------
    ValueError
        Where the file is none of ours, is damaged, or was written by a later release.
    OSError
        Where it can't be read, FileNotFoundError among them.
    ImportError
        Without safetensors (the extra ``files``).

    Examples
    --------
    See :func:`save`.
    """
    safetensors = _safetensors()
    if isinstance(file, str | os.PathLike):
        name = os.fspath(file)
        with open(file, "rb") as opened:
            header, rest = _read(opened, name)
    elif hasattr(file, "read"):
        name = str(getattr(file, "name", "the file"))
        header, rest = _read(file, name)
    else:
        raise TypeError(f"file must be a path or a binary file, got {type(file).__name__}")
    try:
        head = _head(header)
        arrays = safetensors.load(len(header).to_bytes(8, "little") + header + rest)
        return _model(head, arrays)
    except _Later as error:
        raise ValueError(f"{name} {error}") from None
    except (MemoryError, RecursionError) as error:
        raise ValueError(f"{name} is no model of fastlogreg, or damaged") from error
    except Exception as error:  # whatever a damaged file makes the libraries say
        raise ValueError(f"{name} is no model of fastlogreg, or damaged: {error}") from error


def _read(file: IO[bytes], name: str) -> tuple[bytes, bytes]:
    """Return the header and what follows it; of what is no model, no more than some bytes."""
    start = file.read(8)
    if not isinstance(start, bytes):
        raise TypeError(f"file must be a binary file, and {name} is one of text")
    size = int.from_bytes(start, "little")
    header = file.read(size) if len(start) == 8 and size <= _MOST_HEADER else b""
    if len(header) < size or not header.startswith(b"{"):
        raise ValueError(f"{name} is no model of fastlogreg, or damaged: it has no whole header")
    return header, file.read()


class _Later(ValueError):
    """A file of a later release."""


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "model files need safetensors: python3 -m pip install 'fastlogreg[files]'"
        ) from error
    return safetensors.numpy


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, and put it there when it is complete.

    A link stays one: the file that it leads to is replaced.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} can't be written: there is no folder {path.parent}")
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut would leave an empty file in place of the old
        os.chmod(beside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# --- values as JSON, and arrays beside ------------------------------------------------------------


def _packed(value: Any, arrays: dict[str, NDArray[Any]], what: str, depth: int) -> Any:
    """Return a value as what JSON can hold; arrays go into ``arrays``."""
    if depth > _DEEPEST:
        raise TypeError(f"{what} is nested too deep to be stored")

    def inner(each: Any) -> Any:
        return _packed(each, arrays, what, depth + 1)

    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        if value.dtype.str[1:] in _DTYPES:
            return {"scalar": [value.dtype.str[1:], inner(value.item())]}
    elif isinstance(value, int):
        return int(value)
    elif isinstance(value, float):
        return value if math.isfinite(value) else {"number": repr(value)}
    elif isinstance(value, Schema):
        return {"schema": inner(value.to_dict())}
    elif isinstance(value, list):
        return {"list": [inner(each) for each in value]}
    elif isinstance(value, tuple):
        return {"tuple": [inner(each) for each in value]}
    elif isinstance(value, dict):
        return {"dict": [[inner(key), inner(each)] for key, each in value.items()]}
    elif isinstance(value, np.ndarray):
        return _packed_array(value, arrays, inner, what)
    elif type(value).__name__ in ("csr_matrix", "csr_array"):
        parts = {name: inner(getattr(value, name)) for name in ("data", "indices", "indptr")}
        return {"csr": {**parts, "shape": list(value.shape), "kind": type(value).__name__}}
    raise TypeError(
        f"{what} can't be stored: it is a {type(value).__name__}, and a model file holds plain "
        "values and arrays alone; pickle holds it, or set another"
    )


def _packed_array(
    value: NDArray[Any],
    arrays: dict[str, NDArray[Any]],
    inner: Callable[[Any], Any],
    what: str,
) -> Any:
    if value.dtype.names is not None:
        fields = [[name, inner(np.asarray(value[name]))] for name in value.dtype.names]
        return {"record": fields}
    if value.dtype.kind in "OU":
        kind = value.dtype.kind
        if kind == "U" and _is_padding(value.tolist() if value.ndim == 1 else [], value.nbytes):
            raise TypeError(f"{what} can't be stored: one text is far longer than the others")
        return {"texts": [kind, list(value.shape), [inner(each) for each in value.ravel()]]}
    if value.dtype.str[1:] not in _DTYPES:
        raise TypeError(f"{what} can't be stored: an array of {value.dtype}")
    name = f"a{len(arrays)}"
    plain = value.dtype.newbyteorder("=")
    arrays[name] = np.array(value, dtype=plain, order="C", copy=True)
    return {"array": name}


def _is_padding(texts: Iterable[str], n_bytes: int) -> bool:
    """Whether an array of text, which gives each the room of the longest, is next to all padding.

    Otherwise a file of some kB could ask for any amount of memory.
    """
    times, always = _MOST_PADDING
    return n_bytes > always and n_bytes > times * sum(1 + len(text) for text in texts)


def _head(header: bytes) -> dict[str, Any]:
    """Return our part of the header."""
    whole = _json(header.decode("utf-8"))
    metadata = whole.get("__metadata__") if isinstance(whole, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_KEY), str):
        raise ValueError("there is no header of fastlogreg")
    head = _json(metadata[_KEY])
    if not isinstance(head, dict):
        raise ValueError("the header is no object")
    _check_version(head, head.get("format"), "format", FORMAT)
    if not isinstance(head.get("state"), dict):
        raise ValueError("no state")
    _check_version(head, head["state"].get("_fastlogreg_format"), "state format", STATE_FORMAT)
    return head


def _check_version(head: dict[str, Any], stored: Any, what: str, known: int) -> None:
    if type(stored) is not int or stored < 1:
        raise ValueError(f"{what} {stored!r:.40}")
    if stored > known:
        raise _Later(
            f"was written by fastlogreg {head.get('version')!s:.20} in {what} {stored}, and this "
            f"release reads those up to {known}: upgrade fastlogreg"
        )


def _n_containers(text: str) -> int:
    return text.count("{") + text.count("[")


def _json(text: str) -> Any:
    if _n_containers(text) > _MOST_CONTAINERS:
        raise ValueError("there are too many values in the header")

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands there twice")
        return found

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def _unpacked(stored: Any, arrays: dict[str, NDArray[Any]], depth: int = 0) -> Any:
    """Return the value that :func:`_packed` has packed."""
    if depth > 2 * _DEEPEST:
        raise ValueError("values are nested too deep")

    def inner(each: Any) -> Any:
        return _unpacked(each, arrays, depth + 1)

    if stored is None or isinstance(stored, bool | int | float | str):
        return stored
    if not isinstance(stored, dict) or len(stored) != 1:
        raise ValueError(f"{stored!r:.40} is no value")
    ((kind, content),) = stored.items()
    if kind == "array":
        if content not in arrays:
            raise ValueError(f"the array {content!r:.40} is not there, or used twice")
        array = arrays.pop(content)
        if array.dtype.str[1:] not in _DTYPES:
            raise ValueError(f"an array of {array.dtype}")
        return array.copy()  # of its own, to be written to
    if kind == "number" and content in ("nan", "inf", "-inf"):
        return float(content)
    if kind == "schema":
        return Schema.from_dict(inner(content))
    if kind == "csr":
        return _csr(content, inner)
    if not isinstance(content, list):
        raise ValueError(f"{kind!r:.40} is no kind of value")
    if kind == "list":
        return [inner(each) for each in content]
    if kind == "tuple":
        return tuple(inner(each) for each in content)
    if kind == "dict":
        pairs = [(inner(key), inner(value)) for key, value in content]
        if any(isinstance(key, list | dict | np.ndarray) for key, _ in pairs):
            raise ValueError("a key that is no plain value")
        return dict(pairs)
    if kind == "scalar":
        dtype, value = content
        if dtype not in _DTYPES:
            raise ValueError(f"a scalar of {dtype!r:.40}")
        return np.dtype(dtype).type(inner(value))
    if kind == "texts":
        return _texts(content, inner)
    if kind == "record":
        return _record(content, inner)
    raise ValueError(f"{kind!r:.40} is no kind of value")


def _csr(content: Any, inner: Callable[[Any], Any]) -> Any:
    from scipy import sparse

    kinds = {"csr_matrix": sparse.csr_matrix, "csr_array": sparse.csr_array}
    data, indices, indptr = (inner(content[name]) for name in ("data", "indices", "indptr"))
    shape = tuple(content["shape"])
    if not all(type(n) is int and 0 <= n < 2**31 for n in shape) or len(shape) != 2:
        raise ValueError("the shape of sparse coefficients")
    found = kinds[content["kind"]]((data, indices, indptr), shape=shape)
    found.check_format(full_check=True)
    return found


def _texts(content: list[Any], inner: Callable[[Any], Any]) -> NDArray[Any]:
    kind, shape, values = content
    if kind not in ("O", "U") or not isinstance(values, list):
        raise ValueError("an array of text")
    if math.prod(shape) != len(values) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{len(values)} texts for the shape {shape!r:.40}")
    found = [inner(each) for each in values]
    if kind == "U":
        if not all(isinstance(each, str) for each in found):
            raise ValueError("an array of text that holds something else")
        if _is_padding(found, 4 * len(found) * max(map(len, found), default=0)):
            raise ValueError("an array of text that is next to all padding")
        return np.array(found, dtype=str).reshape(shape)
    array = np.empty(len(found), dtype=object)
    for i, each in enumerate(found):
        if isinstance(each, list | dict | np.ndarray):
            raise ValueError("an array of labels that holds something else")
        array[i] = each
    return array.reshape(shape)


def _record(content: list[Any], inner: Callable[[Any], Any]) -> NDArray[Any]:
    fields = {name: inner(each) for name, each in content}
    shapes = {each.shape for each in fields.values()}
    if len(shapes) != 1 or not all(isinstance(name, str) for name in fields):
        raise ValueError("fields of a record")
    dtype = np.dtype([(name, each.dtype) for name, each in fields.items()])
    found = np.empty(shapes.pop(), dtype)
    for name, each in fields.items():
        found[name] = each
    return found


# --- models ---------------------------------------------------------------------------------------


def _is_known(kind: type[LinearClassifier], name: str) -> bool:
    """Whether an instance may have an attribute of that name: a parameter, or what a fit found.

    No name that the class itself has, so that nothing takes a method's place.
    """
    if name in signature(kind).parameters or name in _PRIVATE:
        return True
    fitted = name.isidentifier() and name.endswith("_") and not name.startswith("_")
    return fitted and not hasattr(kind, name)


def _model(head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> LinearClassifier:
    """Return the model of a header, all of it checked."""
    kind, stored = _MODELS.get(head["class"]), head["state"]
    if kind is None:
        raise ValueError(f"a model of the kind {head['class']!r:.40}")
    other = [name for name in stored if not _is_known(kind, name)]
    if other:
        raise ValueError(f"an attribute {other[0]!r:.40}")
    if stored["_fastlogreg_format"] == STATE_FORMAT:  # former ones lack what came later
        missing = [name for name in signature(kind).parameters if name not in stored]
        if missing:
            raise ValueError(f"the parameter {missing[0]} is missing")
    state = {name: _unpacked(value, arrays) for name, value in stored.items()}
    model = kind.__new__(kind)
    if _REQUESTS in state:
        state[_REQUESTS] = _requests(model, state[_REQUESTS])
    model.__setstate__(state)
    model._check_stored()
    if arrays:
        raise ValueError(f"nothing uses the array {next(iter(arrays))!r:.40}")
    return model


def _requests(model: LinearClassifier, stored: dict[str, dict[str, Any]]) -> Any:
    """Return scikit-learn's object of which metadata the methods of a model ask for."""
    found = model._get_metadata_request()  # of a bare model: all that can be asked for
    for method, requests in stored.items():
        for name, asked in requests.items():
            if name not in getattr(getattr(found, method, None), "requests", ()):
                raise ValueError(f"the request {name!r:.40} of {method!r:.40}")
            getattr(found, method).add_request(param=name, alias=asked)
    return found
