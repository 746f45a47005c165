"""The command line: each command on real files, as a user would run it."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from shutil import copy

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SPEC, make_bundle
from medxgan import demo, progress
from medxgan.bundle import record_classifier, save_bundle
from medxgan.classifiers import TorchClassifier, load_classifier
from medxgan.cli import main
from medxgan.config import load_settings, settings_to_toml
from medxgan.console import sentence_of
from medxgan.data import open_dataset
from medxgan.errors import OutputError
from medxgan.fitting import chance_note
from medxgan.output import check_writable_file, check_writable_folder
from medxgan.report.saving import SCORES
from medxgan.version import __version__

TINY = ("--preset", "tiny", "--set", "run.images=32", "--set", "run.log_every=16")


def test_version_and_help(medxgan):
    assert medxgan("--version").out == f"medxgan {__version__}\n"
    listed = medxgan("--help")
    assert listed.code == 0
    for command in ("demo", "phantom", "fit-classifier", "train", "explain", "inspect"):
        assert command in listed.out
        assert medxgan(command, "--help").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explian"], "explian"),
        (["train"], "DATA"),
        (["phantom", "x", "--count", "many"], "--count"),
        (["demo", "--seed", "-1"], "seed must be 0 to 4294967295, got -1"),
    ],
)
def test_wrong_usage_exits_with_2(medxgan, arguments, message):
    outcome = medxgan(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err.splitlines()[-1]


def test_as_a_program():
    """One real process: exit code and streams are as promised."""
    ended = subprocess.run(
        [sys.executable, "-m", "medxgan.cli", "inspect", "nowhere.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: nowhere.png does not exist; check the path")
    assert ended.stderr.count("\n") == 1


def test_a_wrong_path_is_said_before_anything_is_loaded():
    """Importing PyTorch takes seconds on a cold disk."""
    command = "import sys; from medxgan.cli import main; sys.modules['torch'] = None; main()"
    ended = subprocess.run(
        [sys.executable, "-c", command, "inspect", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.startswith("Error: nowhere does not exist; check the path")


@pytest.mark.parametrize("name", ["set.npz", "set"])
def test_phantom(medxgan, tmp_path, name):
    out = tmp_path / name
    outcome = medxgan("phantom", out, "--count", 40, "--size", 32, "--kind", "chest", "--seed", 3)
    assert outcome.code == 0
    assert f"40 phantoms (20 with a lesion) written to {out}." in outcome.out
    assert "Writing: 40 of 40 subjects" in outcome.err
    data = open_dataset(out)
    assert (len(data), data.size, data.has_twins) == (40, 32, True)


def test_fit_classifier(medxgan, tmp_path, phantom_archive):
    out = tmp_path / "deep" / "classifier.safetensors"
    outcome = medxgan("fit-classifier", phantom_archive, "--out", out, "--epochs", 2, "--seed", 1)
    assert outcome.code == 0
    assert "Fitting: 2 of 2 epochs" in outcome.err
    assert outcome.out.splitlines()[0].split() == [
        *["images", "accuracy", "balanced", "accuracy", "AUC"]
    ]
    assert outcome.out.endswith(f"Classifier written to {out}.\n")
    measured = load_classifier(out).measured
    assert (measured["data"], measured["seed"]) == ("phantoms.npz", 1)
    test = open_dataset(phantom_archive).select("test")
    assert measured["test"]["n"] == len(test)


def test_fit_classifier_says_once_that_it_resized(medxgan, tmp_path, phantom_archive):
    out = tmp_path / "classifier.safetensors"
    options = ("--out", out, "--epochs", 1, "--size", 64, "--channels", 3)
    outcome = medxgan("fit-classifier", phantom_archive, *options)
    assert outcome.code == 0
    assert outcome.err.count("160 of 160 images resized to 64 x 64 pixels") == 1
    assert (load_classifier(out).spec.size, load_classifier(out).spec.channels) == (64, 3)


def test_fit_classifier_without_a_test_set_to_judge_on(medxgan, tmp_path, phantom_archive):
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        kept = {key: arrays[key] for key in ("images", "labels", "split")}
    keep = (kept["split"] < 2) | (kept["labels"] == 0)
    np.savez(tmp_path / "set.npz", **{key: values[keep] for key, values in kept.items()})
    out = tmp_path / "classifier.safetensors"
    outcome = medxgan("fit-classifier", tmp_path / "set.npz", "--out", out, "--epochs", 1)
    assert outcome.code == 0
    assert load_classifier(out).measured["test"] is None
    assert "validation" in outcome.out
    assert "\ntest" not in outcome.out


def test_fit_classifier_says_what_is_of_little_use(medxgan, tmp_path, monkeypatch):
    """A size that cannot be explained later, and answers that are guesses."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (80, 40, 40)).astype(np.uint8)
    np.savez(tmp_path / "noise.npz", images=images, labels=np.arange(80) % 2)
    out = tmp_path / "classifier.safetensors"
    monkeypatch.setattr("medxgan.fitting.CHANCE_BELOW", 1.1)
    outcome = medxgan("fit-classifier", tmp_path / "noise.npz", "--out", out, "--epochs", 1)
    assert outcome.code == 0
    assert outcome.err.count("will take images of 40 pixels, and medxgan train needs 32, 64") == 1
    assert outcome.err.count("hardly better than chance: AUC") == 1


