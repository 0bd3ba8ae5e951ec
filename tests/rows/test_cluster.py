"""Rows in partitions of Dask: without a client, on threads, on processes, and with one killed."""

import os
import signal
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastlogreg as flr
from fastlogreg.data import cluster as cluster_rows
from fastlogreg.data.centred import NearParts
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import PartedRows

da = pytest.importorskip("dask.array", reason="the extra dask")
dd = pytest.importorskip("dask.dataframe", reason="the extra dask")
distributed = pytest.importorskip("distributed", reason="the extra dask")

N, D, PARTS = 12_000, 5, 6

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def rows():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(N, D)) * [1, 10, 0.1, 1, 1] + [0, 100, 0, 0, 0]
    z = X @ [0.5, 0.05, 3, -1, 0] - 5
    y = np.where(rng.random(N) < 1 / (1 + np.exp(-z)), "yes", "no")
    return X, y, rng.random(N) + 0.1, rng.normal(size=N) * 0.2


def part(k, which):
    """Return a partition, made by the worker that needs it."""
    size = N // PARTS
    return rows()[which][k * size : (k + 1) * size]


def collection(which, dtype=float):
    from dask.delayed import delayed

    shape = (N // PARTS, D) if which == 0 else (N // PARTS,)
    return da.concatenate(
        [da.from_delayed(delayed(part)(k, which), shape, dtype=dtype) for k in range(PARTS)]
    )


@pytest.fixture(scope="module")
def in_memory():
    X, y, weights, offset = rows()
    return flr.LogisticRegression(tol=1e-12).fit(X, y, weights, offset=offset)


def fitted():
    return flr.LogisticRegression(tol=1e-12).fit(
        collection(0), collection(1, "U3"), collection(2), offset=collection(3)
    )


def cluster(**more):
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, **more
    )


def test_without_a_client(in_memory):
    model = fitted()
    assert model.converged_
    assert_allclose(model.coef_, in_memory.coef_, rtol=1e-6, atol=1e-8)
    assert model.n_passes_ <= in_memory.n_passes_ + 2.5


def test_on_processes_of_which_one_is_killed(in_memory, monkeypatch):
    from fastlogreg.data.cluster import Partitions

    with cluster(processes=True) as local, distributed.Client(local) as client:
        model = fitted()
        again = fitted()
        assert_allclose(model.coef_, in_memory.coef_, rtol=1e-6, atol=1e-8)
        assert_array_equal(model.coef_, again.coef_)  # whoever was first
        asked, ask = [], Partitions.ask

        def killing(self, question, spec):
            asked.append(question)
            if len(asked) == 3:
                pids = client.run(os.getpid)
                os.kill(next(iter(pids.values())), signal.SIGKILL)
            return ask(self, question, spec)

        monkeypatch.setattr(Partitions, "ask", killing)
        model = fitted()
        assert len(asked) > 3
        assert_array_equal(model.coef_, again.coef_)


def test_on_threads_of_this_process():
    X, y, _, _ = rows()
    stage = (np.abs(X[:, 0]) * 2).astype(int) % 3
    lazy = da.from_array(X, chunks=(5000, 2)), da.from_array(stage, chunks=3000)
    options = {"class_weight": "balanced", "C": 0.1}
    with cluster(processes=False) as local, distributed.Client(local):
        for solver in ("newton", "newton-cg", "lbfgs"):
            model = flr.LogisticRegression(solver=solver, **options).fit(*lazy)
            own = flr.LogisticRegression(**options).fit(X, stage)
            assert model.objective_ == pytest.approx(own.objective_, rel=1e-7)
        for more in ({"l1_ratio": 1.0, "C": 0.01}, {"lower_bounds": 0.0}):
            model = flr.LogisticRegression(**more).fit(lazy[0], da.from_array(y == "yes"))
            own = flr.LogisticRegression(**more).fit(X, y == "yes")
            assert model.objective_ == pytest.approx(own.objective_, rel=1e-7)


def test_predictions_are_lazy(in_memory):
    X = rows()[0]
    lazy = da.from_array(X, chunks=(5000, 2))
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        method = getattr(in_memory, name)
        found = method(lazy)
        assert isinstance(found, da.Array)
        assert found.shape == method(X).shape and found.dtype == method(X).dtype
        assert_array_equal(found.compute(), method(X))
    three = flr.LogisticRegression().fit(X, np.arange(N) % 3)
    assert_array_equal(three.predict_proba(lazy).compute(), three.predict_proba(X))


def test_frames():
    X, y, weights, _ = rows()
    frame = pd.DataFrame(X, columns=list("abcde")).assign(y=y, w=weights)
    lazy = dd.from_pandas(frame, npartitions=4)
    model = flr.LogisticRegression().fit(lazy[list("abcde")], lazy.y, lazy.w)
    own = flr.LogisticRegression().fit(frame[list("abcde")], y, weights)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert_allclose(model.coef_, own.coef_, rtol=1e-4, atol=1e-6)
    found = model.predict_proba(lazy[list("abcde")])
    assert_array_equal(found.compute(), model.predict_proba(frame[list("abcde")]))


