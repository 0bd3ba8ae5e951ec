"""Columns far from 0: solved near to it, against optima of plain NumPy in centred columns."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp

import fastlogreg as flr
from benchmarks.harness import class_reference
from fastlogreg.backends import PassSpec
from fastlogreg.data import centred
from fastlogreg.data.centred import near_rows
from fastlogreg.data.memory import MemoryRows
from fastlogreg.problem.centring import centring
from fastlogreg.problem.penalties import L2, ElasticNet
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.auto import auto
from fastlogreg.solvers.folds import fit_folds
from fastlogreg.solvers.lbfgs import lbfgs
from fastlogreg.solvers.newton import newton
from fastlogreg.solvers.newton_cg import newton_cg
from fastlogreg.solvers.proximal import proximal
from fastlogreg.solvers.trace import Trace

TOL = 1e-8
K = 4
SOFTMAX = PassSpec("cross_entropy", "softmax", True, 1, K)


def far_table(seed):
    """Return columns of several scales, 1e4 to 1e7 spreads from 0, a rare level and nearly equal
    ones among them, and classes of which one is rare."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(240, 3))
    z = X @ rng.normal(size=(K, 3)).T * 3.0 + [0.0, 1.0, 2.0, -3.0]
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    y[:K] = np.arange(K)
    level = (rng.random(240) < 0.05).astype(float)
    X = np.column_stack([X, level, X[:, 0] + 1e-3 * rng.normal(size=240)])
    X *= 10.0 ** rng.uniform(-5, 5, X.shape[1])
    X += np.abs(X).max(axis=0) * 10.0 ** rng.uniform(4, 7, X.shape[1])
    return X, y.astype(np.float64)


def far_rows(seed, n_outputs):
    """Return such a table, with two classes where there is one output, and what a pass is of."""
    X, y = far_table(seed)
    if n_outputs > 1:
        return X, y, SOFTMAX
    return X, (y > 1.0).astype(np.float64), PassSpec()


def value(X, y, C, theta):
    """Return the objective of theta in extended precision."""
    rows = theta.reshape(K, -1).astype(np.longdouble)
    z = X.astype(np.longdouble) @ rows[:, 1:].T + rows[:, 0]
    losses = logsumexp(z, axis=1) - z[np.arange(len(y)), y.astype(int)]
    return float(losses.mean() + (rows[:, 1:] ** 2).sum() / (2 * C * len(y)))


@pytest.mark.parametrize("seed", range(6))
def test_folds_and_all_rows_are_at_their_optimum_and_know_it(seed):
    X, y = far_table(seed)
    problem = Problem(MemoryRows(X, y), spec=SOFTMAX)
    training = [np.flatnonzero(np.arange(len(y)) % 3 != k) for k in range(3)]
    Cs = [1e-3, 1.0, 1e3]

    def penalty(weight, number):
        return L2(problem.layout.by_column(1.0 / (Cs[number] * weight)))

    fits = fit_folds(problem, training, 3, penalty, auto, tol=TOL)
    every = np.arange(len(y))
    for rows, results in zip([*training, every], [*fits.sets, fits.whole], strict=True):
        for C, result in zip(Cs, results, strict=True):
            best = class_reference.optimum(X[rows], y[rows], C)
            assert result.converged
            assert value(X[rows], y[rows], C, result.theta) <= best * (1.0 + TOL)


@pytest.mark.parametrize("solve", [auto, newton, newton_cg, lbfgs])
@pytest.mark.parametrize("n_outputs", [1, K])
def test_a_fit_is_that_of_the_same_columns_near_to_0(solve, n_outputs):
    X, y, spec = far_rows(0, n_outputs)
    rows = MemoryRows(X, y)
    middle = rows.far_middle
    heard = []

    def callback(now, theta):
        heard.append(theta)
        return False

    penalty = L2(Problem(rows, spec=spec).layout.by_column(1e-3))
    far = Problem(rows, penalty, spec)
    found = solve(far, np.zeros(far.size), tol=TOL, trace=Trace(callback))
    near = Problem(MemoryRows(X - middle, y), penalty, spec)
    # step by step too, as a callback asks for
    same = solve(near, np.zeros(near.size), tol=TOL, trace=Trace(lambda now, theta: False))
    assert found.converged and found.n_iter == same.n_iter
    assert found.value == pytest.approx(same.value, rel=1e-14)
    assert far.n_passes == near.n_passes
    rows_of = far.layout.coefficients
    np.testing.assert_allclose(rows_of(found.theta), rows_of(same.theta), rtol=1e-9)
    np.testing.assert_array_equal(heard[-1], found.theta)  # not what the solver moved


