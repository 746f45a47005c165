"""What the numbers of a map mean, in words and as codes of the DICOM standard."""

from typing import NamedTuple

from medxgan.report.wording import METHOD_LABELS, METHOD_NOTES
from medxgan.types import ClassifierSpec

DIFFERENCE = "difference"
DIFFERENCE_NOTE = "Positive minus negative image: what makes the image positive."
NO_UNITS = ("1", "UCUM", "no units")
ARBITRARY = ("[arb'U]", "UCUM", "arbitrary unit")
SCORED = ("lig", "lig-transferred", "ig")
"""Methods whose map sums to a change of the score."""


class MapUnit(NamedTuple):
    """What one unit of a map is.

    Attributes:
        words: for people, at most 64 characters.
        code: value, scheme and meaning of the unit in UCUM.
    """

    words: str
    code: tuple[str, str, str]


def map_label(method: str) -> str:
    """How a map is called.

    >>> map_label("difference"), map_label("lig")
    ('Difference', 'LIG')
    """
    return METHOD_LABELS.get(method, method.capitalize())


def map_note(method: str) -> str:
    """One sentence on how to read a map.

    >>> map_note("grad-cam")
    "Class activation map of the classifier's last convolution; coarse, in arbitrary units."
    """
    if method == DIFFERENCE:
        return DIFFERENCE_NOTE
    return METHOD_NOTES.get(method, "Evidence in the units of this method.")


def map_unit(method: str, spec: ClassifierSpec | None = None) -> MapUnit:
    """The unit of a map; evidence is a share of the score, see ``ClassifierSpec.score``.

    >>> map_unit("difference").words, map_unit("lig").words
    ('intensity, black to white = 2', 'probability per classifier pixel')
    >>> grade = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> map_unit("occlusion", grade).words
    'share of the range 0 to 4'
    """
    scale = None if spec is None else spec.value_scale
    score = (
        "probability" if scale is None else f"share of the range {scale.low:g} to {scale.high:g}"
    )
    if method == DIFFERENCE:
        return MapUnit("intensity, black to white = 2", NO_UNITS)
    if method in SCORED:
        return MapUnit(f"{score} per classifier pixel", NO_UNITS)
    if method == "occlusion":
        return MapUnit(score, NO_UNITS)
    return MapUnit("arbitrary units", ARBITRARY)
