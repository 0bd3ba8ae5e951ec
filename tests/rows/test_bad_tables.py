"""What can't be fitted or predicted: one clear error each, with the file and the row or line."""

import numpy as np
import pandas as pd
import pytest

import fastlogreg as flr

GOOD = "age,site,y\n30,a,0\n40,b,1\n50,a,1\n60,b,0\n"


def csv(folder, text, name="rows.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet(folder, name="rows.parquet", **columns):
    path = folder / name
    pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1], **columns}).to_parquet(path)
    return path


def two(folder, first, second):
    return [parquet(folder, "first.parquet", **first), parquet(folder, "second.parquet", **second)]


def broken_parquet(folder):
    path = parquet(folder)
    content = path.read_bytes()
    path.write_bytes(content[:40] + b"\0" * 40 + content[80:-30])
    return path


def fit(source, **more):
    asked = {"target": "y", **more}
    return flr.LogisticRegression().fit(flr.open_rows(source, **asked))


BAD = {
    "no such file": (lambda f: f / "none.csv", {}, FileNotFoundError, "no such file or folder"),
    "no match": (lambda f: str(f / "*.parquet"), {}, FileNotFoundError, "no file matches"),
    "empty folder": (lambda f: f, {}, FileNotFoundError, "no file of rows in the folder"),
    "empty file": (lambda f: csv(f, ""), {}, ValueError, r"rows\.csv is empty"),
    "labels of bytes": (
        lambda f: parquet(f, y=[b"a", b"b", b"a", b"b"]),
        {},
        ValueError,
        "the target 'y' holds binary: labels are text or numbers",
    ),
    "only a header": (lambda f: csv(f, "age,y\n"), {}, ValueError, "has no rows"),
    "unknown kind": (
        lambda f: csv(f, "what is this", "rows.xyz"),
        {},
        ValueError,
        "not known what its rows are in",
    ),
    "no source": (lambda f: 7, {}, TypeError, "rows are opened from a path"),
    "arrays": (lambda f: np.ones((4, 2)), {}, TypeError, r"fit\(X, y\)"),
    "broken Parquet": (broken_parquet, {}, ValueError, r"rows\.parquet can't be read"),
    "text that says Parquet": (
        lambda f: csv(f, "age,y\n1,2\n", "rows.parquet"),
        {},
        ValueError,
        r"rows\.parquet can't be read",
    ),
    "text that says Arrow": (
        lambda f: csv(f, "age,y\n1,2\n", "rows.arrow"),
        {},
        ValueError,
        r"rows\.arrow can't be read",
    ),
    "ragged CSV": (
        lambda f: csv(f, GOOD + '"7\n0",c,1\n80,a\n'),
        {"features": ["site"]},
        ValueError,
        r"rows\.csv, line 8: 2 values, where the header has 3 columns",
    ),
    "a quote that nothing closes": (
        lambda f: csv(f, GOOD + '70,a,"1\n80,a,0\n'),
        {},
        ValueError,
        r"rows\.csv, line 6: column 'y' has a quote that nothing closes",
    ),
    "the same in a column that is not asked for": (
        lambda f: csv(f, 'y,t,age\n0,u,1\n1,v,2\n0,u,"3\n1,v,4\n'),
        {"features": ["t"]},
        ValueError,
        r"rows\.csv, line 4: column 'age' has a quote that nothing closes",
    ),
    "the same in text, with CRLF": (
        lambda f: csv(f, 'age,y,t\r\n1,1,u\r\n2,0,v\r\n3,1,"u\r\n4,0,v'),
        {},
        ValueError,
        r"rows\.csv, line 4: column 't' has a quote that nothing closes",
    ),
    "not UTF-8": (
        lambda f: csv(f, GOOD.encode() + b"70,\xff\xfe,1\n"),
        {},
        ValueError,
        "line 6: not UTF-8 text",
    ),
    "a word among numbers": (
        lambda f: csv(f, GOOD.replace("60", "\n60") + "many,a,0\n" + "1,a,1\n" * 3),
        {"features": ["site"], "categorical": "auto"},
        None,
        "",
    ),
    "a word among numbers, far down": (
        lambda f: csv(f, GOOD + "".join(f"{i},a,1\n" for i in range(700_000)) + "many,a,0\n"),
        {},
        ValueError,
        r"line 700006: column 'age' holds numbers, and 'many' is none",
    ),
    "a word among numbers, near": (
        lambda f: csv(f, GOOD + '"1,000",a,1\n'),
        {},
        ValueError,
        "'age' holds numbers in 4 rows and text in 1, such as '1,000'",
    ),
    "decimal commas": (
        lambda f: csv(f, "age;y\n" + "".join(f"{i},5;{i % 2}\n" for i in range(21))),
        {},
        ValueError,
        "'age' has 21 levels, such as '0,5', which look like numbers",
    ),
    "few numbers in a form that is not read": (
        lambda f: csv(f, "rate,y\n" + "5 %,1\n10 %,0\n" * 20),
        {},
        None,
        "",
    ),
    "amounts of money": (
        lambda f: csv(f, "pay,y\n" + "".join(f'"$1,{i:03}.50",{i % 2}\n' for i in range(21))),
        {},
        ValueError,
        r"'pay' has 21 levels, such as '\$1,000.50', which look like numbers",
    ),
    "numbers of versions": (
        lambda f: csv(f, "build,y\n" + "".join(f"1.{i}.3,{i % 2}\n" for i in range(21))),
        {},
        None,
        "",
    ),
    "dates in a form that is not read": (
        lambda f: csv(f, "day,y\n" + "".join(f"{i + 1}/3/2024,{i % 2}\n" for i in range(21))),
        {},
        ValueError,
        "'day' has 21 levels, such as '1/3/2024', which look like dates",
    ),
    "a column without a name alone": (
        lambda f: csv(f, ",y\n0,1\n1,0\n"),
        {},
        ValueError,
        "no column left for features",
    ),
    "complex numbers": (
        lambda f: pd.DataFrame({"x": [1j, 2j], "y": [0, 1]}),
        {},
        TypeError,
        "column 'x' holds complex128",
    ),
    "a level with the name of a column": (
        lambda f: csv(f, GOOD.replace("age", "site_b")),
        {},
        ValueError,
        "would both be called 'site_b'",
    ),
    "two columns of a name": (
        lambda f: csv(f, "age,age,y\n1,2,0\n"),
        {},
        ValueError,
        "two columns of the name 'age'",
    ),
    "no target column": (lambda f: csv(f, GOOD), {"target": "z"}, ValueError, "no column 'z'"),
    "no target": (lambda f: csv(f, GOOD), {"target": None}, ValueError, "need a target"),
    "no such feature": (
        lambda f: csv(f, GOOD),
        {"features": ["height"]},
        ValueError,
        "features: .* no column 'height'; it has 'age', 'site', 'y'",
    ),
    "the target as a feature": (
        lambda f: csv(f, GOOD),
        {"features": ["age", "y"]},
        ValueError,
        "features names 'y', which is the column of target",
    ),
    "a feature twice": (
        lambda f: csv(f, GOOD),
        {"features": ["age", "age"]},
        ValueError,
        "features names 'age' twice",
    ),
    "features as one text": (lambda f: csv(f, GOOD), {"features": "age"}, TypeError, "a list"),
    "one role twice": (
        lambda f: csv(f, GOOD),
        {"sample_weight": "y"},
        ValueError,
        "different columns",
    ),
    "categories that are no features": (
        lambda f: csv(f, GOOD),
        {"categorical": ["y"]},
        ValueError,
        "categorical names 'y'",
    ),
    "one class": (
        lambda f: csv(f, GOOD.replace(",1", ",0")),
        {},
        ValueError,
        "only one class: 0",
    ),
    "a target that is a quantity": (
        lambda f: parquet(f, x=np.ones(4)) and _quantity(f),
        {},
        ValueError,
        "more than 1,000 different values",
    ),
    "a target of fractions": (
        lambda f: parquet(f, y=[0.5, 1.0, 1.5, 1.0]),
        {},
        ValueError,
        "the target 'y' has 0.5: labels are text, booleans or whole numbers",
    ),
    "a missing target": (
        lambda f: csv(f, GOOD + "70,a,\n"),
        {},
        ValueError,
        r"rows\.csv, line 6: column 'y', the target, has no value",
    ),
    "a missing number": (
        lambda f: csv(f, GOOD + '"7\n0",a,1\n'.replace("\n0", "0") + ",a,1\n"),
        {},
        ValueError,
        r"rows\.csv, line 7: column 'age' has no value; missing='mean'",
    ),
    "a missing category": (
        lambda f: csv(f, GOOD + "70,,1\n"),
        {},
        ValueError,
        r"line 6: column 'site' has no value",
    ),
    "missing number in Parquet": (
        lambda f: parquet(f, x=[1.0, None, 3.0, 4.0]),
        {},
        ValueError,
        r"rows\.parquet, row 1: column 'x' has no value",
    ),
    "infinity": (
        lambda f: parquet(f, x=[1.0, 2.0, np.inf, 4.0]),
        {"missing": "mean"},
        ValueError,
        r"row 2: column 'x' holds infinity",
    ),
    "nothing but missing": (
        lambda f: parquet(f, u=[np.nan] * 4),
        {"missing": "mean"},
        ValueError,
        "column 'u' has no value in any row",
    ),
    "too large for float32": (
        lambda f: parquet(f, x=[1.0, 2.0, 1e39, 4.0]),
        {"dtype": "float32"},
        ValueError,
        "row 2: column 'x' is too large for float32",
    ),
    "dates": (
        lambda f: parquet(f, day=pd.date_range("2026-01-01", periods=4)),
        {},
        ValueError,
        "column 'day' holds dates or times .* the year, the weekday",
    ),
    "lists": (
        lambda f: parquet(f, tags=[[1], [2], [], [3]]),
        {},
        ValueError,
        "column 'tags' holds list.*neither numbers nor text",
    ),
    "broken numbers as categories": (
        lambda f: parquet(f),
        {"categorical": ["x"], "features": ["x"]},
        None,
        "",
    ),
    "fractions as categories": (
        lambda f: parquet(f, x=[0.5, 1.0, 1.5, 2.0]),
        {"categorical": ["x"]},
        ValueError,
        "categories must be text or whole numbers",
    ),
    "too many levels": (
        lambda f: parquet(f) and _names(f),
        {},
        ValueError,
        "column 'name' has more than 10,000 levels, such as 'n0'",
    ),
    "a negative weight": (
        lambda f: parquet(f, w=[1.0, -1.0, 1.0, 1.0]),
        {"sample_weight": "w"},
        ValueError,
        r"row 1: column 'w', the sample_weight, is negative \(-1.0\)",
    ),
    "a missing weight": (
        lambda f: parquet(f, w=[1.0, None, 1.0, 1.0]),
        {"sample_weight": "w"},
        ValueError,
        "row 1: column 'w', the sample_weight, has no value",
    ),
    "a class without weight": (
        lambda f: parquet(f, w=[1.0, 0.0, 1.0, 0.0]),
        {"sample_weight": "w"},
        ValueError,
        "the class 1 of the target 'y' has no row of positive weight",
    ),
    "weights of text": (
        lambda f: parquet(f, w=list("abcd")),
        {"sample_weight": "w"},
        ValueError,
        "column 'w', the sample_weight, holds text",
    ),
    "another kind in the second file": (
        lambda f: two(f, {}, {"x": list("abcd")}),
        {},
        ValueError,
        r"column 'x' is double in .*first.parquet and .*string in .*second.parquet",
    ),
    "no such column in the second file": (
        lambda f: [parquet(f, "first.parquet", u=np.ones(4)), parquet(f, "second.parquet")],
        {},
        ValueError,
        r"second\.parquet has no column 'u', which .*first\.parquet has",
    ),
    "wrong missing": (lambda f: csv(f, GOOD), {"missing": "drop"}, ValueError, "missing must be"),
    "wrong dtype": (lambda f: csv(f, GOOD), {"dtype": "int8"}, ValueError, "dtype must be float64"),
    "wrong limit": (lambda f: csv(f, GOOD), {"memory_limit": 10}, ValueError, "at least 1 MiB"),
    "wrong frequency": (
        lambda f: csv(f, GOOD),
        {"min_frequency": 1.5},
        ValueError,
        "between 0 and 1",
    ),
    "one level, dropped": (
        lambda f: csv(f, GOOD.replace(",b", ",a")),
        {"features": ["site"], "drop_first": True},
        ValueError,
        "every feature has one level alone",
    ),
}


