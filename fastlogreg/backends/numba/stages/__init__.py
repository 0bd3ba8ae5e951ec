"""The three stages of the block pipeline: margins, pointwise, accumulate.

A block is a run of rows that stays in cache between its two uses. For each block the
driver runs ``margins`` (z = X w + b), ``pointwise`` ((z, y) -> value, residual,
curvature) and ``accumulate`` (g += X' r, and H += X' diag(h) X if asked). Storage
matters to the first and the last, loss and activation to the second only, so that they
add and never multiply.

Order is a flag and no type: X of Fortran order comes as its transpose, an array of
the same type as one of C order. Sparse rows are a type: each stage that reads X has a second
form in :mod:`.csr` beside that of :mod:`.dense`, chosen while compiling. Blocks whose rows are
named by an index (shuffled batches, subsamples) are gathered into a buffer first and are then
rows like others. Loss and activation are in :mod:`.pointwise`.

Conventions: ``lo`` is the first row of the block in X, ``n`` its number of rows; w and
g have one entry a column; all sums are float64 whatever the dtype of X.
"""

from fastlogreg.backends.numba.jit import by_storage
from fastlogreg.backends.numba.stages import csr, dense
from fastlogreg.backends.numba.stages.dense import not_finite, read
from fastlogreg.backends.numba.stages.pointwise import (
    BCE,
    MARGIN,
    MSE,
    NAN,
    PROBABILITY,
    SQUARED,
    activate,
    add,
    apply_weights,
    copy,
    gather,
    jet,
    outside,
    pointwise,
    total,
)

__all__ = [
    "BCE",
    "MARGIN",
    "MSE",
    "NAN",
    "PROBABILITY",
    "SQUARED",
    "accumulate",
    "accumulate_at",
    "accumulate_hessian",
    "accumulate_moments",
    "activate",
    "add",
    "apply_weights",
    "copy",
    "fetch",
    "gather",
    "gather_rows",
    "gathered",
    "hessian_buffer",
    "jet",
    "margins",
    "margins_at",
    "not_finite",
    "outside",
    "pointwise",
    "read",
    "row_buffer",
    "scaled_rows",
    "total",
]

margins = by_storage(dense.margins, csr.margins)
accumulate = by_storage(dense.accumulate, csr.accumulate)
accumulate_moments = by_storage(dense.accumulate_moments, csr.accumulate_moments)
accumulate_hessian = by_storage(dense.accumulate_hessian, csr.accumulate_hessian)
hessian_buffer = by_storage(dense.hessian_buffer, csr.hessian_buffer, allocates=True)
scaled_rows = by_storage(dense.scaled_rows, csr.scaled_rows)
row_buffer = by_storage(dense.row_buffer, csr.row_buffer, allocates=True)
gather_rows = by_storage(dense.gather_rows, csr.gather_rows)
gathered = by_storage(dense.gathered, csr.gathered, allocates=True)
margins_at = by_storage(dense.margins_at, csr.margins_at)
accumulate_at = by_storage(dense.accumulate_at, csr.accumulate_at)
fetch = by_storage(dense.fetch, csr.fetch)
