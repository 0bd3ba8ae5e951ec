"""fastlogreg: the fastest and sturdiest logistic regression on a CPU.

Names are bound on first use (:pep:`562`), so that ``import fastlogreg`` costs
nothing but itself: NumPy, Numba and scikit-learn are imported when a function or
an estimator that needs them is first touched.

The layers, from the top: the command line (:mod:`fastlogreg.cli`), estimators
(:mod:`fastlogreg.estimators`), functions on arrays (:mod:`fastlogreg.functional`), solvers,
the problem they see, data, and the three backends ``"loop"``, ``"numpy"`` and ``"numba"`` that
compute it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOME = {
    "predict_proba": "functional",
    "loss": "functional",
    "loss_gradient": "functional",
    "loss_gradient_hessian": "functional",
    "train": "functional",
    "TrainingResult": "functional",
    "LogisticRegression": "estimators.logistic",
    "LogisticRegressionCV": "estimators.cross_validation",
    "MiniBatchLogisticRegression": "estimators.minibatch",
    "load": "io.model_files",
    "open_rows": "data.files",
    "Path": "estimators.path",
    "regularization_path": "estimators.path",
    "inference": "statistics.fitted",
    "logit": "statistics.formula",
    "LogitResults": "statistics.results",
    "MNLogitResults": "statistics.multinomial",
    "save": "io.model_files",
    "to_onnx": "io.onnx",
}

_MODULES = ("plots",)  # namespaces, imported when touched

__all__ = [
    "LogisticRegression",
    "LogisticRegressionCV",
    "LogitResults",
    "MNLogitResults",
    "MiniBatchLogisticRegression",
    "Path",
    "TrainingResult",
    "__version__",
    "inference",
    "logit",
    "load",
    "loss",
    "loss_gradient",
    "loss_gradient_hessian",
    "open_rows",
    "plots",
    "predict_proba",
    "regularization_path",
    "save",
    "to_onnx",
    "train",
]

if TYPE_CHECKING:
    from fastlogreg import plots
    from fastlogreg.data.files import open_rows
    from fastlogreg.estimators.cross_validation import LogisticRegressionCV
    from fastlogreg.estimators.logistic import LogisticRegression
    from fastlogreg.estimators.minibatch import MiniBatchLogisticRegression
    from fastlogreg.estimators.path import Path, regularization_path
    from fastlogreg.functional import (
        TrainingResult,
        loss,
        loss_gradient,
        loss_gradient_hessian,
        predict_proba,
        train,
    )
    from fastlogreg.io.model_files import load, save
    from fastlogreg.io.onnx import to_onnx
    from fastlogreg.statistics.fitted import inference
    from fastlogreg.statistics.formula import logit
    from fastlogreg.statistics.multinomial import MNLogitResults
    from fastlogreg.statistics.results import LogitResults


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"fastlogreg.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"fastlogreg.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME) | set(_MODULES))
