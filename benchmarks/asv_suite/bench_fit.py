"""asv: exact fits: time, peak memory, and beside them the quality of the answer and the passes."""

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness import quality


class Fit:
    param_names = ("case",)
    params = (list(cases.FITS),)
    repeat = (2, 10, 2.0)
    warmup_time = 0
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
