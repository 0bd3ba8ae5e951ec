"""Models as ONNX graphs: ``to_onnx``, and scikit-learn pipelines by way of skl2onnx.

The graph is a matrix product, the activation, and a look-up of the label. Margins are summed in
float64 as ours are, whatever X is, so that columns far from 0 cost no digits; a runtime that has no
float64 (some accelerators) takes ``arithmetic="float32"``. Probabilities are 1 / (1 + exp(-z)) of
margins of either sign, not ``Sigmoid``: that of -16 is 6e-8 in onnxruntime's float32, where 1.1e-7
is right, and below -18 it is 0.

A model that was fitted on a table (:func:`fastlogreg.open_rows`) takes one input for each column.
A category is a sum of coefficients that its text looks up, so that no dummies are made; a level
that is not known leads past the end of that list, which runtimes refuse.

One function writes the nodes (:func:`_write`), by whatever takes them: the ``onnx`` package's
helpers, or the containers of skl2onnx (:func:`register_skl2onnx`).
"""

import json
from collections.abc import Container
from importlib import import_module
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

import fastlogreg
from fastlogreg.data.schema import Column, Schema
from fastlogreg.data.validation import check_choice
from fastlogreg.estimators.cross_validation import LogisticRegressionCV
from fastlogreg.estimators.logistic import LogisticRegression
from fastlogreg.estimators.minibatch import MiniBatchLogisticRegression

__all__ = ["register_skl2onnx", "to_onnx"]

_OPSET, _ML_OPSET = 13, 2  # of 2020 and 2019: the first that have these forms of the operators
_MODELS = (LogisticRegression, LogisticRegressionCV, MiniBatchLogisticRegression)
_DTYPES = ("float32", "float64")
_OURS = "fastlogreg:"  # what names inside a graph begin with
_MOST_BYTES = 2_000_000_000  # of a protobuf message
_OURS = "fastlogreg:"  # what names inside the graph begin with


def to_onnx(model: Any, *, dtype: str = "float32", arithmetic: str = "float64") -> Any:
    """Return a fitted estimator as an ONNX model, for runtimes without Python.

    Parameters
    ----------
    model : LogisticRegression, LogisticRegressionCV or MiniBatchLogisticRegression
        For a scikit-learn pipeline see :func:`fastlogreg.io.onnx.register_skl2onnx`.
    dtype : {"float32", "float64"}, default="float32"
        Of the input and of the probabilities.
    arithmetic : {"float64", "float32"}, default="float64"
        What margins are summed in. In float32, columns far from 0 beside their spread (years, times
        in seconds) lose digits; some runtimes have nothing else.

    Returns
    -------
    onnx.ModelProto
        Its input is ``X``, (n_samples, n_features). Of a model that was fitted on a table, there is
        an input (n_samples, 1) for each column, by its name: numbers and booleans as ``dtype``,
        with NaN for what is missing, categories as text, with ``""`` for what is missing; the
        column of the offset too, where there was one.
        Its outputs are ``label``, (n_samples,), of the kind of ``classes_``, and ``probabilities``,
        (n_samples, n_classes); where a column has such a name, with an underscore behind it.
        A graph refuses less than ``predict`` does: NaN that no mean replaces makes probabilities
        NaN, and the label the first class.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Where the model is not fitted.
    TypeError, ValueError
        Where it is another kind of model, or has what ONNX can't say: labels that are neither text
        nor numbers, a category with missing values that has an empty text too, or more than 2 GB of
        coefficients.
    ImportError
        Without onnx (the extra ``onnx``).

    Examples
    --------
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> graph = flr.to_onnx(flr.LogisticRegression().fit(X, y))
    >>> [each.name for each in graph.graph.output]
    ['label', 'probabilities']

    To a file: ``onnx.save(graph, "model.onnx")``. Elsewhere, with onnxruntime::

        session = onnxruntime.InferenceSession("model.onnx")
        labels, probabilities = session.run(None, {"X": X.astype("float32")})
    """
    onnx = _imported("onnx")
    dtype = check_choice(dtype, "dtype", _DTYPES)
    arithmetic = check_choice(arithmetic, "arithmetic", _DTYPES)
    found = _Model.of(model)
    labels, schema = found.labels, found.schema
    helper, n_columns = onnx.helper, found.theta.shape[1] - 1
    inputs = {"X": (dtype, n_columns)} if schema is None else _columns(schema, dtype)
    label, probabilities = (_free(name, inputs) for name in ("label", "probabilities"))

    graph = _OnnxGraph(onnx, arithmetic)
    if schema is None:
        margins = _margins_of_rows(graph, "X", found.theta)
    else:
        margins = _margins_of_table(graph, schema, found.theta, dtype)
    _write_label(graph, margins, labels, label)
    _write_probabilities(graph, margins, found, dtype, probabilities)

    def described(name: str, kind: Any, *widths: int) -> Any:
        return helper.make_tensor_value_info(name, graph.type_of(kind), [None, *widths])

    opsets = [helper.make_opsetid("", _OPSET)]
    if schema is not None and schema.has_categories:
        opsets.append(helper.make_opsetid("ai.onnx.ml", _ML_OPSET))
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            type(model).__name__,
            [described(name, kind, width) for name, (kind, width) in inputs.items()],
            [described(label, labels.dtype), described(probabilities, dtype, labels.size)],
            graph.constants,
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="fastlogreg",
        producer_version=fastlogreg.__version__,
    )
    known = getattr(model, "feature_names_in_", None)
    if known is not None and schema is None:
        helper.set_model_props(made, {"feature_names_in": json.dumps(list(known))})
    return made


