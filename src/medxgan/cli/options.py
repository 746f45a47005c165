"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130
"""Exit code after Ctrl-C: what the same command can go on from is kept."""


def _seed(value: int) -> int:
    from medxgan.errors import ConfigError

    if not 0 <= value < 2**32:
        raise ConfigError(f"seed must be 0 to {2**32 - 1}, got {value}")
    return value


Seed = Annotated[int, typer.Option(help="Of all random numbers, at least 0.", callback=_seed)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Weights = Annotated[
    Path | None, typer.Option(help="Weights of a classifier that is given as code.")
]
Spec = Annotated[
    Path | None,
    typer.Option(help="What a classifier takes and gives that does not say so: .toml or .json."),
]
Target = Annotated[
    str | None, typer.Option(help="Class to explain, name or index; the last one by default.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Of a model of a value: positive from here on; as the model says by default."
    ),
]
BundleName = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, or a shipped one's name.")
]
DataPath = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder, table (.csv) or archive (.npz).")
]
Split = Annotated[
    str | None, typer.Option(help="train, val, test or all; test by default where there is one.")
]
Direction = Annotated[
    str | None,
    typer.Option(
        help="Of a style-based generator: name or folder; where it is left out the only one, in "
        "the viewer the first by name whose model has gradients."
    ),
]
ExplainedModel = Annotated[
    str | None, typer.Option(help="The explained model, where the bundle does not hold it.")
]
Refine = Annotated[
    int | None,
    typer.Option(
        help="Steps that bring each reconstruction nearer to its image; if left out, 0 after an "
        "encoder, 100 in a style-based generator, 5000 without an encoder.",
    ),
]
Epochs = Annotated[int, typer.Option(help="Passes over the training images, at most.")]
Patience = Annotated[
    int, typer.Option(help="Epochs, and at least 200 steps, without progress before it stops.")
]
BatchSize = Annotated[int, typer.Option(help="Images a step.")]
LearningRate = Annotated[
    float | None,
    typer.Option(help="The highest of the run; what suits the architecture by default."),
]
Bf16 = Annotated[bool, typer.Option(help="bfloat16 convolutions: faster, rounded.")]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="CENTRE,WIDTH",
        help="Of DICOM and NIfTI images, such as 40,400; by default as the file says, or the range "
        "of its values.",
    ),
]
Axis = Annotated[
    str | None,
    typer.Option(help="Of NIfTI volumes: sagittal, coronal or axial; axial by default."),
]
BundleWindow = Annotated[
    str | None,
    typer.Option(
        metavar="CENTRE,WIDTH",
        help="Of DICOM and NIfTI images, such as 40,400; by default the one that the bundle was "
        "trained with, else as the file says, or the range of its values.",
    ),
]
BundleAxis = Annotated[
    str | None,
    typer.Option(
        help="Of NIfTI volumes: sagittal, coronal or axial; by default as the bundle was trained "
        "with, else axial.",
    ),
]
Volume = Annotated[
    int | None, typer.Option(help="Of NIfTI files of several volumes, from 1; the first.")
]
Slice = Annotated[
    str | None,
    typer.Option(help="Of volumes, series and files of several frames: a number from 1; or all."),
]
BestSlice = Annotated[
    str | None,
    typer.Option(
        help="Of volumes, series and files of several frames: a number from 1; best, of most "
        "evidence for the explained class; or all, the default.",
    ),
]
InputSlice = Annotated[
    str | None,
    typer.Option(
        help="Of volumes, series and files of several frames: a number from 1; best, of most "
        "evidence for the explained class; or all. By default best of a NIfTI file that is named "
        "itself, all of others.",
    ),
]
