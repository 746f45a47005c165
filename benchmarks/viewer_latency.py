"""How fast does the viewer follow a slider? In a browser, over many moves, for many readers.

    python benchmarks/viewer_latency.py                      # brain-phantom, 200 moves
    python benchmarks/viewer_latency.py --bundle runs/mine --moves 200 --long 2000 --clients 50

Starts ``medxgan view``, opens an image of the bundle's kind, and moves its sliders in turn. A move
takes from the slider's event to the frame that is painted after the new picture and its probability
have been put into the page. Then so many moves again while the memory of the server is watched, and
so many clients that each open the image and move a slider at once. Last, one reader moves a slider
without a rest while another opens images (``--openings``): the longest answer says for how long one
holds up the other. One JSON object goes to standard output; the exit code is 1 where 95% of the
moves are not within 100 ms. Needs Playwright and a Chromium, unless ``--moves 0`` leaves out the
browser.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from documents import publish
from medxgan.bundle import find_bundle, read_manifest
from medxgan.data import write_image
from medxgan.data.intensity import to_signed
from medxgan.data.phantom import make_phantoms
from medxgan.errors import MissingPackageError, OutputError

GOAL_MILLISECONDS = 100.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ADDRESS = re.compile(r"http://\S+")
MOVE = """
([id, value]) => new Promise((resolve) => {
  const slider = document.getElementById(id);
  const watch = new MutationObserver(() => {
    watch.disconnect();
    // The picture is drawn in the next frame, and painted at the start of the one after it.
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
  });
  watch.observe(document.querySelector(".stage .details"), { childList: true });
  const start = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})
"""

Document = dict[str, Any]


class Server:
    """``medxgan view`` as a process of its own."""

    def __init__(self, bundle: str) -> None:
        command = [sys.executable, "-m", "medxgan.cli", "view", bundle, "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--no-browser"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = ADDRESS.search(line)
        if found is None:
            self.process.kill()
            self.process.wait()
            raise OutputError(f"the viewer did not start; it said: {line.strip() or 'nothing'}")
        self.address = found[0].rstrip("/")

    def memory(self) -> float:
        """Resident memory of the process and its children, MiB (Linux)."""
        pids = [self.process.pid, *self._children()]
        return sum(_resident(pid) for pid in pids)

    def _children(self) -> list[int]:
        # Each thread has children of its own; the one that reads files is not of the first thread.
        paths = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in paths for pid in path.read_text().split()]


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def running(bundle: str) -> Iterator[Server]:
    """A server for as long as needed."""
    server = Server(bundle)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def example(bundle: str, folder: Path) -> Path:
    """A phantom of the size that a bundle takes, as a PNG."""
    manifest = read_manifest(find_bundle(bundle))
    size = manifest.spec.size if hasattr(manifest, "spec") else manifest.images.size
    kind = "chest" if "chest" in manifest.name else "brain"
    phantoms = make_phantoms(kind, 2, size=size, seed=7)
    row = int(phantoms.labels.argmax())
    path = folder / "phantom.png"
    write_image(path, to_signed(phantoms.images[row][None], (0, 255)))
    return path


def spread(values: Sequence[float]) -> Document:
    """Median, 95th percentile and longest of a list of times."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
        "longest": round(ordered[-1], 2),
    }


def moves_in_a_browser(server: Server, image: Path, moves: int, long: int) -> Document:
    """From slider event to painted frame, milliseconds; and memory over a long time."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise MissingPackageError(
            "the benchmark needs Playwright: pip install playwright"
        ) from None
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        raise MissingPackageError("the benchmark needs a Chromium; install one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(server.address)
        page.locator("input[type=file]").first.set_input_files(image)
        page.get_by_role("tab", name="Live").click(timeout=120_000)
        page.wait_for_selector(".live .slider input")
        sliders = page.locator(".live .slider input").evaluate_all(
            "all => all.map(one => [one.id, Number(one.min), Number(one.max), Number(one.step)])"
        )

        def move(number: int) -> float:
            identity, low, high, step = sliders[number % len(sliders)]
            place = low + (high - low) * ((number * 0.381966) % 1)
            taken: float = page.evaluate(MOVE, [identity, round(place / step) * step])
            return taken

        for number in range(20):  # the first renders warm the model up
            move(number)
        times = [move(number) for number in range(20, 20 + moves)]
        before, first = server.memory(), _heap(page)
        for number in range(long):
            move(number)
        after, last = server.memory(), _heap(page)
        browser.close()
    return {
        "milliseconds": spread(times),
        "goal_milliseconds": GOAL_MILLISECONDS,
        "memory": {
            "moves": long,
            "server_mib_before": round(before, 1),
            "server_mib_after": round(after, 1),
            "page_heap_mib_before": round(first, 1),
            "page_heap_mib_after": round(last, 1),
        },
    }


def _heap(page: Any) -> float:
    """JavaScript heap of the page after a collection, MiB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used / 2**20


