"""From a formula and a table to results: :func:`logit`.

formulaic reads formulas and makes the columns; labels of any kind are read here. Rows that lack a
value of what the model reads are left out, and the results say how many.
"""

import ast
import re
import warnings
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg.backends import PassSpec
from fastlogreg.data import validation as check
from fastlogreg.data.labels import encode_classes, encode_counts
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.estimators.logistic import LogisticRegression
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.solvers.trace import Trace
from fastlogreg.statistics.firth import fit_firth
from fastlogreg.statistics.fitted import (
    NO_WEIGHTS,
    check_asked,
    referred,
    refuse_covariance_beside_firth,
    refuse_separated,
    results_of,
)
from fastlogreg.statistics.formula_support import check_formulaic
from fastlogreg.statistics.frames import (
    column_of,
    compared_with_nothing,
    frame_of,
    missing,
    used_levels,
    values_of,
)
from fastlogreg.statistics.likelihood import Likelihood
from fastlogreg.statistics.multinomial import MNLogitResults
from fastlogreg.statistics.results import LogitResults

__all__ = ["logit"]

_TOL = 1e-12  # errors then differ from those at the optimum by 1e-6 at most, mostly 1e-8
_STEPS = 200
_NONE_LEFT = "no rows are left without those that lack a value"

# a formula that is a sum of names and nothing else, and each of its names
_NAME = re.compile(r"[^\W\d]\w*")
_SUM = re.compile(rf"\s*({_NAME.pattern})\s*~\s*({_NAME.pattern}(?:\s*\+\s*{_NAME.pattern})*)\s*")

_Array = NDArray[np.float64]


