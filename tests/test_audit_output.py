"""What an audit writes: page, JSON, arrays and figures; and the command that does it."""

import json
import re
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SIZE, Command
from medxgan.data import write_npz
from medxgan.report.audit import PLACE_COLUMNS, AuditPage, Example, MethodPart, Place, render_audit
from medxgan.report.audit_labels import LABEL_HEIGHT, label_spots
from medxgan.report.audit_pictures import (
    HOW_MUCH,
    Outlined,
    amount_picture,
    amount_table,
    end_text,
    places_figure,
)

PIXEL = "data:image/png;base64,AAAA"


def dark_pixels(png: bytes) -> int:
    return int((np.asarray(Image.open(BytesIO(png)).convert("L")) < 40).sum())


def test_outlines_are_seen_on_light_images_in_colour():
    """A slide is light: every line has a dark edge."""
    slide, maps = torch.ones(3, 16, 16), torch.ones(16, 16)
    slide[1:, ::2] = 0.5
    pixels = torch.zeros(16, 16, dtype=torch.bool)
    pixels[4:12, 4:12] = True
    bare, outlined = (
        dark_pixels(places_figure(slide, maps, maps, places, "t"))
        for places in ([], [Outlined(1, "recurring", pixels)])
    )
    assert outlined > bare + 500


def make_page(
    name: str = "scan", *, skipped: dict[str, str] | None = None, warning: str | None = None
) -> AuditPage:
    """A page with a suspicious place and one that is spread, an example of each."""
    example = Example(name, PIXEL, PIXEL, PIXEL, "0.900", "0.100", flipped=True, lesion="M1 1h2")
    place = Place(
        number=1,
        kind="suspicious",
        where="upper left",
        cells=[(str(column), "a note") for column in range(len(PLACE_COLUMNS))],
        outline="M0 0h4",
        label=(5.0, 2.0),
        examples=[example],
    )
    spread = replace(place, number=2, kind="spread")
    part = MethodPart(
        label="Difference",
        verdict="suspicious",
        sentence="It recurs.",
        mean=PIXEL,
        mean_end="1.2",
        share=PIXEL,
        share_end="90 %",
        facts={"Patients": "40"},
        places=[place, spread],
    )
    return AuditPage(
        title=f"What decides '{name}'?",
        target=name,
        warning=warning,
        verdict="inconclusive",
        conclusion=["None can be trusted.", "For the record: 5 % recur."],
        tiles=[("images", "80", "in the data")],
        mean_image=PIXEL,
        size=(32, 32),
        methods=[part, part],
        skipped=skipped or {},
        terms={"spread": "Not a finding."},
        facts={"seed": 0},
    )


class TestPage:
    def test_loads_nothing_and_runs_nothing(self):
        page = render_audit(make_page())
        assert "default-src 'none'" in unescape(page)
        assert "<script" not in page
        assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page)

    def test_names_are_text(self):
        page = render_audit(make_page("<img src=x onerror=alert(1)>"))
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page

    def test_every_column_has_its_figure(self):
        page = render_audit(make_page())
        assert page.count("<small>a note</small>") == 2 * 2 * len(PLACE_COLUMNS)

    def test_what_was_not_computed_is_said(self):
        assert "Not computed" not in render_audit(make_page())
        page = render_audit(make_page(skipped={"grad-cam": "no convolution"}))
        assert "grad-cam: no convolution" in page

    def test_the_verdict_is_the_first_thing_said(self):
        page = unescape(render_audit(make_page()))
        order = [
            page.index(words)
            for words in (
                "<h2>Inconclusive</h2>",
                "<p>None can be trusted.</p>",
                "<p>For the record: 5\u00a0% recur.</p>",
                "Every image was explained",
                "in the data",
                ": gives the verdict",
            )
        ]
        assert order == sorted(order)

    def test_the_bundles_own_warning_stands_above_it(self):
        assert '<p class="caution" role="note"><b>This' not in render_audit(make_page())
        page = render_audit(make_page(warning="This bundle explains badly."))
        warning = page.index("<b>This bundle explains badly.</b>")
        assert warning < page.index("<h2>Inconclusive</h2>")

    def test_spread_places_are_said_to_be_no_findings(self):
        page = render_audit(make_page())
        assert page.count('<span class="badge spread">spread, no finding</span>') == 3
        assert page.count("Not findings: explanations fall here") == 2
        loud, quiet = page.index('aria-label="Examples of place 1"'), page.index("<details")
        assert loud < quiet < page.index('aria-label="Examples of place 2"')

    def test_wide_tables_scroll_and_say_so(self):
        page = render_audit(make_page())
        assert page.count('<p class="sideways">') == page.count('<div class="scroller"') == 2

    def test_the_words_are_explained(self):
        assert "<dt>spread</dt><dd>Not a finding.</dd>" in render_audit(make_page())

    def test_the_caution_is_there(self):
        assert "a hint, not a proof" in render_audit(make_page())


