"""What people read of a fit: estimates, errors, tests, intervals, measures, a summary.

:class:`Results` is what any number of classes share; :class:`LogitResults` adds what belongs to two
(residuals, marginal effects, calibration). Names are statsmodels'. Arrays are NumPy's, in the order
of ``names``; :meth:`Results.to_frame` is a table with the names. Nothing is computed that isn't
asked for, beyond the estimates and their covariance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, expit, ndtr, ndtri, xlogy

from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.statistics import effects
from fastlogreg.statistics.coordinates import Covariance, roots
from fastlogreg.statistics.effects import MarginalEffects, PenalizedEffects
from fastlogreg.statistics.firth import FirthFit
from fastlogreg.statistics.likelihood import Derivatives, Likelihood
from fastlogreg.statistics.profile import Mapped, Objective, profile_limit
from fastlogreg.statistics.tables import Summary, Table, number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Design", "Fit", "LogitResults", "Prediction", "Results", "HypothesisTest"]

_Array = NDArray[np.float64]
_SINGULAR = 1e-10  # of the largest ratio to the model's covariance: what is left of a 0
_ROUNDED = 1e-6  # of a likelihood: more than what two fits of the same model differ by


class Design(Protocol):
    """Whoever makes the rows of a model of what users have."""

    def rows(self, X: Any, offset: Any) -> tuple[Any, _Array | None, NDArray[np.bool_] | None]:
        """Return the matrix, the offset, and which rows of X are in them (None: all)."""


class HypothesisTest(NamedTuple):
    """A test.

    Attributes
    ----------
    statistic : float
    df : int
        Degrees of freedom of the chi-squared distribution that it has if the hypothesis holds.
    pvalue : float
    """

    statistic: float
    df: int
    pvalue: float


class Prediction(NamedTuple):
    """Probabilities with their intervals, each (n,), or (n, K) for more than two classes."""

    mean: _Array
    se: _Array
    lower: _Array
    upper: _Array


@dataclass(frozen=True, eq=False)
class Fit:
    """All that results are made of.

    Attributes
    ----------
    likelihood : Likelihood
    parameters : ndarray of shape (q,)
    llf : float
        The log-likelihood there, of counts with binomial coefficients; of Firth's method the
        penalized one.
    covariance, information_inverse : Covariance
        As asked for, and that of the model.
    names : list of str
        Of the columns, the intercept's first.
    cov_type : str
    level : float
    nobs : float
    df : float
        Parameters, or of a penalized fit the effective ones.
    design : Design
    notes : list of str
    method : str
    target : str
        What is explained.
    formula : str or None
    n_missing : int
        Rows that were dropped for what they lack.
    n_passes : float
        Readings of all rows that the fit took; NaN where somebody else made it.
    firth : FirthFit or None
    penalized : bool
        Whether the estimates have a penalty.
    """

    likelihood: Likelihood
    parameters: _Array
    llf: float
    covariance: Covariance
    information_inverse: Covariance
    names: list[str]
    cov_type: str
    level: float
    nobs: float
    df: float
    design: Design
    notes: list[str]
    method: str = "ML"
    target: str = "y"
    formula: str | None = None
    n_missing: int = 0
    firth: FirthFit | None = None
    penalized: bool = False

    @property
    def objective(self) -> Objective:
        """Return what was maximized."""
        return self.likelihood if self.firth is None else self.firth.objective


class Results:
    """Estimates of a logistic regression, with what is known of their errors.

    Made by :func:`fastlogreg.logit` and :func:`fastlogreg.inference`, not by hand.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    # --- estimates ------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Return the names of the columns, the intercept's first."""
        return list(self._fit.names)

    @property
    def classes_(self) -> NDArray[Any]:
        """Return the labels; the first of two is the reference."""
        return self._fit.likelihood.rows.classes

    @property
    def cov_type(self) -> str:
        """Return what kind of covariance this is."""
        return self._fit.cov_type

    @property
    def nobs(self) -> float:
        """Return the number of observations: of rows, or the sum of frequency weights.

        A row of counts is one.
        """
        return self._fit.nobs

    @property
    def df_model(self) -> float:
        """Return the parameters beside the intercepts."""
        of = self._fit.likelihood
        return self._fit.df - of.n_equations * int(of.intercept)

    @property
    def df_resid(self) -> float:
        """Return the observations less the parameters."""
        return self._fit.nobs - self._fit.df

    def _shaped(self, flat: _Array) -> _Array:
        of = self._fit.likelihood
        return flat if of.n_equations == 1 else flat.reshape(of.n_equations, -1, *flat.shape[1:])

    def _entries(self) -> list[str]:
        """Return the names of all parameters, (q,)."""
        of = self._fit.likelihood
        if of.n_equations == 1:
            return self.names
        labels = [self.classes_.tolist()[k] for k in of.others]
        return [f"{label}: {name}" for label in labels for name in self._fit.names]

    @cached_property
    def params(self) -> _Array:
        """Return the estimates, (p,), or (K - 1, p) against the reference class."""
        return self._shaped(self._fit.parameters)

    def cov_params(self) -> _Array:
        """Return the covariance of the estimates, (q, q), class by class beyond two."""
        return self._fit.covariance.matrix.copy()

    @cached_property
    def _errors(self) -> _Array:
        out: _Array = np.sqrt(self._fit.covariance.matrix.diagonal())
        return out

    @cached_property
    def bse(self) -> _Array:
        """Return the standard errors, of the shape of ``params``."""
        return self._shaped(self._errors)

    @cached_property
    def zvalues(self) -> _Array:
        """Return the estimates over their errors; of Firth's method signed roots of its tests."""
        if self._fit.firth is not None:
            signs = np.sign(self._fit.parameters)
            return self._shaped(signs * np.sqrt(self._fit.firth.statistics))
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._shaped(self._fit.parameters / self._errors)

    @property
    def tvalues(self) -> _Array:
        """Return ``zvalues``, as statsmodels calls them."""
        return self.zvalues

    @cached_property
    def pvalues(self) -> _Array:
        """Return two-sided p-values that a parameter is 0.

        Of Firth's method those of the penalized likelihood ratio, else Wald's.
        """
        self._refuse_tests("p-values")
        out: _Array = 2.0 * ndtr(-np.abs(self.zvalues))
        return out

    def _refuse_tests(self, what: str) -> None:
        if self._fit.penalized:
            raise ValueError(effects.NO_TESTS.format(what))

    @numpy_defaults
    def conf_int(self, level: float | None = None, kind: str | None = None) -> _Array:
        """Return intervals of the estimates.

        Parameters
        ----------
        level : float, optional
            Between 0 and 1; default that of the results, 0.95 mostly.
        kind : {"wald", "profile"}, optional
            Wald's are the estimate plus and minus so many errors. Those of the profile likelihood
            follow its shape, which is better in few rows; each limit takes some 10 passes. They
            are of the model alone, and know nothing of a robust covariance. Default: "wald", and
            "profile" for Firth's method.

        Returns
        -------
        ndarray of shape (p, 2), or (K - 1, p, 2) for more than two classes

        Raises
        ------
        ValueError
            If an argument is not as described, profiles are asked of a penalized fit, or one can't
            be followed.
        """
        root = _quantile(self._level(level))
        kind = ("wald" if self._fit.firth is None else "profile") if kind is None else kind
        check.check_choice(kind, "kind", ("wald", "profile"))
        estimates = self._fit.parameters
        if kind == "wald":
            half = root * self._errors
            return self._shaped(np.column_stack([estimates - half, estimates + half]))
        self._refuse_tests("profile intervals")
        cached = self.__dict__.setdefault("_profiles", {})
        if root not in cached:
            cached[root] = self._profiles_at(root)
        out: _Array = self._shaped(cached[root])
        return out.copy()

    def _profiles_at(self, root: float) -> _Array:
        errors = np.sqrt(self._fit.information_inverse.matrix.diagonal())
        limits = np.empty((errors.size, 2))
        for j, objective, best, top in self._profiled():
            for code, side in enumerate((-1.0, 1.0)):
                limits[j, code] = profile_limit(
                    objective, best, top, j, side * root * errors[j], root
                )
            if np.isnan(limits[j]).any():
                raise ValueError(
                    f"the profile of {self._entries()[j]!r} can't be followed: the likelihood of "
                    "the other parameters has no maximum to the digits of float64 beside it. Move "
                    "columns far from 0 near to it, or take kind='wald'"
                )
        return limits

    def _profiled(self) -> Iterator[tuple[int, Objective, _Array, Derivatives]]:
        """Yield for each parameter what is maximized, where, and what is known there.

        Of columns far from 0 that of columns near to it. The intercept is then no parameter of its
        own: it takes the place of the furthest column's coefficient, and the other intercept its.
        """
        fit, middle = self._fit, self._fit.information_inverse.middle
        objective, best = fit.objective, fit.parameters
        far = bool(middle.any())
        if far:
            objective, best = objective.less(middle), fit.likelihood.moved(best, middle)
        top = objective.derivatives(best)
        for j in range(best.size):
            if not far or j % (middle.size + 1):
                yield j, objective, best, top
                continue
            w = slice(j + 1, j + 1 + middle.size)
            errors = np.sqrt(fit.information_inverse.near.diagonal()[w])
            at = int(np.argmax(np.abs(middle) * errors))
            T, of = np.eye(best.size), j + 1 + at
            T[j, j], T[j, of] = 0.0, 1.0
            T[of, w] = -middle / middle[at]
            T[of, j], T[of, of] = -1.0 / middle[at], 1.0 / middle[at]
            start = best.copy()
            start[j], start[of] = fit.parameters[j], best[j]
            mapped = Mapped(objective, T)
            yield j, mapped, start, mapped.derivatives(start)

    def odds_ratios(self, level: float | None = None, kind: str | None = None) -> _Array:
        """Return ``exp(params)`` with their intervals, (.., 3): ratio, lower, upper.

        Parameters
        ----------
        level, kind
            As of :meth:`conf_int`.

        Returns
        -------
        ndarray of shape (p, 3), or (K - 1, p, 3) for more than two classes
        """
        limits = self.conf_int(level, kind)
        with np.errstate(over="ignore"):
            out: _Array = np.exp(np.concatenate([self.params[..., None], limits], axis=-1))
        return out

    def _level(self, level: float | None) -> float:
        return self._fit.level if level is None else check_level(level)

    # --- likelihood, measures, tests ------------------------------------------------------

    @property
    def llf(self) -> float:
        """Return the log-likelihood; of Firth's method the penalized one.

        Of counts it has the binomial coefficients, as statsmodels' and R's have.
        """
        return self._fit.llf

    @cached_property
    def llnull(self) -> float:
        """Return that of the null model: intercepts and offset alone."""
        if self._fit.firth is not None:
            return self._fit.firth.null + self._fit.likelihood.constant
        return self._plain_null

    @property
    def aic(self) -> float:
        """Return Akaike's criterion, ``-2 llf + 2 q``."""
        return -2.0 * self.llf + 2.0 * self._fit.df

    @property
    def bic(self) -> float:
        """Return the Bayesian criterion, ``-2 llf + log(nobs) q``."""
        return -2.0 * self.llf + float(np.log(self._fit.nobs)) * self._fit.df

    @property
    def deviance(self) -> float:
        """Return twice what the log-likelihood lacks of the saturated model's, 0 but for counts."""
        return 2.0 * (self._fit.likelihood.saturated - self._plain_llf)

    @property
    def null_deviance(self) -> float:
        """Return the deviance of the null model."""
        return 2.0 * (self._fit.likelihood.saturated - self._plain_null)

    @property
    def _plain_null(self) -> float:
        return self._fit.likelihood.null + self._fit.likelihood.constant

    @cached_property
    def _plain_llf(self) -> float:
        if self._fit.firth is None:
            return self._fit.llf
        of = self._fit.likelihood
        return of.value(self._fit.parameters) + of.constant

    @property
    def prsquared(self) -> float:
        """Return McFadden's pseudo R², as statsmodels calls it."""
        return self.pseudo_r2("mcfadden")

    def pseudo_r2(self, kind: str = "mcfadden") -> float:
        """Return a pseudo R²: how much better than the null model this one is.

        Parameters
        ----------
        kind : {"mcfadden", "cox_snell", "nagelkerke", "tjur"}, default="mcfadden"
            McFadden's is ``1 - llf / llnull``. Cox and Snell's is ``1 - exp(2 (llnull - llf) /
            nobs)``, and Nagelkerke's that over its largest value. Tjur's, for two classes, is the
            mean probability in rows of the second less that in rows of the first.

        Returns
        -------
        float
        """
        kinds = ("mcfadden", "cox_snell", "nagelkerke", "tjur")
        check.check_choice(kind, "kind", kinds)
        if kind == "tjur":
            return self._tjur()
        llf, null = self._plain_llf, self._plain_null
        if kind == "mcfadden":
            return 1.0 - llf / null
        gained = -float(np.expm1(2.0 * (null - llf) / self._fit.nobs))
        if kind == "cox_snell":
            return gained
        most = self._fit.likelihood.saturated
        return gained / -float(np.expm1(2.0 * (null - most) / self._fit.nobs))

    def _tjur(self) -> float:
        raise ValueError("kind='tjur' is for two classes")

    def lr_test(self, other: "Results | None" = None) -> HypothesisTest:
        """Return the likelihood-ratio test against a smaller model.

        Parameters
        ----------
        other : results of the same rows with fewer columns, optional
            Default: the null model.

        Returns
        -------
        HypothesisTest

        Raises
        ------
        ValueError
            If the models are not of the same rows, none has more parameters, or the one that has
            more is less likely, so that neither is in the other.
        """
        self._refuse_tests("likelihood-ratio tests")
        if other is None:
            if self._fit.df == 0 or self.df_model == 0:
                raise ValueError("this is the null model: there is nothing to test")
            return _chi2(2.0 * (self.llf - self.llnull), int(self.df_model))
        if not isinstance(other, Results):
            raise TypeError(f"other must be results of another fit, got {type(other).__name__}")
        other._refuse_tests("likelihood-ratio tests")
        if (self._fit.firth is None) != (other._fit.firth is None):
            raise ValueError("other must be fitted by the same method")
        if self._fit.firth is not None:
            raise ValueError(
                "models of Firth's method have penalties of their own columns each, and their "
                "likelihoods do not compare; pvalues are its tests, lr_test() that of all columns"
            )
        if not self._fit.likelihood.is_of_the_rows_of(other._fit.likelihood):
            raise ValueError("other must be fitted to the same rows, labels and weights")
        df = self._fit.likelihood.size - other._fit.likelihood.size
        if df == 0:
            raise ValueError("other has as many parameters: neither model is in the other")
        statistic = 2.0 * float(np.copysign(1.0, df)) * (self.llf - other.llf)
        if statistic < -_ROUNDED * max(1.0, abs(self.llf)):
            raise ValueError(
                "neither model is in the other: the one with more parameters has the smaller "
                "likelihood"
            )
        return _chi2(statistic, abs(df))

    @numpy_defaults
    def wald_test(self, restriction: Any) -> HypothesisTest:
        """Return Wald's test that linear combinations of parameters have given values.

        Parameters
        ----------
        restriction : str, list of str, array-like of shape (k, q) or (q,), or a pair of those
            A name, or a list of names: these are 0. A string with "=": equations such as
            ``"a = b"`` or ``"2 * a + b = 1, c = 0"``, read by formulaic; names that are no
            identifiers stand in backticks. An array R: ``R @ params = 0``, with the parameters
            flat where there are more than two classes; a pair (R, r): ``R @ params = r``.

        Returns
        -------
        HypothesisTest

        Raises
        ------
        ValueError
            If the restriction names what there is not, has another shape, says something twice, or
            more at once than the covariance has directions (of k clusters it has k - 1 at most).
        """
        self._refuse_tests("tests")
        R, r = self._restriction(restriction)
        left = R @ self._fit.parameters - r
        spread = self._fit.covariance.along(R)
        if np.linalg.matrix_rank(R) < len(R):
            raise ValueError("restriction says the same twice: its rows are linearly dependent")
        if self.cov_type != "nonrobust" and _is_singular(
            spread, self._fit.information_inverse.along(R)
        ):
            raise ValueError(
                f"the covariance is singular in what restriction names ({len(R)} at once): test "
                "fewer, or take more clusters or replicates"
            )
        scale = 1.0 / np.sqrt(spread.diagonal())
        solved = np.linalg.solve(spread * scale * scale[:, None], scale * left)
        return _chi2(float((scale * left) @ solved), len(R))

    def _restriction(self, restriction: Any) -> tuple[_Array, _Array]:
        entries = self._entries()
        q = len(entries)
        if isinstance(restriction, str):
            if "=" in restriction and restriction not in entries:
                return _equations(restriction, entries)
            restriction = [restriction]
        if isinstance(restriction, (list, tuple)) and all(
            isinstance(name, str) for name in restriction
        ):
            unknown = [name for name in restriction if name not in entries]
            if unknown or not restriction:
                raise ValueError(
                    f"restriction names {unknown[0]!r}, which is no parameter: they are {entries}"
                    if unknown
                    else "restriction must not be empty"
                )
            return np.eye(q)[[entries.index(name) for name in restriction]], np.zeros(
                len(restriction)
            )
        right: Any = 0.0
        if isinstance(restriction, tuple) and len(restriction) == 2:
            restriction, right = restriction
        R = np.atleast_2d(np.asarray(restriction, dtype=np.float64))
        if R.ndim != 2 or R.shape[1] != q or not np.isfinite(R).all():
            raise ValueError(
                f"restriction must be finite and have shape (k, {q}), got shape {R.shape}"
            )
        try:
            r = np.broadcast_to(np.asarray(right, dtype=np.float64), (len(R),))
        except ValueError:
            raise ValueError(
                f"restriction: the right side must have shape ({len(R)},), got {np.shape(right)}"
            ) from None
        return R, r

    # --- predictions ----------------------------------------------------------------------

    @numpy_defaults
    def predict(
        self,
        X: Any = None,
        *,
        interval: bool = False,
        level: float | None = None,
        offset: ArrayLike | None = None,
    ) -> Any:
        """Return probabilities.

        Parameters
        ----------
        X : frame, or array-like of shape (n, n_features), optional
            Of a formula: a frame with its columns; rows that lack something are NaN. Default: the
            rows of the fit.
        interval : bool, default=False
            Whether to give errors and intervals too. They are Wald's of the margin, and so between
            0 and 1.
        level : float, optional
        offset : array-like of shape (n,), or (n, K), optional
            Of new rows. Where the formula's offset is the name of a column, it is read from X.

        Returns
        -------
        ndarray or Prediction
            Probabilities of the second class, (n,), or of all, (n, K), beyond two classes.
        """
        interval = check.check_flag(interval, "interval")
        fit = self._fit
        if X is None:
            if offset is not None:
                raise ValueError("offset is that of new rows: hand over X, too")
            rows, kept = fit.likelihood.rows, None
        else:
            matrix, known, kept = fit.design.rows(X, offset)
            rows = fit.likelihood.rows._replace(
                matrix=matrix,
                targets=np.zeros(matrix.shape[0]),
                weights=None,
                offset=known,
            )
        if not rows.matrix.shape[0]:  # nothing is left of X: no pass reads no rows
            n_classes = self.classes_.size
            none = _spread_out(np.empty((0, n_classes) if n_classes > 2 else 0), kept)
            return Prediction(none, none.copy(), none.copy(), none.copy()) if interval else none
        like = Likelihood(
            rows, fit.likelihood.intercept, fit.likelihood.reference, fit.likelihood.n_threads
        )
        if not interval:
            return _spread_out(self._probabilities(like), kept)
        parts = self._intervals(like, _quantile(self._level(level)))
        return Prediction(*(_spread_out(part, kept) for part in parts))

    def _probabilities(self, like: Likelihood) -> _Array:
        return like.probabilities(self._fit.parameters)

    def _intervals(self, like: Likelihood, root: float) -> tuple[_Array, ...]:
        raise NotImplementedError

    # --- what people read -----------------------------------------------------------------

    @numpy_defaults
    def to_frame(self, level: float | None = None, kind: str | None = None) -> "pd.DataFrame":
        """Return a table of the estimates, a row for each parameter.

        Parameters
        ----------
        level, kind
            As of :meth:`conf_int`.

        Returns
        -------
        pandas.DataFrame
            Columns ``coef``, ``std_err``, ``z``, ``p_value`` (not of a penalized fit), ``lower``,
            ``upper``, ``odds_ratio``; its index are the names.
        """
        import pandas as pd

        limits = self.conf_int(level, kind).reshape(-1, 2)
        columns = {"coef": self._fit.parameters, "std_err": self._errors}
        if not self._fit.penalized:
            columns |= {"z": self.zvalues.reshape(-1), "p_value": self.pvalues.reshape(-1)}
        columns |= {"lower": limits[:, 0], "upper": limits[:, 1]}
        with np.errstate(over="ignore"):
            columns["odds_ratio"] = np.exp(self._fit.parameters)
        return pd.DataFrame(columns, index=pd.Index(self._entries(), name="parameter"))

    def summary(self, level: float | None = None, kind: str | None = None) -> Summary:
        """Return what people read, as statsmodels and R show it.

        Parameters
        ----------
        level, kind
            As of :meth:`conf_int`.

        Returns
        -------
        Summary
            ``print`` shows text, a notebook HTML.
        """
        fit = self._fit
        level = self._level(level)
        pairs = [
            ("Dep. variable", fit.target),
            ("Model", self._title()),
            ("Method", fit.method),
            ("Covariance", fit.cov_type),
            ("No. observations", number(fit.nobs, 4).removesuffix(".0000")),
            *([("Rows with missing values", f"{fit.n_missing}, dropped")] * (fit.n_missing > 0)),
            ("Df residuals", f"{self.df_resid:.6g}"),
            ("Df model", f"{self.df_model:.6g}"),
            ("Pseudo R-squ. (McFadden)", f"{self.prsquared:.4f}"),
            ("Penalized log-likelihood" if fit.firth else "Log-likelihood", f"{self.llf:.6g}"),
            ("LL-null", f"{self.llnull:.6g}"),
        ]
        if not fit.penalized:
            if self.df_model > 0:
                pairs.append(("LLR p-value", f"{self.lr_test().pvalue:.4g}"))
            pairs += [("AIC", f"{self.aic:.6g}"), ("BIC", f"{self.bic:.6g}")]
        notes = self._notes()
        return Summary(self._heading(), pairs, self._tables(level, kind), notes)

    def _title(self) -> str:
        return "Logit"

    def _heading(self) -> str:
        return "Logit Regression Results"

    def _notes(self) -> list[str]:
        fit = self._fit
        notes = []
        if fit.formula is not None:
            notes.append(f"Formula: {fit.formula}")
        shown = [repr(name) for name in self.classes_.tolist()]
        if fit.likelihood.counts:
            trials = f"{fit.likelihood.total_weight:g} trials in {fit.nobs:g} rows"
            names = self.classes_.tolist()
            notes.append(f"Probability of {names[1]} against {names[0]}, of {trials}.")
        elif len(shown) == 2:
            notes.append(f"Probability of {fit.target} = {shown[1]} against {shown[0]}.")
        else:
            notes.append(f"Each class against the reference {shown[fit.likelihood.reference]}.")
        if fit.firth is not None:
            notes.append(
                "Firth's penalized likelihood: p-values are of penalized likelihood ratios, "
                "intervals of penalized profiles."
            )
        return notes + fit.notes

    def _tables(self, level: float, kind: str | None) -> list[Table]:
        limits = self.conf_int(level, kind)
        tail = 50.0 * (1.0 - level)
        header = ["", "coef", "std err", f"[{tail / 100:.4g}", f"{1 - tail / 100:.4g}]"]
        if not self._fit.penalized:
            header[3:3] = ["z", "P>|z|"]
        of = self._fit.likelihood
        shape = (of.n_equations, of.width)
        parts = [np.reshape(a, shape) for a in (self.params, self.bse)]
        if not self._fit.penalized:
            parts += [np.reshape(a, shape) for a in (self.zvalues, self.pvalues)]
        limits = limits.reshape(*shape, 2)
        tables = []
        for k in range(of.n_equations):
            rows = []
            for j, name in enumerate(self._fit.names):
                row = [name, number(parts[0][k, j]), number(parts[1][k, j])]
                if not self._fit.penalized:
                    row += [f"{parts[2][k, j]:.3f}", f"{parts[3][k, j]:.3f}"]
                rows.append([*row, number(limits[k, j, 0], 3), number(limits[k, j, 1], 3)])
            caption = ""
            if of.n_equations > 1:
                label = self.classes_.tolist()[of.others[k]]
                caption = f"{self._fit.target} = {label!r}"
            tables.append(Table(header, rows, caption))
        return tables

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self._entries())} parameters, {self.nobs:g} observations, "
            f"log-likelihood {self.llf:.6g}, cov_type={self.cov_type!r})"
        )

    def _repr_html_(self) -> str:
        return self.summary().as_html()


