"""From a style-based generator and a model to the direction that changes the model's answer."""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.classifiers import KINDS as KINDS_OF_MODEL
from medxgan.classifiers import TorchClassifier
from medxgan.classifiers.constancy import check_varies
from medxgan.direction_figures import (
    ALONG,
    Samples,
    draw_samples,
    ends_of,
    evidence_of,
    explained,
    measure_ends,
    measure_noise,
    measure_redrawn,
    other_side,
)
from medxgan.direction_file import DirectionManifest, FittedDirection, Kind
from medxgan.errors import ClassifierError, ConfigError
from medxgan.explain.direction import (
    least_change,
    linear_regression,
    logistic_regression,
    of_length_1,
)
from medxgan.explain.scores import Score
from medxgan.explain.slope import measure_slope
from medxgan.explain.steering import find_moves
from medxgan.image_sizes import what_to_write
from medxgan.networks.directed import DirectedGenerator
from medxgan.stored_classifier import record_classifier
from medxgan.style_bundle import ImageSpec, StyleBundle
from medxgan.types import ClassifierSpec
from medxgan.version import __version__

SAMPLES = 4000
HELD_OUT, MOVED, TRIED, WATCHED = 1 / 4, 1 / 64, 1 / 128, 1 / 320
"""Further samples, as shares of those that are fitted to: what is explained is measured on the held
out, of which some are moved to the other side. On others the direction is chosen: some are moved
along every one that is tried, and the change of fewer still is watched."""
FEWEST = 4
ASKED_AGAIN = 64
"""Drawn images that the model is asked about a second time, in smaller batches."""
DAMPINGS = (0.1, 1.0, 10.0, 100.0)
"""Of ``least_change``, the first one preserves the image best."""
KEPT = 0.9
"""Of the images that the plain regression takes to the other side, so many must still get there."""
KINDS: dict[str, Kind] = {"linear": "linear", "logistic": "logistic"}
NO_DIRECTION = (
    "no direction changes it; check the model, or train the generator on images that it tells apart"
)
ASKED, WATCHED_ALL, CHOSEN, MOVED_ALL = 0.2, 0.3, 0.4, 0.7
"""How much of the work is done, about, when the model was asked, the image watched, the direction
chosen, and images moved to the other side; the rest is drawing images again."""

Progress = Callable[[float, str], None]
"""Told the share that is done, and what is being done."""


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
        ClassifierError: it or the oracle takes other images than the generator draws, it gives
            all of them the same answer but for rounding, or the oracle is the model itself or
            cannot be kept.
        ConfigError: fewer samples than twice the dimensions of w.
    """
    check_fits(bundle, classifier)
    if oracle is not None:
        _check_oracle(bundle, oracle, classifier)
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
    count = samples + tried + held

    def tell(done: int) -> None:
        progress(ASKED * done / count, f"asked about {done} of {count} images")

    asked = draw_samples(network, evidence, count, seed, tell)
    fitted, choosing = asked[:samples], asked[samples : samples + tried]
    held_out = asked[samples + tried :]
    noise = measure_noise(network, evidence, asked[:ASKED_AGAIN])
    for part in (fitted, held_out):
        check_varies(
            part.evidence, classifier.spec, target, "drawn images", NO_DIRECTION, noise=noise
        )
    weights = _regress(kind, fitted)
    metric = _mean_metric(network, choosing.z1[:watched], progress)
    ends = ends_of(asked.evidence)
    direction = _choose(network, evidence, weights, metric, choosing, ends, progress)
    moving = _between(progress, CHOSEN, MOVED_ALL, "moving drawn images to the other side")
    reached = measure_ends(network, evidence, held_out, moved, direction, ends, moving)
    placing = _between(progress, MOVED_ALL, 1.0, "drawing images again")
    redrawn = measure_redrawn(bundle, network, classifier, target, held_out[:tried], placing)
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
        code_length=reached.pop("code_length"),
        step_length=reached.pop("step_length"),
        ends=ends,
        fit={
            "samples": samples,
            "held_out": held,
            "moved": moved,
            "seed": seed,
            **explained(held_out, weights, direction, seed),
            **redrawn,
            **reached,
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
            f"the model takes {taken.size} and {taken.channels}; "
            f"{_what_to_do(drawn, taken, 'train a generator on such images')}"
        )


def _what_to_do(drawn: ImageSpec, taken: ClassifierSpec, otherwise: str) -> str:
    if drawn.channels != taken.channels:
        return otherwise
    return f"set {what_to_write(taken.taken_size, drawn.size)} in its specification"


def _check_oracle(bundle: StyleBundle, oracle: TorchClassifier, model: TorchClassifier) -> None:
    """Refuse an oracle that could not judge, or not be kept."""
    drawn, taken = bundle.manifest.images, oracle.spec
    if (drawn.size, drawn.channels) != (taken.size, taken.channels):
        raise ClassifierError(
            f"the oracle takes images of {taken.size} pixels and {taken.channels} channel(s), the "
            f"generator draws {drawn.size} and {drawn.channels}; "
            f"{_what_to_do(drawn, taken, 'give an oracle of these')}"
        )
    if oracle.fingerprint == model.fingerprint:
        raise ClassifierError(
            "the oracle is the explained model itself, which judges nothing; give another one"
        )
    if not KINDS_OF_MODEL[oracle.kind].stored:
        raise ClassifierError(
            f"{KINDS_OF_MODEL[oracle.kind].title} cannot be kept beside a direction; leave out "
            "--oracle here and give it to medxgan evaluate"
        )


def _regress(kind: Kind, asked: Samples) -> Tensor:
    if kind == "logistic":
        return logistic_regression(asked.z1, asked.evidence.sigmoid())
    # Evidence of deviation 1, so that the ridge means the same for every model.
    return linear_regression(asked.z1, asked.evidence / asked.evidence.std())


def _between(progress: Progress, start: float, end: float, text: str) -> Callable[[float], None]:
    """Told the share of one part of the work, tells that of all of it; begins at once."""
    progress(start, text)
    return lambda share: progress(start + (end - start) * share, text)


def _mean_metric(network: DirectedGenerator, z1: Tensor, progress: Progress) -> Tensor:
    """How steps change the image, averaged over some codes, ``[d, d]``."""
    axes = torch.eye(len(network.axes), device=z1.device)
    total = torch.zeros_like(axes)
    tell = _between(progress, ASKED, WATCHED_ALL, "watching how images change")
    for number, place in enumerate(z1, start=1):
        total += measure_slope(network, None, place[None], 0 * place[None], axes).metric[0]
        tell(number / len(z1))
    return total / len(z1)


def _choose(
    network: DirectedGenerator,
    evidence: Score,
    weights: Tensor,
    metric: Tensor,
    asked: Samples,
    ends: tuple[float, float],
    progress: Progress,
) -> Tensor:
    """The direction of least change that still takes images to the other side, of length 1."""

    def reached(direction: Tensor) -> float:
        goal = other_side(asked.positive, ends)
        moved = find_moves(network, evidence, asked.z1, goal, direction, ALONG)
        return float(moved.reached.float().mean())

    tell = _between(progress, WATCHED_ALL, CHOSEN, "choosing the direction")
    plain = of_length_1(weights)
    enough = KEPT * reached(plain)
    if enough == 0:
        return plain
    for number, damping in enumerate(DAMPINGS, start=1):
        tell(number / (1 + len(DAMPINGS)))
        direction = least_change(weights, metric, damping)
        if reached(direction) >= enough:
            return direction
    return plain
