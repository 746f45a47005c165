"""Settings of a training run: sections, presets, TOML in and out, ``--set section.name=value``."""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from medxgan.errors import ConfigError, nearest
from medxgan.section import Section
from medxgan.style_settings import (
    STYLE_PRESETS,
    STYLE_SECTIONS,
    STYLE_SETTINGS,
    StyleLossSettings,
    StyleNetworkSettings,
)

__all__ = [
    "PRESETS",
    "PUBLISHED_PRESETS",
    "PUBLISHED_SETTINGS",
    "AugmentSettings",
    "LossSettings",
    "NetworkSettings",
    "OptimiserSettings",
    "Recipe",
    "RunSettings",
    "StyleLossSettings",
    "StyleNetworkSettings",
    "TrainingSettings",
    "VariationSettings",
    "load_settings",
    "settings_to_toml",
]

Recipe = Literal["medxgan", "published", "stylegan"]
"""What is trained: medXGAN as this program does it, or as published; or a style-based generator."""


class NetworkSettings(Section):
    """Sizes of generator, encoder and discriminator. A stream's width doubles as its map halves."""

    structure_code: int = Field(256, ge=1, description="dimensions of z1")
    pathology_code: int = Field(32, ge=1, description="dimensions of z2")
    base_width: int = Field(48, ge=4, description="channels at half the image size")
    maximum_width: int = Field(128, ge=4, description="channels never exceed this")


class LossSettings(Section):
    """Weights of the terms of the generator's and encoder's loss (0 switches a term off)."""

    adversarial: float = Field(1.0, ge=0, description="discriminator on what is generated")
    reconstruction: float = Field(40.0, ge=0, description="L1 of reconstruction against image")
    focus: float = Field(
        15.0, ge=0, description="further weight of that where the pathology changes the image most"
    )
    classification: float = Field(0.5, ge=0, description="frozen classifier on what is generated")
    adversarial_limit: float = Field(
        0.05, gt=0, description="longest gradient of that at an image, in lengths of the L1 term's"
    )
    classification_limit: float = Field(
        1.0, gt=0, description="the same for the classification term"
    )
    transfer: float = Field(2.0, ge=0, description="classifier and D on the transferred image")
    preservation: float = Field(10.0, ge=0, description="L1 of positive against negative image")
    prior: float = Field(4e-4, ge=0, description="KL divergence of the codes to N(0, I)")
    moments: float = Field(2.0, ge=0, description="mean 0, deviation 1 of codes over a batch")
    judges_from: int = Field(
        10_000, ge=0, description="images over which classifier and D gain their full weight"
    )
    gradient_penalty: float = Field(10.0, ge=0, description="gamma of R1")
    gradient_penalty_interval: int = Field(16, ge=1, description="steps between penalties")


class OptimiserSettings(Section):
    """Adam; the learning rate rises at first, stays, and falls to a tenth over the last part."""

    learning_rate: float = Field(8e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="beta1 of generator and encoder")
    discriminator_momentum: float = Field(0.5, ge=0, lt=1, description="beta1 of the discriminator")
    beta2: float = Field(0.99, ge=0, lt=1)
    longest_gradient: float = Field(1.0, gt=0, description="gradients are shortened to this norm")
    warm_up: int = Field(3_000, ge=0, description="images over which the rate rises")
    decay_from: float = Field(0.4, ge=0, le=1, description="share of the run at a constant rate")
    ema_half_life: float = Field(
        5_000, ge=0, description="images after which a weight counts half; 0: the last weights"
    )


class AugmentSettings(Section):
    """Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676)."""

    target: float = Field(0.6, description="wanted mean of sign(D(real)); p rises above it")
    images_to_full: float = Field(50_000, gt=0, description="images in which p may go from 0 to 1")
    maximum: float = Field(0.8, ge=0, le=1, description="p never exceeds this")


