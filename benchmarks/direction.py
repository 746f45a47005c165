"""How good is a direction in a style-based generator? Both ways, on samples and on phantoms.

    python benchmarks/direction.py chest-phantom-stylegan --seed 12345 --table

Measures how much of the model's evidence the direction explains on fresh codes; then moves drawn
images and encoded phantoms to the other side in four ways: as explanations do (along the direction
or in directions of the image's own, whichever changes the image less), along the direction alone,
in directions of the image's own with a random one in place of the fitted one among them, and in
random directions as far as explanations go. The model is asked for answers only, so that an ONNX
model is measured like any other. Without ``--direction`` every direction of the bundle is measured.
One JSON object goes to standard output, figures by the name of the direction; the rest to standard
error.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import medxgan
from bundle_quality import KINDS, fresh_phantoms, phantom_kind
from documents import publish
from medxgan.bundle import find_bundle
from medxgan.classifiers import load_classifier
from medxgan.data import Dataset
from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_figures import draw_samples, evidence_of
from medxgan.direction_folder import fitted_directions
from medxgan.errors import ConfigError, DataError
from medxgan.explain.counterfactual import transfer
from medxgan.explain.direction import explained_variance, random_directions, separation
from medxgan.explain.drawing import drawn
from medxgan.explain.scores import evaluate, probability
from medxgan.explanations import Explanations
from medxgan.metrics.bootstrap import summary
from medxgan.metrics.counterfactual import crossed, flipped, is_monotone
from medxgan.metrics.localization import average_precision, evidence, pointing_game
from medxgan.metrics.similarity import mae_outside, mse, ssim_outside
from medxgan.metrics.smoothing import smooth

Figures = dict[str, Any]
SIDES = {"down": True, "up": False}
"""Which images are moved which way: positive ones down."""
SHOWN = 11
RANDOM = "random directions"


class Way(NamedTuple):
    """How images are moved: along the direction, in directions of their own, or both.

    ``fitted``: is the direction the one that was fitted, or a random one?
    """

    common: bool
    local: bool
    fitted: bool = True

    @contextmanager
    def of(self, explainer: DirectedExplainer, seed: int) -> Iterator[None]:
        """Move in this way for the time being."""
        network = explainer.generator
        kept = network.direction
        try:
            explainer.common, explainer.local = self.common, self.local
            if not self.fitted:
                network.direction = random_directions(1, len(kept), seed + 1)[0].to(kept)
            yield
        finally:
            explainer.common = explainer.local = True
            network.direction = kept


WAYS = {
    "explanations": Way(common=True, local=True),
    "direction alone": Way(common=True, local=False),
    "own, none of them fitted": Way(common=False, local=True, fitted=False),
}


class Change(NamedTuple):
    """N images x, their reconstructions x̂, what these are changed to, and C of each."""

    images: Tensor
    start: Tensor
    end: Tensor
    masks: Tensor
    before: Tensor
    at_start: Tensor
    at_end: Tensor
    transferred: Tensor


def figure(values: Tensor) -> Figures:
    """Mean with its 95 % bootstrap interval, over the values that are defined."""
    found: Figures = dict(summary(values.float()))
    return found


def explained(explainer: DirectedExplainer, count: int, seed: int) -> Figures:
    """What the place along the direction says of the model's evidence on fresh samples."""
    asked = draw_samples(
        explainer.generator, evidence_of(explainer.classifier, explainer.target), count, seed
    )
    direction = explainer.generator.direction
    weights = explainer.fitted.weights.to(direction)
    # Another stream than that of the drawn codes, which would be the directions themselves.
    random = random_directions(100, len(direction), seed + 1).to(direction)
    chance = [
        max(explained_variance(asked.z1, asked.evidence, sign * each) for sign in (1, -1))
        for each in random
    ]
    area = [separation(asked.z1, asked.positive, each) for each in (weights, *random)]
    figures = {
        "n": count,
        "called_positive": float(asked.positive.float().mean()),
        "regression": explained_variance(asked.z1, asked.evidence, weights),
        "direction": explained_variance(asked.z1, asked.evidence, direction),
        "random_mean": sum(chance) / len(chance),
        "random_most": max(chance),
        "area_under_roc": area[0],
        "area_by_random_most": max(max(each, 1 - each) for each in area[1:]),
    }
    # Where all samples are called alike, or answered alike, there is nothing to tell apart.
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def measure_samples(explainer: DirectedExplainer, count: int, seed: int) -> Figures:
    """Drawn images moved down and up: are they called so, how far is it, does the film rise?"""
    started = time.perf_counter()
    z1, z2 = explainer.sample_codes(count, positive=True, seed=seed)
    seconds = (time.perf_counter() - started) / count
    score = probability(explainer.classifier, explainer.target)
    film = torch.stack(
        [
            torch.cat([evaluate(score, part) for part in drawn(explainer.generator, z1, t * z2)])
            for t in torch.linspace(0, 1, SHOWN)
        ]
    )
    return {
        "validity_down": figure(film[0] < 0.5),
        "validity_up": figure(film[-1] >= 0.5),
        "monotone": figure(is_monotone(film)),
        "length": figure(z2.norm(dim=1)),
        "seconds_per_image": seconds,
    }


