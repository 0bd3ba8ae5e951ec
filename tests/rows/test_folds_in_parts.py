"""Cross-validation and paths of rows beyond memory and of Dask, against rows in memory."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, PredefinedSplit, ShuffleSplit, StratifiedKFold

import fastlogreg as flr
from tests.rows.test_inference_in_parts import opened


def both(frame, more=None, **asked):
    settings = {"tol": 1e-11, "l1_ratios": (0.0,), "use_legacy_attributes": False, **asked}
    found = []
    for streams in (False, True):
        rows = opened(frame, streams=streams, **(more or {}))
        found.append(flr.LogisticRegressionCV(**settings).fit(rows))
    return found


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({}, {"Cs": 4, "cv": 3, "scoring": "neg_log_loss"}),
        (
            {"sample_weight": "w", "offset": "known"},
            {
                "Cs": [0.01, 1.0],
                "cv": StratifiedKFold(3, shuffle=True, random_state=1),
                "scoring": "neg_brier_score",
                "class_weight": "balanced",
            },
        ),
        (
            {},
            {
                "Cs": [0.003, 0.1],
                "cv": ShuffleSplit(2, random_state=0),
                "l1_ratios": (0.5, 1.0),
                "scoring": None,
            },
        ),
        ({"target": "stage"}, {"Cs": [0.01, 1.0], "cv": KFold(2), "scoring": "neg_log_loss"}),
    ],
)
def test_cross_validation_is_that_of_rows_in_memory(more, asked, frame):
    one, other = both(frame, more, **asked)
    assert other.converged_
    assert other.C_ == one.C_ and other.l1_ratio_ == one.l1_ratio_ and other.C_1se_ == one.C_1se_
    assert_allclose(other.scores_, one.scores_, rtol=1e-6)
    assert_allclose(other.coefs_paths_, one.coefs_paths_, rtol=1e-4, atol=1e-5)
    assert_allclose(other.coef_, one.coef_, rtol=1e-5, atol=1e-7)
    assert other.schema_.target == one.schema_.target


def test_what_needs_rows_in_memory_is_refused(frame):
    for asked, message in (
        ({"cv": "loo"}, "needs all rows in memory"),
        ({"scoring": "roc_auc"}, "rows beyond memory are scored by"),
    ):
        settings = {"l1_ratios": (0.0,), "use_legacy_attributes": False, "scoring": None, **asked}
        model = flr.LogisticRegressionCV(**settings)
        with pytest.raises(ValueError, match=message):
            model.fit(opened(frame))
        assert not hasattr(model, "coef_")


def test_the_readings_of_folds_side_by_side_are_counted(frame, monkeypatch):
    from fastlogreg.data.files import FileParts

    readings = []
    read = FileParts.read

    def counted(self):
        readings.append(1)
        return read(self)

    monkeypatch.setattr(FileParts, "read", counted)
    rows = opened(frame)
    model = flr.LogisticRegressionCV(
        Cs=5, cv=5, l1_ratios=(0.0,), scoring="neg_log_loss", use_legacy_attributes=False
    ).fit(rows)
    # a fit each for 5 values of C and 5 folds beside all rows: 30 of them
    assert len(readings) <= 80
    assert model.n_passes_ == pytest.approx(len(readings), abs=2.0)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.0])
def test_paths_are_those_of_rows_in_memory(l1_ratio, frame):
    asked = {"Cs": 6, "l1_ratio": l1_ratio, "tol": 1e-10}
    one, other = (
        flr.regularization_path(opened(frame, streams=streams, sample_weight="w"), **asked)
        for streams in (False, True)
    )
    assert_allclose(other.Cs, one.Cs, rtol=1e-9)
    assert_allclose(other.coefs, one.coefs, rtol=1e-4, atol=1e-6)
    assert_allclose(other.deviance, one.deviance, rtol=1e-8)
    assert other.n_samples == one.n_samples and other.converged.all()
    assert other.feature_names.tolist() == one.feature_names.tolist()
    assert np.isfinite(other.n_passes_total) and other.n_passes_total > 0


def test_collections_of_dask():
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 4))
    y = (rng.random(900) < 1 / (1 + np.exp(-X @ [1.0, -0.5, 0.2, 0.0]))).astype(int)
    XX, yy = da.from_array(X, chunks=(250, 4)), da.from_array(y, chunks=250)
    one, other = (
        flr.LogisticRegressionCV(
            Cs=3, cv=3, l1_ratios=(0.0,), scoring="neg_log_loss", use_legacy_attributes=False
        ).fit(*data)
        for data in ((X, y), (XX, yy))
    )
    assert_allclose(other.scores_, one.scores_, rtol=1e-6)
    assert other.C_ == one.C_
    paths = [flr.regularization_path(*data, Cs=5) for data in ((X, y), (XX, yy))]
    assert_allclose(paths[1].coefs, paths[0].coefs, atol=1e-5)


def test_a_training_set_that_is_separated_where_all_rows_are_not(rng):
    n = 4_000
    first = np.arange(n) < n // 2
    a, level = rng.normal(size=n), np.zeros(n)
    y = (a + rng.logistic(size=n) > 0.0).astype(int)
    for half, labels in ((first, 1), (~first, np.arange(40) % 2)):
        rows = np.flatnonzero(half)[:40]
        level[rows], y[rows] = 1.0, labels  # of one kind in the first half alone
    frame = pd.DataFrame({"a": a, "level": level, "y": y})
    rows = opened(frame, target="y", features=["a", "level"], drop_first=False)
    model = flr.LogisticRegressionCV(
        Cs=[np.inf],
        cv=PredefinedSplit(np.where(first, 0, 1)),
        scoring="neg_log_loss",
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    )
    with pytest.warns(ConvergenceWarning, match="1 of 2 fits of folds"):
        model.fit(rows)
    assert not model.converged_
