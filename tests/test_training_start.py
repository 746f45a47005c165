"""Training that begins with the weights of a bundle."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from medxgan.bundle import load_drawing_part
from medxgan.classifiers import TorchClassifier
from medxgan.config import load_settings
from medxgan.data import build_dataset
from medxgan.data.phantom import make_phantoms
from medxgan.errors import ConfigError
from medxgan.training.start import check_start
from medxgan.training.train import Plan, train_medxgan
from medxgan.types import ClassifierSpec


@pytest.fixture(scope="module")
def data():
    phantoms = make_phantoms("brain", 160, size=32, seed=3)
    return build_dataset(phantoms.images[:, None], phantoms.labels, split=phantoms.split)


@pytest.fixture(scope="module")
def classifier() -> TorchClassifier:
    class Brightness(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 20 * (images[:, 0, 12:20, 12:20].mean(dim=(1, 2)) - 0.35)

    spec = ClassifierSpec(size=32, output="binary_logit", class_names=("dark", "bright"))
    return TorchClassifier(Brightness(), spec)


def trained(data, classifier, folder, *, images=32, rate=None, **more):
    overrides = [f"run.images={images}", "run.batch_size=16"]
    if rate is not None:
        overrides += [f"optimiser.learning_rate={rate}"]
    settings = load_settings("tiny", overrides=overrides)
    plan = Plan(data, classifier, 1, settings, folder, **({"seed": 5} | more))
    train_medxgan(plan, Fabric(accelerator="cpu", devices=1), lambda images, figures: None)
    return load_drawing_part(folder)


@pytest.fixture(scope="module")
def first(data, classifier, tmp_path_factory):
    return trained(data, classifier, tmp_path_factory.mktemp("start") / "first")


def distance(one, other) -> float:
    """Largest difference of two bundles' weights, of generator and encoder."""
    return max(
        float((left - right).abs().max())
        for network in ("generator", "encoder")
        for left, right in zip(
            getattr(one, network).state_dict().values(),
            getattr(other, network).state_dict().values(),
            strict=True,
        )
    )


def test_a_run_that_learns_nothing_keeps_the_weights_that_it_started_from(
    data, classifier, first, tmp_path
):
    still = trained(
        data, classifier, tmp_path / "still", images=16, rate=1e-12, start=first, seed=6
    )
    fresh = trained(data, classifier, tmp_path / "fresh", images=16, rate=1e-12, seed=6)
    assert distance(still, first) < 1e-5
    assert distance(fresh, first) > 0.1
    assert still.manifest.training["started_from"] == "first"
    assert fresh.manifest.training["started_from"] is None


def test_a_run_cannot_be_resumed_with_another_start(data, classifier, first, tmp_path):
    folder = tmp_path / "run"
    settings = load_settings("tiny", overrides=["run.images=64", "run.batch_size=16"])
    plan = Plan(data, classifier, 1, settings, folder, stop_after=16, start=first)
    fabric = Fabric(accelerator="cpu", devices=1)
    train_medxgan(plan, fabric, lambda images, figures: None)
    with pytest.raises(ConfigError, match="weights to start from"):
        train_medxgan(replace(plan, start=None, resume=True), fabric, lambda images, figures: None)


@pytest.mark.parametrize(
    ("settings", "spec", "message"),
    [
        (["network.structure_code=8"], {}, "has the network settings"),
        ([], {"size": 64}, "has the image size 32, this run has 64"),
        ([], {"channels": 3}, "has the number of channels 1, this run has 3"),
    ],
)
def test_weights_that_do_not_fit_are_refused(first, settings, spec, message):
    taken = ClassifierSpec(**({"size": 32, "class_names": ("a", "b")} | spec))
    with pytest.raises(ConfigError, match=message):
        check_start(first, load_settings("tiny", overrides=settings), taken)


def test_another_method_is_refused(first):
    spec = ClassifierSpec(size=32, class_names=("a", "b"))
    with pytest.raises(ConfigError, match="has the method medxgan, this run has published"):
        check_start(first, load_settings("published"), spec)


def test_the_command_takes_the_sizes_of_the_bundle(
    medxgan, phantom_archive, classifier_file, tiny_bundle, tmp_path
):
    out = tmp_path / "run"
    result = medxgan(
        *(
            "train",
            phantom_archive,
            "--out",
            out,
            "--classifier",
            classifier_file,
            "--preset",
            "tiny",
        ),
        *("--start-from", tiny_bundle, "--set", "run.images=16", "--set", "run.batch_size=16"),
    )
    assert result.code == 0, result.err
    manifest, theirs = load_drawing_part(out).manifest, load_drawing_part(tiny_bundle).manifest
    assert manifest.network == theirs.network != load_settings("small").network
    assert manifest.training["started_from"] == theirs.name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--classifier", "x", "--start-from", "chest-phantom-stylegan"),
            "is a bundle of the method stylegan, which has another generator",
        ),
        (
            ("--method", "stylegan", "--start-from", "brain-phantom"),
            "has no use for --start-from",
        ),
        (("--classifier", "x", "--start-from", "brain-fantom"), "did you mean 'brain-phantom'"),
    ],
)
def test_what_cannot_be_started_from_is_said_in_a_sentence(medxgan, tmp_path, options, message):
    result = medxgan("train", tmp_path / "none.npz", "--out", tmp_path / "run", *options)
    assert result.code == 2 and message in result.err
