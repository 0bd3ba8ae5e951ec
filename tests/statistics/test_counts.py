"""Binomial counts: statsmodels' GLM, R's published figures, and one row for each trial."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import optimize, sparse, stats
from scipy.special import expit

import fastlogreg as flr
from fastlogreg.data.separation import find_separation
from tests.statistics.data import table

# Venables and Ripley (2002), Modern Applied Statistics with S, p. 190: moths that died of 20
BUDWORM = pd.DataFrame(
    {
        "ldose": [*range(6)] * 2,
        "dead": [1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16],
        "alive": [19, 16, 11, 7, 2, 0, 20, 18, 14, 10, 8, 4],
        "male": [1] * 6 + [0] * 6,
    }
)


def glm(formula, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = smf.glm(formula, data, family=sm.families.Binomial())
        return model.fit(tol=1e-14, tol_criterion="params", maxiter=200, **options)


def one_row_for_each_trial(data):
    parts = [data.loc[data.index.repeat(data[side])].assign(y=side) for side in ("alive", "dead")]
    return pd.concat(parts)


def test_star98_is_as_statsmodels_has_it():
    """The figures are printed in the GLM example of statsmodels' documentation, too."""
    data = table("star98")
    formula = "NABOVE + NBELOW ~ " + " + ".join(data.columns[2:])
    results, theirs = flr.logit(formula, data), glm(formula, data)
    influence = theirs.get_influence(observed=False)
    assert round(results.llf, 1) == -2998.6 and round(results.deviance, 1) == 4078.8
    assert results.nobs == 303 and results.df_resid == theirs.df_resid == 282
    for ours, expected in (
        (results.params, theirs.params),
        (results.bse, theirs.bse),
        (results.conf_int(), theirs.conf_int()),
        (results.llf, theirs.llf),
        (results.llnull, theirs.llnull),
        (results.deviance, theirs.deviance),
        (results.null_deviance, theirs.null_deviance),
        (results.aic, theirs.aic),
        (results.bic, theirs.bic_llf),
        (results.prsquared, theirs.pseudo_rsquared("mcf")),
        (results.pseudo_r2("cox_snell"), theirs.pseudo_rsquared("cs")),
        (results.residuals("pearson"), theirs.resid_pearson),
        (results.residuals("deviance"), theirs.resid_deviance),
        (results.residuals("standardized"), influence.resid_studentized),
        (results.leverage, influence.hat_matrix_diag),
        (results.cooks_distance, influence.cooks_distance[0]),
        (results.predict(), theirs.fittedvalues),
    ):
        assert_allclose(ours, expected, rtol=1e-6)
    trials = data["NABOVE"] + data["NBELOW"]
    assert_allclose(results.residuals("response") * trials, theirs.resid_response, atol=1e-6)
    groups = np.arange(303) % 40
    for kind, asked in (("HC0", {}), ("cluster", {"groups": groups})):
        ours = flr.logit(formula, data, cov_type=kind, **asked)
        assert_allclose(ours.bse, glm(formula, data, cov_type=kind, cov_kwds=asked).bse, rtol=1e-6)
    text = str(results.summary())
    assert "Probability of NABOVE against NBELOW, of 267611 trials in 303 rows." in text


def test_published_figures_of_the_budworms():
    """R: summary(glm(SF ~ sex + ldose, binomial)), and confint by MASS, which interpolates.

    The interval is printed on www.clayford.net/statistics (Profile likelihood ratio confidence
    intervals), the rest in Venables and Ripley, too.
    """
    results = flr.logit("cbind(dead, alive) ~ male + ldose", BUDWORM)
    assert_allclose(results.params, [-3.4732, 1.1007, 1.0642], atol=5e-5)
    assert_allclose(results.bse, [0.4685, 0.3558, 0.1311], atol=5e-5)
    assert_allclose([results.deviance, results.null_deviance], [6.7571, 124.8756], atol=5e-5)
    assert results.aic == pytest.approx(42.867, abs=5e-4)
    assert_allclose(results.conf_int(kind="profile")[2], [0.8228708, 1.3390581], rtol=3e-5)


