from itertools import pairwise

import pytest
import torch
from torch import Tensor

from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain.lig import (
    LatentIntegratedGradients,
    exact_lig,
    published_lig,
    transferred_path,
)
from medxgan.explain.scores import evaluate, gradients
from medxgan.explain.traversal import even_strengths
from medxgan.metrics.faithfulness import completeness_error
from medxgan.types import ClassifierSpec, Latent

WEIGHT = torch.linspace(-1, 1, 16).view(1, 4, 4)


class LogisticClassifier:
    """C(x) = sigmoid(w.x), against 1 - C(x)."""

    spec = ClassifierSpec(size=8, class_names=("healthy", "ill"))
    differentiable = True
    fingerprint = "logistic"

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        logit = (WEIGHT * images).sum((1, 2, 3))
        return logit if target == 1 else -logit

    def __call__(self, images: Tensor) -> Tensor:
        positive = self.log_odds(images, 1).sigmoid()
        return torch.stack([1 - positive, positive], dim=1)


class CurvedGenerator:
    """G(z1, z2) = tanh(A z1 + (B z2)^3 + B z2): curved in z2, z2 = 0 adds nothing."""

    def __init__(self) -> None:
        seeded = torch.Generator().manual_seed(0)
        self.structure = torch.randn(16, 3, generator=seeded) / 4
        self.pathology = torch.randn(16, 2, generator=seeded) / 4

    def __call__(self, z1: Tensor, z2: Tensor) -> Tensor:
        change = z2 @ self.pathology.mT
        return torch.tanh(z1 @ self.structure.mT + change**3 + change).view(-1, 1, 4, 4)

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        return torch.stack([self(z1, strength * z2) for strength in strengths])


class FixedExplainer:
    target = 1

    def __init__(self, latent: Latent) -> None:
        self.latent = latent
        self.generator = CurvedGenerator()

    def encode(self, images: Tensor, target: int) -> Latent:
        assert target == self.target
        return self.latent


@pytest.fixture
def codes() -> Latent:
    seeded = torch.Generator().manual_seed(1)
    return Latent(torch.randn(5, 3, generator=seeded), torch.randn(5, 2, generator=seeded))


@pytest.fixture
def curved_path(codes: Latent) -> Tensor:
    return CurvedGenerator().film(codes.z1, codes.z2, even_strengths(33))


def linear(images: Tensor) -> Tensor:
    return (WEIGHT * images).sum((1, 2, 3))


def square(images: Tensor) -> Tensor:
    return images.square().sum((1, 2, 3))


def logistic(images: Tensor) -> Tensor:
    return (3 * linear(images)).sigmoid()


def one_step_at_a_time(path: Tensor, score) -> Tensor:
    evidence = torch.zeros_like(path[0])
    for start, end in pairwise(path):
        middle = ((start + end) / 2).requires_grad_()
        (gradient,) = torch.autograd.grad(score(middle).sum(), middle)
        evidence += gradient * (end - start)
    return evidence


def test_linear_score_has_a_closed_form(curved_path: Tensor) -> None:
    """F(x) = w.x: the sum telescopes, whatever the path."""
    expected = WEIGHT * (curved_path[-1] - curved_path[0])
    torch.testing.assert_close(exact_lig(curved_path, linear), expected)
    torch.testing.assert_close(published_lig(curved_path, linear), expected)


def test_quadratic_score_has_a_closed_form(curved_path: Tensor) -> None:
    """The midpoint rule is exact for a gradient that is linear in x."""
    expected = curved_path[-1].square() - curved_path[0].square()
    torch.testing.assert_close(exact_lig(curved_path, square), expected, atol=1e-5, rtol=1e-4)


def test_one_step_is_the_gradient_at_the_middle(curved_path: Tensor) -> None:
    ends = curved_path[[0, -1]]
    expected = gradients(logistic, ends.mean(0)) * (ends[1] - ends[0])
    torch.testing.assert_close(exact_lig(ends, logistic), expected)


def test_batched_steps_equal_the_simple_loop(curved_path: Tensor, monkeypatch) -> None:
    expected = one_step_at_a_time(curved_path, logistic)
    torch.testing.assert_close(exact_lig(curved_path, logistic), expected)
    for images_in_a_batch in (1, 7, 12):
        monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 16 * images_in_a_batch)
        torch.testing.assert_close(exact_lig(curved_path, logistic), expected)


