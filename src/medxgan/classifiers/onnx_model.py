"""ONNX models: answers by onnxruntime on the CPU, no gradients, no layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medxgan.classifiers.batches import Batches
from medxgan.classifiers.black_box import FunctionModule
from medxgan.classifiers.onnx_file import MODEL_NAME, opset_of
from medxgan.classifiers.outputs import raw_outputs
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, MissingPackageError
from medxgan.image_sizes import SIZES, what_to_write
from medxgan.types import ClassifierSpec

FLOATS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
SILENT = 4  # what is wrong is said in our own sentence, not on standard error
FAULTS = (
    (r"[Oo]pset (\d+) is under development.*till opset (\d+)", "ONNX opset {} and reads up to {}"),
    (r"IR version: (\d+), max supported IR version: (\d+)", "ONNX format {} and reads up to {}"),
)

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """An input or output of an ONNX model; sizes that are free are None."""

    name: str
    type: str
    shape: Shape

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"'{self.name}' [{sizes}]"


@dataclass(frozen=True)
class OnnxModel:
    """An opened ONNX model: its onnxruntime session, its ports and its opset."""

    session: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int


def open_onnx(files: Mapping[str, bytes], name: str) -> OnnxModel:
    """Open an ONNX model from memory.

    Args:
        files: as ``read_onnx`` gives them.
        name: what it is called in an error.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        ClassifierError: onnxruntime cannot open it: damaged, too new, or unknown operators.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"{name} is an ONNX model and needs onnxruntime; pip install 'medxgan[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait actively would slow PyTorch down, whose turn it is in between.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    weights = {key: content for key, content in files.items() if key != MODEL_NAME}
    if weights:
        options.add_external_initializers_from_files_in_memory(
            list(weights), list(weights.values()), [len(content) for content in weights.values()]
        )
    try:
        session = onnxruntime.InferenceSession(
            files[MODEL_NAME], options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ClassifierError(_why_not_opened(str(error), name, onnxruntime.__version__)) from error
    return OnnxModel(
        session,
        tuple(_port(port) for port in session.get_inputs()),
        tuple(_port(port) for port in session.get_outputs()),
        opset_of(files[MODEL_NAME]),
    )


def onnx_classifier(
    files: Mapping[str, bytes],
    spec: ClassifierSpec,
    *,
    name: str,
    batch_size: int | None = None,
    measured: Mapping[str, Any] | None = None,
) -> TorchClassifier:
    """An ONNX model as a classifier.

    Its one input and the output that fits the specification are found by themselves. A model that
    was exported for one batch size gets batches of that size, filled up and split.

    Args:
        files: as ``read_onnx`` gives them.
        spec: what it takes and gives.
        name: where it comes from.
        batch_size: images at once, at most; what the model demands comes first.
        measured: figures of merit and origin.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        ClassifierError: it cannot be opened, has several inputs, takes other images or gives other
            outputs than ``spec`` says, or is not steady (see ``TorchClassifier``).
    """
    model = open_onnx(files, f"'{name}'")
    port = _image_port(model, spec, name)
    batches = Batches() if port.shape[0] is None else Batches(port.shape[0], port.shape[0])
    output = _score_port(model, spec, name)

    def answer(images: NDArray[np.float32]) -> object:
        given = {port.name: images.astype(FLOATS[port.type], copy=False)}
        (scores,) = model.session.run([output.name], given)
        return scores

    module = FunctionModule(answer, spec, batches.at_most(batch_size), f"'{name}'")
    return TorchClassifier(
        module,
        spec,
        source=name,
        measured=measured,
        kind="onnx",
        files=files,
        batch_size=batch_size,
    )


def _why_not_opened(message: str, name: str, version: str) -> str:
    for pattern, words in FAULTS:
        found = re.search(pattern, message, re.DOTALL)
        if found:
            needs, _, reads = words.partition(" and ")
            return (
                f"{name} uses {needs.format(found[1])}, and the installed onnxruntime {version} "
                f"{reads.format(found[2])}; update onnxruntime, or export the model with a lower "
                "opset_version"
            )
    reason = " ".join(message.split())
    return f"{name} cannot be opened by onnxruntime {version} ({reason}); export it again"


def _port(port: Any) -> Port:
    sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in port.shape)
    return Port(port.name, port.type, sizes)


def _image_port(model: OnnxModel, spec: ClassifierSpec, name: str) -> Port:
    if len(model.inputs) != 1:
        raise ClassifierError(
            f"'{name}' must have one input, the images, got {len(model.inputs)} "
            f"({_list_of(model.inputs)}); wrap it in a Python function of the images alone"
        )
    port = model.inputs[0]
    if port.type not in FLOATS:
        raise ClassifierError(
            f"'{name}' must take floating-point images, got the input '{port.name}' of type "
            f"{port.type}; wrap it in a Python function"
        )
    wanted = (spec.channels, spec.taken_size, spec.taken_size)
    if len(port.shape) != 4 or any(
        size not in (None, asked) for size, asked in zip(port.shape[1:], wanted, strict=True)
    ):
        raise ClassifierError(
            f"'{name}' takes images {port}, and its specification says [any, "
            f"{', '.join(map(str, wanted))}]; {_advice(port, spec)}"
        )
    return port


def fixed_side(port: Port) -> int | None:
    """Height and width that an input was exported for, pixels; None where it takes several.

    >>> fixed_side(Port("x", "tensor(float)", (None, 1, 224, 224)))
    224
    """
    if len(port.shape) != 4 or port.shape[2] != port.shape[3]:
        return None
    return port.shape[2]


def _advice(port: Port, spec: ClassifierSpec) -> str:
    side = fixed_side(port)
    if side is None or port.shape[1] not in (None, spec.channels):
        return "correct channels and size, or export the model for images [N, C, H, W]"
    drawn = spec.size if spec.size in SIZES else SIZES
    if side == drawn:
        return "leave out input_size in the specification"
    return f"set {what_to_write(side, drawn)} in the specification"


def _score_port(model: OnnxModel, spec: ClassifierSpec, name: str) -> Port:
    columns = raw_outputs(spec)
    fitting = [
        port
        for port in model.outputs
        if port.type in FLOATS
        and (port.shape[1:] in ((columns,), (None,)) or (columns == 1 and len(port.shape) == 1))
    ]
    if len(model.outputs) == 1:
        return model.outputs[0]
    if len(fitting) != 1:
        raise ClassifierError(
            f"'{name}' has {len(model.outputs)} outputs ({_list_of(model.outputs)}), of which "
            f"{len(fitting)} fit {columns} score(s) an image; export it with the scores alone"
        )
    return fitting[0]


def _list_of(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports)) or "none"
