"""How a surrogate learns, and what an epoch of it reached."""

import math
from dataclasses import dataclass

from medxgan.errors import ConfigError

FEWEST_QUERIES = 100


@dataclass(frozen=True)
class DistillSettings:
    """How a surrogate learns.

    Attributes:
        arch: a name that ``build_architecture`` knows.
        temperature: that the answers are softened by, above 0.
        queries: images that the model may be asked about, in all; None: a new variation of every
            training image in every epoch.
        epochs: passes over the training images, at most.
        patience: epochs without a better validation loss, after which it stops; these must be
            ``PATIENT_STEPS`` steps, too.
        batch_size: images a step, about.
        learning_rate: the highest of the cycle; None for what suits the architecture.
        seed: of the initial weights, the order of images, and the variation.
        bf16: bfloat16 convolutions: faster, rounded.

    Raises:
        ConfigError: a number is out of range.

    >>> DistillSettings(queries=10)
    Traceback (most recent call last):
    medxgan.errors.ConfigError: queries must be at least 100, got 10
    """

    arch: str = "cnn"
    temperature: float = 2.0
    queries: int | None = None
    epochs: int = 30
    patience: int = 6
    batch_size: int = 64
    learning_rate: float | None = None
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        least = {"epochs": 1, "patience": 1, "batch_size": 1, "queries": FEWEST_QUERIES}
        for name, fewest in least.items():
            number = getattr(self, name)
            if number is not None and number < fewest:
                raise ConfigError(f"{name} must be at least {fewest}, got {number}")
        for name in ("temperature", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name} must be above 0, got {value:g}")


@dataclass(frozen=True)
class DistillEpoch:
    """What one epoch reached.

    Attributes:
        number: 1, 2, ...
        train_loss: divergence from the model on varied images, nats.
        validation_loss: the same on validation images as they are.
        agreement: share of validation images that both call alike.
        best: whether the validation loss is the lowest so far; these weights are kept.
        queries: images that the model has been asked about so far.
    """

    number: int
    train_loss: float
    validation_loss: float
    agreement: float
    best: bool
    queries: int