class LogitResults(Results):
    """Estimates of a logistic regression of two classes, with what is known of their errors.

    Made by :func:`fastlogreg.logit` and :func:`fastlogreg.inference`, not by hand. Arrays follow
    ``names``; ``to_frame()`` is a table.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> data = {"y": [0, 0, 1, 0, 1, 1, 0, 1], "x": [1, 2, 2, 3, 3, 4, 5, 6]}
    >>> results = flr.logit("y ~ x", data)
    >>> results.names
    ['Intercept', 'x']
    >>> results.params.round(3), results.bse.round(3)
    (array([-1.429,  0.443]), array([1.784, 0.508]))
    >>> round(results.lr_test().pvalue, 3)
    0.356
    """

    @cached_property
    def _pair(self) -> _Array:
        """Return 1 - p and p of the rows, (n, 2)."""
        return self._fit.likelihood.probabilities(self._fit.parameters)

    @property
    def fittedvalues(self) -> _Array:
        """Return the margins of the rows, (n,), as statsmodels has it."""
        return self._fit.likelihood.margins(self._fit.parameters)

    def _probabilities(self, like: Likelihood) -> _Array:
        return np.ascontiguousarray(like.probabilities(self._fit.parameters)[:, 1])

    def _intervals(self, like: Likelihood, root: float) -> tuple[_Array, ...]:
        z = like.margins(self._fit.parameters)
        spread = roots(self._fit.covariance.of_margins(like))
        pair = like.probabilities(self._fit.parameters)
        lower, upper = expit(z - root * spread), expit(z + root * spread)
        return pair[:, 1].copy(), spread * pair[:, 0] * pair[:, 1], lower, upper

    def _tjur(self) -> float:
        p = self._pair[:, 1]
        y, weights = self._fit.likelihood.rows.targets, self._fit.likelihood.rows.weights
        weights = np.ones(y.size) if weights is None else weights
        both = [float(np.average(p, weights=weights * part)) for part in (1.0 - y, y)]
        return both[1] - both[0]

    # --- residuals ------------------------------------------------------------------------

    @numpy_defaults
    def residuals(self, kind: str = "deviance") -> _Array:
        """Return the residuals of the rows.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "standardized"}, default="deviance"
            Signed roots of each row's part of the deviance; ``(y - p) / sqrt(p (1 - p))``; ``y -
            p``; Pearson's over ``sqrt(1 - leverage)``. All but "response" are times the root of the
            row's weight, as R has it. Of counts y is the share of successes, and the weight the
            number of trials.

        Returns
        -------
        ndarray of shape (n,)
        """
        kinds = ("deviance", "pearson", "response", "standardized")
        check.check_choice(kind, "kind", kinds)
        of = self._fit.likelihood
        y = of.rows.targets
        response = of.residuals(self._pair)[:, 0]
        if kind == "response":
            return response
        z = self.fittedvalues
        with np.errstate(over="ignore", under="ignore"):
            if kind == "deviance":
                loss = y * np.logaddexp(0.0, -z) + (1.0 - y) * np.logaddexp(0.0, z)
                above = loss + xlogy(y, y) + xlogy(1.0 - y, 1.0 - y)  # the loss of p = y
                out = np.sign(response) * np.sqrt(2.0 * above.clip(0.0))
            else:
                up = np.multiply(y, np.exp(-0.5 * z), out=np.zeros_like(z), where=y > 0.0)
                down = np.multiply(1.0 - y, np.exp(0.5 * z), out=np.zeros_like(z), where=y < 1.0)
                out = up - down
        if of.rows.weights is not None:
            out = out * np.sqrt(of.rows.weights)
        if kind == "standardized":
            out = out / np.sqrt(1.0 - self.leverage)
        return np.asarray(out, np.float64)

    @cached_property
    @numpy_defaults
    def leverage(self) -> _Array:
        """Return the leverages of the rows, (n,): they sum to the number of parameters."""
        of = self._fit.likelihood
        lengths = self._fit.information_inverse.of_margins(of)
        return of.weighted(self._pair[:, 0] * self._pair[:, 1]) * lengths

    @cached_property
    @numpy_defaults
    def cooks_distance(self) -> _Array:
        """Return Cook's distances of the rows, (n,), as R's ``cooks.distance`` has them."""
        h = self.leverage
        pearson = self.residuals("pearson")
        out: _Array = (pearson / (1.0 - h)) ** 2 * h / self._fit.parameters.size
        return out

    # --- effects, calibration -------------------------------------------------------------

    @numpy_defaults
    def margins(
        self, at: str = "overall", *, dummy: bool = False, level: float | None = None
    ) -> MarginalEffects:
        """Return marginal effects on the probability, with errors by the delta method.

        Parameters
        ----------
        at : {"overall", "mean"}, default="overall"
            "overall": the mean over the rows of dp / dx. "mean": dp / dx at the columns' means.
            Rows of counts weigh as their trials do.
        dummy : bool, default=False
            Whether columns of 0 and 1 alone get the change of p from 0 to 1 instead.
        level : float, optional

        Returns
        -------
        MarginalEffects
        """
        check.check_choice(at, "at", ("overall", "mean"))
        dummy = check.check_flag(dummy, "dummy")
        fit = self._fit
        effect, jacobian, names = effects.of_two_classes(
            fit.likelihood, fit.parameters, fit.names, at, dummy
        )
        kind = PenalizedEffects if fit.penalized else MarginalEffects
        return kind.of(names, effect, fit.covariance.errors_along(jacobian), at, self._level(level))

    @numpy_defaults
    def hosmer_lemeshow(self, groups: int = 10) -> HypothesisTest:
        """Return Hosmer and Lemeshow's test: observed against expected in groups of p.

        Parameters
        ----------
        groups : int, default=10
            Groups of rows by quantiles of their probability, at most; rows of equal probability,
            and the trials of a row, stay together.

        Returns
        -------
        HypothesisTest
            With groups - 2 degrees of freedom.
        """
        table = self.calibration(groups)
        if len(table) < 3:
            raise ValueError(f"groups: the rows have only {len(table)} groups of probabilities")
        n, p, o = table["n"], table["predicted"], table["observed"]
        statistic = float((n * (o - p) ** 2 / (p * (1.0 - p))).sum())
        return _chi2(statistic, len(table) - 2)

    @numpy_defaults
    def calibration(self, groups: int = 10) -> NDArray[Any]:
        """Return predicted and observed shares in groups of rows.

        Parameters
        ----------
        groups : int, default=10
            As of :meth:`hosmer_lemeshow`.

        Returns
        -------
        structured ndarray of shape (n_groups,)
            ``n`` (sum of weights, or of trials), ``predicted`` (mean probability) and ``observed``
            (share of the second class).
        """
        number_of = check.check_count(groups, "groups", low=2)
        assert number_of is not None
        rows = self._fit.likelihood.rows
        weights = np.ones(rows.targets.size) if rows.weights is None else rows.weights
        held = weights > 0.0
        p, y, w = self._pair[held, 1], rows.targets[held], weights[held]
        order = np.argsort(p, kind="stable")
        values, first = np.unique(p[order], return_index=True)
        ends = np.r_[first[1:], p.size] - 1
        cumulated = np.cumsum(w[order])[ends] / w.sum()
        # the quantile that the middle of rows of equal probability has
        middle = cumulated - 0.5 * np.diff(np.r_[0.0, cumulated])
        group = np.minimum((middle * number_of).astype(np.intp), number_of - 1)
        of_row = group[np.searchsorted(values, p)]
        n = np.bincount(of_row, w, minlength=number_of)
        filled = n > 0.0
        out = np.empty(
            int(filled.sum()), dtype=[("n", float), ("predicted", float), ("observed", float)]
        )
        out["n"] = n[filled]
        out["predicted"] = np.bincount(of_row, w * p, minlength=number_of)[filled] / n[filled]
        out["observed"] = np.bincount(of_row, w * y, minlength=number_of)[filled] / n[filled]
        return out


