"""``medxgan evaluate`` on real files, as a user would run it."""

import csv
import json
import shutil

import numpy as np
import pytest

from conftest import make_bundle
from medxgan.bundle import save_bundle
from medxgan.classifiers import load_classifier
from medxgan.data import open_dataset
from medxgan.evaluate import positives
from medxgan.evaluate.output import writing
from medxgan.loader import load

QUICK = ("--codes", 2, "--methods", "difference,ig", "--device", "cpu")


def test_evaluate(medxgan, tmp_path, tiny_bundle, phantom_archive, other_classifier_file):
    out = tmp_path / "deep" / "out"
    outcome = medxgan(
        *("evaluate", tiny_bundle, phantom_archive, "--out", out, *QUICK),
        *("--oracle", other_classifier_file, "--seed", 5),
    )
    assert outcome.code == 0
    test = open_dataset(phantom_archive).select("test")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n"] == len(test)
    assert metrics["measured"]["data"] == "phantoms.npz"
    measured = metrics["measured"]
    assert (measured["split"], measured["seed"], measured["codes"]) == ("test", 5, 2)
    assert measured["oracle"] == load_classifier(other_classifier_file).fingerprint[:12]
    assert measured["inversion steps"] == 0
    assert (measured["integration steps"], measured["controls"]) == (32, True)
    assert metrics["counterfactual"]["oracle_before"]["value"] is not None
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * metrics["predictions"]["called_positive"]
    assert {row["name"] for row in rows} <= set(test.names.tolist())

    assert f"Classifying: {len(test)} of {len(test)} images" in outcome.err
    assert "Explaining positives" in outcome.err
    heads = "method pointing precision smoothed IoU Dice concentration 5 % σ 0.1 sanity seconds"
    table = outcome.out.splitlines()
    assert table[0].startswith("Warning: This bundle explains badly: on held-out images only 50 %")
    assert table[4].split() == heads.split()
    assert [line.split()[0] for line in table[5:7]] == ["difference", "ig"]
    assert "*: best of its column" in outcome.out
    assert "transfer validity" in outcome.out
    assert f"{len(metrics['controls']['not_beaten'])} of 1" in outcome.out
    assert "comparisons that could be made" in outcome.out
    assert outcome.out.endswith(
        f"Figures written to {out}: metrics.json, metrics.csv, and pictures in figures.\n"
        f"Report written to {out / 'report.html'}; open it in a browser.\n"
    )
    assert {path.name for path in out.iterdir()} == {
        *("metrics.json", "metrics.csv", "report.html", "figures", "parts"),
    }


def test_interrupted_evaluation_goes_on(
    medxgan, tmp_path, tiny_bundle, phantom_archive, monkeypatch
):
    arguments = ("evaluate", tiny_bundle, phantom_archive, "--out", tmp_path, *QUICK)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(positives, "explain_positives", interrupted)
    outcome = medxgan(*arguments)
    assert outcome.code == 130
    assert outcome.out == (
        f"Stopped; what is measured is kept in {tmp_path}. Run the same command to go on.\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"parts"}

    refused = medxgan(*arguments, "--seed", 6)
    assert refused.code == 2
    assert refused.err.endswith(
        f"Error: {tmp_path} holds another evaluation (seed: 12345, now 6); choose another --out, "
        "or remove parts and metrics.json there\n"
    )

    monkeypatch.undo()
    finished = medxgan(*arguments, "--quiet")
    assert (finished.code, finished.out, finished.err) == (0, "", "")
    assert (tmp_path / "metrics.json").is_file()


def test_interrupted_report_says_what_is_kept(
    medxgan, tmp_path, tiny_bundle, phantom_archive, monkeypatch
):
    out = tmp_path / "out"
    arguments = ("evaluate", tiny_bundle, phantom_archive, "--out", out, *QUICK, "--no-controls")

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "drawn", interrupted)
    outcome = medxgan(*arguments)
    assert outcome.code == 130
    assert outcome.out == (
        f"Stopped; all is measured and kept in {out}. Run the same command to write the report.\n"
    )
    assert {path.name for path in out.iterdir()} == {"parts"}
    monkeypatch.undo()
    monkeypatch.setattr(positives, "explain_positives", interrupted)
    assert medxgan(*arguments, "--quiet") == (0, "", "")
    assert (out / "report.html").is_file()


def test_finished_evaluation_is_not_overwritten_by_another(
    medxgan, tmp_path, tiny_bundle, phantom_archive, monkeypatch
):
    arguments = ("evaluate", tiny_bundle, phantom_archive, "--out", tmp_path, *QUICK)
    assert medxgan(*arguments, "--no-controls", "--quiet").code == 0
    before = (tmp_path / "metrics.json").read_bytes()

    other = medxgan(*arguments, "--codes", 3)
    assert (other.code, other.out) == (2, "")
    assert "holds another evaluation (codes: 2, now 3; controls: no, now yes); " in other.err
    assert (tmp_path / "metrics.json").read_bytes() == before

    def measured_anew(*arguments: object) -> None:
        pytest.fail("all is measured")

    monkeypatch.setattr(positives, "explain_positives", measured_anew)
    (tmp_path / "report.html").unlink()
    again = medxgan(*arguments, "--no-controls")
    assert again.code == 0
    assert "Note: this evaluation was finished before, with the same settings; " in again.err
    assert (tmp_path / "metrics.json").read_bytes() == before
    assert (tmp_path / "report.html").is_file()

    shutil.rmtree(tmp_path / "parts")
    unknown = medxgan(*arguments, "--no-controls")
    assert (unknown.code, unknown.out) == (2, "")
    assert "holds a finished evaluation without the folder parts" in unknown.err


