"""Deletion, noise, sanity, seconds, and maps with holes: each against a slower way or a limit."""

import pytest
import torch
from torch import Tensor, nn

from known_world import (
    LESION,
    PATCH,
    PATCH_AREA,
    SIZE,
    WithoutEncoder,
    document_of,
    figures_of,
    make_data,
    make_explainer,
    patch,
    values_of,
)
from medxgan.classifiers import TorchClassifier
from medxgan.data import build_dataset
from medxgan.evaluate import Explained, evaluate
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.redrawn import redrawn_classifier
from medxgan.explain.attribution import attributions
from medxgan.metrics.stability import rank_similarity
from medxgan.types import ClassifierSpec

NOISES = ("0.05", "0.1", "0.2")
SHARES = ("0.01", "0.05", "0.1", "0.2")


def the_patch(explained: Explained) -> Tensor:
    return patch().expand_as(explained.images)


def all_but_the_patch(explained: Explained) -> Tensor:
    return 1 - the_patch(explained)


def nothing(explained: Explained) -> Tensor:
    return torch.zeros_like(explained.images)


def difference_with_holes(explained: Explained) -> Tensor:
    """The map of the second image is not a number anywhere, of the third in one pixel."""
    maps = explained.path[-1] - explained.path[0]
    maps[1] = torch.nan
    maps[2, 0, 0, 0] = torch.inf
    return maps


def test_deleting_the_patch_leaves_no_lesion_and_chance_leaves_most_of_it():
    """A tenth of the image holds the patch; outside of it image and counterfactual are the same."""
    maps = {"patch": the_patch, "rest": all_but_the_patch}
    found = evaluate(make_explainer(), make_data(), codes=1, steps=2, methods=(), own_maps=maps)
    chance = drawn_for(found.rows, (SIZE, SIZE), "deletion", 12345, torch.rand)
    threshold = chance.flatten(1).sort(dim=1).values[:, -26]
    taken = (chance >= threshold[:, None, None])[:, *PATCH].sum(dim=(1, 2))
    by_chance = (40 * LESION[:5] * (PATCH_AREA - taken) / PATCH_AREA - 10).sigmoid()
    by_patch = torch.full((5,), -10.0).sigmoid()
    by_rest = (40 * LESION[:5] - 10).sigmoid()
    for name, after in (("patch", by_patch), ("rest", by_rest)):
        falls = found.columns["deletion", name, "counterfactual", "0.1"]
        torch.testing.assert_close(falls, by_chance - after, atol=1e-5, rtol=0)


def test_deletion_fills_in_the_counterfactual_and_not_the_transferred_image():
    """A bar that the generator cannot draw: only the counterfactual is without it."""
    plain = make_data()
    bar = torch.zeros(SIZE, SIZE)
    bar[14] = 1
    barred = plain.images() + 0.3 * bar
    data = build_dataset(barred.numpy(), plain.labels, limits=(-1.0, 1.0))

    def bar_then_row_below(explained: Explained) -> Tensor:
        return (bar + bar.roll(1, 0) / 2).expand_as(explained.images)

    explainer = make_explainer()
    own = {"bar": bar_then_row_below}
    found = evaluate(explainer, data, codes=1, steps=2, methods=(), own_maps=own)
    chance = drawn_for(found.rows, (SIZE, SIZE), "deletion", 12345, torch.rand)
    threshold = chance.flatten(1).sort(dim=1).values[:, -26].view(-1, 1, 1)
    images = barred[found.rows]
    latent = explainer.encode(images)
    negative = explainer.generator(latent.z1, 0 * latent.z2)
    by_chance = torch.where((chance >= threshold)[:, None], negative, images)
    falls = [explainer.classifier(each)[:, 1] for each in (by_chance, images - 0.3 * bar)]
    torch.testing.assert_close(
        found.columns["deletion", "bar", "counterfactual", "0.1"], falls[0] - falls[1]
    )


