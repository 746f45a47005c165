import pytest
import torch
from torch import Tensor, nn

from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain import METHODS, check_methods
from medxgan.explain.attribution import attributions
from medxgan.explain.baselines import grad_cam, integrated_gradients, occlusion
from medxgan.explain.lig import exact_lig, published_lig, transferred_path
from medxgan.explain.scores import probability
from medxgan.types import ClassifierSpec

SIZE = 16


def spec(channels: int = 1, output: str = "binary_logit") -> ClassifierSpec:
    names = ("value",) if output == "value" else ("healthy", "ill")
    return ClassifierSpec(
        channels=channels,
        size=SIZE,
        output=output,
        class_names=names,
        intensity_range=(-1, 1),
        value_range=(0, 1) if output == "value" else None,
    )


def linear_classifier(output: str = "binary_logit") -> TorchClassifier:
    module = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 1))
    module[1].weight.data = torch.linspace(-1, 1, SIZE * SIZE).view(1, -1) / 8
    module[1].bias.data.zero_()
    return TorchClassifier(module, spec(output=output))


def convolutional_classifier(channels: int = 1, inplace: bool = False) -> TorchClassifier:
    """One convolution that copies the first channel twice, once negated; logit = mean of relu."""
    convolution = nn.Conv2d(channels, 2, 1, bias=False)
    convolution.weight.data.zero_()
    convolution.weight.data[:, 0, 0, 0] = torch.tensor([1.0, -1.0])
    head = nn.Linear(2, 1)
    head.weight.data = torch.tensor([[4.0, 1.0]])
    head.bias.data = torch.tensor([-1.0])
    module = nn.Sequential(
        convolution, nn.ReLU(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )
    return TorchClassifier(module, spec(channels))


class BlackBox:
    """The same linear classifier without gradients or layers."""

    differentiable = False
    fingerprint = "black box"

    def __init__(self) -> None:
        self.inner = linear_classifier()
        self.spec = self.inner.spec

    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.inner(images)

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        with torch.no_grad():
            return self.inner.log_odds(images, target)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_integrated_gradients_add_up_to_the_change_from_black(images: Tensor) -> None:
    classifier = linear_classifier()
    attribution = integrated_gradients(classifier, images, target=1)
    change = classifier(images)[:, 1] - classifier(torch.full_like(images, -1))[:, 1]
    torch.testing.assert_close(attribution.sum((1, 2, 3)), change, atol=1e-4, rtol=1e-4)
    other_class = integrated_gradients(classifier, images, target=0)
    torch.testing.assert_close(other_class, -attribution)


def test_integrated_gradients_of_a_linear_value_have_a_closed_form(images: Tensor) -> None:
    classifier = linear_classifier("value")
    weight = torch.linspace(-1, 1, SIZE * SIZE).view(1, SIZE, SIZE) / 8
    attribution = integrated_gradients(classifier, images, target=0, n_steps=1)
    torch.testing.assert_close(attribution, weight * (images + 1))
    from_grey = integrated_gradients(classifier, images, target=0, n_steps=4, baseline=0.0)
    torch.testing.assert_close(from_grey, weight * images)


def test_integrated_gradients_in_parts_equal_those_at_once(images: Tensor, monkeypatch) -> None:
    expected = integrated_gradients(linear_classifier(), images, target=1)
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 7 * SIZE * SIZE)
    torch.testing.assert_close(
        integrated_gradients(linear_classifier(), images, target=1), expected
    )
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(
        integrated_gradients(linear_classifier(), images, target=1), expected
    )


@pytest.mark.parametrize("inplace", [False, True])
def test_grad_cam_has_a_closed_form(images: Tensor, inplace: bool) -> None:
    """Features relu(x), relu(-x); logit 4 mean relu(x) + mean relu(-x): a map of their mix."""
    attribution = grad_cam(convolutional_classifier(inplace=inplace), images, target=1)
    expected = (4 * images.relu() + (-images).relu()) / SIZE**2
    torch.testing.assert_close(attribution, expected)


def test_grad_cam_of_the_other_class_is_cut_at_zero(images: Tensor) -> None:
    assert not grad_cam(convolutional_classifier(), images, target=0).any()


def test_grad_cam_is_upsampled_spread_over_channels_and_batched(
    images: Tensor, monkeypatch
) -> None:
    rgb = images.expand(-1, 3, -1, -1)
    grey_map = grad_cam(convolutional_classifier(), images, target=1)
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 2 * SIZE * SIZE)
    attribution = grad_cam(convolutional_classifier(channels=3), rgb, target=1)
    assert attribution.shape == rgb.shape
    torch.testing.assert_close(attribution.sum(1, keepdim=True), grey_map)

    halving = nn.Sequential(nn.Conv2d(1, 2, 4, stride=4), nn.Flatten(), nn.Linear(32, 1))
    coarse = grad_cam(TorchClassifier(halving, spec()), images, target=1)
    assert coarse.shape == images.shape
    assert (coarse >= 0).all()


