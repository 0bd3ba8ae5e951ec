"""Models as ONNX graphs, for onnxruntime and whatever else runs them.

Margins are computed in float64 and probabilities rounded to float32 at the end, so they are ours
within that rounding whatever the columns' scales. A model of an array is one product; a model of a
table has an input for each column: a missing number becomes the mean of the schema, and the level
of a category is looked up in a table of its coefficients, so that dummies are never made.

:func:`to_onnx` writes graphs on its own. Pipelines of scikit-learn are converted by skl2onnx, which
asks the converter that :func:`register_converters` registers for our estimators.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.schema import Column, Schema
from fastlogreg.estimators.cross_validation import LogisticRegressionCV
from fastlogreg.estimators.linear_classifier import LinearClassifier
from fastlogreg.estimators.logistic import LogisticRegression
from fastlogreg.estimators.minibatch import MiniBatchLogisticRegression

__all__ = ["register_converters", "to_onnx"]

_OPSET, _ML_OPSET, _IR = 17, 3, 8
_ESTIMATORS = (LogisticRegression, LogisticRegressionCV, MiniBatchLogisticRegression)


def to_onnx(model: Any) -> Any:
    """Return a fitted estimator as an ONNX model.

    Parameters
    ----------
    model : LogisticRegression, LogisticRegressionCV or MiniBatchLogisticRegression

    Returns
    -------
    onnx.ModelProto
        Its outputs are ``label``, (n,), int64 or text, and ``probabilities``, (n, n_classes),
        float32. Of a model of arrays its input is ``X``, (n, n_features), float32 or, if ``X`` was
        fitted in float64, float64. Of a model of a table it has one input for each column, (n, 1):
        float64 for numbers, with NaN where one is missing, and text for categories, with ``""``
        where one is missing. What predictions would refuse (an unknown level, a missing value that
        the fit had not) gives NaN.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        Where the model is not fitted, or none of ours.
    ValueError
        Where labels are neither whole numbers nor text, or predictions need an offset.
    ImportError
        Without onnx (the extra ``onnx``).

    Examples
    --------
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_iris
    >>> model = flr.LogisticRegression().fit(*load_iris(return_X_y=True))
    >>> [output.name for output in flr.to_onnx(model).graph.output]
    ['label', 'probabilities']
    """
    onnx = _onnx()
    if not isinstance(model, _ESTIMATORS):
        raise TypeError(f"model must be an estimator of fastlogreg, got {type(model).__name__}")
    model._check_stored()
    schema: Schema | None = getattr(model, "schema_", None)
    if schema is not None and schema.offset is not None:
        raise ValueError(
            f"predictions of this model need the offset {schema.offset!r}, which is no input of "
            "an ONNX graph"
        )
    graph = _Graph(onnx)
    theta = model._theta()
    z = graph.margins_of_array(model, theta) if schema is None else graph.of_table(schema, theta)
    graph.outputs(z, theta, model)
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, type(model).__name__, graph.inputs, graph.results, graph.constants
        ),
        opset_imports=[
            onnx.helper.make_opsetid("", _OPSET),
            onnx.helper.make_opsetid("ai.onnx.ml", _ML_OPSET),
        ],
        ir_version=_IR,
        producer_name="fastlogreg",
    )
    onnx.checker.check_model(made)
    return made


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(
            "ONNX models need onnx: python3 -m pip install 'fastlogreg[onnx]'"
        ) from error
    return onnx


class _Graph:
    """Nodes, inputs and constants of a graph that is being made."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.constants: list[Any] = []
        self.results: list[Any] = []

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output; return that."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            self._onnx.helper.make_node(kind, list(inputs), [output], domain=domain, **attributes)
        )
        return output

    def constant(self, values: Any) -> str:
        """Add an array; return its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def input(self, name: str, kind: str, width: int) -> str:
        """Add an input of (n, width); return its name."""
        kinds = self._onnx.TensorProto
        dtype = {"float64": kinds.DOUBLE, "float32": kinds.FLOAT, "text": kinds.STRING}[kind]
        value = self._onnx.helper.make_tensor_value_info(name, dtype, ["n", width])
        self.inputs.append(value)
        return name

    def margins_of_array(self, model: LinearClassifier, theta: NDArray[np.float64]) -> str:
        """Return margins, (n, m), of rows in one input."""
        kind = "float32" if model.coef_.dtype == np.float32 else "float64"
        X = self.input("X", kind, theta.shape[1] - 1)
        if kind == "float32":
            X = self.node("Cast", X, to=self._onnx.TensorProto.DOUBLE)
        product = self.node("MatMul", X, self.constant(np.ascontiguousarray(theta[:, 1:].T)))
        return self.node("Add", product, self.constant(theta[:, 0]))

    def of_table(self, schema: Schema, theta: NDArray[np.float64]) -> str:
        """Return margins, (n, m), of rows with an input for each column."""
        z = self.constant(theta[:, 0][None, :])
        first = 1
        for column in schema.columns:
            w = theta[:, first : first + column.width].T
            part = self._number(column, w) if column.kind == "number" else self._level(column, w)
            z = self.node("Add", z, part)
            first += column.width
        return z

    def _number(self, column: Column, w: NDArray[np.float64]) -> str:
        x = self.input(column.name, "float64", 1)
        if column.mean is not None:
            mean = self.constant(np.array([[column.mean]]))
            x = self.node("Where", self.node("IsNaN", x), mean, x)
        return self.node("MatMul", x, self.constant(np.ascontiguousarray(w)))

    def _level(self, column: Column, w: NDArray[np.float64]) -> str:
        """Look a level's coefficients up, in a table whose last two rows are 0 and NaN."""
        m = w.shape[1]
        table = np.vstack([w, np.zeros(m), np.full(m, np.nan)])
        zero, unknown = len(w), len(w) + 1
        codes = {level: code if code >= 0 else zero for level, code in column.code_of.items()}
        if column.missing:
            codes.setdefault("", len(column.levels))
        place = self.node(
            "LabelEncoder",
            self.input(column.name, "text", 1),
            domain="ai.onnx.ml",
            keys_strings=list(codes),
            values_int64s=list(codes.values()),
            default_int64=column.width - 1 if column.rare else unknown,
        )
        flat = self.node("Reshape", place, self.constant(np.array([-1])))
        return self.node("Gather", self.constant(table), flat, axis=0)

    def outputs(self, z: str, theta: NDArray[np.float64], model: LinearClassifier) -> None:
        """Add what becomes of margins: labels and probabilities."""
        kinds = self._onnx.TensorProto
        classes = model.classes_
        if len(theta) == 1:
            if model._activation() == "tanh":
                z = self.node("Mul", z, self.constant(np.array(2.0)))
            pair = self.node("Concat", self.node("Neg", z), z, axis=1)
            p = self.node("Sigmoid", pair)
            above = self.node("Greater", z, self.constant(np.array(0.0)))
            code = self.node("Cast", above, to=kinds.INT64)
        else:
            p = self.node("Softmax", z, axis=1)
            code = self.node("ArgMax", z, axis=1, keepdims=1)
        code = self.node("Reshape", code, self.constant(np.array([-1])))
        text = classes.dtype.kind in "OU"
        if text and not all(isinstance(label, str) for label in classes.tolist()):
            raise ValueError("labels of an ONNX model must be whole numbers or text")
        if not text and not np.array_equal(classes, classes.astype(np.int64)):
            raise ValueError("labels of an ONNX model must be whole numbers or text")
        labels = np.array(classes.tolist(), dtype=object) if text else classes.astype(np.int64)
        label = self.node("Gather", self.constant(labels), code, axis=0)
        probabilities = self.node("Cast", p, to=kinds.FLOAT)
        info = self._onnx.helper.make_tensor_value_info
        for value, name, dtype, shape in (
            (label, "label", kinds.STRING if text else kinds.INT64, ["n"]),
            (probabilities, "probabilities", kinds.FLOAT, ["n", classes.size]),
        ):
            self.nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
            self.results.append(info(name, dtype, shape))


