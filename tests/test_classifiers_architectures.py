import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from medxgan.classifiers import ARCHITECTURES, build_architecture
from medxgan.classifiers.monai_networks import MONAI_NETWORKS
from medxgan.errors import ClassifierError, MissingPackageError


def count_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module, images):
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            kernel = layer.weight[0].numel()
            total += kernel * output[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    module.eval()(images)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64, 100, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_small_network_takes_every_size_and_ends_on_about_16_by_16_places(size, channels):
    module = build_architecture("cnn", channels, size, 3).eval()
    images = torch.zeros(2, channels, size, size)
    assert module(images).shape == (2, 3)
    grid = module.features(images).shape[-1]
    assert size / 2 == grid or 11 <= grid <= 23


def test_the_small_network_is_small():
    module = build_architecture("cnn", 1, 64, 2)
    assert 50_000 <= count_parameters(module) <= 400_000
    assert 10e6 <= multiply_adds(module, torch.zeros(1, 1, 64, 64)) <= 15.5e6


def test_vgg16_has_the_published_13_convolutions():
    published = [64, 64, 128, 128, 256, 256, 256] + [512] * 6
    plain = build_architecture("vgg16", 3, 32, 2)
    normed = build_architecture("vgg16_bn", 3, 32, 2)
    for module in (plain, normed):
        widths = [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)]
        assert widths == published
        assert sum(isinstance(layer, nn.MaxPool2d) for layer in module.modules()) == 5
        assert module.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    convolutions = sum(
        count_parameters(layer) for layer in plain.modules() if isinstance(layer, nn.Conv2d)
    )
    assert convolutions == 14_714_688  # as published for 3 channels
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in normed.modules()) == 13


def test_vgg16_refuses_images_below_its_five_poolings():
    with pytest.raises(ClassifierError, match="at least 32 pixels, got 28; use cnn"):
        build_architecture("vgg16", 1, 28, 2)


def test_one_output_serves_a_binary_logit():
    for name in ARCHITECTURES:
        module = build_architecture(name, 1, 32, 1).eval()
        assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 1)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ClassifierError, match=r"named 'vgg-16'; did you mean 'vgg16'"):
        build_architecture("vgg-16", 1, 64, 2)


def test_an_unknown_monai_name_is_refused_with_the_nearest():
    with pytest.raises(ClassifierError, match=r"named 'DenseNet12'; did you mean 'DenseNet121'"):
        build_architecture("monai:DenseNet12", 1, 64, 2)


def test_without_monai_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'medxgan\[monai\]'"):
        build_architecture("monai:ResNet18", 1, 64, 2)


@pytest.fixture
def asked(monkeypatch):
    """A stand-in for MONAI that notes what it is asked to build."""
    calls = []

    def factory(name):
        def build(**sizes):
            calls.append((name, sizes))
            return nn.Identity()

        return build

    nets = ModuleType("monai.networks.nets")
    for function, *_ in MONAI_NETWORKS.values():
        setattr(nets, function, factory(function))
    networks = ModuleType("monai.networks")
    networks.nets = nets
    monai = ModuleType("monai")
    monai.networks = networks
    monkeypatch.setitem(sys.modules, "monai", monai)
    monkeypatch.setitem(sys.modules, "monai.networks", networks)
    monkeypatch.setitem(sys.modules, "monai.networks.nets", nets)
    return calls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DenseNet121", ("DenseNet121", {"in_channels": 3, "out_channels": 5})),
        ("ResNet18", ("resnet18", {"n_input_channels": 3, "num_classes": 5})),
        ("SEResNet50", ("SEResNet50", {"in_channels": 3, "num_classes": 5})),
    ],
)
def test_monai_networks_are_asked_for_in_two_dimensions(asked, name, expected):
    function, sizes = expected
    assert isinstance(build_architecture(f"monai:{name}", 3, 64, 5), nn.Identity)
    assert asked == [(function, {"spatial_dims": 2, **sizes})]