def place_of(rows: slice, columns: slice) -> torch.Tensor:
    pixels = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    pixels[rows, columns] = True
    return pixels


class TestLabels:
    HALF = SIZE * LABEL_HEIGHT / 2

    def test_a_number_stands_in_its_place_where_there_is_room(self):
        assert label_spots([place_of(slice(4, 15), slice(10, 21))]) == [(15.5, 9.5)]

    def test_an_irregular_place_has_it_where_it_is_wide(self):
        """An L: neither the middle of its box nor its box's corner belongs to it."""
        pixels = place_of(slice(2, 30), slice(2, 4)) | place_of(slice(23, 30), slice(2, 30))
        ((x, y),) = label_spots([pixels])
        assert pixels[int(y), int(x)]
        assert y == 26.5

    @pytest.mark.parametrize(
        ("rows", "columns", "spot"),
        [
            (slice(10, 12), slice(5, 7), (7 + HALF, 10.5)),
            (slice(10, 12), slice(30, 32), (30 - HALF, 10.5)),
            (slice(0, 1), slice(30, 32), (30 - HALF, HALF)),
            (slice(10, 11), slice(0, 32), (HALF, 10 - HALF)),
            (slice(0, 1), slice(0, 32), (HALF, 1 + HALF)),
        ],
    )
    def test_else_it_touches_the_outline_within_the_picture(self, rows, columns, spot):
        ((x, y),) = label_spots([place_of(rows, columns)])
        assert (x, y) == pytest.approx(spot)
        assert self.HALF <= min(x, y) <= max(x, y) <= SIZE - self.HALF

    def test_a_neighbour_is_not_covered(self):
        small = place_of(slice(10, 12), slice(5, 7))
        neighbour = place_of(slice(6, 16), slice(8, 20))
        (first, _) = label_spots([small, neighbour])
        assert first == pytest.approx((5 - self.HALF, 10.5))

    def test_numbers_do_not_cover_one_another(self):
        places = [place_of(slice(row, row + 1), slice(15, 17)) for row in (10, 11, 12)]
        spots = label_spots(places)
        for number, (x, y) in enumerate(spots):
            for other_x, other_y in spots[:number]:
                assert max(abs(x - other_x), abs(y - other_y)) >= 2 * self.HALF

    def test_where_there_is_no_room_at_all_it_stands_in_the_middle(self):
        full = place_of(slice(0, SIZE), slice(0, SIZE))
        first, second = label_spots([full, full])
        assert first == second == (15.5, 15.5)