def explain(explainer: DirectedExplainer, data: Dataset) -> Explanations:
    """Explanations of all images, with their masks."""
    found = explainer.explain(
        data.images(), methods=("difference",), masks=list(data.mask_images()[0]), frames=2
    )
    assert isinstance(found, Explanations)
    return found


def change_of(explanations: Sequence[medxgan.Explanation]) -> Change:
    """Explanations as tensors."""
    pictures = [
        torch.stack([getattr(one, part) for one in explanations])
        for part in ("image", "reconstruction", "counterfactual")
    ]
    masks = torch.stack([one.mask for one in explanations if one.mask is not None])
    scores = [
        torch.tensor([one.scores[part] for one in explanations])
        for part in ("image", "reconstruction", "counterfactual", "transferred")
    ]
    return Change(*pictures, masks, *scores)


def random_change(
    explainer: DirectedExplainer, explanations: Sequence[medxgan.Explanation], seed: int
) -> Change:
    """The same images and reconstructions, moved as far in a random direction each."""
    ours = change_of(explanations)
    z1, z2 = (
        torch.cat([getattr(one.latent, code) for one in explanations]) for code in ("z1", "z2")
    )
    positive = torch.tensor([one.positive for one in explanations])[:, None]
    moved = random_moves(z2, seed) + torch.where(positive, z2, 0)
    on_device = (codes.to(explainer.device) for codes in (z1, moved))
    end = torch.cat(drawn(explainer.generator, *on_device)).cpu()
    transferred = transfer(ours.images, ours.start, end)
    score = probability(explainer.classifier, explainer.target)
    at_end, on_image = (
        evaluate(score, images.to(explainer.device)).cpu() for images in (end, transferred)
    )
    return ours._replace(end=end, at_end=at_end, transferred=on_image)


def random_moves(moves: Tensor, seed: int) -> Tensor:
    """In a random direction each, as far as moves ``[N, d]`` lead."""
    return random_directions(*moves.shape, seed + 1) * moves.norm(dim=1, keepdim=True)


def measure_change(change: Change) -> Figures:
    """Does the answer flip, where is the change, and what stays?"""
    heat = evidence(change.end - change.start)
    return {
        "validity": figure(flipped(change.before, change.at_end)),
        "crossing": figure(crossed(change.before, change.at_start, change.at_end)),
        "transfer_validity": figure(flipped(change.before, change.transferred)),
        "pointing": figure(pointing_game(heat, change.masks)),
        "average_precision": figure(average_precision(heat, change.masks)),
        "pointing_smoothed": figure(pointing_game(smooth(heat), change.masks)),
        "average_precision_smoothed": figure(average_precision(smooth(heat), change.masks)),
        "mae_outside": figure(mae_outside(change.start, change.end, change.masks)),
        "ssim_outside": figure(ssim_outside(change.start, change.end, change.masks)),
    }


def measure_phantoms(explainer: DirectedExplainer, data: Dataset, seed: int) -> Figures:
    """Encoded phantoms moved in every way, positives down and negatives up."""
    document: Figures = {}
    for name, way in WAYS.items():
        print(f"phantoms: {name}", file=sys.stderr, flush=True)
        started = time.perf_counter()
        with way.of(explainer, seed):
            explanations = explain(explainer, data)
        document[name] = {"seconds_per_image": (time.perf_counter() - started) / len(data)}
        for side, positive in SIDES.items():
            chosen = [one for one in explanations if one.positive == positive]
            if chosen:
                document[name][side] = measure_change(change_of(chosen))
        if name == "explanations":
            document["reconstruction"] = _reconstruction(explanations)
            document[RANDOM] = {
                side: measure_change(random_change(explainer, chosen, seed))
                for side, positive in SIDES.items()
                if (chosen := [one for one in explanations if one.positive == positive])
            }
    return document


def _reconstruction(explanations: Sequence[medxgan.Explanation]) -> Figures:
    change = change_of(explanations)
    same_side = (change.before >= 0.5) == (change.at_start >= 0.5)
    return {
        "mse": figure(mse(change.images, change.start)),
        "prediction_match": figure(same_side),
        "status_ok": figure(torch.tensor([one.status.ok for one in explanations])),
    }


