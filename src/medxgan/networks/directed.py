"""A style-based generator seen as one of two codes: where an image is, and where it is moved."""

import torch
from torch import Tensor, nn

from medxgan.networks.stylegan import StyleGenerator


class DirectedGenerator(nn.Module):
    """G(z1, z2): the image at the code z1, moved by z2.

    Codes are coordinates in which those of the prior have mean 0 and covariance I: w is ``mean +
    (z1 + z2) @ axes``. z2 = 0 is the negative end of a film, z1 + z2 the positive one. In W+ z1
    holds the coordinates of each layer, one after another, and z2 moves all of them alike.

    Args:
        generator: images from w, or from W+.
        mean: of the prior's w, ``[d]``.
        axes: one standard deviation of w long each, ``[k, d]``.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, generator: StyleGenerator, mean: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """``[N, k]`` (W+: ``[N, L k]``), ``[N, k]`` -> images ``[N, C, H, W]`` in [-1, 1]."""
        layers = z1.unflatten(1, (-1, len(self.axes)))
        codes = self.mean + (layers + z2.unsqueeze(1)) @ self.axes
        images: Tensor = self.generator(codes.squeeze(1) if codes.shape[1] == 1 else codes)
        return images

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """Frames G(z1, t z2) ``[T, N, C, H, W]`` for strengths t ``[T]``, each drawn anew."""
        return torch.stack([self(z1, strength * z2) for strength in strengths])