def _quantity(folder):
    path = folder / "quantity.parquet"
    pd.DataFrame({"x": np.arange(2000.0), "y": np.arange(2000) * 7}).to_parquet(path)
    return path


def _names(folder):
    path = folder / "names.parquet"
    names = [f"n{i}" for i in range(12_000)]
    pd.DataFrame({"name": names, "y": np.arange(12_000) % 2}).to_parquet(path)
    return path


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused(case, tmp_path):
    make, asked, error, message = BAD[case]
    source = make(tmp_path)
    if error is None:  # near a bad one, and good
        assert fit(source, **asked).converged_
        return
    model = flr.LogisticRegression(C=0.5).fit(np.array([[0.0], [1.0], [2.0]]), [0, 1, 0])
    before = {name: repr(value) for name, value in vars(model).items()}
    with pytest.raises(error, match=message):
        model.fit(flr.open_rows(source, **{"target": "y", **asked}))
    assert {name: repr(value) for name, value in vars(model).items()} == before


NEW = {
    "a level that is new": (
        "age,site\n30,a\n31,zed\n",
        r"line 3: column 'site' has 'zed', which is",
    ),
    "a missing column": ("age\n30\n", "no column 'site', which the model was fitted with"),
    "another column": (
        "age,site,who\n30,a,me\n",
        "a column 'who', which the table .* did not have",
    ),
    "another kind": ("age,site\nold,a\n", "column 'age' holds text, where .* fitted on numbers"),
    "a missing number": ("age,site\n30,a\n,b\n", "line 3: column 'age' has no value"),
    "a missing category": ("age,site\n30,a\n31,\n", "line 3: column 'site' has no value"),
    "no rows": ("age,site\n", "has no rows|holds"),
}


