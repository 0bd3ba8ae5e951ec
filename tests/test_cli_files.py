"""``fastlogreg fit``, ``predict`` and ``summary``, as a person types them."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

import fastlogreg as flr
from fastlogreg.cli import files
from fastlogreg.cli.app import app


def invoke(*arguments, text=None):
    runner = CliRunner()
    env = {"COLUMNS": "200", "NO_COLOR": "1"}
    return runner.invoke(app, [str(each) for each in arguments], env=env, input=text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shell")
    rng = np.random.default_rng(5)
    n = 3000
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(20, 80, n)),
            "site": rng.choice(["north", "south"], n),
            "code": rng.integers(0, 4, n),
            "w": rng.random(n) + 0.5,
        }
    )
    z = 0.05 * (frame.age.fillna(50) - 50) + (frame.site == "north") - 0.4 * frame.code
    frame["income"] = np.where(rng.random(n) < 1 / (1 + np.exp(-z)), "high", "low")
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")
    fitted = invoke(
        *("fit", folder / "rows.csv", "--target", "income", "--output", folder / "model.flr"),
        *("--missing", "mean", "--weight", "w", "--categorical", "code", "--test-size", "0.2"),
        *("--C", "0.5", "--seed", "3", "--memory-limit", "2MB"),
    )
    assert fitted.exit_code == 0, fitted.output
    (folder / "report.txt").write_text(fitted.output)
    return folder


def test_fit_reports_and_stores(folder):
    report = (folder / "report.txt").read_text()
    for text in ("rows kept aside", "auc", "log loss", "site_north", "code_3", "standardized"):
        assert text in report.lower()
    model = flr.load(folder / "model.flr")
    assert model.C == 0.5
    asked = {"target": "income", "sample_weight": "w", "missing": "mean", "categorical": ["code"]}
    train, test = flr.open_rows(folder / "rows.parquet", **asked).split(0.2, seed=3)
    own = flr.LogisticRegression(C=0.5).fit(train)
    assert_allclose(model.coef_, own.coef_, rtol=1e-9)
    assert f"{own.score(test):.4f}" in report
    from sklearn.metrics import roc_auc_score

    codes = test.collect().targets
    scores = np.concatenate(
        [own.predict_proba(batch)[:, 1] for batch in test.encoded_by(own.schema_)]
    )
    weights = test.collect().weights
    assert f"{roc_auc_score(codes, scores, sample_weight=weights):.4f}" in report


def test_predictions_stand_beside_their_keys(folder):
    rows = pd.read_csv(folder / "rows.csv").iloc[:40]
    rows["customer"] = [f"{k:04d}" for k in range(40)]
    rows["visit"] = 2**60 + np.arange(40)
    for name in ("keyed.csv", "keyed.parquet"):
        write = rows.to_csv if name.endswith("csv") else rows.to_parquet
        write(folder / name, index=False)
        asked = ("predict", folder / "model.flr", folder / name)
        keys = ("--key", "customer", "--key", "visit", "--output", folder / "keys.csv")
        assert invoke(*asked, *keys).exit_code == 0
        scores = pd.read_csv(folder / "keys.csv", dtype=str)
        assert scores.columns.tolist() == ["customer", "visit", "prediction"]
        assert scores.customer.tolist() == rows.customer.tolist()
        assert scores.visit.tolist() == rows.visit.astype(str).tolist()
        result = invoke(*asked, "--key", "nobody", "--key", "customer", "--key", "visit")
        assert result.exit_code == 1 and "no column 'nobody'" in result.stderr
        (folder / name).unlink()
    (folder / "keys.csv").unlink()


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_predict_writes_what_the_model_says(kind, folder):
    output = folder / f"scores.{kind}"
    asked = ("predict", folder / "model.flr", folder / "rows.parquet", "--proba")
    result = invoke(*asked, "--output", output)
    assert result.exit_code == 0, result.output
    assert "3,000 rows predicted" in result.stderr
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "feather": pd.read_feather}[kind]
    scores = read(output)
    model = flr.load(folder / "model.flr")
    expected = model.predict_proba(pd.read_parquet(folder / "rows.parquet"))
    assert scores.columns.tolist() == ["prediction", "probability_high", "probability_low"]
    assert_allclose(scores.iloc[:, 1:].to_numpy(), expected, rtol=1e-12)
    assert (scores.prediction == np.where(expected[:, 0] > 0.5, "high", "low")).all()


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2**63 + 1, 2**63 + 2], dtype=np.uint64),
        np.array([-(2**62), 7], dtype=np.int64),
        np.array([False, True]),
        np.array(["no", "yes, or so"], dtype=object),
    ],
    ids=["uint64", "int64", "bool", "text"],
)
def test_predictions_are_labels_as_they_were(labels, tmp_path):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": labels[np.arange(20) // 10]})
    frame.to_parquet(tmp_path / "rows.parquet")
    fitted = invoke(
        *("fit", tmp_path / "rows.parquet", "--target", "y"), "--output", tmp_path / "model.flr"
    )
    assert fitted.exit_code == 0, fitted.output
    asked = ("predict", tmp_path / "model.flr", tmp_path / "rows.parquet")
    result = invoke(*asked, "--output", tmp_path / "scores.parquet")
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(tmp_path / "scores.parquet").prediction.tolist() == frame.y.tolist()


def test_streams(folder):
    lines = (folder / "rows.csv").read_text().splitlines()[:200]
    fitted = invoke("fit", "-", "--target", "site", "--missing", "mean", text="\n".join(lines))
    assert fitted.exit_code == 0, fitted.output
    result = invoke("predict", folder / "model.flr", "-", text="\n".join(lines))
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 200
    assert result.stdout.splitlines()[0] == '"prediction"'


def test_summary(folder):
    result = invoke("summary", folder / "model.flr", "--coefficients", "2")
    assert result.exit_code == 0, result.output
    for text in ("C=0.5", "income", "north, south", "the first 2 of 7", "where missing"):
        assert text in result.output


def test_cross_validation_and_a_table_without_output(folder):
    result = invoke(
        *("fit", folder / "rows.parquet", "--target", "income", "--missing", "mean"),
        *("--cv", "3", "--l1-ratio", "1", "--balanced", "--features", "age,site"),
    )
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr  # of what a shell can't set
    assert "chosen C" in result.output and "LogisticRegressionCV" in result.output


def test_a_fit_that_does_not_converge_says_so_and_is_stored(folder):
    output = folder / "short.flr"
    result = invoke(
        *("fit", folder / "rows.csv", "--target", "income", "--missing", "mean"),
        *("--max-iter", "1", "--tol", "1e-14", "--output", output),
    )
    assert result.exit_code == files.Exit.NOT_CONVERGED
    assert "warning: no convergence" in result.stderr and "NO" in result.stdout
    assert not flr.load(output).converged_


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("fit", "none.csv", "--target", "y"), 1, "no such file or folder: none.csv"),
        (("fit", "rows.csv", "--target", "pay"), 1, "no column 'pay'"),
        (("fit", "rows.csv", "--target", "income"), 1, "rows.csv, line"),
        (("fit", "rows.csv"), 2, "--target"),
        (("fit", "rows.csv", "--target", "income", "--memory-limit", "much"), 2, "no number of"),
        (("fit", "rows.csv", "--target", "income", "--min-frequency", "x"), 2, "no number of"),
        (("fit", "rows.csv", "--target", "income", "--test-size", "2"), 1, "between 0 and 1"),
        (("fit", "rows.csv", "--target", "income", "--output", "no/m.flr"), 1, "no folder no"),
        (("fit", "rows.csv", "--target", "income", "--C", "-1", "--missing", "mean"), 1, "C must"),
        (("fit", "rows.csv", "--target", "income", "--output", "rows.csv"), 1, "name another"),
        (("predict", "model.flr", "rows.parquet", "--output", "rows.parquet"), 1, "name another"),
        (("predict", "model.flr", "rows.c*", "--output", "rows.csv"), 1, "name another"),
        (("predict", "model.flr", ".", "--output", "rows.csv"), 1, "name another"),
        (("predict", "model.flr", "rows.csv", "--output", "no/s.csv"), 1, "there is no folder no"),
        (("fit", "rows.csv", "--target", "income", "--output", "."), 1, ". is a folder"),
        (("fit", "-", "--target", "income"), 1, "standard input is empty"),
        (("predict", "rows.csv", "rows.csv"), 1, "is no model of fastlogreg"),
        (("predict", "model.flr", "rows.csv", "--output", "x.doc"), 1, "must end in .csv"),
        (("predict", "model.flr", "report.txt"), 1, "report.txt"),
        (("summary", "none.flr"), 1, "none.flr"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, code, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr.replace("\n", " ")
    if code == 1:
        assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_an_interrupted_fit_writes_nothing(folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "fit", interrupted)
    output = folder / "never.flr"
    result = invoke("fit", folder / "rows.csv", "--target", "income", "--output", output)
    assert result.exit_code == files.Exit.INTERRUPTED
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "value"), [("200MB", 2e8), ("1GiB", 2**30), ("1e9", 1e9), ("64 k", 64e3)]
)
def test_sizes(text, value):
    assert files.bytes_of(text) == value


@pytest.mark.parametrize("text", ["", "MB", "1XB", "-3MB", "nan", "inf"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="no number of bytes"):
        files.bytes_of(text)
