"""The viewer in a real browser: what a reader does, and what the page must never do."""

import csv
import json
import time
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from medxgan.demo import demo_inputs
from medxgan.report.wording import flip_text
from viewer_browser import (
    FAILED,
    FUTURE,
    HOSTILE,
    NEGATIVE,
    POSITIVE,
    Server,
    open_image,
    until,
)

pytest_plugins = ["viewer_fixtures"]


def names(page: Any) -> list[str]:
    return page.locator("tbody th a").all_text_contents()


def answer(page: Any) -> str:
    return page.locator(".answer").text_content()


def picture(page: Any, pane: str) -> str:
    """The pixels of a pane as they are painted, once the present frame is through."""
    return page.evaluate(
        """async (pane) => {
            const painted = () => new Promise((resolve) => requestAnimationFrame(resolve));
            await painted();
            await painted();
            return document.querySelector(`[data-pane=${pane}] canvas.picture`).toDataURL();
        }""",
        pane,
    )


def drop(page: Any, name: str, content: bytes) -> None:
    """Let a file fall on the page."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], name));
            return transfer;
        }""",
        [name, list(content)],
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    assert page.locator("#curtain").is_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})


def phantom() -> np.ndarray:
    """A positive image as 8-bit grey."""
    image = demo_inputs(64, seed=7).images[0, 0].numpy()
    return np.rint((image + 1) / 2 * 255).astype(np.uint8)


def png_file() -> bytes:
    buffer = BytesIO()
    Image.fromarray(phantom()).save(buffer, format="PNG")
    return buffer.getvalue()


def dicom_file() -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "12345"
    dataset.Modality, dataset.PixelSpacing = "MR", [1.5, 1.5]
    dataset.Rows, dataset.Columns = 64, 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 2040, 4080
    dataset.PixelData = (phantom().astype("<u2") * 16).tobytes()
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_list_filters_and_sorts(open_page):
    page = open_page()
    assert sorted(names(page)) == sorted([POSITIVE, FAILED, HOSTILE, NEGATIVE, FUTURE])
    page.get_by_label("Prediction").select_option("negative")
    assert names(page) == [NEGATIVE]
    page.get_by_label("Prediction").select_option("")
    page.get_by_label("Status").select_option("no flip")
    assert names(page) == [FAILED]
    page.get_by_label("Status").select_option("")
    page.get_by_label("Search").fill("brain-1")
    assert sorted(names(page)) == [POSITIVE, NEGATIVE]
    page.get_by_label("Search").fill("nothing like it")
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Name").click()
    assert names(page)[1:4] == [POSITIVE, FAILED, NEGATIVE], "numbers in names count as numbers"
    page.get_by_role("button", name="Original").click()
    assert names(page)[-2:] == [NEGATIVE, FUTURE], "what is not known comes last"
    heading = page.get_by_role("columnheader", name="Original")
    assert heading.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="Original").click()
    assert names(page)[0] == NEGATIVE


def test_what_cannot_be_read_says_why(open_page, watch):
    watch.allowed += ["Failed to load resource"]
    page = open_page()
    row = page.get_by_role("row", name=FUTURE)
    assert "has format 99" in row.text_content()
    row.get_by_role("link").click()
    page.get_by_role("heading", name="This cannot be shown").wait_for()
    assert "update medxgan" in page.locator("main").text_content()
    page.get_by_role("link", name="Back to the start").click()
    page.wait_for_selector("tbody tr")


def test_a_filter_outlasts_a_visit_to_an_image(open_page):
    page = open_page()
    page.get_by_label("Status").select_option("ok")
    open_image(page, POSITIVE)
    assert page.locator(".where").text_content().endswith("of 3")
    page.keyboard.press("Escape")
    page.wait_for_selector("tbody tr")
    assert FAILED not in names(page)


