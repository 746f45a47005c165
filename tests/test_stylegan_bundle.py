"""Bundles of style-based generators, and the commands that make and meet them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import medxgan as package
from medxgan.bundle import load_bundle, read_manifest, save_bundle
from medxgan.config import StyleNetworkSettings
from medxgan.errors import BundleError
from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_statistics import measure_codes
from medxgan.style_bundle import ImageSpec, StyleBundle, StyleManifest, StyleThresholds

TINY = ("--method", "stylegan", "--preset", "stylegan-tiny", "--set", "run.images=32", "--quiet")


def make_style_bundle(channels: int = 1, **settings: object) -> StyleBundle:
    """Untrained networks for 32 pixels."""
    network = StyleNetworkSettings(code=12, mapping_layers=2, base_width=8, maximum_width=16)
    network = network.model_copy(update=settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = StyleGenerator(32, channels, network).eval()
        encoder = StyleEncoder(32, channels, network).eval()
    manifest = StyleManifest(
        name="tiny",
        images=ImageSpec.model_validate({"size": 32, "channels": channels}),
        network=network,
        thresholds=StyleThresholds(
            reconstruction_error=0.5, code_distance=2.0, images=16, quantile=0.99
        ),
        training={"data": "phantoms.npz", "training_images": 128, "images_shown": 0, "seed": 0},
        metrics={"held_out": {"n": 16, "reconstruction_mse": 0.25}},
        data_licence="none needed",
        generator_version="0.0.0",
    )
    return StyleBundle(manifest, generator, encoder, measure_codes(generator, 200))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    save_bundle(path, make_style_bundle())
    return path


# Saved and loaded.


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("more", [{}, {"encoder_space": "w+"}, {"noise": True}])
def test_a_bundle_comes_back_as_it_was_but_for_rounding(tmp_path, channels, more):
    made = make_style_bundle(channels, **more)
    save_bundle(tmp_path / "b", made)
    loaded = load_bundle(tmp_path / "b")
    assert isinstance(loaded, StyleBundle)
    assert loaded.manifest == made.manifest
    assert torch.equal(loaded.statistics.mean, made.statistics.mean)
    assert torch.equal(loaded.statistics.covariance, made.statistics.covariance)
    images = torch.rand(3, channels, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        codes, known = loaded.encoder(images), made.encoder(images)
        torch.testing.assert_close(codes, known, rtol=0.05, atol=0.05)
        drawn, wanted = loaded.generator(known), made.generator(known)
    assert (drawn - wanted).abs().mean() < 0.02
    assert not any(p.requires_grad for p in loaded.generator.parameters())
    assert not loaded.generator.training


def test_it_holds_no_classifier(folder):
    assert not hasattr(load_bundle(folder), "classifier")
    content = json.loads((folder / "bundle.json").read_text())
    assert content["method"] == "stylegan" and "classifier" not in content
    assert content["format_version"] == 3
    parts = {name.partition(".")[0] for name in load_file(folder / "weights.safetensors")}
    assert parts == {"generator", "encoder", "statistics"}


def test_statistics_are_stored_exactly(folder):
    tensors = load_file(folder / "weights.safetensors")
    assert tensors["statistics.covariance"].dtype == torch.float32
    assert tensors["generator.mapping.layers.0.weight"].dtype == torch.int8


def test_a_newer_format_is_said(folder):
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace('"format_version": 3', '"format_version": 4'))
    with pytest.raises(BundleError, match="has format 4, this program reads up to 3"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("images", {"size": 48, "channels": 1}, "images.size"),
        ("images", {"size": 32, "channels": 2}, "images.channels"),
        ("thresholds", None, "thresholds"),
        ("network", {"code": 0}, "network.code"),
        ("classifier", {}, "classifier"),
    ],
)
def test_a_damaged_manifest_is_said(folder, name, value, place):
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {name: value}))
    with pytest.raises(BundleError, match=f"is damaged: {place}"):
        load_bundle(folder)


def change_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    for name, value in changes.items():
        key = name.replace("__", ".")
        tensors.pop(key, None)
        if value is not None:
            tensors[key] = value
    save_file(tensors, path)


@pytest.mark.parametrize("part", ["generator", "encoder"])
def test_weights_that_do_not_fit_are_said(folder, part):
    name = {"generator": "generator__start", "encoder": "encoder__common__bias"}[part]
    change_tensors(folder, **{name: None})
    with pytest.raises(BundleError, match=f"weights of the {part} in .* do not fit"):
        load_bundle(folder)


@pytest.mark.parametrize("value", [None, torch.zeros(11)])
def test_statistics_that_do_not_fit_are_said(folder, value):
    change_tensors(folder, statistics__mean=value)
    with pytest.raises(BundleError, match=r"statistics of w in .* do not fit its 12 dimensions"):
        load_bundle(folder)


def test_truncated_weights_are_said(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(folder)


# Commands.


def test_training_needs_no_classifier_and_no_labels(medxgan, tmp_path, phantom_archive):
    data = tmp_path / "images.npz"
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        labels = np.full(len(arrays["images"]), -1)
        np.savez(data, images=arrays["images"], labels=labels, split=arrays["split"])
    run = tmp_path / "run"
    arguments = [option for option in TINY if option != "--quiet"]
    outcome = medxgan("train", data, "--out", run, *arguments)
    assert outcome.code == 0, outcome.err
    assert "reconstruction ssim" in outcome.out and f"Bundle written to {run}" in outcome.out
    bundle = load_bundle(run)
    assert isinstance(bundle, StyleBundle) and bundle.manifest.training["images_shown"] == 32
    assert bundle.manifest.training["data"] == "images.npz"

    found = medxgan("inspect", run)
    assert found.code == 0, found.err
    assert "is a bundle of a style-based generator" in found.out
    assert "32 x 32 pixels, grey" in found.out and "16 dimensions" in found.out
    assert f"medxgan fit-direction {run} --classifier FILE" in found.out.replace("\n", "")


def test_a_run_goes_on_where_it_stopped(medxgan, tmp_path, phantom_archive):
    run = tmp_path / "run"
    assert medxgan("train", phantom_archive, "--out", run, *TINY).code == 0
    outcome = medxgan("train", phantom_archive, "--out", run, *TINY)
    assert outcome.code == 2 and "already holds a run" in outcome.err
    assert medxgan("train", phantom_archive, "--out", run, *TINY, "--resume").code == 0


def test_images_are_brought_to_a_size(medxgan, tmp_path, phantom_archive):
    options = ("--size", 64, "--set", "run.images=8", *TINY)
    outcome = medxgan("train", phantom_archive, "--out", tmp_path / "run", *options)
    assert outcome.code == 0, outcome.err
    assert load_bundle(tmp_path / "run").manifest.images.size == 64


def refused(outcome, saying: str) -> None:
    assert outcome.code == 2, outcome.out
    assert saying in outcome.err
    assert outcome.err.count("\n") == 1 and "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--classifier", "model.safetensors"), "--classifier"),
        (("--target", "lesion"), "--target"),
        (("--oracle", "o.safetensors", "--target", 1), "--target and --oracle"),
        (("--weights", "w.pt", "--spec", "s.toml"), "--weights and --spec"),
    ],
)
def test_options_of_a_classifier_are_refused(medxgan, tmp_path, phantom_archive, options, named):
    outcome = medxgan("train", phantom_archive, "--out", tmp_path / "run", *TINY, *options)
    refused(outcome, f"learns from the images alone and has no use for {named}")
    assert "fit-direction" in outcome.err and not (tmp_path / "run").exists()


def test_medxgan_needs_a_classifier(medxgan, tmp_path, phantom_archive):
    outcome = medxgan("train", phantom_archive, "--out", tmp_path / "run")
    refused(outcome, "give that as --classifier")


def test_medxgan_takes_its_size_from_the_classifier(
    medxgan, tmp_path, phantom_archive, classifier_file
):
    options = ("--classifier", classifier_file, "--size", 64, "--out", tmp_path / "run")
    refused(medxgan("train", phantom_archive, *options), "leave out --size")


@pytest.mark.parametrize(
    ("method", "preset", "belongs"),
    [("stylegan", "tiny", "medxgan"), ("medxgan", "stylegan", "stylegan")],
)
def test_a_preset_of_the_other_method(
    medxgan, tmp_path, phantom_archive, classifier_file, method, preset, belongs
):
    options = ["--method", method, "--preset", preset, "--out", tmp_path / "run"]
    options += ["--classifier", classifier_file] if method == "medxgan" else []
    outcome = medxgan("train", phantom_archive, *options)
    refused(outcome, f"the preset '{preset}' belongs to --method {belongs}")


def test_an_unknown_method(medxgan, tmp_path, phantom_archive):
    outcome = medxgan("train", phantom_archive, "--method", "styelgan", "--out", tmp_path / "run")
    refused(outcome, "did you mean 'stylegan'?")


def test_images_of_a_size_that_the_networks_do_not_have(medxgan, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "digits.npz", images=pixels, labels=np.full(40, -1))
    outcome = medxgan("train", tmp_path / "digits.npz", "--out", tmp_path / "run", *TINY)
    refused(outcome, "got 28; bring them to one of these with --size")
    options = ("--size", 48, "--out", tmp_path / "run", *TINY)
    refused(medxgan("train", tmp_path / "digits.npz", *options), "got 48")


def test_fewer_images_than_a_batch(medxgan, tmp_path, phantom_archive):
    options = ("--set", "run.batch_size=500", "--out", tmp_path / "run", *TINY)
    outcome = medxgan("train", phantom_archive, *options)
    refused(outcome, "training needs at least 500 training images (run.batch_size), got")


def test_a_direction_comes_before_an_explanation(medxgan, tmp_path, folder, phantom_archive):
    with pytest.raises(BundleError, match="fit a direction first: medxgan fit-direction"):
        package.load(folder)
    for command in (
        ("explain", folder, phantom_archive),
        ("evaluate", folder, phantom_archive),
        ("audit", folder, phantom_archive),
    ):
        refused(medxgan(*command, "--out", tmp_path / "out"), "fit a direction first")


def test_inspect_says_that_weights_are_damaged(medxgan, folder):
    change_tensors(folder, statistics__mean=None)
    refused(medxgan("inspect", folder), "copy the bundle again")


def test_inspect_says_how_a_run_goes_on(medxgan, tmp_path, phantom_archive):
    run = tmp_path / "run"
    assert medxgan("train", phantom_archive, "--out", run, *TINY).code == 0
    found = medxgan("inspect", run / "settings.toml")
    assert "train DATA --method stylegan --out RUN --config" in found.out
    (run / "bundle.json").unlink()
    found = medxgan("inspect", run)
    assert f"train DATA --method stylegan --out {run}" in found.out.replace("\n", " ")
