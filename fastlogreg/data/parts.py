"""Rows that come in parts, one after the other: a source whose passes add the parts' sums.

Whoever has the parts hands them over anew for each reading (:class:`Parts`): from files
(:mod:`fastlogreg.data.files`), or from anywhere else. What a pass asks of a part is a
:class:`Question`, a small thing that can be pickled and answered where the part is; answers are
added here in the order of the parts, so the result is the same however they came.

Where a solver begins on a part of the rows, these are copied into memory: the rows that
:meth:`fastlogreg.data.memory.MemoryRows.sample` would draw, of all stages in one reading.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.backends import ClassesPass, Pass, PassSpec, SetsPass
from fastlogreg.data.memory import MemoryRows

__all__ = [
    "Block",
    "Facts",
    "PartedPass",
    "PartedRows",
    "Parts",
    "Question",
    "joined",
    "sample_places",
]

_STAGE = 8  # solvers begin on one row of 8, of 64, ...: see fastlogreg.solvers.handover
_UNSURE = 16.0  # how much too small an estimated distance above the optimum may be
_TINY = 1e-11  # residuals up to this may have been left out of that estimate as rounding
_STEP = 0.75  # rows overlap where Newton's step changes no margin by more

_Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What is known of all rows together.

    Attributes
    ----------
    n_rows, n_columns, n_values : int
    total_weight, effective : float
        As :class:`fastlogreg.data.sources.RowSource` has them.
    """

    n_rows: int
    n_columns: int
    n_values: int
    total_weight: float
    effective: float


class Block:
    """Some consecutive rows in memory, and the number of the first; bound once to each pass."""

    def __init__(self, rows: MemoryRows, first: int) -> None:
        self.rows = rows
        self.first = first
        self._bound: dict[PassSpec, Pass] = {}

    @property
    def last(self) -> int:
        """Return the number of the row after these."""
        return self.first + self.rows.n_rows

    def bound(self, spec: PassSpec) -> Pass:
        """Return the pass over these rows."""
        if spec not in self._bound:
            self._bound[spec] = self.rows.bind(spec)
        return self._bound[spec]


class Parts(Protocol):
    """Whoever has the rows."""

    facts: Facts
    sample_rows: int
    """How many rows may be copied for the first steps, at the most."""

    def drawn(self, step: int) -> MemoryRows | None:
        """Return a sample that is there already, once; None where there is none."""

    def read(self) -> Iterator[Block]:
        """Return the blocks in their order, to be read once."""


Question: TypeAlias = Callable[[Pass, MemoryRows, slice], Any]  # of a block: its rows' numbers


