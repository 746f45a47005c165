"""What of an explanation is shown, in which order, under which name, and where its numbers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from medxgan.errors import DataError
from medxgan.viewer.arrays import Floats, Shape
from medxgan.viewer.facts import Facts

Kind = Literal["intensity", "difference", "evidence", "mask"]

FIRST_METHODS = {"lig": "LIG", "grad-cam": "Grad-CAM", "ig": "IG"}
FURTHER_METHODS = {
    "lig-transferred": "LIG, transferred",
    "lig-published": "LIG, as published",
    "occlusion": "Occlusion",
}
PICTURES = {
    "original": ("Original", "image"),
    "reconstruction": ("Reconstruction", "reconstruction"),
    "counterfactual": ("Counterfactual", "counterfactual"),
    "transferred": ("Transferred", "transferred"),
}
"""Pane -> label and name of the array."""
DIFFERENCE, MASK, FRAMES, ATTRIBUTION = "difference", "mask", "frames", "attribution-"
IMAGE_ENDINGS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
IMAGES = frozenset({*(array for _, array in PICTURES.values()), FRAMES, "alternatives"})
"""Arrays of intensities, in [-1, 1], which must be finite."""


@dataclass(frozen=True)
class Pane:
    """One picture of an explanation.

    Attributes:
        id: in addresses.
        label: for people.
        kind: how its numbers become colours.
        array: name of its numbers.
        scale: end of the zero-centred colour scale of a map; None for others.
    """

    id: str
    label: str
    kind: Kind
    array: str
    scale: float | None = None


class Shown(Protocol):
    """An explanation that can be shown: a saved one, or an opened image's."""

    @property
    def id(self) -> str:
        """Opaque; the same for the same explanation whenever it is opened."""
        ...

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        ...

    @property
    def content(self) -> Mapping[str, Any]:
        """All that ``explanation.json`` holds."""
        ...

    def shapes(self) -> Mapping[str, Shape]:
        """Name -> shape of every array."""
        ...

    def array(self, name: str) -> Floats:
        """One array as float32."""
        ...


def panes_of(facts: Facts, arrays: Mapping[str, Shape]) -> list[Pane]:
    """The panes that an explanation has, in the order in which they are shown.

    Args:
        facts: its methods and colour scales.
        arrays: name -> shape; a pane without its array is left out.
    """
    scales = facts.colour_scales
    methods = [
        *(name for name in FIRST_METHODS if name in facts.methods),
        *(name for name in facts.methods if name not in FIRST_METHODS and name != DIFFERENCE),
    ]
    labels = FIRST_METHODS | FURTHER_METHODS
    panes = [
        *(Pane(id, label, "intensity", array) for id, (label, array) in PICTURES.items()),
        Pane(DIFFERENCE, "Difference", "difference", DIFFERENCE, scales.get(DIFFERENCE, 1.0)),
        *(
            Pane(
                name,
                labels.get(name, name),
                "evidence",
                f"{ATTRIBUTION}{name}",
                scales.get(name, 1.0),
            )
            for name in methods
        ),
        Pane(MASK, "Mask", "mask", MASK),
    ]
    return [pane for pane in panes if pane.array in arrays]


def check_arrays(facts: Facts, arrays: Mapping[str, Shape]) -> None:
    """Make sure that an explanation's arrays are there and fit one another.

    Raises:
        DataError: a picture or the film is missing, or differs in shape from the original.
    """
    missing = [name for name in (*_pictures(), FRAMES, DIFFERENCE) if name not in arrays]
    if missing:
        raise DataError(
            f"'{facts.name}' lacks the arrays {', '.join(missing)}; explain the image again"
        )
    image = arrays["image"]
    if len(image) != 3 or image[0] not in (1, 3) or 0 in image:
        raise DataError(
            f"the image of '{facts.name}' should be [C, H, W] with C of 1 or 3, got {list(image)}"
        )
    if not facts.strengths:
        raise DataError(f"the film of '{facts.name}' has no frames; explain the image again")
    expected = {
        **dict.fromkeys((*_pictures(), DIFFERENCE), image),
        **{name: image for name in arrays if name.startswith(ATTRIBUTION)},
        FRAMES: (len(facts.strengths), *image),
        MASK: image[1:],
    }
    for name, shape in expected.items():
        if name in arrays and arrays[name] != shape:
            raise DataError(
                f"'{name}' of '{facts.name}' should have the shape {list(shape)}, "
                f"got {list(arrays[name])}; explain the image again"
            )


def document(shown: Shown, address: str) -> dict[str, Any]:
    """All that the page needs of an explanation but the numbers themselves.

    Args:
        shown: the explanation.
        address: below which its arrays are.

    Raises:
        DataError: its arrays are missing, damaged, or do not fit one another.
    """
    facts, arrays = shown.facts, shown.shapes()
    check_arrays(facts, arrays)
    image = arrays["image"]
    content = {key: value for key, value in shown.content.items() if key != "files"}
    return content | {
        "id": shown.id,
        "stem": file_stem(facts.name),
        "panes": [
            {
                "id": pane.id,
                "label": pane.label,
                "kind": pane.kind,
                "array": f"{address}/arrays/{pane.array}",
                "scale": pane.scale,
                "shape": [1, *image[1:]] if pane.kind == "mask" else list(arrays[pane.array]),
            }
            for pane in panes_of(facts, arrays)
        ],
        "frames": {"array": f"{address}/arrays/{FRAMES}", "shape": list(arrays[FRAMES])},
        "spacing": None if facts.spacing is None else list(facts.spacing),
    }


def file_stem(name: str) -> str:
    """What files made of an image are called: its name without the ending of its own file.

    >>> file_stem("scan.NII.gz"), file_stem("1.2.840"), file_stem(".png")
    ('scan', '1.2.840', '.png')
    """
    ending = next((end for end in IMAGE_ENDINGS if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)] or name


def find_pane(shown: Shown, id: str) -> Pane | None:
    """The pane of that name, where the explanation has it."""
    return next((pane for pane in panes_of(shown.facts, shown.shapes()) if pane.id == id), None)


def _pictures() -> list[str]:
    return [array for _, array in PICTURES.values()]
