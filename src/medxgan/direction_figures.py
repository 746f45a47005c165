"""What a direction explains of a model's answers, and how far images must be moved along it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.classifiers.surrogate import true_model_of
from medxgan.direction_file import FARTHEST_ENDS, FittedDirection
from medxgan.explain.direction import explained_variance, random_directions, separation
from medxgan.explain.scores import Score, evaluate, probability
from medxgan.explain.series import answers_of
from medxgan.explain.steering import Goal, answer_of, drawn, find_moves
from medxgan.inversion import root_mean_square
from medxgan.networks.directed import DirectedGenerator
from medxgan.scoretext import words_for
from medxgan.style_bundle import StyleBundle
from medxgan.style_inversion import place_images

RANDOM_DIRECTIONS = 100
QUANTILE = 0.99
NARROWEST_GAP, WIDEST_GAP = 0.1, 0.5
SUREST = 0.1
"""Films end where the model is as sure as of so many of the drawn images that it calls alike."""
FEWEST_ALIKE = 20
"""On fewer it is not known how sure the model gets."""
NEAREST_END = math.log(0.6 / 0.4)
"""No film ends nearer to the decision than the answers 0.4 and 0.6, where it could be rounding."""
PLACED_AND_MOVED = 16
"""Drawn images on which the limit of a move is measured as explanations move, a second each."""
AT_ONCE = 512
AGAIN_AT_ONCE = 7
"""Another batch size than any before: sums are rounded in another order."""


@dataclass(frozen=True)
class Samples:
    """Codes z1 ``[N, d]`` from the prior, and the model's evidence ``[N]`` on their images."""

    z1: Tensor
    evidence: Tensor

    def __getitem__(self, rows: slice) -> "Samples":
        return Samples(self.z1[rows], self.evidence[rows])

    @property
    def positive(self) -> Tensor:
        """What the model calls positive, bool ``[N]``."""
        return self.evidence >= 0


def evidence_of(classifier: TorchClassifier, target: int) -> Score:
    """The log-odds of a class, or what stands for them; of any number of images."""
    return lambda images: evaluate(lambda part: classifier.log_odds(part, target), images)


def other_side(positive: Tensor, ends: tuple[float, float]) -> Goal:
    """The far side of the decision: the negative end for positives, the positive end for others.

    Args:
        positive: bool ``[N]``.
        ends: evidence at both.

    >>> other_side(torch.tensor([True, False]), (-2.0, 1.0)).wanted.tolist()
    [-2.0, 1.0]
    """
    negative_end, positive_end = ends
    return Goal(torch.where(positive, negative_end, positive_end), ~positive)


def ends_of(evidence: Tensor) -> tuple[float, float]:
    """Where films end: at answers that the model gives, and that are no surer than need be.

    The evidence that a tenth of the drawn positives exceed, and a tenth of the negatives undercut;
    never beyond ``FARTHEST_ENDS``, nor nearer to the decision than ``NEAREST_END``. A model that is
    never sure of anything would otherwise be followed far out of the prior, to images of nothing.

    Args:
        evidence: of drawn images, ``[N]``.

    Returns:
        Evidence at the negative and at the positive end; the farthest where fewer than
        ``FEWEST_ALIKE`` images are on that side.

    >>> low, high = ends_of(torch.cat([torch.full((50,), -9.0), torch.ones(50)]))
    >>> round(low, 2), high
    (-2.94, 1.0)
    """
    _, farthest = FARTHEST_ENDS
    positive = evidence >= 0

    def end(sure: Tensor) -> float:
        if len(sure) < FEWEST_ALIKE:
            return farthest
        return min(farthest, max(NEAREST_END, float(torch.quantile(sure, 1 - SUREST))))

    return -end(-evidence[~positive]), end(evidence[positive])


