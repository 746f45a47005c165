"""``medxgan evaluate`` on real files, as a user would run it."""

import csv
import json
import os
import signal

import numpy as np
import pytest

from conftest import make_bundle
from medxgan.bundle import save_bundle
from medxgan.data import open_dataset
from medxgan.evaluate import positives

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
    assert (metrics["measured"]["split"], metrics["measured"]["seed"]) == ("test", 5)
    assert metrics["counterfactual"]["oracle_before"]["value"] is not None
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * metrics["predictions"]["called_positive"]
    assert {row["name"] for row in rows} <= set(test.names.tolist())

    assert f"Classifying: {len(test)} of {len(test)} images" in outcome.err
    assert "Explaining positives" in outcome.err
    heads = "method pointing precision smoothed IoU Dice concentration 5 % σ 0.1 sanity seconds"
    table = outcome.out.splitlines()
    assert table[2].split() == heads.split()
    assert [line.split()[0] for line in table[3:5]] == ["difference", "ig"]
    assert "*: best of its column" in outcome.out
    assert "transfer validity" in outcome.out
    assert "Not beaten:" in outcome.out or "Every control is beaten, in all" in outcome.out
    assert outcome.out.endswith(
        f"Figures written to {out}: metrics.json, metrics.csv, and pictures in figures.\n"
        f"Report written to {out / 'report.html'}; open it in a browser.\n"
    )
    assert {path.name for path in out.iterdir()} == {
        *("metrics.json", "metrics.csv", "report.html", "figures"),
    }


def test_interrupted_evaluation_goes_on(
    medxgan, tmp_path, tiny_bundle, phantom_archive, monkeypatch
):
    arguments = ("evaluate", tiny_bundle, phantom_archive, "--out", tmp_path, *QUICK)

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(positives, "explain_positives", interrupted)
    outcome = medxgan(*arguments)
    assert outcome.code == 130
    assert outcome.out == (
        f"Stopped; what is measured is kept in {tmp_path}. Run the same command to go on.\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"parts"}

    refused = medxgan(*arguments, "--seed", 6)
    assert refused.code == 2
    assert "holds parts of a measuring with another setting" in refused.err

    monkeypatch.undo()
    kept = medxgan(*arguments, "--no-controls", "--quiet")
    assert kept.code == 2
    finished = medxgan(*arguments, "--quiet")
    assert (finished.code, finished.out, finished.err) == (0, "", "")
    assert not (tmp_path / "parts").exists()
    assert (tmp_path / "metrics.json").is_file()


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
        ({"--codes": "0"}, "--codes"),
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
