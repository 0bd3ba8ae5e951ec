"""Other packages on rows in Parquet files and on a cluster of Dask.

Each function runs in its package's own environment and imports that and NumPy. It returns what
:mod:`benchmarks.files` and :mod:`benchmarks.cluster` ask for: seconds, theta = [b, w_1 .. w_d], and
what else is known; or a ``reason`` why there is none. All minimize the mean log loss
+ |w|^2 / (2 n), which is C=1, unless their ``remark`` says otherwise. Each is called once on a few
rows before, so that what is imported, started and compiled once is there.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.resident import NOW, PEAK, anonymous_mb, anonymous_peak, resident

_HEAP = 4  # GB, of Java: rows of 20 columns and their labels need 170 bytes each there
_TOL = 1e-8


class Peer(NamedTuple):
    """The environment of a peer, and its function here with what it is given last."""

    environment: str
    function: str
    solver: str = ""


#: on the same Parquet files; dask-glm's proximal gradients and ADMM took far longer when tried
FILES = {
    "dask-glm newton": Peer("dask-glm", "dask_glm", "newton"),
    "dask-glm lbfgs": Peer("dask-glm", "dask_glm", "lbfgs"),
    "h2o IRLSM": Peer("h2o", "h2o_glm", "IRLSM"),
    "h2o L_BFGS": Peer("h2o", "h2o_glm", "L_BFGS"),
    "statsmodels Logit, in memory": Peer("statsmodels", "statsmodels_logit"),
}
#: on the same partitions, which lie on two worker processes when the clock starts
CLUSTER = {
    f"dask-glm {solver}, persisted": Peer("dask-glm", "dask_glm_on_workers", solver)
    for solver in ("newton", "lbfgs")
}


def _dask_glm(X: Any, y: Any, solver: str) -> list[float]:
    """Fit arrays of Dask that have no column of ones yet."""
    import dask.array as da
    import numpy as np
    from dask_glm import algorithms
    from dask_glm.regularizers import L2

    free = np.r_[0.0, np.ones(X.shape[1])]

    class WithoutIntercept(L2):  # type: ignore[misc]
        """Its own penalizes the intercept too."""

        def f(self, beta: Any) -> Any:
            return ((free * beta) ** 2).sum() / 2.0

        def gradient(self, beta: Any) -> Any:
            return free * beta

    ones = da.ones((X.shape[0], 1), chunks=(X.chunks[0], 1))
    X = da.concatenate([ones, X], axis=1).rechunk({1: -1})
    more = {"regularizer": WithoutIntercept(), "lamduh": 1.0, "max_iter": 1000}
    # its own scaling of the columns would scale the penalty too
    theta = getattr(algorithms, solver)(
        X, y, normalize=False, tol=_TOL, **(more if solver == "lbfgs" else {})
    )
    return np.asarray(theta, dtype=float).tolist()


def _measured(fit: Callable[[str], list[float]], folder: str, few: str) -> dict[str, Any]:
    """Fit few rows and then the files, in this process; return seconds, memory, theta."""
    fit(few)
    before = anonymous_mb()
    with anonymous_peak() as peak:
        begun = time.perf_counter()
        theta = fit(folder)
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "peak_mb": peak[0] - before, "theta": theta}


def _remark(solver: str) -> str:
    return "has no penalty" if solver == "newton" else ""


def dask_glm(folder: str, few: str, solver: str) -> dict[str, Any]:
    """Read the row groups of the files in every pass, by dask-glm on threads."""
    import dask.dataframe as dd

    def fit(files: str) -> list[float]:
        rows = dd.read_parquet(files, split_row_groups=True).to_dask_array(lengths=True)
        return _dask_glm(rows[:, :-1], rows[:, -1], solver)

    return {**_measured(fit, folder, few), "remark": _remark(solver)}


def dask_glm_on_workers(rows: int, columns: int, parts: int, solver: str) -> dict[str, Any]:
    """Fit partitions that lie on two worker processes of one thread each, by dask-glm."""
    from distributed import Client, LocalCluster, wait

    from benchmarks.harness.partitions import collections

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        _dask_glm(*collections(100 * parts, columns, parts), solver)  # workers import it
        X, y = client.persist(collections(rows, columns, parts))
        wait([X, y])
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            theta = _dask_glm(X, y, solver)
            times.append(time.perf_counter() - begun)
    return {"fit": min(times), "theta": theta, "remark": _remark(solver)}


def _end_with_children(*_: Any) -> None:
    """End this process and Java, which leads a session of its own and would outlive it."""
    with suppress(OSError):
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    os._exit(1)


def h2o_glm(folder: str, few: str, solver: str) -> dict[str, Any]:
    """Import the files into a server in Java, and fit them there by h2o's GLM."""
    import h2o
    from h2o.backend import H2OLocalServer
    from h2o.estimators import H2OGeneralizedLinearEstimator

    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return {"reason": "no Java"}
    signal.signal(signal.SIGTERM, _end_with_children)
    ice = Path(few).parent / "ice"
    ice.mkdir(exist_ok=True)
    # and not h2o.init, which would take a server that somebody else has started
    server = H2OLocalServer.start(max_mem_size=_HEAP << 30, ice_root=str(ice), verbose=False)
    h2o.connect(server=server, verbose=False)
    h2o.no_progress()
    java = int(h2o.cluster().nodes[0]["pid"])

    def fit(files: str) -> tuple[list[float], float, float]:
        begun = time.perf_counter()
        frame = h2o.import_file([str(path) for path in sorted(Path(files).glob("*.parquet"))])
        frame["y"] = frame["y"].asfactor()
        n, names = frame.nrow, [name for name in frame.columns if name != "y"]
        imported = time.perf_counter()
        model = H2OGeneralizedLinearEstimator(
            family="binomial",
            solver=solver,
            alpha=0.0,
            lambda_=1.0 / n,
            standardize=False,
            max_iterations=1000,
            objective_epsilon=1e-10,
            gradient_epsilon=1e-8,
            beta_epsilon=1e-8,
        )
        model.train(x=names, y="y", training_frame=frame)
        done = time.perf_counter()
        coef = model.coef()
        theta = [coef[name] for name in ("Intercept", *names)]
        return theta, imported - begun, done - imported

    fit(few)
    before = resident(NOW, java) or 0
    theta, reading, fitting = fit(folder)
    found: dict[str, Any] = {"seconds": reading + fitting, "import": reading, "theta": theta}
    peak = resident(PEAK, java)
    if peak is not None:
        found["peak_mb"] = (peak - before) / 2**20
    return {**found, "remark": f"import {reading:.1f} s of it; a heap of {_HEAP} GB"}


def statsmodels_logit(folder: str, few: str, _: str) -> dict[str, Any]:
    """Read all rows into memory, and fit them by statsmodels' Logit."""
    import statsmodels.api as sm

    from benchmarks.harness.parquet import whole

    def fit(files: str) -> list[float]:
        X, y = whole(files)
        result = sm.Logit(y, sm.add_constant(X)).fit(disp=0, tol=_TOL)
        return [float(value) for value in result.params]

    return {**_measured(fit, folder, few), "remark": "has no penalty"}