@pytest.mark.parametrize("kind", ["l1", "elastic net", "bounds", "free columns"])
@pytest.mark.parametrize("n_outputs", [1, K])
def test_any_penalty_is_that_of_the_same_columns_near_to_0(kind, n_outputs):
    X, y, spec = far_rows(1, n_outputs)
    rows = MemoryRows(X, y)
    results = []
    for source in (rows, MemoryRows(X - rows.far_middle, y)):
        layout = Problem(source, spec=spec).layout
        one = layout.by_column(np.std(X, axis=0) * 1e-2)
        if kind == "bounds":
            bounds = np.where(layout.by_column(1.0) > 0.0, 0.1 / np.maximum(one, 1e-300), np.inf)
            penalty = ElasticNet(0.0 * one, one**2, -bounds * 1e-2, bounds)
        elif kind == "free columns":
            penalty = ElasticNet(one * (np.arange(one.size) % 6 > 1), 0.0 * one)
        else:
            penalty = ElasticNet(one, one**2 * (kind == "elastic net"))
        problem = Problem(source, penalty, spec)
        result = proximal(problem, np.zeros(problem.size), tol=TOL)
        assert result.converged
        results.append(result)
    far, near = results
    assert far.value == pytest.approx(near.value, rel=3e-8)
    assert far.n_passes <= near.n_passes + 2.0
    scale = layout.coefficients(one)
    coefficients = [layout.coefficients(each.theta) * scale for each in results]
    np.testing.assert_allclose(*coefficients, atol=1e-3)


def test_a_path_is_that_of_the_same_columns_near_to_0():
    X, y = far_table(2)
    middle = MemoryRows(X, y).far_middle
    paths = [flr.regularization_path(each, y, Cs=8) for each in (X, X - middle)]
    assert all(path.converged.all() for path in paths)
    np.testing.assert_allclose(paths[0].Cs, paths[1].Cs, rtol=1e-6)
    np.testing.assert_allclose(paths[0].objectives, paths[1].objectives, rtol=1e-7)
    assert paths[0].n_passes_total <= paths[1].n_passes_total + 8.0


@pytest.mark.parametrize("of", ["C", "F", "float32", "csr"])
@pytest.mark.parametrize("kept", [True, False])
def test_rows_near_to_0_are_those_of_plain_numpy(of, kept, monkeypatch):
    monkeypatch.setattr(centred, "_BLOCK_VALUES", 1 << 20 if kept else 64)
    rng = np.random.default_rng(3)
    X = np.asarray(rng.normal(size=(90, 5)) + 3e3, dtype="f4" if of == "float32" else "f8")
    X = np.asfortranarray(X) if of == "F" else X
    given = sp.csr_array(X) if of == "csr" else X
    y, weights = rng.integers(0, K, 90).astype(float), rng.exponential(size=90)
    offset, middle = rng.normal(size=(90, K)), np.full(5, 3e3)
    given = MemoryRows(given, y, weights, offset)
    rows = np.sort(rng.choice(90, 50, replace=False))
    theta = rng.normal(size=(K, 6))
    for source, at in [
        (near_rows(given, middle), np.arange(90)),
        (near_rows(given, middle).subset(rows), rows),
        (near_rows(given.subset(rows), middle), rows),
    ]:
        plain = MemoryRows(X[at] - middle, y[at], weights[at], offset[at], backend="numpy")
        bound, other = source.bind(SOFTMAX), plain.bind(SOFTMAX)
        for one, two in zip(bound(theta, 2), other(theta, 2), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)
        assert bound.largest_margin(theta) == pytest.approx(other.largest_margin(theta))
        assert source.total_weight == pytest.approx(plain.total_weight)
        assert source.effective_rows() == pytest.approx(plain.effective_rows())
    part, drawn = near_rows(given, middle).sample(8), given.sample(8)
    assert part.fraction == drawn.fraction and part.n_rows == drawn.n_rows


def test_what_is_far():
    rng = np.random.default_rng(0)
    N = rng.normal(size=(500, 1))

    def middle(X):
        return MemoryRows(X, np.zeros(X.shape[0])).far_middle

    dummies = (rng.random((500, 2)) < [0.9, 0.999]).astype(float)
    assert middle(np.hstack([N, 100.0 + N, dummies, np.full((500, 1), 3.0)])) is None
    wide = sp.hstack([N + 1e6, sp.csr_array((500, 90))], format="csr")
    np.testing.assert_allclose(middle(wide), [1e6, *[0.0] * 90], atol=2.0)
    assert middle(sp.csr_array((500, 90))) is None
    assert middle(np.zeros((500, 0))) is None
    outlier = N + 1e6
    outlier[::64] *= 1e6  # also of the few rows that are looked at first
    rare = np.full((500, 1), 1e6)
    rare[77] += 1.0  # of all rows, none that is looked at first
    found = middle(np.hstack([N, N + 1e6, outlier, rare]))
    assert found[0] == 0.0
    np.testing.assert_allclose(found[1:], 1e6, atol=2.0)
    problem = Problem(MemoryRows(N + 1e6, np.arange(500) % 2.0), 0.1)
    assert centring(problem) is not None
    without = Problem(problem.source, 0.1, PassSpec(intercept=False))
    assert centring(without) is None
