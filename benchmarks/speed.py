"""How fast, and in how much memory? Prints one JSON object.

    python benchmarks/speed.py
    python benchmarks/speed.py --bundle brain-phantom --threads 2

Each part runs in a process of its own, so that its peak memory is its own:

- ``training``: images a second of preset ``small`` at 64 pixels, after a warm-up.
- ``explaining``: seconds for 12 images with every map but occlusion, then with occlusion alone.
- ``data``: memory that a data set of 100 000 images takes beyond its own array.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = 64
TRAINING_PHANTOMS = 512
WARM_UP_STEPS, TIMED_STEPS = 20, 60
EXPLAINED = 12
STORED = 100_000
BATCH = 256
MEGABYTE = 2**20
Figures = dict[str, Any]

# A process inherits the peak memory of the one that started it, so this one must stay small:
# torch and numpy are imported only by the parts.


def peak_memory() -> int:
    """The most memory that this process has held at once (resident), bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def untrained_classifier() -> Any:
    """A small CNN with random weights that calls half of the phantoms positive."""
    import torch

    from medxgan.classifiers import TorchClassifier, build_architecture
    from medxgan.types import ClassifierSpec

    torch.manual_seed(0)
    spec = ClassifierSpec(size=SIZE, class_names=("healthy", "lesion"))
    module = build_architecture("cnn", 1, SIZE, spec.outputs)
    images = phantom_data(TRAINING_PHANTOMS).images()
    with torch.no_grad():
        middle = TorchClassifier(module, spec, "cnn").log_odds(images, 1).median()
        next(reversed(list(module.parameters())))[1] -= middle
    return TorchClassifier(module, spec, "cnn")


def phantom_data(count: int) -> Any:
    """Brain phantoms as a data set."""
    from medxgan.data import build_dataset
    from medxgan.data.phantom import CLASS_NAMES, make_phantoms

    phantoms = make_phantoms("brain", count, size=SIZE, seed=1)
    return build_dataset(
        phantoms.images[:, None], phantoms.labels, class_names=CLASS_NAMES, split=phantoms.split
    )


def train(folder: Path, settings: Any, stop_after: int | None = None) -> list[float]:
    """Train against an untrained classifier; returns when each step ended."""
    from lightning_fabric import Fabric

    from medxgan.training.train import Plan, train_medxgan

    ended: list[float] = []
    plan = Plan(
        data=phantom_data(TRAINING_PHANTOMS),
        classifier=untrained_classifier(),
        target=1,
        settings=settings,
        folder=folder,
        data_name="brain phantoms",
        stop_after=stop_after,
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    train_medxgan(plan, fabric, lambda images, figures: ended.append(time.perf_counter()))
    return ended


def measure_training(arguments: argparse.Namespace) -> Figures:
    """Images a second of preset ``small``, and the peak memory of the whole process."""
    from medxgan.config import load_settings

    settings = load_settings("small")
    batch = settings.run.batch_size
    steps = WARM_UP_STEPS + TIMED_STEPS
    with tempfile.TemporaryDirectory() as folder:
        ended = train(Path(folder, "run"), settings, stop_after=steps * batch)
    seconds = ended[-1] - ended[WARM_UP_STEPS - 1]
    return {
        "preset": settings.preset,
        "pixels": SIZE,
        "batch_size": batch,
        "timed_steps": TIMED_STEPS,
        "images_per_second": round(TIMED_STEPS * batch / seconds, 1),
        "peak_memory_mb": round(peak_memory() / MEGABYTE),
    }


def measure_explaining(arguments: argparse.Namespace) -> Figures:
    """Seconds to explain 12 images, all at once."""
    import medxgan
    from medxgan.config import load_settings
    from medxgan.explain import METHODS

    every_map = [name for name in METHODS if name != "occlusion"]
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.bundle
        if source is None:
            source = str(Path(folder, "untrained"))
            train(Path(source), load_settings("small", overrides=["run.images=32"]))
        explainer = medxgan.load(source, device="cpu")
    data = phantom_data(EXPLAINED)
    images = data.images()
    explainer.explain(images[:1], methods=every_map)

    def seconds(methods: list[str]) -> float:
        started = time.perf_counter()
        explainer.explain(images, methods=methods)
        return round(time.perf_counter() - started, 2)

    return {
        "bundle": explainer.bundle.name,
        "images": EXPLAINED,
        "called_positive": int((explainer.classifier(images)[:, explainer.target] >= 0.5).sum()),
        "pixels": SIZE,
        "seconds_every_map": seconds(every_map),
        "seconds_no_map": seconds([]),
        "seconds_occlusion_alone": seconds(["occlusion"]),
        "peak_memory_mb": round(peak_memory() / MEGABYTE),
    }


def write_large_archive(path: Path) -> None:
    """An archive of noise: compression would only cost time."""
    import numpy as np

    from medxgan.data import write_npz

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (STORED, SIZE, SIZE), dtype=np.uint8)
    labels = np.arange(STORED) % 2
    split = np.arange(STORED) % 10 == 0
    write_npz(path, compressed=False, images=images, labels=labels, split=split.astype(np.uint8))