class TestPictures:
    def test_amounts_become_indices(self):
        values = torch.tensor([[-1.0, 0.0, 1.0, 2.0, torch.nan]])
        assert list(amount_picture(values, 1.0, HOW_MUCH).tobytes()) == [0, 0, 254, 254, 255]

    def test_nothing_at_all_has_no_scale(self):
        assert list(amount_picture(torch.zeros(1, 2), 0.0, HOW_MUCH).tobytes()) == [0, 0]
        assert end_text(torch.zeros(2)) == "1.0"

    def test_brighter_is_more(self):
        brightness = amount_table(HOW_MUCH)[:255].astype(int).sum(axis=1)
        assert brightness[0] < brightness[127] < brightness[254]

    def test_a_figure_of_all_kinds_of_places(self, tmp_path: Path):
        places = []
        for number, kind in enumerate(("suspicious", "recurring", "spread"), start=1):
            pixels = torch.zeros(SIZE, SIZE, dtype=torch.bool)
            pixels[8 * number : 8 * number + 4, 4:9] = True
            places.append(Outlined(number, kind, pixels))
        maps = torch.rand(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        file = tmp_path / "figure.png"
        file.write_bytes(places_figure(torch.zeros(1, SIZE, SIZE), maps[0], maps[1], places, "t"))
        with Image.open(file) as picture:
            assert picture.size[0] > picture.size[1] > 300


class TestCommand:
    def test_writes_everything(
        self, medxgan: Command, tiny_bundle: Path, phantom_archive: Path, tmp_path: Path
    ):
        out = tmp_path / "audit"
        ended = medxgan(
            "audit", tiny_bundle, phantom_archive, "--out", out, "--split", "all", "--most", 12,
            "--methods", "difference, grad-cam",
        )  # fmt: skip
        assert ended.code == 0
        assert {path.name for path in out.iterdir()} == {
            "audit.html",
            "audit.json",
            "audit.npz",
            "places-difference.png",
            "places-grad-cam.png",
        }
        content = json.loads((out / "audit.json").read_text())
        assert content["explained"] == 12
        assert list(content["methods"]) == ["difference", "grad-cam"]
        assert content["judged_by"] == "difference"
        assert content["masks_known"] == 12
        warning, verdict = ended.out.split("\n\n")[:2]
        assert warning == f"Warning: {content['bundle_warning']}"
        paragraphs = verdict.replace("\n", " ")
        assert paragraphs == f"{content['verdict'].capitalize()}: {content['sentence']}"
        assert content["bundle_warning"].startswith("This bundle explains badly")
        assert "Flips alone: The answers that flip when the generator's change" in ended.out
        page = unescape((out / "audit.html").read_text())
        assert page.index(content["bundle_warning"]) < page.index('<section class="finding')
        assert content["settings"]["seed"] == 12345
        assert "audit.html" in ended.out
        with np.load(out / "audit.npz", allow_pickle=False) as arrays:
            assert arrays["difference_touch_share"].shape == (SIZE, SIZE)
            assert arrays["mean_image"].shape == (1, SIZE, SIZE)

    def test_the_test_split_is_the_default(
        self, medxgan: Command, tiny_bundle: Path, phantom_archive: Path, tmp_path: Path
    ):
        with np.load(phantom_archive, allow_pickle=False) as arrays:
            tests = int((arrays["split"] == 2).sum())
        ended = medxgan(
            "audit", tiny_bundle, phantom_archive, "--out", tmp_path, "--methods", "difference",
            "--quiet",
        )  # fmt: skip
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert json.loads((tmp_path / "audit.json").read_text())["images"] == tests

    def test_unlabelled_images_are_as_good(
        self, medxgan: Command, tiny_bundle: Path, phantom_archive: Path, tmp_path: Path
    ):
        with np.load(phantom_archive, allow_pickle=False) as arrays:
            images = arrays["images"][:40]
        data = tmp_path / "unlabelled.npz"
        write_npz(data, images=images, labels=np.full(40, -1), split=np.full(40, 2))
        out = tmp_path / "out"
        ended = medxgan("audit", tiny_bundle, data, "--out", out, "--methods", "difference")
        assert ended.code == 0
        content = json.loads((out / "audit.json").read_text())
        assert content["images"] == 40
        assert not content["lesions_excused"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--methods", "lgi"), "no method is named 'lgi'"),
            (("--split", "tset"), "no split is named 'tset'"),
            (("--most", 9), "most must be at least 10, got 9"),
            (("--most", -5), "most must be at least 10, got -5"),
            (("--refine", -1), "refine must be at least 0, got -1"),
            (("--methods", ""), "no method is named ''"),
        ],
    )
    def test_refuses(
        self,
        medxgan: Command,
        tiny_bundle: Path,
        phantom_archive: Path,
        tmp_path: Path,
        options: tuple[str, str],
        words: str,
    ):
        ended = medxgan("audit", tiny_bundle, phantom_archive, "--out", tmp_path / "o", *options)
        assert ended.code == 2
        assert "Usage" not in ended.err
        last = ended.err.splitlines()[-1]
        assert last.startswith("Error: ")
        assert words in last
        assert not (tmp_path / "o").exists()

    def test_a_file_in_the_way(
        self, medxgan: Command, tiny_bundle: Path, phantom_archive: Path, tmp_path: Path
    ):
        (tmp_path / "taken").write_text("")
        ended = medxgan("audit", tiny_bundle, phantom_archive, "--out", tmp_path / "taken")
        assert ended.code == 2
        assert "is in the way" in ended.err
