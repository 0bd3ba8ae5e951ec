"""The mini-batch estimator: scikit-learn's contract, streams, odd data, runs that diverge."""

import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastlogreg as flr
from fastlogreg import MiniBatchLogisticRegression
from tests.store_model import DATA
from tests.test_lecture import THETA, X, Y, by_hand

# one sample of weight 2 is one place in one batch, the same sample twice is two: as for
# SGDClassifier, whose checks scikit-learn excuses in the same words
NOT_EQUIVALENT = {
    "check_sample_weight_equivalence_on_dense_data": "a weight is not a repetition: other batches",
    "check_sample_weight_equivalence_on_sparse_data": "a weight is not a repetition: other batches",
}


@parametrize_with_checks(
    [
        MiniBatchLogisticRegression(),
        MiniBatchLogisticRegression(batch_size=1, optimizer="sgd", learning_rate="adaptive"),
        MiniBatchLogisticRegression(batch_size=None, optimizer="adam", average=False),
        MiniBatchLogisticRegression(loss="mse", activation="tanh", l1_ratio=0.5, warm_start=True),
    ],
    expected_failed_checks=lambda estimator: NOT_EQUIVALENT,
)
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def data():
    return make_classification(2000, 6, n_informative=4, n_redundant=0, random_state=3)


def objective(model, X, y):
    """Return the mean loss and the penalty of a fitted model."""
    theta = np.concatenate([model.intercept_, model.coef_[0]])
    kind = {"loss": model.loss, "activation": model.activation}
    w = model.coef_[0]
    penalty = model.l1_ratio * abs(w).sum() + (1 - model.l1_ratio) / 2 * w @ w
    return flr.loss(X, y, theta, **kind) + model.alpha * penalty


def optimum(X, y, alpha):
    exact = flr.LogisticRegression(C=1 / (alpha * len(y)), tol=1e-12).fit(X, y)
    w = exact.coef_[0]
    return flr.loss(X, y, np.concatenate([exact.intercept_, w])) + alpha / 2 * w @ w


class TestLecture:
    """The three demos on the four petals, equal to the lecture's NumPy code step by step."""

    @pytest.mark.parametrize("batch_size", [1, 2, None], ids=["stochastic", "mini-batch", "batch"])
    def test_demos(self, batch_size):
        plain = MiniBatchLogisticRegression(
            alpha=0.0,
            batch_size=batch_size,
            optimizer="sgd",
            eta0=0.1,
            standardize=False,
            shuffle=False,
            average=False,
            tol=None,
            warm_start=True,
            max_iter=1,
        )
        model = clone(plain)
        model.coef_, model.intercept_ = THETA[None, 1:].copy(), THETA[:1].copy()
        for n_epochs in range(1, 21):
            model.fit(X, Y)
            theta, losses = by_hand(batch_size or len(X), 0.1, n_epochs)
            assert_allclose(model.intercept_, theta[:1], rtol=1e-12)
            assert_allclose(model.coef_[0], theta[1:], rtol=1e-12)
            updates = len(X) // (batch_size or len(X))
            assert_allclose(model.loss_curve_, [np.mean(losses[-updates:])], rtol=1e-12)
            assert model.t_ == updates


class TestOptimum:
    """A batch of all rows comes to the exact optimum, whatever moves it there."""

    @pytest.mark.parametrize(
        ("optimizer", "eta0"),
        [("sgd", 2.0), ("momentum", 0.2), ("nesterov", 0.2), ("adagrad", 0.5)],
    )
    @pytest.mark.parametrize("standardize", [True, False])
    def test_l2(self, data, optimizer, eta0, standardize):
        X, y = data
        model = MiniBatchLogisticRegression(
            alpha=0.05,
            batch_size=None,
            optimizer=optimizer,
            eta0=eta0 if standardize else eta0 / 10,
            standardize=standardize,
            average=False,
            tol=None,
            max_iter=3000,
        ).fit(X, y)
        best = optimum(X, y, 0.05)
        assert objective(model, X, y) - best <= 1e-9 * best

    @pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
    def test_l1_and_elastic_net(self, data, l1_ratio):
        X, y = data
        alpha = 0.05
        model = MiniBatchLogisticRegression(
            alpha=alpha, l1_ratio=l1_ratio, batch_size=None, average=False, tol=None, max_iter=4000
        ).fit(X, y)
        exact = Reference(
            C=1 / (alpha * len(y)), l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=100_000
        ).fit(X, y)
        assert_allclose(model.coef_, exact.coef_, atol=1e-5)
        assert_array_equal(model.coef_ == 0, exact.coef_ == 0)
        assert (model.coef_ == 0).any()

    def test_mse_and_tanh(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(
            loss="mse", activation="tanh", alpha=0.01, batch_size=None, tol=None, max_iter=2000
        ).fit(X, y)
        theta = np.concatenate([model.intercept_, model.coef_[0]])
        gradient = flr.loss_gradient(X, y, theta, loss="mse", activation="tanh")[1]
        gradient[1:] += 0.01 * theta[1:]
        assert_allclose(gradient, 0.0, atol=1e-5)
        assert_allclose(
            model.predict_proba(X)[:, 1], flr.predict_proba(X, theta, activation="tanh")
        )
        assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))


