"""A second source of rows: two halves that are read one after the other, and summed.

It shows the seam that files and clusters use: what it adds are the sums of :class:`Pass`.
"""

import numpy as np

from fastlogreg.data.memory import MemoryRows


class HalvesPass:
    """A pass over both halves."""

    def __init__(self, passes):
        self.passes = passes
        self.n_rows = sum(each.n_rows for each in passes)
        self.total_weight = sum(each.total_weight for each in passes)
        self.hessian_cost = max(each.hessian_cost for each in passes)

    def _cut(self, curvatures):
        if curvatures is None:
            return None, None
        return np.split(curvatures, [self.passes[0].n_rows])

    def __call__(self, theta, order=1, *, curvatures=None, moments=None):
        """Return the sums of both."""
        into = [None if moments is None else np.empty_like(moments) for _ in range(2)]
        found = [
            each(theta, order, curvatures=part, moments=sums)
            for each, part, sums in zip(self.passes, self._cut(curvatures), into, strict=True)
        ]
        if moments is not None:
            moments[:] = into[0] + into[1]
        return tuple(None if a is None else a + b for a, b in zip(*found, strict=True))

    def product(self, curvatures, vector):
        """Return the sum of both products."""
        parts = zip(self.passes, self._cut(curvatures), strict=True)
        return sum(each.product(part, vector) for each, part in parts)

    def moments(self, curvatures):
        """Return the sum of both halves' moments."""
        parts = zip(self.passes, self._cut(curvatures), strict=True)
        return sum(each.moments(part) for each, part in parts)

    def coupling(self, curvatures):
        """Return the sum of both halves' entries between intercepts."""
        parts = zip(self.passes, self._cut(curvatures), strict=True)
        return sum(each.coupling(part) for each, part in parts)

    def largest_margin(self, vector):
        """Return the larger of both."""
        return max(each.largest_margin(vector) for each in self.passes)


class Halves:
    """Rows in two pieces; see :class:`fastlogreg.data.sources.RowSource`."""

    def __init__(self, *halves):
        self.halves = halves
        self.n_rows = sum(half.n_rows for half in halves)
        self.n_values = sum(half.n_values for half in halves)
        self.n_columns = halves[0].n_columns
        self.fraction = halves[0].fraction
        self.total_weight = sum(half.total_weight for half in halves)

    def effective_rows(self):
        """Return what both say together."""
        return sum(half.effective_rows() for half in self.halves)

    def bind(self, spec):
        """Return a pass over both."""
        return HalvesPass([half.bind(spec) for half in self.halves])

    def sample(self, step):
        """Return a sample of each."""
        return Halves(*(half.sample(step) for half in self.halves))

    def sample_readings(self):
        """Return 0: samples share the rows."""
        return 0.0

    def columns(self, chosen):
        """Return some columns of each."""
        return Halves(*(half.columns(chosen) for half in self.halves))

    def solving(self, size):
        """Return what solvers run in."""
        return self.halves[0].solving(size)


def halves_of(X, y, sample_weight=None, offset=None):
    """Return rows cut into a third and the rest."""
    cut = X.shape[0] // 3 // 8 * 8
    pieces = slice(None, cut), slice(cut, None)
    return Halves(
        *(
            MemoryRows(*(None if a is None else a[piece] for a in (X, y, sample_weight, offset)))
            for piece in pieces
        )
    )
