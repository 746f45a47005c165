"""Measuring, on a world where every figure is known, and against ``Explainer.explain``."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import medxgan
from known_world import (
    GROUND,
    LESION,
    PATCH_AREA,
    PATIENTS,
    SIZE,
    SPEC,
    brightness_oracle,
    document_of,
    figures_of,
    linear_classifier,
    make_data,
    make_explainer,
    patch,
    values_of,
)
from medxgan.data import build_dataset
from medxgan.data.phantom import make_phantoms
from medxgan.errors import ClassifierError, ConfigError, DataError
from medxgan.evaluate import Evaluation, Explained, evaluate
from medxgan.evaluate.counts import count_predictions, count_statuses
from medxgan.evaluate.document import fill, with_medians
from medxgan.evaluate.faithfulness import completeness_columns
from medxgan.evaluate.places import places
from medxgan.explain import METHODS, scores
from medxgan.metrics.bootstrap import summary
from medxgan.metrics.localization import average_precision, evidence
from medxgan.types import Problem, Status

FILM_AND_IG = ("difference", "lig", "lig-published", "ig")
MEASURED = (*FILM_AND_IG, "grad-cam")  # for which the classifier here has no layers


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    explainer = make_explainer(oracle=brightness_oracle())
    return evaluate(explainer, make_data(), codes=40, steps=32, methods=MEASURED)


@pytest.fixture(scope="module")
def metrics(evaluation) -> dict[str, Any]:
    return evaluation.document


def test_perfect_world_has_perfect_figures(metrics):
    assert values_of(metrics["monotonicity"]) == {"spearman": 1, "monotone_paths": 1}
    counterfactual = values_of(metrics["counterfactual"])
    for name in ("validity", "crossing", "transfer_validity", "twin_ssim", "transferred_twin_ssim"):
        assert counterfactual[name] == pytest.approx(1, abs=1e-5)
    assert counterfactual["outside_mask_mae"] == pytest.approx(0, abs=1e-6)
    assert counterfactual["twin_psnr"] > 100
    assert metrics["statuses"]["ok"] == metrics["statuses"]["n"] == 5


def test_lesion_that_the_classifier_missed_is_missing_from_its_reconstruction(metrics):
    error = LESION[5].item() ** 2 * PATCH_AREA / SIZE**2
    reconstruction = values_of(metrics["reconstruction"])
    assert reconstruction["mse"] == pytest.approx(error / 8, rel=1e-4)
    assert reconstruction["prediction_match"] == 1


def test_twin_lacks_the_lesion_and_nothing_else(metrics):
    errors = LESION[:4] ** 2 * PATCH_AREA / SIZE**2
    expected = (10 * torch.log10(4 / errors)).mean().item()
    assert metrics["counterfactual"]["image_twin_psnr"]["value"] == pytest.approx(expected)


def test_evaluation_holds_one_row_for_each_positive(evaluation):
    assert evaluation.rows.tolist() == [0, 1, 2, 3, 4]
    assert evaluation.methods == ("difference", "lig", "lig-published", "ig")
    assert [str(status) for status in evaluation.statuses] == ["ok"] * 5
    assert {values.shape for values in evaluation.columns.values()} == {(5,)}
    iou = evaluation.columns["localization", "difference", "iou"]
    assert iou[:4].tolist() == pytest.approx([1] * 4)
    assert iou[4].isnan()


def test_films_are_the_score_along_the_strengths(evaluation):
    strengths = torch.linspace(0, 1, 11)
    expected = (40 * LESION[:5, None] * strengths - 10).sigmoid()
    torch.testing.assert_close(evaluation.films, expected, atol=1e-5, rtol=0)


def test_every_column_has_its_figure(evaluation):
    figures = dict(figures_of(evaluation.document))
    counted_or_only_in_the_table = {"failed_maps", "probability"}
    with_figure = {at for at in evaluation.columns if at[0] not in counted_or_only_in_the_table}
    assert with_figure <= figures.keys()
    for place in with_figure:
        figure = figures[place]
        both = place[0] == "reconstruction"
        assert figure["n"] + figure["n_missing"] == (8 if both else 5), place


def test_every_image_is_counted(metrics):
    assert metrics["schema"] == 1
    assert metrics["n"] == 8
    assert metrics["reconstruction"]["mse"]["n"] == 8
    assert metrics["counterfactual"]["validity"]["n"] == 5
    assert metrics["predictions"] == {
        "called_positive": 5,
        "called_negative": 3,
        "unlabelled": 0,
        "detected": 4,
        "missed": 1,
        "false_alarms": 1,
    }


def test_agreement_is_that_of_the_codes(metrics):
    explainer = make_explainer()
    z2 = torch.stack([explainer.sample_codes(40, True, 12345 + k)[1] for k in range(3)])
    agreed = (z2.abs() >= 0.25).float().mean().item()
    expected = {"negative": 1, "positive": agreed, "balanced": (1 + agreed) / 2}
    assert values_of(metrics["agreement"]) == pytest.approx(expected)
    assert metrics["agreement"]["positive"]["n"] == 40
    assert metrics["monotonicity_prior"]["paths_of"] == "prior samples"
    assert metrics["monotonicity_prior"]["monotone_paths"]["value"] == 1


@pytest.mark.parametrize("method", ["difference", "lig", "lig-published"])
def test_map_of_the_patch_alone_is_perfect(metrics, method):
    expected = {"iou": 1, "pointing": 1, "average_precision": 1, "dice": 1}
    found = values_of(metrics["localization"][method])
    assert found.pop("concentration") == pytest.approx(SIZE**2 / PATCH_AREA, rel=1e-4)
    assert found == pytest.approx(expected)
    # Smoothing moves evidence out of the patch, but its hottest pixel stays inside.
    smoothed = values_of(metrics["localization_smoothed"][method])
    assert smoothed["pointing"] == 1
    assert 1 < smoothed["concentration"] < SIZE**2 / PATCH_AREA


def test_false_alarm_without_lesion_is_missing_where_a_lesion_is_needed(metrics):
    for figure in (
        metrics["localization"]["difference"]["iou"],
        metrics["counterfactual"]["twin_ssim"],
        metrics["counterfactual"]["outside_mask_mae"],
    ):
        assert (figure["n"], figure["n_missing"]) == (4, 1)


def test_oracle_judges_images_by_its_own_rule_and_patients_are_resampled_together(metrics):
    says_positive = (GROUND[:5] >= -0.5).float()
    assert says_positive.tolist() == [0, 0, 1, 1, 0]
    found = metrics["counterfactual"]
    assert found["oracle_before"] == summary(says_positive, PATIENTS[:5])
    assert found["oracle_before"] != summary(says_positive)


def test_oracle_judges_flips_only_where_it_saw_something_before(metrics):
    """The change leaves the corner alone: the two images that it calls positive stay so."""
    for name in ("oracle_validity", "oracle_transfer_validity"):
        figure = metrics["counterfactual"][name]
        assert (figure["value"], figure["n"], figure["n_missing"]) == (0, 2, 3)


def test_oracle_that_sees_nothing_has_no_flip_rate():
    never = linear_classifier(torch.zeros(SIZE, SIZE), -5.0)
    found = document_of(make_explainer(), make_data(), methods=(), oracle=never)["counterfactual"]
    assert found["oracle_before"]["value"] == 0
    for name in ("oracle_validity", "oracle_transfer_validity"):
        assert (found[name]["value"], found[name]["n_missing"]) == (None, 5)
        assert "the oracle calls none of the images positive" in found[name]["reason"]


def test_given_oracle_goes_before_the_bundles_own():
    always = linear_classifier(torch.zeros(SIZE, SIZE), 5.0)
    explainer = make_explainer(oracle=brightness_oracle())
    found = document_of(explainer, make_data(), codes=1, methods=(), oracle=always)
    assert found["counterfactual"]["oracle_validity"]["value"] == 0
    assert found["counterfactual"]["oracle_before"]["value"] == 1


def test_oracle_finds_the_class_by_name():
    swapped = SPEC.model_copy(update={"class_names": ("lesion", "healthy")})
    found = document_of(
        make_explainer(), make_data(), codes=1, methods=(), oracle=brightness_oracle(swapped)
    )
    says_positive = (GROUND[:5] < -0.5).float().mean().item()
    assert found["counterfactual"]["oracle_before"]["value"] == pytest.approx(says_positive)


def test_exact_integration_adds_up(metrics):
    completeness = metrics["completeness"]
    assert completeness["steps"] == 32
    assert completeness["lig"]["mean"]["n"] == 5
    assert completeness["lig"]["mean"]["value"] < 0.01
    assert completeness["lig"]["median"]["low"] is None
    assert completeness["lig"]["median"]["reason"]


def test_completeness_error_is_the_missing_share():
    probabilities = torch.linspace(0.1, 0.9, 11)[:, None]
    maps = {"lig": torch.full((1, 1, 2, 2), 0.2), "lig-published": torch.full((1, 1, 2, 2), 0.1)}
    columns = completeness_columns(maps | {"ig": maps["lig"]}, probabilities)
    found = {place: values.item() for place, values in columns.items()}
    assert found == pytest.approx(
        {("completeness", "lig", "mean"): 0, ("completeness", "lig-published", "mean"): 0.5},
        abs=1e-6,
    )


def test_median_of_completeness_errors_is_that_of_the_finite_ones():
    errors = torch.tensor([0.1, 0.2, 9.0, torch.nan])
    place = ("completeness", "lig", "mean")
    figures = with_medians({place: summary(errors)}, {place: errors})
    assert figures["completeness", "lig", "median"]["value"] == pytest.approx(0.2)
    assert figures["completeness", "lig", "median"]["n_missing"] == 1


def test_failures_count_as_failures():
    explainer = make_explainer(leak=True)
    found = document_of(explainer, make_data(), codes=40, methods=())
    validity = found["counterfactual"]["validity"]
    assert (validity["value"], validity["n"], validity["n_missing"]) == (pytest.approx(0.8), 5, 0)
    assert found["statuses"]["no flip"] == 1
    assert found["statuses"]["poor reconstruction"] == 1
    assert found["statuses"]["ok"] == 4
    z1 = explainer.sample_codes(40, False, 12345)[0]
    expected = (z1 <= 1).float().mean().item()
    assert found["agreement"]["negative"]["value"] == pytest.approx(expected)


def test_every_figure_is_there_and_every_null_has_a_reason(metrics):
    json.dumps(metrics, allow_nan=False)
    found = dict(figures_of(metrics))
    assert set(places(METHODS)) == set(found)
    for place, figure in found.items():
        assert figure.keys() >= {"value", "low", "high", "n", "n_missing"}, place
        assert figure["value"] is not None or figure["reason"], place
    assert "convolution" in found["localization", "grad-cam", "iou"]["reason"]
    assert found["localization", "occlusion", "iou"]["reason"] == "it was not asked for"


def test_what_the_data_lack_is_the_reason():
    data = make_data(masks=False, twins=False, labels=[-1] * 8)
    found = document_of(make_explainer(), data, codes=1, methods=("difference",), steps=2)
    assert "oracle" in found["counterfactual"]["oracle_validity"]["reason"]
    assert "twins" in found["counterfactual"]["twin_psnr"]["reason"]
    assert "mask" in found["counterfactual"]["outside_mask_mae"]["reason"]
    assert "mask" in found["localization"]["difference"]["iou"]["reason"]
    assert "asked" in found["completeness"]["lig"]["median"]["reason"]
    assert found["predictions"]["detected"] is None
    assert found["predictions"]["reason"] == "no image is labelled"
    assert found["counterfactual"]["validity"]["value"] == 1


def test_without_negatives_all_is_measured():
    found = document_of(make_explainer(), make_data(keep=slice(0, 5)), codes=1, methods=(), steps=1)
    assert found["reconstruction"]["mse"]["n"] == found["counterfactual"]["validity"]["n"] == 5


def test_batches_make_no_difference(metrics, monkeypatch):
    monkeypatch.setattr(scores, "CPU_PIXELS_AT_ONCE", 2 * SIZE**2)
    calls: list[tuple[str, int, int]] = []
    found = document_of(
        make_explainer(oracle=brightness_oracle()),
        make_data(),
        codes=40,
        steps=32,
        methods=MEASURED,
        controls=True,
        progress=lambda *call: calls.append(call),
    )
    whole = dict(figures_of(metrics))
    for place, figure in figures_of(found):
        if place[0] != "seconds_per_image":
            assert figure == pytest.approx(whole[place], abs=1e-3), place
    assert calls[:5] == [*(("scores", done, 8) for done in (2, 4, 6, 8)), ("codes", 2, 40)]
    assert [call for call in calls if call[0] == "positives"] == [
        ("positives", 2, 5),
        ("positives", 4, 5),
        ("positives", 5, 5),
    ]
    assert calls[-1] == ("positives", 5, 5)


def test_a_map_of_ones_own_is_a_name_and_a_function():
    def inverted(explained: Explained) -> Tensor:
        return 1 - patch().expand_as(explained.images)

    found = document_of(
        make_explainer(), make_data(), codes=1, methods=(), own_maps={"inverted": inverted}
    )
    assert found["localization"]["inverted"]["iou"]["value"] == 0
    assert found["localization"]["inverted"]["pointing"]["value"] == 0
    assert found["localization"]["inverted"]["concentration"]["value"] == 0


def test_explained_end_points_are_those_of_the_path():
    path = torch.arange(3.0).view(3, 1, 1, 1, 1)
    explained = Explained(path[0], None, path, torch.zeros(11, 1), path[0], torch.zeros(1))
    assert explained.counterfactual.item() == 0
    assert explained.reconstruction.item() == 2


def test_statuses_with_two_problems_count_for_both():
    both = Status(
        (Problem("no flip", 1.0, 0.5, ""), Problem("code outside the prior", 9.0, 2.0, ""))
    )
    counts = count_statuses([both, Status()])
    assert (counts["n"], counts["ok"], counts["no flip"]) == (2, 1, 1)
    assert (counts["code outside the prior"], counts["poor reconstruction"]) == (1, 0)


def test_predictions_of_unlabelled_images_are_neither_right_nor_wrong():
    counts = count_predictions(np.array([True, True, False]), np.array([-1, 1, -1]), target=1)
    assert (counts["unlabelled"], counts["detected"], counts["false_alarms"]) == (2, 1, 0)


def test_reason_of_an_undefined_mean_is_the_more_telling_one():
    undefined = summary(torch.tensor([torch.nan]))
    document = fill({("a", "b"): undefined}, {("a",): "no masks"}, [("a", "b")])
    assert document["a"]["b"]["reason"] == "no masks"
    assert document["a"]["b"]["n_missing"] == 1
    assert fill({("a",): undefined}, {}, [("a",)])["a"]["reason"] == undefined["reason"]


@pytest.mark.parametrize("name", ["codes", "positives_per_code", "steps"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        evaluate(make_explainer(), make_data(), **{name: 0})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed):
    with pytest.raises(ConfigError, match=f"seed must be 0 to 4294967295, got {seed}"):
        evaluate(make_explainer(), make_data(), seed=seed)


def test_what_the_figures_depend_on_is_kept():
    oracle = brightness_oracle()
    found = evaluate(make_explainer(), make_data(), oracle=oracle, codes=4, steps=2, methods=())
    assert found.settings == {
        "oracle": oracle.fingerprint[:12],
        "methods": [],
        "own maps": [],
        "codes": 4,
        "positives per code": 3,
        "integration steps": 2,
        "inversion steps": 0,
        "controls": True,
        "noise": True,
        "seed": 12345,
        "device": "cpu",
        "images at once": scores.CPU_PIXELS_AT_ONCE // SIZE**2,
    }
    explainer = make_explainer()
    explainer.inversion_steps = 1
    asked = {"codes": 1, "steps": 1, "methods": (), "controls": False}
    other = evaluate(explainer, make_data(), **asked).settings
    assert (other["oracle"], other["inversion steps"], other["controls"]) == (None, 1, False)


def test_noise_can_be_left_out_and_nothing_else_changes(metrics):
    asked = {"codes": 40, "steps": 32, "methods": MEASURED, "controls": True}
    explainer = make_explainer(oracle=brightness_oracle())
    found = document_of(explainer, make_data(), **asked, noise=False)
    whole = dict(figures_of(metrics))
    for place, figure in figures_of(found):
        if place[0] == "noise_robustness":
            assert figure["value"] is None
            assert (figure["reason"] == "noise was not asked for") == (place[1] in FILM_AND_IG)
        elif place[0] != "seconds_per_image":
            assert figure == pytest.approx(whole[place], abs=1e-6), place


def test_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'lig'"):
        evaluate(make_explainer(), make_data(), methods=("ligg",))


def test_name_of_a_method_is_taken():
    with pytest.raises(ConfigError, match="'lig' is a method of this program"):
        evaluate(make_explainer(), make_data(), own_maps={"lig": lambda explained: explained.path})


def test_images_of_another_size_are_refused():
    data = build_dataset(np.zeros((2, 1, 8, 8), dtype=np.uint8), labels=[0, 1])
    with pytest.raises(DataError, match="takes images of 16 pixels and 1 channel"):
        evaluate(make_explainer(), data)


def test_empty_view_is_refused():
    with pytest.raises(DataError, match="at least one image"):
        evaluate(make_explainer(), make_data(keep=slice(0, 0)))


def test_oracle_of_another_disease_is_refused():
    other = SPEC.model_copy(update={"class_names": ("healthy", "fracture")})
    with pytest.raises(ClassifierError, match="no class is named 'lesion'"):
        evaluate(make_explainer(), make_data(), oracle=brightness_oracle(other))


def test_agrees_with_what_explain_shows(tiny_bundle):
    explainer = medxgan.load(tiny_bundle, device="cpu")
    phantoms = make_phantoms("brain", 24, size=32, seed=7)
    data = build_dataset(phantoms.images[:, None], phantoms.labels, masks=phantoms.masks)
    asked = {"methods": ("difference", "grad-cam"), "steps": 4}
    found = document_of(explainer, data, codes=2, **asked)
    masks = list(torch.from_numpy(phantoms.masks))
    shown = explainer.explain(data.images(), masks=masks, **asked)
    positive = [one for one in shown if one.positive]

    assert len(positive) == found["statuses"]["n"] > 0
    assert sum(one.status.ok for one in positive) == found["statuses"]["ok"]
    errors = [(one.image - one.reconstruction).square().mean() for one in shown]
    flips = [one.scores["counterfactual"] < 0.5 for one in positive]
    moved = [one.scores["transferred"] < 0.5 for one in positive]
    for section, name, expected in (
        ("reconstruction", "mse", errors),
        ("counterfactual", "validity", flips),
        ("counterfactual", "transfer_validity", moved),
    ):
        assert found[section][name]["value"] == pytest.approx(float(np.mean(expected)), rel=1e-4)
    for method in asked["methods"]:
        maps = torch.stack([one.attributions[method] for one in positive])
        truth = torch.stack([one.mask for one in positive])
        expected = average_precision(evidence(maps), truth).nanmean().item()
        precision = found["localization"][method]["average_precision"]["value"]
        assert precision == pytest.approx(expected, rel=1e-3)
