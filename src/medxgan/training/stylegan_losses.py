"""Loss terms of the style-based generator, as pure functions; each returns a scalar."""

import torch
from torch import Tensor

SMALLEST = 1e-8


def path_lengths(images: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
    """How far images move along random directions when codes move (arXiv 1912.04958, eq. 4).

    Args:
        images: G(codes) ``[N, C, H, W]``, with their graph.
        codes: ``[N, L, d]``, of each layer.
        noise: the random directions, standard normal ``[N, C, H, W]``.

    Returns:
        Lengths ``[N]`` of the Jacobian transposed times noise / sqrt(H W), the root mean square
        over layers; with a graph of their own.

    >>> codes = torch.ones(1, 1, 2, requires_grad=True)
    >>> images = 3 * codes.reshape(1, 1, 1, 2)  # moves by 3 for 1, in each of its two pixels
    >>> lengths = path_lengths(images, codes, torch.ones(1, 1, 1, 2))  # of 3 (1, 1) / sqrt 2
    >>> round(lengths.item(), 4)
    3.0
    """
    directions = noise / (noise.shape[2] * noise.shape[3]) ** 0.5
    moved = (images * directions).sum()
    (gradient,) = torch.autograd.grad(moved, codes, create_graph=True)
    return (gradient.square().sum(dim=2).mean(dim=1) + SMALLEST**2).sqrt()


def path_length_penalty(lengths: Tensor, usual: Tensor) -> Tensor:
    """Squared distance of path lengths ``[N]`` from the usual one (arXiv 1912.04958, eq. 4).

    >>> path_length_penalty(torch.tensor([1.0, 3.0]), torch.tensor(2.0))
    tensor(1.)
    """
    return (lengths - usual).square().mean()


def feature_distance(drawn: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, relative to the mean size of the wanted ones.

    What a discriminator's features measure keeps textures that pixels alone average away (feature
    matching, Salimans et al. 2016; Larsen et al. 2016, arXiv 1512.09300).

    Args:
        drawn: maps ``[N, C, H, W]`` of the generated images.
        wanted: the same of the real ones, without a graph.

    >>> feature_distance([torch.zeros(1, 1, 2, 2)], [torch.full((1, 1, 2, 2), 5.0)]).item()
    1.0
    """
    parts = [
        (a.float() - b.float()).abs().mean() / (b.float().abs().mean() + SMALLEST)
        for a, b in zip(drawn, wanted, strict=True)
    ]
    return torch.stack(parts).mean()


def code_distance(codes: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
    """Squared error of the encoder's codes, relative to the variance of the wanted ones.

    0 is perfect; 1 is as good as giving the mean of all.

    Args:
        codes: E(G(w)), ``[N, d]``, or ``[N, L, d]`` in W+.
        wanted: w ``[N, d]``, without a graph.
        counted: bool ``[N]``: false for samples that no single w made.

    >>> wanted = torch.tensor([[0.0], [2.0]])
    >>> code_distance(torch.ones(2, 1), wanted, torch.tensor([True, True])).item()
    1.0
    """
    variance = wanted.var(dim=0, unbiased=False).mean()
    if codes.ndim == 3:
        wanted = wanted.unsqueeze(1)
    error = (codes - wanted).square().flatten(1).mean(dim=1)
    return (error * counted).sum() / counted.sum().clamp_min(1) / (variance + SMALLEST)


def sliced_distance(codes: Tensor, mapped: Tensor, directions: Tensor) -> Tensor:
    """How far the encoder's codes are, as a whole, from where mapped ones lie.

    The squared sliced Wasserstein distance (Rabin et al. 2011; between codes as by Kolouri et al.
    2018, arXiv 1804.01947): along each direction, sorted codes are compared with the quantiles of
    the mapped ones, in units of their deviation. What the generator learns from reconstructions it
    then can also draw from samples.

    Args:
        codes: of real images ``[N, d]``, or ``[N, L, d]`` in W+, of which layers' mean is taken.
        mapped: w ``[M, d]``, without a graph.
        directions: ``[d, K]``, of any length.

    >>> mapped = torch.tensor([[0.0], [2.0], [0.0], [2.0]])
    >>> sliced_distance(torch.tensor([[3.0], [1.0]]), mapped, torch.ones(1, 1)).item()
    1.0
    """
    codes = codes.mean(dim=1) if codes.ndim == 3 else codes
    found, wanted = (codes @ directions).sort(dim=0).values, mapped @ directions
    places = (torch.arange(len(codes), device=codes.device) + 0.5) / len(codes)
    quantiles = torch.quantile(wanted, places, dim=0, interpolation="nearest")
    variance = wanted.var(dim=0, unbiased=False)
    return ((found - quantiles).square() / (variance + SMALLEST)).mean()
