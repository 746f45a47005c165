"""Controls: changes and maps that know nothing, measured like ours. Each of them can win.

Each is one draw: one direction an image, one generator, one classifier, one map of noise an image.
"""

import torch
from torch import Tensor

from medxgan.evaluate.columns import Columns, Rows, placed
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.explained import Explained
from medxgan.evaluate.localization import localization_figures
from medxgan.evaluate.maps import Maps
from medxgan.evaluate.task import Task
from medxgan.explain import scores
from medxgan.explain.counterfactual import transfer
from medxgan.explainer import Explainer
from medxgan.metrics.counterfactual import crossed, flipped
from medxgan.metrics.localization import evidence
from medxgan.types import Latent

CHANGES = ("random_direction", "random_pathology", "untrained_generator")
"""Controls that change the image as ours does, and have a difference map."""

CHANGE_FIGURES = ("validity", "crossing", "transfer_validity")


def control_columns(
    task: Task, rows: Rows, explained: Explained, before: Tensor, masks: Tensor
) -> Columns:
    """Measure all controls but the classifier drawn anew.

    Args:
        task: what is measured.
        rows: N images of the data set.
        explained: these images.
        before: C(x), ``[N]``.
        masks: lesions, bool ``[N, H, W]``.
    """
    changes = _random_changes(task, rows, explained)
    if task.untrained is not None:
        changes["untrained_generator"] = _untrained_change(task.untrained, explained.images)
    columns: Columns = {}
    for name, (start, end) in changes.items():
        found = _change_columns(task, explained, before, masks, start, end)
        columns |= placed(found, "controls", name)
    shape = (task.data.size, task.data.size)
    heat = drawn_for(rows, shape, "random map", task.seed, torch.rand)
    return columns | placed(localization_figures(heat, masks), "controls", "random_map")


def redrawn_columns(redrawn: Maps, masks: Tensor) -> Columns:
    """Localisation of the maps that the classifier drawn anew gives.

    Args:
        redrawn: these maps of N images.
        masks: lesions, bool ``[N, H, W]``.
    """
    columns: Columns = {}
    for method, heat in redrawn.heat.items():
        found = localization_figures(heat, masks)
        columns |= placed(found, "controls", "random_classifier", method)
    return columns


def random_direction(latent: Latent, normal: Tensor) -> Latent:
    """Move codes as far as from z2 to 0, but anywhere in the joint code (z1, z2).

    Args:
        latent: codes of N images.
        normal: standard normal numbers ``[N, d1 + d2]``: their direction is taken.

    >>> latent = Latent(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    >>> moved = random_direction(latent, torch.tensor([[2.0, 0.0, 0.0, 0.0]]))
    >>> moved.z1, moved.z2
    (tensor([[5., 0.]]), tensor([[3., 4.]]))
    """
    step = _length(latent.z2) * torch.nn.functional.normalize(normal, dim=1)
    sizes = [latent.z1.shape[1], latent.z2.shape[1]]
    on_structure, on_pathology = step.split(sizes, dim=1)
    return Latent(latent.z1 + on_structure, latent.z2 + on_pathology)


def random_pathology(latent: Latent, normal: Tensor) -> Latent:
    """Move z2 as far as to 0, but in any direction; z1 stays.

    Args:
        latent: codes of N images.
        normal: standard normal numbers ``[N, d2]``: their direction is taken.

    >>> latent = Latent(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    >>> moved = random_pathology(latent, torch.tensor([[0.0, 2.0]]))
    >>> moved.z1, moved.z2
    (tensor([[0., 0.]]), tensor([[3., 9.]]))
    """
    step = _length(latent.z2) * torch.nn.functional.normalize(normal, dim=1)
    return Latent(latent.z1, latent.z2 + step)


def _length(codes: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(codes, dim=1, keepdim=True)
    return length


def _random_changes(
    task: Task, rows: Rows, explained: Explained
) -> dict[str, tuple[Tensor, Tensor]]:
    """Where each change of our reconstruction by a random step begins and ends."""
    latent = explained.latent
    sizes = latent.z1.shape[1], latent.z2.shape[1]
    anywhere = drawn_for(rows, (sum(sizes),), "random direction", task.seed).to(latent.z1)
    on_pathology = drawn_for(rows, (sizes[1],), "random pathology", task.seed).to(latent.z1)
    moved = {
        "random_direction": random_direction(latent, anywhere),
        "random_pathology": random_pathology(latent, on_pathology),
    }
    with torch.no_grad():
        return {
            name: (explained.reconstruction, task.explainer.generator(codes.z1, codes.z2))
            for name, codes in moved.items()
        }


def _untrained_change(untrained: Explainer, images: Tensor) -> tuple[Tensor, Tensor]:
    """The reconstruction and the negative of a generator and an encoder that learnt nothing."""
    latent = untrained.encode(images)
    with torch.no_grad():
        start = untrained.generator(latent.z1, latent.z2)
        end = untrained.generator(latent.z1, torch.zeros_like(latent.z2))
    return start, end


def _change_columns(
    task: Task, explained: Explained, before: Tensor, masks: Tensor, start: Tensor, end: Tensor
) -> Columns:
    """Does the change from ``start`` to ``end`` flip the answer, and where is it?"""
    transferred = transfer(explained.images, start, end)
    at_start, at_end, on_original = (
        scores.evaluate(task.score, images) for images in (start, end, transferred)
    )
    found = (
        flipped(before, at_end),
        crossed(before, at_start, at_end),
        flipped(before, on_original),
    )
    figures: Columns = {(name,): values for name, values in zip(CHANGE_FIGURES, found, strict=True)}
    return figures | localization_figures(evidence(start - end).cpu(), masks)
