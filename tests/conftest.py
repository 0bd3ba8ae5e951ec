"""What several test files share."""

import gc
import os
import signal

import numpy as np
import pytest

from fastlogreg.backends import BACKENDS, ONE_MARGIN


def pytest_configure(config):
    if "PYTEST_XDIST_WORKER" in os.environ:
        # processes share the cores: OpenMP's threads must not spin between passes
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        # uncompiled, NumPy's scalars warn of overflow where machine code is silent
        config.addinivalue_line("filterwarnings", "ignore::RuntimeWarning")


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture(params=ONE_MARGIN, ids="-".join)
def combination(request):
    """Keyword arguments for a loss and an activation that go together."""
    return dict(zip(("loss", "activation"), request.param, strict=True))


@pytest.fixture
def rng():
    return np.random.default_rng(20261123)


@pytest.fixture
def ctrl_c_is_heard():
    """Undo what a shell does to a process that it starts in the background: ignore SIGINT.

    Python drops what is raised in a callback of its garbage collector, and Hypothesis has one.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks
    signal.signal(signal.SIGINT, before)
