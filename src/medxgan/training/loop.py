"""The training loop: devices, learning rate, moving average, checkpoints and log.

What is learned in a step is the recipe's matter. All random numbers of a step come from a
generator seeded by (seed, step, process), so a resumed run continues exactly.
"""

import json
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from medxgan.atomic import atomic_file
from medxgan.config import TrainingSettings
from medxgan.errors import ConfigError
from medxgan.training.augment import AdaptiveProbability
from medxgan.training.sheet import save_sheet
from medxgan.training.state import TrainingState, load_checkpoint, new_state, save_checkpoint

LOG_NAME = "log.jsonl"
Figures = dict[str, float]


def no_figures(averaged: nn.Module) -> Figures:
    """Watch nothing."""
    return {}


def no_preparation(state: TrainingState) -> None:
    """Change nothing."""


class Recipe(Protocol):
    """What is learned: networks, optimisers, and one step on one batch."""

    @property
    def networks(self) -> nn.Module:
        """All that is trained."""
        ...

    @property
    def optimisers(self) -> dict[str, Optimizer]:
        """By name."""
        ...

    def step(
        self, images: Tensor, number: int, chance: float, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        """Update the networks on ``images``; returns scalars to log, ``sign_real`` among them."""
        ...

    def sheet(self, averaged: nn.Module) -> list[Tensor]:
        """Rows of sample images, ``[n, C, H, W]`` each."""
        ...


class ImageSource(Protocol):
    """Where the batches come from."""

    def batch(self, step: int, random: torch.Generator, device: torch.device) -> Tensor:
        """Images ``[N, C, H, W]`` of a step, for this process, on ``device``."""
        ...


class Monitor(Protocol):
    """Told how far the run is."""

    def __call__(self, images: int, figures: Figures) -> None:
        """``images`` shown so far; ``figures`` are means since the last log line."""
        ...


@dataclass(frozen=True)
class Run:
    """Where and how a run goes on.

    Attributes:
        folder: checkpoints, log and sample sheets go here.
        settings: of the run.
        seed: of all random numbers.
        identity: name -> value of all that must be the same when the run is resumed.
        resume: continue from the checkpoint in ``folder``.
        stop_after: stop early, after so many images, with a checkpoint; ``None`` runs to the end.
        watch: further figures of a log line, from the averaged networks.
        prepare: called before each step with the state that it starts from.
    """

    folder: Path
    settings: TrainingSettings
    seed: int
    identity: dict[str, str]
    resume: bool = False
    stop_after: int | None = None
    watch: Callable[[nn.Module], Figures] = no_figures
    prepare: Callable[[TrainingState], None] = no_preparation


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the state, whether it reached its last step, and its last figures."""

    state: TrainingState
    finished: bool
    figures: Figures


def run_training(
    run: Run, recipe: Recipe, source: ImageSource, fabric: Fabric, monitor: Monitor
) -> Outcome:
    """Train until the images are used up, or Ctrl-C; both leave a checkpoint.

    Raises:
        OutputError: the run's folder cannot be written.
        DataError, ConfigError: there is nothing to resume, or it is another run.
    """
    settings = run.settings.run
    images_a_step = settings.batch_size * fabric.world_size
    last_step = max(1, round(settings.images / images_a_step))
    augmentation = AdaptiveProbability(
        run.settings.augment.target,
        run.settings.augment.images_to_full,
        run.settings.augment.maximum,
    )
    state = new_state(recipe.networks, recipe.optimisers, augmentation)
    if run.resume:
        load_checkpoint(state, run.identity, run.folder)
    log = _Log(run.folder / LOG_NAME, keep_until=state.step * images_a_step)
    due = _Due(images_a_step, last_step)
    figures: Figures = {}
    with interrupts_noted() as interrupted:
        while state.step < last_step:
            started = time.perf_counter()
            run.prepare(state)
            _train_one_step(run, recipe, source, fabric, state, last_step)
            state.seconds += time.perf_counter() - started
            shown = state.step * images_a_step
            stop = run.stop_after is not None and shown >= run.stop_after
            stop = any_process(fabric, stop or interrupted())
            if due(state.step, settings.log_every):
                figures = _log_line(state, shown)
                if fabric.is_global_zero:
                    figures |= run.watch(state.averaged)
                    log.append(figures)
            if fabric.is_global_zero:
                monitor(shown, _means(state) or figures)
                if due(state.step, settings.sample_every):
                    path = run.folder / "samples" / f"{shown:09d}.png"
                    save_sheet(path, recipe.sheet(state.averaged))
                if stop or due(state.step, settings.checkpoint_every):
                    save_checkpoint(state, run.identity, run.folder)
            if stop:
                break
    fabric.barrier()
    return Outcome(state, state.step >= last_step, figures)


def _train_one_step(
    run: Run,
    recipe: Recipe,
    source: ImageSource,
    fabric: Fabric,
    state: TrainingState,
    last_step: int,
) -> None:
    settings = run.settings
    shown = settings.run.batch_size * fabric.world_size
    warm_up = min(1.0, (state.step + 1) * shown / max(1, settings.optimiser.warm_up))
    falling = rate_factor(state.step / last_step, settings.optimiser.decay_from)
    rate = settings.optimiser.learning_rate * warm_up * falling
    for optimiser in recipe.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = rate
    random = step_generator(run.seed, state.step, fabric.global_rank)
    images = source.batch(state.step, random, fabric.device)
    images = images.contiguous(memory_format=torch.channels_last)
    figures = recipe.step(images, state.step, state.augmentation.value, random, fabric)
    if fabric.world_size > 1:
        figures = {name: mean_over_processes(fabric, value) for name, value in figures.items()}

    values = dict(zip(figures, torch.stack(list(figures.values())).tolist(), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"training diverged after {state.step} steps: {name} is {value}; lower "
                "optimiser.learning_rate and start anew, or resume from the last checkpoint"
            )
    state.step += 1
    # A half-life that grows with the run forgets the first, random weights at once.
    half_life = min(settings.optimiser.ema_half_life, 0.1 * state.step * shown)
    state.average(0.5 ** (shown / half_life) if half_life > 0 else 0.0)
    state.augmentation.update(values["sign_real"], shown)
    for name, value in values.items():
        total, count = state.sums.get(name, (0.0, 0))
        state.sums[name] = (total + value, count + 1)


def rate_factor(progress: float, decay_from: float) -> float:
    """Learning rate relative to its highest: 1, then falling linearly to 0.1 at the end.

    >>> [round(rate_factor(p, 0.5), 3) for p in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.55, 0.1]
    """
    if progress <= decay_from:
        return 1.0
    return 1 - 0.9 * (progress - decay_from) / (1 - decay_from)


def step_generator(seed: int, step: int, process: int) -> torch.Generator:
    """Source of all random numbers of one step in one process."""
    state = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def average_gradients(fabric: Fabric, parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over processes: data-parallel training in one exchange."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = mean_over_processes(fabric, torch.cat([g.flatten() for g in gradients]))
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def mean_over_processes(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    mean = fabric.all_reduce(value, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean


def any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether the flag is set in any process, so that all stop at the same step."""
    if fabric.world_size == 1:
        return flag
    return bool(mean_over_processes(fabric, torch.tensor(float(flag), device=fabric.device)) > 0)


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C wait until the step is done; yields a function that says whether it was pressed.

    A second Ctrl-C interrupts at once.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    try:
        previous = signal.signal(signal.SIGINT, note)
    except ValueError:  # not in the main thread: signals are somebody else's matter
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)


class _Due:
    """Says when something that happens every so many images is due after a step."""

    def __init__(self, images_a_step: int, last_step: int) -> None:
        self.images_a_step, self.last_step = images_a_step, last_step

    def __call__(self, step: int, every: int) -> bool:
        before, now = (step - 1) * self.images_a_step, step * self.images_a_step
        return now // every > before // every or step == self.last_step


class _Log:
    """A JSON line per entry; entries beyond the resumed step are dropped when it is opened."""

    def __init__(self, path: Path, keep_until: int) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["images"] <= keep_until]
        self.content = "".join(line + "\n" for line in kept)

    def append(self, figures: Figures) -> None:
        self.content += json.dumps(figures) + "\n"
        with atomic_file(self.path) as file:
            file.write(self.content.encode())


def _means(state: TrainingState) -> Figures:
    means = {name: total / count for name, (total, count) in state.sums.items()}
    return means and means | {"augmentation_p": state.augmentation.value}


def _log_line(state: TrainingState, shown: int) -> Figures:
    figures = {"images": shown, "seconds": round(state.seconds, 1)} | {
        name: round(value, 5) for name, value in _means(state).items()
    }
    state.sums = {}
    return figures
