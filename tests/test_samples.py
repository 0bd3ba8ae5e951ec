"""Parts of rows in memory: of columns they are copied, and say the same."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr
from fastlogreg.data.memory import MemoryRows
from tests.problems import problem_of

N, D = 20_000, 5


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((N, D))
    y = (rng.random(N) < 1.0 / (1.0 + np.exp(-X[:, 0]))).astype(float)
    return X, y, rng.integers(0, 3, N).astype(float), rng.standard_normal(N)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_part_of_columns_is_that_of_rows(table, dtype, backend):
    X, y, s, o = table
    X = X.astype(dtype)
    rows = problem_of(X, y, sample_weight=s, offset=o, backend=backend)
    columns = problem_of(np.asfortranarray(X), y, sample_weight=s, offset=o, backend=backend)
    theta = np.linspace(-1.0, 1.0, D + 1)
    for step in (64, 8):
        ours, theirs = columns.part(step), rows.part(step)
        assert (ours.n_rows, ours.share) == (theirs.n_rows, theirs.share)
        assert theirs.share == N // step / N
        for found, expected in zip(
            ours.value_gradient_hessian(theta), theirs.value_gradient_hessian(theta), strict=True
        ):
            assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_readings_of_parts_are_counted_once(table):
    X, y, _, _ = table
    rows, columns = problem_of(X, y), problem_of(np.asfortranarray(X), y)
    for _ in range(2):
        rows.part(8), columns.part(8)
    assert (rows.n_passes, columns.n_passes) == (0.0, 1.0)
    columns.part(64)  # a value of each eighth line
    assert columns.n_passes == 1.125


def test_parts_are_of_the_rows_they_are_asked_of(table):
    X, y, s, _ = table
    rows = MemoryRows(np.asfortranarray(X), y, s)
    whole = rows.sample(8)
    other = rows.of(np.asfortranarray(2.0 * X)).sample(8)
    some = rows.subset(np.arange(0, N, 2)).sample(8)
    drawn = rows.times(np.ones(N, dtype=np.int64) * 2).sample(8)
    assert_allclose(other.arrays[0], 2.0 * whole.arrays[0])
    assert_allclose(drawn.arrays[2], 2.0 * whole.arrays[2])
    assert some.n_rows == N // 16 and some.fraction == 1 / 8
    assert np.isin(some.arrays[0][:, 0], X[::2, 0]).all()


def test_frames_of_many_rows_are_fitted_as_arrays_are(table):
    import pandas as pd

    X, y, s, _ = table
    frame = pd.DataFrame(X, columns=list("abcde"))
    for C in (1.0, np.inf):
        ours = flr.LogisticRegression(C=C, tol=1e-10).fit(frame, y, sample_weight=s)
        theirs = flr.LogisticRegression(C=C, tol=1e-10).fit(X, y, sample_weight=s)
        assert ours.converged_ and theirs.converged_
        assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