@numpy_defaults
def logit(
    formula: str,
    data: Any,
    *,
    method: str = "ml",
    sample_weight: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    cov_type: str = "nonrobust",
    groups: Any = None,
    level: float = 0.95,
    weight_type: str = "frequency",
    reference: Any = None,
    n_bootstrap: int = 500,
    random_state: Any = None,
    n_threads: int | None = None,
) -> LogitResults | MNLogitResults:
    """Fit a logistic regression to a formula and a table, without a penalty.

    Parameters
    ----------
    formula : str
        ``"admit ~ gre + gpa + C(rank)"``, with formulaic's grammar: ``C()``, interactions
        (``a:b``, ``a * b``), splines (``bs(x, df=4)``), transformations (``np.log(x)``,
        ``I(x > 0)``), ``- 1`` for no intercept. The left side is a column of labels of
        any kind, two or more, or an expression. Or it is counts of successes and failures, each row
        an observation: ``"s + f ~ x"`` as in statsmodels, or ``"cbind(s, n - s) ~ x"`` as in R.
    data : pandas or polars frame, or mapping of names to columns
        Rows that lack a value of what the model reads, in a comparison too (``I(x > 0)``), are left
        out, as in R, and so are levels of categories that no row has. Columns of numbers that lie
        side by side in a pandas frame are not copied.
    method : {"ml", "firth"}, default="ml"
        Maximum likelihood, or Firth's penalized likelihood (two classes): finite where rows are
        separated, with tests and intervals of that likelihood.
    sample_weight, offset : str or array-like of shape (n,), optional
        The name of a column, or values. See :func:`fastlogreg.inference`. No weights beside counts.
    cov_type, level, weight_type, reference, n_bootstrap, random_state
        See :func:`fastlogreg.inference`.
    groups : str, array-like of shape (n,), or a list of two of those, optional
        Clusters: one way or two.
    n_threads : int, optional
        Threads at most; default all.

    Returns
    -------
    LogitResults, or MNLogitResults for more than two classes

    Raises
    ------
    ValueError, TypeError
        If the classes can be separated or columns are collinear: the message names them. Or an
        argument is not as described.

    See Also
    --------
    inference : The same of a fitted model and arrays.

    References
    ----------
    Firth (1993), Bias reduction of maximum likelihood estimates, Biometrika 80.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> from sklearn.datasets import load_breast_cancer
    >>> data = load_breast_cancer(as_frame=True).frame
    >>> data.columns = data.columns.str.replace(" ", "_")
    >>> results = flr.logit("target ~ mean_texture + np.log(mean_area)", data)
    >>> results.params.round(3)
    array([52.275, -0.214, -7.399])
    >>> results.odds_ratios()[1].round(3)
    array([0.807, 0.75 , 0.868])
    """
    if not isinstance(formula, str):
        raise TypeError(f"formula must be a string, got {type(formula).__name__}")
    check.check_choice(method, "method", ("ml", "firth"))
    threads = check.check_threads(n_threads)
    table = _Table(formula, data, sample_weight, offset, groups, threads)
    if not (table.intercept or table.names):
        raise ValueError(f"formula {formula!r} has neither an intercept nor a column to fit")
    weights = check.check_weights(table.weights, table.n)
    if table.counts:
        if weights is not None:
            raise ValueError(NO_WEIGHTS.format("sample_weight"))
        classes, targets, weights = encode_counts(table.labels, table.counts)
    else:
        classes, targets = encode_classes(table.labels, weights)
    known = check.check_offset(
        table.offset, table.n, 1 if classes.size == 2 else classes.size, finite=True
    )
    asked = check_asked(
        cov_type,
        table.groups,
        level,
        weight_type,
        n_bootstrap,
        random_state,
        table.n,
        weights is not None,
        bool(table.counts),
    )
    if method == "firth":
        refuse_covariance_beside_firth(cov_type)
    table.check_finite()
    fitted = Rows(table.matrix, targets, weights, known, classes)
    rows, _, code, design = referred(fitted, None, reference, table.design(classes.size))
    likelihood = Likelihood(rows, table.intercept, code, threads, counts=bool(table.counts))
    names = ["Intercept"] * int(table.intercept) + table.names
    about: dict[str, Any] = {
        "notes": table.notes,
        "target": table.target,
        "formula": formula,
        "n_missing": table.n_missing,
    }
    if method == "firth":
        firth = fit_firth(likelihood, names)
        return results_of(likelihood, firth.parameters, names, asked, design, firth=firth, **about)
    model = LogisticRegression(
        C=np.inf, fit_intercept=table.intercept, tol=_TOL, max_iter=_STEPS, n_threads=n_threads
    )
    settings = model._settings()
    problem = settings.problem(rows)
    result, separation = settings.solve(problem, rows, None, Trace(), ends_with_hessian=True)
    if not result.finite:
        raise ValueError("values of the columns are too large for float64: rescale them")
    parameters = likelihood.parameters(result.theta)
    if separation is not None:
        refuse_separated(likelihood, parameters, names, result.decrement * likelihood.total_weight)
    cleared = result.decrement if separation is None else None
    derivatives = None
    if result.point is not None:
        total = likelihood.total_weight
        value, gradient, hessian = result.point
        derivatives = likelihood.derivatives_of_loss(
            total * value, total * gradient, total * hessian
        )
    return results_of(
        likelihood,
        parameters,
        names,
        asked,
        design,
        polish=True,
        cleared=cleared,
        known=derivatives,
        **about,
    )


class _Held:
    """Memory in which columns of float64 lie one after the other, as an array in Fortran order.

    It keeps their owner alive, a table of pandas: that copies what it shares before it is written.
    """

    def __init__(self, columns: list[NDArray[Any]], owner: Any) -> None:
        n = len(columns[0])
        self.__array_interface__ = {
            "data": (columns[0].__array_interface__["data"][0], True),
            "shape": (n, len(columns)),
            "strides": (8, 8 * n),
            "typestr": columns[0].dtype.str,
            "version": 3,
        }
        self._owned = (owner, columns)


class _Spec:
    """What formulaic makes columns of new tables by; of plain columns made when asked for."""

    def __init__(
        self, known: Any, formula: str = "", frame: Any = None, read: tuple[str, ...] = ()
    ) -> None:
        self._known, self._formula, self._frame = known, formula, frame
        self.read = read  # its expressions

    @cached_property
    def spec(self) -> Any:
        """Return it."""
        if self._known is not None:
            return self._known
        return _made(_parsed(self._formula).rhs, self._frame, "formula").model_spec


