"""An optimum that owes nothing to this package: damped Newton in coordinates without scales.

For tables where 80 digits (:mod:`benchmarks.harness.extended`) would take too long. Columns are
centred and scaled in extended precision (80 bits where the processor has them). Then rows and
penalty are factored once, ``[sqrt(s / 4) A; sqrt(l2) D] = Q R``: in coordinates ``c = R theta`` the
Hessian at even odds is the unit matrix, so that near-equal columns, columns far from 0 and scales
are gone. Rows far from all others count less in the factors. Other centres and starts are tried
where the first does not end with a certificate.

Two rules keep the witness honest:

- **A value is what the data say.** Coefficients that were found are mapped back to the raw
  columns, and the objective is summed there in extended precision. No optimum is above any such
  value, however it was found: who is above it is above the optimum.
- **Near the optimum is said only with a certificate**: half the Newton decrement, with a Hessian
  from all rows at the point itself and no direction left out, and a step that moves no margin by
  more than 2 (within which the curvature of logistic loss changes by less than e^2, and the
  certificate asks for 100 times less than tables are judged by).

Without a penalty there may be no optimum. Residuals of one sign by label, none 0, that are
orthogonal to all columns prove that there is one (Stiemke's lemma); else a linear program
looks for a direction that no row minds (Konis 2007, Linear programming algorithms for detecting
separated data in binary logistic regression models).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr, solve_triangular
from scipy.optimize import linprog
from scipy.special import expit
from threadpoolctl import threadpool_limits

Vector = NDArray[np.float64]
Extended = NDArray[np.longdouble]

CERTIFIED = 1e-8  # decrement over value
LEAST = 1e-12  # a value below this is 0: distances are relative to this at least
_STEPS = 200
_END = 1e-15  # decrement over value that ends Newton
_HALVINGS = 40
_CONSTANT = 1e-14  # spread over mean of a column that is constant but for rounding
_RANK = 1e-12  # of a column orthogonal to those before it, over its own size
_EIGEN = 1e-15  # of a Hessian with a unit diagonal: what is below is rounding
_MOVE = 2.0  # of a margin, in the step from what is called an optimum
_NOISE = 1e-9  # of the largest residual: what is below says nothing
_ROWS = 200_000  # of a linear program


class Data(NamedTuple):
    """What is minimized: rows (n, d), labels 0.0 and 1.0, weights above 0, offset."""

    X: NDArray[np.floating]
    y: Vector
    weights: Vector
    offset: Vector
    C: float = 1.0
    intercept: bool = True


@dataclass(frozen=True)
class Optimum:
    """The lowest value found and where, [b, w_1 .. w_d].

    ``certified``: whether it is known to be the optimum. ``exists``: whether there is one; None
    where that could not be decided.
    """

    value: float
    theta: Extended
    certified: bool
    exists: bool | None = True


def value(data: Data, theta: Any) -> float:
    """Return the penalized mean loss at [b, w_1 .. w_d], summed in extended precision."""
    theta = np.asarray(theta, dtype=np.longdouble)
    z = data.offset + theta[0]
    for column, w in zip(data.X.T, theta[1:], strict=True):
        z = z + column.astype(np.longdouble) * w
    with np.errstate(invalid="ignore"):
        losses = np.logaddexp(np.longdouble(0.0), np.where(data.y == 1.0, -z, z))
    penalty = 0.5 * (theta[1:] @ theta[1:]) / np.longdouble(data.C)
    return float((data.weights @ losses + penalty) / data.weights.sum(dtype=np.longdouble))


def above(data: Data, theta: Any, best: Optimum) -> float:
    """Return the relative distance of an objective above the lowest known; below 0 if lower."""
    return (value(data, theta) - best.value) / max(best.value, LEAST)


def _basis(rows: Vector) -> tuple[Vector, Vector, NDArray[np.intp]]:
    """Return Q, R and the columns in their order, of columns that aren't others' combinations."""
    Q, R, order = qr(rows, mode="economic", pivoting=True)
    size = np.abs(R.diagonal())
    rank = int((size > _RANK * size[:1]).sum())
    return Q[:, :rank], R[:rank, :rank], order[:rank]


def _norms(rows: Vector) -> Vector:
    """Return the norms of columns of any scale; 1 for a column of zeros."""
    largest = np.abs(rows).max(axis=0)
    largest[largest == 0.0] = 1.0
    norms = np.sqrt(((rows / largest) ** 2).sum(axis=0))
    norms[norms == 0.0] = 1.0
    return largest * norms


class _Coordinates:
    """Centred, scaled and factored columns; the objective in c."""

    def __init__(self, data: Data, centre: Extended, damping: Vector) -> None:
        n, d = data.X.shape
        self.data = data
        self.centre = centre if data.intercept else np.zeros(d, dtype=np.longdouble)
        X = data.X.astype(np.longdouble) - self.centre
        largest = np.abs(X).max(axis=0)
        self.used = largest > _CONSTANT * np.abs(self.centre)
        X = X[:, self.used]
        self.spread = _norms(damping[:, None] * X)
        A = np.asarray(X / self.spread, dtype=np.float64)
        total = data.weights.sum()
        self.s = data.weights / total
        root = 0.0 if np.isinf(data.C) else 1.0 / np.sqrt(data.C * total)
        penalty = np.asarray(root / self.spread, dtype=np.float64)
        if data.intercept:
            A = np.column_stack([np.ones(n), A])
            penalty = np.append(0.0, penalty)
        factor = np.sqrt(self.s / 4.0) * damping
        rows = factor[:, None] * A
        stacked = np.vstack([rows, np.diag(penalty)]) if root else rows
        self.unit = _norms(stacked)
        self.stacked = stacked / self.unit
        self.Q, self.R, self.order = _basis(self.stacked)
        self.B = self.Q[:n] / factor[:, None]  # margins are B c + offset
        self.P = self.Q[n:]  # the penalty is |P c|^2 / 2

    def raw(self, c: Vector) -> Extended:
        """Return [b, w_1 .. w_d] of c."""
        scaled = np.zeros(self.unit.size, dtype=np.longdouble)
        scaled[self.order] = solve_triangular(self.R, c)
        scaled /= self.unit
        theta = np.zeros(self.centre.size + 1, dtype=np.longdouble)
        theta[1:][self.used] = scaled[int(self.data.intercept) :] / self.spread
        if self.data.intercept:
            theta[0] = scaled[0] - self.centre @ theta[1:]
        return theta

    def of(self, theta: Any) -> Vector:
        """Return the c nearest to [b, w_1 .. w_d]."""
        theta = np.asarray(theta, dtype=np.longdouble)
        scaled = theta[1:][self.used] * self.spread
        if self.data.intercept:
            scaled = np.append(theta[0] + self.centre @ theta[1:], scaled)
        return self.Q.T @ (self.stacked @ (scaled * self.unit).astype(np.float64))

    def margins(self, c: Vector) -> Vector:
        return self.B @ c + self.data.offset

    def objective(self, c: Vector) -> float:
        z, root = self.margins(c), self.P @ c
        losses = np.logaddexp(0.0, np.where(self.data.y == 1.0, -z, z))
        return float(self.s @ losses + 0.5 * root @ root)

    def residuals(self, c: Vector) -> Vector:
        z = self.margins(c)
        return self.s * np.where(self.data.y == 1.0, -expit(-z), expit(z))

    def step(self, c: Vector) -> tuple[Vector, float, bool]:
        """Return the Newton step from c, half its decrement, and whether all of H was resolved."""
        z = self.margins(c)
        g = self.B.T @ self.residuals(c) + self.P.T @ (self.P @ c)
        H = (self.B.T * (self.s * expit(z) * expit(-z))) @ self.B + self.P.T @ self.P
        unit = 1.0 / np.sqrt(np.maximum(H.diagonal(), 1e-300))
        values, vectors = eigh(H * np.outer(unit, unit))
        if not values[-1] > 0.0:  # every row is at its limit
            return np.zeros(c.size), 0.0, False
        resolved = bool(values[0] > 10.0 * _EIGEN * values[-1])
        values = np.maximum(values, _EIGEN * values[-1])
        step = -unit * (vectors @ ((vectors.T @ (unit * g)) / values))
        return step, float(-0.5 * g @ step), resolved

    def newton(self, c: Vector) -> Vector:
        """Return where damped Newton ends."""
        f = self.objective(c)
        for _ in range(_STEPS):
            step, decrement, _ = self.step(c)
            trials = (c + 0.5**k * step for k in range(_HALVINGS))
            lower = next((trial for trial in trials if self.objective(trial) < f), None)
            if lower is None:
                break
            c, f = lower, self.objective(lower)
            if decrement <= _END * f:
                break
        return c

    def certified(self, c: Vector) -> bool:
        step, decrement, resolved = self.step(c)
        f = self.objective(c)
        exact = abs(value(self.data, self.raw(c)) - f) <= 10.0 * CERTIFIED * max(f, LEAST)
        small = decrement <= CERTIFIED * max(f, LEAST)
        # beyond 40 a row has no curvature, and has none after it
        room = np.maximum(_MOVE, np.abs(self.margins(c)) - 40.0)
        return bool(exact and small and resolved and (np.abs(self.B @ step) <= room).all())


def exists(coordinates: _Coordinates, c: Vector) -> bool | None:
    """Return whether there is an optimum without a penalty; None where that is not clear."""
    y = coordinates.data.y
    n = y.size
    U = _basis(coordinates.B / _norms(coordinates.B))[0]
    r = coordinates.residuals(c)
    size = np.abs(r)
    if (size > np.maximum(10.0 * np.abs(U @ (U.T @ r)), _NOISE * size.max())).all():
        return True
    if n > _ROWS:
        return None
    # margins in the direction sought; orthonormal, so that some are of the order of 1
    gains = np.where(y == 1.0, 1.0, -1.0)[:, None] * U * np.sqrt(n)
    found = linprog(-gains.sum(axis=0), -gains, np.zeros(n), bounds=(-1.0, 1.0))
    if found.status != 0:
        return None
    m = gains @ found.x
    # in a direction that is not 0, and loses nowhere, they sum to sqrt(n) times its length
    if m.sum() >= 0.9 * np.sqrt(n) and m.min() >= -1e-11:
        return False
    return True if m.sum() <= 1e-4 else None


def optimum(data: Data, *starts: Any) -> Optimum:
    """Return the lowest value that Newton finds from 0 and from ``starts``."""
    with threadpool_limits(1, user_api="blas"):  # small products: threads wait for each other
        return _optimum(data, *starts)


def _coordinates(data: Data) -> Iterator[_Coordinates]:
    """Yield coordinates without far rows, then of the rows' own mean, and that without weights.

    A row 1e8 times as far as others leaves them 8 digits, and a column far from 0 half of those.
    """
    X = data.X.astype(np.longdouble)
    n = data.y.size
    even = np.ones(n)
    centre = np.median(X, axis=0)
    distance = np.abs(X - centre)
    usual = np.median(distance, axis=0)
    usual = np.where(usual > 0.0, usual, distance.mean(axis=0))
    usual[usual == 0.0] = 1.0
    far = (distance / usual).max(axis=1).astype(np.float64)
    yield _Coordinates(data, centre, np.minimum(1.0, 10.0 / np.maximum(far, 1.0)))
    yield _Coordinates(data, data.weights @ X / data.weights.sum(dtype=np.longdouble), even)
    yield _Coordinates(data, X.mean(axis=0), even)


def _optimum(data: Data, *starts: Any) -> Optimum:
    no_penalty = np.isinf(data.C)
    # what others reached is as good a bound as what is found here
    found = [Optimum(value(data, start), start, False) for start in starts]
    for coordinates in _coordinates(data):
        zero = np.zeros(len(coordinates.R))
        if not zero.size:
            return Optimum(value(data, coordinates.raw(zero)), coordinates.raw(zero), True)
        best = min(found, key=lambda one: one.value, default=None)
        for c in (zero, *([] if best is None else [coordinates.of(best.theta)])):
            c = coordinates.newton(c)
            theta = coordinates.raw(c)
            there = exists(coordinates, c) if no_penalty else True
            now = Optimum(value(data, theta), theta, coordinates.certified(c), there)
            if there is False:
                return now
            found.append(now)
            lowest = min(one.value for one in found)
            if now.certified and there and now.value <= lowest + CERTIFIED * max(lowest, LEAST):
                return replace(now, value=lowest)
    best = min(found, key=lambda one: one.value)
    return replace(best, exists=None) if no_penalty else best
