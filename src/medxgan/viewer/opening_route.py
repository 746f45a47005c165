"""The address at which images are opened, and what the page is told of an open one."""

import re
from typing import Any

from anyio.to_thread import run_sync
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.viewer.answering import JSON_TYPE, MULTIPART_TYPE, check_type, json_body, while_wanted
from medxgan.viewer.bundle_facts import explained_facts
from medxgan.viewer.faults import RequestError, UnknownError
from medxgan.viewer.live import LiveDesk
from medxgan.viewer.open_image import Session
from medxgan.viewer.panes import document
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.single_thread import SingleThread

PREFIX = "/api/live"
FRAME = re.compile(r"[0-9]{1,6}")


def described(id: str, session: Session) -> dict[str, Any]:
    """All that the page needs of an open image but the numbers themselves."""
    facts = document(session.shown, f"{PREFIX}/{id}")
    place = session.file
    return facts | {
        "session": id,
        "explanation": session.verdict_id,
        "controls": [vars(control) for control in session.desk.controls],
        "bundle": explained_facts(session.desk),
        "file": None if place is None else {"frame": place[0], "frames": place[1]},
        "notes": [*facts.get("notes", []), *session.notes],
    }


def opening_route(
    desk: LiveDesk, model: SingleThread, files: SingleThread, folder: SavedFolder | None
) -> Route:
    """The route of uploads, and of saved explanations to be opened live.

    Args:
        desk: the bundle.
        model: the thread of its model.
        files: the thread that waits for uploaded files to be read.
        folder: whose explanations may be opened live.
    """

    def chosen_desk(direction: object) -> LiveDesk:
        if direction is not None and not isinstance(direction, str):
            raise RequestError("'direction' is the name of one")
        return desk.chosen(direction)

    async def open_upload(request: Request) -> str:
        async with request.form(max_files=1, max_fields=2) as form:
            upload, frame = form.get("file"), form.get("frame")
            chosen = chosen_desk(form.get("direction"))
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise RequestError("the request should hold one file, under the name 'file'")
            if frame is not None and not (isinstance(frame, str) and FRAME.fullmatch(frame)):
                raise RequestError("'frame' is the number of an image in the file, from 1")
            read = await files.run(desk.reader.read_upload, upload.file, upload.filename)
        number = None if frame is None else int(frame)
        return await while_wanted(request, model.run(chosen.open_file, read, number))

    async def open_explanation(request: Request) -> str:
        body = await json_body(request)
        id, chosen = body.get("explanation"), chosen_desk(body.get("direction"))
        if folder is None or not isinstance(id, str):
            raise UnknownError("there is no such explanation to open")
        return await while_wanted(request, model.run(chosen.open_saved, folder.find(id)))

    async def open_image(request: Request) -> Response:
        kind = check_type(request, MULTIPART_TYPE, JSON_TYPE)
        id = await (open_upload if kind == MULTIPART_TYPE else open_explanation)(request)
        session = desk.sessions.get(id)
        return JSONResponse(await run_sync(described, id, session), status_code=201)

    return Route(PREFIX, open_image, methods=["POST"])
