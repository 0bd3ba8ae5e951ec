"""Marginal effects: how the probability changes with a column, with errors by the delta method."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from fastlogreg.statistics.likelihood import Likelihood
from fastlogreg.statistics.tables import Summary, Table, number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NO_TESTS", "MarginalEffects", "PenalizedEffects", "of_classes", "of_two_classes"]

NO_TESTS = (
    "there are no {} of a penalized fit: its estimates are biased towards 0, and the errors shown "
    "are those of a normal prior. Fit with C=np.inf for them"
)

_Array = NDArray[np.float64]


class MarginalEffects(NamedTuple):
    """Marginal effects.

    Attributes
    ----------
    names : list of str
    effects, se, z, pvalues : ndarray of shape (d,)
        With more than two classes (K d,), class after class. Of a penalized fit there are no
        p-values: asking for them is an error, and tables do without.
    lower, upper : ndarray of that shape
    at : str
    level : float
    """

    names: list[str]
    effects: _Array
    se: _Array
    z: _Array
    pvalues: _Array
    lower: _Array
    upper: _Array
    at: str
    level: float

    @classmethod
    def of(
        cls, names: list[str], effects: _Array, se: _Array, at: str, level: float
    ) -> "MarginalEffects":
        """Return effects with what their standard errors say."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = effects / se
        half = float(ndtri(0.5 + 0.5 * level)) * se
        p = np.full_like(z, np.nan) if cls is PenalizedEffects else 2.0 * ndtr(-np.abs(z))
        return cls(names, effects, se, z, p, effects - half, effects + half, at, level)

    @property
    def _tested(self) -> bool:
        return True

    def to_frame(self) -> "pd.DataFrame":
        """Return a table, a row for each column."""
        import pandas as pd

        columns = {"effect": self.effects, "std_err": self.se}
        if self._tested:
            columns |= {"z": self.z, "p_value": self.pvalues}
        columns |= {"lower": self.lower, "upper": self.upper}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="column"))

    def summary(self) -> Summary:
        """Return what people read."""
        tail = 0.5 * (1.0 - self.level)
        header = ["", "dy/dx", "std err", "z", "P>|z|", f"[{tail:.4g}", f"{1.0 - tail:.4g}]"]
        rows = [
            [name, number(e), number(s), f"{z:.3f}", f"{p:.3f}", number(low, 3), number(high, 3)]
            for name, e, s, z, p, low, high in zip(*self[:7], strict=True)
        ]
        if not self._tested:
            header, rows = header[:3] + header[5:], [row[:3] + row[5:] for row in rows]
        pairs = [("At", self.at), ("Errors", "delta method")]
        return Summary("Logit Marginal Effects", pairs, [Table(header, rows)])

    def _repr_html_(self) -> str:
        return self.summary().as_html()


class PenalizedEffects(MarginalEffects):
    """Marginal effects of a penalized fit, without p-values."""

    @property
    def _tested(self) -> bool:
        return False

    @property
    def pvalues(self) -> _Array:
        """Refuse: there are none."""
        raise ValueError(NO_TESTS.format("p-values"))


def of_two_classes(
    likelihood: Likelihood, parameters: _Array, names: list[str], at: str, dummy: bool
) -> tuple[_Array, _Array, list[str]]:
    """Return effects, (d,), their derivatives in the parameters, (d, p), and the columns' names."""
    first = int(likelihood.intercept)
    w = parameters[first:]
    total = likelihood.total_weight
    pair = likelihood.probabilities(parameters)
    h = pair[:, 0] * pair[:, 1]
    if at == "overall":
        slope = float(likelihood.weighted(h).sum()) / total
        bend = likelihood.column_sums(likelihood.weighted(h * (pair[:, 0] - pair[:, 1]))) / total
    else:
        mean, z = _mean_row(likelihood, parameters)
        p = float(expit(z))
        slope = p * float(expit(-z))
        bend = slope * (1.0 - 2.0 * p) * mean
    effects = slope * w
    jacobian = np.outer(w, bend)
    jacobian[np.arange(w.size), first + np.arange(w.size)] += slope
    if dummy:
        margins = likelihood.margins(parameters)
        for j in _dummies(likelihood):
            if at == "overall":
                x = _column(likelihood.rows.matrix, j)
                ends = [margins - w[j] * x, margins + w[j] * (1.0 - x)]
                levels = [float(likelihood.weighted(expit(e)).sum()) / total for e in ends]
                slopes = [likelihood.weighted(expit(e) * expit(-e)) / total for e in ends]
                rows = [likelihood.column_sums(s) for s in slopes]
                for code in (0, 1):  # the column itself is 0 or 1 there
                    rows[code][first + j] = code * float(slopes[code].sum())
            else:
                ends = [z - w[j] * mean[first + j], z + w[j] * (1.0 - mean[first + j])]
                levels = [float(expit(e)) for e in ends]
                rows = []
                for code, e in enumerate(ends):
                    row = mean.copy()
                    row[first + j] = code
                    rows.append(float(expit(e) * expit(-e)) * row)
            effects[j] = levels[1] - levels[0]
            jacobian[j] = rows[1] - rows[0]
    return effects, jacobian, names[first:]


