"""The report of an evaluation: words for every figure, true pictures, an offline page."""

import re
from base64 import b64decode, b64encode
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import get_args
from unittest.mock import patch

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from evaluations import (
    METHODS,
    SETTINGS,
    UNBEATEN,
    comparison,
    figure,
    lose,
    make_case,
    make_document,
    make_evaluation,
    make_films,
    null,
)
from medxgan.evaluate import Evaluation
from medxgan.evaluate.controls import CHANGE_FIGURES, CHANGES
from medxgan.evaluate.localization import LOCALIZATION as MEASURED_LOCALIZATION
from medxgan.evaluate.places import FIGURES, places
from medxgan.explain import METHODS as ALL_METHODS
from medxgan.report.evaluation import nulls, render_evaluation
from medxgan.report.evaluation_charts import CHARTS, MOST_DRAWN_AS_LINES, Measured
from medxgan.report.evaluation_sheet import draw_sheet
from medxgan.report.evaluation_style import DARK, LIGHT, ORANGE, drawn, look_of
from medxgan.report.evaluation_tables import (
    COMPLETENESS,
    CONTROL_NAMES,
    CONTROLS,
    DELETION,
    LOCALIZATION_RAW,
    LOCALIZATION_SMOOTHED,
    NOISE,
    OVERVIEW,
    RANDOM_CLASSIFIER,
    Cell,
    cell_at,
    control_rows,
    controls_not_beaten,
    mark_best,
    method_rows,
    place_of,
)
from medxgan.report.evaluation_wording import LOCALIZATION, SECTIONS, Better
from medxgan.types import Status
from test_report import Page


def not_drawn(draw: object, theme: object) -> str:
    return "data:image/svg+xml;base64,"


def measured(evaluation: Evaluation) -> Measured:
    return Measured(evaluation.document, evaluation.methods, evaluation.films)


def render(evaluation: Evaluation, *, charts: bool = False, **changes: object) -> str:
    """The page; its figures take long to draw, and few tests look at them."""
    settings: dict[str, object] = {
        "order": "Worst first.",
        "title": "How good are they?",
        "facts": {"bundle": "tiny", **SETTINGS},
        "timing": "on cpu, in batches of up to 16 images",
    }
    cases = changes.pop("cases", [make_case(), make_case("slice 2", mask=False, status=Status())])
    drawing = nullcontext() if charts else patch("medxgan.report.evaluation.drawn_uri", not_drawn)
    with drawing:
        return render_evaluation(measured(evaluation), cases, **(settings | changes))


def parsed(text: str) -> Page:
    """The page; pictures for dark screens count as pictures too."""
    return Page(text.replace("<source ", "<img "))


def page_of(evaluation: Evaluation, **changes: object) -> Page:
    return parsed(render(evaluation, **changes))


def draw(name: str, evaluation: Evaluation) -> Figure:
    return CHARTS[name].draw(measured(evaluation), LIGHT)


def words_in(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_every_figure_that_is_measured_has_words():
    assert set(LOCALIZATION) == set(MEASURED_LOCALIZATION)
    for section, names in FIGURES.items():
        assert set(SECTIONS[section][2]) == set(names)
    where = set(places(METHODS))
    assert {("realism", name) for name in SECTIONS["realism"][2]} <= where
    for columns in (OVERVIEW, LOCALIZATION_RAW, LOCALIZATION_SMOOTHED, DELETION, NOISE):
        assert {place_of(column, "ig") for column in columns} <= where
    for column in (*COMPLETENESS, *RANDOM_CLASSIFIER):
        assert place_of(column, "lig") in set(places(ALL_METHODS))
    assert {*CHANGES, "random_map"} == set(CONTROL_NAMES)
    assert {column.place for column in CONTROLS if len(column.place) == 1} == {
        (name,) for name in CHANGE_FIGURES
    }


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("higher", [0.1, 0.3, 0.2], [False, True, False]),
        ("lower", [0.1, 0.3, -0.2], [False, False, True]),
        ("near zero", [0.3, -0.1, 0.2], [False, True, False]),
        ("near zero", [0.1, -0.1, 0.2], [True, True, False]),
        ("higher", [0.81234, 0.81239, 0.5], [True, True, False]),
        ("higher", [None, 0.1, 0.0], [False, True, False]),
        ("neither", [0.1, 0.3, 0.2], [False, False, False]),
        ("higher", [None, 0.1, None], [False, False, False]),
    ],
)
def test_best_of_a_column(better: Better, values, best):
    cells = mark_best([Cell(value) for value in values], better)
    assert [cell.best for cell in cells] == best


