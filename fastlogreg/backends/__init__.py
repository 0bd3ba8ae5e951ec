"""The three backends: one protocol, three ways to compute.

``"loop"`` is scalar Python, one sample at a time; ``"numpy"`` is the vectorized
formula on whole arrays; ``"numba"`` is the fused block pipeline. Each is a module
with the functions of :class:`Backend`; :func:`get` imports it on first use, so that
nobody pays for Numba who asked for NumPy.

Rows are bound once to what is to be computed on them (:meth:`Backend.bind`), which gives a
:class:`Pass` to be called many times.

The contract of every function (:mod:`fastlogreg.data.validation` establishes it, the
backends rely on it and check nothing):

- ``X`` is (n, d), float32 or float64, perhaps read-only: an array, C- or Fortran-contiguous, or
  a SciPy matrix in CSR form, its columns in order and none twice in a row, with int32 or int64
  indices (:data:`Matrix`);
- ``y``, ``sample_weight``, ``offset`` are (n,) float64 and contiguous;
- ``theta`` is (p,) float64 and contiguous: ``[b, w_1 .. w_d]`` with an intercept
  (p = d + 1), else ``[w_1 .. w_d]`` (p = d);
- ``(loss, activation)`` is a pair of :data:`COMBINATIONS`;
- the results are float64.

With softmax a row has K margins (``n_outputs``) and theta is (K, p), C-contiguous, one row
``[b_k, w_k]`` a class. ``y`` is (n,), codes 0 .. K - 1, or (n, K), rows of probabilities;
``offset`` is (n, K). Gradients are (K, p), Hessians (K p, K p) class by class, moments
(K, 1 + 2 d), margins and predictions (n, K). What a pass keeps of its rows, ``curvatures``, are
the probabilities p (n, K), to which ``product`` and ``moments`` apply the weights themselves.
"""

from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LOSSES: Final = ("bce", "mse", "cross_entropy")
ACTIVATIONS: Final = ("sigmoid", "tanh", "identity", "softmax")
ONE_MARGIN: Final = (  # a row
    ("bce", "sigmoid"),
    ("bce", "tanh"),
    ("mse", "sigmoid"),
    ("mse", "tanh"),
    ("mse", "identity"),
)
COMBINATIONS: Final = (*ONE_MARGIN, ("cross_entropy", "softmax"))
BACKENDS: Final = ("loop", "numpy", "numba")

Matrix: TypeAlias = "NDArray[np.floating] | csr_array"


class PassSpec(NamedTuple):
    """What a pass computes, beside its rows.

    Attributes
    ----------
    loss, activation : str
        A pair of :data:`COMBINATIONS`.
    intercept : bool
        Whether theta begins with the bias.
    n_threads : int, optional
        Threads at most; default all.
    n_outputs : int, default=1
        Columns of margins.
    """

    loss: str = "bce"
    activation: str = "sigmoid"
    intercept: bool = True
    n_threads: int | None = None
    n_outputs: int = 1


class Pass(Protocol):
    """Rows bound to what is to be computed on them, to be called many times.

    What a call returns are sums over the rows, which parts of the rows can add: a mean is the
    sum divided by ``total_weight``, by whoever wants one.
    """

    n_rows: int
    total_weight: float

    @property
    def hessian_cost(self) -> float:
        """Return what a call of order 2 costs, in calls of order 1 (an estimate)."""

    def __call__(
        self,
        theta: NDArray[np.float64],
        order: int = 1,
        *,
        curvatures: NDArray[np.float64] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return the (weighted) sums of the losses, their gradients (p,) and Hessians (p, p).

        ``order`` says how many derivatives are wanted: 0, 1 or 2; those not wanted
        are None, the others arrays of the caller's own. ``curvatures``, (n_rows,), is filled
        with weight times second derivative h of the loss in the margin; ``moments``, (1 + 2 d,),
        with the sums of h, of h x and of h x² (both at order 0 or 1).
        """

    def product(
        self, curvatures: NDArray[np.float64], vector: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return ``A' diag(curvatures) A vector``, (p,), with A = [1, X] or X; no sample's."""

    def moments(self, curvatures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of h, of h x and of h x², (1 + 2 d,), for h = curvatures; no sample's."""

    def largest_margin(self, vector: NDArray[np.float64]) -> float:
        """Return the largest size of ``A vector`` in rows of weight above 0."""

    def margins(
        self, theta: NDArray[np.float64], *, with_offset: bool = True
    ) -> NDArray[np.float64]:
        """Return ``X @ w + b``, (n_rows,), plus the offset if that is wanted."""

    def predict(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions, (n_rows,): the activation of the margins."""

    def predict_pair(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 1 - p and p of the sigmoid or the tanh, (n_rows, 2), neither by cancellation."""

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN or infinity in X; None where all are finite."""

    def sample(self, rows: NDArray[np.int64]) -> "Pass":
        """Return the pass over these rows alone; a sample has none of its own."""


class ClassesPass(Pass, Protocol):
    """What the pass of softmax has beside."""

    def predict_class(self, theta: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the first class with the largest margin, (n_rows,)."""

    def log_proba(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities, (n_rows, K)."""

    def coupling(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of weight times (diag(p) - p p'), (K, K), without reading X."""


class Backend(Protocol):
    """What a backend module offers."""

    def bind(
        self,
        X: Matrix,
        y: NDArray[np.float64] | None,
        sample_weight: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        spec: PassSpec,
    ) -> Pass:
        """Return a pass over these rows; without y it predicts and looks at X, no more."""

    def solving(self, p: int) -> AbstractContextManager[None]:
        """Return what a solver of p parameters runs in, so that passes find the threads free."""

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
