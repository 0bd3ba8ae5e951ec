"""Pictures of fitted models: paths, cross-validation, calibration, boundaries, convergence.

They take models as they are, ours or (where attributes allow) others with scikit-learn's names,
and import no estimator, so that the estimators' own ``plot`` methods can call them. What
scikit-learn draws, its displays draw here too; this module sets labels and colours.
"""

from collections.abc import Mapping
from inspect import signature
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.plots.axes import COLOURS, GREY, axes_for, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "calibration",
    "coefficient_path",
    "convergence",
    "cross_validation_curve",
    "decision_boundary",
]

_NAME_HEIGHT = 0.045  # of the axes, between two names
_STYLES = ("-", "--", ":", "-.")  # of lines, ten of each: as many as there are colours
_LEAST_DISTANCE = 1e-16  # relative; less is the rounding of float64

_Vector = NDArray[np.float64]


@numpy_defaults
def coefficient_path(path: Any, *, n_names: int = 10, ax: "Axes | None" = None) -> "Axes":
    """Draw the coefficients of a path over the strength of the penalty.

    For more than two classes each line is the size of a column's coefficients, the root of the
    sum of their squares.

    Parameters
    ----------
    path : fastlogreg.Path
        What :func:`fastlogreg.regularization_path` returns.
    n_names : int, default=10
        How many columns are named at the end of their lines: those of the largest coefficients
        there. The other lines are grey; with 0 all have colours and none a name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.

    See Also
    --------
    fastlogreg.Path.plot : The same.
    """
    count = check.check_count(n_names, "n_names", low=0)
    assert count is not None
    if not hasattr(path, "lambdas"):
        raise TypeError(f"path must be a Path of regularization_path, got {type(path).__name__}")
    ax = axes_for(ax, size=(7.2, 4.6))
    several = path.coefs.ndim == 3
    sizes = np.sqrt((path.coefs**2).sum(axis=1)) if several else path.coefs
    _draw_lines(ax, path.lambdas, sizes, path.feature_names, count)
    ax.set_ylabel("size of the coefficients" if several else "coefficient")
    above = ax.secondary_xaxis("top")
    shown = np.unique(np.linspace(0, len(path) - 1, 7).astype(int))
    above.set_xticks(path.lambdas[shown], [str(k) for k in path.n_nonzero[shown]])
    above.minorticks_off()
    above.set_xlabel("columns that are not 0")
    return ax


