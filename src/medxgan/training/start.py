"""Training that begins with the weights of a bundle instead of random ones.

A generator that draws the anatomy already has only the new pathology to learn: for a further class
of the same model, or for another model of like images.
"""

from medxgan.bundle import DrawingPart
from medxgan.config import TrainingSettings
from medxgan.errors import ConfigError
from medxgan.training.generated import Networks
from medxgan.training.published import PublishedNetworks
from medxgan.types import ClassifierSpec


def check_start(start: DrawingPart, settings: TrainingSettings, spec: ClassifierSpec) -> None:
    """Refuse a bundle whose weights do not fit the networks of a run.

    Args:
        start: the bundle to begin with.
        settings: of the run.
        spec: of the classifier to explain.

    Raises:
        ConfigError: another method, image size, number of channels or size of the networks.
    """
    manifest = start.manifest
    for what, theirs, ours in (
        ("method", manifest.method, settings.recipe),
        ("image size", manifest.spec.size, spec.size),
        ("number of channels", manifest.spec.channels, spec.channels),
        ("network settings", manifest.network, settings.network),
    ):
        if theirs != ours:
            raise ConfigError(
                f"the bundle '{manifest.name}' to start from has the {what} {theirs}, this run has "
                f"{ours}; start from a bundle of the same {what}, or from random weights"
            )


def start_from(start: DrawingPart, networks: Networks | PublishedNetworks) -> None:
    """Give generator and encoder of a run the weights of a checked bundle."""
    networks.generator.load_state_dict(start.generator.state_dict())
    if networks.encoder is not None and start.encoder is not None:
        networks.encoder.load_state_dict(start.encoder.state_dict())
