"""Scalar mathematics of the Numba backend: DESIGN section 5, one home a formula.

Each function takes and returns float64 and is inlined into a loop over a block, where
LLVM vectorizes it: no branches that do not become selects, no library calls
(``math.exp`` stays scalar: 5 to 8 ns an element against 1 to 1.5 ns here).

NaN in gives NaN out: comparisons are written so that NaN fails them and goes through.
"""

import numpy as np

from fastlogreg.backends.numba.jit import exact

# Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, which then stands in
# the low bits of the sum.
_ROUNDER = 6755399441055744.0
_LOG2_E = 1.4426950408889634
# ln 2 in two parts (Cody and Waite; the split of fdlibm's e_exp.c): n * _LN2_HIGH is
# exact for |n| < 2^20.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUNDER_BITS = np.float64(_ROUNDER).view(np.int64)
_ROOT_HALF_BITS = np.float64(0.5**0.5).view(np.int64)
_EXP_FLOOR = -746.0  # exp of it is below half the smallest subnormal, so 0
_UNDERFLOW_GUARD = 64
_UNDERFLOW_SCALE = 2.0**-64


@exact
def exp_neg(x):
    """Return exp(x) for x <= 0, within 1.2 ULP; also -inf, and NaN for NaN.

    exp(x) = 2^n (1 + r + r^2 P(r)) with n = round(x / ln 2), |r| <= ln(2) / 2; P is the
    Chebyshev fit of degree 9 (relative error 1.3e-17). The scale 2^n is built from its
    exponent bits as 2^(n + 64) and then multiplied by 2^-64, so that subnormal results
    are rounded once.
    """
    x = _EXP_FLOOR if x < _EXP_FLOOR else x
    shifted = x * _LOG2_E + _ROUNDER
    bits = np.float64(shifted).view(np.int64)
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    c01 = 0.5000000000000001 + r * 0.16666666666666669
    c23 = 0.04166666666662413 + r * 0.008333333333330062
    c45 = 0.0013888888917213717 + r * 0.00019841269863053618
    c67 = 2.4801521295954376e-05 + r * 2.7557268459997064e-06
    c89 = 2.7620088445409746e-07 + r * 2.510038549551032e-08
    tail = (c01 + r2 * c23) + r4 * ((c45 + r2 * c67) + r4 * c89)
    value = 1.0 + (r + r2 * tail)
    scale = np.int64((bits + np.int64(1023 + _UNDERFLOW_GUARD)) << np.int64(52)).view(np.float64)
    return value * scale * _UNDERFLOW_SCALE


@exact
def _atanh_tail(u):
    """Return u Q(u) with atanh(s) = s (1 + u Q(u)), u = s^2 <= 1/9.

    Q is the Chebyshev fit of degree 9 (relative error 5e-18).
    """
    u2 = u * u
    u4 = u2 * u2
    c01 = 0.3333333333333333 + u * 0.20000000000007292
    c23 = 0.1428571428355438 + u * 0.11111111358713932
    c45 = 0.09090894718066429 + u * 0.07692785032479312
    c67 = 0.06657072104827468 + u * 0.06000536404795356
    c89 = 0.04400369243072337 + u * 0.08082022805971766
    tail = (c01 + u2 * c23) + u4 * ((c45 + u2 * c67) + u4 * c89)
    return u * tail


@exact
def log1p_unit(t):
    """Return log(1 + t) for t in [0, 1], within 1.5 ULP; NaN for NaN.

    2 atanh(s) with s = t / (2 + t) in [0, 1/3].
    """
    s = t / (2.0 + t)
    return 2.0 * s + 2.0 * s * _atanh_tail(s * s)


@exact
def log1p_sum(t):
    """Return log(1 + t) for t in [0, 1e300], within 2.5 ULP; NaN for NaN.

    1 + t = 2^n f with f in [sqrt(1/2), sqrt(2)]: n ln 2 + 2 atanh(s), s = (f - 1) / (f + 1); where
    n = 0, f - 1 is t itself, so that a tiny t loses no digit.
    """
    u = 1.0 + t
    bits = np.float64(u).view(np.int64)
    exponent = (bits - _ROOT_HALF_BITS) >> np.int64(52)
    n = np.int64(exponent + _ROUNDER_BITS).view(np.float64) - _ROUNDER
    f = np.int64(bits - (exponent << np.int64(52))).view(np.float64)
    a = t if n == 0.0 else f - 1.0
    s = a / (2.0 + a)
    value = n * _LN2_HIGH + (2.0 * s + (2.0 * s * _atanh_tail(s * s) + n * _LN2_LOW))
    return value if t == t else t  # a NaN's bits are a number like others


@exact
def sigmoid_pair(z, t):
    """Return (p, 1 - p) of the margin z, given t = exp(-|z|), neither by cancellation."""
    larger = 1.0 / (1.0 + t)
    smaller = t * larger
    p = larger if z >= 0.0 else smaller
    q = smaller if z >= 0.0 else larger
    return p, q


@exact
def bce_jet(z, y):
    """Return (l, l', l'') of binary cross-entropy and sigmoid at the margin z.

    The value max(z, 0) - y z + log1p(t) is written |z| (1 - y or y) + log1p(t), and the
    product is left out where its factor is 0, so that an infinite margin on the right
    side costs 0 and not inf - inf.
    """
    size = abs(z)
    t = exp_neg(-size)
    p, q = sigmoid_pair(z, t)
    wrong = 1.0 - y
    share = wrong if z >= 0.0 else y
    linear = share * size if share != 0.0 else 0.0
    return linear + log1p_unit(t), wrong * p - y * q, p * q


@exact
def mse_jet(z, y):
    """Return (l, l', l'') of squared error and sigmoid at the margin z."""
    p, q = sigmoid_pair(z, exp_neg(-abs(z)))
    error = (1.0 - y) * p - y * q  # p - y without cancellation
    slope = p * q
    twice = 2.0 * slope
    return error * error, twice * error, twice * (slope + error * (q - p))