def check_level(level: Any) -> float:
    """Return a level of confidence."""
    value = check.check_real(level, "level")
    if value >= 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return value


def _quantile(level: float) -> float:
    return float(ndtri(0.5 + 0.5 * level))


def _chi2(statistic: float, df: int) -> HypothesisTest:
    return HypothesisTest(float(statistic), df, float(chdtrc(df, max(statistic, 0.0))))


def _spread_out(values: _Array, kept: NDArray[np.bool_] | None) -> _Array:
    """Return values of kept rows among all, NaN for the others."""
    if kept is None or kept.all():
        return values
    out = np.full((kept.size, *values.shape[1:]), np.nan)
    out[kept] = values
    return out


def _is_singular(covariance: _Array, model: _Array) -> bool:
    """Whether a robust covariance lacks a direction that the model's has.

    Beside the model's, not by itself: columns near to each other make both nearly singular.
    """
    scale = 1.0 / np.sqrt(model.diagonal())
    values, vectors = np.linalg.eigh(model * scale * scale[:, None])
    white = scale[:, None] * vectors / np.sqrt(values.clip(np.finfo(np.float64).eps))
    ratios = np.linalg.eigvalsh(white.T @ covariance @ white)
    return bool(ratios[0] < _SINGULAR * ratios[-1])


def _equations(text: str, entries: Sequence[str]) -> tuple[_Array, _Array]:
    """Return R and r of equations between names."""
    from fastlogreg.statistics.formula_support import formulaic_constraints

    return formulaic_constraints(text, entries)