class VariationSettings(Section):
    """Random changes of training images, so that a small set teaches more."""

    chance: float = Field(0.5, ge=0, le=1, description="probability of each kind of change")
    flip: bool = Field(True, description="mirror left-right; off where laterality matters")
    shift: float = Field(0.03, ge=0, le=0.5, description="fraction of the width")
    turn: float = Field(0.08, ge=0, description="radians")
    scale: float = Field(0.05, ge=0, lt=1)
    contrast: float = Field(0.1, ge=0, lt=1)


class RunSettings(Section):
    """Length, batches and records of a run."""

    images: int = Field(200_000, ge=1, description="training images shown in all")
    batch_size: int = Field(32, ge=4, description="images a step and process")
    bf16: bool = Field(True, description="bfloat16 convolutions (losses stay in float32)")
    log_every: int = Field(5_000, ge=1, description="images between two log lines")
    sample_every: int = Field(20_000, ge=1, description="images between two sample sheets")
    checkpoint_every: int = Field(20_000, ge=1, description="images between two checkpoints")


class TrainingSettings(Section):
    """Everything that shapes a run of ``medxgan train``."""

    preset: str = "small"
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    style_network: StyleNetworkSettings = StyleNetworkSettings()
    style_loss: StyleLossSettings = StyleLossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    variation: VariationSettings = VariationSettings()
    run: RunSettings = RunSettings()

    @property
    def recipe(self) -> Recipe:
        """What is trained; the preset says it.

        >>> load_settings("small").recipe, load_settings("published-covid").recipe
        ('medxgan', 'published')
        """
        if self.preset in STYLE_PRESETS:
            return "stylegan"
        return "published" if self.preset in PUBLISHED_PRESETS else "medxgan"

    def chosen(self) -> dict[str, dict[str, Any]]:
        """Section -> name -> value of all settings that the recipe has; empty sections left out.

        >>> load_settings("published").chosen()["loss"]
        {'classification': 2.0}
        """
        sections = {
            section: {name: value for name, value in part.items() if self.takes(section, name)}
            for section, part in self.model_dump(exclude={"preset"}).items()
        }
        return {section: part for section, part in sections.items() if part}

    def takes(self, section: str, name: str) -> bool:
        """Whether the recipe has this setting."""
        if self.recipe == "medxgan":
            return section not in STYLE_SECTIONS
        taken = STYLE_SETTINGS if self.recipe == "stylegan" else PUBLISHED_SETTINGS
        return f"{section}.{name}" in taken or section in taken


# The published method as its authors ran it: their sizes, objective and optimiser (Dravid et al.
# 2022, arXiv 2204.05376); raw weights, no augmentation, a constant learning rate.
_PUBLISHED: dict[str, dict[str, Any]] = {
    "network": {"structure_code": 1000, "pathology_code": 100, "maximum_width": 768},
    "loss": {"classification": 2.0},
    "optimiser": {
        "learning_rate": 2e-4,
        "momentum": 0.5,
        "discriminator_momentum": 0.5,
        "beta2": 0.999,
        "warm_up": 0,
        "decay_from": 1.0,
        "ema_half_life": 0.0,
    },
    "augment": {"maximum": 0.0},
    "variation": {"chance": 0.0},
    "run": {"bf16": False, "checkpoint_every": 10_000},
}
PUBLISHED_PRESETS = ("published", "published-covid")
PUBLISHED_SETTINGS = frozenset(
    {
        "network.structure_code",
        "network.pathology_code",
        "network.maximum_width",
        "loss.classification",
        *(f"optimiser.{name}" for name in _PUBLISHED["optimiser"]),
        "variation",
        "run",
    }
)
"""Sections, and single settings of others, that the published recipe has."""