def test_published_form_is_difference_times_mean_gradient(curved_path: Tensor, monkeypatch) -> None:
    mean_gradient = torch.stack([gradients(logistic, frame) for frame in curved_path[1:]]).mean(0)
    expected = (curved_path[-1] - curved_path[0]) * mean_gradient
    torch.testing.assert_close(published_lig(curved_path, logistic), expected)
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 16 * 7)
    torch.testing.assert_close(published_lig(curved_path, logistic), expected)


def test_exact_form_is_complete_where_the_published_one_is_not(curved_path: Tensor) -> None:
    start, end = evaluate(logistic, curved_path[0]), evaluate(logistic, curved_path[-1])
    exact = completeness_error(exact_lig(curved_path, logistic), start, end)
    published = completeness_error(published_lig(curved_path, logistic), start, end)
    assert exact.max() < 0.005
    assert published.max() > 0.05


def test_a_path_that_stands_still_gets_nothing() -> None:
    path = torch.full((4, 2, 1, 4, 4), 0.3)
    assert not exact_lig(path, logistic).any()
    assert not published_lig(path, logistic).any()


@pytest.mark.parametrize("method", [exact_lig, published_lig])
def test_a_path_needs_a_step(method) -> None:
    with pytest.raises(ConfigError, match="at least 2 frames, got 1"):
        method(torch.zeros(1, 1, 1, 4, 4), linear)


def test_gradients_flow_where_they_are_switched_off(curved_path: Tensor) -> None:
    expected = exact_lig(curved_path, logistic)
    with torch.no_grad():
        torch.testing.assert_close(exact_lig(curved_path, logistic), expected)
    with torch.inference_mode():
        inference_path = curved_path.clone()
    torch.testing.assert_close(exact_lig(inference_path, logistic), expected)


def test_transferred_path_ends_at_the_image_and_moves_like_the_film(curved_path: Tensor) -> None:
    image = torch.full_like(curved_path[0], 0.95)
    path = transferred_path(image, curved_path[-1], curved_path)
    torch.testing.assert_close(path[-1], image)
    torch.testing.assert_close(path.diff(dim=0), curved_path.diff(dim=0), atol=1e-6, rtol=1e-4)
    assert path.max() > 1


def test_of_a_perfect_reconstruction_the_transferred_path_is_the_film(curved_path: Tensor) -> None:
    assert transferred_path(curved_path[-1], curved_path[-1], curved_path).equal(curved_path)


def test_captum_shape_and_delta(codes: Latent, curved_path: Tensor) -> None:
    method = LatentIntegratedGradients(LogisticClassifier(), FixedExplainer(codes))
    images = curved_path[-1]
    attribution, delta = method.attribute(images, n_steps=32, return_convergence_delta=True)
    assert attribution.shape == images.shape
    assert delta.shape == (5,)
    assert delta.abs().max() < 1e-3
    score = LogisticClassifier()
    change = score(curved_path[-1])[:, 1] - score(curved_path[0])[:, 1]
    torch.testing.assert_close(attribution.sum((1, 2, 3)) - delta, change)


def test_another_class_is_judged_along_the_same_film(codes: Latent, curved_path: Tensor) -> None:
    method = LatentIntegratedGradients(LogisticClassifier(), FixedExplainer(codes))
    ill = method.attribute(curved_path[-1])
    torch.testing.assert_close(method.attribute(curved_path[-1], target="ill"), ill)
    torch.testing.assert_close(method.attribute(curved_path[-1], target=0), -ill)


def test_negative_images_get_exactly_zero(codes: Latent) -> None:
    z2 = codes.z2.clone()
    z2[[1, 3]] = 0
    method = LatentIntegratedGradients(LogisticClassifier(), FixedExplainer(Latent(codes.z1, z2)))
    attribution, delta = method.attribute(
        torch.zeros(5, 1, 4, 4), n_steps=2, return_convergence_delta=True
    )
    assert attribution.flatten(1).any(dim=1).tolist() == [True, False, True, False, True]
    assert delta[[1, 3]].tolist() == [0, 0]


def test_bad_arguments_are_explained(codes: Latent) -> None:
    method = LatentIntegratedGradients(LogisticClassifier(), FixedExplainer(codes))
    with pytest.raises(ConfigError, match="n_steps must be at least 1, got 0"):
        method.attribute(torch.zeros(5, 1, 4, 4), n_steps=0)
    with pytest.raises(ClassifierError, match="no class is named 'il'; did you mean 'ill'"):
        method.attribute(torch.zeros(5, 1, 4, 4), target="il")
