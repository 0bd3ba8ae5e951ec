"""The mini-batch estimator: scikit-learn's contract around the compiled loop.

For data that arrive in pieces (``partial_fit``), do not fit in memory (a memory-mapped X is read
in place), or where an answer within 0.1 % of the optimum is wanted in one or two passes over X.
For the optimum itself see :class:`fastlogreg.LogisticRegression`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fastlogreg import backends
from fastlogreg.data import validation as check
from fastlogreg.data.labels import check_classes, check_labels_of_model
from fastlogreg.data.memory import MemoryRows, Rows
from fastlogreg.data.sources import RowSource
from fastlogreg.estimators.callbacks import FitMonitor, fit_tasks
from fastlogreg.estimators.input import checked_rows, training, training_data
from fastlogreg.estimators.linear_classifier import LinearClassifier
from fastlogreg.estimators.pieces import StreamOfPieces
from fastlogreg.floating_point import numpy_defaults
from fastlogreg.problem.problem import Problem
from fastlogreg.solvers.descent import DIVERGED, Epoch, Outcome, Stopping, descend, go_over
from fastlogreg.solvers.finish import finish
from fastlogreg.solvers.trace import Trace

__all__ = ["MiniBatchLogisticRegression"]

_OPTIMIZERS = ("adagrad", "adam", "sgd", "momentum", "nesterov")
_ADAPTING = {"adagrad": 0.5, "adam": 0.05}  # first rates
_STANDARDIZED, _AS_THEY_ARE = 2.0, 0.1  # those of the others, by what columns are taken as
_WITH_VELOCITY = ("momentum", "nesterov")
_SCHEDULES = ("constant", "invscaling", "optimal", "adaptive")
_AT_ZERO = {"bce": float(np.log(2.0)), "mse": 0.25}  # mean losses of coefficients of 0
_PIECE = 65_536  # rows of a validation set that are scored together
_SAMPLED = 16  # rows of a float32 piece that tell whether rounded coefficients would do
_FEWEST = 20  # rows of pieces that may lose so much that no noise explains it
_JUDGED = 1000  # rows of pieces whose mean loss says something
# rows, Newton steps and least curvature of a first bias
_SUBSAMPLED, _STEPS, _FLAT = 100_000, 30, 1e-12
_BALANCED = 1e-6  # shares of the classes: as much as that is enough for a start


class MiniBatchLogisticRegression(LinearClassifier):
    """Logistic regression by stochastic, mini-batch or batch descent.

    Minimizes the mean over samples

        1/n sum_i s_i loss_i + alpha (l1_ratio ||w||_1 + (1 - l1_ratio)/2 ||w||^2)

    with the margins ``z = X @ w + b + offset`` and the weights s; the intercept b is never
    penalized. ``alpha`` is that of scikit-learn's ``SGDClassifier``; a ``LogisticRegression(C)``
    has ``1 / (C n)``. More than two classes are fitted together, by softmax and cross-entropy, with
    a row of coefficients each.

    At the defaults (AdaGrad, scales learned from the data, averaging) one or two epochs come
    within 0.1 % of the optimum where there are many more rows than columns, whatever the scales and
    offsets of the columns and however the rows are sorted. Few rows, rare levels and rows that can
    nearly be separated need more. So where :meth:`fit` ends by itself, the gradient over all rows
    tells how far the optimum is: if farther than ``tol``, the solvers of
    :class:`LogisticRegression` go the rest of the way, and a ConvergenceWarning says where that is
    not enough. Not with ``tol=None`` or ``early_stopping``. With an L1 penalty, squared errors and
    models of more than 1,000 coefficients are judged by a lower bound of the distance, which warns
    of the worst alone, and are left where they are.

    Parameters
    ----------
    loss : {"bce", "mse"}, default="bce"
        Cross-entropy, or the squared error of the probability (of two classes alone).
    activation : {"sigmoid", "tanh"}, default="sigmoid"
        How a margin becomes a probability; ``"tanh"`` means ``(tanh(z) + 1) / 2`` (of two classes
        alone). More than two classes have softmax.
    alpha : float, default=1e-4
        Strength of the penalty, at least 0.
    l1_ratio : float, default=0.0
        The share of L1 in the penalty, 0 to 1.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    batch_size : int or None, default=256
        Rows of an update. 1: stochastic; m: mini-batch; None: batch, all rows.
    optimizer : {"adagrad", "adam", "sgd", "momentum", "nesterov"}, default="adagrad"
        How a gradient becomes a step. ``"sgd"`` is the lecture's ``theta - eta * gradient``. With
        sparse rows ``"sgd"`` and ``"adagrad"`` cost what a batch stores; the others move every
        coefficient in every update.
    learning_rate : {"constant", "invscaling", "optimal", "adaptive"}, default="constant"
        At update t = 0, 1, ...: ``eta0``; ``eta0 / (t + 1)**power_t``; ``1 / (alpha (t0 + t))``
        with scikit-learn's t0; or ``eta0`` divided by 5 whenever ``n_iter_no_change`` epochs bring
        no progress.
    eta0 : float or None, default=None
        The (first) learning rate; None for that of the optimizer: 0.5 (adagrad), 0.05 (adam), 2
        (sgd; 0.1 without ``standardize``), and ``1 - momentum`` times that (momentum, nesterov).
    power_t : float, default=0.5
        The exponent of ``"invscaling"``.
    momentum : float, default=0.9
        The share of the velocity that is kept, at least 0 and below 1.
    beta_1, beta_2 : float, default=0.9, 0.999
        Adam's decay rates, at least 0 and below 1.
    epsilon : float, default=1e-8
        AdaGrad's and Adam's guard against a division by 0, in units of the scales.
    standardize : bool, default=True
        Whether steps are taken in units of the columns' scales, and about their means where rows
        are dense and there is an intercept; both are learned as the rows come (normalized online
        learning). The penalty stays on the coefficients of the columns as they are. Steps are
        short while fewer than 20 rows have been seen, and with ``loss="bce"`` and ``shuffle`` a
        ``fit`` starts at the log-odds of the classes. False for the plain methods, which start at
        0 and need scaled columns.
    max_iter : int, default=1000
        Epochs at most.
    tol : float or None, default=1e-3
        An epoch makes progress if its mean training loss falls, or its validation score rises, by
        more than this; at the end, the largest distance above the optimum, relative to the
        objective there. None: run ``max_iter`` epochs, and no more.
    n_iter_no_change : int, default=5
        Epochs without progress until the end.
    early_stopping : bool, default=False
        Whether progress is that of the accuracy on rows kept aside; the best epoch's coefficients
        are kept.
    validation_fraction : float, default=0.1
        The share of rows kept aside, between 0 and 1; of those alone whose weight is above 0.
    shuffle : bool or "full", default=True
        True: each epoch takes the rows in a new random order that reads memory in blocks and mixes
        rows within what fits the cache; "full": a permutation of all rows (8 bytes a row, two to
        three times slower beyond the cache); False: as they are stored.
    average : bool or int, default=True
        Whether coefficients are averages over the updates, later ones weighing more; a number
        above 1: from that many samples on.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``.
    warm_start : bool, default=False
        Whether ``fit`` starts from the coefficients of the last fit.
    random_state : int, RandomState instance or None, default=None
        Draws the orders and the validation rows. The same seed gives the same bits.
    n_threads : int, optional
        Threads at most; default all. The result is the same to the bit for any number.
    verbose : int, default=0
        Above 0: a line for each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features), of the dtype of X
        Or a SciPy CSR matrix of that shape after :meth:`sparsify`. float32 for float32 X (all sums
        are float64 even so), unless that would move the margins: float64 then, as for all else.
        One row for two classes, for the probability of the second.
    intercept_ : ndarray of shape (1,) or (n_classes,), float64
    n_iter_ : int
        Epochs of the last ``fit``, or pieces given to ``partial_fit`` since.
    t_ : int
        Updates made.
    loss_curve_ : list of float
        The mean training loss of each epoch, each batch's before its update, without penalty.
    validation_scores_ : list of float or None
        The accuracy on the rows kept aside after each epoch; None without ``early_stopping``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where X has string column names.

    See Also
    --------
    fastlogreg.LogisticRegression : The optimum, to any accuracy.
    sklearn.linear_model.SGDClassifier : Stochastic descent of one row at a time.

    References
    ----------
    The lecture "Insight into Logistic Regression" (stochastic, mini-batch, batch); Duchi, Hazan and
    Singer 2011 (AdaGrad); Kingma and Ba 2015 (Adam); Ross, Mineiro and Langford 2013 (scales);
    Shamir and Zhang 2013 (averages).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogreg import MiniBatchLogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = MiniBatchLogisticRegression(batch_size=32, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True

    In pieces:

    >>> model = MiniBatchLogisticRegression(batch_size=32, random_state=0)
    >>> for first in range(0, 569, 128):
    ...     piece = slice(first, first + 128)
    ...     model = model.partial_fit(X[piece], y[piece], classes=[0, 1])
    >>> model.score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        *,
        loss: str = "bce",
        activation: str = "sigmoid",
        alpha: float = 1e-4,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        batch_size: int | None = 256,
        optimizer: str = "adagrad",
        learning_rate: str = "constant",
        eta0: float | None = None,
        power_t: float = 0.5,
        momentum: float = 0.9,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        standardize: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool | str = True,
        average: bool | int = True,
        class_weight: dict[Any, float] | str | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.activation = activation
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.standardize = standardize
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.average = average
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    _wide_intercept = True  # as that of SGDClassifier

    # --- fitting -------------------------------------------------------------------------

    @numpy_defaults
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Self:
        """Fit the model in epochs over all rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 and float64 arrays in C or Fortran order, memory-mapped ones among them, are
            used in place, and so are CSR matrices with int32 or int64 indices. Or rows of
            :func:`fastlogreg.open_rows`; those beyond its memory limit are read in each epoch, in
            their order, and shuffled within the pieces that are read.
        y : array-like of shape (n_samples,)
            Labels: two or more different values.
        sample_weight : array-like of shape (n_samples,), optional
            Weights: finite, none negative, not all zero.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional
            A known part of the margins, finite; one column for two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the input is not as described; the message names it.

        Warns
        -----
        ConvergenceWarning
            If the run diverged (the message names the learning rate; coefficients are the last
            finite ones), reached ``max_iter`` before the loss plateaued, or ended farther than
            ``tol`` above the optimum.
        """
        begun = time.perf_counter()
        settings = self._settings()
        warm = check.check_flag(self.warm_start, "warm_start")
        data = training(self, X, y, sample_weight, offset, parts=True)
        rows, columns = data.rows, data.columns
        settings = settings.for_classes(rows.classes.size)
        train, kept = None, None
        seed = self._seed()
        pieces = None if data.source is None else data.source.pieces()
        if settings.early_stopping:
            if data.source is not None:
                raise ValueError(
                    "early_stopping must be False for rows that memory does not hold: none can "
                    "stay aside; or raise memory_limit in open_rows"
                )
            train, kept = _split(rows, settings.validation_fraction, seed)
        stream: backends.Stream
        if pieces is None:
            stream = settings.stream(rows, self.n_threads, train)
        else:
            stream = settings.stream_of(pieces, rows, self.n_threads)
        start = self._start_of(stream, columns.number) if warm else None
        # of rows in pieces, those in memory are the first: sorted ones would be all of one class
        empty = None
        if settings.intercept and pieces is None:
            empty = _without_columns(rows, stream.shape, settings)
        if start is None and settings.loss != "mse" and settings.steps.standardize and self.shuffle:
            start = empty
        with fit_tasks(self, rows, data.y, columns, data.metadata) as tasks:
            if tasks is not None:
                tasks.iteration_ended(np.zeros(stream.shape) if start is None else start)
            stream.begin(start)
            scorer = None
            if kept is not None:
                scorer = _Scorer(rows, kept, settings.pass_spec(self.n_threads))
            monitor = _EpochMonitor(begun, bool(self.verbose > 0), tasks)
            result = descend(
                stream,
                settings.stopping,
                random=np.random.default_rng(seed) if self.shuffle else None,
                score=scorer,
                trace=Trace(monitor),
            )
            if result.history:
                result.at_zero = settings.at_zero
                if result.diverged and rows.offset is not None and pieces is None:
                    result.at_zero = _loss_at_zero(rows, settings)
            if result.plateaued and kept is None and not result.diverged:
                source: Any = data.source
                if source is None:
                    source = MemoryRows(rows.matrix, rows.targets, rows.weights, rows.offset)
                self._finish(result, stream, source, settings, empty)
            theta = _centred(result.theta, settings.intercept, settings.steps.l1)
            coef, intercept = self._coefficients(theta, rows.matrix)
            self._become(
                columns,
                classes_=rows.classes,
                coef_=coef,
                intercept_=intercept,
                n_iter_=result.n_iter,
                t_=stream.n_updates,
                loss_curve_=[epoch.loss for epoch in result.history],
                validation_scores_=scorer and [epoch.score for epoch in result.history],
                _state=stream.keep(),
                _how=settings.how(stream),
                _unjudged=_NOTHING,
                forget=("_sample",),
                **data.fitted,
            )
        self._warn(result)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Self:
        """Go once over a piece of data, from where the last call ended.

        With ``shuffle=False`` and pieces of whole batches, the pieces of a data set in their order
        give what one epoch of ``fit`` over the whole gives. A batch never spans two pieces.

        Coefficients that were set by hand in between (or before the first call) are what training
        goes on from, and averages begin anew there. A piece of sparse rows costs what it stores
        (with ``"sgd"`` and ``"adagrad"``); what there are of columns is paid where ``coef_`` is
        read. A call that is refused or interrupted leaves the model as it was.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels; a piece may hold one class alone.
        classes : array-like of shape (n_classes,), optional
            All labels; needed at the first call.
        sample_weight : array-like of shape (n_samples,), optional
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the input is not as described; the message names it.

        Warns
        -----
        ConvergenceWarning
            If the run diverged: a loss or coefficient is not finite, and the coefficients stay
            those before the piece; or the mean loss over 1,000 rows or more, of this piece and
            those before, is more than twice that of coefficients of 0 (over 20 rows or more, if
            their sum is beyond what 1,000 rows may lose).
        """
        finite, judged = self._piece(X, y, classes, sample_weight, offset)
        if not finite:
            text = (
                "diverged: the loss or a coefficient is not finite; the coefficients are those "
                f"before the piece; {self._advice()}"
            )
        elif judged is not None and judged.loss > DIVERGED * judged.at_zero:
            text = (
                f"diverged: the mean training loss of the last {judged.rows} rows, "
                f"{judged.loss / judged.weight:.4g}, is more than twice that of coefficients of 0, "
                f"{judged.at_zero / judged.weight:.4g}; {self._advice()}"
            )
        else:
            return self
        check.warn(text, ConvergenceWarning)
        return self

    @numpy_defaults
    def _piece(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None,
        sample_weight: ArrayLike | None,
        offset: ArrayLike | None,
    ) -> tuple[bool, "_Unjudged | None"]:
        """Go over a piece; return whether all is finite, and what can be judged by now."""
        settings = self._settings()
        if settings.early_stopping:
            raise ValueError("early_stopping must be False with partial_fit: no rows stay aside")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all labels and partial_fit sees a "
                "piece: give the weights of the classes as a dict"
            )
        first = not hasattr(self, "_state")
        if first and classes is None:
            raise ValueError("classes must be given at the first call of partial_fit")
        labels = None if classes is None else check_classes(classes)
        if not first:
            n_outputs = vars(self).get("_how", {}).get("n_outputs", 1)
            known = check_labels_of_model(self.classes_, max(2, n_outputs))
            if labels is not None and not np.array_equal(labels, known):
                raise ValueError(
                    f"classes must be those of the first call of partial_fit, "
                    f"{known.tolist()}, got {labels.tolist()}"
                )
            labels = known
        assert labels is not None
        settings = settings.for_classes(labels.size)
        matrix, y, columns = training_data(self, X, y, reset=first)
        rows = checked_rows(self, matrix, y, sample_weight, offset, labels=labels)
        if not first and self._state["inverse"].size != columns.number + settings.intercept:
            raise ValueError(
                f"fit_intercept={self.fit_intercept} is not what it was when training began: set "
                "it back, or begin anew with fit"
            )
        stream = settings.stream(rows, self.n_threads)
        start = None
        # coefficients without a state were set by hand
        if first or not self._as_trained(columns.number):
            start = self._start_of(stream, columns.number)
        if first:
            stream.begin(start)
        elif start is None:
            stream.go_on(self._state)
        else:
            kept = self._state
            stream.go_on({name: array.copy() for name, array in kept.items() if name != "sums"})
            stream.go_from(start)
        seed = self._seed()
        random = np.random.default_rng([seed, stream.n_updates]) if self.shuffle else None
        loss, finite = go_over(stream, random)
        if not finite and not first:
            self.n_iter_ += 1
            return False, None
        before = {} if first else vars(self)
        unjudged = before.get("_unjudged", _NOTHING).and_piece(loss, rows, settings)
        judged = unjudged if unjudged.rows >= _JUDGED or unjudged.is_wild() else None
        curve = before.get("loss_curve_", [])
        self._become(
            columns,
            classes_=rows.classes,
            n_iter_=before.get("n_iter_", 0) + 1,
            t_=stream.n_updates,
            loss_curve_=curve,
            validation_scores_=before.get("validation_scores_"),
            _state=stream.keep(sums=True),
            _how=settings.how(stream),
            _sample=_sample(matrix),
            _unjudged=unjudged if judged is None and finite else _NOTHING,
            forget=("coef_", "intercept_"),
        )
        if finite:
            # in place: a stream of a million pieces would copy its history a million times
            curve.append(loss)
        return finite, judged

    def _finish(
        self,
        result: Outcome,
        stream: backends.Stream,
        source: RowSource,
        settings: "_Settings",
        empty: NDArray[np.float64] | None,
    ) -> None:
        """Judge a run that plateaued, and end at the optimum where it has not come near."""
        # the objective divides by rows, the solvers by weights
        mean = source.n_rows / source.total_weight
        theta = _centred(result.theta, settings.intercept, settings.steps.l1).reshape(-1)
        ended = finish(
            settings.problem(source, self.n_threads, settings.steps.l2 * mean),
            theta,
            tol=settings.stopping.tol or 0.0,
            n_rows=source.n_rows,
            l1=settings.steps.l1 * mean,
            has_gap=self.loss == "bce",
            penalized=self.alpha > 0.0,
            other=np.zeros(theta.size) if empty is None else empty.reshape(-1),
        )
        result.distance, result.near = ended.distance, ended.near
        if ended.theta is not theta:
            result.theta = ended.theta.reshape(stream.shape)
            stream.go_from(result.theta)

    def _start_of(self, stream: backends.Stream, n_features: int) -> NDArray[np.float64] | None:
        """Return the coefficients there are as a stream takes them; None without any."""
        n_outputs = stream.shape[0] if len(stream.shape) == 2 else 1
        start = self._start(n_features, n_outputs)
        return None if start is None else start.reshape(stream.shape)

    def __getattr__(self, name: str) -> Any:
        # Coefficients of a piece are made where somebody asks for them: that costs what there are
        # of columns, and a piece of a few sparse rows costs what it stores.
        if name in ("coef_", "intercept_") and "_sample" in self.__dict__:
            with np.errstate(all="ignore"):
                made = self._coefficients(self._trained(), self._sample)
            for key, value in zip(("coef_", "intercept_"), made, strict=True):
                self.__dict__.setdefault(key, value)
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        made = {
            name: getattr(self, name) for name in ("coef_", "intercept_") if hasattr(self, name)
        }
        state: dict[str, Any] = {**super().__getstate__(), **made}
        state.pop("_sample", None)
        if "_state" in state:  # the next piece changes it
            state["_state"] = {
                name: array.copy() for name, array in state["_state"].items() if name != "sums"
            }
        return state

    def _check_stored(self) -> None:
        """Refuse what neither predictions nor the next piece could do with; kernels check nothing.

        The state must be that of a stream over such rows.
        """
        super()._check_stored()
        settings = self._settings().for_classes(self.classes_.size)
        check.check_flag(self.warm_start, "warm_start")
        held = vars(self)
        if "_state" not in held:
            return
        p = self.n_features_in_ + int(settings.intercept)
        state, how = held["_state"], held.get("_how")
        if not isinstance(state, dict) or not isinstance(how, dict):
            raise ValueError("the state of mini-batches is damaged")
        inverse = state.get("inverse")
        if not isinstance(inverse, np.ndarray) or inverse.shape != (p,):
            raise ValueError("the state of mini-batches is of another width")
        rows: Any = np.zeros((1, self.n_features_in_))
        if how.get("sparse") is True:
            rows = sparse.csr_array(rows)
        stream = settings.stream(Rows(rows, np.zeros(1), None, None, self.classes_), 1)
        stream.begin(None)
        own = settings.how(stream)
        alike = {name: type(value) for name, value in how.items()}
        if alike != {name: type(value) for name, value in own.items()} or any(
            how[name] != own[name] for name in ("optimizer", "intercept", "sparse", "n_outputs")
        ):
            raise ValueError("the state of mini-batches is of another optimizer")
        own_state = stream.keep()
        state.pop("sums", None)  # a buffer, which kernels would fill whatever its shape
        if set(state) != set(own_state):
            raise ValueError("the state of mini-batches is damaged: other arrays")
        for name, expected in own_state.items():
            found = state[name]
            if not isinstance(found, np.ndarray) or (
                (found.shape, found.dtype.names) != (expected.shape, expected.dtype.names)
                or (found.dtype != expected.dtype and expected.dtype.names is None)
            ):
                raise ValueError(f"the state of mini-batches is damaged: {name}")
            if expected.dtype.names is not None:
                state[name] = found.astype(expected.dtype)
        unjudged = held.get("_unjudged", _NOTHING)
        if not isinstance(unjudged, tuple) or len(unjudged) != len(_NOTHING):
            raise ValueError("what is not judged yet is damaged")
        counts = (held.get("n_iter_", 0), held.get("t_", 0), *unjudged)
        if not all(isinstance(count, Real) for count in counts):
            raise ValueError("the counts of mini-batches are damaged")
        if not isinstance(held.get("loss_curve_", []), list):
            raise ValueError("loss_curve_ must be a list")
        self._unjudged = _Unjudged(*unjudged)

    def _trained(self) -> NDArray[np.float64]:
        """Return the parameters that the optimizer's state gives."""
        how = dict(self._how)
        intercept, sparse = how.pop("intercept"), how.pop("sparse")
        n_outputs = how.pop("n_outputs", 1)  # of models that earlier releases stored
        theta = backends.get("numba").kept_theta(
            self._state, backends.StepSpec(**how), n_outputs, intercept=intercept, sparse=sparse
        )
        return _centred(theta, intercept, how["l1"])

    def _as_trained(self, n_features: int) -> bool:
        """Whether the coefficients are those that training gave, and nobody has set others."""
        if "coef_" not in self.__dict__ and "intercept_" not in self.__dict__:
            return True  # nobody has seen them
        if "_how" not in self.__dict__:  # stored by an earlier release
            return True
        first = int(self.fit_intercept)
        theta = self._theta(n_features)[:, 1 - first :]
        trained = np.atleast_2d(self._trained())
        for given, own, name in (
            (theta[:, :first], trained[:, :first], "intercept_"),
            (theta[:, first:], trained[:, first:], "coef_"),
        ):
            kept = getattr(self, name)
            dtype = kept.dtype if hasattr(kept, "dtype") else np.float64
            with np.errstate(all="ignore"):  # beyond float32
                if not np.array_equal(given, own.astype(dtype)):
                    return False
        return True

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: softmax alone is for more than two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = (self.loss, self.activation) == ("bce", "sigmoid")
        return tags

    def _advice(self) -> str:
        named = (
            f"learning_rate={self.learning_rate!r}"
            if self.learning_rate == "optimal"
            else f"eta0={self._first_rate():g}"
        )
        advice = f"lower the learning rate ({named})"
        if not self.standardize:
            advice += ", or set standardize=True, or scale the columns"
        return advice

    def _warn(self, result: Outcome) -> None:
        if result.failed:
            text = (
                f"diverged in epoch {result.n_iter}: the loss or a coefficient is not finite; the "
                f"coefficients are those before that epoch; {self._advice()}"
            )
        elif result.diverged:
            text = (
                f"diverged: the mean training loss of the last epoch, {result.last_loss:.4g}, is "
                f"more than twice that of coefficients of 0, {result.at_zero:.4g}; {self._advice()}"
            )
        elif result.plateaued and result.distance is not None and not result.near:
            text = (
                f"the training loss has plateaued (the last mean loss is {result.last_loss:.6g}), "
                f"but the coefficients are, by estimate, {result.distance:.2g} of the objective "
                f"above its optimum, where tol={self.tol:g} is asked for; "
            )
            if self.alpha == 0.0:
                text += "without a penalty (alpha=0) there may be none; "
            text += "lower tol, or raise n_iter_no_change or alpha"
        elif not result.ended and self.tol is not None and result.n_iter >= self.max_iter > 1:
            text = (
                f"the training loss still changed by more than tol={self.tol:g} within the last "
                f"{self.n_iter_no_change} of max_iter={self.max_iter} epochs (the last mean loss "
                f"is {result.last_loss:.6g}); raise max_iter or tol"
            )
        else:
            return
        check.warn(text, ConvergenceWarning)

    # --- checks --------------------------------------------------------------------------

    def _seed(self) -> int:
        from sklearn.utils import check_random_state

        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _activation(self) -> str:
        return self.activation

    def _first_rate(self) -> float:
        """Return eta0, or what stands for None."""
        if self.eta0 is not None:
            return check.check_real(self.eta0, "eta0")
        if self.optimizer in _ADAPTING:
            return _ADAPTING[self.optimizer]
        plain = _STANDARDIZED if self.standardize else _AS_THEY_ARE
        return plain * (1.0 - self.momentum if self.optimizer in _WITH_VELOCITY else 1.0)

    def _settings(self) -> "_Settings":
        """Return the parameters, checked."""
        if self.activation == "identity":
            raise ValueError(
                "activation='identity' is linear regression, no classifier: use fastlogreg.train"
            )
        check.check_combination(self.loss, self.activation, backends.ONE_MARGIN)
        alpha = check.check_real(self.alpha, "alpha", positive=False)
        l1_ratio = check.check_share(self.l1_ratio, "l1_ratio", closed=True)
        momentum = check.check_share(self.momentum, "momentum")
        optimizer = check.check_choice(self.optimizer, "optimizer", _OPTIMIZERS)
        schedule = check.check_choice(self.learning_rate, "learning_rate", _SCHEDULES)
        standardize = check.check_flag(self.standardize, "standardize")
        eta0 = self._first_rate()
        if schedule == "optimal" and alpha == 0.0:
            raise ValueError("alpha must be above 0 where learning_rate='optimal' divides by it")
        if self.shuffle not in (True, False, "full"):
            raise ValueError(f"shuffle must be True, False or 'full', got {self.shuffle!r}")
        if isinstance(self.average, (bool, np.bool_)):
            average_from = 0.0 if self.average else -1.0
        else:
            count = check.check_count(self.average, "average", low=0)
            assert count is not None
            average_from = float(count) if count > 0 else -1.0
        max_iter = check.check_count(self.max_iter, "max_iter")
        no_change = check.check_count(self.n_iter_no_change, "n_iter_no_change")
        tol = None if self.tol is None else check.check_real(self.tol, "tol", positive=False)
        check.check_count(self.n_threads, "n_threads", none=True)
        if not isinstance(self.verbose, Integral):
            raise TypeError(f"verbose must be an integer, got {self.verbose!r}")
        assert max_iter is not None and no_change is not None
        early = check.check_flag(self.early_stopping, "early_stopping")
        fraction = check.check_share(self.validation_fraction, "validation_fraction")
        if early and fraction == 0.0:
            raise ValueError("validation_fraction must be above 0 with early_stopping, got 0")
        return _Settings(
            loss=self.loss,
            activation=self.activation,
            intercept=check.check_flag(self.fit_intercept, "fit_intercept"),
            batch_size=check.check_count(self.batch_size, "batch_size", none=True),
            shuffle=self.shuffle if isinstance(self.shuffle, str) else bool(self.shuffle),
            steps=backends.StepSpec(
                optimizer=optimizer,
                schedule="constant" if schedule == "adaptive" else schedule,
                eta0=eta0,
                power=check.check_real(self.power_t, "power_t", positive=False),
                alpha=alpha,
                momentum=momentum,
                beta1=check.check_share(self.beta_1, "beta_1"),
                beta2=check.check_share(self.beta_2, "beta_2"),
                epsilon=check.check_real(self.epsilon, "epsilon"),
                l1=alpha * l1_ratio,
                l2=alpha * (1.0 - l1_ratio),
                average_from=average_from,
                standardize=standardize,
            ),
            stopping=Stopping(max_iter, tol, no_change, schedule == "adaptive", eta0),
            early_stopping=early,
            validation_fraction=fraction,
        )


