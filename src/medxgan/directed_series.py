"""Series of images to a requested answer, as the command line asks for them."""

from collections.abc import Callable

from medxgan.data import Inputs
from medxgan.directed_explainer import DirectedExplainer
from medxgan.errors import ConfigError
from medxgan.explain.series import Series, evidence_for
from medxgan.explain.settings import ExplainSettings
from medxgan.explainer import IMAGES_AT_ONCE, Explainer


def check_series(explainer: Explainer, answer: float) -> DirectedExplainer:
    """The explainer, if it can draw series to this answer.

    Raises:
        ConfigError: it has no direction, or the answer is none that the model can give.
    """
    if not isinstance(explainer, DirectedExplainer):
        raise ConfigError(
            f"{explainer.bundle.name} has no direction in a style-based generator, which a series "
            "to a requested answer needs; leave out --to"
        )
    evidence_for(answer, explainer.spec)
    return explainer


def series_of(
    explainer: Explainer,
    inputs: Inputs,
    answer: float,
    settings: ExplainSettings,
    on_done: Callable[[int], None] = lambda done: None,
) -> list[Series]:
    """Series of all images of ``inputs``; ``on_done`` hears how many are finished.

    Raises:
        ConfigError: see ``check_series``.
    """
    directed = check_series(explainer, answer)
    found: list[Series] = []
    for start in range(0, len(inputs), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        found += directed.toward(
            inputs.images[part],
            answer,
            frames=settings.frames,
            names=inputs.names[part],
            refine=settings.refine,
            start=settings.start,
        )
        on_done(len(found))
    return found
