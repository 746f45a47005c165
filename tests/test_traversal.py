import pytest
import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.explain.counterfactual import plausible_positives, transfer
from medxgan.explain.traversal import film
from medxgan.types import ClassifierSpec


class MeanClassifier:
    """C(x) = mean intensity mapped from [-1, 1] to [0, 1]."""

    spec = ClassifierSpec(size=8, class_names=("dark", "bright"))
    differentiable = True
    fingerprint = "mean"

    def __init__(self) -> None:
        self.largest_batch = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.largest_batch = max(self.largest_batch, len(images))
        bright = (images.mean((1, 2, 3)) + 1) / 2
        return torch.stack([1 - bright, bright], dim=1)

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        return self(images)[:, target].logit()


class PixelGenerator:
    """G(z1, z2) = z1 everywhere plus z2 pixel by pixel (2 x 2 images)."""

    def __init__(self) -> None:
        self.largest_batch = 0

    def __call__(self, z1: Tensor, z2: Tensor) -> Tensor:
        self.largest_batch = max(self.largest_batch, len(z1))
        return (z1 + z2).view(-1, 1, 2, 2)

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        return torch.stack([self(z1, strength * z2) for strength in strengths])


Z1 = torch.tensor([[-1.0], [-0.5]])


def test_film_runs_from_negative_to_positive() -> None:
    """The score of this generator is linear in the strength."""
    z2 = torch.tensor([[2.0, 2.0, 2.0, 2.0], [1.0, 0.0, 0.0, 0.0]])
    frames, probabilities = film(PixelGenerator(), MeanClassifier(), 1, Z1, z2)
    assert frames.shape == (11, 2, 1, 2, 2)
    assert probabilities.shape == (11, 2)
    torch.testing.assert_close(frames[0], PixelGenerator()(Z1, 0 * z2))
    torch.testing.assert_close(frames[-1], PixelGenerator()(Z1, z2))
    torch.testing.assert_close(probabilities[:, 0], torch.linspace(0, 1, 11))
    torch.testing.assert_close(probabilities[:, 1], torch.linspace(0.25, 0.375, 11))


def test_film_takes_other_strengths_and_classes() -> None:
    strengths = torch.tensor([0.0, 0.5, 2.0])
    _, probabilities = film(
        PixelGenerator(), MeanClassifier(), 0, Z1[:1], torch.ones(1, 4), strengths=strengths
    )
    torch.testing.assert_close(probabilities, torch.tensor([[1.0], [0.75], [0.0]]))


def test_film_reaches_the_classifier_in_parts(monkeypatch) -> None:
    z2 = torch.ones(2, 4)
    _, expected = film(PixelGenerator(), MeanClassifier(), 1, Z1, z2)
    monkeypatch.setattr("medxgan.explain.scores.CPU_PIXELS_AT_ONCE", 4 * 5)
    classifier = MeanClassifier()
    _, probabilities = film(PixelGenerator(), classifier, 1, Z1, z2)
    assert classifier.largest_batch == 5
    torch.testing.assert_close(probabilities, expected)


def test_transfer_moves_the_change_to_the_image() -> None:
    image = torch.tensor([0.9, 0.1, -0.9])
    reconstruction, counterfactual = torch.tensor([0.0, 0.3, 0.5]), torch.tensor([0.5, 0.0, 0.0])
    changed = transfer(image, reconstruction, counterfactual)
    torch.testing.assert_close(changed, torch.tensor([1.0, -0.2, -1.0]))


def test_transfer_of_a_perfect_reconstruction_is_the_counterfactual() -> None:
    image, counterfactual = torch.tensor([0.25]), torch.tensor([-0.5])
    assert transfer(image, image, counterfactual).equal(counterfactual)


CANDIDATES = torch.tensor(
    [
        [2.0, 2.0, 2.0, 2.0],  # the strongest
        [2.0, 2.0, 2.0, 1.9],  # almost the same
        [0.0, 2.0, 2.0, 0.0],  # positive on the brighter image, far from the strongest
        [2.0, 2.0, 0.0, 1.0],  # positive on both, less far
        [0.0, 0.0, 0.0, 0.0],  # never positive, farthest of all
    ]
)


def test_alternatives_are_the_strongest_and_then_the_most_different() -> None:
    chosen = plausible_positives(PixelGenerator(), MeanClassifier(), 1, Z1, CANDIDATES, count=3)
    assert chosen.images.shape == (3, 2, 1, 2, 2)
    assert chosen.z2[:, 0].equal(CANDIDATES[[0, 2, 3]])
    assert chosen.z2[:, 1].equal(CANDIDATES[[0, 2, 3]])
    assert chosen.found.all()
    for alternative in range(3):
        expected = PixelGenerator()(Z1, chosen.z2[alternative])
        torch.testing.assert_close(chosen.images[alternative], expected)
    torch.testing.assert_close(
        chosen.probabilities[0], (PixelGenerator()(Z1, CANDIDATES[:1]).mean((1, 2, 3)) + 1) / 2
    )


def test_where_positives_run_out_the_best_scores_fill_up_and_say_so() -> None:
    weak = torch.tensor([[0.1] * 4, [2.0] * 4, [0.3] * 4, [0.2] * 4])
    chosen = plausible_positives(PixelGenerator(), MeanClassifier(), 1, Z1[:1], weak, count=4)
    torch.testing.assert_close(chosen.z2[:, 0, 0], torch.tensor([2.0, 0.3, 0.2, 0.1]))
    assert chosen.found[:, 0].tolist() == [True, False, False, False]


def test_no_candidate_is_taken_twice() -> None:
    same = torch.ones(3, 4) * torch.tensor([[2.0], [2.0], [2.0 - 1e-3]])
    chosen = plausible_positives(PixelGenerator(), MeanClassifier(), 1, Z1[:1], same, count=3)
    assert sorted(chosen.z2[:, 0, 0].tolist()) == sorted(same[:, 0].tolist())


def test_alternatives_do_not_depend_on_the_batch(monkeypatch) -> None:
    together = plausible_positives(PixelGenerator(), MeanClassifier(), 1, Z1, CANDIDATES, count=3)
    monkeypatch.setattr("medxgan.explain.counterfactual.CODES_AT_ONCE", 3)
    generator = PixelGenerator()
    alone = plausible_positives(generator, MeanClassifier(), 1, Z1[1:], CANDIDATES, count=3)
    assert generator.largest_batch == 3
    assert alone.z2[:, 0].equal(together.z2[:, 1])


@pytest.mark.parametrize("count", [0, 6])
def test_more_alternatives_than_candidates_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"must be 1 to 5 .*got {count}"):
        plausible_positives(PixelGenerator(), MeanClassifier(), 1, Z1, CANDIDATES, count=count)
