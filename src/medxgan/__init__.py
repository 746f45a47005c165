"""See what a medical image classifier looks at."""

from medxgan.errors import MedxganError
from medxgan.explain.lig import LatentIntegratedGradients
from medxgan.explainer import Explainer, Explanations, load
from medxgan.types import ClassifierSpec, Explanation, Latent, Status
from medxgan.version import __version__

__all__ = [
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
