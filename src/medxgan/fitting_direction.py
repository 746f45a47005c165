"""From a style-based generator and a model to the direction that changes the model's answer."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.direction_file import DirectionManifest, FittedDirection, Kind
from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain.direction import (
    CodeFrame,
    LinearFit,
    explained_variance,
    frame_of,
    least_change,
    linear_regression,
    logistic_regression,
    random_directions,
)
from medxgan.explain.scores import evaluate, images_at_once, probability
from medxgan.explain.steering import DAMPING, Draw, Evidence, measure_slope, reach_along
from medxgan.stored_classifier import record_classifier
from medxgan.style_bundle import StyleBundle
from medxgan.version import __version__

SAMPLES, HELD_OUT = 4000, 1000
METRIC_SAMPLES = 24
REACHED_SAMPLES = 200
RANDOM_DIRECTIONS = 100
QUANTILE = 0.99
NARROWEST_GAP, WIDEST_GAP = 0.1, 0.5
FARTHEST = 12.0
"""Longest move along a direction, in standard deviations of the prior."""
SURE = 0.05
"""A film ends where the score of the explained class is this, or 1 minus this."""
SAME = 1e-4
"""Evidence that varies less than this is constant."""

KINDS: dict[str, Kind] = {"linear": "linear", "logistic": "logistic"}
ASKING = 0.6
"""Share of the work, about, that asking the model is; watching the image is most of the rest."""

Progress = Callable[[float, str], None]
"""Told the share that is done, and what is being done."""


@dataclass(frozen=True)
class Samples:
    """Images drawn from the prior, as far as they are needed.

    Attributes:
        coordinates: of their codes, ``[N, k]``.
        evidence: log-odds of the explained class, ``[N]``.
        probabilities: its score, ``[N]``.
    """

    coordinates: Tensor
    evidence: Tensor
    probabilities: Tensor


def evidence_for(classifier: TorchClassifier, target: int) -> Evidence:
    """The log-odds of a class; batches of any length."""

    def evidence(images: Tensor) -> Tensor:
        return evaluate(lambda part: classifier.log_odds(part, target), images)

    return evidence


def drawer(bundle: StyleBundle, device: torch.device) -> Draw:
    """Codes of any number -> images, in batches that fit memory; W+ with its layers in a row."""
    generator = bundle.generator.to(device)
    size = bundle.manifest.images.size
    at_once = images_at_once(torch.empty(size, size, device=device))

    @torch.no_grad()
    def draw(codes: Tensor) -> Tensor:
        if codes.shape[1] != generator.code:
            codes = codes.unflatten(1, (-1, generator.code))
        return torch.cat([generator(part) for part in codes.split(at_once)])

    return draw


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
    on their codes; what the direction explains is measured on 1000 others, and beside it what 100
    random directions do.

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
        ConfigError: fewer samples than dimensions.
    """
    check_fits(bundle, classifier)
    if samples < 2 * bundle.generator.code:
        raise ConfigError(
            f"a direction in {bundle.generator.code} dimensions needs at least "
            f"{2 * bundle.generator.code} samples, got {samples}"
        )
    frame = frame_of(bundle.statistics.mean, bundle.statistics.covariance).to(device)
    draw, evidence = drawer(bundle, device), evidence_for(classifier.to(device), target)
    drawn = _draw_samples(
        bundle, frame, draw, classifier, target, samples + HELD_OUT, seed, progress
    )
    fitted, held_out = slice(0, samples), slice(samples, None)
    _check_varies(drawn, classifier, target)
    fit = _regress(kind, drawn, fitted)
    metric = _mean_metric(draw, frame, drawn.coordinates[held_out], progress)
    step = least_change(fit.weights, metric, DAMPING)

    places, known = drawn.coordinates[held_out], drawn.evidence[held_out]
    chance = [
        explained_variance(places, known, direction)
        for direction in random_directions(RANDOM_DIRECTIONS, places.shape[1], seed).to(device)
    ]
    strengths, reached = _strengths(draw, evidence, frame, drawn, held_out, step)
    gap = _prediction_gap(bundle, draw, classifier, target, frame, places, drawn, held_out, device)
    manifest = DirectionManifest(
        name=name,
        kind=kind,
        target=target,
        classifier=record_classifier(classifier),
        oracle=None if oracle is None else record_classifier(oracle),
        generator=generator,
        prediction_gap=gap,
        step_length=float(torch.quantile(strengths, QUANTILE)) / places.shape[1] ** 0.5,
        fit={
            "samples": samples,
            "held_out": HELD_OUT,
            "seed": seed,
            "explained": explained_variance(places, known, fit.weights),
            "explained_by_step": explained_variance(places, known, step),
            "explained_by_random_mean": sum(chance) / len(chance),
            "explained_by_random_most": max(chance),
            "called_positive": float((drawn.probabilities[held_out] >= 0.5).float().mean()),
            "reached": reached,
            "strength": float(strengths.median()),
        },
        generator_version=__version__,
    )
    cpu = torch.device("cpu")
    return FittedDirection(
        manifest, fit.weights.to(cpu), step.to(cpu), fit.intercept, classifier, oracle
    )


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


