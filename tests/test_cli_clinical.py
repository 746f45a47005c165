"""DICOM and NIfTI files through the commands, with --window, --axis, --slice and --volume."""

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from clinical import dicom, nifti
from medxgan.data import Presentation, Window, read_image
from medxgan.errors import ConfigError
from medxgan.explanations import Explanations
from medxgan.loader import load
from medxgan.types import Explanation
from medxgan.viewer.saved import SavedFolder
from viewer_cases import viewer_of

RNG = np.random.default_rng(0)
QUICK = ("--methods", "difference", "--frames", 2)


def explained(out: Path) -> list[str]:
    """Names in the table that ``explain`` wrote."""
    with (out / "explanations.csv").open(newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


@pytest.fixture
def scan(tmp_path) -> Path:
    return dicom(tmp_path / "scan.dcm", RNG.integers(0, 1000, (32, 32)).astype(np.uint16))


@pytest.fixture
def volume(tmp_path) -> Path:
    return nifti(tmp_path / "brain.nii.gz", RNG.integers(0, 1000, (32, 24, 6)).astype(np.int16))


def test_explain_a_ct_in_a_window(medxgan, tmp_path, tiny_bundle, scan):
    outcome = medxgan(
        *("explain", tiny_bundle, scan, "--window", "-100,1000", "--out", tmp_path / "out"), *QUICK
    )
    assert outcome.code == 0, outcome.err
    assert explained(tmp_path / "out") == ["scan"]
    assert "Note: image windowed to centre -100, width 1000" in outcome.err
    assert "centre -100, width 1000" in (tmp_path / "out" / "report.html").read_text()


def test_the_viewers_ruler_knows_the_spacing_of_saved_explanations(medxgan, tmp_path, tiny_bundle):
    """CTs of 64 x 48 pixels, padded to a square and halved: one of 0.4 mm, one that says none."""
    pixels = RNG.integers(0, 1000, (64, 48)).astype(np.uint16)
    known = dicom(tmp_path / "known.dcm", pixels, PixelSpacing=[0.4, 0.4])
    unknown = dicom(tmp_path / "unknown.dcm", pixels)
    out = tmp_path / "out"
    outcome = medxgan("explain", tiny_bundle, known, unknown, "--out", out, *QUICK)
    assert outcome.code == 0, outcome.err
    facts = {
        name: json.loads((out / name / "explanation.json").read_text()) for name in explained(out)
    }
    assert facts["known"]["spacing"] == pytest.approx([0.8, 0.8])
    assert facts["unknown"]["spacing"] is None
    folder = SavedFolder(out)
    client = viewer_of(folder)
    served = [client.get(f"/api/explanations/{entry.id}").json() for entry in folder.entries()]
    assert served[0]["name"] == "known" and served[0]["spacing"] == pytest.approx([0.8, 0.8])
    assert served[1]["name"] == "unknown" and served[1]["spacing"] is None


def test_explain_the_best_slice_of_a_volume(medxgan, tmp_path, tiny_bundle, volume):
    outcome = medxgan("explain", tiny_bundle, volume, "--out", tmp_path / "best", *QUICK)
    assert outcome.code == 0, outcome.err
    (best,) = explained(tmp_path / "best")
    assert f"{best} is the best of 6 slices of" in outcome.err
    medxgan("explain", tiny_bundle, volume, "--slice", "all", "--out", tmp_path / "all", *QUICK)
    names = explained(tmp_path / "all")
    assert names == [f"brain-axial-0{number}" for number in range(1, 7)]
    with (tmp_path / "all" / "explanations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {row["name"]: float(row["score_image"]) for row in rows}
    assert scores[best] == max(scores.values())


@pytest.fixture
def cine(tmp_path) -> Path:
    """Three frames, of which the second is one grey all over."""
    pixels = RNG.integers(0, 1000, (3, 32, 32)).astype(np.uint16)
    pixels[1] = 500
    return dicom(tmp_path / "cine.dcm", pixels)


@pytest.mark.filterwarnings("ignore::UserWarning")  # notes on how the files are shown
class TestPythonTakesWhatTheCommandTakes:
    @pytest.fixture(scope="class")
    def explain(self, tiny_bundle):
        return partial(load(str(tiny_bundle)).explain, methods=("difference",), frames=2)

    @pytest.mark.parametrize("kind", ["scan", "volume", "cine"])
    def test_of_each_kind_of_file(self, medxgan, tmp_path, tiny_bundle, explain, request, kind):
        path = request.getfixturevalue(kind)
        outcome = medxgan("explain", tiny_bundle, path, "--out", tmp_path / "out", *QUICK)
        assert outcome.code == 0, outcome.err
        found = explain(path)
        several = kind == "cine"
        assert isinstance(found, Explanations if several else Explanation)
        names = [one.name for one in found] if several else [found.name]
        assert names == explained(tmp_path / "out")

    def test_a_presentation_is_applied(self, explain, volume, cine):
        every = explain(volume, presentation=Presentation(slice="all"))
        assert [one.name for one in every] == [f"brain-axial-0{number}" for number in range(1, 7)]
        third = explain(cine, presentation=Presentation(window=Window(200, 100), slice=3))
        assert isinstance(third, Explanation) and third.name == "cine-frame-03"
        assert torch.equal(third.image, read_image(cine, window=(200, 100), frame=3).image)

    def test_where_it_has_no_use_it_is_refused(self, explain, scan):
        with pytest.raises(ConfigError, match="--axis is for NIfTI volumes, of which there are"):
            explain(scan, presentation=Presentation(axis="axial"))
        with pytest.raises(ConfigError, match="and the images are a tensor; leave it out"):
            explain(torch.zeros(1, 32, 32), presentation=Presentation(window=Window(40, 400)))


def test_explain_a_slice_along_an_axis(medxgan, tmp_path, tiny_bundle, volume):
    outcome = medxgan(
        *("explain", tiny_bundle, volume, "--axis", "coronal", "--slice", 7),
        *("--out", tmp_path / "out", *QUICK),
    )
    assert outcome.code == 0, outcome.err
    assert explained(tmp_path / "out") == ["brain-coronal-07"]


@pytest.fixture
def volumes(tmp_path) -> Path:
    for patient in range(12):
        label = "tumour" if patient % 2 else "healthy"
        voxels = RNG.integers(0, 500, (16, 16, 4)) + 500 * (patient % 2)
        voxels[0] = 0
        nifti(tmp_path / "scans" / label / f"p{patient}.nii.gz", voxels.astype(np.int16))
    return tmp_path / "scans"


def test_fit_on_volumes(medxgan, tmp_path, volumes):
    out = tmp_path / "model.safetensors"
    outcome = medxgan(
        *("fit-classifier", volumes, "--size", 32, "--epochs", 1, "--slice", 2),
        *("--window", "500,1000", "--out", out),
    )
    assert outcome.code == 0, outcome.err
    assert "12 of 12 images windowed to centre 500, width 1000" in outcome.err
    assert "made one by group, seed 0: 8 train, 2 val, 2 test" in outcome.err


def test_evaluate_takes_the_best_slice_of_each_volume(medxgan, tmp_path, volumes, tiny_bundle):
    explainer = load(str(tiny_bundle))
    best = explainer.open_dataset(volumes, Presentation(slice="best"))
    every = explainer.open_dataset(volumes)
    evidence = explainer.presentation().score(every.images())
    for name, group in zip(best.names, best.groups, strict=True):
        inside = np.flatnonzero(every.groups == group)
        assert len(inside) == 4
        assert every.names[inside[int(evidence[inside].argmax())]] == name
    outcome = medxgan(
        *("evaluate", tiny_bundle, volumes, "--split", "all", "--slice", "best", "--codes", 8),
        *("--no-controls", "--methods", "difference", "--out", tmp_path / "figures"),
    )
    assert "the best slice of 12 volumes or series: most evidence" in outcome.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--window", "wide"), "a window is CENTRE,WIDTH"),
        (("--axis", "axial"), "--axis is for NIfTI volumes, of which there are none"),
        (("--slice", "0"), "--slice must be a number from 1, best or all, got '0'"),
    ],
)
def test_mistakes(medxgan, tmp_path, tiny_bundle, scan, options, sentence):
    outcome = medxgan("explain", tiny_bundle, scan, *options, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["explain", "evaluate", "audit"])
def test_reports_do_not_lie_among_the_images(medxgan, tmp_path, tiny_bundle, scan, command):
    """Their pictures and DICOM objects would be read as images the next time."""
    out = tmp_path / "new" / "report"
    outcome = medxgan(command, tiny_bundle, scan.parent, "--out", out)
    assert outcome.code == 2
    assert "--out must not lie in the folder that is read" in outcome.err
    assert not out.parent.exists()


def test_the_best_slice_needs_a_classifier(medxgan, tmp_path, volumes):
    out = tmp_path / "model.safetensors"
    outcome = medxgan("fit-classifier", volumes, "--slice", "best", "--out", out)
    assert outcome.code == 2
    assert "--slice best takes the slice of most evidence for the class" in outcome.err
