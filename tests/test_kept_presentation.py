"""Window and axis of the training images: kept in the bundle, and used when it reads files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clinical import RAMP, dicom, nifti
from conftest import make_bundle
from directed_world import CPU, fitted, linear_bundle, patch_module
from medxgan.bundle import read_manifest, save_bundle
from medxgan.data import KeptPresentation, Presentation, Window, open_dataset, read_image
from medxgan.data.presentation import NOTHING_KEPT
from medxgan.directed_explainer import DirectedExplainer
from medxgan.errors import BundleError
from medxgan.loader import load
from medxgan.viewer.live import LiveDesk
from medxgan.viewer.reading import Presented

KEPT = KeptPresentation(window=Window(500, 1000), axis="coronal")
OTHER_WINDOW = (
    "windowed to centre 40, width 80, and the bundle was trained with centre 500, width 1000"
)
OTHER_AXIS = "cut into axial slices, and the bundle was trained with coronal ones"
QUICK = ("--methods", "difference", "--frames", 2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, balanced_classifier) -> Path:
    """A bundle that keeps how its training images were shown."""
    made = make_bundle(balanced_classifier(0))
    folder = tmp_path_factory.mktemp("bundles") / "kept"
    manifest = made.manifest.model_copy(update={"presentation": KEPT})
    save_bundle(folder, made._replace(manifest=manifest))
    return folder


@pytest.fixture(scope="module")
def explainer(bundle):
    return load(bundle, device="cpu")


@pytest.fixture
def scan(tmp_path) -> Path:
    return dicom(tmp_path / "scan.dcm", RAMP)


@pytest.fixture
def volume(tmp_path) -> Path:
    voxels = np.arange(8 * 6 * 4, dtype=np.int16).reshape(8, 6, 4) * 5
    return nifti(tmp_path / "brain.nii", voxels)


def kept_in(folder: Path) -> dict:
    return json.loads((folder / "bundle.json").read_text())["presentation"]


# Kept by training.


def test_training_against_a_classifier_keeps_the_window(
    medxgan, tmp_path, phantom_archive, classifier_file
):
    """Phantoms as stored values 0 to 1020; the window gives back what the classifier knows."""
    data = open_dataset(phantom_archive)
    levels = ((data.images(slice(0, 64))[:, 0] + 1) * 510).round().numpy().astype(np.uint16)
    for number, (pixels, label) in enumerate(zip(levels, data.labels, strict=False)):
        place = tmp_path / "scans" / str(label) / f"{number}.dcm"
        own = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.2.{number}.1"}
        dicom(place, pixels, PatientID=str(number), **own)
    outcome = medxgan(
        *("train", tmp_path / "scans", "--classifier", classifier_file, "--out", tmp_path / "run"),
        *("--window", "510.5,1021", "--preset", "tiny", "--set", "run.images=16"),
    )
    assert outcome.code == 0, outcome.err
    assert kept_in(tmp_path / "run") == {"window": [510.5, 1021.0], "axis": None}
    found = medxgan("inspect", tmp_path / "run")
    assert "window centre 510.5, width 1021, as it was trained with" in found.out


def test_training_a_stylegan_keeps_window_and_axis(medxgan, tmp_path):
    random = np.random.default_rng(0)
    for patient in range(16):
        voxels = random.integers(0, 1000, (32, 3, 32)).astype(np.int16)
        nifti(tmp_path / "volumes" / f"{patient}.nii", voxels)
    outcome = medxgan(
        *("train", tmp_path / "volumes", "--method", "stylegan", "--preset", "stylegan-tiny"),
        *("--set", "run.images=16", "--window", "500,1000", "--axis", "coronal", "--size", 32),
        *("--out", tmp_path / "run"),
    )
    assert outcome.code == 0, outcome.err
    assert kept_in(tmp_path / "run") == {"window": [500.0, 1000.0], "axis": "coronal"}
    found = medxgan("inspect", tmp_path / "run")
    assert "window centre 500, width 1000; axis coronal, as it was trained with" in found.out


# Read from a bundle.


def test_what_is_kept_comes_back(bundle):
    assert read_manifest(bundle).presentation == KEPT


def test_bundles_that_keep_nothing_are_read_and_shown_as_before(medxgan, tmp_path, tiny_bundle):
    content = json.loads((tiny_bundle / "bundle.json").read_text())
    del content["presentation"]
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    assert read_manifest(tmp_path).presentation == NOTHING_KEPT
    assert "DICOM and NIfTI" not in medxgan("inspect", tiny_bundle).out


@pytest.mark.parametrize(
    ("kept", "place"),
    [
        ({"window": [40, 0]}, "presentation.window: Value error, a window needs a width above 0"),
        ({"axis": "slanted"}, "presentation.axis"),
        ({"wnidow": [40, 80]}, "presentation.wnidow"),
    ],
)
def test_a_damaged_presentation_is_said(bundle, tmp_path, kept, place):
    content = json.loads((bundle / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(content | {"presentation": kept}))
    with pytest.raises(BundleError, match=f"is damaged: {place}"):
        read_manifest(tmp_path)


def test_a_direction_is_shown_files_as_its_generator_was():
    made = linear_bundle()
    style = made._replace(manifest=made.manifest.model_copy(update={"presentation": KEPT}))
    explainer = DirectedExplainer(style, fitted(patch_module()), CPU)
    assert explainer.presentation().kept == KEPT


# Used where nothing is chosen.


def test_a_dicom_file_is_windowed_as_the_training_images_were(explainer, scan):
    """The file itself would be shown from its least to its greatest value, 0 to 1008."""
    expected = read_image(scan, size=32, window=(500, 1000))
    inputs = explainer.read([scan])
    assert torch.equal(inputs.images[0], expected.image)
    assert inputs.notes == expected.notes
    assert not torch.equal(expected.image, read_image(scan, size=32).image)
    in_a_data_set = explainer.open_dataset(scan.parent)
    assert torch.equal(in_a_data_set.images()[0], expected.image)


def test_a_volume_is_cut_as_the_training_volumes_were(explainer, volume):
    inputs = explainer.read([volume], presentation=Presentation(slice=2))
    assert inputs.names == ["brain-coronal-02"]
    expected = read_image(volume, size=32, window=(500, 1000), axis="coronal", frame=2)
    assert torch.equal(inputs.images[0], expected.image)


def test_pictures_are_as_they_are(medxgan, tmp_path, bundle, explainer):
    medxgan("phantom", tmp_path / "set", "--size", 32, "--count", 20)
    picture = next(tmp_path.glob("set/**/*.png"))
    assert torch.equal(explainer.read([picture]).images[0], read_image(picture, size=32).image)
    outcome = medxgan("explain", bundle, picture, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "centre 500" not in (tmp_path / "out" / "report.html").read_text()


def test_the_command_says_in_its_report_what_it_used(medxgan, tmp_path, bundle, scan):
    outcome = medxgan("explain", bundle, scan, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "Note: image windowed to centre 500, width 1000" in outcome.err
    assert "the bundle was trained with" not in outcome.err
    assert "centre 500, width 1000" in (tmp_path / "out" / "report.html").read_text()


# Overridden.


def test_another_window_is_used_and_noted(medxgan, tmp_path, bundle, explainer, scan):
    other = Presentation(window=Window(40, 80))
    inputs = explainer.read([scan], presentation=other)
    assert torch.equal(inputs.images[0], read_image(scan, size=32, window=(40, 80)).image)
    assert OTHER_WINDOW in inputs.notes
    assert OTHER_WINDOW in explainer.open_dataset(scan.parent, other).notes
    out = ("--out", tmp_path / "out")
    outcome = medxgan("explain", bundle, scan, "--window", "40,80", *out, *QUICK)
    assert f"Note: {OTHER_WINDOW}" in outcome.err
    same = explainer.read([scan], presentation=Presentation(window=Window(500, 1000)))
    assert not any("trained with" in note for note in same.notes)


def test_another_axis_is_used_and_noted(explainer, volume):
    inputs = explainer.read([volume], presentation=Presentation(axis="axial", slice=1))
    assert inputs.names == ["brain-axial-01"]
    assert OTHER_AXIS in inputs.notes and OTHER_WINDOW not in inputs.notes


def test_the_viewer_reads_alike(explainer, scan):
    """In its own process: as the bundle keeps it, or as the command line says, with a note."""
    for shown, window in ((None, (500, 1000)), (Presented(window="40,80"), (40, 80))):
        desk = LiveDesk(explainer, shown=shown)
        try:
            with scan.open("rb") as content:
                found = desk.reader.read_upload(content, "scan.dcm")
        finally:
            desk.close()
        expected = read_image(scan, size=32, window=window)
        np.testing.assert_array_equal(found.images[0], expected.image.numpy())
        assert (OTHER_WINDOW in found.notes) == (shown is not None)
