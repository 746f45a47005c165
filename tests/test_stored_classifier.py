"""Classifiers of every kind in a bundle: inside where they can be, else remembered."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import SPEC, make_bundle
from medxgan.bundle import MANIFEST_NAME, WEIGHTS_NAME, load_bundle, record_classifier, save_bundle
from medxgan.classifiers import KINDS, BlackBox, load_classifier
from medxgan.errors import BundleError, MissingPackageError
from medxgan.loader import load
from medxgan.stored_classifier import restore_classifier
from models import write_onnx

ONNX_SPEC = SPEC.model_copy(update={"size": 8})


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Brightness:
    """A function with one weight."""

    def __init__(self) -> None:
        self.weight = 4.0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        logit = self.weight * (images.mean((1, 2, 3)) - 0.5)
        return np.stack([-logit, logit], axis=1)


def save_with(folder, classifier):
    save_bundle(folder, make_bundle(classifier))
    return folder


def test_an_onnx_model_is_inside(tmp_path, model_files, images):
    classifier = load_classifier(model_files.onnx, spec=SPEC, batch_size=2)
    folder = save_with(tmp_path / "b", classifier)
    restored = load_bundle(folder).classifier
    assert torch.equal(restored(images), classifier(images))
    assert restored.fingerprint == classifier.fingerprint
    assert (restored.kind, restored.batch_size) == ("onnx", 2)
    assert load_bundle(folder, classifier).classifier is classifier
    again = save_with(tmp_path / "again", restored)
    assert load_bundle(again).classifier.fingerprint == classifier.fingerprint


def test_weights_beside_an_onnx_file_are_inside_too(tmp_path):
    path = write_onnx(tmp_path / "model.onnx", external=True)
    classifier = load_classifier(path, spec=ONNX_SPEC)
    folder = save_with(tmp_path / "b", classifier)
    for file in (path, tmp_path / "weights.bin"):
        file.unlink()
    images = torch.zeros(1, 1, 8, 8)
    # The networks of this bundle are for other images: only its classifier is restored.
    record, tensors = record_classifier(classifier), load_file(folder / WEIGHTS_NAME)
    assert {name for name in tensors if name.startswith("classifier.")} == {
        "classifier.file:model.onnx",
        "classifier.file:weights.bin",
    }
    restored = restore_classifier(record, tensors, "classifier", folder)
    assert torch.equal(restored(images), classifier(images))


def test_an_onnx_oracle_is_inside(tmp_path, model_files, balanced_classifier):
    oracle = load_classifier(model_files.onnx, spec=SPEC)
    made = make_bundle(balanced_classifier(1))
    manifest = made.manifest.model_copy(update={"oracle": record_classifier(oracle)})
    save_bundle(tmp_path / "b", made._replace(manifest=manifest, oracle=oracle))
    loaded = load_bundle(tmp_path / "b")
    assert loaded.oracle is not None and loaded.oracle.fingerprint == oracle.fingerprint


def test_without_onnxruntime_the_extra_is_named(tmp_path, model_files, monkeypatch):
    folder = save_with(tmp_path / "b", load_classifier(model_files.onnx, spec=SPEC))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'medxgan\[onnx\]'"):
        load_bundle(folder)


@pytest.mark.parametrize("damage", ["altered", "cut", "missing"])
def test_a_damaged_onnx_model_is_noticed(tmp_path, model_files, damage):
    folder = save_with(tmp_path / "b", load_classifier(model_files.onnx, spec=SPEC))
    tensors, name = load_file(folder / WEIGHTS_NAME), "classifier.file:model.onnx"
    content = tensors.pop(name)
    if damage == "altered":
        tensors[name] = content.clone()
        tensors[name][-1] ^= 1
    if damage == "cut":
        tensors[name] = content[: len(content) // 2]
    save_file(tensors, folder / WEIGHTS_NAME)
    with pytest.raises(BundleError, match="copy the bundle"):
        load_bundle(folder)


@pytest.mark.parametrize("kind", ["exported", "torchscript"])
def test_other_files_are_remembered_and_asked_for(tmp_path, model_files, images, kind):
    path = getattr(model_files, kind)
    classifier = load_classifier(path, spec=SPEC)
    folder = save_with(tmp_path / "b", classifier)
    assert not KINDS[kind].stored
    with pytest.raises(BundleError, match=rf"came from {path}; give it with --classifier"):
        load_bundle(folder)
    given = load_classifier(path, spec=SPEC)
    assert load(folder, classifier=given, device="cpu").classifier is given


def test_a_function_is_remembered_by_its_answers(tmp_path):
    model = Brightness()
    folder = save_with(tmp_path / "b", BlackBox(model, SPEC, source="bright.py:predict"))
    with pytest.raises(BundleError, match=r"came from bright\.py:predict; give it with"):
        load_bundle(folder)
    assert load_bundle(folder, BlackBox(model, SPEC)).classifier.kind == "function"
    model.weight += 1e-4  # as another processor might round
    assert load_bundle(folder, BlackBox(model, SPEC)).classifier.kind == "function"
    model.weight += 0.1
    with pytest.raises(BundleError, match="explains the classifier"):
        load_bundle(folder, BlackBox(model, SPEC))


def test_a_function_of_another_specification_is_refused(tmp_path):
    folder = save_with(tmp_path / "b", BlackBox(Brightness(), SPEC))
    other = SPEC.model_copy(update={"class_names": ("no", "yes")})
    with pytest.raises(BundleError, match="explains the classifier"):
        load_bundle(folder, BlackBox(Brightness(), other))


def test_a_bundle_of_a_program_before_kinds_is_read(tiny_bundle, tmp_path, balanced_classifier):
    folder = save_with(tmp_path / "b", balanced_classifier(0))
    content = json.loads((folder / MANIFEST_NAME).read_text())
    for key in ("kind", "batch_size", "answers"):
        del content["classifier"][key]
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    assert load_bundle(folder).classifier.kind == "architecture"


def test_a_record_of_a_kind_that_is_never_stored_is_refused(tmp_path, model_files):
    folder = save_with(tmp_path / "b", load_classifier(model_files.onnx, spec=SPEC))
    content = json.loads((folder / MANIFEST_NAME).read_text())
    content["classifier"]["kind"] = "exported"
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="of the kind 'exported', which no bundle may hold"):
        load_bundle(folder)