def test_directions_of_the_overview():
    ways = {column.head: column.better for column in OVERVIEW}
    assert ways.pop("seconds") == "lower"
    assert ways.pop("sanity") == "near zero"
    assert set(ways.values()) == {"higher"}


def test_row_without_values_says_why_once():
    document = make_document()
    for name in document["localization"]["ig"]:
        document["localization"]["ig"][name] = null("no masks")
    rows = method_rows(document, METHODS, LOCALIZATION_RAW)
    assert [row.reason for row in rows] == ["", "no masks"]
    document["localization"]["ig"]["iou"] = null("too dark")
    assert method_rows(document, METHODS, LOCALIZATION_RAW)[1].reason == ""


def test_nulls_are_listed_by_reason():
    document = make_document()
    assert nulls(document) == {}
    document["sanity"]["ig"] = null("too dark")
    document["completeness"]["lig"]["median"] = {
        **figure(0.1),
        "low": None,
        "reason": "the interval is given for the mean",
    }
    assert nulls(document) == {"too dark": [("sanity", "ig")]}
    assert cell_at(document, ("completeness", "lig", "median")).interval == ""
    assert cell_at(document, ("nowhere",)).value is None


def test_controls_stand_below_the_bundle():
    document = make_document()
    document["counterfactual"]["validity"] = figure(0.9)
    document["localization"]["difference"]["pointing"] = figure(0.8)
    document["controls"]["random_map"]["localization"]["pointing"] = figure(0.1)
    rows = {row.name: row for row in control_rows(document)}
    heads = [column.head for column in CONTROLS]
    ours = rows["This bundle, difference map"]
    assert ours.cells[heads.index("validity")].value == 0.9
    assert ours.cells[heads.index("pointing")].value == 0.8
    assert rows["Random map"].cells[heads.index("pointing")].value == 0.1
    assert rows["Random map"].cells[heads.index("validity")].value is None


def test_controls_that_were_not_measured_are_not_beaten_either():
    document = make_document()
    assert controls_not_beaten(document) == []
    document["controls"]["not_beaten"] = [UNBEATEN]
    assert controls_not_beaten(document) == [UNBEATEN]
    document["controls"]["compared"] = 0
    assert controls_not_beaten(document) is None


def test_bars_are_as_long_as_their_figures():
    document = make_document()
    document["localization"]["ig"]["pointing"] = figure(0.8)
    document["localization_smoothed"]["difference"]["pointing"] = null("no masks")
    document["controls"]["random_map"]["localization"]["pointing"] = figure(0.25)
    drawing = CHARTS["localization"].draw(Measured(document, METHODS, make_films()), LIGHT)
    panel = drawing.axes[0]
    assert [axes.get_title() for axes in drawing.axes] == [c.head for c in LOCALIZATION_RAW]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["IG", "Difference"]
    raw, smoothed = (
        {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in bars}
        for bars in panel.containers[::2]
    )
    assert raw == {0: 0.8, 1: 0.5}
    assert smoothed == {0: 0.5, 1: 0.0}
    assert [text.get_text() for text in panel.texts] == ["–"]
    assert [line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == ":"] == [0.25]
    whisker = panel.containers[1].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(np.asarray(whisker)[:, 0], [0.7, 0.9])
    assert drawing.get_suptitle() == "n = 4"


@pytest.mark.parametrize("name", ["deletion", "noise"])
def test_curves_go_through_their_figures(name):
    section, panel = {"deletion": ("deletion", "blur"), "noise": ("noise_robustness", "spearman")}[
        name
    ]
    evaluation = make_evaluation()
    steps = evaluation.document[section]["ig"][panel]
    for number, step in enumerate(steps):
        steps[step] = figure(0.1 * (number + 1), n=4 + number)
    drawing = draw(name, evaluation)
    axes = drawing.axes[1] if name == "deletion" else drawing.axes[0]
    lines = {line.get_label(): line for line in axes.containers}
    assert set(lines) == {"Difference", "IG"}
    drawn_line = lines["IG"].lines[0]
    expected = [0.1 * (number + 1) for number in range(len(steps))]
    np.testing.assert_allclose(drawn_line.get_ydata(), expected)
    ticks = axes.get_xticks()
    np.testing.assert_allclose(drawn_line.get_xdata(), ticks, atol=0.05 * np.ptp(ticks))
    assert drawing.get_suptitle() == f"n = 4 to {3 + len(steps)}"


