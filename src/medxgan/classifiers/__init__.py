"""Classifiers to explain: load, save, build and fit them.

Files of this folder import one another, ``types``, ``scoretext``, ``errors`` and ``device``;
never its siblings ``data``, ``networks`` and ``metrics``.
"""

from medxgan.classifiers.architectures import ARCHITECTURES, build_architecture
from medxgan.classifiers.black_box import BlackBox
from medxgan.classifiers.evaluation import (
    LabelledImages,
    area_under_curve,
    evaluate_classifier,
)
from medxgan.classifiers.fingerprints import fingerprint_of
from medxgan.classifiers.fit import Epoch, fit_classifier
from medxgan.classifiers.kinds import KINDS, Kind, ModelKind
from medxgan.classifiers.specification import read_spec
from medxgan.classifiers.storage import load_classifier, save_classifier
from medxgan.classifiers.torch_module import TorchClassifier

__all__ = [
    "ARCHITECTURES",
    "KINDS",
    "BlackBox",
    "Epoch",
    "Kind",
    "LabelledImages",
    "ModelKind",
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
