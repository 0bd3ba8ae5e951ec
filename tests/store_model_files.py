"""Store models for the test that loads those of former releases.

``python -m tests.store_model_files`` writes ``tests/data/models/<name>_format_<number>.flr``, and
beside each a JSON file with rows, their probabilities and labels. Run it once where the number of
the format is raised, and keep the files of the former numbers.
"""

import json

import numpy as np

import fastlogreg as flr
from fastlogreg.io.model_files import FORMAT
from tests.test_model_files import MODELS, STORED, X, table


def main():
    STORED.mkdir(exist_ok=True)
    for name in ("classes", "sparse float32", "table", "cross-validation", "sparse mini-batches"):
        model = MODELS[name]()
        path = STORED / f"{name.replace(' ', '_')}_format_{FORMAT}.flr"
        flr.save(model, path)
        if name == "table":
            frame = table().drop(columns="y").iloc[1:6].fillna(0.5)
            rows, kept = frame, frame.to_dict("list")
        else:
            rows = X[::30]
            kept = rows.tolist()
        found = {
            "rows": kept,
            "probabilities": np.round(model.predict_proba(rows), 12).tolist(),
            "labels": model.predict(rows).tolist(),
        }
        path.with_suffix(".json").write_text(json.dumps(found) + "\n")
        print(path)


if __name__ == "__main__":
    main()
