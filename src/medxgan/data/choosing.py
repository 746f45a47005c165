"""Which images of a data set a command looks at, where the user does not say."""

from dataclasses import replace
from typing import cast

from medxgan.data.dataset import Dataset, SplitName
from medxgan.data.labels import UNLABELLED
from medxgan.data.split import SPLIT_NAMES


def choose_images(opened: Dataset, split: str | None, *, labelled: bool) -> tuple[Dataset, str]:
    """The images of a split, and its name: the test images by default, all where there are none.

    Args:
        opened: a whole data set.
        split: name of a split, or None.
        labelled: leave out unlabelled images, unless no image at all is labelled; a note says how
            many.

    Raises:
        DataError: there is no such split, or it is empty.

    >>> import numpy as np
    >>> from medxgan.data import build_dataset
    >>> pixels = np.arange(3 * 64, dtype=np.uint8).reshape(3, 1, 8, 8)
    >>> opened = build_dataset(pixels, labels=[0, 1, -1], split=[0, 2, 2])
    >>> images, name = choose_images(opened, None, labelled=True)
    >>> len(images), name, images.notes[-1]
    (1, 'test', '1 of 2 images are unlabelled and left out')
    """
    default = "test" if (opened.split == SPLIT_NAMES.index("test")).any() else "all"
    name = cast(SplitName, split or default)  # select refuses all others
    every = opened.select(name, labelled=False)
    if not labelled or (opened.labels == UNLABELLED).all():
        return every, name
    images = every.select("all")
    left_out = len(every) - len(images)
    note = f"{left_out} of {len(every)} images are unlabelled and left out"
    return (replace(images, notes=(*images.notes, note)) if left_out else images), name
