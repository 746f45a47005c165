"""What a reader of the figures must be told."""

from collections.abc import Sequence

FEWEST = 10


def notes_on(groups: Sequence[str]) -> list[str]:
    """A sentence where the intervals mean little.

    Args:
        groups: patient of each image that the classifier calls positive.

    >>> notes_on(["a"] * 4)
    ['only 4 images are called positive: intervals from fewer than 10 images mean little']
    >>> notes_on(["a"] * 40)
    ['the 40 images called positive come from 1 patient or group: intervals from fewer than 10 \
mean little']
    >>> notes_on([str(patient) for patient in range(10)])
    []
    """
    images, patients = len(groups), len(set(groups))
    if images < FEWEST:
        return [
            f"only {images} image{'s are' if images != 1 else ' is'} called positive: intervals "
            f"from fewer than {FEWEST} images mean little"
        ]
    if patients < FEWEST:
        return [
            f"the {images} images called positive come from {patients} "
            f"patient{'s or groups' if patients != 1 else ' or group'}: intervals from fewer than "
            f"{FEWEST} mean little"
        ]
    return []
