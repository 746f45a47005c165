"""Controls know nothing; where ours does not beat one of them, that is said."""

import copy

import pytest
import torch
from torch import Tensor, nn

import medxgan
from known_world import (
    PATCH_AREA,
    PATIENTS,
    SIZE,
    BiasedReader,
    BrightPatch,
    PatchReader,
    document_of,
    figures_of,
    make_data,
    make_explainer,
)
from medxgan.errors import ClassifierError
from medxgan.evaluate import evaluate
from medxgan.evaluate.comparison import compare_with_controls, comparisons
from medxgan.evaluate.controls import random_direction, random_pathology
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.redrawn import networks_of, redrawn, redrawn_classifier, untrained
from medxgan.explainer import Explainer
from medxgan.metrics.localization import average_precision
from medxgan.types import Latent

MAPS = ("difference", "lig", "ig")


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(make_explainer(), make_data(), codes=1, steps=2, methods=MAPS)


def test_all_controls_are_there_with_their_figures(evaluation):
    controls = evaluation.document["controls"]
    localization = {"localization", "localization_smoothed"}
    changes = {"validity", "crossing", "transfer_validity"} | localization
    for name in ("random_direction", "random_pathology", "untrained_generator"):
        assert controls[name].keys() == changes
    assert controls["random_map"].keys() == localization
    assert controls["random_classifier"]["lig"].keys() == localization
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
    for name in ("validity", "crossing", "transfer_validity"):
        assert control[name] == document["counterfactual"][name]
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
    assert not any(text.startswith("validity") for text in sentences)


def test_a_control_without_difference_to_ours_or_better_is_named_and_a_worse_one_is_not():
    ours = torch.tensor([0.9, 0.1, 0.8, 0.2])
    groups = ["a", "b", "c", "d"]

    def sentences(theirs: torch.Tensor) -> list[str]:
        columns = {
            ("localization", "lig", "average_precision"): ours,
            ("controls", "random_map", "localization", "average_precision"): theirs,
        }
        return compare_with_controls(columns, groups).not_beaten

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
        assert comparison.theirs in figures


def test_only_paired_images_count():
    first, second = torch.tensor([1.0, 1.0, torch.nan]), torch.tensor([0.5, torch.nan, 9.0])
    columns = {
        ("counterfactual", "crossing"): second,
        ("controls", "random_direction", "crossing"): first,
    }
    (sentence,) = compare_with_controls(columns, ["a", "b", "c"]).not_beaten
    assert "crossing, 0.500, is not above that of the control random_direction, 1.000" in sentence
    assert sentence.endswith("n = 1")


def test_lead_that_one_patient_alone_can_take_away_is_none():
    """Nine images of one patient are ahead by 0.1, three of another behind by 0.05."""
    lead = torch.tensor([0.1] * 9 + [-0.05] * 3)
    columns = {
        ("localization", "lig", "average_precision"): 0.5 + lead,
        ("controls", "random_map", "localization", "average_precision"): torch.full((12,), 0.5),
    }
    (sentence,) = compare_with_controls(columns, ["a"] * 9 + ["b"] * 3).not_beaten
    assert "difference +0.063, 95 % interval -0.050 to +0.100, n = 12" in sentence
    assert compare_with_controls(columns, list("abcdefghijkl")).not_beaten == []


def test_comparisons_are_those_of_the_patients(evaluation):
    found = evaluation.document["controls"]
    by_patient, by_image = (
        compare_with_controls(evaluation.columns, groups)
        for groups in (PATIENTS[:5], list("abcde"))
    )
    assert by_patient._asdict().items() <= found.items()
    assert by_image.not_beaten != by_patient.not_beaten


def test_comparisons_are_counted_and_so_are_those_that_lack_a_figure(evaluation):
    """Maps that were not asked for lack figures: two of our four, against each of the controls."""
    outcome = compare_with_controls(evaluation.columns, PATIENTS[:5])
    changes = 2 * 3
    maps = 2 * (3 + 1)  # raw and smoothed, against three changes and a random map
    assert outcome.compared == changes + 2 * maps + 2 * 1  # and lig with a random classifier
    assert outcome.not_compared == 2 * maps + 2 * 2
    assert outcome.compared + outcome.not_compared == len(list(comparisons()))
    undefined = {place: values * torch.nan for place, values in evaluation.columns.items()}
    nothing = ([], 0, len(list(comparisons())), [])
    assert compare_with_controls(undefined, PATIENTS[:5]) == nothing


def test_each_comparison_is_kept_in_numbers(evaluation):
    found = evaluation.document["controls"]
    assert len(found["comparisons"]) == found["compared"]
    lost = [one for one in found["comparisons"] if not one["beaten"]]
    assert len(lost) == len(found["not_beaten"])
    for one, sentence in zip(lost, found["not_beaten"], strict=True):
        assert sentence.startswith(f"{one['figure']}, {one['ours']:.3f}, is not above")
        assert f"control {one['control']}, {one['theirs']:.3f}: " in sentence
        assert f"{one['low']:+.3f} to {one['high']:+.3f}, n = {one['n']}" in sentence
        assert one["low"] <= 0
        assert one["method"] in (None, "difference", "lig")
        assert tuple(one["place"]) in dict(figures_of(evaluation.document))
        assert one["few"]


