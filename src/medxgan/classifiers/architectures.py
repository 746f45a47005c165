"""Networks that can be trained and stored by name: ``cnn``, ``vgg16``, ``monai:NAME``."""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from medxgan.classifiers.monai_networks import MONAI_PREFIX, build_monai
from medxgan.errors import ClassifierError, nearest

VGG16_LAYOUT = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
VGG16_HEAD = 256
CNN_GRID = 16
CNN_ENTRY_WIDTH = 16
CNN_WIDTHS = (32, 32, 48, 64)


class SmallCnn(nn.Module):
    """A small network for medical slices: cheap to run many times in a training step.

    Stride-2 convolutions with 4x4 kernels weigh every pixel alike (no chequered gradients) and
    SiLU is smooth, so the gradients that reach the image have a meaning. The features keep a grid
    of about 16x16 places at every size, and only their maximum counts: the answer is tied to a
    place, which Grad-CAM can show. 60 000 parameters; 15 million multiply-adds on one 64x64 image.

    Args:
        channels: 1 or 3.
        size: height and width of the images, pixels.
        outputs: length of the returned vector.
    """

    def __init__(self, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        halvings = max(1, round(math.log2(size / CNN_GRID)))
        entry = CNN_ENTRY_WIDTH
        layers = [_convolution(channels, entry, halve=True)]
        layers += [_convolution(entry, entry, halve=True) for _ in range(halvings - 2)]
        layers.append(_convolution(entry, CNN_WIDTHS[0], halve=halvings > 1))
        layers += [_convolution(inputs, wider) for inputs, wider in pairwise(CNN_WIDTHS)]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(CNN_WIDTHS[-1], outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` -> ``[N, outputs]``."""
        strongest = self.features(images).amax((2, 3))
        scores: Tensor = self.head(self.dropout(strongest))
        return scores


def _convolution(inputs: int, outputs: int, halve: bool = False) -> nn.Sequential:
    kernel, stride = (4, 2) if halve else (3, 1)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class Vgg16(nn.Module):
    """The 13 convolutions of VGG16 (Simonyan & Zisserman, arXiv 1409.1556) with a small head.

    Global average pooling and one hidden layer replace the 120 million weights of the published
    head, as is usual for small medical sets.

    Args:
        channels: 1 or 3.
        size: height and width of the images, pixels; at least 32, for the five poolings.
        outputs: length of the returned vector.
        batch_norm: a batch normalisation behind every convolution.
    """

    def __init__(self, channels: int, size: int, outputs: int, batch_norm: bool = False) -> None:
        super().__init__()
        if size < 32:
            raise ClassifierError(f"vgg16 needs images of at least 32 pixels, got {size}; use cnn")
        layers: list[nn.Module] = []
        width = channels
        for wider, count in VGG16_LAYOUT:
            for _ in range(count):
                layers.append(nn.Conv2d(width, wider, 3, padding=1))
                layers += [nn.BatchNorm2d(wider)] if batch_norm else []
                layers.append(nn.ReLU())
                width = wider
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(width, VGG16_HEAD), nn.ReLU(), nn.Dropout(0.5), nn.Linear(VGG16_HEAD, outputs)
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` -> ``[N, outputs]``."""
        scores: Tensor = self.head(self.features(images).mean((2, 3)))
        return scores


def _vgg16_bn(channels: int, size: int, outputs: int) -> Vgg16:
    return Vgg16(channels, size, outputs, batch_norm=True)


ARCHITECTURES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "cnn": SmallCnn,
    "vgg16": Vgg16,
    "vgg16_bn": _vgg16_bn,
}


def is_architecture(name: str) -> bool:
    """Whether ``name`` has the form of an architecture's name.

    >>> is_architecture("cnn"), is_architecture("monai:DenseNet121"), is_architecture("a.b:c")
    (True, True, False)
    """
    return name in ARCHITECTURES or name.startswith(MONAI_PREFIX)


def build_architecture(name: str, channels: int, size: int, outputs: int) -> nn.Module:
    """A freshly initialised network (from torch's global random state).

    Args:
        name: ``cnn``, ``vgg16``, ``vgg16_bn`` (with batch normalisation) or ``monai:NAME``.
        channels: of the images, 1 or 3.
        size: height and width of the images, pixels.
        outputs: length of the returned vector.

    Raises:
        ClassifierError: unknown name, or a size that the network cannot take.
        MissingPackageError: MONAI is not installed.

    >>> import torch
    >>> build_architecture("cnn", channels=1, size=64, outputs=2)(torch.zeros(3, 1, 64, 64)).shape
    torch.Size([3, 2])
    """
    if name.startswith(MONAI_PREFIX):
        return build_monai(name.removeprefix(MONAI_PREFIX), channels, outputs)
    if name not in ARCHITECTURES:
        raise ClassifierError(
            f"no architecture is named '{name}'; {nearest(name, [*ARCHITECTURES, 'monai:NAME'])}"
        )
    return ARCHITECTURES[name](channels, size, outputs)
