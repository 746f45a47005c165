import json
import math

import numpy as np
import pytest
import torch

from medxgan.errors import DataError
from medxgan.metrics.bootstrap import paired_difference, summary


def test_a_constant_has_no_interval() -> None:
    assert summary(torch.full((20,), 0.25)) == {
        "value": 0.25,
        "low": 0.25,
        "high": 0.25,
        "n": 20,
        "n_missing": 0,
    }


def test_the_interval_is_that_of_the_normal_limit() -> None:
    """Of 10 000 coin tosses the mean is normal, with standard error sqrt(p (1 - p) / n)."""
    tosses = (torch.arange(10_000) % 5 == 0).float()
    figure = summary(tosses)
    half_width = 1.96 * math.sqrt(0.2 * 0.8 / 10_000)
    assert figure["value"] == pytest.approx(0.2)
    assert figure["low"] == pytest.approx(0.2 - half_width, abs=half_width / 10)
    assert figure["high"] == pytest.approx(0.2 + half_width, abs=half_width / 10)


def test_the_interval_equals_a_simple_bootstrap() -> None:
    values = torch.linspace(0, 1, 30) ** 2
    rng = np.random.default_rng(7)
    means = [rng.choice(values.numpy(), 30).mean() for _ in range(20_000)]
    low, high = np.quantile(means, [0.025, 0.975])
    figure = summary(values, resamples=20_000)
    assert figure["low"] == pytest.approx(low, abs=0.01)
    assert figure["high"] == pytest.approx(high, abs=0.01)


def test_patients_are_resampled_as_a_whole() -> None:
    """Ten equal images a patient carry no more than one: same interval, ten times the n."""
    patients = torch.linspace(0, 1, 12)
    groups = [f"patient {number}" for number in range(12) for _ in range(10)]
    by_patient = summary(patients.repeat_interleave(10), groups)
    assert by_patient["n"] == 120
    assert [by_patient[key] for key in ("value", "low", "high")] == pytest.approx(
        [summary(patients)[key] for key in ("value", "low", "high")]
    )
    by_image = summary(patients.repeat_interleave(10))
    assert by_image["high"] - by_image["low"] < (by_patient["high"] - by_patient["low"]) / 2


def test_groups_of_unequal_size_weigh_by_their_images() -> None:
    figure = summary(torch.tensor([1.0, 1.0, 1.0, 0.0]), groups=["a", "a", "a", "b"])
    assert figure["value"] == 0.75
    assert (figure["low"], figure["high"]) == (0, 1)


def test_missing_values_are_counted_and_take_their_group_along() -> None:
    values = torch.tensor([torch.nan, 1.0, 0.0, torch.inf])
    figure = summary(values, groups=["gone", "a", "b", "gone"])
    assert (figure["value"], figure["n"], figure["n_missing"]) == (0.5, 2, 2)


@pytest.mark.parametrize(
    ("values", "missing", "reason"),
    [([], 0, "no values"), ([torch.nan] * 3, 3, "none of 3 values is defined")],
)
def test_nothing_gives_none_and_a_reason(values, missing: int, reason: str) -> None:
    figure = summary(torch.tensor(values))
    assert figure == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "n_missing": missing,
        "reason": reason,
    }


def test_figures_are_plain_json() -> None:
    figure = summary(torch.tensor([0.0, 1.0, torch.nan]))
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_the_seed_decides_and_parts_do_not(monkeypatch) -> None:
    values = torch.linspace(0, 1, 50) ** 3
    figure = summary(values, seed=1)
    assert summary(values, seed=1) == figure
    assert summary(values, seed=2) != figure
    monkeypatch.setattr("medxgan.metrics.bootstrap.LARGEST_DRAW", 50 * 7)
    assert summary(values, seed=1)["value"] == figure["value"]
    assert summary(values, seed=1)["low"] == pytest.approx(figure["low"], abs=0.01)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"one value per image, \[N\], got shape \[2, 2\]"):
        summary(torch.zeros(2, 2))
    with pytest.raises(DataError, match="one group per value, got 1 for 2 values"):
        summary(torch.zeros(2), groups=["a"])
    with pytest.raises(DataError, match=r"values \[2\], weights \[1\]"):
        summary(torch.zeros(2), weights=torch.ones(1))
    with pytest.raises(DataError, match=r"first \[2\], second \[3\]"):
        paired_difference(torch.zeros(2), torch.zeros(3))


def test_weights_make_a_weighted_mean_and_its_bootstrap() -> None:
    values = torch.tensor([0.2, 0.9, torch.nan, 0.5, 0.4])
    weights = torch.tensor([1.0, 3.0, 0.0, 2.0, 0.5])
    figure = summary(values, weights=weights, resamples=20_000)
    v, w = (side[values.isfinite()].numpy() for side in (values, weights))
    assert figure["value"] == pytest.approx((v * w).sum() / w.sum())
    assert (figure["n"], figure["n_missing"]) == (4, 1)
    rng = np.random.default_rng(7)
    drawn = rng.integers(4, size=(20_000, 4))
    low, high = np.quantile((v * w)[drawn].sum(1) / w[drawn].sum(1), [0.025, 0.975])
    assert [figure["low"], figure["high"]] == pytest.approx([low, high], abs=0.02)


def test_equal_weights_are_no_weights() -> None:
    values, groups = torch.linspace(0, 1, 12) ** 2, list("aabbccddeeff")
    plain, weighted = summary(values, groups), summary(values, groups, weights=torch.full((12,), 7))
    assert plain == pytest.approx(weighted)


def test_pairs_are_resampled_together() -> None:
    """Two figures that vary widely over images, but always by the same step: no doubt about it."""
    hard = torch.linspace(0, 1, 20)
    figure = paired_difference(hard + 0.25, hard)
    assert [figure[key] for key in ("value", "low", "high")] == pytest.approx([0.25] * 3)
    apart = [summary(hard + 0.25), summary(hard)]
    assert apart[0]["low"] < apart[1]["high"], "unpaired intervals overlap"


def test_pairs_of_a_patient_are_resampled_as_a_whole() -> None:
    first, second = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([0.5, 0.5, 1.0, 1.0])
    by_patient = paired_difference(first, second, ["a", "a", "b", "b"])
    assert (by_patient["low"], by_patient["high"]) == (-1, 0.5)
    assert by_patient["value"] == -0.25
    assert by_patient == summary(first - second, ["a", "a", "b", "b"])


def test_a_pair_with_a_gap_is_missing() -> None:
    figure = paired_difference(torch.tensor([1.0, torch.nan]), torch.tensor([0.25, 1.0]))
    assert (figure["value"], figure["n"], figure["n_missing"]) == (0.75, 1, 1)
