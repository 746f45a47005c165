"""From a style-based generator and a model to the direction that changes the model's answer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.direction_file import DirectionManifest, FittedDirection, Kind
from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain.direction import (
    explained_variance,
    least_change,
    linear_regression,
    logistic_regression,
    of_length_1,
    random_directions,
    separation,
)
from medxgan.explain.scores import Score, evaluate, probability
from medxgan.explain.steering import Goal, answer_of, drawn, find_moves, measure_slope
from medxgan.inversion import root_mean_square
from medxgan.networks.directed import DirectedGenerator
from medxgan.stored_classifier import record_classifier
from medxgan.style_bundle import StyleBundle
from medxgan.version import __version__

SAMPLES = 4000
HELD_OUT, MOVED, TRIED, WATCHED = 1 / 4, 1 / 64, 1 / 128, 1 / 320
"""Further samples, as shares of those that are fitted to: what is explained is measured on the held
out; of these some are moved to the other side, fewer along every direction that is tried, and the
change of the image is watched on fewer still."""
FEWEST = 4
RANDOM_DIRECTIONS = 100
DAMPINGS = (0.1, 1.0, 10.0, 100.0)
"""Of ``least_change``, the first one preserves the image best."""
KEPT = 0.9
"""Of the images that the plain regression takes to the other side, so many must still get there."""
QUANTILE = 0.99
NARROWEST_GAP, WIDEST_GAP = 0.1, 0.5
SURE = 0.05
"""A film ends where the score of the explained class is this, or 1 minus this."""
SAME = 1e-4
"""Evidence that varies less than this is constant."""
AT_ONCE = 512
KINDS: dict[str, Kind] = {"linear": "linear", "logistic": "logistic"}
ASKING, WATCHING = 0.6, 0.2
"""Shares of the work, about: asking the model, and watching the image; the rest is moving."""

Progress = Callable[[float, str], None]
"""Told the share that is done, and what is being done."""


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


def other_side(positive: Tensor) -> Goal:
    """The far side of the decision: log-odds of ``SURE`` for positives, of 1 minus that for others.

    >>> other_side(torch.tensor([True, False])).wanted.sign().tolist()
    [-1.0, 1.0]
    """
    return Goal(torch.where(positive, 1.0, -1.0) * math.log(SURE / (1 - SURE)), ~positive)


def fit_direction(
    bundle: StyleBundle,
    generator: str,
    classifier: TorchClassifier,
    target: int,
    *,
    name: str,
    oracle: TorchClassifier | None = None,
    kind: Kind = "linear",
    samples: int = SAMPLES,
    seed: int = 0,
    device: torch.device,
    progress: Progress = lambda share, text: None,
) -> FittedDirection:
    """Find the direction of w along which a model's answer changes.

    The model is asked for its answers only. Its evidence on ``samples`` drawn images is regressed
    on their codes; what that explains is measured on a quarter as many others, and beside it what
    100 random directions do. Of the directions that change this evidence, the one is taken that
    changes the image least, on average, and still gets images to the other side.

    Args:
        bundle: the style-based generator.
        generator: its fingerprint.
        classifier: the model.
        target: index of the explained class.
        name: of the direction.
        oracle: an independent model that judges explanations, kept beside it.
        kind: ``linear`` regression of log-odds, or ``logistic`` regression of probabilities.
        samples: drawn images to fit to.
        seed: of the draws.
        device: where to compute.
        progress: told the share that is done.

    Raises:
        ClassifierError: it takes other images than the generator draws, or gives all of them the
            same answer.
        ConfigError: fewer samples than twice the dimensions of w.
    """
    check_fits(bundle, classifier)
    if samples < 2 * bundle.generator.code:
        raise ConfigError(
            f"a direction in {bundle.generator.code} dimensions needs at least "
            f"{2 * bundle.generator.code} samples, got {samples}"
        )
    network = directed(bundle, None).to(device)
    evidence = evidence_of(classifier.to(device), target)
    held, moved, tried, watched = (
        max(FEWEST, round(samples * share)) for share in (HELD_OUT, MOVED, TRIED, WATCHED)
    )
    asked = draw_samples(network, evidence, samples + held, seed, progress)
    _check_varies(asked, classifier, target)
    fitted, held_out = asked[:samples], asked[samples:]
    weights = _regress(kind, fitted)
    metric = _mean_metric(network, held_out.z1[:watched], progress)
    direction = _choose(network, evidence, weights, metric, held_out[:tried])
    progress(ASKING + WATCHING, "moving drawn images to the other side")
    ends = _measure_ends(network, evidence, held_out[:moved], direction)
    redrawn = _measure_redrawn(bundle, network, classifier, target, held_out[:moved])
    progress(1.0, "done")
    cpu = torch.device("cpu")
    manifest = DirectionManifest(
        name=name,
        kind=kind,
        target=target,
        classifier=record_classifier(classifier),
        oracle=None if oracle is None else record_classifier(oracle),
        generator=generator,
        prediction_gap=redrawn.pop("gap"),
        code_length=ends.pop("code_length"),
        step_length=ends.pop("step_length"),
        fit={
            "samples": samples,
            "held_out": held,
            "moved": moved,
            "seed": seed,
            **_explained(held_out, weights, direction, seed),
            **redrawn,
            **ends,
        },
        generator_version=__version__,
    )
    return FittedDirection(manifest, weights.to(cpu), direction.to(cpu), classifier, oracle)


def directed(bundle: StyleBundle, direction: Tensor | None) -> DirectedGenerator:
    """The generator of a bundle as one of two codes, in evaluation mode, without gradients."""
    network = DirectedGenerator(bundle.generator, bundle.statistics, direction)
    return network.eval().requires_grad_(False)


def check_fits(bundle: StyleBundle, classifier: TorchClassifier) -> None:
    """Refuse a model that takes other images than the generator draws.

    Raises:
        ClassifierError: another size or channel count.
    """
    drawn, taken = bundle.manifest.images, classifier.spec
    if (drawn.size, drawn.channels) != (taken.size, taken.channels):
        raise ClassifierError(
            f"the generator draws images of {drawn.size} pixels and {drawn.channels} channel(s), "
            f"the model takes {taken.size} and {taken.channels}; train a generator on such images"
        )


def draw_samples(
    network: DirectedGenerator,
    evidence: Score,
    count: int,
    seed: int,
    progress: Progress = lambda share, text: None,
) -> Samples:
    """Draw codes from the prior, and ask the model about their images."""
    z1, answer = network.sample(count, seed), answer_of(network, evidence)
    answers: list[Tensor] = []
    for part in z1.split(AT_ONCE):
        answers.append(answer(part, torch.zeros_like(part)).float())
        done = min(len(answers) * AT_ONCE, count)
        progress(ASKING * done / count, f"asked about {done} of {count} images")
    return Samples(z1, torch.cat(answers))


def _check_varies(asked: Samples, classifier: TorchClassifier, target: int) -> None:
    if float(asked.evidence.std()) >= SAME:
        return
    raise ClassifierError(
        f"the model gives the same answer to all {len(asked.evidence)} drawn images, "
        f"{float(asked.evidence.mean().sigmoid()):.3f} for '{classifier.spec.class_names[target]}',"
        " so that no direction changes it; check the model, or train the generator on images that "
        "it tells apart"
    )


def _regress(kind: Kind, asked: Samples) -> Tensor:
    if kind == "logistic":
        return logistic_regression(asked.z1, asked.evidence.sigmoid())
    # Evidence of deviation 1, so that the ridge means the same for every model.
    return linear_regression(asked.z1, asked.evidence / asked.evidence.std())


def _mean_metric(network: DirectedGenerator, z1: Tensor, progress: Progress) -> Tensor:
    """How steps change the image, averaged over some codes, ``[d, d]``."""
    axes = torch.eye(len(network.axes), device=z1.device)
    total = torch.zeros_like(axes)
    for number, place in enumerate(z1, start=1):
        total += measure_slope(network, None, place[None], 0 * place[None], axes).metric[0]
        progress(ASKING + WATCHING * number / len(z1), "watching the image")
    return total / len(z1)


def _choose(
    network: DirectedGenerator, evidence: Score, weights: Tensor, metric: Tensor, asked: Samples
) -> Tensor:
    """The direction of least change that still takes images to the other side, of length 1."""

    def reached(direction: Tensor) -> float:
        goal = other_side(asked.positive)
        moved = find_moves(network, evidence, asked.z1, goal, direction, local=False)
        return float(moved.reached.float().mean())

    plain = of_length_1(weights)
    enough = KEPT * reached(plain)
    if enough == 0:
        return plain
    tried = (least_change(weights, metric, damping) for damping in DAMPINGS)
    return next((direction for direction in tried if reached(direction) >= enough), plain)


def _explained(
    held_out: Samples, weights: Tensor, direction: Tensor, seed: int
) -> dict[str, float | None]:
    """What the place along the directions says of held-out answers."""
    chance = [
        explained_variance(held_out.z1, held_out.evidence, other)
        for other in random_directions(RANDOM_DIRECTIONS, len(weights), seed).to(weights)
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


def _measure_ends(
    network: DirectedGenerator, evidence: Score, asked: Samples, direction: Tensor
) -> dict[str, float]:
    """How far drawn images are from the other side, and how many get there."""
    goal = other_side(asked.positive)
    along = find_moves(network, evidence, asked.z1, goal, direction, local=False)
    moved = find_moves(network, evidence, asked.z1, goal, direction)
    after = answer_of(network, evidence)(asked.z1, moved.z2)
    flipped = (after >= 0) != asked.positive
    return {
        "reached_along": float(along.reached.float().mean()),
        "reached": float(moved.reached.float().mean()),
        "flipped": float(flipped.float().mean()),
        "strength": float(moved.z2.norm(dim=1).median()),
        "code_length": float(torch.quantile(root_mean_square(asked.z1 + moved.z2), QUANTILE)),
        "step_length": float(torch.quantile(root_mean_square(moved.z2), QUANTILE)),
    }


@torch.no_grad()
def _measure_redrawn(
    bundle: StyleBundle,
    network: DirectedGenerator,
    classifier: TorchClassifier,
    target: int,
    asked: Samples,
) -> dict[str, Any]:
    """How far the model's answers on drawn images and on their reconstructions are apart."""
    encoder = bundle.encoder.to(asked.z1.device)
    score = probability(classifier, target)
    before, after = [], []
    for images in drawn(network, asked.z1, torch.zeros_like(asked.z1)):
        z1 = network.places(encoder(images))
        before.append(evaluate(score, images))
        after.append(evaluate(score, network(z1, torch.zeros_like(asked.z1[: len(z1)]))))
    scores, again = torch.cat(before), torch.cat(after)
    gap = torch.quantile((scores - again).abs(), QUANTILE)
    return {
        "gap": float(gap.clamp(NARROWEST_GAP, WIDEST_GAP)),
        "prediction_match": float(((scores >= 0.5) == (again >= 0.5)).float().mean()),
    }


def figure_rows(direction: FittedDirection) -> list[tuple[str, str]]:
    """What was measured, for people."""
    fit = direction.manifest.fit
    area = fit["area_under_roc"]
    return [
        ("Variance of the evidence explained, held out", f"{fit['explained']:.3f}"),
        (
            "The same by random directions",
            f"{fit['explained_by_random_mean']:.3f}, at most {fit['explained_by_random_most']:.3f}",
        ),
        ("Area under the ROC curve", "not known" if area is None else f"{area:.3f}"),
        ("Drawn images called positive", f"{fit['called_positive']:.3f}"),
        ("Drawn images that change sides", f"{fit['flipped']:.3f}"),
        ("The direction alone takes them there", f"{fit['reached_along']:.3f}"),
    ]
