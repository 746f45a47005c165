"""Maps as DICOM objects: identity, references, geometry, values and conformance, read back."""

import builtins
import sys
from itertools import product
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import torch
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedMRImageStorage,
    SecondaryCaptureImageStorage,
)

from clinical import dicom, enhanced, item, nifti, placed
from medxgan.data import dicom as dicom_reader
from medxgan.data import read_image, write_image
from medxgan.data.geometry import fit_masks, square_pixel_shape, unfit
from medxgan.errors import ConfigError, DataError, MissingPackageError
from medxgan.report.dicom_out import KINDS, Provenance, write_dicom_maps
from medxgan.report.figures import EVIDENCE, colour_table
from medxgan.types import ClassifierSpec, Explanation, Problem, Status
from test_report import make_explanation

FINGERPRINT = "0123456789abcdef" * 4
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "IssuerOfPatientID": "Clinic",
    "AccessionNumber": "A1",
    "StudyID": "S1",
    "StudyDate": "20240102",
    "StudyTime": "101112",
    "ReferringPhysicianName": "Roe^Richard",
}
PLACED = {**placed(12.5), "PixelSpacing": [0.5, 0.5], "FrameOfReferenceUID": "1.2.9"}
SOURCE_UIDS = ("1.2", "1.2.3")

MAY_BE_EMPTY = {  # type 2 of patient and study
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName"),
}


def explanation_of(path: Path, size: int = 16, frame: int | None = None, **maps) -> Explanation:
    """An explanation of a file as it is read, with these maps ``[S, S]``."""
    image = read_image(path, size=size, channels=1, frame=frame).image
    known = make_explanation("scan").__dict__ | {
        "image": image,
        "difference": maps.pop("difference", torch.linspace(-1, 1, size * size).view(size, size))[
            None
        ],
        "attributions": {method.replace("_", "-"): map_[None] for method, map_ in maps.items()},
    }
    return Explanation(**known)


def one_run() -> Provenance:
    """Of a run that has written nothing yet."""
    return Provenance("brain-phantom", FINGERPRINT, run="one run")


def pixels(rows: int = 24, columns: int = 16) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 1000, (rows, columns)).astype(np.uint16)


def keywords(made: pydicom.Dataset) -> set[str]:
    """Of all elements, also those within others."""
    return {element.keyword for element in made.iterall()}


def written(folder: Path, source: Path, **options) -> pydicom.Dataset:
    """One object, read back."""
    explanation = options.pop("explanation", None) or explanation_of(
        source, frame=options.get("frame")
    )
    options.setdefault("provenance", one_run())
    (path,) = write_dicom_maps(explanation, source, folder / "out", **options)
    return pydicom.dcmread(path)


@pytest.fixture
def scan(tmp_path) -> Path:
    return dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, **PLACED, InstanceNumber=7)


