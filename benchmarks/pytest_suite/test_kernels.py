"""pytest-benchmark: loss and gradient, backend x shape x dtype, and that the backends agree."""

import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr
from benchmarks import cases
from fastlogreg.backends import BACKENDS

_IDS = [f"{n}x{d}" for n, d in cases.SMALL_SHAPES + cases.SHAPES[1:]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", cases.SMALL_SHAPES + cases.SHAPES[1:], ids=_IDS)
def test_loss_gradient(benchmark, shape, dtype, backend):
    if not cases.backend_can(backend, *shape):
        pytest.skip("too many values for the loop backend")
    X, y, theta = cases.kernel_data(*shape, dtype)
    benchmark.group = f"{shape[0]} x {shape[1]} {dtype}"
    value, gradient = benchmark(flr.loss_gradient, X, y, theta, backend=backend)
    expected = flr.loss_gradient(X, y, theta, backend="numpy")
    assert value == pytest.approx(expected[0], rel=1e-11)
    assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-11)
