"""Models of 224 pixels and other sizes on the command line: what is said, and what works."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SPEC, make_bundle
from medxgan.bundle import save_bundle
from medxgan.classifiers import (
    TorchClassifier,
    build_architecture,
    load_classifier,
    save_classifier,
)
from medxgan.classifiers.surrogate import STANDS_FOR, TrueModel, WithSurrogate, true_model_of
from medxgan.data.phantom import make_phantoms
from medxgan.types import ClassifierSpec
from models import write_onnx
from test_stylegan_bundle import make_style_bundle

DRAWN = "32, 64, 128 or 256 pixels"
MODEL = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.blur = nn.Conv2d(1, 2, 3, padding=1)
        nn.init.constant_(self.blur.weight, 1 / 9)
        nn.init.constant_(self.blur.bias, 0.0)

    def forward(self, images):
        assert images.shape[2:] == (SIDE, SIDE), images.shape
        bright = self.blur(images).mean((2, 3))
        return bright * torch.tensor([0.0, 40.0]) - torch.tensor([0.0, 14.0])
"""


@pytest.fixture
def described(tmp_path):
    """Writes a model that takes ``side`` pixels, and a description with some entries of sizes."""

    def write(side: int, entries: str):
        (tmp_path / "model.py").write_text(MODEL.replace("SIDE", str(side)))
        path = tmp_path / "model.toml"
        path.write_text(
            f'source = "model.py:Model"\n[spec]\n{entries}\nclass_names = ["dark", "bright"]\n'
        )
        return path

    return write


def words_of(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("side", "size", "said"),
    [
        (224, "size = 224", "First set size = 256 and input_size = 224 in its specification."),
        (60, "size = 60", "First set size = 64 and input_size = 60 in its specification."),
        (64, "size = 60\ninput_size = 64", "First set size = 64 in its specification."),
    ],
)
def test_inspect_promises_nothing_of_a_size_that_no_generator_draws(
    medxgan, described, side, size, said
):
    outcome = medxgan("inspect", described(side, size))
    printed = words_of(outcome.out)
    assert outcome.code == 0 and said in printed
    assert f"can have medXGAN no: generators draw images of {DRAWN}" in printed
    assert f"can have StyleGAN direction no: generators draw images of {DRAWN}" in printed
    assert "Then use it with: medxgan train DATA" in printed


def test_inspect_says_what_images_are_brought_to(medxgan, described):
    printed = words_of(medxgan("inspect", described(224, "size = 256\ninput_size = 224")).out)
    assert "takes 224 x 224 pixels; images of 256 are brought to it" in printed
    assert "can have medXGAN yes" in printed and "First" not in printed


def test_inspect_suggests_the_line_for_an_onnx_file(medxgan, tmp_path):
    path = write_onnx(tmp_path / "m.onnx", side=224)
    assert "size = 256 and input_size = 224" in words_of(medxgan("inspect", path).out)
    spec = tmp_path / "spec.toml"
    spec.write_text('size = 256\nclass_names = ["no", "yes"]\n')
    outcome = medxgan("inspect", path, "--spec", spec)
    assert outcome.code == 2
    assert "set size = 256 and input_size = 224 in the specification" in words_of(outcome.err)


def test_inspect_a_classifier_file_of_another_size(medxgan, tmp_path):
    spec = ClassifierSpec(size=48, class_names=("no", "yes"))
    model = TorchClassifier(build_architecture("cnn", 1, 48, 2), spec, "cnn")
    save_classifier(tmp_path / "c.safetensors", model)
    printed = words_of(medxgan("inspect", tmp_path / "c.safetensors").out)
    assert 'First describe it in a .toml file with source = "cnn", weights = "' in printed
    assert "and size = 64 and input_size = 48 in its specification." in printed
    assert "Then use it with: medxgan train DATA --classifier FILE.toml --out RUN" in printed


def test_a_surrogate_of_another_size_is_to_be_distilled_again(medxgan, tmp_path):
    """Described anew it would lose which model it stands for."""
    spec = ClassifierSpec(size=48, class_names=("no", "yes"))
    true = TrueModel(kind="function", source="true.toml", fingerprint="0" * 64, spec=spec)
    measured = {STANDS_FOR: true.model_dump(mode="json")}
    model = TorchClassifier(build_architecture("cnn", 1, 48, 2), spec, "cnn", measured=measured)
    save_classifier(tmp_path / "s.safetensors", model)
    printed = words_of(medxgan("inspect", tmp_path / "s.safetensors").out)
    assert "in the specification of the model it stands for, and distil again." in printed
    assert "Then use it with: medxgan distill MODEL DATA" in printed


def test_an_input_size_that_is_none_is_to_be_left_out(medxgan, tmp_path):
    path, spec = write_onnx(tmp_path / "m.onnx", side=64), tmp_path / "spec.toml"
    spec.write_text('size = 64\ninput_size = 48\nclass_names = ["no", "yes"]\n')
    outcome = medxgan("inspect", path, "--spec", spec)
    assert outcome.code == 2
    assert "leave out input_size in the specification" in words_of(outcome.err)