@pytest.mark.parametrize("kind", KINDS)
class TestBothKinds:
    def test_the_patient_and_the_study_are_the_sources(self, tmp_path, scan, kind):
        made = written(tmp_path, scan, kind=kind)
        source = pydicom.dcmread(scan)
        for keyword in (*PATIENT, "StudyInstanceUID", "FrameOfReferenceUID"):
            assert made[keyword].value == source[keyword].value, keyword
        assert made.InstanceNumber == 7

    def test_the_series_and_the_instance_are_new(self, tmp_path, scan, kind):
        first, again = (written(tmp_path, scan, kind=kind) for _ in range(2))
        assert first.SOPInstanceUID != again.SOPInstanceUID
        assert first.SeriesInstanceUID == again.SeriesInstanceUID, "one run, one method: one series"
        other = written(tmp_path, scan, kind=kind, provenance=Provenance("b", "f"))
        assert other.SeriesInstanceUID != first.SeriesInstanceUID
        for made in (first, again, other):
            assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
            assert made.SeriesInstanceUID not in SOURCE_UIDS
            assert UID(made.SOPInstanceUID).is_valid
            assert UID(made.SeriesInstanceUID).is_valid

    def test_maps_and_kinds_are_series_of_their_own(self, tmp_path, scan, kind):
        grid = torch.eye(16)
        paths = write_dicom_maps(
            explanation_of(scan, lig=grid, grad_cam=grid),
            scan,
            tmp_path / "out",
            provenance=one_run(),
            maps=("lig", "difference", "grad-cam"),
            kind=kind,
        )
        assert [path.name for path in paths] == [
            f"{method}-{kind}.dcm" for method in ("lig", "difference", "grad-cam")
        ]
        made = [pydicom.dcmread(path) for path in paths]
        assert len({one.SeriesInstanceUID for one in made}) == 3
        assert [one.SeriesNumber for one in made] == [9001, 9002, 9003]
        assert [one.SeriesDescription for one in made] == [
            f"Not for clinical use: {label}" for label in ("LIG", "Difference", "Grad-CAM")
        ]

    def test_it_refers_to_its_source(self, tmp_path, scan, kind):
        made, source = written(tmp_path, scan, kind=kind), pydicom.dcmread(scan)
        (reference,) = made.SourceImageSequence
        assert reference.ReferencedSOPClassUID == CTImageStorage
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.SpatialLocationsPreserved == "YES"
        assert "ReferencedFrameNumber" not in reference
        (series,) = made.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        (instance,) = series.ReferencedInstanceSequence
        assert instance.ReferencedSOPInstanceUID == source.SOPInstanceUID

    def test_it_says_what_made_it_and_what_it_is_not_for(self, tmp_path, scan, kind):
        made = written(tmp_path, scan, kind=kind)
        for part in ("Difference", "tumour", FINGERPRINT, "brain-phantom", "medxgan 0.", "16 x 16"):
            assert part in made.DerivationDescription, part
        assert "Not for clinical use" in made.SeriesDescription
        assert "Not for clinical use" in made.ImageComments
        assert "Status: ok." in made.ImageComments
        assert made.ManufacturerModelName == "brain-phantom"

    def test_a_failed_explanation_says_so(self, tmp_path, scan, kind):
        problem = Problem("no flip", 0.9, 0.5, "no flip: the counterfactual scores 0.9")
        known = explanation_of(scan).__dict__ | {"status": Status((problem,))}
        made = written(tmp_path, scan, kind=kind, explanation=Explanation(**known))
        assert "Status: not to be trusted: no flip: the counterfactual" in made.ImageComments

    def test_what_is_unknown_of_the_patient_is_empty(self, tmp_path, kind):
        nothing = dict.fromkeys(("PatientID", "PatientName"))
        source = dicom(tmp_path / "scan.dcm", pixels(), **nothing, **PLACED)
        made = written(tmp_path, source, kind=kind)
        assert all(not made[keyword].value for keyword in MAY_BE_EMPTY)

    def test_no_more_of_the_patient_is_copied(self, tmp_path, kind):
        block = pydicom.Dataset()
        block.CodeValue, block.CodingSchemeDesignator, block.CodeMeaning = "113100", "DCM", "Basic"
        block.private_block(0x11, "ACME", create=True).add_new(1, "LO", "secret")
        source = dicom(
            tmp_path / "scan.dcm",
            pixels(),
            **PATIENT,
            **PLACED,
            PatientComments="secret",
            OtherPatientIDs="secret",
            InstitutionName="secret",
            OperatorsName="secret",
            PatientIdentityRemoved="YES",
            DeidentificationMethodCodeSequence=Items([block]),
        )
        header = pydicom.dcmread(source)
        header.private_block(0x29, "ACME", create=True).add_new(1, "LO", "secret")
        header.save_as(source)
        assert b"secret" in source.read_bytes()
        made = written(tmp_path, source, kind=kind)
        assert made.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        found: list[pydicom.DataElement] = []
        made.walk(lambda _, element: found.append(element))
        assert not any(element.tag.is_private for element in found)
        assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "out").iterdir())

    @pytest.mark.parametrize(
        ("charset", "name"),
        [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 192", "Wang^XiaoDong=王^小东")],
    )
    def test_names_keep_their_letters(self, tmp_path, kind, charset, name):
        elements = PATIENT | {"PatientName": name}
        source = dicom(
            tmp_path / "scan.dcm", pixels(), SpecificCharacterSet=charset, **elements, **PLACED
        )
        made = written(tmp_path, source, kind=kind)
        assert str(made.PatientName) == name
        assert made.SpecificCharacterSet == "ISO_IR 192"

    def test_names_of_ours_are_made_fit(self, tmp_path, scan, kind):
        made = written(tmp_path, scan, kind=kind, provenance=Provenance("a\\b\n" + "é" * 90, "f"))
        assert made.ManufacturerModelName == "a/b " + "é" * 56 + "..."

    def test_lossy_sources_stay_known_as_such(self, tmp_path, kind):
        lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": 12}
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, **PLACED, **lossy)
        made = written(tmp_path, source, kind=kind)
        assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 12)

    def test_a_lossy_source_that_does_not_say_how_much_gets_no_number_of_ours(self, tmp_path, kind):
        """That it was lossy is what matters; ratio and method cannot be known from its pixels."""
        lossy = {"LossyImageCompression": "01"}
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, **PLACED, **lossy)
        made = written(tmp_path, source, kind=kind)
        assert made.LossyImageCompression == "01"
        assert "LossyImageCompressionRatio" not in made

    def test_a_source_without_a_place_is_overlaid_by_pixels(self, tmp_path, kind):
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT)
        made = written(tmp_path, source, kind=kind)
        assert "does not say in full where its pixels lie in the patient" in made.ImageComments
        found = keywords(made)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert keyword not in found, keyword

    @pytest.mark.parametrize("cosines", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 2, 0]])
    def test_directions_that_are_none_place_nothing(self, tmp_path, kind, cosines):
        elements = PLACED | {"ImageOrientationPatient": cosines}
        made = written(tmp_path, dicom(tmp_path / "scan.dcm", pixels(), **elements), kind=kind)
        assert "ImageOrientationPatient" not in keywords(made)
        assert "does not say in full where its pixels lie in the patient" in made.ImageComments

    def test_an_x_rays_spacing_at_the_detector(self, tmp_path, kind):
        spacing = {
            "ImagerPixelSpacing": [0.4, 0.2],
            "EstimatedRadiographicMagnificationFactor": 1.5,
        }
        made = written(
            tmp_path, dicom(tmp_path / "s.dcm", pixels(), **PATIENT, **spacing), kind=kind
        )
        assert "PixelSpacing" not in keywords(made)
        if kind == "secondary-capture":
            assert made.ImagerPixelSpacing == [0.4, 0.2]
            assert made.EstimatedRadiographicMagnificationFactor == 1.5
            assert "PixelAspectRatio" not in made, "the spacing says it"
        else:
            assert made.PixelAspectRatio == [2, 1]

    def test_a_scanned_films_spacing(self, tmp_path, kind):
        spacing = {"NominalScannedPixelSpacing": [0.2, 0.3]}
        made = written(
            tmp_path, dicom(tmp_path / "s.dcm", pixels(), **PATIENT, **spacing), kind=kind
        )
        if kind == "secondary-capture":
            assert made.NominalScannedPixelSpacing == [0.2, 0.3]
        else:
            assert made.PixelAspectRatio == [2, 3]

    def test_an_ultrasounds_pixels_that_are_no_squares(self, tmp_path, kind):
        steps = {"PhysicalDeltaX": 0.05, "PhysicalDeltaY": 0.1}
        units = {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
        regions = Items([item(**steps, **units)])
        source = dicom(
            tmp_path / "us.dcm", pixels(), **PATIENT, SequenceOfUltrasoundRegions=regions
        )
        assert written(tmp_path, source, kind=kind).PixelAspectRatio == [2, 1]

    def test_one_frame_of_reference_a_series_of_sources_without_one(self, tmp_path, kind):
        run, made = one_run(), []
        for name, series in (("a", "1.2.3"), ("b", "1.2.3"), ("c", "1.2.4")):
            source = dicom(
                tmp_path / f"{name}.dcm", pixels() + ord(name), **PATIENT, SeriesInstanceUID=series
            )
            made.append(written(tmp_path, source, kind=kind, provenance=run))
        if kind == "secondary-capture":
            assert not any(one.get("FrameOfReferenceUID") for one in made), "it need not have one"
        else:
            first, second, other = (one.FrameOfReferenceUID for one in made)
            assert first == second != other
            again = written(tmp_path, source, kind=kind, provenance=Provenance("b", "f"))
            assert again.FrameOfReferenceUID != other, "another run"

    def test_instances_without_a_number_are_counted(self, tmp_path, kind):
        run = one_run()
        numbers = []
        for name, number in (("a", 2), ("b", None), ("c", None), ("d", 2), ("c", None)):
            path = tmp_path / f"{name}.dcm"
            if not path.exists():
                dicom(path, pixels() + ord(name), **PATIENT, InstanceNumber=number)
            numbers.append(written(tmp_path, path, kind=kind, provenance=run).InstanceNumber)
        assert numbers == [2, 1, 3, 4, 3], "each source has one number"

    def test_frames_of_several_files_of_a_series_have_numbers_of_their_own(self, tmp_path, kind):
        run, numbers = one_run(), []
        for name in "ab":
            stack = np.stack([pixels(), pixels()[::-1]]) + ord(name)
            path = dicom(tmp_path / f"{name}.dcm", stack, **PATIENT, InstanceNumber=5)
            for frame in (1, 2):
                made = written(tmp_path, path, kind=kind, provenance=run, frame=frame)
                numbers.append(made.InstanceNumber)
        assert numbers == [1, 2, 3, 4]

    @pytest.mark.parametrize("frame", [1, 3])
    def test_a_frame_of_several(self, tmp_path, kind, frame):
        per_frame = [
            item(PlanePositionSequence=Items([item(ImagePositionPatient=[0.0, 0.0, 2.5 * number])]))
            for number in range(3)
        ]
        shared = item(
            PixelMeasuresSequence=Items([item(PixelSpacing=[0.7, 0.7], SliceThickness=2.5)]),
            PlaneOrientationSequence=Items([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        )
        stack = np.stack([pixels(), pixels()[::-1], pixels().T.reshape(24, 16)])
        path = enhanced(tmp_path / "mr.dcm", stack, per_frame, shared)
        header = pydicom.dcmread(path)
        header.FrameOfReferenceUID = "1.2.9"
        header.save_as(path)
        made = written(tmp_path, path, kind=kind, frame=frame)
        (reference,) = made.SourceImageSequence
        assert reference.ReferencedSOPClassUID == EnhancedMRImageStorage
        assert reference.ReferencedFrameNumber == frame
        assert made.InstanceNumber == frame
        place = made
        if kind == "parametric-map":
            (groups,) = made.PerFrameFunctionalGroupsSequence
            place = groups.PlanePositionSequence[0]
            (derivation,) = groups.DerivationImageSequence
            assert derivation.SourceImageSequence[0].ReferencedFrameNumber == frame
        assert place.ImagePositionPatient == [0.0, 0.0, 2.5 * (frame - 1)]


class TestParametricMap:
    def test_the_values_and_their_unit(self, tmp_path, scan):
        grid = torch.randn(16, 16, generator=torch.Generator().manual_seed(0)) / 100
        explanation = explanation_of(scan, lig=grid)
        (path,) = write_dicom_maps(
            explanation, scan, tmp_path / "out", provenance=one_run(), maps=("lig",)
        )
        made = highdicom.pm.ParametricMap.from_dataset(pydicom.dcmread(path))
        assert made.pixel_array.dtype == np.float32
        np.testing.assert_array_equal(made.pixel_array, unfit(grid.numpy(), (24, 16)))
        (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert mapping.LUTExplanation == "probability per classifier pixel"
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
        assert mapping.DoubleFloatRealWorldValueFirstValueMapped == made.pixel_array.min()
        assert mapping.DoubleFloatRealWorldValueLastValueMapped == made.pixel_array.max()
        (quantity,) = mapping.QuantityDefinitionSequence
        assert quantity.ConceptCodeSequence[0].CodeMeaning == "Saliency"
        assert made.ContentLabel == "NOT FOR CLINICAL"
        assert made.ContentQualification == "RESEARCH"

    @pytest.mark.parametrize("scale", [0.0015, 0.25, 3.0])
    def test_the_window_is_the_reports_scale(self, tmp_path, scan, scale):
        """Black at minus the scale, white at the scale, as PS3.3 C.11.2.1.2 and 3 write it."""
        made = written(tmp_path, scan, scales={"difference": scale})
        (window,) = made.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
        centre, width = float(window.WindowCenter), float(window.WindowWidth)
        assert window.VOILUTFunction == "LINEAR_EXACT", "LINEAR needs a width of at least 1"
        values = np.array([-2, -1, -0.5, 0, 0.5, 1, 2]) * scale
        rendered = (values - centre) / width + 0.5
        rendered[values <= centre - width / 2], rendered[values > centre + width / 2] = 0, 1
        np.testing.assert_allclose(rendered, [0, 0, 0.25, 0.5, 0.75, 1, 1])

    def test_values_of_a_model_of_a_value(self, tmp_path, scan):
        spec = ClassifierSpec(size=16, output="value", class_names=("grade",), value_range=(0, 4))
        known = explanation_of(scan, lig=torch.eye(16)).__dict__ | {"spec": spec}
        made = written(tmp_path, scan, explanation=Explanation(**known), maps=("lig",))
        (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert mapping.LUTExplanation == "share of the range 0 to 4 per classifier pixel"

    def test_it_lies_where_its_source_lies(self, tmp_path, scan):
        made, source = written(tmp_path, scan), pydicom.dcmread(scan)
        shared = made.SharedFunctionalGroupsSequence[0]
        place = made.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        assert (made.Rows, made.Columns) == (source.Rows, source.Columns)
        assert shared.PixelMeasuresSequence[0].PixelSpacing == source.PixelSpacing
        assert "SpacingBetweenSlices" not in shared.PixelMeasuresSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        assert orientation == source.ImageOrientationPatient
        assert place.ImagePositionPatient == source.ImagePositionPatient
        assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
        volume = highdicom.pm.ParametricMap.from_dataset(made).get_volume_geometry()
        assert volume.map_indices_to_reference(np.array([[0, 4, 6]])).tolist() == [
            [-10 + 6 * 0.5, -20 + 4 * 0.5, 12.5]
        ]

    def test_without_a_frame_of_reference_it_has_its_own(self, tmp_path):
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, PixelSpacing=[0.5, 0.5])
        made = highdicom.pm.ParametricMap.from_dataset(written(tmp_path, source))
        assert UID(made.FrameOfReferenceUID).is_valid
        (shared,) = made.SharedFunctionalGroupsSequence
        assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.5, 0.5]
        assert made.pixel_array.shape == (24, 16)

    @pytest.mark.parametrize(("place", "flavour"), [(PLACED, "VOLUME"), ({}, "STATIC")])
    def test_an_image_without_a_place_is_no_part_of_a_volume(self, tmp_path, place, flavour):
        made = written(tmp_path, dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, **place))
        assert made.ImageType == ["DERIVED", "PRIMARY", flavour, "QUANTITY"]
        (kind,) = made.SharedFunctionalGroupsSequence[0].ParametricMapFrameTypeSequence
        assert kind.FrameType == made.ImageType

    def test_pixels_that_are_no_squares(self, tmp_path):
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, PixelAspectRatio=[2, 1])
        made = written(tmp_path, source)
        assert (made.Rows, made.Columns) == (24, 16)
        assert made.PixelAspectRatio == [2, 1]

    def test_an_empty_map(self, tmp_path, scan):
        explanation = explanation_of(scan, difference=torch.zeros(16, 16))
        assert not written(tmp_path, scan, explanation=explanation).pixel_array.any()


class TestGeometry:
    @pytest.mark.parametrize(
        ("shape", "aspect", "size"),
        [
            *product([(32, 32), (48, 32), (32, 64)], [1.0], [16, 32, 64]),
            *[((24, 48), 2.0, 32), ((48, 24), 0.5, 32), ((40, 30), 1.3, 64)],
        ],
    )
    def test_a_lesion_comes_back_to_its_pixels(self, tmp_path, shape, aspect, size):
        rows, columns = shape
        lesion = np.zeros(shape, bool)
        lesion[rows // 4 : rows // 2, columns // 2 : 3 * columns // 4] = True
        stored = 200 + 700 * lesion.astype(np.uint16)
        spacing = {"PixelSpacing": [0.5 * aspect, 0.5]}
        source = dicom(tmp_path / "scan.dcm", stored, **PATIENT, **spacing)
        square = square_pixel_shape(rows, columns, aspect)
        grid = fit_masks(lesion[None], size, square)[0]
        explanation = explanation_of(source, size, difference=torch.from_numpy(grid).float())
        bright = explanation.image[0].numpy() > 0
        assert (bright == grid).mean() > 0.98, "the lesion is where the classifier sees it"
        back = written(tmp_path, source, explanation=explanation).pixel_array
        assert back.shape == shape
        found = back > 0.5
        on_the_grid = aspect == 1 and size % max(shape) == 0
        least = 1.0 if on_the_grid else 0.85
        assert (found & lesion).sum() / (found | lesion).sum() >= least

    def test_on_the_sources_own_grid_nothing_is_interpolated(self, tmp_path):
        source = dicom(tmp_path / "scan.dcm", pixels(16, 16), **PATIENT, **PLACED)
        explanation = explanation_of(source)
        back = written(tmp_path, source, explanation=explanation).pixel_array
        np.testing.assert_array_equal(back, explanation.difference[0].numpy())

    def test_unfit_undoes_the_padding(self):
        grid = np.arange(36.0).reshape(6, 6)
        np.testing.assert_array_equal(unfit(grid, (6, 3)), grid[:, 1:4])
        np.testing.assert_array_equal(unfit(grid, (4, 6)), grid[1:5])


class TestSecondaryCapture:
    def test_the_map_fills_the_upper_left_and_the_legend_the_rest(self, tmp_path):
        source = dicom(tmp_path / "scan.dcm", pixels(300, 260), **PATIENT, **PLACED)
        grid = torch.zeros(16, 16)
        grid[2:4, 9:12] = 3.0
        made = written(
            tmp_path,
            source,
            explanation=explanation_of(source, lig=grid),
            maps=("lig",),
            kind="secondary-capture",
        )
        picture = made.pixel_array
        assert made.Columns == 260
        assert made.Rows > 300
        assert made.BurnedInAnnotation == "NO", "the legend names no patient"
        values = unfit(grid.numpy(), (300, 260))
        table = colour_table(EVIDENCE)
        assert (picture[:300, :260][values == 0] == table[127]).all()
        assert (picture[:300, :260][values == 3] == table[254]).all()
        legend = picture[300:]
        assert (legend == 255).all(2).sum() > 200, "white letters"
        for end in (table[0], table[254]):
            assert (legend == end).all(2).any(), "the ends of the colour bar"

    def test_small_images_get_a_legend_that_can_be_read(self, tmp_path, scan):
        made = written(tmp_path, scan, kind="secondary-capture")
        assert (made.Rows > 24, made.Columns) == (True, 240)
        assert (made.pixel_array[:24, 16:] == 0).all()

    def test_it_lies_where_its_source_lies(self, tmp_path, scan):
        made, source = written(tmp_path, scan, kind="secondary-capture"), pydicom.dcmread(scan)
        for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
            assert made[keyword].value == source[keyword].value
        assert made.PatientOrientation == ["L", "P"]

    @pytest.mark.parametrize(
        ("elements", "expected"),
        [
            ({"PatientOrientation": ["A", "F"]}, ["A", "F"]),
            (placed(0, row=(0, 1, 0), column=(0, 0, -1)), ["P", "F"]),
            (placed(0, row=(-1, 0, 0), column=(0, 0, 1)), ["R", "H"]),
        ],
    )
    def test_where_rows_and_columns_lead(self, tmp_path, elements, expected):
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT, **elements)
        assert written(tmp_path, source, kind="secondary-capture").PatientOrientation == expected


class TestSources:
    @pytest.mark.parametrize("window", [{}, {"WindowCenter": 500, "WindowWidth": 1000}])
    def test_each_is_opened_once_and_each_frame_decoded_once(self, tmp_path, monkeypatch, window):
        """And all frames once more where their range is the window."""
        stack = np.random.default_rng(0).integers(0, 900, (6, 24, 16)).astype(np.uint16)
        source = dicom(tmp_path / "us.dcm", stack, **PATIENT, **window)
        explanations = [explanation_of(source, frame=frame) for frame in range(1, 7)]
        opened, decoded = [], []
        inner, outer = dicom_reader.decode_frame, dicom_reader.open_dicom
        monkeypatch.setattr(
            dicom_reader, "decode_frame", lambda *given: decoded.append(given[2]) or inner(*given)
        )
        monkeypatch.setattr(
            dicom_reader, "open_dicom", lambda *given: opened.append(given[0]) or outer(*given)
        )
        run = one_run()
        for frame, explanation in enumerate(explanations, start=1):
            written(tmp_path, source, explanation=explanation, provenance=run, frame=frame)
        assert opened == [source]
        assert sorted(decoded) == sorted(2 * list(range(6)) if not window else range(6))

    def test_a_source_that_was_replaced_is_opened_again(self, tmp_path):
        source, run = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT), one_run()
        written(tmp_path, source, provenance=run)
        dicom(source, pixels(25, 15), **PATIENT)
        assert written(tmp_path, source, provenance=run).Rows == 25


