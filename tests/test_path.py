"""Regularization paths: each point against an optimum of SciPy's or a cold, tight fit."""

import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import comb, expit
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from fastlogreg import LogisticRegression, Path, regularization_path
from tests.l1_witness import deceiving, objective, optimum


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def of_cancer(cancer):
    return regularization_path(*cancer, Cs=25)


def table(rng, n=400, d=12, classes=2):
    X = rng.normal(size=(n, d))
    W = rng.normal(size=(d, classes)) * (rng.random((d, 1)) < 0.5)
    y = np.argmax(X @ W + rng.gumbel(size=(n, classes)), axis=1)
    return X, y


def check_points(path, X, y, sample_weight=None, offset=None, step=1, near=1e-7, **parameters):
    """Hold every ``step``-th point to a cold fit to 1e-12."""
    for i in range(0, len(path), step):
        parameters |= {"C": path.Cs[i], "l1_ratio": path.l1_ratio, "tol": 1e-12}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            cold = LogisticRegression(**parameters).fit(X, y, sample_weight, offset=offset)
        above = path.objectives[i] / cold.objective_ - 1.0
        assert -1e-9 <= above <= near, (i, above)
        assert path.duality_gaps[i] >= path.objectives[i] - cold.objective_ - 1e-12


def check_kkt(path, X, y, weights=None, offset=0.0, near=1e-4):
    """Check the subgradients of two classes at every point, relative to the strength of L1."""
    weights = np.ones(y.size) if weights is None else weights
    share = weights / weights.sum()
    for w, b, strength in zip(path.coefs, path.intercepts, path.lambdas, strict=True):
        residual = share * (expit(X @ w + b + offset) - (y == path.classes_[1]))
        l1, l2 = path.l1_ratio * strength, (1.0 - path.l1_ratio) * strength
        slope = X.T @ residual + l2 * w
        beyond = np.where(w != 0.0, np.abs(slope + l1 * np.sign(w)), np.abs(slope) - l1)
        size = l1 + np.abs(X.T) @ np.abs(residual) * 1e-6
        assert (beyond <= near * size).all()
        assert abs(residual.sum()) <= 1e-5


