"""asv: prediction, by the function and by the estimator."""

from functools import partial

import fastlogreg as flr
from benchmarks import cases


class Function:
    param_names = ("backend", "shape", "dtype")
    params = (("numpy", "numba"), cases.SHAPES, cases.DTYPES)
    repeat = (2, 10, 2.0)
    warmup_time = 0
    timeout = 300.0

    def setup(self, backend, shape, dtype):
        X, _, theta = cases.kernel_data(*shape, dtype)
        self.call = partial(flr.predict_proba, X, theta, backend=backend)
        self.call()  # compilation is not what is timed

    def time_predict_proba(self, backend, shape, dtype):
        self.call()


class Estimator:
    """One row and many: what serving a model costs."""

    param_names = ("rows",)
    params = ((1, 1_000, 1_000_000),)
    repeat = (2, 10, 2.0)
    warmup_time = 0

    def setup(self, rows):
        self.X, y, _ = cases.kernel_data(1_000_000, 20, "float64")
        self.model = flr.LogisticRegression().fit(self.X[:10_000], y[:10_000])
        self.X = self.X[:rows]
        self.model.predict_proba(self.X)

    def time_predict_proba(self, rows):
        self.model.predict_proba(self.X)

    def time_predict(self, rows):
        self.model.predict(self.X)