def of_classes(
    likelihood: Likelihood, parameters: _Array, names: list[str], at: str
) -> tuple[_Array, _Array, list[str]]:
    """Return effects on each class's probability, (K d,), derivatives, (K d, q), and names."""
    first, width = int(likelihood.intercept), likelihood.width
    K, total = likelihood.n_classes, likelihood.total_weight
    theta = likelihood.theta(parameters)
    B = theta[:, first:]
    if at == "mean":
        mean, z = _mean_row(likelihood, parameters)
        p = np.exp(z - z.max())
        p /= p.sum()
        rows, weights = p[None], np.ones(1)

        def sums(values: _Array) -> _Array:
            return float(values[0]) * mean

    else:
        rows = likelihood.probabilities(parameters)
        weights = likelihood.weighted(np.ones(len(rows))) / total

        def sums(values: _Array) -> _Array:
            return likelihood.column_sums(values)

    # means of p_k, p_k p_l as numbers, and times the row for products of up to three
    one = weights @ rows
    two = (rows * weights[:, None]).T @ rows
    row1 = np.array([sums(weights * rows[:, k]) for k in range(K)])
    row2, row3 = np.empty((K, K, width)), np.empty((K, K, K, width))
    for k in range(K):
        for m in range(k + 1):
            product = weights * rows[:, k] * rows[:, m]
            row2[k, m] = row2[m, k] = sums(product)
            for r in range(m + 1):
                found = sums(product * rows[:, r])
                for a, b, c in ((k, m, r), (k, r, m), (m, k, r), (m, r, k), (r, k, m), (r, m, k)):
                    row3[a, b, c] = found
    d = B.shape[1]
    effects = one[:, None] * B - two @ B
    # e_kj = p_k (B_kj - sum_r p_r B_rj), by theta_l: dp_k = p_k (delta_kl - p_l) a
    jacobian = np.zeros((K, d, K, width))
    for k in range(K):
        for m in range(K):
            same = float(k == m)
            slope = same * row1[k] - row2[k, m]  # of p_k
            part = np.outer(B[k], slope)
            for r in range(K):
                # of p_k p_r: p_k p_r (delta_kl + delta_rl - 2 p_l)
                change = (same + float(r == m)) * row2[k, r] - 2.0 * row3[k, r, m]
                part -= np.outer(B[r], change)
            jacobian[k, :, m] = part
            jacobian[k, np.arange(d), m, first + np.arange(d)] += same * one[k] - two[k, m]
    flat = jacobian[:, :, likelihood.others].reshape(K * d, -1)
    labels = likelihood.rows.classes.tolist()
    return effects.reshape(-1), flat, [f"{label}: {c}" for label in labels for c in names[first:]]


def _mean_row(likelihood: Likelihood, parameters: _Array) -> tuple[_Array, Any]:
    """Return the mean row, (p,), and its margin or margins with the mean offset."""
    weights = likelihood.weighted(np.ones(likelihood.n_rows)) / likelihood.total_weight
    mean = likelihood.column_sums(weights)
    offset = likelihood.rows.offset
    known = 0.0 if offset is None else weights @ offset
    return mean, likelihood.theta(parameters) @ mean + known


def _dummies(likelihood: Likelihood) -> list[int]:
    """Return the columns that hold 0 and 1 alone."""
    X = likelihood.rows.matrix
    found = []
    for j in range(likelihood.n_columns):
        x = _column(X, j)
        if ((x == 0.0) | (x == 1.0)).all() and x.any():
            found.append(j)
    return found


def _column(X: Any, j: int) -> _Array:
    column = X[:, j] if isinstance(X, np.ndarray) else X[:, [j]].toarray()[:, 0]
    return np.asarray(column, dtype=np.float64)
