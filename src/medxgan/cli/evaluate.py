"""``medxgan evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import (
    INTERRUPTED,
    BestSlice,
    BundleAxis,
    BundleName,
    BundleWindow,
    DataPath,
    Device,
    Direction,
    ExplainedModel,
    Quiet,
    Refine,
    Seed,
    Spec,
    Split,
    Volume,
    Weights,
)

STAGES = {
    "scores": ("Classifying", "images"),
    "codes": ("Drawing from the prior", "codes"),
    "realism": ("Comparing drawn and real images", "images"),
    "negatives": ("Rebuilding negatives", "images"),
    "positives": ("Explaining positives", "images"),
}
"""Stage of the measuring -> title and unit of its bar."""

FINISHED = (
    "this evaluation was finished before, with the same settings; its report is written once more "
    "from what is kept."
)


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
    direction: Direction = None,
    classifier: ExplainedModel = None,
    weights: Weights = None,
    spec: Spec = None,
    codes: Annotated[int, typer.Option(help="Codes drawn from the prior, at least 1.")] = 1000,
    no_controls: Annotated[
        bool, typer.Option("--no-controls", help="Leave out what should come out worse.")
    ] = False,
    no_noise: Annotated[
        bool,
        typer.Option(
            "--no-noise", help="Explain each image once, not three times more under noise."
        ),
    ] = False,
    refine: Refine = None,
    window: BundleWindow = None,
    axis: BundleAxis = None,
    slice: BestSlice = None,
    volume: Volume = None,
    seed: Seed = 12345,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure how good the explanations are; Ctrl-C can be resumed by the same command."""
    from medxgan.classifiers import load_classifier
    from medxgan.console import say_notes
    from medxgan.data import parse_presentation
    from medxgan.data.choosing import choose_images
    from medxgan.data.origin import kinds_of
    from medxgan.evaluate import evaluate as measure
    from medxgan.evaluate.demands import check_numbers
    from medxgan.evaluate.output import caution_of, print_evaluation, write_evaluation
    from medxgan.evaluate.parts import finished_before
    from medxgan.explaining import parse_settings
    from medxgan.loader import load
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, stages

    settings = parse_settings(methods, start="encoder", refine=refine)
    check_numbers(codes=codes)
    presentation = parse_presentation(window, axis, slice, volume, may_score=True)
    check_writable_folder(out, [data])
    finished = finished_before(out)
    model = load_classifier(classifier, weights=weights, spec=spec) if classifier else None
    judge = load_classifier(oracle) if oracle is not None else None
    explainer = load(bundle, classifier=model, direction=direction, device=device)
    presentation = explainer.presentation(presentation)
    if refine is not None:
        explainer.inversion_steps = refine
    with busy(f"Reading {data}", quiet=quiet):
        opened = explainer.open_dataset(data, presentation)
    images, chosen_split = choose_images(opened, split, labelled=True)
    say_notes(images.notes, quiet=quiet)
    kept = f"what is measured is kept in {out}. Run the same command to go on"
    try:
        with stages(STAGES, quiet=quiet) as progress:
            evaluation = measure(
                explainer,
                images,
                oracle=judge,
                codes=codes,
                methods=settings.methods,
                seed=seed,
                controls=not no_controls,
                noise=not no_noise,
                folder=out,
                progress=progress,
            )
        if finished:
            say_notes([FINISHED], quiet=quiet)
        kept = f"all is measured and kept in {out}. Run the same command to write the report"
        with busy("Writing the report", quiet=quiet):
            page = write_evaluation(
                evaluation,
                explainer,
                images,
                out,
                settings={
                    "data": data.resolve().name,
                    "split": chosen_split,
                    **presentation.facts(kinds_of(images.origins)),
                },
            )
    except KeyboardInterrupt:
        if not quiet:
            print(f"Stopped; {kept}.")
        raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        print_evaluation(evaluation, caution=caution_of(explainer))
        print(f"Figures written to {out}: metrics.json, metrics.csv, and pictures in figures.")
        print(f"Report written to {page}; open it in a browser.")
