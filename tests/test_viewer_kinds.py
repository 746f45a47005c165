"""The viewer in a browser, of models and images of other kinds: a value, colour, three classes."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medxgan.data.phantom import make_phantoms
from viewer_browser import PATIENCE_SECONDS, Server, running, until
from viewer_cases import SIDE
from viewer_kinds import (
    COLOURED,
    GRADE,
    GRADED,
    SIZE,
    STAIN,
    write_kinds,
    write_untrained_bundle,
)

pytest_plugins = ["viewer_fixtures"]
PAINTED = """async (pane) => {
    const painted = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await painted();
    await painted();
    return document.querySelector(`[data-pane=${pane}] canvas.picture`).toDataURL();
}"""
RAMP = np.arange(SIZE * SIZE, dtype=np.uint32).reshape(SIZE, SIZE) // 4


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    write_kinds(root / "out")
    write_untrained_bundle(root / "grade", GRADE, 0)
    write_untrained_bundle(root / "stain", STAIN, 1)
    return root


@pytest.fixture(scope="module")
def server(browser: Any, kinds: Path) -> Iterator[Server]:
    """Of a model of a value."""
    with running(kinds / "out", "--bundle", str(kinds / "grade")) as server:
        yield server


@pytest.fixture(scope="module")
def stain_server(browser: Any, kinds: Path) -> Iterator[Server]:
    """Of a model of three classes of coloured images."""
    with running(kinds / "out", "--bundle", str(kinds / "stain")) as server:
        yield server


def pixel(page: Any, pane: str, column: int, row: int) -> list[int]:
    """The colour of a pixel of a pane as it is painted; the pane has as many as the image."""
    content = b64decode(page.evaluate(PAINTED, pane).partition(",")[2])
    painted = Image.open(BytesIO(content)).convert("RGB")
    place = [
        int((part + 0.5) / SIDE * whole)
        for part, whole in zip((column, row), painted.size, strict=True)
    ]
    return list(painted.getpixel(place))


def point_at(page: Any, pane: str, column: int, row: int) -> dict[str, float]:
    """The middle of a pixel of the image, on the screen."""
    box = page.locator(f"[data-pane={pane}] canvas.picture").bounding_box()
    return {
        "x": box["x"] + (column + 0.5) / SIDE * box["width"],
        "y": box["y"] + (row + 0.5) / SIDE * box["height"],
    }


def upload(page: Any, pixels: np.ndarray) -> None:
    """Choose a picture, and wait until it is drawn live."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    file = {"name": "scan.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    page.locator("input[type=file]").first.set_input_files(file)
    page.wait_for_selector(".sliders input", timeout=1000 * PATIENCE_SECONDS)
    until(page, "document.querySelector('[data-pane=film] .label').textContent === 'Live'")


def number(page: Any) -> float:
    return float(page.locator(".answer").text_content().lstrip("<>").replace("−", "-"))


def ramp_value(column: int, row: int) -> float:
    return -1 + 2 * (row * SIDE + column) / (SIDE * SIDE - 1)


def test_a_value_is_told_in_its_own_units(open_page):
    page = open_page(image=GRADED)
    assert page.locator(".measure").text_content() == "age"
    assert page.locator(".answer").text_content() == "82.0"
    scores = page.locator(".pane .score").all_text_contents()
    assert scores == ["82.0", "82.0", "32.0", "32.0"]
    assert page.locator(".curve .y").all_text_contents() == ["20", "50", "90"]
    heights = page.locator(".curve .y").evaluate_all(
        "all => all.map(one => one.y.baseVal[0].value)"
    )
    line = page.locator(".curve .decision").get_attribute("d")
    assert float(line.split()[1].split("H")[0]) == heights[1], "the decision lies at its threshold"
    page.locator("#frame").fill("1")
    assert page.locator(".answer").text_content() == "44.0"
    assert page.locator(".side").text_content() == "negative"
    until(page, "document.querySelector('#announcer').textContent.startsWith('age 44.0')")
    assert page.locator(".classes").count() == 0
    assert page.locator(".ends span").all_text_contents() == ["towards age 20", "towards age 90"]
    page.keyboard.press("Escape")
    page.wait_for_selector("tbody tr")
    row = page.get_by_role("row", name=GRADED)
    assert row.locator(".figure").all_text_contents()[:4] == ["82.0", "82.0", "32.0", "32.0"]
    assert row.locator(".prediction").text_content() == "age from 50 on"