@dataclass(frozen=True)
class _Settings:
    """The estimator's parameters, checked."""

    loss: str
    activation: str
    intercept: bool
    batch_size: int | None
    shuffle: bool | str
    steps: backends.StepSpec
    stopping: Stopping
    early_stopping: bool
    validation_fraction: float
    n_outputs: int = 1

    def for_classes(self, n_classes: int) -> "_Settings":
        """Return the settings for so many classes: those of softmax for more than two."""
        if n_classes == 2:
            return self
        if (self.loss, self.activation) != ("bce", "sigmoid"):
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"loss={self.loss!r} with activation={self.activation!r} is for two classes and y "
                f"has {n_classes}; more take softmax, which is loss='bce', activation='sigmoid'"
            )
        return replace(self, loss="cross_entropy", activation="softmax", n_outputs=n_classes)

    @property
    def at_zero(self) -> float:
        """Return the mean loss of coefficients of 0, without an offset."""
        return _AT_ZERO.get(self.loss) or float(np.log(self.n_outputs))

    def pass_spec(self, n_threads: int | None) -> backends.PassSpec:
        """Return what a pass computes."""
        return backends.PassSpec(
            self.loss, self.activation, self.intercept, n_threads, self.n_outputs
        )

    def stream(
        self, rows: Rows, n_threads: int | None, subset: NDArray[np.int64] | None = None
    ) -> backends.Stream:
        """Return the rows, or a subset of them, as the solver runs them."""
        n = rows.targets.size if subset is None else subset.size
        return backends.get("numba").mini_batches(
            rows.matrix,
            rows.targets,
            backends.BatchSpec(
                n if self.batch_size is None else self.batch_size,
                self.shuffle,
                self.loss,
                self.activation,
                self.intercept,
                n_threads,
                self.n_outputs,
            ),
            self.steps,
            sample_weight=rows.weights,
            offset=rows.offset,
            subset=subset,
        )

    def how(self, stream: backends.Stream) -> dict[str, Any]:
        """Return what makes parameters of a state, in words and numbers alone."""
        return {
            "optimizer": self.steps.optimizer,
            "l1": self.steps.l1,
            "l2": self.steps.l2,
            "intercept": self.intercept,
            "sparse": stream.sparse,
            "n_outputs": self.n_outputs,
        }

    def stream_of(
        self, pieces: Callable[[], Iterator[MemoryRows]], some: Rows, n_threads: int | None
    ) -> StreamOfPieces:
        """Return rows that come in pieces as the solver runs them."""

        def make(piece: MemoryRows) -> backends.Stream:
            rows = Rows(*piece.arrays, some.classes)
            return self.stream(rows, n_threads)

        few = slice(0, 64)
        weights = None if some.weights is None else some.weights[few]
        offset = None if some.offset is None else some.offset[few]
        at_hand = MemoryRows(some.matrix[few], some.targets[few], weights, offset)
        return StreamOfPieces(pieces, at_hand, make, self.steps, self.intercept)

    def problem(self, source: RowSource, n_threads: int | None, l2: float) -> Problem:
        """Return the weighted mean loss over all rows, with an L2 penalty."""
        return Problem(source, l2, self.pass_spec(n_threads))