class TestPoints:
    @pytest.mark.parametrize("seed", range(40))
    def test_are_optimal_on_tables_built_to_deceive(self, seed):
        X, y, weights, parameters = deceiving(seed)
        parameters.pop("C")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            path = regularization_path(X, y, Cs=6, sample_weight=weights, **parameters)
        assert len(caught) == int(not path.converged.all())
        for i in (0, len(path) // 2, len(path) - 1):
            model = path.model(i)
            value = objective(model, X, y, weights)
            assert_allclose(value, path.objectives[i], rtol=1e-6)
            if path.converged[i]:
                assert value <= optimum(model, X, y, weights) * (1.0 + 1e-6)

    def test_of_wide_rows_pass_the_kkt_conditions(self, rng):
        X = rng.normal(size=(200, 2000))
        y = (X[:, :5].sum(axis=1) + rng.logistic(size=200) > 0).astype(int)
        path = regularization_path(X, y, Cs=40, C_min_ratio=0.01)
        assert path.converged.all() and path.n_nonzero[-1] > 50
        check_kkt(path, X, y)
        check_points(path, X, y, step=13)

    def test_of_many_rows_work_in_few_columns(self, rng):
        X = rng.normal(size=(30_000, 40))
        X[:, 7] += 1e4  # far from 0
        X[:, 8] = X[:, 9]
        X[:, 10] = rng.random(30_000) < 1e-3
        y = (X[:, 0] - X[:, 1] + 3 * X[:, 10] + rng.logistic(size=30_000) > 0).astype(int)
        path = regularization_path(X, y, Cs=20)
        assert path.converged.all()
        check_points(path, X, y, step=6)
        assert path.n_passes_total < 5 * len(path)

    @pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
    def test_of_several_classes(self, l1_ratio):
        X, y = load_iris(return_X_y=True)
        path = regularization_path(X, y, Cs=12, l1_ratio=l1_ratio)
        assert path.coefs.shape == (12, 3, 4) and path.intercepts.shape == (12, 3)
        check_points(path, X, y, step=4)

    def test_of_sparse_rows_in_both_precisions(self, rng):
        X, y = table(rng, d=400)
        X[rng.random(X.shape) < 0.9] = 0.0
        dense = regularization_path(X, y, Cs=12)
        sparse = regularization_path(csr_array(X), y, Cs=12)
        assert_allclose(sparse.objectives, dense.objectives, rtol=1e-8)
        single = X.astype(np.float32)
        check_points(regularization_path(single, y, Cs=8), single, y, step=3)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_of_many_sparse_columns(self, rng, dtype):
        X = rng.normal(size=(400, 3000)).astype(dtype)
        X[rng.random(X.shape) < 0.97] = 0.0
        X[:, 5] = X[:, 6]
        X[:, 7] = 1.0
        y = (X[:, 8:60].sum(axis=1) + rng.logistic(size=400) > 0).astype(int)
        weights = rng.random(400)
        own = {"Cs": 30, "C_min_ratio": 0.01, "sample_weight": weights}
        for l1_ratio in (1.0, 0.7):
            path = regularization_path(csr_array(X), y, l1_ratio=l1_ratio, **own)
            assert path.converged.all()
            check_points(path, X.astype(float), y, weights, step=10)
            check_kkt(path, X.astype(float), y, weights)

    def test_with_weights_offset_and_class_weights(self, rng):
        X, y = table(rng)
        weights, offset = rng.integers(0, 4, y.size).astype(float), rng.normal(size=y.size)
        path = regularization_path(X, y, Cs=10, sample_weight=weights, offset=offset)
        check_points(path, X, y, weights, offset, step=3)
        check_kkt(path, X, y, weights, offset)
        path = regularization_path(X, y, Cs=6, class_weight={0: 3.0, 1: 1.0})
        check_points(path, X, y, step=3, class_weight={0: 3.0, 1: 1.0})

    def test_with_an_offset_for_each_class(self, rng):
        X, y = table(rng, classes=3)
        offset = rng.normal(size=(y.size, 3))
        path = regularization_path(X, y, Cs=6, offset=offset)
        check_points(path, X, y, None, offset, step=2)
        assert not path.coefs[0].any() and path.coefs[1].any()

    def test_of_separable_rows(self, rng):
        X = rng.normal(size=(50, 6))
        y = (X[:, 0] > 0).astype(int)
        path = regularization_path(X, y, Cs=20, early_stopping=False)
        assert path.converged.all() and len(path) == 20
        check_points(path, X, y, step=6)

    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_do_not_depend_on_the_grid(self, cancer, fit_intercept):
        X, y = cancer
        own = {"fit_intercept": fit_intercept, "tol": 1e-10}
        fine = regularization_path(X, y, Cs=41, early_stopping=False, **own)
        picked = [35, 0, 20]
        coarse = regularization_path(X, y, Cs=fine.Cs[picked], **own)
        assert_array_equal(coarse.Cs, np.sort(fine.Cs[picked]))
        assert_allclose(coarse.objectives, fine.objectives[sorted(picked)], rtol=1e-9)
        assert_allclose(coarse.coefs, fine.coefs[sorted(picked)], atol=1e-3)


class TestTheStrongestPenalty:
    @pytest.mark.parametrize("kind", ["two", "three", "no intercept", "offset", "weights", "far"])
    def test_is_the_least_that_leaves_no_column(self, rng, kind):
        X, y = table(rng, classes=3 if kind == "three" else 2)
        own = {"fit_intercept": kind != "no intercept"}
        if kind == "offset":
            own["offset"] = 2.0 * rng.normal(size=y.size)
        if kind == "weights":
            own["sample_weight"] = rng.integers(0, 4, y.size)
        if kind == "far":
            X = X * np.geomspace(1e-3, 1e3, X.shape[1]) + 1e4
        C = regularization_path(X, y, Cs=1, **own).Cs[0]
        at = regularization_path(X, y, Cs=[C * 0.5, C, C * 1.01], **own)
        assert at.n_nonzero[0] == at.n_nonzero[1] == 0
        assert at.n_nonzero[2] == 1

    def test_of_ridge_is_that_of_a_little_l1(self, cancer):
        ridge, little = (regularization_path(*cancer, Cs=1, l1_ratio=r) for r in (0.0, 1e-3))
        assert_allclose(ridge.lambdas, little.lambdas)

    def test_of_columns_that_say_nothing(self):
        path = regularization_path(np.ones((4, 2)), [0, 1, 0, 1], Cs=6)
        assert not path.coefs.any() and path.converged.all()
        assert_allclose(path.deviance, 8 * np.log(2))


class TestPath:
    def test_counts_and_deviances(self, cancer, of_cancer):
        X, y = cancer
        path, mean = of_cancer, y.mean()
        null = -2 * y.size * (mean * np.log(mean) + (1 - mean) * np.log(1 - mean))
        assert_allclose(path.null_deviance, null)
        z = X @ path.coefs.T + path.intercepts
        deviance = 2 * np.logaddexp(0.0, (1 - 2 * y)[:, None] * z).sum(axis=0)
        assert_allclose(path.deviance, deviance, rtol=1e-9)
        assert_allclose(path.deviance_explained, 1 - deviance / null, atol=1e-13)
        assert_array_equal(path.n_nonzero, (path.coefs != 0).sum(axis=1))
        assert_allclose(path.lambdas * path.Cs * y.size, 1.0)
        assert_allclose(path.lambdas[-1] / path.lambdas[0], 1e-3)
        assert path.status == "complete" and len(path) == 25 and "25 points" in repr(path)
        assert path.n_passes.sum() <= path.n_passes_total < path.n_passes.sum() + 5

    def test_criteria_are_their_formulas(self, cancer, of_cancer):
        path, n, d = of_cancer, cancer[1].size, 30
        df = path.n_nonzero + 1
        assert_array_equal(path.degrees_of_freedom, df)
        assert_allclose(path.aic(), path.deviance + 2 * df)
        assert_allclose(path.bic(), path.deviance + np.log(n) * df)
        ebic = path.bic() + 2 * 0.7 * np.log(comb(d, path.n_nonzero))
        assert_allclose(path.ebic(gamma=0.7), ebic)
        assert path.select("bic") == np.argmin(path.bic())
        assert path.best("ebic", gamma=0.7).C == path.Cs[np.argmin(ebic)]
        with pytest.raises(ValueError, match="criterion must be"):
            path.select("cp")
        with pytest.raises(ValueError, match="gamma must be"):
            path.ebic(2.0)
        ridge = regularization_path(*cancer, Cs=3, l1_ratio=0.0)
        with pytest.raises(ValueError, match="without L1"):
            ridge.aic()

    def test_models_predict_and_refit(self, cancer, of_cancer):
        X, y = cancer
        model = of_cancer.model(-1)
        assert isinstance(model, LogisticRegression) and model.l1_ratio == 1.0
        assert_array_equal(model.coef_[0], of_cancer.coefs[-1])
        assert model.score(X, y) > 0.95 and model.duality_gap_ == of_cancer.duality_gaps[-1]
        assert_allclose(model.fit(X, y).objective_, of_cancer.objectives[-1], rtol=1e-7)
        with pytest.raises(IndexError, match="25 points"):
            of_cancer.model(25)
        with pytest.raises(TypeError, match="integer"):
            of_cancer.model(1.0)

    def test_tables(self, of_cancer):
        frame = of_cancer.to_frame()
        assert len(frame) == 25
        assert_array_equal(frame["lambda"], of_cancer.lambdas)
        more = of_cancer.to_frame(coefs=True)
        assert_array_equal(more["x3"], of_cancer.coefs[:, 3])
        assert_array_equal(more["intercept"], of_cancer.intercepts)
        X, y = load_iris(return_X_y=True)
        several = regularization_path(X, y, Cs=3, feature_names=list("abcd"))
        frame = several.to_frame(coefs=True)
        assert_array_equal(frame[("b", 1)], several.coefs[:, 1, 1])

    def test_names_are_those_of_a_frame(self, rng):
        pandas = pytest.importorskip("pandas")
        X, y = table(rng, d=3)
        frame = pandas.DataFrame(X, columns=["u", "v", "w"])
        path = regularization_path(frame, y, Cs=3)
        assert path.feature_names.tolist() == ["u", "v", "w"]
        assert path.model(1).feature_names_in_.tolist() == ["u", "v", "w"]

    def test_plots(self, of_cancer):
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("agg")
        from matplotlib.figure import Figure

        ax = Figure().add_subplot()
        assert of_cancer.plot(ax, n_names=4) is ax
        assert len(ax.texts) == 4 and ax.xaxis_inverted() and ax.get_xscale() == "log"
        largest = np.argsort(-abs(of_cancer.coefs[-1]))[:4]
        assert {text.get_text() for text in ax.texts} == {f"x{j}" for j in largest}
        X, y = load_iris(return_X_y=True)
        ax = regularization_path(X, y, Cs=3).plot(Figure().add_subplot())
        assert "size" in ax.get_ylabel()

    def test_without_matplotlib_plot_names_the_extra(self, of_cancer, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(ImportError, match=r"fastlogreg\[plot\]"):
            of_cancer.plot()

    def test_is_public(self, of_cancer):
        assert isinstance(of_cancer, Path)


class TestEnds:
    def test_where_the_deviance_stops_growing(self, rng):
        X, y = table(rng, n=2000, d=3)
        path = regularization_path(X, y, C_min_ratio=1e-6)
        assert 5 <= len(path) < 100 and "1e-05" in path.status
        gain = np.diff(path.deviance_explained) / path.deviance_explained[1:]
        assert gain[-1] < 1e-5 and (gain[4:-1] >= 1e-5).all()
        entire = regularization_path(X, y, C_min_ratio=1e-6, early_stopping=False)
        assert len(entire) == 100 and entire.status == "complete"
        assert len(regularization_path(X, y, Cs=entire.Cs)) == 100

    def test_where_all_of_the_deviance_is_explained(self, rng):
        X = rng.normal(size=(60, 4))
        path = regularization_path(X, (X[:, 0] > 0).astype(int), C_min_ratio=1e-6)
        assert path.deviance_explained[-1] > 0.999 >= path.deviance_explained[-2]
        assert "99.9%" in path.status

    def test_points_that_miss_are_said_once(self, cancer):
        with pytest.warns(ConvergenceWarning, match=r"of 10 points did not reach tol") as caught:
            path = regularization_path(*cancer, Cs=10, max_iter=1, tol=1e-12)
        first = int(np.flatnonzero(~path.converged)[0])
        assert len(caught) == 1 and f"point {first} " in str(caught[0].message)

    def test_lines_are_printed_when_asked_for(self, cancer, capsys):
        regularization_path(*cancer, Cs=3, verbose=1)
        assert capsys.readouterr().out.count("explained") == 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("parameters", "error", "words"),
        [
            ({"Cs": 0}, ValueError, "Cs must be at least 1"),
            ({"Cs": True}, TypeError, "Cs"),
            ({"Cs": "many"}, TypeError, "Cs must be"),
            ({"Cs": []}, ValueError, "Cs must be"),
            ({"Cs": [1.0, -1.0]}, ValueError, "Cs must hold"),
            ({"Cs": [1.0, np.inf]}, ValueError, "Cs must hold"),
            ({"C_min_ratio": 0.0}, ValueError, "C_min_ratio"),
            ({"C_min_ratio": 1.0}, ValueError, "C_min_ratio"),
            ({"l1_ratio": 1.5}, ValueError, "l1_ratio"),
            ({"tol": -1.0}, ValueError, "tol"),
            ({"early_stopping": 1}, TypeError, "early_stopping"),
            ({"feature_names": ["a"]}, ValueError, "feature_names"),
            ({"n_threads": 0}, ValueError, "n_threads"),
        ],
    )
    def test_names_the_argument(self, cancer, parameters, error, words):
        with pytest.raises(error, match=words):
            regularization_path(*cancer, **parameters)

    def test_one_class_and_values_that_are_not_finite(self, cancer):
        X, y = cancer
        with pytest.raises(ValueError, match="class"):
            regularization_path(X, np.zeros_like(y))
        X = X.copy()
        X[3, 2] = np.nan
        with pytest.raises(ValueError, match="row 3, column 2"):
            regularization_path(X, y)
        X[3, 2] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            regularization_path(X, y)


class TestFactorsAndBounds:
    SHAPES = (
        {"penalty_factors": np.r_[0.0, 0.0, np.linspace(0.2, 3.0, 10)]},
        {"lower_bounds": 0.0},
        {"lower_bounds": np.r_[0.05, np.full(11, -np.inf)], "upper_bounds": 0.4},
        {"penalty_factors": np.r_[0.0, np.ones(11)], "upper_bounds": 0.2},
    )

    @pytest.mark.parametrize("classes", [2, 3])
    @pytest.mark.parametrize("shape", SHAPES, ids=["free", "signs", "away from 0", "both"])
    def test_begin_where_all_with_a_penalty_stay(self, rng, shape, classes):
        X, y = table(rng, classes=classes)
        path = regularization_path(X, y, Cs=6, **shape)
        assert path.converged.all()
        check_points(path, X, y, step=2, **shape)
        factors = np.asarray(shape.get("penalty_factors", np.ones(12)))
        low, high = shape.get("lower_bounds", -np.inf), shape.get("upper_bounds", np.inf)
        nearest = np.broadcast_to(np.clip(0.0, low, high), 12)
        held = factors > 0.0

        def moved(C):
            tight = LogisticRegression(C=C, l1_ratio=1.0, tol=1e-13, **shape).fit(X, y)
            return np.abs(tight.coef_ - nearest)[:, held].max()

        assert moved(0.999 * path.Cs[0]) == 0.0 < moved(1.01 * path.Cs[0])

    def test_without_any_penalty_all_points_are_alike(self, rng):
        X, y = table(rng)
        path = regularization_path(X, y, Cs=3, penalty_factors=np.zeros(12), early_stopping=False)
        free = LogisticRegression(C=np.inf).fit(X, y)
        assert_allclose(path.coefs, np.tile(free.coef_, (3, 1)), rtol=1e-3)
        assert path.null_deviance > path.deviance[0]

    @pytest.mark.parametrize("tol", [1e-8, 1e-4])
    @pytest.mark.parametrize("seed", [2, 7, 14, 18, 41, 54])
    def test_a_grid_begins_where_all_that_have_a_penalty_are_0(self, seed, tol):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(120, 6)) @ rng.normal(size=(6, 6)) * 10.0 ** rng.uniform(-2, 2, 6)
        margins = X @ (rng.normal(size=(6, 3)) / X.std(axis=0)[:, None])
        y = np.argmax(margins + 2.0 * rng.gumbel(size=(120, 3)), axis=1)
        factors = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 2.0])
        for labels in (y, y > 0):
            path = regularization_path(X, labels, Cs=3, penalty_factors=factors, tol=tol)
            assert_array_equal(path.coefs[0][..., factors > 0.0], 0.0)
            again = regularization_path(
                X, labels, Cs=[1.001 * path.Cs[0]], penalty_factors=factors, tol=1e-13
            )
            assert (again.coefs[0][..., factors > 0.0] != 0.0).any()

    def test_separating_free_columns_are_not_called_converged(self, rng):
        X, y = table(rng)
        X[:, 3] = y
        with pytest.warns(ConvergenceWarning):
            path = regularization_path(X, y, Cs=3, penalty_factors=1.0 - np.eye(12)[3])
        assert not path.converged.any()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_an_offset_that_explains_everything(fit_intercept):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), np.arange(40) % 2
    offset = np.where(y == 1, 800.0, -800.0)
    path = regularization_path(X, y, Cs=4, offset=offset, fit_intercept=fit_intercept)
    assert path.null_deviance == 0.0 and path.converged.all()  # and nothing is warned of
    assert_array_equal(path.deviance_explained, np.zeros(4))
    assert_array_equal(path.coefs, np.zeros((4, 2)))
    assert "0.0% of the deviance" in repr(path)


@pytest.mark.parametrize("n", [50, 20_000])
@pytest.mark.parametrize("at", [1e6, 1e-3, -1e12 / 7.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_slopes_of_constant_columns_are_rounding(rng, n, at, n_classes):
    X, y = np.full((n, 2), [at, 3.3 * at]), (rng.random(n) < 0.37) * (n_classes - 1)
    y[: n_classes + 1] = np.arange(n_classes + 1) % n_classes
    for weights in (None, 5.0 * rng.random(n)):
        path = regularization_path(X, y, Cs=3, sample_weight=weights)  # no warnings
        assert path.converged.all() and not path.coefs.any()
        assert_allclose(path.lambdas, np.geomspace(1.0, 1e-3, 3), rtol=1e-14)
