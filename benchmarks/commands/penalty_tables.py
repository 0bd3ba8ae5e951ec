"""Penalties of all kinds on tables built to deceive: ``python -m benchmarks.penalty_tables``.

Each table (:mod:`benchmarks.harness.penalty_reference`: two to five classes; rare levels, far,
equal and nearly equal columns, scales, constants, separated classes, one row that holds all the
weight) has a penalty of its own: L2, L1 or both, factors by column of which some are 0, bounds with
a penalty or without. The judge is SciPy: L-BFGS-B on positive and negative parts, from 0 and from
the fit itself, and a linear program for whether there is an optimum:

- *right*: converged, within ``tol`` of the optimum, relatively, and within the bounds;
- *said*: there is no optimum, and that was said;
- *needless*: warned, and is at the optimum;
- *warned*: said that it is not there;
- *wrong*: converged, and farther away, outside of the bounds, where there is no optimum, or below
  it by its own gap; or said that there is none where there is one;
- *silent*: not converged without a warning, or the reverse;
- *error*: an exception, or a warning of another kind.

``--fits`` says how the models come about: ``single``, ``warm`` (a second fit that starts from
coefficients of other rows, labels or penalties, or from far away), ``folds``
(``LogisticRegressionCV``: the fit of each fold, all values of C and l1_ratio, and the last) or
``path`` (each point of ``regularization_path``). The worst of a table's fits counts.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.progress import track
from sklearn.exceptions import ConvergenceWarning

from benchmarks.harness.penalty_reference import (
    deceiving_penalties,
    folds_of,
    is_separated,
    objective,
    optimum,
    violation,
)
from benchmarks.harness.stored import show
from benchmarks.harness.tables import console
from fastlogreg import LogisticRegression, LogisticRegressionCV, regularization_path
from fastlogreg.cli.measuring import new_table

VERDICTS = ("right", "said", "needless", "warned", "wrong", "silent", "error")
FAULTS = ("wrong", "silent", "error")
WITHIN = 2e-8  # of the optimum, relatively: tol is 1e-8, and half a decrement an estimate
NOTHING = 1e-15  # of a value: what rounding leaves where the optimum is 0


class Found(NamedTuple):
    """What is found of one fit."""

    kind: str
    verdict: str
    above: float  # the optimum, relatively
    note: str = ""  # an error's text


class Fit(NamedTuple):
    """A fitted model with its parameters, the text of its warning, and its rows."""

    model: Any
    warned: str
    rows: tuple[Any, ...]


def _heard(make: Callable[[], Any]) -> tuple[Any, str]:
    """Return what is made, and the text of its warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        made = make()
    for each in heard:
        if each.category is not ConvergenceWarning:
            raise AssertionError(f"{each.category.__name__}: {each.message}, {each.filename}")
    return made, " ".join(str(each.message) for each in heard)


def single(seed: int) -> Iterator[Fit]:
    """Yield the fit of one table."""
    X, y, weights, parameters = deceiving_penalties(seed)
    model = LogisticRegression(n_threads=1, **parameters)
    yield Fit(*_heard(lambda: model.fit(X, y, weights)), (X, y, weights))