def _columns(schema: Schema, dtype: str) -> dict[str, tuple[Any, int]]:
    """Return the inputs of a table: the kind and width of each column that predictions read."""
    found = {column.name: (str if _is_category(column) else dtype, 1) for column in schema.columns}
    if schema.offset is not None:
        found[schema.offset] = dtype, 1
    for name in found:
        if not name or name.startswith(_OURS):
            raise ValueError(f"an ONNX model can't have a column called {name!r}: rename it")
    return found


def _free(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"ONNX models need {name}: python3 -m pip install 'fastlogreg[onnx]'"
        ) from error


class _Model(NamedTuple):
    """What a graph says: theta (1 or K, 1 + d), labels (K,), z's factor, columns of a table."""

    theta: NDArray[np.float64]
    labels: NDArray[Any]
    scale: float
    schema: Schema | None

    @classmethod
    def of(cls, model: Any) -> Self:
        """Return it, or refuse what ONNX can't say."""
        if type(model) not in _MODELS:
            raise TypeError(
                f"model must be an estimator of fastlogreg, got {type(model).__name__}; pipelines "
                "that end in one are converted by skl2onnx, after "
                "fastlogreg.io.onnx.register_skl2onnx()"
            )
        model._check_stored()
        theta, schema = model._theta(), getattr(model, "schema_", None)
        if theta.nbytes > _MOST_BYTES:
            raise ValueError(f"coef_ takes {theta.nbytes:,} bytes, and an ONNX model 2 GB at most")
        scale = 2.0 if model._activation() == "tanh" else 1.0  # (tanh z + 1) / 2 of sigmoid
        return cls(theta, _labels(model.classes_), scale, schema)


def _labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the labels as an array that ONNX has: of text, booleans or numbers."""
    if classes.dtype.kind in "OU":
        if not all(isinstance(label, str) for label in classes):
            kinds = sorted({type(label).__name__ for label in classes})
            raise TypeError(f"classes_ must be text or numbers, got {', '.join(kinds)}")
        return classes.astype(object)
    if classes.dtype.kind not in "biuf" or classes.dtype.itemsize > 8:
        raise TypeError(f"classes_ must be text or numbers, got {classes.dtype}")
    return classes.astype(classes.dtype.newbyteorder("="))


# --- what is computed -----------------------------------------------------------------------------


class _Graph:
    """Takes nodes and constants, each by a name of its own; ``real`` is what margins are."""

    def __init__(self, onnx: Any, arithmetic: str) -> None:
        self._onnx = onnx
        self._count = 0
        self.real = np.dtype(arithmetic)

    def type_of(self, dtype: Any) -> int:
        """Return ONNX's number of a dtype; of text for ``str`` and objects."""
        if dtype is str or np.dtype(dtype).kind == "O":
            return int(self._onnx.TensorProto.STRING)
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def name(self) -> str:
        """Return a name that no column has."""
        self._count += 1
        return f"{_OURS}{self._count}"

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        out = out or self.name()
        self.add(kind, list(inputs), out, "", attributes)
        return out

    def cast(self, name: str, dtype: Any, out: str | None = None) -> str:
        """Return the name of the values in a dtype."""
        return self.node("Cast", name, out=out, to=self.type_of(dtype))

    def add(
        self, kind: str, inputs: list[str], out: str, domain: str, attributes: dict[str, Any]
    ) -> None:
        """Add a node."""
        raise NotImplementedError

    def constant(self, values: Any) -> str:
        """Return the name of constants."""
        raise NotImplementedError