class _FormulaDesign:
    """Rows as the formula makes them."""

    def __init__(self, spec: "_Spec", offset: Any, intercept: bool, n_outputs: int) -> None:
        self._spec = spec
        self._offset = offset if isinstance(offset, str) else None
        self._given = offset is not None
        self._intercept = intercept
        self._n_outputs = n_outputs

    def rows(self, X: Any, offset: Any) -> tuple[Any, _Array | None, NDArray[np.bool_] | None]:
        frame = frame_of(X)
        kept = np.ones(len(frame), dtype=bool)
        if offset is None and self._offset is not None:
            offset = column_of(frame, self._offset, "offset")
        if offset is not None:
            kept &= ~missing(offset, len(frame), "offset")
        kept &= ~compared_with_nothing(self._spec.read, frame, _context())
        matrix = _made(self._spec.spec, frame, "X")
        here = np.zeros(len(frame), dtype=bool)
        here[matrix.index.to_numpy()] = True
        values = _columns_from(matrix, int(self._intercept))[kept[here]]
        kept &= here
        check.check_finite(values, estimator="predict")
        known = None
        if offset is not None:
            known = check.check_offset(
                np.asarray(offset)[kept], len(values), self._n_outputs, finite=True
            )
        return values, known, kept


class _Table:
    """What a model reads of a table: its columns, labels, weights, offset and groups."""

    def __init__(
        self,
        formula: str,
        data: Any,
        weights: Any,
        offset: Any,
        groups: Any,
        n_threads: int | None,
    ) -> None:
        check_formulaic()
        frame = frame_of(data)
        n = len(frame)
        if n == 0:
            raise ValueError("data has no rows")
        terms = None
        has_intercept = True
        sum_of_names = _SUM.fullmatch(formula)
        numeric = _numeric(_NAME.findall(sum_of_names[2]), frame) if sum_of_names else None
        if sum_of_names and numeric is not None:  # formulaic took 25 ms to read 100 names
            sides = [sum_of_names[1]]
        else:
            parsed = _parsed(formula)
            sides, terms = _sides([str(term) for term in parsed.lhs]), parsed.rhs
            numeric = _plain_terms(terms, frame)
            has_intercept = any(str(term) == "1" for term in terms)
        if len(sides) not in (1, 2):
            raise ValueError(
                "formula must have one column on its left side, or two of counts (successes and "
                f"failures), got {formula!r}"
            )
        found = [_labels(side, frame) for side in sides]
        self.target = " + ".join(name for name, _ in found)
        self.counts = [name for name, _ in found] if len(found) == 2 else []
        labels = found[0][1] if len(found) == 1 else np.column_stack([each for _, each in found])
        kept = ~missing(labels, n, "formula")
        self._offset = offset
        columns = {}
        for name, given in (("sample_weight", weights), ("offset", offset)):
            columns[name] = column_of(frame, given, name)
            if columns[name] is not None:
                kept &= ~missing(columns[name], n, name)
        ways = _ways(groups, n)
        ways = [column_of(frame, way, "groups") for way in ways]
        for way in ways:
            kept &= ~missing(way, n, "groups")
        read = _expressions(terms)
        kept &= ~compared_with_nothing([*sides, *read], frame, _context())
        if numeric is None:
            for name in read:
                if name in frame.columns:  # what a row lacks is no level
                    kept &= ~missing(frame[name], n, name)
            if not kept.any():
                raise ValueError(_NONE_LEFT)
            made = _made(terms, used_levels(frame[kept]), "formula")
            here = np.zeros(n, dtype=bool)
            here[made.index.to_numpy()] = True
            names = [str(name) for name in made.columns]
            self._spec = _Spec(made.model_spec, read=read)
        else:  # formulaic would copy them some times; of two rows it says what to make of new ones
            matrix = _side_by_side(_where(kept, *numeric.values()), int(kept.sum()), frame)
            here, finite = kept, _are_finite(matrix, n_threads)
            if not finite:
                there = ~np.logical_or.reduce([np.isnan(column) for column in matrix.T])
                here = kept.copy()
                here[kept] = there
                matrix = _side_by_side(_where(there, *matrix.T), int(there.sum()), matrix)
            names = ["Intercept"] * int(has_intercept) + list(numeric)
            self._spec = _Spec(None, formula, frame.iloc[np.flatnonzero(here)[:2]])
        if not here.any():
            raise ValueError(_NONE_LEFT)
        self.intercept = "Intercept" in names
        if self.intercept and names[0] != "Intercept":
            raise ValueError("formula must not have a column of its own called 'Intercept'")
        if numeric is None:
            matrix = _columns_from(made, int(self.intercept))
            finite = _are_finite(matrix, n_threads)
        self.matrix, self._is_finite = matrix, finite
        self.names = names[int(self.intercept) :]
        self.n = len(self.matrix)
        self._here = here
        self.n_missing = n - self.n
        self.labels = np.array(_where(here, np.asarray(labels))[0])  # a copy: tables may change
        if self.labels.dtype == object and all(type(each) is bool for each in self.labels):
            self.labels = self.labels.astype(bool)
        if not self.counts and self.labels.dtype.kind == "f" and not np.isfinite(self.labels).all():
            raise ValueError("formula: the labels on the left side must be finite")
        self.weights = _some(columns["sample_weight"], here)
        self.offset = _some(columns["offset"], here)
        self.groups = _where(here, *map(np.asarray, ways)) or None
        self.notes: list[str] = []

    def check_finite(self) -> None:
        """Refuse infinite values, which a transformation makes."""
        if self._is_finite:
            return
        found = MemoryRows(self.matrix, np.empty(0)).first_not_finite()
        if found is not None:
            row = int(np.flatnonzero(self._here)[found[0]])
            raise ValueError(
                f"formula: the column {self.names[found[1]]!r} is {self.matrix[found]} at row {row}"
            )

    def design(self, n_classes: int) -> _FormulaDesign:
        """Return what makes rows of new tables."""
        outputs = 1 if n_classes == 2 else n_classes
        return _FormulaDesign(self._spec, self._offset, self.intercept, outputs)