class TestHardData:
    """At the defaults, within 0.1 % of the optimum in a few epochs."""

    def make(self, scales=(1.0, 1.0), offsets=0.0, n=40_000, d=12):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, d))
        y = (rng.random(n) < 1 / (1 + np.exp(-X @ rng.standard_normal(d)))).astype(float)
        return (X + offsets) * np.geomspace(*scales, d), y

    def check(self, X, y, epochs=3, **kind):
        alpha = 1.0 / len(y)
        model = MiniBatchLogisticRegression(
            alpha=alpha, max_iter=epochs, tol=None, random_state=0, **kind
        ).fit(X, y)
        best = optimum(X, y, alpha)
        assert objective(model, X, y) - best <= 1e-3 * best
        return model

    @pytest.mark.parametrize("optimizer", ["adagrad", "adam", "sgd", "momentum", "nesterov"])
    def test_columns_of_scales_from_1e_minus_4_to_1e4(self, optimizer):
        epochs = 3 if optimizer in ("adagrad", "adam") else 8
        self.check(*self.make(scales=(1e-4, 1e4)), epochs, optimizer=optimizer)

    @pytest.mark.parametrize("batch_size", [1, 32, 4096])
    def test_any_size_of_batch(self, batch_size):
        X, y = self.make(scales=(1e-4, 1e4))
        self.check(X, y, epochs=3 if batch_size < 4096 else 8, batch_size=batch_size)

    def test_columns_far_from_0(self):
        self.check(*self.make(offsets=np.linspace(0, 500, 12)))

    @pytest.mark.parametrize("form", [np.asfortranarray, csr_array, np.float32])
    def test_other_forms(self, form):
        X, y = self.make(scales=(1e-2, 1e2))
        self.check(form(X), y)

    @pytest.mark.parametrize("shuffle", [True, "full"])
    @pytest.mark.parametrize("batch_size", [1, 256, 2048])
    def test_all_zeros_and_then_all_ones(self, shuffle, batch_size):
        X, y = self.make()
        order = np.argsort(y, kind="stable")
        X, y = np.ascontiguousarray(X[order]), y[order]
        assert (np.diff(y) >= 0).all()
        self.check(X, y, epochs=6, shuffle=shuffle, batch_size=batch_size)

    def test_constant_and_empty_columns_keep_0(self):
        X, y = self.make(n=5000)
        X[:, 3], X[:, 5] = 7.0, 0.0
        model = self.check(X, y, epochs=30)
        assert_array_equal(model.coef_[0, 5], 0.0)
        assert abs(model.coef_[0, 3]) < 1e-6


