"""Is our method better than the published one, on the same data, classifier and budget?

    python benchmarks/versus_published.py --data slices.npz --out versus
    python benchmarks/versus_published.py --data slices.npz --classifier c.safetensors \
        --oracle o.safetensors --images 100000 --minutes 60 --out versus

Trains both on the same number of images and, with ``--minutes``, on the same wall time, inverts the
same test images by both, and prints a table for each budget. Runs, inversions and classifiers are
kept in ``--out``: the same call goes on where it was interrupted. All figures go to
``versus_published.json`` there.

The published method is Dravid et al. 2022 (arXiv 2204.05376) with the faults of its released code
mended: presets ``published`` (below 128 pixels) and ``published-covid``, and 5000 steps from a cold
start to invert. Both learn from the same classifier, half of each batch called positive.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.bundle import MANIFEST_NAME, WEIGHTS_NAME, Manifest, load_bundle, read_manifest
from medxgan.classifiers import Epoch, TorchClassifier, load_classifier, save_classifier
from medxgan.config import TrainingSettings, load_settings
from medxgan.data import Dataset, open_dataset
from medxgan.device import choose_device
from medxgan.errors import ConfigError, DataError, MedxganError
from medxgan.evaluate import evaluate
from medxgan.evaluate.identity import digest_of_data
from medxgan.evaluate.timing import timed
from medxgan.explain.settings import DEFAULT_METHODS
from medxgan.explainer import Explainer
from medxgan.fitting import epoch_text, fit_on_dataset
from medxgan.inversion import PUBLISHED_STEPS
from medxgan.launching import launched_fabric
from medxgan.progress import progress, training_monitor
from medxgan.training.loop import LOG_NAME
from medxgan.training.source import predictions
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.training.train import Plan, train_medxgan
from medxgan.types import Latent
from versus_table import AGREED, PUBLISHED_MAPS, markdown, table

REFINED_STEPS = 50
LOG_LINES = 100
PATHS = ("data", "classifier", "oracle", "out")
TIMED_PASSES = 5


class Inverted(Explainer):
    """An explainer that inverts the chosen images once, and knows their codes from then on.

    Attributes:
        seconds: an image, of that one inversion.
    """

    def __init__(
        self, folder: Path, classifier: TorchClassifier | None, device: torch.device, steps: int
    ) -> None:
        super().__init__(load_bundle(folder, classifier), device)
        self._folder = folder
        self.inversion_steps = steps
        self.seconds = float("nan")
        self._known: dict[bytes, tuple[Tensor, Tensor]] = {}

    def remember(self, images: Tensor, file: Path) -> None:
        """Invert images ``[N, C, H, W]`` as one batch, or read what ``file`` keeps of that."""
        kind = f"{self.inversion_steps} steps, {self._digest_of(images)}"
        if not _is_inversion(file, kind):
            encode = super().encode
            repeats = 1
            if self.inversion_steps == 0:  # one short pass: the first call is no measure
                encode(images)
                repeats = TIMED_PASSES
            latents, seconds = timed(self.device, lambda: [encode(images) for _ in range(repeats)])
            codes = {name: getattr(latents[0], name).cpu().contiguous() for name in ("z1", "z2")}
            facts = {"kind": kind, "seconds": str(seconds / repeats / len(images))}
            with atomic_file(file) as stream:
                stream.write(to_safetensors(codes, metadata=facts))
        with safe_open(file, framework="pt") as stored:
            self.seconds = float(stored.metadata()["seconds"])
            z1, z2 = stored.get_tensor("z1"), stored.get_tensor("z2")
        self._known = {
            image.numpy().tobytes(): codes
            for image, codes in zip(images, zip(z1, z2, strict=True), strict=True)
        }

    def _digest_of(self, images: Tensor) -> str:
        """Of what decides the codes: the images and the bundle's weights."""
        digest = sha256(images.numpy().tobytes())
        digest.update((self._folder / WEIGHTS_NAME).read_bytes())
        return digest.hexdigest()

    def encode(self, images: Tensor, target: int | str | None = None) -> Latent:
        """Codes of images ``[N, C, H, W]``, those known looked up."""
        found = [self._known.get(image.cpu().numpy().tobytes()) for image in images]
        known = [codes for codes in found if codes is not None]
        if len(known) < len(found):
            return super().encode(images, target)
        z1, z2 = (torch.stack(codes).to(self.device) for codes in zip(*known, strict=True))
        return Latent(z1, z2)


