"""Pictures: what stands on the axes (values of lines, words), never pixels."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer, load_iris

import fastlogreg as flr
from fastlogreg import plots

matplotlib = pytest.importorskip("matplotlib", reason="the extra plot")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

PETALS, LABELS = np.array([1.4, 1.5, 3.0, 4.1]), np.array([0.0, 0.0, 1.0, 1.0])


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(autouse=True)
def _coarse_grids_and_no_figures_left(monkeypatch):
    monkeypatch.setattr("fastlogreg.plots.lecture._POINTS", 41)
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X[["mean radius", "mean texture"]], y


@pytest.fixture(scope="module")
def fitted(cancer):
    return flr.LogisticRegression().fit(*cancer)


def texts(ax):
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def losses(loss, b, w, x=PETALS, y=LABELS):
    """Of each (b, w), as the lecture has it; b and w of any shape."""
    p = sigmoid(np.asarray(b)[..., None] + np.asarray(w)[..., None] * x)
    each = (p - y) ** 2 if loss == "mse" else -y * np.log(p) - (1 - y) * np.log(1 - p)
    return each.mean(axis=-1)


class TestLecture:
    @pytest.mark.parametrize("loss", ["mse", "bce"])
    def test_surface(self, loss):
        ax = Figure().add_subplot(projection="3d")
        assert plots.loss_surface(loss, w=(-2, 2), b=(-3, 3), ax=ax) is ax
        # a patch's colour is the mean height of its four corners
        heights = np.asarray(ax.collections[0].get_array())
        side = round(np.sqrt(heights.size)) + 1
        w, b = np.meshgrid(np.linspace(-2, 2, side), np.linspace(-3, 3, side))
        z = losses(loss, b, w)
        corners = (z[:-1, :-1] + z[1:, :-1] + z[:-1, 1:] + z[1:, 1:]) / 4
        assert_allclose(np.sort(heights.ravel()), np.sort(corners.ravel()), rtol=1e-6)
        assert ax.get_xlim()[0] <= -2 and ax.get_ylim()[1] >= 3
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("w", "b") and loss.upper() in ax.get_title()

    def test_surface_on_plain_axes_is_contours(self, ax):
        plots.loss_surface("bce", w=(-1, 1), b=(-1, 1), ax=ax)
        levels = ax.collections[0].levels
        corners = losses("bce", [-1, -1, 1, 1], [-1, 1, -1, 1])
        assert levels[0] <= corners.min() and levels[-1] >= corners.max()

    def test_only_squared_error_bends_downwards(self, ax):
        """By finite differences of the lecture's own formula, at points of either colour."""
        plots.convexity("mse", w=(-4, 4), b=(-6, 6), ax=ax)
        below, above = ax.collections[0].get_paths()
        random = np.random.default_rng(0)
        w, b = random.uniform(-4, 4, 200), random.uniform(-6, 6, 200)
        h = 1e-3

        def least(loss):
            at = {
                (i, j): losses(loss, b + i * h, w + j * h) for i in (-1, 0, 1) for j in (-1, 0, 1)
            }
            bb = at[1, 0] - 2 * at[0, 0] + at[-1, 0]
            ww = at[0, 1] - 2 * at[0, 0] + at[0, -1]
            bw = (at[1, 1] - at[1, -1] - at[-1, 1] + at[-1, -1]) / 4
            return np.linalg.eigvalsh(np.array([[bb, bw], [bw, ww]]).transpose(2, 0, 1) / h**2)[
                :, 0
            ]

        curvature = least("mse")
        assert curvature.min() < -0.1
        clear = np.abs(curvature) > 1e-3
        points = np.stack([w, b], axis=1)
        assert clear.sum() > 50
        downward = below.contains_points(points[clear])
        assert (downward == (curvature[clear] < 0)).mean() > 0.97  # edges are interpolated
        assert (above.contains_points(points[clear]) != downward).mean() > 0.97
        assert "not convex" in ax.get_title()

        other = plots.convexity("bce", w=(-4, 4), b=(-6, 6), ax=Figure().add_subplot())
        assert "nowhere: convex" in other.get_title()
        assert (least("bce") > -1e-5).all()
        assert not other.collections[0].get_paths()[0].vertices.size

    def test_only_squared_error_lies_above_its_chord(self, ax):
        for loss, filled in (("mse", True), ("bce", False)):
            ax = plots.chord(loss, ax=Figure().add_subplot())
            curve, chord = (line.get_ydata() for line in ax.get_lines())
            t = np.linspace(0, 1, 201)
            assert_allclose(curve, losses(loss, 4 - 14 * t, -4 + 8 * t), rtol=1e-12)
            assert_allclose(chord, curve[0] + t * (curve[-1] - curve[0]))
            assert (curve > chord * (1 + 1e-9)).any() == filled
            assert bool(ax.collections) == filled
            assert any("not convex" in text for text in texts(ax)) == filled

    def test_second_derivatives(self, ax):
        assert plots.second_derivatives(ax=ax) is ax
        bce, mse0, mse1 = ax.get_lines()[:3]
        p = bce.get_xdata()
        assert_allclose(bce.get_ydata(), p - p**2, rtol=1e-9)
        for line, y in ((mse0, 0), (mse1, 1)):
            expected = 2 * p * (1 - p) * (-3 * p**2 + 2 * p - y + 2 * y * p)
            assert_allclose(line.get_ydata(), expected, rtol=1e-8, atol=1e-12)
        assert texts(ax) == ["BCE, y = 0 and y = 1", "MSE, y = 0", "MSE, y = 1"]
        assert ax.get_ylim()[0] < min(mse0.get_ydata()) < -0.1

    def test_descent_takes_the_lectures_steps(self, ax):
        theta, rate = np.array([0.5, -0.5]), 0.2
        plots.descent_paths(
            batch_sizes=(1, None), theta=theta, learning_rate=rate, n_epochs=5, ax=ax
        )
        one, all_of_them = [line for line in ax.get_lines() if len(line.get_xdata()) > 1]
        assert len(one.get_xdata()) == 1 + 5 * 4 and len(all_of_them.get_xdata()) == 1 + 5
        steps = [theta]
        for _ in range(5):
            error = sigmoid(steps[-1][0] + steps[-1][1] * PETALS) - LABELS
            steps.append(steps[-1] - rate * np.array([error.mean(), (error * PETALS).mean()]))
        found = np.stack([all_of_them.get_ydata(), all_of_them.get_xdata()], axis=1)  # b, w
        assert_allclose(found, steps, rtol=1e-12)
        # each step of one sample is along (1, x) of one of the four
        moves = np.diff(np.stack([one.get_ydata(), one.get_xdata()], axis=1), axis=0)
        assert_allclose(
            np.sort((moves[:, 1] / moves[:, 0]).reshape(5, 4)), np.tile(PETALS, (5, 1)), rtol=1e-9
        )
        assert f"loss {losses('bce', *steps[-1]):.3g}" in texts(ax)[1]

    def test_squared_error_stays_on_its_plateau(self, ax):
        ends = {}
        for loss in ("mse", "bce"):
            ax = Figure().add_subplot()
            plots.descent_paths(loss, batch_sizes=[None], theta=(4, -4), n_epochs=50, ax=ax)
            line = ax.get_lines()[0]
            values = losses(loss, line.get_ydata(), line.get_xdata())
            ends[loss] = values[-1] / values[0]
        assert ends["mse"] > 0.95 and ends["bce"] < 0.2

    def test_activations(self, ax):
        assert plots.activations(ax=ax) is ax
        lines = {line.get_label(): line for line in ax.get_lines()}
        for name, f in (
            ("sigmoid(z)", sigmoid),
            ("its slope, sigmoid (1 - sigmoid)", lambda z: sigmoid(z) * sigmoid(-z)),
            ("tanh(z)", np.tanh),
            ("its slope, 1 - tanh²", lambda z: 1 / np.cosh(z) ** 2),
            ("2 sigmoid(2 z) - 1", np.tanh),
        ):
            assert_allclose(lines[name].get_ydata(), f(lines[name].get_xdata()), atol=1e-14)

    def test_own_rows(self, ax):
        x, y = np.array([[-1.0], [0.5], [2.0]]), [0, 1, 0.25]
        plots.chord(X=x, y=y, start=(0, 0), end=(1, 1), ax=ax)
        assert ax.get_lines()[0].get_ydata()[-1] == pytest.approx(
            float(losses("bce", 1.0, 1.0, x[:, 0], np.array(y)))
        )

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: plots.loss_surface("hinge"), "loss"),
            (lambda: plots.convexity(X=[1, 2]), "X and y go together"),
            (lambda: plots.convexity(X=np.ones((3, 2)), y=[0, 1, 0]), "one column"),
            (lambda: plots.convexity(X=[1, 2], y=[0, 3]), r"y .*\[0, 1\]"),
            (lambda: plots.loss_surface(w=(1, 1)), "w must go from less to more"),
            (lambda: plots.chord(start=(0, 0), end=(0, 0)), "start and end"),
            (lambda: plots.descent_paths(batch_sizes=()), "batch_sizes"),
            (lambda: plots.descent_paths(batch_sizes=(0,)), "batch_sizes"),
            (lambda: plots.descent_paths(n_epochs=0), "n_epochs"),
        ],
    )
    def test_bad_arguments(self, call, message):
        with pytest.raises((ValueError, TypeError), match=message):
            call()
        assert not pyplot.get_fignums()  # nothing was begun


