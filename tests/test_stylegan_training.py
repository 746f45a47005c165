"""The style-based generator's training: losses in closed form, runs that resume to the last bit."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medxgan.bundle import load_bundle
from medxgan.config import load_settings, settings_to_toml
from medxgan.data import Dataset, build_dataset
from medxgan.data.phantom import make_phantoms
from medxgan.errors import ConfigError, DataError, OutputError
from medxgan.networks.stylegan import for_all_layers
from medxgan.networks.stylegan_statistics import measure_codes
from medxgan.style_bundle import StyleBundle
from medxgan.style_inversion import refine_codes
from medxgan.training import stylegan_calibration, stylegan_train
from medxgan.training.losses import gradient_penalty
from medxgan.training.order import PlainOrder
from medxgan.training.state import CHECKPOINT_NAME, new_state
from medxgan.training.stylegan import StyleRecipe
from medxgan.training.stylegan_calibration import QUANTILE, measure_style
from medxgan.training.stylegan_losses import (
    code_distance,
    feature_distance,
    path_length_penalty,
    path_lengths,
    sliced_distance,
)
from medxgan.training.stylegan_train import StylePlan, train_stylegan
from medxgan.training.train import Plan, train_medxgan

FABRIC = Fabric(accelerator="cpu", devices=1)


@pytest.fixture(autouse=True)
def little_refinement(monkeypatch):
    """A run is measured in a moment."""
    measure_soon = partial(measure_style, steps=2)
    monkeypatch.setattr(stylegan_train, "measure_style", measure_soon)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Losses.


def test_path_lengths_of_a_linear_generator():
    """G(w) = sum over layers of A_l w_l: its Jacobian is A, wherever it is taken."""
    matrices = torch.randn(3, 5, 4 * 4, generator=random())  # L, d, pixels
    codes = torch.randn(2, 3, 5, generator=random(1), requires_grad=True)
    images = torch.einsum("nld,ldp->np", codes, matrices).reshape(2, 1, 4, 4)
    noise = torch.randn(2, 1, 4, 4, generator=random(2))
    moved = torch.einsum("ldp,np->nld", matrices, noise.flatten(1) / 4)  # sqrt of 16 pixels
    wanted = moved.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(path_lengths(images, codes, noise), wanted)


def test_path_length_penalty_is_zero_for_an_isometry():
    """Each pixel is one dimension of w times 4: every unit step moves the image by 4."""
    codes = torch.randn(2, 1, 16, generator=random(), requires_grad=True)
    images = 4 * codes.reshape(2, 1, 4, 4)
    signs = torch.sign(torch.randn(2, 1, 4, 4, generator=random(1)))
    lengths = path_lengths(images, codes, signs)
    torch.testing.assert_close(lengths, torch.full((2,), 4.0))
    assert path_length_penalty(lengths, torch.tensor(4.0)).item() == pytest.approx(0, abs=1e-10)
    assert path_length_penalty(lengths, torch.tensor(1.0)).item() == pytest.approx(9)


def test_the_path_length_penalty_teaches_the_generator():
    """d/da of (|a| c - m)^2, for G(w) = a w."""
    scale = torch.tensor(3.0, requires_grad=True)
    codes = torch.ones(1, 1, 4, requires_grad=True)
    lengths = path_lengths(scale * codes.reshape(1, 1, 2, 2), codes, torch.ones(1, 1, 2, 2))
    path_length_penalty(lengths, torch.tensor(1.0)).backward()
    assert lengths.item() == pytest.approx(3)
    assert scale.grad is not None and scale.grad.item() == pytest.approx(2 * (3 - 1))


def test_gradient_penalty_of_the_discriminator_is_its_slope():
    """Uphill, D rises by the squared gradient; and the penalty teaches D's weights."""
    judge = recipe().networks.discriminator
    images = IMAGES[:1].clone().requires_grad_()
    (uphill,) = torch.autograd.grad(judge(images).sum(), images)
    step = 1e-3 / uphill.norm()
    with torch.no_grad():
        rise = judge(images + step * uphill) - judge(images - step * uphill)
    penalty = gradient_penalty(judge(images), images)
    assert penalty.item() == pytest.approx((rise / (2 * step)).item() / 2, rel=0.02)
    penalty.backward()
    assert judge.enter.weight.grad is not None and judge.enter.weight.grad.abs().sum() > 0