def test_methods_are_told_apart_without_colour():
    looks = [look_of(method, LIGHT) for method in ALL_METHODS]
    assert len({look.marker for look in looks}) == len(looks)
    assert len({look.colour for look in looks}) == len(looks)
    baselines = {name for name in ALL_METHODS if look_of(name, DARK).line == "--"}
    assert baselines == {"ig", "grad-cam", "occlusion"}


def test_films_show_every_image_the_median_and_the_quartiles():
    (axes,) = draw("films", make_evaluation()).axes
    (each,) = (part for part in axes.collections if isinstance(part, LineCollection))
    films = make_films()
    np.testing.assert_allclose([path[:, 1] for path in each.get_segments()], films, atol=1e-6)
    (median,) = (line for line in axes.lines if line.get_label() == "median")
    np.testing.assert_allclose(median.get_ydata(), films.median(dim=0).values, atol=1e-6)
    quartiles = [line.get_ydata() for line in axes.lines if line.get_color() == ORANGE]
    expected = films.quantile(torch.tensor([0.25, 0.75]), dim=0)
    np.testing.assert_allclose(quartiles, expected, atol=1e-6)
    assert axes.get_title(loc="right") == "n = 5"


def test_many_films_become_pixels():
    films = make_films().repeat(MOST_DRAWN_AS_LINES, 1)
    many = CHARTS["films"].draw(Measured(make_document(), METHODS, films), LIGHT)
    assert any(part.get_rasterized() for part in many.axes[0].collections)
    few = draw("films", make_evaluation())
    assert not any(part.get_rasterized() for part in few.axes[0].collections)


@pytest.mark.parametrize("name", ["localization", "deletion", "noise"])
def test_figure_of_nothing_says_why(name):
    evaluation = make_evaluation()
    sections = {
        "localization": ("localization", "localization_smoothed"),
        "deletion": ("deletion",),
        "noise": ("noise_robustness",),
    }
    for place in places(METHODS):
        if place[0] in sections[name]:
            section = evaluation.document
            for part in place[:-1]:
                section = section[part]
            section[place[-1]] = null("no masks")
    assert words_in(draw(name, evaluation)) == ["Not drawn: no masks."]


@pytest.mark.parametrize(("name", "kind"), [("localization", "svg"), ("films", "png")])
def test_same_figures_give_the_same_file(name, kind):
    evaluation = make_evaluation(("difference", "my $method$ <b>"))
    once, again = (
        drawn(partial(CHARTS[name].draw, measured(evaluation)), DARK, kind) for _ in range(2)
    )
    assert once == again


def test_sheet_has_a_row_a_case_and_says_what_is_wrong():
    cases = [make_case("a " * 60), make_case(mask=False, status=Status())]
    sheet = draw_sheet(cases, LIGHT)
    assert len(sheet.axes) == 2 * 7
    heads = [axes.get_title() for axes in sheet.axes[1:7]]
    assert heads == [
        *("image", "reconstruction", "counterfactual", "transferred"),
        *("difference ±1.9", "lesion mask"),
    ]
    first, second = (sheet.axes[row].texts[0].get_text().replace("\n", " ") for row in (0, 7))
    assert "status: no flip" in first
    assert "average precision: 0.125" in first
    assert "prediction gap: 0.200" in first
    assert "status: ok average precision: – prediction gap" in second
    below = [axes.texts[0].get_text() for axes in sheet.axes[1:5]]
    assert below == ["p > 0.999", "p = 0.800", "p = 0.700", "p = 0.250"]
    assert sheet.axes[13].texts[0].get_text() == "not known"
    assert sheet.axes[6].images[0].get_array().max() == 255


