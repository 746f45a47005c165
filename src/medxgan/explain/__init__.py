"""Explanation methods: the change itself, attributions along it, and the baselines beside them.

``METHODS`` is the table of attribution methods; ``attribution.attributions`` computes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from medxgan.errors import ConfigError, nearest

Need = Literal["gradients", "layers", "latent"]


@dataclass(frozen=True)
class Method:
    """One way to give every pixel its share of the classifier's answer.

    Attributes:
        title: for tables and figures.
        needs: ``gradients`` of the classifier, its inner ``layers`` (a convolution), or a
            ``latent`` film of the image; a method whose need is not met is skipped, with a reason.
        description: one line.
        reference: the paper.
    """

    title: str
    needs: frozenset[Need]
    description: str
    reference: str


METHODS: dict[str, Method] = {
    "difference": Method(
        "Difference",
        frozenset({"latent"}),
        "positive minus negative image of the same anatomy",
        "Dravid et al. 2022, arXiv 2204.05376",
    ),
    "lig": Method(
        "Latent IG",
        frozenset({"latent", "gradients"}),
        "gradients summed along the decoded film; adds up to the change of the prediction",
        "Dravid et al. 2022, arXiv 2204.05376, with exact integration",
    ),
    "lig-transferred": Method(
        "Latent IG on the image",
        frozenset({"latent", "gradients"}),
        "the same with the film's change made on the original image, all its detail kept",
        "Dravid et al. 2022, arXiv 2204.05376, along the transferred path",
    ),
    "lig-published": Method(
        "Latent IG, as published",
        frozenset({"latent", "gradients"}),
        "difference times the mean gradient along the film; does not add up",
        "Dravid et al. 2022, arXiv 2204.05376",
    ),
    "ig": Method(
        "Integrated gradients",
        frozenset({"gradients"}),
        "gradients summed along the straight line from a black image",
        "Sundararajan et al. 2017, arXiv 1703.01365",
    ),
    "grad-cam": Method(
        "Grad-CAM",
        frozenset({"gradients", "layers"}),
        "last convolution's features, weighted by their mean gradient",
        "Selvaraju et al. 2017, arXiv 1610.02391",
    ),
    "occlusion": Method(
        "Occlusion",
        frozenset(),
        "fall of the prediction when a square of the image is blanked out",
        "Zeiler & Fergus 2014, arXiv 1311.2901",
    ),
}


def check_methods(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetitions, in the order given.

    Raises:
        ConfigError: a name is not in ``METHODS``.

    >>> check_methods(["lig", "ig", "lig"])
    ('lig', 'ig')
    """
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if name not in METHODS:
            raise ConfigError(f"no method is named '{name}'; {nearest(name, METHODS)}")
    return unique
