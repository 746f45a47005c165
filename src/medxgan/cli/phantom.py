"""``medxgan phantom``."""

from pathlib import Path
from typing import Annotated, cast

import typer

from medxgan.cli.options import Quiet, Seed


def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or an archive (.npz).")],
    *,
    kind: Annotated[str, typer.Option(help="brain, chest or histology (in colour).")] = "brain",
    count: Annotated[int, typer.Option(help="Number of subjects.")] = 1000,
    size: Annotated[int, typer.Option(help="Height and width, 32 to 256 pixels.")] = 64,
    seed: Seed = 0,
    task: Annotated[
        str,
        typer.Option(
            help="binary: healthy or lesion. three-class: two findings that differ in shape. "
            "graded: a severity from 0 to 4."
        ),
    ] = "binary",
    shortcut: Annotated[
        float | None,
        typer.Option(
            help="Plant a corner marker: in this share of the positives, "
            "and in the rest (1 - share) of the negatives."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Draw synthetic images, with lesion masks and healthy twins."""
    from medxgan.data import write_phantoms
    from medxgan.data.phantom import Kind, Task, make_phantoms
    from medxgan.data.phantom_files import check_free, counts_text
    from medxgan.output import check_writable_folder
    from medxgan.progress import progress

    check_free(out)
    check_writable_folder(out.parent)
    chosen = cast(Kind, kind)  # make_phantoms refuses all others
    with progress("Drawing", count, "subjects", quiet=quiet) as report:
        phantoms = make_phantoms(
            chosen,
            count,
            size=size,
            seed=seed,
            shortcut=shortcut,
            task=cast(Task, task),
            on_drawn=report,
        )
    with progress("Writing", count, "subjects", quiet=quiet) as report:
        write_phantoms(phantoms, out, chosen, seed, report)
    if not quiet:
        print(f"{count} phantoms ({counts_text(phantoms)}) written to {out}.")
