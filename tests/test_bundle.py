"""Bundles: what is saved comes back, and damage is said in one sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import SPEC, make_bundle
from medxgan.bundle import (
    MANIFEST_NAME,
    WEIGHTS_NAME,
    load_bundle,
    read_manifest,
    record_classifier,
    save_bundle,
)
from medxgan.classifiers import TorchClassifier, build_architecture, load_classifier
from medxgan.errors import BundleError, OutputError
from medxgan.packing import pack, unpack


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_bundle, folder)
    return folder


def edit(folder, **changes):
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_networks_come_back_as_packed_and_the_classifier_exactly(copy, balanced_classifier):
    made, loaded = make_bundle(balanced_classifier(0)), load_bundle(copy)
    for name, value in unpack(pack(made.generator.state_dict())).items():
        assert torch.equal(loaded.generator.state_dict()[name], value)
    assert loaded.classifier.fingerprint == made.classifier.fingerprint
    assert loaded.manifest == made.manifest
    assert not any(p.requires_grad for p in loaded.generator.parameters())


def test_a_bundle_of_the_first_format_is_read(copy, balanced_classifier):
    made = make_bundle(balanced_classifier(0))
    tensors = load_file(copy / WEIGHTS_NAME)
    for part, network in (("generator", made.generator), ("encoder", made.encoder)):
        for name, value in network.state_dict().items():
            tensors[f"{part}.{name}"] = value.half().contiguous()
            tensors.pop(f"{part}.{name}.scale", None)
    save_file(tensors, copy / WEIGHTS_NAME)
    edit(copy, format_version=1)
    loaded = load_bundle(copy)
    for name, value in made.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[name], value.half().float())
    save_bundle(copy, loaded)
    assert read_manifest(copy).format_version == 2


def test_an_oracle_comes_back_too(balanced_classifier, tmp_path):
    oracle = balanced_classifier(1)
    made = make_bundle(balanced_classifier(0))
    manifest = made.manifest.model_copy(update={"oracle": record_classifier(oracle)})
    save_bundle(tmp_path / "b", made._replace(manifest=manifest, oracle=oracle))
    loaded = load_bundle(tmp_path / "b")
    assert loaded.oracle is not None and loaded.oracle.fingerprint == oracle.fingerprint


def test_another_classifier_is_refused(copy, other_classifier_file, classifier_file):
    with pytest.raises(BundleError, match="explains the classifier"):
        load_bundle(copy, load_classifier(str(other_classifier_file)))
    assert load_bundle(copy, load_classifier(str(classifier_file))).classifier is not None


def test_a_model_that_is_not_included_has_to_be_given(tmp_path):
    torch.manual_seed(0)
    own = TorchClassifier(build_architecture("cnn", 1, 32, 2), SPEC, None, source="mine.py:Net")
    save_bundle(tmp_path / "b", make_bundle(own))
    with pytest.raises(BundleError, match=r"came from mine\.py:Net; give it with --classifier"):
        load_bundle(tmp_path / "b")
    assert load_bundle(tmp_path / "b", own).classifier is own


def test_a_newer_format_is_said(copy):
    edit(copy, format_version=4)
    with pytest.raises(BundleError, match="has format 4, this program reads up to 3"):
        read_manifest(copy)


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"target": -1}, "target"), ({"extra": 1}, "extra"), ({"thresholds": {}}, "thresholds")],
)
def test_a_damaged_manifest_names_the_place(copy, changes, place):
    edit(copy, **changes)
    with pytest.raises(BundleError, match=f"is damaged: {place}"):
        read_manifest(copy)


def test_a_manifest_that_is_not_json_is_said(copy):
    (copy / MANIFEST_NAME).write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        read_manifest(copy)


def test_truncated_weights_are_said(copy):
    weights = copy / WEIGHTS_NAME
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BundleError, match=r"weights\.safetensors cannot be read"):
        load_bundle(copy)


def test_weights_of_another_bundle_are_said(copy):
    network = json.loads((copy / MANIFEST_NAME).read_text())["network"]
    edit(copy, network=network | {"pathology_code": 5})
    with pytest.raises(BundleError, match="weights of the generator"):
        load_bundle(copy)


def test_an_altered_classifier_is_noticed(copy):
    record = json.loads((copy / MANIFEST_NAME).read_text())["classifier"]
    edit(copy, classifier=record | {"fingerprint": "0" * 64})
    with pytest.raises(BundleError, match="other weights than"):
        load_bundle(copy)


def test_a_place_that_cannot_be_written_is_said(balanced_classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_bundle(tmp_path / "file" / "b", make_bundle(balanced_classifier(0)))
