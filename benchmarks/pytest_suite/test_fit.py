"""pytest-benchmark: exact fits, ours and scikit-learn's best solver for tall tables.

The distance above the optimum stands beside each time, in the extra information.
"""

import pytest

import fastlogreg as flr
from benchmarks import cases
from benchmarks.harness import quality
from benchmarks.peers.adapters import ScikitLearn


# a peer's warning of a solver that gave up is shown by its distance above the optimum
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solver", ["fastlogreg", "scikit-learn newton-cholesky"])
@pytest.mark.parametrize("case", cases.FITS)
def test_fit(benchmark, case, solver):
    problem = cases.fit_data(case)
    X, y, weights, C = problem
    benchmark.group = case
    if solver == "fastlogreg":
        model = flr.LogisticRegression(C=C)
    else:
        peer = ScikitLearn("newton-cholesky")
        reason = peer.refusal(problem)
        if reason:
            pytest.skip(reason)
        model = peer.model(C)
    benchmark.pedantic(model.fit, (X, y, weights), rounds=3, warmup_rounds=1)
    distance = quality.above_optimum(problem, model)
    benchmark.extra_info["above optimum"] = distance
    if solver == "fastlogreg":
        assert distance < 1e-8
        assert model.converged_
