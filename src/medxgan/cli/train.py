"""``medxgan train``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import INTERRUPTED, DataPath, Device, Quiet, Seed, Spec, Target, Weights

METHODS = ("medxgan",)


def train(
    data: DataPath,
    *,
    classifier: Annotated[
        str,
        typer.Option(
            help="The model to explain: a file of fit-classifier, a .toml description, "
            "package.module:factory or file.py:Class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, and of the bundle at its end.")],
    method: Annotated[
        str, typer.Option(help="medxgan, ours or as published: see --preset.")
    ] = "medxgan",
    preset: Annotated[
        str, typer.Option(help="tiny, small, standard, published or published-covid.")
    ] = "small",
    config: Annotated[Path | None, typer.Option(help="Settings in a TOML file.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="One setting; repeat for more."),
    ] = None,
    target: Target = None,
    weights: Weights = None,
    spec: Spec = None,
    oracle: Annotated[
        Path | None,
        typer.Option(help="An independent classifier, kept in the bundle to judge explanations."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the data; kept in the bundle.")] = "not stated",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    processes: Annotated[int, typer.Option(help="Train on so many devices or processes.")] = 1,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train medXGAN against a classifier; Ctrl-C can be resumed."""
    from medxgan.classifiers import load_classifier
    from medxgan.config import load_settings
    from medxgan.console import figure_rows, print_table, say_notes
    from medxgan.data import open_dataset
    from medxgan.device import choose_device
    from medxgan.errors import ConfigError, nearest
    from medxgan.launching import is_helper_process, launch_fabric
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, progress, training_monitor
    from medxgan.quality import poorness
    from medxgan.training.train import Plan, train_medxgan

    quiet = quiet or is_helper_process()
    if method not in METHODS:
        raise ConfigError(f"no training method is called '{method}'; {nearest(method, METHODS)}")
    settings = load_settings(preset, config, overrides)
    choose_device(device)
    check_writable_folder(out)
    model = load_classifier(classifier, weights=weights, spec=spec)
    judge = load_classifier(oracle) if oracle is not None else None
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(data, size=model.spec.size, channels=model.spec.channels)
    say_notes(images.notes, quiet=quiet)
    plan = Plan(
        data=images,
        classifier=model,
        target=model.spec.target_index(target),
        settings=settings,
        folder=out,
        seed=seed,
        oracle=judge,
        data_licence=licence,
        data_name=data.resolve().name,
        resume=resume,
    )
    fabric = launch_fabric(device, processes)
    with progress("Training", settings.run.images, "images", quiet=quiet) as report:
        trained = train_medxgan(plan, fabric, training_monitor(report))
    if not trained.finished:
        if not quiet:
            print(f"Stopped after {trained.images} images; checkpoint written to {out}.")
            print("Run the same command with --resume to go on.")
        raise typer.Exit(INTERRUPTED)
    if not quiet:
        print("On held-out images:")
        print_table(figure_rows(trained.figures))
        print(f"Bundle written to {out}.")
    say_notes(filter(None, [poorness(trained.figures)]), quiet=quiet)
