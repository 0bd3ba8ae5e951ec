"""Rows that come in parts: a source whose passes add what the parts answer.

What a pass asks of a part is a :class:`Question`, a small thing that can be pickled and answered
where the part is; whoever has the parts (:class:`Parts`) asks it of each and adds the answers, in
an order that is always the same. Files are read anew for each question
(:mod:`fastlogreg.data.files`); partitions on a cluster answer where they lie
(:mod:`fastlogreg.data.cluster`).

Where a solver begins on a part of the rows, these are copied into memory: the rows that
:meth:`fastlogreg.data.memory.MemoryRows.sample` would draw, of all stages in one reading.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg import backends
from fastlogreg.backends import ClassesPass, Pass, PassSpec, SetsPass, Solving
from fastlogreg.data.memory import MemoryRows

__all__ = [
    "STAGE",
    "Around",
    "Block",
    "Facts",
    "PartedPass",
    "PartedRows",
    "PartedSetsPass",
    "Parts",
    "Question",
    "SomeParts",
    "effective_rows",
    "gathered",
    "joined",
    "pick",
    "sample_places",
]

_MOST_SAMPLED = 1 << 17  # rows in a sample of some rows
_ROW_BYTES, _VALUE_BYTES = 24, 12  # in memory: target, weight, offset; a stored value and its place
STAGE = 8  # solvers begin on one row of 8, of 64, ...: see fastlogreg.solvers.handover

_Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What is known of all rows together.

    Attributes
    ----------
    n_rows, n_columns, n_values : int
    total_weight, effective : float
        As :class:`fastlogreg.data.sources.RowSource` has them.
    far_middle : ndarray of shape (d,), optional
        As :attr:`fastlogreg.data.memory.MemoryRows.far_middle`, of some rows.
    """

    n_rows: int
    n_columns: int
    n_values: int
    total_weight: float
    effective: float
    far_middle: _Vector | None = None

    def of_columns(self, chosen: NDArray[np.intp], n_values: int) -> "Facts":
        """Return what is known of the rows with some of their columns, numbered."""
        middle = None if self.far_middle is None else self.far_middle[chosen]
        return replace(self, n_columns=chosen.size, n_values=n_values, far_middle=middle)


def effective_rows(
    rows: NDArray[np.int64],
    weights: _Vector,
    squares: _Vector,
    by_class: _Vector | None,
) -> float:
    """Return how many rows of equal weight would say as much; as ``MemoryRows`` has it.

    Of each class, (K,): rows, the sum of their weights, and of the squares; ``by_class`` multiplies
    the weights.
    """
    each = np.ones(rows.size) if by_class is None else by_class
    weighted = float(each @ weights) ** 2 / float(each**2 @ squares)
    if rows.size == 2:
        return min(weighted, 4.0 * float(rows.min()))
    return min(weighted, float(np.minimum(rows, rows.sum() / rows.size).sum()))


class Block:
    """Some consecutive rows in memory, and the number of the first; bound once to each pass."""

    def __init__(self, rows: MemoryRows, first: int) -> None:
        self.rows = rows
        self.first = first
        self._bound: dict[PassSpec, Pass] = {}

    def __reduce__(self) -> Any:
        return _block_of, (self.rows.arrays, self.first)

    @property
    def last(self) -> int:
        """Return the number of the row after these."""
        return self.first + self.rows.n_rows

    def bound(self, spec: PassSpec) -> Pass:
        """Return the pass over these rows."""
        if spec not in self._bound:
            self._bound[spec] = self.rows.bind(spec)
        return self._bound[spec]


def _block_of(arrays: tuple[Any, ...], first: int) -> Block:
    return Block(MemoryRows(*arrays), first)


