"""``medxgan distill``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import (
    Axis,
    BatchSize,
    Bf16,
    DataPath,
    Device,
    Epochs,
    LearningRate,
    Patience,
    Quiet,
    Seed,
    Slice,
    Spec,
    Target,
    Volume,
    Weights,
    Window,
)


def distill(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="What a surrogate is wanted of: an .onnx, .pt2 or TorchScript file, a .toml "
            "description, package.module:name or file.py:name.",
        ),
    ],
    data: DataPath,
    *,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    weights: Weights = None,
    spec: Spec = None,
    target: Target = None,
    arch: Annotated[
        str, typer.Option(help="Of the surrogate: cnn, vgg16, vgg16_bn or monai:NAME.")
    ] = "cnn",
    queries: Annotated[
        int | None,
        typer.Option(
            help="Images that the model may be asked about, in all; by default every training "
            "image anew in every epoch."
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="That its answers are softened by while the surrogate learns.")
    ] = 2.0,
    epochs: Epochs = 30,
    patience: Patience = 6,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = None,
    bf16: Bf16 = True,
    window: Window = None,
    axis: Axis = None,
    slice: Slice = None,
    volume: Volume = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a surrogate that answers as a model does, for medXGAN against models without gradients.

    Only the model's answers on the images are used; labels play no part.
    """
    from medxgan.classifiers import load_classifier, save_classifier
    from medxgan.classifiers.distill_settings import DistillSettings
    from medxgan.console import print_table, say_notes
    from medxgan.data import open_dataset, parse_presentation
    from medxgan.device import choose_device
    from medxgan.distilling import (
        LIKENESS_HEADER,
        distill_on_dataset,
        epoch_text,
        likeness_rows,
        size_note,
    )
    from medxgan.output import check_writable_file
    from medxgan.progress import busy, progress
    from medxgan.surrogate_notes import weakness

    settings = DistillSettings(
        arch=arch,
        temperature=temperature,
        queries=queries,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        bf16=bf16,
    )
    presentation = parse_presentation(window, axis, slice, volume)
    check_writable_file(out, ".safetensors")
    chosen_device = choose_device(device)
    true_model = load_classifier(model, weights=weights, spec=spec)
    explained = true_model.spec.target_index(target)
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(
            data,
            size=true_model.spec.size,
            channels=true_model.spec.channels,
            presentation=presentation,
        )
    say_notes([*images.notes, *filter(None, [size_note(true_model)])], quiet=quiet)
    with progress("Distilling", epochs, "epochs", quiet=quiet) as report:
        surrogate = distill_on_dataset(
            true_model,
            images,
            target=explained,
            settings=settings,
            device=chosen_device,
            data_name=data.resolve().name,
            on_epoch=lambda epoch: report(epoch.number, epoch_text(epoch)),
        )
    save_classifier(out, surrogate)
    if not quiet:
        held_out = surrogate.measured["held_out"]
        print(f"Surrogate and model on held-out images ({held_out['images']}):")
        print_table(likeness_rows(surrogate), LIKENESS_HEADER)
        print(f"The model was asked about {surrogate.measured['queries']} images.")
        print(f"Surrogate written to {out}; train against it with --classifier {out}.")
    class_name = true_model.spec.class_names[explained]
    say_notes(filter(None, [weakness(surrogate.measured, class_name)]), quiet=quiet)
