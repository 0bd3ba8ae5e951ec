"""Formulas and tables: what the columns are, which rows are left, what is refused."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlogreg as flr
from tests.statistics.data import drawn, frame, theirs


@pytest.fixture
def data():
    X, y = drawn(n=400)
    rng = np.random.default_rng(2)
    out = frame(X, y).assign(
        label=np.array(["no", "yes"])[y],
        k=rng.integers(0, 4, 400).astype(str),
        shift=rng.standard_normal(400) * 0.3,
        w=rng.integers(1, 4, 400),
    )
    out.index = out.index[::-1] + 1000  # whatever the index is
    return out


@pytest.mark.parametrize(
    "right",
    ["a + b * c + C(k)", "a + np.exp(b) + I(c ** 2)", "a:b + k - 1", "1", "bs(a, df=4) + b"],
)
def test_columns_are_those_of_statsmodels(data, right):
    ours, other = flr.logit(f"y ~ {right}", data), theirs(f"y ~ {right}", data)
    table = ours.to_frame()
    if not right.startswith("bs("):  # which formulaic and patsy give other names
        table = table.loc[other.params.index]  # patsy has factors first
    np.testing.assert_allclose(table["coef"], other.params, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(table["std_err"], other.bse, rtol=1e-6)
    np.testing.assert_allclose(ours.predict(data[:9]), other.predict(data[:9]), rtol=1e-6)


def test_rows_that_lack_something_are_left_out_and_said(data):
    whole = flr.logit("label ~ a + C(k)", data, offset="shift", sample_weight="w").params
    for name, row in (("a", 3), ("label", 5), ("k", 7), ("shift", 8), ("w", 9)):
        data[name] = data[name].astype(object)
        data.iloc[row, data.columns.get_loc(name)] = None
    data = data.assign(**{name: data[name].astype(float) for name in ("a", "shift", "w")})
    results = flr.logit("label ~ a + C(k)", data, offset="shift", sample_weight="w")
    assert results.nobs == data.dropna()["w"].sum()
    assert "5, dropped" in str(results.summary())
    assert (whole != results.params).all()
    left = flr.logit("label ~ a + C(k)", data.dropna(), offset="shift", sample_weight="w")
    np.testing.assert_allclose(left.params, results.params, rtol=1e-9)
    arrays = flr.logit("label ~ a + C(k)", data, offset=data["shift"], sample_weight=data["w"])
    np.testing.assert_array_equal(arrays.params, results.params)
    # predictions stand beside their rows
    found = results.predict(data)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 7, 8]
    np.testing.assert_allclose(results.predict(data[:2]), found[:2], rtol=1e-12)
    frames = pl.from_pandas(data)
    np.testing.assert_array_equal(
        flr.logit("label ~ a + C(k)", frames, offset="shift", sample_weight="w").params,
        results.params,
    )
    np.testing.assert_array_equal(results.predict(frames), found)


def test_labels_of_any_kind(data):
    expected = flr.logit("y ~ a", data).params
    data["flag"] = data.y == 1
    data["kind"] = data.label.astype("category")
    for left in ("label", "flag", "kind", "I(y > 0)", "I(1.0 * y)"):
        results = flr.logit(f"{left} ~ a", data)
        np.testing.assert_allclose(results.params, expected, rtol=1e-9)
    assert flr.logit("label ~ a", data).classes_.tolist() == ["no", "yes"]
    turned = flr.logit("label ~ a", data, reference="yes")
    np.testing.assert_allclose(turned.params, -expected, rtol=1e-9)
    np.testing.assert_allclose(turned.predict(data), 1 - flr.logit("y ~ a", data).predict())


def test_clusters_by_name_and_by_value(data):
    data["g"] = np.arange(400) // 20
    by_name = flr.logit("y ~ a", data, cov_type="cluster", groups=["g", "k"])
    by_value = flr.logit("y ~ a", data, cov_type="cluster", groups=data[["g", "k"]])
    np.testing.assert_array_equal(by_name.bse, by_value.bse)
    data.loc[data.index[0], "g"] = np.nan
    assert flr.logit("y ~ a", data, cov_type="cluster", groups="g").nobs == 399


def test_nested_models(data):
    small, large = flr.logit("y ~ a", data), flr.logit("y ~ a + C(k)", data)
    found = large.lr_test(small)
    assert found == small.lr_test(large)
    assert found.df == 3
    assert found.statistic == pytest.approx(2 * (large.llf - small.llf))
    with pytest.raises(ValueError, match="same rows"):
        large.lr_test(flr.logit("y ~ a", data[:-1]))
    with pytest.raises(ValueError, match="as many parameters"):
        small.lr_test(flr.logit("y ~ b", data))
    with pytest.raises(ValueError, match="null model"):
        flr.logit("y ~ 1", data).lr_test()


def test_what_is_refused(data):
    data["zero"] = 0.0
    with pytest.raises(ValueError, match="levels that the fit did not have"):
        flr.logit("y ~ C(k)", data).predict(data.assign(k="7"))
    for formula, words in (
        ("y ~ nope", "nope"),
        ("nope ~ a", "nope"),
        ("a + b", "left and a right side"),
        ("y ~~ a +", "can't be read"),
        ("k + a ~ b", "must be numbers"),
        ("k + a + b ~ b", "one column on its left"),
        ("zero ~ a", "only one class"),
    ):
        with pytest.raises(ValueError, match=words):
            flr.logit(formula, data)
    with pytest.raises(ValueError, match=r"column 'I\(1 / b\)' is inf at row 4"):
        flr.logit("y ~ I(1 / b)", data.assign(b=np.where(np.arange(400) == 4, 0.0, data.b)))
    with pytest.raises(TypeError, match="formula must be a string"):
        flr.logit(data, "y ~ a")
    with pytest.raises(TypeError, match="data must be"):
        flr.logit("y ~ a", data.to_numpy())
    with pytest.raises(ValueError, match="offset='nope' is no column"):
        flr.logit("y ~ a", data, offset="nope")
    with pytest.raises(ValueError, match="sample_weight must have one value"):
        flr.logit("y ~ a", data, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="method must be one of"):
        flr.logit("y ~ a", data, method="bayes")
    with pytest.raises(ValueError, match="no rows"):
        flr.logit("y ~ a", data[:0])


def test_a_sum_of_numeric_columns_is_read_without_the_formulas_copies():
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 60),
            "a b": rng.normal(size=60),
            "k": rng.integers(0, 9, 60),
            "f": rng.normal(size=60).astype(np.float32),
        }
    )
    table.loc[[3, 7], "a b"] = np.nan
    plain = flr.logit("y ~ `a b` + k + f", table)
    made = flr.logit("y ~ I(1.0 * `a b`) + I(1.0 * k) + I(1.0 * f)", table)
    assert plain.names == ["Intercept", "a b", "k", "f"]
    assert_allclose(plain.params, made.params, rtol=1e-9)
    assert_allclose(plain.bse, made.bse, rtol=1e-7)
    assert plain.nobs == made.nobs == 58
    assert_allclose(plain.predict(table), made.predict(table), rtol=1e-9)
    for formula in ("y ~ k", "y ~ I(k > 0)", "y ~ k + np.log(f)"):
        with pytest.raises(ValueError, match="no rows are left"):
            flr.logit(formula, table.assign(k=np.nan))
    none = flr.logit("y ~ k + f - 1", table)
    assert none.names == ["k", "f"]


def _plain_table(n=400):
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.standard_normal((n, 2)), columns=["a", "b"])
    return table.assign(y=(rng.random(n) < 0.4).astype(float), w=rng.integers(0, 3, n) * 1.0)


def test_plain_columns_lack_values_and_refuse_infinite_ones():
    table = _plain_table()
    table.loc[[3, 399], "a"] = np.nan
    found = flr.logit("y ~ a + b", table)
    assert found.nobs == 398
    kept = flr.logit("y ~ a + b", table.dropna())
    assert_allclose(found.params, kept.params, rtol=1e-12)
    assert_allclose(found.bse, kept.bse, rtol=1e-12)
    table.loc[7, "b"] = np.inf
    with pytest.raises(ValueError, match="'b' is inf at row 7"):
        flr.logit("y ~ a + b", table)
    table.loc[8, "b"] = -np.inf  # their sum is NaN
    with pytest.raises(ValueError, match="'b' is inf at row 7"):
        flr.logit("y ~ a + b", table)


def test_results_of_plain_columns_stay_when_the_table_changes_and_are_pickled():
    table = _plain_table()
    found = flr.logit("y ~ a + b", table, sample_weight="w")
    new = table[["a", "b"]].head(5)
    expected, null = found.predict(new), flr.logit("y ~ a + b", table, sample_weight="w").llnull
    again = pickle.loads(pickle.dumps(flr.logit("y ~ a + b", table, sample_weight="w")))
    leverage = flr.logit("y ~ a + b", table).leverage
    unread = flr.logit("y ~ a + b", table)
    table.loc[:, ["y", "w", "a", "b"]] = 0.0
    assert_allclose(unread.leverage, leverage, rtol=1e-14)
    assert_allclose(again.predict(new), expected, rtol=1e-14)
    assert found.llnull == null  # first read of the labels and weights after the change


def test_columns_that_lie_side_by_side_are_not_copied():
    table = _plain_table().rename(columns={"y": "target"})  # a and b in one block of memory
    design, shuffled = (
        flr.logit(f"target ~ {names}", table) for names in ("a + b", "b + a + I(a * 0 + w)")
    )
    held = design._fit.likelihood.rows.matrix
    assert held.flags.f_contiguous and not held.flags.writeable
    if pd.__version__ >= "3":
        assert np.shares_memory(held, table["a"].to_numpy())
    assert_allclose(held, table[["a", "b"]])
    made = shuffled._fit.likelihood.rows.matrix
    assert_allclose(made, table[["b", "a", "w"]])
    other = flr.logit("target ~ b + a", table)
    assert_allclose(other.params, design.params[[0, 2, 1]], rtol=1e-12)
    assert_allclose(other.bse, design.bse[[0, 2, 1]], rtol=1e-7)


def test_a_sum_of_names_is_read_as_formulaic_does():
    table = _plain_table()
    table["None"] = table.pop("w")
    for formula in ("y ~ a + None + b", " y~b+a ", "y ~ a + b + a", "y ~ a + (b)"):
        ours = flr.logit(formula, table)
        theirs = flr.logit(formula.replace("~", "~ 1 +"), table)
        assert ours.names == theirs.names
        assert_allclose(ours.params, theirs.params, rtol=1e-12)
        assert_allclose(ours.predict(table.head(3)), theirs.predict(table.head(3)), rtol=1e-12)


@pytest.mark.parametrize("weights", [None, "w"])
def test_clusters_of_any_kind_are_summed_alike_in_the_order_of_rows_and_sorted(
    weights, monkeypatch
):
    table = _plain_table()
    codes = np.random.default_rng(6).integers(0, 30, len(table))
    table.loc[codes == 4, "w"] = 0.0  # a cluster of nothing
    ways = [codes * 1000 - 5, codes.astype(float), codes.astype(str), codes.astype("M8[D]")]

    def errors(groups):
        return flr.logit(
            "y ~ a + b", table, cov_type="cluster", groups=groups, sample_weight=weights
        ).bse

    found = [errors(way) for way in ways]
    monkeypatch.setattr("fastlogreg.statistics.covariance._SCORES", 3)
    for each in found:
        assert_allclose(each, errors(codes), rtol=1e-12)


def test_rows_that_compare_a_missing_value_lack_something():
    table = _plain_table().rename(columns={"b": "b b"})
    table.loc[::5, "a"] = np.nan
    table.loc[1::7, "b b"] = np.nan
    full = table.dropna()
    for formula in (
        "y ~ I(a > 0)",
        "y ~ w + w:I((0 < `b b`) & (a < 1))",
        "I(a > 0.5) ~ w",
        "y ~ np.where(a > 0, 1, 2) + `b b`",
    ):
        names = [name for name in ("a", "b b") if name in formula]
        ours, theirs = flr.logit(formula, table), flr.logit(formula, table.dropna(subset=names))
        assert ours.nobs == len(table.dropna(subset=names)) < len(table)
        assert_allclose(ours.params, theirs.params, rtol=1e-9)
    found = flr.logit("y ~ I(a > 0)", table)
    assert_array_equal(np.isnan(found.predict(table)), table["a"].isna())
    # whoever asks for missing values gets them
    asked = flr.logit("y ~ I(a.fillna(0.0) > 0) + I(a.isna() * 1.0)", table)
    assert asked.nobs == len(table) and len(full) < len(table)


def test_columns_of_pandas_own_types_are_read():
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 200),
            "x": rng.normal(size=200).round(2),
            "k": rng.integers(0, 5, 200),
            "g": rng.choice(["r", "s", "t"], 200),
            "f": rng.integers(0, 2, 200) > 0,
        }
    )
    expected = flr.logit("y ~ x + k + g + f", table)
    for other in (table.convert_dtypes(), table.convert_dtypes(dtype_backend="pyarrow")):
        found = flr.logit("y ~ x + k + g + f", other)
        assert found.names == expected.names
        assert_allclose(found.params, expected.params, rtol=1e-9)
        assert_allclose(found.predict(other), expected.predict(table), rtol=1e-9)
    lacking = table.convert_dtypes()
    lacking.loc[3, "g"] = lacking.loc[4, "x"] = lacking.loc[5, "f"] = pd.NA
    left = flr.logit("y ~ x + k + g + f", lacking)
    assert left.nobs == 197 and left.names == expected.names
    assert_allclose(left.params, flr.logit("y ~ x + k + g + f", table.drop([3, 4, 5])).params)
    known = lacking["f"].notna().to_numpy()
    for labels in (lacking["f"].astype(object).where(known, None), lacking["f"]):
        as_target = flr.logit("f ~ x", lacking.assign(f=labels))
        assert as_target.classes_.tolist() == [False, True] and as_target.nobs == 198
    with pytest.raises(ValueError, match="Complex data not supported: the column 'x'"):
        flr.logit("y ~ x", table.assign(x=table["x"] * 1j))


def test_levels_that_no_row_has_are_left_out():
    rng = np.random.default_rng(2)
    levels = pd.Categorical(rng.choice(["r", "s", "t"], 200), categories=["q", "r", "s", "t"])
    table = pd.DataFrame({"y": rng.integers(0, 2, 200), "x": rng.normal(size=200), "g": levels})
    expected = flr.logit("y ~ x + g", table.assign(g=table["g"].astype(str)))
    found = flr.logit("y ~ x + g", table)
    assert found.names == expected.names == ["Intercept", "x", "g[T.s]", "g[T.t]"]
    assert_allclose(found.params, expected.params, rtol=1e-9)
    # and those that only rows without another value have
    table.loc[table["g"] == "t", "x"] = np.nan
    assert flr.logit("y ~ x + g", table).names == ["Intercept", "x", "g[T.s]"]


@pytest.mark.parametrize("method", ["ml", "firth"])
def test_the_second_class_as_reference_changes_signs_alone(method):
    table = _plain_table().assign(o=lambda t: 1.0 + t["a"])
    first = flr.logit("y ~ b", table, offset="o", method=method)
    second = flr.logit("y ~ b", table, offset="o", reference=1.0, method=method)
    assert_allclose(second.params, -first.params, rtol=1e-7)
    assert_allclose(second.predict(), 1.0 - first.predict(), rtol=1e-7)
    assert_allclose(second.predict(table), second.predict(), rtol=1e-12)
    ours, theirs = (r.predict(table, interval=True) for r in (second, first))
    assert_allclose(ours.lower, 1.0 - theirs.upper, rtol=1e-6)
    model = flr.LogisticRegression(C=np.inf, tol=1e-10).fit(
        table[["b"]], table["y"], offset=table["o"]
    )
    X, y, o = table[["b"]], table["y"], table["o"]
    of_model = flr.inference(model, X, y, offset=o, reference=1.0)
    assert_allclose(of_model.predict(X, offset=o), of_model.predict(), rtol=1e-12)
