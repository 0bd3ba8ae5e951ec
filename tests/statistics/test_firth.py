"""Firth's likelihood: logistf's published figures, and a direct maximization."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import fastlogreg as flr
from tests.statistics.data import drawn, frame

DATA = Path(__file__).parents[1] / "data"


def close(ours, theirs, rtol=1e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol)


def test_sex2_is_as_logistf_has_it():
    """R's logistf 1.24 prints these for its own table (Foxman et al. 1997)."""
    data = pd.read_csv(DATA / "sex2.csv")
    results = flr.logit("case ~ age + oc + vic + vicl + vis + dia", data, method="firth")
    close(
        results.params,
        [0.12025405, -1.10598131, -0.06881673, 2.26887464, -2.11140817, -0.78831694, 3.09601166],
    )
    close(
        results.bse,
        [0.485542, 0.42366, 0.443793, 0.548416, 0.543082, 0.417368, 1.67501],
    )
    close(
        results.conf_int(),
        [
            [-0.8185591, 1.07315122],
            [-1.9737884, -0.30742514],
            [-0.9414363, 0.78920202],
            [1.2730216, 3.43543273],
            [-3.2608611, -1.11773495],
            [-1.6080879, 0.01518468],
            [0.7745682, 8.03029352],
        ],
    )
    close(
        results.pvalues,
        [
            8.020268e-01,
            6.143472e-03,
            8.751911e-01,
            1.678877e-06,
            1.237805e-05,
            5.449701e-02,
            4.951873e-03,
        ],
    )
    close(results.lr_test(), [49.09064, 6, 7.15089e-09])
    close(results.llf, -132.5394)
    with pytest.raises(ValueError, match="column 'dia'"):
        flr.logit("case ~ age + oc + vic + vicl + vis + dia", data)


def test_endometrial_is_as_logistf_has_it():
    """Heinze and Schemper (2002); figures by R's logistf."""
    data = pd.read_csv(DATA / "endometrial.csv")
    results = flr.logit("HG ~ NV + PI + EH", data, method="firth")
    close(results.params, [3.77455951, 2.92927330, -0.03475175, -2.60416387])
    close(
        results.conf_int(),
        [
            [1.0825371, 7.20928050],
            [0.6097244, 7.85463171],
            [-0.1244587, 0.04045547],
            [-4.3651832, -1.23272106],
        ],
    )
    text = str(results.summary())
    assert "Firth" in text and "Penalized log-likelihood" in text


def penalized(theta, A, y, w, offset):
    z = A @ theta + offset
    p = 1 / (1 + np.exp(-z))
    loss = w @ (np.logaddexp(0, z) - y * z)
    return loss - 0.5 * np.linalg.slogdet((A * (w * p * (1 - p))[:, None]).T @ A)[1]


def test_weights_and_offsets_by_direct_maximization():
    X, y = drawn(n=40)
    rng = np.random.default_rng(3)
    w, offset = rng.integers(1, 4, 40), rng.standard_normal(40)
    data = frame(X, y).assign(w=w, o=offset)
    results = flr.logit("y ~ a + b + c", data, method="firth", sample_weight="w", offset="o")
    A = np.column_stack([np.ones(40), X])
    options = {"method": "BFGS", "options": {"gtol": 1e-9}}
    best = optimize.minimize(penalized, np.zeros(4), (A, y, w, offset), **options)
    np.testing.assert_allclose(results.params, best.x, atol=1e-5)
    assert results.llf == pytest.approx(-best.fun, abs=1e-9)

    def held(rest, value):
        return penalized(np.r_[rest[:1], value, rest[1:]], A, y, w, offset)

    for value, loss in (
        (results.conf_int()[1, 0], stats.chi2.ppf(0.95, 1) / 2),
        (results.conf_int()[1, 1], stats.chi2.ppf(0.95, 1) / 2),
        (0.0, stats.chi2.isf(results.pvalues[1], 1) / 2),
    ):
        found = optimize.minimize(held, results.params[[0, 2, 3]], (value,), **options)
        assert found.fun - best.fun == pytest.approx(loss, abs=1e-6)
    # a row of weight w stands for w rows
    rows = data.loc[data.index.repeat(w)]
    repeated = flr.logit("y ~ a + b + c", rows, method="firth", offset="o")
    close(repeated.params, results.params, rtol=1e-6)
    close(repeated.pvalues, results.pvalues, rtol=1e-6)


def test_what_is_refused():
    data = frame(*drawn(classes=3))
    with pytest.raises(ValueError, match="for two classes"):
        flr.logit("y ~ a", data, method="firth")
    data = frame(*drawn())
    with pytest.raises(ValueError, match="not offered"):
        flr.logit("y ~ a", data, method="firth", cov_type="HC1")
