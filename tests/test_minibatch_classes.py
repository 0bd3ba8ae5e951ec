"""The mini-batch estimator with more than two classes: softmax, and what belongs to it."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from fastlogreg import LogisticRegression, MiniBatchLogisticRegression

LABELS = np.array(["ash", "beech", "cedar", "fir"])
K = LABELS.size


def make(n=4000, d=6, *, scales=(1.0, 1.0), empty=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + np.linspace(0.0, 1.0, d)
    X[rng.random(X.shape) < empty] = 0.0
    z = X @ rng.normal(size=(d, K))
    y = (z + rng.gumbel(size=(n, K))).argmax(axis=1)
    return X * np.geomspace(*scales, d), LABELS[y], rng


def objective(theta, X, y, alpha, weight=None, offset=0.0):
    """Return the value and gradient of what is minimized, by NumPy; theta is (K, 1 + d)."""
    theta = theta.reshape(K, -1)
    s = np.ones(len(y)) if weight is None else weight
    codes = np.searchsorted(LABELS, y)
    z = X @ theta[:, 1:].T + theta[:, 0] + offset
    log_sums = logsumexp(z, axis=1, keepdims=True)
    value = s @ (log_sums[:, 0] - z[np.arange(len(y)), codes]) / len(y)
    r = (np.exp(z - log_sums) - np.eye(K)[codes]) * s[:, None] / len(y)
    gradient = np.column_stack([r.sum(axis=0), r.T @ X])
    gradient[:, 1:] += alpha * theta[:, 1:]
    return value + 0.5 * alpha * (theta[:, 1:] ** 2).sum(), gradient.ravel()


def optimum(X, y, alpha, weight=None, offset=0.0):
    found = minimize(
        objective,
        np.zeros(K * (1 + X.shape[1])),
        (X, y, alpha, weight, offset),
        "L-BFGS-B",
        jac=True,
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 30},
    )
    return found.fun


def above(model, X, y, alpha, weight=None, offset=0.0):
    """Return how far the model is above the optimum, relatively."""
    theta = np.column_stack([model.intercept_, model.coef_])
    best = optimum(X, y, alpha, weight, offset)
    return (objective(theta, X, y, alpha, weight, offset)[0] - best) / best


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_near_the_optimum_in_three_epochs(optimizer):
    X, y, _ = make(20_000)
    Z = X * np.geomspace(1e-4, 1e4, X.shape[1])
    few = {"optimizer": optimizer, "max_iter": 3, "tol": None, "random_state": 0, "alpha": 0.0}
    model = MiniBatchLogisticRegression(**few).fit(X, y)
    assert above(model, X, y, 0.0) < 1e-3
    scaled = MiniBatchLogisticRegression(**few).fit(Z, y)
    assert_allclose(scaled.predict_proba(Z), model.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, csr_array])
@pytest.mark.parametrize("with_rows", [False, True], ids=["plain", "weights and offset"])
def test_a_fit_that_ends_by_itself_is_at_the_optimum(form, with_rows):
    X, y, rng = make(empty=0.3)
    weight, offset = None, 0.0
    rows = {}
    if with_rows:
        weight, offset = rng.exponential(size=len(y)), rng.normal(size=(len(y), K))
        rows = {"sample_weight": weight, "offset": offset}
    model = MiniBatchLogisticRegression(alpha=0.01, random_state=0, tol=1e-5)
    model.fit(form(X), y, **rows)
    assert model.coef_.shape == (K, X.shape[1])
    assert model.intercept_.shape == (K,)
    assert_array_equal(model.classes_, LABELS)
    assert above(model, X, y, 0.01, weight, offset) <= 1e-5
    assert_allclose(model.coef_.sum(axis=0), 0.0, atol=1e-12)
    assert_allclose(model.intercept_.sum(), 0.0, atol=1e-12)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_an_l1_penalty_ends_at_the_optimum_too(l1_ratio):
    """Steps far too short plateau at once; the rest of the way is the exact solver's."""
    X, y, _ = make(500)
    kind = {"random_state": 0, "eta0": 1e-4}
    model = MiniBatchLogisticRegression(alpha=0.1, l1_ratio=l1_ratio, **kind).fit(X, y)
    exact = LogisticRegression(C=1 / (0.1 * 500), l1_ratio=l1_ratio).fit(X, y)
    theta = np.column_stack([model.intercept_, model.coef_])
    w = model.coef_
    penalty = 0.1 * (l1_ratio * abs(w).sum() + 0.5 * (1 - l1_ratio) * (w**2).sum())
    value = objective(theta, X, y, 0.0)[0] + penalty
    assert exact.converged_
    assert value <= 1.001 * exact.objective_