class _OnnxGraph(_Graph):
    """Nodes and constants as messages of the ``onnx`` package."""

    def __init__(self, onnx: Any, arithmetic: str) -> None:
        super().__init__(onnx, arithmetic)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(
        self, kind: str, inputs: list[str], out: str, domain: str, attributes: dict[str, Any]
    ) -> None:
        make = self._onnx.helper.make_node
        self.nodes.append(
            make(kind, inputs, [out], name=f"{out}:{kind}", domain=domain, **attributes)
        )

    def constant(self, values: Any) -> str:
        name, values = self.name(), np.asarray(values)
        if values.dtype.kind == "O":
            texts = [text.encode() for text in values.ravel()]
            made = self._onnx.helper.make_tensor(name, self.type_of(str), values.shape, texts)
        else:
            made = self._onnx.numpy_helper.from_array(values, name)
        self.constants.append(made)
        return name


def _margins_of_rows(graph: _Graph, X: str, theta: NDArray[np.float64]) -> str:
    """Return the margins (n, m) of rows (n, d)."""
    weights = np.ascontiguousarray(theta[:, 1:].T, dtype=graph.real)
    product = graph.node("MatMul", graph.cast(X, graph.real), graph.constant(weights))
    return graph.node("Add", product, graph.constant(theta[:, 0].astype(graph.real)))


def _margins_of_table(graph: _Graph, schema: Schema, theta: NDArray[np.float64], dtype: str) -> str:
    """Return the margins (n, m) of columns (n, 1): numbers together, then a sum of look-ups."""
    numbers, places, terms = [], [], []
    first = 1
    for column in schema.columns:
        if _is_category(column):
            own = theta[:, first : first + column.width].T
            terms.append(_coefficients_of_level(graph, column, own.astype(graph.real)))
        else:
            numbers.append(_number(graph, column, schema, dtype))
            places.append(first)
        first += column.width
    if numbers:
        beside = graph.node("Concat", *(graph.cast(x, graph.real) for x in numbers), axis=1)
        kept = np.concatenate([theta[:, :1], theta[:, places]], axis=1)
        terms.insert(0, _margins_of_rows(graph, beside, kept))
    else:
        terms.insert(0, graph.constant(theta[:, 0].astype(graph.real)))
    if schema.offset is not None:
        terms.append(graph.cast(schema.offset, graph.real))
    while len(terms) > 1:
        terms[:2] = [graph.node("Add", *terms[:2])]
    return terms[0]


def _is_category(column: Column) -> bool:
    return column.kind == "category"


def _number(graph: _Graph, column: Column, schema: Schema, dtype: str) -> str:
    """Return a column of numbers, the mean for what is missing, rounded as rows of the fit are."""
    name = column.name
    if column.mean is not None:
        mean = np.array(column.mean, dtype=dtype)
        name = graph.node("Where", graph.node("IsNaN", name), graph.constant(mean), name)
    return graph.cast(name, np.float32) if schema.dtype == "float32" else name


def _coefficients_of_level(graph: _Graph, column: Column, own: NDArray[np.floating]) -> str:
    """Return what a category adds to the margins, (n, m), of the coefficients (levels, m) it has.

    A level that is not known gets a place beyond the last, which ``Gather`` must refuse, or that of
    the rare ones.
    """
    places = {level: len(own) if at < 0 else at for level, at in column.code_of.items()}
    if column.missing:
        if "" in places:
            raise ValueError(
                f"column {column.name!r} has the level '' and missing values too, and text of ONNX "
                "has nothing but '' for what is missing: fill them before the fit"
            )
        places[""] = len(column.levels)
    elif column.rare:  # what is missing is none of the rare ones
        places.setdefault("", len(own) + 1)
    rows = np.concatenate([own, np.zeros((1, own.shape[1]), own.dtype)])  # the dropped level
    unknown = column.width - 1 if column.rare else len(rows)
    at = graph.name()
    graph.add(
        "LabelEncoder",
        [graph.node("Reshape", column.name, graph.constant(np.array([-1])))],
        at,
        "ai.onnx.ml",
        {
            "keys_strings": list(places),
            "values_int64s": list(places.values()),
            "default_int64": unknown,
        },
    )
    return graph.node("Gather", graph.constant(rows), at, axis=0)


def _write_label(graph: _Graph, margins: str, labels: NDArray[Any], out: str) -> None:
    """Write the labels (n,) of margins (n, 1) or (n, K)."""
    if labels.size == 2:
        above = graph.node("Greater", margins, graph.constant(np.zeros(1, graph.real)))
        code = graph.node("Reshape", graph.cast(above, np.int64), graph.constant(np.array([-1])))
    else:
        code = graph.node("ArgMax", margins, axis=1, keepdims=0)
    graph.node("Gather", graph.constant(labels), code, out=out, axis=0)


