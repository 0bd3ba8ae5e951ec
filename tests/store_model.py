"""Store a model for the test that loads those of former releases.

``python -m tests.store_model`` writes ``tests/data/model_format_<number>.pickle``: a dict of a
model, rows and the probabilities that it gives them; and ``minibatch_format_<number>.pickle``:
models that were trained on two pieces, with the coefficients then and after a third. Run it once
where the number of the state's format is raised, and keep the files of the former numbers: that of
0 was written by the release before states had a number.
"""

import pickle
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer

from fastlogreg import LogisticRegression, MiniBatchLogisticRegression

DATA = Path(__file__).parent / "data"


def main():
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :5]
    model = LogisticRegression(C=0.5, class_weight="balanced")
    model.fit(X, np.where(y == 1, "benign", "malignant"))
    stored = {"model": model, "X": X[:8], "probabilities": model.predict_proba(X[:8])}
    number = model.__getstate__()["_fastlogreg_format"]
    for name, content in (("model", stored), ("minibatch", mini_batches())):
        path = DATA / f"{name}_format_{number}.pickle"
        path.write_bytes(pickle.dumps(content, protocol=4))
        print(path)


def mini_batches():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)) * [1, 10, 0.1, 1, 3]
    X[rng.random(X.shape) < 0.4] = 0
    y = np.where(X @ [1, 0.1, 0, 2, -1] + rng.normal(size=300) > 0, "yes", "no")
    streams = []
    for name, form in (("dense", np.asarray), ("csr", csr_array)):
        model = MiniBatchLogisticRegression(
            batch_size=16, alpha=1e-2, l1_ratio=0.2, random_state=0, average=False
        )
        for piece in (slice(100), slice(100, 200)):
            model.partial_fit(form(X[piece]), y[piece], classes=["no", "yes"])
        stored, before = pickle.dumps(model, protocol=4), (model.coef_, model.intercept_)
        model.partial_fit(form(X[200:]), y[200:])
        streams.append([name, stored, before, (model.coef_, model.intercept_)])
    model = MiniBatchLogisticRegression(batch_size=16, random_state=0).fit(X, y)
    return {
        "X": X,
        "y": y,
        "streams": streams,
        "fitted": pickle.dumps(model, protocol=4),
        "probabilities": model.predict_proba(X[:8]),
    }


if __name__ == "__main__":
    main()
