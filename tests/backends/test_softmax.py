"""Softmax and cross-entropy: passes of all backends, against the oracle and each other."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import fastlogreg
from fastlogreg import backends
from fastlogreg.backends import PassSpec
from fastlogreg.backends.numba import threads
from fastlogreg.backends.numba.passes import rows as rows_module
from fastlogreg.backends.numba.passes import softmax as bound
from fastlogreg.backends.numba.passes.plan import Shape, plan_of_classes
from tests import oracle

LIMIT = 6.0  # ULP: a sum and a division more than with one margin


def spec(K, intercept=True, n_threads=None):
    return PassSpec("cross_entropy", "softmax", intercept, n_threads, K)


def bind(name, X, y, theta, *, weights=None, offset=None, intercept=True, n_threads=None):
    return backends.get(name).bind(
        X, y, weights, offset, spec(theta.shape[0], intercept, n_threads)
    )


def problem(rng, n, d, K, *, intercept=True, soft=False):
    y = rng.dirichlet(np.ones(K), n) if soft else rng.integers(0, K, n).astype(np.float64)
    return rng.normal(size=(n, d)), y, rng.normal(size=(K, d + intercept)) / np.sqrt(d + 1)


def stored(X, storage, dtype=np.float64):
    if storage.startswith("int"):
        matrix = sparse.csr_array(np.where(np.abs(X) < 0.4, 0.0, X).astype(dtype))
        matrix.indices, matrix.indptr = (
            matrix.indices.astype(storage),
            matrix.indptr.astype(storage),
        )
        return matrix
    out = np.array(X, dtype=dtype, order=storage)
    out.flags.writeable = False
    return out


def everything(name, X, y, theta, **kind):
    """Return all that a pass can tell, by name."""
    one = bind(name, X, y, theta, **kind)
    n, K = one.n_rows, theta.shape[0]
    d = X.shape[1]
    value, gradient, hessian = one(theta, 2)
    P, moments = np.full((n, K), np.nan), np.full((K, 1 + 2 * d), np.nan)
    again, same_gradient, none = one(theta, 1, curvatures=P, moments=moments)
    assert none is None
    only, *nothing = one(theta, 0)
    assert nothing == [None, None]
    assert_allclose([again, only], value, rtol=1e-13)
    assert_allclose(same_gradient, gradient, rtol=1e-12, atol=1e-13 * abs(gradient).max())
    assert gradient.shape == theta.shape and gradient.flags.c_contiguous
    assert_array_equal(hessian, hessian.T)
    v = np.cos(np.arange(theta.size)).reshape(theta.shape)
    product = one.product(P, v)
    scale = abs(hessian).max() + 1e-300
    assert_allclose(product.ravel(), hessian @ v.ravel(), rtol=1e-10, atol=1e-12 * scale)
    assert_allclose(one.moments(P), moments, rtol=1e-11, atol=1e-13 * abs(moments).max())
    proba, margins = one.predict(theta), one.margins(theta)
    assert_allclose(proba, P, rtol=1e-13)
    assert_allclose(np.exp(one.log_proba(theta)), P, rtol=1e-12)
    classes = one.predict_class(theta)
    assert classes.dtype == np.int64
    assert_array_equal(classes, margins.argmax(axis=1))
    return {
        "value": np.array(value),
        "gradient": gradient,
        "hessian": hessian,
        "moments": moments,
        "proba": proba,
        "margins": margins,
        "bare margins": one.margins(theta, with_offset=False),
        "largest": np.array(one.largest_margin(theta)),
    }


def compare(X, y, theta, names=backends.BACKENDS, rtol=1e-11, **kind):
    first, *others = (everything(name, X, y, theta, **kind) for name in names)
    for other in others:
        for what, expected in first.items():
            near = rtol * abs(expected).max() + 1e-300
            assert_allclose(other[what], expected, rtol=rtol, atol=near, err_msg=what)


# --- accuracy ----------------------------------------------------------------------------


def margins_to_test(K, seed=3):
    """Return rows of margins whose differences are exact, so that only the formulas err."""
    rng = np.random.default_rng(seed)
    scales = np.repeat([0.1, 2.0, 30.0, 600.0], 25)
    Z = rng.normal(size=(scales.size, K)) * scales[:, None]
    Z[::7, 1] = Z[::7, 0]  # ties
    special = np.zeros((8, K))
    special[0, 0], special[1, 0], special[2, -1] = 40.0, 1e4, -1e4
    special[3], special[4, 1], special[5, 0] = 1e4, 700.0, 2.0**-30
    special[6, 0], special[7, :2] = -700.0, 1e4
    return np.round(np.vstack([Z, special]) * 2.0**16) / 2.0**16


def exact_softmax(z):
    top = max(z)
    t = [mp.exp(mp.mpf(float(a)) - mp.mpf(float(top))) for a in z]
    total = mp.fsum(t)
    others = mp.fsum(t[k] for k in range(len(t)) if k != list(z).index(top))
    return t, total, others, mp.mpf(float(top))


@pytest.mark.parametrize("K", [2, 3, 7])
def test_accuracy_in_units_of_the_last_place(K, backend):
    Z = margins_to_test(K)
    theta = np.zeros((K, 2))
    worst = dict.fromkeys(("p", "log p", "value", "residual"), 0.0)
    nothing = np.zeros((1, 1))
    with mp.workdps(400):
        for z in Z:
            t, total, _, top = exact_softmax(z)
            one = bind(backend, nothing, None, theta, offset=z[None, :])
            p, log_p = one.predict(theta)[0], one.log_proba(theta)[0]
            for k in range(K):
                log = mp.mpf(float(z[k])) - top - mp.log(total)
                worst["p"] = max(worst["p"], oracle.ulps(p[k], t[k] / total))
                worst["log p"] = max(worst["log p"], oracle.ulps(log_p[k], log))
                code = np.array([float(k)])
                row = bind(backend, nothing, code, theta, offset=z[None, :])
                value, gradient, _ = row(theta, 1)
                worst["value"] = max(worst["value"], oracle.ulps(value, -log))
                for m in range(K):
                    rest = mp.fsum(t[i] for i in range(K) if i != m)
                    exact = -rest / total if m == k else t[m] / total
                    found = oracle.ulps(gradient[m, 0], exact)
                    worst["residual"] = max(worst["residual"], found)
    assert max(worst.values()) <= LIMIT, worst


def test_rows_of_probabilities_lose_no_digit(backend, rng):
    """A target of one class as a row of probabilities is the code, to a few roundings."""
    K = 4
    Z = margins_to_test(K)
    theta, nothing = np.zeros((K, 2)), np.zeros((Z.shape[0], 1))
    codes = rng.integers(0, K, Z.shape[0])
    for i in range(Z.shape[0]):
        here = {"offset": Z[i : i + 1]}
        by_code = bind(backend, nothing[:1], codes[i : i + 1].astype(float), theta, **here)(theta)
        by_row = bind(backend, nothing[:1], np.eye(K)[codes[i : i + 1]], theta, **here)(theta)
        assert_allclose(by_row[0], by_code[0], rtol=1e-15)
        assert_allclose(by_row[1], by_code[1], rtol=2e-15, atol=0)


@pytest.mark.parametrize("soft", [False, True])
def test_derivatives_by_differentiation_in_60_digits(soft, backend, rng):
    K, d, n = 3, 2, 4
    X, y, theta = problem(rng, n, d, K, soft=soft)
    weights, offset = rng.random(n), rng.normal(size=(n, K))
    with mp.workdps(oracle.DIGITS):
        targets = y if soft else np.eye(K)[y.astype(int)]

        def f(*flat):
            total = mp.mpf(0)
            for i in range(n):
                x = [mp.mpf(1)] + [mp.mpf(float(a)) for a in X[i]]
                z = [
                    mp.fsum(flat[k * 3 + j] * x[j] for j in range(3)) + mp.mpf(float(offset[i, k]))
                    for k in range(K)
                ]
                log_sum = mp.log(mp.fsum(mp.exp(a) for a in z))
                loss = mp.fsum(mp.mpf(float(targets[i, k])) * (log_sum - z[k]) for k in range(K))
                total += mp.mpf(float(weights[i])) * loss
            return total

        at = tuple(mp.mpf(float(t)) for t in theta.ravel())
        unit = np.eye(9, dtype=int)
        slope = [float(mp.diff(f, at, tuple(map(int, unit[j])))) for j in range(9)]
        column = [float(mp.diff(f, at, tuple(map(int, unit[j] + unit[4])))) for j in range(9)]
        exact = float(f(*at))
    one = bind(backend, X, y, theta, weights=weights, offset=offset)
    value, gradient, hessian = one(theta, 2)
    assert value == pytest.approx(exact, rel=1e-14)
    assert_allclose(gradient.ravel(), slope, rtol=1e-12, atol=1e-14)
    assert_allclose(hessian[4], column, rtol=1e-12, atol=1e-14)


def test_two_classes_are_the_sigmoid(backend, rng):
    X, y, theta = problem(rng, 50, 4, 2)
    one = backends.get(backend).bind(X, y, None, None, PassSpec())
    difference = theta[1] - theta[0]
    value, gradient, hessian = one(difference, 2)
    found = bind(backend, X, y, theta)(theta, 2)
    assert found[0] == pytest.approx(value, rel=1e-13)
    assert_allclose(found[1], [-gradient, gradient], rtol=1e-12, atol=1e-13)
    assert_allclose(found[2], np.kron([[1, -1], [-1, 1]], hessian), rtol=1e-12, atol=1e-13)


def test_huge_margins_overflow_nowhere(backend):
    theta = np.array([[0.0, 1e4], [0.0, -1e4], [0.0, 0.0]])
    X = np.array([[1.0], [-1.0], [0.0]])
    P = bind(backend, X, None, theta).predict(theta)
    assert_allclose(P, [[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)
    for code, expected in ((0.0, 2e4 + math.log(3)), (2.0, 2e4 + math.log(3))):
        value, gradient, hessian = bind(backend, X, np.full(3, code), theta)(theta, 2)
        assert value == pytest.approx(expected, rel=1e-15)
        assert np.isfinite(gradient).all() and np.isfinite(hessian).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("soft", [False, True])
def test_a_value_that_is_not_finite_makes_the_loss_nan(bad, soft, backend, rng):
    X, y, theta = problem(rng, 20, 3, 3, soft=soft)
    X[11, 1] = bad
    with np.errstate(invalid="ignore"):
        one = bind(backend, X, y, theta)
        assert math.isnan(one(theta, 1)[0])
        assert one.first_not_finite() == (11, 1)


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5, 1e300, -1e300, math.nan, math.inf])
def test_a_code_that_is_no_class_makes_the_loss_nan(bad, rng):
    X, y, theta = problem(rng, 20, 3, 3)
    y[5] = bad
    assert math.isnan(bind("numba", X, y, theta)(theta, 2)[0])


# --- every kind of input -----------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("extra", ["plain", "weights", "offset", "both"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", ["C", "F", "int32", "int64"])
def test_every_kind_of_input(storage, dtype, extra, soft, intercept, rng):
    X, y, theta = problem(rng, 23, 4, 3, intercept=intercept, soft=soft)
    kind = {"intercept": intercept}
    if extra in ("weights", "both"):
        kind["weights"] = rng.random(23) * (rng.random(23) < 0.8)
    if extra in ("offset", "both"):
        kind["offset"] = rng.normal(size=(23, 3))
    compare(stored(X, storage, dtype), y, theta, **kind)


@pytest.mark.parametrize("n", [1, 3, 5, 17])
@pytest.mark.parametrize(
    ("d", "K"),
    [(1, 2), (2, 4), (3, 5), (5, 3), (8, 1), (7, 18), (4, 33), (9, 8), (17, 25), (23, 12)],
)
@pytest.mark.parametrize("storage", ["C", "F", "int32"])
def test_every_remainder(storage, d, K, n, rng):
    X, y, theta = problem(rng, n, d, K)
    compare(stored(X, storage), y, theta, ("numpy", "numba"))


@pytest.mark.parametrize(
    ("n", "d", "K"), [(3_000, 5, 3), (2_000, 20, 7), (1_500, 75, 3), (900, 9, 40)]
)
@pytest.mark.parametrize("storage", ["C", "F", "int32"])
def test_many_blocks_chunks_and_the_blas(storage, n, d, K, rng):
    X, y, theta = problem(rng, n, d, K)
    kind = {"weights": rng.random(n), "offset": rng.normal(size=(n, K))}
    compare(stored(X, storage), y, theta, ("numpy", "numba"), **kind)


def test_a_thousand_classes(rng):
    X, y, theta = problem(rng, 400, 3, 1000)
    a, b = (bind(name, X, y, theta) for name in ("numpy", "numba"))
    (value, gradient, _), (found, same, _) = a(theta), b(theta)
    assert found == pytest.approx(value, rel=1e-13)
    assert_allclose(same, gradient, rtol=1e-10, atol=1e-13 * abs(gradient).max())
    P = a.predict(theta)
    assert_allclose(b.predict(theta), P, rtol=1e-13)
    v = rng.normal(size=theta.shape)
    expected = a.product(P, v)
    assert_allclose(b.product(P, v), expected, rtol=1e-10, atol=1e-13 * abs(expected).max())


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("storage", ["C", "F", "int32"])
def test_chosen_rows(storage, weighted, soft, backend, rng, monkeypatch):
    X, y, theta = problem(rng, 90, 4, 3, soft=soft)
    X = stored(X, storage)
    weights, offset = rng.random(90) if weighted else None, rng.normal(size=(90, 3))
    rows = np.sort(rng.choice(90, 40, replace=False))
    sample = bind(backend, X, y, theta, weights=weights, offset=offset).sample(rows)
    same = bind(
        backend,
        X[rows],
        y[rows],
        theta,
        weights=None if weights is None else weights[rows],
        offset=offset[rows],
    )
    assert sample.n_rows == 40
    assert sample.total_weight == pytest.approx(same.total_weight)
    for a, b in zip(sample(theta, 2), same(theta, 2), strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    P = same.predict(theta)
    for name in ("margins", "predict", "log_proba", "predict_class", "largest_margin"):
        assert_allclose(getattr(sample, name)(theta), getattr(same, name)(theta), rtol=1e-12)
    monkeypatch.setattr(rows_module, "_FEW_VALUES", 0)
    for one in (sample, same):
        largest = abs(same.margins(theta, with_offset=False)).max()
        assert one.largest_margin(theta) == pytest.approx(largest, rel=1e-12)
    assert_allclose(sample.moments(P), same.moments(P), rtol=1e-11, atol=1e-13)
    assert_allclose(sample.product(P, theta), same.product(P, theta), rtol=1e-10, atol=1e-12)


def test_chosen_rows_of_many_columns(rng):
    X, y, theta = problem(rng, 500, 80, 3)
    weights = rng.random(500)
    rows = np.sort(rng.choice(500, 200, replace=False))
    sample = bind("numba", X, y, theta, weights=weights).sample(rows)
    same = bind("numba", X[rows], y[rows], theta, weights=weights[rows])
    for a, b in zip(sample(theta, 2), same(theta, 2), strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_rows_of_no_weight_count_nothing(backend, rng):
    X, y, theta = problem(rng, 30, 3, 3)
    weights = np.where(np.arange(30) < 20, rng.random(30), 0.0)
    found = bind(backend, X, y, theta, weights=weights)(theta, 2)
    expected = bind(backend, X[:20], y[:20], theta, weights=weights[:20])(theta, 2)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    value, gradient, hessian = bind(backend, X, y, theta, weights=np.zeros(30))(theta, 2)
    assert value == 0.0 and not gradient.any() and not hessian.any()


def test_curvatures_of_certain_rows_do_not_cancel(backend):
    """Where p is 1 to the last bit, 1 - p and the product with the Hessian keep their digits."""
    theta, X = np.zeros((3, 2)), np.ones((1, 1))
    offset = np.array([[50.0, 0.0, -3.0]])
    one = bind(backend, X, np.zeros(1), theta, offset=offset)
    P = one.predict(theta)
    rest = np.exp(-50) + np.exp(-53)
    assert_allclose(one.moments(P)[0], rest, rtol=1e-14)
    moments = np.empty((3, 3))
    hessian = one(theta, 2)[2]
    one(theta, 1, moments=moments)
    assert_allclose(moments[0], rest, rtol=1e-14)
    assert_allclose(hessian[0, 0], rest, rtol=1e-14)
    v = np.array([[1e3, 0.0], [1e3, 0.0], [2e3, 0.0]])  # differs for the third class only
    assert_allclose(one.product(P, v)[0, 0], -1e3 * np.exp(-53), rtol=1e-13)


@given(
    st.integers(1, 60), st.integers(1, 9), st.integers(1, 12), st.booleans(), st.integers(0, 2**32)
)
@settings(max_examples=40, deadline=None)
def test_random_problems(n, d, K, soft, seed):
    rng = np.random.default_rng(seed)
    X, y, theta = problem(rng, n, d, K, soft=soft)
    X *= 10.0 ** rng.integers(-3, 3)
    storage = ("C", "F", "int32")[seed % 3]
    compare(stored(X, storage), y, theta, ("numpy", "numba"), rtol=1e-9, weights=rng.random(n))


# --- threads -----------------------------------------------------------------------------


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize(("n", "d", "K"), [(20_000, 6, 4), (2_000, 80, 3), (3_000, 10, 60)])
@pytest.mark.parametrize("storage", ["C", "F", "int32"])
def test_same_bits_for_any_number_of_threads(storage, n, d, K, pool, monkeypatch, rng):
    if pool:
        monkeypatch.setattr(threads, "prange_is_safe", lambda: False)
    monkeypatch.setattr(threads, "SERIAL_SECONDS", 0.0)
    X, y, theta = problem(rng, n, d, K)
    X, weights = stored(X, storage), rng.random(n)
    found = []
    for count in (1, 2, 3):
        one = bind("numba", X, y, theta, weights=weights, n_threads=count)
        P, moments = np.empty((n, K)), np.empty((K, 1 + 2 * d))
        value, gradient, _ = one(theta, 1, curvatures=P, moments=moments)
        found.append(
            [value, gradient, P, moments, one.product(P, theta), one.predict(theta)]
            + ([] if K > 10 else list(one(theta, 2)))
        )
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_array_equal(a, b)


def test_what_a_chunk_raises_is_raised(monkeypatch, rng):
    X, y, theta = problem(rng, 6_000, 5, 3)
    plan = 1 << 50, 1_000, 6, 1e-3  # the first: rows of a block, whose buffers no memory holds
    monkeypatch.setattr(bound, "plan_of_classes", lambda *shape: plan)
    one = bind("numba", X, y, theta)
    for call in (one, one.predict):
        with pytest.raises(MemoryError):
            call(theta)


# --- compiled when it is used, and once -----------------------------------------------------

SCRIPT = """
import json
import numpy as np
from fastlogreg.backends import PassSpec
from fastlogreg.backends.numba import bind
from fastlogreg.backends.numba.passes import kernels, softmax_kernels

X = np.arange(12.0).reshape(4, 3)
bind(X, None, None, None, PassSpec()).predict(np.zeros(4))
after_two_classes = len(softmax_kernels.predict._compiled)
spec = PassSpec("cross_entropy", "softmax", n_outputs=2)
P = bind(X, None, None, None, spec).predict(np.zeros((2, 4)))
used = softmax_kernels.predict._compiled["d"]
print(json.dumps([
    after_two_classes, P.tolist(), sum(used.stats.cache_hits.values()), len(used.signatures)
]))
"""


def test_the_next_process_loads_what_one_compiled(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment |= {
        "PYTHONPATH": str(Path(fastlogreg.__file__).parents[1]),
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    for hits in (0, 1):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        assert json.loads(done.stdout) == [0, [[0.5, 0.5]] * 4, hits, 1]


def test_blocks_of_wide_columns_are_copied_in_little_memory():
    for d in (4, 500, 100_000):
        block, *_ = plan_of_classes(10_000, Shape(d, 8, by_column=True), (3, d + 1), 1, False)
        assert block == 32 or 8 * block * d <= 1 << 20
