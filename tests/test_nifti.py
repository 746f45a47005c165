"""NIfTI volumes: orientation, slices, windows, spacing, data sets, and bad input."""

import gzip
import struct
import sys

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from clinical import dicom, nifti
from medxgan.data import (
    KeptPresentation,
    Presentation,
    Window,
    open_dataset,
    read_image,
    read_inputs,
)
from medxgan.data.nifti import decode_volume, slice_of
from medxgan.data.nifti_header import read_header
from medxgan.data.presentation import AXES
from medxgan.errors import DataError, MissingPackageError

RNG = np.random.default_rng(0)
SHAPE = (10, 12, 14)
VOXELS = RNG.integers(0, 1000, SHAPE).astype(np.int16)
"""Stored along right, front and head."""
FULL = Presentation(window=Window(500, 1000))
"""0 is black, 1000 white: shown values are voxels / 1000."""


def shown(path, axis="axial", **options):
    """Slices ``[n, H, W]``, as voxel values."""
    presentation = Presentation(window=Window(500, 1000), axis=axis, **options)
    return np.stack([one.pixels[0] for one in decode_volume(path, presentation)]) * 1000


def test_axial_slices_look_up_from_the_feet(tmp_path):
    """The patient's right on the left of the picture, front at the top; from feet to head."""
    slices = shown(nifti(tmp_path / "v.nii", VOXELS))
    assert slices.shape == (14, 12, 10)
    right, front, head = 9, 11, 0
    np.testing.assert_allclose(slices[0][0, 0], VOXELS[right, front, head], atol=1e-3)
    np.testing.assert_allclose(slices[0][0, -1], VOXELS[0, front, head], atol=1e-3)
    np.testing.assert_allclose(slices[13][-1, 0], VOXELS[right, 0, 13], atol=1e-3)
    np.testing.assert_allclose(slices[5], VOXELS[::-1, ::-1, 5].T, atol=1e-3)


def test_coronal_and_sagittal_slices_have_the_head_at_the_top(tmp_path):
    path = nifti(tmp_path / "v.nii.gz", VOXELS)
    coronal = shown(path, "coronal")
    assert coronal.shape == (12, 14, 10)
    np.testing.assert_allclose(coronal[3], VOXELS[::-1, 3, ::-1].T, atol=1e-3)
    sagittal = shown(path, "sagittal")
    assert sagittal.shape == (10, 14, 12)
    np.testing.assert_allclose(sagittal[3], VOXELS[3, ::-1, ::-1].T, atol=1e-3)


