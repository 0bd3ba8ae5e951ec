"""Rows of columns far from 0, as rows of the same columns near to it.

A sum of squares over a column whose values are 1e6 times their spread from 0 has 1e-4 of the
column's variance left, and with an intercept beside it a Hessian of such columns says little of
the curvature. So a number near the middle of each is subtracted before anything is summed: some
rows at a time, so that X is not copied as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastlogreg.backends import Matrix, Pass, PassSpec, Solving
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import Around, Block, Facts, PartedPass, PartedRows, Parts, Question

__all__ = ["CentredRows", "NearParts", "near_matrix", "near_rows"]

_BLOCK_VALUES = 1 << 20  # of X that are centred at a time; a single block is kept

_Vector = NDArray[np.float64]


def near_rows(rows: MemoryRows | PartedRows, middle: _Vector) -> MemoryRows | PartedRows:
    """Return rows with a number, of ``middle`` (d,), subtracted from each column.

    The values of sparse rows in memory are copied for that.
    """
    if isinstance(rows, PartedRows):
        return rows.through(lambda parts: NearParts(parts, middle))
    X = rows.arrays[0]
    return (
        CentredRows(rows, middle) if isinstance(X, np.ndarray) else rows.of(near_matrix(X, middle))
    )


def near_matrix(X: Matrix, middle: _Vector) -> Any:
    """Return rows less the middle: float64, since float32 would not hold them; arrays in C order.

    Sparse rows store nearly all of a column that is far from 0, and do so when it is moved.
    """
    if isinstance(X, np.ndarray):
        near = np.empty(X.shape)
        np.subtract(X, middle, out=near)
        return near
    far, n = np.flatnonzero(middle), X.shape[0]
    values = np.tile(middle[far], n), np.tile(far, n), np.arange(n + 1) * far.size
    return X.astype(np.float64) - type(X)(values, shape=X.shape)


class CentredRows(PartedRows):
    """Rows in memory with a number subtracted from each column, as a source.

    Parameters
    ----------
    rows : MemoryRows
    middle : ndarray of shape (d,)

    Examples
    --------
    >>> rows = MemoryRows(np.array([[1e9], [1e9 + 1.0], [1e9 + 2.0]]), np.array([0.0, 1.0, 1.0]))
    >>> low, high = CentredRows(rows, np.array([1e9])).column_ranges()
    >>> low, high
    (array([0.]), array([2.]))
    """

    def __init__(
        self, rows: MemoryRows, middle: _Vector, near: NDArray[np.float64] | None = None
    ) -> None:
        facts = Facts(
            rows.n_rows,
            rows.n_columns,
            rows.n_values,
            rows.total_weight,
            rows.effective_rows(),
        )
        self._own = _CentredParts(rows, middle, facts, near)
        super().__init__(self._own)
        self.fraction = rows.fraction
        self._rows, self._middle = rows, middle

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows, to be called many times."""
        return cast(Pass, _CentredPass(self._rows, self._parts, spec))

    def sample(self, step: int) -> Any:
        """Return one row, drawn with a fixed seed, of every ``step`` rows."""
        return CentredRows(self._rows.sample(step), self._middle)

    def subset(self, rows: NDArray[np.int64]) -> "CentredRows":
        """Return some of the rows, numbered in ascending order, as rows of their own."""
        return CentredRows(self._rows.subset(rows), self._middle)

    def times(self, counts: NDArray[Any]) -> "CentredRows":
        """Return the same rows, each so often, (n,): what is kept of X is kept once."""
        return CentredRows(self._rows.times(counts), self._middle, self._own.near)

    def columns(self, chosen: NDArray[np.intp]) -> "CentredRows":
        """Return the same rows with some of the columns, numbered in ascending order."""
        return CentredRows(self._rows.columns(chosen), self._middle[chosen])

    @property
    def far_middle(self) -> None:
        """Return None: no column is far any more."""
        return None

    def column_ranges(self) -> tuple[_Vector, _Vector]:
        """Return the smallest and the largest value of each column of all rows, (d,) each."""
        low, high = self._rows.column_ranges()
        return low - self._middle, high - self._middle

    def solving(self, size: int) -> Solving:
        """Return what a solver of ``size`` parameters runs in."""
        return self._rows.solving(size)


