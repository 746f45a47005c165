"""A style-based generator seen as one of two codes: where an image is, and where it is moved."""

import torch
from torch import Tensor, nn

from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_statistics import SMALLEST_SHARE, CodeStatistics
from medxgan.turns import give_way


class DirectedGenerator(nn.Module):
    """G(z1, z2): the image at the code z1, moved by z2.

    Codes are coordinates in which those of the prior have mean 0 and covariance I, so that lengths
    and random directions mean the same in all of them: w is ``mean + (z1 + z2) @ axes``. z2 = 0 is
    one end of a film, z1 + z2 the other. In W+ they hold the coordinates of each of L
    layers, one after another; a code of one layer is that of all of them.

    Args:
        generator: images from w, or from W+.
        statistics: of the w that its mapping network makes.
        direction: that changes a model's answer, ``[d]``; none yet where None.

    Attributes:
        axes: one standard deviation of w long each, the one of greatest variance first, ``[d, d]``.
        direction: of length 1 in coordinates, ``[d]``; zeros where there is none.
    """

    mean: Tensor
    axes: Tensor
    direction: Tensor

    def __init__(
        self,
        generator: StyleGenerator,
        statistics: CodeStatistics,
        direction: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("mean", statistics.mean)
        self.register_buffer("axes", axes_of(statistics))
        given = torch.zeros_like(statistics.mean) if direction is None else direction
        self.register_buffer("direction", given)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """z1, z2, each ``[N, d]`` or in W+ ``[N, L d]`` -> images ``[N, C, H, W]`` in [-1, 1].

        Where one is of all layers alike, ``[N, d]``, and the other is not, it counts in each layer.
        """
        width = len(self.axes)
        places = z1.unflatten(1, (-1, width)) + z2.unflatten(1, (-1, width))
        codes = self.mean + places @ self.axes
        images: Tensor = self.generator(codes.squeeze(1) if codes.shape[1] == 1 else codes)
        return images

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """Frames G(z1, t z2) ``[T, N, C, H, W]`` for strengths t ``[T]``, each drawn anew."""
        frames = []
        for strength in strengths:
            give_way()
            frames.append(self(z1, strength * z2))
        return torch.stack(frames)

    def places(self, codes: Tensor) -> Tensor:
        """w ``[N, d]``, or ``[N, L, d]`` in W+ -> z1 ``[N, d]``, or ``[N, L d]``."""
        inverse = self.axes / self.axes.square().sum(dim=1, keepdim=True)
        places: Tensor = ((codes - self.mean) @ inverse.T).flatten(1)
        return places

    def sample(self, count: int, seed: int) -> Tensor:
        """z1 of images from the prior, ``[count, d]``."""
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(count, len(self.mean), generator=random).to(self.mean.device)
        with torch.no_grad():
            codes: Tensor = self.generator.map(z)
        return self.places(codes)


def axes_of(statistics: CodeStatistics) -> Tensor:
    """Principal axes of w ``[d, d]``, one standard deviation long, the longest first.

    Those that hardly vary are as long as ``CodeStatistics.whitening`` takes them to be, so that
    every w has coordinates, and their root mean square is its ``distance``.

    >>> axes_of(CodeStatistics(torch.zeros(2), torch.diag(torch.tensor([1.0, 4.0])))).abs()
    tensor([[0., 2.],
            [1., 0.]])
    """
    variances, directions = torch.linalg.eigh(statistics.covariance.double())
    lengths = variances.clamp_min(SMALLEST_SHARE * float(variances[-1])).sqrt()
    # The sign of an eigenvector is an accident of the library.
    signs = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True)).sign()
    axes: Tensor = (directions * signs * lengths).T.flip(0)
    return axes.to(statistics.mean).contiguous()
