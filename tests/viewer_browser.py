"""For tests of the viewer in a real browser: explanations, and a server that can be killed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import medxgan
from medxgan.demo import demo_inputs
from medxgan.report import write_report
from medxgan.report.saving import FACTS_FILE, TABLE_FILE
from medxgan.types import Problem, Status

BUNDLE = "brain-phantom"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">.png"
POSITIVE, FAILED, NEGATIVE = "brain-1", "brain-2", "brain-10"
FUTURE = "from-the-future"
WHY = "no flip: the probability of 'lesion' stays at 0.610 on the counterfactual"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_SECONDS = 60
SIZES = {
    "desk": (1280, 720),
    "tablet": (1024, 768),
    "upright": (768, 1024),
    "phone": (390, 844),
}


def write_explanations(folder: Path) -> None:
    """A positive, one that failed, a hostile name, a negative, and one of a newer version."""
    explainer = medxgan.load(BUNDLE)
    inputs = demo_inputs(explainer.spec.size, seed=2026)
    rows = [0, 1, 2, 8]
    explanations = explainer.explain(
        inputs.images[rows],
        methods=("difference", "lig", "grad-cam", "ig"),
        names=[POSITIVE, FAILED, HOSTILE, NEGATIVE],
        masks=[inputs.masks[row] for row in rows],
    )
    problem = Problem("no flip", 0.61, 0.5, WHY)
    explanations = [
        replace(each, status=Status((problem,) if each.name == FAILED else ()))
        for each in explanations
    ]
    write_report(explanations, folder)
    newer = folder / FUTURE
    shutil.copytree(folder / POSITIVE, newer)
    facts = json.loads((newer / FACTS_FILE).read_text(encoding="utf-8"))
    (newer / FACTS_FILE).write_text(json.dumps(facts | {"format_version": 99}), encoding="utf-8")
    table = folder / TABLE_FILE
    line = table.read_text(encoding="utf-8").splitlines()[1]
    with table.open("a", encoding="utf-8") as file:
        file.write(line.replace(POSITIVE, FUTURE) + "\n")


class Server:
    """``medxgan view`` as a process of its own, which a test may kill."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.command = [sys.executable, "-m", "medxgan.cli", "view", str(folder), *options]
        self.command += ["--port", str(self.port), "--no-browser"]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(URLError, OSError), urlopen(f"{self.address}/api/state") as answer:
                answer.read()
                return
            time.sleep(0.1)
        self.kill()
        pytest.fail(f"the viewer did not start: {self.said}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.said, _ = self.process.communicate()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Server]:
    """A server for as long as needed."""
    server = Server(folder, *options)
    try:
        yield server
    finally:
        server.kill()


def installed_browser(default: str) -> str:
    """Path of a browser; where none is installed the test is skipped, in CI it fails."""
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    found += [default] if Path(default).is_file() else []
    if not found:
        missing("no Chromium is installed")
    return found[0]


def missing(what: str) -> None:
    """Skip the test; in CI, where nothing may be missing, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and in CI the viewer must be tested in a browser")
    pytest.skip(what)


@dataclass
class Watch:
    """What a page complained of, and where it sent requests."""

    allowed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def follow(self, page: Any, address: str) -> None:
        """Listen to a page that may ask this address alone."""
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self._complain("error", str(error)))
        page.on("request", lambda request: self._note(request.url, address))

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(word in text for word in self.allowed):
            self.complaints.append(text)

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((f"{address}/", "blob:", "data:")):
            self.elsewhere.append(url)


def open_image(page: Any, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_selector(".film input")


def until(page: Any, condition: str) -> None:
    """Wait until a condition holds in the page, whose policy forbids scripts that come as text."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        page.wait_for_timeout(20)
