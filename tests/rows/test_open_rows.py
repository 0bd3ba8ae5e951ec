"""Fits and predictions of tables, wherever they are, against the same rows in memory."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import fastlogreg as flr
from fastlogreg.backends import PassSpec
from tests.rows.conftest import FEATURES, N

SMALL = 1 << 20  # bytes: so little that rows are read for each pass


def opened(source, limit=None, **more):
    asked = {"target": "cured", "features": FEATURES, "memory_limit": limit, **more}
    return flr.open_rows(source, **asked)


def streamed(rows):
    """Return rows that are read for each pass, as those of larger files are."""
    rows.fits_in_memory = lambda: False
    return rows


KINDS = [
    "parquet",
    "folder",
    "glob",
    "list",
    "feather",
    "csv",
    "gzipped csv",
    "semicolons",
    "data set",
    "arrow table",
    "pandas",
    "pandas categories",
    "polars",
    "polars lazy",
]


@pytest.fixture(scope="module")
def in_memory(frame, encoded):
    return flr.LogisticRegression(tol=1e-12).fit(encoded, frame.cured.to_numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_rows_are_the_fit_is_that_in_memory(kind, places, frame, encoded, in_memory):
    model = flr.LogisticRegression(tol=1e-12).fit(opened(places[kind]))
    assert_allclose(model.coef_, in_memory.coef_, rtol=1e-7, atol=1e-9)
    names = ["dose", "age", "site_oslo", "site_rome", "site_ürümqi", "smoker", "grade"]
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == 7 and model.classes_.tolist() == ["no", "yes"]
    assert_allclose(
        model.predict_proba(frame[FEATURES]), in_memory.predict_proba(encoded), atol=1e-9
    )


@pytest.mark.parametrize("kind", ["parquet", "list", "csv", "polars"])
def test_rows_that_are_read_for_each_pass(kind, places, frame, encoded, in_memory):
    model = flr.LogisticRegression(tol=1e-12).fit(streamed(opened(places[kind], SMALL)))
    assert model.converged_
    assert_allclose(model.coef_, in_memory.coef_, rtol=1e-6, atol=1e-8)
    assert model.n_passes_ == pytest.approx(in_memory.n_passes_, abs=2.5)
    assert model.score(opened(places[kind])) == in_memory.score(encoded, frame.cured)


def test_the_folders_of_a_hive_are_columns(places, in_memory):
    rows = opened(places["hive"])
    model = flr.LogisticRegression(tol=1e-12).fit(rows)  # rows stand in another order there
    assert rows.n_rows == N
    assert_allclose(model.coef_, in_memory.coef_, rtol=1e-6, atol=1e-8)


def test_all_that_two_classes_have(places, frame, encoded):
    asked = {"sample_weight": "w", "offset": "known", "dtype": np.float32}
    fit = {"class_weight": "balanced", "l1_ratio": 0.5, "C": 0.05, "tol": 1e-8}
    in_memory = flr.LogisticRegression(**fit).fit(
        encoded.astype(np.float32), frame.cured, frame.w, offset=frame.known
    )
    for rows in (
        opened(places["parquet"], **asked),
        streamed(opened(places["parquet"], SMALL, **asked)),
    ):
        model = flr.LogisticRegression(**fit).fit(rows)
        assert model.coef_.dtype == np.float32 or model.coef_.dtype == np.float64
        assert_allclose(model.coef_, in_memory.coef_, rtol=2e-3, atol=2e-4)
        assert model.objective_ == pytest.approx(in_memory.objective_, rel=1e-6)
        found = model.predict_proba(frame[[*FEATURES, "known"]])
        assert_allclose(found, in_memory.predict_proba(encoded, offset=frame.known), atol=1e-3)
        with pytest.raises(ValueError, match="no column 'known'"):
            model.predict(frame[FEATURES])


@pytest.mark.parametrize("solver", ["newton", "newton-cg", "lbfgs"])
def test_several_classes(solver, places, frame, encoded):
    in_memory = flr.LogisticRegression(C=0.1).fit(encoded, frame.stage)
    rows = streamed(opened(places["parquet"], SMALL, target="stage"))
    model = flr.LogisticRegression(C=0.1, solver=solver).fit(rows)
    assert model.classes_.tolist() == in_memory.classes_.tolist()
    assert model.objective_ == pytest.approx(in_memory.objective_, rel=1e-7)
    assert_allclose(
        model.predict_proba(frame[FEATURES]), in_memory.predict_proba(encoded), atol=2e-4
    )


def test_other_estimators_take_tables_that_fit_into_memory(places, frame, encoded):
    rows = opened(places["parquet"])
    for make in (
        lambda: flr.MiniBatchLogisticRegression(random_state=0),
        lambda: flr.LogisticRegressionCV(
            Cs=3, cv=3, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False
        ),
    ):
        model = make().fit(rows)
        other = make().fit(rows.collect().matrix, frame.cured)
        assert_array_equal(model.coef_, other.coef_)
        assert model.predict(frame[FEATURES]).tolist() == model.predict(rows).tolist()
    read = make().fit(streamed(opened(places["parquet"], SMALL)))
    assert_allclose(read.scores_, model.scores_, atol=1e-6)
    path = flr.regularization_path(rows, Cs=3)
    assert path.feature_names[2] == "site_oslo"


@pytest.mark.parametrize("target", ["cured", "stage"])
@pytest.mark.parametrize("order", ["as they are", "sorted"])
def test_mini_batches_of_rows_that_are_read_in_each_epoch(target, order, frame):
    if order == "sorted":  # the first pieces hold one class alone
        frame = frame.sort_values(target)
    asked = {"target": target, "sample_weight": "w"}
    rows = streamed(opened(frame, SMALL, **asked))
    options = {"alpha": 1e-3, "tol": 1e-3, "random_state": 0, "class_weight": "balanced"}
    model = flr.MiniBatchLogisticRegression(**options).fit(rows)
    whole = flr.MiniBatchLogisticRegression(**options).fit(opened(frame, **asked))
    assert model.t_ > 5 and np.isfinite(model.loss_curve_).all()
    again = flr.MiniBatchLogisticRegression(**options).fit(rows)
    assert_array_equal(again.coef_, model.coef_)

    def objective(fitted):
        p = fitted.predict_log_proba(frame)
        codes = np.searchsorted(fitted.classes_, frame[target])
        held = np.bincount(codes, frame.w)
        weights = frame.w / held[codes]
        loss = -np.average(p[np.arange(N), codes], weights=weights)
        return loss + 0.5e-3 * N / frame.w.sum() * (fitted.coef_**2).sum()

    assert objective(model) <= objective(whole) * (1 + 2e-3)
    stored = model._state["clock"]["updates"][0]
    model.set_params(class_weight=None)
    matrix = opened(frame, **asked).collect().matrix.toarray()
    model.partial_fit(pd.DataFrame(matrix, columns=model.feature_names_in_), frame[target])
    assert model._state["clock"]["updates"][0] > stored
    with pytest.raises(ValueError, match="early_stopping must be False"):
        flr.MiniBatchLogisticRegression(early_stopping=True).fit(rows)


def test_a_share_kept_aside_is_random_and_the_same_each_time(places, frame):
    train, test = opened(places["csv"]).split(0.25, seed=1)
    again = opened(places["parquet"]).split(0.25, seed=1)[1]
    assert train.n_rows + test.n_rows == N
    assert abs(test.n_rows - N / 4) < 4 * np.sqrt(N * 0.25 * 0.75)
    assert_array_equal(test.collect().targets, again.collect().targets)
    other = opened(places["csv"]).split(0.25, seed=2)[1]
    assert other.n_rows != test.n_rows or (other.collect().targets != test.collect().targets).any()
    model = flr.LogisticRegression().fit(streamed(train))
    assert model.score(test) == pytest.approx(model.score(frame), abs=0.05)


def test_rows_are_scored_by_what_they_were_opened_with(frame):
    frame = frame.assign(other=frame.cured.to_numpy()[::-1])
    model = flr.LogisticRegression().fit(opened(frame))
    weighted = flr.LogisticRegression().fit(opened(frame, sample_weight="w"))
    right = model.predict(frame) == frame.cured
    assert model.score(opened(frame)) == pytest.approx(right.mean())
    assert model.score(flr.open_rows(frame)) == pytest.approx(right.mean())
    right = weighted.predict(frame) == frame.cured
    expected = np.average(right, weights=frame.w)
    assert weighted.score(opened(frame, sample_weight="w")) == pytest.approx(expected)
    for other in ({"target": "other"}, {"sample_weight": "w"}, {"offset": "known"}):
        ((role, name),) = other.items()
        with pytest.raises(ValueError, match=f"opened with {role}='{name}', and the model was"):
            model.score(opened(frame, **other))
    with pytest.raises(ValueError, match="opened with offset='known'"):
        model.predict(opened(frame, offset="known"))


def test_samples_are_those_of_rows_in_memory(places):
    from fastlogreg.data.memory import MemoryRows

    rows = opened(places["parquet"])
    whole = rows.collect()
    memory = MemoryRows(whole.matrix, whole.targets)
    source = streamed(opened(places["parquet"], 64 << 20)).source(None)
    for step in (64, 8):
        found, expected = source.sample(step), memory.sample(step)
        assert found.fraction == expected.fraction
        chosen = expected._chosen
        assert_array_equal(found.arrays[0].toarray(), whole.matrix[chosen].toarray())
        assert_array_equal(found.arrays[1], whole.targets[chosen])
    assert source.sample_readings() == 1.0


def test_samples_that_the_look_draws_of_rows_that_nobody_has_counted(tmp_path, rng):
    n = 70_000
    frame = pd.DataFrame(rng.normal(size=(n, 3)).round(3), columns=list("abc")).assign(
        t=np.array(["u", "v"])[rng.integers(0, 2, n)], number=np.arange(n), y=rng.integers(0, 2, n)
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    rows = flr.open_rows(tmp_path / "rows.csv", target="y", memory_limit=2_000_000)
    source = rows.source(None)
    (at,) = (k for k, name in enumerate(rows.schema.names()) if name == "number")
    known = []
    for step in (64, 8):  # of one of 8 there is room for some
        found = source.sample(step)
        numbers = found.arrays[0].toarray()[:, at].astype(int)
        assert (np.diff(numbers) > 0).all()
        assert_array_equal(found.arrays[1], frame.y[numbers])
        assert_array_equal(found.arrays[0].toarray()[:, 0], frame.a[numbers])
        assert found.fraction == len(numbers) / n
        # drawn evenly: none of the tenths of the rows has much more than its share
        counts = np.histogram(numbers, 10, (0, n))[0]
        assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
        known.append(len(numbers))
    assert source.sample_readings() == 0.0
    assert known[0] == n // 64 and known[0] < known[1] <= n // 8
    model = flr.LogisticRegression().fit(rows)
    whole = flr.LogisticRegression().fit(flr.open_rows(frame, target="y"))
    assert_allclose(model.coef_, whole.coef_, atol=1e-4)


@pytest.mark.parametrize("text", [False, True])
def test_samples_that_the_look_draws(text, tmp_path, rng):
    from fastlogreg.data.memory import MemoryRows

    n = 70_000
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    if text:
        frame["c"] = np.array(["u", "v", "w"])[rng.integers(0, 3, n)]
    frame["y"] = (frame.a > rng.normal(size=n)).astype(int)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=9_000)
    limit = 2_100_000  # below twice the rows, and one of 64 has room
    rows = flr.open_rows(tmp_path / "rows.parquet", target="y", memory_limit=limit)
    whole = flr.open_rows(frame, target="y").collect()
    memory = MemoryRows(whole.matrix, whole.targets)
    source = rows.source(None)
    found, expected = source.sample(64), memory.sample(64)
    chosen = slice(None) if expected.chosen is None else expected.chosen
    drawn = [array[chosen] for array in expected.arrays[:2]]
    assert source.sample_readings() == 0.0 and found.fraction == expected.fraction

    def dense(matrix):
        return matrix.toarray() if hasattr(matrix, "toarray") else matrix

    assert_array_equal(dense(found.arrays[0]), dense(drawn[0]))
    assert_array_equal(found.arrays[1], drawn[1])
    found.bind(PassSpec())(np.zeros(1 + memory.n_columns), 2)
    fewer = source.sample(8)
    assert 64 <= fewer.n_rows <= limit // 8 // 32
    model = flr.LogisticRegression().fit(rows)
    own = flr.LogisticRegression().fit(whole.matrix, frame.y)
    assert not rows.fits_in_memory()
    assert model.objective_ == pytest.approx(own.objective_, rel=1e-7)


def test_a_refit_on_arrays_forgets_the_table(places, frame, encoded):
    model = flr.LogisticRegression().fit(opened(places["parquet"]))
    assert model.schema_.target == "cured"
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(frame), model.predict(frame))
    model.fit(encoded, frame.cured)
    assert not hasattr(model, "schema_") and not hasattr(model, "feature_names_in_")
    assert not hasattr(clone(model), "schema_")


def test_separated_rows_are_said_to_be(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=3000), "u": rng.normal(size=3000)})
    frame["y"] = (frame.x > 0).astype(int)
    model = flr.LogisticRegression(C=np.inf)
    with pytest.warns(ConvergenceWarning, match="can be separated by column 'x'"):
        model.fit(flr.open_rows(frame, target="y"))
    with pytest.warns(ConvergenceWarning, match="separation is suspected"):
        model.fit(streamed(flr.open_rows(frame, target="y", memory_limit=SMALL)))
    assert not model.converged_
    # far out, but there is an optimum: rows that overlap
    frame["y"] = (frame.x + 0.02 * frame.u > 0).astype(int)
    frame.loc[frame.x.abs().argmin(), "y"] ^= 1
    fits = [
        flr.LogisticRegression(C=np.inf).fit(rows)
        for rows in (
            flr.open_rows(frame[["x", "y"]], target="y"),
            streamed(flr.open_rows(frame[["x", "y"]], target="y", memory_limit=SMALL)),
        )
    ]
    assert fits[0].converged_ and fits[1].converged_
    assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-3)


def test_a_file_that_changes_is_not_fitted(tmp_path, frame):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    rows = streamed(opened(path, SMALL))
    assert rows.n_rows == N
    model = flr.LogisticRegression()
    before = dict(vars(model))
    frame.iloc[:500].to_parquet(path)
    with pytest.raises(ValueError, match=r"rows\.parquet has changed since it was opened"):
        model.fit(rows)
    assert vars(model) == before
    # as many rows, with other values, between two passes
    frame.to_parquet(path)
    rows = streamed(opened(path, SMALL))
    parts = rows.source(None)._parts
    assert sum(block.rows.n_rows for block in parts.read()) == N
    frame.assign(dose=-frame.dose).to_parquet(path)
    with pytest.raises(ValueError, match="has changed since it was opened"):
        list(parts.read())
    path.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=r"rows\.parquet"):
        flr.LogisticRegression().fit(streamed(opened(frame, SMALL)) and rows)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_file_that_is_cut_while_it_is_read_is_an_error(kind, tmp_path, frame):
    from fastlogreg.data.tables import open_table

    path = tmp_path / f"rows.{kind}"
    many = pd.concat([frame] * 20, ignore_index=True)[["dose", "age"]]
    if kind == "parquet":
        many.to_parquet(path, row_group_size=1000)
    else:
        many.to_feather(path, chunksize=1000)
    table = open_table(path)
    assert table.n_rows == len(many)
    batches = table.batches(table.types(["dose", "age"], []), 1000)
    whole = next(batches).data
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)
    assert float(whole.column(0)[999].as_py()) == frame.dose[999]
    with pytest.raises(ValueError, match=r"became shorter while it was read|can't be read"):
        for batch in batches:
            batch.data.column(0).to_numpy().sum()


def test_rows_that_stay_in_memory_are_not_read_again(places, monkeypatch):
    from fastlogreg.data.tables import File

    rows = streamed(opened(places["parquet"], 1 << 20))
    source = rows.source(None)
    skipped = []
    read = File.batches

    def watched(self, types, batch_rows, skip, most):
        skipped.append(skip)
        return read(self, types, batch_rows, skip, most)

    monkeypatch.setattr(File, "batches", watched)
    parts = source._parts
    parts._room = N  # some stay, beside those that are read ahead
    first = [block.rows.n_rows for block in parts.read()]
    second = [block.rows.n_rows for block in parts.read()]
    assert first == second and sum(first) == N
    assert skipped[0] == 0 and 0 < skipped[-1] < N


def test_a_reader_that_is_left_early_ends():
    import threading

    from fastlogreg.data.files import ahead

    before = threading.active_count()
    reading = ahead(iter(range(10_000)))
    assert next(reading) == 0
    reading.close()
    assert threading.active_count() == before

    def broken():
        yield 1
        raise ValueError("in the reader")

    reading = ahead(broken())
    assert next(reading) == 1
    with pytest.raises(ValueError, match="in the reader"):
        next(reading)


def test_a_callback_hears_of_rows_and_verbose_prints(places, capsys):
    rows = streamed(opened(places["parquet"], SMALL))
    heard = []
    rows.on_rows = heard.append
    model = flr.LogisticRegression(verbose=1).fit(rows)
    # the look and the first pass: then all rows stay, which were said not to fit
    assert sum(heard) == 2 * N
    assert len(capsys.readouterr().out.splitlines()) == len(model.history_) + 1
