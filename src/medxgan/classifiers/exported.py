"""What PyTorch exports: ``.pt2`` programs and TorchScript. Gradients flow; no layers show."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from medxgan.classifiers.batches import Batches, rows_in_batches
from medxgan.classifiers.exported_files import FIRST_BYTES_OF_ZIP, check_holds_tensors_only
from medxgan.classifiers.kinds import Kind
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

FILE_NAME = "model"


class ExportedModule(nn.Module):
    """An exported program, asked in batches that it can take.

    Args:
        program: the model.
        spec: what it takes and gives.
        batches: how many images it takes at once.
    """

    def __init__(self, program: nn.Module, spec: ClassifierSpec, batches: Batches) -> None:
        super().__init__()
        self.program, self.spec, self.batches = program, spec, batches

    def train(self, mode: bool = True) -> Self:
        """Leave the program in the mode that it was exported in; no other can be chosen."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ExportedModule":
        """A copy with weights of its own; PyTorch warns of its own doings while it makes one."""
        with _quiet():
            return ExportedModule(deepcopy(self.program, memo), self.spec, self.batches)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` on the model's own scale -> float32 ``[N, raw_outputs]``."""
        return rows_in_batches(self.program, images, self.spec, self.batches)


def exported_classifier(
    path: Path, spec: ClassifierSpec, *, batch_size: int | None = None
) -> TorchClassifier:
    """A ``.pt2`` file of ``torch.export.save`` as a classifier.

    Args:
        path: of the file.
        spec: what the model takes and gives.
        batch_size: images at once, at most; what the program demands comes first.

    Raises:
        ClassifierError: it cannot be opened, holds pickled objects, has not one input and one
            output, contradicts ``spec``, or is not steady (see ``TorchClassifier``).
    """
    content = _read(path)
    program = open_exported(content, f"'{path}'")
    batches = batches_of(program, f"'{path}'").at_most(batch_size)
    module = ExportedModule(program.module(), spec, batches)
    return _classifier(module, spec, path, content, "exported", batch_size)


def torchscript_classifier(
    path: Path, spec: ClassifierSpec, *, batch_size: int | None = None
) -> TorchClassifier:
    """A TorchScript file of ``torch.jit.save`` as a classifier.

    Args:
        path: of the file.
        spec: what the model takes and gives.
        batch_size: images at once, at most.

    Raises:
        ClassifierError: it cannot be opened, contradicts ``spec``, or is not steady (see
            ``TorchClassifier``).
    """
    content = _read(path)
    with _quiet(), _faults_of(f"'{path}'", "TorchScript"):
        script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    module = ExportedModule(script, spec, Batches().at_most(batch_size))
    return _classifier(module, spec, path, content, "torchscript", batch_size)


def open_exported(content: bytes, name: str) -> ExportedProgram:
    """Open a ``.pt2`` file from memory; nothing is unpickled.

    Raises:
        ClassifierError: it is damaged, of another version, or holds pickled objects.
    """
    check_holds_tensors_only(content, name)
    with _quiet(), _faults_of(name, "torch.export"):
        return torch.export.load(io.BytesIO(content))


def batches_of(program: ExportedProgram, name: str) -> Batches:
    """How many images an exported program takes at once.

    Raises:
        ClassifierError: it has not one input, a batch of images.
    """
    inputs = program.graph_signature.user_inputs
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs
    ]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ClassifierError(
            f"{name} must have one input, images [N, C, H, W], got {len(inputs)} "
            f"({', '.join(str(list(shape)) for shape in shapes)}); export a module of the images "
            "alone"
        )
    images = shapes[0][0]
    if isinstance(images, int):
        return Batches(images, images)
    limits = program.range_constraints.get(images.node.expr)
    if limits is None:
        return Batches()
    most = int(limits.upper) if limits.upper.is_Integer else None
    return Batches(max(1, int(limits.lower)), most)


def _classifier(
    module: nn.Module,
    spec: ClassifierSpec,
    path: Path,
    content: bytes,
    kind: Kind,
    batch_size: int | None,
) -> TorchClassifier:
    return TorchClassifier(
        module,
        spec,
        source=str(path),
        kind=kind,
        files={FILE_NAME: content},
        batch_size=batch_size,
    )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClassifierError(
            f"'{path}' cannot be read ({error.strerror or error}); check the path"
        ) from error
    if not content.startswith(FIRST_BYTES_OF_ZIP):
        raise ClassifierError(
            f"'{path}' is damaged or was not written by PyTorch; copy or export it again"
        )
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch from telling beside our sentence, with a traceback, what went wrong."""
    with warnings.catch_warnings(action="ignore"):
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


@contextmanager
def _faults_of(name: str, format_name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # PyTorch raises nearly everything here
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ClassifierError(
            f"{name} cannot be opened as {format_name} by PyTorch {torch.__version__} "
            f"({reason[0]}); copy it again, or export it with this version"
        ) from error