def test_grad_cam_says_when_there_is_no_convolution(images: Tensor) -> None:
    with pytest.raises(ClassifierError, match="with a convolution"):
        grad_cam(linear_classifier(), images, target=1)


@pytest.mark.parametrize("method", [integrated_gradients, grad_cam])
def test_gradient_methods_refuse_a_black_box(method, images: Tensor) -> None:
    with pytest.raises(ClassifierError, match="gives none; choose another method"):
        method(BlackBox(), images, 1)


def test_occlusion_of_a_linear_value_has_a_closed_form(images: Tensor) -> None:
    """Squares that do not overlap: each pixel gets its square's sum of w (x - mean x)."""
    classifier = linear_classifier("value")
    weight = torch.linspace(-1, 1, SIZE * SIZE).view(1, SIZE, SIZE) / 8
    attribution = occlusion(classifier, images, target=0, window=4, stride=4)
    share = weight * (images - images.mean((2, 3), keepdim=True))
    sums = nn.functional.avg_pool2d(share, 4) * 16
    expected = nn.functional.interpolate(sums, scale_factor=4.0, mode="nearest")
    torch.testing.assert_close(attribution, expected, atol=1e-5, rtol=1e-4)


def test_occlusion_needs_no_gradients_and_runs_in_parts(images: Tensor, monkeypatch) -> None:
    expected = occlusion(BlackBox(), images, target=1)
    assert expected.shape == images.shape
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(occlusion(BlackBox(), images, target=1), expected)


def test_occlusion_is_spread_over_channels(images: Tensor) -> None:
    rgb = images.expand(-1, 3, -1, -1)
    grey_map = occlusion(convolutional_classifier(), images, target=1)
    attribution = occlusion(convolutional_classifier(channels=3), rgb, target=1)
    torch.testing.assert_close(attribution.sum(1, keepdim=True), grey_map)


def test_a_constant_image_has_nothing_to_occlude() -> None:
    flat = torch.full((1, 1, SIZE, SIZE), 0.5)
    attribution = occlusion(linear_classifier(), flat, target=1)
    torch.testing.assert_close(attribution, torch.zeros_like(flat), atol=1e-6, rtol=0)


def test_settings_out_of_range_are_refused(images: Tensor) -> None:
    classifier = linear_classifier()
    with pytest.raises(ConfigError, match="n_steps must be at least 1, got 0"):
        integrated_gradients(classifier, images, target=1, n_steps=0)
    with pytest.raises(ConfigError, match="window must be 1 to 16 pixels, got 17"):
        occlusion(classifier, images, target=1, window=17)
    with pytest.raises(ConfigError, match="stride must be 1 to 4 pixels, got 5"):
        occlusion(classifier, images, target=1, window=4, stride=5)


def test_unknown_methods_are_answered_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match="no method is named 'gradcam'; did you mean 'grad-cam'"):
        check_methods(["lig", "gradcam"])


def test_all_methods_at_once(images: Tensor) -> None:
    classifier = convolutional_classifier()
    path = torch.linspace(0, 1, 5).view(-1, 1, 1, 1, 1) * images
    reconstruction = 0.9 * images
    computed, skipped = attributions(
        METHODS,
        classifier=classifier,
        target=1,
        images=images,
        reconstruction=reconstruction,
        path=path,
    )
    score = probability(classifier, 1)
    expected = {
        "difference": images,
        "lig": exact_lig(path, score),
        "lig-transferred": exact_lig(transferred_path(images, reconstruction, path), score),
        "lig-published": published_lig(path, score),
        "ig": integrated_gradients(classifier, images, 1),
        "grad-cam": grad_cam(classifier, images, 1),
        "occlusion": occlusion(classifier, images, 1),
    }
    assert skipped == {}
    assert list(computed) == list(METHODS)
    torch.testing.assert_close(computed, expected)


def test_what_cannot_be_had_is_skipped_with_a_reason(images: Tensor) -> None:
    asked = ("lig", "ig", "grad-cam", "occlusion", "occlusion")
    computed, skipped = attributions(asked, classifier=BlackBox(), target=1, images=images)
    assert list(computed) == ["occlusion"]
    assert skipped == {
        "lig": "the classifier gives no gradients; "
        "there is no generator to render a film of the image",
        "ig": "the classifier gives no gradients",
        "grad-cam": "the classifier gives no gradients; the classifier shows no convolution",
    }


def test_a_model_without_convolution_only_loses_grad_cam(images: Tensor) -> None:
    computed, skipped = attributions(
        ["ig", "grad-cam"], classifier=linear_classifier(), target=1, images=images
    )
    assert list(computed) == ["ig"]
    assert skipped == {"grad-cam": "the classifier shows no convolution"}
