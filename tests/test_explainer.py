"""The Python API on a tiny bundle: shapes, promises and refusals."""

import numpy as np
import pytest
import torch

import medxgan as package
from medxgan.bundle import Thresholds
from medxgan.data import open_dataset, write_image
from medxgan.errors import BundleError, ConfigError, DataError
from medxgan.explain import METHODS
from medxgan.explain.settings import ExplainSettings
from medxgan.explain.trust import judge
from medxgan.types import Latent


@pytest.fixture(scope="module")
def explainer(tiny_bundle):
    return package.load(tiny_bundle, device="cpu")


@pytest.fixture(scope="module")
def images(phantom_archive):
    return open_dataset(phantom_archive).images(slice(0, 6))


@pytest.fixture(scope="module")
def explained(explainer, images):
    return explainer.explain(images, methods=tuple(METHODS), frames=5, steps=4)


def test_every_part_has_the_promised_shape(explained):
    for one in explained:
        assert one.image.shape == one.reconstruction.shape == (1, 32, 32)
        assert one.counterfactual.shape == one.transferred.shape == (1, 32, 32)
        assert one.frames.shape == (5, 1, 32, 32)
        assert one.probabilities.shape == one.strengths.shape == (5,)
        assert set(one.attributions) == set(METHODS) and not one.skipped
        assert all(a.shape == (1, 32, 32) for a in one.attributions.values())
        assert one.latent.z1.shape == (1, 16) and one.latent.z2.shape == (1, 4)
        assert one.transferred.abs().max() <= 1


def test_a_positive_runs_from_its_negative_realization_to_its_reconstruction(explainer, explained):
    positives = [one for one in explained if one.positive]
    assert positives
    for one in positives:
        z1, z2 = one.latent.z1, one.latent.z2
        torch.testing.assert_close(one.reconstruction, explainer.generator(z1, z2)[0])
        torch.testing.assert_close(one.counterfactual, explainer.generator(z1, 0 * z2)[0])
        assert torch.equal(one.difference, one.frames[-1] - one.frames[0])
        changed = one.image + one.counterfactual - one.reconstruction
        torch.testing.assert_close(one.transferred, changed.clamp(-1, 1))


def test_a_negative_runs_from_its_reconstruction_to_a_positive(explainer, explained):
    negatives = [one for one in explained if not one.positive]
    assert negatives
    for one in negatives:
        assert torch.equal(one.reconstruction, one.frames[0])
        assert torch.equal(one.counterfactual, one.frames[-1])
        with torch.no_grad():
            found = explainer.classifier(one.alternatives)[:, 1] if len(one.alternatives) else []
        assert all(score >= 0.5 for score in found)


def test_scores_are_the_classifiers(explainer, explained):
    for one in explained:
        for part, score in one.scores.items():
            picture = getattr(one, part)[None]
            with torch.no_grad():
                expected = explainer.classifier(picture)[0, 1].item()
            assert score == pytest.approx(expected, abs=1e-5)


def test_one_image_gives_one_explanation_equal_to_that_of_the_batch(explainer, images, explained):
    alone = explainer.explain(images[2], methods=("lig",), frames=5, steps=4)
    assert isinstance(alone, package.Explanation)
    torch.testing.assert_close(
        alone.attributions["lig"], explained[2].attributions["lig"], atol=1e-6, rtol=1e-4
    )


def test_names_masks_and_spacings_are_one_an_image(explainer, images):
    for columns in ({"names": ["a"]}, {"masks": [None]}, {"spacings": [None]}):
        (noun,) = columns
        with pytest.raises(DataError, match=f"6 images need 6 {noun}, got 1"):
            explainer.explain(images, methods=(), **columns)


def test_batches_are_joined_in_order(explainer, images, monkeypatch):
    monkeypatch.setattr("medxgan.explainer.IMAGES_AT_ONCE", 2)
    parts = explainer.explain(images[:5], methods=("difference",), frames=2, steps=1)
    assert [one.name for one in parts] == [f"image-{i}" for i in range(1, 6)]
    for one, image in zip(parts, images, strict=False):
        assert torch.equal(one.image, image)


