"""The functional interface: what it accepts, and one clear error for what it doesn't."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr

X = np.array([[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]])
Y = np.array([0.0, 0.0, 1.0, 1.0])
THETA = np.array([0.1, 0.5, -0.1])
EXPECTED = flr.loss_gradient(X, Y, THETA, backend="loop")

BAD = {
    "no rows": ({"X": np.empty((0, 2)), "y": []}, ValueError, r"X must have at least 1 sample"),
    "no columns": ({"X": np.empty((4, 0))}, ValueError, r"X must have .* 1 feature"),
    "1-d X": ({"X": X[:, 0]}, ValueError, r"X must be a 2-d array.*1-d.*reshape"),
    "3-d X": ({"X": X[None]}, ValueError, "X must be a 2-d array"),
    "object X": ({"X": X.astype(object)}, TypeError, "X must be an array of real numbers.*object"),
    "complex X": ({"X": X + 1j}, ValueError, "X: complex data not supported"),
    "text X": ({"X": [["a", "b"]] * 4}, TypeError, "X must be an array of real numbers"),
    "short y": ({"y": Y[:3]}, ValueError, "y must have length 4 .*got 3"),
    "2-d y": ({"y": Y[:, None]}, ValueError, "y must be 1-d"),
    "text y": ({"y": list("abab")}, TypeError, "y must be an array of real numbers"),
    "label 2": ({"y": [0, 1, 2, 1]}, ValueError, r"y must lie in \[0, 1\].*2.0 at index 2"),
    "label -1": ({"y": [0, -1, 1, 1]}, ValueError, r"y must lie in \[0, 1\].*-1.0 at index 1"),
    "theta too short": ({"theta": THETA[:2]}, ValueError, "theta must have length 3.*got 2"),
    "theta too long": (
        {"intercept": False},
        ValueError,
        "theta must have length 2 .*intercept=False.*got 3",
    ),
    "complex theta": ({"theta": THETA + 1j}, ValueError, "theta: complex"),
    "negative weight": (
        {"sample_weight": [1, -1, 1, 1]},
        ValueError,
        "sample_weight must be finite and not negative, got negative .* at index 1",
    ),
    "NaN weight": (
        {"sample_weight": [1, 1, np.nan, 1]},
        ValueError,
        "sample_weight must be finite.*index 2",
    ),
    "infinite weight": ({"sample_weight": [np.inf, 1, 1, 1]}, ValueError, "index 0"),
    "zero weights": ({"sample_weight": np.zeros(4)}, ValueError, "zero for every sample"),
    "short weights": ({"sample_weight": [1.0]}, ValueError, "sample_weight must have length 4"),
    "short offset": ({"offset": [1.0]}, ValueError, "offset must have length 4"),
    "loss": (
        {"loss": "hinge"},
        ValueError,
        "loss must be one of 'bce', 'mse', 'cross_entropy'; got 'hinge'",
    ),
    "activation": ({"activation": "relu"}, ValueError, "activation must be one of"),
    "pair": ({"activation": "identity"}, ValueError, "loss='bce' does not go with"),
    "backend": ({"backend": "cuda"}, ValueError, "backend must be one of .*got 'cuda'"),
    "no threads": ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
    "half a thread": ({"n_threads": 0.5}, TypeError, "n_threads must be an integer or None"),
}


@pytest.mark.parametrize("function", [flr.loss, flr.loss_gradient, flr.loss_gradient_hessian])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_of_the_losses(function, case):
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        function(**{"X": X, "y": Y, "theta": THETA, **change})


@pytest.mark.parametrize(
    "case", [c for c, (change, *_) in BAD.items() if not {"y", "sample_weight", "loss"} & {*change}]
)
def test_bad_input_of_predict_proba(case):
    change, error, message = BAD[case]
    if case == "pair":
        pytest.skip("the identity is fine where there is no loss")
    with pytest.raises(error, match=message):
        flr.predict_proba(**{"X": X, "theta": THETA, **change})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an integer or None"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate must be above 0 and finite"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a real number"),
        ({"n_epochs": 0}, ValueError, "n_epochs must be at least 1"),
        ({"n_epochs": True}, TypeError, "n_epochs must be an integer"),
        ({"theta": [1.0]}, ValueError, "theta must have length 3"),
        ({"y": [0, 1, 2, 1]}, ValueError, r"y must lie in \[0, 1\]"),
        ({"loss": "hinge"}, ValueError, "loss must be one of"),
        ({"backend": "cuda"}, ValueError, "backend must be one of"),
    ],
)
def test_bad_input_of_train(change, error, message):
    with pytest.raises(error, match=message):
        flr.train(**{"X": X, "y": Y, **change})


def frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a):
    wide = np.zeros((2 * a.shape[0], *(2 * s for s in a.shape[1:])))
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


ACCEPTED = {
    "lists": np.ndarray.tolist,
    "read-only": frozen,
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "big-endian": lambda a: a.astype(">f8"),
    "frame or series": lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a),
}


@pytest.mark.parametrize("convert", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_forms(backend, convert):
    before = [a.copy() for a in (X, Y, THETA)]
    value, gradient = flr.loss_gradient(convert(X), convert(Y), convert(THETA), backend=backend)
    assert value == pytest.approx(EXPECTED[0], rel=1e-14)
    assert_allclose(gradient, EXPECTED[1], rtol=1e-13)
    for a, b in zip((X, Y, THETA), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "?", "f2", ">f4", ">i4", np.longdouble])
def test_accepted_dtypes(backend, dtype):
    whole = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
    expected = flr.loss_gradient(whole.astype(float), Y, THETA, backend=backend)
    found = flr.loss_gradient(whole.astype(dtype), Y.astype(dtype), THETA, backend=backend)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_memmap(backend, tmp_path):
    path = tmp_path / "X.bin"
    X.tofile(path)
    mapped = np.memmap(path, dtype=float, mode="r", shape=X.shape)
    assert flr.loss(mapped, Y, THETA, backend=backend) == pytest.approx(EXPECTED[0], rel=1e-14)


def test_one_row_and_one_column(backend):
    value = flr.loss([[2.0]], [1.0], [0.0, 0.5], backend=backend)
    assert value == pytest.approx(np.log1p(np.exp(-1.0)))


def test_what_fits_is_not_copied():
    from fastlogreg.data import validation

    for matrix in (X, np.asfortranarray(X), X.astype(np.float32), frozen(X)):
        assert validation.check_matrix(matrix) is matrix
    assert validation.check_vector(Y, "y", 4) is Y


class TestTrain:
    def test_the_start_is_not_changed(self, backend):
        start = THETA.copy()
        result = flr.train(X, Y, theta=start, n_epochs=3, backend=backend)
        np.testing.assert_array_equal(start, THETA)
        assert result.theta is not start

    def test_losses_are_those_before_each_update(self, backend):
        result = flr.train(X, Y, theta=THETA, n_epochs=5, backend=backend)
        assert result.losses[0] == pytest.approx(EXPECTED[0], rel=1e-13)
        assert (np.diff(result.losses) < 0).all()

    def test_epoch_losses_weigh_batches_by_their_size(self, backend):
        result = flr.train(
            X, Y, batch_size=3, n_epochs=2, shuffle=False, learning_rate=1e-12, backend=backend
        )
        assert result.batch_sizes.tolist() == [3, 1]
        assert result.losses.shape == (4,)
        assert_allclose(result.epoch_losses, flr.loss(X, Y, np.zeros(3)), rtol=1e-9)

    def test_a_seed_makes_it_repeatable(self, backend):
        def run(seed):
            return flr.train(X, Y, batch_size=1, seed=seed, n_epochs=2, backend=backend).theta

        np.testing.assert_array_equal(run(1), run(1))
        assert (run(1) != run(2)).any()

    def test_a_batch_larger_than_the_data_is_the_data(self, backend):
        large = flr.train(X, Y, batch_size=100, n_epochs=2, backend=backend)
        whole = flr.train(X, Y, n_epochs=2, backend=backend)
        np.testing.assert_array_equal(large.theta, whole.theta)
