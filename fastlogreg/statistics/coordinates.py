"""Columns in which sums over rows keep their digits, and columns that depend on others.

``A' diag(h) A`` of columns far from 0 or nearly collinear has lost digits before anything is
solved. Where its scaled form is well conditioned, one fused pass makes it (:class:`Coordinates`).
Else rows are centred and scaled, and a QR decomposition, some rows at a time, gives columns
``Z = A T`` that are orthonormal in the metric of the curvatures (:class:`Orthonormal`): it works on
A itself, not on its square, so that digits are lost once where they were lost twice. Dependent
columns show there, and are named.

References
----------
Golub and Van Loan, Matrix Computations, section 5.3 (QR against the normal equations).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.data.memory import dense
from fastlogreg.statistics.likelihood import Likelihood

__all__ = [
    "ROUNDING",
    "Coordinates",
    "Covariance",
    "Moved",
    "Orthonormal",
    "covariance_back",
    "is_well_conditioned",
    "roots",
    "symmetric",
    "unit",
]

ROUNDING = 1e-10  # of correlations: an eigenvalue no further below 0 is rounding
_WELL = 1e-7  # least eigenvalue of a correlation matrix that is inverted as it is
_DEPENDENT = 1e-10  # of a column's length: what is left of it beside the others is rounding
_CONSTANT = 1e-11  # of a column's size: a spread below that is rounding
_TINY = 1e-150  # a column's size: its squares are no numbers
_FAR = 100.0  # spreads from 0: a covariance is kept of such a column less its mean
_NAMED = 1e-6  # share of a column in another that is named
_BLOCK = 1 << 19  # values of X that are worked on at a time

_Array = NDArray[np.float64]


class Covariance(NamedTuple):
    """A covariance of the parameters, and the same of columns near to 0.

    With columns far from 0 the intercept's error is nearly that of its coefficients times how far
    they are, and what it adds to the error of a margin is lost in ``matrix``; in ``near``, of
    ``b + middle @ w`` in place of b, it is there.

    Attributes
    ----------
    matrix, near : ndarray of shape (q, q)
    middle : ndarray of shape (d,)
        What is subtracted from columns; 0 of those that are near to it.
    """

    matrix: _Array
    near: _Array
    middle: _Array

    @classmethod
    def of_near(cls, near: _Array, middle: _Array) -> "Covariance":
        """Return the covariance for one of columns less ``middle``."""
        if not middle.any():
            return cls(near, near, middle)
        back = np.eye(middle.size + 1)
        back[0, 1:] = -middle
        matrix = covariance_back(near, back)
        return cls(symmetric(matrix), near, middle)

    def of_margins(self, likelihood: Likelihood) -> _Array:
        """Return the variances of the rows' margins, (n,), of two classes.

        They may be below 0 where the covariance is not positive.
        """
        diagonal = np.abs(self.near.diagonal())
        scale = np.sqrt(diagonal)[:, None]
        values, vectors = np.linalg.eigh(unit(self.near))
        root = scale * vectors * np.sqrt(values.clip(0.0))
        out = likelihood.squared_lengths(root, self.middle)
        below = values < -ROUNDING
        if below.any():
            root = scale * vectors[:, below] * np.sqrt(-values[below])
            out -= likelihood.squared_lengths(root, self.middle)
        return out

    def along(self, rows: _Array) -> _Array:
        """Return the covariance of ``rows @ parameters``, rows (k, q)."""
        rows = self._moved(rows)
        out: _Array = rows @ self.near @ rows.T
        return out

    def errors_along(self, rows: _Array) -> _Array:
        """Return the standard errors of ``rows @ parameters``, (k,)."""
        rows = self._moved(rows)
        variances = np.einsum("ij,jk,ik->i", rows, self.near, rows, optimize=True)
        return roots(variances, (np.abs(rows) @ np.sqrt(np.abs(self.near.diagonal()))) ** 2)

    def _moved(self, rows: _Array) -> _Array:
        if not self.middle.any():
            return rows
        parts = rows.reshape(len(rows), -1, self.middle.size + 1).copy()
        parts[:, :, 1:] -= parts[:, :, :1] * self.middle
        return parts.reshape(len(rows), -1)


class Coordinates:
    """The columns as they are."""

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood
        self.middle = np.zeros(likelihood.n_columns)

    def cross(self, values: _Array) -> _Array:
        """Return ``Z' diag(values) Z``, (p, p)."""
        return self.likelihood.cross(values)

    def transform(self, X: Any) -> _Array:
        """Return the rows of Z for rows of X, dense."""
        part, first = _dense(X), int(self.likelihood.intercept)
        out = np.ones((part.shape[0], first + part.shape[1]))  # by row, whatever the order of X
        out[:, first:] = part
        return out

    def back(self, matrix: _Array) -> _Array:
        """Return a covariance, (q, q), of the parameters for one in these coordinates."""
        return matrix

    def covariance(self, matrix: _Array) -> Covariance:
        """Return the covariance of the parameters for one in these coordinates."""
        return Covariance.of_near(symmetric(self.near(matrix)), self.middle)

    def near(self, matrix: _Array) -> _Array:
        """Return the covariance of columns less ``middle`` for one in these coordinates."""
        return matrix

    def covariance_of(self, replicates: _Array) -> Covariance:
        """Return the covariance of parameters, (B, q)."""
        p = self.likelihood.width
        parts = replicates.reshape(len(replicates), -1, p).astype(np.longdouble)
        if self.middle.any():
            parts[:, :, 0] += parts[:, :, 1:] @ self.middle
        moved = parts.reshape(replicates.shape).astype(np.float64)
        return Covariance.of_near(np.atleast_2d(np.cov(moved, rowvar=False)), self.middle)