def test_code_distance_counts_only_what_one_code_made():
    wanted = torch.tensor([[0.0], [2.0], [4.0]])
    found = torch.tensor([[0.0], [9.0], [6.0]])
    variance = 8 / 3
    counted = torch.tensor([True, False, True])
    assert code_distance(found, wanted, counted).item() == pytest.approx(2 / variance)
    assert code_distance(wanted, wanted, counted).item() == 0
    assert code_distance(found, wanted, torch.zeros(3, dtype=torch.bool)).item() == 0
    layers = found.unsqueeze(1).repeat(1, 4, 1)
    assert code_distance(layers, wanted, counted).item() == pytest.approx(2 / variance)


def test_features_are_compared_on_their_own_scale():
    drawn = [torch.randn(2, 3, 4, 4, generator=random())]
    wanted = [torch.randn(2, 3, 4, 4, generator=random(1))]
    distance = feature_distance(drawn, wanted)
    scaled = feature_distance([7 * drawn[0]], [7 * wanted[0]])
    torch.testing.assert_close(distance, scaled)
    assert feature_distance(wanted, wanted).item() == 0


def test_codes_as_a_whole_are_compared_whatever_their_order():
    """Shifted by one deviation along a direction, they are at distance one."""
    mapped = torch.randn(300, 4, generator=random())
    direction = torch.randn(4, 1, generator=random(1))
    along = mapped @ direction
    shift = along.std(unbiased=False) * direction / direction.square().sum()
    assert sliced_distance(mapped.flip(0), mapped, direction).item() == pytest.approx(0, abs=1e-6)
    moved = sliced_distance(mapped + shift.T, mapped, direction)
    assert moved.item() == pytest.approx(1, rel=1e-4)
    layers = mapped.unsqueeze(1).repeat(1, 3, 1)
    assert sliced_distance(layers, mapped, direction).item() == pytest.approx(0, abs=1e-6)


def test_codes_that_are_all_alike_are_driven_apart():
    mapped = torch.randn(300, 1, generator=random())
    codes = torch.tensor([[-0.1], [0.1]], requires_grad=True)
    sliced_distance(codes, mapped, torch.ones(1, 1)).backward()
    assert codes.grad is not None and codes.grad[0] > 0 > codes.grad[1]


# Order.


def test_every_image_is_shown_once_a_pass():
    order = PlainOrder(10, batch_size=4, seed=1)
    shown = np.concatenate([order.rows(step) for step in range(5)])
    assert sorted(shown[:10]) == sorted(shown[10:]) == list(range(10))
    assert shown[:10].tolist() != shown[10:].tolist()
    assert PlainOrder(10, batch_size=4, seed=1).rows(3).tolist() == order.rows(3).tolist()


def test_processes_share_a_pass():
    orders = [PlainOrder(8, batch_size=2, seed=1, rank=r, processes=2) for r in range(2)]
    shown = np.concatenate([order.rows(step) for step in range(2) for order in orders])
    assert sorted(shown.tolist()) == list(range(8))


# Settings.


def settings(*overrides: str, images: int = 96):
    return load_settings(
        "stylegan-tiny", overrides=[f"run.images={images}", "run.log_every=32", *overrides]
    )


def test_presets_belong_to_the_method():
    for preset in ("stylegan", "stylegan-tiny"):
        chosen = load_settings(preset)
        assert chosen.recipe == "stylegan" and not chosen.style_network.noise
        assert "network" not in chosen.chosen() and "loss" not in chosen.chosen()
        assert chosen.optimiser.momentum == 0
    for preset in ("tiny", "published"):
        assert "style_network" not in load_settings(preset).chosen()


def test_the_settings_file_is_read_back(tmp_path):
    chosen = settings("style_network.encoder_space=w+", "style_loss.encoder_alone=0.25")
    path = tmp_path / "settings.toml"
    path.write_text(settings_to_toml(chosen))
    assert load_settings(config=path) == chosen


