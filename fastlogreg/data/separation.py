"""Separated rows: whether a fit without a penalty has an optimum at all, and what it lacks.

With signs ``s_i = 2 y_i - 1`` and rows ``a_i = s_i (1, x_i)``, the loss has no optimum where a
direction d of the parameters without penalty exists with ``a_i' d >= 0`` for all rows and ``> 0``
for some: along it the loss falls for ever. Rows of weight 0 don't count, and offsets, weights
and the scales of columns change nothing. Linear programs find such directions (Konis, 2007), but
they are slow and hardly ever needed, so :func:`find_separation` asks in this order:

1. *Is there a suspicion?* At the optimum the residuals ``r_i`` (share of the weight times the
   probability of the other class) are positive weights with ``sum_i r_i a_i = 0``, which rules
   every such direction out. Near it, some row that d separates has ``r_i`` of at most twice the
   estimated distance above the optimum (the decrement of d alone says so): where all have more,
   there is no separation. That costs one reading of the margins.
2. *Newton's certificate.* With Newton's step t, ``r_i (1 - (1 - p_i) a_i' t)`` solve the equation
   exactly; where they are positive, the data overlap. Where rows are separated, some ``a_i' t``
   is at least 1. So data with an optimum far out (strong signals) are cleared here. A fit that
   ends with its Hessian asks this first (:func:`step_shows_overlap`).
3. *Single columns*, the usual case (a level that only one class has): by comparison alone.
4. *Linear programs* on few rows, to which those that the found direction violates are added.
   The direction is made exact to rounding, and verified on all rows.

Rows that a direction separates are put aside (whatever the others do, more of that direction
outweighs it), and the rest is asked again until it overlaps: so all separated rows are found.

Rows that come in parts are asked the first two questions alone, of any number of classes
(:func:`may_be_separated`): whoever can't be cleared so is suspected. With several classes the
residuals are ``r_ik``, of each row and other class k, and the certificate is ``r_ik (1 + t_ik -
sum_l p_il t_il)`` with the margins ``t_i`` of Newton's step: these solve ``sum_ik r_ik (e_y - e_k)
a_i' = 0`` exactly. Directions that change no margin (collinear columns, the same vector added to
all classes) separate nothing, and are left out of the step once a reading has shown that they
are such.

Columns are centred and scaled here, a block of rows at a time: directions and their signs are
exact to rounding for columns far from 0, too.

References
----------
Konis (2007), Linear programming algorithms for detecting separated data in binary logistic
regression models, DPhil thesis, Oxford; Albert and Anderson (1984), On the existence of maximum
likelihood estimates in logistic regression models, Biometrika 71.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from fastlogreg import backends
from fastlogreg.backends import Pass, PassSpec, one_blas_thread
from fastlogreg.data.memory import MemoryRows
from fastlogreg.data.parts import PartedRows

__all__ = [
    "InMemory",
    "Separation",
    "all_overlap",
    "asks_for_step",
    "find_separation",
    "may_be_separated",
    "step_shows_overlap",
    "suspicion",
]

_SAFETY = 16.0  # how much too small an estimated distance above the optimum may be
_TINY = 1e-11  # residuals up to this may have been left out of that estimate as rounding
_STEP = 0.75  # certified where no margin changes by more: separated rows change by 1 or more
_FLAT = 1e-11  # curvature below this share of the diagonal does not certify
_NOTHING = 1e-8  # a direction that changes margins by less than this, relatively, changes none
_ZERO = 1e-12  # of a margin along a direction of length 1, rows of size 1: rounding
_STRICT = 1e-11  # what counts as separated there
_HESSIAN = 1000  # parameters of the largest Hessian to certify with; conjugate gradients beyond
_SOFTMAX_HESSIAN = 4000  # parameters of the largest one of several classes
_PRODUCTS = 300  # of these at most
_ROUNDED = 1e-15  # a component of the scaled gradient that is rounding
_SOLVED = 0.1  # of the least residual: what they leave of the gradient, scaled
_SAMPLE = 1 << 18  # values that the scales of columns are learned from
_BLOCK = 1 << 18  # values of X that are centred at a time
_MANY = 1_000_000  # values of X from which it matters what is read first
_LIKELY = 3e-3  # probability of the other class that some row of many falls short of
_SIGNED = 1 << 14  # margins that are given their signs at a time
_ROUNDS = 60  # linear programs for one direction at most
_NAMED = 200  # parameters up to which a linear program says which columns separate all
_ITERATIONS = 50_000  # steps of one linear program at most
_VALUES = 4e6  # values of the largest linear program
_NEWTON = 4  # steps to certify with: the fit may have ended early

_Vector = NDArray[np.float64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Separation:
    """What is separated.

    Attributes
    ----------
    decided : bool
        False where the search was given up: then there may be more than what stands below, and
        where nothing does, separation is no more than suspected.
    rows : ndarray of shape (n,), bool
        Rows that are separated; the others (of positive weight) overlap, and a fit of them alone
        has an optimum.
    complete : bool
        Whether all rows of positive weight are separated.
    alone : dict of int to int
        Columns that separate rows each by itself, and the sign of the infinity that the
        coefficient grows to.
    together : list of ndarray of shape (d,), float64
        Directions of the coefficients that separate rows by several columns. Each one after the
        first holds for the rows that those before leave.
    counted : int
        Rows of positive weight.
    """

    decided: bool
    rows: _Mask
    complete: bool
    counted: int
    alone: dict[int, int] = field(default_factory=dict)
    together: list[_Vector] = field(default_factory=list)

    def columns(self) -> NDArray[np.int64]:
        """Return the columns whose coefficients have no finite optimum, in order."""
        named = set(self.alone)
        for direction in self.together:
            named.update(np.flatnonzero(direction).tolist())
        return np.array(sorted(named), dtype=np.int64)

    def describe(self, names: NDArray[Any] | None = None) -> str:
        """Return what is wrong with these data in words; ``names`` are those of the columns."""

        def called(j: int) -> str:
            return repr(str(names[j])) if names is not None else str(j)

        ways = []
        if self.alone:
            grows = [
                f"{called(j)} (to {'+' if s > 0 else '-'}infinity)" for j, s in self.alone.items()
            ]
            which = _listed(grows)
            ways.append(f"by column{_s(self.alone)} {which}{' alone' * (len(self.alone) == 1)}")
        for direction in self.together:
            held = np.flatnonzero(direction)
            signed = [f"{called(int(j))} ({'+' if direction[j] > 0 else '-'})" for j in held]
            ways.append(f"by columns {_listed(signed)} together")
        by = f" {', and '.join(ways)}" if ways else ""
        apart = np.flatnonzero(self.rows)
        which = f"row{_s(apart)} {_listed([str(i) for i in apart[:7]], apart.size)}"
        if not apart.size:
            return (
                "separation is suspected, so that without a penalty there may be no optimum, but "
                "could not be decided"
            )
        grow = "so that without a penalty there is no optimum and coefficients grow without bound"
        if self.complete:
            return f"the classes can be separated{by}, {grow}"
        least = "" if self.decided else "at least "
        return f"{least}{apart.size} of {self.counted} rows ({which}) can be separated{by}, {grow}"

    def advice(self, remedy: str = "give C a finite value") -> str:
        """Return what to do about it; ``remedy`` is how a penalty is given."""
        if self.complete or not self.rows.any():
            return remedy
        return f"{remedy}, or drop or merge what separates them"


def _s(several: Any) -> str:
    return "" if len(several) == 1 else "s"


def _listed(words: list[str], count: int | None = None, most: int = 6) -> str:
    """Return words with commas, some of them and how many more where they are many."""
    count = len(words) if count is None else count
    if count > most:
        return f"{', '.join(words[:most])} and {count - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def find_separation(
    X: backends.Matrix,
    y: _Vector,
    theta: _Vector,
    *,
    sample_weight: _Vector | None = None,
    offset: _Vector | None = None,
    intercept: bool = True,
    grows: _Mask | None = None,
    decrement: float = np.inf,
    n_threads: int | None = None,
) -> Separation | None:
    """Return what separates the classes of a fit without a penalty; None where nothing does.

    Parameters
    ----------
    X, y, sample_weight, offset
        The rows that were fitted, as in :mod:`fastlogreg.backends`; y is 0 or 1, or the share of
        successes in a row that holds both.
    theta : ndarray of shape (p,), float64
        Where the fit ended: the nearer to the optimum, the cheaper the answer.
    intercept : bool, default=True
        Whether theta begins with the bias.
    grows : ndarray of shape (2, d), bool, optional
        Columns whose coefficients may fall, and rise, without bound: what has a penalty or
        bounds may not. Default: all.
    decrement : float, default=inf
        Estimated distance of the mean loss at ``theta`` above its optimum.
    n_threads : int, optional

    Returns
    -------
    Separation or None

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [0.0], [0.0], [1.0]])
    >>> found = find_separation(X, np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 20.0]))
    >>> found.rows, found.complete, found.alone
    (array([ True, False, False,  True]), False, {0: 1})
    """
    both = (y > 0.0) & (y < 1.0)
    if both.any():
        X, y, sample_weight, offset = _one_row_for_each_label(X, y, sample_weight, offset, both)
        of_labels = find_separation(
            X,
            y,
            theta,
            sample_weight=sample_weight,
            offset=offset,
            intercept=intercept,
            grows=grows,
            decrement=decrement,
            n_threads=n_threads,
        )
        # a row of both labels is never separated
        return of_labels and replace(of_labels, rows=of_labels.rows[: both.size])
    kernels = backends.get("numba")
    spec = backends.PassSpec(intercept=intercept, n_threads=n_threads)
    bound = kernels.bind(X, None, None, offset, spec)

    def margins(at: _Vector, *, with_offset: bool = False) -> _Vector:
        z = bound.margins(at, with_offset=with_offset)
        for first in range(0, z.size, _SIGNED):  # of 1e6 rows by a mask: 11 ms, so: 2
            block = slice(first, first + _SIGNED)
            z[block] *= 2.0 * y[block] - 1.0
        return z

    counts = None if sample_weight is None else sample_weight > 0.0
    share: Any = 1.0 / y.size
    if sample_weight is not None:
        share = sample_weight / sample_weight.sum()
    limit = suspicion(decrement)
    z = margins(theta, with_offset=True)
    if counts is None and all_overlap(float(share), float(z.max()), decrement):
        return None  # as below, without an exponential for each row
    residuals = _other(z)
    residuals *= share
    suspects = residuals <= limit
    if counts is not None:
        suspects &= counts
    if not suspects.any():
        return None

    grows = np.ones((2, X.shape[1]), dtype=bool) if grows is None else grows
    free = grows.any(axis=0)
    total = y.size if counts is None else int(np.count_nonzero(counts))
    everything = np.ones(y.size, dtype=bool) if counts is None else counts
    plain = z if offset is None else margins(theta)
    lowest = float(plain[everything].min())  # above 0: the fit itself separates all
    held = np.r_[np.ones(int(intercept), dtype=bool), free]

    def certified(left: _Mask) -> bool:
        """Whether Newton's step, from passes of the backend, shows that these rows overlap."""
        weights = share * left
        curvatures = None if theta.size <= _HESSIAN else np.empty(y.size)
        weighted = kernels.bind(X, y, weights, offset, spec)
        _, gradient, hessian = weighted(
            theta, 2 if curvatures is None else 1, curvatures=curvatures
        )
        assert gradient is not None
        gradient /= weighted.total_weight
        step = np.zeros(theta.size)
        if curvatures is None:
            assert hessian is not None
            hessian /= weighted.total_weight
            found = _step(hessian[np.ix_(held, held)], gradient[held])
        else:
            curvatures /= weighted.total_weight
            moments = bound.moments(curvatures)
            squares = moments[1 + (moments.size - 1) // 2 :]
            diagonal = np.r_[[moments[0]] * int(intercept), squares][held]

            def product(v: _Vector) -> _Vector:
                whole = np.zeros(theta.size)
                whole[held] = v
                return bound.product(curvatures, whole)[held]

            least = float(residuals[left].min() / weighted.total_weight)
            found = _conjugate_gradients(product, diagonal, gradient[held], least)
        if found is None:
            return False
        step[held] = found
        change = margins(step)
        change *= _other(-z)
        return bool(change[left].max() < _STEP)

    if lowest <= 1.0 and free.any() and certified(everything):
        return None

    rows = _Rows(X, 2.0 * y - 1.0, np.flatnonzero(free), everything, intercept)
    proven = False
    if grows.all():
        rounding = 1e-14 * theta.size * float(rows.reach @ np.abs(theta[int(intercept) :]))
        proven = lowest > 1.0 + rounding
    search = _Search(rows, grows[:, free], z, np.broadcast_to(share, y.shape), suspects, certified)
    # many small products: several BLAS threads, which spin between them, took 10 times as long
    alone = one_blas_thread()
    with alone, alone:
        decided = search.run(proven)
    separated = everything & ~search.left
    if decided and not separated.any():
        return None
    together = []
    for direction in search.together:
        whole = np.zeros(X.shape[1])
        whole[rows.columns] = direction
        together.append(whole)
    return Separation(
        decided=decided,
        rows=separated,
        complete=int(np.count_nonzero(separated)) == total,
        counted=total,
        alone={int(rows.columns[j]): sign for j, sign in sorted(search.alone.items())},
        together=together,
    )


class Judged(Protocol):
    """What is asked of an objective."""

    @property
    def n_rows(self) -> int:
        """Return how many rows there are."""

    @property
    def size(self) -> int:
        """Return how many parameters there are."""

    def largest_change(self, step: _Vector) -> float:
        """Return by how much ``step`` changes the margin of a row at the most, in one reading."""


def asks_for_step(objective: Judged, decrement: float) -> bool:
    """Whether a fit of two classes ended so far out that Newton's certificate is asked for first.

    Of many rows some has a residual below that suspicion, and then the margins were read for
    nothing.
    """
    many = objective.n_rows * objective.size >= _MANY and objective.size <= _HESSIAN
    return many and suspicion(decrement) * objective.n_rows > _LIKELY


def step_shows_overlap(
    objective: Judged, gradient: _Vector, hessian: NDArray[np.float64], held: _Mask
) -> bool:
    """Whether derivatives of the mean loss show that no direction separates rows of two classes.

    That is Newton's certificate, in one reading of the margins. ``held``, (p,), says which entries
    of theta have no penalty.
    """
    found = _step(hessian[np.ix_(held, held)], gradient[held])
    if found is None:
        return False
    step = np.zeros(held.size)
    step[held] = found
    return objective.largest_change(step) < _STEP


def suspicion(decrement: float) -> float:
    """Return how small a residual is suspicious, of a fit that ended ``decrement`` high."""
    return max(_SAFETY * decrement, _TINY)


class InMemory:
    """Rows in memory, asked what parts are asked."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows
        self._bound: dict[PassSpec, Pass] = {}
        self.total_weight = rows.total_weight

    def bind(self, spec: PassSpec) -> Pass:
        """Return a pass over the rows."""
        if spec not in self._bound:
            self._bound[spec] = self._rows.bind(spec)
        return self._bound[spec]

    def ask(self, answer: Callable[..., Any], *asked: Any, add: Any, spec: PassSpec) -> Any:
        """Return what the rows answer."""
        return answer(self.bind(spec), self._rows, *asked)


def may_be_separated(
    source: PartedRows | InMemory, spec: PassSpec, theta: _Vector, grows: _Mask, decrement: float
) -> bool:
    """Whether directions without penalty may separate rows that come in parts; False is certain.

    Parameters
    ----------
    source : PartedRows or InMemory
    spec : PassSpec
        Of the fit: two classes, or softmax.
    theta : ndarray of shape (p,) or (K, p)
        Where it ended.
    grows : ndarray of shape (2, theta.size), bool
        Which entries of theta may fall, and rise, without bound; intercepts always may.
    decrement : float
        Estimated distance of the mean loss above its optimum.

    Returns
    -------
    bool
        One reading tells most fits, and two or three more the others.
    """
    least = source.ask(_least_residual, theta, add=min, spec=spec)
    if least / source.total_weight > suspicion(decrement):
        return False
    if theta.ndim == 2 and theta.size > _SOFTMAX_HESSIAN:
        return True
    held: _Mask = np.array(grows.any(axis=0)).reshape(-1, theta.shape[-1])
    held[:, : int(spec.intercept)] = True
    if theta.ndim == 2:  # the same step of all classes changes nothing: the first stays
        held[0, held.all(axis=0)] = False
    held = held.reshape(-1)
    _, gradient, hessian = source.bind(spec)(theta, 2)
    assert gradient is not None and hessian is not None
    gradient, hessian = gradient.reshape(-1)[held], hessian[np.ix_(held, held)]
    if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
        return True
    scale = 1.0 / np.sqrt(np.maximum(hessian.diagonal(), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian * scale[:, None] * scale)
    flat = values < max(_FLAT, values.size * np.finfo(float).eps)
    if flat.any():  # collinear, or rows without curvature, which may be separated ones
        forms = np.zeros((theta.size, int(flat.sum())))
        forms[held] = scale[:, None] * vectors[:, flat]
        sizes = np.zeros(theta.size)
        sizes[held] = scale
        moved = source.ask(_largest_share, theta.shape, forms, sizes, add=max, spec=spec)
        if not moved <= _NOTHING:
            return True
    values, vectors = values[~flat], vectors[:, ~flat]
    step = np.zeros(theta.size)
    step[held] = scale * (vectors @ ((vectors.T @ (-scale * gradient)) / values))
    change = source.ask(_newton_change, theta, step.reshape(theta.shape), add=max, spec=spec)
    return not change < _STEP


def _counting(rows: MemoryRows, values: NDArray[Any]) -> NDArray[Any]:
    """Return the values of rows whose weight is above 0."""
    weights = rows.arrays[2]
    return values if weights is None else values[weights > 0.0]


def _least_residual(bound: Pass, rows: MemoryRows, theta: _Vector) -> float:
    """Answer with the least weight times probability of another class."""
    _, y, weights, _ = rows.arrays
    if theta.ndim == 1:
        others = _other(np.where(y > 0.5, 1.0, -1.0) * bound.margins(theta))
    else:
        p = bound.predict(theta)
        p[np.arange(y.size), y.astype(np.intp)] = np.inf
        others = p.min(axis=1)
    others = others if weights is None else weights * others
    return float(_counting(rows, others).min(initial=np.inf))


def _newton_change(bound: Pass, rows: MemoryRows, theta: _Vector, step: _Vector) -> float:
    """Answer with the largest share of a residual that Newton's step takes."""
    y = rows.arrays[1]
    t = bound.margins(step, with_offset=False)
    if theta.ndim == 1:
        sign = np.where(y > 0.5, 1.0, -1.0)
        taken = _other(-sign * bound.margins(theta)) * sign * t
    else:
        left = np.einsum("ik,ik->i", bound.predict(theta), t)[:, None] - t
        left[np.arange(y.size), y.astype(np.intp)] = -np.inf
        taken = left.max(axis=1)
    taken = np.where(np.isnan(taken), np.inf, taken)
    return float(_counting(rows, taken).max(initial=-np.inf))


def _largest_share(
    bound: Pass, rows: MemoryRows, shape: tuple[int, ...], forms: _Vector, sizes: _Vector
) -> float:
    """Answer with the largest move of margins along directions, as a share of the row's size.

    The directions are columns of ``forms``, (theta.size, k); ``sizes`` are those of theta's
    entries. Moves that are the same for all classes count for nothing.
    """
    X, width = rows.arrays[0], shape[-1]
    K, first = int(np.prod(shape)) // width, int(width > rows.n_columns)
    sizes = sizes.reshape(K, width)
    sizes = np.where(sizes > 0.0, sizes, np.inf).min(axis=0)
    sizes[np.isinf(sizes)] = 0.0  # in no class's direction
    forms = forms.reshape(K, width, -1)
    largest = 0.0
    step = max(64, _SAMPLE // max(1, rows.n_columns))
    counts = _counting(rows, np.arange(rows.n_rows))
    for start in range(0, counts.size, step):
        part = X[counts[start : start + step]]
        part = np.asarray(part if isinstance(part, np.ndarray) else part.toarray(), float)
        if first:
            part = np.column_stack([np.ones(len(part)), part])
        moves = np.einsum("ij,kjf->ikf", part, forms, optimize=True)
        if K > 1:
            moves = moves - moves.mean(axis=1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            length = np.sqrt(np.square(part * sizes).sum(axis=1))
            share = np.sqrt(np.square(moves).sum(axis=2)).max(axis=1) / length
        share = np.where((length == 0.0) & (moves == 0.0).all(axis=(1, 2)), 0.0, share)
        largest = max(largest, float(np.where(np.isnan(share), np.inf, share).max(initial=0.0)))
    return largest


def all_overlap(share: float, largest: float, decrement: float) -> bool:
    """Whether no row can be separated, by the first step of :func:`find_separation` alone.

    Parameters
    ----------
    share : float
        The least weight of a row that counts, over the sum of all.
    largest : float
        No margin towards the own class is larger.
    decrement : float
        As of :func:`find_separation`.
    """
    return bool(share * _other(np.array([largest]))[0] > suspicion(decrement))


def _one_row_for_each_label(
    X: Any, y: _Vector, sample_weight: _Vector | None, offset: _Vector | None, both: _Mask
) -> tuple[Any, _Vector, _Vector, _Vector | None]:
    """Return the rows, and those that hold both labels once more at the end."""
    stacked = np.vstack if isinstance(X, np.ndarray) else sp.vstack
    weights = np.ones(y.size) if sample_weight is None else sample_weight
    share = np.where(both, y, 1.0)
    return (
        stacked([X, X[both]]),
        np.concatenate([(y > 0.0).astype(np.float64), np.zeros(int(both.sum()))]),
        np.concatenate([weights * share, (weights * (1.0 - share))[both]]),
        None if offset is None else np.concatenate([offset, offset[both]]),
    )


def _other(z: _Vector) -> _Vector:
    """Return the probability of the other class, for margins towards the own one."""
    with np.errstate(over="ignore", under="ignore"):
        out = np.exp(z)
        out += 1.0
        np.divide(1.0, out, out=out)
    return out


def _step(hessian: NDArray[np.float64], gradient: _Vector) -> _Vector | None:
    """Return Newton's step; None where the Hessian is not safely positive."""
    diagonal = hessian.diagonal()
    if not (diagonal > 0.0).all() or not np.isfinite(gradient).all():
        return None
    scale = 1.0 / np.sqrt(diagonal)
    scaled = hessian * scale[:, None] * scale
    try:
        factor = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        return None
    if factor.diagonal().min() ** 2 < 1e-8:
        return None
    step: _Vector = scale * cho_solve((factor, True), -scale * gradient, check_finite=False)
    return step


def _conjugate_gradients(
    product: Callable[[_Vector], _Vector], diagonal: _Vector, gradient: _Vector, least: float
) -> _Vector | None:
    """Return Newton's step for a Hessian that is too large to be made.

    A direction shows in the gradient by the residuals of the rows that it separates: ``least`` is
    the smallest of all. None where that is rounding, or too many products would be needed.
    """
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0.0)
    step, residual = np.zeros(gradient.size), -gradient
    scaled = inverse * residual
    direction, size = scaled, float(residual @ scaled)
    goal = (_SOLVED * least) ** 2
    if goal < gradient.size * _ROUNDED**2:
        return None
    for _ in range(_PRODUCTS):
        if size <= goal:
            return step
        image = product(direction)
        length = size / float(direction @ image)
        step = step + length * direction
        residual = residual - length * image
        scaled = inverse * residual
        before, size = size, float(residual @ scaled)
        direction = scaled + (size / before) * direction
    return None


class _Rows:
    """Rows of the columns in question, centred and scaled, with their signs, some at a time.

    A direction is ``[b, w]`` (or ``[w]``) in these coordinates.
    """

    def __init__(
        self, X: Any, signs: _Vector, columns: NDArray[np.int64], counts: _Mask, intercept: bool
    ) -> None:
        self.X = X
        self.signs = signs
        self.columns = columns
        self.first = int(intercept)
        self.sparse = not isinstance(X, np.ndarray)
        self.size = columns.size + self.first
        self.n = signs.size
        low, high = self.extremes(counts)
        bottom, top = low.min(axis=0), high.max(axis=0)
        self.reach = np.maximum(np.abs(bottom), np.abs(top))
        self.middle, self.spread = self._scales(counts, bottom, top, intercept)

    def _scales(
        self, counts: _Mask, bottom: _Vector, top: _Vector, intercept: bool
    ) -> tuple[_Vector, _Vector]:
        """Return middle and spread of each column, which rows far outside do not change.

        The median and the median distance from it, of those that aren't 0 (most of a dummy's are),
        over some of the rows.
        """
        rows = np.flatnonzero(counts)
        some = min(rows.size, max(64, _SAMPLE // max(1, self.columns.size)))
        part = self.raw(rows[:: max(1, rows.size // some)]).copy()
        middle = np.median(part, axis=0) if intercept else np.zeros(self.columns.size)
        part -= middle
        np.abs(part, out=part)
        part.sort(axis=0)
        zeros = np.count_nonzero(part == 0.0, axis=0)
        at = np.minimum(zeros + (len(part) - zeros) // 2, len(part) - 1)
        spread = np.take_along_axis(part, at[None], axis=0)[0]
        unseen = zeros == len(part)
        spread[unseen] = np.maximum(top - middle, middle - bottom)[unseen]
        spread[~((spread > 0.0) & np.isfinite(spread))] = 1.0
        return middle, spread

    def _narrow(self, part: Any) -> Any:
        return part if self.columns.size == self.X.shape[1] else part[:, self.columns]

    def blocks(self, mask: _Mask, width: int | None = None) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of the rows of a mask, some at a time."""
        rows = np.flatnonzero(mask)
        step = max(1, _BLOCK // max(1, self.columns.size if width is None else width))
        for begin in range(0, rows.size, step):
            yield rows[begin : begin + step]

    def raw(
        self, at: NDArray[np.int64], columns: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return rows as they are, (k, d), or some of their columns."""
        contiguous = at.size > 0 and at[-1] - at[0] + 1 == at.size
        part = self._narrow(self.X[at[0] : at[-1] + 1] if contiguous else self.X[at])
        if columns is not None:
            part = part[:, columns]
        if self.sparse:
            part = part.toarray()
        return np.asarray(part, dtype=np.float64)

    def take(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return signed rows in these coordinates, (k, size)."""
        out = np.empty((at.size, self.size))
        out[:, self.first :] = (self.raw(at) - self.middle) / self.spread
        out[:, : self.first] = 1.0
        out *= self.signs[at, None]
        return out

    def extremes(self, mask: _Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the least and the largest value of each column in both classes, (2, d) each."""
        low = np.full((2, self.columns.size), np.inf)
        high = -low
        for code, own in enumerate((mask & (self.signs < 0.0), mask & (self.signs > 0.0))):
            if self.sparse:
                if own.any():
                    part = self._narrow(self.X[own])
                    low[code] = part.min(axis=0).toarray().reshape(-1)
                    high[code] = part.max(axis=0).toarray().reshape(-1)
                continue
            for at in self.blocks(own):
                part = self.raw(at)
                np.minimum(low[code], part.min(axis=0), out=low[code])
                np.maximum(high[code], part.max(axis=0), out=high[code])
        return low, high


class _Search:
    """The search for separated rows: what is left of the rows, and which columns did it."""

    def __init__(
        self,
        rows: _Rows,
        grows: _Mask,
        z: _Vector,
        share: _Vector,
        suspects: _Mask,
        certified: Callable[[_Mask], bool],
    ) -> None:
        self.rows = rows
        self.falls, self.rises = grows
        self.certified = certified
        self.z = z
        self.share = share
        self.suspects = suspects
        self.left = share > 0.0
        self.alone: dict[int, int] = {}
        self.together: list[_Vector] = []

    def run(self, proven: bool) -> bool:
        """Put separated rows aside until the rest overlaps; return whether that is known.

        Where it is ``proven`` that all are separated, only the columns are looked for.
        """
        rows = self.rows
        if rows.columns.size == 0:
            return True
        self._single_columns()
        while self.left.any():
            if proven:
                if rows.size <= _NAMED:
                    self._direction(whole=True)
                self.left[:] = False
                return True
            if self._overlaps():
                return True
            found = self._direction()
            if not found:
                return found is False
            self._single_columns()
        return True

    def _single_columns(self) -> None:
        """Put the rows aside that a column separates by itself, until there is no such column."""
        rows = self.rows
        while self.left.any():
            own = rows.signs[self.left]
            if rows.first and (own == own[0]).all():
                self.left[:] = False  # the bias separates rows of one class
                return
            (low0, low1), (high0, high1) = rows.extremes(self.left)
            if rows.first:
                up, down = high0 <= low1, high1 <= low0
                # between the classes, where there is room for a border
                border = np.where(up, 0.5 * high0 + 0.5 * low1, 0.5 * high1 + 0.5 * low0)
            else:
                up, down = (high0 <= 0.0) & (low1 >= 0.0), (high1 <= 0.0) & (low0 >= 0.0)
                border = np.zeros(rows.columns.size)
            # a column that stands at the border in all rows separates none
            moves = (np.minimum(low0, low1) < border) | (np.maximum(high0, high1) > border)
            up, down = up & self.rises, down & self.falls
            found = np.flatnonzero((up | down) & moves)
            if found.size == 0:
                return
            for j in found:
                self.alone.setdefault(int(j), 1 if up[j] else -1)
            for at in rows.blocks(self.left, found.size):
                self.left[at] = (rows.raw(at, found) == border[found]).all(axis=1)

    def _overlaps(self) -> bool:
        """Whether Newton's step certifies that no direction separates rows that are left."""
        rows = self.rows
        if rows.size > _HESSIAN:
            return self.certified(self.left)
        z = self.z.copy()
        for _ in range(_NEWTON):
            gradient, hessian = np.zeros(rows.size), np.zeros((rows.size, rows.size))
            other = _other(z)
            for at in rows.blocks(self.left):
                part = rows.take(at)
                residual = self.share[at] * other[at]
                gradient += residual @ part
                part *= np.sqrt(residual * (1.0 - other[at]))[:, None]
                hessian += part.T @ part
            diagonal = hessian.diagonal()
            scale = np.ones(rows.size)
            scale[diagonal > 0.0] = 1.0 / np.sqrt(diagonal[diagonal > 0.0])
            hessian *= scale[:, None] * scale
            if not np.isfinite(hessian).all():
                return False
            values, vectors = np.linalg.eigh(hessian)
            vectors *= scale[:, None]
            flat = values <= _FLAT
            step = vectors[:, ~flat] @ ((gradient @ vectors[:, ~flat]) / values[~flat])
            null = vectors[:, flat] / np.abs(vectors[:, flat]).max(axis=0)
            change = np.zeros(rows.n)
            for at in rows.blocks(self.left):
                part = rows.take(at)
                change[at] = part @ step
                size = np.abs(part).max(axis=1, keepdims=True)
                if (np.abs(part @ null) > _NOTHING * size).any():
                    return False
            if float((change * (1.0 - other)).max()) < _STEP:
                return True
            z += change * min(1.0, 2.0 / float(np.abs(change).max()))
        return False

    def _direction(self, whole: bool = False) -> bool | None:
        """Put rows that are left aside which a direction separates; return whether there was one.

        None where that could not be found out. ``whole`` asks for one that separates all.
        """
        from scipy.optimize import linprog

        rows, first = self.rows, self.rows.first
        d = rows.columns.size
        # What is maximized: the sum over all rows that may be separated (positive along each
        # direction that is sought, so where it can't be, there is none), or the least margin t.
        # Lengths are at most 1 in the sum of sizes: corners of that body have few columns
        gain = np.zeros(rows.size + 1)
        summed = 0
        if whole:
            gain[-1] = 1.0
        else:
            wanted = self.left if self.together or self.alone else self.left & self.suspects
            for at in rows.blocks(wanted):
                gain[:-1] += _sized(rows.take(at)).sum(axis=0)
                summed += at.size
        cost = -np.r_[gain[:first], gain[first:-1], -gain[first:]]
        cost[-1] = -gain[-1]
        cost /= max(1.0, np.abs(cost).max() * 1e-4)
        bounds: list[tuple[float | None, float | None]] = [(None, None)] * first
        bounds += [(0.0, None if grows else 0.0) for grows in (*self.rises, *self.falls)]
        bounds += [(0.0, float(whole))]
        length = np.r_[np.zeros(first), np.ones(2 * d), 0.0]

        count = max(200, 2 * rows.size)
        if 2 * count * rows.size > _VALUES:
            return None
        order = np.flatnonzero(self.left)
        order = order[np.argsort(self.z[order], kind="stable")]
        few = np.unique(np.r_[order[:count], order[:: max(1, order.size // count)]])
        known = np.zeros(rows.n, dtype=bool)
        known[few] = True
        work = np.unique(_sized(rows.take(few)), axis=0)
        for _ in range(_ROUNDS):
            if work.size > _VALUES:
                return None
            one = np.full((len(work), 1), float(whole))
            found = linprog(
                cost,
                A_ub=np.vstack([np.hstack([-work, work[:, first:], one]), length]),
                b_ub=np.r_[np.zeros(len(work)), 1.0],
                bounds=bounds,
                method="highs",
                options={
                    "primal_feasibility_tolerance": 1e-9,
                    "dual_feasibility_tolerance": 1e-9,
                    "maxiter": _ITERATIONS,
                },
            )
            if found.status != 0:
                return None
            v = np.r_[found.x[:first], found.x[first : first + d] - found.x[first + d : -1]]
            least = float(found.x[-1])
            value = float(gain[:-1] @ v) + least
            if value <= 1e-8 + 1e-9 * summed:  # the best is to stay: there is no direction
                return False
            if not whole:
                exact = _exact(v, work, first)
                w = exact[first:]
                if not ((w > 0.0) & ~self.rises | (w < 0.0) & ~self.falls).any():
                    v = exact
            along = np.zeros(rows.n)
            for at in rows.blocks(self.left):
                along[at] = _sized(rows.take(at)) @ v
            size = 1.0 + (abs(v[0]) if first else 0.0)
            violated = np.flatnonzero(self.left & (along < 0.5 * least - _ZERO * size))
            if violated.size == 0:
                apart = along > _STRICT * size
                if not apart.any():
                    return None
                self.left &= ~apart
                self.together.append(v[first:] / rows.spread)
                return True
            fresh = violated[~known[violated]]
            if fresh.size == 0:
                return None  # rows that the program knows: it can't be had to rounding
            fresh = fresh[np.argsort(along[fresh], kind="stable")[: 4 * count]]
            more = np.unique(_sized(rows.take(fresh)), axis=0)
            if len(more) <= count:
                known[fresh] = True
            else:
                more = more[np.argsort(more @ v, kind="stable")[:count]]
            work = np.unique(np.vstack([work, more]), axis=0)
        return None


def _sized(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows, divided by their largest component."""
    size = np.abs(part).max(axis=1, keepdims=True)
    size[~(size > 0.0)] = 1.0
    out: NDArray[np.float64] = part / size
    return out


def _exact(v: _Vector, work: NDArray[np.float64], first: int) -> _Vector:
    """Return a direction whose tiny components are 0 and whose margins near 0 are rounding."""
    held = np.abs(v) > 1e-9 * np.abs(v[first:]).max()
    held[:first] = True
    v = np.where(held, v, 0.0)
    along = np.abs(work @ v)
    # near columns that differ by little the margins are small as a whole
    border = work[along <= min(1e-7, 1e-3 * float(along.max()))][:, held]
    exact = v.copy()
    if border.size:
        for _ in range(2):
            exact[held] -= np.linalg.lstsq(border, border @ exact[held], rcond=1e-10)[0]
    return exact if np.abs(exact - v).sum() < 1e-3 else v
