"""Coordinate descent on a quadratic model with L1 and bounds: the inner loop of proximal Newton.

The model's Hessian is a matrix, or that of sparse columns in the metric of the rows' curvatures,
which is never made: a move costs what the column stores. With columns there are no bounds.
"""

from time import perf_counter

import numpy as np

from fastlogreg.backends.numba.extrapolation import SEQUENCE, weights_of
from fastlogreg.backends.numba.jit import borrowing, kernel

_WORK = 50_000_000  # entries of the Hessian read in one call: some 0.05 s, so that Ctrl-C is seen


def coordinate_descent(model, slope, u, enough, sweeps):
    """Run sweeps in calls that Ctrl-C can part; see :class:`fastlogreg.backends.Backend`."""
    p = u.size
    model = tuple(model)
    at_once = max(1, _WORK // max(1, p * p))
    moved = np.inf
    while sweeps > 0 and moved > enough:
        n = min(at_once, sweeps)
        moved = _sweeps["d"](model, slope, u, enough, n)
        sweeps -= n
    return moved


def column_descent(X, curvatures, model, u, enough, sweeps):
    """Do the same in the columns of X, in CSC form; see :class:`fastlogreg.backends.Backend`.

    Sweeps over the entries that are not 0 are extrapolated after every few: of nearly equal columns
    plain sweeps move one against the other by ever less.
    """
    root = np.sqrt(curvatures)
    values = X.data * root[X.indices]
    margins = root * (X @ (u - model.start))
    shift = np.array([float(model.centre @ (u - model.start))])
    columns = X.indptr.astype(np.int64), X.indices, values, margins, shift
    run = _column_sweep["d" + X.indices.dtype.char]
    everywhere = np.arange(u.size)
    always = model.l1 == 0.0
    while sweeps > 0:
        moved = run(*columns, *model, u, everywhere)
        sweeps -= 1
        if moved <= enough:
            return moved
        active = np.flatnonzero(always | (u != 0.0))
        extrapolation = _Extrapolation(model, margins, shift, u, active)
        while sweeps > 0 and moved > enough:
            moved = run(*columns, *model, u, active)
            sweeps -= 1
            extrapolation.note()
    return np.inf


class _Extrapolation:
    """Where the last sweeps lead to, taken if the model is lower there.

    Parameters
    ----------
    model : ColumnQuadratic
    margins, shift, u : ndarray
        What sweeps change.
    active : ndarray of int64
        The entries of u that they change.
    """

    def __init__(self, model, margins, shift, u, active):
        self._model, self._active = model, active
        self._margins, self._shift, self._u = margins, shift, u
        self._begin()

    def _begin(self):
        self._seen = [(self._u[self._active], self._margins.copy(), self._shift[0])]

    def note(self):
        """Note where a sweep has led to; after every few, go on from where they lead."""
        self._seen.append((self._u[self._active], self._margins.copy(), self._shift[0]))
        if len(self._seen) <= SEQUENCE:
            return
        entries = np.array([seen[0] for seen in self._seen])
        weights = weights_of(entries)
        if weights is not None:
            trial = weights @ entries[1:]
            margins = sum(a * seen[1] for a, seen in zip(weights, self._seen[1:], strict=True))
            shift = sum(a * seen[2] for a, seen in zip(weights, self._seen[1:], strict=True))
            here = self._value(entries[-1], self._margins, self._shift[0])
            if self._value(trial, margins, shift) < here:
                self._u[self._active], self._shift[0] = trial, shift
                self._margins[:] = margins
        self._begin()

    def _value(self, u, margins, shift):
        """Return the model's value but for what the other entries add."""
        model, at = self._model, self._active
        moved = u - model.start[at]
        rows = float(margins @ margins) - model.total * float(shift) ** 2
        l2 = float(model.l2[at] @ (moved * moved))
        return float(model.slope[at] @ moved) + 0.5 * (rows + l2) + float(model.l1[at] @ np.abs(u))


def warmup():
    """Compile (or load) the kernel; yield its name and the seconds it took."""
    start = perf_counter()
    one = np.ones(1)
    coordinate_descent((np.eye(1), one, -one, one, one), np.zeros(1), np.zeros(1), 0.0, 1)
    yield "coordinate_descent", perf_counter() - start
    start = perf_counter()
    none, rows = np.zeros(1), np.zeros(1, dtype=np.int32)
    state = np.zeros(2, dtype=np.int64), rows, none, none, none
    active = np.zeros(0, dtype=np.int64)
    _column_sweep["di"](*state, none, none, none, none, none, none, 0.0, none, active)
    yield "column_descent", perf_counter() - start


@kernel
def _sweeps(model, slope, u, enough, sweeps):
    """Do what :func:`sweep` says."""
    return sweep(model, slope, u, np.empty(u.size, dtype=np.int64), enough, sweeps)


@borrowing
def sweep(model, slope, u, active, enough, sweeps):
    """Move each entry of u to its optimum in turn; return by how much the last full sweep moved.

    Between two full sweeps those entries alone are moved that are at no bound and not at a kink,
    as long as they move. ``active``, (p,), is room for their numbers.
    """
    H, l1, lower, upper, unit = model
    p = H.shape[0]
    n_active = p
    for j in range(p):
        active[j] = j
    full = True
    moved = 0.0
    for _ in range(sweeps):
        moved = 0.0
        for i in range(n_active):
            j = active[i]
            h = H[j, j]
            if not h > 0.0:
                continue
            pull = h * u[j] - slope[j]
            size = abs(pull) - l1[j]
            new = 0.0
            if size > 0.0:
                new = size / h if pull > 0.0 else -size / h
            new = min(max(new, lower[j]), upper[j])
            change = new - u[j]
            if change != 0.0:
                u[j] = new
                moved = max(moved, abs(h * change) / unit[j])
                for k in range(p):
                    slope[k] += change * H[j, k]
        if moved <= enough:
            if full:
                return moved
            full = True
            n_active = p
            for j in range(p):
                active[j] = j
        elif full:
            full = False
            n_active = 0
            for j in range(p):
                if (u[j] != 0.0 or l1[j] == 0.0) and lower[j] < u[j] < upper[j]:
                    active[n_active] = j
                    n_active += 1
    return moved if full else np.inf


@kernel
def _column_sweep(
    indptr,
    rows,
    values,
    margins,
    shift,
    slope,
    diagonal,
    l2,
    centre,
    l1,
    start,
    total,
    u,
    active,
):
    """Move the active entries of u to their optimum in turn; return by how much the most moved.

    The Hessian is ``A' A - total centre centre'`` and l2. A are the columns, ``sqrt(h) X``; what
    moves so far add to ``A u`` is in ``margins`` (n,), and to ``centre' u`` in ``shift`` (1,).
    """
    moved = 0.0
    for j in active:
        curvature = diagonal[j]
        if not curvature > 0.0:
            continue
        here = slope[j] + l2[j] * (u[j] - start[j]) - total * centre[j] * shift[0]
        for k in range(indptr[j], indptr[j + 1]):
            here += values[k] * margins[rows[k]]
        pull = curvature * u[j] - here
        size = abs(pull) - l1[j]
        new = 0.0
        if size > 0.0:
            new = size / curvature if pull > 0.0 else -size / curvature
        change = new - u[j]
        if change != 0.0:
            u[j] = new
            by = abs(curvature * change)
            moved = max(moved, by / l1[j] if l1[j] > 0.0 else by)
            shift[0] += change * centre[j]
            for k in range(indptr[j], indptr[j + 1]):
                margins[rows[k]] += change * values[k]
    return moved
