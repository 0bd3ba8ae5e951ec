"""Pictures, by Matplotlib: of models, and of the lecture.

Every function draws on the axes that it is given (``ax``) or on those of a new figure, and
returns them: what follows (titles, sizes, other artists) is Matplotlib as it is. Nothing is
shown or stored.

Pictures of models (:mod:`fastlogreg.plots.models`, :mod:`fastlogreg.plots.forests`) take what is
fitted as it is, and stand below the estimators, whose ``plot`` methods call them. Those of the
lecture (:mod:`fastlogreg.plots.lecture`) call the public functions. Names are bound on first use,
and Matplotlib is imported where something is drawn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "calibration": "models",
    "coefficient_path": "models",
    "convergence": "models",
    "cross_validation_curve": "models",
    "decision_boundary": "models",
    "forest": "forests",
    "activations": "lecture",
    "chord": "lecture",
    "convexity": "lecture",
    "descent_paths": "lecture",
    "loss_surface": "lecture",
    "second_derivatives": "lecture",
}

__all__ = [
    "activations",
    "calibration",
    "chord",
    "coefficient_path",
    "convergence",
    "convexity",
    "cross_validation_curve",
    "decision_boundary",
    "descent_paths",
    "forest",
    "loss_surface",
    "second_derivatives",
]

if TYPE_CHECKING:
    from fastlogreg.plots.forests import forest
    from fastlogreg.plots.lecture import (
        activations,
        chord,
        convexity,
        descent_paths,
        loss_surface,
        second_derivatives,
    )
    from fastlogreg.plots.models import (
        calibration,
        coefficient_path,
        convergence,
        cross_validation_curve,
        decision_boundary,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME))
