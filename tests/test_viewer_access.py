"""The viewer for everyone: names, contrast, focus, themes; and colours that all can tell apart."""

from pathlib import Path

import numpy as np
import pytest

from viewer_browser import FAILED, POSITIVE, SIZES, open_image

pytest_plugins = ["viewer_fixtures"]
RULES = (Path(__file__).parent / "viewer_rules.js").read_text(encoding="utf-8")
FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    return {
        order: [...document.querySelectorAll("*")].indexOf(element),
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        label: element.getAttribute("aria-label") ?? element.textContent.trim(),
    };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_accessible(open_page, size, scheme):
    page = open_page(size, scheme)
    assert page.evaluate(RULES) == []
    open_image(page, FAILED)
    assert page.evaluate(RULES) == []
    page.get_by_role("button", name="View").click()
    assert page.evaluate(RULES) == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Open this image live").click()
    page.wait_for_selector(".sliders input")
    assert page.evaluate(RULES) == []
    page.keyboard.press("?")
    assert page.evaluate(RULES) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert page.get_by_text("Not for clinical use").is_visible()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_on_a_tablet_and_a_phone_says_where_more_is(open_page, size):
    page = open_page(size)
    hidden = page.evaluate(
        """() => {
            const scroller = document.querySelector(".scroller");
            return scroller.scrollWidth - scroller.clientWidth;
        }"""
    )
    hint = page.get_by_text("scroll the table sideways")
    assert hint.is_visible() == (hidden > 1) == (size == "phone")
    open_image(page, POSITIVE)
    for part in (".telling", ".panel", "header", ".toolbar", ".status", ".choices", ".below"):
        place = page.locator(part).first.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= SIZES[size][0], part
    measure = page.locator(".measure").bounding_box()
    assert measure["width"] > 60, "words are not broken every two letters"


def test_the_theme_can_be_chosen_and_is_kept(open_page):
    page = open_page(scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Light or dark").select_option("light")
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    page.wait_for_selector("tbody tr")
    assert page.evaluate(ground) == light


@pytest.mark.parametrize("image", ["", FAILED])
def test_focus_goes_through_the_page_in_order_and_is_seen(open_page, image):
    page = open_page(image=image)
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    page.evaluate("document.querySelector('.skip').focus()")
    visited = [page.evaluate(FOCUSED)]
    while len(visited) < 120:
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or focused["order"] <= visited[-1]["order"]:
            break
        visited.append(focused)
    labels = [each["label"] for each in visited]
    assert all(each["outlined"] for each in visited[1:]), visited
    expected = ["Frame of the film", "Plausible", "Enlarge LIG"] if image else ["Name", POSITIVE]
    for label in expected:
        assert any(each.startswith(label) for each in labels), labels
    assert visited[0]["label"] == "Skip to the content"


def test_a_moving_slider_never_makes_a_queue(open_page):
    page = open_page()
    served = page.evaluate(
        """async () => {
            const { newestWins } = await import("/static/newest.js");
            const frame = () => new Promise((resolve) =>
                requestAnimationFrame(() => requestAnimationFrame(resolve)));
            const served = [];
            let finish;
            const end = new AbortController();
            const work = (request) => {
                served.push(request);
                return new Promise((resolve) => { finish = resolve; });
            };
            const ask = newestWins(work, () => undefined, end.signal);
            ask(1); ask(2);
            await frame();
            for (const request of [3, 4, 5]) { ask(request); await frame(); }
            finish();
            await frame();
            finish();
            end.abort();
            ask(6);
            await frame();
            return served;
        }"""
    )
    assert served == [2, 5], "the newest before each frame, and nothing once ended"


def test_colours_are_centred_on_zero_and_told_apart_by_the_colour_blind(open_page):
    page = open_page()
    tables = page.evaluate(
        """async () => {
            const { SCALES, colourIndex, colourTable } = await import("/static/colours.js");
            if (colourIndex(0, 3) !== 127 || colourIndex(NaN, 3) !== 255) throw new Error("zero");
            if (colourIndex(-9, 3) !== 0 || colourIndex(9, 3) !== 254) throw new Error("ends");
            return Object.keys(SCALES).flatMap((name) =>
                ["difference", "evidence"].map((kind) => colourTable(name, kind)));
        }"""
    )
    # Machado, Oliveira & Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia.
    deficiencies = np.array(
        [
            [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
            [[0.3673, 0.8606, -0.2279], [0.2801, 0.6726, 0.0473], [-0.0118, 0.0430, 0.9688]],
            [[1.2556, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
        ]
    )
    for table in np.array(tables) / 255:
        assert len(set(table[127].tolist())) == 1, "zero has no hue"
        linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
        for seen in deficiencies:
            colours = (linear[:255] @ seen.T).clip(0, 1) ** (1 / 2.2)
            apart = np.linalg.norm(colours - colours[::-1], axis=1)
            assert apart[: 127 - 30].min() > 0.2, "the same size with either sign looks different"


def test_the_colours_of_the_maps_are_explained(open_page):
    page = open_page(image=POSITIVE)
    meant = page.locator(".colours").text_content()
    assert "Difference: darkerbrighter in the positive image" in meant
    assert "Evidence maps: against lesionfor lesion" in meant
    page.get_by_role("button", name="Enlarge LIG").click()
    large = page.locator("[data-pane=lig].large .legend")
    assert large.locator(".low").text_content().startswith("against −")
    assert large.locator(".high").text_content().endswith(" for")
    assert large.get_attribute("title").startswith("Red: for lesion; blue: against lesion")


def test_the_rules_find_what_they_look_for(open_page):
    page = open_page()
    page.evaluate(
        """() => {
            const [bare, faint, other, plain] = ["button", "p", "button", "p"].map((tag) =>
                document.createElement(tag));
            faint.textContent = "hard to read";
            faint.style.color = "#777";
            other.textContent = "To p";
            other.ariaLabel = "To this probability";
            plain.ariaLabel = "what no role tells";
            plain.textContent = "a paragraph";
            document.querySelector("main").append(bare, faint, other, plain);
        }"""
    )
    findings = page.evaluate(RULES)
    assert any("has no name" in finding for finding in findings)
    assert any("'hard to read'" in finding and "contrast" in finding for finding in findings)
    assert any("shows 'to p'" in finding for finding in findings)
    assert any("has a label and no role" in finding for finding in findings)
