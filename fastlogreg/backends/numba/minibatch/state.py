"""What moves while mini-batches are trained on, and by which rule: kernels and Python share it.

A state outlives the rows that it was trained on: the next piece of a stream goes on from it, and a
stored model holds it. :func:`upgraded` reads those of former releases.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 4  # entries that a class's or column's are padded to
OPTIMIZERS: Final = ("sgd", "momentum", "nesterov", "adagrad", "adam")
SCHEDULES: Final = ("constant", "invscaling", "optimal")
SGD, MOMENTUM, NESTEROV, ADAGRAD, ADAM = range(5)
CONSTANT, INVSCALING, OPTIMAL = range(3)
UNKNOWN, DENSE, SPARSE = range(3)

# Counts and sums of a run, in :attr:`State.clock`: records, so that kernels write
# ``state.clock[0].updates``, compiled or not.
CLOCK: Final = np.dtype(
    (
        np.record,
        np.dtype(
            [
                ("updates", np.int64),
                ("samples", np.int64),
                ("averaged", np.int64),  # updates that are in the average
                ("steps", np.float64),  # sum of the rates
                ("scale_samples", np.int64),  # that scales were learned from
                ("scale_values", np.float64),  # that were not 0 in them
                ("failed", np.int64),  # 1: the epoch ended at a loss that is not finite
                ("loss", np.float64),  # sums over the epoch, before each update
                ("weight", np.float64),
                ("storage", np.int64),  # of the rows: UNKNOWN, DENSE or SPARSE
            ],
            align=True,
        ),
    )
)

_Vector = NDArray[np.float64]
_StepSpec = Any  # fastlogreg.backends.StepSpec, of a floor above


class Rule(NamedTuple):
    """How parameters are moved: an optimizer, a schedule, penalties on the mean loss."""

    optimizer: int = SGD
    schedule: int = CONSTANT
    eta0: float = 0.0
    power: float = 0.5
    shift: float = 0.0
    alpha: float = 0.0
    momentum: float = 0.0
    beta1: float = 0.0
    beta2: float = 0.0
    epsilon: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    average_from: float = -1.0  # samples; negative for no average
    learns_scales: int = 0
    centres: int = 0
    stops: int = 1  # at a loss that is not finite


class State(NamedTuple):
    """What moves; all of theta's size p, but moments (3, p), clock, and step, size as buffers.

    ``moments`` holds, for each column, the sums of ``x - reference`` and of its square and the
    number of values that are not 0, over the samples that scales were learned from;
    ``applied_steps`` and ``averaged_at`` are the sum of step lengths and the averaged updates when
    a sparse column was last moved. With K classes theta, velocity, squares and average have K
    entries a column, padded (:mod:`.softmax`), and so has size where rows are sparse.
    """

    theta: _Vector
    velocity: _Vector
    squares: _Vector
    average: _Vector
    inverse: _Vector
    mean: _Vector
    reference: _Vector
    applied_steps: _Vector
    averaged_at: _Vector
    step: _Vector
    size: _Vector
    moments: _Vector
    clock: NDArray[np.record]


def new_state(p: int, n_classes: int = 1, *, sparse: bool = False) -> State:
    """Return the state before the first update: zeros, theta among them.

    For sparse rows what is kept of a column lies in one cache line: an update meets few columns.
    With more than one class theta is laid out as the stages of softmax want it (:func:`packed`).
    """
    clock: NDArray[np.record] = np.zeros(1, CLOCK)
    clock["storage"] = SPARSE if sparse else DENSE
    if n_classes > 1:
        return _state_of_classes(p, n_classes, clock, sparse=sparse)
    names = (
        "squares",
        "inverse",
        "average",
        "averaged_at",
        "applied_steps",
        "size",
        "velocity",
        "mean",
    )
    table = np.zeros((p, len(names))) if sparse else np.zeros((len(names), p)).T
    columns = dict(zip(names, table.T, strict=True))
    columns["inverse"][:] = 1.0
    return State(
        theta=np.zeros(p),
        reference=np.zeros(p),
        step=np.empty(p),
        moments=np.zeros((3, p)),
        clock=clock,
        **columns,
    )


def _state_of_classes(p: int, K: int, clock: NDArray[np.record], *, sparse: bool) -> State:
    width = -(-(K if sparse else p) // WIDTH) * WIDTH
    rows = p if sparse else K
    inverse = np.ones(p)
    alike = {name: np.zeros((rows, width)) for name in ("theta", "velocity", "squares", "average")}
    of_columns = ("mean", "reference", "applied_steps", "averaged_at")
    return State(
        inverse=inverse,
        step=np.empty(width if sparse else p),
        size=np.zeros((p, width) if sparse else (1, p)),
        moments=np.zeros((3, p)),
        clock=clock,
        **alike,
        **{name: np.zeros(p) for name in of_columns},
    )


def pack(values: _Vector, out: _Vector, *, sparse: bool) -> None:
    """Set out, laid out as a state's theta is, to parameters (p,) or (K, p)."""
    if values.ndim == 1:
        out[:] = values
    elif sparse:
        out[:, : len(values)] = values.T
    else:
        out[:, : values.shape[1]] = values


def unpacked(packed: _Vector, p: int, n_classes: int, *, sparse: bool) -> _Vector:
    """Return parameters, (p,) or (K, p), of which these are laid out as a state's theta is."""
    if n_classes == 1:
        return packed
    return np.ascontiguousarray(packed[:, :n_classes].T if sparse else packed[:, :p])


