"""Rows that can be separated: found, named and told for every solver; optima far out are not."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning

from fastlogreg import LogisticRegression
from fastlogreg.data import separation
from fastlogreg.data.class_separation import find_class_separation
from fastlogreg.data.memory import Rows
from fastlogreg.data.separation import find_separation
from fastlogreg.solvers.newton import newton
from tests.problems import problem_of

SOLVERS = ["auto", "newton", "newton-cg", "lbfgs"]
FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "CSR": sp.csr_array,
    "read-only": lambda X: _read_only(X),
}


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def oracle(X, y, counts, intercept=True):
    """Return the rows that can be separated: one linear program on all rows as they are.

    Maximize sum t with ``s_i (b + x_i' w) >= t_i`` and t between 0 and 1: a direction can be as
    long as it needs, so each t is 0 or 1.
    """
    A = np.column_stack([np.ones(len(X)), X]) if intercept else X
    A = (A * (2.0 * y - 1.0)[:, None])[counts]
    n, p = A.shape
    found = linprog(
        np.r_[np.zeros(p), -np.ones(n)],
        A_ub=np.hstack([-A, np.eye(n)]),
        b_ub=np.zeros(n),
        bounds=[(None, None)] * p + [(0.0, 1.0)] * n,
        method="highs",
    )
    assert found.status == 0
    rows = np.zeros(len(X), dtype=bool)
    rows[np.flatnonzero(counts)[found.x[p:] > 0.5]] = True
    return rows


def overlapping(n=300, d=2, seed=0, strength=1.0):
    """Return columns of integers / 4 and labels that no direction separates."""
    rng = np.random.default_rng(seed)
    X = np.round(4.0 * rng.standard_normal((n, d))) / 4.0
    p = 1.0 / (1.0 + np.exp(-strength * X.sum(axis=1)))
    return X, (rng.random(n) < p).astype(np.float64)


def combined(n=300, d=5, complete=False, seed=1):
    """Return rows that columns 0, 1 and 2 separate together, and none of them alone."""
    X, y = overlapping(n, d, seed)
    X[:, :3] = np.round(X[:, :3])
    u = X[:, 0] + X[:, 1] - X[:, 2]
    if complete:
        X[:, 0] += 0.5 * np.where(u > 0.0, 1.0, -1.0)
        u = np.where(u > 0.0, 1.0, -1.0)
    y[u > 0.0], y[u < 0.0] = 1.0, 0.0
    return X, y


def dummy(n=300):
    """Return a level of which all have label 1, and a column that overlaps."""
    X, y = overlapping(n, 1)
    level = (np.arange(n) >= n // 2).astype(float)
    y[n // 2 :] = 1.0
    return np.column_stack([level, X]), y


def told(match, X, y, **rest):
    """Return the model of a fit that must say that there is no optimum."""
    parameters = {k: rest.pop(k) for k in ("solver", "fit_intercept", "tol") if k in rest}
    model = LogisticRegression(C=np.inf, **parameters)
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        model.fit(X, y, **rest)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not model.converged_
    return model


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_level_of_one_class(form, solver):
    X, y = dummy()
    match = r"150 of 300 rows \(rows 150, .* 144 more\) .* by column 0 \(to \+infinity\) alone"
    told(match, FORMS[form](X), y, solver=solver)
    told(match.replace(r"\+", "-"), FORMS[form](X), 1.0 - y, solver=solver)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", FORMS)
def test_three_columns_together(form, solver):
    X, y = combined()
    n = int(np.count_nonzero(X[:, 0] + X[:, 1] - X[:, 2]))
    match = rf"{n} of 300 rows .* by columns 0 \(\+\), 1 \(\+\) and 2 \(-\) together"
    told(match, FORMS[form](X), y, solver=solver)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", FORMS)
def test_all_rows(form, solver):
    X, y = combined(complete=True)
    told(r"the classes can be separated by columns 0 .* together", FORMS[form](X), y, solver=solver)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("rows", [slice(None), slice(None, None, -1)])
def test_four_rows(rows, solver):
    X = np.array([[-1.0], [0.0], [0.0], [1.0]])[rows]
    y = np.array([0, 0, 1, 1])[rows]
    told(r"2 of 4 rows \(rows 0 and 3\) can be separated by column 0 \(to", X, y, solver=solver)


def test_names_of_columns():
    pd = pytest.importorskip("pandas")
    X, y = dummy()
    told(r"by column 'is old' \(to \+infinity\) alone", pd.DataFrame(X, columns=["is old", "x"]), y)


def test_the_left_out_level():
    """Only a combination shows it: the bias grows, and all other levels fall."""
    X, y = overlapping(300, 1)
    level = np.arange(300) % 4
    y[level == 0] = 1.0
    X = np.column_stack([level == 1, level == 2, level == 3, X]).astype(float)
    told(r"75 of 300 rows .* by columns 0 \(-\), 1 \(-\) and 2 \(-\) together", X, y)


def test_two_levels_and_what_their_rows_hid():
    """Column 1 separates the others only once the rows of column 0 are put aside."""
    X, y = dummy()
    rest = X[:, 0] == 0.0
    hidden = np.where(rest, np.where(y > 0.0, 1.0, -1.0), np.resize([5.0, -5.0], 300))
    hidden[:10] = 0.0
    y[:10] = np.resize([0.0, 1.0], 10)
    X = np.column_stack([X, hidden])
    model_rows = fitted(X, y).rows
    assert_array_equal(model_rows, oracle(X, y, np.ones(300, dtype=bool)))
    assert not model_rows[:10].any() and model_rows[10:].all()


def fitted(X, y, weights=None, intercept=True, offset=None):
    """Return what is separated, after a fit by Newton."""
    objective = problem_of(X, y, sample_weight=weights, intercept=intercept, offset=offset)
    result = newton(objective, np.zeros(objective.size), stop_value=1e-8)
    return find_separation(
        X,
        y,
        result.theta,
        sample_weight=weights,
        offset=offset,
        intercept=intercept,
        decrement=result.decrement,
    )


def test_without_intercept():
    """Through 0 the rows can be separated or not, whatever a border elsewhere would do."""
    X = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, -1.0], [3.0, 1.0], [2.0, 0.0]])
    y = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    assert LogisticRegression(C=np.inf, fit_intercept=False).fit(X[1:, :1], [0, 1, 0, 1]).converged_
    told(r"can be separated by columns 0 \(to \+infinity\) and 1 \(to -infinity\)", X, y)
    told(r"can be separated by columns 0 \(\+\) and 1 \(-\)", X, y, fit_intercept=False)


def test_weights_of_zero():
    """They undo a separation, and they make one."""
    X, y = dummy()
    weights = np.ones(300)
    weights[150:] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LogisticRegression(C=np.inf).fit(X, y, sample_weight=weights).converged_
    y[200] = 0.0
    assert LogisticRegression(C=np.inf).fit(X, y).converged_
    weights = np.ones(300)
    weights[200] = 0.0
    told(r"149 of 299 rows .* by column 0", X, y, sample_weight=weights)


def test_tiny_weights_count():
    """Rows that hardly weigh anything are separated none the less."""
    X, y = dummy()
    weights = np.where(X[:, 0] > 0.0, 1e-13, 1.0)
    told(r"150 of 300 rows .* by column 0", X, y, sample_weight=weights)
    y[200] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression(C=np.inf).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("solver", SOLVERS)
def test_overlapping_rows_that_weigh_next_to_nothing(solver):
    """The loss at the optimum is 2e-13, and separated classes could have that, too."""
    X, y = overlapping(200, 2)
    X[:, 0] += np.where(X[:, 0] > 0.0, 1.0, -1.0)
    light = np.abs(X[:, 0]) < 1.3
    weights = np.where(light, 1e-13, 1.0)
    y[~light] = X[~light, 0] > 0.0
    model = LogisticRegression(C=np.inf, solver=solver).fit(X, y, sample_weight=weights)
    assert model.converged_ and 0.0 < model.objective_ < 1e-12
    assert model.n_iter_[0] == model.history_["iteration"][-1]
    alone = LogisticRegression(C=np.inf).fit(X[light], y[light])
    assert model.objective_ == pytest.approx(
        1e-13 * light.sum() * alone.objective_ / (~light).sum()
    )


def test_a_loose_tol_hides_nothing():
    X, y = dummy()
    told(r"150 of 300 rows .* by column 0", X, y, tol=0.1)


def test_offsets_change_nothing():
    X, y = dummy()
    offset = np.linspace(-30.0, 30.0, 300)
    told(r"150 of 300 rows .* by column 0", X, y, offset=offset)
    told("the classes can be separated by", *combined(complete=True), offset=offset)
    X, y = overlapping()
    assert fitted(X, y, offset=1e3 * X[:, 0]) is None


def test_columns_far_from_zero():
    """Centred at 2^20 spreads, and as large as 2^40: both exact in float64."""
    X, y = combined()
    X[:, 0] += 2.0**20
    X[:, 1] *= 2.0**40
    told(r"by columns 0 \(\+\), 1 \(\+\) and 2 \(-\) together", X, y)
    X, y = overlapping()
    assert LogisticRegression(C=np.inf).fit(X + 2.0**20, y).converged_


def test_duplicates_and_constants():
    X, y = combined()
    X = np.column_stack([X, X, np.ones(300), np.zeros(300), X[:, 3] + X[:, 4]])
    told("of 600 rows .* by columns .* together", np.vstack([X, X]), np.r_[y, y])
    X, y = overlapping()
    X = np.column_stack([X, X, np.ones(300), np.zeros(300), X @ [1.0, 2.0]])
    assert LogisticRegression(C=np.inf).fit(X, y).converged_


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_overlapping_pair(solver):
    """A thousand rows, all but two on their side, and margins up to hundreds: an optimum."""
    X = np.linspace(-1.0, 1.0, 1000)[:, None]
    y = (X[:, 0] > 0.0).astype(float)
    y[499], y[500] = 1.0, 0.0
    X = np.column_stack([X, np.cos(np.arange(1000.0))])
    model = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    assert model.converged_
    assert np.abs(model.decision_function(X)).max() > 100.0


def test_penalized_columns_do_not_count():
    X, y = dummy()
    theta = np.array([0.0, 5.0, 1.0])
    assert fitted(X, y).alone == {0: 1}
    assert find_separation(X, y, theta, grows=np.array([[False, True]] * 2)) is None
    found = find_separation(X, y, theta, grows=np.array([[True, False]] * 2))
    assert found.alone == {0: 1} and found.columns().tolist() == [0]


def test_columns_that_may_grow_to_one_side_alone():
    X, y = dummy()
    theta = np.array([0.0, 5.0, 1.0])
    down, up = np.array([[True, True], [False, True]]), np.array([[False, True], [True, True]])
    assert find_separation(X, y, theta, grows=down) is None
    assert find_separation(X, y, theta, grows=up).alone == {0: 1}


def test_too_many_columns_for_a_hessian(monkeypatch):
    """Conjugate gradients certify then; what they can't, linear programs decide."""
    monkeypatch.setattr(separation, "_HESSIAN", 2)
    for seed in range(60):
        X, y, weights, intercept = random_table(seed)
        rows = oracle(X, y, weights > 0.0, intercept)
        found = fitted(X, y, weights, intercept)
        assert_array_equal(np.zeros(len(y), bool) if found is None else found.rows, rows, f"{seed}")


def test_what_is_given_up(monkeypatch):
    """What can't be decided is told, and what was found by then."""
    monkeypatch.setattr(separation, "_VALUES", 0)
    X, y = combined()
    told("separation is suspected, .* may be no optimum, but could not be decided; give C", X, y)
    level = np.arange(300) >= 280
    y[level] = 1.0
    told(r"at least 20 of 300 rows .* by column 5 \(", np.column_stack([X, level]), y)


def test_a_fit_that_ended_early():
    """Without the optimum, too, overlapping rows are known to have one."""
    X, y = overlapping(2000, 5)
    assert find_separation(X, y, np.zeros(6)) is None
    X, y = combined(2000)
    assert find_separation(X, y, np.zeros(6)).together[0][3:].tolist() == [0.0, 0.0]


def random_table(seed):
    """Return small integers of many kinds, with weights, and whether there is an intercept."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(6, 60)), int(rng.integers(1, 6))
    high = int(rng.choice([2, 3, 8]))
    X = rng.integers(-high + 1 if rng.random() < 0.5 else 0, high, (n, d)).astype(float)
    if rng.random() < 0.3:
        X[:, -1] = X[:, 0] - 2.0 * X[:, d // 2]
    w = rng.integers(-2, 3, d)
    u = X @ w - (0 if rng.random() < 0.5 else int(rng.integers(-2, 3)))
    coin = rng.random(n) < 0.5
    y = np.where(u > 0, 1.0, np.where(u < 0, 0.0, coin))
    flips = rng.random(n) < rng.choice([0.0, 0.0, 0.02, 0.1])
    y = np.where(flips, 1.0 - y, y)
    weights = np.ones(n)
    if rng.random() < 0.4:
        weights = rng.choice([0.0, 1.0, 1e-6, 3.0], n)
    for label in (0.0, 1.0):
        own = rng.integers(0, n)
        if not (weights[y == label] > 0.0).any():
            y[own], weights[own] = label, 1.0
    weights[0] = 1.0
    if not (y[weights > 0.0] != y[0]).any():
        y[1], weights[1] = 1.0 - y[0], 1.0
    return X, y, weights, bool(rng.random() < 0.7)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_tables(first):
    """Each row as one linear program on all of them says, for one solver each."""
    for seed in range(first, first + 50):
        X, y, weights, intercept = random_table(seed)
        rows = oracle(X, y, weights > 0.0, intercept)
        stored = FORMS[list(FORMS)[seed % 5]](X)
        found = fitted(stored, y, weights, intercept)
        assert_array_equal(np.zeros(len(y), bool) if found is None else found.rows, rows, f"{seed}")
        if found is not None:
            assert found.decided
            assert found.complete == bool(rows[weights > 0.0].all())
        model = LogisticRegression(C=np.inf, fit_intercept=intercept, solver=SOLVERS[seed // 5 % 4])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(stored, y, sample_weight=weights)
        said = [str(w.message) for w in caught]
        assert bool(said) == bool(rows.any()), (seed, said)
        assert model.converged_ == (not rows.any()), seed
        if said:
            assert re.search("can be separated", said[0]), seed


def pairs(A, y, weights, K):
    """Return the rows, each row of X with each other class, whose margins must not fall."""
    rows = []
    for i in np.flatnonzero(weights > 0.0):
        for k in set(range(K)) - {int(y[i])}:
            row = np.zeros((K, A.shape[1]))
            row[int(y[i])] += A[i]
            row[k] -= A[i]
            rows.append(row.reshape(-1))
    return np.array(rows)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_tables_of_classes(first):
    """Wherever the fit stands: by one linear program on all pairs of rows and classes."""
    told = set()
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        K, n, d = (int(rng.integers(*at)) for at in ((3, 5), (8, 60), (1, 4)))
        X = np.column_stack(
            [rng.normal(size=(n, d)).round(1), np.eye(3)[rng.integers(0, 3, n)]][: 1 + seed % 2]
        )
        B = rng.normal(size=(X.shape[1], K)) * rng.choice([0.3, 2.0, 6.0])
        y = (X @ B + rng.gumbel(size=(n, K))).argmax(axis=1).astype(float)
        y[:K] = np.arange(K)
        weights = rng.poisson(1.5, n).astype(float)
        weights[:K] += 1.0
        M = pairs(np.column_stack([np.ones(n), X]), y, weights, K)
        best = linprog(
            -M.sum(axis=0),
            A_ub=np.vstack([-M, M]),
            b_ub=np.r_[np.zeros(len(M)), np.ones(len(M))],
            bounds=[(-1e3, 1e3)] * M.shape[1],
        )
        rows = Rows(X, y, weights, None, np.arange(K))
        fit = LogisticRegression(C=1e8).fit(X, y, weights)
        theta = np.column_stack([fit.intercept_, fit.coef_])
        for at in (theta, rng.normal(size=theta.shape)):
            found = find_class_separation(rows, at)
            assert (found is not None) == (-best.fun > 1e-4)
        told.add(found is not None)
    assert told == {True, False}


def test_breast_cancer_and_iris():
    """Known of these tables: a plane separates all but versicolor from virginica."""
    X, y = load_breast_cancer(return_X_y=True)
    told("the classes can be separated by columns .* together", X, y)
    X, y = load_iris(return_X_y=True)
    told(r"the classes can be separated by columns 2 \(to \+infinity\) and 3", X[y < 2], y[y < 2])
    assert LogisticRegression(C=np.inf).fit(X[y > 0], y[y > 0]).converged_


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("case", ["a level", "one row", "two columns", "a level of both", "none"])
def test_many_rows_are_asked_by_newtons_step(case, order):
    rng = np.random.default_rng(11)
    n = 150_000
    X = rng.standard_normal((n, 7))
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-2.0 * X[:, 0]))).astype(int)
    few = rng.choice(np.flatnonzero(y == 1), 4, replace=False)
    if case in ("a level", "one row", "a level of both"):
        X[:, 6] = 0.0
        X[few[:1] if case == "one row" else few, 6] = 1e-3
    if case == "a level of both":
        X[np.flatnonzero(y == 0)[5], 6] = 1e-3
    if case == "two columns":
        X[:, 5] = rng.integers(0, 3, n)
        X[:, 6] = X[:, 5]
        X[few, 6] -= 1.0
    model = LogisticRegression(C=np.inf, tol=1e-2)
    if case in ("none", "a level of both"):
        assert model.fit(np.asarray(X, order=order), y).converged_
        return
    with pytest.warns(ConvergenceWarning, match="can be separated by column"):
        model.fit(np.asarray(X, order=order), y)
    assert not model.converged_