def measure_data(arguments: argparse.Namespace) -> Figures:
    """Open a data set of 100 000 images, go through all batches, and see what that took."""
    import numpy as np

    from medxgan.data import open_dataset

    before = peak_memory()
    started = time.perf_counter()
    data = open_dataset(arguments.archive)
    opened = time.perf_counter()
    for start in range(0, len(data), BATCH):
        data.images(np.arange(start, min(start + BATCH, len(data))))
    ended = time.perf_counter()
    array = data.table.pixels.nbytes
    return {
        "images": len(data),
        "pixels": SIZE,
        "array_mb": round(array / MEGABYTE),
        "program_mb": round(before / MEGABYTE),
        "peak_memory_mb": round(peak_memory() / MEGABYTE),
        "beyond_array_mb": round((peak_memory() - array) / MEGABYTE),
        "beyond_array_and_program_mb": round((peak_memory() - array - before) / MEGABYTE),
        "seconds_to_open": round(opened - started, 2),
        "seconds_all_batches": round(ended - opened, 2),
    }


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "training": measure_training,
    "explaining": measure_explaining,
    "data": measure_data,
}


def run_part(part: str, options: list[str]) -> Figures:
    """Measure one part in a process of its own."""
    print(f"measuring {part} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--part", part, *options]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(result.returncode)
    figures: Figures = json.loads(result.stdout) if result.stdout else {}
    return figures


def measure_here(arguments: argparse.Namespace) -> None:
    """Measure one part in this process and print its figures."""
    import torch

    from medxgan.errors import MedxganError

    torch.set_num_threads(arguments.threads)
    try:
        print(json.dumps(PARTS[arguments.part](arguments)))
    except MedxganError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", help="explains; default: an untrained one")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument("--only", choices=sorted(PARTS), help="measure one part")
    parser.add_argument("--part", choices=[*PARTS, "archive"], help=argparse.SUPPRESS)
    parser.add_argument("--archive", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure the parts one after another; a part measures itself."""
    arguments = read_arguments()
    if arguments.part == "archive":
        write_large_archive(arguments.archive)
        return
    if arguments.part is not None:
        measure_here(arguments)
        return
    options = ["--threads", str(arguments.threads)]
    if arguments.bundle is not None:
        options += ["--bundle", arguments.bundle]
    figures: Figures = {"threads": arguments.threads}
    with tempfile.TemporaryDirectory() as folder:
        for part in [arguments.only] if arguments.only else PARTS:
            own = []
            if part == "data":
                own = ["--archive", str(Path(folder, "large.npz"))]
                run_part("archive", own)
            figures[part] = run_part(part, options + own)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
