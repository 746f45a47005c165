"""A world where a direction is known: images linear in w, and a model of a patch's brightness."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medxgan.classifiers import BlackBox, TorchClassifier
from medxgan.config import StyleNetworkSettings
from medxgan.direction_file import FittedDirection
from medxgan.fitting_direction import fit_direction
from medxgan.networks.stylegan_statistics import CodeStatistics
from medxgan.style_bundle import ImageSpec, StyleBundle, StyleManifest, StyleThresholds
from medxgan.types import ClassifierSpec

CODE, LAYERS, SIZE = 6, 3, 32
PATCH = (slice(8, 16), slice(12, 20))
SPEC = ClassifierSpec(
    size=SIZE,
    output="binary_logit",
    class_names=("dark", "bright"),
    intensity_range=(-1.0, 1.0),
)
CPU = torch.device("cpu")


class LinearGenerator(nn.Module):
    """Images as sums of ``CODE`` fixed pictures, z = w; in W+ each layer gives its share."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        pictures = torch.randn(CODE, SIZE * SIZE, generator=random)
        self.pictures = nn.Parameter(pictures * 0.04)
        with torch.no_grad():  # the first two are the patch, and the rest of the image
            patch = torch.zeros(SIZE, SIZE)
            patch[PATCH] = 1
            self.pictures[0] = 0.1 * patch.flatten()
            self.pictures[1] = 0.1 * (1 - patch).flatten()
            self.pictures[2:, patch.flatten() == 1] = 0
        self.code, self.layers, self.size = CODE, LAYERS, SIZE

    def map(self, z: Tensor) -> Tensor:
        return z

    def forward(self, codes: Tensor) -> Tensor:
        mean = codes if codes.ndim == 2 else codes.mean(dim=1)
        return (mean @ self.pictures).view(-1, 1, SIZE, SIZE)


class LinearEncoder(nn.Module):
    """Reads w without error; in W+ its layers differ, and their mean is w."""

    def __init__(self, generator: LinearGenerator, plus: bool) -> None:
        super().__init__()
        self.inverse = nn.Parameter(torch.linalg.pinv(generator.pictures.detach()))
        self.plus = plus

    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = images.flatten(1) @ self.inverse
        if not self.plus:
            return codes
        return torch.stack([codes * share for share in (0.5, 1.0, 1.5)], dim=1)


def linear_bundle(*, plus: bool = False) -> StyleBundle:
    generator = LinearGenerator()
    manifest = StyleManifest(
        name="linear",
        images=ImageSpec(size=SIZE, channels=1),
        network=StyleNetworkSettings(code=CODE, encoder_space="w+" if plus else "w"),
        thresholds=StyleThresholds(
            reconstruction_error=0.01, code_distance=3.0, images=10, quantile=0.99
        ),
        training={},
        metrics={"held_out": {"n": 10, "reconstruction_mse": 0.0}},
        data_licence="none",
        generator_version="0",
    )
    statistics = CodeStatistics(torch.zeros(CODE), torch.eye(CODE))
    return StyleBundle(manifest, generator, LinearEncoder(generator, plus), statistics)


def brightness(images: Any) -> Any:
    """Log-odds of ``bright``: 20 times the mean of the patch, that is, twice the first place."""
    return 20 * images[:, :, *PATCH].mean((1, 2, 3))


class PatchModel(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return brightness(images)


def patch_module() -> TorchClassifier:
    return TorchClassifier(PatchModel(), SPEC)


def patch_black_box(spec: ClassifierSpec = SPEC) -> BlackBox:
    def predict(images: np.ndarray) -> np.ndarray:
        return brightness(images)

    return BlackBox(predict, spec)


def fitted(
    classifier: TorchClassifier, *, bundle: StyleBundle | None = None, **settings: Any
) -> FittedDirection:
    return fit_direction(
        bundle or linear_bundle(),
        "0" * 64,
        classifier,
        1,
        **{"name": "patch", "samples": 200, "device": CPU, **settings},
    )


def drawn_images(count: int, seed: int = 5) -> Tensor:
    """Images of the world, codes of the prior but shorter: all within [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, CODE, generator=random)
    with torch.no_grad():
        return LinearGenerator()(codes).clamp(-1, 1)
