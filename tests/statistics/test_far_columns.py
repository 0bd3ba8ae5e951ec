"""Columns far from 0: errors and intervals are those of the same columns near to it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

import fastlogreg as flr
from fastlogreg.statistics.profile import maximize

N = 200
FAR = {"a": 1e8, "b": -1e8, "c": 0.0}
KINDS = [
    {},
    {"cov_type": "HC1"},
    {"cov_type": "cluster", "groups": np.arange(N) % 20},
    {"cov_type": "bootstrap", "n_bootstrap": 20, "random_state": 0},
]


def tables(rng, n_classes):
    """Return a frame of columns near to 0, and the same far from it, to the last digit."""
    pd = pytest.importorskip("pandas")
    X = np.round(rng.normal(size=(N, 3)) * 2.0**20) / 2.0**20
    y = np.argmax(X @ rng.normal(size=(3, n_classes)) + rng.gumbel(size=(N, n_classes)), axis=1)
    near = pd.DataFrame({"y": y, **dict(zip("abc", X.T, strict=True))})
    return near, near.assign(**{name: near[name] + by for name, by in FAR.items()})


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_errors_of_predictions_and_effects(rng, n_classes, kind):
    near, far = tables(rng, n_classes)
    expected, found = (flr.logit("y ~ a + b + c", table, **kind) for table in (near, far))
    close = {"rtol": 1e-6, "atol": 1e-9}
    assert_allclose(found.bse[..., 1:], expected.bse[..., 1:], **close)
    for rows in (None, slice(0, 50)):
        given = (None, None) if rows is None else (near[rows], far[rows])
        pair = (r.predict(X, interval=True) for r, X in zip((expected, found), given, strict=True))
        for one, other in zip(*pair, strict=True):
            assert_allclose(other, one, **close)
    for at in ("overall", "mean"):
        assert_allclose(found.margins(at).se, expected.margins(at).se, **close)
    if n_classes == 2:
        assert found.leverage.sum() == pytest.approx(4.0, rel=1e-7)
        assert_allclose(found.leverage, expected.leverage, **close)
        assert_allclose(found.cooks_distance, expected.cooks_distance, **close)
        kind = "standardized"
        assert_allclose(found.residuals(kind), expected.residuals(kind), rtol=1e-6, atol=1e-7)
        dummy = (r.margins(dummy=True).se for r in (found, expected))
        assert_allclose(*dummy, **close)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_profiles(rng, n_classes):
    near, far = tables(rng, n_classes)
    expected, found = (flr.logit("y ~ a + b + c", table) for table in (near, far))
    ours, theirs = (r.conf_int(kind="profile") for r in (found, expected))
    assert_allclose(ours[..., 1:, :], theirs[..., 1:, :], rtol=1e-6)
    # limits of the intercept grow as its error does
    half = np.abs(ours - found.params[..., None]) / found.bse[..., None]
    assert (np.abs(half[..., 0, :] - 1.96) < 0.4).all()
    # and it is what its definition says, of columns not so far that its own ones are of no use
    moved = near.assign(a=near["a"] + 2e4, b=near["b"] - 30.0)
    results = flr.logit("y ~ a + b + c", moved)
    objective, best = results._fit.likelihood, results._fit.parameters
    assert results._fit.covariance.middle.any()
    free = np.arange(best.size) > 0
    for limit in results.conf_int(kind="profile").reshape(-1, 2)[0]:
        start = best.copy()
        start[0], start[1] = limit, best[1] - (limit - best[0]) / 2e4
        lost = objective.value(best) - maximize(objective, start, free)[1].value
        assert 2.0 * lost == pytest.approx(3.8414588, rel=1e-3)


def test_sparse_rows(rng):
    near, far = tables(rng, 2)
    names, y = list("abc"), near["y"].to_numpy()
    expected = flr.logit("y ~ a + b + c", near)
    X = csr_array(far[names].to_numpy())
    found = flr.inference(flr.LogisticRegression(C=np.inf, tol=1e-14).fit(X, y), X, y)
    assert_allclose(found.leverage, expected.leverage, rtol=1e-5)
    assert_allclose(found.predict(X[:9], interval=True).se, expected.predict(interval=True).se[:9])
    limits = (r.conf_int(kind="profile")[1:] for r in (found, expected))
    assert_allclose(*limits, rtol=1e-5)


def test_rows_in_parts(rng, tmp_path):
    pd = pytest.importorskip("pandas")
    near, far = (pd.concat([t] * 250, ignore_index=True) for t in tables(rng, 2))
    path = tmp_path / "rows.csv"
    far.to_csv(path, index=False)
    rows = flr.open_rows(path, target="y", memory_limit=1 << 20)
    model = flr.LogisticRegression(C=np.inf, tol=1e-14).fit(rows)
    found, expected = flr.inference(model, rows), flr.logit("y ~ a + b + c", near)
    X = far[["a", "b", "c"]][:N]
    ours, theirs = found.predict(X, interval=True), expected.predict(near[:N], interval=True)
    assert_allclose(ours.se, theirs.se, rtol=1e-5)
    limits = (r.conf_int(kind="profile")[1:] for r in (found, expected))
    assert_allclose(*limits, rtol=1e-5)


def test_a_profile_that_cannot_be_followed_is_refused(rng, monkeypatch):
    near, _ = tables(rng, 2)
    results = flr.logit("y ~ a + b + c", near)
    monkeypatch.setattr(
        "fastlogreg.statistics.results.profile_limit", lambda *arguments: float("nan")
    )
    with pytest.raises(ValueError, match="profile of 'Intercept' can't be followed"):
        results.conf_int(kind="profile")


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_a_penalized_fit(rng, form):
    near, far = tables(rng, 2)
    y, found = near["y"].to_numpy(), []
    for table in (near, far):
        X = form(table[["a", "b", "c"]].to_numpy())
        model = flr.LogisticRegression(tol=1e-13).fit(X, y)
        found.append(flr.inference(model, X, y, penalized=True))
    expected, far_from_0 = found
    assert_allclose(far_from_0.bse[1:], expected.bse[1:], rtol=1e-6)
    assert far_from_0.df_model == pytest.approx(expected.df_model, rel=1e-6)
    assert_allclose(far_from_0.leverage, expected.leverage, rtol=1e-5)
    pair = (results.predict(interval=True).se for results in (far_from_0, expected))
    assert_allclose(*pair, rtol=1e-5)
    assert_allclose(far_from_0.margins().se, expected.margins().se, rtol=1e-6)
