"""Inference: standard errors, intervals and tests of maximum-likelihood fits.

From below: :mod:`likelihood` (log-likelihood, score and information of rows),
:mod:`coordinates` (in which columns sums over rows keep their digits; collinear columns),
:mod:`covariance`, :mod:`bootstrap`, :mod:`firth`, :mod:`profile`, :mod:`effects`; then what people
read (:mod:`results`, :mod:`multinomial`, text and HTML by :mod:`tables`); on top the two public
functions, :func:`fastlogreg.inference` (:mod:`fitted`) and :func:`fastlogreg.logit`
(:mod:`formula`).

The package isn't called ``inference``: that is a function of :mod:`fastlogreg`, whose name Python
would bind to a package of the same name when it is first imported.
"""
