"""The published method as a baseline: its networks, its step, and a bundle without an encoder."""

import json
import math

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import medxgan as package
from conftest import SPEC
from medxgan.bundle import load_bundle
from medxgan.classifiers import TorchClassifier
from medxgan.config import load_settings, settings_to_toml
from medxgan.data import Dataset, open_dataset
from medxgan.errors import BundleError, ConfigError
from medxgan.explain.settings import ExplainSettings
from medxgan.networks.published import PublishedDiscriminator, PublishedGenerator
from medxgan.packing import pack, unpack
from medxgan.training import calibration
from medxgan.training.calibration import few_of_both, prior_agreement
from medxgan.training.published import PublishedNetworks, PublishedRecipe
from medxgan.training.source import predictions
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.training.train import Plan, train_medxgan

TINY = ["network.structure_code=12", "network.pathology_code=3", "network.maximum_width=8"]
SETTINGS = load_settings("published", overrides=[*TINY, "run.batch_size=8", "run.bf16=false"])
FABRIC = Fabric(accelerator="cpu", devices=1)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# Networks.


@pytest.mark.parametrize(("size", "channels"), [(32, 1), (64, 3), (128, 1)])
def test_both_networks_take_every_size(size, channels):
    generator = PublishedGenerator(size, channels, SETTINGS.network)
    images = generator(torch.randn(2, 12), torch.randn(2, 3))
    assert images.shape == (2, channels, size, size)
    assert images.min() >= -1 and images.max() <= 1
    assert PublishedDiscriminator(size, channels, SETTINGS.network)(images).shape == (2,)


@pytest.mark.parametrize("size", [16, 48, 256])
@pytest.mark.parametrize("network", [PublishedGenerator, PublishedDiscriminator])
def test_other_sizes_are_refused(network, size):
    with pytest.raises(ConfigError, match=f"32, 64 or 128 pixels, got {size}"):
        network(size, 1, SETTINGS.network)


