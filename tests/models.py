"""Small models in every kind of file, sound ones and others."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from medxgan.types import ClassifierSpec

SIZE = 8
PIXELS = SIZE * SIZE
SPEC = ClassifierSpec(size=SIZE, class_names=("healthy", "tumour"))
WEIGHT = np.linspace(-0.5, 0.5, PIXELS * 2, dtype=np.float32).reshape(2, PIXELS)
BIAS = np.array([0.25, -0.25], np.float32)


def linear_rows(images: np.ndarray) -> np.ndarray:
    """What the linear models below return, with nothing added."""
    return images.reshape(len(images), -1) @ WEIGHT.T + BIAS


def linear_module() -> nn.Module:
    module = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 2))
    with torch.no_grad():
        module[1].weight.copy_(torch.from_numpy(WEIGHT))
        module[1].bias.copy_(torch.from_numpy(BIAS))
    return module


# What an ONNX model does between its last layer, "linear", and its output, "scores".
ENDINGS = {
    "sound": [helper.make_node("Identity", ["linear"], ["scores"])],
    "random": [
        helper.make_node("RandomNormalLike", ["linear"], ["noise"]),
        helper.make_node("Add", ["linear", "noise"], ["scores"]),
    ],
    "leaking": [
        helper.make_node("ReduceMean", ["linear"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["linear", "mean"], ["scores"]),
    ],
    "not a number": [
        helper.make_node("Neg", ["pixels_flat"], ["dark"]),
        helper.make_node("Log", ["dark"], ["undefined"]),
        helper.make_node("Gemm", ["undefined", "weight", "bias"], ["scores"], transB=1),
    ],
    "unknown operator": [helper.make_node("Psychic", ["linear"], ["scores"], domain="elsewhere")],
}


def write_onnx(
    path: Path,
    ending: str = "sound",
    *,
    batch: int | str = "n",
    channels: int = 1,
    input_name: str = "pixels",
    element: int = TensorProto.FLOAT,
    flatten_to: int = 0,
    opset: int = 17,
    ir_version: int = 8,
    second_input: bool = False,
    second_output: int = 0,
    external: bool = False,
    side: int = SIZE,
) -> Path:
    """A linear model of grey images of ``side`` pixels, or one that is wrong in one way.

    Of another side than 8, all its weights are alike. ``flatten_to`` is the batch that the model
    demands inside, whatever its input says; 0 is any.
    """
    nodes = [helper.make_node("Reshape", [input_name, "shape"], ["flat"])]
    kind = np.float32 if element == TensorProto.FLOAT else np.float64
    nodes += [
        helper.make_node("Identity", ["flat"], ["pixels_flat"]),
        helper.make_node("Gemm", ["pixels_flat", "weight", "bias"], ["linear"], transB=1),
        *ENDINGS[ending],
    ]
    inputs = [
        helper.make_tensor_value_info(input_name, element, [batch, channels, side, side]),
        *[helper.make_tensor_value_info("age", element, [batch])] * second_input,
    ]
    outputs = [helper.make_tensor_value_info("scores", element, [batch, 2])]
    if second_output:
        features = "linear" if second_output == 2 else "flat"
        nodes.append(helper.make_node("Identity", [features], ["features"]))
        outputs.insert(
            0, helper.make_tensor_value_info("features", element, [batch, second_output])
        )
    weight = WEIGHT if side == SIZE else _even_weight(side)
    weights = [
        numpy_helper.from_array(np.array([flatten_to or -1, side * side], np.int64), "shape"),
        numpy_helper.from_array(weight.astype(kind), "weight"),
        numpy_helper.from_array(BIAS.astype(kind), "bias"),
    ]
    opsets = [helper.make_opsetid("", opset)]
    if ending == "unknown operator":
        opsets.append(helper.make_opsetid("elsewhere", 1))
    graph = helper.make_graph(nodes, "linear", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    onnx.save(
        model,
        path,
        save_as_external_data=external,
        location="weights.bin",
        size_threshold=100,  # as exporters do: shapes stay inside
    )
    return path


def _even_weight(side: int) -> np.ndarray:
    """Ten times the mean of the image, for and against."""
    return np.array([[-10.0], [10.0]], np.float32).repeat(side * side, axis=1) / side**2


class ModelFiles(NamedTuple):
    """One model in every kind of file."""

    onnx: Path
    exported: Path
    torchscript: Path


def write_files(module: nn.Module, images: torch.Tensor, folder: Path) -> ModelFiles:
    """Export a module, for any number of images like these."""
    files = ModelFiles(folder / "model.onnx", folder / "model.pt2", folder / "model.pt")
    module.eval()
    with warnings.catch_warnings(action="ignore"):  # two of these ways are going out of fashion
        torch.onnx.export(
            module,
            (images,),
            files.onnx,
            input_names=["pixels"],
            dynamic_axes={"pixels": {0: "n"}},
            dynamo=False,
        )
        torch.jit.trace(module, images).save(files.torchscript)
        torch.export.save(export(module, images), files.exported)
    return files


def export(module: nn.Module, images: torch.Tensor, least: int = 1) -> torch.export.ExportedProgram:
    """A program of torch.export for at least so many images; ``least`` 0 fixes their number."""
    dimension = {0: torch.export.Dim("n", min=least)} if least else None
    with warnings.catch_warnings(action="ignore"):
        return torch.export.export(module, (images,), dynamic_shapes=(dimension,))
