"""A map as a DICOM object beside the frame that it explains: Parametric Map, Secondary Capture."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from medxgan.data.dicom_header import MAP_MANUFACTURER
from medxgan.errors import MissingPackageError
from medxgan.report.dicom_legend import captioned_map
from medxgan.report.dicom_source import SourceFrame, code_item
from medxgan.report.figures import ColourMap
from medxgan.report.map_units import MapUnit

Kind = Literal["parametric-map", "secondary-capture"]

WARNING = "Not for clinical use"
CONTENT_LABEL = "NOT FOR CLINICAL"
"""As much of it as a label holds: capitals, at most 16 characters."""
LONG_STRING, SHORT_TEXT, LONG_TEXT = 63, 1023, 10239
"""Most characters of DICOM's LO, ST and LT, less one: some readers count the padding."""
WORKSTATION = "WSD"


@dataclass(frozen=True)
class DerivedMap:
    """A map on the pixels of its source, and what is said of it.

    Attributes:
        values: ``[rows, columns]`` float32.
        scale: value at the ends of the colour scale.
        colours: colour map.
        label: how the map is called, at most 40 characters.
        unit: of the values.
        is_difference: a difference of images rather than evidence?
        derivation: how it was made: method, bundle, model, version.
        comments: how to read it, and how far to trust it.
        caption: lines that are burnt into a picture of it.
        bundle: name of the bundle that made it.
        fingerprint: of the explained model.
        version: of this program.
    """

    values: NDArray[np.float32]
    scale: float
    colours: ColourMap
    label: str
    unit: MapUnit
    is_difference: bool
    derivation: str
    comments: str
    caption: tuple[str, ...]
    bundle: str
    fingerprint: str
    version: str


@dataclass(frozen=True)
class Identifiers:
    """What tells a new object from others; its own identifier is made when it is."""

    series_uid: str
    series_number: int
    instance_number: int


def load_highdicom() -> Any:
    """The package that writes DICOM objects.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import highdicom
        import highdicom.pm
        import highdicom.sc
    except ImportError as fault:
        raise MissingPackageError(
            "maps as DICOM objects need highdicom; pip install 'medxgan[dicom-out]'"
        ) from fault
    return highdicom


def make_object(kind: Kind, made: DerivedMap, source: SourceFrame, ids: Identifiers) -> Dataset:
    """A map as a DICOM object, ready to be written.

    Raises:
        MissingPackageError: highdicom is not installed.
        ValueError, TypeError, ...: what highdicom raises where the source's elements are invalid.
    """
    build = {"parametric-map": parametric_map, "secondary-capture": secondary_capture}[kind]
    written = build(made, source, ids)
    written.update(source.identity())
    written.ImageComments = text(made.comments, LONG_TEXT)
    written.DerivationDescription = text(made.derivation, SHORT_TEXT)
    written.DerivationCodeSequence = [code_item(*_derivation(made)[:3])]
    written.SourceImageSequence = [source.source_image()]
    written.ReferencedSeriesSequence = [source.series_reference()]
    return written


def parametric_map(made: DerivedMap, source: SourceFrame, ids: Identifiers) -> Dataset:
    """The values themselves, float32, with their unit."""
    highdicom = load_highdicom()
    saliency = None if made.is_difference else codes.DCM.Saliency
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=made.label[:16],
        lut_explanation=text(made.unit.words),
        unit=Code(*made.unit.code),
        value_range=(float(made.values.min()), float(made.values.max())),
        quantity_definition=saliency,
    )
    window = highdicom.VOILUTTransformation(
        window_center=0.0,
        window_width=2 * made.scale,
        voi_lut_function="LINEAR_EXACT",  # LINEAR, the default, takes no width below 1
    )
    features = source.header.get("RecognizableVisualFeatures") == "YES"
    written: Dataset = highdicom.pm.ParametricMap(
        [source.stand_in()],
        made.values,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        contains_recognizable_visual_features=features,
        content_label=CONTENT_LABEL,
        content_description=_description(made),
        derivation=_derivation(made),
        **_equipment(made, ids),
    )
    if not source.placed:
        _take_out_place(written, source)
    if "PixelAspectRatio" in source.plane:
        written.PixelAspectRatio = source.plane.PixelAspectRatio
    (shared,) = written.SharedFunctionalGroupsSequence
    for measures in shared.get("PixelMeasuresSequence") or ():
        measures.pop("SpacingBetweenSlices", None)  # highdicom's guess: there is one slice
    (frame,) = written.PerFrameFunctionalGroupsSequence
    (derivation,) = frame.DerivationImageSequence
    derivation.DerivationDescription = text(made.derivation, SHORT_TEXT)
    derivation.SourceImageSequence = [source.source_image()]
    return written


def _take_out_place(written: Dataset, source: SourceFrame) -> None:
    """Leave of a Parametric Map's place what its source knows; its frame is found by a label."""
    (shared,) = written.SharedFunctionalGroupsSequence
    (frame,) = written.PerFrameFunctionalGroupsSequence
    del shared.PlaneOrientationSequence, frame.PlanePositionSequence
    if "PixelSpacing" not in source.plane:
        del shared.PixelMeasuresSequence
    frame.FrameContentSequence[0].FrameLabel = "1"
    (index,) = written.DimensionIndexSequence
    index.DimensionIndexPointer = tag_for_keyword("FrameLabel")
    index.FunctionalGroupPointer = tag_for_keyword("FrameContentSequence")
    index.DimensionDescriptionLabel = "Frame Label"


