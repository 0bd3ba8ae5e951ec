"""What mini-batches once got wrong without a word: each by its name, with its neighbours."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, random_array
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning

from fastlogreg import LogisticRegression, MiniBatchLogisticRegression
from fastlogreg.backends.numba.minibatch import epochs
from fastlogreg.solvers.finish import finish
from fastlogreg.solvers.newton import newton
from tests.problems import problem_of

FORMS = [np.ascontiguousarray, np.asfortranarray, csr_array]


def logistic(n, seed=0, d=3):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d))
    return X, (X.sum(axis=1) + random.logistic(size=n) > 0).astype(int)


def log_loss(model, X, y):
    return np.logaddexp(0.0, -(2 * y - 1) * model.decision_function(X)).mean()


def above(model, X, y, weight=None, centre=0.0):
    """Return how far a model is above its own optimum, relatively; found in other columns."""
    n = len(y)
    weight = np.ones(n) if weight is None else weight
    objective = problem_of(
        X - centre, y.astype(float), sample_weight=weight, l2=model.alpha * n / weight.sum()
    )
    best = newton(objective, np.zeros(objective.size), stages=False, tol=1e-11)
    assert best.converged
    z = model.decision_function(X)
    value = np.average(np.logaddexp(0.0, z) - y * z, weights=weight)
    value += 0.5 * model.alpha * n / weight.sum() * (model.coef_**2).sum()
    return value / best.value - 1.0


class TestOneByOne:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("seed", range(5))
    def test_forty_single_rows_learn(self, form, seed):
        T, t = logistic(2000, 9)
        X, y = logistic(40, seed)
        model = MiniBatchLogisticRegression(random_state=0)
        for i in range(40):
            model.partial_fit(form(X[i : i + 1]), y[i : i + 1], classes=[0, 1])
        assert log_loss(model, T, t) < 0.62

    def test_pieces_of_one_row_never_warn_at_the_optimum(self):
        X, y = logistic(700)
        model = MiniBatchLogisticRegression(random_state=0)
        for i in range(700):  # one warning would be an error here
            model.partial_fit(X[i : i + 1], y[i : i + 1], classes=[0, 1])
        assert log_loss(model, X, y) < 0.5

    def test_an_offset_is_part_of_what_no_model_loses(self):
        X, y = logistic(1200)
        wrong = np.where(y == 1, -8.0, 8.0)  # a loss of 8 that is not the model's
        model = MiniBatchLogisticRegression(random_state=0)
        for lo in range(0, 1200, 100):
            piece = slice(lo, lo + 100)
            model.partial_fit(X[piece], y[piece], classes=[0, 1], offset=wrong[piece])

    def test_a_run_that_diverges_in_small_pieces_says_so(self):
        X, y = logistic(1500)
        model = MiniBatchLogisticRegression(optimizer="sgd", eta0=500.0, average=False)
        with pytest.warns(ConvergenceWarning, match=r"diverged: .* of the last \d+ rows") as told:
            for lo in range(0, 1500, 10):
                model.partial_fit(X[lo : lo + 10], y[lo : lo + 10], classes=[0, 1])
        assert len(told) < 20  # of 150 pieces


class TestWeightsOfZero:
    def test_no_row_without_weight_is_kept_aside(self):
        X, y = logistic(2000)
        weight = (np.arange(2000) % 4 == 0).astype(float)
        wrong = np.where(weight > 0, y, 1 - y)  # where nothing counts, the opposite
        model = MiniBatchLogisticRegression(early_stopping=True, random_state=0, max_iter=30)
        model.fit(X, wrong, sample_weight=weight)
        assert max(model.validation_scores_) > 0.7
        assert model.t_ == 8 * model.n_iter_  # 1950 rows in batches of 256
        assert model.score(X, wrong, sample_weight=weight) > 0.7

    def test_too_few_rows_of_weight_are_an_error(self):
        X, y = logistic(60)
        weight = np.zeros(60)
        weight[[np.argmax(y == 0), np.argmax(y == 1)]] = 1.0
        model = MiniBatchLogisticRegression(early_stopping=True)
        with pytest.raises(ValueError, match="the 1 samples of a class whose weight is above 0"):
            model.fit(X, y, sample_weight=weight)


class TestNear:
    """At the defaults, within tol of the optimum, or it says so."""

    @pytest.mark.parametrize("ratio", [1e4, 5e5, 1e7, 1e8])
    def test_columns_far_from_0(self, ratio):
        Z, y = logistic(5000, d=2)
        centre = np.array([ratio, 0.0])
        model = MiniBatchLogisticRegression(random_state=0).fit(Z + centre, y)
        assert above(model, Z + centre, y, centre=centre) < 1e-3

    @pytest.mark.parametrize("batch_size", [1, 256])
    def test_a_far_column_in_one_epoch(self, batch_size):
        Z, y = logistic(20_000, d=2)
        centre = np.array([5e5, 0.0])
        model = MiniBatchLogisticRegression(
            random_state=0, max_iter=1, tol=None, batch_size=batch_size
        ).fit(Z + centre, y)
        assert above(model, Z + centre, y, centre=centre) < 5e-3

    @pytest.mark.parametrize("form", FORMS)
    def test_nearly_separable(self, form):
        X, y = load_digits(return_X_y=True)
        held = (y == 3) | (y == 8)
        for Z, labels in (
            (X[held], (y[held] == 3).astype(int)),
            load_breast_cancer(return_X_y=True),
        ):
            model = MiniBatchLogisticRegression(random_state=0).fit(form(Z), labels)
            assert above(model, Z, labels, centre=Z.mean(axis=0)) < 1e-3

    @pytest.mark.parametrize("n", [30, 300, 3000])
    def test_rare_classes_and_few_rows(self, n):
        random = np.random.default_rng(1)
        X = random.normal(size=(n, 4)) * [1.0, 1e3, 1e-3, 1.0]
        y = (np.arange(n) % (n // 3) == 0).astype(int)
        weight = 10 ** random.uniform(-3, 2, size=n)
        model = MiniBatchLogisticRegression(random_state=0).fit(X, y, sample_weight=weight)
        assert above(model, X, y, weight) < 1e-3

    def test_the_start_knows_the_rate_of_the_classes(self):
        X, y = logistic(4000)
        rare = y * (np.arange(4000) % 50 == 0)
        model = MiniBatchLogisticRegression(max_iter=1, tol=None).fit(X, rare)
        rate = rare.mean()
        entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
        assert model.loss_curve_[0] < 1.1 * entropy
        known = np.linspace(-3, 3, 4000)
        model.fit(X, rare, offset=known)
        assert model.loss_curve_[0] < 0.1

    def test_no_optimum_is_said(self):
        X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        model = MiniBatchLogisticRegression(alpha=0.0, batch_size=2, random_state=0)
        with pytest.warns(ConvergenceWarning, match="alpha=0"):
            model.fit(X, [0, 0, 1, 1])

    @pytest.mark.parametrize("form", FORMS)
    def test_a_lasso_ends_at_its_optimum(self, form):
        X, y = load_digits(return_X_y=True)
        held = (y == 3) | (y == 8)
        X, y = X[held], (y[held] == 3).astype(int)
        for activation, slope in (("sigmoid", 1.0), ("tanh", 2.0)):  # tanh(z) is sigmoid(2 z)
            kind = {"l1_ratio": 1.0, "alpha": 1e-3 * slope, "activation": activation}
            model = MiniBatchLogisticRegression(random_state=0, **kind).fit(form(X), y)
            exact = LogisticRegression(C=1 / (1e-3 * len(y)), l1_ratio=1.0).fit(X, y)
            z = slope * model.decision_function(X)
            value = (
                np.logaddexp(0.0, -(2 * y - 1) * z).mean() + 1e-3 * slope * abs(model.coef_).sum()
            )
            assert exact.converged_
            assert value <= 1.001 * exact.objective_

    def test_squared_errors_with_l1_far_from_their_optimum_are_said(self):
        X, y = load_digits(return_X_y=True)
        held = (y == 3) | (y == 8)
        kind = {"loss": "mse", "l1_ratio": 1.0, "alpha": 1e-5}
        model = MiniBatchLogisticRegression(random_state=0, **kind)
        with pytest.warns(ConvergenceWarning, match="has plateaued"):
            model.fit(X[held], (y[held] == 3).astype(int))

    @pytest.mark.parametrize("kind", [{"loss": "mse"}, {"activation": "tanh"}])
    def test_other_losses(self, kind):
        X, y = logistic(500)
        model = MiniBatchLogisticRegression(random_state=0, **kind).fit(X, y)
        objective = problem_of(X, y.astype(float), l2=model.alpha, **kind)
        theta = np.concatenate([model.intercept_, model.coef_[0]])
        best = newton(objective, theta, tol=1e-10)
        assert objective.value(theta) < (1 + 1e-3) * best.value

    def test_many_rows_are_judged_by_a_part(self):
        X, y = logistic(80_000, d=2)
        objective = problem_of(X, y.astype(float), l2=1e-4)
        best = newton(objective, np.zeros(3), tol=1e-10).theta
        before = objective.n_passes
        ended = finish(objective, best, tol=1e-3, n_rows=80_000)
        assert ended.near
        assert ended.theta is best
        assert objective.n_passes - before < 1.5
        far = finish(objective, np.array([0.0, 9.0, -9.0]), tol=1e-3, n_rows=80_000)
        assert far.near
        assert_allclose(far.theta, best, atol=0.05)


class TestSetByHand:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("average", [True, False])
    def test_coefficients_are_what_training_goes_on_from(self, form, average):
        X, y = logistic(60)
        kind = {"random_state": 0, "average": average, "batch_size": 60, "l1_ratio": 0.5}
        model = MiniBatchLogisticRegression(**kind).partial_fit(form(X), y, classes=[0, 1])
        model.coef_, model.intercept_ = np.full((1, 3), 7.0), np.array([-2.0])
        model.partial_fit(form(X), y)
        assert abs(model.coef_ - 7.0).max() < 1.0
        assert abs(model.intercept_ + 2.0).max() < 1.0
        assert (model.coef_ != 7.0).all()
        model.coef_[:] = 3.0  # in place
        model.partial_fit(form(X), y)
        assert abs(model.coef_ - 3.0).max() < 1.0

    def test_what_nobody_changed_changes_nothing(self):
        X, y = logistic(300)
        plain, seen = (MiniBatchLogisticRegression(random_state=0) for _ in range(2))
        for lo in range(0, 300, 20):
            plain.partial_fit(X[lo : lo + 20], y[lo : lo + 20], classes=[0, 1])
            seen.partial_fit(X[lo : lo + 20], y[lo : lo + 20], classes=[0, 1])
            seen.coef_ = seen.coef_.copy()
            if lo == 100:
                seen.sparsify()
            if lo == 200:
                seen = pickle.loads(pickle.dumps(seen))
        assert_array_equal(plain.coef_, seen.coef_)
        assert_array_equal(plain.intercept_, seen.intercept_)

    def test_float32_rows(self):
        X, y = logistic(300)
        X = X.astype(np.float32)
        plain, seen = (MiniBatchLogisticRegression(random_state=0) for _ in range(2))
        for lo in range(0, 300, 100):
            plain.partial_fit(X[lo : lo + 100], y[lo : lo + 100], classes=[0, 1])
            seen.partial_fit(X[lo : lo + 100], y[lo : lo + 100], classes=[0, 1])
            assert seen.coef_.dtype == np.float32
        assert_array_equal(plain.coef_, seen.coef_)

    def test_averages_of_two_models(self):
        """Federated averaging: each goes on from the mean of both."""
        X, y = logistic(2000)
        halves = [(X[:1000], y[:1000]), (X[1000:], y[1000:])]
        both = [MiniBatchLogisticRegression(random_state=0, batch_size=50) for _ in halves]
        for _ in range(4):
            for model, piece in zip(both, halves, strict=True):
                model.partial_fit(*piece, classes=[0, 1])
            w = np.mean([model.coef_ for model in both], axis=0)
            b = np.mean([model.intercept_ for model in both], axis=0)
            for model in both:
                model.coef_, model.intercept_ = w.copy(), b.copy()
        assert above(both[0], X, y) < 1e-2

    def test_a_model_made_by_hand_is_trained_on(self):
        X, y = logistic(60)
        model = MiniBatchLogisticRegression(batch_size=60, random_state=0)
        model.coef_, model.intercept_ = np.full((1, 3), 7.0), np.array([-2.0])
        model.partial_fit(X, y, classes=[0, 1])
        assert abs(model.coef_ - 7.0).max() < 1.0

    def test_a_wrong_shape_is_an_error_and_changes_nothing(self):
        X, y = logistic(60)
        model = MiniBatchLogisticRegression(random_state=0).partial_fit(X, y, classes=[0, 1])
        updates, right = model.t_, model.coef_
        model.coef_ = np.ones((1, 4))
        with pytest.raises(ValueError, match=r"coef_ must have shape \(1, 3\)"):
            model.partial_fit(X, y)
        model.coef_ = right
        assert model.partial_fit(X, y).t_ == updates + 1


class TestSparsePieces:
    """A piece costs what it stores, and one that does not end leaves no trace."""

    def pieces(self, n_columns=5000):
        random = np.random.default_rng(0)
        X = random_array((200, n_columns), density=8 / n_columns, rng=random, format="csr")
        return [(X[lo : lo + 10], random.integers(0, 2, 10)) for lo in range(0, 200, 10)]

    def test_nothing_as_long_as_theta_is_copied(self, monkeypatch):
        (X, y), *others = self.pieces()
        model = MiniBatchLogisticRegression(random_state=0).partial_fit(X, y, classes=[0, 1])
        state = {name: array.ctypes.data for name, array in model._state.items()}
        begun = []
        monkeypatch.setattr(epochs, "parameters", lambda *rest, **kind: begun.append(rest))
        saved = []
        save = epochs.Stream.save
        monkeypatch.setattr(
            epochs.Stream, "save", lambda self: (saved.append(save(self)), saved[-1])[1]
        )
        for X, y in others:
            model.partial_fit(X, y)
        assert state == {name: array.ctypes.data for name, array in model._state.items()}
        assert not begun
        for one in saved:
            assert max(array.size for array in one.arrays.values()) < 3 * 200

    @pytest.mark.parametrize("average", [True, False])
    @pytest.mark.parametrize("optimizer", ["adagrad", "sgd", "adam"])
    def test_as_by_a_model_that_is_stored_and_loaded(self, optimizer, average):
        kind = {"random_state": 0, "optimizer": optimizer, "average": average, "l1_ratio": 0.3}
        live, stored = (MiniBatchLogisticRegression(**kind) for _ in range(2))
        for X, y in self.pieces():
            live.partial_fit(X, y, classes=[0, 1])
            stored.partial_fit(X, y, classes=[0, 1])
            stored = pickle.loads(pickle.dumps(stored))
        assert_array_equal(live.coef_, stored.coef_)
        assert_array_equal(live.intercept_, stored.intercept_)

    @pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
    @pytest.mark.parametrize("looked", [True, False])
    @pytest.mark.parametrize("form", [csr_array.copy, csr_array.toarray])
    def test_interrupted(self, optimizer, looked, form, monkeypatch):
        pieces = self.pieces(500)
        models = [MiniBatchLogisticRegression(random_state=0, optimizer=optimizer) for _ in "ab"]
        for model in models:
            for X, y in pieces[:3]:
                model.partial_fit(form(X), y, classes=[0, 1])
        run = epochs.Epochs.run

        def interrupted(self, *rest):
            run(self, *rest)
            self.interrupted = True
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(epochs.Epochs, "run", interrupted)
            if looked:
                models[0].coef_  # noqa: B018
            before = {name: array.copy() for name, array in models[0]._state.items()}
            with pytest.raises(KeyboardInterrupt):
                models[0].partial_fit(form(pieces[3][0]), pieces[3][1])
        for name, array in models[0]._state.items():
            if name != "step":
                assert_array_equal(array, before[name])
        for model in models:
            for X, y in pieces[4:]:
                model.partial_fit(form(X), y)
        assert_array_equal(models[0].coef_, models[1].coef_)
        assert models[0].t_ == models[1].t_ == 19

    def test_a_piece_that_fails_leaves_the_state(self):
        (X, y), (Z, z), *_ = self.pieces()
        model = MiniBatchLogisticRegression(random_state=0).partial_fit(X, y, classes=[0, 1])
        before = model.coef_.copy()
        huge = X.copy()  # in columns that have a scale
        huge.data[:] = 1e300
        again = copy.deepcopy(model)
        model.set_params(optimizer="sgd", eta0=1e300, standardize=False, alpha=0.0)
        with pytest.warns(ConvergenceWarning, match="diverged: the loss or a coefficient is not"):
            model.partial_fit(huge, 1 - y)
        model.set_params(**again.get_params())
        assert np.isfinite(model.coef_).all()
        assert_array_equal(model.coef_, before)
        assert_array_equal(model.partial_fit(Z, z).coef_, again.partial_fit(Z, z).coef_)
