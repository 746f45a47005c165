"""Do generated images look like real ones to the classifier? FID and KID on its own features."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medxgan.classifiers import TorchClassifier
from medxgan.evaluate.columns import Place, Rows, joined
from medxgan.evaluate.document import missing
from medxgan.evaluate.parts import Part
from medxgan.evaluate.task import Task
from medxgan.metrics.bootstrap import Summary
from medxgan.metrics.realism import frechet_distance, kernel_distance

DISTANCES = {"fid": frechet_distance, "kid": kernel_distance}
NAMES = ("fid", "kid", "fid_floor", "kid_floor")
HALVINGS = 50
FEWEST_IMAGES = 4
NO_FEATURES = "the classifier has no linear layer whose inputs could serve as features"


def measure_realism(task: Task, called: NDArray[np.bool_]) -> dict[Place, Summary]:
    """Distance of prior samples from the real images, beside that of real from other real ones.

    As many are drawn as there are images; of a generator that is told the class, as many positive
    ones as the classifier calls positive. Both sets are halved again and again: with halves of one
    size on all sides, what a distance owes to the number of images (Bińkowski et al. 2018) is the
    same in figure and floor.

    Args:
        task: what is measured.
        called: which of the N images the classifier calls positive.

    Returns:
        For each figure the mean over the halvings; the interval holds 95 % of them, as in
        half-sampling (McCarthy 1969), images of a patient kept together.
    """
    z1, z2 = task.explainer.prior_codes(torch.from_numpy(called), seed=task.seed)
    measure = partial(_features_of_both, task, z1, z2)
    parts = task.measured("realism", np.arange(len(called)), measure)
    found = joined(part.columns for part in parts)
    reason = None
    if ("real",) not in found:
        reason = NO_FEATURES
    elif len(called) < FEWEST_IMAGES:
        reason = f"at least {FEWEST_IMAGES} images are needed, got {len(called)}"
    if reason is not None:
        return {("realism", name): missing(reason) for name in NAMES}
    figures: dict[Place, Summary] = {}
    halves = list(half_pairs(task.data.groups.tolist(), HALVINGS, task.seed))
    for name, distance in DISTANCES.items():
        with_floor = figure_and_floor(found["real",], found["made",], halves, distance)
        figures["realism", name], figures["realism", f"{name}_floor"] = with_floor
    return figures


def figure_and_floor(
    real: Tensor,
    made: Tensor,
    halves: Sequence[tuple[Rows, Rows]],
    distance: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Summary, Summary]:
    """Distance of made from real features ``[N, d]``, and of real from real ones.

    Args:
        real: features of the images.
        made: of as many prior samples.
        halves: pairs of disjoint halves of the rows.
        distance: of two sets of features.
    """
    generated = [distance(real[first], made[second]) for first, second in halves]
    floor = [distance(real[first], real[second]) for first, second in halves]
    return _over_halvings(generated, len(real)), _over_halvings(floor, len(real))


def half_pairs(groups: Sequence[str], count: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of disjoint halves of the images; at most one patient has images in both.

    >>> first, second = next(half_pairs(["a", "a", "b", "b"], 1, 0))
    >>> sorted([sorted(first.tolist()), sorted(second.tolist())])
    [[0, 1], [2, 3]]
    """
    random = np.random.default_rng(seed)
    _, member_of = np.unique(groups, return_inverse=True)
    half = len(member_of) // 2
    for _ in range(count):
        order_of_groups = random.permutation(member_of.max() + 1)[member_of]
        rows = np.lexsort((random.random(len(member_of)), order_of_groups))
        yield rows[:half], rows[half : 2 * half]


def features_before_head(classifier: TorchClassifier, images: Tensor) -> Tensor | None:
    """What the classifier's last linear layer is given, ``[N, d]``; None where there is no such.

    >>> from medxgan.types import ClassifierSpec
    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"), intensity_range=(-1, 1))
    >>> head = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(1, 2))
    >>> features_before_head(TorchClassifier(head, spec), torch.ones(2, 1, 8, 8))
    tensor([[1.],
            [1.]])
    """
    given: list[Tensor] = []

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].ndim == 2 and len(inputs[0]) == len(images):
            given.append(inputs[0].float())

    layers = [layer for layer in classifier.module.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(take) for layer in layers]
    try:
        with torch.no_grad():
            classifier(images)
    finally:
        for hook in hooks:
            hook.remove()
    return given[-1] if given else None


def _features_of_both(task: Task, z1: Tensor, z2: Tensor, rows: Rows) -> Part:
    with torch.no_grad():
        made = task.explainer.generator(z1[rows], z2[rows])
    classifier = task.explainer.classifier
    real_features = features_before_head(classifier, task.images(rows))
    made_features = features_before_head(classifier, made)
    if real_features is None or made_features is None:
        return Part({})
    return Part({("real",): real_features, ("made",): made_features})


def _over_halvings(distances: Sequence[Tensor], images: int) -> Summary:
    values = torch.stack(list(distances))
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    mean = values.mean().item()
    return {"value": mean, "low": low, "high": high, "n": images, "n_missing": 0}