@dataclass(frozen=True)
class Question:
    """What is asked of each part.

    Attributes
    ----------
    answer : callable
        A function of this module: ``answer(bound, rows, *asked, *cut)``.
    asked : tuple
        Arguments that are the same for all.
    cut : tuple
        Arrays of one row for each row of the whole, or None: each part gets its own rows of them.
    add : callable
        How two answers become one, of which the first may be changed; default: their sum.
    """

    answer: Callable[..., Any]
    asked: tuple[Any, ...] = ()
    cut: tuple[Any, ...] = ()
    add: Callable[[Any, Any], Any] | None = None

    def of(self, first: int, last: int) -> "Question":
        """Return the question to the part that has these rows."""
        cut = tuple(None if array is None else array[first:last] for array in self.cut)
        return replace(self, cut=cut)

    def added(self, one: Any, other: Any) -> Any:
        """Return two answers as one."""
        return (self.add or _sum)(one, other)

    def ask(self, block: Block, spec: PassSpec) -> Any:
        """Return a block's answer; the question is to it."""
        return self.answer(block.bound(spec), block.rows, *self.asked, *self.cut)

    def adder(self) -> "Question":
        """Return a question that adds answers as this one does, without what it asks."""
        return replace(self, asked=(), cut=())


@dataclass(frozen=True)
class Around(Question):
    """What changes a part's rows before it asks ``inner``, another question, of them.

    Its own answer, and what is asked and cut, are those of the question inside.
    """

    inner: Any = None

    def of(self, first: int, last: int) -> "Around":
        """Return the question to the part that has these rows."""
        return replace(self, inner=self.inner.of(first, last))

    def added(self, one: Any, other: Any) -> Any:
        """Return two answers as one."""
        return self.inner.added(one, other)

    def adder(self) -> Question:
        """Return a question that adds answers as this one does, without what it asks."""
        return replace(self, inner=self.inner.adder())


@dataclass(frozen=True)
class _OfSome(Around):
    """What is asked of some of a part's rows: ``rows`` are their numbers, ascending.

    What the question inside cuts has one row for each of these. A part that has none of them
    answers None.
    """

    rows: NDArray[np.int64] | None = None

    def of(self, first: int, last: int) -> "_OfSome":
        """Return the question to the part that has these rows."""
        assert self.rows is not None
        low, high = np.searchsorted(self.rows, [first, last])
        return replace(self, inner=self.inner.of(low, high), rows=self.rows[low:high] - first)

    def added(self, one: Any, other: Any) -> Any:
        """Return two answers as one."""
        if one is None or other is None:
            return deepcopy(other) if one is None else one
        return super().added(one, other)

    def ask(self, block: Block, spec: PassSpec) -> Any:
        """Return a block's answer; the question is to it."""
        at = self.rows
        assert at is not None
        if not at.size:
            return None
        n = block.rows.n_rows
        if at.size == n and at[0] == 0 and at[-1] == n - 1 and (np.diff(at) == 1).all():
            return self.inner.ask(block, spec)
        picked: Any = (None if array is None else array[at] for array in block.rows.arrays)
        return self.inner.ask(Block(MemoryRows(*picked), 0), spec)

    def adder(self) -> Question:
        """Return a question that adds answers as this one does, without what it asks."""
        return replace(self, inner=self.inner.adder(), rows=None)


class Parts(Protocol):
    """Whoever has the rows.

    Attributes
    ----------
    facts : Facts
    reading_cost : float
        What it costs to have the rows in memory, in calls of order 1 of a pass over them there.
    room : int
        Bytes that rows with some of the columns may take in memory.
    """

    facts: Facts
    reading_cost: float
    room: int

    def ask(self, question: Question, spec: PassSpec) -> Any:
        """Return the answers of all parts, added in an order that is always the same."""

    def samples(self, steps: list[int]) -> tuple[dict[int, MemoryRows], float]:
        """Return samples of one row of each of ``steps``, and how many readings that took."""

    def columns(self, chosen: NDArray[np.intp]) -> "Parts":
        """Return the same parts with some of their columns, numbered in ascending order."""


