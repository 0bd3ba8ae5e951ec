"""asv: what a process pays before its first answer: imports, compilation, loading the cache.

The programs are those of ``python -m benchmarks.cold_start``.
"""

from benchmarks import cold_start


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
    """A whole process that finds its kernels compiled."""

    param_names = ("program",)
    params = (list(cold_start.WARM),)
    number = 1
    repeat = 5
    rounds = 1
    warmup_time = 0
    timeout = 300.0

    def setup(self, program):
        cold_start.run(program)

    def time_process(self, program):
        cold_start.run(program)


class FreshCache:
    """A whole process that finds nothing compiled."""

    param_names = ("program",)
    params = (list(cold_start.FRESH),)
    number = 1
    repeat = 2
    rounds = 1
    warmup_time = 0
    timeout = 300.0

    def time_process(self, program):
        cold_start.run(program)
