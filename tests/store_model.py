"""Store a model for the test that loads those of former releases.

``python -m tests.store_model`` writes ``tests/data/model_format_<number>.pickle``: a dict of a
model, rows and the probabilities that it gives them. Run it once where the number of the state's
format is raised, and keep the files of the former numbers: that of 0 was written by the release
before states had a number.
"""

import pickle
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

from fastlogreg import LogisticRegression

DATA = Path(__file__).parent / "data"


def main():
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :5]
    model = LogisticRegression(C=0.5, class_weight="balanced")
    model.fit(X, np.where(y == 1, "benign", "malignant"))
    stored = {"model": model, "X": X[:8], "probabilities": model.predict_proba(X[:8])}
    number = model.__getstate__()["_fastlogreg_format"]
    path = DATA / f"model_format_{number}.pickle"
    path.write_bytes(pickle.dumps(stored, protocol=4))
    print(path)


if __name__ == "__main__":
    main()