@pytest.mark.parametrize(
    ("preset", "override", "message"),
    [
        ("stylegan", "loss.focus=1", "'stylegan' has no setting 'loss.focus', the method stylegan"),
        ("tiny", "style_network.code=8", "'tiny' has no setting 'style_network.code', medXGAN"),
        ("published", "style_loss.codes=1", "has no setting 'style_loss.codes', the published"),
        ("stylegan", "style_network.codes=1", "did you mean 'code'"),
        ("stylegan", "style_network.encoder_space=z", "'w' or 'w+', got 'z'"),
        ("stylegan", "style_loss.encoder_alone=1", "less than 1, got 1"),
    ],
)
def test_settings_that_cannot_be(preset, override, message):
    with pytest.raises(ConfigError, match=message.replace("+", r"\+")):
        load_settings(preset, overrides=[override])


# The step.


def recipe(*overrides: str) -> StyleRecipe:
    torch.manual_seed(0)
    shape = (2, 1, 32, 32)
    return StyleRecipe(32, 1, settings(*overrides), torch.zeros(shape), torch.device("cpu"))


IMAGES = torch.rand(8, 1, 32, 32, generator=random(7)) * 2 - 1


def weights_of(made: StyleRecipe) -> dict[str, dict[str, torch.Tensor]]:
    return {
        name: {key: value.clone() for key, value in network.named_parameters()}
        for name, network in made.networks.named_children()
    }


def changed(made: StyleRecipe, before: dict[str, dict[str, torch.Tensor]]) -> set[str]:
    return {
        name
        for name, weights in weights_of(made).items()
        if any(not torch.equal(value, before[name][key]) for key, value in weights.items())
    }


def test_a_step_teaches_all_three():
    made = recipe()
    before = weights_of(made)
    figures = made.step(IMAGES, 0, 0.5, random(), FABRIC)
    assert changed(made, before) == {"generator", "encoder", "discriminator"}
    assert all(value.ndim == 0 and value.isfinite() for value in figures.values())
    assert {"sign_real", "path_length", "gradient_penalty", "reconstruction_l1"} <= set(figures)
    lazy = made.step(IMAGES, 1, 0.5, random(), FABRIC)
    assert not {"path_length", "gradient_penalty"} & set(lazy)
    assert made.networks.generator.mapping.mean.abs().sum() > 0


def test_terms_that_are_switched_off_are_not_computed():
    made = recipe("style_loss.path_length=0", "style_loss.gradient_penalty=0")
    figures = made.step(IMAGES, 0, 0.0, random(), FABRIC)
    assert not {"path_length", "gradient_penalty"} & set(figures)


@pytest.mark.parametrize("chance", [0.0, 0.5])
def test_the_encoder_learns_after_the_generator_where_it_is_told_to(chance):
    made = recipe("style_loss.encoder_alone=0.5")  # 96 images, 8 a step: from step 6 on
    before = weights_of(made)
    figures = made.step(IMAGES, 5, chance, random(), FABRIC)
    assert changed(made, before) == {"generator", "discriminator"}
    assert "reconstruction_l1" not in figures
    before = weights_of(made)
    figures = made.step(IMAGES, 6, chance, random(), FABRIC)
    assert changed(made, before) == {"encoder"}
    assert {"reconstruction_l1", "sign_real"} <= set(figures)
    assert all(parameter.requires_grad for parameter in made.networks.parameters())


def test_the_encoder_learns_for_the_generator_that_is_kept():
    made = recipe("style_loss.encoder_alone=0.5")
    state = new_state(made.networks, made.optimisers, None)
    with torch.no_grad():
        state.averaged.generator.start.add_(1)
    for step, equal in ((5, False), (6, True)):
        state.step = step
        made.freeze_generator(state, images_a_step=8)
        kept = state.averaged.generator.start
        assert torch.equal(made.networks.generator.start, kept) == equal
    with torch.no_grad():
        made.networks.generator.start.zero_()
    state.step = 7
    made.freeze_generator(state, images_a_step=8)
    assert made.networks.generator.start.abs().sum() == 0


@pytest.mark.parametrize(("share", "mixed"), [(0.0, False), (1.0, True)])
def test_styles_are_mixed_as_often_as_told(share, mixed):
    samples = recipe(f"style_loss.style_mixing={share}").samples(6, random())
    alike = (samples.layers == samples.layers[:, :1]).all(dim=2).all(dim=1)
    assert samples.unmixed.tolist() == alike.tolist() == [not mixed] * 6
    assert torch.equal(samples.layers[:, 0], samples.first)


