"""Controls know nothing; where ours does not beat one of them, that is said."""

import copy

import pytest
import torch
from torch import nn

import medxgan
from known_world import (
    PATCH_AREA,
    SIZE,
    document_of,
    figures_of,
    make_data,
    make_explainer,
)
from medxgan.errors import ClassifierError
from medxgan.evaluate import evaluate
from medxgan.evaluate.comparison import comparisons, not_beaten
from medxgan.evaluate.controls import random_direction
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.redrawn import networks_of, redrawn, redrawn_classifier, untrained
from medxgan.metrics.localization import average_precision
from medxgan.types import Latent

MAPS = ("difference", "lig", "ig")


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(make_explainer(), make_data(), codes=1, steps=2, methods=MAPS)


def test_all_controls_are_there_with_their_figures(evaluation):
    controls = evaluation.document["controls"]
    localization = {"localization", "localization_smoothed"}
    changes = {"validity", "transfer_validity"} | localization
    assert controls["random_direction"].keys() == changes
    assert controls["untrained_generator"].keys() == changes
    assert controls["random_map"].keys() == localization
    assert controls["random_classifier"]["lig"].keys() == {"localization"}
    assert controls["random_classifier"]["ig"]["localization"]["iou"]["n"] == 4
    why = controls["random_classifier"]["difference"]["localization"]["iou"]["reason"]
    assert "does not ask the classifier" in why


def test_a_random_map_finds_the_lesion_by_chance(evaluation):
    found = evaluation.document["controls"]["random_map"]["localization"]
    chance = PATCH_AREA / SIZE**2
    assert found["average_precision"]["value"] == pytest.approx(chance, abs=0.1)
    assert found["concentration"]["value"] == pytest.approx(1, abs=0.3)


def test_a_network_without_weights_is_a_control_that_cannot_be_beaten(evaluation):
    """The known world draws without weights: drawn anew, it draws the same, and that is said."""
    document = evaluation.document
    control = document["controls"]["untrained_generator"]
    assert control["validity"] == document["counterfactual"]["validity"]
    for section in ("localization", "localization_smoothed"):
        for name, figure in control[section].items():
            assert figure == document[section]["difference"][name]
    sentences = document["controls"]["not_beaten"]
    assert (
        "average precision of difference, 1.000, is not above that of the control "
        "untrained_generator, 1.000: difference +0.000, 95 % interval +0.000 to +0.000, n = 4"
    ) in sentences
    assert any(text.startswith("transfer validity, 1.000") for text in sentences)
    assert not any("random_map" in text for text in sentences)
    assert not any(" of ig" in text for text in sentences), "ig is no map of ours"


def test_a_control_without_difference_to_ours_or_better_is_named_and_a_worse_one_is_not():
    ours = torch.tensor([0.9, 0.1, 0.8, 0.2])
    groups = ["a", "b", "c", "d"]

    def sentences(theirs: torch.Tensor) -> list[str]:
        columns = {
            ("localization", "lig", "average_precision"): ours,
            ("controls", "random_map", "localization", "average_precision"): theirs,
        }
        return not_beaten(columns, groups)

    assert sentences(ours - 0.05) == []
    assert len(sentences(ours)) == 1
    assert sentences(ours + 0.05) == [
        "average precision of lig, 0.500, is not above that of the control random_map, 0.550: "
        "difference -0.050, 95 % interval -0.050 to -0.050, n = 4"
    ]
    # Pairs differ either way, whatever the means: nothing is shown.
    assert len(sentences(ours.flip(0) - 0.05)) == 1
    assert sentences(torch.full((4,), torch.nan)) == []


def test_what_is_compared_stands_in_the_document(evaluation):
    figures = dict(figures_of(evaluation.document))
    for comparison in comparisons():
        assert comparison.ours in figures
        assert comparison.theirs in figures or comparison.theirs[-2] == "localization_smoothed"


