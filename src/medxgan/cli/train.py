"""``medxgan train``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medxgan.cli.options import (
    INTERRUPTED,
    Axis,
    DataPath,
    Device,
    Quiet,
    Seed,
    Slice,
    Spec,
    Target,
    Threshold,
    Volume,
    Weights,
    Window,
)

if TYPE_CHECKING:
    from medxgan.classifiers import TorchClassifier
    from medxgan.config import TrainingSettings
    from medxgan.training.train import Trained

PRESET_OF_METHOD = {"medxgan": "small", "stylegan": "stylegan"}


def train(
    data: DataPath,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the run, and of the bundle at its end.")],
    classifier: Annotated[
        str | None,
        typer.Option(
            help="The model to explain: a file of fit-classifier, a .toml description, "
            "package.module:factory or file.py:Class. Not for stylegan."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="medxgan, ours or as published: a generator for one classifier. stylegan: from "
            "the images alone, for any classifier afterwards."
        ),
    ] = "medxgan",
    preset: Annotated[
        str | None,
        typer.Option(
            help="medxgan: tiny, small (default), standard, published or published-covid. "
            "stylegan: stylegan (default) or stylegan-tiny."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in a TOML file.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="One setting; repeat for more."),
    ] = None,
    target: Target = None,
    threshold: Threshold = None,
    weights: Weights = None,
    spec: Spec = None,
    oracle: Annotated[
        Path | None,
        typer.Option(help="An independent classifier, kept in the bundle to judge explanations."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start-from",
            help="Begin with the weights of this bundle: for a further class of a model, or a "
            "model of like images. The networks get its sizes.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="stylegan: bring images to this size, pixels: 32, 64, 128 or 256."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the data; kept in the bundle.")] = "not stated",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    processes: Annotated[int, typer.Option(help="Train on so many devices or processes.")] = 1,
    window: Window = None,
    axis: Axis = None,
    slice: Slice = None,
    volume: Volume = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train medXGAN against a classifier, or a StyleGAN on images; Ctrl-C can be resumed."""
    from functools import partial

    from medxgan.bundle import find_bundle, load_drawing_part
    from medxgan.classifiers import load_classifier
    from medxgan.config import load_settings
    from medxgan.console import say_notes
    from medxgan.data import open_dataset, parse_presentation
    from medxgan.device import choose_device
    from medxgan.errors import ConfigError, nearest
    from medxgan.launching import is_helper_process, launched_fabric
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, progress, training_monitor
    from medxgan.training.stylegan_train import StylePlan, train_stylegan
    from medxgan.training.train import Plan, train_medxgan

    quiet = quiet or is_helper_process()
    if method not in PRESET_OF_METHOD:
        hint = nearest(method, PRESET_OF_METHOD)
        raise ConfigError(f"no training method is called '{method}'; {hint}")
    of_classifier = {
        "--classifier": classifier,
        "--target": target,
        "--threshold": threshold,
        "--weights": weights,
        "--spec": spec,
        "--oracle": oracle,
        "--start-from": start,
    }
    _check_options(method, of_classifier, size)
    settings = load_settings(preset or PRESET_OF_METHOD[method], config, overrides)
    _check_method(method, settings)
    begun = load_drawing_part(find_bundle(start)) if start is not None else None
    if begun is not None:
        settings = settings.model_copy(update={"network": begun.manifest.network})
    choose_device(device)
    check_writable_folder(out, () if resume else [data])
    model = _model(classifier, weights, spec, threshold) if classifier is not None else None
    judge = load_classifier(oracle) if oracle is not None else None
    channels = model.spec.channels if model else None
    presentation = parse_presentation(window, axis, slice, volume)
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(
            data,
            size=model.spec.size if model else size,
            channels=channels,
            presentation=presentation,
        )
    say_notes(images.notes, quiet=quiet)
    name = data.resolve().name
    if model is None:
        style_plan = StylePlan(
            data=images,
            settings=settings,
            folder=out,
            seed=seed,
            data_licence=licence,
            data_name=name,
            presentation=presentation.as_kept(),
            resume=resume,
        )
        run = partial(train_stylegan, style_plan)
    else:
        plan = Plan(
            data=images,
            classifier=model,
            target=model.spec.target_index(target),
            settings=settings,
            folder=out,
            seed=seed,
            oracle=judge,
            data_licence=licence,
            data_name=name,
            presentation=presentation.as_kept(),
            resume=resume,
            start=begun,
            named=_named(classifier, weights, spec),
        )
        run = partial(train_medxgan, plan)
    with (
        launched_fabric(device, processes) as fabric,
        progress("Training", settings.run.images, "images", quiet=quiet) as report,
    ):
        trained = run(fabric, training_monitor(report))
    _say_end(trained, out, quiet=quiet)
    if not trained.finished:
        raise typer.Exit(INTERRUPTED)


def _say_end(trained: "Trained", out: Path, *, quiet: bool) -> None:
    """How far the run came, and how good the bundle is; what is poor is said even if quiet."""
    from medxgan.console import figure_rows, print_table, say_notes
    from medxgan.quality import poorness

    if not trained.finished:
        if not quiet:
            print(f"Stopped after {trained.images} images; checkpoint written to {out}.")
            print("Run the same command with --resume to go on.")
        return
    if not quiet:
        print("On held-out images:")
        print_table(figure_rows(trained.figures))
        print(f"Bundle written to {out}.")
    say_notes(filter(None, [poorness(trained.figures)]), quiet=quiet)


def _model(
    source: str, weights: Path | None, spec: Path | None, threshold: float | None
) -> "TorchClassifier":
    """The model to explain; of a value, positive from ``threshold`` on where that is given."""
    from medxgan.classifiers import load_classifier

    model = load_classifier(source, weights=weights, spec=spec)
    return model if threshold is None else model.with_threshold(threshold)


def _named(source: str | None, weights: Path | None, spec: Path | None) -> str:
    """The model as the user named it, with what belongs to it, for another command."""
    options = (f" --{name} {path}" for name, path in (("weights", weights), ("spec", spec)) if path)
    return f"{source}{''.join(options)}"


def _check_options(method: str, of_classifier: Mapping[str, object], size: int | None) -> None:
    """Refuse options that the method has no use for, and miss the one that it needs."""
    from medxgan.errors import ConfigError

    given = [name for name, value in of_classifier.items() if value is not None]
    if method == "stylegan" and given:
        raise ConfigError(
            f"--method stylegan learns from the images alone and has no use for "
            f"{' and '.join(given)}; leave that out, and give the classifier to medxgan "
            "fit-direction afterwards"
        )
    if method == "medxgan" and of_classifier["--classifier"] is None:
        raise ConfigError(
            "medXGAN is trained against the model that it explains: give that as --classifier, or "
            "train from images alone by --method stylegan"
        )
    if method == "medxgan" and size is not None:
        raise ConfigError(
            "medXGAN draws images of the size that its classifier takes; leave out --size"
        )


def _check_method(method: str, settings: "TrainingSettings") -> None:
    """Refuse a preset of the other method."""
    from medxgan.errors import ConfigError

    if (settings.recipe == "stylegan") != (method == "stylegan"):
        belongs = "stylegan" if settings.recipe == "stylegan" else "medxgan"
        raise ConfigError(
            f"the preset '{settings.preset}' belongs to --method {belongs}, got --method {method}; "
            "change one of the two"
        )
