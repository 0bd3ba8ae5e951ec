"""Approximate leave-one-out: what a fit says of its own rows, had each not been there.

Without row i the optimum is, to second order, a Newton step away: with the Hessian H of the total
objective there and the row a_i = [1, x_i], weight s, residual r and curvature h,

    z_i without i  =  z_i + s r q / (1 - s h q),    q = a_i' H^-1 a_i.

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

__all__ = ["leave_one_out_margins"]

_FLAT = 1e-14  # of a Hessian with a unit diagonal: no curvature

_Vector = NDArray[np.float64]


def leave_one_out_margins(
    problem: Problem, theta: _Vector, margins: _Vector, targets: _Vector, weights: _Vector | None
) -> _Vector:
    """Return the margin of each row by the fit without it, approximately, (n,).

    Parameters
    ----------
    problem : Problem
        Of one column of margins; two passes are counted.
    theta : ndarray of shape (p,)
        Its optimum.
    margins, targets : ndarray of shape (n,)
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
    q = _leverages(problem, theta)
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


def _leverages(problem: Problem, theta: _Vector) -> _Vector:
    """Return ``a' H^-1 a`` of each row a, with H of the total objective, (n,)."""
    support = problem.penalty.support(theta)
    hessian = problem.value_gradient_hessian(theta)[2][np.ix_(support, support)]
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
    return problem.squared_lengths(whole)