def test_profile_limits_by_root_finding():
    results = flr.logit("dead + alive ~ male + ldose", BUDWORM)
    A = np.column_stack([np.ones(12), BUDWORM["male"], BUDWORM["ldose"]])
    s, f = BUDWORM["dead"].to_numpy(), BUDWORM["alive"].to_numpy()

    def loss(theta):
        z = A @ theta
        return s @ np.logaddexp(0, -z) + f @ np.logaddexp(0, z)

    def held(rest, j, value):
        return loss(np.insert(rest, j, value))

    def lost(value, j):
        start = np.delete(results.params, j)
        best = optimize.minimize(held, start, (j, value), "BFGS", tol=1e-9)
        return 2 * (best.fun - loss(results.params)) - stats.chi2.ppf(0.95, 1)

    for j, limits in enumerate(results.conf_int(kind="profile")):
        for limit, side in zip(limits, (-1, 1), strict=True):
            ends = sorted((results.params[j], results.params[j] + side * 4 * results.bse[j]))
            assert limit == pytest.approx(optimize.brentq(lost, *ends, (j,), xtol=1e-9), abs=1e-6)


def test_what_is_of_trials_is_that_of_a_row_for_each():
    rows = one_row_for_each_trial(BUDWORM)
    results = flr.logit("dead + alive ~ male + ldose", BUDWORM)
    theirs = flr.logit("y ~ male + ldose", rows)
    firth = flr.logit("dead + alive ~ male + ldose", BUDWORM, method="firth")
    their_firth = flr.logit("y ~ male + ldose", rows, method="firth")
    for ours, expected in (
        (results.params, theirs.params),
        (results.bse, theirs.bse),
        (results.conf_int(kind="profile"), theirs.conf_int(kind="profile")),
        (results.lr_test(), theirs.lr_test()),
        (results.margins().effects, theirs.margins().effects),
        (results.margins("mean", dummy=True).se, theirs.margins("mean", dummy=True).se),
        (results.pseudo_r2("tjur"), theirs.pseudo_r2("tjur")),
        (results.hosmer_lemeshow(5), theirs.hosmer_lemeshow(5)),
        (results.calibration(5)["observed"], theirs.calibration(5)["observed"]),
        (results.predict(BUDWORM, interval=True), theirs.predict(BUDWORM, interval=True)),
        (firth.params, their_firth.params),
        (firth.pvalues, their_firth.pvalues),
        (firth.llf - firth.llnull, their_firth.llf - their_firth.llnull),
    ):
        assert_allclose(ours, expected, rtol=1e-8)
    # of one trial a row nothing is left of the difference
    counts = rows.assign(s=(rows["y"] == "dead") * 1, f=(rows["y"] == "alive") * 1)
    single = flr.logit("s + f ~ male + ldose", counts, cov_type="HC1")
    robust = flr.logit("y ~ male + ldose", rows, cov_type="HC1")
    for name in ("llf", "deviance", "null_deviance", "bic", "bse", "leverage"):
        assert_allclose(getattr(single, name), getattr(robust, name), rtol=1e-10)
    assert_allclose(single.pseudo_r2("nagelkerke"), robust.pseudo_r2("nagelkerke"))


def test_the_bootstrap_draws_rows_with_all_their_trials():
    replicates = 6
    results = flr.logit(
        "dead + alive ~ ldose",
        BUDWORM,
        cov_type="bootstrap",
        n_bootstrap=replicates,
        random_state=0,
    )
    random = np.random.RandomState(0)
    found = []
    for _ in range(replicates):
        found.append(glm("dead + alive ~ ldose", BUDWORM.iloc[random.randint(0, 12, 12)]).params)
    assert_allclose(results.cov_params(), np.cov(np.array(found), rowvar=False), rtol=1e-5)


