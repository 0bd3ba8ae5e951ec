"""The functional interface: check the input, pick a backend, call it.

Every function takes theta as in the lecture, ``[b, w_1 .. w_d]``, bias first (without
intercept ``[w_1 .. w_d]``), and computes with the margin ``z = X @ w + b + offset``.
No column of ones is ever built. Losses are means over samples, weighted means where
``sample_weight`` is given.

Nothing is clipped: labels may be any value in [0, 1], margins any float, and NaN in
gives NaN out.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogreg import backends
from fastlogreg.data import validation as check
from fastlogreg.floating_point import numpy_defaults

__all__ = [
    "TrainingResult",
    "loss",
    "loss_gradient",
    "loss_gradient_hessian",
    "predict_proba",
    "train",
]


@numpy_defaults
def predict_proba(
    X: ArrayLike,
    theta: ArrayLike,
    *,
    activation: str = "sigmoid",
    offset: ArrayLike | None = None,
    intercept: bool = True,
    backend: str = "numba",
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """Predict the probability of the positive class, or of each class, for each row of X.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        Samples. float32 and float64 arrays in C or Fortran order are used in place, and so are
        CSR matrices.
    theta : array-like of shape (p,) or (K, p)
        Parameters ``[b, w_1 .. w_d]``; without intercept ``[w_1 .. w_d]``. With softmax one such
        row for each class.
    activation : {"sigmoid", "tanh", "identity", "softmax"}, default="sigmoid"
        How a margin becomes a prediction; ``"tanh"`` means ``(tanh(z) + 1) / 2``,
        ``"identity"`` returns the margin (linear regression), ``"softmax"`` makes K margins a
        row probabilities of K classes.
    offset : array-like of shape (n,) or (n, K), optional
        A known term of each margin.
    intercept : bool, default=True
        Whether theta begins with the bias.
    backend : {"numba", "numpy", "loop"}, default="numba"
        Who computes.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.

    Returns
    -------
    ndarray of shape (n,) or (n, K), float64

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which and why.

    Examples
    --------
    The lecture's petals, batch section, step 2:

    >>> import fastlogreg as flr
    >>> X = [[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]]
    >>> flr.predict_proba(X, [0.1, 0.5, -0.1]).round(4)
    array([0.6857, 0.6964, 0.8161, 0.8829])
    """
    check.check_backend(backend)
    check.check_choice(activation, "activation", backends.ACTIVATIONS)
    matrix = check.check_matrix(X)
    parameters, offsets = _parameters(theta, offset, matrix, activation, intercept)
    threads = check.check_count(n_threads, "n_threads", none=True)
    n_outputs = parameters.shape[0] if parameters.ndim == 2 else 1
    spec = backends.PassSpec("mse", activation, bool(intercept), threads, n_outputs)
    return backends.get(backend).bind(matrix, None, None, offsets, spec).predict(parameters)


def _parameters(
    theta: ArrayLike,
    offset: ArrayLike | None,
    matrix: backends.Matrix,
    activation: str,
    intercept: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return theta, (p,) or with softmax (K, p), and the offset, (n,) or (n, K)."""
    n, d = matrix.shape
    if activation != "softmax":
        parameters = check.check_theta(theta, d, intercept=intercept)
        return parameters, check.check_offset(offset, n)
    parameters = check.check_class_theta(theta, d, intercept=intercept)
    return parameters, check.check_offset(offset, n, parameters.shape[0])


def _check_labels(targets: NDArray[np.float64], activation: str, n_outputs: int) -> None:
    if activation == "softmax":
        check.check_classes(targets, n_outputs)
    else:
        check.check_labels(targets, activation)


class _Given(NamedTuple):
    """The rows and parameters as a caller hands them over."""

    X: ArrayLike
    y: ArrayLike
    theta: ArrayLike
    sample_weight: ArrayLike | None
    offset: ArrayLike | None


class _How(NamedTuple):
    """What is to be computed of them, and by whom."""

    loss: str
    activation: str
    intercept: bool
    backend: str
    n_threads: int | None


