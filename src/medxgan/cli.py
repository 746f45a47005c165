"""The command line: parse, call, print. Heavy imports wait until a command runs."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from medxgan.version import __version__

INTERRUPTED = 130
METHODS_OF_TRAINING = ("medxgan",)

app = typer.Typer(
    name="medxgan",
    help="See what a medical image classifier looks at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what a user can meet ends in one sentence and exit code 2.

    Args:
        arguments: of the command; the program's own where None.
    """
    from medxgan.console import sentence_of

    try:
        app(args=arguments)
    except Exception as fault:
        sentence = sentence_of(fault)
        if sentence is None:
            raise
        print(f"Error: {sentence}", file=sys.stderr)
        raise SystemExit(2) from fault


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"medxgan {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """See what a medical image classifier looks at."""


@app.command()
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
    from medxgan.explainer import load
    from medxgan.explaining import explain_inputs, summary_rows, write_explanations
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, duration_text, progress

    started = time.monotonic()
    check_writable_folder(out)
    explainer = load(demonstration.BUNDLE, device=device)
    inputs = demonstration.demo_inputs(explainer.spec.size, seed)
    settings = ExplainSettings(methods=tuple(METHODS), seed=seed)
    with progress("Explaining", len(inputs), "images", quiet=quiet) as report:
        explanations = explain_inputs(explainer, inputs, settings, report)
    with busy("Writing the report", quiet=quiet):
        page = write_explanations(explanations, explainer, out)
    if not quiet:
        print_table(summary_rows(explanations))
        print(f"Done in {duration_text(time.monotonic() - started)}.")
        print(f"Report written to {page}; open it in a browser.")


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or an archive (.npz).")],
    *,
    kind: Annotated[str, typer.Option(help="brain or chest.")] = "brain",
    count: Annotated[int, typer.Option(help="Number of subjects.")] = 1000,
    size: Annotated[int, typer.Option(help="Height and width, 32 to 256 pixels.")] = 64,
    seed: Seed = 0,
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
    from medxgan.data.phantom import Kind, make_phantoms
    from medxgan.output import check_writable_folder
    from medxgan.progress import progress

    check_writable_folder(out.parent)
    chosen = cast(Kind, kind)  # make_phantoms refuses all others
    with progress("Drawing", count, "subjects", quiet=quiet) as report:
        phantoms = make_phantoms(
            chosen, count, size=size, seed=seed, shortcut=shortcut, on_drawn=report
        )
    with progress("Writing", count, "subjects", quiet=quiet) as report:
        write_phantoms(phantoms, out, chosen, seed, report)
    if not quiet:
        positives = int(phantoms.labels.sum())
        print(f"{count} phantoms ({positives} with a lesion) written to {out}.")


@app.command("fit-classifier")
def fit_classifier(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder, table (.csv) or archive (.npz).")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    arch: Annotated[str, typer.Option(help="cnn, vgg16, vgg16_bn or monai:NAME.")] = "cnn",
    size: Annotated[
        int | None, typer.Option(help="Bring images to this height and width: 32, 64, 128 or 256.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Bring images to 1 (grey) or 3 (colour) channels.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images, at most.")] = 30,
    patience: Annotated[
        int, typer.Option(help="Epochs, and at least 200 steps, without progress before it stops.")
    ] = 6,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 64,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="The highest of the run; what suits the architecture by default."),
    ] = None,
    bf16: Annotated[bool, typer.Option(help="bfloat16 convolutions: faster, rounded.")] = True,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a classifier that can then be explained."""
    from medxgan.classifiers import save_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.data import open_dataset
    from medxgan.device import choose_device
    from medxgan.fitting import (
        MEASURED_HEADER,
        chance_note,
        check_size,
        epoch_text,
        fit_on_dataset,
        measured_rows,
        size_note,
    )
    from medxgan.output import check_writable_file
    from medxgan.progress import busy, progress

    check_writable_file(out, ".safetensors")
    check_size(size)
    chosen_device = choose_device(device)
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(data, size=size, channels=channels)
    say_notes([*images.notes, *filter(None, [size_note(images)])], quiet=quiet)
    with progress("Fitting", epochs, "epochs", quiet=quiet) as report:
        classifier = fit_on_dataset(
            images,
            arch=arch,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            device=chosen_device,
            bf16=bf16,
            data_name=data.resolve().name,
            on_epoch=lambda epoch: report(epoch.number, epoch_text(epoch)),
        )
    save_classifier(out, classifier)
    if not quiet:
        print_table(measured_rows(classifier), MEASURED_HEADER)
        print(f"Classifier written to {out}.")
    say_notes(filter(None, [chance_note(classifier)]), quiet=quiet)


