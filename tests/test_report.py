"""The report: offline, safe, honest about scales, and written whole or not at all."""

import csv
import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medxgan.errors import DataError, OutputError
from medxgan.explain.series import Series
from medxgan.report import render_report, save_explanation, write_report
from medxgan.report.figures import (
    ZERO_INDEX,
    colour_indices,
    colour_table,
    difference_map,
    intensity_picture,
    map_picture,
    overlay_picture,
)
from medxgan.report.saving import unique_folder_names
from medxgan.report.scales import robust_scale, shared_scales
from medxgan.report.series_view import series_rules
from medxgan.report.vector import outline_path, probability_curve
from medxgan.types import ClassifierSpec, Explanation, Latent, Problem, Status

SIDE = 8
VOID = {"meta", "link", "img", "input", "br", "hr"}
SVG_LEAVES = {"rect", "path", "circle", "use"}
NOT_FLIPPED = Problem("no flip", 0.7, 0.5, "the counterfactual still scores 0.70")


def gradient(channels: int = 1) -> Tensor:
    return torch.linspace(-1, 1, SIDE * SIDE).view(1, SIDE, SIDE).repeat(channels, 1, 1)


def make_explanation(
    name: str = "slice 1",
    *,
    positive: bool = True,
    channels: int = 1,
    amplitude: float = 1.0,
    problems: tuple[Problem, ...] = (),
) -> Explanation:
    image = gradient(channels)
    high, low = (0.9996, 0.1234) if positive else (0.1234, 0.9996)
    return Explanation(
        name=name,
        image=image,
        reconstruction=image * 0.9,
        counterfactual=-image,
        transferred=image * 0.5,
        frames=torch.stack([image * strength for strength in (0.0, 0.5, 1.0)]),
        strengths=torch.tensor([0.0, 0.5, 1.0]),
        probabilities=torch.tensor([0.02, 0.5, 0.98]),
        difference=amplitude * image,
        attributions={
            "lig": amplitude * image,
            "grad-cam": amplitude * image,
            "ig": amplitude * image,
        },
        latent=Latent(torch.ones(1, 4), torch.full((1, 2), 2.0)),
        target=1,
        target_name="tumour",
        scores={"image": high, "reconstruction": high, "counterfactual": low, "transferred": low},
        alternatives=image.new_zeros(0 if positive else 2, channels, SIDE, SIDE),
        alternative_scores=torch.tensor([] if positive else [0.9, 0.654]),
        status=Status(problems),
    )


