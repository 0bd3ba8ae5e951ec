"""Estimators from any thread and any process: the same bits, and nobody hangs or dies.

Run once under each threading layer (``NUMBA_THREADING_LAYER``). What the backend promises
about threads is in ``backends/test_threads.py``; here whole fits and predictions.
"""

import _thread
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_info

from fastlogreg import LogisticRegression


def problem(n, d=5):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, d))
    return X, (X[:, 0] + rng.normal(size=n) > 0).astype(int)


def answer(n):
    X, y = problem(n)
    model = LogisticRegression().fit(X, y)
    return np.concatenate([model.intercept_, model.coef_[0], model.predict_proba(X)[:5, 1]])


# one that a single thread does, one of several chunks
SIZES = (300, 12_000)


def test_sixteen_threads_fit_and_predict_200_times_each():
    problems = [problem(n) for n in SIZES]
    expected = [answer(n) for n in SIZES]

    def work(k):
        for i in range(200):
            which = (i + k) % 2
            X, y = problems[which]
            model = LogisticRegression().fit(X, y)
            proba = model.predict_proba(X)[:5, 1]
            found = np.concatenate([model.intercept_, model.coef_[0], proba])
            assert_array_equal(found, expected[which])
        return k

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == list(range(16))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fit_then_fork_then_fit_in_the_child():
    expected = answer(SIZES[1])
    pid = os.fork()
    if pid == 0:
        same = np.array_equal(answer(SIZES[1]), expected)
        os._exit(0 if same else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert_array_equal(answer(SIZES[1]), expected)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on {sys.platform}")
    expected = [answer(n) for n in SIZES]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for found, same in zip(pool.map(answer, SIZES * 3), expected * 3, strict=True):
            assert_array_equal(found, same)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("solver", ["newton", "newton-cg", "lbfgs"])
def test_ctrl_c_is_answered_and_leaves_the_process_usable(solver):
    expected = answer(SIZES[1])
    X, y = problem(40_000, 120)  # wide enough that Newton limits the BLAS' threads
    model = LogisticRegression(solver=solver, tol=1e-14, max_iter=10_000)
    model.fit(X, y)
    pools = threadpool_info()
    timer = threading.Timer(0.05, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        for _ in range(5_000):  # minutes
            model.fit(X, y)
    timer.join()
    assert threadpool_info() == pools
    assert_array_equal(answer(SIZES[1]), expected)
    coef = model.coef_
    assert_array_equal(model.fit(X, y).coef_, coef)
