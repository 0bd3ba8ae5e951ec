"""Scores of held-out rows, for cross-validation.

The scores that scikit-learn's users mostly ask for come from the margins of the held-out rows, of
all fits in one reading, or where each row is left out in turn, from the fit of all; any other
scorer is called as scikit-learn calls it.
"""

from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils.validation import _check_method_params

from fastlogreg import backends
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.estimators.logistic import LogisticRegression, Settings
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.leave_one_out import LARGEST, LARGEST_TABLE, leave_one_out_margins

__all__ = ["Scores", "ScoresOfParts", "at_offset"]

_Vector = NDArray[np.float64]


class Scores:
    """Scores of held-out rows.

    Parameters
    ----------
    problem : Problem
        Of all rows.
    rows : Rows
    y : ndarray of shape (n,)
        The labels as the user has them.
    weights : ndarray of shape (n,), optional
        The user's sample weights: those of classes do not count in scores.
    settings : Settings
    scoring : str, callable or None
    params : dict
        Metadata for the scorer.
    """

    def __init__(
        self,
        problem: Problem,
        rows: Rows,
        y: NDArray[Any],
        weights: _Vector | None,
        settings: Settings,
        scoring: Any,
        params: dict[str, Any],
    ) -> None:
        self._problem, self._rows, self._y, self._params = problem, rows, y, params
        self._settings, self._spec = settings, settings.spec(rows.classes.size)
        self.total_weight = problem.source.total_weight
        self.n_passes = 0.0
        built_in = _BUILT_IN.get(scoring) if scoring is None or isinstance(scoring, str) else None
        if set(params) - {"sample_weight"}:
            built_in = None
        self._from_margins = built_in
        # scikit-learn weights its own accuracy always, and scorers where they are asked to
        self._weights = weights if scoring is None or "sample_weight" in params else None
        self._scorer = None if built_in else _with_labels(get_scorer(scoring or "accuracy"), rows)

    def of(self, held_out: NDArray[np.int64], thetas: _Vector) -> _Vector:
        """Return the scores of some rows by thetas, (n_cs, n_l1_ratios, p)."""
        scores = np.empty(thetas.shape[:2])
        share = held_out.size / self._rows.matrix.shape[0]
        if self._from_margins is not None:
            self.n_passes += share
            codes = self._rows.targets[held_out].astype(np.intp)
            weights = None if self._weights is None else self._weights[held_out]
            margins = self._margins(held_out, thetas)
            for at in np.ndindex(*scores.shape):
                values = self._from_margins(margins[:, at[0], at[1]], codes)
                scores[at] = np.average(values, weights=weights)
            return scores
        self.n_passes += scores.size * share
        rows, layout = self._rows, self._problem.layout
        X, y = rows.matrix[held_out], self._y[held_out]
        offset = None if rows.offset is None else rows.offset[held_out]
        params = _check_method_params(X=rows.matrix, params=self._params, indices=held_out)
        assert self._scorer is not None
        for at in np.ndindex(*scores.shape):
            theta = layout.rows(thetas[at])
            intercept = theta[:, 0] if layout.first else np.zeros(len(theta))
            model = at_offset(rows.classes, theta[:, layout.first :], intercept, offset)
            score = self._scorer(model, X, y, **params)
            if np.ndim(score) or not isinstance(score, Real | np.ndarray):
                raise ValueError(
                    f"scoring must return a number, got {score!r} of {type(score).__name__}"
                )
            scores[at] = score
        return scores

    def refuse_left_out(self) -> None:
        """Refuse what can't be scored by leaving rows out from the fit of all."""
        instead = "cv=sklearn.model_selection.LeaveOneOut() is for any"
        if self._from_margins is None:
            raise ValueError(
                'cv="loo" is for the scores "accuracy", "neg_log_loss" and "neg_brier_score"; '
                f"{instead}"
            )
        size, n, K = self._problem.size, self._rows.targets.size, self._problem.layout.n_outputs
        if size > LARGEST:
            raise ValueError(
                f'cv="loo" inverts the Hessian of all {size:,} coefficients and intercepts, and '
                f"takes {LARGEST:,} at most; {instead}"
            )
        if K > 1 and n * K * K > LARGEST_TABLE:
            raise ValueError(
                f'cv="loo" keeps {K} x {K} values for each of {n:,} rows, and takes '
                f"{LARGEST_TABLE:,} values at most; {instead}"
            )

    def left_out(self, theta: _Vector, C: float, l1_ratio: float) -> tuple[float, float]:
        """Return the mean score of all rows, each left out in turn, and its standard error."""
        rows, layout = self._rows, self._problem.layout
        assert self._from_margins is not None
        at = replace(self._settings, C=C, l1_ratio=l1_ratio)
        problem = self._problem.with_penalty(at.penalty(self.total_weight, layout))
        margins = self._problem.source.bind(self._spec).margins(layout.for_pass(theta))
        problem.count(1.0)
        left = leave_one_out_margins(problem, theta, margins, rows.targets, rows.weights)
        values = self._from_margins(left, rows.targets.astype(np.intp))
        mean = float(np.average(values, weights=self._weights))
        variance = float(np.average((values - mean) ** 2, weights=self._weights))
        counted = values.size if self._weights is None else np.count_nonzero(self._weights)
        return mean, float(np.sqrt(variance / max(1, counted - 1)))

    def _margins(self, held_out: NDArray[np.int64], thetas: _Vector) -> _Vector:
        """Return (n, n_cs, n_l1_ratios) margins, or (n, n_cs, n_l1_ratios, K): one reading."""
        X, offset = self._rows.matrix, self._rows.offset
        bound, shape = _bound_to(X, self._spec, thetas, self._problem.layout.width)
        margins = bound.sample(held_out).margins(thetas.reshape(shape))
        known = None if offset is None else offset[held_out]
        return _by_fit(margins, thetas, known, self._problem.layout.n_outputs)


