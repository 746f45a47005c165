"""``medxgan demo``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import Device, Quiet, Seed


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("demo"),
    seed: Seed = 2026,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Explain fresh phantoms with the bundle that comes along."""
    from medxgan import demo as demonstration
    from medxgan.console import print_table
    from medxgan.explain import METHODS
    from medxgan.explain.settings import ExplainSettings
    from medxgan.explaining import check_folders, explain_inputs, summary_rows, write_explanations
    from medxgan.loader import load
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, duration_text, progress

    started = time.monotonic()
    check_writable_folder(out)
    explainer = load(demonstration.BUNDLE, device=device)
    inputs = demonstration.demo_inputs(explainer.spec.size, seed)
    check_folders(out, inputs)
    settings = ExplainSettings(methods=tuple(METHODS), seed=seed)
    with progress("Explaining", len(inputs), "images", quiet=quiet) as report:
        explanations = explain_inputs(explainer, inputs, settings, report)
    with busy("Writing the report", quiet=quiet):
        page = write_explanations(explanations, explainer, out)
    if not quiet:
        print_table(summary_rows(explanations))
        print(f"Done in {duration_text(time.monotonic() - started)}.")
        print(f"Report written to {page}; open it in a browser.")
