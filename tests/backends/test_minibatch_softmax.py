"""The compiled mini-batch loop with softmax: equal to plain NumPy, to itself on any threads."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from fastlogreg import backends
from fastlogreg.backends import BatchSpec, StepSpec
from fastlogreg.backends.numba.minibatch import epochs
from tests import minibatch_reference as reference
from tests.backends.test_minibatch import STORAGES, in_order

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adam")
STEPS = StepSpec("adagrad", eta0=0.1, momentum=0.9, beta1=0.9, beta2=0.999, epsilon=1e-8)


def make(n, d, K, seed=0, *, empty=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(0.1, 10, d) + np.linspace(0, 1, d)
    X[rng.random(X.shape) < empty] = 0.0
    return X, rng.integers(K, size=n).astype(float), rng


def stream(X, y, K, steps, *, batch_size, shuffle=False, n_threads=1, **rows):
    spec = BatchSpec(
        batch_size, shuffle, "cross_entropy", "softmax", n_threads=n_threads, n_outputs=K
    )
    return backends.get("numba").mini_batches(X, y, spec, steps, **rows)


def run(X, y, K, steps, *, n_epochs=1, seed=0, **kind):
    """Return theta after some epochs from zeros, and their mean losses."""
    batches = stream(X, y, K, steps, **kind)
    batches.begin(None)
    random = np.random.default_rng(seed)
    ended = [batches.epoch(random, 1.0) for _ in range(n_epochs)]
    assert all(finite for _, finite in ended)
    return batches.theta(), [loss for loss, _ in ended]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scales", [False, True], ids=["as they are", "scales"])
@pytest.mark.parametrize("average", [False, True], ids=["last", "average"])
def test_every_optimizer_follows_numpy(optimizer, storage, scales, average):
    K = 5
    X, y, rng = make(203, 7, K, empty=0.6 if storage == "csr" else 0.1)
    weight, offset = rng.random(203), rng.normal(size=(203, K))
    steps = STEPS._replace(
        optimizer=optimizer,
        l1=0.003,
        l2=0.05,
        average_from=0.0 if average else -1.0,
        standardize=scales,
    )
    rows = {"sample_weight": weight, "offset": offset}
    found, losses = run(STORAGES[storage](X), y, K, steps, batch_size=10, n_epochs=3, **rows)
    expected, at_each = reference.train(
        X,
        y,
        in_order(203, 10, 3),
        optimizer=optimizer,
        l1=0.003,
        l2=0.05,
        scales=scales,
        sparse=storage == "csr",
        average=average,
        weight=weight,
        offset=offset,
        activation="softmax",
    )
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    batch_weight = np.array([weight[rows].sum() for rows in in_order(203, 10)])
    assert_allclose(losses[-1], np.average(at_each[-21:], weights=batch_weight), rtol=1e-9)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("K", [3, 4, 7, 20])
@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_any_number_of_classes_and_size_of_batch(storage, K, batch_size):
    X, y, _ = make(101, 4, K, empty=0.5 if storage == "csr" else 0.0)
    y[:K] = np.arange(K)
    steps = STEPS._replace(eta0=0.01, standardize=True, l2=0.01)
    found, _ = run(STORAGES[storage](X), y, K, steps, batch_size=batch_size)
    expected, _ = reference.train(
        X,
        y,
        in_order(101, batch_size),
        optimizer="adagrad",
        rate=lambda t: 0.01,
        l2=0.01,
        scales=True,
        sparse=storage == "csr",
        activation="softmax",
    )
    assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("shuffle", [False, True, "full"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("batch_size", [64, 4096])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_same_bits_for_any_number_of_threads(monkeypatch, optimizer, batch_size, storage, shuffle):
    monkeypatch.setattr(epochs, "SERIAL_SECONDS", 0.0)
    X, y, _ = make(10_011, 20, 5, empty=0.7 if storage == "csr" else 0.0)
    X = STORAGES[storage](X)
    steps = STEPS._replace(
        optimizer=optimizer, eta0=0.05, standardize=True, average_from=0.0, l2=1e-3
    )

    def theta(n_threads):
        return run(X, y, 5, steps, batch_size=batch_size, shuffle=shuffle, n_threads=n_threads)[0]

    one = theta(1)
    assert np.isfinite(one).all()
    for n_threads in (2, 3, 8):
        assert_array_equal(theta(n_threads), one)


@pytest.mark.parametrize("storage", STORAGES)
def test_float32_rows_are_as_their_values(storage):
    X, y, _ = make(500, 6, 3, empty=0.5)
    X = X.astype(np.float32)
    one, _ = run(STORAGES[storage](X), y, 3, STEPS, batch_size=32)
    other, _ = run(STORAGES[storage](X.astype(float)), y, 3, STEPS, batch_size=32)
    assert_allclose(one, other, rtol=1e-12)  # kernels of their own: not always the same bits


def test_an_epoch_ends_at_a_loss_that_is_not_finite():
    X, y, _ = make(100, 3, 3)
    X[57] = np.inf
    batches = stream(X, y, 3, STEPS, batch_size=10)
    batches.begin(None)
    _, finite = batches.epoch(None, 1.0)
    assert not finite
    assert batches.n_updates == 5
    assert np.isfinite(batches.theta()).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("average", [-1.0, 0.0], ids=["last", "average"])
@pytest.mark.parametrize("n_classes", [1, 4])
def test_a_state_goes_on_with_rows_of_another_storage(optimizer, average, n_classes):
    """Dense and sparse rows alternate: as dense ones alone, but for an order of sums."""
    X, y, _ = make(300, 5, max(2, n_classes), empty=0.3)
    steps = STEPS._replace(optimizer=optimizer, eta0=0.02, l1=0.01, l2=0.1, average_from=average)

    def trained(*forms):
        kept = None
        for k, form in enumerate(forms):
            piece = slice(100 * k, 100 * (k + 1))
            if n_classes == 1:
                rows = backends.get("numba").mini_batches(
                    form(X[piece]), y[piece], BatchSpec(100, False), steps
                )
            else:
                rows = stream(form(X[piece]), y[piece], n_classes, steps, batch_size=100)
            rows.begin(None) if kept is None else rows.go_on(kept)
            rows.epoch(None, 1.0)
            kept = rows.keep(sums=True)
        return rows.theta()

    expected = trained(np.asarray, np.asarray, np.asarray)
    for forms in (
        (csr_array, np.asarray, csr_array),
        (np.asarray, csr_array, np.asarray),
        (csr_array, csr_array, csr_array),
    ):
        assert_allclose(trained(*forms), expected, rtol=1e-9, atol=1e-12)