def draw_samples(
    network: DirectedGenerator,
    evidence: Score,
    count: int,
    seed: int,
    on_done: Callable[[int], None] = lambda done: None,
) -> Samples:
    """Draw codes from the prior, and ask about their images; ``on_done`` hears how many."""
    z1, answer = network.sample(count, seed), answer_of(network, evidence)
    answers: list[Tensor] = []
    for part in z1.split(AT_ONCE):
        answers.append(answer(part, torch.zeros_like(part)).float())
        done = min(len(answers) * AT_ONCE, count)
        on_done(done)
    return Samples(z1, torch.cat(answers))


def measure_noise(network: DirectedGenerator, evidence: Score, asked: Samples) -> float:
    """By how much evidence differs when it is asked for again, in batches of another size.

    Returns:
        Root mean square of the differences: what of the answers is rounding, or chance.
    """
    answer = answer_of(network, evidence)
    again = [answer(part, torch.zeros_like(part)) for part in asked.z1.split(AGAIN_AT_ONCE)]
    return float((torch.cat(again) - asked.evidence).double().square().mean().sqrt())


def explained(
    held_out: Samples, weights: Tensor, direction: Tensor, seed: int
) -> dict[str, float | None]:
    """What the place along the directions says of held-out answers."""
    # Another stream than that of the drawn codes, which would be the directions themselves.
    others = random_directions(RANDOM_DIRECTIONS, len(weights), seed + 1).to(weights)
    chance = [
        max(explained_variance(held_out.z1, held_out.evidence, sign * other) for sign in (1, -1))
        for other in others
    ]
    area = separation(held_out.z1, held_out.positive, weights)
    return {
        "explained": explained_variance(held_out.z1, held_out.evidence, weights),
        "explained_by_direction": explained_variance(held_out.z1, held_out.evidence, direction),
        "explained_by_random_mean": sum(chance) / len(chance),
        "explained_by_random_most": max(chance),
        "area_under_roc": None if math.isnan(area) else area,
        "called_positive": float(held_out.positive.float().mean()),
    }


def measure_ends(
    network: DirectedGenerator,
    evidence: Score,
    held_out: Samples,
    count: int,
    direction: Tensor,
    ends: tuple[float, float],
) -> dict[str, Any]:
    """How many drawn images get to the other side, and how far explanations move.

    ``count`` of them are moved: along the direction alone, and by both ways of ``find_moves``, all
    layers together. For the limits of trust ``PLACED_AND_MOVED`` are moved in W+, as explanations
    do it; how far the others are from there is told by the evidence that these gained a length.
    """
    asked = held_out[:count]
    goal = other_side(asked.positive, ends)
    along = find_moves(network, evidence, asked.z1, goal, direction, local=False)
    moved = find_moves(network, evidence, asked.z1, goal, direction)
    after = answer_of(network, evidence)(asked.z1, moved.z2)
    down, up = (after < 0)[asked.positive], (after >= 0)[~asked.positive]
    return {
        "reached_along": float(along.reached.float().mean()),
        "reached": float(moved.reached.float().mean()),
        "flipped_down": float(down.float().mean()) if len(down) else None,
        "flipped_up": float(up.float().mean()) if len(up) else None,
        "strength": float(moved.z2.norm(dim=1).median()),
        **_limits(network, evidence, held_out, direction, ends),
    }


def _limits(
    network: DirectedGenerator,
    evidence: Score,
    held_out: Samples,
    direction: Tensor,
    ends: tuple[float, float],
) -> dict[str, float]:
    """Longest moves and codes of W+ on drawn images, and by which of the two ways they went."""
    layers = network.generator.layers
    asked = held_out[:PLACED_AND_MOVED]
    places = asked.z1.repeat(1, layers)
    goal = other_side(asked.positive, ends)
    moved = find_moves(network, evidence, places, goal, direction.repeat(layers), layers=layers)
    moves = moved.z2
    lengths = root_mean_square(moves)
    gained = (answer_of(network, evidence)(places, moves) - asked.evidence).abs()
    needed = other_side(held_out.positive, ends).missing(held_out.evidence).clamp_min(0)
    further = needed / (gained / lengths)[lengths > 0].median()
    longest = torch.cat([lengths, further[further.isfinite()]])
    return {
        "moved_on_their_own": float(moved.locally.float().mean()),
        "code_length": float(torch.quantile(root_mean_square(places + moves), QUANTILE)),
        "step_length": float(torch.quantile(longest, QUANTILE)),
    }