def test_a_frame_with_text_is_a_table():
    frame = pd.DataFrame({"x": np.arange(50.0) % 7, "c": list("abcde") * 10, "y": [0, 1] * 25})
    lazy = dd.from_pandas(frame, npartitions=3)
    model = flr.LogisticRegression().fit(flr.open_rows(lazy, target="y"))
    own = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    assert_array_equal(model.coef_, own.coef_)
    assert model.feature_names_in_.tolist() == ["x", "c_a", "c_b", "c_c", "c_d", "c_e"]


def test_bad_collections_are_refused(in_memory):
    X, y, weights, _ = rows()
    lazy, labels = da.from_array(X, chunks=(3000, D)), da.from_array(y, chunks=3000)
    broken = X.copy()
    broken[7001, 3] = np.nan
    fit = flr.LogisticRegression().fit
    for arguments, error, message in (
        ((da.from_array(broken, chunks=(3000, D)), labels), ValueError, "row 7001, column 3"),
        ((lazy, y), TypeError, "y must be a collection of Dask"),
        ((lazy, labels[:-1]), ValueError, "y has 11999 values for the 12000 rows"),
        ((lazy, None), ValueError, "y must be given"),
        ((lazy, da.zeros(N, chunks=3000)), ValueError, "only one class: 0.0"),
        ((lazy, da.random.random(N, chunks=3000)), ValueError, "continuous"),
        ((lazy, labels, da.from_array(-weights, chunks=3000)), ValueError, "not negative"),
        ((da.ones(5), labels), ValueError, "X must have rows and columns"),
        ((da.from_array(X.astype(str)), labels), ValueError, "partition 0"),
    ):
        with pytest.raises(error, match=message):
            fit(*arguments)
    with pytest.raises(TypeError, match="must be in memory here, and X is a collection"):
        flr.MiniBatchLogisticRegression().fit(lazy, labels)
    with pytest.raises(TypeError, match="a collection of Dask is taken by fit"):
        flr.MiniBatchLogisticRegression().partial_fit(lazy, labels, classes=["no", "yes"])
    with pytest.raises(TypeError, match="offset is not taken beside a collection"):
        in_memory.predict(lazy, offset=labels)


class TestColumnsInMemory:
    """Rows with some of the columns come to the client, where there is room for them."""

    def source(self, *which):
        given = (k if k is None else collection(k, "U3" if k == 1 else float) for k in which)
        opened = cluster_rows.open_collection(*given)
        return PartedRows(opened.source(None))

    def test_they_are_those_of_the_table(self):
        X, y, weights, offset = rows()
        parts = self.source(0, 1, 2, 3)
        some = parts.columns(np.array([1, 3]))
        assert isinstance(some, MemoryRows)
        assert parts.sample_readings() == 1.0
        for found, given in zip(
            some.arrays, (X[:, [1, 3]], y == "yes", weights, offset), strict=True
        ):
            assert_array_equal(found, given)
        near = parts.through(partial(NearParts, middle=np.arange(5.0)))
        found = near.columns(np.array([1, 3])).arrays[0]
        assert_allclose(found, X[:, [1, 3]] - [1.0, 3.0])
        few = parts.subset(np.array([0, 5, N - 1]))
        assert_array_equal(few.columns(np.array([2])).arrays[0], X[[0, 5, N - 1]][:, [2]])

    def test_without_room_they_stay_where_they_are(self, monkeypatch):
        monkeypatch.setattr(cluster_rows.Partitions, "room", 30 * N)
        parts = self.source(0, 1, None, None)
        assert isinstance(parts.columns(np.array([1, 3])), PartedRows)
        assert not parts.collects
        assert isinstance(parts.columns(np.array([1])), PartedRows)  # nobody asks again

    @pytest.mark.parametrize("room", [1 << 30, 0])
    def test_l1_of_more_entries_than_a_hessian_has(self, monkeypatch, room):
        monkeypatch.setattr(cluster_rows.Partitions, "room", room)
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 500))
        y = (2.0 * X[:, :8] + rng.gumbel(size=(200, 8))).argmax(axis=1)
        model = flr.LogisticRegression(l1_ratio=0.3, C=1.0)
        best = model.fit(X, y).objective_
        lazy = da.from_array(X, chunks=(50, 500)), da.from_array(y, chunks=50)
        if room:
            model.fit(*lazy)
            assert model.objective_ == pytest.approx(best, rel=2e-8)
        else:
            with pytest.warns(ConvergenceWarning, match="no convergence"):
                model.fit(*lazy)
