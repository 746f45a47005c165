"""Who may ask for what: hosts, token, origins, and headers that keep a page to itself."""

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response

from medxgan.errors import ConfigError
from medxgan.viewer.body_limits import (
    Message,
    Receive,
    Scope,
    Send,
    body_limit,
    counted,
    refused_size,
    upload_bytes,
)
from medxgan.viewer.faults import OWN_FAULT

App = Callable[[Scope, Receive, Send], Awaitable[None]]

SHORTEST_TOKEN, FEWEST_LETTERS = 16, 6
TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
EVERYWHERE = ("0.0.0.0", "::")
LOOPBACK = ("localhost", "127.0.0.1", "::1")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
MOVE_ON = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>medxgan</title>'
    '<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Open the viewer</a></p></html>'
)
OWN_SITE = ("same-origin", "none")
"""What browsers say of requests that a page of ours makes, or the user."""


def is_loopback(host: str) -> bool:
    """Does this name or address never leave the machine?

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "10.0.0.1")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_token(host: str, token: str | None) -> None:
    """Refuse to serve others without a secret, or with one that can be guessed.

    Raises:
        ConfigError: says what a token must be.

    >>> check_token("0.0.0.0", None)
    Traceback (most recent call last):
    medxgan.errors.ConfigError: --host 0.0.0.0 lets others in: give a --token of at least 16 \
letters and digits, which they need to open the viewer
    """
    if token is None:
        if not is_loopback(host):
            raise ConfigError(
                f"--host {host} lets others in: give a --token of at least {SHORTEST_TOKEN} "
                "letters and digits, which they need to open the viewer"
            )
    elif len(token) < SHORTEST_TOKEN or not TOKEN.fullmatch(token):
        raise ConfigError(
            f"--token must have at least {SHORTEST_TOKEN} characters: letters, digits and . _ ~ -"
        )
    elif len(set(token)) < FEWEST_LETTERS:
        raise ConfigError(
            f"--token repeats itself: give one of at least {FEWEST_LETTERS} different characters"
        )


def allowed_hosts(host: str, further: Iterable[str] = ()) -> frozenset[str]:
    """Names under which a server bound to ``host`` may be asked for.

    A page elsewhere can make its own name point to this machine (DNS rebinding); requests under
    such a name are refused.

    Args:
        host: where the server listens.
        further: names of this machine, or of one that passes requests on to it.

    >>> sorted(allowed_hosts("127.0.0.1"))
    ['127.0.0.1', '::1', 'localhost']
    """
    names = {host, *LOOPBACK, *further}
    if host in EVERYWHERE:
        names |= {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower() for name in names)


def host_of(value: str) -> str:
    """The name in a Host header, without its port.

    >>> host_of("LocalHost:8765"), host_of("[::1]:8765"), host_of("a@b"), host_of("[:]")
    ('localhost', '::1', '', '')
    """
    if not re.fullmatch(r"\[[0-9A-Fa-f:.]+\](:\d+)?|[\w.-]+(:\d+)?", value, re.ASCII):
        return ""
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:  # brackets around what is no address
        return ""


class Guard:
    """Everything that a request must pass before the application sees it.

    Args:
        app: what is guarded.
        hosts: names under which it may be asked for.
        any_address: may it be asked for under any IP address? For a server bound to all of them;
            a page elsewhere can forge names, not addresses.
        token: the secret that everyone must know; None where all who reach it may use it.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Iterable[str] = LOOPBACK,
        any_address: bool = False,
        token: str | None = None,
    ) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.any_address = any_address
        self.token = token
        self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the application where the request is refused, else pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send, scope["path"])
        try:
            refusal = self._refusal(scope)
        except Exception:
            await _error(500, OWN_FAULT)(scope, receive, send)
            raise
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        coming = upload_bytes(scope)
        self._uploading += coming
        try:
            await self.app(scope, counted(receive, body_limit(scope)), send)
        finally:
            self._uploading -= coming

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(host_of(hosts[0])):
            return _error(403, "the viewer is not asked for under this name; open its own address")
        if not self._is_from_here(headers, hosts[0], scope):
            return _error(403, "another site asked for this; open the viewer's own address")
        if self.token is not None:
            refusal = self._without_token(scope, headers)
            if refusal is not None:
                return refusal
        refused = refused_size(scope, self._uploading)
        return None if refused is None else _error(*refused)

    def _is_ours(self, host: str) -> bool:
        if host in self.hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return self.any_address

    def _is_from_here(self, headers: Headers, host: str, scope: Scope) -> bool:
        """Is it a page of ours that asks, or no page at all?"""
        site = headers.get("sec-fetch-site", "none")
        if scope["path"].startswith("/api") and site not in OWN_SITE:
            return False
        origin = headers.get("origin")
        if origin is None or scope["method"] in ("GET", "HEAD"):
            return True
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:  # brackets around what is no address
            return False

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """The way in: the token once in the address, then a cookie; None for who has that."""
        assert self.token is not None
        name, secret = cookie_for(self.token)
        given = _cookies(headers.getlist("cookie")).get(name, "")
        known = hmac.compare_digest(given.encode(), secret.encode())
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for key, value in query if key == "token"]
        if known:
            return HTMLResponse(MOVE_ON) if tokens and scope["method"] == "GET" else None
        if scope["method"] != "GET" or len(tokens) != 1:
            return _error(401, "this viewer needs its token; open the address that it was given")
        if not hmac.compare_digest(tokens[0].encode(), self.token.encode()):
            return _error(401, "this is not the viewer's token; open the address that it was given")
        # Browsers withhold a strict cookie from a redirect that a link elsewhere began; a page that
        # moves on by itself gets it. And the token is in the address no more.
        response = HTMLResponse(MOVE_ON)
        response.set_cookie(name, secret, path="/", httponly=True, samesite="strict")
        return response


def cookie_for(token: str) -> tuple[str, str]:
    """Name and value of the cookie that stands for a token; it does not hold the token itself.

    Servers on other ports of the same machine have other names.
    """
    digest = hashlib.sha256(b"medxgan viewer " + token.encode()).hexdigest()
    return f"medxgan-{digest[:8]}", digest[8:]


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            kept = "no-store" if path.startswith("/api") else "no-cache"
            headers.setdefault("Cache-Control", kept)
        await send(message)

    return sending


def _cookies(values: Iterable[str]) -> dict[str, str]:
    """Name -> value. Parted by hand: the standard library drops all where one is odd.

    Other programs on this machine have cookies of their own, of which browsers tell us, too.
    """
    pairs = (pair.partition("=") for value in values for pair in value.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _error(status: int, sentence: str) -> Response:
    # What comes after a refused request on the same connection may be its unread body.
    return JSONResponse({"error": sentence}, status_code=status, headers={"Connection": "close"})
