"""Any thread, any fork: the same bits whoever computes, and nobody hangs or dies.

Run once under each threading layer (``NUMBA_THREADING_LAYER``); what needs a process of
its own gets one.
"""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.sparse import csr_array

from fastlogreg.backends import BatchSpec, PassSpec
from fastlogreg.backends import numba as backend
from fastlogreg.backends.numba import threads
from fastlogreg.backends.numba.passes import bound

# several chunks each, so that there is something to share out
SHAPES = [(60_000, 5), (20_000, 30), (6_000, 90)]


def make(n, d, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    y = (rng.random(n) < 0.5).astype(np.float64)
    return X, y, rng.normal(size=d + 1) / d


def bind(X, y, n_threads=None):
    return backend.bind(X, y, None, None, PassSpec(n_threads=n_threads))


@pytest.fixture(params=["numba's threads", "pool"])
def mode(request, monkeypatch):
    if request.param == "pool":
        monkeypatch.setattr(threads, "prange_is_safe", lambda: False)
    elif not threads.prange_is_safe():
        pytest.skip(f"the layer {threads.layer()!r} is not safe to enter from many threads")
    monkeypatch.setattr(threads, "SERIAL_SECONDS", 0.0)
    return request.param


@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_a_chunk_raises_is_raised(mode, n_threads, monkeypatch):
    X, y, theta = make(6_000, 5)
    plan = 1 << 50, 1_000, 6, 1e-3  # the first: rows of a block, whose buffers no memory holds
    monkeypatch.setattr(bound, "plan", lambda *shape: plan)
    with pytest.raises(MemoryError):
        bind(X, y, n_threads)(theta)
    with pytest.raises(MemoryError):
        bind(X, y, n_threads).predict(theta)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_same_bits_for_any_number_of_threads(mode, sparse, n, d):
    X, y, theta = make(n, d)
    if sparse:
        X = csr_array(np.where(X > 0, X, 0.0))

    def everything(n_threads):
        bound = bind(X, y, n_threads)
        value, gradient, hessian = bound(theta, 2)
        trained = theta.copy()
        spec = BatchSpec(n, shuffle=False, n_threads=n_threads)
        losses = backend.train_epoch(X, y, trained, None, spec, 0.1)
        proba = bound.predict_pair(theta)
        return [value, gradient, hessian, trained, losses, proba]

    one = everything(1)
    for n_threads in (2, 3, 8, None):
        for expected, found in zip(one, everything(n_threads), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_pool_and_numba_s_threads_agree_to_the_bit(monkeypatch):
    X, y, theta = make(60_000, 5)
    monkeypatch.setattr(threads, "SERIAL_SECONDS", 0.0)
    first = bind(X, y)(theta, 2)
    monkeypatch.setattr(threads, "prange_is_safe", lambda: False)
    second = bind(X, y)(theta, 2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sixteen_python_threads_at_once():
    problems = [make(n, d, seed=k) for k, (n, d) in enumerate(SHAPES)]
    expected = [bind(X, y, 1)(theta, 2) for X, y, theta in problems]

    def work(k):
        for i in range(12):
            which = (k + i) % len(problems)
            X, y, theta = problems[which]
            bound = bind(X, y)
            found = bound(theta, 2)
            for a, b in zip(found, expected[which], strict=True):
                np.testing.assert_array_equal(a, b)
            bound.predict(theta)
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_an_error_in_one_thread_is_raised_and_the_pool_goes_on():
    def work(c):
        if c == 3:
            raise ZeroDivisionError("chunk 3")

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="chunk 3"):
            threads.run_on_pool(work, 100, 4)
    done = []
    threads.run_on_pool(done.append, 100, 4)
    assert sorted(done) == list(range(100))


def run_script(body, **environment):
    """Run Python code in a process of its own, and return what it printed."""
    prelude = """
        import os, sys, threading
        import numpy as np
        from fastlogreg.backends import PassSpec, numba as backend
        from fastlogreg.backends.numba import threads

        def problem():
            rng = np.random.default_rng(0)
            X = rng.normal(size=(100_000, 8))
            return X, (X[:, 0] > 0).astype(float), np.full(9, 0.1)

        def evaluate(_=None):
            X, y, theta = problem()
            value, gradient, hessian = backend.bind(X, y, None, None, PassSpec())(theta, 2)
            return value, gradient.tolist(), hessian.tolist()
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(body)
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@needs_fork
def test_a_forked_child_computes_after_its_parent_did():
    out = run_script(
        """
        expected = evaluate()
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                same = evaluate() == expected and evaluate() == expected
                grandchild = os.fork()
                if grandchild == 0:
                    os._exit(0 if evaluate() == expected else 1)
                inner = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
                os._exit(0 if same and inner == 0 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert evaluate() == expected
        print("fine")
        """
    )
    assert "fine" in out


@needs_fork
def test_a_child_forked_while_other_threads_compute_can_compute():
    out = run_script(
        """
        expected = evaluate()
        stop = False

        def busy():
            while not stop:
                evaluate()

        workers = [threading.Thread(target=busy) for _ in range(4)]
        for worker in workers:
            worker.start()
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if evaluate() == expected else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stop = True
        for worker in workers:
            worker.join()
        print("fine")
        """
    )
    assert "fine" in out


@pytest.mark.parametrize("method", [pytest.param("fork", marks=needs_fork), "spawn"])
def test_multiprocessing(method, tmp_path):
    # spawn imports the main module anew, so it has to be a file
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import multiprocessing
            import numpy as np
            from fastlogreg.backends import PassSpec, numba as backend

            def evaluate(_=None):
                X = np.random.default_rng(0).normal(size=(100_000, 8))
                y = (X[:, 0] > 0).astype(float)
                bound = backend.bind(X, y, None, None, PassSpec())
                value, gradient, hessian = bound(np.full(9, 0.1), 2)
                return value, gradient.tolist(), hessian.tolist()

            if __name__ == "__main__":
                expected = evaluate()
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    assert pool.map(evaluate, range(4)) == [expected] * 4
                print("fine")
            """
        )
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fine" in result.stdout
