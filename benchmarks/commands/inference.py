"""Standard errors from a formula and a table: ``python -m benchmarks.inference``.

``flr.logit`` beside statsmodels' ``Logit`` (from the same formula, and from the same matrix) and
glum's unpenalized fit with its covariance. Beside the time stands how good the answer is: how far
the log-likelihood is below the best that anybody reached, and the largest relative difference of a
standard error from that of Newton in NumPy, at its own optimum. Robust errors and clusters come
from the same fits. All have all threads; others run in processes of their own, which are ended at a
limit of seconds. glum's errors have factors of their own (an estimated
dispersion, n / (n - q) where they are robust), which show as a difference of some 1e-5.
"""

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

import fastlogreg as flr
from benchmarks.harness.processes import CutOff, within
from benchmarks.harness.stored import command, show
from benchmarks.harness.tables import console, tiny
from fastlogreg.cli.measuring import new_table

SHAPES = {"1e6 x 20": (1_000_000, 20), "1e5 x 100": (100_000, 100)}
QUICK = {"2e3 x 5": (2_000, 5)}
CLUSTERS = 1_000
COV_TYPES = ("nonrobust", "HC0", "cluster")

_Array = NDArray[np.float64]


class Run(NamedTuple):
    """Seconds, estimates, intercept first, and their errors."""

    seconds: float
    params: _Array
    bse: _Array


class Case(NamedTuple):
    """A table, its formula, and clusters of its rows."""

    formula: str
    data: Any  # a frame of pandas
    groups: NDArray[np.int64]


def drawn(n: int, d: int, seed: int = 0) -> Case:
    """Return correlated columns, and labels of their logistic model."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X += 0.5 * rng.standard_normal((n, 1))
    w = rng.standard_normal(d) / np.sqrt(d)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(0.5 - X @ w))).astype(np.int64)
    names = [f"x{j}" for j in range(d)]
    data = pd.DataFrame(X, columns=names).assign(y=y)
    return Case(f"y ~ {' + '.join(names)}", data, np.arange(n) % CLUSTERS)


def ours(case: Case, cov_type: str) -> Run:
    """Return ours."""
    groups = case.groups if cov_type == "cluster" else None
    begun = time.perf_counter()
    results = flr.logit(case.formula, case.data, cov_type=cov_type, groups=groups)
    params, bse = results.params, results.bse
    return Run(time.perf_counter() - begun, params, bse)


def ours_of_arrays(case: Case, cov_type: str) -> Run:
    """Return ours, from a matrix."""
    groups = case.groups if cov_type == "cluster" else None
    X, y = case.data.drop(columns="y").to_numpy().copy(order="C"), case.data["y"].to_numpy()
    begun = time.perf_counter()
    model = flr.LogisticRegression(C=np.inf).fit(X, y)
    results = flr.inference(model, X, y, cov_type=cov_type, groups=groups)
    params, bse = results.params, results.bse
    return Run(time.perf_counter() - begun, params, bse)


def statsmodels(case: Case, cov_type: str) -> Run:
    """Return statsmodels' Logit from the formula, by its default, Newton."""
    import statsmodels.formula.api as smf

    begun = time.perf_counter()
    found = smf.logit(case.formula, case.data).fit(disp=0, **_asked(case, cov_type))
    params, bse = found.params.to_numpy(), found.bse.to_numpy()
    return Run(time.perf_counter() - begun, params, bse)


def statsmodels_of_arrays(case: Case, cov_type: str) -> Run:
    """Return statsmodels' Logit from a matrix."""
    import statsmodels.api as sm

    X = sm.add_constant(case.data.drop(columns="y").to_numpy())
    begun = time.perf_counter()
    found = sm.Logit(case.data["y"].to_numpy(), X).fit(disp=0, **_asked(case, cov_type))
    params, bse = np.asarray(found.params), np.asarray(found.bse)
    return Run(time.perf_counter() - begun, params, bse)


def _asked(case: Case, cov_type: str) -> dict[str, Any]:
    kwds = {"cov_kwds": {"groups": case.groups}} if cov_type == "cluster" else {}
    return {"cov_type": cov_type, **kwds}


def glum(case: Case, cov_type: str) -> Run:
    """Return glum's unpenalized fit with its covariance."""
    from glum import GeneralizedLinearRegressor

    X, y = case.data.drop(columns="y"), case.data["y"].to_numpy(dtype=float)
    begun = time.perf_counter()
    model = GeneralizedLinearRegressor(family="binomial", alpha=0.0, gradient_tol=1e-8).fit(X, y)
    kwds = (
        {"clusters": case.groups} if cov_type == "cluster" else {"robust": cov_type != "nonrobust"}
    )
    covariance = model.covariance_matrix(X=X, y=y, expected_information=False, **kwds)
    bse = np.sqrt(np.diag(covariance))
    return Run(time.perf_counter() - begun, np.r_[model.intercept_, model.coef_], bse)