def test_counts_beside_a_fitted_model():
    X = BUDWORM[["male", "ldose"]]
    s, f = BUDWORM["dead"], BUDWORM["alive"]
    offset = np.linspace(-1, 1, 12)
    results = flr.logit("dead + alive ~ male + ldose", BUDWORM, offset=offset)
    for form in (lambda X: X, lambda X: sparse.csr_array(X.to_numpy(dtype=float))):
        for options in ({}, {"firth": True}):
            model = flr.LogisticRegression(C=np.inf, tol=1e-14, **options)
            model.fit(
                form(pd.concat([X, X])),
                np.repeat(["dead", "alive"], 12),
                np.r_[s, f],
                offset=np.r_[offset, offset],
            )
            # the second class is "dead"
            ours = flr.inference(model, form(X), np.column_stack([s, f]), offset=offset)
            assert ours.nobs == 12 and ours.classes_.tolist() == ["alive", "dead"]
            if not options:
                assert_allclose(ours.params, results.params, rtol=1e-6)
                assert_allclose([ours.llf, ours.deviance], [results.llf, results.deviance])
    turned = flr.logit("dead + alive ~ male + ldose", BUDWORM, offset=-offset, reference="dead")
    swapped = flr.logit("alive + dead ~ male + ldose", BUDWORM, offset=-offset)
    assert turned.classes_.tolist() == swapped.classes_.tolist() == ["dead", "alive"]
    with pytest.raises(ValueError, match="not at the maximum"):
        flr.inference(model, form(X), np.column_stack([f, s]), offset=offset)
    with pytest.raises(ValueError, match="not taken beside counts"):
        flr.inference(model, form(X), np.column_stack([s, f]), sample_weight=np.ones(12))


def test_separated_counts_are_said():
    data = pd.DataFrame(
        {"s": [0, 0, 4, 5], "f": [5, 4, 0, 0], "a": [0, 1, 2, 3], "b": [0, 1, 0, 1]}
    )
    with pytest.raises(ValueError, match=r"by column 'a' \(to \+infinity\) alone"):
        flr.logit("s + f ~ a + b", data)
    # a row with both overlaps, wherever it stands
    flr.logit("s + f ~ a", data.assign(f=[5, 4, 1, 1]))
    quasi = data.assign(f=[5, 4, 2, 0], s=[0, 0, 2, 5])
    with pytest.raises(ValueError, match=r"3 of 5 rows.*by column 'a'"):
        flr.logit("s + f ~ a", quasi)
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 0.5, 1.0])
    for form in (np.asarray, sparse.csr_array):
        found = find_separation(form(X), y, np.array([-40.0, 20.0]), sample_weight=np.full(4, 4.0))
        assert found.rows.tolist() == [True, True, False, True] and found.alone == {0: 1}


def test_what_is_refused_and_left_out():
    holes = BUDWORM.astype(float)
    holes.loc[3, "dead"] = np.nan
    holes.loc[[5], ["dead", "alive"]] = 0  # no trials
    results = flr.logit("cbind(dead, alive) ~ ldose", holes)
    assert results.nobs == 10 and "Rows with missing values" in str(results.summary())
    assert results.residuals()[4] == 0 and results.leverage.shape == (11,)
    assert_allclose(results.params, glm("dead + alive ~ ldose", holes.drop(index=[3, 5])).params)
    total = BUDWORM.assign(n=20)
    for formula in ("dead + I(n - dead) ~ ldose", "cbind(dead, n - dead) ~ ldose"):
        assert flr.logit(formula, total).classes_.tolist() == ["I(n - dead)", "dead"]
    for formula, changed, options, message in (
        ("dead + alive + male ~ ldose", {}, {}, "two of counts"),
        ("cbind(dead, alive, male) ~ ldose", {}, {}, "must have two columns"),
        ("dead + alive ~ ldose", {"dead": -1}, {}, "'dead' is -1 at row 0"),
        ("dead + alive ~ ldose", {"dead": 0.5}, {}, "whole numbers.*0.5"),
        ("dead + alive ~ ldose", {"alive": 0}, {}, "all counts of 'alive' are 0"),
        ("dead + alive ~ ldose", {"alive": "a"}, {}, "must be numbers"),
        ("dead + alive ~ ldose", {}, {"sample_weight": "male"}, "not taken beside counts"),
        ("dead + alive ~ ldose", {}, {"weight_type": "sampling"}, "which counts do not take"),
    ):
        with pytest.raises(ValueError, match=message):
            flr.logit(formula, BUDWORM.assign(**changed), **options)
    assert expit(results.fittedvalues) == pytest.approx(results.predict())
