"""Softmax loss and gradient by all who compute them: ``python -m benchmarks.softmax_kernels``.

One evaluation of the mean cross-entropy and its gradient, targets codes, no penalty, at the same
parameters: our fused pass on one and on all threads, our NumPy backend, scikit-learn's
``LinearModelLoss`` with ``HalfMultinomialLoss`` (on one and on all threads), and PyTorch and JAX
where they are installed. Beside each time stands how far its gradient is from NumPy's, relative to
the largest entry, and the rate in GFLOP/s: two multiply-adds a value of X and class. The caption
says what the BLAS reaches on this machine, and how long a parallel read of X takes.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import ThreadpoolController

import fastlogreg as flr
from benchmarks.harness import ceilings
from benchmarks.harness.stored import show
from benchmarks.harness.tables import geometric_mean, ms, ratio
from fastlogreg.backends import numba as kernels
from fastlogreg.cli.measuring import PAUSE, best_of_rounds, make_classes, new_table

_Array = NDArray[np.float64]
_Evaluation = Callable[[], tuple[float, _Array]]


class Shape(NamedTuple):
    """Rows, columns, classes, and stored values a row of sparse rows (0: dense)."""

    n: int
    d: int
    n_classes: int
    stored: int = 0

    @property
    def text(self) -> str:
        """Return the shape as people write it."""
        values = f" ({self.stored} a row)" if self.stored else ""
        return f"{self.n:,} x {self.d:,}{values}, K = {self.n_classes}"


SHAPES = (
    Shape(100_000, 54, 7),
    Shape(1_000_000, 20, 5),
    Shape(10_000, 500, 10),
    Shape(10_000, 20_000, 20, 50),
)
SMALL_SHAPES = (Shape(2_000, 12, 4), Shape(500, 300, 5, 20))

NUMPY, OURS = "NumPy", "fastlogreg"


def data(shape: Shape) -> tuple[Any, _Array, _Array]:
    """Return X, codes and theta, (K, 1 + d)."""
    n, d, K, stored = shape
    if not stored:
        return make_classes(n, d, K)
    rng = np.random.default_rng(0)
    X = sparse.random_array((n, d), density=stored / d, format="csr", rng=rng)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    theta = rng.standard_normal((K, d + 1)) / np.sqrt(stored)
    Z = X @ theta[:, 1:].T + rng.gumbel(size=(n, K))
    return X, Z.argmax(axis=1).astype(np.float64), 0.5 * theta


def scikit_learn(X: Any, y: _Array, theta: _Array, n_threads: int) -> _Evaluation:
    """Return scikit-learn's evaluation: what its solvers call, of weights (K, d + 1)."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    n, K = X.shape[0], theta.shape[0]
    loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=K), fit_intercept=True)
    weights = np.asfortranarray(np.roll(theta, -1, axis=1))  # the intercept comes last
    weight = np.full(n, 1.0 / n)

    def evaluate() -> tuple[float, _Array]:
        value, gradient = loss.loss_gradient(
            weights, X, y, sample_weight=weight, n_threads=n_threads
        )
        return float(value), np.roll(gradient.reshape((K, -1), order="F"), 1, axis=1)

    if n_threads > 1:
        return evaluate
    controller = ThreadpoolController()  # looks for libraries once, which takes 10 ms

    def on_one_thread() -> tuple[float, _Array]:
        with controller.limit(limits=1, user_api="blas"):
            return evaluate()

    return on_one_thread


def pytorch(X: Any, y: _Array, theta: _Array, n_threads: int) -> _Evaluation:
    """Return PyTorch's evaluation: its linear layer, cross_entropy and backward."""
    import torch

    torch.set_num_threads(n_threads)
    if isinstance(X, np.ndarray):
        rows = torch.from_numpy(X)
    else:
        parts = (torch.from_numpy(part) for part in (X.indptr, X.indices, X.data))
        rows = torch.sparse_csr_tensor(*parts, size=X.shape)
    codes = torch.from_numpy(y.astype(np.int64))
    W = torch.from_numpy(theta[:, 1:].copy()).requires_grad_()
    b = torch.from_numpy(theta[:, 0].copy()).requires_grad_()

    def evaluate() -> tuple[float, _Array]:
        W.grad = b.grad = None
        value = torch.nn.functional.cross_entropy(rows @ W.T + b, codes)
        value.backward()
        return float(value), np.column_stack([b.grad.numpy(), W.grad.numpy()])

    return evaluate


