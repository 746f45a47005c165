"""Directions on disk: found by name, refused where they do not belong, damaged ones named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import medxgan as package
from directed_world import CPU
from medxgan.bundle import load_bundle, save_bundle
from medxgan.classifiers import load_classifier
from medxgan.direction_file import generator_fingerprint, load_direction, save_direction
from medxgan.direction_folder import check_free, check_name, find_direction, fitted_directions
from medxgan.errors import BundleError, ConfigError, OutputError
from medxgan.fitting_direction import fit_direction
from test_stylegan_bundle import make_style_bundle

CODE = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory, classifier_file):
    """A bundle with one direction, ``first``."""
    path = tmp_path_factory.mktemp("style") / "tiny"
    save_bundle(path, make_style_bundle())
    save_direction(path / "directions" / "first", fit(path, classifier_file))
    return path


@pytest.fixture
def copy(folder, tmp_path):
    """The direction elsewhere, to be damaged."""
    target = tmp_path / "copy"
    target.mkdir()
    for file in (folder / "directions" / "first").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def fit(path, classifier, target=1, name="first"):
    bundle = load_bundle(path)
    model = load_classifier(classifier)
    return fit_direction(
        bundle, generator_fingerprint(path), model, target, name=name, samples=100, device=CPU
    )


def read(path, folder, classifier=None):
    return load_direction(path, generator_fingerprint(folder), CODE, classifier)


def test_a_direction_comes_back_as_it_was(folder, classifier_file):
    made, found = fit(folder, classifier_file), read(folder / "directions" / "first", folder)
    assert found.manifest == made.manifest
    assert torch.equal(found.direction, made.direction)
    assert torch.equal(found.weights, made.weights)
    assert found.classifier.fingerprint == made.classifier.fingerprint


def test_the_only_one_is_taken_and_several_must_be_chosen_from(folder, tmp_path):
    assert fitted_directions(folder) == ["first"]
    assert find_direction(folder, None) == folder / "directions" / "first"
    for name in ("lung", "heart"):
        (tmp_path / "directions" / name).mkdir(parents=True)
        (tmp_path / "directions" / name / "direction.json").write_text("{}")
    with pytest.raises(BundleError, match="choose one with --direction: heart, lung"):
        find_direction(tmp_path, None)
    with pytest.raises(BundleError, match=r"no direction 'hart'.*did you mean 'heart'"):
        find_direction(tmp_path, "hart")
    assert find_direction(tmp_path, "lung").name == "lung"


def test_a_folder_elsewhere_will_do(folder, copy):
    assert find_direction(folder, str(copy)) == copy
    explainer = package.load(folder, direction=copy, device="cpu")
    assert explainer.bundle.name == "tiny, direction first"


def test_where_there_is_none_the_command_is_named(tmp_path):
    with pytest.raises(BundleError, match="fit a direction first: medxgan fit-direction"):
        find_direction(tmp_path, None)
    with pytest.raises(BundleError, match="has no direction yet, and 'x' is no folder of one"):
        find_direction(tmp_path, "x")


def test_another_model_is_refused(folder, other_classifier_file):
    other = load_classifier(other_classifier_file)
    with pytest.raises(BundleError, match=r"explains the model .* give that model, or fit a"):
        package.load(folder, classifier=other, device="cpu")


def test_the_same_model_is_taken(folder, classifier_file):
    model = load_classifier(classifier_file)
    assert package.load(folder, classifier=model, device="cpu").classifier is model


def test_another_generator_is_refused(folder, tmp_path):
    save_bundle(tmp_path, make_style_bundle(base_width=12))
    with pytest.raises(BundleError, match=r"fitted in another generator .* fit it anew"):
        package.load(tmp_path, direction=folder / "directions" / "first", device="cpu")


def test_a_bundle_of_another_method_has_no_directions(tiny_bundle):
    with pytest.raises(ConfigError, match="has no directions; leave out the direction"):
        package.load(tiny_bundle, direction="first", device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 9}, "format 9, this program reads up to 1; update medxgan"),
        ({"target": 5}, "damaged at the file .*target must be below 2.*fit the direction anew"),
        ({"kind": "cubic"}, "damaged at kind .*fit the direction anew"),
        ({"secret": 1}, "damaged at secret .*fit the direction anew"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(folder, copy, change, words):
    path = copy / "direction.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=words):
        read(copy, folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_none_is_refused(folder, copy, content):
    (copy / "direction.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"direction.json .*fit the direction anew"):
        read(copy, folder)


def test_missing_files_are_named(folder, copy):
    (copy / "direction.safetensors").unlink()
    with pytest.raises(BundleError, match="safetensors cannot be read; fit the direction anew"):
        read(copy, folder)
    (copy / "direction.json").unlink()
    with pytest.raises(BundleError, match=r"direction.json cannot be read"):
        read(copy, folder)


@pytest.mark.parametrize("damage", ["cut", "missing", "short", "not finite"])
def test_tensors_that_are_wrong_are_refused(folder, copy, damage):
    path = copy / "direction.safetensors"
    tensors = load_file(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        vector = {"short": torch.ones(3), "not finite": torch.full((CODE,), torch.nan)}
        del tensors["direction"]
        added = {"direction": vector[damage]} if damage in vector else {}
        save_file(tensors | added, path)
    words = (
        "cannot be read" if damage == "cut" else "must hold 12 finite numbers called 'direction'"
    )
    with pytest.raises(BundleError, match=f"{words}; fit the direction anew"):
        read(copy, folder)


def test_nothing_is_written_over_another_direction(folder, classifier_file):
    model = load_classifier(classifier_file)
    check_free(folder / "directions" / "first", model, 1)
    check_free(folder / "directions" / "second", model, 0)
    with pytest.raises(ConfigError, match=r"holds a direction for 'lesion' .*--name"):
        check_free(folder / "directions" / "first", model, 0)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "ä"])
def test_names_are_those_that_a_folder_can_have(name):
    with pytest.raises(ConfigError, match="a direction's name takes letters"):
        check_name(name)
    assert check_name("chest-net_2.onnx") == "chest-net_2.onnx"


def test_where_nothing_can_be_written_it_is_said(folder, classifier_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_direction(tmp_path / "file" / "x", fit(folder, classifier_file))
