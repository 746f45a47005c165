"""Pictures of a cohort: maps of how much and how often, with places outlined and numbered."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from PIL import Image
from torch import Tensor

from medxgan.report.audit_labels import Spot, label_spots
from medxgan.report.figures import Bytes, intensity_picture
from medxgan.report.wording import scale_text

AmountColours = Literal["magma", "viridis"]
HOW_MUCH: AmountColours = "magma"
HOW_OFTEN: AmountColours = "viridis"
NOT_FINITE = (150, 150, 150)
DOTS_AN_INCH = 110
LOUD = ("suspicious", "recurring")


@dataclass(frozen=True)
class Outlined:
    """A place to outline: its number, its kind (``suspicious`` ...), and its pixels ``[H, W]``."""

    number: int
    kind: str
    pixels: Tensor


CASING: list[AbstractPathEffect] = [withStroke(linewidth=2.6, foreground="black")]
"""A dark edge, without which no line is seen on every image."""
OUTLINES = {"suspicious": "#ff4d3d", "recurring": "#ffb000", "spread": "#ffffff"}


def amount_table(colours: AmountColours) -> Bytes:
    """256 RGB colours: 0 is nothing, 254 the end of the scale, 255 not finite.

    >>> amount_table("viridis").shape
    (256, 3)
    """
    table = matplotlib.colormaps[colours].resampled(255)(np.arange(255), bytes=True)[:, :3]
    return np.vstack([table, np.array([NOT_FINITE])]).astype(np.uint8)


def amount_picture(values: Tensor, end: float, colours: AmountColours) -> Image.Image:
    """Map of amounts ``[H, W]``, 0 to ``end``, as an opaque palette picture.

    >>> import torch
    >>> list(amount_picture(torch.tensor([[0.0, 0.5, 2.0]]), 1.0, "magma").tobytes())
    [0, 127, 254]
    """
    array = values.detach().cpu().double().numpy()
    finite = np.isfinite(array)
    share = np.clip(np.where(finite, array, 0.0) / (end or 1.0), 0.0, 1.0)
    picture = Image.fromarray(np.where(finite, np.rint(254 * share), 255).astype(np.uint8))
    picture.putpalette(amount_table(colours).tobytes())
    return picture


def places_figure(
    mean_image: Tensor, mean: Tensor, share: Tensor, places: Sequence[Outlined], title: str
) -> bytes:
    """PNG of three panels: mean image, mean evidence, and touch share with places outlined.

    Args:
        mean_image: of the explained images ``[C, H, W]`` in [-1, 1].
        mean: evidence ``[H, W]``.
        share: of the explanations that touch a pixel ``[H, W]``, in [0, 1].
        places: to outline.
        title: of the figure.
    """
    figure = Figure((11.5, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(1, 3)
    axes[0].imshow(intensity_picture(mean_image), cmap="gray", vmin=0, vmax=255)
    axes[0].set_title("mean of the explained images", fontsize=10)
    for axis, values, end, colours, name in (
        (axes[1], mean, float(mean.max()) or 1.0, HOW_MUCH, "mean evidence (absolute)"),
        (
            axes[2],
            share,
            float(share.max()) or 1.0,
            HOW_OFTEN,
            "share of explanations that touch a place",
        ),
    ):
        table: Any = ListedColormap(amount_table(colours)[:255] / 255.0)
        shown = axis.imshow(values.numpy(), cmap=table, vmin=0.0, vmax=end)
        axis.set_title(name, fontsize=10)
        bar = figure.colorbar(shown, ax=axis, shrink=0.85)
        bar.ax.tick_params(labelsize=8)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.autoscale(False)
    spots = label_spots([place.pixels for place in places])
    for place, spot in zip(places, spots, strict=True):
        _outline(axes[2], place, spot)
        if place.kind in LOUD:
            _outline(axes[0], place, spot)
    if any(place.kind not in LOUD for place in places):
        axes[2].set_xlabel("dotted: spread, not a finding", fontsize=9)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_AN_INCH, metadata={"Software": None})
    return buffer.getvalue()


def end_text(values: Tensor) -> str:
    """The end of the colour bar of a map of amounts.

    >>> import torch
    >>> end_text(torch.tensor([0.0, 0.25]))
    '0.25'
    """
    return scale_text(float(values.max()) or 1.0)


def _outline(axis: Axes, place: Outlined, spot: Spot) -> None:
    height, width = place.pixels.shape
    # Each pixel becomes a square of its own, so that the line follows the pixels' edges.
    fine = place.pixels.numpy().repeat(8, axis=0).repeat(8, axis=1)
    padded = np.pad(fine, 1).astype(float)
    across = (np.arange(width * 8 + 2) - 0.5) / 8 - 0.5
    down = (np.arange(height * 8 + 2) - 0.5) / 8 - 0.5
    colour = OUTLINES[place.kind]
    style = "solid" if place.kind in LOUD else "dotted"
    line = axis.contour(
        across, down, padded, levels=[0.5], colors=[colour], linewidths=1.4, linestyles=style
    )
    line.set_path_effects(CASING)
    # The axis counts from the middle of a pixel, spots from its corner.
    axis.text(
        spot[0] - 0.5,
        spot[1] - 0.5,
        str(place.number),
        color=colour,
        fontsize=10,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=CASING,
    )