def forget_scales(state: State, intercept: bool) -> None:
    """Let a new state know no scale, so that no column moves before it has one."""
    state.inverse[int(intercept) :] = 0.0


def is_lazy(rule: Rule, *, sparse: bool) -> bool:
    """Whether an update moves the columns that its batch holds alone."""
    return sparse and rule.optimizer in (SGD, ADAGRAD)


def parameters(
    state: State, rule: Rule, n_classes: int = 1, *, intercept: bool, sparse: bool
) -> _Vector:
    """Return theta, (p,) or (K, p), or its average, with all paid that columns owe."""
    averages = state.clock["averaged"][0] > 0
    if is_lazy(rule, sparse=sparse):
        packed = _paid_average(state) if averages else _paid_theta(state, rule, intercept)
    else:
        packed = (state.average if averages else state.theta).copy()
    return unpacked(packed, state.inverse.size, n_classes, sparse=sparse)


def _paid_theta(state: State, rule: Rule, intercept: bool) -> _Vector:
    """Return theta with the penalties that columns of sparse rows owe."""
    first = int(intercept)
    theta = state.theta.copy()
    steps = state.clock["steps"] - state.applied_steps[first:]
    owed = state.size[first:] * (steps if theta.ndim == 1 else steps[:, None])
    w = theta[first:]
    w[:] = np.sign(w) * np.maximum(np.abs(w) - rule.l1 * owed, 0.0) / (1.0 + rule.l2 * owed)
    return theta


def _paid_average(state: State) -> _Vector:
    """Return the average up to now of what is held of columns of sparse rows.

    A debt is no part of it.
    """
    now = float(state.clock["averaged"][0])
    t = state.averaged_at if state.theta.ndim == 1 else state.averaged_at[:, None]
    fraction = t * (t + 1.0) * (t + 2.0) / (now * (now + 1.0) * (now + 2.0))
    averaged: _Vector = state.theta + fraction * (state.average - state.theta)
    return averaged


def converted(
    state: State, rule: Rule, n_classes: int = 1, *, intercept: bool, sparse: bool
) -> State:
    """Return a state that goes on on rows of the other storage; ``sparse`` says of which."""
    p = state.inverse.size
    lazy = is_lazy(rule, sparse=not sparse)
    if lazy:
        average = _paid_average(state) if state.clock["averaged"][0] > 0 else state.average
        state = state._replace(theta=_paid_theta(state, rule, intercept), average=average)
    new = new_state(p, n_classes, sparse=sparse)
    for name in ("theta", "velocity", "squares", "average"):
        packed = getattr(state, name)
        pack(unpacked(packed, p, n_classes, sparse=not sparse), getattr(new, name), sparse=sparse)
    for name in ("inverse", "clock"):
        getattr(new, name)[:] = getattr(state, name)
    if sparse:  # about 0, where dense rows are summed about a reference
        sums, squares, counts = state.moments
        about = state.reference
        seen = state.clock["scale_samples"]
        new.moments[1:] = squares + about * (2.0 * sums + seen * about), counts
    else:  # means were not learned: begin anew
        new.clock["scale_samples"] = new.clock["scale_values"] = 0
    new.clock["storage"] = SPARSE if sparse else DENSE
    new.applied_steps[:] = new.clock["steps"]  # nothing is owed yet
    new.averaged_at[:] = new.clock["averaged"]
    return new


# of states before their counts were records
_FORMER_CLOCK = (
    "updates",
    "steps",
    "scale_samples",
    "scale_values",
    "samples",
    "averaged",
    "failed",
    "loss",
    "weight",
)


def upgraded(kept: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a state by their names of today, whichever release kept them."""
    former = kept["clock"]
    if former.dtype == CLOCK:
        return kept
    arrays = dict(kept)
    clock = arrays["clock"] = np.zeros(1, CLOCK)
    if former.dtype.names is None:
        arrays["averaged_at"], arrays["applied_steps"] = arrays.pop("met"), arrays.pop("lag")
        for name, value in zip(_FORMER_CLOCK, former, strict=True):
            clock[name] = value
    else:
        for name in former.dtype.names:
            clock[name] = former[name]
    return arrays


def rule_of(spec: _StepSpec, *, centres: bool = False, stops: bool = True) -> Rule:
    """Return the rule that kernels follow.

    The shift of the schedule "optimal" is scikit-learn's (Bottou 2012): its first rate is the
    typical size of a weight, ``alpha ** -1/4``.
    """
    optimal = spec.schedule == "optimal"
    return Rule(
        optimizer=OPTIMIZERS.index(spec.optimizer),
        schedule=SCHEDULES.index(spec.schedule),
        eta0=float(spec.eta0),
        power=float(spec.power),
        shift=float(spec.alpha) ** -0.75 if optimal else 0.0,
        alpha=float(spec.alpha),
        momentum=float(spec.momentum),
        beta1=float(spec.beta1),
        beta2=float(spec.beta2),
        epsilon=float(spec.epsilon),
        l1=float(spec.l1),
        l2=float(spec.l2),
        average_from=float(spec.average_from),
        learns_scales=int(spec.standardize),
        centres=int(centres),
        stops=int(stops),
    )
