"""Training: the parts in closed form, and a run that resumes to the last bit."""

import json
import math

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from medxgan.bundle import load_bundle
from medxgan.classifiers import TorchClassifier, build_architecture
from medxgan.config import PRESETS, load_settings, settings_to_toml
from medxgan.data import Dataset, build_dataset
from medxgan.data.phantom import make_phantoms
from medxgan.errors import ConfigError, DataError, OutputError
from medxgan.training.augment import AdaptiveProbability, Reach, vary
from medxgan.training.generated import Networks, generate, sample_codes
from medxgan.training.loop import step_generator
from medxgan.training.losses import class_loss
from medxgan.training.order import BalancedOrder
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.training.train import Plan, train_medxgan
from medxgan.types import ClassifierSpec

STILL = Reach(flip=False, shift=0, turn=0, scale=0, contrast=0, brightness=0)


class CentreBrightness(nn.Module):
    """Positive where the middle of the image is brighter than a third: learns in no time."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        centre = images[:, 0, 12:20, 12:20].mean(dim=(1, 2))
        return 20 * (centre - 0.35)


@pytest.fixture(scope="module")
def data() -> Dataset:
    phantoms = make_phantoms("brain", 160, size=32, seed=3)
    return build_dataset(phantoms.images[:, None], phantoms.labels, split=phantoms.split)


@pytest.fixture(scope="module")
def classifier(data: Dataset) -> TorchClassifier:
    spec = ClassifierSpec(size=32, output="binary_logit", class_names=("dark", "bright"))
    return TorchClassifier(CentreBrightness(), spec)


def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def plan(data, classifier, folder, images=96, **more) -> Plan:
    settings = load_settings(
        "tiny",
        overrides=[f"run.images={images}", "run.log_every=32", "loss.gradient_penalty_interval=3"],
    )
    return Plan(data, classifier, 1, settings, folder, seed=5, **more)


def no_monitor(images: int, figures: dict[str, float]) -> None:
    """Ignore the progress."""


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(data, classifier, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_medxgan(plan(data, classifier, whole), fabric(), no_monitor)
    first = train_medxgan(plan(data, classifier, parts, stop_after=40), fabric(), no_monitor)
    assert not first.finished and first.images == 40
    torch.manual_seed(99)  # resuming must not depend on the global generator
    second = train_medxgan(plan(data, classifier, parts, resume=True), fabric(), no_monitor)
    assert second.finished and second.images == 96

    states = [torch.load(f / CHECKPOINT_NAME, weights_only=True) for f in (whole, parts)]
    for part in ("networks", "averaged"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name
    for name in ("generator", "discriminator"):
        for index, moments in states[0]["optimisers"][name]["state"].items():
            for key, value in moments.items():
                assert torch.equal(value, states[1]["optimisers"][name]["state"][index][key])
    for key in ("augmentation", "step", "sums"):
        assert states[0][key] == states[1][key]
    logs = [
        [json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()]
        for f in (whole, parts)
    ]
    assert [{**e, "seconds": 0} for e in logs[0]] == [{**e, "seconds": 0} for e in logs[1]]
    assert (whole / "weights.safetensors").read_bytes() == (
        parts / "weights.safetensors"
    ).read_bytes()


def test_a_finished_run_is_a_bundle_with_samples_and_log(data, classifier, tmp_path):
    done = train_medxgan(plan(data, classifier, tmp_path / "run"), fabric(), no_monitor)
    assert done.finished and done.figures["n"] == len(data.select("val"))
    bundle = load_bundle(tmp_path / "run", classifier)
    assert bundle.manifest.target_name == "bright"
    assert bundle.manifest.thresholds.reconstruction_error > 0
    assert bundle.manifest.training["images_shown"] == 96
    assert (tmp_path / "run" / "samples" / "000000096.png").is_file()
    entry = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    for key in ("agreement_negative", "agreement_positive", "reconstruction_l1", "augmentation_p"):
        assert math.isfinite(entry[key])


def test_a_run_is_not_overwritten_and_not_continued_with_something_else(data, classifier, tmp_path):
    run = tmp_path / "run"
    train_medxgan(plan(data, classifier, run, stop_after=16), fabric(), no_monitor)
    with pytest.raises(OutputError, match="--resume"):
        train_medxgan(plan(data, classifier, run), fabric(), no_monitor)
    with pytest.raises(ConfigError, match="another settings"):
        train_medxgan(plan(data, classifier, run, images=128, resume=True), fabric(), no_monitor)
    with pytest.raises(DataError, match="no checkpoint"):
        train_medxgan(plan(data, classifier, tmp_path / "none", resume=True), fabric(), no_monitor)


def test_a_damaged_checkpoint_is_said(data, classifier, tmp_path):
    run = tmp_path / "run"
    train_medxgan(plan(data, classifier, run, stop_after=16), fabric(), no_monitor)
    whole = (run / CHECKPOINT_NAME).read_bytes()
    (run / CHECKPOINT_NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        train_medxgan(plan(data, classifier, run, resume=True), fabric(), no_monitor)


def test_a_classifier_with_one_answer_only_is_refused(data, tmp_path):
    class Never(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(1, 2, 3)) - 9

    spec = ClassifierSpec(size=32, output="binary_logit", class_names=("no", "yes"))
    with pytest.raises(DataError, match="calls positive for 'yes', got 0"):
        train_medxgan(
            plan(data, TorchClassifier(Never(), spec), tmp_path / "run"), fabric(), no_monitor
        )
    assert not (tmp_path / "run").exists()


def test_data_without_held_out_images_are_refused_at_once(classifier, tmp_path):
    phantoms = make_phantoms("brain", 40, size=32, seed=3)
    alone = build_dataset(phantoms.images[:, None], phantoms.labels, groups=["one"] * 40)
    with pytest.raises(DataError, match="no 'val' images"):
        train_medxgan(plan(alone, classifier, tmp_path / "run"), fabric(), no_monitor)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(data, classifier, tmp_path, monkeypatch):
    broken = torch.tensor(math.nan)
    monkeypatch.setattr("medxgan.training.medxgan.moment_loss", lambda codes: broken)
    with pytest.raises(ConfigError, match="training diverged after 0 steps: loss_generator is nan"):
        train_medxgan(plan(data, classifier, tmp_path / "run"), fabric(), no_monitor)


def test_multiclass_classifiers_are_explained_one_class_against_the_rest(data, tmp_path):
    torch.manual_seed(0)
    module = build_architecture("cnn", 1, 32, 3)
    spec = ClassifierSpec(size=32, class_names=("a", "b", "c"))
    three = TorchClassifier(module, spec, "cnn")
    with torch.no_grad():
        scores = three(data.images())
    target = int((scores >= 0.5).float().mean(dim=0).sub(0.5).abs().argmin())
    # Shift the head so that the class splits the images in two.
    odds = three.log_odds(data.images(), target)
    module.head.bias[target] -= odds.median()
    shifted = TorchClassifier(module, spec, "cnn")
    settings = load_settings("tiny", overrides=["run.images=16"])
    trained = train_medxgan(
        Plan(data, shifted, target, settings, tmp_path / "run"), fabric(), no_monitor
    )
    assert trained.finished
    assert load_bundle(tmp_path / "run").manifest.target == target


def test_order_shows_every_image_once_a_pass_in_balanced_halves():
    positive = np.array([True] * 6 + [False] * 3)
    order = BalancedOrder(positive, batch_size=6, seed=1)
    steps = [order.rows(step) for step in range(4)]
    for rows in steps:
        assert positive[rows[:3]].all() and not positive[rows[3:]].any()
    assert sorted(np.concatenate([rows[:3] for rows in steps[:2]])) == list(range(6))
    assert sorted(steps[0][3:]) == [6, 7, 8]


def test_processes_share_the_order_without_overlap():
    positive = np.arange(16) < 8
    together = BalancedOrder(positive, batch_size=8, seed=1)
    ranks = [BalancedOrder(positive, batch_size=4, seed=1, rank=r, processes=2) for r in range(2)]
    shared = np.concatenate([ranks[0].rows(0)[:2], ranks[1].rows(0)[:2]])
    assert list(shared) == list(together.rows(0)[:4])


def test_order_is_a_function_of_the_step_alone():
    positive = np.arange(10) < 5
    walked = BalancedOrder(positive, batch_size=4, seed=1)
    for step in range(9):
        walked.rows(step)
    assert list(walked.rows(9)) == list(BalancedOrder(positive, batch_size=4, seed=1).rows(9))


def test_step_generators_differ_by_step_and_process():
    draws = {
        torch.rand(1, generator=step_generator(0, step, process)).item()
        for step in range(3)
        for process in range(2)
    }
    assert len(draws) == 6


def test_flip_mirrors_and_nothing_else():
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    flipping = Reach(flip=True, shift=0, turn=0, scale=0, contrast=0, brightness=0)
    out = vary(images, flipping, 1.0, torch.Generator().manual_seed(1))
    same = (out - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    mirrored = (out - images.flip(-1)).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert bool((same ^ mirrored).all()) and 0 < int(mirrored.sum()) < 64


def test_contrast_keeps_air_black():
    air = torch.full((4, 1, 8, 8), -1.0)
    stretching = Reach(flip=False, shift=0.1, turn=0.1, scale=0.1, contrast=0.5, brightness=0)
    torch.testing.assert_close(vary(air, stretching, 1.0, torch.Generator()), air)


def test_vary_with_no_chance_returns_the_images_themselves():
    images = torch.rand(2, 1, 8, 8)
    assert vary(images, STILL, 0.0, torch.Generator()) is images


def test_augmentation_probability_follows_overfitting():
    steered = AdaptiveProbability(target=0.6, images_to_full=1000, maximum=0.8)
    steered.update(sign=1.0, images=2000)  # the measure jumps to 1
    assert steered.measure == 1.0 and steered.value == 0.8
    steered.update(sign=-1.0, images=2000)
    assert steered.value == 0.0


def test_class_loss_is_the_binary_cross_entropy():
    odds = torch.tensor([0.0, 2.0])
    expected = -(math.log(0.5) + math.log(1 / (1 + math.exp(2.0)))) / 2
    assert class_loss(odds, 0.0).item() == pytest.approx(expected)


def test_generated_batch_keeps_negatives_free_of_change():
    torch.manual_seed(0)
    networks = Networks(32, 1, load_settings("tiny"))
    images = torch.rand(8, 1, 32, 32) * 2 - 1
    made = generate(networks, images, torch.Generator().manual_seed(0))
    assert made.reconstruction.shape == images.shape
    changed = images[:4] + made.negative - made.reconstruction[:4]
    torch.testing.assert_close(made.transferred, changed.clamp(-1, 1))
    judged, classes = made.judged()
    assert len(judged) == len(classes) == 24
    assert classes.tolist() == [True] * 4 + [False] * 4 + [False] * 12 + [True] * 4


def test_half_of_the_samples_stand_on_real_anatomy_a_quarter_with_real_pathology():
    real_z1, real_z2 = torch.full((8, 3), 9.0), torch.full((8, 2), 9.0)
    z1, z2 = sample_codes(real_z1, real_z2, torch.Generator().manual_seed(0))
    assert (z1 == 9).all(dim=1).tolist() == [False, True] * 4
    assert (z2 == 9).all(dim=1).tolist() == [False, False, False, True] * 2


@pytest.mark.parametrize("preset", list(PRESETS))
def test_settings_survive_toml(preset, tmp_path):
    settings = load_settings(preset, overrides=["run.images=64", "variation.flip=false"])
    path = tmp_path / "settings.toml"
    path.write_text(settings_to_toml(settings))
    again = load_settings("tiny", config=path)
    assert json.dumps(again.model_dump()) == json.dumps(settings.model_dump())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"preset": "smal"}, "did you mean 'small'"),
        ({"overrides": ["run.imagse=1"]}, "did you mean 'images'"),
        ({"overrides": ["rum.images=1"]}, "did you mean 'run'"),
        ({"overrides": ["images=1"]}, "section.name=value"),
        ({"overrides": ["run.images=many"]}, "run.images"),
        ({"overrides": ["run.images=0"]}, "greater than or equal to 1"),
        ({"overrides": ["loss.adversarial_limit=inf"]}, "finite number"),
    ],
)
def test_wrong_settings_are_said(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_settings(**arguments)
