"""Kinds of model and what each can have: the one table behind ``inspect``, ``explain`` and bundles.

What follows from it: medXGAN trains against the gradients, or against a distilled surrogate where
there are none; the StyleGAN direction asks for answers only; the needs of each attribution method
stand in ``medxgan.explain.METHODS``.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["architecture", "module", "exported", "torchscript", "onnx", "function", "surrogate"]


@dataclass(frozen=True)
class ModelKind:
    """What can be had of one kind of model.

    Attributes:
        title: what such a model is called in a sentence.
        gradients: do gradients flow from its scores to the image?
        layers: can its inner layers be watched?
        stored: can a bundle hold it?
        not_stored: why not, where it cannot.
    """

    title: str
    gradients: bool
    layers: bool
    stored: bool
    not_stored: str = ""


KINDS: dict[Kind, ModelKind] = {
    "architecture": ModelKind(
        "a network of this program", gradients=True, layers=True, stored=True
    ),
    "module": ModelKind(
        "a PyTorch module",
        gradients=True,
        layers=True,
        stored=False,
        not_stored="its code is elsewhere",
    ),
    "exported": ModelKind(
        "a torch.export program",
        gradients=True,
        layers=False,
        stored=False,
        not_stored="opening one can run code, and a bundle must be safe to open",
    ),
    "torchscript": ModelKind(
        "a TorchScript model",
        gradients=True,
        layers=False,
        stored=False,
        not_stored="it is a program that can write files, and a bundle must be safe to open",
    ),
    "onnx": ModelKind("an ONNX model", gradients=False, layers=False, stored=True),
    "function": ModelKind(
        "a Python function",
        gradients=False,
        layers=False,
        stored=False,
        not_stored="its code is elsewhere",
    ),
    "surrogate": ModelKind(
        "a model with its surrogate",
        gradients=True,
        layers=True,
        stored=False,
        not_stored="the bundle holds the surrogate alone",
    ),
}

OPENED_AS_MODULE: tuple[Kind, ...] = ("architecture", "module", "surrogate")
"""Kinds that this program puts into evaluation mode itself; of others it has to find out."""
