"""Coordinate descent on the quadratic model of several classes, in columns: no Hessian is made.

The loss' part of the model is ``sum_i s_i (sum_k p_ik U_ik² - (sum_k p_ik U_ik)²) / 2`` with the
changes U of the margins, (n, K), so that a move of one entry costs what its column stores.

It is flat where all classes of a column move by the same, and along that moves of one entry at a
time are small: after each sweep the caller moves along it, to where the penalty is least.
Intercepts move all at once.
"""

from time import perf_counter

import numpy as np

from fastlogreg.backends.numba.extrapolation import SEQUENCE, weights_of
from fastlogreg.backends.numba.jit import kernel

_TINY = 1e-13  # of the largest: no curvature


def class_descent(X, weights, probabilities, model, u, b, enough, sweeps, along_flat):
    """Lower a model of several classes; see :class:`fastlogreg.backends.CompiledBackend`."""
    found = _Descent(X, weights, probabilities, model, u, b, along_flat)
    every = np.nonzero(np.ones(u.T.shape, dtype=bool))
    while sweeps > 0:
        moved = found.sweep(every)
        sweeps -= 1
        if moved <= enough:
            return moved
        active = np.nonzero(((model.l1 == 0.0) | (u != 0.0)).T)
        found.begin()
        while sweeps > 0 and moved > enough:
            moved = found.sweep(active)
            sweeps -= 1
            found.note()
    return np.inf


class _Descent:
    """The model and where descent is in it: arguments are those of :func:`class_descent`."""

    def __init__(self, X, weights, probabilities, model, u, b, along_flat):
        self._X, self._model, self._u, self._b = X, model, u, b
        self._root = np.sqrt(weights)
        self._P, self._along_flat = probabilities, along_flat
        self._columns = X.indptr.astype(np.int64), X.indices, X.data * self._root[X.indices]
        self._run = _class_sweep["d" + X.indices.dtype.char]
        self._U, self._V = np.zeros_like(probabilities), np.zeros(len(probabilities))
        self._inverse = np.linalg.pinv(model.coupling, rcond=_TINY, hermitian=True)

    def sweep(self, active):
        """Move the intercepts, entries in these columns and classes, and what all classes share."""
        model, u = self._model, self._u
        if self._b.size:
            slope = model.intercept_slope + self._root @ (self._P * (self._U - self._V[:, None]))
            change = -self._inverse @ slope
            self._b += change
            self._U += self._root[:, None] * change
            self._V += self._root * (self._P @ change)
        state = self._P, self._U, self._V
        quadratic = model.slope, model.diagonal, model.l2, model.l1, model.start
        moved = self._run(*self._columns, *state, *quadratic, u, *active)
        self._along_flat(u)
        return moved

    def begin(self):
        """Begin a sequence of sweeps that is extrapolated."""
        self._seen = [(self._u.copy(), self._b.copy())]

    def note(self):
        """Note where a sweep has led to; after every few, go on from where they lead."""
        self._seen.append((self._u.copy(), self._b.copy()))
        if len(self._seen) <= SEQUENCE:
            return
        entries = np.array([np.concatenate([u.ravel(), b]) for u, b in self._seen])
        weights = weights_of(entries)
        if weights is not None:
            trial = weights @ entries[1:]
            u, b = trial[: self._u.size].reshape(self._u.shape), trial[self._u.size :]
            moved = (u - self._model.start).T
            U = self._X @ moved
            U += b if b.size else 0.0
            U *= self._root[:, None]
            V = (self._P * U).sum(axis=1)
            if self._value(u, b, U, V) < self._value(self._u, self._b, self._U, self._V):
                self._u[:], self._b[:], self._U[:], self._V[:] = u, b, U, V
        self.begin()

    def _value(self, u, b, U, V):
        """Return the value of the model."""
        model = self._model
        moved = u - model.start
        rows = float(np.einsum("ik,ik,ik->", self._P, U, U)) - float(V @ V)
        linear = float((model.slope * moved).sum()) + float(model.intercept_slope @ b)
        l2, l1 = float((model.l2 * moved * moved).sum()), float((model.l1 * np.abs(u)).sum())
        return linear + 0.5 * (rows + l2) + l1


def warmup():
    """Compile (or load) the kernel; yield its name and the seconds it took."""
    start = perf_counter()
    table, none = np.zeros((1, 1)), np.zeros(0, dtype=np.int64)
    columns = np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.int32), np.zeros(1)
    _class_sweep["di"](*columns, table, table, np.zeros(1), *[table] * 6, none, none)
    yield "class_descent", perf_counter() - start


@kernel
def _class_sweep(
    indptr, rows, values, P, U, V, slope, diagonal, l2, l1, start, u, columns, classes
):
    """Move entries of u to their optimum in turn; return by how much the most moved.

    The entries are those in the given columns and classes; U are the changes of the margins
    so far, times the roots of the weights, and V the sums of P U over the classes. ``values`` are
    those of the columns times the same roots.
    """
    moved = 0.0
    for i in range(columns.size):
        j = columns[i]
        k = classes[i]
        curvature = diagonal[k, j]
        if not curvature > 0.0:
            continue
        here = slope[k, j] + l2[k, j] * (u[k, j] - start[k, j])
        for at in range(indptr[j], indptr[j + 1]):
            row = rows[at]
            here += values[at] * P[row, k] * (U[row, k] - V[row])
        pull = curvature * u[k, j] - here
        size = abs(pull) - l1[k, j]
        new = 0.0
        if size > 0.0:
            new = size / curvature if pull > 0.0 else -size / curvature
        change = new - u[k, j]
        if change != 0.0:
            u[k, j] = new
            by = abs(curvature * change)
            moved = max(moved, by / l1[k, j] if l1[k, j] > 0.0 else by)
            for at in range(indptr[j], indptr[j + 1]):
                row = rows[at]
                U[row, k] += change * values[at]
                V[row] += change * values[at] * P[row, k]
    return moved
