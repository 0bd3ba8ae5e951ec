"""Approximate leave-one-out: what a fit says of its own rows, had each not been there.

Without row i the optimum is, to second order, a Newton step away: with the Hessian H of the total
objective there and the row a_i = [1, x_i], weight s, residual r and curvature h,

    z_i without i  =  z_i + s r q / (1 - s h q),    q = a_i' H^-1 a_i.

With K classes the row has K margins, the residuals r = p - [k = y_i] and the curvature W = s
(diag p - p p'), (K, K), and with the blocks of H^-1 in Q_kl = a_i' (H^-1)_kl a_i

    z_i without i  =  z_i + (1 - Q W)^-1 Q s r.

With L1, H is that of the coefficients that are not 0: which these are is taken to stay.

References
----------
Rad and Maleki (2020), A scalable estimate of the out-of-sample prediction error via approximate
leave-one-out cross-validation, J. R. Stat. Soc. B 82.
"""

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from fastlogreg.problem.problem import Problem

__all__ = ["LARGEST", "LARGEST_TABLE", "leave_one_out_margins"]

LARGEST = 3000  # entries of theta: the Hessian is inverted
LARGEST_TABLE = 50_000_000  # rows times K times K: values of Q
_MOST = 1.0 - 1e-12  # of a direction that one row decides alone: beyond it the margins are infinite
_ROWS = 4096  # at a time
_FLAT = 1e-14  # of a Hessian with a unit diagonal: no curvature

_Vector = NDArray[np.float64]


def leave_one_out_margins(
    problem: Problem, theta: _Vector, margins: _Vector, targets: _Vector, weights: _Vector | None
) -> _Vector:
    """Return the margins of each row by the fit without it, approximately, (n,) or (n, K).

    Parameters
    ----------
    problem : Problem
        Of one column of margins, where two passes are counted, or of K: 1 + K (K + 1) / 2.
    theta : ndarray of shape (p,)
        Its optimum.
    margins : ndarray of shape (n,) or (n, K)
    targets : ndarray of shape (n,)
        Codes of classes.
    weights : ndarray of shape (n,), optional

    Examples
    --------
    >>> from fastlogreg.data.memory import MemoryRows
    >>> X, y = np.array([[-1.0], [1.0], [-2.0], [2.0]]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> problem = Problem(MemoryRows(X, y), 0.25)
    >>> theta = np.array([0.0, 0.85])
    >>> z = leave_one_out_margins(problem, theta, X @ theta[1:], y, None)
    >>> bool((np.abs(z) < np.abs(X @ theta[1:])).all())
    True
    """
    root = _root(problem, theta)
    if problem.layout.n_outputs > 1:
        return _of_classes(problem, root, margins, targets.astype(np.intp), weights)
    q = problem.squared_lengths(root)
    s = 1.0 if weights is None else weights
    t = np.exp(-np.abs(margins))
    large, small = 1.0 / (1.0 + t), t / (1.0 + t)
    p, rest = np.where(margins >= 0.0, large, small), np.where(margins >= 0.0, small, large)
    residual = s * ((1.0 - targets) * p - targets * rest)
    left = 1.0 - np.minimum(s * p * rest * q, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a row that alone decides a direction leaves an infinite margin, on the wrong side
        moved = np.where(residual == 0.0, 0.0, residual * q / left)
    found: _Vector = margins + moved
    return found


def _of_classes(
    problem: Problem,
    root: NDArray[np.float64],
    margins: _Vector,
    codes: NDArray[np.intp],
    weights: _Vector | None,
) -> _Vector:
    """Return the margins, (n, K), of several classes."""
    n, K = margins.shape
    roots = root.reshape(K, problem.layout.width, -1)
    Q = np.empty((n, K, K))
    for k in range(K):
        Q[:, k, k] = problem.squared_lengths(roots[k])
    for k in range(K):
        for m in range(k):
            both = problem.squared_lengths(roots[k] + roots[m])
            Q[:, k, m] = Q[:, m, k] = 0.5 * (both - Q[:, k, k] - Q[:, m, m])
    found = np.empty_like(margins)
    for start in range(0, n, _ROWS):
        some = slice(start, start + _ROWS)
        z, q = margins[some], Q[some]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        s = np.ones(len(z)) if weights is None else weights[some]
        residual, own = p.copy(), (np.arange(len(z)), codes[some])
        residual[own] = 0.0
        residual[own] = -residual.sum(axis=1)  # without cancellation
        curvature = -p[:, :, None] * p[:, None, :]
        curvature[:, range(K), range(K)] = p * (1.0 - p)
        left = np.eye(K) - _MOST * s[:, None, None] * (q @ curvature)
        change = q @ (s[:, None] * residual)[..., None]
        found[some] = z + np.linalg.solve(left, change)[..., 0]
    return found


def _root(problem: Problem, theta: _Vector) -> NDArray[np.float64]:
    """Return R, (m p, r), with ``R R' = H^-1`` for H of the total objective."""
    support = problem.penalty.support(theta)
    whole = problem.value_gradient_hessian(theta)[2]
    _fix_shifts(problem, whole, support)
    hessian = whole[np.ix_(support, support)]
    hessian *= problem.source.total_weight
    diagonal = hessian.diagonal()
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros(diagonal.size), where=diagonal > 0.0)
    hessian = hessian * scale * scale[:, None]
    hessian.flat[:: diagonal.size + 1][scale == 0.0] = 1.0
    try:
        root = solve_triangular(cholesky(hessian, lower=True), np.diag(scale), lower=True).T
    except LinAlgError:  # collinear without penalty: the margins do not depend on the rest
        values, vectors = np.linalg.eigh(hessian)
        kept = values > _FLAT * diagonal.size
        root = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    whole = np.zeros((problem.size, root.shape[1]))
    whole[support] = root
    return whole


def _fix_shifts(problem: Problem, hessian: NDArray[np.float64], support: NDArray[np.bool_]) -> None:
    """Give curvature to shifts of a column's entries of all classes, where no penalty does.

    They change no probability, so that what curvature they have does not matter. With L1 this holds
    of columns with no entry at 0 alone: beside one that stays, moving the others changes all.
    """
    layout, diagonal = problem.layout, hessian.diagonal().copy()
    if layout.n_outputs == 1:
        return
    seen = support & (problem.penalty.smooth_diagonal == 0.0) & (diagonal > 0.0)
    places = layout.rows(np.arange(layout.size))
    for column in places.T:
        if seen[column].all():
            hessian[np.ix_(column, column)] += diagonal[column].mean()