@numpy_defaults
def _evaluate(
    given: _Given, how: _How, order: int
) -> tuple[float, NDArray[np.float64] | None, NDArray[np.float64] | None]:
    X, y, theta, sample_weight, offset = given
    loss, activation, intercept, backend, n_threads = how
    check.check_backend(backend)
    check.check_combination(loss, activation)
    matrix = check.check_matrix(X)
    n = matrix.shape[0]
    parameters, offsets = _parameters(theta, offset, matrix, activation, intercept)
    n_outputs = parameters.shape[0] if parameters.ndim == 2 else 1
    if activation == "softmax":
        targets = check.check_targets(y, n, n_outputs)
    else:
        targets = check.check_vector(y, "y", n)
    weights = check.check_weights(sample_weight, n)
    threads = check.check_count(n_threads, "n_threads", none=True)
    # its pass makes a label outside [0, 1] NaN, and a code that is no class
    fused_check = backend == "numba" and targets.ndim == 1
    if not fused_check:
        _check_labels(targets, activation, n_outputs)
    spec = backends.PassSpec(loss, activation, bool(intercept), threads, n_outputs)
    bound = backends.get(backend).bind(matrix, targets, weights, offsets, spec)
    value, gradient, hessian = bound(parameters, order)
    if fused_check and value != value:
        _check_labels(targets, activation, n_outputs)
    total = bound.total_weight
    if gradient is not None:
        gradient /= total
    if hessian is not None:
        hessian /= total
    return value / total, gradient, hessian


def loss(
    X: ArrayLike,
    y: ArrayLike,
    theta: ArrayLike,
    *,
    loss: str = "bce",
    activation: str = "sigmoid",
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    intercept: bool = True,
    backend: str = "numba",
    n_threads: int | None = None,
) -> float:
    """Compute the mean loss of theta on (X, y).

    Binary cross-entropy ``-y log p - (1 - y) log(1 - p)`` or squared error
    ``(p - y)**2`` (lecture, "BCE and MSE Loss Functions"), in forms that neither
    overflow nor cancel.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        Samples. float32 and float64 arrays in C or Fortran order are used in place, and so are
        CSR matrices.
    y : array-like of shape (n,) or (n, K)
        Labels in [0, 1]; any real number with ``activation="identity"``. With softmax codes
        0 .. K - 1, or a row of K probabilities for each sample.
    theta : array-like of shape (p,) or (K, p)
        Parameters ``[b, w_1 .. w_d]``; without intercept ``[w_1 .. w_d]``. With softmax one such
        row for each class.
    loss : {"bce", "mse", "cross_entropy"}, default="bce"
        The loss of one sample.
    activation : {"sigmoid", "tanh", "identity", "softmax"}, default="sigmoid"
        How a margin becomes a prediction; ``"tanh"`` means ``(tanh(z) + 1) / 2``;
        ``"identity"`` goes with ``loss="mse"`` only, ``"softmax"`` with ``loss="cross_entropy"``,
        ``-sum_k y_k log p_k``.
    sample_weight : array-like of shape (n,), optional
        Weights: finite, none negative, not all zero. The mean becomes a weighted mean.
    offset : array-like of shape (n,) or (n, K), optional
        A known term of each margin.
    intercept : bool, default=True
        Whether theta begins with the bias.
    backend : {"numba", "numpy", "loop"}, default="numba"
        Who computes.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which and why.

    Examples
    --------
    The lecture's petals, batch section, step 3:

    >>> import fastlogreg as flr
    >>> X = [[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]]
    >>> round(flr.loss(X, [0, 0, 1, 1], [0.1, 0.5, -0.1]), 4)
    0.6693
    """
    return _evaluate(
        _Given(X, y, theta, sample_weight, offset),
        _How(loss, activation, intercept, backend, n_threads),
        0,
    )[0]


