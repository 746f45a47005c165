"""How much a request may bring, and all that come at once.

Pure ASGI, so that an upload is counted while it comes, and refused before it is all there.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers

from medxgan.viewer.faults import TooLargeError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

UPLOAD_BYTES = 64 * 2**20
"""Of one uploaded image."""
UPLOADS_BYTES = 8 * UPLOAD_BYTES
"""Of all that are uploaded at once."""
MULTIPART_BYTES = 2**14
"""Of what comes around it."""
JSON_BYTES = 2**16
LONGEST_NUMBER = 15


def refused_size(scope: Scope, uploading: int) -> tuple[int, str] | None:
    """HTTP status and sentence where a request brings too much; None where it does not.

    Args:
        scope: of the request.
        uploading: bytes that others are bringing.
    """
    declared = Headers(scope=scope).get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()):
        return 400, "the request's length is no number"
    limit = body_limit(scope)
    if len(declared) > LONGEST_NUMBER or int(declared) > limit:
        return 413, _too_large(limit)
    if uploading + upload_bytes(scope) > UPLOADS_BYTES:
        return 503, "the viewer is busy with files of others; try again in a moment"
    return None


def body_limit(scope: Scope) -> int:
    """Bytes that the body of a request may have.

    >>> body_limit({"headers": [(b"content-type", b"multipart/form-data; boundary=x")]}) // 2**20
    64
    >>> body_limit({"headers": []}) // 2**10
    64
    """
    kind = Headers(scope=scope).get("content-type", "")
    upload = UPLOAD_BYTES + MULTIPART_BYTES
    return upload if kind.lower().startswith("multipart/form-data") else JSON_BYTES


def upload_bytes(scope: Scope) -> int:
    """Bytes of a file that a request brings, at most: what it says, or all that it may.

    >>> form = (b"content-type", b"multipart/form-data; boundary=x")
    >>> upload_bytes({"headers": [form, (b"content-length", b"1000")]})
    1000
    >>> upload_bytes({"headers": []})
    0
    """
    limit = body_limit(scope)
    if limit == JSON_BYTES:
        return 0
    return int(Headers(scope=scope).get("content-length", limit))


def _too_large(limit: int) -> str:
    size = f"{limit >> 20} MB" if limit >= 2**20 else f"{limit >> 10} kB"
    return f"the viewer takes at most {size} at once; use a smaller file"


def counted(receive: Receive, limit: int) -> Receive:
    """Stop at the first byte too many, however long the body says it is."""
    received = 0

    async def counting() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLargeError(_too_large(limit))
        return message

    return counting
