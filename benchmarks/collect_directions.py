"""One JSON from a style-based bundle, its directions, and what ``medxgan evaluate`` found of each.

    python benchmarks/collect_directions.py runs/images cnn=measured vgg --out FILE

Each ``NAME=FOLDER`` is a direction and the folder of its evaluation, ``NAME`` alone one without.
``benchmarks/tables.py`` draws the tables of docs/real-stylegan.md from such files.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from documents import publish
from medxgan.bundle import find_bundle, read_manifest
from medxgan.direction_file import MANIFEST_NAME
from medxgan.direction_folder import find_direction
from medxgan.errors import ConfigError
from medxgan.style_bundle import StyleManifest

Document = dict[str, Any]


def collect(bundle: str, evaluations: dict[str, Path | None]) -> Document:
    """Figures of a bundle, its directions and their evaluations.

    Raises:
        ConfigError: not a style-based bundle, or a folder without figures.
        BundleError: no such direction.
    """
    folder = find_bundle(bundle)
    manifest = read_manifest(folder)
    if not isinstance(manifest, StyleManifest):
        raise ConfigError(f"{bundle} is no bundle of the method stylegan; give one with directions")
    return {
        "training": manifest.training,
        "held_out": manifest.metrics["held_out"],
        "directions": {
            name: {
                "fit": _fit(find_direction(folder, name)),
                "evaluation": None if evaluation is None else _figures(evaluation),
            }
            for name, evaluation in evaluations.items()
        },
    }


def _fit(direction: Path) -> Document:
    fit: Document = json.loads((direction / MANIFEST_NAME).read_text("utf-8"))["fit"]
    return fit


def _figures(folder: Path) -> Document:
    path = folder / "metrics.json"
    if not path.is_file():
        raise ConfigError(f"{folder} holds no metrics.json; run medxgan evaluate to its end first")
    figures: Document = json.loads(path.read_text("utf-8"))
    return figures


def main() -> None:
    """Collect and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle")
    parser.add_argument("evaluations", nargs="+", metavar="NAME[=FOLDER]")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    pairs = [given.partition("=") for given in arguments.evaluations]
    evaluations = {name: Path(folder) if folder else None for name, _, folder in pairs}
    publish(lambda: collect(arguments.bundle, evaluations), arguments.out, None)


if __name__ == "__main__":
    main()
