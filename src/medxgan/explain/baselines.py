"""The methods that every explanation is shown beside, computed by Captum.

A map without channels (Grad-CAM, occlusion) is spread evenly over the image's channels, so that
its sum over channels is the map.
"""

from typing import Protocol, runtime_checkable

import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from torch import Tensor, nn
from torch.nn import functional

from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain.scores import images_at_once, probability
from medxgan.types import Classifier

BLACK = -1.0
STEPS = 32


@runtime_checkable
class LayeredClassifier(Protocol):
    """A classifier whose layers can be watched."""

    def last_convolution(self) -> nn.Module | None:
        """The layer that Grad-CAM looks at; None where the model has no convolution."""
        ...


def integrated_gradients(
    classifier: Classifier,
    images: Tensor,
    target: int,
    n_steps: int = STEPS,
    baseline: float = BLACK,
) -> Tensor:
    """Integrated gradients of the probability (Sundararajan et al. 2017, arXiv 1703.01365).

    Args:
        classifier: a differentiable one.
        images: ``[N, C, H, W]`` in [-1, 1].
        target: index of the explained class.
        n_steps: points of the Gauss-Legendre rule on the straight line.
        baseline: intensity of the constant image where the line starts; -1 is black.

    Returns:
        Signed evidence ``[N, C, H, W]`` that adds up to C(x) - C(baseline).

    Raises:
        ClassifierError: the classifier gives no gradients.
        ConfigError: ``n_steps`` is below 1.
    """
    _check_differentiable(classifier, "Integrated gradients need")
    if n_steps < 1:
        raise ConfigError(f"n_steps must be at least 1, got {n_steps}")
    method = IntegratedGradients(probability(classifier, target))
    at_once = images_at_once(images)
    attribution = torch.cat(
        [
            method.attribute(
                _leaf(part), baselines=baseline, n_steps=n_steps, internal_batch_size=at_once
            ).detach()
            for part in torch.split(images, at_once)
        ]
    )
    return attribution.to(images.dtype)


def convolution_of(classifier: Classifier) -> nn.Module | None:
    """The layer that Grad-CAM would look at; None where there is none to be had."""
    return classifier.last_convolution() if isinstance(classifier, LayeredClassifier) else None


def grad_cam(classifier: Classifier, images: Tensor, target: int) -> Tensor:
    """Grad-CAM on the log-odds (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2).

    Log-odds, because the gradient of a probability near 0 or 1 vanishes.

    Args:
        classifier: a ``LayeredClassifier`` with a convolution.
        images: ``[N, C, H, W]`` in [-1, 1].
        target: index of the explained class.

    Returns:
        Non-negative evidence ``[N, C, H, W]``, upsampled bilinearly to the image.

    Raises:
        ClassifierError: the classifier gives no gradients, or has no convolution.
    """
    _check_differentiable(classifier, "Grad-CAM needs")
    layer = convolution_of(classifier)
    if layer is None:
        raise ClassifierError(
            "Grad-CAM needs a classifier with a convolution, and this one shows none; "
            "choose another method, e.g. ig or occlusion"
        )
    method = LayerGradCam(lambda batch: classifier.log_odds(batch, target), layer)
    coarse = torch.cat(
        [
            method.attribute(_leaf(part), relu_attributions=True).detach()
            for part in torch.split(images, images_at_once(images))
        ]
    )
    fine = functional.interpolate(
        coarse, size=images.shape[-2:], mode="bilinear", align_corners=False
    )
    return _spread_over_channels(fine, images)


def occlusion(
    classifier: Classifier,
    images: Tensor,
    target: int,
    window: int | None = None,
    stride: int | None = None,
) -> Tensor:
    """Fall of the probability when a square is blanked out (Zeiler & Fergus 2014).

    The square gets the image's mean of each channel: neither black nor white, so that dark and
    bright lesions are hidden alike. Needs no gradients.

    Args:
        classifier: any.
        images: ``[N, C, H, W]`` in [-1, 1].
        target: index of the explained class.
        window: side of the square, pixels; by default an eighth of the image's smaller side.
        stride: step of the square, pixels; by default half the window.

    Returns:
        Signed evidence ``[N, C, H, W]``: for each pixel, the mean over the squares that cover it.

    Raises:
        ConfigError: the window does not fit into the image, or the stride not into the window.
    """
    side = min(images.shape[-2:])
    window = max(1, side // 8) if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= window <= side:
        raise ConfigError(f"the occlusion window must be 1 to {side} pixels, got {window}")
    if not 1 <= stride <= window:
        raise ConfigError(f"the occlusion stride must be 1 to {window} pixels, got {stride}")
    channels = images.shape[1]
    at_once = images_at_once(images)
    method = Occlusion(probability(classifier, target))
    attribution = torch.cat(
        [
            method.attribute(
                part,
                sliding_window_shapes=(channels, window, window),
                strides=(channels, stride, stride),
                baselines=part.mean(dim=(2, 3), keepdim=True).expand_as(part),
                perturbations_per_eval=at_once // len(part),
            )
            for part in torch.split(images, at_once)
        ]
    )
    return _spread_over_channels(attribution[:, :1], images)


def _check_differentiable(classifier: Classifier, needs: str) -> None:
    if not classifier.differentiable:
        raise ClassifierError(
            f"{needs} the classifier's gradients, and this one gives none; "
            "choose another method, e.g. occlusion"
        )


def _leaf(images: Tensor) -> Tensor:
    """A copy that gradients flow to: Captum warns when it has to switch them on itself."""
    return images.detach().clone().requires_grad_()


def _spread_over_channels(maps: Tensor, images: Tensor) -> Tensor:
    """``[N, 1, H, W]`` -> ``[N, C, H, W]`` with the same sum over channels."""
    return (maps / images.shape[1]).expand_as(images).to(images.dtype).contiguous()
