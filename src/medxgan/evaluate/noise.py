"""Do the maps stay where they are when the image is a little noisy?"""

from torch import Tensor

from medxgan.evaluate.columns import Columns, Rows
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.explained import Explained, explain_positives
from medxgan.evaluate.maps import Maps, make_maps
from medxgan.evaluate.task import Task
from medxgan.metrics.localization import iou_at_area
from medxgan.metrics.stability import overlap_kept, rank_robustness

SIGMAS = (0.05, 0.1, 0.2)
FIGURES = ("spearman", "iou_ratio")


def noise_columns(
    task: Task, rows: Rows, explained: Explained, maps: Maps, masks: Tensor
) -> Columns:
    """Compare each map with that of the same image under noise, everything computed anew.

    The encoder sees the noisy image, and so does the classifier, which may call it negative: then
    there is no film, and a map made of it is empty. Maps that fail under noise get 0; those that
    had failed before overlap with nothing that could be kept.

    Args:
        task: what is measured.
        rows: N images of the data set.
        explained: without noise.
        maps: without noise.
        masks: lesions, bool ``[N, H, W]``.
    """
    images = explained.images
    noise = drawn_for(rows, tuple(images.shape[1:]), "noise", task.seed).to(images)
    columns: Columns = {}
    for sigma in SIGMAS:
        disturbed = (images + sigma * noise).clamp(-1, 1)
        found = make_maps(task, explain_positives(task.explainer, disturbed, task.steps))
        for method, clean in maps.heat.items():
            place, failed = ("noise_robustness", method), maps.failed[method] | found.failed[method]
            similarity = rank_robustness(clean, found.heat[method]).masked_fill(failed, 0)
            kept = overlap_kept(*(_overlap(each, method, masks) for each in (maps, found)))
            columns[*place, "spearman", str(sigma)] = similarity
            columns[*place, "iou_ratio", str(sigma)] = kept
    return columns


def _overlap(maps: Maps, method: str, masks: Tensor) -> Tensor:
    """IoU of each map with its lesion, ``[N]``; 0 for maps that failed."""
    return iou_at_area(maps.heat[method], masks).masked_fill(maps.failed[method], 0)
