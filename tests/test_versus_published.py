"""The benchmark that holds ours against the published method: its table, and a tiny comparison."""

import json
from types import ModuleType

import pytest
import torch

from medxgan.config import PRESETS
from medxgan.training import calibration

HALF = {"value": 0.5, "low": 0.4, "high": 0.6}


@pytest.fixture(scope="module")
def versus() -> ModuleType:
    import versus_published

    return versus_published


@pytest.fixture(scope="module")
def tabled(versus) -> ModuleType:
    import versus_table

    return versus_table


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"value": 0.5}, "level"),
        ({"value": 0.75, "low": 0.61, "high": 0.8}, "ahead, intervals apart"),
        ({"value": 0.75, "low": 0.6, "high": 0.8}, "ahead"),
        ({"value": 0.25}, "behind by 0.250"),
        ({"value": 0.25, "low": 0.2, "high": 0.3}, "behind by 0.250, intervals apart"),
        ({"value": None}, "not measured"),
    ],
)
def test_each_of_our_columns_is_ahead_or_behind(tabled, own, words):
    row = tabled.same("validity", "counterfactual", "validity")
    assert tabled.who_is_ahead(row, HALF, own, {"value": 0.5}) == f"ours {words}; refined level"
    assert tabled.who_is_ahead(row, HALF, {"value": 0.5}, own) == f"ours level; refined {words}"


def test_of_errors_the_lower_is_ahead(tabled):
    row = tabled.same("mse", "reconstruction", "mse", lower_is_better=True, refinable=False)
    ours = {"value": 0.25, "low": 0.2, "high": 0.3}
    assert tabled.who_is_ahead(row, HALF, ours, tabled.NOTHING) == "ours ahead, intervals apart"
    behind = tabled.who_is_ahead(row, ours, HALF, tabled.NOTHING)
    assert behind == "ours behind by 0.250, intervals apart"


def test_baselines_are_called_by_their_names(tabled):
    rivals = {row.published[1]: row.rival for row in tabled.rows() if row.digits == 3}
    assert (rivals["ig"], rivals["grad-cam"], rivals["difference"]) == (
        "ig",
        "grad-cam",
        "published",
    )
    row = next(row for row in tabled.rows() if row.rival == "ig")
    words = tabled.who_is_ahead(row, HALF, {"value": 0.25}, {"value": 0.5})
    assert words == "ours behind ig by 0.250; refined level"


def test_speed_is_told_as_a_ratio(tabled):
    row = tabled.same("seconds", "inversion", lower_is_better=True)
    words = tabled.who_is_ahead(row, {"value": 50.0}, {"value": 0.01}, {"value": 100.0})
    assert words == "ours ahead, 5e+03 times; refined behind, 2 times"


@pytest.mark.parametrize(
    ("published", "ours", "words"),
    [
        (None, 5, "ahead"),
        (5, None, "behind"),
        (None, None, "level: neither"),
        (60, 3, "ahead, 20 times"),
    ],
)
def test_never_reached_is_a_result(tabled, published, ours, words):
    row = tabled.same("images", "until", "both", lower_is_better=True, refinable=False)
    found = tabled.who_is_ahead(row, {"value": published}, {"value": ours}, tabled.NOTHING)
    assert found == f"ours {words}"


def test_agreement_is_reached_when_both_classes_are_at_once(versus, tmp_path):
    log = tmp_path / "log.jsonl"
    shares = [(1.0, 0.2), (0.2, 1.0), (0.95, 0.96), (1.0, 1.0)]
    log.write_text(
        "".join(
            json.dumps(
                {
                    "images": 100 * number,
                    "prior_agreement_negative": negative,
                    "prior_agreement_positive": positive,
                }
            )
            + "\n"
            for number, (negative, positive) in enumerate(shares, start=1)
        )
    )
    assert versus.images_until(log) == {"negative": 100, "positive": 200, "both": 300}


@pytest.fixture
def tiny(monkeypatch):
    """The published preset with networks of a few channels; calibration of two steps."""
    published = PRESETS["published"]
    sizes = {"structure_code": 8, "pathology_code": 2, "maximum_width": 8}
    run = {"batch_size": 8, "checkpoint_every": 16}
    monkeypatch.setitem(PRESETS, "published", published | {"network": sizes, "run": run})
    monkeypatch.setattr(calibration, "COLD_STEPS", 2)


def run(versus, monkeypatch, *options: object) -> None:
    given = [str(option) for option in options]
    monkeypatch.setattr("sys.argv", ["versus_published", *given, "--device", "cpu"])
    versus.main()


def test_both_are_trained_inverted_compared_and_kept(
    versus, tabled, tiny, phantom_archive, classifier_file, other_classifier_file,
    tmp_path, monkeypatch, capsys,
):  # fmt: skip
    options = (
        "--data", phantom_archive, "--classifier", classifier_file,
        "--oracle", other_classifier_file, "--images", 8, "--codes", 4,
        "--inversion-steps", 3, "--inverted", 3, "--preset", "tiny", "--out", tmp_path,
    )  # fmt: skip
    run(versus, monkeypatch, *options)
    printed = capsys.readouterr().out
    kept = {file: file.read_bytes() for file in (tmp_path / "images").rglob("*") if file.is_file()}
    run(versus, monkeypatch, *options, "--minutes", 0.001)
    more = capsys.readouterr().out
    assert more.startswith(printed) and "The same wall time" in more
    assert all(file.read_bytes() == content for file, content in kept.items())

    tables = json.loads((tmp_path / "versus_published.json").read_text())["tables"]
    assert list(tables) == ["images", "minutes"]
    for found in tables.values():
        labels = [row.label for row in tabled.rows()]
        assert [line[""] for line in found["rows"]] == labels
        assert all(label in printed for label in labels)
        for column in ("published", "ours", "ours refined"):
            assert found["figures"][column]["n"] == 3
            assert found["figures"][column]["inversion"]["value"] > 0
            assert found["figures"][column]["seconds_per_image"]["explanation"]["value"] is None
        maps = found["figures"]["published"]["localization"]
        assert maps["grad-cam"]["average_precision"]["n"] == 3
        assert "3 test positives inverted as one batch: published in 3 steps" in found["budget"]

    for changed, message in (
        (("--images", 16), "holds a run with other settings"),
        (("--seed", 2), "holds what was made with another seed"),
        (
            ("--oracle", classifier_file, "--classifier", other_classifier_file),
            "another classifier",
        ),
    ):
        with pytest.raises(SystemExit) as ended:
            run(versus, monkeypatch, *options, *changed)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_known_codes_are_looked_up_and_others_inverted(
    versus, tiny_bundle, phantom_archive, tmp_path
):
    from medxgan.data import open_dataset

    explainer = versus.Inverted(tiny_bundle, None, torch.device("cpu"), 0)
    images = open_dataset(phantom_archive).images(slice(0, 3))
    plain = explainer.encode(images)
    explainer.remember(images[:2], tmp_path / "codes.safetensors")
    assert explainer.seconds > 0
    for rows in (slice(0, 2), slice(0, 3)):
        torch.testing.assert_close(explainer.encode(images[rows]).z1, plain.z1[rows])
    kept = (tmp_path / "codes.safetensors").read_bytes()
    explainer.remember(images[:2], tmp_path / "codes.safetensors")
    assert (tmp_path / "codes.safetensors").read_bytes() == kept
    explainer.remember(images, tmp_path / "codes.safetensors")
    assert (tmp_path / "codes.safetensors").read_bytes() != kept
