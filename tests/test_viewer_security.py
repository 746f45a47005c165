"""Who may ask the viewer for what; nothing outside the folder, nothing too large, no other site."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from medxgan.errors import ConfigError, MedxganError
from medxgan.viewer.answering import answer_fault
from medxgan.viewer.body_limits import JSON_BYTES, UPLOAD_BYTES, UPLOADS_BYTES
from medxgan.viewer.security import (
    POLICY,
    Guard,
    allowed_hosts,
    check_token,
    cookie_for,
    host_of,
    is_loopback,
)
from medxgan.viewer.server import make_app
from medxgan.viewer.verdicts import VerdictStore
from viewer_cases import ADDRESS, browser, viewer_of, write_folder

TOKEN = "correct-horse-battery"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "out")


def all_addresses(id: str) -> list[str]:
    base = f"/api/explanations/{id}"
    return [
        *("/", "/static/app.js", "/api/state", "/api/explanations", "/api/verdicts", base),
        *(f"{base}/arrays/image", f"{base}/thumbnail.png", f"{base}/film.gif"),
        *(f"{base}/report.html", "/api/report.html", "/api/verdicts.csv", "/nothing"),
    ]


def test_every_answer_carries_the_policy(folder):
    (entry,) = folder.entries()
    client = viewer_of(folder)
    for address in all_addresses(entry.id):
        headers = client.get(address).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-store" if "/api" in address else "no-cache")
    refused = client.get("/", headers={"Host": "evil.example"})
    assert refused.headers["content-security-policy"] == POLICY


def test_policy_allows_only_the_viewer_itself():
    directives = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert directives["default-src"] == "'none'" and directives["script-src"] == "'self'"
    assert directives["connect-src"] == directives["style-src"] == "'self'"
    assert "unsafe" not in POLICY and "http" not in POLICY


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:8765", 200),
        ("LOCALHOST", 200),
        ("[::1]:8765", 200),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evil.example@127.0.0.1", 403),
        ("127.0.0.1:8765/evil.example", 403),
        ("192.168.0.7:8765", 403),
        ("[:]", 403),
        ("[::::]:8765", 403),
        ("[1.2.3]:8765", 403),
        ("", 403),
    ],
)
def test_only_its_own_names_are_served(folder, host, status):
    """A name that another site points to this machine (DNS rebinding) is refused."""
    answer = viewer_of(folder).get("/api/state", headers={"Host": host})
    assert answer.status_code == status


def test_two_host_headers_are_refused(folder):
    status, _ = asyncio.run(raw_request(folder, [(b"host", b"127.0.0.1"), (b"host", b"evil")]))
    assert status == 403
    status, _ = asyncio.run(raw_request(folder, []))
    assert status == 403


def test_hosts_of_a_server_for_others():
    assert "viewer.hospital" in allowed_hosts("Viewer.Hospital")
    assert "viewer.clinic" in allowed_hosts("0.0.0.0", ["Viewer.Clinic"])
    guard = Guard(no_app, hosts=allowed_hosts("0.0.0.0"), any_address=True)
    assert guard._is_ours("10.1.2.3") and guard._is_ours("::1")
    assert not guard._is_ours("evil.example")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Origin": ADDRESS}, 404),
        ({"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[evil"}, 403),
        ({"Origin": "http://[evil]:8765"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_cannot_write(folder, headers, status):
    sent = {"explanation": "x", "reader": "Ann", "verdict": None}
    answer = viewer_of(folder).post("/api/verdicts", json=sent, headers=headers)
    assert answer.status_code == status


def test_other_sites_cannot_make_it_work_or_embed_it(folder):
    (entry,) = folder.entries()
    client = viewer_of(folder)
    for address in (f"/api/explanations/{entry.id}/film.gif", "/api/state"):
        assert client.get(address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_elsewhere_can_send_is_refused(folder, kind):
    answer = viewer_of(folder).post(
        "/api/verdicts", content=b'{"explanation": "x"}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 415
    assert answer.json()["error"] == "the request's content must be application/json"


@pytest.mark.parametrize("content", [b"{", b"[]", b"7", b"[" * 50_000, b"\xff"])
def test_a_body_that_is_no_object_is_one_sentence(folder, content):
    answer = viewer_of(folder).post(
        "/api/verdicts", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "the request should hold a JSON object"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/..\\server.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/server.py",
        "/../../../../etc/passwd",
        "/api/explanations/../../etc/passwd",
        "/api/explanations/%2e%2e%2f%2e%2e%2fsecret",
        "/api/explanations/{id}/arrays/../../secret",
        "/api/explanations/{id}/arrays/..%2f..%2fsecret",
        "/api/explanations/{id}/arrays/%2e%2e",
        "/api/explanations/{id}/panes/..%2f..%2fsecret.png",
        "/api/explanations/scan",
        "/api/explanations/{id}%00",
    ],
)
def test_no_address_leads_out_of_the_folder(folder, path):
    (folder.root.parent / "secret").write_text("secret")
    (folder.root.parent / "secret.png").write_text("secret")
    (entry,) = folder.entries()
    status, body = asyncio.run(
        raw_request(folder, [(b"host", b"127.0.0.1")], path=path.replace("{id}", entry.id))
    )
    assert status == 404
    assert set(json.loads(body)) == {"error"} and b"secret" not in body


def test_methods_that_are_not_there_are_refused(folder):
    client = viewer_of(folder)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = client.request(method, "/api/verdicts")
        assert answer.status_code == 405 and "error" in answer.json()
    assert "access-control-allow-origin" not in client.get("/api/state").headers


def test_a_declared_length_too_many_is_refused_unread(folder):
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x")]
    declared = [*headers, (b"content-length", str(2**31).encode())]
    status, body = asyncio.run(raw_request(folder, declared, method="POST", body=never()))
    assert status == 413
    assert json.loads(body)["error"] == (
        "the viewer takes at most 64 MB at once; use a smaller file"
    )
    many = [*headers, (b"content-length", b"9" * 5000)]
    status, _ = asyncio.run(raw_request(folder, many, method="POST", body=never()))
    assert status == 413
    for length in (b"-1", b"1e9", "²".encode()):
        odd = [*headers, (b"content-length", length)]
        status, _ = asyncio.run(raw_request(folder, odd, method="POST", body=never()))
        assert status == 400


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(b"application/json", JSON_BYTES), (b"multipart/form-data; boundary=x", UPLOAD_BYTES)],
)
def test_a_body_is_refused_while_it_streams(kind, limit):
    """Without a declared length: it is ended at the first byte too many, not read to its end."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        yield start if kind.startswith(b"multipart") else b'"'
        while True:
            taken += 2**16
            yield bytes(2**16)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await (request.form() if kind.startswith(b"multipart") else request.body())

    client_app = make_reading_app(app)
    status, body = asyncio.run(
        raw_request(
            client_app,
            [(b"host", b"127.0.0.1"), (b"content-type", kind)],
            method="POST",
            body=endless(),
        )
    )
    assert status == 413 and "error" in json.loads(body)
    assert limit - 2**16 <= taken <= limit + 2**17


