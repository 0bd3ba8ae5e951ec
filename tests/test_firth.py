"""LogisticRegression(firth=True): published figures, a direct minimization, what is refused.

The same likelihood behind formulas is tested in ``tests/statistics/test_firth.py``.
"""

import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

import fastlogreg as flr
from fastlogreg import LogisticRegression

DATA = Path(__file__).parent / "data"
# printed by R's logistf 1.24 for its own tables: the intercept first
PUBLISHED = {
    "sex2": (
        "case",
        [0.12025405, -1.10598131, -0.06881673, 2.26887464, -2.11140817, -0.78831694, 3.09601166],
    ),
    "endometrial": ("HG", [3.77455951, 2.92927330, -0.03475175, -2.60416387]),
}


def rows(name):
    data = pd.read_csv(DATA / f"{name}.csv")
    return data.drop(columns=PUBLISHED[name][0]), data[PUBLISHED[name][0]].to_numpy()


def firth(**options):
    return LogisticRegression(C=np.inf, firth=True, **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_are_as_logistf_has_them(name):
    (X, y), published = rows(name), PUBLISHED[name][1]
    model = firth(tol=1e-14).fit(X, y)
    assert model.converged_
    assert_allclose(np.r_[model.intercept_, model.coef_[0]], published, rtol=1e-5)
    z = np.column_stack([np.ones(len(X)), X]) @ published
    assert_allclose(model.predict_proba(X)[:, 1], expit(z), rtol=1e-5)
    by_csr = firth(tol=1e-14).fit(sparse.csr_array(X.to_numpy(dtype=float)), y)
    assert_allclose(by_csr.coef_, model.coef_, rtol=1e-9)
    # scales of columns don't matter, and say nothing of the distance
    scaled = firth().fit(X * 1e6, y)
    assert scaled.objective_ == pytest.approx(model.objective_, abs=1e-8)
    assert_allclose(scaled.history_["decrement"], firth().fit(X, y).history_["decrement"], rtol=0.1)


def test_it_is_the_minimum_with_weights_and_offset():
    rng = np.random.default_rng(0)
    n = 60
    X, w, offset = rng.standard_normal((n, 2)), rng.integers(0, 4, n), rng.standard_normal(n)
    y = (X[:, 0] + offset + rng.logistic(size=n) > 0).astype(int)

    def objective(theta, A):
        z = A @ theta + offset
        p = expit(z)
        information, most = ((A * (w * h)[:, None]).T @ A for h in (p * (1 - p), 0.25))
        logs = [np.linalg.slogdet(m)[1] for m in (most, information)]
        return (w @ (np.logaddexp(0, z) - y * z) + 0.5 * (logs[0] - logs[1])) / w.sum()

    for intercept in (True, False):
        A = np.column_stack([np.ones(n), X]) if intercept else X
        best = optimize.minimize(objective, np.zeros(A.shape[1]), (A,), "BFGS", tol=1e-10)
        model = firth(tol=1e-12, fit_intercept=intercept).fit(X, y, w, offset=offset)
        found = np.r_[model.intercept_, model.coef_[0]] if intercept else model.coef_[0]
        assert_allclose(found, best.x, atol=1e-5)
        assert model.objective_ == pytest.approx(best.fun, abs=1e-9)
        assert model.gradient_norm_ < 1e-6
        for tol in (1e-3, 1e-6):  # the distance is what it says
            near = firth(tol=tol, fit_intercept=intercept).fit(X, y, w, offset=offset)
            above = near.objective_ - model.objective_
            assert near.converged_ and above <= tol * near.objective_


def decrement(A, y, theta):
    """Return half the slope along the step by the information, by QR of the weighted rows."""
    p = expit(A @ theta)
    Q, R = np.linalg.qr(A * np.sqrt(p * (1 - p))[:, None])
    h = np.square(Q).sum(axis=1)
    score = np.linalg.solve(R.T, A.T @ (y - p + h * (0.5 - p)))
    return 0.5 * score @ score


def test_it_converges_on_hard_tables():
    """Few rows, high leverages, rare levels, separated classes: where plain scoring goes on."""
    rng = np.random.default_rng(7)
    fitted = 0
    for number in range(60):
        n, d = int(rng.integers(8, 120)), int(rng.integers(1, 12))
        X = rng.normal(size=(n, d))
        kinds = rng.integers(0, 4, d)
        X[:, kinds == 0] = rng.random((n, (kinds == 0).sum())) < 0.1
        X[:, kinds == 1] = np.exp(2 * X[:, kinds == 1])
        X[:, kinds == 2] *= 1e6
        y = (X[:, 0] > np.median(X[:, 0])) if number % 2 else rng.random(n) < 0.3
        A = np.column_stack([np.ones(n), X])
        if y.all() or not y.any() or np.linalg.matrix_rank(A / (1 + np.abs(A).max(axis=0))) <= d:
            continue
        model = firth().fit(X, y.astype(int))
        theta = np.r_[model.intercept_, model.coef_[0]]
        assert model.converged_ and model.n_iter_[0] < 60
        assert decrement(A, y, theta) <= 1e-8 * model.objective_ * n
        fitted += 1
    assert fitted > 30


def test_columns_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (X[:, 0] + rng.logistic(size=300) > 0).astype(int)
    near, far = (firth(tol=1e-12).fit(X + shift, y) for shift in (0.0, [1e8, 0.0]))
    assert_allclose(far.coef_, near.coef_, rtol=1e-6)
    assert far.objective_ == pytest.approx(near.objective_, rel=1e-8)


def test_it_lives_as_other_models_do():
    X, y = rows("sex2")
    model = firth().fit(X, y)
    assert clone(model).firth is True
    file = io.BytesIO()
    flr.save(model, file)
    file.seek(0)
    for again in (flr.load(file), pickle.loads(pickle.dumps(model))):
        assert again.firth is True
        assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    narrow = firth().fit(X.to_numpy(dtype=np.float32), y)
    assert narrow.coef_.dtype == np.float32
    assert_allclose(narrow.coef_, model.coef_, rtol=1e-5)
    warm = firth(warm_start=True).fit(X, y)
    assert warm.fit(X, y).n_iter_[0] <= 1
    with pytest.warns(ConvergenceWarning, match="max_iter reached"):
        assert not firth(max_iter=1).fit(X, y).converged_
    # inference knows it: p-values of logistf
    results = flr.inference(model, X, y)
    expected = [8.020268e-01, 6.143472e-03, 8.751911e-01, 1.678877e-06, 1.237805e-05, 5.449701e-02]
    assert_allclose(results.pvalues[:6], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="not at the maximum"):
        flr.inference(model, X, 1 - y)
    with pytest.raises(ValueError, match="'HC1' is not offered"):
        flr.inference(model, X, y, cov_type="HC1")


def test_columns_that_depend_on_others_change_nothing():
    X, y = rows("endometrial")
    model = firth(tol=1e-12).fit(X, y)
    for more in ({"again": 2 * X["PI"] + 1}, {"nothing": 0.0}, {"one": 5.0}):
        other = firth(tol=1e-12).fit(X.assign(**more), y)
        assert other.objective_ == pytest.approx(model.objective_, abs=1e-10)
        assert_allclose(other.predict_proba(X.assign(**more)), model.predict_proba(X), rtol=1e-5)
    few = firth().fit(X[::20], y[::20])  # no more rows than parameters
    assert few.converged_ and np.isfinite(few.coef_).all()


def test_scikit_learns_checks():
    check_estimator(firth(), on_skip=None)


def test_what_is_refused(tmp_path):
    X, y = rows("endometrial")
    model = firth().fit(X, y)
    before = dict(vars(model))
    path = tmp_path / "rows.csv"
    pd.concat([X.assign(HG=y)] * 500).to_csv(path, index=False)
    opened = flr.open_rows(path, target="HG", memory_limit=1 << 20)
    for parameters, given, message in (
        ({"C": 1.0}, (X, y), r"set C=np\.inf beside it, got C=1"),
        ({"lower_bounds": 0.0}, (X, y), "not offered with lower_bounds"),
        ({"firth": "yes"}, (X, y), "firth must be"),
        ({}, (X, np.arange(len(y)) % 3), "firth=True is for two classes"),
        ({}, (X.assign(PI=X["PI"] * 1e200), y), "too large for float64"),
        ({}, (X.assign(NV=np.nan), y), "contains NaN"),
        ({}, (sparse.csr_array((4, 7000)), [0, 1, 0, 1]), "X has 7,000"),
        ({}, (opened,), r"all rows must be in memory.*without firth"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            clone(model).set_params(**parameters).fit(*given)
    with pytest.raises(ValueError, match="two classes"):
        model.fit(X, np.arange(len(y)) % 3)
    assert vars(model) == before