class Page(HTMLParser):
    """Elements and visible text of a page; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_LEAVES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        found = [attributes for _, attributes in self.elements]
        return [each for each in found if name in (each.get("class") or "").split()]


def colours_of(page: Page, alt: str) -> np.ndarray:
    """RGBA of the picture whose alternative text starts so."""
    (source,) = [i["src"] for i in page.attributes("img") if (i["alt"] or "").startswith(alt)]
    data = b64decode((source or "").removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA")).astype(int)


def test_page_asks_for_nothing_outside_itself():
    explanations = [make_explanation(), make_explanation("b", positive=False, channels=3)]
    text = render_report(explanations)
    page = Page(text)
    bare = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|@font-face|url\(", bare)
    for _, attributes in page.elements:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert re.match(r"#|data:,", attributes.get("href") or "#")
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)


def test_policy_allows_only_this_style_and_this_script():
    text = render_report([make_explanation()])
    (policy,) = [
        meta["content"] or ""
        for meta in Page(text).attributes("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_words_stay_words():
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    problem = Problem("no flip", 1.0, 0.5, attack)
    explanation = replace(
        make_explanation(attack, problems=(problem,)),
        target_name=attack,
        skipped={"ig": attack, attack: attack},
    )
    explanation.attributions.pop("ig")
    text = render_report(
        [explanation], title=attack, summary={attack: attack}, footer_facts={attack: attack}
    )
    page = Page(text)
    assert attack not in text
    assert len(page.attributes("script")) == 1
    assert all("onerror" not in image for image in page.attributes("img"))
    assert attack in page.text


def test_reader_is_told_what_validity_means_and_what_went_wrong():
    text = Page(render_report([make_explanation(problems=(NOT_FLIPPED,))])).text
    assert "the model's answer flipped, not that a clinical cause was found" in text
    assert "Not for clinical use" in text
    assert NOT_FLIPPED.sentence in text
    assert text.index(NOT_FLIPPED.sentence) < text.index("as given")


def test_a_warning_names_its_kind_once():
    problem = Problem("no flip", 0.7, 0.5, "no flip: the counterfactual still scores 0.70")
    text = Page(render_report([make_explanation(problems=(problem,))])).text
    assert "no flip: the counterfactual" not in text
    assert "the counterfactual still scores 0.70" in text


def test_row_shows_eight_pictures_in_their_order():
    text = Page(render_report([make_explanation()])).text
    row = text[text.index("as given") - len("Original ") :]
    captions = (
        "Original.*Reconstruction.*Counterfactual.*Transferred.*Difference.*LIG.*Grad-CAM.*IG"
    )
    assert re.match(captions, row)
    negative = Page(render_report([make_explanation(positive=False)]))
    assert "redrawn called tumour" in negative.text
    assert "Other ways to become tumour" in negative.text
    assert sum("alternative" in (i["alt"] or "") for i in negative.attributes("img")) == 2
    assert "p 0.900 p 0.654" in negative.text
    assert "Further positives of a negative image" in negative.text
    assert "Further positives of a negative image" not in text


def test_summary_table_has_a_row_an_image_and_a_link_to_it():
    names = ["first", "second", "third"]
    page = Page(render_report([make_explanation(name) for name in names]))
    heads = "Image Status Prediction Reconstruction Counterfactual Transferred Answer"
    assert heads in page.text
    links = {a["href"] for a in page.attributes("a")} - {"#summary"}
    articles = {f"#{article['id']}" for article in page.attributes("article")}
    assert links == articles == {"#image-1", "#image-2", "#image-3"}


def test_counts_cover_flips_and_every_kind_of_problem():
    explanations = [
        make_explanation("a"),
        make_explanation("b", problems=(NOT_FLIPPED, NOT_FLIPPED)),
        make_explanation("c", positive=False),
    ]
    text = Page(render_report(explanations)).text
    assert "images 3 2 positive, 1 negative" in text
    assert "flipped 3 of 3" in text
    assert "status OK 2 of 3" in text
    for kind, count in (("no flip", 1), ("poor reconstruction", 0), ("prediction gap", 0)):
        assert f"{kind} {count} warning" in text
    assert "code outside the prior 0 warnings" in text


def test_a_flip_crosses_the_decision_from_the_side_of_the_original():
    explanation = make_explanation()
    assert explanation.flipped
    explanation.scores["reconstruction"] = 0.2
    assert not explanation.flipped
    assert explanation.transfer_flipped
    assert "flipped 0 of 1" in Page(render_report([explanation])).text


@pytest.mark.parametrize(
    ("transferred", "said"),
    [
        (0.1, "flipped when redrawn, also on the original"),
        (0.9, "flipped when redrawn, not on the original"),
    ],
)
def test_a_flip_is_told_with_what_became_of_the_original(transferred, said):
    explanation = make_explanation()
    explanation.scores["transferred"] = transferred
    page = Page(render_report([explanation]))
    assert page.text.count(said) == 2, "in the table, and above the pictures"


def test_an_explanation_prints_as_one_line():
    explanation = replace(make_explanation(), status=Status((NOT_FLIPPED,)))
    assert repr(explanation) == (
        "<Explanation of 'slice 1' for 'tumour': image >0.999, reconstruction >0.999, "
        "counterfactual 0.123, transferred 0.123; "
        "status: the counterfactual still scores 0.70; maps: lig, grad-cam, ig>"
    )


def test_figures_and_caution_are_those_of_the_bundle():
    bare = Page(render_report([make_explanation()])).text
    told = {"summary": {"validity": "90 %"}, "caution": "This bundle explains badly."}
    text = Page(render_report([make_explanation()], **told)).text
    assert "The bundle, on held-out images validity 90 %" in text
    assert "This bundle explains badly." in text
    assert "held-out" not in bare
    assert "badly" not in bare


def test_probabilities_never_claim_certainty():
    text = Page(render_report([make_explanation()])).text
    assert ">0.999" in text
    assert "0.123" in text
    assert "1.000" not in text


def test_a_score_that_is_not_known_is_no_flip():
    explanation = make_explanation()
    explanation.scores["transferred"] = float("nan")
    text = Page(render_report([explanation])).text
    assert "flipped, transferred 0 of 1" in text
    assert "p not known" in text


def test_film_has_a_slider_a_frame_each_and_the_curve():
    page = Page(render_report([make_explanation()]))
    (slider,) = [each for each in page.attributes("input") if each["type"] == "range"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")
    assert slider["aria-label"]
    frames = [li for li in page.attributes("li") if "data-strength" in li]
    assert [frame["data-probability"] for frame in frames] == ["0.020", "0.500", "0.980"]
    assert len(page.classed("dot")) == 3
    assert "strength of the change" in page.text


def test_pictures_have_alternative_texts():
    explanation = replace(make_explanation(), mask=gradient()[0] > 0)
    images = Page(render_report([explanation])).attributes("img")
    silent = [image for image in images if not image["alt"]]
    assert {image.get("class") for image in silent} == {"thumbnail", "base"}


def test_outline_is_drawn_and_offered_only_where_a_mask_is_known():
    masked = replace(make_explanation(), mask=gradient()[0] > 0)
    assert 'data-option="outlined"' in render_report([masked])
    assert 'data-option="outlined"' not in render_report([make_explanation()])


def test_method_that_failed_says_why_in_its_place():
    explanation = replace(make_explanation(), skipped={"grad-cam": "no convolution to look at"})
    explanation.attributions.pop("grad-cam")
    page = Page(render_report([explanation, make_explanation()]))
    assert "no convolution to look at" in page.text
    assert len(page.classed("columns-8")) == 2
    assert len(page.classed("missing")) == 1


def without(explanation: Explanation, *methods: str) -> Explanation:
    """As of a model that has no gradients, whose maps need them."""
    kept = {name: v for name, v in explanation.attributions.items() if name not in methods}
    why = dict.fromkeys(methods, "no gradients")
    return replace(explanation, attributions=kept, skipped=why)


def legend_of(page: Page) -> str:
    return page.text.split("How to read this")[1].split("Film")[0]


def test_legend_speaks_of_maps_that_are_there():
    whole, part = make_explanation("a"), without(make_explanation("b"), "lig", "ig")
    assert "LIG Latent integrated" in legend_of(Page(render_report([whole, part])))
    page = Page(render_report([part]))
    assert "Grad-CAM Class activation" in legend_of(page)
    assert "ntegrated gradients" not in legend_of(page)
    assert "In the maps of evidence (Grad-CAM) red speaks for tumour" in page.text
    assert "Not computed: LIG, IG (no gradients)." in page.text


def test_without_maps_of_evidence_nothing_is_said_of_their_colours():
    page = Page(render_report([without(make_explanation(), "lig", "ig", "grad-cam")]))
    assert "maps of evidence" not in page.text and "Units differ" not in page.text
    assert "Grad-CAM" not in legend_of(page)
    assert page.text.count("no gradients") == 1
    assert page.classed("missing") == []


@pytest.mark.parametrize("count", range(2, 32))
def test_the_last_frame_of_a_series_never_stands_alone(count):
    columns = [int(across) for across in re.findall(r"repeat\((\d+),", series_rules([count]))]
    assert columns and 1 not in {count % across for across in columns}


def test_a_series_as_usual_fits_a_window_as_usual():
    widths = dict(re.findall(r"min-width: (\d+)px.*repeat\((\d+),", series_rules([11])))
    assert sorted(map(int, widths.values())) == [3, 4, 6, 11]
    assert widths[max(widths, key=int)] == "11"
    assert int(max(widths, key=int)) <= 1100


def test_other_methods_wait_in_a_second_row():
    explanation = make_explanation()
    explanation.attributions["occlusion"] = gradient()
    explanation.attributions["difference"] = gradient()
    text = Page(render_report([explanation])).text
    assert "More maps: Occlusion" in text


def test_colour_images_say_what_their_maps_show():
    text = Page(render_report([make_explanation(channels=3)])).text
    assert "positive − negative, luminance" in text
    assert "More maps: Difference, in colour" in text
    assert "Evidence is summed over the colour channels" in text
    grey = Page(render_report([make_explanation()])).text
    assert "channels" not in grey
    assert "in colour" not in grey


def hue_change() -> Explanation:
    """Half of the image turns from red to green of the same luminance; nothing else changes."""
    difference = torch.zeros(3, SIDE, SIDE)
    difference[0, :, : SIDE // 2] = -0.587
    difference[1, :, : SIDE // 2] = 0.299
    return replace(make_explanation("hue", channels=3), difference=difference)


def test_a_change_of_hue_alone_is_seen_in_colour_only(tmp_path):
    explanation = hue_change()
    assert difference_map(explanation.difference).abs().max() < 1e-6
    scales = shared_scales([explanation])
    assert scales["difference-colour"] == pytest.approx(0.587)
    save_explanation(explanation, tmp_path)
    saved = np.asarray(Image.open(tmp_path / "difference-colour.png"))
    assert (saved[:, SIDE // 2 :] == 128).all()
    np.testing.assert_array_equal(saved[0, 0], [0, 192, 128])
    page = Page(render_report([explanation]))
    shown = colours_of(page, "hue: Difference, in colour")
    np.testing.assert_array_equal(shown[..., :3], saved)
    facts = json.loads((tmp_path / "explanation.json").read_text())
    assert facts["colour_scales"]["difference-colour"] == pytest.approx(0.587)
    assert "difference-colour.png" in facts["files"]


def test_grey_images_have_no_difference_in_colour(tmp_path):
    save_explanation(make_explanation(), tmp_path)
    assert not (tmp_path / "difference-colour.png").exists()
    assert "difference-colour" not in shared_scales([make_explanation()])


def test_grey_and_colour_share_a_report():
    """The grey image takes no part in the scale of colours, and has no such panel."""
    grey = make_explanation("grey", amplitude=9.0)
    page = Page(render_report([grey, hue_change()]))
    assert len([i for i in page.attributes("img") if "in colour" in (i["alt"] or "")]) == 1


def test_saved_pictures_keep_their_colours(tmp_path):
    image = torch.stack([torch.full((SIDE, SIDE), level) for level in (-1.0, 0.0, 1.0)])
    image[:, 0, 0] = 1.0
    explanation = replace(
        make_explanation(channels=3), image=image, frames=torch.stack([image, -image])
    )
    save_explanation(explanation, tmp_path)
    expected = np.asarray(intensity_picture(image))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "original.png")), expected)
    film = np.asarray(Image.open(tmp_path / "film.png"))
    assert film.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(film[:, :SIDE], expected)
    np.testing.assert_array_equal(film[1, SIDE + 1], [255, 128, 0])


def test_maps_over_colour_lie_on_shades_of_grey():
    """Red evidence on pink tissue could not be told from the tissue."""
    assert re.search(r"\.base \{[^}]*filter: grayscale\(1\)", render_report([make_explanation()]))


def test_large_films_are_shown_smaller_and_say_so():
    frames = torch.zeros(3, 1, 256, 256)
    explanation = replace(make_explanation(), image=frames[0], frames=frames)
    assert "Film shown at 128 × 128 of 256 × 256 pixels." in Page(render_report([explanation])).text


def make_series(name: str = "slice 1", last: float = 0.9) -> Series:
    return Series(
        name=name,
        image=gradient(),
        reconstruction=gradient(),
        frames=torch.stack([gradient(), gradient(), gradient() / 2]),
        wanted=torch.tensor([1 - last, 0.5, last]),
        answers=torch.tensor([0.5, 0.5, last]),
        reached=torch.tensor([False, True, True]),
        own=(0.9996, 0.9996),
        target_name="tumour",
    )


def test_series_stands_below_its_image_with_the_answers():
    page = Page(render_report([make_explanation()], series=[make_series()]))
    assert "What would a probability of 0.900 look like?" in page.text
    assert "0.500, not 0.100 0.500 0.900" in page.text
    assert "A faded frame repeats the last one that was reached" in page.text
    assert len(page.classed("unreached")) == 1
    alts = [image["alt"] for image in page.attributes("img") if "redrawn for" in image["alt"]]
    assert alts == [
        "slice 1: redrawn for probability 0.100, not reached, an earlier frame again, answer 0.500",
        "slice 1: redrawn for probability 0.500, answer 0.500",
        "slice 1: redrawn for probability 0.900, answer 0.900",
    ]
    first, last = (colours_of(page, f"slice 1: redrawn for probability {p}") for p in (0.5, 0.9))
    assert first[0, 0, 0] == 0 and last[0, 0, 0] == 64  # intensities -1 and -0.5


def test_series_of_a_value_asks_in_its_units():
    spec = ClassifierSpec(size=8, class_names=("grade",), output="value", value_range=(0.0, 4.0))
    one = replace(make_series(last=3.0), spec=spec, target_name="grade")
    explanation = replace(make_explanation(), spec=spec, target_name="grade")
    assert "What would grade 3.00 look like?" in render_report([explanation], series=[one])


def test_without_a_series_nothing_is_said_of_one():
    page = Page(render_report([make_explanation()]))
    assert page.classed("series") == [] and "faded frame" not in page.text


def test_series_of_other_images_are_refused():
    explanations = [make_explanation("a"), make_explanation("b")]
    for names in (["b", "a"], ["a"]):
        with pytest.raises(DataError, match=rf"\(a, b\), got {', '.join(names)}; give both"):
            render_report(explanations, series=[make_series(name) for name in names])


def test_facts_are_printed_as_given():
    text = Page(
        render_report(
            [make_explanation()],
            title="Twelve phantoms",
            summary={"validity": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}, "FID": None},
            footer_facts={"Data licence": "CC BY 4.0"},
        )
    ).text
    assert "Twelve phantoms" in text
    assert "validity 0.5 (95 % interval 0.25 to 0.75, n = 4)" in text
    assert "FID not computed" in text
    assert "Data licence CC BY 4.0" in text


def test_report_of_nothing_is_refused():
    with pytest.raises(DataError, match="at least one explanation"):
        render_report([])


def test_half_the_amplitude_gets_the_colour_of_half_the_scale():
    """Two maps, one twice the other: they share the scale of the report, not one each."""
    strong = replace(make_explanation("strong"), difference=torch.full((1, SIDE, SIDE), 0.8))
    weak = replace(make_explanation("weak"), difference=torch.full((1, SIDE, SIDE), -0.4))
    page = Page(render_report([strong, weak]))
    table = colour_table("PuOr_r").astype(int)
    for name, index in (("strong", 254), ("weak", round(ZERO_INDEX * 0.5))):
        picture = colours_of(page, f"{name}: Difference map")
        opacity = picture[..., 3:] / 255
        seen = picture[..., :3] * opacity + table[ZERO_INDEX] * (1 - opacity)
        assert np.abs(seen - table[index]).max() <= 1.5


def test_each_method_has_its_own_scale_shared_by_all_images():
    strong, weak = make_explanation(amplitude=1.0), make_explanation(amplitude=0.5)
    strong.attributions["ig"] *= 100
    weak.attributions["ig"] *= 100
    scales = shared_scales([weak, strong])
    assert scales["ig"] == pytest.approx(100 * scales["lig"])
    assert scales == shared_scales([strong, weak])


def test_one_outlier_does_not_set_the_scale():
    values = torch.ones(1000)
    values[0] = 1e6
    assert robust_scale([values]) == 1.0
    sparse = torch.zeros(1000)
    sparse[0] = -3.0
    assert robust_scale([sparse]) == 3.0
    assert robust_scale([torch.full((4,), torch.nan)]) == 1.0


def test_colour_of_zero_is_neutral_and_table_symmetric():
    for colours in ("PuOr_r", "RdBu_r"):
        table = colour_table(colours).astype(int)
        assert len(set(table[ZERO_INDEX])) == 1
        luminance = table[:255] @ [0.299, 0.587, 0.114]
        assert luminance.argmax() == pytest.approx(ZERO_INDEX, abs=4)
    assert (colour_indices(torch.tensor([[-0.5, 0.0, 0.5]]), 0.5) == [[0, 127, 254]]).all()


def test_overlay_on_the_ground_looks_like_the_opaque_map():
    values = torch.linspace(-1, 1, 255).view(1, -1)
    for colours in ("PuOr_r", "RdBu_r"):
        opaque = map_picture(values, 1.0, colours).convert("RGB")
        zero = tuple(colour_table(colours)[ZERO_INDEX].tolist())
        ground = Image.new("RGBA", opaque.size, (*zero, 255))
        ground.alpha_composite(overlay_picture(values, 1.0, colours).convert("RGBA"))
        difference = np.asarray(ground.convert("RGB")).astype(int) - np.asarray(opaque)
        assert np.abs(difference).max() <= 2


def test_intensities_map_to_bytes_and_not_finite_to_grey():
    picture = intensity_picture(torch.tensor([[[-2.0, -1.0, 0.0, 1.0, torch.nan]]]))
    assert np.asarray(picture).tolist() == [[0, 0, 128, 255, 128]]
    assert intensity_picture(torch.zeros(3, 2, 5)).mode == "RGB"


def test_outline_of_a_ring_has_both_borders():
    mask = torch.ones(3, 3)
    mask[1, 1] = 0
    lengths = [int(length) for length in re.findall(r"[hv](\d+)", outline_path(mask))]
    assert sum(lengths) == 12 + 4
    assert outline_path(torch.zeros(3, 3)) == ""


def test_curve_leaves_a_gap_where_a_probability_is_missing():
    curve = probability_curve(torch.arange(4.0), torch.tensor([0.0, torch.nan, 0.5, 1.0]))
    assert curve.path.count("M") == 2
    assert curve.points[1].probability == "not known"
    places = [point.x for point in curve.points]
    assert all(left < right for left, right in pairwise(places))
    assert probability_curve(torch.zeros(1), torch.zeros(1)).points[0].x == curve.left


def test_saved_arrays_come_back_as_they_were(tmp_path: Path):
    mask = gradient()[0] > 0
    explanation = replace(make_explanation(positive=False), mask=mask)
    assert save_explanation(explanation, tmp_path / "deep" / "out") == tmp_path / "deep" / "out"
    with np.load(tmp_path / "deep" / "out" / "explanation.npz", allow_pickle=False) as arrays:
        for name in ("image", "reconstruction", "counterfactual", "transferred", "frames"):
            assert np.array_equal(arrays[name], getattr(explanation, name).numpy())
        for name in ("strengths", "probabilities", "difference", "alternatives", "mask"):
            assert np.array_equal(arrays[name], getattr(explanation, name).numpy())
        for method, values in explanation.attributions.items():
            assert np.array_equal(arrays[f"attribution-{method}"], values.numpy())
        assert np.array_equal(arrays["z1"], explanation.latent.z1.numpy())
        assert np.array_equal(arrays["z2"], explanation.latent.z2.numpy())


def test_saved_facts_name_every_file(tmp_path: Path):
    explanation = replace(
        make_explanation(problems=(replace(NOT_FLIPPED, value=float("inf")),)),
        skipped={"occlusion": "not asked for"},
    )
    save_explanation(explanation, tmp_path)
    facts = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert set(facts["files"]) | {"explanation.json"} == written
    for name in ("original", "reconstruction", "counterfactual", "transferred", "difference"):
        assert f"{name}.png" in written
    assert {"film.png", "frames/frame-02.png", "attribution-grad-cam.png"} <= written
    assert facts["format_version"] == 1
    assert facts["scores"]["reconstruction"] == 0.9996
    assert facts["skipped"] == {"occlusion": "not asked for"}
    assert facts["status"]["problems"][0]["kind"] == "no flip"
    assert facts["status"]["problems"][0]["value"] is None
    with Image.open(tmp_path / "film.png") as film:
        assert film.size == (3 * SIDE, SIDE)
    assert facts["colour_scales"].keys() == {"difference", "lig", "grad-cam", "ig"}


def test_explanation_opens_its_doors_to_the_report(tmp_path: Path):
    explanation = make_explanation()
    explanation.save(tmp_path)
    assert (tmp_path / "explanation.json").is_file()
    assert "slice 1" in explanation.to_html()


def test_report_folder_holds_page_table_and_a_folder_an_image(tmp_path: Path):
    explanations = [
        make_explanation("same", amplitude=1.0),
        make_explanation("same", amplitude=0.5, problems=(NOT_FLIPPED,)),
        make_explanation("../escape"),
    ]
    page = write_report(explanations, tmp_path / "out", title="Three")
    assert page == tmp_path / "out" / "report.html"
    assert "Three" in page.read_text(encoding="utf-8")
    with (tmp_path / "out" / "explanations.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["folder"] for row in rows] == ["same", "same-2", "escape"]
    assert rows[0]["score_image"] == "0.9996"
    assert [row["problems"] for row in rows] == ["", "no flip", ""]
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.html", "explanations.csv", "same", "same-2", "escape")
    }
    scales = [
        json.loads((tmp_path / "out" / folder / "explanation.json").read_text())["colour_scales"]
        for folder in ("same", "same-2")
    ]
    assert scales[0] == scales[1]


def test_report_can_be_written_again(tmp_path: Path):
    write_report([make_explanation()], tmp_path, title="Old")
    (tmp_path / "notes.txt").write_text("mine")
    write_report([make_explanation()], tmp_path, title="New")
    assert "New" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".partial-*"))


def test_an_earlier_report_is_never_removed(tmp_path: Path):
    out = tmp_path / "out"
    write_report([make_explanation("a")], out)
    write_report([make_explanation("b")], out)
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"a", "b"}
    assert ">b<" in (out / "report.html").read_text("utf-8")
    assert ">a<" not in (out / "report.html").read_text("utf-8")


def test_file_in_the_way_is_one_sentence(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OutputError, match="expected a folder to write to, but a file"):
            write_report([make_explanation()], folder)
        with pytest.raises(OutputError, match="expected a folder to write to, but a file"):
            save_explanation(make_explanation(), folder)


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write_report([make_explanation()], tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_folder_names_are_safe_and_unique():
    names = ["a/b", "a\\b", "A-B", "", ".", "x" * 300, "x" * 299, "report.html", "scan.", "NUL.png"]
    folders = unique_folder_names(names)
    assert len({folder.casefold() for folder in folders}) == len(names)
    assert "report.html" not in folders
    for folder in folders:
        assert re.fullmatch(r"[\w][\w.-]*", folder)
        assert not folder.endswith(".")
        assert len(folder) < 80
