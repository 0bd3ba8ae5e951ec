"""Peers that fit L1 and the elastic net, in the environment that the command runs in.

Each has an estimator with ``fit``, ``coef_`` and ``intercept_``, and settings from loose to tight.
What a peer needs to do with the data (by columns, in a class of its own) is a part of its fit.

liblinear penalizes its intercept, here scaled until that is little, and has no elastic net. glum
holds a Hessian of its columns, and is left out where that is too large. glmnet is the Fortran of
the R package, in python-glmnet.

Some aren't here. celer's logistic regression has no intercept, so it solves another problem. Of
several classes saga is the only peer: adelie's multinomial model penalizes the K coefficients of a
column as one group and takes no smaller groups, which is another problem too, and python-glmnet's
ended on digits without an answer.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, issparse
from scipy.special import logsumexp

_GLUM_COLUMNS = 10_000  # beyond these its Hessian does not fit

#: a name, and what makes the estimator; it can be sent to another process
Setting = tuple[str, Callable[[], Any]]


class Penalized(NamedTuple):
    """X, dense or CSR, codes of classes, and the penalty in scikit-learn's convention.

    To minimize: the mean log loss + (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2) / (C n).
    """

    X: Any
    y: NDArray[np.int64]
    C: float
    l1_ratio: float = 1.0

    @classmethod
    def below_top(cls, X: Any, y: NDArray[np.int64], share: float, l1_ratio: float) -> "Penalized":
        """Return the problem at 1 / ``share`` of the penalty that leaves no coefficient."""
        indicators = (y[:, None] == np.unique(y)).astype(np.float64)
        top = float(np.abs(X.T @ (indicators - indicators.mean(axis=0))).max()) / l1_ratio
        return cls(X, y, share / top, l1_ratio)

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1

    @property
    def strength(self) -> float:
        """What the penalty is multiplied by, beside the mean loss."""
        return 1.0 / (self.C * self.y.size)

    def objective(self, coef: Any, intercept: Any) -> float:
        """Return the penalized mean loss of ``coef`` (1 or K, d), by NumPy."""
        z = self.X @ np.atleast_2d(coef).T + np.ravel(intercept)
        if self.n_classes == 2:
            losses = np.logaddexp(0.0, (1 - 2 * self.y) * z[:, 0])
        else:
            losses = logsumexp(z, axis=1) - z[np.arange(self.y.size), self.y]
        ridge = 0.5 * (1.0 - self.l1_ratio) * float(np.square(coef).sum())
        penalty = self.l1_ratio * float(np.abs(coef).sum()) + ridge
        return float(losses.mean()) + self.strength * penalty


def adelie_path(
    X: Any, y: NDArray[np.int64], strengths: Any, tol: float, l1_ratio: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return adelie's coefficients (n_points, d) and intercepts, on one thread.

    It takes the columns as they are (``ad.grpnet`` doesn't standardize), and divides the loss by n.
    """
    import adelie as ad

    by_column = (
        ad.matrix.sparse(csc_matrix(X), n_threads=1)  # it knows no sparse arrays
        if issparse(X)
        else ad.matrix.dense(np.asfortranarray(X), n_threads=1)
    )
    state = ad.grpnet(
        by_column,
        ad.glm.binomial(y.astype(np.float64), dtype=np.float64),
        alpha=l1_ratio,
        lmda_path=strengths,
        early_exit=False,
        progress_bar=False,
        irls_tol=tol,
        tol=tol,
        n_threads=1,
    )
    return state.betas.toarray(), np.ravel(state.intercepts)


def glmnet_path(
    X: Any, y: NDArray[np.int64], strengths: Any, tol: float, l1_ratio: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return glmnet's coefficients (n_points, d) and intercepts, without cross-validation.

    It takes the columns as they are.
    """
    from glmnet import LogitNet

    path = LogitNet(
        alpha=l1_ratio,
        lambda_path=np.asarray(strengths),
        standardize=False,
        n_splits=0,
        tol=tol,
    ).fit(X, y)
    return path.coef_path_[0].T, path.intercept_path_[0]


class OfPath:
    """A peer that fits paths, at one penalty and as an estimator."""

    def __init__(
        self, path: Callable[..., Any], strength: float, l1_ratio: float, tol: float
    ) -> None:
        self.path = path
        self.strength = strength
        self.l1_ratio = l1_ratio
        self.tol = tol

    def fit(self, X: Any, y: NDArray[np.int64]) -> "OfPath":
        """Fit."""
        self.coef_, self.intercept_ = self.path(X, y, [self.strength], self.tol, self.l1_ratio)
        return self


def settings(problem: Penalized) -> dict[str, list[Setting]]:
    """Return the settings of each peer that is installed and solves the problem."""
    found = {"saga": _scikit_learn("saga", problem)}
    if problem.n_classes > 2:
        return found
    if problem.l1_ratio == 1.0:
        found["liblinear"] = _scikit_learn("liblinear", problem)
    if find_spec("skglm") is not None:
        found["skglm"] = _skglm(problem)
    if find_spec("glum") is not None and problem.X.shape[1] <= _GLUM_COLUMNS:
        found["glum"] = _glum(problem)
    for name, path in (("adelie", adelie_path), ("glmnet", glmnet_path)):
        if find_spec(name) is not None:
            found[name] = [
                (
                    f"{name} tol={tol:g}",
                    partial(OfPath, path, problem.strength, problem.l1_ratio, tol),
                )
                for tol in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-11)
            ]
    return found


def _scikit_learn(solver: str, problem: Penalized) -> list[Setting]:
    from sklearn.linear_model import LogisticRegression

    return [
        (
            f"{solver} tol={tol:g}",
            partial(
                LogisticRegression,
                l1_ratio=problem.l1_ratio,
                C=problem.C,
                solver=solver,
                tol=tol,
                max_iter=most,
                random_state=0,
                intercept_scaling=100.0,
            ),
        )
        for tol, most in ((1e-2, 100), (1e-4, 1000), (1e-6, 10_000), (1e-8, 10_000))
    ]


def _skglm(problem: Penalized) -> list[Setting]:
    from skglm import SparseLogisticRegression

    return [
        (
            f"skglm tol={tol:g}",
            partial(
                SparseLogisticRegression,
                problem.strength,
                l1_ratio=problem.l1_ratio,
                tol=tol,
                max_iter=1000,
            ),
        )
        for tol in (1e-2, 1e-4, 1e-6, 1e-8)
    ]


def _glum(problem: Penalized) -> list[Setting]:
    from glum import GeneralizedLinearRegressor

    return [
        (
            f"glum tol={tol:g}",
            partial(
                GeneralizedLinearRegressor,
                family="binomial",
                alpha=problem.strength,
                l1_ratio=problem.l1_ratio,
                gradient_tol=tol,
                max_iter=1000,
            ),
        )
        for tol in (1e-2, 1e-4, 1e-6, 1e-8)
    ]
