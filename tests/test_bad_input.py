"""What bad input gets: one sentence on standard error, exit code 2, nothing half-written."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SPEC, Command, make_bundle
from medxgan.bundle import save_bundle
from medxgan.classifiers import load_classifier

TINY = ("--preset", "tiny", "--set", "run.images=16")


@pytest.fixture
def refuses(medxgan: Command, tmp_path: Path) -> Callable[..., None]:
    """Run a command that writes to ``tmp_path/out`` and must be refused with these words."""
    before = tmp_path / "out"

    def run(*arguments: object, saying: str, out: Path = before) -> None:
        outcome = medxgan(*arguments, "--out", out)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        said = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
        assert outcome.err.splitlines()[-1:] == said
        assert saying in said[0]
        assert "Traceback" not in outcome.err
        assert not before.exists()
        assert not list(tmp_path.rglob("*.part"))

    return run


def picture(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = np.random.default_rng(len(str(path))).integers(0, 256, (32, 32)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def archive(path: Path, **arrays: np.ndarray) -> Path:
    """Twenty random images with labels 0, 1, 0, ...; ``arrays`` replace keys or add them."""
    random = np.random.default_rng(0)
    columns = {
        "images": random.integers(0, 256, (20, 32, 32)).astype(np.uint8),
        "labels": np.arange(20) % 2,
    }
    np.savez(path, **(columns | arrays))
    return path


def fit(data: Path) -> tuple[object, ...]:
    return ("fit-classifier", data, "--epochs", 1)


# Folders


def test_missing_folder(refuses, tmp_path, tiny_bundle, classifier_file):
    nowhere = tmp_path / "nowhere"
    for command in (
        ("explain", tiny_bundle, nowhere),
        ("train", nowhere, "--classifier", classifier_file),
    ):
        refuses(*command, saying=f"{nowhere} does not exist; check the path")
    fitted = tmp_path / "out.safetensors"
    refuses(*fit(nowhere), out=fitted, saying="does not exist; check the path")
    assert not fitted.exists()


def test_empty_folder(refuses, tmp_path, tiny_bundle, classifier_file):
    (tmp_path / "empty").mkdir()
    for command in (
        ("explain", tiny_bundle, tmp_path / "empty"),
        ("train", tmp_path / "empty", "--classifier", classifier_file),
    ):
        refuses(
            *command,
            saying="must hold PNG, JPEG, TIFF, DICOM or NIfTI images in class folders",
        )


# Labels


def test_one_class_only(refuses, tmp_path, one_class_archive):
    out = tmp_path / "out.safetensors"
    refuses(*fit(one_class_archive), out=out, saying="images of at least 2 classes are needed")
    for name in "abcdefghij":
        picture(tmp_path / "scans" / "healthy" / f"{name}.png")
    refuses(*fit(tmp_path / "scans"), out=out, saying="images of at least 2 classes are needed")
    assert not out.exists()


def test_one_answer_only(refuses, tmp_path, phantom_archive):
    """The classifier finds nothing positive: there is nothing to learn what positive means."""
    (tmp_path / "model.py").write_text(
        "import torch\n"
        "class Never(torch.nn.Module):\n"
        "    def forward(self, images):\n"
        "        return images.mean((1, 2, 3)) * 0 - 9\n"
    )
    spec = SPEC.model_copy(update={"output": "binary_logit"})
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    refuses(
        *("train", phantom_archive, "--classifier", f"{tmp_path}/model.py:Never"),
        *("--spec", tmp_path / "spec.json", *TINY),
        saying="that the classifier calls positive for 'lesion', got 0 of",
    )


@pytest.mark.parametrize(
    "labels", [np.arange(20) / 3, np.array(["sick", "well"] * 10)], ids=["fractions", "words"]
)
def test_labels_that_are_not_integers(refuses, tmp_path, labels, classifier_file):
    data = archive(tmp_path / "set.npz", labels=labels)
    refuses("train", data, "--classifier", classifier_file, *TINY, saying="must hold whole numbers")
    out = tmp_path / "out.safetensors"
    refuses(*fit(data), out=out, saying="'labels' must hold whole numbers")


def test_a_table_with_labels_that_are_not_integers(refuses, tmp_path, classifier_file):
    picture(tmp_path / "a.png")
    (tmp_path / "set.csv").write_text("path,label\na.png,0.5\n")
    command = ("train", tmp_path / "set.csv", "--classifier", classifier_file)
    refuses(*command, *TINY, saying="column 'label' must hold whole numbers")


# Images


def test_images_of_another_size_or_channel_count_are_brought_to_the_spec(
    medxgan, tmp_path, tiny_bundle, classifier_file
):
    """Not an error: resized, and said once."""
    random = np.random.default_rng(0)
    data = archive(
        tmp_path / "set.npz", images=random.integers(0, 256, (20, 48, 48, 3)).astype(np.uint8)
    )
    outcome = medxgan(
        *("explain", tiny_bundle, data, "--split", "val", "--out", tmp_path / "out"),
        *("--methods", "difference", "--frames", 2),
    )
    assert outcome.code == 0
    for change in ("resized to 32 x 32 pixels", "made grey from colour"):
        assert outcome.err.count(change) == 1


def test_images_that_differ_in_size(refuses, tmp_path):
    for row in range(6):
        side = 32 if row < 5 else 48
        pixels = np.random.default_rng(row).integers(0, 256, (side, side)).astype(np.uint8)
        picture(tmp_path / "scans" / ("sick" if row % 2 else "well") / f"{row}.png", pixels)
    out = tmp_path / "out.safetensors"
    refuses(*fit(tmp_path / "scans"), out=out, saying="give the size that all are to have")


def test_nan_image(refuses, tmp_path, tiny_bundle):
    images = np.random.default_rng(0).random((20, 32, 32), dtype=np.float32)
    images[3, 5, 5] = np.nan
    data = archive(tmp_path / "set.npz", images=images)
    refuses("explain", tiny_bundle, data, saying="images[3] holds NaN or infinite pixels")
    tiff = picture(tmp_path / "scan.tif", images[3])
    refuses("explain", tiny_bundle, tiff, saying="scan.tif holds NaN or infinite pixels")


def test_constant_image(refuses, tmp_path, tiny_bundle):
    black = picture(tmp_path / "black.png", np.zeros((32, 32), np.uint8))
    refuses("explain", tiny_bundle, black, saying="black.png is constant (every pixel is 0)")


def test_truncated_png(refuses, tmp_path, tiny_bundle, classifier_file):
    whole = picture(tmp_path / "scans" / "sick" / "whole.png")
    cut = tmp_path / "scans" / "well" / "cut.png"
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[:300])
    for source in (cut, tmp_path / "scans"):
        refuses("explain", tiny_bundle, source, saying="cut.png cannot be read as an image")
    train = ("train", tmp_path / "scans", "--classifier", classifier_file)
    refuses(*train, saying="cut.png cannot be read as an image")


def test_archive_without_the_keys(refuses, tmp_path, tiny_bundle, classifier_file):
    np.savez(tmp_path / "set.npz", pictures=np.zeros((3, 32, 32)))
    for command in (
        ("explain", tiny_bundle, tmp_path / "set.npz"),
        ("train", tmp_path / "set.npz", "--classifier", classifier_file),
    ):
        refuses(*command, saying="must hold 'images' (and 'labels')")


# Classifiers


@pytest.fixture
def own_model(tmp_path: Path) -> Callable[..., tuple[object, ...]]:
    """Options that name a model whose ``forward`` returns the given expression."""

    def build(returned: str, output: str = "logits") -> tuple[object, ...]:
        (tmp_path / "model.py").write_text(
            "import torch\n"
            "class Net(torch.nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.layer = torch.nn.Linear(1024, 2)\n"
            "    def forward(self, images):\n"
            "        rows = self.layer(images.flatten(1))\n"
            f"        return {returned}\n"
        )
        spec = SPEC.model_copy(update={"output": output})
        (tmp_path / "spec.json").write_text(spec.model_dump_json())
        return ("--classifier", f"{tmp_path}/model.py:Net", "--spec", tmp_path / "spec.json")

    return build


def test_weights_that_do_not_fit(refuses, tmp_path, phantom_archive, own_model):
    train = ("train", phantom_archive, *own_model("rows"), "--weights", tmp_path / "net.pt")
    torch.save({"layer.weight": torch.zeros(2, 1024)}, tmp_path / "net.pt")
    refuses(*train, saying="do not fit the model: they lack 'layer.bias'")
    torch.save(
        {"layer.weight": torch.zeros(2, 9), "layer.bias": torch.zeros(2)}, tmp_path / "net.pt"
    )
    refuses(*train, saying="'layer.weight' must be [2, 1024], got [2, 9]")


def test_weights_that_could_run_code(refuses, tmp_path, phantom_archive, own_model):
    torch.save({"model": Path("somewhere")}, tmp_path / "net.pt")
    train = ("train", phantom_archive, *own_model("rows"), "--weights", tmp_path / "net.pt")
    refuses(*train, saying="which could run code when opened and are refused")


@pytest.mark.parametrize(
    ("returned", "output", "message"),
    [
        ("rows * 9", "probabilities", "must lie in [0, 1], got values from"),
        ("rows.sigmoid()", "probabilities", "must sum to 1 over the classes"),
        ("rows.softmax(1)", "logits", "as after a softmax; set output to 'probabilities'"),
        ("torch.cat([rows, rows], 1)", "logits", "must return [2, 2] for 2 images, got [2, 4]"),
        ("rows", "binary_logit", "output 'logits' or 'probabilities' fits two columns"),
        ("rows * float('nan')", "logits", "NaN or infinite scores"),
        ("(rows, rows)", "logits", "must return one tensor of scores, got tuple"),
    ],
)
def test_an_output_that_contradicts_its_spec(
    refuses, phantom_archive, own_model, returned, output, message
):
    refuses("train", phantom_archive, *own_model(returned, output), *TINY, saying=message)


# Bundles


@pytest.fixture
def bundle_copy(tmp_path: Path, tiny_bundle: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def change_manifest(folder: Path, **entries: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_bundle_with_another_classifier(
    refuses, phantom_archive, tiny_bundle, classifier_file, other_classifier_file
):
    known, other = (load_classifier(f) for f in (classifier_file, other_classifier_file))
    refuses(
        *("explain", tiny_bundle, phantom_archive, "--classifier", other_classifier_file),
        saying=f"explains the classifier {known.fingerprint[:12]}, got {other.fingerprint[:12]}",
    )


def test_newer_bundle(refuses, phantom_archive, bundle_copy):
    change_manifest(bundle_copy, format_version=4)
    refuses(
        "explain", bundle_copy, phantom_archive, saying="has format 4, this program reads up to 3"
    )


def test_corrupt_bundle(refuses, phantom_archive, bundle_copy):
    explain = ("explain", bundle_copy, phantom_archive)
    weights, manifest = bundle_copy / "weights.safetensors", bundle_copy / "bundle.json"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    refuses(*explain, saying="weights.safetensors cannot be read")
    weights.write_bytes(content)
    change_manifest(bundle_copy, target=-1)
    refuses(*explain, saying="is damaged: target")
    change_manifest(bundle_copy, target=2)
    refuses(*explain, saying="target must be below 2, the number of classes, got 2")
    manifest.write_text('{"format_version": 1')
    refuses(*explain, saying="bundle.json cannot be read")
    weights.unlink()
    manifest.unlink()
    refuses(*explain, saying="holds no bundle.json")


def test_bundle_with_other_weights_of_its_classifier(
    refuses, phantom_archive, bundle_copy, balanced_classifier
):
    manifest = (bundle_copy / "bundle.json").read_text()
    save_bundle(bundle_copy, make_bundle(balanced_classifier(1)))
    (bundle_copy / "bundle.json").write_text(manifest)
    explain = ("explain", bundle_copy, phantom_archive)
    refuses(*explain, saying="has other weights than bundle.json says")


def test_unknown_bundle(refuses, phantom_archive):
    refuses(
        "explain", "brian-phantom", phantom_archive, saying="there is no bundle 'brian-phantom'"
    )


# Places to write to


def commands_that_write(data: Path, classifier: Path, bundle: Path) -> list[tuple[object, ...]]:
    return [
        ("phantom", "--count", 4, "--size", 32),
        fit(data),
        ("train", data, "--classifier", classifier, *TINY),
        ("explain", bundle, data, "--split", "val", "--methods", "difference"),
    ]


def run_into(medxgan: Command, command: tuple[object, ...], out: Path) -> str:
    """Run a command that must fail for want of a place to write to; the sentence."""
    if command[0] == "fit-classifier":
        out = out.with_suffix(".safetensors")
    named = (command[0], out) if command[0] == "phantom" else (command[0], "--out", out)
    outcome = medxgan(*named, *command[1:])
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("Error: ")
    return last


@pytest.mark.parametrize("number", range(4), ids=["phantom", "fit", "train", "explain"])
def test_a_file_is_in_the_way(
    medxgan, tmp_path, phantom_archive, classifier_file, tiny_bundle, number
):
    command = commands_that_write(phantom_archive, classifier_file, tiny_bundle)[number]
    (tmp_path / "file").write_text("keep")
    assert "is in the way" in run_into(medxgan, command, tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("number", range(4), ids=["phantom", "fit", "train", "explain"])
def test_no_permission(medxgan, tmp_path, phantom_archive, classifier_file, tiny_bundle, number):
    command = commands_that_write(phantom_archive, classifier_file, tiny_bundle)[number]
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    assert "Permission denied" in run_into(medxgan, command, locked / "out")
    assert list(locked.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can fill")
@pytest.mark.parametrize("number", range(4), ids=["phantom", "fit", "train", "explain"])
def test_a_folder_that_cannot_be_written(
    medxgan, phantom_archive, classifier_file, tiny_bundle, number
):
    command = commands_that_write(phantom_archive, classifier_file, tiny_bundle)[number]
    assert "cannot be written" in run_into(medxgan, command, Path("/proc/out"))


@pytest.mark.parametrize("number", range(4), ids=["phantom", "fit", "train", "explain"])
def test_no_space(
    medxgan, tmp_path, phantom_archive, classifier_file, tiny_bundle, monkeypatch, number
):
    """The disk is full when a finished file is to take its name."""
    command = commands_that_write(phantom_archive, classifier_file, tiny_bundle)[number]

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(Path, "rename", full)
    sentence = run_into(medxgan, command, tmp_path / "out")
    assert "No space left on device" in sentence or "no space left" in sentence
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"settings.toml"}  # of the run: whole, and written before the first step


def test_phantoms_do_not_go_among_other_files(medxgan, tmp_path, monkeypatch):
    """Nor are any drawn before that is found out."""
    monkeypatch.setattr("medxgan.data.phantom.make_phantoms", None)
    (tmp_path / "thesis.txt").write_text("keep")
    outcome = medxgan("phantom", tmp_path, "--count", 4, "--size", 32)
    assert outcome.code == 2
    assert "is not empty" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_phantoms_in_the_current_folder(medxgan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert medxgan("phantom", ".", "--count", 4, "--size", 32).code == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"masks", "twins", "train"}


def test_images_too_small_for_a_classifier(refuses, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6)).astype(np.uint8)
    small = archive(tmp_path / "small.npz", images=images)
    out = tmp_path / "out.safetensors"
    refuses(*fit(small), out=out, saying="at least 8 pixels, got 6; give a larger --size")


# Names and numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "smal"], "no preset is called 'smal'; did you mean 'small'"),
        (["--set", "run.imags=5"], "no setting is called 'run.imags'; did you mean 'images'"),
        (["--set", "rum.images=5"], "no section of settings is called 'rum'; did you mean 'run'"),
        (["--set", "run.images"], "--set needs section.name=value, got 'run.images'"),
        (["--set", "run.images=many"], "setting run.images"),
        (["--set", "run.images=0"], "setting run.images"),
        (["--config", "nowhere.toml"], "cannot read the settings file nowhere.toml"),
        (["--method", "stilegan"], "is called 'stilegan'; did you mean 'stylegan'? choose from"),
        (["--target", "leson"], "no class is named 'leson'; did you mean 'lesion'"),
        (["--processes", "0"], "--processes must be 1 to 1"),
        (["--device", "tpu"], "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        (["--set", "run.batch_size=5"], "run.batch_size must be even"),
    ],
)
def test_settings_of_training(refuses, phantom_archive, classifier_file, options, message):
    train = ("train", phantom_archive, "--classifier", classifier_file, *TINY)
    refuses(*train, *options, saying=message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "lig,gradcam"], "no method is named 'gradcam'; did you mean 'grad-cam'"),
        (["--start", "warm"], "no start is called 'warm'; choose from: cold, encoder"),
        (["--frames", "1"], "frames must be at least 2, got 1"),
        (["--refine", "-1"], "refine must be at least 0, got -1"),
        (["--target", "healthy"], "this bundle explains the class 'lesion', got 'healthy'"),
        (["--target", "5"], "class index must be 0 to 1"),
        (["--split", "tests"], "no split is named 'tests'; did you mean 'test'"),
        (["--device", "tpu"], "device must be one of"),
    ],
)
def test_settings_of_explaining(refuses, phantom_archive, tiny_bundle, options, message):
    refuses("explain", tiny_bundle, phantom_archive, *options, saying=message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arch", "resnet"], "no architecture is named 'resnet'"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--channels", "2"], "channels must be 1 (grey) or 3 (colour), got 2"),
        (["--size", "48"], "--size must be 32, 64, 128 or 256 pixels, got 48"),
    ],
)
def test_settings_of_fitting(refuses, tmp_path, phantom_archive, options, message):
    out = tmp_path / "out.safetensors"
    refuses("fit-classifier", phantom_archive, *options, out=out, saying=message)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "brian"], "no phantom is called 'brian'; did you mean 'brain'"),
        (["--count", "0"], "number of phantoms must be at least 1, got 0"),
        (["--size", "16"], "phantom size must be 32 to 256 pixels, got 16"),
        (["--shortcut", "2"], "shortcut's probability must be 0 to 1, got 2"),
    ],
)
def test_settings_of_phantoms(medxgan, tmp_path, options, message):
    outcome = medxgan("phantom", tmp_path / "set", *options)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_written_over(medxgan, tmp_path, phantom_archive, classifier_file):
    train = ("train", phantom_archive, "--classifier", classifier_file, "--out", tmp_path, *TINY)
    assert medxgan(*train).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    outcome = medxgan(*train, "--seed", 1)
    assert (outcome.code, "already holds a run" in outcome.err) == (2, True)
    outcome = medxgan(*train, "--seed", 1, "--resume")
    assert (outcome.code, "was started with another seed" in outcome.err) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_there_is_nothing_to_resume(refuses, phantom_archive, classifier_file):
    train = ("train", phantom_archive, "--classifier", classifier_file, *TINY)
    refuses(*train, "--resume", saying="there is no checkpoint in")