def test_the_film_moves_the_picture_and_the_probability(open_page):
    page = open_page(image=POSITIVE)
    assert answer(page) == ">0.999"
    last = picture(page, "film")
    page.locator("#frame").fill("0")
    assert float(answer(page).lstrip("<")) < 0.05
    assert page.locator(".side").text_content() == "negative"
    assert picture(page, "film") != last
    page.keyboard.press("End")
    assert answer(page) == ">0.999"
    assert picture(page, "film") == last
    until(page, "document.querySelector('#announcer').textContent.includes('frame 11')")
    assert "probability of lesion >0.999" in page.locator("#announcer").text_content()


def test_the_film_plays_and_rests(open_page):
    page = open_page(image=POSITIVE)
    page.get_by_role("heading", name=POSITIVE).focus()
    page.keyboard.press("Space")
    until(page, "document.querySelector('#frame').value !== '10'")
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Play the film").is_visible()


def test_a_click_on_the_curve_goes_there(open_page):
    page = open_page(image=POSITIVE)
    box = page.locator(".curve svg").bounding_box()
    page.mouse.click(box["x"] + 36, box["y"] + 20)
    assert page.locator("#frame").input_value() == "0"


def test_keys_do_what_the_help_says(open_page):
    page = open_page(image=POSITIVE)
    width, level = page.get_by_label("Window width"), page.get_by_label("Window level")
    page.keyboard.press("w")
    assert width.input_value() == "2.10"
    page.keyboard.press("b")
    assert level.input_value() == "-0.10"
    page.keyboard.press("f")
    assert (width.input_value(), level.input_value()) == ("2.00", "0.00")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#frame").input_value() == "9"
    page.keyboard.press("6")
    assert page.locator(".pane.large .label").all_text_contents() == ["Original", "LIG"]
    page.keyboard.press("0")
    assert page.locator(".pane.large").count() == 0
    before = picture(page, "lig")
    page.keyboard.press("m")
    assert page.get_by_label("Maps", exact=True).input_value() == "alone"
    assert picture(page, "lig") != before
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("heading", name=POSITIVE).is_visible()
    page.keyboard.press("j")
    until(page, f"document.querySelector('h1').textContent !== '{POSITIVE}'")


def test_keys_can_be_switched_off_and_do_not_disturb_typing(open_page):
    page = open_page(image=POSITIVE)
    page.get_by_label("Comment").fill("")
    page.get_by_label("Comment").press_sequentially("wide window")
    assert page.get_by_label("Window width").input_value() == "2.00"
    page.get_by_role("button", name="Keys and mouse").click()
    page.get_by_label("Keys without Ctrl or Alt are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("w")
    assert page.get_by_label("Window width").input_value() == "2.00"


def test_panes_share_zoom_window_and_cursor(open_page):
    page = open_page(image=POSITIVE)
    canvas = page.locator("[data-pane=original] canvas.picture")
    before = {pane: picture(page, pane) for pane in ("original", "transferred", "film")}
    canvas.hover(position={"x": 60, "y": 60})
    column = page.locator(".readout").text_content()
    assert column.startswith("column ")
    assert page.locator("[data-pane=lig] .value").text_content()
    page.mouse.wheel(0, -400)
    until(page, "document.querySelector('.readout').textContent.includes('zoom')")
    zoomed = {pane: picture(page, pane) for pane in before}
    assert all(zoomed[pane] != before[pane] for pane in before)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 60 + box["width"] / 4, box["y"] + 60)
    page.mouse.up()
    assert page.get_by_label("Window width").input_value() == "2.50"
    canvas.dblclick()
    assert page.get_by_label("Window width").input_value() == "2.00"
    page.mouse.move(1, 1)
    assert picture(page, "transferred") == before["transferred"]


def test_dragging_on_a_map_stretches_its_colours_alone(open_page):
    page = open_page(image=POSITIVE)
    ends = page.locator("[data-pane=lig] .both")
    before = ends.text_content()
    box = page.locator("[data-pane=lig] canvas.picture").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 20)
    page.mouse.up()
    until(page, f"document.querySelector('[data-pane=lig] .both').textContent !== '{before}'")
    assert page.get_by_label("Window width").input_value() == "2.00"


