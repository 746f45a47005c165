"""``medxgan inspect``."""

from typing import Annotated

import typer


def inspect(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Image, data set, classifier, bundle, run, settings."),
    ],
) -> None:
    """Say what a file or folder is, and how to use it."""
    from medxgan.console import print_table
    from medxgan.inspection import inspect as look_at

    found = look_at(source)
    print(f"{source} is {found.kind}.")
    print_table(found.facts.items())
    print(f"Use it with: medxgan {found.use}")
