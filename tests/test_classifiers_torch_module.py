import hashlib

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from medxgan.classifiers import TorchClassifier, build_architecture, fingerprint_of
from medxgan.errors import ClassifierError
from medxgan.types import Classifier, ClassifierSpec

TWO = ("healthy", "tumour")
SPEC = ClassifierSpec(size=8, class_names=TWO)


def linear(outputs=2, size=8, channels=1):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, outputs))


def images_of(count=3, size=8, channels=1):
    values = torch.linspace(-1, 1, count * channels * size * size)
    return values.view(count, channels, size, size)


class Applied(nn.Module):
    """A module from a function, as black as a user's model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def test_it_is_a_classifier_of_the_package():
    classifier: Classifier = TorchClassifier(linear(), SPEC)
    assert classifier.differentiable
    assert len(classifier.fingerprint) == 64


def test_intensities_are_mapped_to_the_models_range():
    spec = ClassifierSpec(
        size=8,
        output="value",
        class_names=("mean",),
        intensity_range=(0.0, 255.0),
        value_range=(0.0, 255.0),
    )
    classifier = TorchClassifier(Applied(lambda x: x.mean((1, 2, 3))), spec)
    images = torch.stack([torch.full((1, 8, 8), level) for level in (-1.0, 0.0, 1.0)])
    torch.testing.assert_close(classifier(images), torch.tensor([[0.0], [127.5], [255.0]]))


def test_mean_and_std_act_per_channel_on_the_intensity_range():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    spec = ClassifierSpec(
        channels=3,
        size=8,
        output="multilabel_logits",
        class_names=("r", "g", "b"),
        mean=mean,
        std=std,
    )
    classifier = TorchClassifier(Applied(lambda x: x.mean((2, 3))), spec)
    images = torch.full((2, 3, 8, 8), 0.6)
    expected = (0.8 - torch.tensor(mean)) / torch.tensor(std)
    for target in range(3):
        odds = classifier.log_odds(images, target)
        torch.testing.assert_close(odds, expected[target].expand(2))


def test_scores_and_log_odds_agree_with_the_module():
    module = linear()
    classifier = TorchClassifier(module, SPEC)
    images = images_of()
    raw = module((images + 1) / 2)
    torch.testing.assert_close(classifier(images), raw.softmax(1))
    torch.testing.assert_close(classifier.log_odds(images, 1), raw[:, 1] - raw[:, 0])


def test_the_module_is_frozen_and_gradients_reach_the_images():
    module = nn.Sequential(linear(), nn.Dropout(0.5))
    classifier = TorchClassifier(module, SPEC)
    images = images_of().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier.log_odds(images, 1).sum(), images)
    weight = module[0][1].weight
    expected = ((weight[1] - weight[0]) / 2).view(1, 1, 8, 8).expand_as(images)
    torch.testing.assert_close(gradient, expected)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_scores_are_float32_inside_autocast():
    classifier = TorchClassifier(linear(), SPEC)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores, odds = classifier(images_of()), classifier.log_odds(images_of(), 0)
    assert scores.dtype == odds.dtype == torch.float32
    torch.testing.assert_close(scores, classifier(images_of()), atol=0.02, rtol=0)


def test_moving_it_returns_the_classifier_itself():
    classifier = TorchClassifier(linear(), SPEC)
    assert classifier.to("cpu") is classifier
    assert classifier.device == torch.device("cpu")


def test_the_fingerprint_is_the_hash_of_specification_names_types_shapes_and_bytes():
    module = nn.Linear(2, 1, bias=False)
    expected = hashlib.sha256(SPEC.model_dump_json(exclude_defaults=True).encode())
    expected.update(b"\nweight torch.float32 [1, 2]\n")
    expected.update(module.weight.detach().numpy().tobytes())
    assert fingerprint_of(module, SPEC) == expected.hexdigest()


def test_the_fingerprint_notices_one_bit_a_name_and_another_specification():
    module = build_architecture("cnn", 1, 32, 2)
    before = fingerprint_of(module, SPEC)
    assert fingerprint_of(module, SPEC) == before
    assert fingerprint_of(module, SPEC.model_copy(update={"size": 16})) != before
    assert fingerprint_of(nn.Sequential(module), SPEC) != before
    with torch.no_grad():
        weight = module.head.weight.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf))
    assert fingerprint_of(module, SPEC) != before


def test_the_fingerprint_takes_bfloat16_scalars_and_empty_tensors():
    module = nn.Module()
    module.register_buffer("narrow", torch.ones(3, dtype=torch.bfloat16))
    module.register_buffer("scalar", torch.tensor(4))
    module.register_buffer("empty", torch.zeros(0))
    assert len(fingerprint_of(module, SPEC)) == 64


@pytest.mark.parametrize(
    "shape", [(3, 1, 8, 9), (3, 1, 16, 16), (3, 3, 8, 8), (1, 8, 8), (8, 8), (3, 1, 1, 8, 8)]
)
def test_images_of_another_shape_are_refused(shape):
    classifier = TorchClassifier(linear(), SPEC)
    with pytest.raises(ClassifierError, match=r"takes images \[N, 1, 8, 8\], got \["):
        classifier(torch.zeros(shape))


def test_integer_images_are_refused():
    classifier = TorchClassifier(linear(), SPEC)
    with pytest.raises(ClassifierError, match=r"floating-point images .* got torch.uint8"):
        classifier(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


def test_images_with_nan_are_named_as_the_cause():
    classifier = TorchClassifier(linear(), SPEC)
    images = images_of()
    images[0, 0, 0, 0] = torch.nan
    with pytest.raises(ClassifierError, match="images must be finite"):
        classifier(images)


def test_a_model_that_fails_is_refused_at_once():
    with pytest.raises(ClassifierError, match=r"fails on images \[2, 1, 8, 8\].*RuntimeError"):
        TorchClassifier(linear(channels=3), SPEC)


def test_a_model_with_another_number_of_outputs_is_refused_at_once():
    with pytest.raises(ClassifierError, match=r"must return \[2, 2\] for 2 images, got \[2, 5\]"):
        TorchClassifier(linear(outputs=5), SPEC)


def test_a_model_that_returns_one_row_for_all_images_is_refused_at_once():
    with pytest.raises(ClassifierError, match=r"got \[1, 2\]"):
        TorchClassifier(Applied(lambda x: x.mean((0, 1, 3))[:2].view(1, 2)), SPEC)


def test_a_model_with_nan_weights_is_refused_at_once():
    module = linear()
    nn.init.constant_(module[1].weight, torch.nan)
    with pytest.raises(ClassifierError, match="NaN or infinite scores"):
        TorchClassifier(module, SPEC)


def test_logits_declared_as_probabilities_are_refused_at_once():
    spec = ClassifierSpec(size=8, output="probabilities", class_names=TWO)
    module = Applied(lambda x: torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1))
    with pytest.raises(ClassifierError, match=r"must lie in \[0, 1\]"):
        TorchClassifier(module, spec)


def test_probabilities_declared_as_logits_are_refused_at_once():
    with pytest.raises(ClassifierError, match="set output to 'probabilities'"):
        TorchClassifier(nn.Sequential(linear(), nn.Softmax(1)), SPEC)


def test_an_output_that_turns_bad_is_refused_when_called():
    module = Applied(lambda x: torch.stack([x.amax((1, 2, 3)).log(), x.mean((1, 2, 3))], 1))
    classifier = TorchClassifier(module, SPEC)
    with pytest.raises(ClassifierError, match="NaN or infinite scores"):
        classifier(torch.full((1, 1, 8, 8), -1.0))


def test_an_unknown_target_is_refused():
    classifier = TorchClassifier(linear(), SPEC)
    with pytest.raises(ClassifierError, match="class index must be 0 to 1"):
        classifier.log_odds(images_of(), 2)


def test_the_last_convolution_of_the_small_network_is_its_last_activation_grid():
    classifier = TorchClassifier(
        build_architecture("cnn", 1, 64, 2), ClassifierSpec(size=64, class_names=TWO)
    )
    assert classifier.last_convolution() is classifier.module.features


def test_the_last_convolution_of_vgg16_lies_before_the_last_pooling():
    module = build_architecture("vgg16", 1, 64, 2)
    classifier = TorchClassifier(module, ClassifierSpec(size=64, class_names=TWO))
    assert classifier.last_convolution() is module.features[-2]
    assert isinstance(module.features[-2], nn.ReLU)


class Residual(nn.Module):
    """One activation used twice, as in many residual blocks."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.activation = nn.ReLU()

    def forward(self, images):
        start = self.activation(self.convolution(images))
        return self.activation(start + self.again(start))


def test_an_activation_used_twice_gives_way_to_its_block():
    block = Residual()
    pooling = nn.AdaptiveAvgPool2d((3, 3))
    module = nn.Sequential(block, pooling, nn.Flatten(), nn.Linear(36, 2))
    assert TorchClassifier(module, SPEC).last_convolution() is block


def test_a_convolution_without_place_does_not_count():
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 6), nn.Flatten())
    assert TorchClassifier(module, SPEC).last_convolution() is module[0]


def test_a_model_without_convolutions_has_no_layer_for_grad_cam():
    assert TorchClassifier(linear(), SPEC).last_convolution() is None


def test_captum_takes_the_classifier_and_its_last_convolution():
    spec = ClassifierSpec(size=32, class_names=TWO)
    classifier = TorchClassifier(build_architecture("cnn", 1, 32, 2), spec)
    grad_cam = LayerGradCam(classifier, classifier.last_convolution())
    heatmap = grad_cam.attribute(images_of(2, 32).requires_grad_(), target=1)
    assert heatmap.shape[:2] == (2, 1)
    assert heatmap.isfinite().all()
