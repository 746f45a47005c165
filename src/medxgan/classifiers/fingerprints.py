"""What identifies a classifier: its weights, the bytes of its file, or its answers."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from medxgan.types import ClassifierSpec

ANSWER_DECIMALS = 5
ANSWER_TOLERANCE = 1e-3  # absolute and relative; other processors round differently


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
    they show in these answers; ``same_answers`` forgives what processors round differently.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> fingerprint_of_answers([0.25], spec) == fingerprint_of_answers([0.2501], spec)
    False
    """
    rounded = [round(answer, ANSWER_DECIMALS) + 0.0 for answer in answers]  # + 0.0: no minus zero
    digest = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    digest.update(json.dumps(rounded).encode())
    return digest.hexdigest()


def same_answers(first: Sequence[float], second: Sequence[float]) -> bool:
    """Are these the answers of one model, but for rounding? Never true where there are none.

    >>> same_answers([0.5, 2.0], [0.5001, 2.0]), same_answers([0.5], [0.6]), same_answers([], [])
    (True, False, False)
    """
    if not first or len(first) != len(second):
        return False
    return torch.allclose(
        torch.tensor(first), torch.tensor(second), rtol=ANSWER_TOLERANCE, atol=ANSWER_TOLERANCE
    )
