"""scikit-learn's solvers as contestants: each fit within a time limit, none can hang a table.

A fit inside compiled code can't be interrupted, so fits of unknown length run in a process of
their own, which is ended at the limit and started anew. Every solver runs at its defaults;
since these may stop early, also at tighter tolerances until one run is near enough to the optimum.
"""

import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Problem
from benchmarks.quality import theta_of

#: in the order of what is expected of them on tall tables
SOLVERS = ("lbfgs", "newton-cholesky", "newton-cg", "liblinear", "sag", "saga")
LADDER = (1e-4, 1e-6, 1e-8, 1e-10)
NEAR = 1e-6  # relative distance above the optimum that counts as solved
_LARGEST = 6000  # columns of a Hessian
_MANY = 100_000  # iterations: the time limit ends a fit, not their number
_START_SECONDS = 60.0  # for the process to import scikit-learn and to get the data


@dataclass
class Run:
    """One solver at one setting; ``seconds`` is the best so far, or the limit if cut off."""

    solver: str
    tol: float | None  # None: all at defaults
    seconds: float | None = None
    theta: NDArray[np.float64] | None = field(default=None, repr=False)
    n_iter: int | None = None
    above: float | None = None
    rounds: int = 0
    note: str = ""

    @property
    def name(self) -> str:
        """Solver and setting."""
        return self.solver if self.tol is None else f"{self.solver} tol={self.tol:.0e}"

    @property
    def solved(self) -> bool:
        """Whether it is near enough to the optimum."""
        return self.above is not None and self.above <= NEAR

    def model(self, C: float) -> Any:
        """Return scikit-learn's estimator with these settings."""
        from sklearn.linear_model import LogisticRegression

        options = {} if self.tol is None else {"tol": self.tol, "max_iter": _MANY}
        return LogisticRegression(C=C, solver=self.solver, random_state=0, **options)


def refusal(solver: str, shape: tuple[int, int]) -> str:
    """Return why a solver is not tried on data of this shape; empty if it is."""
    if solver == "newton-cholesky" and shape[1] > _LARGEST:
        return f"not tried: its Hessian would take {shape[1] ** 2 * 8 / 1e9:.0f} GB"
    return ""


def fit(model: Any, problem: Problem) -> tuple[float, str]:
    """Fit, and return the seconds and the first warning."""
    X, y, weights, _ = problem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, y, sample_weight=weights)
        seconds = time.perf_counter() - start
    return seconds, str(caught[0].message).split("\n")[0].strip() if caught else ""


def _serve(pipe: Any) -> None:
    """Fit what comes through the pipe: the problem first, then one run after another."""
    problem = pipe.recv()
    tiny = Problem(np.eye(4), np.array([0.0, 1.0, 0.0, 1.0]))
    for solver in SOLVERS:  # imports and the first call of each are not what is timed
        fit(Run(solver, None).model(1.0), tiny)
    pipe.send("ready")
    while True:
        run = pipe.recv()
        try:
            model = run.model(problem.C)
            run.seconds, run.note = fit(model, problem)
            run.theta, run.n_iter, run.rounds = theta_of(model), int(np.max(model.n_iter_)), 1
        except Exception as error:  # whatever a peer raises stands in the table
            run.note = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        pipe.send(run)


class Contest:
    """The fits of one problem by scikit-learn, in a process that is ended where one is too long."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._process: Any = None

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self._pipe.send(self.problem)
        if not self._pipe.poll(_START_SECONDS) or self._pipe.recv() != "ready":
            raise RuntimeError("the process for scikit-learn's fits did not start")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def run(self, solver: str, tol: float | None, limit: float) -> Run:
        """Fit once, within ``limit`` seconds."""
        run = Run(solver, tol, note=refusal(solver, self.problem.X.shape))
        if run.note:
            return run
        if self._process is None:
            self._start()
        self._pipe.send(run)
        if not self._pipe.poll(limit):
            self._stop()
            run.seconds, run.note = limit, f"cut off after {limit:.3g} s"
            return run
        found: Run = self._pipe.recv()
        return found

    def all(
        self, ours: float, seconds: float, distance: Callable[[NDArray[np.float64]], float]
    ) -> Iterator[Run]:
        """Run every solver at its defaults, then tighter ones until it is near the optimum.

        Parameters
        ----------
        ours : float
            What our fit takes; a solver gets 60 times as much, a second at least, ``seconds``
            at most (and lbfgs, the default, twice ``seconds``).
        seconds : float
        distance : callable
            Of theta above the optimum, relative.
        """
        most = min(max(60.0 * ours, 1.0), seconds)
        fastest = np.inf
        for solver in SOLVERS:
            finished = False  # at its default tol, which is LADDER's first
            for tol in (None, *LADDER):
                if tol == LADDER[0] and finished:
                    continue
                limit = 2 * seconds if (solver, tol) == ("lbfgs", None) else most
                if tol is not None:  # only of interest where it may become the best
                    limit = min(limit, 1.5 * fastest + 0.05)
                run = self.run(solver, tol, limit)
                if run.theta is not None:
                    run.above = distance(run.theta)
                yield run
                if run.solved:
                    assert run.seconds is not None
                    fastest = min(fastest, run.seconds)
                if run.solved or run.theta is None or (run.seconds or 0.0) > min(30 * ours, limit):
                    break  # a tighter run takes no less
                finished = not run.note
