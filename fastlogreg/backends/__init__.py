"""The three backends: one signature, three ways to compute.

``"loop"`` is scalar Python, one sample at a time; ``"numpy"`` is the vectorized
formula on whole arrays; ``"numba"`` is the fused block pipeline. Each is a module
with the functions of :class:`Backend`; :func:`get` imports it on first use, so that
nobody pays for Numba who asked for NumPy.

The contract of every function (:mod:`fastlogreg.validation` establishes it, the
backends rely on it and check nothing):

- ``X`` is (n, d), float32 or float64, perhaps read-only: an array, C- or Fortran-contiguous, or
  a SciPy matrix in CSR form, its columns in order and none twice in a row, with int32 or int64
  indices (:data:`Matrix`);
- ``y``, ``sample_weight``, ``offset`` are (n,) float64 and contiguous;
- ``theta`` is (p,) float64 and contiguous: ``[b, w_1 .. w_d]`` with an intercept
  (p = d + 1), else ``[w_1 .. w_d]`` (p = d);
- ``(loss, activation)`` is a pair of :data:`COMBINATIONS`;
- the results are float64.
"""

from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LOSSES: Final = ("bce", "mse")
ACTIVATIONS: Final = ("sigmoid", "tanh", "identity")
COMBINATIONS: Final = (
    ("bce", "sigmoid"),
    ("bce", "tanh"),
    ("mse", "sigmoid"),
    ("mse", "tanh"),
    ("mse", "identity"),
)
BACKENDS: Final = ("loop", "numpy", "numba")

Matrix: TypeAlias = "NDArray[np.floating] | csr_array"


class Backend(Protocol):
    """What a backend module offers."""

    def predict(
        self,
        X: Matrix,
        theta: NDArray[np.float64],
        *,
        offset: NDArray[np.float64] | None,
        activation: str,
        intercept: bool,
        n_threads: int | None,
    ) -> NDArray[np.float64]:
        """Return the predictions, (n,): the activation of ``X @ w + b + offset``."""

    def evaluate(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        theta: NDArray[np.float64],
        *,
        sample_weight: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        loss: str,
        activation: str,
        intercept: bool,
        order: int,
        n_threads: int | None,
        rows: NDArray[np.int64] | None = None,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return (weighted) mean loss, its gradient (p,) and its Hessian (p, p).

        ``order`` says how many derivatives are wanted: 0, 1 or 2; those not wanted
        are None. ``rows`` names the samples to use, all by default. ``curvatures``,
        as long as there are samples, is filled with weight times second derivative h of
        the loss in the margin; ``moments``, (1 + 2 d,), with the sums of h, of h x and of h x²
        (both at order 0 or 1).
        """

    def solving(self, p: int) -> AbstractContextManager[None]:
        """Return what a solver of p parameters runs in, so that passes find the threads free."""

    def hessian_passes(self, X: Matrix, p: int) -> float:
        """Return what ``evaluate`` of order 2 costs, in evaluations of order 1 (an estimate)."""

    def hessian_product(
        self,
        X: Matrix,
        curvatures: NDArray[np.float64],
        vector: NDArray[np.float64],
        *,
        intercept: bool,
        n_threads: int | None,
    ) -> NDArray[np.float64]:
        """Return ``A' diag(curvatures) A vector``, (p,), with A = [1, X] or X, in one pass."""

    def column_moments(
        self,
        X: Matrix,
        curvatures: NDArray[np.float64],
        *,
        n_threads: int | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``X' h`` and ``(X * X)' h``, each (d,), for h = curvatures, in one pass."""

    def train_epoch(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        theta: NDArray[np.float64],
        rows: NDArray[np.int64] | None,
        *,
        batch_size: int,
        learning_rate: float,
        loss: str,
        activation: str,
        intercept: bool,
        n_threads: int | None,
    ) -> NDArray[np.float64]:
        """Run one epoch of the lecture's five steps; ``theta`` is updated in place.

        Batch k takes the samples ``rows[k * batch_size : (k + 1) * batch_size]`` (in
        their stored order where ``rows`` is None; the last batch may be smaller).
        Returns the mean loss of each batch before its update, (n_batches,).
        """


@cache
def get(name: str) -> Backend:
    """Return the backend of that name (one of :data:`BACKENDS`)."""
    return cast(Backend, import_module(f"fastlogreg.backends.{name}"))
