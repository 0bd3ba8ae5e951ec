"""How each peer is called: what it is given, its settings from loose to tight, its answer.

All minimize the same thing, the mean log loss + |w|^2 / (2 C sum of weights), each in its own
scaling of it; where a peer can't (it penalizes the intercept, or has no penalty), its ``remark``
says so. ``prepare`` brings the data to the form that the peer asks for (labels -1 and 1, tensors,
a column of ones) and is not timed; ``fit`` is, whole.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.problem import Problem, theta_of

_MAX_ITER = 100_000  # iterations: the time limit ends a fit, not their number
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10, 1e-12)


class Answer(NamedTuple):
    """theta = [b, w_1 .. w_d], and how many iterations or epochs it took."""

    theta: NDArray[np.float64]
    n_iter: int


class Peer:
    """A way to fit; ``ladder`` holds the settings of ``knob`` from loose to tight."""

    packages: tuple[str, ...] = ()
    environment = ""  # that of the command itself
    knob = "tol"
    ladder: tuple[float, ...] = TOLERANCES
    sparse = True
    weighted = True
    most_values = np.inf
    remark = ""

    def refusal(self, problem: Problem) -> str:
        """Return why this problem is not tried; empty if it is."""
        if not self.sparse and not problem.dense:
            return "does not take sparse X"
        if not self.weighted and problem.sample_weight is not None:
            return "does not take sample weights"
        values = problem.X.size if problem.dense else problem.X.nnz
        if values > self.most_values:
            return f"not tried: {values:.2g} values, more than {self.most_values:.2g}"
        return ""

    def prepare(self, problem: Problem) -> None:
        """Bring the data to the peer's form."""
        self.problem = problem

    def warm(self) -> None:
        """Import and compile whatever the first fit would."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fit(self.ladder[0], 1)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        """Fit at one setting."""
        raise NotImplementedError


def _answer(model: Any, n_iter: Any = 0) -> Answer:
    return Answer(theta_of(model), int(np.max(getattr(model, "n_iter_", n_iter))))


class Ours(Peer):
    """fastlogreg's estimator."""

    packages = ("fastlogreg",)
    ladder = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        from fastlogreg import LogisticRegression

        X, y, weights, C = self.problem
        model = LogisticRegression(C=C, tol=setting, max_iter=max_iter)
        return _answer(model.fit(X, y, sample_weight=weights))


