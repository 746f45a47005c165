"""``medxgan view``."""

from pathlib import Path
from typing import Annotated

import typer

from medxgan.cli.options import (
    BundleAxis,
    BundleWindow,
    Device,
    Direction,
    ExplainedModel,
    Quiet,
    Spec,
    Volume,
    Weights,
)


def view(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE|FOLDER]",
            show_default=False,
            help="What explain --out wrote, or a bundle to open images with; brain-phantom where "
            "nothing is named.",
        ),
    ] = None,
    *,
    bundle: Annotated[
        str | None, typer.Option(help="Beside a folder of explanations: to open images with.")
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8765,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MEDXGAN_TOKEN",
            help="Secret of at least 16 characters, asked of everyone; other users of this machine "
            "can see it here, but not in the environment.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name under which the viewer is asked for; may be repeated."),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(help="File of readers' verdicts; verdicts.sqlite beside the explanations."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    direction: Direction = None,
    classifier: ExplainedModel = None,
    weights: Weights = None,
    spec: Spec = None,
    window: BundleWindow = None,
    axis: BundleAxis = None,
    volume: Volume = None,
    identifiers: Annotated[
        bool,
        typer.Option("--show-identifiers", help="Of opened DICOM files, tell whose they are."),
    ] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Look at explanations in the browser, and move an image's codes by hand."""
    from medxgan.viewer.saved import SavedFolder
    from medxgan.viewer.security import EVERYWHERE, allowed_hosts, check_token
    from medxgan.viewer.server import make_app
    from medxgan.viewer.serving import (
        address_of,
        listen,
        open_browser,
        serve,
        verdicts_file,
        what_to_open,
    )
    from medxgan.viewer.verdicts import VerdictStore

    check_token(host, token)
    folder_path, bundle_name = what_to_open(source, bundle)
    with listen(host, port) as bound:
        folder = None if folder_path is None else SavedFolder(folder_path)
        kept = VerdictStore(verdicts_file(verdicts, folder))
        desk = None
        if bundle_name is not None:
            from medxgan.progress import busy
            from medxgan.viewer.opening import open_desk
            from medxgan.viewer.reading import Presented

            with busy("Loading the bundle", quiet=quiet):
                desk = open_desk(
                    bundle_name,
                    direction=direction,
                    classifier=classifier,
                    weights=weights,
                    spec=spec,
                    device=device,
                    shown=Presented(window, axis, volume, identifiers),
                )
        name = "" if desk is None else desk.name
        title = name if folder is None else folder.name
        app = make_app(
            verdicts=kept,
            folder=folder,
            desk=desk,
            title=title,
            hosts=allowed_hosts(host, allowed_host or ()),
            any_address=host in EVERYWHERE,
            token=token,
        )
        address = address_of(host, bound, token)

        def ready() -> None:
            if not quiet:
                print(f"The viewer of {title} is at {address} (Ctrl-C ends it).", flush=True)
            if browser:
                open_browser(address)

        serve(app, bound, ready, *(() if desk is None else (desk.close,)))
