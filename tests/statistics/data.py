"""Tables that the tests of inference share, and statsmodels' fits of them, to rounding."""

import warnings
from functools import cache

import numpy as np
import pandas as pd

SPECTOR = "GRADE ~ GPA + TUCE + PSI"
FAIR = (
    "affair ~ occupation + educ + occupation_husb + rate_marriage + age + yrs_married + children"
    " + religious"
)
ANES = "PID ~ logpopul + selfLR + age + educ + income"


@cache
def table(name):
    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = getattr(sm.datasets, name).load_pandas().data
    if name == "fair":
        data["affair"] = (data.affairs > 0).astype(int)
    if name == "anes96":
        data["logpopul"] = np.log(data.popul + 0.1)
    return data


def theirs(formula, data, kind="logit", **options):
    import statsmodels.formula.api as smf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(smf, kind)(formula, data)
        return model.fit(disp=0, method="newton", tol=1e-14, maxiter=100, **options)


def drawn(n=300, d=3, seed=0, classes=2):
    """Return overlapping rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    B = rng.standard_normal((d, classes)) * 0.7
    z = X @ B + rng.gumbel(size=(n, classes))
    return X, z.argmax(axis=1)


def frame(X, y):
    return pd.DataFrame(X, columns=list("abcdefghij")[: X.shape[1]]).assign(y=y)
