"""DICOM and NIfTI files through the commands, with --window, --axis, --slice and --volume."""

import csv
from pathlib import Path

import numpy as np
import pytest

from clinical import dicom, nifti
from medxgan.data import Presentation, parse_presentation
from medxgan.explaining import open_shown
from medxgan.loader import load

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


def test_explain_the_best_slice_of_a_volume(medxgan, tmp_path, tiny_bundle, volume):
    outcome = medxgan("explain", tiny_bundle, volume, "--out", tmp_path / "best", *QUICK)
    assert outcome.code == 0, outcome.err
    (best,) = explained(tmp_path / "best")
    assert f"{best} is the slice on which the classifier is most sure, among 6" in outcome.err
    medxgan("explain", tiny_bundle, volume, "--slice", "all", "--out", tmp_path / "all", *QUICK)
    names = explained(tmp_path / "all")
    assert names == [f"brain-axial-0{number}" for number in range(1, 7)]
    with (tmp_path / "all" / "explanations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {row["name"]: float(row["score_image"]) for row in rows}
    assert scores[best] == max(scores.values())


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
    best = open_shown(explainer, volumes, parse_presentation(slice="best", may_score=True))
    every = open_shown(explainer, volumes, Presentation())
    evidence = explainer.classifier.log_odds(every.images(), explainer.target)
    for name, group in zip(best.names, best.groups, strict=True):
        inside = np.flatnonzero(every.groups == group)
        assert len(inside) == 4
        assert every.names[inside[int(evidence[inside].argmax())]] == name
    outcome = medxgan(
        *("evaluate", tiny_bundle, volumes, "--split", "all", "--slice", "best", "--codes", 8),
        *("--no-controls", "--methods", "difference", "--out", tmp_path / "figures"),
    )
    assert "12 volumes or series: the slice on which the classifier is most sure" in outcome.err


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
    assert "--slice best takes the slice on which a bundle's classifier is most sure" in outcome.err