def test_the_ruler_measures_by_mouse_and_by_keys(open_page):
    page = open_page(image=POSITIVE)
    page.keyboard.press("r")
    box = page.locator("[data-pane=original] canvas.picture").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 10 + box["width"] / 2, box["y"] + 50)
    page.mouse.up()
    assert "ruler 32.0 px" in page.locator(".readout").text_content()
    page.mouse.move(1, 1)
    for key in ("r", "x", "Enter", "ArrowRight", "ArrowRight", "ArrowRight", "Enter", "ArrowDown"):
        page.keyboard.press(key)
    assert "ruler 3.0 px" in page.locator(".readout").text_content()
    until(page, "document.querySelector('#announcer').textContent.includes('column 35')")


def test_a_failed_explanation_says_why_before_any_picture(open_page):
    page = open_page(image=FAILED)
    assert page.locator(".badge.bad").text_content() == "Not to be trusted"
    reason = page.locator(".problems li")
    assert reason.text_content().startswith("No flip: the probability of 'lesion'")
    assert reason.bounding_box()["y"] < page.locator(".pane").first.bounding_box()["y"]
    assert page.evaluate(
        """() => Boolean(document.querySelector(".problems").compareDocumentPosition(
            document.querySelector("canvas")) & Node.DOCUMENT_POSITION_FOLLOWING)"""
    )


def test_a_flip_is_told_with_what_became_of_the_original(open_page):
    page = open_page()
    said = page.evaluate(
        """async () => {
            const { flipText } = await import("/static/words.js");
            const both = [true, false];
            return both.map((flipped) =>
                both.map((transfer_flipped) => flipText({ flipped, transfer_flipped })));
        }"""
    )
    assert said[0] == [flip_text(True, True), flip_text(True, False)]
    assert said[1] == [flip_text(False, True), flip_text(False, False)]
    assert page.locator("tbody .flip").first.text_content() in said[0]
    open_image(page, POSITIVE)
    assert page.locator(".summary").text_content().endswith(f"answer {said[0][0]}")


def test_names_of_files_never_become_markup(open_page):
    page = open_page(image=HOSTILE)
    assert page.get_by_role("heading", level=1).text_content() == HOSTILE
    assert page.locator("img[src='x']").count() == 0
    assert page.title() != "taken"


@pytest.mark.parametrize("name", ["scan.png", "scan.dcm"])
def test_a_dropped_file_is_moved_live(open_page, name):
    page = open_page()
    drop(page, name, dicom_file() if name.endswith("dcm") else png_file())
    page.wait_for_selector(".sliders input")
    until(page, "document.querySelector('.pane[data-pane=film] .label').textContent === 'Live'")
    assert "Doe" not in page.content()
    assert "12345" not in page.content()
    until(page, "parseFloat(document.querySelector('.answer').textContent.replace('>', '')) > 0.5")
    before = picture(page, "film")
    page.get_by_label("strength").fill("0")
    until(page, "parseFloat(document.querySelector('.answer').textContent.replace('<', '')) < 0.5")
    assert picture(page, "film") != before
    bars = page.locator(".answers .number").all_text_contents()
    assert bars[1] == answer(page)
    if name.endswith("dcm"):
        page.locator("[data-pane=original] canvas.picture").hover()
        assert " mm" in page.locator(".readout").text_content()


