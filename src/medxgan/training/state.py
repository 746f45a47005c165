"""What a run is made of at one moment, and how it is kept on disk."""

import copy
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medxgan.atomic import atomic_file
from medxgan.errors import ConfigError, DataError
from medxgan.training.augment import AdaptiveProbability

CHECKPOINT_NAME = "checkpoint.pt"
CHECKPOINT_FORMAT = 1


@dataclass
class TrainingState:
    """Everything that changes while training.

    Attributes:
        networks: being trained.
        averaged: exponential moving average of the networks' weights (EMA); what a bundle holds.
        optimisers: by name.
        augmentation: probability of augmentation and its overfitting measure.
        step: finished steps.
        seconds: time spent so far, over all parts of a resumed run.
        sums: figures since the last log line: name -> their sum and number.
    """

    networks: nn.Module
    averaged: nn.Module
    optimisers: dict[str, Optimizer]
    augmentation: AdaptiveProbability
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def average(self, beta: float) -> None:
        """Move the averaged weights towards the current ones: ``beta`` of the old is kept.

        Buffers, the running statistics of batch norms, are averages already: they are copied.
        """
        with torch.no_grad():
            old: list[Tensor] = list(self.averaged.parameters())
            new: list[Tensor] = list(self.networks.parameters())
            torch._foreach_lerp_(old, new, 1 - beta)
            for kept, current in zip(self.averaged.buffers(), self.networks.buffers(), strict=True):
                kept.copy_(current)


def new_state(
    networks: nn.Module, optimisers: dict[str, Optimizer], augmentation: AdaptiveProbability
) -> TrainingState:
    """The state before the first step; the average starts as a copy."""
    averaged = copy.deepcopy(networks).requires_grad_(False).eval()
    return TrainingState(networks, averaged, optimisers, augmentation)


def save_checkpoint(state: TrainingState, identity: dict[str, str], folder: Path) -> None:
    """Write the whole state, atomically.

    Args:
        state: to be saved.
        identity: what must be the same for the run to go on (settings, data, classifier, seed).
        folder: of the run.

    Raises:
        OutputError: the folder cannot be written.
    """
    content = {
        "format": CHECKPOINT_FORMAT,
        "identity": identity,
        "networks": state.networks.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimisers": {name: o.state_dict() for name, o in state.optimisers.items()},
        "augmentation": {"value": state.augmentation.value, "measure": state.augmentation.measure},
        "step": state.step,
        "seconds": state.seconds,
        "sums": state.sums,
    }
    with atomic_file(folder / CHECKPOINT_NAME) as file:
        torch.save(content, file)


def load_checkpoint(state: TrainingState, identity: dict[str, str], folder: Path) -> None:
    """Bring ``state`` to where the run in ``folder`` stopped; nothing is unpickled but tensors.

    Raises:
        DataError: there is no checkpoint, or it is damaged.
        ConfigError: the run was started with other settings, data, classifier or seed.
    """
    path = folder / CHECKPOINT_NAME
    try:
        content: dict[str, Any] = torch.load(
            io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True
        )
        kept, version = content["identity"], content["format"]
    except FileNotFoundError:
        raise DataError(
            f"there is no checkpoint in {folder} to resume; start the run without --resume"
        ) from None
    except Exception as error:
        raise DataError(
            f"the checkpoint {path} is damaged ({type(error).__name__}); start the run anew"
        ) from None
    if version != CHECKPOINT_FORMAT:
        raise DataError(
            f"the checkpoint {path} has format {version}, this program reads {CHECKPOINT_FORMAT}; "
            "go on with the version that wrote it, or start the run anew"
        )
    for name, value in identity.items():
        if kept.get(name) != value:
            raise ConfigError(
                f"the run in {folder} was started with another {name}; resume it with what it was "
                "started with, or choose another --out"
            )
    try:
        state.networks.load_state_dict(content["networks"])
        state.averaged.load_state_dict(content["averaged"])
        for name, optimiser in state.optimisers.items():
            optimiser.load_state_dict(content["optimisers"][name])
    except (RuntimeError, KeyError, ValueError):
        raise DataError(
            f"the checkpoint {path} holds networks of another form; start the run anew"
        ) from None
    state.augmentation.value = content["augmentation"]["value"]
    state.augmentation.measure = content["augmentation"]["measure"]
    state.step, state.seconds = content["step"], content["seconds"]
    state.sums = dict(content["sums"])
