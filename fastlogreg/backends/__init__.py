"""The three backends: one protocol, three ways to compute.

``"loop"`` is scalar Python, one sample at a time; ``"numpy"`` is the vectorized
formula on whole arrays; ``"numba"`` is the fused block pipeline. Each is a module
with the functions of :class:`Backend`; :func:`get` imports it on first use, so that
nobody pays for Numba who asked for NumPy.

Rows are bound once to what is to be computed on them (:meth:`Backend.bind`), which gives a
:class:`Pass` to be called many times. What the Numba backend offers beyond the others, mini-batch
training with state (:class:`Stream`) above all, is in :class:`CompiledBackend`.

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

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    cast,
    overload,
)

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.limits import one_blas_thread as one_blas_thread

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
Solving: TypeAlias = AbstractContextManager[AbstractContextManager[object]]


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
        """Return ``A' diag(curvatures) A vector``, (p,), with A = [1, X] or X."""

    def moments(self, curvatures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of h, of h x and of h x², (1 + 2 d,), for h = curvatures."""

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


class SmallPass(Pass, Protocol):
    """What a pass may have beside: a fit in one call."""

    def lower(
        self,
        theta: NDArray[np.float64],
        strengths: tuple[NDArray[np.float64], NDArray[np.float64]],
        goal: float,
        most: int,
        stop_value: float = 0.0,
    ) -> (
        tuple[
            NDArray[np.float64],
            tuple[float, NDArray[np.float64], NDArray[np.float64]] | None,
            NDArray[np.float64],
            int,
        ]
        | None
    ):
        """Return a theta nearer to the optimum under an elastic net, and how it was come by.

        With it are returned the sums there, as a call of order 2 has them, where they are known;
        the steps; the passes. None where the rows are so many that passes are better made one by
        one. ``strengths`` are those of L1, 0 all of them or at intercepts alone, and of L2, (p,)
        each. It ends where a step is thought to leave less than the ``goal``, relative to the
        value, at a ``stop_value``, after ``most`` steps, or where one fails: nothing is promised.
        Of each iterate are told, (1 + steps, 5): the passes so far, the value, the distance of 0
        from the subdifferential, what is thought to be left, and the length of the step that led
        there; of the last one only this.
        """


class ClassesPass(Pass, Protocol):
    """What the pass of softmax has beside."""

    def predict_class(self, theta: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the first class with the largest margin, (n_rows,)."""

    def log_proba(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities, (n_rows, K)."""

    def coupling(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of weight times (diag(p) - p p'), (K, K), without reading X."""


class SetsPass(Protocol):
    """Rows bound to several problems that share them, each with a theta and a set of its own."""

    n_rows: int

    def __call__(
        self, theta: NDArray[np.float64], sets: NDArray[np.int64], order: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the (weighted) sums of losses, (m,), and of gradients, (m, p), in one reading.

        ``theta`` is (m, p), and ``sets``, (m,), the number of the set that each is summed over.
        At order 0 the gradients are None.
        """

    def largest_margins(
        self, vectors: NDArray[np.float64], sets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the largest size of ``A vectors[k]``, (m,), in the rows of each one's set.

        Without offset; rows of weight 0 do not count.
        """


class BatchSpec(NamedTuple):
    """How rows are cut into batches, and what is computed on them.

    Attributes
    ----------
    batch_size : int
        Rows of a batch; more than there are means all.
    shuffle : bool or "full"
        False: as stored. True: in an order that mixes what fits the cache. "full": a permutation
        of all rows.
    loss, activation, intercept, n_threads, n_outputs
        As in :class:`PassSpec`.
    """

    batch_size: int
    shuffle: bool | str = True
    loss: str = "bce"
    activation: str = "sigmoid"
    intercept: bool = True
    n_threads: int | None = None
    n_outputs: int = 1


class StepSpec(NamedTuple):
    """How the gradients of batches become steps.

    Attributes
    ----------
    optimizer : {"sgd", "momentum", "nesterov", "adagrad", "adam"}
    schedule : {"constant", "invscaling", "optimal"}
    eta0, power, alpha : float
        The first rate; the exponent of "invscaling"; what "optimal" divides by.
    momentum, beta1, beta2, epsilon : float
        Of the optimizers.
    l1, l2 : float
        Strengths of the penalties on the mean loss.
    average_from : float
        Samples after which updates are averaged; negative for no average.
    standardize : bool
        Whether columns move in units of scales that are learned.
    """

    optimizer: str = "sgd"
    schedule: str = "constant"
    eta0: float = 0.0
    power: float = 0.5
    alpha: float = 0.0
    momentum: float = 0.0
    beta1: float = 0.0
    beta2: float = 0.0
    epsilon: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    average_from: float = -1.0
    standardize: bool = False


class Stream(Protocol):
    """Rows cut into batches, and the state of the optimizer that goes over them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of theta: (p,), or (K, p) of K classes."""

    @property
    def sparse(self) -> bool:
        """Return whether rows are sparse."""

    @property
    def n_updates(self) -> int:
        """Return the updates made."""

    def begin(self, theta: NDArray[np.float64] | None) -> None:
        """Start at theta, or at zeros, with nothing learned."""

    def go_on(self, kept: dict[str, NDArray[Any]]) -> None:
        """Go on from a state that was kept, which changes, perhaps by rows in another storage."""

    def go_from(self, theta: NDArray[np.float64]) -> None:
        """Go on from other parameters, with what was learned; an average begins anew."""

    def epoch(self, random: np.random.Generator | None, shrink: float) -> tuple[float, bool]:
        """Run one epoch, rates times ``shrink``; return its mean loss and whether all is finite.

        ``random`` draws the order of the rows. Losses are those before each update.
        """

    def theta(self) -> NDArray[np.float64]:
        """Return the parameters, or their average."""

    def save(self) -> Any:
        """Return a copy of what the next epoch may change."""

    def restore(self, saved: Any) -> None:
        """Go back to before the epoch that was saved for."""

    def keep(self, *, sums: bool = False) -> dict[str, NDArray[Any]]:
        """Return the state itself, arrays by name, for the stream that goes on from it.

        With ``sums``, buffers are in it that would cost that stream what there are of columns.
        """


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

    def solving(self, p: int) -> Solving:
        """Return what a solver of p parameters runs in, so that passes find the threads free.

        Entered, it returns itself, to be entered again: see :mod:`fastlogreg.backends.limits`.
        """

    def train_epoch(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        theta: NDArray[np.float64],
        rows: NDArray[np.int64] | None,
        spec: BatchSpec,
        learning_rate: float,
    ) -> NDArray[np.float64]:
        """Run one epoch of the lecture's five steps; ``theta`` is updated in place.

        Batch k takes the samples ``rows[k * batch_size : (k + 1) * batch_size]`` (in
        their stored order where ``rows`` is None, whatever ``spec.shuffle`` says; the last batch
        may be smaller).
        Returns the mean loss of each batch before its update, (n_batches,).
        """


class QuadraticModel(NamedTuple):
    """A quadratic function with L1 between bounds, for coordinate descent.

    Attributes
    ----------
    hessian : ndarray of shape (p, p), C-contiguous
    l1 : ndarray of shape (p,)
    lower, upper : ndarray of shape (p,)
        Bounds, infinite where there are none.
    unit : ndarray of shape (p,)
        In which the change of an entry's slope is measured, above 0.
    """

    hessian: NDArray[np.float64]
    l1: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    unit: NDArray[np.float64]


class ColumnQuadratic(NamedTuple):
    """A quadratic model in centred columns, with L1.

    Attributes
    ----------
    slope, diagonal : ndarray of shape (d,)
        The gradient where it is made, and the Hessian's diagonal, with what is smooth of a penalty.
    l2 : ndarray of shape (d,)
        What that adds to the Hessian.
    centre : ndarray of shape (d,)
        Means of the columns, weighted by the curvatures.
    l1 : ndarray of shape (d,)
    start : ndarray of shape (d,)
        Where it is made.
    total : float
        Sum of the curvatures.
    """

    slope: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    l2: NDArray[np.float64]
    centre: NDArray[np.float64]
    l1: NDArray[np.float64]
    start: NDArray[np.float64]
    total: float


class ClassQuadratic(NamedTuple):
    """A quadratic model of several classes, with L1.

    Attributes
    ----------
    slope, diagonal : ndarray of shape (K, d)
        The gradient where it is made, and the Hessian's diagonal, with what is smooth of a penalty.
    l2 : ndarray of shape (K, d)
        What that adds to the Hessian, the same for all classes.
    l1 : ndarray of shape (K, d)
        The same for all classes.
    start : ndarray of shape (K, d)
        Where it is made.
    intercept_slope : ndarray of shape (K,), or (0,) without intercepts
    coupling : ndarray of shape (K, K), or (0, 0)
        The Hessian between the intercepts.
    """

    slope: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    start: NDArray[np.float64]
    intercept_slope: NDArray[np.float64]
    coupling: NDArray[np.float64]


class CompiledBackend(Backend, Protocol):
    """What the Numba backend offers beside."""

    def bind_sets(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        members: NDArray[np.bool_] | NDArray[np.uint8],
        spec: PassSpec,
    ) -> SetsPass:
        """Return a pass over sets of rows, for one column of margins each.

        ``members``, (n_sets, n), says whether a row is in a set, or how often, 255 times at most.
        """

    def mini_batches(
        self,
        X: Matrix,
        y: NDArray[np.float64],
        batches: BatchSpec,
        steps: StepSpec,
        *,
        sample_weight: NDArray[np.float64] | None = None,
        offset: NDArray[np.float64] | None = None,
        subset: NDArray[np.int64] | None = None,
    ) -> Stream:
        """Return a stream over these rows, or a subset of them; it has yet to begin or go on."""

    def kept_theta(
        self,
        kept: dict[str, NDArray[Any]],
        steps: StepSpec,
        n_outputs: int = 1,
        *,
        intercept: bool,
        sparse: bool,
    ) -> NDArray[np.float64]:
        """Return the parameters, or their average, that a stream kept (:meth:`Stream.keep`).

        Of ``steps`` the optimizer and the penalties are looked at.
        """

    def coordinate_descent(
        self,
        model: QuadraticModel,
        slope: NDArray[np.float64],
        u: NDArray[np.float64],
        enough: float,
        sweeps: int,
    ) -> float:
        """Lower ``slope0' (u - u0) + (u - u0)' H (u - u0) / 2 + l1' |u|`` by its coordinates.

        ``u`` (p,), u0 on entry, within the bounds, and ``slope`` (p,), the gradient of the smooth
        part at u, are updated in place. An entry's move is by how much its slope changes at it, in
        its unit. At most ``sweeps`` are made, and none after a full one in which the largest move
        was ``enough`` or less; that is returned, infinity where the last sweep was not full. An
        entry whose diagonal is not above 0 stays.
        """

    def column_descent(
        self,
        X: Matrix,
        curvatures: NDArray[np.float64],
        model: ColumnQuadratic,
        u: NDArray[np.float64],
        enough: float,
        sweeps: int,
    ) -> float:
        """Do the same for the Hessian ``X' diag(curvatures) X`` of centred columns; X is CSC.

        ``curvatures`` (n,) are not negative; ``u`` (d,) alone is updated in place.
        """

    def class_descent(
        self,
        X: Matrix,
        weights: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        model: ClassQuadratic,
        u: NDArray[np.float64],
        b: NDArray[np.float64],
        enough: float,
        sweeps: int,
        along_flat: Callable[[NDArray[np.float64]], None],
    ) -> float:
        """Do the same for several classes, whose rows have these probabilities, (n, K).

        X is CSC, ``weights`` (n,) sum to 1; ``u`` (K, d) and ``b`` (K,), by how much intercepts
        change, are updated in place. ``along_flat(u)`` adds the same to all classes of a column, in
        place, where that lowers the penalty.
        """

    def read_sum(self, X: Matrix, *, n_threads: int | None = None) -> float:
        """Return the sum of X by one parallel pass: the floor under every pass over X."""

    def default_threads(self) -> int:
        """Return how many threads are used where nobody says."""

    def warmup(
        self, dtypes: tuple[str, ...] = ("float64", "float32")
    ) -> Iterator[tuple[str, float]]:
        """Compile (or load) every kernel; yield its name and the seconds it took."""

    def info(self) -> dict[str, Any]:
        """Return versions, threads, threading layer, processor and cache folder."""


@overload
def get(name: Literal["numba"]) -> CompiledBackend: ...
@overload
def get(name: str) -> Backend: ...
def get(name: str) -> Backend:
    """Return the backend of that name (one of :data:`BACKENDS`)."""
    return _module(name)


@cache
def _module(name: str) -> Backend:
    return cast(Backend, import_module(f"fastlogreg.backends.{name}"))
