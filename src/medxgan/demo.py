"""``medxgan demo``: fresh phantoms for a shipped bundle to explain."""

import numpy as np
import torch

from medxgan.data import Inputs
from medxgan.data.intensity import to_signed
from medxgan.data.phantom import make_phantoms
from medxgan.data.phantom_files import subject_names

BUNDLE = "brain-phantom"
POSITIVES, NEGATIVES = 8, 4
DRAWN = 64


def demo_inputs(size: int, seed: int) -> Inputs:
    """Eight brain phantoms with a lesion, its mask known, and four without.

    Args:
        size: height and width, pixels, 32 to 256.
        seed: same seed, same subjects.

    Raises:
        ConfigError: the size is out of range.

    >>> inputs = demo_inputs(32, seed=5)
    >>> tuple(inputs.images.shape), sum(inputs.labels), [mask is None for mask in inputs.masks[7:9]]
    ((12, 1, 32, 32), 8, [False, True])
    """
    phantoms = make_phantoms("brain", DRAWN, size=size, seed=seed)
    lesions, healthy = (np.flatnonzero(phantoms.labels == label) for label in (1, 0))
    rows = np.concatenate([lesions[:POSITIVES], healthy[:NEGATIVES]])
    return Inputs(
        images=to_signed(phantoms.images[rows][:, None], (0, 255)),
        names=subject_names("brain", seed, DRAWN)[rows].tolist(),
        masks=[
            torch.from_numpy(phantoms.masks[row]) if phantoms.labels[row] else None for row in rows
        ],
        labels=phantoms.labels[rows].tolist(),
        notes=(),
    )
