"""The order of frames and files: along the normal of their planes, as they lie in the patient."""

from collections.abc import Sequence

import numpy as np

from medxgan.data.dicom_header import Frames, Place
from medxgan.errors import DataError

DEPTH_DIGITS = 3
"""Positions are compared to a thousandth of a millimetre: they come with rounding errors."""
SAME_DIRECTION = 1e-3
SAME_POSITION = 0.1
"""So far from its image a mask may lie, mm."""


def frame_order(frames: Frames) -> list[int]:
    """The frames along their normal, where all are placed and lie parallel; else as stored."""
    depths = depths_along_normal([frames.place(index) for index in range(frames.count)])
    every = list(range(frames.count))
    return every if depths is None else sorted(every, key=depths.__getitem__)


def depths_along_normal(places: Sequence[Place | None]) -> list[float] | None:
    """How far each plane ``[N]`` lies along the normal of the first, mm.

    The normal is the cross product of the directions of rows and columns (PS3.3 C.7.6.2.1.1), so
    that axial slices of a patient on the back come from the feet up.

    Returns:
        None where a plane has no place, or is not parallel to the first.

    >>> def axial(z: float) -> Place:
    ...     return Place(np.array([0, 0, z]), np.array([1, 0, 0]), np.array([0, 1, 0]))
    >>> depths_along_normal([axial(5), axial(-2.5)])
    [5.0, -2.5]
    >>> depths_along_normal([axial(5), None]) is None
    True
    """
    known = [place for place in places if place is not None]
    if not known or len(known) < len(places):
        return None
    first = known[0]
    for place in known:
        turned = max(abs(place.row - first.row).max(), abs(place.column - first.column).max())
        if turned > SAME_DIRECTION:
            return None
    normal = np.cross(first.row, first.column)
    return [round(float(place.position @ normal), DEPTH_DIGITS) for place in known]


def at_the_same_places(planes: Sequence[Place | None], others: Sequence[Place | None]) -> list[int]:
    """Index of the other plane ``[N]`` that lies where each plane ``[N]`` does.

    Where a place is not known, or several planes lie at one, the n-th goes with the n-th.

    Raises:
        DataError: both are known and none of the others lies there.

    >>> def axial(z: float) -> Place:
    ...     return Place(np.array([0, 0, z]), np.array([1, 0, 0]), np.array([0, 1, 0]))
    >>> at_the_same_places([axial(0), axial(5)], [axial(5), axial(0)])
    [1, 0]
    """
    every = list(range(len(planes)))
    known, there = ([place for place in side if place is not None] for side in (planes, others))
    if len(known) < len(planes) or len(there) < len(others):
        return every
    depths, other_depths = depths_along_normal(known), depths_along_normal(there)
    found = every.copy()
    if depths is not None and other_depths is not None:
        ordered = sorted(every, key=other_depths.__getitem__)
        for index, other in zip(sorted(every, key=depths.__getitem__), ordered, strict=True):
            found[index] = other
    for index, other in enumerate(found):
        if not _same_place(known[index], there[other]):
            raise DataError(
                f"none of its {len(others)} frame(s) lies in the patient where frame {index + 1} "
                "of its image does; give a mask of the same planes"
            )
    return found


def _same_place(plane: Place, other: Place) -> bool:
    turned = max(abs(plane.row - other.row).max(), abs(plane.column - other.column).max())
    apart = float(np.linalg.norm(plane.position - other.position))
    return bool(turned <= SAME_DIRECTION and apart <= SAME_POSITION)
