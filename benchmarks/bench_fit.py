"""asv: exact fits: time, peak memory, and beside them the quality of the answer and the passes."""

import fastlogreg as flr
from benchmarks import cases, quality


class Fit:
    param_names = ("case",)
    params = (list(cases.FITS),)
    timeout = 600.0

    def setup(self, case):
        self.problem = cases.fit_data(case)
        self.fit()  # compilation is not what is timed

    def fit(self):
        X, y, weights, C = self.problem
        return flr.LogisticRegression(C=C).fit(X, y, sample_weight=weights)

    def time_fit(self, case):
        self.fit()

    def peakmem_fit(self, case):
        self.fit()

    def track_above_optimum(self, case):
        return quality.above_optimum(self.problem, self.fit())

    track_above_optimum.unit = "relative"

    def track_passes(self, case):
        return float(self.fit().n_passes_)

    track_passes.unit = "passes"


class Predict:
    """The estimator's prediction of one row and of many: what serving a model costs."""

    param_names = ("rows",)
    params = ((1, 1_000, 1_000_000),)

    def setup(self, rows):
        self.X, y, _ = cases.kernel_data(1_000_000, 20, "float64")
        self.model = flr.LogisticRegression().fit(self.X[:10_000], y[:10_000])
        self.X = self.X[:rows]
        self.model.predict_proba(self.X)

    def time_predict_proba(self, rows):
        self.model.predict_proba(self.X)

    def time_predict(self, rows):
        self.model.predict(self.X)