def test_a_file_and_a_folder_can_be_explained(explainer, images, tmp_path):
    write_image(tmp_path / "a.png", images[0])
    write_image(tmp_path / "b.png", images[1])
    single = explainer.explain(tmp_path / "a.png", methods=("difference",))
    assert isinstance(single, package.Explanation) and single.name == "a"
    several = explainer.explain(str(tmp_path), methods=("difference",))
    assert [one.name for one in several] == ["a.png", "b.png"]


def test_explanations_are_saved_and_shown(explained, tmp_path):
    page = explained.save(tmp_path / "out")
    assert page.is_file() and "clinical" in page.read_text()
    explained[0].save(tmp_path / "one")
    arrays = np.load(tmp_path / "one" / "explanation.npz", allow_pickle=False)
    np.testing.assert_array_equal(arrays["frames"], explained[0].frames.numpy())
    assert explained[0].to_html().startswith("<!")


def test_codes_from_the_prior(explainer):
    z1, z2 = explainer.sample_codes(3, positive=True, seed=4)
    again, zero = explainer.sample_codes(3, positive=False, seed=4)
    assert torch.equal(z1, again) and z2.abs().min() > 0 and not zero.any()
    assert explainer.generator(z1, z2).shape == (3, 1, 32, 32)


def test_images_of_the_prior_are_of_the_classes_that_are_asked_for(explainer):
    called = torch.tensor([True, False, True])
    z1, z2 = explainer.sample_codes(3, positive=True, seed=4)
    same, masked = explainer.prior_codes(called, seed=4)
    assert torch.equal(same, z1)
    assert torch.equal(masked[called], z2[called]) and not masked[~called].any()


def test_encoder_gives_no_pathology_to_negatives(explainer, images):
    z1, z2 = explainer.encoder(images)
    with torch.no_grad():
        positive = explainer.classifier(images)[:, 1] >= 0.5
    assert z1.shape == (6, 16)
    assert not z2[~positive].any() and z2[positive].any(dim=1).all()


def test_captums_shape_and_convergence_delta(explainer, images):
    method = package.LatentIntegratedGradients(explainer.classifier, explainer)
    maps, delta = method.attribute(images, n_steps=8, return_convergence_delta=True)
    assert maps.shape == images.shape and delta.shape == (6,)
    torch.testing.assert_close(method.attribute(images, n_steps=8), maps)


def test_refinement_never_worsens_the_published_objective(explainer, images):
    def objective(settings):
        latent = explainer.invert(images, settings)
        with torch.no_grad():
            drawn = explainer.generator(latent.z1, latent.z2)
            odds = explainer.classifier.log_odds(drawn, 1)
            wanted = explainer.classifier(images)[:, 1]
        gap = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted, reduction="none")
        return 10 * (drawn - images).square().mean((1, 2, 3)) + gap

    before, after = objective(ExplainSettings()), objective(ExplainSettings(refine=5))
    assert bool((after <= before + 1e-6).all()) and bool((after < before).any())


def test_a_cold_start_depends_on_its_seed_alone(explainer, images):
    first, second, other = (
        explainer.invert(images, ExplainSettings(start="cold", seed=seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.z1, second.z1) and not torch.equal(first.z1, other.z1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"methods": ("liq",)}, "did you mean 'lig'"),
        ({"refin": 3}, "did you mean 'refine'"),
        ({"refine": -1}, "refine must be at least 0, got -1"),
        ({"frames": 1}, "frames must be at least 2, got 1"),
        ({"target": "healthy"}, "explains the class 'lesion', got 'healthy'"),
    ],
)
def test_wrong_settings_are_said(explainer, images, arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        explainer.explain(images, **arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(2, 1, 16, 16),
        torch.zeros(2, 3, 32, 32),
        torch.zeros(0, 1, 32, 32),
        torch.full((1, 1, 32, 32), torch.nan),
        torch.full((1, 1, 32, 32), 255.0),
    ],
)
def test_wrong_images_are_said(explainer, wrong):
    with pytest.raises(DataError, match="images must"):
        explainer.explain(wrong)


