"""``medxgan view``: what it opens, where it listens, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from medxgan.errors import ConfigError, DataError
from medxgan.viewer import connection, serving
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.security import Guard
from medxgan.viewer.server import make_app
from medxgan.viewer.serving import (
    address_of,
    listen,
    open_browser,
    verdicts_file,
    what_to_open,
)
from medxgan.viewer.verdicts import VerdictStore
from viewer_cases import write_folder

TOKEN = "correct-horse-battery"


@contextmanager
def running(
    *arguments: object, end: bool = True, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A viewer as a program of its own, and its address."""
    command = [sys.executable, "-m", "medxgan.cli", "view", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert " is at " in line, process.stderr.read()
        yield line.split(" is at ")[1].split()[0], process
        if end:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stderr.read() == ""


def test_a_folder_is_served_until_ctrl_c(tmp_path):
    write_folder(tmp_path / "out")
    with running(tmp_path / "out") as (address, _):
        assert address.startswith("http://127.0.0.1:") and address.endswith("/")
        with httpx.Client(base_url=address) as client:
            state = client.get("/api/state").json()
            assert state["title"] == "out" and state["count"] == 1
            assert "server" not in client.get("/api/state").headers
            assert client.get("/").text.startswith("<!doctype html>")
            refused = client.get("/api/state", headers={"Host": "evil.example"})
            assert refused.status_code == 403


def test_others_are_served_by_token_only(tmp_path):
    write_folder(tmp_path / "out")
    with running(tmp_path / "out", "--host", "0.0.0.0", "--token", TOKEN) as (address, _):
        assert address.startswith("http://127.0.0.1:") and address.endswith(f"/?token={TOKEN}")
        plain = address.split("?")[0]
        with httpx.Client(base_url=plain) as client:
            assert client.get("/api/state").status_code == 401
            assert client.get(address).status_code == 200
            assert client.get("/api/state").json()["count"] == 1


def test_an_upload_too_large_is_refused_over_a_real_connection(tmp_path):
    """A gigabyte is declared, or comes without an end: it is refused, and the server goes on."""
    write_folder(tmp_path / "out")
    with running(tmp_path / "out") as (address, _):
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        head = f"POST /api/live HTTP/1.1\r\nHost: {host}:{port}\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall((head + "Content-Length: 2147483648\r\n\r\n").encode())
            assert connection.recv(2**16).startswith(b"HTTP/1.1 413 ")
        endless = head.replace("/api/live", "/api/verdicts")
        endless = endless.replace("multipart/form-data; boundary=x", "application/json")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall((endless + "Transfer-Encoding: chunked\r\n\r\n").encode())
            for _ in range(17):
                connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            assert connection.recv(2**16).startswith(b"HTTP/1.1 413 ")
        assert httpx.get(f"{address}api/state").status_code == 200


def test_a_port_in_use_is_one_sentence(medxgan, tmp_path):
    write_folder(tmp_path / "out")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = medxgan("view", tmp_path / "out", "--port", port, "--no-browser")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"Error: the viewer cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "choose another with --port, or any free one with --port 0\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no folder of explanations and no bundle 'nowhere': name what"),
        (["brain-fantom"], "did you mean 'brain-phantom'?"),
        (["empty"], "empty holds neither explanations nor a bundle"),
        (["out", "--host", "0.0.0.0"], "--host 0.0.0.0 lets others in: give a --token"),
        (["out", "--token", "short"], "--token must have at least 16 characters"),
        (["out", "--port", "70000"], "--port must be 0 to 65535, got 70000"),
        (["out", "--host", "192.0.2.1", "--token", TOKEN], "cannot listen on 192.0.2.1 port 0"),
        (["out", "--bundle", "no-bundle"], "there is no bundle 'no-bundle'"),
        (["brain-phantom", "--bundle", "brain-phantom"], "--bundle names a bundle already"),
        (["out", "--bundle", "brain-phantom", "--window", "wide"], "a window is CENTRE,WIDTH"),
        (["out", "--bundle", "brain-phantom", "--device", "abacus"], "device must be one of"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(medxgan, tmp_path, monkeypatch, arguments, words):
    write_folder(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    port = [] if "--port" in arguments else ["--port", "0"]
    outcome = medxgan("view", *arguments, *port, "--no-browser", "--quiet")
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err and outcome.err.count("\n") == 1


def test_a_folder_or_a_bundle_is_told_by_what_it_holds(tmp_path):
    write_folder(tmp_path / "out")
    out = str(tmp_path / "out")
    assert what_to_open(out, None) == (tmp_path / "out", None)
    assert what_to_open(out, "b") == (tmp_path / "out", "b")
    assert what_to_open(f"{out}/scan", None) == (tmp_path / "out" / "scan", None)
    assert what_to_open("brain-phantom", None) == (None, "brain-phantom")
    assert what_to_open(None, "b") == (None, "b")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").touch()
    assert what_to_open(str(tmp_path / "bundle"), None) == (None, str(tmp_path / "bundle"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds neither explanations nor a bundle"):
        what_to_open(str(tmp_path / "empty"), None)
    with pytest.raises(ConfigError, match="is no folder of explanations"):
        what_to_open(str(tmp_path / "bundle"), "b")


def test_verdicts_lie_beside_the_explanations_or_where_asked_for(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "out")
    assert verdicts_file(None, folder) == tmp_path / "out" / "verdicts.sqlite"
    assert verdicts_file(tmp_path / "v", folder) == tmp_path / "v"
    assert verdicts_file(None, None) == Path("verdicts.sqlite")
    (tmp_path / "out" / "verdicts.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is a link, and verdicts would be written where it leads"):
        verdicts_file(None, SavedFolder(tmp_path / "out"))
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(DataError, match="is a link, and verdicts would be written where it leads"):
        verdicts_file(None, None)


def test_addresses_can_be_opened():
    with listen("localhost", 0) as bound:
        port = bound.getsockname()[1]
        assert address_of("localhost", bound) == f"http://localhost:{port}/"
        assert address_of("0.0.0.0", bound, TOKEN) == f"http://127.0.0.1:{port}/?token={TOKEN}"
        assert address_of("fe80::1", bound) == f"http://[fe80::1]:{port}/"
        with pytest.raises(ConfigError, match="cannot listen on localhost port"):
            listen("localhost", port)


@pytest.mark.parametrize(
    ("platform", "display", "opened"),
    [("linux", "", False), ("linux", ":0", True), ("darwin", "", True)],
)
def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch, platform, display, opened):
    asked: list[str] = []
    monkeypatch.setattr(serving.sys, "platform", platform)
    monkeypatch.setattr(serving.webbrowser, "open", asked.append)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(serving, "Thread", FakeThread)
    open_browser("http://127.0.0.1:1/")
    assert asked == (["http://127.0.0.1:1/"] if opened else [])
    open_browser("http://127.0.0.1:1/?token=abc")
    assert len(asked) == opened, "never with a token, which others would see in its command line"


class FakeThread:
    """Does at once what a thread would do soon."""

    def __init__(self, *, target, args, daemon) -> None:
        assert daemon
        self.start = lambda: target(*args)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_server_told_to_end_leaves_no_image_behind(tmp_path, name):
    """By a signal to end it, or because its terminal was closed."""
    with running("brain-phantom", end=False, TMPDIR=str(tmp_path)) as (address, process):
        image = BytesIO()
        Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(image, format="PNG")
        files = {"file": ("Ann Other.png", image.getvalue())}
        answer = httpx.post(f"{address}api/live", files=files, timeout=120)
        assert answer.status_code == 201
        (folder,) = tmp_path.glob("medxgan-view-*")
        assert list(folder.glob("*/image/explanation.npz"))
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == -signal.SIGTERM, "as uvicorn ends, once it is done"
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.TransportError):
        httpx.get(address)


STUCK = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from medxgan.viewer import serving
from starlette.applications import Starlette
serving.LONGEST_END_SECONDS = float(sys.argv[1])
model = ThreadPoolExecutor(1)
model.submit(time.sleep, 600)

@asynccontextmanager
async def lifespan(app):
    yield
    model.shutdown()

with serving.listen("127.0.0.1", 0) as bound:
    serving.serve(
        Starlette(lifespan=lifespan),
        bound,
        lambda: print("ready", flush=True),
        lambda: print("tidied up", flush=True),
    )
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("patience", "signals"), [(0.5, 1), (600, 2)])
def test_a_model_at_work_does_not_keep_a_server_that_shall_end(patience, signals):
    """It is abandoned after a while, or with the second Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, str(patience)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        assert process.wait(30) == serving.ABANDONED
        assert (process.stdout.read(), process.stderr.read()) == ("tidied up\n", "")


def test_connections_that_ask_for_nothing_are_ended(tmp_path, monkeypatch):
    """And where there are too many of them, further ones at once; others are served on."""
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 5)
    folder = write_folder(tmp_path / "out")
    app = make_app(verdicts=VerdictStore(tmp_path / "v.sqlite"), folder=folder)
    with listen("127.0.0.1", 0) as bound, served(app, bound) as address, ExitStack() as kept:
        client = kept.enter_context(httpx.Client(base_url=address))
        assert client.get("/api/state").status_code == 200
        place = bound.getsockname()
        silent = [kept.enter_context(socket.create_connection(place, 10)) for _ in range(4)]
        host = b"Host: 127.0.0.1:%d\r\n" % place[1]
        silent[0].sendall(b"GET / HTTP/1.1\r\n" + host)
        silent[1].sendall(b"GET /api/state HTTP/1.1\r\n" + host + b"\r\nGET / HTTP/1.1\r\n")
        assert silent[1].recv(15) == b"HTTP/1.1 200 OK"
        while b"}" not in silent[1].recv(10_000):  # the end of its one answer
            pass
        assert client.get("/api/state").status_code == 200
        with socket.create_connection(place, 10) as further:
            assert ended(further), "at once"
        assert all(map(ended, silent)), "after a while"
        assert httpx.get(f"{address}/api/state").status_code == 200


@contextmanager
def served(app: Guard, bound: socket.socket) -> Iterator[str]:
    """A server in a thread, and its address."""
    config = uvicorn.Config(app, http=connection.Connection, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def ended(client: socket.socket) -> bool:
    """Was a connection ended from the other side?"""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_token_may_come_from_the_environment(tmp_path):
    """Where other users of the machine do not see it."""
    write_folder(tmp_path / "out")
    with running(tmp_path / "out", MEDXGAN_TOKEN=TOKEN) as (address, _):
        assert address.endswith(f"/?token={TOKEN}")
        assert httpx.get(address.split("?")[0] + "api/state").status_code == 401