def clients_at_once(server: Server, image: Path, clients: int, each: int = 10) -> Document:
    """So many readers who move their sliders at the same time: milliseconds of an answer."""

    def reader(number: int) -> list[float]:
        session, controls = _open(server.address, image)
        times = []
        for step in range(each):
            body = {"controls": controls | {"strength": (step + 1) / each}, "alternative": None}
            started = time.perf_counter()
            _post(f"{server.address}/api/live/{session}/render", json.dumps(body).encode())
            times.append((time.perf_counter() - started) * 1000)
        return times

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(reader, range(clients)))
    return {"clients": clients, "milliseconds": spread([one for times in found for one in times])}


def beside_openings(server: Server, image: Path, openings: int) -> Document:
    """One reader moves a slider while another opens images: milliseconds of an answer."""
    session, controls = _open(server.address, image)

    def move(number: int) -> float:
        body = {"controls": controls | {"strength": number % 100 / 100}, "alternative": None}
        started = time.perf_counter()
        _post(f"{server.address}/api/live/{session}/render", json.dumps(body).encode())
        return (time.perf_counter() - started) * 1000

    def open_all() -> list[float]:
        times = []
        for _ in range(openings):
            started = time.perf_counter()
            _open(server.address, image)
            times.append((time.perf_counter() - started) * 1000)
        return times

    alone = [move(number) for number in range(100)]
    before, beside = server.memory(), []
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(open_all)
        while not opened.done():
            beside.append(move(len(beside)))
    return {
        "openings_milliseconds": spread(opened.result()),
        "moves_alone_milliseconds": spread(alone),
        "moves_beside_milliseconds": spread(beside),
        "server_mib_before": round(before, 1),
        "server_mib_after": round(server.memory(), 1),
    }


def _open(address: str, image: Path) -> tuple[str, dict[str, float]]:
    edge = "a-line-that-no-picture-has"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{image.name}"\r\n'
    body = f"{head}Content-Type: image/png\r\n\r\n".encode() + image.read_bytes()
    body += f"\r\n--{edge}--\r\n".encode()
    answer = json.loads(_post(f"{address}/api/live", body, f"multipart/form-data; boundary={edge}"))
    return answer["session"], {one["id"]: one["value"] for one in answer["controls"]}


def _post(address: str, body: bytes, kind: str = "application/json") -> bytes:
    with urlopen(Request(address, body, {"Content-Type": kind}), timeout=600) as answer:
        content: bytes = answer.read()
    return content


def measure(arguments: argparse.Namespace) -> Document:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder, running(arguments.bundle) as server:
        image = example(arguments.bundle, Path(folder))
        found: Document = {
            "bundle": arguments.bundle,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        }
        if arguments.moves:
            found["moves"] = moves_in_a_browser(server, image, arguments.moves, arguments.long)
        if arguments.clients:
            found["at_once"] = clients_at_once(server, image, arguments.clients)
        if arguments.openings:
            found["beside_openings"] = beside_openings(server, image, arguments.openings)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="brain-phantom")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    documents: list[Document] = []

    def measured() -> Document:
        documents.append(measure(arguments))
        return documents[0]

    publish(measured, arguments.out, None)
    moves = documents[0].get("moves")
    slowest = moves["milliseconds"]["p95"] if moves else 0.0
    if slowest > GOAL_MILLISECONDS:
        sys.exit(f"95% of moves should take at most {GOAL_MILLISECONDS:g} ms, got {slowest:g}")


if __name__ == "__main__":
    main()
