"""The two-code generator: anatomy from z1, and what the classifier responds to from z2.

After Dravid et al., "medXGAN", CVPRW 2022 (arXiv 2204.05376), with two changes. The pathology
stream is positively homogeneous in z2, so z2 = 0 is the negative realization *by construction*,
and along t z2 the stream grows linearly until it is mixed in. And the streams meet once, at half
the image size: both are computed once for a whole film, and what z2 adds stays where it is put.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from medxgan.config import NetworkSettings
from medxgan.networks.blocks import (
    HomogeneousConv,
    StyledConv,
    activation,
    pixel_norm,
    stream_widths,
)


@dataclass(frozen=True)
class Anatomy:
    """What the structure stream computes from z1.

    Attributes:
        maps: one feature map a scale, from 4 x 4 up to half the image size.
    """

    maps: list[Tensor]

    @property
    def features(self) -> Tensor:
        """The map that is rendered, at half the image size."""
        return self.maps[-1]

    def rows(self, index: Tensor) -> "Anatomy":
        """The anatomy of some of the images."""
        return Anatomy([features[index] for features in self.maps])


class TwoCodeGenerator(nn.Module):
    """G(z1, z2) -> images in [-1, 1].

    Args:
        size: height and width of the images: 32, 64, 128 or 256.
        channels: 1 or 3.
        settings: code dimensions and widths.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)
        self.structure = StructureStream(settings.structure_code, widths)
        self.pathology = PathologyStream(settings.pathology_code, widths)
        self.renderer = Renderer(widths[-1], channels)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """Codes ``[N, d1]`` and ``[N, d2]`` -> images ``[N, C, H, W]`` in [-1, 1]."""
        anatomy = self.structure(z1)
        return self.render(anatomy, self.pathology(z2, anatomy))

    def render(self, anatomy: Anatomy, change: Tensor | None = None) -> Tensor:
        """Image of an anatomy; without a change it is the negative realization G(z1, 0)."""
        features = anatomy.features if change is None else anatomy.features + change
        image: Tensor = self.renderer(features)
        return image

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """Frames G(z1, t z2) ``[T, N, C, H, W]`` for strengths t >= 0 ``[T]``.

        The streams run once: the pathology stream of t z2 is t times that of z2.
        """
        anatomy = self.structure(z1)
        change = self.pathology(z2, anatomy)
        return torch.stack([self.render(anatomy, strength * change) for strength in strengths])


class StructureStream(nn.Module):
    """z1 -> anatomy. A style vector and a learned 4 x 4 map, refined while growing."""

    def __init__(self, code: int, widths: list[int], style: int = 128) -> None:
        super().__init__()
        self.style = nn.Sequential(nn.Linear(code, style), nn.LeakyReLU(0.2))
        self.seed = nn.Linear(code, widths[0] * 16)
        self.first = StyledConv(widths[0], widths[0], style)
        self.narrow = nn.ModuleList(
            StyledConv(wide, thin, style) for wide, thin in pairwise(widths)
        )
        self.refine = nn.ModuleList(StyledConv(thin, thin, style) for thin in widths[1:])

    def forward(self, z1: Tensor) -> Anatomy:
        """``[N, d1]`` -> maps of N images at every scale."""
        style = self.style(z1)
        start = self.seed(z1).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        maps = [self.first(pixel_norm(start), style)]
        for narrow, refine in zip(self.narrow, self.refine, strict=True):
            # Narrowing before growing costs a quarter of narrowing after it.
            grown = interpolate(narrow(maps[-1], style), scale_factor=2.0, mode="nearest")
            maps.append(grown + refine(grown, style))
        return Anatomy(maps)


class PathologyStream(nn.Module):
    """(z2, anatomy) -> change of the anatomy's last map; zero at z2 = 0, homogeneous in z2.

    The anatomy multiplies the stream at every scale, so that a lesion knows what it lies on.
    """

    def __init__(self, code: int, widths: list[int]) -> None:
        super().__init__()
        thin = [max(4, width // 2) for width in widths]
        self.seed = nn.Linear(code, thin[0] * 16, bias=False)
        self.convs = nn.ModuleList(
            HomogeneousConv(before, after)
            for before, after in zip([thin[0], *thin], thin, strict=False)
        )
        self.gates = nn.ModuleList(
            nn.Conv2d(wide, narrow, 1) for wide, narrow in zip(widths, thin, strict=True)
        )
        self.mix = nn.Conv2d(thin[-1], widths[-1], 1, bias=False)
        for gate in self.gates:
            assert isinstance(gate, nn.Conv2d) and gate.bias is not None
            nn.init.normal_(gate.weight, std=0.02)
            nn.init.ones_(gate.bias)

    def forward(self, z2: Tensor, anatomy: Anatomy) -> Tensor:
        """``[N, d2]`` and N anatomies -> ``[N, width, H/2, W/2]``."""
        length = torch.linalg.vector_norm(z2.float(), dim=1) / z2.shape[1] ** 0.5
        flow = self.seed(z2).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for scale, (conv, gate) in enumerate(zip(self.convs, self.gates, strict=True)):
            if scale > 0:
                flow = interpolate(flow, scale_factor=2.0, mode="nearest")
            flow = conv(flow, length.to(flow.dtype)) * gate(anatomy.maps[scale])
        change: Tensor = self.mix(flow)
        return change


class Renderer(nn.Module):
    """Features at half the image size -> image; small receptive field, so changes stay local."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        fine = max(8, width // 3)
        self.blend = nn.Conv2d(width, width, 3, padding=1)
        self.spread = nn.Conv2d(width, 4 * fine, 1)
        self.detail = nn.Conv2d(fine, fine, 3, padding=1)
        self.paint = nn.Conv2d(fine, channels, 3, padding=1)
        # The four pixels that a feature becomes start out alike: no chequered pattern to unlearn.
        with torch.no_grad():
            for part in (self.spread.weight, self.spread.bias):
                assert part is not None
                part.copy_(part[::4].repeat_interleave(4, dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """``[N, width, H/2, W/2]`` -> ``[N, C, H, W]`` in [-1, 1]."""
        blended = features + activation(self.blend(features))
        fine = activation(pixel_shuffle(self.spread(blended), 2))
        return limit(self.paint(fine + activation(self.detail(fine))).float())


def limit(image: Tensor) -> Tensor:
    """Clip to [-1, 1]; a gradient still moves a pixel back into the range, but never further out.

    Air is exactly -1: a saturating function would reach it only where its gradient has died, and
    the gradient of the identity would drive clipped pixels ever further where nobody sees it.

    >>> image = torch.tensor([-3.0, 0.5, 3.0], requires_grad=True)
    >>> limit(image)
    tensor([-1.0000,  0.5000,  1.0000], grad_fn=<AddBackward0>)
    >>> limit(image).sum().backward()  # descent would lower every pixel
    >>> image.grad
    tensor([0., 1., 1.])
    """
    clipped = image + (image.clamp(-1, 1) - image).detach()

    def keep_inside(gradient: Tensor) -> Tensor:
        outwards = ((image < -1) & (gradient > 0)) | ((image > 1) & (gradient < 0))
        return gradient.masked_fill(outwards, 0)

    if clipped.requires_grad:
        clipped.register_hook(keep_inside)
    return clipped
