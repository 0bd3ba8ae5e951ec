"""Standard errors, tests and intervals against statsmodels, published figures and formulas."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

import fastlogreg as flr
from tests.statistics.data import ANES, FAIR, SPECTOR, drawn, frame, table, theirs

CLUSTERS = {"cov_type": "cluster"}


def close(ours, theirs, rtol=1e-6):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=1e-12)


def fitted(X, y, **options):
    return flr.LogisticRegression(C=np.inf).fit(X, y, **options)


@pytest.mark.parametrize(("name", "formula"), [("spector", SPECTOR), ("fair", FAIR)])
def test_two_classes_are_as_statsmodels_has_them(name, formula):
    data = table(name)
    ours, other = flr.logit(formula, data), theirs(formula, data)
    assert ours.names == list(other.params.index)
    for attribute in ("params", "bse", "tvalues", "pvalues", "llf", "llnull", "aic", "bic"):
        close(getattr(ours, attribute), getattr(other, attribute))
    for attribute in ("prsquared", "df_model", "df_resid", "nobs"):
        close(getattr(ours, attribute), getattr(other, attribute))
    close(ours.conf_int(), other.conf_int())
    close(ours.conf_int(0.9), other.conf_int(0.1))
    close(ours.cov_params(), other.cov_params())
    close(ours.lr_test().statistic, other.llr)
    close(ours.lr_test().pvalue, other.llr_pvalue)
    close(ours.odds_ratios()[:, 0], np.exp(other.params))
    for at in ("overall", "mean"):
        for dummy in (False, True):
            effects = other.get_margeff(at=at, dummy=dummy)
            close(ours.margins(at, dummy=dummy).effects, effects.margeff)
            close(ours.margins(at, dummy=dummy).se, effects.margeff_se)
    influence = other.get_influence()
    close(ours.leverage, influence.hat_matrix_diag)
    close(ours.cooks_distance, influence.cooks_distance[0], rtol=1e-5)
    close(ours.residuals("deviance"), other.resid_dev)
    close(ours.residuals("pearson"), other.resid_pearson)
    close(ours.residuals("response"), other.resid_response)
    close(ours.fittedvalues, other.fittedvalues)
    predicted = other.get_prediction(data.iloc[:20]).summary_frame()
    mine = ours.predict(data.iloc[:20], interval=True)
    close(mine.mean, predicted["predicted"])
    close(mine.se, predicted["se"])
    close(mine.lower, predicted["ci_lower"])
    close(mine.upper, predicted["ci_upper"])


def test_the_published_figures_of_spector():
    """Greene, Econometric Analysis, table 17.1 (the logit column)."""
    results = flr.logit(SPECTOR, table("spector"))
    assert results.params.round(3).tolist() == [-13.021, 2.826, 0.095, 2.379]
    assert results.params[3].round(4) == 2.3787
    assert results.bse.round(3).tolist() == [4.931, 1.263, 0.142, 1.065]


@pytest.mark.parametrize(
    ("formula", "name", "kind"), [(SPECTOR, "spector", "logit"), (ANES, "anes96", "mnlogit")]
)
def test_robust_covariances_are_statsmodels(formula, name, kind):
    data = table(name)
    n = len(data)
    one, two = np.arange(n) // 4, np.arange(n) % 5
    q = flr.logit(formula, data).cov_params().shape[0]
    other = theirs(formula, data, kind, cov_type="HC0")
    close(flr.logit(formula, data, cov_type="HC0").bse.T, other.bse)
    # R's factor, which statsmodels leaves out beyond linear models
    close(flr.logit(formula, data, cov_type="HC1").bse.T, other.bse * np.sqrt(n / (n - q)))
    for groups in (one, np.column_stack([one, two])):
        if groups.ndim == 2 and kind == "mnlogit":
            continue
        kwds = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
        mine = flr.logit(formula, data, groups=groups, **CLUSTERS)
        close(mine.cov_params(), theirs(formula, data, kind, **kwds).cov_params(), rtol=1e-5)


@pytest.mark.parametrize("seed", [2, 3])
def test_a_covariance_that_is_not_positive_is_kept_as_it_is(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    groups = np.column_stack([rng.integers(0, 5, 60), rng.integers(0, 4, 60)])
    model = flr.LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    results = flr.inference(model, X, y, cov_type="cluster", groups=groups)
    assert "errors of predictions and effects are NaN where" in str(results.summary())
    V, p = results.cov_params(), model.predict_proba(X)[:, 1]
    values, vectors = np.linalg.eigh(V)
    assert values[0] < 0.0 < V.diagonal().min()
    A = np.column_stack([np.ones(60), X])
    variances = np.einsum("ij,jk,ik->i", A, V, A)
    assert 0 < np.count_nonzero(variances < 0.0) < 30
    root = np.where(variances < 0.0, np.nan, np.sqrt(np.abs(variances)))
    found = results.predict(interval=True)
    close(found.se, root * p * (1.0 - p), rtol=1e-4)
    assert np.isfinite(found.mean).all()
    assert np.array_equal(np.isnan(found.lower), variances < 0.0)
    slope = np.mean(p * (1.0 - p))
    bend = A.T @ (p * (1.0 - p) * (1.0 - 2.0 * p)) / 60
    J = np.outer(results.params[1:], bend)
    J[np.arange(3), 1 + np.arange(3)] += slope
    close(results.margins().se, np.sqrt(np.einsum("ij,jk,ik->i", J, V, J)), rtol=1e-5)
    assert np.isnan(results._fit.covariance.errors_along(vectors[:, :1].T)).all()


def test_several_classes_are_as_mnlogit_has_them():
    data = table("anes96")
    ours, other = flr.logit(ANES, data), theirs(ANES, data, "mnlogit")
    for attribute in ("params", "bse", "tvalues", "pvalues"):
        close(getattr(ours, attribute).T, getattr(other, attribute))
    for attribute in ("llf", "aic", "bic", "df_model", "df_resid"):
        close(getattr(ours, attribute), getattr(other, attribute))
    close(ours.cov_params(), other.cov_params())
    for at in ("overall", "mean"):
        effects = other.get_margeff(at=at)
        close(ours.margins(at).effects, effects.margeff.T.reshape(-1))
        close(ours.margins(at).se, effects.margeff_se.T.reshape(-1))
    close(ours.predict(data.iloc[:9]), other.predict(data.iloc[:9]))
    # errors of probabilities by differences
    mine = ours.predict(data.iloc[:3], interval=True)
    row = np.column_stack([np.ones(3), data[["logpopul", "selfLR", "age", "educ", "income"]][:3]])

    def probabilities(flat):
        z = np.column_stack([np.zeros(3), row @ flat.reshape(6, 6).T])
        return (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).ravel()

    at = ours.params.ravel()
    J = np.array(
        [(probabilities(at + h) - probabilities(at - h)) / 2e-5 for h in 1e-5 * np.eye(36)]
    )
    close(mine.se.ravel() ** 2, np.einsum("ij,ik,kj->j", J, ours.cov_params(), J), rtol=1e-5)
    assert ((mine.lower > 0) & (mine.lower < mine.mean) & (mine.mean < mine.upper)).all()
    # another reference: the same model
    last = flr.logit(ANES, data, reference=6)
    close(last.params[0], -ours.params[5], rtol=1e-5)
    close(last.llf, ours.llf)
    close(last.bse[0], ours.bse[5], rtol=1e-5)
    assert "PID = 5" in str(last.summary()) and "reference 6" in str(last.summary())


def test_profiles_are_where_the_likelihood_says():
    """By statsmodels: with the parameter held as an offset, the deviance rises by 3.84."""
    import statsmodels.api as sm

    data = table("spector")
    results = flr.logit(SPECTOR, data)
    limits = results.conf_int(kind="profile")
    X = np.column_stack([np.ones(32), data[["GPA", "TUCE", "PSI"]]])
    for j in range(4):
        for limit in limits[j]:
            held = sm.GLM(
                data.GRADE,
                np.delete(X, j, axis=1),
                family=sm.families.Binomial(),
                offset=limit * X[:, j],
            ).fit(tol=1e-12)
            close(2 * (results.llf - held.llf), stats.chi2.ppf(0.95, 1), rtol=1e-6)
    assert (limits[:, 0] < results.params).all() and (limits[:, 1] > results.params).all()


def test_weights_that_count_rows_are_rows():
    X, y = drawn()
    rng = np.random.default_rng(1)
    counts, groups = rng.integers(0, 4, y.size), rng.integers(0, 25, y.size)
    offset = rng.standard_normal(y.size) * 0.3
    rows = np.repeat(np.arange(y.size), counts)
    one = fitted(X, y, sample_weight=counts, offset=offset)
    many = fitted(X[rows], y[rows], offset=offset[rows])
    for cov_type in ("nonrobust", "HC0", "HC1", "cluster"):
        given = {"groups": groups} if cov_type == "cluster" else {}
        repeated = {"groups": groups[rows]} if cov_type == "cluster" else {}
        a = flr.inference(
            one, X, y, sample_weight=counts, offset=offset, cov_type=cov_type, **given
        )
        b = flr.inference(
            many, X[rows], y[rows], offset=offset[rows], cov_type=cov_type, **repeated
        )
        close(a.bse, b.bse)
        close(a.margins().se, b.margins().se)
    for kind in ("mcfadden", "cox_snell", "nagelkerke", "tjur"):
        close(a.pseudo_r2(kind), b.pseudo_r2(kind))
    close([a.llnull, a.bic, a.nobs], [b.llnull, b.bic, b.nobs])
    close(a.hosmer_lemeshow(), b.hosmer_lemeshow())
    # rows of weight 0 are none, and neither are clusters of them
    none = np.where(groups < 5, 0.0, 1.0)
    some = none > 0.0
    a = flr.inference(
        fitted(X, y, sample_weight=none), X, y, sample_weight=none, groups=groups, **CLUSTERS
    )
    b = flr.inference(fitted(X[some], y[some]), X[some], y[some], groups=groups[some], **CLUSTERS)
    close(a.bse, b.bse)
    # weights of a sample: each score has its weight
    sampled = flr.inference(
        one, X, y, sample_weight=counts, offset=offset, cov_type="HC0", weight_type="sampling"
    )
    A = np.column_stack([np.ones(y.size), X])
    p = one.predict_proba(X, offset=offset)[:, 1]
    bread = np.linalg.inv((A * (counts * p * (1 - p))[:, None]).T @ A)
    scores = A * (counts * (y - p))[:, None]
    close(sampled.cov_params(), bread @ scores.T @ scores @ bread, rtol=1e-5)


def test_storage_and_distance_from_zero_change_nothing():
    X, y = drawn()
    model = fitted(X, y)
    state = pickle.dumps(model)
    plain = flr.inference(model, X, y, cov_type="HC1")
    close(flr.inference(model, sp.csr_array(X), y, cov_type="HC1").bse, plain.bse)
    narrow = X.astype(np.float32)
    close(flr.inference(fitted(narrow, y), narrow, y, cov_type="HC1").bse, plain.bse, rtol=1e-5)
    words = np.array(["no", "yes"])[y]
    named = flr.inference(fitted(X, words), X, words, cov_type="HC1")
    close(named.params, plain.params)
    assert named.classes_.tolist() == ["no", "yes"]
    groups, far_away = np.arange(y.size) // 10, np.array([1e7, 0.0, 0.0])
    for cov_type, given in (("nonrobust", {}), ("HC1", {}), ("cluster", {"groups": groups})):
        near = flr.logit("y ~ a + b + c", frame(X, y), cov_type=cov_type, **given)
        far = flr.logit("y ~ a + b + c", frame(X + far_away, y), cov_type=cov_type, **given)
        close(far.bse[1:], near.bse[1:], rtol=1e-6)
        close(far.params[1:], near.params[1:], rtol=1e-5)
    assert pickle.dumps(model) == state


def test_several_classes_far_from_zero():
    X, y = drawn(classes=3)
    far_away = np.array([1e7, 0.0, 0.0])
    near = flr.logit("y ~ a + b + c", frame(X, y), cov_type="HC0")
    far = flr.logit("y ~ a + b + c", frame(X + far_away, y), cov_type="HC0")
    close(far.bse[:, 1:], near.bse[:, 1:], rtol=1e-6)


def test_the_bootstrap_is_near_what_it_estimates():
    X, y = drawn(n=2000)
    data, groups = frame(X, y), np.arange(2000) // 8
    for given, cov_type in (({}, "HC0"), ({"groups": groups}, "cluster")):
        draws = {"n_bootstrap": 200, "random_state": 0}
        mine = flr.logit("y ~ a + b + c", data, cov_type="bootstrap", **given, **draws)
        close(mine.bse, flr.logit("y ~ a + b + c", data, cov_type=cov_type, **given).bse, rtol=0.15)
        again = flr.logit("y ~ a + b + c", data, cov_type="bootstrap", **given, **draws)
        assert (again.bse == mine.bse).all()
        assert "200 bootstrap replicates" in str(mine.summary())


def test_wald_tests_are_statsmodels():
    data = table("spector")
    ours, other = flr.logit(SPECTOR, data), theirs(SPECTOR, data)
    for text in (
        "GPA = PSI, TUCE = 0.1",
        "2 * GPA - PSI = 3",
        "GPA = TUCE = PSI",
        "GPA = PSI = 0.5, TUCE = 0",
        "GPA = -PSI",
        "3 = GPA + PSI",
    ):
        expected = other.wald_test(text, scalar=True)
        found = ours.wald_test(text)
        close(found, [expected.statistic, expected.df_denom, expected.pvalue])
    R = np.array([[0, 1, 0, 0], [0, 0, 0, 1.0]])
    expected = other.wald_test(R, scalar=True)
    for restriction in (R, ["GPA", "PSI"], (R, [0, 0])):
        close(ours.wald_test(restriction)[::2], [expected.statistic, expected.pvalue])
    close(ours.wald_test("PSI").statistic, other.tvalues["PSI"] ** 2)
    for wrong, words in (
        ("GAP", "no parameter"),
        (["PSI", "PSI"], "twice"),
        (np.eye(3), "shape"),
        ("GPA = nope", "no equation"),
        ([], "empty"),
    ):
        with pytest.raises(ValueError, match=words):
            ours.wald_test(wrong)


def test_equations_between_names_with_brackets():
    data = table("spector").assign(level=np.arange(32) % 3)
    ours = flr.logit("GRADE ~ GPA + C(level, contr.treatment(base=1))", data)
    names = ours.names[2:]
    joint = ours.wald_test(names)
    for text in ("{} = {} = 0", "`{}` = 0, {} = 0", "2 * {} = {}, {} = 0"):
        close(ours.wald_test(text.format(*names, names[0])), joint)


@pytest.mark.parametrize("n_clusters", [2, 3, 4])
def test_wald_tests_of_more_than_the_clusters_know(n_clusters):
    X, y = drawn(n=300)
    data = frame(X * [1.0, 1e3, 1e-3], y).assign(k=np.arange(300) % n_clusters)
    results = flr.logit("y ~ a + b + c", data, cov_type="cluster", groups="k")
    names = results.names
    assert results.wald_test(names[: n_clusters - 1]).statistic > 0.0
    for wrong in range(n_clusters, 5):
        with pytest.raises(ValueError, match="covariance is singular"):
            results.wald_test(names[:wrong])


def test_a_formula_of_nothing():
    X, y = drawn(n=50)
    with pytest.raises(ValueError, match="neither an intercept nor a column"):
        flr.logit("y ~ 0", frame(X, y))


def test_a_cross_validated_model_is_sent_back():
    X, y = drawn(n=50)
    options = {"l1_ratios": [0], "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model = flr.LogisticRegressionCV(Cs=[np.inf], **options).fit(X, y)
    with pytest.raises(TypeError, match="got LogisticRegressionCV: fit one with its C_"):
        flr.inference(model, X, y)


def test_a_likelihood_ratio_of_models_neither_of_which_is_in_the_other():
    X, y = drawn(n=300)
    data = frame(X, y).assign(noise=np.random.default_rng(0).normal(size=300))
    one = flr.logit("y ~ b", data)
    two = flr.logit("y ~ noise + I(noise**2)", data)
    assert two.llf < one.llf
    for pair in ((one, two), (two, one)):
        with pytest.raises(ValueError, match="neither model is in the other"):
            pair[0].lr_test(pair[1])


def test_hosmer_lemeshow_by_hand():
    """The statistic of ten groups, computed from sorted rows."""
    X, y = drawn(n=500)
    results = flr.logit("y ~ a + b + c", frame(X, y))
    p = np.sort(results.predict())
    own = y[np.argsort(results.predict())]
    statistic = 0.0
    for part, labels in zip(p.reshape(10, 50), own.reshape(10, 50), strict=True):
        expected = part.sum()
        statistic += (labels.sum() - expected) ** 2 / (expected * (1 - part.mean()))
    found = results.hosmer_lemeshow()
    close(found, [statistic, 8, stats.chi2.sf(statistic, 8)], rtol=1e-9)
    assert results.calibration()["n"].tolist() == [50.0] * 10


def test_a_penalty_is_refused_or_said():
    X, y = drawn()
    model = flr.LogisticRegression(C=0.1).fit(X, y)
    with pytest.raises(ValueError, match=r"penalty \(C=0.1\).*C=np.inf.*penalized=True"):
        flr.inference(model, X, y)
    results = flr.inference(model, X, y, penalized=True)
    effects = results.margins()
    with pytest.raises(ValueError, match="no p-values of a penalized fit"):
        effects.pvalues  # noqa: B018
    assert list(effects.to_frame()) == ["effect", "std_err", "lower", "upper"]
    assert "P>|z|" not in str(effects.summary()) and np.isfinite(effects.z).all()
    A = np.column_stack([np.ones(y.size), X])
    p = model.predict_proba(X)[:, 1]
    ridge = np.diag([0, 10, 10, 10.0])
    close(results.cov_params(), np.linalg.inv((A * (p * (1 - p))[:, None]).T @ A + ridge))
    assert "biased towards 0" in str(results.summary()) and "P>|z|" not in str(results.summary())
    assert "p_value" not in results.to_frame()
    for refused in (lambda: results.pvalues, results.lr_test, lambda: results.wald_test("x0")):
        with pytest.raises(ValueError, match=r"C=np\.inf"):
            refused()
    for given in ({"l1_ratio": 1.0}, {"lower_bounds": 0.0, "C": np.inf}):
        model = flr.LogisticRegression(**given).fit(X, y)
        with pytest.raises(ValueError, match="L1 penalty or bounds"):
            flr.inference(model, X, y, penalized=True)


def test_separated_and_collinear_columns_are_named():
    X, y = drawn()
    data = frame(X, y).assign(rare=(np.arange(y.size) < 3) * 1.0)
    data.loc[:2, "y"] = 1
    with pytest.raises(ValueError, match=r"3 of 300 rows .* column 'rare' .*firth"):
        flr.logit("y ~ a + rare", data)
    with pytest.warns(match="rare"):
        model = fitted(data[["a", "rare"]], data["y"])
    with pytest.raises(ValueError, match="column 'rare'"):
        flr.inference(model, data[["a", "rare"]], data["y"])
    data = frame(X, y).assign(d=X[:, 0] + 2 * X[:, 1], e=7.0, f=1 - 3 * X[:, 2])
    for right, words in (
        ("a + b + d", "'d' is a combination of 'a' and 'b' and the intercept"),
        ("a + e", "column 'e' is constant"),
        ("c + f", "'f' is a multiple of 'c' plus a constant"),
    ):
        with pytest.raises(ValueError, match=words):
            flr.logit(f"y ~ {right}", data)
        for method in ("firth",):
            with pytest.raises(ValueError, match=words):
                flr.logit(f"y ~ {right}", data, method=method)
    many = frame(*drawn(n=8, d=10))
    with pytest.raises(ValueError, match="separated"):
        flr.logit(f"y ~ {' + '.join('abcdefghij')}", many)
    data = frame(*drawn(classes=3)).assign(d=lambda t: t.a - t.b)
    with pytest.raises(ValueError, match="'d' is a combination"):
        flr.logit("y ~ a + b + d", data)


def test_wrong_input_is_refused():
    X, y = drawn()
    model = fitted(X, y)
    state = pickle.dumps(model)
    groups = np.zeros(y.size)
    for arguments, error, words in (
        (((X, 1 - y), {}), ValueError, "not at the maximum"),
        (((X[:, :2], y), {}), ValueError, "features"),
        (((X, y), {"cov_type": "HC3"}), ValueError, "cov_type must be one of"),
        (((X, y), {"cov_type": "cluster"}), ValueError, "needs groups"),
        (((X, y), {"groups": groups}), ValueError, "groups are for"),
        (((X, y), {"cov_type": "cluster", "groups": groups}), ValueError, "two clusters"),
        (((X, y), {"cov_type": "cluster", "groups": groups[:5]}), ValueError, "one value for each"),
        (((X, y), {"level": 95}), ValueError, "level"),
        (((X, y), {"reference": 7}), ValueError, "reference must be one"),
        (((X, y), {"penalized": 1}), TypeError, "penalized"),
        (((X, y), {"n_bootstrap": 1}), ValueError, "n_bootstrap"),
        (
            ((X, y), {"sample_weight": np.ones(y.size), "weight_type": "sampling"}),
            ValueError,
            "robust",
        ),
    ):
        with pytest.raises(error, match=words):
            flr.inference(model, *arguments[0], **arguments[1])
    with pytest.raises(TypeError, match=r"fastlogreg\.LogisticRegression"):
        flr.inference(flr.MiniBatchLogisticRegression(), X, y)
    with pytest.raises(ValueError, match="not fitted"):
        flr.inference(flr.LogisticRegression(), X, y)
    assert pickle.dumps(model) == state


def test_what_people_read():
    results = flr.logit(SPECTOR, table("spector"))
    text = str(results.summary())
    for words in ("GRADE", "Log-likelihood:", "-12.8896", "2.3787", "1.0646", "0.025", "GPA"):
        assert words in text
    assert all(len(line) == len(line.rstrip()) for line in text.splitlines())
    html = results._repr_html_()
    assert "<th>PSI</th><td>2.3787</td>" in html
    table_ = results.to_frame()
    assert table_.index.tolist() == ["Intercept", "GPA", "TUCE", "PSI"]
    close(table_["odds_ratio"], np.exp(results.params))
    assert "dy/dx" in str(results.margins().summary())
    again = pickle.loads(pickle.dumps(results))
    assert str(again.summary()) == text
    close(again.predict(table("spector")), results.predict())


def test_intervals_of_probabilities_near_0_and_1():
    """They hold the probability, however small it is or what it lacks of 1."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = (np.column_stack([0.0 * x, 2.0 * x, -1.5 * x]) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    results = flr.logit("y ~ a", frame(x[:, None], y))
    far = {"a": [-400.0, -60.0, -20.0, 0.0, 20.0, 60.0, 400.0]}
    p, se, lower, upper = results.predict(far, interval=True)
    assert (lower <= p).all() and (p <= upper).all() and (se >= 0.0).all()
    odds = results.predict(far, interval=True, level=1e-9)
    np.testing.assert_allclose(odds.lower, p, rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(odds.upper, p, rtol=1e-6, atol=1e-300)
    # by the margin of one class against the others, where these are nearly one class alone
    theta = np.vstack([np.zeros(2), results.params])
    z = np.array([1.0, -400.0]) @ theta.T
    k, other = np.argsort(z)[[0, -1]]
    slope = np.outer(np.eye(3)[k] - np.eye(3)[other], [1.0, -400.0])[1:].ravel()
    half = stats.norm.ppf(0.975) * np.sqrt(slope @ results.cov_params() @ slope)
    np.testing.assert_allclose(upper[0, k], np.exp(z[k] - z[other] + half), rtol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_predictions_of_no_rows(classes):
    data = frame(*drawn(classes=classes))
    results = flr.logit("y ~ a + b", data)
    shape = (classes,) if classes > 2 else ()
    assert results.predict(data.iloc[:0]).shape == (0, *shape)
    lacking = data.iloc[:4].assign(a=np.nan)
    assert np.isnan(results.predict(lacking)).all()
    assert [part.shape for part in results.predict(lacking, interval=True)] == [(4, *shape)] * 4


def test_one_cluster_of_positive_weight():
    data = frame(*drawn()).assign(group=np.arange(300) // 150)
    data["held"] = (data.group == 0).astype(float)
    with pytest.raises(ValueError, match="groups must name two clusters or more"):
        flr.logit("y ~ a", data, sample_weight="held", groups="group", **CLUSTERS)
