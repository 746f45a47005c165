"""``medxgan evaluate``."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from medxgan.cli.options import (
    INTERRUPTED,
    BundleName,
    DataPath,
    Device,
    ExplainedModel,
    Quiet,
    Refine,
    Seed,
    Spec,
    Split,
    Weights,
)

if TYPE_CHECKING:
    from medxgan.data import Dataset
    from medxgan.data.dataset import SplitName
    from medxgan.evaluate import Evaluation, Progress

LINES_A_STAGE = 10
WIDTH_IN_FILES = 120
STAGES = {
    "codes": ("Drawing from the prior", "codes"),
    "scores": ("Classifying", "images"),
    "realism": ("Comparing drawn and real images", "images"),
    "negatives": ("Rebuilding negatives", "images"),
    "positives": ("Explaining positives", "images"),
}
"""Stage of the measuring -> title and unit of its bar."""


def evaluate(
    bundle: BundleName,
    data: DataPath,
    *,
    out: Annotated[Path, typer.Option(help="Folder for figures, tables and the report.")],
    split: Split = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names with commas, from: difference, lig, lig-transferred, "
            "lig-published, ig, grad-cam, occlusion; all but the last by default."
        ),
    ] = None,
    oracle: Annotated[
        Path | None,
        typer.Option(help="An independent classifier as second judge; the bundle's by default."),
    ] = None,
    classifier: ExplainedModel = None,
    weights: Weights = None,
    spec: Spec = None,
    codes: Annotated[int, typer.Option(min=1, help="Codes drawn from the prior.")] = 1000,
    no_controls: Annotated[
        bool, typer.Option("--no-controls", help="Leave out what should come out worse.")
    ] = False,
    refine: Refine = 0,
    seed: Seed = 12345,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure how good the explanations are; run again to go on."""
    from medxgan.classifiers import load_classifier
    from medxgan.console import say_notes
    from medxgan.evaluate import discard_parts
    from medxgan.evaluate import evaluate as measure
    from medxgan.evaluate.output import write_evaluation
    from medxgan.explainer import load
    from medxgan.explaining import parse_settings
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy

    settings = parse_settings(methods, start="encoder")
    check_writable_folder(out)
    model = load_classifier(classifier, weights=weights, spec=spec) if classifier else None
    judge = load_classifier(oracle) if oracle is not None else None
    explainer = load(bundle, classifier=model, device=device)
    explainer.inversion_steps = refine or explainer.inversion_steps
    with busy(f"Reading {data}", quiet=quiet):
        opened = explainer.open_dataset(data)
    images, chosen_split = _choose(opened, split)
    say_notes(images.notes, quiet=quiet)
    try:
        with _bars(quiet) as progress:
            evaluation = measure(
                explainer,
                images,
                oracle=judge,
                codes=codes,
                methods=settings.methods,
                seed=seed,
                controls=not no_controls,
                folder=out,
                progress=progress,
            )
    except KeyboardInterrupt:
        if not quiet:
            print(f"Stopped; what is measured is kept in {out}. Run the same command to go on.")
        raise typer.Exit(INTERRUPTED) from None
    with busy("Writing the report", quiet=quiet):
        page = write_evaluation(
            evaluation,
            explainer,
            images,
            out,
            settings={"data": data.resolve().name, "split": chosen_split, "seed": seed},
        )
    discard_parts(out)
    if not quiet:
        _show(evaluation)
        print(f"Figures written to {out}: metrics.json, metrics.csv, and pictures in figures.")
        print(f"Report written to {page}; open it in a browser.")


def _choose(opened: "Dataset", split: str | None) -> "tuple[Dataset, str]":
    """The images to measure and the name of their split; unlabelled ones only if all are."""
    from medxgan.data.labels import UNLABELLED
    from medxgan.data.split import SPLIT_NAMES

    default = "test" if (opened.split == SPLIT_NAMES.index("test")).any() else "all"
    name = cast("SplitName", split or default)  # select refuses all others
    every = opened.select(name, labelled=False)
    if (opened.labels == UNLABELLED).all():
        return every, name
    images = every.select("all")
    left_out = len(every) - len(images)
    note = f"{left_out} of {len(every)} images are unlabelled and left out"
    return (replace(images, notes=(*images.notes, note)) if left_out else images), name


@contextmanager
def _bars(quiet: bool) -> Iterator["Progress"]:
    """A bar for each stage, one after another; elsewhere than on a terminal, a few lines each."""
    from medxgan.progress import Report, progress

    with ExitStack() as shown:
        reports: dict[str, Report] = {}
        tenths: dict[str, int] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in reports:
                shown.close()
                title, unit = STAGES.get(stage, (stage.capitalize(), "images"))
                reports[stage] = shown.enter_context(progress(title, total, unit, quiet=quiet))
            tenth = LINES_A_STAGE * done // total
            reports[stage](done, milestone=tenth != tenths.get(stage))
            tenths[stage] = tenth

        yield tell


def _show(evaluation: "Evaluation") -> None:
    """Both tables, the controls that are not beaten, and notes."""
    from rich.console import Console

    from medxgan.evaluate.output_terminal import control_lines, figures_table, methods_table

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_FILES
    mark = "" if console.is_terminal else "*"
    console.print(methods_table(evaluation, mark=mark, narrow=console.width < WIDTH_IN_FILES))
    print(f"\n{mark or 'Bold'}: best of its column; for sanity nearest to 0, for seconds lowest.\n")
    console.print(figures_table(evaluation))
    print()
    for line in control_lines(evaluation):
        print(line)
    for note in evaluation.document["notes"]:
        print(f"Note: {note}.")
    print()
