"""
Rare classes and weights
========================

One row in fifty is of the second class. Class weights move the intercept and with it where a half
lies; they hardly change which rows come first. So choose a threshold on probabilities that are
right, rather than weights.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import PrecisionRecallDisplay, recall_score
from sklearn.model_selection import train_test_split

import fastlogreg as flr

random = np.random.default_rng(3)
X = random.standard_normal((40_000, 5))
y = random.random(40_000) < 1 / (1 + np.exp(5.2 - X @ [1.5, -1.0, 0.5, 0.0, 0.0]))
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="constrained")
for name, weight in (("as they are", None), ("balanced", "balanced")):
    model = flr.LogisticRegression(class_weight=weight).fit(X_train, y_train)
    found = recall_score(y_test, model.predict(X_test))
    print(f"{name}: finds {found:.0%} of the rare class at a half")
    PrecisionRecallDisplay.from_estimator(model, X_test, y_test, name=name, ax=left)
    flr.plots.calibration(model, X_test, y_test, name=name, ax=right)
left.set_title("the same order")
right.set_title("other probabilities")