def test_inspect_a_bundle_whose_model_takes_another_size(medxgan, tmp_path):
    spec = ClassifierSpec(**SPEC.model_dump() | {"input_size": 48})
    model = TorchClassifier(build_architecture("cnn", 1, 48, 2), spec, "cnn")
    save_bundle(tmp_path / "b", make_bundle(model))
    printed = words_of(medxgan("inspect", tmp_path / "b").out)
    assert "takes 48 x 48 pixels; images of 32 are brought to it" in printed


def test_train_says_what_to_write(medxgan, described, phantom_archive, tmp_path):
    command = ("train", phantom_archive, "--classifier", described(48, "size = 48"))
    for preset, sizes in (("tiny", DRAWN), ("published", "32, 64 or 128 pixels")):
        outcome = medxgan(*command, "--preset", preset, "--out", tmp_path / "run")
        assert outcome.code == 2
        said = words_of(outcome.err)
        assert f"the images of a generator are {sizes} high and wide" in said
        assert "set size = 64 and input_size = 48 in its specification" in said
    assert not (tmp_path / "run").exists()


def test_train_goes_through_the_resize(medxgan, described, phantom_archive, tmp_path):
    """The threshold of the model is set so that phantoms lie on both sides."""
    path = described(48, "size = 32\ninput_size = 48")
    module = path.with_name("model.py")
    module.write_text(module.read_text().replace("14.0", "5.4"))
    outcome = medxgan(
        *("train", phantom_archive, "--classifier", path, "--preset", "tiny", "--quiet"),
        *("--set", "run.images=16", "--out", tmp_path / "run", "--device", "cpu"),
    )
    assert outcome.code == 0, outcome.err
    kept = json.loads((tmp_path / "run" / "bundle.json").read_text())["classifier"]["spec"]
    assert (kept["size"], kept["input_size"]) == (32, 48)


def test_a_surrogate_of_a_model_of_another_size(medxgan, described, phantom_archive, tmp_path):
    path = described(48, "size = 32\ninput_size = 48")
    module = path.with_name("model.py")
    module.write_text(module.read_text().replace("14.0", "5.4"))
    out = tmp_path / "surrogate.safetensors"
    outcome = medxgan(
        *("distill", path, phantom_archive, "--out", out, "--epochs", 1, "--queries", 120)
    )
    assert outcome.code == 0, outcome.err
    surrogate, model = load_classifier(out), load_classifier(path)
    assert (surrogate.spec.size, surrogate.spec.input_size) == (32, None)
    assert true_model_of(surrogate.measured).spec == model.spec
    both = WithSurrogate(model, surrogate)
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(both(images), model(images))


@pytest.mark.parametrize(
    ("bundle", "drawn", "side"), [("tiny", 32, 24), ("chest-phantom-stylegan", 64, 96)]
)
def test_a_direction_for_a_model_of_another_size(medxgan, described, bundle, drawn, side, tmp_path):
    """From a generator, one of them shipped, to an explanation."""
    if bundle == "tiny":
        bundle = tmp_path / "tiny"
        save_bundle(bundle, make_style_bundle())
    folder = tmp_path / "direction"
    fit = ("fit-direction", bundle, "--samples", 256, "--device", "cpu", "--quiet")
    fit += ("--out", folder, "--classifier")

    outcome = medxgan(*fit, described(side, f"size = {side}"))
    assert outcome.code == 2
    said = f"set size = {drawn} and input_size = {side} in its specification"
    assert said in words_of(outcome.err) and not folder.exists()

    path = described(side, f"size = {drawn}\ninput_size = {side}")
    outcome = medxgan(*fit, path)
    assert outcome.code == 0, outcome.err
    kept = json.loads((folder / "direction.json").read_text())["classifier"]["spec"]
    assert (kept["size"], kept["input_size"]) == (drawn, side)
    printed = words_of(medxgan("inspect", folder).out)
    assert f"takes {side} x {side} pixels; images of {drawn} are brought to it" in printed

    scan = tmp_path / "scan.png"
    pixels = make_phantoms("chest", 1, size=drawn, seed=11).images[0]
    Image.fromarray(pixels).save(scan)
    outcome = medxgan(
        *("explain", bundle, scan, "--direction", folder, "--classifier", path, "--quiet"),
        *("--methods", "difference,ig,grad-cam", "--frames", 3, "--refine", 2),
        *("--device", "cpu", "--out", tmp_path / "out"),
    )
    assert outcome.code == 0, outcome.err
    first = next(entry for entry in (tmp_path / "out").iterdir() if entry.is_dir())
    facts = json.loads((first / "explanation.json").read_text())
    assert facts["methods"] == ["difference", "ig", "grad-cam"]
    with np.load(first / "explanation.npz") as arrays:
        shapes = {arrays[name].shape for name in arrays if "cam" in name}
    assert shapes == {(1, drawn, drawn)}