def test_pieces_in_order_are_an_epoch():
    X, y, _ = make(1000)
    kind = {"shuffle": False, "batch_size": 50, "random_state": 0, "max_iter": 1, "tol": None}
    whole = MiniBatchLogisticRegression(standardize=False, eta0=0.1, **kind).fit(X, y)
    pieces = MiniBatchLogisticRegression(standardize=False, eta0=0.1, **kind)
    for first in range(0, 1000, 250):
        piece = slice(first, first + 250)
        pieces.partial_fit(X[piece], y[piece], classes=LABELS)
        pieces = pickle.loads(pickle.dumps(pieces))
    assert_array_equal(pieces.coef_, whole.coef_)
    assert_array_equal(pieces.intercept_, whole.intercept_)
    assert pieces.t_ == whole.t_ == 20


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_pieces_may_lack_classes_and_coefficients_may_be_set(form):
    X, y, _ = make(1200)
    model = MiniBatchLogisticRegression(random_state=0, batch_size=32)
    for label in LABELS[:2]:
        model.partial_fit(form(X[y == label]), y[y == label], classes=LABELS)
    for _ in range(30):
        model.partial_fit(form(X), y)
    assert above(model, X, y, 1e-4) < 0.01
    model.coef_ = np.zeros_like(model.coef_)
    model.intercept_ = np.zeros_like(model.intercept_)
    assert np.abs(model.partial_fit(form(X[:32]), y[:32]).coef_).max() < 1.0
    with pytest.raises(ValueError, match="which is none of the classes"):
        model.partial_fit(form(X[:1]), ["oak"])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(form(X), y, classes=LABELS[:3])


def test_a_piece_that_fails_leaves_the_model():
    X, y, _ = make(300)
    model = MiniBatchLogisticRegression(random_state=0).partial_fit(X, y, classes=LABELS)
    before = model.coef_.copy()
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(np.full((40, X.shape[1]), 1e300), y[:40])
    assert_array_equal(model.coef_, before)


def test_early_stopping_keeps_the_share_of_each_class():
    X, y, _ = make()
    model = MiniBatchLogisticRegression(early_stopping=True, random_state=0).fit(X, y)
    exact = LogisticRegression().fit(X, y)
    assert max(model.validation_scores_) > exact.score(X, y) - 0.05
    assert len(model.validation_scores_) == model.n_iter_


def test_warm_start_and_class_weight():
    X, y, _ = make()
    weights = {label: 1.0 + k for k, label in enumerate(LABELS)}
    by_class = MiniBatchLogisticRegression(class_weight=weights, random_state=0, alpha=0.01)
    by_class.fit(X, y)
    by_row = MiniBatchLogisticRegression(random_state=0, alpha=0.01)
    by_row.fit(X, y, np.array([weights[label] for label in y]))
    assert_array_equal(by_class.coef_, by_row.coef_)
    again = MiniBatchLogisticRegression(warm_start=True, random_state=0, alpha=0.01).fit(X, y)
    assert above(again.fit(X, y), X, y, 0.01) < 1e-3
    with pytest.raises(ValueError, match="where the classes of y ask for 3"):
        again.fit(X[y != "fir"], y[y != "fir"])


def test_float32():
    X, y, _ = make()
    X = X.astype(np.float32)
    model = MiniBatchLogisticRegression(random_state=0).fit(X, y)
    other = MiniBatchLogisticRegression(random_state=0).fit(X.astype(float), y)
    assert model.coef_.dtype == np.float32
    assert model.intercept_.dtype == np.float64
    assert_array_equal(model.coef_, other.coef_.astype(np.float32))


def test_l1_sets_coefficients_to_zero():
    X, y, _ = make()
    X = np.column_stack([X, np.random.default_rng(1).normal(size=(len(y), 4))])
    model = MiniBatchLogisticRegression(
        l1_ratio=1.0, alpha=0.03, batch_size=None, max_iter=300, tol=None, average=False
    ).fit(X, y)
    assert (model.coef_[:, -4:] == 0.0).all()
    assert (model.coef_[:, :-4] != 0.0).any(axis=0).all()


@pytest.mark.parametrize("kind", [{"activation": "tanh"}, {"loss": "mse"}])
def test_other_losses_are_for_two_classes(kind):
    X, y, _ = make(100)
    with pytest.raises(ValueError, match="is for two classes and y has 4"):
        MiniBatchLogisticRegression(**kind).fit(X, y)
    with pytest.raises(ValueError, match="is for two classes and y has 4"):
        MiniBatchLogisticRegression(**kind).partial_fit(X, y, classes=LABELS)


def test_same_bits_for_any_number_of_threads():
    X, y, _ = make(60_000)
    kind = {"random_state": 0, "batch_size": 4096, "max_iter": 3, "tol": None}
    one, two, many = (MiniBatchLogisticRegression(n_threads=n, **kind).fit(X, y) for n in (1, 2, 8))
    assert_array_equal(one.coef_, two.coef_)
    assert_array_equal(one.coef_, many.coef_)