class TestRefusals:
    @pytest.mark.parametrize(
        "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
    )
    def test_a_source_that_does_not_identify_itself(self, tmp_path, scan, keyword):
        explanation = explanation_of(scan)
        header = pydicom.dcmread(scan)
        del header[keyword]
        header.save_as(scan)
        with pytest.raises(DataError, match=f"has no valid {keyword}, by which"):
            written(tmp_path, scan, explanation=explanation)

    def test_a_source_that_is_no_dicom(self, tmp_path, scan):
        explanation = explanation_of(scan)
        write_image(tmp_path / "scan.png", explanation.image)
        with pytest.raises(DataError, match=r"scan\.png is no DICOM file"):
            written(tmp_path, tmp_path / "scan.png", explanation=explanation)
        with pytest.raises(DataError, match=r"gone\.dcm does not exist"):
            written(tmp_path, tmp_path / "gone.dcm", explanation=explanation)

    def test_a_source_of_several_frames(self, tmp_path):
        path = dicom(tmp_path / "us.dcm", np.stack([pixels(), pixels() + 1]), **PATIENT)
        explanation = explanation_of(path, frame=1)
        with pytest.raises(DataError, match="holds 2 frames; say by frame=NUMBER"):
            written(tmp_path, path, explanation=explanation)
        with pytest.raises(DataError, match=r"has 2 frame\(s\), counted from 1, got 3"):
            write_dicom_maps(explanation, path, tmp_path, provenance=one_run(), frame=3)

    def test_a_source_that_shows_another_image(self, tmp_path, scan):
        other = dicom(tmp_path / "other.dcm", pixels()[::-1].copy(), **PATIENT)
        with pytest.raises(DataError, match="does not show the image that was explained, scan"):
            written(tmp_path, other, explanation=explanation_of(scan))
        assert not (tmp_path / "out").exists()

    def test_a_window_of_the_users_own(self, tmp_path, scan):
        image = read_image(scan, size=16, channels=1, window=(100.0, 50.0)).image
        explanation = Explanation(**explanation_of(scan).__dict__ | {"image": image})
        with pytest.raises(DataError, match="give its own file, frame and window"):
            written(tmp_path, scan, explanation=explanation)
        assert written(tmp_path, scan, explanation=explanation, window=(100.0, 50.0)).Rows == 24

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_map_that_is_not_finite(self, tmp_path, scan, value):
        grid = torch.full((16, 16), value)
        with pytest.raises(DataError, match="the map 'lig' of scan holds NaN or infinite values"):
            written(tmp_path, scan, explanation=explanation_of(scan, lig=grid), maps=("lig",))

    def test_a_map_that_is_not_there(self, tmp_path, scan):
        with pytest.raises(DataError, match="scan has no map 'ig'; choose from: difference"):
            written(tmp_path, scan, maps=("ig",))
        skipped = {"ig": "it needs gradients"}
        known = explanation_of(scan).__dict__ | {"skipped": skipped}
        with pytest.raises(DataError, match="scan has no map 'ig'; it needs gradients"):
            written(tmp_path, scan, explanation=Explanation(**known), maps=("ig",))

    def test_a_kind_that_is_none(self, tmp_path, scan):
        with pytest.raises(ConfigError, match="did you mean 'parametric-map'"):
            written(tmp_path, scan, kind="parametric")

    def test_elements_that_highdicom_refuses(self, tmp_path, scan, monkeypatch):
        def refuse(*arguments):
            raise ValueError("no such sex")

        monkeypatch.setattr("medxgan.report.dicom_out.make_object", refuse)
        sentence = r"no DICOM object can be made beside .*scan\.dcm \(no such sex\); correct"
        with pytest.raises(DataError, match=sentence):
            written(tmp_path, scan)

    def test_without_highdicom(self, tmp_path, scan, monkeypatch):
        explanation = explanation_of(scan)
        for name in [name for name in sys.modules if name.split(".")[0] == "highdicom"]:
            monkeypatch.delitem(sys.modules, name)
        found = builtins.__import__

        def without(name, *arguments, **options):
            if name.split(".")[0] == "highdicom":
                raise ImportError(name)
            return found(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(MissingPackageError, match=r"pip install 'medxgan\[dicom-out\]'"):
            written(tmp_path, scan, explanation=explanation)


def objects(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.dcm")) if path.is_file()]


class TestCommand:
    QUICK = ("--methods", "difference,grad-cam", "--frames", 2)

    def test_objects_lie_in_their_explanations_folders(self, medxgan, tmp_path, tiny_bundle):
        for name, seed in (("a", 1), ("b", 2)):
            random = np.random.default_rng(seed).integers(0, 900, (32, 24)).astype(np.uint16)
            dicom(tmp_path / "in" / f"{name}.dcm", random, **PATIENT, **PLACED)
        write_image(tmp_path / "c.png", torch.rand(1, 32, 32) * 2 - 1)
        outcome = medxgan(
            *("explain", tiny_bundle, tmp_path / "in", tmp_path / "c.png", *self.QUICK),
            *("--dicom-out", "difference,grad-cam", "--out", tmp_path / "out"),
        )
        assert outcome.code == 0, outcome.err
        assert "4 DICOM objects written" in outcome.out
        assert "1 of 3 images come from no DICOM file" in outcome.err
        made = {path.parent.name: path for path in objects(tmp_path / "out")}
        assert set(made) == {"a.dcm", "b.dcm"}, "folders are named as their images are"
        found = [pydicom.dcmread(path) for path in objects(tmp_path / "out")]
        assert len(found) == 4
        assert len({one.SeriesInstanceUID for one in found}) == 2, "one a map"
        assert {(one.Rows, one.Columns, one.PatientID) for one in found} == {(32, 24, "4711")}
        with np.load(made["a.dcm"].parent / "explanation.npz") as arrays:
            expected = unfit(arrays["difference"][0], (32, 24))
        difference = pydicom.dcmread(made["a.dcm"].with_name("difference-parametric-map.dcm"))
        np.testing.assert_array_equal(difference.pixel_array, expected)

    def test_a_report_names_no_patient(self, medxgan, tmp_path, tiny_bundle):
        """Neither what is printed nor any file but the objects themselves."""
        named = {
            "PatientName": "Zzyx^Quux",
            "PatientID": "MRN99887",
            "PatientBirthDate": "19330102",
            "AccessionNumber": "ACC55512",
            "ReferringPhysicianName": "Wossname",
            "StudyDate": "20240304",
            "StudyDescription": "Head of Zzyx",
            "StudyInstanceUID": "1.2.777.1",
            "SeriesInstanceUID": "1.2.777.2",
        }
        for number in (1, 2):
            random = np.random.default_rng(number).integers(0, 900, (32, 32)).astype(np.uint16)
            dicom(tmp_path / "in" / f"{number}.dcm", random, **named, **PLACED)
        outcome = medxgan(
            *("explain", tiny_bundle, tmp_path / "in", *self.QUICK),
            *("--dicom-out", "difference", "--out", tmp_path / "out"),
        )
        assert outcome.code == 0, outcome.err
        told = {"what is printed": (outcome.out + outcome.err).encode()}
        for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
            if path.suffix != ".npz":
                told[path.name] = path.read_bytes()
                continue
            with np.load(path, allow_pickle=False) as arrays:
                told[path.name] = b"".join(
                    name.encode() + str(array.tolist()).encode() for name, array in arrays.items()
                )
        assert {Path(name).suffix for name in told} >= {".html", ".csv", ".json", ".npz", ".dcm"}
        identifiers = ("Zzyx", "Quux", "MRN99887", "19330102", "1933-01-02", "ACC55512", "Wossname")
        found = {
            name
            for name, content in told.items()
            if any(words.encode() in content for words in (*identifiers, "20240304", "1.2.777"))
        }
        assert found == {"difference-parametric-map.dcm"}, "and there, as its source says it"

    def test_frames_and_a_window(self, medxgan, tmp_path, tiny_bundle):
        stack = np.random.default_rng(0).integers(0, 900, (3, 32, 32)).astype(np.uint16)
        source = dicom(tmp_path / "us.dcm", stack, **PATIENT)
        outcome = medxgan(
            *("explain", tiny_bundle, source, "--slice", 2, "--window", "400,500", *self.QUICK),
            *("--dicom-out", "difference", "--dicom-kind", "secondary-capture"),
            *("--out", tmp_path / "out"),
        )
        assert outcome.code == 0, outcome.err
        (path,) = objects(tmp_path / "out")
        made = pydicom.dcmread(path)
        assert made.SourceImageSequence[0].ReferencedFrameNumber == 2
        assert made.SOPClassUID == SecondaryCaptureImageStorage

    def test_a_file_that_cannot_be_referred_to_keeps_no_other_from_it(
        self, medxgan, tmp_path, tiny_bundle
    ):
        good = dicom(tmp_path / "good.dcm", pixels(32, 32), **PATIENT)
        poor = dicom(tmp_path / "poor.dcm", pixels(32, 32) + 1, **PATIENT, StudyInstanceUID=None)
        options = (*self.QUICK, "--dicom-out", "difference", "--out")
        outcome = medxgan("explain", tiny_bundle, good, poor, *options, tmp_path / "out")
        assert outcome.code == 0, outcome.err
        assert "poor.dcm has no valid StudyInstanceUID" in outcome.err
        assert len(objects(tmp_path / "out")) == 1
        outcome = medxgan("explain", tiny_bundle, poor, *options, tmp_path / "other")
        assert outcome.code == 2
        assert "no DICOM object was written: " in outcome.err

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (
                ("--dicom-out", "ig"),
                "--dicom-out can write the maps that --methods names, got 'ig'; choose from: "
                "difference, grad-cam\n",
            ),
            (
                ("--dicom-out", "difference", "--dicom-kind", "sc"),
                "--dicom-kind must be parametric-map or secondary-capture, got 'sc'",
            ),
            (("--dicom-kind", "parametric-map"), "name them by --dicom-out"),
        ],
    )
    def test_options_that_make_no_sense(self, medxgan, tmp_path, tiny_bundle, options, sentence):
        source = dicom(tmp_path / "scan.dcm", pixels(), **PATIENT)
        outcome = medxgan(
            "explain", tiny_bundle, source, *self.QUICK, *options, "--out", tmp_path / "out"
        )
        assert outcome.code == 2
        assert sentence in outcome.err
        assert not (tmp_path / "out").exists()

    def test_inputs_that_are_no_dicom(self, medxgan, tmp_path, tiny_bundle):
        random = np.random.default_rng(0).integers(0, 900, (16, 16, 3)).astype(np.int16)
        source = nifti(tmp_path / "brain.nii.gz", random)
        outcome = medxgan(
            *("explain", tiny_bundle, source, *self.QUICK),
            *("--dicom-out", "difference", "--out", tmp_path / "out"),
        )
        assert outcome.code == 2
        assert "none of the inputs is one; leave it out" in outcome.err
