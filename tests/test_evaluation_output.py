"""What an evaluation leaves behind: files, rows, the order of the worst cases, tables."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

import medxgan
from conftest import make_bundle
from evaluations import (
    METHODS,
    SETTINGS,
    comparison,
    figure,
    lose,
    make_evaluation,
    null,
)
from medxgan.bundle import save_bundle
from medxgan.data import Dataset, open_dataset
from medxgan.errors import OutputError
from medxgan.evaluate import Evaluation, evaluate
from medxgan.evaluate.output import caution_of, print_evaluation, write_evaluation, writing
from medxgan.evaluate.output.rows import table_text
from medxgan.evaluate.output.terminal import (
    control_lines,
    count_lines,
    figures_table,
    lost_table,
    methods_table,
)
from medxgan.evaluate.output.worst import (
    order_sentence,
    ordering_method,
    worst_cases,
    worst_first,
)
from medxgan.explainer import Explainer
from medxgan.report import evaluation as evaluation_page
from medxgan.report.evaluation_charts import CHARTS
from medxgan.types import Latent, Status

PICTURES = {f"{name}.png" for name in (*CHARTS, "worst")}


@pytest.fixture
def explainer(tiny_bundle: Path) -> Explainer:
    return medxgan.load(tiny_bundle, device="cpu")


@pytest.fixture
def images(phantom_archive: Path) -> Dataset:
    return open_dataset(phantom_archive).select("test")


@pytest.fixture
def found(explainer: Explainer, images: Dataset) -> Evaluation:
    return evaluate(explainer, images, codes=2, methods=METHODS, steps=2, controls=False)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def shown(table: Table, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_everything_is_written(tmp_path, explainer, images, found):
    page = write_evaluation(found, explainer, images, tmp_path / "out", settings={"split": "test"})
    assert page == tmp_path / "out" / "report.html"
    written = {path.name for path in page.parent.iterdir()}
    assert written == {"metrics.json", "metrics.csv", "report.html", "figures"}
    pictures = list((page.parent / "figures").iterdir())
    assert {path.name for path in pictures} == PICTURES
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width == 1800
    document = json.loads((page.parent / "metrics.json").read_text())
    facts = document.pop("measured")
    assert document == found.document
    assert (facts["bundle"], facts["split"]) == ("tiny", "test")
    assert facts.items() >= found.settings.items()
    assert found.settings.keys() == {*SETTINGS, "positives per code"}
    assert facts["classifier"] == explainer.classifier.fingerprint[:12]
    text = page.read_text()
    assert "How good are the explanations of tiny?" in text
    assert "on cpu, in batches of up to " in text


def test_what_the_bundle_says_against_itself_is_repeated(
    tmp_path, explainer, images, found, balanced_classifier, capsys, monkeypatch
):
    """The tiny one has a validity of 0.5 on held-out images; a good one has nothing to say."""
    monkeypatch.setattr(writing, "drawn", lambda draw, theme, kind: b"")
    monkeypatch.setattr(evaluation_page, "drawn_uri", lambda draw, theme: "data:,")
    page = write_evaluation(found, explainer, images, tmp_path / "poor", settings={})
    sentence = caution_of(explainer)
    assert sentence is not None
    assert sentence.startswith("This bundle explains badly: on held-out images only 50 %")
    assert page.read_text().index(sentence) < page.read_text().index('id="summary"')
    print_evaluation(found, caution=sentence)
    assert capsys.readouterr().out.startswith(f"Warning: {sentence}\n\n")

    bundle = make_bundle(balanced_classifier(0))
    good = bundle.manifest.model_copy(update={"metrics": {"held_out": {"validity": 1.0}}})
    save_bundle(tmp_path / "good", bundle._replace(manifest=good))
    explainer = medxgan.load(tmp_path / "good", device="cpu")
    assert caution_of(explainer) is None
    page = write_evaluation(found, explainer, images, tmp_path / "out", settings={})
    assert "explains badly" not in page.read_text()
    print_evaluation(found)
    assert "Warning" not in capsys.readouterr().out


def test_failure_leaves_nothing_half_written(tmp_path, explainer, images, found, monkeypatch):
    def full(draw: object, theme: object, kind: str) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "drawn", full)
    with pytest.raises(OutputError, match="No space left"):
        write_evaluation(found, explainer, images, tmp_path / "out", settings={})
    assert not (tmp_path / "out").exists()


def test_table_has_a_row_an_image_and_method(images):
    rows = rows_of(table_text(make_evaluation(), images))
    assert [(row["row"], row["method"]) for row in rows] == [
        (str(images.rows[row]), method) for row in (2, 3, 5, 7, 8) for method in METHODS
    ]
    assert rows[2]["name"] == images.names[3]
    assert rows[2]["group"] == images.groups[3]
    assert {row["split"] for row in rows} == {"test"}
    assert [row["status"] for row in rows[::2]] == ["no flip", "ok", "ok", "ok", "no flip"]
    precision = [row["localization_average_precision"] for row in rows[::2]]
    assert precision == ["0.9", "0.2", "0.4", "", "0.1"]
    assert [row["reconstruction_prediction_mae"] for row in rows[1::2]] == [
        *("0.1", "0.2", "0.3", "0.4", "0.5")
    ]
    assert rows[5]["deletion_blur_0.05"] == "2"
    assert rows[5]["controls_random_classifier_localization_iou"] == "1"
    assert rows[5]["controls_random_map_localization_iou"] == "0"
    assert (rows[5]["seconds_per_image"], rows[5]["seconds_per_image_explanation"]) == (
        *("0.25", "0.5"),
    )
    assert rows[-1]["probability_image"] == "0.9"


def test_table_of_no_method_has_a_row_an_image(images):
    rows = rows_of(table_text(make_evaluation(()), images))
    assert [row["method"] for row in rows] == [""] * 5


def test_figure_that_one_method_lacks_is_empty(images):
    evaluation = make_evaluation()
    evaluation.columns["completeness", "ig", "mean"] = torch.ones(5)
    rows = rows_of(table_text(evaluation, images))
    assert [row["completeness_mean"] for row in rows] == ["", "1"] * 5


def test_probabilities_are_those_of_an_explanation(explainer, images, found):
    explanations = explainer.explain(images.images(found.rows), None, ())
    for name, key in (
        ("image", "image"),
        ("film_start", "counterfactual"),
        ("film_end", "reconstruction"),
        ("transferred", "transferred"),
    ):
        expected = torch.tensor([explanation.scores[key] for explanation in explanations])
        measured = found.columns["probability", name]
        torch.testing.assert_close(measured, expected, atol=1e-4, rtol=0)


def test_worst_is_a_failed_status_then_a_low_precision_then_a_large_gap():
    evaluation = make_evaluation()
    assert worst_first(evaluation) == [4, 0, 1, 2, 3]
    sound = replace(evaluation, statuses=(Status(),) * 5)
    assert worst_first(sound) == [4, 1, 2, 0, 3]
    assert "average precision of the raw difference map" in order_sentence(sound)
    sound.columns.clear()
    sound.columns["reconstruction", "prediction_mae"] = torch.tensor([0.1, 0.5, 0.2, 0.4, 0.3])
    assert worst_first(sound) == [1, 3, 4, 2, 0]
    assert "precision" not in order_sentence(sound)


def test_order_goes_by_the_difference_or_else_by_the_first_method_with_lesions():
    assert ordering_method(make_evaluation(("ig", "difference"))) == "difference"
    assert ordering_method(make_evaluation(("lig", "ig"))) == "lig"
    evaluation = make_evaluation()
    for method in METHODS:
        evaluation.columns["localization", method, "average_precision"] *= torch.nan
    assert ordering_method(evaluation) is None


def test_worst_cases_are_explained_as_they_were_measured(explainer, images, found):
    cases = worst_cases(found, explainer, images, 3)
    numbers = worst_first(found)[:3]
    rows = found.rows[numbers]
    assert [case.explanation.name for case in cases] == images.names[rows].tolist()
    gaps = found.columns["reconstruction", "prediction_mae"][numbers]
    np.testing.assert_allclose([case.gap for case in cases], gaps, atol=1e-4)
    masks = images.mask_images(rows)[0]
    for case, number, image, mask in zip(cases, numbers, images.images(rows), masks, strict=True):
        explanation = explainer.explain(image)
        mine = case.explanation
        for name in ("image", "reconstruction", "counterfactual", "transferred", "difference"):
            expected = getattr(explanation, name)
            torch.testing.assert_close(getattr(mine, name), expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(mine.probabilities, found.films[number], atol=1e-4, rtol=0)
        assert mine.status == found.statuses[number]
        assert mine.mask is not None
        assert torch.equal(mine.mask, mask)


def test_worst_cases_come_from_the_measured_codes(explainer, images, found):
    """Optimising codes once more would take hours, and end elsewhere."""
    explainer.encode = None  # would fail if called
    moved = replace(found, latent=Latent(found.latent.z1 + 1, found.latent.z2))
    first, other = (worst_cases(one, explainer, images, 1)[0].explanation for one in (found, moved))
    number = worst_first(found)[0]
    expected = explainer.generator(found.latent.z1[[number]], 0 * found.latent.z2[[number]])
    torch.testing.assert_close(first.counterfactual, expected[0].detach(), atol=1e-5, rtol=0)
    assert torch.equal(first.latent.z1, found.latent.z1[[number]])
    assert not other.counterfactual.allclose(first.counterfactual, atol=1e-3)


def test_unknown_lesion_is_not_shown_as_an_empty_mask(explainer, images, found):
    unknown = replace(
        images, table=replace(images.table, has_mask=np.zeros_like(images.table.has_mask))
    )
    (case,) = worst_cases(found, explainer, unknown, 1)
    assert case.explanation.mask is None


def test_methods_in_the_terminal():
    evaluation = make_evaluation(("lig-transferred", "ig"))
    document = evaluation.document
    document["localization"]["ig"]["pointing"] = figure(0.625)
    document["seconds_per_image"]["ig"] = figure(0.0002)
    document["sanity"] = {"lig-transferred": figure(-0.25), "ig": null("nothing to redraw")}
    text = shown(methods_table(evaluation, mark="*"))
    first, second = (line.split() for line in text.splitlines()[-2:])
    assert first[0] == "lig-transferred"
    assert second[:2] == ["ig", "0.625*"]
    assert (first[-2:], second[-2:]) == (["−0.250", "0.500"], ["–", "<0.001*"])
    bold = [
        cell.plain
        for column in methods_table(evaluation).columns
        for cell in column.cells
        if getattr(cell, "style", "") == "bold"
    ]
    assert {"0.625", "<0.001"} < set(bold)


def test_narrow_terminal_breaks_heads_and_no_figure():
    evaluation = make_evaluation(("lig-transferred", "ig"))
    text = shown(methods_table(evaluation, narrow=True), width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    first = text.splitlines()[-2].split()
    assert first == ["lig-transferred", *["0.500"] * 10]


def test_figures_in_the_terminal():
    evaluation = make_evaluation()
    evaluation.document["counterfactual"]["oracle_validity"] = null("there is no oracle")
    text = shown(figures_table(evaluation))
    assert "transfer validity" in text
    assert "0.400 to 0.600" in text
    (line,) = [line for line in text.splitlines() if line.startswith("oracle validity")]
    assert line.split("  ")[-1].strip() in ("", "there is no oracle")
    assert "there is no oracle" in line
    assert "–" in line


def test_controls_in_the_terminal():
    evaluation = make_evaluation()
    assert control_lines(evaluation) == [
        "Every control is beaten, in all 26 comparisons that could be made (4 more had no "
        "figures).",
        "Each control is a single draw; another seed gives other figures of it.",
    ]
    place = ("localization_smoothed", "lig-transferred", "average_precision")
    lose(
        evaluation.document,
        comparison(n=4),
        comparison("random_classifier", place, method="lig-transferred"),
    )
    verdict, few, film, draw = control_lines(evaluation)
    assert verdict == (
        "2 of 26 comparisons that could be made (4 more had no figures) show no lead over the "
        "control."
    )
    assert few.startswith("1 of 3 comparisons rests on fewer than 10 images or patients (few)")
    assert film.startswith("Most of a LIG map is the change x̂ − x⁻ along the film")
    assert draw.startswith("Each control is a single draw")
    evaluation.document["controls"]["compared"] = 0
    assert control_lines(evaluation) == ["No control was measured."]


def test_comparisons_that_are_not_won_stand_in_a_table():
    evaluation = make_evaluation()
    place = ("localization_smoothed", "lig-transferred", "average_precision")
    lose(
        evaluation.document,
        comparison(n=4),
        comparison("random_classifier", place, method="lig-transferred"),
    )
    head, first, second = shown(lost_table(evaluation), width=140).splitlines()
    assert head.split()[:4] == ["ours", "figure", "value", "control"]
    assert first.split("  ")[0] == "This bundle"
    for words in ("crossing", "Random latent direction", "+0.100", "−0.125 to +0.250", "4 (few)"):
        assert words in first
    for words in (
        *("LIG, transferred", "average precision, smoothed", "0.500", "0.400"),
        "Classifier with random weights",
    ):
        assert words in second
    assert second.split()[-1] == "12"


def test_images_behind_the_columns_are_counted():
    evaluation = make_evaluation()
    document = evaluation.document
    for section in ("deletion", "noise_robustness"):
        for method in METHODS:
            for steps in document[section][method].values():
                steps.update(dict.fromkeys(steps, figure(0.5, n=5)))
    document["localization"]["ig"]["pointing"] = null("no masks")
    (line,) = count_lines(evaluation)
    assert line == (
        "Images behind the columns: pointing to concentration 4, deletion 5\xa0% to "
        "noise σ\xa00.1 5, sanity to seconds 4."
    )
    assert count_lines(make_evaluation(())) == []


def test_whole_evaluation_in_the_terminal(capsys):
    evaluation = make_evaluation()
    evaluation.document["notes"] = ["localisation rests on 4 images: its intervals mean little"]
    lose(evaluation.document, comparison())
    print_evaluation(evaluation)
    printed = capsys.readouterr().out
    parts = (
        "*: best of its column",
        "Seconds: of the map of one image, its film apart.",
        "Images behind the columns: pointing to seconds 4.",
        "transfer validity",
        "1 of 26 comparisons that could be made",
        "Random latent direction",
        "Each control is a single draw",
        "Note: localisation rests on 4 images: its intervals mean little.\n",
    )
    places = [printed.index(part) for part in parts]
    assert places == sorted(places)