def runners() -> dict[str, Callable[[Case, str], Run]]:
    """Return who is run, by name."""
    found: dict[str, Callable[[Case, str], Run]] = {
        "flr.logit": ours,
        "flr.inference of arrays": ours_of_arrays,
        "statsmodels formula": statsmodels,
        "statsmodels of arrays": statsmodels_of_arrays,
    }
    return found | ({"glum": glum} if find_spec("glum") else {})


class Reference(NamedTuple):
    """The optimum by NumPy: its log-likelihood, and errors by kind."""

    value: float
    bse: dict[str, _Array]


def reference(case: Case) -> Reference:
    """Return what Newton in NumPy says."""
    A = np.column_stack([np.ones(len(case.data)), case.data.drop(columns="y")])
    y = case.data["y"].to_numpy(dtype=float)
    theta = np.zeros(A.shape[1])
    for _ in range(15):
        p = 1.0 / (1.0 + np.exp(-(A @ theta)))
        bread = np.linalg.inv((A * (p * (1.0 - p))[:, None]).T @ A)
        theta = theta + bread @ (A.T @ (y - p))
    scores = A * (y - p)[:, None]
    sums = np.array([np.bincount(case.groups, column) for column in scores.T])
    n, q, g = len(y), theta.size, int(case.groups.max()) + 1
    meats = {
        "HC0": scores.T @ scores,
        "cluster": sums @ sums.T * (g / (g - 1.0)) * ((n - 1.0) / (n - q)),
    }
    errors = {"nonrobust": np.sqrt(bread.diagonal())}
    errors |= {kind: np.sqrt((bread @ meat @ bread).diagonal()) for kind, meat in meats.items()}
    return Reference(likelihood(case, theta), errors)


def likelihood(case: Case, theta: _Array) -> float:
    """Return the log-likelihood, by NumPy."""
    z = case.data.drop(columns="y").to_numpy() @ theta[1:] + theta[0]
    return -float(np.logaddexp(0.0, np.where(case.data["y"] == 1, -z, z)).sum())


def _runs(run: Callable[[Case, str], Run], case: Case, cov_type: str, rounds: int) -> list[Run]:
    """Return several runs, after a small one that imports and compiles."""
    run(drawn(500, 3), cov_type)
    return [run(case, cov_type) for _ in range(rounds)]


def measure(name: str, shape: tuple[int, int], rounds: int, limit: float) -> list[dict[str, Any]]:
    """Return the figures of a shape, one row for each run."""
    case = drawn(*shape)
    best = reference(case)
    rows = []
    for cov_type in COV_TYPES:
        for label, run in runners().items():
            console().print(f"[dim]{name}: {cov_type}, {label}[/dim]")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    if label.startswith("flr"):
                        found = _runs(run, case, cov_type, rounds)
                    else:
                        asked = (run, case, cov_type, rounds)
                        found = within(limit * rounds, _runs, *asked, blas=None)
                except (CutOff, RuntimeError) as error:
                    rows.append(
                        {"case": name, "cov_type": cov_type, "run": label, "error": str(error)}
                    )
                    continue
            last = found[-1]
            rows.append(
                {
                    "case": name,
                    "cov_type": cov_type,
                    "run": label,
                    "seconds": min(one.seconds for one in found),
                    "below": best.value - likelihood(case, last.params),
                    "bse": float(np.abs(last.bse / best.bse[cov_type] - 1.0).max()),
                }
            )
    return rows


def matrix(rows: list[dict[str, Any]]) -> Table:
    """Return the table."""
    table = new_table(
        "Standard errors (below: of the log-likelihood; bse: largest relative difference)",
        "case",
        "errors",
        "run",
        "s",
        "over flr.logit",
        "below",
        "bse",
    )
    base = {(r["case"], r["cov_type"]): r["seconds"] for r in rows if r["run"] == "flr.logit"}
    for row in rows:
        what = [row["case"], row["cov_type"], row["run"]]
        if "error" in row:
            table.add_row(*what, row["error"][:60])
            continue
        table.add_row(
            *what,
            f"{row['seconds']:.3g}",
            f"{row['seconds'] / base[row['case'], row['cov_type']]:.1f}",
            tiny(row["below"]),
            tiny(row["bse"]),
        )
    return table


def main(
    quick: Annotated[bool, typer.Option(help="One small case: no figures.")] = False,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
    rounds: Annotated[int, typer.Option(help="Of each run; the best counts.")] = 3,
    limit: Annotated[float, typer.Option(help="Seconds for one run of a peer.")] = 60.0,
) -> None:
    """Measure standard errors against statsmodels and glum."""
    shapes = QUICK if quick else SHAPES
    rows = [
        row
        for name, shape in shapes.items()
        for row in measure(name, shape, 1 if quick else rounds, limit)
    ]
    show(matrix(rows), rows, output, command=command())


if __name__ == "__main__":
    typer.run(main)
