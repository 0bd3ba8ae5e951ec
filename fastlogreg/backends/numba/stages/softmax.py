"""The stage of softmax and cross-entropy, on a tile Z (K, rows) of margins.

With m the largest margin of a row, t_k = exp(z_k - m) and S = sum t, the probabilities are
p_k = t_k / S. Nothing cancels: "others" is S - 1, summed over the classes but one whose t is 1,
so that 1 - p of that class is others / S, and log S is log1p(others): losses near 0 and
probabilities of 1e-300 keep their relative accuracy. A margin that is NaN or infinite makes all
of its row NaN.

Targets are codes (one class a row, as floats) or a tile Y (K, rows) of probabilities. A code that
is no class makes the loss NaN, whose cause the caller then looks for.

Each loop writes one array and reads few: beyond four LLVM gives up looking whether they overlap,
and does not vectorize.
"""

import numpy as np

from fastlogreg.backends.numba.formulas import exp_neg, log1p_sum
from fastlogreg.backends.numba.jit import exact, stage

NAN = float("nan")
# Classes up to which all are asked whether they are the true one, in vectors, rather than the one
# looked up: K = 5 2.1 + 4.0 to 0.6 + 0.9 ns a row.
_FEW = 16

MARGIN, PROBABILITY, LOG_PROBABILITY, CLASS, LARGEST_SIZE = 0, 1, 2, 3, 4  # of predictions


@exact
def largest(Z, n, m):
    """Set m[:n] to the largest margins."""
    K = Z.shape[0]
    for i in range(n):
        m[i] = Z[0, i]
    body = 1 + (K - 1) // 2 * 2
    for k in range(1, body, 2):
        for i in range(n):
            a = Z[k, i]
            b = Z[k + 1, i]
            c = m[i]
            c = a if a > c else c
            m[i] = b if b > c else c
    for k in range(body, K):
        for i in range(n):
            m[i] = Z[k, i] if Z[k, i] > m[i] else m[i]


@exact
def first_largest(Z, n, m, out, at):
    """Write the first class with the largest margin to out[at : at + n]."""
    found = out[at : at + n].reshape(n)
    for i in range(n):
        m[i] = Z[0, i]
        found[i] = 0.0
    for k in range(1, Z.shape[0]):
        code = float(k)
        for i in range(n):
            z = Z[k, i]
            larger = z > m[i]
            m[i] = z if larger else m[i]
            found[i] = code if larger else found[i]


@exact
def largest_size(Z, n, out, at):
    """Write the largest size of a row's margins to out[at : at + n]."""
    found = out[at : at + n].reshape(n)
    for i in range(n):
        found[i] = abs(Z[0, i])
    for k in range(1, Z.shape[0]):
        for i in range(n):
            size = abs(Z[k, i])
            found[i] = found[i] if found[i] >= size else size


@exact
def true_class(code, K):
    """Return the class of a code, or -1 where it is none: NaN, a fraction, not in 0 .. K - 1."""
    inside = code >= 0.0 and code < K
    k = np.int64(code) if inside else -1
    return k if k == code else -1


@exact
def losses_of_codes(Z, codes, lo, n, m, value):
    """Set value[:n] = m - z of the true class."""
    if Z.shape[0] <= _FEW:
        own = codes[lo : lo + n]
        for i in range(n):
            value[i] = NAN
        for k in range(Z.shape[0]):
            code = float(k)
            for i in range(n):
                value[i] = m[i] - Z[k, i] if own[i] == code else value[i]
        return
    for i in range(n):
        k = true_class(codes[lo + i], Z.shape[0])
        value[i] = m[i] - Z[k, i] if k >= 0 else NAN


@exact
def losses_of_rows(Z, Y, n, m, value):
    """Set value[:n] = sum_k y_k (m - z_k)."""
    for i in range(n):
        value[i] = 0.0
    for k in range(Z.shape[0]):
        for i in range(n):
            y = Y[k, i]
            value[i] += y * (m[i] - Z[k, i]) if y != 0.0 else 0.0


@exact
def exponentials(Z, n, m, others, ties):
    """Replace margins by t = exp(z - m) and set others[:n] = sum t - 1, without cancellation."""
    for i in range(n):
        others[i] = m[i] - m[i]  # NaN where the row is lost
        ties[i] = -1.0
    for k in range(Z.shape[0]):
        for i in range(n):
            t = exp_neg(Z[k, i] - m[i])
            Z[k, i] = t
            others[i] += 0.0 if t == 1.0 else t
        for i in range(n):
            ties[i] += 1.0 if Z[k, i] == 1.0 else 0.0
    for i in range(n):
        others[i] += ties[i]


@exact
def add_log_sums(others, n, value):
    """Do value[:n] += log S, the target's probabilities being one in sum."""
    for i in range(n):
        value[i] += log1p_sum(others[i])


@exact
def add_log_sums_of_rows(Y, others, n, total, value):
    """Do value[:n] += (sum_k y_k) log S; total is a buffer."""
    for i in range(n):
        total[i] = 0.0
    for k in range(Y.shape[0]):
        for i in range(n):
            total[i] += Y[k, i]
    for i in range(n):
        value[i] += total[i] * log1p_sum(others[i])


@exact
def inverses(others, n, out):
    """Set out[:n] = 1 / S."""
    for i in range(n):
        out[i] = 1.0 / (1.0 + others[i])


@exact
def product(a, lo, b, n, out):
    """Set out[:n] = a[lo : lo + n] * b[:n]."""
    factor = a[lo : lo + n]
    for i in range(factor.size):
        out[i] = factor[i] * b[i]


@exact
def complement(t, others):
    """Return S - t without cancellation."""
    return others if t == 1.0 else (1.0 + others) - t


