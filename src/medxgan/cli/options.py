"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130
"""Exit code after Ctrl-C: what the same command can go on from is kept."""

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all random numbers.")]
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
    typer.Option(help="Of a style-based generator: name or folder; the only one by default."),
]
ExplainedModel = Annotated[
    str | None, typer.Option(help="The explained model, where the bundle does not hold it.")
]
Refine = Annotated[
    int,
    typer.Option(
        help="Steps that bring each reconstruction nearer to its image. Where this is 0: none "
        "after an encoder, 100 in a style-based generator, 5000 without an encoder.",
    ),
]
