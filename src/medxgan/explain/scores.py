"""Scores of images and their gradients, in batches that fit memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.turns import give_way
from medxgan.types import Classifier

Score = Callable[[Tensor], Tensor]
"""Images ``[M, C, H, W]`` -> ``[M]``, each from its own image alone."""

# On a CPU small batches, whose feature maps stay in its caches, are two to three times faster.
CPU_PIXELS_AT_ONCE = 2**16
GPU_PIXELS_AT_ONCE = 2**21


def probability(classifier: Classifier, target: int) -> Score:
    """The score of class ``target``: its probability; of a value, its place in the range.

    See ``ClassifierSpec.score``. From 0.5 on an image is positive.

    >>> from medxgan.classifiers import BlackBox
    >>> spec = {"size": 8, "output": "value", "class_names": ["grade"], "value_range": [0, 4]}
    >>> grader = BlackBox(lambda images: images.mean((2, 3)) + 2, spec)
    >>> probability(grader, target=0)(torch.ones(3, 1, 8, 8))
    tensor([0.7500, 0.7500, 0.7500])
    """
    return lambda images: classifier.spec.score(classifier(images), target)


def answers(classifier: Classifier, images: Tensor) -> Tensor:
    """All that a classifier says of images ``[N, C, H, W]``, without gradients, ``[N, K]``."""
    with torch.no_grad():
        parts = [classifier(part) for part in torch.split(images, images_at_once(images))]
    return torch.cat(parts)


def images_at_once(images: Tensor) -> int:
    """How many images like these ``[..., H, W]`` the classifier sees in one batch.

    >>> images_at_once(torch.zeros(1, 1, 64, 64)), images_at_once(torch.zeros(1, 1, 256, 256))
    (16, 1)
    """
    height, width = images.shape[-2:]
    pixels = CPU_PIXELS_AT_ONCE if images.device.type == "cpu" else GPU_PIXELS_AT_ONCE
    return max(1, pixels // (height * width))


def evaluate(score: Score, images: Tensor) -> Tensor:
    """Scores of many images, without gradients, ``[..., C, H, W]`` -> ``[...]``.

    >>> evaluate(lambda images: images.amax(dim=(1, 2, 3)), torch.ones(5, 2, 1, 8, 8)).shape
    torch.Size([5, 2])
    """
    flat = images.flatten(0, -4)
    with torch.no_grad():
        scores = [score(part) for part in torch.split(flat, images_at_once(images))]
    return torch.cat(scores).view(images.shape[:-3])


def gradients(score: Score, images: Tensor) -> Tensor:
    """Gradient of each image's score with respect to the image, ``[..., C, H, W]``.

    Works where gradients are switched off around it, too.

    >>> gradients(lambda images: images.square().sum(dim=(1, 2, 3)), torch.ones(1, 1, 1, 2))
    tensor([[[[2., 2.]]]])
    """
    flat = images.flatten(0, -4)
    found = []
    for part in torch.split(flat, images_at_once(images)):
        give_way()
        found.append(_gradient_of_batch(score, part))
    return torch.cat(found).view(images.shape)


def _gradient_of_batch(score: Score, images: Tensor) -> Tensor:
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(images).sum(), images)
    return gradient
