"""Requests in, responses out: JSON bodies checked, numbers as bytes, faults as one sentence."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import IO, Any, TypeVar
from urllib.parse import quote

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from medxgan.viewer.arrays import Floats
from medxgan.viewer.faults import (
    OWN_FAULT,
    AbandonedError,
    RequestError,
    WrongTypeError,
    status_and_sentence,
)

SENT_AT_ONCE = 2**16
SECONDS_BETWEEN_LOOKS = 0.2
"""At whether a browser still waits."""
JSON_TYPE, MULTIPART_TYPE = "application/json", "multipart/form-data"

Endpoint = Callable[[Request], Awaitable[Response]]
Result = TypeVar("Result")


async def answer_fault(request: Request, fault: Exception) -> Response:
    """What a user can meet, as one sentence; the server's log says more of our own faults."""
    if isinstance(fault, HTTPException):
        words = {404: "there is nothing at this address", 405: "this cannot be asked for so"}
        return error(fault.status_code, words.get(fault.status_code, str(fault.detail)))
    known = status_and_sentence(fault)
    return error(500, OWN_FAULT) if known is None else error(*known)


def error(status: int, sentence: str) -> Response:
    """An error of one sentence."""
    plain = sentence.encode("utf-8", "replace").decode()  # it may name a file whose name is no text
    response = JSONResponse({"error": plain}, status_code=status)
    if status == 413:
        response.headers["Connection"] = "close"  # what comes next is the body's unread rest
    return response


async def json_body(request: Request) -> dict[str, Any]:
    """The object that a request brings.

    Raises:
        WrongTypeError: it is not sent as JSON.
        RequestError: it is damaged, or no object.
    """
    check_type(request, JSON_TYPE)
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RequestError("the request should hold a JSON object")
    return body


async def while_wanted(request: Request, work: Awaitable[Result]) -> Result:
    """The result of work, which is cancelled when the browser waits no more.

    Args:
        request: whose body has been read.
        work: as ``SingleThread.run`` gives it.

    Raises:
        AbandonedError: the browser has gone.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=SECONDS_BETWEEN_LOOKS))[0]:
            if await request.is_disconnected():
                raise AbandonedError("nobody waits for this any more")
    finally:
        task.cancel()  # of no effect on what is done
    return task.result()


def check_type(request: Request, *wanted: str) -> str:
    """The type of a request's content, if it is one of the wanted.

    Raises:
        WrongTypeError: it is not.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in wanted:
        raise WrongTypeError(f"the request's content must be {' or '.join(wanted)}")
    return kind


def numbers(values: Floats, headers: dict[str, str] | None = None) -> Response:
    """An array as little-endian float32 in row-major order, its shape in ``X-Shape``."""
    shape = ",".join(map(str, values.shape))
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"X-Shape": shape, **(headers or {})},
    )


def attachment(content: bytes | str, media_type: str, name: str) -> Response:
    """A file to be saved, never to be shown as a page of the viewer's."""
    return Response(content, media_type=media_type, headers=_to_be_saved(name))


def download(file: IO[bytes], media_type: str, name: str) -> Response:
    """An opened file to be saved, sent while it is read."""

    def parts() -> Iterator[bytes]:
        with file:
            while part := file.read(SENT_AT_ONCE):
                yield part

    length = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
    return StreamingResponse(parts(), media_type=media_type, headers=_to_be_saved(name) | length)


def picture(content: bytes) -> Response:
    """A PNG to be shown."""
    return Response(content, media_type="image/png")


def _to_be_saved(name: str) -> dict[str, str]:
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    ascii_name = plain.encode("ascii", "replace").decode().replace("?", "-")
    disposition = f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(plain)}"
    return {"Content-Disposition": disposition}
