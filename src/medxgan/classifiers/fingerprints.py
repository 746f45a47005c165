"""What identifies a classifier: its weights, the bytes of its file, or its answers."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from medxgan.classifiers.outputs import places_in_range, raw_outputs
from medxgan.classifiers.probes import WAVES
from medxgan.types import ClassifierSpec

ANSWER_DECIMALS = 5
ANSWER_TOLERANCE = 1e-3  # absolute and relative; other processors round differently
FLOAT_STEP = torch.finfo(torch.float32).eps
FLOAT_STEPS = 4
"""Probabilities that differ by so many steps are alike, however far apart their log-odds are."""


def fingerprint_of(module: nn.Module, spec: ClassifierSpec) -> str:
    """Identify a classifier: SHA-256 (hex) over its specification and all its weights.

    The same on every device; changes with any name, type, shape or bit of the state dictionary.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> layer = nn.Linear(2, 2)
    >>> before = fingerprint_of(layer, spec)
    >>> _ = layer.weight.data.add_(1)
    >>> len(before), fingerprint_of(layer, spec) == before
    (64, False)
    """
    digest = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint_of_files(files: Mapping[str, bytes], spec: ClassifierSpec) -> str:
    """SHA-256 (hex) over the specification and every byte of a model's files.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> fingerprint_of_files({"model": b"1"}, spec) == fingerprint_of_files({"model": b"2"}, spec)
    False
    """
    digest = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    for name, content in sorted(files.items()):
        digest.update(f"\n{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def fingerprint_of_answers(answers: Sequence[float], spec: ClassifierSpec) -> str:
    """SHA-256 (hex) over the specification and a model's answers, to five decimals.

    For a function, of which nothing else can be had. It changes with the model's weights as far as
    they show in these answers, on the scale of ``comparable``; ``same_answers`` forgives what
    processors round differently.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> fingerprint_of_answers([0.25], spec) == fingerprint_of_answers([0.2501], spec)
    False
    """
    numbers = comparable(torch.tensor(answers, dtype=torch.float64), spec).tolist()
    rounded = [round(number, ANSWER_DECIMALS) + 0.0 for number in numbers]  # + 0.0: no minus zero
    digest = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    digest.update(json.dumps(rounded).encode())
    return digest.hexdigest()


def comparable(answers: Tensor, spec: ClassifierSpec) -> Tensor:
    """Raw outputs on a scale where 1 is much for every model; of any shape.

    Values become shares of their range. Probabilities become log-odds, kept within what float32
    resolves: models that are nearly sure differ in these only. Logits stay as they are.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"), output="probabilities")
    >>> comparable(torch.tensor([0.0, 0.0001, 0.5]), spec)
    tensor([-15.9424,  -9.2102,   0.0000])
    """
    if spec.output == "probabilities":
        return torch.logit(answers.clamp(FLOAT_STEP, 1 - FLOAT_STEP))
    return places_in_range(answers, spec)


def same_answers(first: Sequence[float], second: Sequence[float], spec: ClassifierSpec) -> bool:
    """Are these the answers of one model, but for rounding? Never true where there are none.

    Files of earlier versions hold answers to the first eight probes; these are compared then.

    Args:
        first: raw outputs for ``probe_images``, one image after the other.
        second: likewise.
        spec: of both models.

    >>> spec = ClassifierSpec(size=8, output="value", class_names=("dose",), value_range=(0, 0.1))
    >>> first = [0.05] * 24
    >>> same_answers(first, [0.05001] * 24, spec), same_answers(first, [0.051] * 24, spec)
    (True, False)
    >>> same_answers([], [], spec)
    False
    """
    shared = min(len(first), len(second))
    earlier = WAVES * raw_outputs(spec)
    if shared == 0 or (len(first) != len(second) and shared != earlier):
        return False
    one, other = (
        torch.tensor(answers[:shared], dtype=torch.float64) for answers in (first, second)
    )
    alike = torch.isclose(
        comparable(one, spec),
        comparable(other, spec),
        rtol=ANSWER_TOLERANCE,
        atol=ANSWER_TOLERANCE,
    )
    if spec.output == "probabilities":
        alike |= (one - other).abs() <= FLOAT_STEPS * FLOAT_STEP
    return bool(alike.all())
