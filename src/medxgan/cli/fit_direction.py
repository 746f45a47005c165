"""``medxgan fit-direction``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import BundleName, Device, Quiet, Seed, Spec, Target, Threshold, Weights


def fit_direction(
    bundle: BundleName,
    *,
    classifier: Annotated[
        str,
        typer.Option(
            help="The model to explain: a file of fit-classifier, an ONNX, .pt2 or TorchScript "
            "file, a .toml description, package.module:name or file.py:name."
        ),
    ],
    target: Target = None,
    threshold: Threshold = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the direction; by default that of the model's file, and the class if given."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for it; by default inside the bundle, under directions/NAME."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="linear: of log-odds; logistic: of probabilities.")
    ] = "linear",
    samples: Annotated[int, typer.Option(min=1, help="Drawn images that the model is asked.")] = (
        4000
    ),
    oracle: Annotated[
        Path | None,
        typer.Option(help="An independent classifier, kept beside it to judge explanations."),
    ] = None,
    weights: Weights = None,
    spec: Spec = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Find the direction of a style-based generator that changes a model's answer."""
    from medxgan.bundle import find_bundle, load_bundle
    from medxgan.classifiers import load_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.device import choose_device
    from medxgan.direction_file import generator_fingerprint, save_direction
    from medxgan.direction_folder import FOLDER, check_free, check_name, direction_name
    from medxgan.direction_words import direction_notes, figure_rows
    from medxgan.errors import ConfigError, nearest
    from medxgan.fitting_direction import KINDS
    from medxgan.fitting_direction import fit_direction as fit
    from medxgan.output import check_writable_folder
    from medxgan.progress import progress
    from medxgan.shipped import shipped_bundles
    from medxgan.style_bundle import StyleBundle

    if kind not in KINDS:
        raise ConfigError(f"no kind of direction is called '{kind}'; {nearest(kind, KINDS)}")
    chosen = choose_device(device)
    folder = find_bundle(bundle)
    opened = load_bundle(folder)
    if not isinstance(opened, StyleBundle):
        raise ConfigError(
            f"{bundle} was trained against one classifier; a direction needs a style-based "
            "generator: medxgan train DATA --method stylegan"
        )
    called = direction_name(classifier, target) if name is None else check_name(name)
    if out is None and folder in shipped_bundles().values():
        raise ConfigError(
            f"{bundle} is part of the installed package; give the direction a folder of its own by "
            "--out, and name that folder wherever a direction is asked for"
        )
    place = out or folder / FOLDER / called
    check_writable_folder(place)
    model = load_classifier(classifier, weights=weights, spec=spec)
    if threshold is not None:
        model = model.with_threshold(threshold)
    explained = model.spec.target_index(target)
    check_free(place, model, explained)
    judge = load_classifier(oracle) if oracle is not None else None
    with progress("Fitting", 100, "%", quiet=quiet) as report:
        fitted = fit(
            opened,
            generator_fingerprint(folder),
            model,
            explained,
            name=called,
            oracle=judge,
            kind=KINDS[kind],
            samples=samples,
            seed=seed,
            device=chosen,
            progress=lambda share, text: report(round(100 * share), text),
        )
    save_direction(place, fitted)
    if not quiet:
        print_table(figure_rows(fitted))
        print(f"Direction written to {place}.")
    say_notes(direction_notes(fitted), quiet=False)
