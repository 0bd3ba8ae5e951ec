"""asv: one evaluation of each kernel, backend x shape x dtype."""

from functools import partial
from typing import Any

import fastlogreg as flr
from benchmarks import cases
from fastlogreg.backends import BACKENDS, ONE_MARGIN


class _Kernel:
    """Data of a shape, and one call beforehand: compilation is not what is timed."""

    param_names = ("backend", "shape", "dtype")
    params: Any = (BACKENDS, cases.SHAPES, cases.DTYPES)
    repeat = (2, 10, 2.0)
    warmup_time = 0
    timeout = 300.0
    function: Any

    def setup(self, backend, shape, dtype):
        if not cases.backend_can(backend, *shape):
            raise NotImplementedError  # asv: leave this combination out
        X, y, theta = cases.kernel_data(*shape, dtype)
        self.call = partial(type(self).function, X, y, theta, backend=backend)
        if backend != "loop":
            self.call()


class LossGradient(_Kernel):
    function = flr.loss_gradient

    def time_loss_gradient(self, backend, shape, dtype):
        self.call()


class Hessian(_Kernel):
    params = (("numpy", "numba"), ((1_000, 10), (1_000_000, 20), (200_000, 100)), cases.DTYPES)
    function = flr.loss_gradient_hessian

    def time_loss_gradient_hessian(self, backend, shape, dtype):
        self.call()


class Formulas:
    """Every loss and activation, where the pointwise stage is most of the time."""

    param_names = ("loss-activation",)
    params = (["-".join(pair) for pair in ONE_MARGIN],)
    repeat = (2, 10, 2.0)
    warmup_time = 0

    def setup(self, pair):
        loss, activation = pair.split("-")
        X, y, theta = cases.kernel_data(1_000_000, 2, "float64")
        self.call = partial(flr.loss_gradient, X, y, theta, loss=loss, activation=activation)
        self.call()

    def time_loss_gradient(self, pair):
        self.call()