def test_deletion_by_blur_takes_the_patch_away_too():
    maps = {"patch": the_patch, "rest": all_but_the_patch}
    found = document_of(make_explainer(), make_data(), methods=(), own_maps=maps)["deletion"]
    assert list(found["patch"]["blur"]) == list(SHARES)
    assert found["patch"]["blur"]["0.1"]["low"] > 0 >= found["rest"]["blur"]["0.1"]["value"]
    assert found["patch"]["blur"]["0.1"]["n"] == 5


def test_maps_that_noise_does_not_move_keep_order_and_overlap():
    found = document_of(
        make_explainer(), make_data(), methods=(), own_maps={"patch": the_patch, "nothing": nothing}
    )["noise_robustness"]
    assert values_of(found["patch"]["spearman"]) == {sigma: pytest.approx(1) for sigma in NOISES}
    assert values_of(found["patch"]["iou_ratio"]) == dict.fromkeys(NOISES, 1)
    assert found["patch"]["iou_ratio"]["0.05"]["n"] == 4
    assert found["nothing"]["spearman"]["0.1"]["value"] is None
    assert found["nothing"]["spearman"]["0.1"]["reason"] == "its map is constant on every image"


def test_encoder_and_film_see_the_noise():
    """The patch of the film is read off one pixel: its brightness is the noise's, too."""
    seen: list[Tensor] = []

    def watched(explained: Explained) -> Tensor:
        seen.append(explained.path[-1] - explained.path[0])
        return seen[-1]

    document_of(make_explainer(), make_data(), methods=(), own_maps={"watched": watched})
    clean, *noisy = seen
    assert len(noisy) == len(NOISES)
    changes = [(maps - clean)[(..., *PATCH)].abs().mean() for maps in noisy]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_a_map_lost_under_noise_counts_as_lost():
    """From the second call on, the map is empty: order 0, overlap that of a constant map."""
    calls: list[int] = []

    def once(explained: Explained) -> Tensor:
        calls.append(1)
        return the_patch(explained) if len(calls) == 1 else nothing(explained)

    found = document_of(make_explainer(), make_data(), methods=(), own_maps={"once": once})
    lost = found["noise_robustness"]["once"]
    assert values_of(lost["spearman"]) == dict.fromkeys(NOISES, 0)
    chance = 16 / SIZE**2
    expected = chance / (2 - chance)
    assert values_of(lost["iou_ratio"]) == {sigma: pytest.approx(expected) for sigma in NOISES}


def test_share_of_overlap_is_the_ratio_of_both_means():
    """A map that hits one lesion whole and others by a little, then none: not a mean of ratios."""
    calls: list[int] = []

    def fading(explained: Explained) -> Tensor:
        calls.append(1)
        maps = the_patch(explained).clone()
        if len(calls) == 1:
            maps[1:, :, 5:8] = 0  # a quarter of the patch is left
            maps[1:, :, 12, :12] = 1
        else:
            maps[0] = 0
            maps[0, :, 12:, :4] = 1
        return maps

    found = evaluate(
        make_explainer(), make_data(), codes=1, methods=(), own_maps={"fading": fading}
    )
    clean = found.columns["localization", "fading", "iou"][:4].double()
    kept = found.columns["noise_robustness", "fading", "iou_ratio", "0.1"][:4].double()
    expected = ((kept * clean).sum() / clean.sum()).item()
    figure = found.document["noise_robustness"]["fading"]["iou_ratio"]["0.1"]
    assert figure["value"] == pytest.approx(expected)
    assert figure["value"] != pytest.approx(kept.mean().item(), rel=0.1)


def test_sanity_compares_with_a_classifier_drawn_anew():
    explainer, data = make_explainer(), make_data()
    found = evaluate(explainer, data, codes=1, steps=2, methods=("difference", "ig"), seed=5)
    images = data.images(found.rows)
    anew = redrawn_classifier(explainer.classifier, 5)
    maps = [
        attributions(["ig"], classifier=asked, target=1, images=images, n_steps=2)[0]["ig"]
        for asked in (explainer.classifier, anew)
    ]
    expected = rank_similarity(*(values.abs().sum(dim=1) for values in maps))
    torch.testing.assert_close(found.columns["sanity", "ig"], expected)
    assert abs(found.document["sanity"]["ig"]["value"]) < 0.5
    assert "does not ask the classifier" in found.document["sanity"]["difference"]["reason"]


