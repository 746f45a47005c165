"""Settings and presets of the style-based generator (``medxgan train --method stylegan``)."""

from typing import Any, Literal

from pydantic import Field

from medxgan.section import Section


class StyleNetworkSettings(Section):
    """Sizes of generator, encoder and discriminator. Widths double as maps halve."""

    code: int = Field(128, ge=2, description="dimensions of z and w")
    mapping_layers: int = Field(4, ge=1, description="dense layers from z to w")
    base_width: int = Field(48, ge=4, description="channels at half the image size")
    maximum_width: int = Field(128, ge=4, description="channels never exceed this")
    encoder_space: Literal["w", "w+"] = Field(
        "w", description="the encoder gives one w for all layers, or one a layer (w+)"
    )
    noise: bool = Field(
        False, description="random noise inputs; an explanation must not depend on them"
    )


class StyleLossSettings(Section):
    """Weights of the terms of the losses (0 switches a term off), and when they are computed."""

    style_mixing: float = Field(
        0.5, ge=0, le=1, description="share of samples whose fine layers have a w of their own"
    )
    gradient_penalty: float = Field(0.3, ge=0, description="gamma of R1")
    gradient_penalty_interval: int = Field(16, ge=1, description="steps between penalties")
    path_length: float = Field(2.0, ge=0, description="path-length regularisation of G")
    path_length_interval: int = Field(8, ge=1, description="steps between regularisations")
    reconstruction: float = Field(20.0, ge=0, description="L1 of reconstruction against image")
    features: float = Field(2.0, ge=0, description="L1 of the discriminator's features of the two")
    codes: float = Field(1.0, ge=0, description="encoder's w of a sample against its own w")
    spread: float = Field(
        5.0, ge=0, description="encoder's w of real images, as a whole, against mapped ones"
    )
    encoder_alone: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the run, at its end, in which the encoder learns alone; 0: jointly",
    )


STYLE_SECTIONS = ("style_network", "style_loss")
STYLE_SETTINGS = frozenset({*STYLE_SECTIONS, "optimiser", "augment", "variation", "run"})
"""Sections that the method has."""

_OPTIMISER = {
    "learning_rate": 3e-3,
    "momentum": 0.0,
    "discriminator_momentum": 0.0,
    "longest_gradient": 1_000.0,
    "warm_up": 1_000,
}
STYLE_PRESETS: dict[str, dict[str, Any]] = {
    # 64 pixels, one channel, on a CPU: an hour or two.
    "stylegan": {
        "optimiser": _OPTIMISER,
        "run": {"images": 250_000},
    },
    # Seconds: for tests and for trying the commands.
    "stylegan-tiny": {
        "style_network": {
            "code": 16,
            "mapping_layers": 2,
            "base_width": 8,
            "maximum_width": 16,
        },
        "style_loss": {"gradient_penalty_interval": 4, "path_length_interval": 4},
        "optimiser": _OPTIMISER | {"warm_up": 32},
        "augment": {"images_to_full": 1_000},
        "run": {
            "images": 256,
            "batch_size": 8,
            "log_every": 64,
            "sample_every": 128,
            "checkpoint_every": 128,
        },
    },
}
