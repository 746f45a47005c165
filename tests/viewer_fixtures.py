"""A pytest plugin: a browser, a running viewer, and pages that may not complain."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from viewer_browser import (
    BUNDLE,
    SIZES,
    Server,
    Watch,
    installed_browser,
    missing,
    open_image,
    running,
    write_explanations,
)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        path = installed_browser(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "explained"
    write_explanations(folder)
    return folder


@pytest.fixture(scope="module")
def server(browser: Any, explained: Path) -> Iterator[Server]:
    with running(explained, "--bundle", BUNDLE) as server:
        yield server


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_page(browser: Any, server: Server, watch: Watch) -> Iterator[Open]:
    """Open the viewer; afterwards nothing may have been complained of or asked elsewhere."""
    contexts = []

    def open_page(
        size: str = "desk", scheme: str = "dark", image: str = "", server: Server = server
    ) -> Any:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=size != "desk",
        )
        contexts.append(context)
        page = context.new_page()
        watch.follow(page, server.address)
        page.goto(server.address)
        page.wait_for_selector("tbody tr")
        if image:
            open_image(page, image)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.complaints == []
    assert watch.elsewhere == []
