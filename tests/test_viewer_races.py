"""The viewer in a browser when answers come late, in another order, or no longer wanted."""

import json
from typing import Any

from test_viewer_browser import answer, drop, png_file
from viewer_browser import POSITIVE, until

pytest_plugins = ["viewer_fixtures"]
LIVE = "document.querySelector('[data-pane=film] .label').textContent === 'Live'"
BEHIND = "document.activeElement.closest('#app')"
FOCUSED = "document.activeElement.textContent"


def open_live(page: Any) -> None:
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Open this image live").click()
    page.wait_for_selector(".sliders input")
    until(page, LIVE)


def hold(page: Any, address: str) -> list[Any]:
    """Requests that are held back until the test lets them go."""
    held: list[Any] = []

    def keep(route: Any) -> None:
        held.append(route)

    page.route(address, keep)
    return held


def when_held(page: Any, held: list[Any], count: int = 1) -> None:
    for _ in range(500):
        if len(held) >= count:
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{len(held)} requests came, {count} were expected")


def test_a_goal_found_too_late_moves_no_slider(open_page):
    page = open_page(image=POSITIVE)
    open_live(page)
    held = hold(page, "**/goal")
    page.get_by_role("button", name="Make negative").click()
    when_held(page, held)
    page.get_by_label("strength").fill("1.25")
    assert page.get_by_text("Searching …").count() == 0
    held[0].fulfill(body=json.dumps({"controls": {"strength": 0}, "sentence": "late"}))
    page.wait_for_timeout(200)
    assert page.get_by_label("strength").input_value() == "1.25"
    assert page.get_by_text("late").count() == 0


def test_of_two_goals_the_later_one_counts(open_page):
    page = open_page(image=POSITIVE)
    open_live(page)
    held = hold(page, "**/goal")
    page.get_by_role("button", name="Make negative").click()
    when_held(page, held)
    page.get_by_role("button", name="Make positive").click()
    when_held(page, held, 2)
    for route, strength in ((held[1], 1.5), (held[0], 0)):
        route.fulfill(body=json.dumps({"controls": {"strength": strength}, "sentence": None}))
    until(page, "document.querySelector('#control-strength').value === '1.5'")
    page.wait_for_timeout(200)
    assert page.get_by_label("strength").input_value() == "1.5"


def test_a_goal_that_is_found_while_the_film_is_seen_waits(open_page):
    page = open_page(image=POSITIVE)
    open_live(page)
    held = hold(page, "**/goal")
    page.get_by_role("button", name="Make negative").click()
    when_held(page, held)
    page.get_by_role("tab", name="Film").click()
    held[0].fulfill(body=json.dumps({"controls": {"strength": 0}, "sentence": "found"}))
    until(page, "document.querySelector('.goals .said').textContent === 'found'")
    page.wait_for_timeout(200)
    assert page.locator("[data-pane=film] .label").text_content() == "Film"
    assert answer(page) == ">0.999"
    page.get_by_role("tab", name="Live").click()
    until(page, "parseFloat(document.querySelector('.answer').textContent.replace('<', '')) < 0.5")


def test_verdicts_are_saved_in_the_order_in_which_they_were_given(open_page):
    page = open_page(image=POSITIVE)
    page.get_by_label("Reader", exact=True).fill("Cy")
    page.get_by_label("Reader", exact=True).press("Tab")
    held: list[Any] = []
    page.route(
        "**/api/verdicts",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    page.get_by_role("button", name="Plausible", exact=True).click()
    page.get_by_role("button", name="Implausible").click()
    when_held(page, held)
    page.wait_for_timeout(200)
    assert len(held) == 1, "the second one waits until the first is on the disk"
    held[0].continue_()
    when_held(page, held, 2)
    assert held[1].request.post_data_json["verdict"] == "implausible"
    held[1].continue_()
    page.get_by_text("Saved", exact=True).wait_for()


def test_of_two_dropped_files_the_later_one_is_opened(open_page):
    page = open_page()
    held = hold(page, "**/api/live")
    drop(page, "first.png", png_file())
    when_held(page, held)
    drop(page, "second.png", png_file())
    when_held(page, held, 2)
    assert page.get_by_role("dialog", name="Opening an image").is_visible()
    held[1].continue_()
    page.wait_for_selector(".sliders input")
    assert page.get_by_role("heading", level=1).text_content() == "second"
    assert page.get_by_role("dialog").count() == 0
    until(page, f"{FOCUSED} === 'second'")


def test_escape_gives_an_opening_up_and_the_focus_back(open_page):
    page = open_page(image=POSITIVE)
    page.get_by_role("tab", name="Live").click()
    held = hold(page, "**/api/live")
    opener = page.get_by_role("button", name="Open this image live")
    opener.focus()
    page.keyboard.press("Enter")
    when_held(page, held)
    for _ in range(4):
        page.keyboard.press("Tab")
        inside = (
            "document.activeElement === document.body || document.activeElement.closest('#busy')"
        )
        assert page.evaluate(f"Boolean({inside})"), "the page behind cannot be reached"
    page.keyboard.press("Escape")
    until(page, f"{FOCUSED} === 'Open this image live'")
    assert page.get_by_role("dialog").count() == 0
    assert page.get_by_role("heading", level=1).text_content() == POSITIVE


def test_a_live_picture_can_be_taken_away(open_page):
    page = open_page(image=POSITIVE)
    open_live(page)
    page.get_by_role("heading", level=1).focus()
    page.keyboard.press("g")
    page.keyboard.press("e")
    assert page.get_by_label("Pane", exact=True).input_value() == "film"
    assert page.get_by_text("in the colours of the report").is_hidden()
    with page.expect_download() as download:
        page.get_by_role("button", name="as shown here").click()
    assert download.value.suggested_filename == f"{POSITIVE}-live.png"


def test_a_ruler_that_is_reset_while_it_grows_begins_anew(open_page):
    page = open_page(image=POSITIVE)
    for key in ("x", "Enter", "ArrowRight", "f", "ArrowRight"):
        page.keyboard.press(key)
    assert "ruler" not in page.locator(".readout").text_content()
    page.keyboard.press("x")
    page.keyboard.press("r")
    box = page.locator("[data-pane=original] canvas.picture").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 50)
    page.keyboard.press("f")
    page.mouse.move(box["x"] + 40 + box["width"] / 4, box["y"] + 50)
    page.mouse.up()
    assert "ruler 16.0 px" in page.locator(".readout").text_content()


def test_an_address_of_nothing_is_one_sentence(open_page, watch):
    watch.allowed += ["Failed to load resource"]
    page = open_page()
    page.evaluate("location.hash = '#/explanations/%'")
    page.get_by_role("heading", name="This cannot be shown").wait_for()
