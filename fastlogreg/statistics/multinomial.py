"""Results of more than two classes, against a reference class."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.statistics import effects
from fastlogreg.statistics.coordinates import roots, symmetric
from fastlogreg.statistics.effects import MarginalEffects
from fastlogreg.statistics.likelihood import Likelihood
from fastlogreg.statistics.results import Results

__all__ = ["MNLogitResults"]

_Array = NDArray[np.float64]


class MNLogitResults(Results):
    """Estimates of a multinomial logistic regression, against a reference class.

    Made by :func:`fastlogreg.logit` and :func:`fastlogreg.inference`, not by hand. ``params``,
    ``bse``, ``zvalues`` and ``pvalues`` are (K - 1, p): a row for each class but the reference
    (statsmodels has them as columns). ``cov_params()`` follows them row by row.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> results = flr.logit("kind ~ ash + hue", X.assign(kind=y))
    >>> results.params.shape, results.names
    ((2, 3), ['Intercept', 'ash', 'hue'])
    """

    @property
    def reference(self) -> Any:
        """Return the reference class."""
        return self.classes_.tolist()[self._fit.likelihood.reference]

    @cached_property
    def _proba(self) -> _Array:
        return self._fit.likelihood.probabilities(self._fit.parameters)

    def _title(self) -> str:
        return "MNLogit"

    def _heading(self) -> str:
        return "MNLogit Regression Results"

    def residuals(self, kind: str = "response") -> _Array:
        """Return the residuals of the rows, (n, K): [y = k] - p_k.

        Parameters
        ----------
        kind : {"response"}
        """
        check.check_choice(kind, "kind", ("response",))
        out = -self._proba
        codes = self._fit.likelihood.rows.targets.astype(np.intp)
        out[np.arange(codes.size), codes] += 1.0
        return out

    def _intervals(self, like: Likelihood, root: float) -> tuple[_Array, ...]:
        """Return probabilities, errors, and intervals of their logits, (n, K) each."""
        p = like.probabilities(self._fit.parameters)
        z = like.margins(self._fit.parameters)
        k, width = like.n_equations, like.width
        middle = self._fit.covariance.middle
        covariance = self._fit.covariance.near.reshape(k, width, k, width)
        forms = np.empty((like.n_rows, k, k))  # covariances of the margins of a row
        for a in range(k):
            for b in range(a + 1):
                forms[:, a, b] = forms[:, b, a] = _bilinear(like, covariance[a, :, b], middle)
        own = np.sqrt(np.abs(np.einsum("naa->na", forms)))
        se, lower, upper = np.empty((3, *p.shape))
        for c in range(like.n_classes):
            # the logit of p_c has the derivative 1 in its own margin, and in each other minus the
            # share of that class among the others
            rest = z.copy()
            rest[:, c] = -np.inf
            slope = -softmax(rest, axis=1)
            slope[:, c] = 1.0
            slope = slope[:, like.others]
            size = np.einsum("na,na->n", np.abs(slope), own) ** 2
            spread = roots(np.einsum("na,nab,nb->n", slope, forms, slope), size)
            logit = z[:, c] - logsumexp(rest, axis=1)
            se[:, c] = spread * p[:, c] * np.delete(p, c, axis=1).sum(axis=1)
            lower[:, c], upper[:, c] = expit(logit - root * spread), expit(logit + root * spread)
        return p, se, lower, upper

    @numpy_defaults
    def margins(self, at: str = "overall", *, level: float | None = None) -> MarginalEffects:
        """Return marginal effects on the probability of each class, errors by the delta method.

        Parameters
        ----------
        at : {"overall", "mean"}, default="overall"
            "overall": the mean over the rows of dp_k / dx. "mean": that at the columns' means.
        level : float, optional

        Returns
        -------
        MarginalEffects
            Class after class.
        """
        check.check_choice(at, "at", ("overall", "mean"))
        fit = self._fit
        effect, jacobian, names = effects.of_classes(fit.likelihood, fit.parameters, fit.names, at)
        se = fit.covariance.errors_along(jacobian)
        return MarginalEffects.of(names, effect, se, at, self._level(level))


def _bilinear(like: Likelihood, matrix: _Array, middle: _Array) -> _Array:
    """Return a' M a for each row a, (n,), less ``middle``, of the symmetric part of M."""
    values, vectors = np.linalg.eigh(symmetric(matrix))
    out = np.zeros(like.n_rows)
    for sign in (1.0, -1.0):
        held = sign * values > 0.0
        if held.any():
            root = vectors[:, held] * np.sqrt(sign * values[held])
            out += sign * like.squared_lengths(root, middle)
    return out
