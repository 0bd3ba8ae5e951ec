"""The compiled mini-batch loop: equal to plain NumPy, step by step, to itself on any threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from fastlogreg.backends import BatchSpec
from fastlogreg.backends.numba import threads
from fastlogreg.backends.numba.minibatch import epochs
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.epochs import Epochs
from fastlogreg.backends.numba.minibatch.state import (
    OPTIMIZERS,
    SCHEDULES,
    Rule,
    forget_scales,
    new_state,
    parameters,
)
from tests import minibatch_reference as reference

ALL = np.empty(0, np.int64)


def rule(optimizer="sgd", eta0=0.1, schedule="constant", **changes):
    plain = Rule(
        optimizer=OPTIMIZERS.index(optimizer),
        schedule=SCHEDULES.index(schedule),
        eta0=eta0,
        power=0.5,
        shift=10.0,
        alpha=0.01,
        momentum=0.9,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        l1=0.0,
        l2=0.0,
        average_from=-1.0,
        learns_scales=0,
        centres=0,
        stops=1,
    )
    return plain._replace(**changes)


def make(n, d, seed=0, *, empty=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(0.1, 10, d) + np.linspace(0, 1, d)
    X[rng.random(X.shape) < empty] = 0.0
    return X, rng.integers(2, size=n).astype(float), rng


def run(X, y, how, *, batch_size, n_epochs=1, shuffle=False, seed=0, losses=None, **kind):
    """Return theta after some epochs from zeros."""
    spec, rows = {}, {}
    for name, value in kind.items():
        (spec if name in BatchSpec._fields else rows)[name] = value
    batches = Epochs(X, y, BatchSpec(batch_size, shuffle, **spec), **rows)
    state = new_state(batches.p, sparse=batches.sparse)
    if how.learns_scales:
        forget_scales(state, intercept=True)
    random = np.random.default_rng(seed)
    for _ in range(n_epochs):
        batches.run(state, how, batches.order(random), losses)
    return parameters(state, how, intercept=True, sparse=batches.sparse)


def in_order(n, batch_size, n_epochs=1):
    return [list(range(lo, min(lo + batch_size, n))) for lo in range(0, n, batch_size)] * n_epochs


STORAGES = {"C": np.ascontiguousarray, "F": np.asfortranarray, "csr": csr_array}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scales", [False, True], ids=["as they are", "scales"])
@pytest.mark.parametrize("average", [False, True], ids=["last", "average"])
def test_every_optimizer_follows_numpy(optimizer, storage, scales, average):
    X, y, rng = make(203, 7, empty=0.6 if storage == "csr" else 0.1)
    weight, offset = rng.random(203), rng.normal(size=203)
    centres = scales and storage != "csr"
    how = rule(
        optimizer,
        l1=0.003,
        l2=0.05,
        average_from=0.0 if average else -1.0,
        learns_scales=int(scales),
        centres=int(centres),
    )
    losses = np.empty(21)
    found = run(
        STORAGES[storage](X),
        y,
        how,
        batch_size=10,
        n_epochs=3,
        losses=losses,
        sample_weight=weight,
        offset=offset,
    )
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
    )
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(losses, at_each[-21:], rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 3, 50, 1000])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_every_size_of_batch_and_each_loss(optimizer, batch_size, combination):
    X, y, _ = make(201, 5)
    how = rule(optimizer, eta0=0.01, learns_scales=1, centres=1, l2=0.01)
    found = run(X, y, how, batch_size=batch_size, n_epochs=2, **combination)
    expected, _ = reference.train(
        X,
        y,
        in_order(201, batch_size, 2),
        optimizer=optimizer,
        rate=lambda t: 0.01,
        l2=0.01,
        scales=True,
        **combination,
    )
    assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        ("constant", lambda t: 0.1),
        ("invscaling", lambda t: 0.1 / (t + 1) ** 0.5),
        ("optimal", lambda t: 1.0 / (0.01 * (10.0 + t))),
    ],
)
def test_schedules(schedule, rate):
    X, y, _ = make(64, 3)
    X *= 0.1
    found = run(X, y, rule(schedule=schedule), batch_size=8)
    expected, _ = reference.train(X, y, in_order(64, 8), rate=rate)
    assert_allclose(found, expected, rtol=1e-10)


def test_scales_are_learned_in_the_first_samples_and_then_in_every_64th_batch():
    X, y, _ = make(19_000, 3)
    X[5000:] *= 4.0
    how = rule("adagrad", learns_scales=1, centres=1)
    found = run(X, y, how, batch_size=50)
    expected, _ = reference.train(X, y, in_order(19_000, 50), optimizer="adagrad", scales=True)
    assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("shuffle", [False, True, "full"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("batch_size", [64, 1000, 4096])
def test_same_bits_for_any_number_of_threads(monkeypatch, batch_size, storage, shuffle):
    monkeypatch.setattr(epochs, "SERIAL_SECONDS", 0.0)
    X, y, _ = make(20_011, 20, empty=0.7 if storage == "csr" else 0.0)
    X = STORAGES[storage](X)
    how = rule("adagrad", learns_scales=1, centres=int(storage != "csr"), average_from=0.0, l2=1e-3)

    def theta(n_threads):
        return run(X, y, how, batch_size=batch_size, shuffle=shuffle, n_threads=n_threads)

    one = theta(1)
    assert np.isfinite(one).all()
    for n_threads in (2, 3, 8):
        assert_array_equal(theta(n_threads), one)


def test_sixteen_python_threads_train_at_once():
    X, y, _ = make(30_000, 10)
    how = rule("adagrad", learns_scales=1, centres=1)
    expected = run(X, y, how, batch_size=2048, shuffle=True, n_threads=1)

    def work(_):
        for _ in range(3):
            assert_array_equal(run(X, y, how, batch_size=2048, shuffle=True, n_threads=4), expected)
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_a_leader_does_without_its_workers(monkeypatch):
    X, y, _ = make(30_000, 10)
    how = rule()
    expected = run(X, y, how, batch_size=2048, n_threads=1)

    def leader_first(work, n, n_threads):
        for rank in range(n):  # all in one thread: workers come when all is over
            work(rank)

    monkeypatch.setattr(epochs, "run_on_pool", leader_first)
    monkeypatch.setattr(epochs, "SERIAL_SECONDS", 0.0)
    assert_array_equal(run(X, y, how, batch_size=2048, n_threads=8), expected)


def test_an_epoch_ends_at_a_loss_that_is_not_finite():
    X, y, _ = make(100, 3)
    X[57] = np.inf
    batches = Epochs(X, y, BatchSpec(10, shuffle=False))
    state = new_state(4)
    batches.run(state, rule(), batches.order(None))
    assert state.clock[0].failed == 1
    assert state.clock[0].updates == 5
    assert np.isfinite(state.theta).all()


class TestOrder:
    def rows(self, order, n):
        picked = np.empty(n, np.int64)
        orders.fill(order, 0, n, picked)
        return picked

    @pytest.mark.parametrize("n", [1024, 5000, 40_961])
    @pytest.mark.parametrize("height", [8, 32])
    def test_windows_hold_each_row_once(self, n, height):
        order = orders.by_windows(n, height, np.random.default_rng(0), ALL)
        found = self.rows(order, n)
        assert_array_equal(np.sort(found), np.arange(n))
        again = self.rows(orders.by_windows(n, height, np.random.default_rng(1), ALL), n)
        assert (again != found).mean() > 0.9

    def test_positions_may_be_taken_in_any_pieces(self):
        order = orders.by_windows(5000, 8, np.random.default_rng(0), ALL)
        whole = self.rows(order, 5000)
        for lo, n in ((0, 1), (250, 12), (255, 300), (4990, 10), (4850, 150)):
            piece = np.empty(n, np.int64)
            orders.fill(order, lo, n, piece)
            assert_array_equal(piece, whole[lo : lo + n])

    def test_windows_of_sorted_rows_look_alike(self):
        n, height = 100_000, 8
        order = orders.by_windows(n, height, np.random.default_rng(0), ALL)
        size = height * orders.STRETCHES
        found = self.rows(order, n)[: n // size * size].reshape(-1, size)
        second = (found >= n // 2).mean(axis=1)
        assert abs(second - 0.5).max() <= 2 / orders.STRETCHES
        assert np.corrcoef(np.arange(size), found.mean(axis=0))[0, 1] < 0.3  # and no order within

    def test_a_subset_is_all_that_is_used(self):
        subset = np.flatnonzero(np.arange(3000) % 3)
        for order in (
            orders.as_stored(subset),
            orders.listed(np.arange(subset.size)[::-1].copy(), subset),
            orders.by_windows(subset.size, 8, np.random.default_rng(0), subset),
        ):
            assert_array_equal(np.sort(self.rows(order, subset.size)), subset)

    def test_few_rows_are_permuted_whole(self):
        X, y, _ = make(500, 3)
        order = Epochs(X, y, BatchSpec(10)).order(np.random.default_rng(0))
        assert order.listed.size == 500


def test_serial_work_asks_for_no_threads():
    X, y, _ = make(300, 3)
    assert Epochs(X, y, BatchSpec(10)).threads == 1
    X, y, _ = make(30_000, 20)
    assert Epochs(X, y, BatchSpec(4096, n_threads=4)).threads == 4
    assert threads.default_threads() >= 1


ONE_COLUMN_FIRST = """
import numpy as np
from scipy.sparse import csr_array
from fastlogreg import MiniBatchLogisticRegression
from fastlogreg.backends.numba.minibatch.batches import train

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 5))
y = (X[:, 0] + rng.normal(size=64) > 0.0).astype(int)
how = {"standardize": False, "shuffle": False, "tol": None, "max_iter": 2, "batch_size": 16}
MiniBatchLogisticRegression(fit_intercept=False, **how).fit(csr_array(X[:, :1]), y)
for optimizer in ("sgd", "momentum", "momentum"):
    model = MiniBatchLogisticRegression(optimizer=optimizer, **how)
    coef = model.fit(csr_array(X), y).coef_.copy()
    np.testing.assert_allclose(coef, model.fit(X, y).coef_, rtol=1e-9)
assert all(len(found) == 1 for found in train.signatures().values()), train.signatures()
"""


def test_one_sparse_column_before_several():
    """The kernel of the first call is that of all later ones: it must be right for them."""
    run = subprocess.run([sys.executable, "-c", ONE_COLUMN_FIRST], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