def _centred(theta: NDArray[np.float64], intercept: bool, l1: float) -> NDArray[np.float64]:
    """Return theta (K, p) with intercepts that sum to 0, and coefficients too without L1 penalty.

    Softmax gives the same probabilities, and L2 penalties are no larger. A single row (p,) is
    itself.
    """
    if theta.ndim == 1:
        return theta
    centred = theta.copy()
    moved = centred[:, : int(intercept)] if l1 > 0.0 else centred
    moved -= moved.mean(axis=0)
    return centred


def _sample(X: Any) -> Any:
    """Return what tells of which dtype coefficients of these rows are: a few float32 rows."""
    if X.dtype != np.float32:
        return np.empty((0, 1))
    return X[:: max(1, X.shape[0] // _SAMPLED)].copy()


class _Unjudged(NamedTuple):
    """Sums over pieces that are too few rows to say whether a run diverges.

    ``loss`` is that of each batch before its update, ``at_zero`` that of coefficients of 0 on the
    same rows.
    """

    loss: float
    at_zero: float
    weight: float
    rows: int

    def and_piece(self, loss: float, rows: Rows, settings: _Settings) -> "_Unjudged":
        """Return the sums with another piece of this mean loss."""
        n = rows.targets.size
        weight = float(n) if rows.weights is None else float(rows.weights.sum())
        return _Unjudged(
            self.loss + weight * loss,
            self.at_zero + weight * _loss_at_zero(rows, settings),
            self.weight + weight,
            self.rows + n,
        )

    def is_wild(self) -> bool:
        """Whether fewer rows lost as much already as those that are judged may lose."""
        most = DIVERGED * _JUDGED * self.at_zero / max(self.rows, 1)
        return self.rows >= _FEWEST and self.loss > most


_NOTHING = _Unjudged(0.0, 0.0, 0.0, 0)


def _loss_at_zero(rows: Rows, settings: _Settings) -> float:
    """Return the mean loss of coefficients of 0."""
    if rows.offset is None:
        return settings.at_zero
    margins, y = rows.offset, rows.targets
    if settings.activation == "tanh":
        margins = 2.0 * margins
    if settings.loss == "cross_entropy":
        true = margins[np.arange(y.size), y.astype(np.intp)]
        losses = np.logaddexp.reduce(margins, axis=1) - true
    elif settings.loss == "bce":
        losses = np.logaddexp(0.0, margins) - y * margins
    else:
        losses = (0.5 + 0.5 * np.tanh(0.5 * margins) - y) ** 2
    if rows.weights is not None and not rows.weights.any():
        return 0.0
    return float(np.average(losses, weights=rows.weights))


def _without_columns(
    rows: Rows, shape: tuple[int, ...], settings: _Settings
) -> NDArray[np.float64]:
    """Return the best theta of this shape whose coefficients are 0: the log-odds of the classes.

    With an offset it is about that: a Newton step or more on a part of the rows.
    """
    theta = np.zeros(shape)
    step = 1 if rows.offset is None else max(1, rows.targets.size // _SUBSAMPLED)
    subsample = slice(None, None, step)
    y = rows.targets[subsample]
    weight = None if rows.weights is None else rows.weights[subsample]
    if weight is not None and not weight.any():
        return theta
    known = None if rows.offset is None else rows.offset[subsample]
    if settings.n_outputs > 1:
        theta[:, 0] = _softmax_intercepts(y, weight, known, settings.n_outputs)
        return theta
    positive = float(np.average(y, weights=weight))
    if not 0.0 < positive < 1.0:
        return theta
    b = float(np.log(positive) - np.log1p(-positive))
    scale = 2.0 if settings.activation == "tanh" else 1.0
    if known is not None:
        known = scale * known
        b -= float(np.average(known, weights=weight))
        for _ in range(_STEPS):
            p = 0.5 + 0.5 * np.tanh(0.5 * (known + b))
            curvature = float(np.average(p * (1.0 - p), weights=weight))
            excess = float(np.average(p, weights=weight)) - positive
            b -= float(np.clip(excess / max(curvature, _FLAT), -1.0, 1.0))
    theta[0] = b / scale
    return theta


def _softmax_intercepts(
    y: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    known: NDArray[np.float64] | None,
    n_classes: int,
) -> NDArray[np.float64]:
    """Return the best intercepts, (K,), beside a known part (n, K) of the margins."""
    held = np.bincount(y.astype(np.intp), weight, minlength=n_classes)
    if not (held > 0.0).all():
        return np.zeros(n_classes)
    shares = held / held.sum()
    b = np.log(shares)
    if known is not None:
        b -= np.average(known, axis=0, weights=weight)
        s = np.ones(y.size) if weight is None else weight
        for _ in range(_STEPS):
            z = known + b
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            excess = s @ p / s.sum() - shares
            if np.abs(excess).max() <= _BALANCED:
                break
            hessian = np.diag(s @ p) - p.T @ (s[:, None] * p)
            step = np.linalg.lstsq(hessian / s.sum(), excess, rcond=_FLAT)[0]
            b -= np.clip(step, -1.0, 1.0)
    centred: NDArray[np.float64] = b - b.mean()
    return centred


def _split(rows: Rows, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and those kept aside, the same share of each class.

    Rows of weight 0 say nothing, so none is kept.
    """
    random = np.random.default_rng([seed, 1])
    targets = rows.targets
    kept = np.zeros(targets.size, dtype=bool)
    for code in range(rows.classes.size):
        of_class = targets == code
        held = np.flatnonzero(of_class if rows.weights is None else of_class & (rows.weights > 0.0))
        count = round(fraction * held.size)
        if not 0 < count < held.size:
            weighing = "" if rows.weights is None else " whose weight is above 0"
            raise ValueError(
                f"validation_fraction={fraction:g} of the {held.size} samples of a class"
                f"{weighing} leaves none to train on or none to validate with: give another, or "
                "more samples"
            )
        kept[random.choice(held, count, replace=False)] = True
    return np.flatnonzero(~kept), np.flatnonzero(kept)


class _Scorer:
    """The accuracy on rows kept aside."""

    def __init__(self, rows: Rows, kept: NDArray[np.int64], spec: backends.PassSpec) -> None:
        self.rows = rows
        self.kept = kept
        self.spec = spec

    def __call__(self, theta: NDArray[np.float64]) -> float:
        right = total = 0.0
        for first in range(0, self.kept.size, _PIECE):
            piece = self.kept[first : first + _PIECE]
            picked = self.rows.matrix[piece]
            bound = backends.get("numba").bind(
                np.ascontiguousarray(picked) if isinstance(picked, np.ndarray) else picked,
                None,
                None,
                None if self.rows.offset is None else self.rows.offset[piece],
                self.spec,
            )
            if self.spec.n_outputs == 1:
                codes = (bound.margins(theta) > 0.0).astype(np.int64)
            else:
                codes = cast(backends.ClassesPass, bound).predict_class(theta)
            hit = codes == self.rows.targets[piece]
            weight = np.ones(piece.size) if self.rows.weights is None else self.rows.weights[piece]
            right += float(weight @ hit)
            total += float(weight.sum())
        return right / total if total > 0.0 else 0.0


class _EpochMonitor(FitMonitor):
    header = "epoch          loss  validation      rate  seconds"

    def __call__(self, now: Epoch, theta: NDArray[np.float64]) -> bool:
        if self.prints:
            score = "" if now.score is None else f"{now.score:.5f}"
            self.print_line(
                f"{now.n_iter:5d}  {now.loss:12.8g}  {score:>10s}  {now.rate:8.3g}"
                f"  {self.seconds():7.3f}"
            )
        return self.is_stopped_at(theta)
