"""How good are a bundle's explanations? Prints the content of ``metrics.json``.

    python benchmarks/bundle_quality.py brain-phantom --count 1000 --seed 12345 --table
    python benchmarks/bundle_quality.py --bundle RUN --data slices.npz --split test --table

Without ``--data`` the bundle must be one of phantoms: fresh ones are drawn, with lesion masks and
healthy twins. One JSON object goes to standard output, everything else to standard error.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch

import medxgan
from documents import publish
from medxgan.classifiers import load_classifier
from medxgan.data import Dataset, build_dataset
from medxgan.data.phantom import CLASS_NAMES, Kind, make_phantoms
from medxgan.errors import ConfigError
from medxgan.evaluate import evaluate
from medxgan.explain import METHODS
from medxgan.explain.settings import DEFAULT_METHODS

Metrics = dict[str, Any]
OURS = ("difference", "lig", "lig-transferred", "lig-published")
BASELINES = ("ig", "grad-cam")
KINDS: tuple[Kind, ...] = get_args(Kind)


class Limit(NamedTuple):
    """One line of acceptance: what is measured (None where it is null) and where it must lie."""

    measure: Callable[[Metrics], float | None]
    relation: str
    limit: float

    def holds(self, value: float | None) -> bool:
        """Whether a measured value passes; what could not be measured does not."""
        if value is None:
            return False
        return {
            ">=": value >= self.limit,
            ">": value > self.limit,
            "<": value < self.limit,
        }[self.relation]


def value_at(*place: str) -> Callable[[Metrics], float | None]:
    """The value of the figure at a place of ``metrics.json``."""

    def value(metrics: Metrics) -> float | None:
        figure: Any = metrics
        for name in place:
            figure = figure[name]
        found: float | None = figure["value"]
        return found

    return value


def lead(
    first: Sequence[Callable[[Metrics], float | None]],
    second: Sequence[Callable[[Metrics], float | None]],
) -> Callable[[Metrics], float | None]:
    """The highest of some figures minus the highest of others; figures that are null are out."""

    def difference(metrics: Metrics) -> float | None:
        highest = [
            max((v for v in (measure(metrics) for measure in side) if v is not None), default=None)
            for side in (first, second)
        ]
        return None if highest[0] is None or highest[1] is None else highest[0] - highest[1]

    return difference


def precision_lead(section: str) -> Callable[[Metrics], float | None]:
    """Average precision of the best of our maps, minus that of the best baseline."""
    ours, baselines = (
        [value_at(section, method, "average_precision") for method in methods]
        for methods in (OURS, BASELINES)
    )
    return lead(ours, baselines)


PHANTOM_LIMITS: dict[str, Limit] = {
    "agreement, negative": Limit(value_at("agreement", "negative"), ">=", 0.99),
    "agreement, positive": Limit(value_at("agreement", "positive"), ">=", 0.99),
    "monotone paths": Limit(value_at("monotonicity", "monotone_paths"), ">=", 0.99),
    "prediction match of reconstructions": Limit(
        value_at("reconstruction", "prediction_match"), ">=", 0.99
    ),
    "validity": Limit(value_at("counterfactual", "validity"), ">=", 0.99),
    "oracle validity": Limit(value_at("counterfactual", "oracle_validity"), ">=", 0.99),
    "transfer validity": Limit(value_at("counterfactual", "transfer_validity"), ">=", 0.97),
    "oracle transfer validity": Limit(
        value_at("counterfactual", "oracle_transfer_validity"), ">=", 0.90
    ),
    "pointing of the difference": Limit(
        value_at("localization", "difference", "pointing"), ">=", 0.95
    ),
    "pointing of exact LIG": Limit(value_at("localization", "lig", "pointing"), ">=", 0.95),
    "concentration of the difference": Limit(
        value_at("localization", "difference", "concentration"), ">=", 15
    ),
    "average precision, ours - baselines": Limit(precision_lead("localization"), ">", 0),
    "the same, smoothed": Limit(precision_lead("localization_smoothed"), ">", 0),
    "SSIM to the twin, x⁻ - x": Limit(
        lead(
            [value_at("counterfactual", "twin_ssim")],
            [value_at("counterfactual", "image_twin_ssim")],
        ),
        ">",
        0,
    ),
    "PSNR to the twin, transferred - x (dB)": Limit(
        lead(
            [value_at("counterfactual", "transferred_twin_psnr")],
            [value_at("counterfactual", "image_twin_psnr")],
        ),
        ">=",
        3,
    ),
    "completeness error of exact LIG": Limit(value_at("completeness", "lig", "mean"), "<", 0.02),
}
REAL_LIMITS: dict[str, Limit] = {
    "agreement, negative": Limit(value_at("agreement", "negative"), ">=", 0.98),
    "agreement, positive": Limit(value_at("agreement", "positive"), ">=", 0.98),
    "validity": Limit(value_at("counterfactual", "validity"), ">=", 0.97),
    "transfer validity": Limit(value_at("counterfactual", "transfer_validity"), ">=", 0.90),
    "average precision, ours - baselines": Limit(precision_lead("localization"), ">", 0),
    "the same, smoothed": Limit(precision_lead("localization_smoothed"), ">", 0),
}


def table(metrics: Metrics, limits: dict[str, Limit]) -> str:
    """Each line of acceptance with its value, its limit, and whether it passes."""
    lines = []
    for label, limit in limits.items():
        value = limit.measure(metrics)
        shown = "null" if value is None else f"{value:.4f}"
        verdict = "pass" if limit.holds(value) else "FAIL"
        lines.append(f"{label:40} {shown:>9}  {limit.relation:>2} {limit.limit:<5g} {verdict}")
    return "\n".join([*lines, "", *maps_table(metrics)])


def maps_table(metrics: Metrics) -> list[str]:
    """Localisation of every map, raw and smoothed."""
    names = ("average_precision", "iou", "pointing", "concentration")
    lines = []
    for section in ("localization", "localization_smoothed"):
        lines.append(f"{section:24}" + "".join(f"{name:>18}" for name in names))
        for method, figures in metrics[section].items():
            values = [figures[name]["value"] for name in names]
            if None not in values:
                lines.append(f"  {method:22}" + "".join(f"{value:18.3f}" for value in values))
    return lines


def phantom_kind(bundle: str, data: str) -> Kind:
    """Which phantoms a bundle was trained on, from its own name and that of its training data."""
    for kind in KINDS:
        if kind in f"{bundle} {data}".lower():
            return kind
    raise ConfigError(
        f"the bundle '{bundle}' was trained on '{data}', and neither names a kind of phantom; "
        "give --kind brain or chest, or a data set with --data"
    )


def fresh_phantoms(kind: Kind, count: int, size: int, seed: int) -> Dataset:
    """Phantoms as a data set, half of them with a lesion."""
    phantoms = make_phantoms(kind, count, size=size, seed=seed)
    return build_dataset(
        phantoms.images[:, None],
        phantoms.labels,
        class_names=CLASS_NAMES,
        split=phantoms.split,
        masks=phantoms.masks,
        twins=phantoms.twins[:, None],
    )


def show_progress(stage: str, done: int, total: int) -> None:
    """One line that is written over, on standard error."""
    end = "\n" if done == total else ""
    print(f"\r{stage}: {done}/{total} ", end=end, file=sys.stderr, flush=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="BUNDLE", help="shipped name or folder")
    parser.add_argument("--bundle", help="the same, as an option")
    parser.add_argument("--classifier", help="the explained one, if the bundle does not hold it")
    parser.add_argument("--oracle", help="independent classifier; default: the bundle's own")
    parser.add_argument("--data", help="data set; default: fresh phantoms")
    parser.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    parser.add_argument("--kind", choices=KINDS, help="of phantoms; default: the bundle's")
    parser.add_argument("--count", type=int, default=1000, help="phantoms, half of them positive")
    parser.add_argument("--codes", type=int, default=1000, help="codes from the prior")
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--methods", default=",".join(DEFAULT_METHODS), help=", ".join(METHODS))
    parser.add_argument("--steps", type=int, default=32, help="of integrated gradients")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    parser.add_argument("--table", action="store_true", help="print pass and fail to stderr")
    arguments = parser.parse_args()
    if (arguments.name is None) == (arguments.bundle is None):
        parser.error("give one bundle: its name or folder, or --bundle")
    return arguments


def measure(arguments: argparse.Namespace) -> Metrics:
    """Load what was asked for and measure it."""
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    bundle = arguments.bundle or arguments.name
    classifier = load_classifier(arguments.classifier) if arguments.classifier else None
    explainer = medxgan.load(bundle, classifier=classifier, device=arguments.device)
    spec, manifest = explainer.spec, explainer.bundle
    if arguments.data is None:
        kind = arguments.kind or phantom_kind(manifest.name, str(manifest.training.get("data", "")))
        data = fresh_phantoms(kind, arguments.count, spec.size, arguments.seed)
        described = {"data": f"{kind} phantoms, seed {arguments.seed}", "split": None}
    else:
        data = explainer.open_dataset(arguments.data).select(arguments.split)
        described = {"data": Path(arguments.data).name, "split": arguments.split}
    started = time.perf_counter()
    evaluation = evaluate(
        explainer,
        data,
        oracle=load_classifier(arguments.oracle) if arguments.oracle else None,
        codes=arguments.codes,
        methods=arguments.methods.split(","),
        steps=arguments.steps,
        seed=arguments.seed,
        progress=show_progress,
    )
    return {
        **evaluation.document,
        "measured": {
            "bundle": manifest.name,
            **described,
            "seed": arguments.seed,
            "seconds": round(time.perf_counter() - started, 1),
        },
    }


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    limits = REAL_LIMITS if arguments.data else PHANTOM_LIMITS
    publish(
        lambda: measure(arguments),
        arguments.out,
        (lambda metrics: table(metrics, limits)) if arguments.table else None,
    )


if __name__ == "__main__":
    main()
