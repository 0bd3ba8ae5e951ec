"""Inference of rows beyond memory and of Dask, against the same rows in memory."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import fastlogreg as flr
from tests.rows.conftest import FEATURES

SMALL = 1 << 20  # bytes: so little that rows are read for each pass
COLUMNS = ["dose", "age", "site", "smoker"]
SETTINGS = {"C": np.inf, "tol": 1e-13}


def opened(source, *, streams=True, **more):
    asked = {"target": "cured", "features": COLUMNS, "drop_first": True, **more}
    rows = flr.open_rows(source, memory_limit=SMALL if streams else None, **asked)
    if streams:
        rows.fits_in_memory = lambda: False
    return rows


def both(source, cov_type="nonrobust", model=None, more=None, **asked):
    """Return results of rows in memory, and of the same rows in parts."""
    found = []
    for streams in (False, True):
        rows = opened(source, streams=streams, **(more or {}))
        model = model or flr.LogisticRegression(**SETTINGS).fit(rows)
        found.append(flr.inference(model, rows, cov_type=cov_type, **asked))
    return found


@pytest.mark.parametrize(
    ("cov_type", "more", "asked"),
    [
        ("nonrobust", {}, {}),
        ("HC0", {"sample_weight": "w", "offset": "known"}, {"weight_type": "sampling"}),
        ("HC1", {"sample_weight": "w"}, {}),
        ("cluster", {}, {"groups": "grade"}),
        ("cluster", {"sample_weight": "w"}, {"groups": ["block", "site"]}),
    ],
)
def test_results_are_those_of_rows_in_memory(cov_type, more, asked, frame, tmp_path):
    path = tmp_path / "rows.parquet"
    frame.assign(block=np.arange(len(frame)) % 97).to_parquet(path)
    one, other = both(path, cov_type, more=more, **asked)
    assert_allclose(other.params, one.params, rtol=1e-12)
    assert_allclose(other.bse, one.bse, rtol=1e-8)
    scale = np.outer(one.bse, one.bse)
    assert_allclose(other.cov_params() / scale, one.cov_params() / scale, atol=1e-8)
    for name in ("llf", "llnull", "nobs", "df_resid", "aic", "bic", "prsquared"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9), name
    assert str(other.summary()).split("Notes")[0] == str(one.summary()).split("Notes")[0]
    new = frame.iloc[:50].drop(columns="cured")
    for mine, theirs in zip(
        other.predict(new, interval=True), one.predict(new, interval=True), strict=True
    ):
        assert_allclose(mine, theirs, rtol=1e-7)


def test_several_classes(frame):
    model = None
    for cov_type, asked in (("HC0", {}), ("cluster", {"groups": "grade"})):
        more = {"target": "stage"}
        one, other = both(frame, cov_type, more=more, model=model, reference=1, **asked)
        assert_allclose(other.bse, one.bse, rtol=1e-8)
        assert other.llnull == pytest.approx(one.llnull, rel=1e-12)
        assert other.lr_test().pvalue == pytest.approx(one.lr_test().pvalue, rel=1e-6)


def test_columns_far_from_0_keep_their_digits(frame):
    far = frame.assign(dose=frame.dose * 1e-2 + 2e5)
    for cov_type in ("nonrobust", "HC1"):
        one, other = both(far, cov_type)
        assert_allclose(other.bse, one.bse, rtol=1e-6)


def test_profiles_take_passes_and_what_has_a_value_for_each_row_is_refused(frame):
    small = frame.iloc[:400]
    one, other = both(small)
    assert_allclose(other.conf_int(kind="profile"), one.conf_int(kind="profile"), rtol=1e-6)
    for ask in (
        lambda: other.residuals(),
        lambda: other.leverage,
        lambda: other.predict(),
        lambda: other.margins(),
        lambda: other.calibration(),
        lambda: other.pseudo_r2("tjur"),
    ):
        with pytest.raises(ValueError, match="needs all rows in memory"):
            ask()
    fewer = opened(small, features=["dose", "age"])
    model = flr.LogisticRegression(**SETTINGS).fit(fewer)
    test = other.lr_test(flr.inference(model, fewer))
    in_memory = one.lr_test(flr.inference(model, small[["dose", "age"]], small.cured))
    assert test.df == in_memory.df == 3
    assert test.pvalue == pytest.approx(in_memory.pvalue, rel=1e-6)


def test_what_is_refused(frame):
    rows = opened(frame)
    model = flr.LogisticRegression(**SETTINGS).fit(rows)
    for asked, message in (
        ({"cov_type": "bootstrap"}, "draws rows in memory"),
        ({"cov_type": "cluster", "groups": "nothing"}, "no column 'nothing'"),
        ({"cov_type": "cluster"}, "needs groups"),
        ({"reference": "yes"}, "must be the first of two classes"),
    ):
        with pytest.raises(ValueError, match=message):
            flr.inference(model, rows, **asked)
    with pytest.raises(ValueError, match="are not those of the fit"):
        flr.inference(model, opened(frame, features=FEATURES))
    with pytest.raises(ValueError, match="row 7: column 'grade' has no value"):
        gap = frame.assign(grade=frame.grade.astype(float).mask(frame.index == 7))
        flr.inference(model, opened(gap), cov_type="cluster", groups="grade")
    with pytest.raises(ValueError, match="not at the maximum"):
        flr.inference(model, opened(frame.iloc[:3000]))
    twice = frame.assign(again=2 * frame.age)
    rows = opened(twice, features=["dose", "age", "again"])
    in_memory = opened(twice, streams=False, features=["dose", "age", "again"])
    model = flr.LogisticRegression(**SETTINGS).fit(in_memory)
    with pytest.raises(ValueError, match=r"collinear.*'age', 'again'"):
        flr.inference(model, rows)


@pytest.mark.parametrize("cov_type", ["nonrobust", "HC1", "cluster"])
def test_collections_of_dask(cov_type):
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 4)) + 1.0
    y = (rng.random(900) < 1 / (1 + np.exp(-X @ [0.5, -0.5, 0.2, 0.0]))).astype(int)
    groups = rng.integers(0, 40, 900)
    model = flr.LogisticRegression(**SETTINGS).fit(X, y)
    asked = {"groups": groups} if cov_type == "cluster" else {}
    one = flr.inference(model, X, y, cov_type=cov_type, **asked)
    lazy = {"groups": da.from_array(groups, chunks=300)} if asked else {}
    XX, yy = da.from_array(X, chunks=(250, 4)), da.from_array(y, chunks=250)
    other = flr.inference(model, XX, yy, cov_type=cov_type, **lazy)
    assert_allclose(other.cov_params(), one.cov_params(), rtol=1e-8, atol=1e-14)
    assert isinstance(other.to_frame(), pd.DataFrame)
