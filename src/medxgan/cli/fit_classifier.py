"""``medxgan fit-classifier``."""

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
    Volume,
    Window,
)


def fit_classifier(
    data: DataPath,
    *,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    arch: Annotated[str, typer.Option(help="cnn, vgg16, vgg16_bn or monai:NAME.")] = "cnn",
    size: Annotated[
        int | None, typer.Option(help="Bring images to this height and width: 32, 64, 128 or 256.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="logits: classes. value: a number, such as a grade. By itself: classes where the "
            "data have any, else the value."
        ),
    ] = None,
    value_name: Annotated[str, typer.Option(help="value: what it is called.")] = "value",
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="value: its least and greatest; by default of the images to learn from.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="value: positive from here on; by default the middle of the range."),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Bring images to 1 (grey) or 3 (colour) channels.")
    ] = None,
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
    """Train a classifier that can then be explained."""
    from medxgan.classifiers import save_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.data import open_dataset, parse_presentation
    from medxgan.device import choose_device
    from medxgan.fitted_answer import choose_answer
    from medxgan.fitting import (
        chance_note,
        check_size,
        epoch_text,
        fit_on_dataset,
        measured_header,
        measured_rows,
        size_note,
    )
    from medxgan.output import check_writable_file
    from medxgan.progress import busy, progress

    check_writable_file(out, ".safetensors")
    check_size(size)
    presentation = parse_presentation(window, axis, slice, volume)
    chosen_device = choose_device(device)
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(data, size=size, channels=channels, presentation=presentation)
    answer, notes = choose_answer(
        images, output, name=value_name, value_range=value_range, positive_from=threshold
    )
    say_notes([*images.notes, *notes, *filter(None, [size_note(images)])], quiet=quiet)
    with progress("Fitting", epochs, "epochs", quiet=quiet) as report:
        classifier = fit_on_dataset(
            images,
            answer=answer,
            arch=arch,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            device=chosen_device,
            bf16=bf16,
            data_name=data.resolve().name,
            on_epoch=lambda epoch: report(epoch.number, epoch_text(epoch)),
        )
    save_classifier(out, classifier)
    if not quiet:
        print_table(measured_rows(classifier), measured_header(classifier))
        print(f"Classifier written to {out}.")
    say_notes(filter(None, [chance_note(classifier)]), quiet=quiet)
