"""Measuring, on a world where every figure is known, and against ``Explainer.explain``."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import medxgan
from medxgan.bundle import Bundle, Manifest, Thresholds, record_classifier
from medxgan.classifiers import TorchClassifier
from medxgan.config import NetworkSettings
from medxgan.data import Dataset, build_dataset
from medxgan.data.phantom import make_phantoms
from medxgan.errors import ClassifierError, ConfigError, DataError
from medxgan.evaluate import Explained, evaluate
from medxgan.evaluate.columns import completeness_columns
from medxgan.evaluate.document import fill, places, with_medians
from medxgan.evaluate.measure import count_predictions
from medxgan.evaluate.passes import count_statuses
from medxgan.explain import METHODS, scores
from medxgan.explainer import Explainer
from medxgan.metrics.bootstrap import summary
from medxgan.metrics.localization import average_precision, evidence
from medxgan.networks.encoder import Posterior
from medxgan.types import ClassifierSpec, Problem, Status

SIZE = 16
PATCH = (slice(4, 8), slice(6, 10))
PATCH_AREA = 16
MEASURED = ("difference", "lig", "lig-published", "ig", "grad-cam")
SPEC = ClassifierSpec(
    size=SIZE, class_names=("healthy", "lesion"), intensity_range=(-1.0, 1.0), output="logits"
)


def patch() -> Tensor:
    mask = torch.zeros(SIZE, SIZE)
    mask[PATCH] = 1
    return mask


class BrightPatch(nn.Module):
    """Draws a grey image of brightness z1 / 10 - 0.5, with a patch brighter by |z2|, at most 1.

    With ``leak`` the patch stays, brighter by 0.3, in the negatives of images brighter than -0.4.
    """

    def __init__(self, leak: bool) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        lesion = z2.abs().clamp(max=1) + 0.3 * (z1 > 1) * self.leak
        return (z1 / 10 - 0.5)[..., None, None] + lesion[..., None, None] * patch()

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        return torch.stack([self(z1, t * z2) for t in strengths])


class PatchReader(nn.Module):
    """Reads both codes of such an image without error."""

    def forward(self, images: Tensor) -> tuple[Posterior, Posterior]:
        ground = images[:, :, 0, 0]
        lesion = images[:, :, 5, 7] - ground
        return tuple(Posterior(code, torch.zeros_like(code)) for code in (10 * ground + 5, lesion))


def linear_classifier(weight: Tensor, bias: float, spec: ClassifierSpec = SPEC) -> TorchClassifier:
    """Log-odds of a lesion: ``weight . x + bias``."""
    layer = nn.Linear(SIZE * SIZE, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(SIZE * SIZE), weight.flatten()]))
        layer.bias.copy_(torch.tensor([0.0, bias]))
    return TorchClassifier(nn.Sequential(nn.Flatten(), layer), spec)


def contrast_classifier() -> TorchClassifier:
    """Positive where the patch is brighter than its surroundings by 0.25 or more."""
    outside = 1 - patch()
    return linear_classifier(40 * (patch() / patch().sum() - outside / outside.sum()), -10.0)


def brightness_oracle(spec: ClassifierSpec = SPEC) -> TorchClassifier:
    """Positive where the corner is brighter than -0.5, whatever the patch."""
    weight = torch.zeros(SIZE, SIZE)
    weight[0, 0] = 100
    return linear_classifier(weight, 50.0, spec)


def make_explainer(*, leak: bool = False, oracle: TorchClassifier | None = None) -> Explainer:
    classifier = contrast_classifier()
    manifest = Manifest(
        name="known-world",
        target=1,
        network=NetworkSettings(structure_code=1, pathology_code=1),
        classifier=record_classifier(classifier),
        thresholds=Thresholds(
            reconstruction_error=0.01,
            prediction_gap=0.1,
            structure_length=5.0,
            pathology_length=5.0,
            images=10,
            quantile=0.99,
        ),
        training={},
        metrics={},
        data_licence="none",
        generator_version="0",
    )
    bundle = Bundle(manifest, BrightPatch(leak), PatchReader(), classifier, oracle)
    return Explainer(bundle, torch.device("cpu"))


GROUND = torch.tensor([-0.6, -0.55, -0.45, -0.35, -0.6, -0.6, -0.45, -0.5])
LESION = torch.tensor([0.5, 0.6, 0.7, 0.5, 0.5, 0.1, 0.0, 0.0])
LABELS = [1, 1, 1, 1, 0, 1, 0, 0]  # the fifth is a false alarm, the sixth is missed
PATIENTS = ["a", "a", "b", "b", "c", "c", "d", "d"]


def make_data(
    *, masks: bool = True, twins: bool = True, labels: list[int] = LABELS, keep: slice = slice(None)
) -> Dataset:
    codes = (GROUND[:, None] * 10 + 5, LESION[:, None])
    pixels = BrightPatch(leak=False)(*codes)
    lesions = patch().bool() & (torch.tensor(LABELS) == 1)[:, None, None]
    healthy = torch.where(lesions[:, None], GROUND.view(-1, 1, 1, 1), pixels)
    data = build_dataset(
        pixels.numpy(),
        labels=labels,
        limits=(-1.0, 1.0),
        class_names=SPEC.class_names,
        split=[2] * len(labels),
        groups=PATIENTS,
        masks=lesions.numpy() if masks else None,
        twins=healthy.numpy() if twins else None,
    )
    return data.take(keep)


def figures_of(section: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every figure of a document with its place."""
    if isinstance(section, dict) and "value" in section:
        yield place, section
    elif isinstance(section, dict):
        for name, part in section.items():
            yield from figures_of(part, (*place, name))


