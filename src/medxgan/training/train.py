"""``medxgan train``: from a data set and a classifier to a bundle."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from medxgan.bundle import (
    MANIFEST_NAME,
    Bundle,
    DrawingPart,
    Manifest,
    record_classifier,
    save_bundle,
)
from medxgan.classifiers import KINDS, TorchClassifier
from medxgan.classifiers.surrogate import true_model_of
from medxgan.config import TrainingSettings, settings_to_toml
from medxgan.data import Dataset
from medxgan.data.presentation import NOTHING_KEPT, KeptPresentation
from medxgan.errors import ClassifierError, ConfigError, OutputError
from medxgan.image_sizes import SIZES, in_words, what_to_write, where_to_write
from medxgan.networks.published import SIZES as PUBLISHED_SIZES
from medxgan.packing import pack, unpack
from medxgan.scoretext import words_for
from medxgan.style_settings import STYLE_SECTIONS
from medxgan.training.calibration import measure_held_out, prior_agreement
from medxgan.training.generated import Networks
from medxgan.training.loop import Figures, Monitor, Outcome, Run, run_training
from medxgan.training.medxgan import MedxganRecipe
from medxgan.training.order import BalancedOrder
from medxgan.training.published import PublishedNetworks, PublishedRecipe
from medxgan.training.source import VariedImages, check_both_answers, predictions
from medxgan.training.start import check_start, start_from
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.version import __version__

EXAMPLES = 8
WATCHED_CODES = 128
ClassifierRecipe = Literal["medxgan", "published"]
RECIPES: dict[ClassifierRecipe, type[MedxganRecipe] | type[PublishedRecipe]] = {
    "medxgan": MedxganRecipe,
    "published": PublishedRecipe,
}


@dataclass(frozen=True)
class Plan:
    """What a run needs beside its settings, which say by what recipe it goes.

    Attributes:
        data: all splits; trained on ``train``, limits measured on ``val``.
        classifier: the frozen model to explain.
        target: index of the explained class.
        settings: of the run.
        folder: checkpoints, log, samples and, at the end, the bundle.
        seed: of all random numbers.
        oracle: an independent classifier to put into the bundle, for judging explanations.
        data_licence: kept in the bundle.
        data_name: kept in the bundle.
        presentation: how the images were shown, kept in the bundle.
        resume: continue the run in ``folder``.
        stop_after: stop early after so many images.
        start: a bundle whose weights generator and encoder begin with, instead of random ones: for
            a further class of a model, or another model of like images.
        named: how the user named the model, for sentences; as it says itself where empty.
    """

    data: Dataset
    classifier: TorchClassifier
    target: int
    settings: TrainingSettings
    folder: Path
    seed: int = 0
    oracle: TorchClassifier | None = None
    data_licence: str = "not stated"
    data_name: str = "unnamed"
    presentation: KeptPresentation = NOTHING_KEPT
    resume: bool = False
    stop_after: int | None = None
    start: DrawingPart | None = None
    named: str = ""


@dataclass(frozen=True)
class Trained:
    """How training ended: whether it reached its end (then a bundle was written), and figures."""

    finished: bool
    images: int
    figures: dict[str, Any]


def train_medxgan(plan: Plan, fabric: Fabric, monitor: Monitor) -> Trained:
    """Train, resume or finish a run; writes the bundle when the last image has been shown.

    Raises:
        ClassifierError: the classifier gives no gradients, or does not fit the images.
        DataError: the classifier calls too few images positive, or too few negative.
        ConfigError: the run in ``folder`` was started with something else.
        OutputError: the folder holds another run, or cannot be written.
    """
    _check(plan)
    classifier = plan.classifier.to(fabric.device)
    train = plan.data.select("train", labelled=False)
    positive = (predictions(classifier, train, plan.target, fabric.device) >= 0.5).numpy()
    batch = plan.settings.run.batch_size
    called = words_for(classifier.spec.class_names[plan.target], classifier.spec).positive
    check_both_answers(positive, called, "training", minimum=max(8, batch // 2))
    held_out = plan.data.select("val", labelled=False)
    answers = (predictions(classifier, held_out, plan.target, fabric.device) >= 0.5).numpy()
    check_both_answers(answers, called, "held-out", minimum=1)

    # The same initial weights in every process, whatever torch's global generator did before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        recipe = RECIPES[_recipe(plan.settings)](
            classifier,
            plan.target,
            plan.settings,
            train.images(_examples(positive)),
            fabric.device,
        )
    if plan.start is not None:
        start_from(plan.start, recipe.networks)
    order = BalancedOrder(
        positive,
        batch_size=batch,
        seed=plan.seed,
        rank=fabric.global_rank,
        processes=fabric.world_size,
    )
    run = Run(
        plan.folder,
        plan.settings,
        plan.seed,
        _identity(plan, train, fabric.world_size),
        plan.resume,
        plan.stop_after,
        watch=lambda averaged: _watch(plan, averaged, fabric.device),
    )
    if fabric.is_global_zero and not plan.resume:
        plan.folder.mkdir(parents=True, exist_ok=True)
        (plan.folder / "settings.toml").write_text(settings_to_toml(plan.settings))
    source = VariedImages(train, order, plan.settings.variation)
    outcome = run_training(run, recipe, source, fabric, monitor)
    shown = outcome.state.step * batch * fabric.world_size
    if not outcome.finished or not fabric.is_global_zero:
        return Trained(outcome.finished, shown, dict(outcome.figures))
    figures = _write_bundle(plan, outcome, train, positive, shown, fabric, monitor)
    return Trained(True, shown, figures)


def _recipe(settings: TrainingSettings) -> ClassifierRecipe:
    recipe = settings.recipe
    if recipe == "stylegan":
        raise ConfigError(
            f"the preset '{settings.preset}' learns from images alone; train it with "
            "--method stylegan, or take a preset of medXGAN"
        )
    return recipe


def _check(plan: Plan) -> None:
    _recipe(plan.settings)
    if not plan.classifier.differentiable:
        named = plan.named or plan.classifier.source or "MODEL"
        raise ClassifierError(
            "medXGAN is trained through the gradients of the model, and "
            f"{KINDS[plan.classifier.kind].title} gives none; distil it first and train against "
            f"the surrogate: medxgan distill {named} DATA --out surrogate.safetensors; "
            "or train from images alone, with --method stylegan"
        )
    spec = plan.classifier.spec
    sizes = PUBLISHED_SIZES if plan.settings.recipe == "published" else SIZES
    if spec.size not in sizes:
        advice = where_to_write(
            what_to_write(spec.taken_size, sizes),
            architecture=plan.classifier.architecture,
            file=plan.named or plan.classifier.source,
            surrogate=true_model_of(plan.classifier.measured) is not None,
        )
        raise ClassifierError(
            f"the images of a generator are {in_words(sizes)} pixels high and wide, and the "
            f"classifier is described for {spec.size}; {advice}"
        )
    if (plan.data.channels, plan.data.size) != (spec.channels, spec.size):
        raise ClassifierError(
            f"the classifier takes images of {spec.size} pixels and {spec.channels} channel(s), "
            f"the data set has {plan.data.size} and {plan.data.channels}; open it with that size"
        )
    if plan.start is not None:
        check_start(plan.start, plan.settings, spec)
    if plan.settings.run.batch_size % 2:
        raise ConfigError(
            f"run.batch_size must be even (half positive, half negative), got "
            f"{plan.settings.run.batch_size}"
        )
    if not plan.resume and (plan.folder / CHECKPOINT_NAME).exists():
        raise OutputError(
            f"{plan.folder} already holds a run; continue it with --resume, or choose another --out"
        )


def _examples(positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A few images for the sample sheets: positives, then as many negatives."""
    halves = [np.flatnonzero(positive)[:EXAMPLES], np.flatnonzero(~positive)[:EXAMPLES]]
    return np.concatenate(halves)