def test_unknown_bundles_are_said(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle 'brian-phantom'"):
        package.load("brian-phantom")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        package.load(tmp_path)


LIMITS = Thresholds(
    reconstruction_error=0.1,
    prediction_gap=0.2,
    structure_length=1.5,
    pathology_length=1.5,
    images=10,
    quantile=0.99,
)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, []),
        ({"reconstruction": 0.2}, ["poor reconstruction"]),
        ({"on_reconstruction": 0.6}, ["prediction gap"]),
        ({"on_reconstruction": 0.4, "before": 0.55}, ["prediction gap", "no flip"]),
        ({"after": 0.7}, ["no flip"]),
        ({"z1": 2.0}, ["code outside the prior"]),
        ({"z2": 2.0, "after": 0.5}, ["no flip", "code outside the prior"]),
    ],
)
def test_each_reason_for_distrust_is_found(change, kinds):
    values = {"reconstruction": 0.0, "before": 0.9, "on_reconstruction": 0.9, "after": 0.1}
    values |= {"z1": 1.0, "z2": 1.0}
    values |= change
    scores = {"image": values["before"], "reconstruction": values["on_reconstruction"]}
    scores["counterfactual"] = values["after"]
    (status,) = judge(
        torch.zeros(1, 1, 4, 4),
        torch.full((1, 1, 4, 4), values["reconstruction"]),
        Latent(torch.full((1, 4), values["z1"]), torch.full((1, 2), values["z2"])),
        {name: torch.tensor([score]) for name, score in scores.items()},
        LIMITS,
    )
    assert [problem.kind for problem in status.problems] == kinds
    assert status.ok == (not kinds)
    assert all(problem.kind in str(status) for problem in status.problems)


def test_warnings_say_which_side_the_model_took():
    """Two sides of 0.5 are a gap at any limit, said as what the model calls them."""
    scores = {"image": 0.306, "reconstruction": 0.662, "counterfactual": 0.9996}
    (status,) = judge(
        torch.zeros(1, 1, 4, 4),
        torch.zeros(1, 1, 4, 4),
        Latent(torch.ones(1, 4), torch.ones(1, 2)),
        {name: torch.tensor([score]) for name, score in scores.items()},
        LIMITS.model_copy(update={"prediction_gap": 0.41}),
    )
    assert [problem.sentence for problem in status.problems] == [
        "prediction gap: the model calls the image negative (0.306) and its reconstruction "
        "positive (0.662)",
        "no flip: the model calls the image negative (0.306), the reconstruction positive (0.662) "
        "and the counterfactual positive (>0.999)",
    ]


@pytest.mark.parametrize("limits", [None, (0.0, 4095.0)])
def test_a_16_bit_data_set_is_read_on_the_scale_of_the_training_data(tiny_bundle, tmp_path, limits):
    explainer = package.load(tiny_bundle, device="cpu")
    explainer.bundle = explainer.bundle.model_copy(update={"intensity_limits": limits})
    ramp = np.linspace(0, 900, 32 * 32).reshape(1, 32, 32).astype(np.uint16)
    np.savez(tmp_path / "scans.npz", images=ramp.repeat(8, 0), labels=[0, 1] * 4)
    data = explainer.open_dataset(tmp_path / "scans.npz")
    assert data.limits == (limits or (0.0, 1023.0))
    assert any("brightest pixel" in note for note in data.notes) == (limits is None)


def test_the_best_slice_is_one_that_the_bundle_can_draw(tiny_bundle, images):
    """However much evidence another one shows; of all where it can draw none."""
    explainer = package.load(tiny_bundle, device="cpu")
    evidence = explainer.classifier.log_odds(images, explainer.target)
    lengths = explainer.encoder(images)[0].square().mean(dim=1).sqrt()
    wide = dict.fromkeys(("reconstruction_error", "structure_length", "pathology_length"), 1e9)
    refused = int(evidence.argmax())
    limit = float(lengths[lengths < lengths[refused]].max())
    within = int(torch.where(lengths <= limit, evidence, -torch.inf).argmax())
    for length, expected in ((1e9, refused), (0.0, refused), (limit, within)):
        limits = explainer.bundle.thresholds.model_copy(update=wide | {"structure_length": length})
        explainer.bundle = explainer.bundle.model_copy(update={"thresholds": limits})
        score = explainer.presentation().score
        assert int(score(images).argmax()) == expected
