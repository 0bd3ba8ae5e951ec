"""asv: mini-batch training: epochs by size of batch, and time to 0.1 % of the optimum."""

from functools import partial

import numpy as np

import fastlogreg as flr
from benchmarks import cases, minibatch_table
from fastlogreg import backends


class Epoch:
    """One shuffled epoch of the compiled loop at the estimator's default rule."""

    param_names = ("shape", "batch")
    params = (minibatch_table.EPOCH_SHAPES, minibatch_table.BATCHES)
    repeat = (2, 10, 2.0)
    warmup_time = 0

    def setup(self, shape, batch):
        X, y = cases.synthetic(*shape)
        steps = flr.MiniBatchLogisticRegression(alpha=1e-6)._settings().steps
        self.stream = backends.get("numba").mini_batches(X, y, backends.BatchSpec(batch), steps)
        self.stream.begin(None)
        self.random = np.random.default_rng(0)
        self.stream.epoch(self.random, 1.0)  # compilation is not what is timed

    def time_epoch(self, shape, batch):
        self.stream.epoch(self.random, 1.0)


class Train:
    """One epoch of ``train``: stochastic, mini-batch, batch."""

    param_names = ("batch_size", "shuffle")
    params = ((1, 32, 256, 4096, None), (False, True))
    repeat = (2, 10, 2.0)
    warmup_time = 0

    def setup(self, batch_size, shuffle):
        X, y, _ = cases.kernel_data(200_000, 20, "float64")
        self.call = partial(
            flr.train, X, y, batch_size=batch_size, shuffle=shuffle, seed=0, n_epochs=1
        )
        self.call()

    def time_epoch(self, batch_size, shuffle):
        self.call()


class Target:
    """Epochs until 0.1 % above the optimum: their time, and their number beside it."""

    param_names = ("case",)
    params = (tuple(name for name in minibatch_table.TARGET_CASES if name != "CSR 2e4 x 5e4"),)
    repeat = (2, 10, 2.0)
    warmup_time = 0
    timeout = 600.0

    def setup(self, case):
        (X, y, *_), _ = minibatch_table.problem_of(case)
        self.X, self.y = X, y
        reached = minibatch_table.reach(lambda: minibatch_table.ours_by_epoch(X, y), case, 20.0)
        self.n_epochs = reached["epochs"].get(1e-3, 100)

    def time_target(self, case):
        flr.MiniBatchLogisticRegression(
            alpha=1.0 / self.y.size, max_iter=self.n_epochs, tol=None, random_state=0
        ).fit(self.X, self.y)

    def track_epochs(self, case):
        return self.n_epochs

    track_epochs.unit = "epochs"
