"""Rows that are trained on in mini-batches: orders, the group of threads, what is kept.

:class:`Epochs` binds rows to a plan and runs epochs on a :class:`.state.State`; :class:`Stream`
holds both, and the state outlives it: the next piece of a stream is another :class:`Stream` on the
same state. What a batch is, which rows it holds and how it is cut depend on the shape of the data
and on the seed alone.
"""

from collections.abc import Iterator
from time import perf_counter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends.numba.minibatch import batches
from fastlogreg.backends.numba.minibatch import order as orders
from fastlogreg.backends.numba.minibatch.batches import LEADER, LINE, Epoch
from fastlogreg.backends.numba.minibatch.order import Order
from fastlogreg.backends.numba.minibatch.plan import layout_of
from fastlogreg.backends.numba.minibatch.state import (
    DENSE,
    SPARSE,
    UNKNOWN,
    Rule,
    State,
    converted,
    forget_scales,
    is_lazy,
    new_state,
    pack,
    parameters,
    rule_of,
    upgraded,
)
from fastlogreg.backends.numba.passes.kernels import Rows
from fastlogreg.backends.numba.passes.plan import shape_of
from fastlogreg.backends.numba.passes.softmax import rows_of_classes
from fastlogreg.backends.numba.passes.softmax_kernels import Rows as ClassesRows
from fastlogreg.backends.numba.passes.storage import prepared, storage_code
from fastlogreg.backends.numba.stages.csr import Csr
from fastlogreg.backends.numba.threads import (
    CALL_SECONDS,
    SERIAL_SECONDS,
    default_threads,
    run_on_pool,
)

_MOST_LISTED = 8  # columns over values stored from which it pays to list those that are held

_Matrix = Any  # an array or a SciPy matrix in CSR form
_Vector = NDArray[np.float64]
_BatchSpec = Any  # those of fastlogreg.backends, a floor above
_StepSpec = Any

_WARMUP = SimpleNamespace(
    batch_size=8,
    shuffle=False,
    loss="bce",
    activation="sigmoid",
    intercept=True,
    n_threads=1,
    n_outputs=1,
)