@pytest.mark.parametrize(
    ("images", "patients", "few"), [(9, 9, True), (10, 10, False), (12, 9, True), (12, 10, False)]
)
def test_comparisons_on_few_images_or_patients_are_marked(images, patients, few):
    columns = {
        ("counterfactual", "crossing"): torch.ones(images + 5),
        ("controls", "random_direction", "crossing"): torch.zeros(images + 5),
    }
    columns["counterfactual", "crossing"][images:] = torch.nan
    groups = [str(image % patients) for image in range(images)] + list("abcde")
    (one,) = compare_with_controls(columns, groups).comparisons
    assert (one["n"], one["few"], one["beaten"]) == (images, few, True)


def codes(count: int) -> Latent:
    random = torch.Generator().manual_seed(0)
    return Latent(torch.randn(count, 3, generator=random), torch.randn(count, 2, generator=random))


def test_random_directions_are_as_long_as_z2_and_go_anywhere():
    latent = codes(9)
    moved = random_direction(latent, torch.randn(9, 5))
    steps = torch.cat([moved.z1 - latent.z1, moved.z2 - latent.z2], dim=1)
    torch.testing.assert_close(steps.norm(dim=1), latent.z2.norm(dim=1))
    assert (steps.abs() > 0).all()


def test_random_pathologies_leave_the_structure_alone():
    latent = codes(9)
    moved = random_pathology(latent, torch.randn(9, 2))
    assert moved.z1.equal(latent.z1)
    steps = moved.z2 - latent.z2
    torch.testing.assert_close(steps.norm(dim=1), latent.z2.norm(dim=1))
    assert (steps.abs() > 0).all()


def change_by_hand(
    explainer: Explainer, images: Tensor, masks: Tensor, start: Tensor, end: Tensor
) -> dict[tuple[str, ...], Tensor]:
    """The figures of one change, asked for one after another."""

    def negative(asked: Tensor) -> Tensor:
        return explainer.classifier(asked)[:, 1] < 0.5

    return {
        ("validity",): negative(end).float(),
        ("crossing",): (~negative(start) & negative(end)).float(),
        ("transfer_validity",): negative((images + end - start).clamp(-1, 1)).float(),
        ("localization", "average_precision"): average_precision((start - end)[:, 0].abs(), masks),
    }


@pytest.mark.parametrize("control", ["random_direction", "random_pathology", "untrained_generator"])
@pytest.mark.parametrize("encoder", [PatchReader, BiasedReader])
def test_controls_are_changes_of_their_own_reconstruction(control, encoder):
    """With the moved codes in hand; a leak and a biased encoder make all answers differ."""
    explainer, data = make_explainer(leak=True, encoder=encoder()), make_data()
    found = evaluate(explainer, data, codes=1, steps=2, methods=(), seed=13)
    images, masks = data.images(found.rows), data.mask_images(found.rows)[0]
    made_by = untrained(explainer, 13) if control == "untrained_generator" else explainer
    latent = made_by.encode(images)
    ends = {
        "random_direction": random_direction(
            latent, drawn_for(found.rows, (2,), "random direction", 13)
        ),
        "random_pathology": random_pathology(
            latent, drawn_for(found.rows, (1,), "random pathology", 13)
        ),
        "untrained_generator": Latent(latent.z1, 0 * latent.z2),
    }
    with torch.no_grad():
        start, end = (made_by.generator(one.z1, one.z2) for one in (latent, ends[control]))
        expected = change_by_hand(explainer, images, masks, start, end)
    for place, values in expected.items():
        torch.testing.assert_close(
            found.columns["controls", control, *place], values, equal_nan=True, msg=str(place)
        )


def test_picture_that_was_never_positive_is_valid_and_crosses_nothing():
    """A generator that draws nothing but grey: all its pictures are negative from the start."""

    class Blank(BrightPatch):
        def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
            return super().forward(z1, 0 * z2)

    explainer = make_explainer()
    explainer.generator = Blank(leak=False)
    found = evaluate(explainer, make_data(), codes=1, steps=2, methods=())
    for section in (
        found.document["counterfactual"],
        found.document["controls"]["untrained_generator"],
    ):
        assert (section["validity"]["value"], section["crossing"]["value"]) == (1, 0)
    assert found.document["monotonicity"]["monotone_paths"]["value"] == 1
    assert found.document["statuses"]["no flip"] == 5
    sentences = found.document["controls"]["not_beaten"]
    assert any(text.startswith("crossing, 0.000") for text in sentences)


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
