"""A pass over sets of rows: against the NumPy backend on each set alone."""

import numpy as np
import pytest
from scipy import sparse

from fastlogreg import backends
from fastlogreg.backends import PassSpec

N, D, SETS = 700, 9, 4


def stored(X, storage):
    if storage.startswith("csr"):
        matrix = sparse.csr_array(np.where(X > 0.4, X, 0.0).astype(storage[3:]))
        return matrix
    out = np.array(X, dtype="float32" if storage == "float32" else "float64")
    out = np.asfortranarray(out) if storage == "fortran" else out
    out.flags.writeable = False
    return out


@pytest.mark.parametrize("storage", ["c", "fortran", "float32", "csrfloat64", "csrfloat32"])
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "weights_and_offset"])
@pytest.mark.parametrize("intercept", [False, True])
def test_each_column_is_the_pass_over_its_set(storage, extras, intercept):
    rng = np.random.default_rng(0)
    X, y = stored(rng.normal(size=(N, D)), storage), rng.random(N)
    weights = rng.random(N) * (rng.random(N) < 0.8) if extras else None
    offset = rng.normal(size=N) if extras else None
    members = rng.random((SETS, N)) < 0.6
    members[3] = False
    members[3, :2] = True  # hardly any
    sets = np.array([2, 0, 3, 1, 0, 2])
    theta = rng.normal(size=(sets.size, D + intercept))
    spec = PassSpec(intercept=intercept)
    bound = backends.get("numba").bind_sets(X, y, weights, offset, members, spec)
    losses, gradients = bound(theta, sets)
    alone, none = bound(theta, sets, 0)
    sizes = bound.largest_margins(theta, sets)
    assert none is None
    np.testing.assert_array_equal(alone, losses)
    whole = backends.get("numpy").bind(X, y, weights, offset, spec)
    for k, number in enumerate(sets):
        one = whole.sample(np.flatnonzero(members[number]))
        loss, gradient, _ = one(theta[k])
        np.testing.assert_allclose(losses[k], loss, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(gradients[k], gradient, rtol=1e-10, atol=1e-11)
        if weights is None or (weights[members[number]] > 0.0).any():
            np.testing.assert_allclose(sizes[k], one.largest_margin(theta[k]), rtol=1e-12)


@pytest.mark.parametrize("storage", ["c", "csrfloat64"])
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "weights_and_offset"])
def test_a_row_may_be_in_a_set_several_times(storage, extras):
    rng = np.random.default_rng(0)
    X, y = stored(rng.normal(size=(N, D)), storage), rng.random(N)
    weights, offset = (rng.random(N), rng.normal(size=N)) if extras else (None, None)
    times = rng.poisson(1.0, (3, N)).astype(np.uint8)
    times[2, 7] = 255
    theta = rng.normal(size=(3, D + 1))
    bound = backends.get("numba").bind_sets(X, y, weights, offset, times, PassSpec())
    losses, gradients = bound(theta, np.arange(3))
    for k, own in enumerate(times.astype(float)):
        own = own if weights is None else own * weights
        loss, gradient, _ = backends.get("numpy").bind(X, y, own, offset, PassSpec())(theta[k])
        np.testing.assert_allclose(losses[k], loss, rtol=1e-12)
        np.testing.assert_allclose(gradients[k], gradient, rtol=1e-10, atol=1e-11)


def test_rows_outside_of_a_set_may_hold_anything():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, D)), rng.random(N)
    members = np.ones((2, N), dtype=bool)
    members[0, 5] = False
    X[5, 2] = np.inf
    bound = backends.get("numba").bind_sets(X, y, None, None, members, PassSpec())
    theta = np.full((2, D + 1), 0.1)
    losses, _ = bound(theta, np.arange(2))
    assert np.isfinite(losses[0]) and not np.isfinite(losses[1])
    sizes = bound.largest_margins(theta, np.arange(2))
    assert np.isfinite(sizes[0]) and np.isinf(sizes[1])


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60_000, 6)), rng.random(60_000)
    members = rng.random((3, len(y))) < 0.7
    theta = rng.normal(size=(3, 7))
    found = [
        backends.get("numba").bind_sets(X, y, None, None, members, PassSpec(n_threads=n))(
            theta, np.arange(3)
        )
        for n in (1, 2)
    ]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("storage", ["c", "csrfloat64"])
def test_products_and_moments_of_some_rows(storage, K):
    rng = np.random.default_rng(0)
    X = stored(rng.normal(size=(N, D)), storage)
    y = rng.integers(0, max(K, 2), N).astype(float)
    weights = rng.random(N)
    chosen = np.flatnonzero(rng.random(N) < 0.5)
    spec = PassSpec()
    if K > 1:
        spec = PassSpec("cross_entropy", "softmax", n_outputs=K)
    shape = (K, D + 1) if K > 1 else D + 1
    theta, vector = rng.normal(size=shape), rng.normal(size=shape)
    whole = backends.get("numba").bind(X, y, weights, None, spec)
    taken = backends.get("numba").bind(X[chosen], y[chosen], weights[chosen], None, spec)
    found = []
    for bound in (whole.sample(chosen), taken):
        curvatures = np.empty((chosen.size, K) if K > 1 else chosen.size)
        bound(theta, 1, curvatures=curvatures)
        more = bound.coupling(curvatures) if K > 1 else 0.0
        found.append((bound.product(curvatures, vector), bound.moments(curvatures), more))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