def register_converters() -> None:
    """Let skl2onnx convert pipelines that end in one of our estimators.

    By the operators of scikit-learn's own logistic regression, which skl2onnx has: float32 as it
    has them. Call it once, before ``skl2onnx.to_onnx``.

    Raises
    ------
    ImportError
        Without skl2onnx (the extra ``onnx``).

    Examples
    --------
    >>> from fastlogreg.io.onnx import register_converters
    >>> register_converters()
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.operator_converters.linear_classifier import (
            convert_sklearn_linear_classifier,
        )
        from skl2onnx.shape_calculators.linear_classifier import (
            calculate_linear_classifier_output_shapes,
        )
    except ImportError as error:
        raise ImportError(
            "converters need skl2onnx: python3 -m pip install 'fastlogreg[onnx]'"
        ) from error

    def convert(scope: Any, operator: Any, container: Any) -> None:
        """Convert the model of scikit-learn that predicts the same."""
        from sklearn.linear_model import LogisticRegression as Theirs

        own = operator.raw_operator
        pair = own.classes_.size == 2
        # skl2onnx tells a sigmoid from the softmax by the solver
        same = Theirs(solver="liblinear" if pair else "lbfgs")
        same.classes_, same.n_features_in_ = own.classes_, own.n_features_in_
        theta = own._theta()
        same.coef_, same.intercept_ = theta[:, 1:], theta[:, 0]
        operator.raw_operator = same
        try:
            convert_sklearn_linear_classifier(scope, operator, container)
        finally:
            operator.raw_operator = own

    for kind in (LogisticRegression, LogisticRegressionCV):
        update_registered_converter(
            kind,
            f"Fastlogreg{kind.__name__}",
            calculate_linear_classifier_output_shapes,
            convert,
            options={
                "nocl": [True, False],
                "zipmap": [True, False, "columns"],
                "output_class_labels": [False, True],
                "raw_scores": [True, False],
            },
        )