class ScoresOfParts(Scores):
    """Scores of held-out rows that come in parts: one reading for each fold."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if self._from_margins is None:
            raise ValueError(
                'rows beyond memory are scored by "accuracy", "neg_log_loss" or "neg_brier_score": '
                "for another scoring all rows must be in memory, so raise memory_limit in open_rows"
            )

    def of(self, held_out: NDArray[np.int64], thetas: _Vector) -> _Vector:
        """Return the scores of some rows by thetas, (n_cs, n_l1_ratios, p)."""
        order = np.argsort(held_out, kind="stable")
        held_out = held_out[order]
        weights = None if self._weights is None else self._weights[held_out]
        layout = self._problem.layout
        asked = self._from_margins, thetas, layout.width, layout.n_outputs, self._spec
        source = self._problem.source.subset(held_out)
        sums: _Vector = source.ask(_summed_scores, *asked, cut=weights, spec=self._spec)  # type: ignore[attr-defined]
        self.n_passes += 1.0
        return sums / float(held_out.size if weights is None else weights.sum())

    def refuse_left_out(self) -> None:
        """Refuse: each row left out has a margin of its own."""
        raise ValueError(
            'cv="loo" needs all rows in memory: raise memory_limit in open_rows, or take folds'
        )


def _summed_scores(
    bound: Any,
    rows: MemoryRows,
    values_of: Callable[[_Vector, NDArray[np.intp]], NDArray[Any]],
    thetas: _Vector,
    width: int,
    n_outputs: int,
    spec: backends.PassSpec,
    weights: _Vector | None = None,
) -> _Vector:
    """Answer with the (weighted) sums of a part's scores, (n_cs, n_l1_ratios)."""
    X, y, _, offset = rows.arrays
    own, shape = _bound_to(X, spec, thetas, width)
    margins = _by_fit(own.margins(thetas.reshape(shape)), thetas, offset, n_outputs)
    sums = np.empty(thetas.shape[:2])
    for at in np.ndindex(*sums.shape):
        values = values_of(margins[:, at[0], at[1]], y.astype(np.intp))
        sums[at] = values.sum() if weights is None else weights @ values
    return sums