def test_page_asks_for_nothing_outside_itself():
    text = render(make_evaluation(), charts=True)
    page = parsed(text)
    bare = re.sub(r"data:image/[a-z+]+;base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|@font-face|url\(", bare)
    for _, attributes in page.elements:
        for name in ("src", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
        assert re.match(r"#|data:,", attributes.get("href") or "#")
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    assert page.attributes("script") == []


def test_policy_allows_only_this_style():
    text = render(make_evaluation())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert "default-src 'none'; img-src data:;" in policy.replace("&#39;", "'")
    assert f"sha256-{digest}" in policy
    assert "unsafe" not in policy


def test_hostile_words_stay_words():
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    evaluation = make_evaluation((attack, "ig"))
    evaluation.document["notes"] = [attack]
    lose(evaluation.document, comparison(method=attack))
    evaluation.document["sanity"]["ig"] = null(attack)
    text = render(
        evaluation,
        order=attack,
        title=attack,
        facts={attack: attack},
        timing=attack,
        caution=attack,
        cases=[make_case(attack)],
    )
    assert attack not in text
    assert attack in parsed(text).text


def test_reader_is_told_first_which_controls_are_not_beaten():
    evaluation = make_evaluation()
    assert "Every control is beaten, in all 26 comparisons" in page_of(evaluation).text
    assert "Each control is a single draw" in page_of(evaluation).text
    lose(evaluation.document, comparison())
    text = page_of(evaluation).text
    heading = "1 of 26 comparisons with controls not beaten"
    assert text.index(heading) < text.index("Summary images")
    assert "Every control is beaten" not in text
    assert "1 of 26 comparisons that could be made (4 more had no figures) shows no lead" in text
    evaluation.document["controls"] |= {"not_beaten": [], "compared": 0, "comparisons": []}
    text = page_of(evaluation).text
    assert "No control was measured. Nothing here says how well chance would do." in text
    assert "Every control is beaten" not in text


def test_comparisons_that_are_not_won_fold_out_with_titles_instead_of_code_names():
    evaluation = make_evaluation()
    place = ("localization_smoothed", "lig-transferred", "average_precision")
    lose(
        evaluation.document,
        comparison(n=4),
        comparison("random_classifier", place, method="lig-transferred"),
    )
    text = render(evaluation)
    box = text[text.index('id="not-beaten"') : text.index('id="summary"')]
    assert box.index("<details") < box.index("<table") < box.index("</details>")
    shown = parsed(text).text
    shown = shown[shown.index("2 of 26 comparisons with") : shown.index("Summary images")]
    assert "This bundle crossing 0.500 Random latent direction 0.400 +0.100" in shown
    assert "LIG, transferred average precision, smoothed 0.500 Classifier with random" in shown
    assert "−0.125 to +0.250 4 (few)" in shown
    assert "1 of 3 comparisons rests on fewer than 10 images or patients (few)" in shown
    for code_name in ("random_classifier", "random_direction", "lig-transferred", UNBEATEN):
        assert code_name not in shown


def test_what_lig_of_a_random_classifier_shares_is_said_where_it_matters():
    evaluation = make_evaluation()
    sentence = "Most of a LIG map is the change x̂ − x⁻ along the film"
    assert page_of(evaluation).text.count(sentence) == 1, "below its table"
    lose(evaluation.document, comparison("random_map"))
    assert page_of(evaluation).text.count(sentence) == 1
    lose(evaluation.document, comparison("random_classifier"))
    assert page_of(evaluation).text.count(sentence) == 2


def test_comparisons_that_are_won_on_few_images_are_marked_too():
    evaluation = make_evaluation()
    evaluation.document["controls"]["comparisons"] = [comparison(n=4, beaten=True)] * 26
    text = page_of(evaluation).text
    assert "Every control is beaten" in text
    assert "26 of 26 comparisons rest on fewer than 10 images or patients (few)" in text


def test_distances_in_own_features_are_not_those_of_inception():
    text = page_of(make_evaluation()).text
    assert "in this classifier's own features" in text
    assert "not comparable with FID or KID by Inception" in text


def test_reader_is_told_what_the_figures_depend_on():
    text = page_of(make_evaluation()).text
    for words in (
        *("oracle, fingerprint none", "codes drawn from the prior 50", "integration steps 32"),
        *("inversion steps 0", "controls yes", "seed 3", "own maps none", "images in a batch 16"),
    ):
        assert words in text
    assert "once its film is there, on cpu, in batches of up to 16 images" in text


def test_caution_of_the_bundle_stands_first():
    assert "explains badly" not in page_of(make_evaluation()).text
    text = page_of(make_evaluation(), caution="This bundle explains badly.").text
    assert text.index("This bundle explains badly.") < text.index("Summary images")


def test_whatever_may_be_cut_scrolls_and_says_so():
    """Each table and figure stands in a window of its own, below a line that narrow pages show."""
    text = render(make_evaluation())
    windows = re.findall(
        r'<div class="wide needs-\d+">\s*<p class="sideways" [^>]*>[^<]*scroll it sideways →</p>'
        r'\s*<(?:div class="scroller" role="region" [^>]*tabindex="0"|figure class="chart")>',
        text,
    )
    assert len(windows) == text.count("<table") + len(CHARTS)
    for pixels in set(re.findall(r'class="wide needs-(\d+)"', text)):
        rule = f"@media (max-width: {pixels}px) {{ .needs-{pixels} > .sideways {{ display: block"
        assert rule in text


def test_reader_is_told_what_validity_means_and_what_was_counted():
    text = page_of(make_evaluation()).text
    assert "the model's answer flipped, not that a clinical cause was found" in text
    assert "Not for clinical use" in text
    assert "finds 4 positives, misses 1, and raises 1 false alarm." in text
    assert "only 5 images are called positive" in text
    assert "0.400 to 0.600, n = 4" in text
    assert "Worst first." in text
    assert "bundle tiny" in text
    assert "counted as failed" not in text


def test_failed_maps_are_counted():
    evaluation = make_evaluation()
    evaluation.document["failed_maps"]["ig"] = 2
    assert "counted as failed: IG 2." in page_of(evaluation).text


def test_best_is_marked_and_nulls_have_reasons():
    evaluation = make_evaluation()
    document = evaluation.document
    document["localization"]["ig"]["pointing"] = figure(0.625)
    document["counterfactual"]["twin_psnr"] = null("the data set has no healthy twins")
    document["sanity"] = {name: null("nothing was redrawn") for name in METHODS}
    document["controls"]["random_classifier"]["ig"]["localization"]["iou"] = null("too dark")
    text = render(evaluation)
    assert re.search(r'class="best">0\.625', text)
    page = page_of(evaluation)
    assert "the data set has no healthy twins" in page.text
    assert "sanity, difference; sanity, ig nothing was redrawn" in page.text
    assert "controls, random classifier, ig too dark" in page.text


def test_figures_are_drawn_for_light_and_for_dark():
    page = page_of(make_evaluation(), charts=True)
    dark = [image for image in page.attributes("img") if "srcset" in image]
    assert len(dark) == len(CHARTS)
    assert {image["media"] for image in dark} == {"screen and (prefers-color-scheme: dark)"}
    for source, ground in (("srcset", DARK.ground), ("src", LIGHT.ground)):
        uris = [i[source] for i in page.attributes("img") if "svg" in (i.get(source) or "")]
        assert len(uris) == len(CHARTS)
        for uri in uris:
            assert ground in b64decode((uri or "").partition(",")[2]).decode()


def test_pictures_have_alternative_texts():
    images = [image for image in page_of(make_evaluation()).attributes("img") if "src" in image]
    assert len(images) > len(CHARTS)
    assert all(image["alt"] for image in images)


def test_cases_show_pictures_status_and_mask():
    page = page_of(make_evaluation())
    assert "1. slice 1" in page.text
    assert "the counterfactual still scores 0.70" in page.text
    (mask,) = [image for image in page.attributes("img") if image.get("alt", "").endswith("mask")]
    data = b64decode((mask["src"] or "").removeprefix("data:image/png;base64,"))
    shown = torch.tensor(np.asarray(Image.open(BytesIO(data)))) > 0
    assert torch.equal(shown, make_case().explanation.mask)
    assert "not known" in page.text


def test_every_way_of_being_better_is_said():
    text = page_of(make_evaluation()).text
    for way in set(get_args(Better)) - {"neither", "near zero"}:
        assert f"{way} is better" in text
    assert "near 0 is best" in text