def loss_gradient(
    X: ArrayLike,
    y: ArrayLike,
    theta: ArrayLike,
    *,
    loss: str = "bce",
    activation: str = "sigmoid",
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    intercept: bool = True,
    backend: str = "numba",
    n_threads: int | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """Compute the mean loss of theta and its gradient in one pass over X.

    Parameters
    ----------
    X, y, theta, loss, activation, sample_weight, offset, intercept, backend, n_threads
        As in :func:`fastlogreg.loss`.

    Returns
    -------
    loss : float
    gradient : ndarray of the shape of theta, float64
        In theta's order, bias first.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which and why.

    Examples
    --------
    The lecture's petals, batch section, steps 3 and 4:

    >>> import fastlogreg as flr
    >>> X = [[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]]
    >>> value, gradient = flr.loss_gradient(X, [0, 0, 1, 1], [0.1, 0.5, -0.1])
    >>> gradient.round(3)
    array([ 0.27 ,  0.243, -0.02 ])
    """
    value, gradient, _ = _evaluate(
        _Given(X, y, theta, sample_weight, offset),
        _How(loss, activation, intercept, backend, n_threads),
        1,
    )
    assert gradient is not None
    return value, gradient


def loss_gradient_hessian(
    X: ArrayLike,
    y: ArrayLike,
    theta: ArrayLike,
    *,
    loss: str = "bce",
    activation: str = "sigmoid",
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    intercept: bool = True,
    backend: str = "numba",
    n_threads: int | None = None,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Compute the mean loss of theta, its gradient and its Hessian in one pass over X.

    The Hessian of binary cross-entropy is never negative definite in any direction;
    that of the squared error of a sigmoid may be (lecture, "Mean Squared Error").

    Parameters
    ----------
    X, y, theta, loss, activation, sample_weight, offset, intercept, backend, n_threads
        As in :func:`fastlogreg.loss`.

    Returns
    -------
    loss : float
    gradient : ndarray of the shape of theta, float64
    hessian : ndarray of shape (p, p) or (K p, K p), float64, symmetric
        With softmax class by class, in the order of ``theta.ravel()``.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which and why.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> X = [[1.0], [2.0]]
    >>> value, gradient, hessian = flr.loss_gradient_hessian(
    ...     X, [5, 7], [3, 2], loss="mse", activation="identity"
    ... )
    >>> value, gradient, hessian
    (0.0, array([0., 0.]), array([[2., 3.],
           [3., 5.]]))
    """
    value, gradient, hessian = _evaluate(
        _Given(X, y, theta, sample_weight, offset),
        _How(loss, activation, intercept, backend, n_threads),
        2,
    )
    assert gradient is not None and hessian is not None
    return value, gradient, hessian


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`fastlogreg.train` returns.

    Attributes
    ----------
    theta : ndarray of shape (p,) or (K, p), float64
        The parameters after the last update.
    losses : ndarray of shape (n_epochs * n_batches,), float64
        The mean loss of each batch before its update, in the order of the updates.
    batch_sizes : ndarray of shape (n_batches,), int64
        The number of samples in each batch of an epoch; the last may be smaller.
    n_epochs : int
        The number of epochs run.
    """

    theta: NDArray[np.float64]
    losses: NDArray[np.float64] = field(repr=False)
    batch_sizes: NDArray[np.int64] = field(repr=False)
    n_epochs: int

    @property
    @numpy_defaults
    def epoch_losses(self) -> NDArray[np.float64]:
        """Mean over the samples of each epoch of the loss before their update, (n_epochs,)."""
        steps = self.losses.reshape(self.n_epochs, self.batch_sizes.size)
        mean: NDArray[np.float64] = steps @ (self.batch_sizes / self.batch_sizes.sum())
        return mean


def _start(
    y: ArrayLike,
    theta: ArrayLike | None,
    matrix: backends.Matrix,
    activation: str,
    intercept: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the targets and parameters of one's own to begin with: zeros where none are given."""
    n, d = matrix.shape
    if activation != "softmax":
        targets = check.check_vector(y, "y", n)
        check.check_labels(targets, activation)
        if theta is None:
            return targets, np.zeros(d + intercept)
        return targets, check.check_theta(theta, d, intercept=intercept, copy=True)
    parameters = (
        None if theta is None else check.check_class_theta(theta, d, intercept=intercept, copy=True)
    )
    targets = check.check_targets(y, n, None if parameters is None else parameters.shape[0])
    if parameters is None:
        n_classes = targets.shape[1] if targets.ndim == 2 else _number_of_classes(targets)
        parameters = np.zeros((n_classes, d + intercept))
    check.check_classes(targets, parameters.shape[0])
    return targets, parameters


def _number_of_classes(codes: NDArray[np.float64]) -> int:
    """Return the number of classes that codes 0 .. K - 1 speak of, two at the least."""
    largest = float(codes.max())
    check.check_classes(codes, int(largest) + 1 if 0.0 <= largest < codes.size else codes.size)
    return max(2, int(largest) + 1)


@numpy_defaults
def train(
    X: ArrayLike,
    y: ArrayLike,
    *,
    theta: ArrayLike | None = None,
    batch_size: int | None = None,
    learning_rate: float = 0.1,
    n_epochs: int = 100,
    shuffle: bool = True,
    seed: int | None = None,
    loss: str = "bce",
    activation: str = "sigmoid",
    intercept: bool = True,
    backend: str = "numba",
    n_threads: int | None = None,
) -> TrainingResult:
    """Train by gradient descent: exactly the lecture's five steps.

    1. pick the samples of a batch, 2. compute the output, 3. compute the loss,
    4. compute its derivative, 5. update ``theta = theta - learning_rate * gradient``
    (lecture, "Logistic Regression - Stochastic", "- Mini-batch", "- Batch").

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        Samples. float32 and float64 arrays in C or Fortran order are used in place, and so are
        CSR matrices.
    y : array-like of shape (n,) or (n, K)
        Labels in [0, 1]; any real number with ``activation="identity"``. With softmax codes
        0 .. K - 1, or a row of K probabilities for each sample.
    theta : array-like of shape (p,) or (K, p), optional
        Where to begin; default zeros (for softmax with codes, of as many classes as the largest
        code says). It is not changed.
    batch_size : int, optional
        1: stochastic; m: mini-batches of m samples (the last of an epoch may be
        smaller); None: all samples in one batch.
    learning_rate : float, default=0.1
        The step length eta.
    n_epochs : int, default=100
        How often each sample is used.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new random order. With one batch an
        epoch the order makes no difference, and none is drawn.
    seed : int, optional
        Seed of the random order; the same seed gives the same order in every backend.
    loss, activation, intercept, backend, n_threads
        As in :func:`fastlogreg.loss`.

    Returns
    -------
    TrainingResult
        ``theta`` and the loss of every batch before its update.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message says which and why.

    Examples
    --------
    >>> import fastlogreg as flr
    >>> X = [[1.4, 0.2], [1.5, 0.2], [3.0, 1.1], [4.1, 1.3]]
    >>> result = flr.train(X, [0, 0, 1, 1], theta=[0.1, 0.5, -0.1], n_epochs=2)
    >>> result.losses.round(4)
    array([0.6693, 0.6566])
    """
    check.check_backend(backend)
    check.check_combination(loss, activation)
    threads = check.check_count(n_threads, "n_threads", none=True)
    size = check.check_count(batch_size, "batch_size", none=True)
    epochs = check.check_count(n_epochs, "n_epochs")
    rate = check.check_real(learning_rate, "learning_rate")
    matrix = check.check_matrix(X)
    n = matrix.shape[0]
    targets, parameters = _start(y, theta, matrix, activation, bool(intercept))
    assert epochs is not None
    size = n if size is None else min(size, n)
    random = np.random.default_rng(seed) if shuffle and size < n else None
    sizes = np.full(-(-n // size), size, dtype=np.int64)
    sizes[-1] = n - size * (sizes.size - 1)
    losses = np.empty((epochs, sizes.size))
    run_epoch = backends.get(backend).train_epoch
    spec = backends.BatchSpec(
        size,
        loss=loss,
        activation=activation,
        intercept=bool(intercept),
        n_threads=threads,
        n_outputs=parameters.shape[0] if parameters.ndim == 2 else 1,
    )
    for epoch in range(epochs):
        losses[epoch] = run_epoch(
            matrix,
            targets,
            parameters,
            None if random is None else random.permutation(n),
            spec,
            rate,
        )
    return TrainingResult(parameters, losses.ravel(), sizes, epochs)