def test_a_value_can_be_asked_for_live(open_page):
    page = open_page()
    upload(page, RAMP.astype(np.uint8))
    assert page.locator(".answers").count() == 0, "a value has no classes"
    wanted, go = page.get_by_label("Wanted grade"), page.get_by_role("button", name="Go to")
    assert [wanted.get_attribute(name) for name in ("min", "max")] == ["0", "4"]
    ends = []
    for strength in ("0", "1.5"):
        before = page.locator(".details").text_content()
        page.get_by_label("strength").fill(strength)
        until(page, f"document.querySelector('.details').textContent !== '{before}'")
        ends.append(number(page))
    between = round(sum(ends) / 2, 3)
    wanted.fill(str(between))
    go.click()
    until(
        page,
        f"Math.abs(parseFloat(document.querySelector('.answer').textContent) - {between}) <= 0.04",
    )
    wanted.fill("3.99")
    go.click()
    page.get_by_text("3.99 is not reached; the nearest is").wait_for()


def test_a_value_out_of_its_range_is_one_sentence(open_page):
    page = open_page()
    upload(page, RAMP.astype(np.uint8))
    page.get_by_label("Wanted grade").fill("7")
    page.get_by_role("button", name="Go to").click()
    page.get_by_text("Give a grade between 0 and 4.").wait_for()


def test_colours_are_shown_read_and_windowed(open_page):
    page = open_page(image=COLOURED)
    grey = round((ramp_value(5, 6) + 1) / 2 * 255)
    assert pixel(page, "original", 5, 6) == pytest.approx([grey, 255 - grey, 128], abs=1)
    place = point_at(page, "original", 5, 6)
    page.mouse.move(place["x"], place["y"])
    text = page.locator("[data-pane=original] .value").text_content()
    value = ramp_value(5, 6)
    assert [float(each.replace("−", "-")) for each in text.split()] == pytest.approx(
        [value, -value, 0], abs=0.005
    )
    luminance = (0.299 - 0.587) * value
    told = page.locator("[data-pane=difference] .value").text_content().replace("−", "-")
    assert float(told) == pytest.approx(luminance, abs=0.01), "of a difference the luminance counts"
    summed = page.locator("[data-pane=lig] .value").text_content()
    assert float(summed) == pytest.approx(3, abs=0.01), "evidence adds up over channels"
    red, green, blue = pixel(page, "ig", 5, 6)
    assert red == green == blue, "without evidence a map is the picture in grey"
    page.get_by_label("Window width").fill("1")
    page.get_by_label("Window width").press("Tab")
    page.get_by_label("Window level").fill("0.5")
    page.get_by_label("Window level").press("Tab")
    page.mouse.move(1, 1)
    assert page.locator("[data-pane=original] .value").text_content() == ""
    windowed = [max(0, min(255, round(255 * each))) for each in (value, -value, 0)]
    assert pixel(page, "original", 5, 6) == pytest.approx(windowed, abs=1)
    assert pixel(page, "film", 5, 6) == pytest.approx(windowed, abs=1)


def test_all_three_classes_are_told(open_page):
    page = open_page(image=COLOURED)
    page.get_by_text("All classes").click()
    rows = page.locator(".classes tbody tr").all_text_contents()
    assert rows == [
        "calm0.0750.0750.6000.600",
        "grade 10.9000.9000.2000.200",
        "grade 20.0250.0250.2000.200",
    ]
    assert page.locator(".classes .explained th").text_content() == "grade 1"
    page.keyboard.press("Escape")
    page.wait_for_selector("tbody tr")
    page.get_by_label("Class").select_option("grade 1")
    assert page.locator("tbody th a").all_text_contents() == [COLOURED]


def test_coloured_images_of_three_classes_move_live(open_page, stain_server):
    page = open_page(server=stain_server)
    upload(page, np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1).astype(np.uint8))
    shown = page.locator(".answers .number").all_text_contents()
    assert page.locator(".answers .name").all_text_contents() == ["calm", "grade 1", "grade 2"]
    assert sum(float(each.lstrip("<>")) for each in shown) == pytest.approx(1, abs=0.004)
    page.get_by_label("pathology 1").fill("4")
    until(page, f"document.querySelector('.answers .number').textContent !== '{shown[0]}'")
    shown = page.locator(".answers .number").all_text_contents()
    assert shown[1] == page.locator(".answer").text_content(), "the explained class is told large"
    assert len(set(pixel(page, "film", 4, 4))) > 1, "a colour, not grey"


def test_an_image_of_other_size_or_channels_cannot_be_opened_live(open_page, watch):
    watch.allowed += ["Failed to load resource"]
    page = open_page(image=COLOURED)
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Open this image live").click()
    page.wait_for_selector(".notice")
    assert "images must be [N, 1, 32, 32]" in page.get_by_role("alert").text_content()
    assert page.get_by_role("heading", name=COLOURED).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("image", [GRADED, COLOURED])
def test_nothing_runs_out_of_the_page(open_page, image, scheme):
    page = open_page("upright", scheme, image)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = page.locator(".curve text").evaluate_all(
        """all => all.filter((one) => {
            const [box, room] = [one, one.ownerSVGElement].map((e) => e.getBoundingClientRect());
            return box.left < room.left - 0.5 || box.right > room.right + 0.5;
        }).map((one) => one.textContent)"""
    )
    assert outside == []


