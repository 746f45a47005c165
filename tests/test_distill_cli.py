"""From a model without gradients to an explanation, on the command line."""

import numpy as np
import pytest
import torch

from conftest import SPEC, make_bundle
from medxgan.bundle import save_bundle
from medxgan.classifiers import load_classifier
from medxgan.classifiers.surrogate import true_model_of

CONSTANT = """
import numpy as np

def predict(images):
    return np.full((len(images), 2), 0.5, np.float32)
"""


@pytest.fixture(scope="module")
def described(tmp_path_factory, model_files):
    """The ONNX model of ``model_files``, in a description."""
    path = tmp_path_factory.mktemp("described") / "model.toml"
    path.write_text(
        f'source = "{model_files.onnx}"\n[spec]\nsize = 32\nclass_names = ["healthy", "lesion"]\n'
    )
    return path


@pytest.fixture
def surrogate_file(medxgan, described, phantom_archive, tmp_path):
    out = tmp_path / "surrogate.safetensors"
    outcome = medxgan(
        *("distill", described, phantom_archive, "--out", out, "--epochs", 1, "--queries", 120)
    )
    assert outcome.code == 0, outcome.err
    return out


def test_distill_says_what_came_out(
    medxgan, described, phantom_archive, tmp_path, capsys, model_files
):
    out = tmp_path / "surrogate.safetensors"
    command = ("distill", described, phantom_archive, "--out", out, "--epochs", 1)
    outcome = medxgan(*command, "--queries", 120)
    assert outcome.code == 0
    printed = " ".join(outcome.out.split())
    for words in (
        "Surrogate and model on held-out images (test):",
        "agreement balanced agreement difference of scores correlation",
        "lesion",
        "The model was asked about 120 images.",
        f"train against it with --classifier {out}.",
    ):
        assert words in printed
    # After one epoch it has learned next to nothing.
    assert "the surrogate stands badly for its model" in outcome.err
    known = true_model_of(load_classifier(out).measured)
    assert known.fingerprint == load_classifier(described).fingerprint
    assert known.source == str(model_files.onnx)

    inspected = "".join(medxgan("inspect", out).out.split())  # however its lines are broken
    assert "".join(f"stands for {known}".split()) in inspected
    assert "agreement,'lesion'" in inspected and "queries120" in inspected
    assert f"trainDATA--classifier{out}" in inspected


def test_quiet_is_quiet(medxgan, described, phantom_archive, tmp_path):
    outcome = medxgan(
        *("distill", described, phantom_archive, "--out", tmp_path / "s.safetensors"),
        *("--epochs", 1, "--queries", 120, "--quiet"),
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_training_against_a_model_without_gradients_names_distill(
    medxgan, described, phantom_archive, tmp_path
):
    """By what the user gave, a description: the model in it alone would need a specification."""
    command = ("train", phantom_archive, "--out", tmp_path / "run", "--preset", "tiny")
    outcome = medxgan(*command, "--classifier", described)
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == (
        "Error: medXGAN is trained through the gradients of the model, and an ONNX model gives "
        "none; distil it first and train against the surrogate: medxgan distill "
        f"{described} DATA --out surrogate.safetensors; or train from images alone, with "
        "--method stylegan"
    )
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_explain_with_a_surrogate_and_with_its_model(
    medxgan, described, surrogate_file, phantom_archive, tmp_path, other_classifier_file
):
    folder, out = tmp_path / "bundle", tmp_path / "out"
    save_bundle(folder, make_bundle(load_classifier(surrogate_file)))
    command = ("explain", folder, phantom_archive, "--split", "test", "--out", out)
    command += ("--methods", "difference,ig")

    assert medxgan(*command).code == 0
    page = (out / "report.html").read_text()
    assert "What is explained here is a surrogate that stands in for an ONNX model" in page
    assert "here the surrogate calls" not in page

    assert medxgan(*command, "--classifier", described).code == 0
    page = (out / "report.html").read_text()
    assert "All answers here (scores, flips, statuses) are those of an ONNX model" in page
    assert "the surrogate calls" in page and "the classifier stands for" in page

    outcome = medxgan(*command, "--classifier", other_classifier_file)
    assert outcome.code == 2
    assert "Error: the surrogate stands for an ONNX model" in outcome.err
    assert "got a network of this program" in outcome.err

    inspected = medxgan("inspect", folder)
    assert "inside; stands for an ONNX model" in inspected.out


def test_scores_in_the_table_are_the_models(
    medxgan, described, surrogate_file, phantom_archive, tmp_path
):
    folder, out = tmp_path / "bundle", tmp_path / "out"
    save_bundle(folder, make_bundle(load_classifier(surrogate_file)))
    command = ("explain", folder, phantom_archive, "--split", "test", "--out", out)
    assert medxgan(*command, "--methods", "difference", "--classifier", described).code == 0
    model = load_classifier(described)
    for found in sorted(out.glob("*/explanation.npz")):
        arrays = np.load(found, allow_pickle=False)
        with torch.no_grad():
            answered = model(torch.from_numpy(arrays["frames"]))[:, 1]
        np.testing.assert_allclose(arrays["probabilities"], answered, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--queries", 10), "queries must be at least 100, got 10"),
        (("--temperature", 0), "temperature must be above 0, got 0"),
        (("--arch", "cnm"), "no architecture is named 'cnm'"),
        (("--target", "tumour"), "no class is named 'tumour'"),
    ],
)
def test_wrong_options_are_a_sentence(
    medxgan, described, phantom_archive, tmp_path, options, sentence
):
    outcome = medxgan(
        *("distill", described, phantom_archive, "--out", tmp_path / "s.safetensors", *options)
    )
    assert outcome.code == 2
    assert sentence in outcome.err.splitlines()[-1]
    assert not (tmp_path / "s.safetensors").exists()


def test_a_constant_function_is_a_sentence(medxgan, phantom_archive, tmp_path):
    (tmp_path / "mine.py").write_text(CONSTANT)
    (tmp_path / "spec.json").write_text(
        SPEC.model_copy(update={"output": "probabilities"}).model_dump_json()
    )
    outcome = medxgan(
        *("distill", f"{tmp_path / 'mine.py'}:predict", phantom_archive),
        *("--spec", tmp_path / "spec.json", "--out", tmp_path / "s.safetensors"),
    )
    assert outcome.code == 2
    assert "0.500 for 'lesion', so that there is nothing to learn from it" in outcome.err


def test_a_size_that_cannot_be_trained_is_noted(medxgan, phantom_archive, tmp_path):
    source = tmp_path / "mine.py"
    source.write_text("def predict(images):\n    return 10 * (images.mean((1, 2, 3)) - 0.2)\n")
    spec = tmp_path / "spec.toml"
    spec.write_text('size = 24\noutput = "binary_logit"\nclass_names = ["healthy", "lesion"]\n')
    outcome = medxgan(
        *("distill", f"{source}:predict", phantom_archive, "--spec", spec, "--epochs", 1),
        *("--out", tmp_path / "s.safetensors"),
    )
    assert "set size = 32 and input_size = 24 in the model's specification" in outcome.err
