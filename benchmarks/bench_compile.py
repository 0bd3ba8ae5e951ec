"""asv: what a process pays before its first answer: imports, compilation, loading the cache."""

import os
import shutil
import subprocess
import sys
import tempfile

_FIT = """
import numpy as np
from sklearn.datasets import load_iris
from fastlogreg import LogisticRegression
X, y = load_iris(return_X_y=True)
LogisticRegression().fit(X[y > 0], y[y > 0])
"""
_PEER = _FIT.replace("from fastlogreg", "from sklearn.linear_model")


def run(code, cache=None):
    """Run a program in a process of its own, with a kernel cache of its own where given."""
    env = dict(os.environ)
    if cache is not None:
        env["NUMBA_CACHE_DIR"] = cache
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


class Import:
    """Import time in a fresh process (its start is not counted)."""

    number = 1

    def timeraw_fastlogreg(self):
        return "import fastlogreg"

    def timeraw_estimator(self):
        return "from fastlogreg import LogisticRegression"

    def timeraw_functions(self):
        return "from fastlogreg import loss_gradient"

    def timeraw_numba(self):
        return "import numba"

    def timeraw_sklearn_linear_model(self):
        return "import sklearn.linear_model"


class Process:
    """A whole process that fits iris."""

    number = 1
    repeat = 5
    rounds = 1
    warmup_time = 0
    timeout = 300.0

    def setup(self):
        run(_FIT)

    def time_fit_with_warm_cache(self):
        run(_FIT)

    def time_fit_by_scikit_learn(self):
        run(_PEER)


class FreshCache:
    """A whole process that fits iris and finds nothing compiled."""

    number = 1
    repeat = 2
    rounds = 1
    warmup_time = 0
    timeout = 300.0

    def setup(self):
        self.cache = tempfile.mkdtemp()

    def teardown(self):
        shutil.rmtree(self.cache, ignore_errors=True)

    def time_fit(self):
        shutil.rmtree(self.cache, ignore_errors=True)
        run(_FIT, self.cache)
