"""What several tests share: phantoms of 32 pixels, a classifier, a bundle, and the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from medxgan.bundle import Bundle, Manifest, Thresholds, record_classifier, save_bundle
from medxgan.classifiers import TorchClassifier, build_architecture, save_classifier
from medxgan.cli import main
from medxgan.config import NetworkSettings
from medxgan.data import open_dataset, write_phantoms
from medxgan.data.phantom import make_phantoms
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator
from medxgan.types import ClassifierSpec
from models import ModelFiles, write_files

SIZE = 32
SPEC = ClassifierSpec(size=SIZE, class_names=("healthy", "lesion"))
NETWORK = NetworkSettings(structure_code=16, pathology_code=4, base_width=8, maximum_width=16)


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def medxgan(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, as a user would: ``medxgan("inspect", path)``."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def phantom_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 brain phantoms of 32 pixels in all three splits."""
    path = tmp_path_factory.mktemp("phantoms") / "phantoms.npz"
    write_phantoms(make_phantoms("brain", 160, size=SIZE, seed=11), path, "brain", 11)
    return path


@pytest.fixture(scope="session")
def balanced_classifier(phantom_archive: Path) -> Callable[[int], TorchClassifier]:
    """Untrained classifiers, by seed, that call half of the phantoms positive."""
    images = open_dataset(phantom_archive).images()

    def build(seed: int) -> TorchClassifier:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build_architecture("cnn", 1, SIZE, 2)
        answers = TorchClassifier(module, SPEC).log_odds(images, 1)
        last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        with torch.no_grad():
            last.weight /= answers.std()
            last.bias.copy_(torch.tensor([0.0, 0.0]))
            shift = TorchClassifier(module, SPEC).log_odds(images, 1).median()
            last.bias[1] -= shift
        return TorchClassifier(module, SPEC, "cnn")

    return build


@pytest.fixture(scope="session")
def classifier_file(
    tmp_path_factory: pytest.TempPathFactory,
    balanced_classifier: Callable[[int], TorchClassifier],
) -> Path:
    """A classifier in a file; the one that ``tiny_bundle`` explains."""
    path = tmp_path_factory.mktemp("classifier") / "classifier.safetensors"
    save_classifier(path, balanced_classifier(0))
    return path


@pytest.fixture(scope="session")
def other_classifier_file(
    tmp_path_factory: pytest.TempPathFactory,
    balanced_classifier: Callable[[int], TorchClassifier],
) -> Path:
    """Another classifier of the same specification."""
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    save_classifier(path, balanced_classifier(1))
    return path


@pytest.fixture(scope="session")
def model_files(
    tmp_path_factory: pytest.TempPathFactory,
    balanced_classifier: Callable[[int], TorchClassifier],
) -> ModelFiles:
    """The network of ``tiny_bundle``'s classifier, exported in every way."""
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return write_files(balanced_classifier(0).module, images, tmp_path_factory.mktemp("models"))


def make_bundle(classifier: TorchClassifier, name: str = "tiny") -> Bundle:
    """A bundle of untrained networks for a classifier of ``SPEC``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, encoder = TwoCodeGenerator(SIZE, 1, NETWORK), Encoder(SIZE, 1, NETWORK)
    manifest = Manifest(
        name=name,
        target=1,
        network=NETWORK,
        classifier=record_classifier(classifier),
        thresholds=Thresholds(
            reconstruction_error=0.5,
            prediction_gap=0.5,
            structure_length=2.0,
            pathology_length=2.0,
            images=16,
            quantile=0.99,
        ),
        training={"data": "phantoms.npz", "training_images": 128, "images_shown": 0, "seed": 0},
        metrics={"held_out": {"n": 16, "validity": 0.5, "agreement_negative": 0.5}},
        data_licence="none needed",
        generator_version="0.0.0",
    )
    return Bundle(manifest, generator, encoder, classifier, None)


@pytest.fixture(scope="session")
def tiny_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    balanced_classifier: Callable[[int], TorchClassifier],
) -> Path:
    """Folder of a bundle for 32 pixels, networks untrained, classifier included."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    save_bundle(folder, make_bundle(balanced_classifier(0)))
    return folder


@pytest.fixture
def one_class_archive(tmp_path: Path, phantom_archive: Path) -> Path:
    """The healthy phantoms alone."""
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        healthy = arrays["labels"] == 0
        kept = {key: arrays[key][healthy] for key in ("images", "labels", "split")}
    path = tmp_path / "healthy.npz"
    np.savez(path, **kept)
    return path
