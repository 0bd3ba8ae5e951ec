"""Mini-batch training with the compiled loop: plans, orders, the group of threads, what is kept.

:class:`Epochs` binds rows to a plan and runs epochs on a :class:`State`, which outlives it: the
next piece of a stream is another :class:`Epochs` on the same state. What a batch is, which rows
it holds and how it is cut depend on the shape of the data and on the seed alone.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.minibatch import batches, updates
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.batches import LEADER, LINE, Plan
from fastlogreg.backends.numba.minibatch.order import Order
from fastlogreg.backends.numba.minibatch.updates import CLOCK, Rule, State
from fastlogreg.backends.numba.passes.bound import kind_of
from fastlogreg.backends.numba.passes.plan import (
    ROW_SECONDS,
    SPARSE_VALUE_SECONDS,
    VALUE_SECONDS,
    Shape,
    shape_of,
)
from fastlogreg.backends.numba.passes.storage import prepared, storage_code
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.threads import (
    CALL_SECONDS,
    SERIAL_SECONDS,
    default_threads,
    run_on_pool,
)

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adam")
SCHEDULES = ("constant", "invscaling", "optimal")

_BLOCK_BYTES, _RUN_BYTES_AT_MOST = 10240, 20480  # of rows that are fetched together
_RUN_BYTES = 8192  # of a stretch's rows in one batch: enough to be read in the memory's order
_MIN_HEIGHT, _MAX_HEIGHT = 16, 128
_MAX_BLOCK = 128  # rows
_TWO_CHUNKS, _MORE_CHUNKS = 2e-6, 4e-6  # seconds of a batch, and of each of its chunks beyond two
_SPARSE_CHUNK = 8e-6
_MAX_CHUNKS, _MAX_SPARSE_CHUNKS = 32, 4
_MOST_LISTED = 8  # columns over values stored from which it pays to list those that are held

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Vector = NDArray[np.float64]


def new_state(p: int, theta: _Vector | None = None, *, sparse: bool = False) -> State:
    """Return the state before the first update, from theta (p,) or from zeros.

    For sparse rows what is kept of a column lies in one cache line: an update meets few columns.
    """
    names = ("squares", "inverse", "average", "met", "lag", "size", "velocity", "mean")
    table = np.zeros((p, len(names))) if sparse else np.zeros((len(names), p)).T
    columns = dict(zip(names, table.T, strict=True))
    columns["inverse"][:] = 1.0
    return State(
        theta=np.zeros(p) if theta is None else theta.copy(),
        reference=np.zeros(p),
        step=np.empty(p),
        moments=np.zeros((3, p)),
        clock=np.zeros(CLOCK),
        **columns,
    )


def learn_scales(state: State, intercept: bool) -> None:
    """Let a new state know no scale, so that no column moves before it has one."""
    state.inverse[int(intercept) :] = 0.0


def apply_lazy_updates(state: State, rule: Rule, intercept: bool, *, sparse: bool) -> _Vector:
    """Return theta, or its average, with all paid that is owed to columns of sparse rows."""
    clock = state.clock
    now = clock[updates.AVERAGED]
    if not sparse or rule.optimizer not in (updates.SGD, updates.ADAGRAD):
        return (state.average if now > 0.0 else state.theta).copy()
    theta = state.theta.copy()
    if now > 0.0:  # of what was held: a debt is no part of it
        t = state.met
        fraction = t * (t + 1.0) * (t + 2.0) / (now * (now + 1.0) * (now + 2.0))
        averaged: _Vector = theta + fraction * (state.average - theta)
        return averaged
    first = int(intercept)
    owed = state.size[first:] * (clock[updates.STEPS] - state.lag[first:])
    w = theta[first:]
    w[:] = np.sign(w) * np.maximum(np.abs(w) - rule.l1 * owed, 0.0) / (1.0 + rule.l2 * owed)
    return theta


def parameters(
    kept: dict[str, _Vector], *, optimizer: str, l1: float, l2: float, intercept: bool, sparse: bool
) -> _Vector:
    """Return what :func:`apply_lazy_updates` makes of a state that was kept."""
    rule = rule_of(optimizer=optimizer, eta0=0.0, l1=l1, l2=l2)
    state = State(**{name: kept[name] for name in State._fields})
    return apply_lazy_updates(state, rule, intercept, sparse=sparse)


def _cut(n: int, batch: int, shape: Shape) -> tuple[int, int, float]:
    """Return chunks of a batch, positions of a chunk and the seconds of a batch."""
    value = SPARSE_VALUE_SECONDS if shape.sparse else VALUE_SECONDS
    seconds = batch * (ROW_SECONDS + shape.width * value)
    if shape.sparse:
        chunks = min(_MAX_SPARSE_CHUNKS, int(seconds / _SPARSE_CHUNK))
    elif seconds < 4.0 * _MORE_CHUNKS:
        chunks = 2 if seconds >= _TWO_CHUNKS else 1
    else:
        chunks = min(_MAX_CHUNKS, int(seconds / _MORE_CHUNKS))
    chunks = 1 << max(0, chunks.bit_length() - 1)
    chunk = -(-batch // chunks)
    return -(-batch // chunk), chunk, seconds


class Epochs:
    """Rows, and how an epoch of mini-batches goes over them.

    Parameters
    ----------
    X, y, sample_weight, offset
        As in :class:`fastlogreg.backends.Backend`.
    batch_size : int
        Rows of a batch; more than there are means all.
    shuffle : bool or "full"
        False: as stored. True: by windows. "full": a permutation of all rows.
    subset : ndarray of int64, optional
        The rows to use.
    """

    def __init__(
        self,
        X: _Matrix,
        y: _Vector,
        *,
        batch_size: int,
        shuffle: bool | str = True,
        sample_weight: _Vector | None = None,
        offset: _Vector | None = None,
        subset: NDArray[np.int64] | None = None,
        loss: str = "bce",
        activation: str = "sigmoid",
        intercept: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.storage, self.rows = prepared(X, y, sample_weight, offset)
        self.shuffle = shuffle
        self.subset = np.empty(0, np.int64) if subset is None else subset.copy()
        self.subset.flags.writeable = False
        shape = shape_of(self.storage, self.rows)
        self.sparse = shape.sparse
        n = X.shape[0] if subset is None else subset.size
        batch = min(batch_size, n)
        chunks, chunk, self.seconds = _cut(n, batch, shape)
        row_bytes = max(1.0, shape.width * shape.itemsize)
        stretch_rows = batch // orders.STRETCHES // 8 * 8  # of a batch, from one stretch
        self.whole_windows = stretch_rows * row_bytes >= _RUN_BYTES
        run_bytes = _RUN_BYTES_AT_MOST if self.whole_windows else _BLOCK_BYTES
        height = min(_MAX_HEIGHT, max(_MIN_HEIGHT, int(run_bytes / row_bytes) // 8 * 8))
        self.height = min(height, stretch_rows) if self.whole_windows else height
        self.by_windows = (
            shuffle is True and n >= orders.LEAST_WINDOWS * self.height * orders.STRETCHES
        )
        interleaved = self.by_windows and not self.whole_windows and chunk * chunks == batch
        kind, scale = kind_of(loss, activation)
        self.plan = Plan(
            samples=n,
            batch=batch,
            chunks=chunks,
            chunk=chunk,
            batch_stride=chunk if interleaved else batch,
            chunk_stride=n // batch * chunk if interleaved else chunk,
            block=min(
                self.height if self.by_windows else _MAX_BLOCK,
                -(-chunk // 8) * 8 if batch > 1 else _MAX_BLOCK,
            ),
            intercept=int(intercept),
            kind=kind,
            scale=scale,
        )
        # of this chunk the next block, or in the next batch: the rows between are other threads'
        self.prefetch_distance = (
            self.plan.block if chunk > self.plan.block or chunks == 1 else batch
        )
        self.n_batches = -(-n // batch)
        self.p = X.shape[1] + int(intercept)
        width = -(-(2 + self.p) // LINE) * LINE + LINE  # chunks share no line
        self.sums = np.zeros((chunks, width))
        self.interrupted = False
        threads = min(n_threads or default_threads(), chunks)
        self.threads = threads if self.n_batches * self.seconds > SERIAL_SECONDS else 1

    def order(self, random: np.random.Generator | None) -> Order:
        """Return the order of a new epoch; None for that of the memory."""
        n = self.plan.samples
        if random is None or self.shuffle is False or self.plan.batch == n:
            return orders.as_stored(self.subset, self.prefetch_distance)
        if self.by_windows:
            near = self.height if self.plan.chunk > self.height else self.plan.batch
            prefetch_distance = near if self.whole_windows else None
            return orders.by_windows(n, self.height, random, self.subset, prefetch_distance)
        return orders.listed(random.permutation(n), self.subset)

    def run(
        self,
        state: State,
        rule: Rule,
        order: Order,
        losses: _Vector | None = None,
    ) -> tuple[float, float]:
        """Run one epoch; return the sums of loss and weight, before each update.

        ``losses``, (n_batches,), is filled with the mean loss of each batch. ``state.clock`` says
        whether the epoch ended early at a loss that is not finite.
        """
        clock = state.clock
        clock[[updates.LOSS, updates.WEIGHT, updates.FAILED]] = 0.0
        if self.sparse and self.interrupted:
            # those of a run that was interrupted, or failed
            self.sums = np.zeros(self.sums.shape)
        self.interrupted = True
        run = batches.train[storage_code(self.storage)]
        out = np.empty(0) if losses is None else losses
        step = max(1, int(CALL_SECONDS / self.seconds))
        for first in range(0, self.n_batches, step):
            last = min(first + step, self.n_batches)
            control = np.zeros((1 + self.plan.chunks) * LINE, np.int64)

            arguments = (
                self.storage,
                self.rows,
                order,
                self.plan,
                rule,
                state,
                self.sums,
                control,
                out,
            )

            def work(
                rank: int, shared: Any = arguments, first: int = first, last: int = last
            ) -> None:
                begin = rank * self.plan.chunks // self.threads if rank else LEADER
                run(*shared, first, last, begin)

            run_on_pool(work, self.threads, self.threads)
            if clock[updates.FAILED]:
                break
        self.interrupted = bool(clock[updates.FAILED])
        return float(clock[updates.LOSS]), float(clock[updates.WEIGHT])


def rule_of(
    *,
    optimizer: str = "sgd",
    schedule: str = "constant",
    eta0: float,
    power: float = 0.5,
    alpha: float = 0.0,
    momentum: float = 0.0,
    beta1: float = 0.0,
    beta2: float = 0.0,
    epsilon: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    average_from: float = -1.0,
    standardize: bool = False,
    centres: bool = False,
    stops: bool = True,
) -> Rule:
    """Return a rule from names and numbers.

    The shift of the schedule "optimal" is scikit-learn's (Bottou 2012): its first rate is the
    typical size of a weight, ``alpha ** -1/4``.
    """
    return Rule(
        optimizer=OPTIMIZERS.index(optimizer),
        schedule=SCHEDULES.index(schedule),
        eta0=float(eta0),
        power=float(power),
        shift=float(alpha) ** -0.75 if schedule == "optimal" else 0.0,
        alpha=float(alpha),
        momentum=float(momentum),
        beta1=float(beta1),
        beta2=float(beta2),
        epsilon=float(epsilon),
        l1=float(l1),
        l2=float(l2),
        average_from=float(average_from),
        learns_scales=int(standardize),
        centres=int(centres),
        stops=int(stops),
    )


class _Undo(NamedTuple):
    """What an epoch may change of a state: of the columns that its rows hold, or of all."""

    columns: NDArray[np.int64] | slice
    arrays: dict[str, NDArray[np.float64]]


class Stream:
    """Rows and the state of an optimizer: what :mod:`fastlogreg.solvers.descent` runs.

    Where only the columns that a batch holds are moved, saving and restoring cost what the rows
    hold too, not what there are of columns.

    Parameters
    ----------
    epochs : Epochs
    rule : dict
        What :func:`rule_of` takes, but ``centres``: that follows from the rows.
    """

    def __init__(self, epochs: Epochs, rule: dict[str, Any]) -> None:
        self.epochs = epochs
        self.intercept = bool(epochs.plan.intercept)
        centres = rule["standardize"] and self.intercept and not epochs.sparse
        self.rule = rule_of(**rule, centres=centres)
        self.size = epochs.p
        self._columns: NDArray[np.int64] | slice | None = None

    def begin(self, theta: _Vector | None) -> None:
        """Start at theta, (p,), or at zeros, with nothing learned."""
        self.state = new_state(self.size, theta, sparse=self.epochs.sparse)
        if self.rule.learns_scales:
            learn_scales(self.state, self.intercept)

    def go_on(self, kept: dict[str, NDArray[np.float64]]) -> None:
        """Go on from a state that was kept, which changes, perhaps by rows in another storage."""
        sums = kept.pop("sums", None)
        if sums is not None and sums.shape[1] == self.epochs.sums.shape[1]:
            if len(sums) >= len(self.epochs.sums):
                self.epochs.sums = sums[: len(self.epochs.sums)]
        plain = new_state(1, sparse=self.epochs.sparse)
        if all(
            array.strides[-1:] == kept[name].strides[-1:] and kept[name].flags.writeable
            for name, array in plain._asdict().items()
            if array.ndim == 1 and array.size == 1
        ):
            self.state = State(**kept)
            return
        self.begin(None)
        for name, array in self.state._asdict().items():
            array[...] = kept[name]

    def keep(self, *, sums: bool = False) -> dict[str, NDArray[np.float64]]:
        """Return the state itself, for the stream that goes on from it.

        With ``sums``, those of columns, all 0, are in it: new ones cost what there are of columns.
        """
        kept = self.state._asdict()
        if sums and self.epochs.sparse and not self.epochs.interrupted:
            kept["sums"] = self.epochs.sums
        return kept

    def go_from(self, theta: _Vector) -> None:
        """Go on from other parameters, (p,), with what was learned; an average begins anew."""
        state = self.state
        state.theta[:] = theta
        state.velocity[:] = 0.0
        state.average[:] = state.met[:] = 0.0
        state.lag[:] = state.clock[updates.STEPS]  # nothing is owed yet
        state.clock[updates.AVERAGED] = 0.0

    def save(self) -> _Undo:
        """Return a copy of what an epoch may change."""
        if self._columns is None:
            self._columns = self._moved()
        return _Undo(
            self._columns,
            {
                name: array.copy() if name == "clock" else array[..., self._columns].copy()
                for name, array in self.state._asdict().items()
            },
        )

    def restore(self, saved: _Undo) -> None:
        """Go back to before the epoch that was saved for."""
        for name, array in self.state._asdict().items():
            if name == "clock":
                array[:] = saved.arrays[name]
            else:
                array[..., saved.columns] = saved.arrays[name]

    def _moved(self) -> NDArray[np.int64] | slice:
        """Return the places of theta that an epoch may move."""
        lazy = self.epochs.sparse and self.rule.optimizer in (updates.SGD, updates.ADAGRAD)
        storage = self.epochs.storage
        if not lazy or len(storage.data) >= self.size // _MOST_LISTED:
            return slice(None)
        assert isinstance(storage, Csr)
        held = np.unique(storage.indices).astype(np.int64)
        if self.intercept:
            return np.concatenate([[0], held + 1])
        return held

    def epoch(self, random: np.random.Generator | None, shrink: float) -> tuple[float, bool]:
        """Run one epoch; return its mean loss and whether it and the parameters are finite."""
        rule = self.rule._replace(eta0=self.rule.eta0 * shrink)
        loss, weight = self.epochs.run(self.state, rule, self.epochs.order(random))
        mean = loss / weight if weight > 0.0 else 0.0
        if self._columns is None:
            self._columns = self._moved()
        finite = all(
            np.isfinite(array[self._columns]).all()
            for array in (self.state.theta, self.state.average)
        )
        return mean, finite and not self.state.clock[updates.FAILED]

    def theta(self) -> _Vector:
        """Return the parameters, (p,), or their average."""
        return apply_lazy_updates(self.state, self.rule, self.intercept, sparse=self.epochs.sparse)

    @property
    def n_updates(self) -> int:
        """Return the updates made."""
        return int(self.state.clock[updates.UPDATES])


def train_epoch(
    X: _Matrix,
    y: _Vector,
    theta: _Vector,
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int,
    learning_rate: float,
    loss: str = "bce",
    activation: str = "sigmoid",
    intercept: bool = True,
    n_threads: int | None = None,
) -> _Vector:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`."""
    epochs = Epochs(
        X,
        y,
        batch_size=batch_size,
        shuffle=False,
        loss=loss,
        activation=activation,
        intercept=intercept,
        n_threads=n_threads,
    )
    order = epochs.order(None) if rows is None else orders.listed(rows, epochs.subset)
    state = new_state(theta.size, sparse=epochs.sparse)._replace(theta=theta)
    losses = np.empty(epochs.n_batches)
    epochs.run(state, rule_of(eta0=learning_rate, stops=False), order, losses)
    return losses


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) the kernels of mini-batches; yield their names and seconds."""
    for name in dtypes:
        start = perf_counter()
        train_epoch(
            np.ones((16, 3), name), np.zeros(16), np.zeros(4), batch_size=8, learning_rate=0.1
        )
        yield f"train ({name})", perf_counter() - start