@app.command()
def train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder, table (.csv) or archive (.npz).")
    ],
    *,
    classifier: Annotated[
        str,
        typer.Option(
            help="The model to explain: a file of fit-classifier, a .toml description, "
            "package.module:factory or file.py:Class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, and of the bundle at its end.")],
    method: Annotated[str, typer.Option(help="medxgan.")] = "medxgan",
    preset: Annotated[str, typer.Option(help="tiny, small or standard.")] = "small",
    config: Annotated[Path | None, typer.Option(help="Settings in a TOML file.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="One setting; repeat for more."),
    ] = None,
    target: Target = None,
    weights: Weights = None,
    spec: Spec = None,
    oracle: Annotated[
        Path | None,
        typer.Option(help="An independent classifier, kept in the bundle to judge explanations."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the data; kept in the bundle.")] = "not stated",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    processes: Annotated[int, typer.Option(help="Train on so many devices or processes.")] = 1,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train medXGAN against a classifier; Ctrl-C can be resumed."""
    from medxgan.classifiers import load_classifier
    from medxgan.config import load_settings
    from medxgan.console import figure_rows, print_table, say_notes
    from medxgan.data import open_dataset
    from medxgan.device import choose_device
    from medxgan.errors import ConfigError, nearest
    from medxgan.launching import is_helper_process, launch_fabric
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, progress, training_monitor
    from medxgan.quality import poorness
    from medxgan.training.train import Plan, train_medxgan

    quiet = quiet or is_helper_process()
    if method not in METHODS_OF_TRAINING:
        raise ConfigError(
            f"no training method is called '{method}'; {nearest(method, METHODS_OF_TRAINING)}"
        )
    settings = load_settings(preset, config, overrides)
    choose_device(device)
    check_writable_folder(out)
    model = load_classifier(classifier, weights=weights, spec=spec)
    judge = load_classifier(oracle) if oracle is not None else None
    with busy(f"Reading {data}", quiet=quiet):
        images = open_dataset(data, size=model.spec.size, channels=model.spec.channels)
    say_notes(images.notes, quiet=quiet)
    plan = Plan(
        data=images,
        classifier=model,
        target=model.spec.target_index(target),
        settings=settings,
        folder=out,
        seed=seed,
        oracle=judge,
        data_licence=licence,
        data_name=data.resolve().name,
        resume=resume,
    )
    fabric = launch_fabric(device, processes)
    with progress("Training", settings.run.images, "images", quiet=quiet) as report:
        trained = train_medxgan(plan, fabric, training_monitor(report))
    if not trained.finished:
        if not quiet:
            print(f"Stopped after {trained.images} images; checkpoint written to {out}.")
            print("Run the same command with --resume to go on.")
        raise typer.Exit(INTERRUPTED)
    if not quiet:
        print("On held-out images:")
        print_table(figure_rows(trained.figures))
        print(f"Bundle written to {out}.")
    say_notes(filter(None, [poorness(trained.figures)]), quiet=quiet)


@app.command()
def explain(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, or a shipped one's name.")
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Images, folders or data sets.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
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
    refine: Annotated[
        int, typer.Option(help="Steps that bring the reconstruction nearer to the image.")
    ] = 0,
    start: Annotated[
        str, typer.Option(help="encoder, or cold (then refine for long).")
    ] = "encoder",
    frames: Annotated[int, typer.Option(help="Pictures of the film.")] = 11,
    classifier: Annotated[
        str | None, typer.Option(help="The explained model, where the bundle does not hold it.")
    ] = None,
    weights: Weights = None,
    spec: Spec = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Explain images, and write a report for the browser."""
    from medxgan.classifiers import load_classifier
    from medxgan.console import print_table, say_notes
    from medxgan.explainer import load
    from medxgan.explaining import (
        explain_inputs,
        parse_settings,
        summary_rows,
        write_explanations,
    )
    from medxgan.output import check_writable_folder
    from medxgan.progress import busy, progress

    settings = parse_settings(methods, refine=refine, start=start, frames=frames, seed=seed)
    check_writable_folder(out)
    model = load_classifier(classifier, weights=weights, spec=spec) if classifier else None
    explainer = load(bundle, classifier=model, device=device)
    with busy("Reading images", quiet=quiet):
        inputs = explainer.read(images, split)
    say_notes(inputs.notes, quiet=quiet)
    with progress("Explaining", len(inputs), "images", quiet=quiet) as report:
        explanations = explain_inputs(explainer, inputs, settings, report, target=target)
    with busy("Writing the report", quiet=quiet):
        page = write_explanations(explanations, explainer, out)
    if not quiet:
        print_table(summary_rows(explanations))
        print(f"Report written to {page}; open it in a browser.")


@app.command()
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


if __name__ == "__main__":
    main()
