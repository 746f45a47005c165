"""See what a medical image classifier looks at.

Names are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from medxgan.errors import MedxganError
from medxgan.version import __version__

if TYPE_CHECKING:
    from medxgan.classifiers import BlackBox
    from medxgan.explain.lig import LatentIntegratedGradients
    from medxgan.explainer import Explainer
    from medxgan.explanations import Explanations
    from medxgan.loader import load
    from medxgan.types import ClassifierSpec, Explanation, Latent, Status

HOMES = {
    "BlackBox": "medxgan.classifiers",
    "ClassifierSpec": "medxgan.types",
    "Explainer": "medxgan.explainer",
    "Explanation": "medxgan.types",
    "Explanations": "medxgan.explanations",
    "Latent": "medxgan.types",
    "LatentIntegratedGradients": "medxgan.explain.lig",
    "Status": "medxgan.types",
    "load": "medxgan.loader",
}

__all__ = [
    "BlackBox",
    "ClassifierSpec",
    "Explainer",
    "Explanation",
    "Explanations",
    "Latent",
    "LatentIntegratedGradients",
    "MedxganError",
    "Status",
    "__version__",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'medxgan' has no attribute '{name}'")
    return getattr(import_module(HOMES[name]), name)