def jax(X: Any, y: _Array, theta: _Array) -> _Evaluation:
    """Return JAX's evaluation, compiled."""
    import jax as library
    import jax.numpy as jnp

    library.config.update("jax_enable_x64", True)
    codes = y.astype(np.int64)

    def mean_loss(parameters: Any, rows: Any) -> Any:
        Z = rows @ parameters[:, 1:].T + parameters[:, 0]
        own = jnp.take_along_axis(Z, codes[:, None], axis=1)[:, 0]
        return jnp.mean(library.nn.logsumexp(Z, axis=1) - own)

    compiled = library.jit(library.value_and_grad(mean_loss))
    rows, parameters = jnp.asarray(X), jnp.asarray(theta)

    def evaluate() -> tuple[float, _Array]:
        value, gradient = compiled(parameters, rows)
        return float(value), np.asarray(gradient)

    return evaluate


def evaluations(shape: Shape, n_threads: int) -> dict[tuple[str, int], _Evaluation]:
    """Return who evaluates, with how many threads."""
    X, y, theta = data(shape)
    ours = partial(flr.loss_gradient, X, y, theta, loss="cross_entropy", activation="softmax")
    found: dict[tuple[str, int], _Evaluation] = {(NUMPY, n_threads): partial(ours, backend="numpy")}
    for threads in sorted({1, n_threads}):
        found[OURS, threads] = partial(ours, n_threads=threads)
        found["scikit-learn", threads] = scikit_learn(X, y, theta, threads)
    if find_spec("torch") is not None:
        found["PyTorch", n_threads] = pytorch(X, y, theta, n_threads)
    if find_spec("jax") is not None and not shape.stored:
        found["JAX", n_threads] = jax(X, y, theta)
    return found


def measure(shape: Shape, n_threads: int, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each who evaluates, times in seconds."""
    calls: dict[Any, Callable[[], object]] = dict(evaluations(shape, n_threads))
    exact = calls[NUMPY, n_threads]()
    X = data(shape)[0]
    calls["read"] = partial(kernels.read_sum, X, n_threads=n_threads)
    times = best_of_rounds(calls, seconds, pause=PAUSE)
    values = shape.n * (shape.stored or shape.d)
    rows = []
    for key, own in times.items():
        if key == "read":
            continue
        value, gradient = calls[key]()
        scale = np.abs(exact[1]).max()
        rows.append(
            {
                "who": key[0],
                "n_threads": key[1],
                **shape._asdict(),
                "seconds": min(own),
                "rounds": len(own),
                "over_numpy": min(times[NUMPY, n_threads]) / min(own),
                "gflops": 4e-9 * values * shape.n_classes / min(own),
                "read_seconds": min(times["read"]),
                "loss_off": abs(value - exact[0]) / abs(exact[0]),
                "gradient_off": float(np.abs(gradient - exact[1]).max() / scale),
            }
        )
    return rows


def main(
    quick: Annotated[bool, typer.Option(help="Small shapes, few rounds: no figures.")] = False,
    seconds: Annotated[float, typer.Option(help="Of rounds for each shape.")] = 8.0,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure softmax loss and gradient against NumPy, scikit-learn, PyTorch and JAX."""
    n_threads = kernels.default_threads()
    rows: list[dict[str, Any]] = []
    for shape in SMALL_SHAPES if quick else SHAPES:
        rows += measure(shape, n_threads, 0.2 if quick else seconds)
    best = [
        row["over_numpy"] for row in rows if row["who"] == OURS and row["n_threads"] == n_threads
    ]
    blas = {str(k): 2e-9 * ceilings.multiply_adds(k) for k in sorted({1, n_threads})}
    reached = ", ".join(f"{rate:.3g} on {k}" for k, rate in blas.items())
    absent = [name for name in ("torch", "jax") if find_spec(name) is None]
    table = new_table(
        "softmax: loss and gradient",
        "who",
        *("threads", "best ms", "over NumPy", "GFLOP/s", "reads of X", "gradient off"),
        caption=f"over NumPy in geometric mean: {ratio(geometric_mean(best))}; the BLAS reaches "
        f"{reached} thread(s)" + (f"; not installed: {', '.join(absent)}" if absent else ""),
    )
    shown = None
    for row in rows:
        shape = Shape(*(row[name] for name in Shape._fields))
        if shape != shown:
            table.add_section()
            table.add_row(shape.text, *[""] * 6)
            shown = shape
        table.add_row(
            f"  {row['who']}",
            str(row["n_threads"]),
            ms(row["seconds"]),
            ratio(row["over_numpy"]),
            f"{row['gflops']:.3g}",
            f"{row['seconds'] / row['read_seconds']:.3g}",
            f"{row['gradient_off']:.0e}",
        )
    show(table, rows, output, blas_gflops=blas)


if __name__ == "__main__":
    typer.run(main)