def test_only_paired_images_count():
    first, second = torch.tensor([1.0, 1.0, torch.nan]), torch.tensor([0.5, torch.nan, 9.0])
    columns = {
        ("counterfactual", "validity"): second,
        ("controls", "random_direction", "validity"): first,
    }
    (sentence,) = not_beaten(columns, ["a", "b", "c"])
    assert "validity, 0.500, is not above that of the control random_direction, 1.000" in sentence
    assert sentence.endswith("n = 1")


def test_random_directions_are_as_long_as_z2_and_go_anywhere():
    random = torch.Generator().manual_seed(0)
    latent = Latent(torch.randn(9, 3, generator=random), torch.randn(9, 2, generator=random))
    moved = random_direction(latent, torch.randn(9, 5, generator=random))
    steps = torch.cat([moved.z1 - latent.z1, moved.z2 - latent.z2], dim=1)
    torch.testing.assert_close(steps.norm(dim=1), latent.z2.norm(dim=1))
    assert (steps.abs() > 0).all()


def test_validity_is_asked_of_the_moved_image_and_transfer_of_the_original_with_the_change():
    """Each image by itself, with the moved codes in hand; a leak makes both answers differ."""
    explainer, data = make_explainer(leak=True), make_data()
    found = evaluate(explainer, data, codes=1, steps=2, methods=(), seed=13)
    images = data.images(found.rows)
    latent = explainer.encode(images)
    moved = random_direction(latent, drawn_for(found.rows, (2,), "random direction", 13))
    drawn, changed = (explainer.generator(one.z1, one.z2) for one in (latent, moved))
    transferred = (images + changed - drawn).clamp(-1, 1)
    expected = [(explainer.classifier(each)[:, 1] < 0.5).float() for each in (changed, transferred)]
    assert not expected[0].equal(expected[1])
    place = ("controls", "random_direction")
    assert found.columns[*place, "validity"].equal(expected[0])
    assert found.columns[*place, "transfer_validity"].equal(expected[1])
    heat = (drawn - changed)[:, 0].abs()
    precision = average_precision(heat, data.mask_images(found.rows)[0])
    torch.testing.assert_close(
        found.columns[*place, "localization", "average_precision"], precision, equal_nan=True
    )


def test_without_controls_only_sanity_asks_the_classifier_drawn_anew():
    found = document_of(make_explainer(), make_data(), methods=("ig",))
    assert found["sanity"]["ig"]["value"] is not None
    for place, figure in figures_of(found["controls"]):
        assert figure["reason"] == "controls were not asked for", place
    assert found["controls"]["not_beaten"] == []


def test_all_weights_are_drawn_anew_and_the_network_itself_is_left_alone(tiny_bundle):
    explainer = medxgan.load(tiny_bundle, device="cpu")
    for name, network in networks_of(explainer).items():
        before = copy.deepcopy(network.state_dict())
        state = torch.random.get_rng_state()
        blank = redrawn(network, 1)
        assert torch.random.get_rng_state().equal(state)
        after = blank.state_dict()
        for key, weights in network.state_dict().items():
            assert weights.equal(before[key])
            if weights.numel() > 1 and weights.std() > 0:
                assert not after[key].equal(weights), f"{name}.{key}"
        assert all(
            value.equal(redrawn(network, 1).state_dict()[key]) for key, value in after.items()
        )


def test_untrained_explainer_shares_the_classifier_and_nothing_else(tiny_bundle):
    explainer = medxgan.load(tiny_bundle, device="cpu")
    blank = untrained(explainer, 3)
    assert blank.classifier is explainer.classifier
    images = torch.rand(4, 1, 32, 32) * 2 - 1
    assert not blank.encode(images).z1.allclose(explainer.encode(images).z1)
    z1, z2 = explainer.sample_codes(2, positive=True)
    assert not blank.generator(z1, z2).allclose(explainer.generator(z1, z2))
    assert len(networks_of(explainer)) == 2


def test_classifier_drawn_anew_keeps_its_specification(balanced_classifier):
    classifier = balanced_classifier(0)
    anew = redrawn_classifier(classifier, 0)
    assert anew.spec == classifier.spec
    assert anew.fingerprint != classifier.fingerprint
    classifier.module = nn.Flatten()
    with pytest.raises(ClassifierError, match="no weights"):
        redrawn_classifier(classifier, 0)