class ScikitLearn(Peer):
    """scikit-learn's estimator with one of its solvers."""

    packages = ("scikit-learn",)
    _LARGEST = 6000  # columns of a Hessian

    def __init__(self, solver: str) -> None:
        self.solver = solver
        if solver == "liblinear":
            self.remark = "penalizes the intercept too"

    def refusal(self, problem: Problem) -> str:
        d = problem.X.shape[1]
        if self.solver == "newton-cholesky" and d > self._LARGEST:
            return f"not tried: its Hessian would take {d**2 * 8 / 1e9:.0f} GB"
        return super().refusal(problem)

    def estimator(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression

    def model(self, C: float, tol: float | None = None, max_iter: int = _MAX_ITER) -> Any:
        """Return the estimator at one tolerance, or with all at its defaults."""
        settings = {} if tol is None else {"tol": tol, "max_iter": max_iter}
        return self.estimator()(C=C, solver=self.solver, random_state=0, **settings)

    def fit(self, setting: float | None, max_iter: int = _MAX_ITER) -> Answer:
        X, y, weights, C = self.problem
        return _answer(self.model(C, setting, max_iter).fit(X, y, sample_weight=weights))


class Intelex(ScikitLearn):
    """scikit-learn-intelex: oneDAL under scikit-learn's estimator, where it takes the problem."""

    packages = ("scikit-learn-intelex", "daal", "scikit-learn")
    environment = "sklearnex"

    def estimator(self) -> Any:
        from sklearnex.linear_model import LogisticRegression

        return LogisticRegression


class StochasticGradient(Peer):
    """scikit-learn's SGDClassifier, epochs instead of a tolerance."""

    packages = ("scikit-learn",)
    knob = "epochs"
    ladder = (1, 3, 10, 30, 100, 300)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        from sklearn.linear_model import SGDClassifier

        X, y, weights, C = self.problem
        model = SGDClassifier(
            loss="log_loss",
            alpha=1.0 / (C * self.problem.total),
            max_iter=min(int(setting), max_iter),
            tol=None,
            average=True,
            random_state=0,
        )
        return _answer(model.fit(X, y, sample_weight=weights))


class Glum(Peer):
    """glum's generalized linear model."""

    packages = ("glum", "tabmat")
    environment = "glum"

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        from glum import GeneralizedLinearRegressor

        X, y, weights, C = self.problem
        model = GeneralizedLinearRegressor(
            family="binomial",
            l1_ratio=0.0,
            alpha=1.0 / (C * self.problem.total),
            gradient_tol=setting,
            max_iter=max_iter,
        )
        return _answer(model.fit(X, y, sample_weight=weights))


class Skglm(Peer):
    """skglm: proximal Newton on its logistic datafit."""

    packages = ("skglm",)
    environment = "skglm"
    weighted = False

    def prepare(self, problem: Problem) -> None:
        X = np.asfortranarray(problem.X) if problem.dense else problem.X.tocsc()
        self.problem = problem._replace(X=X, y=2.0 * problem.y - 1.0)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        from skglm import GeneralizedLinearEstimator
        from skglm.datafits import Logistic
        from skglm.penalties import L1_plus_L2
        from skglm.solvers import ProxNewton

        model = GeneralizedLinearEstimator(
            datafit=Logistic(),
            penalty=L1_plus_L2(1.0 / (self.problem.C * self.problem.total), 0.0),
            solver=ProxNewton(
                tol=setting, max_iter=min(max_iter, 1000), fit_intercept=True, warm_start=False
            ),
        )
        return _answer(model.fit(self.problem.X, self.problem.y))


class SnapML(Peer):
    """IBM Snap ML: dual coordinate ascent on all threads."""

    packages = ("snapml",)
    environment = "snapml"
    weighted = False
    remark = "penalizes the intercept too"

    def prepare(self, problem: Problem) -> None:
        from scipy.sparse import csr_matrix

        # it knows SciPy's matrices, and not its arrays
        self.problem = problem if problem.dense else problem._replace(X=csr_matrix(problem.X))

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        import os

        from snapml import LogisticRegression

        X, y, _, C = self.problem
        model = LogisticRegression(
            regularizer=1.0 / C,
            tol=setting,
            max_iter=max_iter,
            fit_intercept=True,
            n_jobs=os.cpu_count(),
            random_state=0,
            dual=X.shape[0] > X.shape[1],
        )
        return _answer(model.fit(X, y))


class Statsmodels(Peer):
    """statsmodels' GLM by iterated least squares; it has no L2 penalty there."""

    packages = ("statsmodels",)
    environment = "statsmodels"
    sparse = False
    remark = "has no L2 penalty"

    def prepare(self, problem: Problem) -> None:
        ones = np.ones((problem.y.size, 1))
        self.problem = problem._replace(X=np.hstack([ones, problem.X]))

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        import statsmodels.api as sm

        X, y, weights, _ = self.problem
        more = {} if weights is None else {"freq_weights": weights}
        model = sm.GLM(y, X, family=sm.families.Binomial(), **more)
        result = model.fit(tol=setting, maxiter=min(max_iter, 1000))
        n_iter = int(result.fit_history["iteration"])
        return Answer(np.asarray(result.params, dtype=np.float64), n_iter)


class StatsmodelsRegularized(Statsmodels):
    """statsmodels' GLM with an L2 penalty, by coordinate descent."""

    remark = ""

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        import statsmodels.api as sm

        X, y, weights, C = self.problem
        more = {} if weights is None else {"freq_weights": weights}
        alpha = np.full(X.shape[1], 1.0 / (C * self.problem.total))
        alpha[0] = 0.0
        model = sm.GLM(y, X, family=sm.families.Binomial(), **more)
        result = model.fit_regularized(
            alpha=alpha, L1_wt=0.0, cnvrg_tol=setting, maxiter=min(max_iter, 10_000)
        )
        return Answer(np.asarray(result.params, dtype=np.float64), 0)


class Torch(Peer):
    """PyTorch: automatic differentiation of the objective."""

    packages = ("torch",)
    environment = "torch"

    def prepare(self, problem: Problem) -> None:
        import torch

        self.problem = problem
        X, y, weights, _ = problem
        if problem.dense:
            self.X = torch.from_numpy(X)
        else:
            parts = (X.indptr, X.indices, X.data)
            self.X = torch.sparse_csr_tensor(
                *(torch.from_numpy(part) for part in parts), size=X.shape
            )
        self.y = torch.from_numpy(y).to(self.X.dtype)
        self.weight = None if weights is None else torch.from_numpy(weights).to(self.X.dtype)

    def start(self) -> tuple[Any, Any]:
        import torch

        w = torch.zeros(self.X.shape[1], dtype=self.X.dtype, requires_grad=True)
        return w, torch.zeros(1, dtype=self.X.dtype, requires_grad=True)

    def objective(self, w: Any, b: Any, rows: Any = None) -> Any:
        from torch.nn.functional import binary_cross_entropy_with_logits

        X, y, weight = self.X, self.y, self.weight
        if rows is not None:
            X, y = X[rows], y[rows]
            weight = None if weight is None else weight[rows]
        z = X @ w + b
        loss = binary_cross_entropy_with_logits(z, y, weight, reduction="sum")
        total = float(len(y)) if weight is None else weight.sum()
        return loss / total + (w @ w) / (2.0 * self.problem.C * self.problem.total)

    @staticmethod
    def answer(w: Any, b: Any, n_iter: int) -> Answer:
        import torch

        return Answer(torch.cat([b, w]).detach().double().numpy().copy(), n_iter)


class TorchLBFGS(Torch):
    """torch.optim.LBFGS with its strong Wolfe search, on all rows."""

    ladder = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        import torch

        w, b = self.start()
        optimizer = torch.optim.LBFGS(
            [w, b],
            max_iter=max_iter,
            tolerance_grad=setting,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Any:
            optimizer.zero_grad()
            value = self.objective(w, b)
            value.backward()
            return value

        optimizer.step(closure)
        return self.answer(w, b, optimizer.state[w]["n_iter"])


class TorchAdam(Torch):
    """torch.optim.Adam at its defaults but for lr=0.01, batches of 4096, shuffled."""

    knob = "epochs"
    ladder = (1, 3, 10, 30, 100, 300)
    sparse = False  # rows of a sparse tensor can't be chosen

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        import torch

        w, b = self.start()
        optimizer = torch.optim.Adam([w, b], lr=0.01)
        chance = torch.Generator().manual_seed(0)
        epochs = min(int(setting), max_iter)
        for _ in range(epochs):
            for rows in torch.randperm(len(self.y), generator=chance).split(4096):
                optimizer.zero_grad()
                self.objective(w, b, rows).backward()
                optimizer.step()
        return self.answer(w, b, epochs)


class JaxLBFGS(Peer):
    """JAX: optax's L-BFGS, the whole loop compiled; 64 bits switched on."""

    packages = ("jax", "optax")
    environment = "jax"
    ladder = TorchLBFGS.ladder
    sparse = False  # its sparse rows are experimental

    def prepare(self, problem: Problem) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        import jax.numpy as jnp
        import optax

        X, y, weights, C = problem
        X, y = jnp.asarray(X), jnp.asarray(y, dtype=X.dtype)
        total = problem.total
        weight = None if weights is None else jnp.asarray(weights, dtype=X.dtype)

        # the data are arguments: as constants of the program they would be folded for minutes
        def objective(theta: Any, X: Any, y: Any, weight: Any) -> Any:
            losses = optax.sigmoid_binary_cross_entropy(X @ theta[1:] + theta[0], y)
            loss = losses.sum() if weight is None else (weight * losses).sum()
            return loss / total + theta[1:] @ theta[1:] / (2.0 * C * total)

        @jax.jit
        def minimize(X: Any, y: Any, weight: Any, tol: Any, most: Any) -> Any:
            def value(theta: Any) -> Any:
                return objective(theta, X, y, weight)

            optimizer = optax.lbfgs()
            value_and_grad = optax.value_and_grad_from_state(value)

            def step(carry: Any) -> Any:
                theta, state, _, k = carry
                at, gradient = value_and_grad(theta, state=state)
                update, state = optimizer.update(
                    gradient, state, theta, value=at, grad=gradient, value_fn=value
                )
                largest = jnp.abs(optax.tree.get(state, "grad")).max()
                return optax.apply_updates(theta, update), state, largest, k + 1

            def unfinished(carry: Any) -> Any:
                return (carry[2] > tol) & (carry[3] < most)

            theta = jnp.zeros(X.shape[1] + 1, dtype=X.dtype)
            start = theta, optimizer.init(theta), jnp.asarray(jnp.inf, dtype=X.dtype), 0
            result = jax.lax.while_loop(unfinished, step, start)
            return result[0], result[3]

        self.problem = problem
        self.run = lambda tol, most: minimize(X, y, weight, tol, most)

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        theta, n_iter = self.run(setting, max_iter)
        return Answer(np.asarray(theta, dtype=np.float64), int(n_iter))


class VowpalWabbit(Peer):
    """Vowpal Wabbit's L-BFGS over its cache of the text form of X; passes, not a tolerance."""

    packages = ("vowpalwabbit",)
    environment = "vw"
    knob = "passes"
    ladder = (3, 10, 30, 100, 300)
    most_values = 3e6  # the text form of more takes longer than all fits
    remark = "penalizes the intercept too; float32 inside; the time holds the reading of its cache"

    def prepare(self, problem: Problem) -> None:
        import tempfile
        from pathlib import Path

        from scipy.sparse import csr_array

        self.problem = problem
        self.folder = tempfile.TemporaryDirectory()
        self.text = Path(self.folder.name) / "rows.vw"
        X = csr_array(problem.X)
        weights = problem.sample_weight
        each = (np.ones(problem.y.size) if weights is None else weights).tolist()
        with self.text.open("w") as out:
            for i, (y, weight) in enumerate(zip(problem.y, each, strict=True)):
                row = slice(X.indptr[i], X.indptr[i + 1])
                pairs = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
                values = " ".join(f"{j}:{x!r}" for j, x in pairs)
                out.write(f"{1 if y else -1} {weight!r} | {values}\n")

    def fit(self, setting: float, max_iter: int = _MAX_ITER) -> Answer:
        from vowpalwabbit import Workspace

        d = self.problem.X.shape[1]
        bits = max(18, int(np.ceil(np.log2(2 * d))))
        passes = max(2, min(int(setting), max_iter))
        workspace = Workspace(
            f"--quiet --bfgs --loss_function logistic --l2 {1.0 / self.problem.C!r} "
            f"--passes {passes} --termination 0 --holdout_off -b {bits} --mem 10 "
            f"--cache_file {self.text}.cache --data {self.text}"
        )
        workspace.finish()
        theta = np.array(
            [workspace.get_weight(k) for k in [11650396 % 2**bits, *range(d)]], dtype=np.float64
        )
        return Answer(theta, passes)


PEERS: dict[str, Peer] = {
    "fastlogreg": Ours(),
    **{
        f"scikit-learn {solver}": ScikitLearn(solver)
        for solver in ("lbfgs", "newton-cholesky", "newton-cg", "liblinear", "sag", "saga")
    },
    "scikit-learn SGDClassifier": StochasticGradient(),
    "scikit-learn-intelex lbfgs": Intelex("lbfgs"),
    "scikit-learn-intelex newton-cg": Intelex("newton-cg"),
    "glum": Glum(),
    "skglm": Skglm(),
    "snapml": SnapML(),
    "statsmodels GLM": Statsmodels(),
    "statsmodels GLM, L2": StatsmodelsRegularized(),
    "PyTorch L-BFGS": TorchLBFGS(),
    "PyTorch Adam": TorchAdam(),
    "JAX L-BFGS": JaxLBFGS(),
    "Vowpal Wabbit": VowpalWabbit(),
}
