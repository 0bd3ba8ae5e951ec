"""The stage that knows the loss: from margins and labels to value, residual and curvature.

Beside it what is done to vectors of one entry a row: weights, offsets, sums, gathering.
"""

from fastlogreg.backends.numba.formulas import bce_jet, exp_neg, mse_jet, sigmoid_pair
from fastlogreg.backends.numba.jit import exact, merged_exact, stage

NAN = float("nan")

BCE, MSE, SQUARED = 0, 1, 2  # the codes of pointwise
MARGIN, PROBABILITY = 0, 1  # the codes of activate


@merged_exact
def _bce(z, y, scale, value, residual, curvature):
    for i in range(y.size):
        a, r, h = bce_jet(scale * z[i], y[i])
        value[i] = a
        residual[i] = scale * r
        curvature[i] = scale * scale * h


@merged_exact
def _mse(z, y, scale, value, residual, curvature):
    for i in range(y.size):
        a, r, h = mse_jet(scale * z[i], y[i])
        value[i] = a
        residual[i] = scale * r
        curvature[i] = scale * scale * h


@merged_exact
def _squared(z, y, value, residual, curvature):
    for i in range(y.size):
        error = z[i] - y[i]
        value[i] = error * error
        residual[i] = 2.0 * error
        curvature[i] = 2.0


@exact
def pointwise(kind, scale, z, y, lo, n, jets):
    """Fill the jets of n samples; scale 2 makes the sigmoid a tanh (lecture, "Tanh").

    ``jets`` are three buffers: value, residual and curvature, which is always filled: it costs
    0.1 ns of 3.6.
    """
    value, residual, curvature = jets
    labels = y[lo : lo + n]
    if kind == BCE:
        _bce(z, labels, scale, value, residual, curvature)
    elif kind == MSE:
        _mse(z, labels, scale, value, residual, curvature)
    else:
        _squared(z, labels, value, residual, curvature)


@exact
def jet(kind, scale, z, y):
    """Return (value, residual) of one sample."""
    if kind == BCE:
        value, residual, _ = bce_jet(scale * z, y)
        return value, scale * residual
    if kind == MSE:
        value, residual, _ = mse_jet(scale * z, y)
        return value, scale * residual
    error = z - y
    return error * error, 2.0 * error


@exact
def outside(y, lo, n):
    """Return how many of n labels are outside [0, 1]; NaN counts as inside.

    A loop of its own: as a condition within the jets it becomes a branch, and the
    pointwise stage takes 14 ns a row for 3.6.
    """
    labels = y[lo : lo + n]
    count = 0
    for i in range(labels.size):
        count += 1 if labels[i] < 0.0 else 0
        count += 1 if labels[i] > 1.0 else 0
    return count


@stage
def apply_weights(weight, lo, n, value, residual, curvature):
    """Multiply the jets of n samples by their weights."""
    weights = weight[lo : lo + n]
    for i in range(weights.size):
        a = weights[i]
        value[i] *= a
        residual[i] *= a
        curvature[i] *= a


@stage
def total(values, n):
    """Return the sum of values[:n]."""
    s = 0.0
    for i in range(n):
        s += values[i]
    return s


@exact
def activate(code, scale, z, n, lo, out):
    """Write predictions of n margins to rows lo.. of out: (., 1) p or z, (., 2) (1 - p, p)."""
    width = out.shape[1]
    filled = out[lo : lo + n].reshape(n * width)
    if code == MARGIN:
        for i in range(n):
            filled[i] = z[i]
    elif width == 1:
        for i in range(n):
            x = scale * z[i]
            p, q = sigmoid_pair(x, exp_neg(-abs(x)))
            filled[i] = p
    else:
        for i in range(n):
            x = scale * z[i]
            p, q = sigmoid_pair(x, exp_neg(-abs(x)))
            filled[2 * i] = q
            filled[2 * i + 1] = p


@stage
def add(values, lo, n, z):
    """Do z[:n] += values[lo : lo + n]."""
    added = values[lo : lo + n]
    for i in range(added.size):
        z[i] += added[i]


@stage
def copy(values, lo, n, out):
    """Set out[:n] = values[lo : lo + n]."""
    copied = values[lo : lo + n]
    for i in range(copied.size):
        out[i] = copied[i]


@stage
def gather(values, index, lo, n, out):
    """Set out[:n] = values[index[lo : lo + n]]."""
    chosen = index[lo : lo + n]
    for i in range(chosen.size):
        out[i] = values[chosen[i]]
