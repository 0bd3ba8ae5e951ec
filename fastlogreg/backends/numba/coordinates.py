"""Coordinate descent on a quadratic model with L1 and bounds: the inner loop of proximal Newton."""

from time import perf_counter

import numpy as np

from fastlogreg.backends.numba.jit import kernel

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


def warmup():
    """Compile (or load) the kernel; yield its name and the seconds it took."""
    start = perf_counter()
    one = np.ones(1)
    coordinate_descent((np.eye(1), one, -one, one, one), np.zeros(1), np.zeros(1), 0.0, 1)
    yield "coordinate_descent", perf_counter() - start


@kernel
def _sweeps(model, slope, u, enough, sweeps):
    """Move each entry of u to its optimum in turn; return by how much the last full sweep moved.

    Between two full sweeps those entries alone are moved that are at no bound and not at a kink,
    as long as they move.
    """
    H, l1, lower, upper, unit = model
    p = u.size
    active = np.empty(p, dtype=np.int64)
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