def test_sizes_are_those_of_the_paper():
    """Weights counted by hand from the released layers, one channel; 64 pixels, then 128."""
    brain = load_settings("published").network
    convolutions = 25 * (768 * 384 + 384 * 256 + 256 * 192) + 64 * 192
    norms = 2 * (384 + 256 + 192)
    assert count(PublishedGenerator(64, 1, brain)) == 1101 * 768 + convolutions + norms
    kernels = 9 * (16 + 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    norms = 2 * (32 + 64 + 128 + 256 + 512)
    assert count(PublishedDiscriminator(64, 1, brain)) == kernels + norms + 5 * 5 * 512 + 1

    covid = load_settings("published-covid").network
    convolutions = 25 * (768 * 384 + 384 * 256 + 256 * 192 + 192 * 64) + 64 * 64
    norms_of_generator = 2 * (384 + 256 + 192 + 64)
    assert count(PublishedGenerator(128, 1, covid)) == 111 * 768 + convolutions + norms_of_generator
    assert count(PublishedDiscriminator(128, 1, covid)) == kernels + norms + 13 * 13 * 512 + 1


def test_a_drawn_image_does_not_depend_on_its_batch():
    generator = PublishedGenerator(32, 1, SETTINGS.network).eval()
    z1, z2 = torch.randn(5, 12), torch.randn(5, 3)
    torch.testing.assert_close(generator(z1, z2)[:1], generator(z1[:1], z2[:1]))


def test_film_equals_generating_each_frame():
    generator = PublishedGenerator(32, 1, SETTINGS.network).eval()
    z1, z2 = torch.randn(2, 12), torch.randn(2, 3)
    strengths = torch.tensor([0.0, 0.5, 1.0])
    slow = torch.stack([generator(z1, t * z2) for t in strengths])
    assert torch.equal(generator.film(z1, z2, strengths), slow)


def test_discriminator_forgets_half_its_features_while_training_only():
    judge = PublishedDiscriminator(32, 1, SETTINGS.network)
    images = torch.randn(4, 1, 32, 32)
    assert not torch.equal(judge(images), judge(images))
    judge.eval()
    assert torch.equal(judge(images), judge(images))
    assert judge.dropout.p == 0.5


# Settings.


def test_presets_hold_the_published_numbers():
    for preset, codes, weight in (("published", (1000, 100), 2), ("published-covid", (100, 10), 1)):
        settings = load_settings(preset)
        network, adam = settings.network, settings.optimiser
        assert settings.recipe == "published"
        assert (network.structure_code, network.pathology_code) == codes
        assert settings.loss.classification == weight and settings.run.batch_size == 32
        assert (adam.learning_rate, adam.momentum, adam.beta2) == (2e-4, 0.5, 0.999)
        assert adam.discriminator_momentum == 0.5
        assert settings.variation.chance == 0 and adam.ema_half_life == 0
    assert load_settings("tiny").recipe == "medxgan"


@pytest.mark.parametrize("override", ["loss.reconstruction=1", "augment.maximum=0.5"])
def test_settings_that_the_method_does_not_have_are_refused(override):
    name = override.partition("=")[0]
    with pytest.raises(ConfigError, match=f"'published' has no setting '{name}'"):
        load_settings("published", overrides=[override])


def test_the_settings_file_holds_what_the_method_has(tmp_path):
    text = settings_to_toml(SETTINGS)
    assert "reconstruction" not in text and "augment" not in text
    path = tmp_path / "settings.toml"
    path.write_text(text)
    assert load_settings(config=path) == SETTINGS


# The step.


class FixedOdds:
    """Log-odds of the class: the mean of the image times a slope."""

    spec = SPEC
    differentiable = True
    fingerprint = "fixed"

    def __init__(self, slope: float = 3.0) -> None:
        self.slope = slope

    def log_odds(self, images: torch.Tensor, target: int) -> torch.Tensor:
        return self.slope * images.mean(dim=(1, 2, 3))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        positive = self.log_odds(images, 1).sigmoid()
        return torch.stack([1 - positive, positive], dim=1)


def recipe(classifier: FixedOdds | None = None) -> PublishedRecipe:
    torch.manual_seed(0)
    return PublishedRecipe(
        classifier or FixedOdds(), 1, SETTINGS, torch.zeros(4, 1, 32, 32), torch.device("cpu")
    )


def test_class_0_has_no_pathology_code():
    z1, z2 = recipe().sample_codes(torch.tensor([1.0, 1.0, 0.0]), random())
    assert z1.shape == (3, 12) and z2.shape == (3, 3)
    assert z2[:2].all() and not z2[2].any()


def test_the_class_term_is_the_cross_entropy_taken_once():
    """A classifier that is right and sure costs nothing; softmax twice would cost 0.313."""
    baseline = recipe(FixedOdds(slope=0.0))
    figures = baseline.step(torch.zeros(8, 1, 32, 32), 0, 0.0, random(), FABRIC)
    assert figures["loss_classification"].item() == pytest.approx(math.log(2))
    expected = figures["loss_adversarial"] + 2.0 * figures["loss_classification"]
    assert figures["loss_generator"].item() == pytest.approx(expected.item())

    class Sure(FixedOdds):
        def log_odds(self, images: torch.Tensor, target: int) -> torch.Tensor:
            half = torch.full((len(images) // 2,), 100.0)
            return torch.cat([half, -half]) + 0 * images.mean()

    figures = recipe(Sure()).step(torch.zeros(8, 1, 32, 32), 0, 0.0, random(), FABRIC)
    assert figures["loss_classification"].item() == pytest.approx(0.0, abs=1e-6)
    assert figures["agreement_negative"].item() == figures["agreement_positive"].item() == 1.0


def test_a_step_moves_both_networks_and_only_them():
    baseline = recipe()
    before = {name: value.clone() for name, value in baseline.networks.state_dict().items()}
    baseline.step(torch.rand(8, 1, 32, 32), 0, 0.0, random(), FABRIC)
    parameters = dict(baseline.networks.named_parameters())
    assert all(not torch.equal(before[name], value) for name, value in parameters.items())
    assert all(parameter.requires_grad for parameter in parameters.values())


def test_a_step_depends_on_its_own_random_numbers_alone():
    figures = []
    for seed in (1, 2):
        baseline = recipe()
        torch.manual_seed(seed)  # dropout must not follow the global generator
        figures.append(
            baseline.step(torch.rand(8, 1, 32, 32, generator=random()), 0, 0.0, random(), FABRIC)
        )
    assert figures[0] == figures[1]


def test_the_first_adam_step_has_the_published_length():
    baseline = recipe()
    for optimiser in baseline.optimisers.values():
        assert optimiser.defaults["lr"] == 2e-4 and optimiser.defaults["betas"] == (0.5, 0.999)
    before = baseline.networks.generator.enter.bias.clone()
    baseline.step(torch.rand(8, 1, 32, 32), 0, 0.0, random(), FABRIC)
    moved = (baseline.networks.generator.enter.bias - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 2e-4), rtol=1e-2, atol=0)


def test_the_sheet_shows_both_classes_and_their_difference():
    baseline = recipe()
    averaged = PublishedNetworks(32, 1, SETTINGS).eval()
    real, negative, positive, difference = baseline.sheet(averaged)
    assert len(real) == len(negative) == 2
    torch.testing.assert_close(difference, positive - negative)


# A run and its bundle.


@pytest.fixture(scope="module")
def data(phantom_archive) -> Dataset:
    return open_dataset(phantom_archive)


@pytest.fixture(scope="module")
def classifier(balanced_classifier) -> TorchClassifier:
    return balanced_classifier(0)


def plan(data, classifier, folder, **more) -> Plan:
    settings = load_settings(
        "published",
        overrides=[*TINY, "run.batch_size=8", "run.images=64", "run.log_every=32"],
    )
    return Plan(data, classifier, 1, settings, folder, seed=5, **more)


def no_monitor(images: int, figures: dict[str, float]) -> None:
    """Ignore the progress."""


@pytest.fixture(scope="module")
def run(data, classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "COLD_STEPS", 3)
        train_medxgan(plan(data, classifier, folder), FABRIC, no_monitor)
    return folder


@pytest.fixture(scope="module")
def explainer(run):
    loaded = package.load(run, device="cpu")
    loaded.inversion_steps = 4
    return loaded


@pytest.fixture(scope="module")
def images(data):
    return data.images(slice(0, 6))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(
    run, data, classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(calibration, "COLD_STEPS", 3)
    folder = tmp_path / "run"
    train_medxgan(plan(data, classifier, folder, stop_after=24), FABRIC, no_monitor)
    torch.manual_seed(99)
    train_medxgan(plan(data, classifier, folder, resume=True), FABRIC, no_monitor)
    states = [torch.load(f / CHECKPOINT_NAME, weights_only=True) for f in (run, folder)]
    for part in ("networks", "averaged"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name
    weights = [(f / "weights.safetensors").read_bytes() for f in (run, folder)]
    assert weights[0] == weights[1]


def test_the_bundle_holds_the_raw_weights_and_running_statistics(run):
    bundle = load_bundle(run)
    assert bundle.manifest.method == "published" and bundle.encoder is None
    state = torch.load(run / CHECKPOINT_NAME, weights_only=True)["networks"]
    part = "generator."
    raw = {name.removeprefix(part): v for name, v in state.items() if name.startswith(part)}
    for name, rounded in unpack(pack(raw)).items():
        value = bundle.generator.state_dict()[name]
        assert torch.equal(value, rounded), name
    assert bundle.generator.norms[0].running_mean.abs().sum() > 0
    assert bundle.manifest.training["settings"]["loss"] == {"classification": 2.0}


def test_the_log_tells_the_agreement_of_both_classes(run, classifier):
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["images"] for entry in entries] == [32, 64]
    for entry in entries:
        for name in ("agreement", "prior_agreement"):
            assert 0 <= entry[f"{name}_negative"] <= 1 and 0 <= entry[f"{name}_positive"] <= 1
    assert (run / "samples" / "000000064.png").is_file()


def test_calibration_of_a_method_without_encoder_says_what_it_rests_on(run, data, classifier):
    manifest = load_bundle(run).manifest
    answers = predictions(classifier, data.select("val"), 1, torch.device("cpu")) >= 0.5
    chosen = few_of_both(answers.numpy())
    assert manifest.thresholds.images == manifest.metrics["held_out"]["n"] == len(chosen) <= 16
    assert manifest.metrics["held_out"]["inversion_steps"] == 3
    # Half of 2.326 / sqrt(6) beyond 1 would be the normal limit for 3 dimensions.
    assert 1.8 < manifest.thresholds.pathology_length < 2.1
    assert 1.3 < manifest.thresholds.structure_length < 1.6


def test_calibration_without_encoder_says_after_each_tenth_how_far_it_is(
    data, classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(calibration, "COLD_STEPS", 20)
    told: list[float] = []

    def monitor(images: int, figures: dict[str, float]) -> None:
        if "measured" in figures:
            assert images == 64
            told.append(figures["measured"])

    train_medxgan(plan(data, classifier, tmp_path / "run"), FABRIC, monitor)
    assert told == pytest.approx([tenth / 10 for tenth in range(1, 11)])


def test_few_images_of_both_answers_where_there_are():
    assert few_of_both(np.arange(100) < 50).tolist() == few_of_both(np.arange(100) >= 50).tolist()
    assert len(few_of_both(np.arange(100) < 50)) == 16
    assert few_of_both(np.zeros(5, dtype=bool)).tolist() == list(range(5))


def test_agreement_of_the_prior_counts_each_class():
    def bright_by_z2(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
        sign = torch.where(z2.any(dim=1), 1.0, -1.0)
        return sign.view(-1, 1, 1, 1).expand(-1, 1, 32, 32)

    device = torch.device("cpu")
    right = prior_agreement(bright_by_z2, FixedOdds(), 1, (4, 2), device, samples=70)
    assert right == {"negative": 1.0, "positive": 1.0, "balanced": 1.0}
    always = prior_agreement(bright_by_z2, FixedOdds(slope=0.0), 1, (4, 2), device, samples=70)
    assert (always["negative"], always["positive"]) == (0.0, 1.0)


def test_codes_come_from_a_cold_start_as_one_batch(explainer, images):
    assert explainer.encoder is None
    latent = explainer.encode(images)
    assert latent.z1.shape == (6, 12) and latent.z2.shape == (6, 3)
    with torch.no_grad():
        positive = explainer.classifier(images)[:, 1] >= 0.5
        inside_no_grad = explainer.encode(images)
    assert not latent.z2[~positive].any() and latent.z2[positive].any(dim=1).all()
    assert torch.equal(inside_no_grad.z1, latent.z1)
    given = explainer.invert(images, ExplainSettings(refine=4))
    assert torch.equal(given.z1, latent.z1)
    more = explainer.invert(images, ExplainSettings(refine=5))
    assert not torch.equal(more.z1, latent.z1)


def test_the_published_number_of_steps_is_the_default(run):
    assert package.load(run, device="cpu").inversion_steps == 5000


def test_explanations_come_without_an_encoder(explainer, images, tmp_path):
    explained = explainer.explain(images[:3], refine=2, frames=3, steps=2)
    for one, image in zip(explained, images, strict=False):
        assert torch.equal(one.image, image)
        assert one.latent.z1.shape == (1, 12)
        assert set(one.attributions) >= {"difference", "lig-published", "ig"}
    assert explained.save(tmp_path / "out").is_file()
    method = package.LatentIntegratedGradients(explainer.classifier, explainer)
    assert method.attribute(images[:2], n_steps=2).shape == (2, 1, 32, 32)


def test_a_bundle_with_encoder_refines_what_its_encoder_says(tiny_bundle, images):
    ours = package.load(tiny_bundle, device="cpu")
    assert ours.inversion_steps == 0
    plain = ours.encode(images)
    assert torch.equal(ours.encoder(images)[0], plain.z1)
    ours.inversion_steps = 2
    refined = ours.encode(images)
    given = ours.invert(images, ExplainSettings(refine=2))
    assert not torch.equal(refined.z1, plain.z1) and torch.equal(refined.z1, given.z1)
    assert torch.equal(ours.encoder(images)[0], plain.z1)


def test_a_published_bundle_called_ours_is_damaged(run, tmp_path):
    manifest = json.loads((run / "bundle.json").read_text()) | {"method": "medxgan"}
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    with pytest.raises(BundleError, match="weights of the generator"):
        load_bundle(tmp_path)


def test_the_command_line_trains_and_inspects_it(
    medxgan, phantom_archive, classifier_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(calibration, "COLD_STEPS", 2)
    sizes = [part for override in TINY for part in ("--set", override)]
    run = tmp_path / "run"
    done = medxgan(
        "train", phantom_archive, "--classifier", classifier_file, "--preset", "published",
        *sizes, "--set", "run.images=8", "--set", "run.batch_size=8", "--out", run,
        "--device", "cpu",
    )  # fmt: skip
    assert done.code == 0 and "Bundle written" in done.out
    shown = medxgan("inspect", run)
    assert shown.code == 0 and "published" in shown.out