def table(document: Figures) -> str:
    """The main figures, and whether validity both ways is at least 0.95."""
    told = document["explained"].items()
    lines = [", ".join(f"{name} {'null' if v is None else f'{v:.3f}'}" for name, v in told)]
    for name, figures in document["samples"].items():
        down, up = (figures[f"validity_{side}"]["value"] for side in SIDES)
        verdict = "pass" if min(down, up) >= 0.95 else "FAIL"
        lines.append(
            f"samples, {name:22} down {down:.3f} up {up:.3f} monotone "
            f"{figures['monotone']['value']:.3f} length {figures['length']['value']:.2f} "
            f"seconds {figures['seconds_per_image']:.3f}  >= 0.95 {verdict}"
        )
    parts = list(document["phantoms"]["explanations"].get("down", {}))
    lines.append(f"{'phantoms':36}" + "".join(f"{part[:14]:>16}" for part in parts))
    for name, found in document["phantoms"].items():
        for side in SIDES:
            if side in found:
                values = [found[side][part]["value"] for part in parts]
                cells = [f"{'null' if value is None else f'{value:.3f}':>16}" for value in values]
                lines.append(f"  {name + ', ' + side:34}" + "".join(cells))
    redrawn = document["phantoms"]["reconstruction"]
    lines.append(", ".join(f"{name} {part['value']:.4f}" for name, part in redrawn.items()))
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="shipped name or folder")
    parser.add_argument("--direction", help="name or folder; default: every one")
    parser.add_argument("--classifier", help="the explained one, if the direction does not hold it")
    parser.add_argument("--kind", choices=KINDS, help="of phantoms; default: the bundle's")
    parser.add_argument("--count", type=int, default=200, help="phantoms, half of them positive")
    parser.add_argument("--samples", type=int, default=200, help="drawn images that are moved")
    parser.add_argument("--asked", type=int, default=2000, help="drawn images the model is asked")
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    parser.add_argument("--table", action="store_true", help="print the main figures to stderr")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> Figures:
    """Load what was asked for and measure it."""
    for name in ("count", "samples", "asked"):
        if getattr(arguments, name) < 2:
            raise ConfigError(f"--{name} must be at least 2, got {getattr(arguments, name)}")
    classifier = load_classifier(arguments.classifier) if arguments.classifier else None
    explainer = medxgan.load(
        arguments.bundle,
        classifier=classifier,
        direction=arguments.direction,
        device=arguments.device,
    )
    if not isinstance(explainer, DirectedExplainer):
        raise ConfigError(f"{arguments.bundle} has no style-based generator, and so no direction")
    manifest = explainer.bundle
    kind = arguments.kind or phantom_kind(manifest.name, str(manifest.training.get("data", "")))
    data = fresh_phantoms(kind, arguments.count, explainer.spec.size, arguments.seed)
    if data.channels != explainer.spec.channels:
        raise DataError(
            f"{kind} phantoms have {data.channels} channel(s), the model takes "
            f"{explainer.spec.channels}; give --kind"
        )
    samples: Figures = {}
    for name, way in WAYS.items():
        print(f"samples: {name}", file=sys.stderr, flush=True)
        with way.of(explainer, arguments.seed):
            samples[name] = measure_samples(explainer, arguments.samples, arguments.seed)
    return {
        "bundle": manifest.name,
        "classifier": manifest.classifier.kind,
        "kind": kind,
        "seed": arguments.seed,
        "count": arguments.count,
        "explained": explained(explainer, arguments.asked, arguments.seed),
        "samples": samples,
        "phantoms": measure_phantoms(explainer, data, arguments.seed),
    }


def measure_all(arguments: argparse.Namespace) -> dict[str, Figures]:
    """The named direction, or every one of the bundle: name -> figures."""
    if arguments.direction is not None:
        return {arguments.direction: measure(arguments)}
    names: list[str | None] = [*fitted_directions(find_bundle(arguments.bundle))] or [None]
    documents = {}
    for name in names:
        print(f"direction: {name}", file=sys.stderr, flush=True)
        one = argparse.Namespace(**vars(arguments) | {"direction": name})
        documents[str(name)] = measure(one)
    return documents


def tables(document: Mapping[str, Figures]) -> str:
    """A table for each direction, under its name."""
    return "\n".join(f"{name}\n{table(figures)}" for name, figures in document.items())


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    publish(lambda: measure_all(arguments), arguments.out, tables if arguments.table else None)


if __name__ == "__main__":
    main()
