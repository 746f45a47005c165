"""``medxgan inspect``."""

from typing import Annotated

import typer

from medxgan.cli.options import Spec, Weights


def inspect(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Image, data set, classifier, bundle, run, settings."),
    ],
    *,
    weights: Weights = None,
    spec: Spec = None,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--show-identifiers", help="Of a DICOM file, tell the patient's name and identifier."
        ),
    ] = False,
) -> None:
    """Say what a file or folder is, and how to use it."""
    from medxgan.shipped import check_there

    check_there(source, may_be_code=spec is not None)
    from medxgan.console import print_table
    from medxgan.inspection import inspect as look_at

    found = look_at(source, weights=weights, spec=spec, identifiers=identifiers)
    print(f"{source} is {found.kind}.")
    print_table(found.facts.items())
    if found.change:
        print(f"First {found.change}.")
    print(f"{'Then use' if found.change else 'Use'} it with: medxgan {found.use}")