def warm(seed: int) -> Iterator[Fit]:
    """Yield a fit that starts from coefficients of something else."""
    X, y, weights, parameters = deceiving_penalties(seed)
    rng = np.random.default_rng([seed, 2])
    model = LogisticRegression(n_threads=1, warm_start=True, **parameters)
    bounds = {name: parameters.pop(name, None) for name in ("lower_bounds", "upper_bounds")}
    kind = rng.integers(0, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if kind == 0:  # another strength
            model.set_params(C=10.0 ** rng.uniform(-4, 5)).fit(X, y, weights)
        elif kind == 1:  # other labels
            model.fit(X, rng.permutation(y))
        elif kind == 2:  # other rows, in other units
            model.fit(X * 10.0 ** rng.uniform(-3, 3, X.shape[1]), y)
        elif kind == 3:  # another penalty, without bounds
            other: dict[str, Any] = {"C": 10.0 ** rng.uniform(-2, 4), "penalty_factors": None}
            other["l1_ratio"] = float(rng.choice([0.0, 0.5, 1.0]))
            model.set_params(**other, **dict.fromkeys(bounds)).fit(X, y, weights)
        else:
            model.fit(X, y, weights)
            spread = np.maximum(X.std(axis=0), 1e-9)
            far = 10.0 ** rng.uniform(-6, 3) * rng.normal(size=model.coef_.shape) / spread
            model.coef_ = model.coef_ + far if kind == 4 else far
    model.set_params(C=parameters["C"], l1_ratio=parameters["l1_ratio"], **bounds)
    model.set_params(penalty_factors=parameters.get("penalty_factors"))
    yield Fit(*_heard(lambda: model.fit(X, y, weights)), (X, y, weights))


def folds(seed: int) -> Iterator[Fit]:
    """Yield the fits of folds, of which one warning tells, and the last."""
    X, y, weights, parameters = deceiving_penalties(seed)
    sets = folds_of(seed, y, weights)
    if sets is None:
        return
    rng = np.random.default_rng([seed, 3])
    Cs, ratios = 10.0 ** rng.uniform(-3, 4, 3), [float(parameters.pop("l1_ratio"))]
    if np.isinf(parameters.pop("C")):
        Cs[rng.integers(3)] = np.inf
    cv = LogisticRegressionCV(
        Cs=Cs,
        l1_ratios=ratios,
        cv=sets,
        scoring="neg_log_loss",
        use_legacy_attributes=False,
        n_threads=1,
        **parameters,
    )
    cv, warned = _heard(lambda: cv.fit(X, y, weights))
    first = int(cv.fit_intercept)
    for i, (rows, _) in enumerate(sets):
        own = X[rows], y[rows], None if weights is None else weights[rows]
        for j, C in enumerate(Cs):
            model = LogisticRegression(C=C, l1_ratio=ratios[0], **parameters)
            theta = cv.coefs_paths_[i, 0, j]
            model.classes_, model.converged_ = cv.classes_, cv.converged_
            model.coef_, model.intercept_ = theta[:, : X.shape[1]], theta[:, -1] * first
            yield Fit(model, "" if cv.converged_ else "of some fold", own)
    model = LogisticRegression(C=cv.C_, l1_ratio=ratios[0], **parameters)
    vars(model).update({name: value for name, value in vars(cv).items() if name.endswith("_")})
    yield Fit(model, warned, (X, y, weights))


def path(seed: int) -> Iterator[Fit]:
    """Yield the points of a path, of which one warning tells."""
    X, y, weights, parameters = deceiving_penalties(seed)
    given = np.isinf(parameters.pop("C"))
    Cs = np.logspace(-3, 3, 5) if given else 5
    found, warned = _heard(
        lambda: regularization_path(
            X, y, Cs=Cs, sample_weight=weights, n_threads=1, early_stopping=False, **parameters
        )
    )
    for i in range(len(found)):
        model = found.model(i)
        yield Fit(model, "" if model.converged_ else warned, (X, y, weights))


FITS = {make.__name__: make for make in (single, warm, folds, path)}


def judge(seed: int, fits: str = "single") -> Found | None:
    """Return the worst verdict on the fits of one table; None where there are none."""
    try:
        found = [judged(fit) for fit in FITS[fits](seed)]
    except (AssertionError, ValueError, ArithmeticError) as error:
        return Found("", "error", np.inf, str(error))
    return max(found, key=lambda each: (VERDICTS.index(each.verdict), each.above), default=None)


def judged(fit: Fit) -> Found:
    """Return a verdict on one fit."""
    model, warned, rows = fit
    here = objective(model, *rows)
    best = min(here, optimum(model, *rows, polish=True))
    above = (here - best) / max(best, NOTHING)
    within = here - best <= WITHIN * best + NOTHING and violation(model) == 0.0
    gap = getattr(model, "duality_gap_", np.inf)
    false_gap = here - gap > best * (1.0 + 1e-9) + NOTHING
    says_none = "can be separated" in warned
    is_none = is_separated(model, *rows)
    if bool(warned) == model.converged_:
        verdict = "silent"
    elif (model.converged_ and (is_none or not within)) or false_gap or is_none < says_none:
        verdict = "wrong"
    elif says_none:
        verdict = "said"
    elif model.converged_:
        verdict = "right"
    else:
        verdict = "needless" if within else "warned"
    return Found(kind_of(model), verdict, above)


def kind_of(model: Any) -> str:
    """Return in words which penalty a model has."""
    words = ["no penalty" if np.isinf(model.C) else "L1" if model.l1_ratio else "L2"]
    if 0.0 < model.l1_ratio < 1.0:
        words = ["elastic net"]
    if model.penalty_factors is not None:
        words.append("factors")
    if model.lower_bounds is not None or model.upper_bounds is not None:
        words.append("bounds")
    return ", ".join(words)


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:LAST, the last left out.")] = "0:1000",
    fits: Annotated[str, typer.Option(help=", ".join(FITS))] = "single",
    output: Annotated[Path | None, typer.Option(help="A JSON file for the counts.")] = None,
) -> None:
    """Count right and wrong answers over random tables."""
    first, last = map(int, seeds.split(":"))
    counts: dict[str, Counter[str]] = {}
    for seed in track(range(first, last), console=console()):
        found = judge(seed, fits)
        if found is None:
            continue
        counts.setdefault(found.kind, Counter())[found.verdict] += 1
        if found.verdict in FAULTS:
            console().print(f"seed {seed}: {found.kind} {found.verdict}, {found.above:.1e} above")
            if found.note:
                console().print(found.note)
    table = new_table(
        f"Tables {seeds} with penalties of all kinds: {fits} fits", "penalty", *VERDICTS
    )
    rows = [{"penalty": kind, **{v: counts[kind][v] for v in VERDICTS}} for kind in sorted(counts)]
    for row in rows:
        table.add_row(*map(str, row.values()))
    show(table, rows, output)


if __name__ == "__main__":
    typer.run(main)
