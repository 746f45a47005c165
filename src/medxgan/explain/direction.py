"""The direction in latent space along which a model's answer changes (Schutte et al. 2020, [1]).

The model is asked for its answers on drawn images, and for nothing else: no gradient, no layer. Its
answers are regressed on the codes that the images were drawn from; the weights are the direction.
Codes are taken in coordinates in which those of the prior have mean 0 and covariance I, so that
lengths and random directions mean the same in all of them.

1. Schutte, Moindrot, Hérent, Schiratti, Jégou: Using StyleGAN for visual interpretability of deep
   learning models on medical images. Medical Imaging meets NeurIPS 2020, arXiv 2101.07563
2. Hoerl, Kennard: Ridge regression. Technometrics 12, 1970
3. Amari: Natural gradient works efficiently in learning. Neural Computation 10, 1998
"""

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-2
"""Penalty of the regression's weights, for evidence and coordinates of deviation 1."""
SURE = 1e-6
"""Probabilities are kept so far from 0 and 1 before they are turned into log-odds."""
NEWTON_STEPS = 25


@dataclass(frozen=True)
class CodeFrame:
    """Coordinates of codes in which those of the prior have mean 0 and covariance I.

    Attributes:
        mean: of the prior's codes, ``[d]``.
        axes: the directions of greatest variance, each one standard deviation long, ``[k, d]``.
    """

    mean: Tensor
    axes: Tensor

    def coordinates(self, codes: Tensor) -> Tensor:
        """Codes ``[N, d]`` -> coordinates ``[N, k]``; what lies outside the axes is left out."""
        return (codes - self.mean) @ (self.axes / self.axes.square().sum(dim=1, keepdim=True)).T

    def to(self, device: torch.device) -> "CodeFrame":
        """The same frame on a device."""
        return CodeFrame(self.mean.to(device), self.axes.to(device))

    def offsets(self, coordinates: Tensor) -> Tensor:
        """Steps in coordinates ``[..., k]`` -> steps in codes ``[..., d]``."""
        return coordinates @ self.axes


def frame_of(mean: Tensor, covariance: Tensor, most: int | None = None) -> CodeFrame:
    """The coordinates that a prior's mean ``[d]`` and covariance ``[d, d]`` give.

    Args:
        mean: of its codes.
        covariance: of its codes.
        most: axes to keep, those of greatest variance; all that have any where None.

    >>> frame = frame_of(torch.zeros(2), torch.diag(torch.tensor([4.0, 1.0])))
    >>> frame.coordinates(torch.tensor([[2.0, 0.0]])).abs().tolist()
    [[1.0, 0.0]]
    """
    variances, directions = torch.linalg.eigh(covariance.double())
    order = variances.argsort(descending=True)[:most]
    order = order[variances[order] > 1e-6 * variances.max()]
    axes = directions[:, order].T * variances[order].sqrt()[:, None]
    return CodeFrame(mean, axes.to(mean.dtype))


def log_odds(probabilities: Tensor) -> Tensor:
    """Evidence for a class: log(p / (1 - p)), finite for p of 0 and 1 too.

    >>> log_odds(torch.tensor([0.5, 0.75, 1.0])).round().tolist()
    [0.0, 1.0, 14.0]
    """
    return torch.logit(probabilities.double(), eps=SURE).to(probabilities.dtype)


@dataclass(frozen=True)
class LinearFit:
    """evidence = coordinates · weights + intercept.

    Attributes:
        weights: ``[k]``.
        intercept: evidence at the mean of the prior.
    """

    weights: Tensor
    intercept: float

    def predict(self, coordinates: Tensor) -> Tensor:
        """Evidence at coordinates ``[N, k]`` -> ``[N]``."""
        return coordinates @ self.weights + self.intercept


def linear_regression(coordinates: Tensor, evidence: Tensor, ridge: float = RIDGE) -> LinearFit:
    """Ridge regression [2] of evidence ``[N]`` on coordinates ``[N, k]``.

    >>> fit = linear_regression(torch.eye(3), torch.tensor([3.0, 2.0, 1.0]), ridge=0)
    >>> fit.predict(torch.eye(3)).round(decimals=5).tolist()
    [3.0, 2.0, 1.0]
    """
    x, y = coordinates.double(), evidence.double()
    centre, level = x.mean(dim=0), y.mean()
    x, y = x - centre, y - level
    # The pseudo-inverse of a symmetric matrix: coordinates that never vary get no weight.
    gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1]).to(x)
    weights = torch.linalg.pinv(gram, hermitian=True) @ (x.T @ y)
    return LinearFit(weights.to(coordinates.dtype), float(level - centre @ weights))


def logistic_regression(
    coordinates: Tensor, probabilities: Tensor, ridge: float = RIDGE
) -> LinearFit:
    """Logistic regression of probabilities ``[N]`` on coordinates ``[N, k]``, by Newton's method.

    The probabilities themselves are fitted (cross-entropy with soft targets), so that a model that
    is sure counts no more than one that is just sure enough.
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
    return LinearFit(weights[:-1].to(coordinates.dtype), float(weights[-1]))


def explained_variance(coordinates: Tensor, evidence: Tensor, direction: Tensor) -> float:
    """Share of the evidence's variance that the place along one direction explains: R², 0 to 1.

    The squared correlation of evidence ``[N]`` with ``coordinates @ direction``, so that the length
    of the direction plays no part; held-out codes make it an honest figure. NaN where the evidence
    does not vary.

    >>> places = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> round(explained_variance(places, places[:, 0] * 3, torch.tensor([2.0, 0.0])), 6)
    1.0
    """
    along = (coordinates @ direction).double()
    both = torch.stack([along, evidence.double()])
    return float(torch.corrcoef(both)[0, 1].square())


def random_directions(count: int, dimensions: int, seed: int) -> Tensor:
    """Unit vectors ``[count, dimensions]``, even over all directions."""
    drawn = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))
    return _of_length_1(drawn)


def least_change(gradient: Tensor, metric: Tensor, damping: float) -> Tensor:
    """The direction that raises the evidence most for the least change of the image.

    Of all steps that raise the evidence by the same amount, the one with the least
    ``step · (M + damping I) · step``: the natural gradient [3] for a metric of image change.

    Args:
        gradient: of the evidence in coordinates, ``[..., k]``.
        metric: change of the image: squared change for a step s is ``s · metric · s``,
            ``[..., k, k]``; it is brought to mean diagonal 1, so that damping means the same
            everywhere.
        damping: weight of the length in coordinates, that is, of staying near the code.

    Returns:
        ``[..., k]``, of length 1 in coordinates; zero where the gradient is.
    """
    dimensions = gradient.shape[-1]
    size = metric.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
    even = metric / size.clamp_min(torch.finfo(metric.dtype).tiny)
    damped = even + damping * torch.eye(dimensions, dtype=metric.dtype, device=metric.device)
    direction: Tensor = torch.linalg.solve(damped, gradient[..., None]).squeeze(-1)
    return _of_length_1(direction)


def _of_length_1(vectors: Tensor) -> Tensor:
    """Vectors ``[..., k]`` scaled to length 1; zero stays zero."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.clamp_min(torch.finfo(vectors.dtype).tiny)
