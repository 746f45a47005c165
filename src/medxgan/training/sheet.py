"""Sample sheets: rows of images as one PNG, to watch a run."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from medxgan.atomic import atomic_file


def save_sheet(path: Path, rows: list[Tensor]) -> None:
    """Write rows of images ``[n, C, H, W]`` in [-1, 1] (clipped) as a PNG, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [torch.cat(list(row.detach().float().cpu()), dim=2) for row in rows]
    sheet = torch.cat(lines, dim=1).clamp(-1, 1)
    pixels = ((sheet + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    with atomic_file(path) as file:
        picture.save(file, format="PNG")