@torch.no_grad()
def measure_redrawn(
    bundle: StyleBundle,
    network: DirectedGenerator,
    classifier: TorchClassifier,
    target: int,
    asked: Samples,
) -> dict[str, Any]:
    """How far the model's answers on drawn images and on their reconstructions are apart.

    Reconstructed as explanations do it: from the encoder's w by optimisation in W+.
    """
    device = asked.z1.device
    encoder, generator = bundle.encoder.to(device), network.generator
    statistics = bundle.statistics.to(device)
    score = probability(classifier, target)
    before, after = [], []
    for images in drawn(network, asked.z1, torch.zeros_like(asked.z1)):
        codes = place_images(generator, encoder, statistics, images)
        before.append(evaluate(score, images))
        after.append(evaluate(score, generator(codes)))
    scores, again = torch.cat(before), torch.cat(after)
    gap = torch.quantile((scores - again).abs(), QUANTILE)
    return {
        "gap": float(gap.clamp(NARROWEST_GAP, WIDEST_GAP)),
        "prediction_match": float(((scores >= 0.5) == (again >= 0.5)).float().mean()),
    }


def figure_rows(direction: FittedDirection) -> list[tuple[str, str]]:
    """What was measured, for people."""
    fit = direction.manifest.fit
    ends = torch.tensor(direction.manifest.ends)
    low, high = answers_of(ends, direction.manifest.classifier.spec).tolist()
    return [
        ("Variance of the evidence explained, held out", figure_text(fit["explained"])),
        (
            "The same by random directions",
            f"{figure_text(fit['explained_by_random_mean'])}, "
            f"at most {figure_text(fit['explained_by_random_most'])}",
        ),
        ("Area under the ROC curve", figure_text(fit["area_under_roc"])),
        ("Drawn images called positive", f"{fit['called_positive']:.3f}"),
        ("Of these, called negative when moved down", figure_text(fit["flipped_down"])),
        ("The others, called positive when moved up", figure_text(fit["flipped_up"])),
        ("The direction alone is enough for", f"{fit['reached_along']:.3f}"),
        (
            "Explained by moves in directions of the image's own",
            figure_text(fit.get("moved_on_their_own")),
        ),
        ("Films end at the answers", f"{low:.2f} and {high:.2f}"),
    ]


def direction_notes(direction: FittedDirection) -> list[str]:
    """What whoever fitted a direction must know: it may be of little use."""
    fit, manifest = direction.manifest.fit, direction.manifest
    notes: list[str] = []
    called = words_for(manifest.target_name, manifest.classifier.spec).positive
    if fit["called_positive"] in (0.0, 1.0):
        side = "none" if fit["called_positive"] == 0.0 else "all"
        notes.append(
            f"the model calls {side} of the {fit['held_out']} drawn images {called}: what it would "
            "take to be called otherwise may be nothing that the generator draws; train it on "
            "images of both answers"
        )
    if not fit["flipped_down"] and not fit["flipped_up"]:
        notes.append(
            f"none of {fit['moved']} drawn images could be moved to the other side of the "
            "decision, so that explanations will hardly flip; check the model, or train the "
            "generator for longer"
        )
    if true_model_of(direction.classifier.measured) is not None:
        notes.append(
            "the direction was fitted for a surrogate, and a direction needs no gradients: give "
            "the model itself"
        )
    return notes


def figure_text(value: float | None) -> str:
    """A figure, or that it is not known.

    >>> figure_text(0.25), figure_text(None)
    ('0.250', 'not known')
    """
    return "not known" if value is None else f"{value:.3f}"