class Epochs:
    """Rows, and how an epoch of mini-batches goes over them.

    Parameters
    ----------
    X, y, sample_weight, offset
        As in :class:`fastlogreg.backends.Backend`.
    spec : BatchSpec
    subset : ndarray of int64, optional
        The rows to use.
    """

    def __init__(
        self,
        X: _Matrix,
        y: _Vector,
        spec: _BatchSpec,
        *,
        sample_weight: _Vector | None = None,
        offset: _Vector | None = None,
        subset: NDArray[np.int64] | None = None,
    ) -> None:
        self.n_classes = int(spec.n_outputs)
        self.rows: Rows | ClassesRows
        if self.n_classes == 1:
            self.storage, self.rows = prepared(X, y, sample_weight, offset)
        else:
            self.storage, self.rows = rows_of_classes(X, y, sample_weight, offset)
        self.shuffle = spec.shuffle
        self.subset = np.empty(0, np.int64) if subset is None else subset.copy()
        self.subset.flags.writeable = False
        shape = shape_of(self.storage, self.rows)
        self.sparse = shape.sparse
        n = X.shape[0] if subset is None else subset.size
        self.layout = layout_of(n, shape, spec)
        self.plan = self.layout.plan
        self.n_batches = -(-n // self.plan.batch)
        self.p = X.shape[1] + int(spec.intercept)
        self.sums = np.zeros((self.plan.chunks, *self._sums_of_a_chunk()))
        self.interrupted = False
        threads = min(spec.n_threads or default_threads(), self.plan.chunks)
        self.threads = threads if self.n_batches * self.layout.seconds > SERIAL_SECONDS else 1

    def _sums_of_a_chunk(self) -> tuple[int, ...]:
        """Return the shape; chunks share no cache line."""
        if self.n_classes == 1:
            return (-(-(2 + self.p) // LINE) * LINE + LINE,)
        rows, width = self.state().theta.shape
        return 1 + rows + -(-LINE // width), width

    def _variant(self) -> str:
        """Return what names the kernel beside the storage.

        What is kept of sparse columns lies column by column, in strides, but NumPy calls an array
        of one value contiguous: of another type, and so a kernel of its own.
        """
        if self.n_classes > 1:
            return ":classes"
        return ":one_column" if self.sparse and self.p == 1 else ""

    def state(self) -> State:
        """Return the state of an optimizer before the first update."""
        return new_state(self.p, self.n_classes, sparse=self.sparse)

    def order(self, random: np.random.Generator | None) -> Order:
        """Return the order of a new epoch; None for that of the memory."""
        n, layout = self.plan.samples, self.layout
        if random is None or self.shuffle is False or self.plan.batch == n:
            return orders.as_stored(self.subset, layout.prefetch_distance)
        if layout.by_windows:
            near = layout.height if self.plan.chunk > layout.height else self.plan.batch
            prefetch_distance = near if layout.whole_windows else None
            return orders.by_windows(n, layout.height, random, self.subset, prefetch_distance)
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
        clock = state.clock  # by fields: attributes of a record take 3 us each
        clock["loss"] = clock["weight"] = clock["failed"] = 0
        if self.sparse and self.interrupted:
            # those of a run that was interrupted, or failed
            self.sums = np.zeros(self.sums.shape)
        self.interrupted = True
        run = batches.train[storage_code(self.storage) + self._variant()]
        out = np.empty(0) if losses is None else losses
        step = max(1, int(CALL_SECONDS / self.layout.seconds))
        for first in range(0, self.n_batches, step):
            last = min(first + step, self.n_batches)
            control = np.zeros((1 + self.plan.chunks) * LINE, np.int64)
            epoch = Epoch(self.rows, order, self.plan, rule, state, self.sums, control, out)

            def work(rank: int, epoch: Epoch = epoch, first: int = first, last: int = last) -> None:
                begin = rank * self.plan.chunks // self.threads if rank else LEADER
                run(self.storage, epoch, first, last, begin)

            run_on_pool(work, self.threads, self.threads)
            if clock["failed"][0]:
                break
        self.interrupted = bool(clock["failed"][0])
        return float(clock["loss"][0]), float(clock["weight"][0])


class _Undo(NamedTuple):
    """What an epoch may change of a state: of the columns that its rows hold, or of all."""

    columns: NDArray[np.int64] | slice
    arrays: dict[str, NDArray[np.float64]]


def _entries(name: str, columns: NDArray[np.int64] | slice) -> Any:
    """Return where the columns' entries are in an array of a state."""
    if name == "clock":
        return slice(None)
    return (slice(None), columns) if name == "moments" else columns


class Stream:
    """Rows and the state of an optimizer: what :mod:`fastlogreg.solvers.descent` runs.

    Where only the columns that a batch holds are moved, saving and restoring cost what the rows
    hold too, not what there are of columns.

    Parameters
    ----------
    epochs : Epochs
    spec : StepSpec
    """

    def __init__(self, epochs: Epochs, spec: _StepSpec) -> None:
        self.epochs = epochs
        self.intercept = bool(epochs.plan.intercept)
        centres = spec.standardize and self.intercept and not epochs.sparse
        self.rule = rule_of(spec, centres=centres)
        self.shape = (epochs.p,) if epochs.n_classes == 1 else (epochs.n_classes, epochs.p)
        self._columns: NDArray[np.int64] | slice | None = None

    @property
    def sparse(self) -> bool:
        """Return whether rows are sparse."""
        return self.epochs.sparse

    def begin(self, theta: _Vector | None) -> None:
        """Start at theta, or at zeros, with nothing learned."""
        self.state = self.epochs.state()
        if theta is not None:
            pack(theta, self.state.theta, sparse=self.sparse)
        if self.rule.learns_scales:
            forget_scales(self.state, self.intercept)

    def go_on(self, kept: dict[str, NDArray[np.float64]]) -> None:
        """Go on from a state that was kept, which changes, perhaps by rows in another storage."""
        sums = kept.pop("sums", None)  # taken away, since an interrupted epoch would leave them so
        arrays = upgraded(kept)
        if sums is not None and sums.shape[1:] == self.epochs.sums.shape[1:]:
            if len(sums) >= len(self.epochs.sums):
                self.epochs.sums = sums[: len(self.epochs.sums)]
        state = State(**arrays)
        storage = SPARSE if self.sparse else DENSE
        if state.clock["storage"][0] not in (UNKNOWN, storage):
            self.state = converted(
                state,
                self.rule,
                self.epochs.n_classes,
                intercept=self.intercept,
                sparse=self.sparse,
            )
            return
        plain = new_state(1, self.epochs.n_classes, sparse=self.sparse)
        if all(
            array.strides[-1:] == arrays[name].strides[-1:] and arrays[name].flags.writeable
            for name, array in plain._asdict().items()
            if array.ndim == 1 and array.size == 1
        ):
            self.state = state
            return
        self.state = self.epochs.state()  # that of a stored model lies otherwise
        for name, array in arrays.items():
            getattr(self.state, name)[...] = array

    def keep(self, *, sums: bool = False) -> dict[str, NDArray[np.float64]]:
        """Return the state itself, for the stream that goes on from it.

        With ``sums``, those of columns, all 0, are in it: new ones cost what there are of columns.
        """
        kept = self.state._asdict()
        if sums and self.epochs.sparse and not self.epochs.interrupted:
            kept["sums"] = self.epochs.sums
        return kept

    def go_from(self, theta: _Vector) -> None:
        """Go on from other parameters, with what was learned; an average begins anew."""
        state = self.state
        pack(theta, state.theta, sparse=self.sparse)
        state.velocity[:] = 0.0
        state.average[:] = state.averaged_at[:] = 0.0
        state.applied_steps[:] = state.clock["steps"]  # nothing is owed yet
        state.clock["averaged"] = 0

    def save(self) -> _Undo:
        """Return a copy of what an epoch may change."""
        if self._columns is None:
            self._columns = self._moved()
        arrays = {
            name: array[_entries(name, self._columns)].copy()
            for name, array in self.state._asdict().items()
            if name != "step"  # a buffer
        }
        return _Undo(self._columns, arrays)

    def restore(self, saved: _Undo) -> None:
        """Go back to before the epoch that was saved for."""
        for name, kept in saved.arrays.items():
            getattr(self.state, name)[_entries(name, saved.columns)] = kept

    def _moved(self) -> NDArray[np.int64] | slice:
        """Return the places of theta that an epoch may move."""
        lazy = is_lazy(self.rule, sparse=self.epochs.sparse)
        storage = self.epochs.storage
        if not lazy or len(storage.data) >= self.epochs.p // _MOST_LISTED:
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
        return mean, finite and not self.state.clock["failed"][0]

    def theta(self) -> _Vector:
        """Return the parameters, (p,) or (K, p), or their average."""
        return parameters(
            self.state,
            self.rule,
            self.epochs.n_classes,
            intercept=self.intercept,
            sparse=self.sparse,
        )

    @property
    def n_updates(self) -> int:
        """Return the updates made."""
        return int(self.state.clock["updates"][0])


def mini_batches(
    X: _Matrix,
    y: _Vector,
    batches: _BatchSpec,
    steps: _StepSpec,
    *,
    sample_weight: _Vector | None = None,
    offset: _Vector | None = None,
    subset: NDArray[np.int64] | None = None,
) -> Stream:
    """Bind rows to a stream; see :class:`fastlogreg.backends.CompiledBackend`."""
    epochs = Epochs(X, y, batches, sample_weight=sample_weight, offset=offset, subset=subset)
    return Stream(epochs, steps)


def kept_theta(
    kept: dict[str, _Vector],
    steps: _StepSpec,
    n_outputs: int = 1,
    *,
    intercept: bool,
    sparse: bool,
) -> _Vector:
    """Return the parameters of a state; see :class:`fastlogreg.backends.CompiledBackend`."""
    arrays = upgraded({name: array for name, array in kept.items() if name != "sums"})
    rule = rule_of(steps)
    return parameters(State(**arrays), rule, n_outputs, intercept=intercept, sparse=sparse)


def train_epoch(
    X: _Matrix,
    y: _Vector,
    theta: _Vector,
    rows: NDArray[np.int64] | None,
    spec: _BatchSpec,
    learning_rate: float,
) -> _Vector:
    """Run one epoch of gradient steps; see :class:`fastlogreg.backends.Backend`."""
    epochs = Epochs(X, y, spec._replace(shuffle=False))
    order = epochs.order(None) if rows is None else orders.listed(rows, epochs.subset)
    state = new_state(theta.size, sparse=epochs.sparse)._replace(theta=theta)
    losses = np.empty(epochs.n_batches)
    epochs.run(state, Rule(eta0=float(learning_rate), stops=0), order, losses)
    return losses


def warmup(dtypes: tuple[str, ...] = ("float64", "float32")) -> Iterator[tuple[str, float]]:
    """Compile (or load) the kernels of mini-batches; yield their names and seconds."""
    for name in dtypes:
        start = perf_counter()
        epochs = Epochs(np.ones((16, 3), name), np.zeros(16), _WARMUP)
        epochs.run(new_state(epochs.p), Rule(eta0=0.1), epochs.order(None))
        yield f"train ({name})", perf_counter() - start