@pytest.mark.parametrize("axes", ["LAS", "RPI", "PSR", "SAL", "IRP"])
def test_any_stored_orientation_looks_the_same(tmp_path, axes):
    whole = nibabel.Nifti1Image(VOXELS, np.diag([1.0, 2.0, 3.0, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(axes)
    )
    nibabel.save(whole.as_reoriented(turn), tmp_path / "v.nii")
    found = read_header(tmp_path / "v.nii")
    assert (found.stored_axes, found.shape) == (axes, SHAPE)
    assert found.spacing == pytest.approx((1, 2, 3))
    inputs = read_inputs([tmp_path / "v.nii"], size=16, channels=1, presentation=FULL)
    expected = read_inputs(
        [nifti(tmp_path / "ras.nii", VOXELS, np.diag([1.0, 2.0, 3.0, 1.0]))],
        size=16,
        channels=1,
        presentation=FULL,
    )
    torch.testing.assert_close(inputs.images, expected.images)


def test_a_volume_looks_as_the_dicom_series_that_it_was_made_of(tmp_path):
    """DICOM's axes run to the left, back and head (LPS); each file holds a slice as it is shown."""
    voxels = VOXELS.astype(np.uint16)
    for z in range(SHAPE[2]):
        dicom(
            tmp_path / "series" / f"{z:02d}.dcm",
            np.ascontiguousarray(voxels[::-1, ::-1, z].T),
            ImagePositionPatient=[-9.0, -11.0, float(z)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1.0, 1.0],
        )
    series = read_inputs([tmp_path / "series"], size=16, channels=1, presentation=FULL)
    volume = read_inputs(
        [nifti(tmp_path / "v.nii.gz", voxels)], size=16, channels=1, presentation=FULL
    )
    # LINEAR and LINEAR_EXACT differ by half a value in a thousand.
    torch.testing.assert_close(series.images, volume.images, atol=3e-3, rtol=0)
    assert series.spacings == volume.spacings


def test_spacing_and_square_pixels(tmp_path):
    """1 mm across, 2 mm from back to front, 4 mm from feet to head."""
    path = nifti(tmp_path / "v.nii", VOXELS, np.diag([1.0, 2.0, 4.0, 1.0]))
    axial = read_image(path)
    assert (tuple(axial.image.shape), axial.spacing) == ((1, 24, 24), (1.0, 1.0))
    assert "image resampled to square pixels" in axial.notes
    sagittal = read_image(path, axis="sagittal", size=28)
    assert sagittal.spacing == pytest.approx((2.0, 2.0))


def test_micrometres(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS, np.diag([5.0, 5.0, 5.0, 1.0]), xyzt_units=3)
    assert read_image(path).spacing == pytest.approx((0.005, 0.005))


def test_units_that_nifti_does_not_know(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS, xyzt_units=5 + 8)
    sentence = "its unit of length has the code 5, where NIfTI knows 0 to 3; correct xyzt_units"
    assert sentence in refused(path)
    nifti(path, VOXELS, xyzt_units=3 + 56)
    assert read_header(path).spacing == pytest.approx((1e-3, 1e-3, 1e-3)), "time is not asked"


def test_scaled_voxels(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, np.eye(4))
    image.header.set_slope_inter(0.5, -100)
    nibabel.save(image, tmp_path / "v.nii")
    stored = nibabel.load(tmp_path / "v.nii")
    assert stored.dataobj.slope == 0.5
    np.testing.assert_allclose(
        shown(tmp_path / "v.nii")[5],
        stored.get_fdata()[::-1, ::-1, 5].T.clip(0, 1000),
        atol=1e-3,
    )


def test_percentiles_of_the_volume_are_the_window(tmp_path):
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, 0] = 1e6
    sample = read_image(nifti(tmp_path / "v.nii", voxels), frame=6)
    low, high = np.percentile(voxels, [0.5, 99.5])
    expected = ((voxels[::-1, ::-1, 5].T - low) / (high - low)).clip(0, 1) * 2 - 1
    np.testing.assert_allclose(sample.image[0, :, 1:11], expected, atol=1e-5)
    assert sample.name == "v-axial-06"
    assert "image windowed to the 0.5th to 99.5th percentile of its volume" in sample.notes


def test_where_percentiles_are_the_same_the_range_is_the_window(tmp_path):
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[5, 5, 5] = 9
    sample = read_image(nifti(tmp_path / "v.nii", voxels), frame=6)
    assert float(sample.image.max()) == 1
    assert "image stretched from the least to the greatest value of its volume" in sample.notes


def test_one_of_several_volumes(tmp_path):
    voxels = np.stack([VOXELS, VOXELS // 2], axis=3)
    path = nifti(tmp_path / "v.nii.gz", voxels)
    assert read_header(path).volumes == 2
    np.testing.assert_allclose(shown(path), shown(nifti(tmp_path / "a.nii", VOXELS)), atol=1e-3)
    np.testing.assert_allclose(
        shown(path, volume=2), shown(nifti(tmp_path / "b.nii", VOXELS // 2)), atol=1e-3
    )
    inputs = read_inputs([path], size=16, channels=1)
    assert "14 of 14 images taken from the first of 2 volumes" in inputs.notes
    with pytest.raises(DataError, match="it has 2 volumes, counted from 1, got number 3"):
        read_inputs([path], size=16, channels=1, presentation=Presentation(volume=3))


def test_slices_by_number(tmp_path):
    path = nifti(tmp_path / "brain.nii.gz", VOXELS)
    every = read_inputs([path], size=16, channels=1)
    assert every.names == [f"brain-axial-{number:02d}" for number in range(1, 15)]
    third = read_inputs([path], size=16, channels=1, presentation=Presentation(slice=3))
    assert third.names == ["brain-axial-03"]
    torch.testing.assert_close(third.images[0], every.images[2])
    middle = read_image(path, size=16)
    assert (middle.name, middle.notes[0]) == ("brain-axial-07", "image is one of 14: axial 07")
    with pytest.raises(DataError, match="it has 12 coronal slices, counted from 1, got number 13"):
        read_inputs(
            [path], size=16, channels=1, presentation=Presentation(None, "coronal", slice=13)
        )


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_slice_is_cut_without_a_copy_of_the_volume(axis, order):
    """The order of the numbers in a file is column-major, and turning it makes it neither."""
    voxels = np.arange(24.0, dtype=np.float32).reshape((2, 3, 4), order=order)
    for turned in (voxels, voxels[::-1], voxels.transpose(1, 0, 2)):
        cut = slice_of(turned, axis, 1)
        assert np.shares_memory(cut, voxels)
        np.testing.assert_array_equal(cut, np.take(turned, 1, AXES.index(axis)).T[::-1, ::-1])


def test_the_best_slice(tmp_path):
    """The reader gives all slices, a score chooses; a file named itself needs no word for it."""
    voxels = VOXELS.copy()
    voxels[:, :, 8] = 999 - voxels[:, :, 8] // 10
    path = nifti(tmp_path / "brain.nii.gz", voxels)
    asked = []

    def score(images):
        asked.append(tuple(images.shape))
        return images.mean((1, 2, 3))

    best = Presentation(window=Window(500, 1000), score=score)
    inputs = read_inputs([path], size=16, channels=1, presentation=best)
    assert inputs.names == ["brain-axial-09"]
    assert asked == [(14, 1, 16, 16)]
    assert any("is the best of 14 slices of" in note for note in inputs.notes)
    every = Presentation(slice="all", score=score)
    assert len(read_inputs([path], size=16, channels=1, presentation=every)) == 14
    nifti(tmp_path / "d" / "a.nii", voxels)
    nifti(tmp_path / "d" / "b.nii", voxels[:, :, ::-1])
    in_folder = Presentation(slice="best", score=score)
    found = read_inputs([tmp_path / "d"], size=16, channels=1, presentation=in_folder)
    assert found.names == ["a-axial-09", "b-axial-06"]


def test_empty_slices_are_passed_over(tmp_path):
    voxels = VOXELS.copy()
    voxels[:, :, [0, 13]] = 0
    inputs = read_inputs([nifti(tmp_path / "v.nii", voxels)], size=16, channels=1)
    assert inputs.names[0] == "v-axial-02"
    assert len(inputs) == 12
    assert "v.nii: 2 frames or slices passed over, one grey all over" in inputs.notes


def test_a_volume_of_one_slice_is_cut_where_it_is_thin(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS[:, :1])
    sample = read_image(path)
    assert (sample.name, tuple(sample.image.shape)) == ("v", (1, 14, 14))
    with pytest.raises(DataError, match=r"its axial slices are 1 x 10 pixels; choose --axis coron"):
        read_image(path, axis="axial")
    trained = Presentation(kept=KeptPresentation(axis="axial"))
    assert len(read_inputs([path], size=16, channels=1, presentation=trained)) == 1
    flat = nifti(tmp_path / "flat.nii", VOXELS[:, :, 0])
    np.testing.assert_allclose(shown(flat, None)[0], VOXELS[::-1, ::-1, 0].T, atol=1e-3)
    with pytest.raises(DataError, match="it shows nothing"):
        read_image(nifti(tmp_path / "line.nii", VOXELS[:, :1, :1]))


def test_a_header_without_orientation_is_told(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, None)
    nibabel.save(image, tmp_path / "v.nii")
    assert not read_header(tmp_path / "v.nii").oriented
    sample = read_image(tmp_path / "v.nii")
    told = (
        "image taken as LAS, for its header does not say how the patient lies: left and right may"
    )
    assert any(note.startswith(told) for note in sample.notes)
    las = nibabel.Nifti1Image(VOXELS, np.diag([-1, 1, 1, 1]))
    nibabel.save(las, tmp_path / "las.nii")
    torch.testing.assert_close(sample.image, read_image(tmp_path / "las.nii").image)


def test_absurd_values_are_shown(tmp_path):
    voxels = np.where(RNG.random(SHAPE) > 0.5, 3e38, -3e38).astype(np.float32)
    image = read_image(nifti(tmp_path / "v.nii", voxels), frame=3).image[0, :, 1:11].numpy()
    np.testing.assert_array_equal(image, np.sign(voxels[::-1, ::-1, 2].T))


# Data sets


@pytest.fixture
def volumes(tmp_path):
    """Ten patients, a volume each; a mask in those of the class tumour."""
    for patient in range(10):
        label = "tumour" if patient % 2 else "healthy"
        voxels = RNG.integers(0, 1000, (8, 8, 6)).astype(np.int16)
        voxels[:, :, 0] = 0
        nifti(tmp_path / "d" / label / f"p{patient}.nii.gz", voxels)
        if patient % 2:
            mask = np.zeros((8, 8, 6), np.uint8)
            mask[1:3, 2:5, 4] = 1
            nifti(tmp_path / "d" / "masks" / label / f"p{patient}.nii.gz", mask)
    return tmp_path / "d"


def test_a_folder_of_volumes_is_a_data_set_of_slices(volumes):
    data = open_dataset(volumes)
    assert len(data) == 10 * 5
    assert data.class_counts() == {"healthy": 25, "tumour": 25}
    assert set(data.groups.tolist()) == {
        f"{'tumour' if patient % 2 else 'healthy'}/p{patient}.nii.gz" for patient in range(10)
    }
    for group in set(data.groups.tolist()):
        assert len(set(data.split[data.groups == group].tolist())) == 1
    assert set(data.split.tolist()) == {0, 1, 2}
    assert data.spacings[0] == (1.0, 1.0)


def test_masks_of_volumes(volumes):
    data = open_dataset(volumes)
    masks, known = data.mask_images()
    assert known.tolist() == [label == 1 for label in data.labels.tolist()]
    row = data.names.tolist().index("tumour/p3-axial-05")
    assert masks.flatten(1).any(1).sum() == 5
    expected = np.zeros((8, 8, 6), bool)
    expected[1:3, 2:5, 4] = True
    np.testing.assert_array_equal(masks[row], expected[::-1, ::-1, 4].T)


def test_a_mask_in_another_orientation_lies_right(tmp_path):
    """Masks are turned by their own header."""
    image = nibabel.Nifti1Image((VOXELS > 500).astype(np.uint8), np.eye(4))
    nifti(tmp_path / "d" / "v.nii", VOXELS)
    (tmp_path / "d" / "masks").mkdir()
    flip = nibabel.orientations.axcodes2ornt("LPS")
    nibabel.save(image.as_reoriented(flip), tmp_path / "d" / "masks" / "v.nii")
    data = open_dataset(tmp_path / "d", presentation=FULL)
    # padding is the darkest value of the border, below 500
    np.testing.assert_array_equal(data.mask_images()[0], data.images()[:, 0] > 1e-3)


def test_other_masks_are_refused(tmp_path):
    nifti(tmp_path / "d" / "v.nii", VOXELS)
    nifti(tmp_path / "d" / "masks" / "v.nii", np.ones((10, 12, 7), np.uint8))
    with pytest.raises(DataError, match=r"has 7 slice\(s\), its image has 14; give a mask"):
        open_dataset(tmp_path / "d")
    (tmp_path / "d" / "masks" / "v.nii").unlink()
    Image.fromarray(np.zeros((12, 10), np.uint8)).save(tmp_path / "d" / "masks" / "v.png")
    with pytest.raises(DataError, match=r"has 1 slice\(s\), its image has 14; give a mask"):
        open_dataset(tmp_path / "d")
    (tmp_path / "d" / "masks" / "v.png").unlink()
    nifti(tmp_path / "d" / "masks" / "v.nii", np.ones((10, 12, 28), np.uint8))
    with pytest.raises(DataError, match=r"has 28 slice\(s\), its image has 14; give a mask"):
        open_dataset(tmp_path / "d")


def test_a_mask_at_another_place_is_refused(tmp_path):
    image, mask = tmp_path / "d" / "v.nii", tmp_path / "d" / "masks" / "v.nii"
    lesion = (VOXELS > 500).astype(np.uint8)
    nifti(image, VOXELS)
    moved = np.eye(4)
    for shift, refused in ((1e-3, False), (0.5, True), (100, True)):
        moved[1, 3] = shift
        nifti(mask, lesion, moved)
        if refused:
            sentence = f"lies up to {shift:g} mm from its image, as their headers say; resample"
            with pytest.raises(DataError, match=sentence):
                open_dataset(tmp_path / "d")
        else:
            assert open_dataset(tmp_path / "d").has_mask.all()
    nifti(mask, lesion, np.diag([1.1, 1, 1, 1]))
    with pytest.raises(DataError, match=r"lies up to 0\.9 mm from its image"):
        open_dataset(tmp_path / "d")
    nibabel.save(nibabel.Nifti1Image(lesion, None), mask)
    with pytest.raises(DataError, match=r"v\.nii does not say how the patient lies .* its image"):
        open_dataset(tmp_path / "d")
    nibabel.save(nibabel.Nifti1Image(VOXELS, None), image)
    assert open_dataset(tmp_path / "d").has_mask.all(), "neither says it"


def test_a_slice_of_every_volume(volumes):
    data = open_dataset(volumes, presentation=Presentation(slice=3))
    assert len(data) == 10
    assert all(name.endswith("-axial-03") for name in data.names.tolist())


def test_volumes_in_patients_folders_share_a_group(tmp_path):
    for name in ("t1", "t2"):
        nifti(tmp_path / "d" / "healthy" / "ann" / f"{name}.nii", VOXELS)
    assert set(open_dataset(tmp_path / "d").groups.tolist()) == {"ann"}


def test_a_table_of_volumes(tmp_path):
    nifti(tmp_path / "v.nii", VOXELS)
    (tmp_path / "set.csv").write_text("path,label,frame\nv.nii,0,1\nv.nii,1,7\n")
    data = open_dataset(tmp_path / "set.csv")
    assert data.names.tolist() == ["v-axial-01", "v-axial-07"]
    assert data.labels.tolist() == [0, 1]
    assert set(data.groups.tolist()) == {"v.nii"}


def test_a_volume_whose_path_is_spelt_in_two_ways_is_one_group(tmp_path):
    (tmp_path / "sub").mkdir()
    nifti(tmp_path / "v.nii", VOXELS)
    rows = f"v.nii,0,1\n./v.nii,0,2\nsub/../v.nii,1,3\n{tmp_path / 'v.nii'},1,4\n"
    (tmp_path / "set.csv").write_text(f"path,label,frame\n{rows}")
    assert open_dataset(tmp_path / "set.csv").groups.tolist() == ["v.nii"] * 4


# Bad input


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read_image(path, **options)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


def test_nan(tmp_path):
    voxels = VOXELS.astype(np.float32)
    voxels[1, 2, 3] = np.nan
    voxels[4, 2, 3] = np.inf
    said = refused(nifti(tmp_path / "v.nii", voxels))
    assert "2 of its 1680 voxels are NaN or infinite; replace them" in said


def edited(path, offset, layout, *numbers):
    """Change bytes of a header (348 bytes of NIfTI-1)."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, *numbers)
    path.write_bytes(content)
    return path


def test_zero_spacing(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS)
    edited(path, 252, "<hh", 1, 0)  # the quaternion alone
    edited(path, 80, "<f", 0.0)  # pixdim[1]
    assert "its voxel spacing is 0 x 1 x 1 mm; correct pixdim" in refused(path)


def test_parallel_axes(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS)
    for row in range(3):
        edited(path, 280 + 16 * row, "<4f", 1, 1, 1, 0)
    assert "no orientation; correct the affine" in refused(path)


def test_more_voxels_than_the_file_can_hold(tmp_path):
    path = nifti(tmp_path / "v.nii", VOXELS)
    edited(path, 42, "<3h", 400, 400, 400)
    assert "says that it holds 400 x 400 x 400 voxels, more than fit into it" in refused(path)
    packed = tmp_path / "v.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert "more than fit into it" in refused(packed)
    edited(path, 42, "<3h", 32767, 32767, 2)
    assert "32767 x 32767 x 2 voxels, more than can be read" in refused(path)


@pytest.mark.parametrize(
    ("voxels", "sentence"),
    [
        (VOXELS.astype(np.complex64), "are of the type 'complex64', no plain numbers"),
        (np.zeros((4, 4, 4, 1, 3), np.float32), "4 x 4 x 4 x 1 x 3; a volume, or several, have"),
        (np.zeros(7, np.float32), "a volume, or several, have 3 or 4 dimensions"),
        (np.full((4, 4, 4), 7, np.int16), "shows nothing: it is one grey all over"),
    ],
)
def test_voxels_that_cannot_be_shown(tmp_path, voxels, sentence):
    assert sentence in refused(nifti(tmp_path / "v.nii", voxels))


def test_damaged_and_foreign_files(tmp_path):
    whole = nifti(tmp_path / "v.nii", VOXELS).read_bytes()
    path = tmp_path / "cut.nii"
    for content in (b"", b"hello", whole[:100], whole[:400], b"\0" * 1000):
        path.write_bytes(content)
        refused(path)
    packed = tmp_path / "cut.nii.gz"
    for content in (b"", whole, gzip.compress(whole)[:-200]):
        packed.write_bytes(content)
        refused(packed)
    assert "does not exist; check the path" in refused(tmp_path / "nowhere.nii")


def test_without_nibabel(tmp_path, monkeypatch):
    path = nifti(tmp_path / "v.nii", VOXELS)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'medxgan\[nifti\]'"):
        read_image(path)