@pytest.mark.parametrize("case", NEW)
def test_a_table_that_does_not_fit_the_model(case, tmp_path):
    text, message = NEW[case]
    model = fit(csv(tmp_path, GOOD))
    rows = flr.open_rows(csv(tmp_path, text, "new.csv"))
    for predict in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(ValueError, match=message):
            predict(rows)


def test_what_does_not_go_together(tmp_path):
    rows = flr.open_rows(csv(tmp_path, GOOD), target="y")
    with pytest.raises(TypeError, match=r"y must not be given .* target= names the column"):
        flr.LogisticRegression().fit(rows, [0, 1])
    with pytest.raises(TypeError, match="sample_weight must not be given"):
        flr.LogisticRegression().fit(rows, sample_weight=np.ones(4))
    with pytest.raises(TypeError, match="not in pieces"):
        flr.MiniBatchLogisticRegression().partial_fit(rows, None, classes=[0, 1])
    model = flr.LogisticRegression().fit(np.eye(3), [0, 1, 0])
    with pytest.raises(ValueError, match="was not fitted on rows of open_rows"):
        model.predict(rows)
    model.fit(rows)
    with pytest.raises(TypeError, match="offset must not be given beside a table"):
        model.predict(rows, offset=np.ones(4))
    with pytest.raises(TypeError, match="must be a dict, 'balanced' or None"):
        flr.LogisticRegression(class_weight=3).fit(rows)


@pytest.mark.parametrize("end", ['2,0,"u\nw"', '2,0,"u\nw"\n\n', '2,0,"u\r\nw"\r\n', '2,0,u"\n'])
def test_quotes_that_are_closed_hold_lines(end, tmp_path):
    rows = flr.open_rows(csv(tmp_path, "age,y,t\n1,1,v\n" + end), target="y")
    assert rows.n_rows == 2
    assert rows.schema.width == 3
