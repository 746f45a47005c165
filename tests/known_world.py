"""A world where every figure is known: grey images, and a patch that makes them positive."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from medxgan.bundle import Bundle, Manifest, Thresholds, record_classifier
from medxgan.classifiers import TorchClassifier
from medxgan.config import NetworkSettings
from medxgan.data import Dataset, build_dataset
from medxgan.evaluate import evaluate
from medxgan.explainer import Explainer
from medxgan.networks.encoder import Posterior
from medxgan.types import ClassifierSpec, Latent

SIZE = 16
PATCH = (slice(4, 8), slice(6, 10))
PATCH_AREA = 16
SPEC = ClassifierSpec(
    size=SIZE, class_names=("healthy", "lesion"), intensity_range=(-1.0, 1.0), output="logits"
)


def patch() -> Tensor:
    mask = torch.zeros(SIZE, SIZE)
    mask[PATCH] = 1
    return mask


class BrightPatch(nn.Module):
    """Draws a grey image of brightness z1 / 10 - 0.5, with a patch brighter by |z2|, at most 1.

    With ``leak`` the patch stays, brighter by 0.3, in the negatives of images brighter than -0.4.
    """

    def __init__(self, leak: bool) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        lesion = z2.abs().clamp(max=1) + 0.3 * (z1 > 1) * self.leak
        return (z1 / 10 - 0.5)[..., None, None] + lesion[..., None, None] * patch()

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        return torch.stack([self(z1, t * z2) for t in strengths])


class PatchReader(nn.Module):
    """Reads both codes of such an image without error."""

    def forward(self, images: Tensor) -> tuple[Posterior, Posterior]:
        ground = images[:, :, 0, 0]
        lesion = images[:, :, 5, 7] - ground
        return tuple(Posterior(code, torch.zeros_like(code)) for code in (10 * ground + 5, lesion))


class BiasedReader(nn.Module):
    """Reads the brightness too high by 0.3, and only 0.7 of the lesion.

    These errors are its weights: drawn anew, it reads something else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error = nn.Parameter(torch.tensor([3.0, 0.7]))
        self.exact = PatchReader()

    def forward(self, images: Tensor) -> tuple[Posterior, Posterior]:
        structure, pathology = self.exact(images)
        codes = (structure.mean + self.error[0], pathology.mean * self.error[1])
        return tuple(Posterior(code, torch.zeros_like(code)) for code in codes)


def linear_classifier(weight: Tensor, bias: float, spec: ClassifierSpec = SPEC) -> TorchClassifier:
    """Log-odds of a lesion: ``weight . x + bias``."""
    layer = nn.Linear(SIZE * SIZE, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(SIZE * SIZE), weight.flatten()]))
        layer.bias.copy_(torch.tensor([0.0, bias]))
    return TorchClassifier(nn.Sequential(nn.Flatten(), layer), spec)


def contrast_classifier() -> TorchClassifier:
    """Positive where the patch is brighter than its surroundings by 0.25 or more."""
    outside = 1 - patch()
    return linear_classifier(40 * (patch() / patch().sum() - outside / outside.sum()), -10.0)


def brightness_oracle(spec: ClassifierSpec = SPEC) -> TorchClassifier:
    """Positive where the corner is brighter than -0.5, whatever the patch."""
    weight = torch.zeros(SIZE, SIZE)
    weight[0, 0] = 100
    return linear_classifier(weight, 50.0, spec)


def patch_oracle() -> TorchClassifier:
    """Positive where the patch itself is brighter than -0.08, whatever surrounds it."""
    return linear_classifier(100 * patch() / patch().sum(), 8.0)


class WithoutEncoder(Explainer):
    """Optimises codes, or would: here they are read, and the images counted."""

    encoder = None

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        self.encoded = 0

    def encode(self, images: Tensor, target: int | str | None = None) -> Latent:
        self.encoded += len(images)
        return super().encode(images, target)


def make_explainer(
    *,
    leak: bool = False,
    oracle: TorchClassifier | None = None,
    classifier: TorchClassifier | None = None,
    encoder: nn.Module | None = None,
    kind: type[Explainer] = Explainer,
) -> Explainer:
    classifier = classifier or contrast_classifier()
    manifest = Manifest(
        name="known-world",
        target=1,
        network=NetworkSettings(structure_code=1, pathology_code=1),
        classifier=record_classifier(classifier),
        thresholds=Thresholds(
            reconstruction_error=0.01,
            prediction_gap=0.1,
            structure_length=5.0,
            pathology_length=5.0,
            images=10,
            quantile=0.99,
        ),
        training={},
        metrics={},
        data_licence="none",
        generator_version="0",
    )
    bundle = Bundle(manifest, BrightPatch(leak), encoder or PatchReader(), classifier, oracle)
    return kind(bundle, torch.device("cpu"))


GROUND = torch.tensor([-0.6, -0.55, -0.45, -0.35, -0.6, -0.6, -0.45, -0.5])
LESION = torch.tensor([0.5, 0.6, 0.7, 0.5, 0.5, 0.1, 0.0, 0.0])
LABELS = [1, 1, 1, 1, 0, 1, 0, 0]  # the fifth is a false alarm, the sixth is missed
PATIENTS = ["a", "a", "b", "b", "c", "c", "d", "d"]


def make_data(
    *, masks: bool = True, twins: bool = True, labels: list[int] = LABELS, keep: slice = slice(None)
) -> Dataset:
    codes = (GROUND[:, None] * 10 + 5, LESION[:, None])
    pixels = BrightPatch(leak=False)(*codes)
    lesions = patch().bool() & (torch.tensor(LABELS) == 1)[:, None, None]
    healthy = torch.where(lesions[:, None], GROUND.view(-1, 1, 1, 1), pixels)
    data = build_dataset(
        pixels.numpy(),
        labels=labels,
        limits=(-1.0, 1.0),
        class_names=SPEC.class_names,
        split=[2] * len(labels),
        groups=PATIENTS,
        masks=lesions.numpy() if masks else None,
        twins=healthy.numpy() if twins else None,
    )
    return data.take(keep)


def document_of(explainer: Explainer, data: Dataset, **settings: Any) -> dict[str, Any]:
    """The figures, quickly: one code, short paths, no controls unless told otherwise."""
    return evaluate(
        explainer, data, **{"codes": 1, "steps": 2, "controls": False, **settings}
    ).document


def figures_of(section: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every figure of a document with its place."""
    if isinstance(section, dict) and "value" in section:
        yield place, section
    elif isinstance(section, dict):
        for name, part in section.items():
            yield from figures_of(part, (*place, name))


def values_of(section: dict[str, Any]) -> dict[str, float | None]:
    return {place[-1]: figure["value"] for place, figure in figures_of(section)}
