"""Can brightness or colour alone tell lesions from healthy phantoms? It should not.

    python benchmarks/phantom_cues.py --count 4000 --seed 12345

Cross-validated logistic regression on statistics of the histogram of each image, of every channel
in colour; prints one JSON object: kind -> area under the ROC curve, 0.5 = brightness says nothing.
Needs scikit-learn (extra ``test``).
"""

import argparse
import json
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medxgan.data.phantom import Kind, make_phantoms

QUANTILES = (5, 25, 50, 75, 90, 95, 99, 100)
LEVELS = (100, 130, 160, 190, 220)
FOLDS = 5


def brightness_statistics(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean, deviation, quantiles, and shares above fixed levels of each image, ``[N, 15]``.

    Of images in colour ``[N, H, W, 3]`` those of every channel, ``[N, 45]``.
    """
    if images.ndim == 4:
        return np.hstack([brightness_statistics(images[..., channel]) for channel in range(3)])
    pixels = images.reshape(len(images), -1).astype(np.float64)
    columns = [pixels.mean(1), pixels.std(1)]
    columns += list(np.percentile(pixels, QUANTILES, axis=1))
    columns += [(pixels > level).mean(1) for level in LEVELS]
    return np.stack(columns, axis=1)


def brightness_auc(kind: Kind, count: int, size: int, seed: int) -> float:
    """Area under the ROC curve of the regression on held-out folds."""
    phantoms = make_phantoms(kind, count, size=size, seed=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    statistics = brightness_statistics(phantoms.images)
    scores = cross_val_predict(model, statistics, phantoms.labels, cv=FOLDS, method="predict_proba")
    return float(roc_auc_score(phantoms.labels, scores[:, 1]))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=4000, help="phantoms of each kind")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--seed", type=int, default=12345)
    given = parser.parse_args()
    measured = {
        kind: round(brightness_auc(kind, given.count, given.size, given.seed), 3)
        for kind in get_args(Kind)
    }
    print(json.dumps({"count": given.count, "seed": given.seed, "brightness_auc": measured}))


if __name__ == "__main__":
    main()