@pytest.mark.parametrize("overrides", [(), ("style_network.noise=true",)])
def test_a_step_follows_its_own_random_numbers(overrides):
    figures = []
    for seed in (1, 2):
        made = recipe(*overrides)
        torch.manual_seed(seed)
        figures.append(made.step(IMAGES, 0, 0.5, random(), FABRIC))
    assert figures[0] == figures[1]


def test_the_usual_path_length_starts_with_the_first():
    made = recipe()
    length = made.step(IMAGES, 0, 0.0, random(), FABRIC)["path_length"]
    torch.testing.assert_close(made.networks.usual_length, length)
    other = made.step(IMAGES, 4, 0.0, random(1), FABRIC)["path_length"]
    torch.testing.assert_close(made.networks.usual_length, length + 0.1 * (other - length))


# Runs.


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Nothing is labelled."""
    phantoms = make_phantoms("brain", 120, size=32, seed=3)
    return build_dataset(
        phantoms.images[:, None], np.full(120, -1), split=phantoms.split, class_names=("a", "b")
    )


def plan(data, folder, *overrides: str, images: int = 96, **more) -> StylePlan:
    return StylePlan(data, settings(*overrides, images=images), folder, seed=5, **more)


def no_monitor(images: int, figures: dict[str, float]) -> None:
    """Ignore the progress."""


@pytest.mark.parametrize(
    "overrides", [(), ("style_loss.encoder_alone=0.6", "style_network.noise=true")]
)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(data, tmp_path, overrides):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_stylegan(plan(data, whole, *overrides), FABRIC, no_monitor)
    first = train_stylegan(plan(data, parts, *overrides, stop_after=40), FABRIC, no_monitor)
    assert not first.finished and first.images == 40
    torch.manual_seed(99)  # resuming must not depend on the global generator
    second = train_stylegan(plan(data, parts, *overrides, resume=True), FABRIC, no_monitor)
    assert second.finished and second.images == 96

    states = [torch.load(f / CHECKPOINT_NAME, weights_only=True) for f in (whole, parts)]
    for part in ("networks", "averaged"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name
    for key in ("augmentation", "step", "sums"):
        assert states[0][key] == states[1][key]
    logs = [
        [json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()]
        for f in (whole, parts)
    ]
    assert [{**e, "seconds": 0} for e in logs[0]] == [{**e, "seconds": 0} for e in logs[1]]
    weights = [(f / "weights.safetensors").read_bytes() for f in (whole, parts)]
    assert weights[0] == weights[1]


def test_the_generator_learns_alone_from_augmented_images(data, tmp_path):
    """Any sign of D is above the target: p rises from the first step, by 8 images of 80 each."""
    overrides = ("style_loss.encoder_alone=0.3", "augment.target=-2", "augment.images_to_full=80")
    done = train_stylegan(plan(data, tmp_path, *overrides, images=32), FABRIC, no_monitor)
    assert done.finished
    entry = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert entry["augmentation_p"] == pytest.approx(0.4) and "reconstruction_l1" in entry


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_finished_run_is_a_bundle_with_samples_and_log(data, tmp_path, space):
    chosen = f"style_network.encoder_space={space}"
    done = train_stylegan(plan(data, tmp_path / "run", chosen), FABRIC, no_monitor)
    assert done.finished and done.figures["n"] == len(data.select("val", labelled=False))
    for name in (
        "reconstruction_mse",
        "reconstruction_ssim",
        "refined_mse",
        "refined_ssim",
        "sample_code_error",
    ):
        assert math.isfinite(done.figures[name])
    bundle = load_bundle(tmp_path / "run")
    assert isinstance(bundle, StyleBundle)
    assert bundle.manifest.metrics["held_out"] == done.figures
    assert bundle.manifest.training["images_shown"] == 96
    assert bundle.manifest.network.encoder_space == space
    images = data.images([0, 1])
    codes = bundle.encoder(images)
    assert codes.shape == ((2, 16) if space == "w" else (2, bundle.generator.layers, 16))
    assert bundle.generator(codes).shape == images.shape
    assert (tmp_path / "run" / "samples" / "000000096.png").is_file()
    entry = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    for key in ("held_out_mse", "reconstruction_l1", "augmentation_p", "sign_real"):
        assert math.isfinite(entry[key])


def test_what_is_measured_is_what_is_shipped(data, tmp_path):
    done = train_stylegan(plan(data, tmp_path / "run", images=32), FABRIC, no_monitor)
    bundle = load_bundle(tmp_path / "run")
    images = data.select("val", labelled=False).images()
    with torch.no_grad():
        redrawn = bundle.generator(bundle.encoder(images))
    error = (redrawn - images).square().mean().item()
    assert error == pytest.approx(done.figures["reconstruction_mse"], rel=1e-5)
    torch.testing.assert_close(
        bundle.generator.mapping.mean, bundle.statistics.mean, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(("most", "rows"), [(3, [0, 3, 7]), (100, list(range(8)))])
def test_limits_are_those_of_refined_images(monkeypatch, data, most, rows):
    """Of no more than are to be refined, evenly spread; other figures are of all of them."""
    monkeypatch.setattr(stylegan_calibration, "REFINED_IMAGES", most)
    networks = recipe().networks.eval().requires_grad_(False)
    statistics = measure_codes(networks.generator, 200)
    held_out = data.select("val", labelled=False)
    few = held_out.take(range(8))
    pair = networks.generator, networks.encoder
    found = measure_style(*pair, statistics, few, FABRIC.device, steps=5)
    images = few.images()
    codes = networks.encoder(images)
    start = for_all_layers(codes, networks.generator.layers)[rows]
    refined = refine_codes(networks.generator, images[rows], start, 5, statistics=statistics)
    redrawn = networks.generator(refined)
    errors = (redrawn - images[rows]).abs().mean(dim=(1, 2, 3))
    limits, figures = found.thresholds, found.figures
    assert limits.images == len(rows) and figures["n"] == 8
    close = {"rel": 1e-3}
    assert limits.reconstruction_error == pytest.approx(errors.quantile(QUANTILE).item(), **close)
    distances = statistics.distance(refined)
    assert limits.code_distance == pytest.approx(distances.quantile(QUANTILE).item(), **close)
    squared = (redrawn - images[rows]).square().mean().item()
    assert figures["refined_mse"] == pytest.approx(squared, **close)
    encoded = (networks.generator(codes) - images).square().mean(dim=(1, 2, 3))
    assert figures["reconstruction_mse"] == pytest.approx(encoded.mean().item(), **close)
    assert squared < encoded[rows].mean()


def test_a_run_is_not_overwritten_and_not_continued_with_something_else(data, tmp_path):
    run = tmp_path / "run"
    train_stylegan(plan(data, run, stop_after=16), FABRIC, no_monitor)
    with pytest.raises(OutputError, match="--resume"):
        train_stylegan(plan(data, run), FABRIC, no_monitor)
    with pytest.raises(ConfigError, match="another settings"):
        train_stylegan(plan(data, run, images=128, resume=True), FABRIC, no_monitor)
    with pytest.raises(DataError, match="no checkpoint"):
        train_stylegan(plan(data, tmp_path / "none", resume=True), FABRIC, no_monitor)


def test_too_few_images(data, tmp_path):
    few = build_dataset(np.zeros((8, 1, 32, 32), np.uint8), [-1] * 8, split=[0] * 6 + [1] * 2)
    with pytest.raises(DataError, match=r"at least 8 training images \(run.batch_size\), got 5"):
        train_stylegan(plan(few, tmp_path), FABRIC, no_monitor)


def test_images_of_another_size(data, tmp_path):
    small = build_dataset(np.zeros((8, 1, 28, 28), np.uint8), [-1] * 8, split=[0] * 6 + [1] * 2)
    with pytest.raises(
        DataError, match=r"32, 64, 128 or 256 pixels high and wide, got 28;.*--size"
    ):
        train_stylegan(plan(small, tmp_path), FABRIC, no_monitor)


def test_each_training_refuses_the_presets_of_the_other(data, tmp_path):
    other = StylePlan(data, load_settings("tiny"), tmp_path)
    with pytest.raises(ConfigError, match="needs a preset of its own, got 'tiny'"):
        train_stylegan(other, FABRIC, no_monitor)
    with pytest.raises(ConfigError, match="'stylegan-tiny' learns from images alone"):
        train_medxgan(Plan(data, None, 0, settings(), tmp_path), FABRIC, no_monitor)
