"""How alike two images are: mean squared error, PSNR, SSIM, inside a region or overall.

Images are ``[N, C, H, W]`` in [-1, 1], results one value per image, ``[N]``. Errors as compared by
Huynh-Thu & Ghanbari 2008, structural similarity by Wang et al. 2004.
"""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from medxgan.metrics.shapes import check_images_and_mask, check_same_shape

DATA_RANGE = 2.0
SMALLEST_MSE = 1e-10


def mse(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared error per image, ``[N]``: what the inversion of Dravid et al. 2022 minimises.

    Raises:
        DataError: the shapes differ.

    >>> mse(torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    tensor([1.])
    """
    check_same_shape(first=first, second=second)
    return (first - second).square().flatten(1).mean(dim=1)


def psnr(first: Tensor, second: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels per image, ``[N]`` (Huynh-Thu & Ghanbari 2008).

    Errors below 1e-10 count as 1e-10 (106 dB), so that one identical pair does not make a mean
    infinite.

    Raises:
        DataError: the shapes differ.

    >>> psnr(torch.full((1, 1, 8, 8), 0.2), torch.zeros(1, 1, 8, 8))
    tensor([20.])
    """
    return 10 * torch.log10(DATA_RANGE**2 / mse(first, second).clamp_min(SMALLEST_MSE))


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity around each pixel, ``[N, C, H, W]`` (Wang et al. 2004).

    SSIM's luminance term is meant for intensities from zero up, hence the shift to [0, 2].

    Raises:
        DataError: the shapes differ.

    >>> image = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    >>> ssim_map(image, image).shape
    torch.Size([1, 1, 8, 8])
    """
    check_same_shape(first=first, second=second)
    _, similarity = structural_similarity_index_measure(
        first + 1, second + 1, data_range=DATA_RANGE, reduction="none", return_full_image=True
    )
    return similarity


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Mean structural similarity per image, ``[N]`` (Wang et al. 2004); 1 for identical images.

    Raises:
        DataError: the shapes differ.

    >>> image = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    >>> ssim(image, image)
    tensor([1.])
    """
    return ssim_map(first, second).flatten(1).mean(dim=1)


def ssim_outside(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) over the pixels outside ``mask`` ``[N, H, W]``.

    Returns:
        ``[N]``; NaN where the mask covers the image.

    Raises:
        DataError: the shapes do not fit, or the mask is not bool.

    >>> image = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    >>> ssim_outside(image, image, image[:, 0] > 0)
    tensor([1.])
    """
    return mean_outside(ssim_map(first, second), mask)


def mae_outside(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the pixels outside ``mask`` ``[N, H, W]``.

    What a counterfactual changes beside the lesion (VA-GAN, Baumgartner et al. 2018, arXiv
    1711.08998, keeps it small by an L1 penalty).

    Returns:
        ``[N]`` in [0, 2]; NaN where the mask covers the image.

    Raises:
        DataError: the shapes do not fit, or the mask is not bool.

    >>> image = torch.tensor([[[[1.0, 0.0]]]])
    >>> mae_outside(image, torch.zeros_like(image), image[:, 0] > 0)
    tensor([0.])
    """
    check_same_shape(first=first, second=second)
    return mean_outside((first - second).abs(), mask)


def mean_outside(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` ``[N, C, H, W]`` over channels and the pixels outside the mask.

    Returns:
        ``[N]``; NaN where the mask covers the image.

    Raises:
        DataError: the shapes do not fit, or the mask is not bool.

    >>> mean_outside(torch.tensor([[[[5.0, 1.0]]]]), torch.tensor([[[True, False]]]))
    tensor([1.])
    """
    check_images_and_mask(values, mask)
    outside = ~mask
    total = (values.mean(dim=1) * outside).sum(dim=(1, 2))
    return total / outside.sum(dim=(1, 2))
