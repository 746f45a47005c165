"""``medxgan train --method stylegan``: from images alone to a bundle; no classifier, no labels."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from medxgan.bundle import MANIFEST_NAME, save_bundle
from medxgan.config import TrainingSettings, settings_to_toml
from medxgan.data import Dataset
from medxgan.data.presentation import NOTHING_KEPT, KeptPresentation
from medxgan.errors import ConfigError, DataError, OutputError
from medxgan.image_sizes import SIZES, in_words
from medxgan.networks.stylegan_statistics import measure_codes
from medxgan.packing import pack, unpack
from medxgan.style_bundle import ImageSpec, StyleBundle, StyleManifest
from medxgan.training.loop import Figures, Monitor, Outcome, Run, run_training
from medxgan.training.order import PlainOrder
from medxgan.training.source import VariedImages
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.training.stylegan import StyleRecipe
from medxgan.training.stylegan_calibration import measure_style
from medxgan.training.stylegan_generated import StyleNetworks
from medxgan.training.train import Trained
from medxgan.version import __version__

EXAMPLES = 12
WATCHED_IMAGES = 64
STATISTICS_DRAWS = 20_000


@dataclass(frozen=True)
class StylePlan:
    """What a run needs beside its settings.

    Attributes:
        data: all splits, labels not needed; trained on ``train``, figures measured on ``val``.
        settings: of the run.
        folder: checkpoints, log, samples and, at the end, the bundle.
        seed: of all random numbers.
        data_licence: kept in the bundle.
        data_name: kept in the bundle.
        presentation: how the images were shown, kept in the bundle.
        resume: continue the run in ``folder``.
        stop_after: stop early after so many images.
    """

    data: Dataset
    settings: TrainingSettings
    folder: Path
    seed: int = 0
    data_licence: str = "not stated"
    data_name: str = "unnamed"
    presentation: KeptPresentation = NOTHING_KEPT
    resume: bool = False
    stop_after: int | None = None


def train_stylegan(plan: StylePlan, fabric: Fabric, monitor: Monitor) -> Trained:
    """Train, resume or finish a run; writes the bundle when the last image has been shown.

    Raises:
        DataError: too few images, or of a size that the networks are not made for.
        ConfigError: settings of another method, or the run in ``folder`` was started with
            something else.
        OutputError: the folder holds another run, or cannot be written.
    """
    _check(plan)
    train = plan.data.select("train", labelled=False)
    held_out = plan.data.select("val", labelled=False)
    batch = plan.settings.run.batch_size
    if len(train) < batch:
        raise DataError(
            f"training needs at least {batch} training images (run.batch_size), got {len(train)}; "
            "add some, or lower run.batch_size"
        )
    # The same initial weights in every process, whatever torch's global generator did before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        recipe = StyleRecipe(
            plan.data.size,
            plan.data.channels,
            plan.settings,
            held_out.images(np.arange(min(EXAMPLES, len(held_out)))),
            fabric.device,
        )
    order = PlainOrder(
        len(train),
        batch_size=batch,
        seed=plan.seed,
        rank=fabric.global_rank,
        processes=fabric.world_size,
    )
    images_a_step = batch * fabric.world_size
    run = Run(
        plan.folder,
        plan.settings,
        plan.seed,
        _identity(plan, train, fabric.world_size),
        plan.resume,
        plan.stop_after,
        watch=lambda averaged: _watch(averaged, held_out, fabric.device),
        prepare=lambda state: recipe.freeze_generator(state, images_a_step),
    )
    if fabric.is_global_zero and not plan.resume:
        plan.folder.mkdir(parents=True, exist_ok=True)
        (plan.folder / "settings.toml").write_text(settings_to_toml(plan.settings))
    source = VariedImages(train, order, plan.settings.variation)
    outcome = run_training(run, recipe, source, fabric, monitor)
    shown = outcome.state.step * images_a_step
    if not outcome.finished or not fabric.is_global_zero:
        return Trained(outcome.finished, shown, dict(outcome.figures))
    return Trained(True, shown, _write_bundle(plan, outcome, train, held_out, shown, fabric))


def _check(plan: StylePlan) -> None:
    if plan.settings.recipe != "stylegan":
        raise ConfigError(
            f"the method stylegan needs a preset of its own, got '{plan.settings.preset}'; "
            "take stylegan or stylegan-tiny"
        )
    if plan.data.size not in SIZES:
        raise DataError(
            f"images must be {in_words()} pixels high and wide, got {plan.data.size}; bring them "
            "to one of these with --size"
        )
    if not plan.resume and (plan.folder / CHECKPOINT_NAME).exists():
        raise OutputError(
            f"{plan.folder} already holds a run; continue it with --resume, or choose another --out"
        )


def _identity(plan: StylePlan, train: Dataset, processes: int) -> dict[str, str]:
    """What has to be the same for a run to go on."""
    digest = hashlib.sha256(np.ascontiguousarray(train.rows).tobytes())
    digest.update(train.images(np.arange(min(16, len(train)))).numpy().tobytes())
    return {
        "settings": json.dumps(plan.settings.chosen(), sort_keys=True),
        "data set": f"{len(train)} images {digest.hexdigest()}",
        "seed": str(plan.seed),
        "number of processes": str(processes),
    }


def _watch(averaged: nn.Module, held_out: Dataset, device: torch.device) -> Figures:
    """Error of reconstructions if training stopped now, for the log."""
    assert isinstance(averaged, StyleNetworks)
    images = held_out.images(np.arange(min(WATCHED_IMAGES, len(held_out)))).to(device)
    with torch.no_grad():
        drawn = averaged.generator(averaged.encoder(images))
    return {"held_out_mse": float((drawn - images).square().mean())}


def _write_bundle(
    plan: StylePlan, outcome: Outcome, train: Dataset, held_out: Dataset, shown: int, fabric: Fabric
) -> dict[str, Any]:
    averaged = outcome.state.averaged
    assert isinstance(averaged, StyleNetworks)
    generator, encoder = averaged.generator, averaged.encoder
    # What is measured is what is shipped: weights rounded as the bundle holds them.
    for network in (generator, encoder):
        network.load_state_dict(unpack(pack(network.state_dict())))
    statistics = measure_codes(generator, STATISTICS_DRAWS)
    generator.mapping.mean.copy_(statistics.mean)
    found = measure_style(generator, encoder, statistics, held_out, fabric.device)
    averaged.to("cpu")
    manifest = StyleManifest(
        name=plan.folder.resolve().name,
        images=ImageSpec.model_validate({"size": plan.data.size, "channels": plan.data.channels}),
        network=plan.settings.style_network,
        thresholds=found.thresholds,
        training={
            "preset": plan.settings.preset,
            "settings": plan.settings.chosen(),
            "seed": plan.seed,
            "data": plan.data_name,
            "training_images": len(train),
            "images_shown": shown,
            "seconds": round(outcome.state.seconds),
            "device": fabric.device.type,
            "processes": fabric.world_size,
        },
        metrics={"held_out": found.figures},
        intensity_limits=plan.data.limits if plan.data.table.pixels.dtype == np.uint16 else None,
        presentation=plan.presentation,
        data_licence=plan.data_licence,
        generator_version=__version__,
    )
    (plan.folder / MANIFEST_NAME).unlink(missing_ok=True)
    save_bundle(plan.folder, StyleBundle(manifest, generator, encoder, statistics))
    return found.figures