def values_of(section: dict[str, Any]) -> dict[str, float | None]:
    return {place[-1]: figure["value"] for place, figure in figures_of(section)}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    explainer = make_explainer(oracle=brightness_oracle())
    return evaluate(
        explainer,
        make_data(),
        codes=40,
        steps=32,
        methods=("difference", "lig", "lig-published", "ig", "grad-cam"),
    )


def test_perfect_world_has_perfect_figures(metrics):
    assert values_of(metrics["monotonicity"]) == {"spearman": 1, "monotone_paths": 1}
    counterfactual = values_of(metrics["counterfactual"])
    for name in ("validity", "transfer_validity", "twin_ssim", "transferred_twin_ssim"):
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
    expected = {"iou": 1, "pointing": 1, "average_precision": 1}
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
    says_negative = (GROUND[:5] < -0.5).float()
    patients = PATIENTS[:5]
    assert metrics["counterfactual"]["oracle_validity"] == summary(says_negative, patients)
    assert metrics["counterfactual"]["oracle_transfer_validity"] == summary(says_negative, patients)
    assert metrics["counterfactual"]["oracle_before"] == summary(1 - says_negative, patients)
    assert metrics["counterfactual"]["oracle_validity"] != summary(says_negative)


def test_given_oracle_goes_before_the_bundles_own():
    always = linear_classifier(torch.zeros(SIZE, SIZE), 5.0)
    explainer = make_explainer(oracle=brightness_oracle())
    found = evaluate(explainer, make_data(), codes=1, methods=(), oracle=always)
    assert found["counterfactual"]["oracle_validity"]["value"] == 0
    assert found["counterfactual"]["oracle_before"]["value"] == 1


def test_oracle_finds_the_class_by_name():
    swapped = SPEC.model_copy(update={"class_names": ("lesion", "healthy")})
    found = evaluate(
        make_explainer(), make_data(), codes=1, methods=(), oracle=brightness_oracle(swapped)
    )
    says_negative = (GROUND[:5] >= -0.5).float().mean().item()
    assert found["counterfactual"]["oracle_validity"]["value"] == pytest.approx(says_negative)


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
    found = evaluate(explainer, make_data(), codes=40, methods=())
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
    assert found["deletion", "lig"]["reason"] == "this version does not measure it"


def test_what_the_data_lack_is_the_reason():
    data = make_data(masks=False, twins=False, labels=[-1] * 8)
    found = evaluate(make_explainer(), data, codes=1, methods=("difference",), steps=2)
    assert "oracle" in found["counterfactual"]["oracle_validity"]["reason"]
    assert "twins" in found["counterfactual"]["twin_psnr"]["reason"]
    assert "mask" in found["counterfactual"]["outside_mask_mae"]["reason"]
    assert "mask" in found["localization"]["difference"]["iou"]["reason"]
    assert "asked" in found["completeness"]["lig"]["median"]["reason"]
    assert found["predictions"]["detected"] is None
    assert found["predictions"]["reason"] == "no image is labelled"
    assert found["counterfactual"]["validity"]["value"] == 1


