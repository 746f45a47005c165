"""Do the maps point at the lesion?"""

from torch import Tensor

from medxgan.evaluate.columns import Columns
from medxgan.evaluate.maps import Maps
from medxgan.metrics.localization import (
    average_precision,
    concentration,
    dice_at_area,
    iou_at_area,
    pointing_game,
)
from medxgan.metrics.smoothing import smooth

LOCALIZATION = {
    "iou": iou_at_area,
    "pointing": pointing_game,
    "average_precision": average_precision,
    "concentration": concentration,
    "dice": dice_at_area,
}
SECTIONS = ("localization", "localization_smoothed")


def localization_columns(maps: Maps, masks: Tensor) -> Columns:
    """All figures of all methods, raw and smoothed; 0 for maps that failed.

    Args:
        maps: of N images.
        masks: lesions, bool ``[N, H, W]``; NaN for images where it is empty.
    """
    columns: Columns = {}
    for method, heatmap in maps.heat.items():
        wrong = maps.failed[method] & masks.flatten(1).any(dim=1)
        for (section, name), values in localization_figures(heatmap, masks).items():
            columns[section, method, name] = values.masked_fill(wrong, 0)
    return columns


def localization_figures(heatmap: Tensor, masks: Tensor) -> Columns:
    """All figures of one heatmap, raw and after the one smoothing common to all methods.

    Args:
        heatmap: evidence without sign ``[N, H, W]``.
        masks: lesions, bool ``[N, H, W]``.

    >>> import torch
    >>> heatmap = torch.tensor([[[0.0, 9.0], [1.0, 2.0]]])
    >>> localization_figures(heatmap, heatmap > 5)["localization", "pointing"]
    tensor([1.])
    """
    variants = zip(SECTIONS, (heatmap, smooth(heatmap)), strict=True)
    return {
        (section, name): figure(values, masks)
        for section, values in variants
        for name, figure in LOCALIZATION.items()
    }