class TestCommand:
    def invoke(self, *arguments):
        from typer.testing import CliRunner

        from fastlogreg.cli.app import app

        return CliRunner().invoke(app, ["lecture", *arguments], env={"COLUMNS": "80"})

    def test_pictures_and_figures(self, tmp_path):
        result = self.invoke("--output", str(tmp_path / "pictures"))
        assert result.exit_code == 0, result.output
        files = sorted((tmp_path / "pictures").iterdir())
        assert {file.suffix for file in files} == {".png"} and len(files) == 5
        for file in files:
            assert str(file) in result.output.replace("\n", "")
            height, width = pyplot.imread(file).shape[:2]
            assert 780 <= width <= 1300 and height >= 400
        for printed in ("0.6691", "0.65815", "-0.019", "0.66926", "0.65823"):
            assert printed in result.output
        assert "…" not in result.output and " no " not in result.output

    def test_without_pictures(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert self.invoke("--no-pictures").exit_code == 0
        assert not list(tmp_path.iterdir())

    def test_a_figure_that_is_off_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fastlogreg.cli.lecture.THETA", (0.1, 0.5, -0.2))
        result = self.invoke("--no-pictures")
        assert result.exit_code == 1 and " no " in result.output

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        result = self.invoke("--output", str(tmp_path / "file" / "folder"))
        assert result.exit_code == 2 and "--output" in result.output


class TestModels:
    def test_path(self, ax, cancer):
        path = flr.regularization_path(*cancer, Cs=4)
        assert plots.coefficient_path(path, ax=ax) is ax
        lines = [line for line in ax.get_lines() if len(line.get_xdata()) == 4]
        for line, j in zip(lines, np.flatnonzero(path.coefs.any(axis=0)), strict=True):
            assert_allclose(line.get_ydata()[-1], path.coefs[-1, j])
        assert "mean radius" in {text.get_text() for text in ax.texts}

    @pytest.mark.parametrize("legacy", [True, False])
    def test_cross_validation(self, ax, cancer, legacy):
        Cs = [np.inf, 0.01, 1.0]
        model = flr.LogisticRegressionCV(
            Cs=Cs, scoring="neg_log_loss", l1_ratios=(0,), use_legacy_attributes=legacy, cv=3
        ).fit(*cancer)
        assert plots.cross_validation_curve(model, ax=ax) is ax
        scores = model.scores_[1] if legacy else model.scores_
        means = scores.reshape(3, 3).mean(axis=0)  # folds, Cs
        line = ax.containers[0].lines[0]
        assert line.get_xdata().tolist() == [0.01, 1.0, 10.0]  # infinity a decade beyond
        assert_allclose(line.get_ydata(), means[[1, 2, 0]])
        upright = {text.split(" = ")[0] for text in texts(ax)}
        assert {"C_", "C_1se_"} <= upright

    def test_calibration(self, ax, cancer, fitted):
        X, y = cancer
        assert plots.calibration(fitted, X, y, n_bins=5, ax=ax) is ax
        p = sigmoid(X.to_numpy() @ fitted.coef_[0] + fitted.intercept_[0])
        share, predicted = calibration_curve(y, p, n_bins=5, strategy="quantile")
        line = ax.get_lines()[-1]
        assert_allclose(line.get_xdata(), predicted, rtol=1e-10)
        assert_allclose(line.get_ydata(), share)
        assert ax.get_xlabel() == "predicted probability of 1"
        plots.calibration(fitted, X, y, name="again", ax=ax)
        assert texts(ax).count("Perfectly calibrated") == 1 and "again" in texts(ax)
        assert len({line.get_color() for line in ax.get_lines()}) == 3

    def test_decision_boundary_of_two_classes(self, ax, cancer, fitted):
        assert plots.decision_boundary(fitted, *cancer, grid_resolution=40, ax=ax) is ax
        half = ax.collections[1]
        assert half.levels == [0.5]
        points = half.get_paths()[0].vertices
        margins = points @ fitted.coef_[0] + fitted.intercept_[0]
        assert np.abs(margins).max() < 0.05  # linear between points of the grid
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("mean radius", "mean texture")
        assert sum(len(c.get_offsets()) for c in ax.collections[2:]) == len(cancer[1])

    def test_decision_boundary_of_three(self, ax):
        X, y = load_iris(return_X_y=True)
        X, names = X[:, 2:], np.array(["setosa", "versicolor", "virginica"])
        model = flr.LogisticRegression().fit(X, names[y])
        plots.decision_boundary(model, X, names[y], grid_resolution=30, ax=ax)
        assert texts(ax) == names.tolist()
        mesh = ax.collections[0].get_array()
        assert set(np.unique(np.asarray(mesh))) == {0, 1, 2}

    def test_convergence(self, ax, cancer, fitted):
        assert plots.convergence(fitted, ax=ax) is ax
        history, line = fitted.history_, ax.get_lines()[0]
        assert_allclose(line.get_xdata(), history["passes"])
        assert_allclose(
            line.get_ydata(), np.maximum(history["decrement"] / history["objective"], 1e-16)
        )
        assert ax.get_yscale() == "log" and "tol = 1e-08" in texts(ax)
        two = plots.convergence({"a": fitted, "b": history[:2]}, ax=Figure().add_subplot())
        assert texts(two) == ["a", "b"]

    def test_steps_on_a_part_of_the_rows_are_rings(self, ax, rng):
        X = rng.normal(size=(40_000, 4))
        y = rng.random(40_000) < sigmoid(X @ [1, -1, 2, 0])
        model = flr.LogisticRegression(solver="newton").fit(X, y)
        assert (model.history_["share"] < 1).any()
        plots.convergence(model, ax=ax)
        rings = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
        assert len(rings) == 1 and "on a part of the rows" in texts(ax)
        assert len(rings[0].get_xdata()) == (model.history_["share"] < 1).sum()

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda m, X, y: plots.coefficient_path(m), TypeError, "path must be"),
            (lambda m, X, y: plots.cross_validation_curve(m), TypeError, "LogisticRegressionCV"),
            (lambda m, X, y: plots.calibration(m, X, y, strategy="even"), ValueError, "strategy"),
            (lambda m, X, y: plots.calibration(m, X, y, n_bins=0), ValueError, "n_bins"),
            (lambda m, X, y: plots.calibration(X, X, y), TypeError, "fitted classifier"),
            (
                lambda m, X, y: plots.calibration(SimpleNamespace(classes_=[0, 1, 2]), X, y),
                ValueError,
                "two classes",
            ),
            (lambda m, X, y: plots.decision_boundary(m, np.ones((4, 3))), ValueError, "two col"),
            (lambda m, X, y: plots.decision_boundary(m, X, y[:3]), ValueError, "one label a row"),
            (lambda m, X, y: plots.convergence(X), TypeError, "history_"),
            (lambda m, X, y: plots.convergence({}), ValueError, "empty"),
            (lambda m, X, y: plots.convergence(m, ax=[1]), TypeError, "ax must be Matplotlib"),
        ],
    )
    def test_bad_arguments(self, cancer, fitted, call, error, message):
        with pytest.raises(error, match=message):
            call(fitted, *cancer)