def test_without_positives_only_their_figures_are_null():
    found = evaluate(make_explainer(), make_data(keep=slice(5, 8)), codes=1, steps=2)
    why = "the classifier calls none of the 3 images positive"
    for section in ("monotonicity", "counterfactual", "localization", "completeness"):
        assert {figure.get("reason") for _, figure in figures_of(found[section])} == {why}
    assert found["seconds_per_image"]["reason"] == why
    assert found["statuses"]["n"] == 0
    assert found["reconstruction"]["prediction_match"]["n"] == 3


def test_without_negatives_all_is_measured():
    found = evaluate(make_explainer(), make_data(keep=slice(0, 5)), codes=1, methods=(), steps=1)
    assert found["reconstruction"]["mse"]["n"] == found["counterfactual"]["validity"]["n"] == 5


def test_batches_make_no_difference(metrics, monkeypatch):
    monkeypatch.setattr(scores, "CPU_PIXELS_AT_ONCE", 2 * SIZE**2)
    calls: list[tuple[str, int, int]] = []
    found = evaluate(
        make_explainer(oracle=brightness_oracle()),
        make_data(),
        codes=40,
        steps=32,
        methods=MEASURED,
        progress=lambda *call: calls.append(call),
    )
    whole = dict(figures_of(metrics))
    for place, figure in figures_of(found):
        if place != ("seconds_per_image",):
            assert figure == pytest.approx(whole[place], abs=1e-3), place
    assert calls[:2] == [("codes", 2, 40), ("codes", 4, 40)]
    assert [call for call in calls if call[0] == "positives"] == [
        ("positives", 2, 5),
        ("positives", 4, 5),
        ("positives", 5, 5),
    ]
    assert calls[-1] == ("positives", 5, 5)


def test_a_map_of_ones_own_is_a_name_and_a_function():
    def inverted(explained: Explained) -> Tensor:
        return 1 - patch().expand_as(explained.images)

    found = evaluate(
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
    found = evaluate(explainer, data, codes=2, **asked)
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


@pytest.fixture(scope="module")
def bundle_quality() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "bundle_quality.py"
    spec = importlib.util.spec_from_file_location("bundle_quality", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_benchmark_prints_one_json_and_the_table(
    tiny_bundle, bundle_quality, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "deep" / "metrics.json"
    options = [
        "--kind",
        "brain",
        "--count",
        "12",
        "--codes",
        "2",
        "--steps",
        "2",
        "--table",
        "--out",
        str(out),
    ]
    monkeypatch.setattr("sys.argv", ["bundle_quality", str(tiny_bundle), *options])
    bundle_quality.main()
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == json.loads(out.read_text())
    assert (found["n"], found["agreement"]["negative"]["n"]) == (12, 2)
    assert found["measured"]["data"] == "brain phantoms, seed 12345"
    for label in bundle_quality.PHANTOM_LIMITS:
        assert label in printed.err


def test_benchmark_says_in_one_sentence_what_is_wrong(bundle_quality, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundle_quality", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        bundle_quality.main()
    assert ended.value.code == 2
    assert "there is no bundle 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("relation", "value", "holds"),
    [
        (">=", 0.5, True),
        (">", 0.5, False),
        ("<", 0.4, True),
        ("<", 0.5, False),
        (">=", None, False),
    ],
)
def test_limit_of_acceptance(bundle_quality, relation, value, holds):
    assert bundle_quality.Limit(lambda metrics: value, relation, 0.5).holds(value) is holds


def test_lead_leaves_out_what_is_null(bundle_quality):
    methods = {
        method: {"average_precision": {"value": value}}
        for method, value in {
            "difference": 0.5,
            "lig": 0.8,
            "lig-transferred": None,
            "lig-published": 0.1,
            "ig": 0.7,
            "grad-cam": None,
        }.items()
    }
    assert bundle_quality.precision_lead("maps")({"maps": methods}) == pytest.approx(0.1)
    nulls = {method: {"average_precision": {"value": None}} for method in methods}
    assert bundle_quality.precision_lead("maps")({"maps": nulls}) is None


def test_kind_of_phantom_comes_from_the_names(bundle_quality):
    assert bundle_quality.phantom_kind("mine", "chest-6400.npz") == "chest"
    assert bundle_quality.phantom_kind("brain-phantom", "phantoms.npz") == "brain"
    with pytest.raises(ConfigError, match="give --kind"):
        bundle_quality.phantom_kind("legs", "knees")