PRESETS: dict[str, dict[str, Any]] = {
    # Seconds: for tests and for trying the commands.
    "tiny": {
        "network": {
            "structure_code": 16,
            "pathology_code": 4,
            "base_width": 8,
            "maximum_width": 16,
        },
        "run": {
            "images": 256,
            "batch_size": 8,
            "log_every": 64,
            "sample_every": 128,
            "checkpoint_every": 128,
        },
        "augment": {"images_to_full": 1_000},
        "loss": {"judges_from": 64},
    },
    # 64 pixels on a CPU, within the hour.
    "small": {},
    # 128 pixels on a GPU.
    "standard": {
        "network": {
            "structure_code": 512,
            "pathology_code": 64,
            "base_width": 64,
            "maximum_width": 256,
        },
        "run": {
            "images": 1_500_000,
            "batch_size": 64,
            "log_every": 20_000,
            "sample_every": 100_000,
            "checkpoint_every": 100_000,
        },
        "augment": {"images_to_full": 500_000},
        "optimiser": {"ema_half_life": 10_000},
    },
    # The baseline: as published for brain MRI of 64 pixels, and for chest X-rays of 128 pixels.
    "published": _PUBLISHED,
    "published-covid": _PUBLISHED
    | {
        "network": {"structure_code": 100, "pathology_code": 10, "maximum_width": 768},
        "loss": {"classification": 1.0},
    },
    **STYLE_PRESETS,
}
_METHOD_WORDS: dict[Recipe, str] = {
    "medxgan": "medXGAN",
    "published": "the published method",
    "stylegan": "the method stylegan",
}


def load_settings(
    preset: str = "small", config: Path | None = None, overrides: list[str] | None = None
) -> TrainingSettings:
    """Preset, then the TOML file, then each ``section.name=value``; later wins.

    A preset that the file names is used in place of ``preset``.

    Raises:
        ConfigError: unknown preset, section or name, a name that the preset's recipe does not
            have, a value of the wrong type or out of range, or a file that is not TOML.

    >>> load_settings("tiny", overrides=["run.images=512"]).run.images
    512
    """
    values: dict[str, Any] = {}
    if config is not None:
        values = _read_toml(config)
        preset = str(values.pop("preset", preset))
    if preset not in PRESETS:
        raise ConfigError(f"no preset is called '{preset}'; {nearest(preset, PRESETS)}")
    given: dict[str, dict[str, Any]] = {}
    for section, part in values.items():
        if not isinstance(part, dict):
            raise ConfigError(f"{config}: '{section}' must be a section; {_section_hint(section)}")
        given.setdefault(section, {}).update(part)
    for override in overrides or []:
        section, name, value = _parse_override(override)
        given.setdefault(section, {})[name] = value
    for section, part in given.items():
        _check_names(section, part, TrainingSettings(preset=preset))
    merged: dict[str, Any] = {name: dict(part) for name, part in PRESETS[preset].items()}
    for section, part in given.items():
        merged.setdefault(section, {}).update(part)
    try:
        return TrainingSettings(preset=preset, **merged)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"setting {place}: {first['msg']}, got {first['input']!r}") from None


def settings_to_toml(settings: TrainingSettings) -> str:
    """The settings as a TOML file that ``--config`` reads back.

    >>> settings_to_toml(load_settings("tiny")).splitlines()[:3]
    ['preset = "tiny"', '', '[network]']
    """
    lines = [f'preset = "{settings.preset}"']
    for section, part in settings.chosen().items():
        lines += ["", f"[{section}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in part.items()]
    return "\n".join(lines) + "\n"


def _sections() -> list[str]:
    return [name for name in TrainingSettings.model_fields if name != "preset"]


def _section_hint(section: str) -> str:
    return nearest(section, _sections())


def _check_names(section: str, part: dict[str, Any], settings: TrainingSettings) -> None:
    if section not in _sections():
        raise ConfigError(f"no section of settings is called '{section}'; {_section_hint(section)}")
    known = TrainingSettings.model_fields[section].default.__class__.model_fields
    for name in part:
        if name not in known:
            raise ConfigError(f"no setting is called '{section}.{name}'; {nearest(name, known)}")
        if not settings.takes(section, name):
            raise ConfigError(
                f"the preset '{settings.preset}' has no setting '{section}.{name}', "
                f"{_METHOD_WORDS[settings.recipe]} knows nothing of it; leave it out, or take "
                "another preset"
            )


def _parse_override(text: str) -> tuple[str, str, Any]:
    path, equals, value = text.partition("=")
    section, dot, name = path.strip().partition(".")
    if not (equals and dot and name):
        raise ConfigError(f"--set needs section.name=value, got '{text}'")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return section, name, parsed


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