class TestForest:
    estimates, low, high = (1.4, 0.8, 0.5), (1.1, 0.5, 0.3), (1.8, 1.3, 0.9)

    def points(self, ax):
        return [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "s"]

    def bars(self, ax):
        return [tuple(x.get_xdata()) for x in ax.get_lines() if x.get_marker() in ("None", "")]

    def test_arrays(self, ax):
        assert plots.forest(self.estimates, self.low, self.high, ["a", "b", "c"], ax=ax) is ax
        assert self.points(ax) == list(self.estimates)
        assert self.bars(ax)[:3] == list(zip(self.low, self.high, strict=True))
        assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
        assert ax.yaxis_inverted() and ax.get_xscale() == "log"
        assert ax.texts[1].get_text() == "0.80  (0.50 to 1.30)"
        # above 1, across it, below it
        colours = [line.get_color() for line in ax.get_lines() if line.get_marker() == "s"]
        assert len(set(colours)) == 3

    def test_frame(self, ax):
        frame = pd.DataFrame(
            {"or": self.estimates, "2.5%": self.low, "97.5%": self.high},
            index=["age", ("rank", 2), "dose"],
        )
        plots.forest(frame, ax=ax)
        assert self.points(ax) == list(self.estimates)
        assert [x.get_text() for x in ax.get_yticklabels()] == ["age", "rank, 2", "dose"]
        series = plots.forest(frame["or"], self.low, self.high, ax=Figure().add_subplot())
        assert next(x.get_text() for x in series.get_yticklabels()) == "age"

    def test_coefficients(self, ax):
        plots.forest([-0.5, 0.2], [-1, -0.1], [0, 0.5], log=False, label="coefficient", ax=ax)
        assert ax.get_xscale() == "linear" and ax.get_xlabel() == "coefficient"
        assert self.bars(ax)[-1][0] == 0.0  # the line of no effect
        assert [x.get_text() for x in ax.get_yticklabels()] == ["x0", "x1"]

    def test_what_is_not_finite_ends_in_an_arrow(self, ax):
        plots.forest([3, np.inf], [0, 2], [np.inf, np.inf], ["a", "b"], ax=ax)
        marks = [line.get_marker() for line in ax.get_lines()]
        assert marks.count(">") == 2 and marks.count("<") == 1 and marks.count("s") == 1
        assert ax.texts[1].get_text() == "∞  (2.00 to ∞)"
        assert np.isfinite(ax.get_xlim()).all() and ax.get_xlim()[0] > 0

    def test_a_new_figure_grows_with_its_rows(self):
        few = plots.forest([1.0], [0.5], [2.0]).figure.get_size_inches()[1]
        many = plots.forest(np.ones(20), np.full(20, 0.5), np.full(20, 2.0))
        assert many.figure.get_size_inches()[1] > few + 5
        assert many.figure in map(pyplot.figure, pyplot.get_fignums())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([1, 2],), "three columns"),
            (([1, 2], [1, 1]), "low and high go together"),
            (([1, 2], [1], [2, 2]), "low must have"),
            (([1, 2], [1, 1], [2, 2], ["a"]), "names must have 2"),
            (([1, 2], [1, 1], [2, 2], "ab"), "names must be a list"),
            (([1, np.nan], [1, 1], [2, 2], ["a", "b"]), r"NaN in row 1 \(b\)"),
            (([1, -2], [1, -3], [2, 2]), "negative on a logarithmic"),
            (([1, 2], [1, 3], [2, 4]), r"ascend, got 3, 2, 4 in row 1 \(x1\)"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises((ValueError, TypeError), match=message):
            plots.forest(*arguments)
        assert not pyplot.get_fignums()


def words(figure):
    """The texts that a figure draws, with where they stand in pixels."""
    figure.canvas.draw()
    hidden = {
        id(label)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        if not axis.get_view_interval().min() <= tick.get_loc() <= axis.get_view_interval().max()
        for label in (tick.label1, tick.label2)
    }
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(pyplot.Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden
    ]


LONG = "C(region, Treatment('south'))[T.north-west, beyond the hills and the river]"
PICTURES = {
    "convergence": lambda m, X, y: plots.convergence(m),
    "path": lambda m, X, y: flr.regularization_path(X.rename(columns=str.upper), y, Cs=4).plot(),
    "calibration": lambda m, X, y: plots.calibration(m, X, y),
    "boundary": lambda m, X, y: plots.decision_boundary(m, X, y, grid_resolution=20),
    "forest": lambda m, X, y: plots.forest(
        [1e-6, 3.0, np.inf], [1e-9, 1.1, 2.0], [3e-3, 200.0, np.inf], ["(Intercept)", LONG, "rare"]
    ),
    "activations": lambda m, X, y: plots.activations(),
    "second_derivatives": lambda m, X, y: plots.second_derivatives(),
    "chord": lambda m, X, y: plots.chord(),
    "convexity": lambda m, X, y: plots.convexity(),
    "descent_paths": lambda m, X, y: plots.descent_paths(),
}


@pytest.mark.parametrize("name", PICTURES)
def test_no_word_is_cut_off_or_covered(name, cancer, fitted):
    ax = PICTURES[name](fitted, *cancer)
    found = words(ax.figure)
    assert len(found) > 5
    for text, box in found:
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= ax.figure.bbox.width + 1 and box.y1 <= ax.figure.bbox.height + 1, text
    ticks = [label for label in ax.get_xticklabels() if label.get_text()]
    left, right = sorted(ax.get_xlim())
    boxes = sorted(
        (t.get_window_extent().x0, t.get_window_extent().x1)
        for t in ticks
        if left <= t.get_position()[0] <= right
    )
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(boxes))


def test_a_forest_leaves_room_for_intervals_beside_long_names():
    ax = PICTURES["forest"](None, None, None)
    figures = [box for text, box in words(ax.figure) if " to " in text]
    assert min(box.x0 for box in figures) > ax.bbox.x1 + 5  # half an arrow stands beyond the axes
    assert ax.bbox.width > 0.4 * ax.figure.bbox.width


def test_the_namespace_is_light_and_complete():
    code = (
        "import sys, fastlogreg as flr\n"
        "assert 'fastlogreg.plots' not in sys.modules\n"
        "flr.plots\n"
        "heavy = {'matplotlib', 'sklearn', 'numba', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "flr.plots.forest, flr.plots.convergence\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert {'forest', 'chord'} <= set(dir(flr.plots))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in plots.__all__:
        assert callable(getattr(plots, name))
        assert getattr(plots, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'forrest'"):
        _ = plots.forrest


def test_without_matplotlib_the_extra_is_named(monkeypatch, fitted):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draw in (lambda: plots.convergence(fitted), plots.activations):
        with pytest.raises(ImportError, match=r"fastlogreg\[plot\]"):
            draw()