def _is_inversion(file: Path, kind: str) -> bool:
    if not file.is_file():
        return False
    with safe_open(file, framework="pt") as stored:
        return bool(stored.metadata()["kind"] == kind)


class Setting(NamedTuple):
    """What both methods are given."""

    data: Dataset
    classifier: TorchClassifier
    oracle: TorchClassifier
    chosen: Dataset
    arguments: argparse.Namespace


def get_classifier(
    given: str | None, data: Dataset, file: Path, seed: int, arguments: argparse.Namespace
) -> TorchClassifier:
    """The one that was given, or a small CNN fitted to the data and kept in ``file``."""
    if given is not None or file.is_file():
        return load_classifier(given or str(file))
    with progress(f"Fitting {file.stem}", arguments.epochs, "epochs") as report:

        def on_epoch(epoch: Epoch) -> None:
            report(epoch.number, epoch_text(epoch))

        fitted = fit_on_dataset(
            data,
            arch="cnn",
            epochs=arguments.epochs,
            patience=6,
            batch_size=64,
            learning_rate=None,
            seed=seed,
            device=choose_device(arguments.device),
            bf16=True,
            data_name=Path(arguments.data).name,
            on_epoch=on_epoch,
        )
    save_classifier(file, fitted)
    return fitted


def choose_positives(
    data: Dataset, classifier: TorchClassifier, target: int, count: int, device: torch.device
) -> Dataset:
    """Test images that the classifier calls positive, spread over them; with a mask if any has."""
    test = data.select("test", labelled=False)
    scores = predictions(classifier.to(device), test, target, device)
    positive = np.flatnonzero(scores.numpy() >= 0.5)
    masked = test.mask_images(positive)[0].flatten(1).any(dim=1).numpy()
    candidates = positive[masked] if masked.any() else positive
    if len(candidates) == 0:
        raise DataError(f"the classifier calls none of the {len(test)} test images positive")
    places = np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round()
    return test.take(candidates[places.astype(np.int64)])


def settings_of(method: str, images: int, arguments: argparse.Namespace) -> TrainingSettings:
    """Settings of a run of ``images`` images."""
    overrides = [f"run.images={images}", f"run.log_every={max(1, images // LOG_LINES)}"]
    if method == "published":
        overrides += arguments.published_overrides
        return load_settings(arguments.published_preset, overrides=overrides)
    return load_settings(arguments.preset, overrides=[*overrides, *arguments.overrides])


def train(method: str, images: int, folder: Path, setting: Setting) -> Manifest:
    """Train, resume, or take what ``folder`` holds already."""
    settings = settings_of(method, images, setting.arguments)
    if (folder / MANIFEST_NAME).is_file():
        manifest = read_manifest(folder)
        if manifest.training["settings"] != json.loads(json.dumps(settings.chosen())):
            raise ConfigError(
                f"{folder} holds a run with other settings; choose another --out, or remove it"
            )
        return manifest
    plan = Plan(
        data=setting.data,
        classifier=setting.classifier,
        target=target_of(setting),
        settings=settings,
        folder=folder,
        seed=setting.arguments.seed,
        data_name=Path(setting.arguments.data).name,
        resume=(folder / CHECKPOINT_NAME).is_file(),
    )
    title = f"Training {folder.name}, {folder.parent.name}"
    with (
        launched_fabric(setting.arguments.device, 1) as fabric,
        progress(title, images, "images") as report,
    ):
        trained = train_medxgan(plan, fabric, training_monitor(report))
    if not trained.finished:
        print("Stopped; the same command goes on.", file=sys.stderr)
        sys.exit(130)
    return read_manifest(folder)


def target_of(setting: Setting) -> int:
    """Index of the explained class."""
    return setting.classifier.spec.target_index(setting.arguments.target)