@exact
def residuals_of_codes(Z, codes, lo, n, others, scale):
    """Replace t by scale S (p_k - [k is the true class]), scale = weight / S."""
    K = Z.shape[0]
    if K <= _FEW:
        own = codes[lo : lo + n]
        for k in range(K):
            code = float(k)
            for i in range(n):
                t = Z[k, i]
                Z[k, i] = (-complement(t, others[i]) if own[i] == code else t) * scale[i]
        return
    for i in range(n):
        k = true_class(codes[lo + i], K)
        if k >= 0:
            Z[k, i] = -complement(Z[k, i], others[i])
    for k in range(K):
        for i in range(n):
            Z[k, i] *= scale[i]


@exact
def residuals_of_rows(Z, Y, n, others, scale):
    """Replace t by scale S (p_k - y_k), written (1 - y) p - y (1 - p); scale = weight / S."""
    for k in range(Z.shape[0]):
        for i in range(n):
            t = Z[k, i]
            y = Y[k, i]
            Z[k, i] = ((1.0 - y) * t - y * complement(t, others[i])) * scale[i]


@exact
def curvatures(Z, k, n, others, inverse, scale, h):
    """Set h[:n] = weight p_k (1 - p_k), given inverse = 1 / S and scale = weight / S."""
    for i in range(n):
        t = Z[k, i]
        h[i] = (scale[i] * t) * (complement(t, others[i]) * inverse[i])


@exact
def cross_curvatures(Z, k, m, n, inverse, scale, h):
    """Set h[:n] = -weight p_k p_m."""
    for i in range(n):
        h[i] = -(scale[i] * Z[k, i]) * (Z[m, i] * inverse[i])


# --- given probabilities -----------------------------------------------------------------


@exact
def others_of(P, n, largest_at, others):
    """Set largest_at[:n] to the first class with the largest p, others[:n] to the sum of the rest.

    others is first a buffer for the largest p.
    """
    for i in range(n):
        others[i] = P[0, i]
        largest_at[i] = 0.0
    for k in range(1, P.shape[0]):
        code = float(k)
        for i in range(n):
            p = P[k, i]
            larger = p > others[i]
            others[i] = p if larger else others[i]
            largest_at[i] = code if larger else largest_at[i]
    for i in range(n):
        others[i] = 0.0
    for k in range(P.shape[0]):
        code = float(k)
        for i in range(n):
            others[i] += 0.0 if largest_at[i] == code else P[k, i]


@exact
def curvatures_of(P, n, largest_at, others, H):
    """Set H[:, :n] = p (1 - p)."""
    for k in range(P.shape[0]):
        code = float(k)
        for i in range(n):
            p = P[k, i]
            H[k, i] = p * (others[i] if largest_at[i] == code else 1.0 - p)


@exact
def directional(P, Z, n, largest_at, reference, mean):
    """Replace margins u of a direction by p_k (u_k - sum_l p_l u_l).

    All margins are taken relative to that of the largest p: its own is then 0, and the small
    difference that its row contributes is not that of two large numbers.
    """
    K = Z.shape[0]
    for i in range(n):
        reference[i] = Z[np.int64(largest_at[i]), i]
        mean[i] = 0.0
    for k in range(K):
        for i in range(n):
            Z[k, i] -= reference[i]
        for i in range(n):
            mean[i] += P[k, i] * Z[k, i]
    for k in range(K):
        for i in range(n):
            Z[k, i] = P[k, i] * (Z[k, i] - mean[i])


@stage
def scale_rows(weight, lo, n, Z):
    """Do Z[:, :n] *= weight[lo : lo + n]."""
    weights = weight[lo : lo + n]
    for k in range(Z.shape[0]):
        for i in range(n):
            Z[k, i] *= weights[i]


@stage
def row_sums(Z, n, out):
    """Do out[k] += sum of Z[k, :n]."""
    for k in range(Z.shape[0]):
        s = 0.0
        for i in range(n):
            s += Z[k, i]
        out[k] += s


# --- between rows of (n, K) and tiles ------------------------------------------------------


@exact
def tile_of(values, lo, n, Z):
    """Set Z[:, :n] = values[lo : lo + n]'."""
    for i in range(n):
        for k in range(Z.shape[0]):
            Z[k, i] = values[lo + i, k]


@exact
def tile_of_chosen(values, index, lo, n, Z):
    """Set Z[:, :n] = values[index[lo : lo + n]]'."""
    for i in range(n):
        row = index[lo + i]
        for k in range(Z.shape[0]):
            Z[k, i] = values[row, k]


@exact
def keep(A, n, Z):
    """Set Z[:, :n] = A[:, :n]."""
    for k in range(Z.shape[0]):
        for i in range(n):
            Z[k, i] = A[k, i]


@exact
def add_tile(A, n, Z):
    """Do Z[:, :n] += A[:, :n]."""
    for k in range(Z.shape[0]):
        for i in range(n):
            Z[k, i] += A[k, i]


@exact
def write_rows(Z, n, out, at):
    """Set out[at : at + n] = Z[:, :n]'."""
    for i in range(n):
        for k in range(Z.shape[0]):
            out[at + i, k] = Z[k, i]


@exact
def write_probabilities(Z, n, inverse, out, at):
    """Set out[at : at + n] = (Z[:, :n] inverse)'."""
    for i in range(n):
        for k in range(Z.shape[0]):
            out[at + i, k] = Z[k, i] * inverse[i]


@exact
def log_probabilities(Z, n, m, others):
    """Replace margins by z - m - log S; others has S - 1 and gets log S."""
    for i in range(n):
        others[i] = log1p_sum(others[i])
    for k in range(Z.shape[0]):
        for i in range(n):
            Z[k, i] = (Z[k, i] - m[i]) - others[i]
