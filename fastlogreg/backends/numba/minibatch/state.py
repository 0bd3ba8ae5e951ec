"""What moves while mini-batches are trained on, and by which rule: kernels and Python share it.

A state outlives the rows that it was trained on: the next piece of a stream goes on from it, and a
stored model holds it. :func:`upgraded` reads those of former releases.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

OPTIMIZERS: Final = ("sgd", "momentum", "nesterov", "adagrad", "adam")
SCHEDULES: Final = ("constant", "invscaling", "optimal")
SGD, MOMENTUM, NESTEROV, ADAGRAD, ADAM = range(5)
CONSTANT, INVSCALING, OPTIMAL = range(3)

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
    a sparse column was last moved.
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


def new_state(p: int, theta: _Vector | None = None, *, sparse: bool = False) -> State:
    """Return the state before the first update, from theta (p,) or from zeros.

    For sparse rows what is kept of a column lies in one cache line: an update meets few columns.
    """
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
        theta=np.zeros(p) if theta is None else theta.copy(),
        reference=np.zeros(p),
        step=np.empty(p),
        moments=np.zeros((3, p)),
        clock=np.zeros(1, CLOCK),
        **columns,
    )


def forget_scales(state: State, intercept: bool) -> None:
    """Let a new state know no scale, so that no column moves before it has one."""
    state.inverse[int(intercept) :] = 0.0


def is_lazy(rule: Rule, *, sparse: bool) -> bool:
    """Whether an update moves the columns that its batch holds alone."""
    return sparse and rule.optimizer in (SGD, ADAGRAD)


def apply_lazy_updates(state: State, rule: Rule, intercept: bool, *, sparse: bool) -> _Vector:
    """Return theta, or its average, with all paid that is owed to columns of sparse rows."""
    now = float(state.clock["averaged"][0])
    if not is_lazy(rule, sparse=sparse):
        return (state.average if now > 0.0 else state.theta).copy()
    theta = state.theta.copy()
    if now > 0.0:  # of what was held: a debt is no part of it
        t = state.averaged_at
        fraction = t * (t + 1.0) * (t + 2.0) / (now * (now + 1.0) * (now + 2.0))
        averaged: _Vector = theta + fraction * (state.average - theta)
        return averaged
    first = int(intercept)
    owed = state.size[first:] * (state.clock["steps"] - state.applied_steps[first:])
    w = theta[first:]
    w[:] = np.sign(w) * np.maximum(np.abs(w) - rule.l1 * owed, 0.0) / (1.0 + rule.l2 * owed)
    return theta


def upgraded(kept: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a state by their names of today, whichever release kept them."""
    if "met" not in kept:
        return kept
    arrays = dict(kept)
    arrays["averaged_at"], arrays["applied_steps"] = arrays.pop("met"), arrays.pop("lag")
    former = arrays.pop("clock")
    clock = arrays["clock"] = np.zeros(1, CLOCK)
    for name, value in zip(
        (
            "updates",
            "steps",
            "scale_samples",
            "scale_values",
            "samples",
            "averaged",
            "failed",
            "loss",
            "weight",
        ),
        former,
        strict=True,
    ):
        clock[name] = value
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
