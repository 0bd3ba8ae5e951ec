"""Mini-batch training in plain NumPy, one formula a line: the witness of the compiled loop.

Follows the docstrings of ``optimizers.py`` and ``scales.py`` in
``fastlogreg/backends/numba/minibatch/`` and the papers that they name, with means, sums and
averages taken from all that was seen so far instead of being carried along.
"""

import numpy as np


def soft(w, length, l1, l2):
    return np.sign(w) * np.maximum(np.abs(w) - l1 * length, 0.0) / (1.0 + l2 * length)


def residuals(z, y, loss, activation):
    """Return the losses (n,) and the residuals (n, m) of margins (n, m)."""
    if activation == "softmax":
        t = np.exp(z - z.max(axis=1, keepdims=True))
        p = t / t.sum(axis=1, keepdims=True)
        true = np.arange(len(y)), y.astype(int)
        r = p.copy()
        r[true] -= 1.0
        return -np.log(p[true]), r
    y = y[:, None]
    if activation == "identity":
        return ((z - y) ** 2)[:, 0], 2.0 * (z - y)
    scale = 2.0 if activation == "tanh" else 1.0
    p = 1.0 / (1.0 + np.exp(-scale * z))
    if loss == "bce":
        return (-y * np.log(p) - (1 - y) * np.log(1 - p))[:, 0], scale * (p - y)
    return ((p - y) ** 2)[:, 0], scale * 2.0 * (p - y) * p * (1.0 - p)


def train(
    X,
    y,
    batches,
    *,
    optimizer="sgd",
    rate=lambda t: 0.1,
    l1=0.0,
    l2=0.0,
    momentum=0.9,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-8,
    scales=False,
    sparse=False,
    average=False,
    weight=None,
    offset=None,
    loss="bce",
    activation="sigmoid",
    look_until=4096,
    look_every=64,
    trusted=20,
):
    """Return [b, w_1 .. w_d] after the batches, lists of rows, and the loss of each before it.

    With softmax a row of that for each of the classes 0 .. max(y).
    """
    n, d = X.shape
    m = int(y.max()) + 1 if activation == "softmax" else 1
    weight = np.ones(n) if weight is None else weight
    offset = np.zeros((n, m)) if offset is None else offset.reshape(n, m)
    b, w = np.zeros(m), np.zeros((d, m))
    velocity, squares = np.zeros((d + 1, m)), np.zeros((d + 1, m))
    inverse, mean = np.ones(d), np.zeros(d)
    owed, length_of = np.zeros((d, 1)), np.zeros((d, m))  # sparse: of rates since it was moved
    samples, seen, losses, path = 0, [], [], []
    lazy = sparse and optimizer in ("sgd", "adagrad")
    if scales:
        inverse[:] = 0.0
    for t, rows in enumerate(batches):
        x = X[rows]
        z = x @ w + b + offset[rows]
        values, r = residuals(z, y[rows], loss, activation)
        losses.append(np.sum(weight[rows] * values) / np.sum(weight[rows]))
        r = weight[rows, None] * r / len(rows)
        g = np.vstack([r.sum(axis=0), x.T @ r])
        if scales and (samples < look_until or t % look_every == 0):
            seen.extend(rows)
            looked = X[seen]
            counts = (looked != 0.0).sum(axis=0)
            if sparse:
                square = (looked**2).sum(axis=0)
            else:
                mean = looked.mean(axis=0)
                doubt = np.exp(-len(seen) / trusted) / len(seen)
                square = ((looked - mean) ** 2).sum(axis=0) + (looked**2).mean(axis=0) * doubt
            inverse = np.sqrt(np.divide(counts, square, where=square > 0, out=np.zeros(d)))
        eta = rate(t)
        if scales:
            eta *= min(1.0, len(seen) / trusted) ** 2
        if scales and optimizer not in ("adagrad", "adam"):
            eta /= 1.0 + (X[seen] != 0.0).sum() / len(seen)
        moves = np.ones((d + 1, 1), bool)
        if lazy:
            moves[1:] = (g[1:] != 0.0).any(axis=1, keepdims=True)
        g[1:] -= mean[:, None] * g[0]
        scale = np.concatenate([[1.0], inverse])[:, None]
        if lazy:
            w = np.where(moves[1:], soft(w, length_of * owed, l1, l2), w)
        if optimizer == "sgd":
            size = eta * scale**2 * np.ones(m)
            step = size * g
        elif optimizer in ("momentum", "nesterov"):
            velocity = momentum * velocity + eta * scale**2 * g
            again = momentum * velocity + eta * scale**2 * g
            step = again if optimizer == "nesterov" else velocity
            size = eta * scale**2 / (1.0 - momentum) * np.ones(m)
        elif optimizer == "adagrad":
            squares = squares + np.where(moves, g**2, 0.0)
            size = eta * scale**2 / (scale * np.sqrt(squares) + epsilon)
            step = size * g
        else:
            velocity = beta1 * velocity + (1 - beta1) * g
            squares = beta2 * squares + (1 - beta2) * g**2
            v_hat = velocity / (1 - beta1 ** (t + 1))
            s_hat = squares / (1 - beta2 ** (t + 1))
            size = eta * scale**2 / (scale * np.sqrt(s_hat) + epsilon)
            step = size * v_hat
        new = soft(w - step[1:], size[1:], l1, l2)
        if lazy:
            length_of = np.where(moves[1:], size[1:] / eta, length_of)
            owed = np.where(moves[1:], 0.0, owed + eta)
            new = np.where(moves[1:], new, w)
        b -= step[0] + mean @ (new - w)
        w = new
        samples += len(rows)
        path.append(np.vstack([b, w]))
    theta = path[-1].copy()
    if average:
        t = np.arange(1, len(path) + 1)
        shares = t * (t + 1.0)
        theta = np.tensordot(shares, np.array(path), 1) / shares.sum()
    elif lazy:
        theta[1:] = soft(w, length_of * owed, l1, l2)
    return theta[:, 0] if activation != "softmax" else theta.T, np.array(losses)