def _identity(plan: Plan, train: Dataset, processes: int) -> dict[str, str]:
    """What has to be the same for a run to go on."""
    digest = hashlib.sha256(np.ascontiguousarray(train.rows).tobytes())
    digest.update(train.images(np.arange(min(16, len(train)))).numpy().tobytes())
    return {
        "settings": json.dumps(
            plan.settings.model_dump(exclude=set(STYLE_SECTIONS)), sort_keys=True
        ),
        "classifier": plan.classifier.fingerprint,
        "target class": str(plan.target),
        "data set": f"{len(train)} images {digest.hexdigest()}",
        "seed": str(plan.seed),
        "number of processes": str(processes),
        "weights to start from": plan.start.manifest.name if plan.start is not None else "random",
    }


def _watch(plan: Plan, averaged: nn.Module, device: torch.device) -> Figures:
    """Agreement of both classes if training stopped now, for the log.

    What a step logs is no measure between recipes: theirs are drawn, shaken and normalised
    each in their own way.
    """
    assert isinstance(averaged, Networks | PublishedNetworks)
    agreed = prior_agreement(
        averaged.generator,
        plan.classifier,
        plan.target,
        _code_sizes(plan),
        device,
        samples=WATCHED_CODES,
        positives=1,
    )
    return {f"prior_agreement_{name}": agreed[name] for name in ("negative", "positive")}