def test_goals_and_other_counterfactuals(open_page):
    page = open_page(image=POSITIVE)
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Open this image live").click()
    page.wait_for_selector(".sliders input")
    below = "parseFloat(document.querySelector('.answer').textContent.replace(/[<>]/, '')) < 0.5"
    above = "parseFloat(document.querySelector('.answer').textContent.replace(/[<>]/, '')) > 0.5"
    until(page, above)
    page.get_by_role("button", name="Make negative").click()
    until(page, below)
    page.get_by_role("button", name="Make positive").click()
    until(page, above)
    page.get_by_label("Wanted probability").fill("0.3")
    page.get_by_role("button", name="To p, this probability").click()
    until(page, "Math.abs(parseFloat(document.querySelector('.answer').textContent) - 0.3) < 0.05")
    for text in ("", "0", "1.5"):
        page.get_by_label("Wanted probability").fill(text)
        page.get_by_role("button", name="To p, this probability").click()
        page.get_by_text("Give a probability between 0.01 and 0.99.").wait_for()
    page.get_by_role("button", name="Other positives").click()
    page.wait_for_selector(".alternatives img")
    assert page.locator(".goals .said").text_content() == ""
    assert "own code: this image's" in page.locator(".meaning").text_content()
    page.get_by_role("button", name="Alternative 1").click()
    until(
        page,
        "document.querySelector('.alternatives [aria-pressed=true]').ariaLabel.startsWith('Alt')",
    )
    until(page, above)
    page.get_by_role("button", name="The image's own code").click()
    until(page, "document.querySelector('.alternatives .own').closest('[aria-pressed=true]')")
    page.get_by_label("Wanted probability").fill("0.5")
    page.get_by_role("button", name="To p, this probability").click()
    until(page, "document.querySelector('.answer').textContent === '0.500'")
    assert page.locator(".side").text_content() == "at the decision"


def test_an_image_that_takes_long_to_open_shows_that_it_is_alive(open_page):
    page = open_page()
    page.route("**/api/live", lambda route: None)
    drop(page, "scan.png", png_file())
    page.get_by_text("Explaining scan.png").wait_for()
    until(page, "document.querySelector('.seconds').textContent === '1 s'")
    page.get_by_role("button", name="Cancel").click()
    until(page, "!document.querySelector('#busy').open")


def test_an_image_without_a_mask_offers_no_outline(open_page):
    page = open_page(image=POSITIVE)
    assert page.get_by_role("button", name="Outline").is_enabled()
    drop(page, "scan.png", png_file())
    page.wait_for_selector(".sliders input")
    assert page.get_by_role("button", name="Outline").is_disabled()


def test_escape_ends_the_cross_before_it_closes_a_pane(open_page):
    page = open_page(image=POSITIVE)
    page.keyboard.press("1")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    assert "cross:" not in page.locator(".readout").text_content()
    assert page.locator(".pane.large").count() > 0
    page.keyboard.press("Escape")
    assert page.locator(".pane.large").count() == 0


def test_saved_alternatives_of_a_negative_image(open_page):
    page = open_page(image=NEGATIVE)
    assert answer(page).startswith("0.0")
    page.get_by_role("button", name="Alternative 2").click()
    assert float(answer(page).lstrip(">")) > 0.5
    assert page.locator("[data-pane=film] .label").text_content() == "Alternative 2"
    page.locator("#frame").fill("3")
    assert page.locator("[data-pane=film] .label").text_content() == "Film"


def test_a_file_that_is_no_image_is_one_sentence(open_page, watch):
    watch.allowed += ["Failed to load resource"]
    page = open_page()
    drop(page, "letter.png", b"this is no image")
    notice = page.get_by_role("alert")
    page.wait_for_selector(".notice")
    assert "letter.png" in notice.text_content()
    assert len(names(page)) == 5
    page.get_by_role("button", name="Dismiss").click()
    assert notice.text_content() == ""


