"""``medxgan audit``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import (
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
    "explanations": ("Explaining positives", "images"),
}


def audit(
    bundle: BundleName,
    data: DataPath,
    *,
    out: Annotated[Path, typer.Option(help="Folder for figures, tables and the report.")],
    split: Split = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names with commas, from: difference, lig, lig-transferred, lig-published, ig, "
            "grad-cam, occlusion; the first gives the verdict. By default: difference, "
            "lig-transferred, ig, grad-cam."
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(help="Positives to explain, at least 10, drawn at random.")
    ] = 500,
    ignore_masks: Annotated[
        bool, typer.Option("--ignore-masks", help="Judge as if no lesion mask were known.")
    ] = False,
    direction: Direction = None,
    classifier: ExplainedModel = None,
    weights: Weights = None,
    spec: Spec = None,
    refine: Refine = None,
    window: BundleWindow = None,
    axis: BundleAxis = None,
    slice: BestSlice = None,
    volume: Volume = None,
    seed: Seed = 12345,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Find what a classifier relies on over many images: does a shortcut show?"""
    from medxgan.audit import AuditSettings, write_audit
    from medxgan.audit import audit as look_for_shortcuts
    from medxgan.audit.document import HEADER, region_rows
    from medxgan.audit.settings import DEFAULT_METHODS
    from medxgan.audit.wording import conclusion, legend
    from medxgan.classifiers import load_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.data import parse_presentation
    from medxgan.data.choosing import choose_images
    from medxgan.data.origin import kinds_of
    from medxgan.explain import METHODS
    from medxgan.explaining import parse_settings
    from medxgan.loader import load
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, stages

    names = ",".join(DEFAULT_METHODS) if methods is None else methods
    chosen = parse_settings(names, start="encoder", refine=refine)
    settings = AuditSettings(chosen.methods, most=most, masks=not ignore_masks, seed=seed)
    presentation = parse_presentation(window, axis, slice, volume, may_score=True)
    check_writable_folder(out, [data])
    model = load_classifier(classifier, weights=weights, spec=spec) if classifier else None
    explainer = load(bundle, classifier=model, direction=direction, device=device)
    presentation = explainer.presentation(presentation)
    if refine is not None:
        explainer.inversion_steps = refine
    with busy(f"Reading {data}", quiet=quiet):
        opened = explainer.open_dataset(data, presentation)
    images, _ = choose_images(opened, split, labelled=False)
    say_notes(images.notes, quiet=quiet)
    with stages(STAGES, quiet=quiet) as tell:
        found, cohort = look_for_shortcuts(explainer, images, settings, tell)
    with busy("Writing the report", quiet=quiet):
        page = write_audit(
            found,
            cohort,
            explainer,
            out,
            data_name=data.resolve().name,
            shown=presentation.facts(kinds_of(images.origins)),
        )
    if quiet:
        return
    if found.warning:
        print(f"Warning: {found.warning}\n")
    paragraphs = "\n".join(conclusion(found))
    print(f"{found.verdict.capitalize()}: {paragraphs}")
    for of_method in found.methods:
        print(f"\n{METHODS[of_method.method].title}: {of_method.verdict}")
        print_table(region_rows(of_method), HEADER)
    print()
    for line in legend(found):
        print(line)
    for method, reason in found.skipped.items():
        print(f"Note: {method} was left out: {reason}.")
    print(f"Report written to {page}; open it in a browser.")