def _parsed(formula: str) -> Any:
    """Return a formula as formulaic reads it."""
    from formulaic import Formula

    try:
        parsed = Formula(formula)
    except Exception as error:  # of several kinds
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"formula {formula!r} can't be read: {why}") from error
    if not hasattr(parsed, "lhs") or not hasattr(parsed, "rhs"):
        raise ValueError(f"formula must have a left and a right side, got {formula!r}")
    return parsed


def _sides(terms: list[str]) -> list[str]:
    """Return the expressions on the left side; R's ``cbind(a, b)`` are two."""
    if len(terms) != 1 or not terms[0].startswith("cbind("):
        return terms
    try:
        call = ast.parse(terms[0], mode="eval").body
    except SyntaxError:  # names in backticks
        call = None
    if not isinstance(call, ast.Call) or len(call.args) != 2:
        raise ValueError(
            f"formula: {terms[0]!r} must have two columns, successes and failures; names in "
            "backticks are added instead: `a b` + c ~ x"
        )
    return [
        ast.unparse(each) if isinstance(each, ast.Name) else f"I({ast.unparse(each)})"
        for each in call.args
    ]


def _plain_terms(terms: Any, frame: Any) -> dict[str, NDArray[Any]] | None:
    """Return the columns by name, where a formula is a sum of numeric columns; else None."""
    names = []
    for term in terms:
        if str(term) == "1":
            continue
        (factor, *others) = term.factors
        if others or factor.eval_method.value != "lookup":
            return None
        names.append(factor.expr)
    return _numeric(names, frame)


def _expressions(terms: Any) -> tuple[str, ...]:
    """Return what the right side of a formula computes, each once; nothing of plain columns."""
    factors = [factor.expr for term in terms or () for factor in term.factors]
    return tuple(dict.fromkeys(factors))