def test_token_opens_the_viewer_once_and_for_all(folder):
    (entry,) = folder.entries()
    client = viewer_of(folder, token=TOKEN)
    for address in all_addresses(entry.id):
        answer = client.get(address)
        assert answer.status_code == 401 and "token" in answer.json()["error"]
    assert client.post("/api/verdicts", json={}).status_code == 401
    assert client.post(f"/api/verdicts?token={TOKEN}", json={}).status_code == 401
    way_in = client.get(f"/?token={TOKEN}")
    assert way_in.status_code == 200 and 'content="0;url=/"' in way_in.text
    cookie = way_in.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    for address in all_addresses(entry.id)[:-1]:
        assert client.get(address).status_code == 200
    assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize("given", ["", "wrong-token-wrong", TOKEN[:-1], TOKEN.upper(), "é" * 20])
def test_another_token_opens_nothing(folder, given):
    client = viewer_of(folder, token=TOKEN)
    answer = client.get("/", params={"token": given})
    assert answer.status_code == 401 and "set-cookie" not in answer.headers
    name, secret = cookie_for(TOKEN)
    for cookie in (f"{name}={secret[:-1]}", f"{name}={TOKEN}", f"{name}=é", "a", f"{name}="):
        header = {"Cookie": cookie.encode()}
        assert client.get("/api/state", headers=header).status_code == 401
    assert client.get("/api/state", headers={"Cookie": f"{name}={secret}"}).status_code == 200


def test_the_token_never_stays_in_the_address(folder):
    client = viewer_of(folder, token=TOKEN)
    for _ in range(2):  # without the cookie, then with it
        answer = client.get(f"/?token={TOKEN}")
        assert answer.status_code == 200 and 'content="0;url=/"' in answer.text
    assert 'content="0;url=/"' in client.get("/?token=an-older-one").text
    assert 'content="0;url=/"' not in client.get("/").text


@pytest.mark.parametrize(
    "odd", ["a/b=1", '{"x": 1}', "theme", '"', "=", "a=b=c", "v=[1,2]; w={}", "ü=1", "\x01=2"]
)
def test_cookies_of_other_programs_lock_nobody_out(folder, odd):
    """Browsers send those of all ports of this machine."""
    client = viewer_of(folder, token=TOKEN)
    name, secret = cookie_for(TOKEN)
    for cookies in (f"{odd}; {name}={secret}", f"{name}={secret}; {odd}", f"{odd};{name}={secret}"):
        answer = client.get("/api/state", headers={"Cookie": cookies.encode()})
        assert answer.status_code == 200, cookies
    assert client.get("/api/state", headers={"Cookie": odd.encode()}).status_code == 401


