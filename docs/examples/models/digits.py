"""
Reading handwritten digits
==========================

Ten classes, one fit, and where it errs.

The digits come with scikit-learn, and so does the picture: its ``ConfusionMatrixDisplay`` takes
our model as one of its own. Run it with ``python docs/examples/models/digits.py [confusion.png]``;
it needs matplotlib (``pip install "fastlogreg[plot]"``) and no network.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fastlogreg import LogisticRegression


class Reading(NamedTuple):
    """A model, how it reads digits that it has not seen, and the picture."""

    model: LogisticRegression
    score: float
    display: ConfusionMatrixDisplay


def main(path: str | Path | None = None) -> Reading:
    """Fit on three quarters of the digits, read the rest, and draw what was taken for what."""
    X, y = load_digits(return_X_y=True)
    seen, unseen, y_seen, y_unseen = train_test_split(X, y, random_state=0, stratify=y)
    # pixels are counts from 0 to 16: nothing needs to be scaled for the solver's sake
    model = LogisticRegression(C=0.01).fit(seen, y_seen)
    score = model.score(unseen, y_unseen)
    print(f"{len(y_seen)} digits in {model.n_passes_:.0f} passes over them; {score:.1%} of")
    print(f"{len(y_unseen)} others are read right")

    probabilities = model.predict_proba(unseen)
    doubtful = np.argsort(probabilities.max(axis=1))[:3]
    for i in doubtful:
        first, second = np.argsort(-probabilities[i])[:2]
        print(
            f"the least sure: a {y_unseen[i]}, read as {first} ({probabilities[i, first]:.0%}) "
            f"or {second} ({probabilities[i, second]:.0%})"
        )

    display = ConfusionMatrixDisplay.from_estimator(
        model, unseen, y_unseen, cmap="Blues", colorbar=False
    )
    display.ax_.set(xlabel="read as", ylabel="digit", title=f"{score:.1%} read right")
    if path is not None:
        display.figure_.savefig(path, dpi=150, bbox_inches="tight")
    return Reading(model, score, display)


if __name__ == "__main__":
    main(*sys.argv[1:2])
