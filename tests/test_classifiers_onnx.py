"""ONNX models: found out by themselves, split into batches, or refused in one sentence."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from medxgan.classifiers import BlackBox, load_classifier
from medxgan.classifiers.onnx_file import MODEL_NAME, opset_of, read_onnx
from medxgan.classifiers.onnx_model import open_onnx
from medxgan.errors import ClassifierError, MissingPackageError
from models import SPEC, linear_rows, write_onnx


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def expected(images) -> torch.Tensor:
    return BlackBox(linear_rows, SPEC).log_odds(images, 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input_name": "an/unusual name"},
        {"batch": 1},
        {"batch": 2},
        {"batch": 4, "flatten_to": 4},
        {"batch": 64},
        {"element": onnx.TensorProto.DOUBLE},
        {"second_output": 64},
        {"opset": 13},
        {"external": True},
    ],
    ids=str,
)
def test_an_onnx_model_answers_whatever_it_was_exported_for(path, images, expected, options):
    classifier = load_classifier(write_onnx(path, **options), spec=SPEC)
    torch.testing.assert_close(classifier.log_odds(images, 1), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(classifier.log_odds(images[:1], 1), expected[:1])
    assert classifier(images[:0]).shape == (0, 2)
    assert (classifier.kind, classifier.differentiable) == ("onnx", False)
    assert classifier.source == str(path)


def test_a_batch_size_is_respected(path, images, expected):
    """This model takes one image at a time, whatever its input says."""
    write_onnx(path, flatten_to=1)
    with pytest.raises(ClassifierError, match=r"takes one image at a time .* batch_size = 1"):
        load_classifier(path, spec=SPEC)
    classifier = load_classifier(path, spec=SPEC, batch_size=1)
    torch.testing.assert_close(classifier.log_odds(images, 1), expected)


def test_a_description_says_all_that_is_needed(path, tmp_path, images, expected):
    write_onnx(path, flatten_to=1)
    described = tmp_path / "model.toml"
    described.write_text(
        'source = "model.onnx"\nbatch_size = 1\n'
        '[spec]\nsize = 8\nclass_names = ["healthy", "tumour"]\n'
    )
    classifier = load_classifier(described)
    torch.testing.assert_close(classifier.log_odds(images, 1), expected)
    assert classifier.fingerprint == load_classifier(path, spec=SPEC, batch_size=1).fingerprint


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ending": "random"}, "answers differently when asked twice"),
        ({"ending": "leaking"}, "statistics of the batch leak in"),
        ({"ending": "leaking", "batch": 4}, "statistics of the batch leak in"),
        ({"ending": "not a number"}, "returned NaN or infinite scores"),
        ({"ending": "unknown operator"}, r"cannot be opened by onnxruntime [\d.]+ \(.*Psychic"),
        ({"opset": 99}, r"uses ONNX opset 99, .* onnxruntime [\d.]+ reads up to \d+; update"),
        ({"ir_version": 99}, r"uses ONNX format 99, .* reads up to \d+; update onnxruntime"),
        ({"channels": 3}, r"takes images 'pixels' \[any, 3, 8, 8\].* says \[any, 1, 8, 8\]"),
        ({"second_input": True}, r"must have one input, .* got 2 \('pixels' \[.*'age' \[any\]"),
        ({"second_output": 2}, "has 2 outputs .* of which 2 fit 2 score"),
        ({"element": onnx.TensorProto.UINT8}, "must take floating-point images"),
    ],
    ids=str,
)
def test_a_model_that_is_of_no_use_is_refused(path, options, sentence, capfd):
    if options.get("element") == onnx.TensorProto.UINT8:
        write_bytes_model(path)
    else:
        write_onnx(path, **options)
    with pytest.raises(ClassifierError, match=sentence) as refused:
        load_classifier(path, spec=SPEC)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def write_bytes_model(path: Path) -> None:
    """A model of images as bytes, as cameras give them."""
    make, shape = onnx.helper.make_tensor_value_info, ["n", 1, 8, 8]
    nodes = [
        onnx.helper.make_node("Cast", ["pixels"], ["floats"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[2, 3], keepdims=0),
        onnx.helper.make_node("Concat", ["mean", "mean"], ["scores"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "camera",
        [make("pixels", onnx.TensorProto.UINT8, shape)],
        [make("scores", onnx.TensorProto.FLOAT, ["n", 2])],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def test_a_gradient_is_an_error(path, images):
    classifier = load_classifier(write_onnx(path), spec=SPEC)
    leaf = images.requires_grad_()
    with pytest.raises(ClassifierError, match=r"model\.onnx' gives no gradients"):
        torch.autograd.grad(classifier(leaf).sum(), leaf)


def test_a_specification_is_asked_for(path):
    with pytest.raises(ClassifierError, match=r"model\.onnx' needs a specification .*, got none"):
        load_classifier(write_onnx(path))
    with pytest.raises(ClassifierError, match="brings its own weights"):
        load_classifier(path, spec=SPEC, weights="weights.pt")


def test_other_scores_than_the_specification_says_are_refused(path):
    three = SPEC.model_copy(update={"class_names": ("a", "b", "c")})
    with pytest.raises(ClassifierError, match=r"must return \[2, 3\] for 2 images, got \[2, 2\]"):
        load_classifier(write_onnx(path), spec=three)


def test_without_onnxruntime_the_extra_is_named(path, monkeypatch):
    write_onnx(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'medxgan\[onnx\]'"):
        load_classifier(path, spec=SPEC)


# Its files


def test_a_mutation_of_one_weight_changes_the_fingerprint(path):
    first = load_classifier(write_onnx(path), spec=SPEC)
    model = onnx.load(path)
    weight = onnx.numpy_helper.to_array(model.graph.initializer[1]).copy()
    weight[0, 0] += 1e-6
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(weight, "weight"))
    onnx.save(model, path)
    assert load_classifier(path, spec=SPEC).fingerprint != first.fingerprint
    assert load_classifier(write_onnx(path), spec=SPEC).fingerprint == first.fingerprint


def test_a_mutation_of_weights_beside_the_file_changes_the_fingerprint(path):
    write_onnx(path, external=True)
    first = load_classifier(path, spec=SPEC)
    assert set(first.files) == {MODEL_NAME, "weights.bin"}
    beside = path.parent / "weights.bin"
    weights = np.frombuffer(beside.read_bytes(), np.float32).copy()
    weights[20] += 1e-3
    beside.write_bytes(weights.tobytes())
    assert load_classifier(path, spec=SPEC).fingerprint != first.fingerprint


def test_weights_that_do_not_lie_beside_the_file_are_missed(path):
    write_onnx(path, external=True)
    (path.parent / "weights.bin").unlink()
    with pytest.raises(ClassifierError, match=r"weights\.bin' cannot be read \(No such file"):
        load_classifier(path, spec=SPEC)


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd"])
def test_weights_outside_its_folder_are_not_read(path, place):
    write_onnx(path, external=True)
    content = path.read_bytes()
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = place if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    assert path.read_bytes() != content
    with pytest.raises(ClassifierError, match=f"outside its folder, in '{place}'"):
        load_classifier(path, spec=SPEC)


@pytest.mark.parametrize("kept", [0, 3, 50, -1, -40])
def test_a_truncated_file_is_refused(path, kept, capfd):
    content = write_onnx(path).read_bytes()
    path.write_bytes(content[:kept] if kept else b"")
    with pytest.raises(ClassifierError, match=r"is not a readable ONNX file|cannot be opened by"):
        load_classifier(path, spec=SPEC)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", b"\x00" * 100, b"{}", b"\xff" * 40])
def test_a_file_that_is_not_onnx_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match="is not a readable ONNX file"):
        load_classifier(path, spec=SPEC)


def test_a_missing_file_is_refused(path):
    with pytest.raises(ClassifierError, match=r"file '.*model\.onnx' does not exist"):
        load_classifier(path, spec=SPEC)
    with pytest.raises(ClassifierError, match="cannot be read"):
        read_onnx(path)


def test_ports_and_opset_are_read(path):
    files = read_onnx(write_onnx(path, opset=15, batch=4))
    model = open_onnx(files, "it")
    assert [str(port) for port in (*model.inputs, *model.outputs)] == [
        "'pixels' [4, 1, 8, 8]",
        "'scores' [4, 2]",
    ]
    assert model.opset == opset_of(files[MODEL_NAME]) == 15
    assert opset_of(b"") == 0
