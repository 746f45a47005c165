"""Controls: changes and maps that know nothing, measured like ours. Each of them can win."""

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
from medxgan.metrics.counterfactual import flipped
from medxgan.metrics.localization import evidence
from medxgan.types import Latent

CHANGES = ("random_direction", "untrained_generator")
"""Controls that change the image as ours does, and have a difference map."""

VALIDITIES = ("validity", "transfer_validity")


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
    moved = _moved_at_random(task, rows, explained)
    columns = placed(
        _change_columns(task, explained, before, masks, explained.reconstruction, moved),
        "controls",
        "random_direction",
    )
    if task.untrained is not None:
        latent = task.untrained.encode(explained.images)
        with torch.no_grad():
            start = task.untrained.generator(latent.z1, latent.z2)
            end = task.untrained.generator(latent.z1, torch.zeros_like(latent.z2))
        columns |= placed(
            _change_columns(task, explained, before, masks, start, end),
            "controls",
            "untrained_generator",
        )
    shape = (task.data.size, task.data.size)
    heat = drawn_for(rows, shape, "random map", task.seed, torch.rand)
    return columns | placed(localization_figures(heat, masks), "controls", "random_map")


def redrawn_columns(redrawn: Maps, masks: Tensor) -> Columns:
    """Localisation of the maps that the classifier drawn anew gives, raw.

    Args:
        redrawn: these maps of N images.
        masks: lesions, bool ``[N, H, W]``.
    """
    return {
        ("controls", "random_classifier", method, section, name): values
        for method, heat in redrawn.heat.items()
        for (section, name), values in localization_figures(heat, masks).items()
        if section == "localization"
    }


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
    length = torch.linalg.vector_norm(latent.z2, dim=1, keepdim=True)
    step = length * torch.nn.functional.normalize(normal, dim=1)
    sizes = [latent.z1.shape[1], latent.z2.shape[1]]
    on_structure, on_pathology = step.split(sizes, dim=1)
    return Latent(latent.z1 + on_structure, latent.z2 + on_pathology)


def _moved_at_random(task: Task, rows: Rows, explained: Explained) -> Tensor:
    latent = explained.latent
    size = latent.z1.shape[1] + latent.z2.shape[1]
    normal = drawn_for(rows, (size,), "random direction", task.seed).to(latent.z1)
    moved = random_direction(latent, normal)
    with torch.no_grad():
        images: Tensor = task.explainer.generator(moved.z1, moved.z2)
    return images


def _change_columns(
    task: Task, explained: Explained, before: Tensor, masks: Tensor, start: Tensor, end: Tensor
) -> Columns:
    """Validity of the change from ``start`` to ``end``, and where it changes the image."""
    transferred = transfer(explained.images, start, end)
    validity: Columns = {
        (name,): flipped(before, scores.evaluate(task.score, images))
        for name, images in zip(VALIDITIES, (end, transferred), strict=True)
    }
    return validity | localization_figures(evidence(start - end).cpu(), masks)