def test_split_without_positives_is_refused_before_any_work(
    medxgan, tmp_path, tiny_bundle, phantom_archive
):
    """The classifier is asked which images are positive; those make up the training split."""
    explainer = load(tiny_bundle, device="cpu")
    images = open_dataset(phantom_archive)
    positive = explainer.classifier(images.images())[:, 1] >= 0.5
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        kept = {key: arrays[key] for key in ("images", "labels")}
    split = np.where(positive.numpy(), 0, 2).astype(np.uint8)
    np.savez(tmp_path / "set.npz", **kept, split=split)
    arguments = ("evaluate", tiny_bundle, tmp_path / "set.npz", "--out", tmp_path / "out", *QUICK)
    outcome = medxgan(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Drawing from the prior" not in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("Error")]
    assert f"calls none of the {int((~positive).sum())} images 'lesion'" in line
    assert "choose another --split (train, val or all), or give images of that class" in line
    assert not (tmp_path / "out").exists()
    assert medxgan(*arguments, "--split", "all", "--no-controls", "--quiet").code == 0


def test_without_controls_and_without_a_test_set(medxgan, tmp_path, tiny_bundle, phantom_archive):
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        kept = {key: arrays[key][:12] for key in ("images", "labels")}
    kept["labels"] = kept["labels"].astype(np.int64)
    kept["labels"][0] = -1
    np.savez(tmp_path / "set.npz", **kept, split=np.ones(12, dtype=np.uint8))
    outcome = medxgan(
        *("evaluate", tiny_bundle, tmp_path / "set.npz", "--out", tmp_path / "out", *QUICK),
        "--no-controls",
    )
    assert outcome.code == 0
    assert "Note: 1 of 12 images are unlabelled and left out\n" in outcome.err
    assert "No control was measured." in outcome.out
    assert "intervals from fewer than 10 images mean little.\n" in outcome.out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["n"], metrics["measured"]["split"]) == (11, "all")
    assert metrics["controls"]["random_map"]["localization"]["iou"]["value"] is None


def test_classifier_that_the_bundle_does_not_hold(
    medxgan, tmp_path, balanced_classifier, classifier_file, phantom_archive
):
    bundle = make_bundle(balanced_classifier(0))
    record = bundle.manifest.classifier.model_copy(update={"architecture": None})
    manifest = bundle.manifest.model_copy(update={"classifier": record})
    save_bundle(tmp_path / "bundle", bundle._replace(manifest=manifest))
    arguments = ("evaluate", tmp_path / "bundle", phantom_archive, "--out", tmp_path / "out")
    refused = medxgan(*arguments, *QUICK)
    assert refused.code == 2
    accepted = medxgan(*arguments, *QUICK, "--classifier", classifier_file, "--quiet")
    assert accepted.code == 0


def test_refining_brings_reconstructions_nearer(medxgan, tmp_path, tiny_bundle, phantom_archive):
    errors = []
    for steps in (0, 3):
        out = tmp_path / str(steps)
        arguments = ("evaluate", tiny_bundle, phantom_archive, "--out", out, *QUICK, "--quiet")
        assert medxgan(*arguments, "--refine", steps).code == 0
        metrics = json.loads((out / "metrics.json").read_text())
        errors.append(metrics["reconstruction"]["mse"]["value"])
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "brain-fantom"}, "brain-phantom"),
        ({"data": "nowhere.npz"}, "nowhere.npz does not exist; check the path"),
        ({"out": "occupied"}, "is in the way; choose another --out"),
        ({"--split": "tset"}, "no split is named 'tset'; did you mean 'test'?"),
        ({"--methods": "difference,igg"}, "igg"),
        ({"--codes": "0"}, "Error: codes must be at least 1, got 0"),
        ({"--seed": "-1"}, "Error: seed must be 0 to 4294967295, got -1"),
        ({"--refine": "-1"}, "Error: refine must be at least 0, got -1"),
        ({"--device": "abacus"}, "abacus"),
        ({"--oracle": "same"}, "the oracle has the same weights as the explained classifier"),
        ({"--oracle": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    medxgan, tmp_path, tiny_bundle, phantom_archive, classifier_file, changes, message
):
    (tmp_path / "occupied").write_text("")
    changes = {
        name: {"occupied": tmp_path / "occupied", "same": classifier_file}.get(value, value)
        for name, value in changes.items()
    }
    places = {"bundle": tiny_bundle, "data": phantom_archive, "out": tmp_path / "out"} | changes
    options = [word for name in changes if name.startswith("--") for word in (name, changes[name])]
    outcome = medxgan(
        *("evaluate", places["bundle"], places["data"], "--out", places["out"], *QUICK, *options)
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err.splitlines()[-1]
    assert "Usage" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_split_without_images(medxgan, tmp_path, tiny_bundle, phantom_archive):
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        kept = {key: arrays[key] for key in ("images", "labels")}
    np.savez(tmp_path / "set.npz", **kept, split=np.ones(len(kept["labels"]), dtype=np.uint8))
    outcome = medxgan(
        *("evaluate", tiny_bundle, tmp_path / "set.npz", "--split", "test"),
        *("--out", tmp_path / "out"),
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert "no 'test' images" in outcome.err


def test_another_size_is_brought_to_that_of_the_bundle(medxgan, tmp_path, tiny_bundle):
    medxgan("phantom", tmp_path / "set.npz", "--count", 20, "--size", 48, "--quiet")
    outcome = medxgan(
        *("evaluate", tiny_bundle, tmp_path / "set.npz", "--split", "all"),
        *("--out", tmp_path / "out", *QUICK, "--no-controls"),
    )
    assert outcome.code == 0
    assert "resized to 32 x 32 pixels" in outcome.err