def secondary_capture(made: DerivedMap, source: SourceFrame, ids: Identifiers) -> Dataset:
    """A picture of the values in colours, with its legend under it."""
    highdicom = load_highdicom()
    pixels = captioned_map(
        made.values,
        made.scale,
        made.colours,
        above=(WARNING.upper(), *made.caption[:1]),
        below=(made.unit.words, *made.caption[1:]),
    )
    written: Dataset = highdicom.sc.SCImage(
        pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # replaced below by what is known
        study_instance_uid=source.header.StudyInstanceUID,
        **_equipment(made, ids),
    )
    written.PatientOrientation = _patient_orientation(source)
    written.ConversionType = WORKSTATION
    written.BurnedInAnnotation = "YES"
    written.update(source.plane)
    return written


def text(words: str, most: int = LONG_STRING) -> str:
    """Words as an element may hold them: no control characters, no separator of values, no longer.

    >>> text("a\\\\b\\n c"), text("x" * 70)[-3:], len(text("x" * 70))
    ('a/b c', '...', 63)
    """
    printable = "".join(sign if sign.isprintable() else " " for sign in words)
    plain = " ".join(printable.replace("\\", "/").split())
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def _equipment(made: DerivedMap, ids: Identifiers) -> dict[str, Any]:
    return {
        "series_instance_uid": ids.series_uid,
        "series_number": ids.series_number,
        "series_description": _description(made),
        "sop_instance_uid": generate_uid(),
        "instance_number": ids.instance_number,
        "manufacturer": MAP_MANUFACTURER,
        "manufacturer_model_name": text(made.bundle),
        "device_serial_number": text(made.fingerprint),
        "software_versions": text(made.version),
    }


def _description(made: DerivedMap) -> str:
    return text(f"{WARNING}: {made.label}")


def _derivation(made: DerivedMap) -> Code:
    name = "PixelByPixelSubtraction" if made.is_difference else "UnspecifiedMethodOfCalculation"
    code: Code = getattr(codes.DCM, name)
    return code


def _patient_orientation(source: SourceFrame) -> list[str] | None:
    """Where rows and columns lead to: as the source says it, else by its strongest component."""
    said = source.header.get("PatientOrientation")
    if said and len(said) == 2:
        return [str(letters) for letters in said]
    cosines = source.plane.get("ImageOrientationPatient")
    if cosines is None:
        return None
    directions = np.array(cosines, dtype=float).reshape(2, 3)
    axes = np.abs(directions).argmax(axis=1)
    return [
        ("RAF", "LPH")[int(direction[axis] > 0)][axis]
        for direction, axis in zip(directions, axes, strict=True)
    ]