def test_a_verdict_survives_a_killed_server(open_page, server, watch):
    watch.allowed += ["Failed to load resource"]
    page = open_page(image=POSITIVE)
    page.get_by_label("Reader", exact=True).fill("Ada")
    page.get_by_label("Reader", exact=True).press("Tab")
    page.get_by_role("button", name="Implausible").click()
    page.get_by_label("Comment").fill("the ventricle moved")
    page.get_by_label("Comment").press("Tab")
    page.get_by_text("Saved", exact=True).wait_for()
    server.kill()
    page.keyboard.press("p")
    page.get_by_text("Not saved").wait_for()
    server.start()
    page.get_by_text("Saved", exact=True).wait_for()
    page.reload()
    page.wait_for_selector(".film input")
    pressed = page.get_by_role("button", name="Plausible", exact=True)
    until(page, "document.querySelector('.choice[aria-pressed=true]') !== null")
    assert pressed.get_attribute("aria-pressed") == "true"
    assert page.get_by_label("Comment").input_value() == "the ventricle moved"
    page.get_by_label("Reader", exact=True).fill("Bo")
    page.get_by_label("Reader", exact=True).press("Tab")
    page.get_by_text("the ventricle moved").wait_for()
    page.keyboard.press("Escape")
    page.goto(server.address)
    page.get_by_label("Verdict").select_option("plausible")
    assert names(page) == [POSITIVE]
    with page.expect_download() as download:
        page.get_by_role("link", name="Verdicts (CSV)").click()
    (row,) = csv.DictReader(StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig")))
    assert "Ada" in row.values()


def test_everything_can_be_taken_away(open_page):
    page = open_page(image=POSITIVE)
    page.keyboard.press("e")

    def taken(name: str, role: str = "link") -> bytes:
        with page.expect_download() as download:
            page.get_by_role(role, name=name).click()
        return Path(download.value.path()).read_bytes()

    page.get_by_label("Pane", exact=True).select_option("lig")
    for name, role in (("as shown here", "button"), ("in the colours of the report", "link")):
        picture_file = Image.open(BytesIO(taken(name, role)))
        assert picture_file.format == "PNG"
        assert min(picture_file.size) >= 64
    film = Image.open(BytesIO(taken("The film")))
    assert film.format == "GIF"
    assert film.n_frames >= 11
    with ZipFile(BytesIO(taken("All arrays"))) as archive:
        assert "frames.npy" in archive.namelist()
    assert POSITIVE in taken("Report of this image").decode()
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Export").get_attribute("aria-expanded") == "false"


def test_two_browsers_do_not_disturb_one_another(open_page):
    first, second = open_page(image=POSITIVE), open_page(image=NEGATIVE)
    for page in (first, second):
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Open this image live").click()
    for page in (first, second):
        page.wait_for_selector(".sliders input")
        until(page, "document.querySelector('.answers .number').textContent !== '–'")
    first.get_by_label("strength").fill("0")
    second.get_by_label("strength").fill("1")
    low = "parseFloat(document.querySelector('.answer').textContent.replace('<', '')) < 0.5"
    until(first, low)
    assert first.get_by_role("heading", level=1).text_content() == POSITIVE
    assert second.get_by_role("heading", level=1).text_content() == NEGATIVE


def kept_verdicts(server: Server, reader: str) -> list[dict[str, Any]]:
    with urlopen(f"{server.address}/api/verdicts") as answer:
        return [each for each in json.load(answer)["verdicts"] if each["reader"] == reader]


@pytest.mark.parametrize("leave", ["closed", "left"])
def test_a_comment_typed_just_before_the_page_is_left_is_kept(open_page, server, leave):
    page = open_page(image=NEGATIVE)
    page.get_by_label("Reader", exact=True).fill(leave)
    page.get_by_label("Reader", exact=True).press("Tab")
    page.get_by_label("Comment").fill("half a second is too long")
    if leave == "closed":
        page.close(run_before_unload=True)
    else:
        page.goto("about:blank")
    end = time.monotonic() + 10
    while not (found := kept_verdicts(server, leave)) and time.monotonic() < end:
        time.sleep(0.05)
    assert [each["text"] for each in found] == ["half a second is too long"]


def test_the_verdict_clicked_last_is_kept_though_an_earlier_one_takes_long(open_page, server):
    page = open_page(image=NEGATIVE)
    routes: list[Any] = []

    def hold_the_first(route: Any) -> None:
        routes.append(route)
        if len(routes) > 1:
            route.continue_()

    page.get_by_label("Reader", exact=True).fill("Quick")
    page.get_by_label("Reader", exact=True).press("Tab")
    page.route("**/api/verdicts", hold_the_first)
    for name in ("Plausible", "Implausible", "Out of distribution"):
        page.get_by_role("button", name=name, exact=True).click()
    routes[0].continue_()
    page.get_by_text("Saved", exact=True).wait_for()
    assert [each["verdict"] for each in kept_verdicts(server, "Quick")] == ["out of distribution"]
    sent = [route.request.post_data_json["verdict"] for route in routes]
    assert sent == ["plausible", "out of distribution"], "one under way, the newest waiting"