def _write_probabilities(graph: _Graph, margins: str, model: _Model, dtype: Any, out: str) -> None:
    """Write the probabilities (n, K) of margins (n, 1) or (n, K)."""
    if model.labels.size == 2:
        signs = graph.constant(np.array([[model.scale, -model.scale]], graph.real))
        powers = graph.node("Exp", graph.node("Mul", margins, signs))
        one = graph.constant(np.ones(1, graph.real))
        found = graph.node("Reciprocal", graph.node("Add", powers, one))
    else:
        found = graph.node("Softmax", margins, axis=1)
    graph.cast(found, dtype, out)


# --- skl2onnx -------------------------------------------------------------------------------------


def register_skl2onnx() -> None:
    """Tell skl2onnx how our estimators are converted, alone and in scikit-learn's pipelines.

    Call it once, before ``skl2onnx.to_onnx``. Options ``zipmap``, ``output_class_labels``,
    ``nocl`` and ``raw_scores`` are those of scikit-learn's classifiers. Labels must be text, whole
    numbers or booleans, as skl2onnx has them; booleans become 0 and 1.

    Raises
    ------
    ImportError
        Without skl2onnx (the extra ``onnx``).

    Examples
    --------
    >>> import fastlogreg as flr
    >>> from fastlogreg.io.onnx import register_skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), flr.LogisticRegression()).fit(X, y)
    >>> register_skl2onnx()
    >>> import skl2onnx
    >>> single = X[:1].astype("float32")
    >>> graph = skl2onnx.to_onnx(pipeline, single, options={"zipmap": False})
    >>> [each.name for each in graph.graph.output]
    ['label', 'probabilities']
    """
    skl2onnx = _imported("skl2onnx")
    for kind in _MODELS:
        skl2onnx.update_registered_converter(
            kind,
            f"Fastlogreg{kind.__name__}",
            _infer_types,
            _convert,
            options={
                "zipmap": [True, False, "columns"],
                "output_class_labels": [False, True],
                "nocl": [True, False],
                "raw_scores": [False, True],
            },
        )


def _labels_there(scope: Any, model: Any, labels: NDArray[Any]) -> NDArray[Any]:
    """Return the labels as skl2onnx has them: text or int64; with "nocl" the numbers of classes."""
    if scope.get_options(model, {"nocl": False})["nocl"]:
        return np.arange(labels.size)
    if labels.dtype.kind == "O":
        return labels
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise TypeError("classes_ must be text or whole numbers for skl2onnx")
    return whole


def _infer_types(operator: Any) -> None:
    """Set the types and shapes of the outputs."""
    types = import_module("skl2onnx.common.data_types")
    rows = operator.inputs[0].get_first_dimension()
    model = operator.raw_operator
    labels = _labels_there(operator.scope_inst, model, _Model.of(model).labels)
    kind = types.StringTensorType if labels.dtype.kind == "O" else types.Int64TensorType
    operator.outputs[0].set_type(kind([rows]))
    operator.outputs[1].type.shape = [rows, labels.size]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the nodes of one of our estimators into a graph of skl2onnx."""
    types = import_module("skl2onnx.common.data_types")
    model = operator.raw_operator
    found = _Model.of(model)
    if found.schema is not None:
        raise TypeError(
            "a model that was fitted on a table is converted by fastlogreg.to_onnx, not as a part "
            "of a pipeline"
        )
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    graph = _ContainerGraph(_imported("onnx"), scope, container)
    label, out = (each.full_name for each in operator.outputs)
    double = isinstance(operator.inputs[0].type, types.DoubleTensorType)
    dtype = np.float64 if double else np.float32
    margins = _margins_of_rows(graph, operator.inputs[0].full_name, found.theta)
    _write_label(graph, margins, _labels_there(scope, model, found.labels), label)
    if not raw:
        _write_probabilities(graph, margins, found, dtype, out)
    elif found.labels.size == 2:
        signs = graph.constant(np.array([[-1.0, 1.0]]))
        graph.cast(graph.node("Mul", margins, signs), dtype, out)
    else:
        graph.cast(margins, dtype, out)


class _ContainerGraph(_Graph):
    """Nodes and constants in a container of skl2onnx; margins are float64."""

    def __init__(self, onnx: Any, scope: Any, container: Any) -> None:
        super().__init__(onnx, "float64")
        self._scope, self._container = scope, container

    def name(self) -> str:
        return str(self._scope.get_unique_variable_name("fastlogreg"))

    def add(
        self, kind: str, inputs: list[str], out: str, domain: str, attributes: dict[str, Any]
    ) -> None:
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, inputs, [out], op_domain=domain, name=name, **attributes)

    def constant(self, values: Any) -> str:
        values = np.asarray(values)
        name = self.name()
        flat = [v.encode() if isinstance(v, str) else v for v in values.ravel().tolist()]
        self._container.add_initializer(name, self.type_of(values.dtype), values.shape, flat)
        return name