def _bound_to(
    X: Any, spec: backends.PassSpec, thetas: _Vector, width: int
) -> tuple[Any, tuple[int, int]]:
    """Return a pass that has a column of margins for each row of thetas, and their shape."""
    n_outputs = thetas.size // width  # as if they were classes
    spec = spec._replace(loss="cross_entropy", activation="softmax", n_outputs=n_outputs)
    return backends.get("numba").bind(X, None, None, None, spec), (n_outputs, width)


def _by_fit(margins: _Vector, thetas: _Vector, offset: _Vector | None, n_outputs: int) -> _Vector:
    """Return margins, (n, n_cs, n_l1_ratios), or (n, n_cs, n_l1_ratios, K), with the offset."""
    margins = margins.reshape(len(margins), *thetas.shape[:2], n_outputs)
    if offset is not None:
        margins = margins + offset.reshape(len(margins), 1, 1, -1)
    return margins[..., 0] if n_outputs == 1 else margins


def _accuracy(z: _Vector, codes: NDArray[np.intp]) -> NDArray[Any]:
    """Return whether each row is predicted right, (n,), from its margins, (n,) or (n, K)."""
    found = z.argmax(axis=1) if z.ndim == 2 else (z > 0.0)
    right: NDArray[Any] = found == codes
    return right


def _log_likelihood(z: _Vector, codes: NDArray[np.intp]) -> _Vector:
    """Return the logarithm of the probability of each row's class, clipped as scikit-learn's."""
    if z.ndim == 2:
        z = z - z.max(axis=1, keepdims=True)
        logs = z[np.arange(codes.size), codes] - np.log(np.exp(z).sum(axis=1))
    else:
        logs = -np.logaddexp(0.0, np.where(codes == 1, -z, z))
    eps = np.finfo(np.float64).eps
    clipped: _Vector = np.clip(logs, np.log(eps), np.log1p(-eps))
    return clipped


def _brier(z: _Vector, codes: NDArray[np.intp]) -> _Vector:
    """Return minus the squared distance of the probabilities from the class: of two, of one."""
    if z.ndim == 1:
        distance = np.exp(-np.logaddexp(0.0, np.where(codes == 1, z, -z)))
        return -(distance**2)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(codes.size), codes] -= 1.0
    squared: _Vector = -(p**2).sum(axis=1)
    return squared


_BUILT_IN: dict[Any, Callable[[_Vector, NDArray[np.intp]], NDArray[Any]]] = {
    None: _accuracy,
    "accuracy": _accuracy,
    "neg_log_loss": _log_likelihood,
    "neg_brier_score": _brier,
}


def _with_labels(scorer: Any, rows: Rows) -> Any:
    """Return the scorer that knows all classes: held-out rows may lack some."""
    function = getattr(scorer, "_score_func", None)
    known = () if function is None else signature(function).parameters
    if "labels" not in known:
        return scorer
    more = {"labels": rows.classes}
    if rows.classes.size == 2 and "pos_label" in known:
        more["pos_label"] = rows.classes[-1]
    return make_scorer(
        function,
        greater_is_better=scorer._sign == 1,
        response_method=scorer._response_method,
        **{**more, **getattr(scorer, "_kwargs", {})},
    )


class _AtOffset(LogisticRegression):
    """A model of known coefficients for rows of a known offset."""

    _known: Any = None

    def _rows(self, X: ArrayLike, offset: ArrayLike | None) -> Any:
        return super()._rows(X, self._known if offset is None else offset)


def at_offset(classes: Any, coef: Any, intercept: Any, offset: Any) -> LogisticRegression:
    """Return a fitted model whose predictions add the offset."""
    model = _AtOffset()
    model.classes_, model.coef_, model.intercept_, model._known = classes, coef, intercept, offset
    return model
