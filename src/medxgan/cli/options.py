"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all random numbers.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Weights = Annotated[
    Path | None, typer.Option(help="Weights of a classifier that is given as code.")
]
Spec = Annotated[
    Path | None,
    typer.Option(help="What such a classifier takes and gives: a .toml or .json file."),
]
Target = Annotated[
    str | None, typer.Option(help="Class to explain, name or index; the last one by default.")
]