class TestPartialFit:
    @pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, csr_array])
    @pytest.mark.parametrize("optimizer", ["adagrad", "adam", "nesterov"])
    def test_pieces_equal_one_epoch_over_the_whole(self, data, optimizer, form):
        X, y = data
        weight = np.random.default_rng(0).random(len(y))
        kind = {"batch_size": 50, "optimizer": optimizer, "shuffle": False, "l1_ratio": 0.3}
        whole = MiniBatchLogisticRegression(max_iter=1, tol=None, **kind)
        whole.fit(form(X), y, sample_weight=weight)
        pieces = MiniBatchLogisticRegression(**kind)
        for lo, hi in ((0, 50), (50, 600), (600, 1950), (1950, 2000)):
            pieces.partial_fit(
                form(X[lo:hi]), y[lo:hi], classes=[0, 1], sample_weight=weight[lo:hi]
            )
        assert_array_equal(pieces.coef_, whole.coef_)
        assert_array_equal(pieces.intercept_, whole.intercept_)
        assert pieces.t_ == whole.t_ == 40
        assert pieces.n_iter_ == 4
        assert_allclose(pieces.loss_curve_[0], flr.loss(X[:50], y[:50], np.zeros(7)))

    def test_goes_on_where_a_pickle_was_made(self, data):
        X, y = data
        straight = MiniBatchLogisticRegression(random_state=1).partial_fit(X, y, classes=[0, 1])
        again = pickle.loads(pickle.dumps(straight))
        for model in (straight, again):
            model.partial_fit(X, y)
        assert_array_equal(straight.coef_, again.coef_)

    def test_a_piece_may_hold_one_class(self, data):
        X, y = data
        labels = np.where(y == 1, "yes", "no")
        model = MiniBatchLogisticRegression(random_state=0)
        for label in ("no", "yes", "no", "yes"):
            held = labels == label
            model.partial_fit(X[held], labels[held], classes=["yes", "no"])
        assert model.classes_.tolist() == ["no", "yes"]
        assert set(model.predict(X)) <= {"no", "yes"}

    def test_fit_and_then_partial_fit(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(random_state=0).fit(X, y)
        before, updates = model.coef_.copy(), model.t_
        model.partial_fit(X, y)
        assert (model.coef_ != before).any()
        assert model.t_ > updates

    def test_errors(self, data):
        X, y = data
        new = MiniBatchLogisticRegression
        with pytest.raises(ValueError, match="classes must be given at the first call"):
            new().partial_fit(X, y)
        with pytest.raises(ValueError, match=r"y has .*2.* at index 1, which is none of the"):
            new().partial_fit(X[:2], [0, 2], classes=[0, 1])
        with pytest.raises(ValueError, match="classes must be those of the first call"):
            new().partial_fit(X, y, classes=[0, 1]).partial_fit(X, y, classes=[0, 2])
        with pytest.raises(ValueError, match="early_stopping must be False with partial_fit"):
            new(early_stopping=True).partial_fit(X, y, classes=[0, 1])
        with pytest.raises(ValueError, match="class_weight='balanced' needs all labels"):
            new(class_weight="balanced").partial_fit(X, y, classes=[0, 1])
        with pytest.raises(ValueError, match="7 features"):
            new().partial_fit(X, y, classes=[0, 1]).partial_fit(np.c_[X, y], y)


class TestDivergence:
    def test_names_the_learning_rate_and_keeps_finite_coefficients(self, data):
        X, y = data
        plain = MiniBatchLogisticRegression(
            optimizer="sgd", eta0=1e200, standardize=False, average=False, alpha=0.0
        )
        with pytest.warns(ConvergenceWarning, match=r"diverged.*learning rate \(eta0=1e\+200\)"):
            model = plain.fit(X * 1e100, y)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
        with pytest.warns(ConvergenceWarning, match="or set standardize=True"):
            model.partial_fit(X * 1e100, y)
        assert np.isfinite(model.coef_).all()

    def test_a_loss_beyond_that_of_no_model_is_said(self, data):
        X, y = data
        with pytest.warns(ConvergenceWarning, match=r"more than twice that of coefficients of 0"):
            MiniBatchLogisticRegression(optimizer="sgd", eta0=500.0, average=False).fit(X, y)

    def test_max_iter(self, data):
        X, y = data
        with pytest.warns(ConvergenceWarning, match="raise max_iter or tol"):
            MiniBatchLogisticRegression(max_iter=3).fit(X, y)


class TestStopping:
    def test_stands_still(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(random_state=0, n_iter_no_change=3).fit(X, y)
        assert 3 < model.n_iter_ < 100
        assert len(model.loss_curve_) == model.n_iter_
        assert model.validation_scores_ is None
        tail = model.loss_curve_[-3:]
        assert min(tail) > min(model.loss_curve_[:-3]) - 3 * model.tol

    def test_early_stopping_keeps_the_best(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(early_stopping=True, random_state=0).fit(X, y)
        scores = model.validation_scores_
        assert len(scores) == model.n_iter_
        assert len(scores) - 1 - np.argmax(scores) >= model.n_iter_no_change - 1
        assert model.score(X, y) > 0.7
        with pytest.raises(ValueError, match=r"validation_fraction=1e-05 of the .* leaves none"):
            MiniBatchLogisticRegression(early_stopping=True, validation_fraction=1e-5).fit(X, y)

    def test_validation_rows_are_not_trained_on(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(early_stopping=True, random_state=0, batch_size=100)
        model.fit(X, y)
        assert model.t_ == 18 * model.n_iter_

    def test_adaptive(self, data, capsys):
        X, y = data
        model = MiniBatchLogisticRegression(
            optimizer="sgd", learning_rate="adaptive", n_iter_no_change=2, verbose=1
        ).fit(X, y)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["epoch", "loss", "validation", "rate", "seconds"]
        rates = [float(line.split()[2]) for line in lines[1:]]
        assert len(rates) == model.n_iter_
        assert rates[0] == 2.0
        assert rates[-1] <= 5e-6
        ratios = np.array(rates[1:]) / rates[:-1]
        assert_allclose(ratios[ratios != 1.0], 0.2, rtol=0.01)


class TestEstimator:
    def test_same_seed_same_bits_for_any_number_of_threads(self, data):
        X, y = data
        X, y = np.tile(X, (10, 3)), np.tile(y, 10)
        kind = {"batch_size": 1024, "max_iter": 3, "tol": None}
        fits = [
            MiniBatchLogisticRegression(random_state=5, n_threads=t, **kind).fit(X, y)
            for t in (1, 2, 8)
        ]
        for model in fits[1:]:
            assert_array_equal(model.coef_, fits[0].coef_)
            assert_array_equal(model.intercept_, fits[0].intercept_)
        other = MiniBatchLogisticRegression(random_state=6, **kind).fit(X, y)
        assert (other.coef_ != fits[0].coef_).any()

    def test_weights(self, data):
        X, y = data
        kind = {"batch_size": None, "tol": None, "max_iter": 500, "average": False}
        balanced = MiniBatchLogisticRegression(class_weight="balanced", **kind)
        skewed = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:300]])
        X, y = X[skewed], y[skewed]
        balanced.fit(X, y)
        weight = np.where(y == 1, len(y) / 600, len(y) / (2 * (len(y) - 300)))
        by_hand = MiniBatchLogisticRegression(**kind).fit(X, y, sample_weight=weight)
        assert_allclose(balanced.coef_, by_hand.coef_, rtol=1e-9)
        zero = MiniBatchLogisticRegression(standardize=False, **kind)
        weight = np.ones(len(y))
        weight[::3] = 0.0
        a = clone(zero).fit(X, y, sample_weight=weight)
        theta = np.concatenate([a.intercept_, a.coef_[0]])
        gradient = flr.loss_gradient(X[weight > 0], y[weight > 0], theta)[1]
        gradient[1:] += a.alpha * a.coef_[0] / weight.mean()
        assert_allclose(gradient, 0.0, atol=1e-6)

    def test_offset_is_part_of_the_margin(self, data):
        X, y = data
        known = X @ np.linspace(-1, 1, 6)
        kind = {"alpha": 0.0, "batch_size": None, "tol": None, "max_iter": 2000, "average": False}
        plain = MiniBatchLogisticRegression(**kind).fit(X, y)
        shifted = MiniBatchLogisticRegression(**kind).fit(X, y, offset=known)
        assert_allclose(shifted.coef_[0] + np.linspace(-1, 1, 6), plain.coef_[0], atol=1e-4)

    def test_warm_start(self, data):
        X, y = data
        model = MiniBatchLogisticRegression(warm_start=True, max_iter=1, tol=None).fit(X, y)
        first = model.loss_curve_
        assert model.fit(X, y).loss_curve_[0] < first[0]

    def test_average(self, data):
        X, y = data
        kind = {"shuffle": False, "max_iter": 1, "tol": None, "batch_size": 100}
        last = MiniBatchLogisticRegression(average=False, **kind).fit(X, y)
        late = MiniBatchLogisticRegression(average=1900, **kind).fit(X, y)
        assert_array_equal(late.coef_, last.coef_)  # of the last update alone
        assert (MiniBatchLogisticRegression(**kind).fit(X, y).coef_ != last.coef_).any()

    def test_is_not_copied(self, data, tmp_path, monkeypatch):
        """A memory-mapped X reaches the kernels as it is, by fit and by partial_fit."""
        from fastlogreg.backends.numba.minibatch import epochs

        X, y = data
        path = tmp_path / "X.bin"
        X.tofile(path)
        mapped = np.memmap(path, dtype=float, mode="r", shape=X.shape)
        seen = []
        prepared = epochs.prepared
        monkeypatch.setattr(
            epochs, "prepared", lambda X, *rest: (seen.append(X), prepared(X, *rest))[1]
        )
        targets = y.astype(float)
        model = MiniBatchLogisticRegression(random_state=0).fit(mapped, targets)
        plain = MiniBatchLogisticRegression(random_state=0).fit(X, y)
        assert_array_equal(model.coef_, plain.coef_)
        assert np.shares_memory(seen[0], mapped)
        model.partial_fit(mapped, targets)
        assert np.shares_memory(seen[-1], mapped)

    @pytest.mark.parametrize("number", [2, 3, 4, 5])
    def test_models_of_former_releases(self, number):
        """Written by ``python -m tests.store_model`` when that was the format of states."""
        stored = pickle.loads((DATA / f"minibatch_format_{number}.pickle").read_bytes())
        X, y = stored["X"], stored["y"]
        for name, model, before, after in stored["streams"]:
            form = csr_array if name == "csr" else np.asarray
            model = pickle.loads(model)
            assert_array_equal(model.coef_, before[0])
            assert_array_equal(model._trained()[1:], before[0][0])
            model = pickle.loads(pickle.dumps(model)).partial_fit(form(X[200:]), y[200:])
            assert_allclose(model.coef_, after[0], rtol=1e-12)
            assert_allclose(model.intercept_, after[1], rtol=1e-12)
        model = pickle.loads(stored["fitted"])
        assert_allclose(model.predict_proba(X[:8]), stored["probabilities"], rtol=1e-12)
        assert model.partial_fit(X, y).t_ > 19

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as POSIX has them")
    @pytest.mark.usefixtures("ctrl_c_is_heard")
    @pytest.mark.parametrize("batch_size", [1, 256, None])
    def test_ctrl_c_ends_a_long_fit(self, data, batch_size):
        X, y = data
        X, y = np.tile(X, (20, 3)), np.tile(y, 20)
        endless = MiniBatchLogisticRegression(batch_size=batch_size, max_iter=10**9, tol=None)
        # compiled: Python also drops what is raised in the weak references of a compiler
        MiniBatchLogisticRegression(batch_size=batch_size, max_iter=1, tol=None).fit(X, y)
        sent = []

        def interrupt():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        again = threading.Timer(20.0, interrupt)  # a lost one fails the test; it hangs nothing
        threading.Timer(0.3, interrupt).start()
        again.start()
        with pytest.raises(KeyboardInterrupt):
            endless.fit(X, y)
        again.cancel()
        assert len(sent) == 1
        assert MiniBatchLogisticRegression(max_iter=2, tol=None).fit(X, y).t_ == 2 * 157

    def test_pipeline_and_pickle(self):
        X, y = load_breast_cancer(return_X_y=True)
        model = make_pipeline(StandardScaler(), MiniBatchLogisticRegression(batch_size=16))
        model.fit(X, y)
        assert model.score(X, y) > 0.95
        again = pickle.loads(pickle.dumps(model))
        assert_array_equal(again.predict_proba(X), model.predict_proba(X))

    def test_callbacks(self, data):
        pytest.importorskip("sklearn.callback")
        X, y = data

        class Listener:
            def __init__(self):
                self.ends = 0

            def setup(self, estimator, context):
                pass

            def on_fit_task_begin(self, estimator, context, **kind):
                pass

            def on_fit_task_end(self, estimator, context, **kind):
                self.ends += 1

            def teardown(self, estimator, context):
                pass

        listener = Listener()
        model = MiniBatchLogisticRegression(random_state=0).set_callbacks(listener).fit(X, y)
        assert listener.ends >= model.n_iter_

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"alpha": -1}, "alpha must be at least 0"),
            ({"l1_ratio": 1.5}, "l1_ratio must be at least 0 and at most 1"),
            ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"optimizer": "lbfgs"}, "optimizer must be one of"),
            ({"learning_rate": "fast"}, "learning_rate must be one of"),
            ({"learning_rate": "optimal", "alpha": 0.0}, "alpha must be above 0 where"),
            ({"eta0": 0.0}, "eta0 must be above 0"),
            ({"shuffle": "rows"}, "shuffle must be True, False or 'full'"),
            ({"average": -3}, "average must be at least 0"),
            ({"activation": "identity"}, "linear regression, no classifier"),
            ({"loss": "hinge"}, "loss must be one of"),
            ({"early_stopping": True, "validation_fraction": 0.0}, "validation_fraction must be"),
            ({"tol": -1.0}, "tol must be at least 0"),
        ],
    )
    def test_bad_parameters(self, data, parameters, message):
        with pytest.raises(ValueError, match=message):
            MiniBatchLogisticRegression(**parameters).fit(*data)

    def test_bad_rows(self, data):
        X, y = data
        X = X.copy()
        X[7, 2] = np.nan
        with pytest.raises(ValueError, match=r"first at row 7, column 2. MiniBatchLogistic"):
            MiniBatchLogisticRegression().fit(X, y)