def test_chance_is_said_below_the_limit(balanced_classifier):
    classifier = balanced_classifier(0)
    classifier.measured = {"validation": {"auc": 0.4}, "test": {"auc": 0.59}}
    assert "AUC 0.590 on the test images" in (chance_note(classifier) or "")
    classifier.measured = {"validation": {"auc": 0.6}, "test": None}
    assert chance_note(classifier) is None


def test_train_and_explain(
    medxgan, tmp_path, phantom_archive, classifier_file, other_classifier_file
):
    run, report = tmp_path / "run", tmp_path / "report"
    outcome = medxgan(
        *("train", phantom_archive, "--classifier", classifier_file, "--out", run, *TINY),
        *("--target", "lesion", "--oracle", other_classifier_file, "--licence", "CC0", "--seed", 4),
    )
    assert outcome.code == 0
    assert "Training: 32 of 32 images" in outcome.err
    assert "agreement" in outcome.err
    assert "agreement negative" in outcome.out
    assert f"Bundle written to {run}." in outcome.out
    assert "This bundle explains badly: on held-out" in outcome.err
    manifest = json.loads((run / "bundle.json").read_text())
    assert (manifest["data_licence"], manifest["training"]["seed"]) == ("CC0", 4)
    assert manifest["training"]["data"] == "phantoms.npz"
    assert manifest["oracle"]["fingerprint"] == load_classifier(other_classifier_file).fingerprint

    outcome = medxgan(
        *("explain", run, phantom_archive, "--split", "test", "--out", report),
        *("--methods", "difference,lig", "--frames", 3, "--refine", 2, "--start", "cold"),
    )
    assert outcome.code == 0
    test = open_dataset(phantom_archive).select("test")
    assert f"Explaining: {len(test)} of {len(test)} images" in outcome.err
    assert outcome.out.endswith(
        f"Report written to {report / 'report.html'}; open it in a browser.\n"
    )
    with (report / "explanations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == test.names.tolist()
    facts = json.loads((report / rows[0]["folder"] / "explanation.json").read_text())
    assert facts["methods"] == ["difference", "lig"]
    assert set(facts["scores"]) == set(SCORES)
    with np.load(report / rows[0]["folder"] / "explanation.npz", allow_pickle=False) as arrays:
        assert arrays["frames"].shape == (3, 1, 32, 32)
    page = (report / "report.html").read_text()
    assert "CC0" in page
    assert "Reconstructions called as their images are" in page
    assert "This bundle explains badly" in page


def test_interrupted_training_is_resumed(
    medxgan, tmp_path, phantom_archive, classifier_file, monkeypatch
):
    arguments = (
        "train",
        phantom_archive,
        "--classifier",
        classifier_file,
        "--out",
        tmp_path,
        *TINY,
    )

    def interrupting(report):
        def monitor(images, figures):
            if images == 8:
                os.kill(os.getpid(), signal.SIGINT)

        return monitor

    monkeypatch.setattr(progress, "training_monitor", interrupting)
    outcome = medxgan(*arguments)
    assert outcome.code == 130
    assert outcome.out == (
        f"Stopped after 16 images; checkpoint written to {tmp_path}.\n"
        "Run the same command with --resume to go on.\n"
    )
    assert not (tmp_path / "bundle.json").exists()
    found = medxgan("inspect", tmp_path)
    assert "a training run that is not finished" in found.out

    monkeypatch.undo()
    refused = medxgan(*arguments)
    assert (refused.code, "continue it with --resume" in refused.err) == (2, True)
    assert medxgan(*arguments, "--resume").code == 0
    assert (tmp_path / "bundle.json").is_file()


def test_ctrl_c_elsewhere_ends_quietly(medxgan, tmp_path, phantom_archive, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("medxgan.data.open_dataset", interrupted)
    outcome = medxgan("fit-classifier", phantom_archive, "--out", tmp_path / "c.safetensors")
    assert outcome.code == 130
    assert "Traceback" not in outcome.err


def test_quiet_prints_nothing(medxgan, tmp_path, phantom_archive, classifier_file, tiny_bundle):
    picture = tmp_path / "scan.png"
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(picture)
    run, fitted = tmp_path / "run", tmp_path / "c.safetensors"
    for arguments in (
        ("phantom", tmp_path / "set", "--count", 4, "--size", 32),
        ("fit-classifier", phantom_archive, "--out", fitted, "--epochs", 1),
        ("train", phantom_archive, "--classifier", classifier_file, "--out", run, *TINY),
        ("explain", tiny_bundle, picture, "--out", tmp_path / "report", "--methods", "difference"),
    ):
        assert medxgan(*arguments, "--quiet") == (0, "", "")


def test_explain_one_picture_of_another_size(medxgan, tmp_path, tiny_bundle):
    """Resized as the bundle needs it, said once; every map is there."""
    picture = tmp_path / "scan.png"
    Image.fromarray(np.arange(48 * 48 * 3).reshape(48, 48, 3).astype(np.uint8)).save(picture)
    outcome = medxgan("explain", tiny_bundle, picture, "--out", tmp_path / "report")
    assert outcome.code == 0
    assert outcome.err.count("image resized to 32 x 32 pixels") == 1
    assert outcome.err.count("image made grey from colour") == 1
    facts = json.loads((tmp_path / "report" / "scan" / "explanation.json").read_text())
    assert facts["methods"] == [
        "difference",
        "lig",
        "lig-transferred",
        "lig-published",
        "ig",
        "grad-cam",
    ]


def test_explain_writes_beside_other_files(medxgan, tmp_path, tiny_bundle, phantom_archive):
    (tmp_path / "thesis.txt").write_text("keep")
    options = ("--out", tmp_path, "--split", "val", "--methods", "difference")
    assert medxgan("explain", tiny_bundle, phantom_archive, *options).code == 0
    assert (tmp_path / "thesis.txt").read_text() == "keep"
    assert (tmp_path / "report.html").is_file()
    assert not list(tmp_path.glob(".*"))


def test_a_model_of_the_users_own(medxgan, tmp_path, phantom_archive, monkeypatch):
    """From code and weights to a bundle without them, which then asks for both."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 1))\n"
    )
    images = open_dataset(phantom_archive).images()
    weight = torch.linspace(-1, 1, 1024)[None] / 10
    answers = (images.flatten(1) + 1) / 2 @ weight[0]
    torch.save({"1.weight": weight, "1.bias": -answers.median()[None]}, tmp_path / "mine.pt")
    spec = SPEC.model_copy(update={"output": "binary_logit"})
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    model = ("--classifier", f"{tmp_path}/mine.py:build")
    parts = ("--weights", tmp_path / "mine.pt", "--spec", tmp_path / "spec.json")

    run, report = tmp_path / "run", tmp_path / "report"
    assert medxgan("train", phantom_archive, *model, *parts, "--out", run, *TINY).code == 0
    explain = ("explain", run, phantom_archive, "--split", "val", "--out", report)
    refused = medxgan(*explain)
    assert refused.code == 2
    assert "mine.py:build; give it with --classifier" in refused.err
    assert not report.exists()
    outcome = medxgan(*explain, *model, *parts)
    assert outcome.code == 0
    assert "skipped: grad-cam" in outcome.out
    assert "not inside" in medxgan("inspect", run).out


def test_demo(medxgan, tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.setattr(demo, "BUNDLE", str(tiny_bundle))
    outcome = medxgan("demo", "--out", tmp_path / "demo", "--seed", 3)
    assert outcome.code == 0
    assert "Done in " in outcome.out
    with (tmp_path / "demo" / "explanations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    facts = [
        json.loads((tmp_path / "demo" / row["folder"] / "explanation.json").read_text())
        for row in rows
    ]
    assert sum("mask.png" in fact["files"] for fact in facts) == 8
    assert all("occlusion" in fact["methods"] for fact in facts)


@pytest.mark.parametrize("command", ["explain", "evaluate", "audit"])
def test_the_best_slice_is_the_default_of_explain_alone(medxgan, command):
    described = " ".join(medxgan(command, "--help").out.split())
    assert ("By default best of a NIfTI file" in described) == (command == "explain")


def test_explanations_of_other_images_are_not_left_beside_new_ones(
    medxgan, tmp_path, tiny_bundle, monkeypatch
):
    pictures = [tmp_path / f"{name}.png" for name in ("ann", "bob")]
    for row, picture in enumerate(pictures):
        Image.fromarray(np.arange(row, 1024 + row, dtype=np.uint16).reshape(32, 32)).save(picture)
    out = tmp_path / "explained"
    options = ("--out", out, "--methods", "difference", "--quiet")
    assert medxgan("explain", tiny_bundle, pictures[0], *options).code == 0
    assert medxgan("explain", tiny_bundle, *pictures, *options).code == 0
    assert medxgan("explain", tiny_bundle, *pictures, *options).code == 0
    before = (out / "explanations.csv").read_bytes()
    outcome = medxgan("explain", tiny_bundle, pictures[0], *options)
    assert outcome.code == 2
    assert "holds 1 explanation of other images, of an earlier run" in outcome.err
    assert (out / "explanations.csv").read_bytes() == before
    monkeypatch.setattr(demo, "BUNDLE", str(tiny_bundle))
    outcome = medxgan("demo", "--out", out)
    assert outcome.code == 2 and "holds 2 explanations of other images" in outcome.err


def test_demo_subjects_are_fresh():
    first, again, other = (demo.demo_inputs(32, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(first.images, again.images, rtol=0, atol=0)
    assert not torch.equal(first.images, other.images)
    assert first.labels == [1] * 8 + [0] * 4


def test_inspect(medxgan, tmp_path, phantom_archive, classifier_file, tiny_bundle, monkeypatch):
    picture = tmp_path / "scan.png"
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(picture)
    medxgan("phantom", tmp_path / "folder", "--count", 8, "--size", 32, "--quiet")
    settings = tmp_path / "settings.toml"
    settings.write_text(settings_to_toml(load_settings("tiny")))
    spec = tmp_path / "spec.json"
    spec.write_text(SPEC.model_dump_json())
    weights = tmp_path / "weights.pt"
    torch.save({"layer.weight": torch.zeros(1000, 1000)}, weights)
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(flat / "scan.png")
    for place in ("inspection", "shipped"):
        name = f"medxgan.{place}.shipped_bundles"
        monkeypatch.setattr(name, lambda: {"shipped": tiny_bundle})
    monkeypatch.setattr("medxgan.inspection.find_bundle", lambda name: tiny_bundle)

    for source, expected in (
        (picture, ["is an image", "16 x 16 pixels", "grey", f"explain BUNDLE {picture} --out"]),
        (phantom_archive, ["data set in an archive", "160", "healthy, lesion", "split 'train'"]),
        (tmp_path / "folder", ["data set in folders", "known for 8 images", "fit-classifier"]),
        (flat, ["data set in folders", "unlabelled", "explain BUNDLE"]),
        (classifier_file, ["is a classifier", "cnn", "logits", "train DATA --classifier"]),
        (
            tiny_bundle,
            ["is a bundle", "held-out images", "none needed", "cnn", "inside", "explains badly"],
        ),
        (tiny_bundle / "bundle.json", ["is a bundle"]),
        ("shipped", ["is a bundle", "explain shipped IMAGE"]),
        (settings, ["settings of a training run", "tiny", "structure_code", "--config"]),
        (spec, ["a classifier's specification", "32 x 32 pixels", "--spec"]),
        (weights, ["weights of a model", "layer.weight", "1.00 million", "--weights"]),
    ):
        outcome = medxgan("inspect", source)
        assert (outcome.code, outcome.err) == (0, ""), outcome.err
        for words in expected:
            assert words in outcome.out


def test_inspect_a_description(medxgan, tmp_path, classifier_file):
    described = tmp_path / "model.toml"
    described.write_text(
        f'source = "cnn"\nweights = "{classifier_file}"\n[spec]\nsize = 32\n'
        'class_names = ["healthy", "lesion"]\nmean = [0.5]\nstd = [0.2]\n'
    )
    outcome = medxgan("inspect", described)
    assert outcome.code == 0
    assert "mean [0.5], standard deviation [0.2]" in outcome.out


def test_inspect_names_the_viewer_for_what_explain_wrote(medxgan, tmp_path, tiny_bundle):
    picture, out = tmp_path / "scan.png", tmp_path / "explained"
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(picture)
    quick = ("--methods", "difference", "--quiet")
    assert medxgan("explain", tiny_bundle, picture, "--out", out, *quick).code == 0
    outcome = medxgan("inspect", out)
    assert f"{out} is a folder of explanations." in outcome.out
    assert f"medxgan view {out}\n" in outcome.out
    assert f"medxgan view {out / 'scan'}\n" in medxgan("inspect", out / "scan").out
    # A data set into whose folder someone explained an image is still one.
    for table in out.glob("explanations.csv"):
        table.unlink()
    for label in ("healthy", "lesion"):
        (out / label).mkdir()
        copy(picture, out / label / "scan.png")
    assert "is a data set" in medxgan("inspect", out).out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.bmp", b"BM", r"of type '.bmp', which this program cannot use"),
        ("broken.toml", b"= 3", "is not a TOML file"),
        ("broken.json", b"{", "is not a JSON file"),
        ("other.json", b'{"a": 1}', "specification is wrong"),
        ("broken.pt", b"PK\x03\x04 cut short", "not a readable PyTorch weights file"),
        ("broken.safetensors", b"no", "not a readable safetensors file"),
        ("checkpoint.pt", b"no", "belongs to a training run; inspect its folder"),
        ("broken.png", b"no", "not a PNG, JPEG or TIFF image"),
        ("unknown.toml", b"[nonsense]\na = 1", "no section of settings is called 'nonsense'"),
    ],
)
def test_inspect_says_why_something_is_of_no_use(medxgan, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    outcome = medxgan("inspect", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_inspect_points_from_weights_to_their_bundle(medxgan, tiny_bundle):
    outcome = medxgan("inspect", tiny_bundle / "weights.safetensors")
    assert outcome.code == 2
    assert f"belongs to a bundle; inspect its folder {tiny_bundle}" in outcome.err


def test_a_bundle_without_its_classifier_is_inspected(medxgan, tmp_path, balanced_classifier):
    module = balanced_classifier(0).module
    own = TorchClassifier(module, SPEC, None, "models.py:build")
    save_bundle(tmp_path, make_bundle(own, "own"))
    assert record_classifier(own).included is False
    outcome = medxgan("inspect", tmp_path)
    assert outcome.code == 0
    assert "not inside (from models.py:build)" in outcome.out
    assert "--classifier MODEL" in outcome.out


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.busy("Reading scans"):
        pass
    with progress.progress("Training", 100, "images") as report:
        report(20, "agreement [0.5]")
        report(60, "agreement [0.9]")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "60 of 100 images" in printed.err
    assert "images/s" in printed.err
    assert "agreement [0.9]" in printed.err


def test_progress_elsewhere_is_a_line_at_each_milestone(capsys):
    with progress.progress("Training", 100, "images") as report:
        monitor = progress.training_monitor(report)
        monitor(10, {"agreement_negative": 0.5})
        monitor(20, {"images": 20, "agreement_negative": 0.75})
        monitor(30, {"images": 20, "agreement_negative": 0.75})
        monitor(40, {"images": 40, "agreement_negative": 1.0})
        monitor(100, {"measured": 0.1})
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "Training: 20 of 100 images",
        "Training: 40 of 100 images",
        "Training: 100 of 100 images",
    ]
    assert lines[1].endswith("agreement 1.00 negative")
    assert lines[2].endswith("measuring on held-out images, 10% done")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (OutputError("no room;\n make some"), "no room; make some"),
        (MemoryError(), "there is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "there is not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "there is no space left; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x cannot be read or written"),
    ],
)
def test_what_a_user_can_meet_is_a_sentence(fault, sentence):
    told = sentence_of(fault)
    assert told is not None
    assert told.startswith(sentence)


def test_our_own_faults_keep_their_traceback(monkeypatch):
    def broken(source, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("medxgan.inspection.inspect", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["inspect", "."])


def test_places_to_write_to(tmp_path):
    check_writable_folder(tmp_path / "new" / "run")
    check_writable_file(tmp_path / "new" / "c.safetensors", ".safetensors")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is in the way"):
        check_writable_folder(tmp_path / "file" / "run")
    with pytest.raises(OutputError, match=r"must name a \.safetensors file"):
        check_writable_file(tmp_path / "c.pt", ".safetensors")
    (tmp_path / "c.safetensors").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_writable_file(tmp_path / "c.safetensors", ".safetensors")
