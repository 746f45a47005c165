"""Models of every kind on the command line: inspected, given to a bundle, missed."""

import zipfile

import pytest

from conftest import SPEC, make_bundle
from medxgan.bundle import save_bundle
from medxgan.classifiers import load_classifier
from models import write_onnx

FUNCTION = """
import numpy as np

def predict(images):
    logit = 4 * (images.mean((1, 2, 3)) - 0.5)
    return np.stack([-logit, logit], axis=1)
"""


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(SPEC.model_dump_json())
    return path


@pytest.fixture
def function_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FUNCTION)
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "onnx",
            [
                "an ONNX model",
                "of its file",
                "can have gradients           no",
                "can have inside a bundle     yes",
                "through a distilled copy (medxgan distill)",
                "can have StyleGAN direction  yes",
                "no: an ONNX model gives no gradients",
                "fit-direction BUNDLE --classifier",
            ],
        ),
        (
            "exported",
            [
                "a torch.export program",
                "0.06 million",
                "no, given again: opening one can run code",
                "can have medXGAN             yes",
                "no: a torch.export program shows no layers",
                "train DATA --classifier",
            ],
        ),
        ("torchscript", ["a TorchScript model", "train DATA", "TorchScript model shows no layers"]),
    ],
)
def test_inspect_a_model_file(medxgan, model_files, spec_file, kind, expected):
    path = getattr(model_files, kind)
    outcome = medxgan("inspect", path, "--spec", spec_file)
    assert (outcome.code, outcome.err) == (0, "")
    printed = " ".join(outcome.out.split())
    words = ["is a classifier", "healthy, lesion", f"{path} --spec {spec_file}", *expected]
    assert [word for word in words if " ".join(word.split()) not in printed] == []


def test_inspect_a_function(medxgan, function_file, spec_file):
    outcome = medxgan("inspect", f"{function_file}:predict", "--spec", spec_file)
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("a Python function", "of its answers to fixed images", "its code is elsewhere"):
        assert words in outcome.out


def test_inspect_a_model_of_this_program(medxgan, classifier_file):
    outcome = medxgan("inspect", classifier_file)
    assert "a network of this program" in outcome.out
    assert "no" not in [line.split()[-1] for line in outcome.out.splitlines() if "can have" in line]


def test_inspect_a_model_file_without_specification(medxgan, tmp_path, model_files):
    path = write_onnx(tmp_path / "fixed.onnx", batch=4)
    for source, expected in (
        (path, ["is an ONNX model", "'pixels' [4, 1, 8, 8]", "'scores' [4, 2]", "opset", "17"]),
        (model_files.exported, ["is a torch.export program", "with --spec FILE"]),
        (model_files.torchscript, ["is a TorchScript model", "can have layers"]),
    ):
        outcome = medxgan("inspect", source)
        assert (outcome.code, outcome.err) == (0, "")
        assert [words for words in expected if words not in outcome.out] == []


def test_inspect_a_bundle_with_an_onnx_model(medxgan, tmp_path, model_files):
    classifier = load_classifier(model_files.onnx, spec=SPEC)
    save_bundle(tmp_path / "bundle", make_bundle(classifier))
    outcome = medxgan("inspect", tmp_path / "bundle")
    assert f"an ONNX model {classifier.fingerprint[:12]}, inside" in outcome.out


def test_explain_by_an_onnx_model_inside_a_bundle(medxgan, tmp_path, model_files, phantom_archive):
    classifier = load_classifier(model_files.onnx, spec=SPEC)
    save_bundle(tmp_path / "bundle", make_bundle(classifier))
    out = tmp_path / "out"
    outcome = medxgan(
        "explain", tmp_path / "bundle", phantom_archive, "--split", "test", "--out", out
    )
    assert outcome.code == 0, outcome.err
    assert "skipped: grad-cam" in outcome.out
    assert "an ONNX model gives no gradients" in outcome.out
    assert (out / "report.html").is_file()


def test_a_function_is_given_again(
    medxgan, tmp_path, function_file, spec_file, phantom_archive, classifier_file
):
    source = f"{function_file}:predict"
    classifier = load_classifier(source, spec=SPEC)
    save_bundle(tmp_path / "bundle", make_bundle(classifier))
    command = ("explain", tmp_path / "bundle", phantom_archive, "--out", tmp_path / "out")
    command += ("--split", "test", "--methods", "difference,occlusion,ig")

    outcome = medxgan(*command)
    assert outcome.code == 2
    assert f"does not hold its classifier, which came from {source}" in outcome.err

    outcome = medxgan(*command, "--classifier", classifier_file)
    assert outcome.code == 2
    assert "explains the classifier" in outcome.err

    outcome = medxgan(*command, "--classifier", source, "--spec", spec_file)
    assert outcome.code == 0, outcome.err
    assert "a Python function gives no gradients" in outcome.out

    function_file.write_text(FUNCTION.replace("4 *", "5 *"))
    outcome = medxgan(*command, "--classifier", source, "--spec", spec_file)
    assert outcome.code == 2
    assert "explains the classifier" in outcome.err


def test_a_mutated_model_file_is_noticed(medxgan, tmp_path, model_files, phantom_archive):
    path = tmp_path / "model.pt2"
    path.write_bytes(model_files.exported.read_bytes())
    described = tmp_path / "model.toml"
    described.write_text(
        'source = "model.pt2"\n[spec]\nsize = 32\nclass_names = ["healthy", "lesion"]\n'
    )
    save_bundle(tmp_path / "bundle", make_bundle(load_classifier(described)))
    command = ("explain", tmp_path / "bundle", phantom_archive, "--split", "test")
    command += ("--methods", "difference", "--out", tmp_path / "out", "--classifier", described)
    assert medxgan(*command).code == 0
    with zipfile.ZipFile(path) as archive:
        entries = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    entries["model/data/weights/weight_0"][0] ^= 1
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, bytes(content))
    outcome = medxgan(*command)
    assert outcome.code == 2
    assert "explains the classifier" in outcome.err


def test_a_model_that_leaks_is_a_sentence(medxgan, tmp_path):
    path = write_onnx(tmp_path / "leaking.onnx", "leaking")
    spec = tmp_path / "spec.toml"
    spec.write_text('size = 8\nclass_names = ["healthy", "tumour"]\n')
    outcome = medxgan("inspect", path, "--spec", spec)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Error: the model answers differently about an image alone")
    assert len(outcome.err.splitlines()) == 1