def measure(method: str, folder: Path, steps: int, setting: Setting) -> dict[str, Any]:
    """All figures of one column: those of ``metrics.json``, the inversion's time, and the log's."""
    device = choose_device(setting.arguments.device)
    explainer = Inverted(folder, setting.classifier, device, steps)
    explainer.remember(setting.chosen.images(), folder / f"inversion-{steps}.safetensors")
    evaluation = evaluate(
        explainer,
        setting.chosen,
        oracle=setting.oracle,
        codes=setting.arguments.codes,
        methods=PUBLISHED_MAPS if method == "published" else DEFAULT_METHODS,
        controls=False,
        progress=lambda stage, done, total: print(
            f"\r{folder.name}, {steps} steps, {stage}: {done}/{total}   ",
            end="\n" if done == total else "",
            file=sys.stderr,
            flush=True,
        ),
    )
    reached = images_until(folder / LOG_NAME)
    known = "the codes were known before; the row on inversion says what they took"
    evaluation.document["seconds_per_image"]["explanation"] = {"value": None, "reason": known}
    return {
        **evaluation.document,
        "inversion": {"value": explainer.seconds},
        "until": {name: {"value": images} for name, images in reached.items()},
    }


def images_until(log: Path) -> dict[str, int | None]:
    """Images shown when the agreement of samples from the prior first reached ``AGREED``."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    demands: dict[str, Callable[[Mapping[str, float]], float]] = {
        "negative": lambda entry: entry["prior_agreement_negative"],
        "positive": lambda entry: entry["prior_agreement_positive"],
        "both": lambda entry: min(
            entry["prior_agreement_negative"], entry["prior_agreement_positive"]
        ),
    }
    return {
        name: next((entry["images"] for entry in entries if measured(entry) >= AGREED), None)
        for name, measured in demands.items()
    }


def compare(name: str, budgets: dict[str, int], setting: Setting) -> dict[str, Any]:
    """Train both on their budgets (images), measure, and make the rows of the table."""
    root: Path = setting.arguments.out / name
    told = {
        method: train(method, images, root / method, setting).training
        for method, images in budgets.items()
    }
    columns = {
        "published": ("published", setting.arguments.inversion_steps),
        "ours": ("ours", 0),
        "ours refined": ("ours", REFINED_STEPS),
    }
    documents = {
        column: measure(method, root / method, steps, setting)
        for column, (method, steps) in columns.items()
    }
    return {
        "budget": budget_text(told, setting),
        "rows": table(documents, {method: told[method]["images_shown"] for method in told}),
        "training": told,
        "figures": documents,
    }


def budget_text(told: Mapping[str, Mapping[str, Any]], setting: Setting) -> str:
    """On what the figures of a table rest."""
    arguments = setting.arguments
    shown = "; ".join(
        f"{method}: {run['images_shown']} images, {run['seconds'] / 60:.1f} min, {run['device']}, "
        f"{'bfloat16' if run['settings']['run']['bf16'] else 'float32'}"
        for method, run in told.items()
    )
    return (
        f"{Path(arguments.data).name}, {told['ours']['training_images']} training images. "
        f"Shown to {shown}. {len(setting.chosen)} test positives inverted as one batch: "
        f"published in {arguments.inversion_steps} steps from a cold start; ours by its encoder, "
        f"refined by {REFINED_STEPS} steps. {arguments.codes} codes from the prior."
    )


def images_in(minutes: float, told: Mapping[str, Any]) -> int:
    """Images that a method sees in so many minutes, at the pace of an earlier run.

    >>> images_in(2, {"images_shown": 6400, "seconds": 60})
    12800
    """
    return max(1, round(minutes * 60 * told["images_shown"] / max(1, told["seconds"])))


def check_same_work(
    file: Path,
    data: Dataset,
    classifier: TorchClassifier,
    oracle: TorchClassifier,
    target: int,
    seed: int,
) -> None:
    """Refuse a folder in which runs on other work are kept.

    Raises:
        ConfigError: seed, data, class or one of the classifiers is another one.
    """
    work = {
        "seed": str(seed),
        "data": digest_of_data(data),
        "class": str(target),
        "classifier": classifier.fingerprint,
        "oracle": oracle.fingerprint,
    }
    if file.is_file():
        before = json.loads(file.read_text())
        other = [name for name, value in work.items() if before[name] != value]
        if other:
            raise ConfigError(
                f"{file.parent} holds what was made with another {' and '.join(other)}; choose "
                "another --out, or remove it"
            )
        return
    with atomic_file(file) as stream:
        stream.write(json.dumps(work, indent=2).encode() + b"\n")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="data set with train, val and test")
    parser.add_argument("--classifier", help="the explained one; default: a CNN fitted to the data")
    parser.add_argument("--oracle", help="the independent judge; default: one of another seed")
    parser.add_argument("--target", help="explained class; default: the last")
    parser.add_argument("--images", type=int, default=100_000, help="both are shown in training")
    parser.add_argument("--minutes", type=float, help="second table: both train so long")
    parser.add_argument("--inversion-steps", type=int, default=PUBLISHED_STEPS)
    parser.add_argument("--inverted", type=int, default=16, help="test positives to invert")
    parser.add_argument("--codes", type=int, default=1000, help="codes from the prior")
    parser.add_argument("--epochs", type=int, default=30, help="of a classifier that is fitted")
    parser.add_argument("--preset", default="small", help="of our method")
    parser.add_argument("--published-preset", choices=("published", "published-covid"))
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], help="a setting of our method"
    )
    parser.add_argument(
        "--set-published",
        dest="published_overrides",
        action="append",
        default=[],
        help="a setting of the published one",
    )
    parser.add_argument("--out", type=Path, default=Path("versus-published"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    return parser.parse_args()


def prepare(arguments: argparse.Namespace) -> Setting:
    """Data, classifiers and the images to invert."""
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    for name in ("images", "inverted", "codes", "inversion_steps"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1")
    arguments.out.mkdir(parents=True, exist_ok=True)
    spec = load_classifier(arguments.classifier).spec if arguments.classifier else None
    data = open_dataset(
        arguments.data,
        size=spec.size if spec else None,
        channels=spec.channels if spec else None,
    )
    seed, out = arguments.seed, arguments.out
    classifier, oracle = (
        get_classifier(given, data, out / f"{name}.safetensors", own_seed, arguments)
        for given, name, own_seed in (
            (arguments.classifier, "classifier", seed),
            (arguments.oracle, "oracle", seed + 1),
        )
    )
    if arguments.published_preset is None:
        small = classifier.spec.size < 128
        arguments.published_preset = "published" if small else "published-covid"
    target = classifier.spec.target_index(arguments.target)
    device = choose_device(arguments.device)
    check_same_work(out / "work.json", data, classifier, oracle, target, seed)
    chosen = choose_positives(data, classifier, target, arguments.inverted, device)
    return Setting(data, classifier, oracle, chosen, arguments)


def shown(option: str, value: object) -> str:
    """An option as it is kept beside the figures: of a path, its name.

    >>> shown("data", "/home/me/slices.npz"), shown("images", 8)
    ('slices.npz', '8')
    """
    return Path(str(value)).name if option in PATHS else str(value)


def main() -> None:
    """Compare, print, and say what went wrong in one sentence."""
    arguments = read_arguments()
    try:
        setting = prepare(arguments)
        methods = ("published", "ours")
        results = {"images": compare("images", dict.fromkeys(methods, arguments.images), setting)}
        if arguments.minutes is not None:
            paces = results["images"]["training"]
            budgets = {name: images_in(arguments.minutes, paces[name]) for name in methods}
            results["minutes"] = compare("minutes", budgets, setting)
        options = {name: shown(name, value) for name, value in vars(arguments).items()}
        text = json.dumps({"options": options, "tables": results}, indent=2, allow_nan=False)
        with atomic_file(arguments.out / "versus_published.json") as file:
            file.write(text.encode() + b"\n")
    except MedxganError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    words = {
        "images": f"The same number of images: {arguments.images}",
        "minutes": f"The same wall time: about {arguments.minutes} minutes",
    }
    for name, result in results.items():
        print(f"## {words[name]}\n\n{result['budget']}\n\n{markdown(result['rows'])}\n")


if __name__ == "__main__":
    main()
