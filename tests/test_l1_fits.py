"""The benchmark of L1 fits: its objective, its peers, and how it reads figures of either form."""

from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("sklearn")
from benchmarks.commands import l1_fits
from benchmarks.peers.penalized import Penalized, settings
from fastlogreg import LogisticRegression


def table(n_classes, n=120):
    random = np.random.default_rng(4)
    X = random.standard_normal((n, 5)) * [1.0, 3.0, 0.2, 1.0, 1.0] + 2.0
    z = X @ random.standard_normal((5, n_classes))
    return X, (z + random.gumbel(size=z.shape)).argmax(axis=1)


def fitted(problem):
    model = LogisticRegression(C=problem.C, l1_ratio=problem.l1_ratio, tol=1e-12)
    return model.fit(problem.X, problem.y)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_the_objective_is_what_is_minimized_and_the_strongest_penalty_leaves_nothing(
    n_classes, l1_ratio
):
    data = table(n_classes)
    problem = Penalized.below_top(*data, 10, l1_ratio)
    model = fitted(problem)
    best = problem.objective(model.coef_, model.intercept_)
    random = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-3 * random.standard_normal(model.coef_.shape)
        assert problem.objective(model.coef_ + step, model.intercept_) > best
    assert np.count_nonzero(model.coef_)
    for share, some in ((0.999, False), (1.01, True)):
        assert fitted(Penalized.below_top(*data, share, l1_ratio)).coef_.any() == some


@pytest.mark.parametrize("name", ["adelie", "glmnet", "glum", "skglm"])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.filterwarnings("ignore")
def test_a_peer_solves_our_problem(name, l1_ratio):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    problem = Penalized.below_top(*table(2), 10, l1_ratio)
    model = fitted(problem)
    best = problem.objective(model.coef_, model.intercept_)
    peer = settings(problem)[name][-1][1]().fit(problem.X, problem.y)
    assert problem.objective(peer.coef_, peer.intercept_) == pytest.approx(best, rel=1e-8)


def test_peers_are_those_that_solve_the_problem():
    X, y = table(2)
    assert {"saga", "liblinear"} <= set(settings(Penalized(X, y, 1.0)))
    assert "liblinear" not in settings(Penalized(X, y, 1.0, 0.5))
    assert set(settings(Penalized(*table(3), 1.0))) == {"saga"}


OLD = {
    **{"case": "a", "share": 10, "ours": 0.2, "above": 0.0, "gap": 0.0, "warnings": 0},
    **{"passes": 3.0, "nonzeros": 2, "peer": "saga", "best": 0.4, "peer_above": 0.0},
}
NONE = {"run": "", "seconds": None, "above": None}


def winner(run, seconds):
    return {"run": run, "seconds": seconds, "above": 0.0}


NEW = {
    **OLD,
    **{"case": "b", "l1_ratio": 0.5},
    "to": {"0.0001": 0.1, "1e-06": 0.1, "1e-08": 0.2},
    "to_above": {"0.0001": 1e-5, "1e-06": 0.0, "1e-08": 0.0},
    "to_warnings": {"0.0001": 0, "1e-06": 0, "1e-08": 0},
    "within": {
        "0.0001": {"ours": winner("ours tol=0.0001", 0.1), "peer": winner("saga", 0.3)},
        "1e-06": {"ours": winner("ours tol=1e-06", 0.1), "peer": winner("saga", 0.4)},
        "1e-08": {"ours": winner("ours tol=1e-08", 0.2), "peer": NONE},
    },
}


def test_figures_of_either_form_are_read():
    assert l1_fits.speedups([OLD, NEW]) == pytest.approx([2.0, 4.0])
    assert l1_fits.speedups([OLD, NEW], 1e-4) == pytest.approx([3.0])
    assert l1_fits.speedups([OLD, NEW], 1e-8) == []
    assert l1_fits.matrix([OLD, NEW]).row_count == 3
    assert l1_fits.missed(OLD) == l1_fits.missed(NEW) == []


def test_what_misses_its_tolerance_is_named():
    row = {**NEW, "to_above": {**NEW["to_above"], "1e-06": 2e-6}}
    assert l1_fits.missed(row) == ["tol=1e-06 ended 2.0e-06 above the optimum"]


def test_the_true_distance_decides_and_then_the_time():
    took = {"loose": 1.0, "tight": 2.0, "tighter": 1.5}
    above = {"loose": 1e-5, "tight": 1e-9, "tighter": 1e-12}
    assert l1_fits.fastest(took, above, 1e-6) == ["tighter", "tight"]
    assert l1_fits.fastest(took, above, 1e-4)[0] == "loose"