class PartedPass:
    """A pass over all parts; see :class:`fastlogreg.backends.Pass`."""

    def __init__(self, parts: Parts, spec: PassSpec, begun: Callable[[], None]) -> None:
        self._parts = parts
        self._spec = spec
        self._begun = begun
        self.n_rows = parts.facts.n_rows
        self.total_weight = parts.facts.total_weight

    def _ask(self, answer: Callable[..., Any], *asked: Any, cut: Any = (), add: Any = None) -> Any:
        self._begun()
        return self._parts.ask(Question(answer, asked, cut, add), self._spec)

    @cached_property
    def hessian_cost(self) -> float:
        """Return what a call of order 2 costs, in calls of order 1: of rows like these."""
        few = np.ones((64, self._parts.facts.n_columns))
        cost = MemoryRows(few, np.zeros(64)).bind(self._spec).hessian_cost
        return (self._parts.reading_cost + cost) / (self._parts.reading_cost + 1.0)

    def __call__(
        self,
        theta: _Vector,
        order: int = 1,
        *,
        curvatures: _Vector | None = None,
        moments: _Vector | None = None,
    ) -> tuple[float, _Vector | None, _Vector | None]:
        """Return the sums of the losses, their gradients and Hessians."""
        n = None if curvatures is None else curvatures.shape[1:]
        width = None if moments is None else moments.shape
        found = self._ask(_evaluate, theta, order, n, width, add=_add_each)
        loss, gradient, hessian, kept, sums = found
        if moments is not None:
            moments[...] = sums
        if curvatures is not None:
            np.concatenate(kept, out=curvatures)
        return float(loss), gradient, hessian

    def product(self, curvatures: _Vector, vector: _Vector) -> _Vector:
        """Return ``A' diag(curvatures) A vector``."""
        return cast(_Vector, self._ask(_product, vector, cut=(curvatures,)))

    def moments(self, curvatures: _Vector) -> _Vector:
        """Return the sums of h, of h x and of h x²."""
        return cast(_Vector, self._ask(_moments, cut=(curvatures,)))

    def coupling(self, curvatures: _Vector) -> _Vector:
        """Return the sums of weight times (diag(p) - p p')."""
        return cast(_Vector, self._ask(_coupling, cut=(curvatures,)))

    def largest_margin(self, vector: _Vector) -> float:
        """Return the largest size of ``A vector`` in rows of weight above 0."""
        return float(self._ask(_largest_margin, vector, add=max))


class PartedSetsPass:
    """A pass over sets of the rows of all parts; see :class:`fastlogreg.backends.SetsPass`."""

    def __init__(self, source: "PartedRows", members: NDArray[Any], spec: PassSpec) -> None:
        self._source, self._spec = source, spec
        self._members = np.ascontiguousarray(members.T)  # a row for each row
        self.n_rows = source.n_rows

    def __call__(
        self, theta: _Vector, sets: NDArray[np.int64], order: int = 1
    ) -> tuple[_Vector, _Vector | None]:
        """Return the sums of losses, (m,), and of gradients, (m, p), in one reading."""
        asked = theta, sets, order, self._spec
        found = self._source.ask(
            _of_sets, *asked, cut=self._members, add=_add_each, spec=self._spec
        )
        return found[0], found[1]

    def largest_margins(self, vectors: _Vector, sets: NDArray[np.int64]) -> _Vector:
        """Return the largest size of ``A vectors[k]``, (m,), in the rows of each one's set."""
        asked = vectors, sets, self._spec
        found: _Vector = self._source.ask(
            _largest_of_sets, *asked, cut=self._members, add=np.maximum, spec=self._spec
        )
        return found


# --- what a block answers -------------------------------------------------------------------------