def test_uploads_at_once_are_limited_together(folder):
    """So many bytes as may come are on their way, of forms that say how long they are or do not."""
    reached: list[int] = []

    async def run() -> None:
        hold = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            reached.append(1)
            await hold.wait()
            await Response()(scope, receive, send)

        guard = Guard(app)
        form = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x")]
        small = [*form, (b"content-length", b"1000")]
        most = UPLOADS_BYTES // (UPLOAD_BYTES + 2**14)
        async with asyncio.TaskGroup() as tasks:
            held = [tasks.create_task(raw_request(guard, form, method="POST")) for _ in range(most)]
            few = [tasks.create_task(raw_request(guard, small, method="POST")) for _ in range(50)]
            await asyncio.sleep(0)
            status, body = await raw_request(guard, form, method="POST")
            assert status == 503 and "busy with files of others" in json.loads(body)["error"]
            other = tasks.create_task(raw_request(guard, form[:1]))
            await asyncio.sleep(0)
            hold.set()
        assert {(await each)[0] for each in (*held, *few, other)} == {200}
        assert (await raw_request(guard, form, method="POST"))[0] == 200

    asyncio.run(run())
    assert len(reached) == UPLOADS_BYTES // (UPLOAD_BYTES + 2**14) + 52


def test_two_tokens_are_none(folder):
    client = viewer_of(folder, token=TOKEN)
    assert client.get(f"/?token={TOKEN}&token={TOKEN}").status_code == 401


def test_servers_on_other_ports_have_other_cookies():
    assert cookie_for(TOKEN)[0] != cookie_for(TOKEN + "2")[0]


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", None, "--host 0.0.0.0 lets others in: give a --token"),
        ("::", None, "lets others in"),
        ("192.168.0.7", None, "lets others in"),
        ("viewer.hospital", None, "lets others in"),
        ("0.0.0.0", "short", "--token must have at least 16 characters"),
        ("127.0.0.1", "short", "--token must have at least 16 characters"),
        ("0.0.0.0", "sixteen letters & more", "letters, digits and"),
        ("0.0.0.0", "ababababababababab", "--token repeats itself: give one of at least 6"),
    ],
)
def test_nobody_serves_others_without_a_secret(host, token, words):
    with pytest.raises(ConfigError) as refused:
        check_token(host, token)
    assert words in str(refused.value)


def test_a_good_secret_or_none_at_home_will_do():
    check_token("127.0.0.1", None)
    check_token("localhost", None)
    check_token("::1", None)
    check_token("0.0.0.0", TOKEN)
    assert is_loopback("127.8.8.8") and not is_loopback("localhost.evil.example")


@pytest.mark.parametrize(
    "value", ["a b", "a,b", "[::1", "http://a", "a:b", "a:1:2", "ä.example", "a\\b", "[evil]"]
)
def test_a_host_that_is_none_has_no_name(value):
    assert host_of(value) == ""


def test_a_fault_of_our_own_is_one_sentence_and_ends_nothing(folder, monkeypatch):
    app = make_app(verdicts=VerdictStore(folder.root / "v.sqlite"), folder=folder)
    client = browser(app, raise_server_exceptions=False)
    monkeypatch.setattr(type(folder), "refresh", lambda self: 1 / 0)
    answer = client.get("/api/explanations")
    assert answer.status_code == 500
    assert answer.json() == {"error": "the viewer met a fault of its own; its terminal says more"}
    monkeypatch.undo()
    assert client.get("/api/explanations").status_code == 200


def test_a_fault_of_the_guard_is_answered_with_the_policy(folder, monkeypatch):
    client = viewer_of(folder)
    client = browser(client.app, raise_server_exceptions=False)
    monkeypatch.setattr(Guard, "_is_ours", lambda self, host: 1 / 0)
    answer = client.get("/api/state")
    assert answer.status_code == 500 and "a fault of its own" in answer.json()["error"]
    assert answer.headers["content-security-policy"] == POLICY


async def no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the application should not be asked")


async def never() -> AsyncIterator[bytes]:
    raise AssertionError("the body should not be read")
    yield b""


def make_reading_app(endpoint: Any) -> Guard:
    """A guarded application that reads whatever it is sent."""
    app = Starlette(routes=[Mount("/", endpoint)], exception_handlers={MedxganError: answer_fault})
    return Guard(app)


async def raw_request(
    subject: Any,
    headers: list[tuple[bytes, bytes]],
    *,
    path: str = "/api/state",
    method: str = "GET",
    body: AsyncIterator[bytes] | None = None,
) -> tuple[int, bytes]:
    """One request as bytes, which no client library tidies up; status and body of the answer."""
    app = subject
    if not isinstance(subject, Guard):
        app = make_app(verdicts=VerdictStore(subject.root / "v.sqlite"), folder=subject)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if body is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], content
