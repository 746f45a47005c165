"""How images are explained: methods, refinement, film and path."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, get_args

from medxgan.errors import ConfigError, nearest
from medxgan.explain import check_methods
from medxgan.explain.lig import STEPS
from medxgan.explain.traversal import FRAMES
from medxgan.inversion import Start

DEFAULT_METHODS = ("difference", "lig", "lig-transferred", "lig-published", "ig", "grad-cam")


@dataclass(frozen=True)
class ExplainSettings:
    """How images are explained.

    Attributes:
        methods: attributions to compute, names of ``medxgan.explain.METHODS``.
        refine: steps of optimisation after the encoder or the cold start, by the published
            objective, or by ``image_distance`` in a style-based generator; None means the
            explainer's ``inversion_steps``: 0 after an encoder, 100 in a style-based generator,
            5000 where there is no encoder.
        start: codes come from the ``encoder``, or ``cold`` from the prior (then refine for long);
            a bundle of the published method, without encoder, starts cold in any case.
        frames: of the film, at least 2.
        steps: along the path of latent integrated gradients, and of integrated gradients.
        seed: of cold starts and of the positives shown for negative images.
    """

    methods: tuple[str, ...] = DEFAULT_METHODS
    refine: int | None = None
    start: Start = "encoder"
    frames: int = FRAMES
    steps: int = STEPS
    seed: int = 0

    def __post_init__(self) -> None:
        check_methods(self.methods)
        if self.start not in get_args(Start):
            raise ConfigError(
                f"no start is called '{self.start}'; {nearest(self.start, get_args(Start))}"
            )
        for name, value, least in (
            ("refine", self.refine, 0),
            ("frames", self.frames, 2),
            ("steps", self.steps, 1),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")


def make_settings(methods: Iterable[str], settings: dict[str, Any]) -> ExplainSettings:
    """Check names and values of settings given as keywords.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """
    known = [field.name for field in fields(ExplainSettings) if field.name != "methods"]
    for name in settings:
        if name not in known:
            raise ConfigError(f"no setting is named '{name}'; {nearest(name, known)}")
    return ExplainSettings(methods=tuple(methods), **settings)