def _evaluate(
    bound: Pass,
    rows: MemoryRows,
    theta: _Vector,
    order: int,
    kept: tuple[int, ...] | None,
    width: tuple[int, ...] | None,
) -> list[Any]:
    """Answer with loss, gradient, Hessian, a list of curvatures, and moments."""
    curvatures = None if kept is None else np.empty((rows.n_rows, *kept))
    moments = None if width is None else np.empty(width)
    found = bound(theta, order, curvatures=curvatures, moments=moments)
    return [*found, None if curvatures is None else [curvatures], moments]


def _sum(one: Any, other: Any) -> Any:
    """Return the sum, or lists one after the other; the first may be changed."""
    one += other
    return one


def _add_each(one: list[Any], other: list[Any]) -> list[Any]:
    return [None if a is None else _sum(a, b) for a, b in zip(one, other, strict=True)]


def _product(bound: Pass, rows: MemoryRows, vector: _Vector, h: _Vector) -> _Vector:
    return bound.product(h, vector)


def _moments(bound: Pass, rows: MemoryRows, h: _Vector) -> _Vector:
    return bound.moments(h)


def _coupling(bound: Pass, rows: MemoryRows, h: _Vector) -> _Vector:
    return cast(ClassesPass, bound).coupling(h)


def _largest_margin(bound: Pass, rows: MemoryRows, vector: _Vector) -> float:
    return 0.0 if rows.total_weight == 0.0 else bound.largest_margin(vector)


def _labels(bound: Pass, rows: MemoryRows) -> list[tuple[_Vector, _Vector | None]]:
    _, y, weights, _ = rows.arrays
    return [(y.copy(), None if weights is None else weights.copy())]


def _stored_bytes(bound: Pass, rows: MemoryRows) -> int:
    return sum(_bytes(array) for array in rows.arrays if array is not None)


def _bytes(array: Any) -> int:
    if isinstance(array, np.ndarray):
        return array.nbytes
    return int(array.data.nbytes + array.indices.nbytes + array.indptr.nbytes)


def _copied_rows(bound: Pass, rows: MemoryRows) -> list[tuple[Any, ...]]:
    return [tuple(None if array is None else array.copy() for array in rows.arrays)]


def _of_sets(
    bound: Pass,
    rows: MemoryRows,
    theta: _Vector,
    sets: NDArray[np.int64],
    order: int,
    spec: PassSpec,
    members: NDArray[np.bool_],
) -> list[Any]:
    own = rows.bind_sets(np.ascontiguousarray(members.T), spec)
    return list(own(theta, sets, order))


def _largest_of_sets(
    bound: Pass,
    rows: MemoryRows,
    vectors: _Vector,
    sets: NDArray[np.int64],
    spec: PassSpec,
    members: NDArray[np.bool_],
) -> _Vector:
    own = rows.bind_sets(np.ascontiguousarray(members.T), spec)
    return own.largest_margins(vectors, sets)


def _ranges(bound: Pass, rows: MemoryRows) -> list[_Vector]:
    return list(rows.column_ranges())


def _wider(one: list[_Vector], other: list[_Vector]) -> list[_Vector]:
    return [np.minimum(one[0], other[0]), np.maximum(one[1], other[1])]


