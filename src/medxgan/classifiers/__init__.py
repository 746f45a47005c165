"""Classifiers to explain: load, save, build and fit them.

Files of this folder import one another, ``types``, ``errors`` and ``device``; never its siblings
``data``, ``networks`` and ``metrics``.
"""

from medxgan.classifiers.architectures import ARCHITECTURES, build_architecture
from medxgan.classifiers.evaluation import (
    LabelledImages,
    area_under_curve,
    evaluate_classifier,
)
from medxgan.classifiers.fit import Epoch, fit_classifier
from medxgan.classifiers.specification import read_spec
from medxgan.classifiers.storage import load_classifier, save_classifier
from medxgan.classifiers.torch_module import TorchClassifier, fingerprint_of

__all__ = [
    "ARCHITECTURES",
    "Epoch",
    "LabelledImages",
    "TorchClassifier",
    "area_under_curve",
    "build_architecture",
    "evaluate_classifier",
    "fingerprint_of",
    "fit_classifier",
    "load_classifier",
    "read_spec",
    "save_classifier",
]