@torch.no_grad()
def _draw_samples(
    bundle: StyleBundle,
    frame: CodeFrame,
    draw: Draw,
    classifier: TorchClassifier,
    target: int,
    count: int,
    seed: int,
    progress: Progress,
) -> Samples:
    random = torch.Generator().manual_seed(seed)
    score, evidence = probability(classifier, target), evidence_for(classifier, target)
    codes, strengths, chances = [], [], []
    done = 0
    for part in torch.randn(count, bundle.generator.code, generator=random).split(128):
        mapped = bundle.generator.map(part.to(frame.mean.device))
        images = draw(mapped)
        codes.append(frame.coordinates(mapped))
        strengths.append(evidence(images).float())
        chances.append(evaluate(score, images).float())
        done += len(part)
        progress(ASKING * done / count, f"asked about {done} of {count} images")
    return Samples(torch.cat(codes), torch.cat(strengths), torch.cat(chances))


def _check_varies(drawn: Samples, classifier: TorchClassifier, target: int) -> None:
    if float(drawn.evidence.std()) >= SAME:
        return
    raise ClassifierError(
        f"the model gives the same answer, {float(drawn.probabilities.mean()):.3f} for "
        f"'{classifier.spec.class_names[target]}', to all {len(drawn.evidence)} drawn images, so "
        "that no direction changes it; check the model, or train the generator on images that it "
        "tells apart"
    )


def _regress(kind: Kind, drawn: Samples, rows: slice) -> LinearFit:
    if kind == "logistic":
        return logistic_regression(drawn.coordinates[rows], drawn.probabilities[rows])
    # Evidence of deviation 1, so that the ridge means the same for every model.
    spread = float(drawn.evidence[rows].std())
    fit = linear_regression(drawn.coordinates[rows], drawn.evidence[rows] / spread)
    return LinearFit(fit.weights * spread, fit.intercept * spread)


def _mean_metric(
    draw: Draw,
    frame: CodeFrame,
    places: Tensor,
    progress: Progress,
) -> Tensor:
    """How steps change the image, averaged over some codes, ``[k, k]``."""
    total = torch.zeros_like(frame.axes @ frame.axes.T)
    for number, place in enumerate(places[:METRIC_SAMPLES]):
        code = frame.mean + frame.offsets(place)
        total += measure_slope(draw, None, code[None], frame).metric[0]
        progress(ASKING + (1 - ASKING) * (number + 1) / METRIC_SAMPLES, "watching the image")
    return total / METRIC_SAMPLES


def _strengths(
    draw: Draw,
    evidence: Evidence,
    frame: CodeFrame,
    drawn: Samples,
    rows: slice,
    step: Tensor,
) -> tuple[Tensor, float]:
    """How far some held-out samples must be moved to the other side, and how many get there."""
    places, before = drawn.coordinates[rows], drawn.probabilities[rows]
    places, before = places[:REACHED_SAMPLES], before[:REACHED_SAMPLES]
    codes = frame.mean + frame.offsets(places)
    wanted = wanted_evidence(before >= 0.5)
    along = frame.offsets(step)
    strengths = reach_along(draw, evidence, codes, wanted, along, farthest=FARTHEST)
    after = evidence(draw(codes + strengths[:, None] * along))
    reached = (after >= 0) != (before >= 0.5)
    return strengths.abs(), float(reached.float().mean())


def wanted_evidence(positive: Tensor) -> Tensor:
    """Log-odds on the other side of the decision: of ``SURE`` for positives, or of 1 minus that.

    >>> wanted_evidence(torch.tensor([True, False])).sign().tolist()
    [-1.0, 1.0]
    """
    return torch.where(positive, 1.0, -1.0) * math.log(SURE / (1 - SURE))


@torch.no_grad()
def _prediction_gap(
    bundle: StyleBundle,
    draw: Draw,
    classifier: TorchClassifier,
    target: int,
    frame: CodeFrame,
    places: Tensor,
    drawn: Samples,
    rows: slice,
    device: torch.device,
) -> float:
    """How far the model's answers on samples and on their reconstructions are usually apart."""
    places, before = places[:REACHED_SAMPLES], drawn.probabilities[rows][:REACHED_SAMPLES]
    encoder = bundle.encoder.to(device)
    images = draw(frame.mean + frame.offsets(places))
    redrawn = torch.cat([draw(encoder(part).flatten(1)) for part in images.split(64)])
    after = evaluate(probability(classifier, target), redrawn)
    gap = torch.quantile((before - after).abs(), QUANTILE)
    return float(gap.clamp(NARROWEST_GAP, WIDEST_GAP))


def direction_name(source: str) -> str:
    """A name from where the model came from.

    >>> direction_name("models/chest net.onnx"), direction_name("my.module:predict")
    ('chest-net', 'predict')
    """
    stem = source.rsplit(":", 1)[-1] if ":" in source else Path(source).stem
    return re.sub(r"[^A-Za-z0-9_.]+", "-", stem).strip("-.") or "direction"


def figure_rows(direction: FittedDirection) -> list[tuple[str, str]]:
    """What was measured, for people."""
    fit = direction.manifest.fit
    return [
        ("Variance of the evidence explained, held out", f"{fit['explained']:.3f}"),
        (
            "The same by random directions",
            f"{fit['explained_by_random_mean']:.3f}, at most {fit['explained_by_random_most']:.3f}",
        ),
        ("Drawn images called positive", f"{fit['called_positive']:.3f}"),
        ("Drawn images that change sides along it", f"{fit['reached']:.3f}"),
    ]
