"""The backends agree: with each other on every kind of input, and with the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

import fastlogreg as flr
from fastlogreg import backends
from fastlogreg.backends import BACKENDS, ONE_MARGIN, PassSpec
from fastlogreg.backends.numba.jit import Kernel
from fastlogreg.backends.numba.passes import rows as rows_module
from tests import oracle


def compare(X, y, theta, backends=BACKENDS, rtol=1e-11, **kind):
    """Assert that loss, gradient, Hessian and predictions agree, relative to the largest entry."""
    found = {}
    for name in backends:
        value, gradient, hessian = flr.loss_gradient_hessian(X, y, theta, backend=name, **kind)
        assert_allclose(hessian, hessian.T, rtol=0, atol=0)
        short_value, short_gradient = flr.loss_gradient(X, y, theta, backend=name, **kind)
        only_value = flr.loss(X, y, theta, backend=name, **kind)
        assert_allclose([short_value, only_value], value, rtol=1e-14)
        assert_allclose(short_gradient, gradient, rtol=1e-12, atol=1e-14 * abs(gradient).max())
        rest = {k: v for k, v in kind.items() if k in ("activation", "intercept", "offset")}
        proba = flr.predict_proba(X, theta, backend=name, **rest)
        found[name] = (np.atleast_1d(value), gradient, hessian, proba)
    first, *others = found.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert_allclose(b, a, rtol=rtol, atol=rtol * abs(a).max() + 1e-300)


def problem(rng, n, d, dtype=np.float64, intercept=True):
    X = rng.normal(size=(n, d)).astype(dtype)
    return X, rng.random(n), rng.normal(size=d + intercept) / np.sqrt(d)


def as_csr(X, rng, index=np.int32):
    """Return X with a third of its values left out, in CSR form and dense."""
    X = np.where(rng.random(X.shape) < 0.3, 0, X)
    matrix = sparse.csr_array(X)
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    return matrix, X


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "no intercept"])
@pytest.mark.parametrize("extra", ["plain", "weights", "offset", "both"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", ["dense", "int32", "int64"])
def test_every_kind_of_input(combination, dtype, extra, intercept, storage, rng):
    X, y, theta = problem(rng, 37, 5, dtype, intercept)
    kind = {**combination, "intercept": intercept}
    if extra in ("weights", "both"):
        kind["sample_weight"] = rng.random(37) * (rng.random(37) < 0.8)
    if extra in ("offset", "both"):
        kind["offset"] = rng.normal(size=37)
    if storage != "dense":
        compare(as_csr(X, rng, storage)[0], y, theta, **kind)
        return
    compare(X, y, theta, **kind)
    compare(np.asfortranarray(X), y, theta, **kind)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 100])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 17, 33])
def test_every_remainder(n, d, rng):
    X, y, theta = problem(rng, n, d)
    compare(X, y, theta)
    compare(np.asfortranarray(X), y, theta)


@pytest.mark.parametrize(("n", "d"), [(5_000, 3), (3_000, 70), (2_500, 71), (2_500, 90), (50, 200)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_many_blocks_chunks_and_the_blas(n, d, order, combination, rng):
    X, y, theta = problem(rng, n, d)
    X = np.asarray(X, order=order)
    weights = rng.random(n)
    compare(X, y, theta, ("numpy", "numba"), sample_weight=weights, **combination)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (50, 200), (20_000, 30), (3_000, 300)])
def test_sparse_rows_are_their_dense_form(n, d, rng):
    X, y, theta = problem(rng, n, d)
    matrix, dense = as_csr(X, rng)
    weights = rng.random(n) + 0.1
    matrix.data[:: max(1, n // 10)] = 0.0  # stored zeros are allowed
    dense = matrix.toarray()
    compare(matrix, y, theta, ("numpy", "numba"), sample_weight=weights)
    for a, b in zip(
        flr.loss_gradient_hessian(matrix, y, theta),
        flr.loss_gradient_hessian(dense, y, theta),
        strict=True,
    ):
        assert_allclose(a, b, rtol=1e-11, atol=1e-14)


def test_empty_rows_and_columns(backend):
    X = sparse.csr_array((3, 4))
    value, gradient = flr.loss_gradient(X, [0, 0, 1], np.zeros(5), backend=backend)
    assert value == pytest.approx(np.log(2))
    assert_allclose(gradient, [0.5 - 1 / 3, 0, 0, 0, 0])


def test_forms_of_sparse_matrices(rng):
    X, y, theta = problem(rng, 40, 6)
    matrix, dense = as_csr(X, rng)
    expected = flr.loss_gradient(dense, y, theta)
    doubled = sparse.coo_array(
        (np.tile(matrix.tocoo().data / 2, 2), [np.tile(c, 2) for c in matrix.tocoo().coords]),
        shape=X.shape,
    )
    frozen = matrix.copy()
    for array in (frozen.data, frozen.indices, frozen.indptr):
        array.flags.writeable = False
    scrambled = matrix[:, ::-1][:, ::-1].copy()
    scrambled.has_sorted_indices = False
    twice = sparse.csr_array(
        (
            np.repeat(matrix.data / 2, 2),
            np.repeat(matrix.indices, 2),
            2 * matrix.indptr,
        ),
        shape=X.shape,
    )
    kept = twice.data.copy()
    forms = [matrix, sparse.csr_matrix(matrix), matrix.tocsc(), matrix.tocoo(), doubled, frozen]
    for form in [*forms, scrambled, twice, matrix.todok(), matrix.tolil()]:
        value, gradient = flr.loss_gradient(form, y, theta)
        assert value == pytest.approx(expected[0], rel=1e-13)
        assert_allclose(gradient, expected[1], rtol=1e-11, atol=1e-14)
    assert twice.data.size == kept.size  # the caller's matrix is left as it was
    whole = sparse.csr_matrix(np.array([[1, 0], [0, 2]]))
    assert flr.loss(whole, [0, 1], np.zeros(3)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layouts(dtype, backend, rng):
    X, y, theta = problem(rng, 50, 6, dtype)
    expected = flr.loss_gradient_hessian(X, y, theta, backend=backend)
    padded = np.zeros((100, 12), dtype=dtype)
    padded[::2, ::2] = X
    backwards = np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    frozen = X.copy()
    frozen.flags.writeable = False
    raw = np.zeros(X.nbytes + 1, dtype=np.uint8)[1:]
    unaligned = raw.view(dtype).reshape(X.shape)
    unaligned[:] = X
    for same in (padded[::2, ::2], backwards, frozen, unaligned, X.astype(X.dtype.newbyteorder())):
        for a, b in zip(
            flr.loss_gradient_hessian(same, y, theta, backend=backend), expected, strict=True
        ):
            assert_allclose(b, a, rtol=1e-13)


def test_float32_is_not_rounded_on_the_way(backend, combination, rng):
    X, y, theta = problem(rng, 40, 7, np.float32)
    single = flr.loss_gradient_hessian(X, y, theta, backend=backend, **combination)
    double = flr.loss_gradient_hessian(X.astype(float), y, theta, backend=backend, **combination)
    for a, b in zip(single, double, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("intercept", [True, False])
def test_against_the_oracle(backend, combination, intercept, rng):
    X, y, theta = problem(rng, 5, 2, intercept=intercept)
    extra = {"offset": rng.normal(size=5), "intercept": intercept}
    weights = rng.random(5)
    value, gradient, hessian = oracle.derivatives(
        X, y, theta, **combination, weights=weights, **extra
    )
    found = flr.loss_gradient_hessian(
        X, y, theta, backend=backend, sample_weight=weights, **combination, **extra
    )
    assert_allclose(found[0], value, rtol=1e-14)
    assert_allclose(found[1], gradient, rtol=1e-13, atol=1e-15)
    assert_allclose(found[2], hessian, rtol=1e-13, atol=1e-15)


def test_finite_differences(backend, combination, rng):
    """The gradient is that of loss, the Hessian that of loss_gradient, as the public sees them."""
    X, y, theta = problem(rng, 30, 4)
    _, gradient, hessian = flr.loss_gradient_hessian(X, y, theta, backend=backend, **combination)
    step = 1e-5
    for j, unit in enumerate(np.eye(theta.size) * step):
        up, down = theta + unit, theta - unit
        rise = flr.loss(X, y, up, backend=backend, **combination) - flr.loss(
            X, y, down, backend=backend, **combination
        )
        assert_allclose(rise / (2 * step), gradient[j], rtol=1e-6, atol=1e-8)
        turn = (
            flr.loss_gradient(X, y, up, backend=backend, **combination)[1]
            - flr.loss_gradient(X, y, down, backend=backend, **combination)[1]
        )
        assert_allclose(turn / (2 * step), hessian[j], rtol=1e-6, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_and_value(data):
    n = data.draw(st.integers(1, 40), "n")
    d = data.draw(st.integers(1, 12), "d")
    loss, activation = data.draw(st.sampled_from(ONE_MARGIN), "combination")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    scale = 10.0 ** data.draw(st.integers(-12, 6), "scale")
    X = rng.normal(size=(n, d)) * scale
    theta = rng.normal(size=d + 1)
    y = data.draw(st.sampled_from([rng.random(n), np.round(rng.random(n)), np.zeros(n)]), "y")
    compare(X, y, theta, loss=loss, activation=activation, rtol=1e-9)


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
@pytest.mark.parametrize("batch_size", [1, 3, 16, None])
@pytest.mark.parametrize("storage", ["C", "csr"])
def test_training_takes_the_same_steps(storage, combination, batch_size, shuffle, rng):
    X, y, theta = problem(rng, 50, 3)
    X = stored(X, storage, rng)
    results = [
        flr.train(
            X,
            y,
            theta=theta,
            batch_size=batch_size,
            learning_rate=0.05,
            n_epochs=3,
            shuffle=shuffle,
            seed=7,
            backend=name,
            **combination,
        )
        for name in BACKENDS
    ]
    for other in results[1:]:
        assert_allclose(other.theta, results[0].theta, rtol=1e-11)
        assert_allclose(other.losses, results[0].losses, rtol=1e-11)


@pytest.mark.parametrize("order", ["C", "F"])
def test_training_with_batches_of_several_chunks(order, rng):
    X, y, theta = problem(rng, 45_000, 6)
    X = np.asarray(X, order=order)
    results = [
        flr.train(X, y, theta=theta, batch_size=20_000, n_epochs=2, seed=3, backend=name)
        for name in ("numpy", "numba")
    ]
    assert_allclose(results[1].theta, results[0].theta, rtol=1e-11)
    assert_allclose(results[1].losses, results[0].losses, rtol=1e-11)


def stored(X, storage, rng):
    """Return X in C or Fortran order, or (with some values left out) in CSR form."""
    return as_csr(X, rng)[0] if storage == "csr" else np.asarray(X, order=storage)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("storage", ["C", "F", "csr"])
def test_curvatures_products_and_moments_give_the_hessian(
    storage, weighted, combination, backend, rng, monkeypatch
):
    X, y, theta = problem(rng, 70, 4)
    X = stored(X, storage, rng)
    weights = rng.random(70) if weighted else None
    offset = rng.normal(size=70)
    bind = backends.get(backend).bind
    bound = bind(X, y, weights, offset, PassSpec(**combination))
    assert bound.total_weight == pytest.approx(weights.sum() if weighted else 70.0)
    value, gradient, hessian = bound(theta, 2)
    h, moments = np.full(70, np.nan), np.full(9, np.nan)
    for kept in ({"curvatures": h}, {"moments": moments}):
        again = bound(theta, 1, **kept)
        assert again[0] == pytest.approx(value, rel=1e-14)
        assert_allclose(again[1], gradient, rtol=1e-12, atol=1e-13)
    near = {"rtol": 1e-11, "atol": 1e-13 * abs(hessian).max()}
    v = rng.normal(size=5)
    assert_allclose(bound.product(h, v), hessian @ v, **near)
    slopes = bind(X, None, None, None, PassSpec(intercept=False))
    assert_allclose(slopes.product(h, v[1:]), hessian[1:, 1:] @ v[1:], **near)
    assert_allclose(bound.moments(h), [*hessian[0], *np.diag(hessian)[1:]], **near)
    assert_allclose(moments, bound.moments(h), **near)
    change = abs(X @ v[1:] + v[0])[(weights if weighted else np.ones(70)) > 0]
    assert bound.largest_margin(v) == pytest.approx(change.max())
    monkeypatch.setattr(rows_module, "_FEW_VALUES", 0)
    assert bound.largest_margin(v) == pytest.approx(change.max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("storage", ["C", "F", "csr"])
def test_chosen_rows(weighted, storage, backend, rng):
    X, y, theta = problem(rng, 90, 3)
    X = stored(X, storage, rng)
    rows = np.sort(rng.choice(90, 40, replace=False))
    weights = rng.random(90) if weighted else None
    bind, spec = backends.get(backend).bind, PassSpec()
    whole = bind(X, y, weights, None, spec)
    sample = whole.sample(rows)
    same = bind(X[rows], y[rows], None if weights is None else weights[rows], None, spec)
    for a, b in zip(sample(theta, 2), same(theta, 2), strict=True):
        assert_allclose(a, b, rtol=1e-12)
    assert sample.n_rows == 40
    assert sample.total_weight == pytest.approx(same.total_weight)
    assert whole.n_rows == 90
    assert_allclose(sample.margins(theta), same.margins(theta), rtol=1e-12)
    assert_allclose(sample.predict_pair(theta), same.predict_pair(theta), rtol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("storage", ["C", "F", "csr"])
def test_margins_and_predictions(storage, intercept, combination, backend, rng):
    X, _, theta = problem(rng, 30, 3, intercept=intercept)
    offset = rng.normal(size=30)
    spec = PassSpec(**combination, intercept=intercept)
    X = stored(X, storage, rng)
    bound = backends.get(backend).bind(X, None, None, offset, spec)
    z = X @ theta[int(intercept) :] + (theta[0] if intercept else 0.0)
    near = {"rtol": 1e-12, "atol": 1e-13}
    assert_allclose(bound.margins(theta, with_offset=False), z, **near)
    z += offset
    assert_allclose(bound.margins(theta), z, **near)
    if combination["activation"] == "identity":
        assert_allclose(bound.predict(theta), z, **near)
        return
    p = (np.tanh(z) + 1) / 2 if combination["activation"] == "tanh" else 1 / (1 + np.exp(-z))
    assert_allclose(bound.predict(theta), p, **near)
    assert_allclose(bound.predict_pair(theta), np.column_stack([1 - p, p]), **near)


@pytest.mark.parametrize("storage", ["C", "F", "csr"])
def test_the_first_value_that_is_not_finite(storage, backend, rng):
    X = rng.normal(size=(40, 3))
    bind = backends.get(backend).bind
    assert bind(stored(X, storage, rng), None, None, None, PassSpec()).first_not_finite() is None
    X[7, 2], X[7, 1], X[30, 0] = np.inf, np.nan, np.nan
    X = sparse.csr_array(X) if storage == "csr" else np.asarray(X, order=storage)
    assert bind(X, None, None, None, PassSpec()).first_not_finite() == (7, 1)


@pytest.mark.parametrize(("n", "d"), [(60_000, 3), (4_000, 90)])
def test_curvatures_of_many_chunks(n, d, rng):
    X, y, theta = problem(rng, n, d)
    found, expected = np.full(n, np.nan), np.empty(n)
    for name, h in (("numba", found), ("numpy", expected)):
        backends.get(name).bind(X, y, None, None, PassSpec())(theta, 1, curvatures=h)
    assert_allclose(found, expected, rtol=1e-12)


def test_each_kernel_has_one_signature_for_each_storage():
    """Calls after the first don't ask for types; with NUMBA_BOUNDSCHECK all calls so far did."""
    for kernel in Kernel.made:
        for code, signatures in kernel.signatures().items():
            assert len(signatures) <= 1, (kernel.__name__, code, signatures)
