"""The direction in latent space along which a model's answer changes (Schutte et al. 2020, [1]).

The model is asked for its answers on drawn images, and for nothing else: no gradient, no layer. Its
answers are regressed on the codes that the images were drawn from; the weights say in which
direction the answer changes. Codes are coordinates in which those of the prior have mean 0 and
covariance I, see ``DirectedGenerator``.

1. Schutte, Moindrot, Hérent, Schiratti, Jégou: Using StyleGAN for visual interpretability of deep
   learning models on medical images. Medical Imaging meets NeurIPS 2020, arXiv 2101.07563
2. Hoerl, Kennard: Ridge regression. Technometrics 12, 1970
3. Amari: Natural gradient works efficiently in learning. Neural Computation 10, 1998
"""

import torch
from torch import Tensor

from medxgan.metrics.ranks import average_ranks

RIDGE = 1e-2
"""Penalty of the regression's weights, for evidence and coordinates of deviation 1."""
NEWTON_STEPS = 25


def linear_regression(coordinates: Tensor, evidence: Tensor, ridge: float = RIDGE) -> Tensor:
    """Weights ``[d]`` of the ridge regression [2] of evidence ``[N]`` on coordinates ``[N, d]``.

    >>> linear_regression(torch.eye(3), torch.tensor([4.0, 2.0, 0.0]), ridge=0).round(decimals=4)
    tensor([ 2., -0., -2.])
    """
    x, y = coordinates.double(), evidence.double()
    x, y = x - x.mean(dim=0), y - y.mean()
    # The pseudo-inverse of a symmetric matrix: coordinates that never vary get no weight.
    gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1]).to(x)
    weights: Tensor = torch.linalg.pinv(gram, hermitian=True) @ (x.T @ y)
    return weights.to(coordinates.dtype)


def logistic_regression(coordinates: Tensor, probabilities: Tensor, ridge: float = RIDGE) -> Tensor:
    """Weights ``[d]`` of the logistic regression of probabilities ``[N]`` on coordinates.

    The probabilities themselves are fitted (cross-entropy with soft targets, by Newton's method),
    so that a model that is sure counts no more than one that is just sure enough.
    """
    x = torch.cat([coordinates, torch.ones_like(coordinates[:, :1])], dim=1).double()
    y = probabilities.double()
    penalty = ridge * torch.eye(x.shape[1]).to(x)
    penalty[-1, -1] = 1e-9  # the intercept is free
    weights = torch.zeros_like(x[0])
    for _ in range(NEWTON_STEPS):
        chance = torch.sigmoid(x @ weights)
        gradient = x.T @ (chance - y) / len(x) + penalty @ weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x / len(x) + penalty
        step = torch.linalg.solve(curvature, gradient)
        weights -= step
        if float(step.abs().max()) < 1e-8:
            break
    return weights[:-1].to(coordinates.dtype)


def explained_variance(coordinates: Tensor, evidence: Tensor, direction: Tensor) -> float:
    """Share of the evidence's variance that the place along one direction explains: R², 0 to 1.

    The squared correlation of evidence ``[N]`` with ``coordinates @ direction``, 0 where that is
    negative, so that scale and offset play no part and the sense does; held-out codes make it an
    honest figure. NaN where the evidence does not vary.

    >>> places = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> round(explained_variance(places, places[:, 0] * 3, torch.tensor([2.0, 0.0])), 6)
    1.0
    """
    along = (coordinates @ direction).double()
    both = torch.stack([along, evidence.double()])
    return float(torch.corrcoef(both)[0, 1].clamp_min(0).square())


def separation(coordinates: Tensor, positive: Tensor, direction: Tensor) -> float:
    """Area under the ROC curve: does the place along a direction tell positives from negatives?

    Args:
        coordinates: ``[N, d]``.
        positive: bool ``[N]``.
        direction: ``[d]``.

    Returns:
        0.5 where it says nothing, 1 where every positive lies farther along; NaN where all are
        positive or none is.

    >>> places = torch.tensor([[0.0], [1.0], [2.0]])
    >>> separation(places, torch.tensor([False, True, True]), torch.ones(1))
    1.0
    """
    yes, no = int(positive.sum()), int((~positive).sum())
    if yes == 0 or no == 0:
        return float("nan")
    above = average_ranks(coordinates @ direction)[positive].sum() - yes * (yes + 1) / 2
    return float(above / (yes * no))


def random_directions(count: int, dimensions: int, seed: int) -> Tensor:
    """Unit vectors ``[count, dimensions]``, even over all directions."""
    drawn = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))
    return of_length_1(drawn)


def least_change(gradient: Tensor, metric: Tensor, damping: float) -> Tensor:
    """The direction that raises the evidence most for the least change of the image.

    Of all steps that raise the evidence by the same amount, the one with the least
    ``step · (M + damping I) · step``: the natural gradient [3] for a metric of image change.

    Args:
        gradient: of the evidence in coordinates, ``[..., d]``.
        metric: change of the image: squared change for a step s is ``s · metric · s``,
            ``[..., d, d]``; it is brought to mean diagonal 1, so that damping means the same
            everywhere.
        damping: weight of the length in coordinates, that is, of staying near the code.

    Returns:
        ``[..., d]``, of length 1 in coordinates; zero where the gradient is.
    """
    dimensions = gradient.shape[-1]
    size = metric.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
    even = metric / size.clamp_min(torch.finfo(metric.dtype).tiny)
    damped = even + damping * torch.eye(dimensions, dtype=metric.dtype, device=metric.device)
    direction: Tensor = torch.linalg.solve(damped, gradient[..., None]).squeeze(-1)
    return of_length_1(direction)


def of_length_1(vectors: Tensor) -> Tensor:
    """Vectors ``[..., d]`` scaled to length 1; zero stays zero."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.clamp_min(torch.finfo(vectors.dtype).tiny)
