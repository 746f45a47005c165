"""Surrogates: networks that stand for a model whose answers they learned, and lend it gradients."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from medxgan.classifiers.fingerprints import same_answers
from medxgan.classifiers.kinds import KINDS, Kind
from medxgan.classifiers.likeness import Likeness
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

STANDS_FOR = "stands_for"
HELD_OUT = "held_out"


class TrueModel(BaseModel):
    """Which model a surrogate stands for; kept in its file under ``measured``.

    Attributes:
        kind: of that model.
        source: where it was loaded from, or None.
        fingerprint: another model is refused.
        spec: what it takes and gives.
        answers: of a function, which cannot be told from another one but by its answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    source: str | None
    fingerprint: str
    spec: ClassifierSpec
    answers: tuple[float, ...] = ()

    def __str__(self) -> str:
        place = "" if self.source is None else f"{self.source}, "
        return f"{KINDS[self.kind].title} ({place}{self.fingerprint[:12]})"

    def is_same(self, model: TorchClassifier) -> bool:
        """Is this the model? From where on a value counts as positive does not matter.

        Functions may round differently on another processor.
        """
        if model.spec.output == self.spec.output == "value":
            model = model.with_threshold(self.spec.positive_from)
        return model.fingerprint == self.fingerprint or (
            model.spec == self.spec and same_answers(model.answers, self.answers, self.spec)
        )


def true_model_of(measured: Mapping[str, Any]) -> TrueModel | None:
    """The model that a classifier stands for, from its ``measured``; None for an ordinary one.

    Raises:
        ClassifierError: what is said of it is damaged.

    >>> true_model_of({"arch": "cnn"}) is None
    True
    """
    if STANDS_FOR not in measured:
        return None
    try:
        return TrueModel.model_validate(measured[STANDS_FOR])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or STANDS_FOR
        raise ClassifierError(
            f"what the surrogate says of its model is damaged at {place} ({first['msg']}); "
            "distil it again"
        ) from None


def describe_model(model: TorchClassifier) -> TrueModel:
    """What a surrogate of a model keeps of it."""
    return TrueModel(
        kind=model.kind,
        source=model.source,
        fingerprint=model.fingerprint,
        spec=model.spec,
        answers=model.answers,
    )


def held_out_likeness(measured: Mapping[str, Any], class_name: str) -> Likeness | None:
    """How alike a surrogate and its model answered about a class when it was distilled."""
    classes = measured.get(HELD_OUT, {}).get("classes", {})
    found: Likeness | None = classes.get(class_name)
    return found


class WithSurrogate(TorchClassifier):
    """A model's own answers, and the gradients and layers of its surrogate.

    Asked for answers alone, as under ``torch.no_grad`` or about images that need no gradient, the
    model answers. Where a gradient is asked for, the surrogate answers, so that value and gradient
    belong together and the model is asked nothing that is thrown away. So every probability, flip
    and status is the model's, and every map that needs gradients the surrogate's.

    Attributes:
        model: the true one; its fingerprint is this classifier's, too.
        surrogate: the network that stands for it.

    Raises:
        ClassifierError: the surrogate stands for another model, or for none.
    """

    def __init__(self, model: TorchClassifier, surrogate: TorchClassifier) -> None:
        known = true_model_of(surrogate.measured)
        if known is None:
            raise ClassifierError(
                "the classifier is no surrogate: it stands for no other model; distil one with "
                "medxgan distill"
            )
        if not known.is_same(model):
            raise ClassifierError(
                f"the surrogate stands for {known}, got {describe_model(model)}; give the model "
                "that it stands for, or distil this one with medxgan distill"
            )
        if model.spec.output == "value":
            model = model.with_threshold(surrogate.spec.positive_from)
        self.model, self.surrogate = model, surrogate
        super().__init__(
            surrogate.module,
            surrogate.spec,
            surrogate.architecture,
            surrogate.source,
            surrogate.measured,
            kind="surrogate",
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [-1, 1] -> float32 ``[N, K]``: probabilities, or the value."""
        return self._asked(images)(images)

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        """Images ``[N, C, H, W]`` -> ``[N]``: log-odds of class ``target`` against the rest."""
        return self._asked(images).log_odds(images, target)

    def to(self, device: torch.device | str) -> Self:
        """Move model and surrogate to ``device``, in place."""
        self.model.to(device)
        self.surrogate.to(device)
        return super().to(device)

    def with_threshold(self, positive_from: float | None) -> Self:
        """The same, its value counted as positive from another number on; None: the middle."""
        return type(self)(
            self.model.with_threshold(positive_from), self.surrogate.with_threshold(positive_from)
        )

    def _asked(self, images: Tensor) -> TorchClassifier:
        return self.surrogate if torch.is_grad_enabled() and images.requires_grad else self.model

    def _identify(self) -> str:
        return self.model.fingerprint