class Fingers:
    """Fingers on a touch screen, as Chromium's own protocol moves them."""

    def __init__(self, page: Any) -> None:
        self.session = page.context.new_cdp_session(page)

    def put(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


VIEW = """async () => (await import("/static/store.js")).store.state.view"""


def view_when(page: Any, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """What is seen, once the browser has told the page of the fingers' last place."""
    for _ in range(100):
        view = page.evaluate(VIEW)
        if condition(view):
            break
        page.wait_for_timeout(20)
    return view


def test_two_fingers_zoom_and_pan_all_panes(open_page):
    """Fingers twice as far apart show half as much; what was between them stays there."""
    page = open_page("upright", image=GRADED)
    box = page.locator("[data-pane=original] canvas.picture").bounding_box()
    side = box["width"]

    def place(across: float, down: float) -> tuple[float, float]:
        return box["x"] + across * side, box["y"] + down * side

    panes = ("original", "counterfactual", "lig", "film")
    before = {pane: pixel(page, pane, 0, 0) for pane in panes}
    fingers = Fingers(page)
    fingers.put("touchStart", place(0.3, 0.4))
    fingers.put("touchStart", place(0.3, 0.4), place(0.5, 0.4))
    for step in range(1, 11):
        fingers.put("touchMove", place(0.3 - 0.01 * step, 0.4), place(0.5 + 0.01 * step, 0.4))
    view = view_when(page, lambda view: view["zoom"] > 1.99)
    assert view["zoom"] == pytest.approx(2, abs=0.01)
    # The point (0.4, 0.4) lies at (0.4, 0.4) of the pane: it is 0.1 from the middle, or 0.05 there.
    assert (view["x"], view["y"]) == pytest.approx((0.45, 0.45), abs=0.01)
    for step in range(1, 11):
        fingers.put("touchMove", place(0.2, 0.4 + 0.01 * step), place(0.6, 0.4 + 0.01 * step))
    view = view_when(page, lambda view: view["y"] < 0.401)
    assert view["zoom"] == pytest.approx(2, abs=0.01)
    assert (view["x"], view["y"]) == pytest.approx((0.45, 0.40), abs=0.01)
    fingers.put("touchEnd")
    assert page.get_by_label("Window width").input_value() == "2.00", "a pinch is no window"
    assert page.evaluate("visualViewport.scale") == 1, "the page itself is not zoomed"
    assert "zoom 2.0×" in page.locator(".readout").text_content()
    after = {pane: pixel(page, pane, 0, 0) for pane in panes}
    assert all(after[pane] != before[pane] for pane in panes)
    assert after["original"] == pytest.approx(
        [round((ramp_value(1, 1) + 1) / 2 * 255)] * 3, abs=1
    ), "the pixel that lies in the corner now"


def test_one_finger_sets_the_window_and_a_third_does_nothing(open_page):
    page = open_page("upright", image=GRADED)
    box = page.locator("[data-pane=original] canvas.picture").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    fingers = Fingers(page)
    fingers.put("touchStart", (x + 20, y + 20))
    fingers.put("touchMove", (x + 20 + side / 4, y + 20))
    fingers.put("touchEnd")
    assert page.get_by_label("Window width").input_value() == "2.50"
    two = [(x + 20, y + 20), (x + 60, y + 20)]
    fingers.put("touchStart", two[0])
    fingers.put("touchStart", *two)
    fingers.put("touchStart", *two, (x + 40, y + 60))
    fingers.put("touchMove", *two, (x + 90, y + 60))
    fingers.put("touchEnd")
    assert page.get_by_label("Window width").input_value() == "2.50"


def test_the_explained_direction_can_be_chosen(browser, watch):
    """Of the shipped bundle with two; the same image is opened again for the other model."""
    with running(Path("chest-phantom-stylegan")) as server:
        page = browser.new_page()
        watch.follow(page, server.address)
        page.goto(server.address)
        chosen = page.get_by_label("Explained")
        assert chosen.evaluate("(one) => [...one.options].map((each) => each.value)") == [
            "small-cnn",
            "onnx",
        ]
        assert chosen.input_value() == "small-cnn"
        assert page.title().startswith("chest-phantom-stylegan –")
        phantoms = make_phantoms("chest", 2, size=64, seed=7)
        upload(page, phantoms.images[int(phantoms.labels.argmax())])
        labels = page.locator(".slider label").all_text_contents()
        assert labels[1:3] == ["toward lesion (small-cnn)", "direction onnx"]
        assert page.get_by_role("button", name="Other counterfactuals").count() == 0
        chosen.select_option("onnx")
        until(page, "document.querySelectorAll('.slider label')[2].textContent.includes('small')")
        assert chosen.input_value() == "onnx"
        assert page.get_by_role("heading", level=1).text_content() == "scan"
        page.close()
    assert watch.complaints == watch.elsewhere == []