def _draw_lines(
    ax: "Axes", lambdas: _Vector, sizes: _Vector, names: NDArray[Any], count: int
) -> None:
    """Draw the lines, the strongest penalty at the left, and name the largest at their ends."""
    last = sizes[-1]
    largest = np.argsort(-np.abs(last), kind="stable")[:count]
    named = set(largest[last[largest] != 0.0].tolist())
    drawn = 0
    for j in np.flatnonzero(sizes.any(axis=0)):
        line = sizes[:, j].copy()
        at_zero = np.pad(line == 0.0, 1, constant_values=True)
        line[at_zero[:-2] & at_zero[1:-1] & at_zero[2:]] = np.nan  # from where it leaves 0 alone
        if j in named or not count:
            ax.plot(lambdas, line, linestyle=_STYLES[drawn // 10 % len(_STYLES)])
            drawn += 1
        else:
            ax.plot(lambdas, line, color="0.75", linewidth=0.8, zorder=1)
    ax.axhline(0.0, color="0.5", linewidth=0.6, zorder=1)
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xlabel("strength of the penalty, lambda")
    _name_ends(ax, lambdas[-1], last, names, sorted(named, key=lambda j: float(last[j])))


def _name_ends(
    ax: "Axes", end: float, last: _Vector, names: NDArray[Any], named: list[int]
) -> None:
    """Write the names to the right of the lines, the lowest first, none over another."""
    if not named:
        return
    low, high = ax.get_ylim()
    apart = _NAME_HEIGHT * (high - low)
    places = last[named].astype(float)
    for k in range(1, len(named)):  # up from the lowest, then down where that went too far
        places[k] = max(places[k], places[k - 1] + apart)
    if places[-1] > high:
        places[-1] = high
        for k in range(len(named) - 2, -1, -1):
            places[k] = min(places[k], places[k + 1] - apart)
    colours = {line.get_ydata()[-1]: line.get_color() for line in ax.get_lines()}  # type: ignore[index]
    for place, j in zip(places, named, strict=True):
        ax.annotate(
            str(names[j]),
            (end, last[j]),
            (1.02, place),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
            color=colours.get(last[j], "black"),
            # to the left end of the name, not across it
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6, "relpos": (0.0, 0.5)},
            annotation_clip=False,
        )


@numpy_defaults
def cross_validation_curve(model: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the mean scores of held-out rows against C, with standard errors.

    A line for each ``l1_ratio``. Two upright lines are ``C_``, which is best, and ``C_1se_``, the
    strongest penalty whose score is within a standard error of the best.

    Parameters
    ----------
    model : fastlogreg.LogisticRegressionCV
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If the model has no scores.
    ImportError
        Without Matplotlib.

    See Also
    --------
    fastlogreg.LogisticRegressionCV.plot : The same.
    """
    if not hasattr(model, "score_std_errors_"):
        raise TypeError(
            f"model must be a fitted LogisticRegressionCV, got {type(model).__name__} without "
            "score_std_errors_"
        )
    ax = axes_for(ax)
    if isinstance(model.scores_, dict):
        scores = next(iter(model.scores_.values()))
        scores = scores.reshape(*scores.shape[:2], -1)
        errors = model.score_std_errors_.reshape(*scores.shape[1:])
    else:
        scores, errors = np.moveaxis(model.scores_, 1, 2), model.score_std_errors_.T
    order = np.argsort(model.Cs_)
    Cs = _on_the_axis(model.Cs_)
    for j, (ratio, colour) in enumerate(zip(model.l1_ratios_, cycle(COLOURS), strict=False)):
        label = "mean score" if ratio is None else f"l1_ratio = {ratio:g}"
        means = scores[..., j].mean(axis=0)
        ax.errorbar(
            Cs[order],
            means[order],
            errors[order, j],
            fmt=".-",
            color=colour,
            capsize=2,
            label=label,
        )
    ax.set_xscale("log")
    best = float(np.ravel(model.C_)[0])
    for C, style, name in ((best, "-", "C_"), (float(model.C_1se_), ":", "C_1se_")):
        place = C if C < np.inf else Cs.max()
        ax.axvline(place, color="black", linestyle=style, linewidth=1, label=f"{name} = {C:.3g}")
    ax.set(xlabel="C", ylabel="mean score of the held-out rows")
    ax.legend(fontsize="small")
    tidy(ax)
    return ax


def _on_the_axis(Cs: _Vector) -> _Vector:
    """Return where the values of C stand; infinity a factor of 10 beyond the largest other."""
    finite = Cs[np.isfinite(Cs)]
    return np.where(np.isfinite(Cs), Cs, 10.0 * finite.max() if finite.size else 1.0)


@numpy_defaults
def calibration(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: str = "quantile",
    name: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how often rows are of the second class, over the probability that a model gives it.

    It is scikit-learn's ``CalibrationDisplay``. Several models can share the axes, a call each.

    Parameters
    ----------
    model : estimator
        Fitted, of two classes, with ``predict_proba``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows that the model has not seen.
    y : array-like of shape (n_samples,)
        Their labels.
    n_bins : int, default=10
        Groups of rows by their probability.
    strategy : {"quantile", "uniform"}, default="quantile"
        Groups of as many rows each, or of equal width.
    name : str, optional
        For the legend; default the class's.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.
    """
    from sklearn.calibration import CalibrationDisplay

    bins = check.check_count(n_bins, "n_bins")
    strategy = check.check_choice(strategy, "strategy", ("quantile", "uniform"))
    classes = _classes(model)
    if len(classes) != 2:
        raise ValueError(f"model must be of two classes, got one of {len(classes)}")
    ax = axes_for(ax, size=(5.4, 5.0))
    CalibrationDisplay.from_estimator(
        model,
        X,
        y,
        n_bins=bins,
        strategy=strategy,
        pos_label=classes[1],
        name=name,
        ax=ax,
        marker="o",
        markersize=4,
        # the line of the perfect model counts among the axes' own
        color=COLOURS[max(0, len(ax.get_lines()) - 1) % len(COLOURS)],
    )
    ax.set(
        xlabel=f"predicted probability of {classes[1]}",
        ylabel=f"share that is {classes[1]}",
        aspect="equal",
    )
    ax.legend(fontsize="small", loc="upper left")
    tidy(ax)
    return ax


def _classes(model: Any) -> Any:
    if not hasattr(model, "classes_"):
        raise TypeError(f"model must be a fitted classifier, got {type(model).__name__}")
    return model.classes_


@numpy_defaults
def decision_boundary(
    model: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    grid_resolution: int = 200,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw what a model of two columns predicts over their plane.

    It is scikit-learn's ``DecisionBoundaryDisplay``: of two classes the probability of the second
    and the line where it is a half; of more the class.

    Parameters
    ----------
    model : estimator
        Fitted on two columns.
    X : array-like of shape (n_samples, 2)
        Rows that say how far the picture reaches; they are drawn where y is given.
    y : array-like of shape (n_samples,), optional
        Their labels.
    grid_resolution : int, default=200
        Points a side.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        Without Matplotlib.
    """
    from sklearn.inspection import DecisionBoundaryDisplay

    points = check.check_count(grid_resolution, "grid_resolution", low=2)
    classes = _classes(model)
    shape = np.shape(X)
    if len(shape) != 2 or shape[1] != 2:
        raise ValueError(
            f"X must have two columns, got an array of shape {shape}: fit a model of the two that "
            "are to be seen"
        )
    values = np.asarray(X)
    labels = None if y is None else np.asarray(y)
    if labels is not None and labels.shape != (len(values),):
        raise ValueError(f"y must have shape ({len(values)},), one label a row, got {labels.shape}")
    ax = axes_for(ax)
    binary = len(classes) == 2
    colours = [COLOURS[k % len(COLOURS)] for k in range(len(classes))]
    draw: Any = DecisionBoundaryDisplay.from_estimator
    margin = 0.08 * float(np.ptp(values, axis=0).min() or 1.0)
    given: dict[str, Any] = {"grid_resolution": points, "eps": margin, "ax": ax}
    if binary:
        from matplotlib.colors import LinearSegmentedColormap

        # light, so that the rows stand out; transparent ones would show seams between levels
        light = ["#7fb8d8", "white", "#eaae7f"]
        display = draw(
            model,
            X,
            response_method="predict_proba",
            levels=np.linspace(0.0, 1.0, 21),
            cmap=LinearSegmentedColormap.from_list("classes", light),
            **given,
        )
        ax.figure.colorbar(
            display.surface_,
            ax=ax,
            label=f"probability of {classes[1]}",
            ticks=[0.0, 0.25, 0.5, 0.75, 1.0],
        )
        ax.contour(
            display.xx0, display.xx1, display.response, levels=[0.5], colors="black", linewidths=1.2
        )
    else:
        from matplotlib.colors import ListedColormap

        given |= {"response_method": "predict", "plot_method": "pcolormesh", "alpha": 0.3}
        if "multiclass_colors" in signature(draw).parameters:
            given["multiclass_colors"] = colours
        else:  # scikit-learn before 1.7
            given["cmap"] = ListedColormap(colours)
        draw(model, X, **given)
    if labels is not None:
        for label, colour in zip(classes, colours, strict=True):
            here = values[labels == label]
            ax.scatter(
                here[:, 0], here[:, 1], s=18, color=colour, edgecolor="white", label=str(label)
            )
        ax.legend(fontsize="small")
    return ax


@numpy_defaults
def convergence(models: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw how a fit came down to its optimum: the distance that is left, against passes.

    The distance is the fit's own estimate, half the Newton decrement or (with L1 or bounds) the
    duality gap, relative to the objective; rings are of steps that were computed on a part of the
    rows. ``tol`` is drawn where there is one model.

    Parameters
    ----------
    models : fitted LogisticRegression, its ``history_``, or a dict of either by name
    ax : matplotlib.axes.Axes, optional
        Where to draw; default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If there is no history.
    ImportError
        Without Matplotlib.
    """
    several = isinstance(models, Mapping)
    if several and not models:
        raise ValueError("models must name one fit at least, got an empty dict")
    histories = {
        name: _history(model, name) for name, model in (models if several else {"": models}).items()
    }
    ax = axes_for(ax)
    parts_named = False
    for (name, history), colour in zip(histories.items(), cycle(COLOURS), strict=False):
        scale = np.abs(history["objective"])
        distance = np.divide(
            history["decrement"], scale, out=np.full(len(history), np.nan), where=scale > 0
        )
        distance = np.where(np.isfinite(distance), np.maximum(distance, _LEAST_DISTANCE), np.nan)
        part = history["share"] < 1.0
        passes = history["passes"]
        ax.plot(passes, distance, "-", color=colour, linewidth=1, label=str(name) or None)
        ax.plot(passes[~part], distance[~part], "o", color=colour, markersize=5)
        if part.any():
            ax.plot(
                passes[part],
                distance[part],
                "o",
                color=colour,
                markersize=5,
                markerfacecolor="white",
                label=None if parts_named else "on a part of the rows",
            )
            parts_named = True
    tol = None if several else getattr(models, "tol", None)
    if tol:
        ax.axhline(tol, color=GREY, linestyle=":", label=f"tol = {tol:g}")
    ax.set_yscale("log")
    ax.set(xlabel="passes over all rows", ylabel="estimated distance above the optimum, relative")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small")
    tidy(ax)
    return ax


def _history(model: Any, name: Any) -> NDArray[Any]:
    history = getattr(model, "history_", model)
    names = getattr(getattr(history, "dtype", None), "names", None)
    needed = ("passes", "objective", "decrement", "share")
    if names is None or not set(needed) <= set(names):
        where = f"models[{name!r}]" if name != "" else "models"
        raise TypeError(
            f"{where} must be a fitted LogisticRegression or its history_, got "
            f"{type(model).__name__} without one"
        )
    return np.asarray(history)