def _numeric(names: list[str], frame: Any) -> dict[str, NDArray[Any]] | None:
    """Return these columns by name, where all are different and numeric; else None."""
    found: dict[str, NDArray[Any]] = {}
    times = Counter(frame.columns)
    for name in names:
        if times[name] != 1 or name in found:
            return None
        column = frame[name]
        if not (isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"):
            return None
        found[name] = column.to_numpy()
    return found or None


def _labels(name: str, frame: Any) -> tuple[str, Any]:
    """Return the name of an expression on the left side, and its labels, (n,)."""
    plain = name.strip("`")
    if plain in frame.columns:
        return plain, values_of(frame[plain])
    from formulaic import model_matrix

    try:
        made = model_matrix(f"0 + {name}", frame, na_action="ignore", context=_context())
    except Exception as error:  # of several kinds
        raise ValueError(f"formula: the left side {name!r} can't be computed: {error}") from error
    if made.shape[1] == 2 and made.columns[0].endswith(("[False]", "[T.False]")):
        return name, made.iloc[:, 1].to_numpy() > 0.5
    if made.shape[1] != 1:
        raise ValueError(
            f"formula: the left side {name!r} makes {made.shape[1]} columns; name a column "
            "of labels"
        )
    return name, made.iloc[:, 0].to_numpy()


def _ways(groups: Any, n: int) -> list[Any]:
    if groups is None:
        return []
    if isinstance(groups, (list, tuple)) and (
        all(isinstance(way, str) for way in groups) or (len(groups) == 2 and n != 2)
    ):
        if len(groups) not in (1, 2):
            raise ValueError(f"groups must be one or two ways of clustering, got {len(groups)}")
        return list(groups)
    if getattr(groups, "ndim", 1) == 2:
        values = groups.to_numpy() if hasattr(groups, "to_numpy") else groups
        return list(values.T)
    return [groups]


def _some(values: Any, kept: NDArray[np.bool_]) -> Any:
    return None if values is None else np.array(_where(kept, np.asarray(values))[0])


def _where(kept: NDArray[np.bool_], *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the rows that are kept of each array: itself, where all are."""
    return list(arrays) if kept.all() else [array[kept] for array in arrays]


def _made(spec: Any, frame: Any, argument: str) -> Any:
    """Return the columns that a formula makes of a frame, without rows that lack a value."""
    from formulaic.errors import DataMismatchWarning

    try:
        with warnings.catch_warnings():
            # levels that the fit did not have would be taken for the first
            warnings.simplefilter("error", DataMismatchWarning)
            return spec.get_model_matrix(
                frame, na_action="drop", output="pandas", context=_context()
            )
    except DataMismatchWarning as error:
        raise ValueError(f"{argument} has levels that the fit did not have: {error}") from error
    except Exception as error:  # of several kinds
        raise ValueError(f"{argument}: the columns can't be made: {error}") from error


def _columns_from(matrix: Any, first: int) -> _Array:
    """Return the columns of a frame from ``first`` on."""
    columns = [matrix.iloc[:, j].to_numpy() for j in range(first, matrix.shape[1])]
    for name, column in zip(matrix.columns[first:], columns, strict=True):
        if column.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: the column {str(name)!r}")
    return _side_by_side(columns, len(matrix), matrix)


def _side_by_side(columns: list[NDArray[Any]], n: int, owner: Any) -> _Array:
    """Return columns as rows (n, d) in Fortran order: a view where they lie so, else a copy.

    ``owner`` is the table that they are columns of.
    """
    starts = [column.__array_interface__["data"][0] for column in columns]
    like = all(column.dtype == np.float64 and column.flags.c_contiguous for column in columns)
    if columns and like and (np.diff(starts) == 8 * n).all():
        return np.asarray(_Held(columns, owner))
    out = np.empty((n, len(columns)), order="F")
    for j, column in enumerate(columns):
        out[:, j] = column
    return out


def _are_finite(matrix: _Array, n_threads: int | None) -> bool:
    spec = PassSpec(n_threads=n_threads)
    return MemoryRows(matrix, np.empty(0)).bind(spec).first_not_finite() is None


def _context() -> dict[str, Any]:
    """Return what formulas may name beside columns."""
    return {"np": np}