class Moved(Coordinates):
    """The columns less what brings them near to 0, which a ridge on coefficients does not see."""

    def __init__(self, likelihood: Likelihood, middle: _Array) -> None:
        super().__init__(likelihood)
        self.middle = middle


class Orthonormal(Coordinates):
    """Columns that are orthonormal in the metric of curvatures, (n,).

    Raises
    ------
    ValueError
        If columns depend on others; the message names them.
    """

    def __init__(self, likelihood: Likelihood, curvatures: _Array, names: list[str]) -> None:
        super().__init__(likelihood)
        self._centre(curvatures, names)
        triangle = np.empty((0, likelihood.n_columns))
        for at in blocks(likelihood):
            part = self._scaled(likelihood.rows.matrix[at]) * np.sqrt(curvatures[at])[:, None]
            stacked = np.vstack([triangle, part])
            triangle = np.asarray(np.linalg.qr(stacked, mode="r"), dtype=np.float64)
        self._check(triangle, names)
        # Z = [1 / sqrt(total), (x - centre) / spread inv(R)]
        inverse = np.linalg.solve(triangle, np.eye(likelihood.n_columns))
        self.inverse = inverse / self.spread[:, None]
        first = int(likelihood.intercept)
        self.T = np.zeros((likelihood.width, likelihood.width))
        self.T[first:, first:] = self.inverse
        if first:
            self.T[0, 0] = 1.0 / np.sqrt(self.total)
            self.T[0, 1:] = -self.centre @ self.inverse
        far = np.abs(self.centre) * np.sqrt(self.total) > _FAR * self.spread
        self.middle = np.where(far, self.centre, 0.0)

    def _centre(self, curvatures: _Array, names: list[str]) -> None:
        of = self.likelihood
        d = of.n_columns
        self.total = float(curvatures.sum())
        self.centre, squares, size = np.zeros(d), np.zeros(d), np.zeros(d)
        if of.intercept:
            # twice: the second time from near the mean, without cancellation
            for _ in range(2):
                shift = np.zeros(d)
                for at in blocks(of):
                    shift += curvatures[at] @ (_dense(of.rows.matrix[at]) - self.centre)
                self.centre = self.centre + shift / self.total
        for at in blocks(of):
            part = _dense(of.rows.matrix[at])
            np.maximum(size, np.abs(part).max(axis=0, initial=0.0), out=size)
            squares += curvatures[at] @ np.square(part - self.centre)
        self.spread, self.size = np.sqrt(squares), size
        tiny = np.flatnonzero((size > 0.0) & (size < _TINY))
        if tiny.size:
            raise ValueError(
                f"column {names[tiny[0]]!r} is at most {size[tiny[0]]:.2g} in size: its variance "
                "is beyond float64; rescale it"
            )
        flat = np.flatnonzero(self.spread <= _CONSTANT * size * np.sqrt(self.total))
        if flat.size:
            called = _listed([repr(names[j]) for j in flat])
            several = flat.size > 1
            zero = bool((size[flat] == 0.0).all())
            what = "0 in all rows" if zero else "constant, as the intercept is"
            raise ValueError(
                f"column{'s' * several} {called} {'are' if several else 'is'} {what}: there are no "
                f"standard errors; drop {'them' if several else 'it'}"
            )

    def _scaled(self, X: Any) -> _Array:
        return (_dense(X) - self.centre) / self.spread

    def _check(self, triangle: _Array, names: list[str]) -> None:
        """Refuse columns that depend on others; the triangle's columns have length 1."""
        d = triangle.shape[1]
        square = np.zeros((d, d))
        square[: len(triangle)] = triangle
        rounding = 16.0 * np.finfo(np.float64).eps * self.size * np.sqrt(self.total) / self.spread
        limit = max(_DEPENDENT, float(rounding.max(initial=0.0)))
        if d == 0 or np.linalg.svd(square, compute_uv=False)[-1] > limit:
            return
        left = np.abs(square.diagonal())
        dependent = np.flatnonzero(left <= max(limit, float(left.min())))
        others = np.setdiff1d(np.arange(d), dependent)
        told = []
        for j in dependent[:3]:
            before = others[others < j]
            shares = np.linalg.lstsq(square[:, before], square[:, j], rcond=None)[0]
            held = before[np.abs(shares) > _NAMED]
            what = f"a combination of {_listed([repr(names[k]) for k in held])}"
            if len(held) == 1:
                what = f"a multiple of {names[held[0]]!r}"
                if self.likelihood.intercept:
                    what += " plus a constant"
            if self.likelihood.intercept and len(held) > 1:
                what += " and the intercept"
            told.append(f"{names[j]!r} is {what}")
        more = f", and {dependent.size - 3} more" if dependent.size > 3 else ""
        raise ValueError(
            f"columns are collinear, so that there are no standard errors: {'; '.join(told)}{more}"
            f". Drop {'it' if dependent.size == 1 else 'them'}, or fit LogisticRegression with a "
            "finite C"
        )

    def cross(self, values: _Array) -> _Array:
        """Return ``Z' diag(values) Z``, (p, p)."""
        of = self.likelihood
        out = np.zeros((of.width, of.width))
        for at in blocks(of):
            part = self.transform(of.rows.matrix[at])
            out += (part * values[at, None]).T @ part
        return out

    def transform(self, X: Any) -> _Array:
        """Return the rows of Z for rows of X."""
        part = (_dense(X) - self.centre) @ self.inverse
        if self.likelihood.intercept:
            return np.column_stack([np.full(len(part), self.T[0, 0]), part])
        return part

    def back(self, matrix: _Array) -> _Array:
        """Return a covariance, (q, q), of the parameters for one in these coordinates."""
        return covariance_back(matrix, self.T)

    def near(self, matrix: _Array) -> _Array:
        """Return the covariance of columns less ``middle`` for one in these coordinates."""
        T = self.T.copy()
        if self.likelihood.intercept:
            T[0, 1:] = (self.middle - self.centre) @ self.inverse
        return covariance_back(matrix, T)


