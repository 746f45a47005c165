"""The order of frames and files: along the normal of their planes, as they lie in the patient."""

from collections.abc import Sequence

import numpy as np

from medxgan.data.dicom_header import Frames, Place

DEPTH_DIGITS = 3
"""Positions are compared to a thousandth of a millimetre: they come with rounding errors."""
SAME_DIRECTION = 1e-3


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