class PartedPass:
    """A pass over all parts; see :class:`fastlogreg.backends.Pass`."""

    def __init__(self, parts: Parts, spec: PassSpec) -> None:
        self._parts = parts
        self._spec = spec
        self.n_rows = parts.facts.n_rows
        self.total_weight = parts.facts.total_weight
        self._cost: float | None = None

    def _answers(self, question: Question) -> Iterator[Any]:
        """Ask each block in turn."""
        for block in self._parts.read():
            bound = block.bound(self._spec)
            if self._cost is None:
                self._cost = bound.hessian_cost
            yield question(bound, block.rows, slice(block.first, block.last))

    @property
    def hessian_cost(self) -> float:
        """Return what a call of order 2 costs, in calls of order 1."""
        if self._cost is None:
            reading = self._parts.read()
            self._cost = next(reading).bound(self._spec).hessian_cost
            cast(Any, reading).close()
        return self._cost

    def __call__(
        self,
        theta: _Vector,
        order: int = 1,
        *,
        curvatures: _Vector | None = None,
        moments: _Vector | None = None,
    ) -> tuple[float, _Vector | None, _Vector | None]:
        """Return the sums of the losses, their gradients and Hessians."""
        width = None if moments is None else moments.shape
        loss, sums = 0.0, [None, None, None]
        for answer in self._answers(partial(_evaluate, theta, order, curvatures, width)):
            loss += answer[0]
            sums = [_added(a, b) for a, b in zip(sums, answer[1:], strict=True)]
        if moments is not None:
            moments[...] = sums[2]
        return loss, sums[0], sums[1]

    def product(self, curvatures: _Vector, vector: _Vector) -> _Vector:
        """Return ``A' diag(curvatures) A vector``."""
        return self._sum(partial(_product, curvatures, vector))

    def moments(self, curvatures: _Vector) -> _Vector:
        """Return the sums of h, of h x and of h x²."""
        return self._sum(partial(_moments, curvatures))

    def coupling(self, curvatures: _Vector) -> _Vector:
        """Return the sums of weight times (diag(p) - p p')."""
        return self._sum(partial(_coupling, curvatures))

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of ``A vector`` in rows of weight above 0."""
        return float(max(self._answers(partial(_largest_margin, vector))))

    def least_residual(self, theta: _Vector) -> float:
        """Return the smallest weight times probability of another class, of rows of weight."""
        return float(min(self._answers(partial(_least_residual, theta))))

    def largest_newton_change(self, theta: _Vector, step: _Vector) -> float:
        """Return the largest probability of the other class times change towards the own one."""
        return float(max(self._answers(partial(_newton_change, theta, step))))

    def _sum(self, question: Question) -> _Vector:
        total: Any = None
        for answer in self._answers(question):
            total = _added(total, answer)
        assert total is not None
        return cast(_Vector, total)


def _added(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    a += b
    return a


# --- questions: what is asked of a block ----------------------------------------------------------


def _evaluate(
    theta: _Vector,
    order: int,
    curvatures: _Vector | None,
    width: tuple[int, ...] | None,
    bound: Pass,
    rows: MemoryRows,
    at: slice,
) -> tuple[Any, ...]:
    moments = None if width is None else np.empty(width)
    part = None if curvatures is None else curvatures[at]
    return (*bound(theta, order, curvatures=part, moments=moments), moments)


def _product(h: _Vector, v: _Vector, bound: Pass, rows: MemoryRows, at: slice) -> _Vector:
    return bound.product(h[at], v)


def _moments(h: _Vector, bound: Pass, rows: MemoryRows, at: slice) -> _Vector:
    return bound.moments(h[at])


def _coupling(h: _Vector, bound: Pass, rows: MemoryRows, at: slice) -> _Vector:
    return cast(ClassesPass, bound).coupling(h[at])


def _largest_margin(v: _Vector, bound: Pass, rows: MemoryRows, at: slice) -> float:
    if rows.total_weight == 0.0:
        return 0.0
    return bound.largest_margin(v)


def _own(z: _Vector, y: _Vector) -> _Vector:
    """Return margins towards the own one of two classes."""
    return np.where(y > 0.5, z, -z)


def _least_residual(theta: _Vector, bound: Pass, rows: MemoryRows, at: slice) -> float:
    _, y, weights, _ = rows.arrays
    if theta.ndim == 1:
        with np.errstate(over="ignore"):
            others = 1.0 / (1.0 + np.exp(_own(bound.margins(theta), y)))
    else:
        p = bound.predict(theta)
        p[np.arange(y.size), y.astype(np.intp)] = np.inf
        others = p.min(axis=1)
    if weights is not None:
        others = (weights * others)[weights > 0.0]
    return float(others.min(initial=np.inf))


def _newton_change(
    theta: _Vector, step: _Vector, bound: Pass, rows: MemoryRows, at: slice
) -> float:
    _, y, weights, _ = rows.arrays
    with np.errstate(over="ignore"):
        own = 1.0 / (1.0 + np.exp(-_own(bound.margins(theta), y)))
    change = own * _own(bound.margins(step, with_offset=False), y)
    if weights is not None:
        change = change[weights > 0.0]
    return float(change.max(initial=-np.inf))


# --- the source -----------------------------------------------------------------------------------


def sample_places(n: int, step: int, room: int) -> NDArray[np.int64]:
    """Return which of n rows are in the sample of one of every ``step``: ``room`` at the most.

    Those of :meth:`fastlogreg.data.memory.MemoryRows.sample`, or one of more rows.
    """
    wide = max(step, -(-n // max(1, room)))
    whole = n // wide
    rows = np.arange(0, whole * wide, wide, dtype=np.int64)
    rows += np.random.default_rng(0).integers(0, wide, size=whole)
    return rows


class PartedRows:
    """Rows in parts as a source; see :class:`fastlogreg.data.sources.RowSource`."""

    fraction = 1.0

    def __init__(self, parts: Parts, chosen: NDArray[np.intp] | None = None) -> None:
        self._parts = parts if chosen is None else _SomeColumns(parts, chosen)
        facts = self._parts.facts
        self.n_rows, self.n_columns, self.n_values = (
            facts.n_rows,
            facts.n_columns,
            facts.n_values,
        )
        self.total_weight = facts.total_weight
        self._samples: dict[int, MemoryRows] = {}
        self._readings = 0.0

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much."""
        return self._parts.facts.effective

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows, to be called many times."""
        return cast(Pass, PartedPass(_Forgetting(self), spec))

    def bind_sets(self, members: NDArray[np.bool_], spec: PassSpec) -> SetsPass:
        """Refuse: folds are fitted in memory."""
        raise NotImplementedError("sets of rows that come in parts are not offered")

    def subset(self, rows: NDArray[np.int64]) -> Any:
        """Refuse: folds are fitted in memory."""
        raise NotImplementedError("subsets of rows that come in parts are not offered")

    def columns(self, chosen: NDArray[np.intp]) -> "PartedRows":
        """Return the same rows with some of the columns, which are cut out anew each time."""
        return PartedRows(self._parts, chosen)

    def column_ranges(self) -> tuple[_Vector, _Vector]:
        """Return the smallest and the largest value of each column, (d,) each."""
        low, high = np.full(self.n_columns, np.inf), np.full(self.n_columns, -np.inf)
        for block in self._parts.read():
            lowest, highest = block.rows.column_ranges()
            np.minimum(low, lowest, out=low)
            np.maximum(high, highest, out=high)
        return low, high

    def squared_lengths(self, matrix: _Vector, intercept: bool) -> _Vector:
        """Return the squared length of ``[1, x] matrix``, or ``x matrix``, for each row, (n,)."""
        return np.concatenate(
            [block.rows.squared_lengths(matrix, intercept) for block in self._parts.read()]
        )

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return None: what is not finite is refused where batches become numbers."""
        return None

    def solving(self, size: int) -> AbstractContextManager[None]:
        """Return what a solver of ``size`` parameters runs in."""
        return backends.get("numba").solving(size)

    # --- samples ------------------------------------------------------------------------------

    def sample(self, step: int) -> MemoryRows:
        """Return one row, drawn with a fixed seed, of every ``step`` rows, copied into memory.

        Those of the later stages, one of step / 8 and so on, are copied in the same reading. Where
        there is no room for as many, fewer are taken.
        """
        if step not in self._samples and (found := self._parts.drawn(step)) is not None:
            found.fraction = found.n_rows / self.n_rows
            self._samples[step] = found
        if step not in self._samples:
            steps = [step]
            while steps[-1] % _STAGE == 0 and steps[-1] > _STAGE:
                steps.append(steps[-1] // _STAGE)
            self._samples = self._drawn(steps)
            self._readings += 1.0
        return self._samples[step]

    def sample_readings(self) -> float:
        """Return the readings that samples took and nobody has counted yet."""
        found, self._readings = self._readings, 0.0
        return found

    def forget_samples(self) -> None:
        """Give their memory back: a pass over all rows has begun."""
        self._samples = {}

    def _drawn(self, steps: list[int]) -> dict[int, MemoryRows]:
        places = {step: sample_places(self.n_rows, step, self._parts.sample_rows) for step in steps}
        pieces: dict[int, list[tuple[Any, ...]]] = {step: [] for step in steps}
        for block in self._parts.read():
            for step, rows in places.items():
                low, high = np.searchsorted(rows, [block.first, block.last])
                if high > low:
                    at = rows[low:high] - block.first
                    arrays = (None if a is None else a[at] for a in block.rows.arrays)
                    pieces[step].append(tuple(arrays))
        return {step: self._sample_of(pieces.pop(step)) for step in steps}

    def _sample_of(self, pieces: list[tuple[Any, ...]]) -> MemoryRows:
        found = MemoryRows(*(joined(list(each)) for each in zip(*pieces, strict=True)))
        found.fraction = found.n_rows / self.n_rows
        return found

    # --- separated rows -----------------------------------------------------------------------

    def may_be_separated(
        self,
        spec: PassSpec,
        theta: _Vector,
        grows: NDArray[np.bool_],
        decrement: float,
    ) -> bool:
        """Whether directions without penalty may separate rows; False is certain.

        By the first two of the questions of :mod:`fastlogreg.data.separation`: the residuals, and
        Newton's certificate. ``theta`` is (p,) or (K, p), and ``grows`` says which of its entries,
        (2, theta.size), may fall or rise without bound.
        """
        bound = PartedPass(self._parts, spec)
        limit = max(_UNSURE * decrement, _TINY)
        if bound.least_residual(theta) / self.total_weight > limit:
            return False
        if theta.ndim == 2:
            return True
        held: NDArray[np.bool_] = np.asarray(grows.any(axis=0))
        held[: int(spec.intercept)] = True
        _, gradient, hessian = bound(theta, 2)
        assert gradient is not None and hessian is not None
        scale = np.sqrt(np.maximum(np.diag(hessian)[held], np.finfo(float).tiny))
        scaled = hessian[np.ix_(held, held)] / np.outer(scale, scale)
        values, vectors = np.linalg.eigh(scaled)
        if values[0] < _TINY:
            return True
        step = np.zeros(theta.size)
        step[held] = vectors @ ((vectors.T @ (-gradient[held] / scale)) / values) / scale
        return bound.largest_newton_change(theta, step) >= _STEP


class _Forgetting:
    """The parts of a source, which gives its samples back when they are read."""

    def __init__(self, source: PartedRows) -> None:
        self._source = source
        self._parts = source._parts
        self.facts = self._parts.facts
        self.sample_rows = self._parts.sample_rows

    def drawn(self, step: int) -> MemoryRows | None:
        """Return a sample that is there already."""
        return self._parts.drawn(step)

    def read(self) -> Iterator[Block]:
        """Return the blocks."""
        self._source.forget_samples()
        return self._parts.read()


class _SomeColumns:
    """Parts with some of their columns; see :class:`Parts`."""

    def __init__(self, parts: Parts, chosen: NDArray[np.intp]) -> None:
        self._parts, self._chosen = parts, chosen
        facts = parts.facts
        share = chosen.size / max(1, facts.n_columns)
        self.facts = Facts(
            facts.n_rows,
            chosen.size,
            int(facts.n_values * share),
            facts.total_weight,
            facts.effective,
        )
        self.sample_rows = parts.sample_rows

    def drawn(self, step: int) -> MemoryRows | None:
        """Return None: what there is has all columns."""

    def read(self) -> Iterator[Block]:
        """Return the blocks, cut."""
        for block in self._parts.read():
            yield Block(block.rows.columns(self._chosen), block.first)


def joined(pieces: list[Any]) -> Any:
    """Return arrays or CSR matrices one below the other; None where there are none."""
    if pieces[0] is None:
        return None
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], np.ndarray):
        order = "F" if pieces[0].flags.f_contiguous and pieces[0].ndim == 2 else "C"
        shape = (sum(len(piece) for piece in pieces), *pieces[0].shape[1:])
        whole = np.empty(shape, dtype=pieces[0].dtype, order=cast(Any, order))
        first = 0
        for piece in pieces:
            whole[first : first + len(piece)] = piece
            first += len(piece)
        return whole
    from scipy import sparse

    return sparse.vstack(pieces, format="csr")
