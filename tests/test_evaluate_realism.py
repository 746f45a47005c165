"""FID and KID on the classifier's own features, beside their floor."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from known_world import (
    SIZE,
    SPEC,
    document_of,
    figures_of,
    make_data,
    make_explainer,
    values_of,
)
from medxgan.classifiers import TorchClassifier, build_architecture
from medxgan.evaluate.realism import HALVINGS, features_before_head, figure_and_floor, half_pairs
from medxgan.metrics.realism import frechet_distance, kernel_distance
from medxgan.types import ClassifierSpec


class TwoHeads(nn.Module):
    """A linear layer on every pixel column, then one on the image: only the last has features."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(SIZE, SIZE)
        self.head = nn.Linear(SIZE, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mix(images[:, 0]).amax(dim=1))


def test_features_are_what_the_head_is_given():
    module = TwoHeads()
    images = torch.rand(3, 1, SIZE, SIZE)
    features = features_before_head(TorchClassifier(module, SPEC), images)
    torch.testing.assert_close(features, module.mix(images[:, 0]).amax(dim=1))
    assert not module.head._forward_pre_hooks


@pytest.mark.parametrize(("architecture", "width"), [("cnn", 64), ("vgg16", 256)])
def test_features_of_the_architectures(architecture, width):
    spec = ClassifierSpec(size=32, class_names=("healthy", "lesion"))
    classifier = TorchClassifier(build_architecture(architecture, 1, 32, 2), spec)
    features = features_before_head(classifier, torch.zeros(2, 1, 32, 32))
    assert features.shape == (2, width)


def test_a_classifier_without_linear_layer_has_no_features():
    module = nn.Sequential(nn.Conv2d(1, 2, SIZE), nn.Flatten())
    images = torch.zeros(2, 1, SIZE, SIZE)
    assert features_before_head(TorchClassifier(module, SPEC), images) is None


def test_halves_are_disjoint_and_patients_stay_together():
    groups = ["a"] * 3 + ["b"] * 2 + ["c"] + ["d"] * 4
    pairs = list(half_pairs(groups, 20, seed=0))
    for first, second in pairs:
        assert len(first) == len(second) == 5
        assert not set(first) & set(second)
        in_both = {groups[row] for row in first} & {groups[row] for row in second}
        assert len(in_both) <= 1
    assert len({tuple(sorted(first)) for first, _ in pairs}) > 1


def test_an_odd_image_is_left_out_of_both_halves():
    first, second = next(half_pairs(["a", "b", "c", "d", "e"], 1, seed=0))
    assert len(first) == len(second) == 2


def test_samples_that_are_the_images_have_the_floor_as_figure():
    """The very distances of halves to halves: figure and floor cannot differ."""
    real = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    halves = list(half_pairs([str(row) for row in range(40)], HALVINGS, 0))
    for distance in (frechet_distance, kernel_distance):
        figure, floor = figure_and_floor(real, real, halves, distance)
        assert figure == floor
        far, same_floor = figure_and_floor(real, real + 2, halves, distance)
        assert same_floor == floor
        assert far["low"] > floor["high"]


def test_interval_holds_95_percent_of_the_halvings():
    real = torch.arange(8.0)[:, None]
    halves = list(half_pairs(list("abcdefgh"), HALVINGS, 0))
    figure, _ = figure_and_floor(real, real, halves, frechet_distance)
    distances = [frechet_distance(real[a], real[b]).item() for a, b in halves]
    assert figure["value"] == pytest.approx(np.mean(distances))
    assert [figure["low"], figure["high"]] == pytest.approx(
        np.quantile(distances, [0.025, 0.975]).tolist()
    )
    assert (figure["n"], figure["n_missing"]) == (8, 0)


def test_all_images_take_part():
    found = document_of(make_explainer(), make_data(), methods=())["realism"]
    assert list(found) == ["fid", "kid", "fid_floor", "kid_floor"]
    for _, figure in figures_of(found):
        assert figure["n"] == 8
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_samples_are_as_often_positive_as_the_images_are_called():
    """The first five are called positive: five samples have a pathology, the others none."""
    asked: list[Tensor] = []
    explainer = make_explainer()
    draw = explainer.generator.forward

    def watched(z1: Tensor, z2: Tensor) -> Tensor:
        asked.append(z2)
        return draw(z1, z2)

    explainer.generator.forward = watched
    document_of(explainer, make_data(), methods=())
    (drawn,) = [z2 for z2 in asked if len(z2) == 8]
    assert drawn.bool().flatten().tolist() == [True] * 5 + [False] * 3


def test_too_few_images_have_no_distance():
    found = document_of(make_explainer(), make_data(keep=slice(0, 3)), methods=())["realism"]
    assert {figure["reason"] for _, figure in figures_of(found)} == {
        "at least 4 images are needed, got 3"
    }
    assert set(values_of(found).values()) == {None}