def _code_sizes(plan: Plan) -> tuple[int, int]:
    """Dimensions of z1 and z2."""
    return plan.settings.network.structure_code, plan.settings.network.pathology_code


def _write_bundle(
    plan: Plan,
    outcome: Outcome,
    train: Dataset,
    positive: NDArray[np.bool_],
    shown: int,
    fabric: Fabric,
    monitor: Monitor,
) -> Figures:
    averaged = outcome.state.averaged
    assert isinstance(averaged, Networks | PublishedNetworks)
    # What is measured is what is shipped: weights rounded as the bundle holds them.
    for network in (averaged.generator, averaged.encoder):
        if network is not None:
            network.load_state_dict(unpack(pack(network.state_dict())))
    held_out = measure_held_out(
        averaged.generator,
        averaged.encoder,
        plan.classifier,
        plan.target,
        _code_sizes(plan),
        plan.data.select("val", labelled=False),
        fabric.device,
        watch=lambda share: monitor(shown, {"measured": share}),
    )
    averaged.to("cpu")
    manifest = Manifest(
        name=plan.folder.resolve().name,
        method=_recipe(plan.settings),
        target=plan.target,
        network=plan.settings.network,
        classifier=record_classifier(plan.classifier),
        oracle=record_classifier(plan.oracle) if plan.oracle is not None else None,
        thresholds=held_out.thresholds,
        training={
            "preset": plan.settings.preset,
            "settings": plan.settings.chosen(),
            "seed": plan.seed,
            "started_from": plan.start.manifest.name if plan.start is not None else None,
            "data": plan.data_name,
            "training_images": len(train),
            "called_positive": int(positive.sum()),
            "images_shown": shown,
            "seconds": round(outcome.state.seconds),
            "device": fabric.device.type,
            "processes": fabric.world_size,
        },
        metrics={"held_out": held_out.figures},
        intensity_limits=plan.data.limits if plan.data.table.pixels.dtype == np.uint16 else None,
        presentation=plan.presentation,
        data_licence=plan.data_licence,
        generator_version=__version__,
    )
    plan.classifier.to("cpu")
    bundle = Bundle(manifest, averaged.generator, averaged.encoder, plan.classifier, plan.oracle)
    (plan.folder / MANIFEST_NAME).unlink(missing_ok=True)
    save_bundle(plan.folder, bundle)
    return held_out.figures
