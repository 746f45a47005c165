"""The maps of a batch: each method timed by itself, and those with holes found out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from torch import Tensor

from medxgan.evaluate.explained import Explained, MapFunction
from medxgan.evaluate.task import Task
from medxgan.evaluate.timing import timed
from medxgan.explain import METHODS
from medxgan.explain.attribution import attributions
from medxgan.metrics.localization import evidence
from medxgan.types import Classifier


@dataclass(frozen=True)
class Maps:
    """Attributions of N images, on the CPU, where they are scored.

    Attributes:
        signed: method -> evidence ``[N, C, H, W]``.
        seconds: method -> how long it took for the batch, the explanation not counted.
        skipped: method -> why it could not be computed.
    """

    signed: Mapping[str, Tensor]
    seconds: Mapping[str, float]
    skipped: Mapping[str, str]

    @cached_property
    def failed(self) -> dict[str, Tensor]:
        """Method -> which of its maps hold anything but finite numbers, bool ``[N]``."""
        return {
            method: ~signed.isfinite().flatten(1).all(dim=1)
            for method, signed in self.signed.items()
        }

    @cached_property
    def heat(self) -> dict[str, Tensor]:
        """Method -> evidence without sign ``[N, H, W]``, all 0 where it failed."""
        return {
            method: evidence(signed.masked_fill(self.failed[method][:, None, None, None], 0))
            for method, signed in self.signed.items()
        }


def make_maps(task: Task, explained: Explained) -> Maps:
    """The maps of all methods that were asked for, own ones included."""
    maps = _compute(task, explained, task.methods, task.explainer.classifier)
    own, seconds = {}, {}
    for name, function in task.own_maps.items():
        own[name], seconds[name] = timed(
            task.explainer.device, partial(_own_map, function, explained)
        )
    return Maps({**maps.signed, **own}, {**maps.seconds, **seconds}, maps.skipped)


def make_maps_of(task: Task, explained: Explained, classifier: Classifier) -> Maps:
    """The maps that another classifier would get for the same films.

    Methods that never ask it are left out.
    """
    return _compute(task, explained, [m for m in task.methods if asks_classifier(m)], classifier)


def asks_classifier(method: str) -> bool:
    """Does a method ask the classifier anything once the film is there?

    >>> asks_classifier("difference"), asks_classifier("lig"), asks_classifier("occlusion")
    (False, True, True)
    """
    return METHODS[method].needs != {"latent"}


def _compute(
    task: Task, explained: Explained, methods: Iterable[str], classifier: Classifier
) -> Maps:
    signed: dict[str, Tensor] = {}
    seconds: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for method in methods:
        (found, reasons), taken = timed(
            task.explainer.device, partial(_one, task, explained, method, classifier)
        )
        skipped |= reasons
        for name, values in found.items():
            signed[name], seconds[name] = values.cpu(), taken
    return Maps(signed, seconds, skipped)


def _one(
    task: Task, explained: Explained, method: str, classifier: Classifier
) -> tuple[dict[str, Tensor], dict[str, str]]:
    return attributions(
        [method],
        classifier=classifier,
        target=task.explainer.target,
        images=explained.images,
        reconstruction=explained.reconstruction,
        path=explained.path,
        n_steps=task.steps,
    )


def _own_map(function: MapFunction, explained: Explained) -> Tensor:
    return function(explained).cpu()