def _lengths(bound: Pass, rows: MemoryRows, matrix: _Vector, intercept: bool) -> list[_Vector]:
    return [rows.squared_lengths(matrix, intercept)]


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

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        facts = parts.facts
        self.n_rows, self.n_columns, self.n_values = (
            facts.n_rows,
            facts.n_columns,
            facts.n_values,
        )
        self.total_weight = facts.total_weight
        self._samples: dict[int, MemoryRows] = {}
        self._readings = 0.0
        self.collects = parts.room > 0

    def effective_rows(self) -> float:
        """Return how many rows of equal weight and balanced labels would say as much."""
        return self._parts.facts.effective

    @property
    def far_middle(self) -> _Vector | None:
        """Return about the middle of each column that is far from 0; see :class:`Facts`."""
        middle = self._parts.facts.far_middle
        return middle if middle is not None and middle.any() else None

    def through(self, change: Callable[[Parts], Parts]) -> "PartedRows":
        """Return the rows of other parts, which ``change`` makes of these."""
        return PartedRows(change(self._parts))

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows, to be called many times."""
        return cast(Pass, PartedPass(self._parts, spec, self._forget_samples))

    def ask(
        self,
        answer: Callable[..., Any],
        *asked: Any,
        cut: NDArray[Any] | None = None,
        add: Callable[[Any, Any], Any] | None = None,
        spec: PassSpec,
    ) -> Any:
        """Return what all parts answer, added, in one reading; see :class:`Question`.

        ``cut`` has a value for each row, of which a part gets its own.
        """
        question = Question(answer, asked, () if cut is None else (cut,), add)
        return self._parts.ask(question, spec)

    @cached_property
    def labels(self) -> tuple[_Vector, _Vector | None]:
        """Return the targets and the weights of all rows, (n,) each, read once and kept."""
        found = self.ask(_labels, spec=PassSpec())
        targets, weights = (list(each) for each in zip(*found, strict=True))
        return joined(targets), joined(weights)

    def bind_sets(self, members: NDArray[np.bool_] | NDArray[np.uint8], spec: PassSpec) -> SetsPass:
        """Return a pass over sets of the rows, ``members`` (n_sets, n), for one column each."""
        return cast(SetsPass, PartedSetsPass(self, members, spec))

    def subset(self, rows: NDArray[np.int64]) -> "PartedRows":
        """Return some of the rows, numbered in ascending order, as rows of their own.

        A pass over them reads all rows, and counts so.
        """
        targets, weights = self.labels
        y = targets[rows].astype(np.intp)
        size = int(targets.max()) + 1
        s = None if weights is None else weights[rows]
        squares = None if s is None else s * s
        counts, sums, second = (
            np.bincount(y, each, size).astype(np.float64) for each in (None, s, squares)
        )
        facts = replace(
            self._parts.facts,
            n_rows=rows.size,
            total_weight=float(sums.sum()),
            effective=effective_rows(counts.astype(np.int64), sums, second, None)
            if sums.any()
            else 0.0,
        )
        return PartedRows(SomeParts(self._parts, rows, facts))

    def columns(self, chosen: NDArray[np.intp]) -> "PartedRows | MemoryRows":
        """Return the same rows with some of the columns.

        They are in memory where there is room for them, and cut out anew each time else; then
        ``collects`` says so from now on.
        """
        some = PartedRows(self._parts.columns(chosen))
        rows = some._in_memory() if self.collects else None
        self._readings += some._readings
        self.collects = rows is not None
        return some if rows is None else rows

    def _in_memory(self) -> MemoryRows | None:
        """Return all rows in memory; None where there is no room for them."""
        room = self._parts.room // 2  # pieces are copied into one
        size = self.n_rows * (_ROW_BYTES + _VALUE_BYTES * self.n_columns)  # at the most
        if size > room:
            if self.n_rows * _ROW_BYTES > room:
                return None
            size = self.ask(_stored_bytes, add=operator.add, spec=PassSpec())
            self._readings += 1.0
            if size > room:
                return None
        pieces = self.ask(_copied_rows, spec=PassSpec())
        self._readings += 1.0
        return MemoryRows(*(joined(list(each)) for each in zip(*pieces, strict=True)))

    def column_ranges(self) -> tuple[_Vector, _Vector]:
        """Return the smallest and the largest value of each column, (d,) each."""
        low, high = self.ask(_ranges, add=_wider, spec=PassSpec())
        return low, high

    def squared_lengths(self, matrix: _Vector, intercept: bool) -> _Vector:
        """Return the squared length of ``[1, x] matrix``, or ``x matrix``, for each row, (n,)."""
        return np.concatenate(self.ask(_lengths, matrix, intercept, spec=PassSpec()))

    def first_not_finite(self) -> tuple[int, int] | None:
        """Return None: what is not finite is refused where the parts become numbers."""
        return None

    def solving(self, size: int) -> Solving:
        """Return what a solver of ``size`` parameters runs in."""
        return backends.get("numba").solving(size)

    # --- samples ------------------------------------------------------------------------------

    def sample(self, step: int) -> MemoryRows:
        """Return one row, drawn with a fixed seed, of every ``step`` rows, copied into memory.

        Those of the later stages, one of step / 8 and so on, are copied in the same reading. Where
        there is no room for as many, fewer are taken.
        """
        if step not in self._samples:
            steps = [step]
            while steps[-1] % STAGE == 0 and steps[-1] > STAGE:
                steps.append(steps[-1] // STAGE)
            self._samples, readings = self._parts.samples(steps)
            for sample in self._samples.values():
                sample.fraction = sample.n_rows / self.n_rows
            self._readings += readings
        return self._samples[step]

    def sample_readings(self) -> float:
        """Return the readings that samples took and nobody has counted yet."""
        found, self._readings = self._readings, 0.0
        return found

    def _forget_samples(self) -> None:
        """Give their memory back: a pass over all rows begins."""
        self._samples = {}

    def pieces(self) -> Callable[[], Iterator[MemoryRows]] | None:
        """Return what reads the parts one after the other; None where they are not to be moved."""
        read = getattr(self._parts, "read", None)
        return None if read is None else lambda: (block.rows for block in read())


class SomeParts:
    """Some of the rows of parts; see :class:`Parts`. All parts are read for a question.

    Parameters
    ----------
    parts : Parts
    rows : ndarray of int64
        Their numbers, ascending.
    facts : Facts
    """

    def __init__(self, parts: Parts, rows: NDArray[np.int64], facts: Facts) -> None:
        self._parts, self._rows, self.facts = parts, rows, facts
        self.reading_cost, self.room = parts.reading_cost, parts.room

    def _question(self, question: Question, rows: NDArray[np.int64]) -> Question:
        return _OfSome(question.answer, inner=question, rows=rows)

    def ask(self, question: Question, spec: PassSpec) -> Any:
        """Return the answers of all parts that have some of the rows, added."""
        return self._parts.ask(self._question(question, self._rows), spec)

    def samples(self, steps: list[int]) -> tuple[dict[int, MemoryRows], float]:
        """Return samples of one row of each of ``steps``, a reading each."""
        found = {}
        for step in steps:
            rows = self._rows[sample_places(self._rows.size, step, _MOST_SAMPLED)]
            pieces = self._parts.ask(self._question(Question(_copied_rows), rows), PassSpec())
            found[step] = MemoryRows(*(joined(list(each)) for each in zip(*pieces, strict=True)))
        return found, float(len(steps))

    def columns(self, chosen: NDArray[np.intp]) -> "SomeParts":
        """Return the same rows with some of their columns."""
        parts = self._parts.columns(chosen)
        facts = self.facts.of_columns(chosen, parts.facts.n_values)
        return SomeParts(parts, self._rows, facts)


def pick(block: Block, places: dict[int, NDArray[np.int64]]) -> dict[int, tuple[Any, ...]]:
    """Return a block's rows of samples, copied, by step: matrix, targets, weights, offset."""
    found = {}
    for step, rows in places.items():
        low, high = np.searchsorted(rows, [block.first, block.last])
        if high > low:
            at = rows[low:high] - block.first
            found[step] = tuple(None if a is None else a[at] for a in block.rows.arrays)
    return found


def gathered(picked: Iterable[dict[int, tuple[Any, ...]]]) -> dict[int, MemoryRows]:
    """Return the samples whose rows the blocks have picked."""
    pieces: dict[int, list[tuple[Any, ...]]] = {}
    for each in picked:
        for step, arrays in each.items():
            pieces.setdefault(step, []).append(arrays)
    return {
        step: MemoryRows(*(joined(list(each)) for each in zip(*pieces.pop(step), strict=True)))
        for step in list(pieces)
    }


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
