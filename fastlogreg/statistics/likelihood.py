"""The log-likelihood of rows as a function of the parameters that people read.

A backend's theta has a row for each class of softmax; what people read is against a *reference
class*, whose row is 0. So *parameters* here are one flat vector: [b, w_1 .. w_d] for two classes,
and for K > 2 the rows of the K - 1 other classes, in order. Values are sums over rows, and the
log-likelihood is minus the loss; the information is minus its second derivative.

Rows may be *counts*: of successes and failures in the trials of a row. Its target is then the share
of successes and its weight the number of trials, and the row is one observation. Sums over rows
leave the binomial coefficients out; :attr:`Likelihood.constant` is the sum of their logarithms.

Everything that reads rows for inference is here or in :mod:`fastlogreg.statistics.coordinates`.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from fastlogreg import backends
from fastlogreg.data.centred import near_matrix
from fastlogreg.data.class_separation import find_class_separation
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.data.separation import Separation, find_separation
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.path import null_model

__all__ = ["Derivatives", "Likelihood"]

_BLOCK = 1 << 19  # values of X that are centred at a time

_Array = NDArray[np.float64]


class Derivatives(NamedTuple):
    """Log-likelihood, score (q,) and information (q, q)."""

    value: float
    score: _Array
    information: _Array


class Likelihood:
    """The likelihood of rows.

    Parameters
    ----------
    rows : Rows
        Under the contract of :mod:`fastlogreg.backends`.
    intercept : bool
    reference : int, default=0
        Number of the reference class, for more than two classes.
    n_threads : int, optional
    counts : bool, default=False
        Whether rows are counts.

    Attributes
    ----------
    n_classes : int
    n_equations : int
        K - 1: 1 for two classes.
    width : int
        Parameters of one equation.
    size : int
    others : ndarray of int
        Numbers of the classes that have an equation.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Rows(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), None, None, np.arange(2))
    >>> found = Likelihood(rows, True).derivatives(np.zeros(2))
    >>> found.score[1], round(found.value, 6)
    (np.float64(0.5), -1.386294)
    """

    def __init__(
        self,
        rows: Rows,
        intercept: bool,
        reference: int = 0,
        n_threads: int | None = None,
        *,
        counts: bool = False,
    ) -> None:
        self.rows = rows
        n_rows, n_columns = map(int, rows.matrix.shape)
        self._set_shape(n_rows, n_columns, intercept, reference, n_threads, counts=counts)

    def _set_shape(
        self,
        n_rows: int,
        n_columns: int,
        intercept: bool,
        reference: int,
        n_threads: int | None,
        counts: bool = False,
    ) -> None:
        self.intercept = intercept
        self.n_threads = n_threads
        self.counts = counts
        self.n_rows, self.n_columns = n_rows, n_columns
        self.n_classes = int(self.rows.classes.size)
        self.reference = reference if self.n_classes > 2 else 0
        self.others = np.delete(np.arange(self.n_classes), self.reference)
        self.n_equations = self.n_classes - 1
        self.width = self.n_columns + int(intercept)
        self.size = self.n_equations * self.width

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        state.pop("_bound", None)  # compiled: made anew where it is needed
        return state

    # --- theta and parameters -------------------------------------------------------------

    @property
    def spec(self) -> backends.PassSpec:
        """Return what a pass computes."""
        spec = backends.PassSpec(intercept=self.intercept, n_threads=self.n_threads)
        if self.n_classes > 2:
            spec = spec._replace(
                loss="cross_entropy", activation="softmax", n_outputs=self.n_classes
            )
        return spec

    def theta(self, parameters: _Array) -> _Array:
        """Return theta as a backend takes it, (p,) or (K, p)."""
        if self.n_equations == 1:
            return np.ascontiguousarray(parameters)
        theta = np.zeros((self.n_classes, self.width))
        theta[self.others] = parameters.reshape(self.n_equations, self.width)
        return theta

    def parameters(self, theta: _Array) -> _Array:
        """Return the parameters, (q,), of theta, (p,), (1, p) or (K, p)."""
        if self.n_equations == 1:
            return theta.reshape(-1)
        theta = theta.reshape(self.n_classes, self.width)
        flat: _Array = (theta[self.others] - theta[self.reference]).reshape(-1)
        return flat

    # --- sums over rows -------------------------------------------------------------------

    @cached_property
    def _bound(self) -> Any:
        X, y, weights, offset, _ = self.rows
        return backends.get("numba").bind(X, y, weights, offset, self.spec)

    def value(self, parameters: _Array) -> float:
        """Return the log-likelihood, in one pass."""
        return -float(self._bound(self.theta(parameters), 0)[0])

    def derivatives(self, parameters: _Array) -> Derivatives:
        """Return the log-likelihood, score and information, in one pass."""
        return self.derivatives_of_loss(*self._bound(self.theta(parameters), 2))

    def derivatives_of_loss(self, loss: float, gradient: _Array, hessian: _Array) -> Derivatives:
        """Return the log-likelihood, score and information that derivatives of the loss say.

        Those are by theta: (p,) and (p, p), or (K p,) and (K p, K p) of several classes.
        """
        if self.n_equations == 1:
            return Derivatives(-float(loss), -gradient, hessian)
        score = -gradient.reshape(self.n_classes, self.width)[self.others].reshape(-1)
        free = (self.others[:, None] * self.width + np.arange(self.width)).reshape(-1)
        return Derivatives(-float(loss), score, np.ascontiguousarray(hessian[np.ix_(free, free)]))

    def margins(self, parameters: _Array) -> _Array:
        """Return the margins, (n,) or (n, K)."""
        out: _Array = self._bound.margins(self.theta(parameters))
        return out

    def largest_change(self, step: _Array) -> float:
        """Return by how much a step, (q,), of two classes changes a margin at the most.

        Rows of weight 0 do not count.
        """
        return float(self._bound.largest_margin(np.ascontiguousarray(step)))

    def probabilities(self, parameters: _Array) -> _Array:
        """Return the probabilities of all classes, (n, K), each accurate however small."""
        theta = self.theta(parameters)
        both = self._bound.predict_pair if self.n_equations == 1 else self._bound.predict
        out: _Array = both(theta)
        return out

    def residuals(self, probabilities: _Array) -> _Array:
        """Return (y = k) - p_k of the classes with an equation, (n, K - 1), without weights.

        Of counts the share of successes less their probability.
        """
        if self.n_equations == 1:
            y = self.rows.targets
            return (y * probabilities[:, 0] - (1.0 - y) * probabilities[:, 1])[:, None]
        codes = self.rows.targets.astype(np.intp)
        at = np.arange(codes.size)
        own = np.zeros(codes.size)
        for k in range(self.n_classes):  # 1 - p of the own class, without cancellation
            own += np.where(codes == k, 0.0, probabilities[:, k])
        out = -probabilities
        out[at, codes] = own
        return np.ascontiguousarray(out[:, self.others])

    def weighted(self, values: _Array) -> _Array:
        """Return values of rows, (n,), times their weights."""
        weights = self.rows.weights
        return values if weights is None else values * weights

    def cross(self, values: _Array) -> _Array:
        """Return ``A' diag(values) A``, (p, p), with A = [1, X] or X, in one pass.

        It is the Hessian of the squared error with half the values as weights.
        """
        spec = backends.PassSpec("mse", "identity", self.intercept, self.n_threads)
        bound = backends.get("numba").bind(
            self.rows.matrix, np.zeros(self.n_rows), 0.5 * values, None, spec
        )
        hessian = bound(np.zeros(self.width), 2)[2]
        assert hessian is not None
        return hessian

    def column_sums(self, values: _Array) -> _Array:
        """Return ``A' values``, (p,), in one pass."""
        spec = backends.PassSpec(intercept=self.intercept, n_threads=self.n_threads)
        bound = backends.get("numba").bind(self.rows.matrix, None, None, None, spec)
        sums: _Array = bound.moments(values)[1 - int(self.intercept) : 1 + self.n_columns]
        return sums

    def squared_lengths(self, matrix: _Array, middle: _Array | None = None) -> _Array:
        """Return the squared length of ``A matrix``, (n,), for each row; matrix is (p, k).

        Of the columns less ``middle``, (d,), where it is given.
        """
        X, y = self.rows.matrix, self.rows.targets
        if middle is None or not middle.any():
            return MemoryRows(X, y).squared_lengths(matrix, self.intercept)
        out = np.empty(self.n_rows)
        step = max(64, _BLOCK // self.n_columns)
        for start in range(0, self.n_rows, step):
            at = slice(start, start + step)
            near = MemoryRows(near_matrix(X[at], middle), y[at])
            out[at] = near.squared_lengths(matrix, self.intercept)
        return out

    def less(self, middle: _Array) -> "Likelihood":
        """Return that of the same rows with ``middle``, (d,), subtracted from the columns: a copy.

        Parameters of the same model there are said by :meth:`moved`.
        """
        rows = self.rows._replace(matrix=near_matrix(self.rows.matrix, middle))
        return Likelihood(rows, self.intercept, self.reference, self.n_threads, counts=self.counts)

    def moved(self, parameters: _Array, middle: _Array) -> _Array:
        """Return the same model, (q,), in columns less ``middle``: ``b + middle @ w`` and w."""
        table = parameters.reshape(self.n_equations, self.width).astype(np.longdouble)
        table[:, 0] += table[:, 1:] @ middle
        return table.astype(np.float64).reshape(-1)

    @property
    def far_middle(self) -> _Array | None:
        """Return about the middle of columns that are far from 0, (d,); None where none is."""
        return MemoryRows(self.rows.matrix, self.rows.targets).far_middle

    # --- classes, counts, the null model, separation --------------------------------------

    def class_weights(self, weights: _Array) -> _Array:
        """Return the sum of weights, (n,), in each class, (K,)."""
        y = self.rows.targets
        if self.n_equations == 1:
            return np.array([weights @ (1.0 - y), weights @ y])
        return np.asarray(np.bincount(y.astype(np.intp), weights, self.n_classes), np.float64)

    @cached_property
    def constant(self) -> float:
        """Return the sum of the logarithms of binomial coefficients, 0 but for counts."""
        if not self.counts:
            return 0.0
        trials = self.weighted(np.ones(self.n_rows))
        successes = np.round(trials * self.rows.targets)
        both = gammaln(successes + 1.0) + gammaln(trials - successes + 1.0)
        return float((gammaln(trials + 1.0) - both).sum())

    @cached_property
    def saturated(self) -> float:
        """Return the log-likelihood of a model with a parameter a row, constant included."""
        if not self.counts:
            return 0.0
        y = self.rows.targets
        return self.constant + float(self.weighted(xlogy(y, y) + xlogy(1.0 - y, 1.0 - y)).sum())

    @cached_property
    def total_weight(self) -> float:
        """Return the sum of the weights."""
        weights = self.rows.weights
        return float(self.n_rows if weights is None else weights.sum())

    @property
    def n_counted(self) -> int:
        """Return how many rows have a weight above 0."""
        weights = self.rows.weights
        return self.n_rows if weights is None else int(np.count_nonzero(weights))

    def is_of_the_rows_of(self, other: "Likelihood") -> bool:
        """Whether both are of the same rows, labels and weights."""
        if type(other) is not type(self) or self.n_rows != other.n_rows:
            return False
        mine, theirs = self.rows, other.rows
        return (
            mine.classes.tolist() == theirs.classes.tolist()
            and np.array_equal(mine.targets, theirs.targets)
            and (
                mine.weights is theirs.weights is None
                if mine.weights is None or theirs.weights is None
                else np.array_equal(mine.weights, theirs.weights)
            )
        )

    @cached_property
    def null(self) -> float:
        """Return the log-likelihood where all coefficients are 0: intercepts and offset alone."""
        _, y, weights, offset, _ = self.rows
        if self.intercept and offset is None:
            counts = self.class_weights(np.ones(self.n_rows) if weights is None else weights)
            shares = counts[counts > 0.0] / counts.sum()
            return float(counts[counts > 0.0] @ np.log(shares))
        nothing = np.zeros((self.n_rows, 1))
        problem = Problem(MemoryRows(nothing, y, weights, offset), spec=self.spec)
        return -null_model(problem)[1].value * self.total_weight

    def separation(self, parameters: _Array, decrement: float) -> Separation | None:
        """Return what separates the classes; None where nothing does.

        ``decrement`` is the estimated distance of the log-likelihood below its maximum.
        """
        theta, distance = self.theta(parameters), decrement / self.total_weight
        if self.n_equations > 1:
            return find_class_separation(
                self.rows, theta, intercept=self.intercept, decrement=distance
            )
        X, y, weights, offset, _ = self.rows
        return find_separation(
            X,
            y,
            theta,
            sample_weight=weights,
            offset=offset,
            intercept=self.intercept,
            decrement=distance,
            n_threads=self.n_threads,
        )
