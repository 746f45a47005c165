"""Models that take another size than the images that are explained."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from conftest import make_bundle
from medxgan import load
from medxgan.bundle import load_bundle, save_bundle
from medxgan.classifiers import (
    BlackBox,
    TorchClassifier,
    build_architecture,
    fit_classifier,
    load_classifier,
    save_classifier,
)
from medxgan.classifiers.distillation_loss import surrogate_spec
from medxgan.data import open_dataset
from medxgan.errors import ClassifierError
from medxgan.evaluate.demands import judging_oracle
from medxgan.explain.baselines import grad_cam, integrated_gradients
from medxgan.types import ClassifierSpec
from models import SPEC as SMALL
from models import linear_module, write_files, write_onnx

NAMES = ("no", "yes")
TAKES_48 = ClassifierSpec(size=64, input_size=48, class_names=NAMES)
OWN_SCALE = ClassifierSpec(
    size=32,
    input_size=48,
    channels=3,
    class_names=NAMES,
    mean=(0.1, 0.2, 0.3),
    std=(0.2, 0.4, 0.8),
)


class ResizesItself(nn.Module):
    """A model that does by hand what its specification could have said."""

    def __init__(self, module: nn.Module, spec: ClassifierSpec) -> None:
        super().__init__()
        self.module, self.spec = module, spec

    def forward(self, images: Tensor) -> Tensor:
        side = self.spec.taken_size
        resized = functional.interpolate(
            images, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.spec.mean, self.spec.std))
        return self.module(((resized + 1) / 2 - mean) / std)


def network(channels: int = 1, size: int = 48) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_architecture("cnn", channels, size, 2)


def images_of(spec: ClassifierSpec, count: int = 3) -> Tensor:
    shape = (count, spec.channels, spec.size, spec.size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("input_size", [24, 48])
def test_answers_and_gradients_are_those_of_a_model_that_resizes_itself(input_size):
    spec = ClassifierSpec(**OWN_SCALE.model_dump() | {"input_size": input_size})
    module = network(3, input_size)
    plain = ClassifierSpec(size=32, channels=3, class_names=NAMES, intensity_range=(-1, 1))
    by_hand = TorchClassifier(ResizesItself(module, spec), plain)
    by_spec = TorchClassifier(module, spec)
    images = images_of(spec).requires_grad_()
    found, expected = (model.log_odds(images, 1) for model in (by_spec, by_hand))
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    (wanted,) = torch.autograd.grad(expected.sum(), images)
    assert float(wanted.abs().max()) > 0
    torch.testing.assert_close(gradient, wanted)
    torch.testing.assert_close(
        integrated_gradients(by_spec, images.detach(), 1, n_steps=4),
        integrated_gradients(by_hand, images.detach(), 1, n_steps=4),
    )


def test_a_constant_image_stays_constant():
    seen: list[Tensor] = []
    module = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 2))
    model = TorchClassifier(module, TAKES_48)
    module[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(torch.full((2, 1, 64, 64), 0.5))
    assert seen[0].shape == (2, 1, 48, 48)
    torch.testing.assert_close(seen[0], torch.full((2, 1, 48, 48), 0.75))


def test_the_grad_cam_map_has_the_size_of_the_explained_images():
    model = TorchClassifier(network(), TAKES_48)
    assert grad_cam(model, images_of(TAKES_48), 1).shape == (3, 1, 64, 64)


def test_images_of_the_models_own_size_are_refused():
    with pytest.raises(ClassifierError, match=r"takes images \[N, 1, 64, 64\], got \[1, 1, 48"):
        TorchClassifier(network(), TAKES_48)(torch.zeros(1, 1, 48, 48))


def test_an_onnx_model_of_48_pixels_explains_64(tmp_path):
    path = write_onnx(tmp_path / "m.onnx", side=48, batch=2)
    model = load_classifier(path, spec=TAKES_48)
    images = torch.stack([torch.full((1, 64, 64), level) for level in (-1.0, 0.0, 1.0)])
    rows = torch.tensor([[0.25, -0.25], [-4.75, 4.75], [-9.75, 9.75]])
    torch.testing.assert_close(model(images), rows.softmax(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "said"),
    [(64, "set size = 64 and input_size = 48 in"), (48 * 4, "set size = 64 and input_size = 48")],
)
def test_an_onnx_model_of_another_size_says_what_to_write(tmp_path, size, said):
    path = write_onnx(tmp_path / "m.onnx", side=48)
    with pytest.raises(ClassifierError, match=said):
        load_classifier(path, spec={"size": size, "class_names": NAMES})


def test_files_of_every_kind_answer_alike(tmp_path):
    spec = ClassifierSpec(**SMALL.model_dump() | {"size": 16, "input_size": 8})
    files = write_files(linear_module(), torch.rand(2, 1, 8, 8), tmp_path)
    images = images_of(spec, 5)
    expected = TorchClassifier(linear_module(), spec)(images)
    for path in files:
        torch.testing.assert_close(load_classifier(path, spec=spec)(images), expected)


def test_a_function_gets_images_of_its_own_size():
    asked: list[tuple[int, ...]] = []

    def predict(images: np.ndarray) -> np.ndarray:
        asked.append(images.shape)
        return np.stack([1 - images.mean((1, 2, 3)), images.mean((1, 2, 3))], axis=1)

    spec = {"size": 64, "input_size": 96, "output": "probabilities", "class_names": NAMES}
    model = BlackBox(predict, spec, batch_size=2)
    assert model(torch.zeros(3, 1, 64, 64)).tolist() == [[0.5, 0.5]] * 3
    assert {shape[1:] for shape in asked} == {(1, 96, 96)} and max(s[0] for s in asked) == 2


def test_a_model_that_fails_is_told_of_the_entry():
    with pytest.raises(ClassifierError, match=r"\[2, 1, 64, 64\].*say so by input_size"):
        TorchClassifier(
            nn.Sequential(nn.Flatten(), nn.Linear(9, 2)),
            ClassifierSpec(size=64, class_names=NAMES),
        )


def test_an_oracle_of_another_size_is_told_what_to_write(tiny_bundle):
    explainer = load(tiny_bundle, device="cpu")
    own = ClassifierSpec(size=48, class_names=("healthy", "lesion"))
    with pytest.raises(ClassifierError, match="set size = 32 and input_size = 48 in its"):
        judging_oracle(explainer, TorchClassifier(network(), own))
    brought = ClassifierSpec(**own.model_dump() | {"size": 32, "input_size": 48})
    judge, index = judging_oracle(explainer, TorchClassifier(network(), brought))
    assert judge is not None and index == 1


# What identifies a model.


def test_fingerprints_are_as_before_and_differ_with_the_size():
    module = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(64, 2))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.25)
    entries = {"size": 8, "class_names": NAMES}
    plain, given, same = (
        TorchClassifier(module, ClassifierSpec(**entries, **more)).fingerprint
        for more in ({}, {"input_size": 12}, {"input_size": 8})
    )
    assert plain == same != given
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    for parameter in layers.parameters():
        nn.init.constant_(parameter, 0.25)
    # Of the version before there was such an entry.
    before = "f233c05db5ef3f290f1dd0a3af7de7fe4d4f043c0f0ead26035df7f382f97b89"
    assert TorchClassifier(layers, ClassifierSpec(**entries)).fingerprint == before


def test_a_surrogate_takes_the_explained_images_themselves():
    assert surrogate_spec(TAKES_48).input_size is None and surrogate_spec(TAKES_48).size == 64


# Kept and read.


def test_a_classifier_file_keeps_it(tmp_path):
    model = TorchClassifier(network(), TAKES_48, "cnn")
    save_classifier(tmp_path / "c.safetensors", model)
    loaded = load_classifier(tmp_path / "c.safetensors")
    assert (loaded.spec, loaded.fingerprint) == (TAKES_48, model.fingerprint)


def test_weights_of_a_classifier_file_serve_another_size(tmp_path):
    own = ClassifierSpec(size=48, class_names=NAMES)
    save_classifier(tmp_path / "c.safetensors", TorchClassifier(network(), own, "cnn"))
    (tmp_path / "c.toml").write_text(
        'source = "cnn"\nweights = "c.safetensors"\n'
        '[spec]\nsize = 64\ninput_size = 48\nclass_names = ["no", "yes"]\n'
    )
    assert load_classifier(tmp_path / "c.toml").spec == TAKES_48


@pytest.mark.parametrize("onnx", [False, True])
def test_a_bundle_keeps_it(tmp_path, onnx):
    spec = ClassifierSpec(size=32, input_size=48, class_names=("healthy", "lesion"))
    if onnx:
        model = load_classifier(write_onnx(tmp_path / "m.onnx", side=48), spec=spec)
    else:
        model = TorchClassifier(network(), spec, "cnn")
    save_bundle(tmp_path / "b", make_bundle(model))
    loaded = load_bundle(tmp_path / "b").classifier
    assert (loaded.spec, loaded.fingerprint) == (spec, model.fingerprint)
    torch.testing.assert_close(loaded(images_of(spec)), model(images_of(spec)))


def test_a_network_can_be_fitted_at_another_size(phantom_archive):
    data = open_dataset(phantom_archive)
    spec = ClassifierSpec(size=32, input_size=24, class_names=data.class_names)
    fitted = fit_classifier(
        data.select("train"), data.select("val"), None, spec=spec, arch="cnn", epochs=1
    )
    assert fitted(images_of(spec)).shape == (3, 2)