def covariance_back(matrix: _Array, T: _Array) -> _Array:
    """Return a covariance, (q, q), of parameters for one in the coordinates of ``A T``.

    T is (p, p), the same for the parameters of each equation.
    """
    p = T.shape[0]
    k = matrix.shape[0] // p
    parts = matrix.reshape(k, p, k, p)
    out = np.einsum("ai,kilj,bj->kalb", T, parts, T, optimize=True)
    flat: _Array = out.reshape(k * p, k * p)
    return flat


def is_well_conditioned(information: _Array) -> bool:
    """Whether the inverse of this matrix keeps its digits, whatever the scales of columns are."""
    diagonal = information.diagonal()
    if not (diagonal > 0.0).all() or not np.isfinite(information).all():
        return False
    scale = 1.0 / np.sqrt(diagonal)
    return bool(np.linalg.eigvalsh(information * scale * scale[:, None])[0] > _WELL)


def blocks(likelihood: Likelihood) -> Iterator[slice]:
    """Yield slices of the rows, some at a time."""
    step = max(64, _BLOCK // max(1, likelihood.n_columns))
    for start in range(0, likelihood.n_rows, step):
        yield slice(start, start + step)


def roots(variances: _Array, sizes: _Array | float = 0.0) -> _Array:
    """Return standard errors, NaN where a variance is below 0 by more than rounding of its size."""
    held = np.where(variances < -ROUNDING * sizes, np.nan, variances.clip(0.0))
    return np.asarray(np.sqrt(held), dtype=np.float64)


def unit(matrix: _Array) -> _Array:
    """Return a covariance as correlations; its diagonal has the signs of that of ``matrix``."""
    diagonal = np.abs(matrix.diagonal())
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    out: _Array = matrix * scale * scale[:, None]
    return out


def symmetric(matrix: _Array) -> _Array:
    """Return the symmetric part of a matrix."""
    return 0.5 * (matrix + matrix.T)


def _dense(X: Any) -> _Array:
    return np.asarray(dense(X), dtype=np.float64)


def _listed(words: list[str], most: int = 6) -> str:
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
