"""``medxgan explain``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import (
    BundleAxis,
    BundleName,
    BundleWindow,
    Device,
    Direction,
    ExplainedModel,
    InputSlice,
    Quiet,
    Refine,
    Seed,
    Spec,
    Target,
    Volume,
    Weights,
)


def explain(
    bundle: BundleName,
    images: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Images, folders or data sets.")
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the report; of an earlier one only if the same images are explained."
        ),
    ],
    split: Annotated[
        str | None, typer.Option(help="Of data sets, take only train, val or test.")
    ] = None,
    target: Target = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names with commas, from: difference, lig, lig-transferred, "
            "lig-published, ig, grad-cam, occlusion; all but the last by default."
        ),
    ] = None,
    refine: Refine = None,
    start: Annotated[
        str, typer.Option(help="encoder, or cold (then refine for long).")
    ] = "encoder",
    frames: Annotated[int, typer.Option(help="Pictures of the film.")] = 11,
    direction: Direction = None,
    to: Annotated[
        float | None,
        typer.Option(
            help="With a direction: also a series of images to this answer (probability, or "
            "value), and the other way."
        ),
    ] = None,
    classifier: ExplainedModel = None,
    weights: Weights = None,
    spec: Spec = None,
    window: BundleWindow = None,
    axis: BundleAxis = None,
    slice: InputSlice = None,
    volume: Volume = None,
    dicom_out: Annotated[
        str | None,
        typer.Option(
            metavar="MAPS",
            help="Also write these maps of DICOM images as DICOM objects, such as difference,lig.",
        ),
    ] = None,
    dicom_kind: Annotated[
        str | None,
        typer.Option(help="Of these: parametric-map (the default) or secondary-capture."),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Explain images, and write a report for the browser."""
    from medxgan.classifiers import load_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.counting import counted
    from medxgan.data import parse_presentation
    from medxgan.data.origin import kinds_of
    from medxgan.dicom_beside import check_dicom_inputs, parse_dicom_out, write_beside
    from medxgan.directed_series import check_series, series_of
    from medxgan.explaining import (
        check_folders,
        explain_inputs,
        parse_settings,
        summary_rows,
        write_explanations,
    )
    from medxgan.loader import load
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, progress
    from medxgan.report.series import write_series

    settings = parse_settings(methods, refine=refine, start=start, frames=frames, seed=seed)
    presentation = parse_presentation(window, axis, slice, volume, may_score=True)
    dicom = parse_dicom_out(dicom_out, dicom_kind, settings.methods)
    check_writable_folder(out, images)
    model = load_classifier(classifier, weights=weights, spec=spec) if classifier else None
    explainer = load(bundle, classifier=model, direction=direction, device=device)
    presentation = explainer.presentation(presentation)
    if to is not None:
        check_series(explainer, to)
    with busy("Reading images", quiet=quiet):
        inputs = explainer.read(images, split, presentation)
    check_folders(out, inputs)
    say_notes(inputs.notes, quiet=quiet)
    if dicom is not None:
        check_dicom_inputs(inputs)
    with progress("Explaining", len(inputs), "images", quiet=quiet) as report:
        explanations = explain_inputs(explainer, inputs, settings, report, target=target)
    series = []
    if to is not None:
        with progress("Moving to the answer", len(inputs), "images", quiet=quiet) as report:
            series = series_of(explainer, inputs, to, settings, report)
    with busy("Writing the report", quiet=quiet):
        shown = presentation.facts(kinds_of(inputs.origins))
        page = write_explanations(explanations, explainer, out, shown=shown, series=series)
        table = write_series(series, out) if series else None
    beside = None
    if dicom is not None:
        with busy("Writing DICOM objects", quiet=quiet):
            beside = write_beside(
                explanations, inputs, explainer, out, dicom, presentation.shown_window
            )
        say_notes(beside.notes, quiet=quiet)
    if not quiet:
        print_table(summary_rows(explanations))
        print(f"Report written to {page}; open it in a browser.")
    if beside is not None and not quiet:
        print(
            f"{counted(len(beside.paths), 'DICOM object')} written into the folders beside the "
            "report, with the patient's name as in the sources."
        )
    if table is not None and not quiet:
        print(f"Series written to {table} and the folders beside it.")