class _CentredPass(PartedPass):
    """A pass that costs what one over the rows as they are does."""

    def __init__(self, rows: MemoryRows, parts: Any, spec: PassSpec) -> None:
        super().__init__(parts, spec, lambda: None)
        self._rows = rows

    @cached_property
    def hessian_cost(self) -> float:
        """Return what a call of order 2 costs, in calls of order 1."""
        return self._rows.bind(self._spec).hessian_cost


class _CentredParts:
    """Blocks of the rows, each centred when it is asked; see :class:`fastlogreg.data.parts.Parts`.

    Samples and columns are taken of the rows themselves, before.
    """

    reading_cost = 0.0  # they are at hand
    room = 0  # as they are

    def __init__(
        self,
        rows: MemoryRows,
        middle: _Vector,
        facts: Facts,
        near: NDArray[np.float64] | None,
    ) -> None:
        self.facts = facts
        self._rows, self._middle, self._given = rows, middle, near
        self._kept: list[Block] | None = None

    @cached_property
    def near(self) -> NDArray[np.float64] | None:
        """Return all rows of X centred; None where that is more than a block."""
        if self.facts.n_rows * self.facts.n_columns > _BLOCK_VALUES:
            return None
        return self._centred(slice(None)) if self._given is None else self._given

    def _centred(self, at: Any) -> NDArray[np.float64]:
        X = self._rows.arrays[0]
        chosen = self._rows.chosen
        near: NDArray[np.float64] = near_matrix(
            X[at if chosen is None else chosen[at]], self._middle
        )
        return near

    def _blocks(self) -> Iterator[Block]:
        others = self._rows.arrays[1:]
        chosen, n = self._rows.chosen, self._rows.n_rows
        step = n if self.near is not None else max(1, _BLOCK_VALUES // self._middle.size)
        for first in range(0, n, max(1, step)):
            at: Any = slice(first, first + step)
            near = self._centred(at) if self.near is None else self.near
            own = (
                None if array is None else array[at if chosen is None else chosen[at]]
                for array in others
            )
            yield Block(self._rows.like(near, *own), first)

    def ask(self, question: Question, spec: PassSpec) -> Any:
        """Return the answers of all blocks, added."""
        if self._kept is None and self.near is not None:
            self._kept = list(self._blocks())
        total = None
        for block in self._kept if self._kept is not None else self._blocks():
            answer = question.of(block.first, block.last).ask(block, spec)
            total = answer if total is None else question.added(total, answer)
        return total

    def samples(self, steps: list[int]) -> Any:
        """Not offered: samples are of the rows as they are."""
        raise NotImplementedError

    def columns(self, chosen: NDArray[np.intp]) -> Any:
        """Not offered: columns are taken of the rows as they are."""
        raise NotImplementedError


@dataclass(frozen=True)
class _OfNear(Around):
    """What is asked of a part's rows with ``middle`` subtracted from their columns."""

    middle: Any = None

    def ask(self, block: Block, spec: PassSpec) -> Any:
        """Return a block's answer; the question is to it."""
        return self.inner.ask(Block(_less(block.rows, self.middle), block.first), spec)


class NearParts:
    """Parts with a number subtracted from each column, anew for each question.

    See :class:`fastlogreg.data.parts.Parts`.

    Parameters
    ----------
    parts : Parts
    middle : ndarray of shape (d,)
    """

    def __init__(self, parts: Parts, middle: _Vector) -> None:
        self._parts, self._middle = parts, middle
        self.facts = replace(parts.facts, far_middle=None)
        self.reading_cost, self.room = parts.reading_cost, parts.room

    def ask(self, question: Question, spec: PassSpec) -> Any:
        """Return the answers of all parts, added."""
        near = _OfNear(question.answer, inner=question, middle=self._middle)
        return self._parts.ask(near, spec)

    def samples(self, steps: list[int]) -> tuple[dict[int, MemoryRows], float]:
        """Return samples of one row of each of ``steps``, and how many readings that took."""
        found, readings = self._parts.samples(steps)
        return {step: _less(rows, self._middle) for step, rows in found.items()}, readings

    def columns(self, chosen: NDArray[np.intp]) -> "NearParts":
        """Return the same parts with some of their columns, numbered in ascending order."""
        return NearParts(self._parts.columns(chosen), self._middle[chosen])


def _less(rows: MemoryRows, middle: _Vector) -> MemoryRows:
    X, *others = rows.arrays
    return rows.like(near_matrix(X, middle), *others)