def test_a_classifier_without_weights_cannot_be_drawn_anew():
    class Brightest(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            evidence = 40 * (images[..., 5, 7] - images[..., 0, 0]) - 10
            return torch.cat([torch.zeros_like(evidence), evidence], dim=1)

    spec = ClassifierSpec(size=SIZE, class_names=("healthy", "lesion"), intensity_range=(-1, 1))
    explainer = make_explainer(classifier=TorchClassifier(Brightest(), spec))
    found = document_of(explainer, make_data(), methods=("ig",), controls=True)
    assert "no weights" in found["sanity"]["ig"]["reason"]
    assert (
        "no weights"
        in found["controls"]["random_classifier"]["ig"]["localization"]["iou"]["reason"]
    )
    assert "no linear layer" in found["realism"]["fid"]["reason"]


def test_seconds_are_those_of_each_method_by_itself():
    found = document_of(
        make_explainer(), make_data(), methods=("ig", "difference"), own_maps={"patch": the_patch}
    )["seconds_per_image"]
    assert list(found)[:2] == ["explanation", "film"]
    for name in ("explanation", "film", "ig", "difference", "patch"):
        assert found[name]["value"] > 0
        assert found[name]["n"] == 5
    assert found["explanation"]["value"] >= found["film"]["value"]
    assert found["lig"]["reason"] == "it was not asked for"


def test_map_that_is_not_a_number_counts_as_failed():
    found = document_of(
        make_explainer(),
        make_data(),
        methods=("difference",),
        own_maps={"holes": difference_with_holes},
    )
    assert found["failed_maps"] == {"difference": 0, "holes": 2}
    for section in ("localization", "localization_smoothed"):
        for name, figure in found[section]["holes"].items():
            whole = found[section]["difference"][name]
            assert figure["n"] == whole["n"] == 4, name
            assert figure["value"] == pytest.approx(whole["value"] / 2), name
    for filling in ("counterfactual", "blur"):
        figure = found["deletion"]["holes"][filling]["0.1"]
        assert (figure["n"], figure["n_missing"]) == (5, 0)
        assert 0 < figure["value"] < found["deletion"]["difference"][filling]["0.1"]["value"]
    spearman = found["noise_robustness"]["holes"]["spearman"]["0.05"]
    assert (spearman["n"], spearman["n_missing"]) == (5, 0)
    whole = found["noise_robustness"]["difference"]["spearman"]["0.05"]["value"]
    assert spearman["value"] == pytest.approx(whole * 3 / 5)


def test_failed_map_of_an_image_without_lesion_stays_undefined():
    def failing(explained: Explained) -> Tensor:
        return torch.full_like(explained.images, torch.nan)

    found = document_of(make_explainer(), make_data(), methods=(), own_maps={"failing": failing})
    iou = found["localization"]["failing"]["iou"]
    assert (iou["value"], iou["n"], iou["n_missing"]) == (0, 4, 1)
    assert found["failed_maps"] == {"failing": 5}


def test_without_an_encoder_no_image_is_inverted_twice():
    explainer = make_explainer(kind=WithoutEncoder)
    found = document_of(explainer, make_data(), methods=("difference", "ig"), controls=True)
    assert explainer.encoded == 8
    for place, figure in figures_of(found["noise_robustness"]):
        expected = "no encoder" if place[0] in ("difference", "ig") else "not asked for"
        assert expected in figure["reason"]
    for _, figure in figures_of(found["controls"]["untrained_generator"]):
        assert "no encoder" in figure["reason"]
    assert found["controls"]["random_direction"]["validity"]["n"] == 5
    assert found["counterfactual"]["validity"]["value"] == 1
