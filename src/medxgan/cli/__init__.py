"""The command line: parse, call, print. One file a command; heavy imports wait until it runs."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from medxgan.cli.audit import audit
from medxgan.cli.demo import demo
from medxgan.cli.distill import distill
from medxgan.cli.evaluate import evaluate
from medxgan.cli.explain import explain
from medxgan.cli.fit_classifier import fit_classifier
from medxgan.cli.fit_direction import fit_direction
from medxgan.cli.inspect import inspect
from medxgan.cli.phantom import phantom
from medxgan.cli.train import train
from medxgan.cli.view import view
from medxgan.version import __version__

__all__ = ["app", "main"]

# In the order in which help lists them.
COMMANDS = (
    demo,
    phantom,
    fit_classifier,
    distill,
    train,
    fit_direction,
    explain,
    evaluate,
    audit,
    view,
    inspect,
)

app = typer.Typer(
    name="medxgan",
    help="See what a medical image classifier looks at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
for command in COMMANDS:
    app.command()(command)


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
