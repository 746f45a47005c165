"""Addresses of open images: opening one, moving its sliders, asking for an answer."""

import json
import re
from typing import Any

from anyio.to_thread import run_sync
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.viewer.answering import (
    JSON_TYPE,
    MULTIPART_TYPE,
    check_type,
    json_body,
    numbers,
    picture,
)
from medxgan.viewer.controls import parse_setting
from medxgan.viewer.faults import RequestError, UnknownError
from medxgan.viewer.goals import parse_wish
from medxgan.viewer.live import NO_OTHERS, LiveDesk
from medxgan.viewer.open_image import Session
from medxgan.viewer.panes import document
from medxgan.viewer.pictures import png_bytes, thumbnail
from medxgan.viewer.saved import SavedExplanation, SavedFolder
from medxgan.viewer.shown_routes import routes_of
from medxgan.viewer.single_thread import SingleThread

PREFIX = "/api/live"
LARGEST_SEED = 2**32
FRAME = re.compile(r"[0-9]{1,6}")


def live_routes(
    desk: LiveDesk, model: SingleThread, files: SingleThread, folder: SavedFolder | None
) -> list[Route]:
    """Routes of a bundle at work.

    Args:
        desk: the bundle.
        model: the thread of its model.
        files: the thread that waits for uploaded files to be read.
        folder: whose explanations may be opened live.
    """

    def shown(id: str) -> SavedExplanation:
        return desk.sessions.get(id).shown

    def description(id: str, session: Session) -> dict[str, Any]:
        facts = document(session.shown, f"{PREFIX}/{id}")
        place = session.file
        return facts | {
            "session": id,
            "explanation": session.verdict_id,
            "controls": [vars(control) for control in desk.controls],
            "file": None if place is None else {"frame": place[0], "frames": place[1]},
            "notes": [*facts.get("notes", []), *session.notes],
        }

    async def open_upload(request: Request) -> str:
        async with request.form(max_files=1, max_fields=1) as form:
            upload, frame = form.get("file"), form.get("frame")
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise RequestError("the request should hold one file, under the name 'file'")
            if frame is not None and not (isinstance(frame, str) and FRAME.fullmatch(frame)):
                raise RequestError("'frame' is the number of an image in the file, from 1")
            read = await files.run(desk.reader.read_upload, upload.file, upload.filename)
        number = None if frame is None else int(frame)
        return await model.run(desk.open_file, read, number)

    async def open_explanation(request: Request) -> str:
        id = (await json_body(request)).get("explanation")
        if folder is None or not isinstance(id, str):
            raise UnknownError("there is no such explanation to open")
        return await model.run(desk.open_saved, folder.find(id))

    async def open_image(request: Request) -> Response:
        kind = check_type(request, MULTIPART_TYPE, JSON_TYPE)
        id = await (open_upload if kind == MULTIPART_TYPE else open_explanation)(request)
        session = desk.sessions.get(id)
        return JSONResponse(await run_sync(description, id, session), status_code=201)

    async def live_document(request: Request) -> Response:
        id = request.path_params["id"]
        return JSONResponse(await run_sync(description, id, desk.sessions.get(id)))

    async def render(request: Request) -> Response:
        session = desk.sessions.get(request.path_params["id"])
        setting = parse_setting(await json_body(request), desk.controls)
        drawn = await model.run(desk.render, session, setting)
        headers = {
            "X-Answers": json.dumps(drawn.answers),
            "X-Score": f"{drawn.score:.6g}",
            "X-Milliseconds": f"{drawn.milliseconds:.1f}",
        }
        return numbers(drawn.image, headers)

    async def resample(request: Request) -> Response:
        id = request.path_params["id"]
        session = desk.sessions.get(id)
        seed = (await json_body(request)).get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < LARGEST_SEED:
            raise RequestError(f"a seed is a whole number from 0 to {LARGEST_SEED - 1}")
        found = await model.run(desk.resample, session, seed)
        sentence = None if found else "no other counterfactual was found; try again"
        return JSONResponse(
            {
                "alternatives": [
                    {
                        "image": f"{PREFIX}/{id}/alternatives/{index}.png?seed={seed}",
                        "score": each.score,
                        "answers": each.answers,
                    }
                    for index, each in enumerate(found)
                ],
                "sentence": sentence if desk.resamples else NO_OTHERS,
            }
        )

    async def alternative(request: Request) -> Response:
        session = desk.sessions.get(request.path_params["id"])
        index = request.path_params["index"]
        if index >= len(session.alternatives):
            raise UnknownError("there is no such counterfactual; ask for others first")
        small = await run_sync(thumbnail, session.alternatives[index].image)
        return picture(png_bytes(small, f"{session.shown.facts.name}, another counterfactual."))

    async def goal(request: Request) -> Response:
        session = desk.sessions.get(request.path_params["id"])
        body = await json_body(request)
        wish = parse_wish(body, desk.explainer.spec)
        present = parse_setting(body, desk.controls)
        found = await model.run(desk.seek, session, wish, present)
        return JSONResponse(
            {
                "controls": found.setting.controls(),
                "alternative": found.setting.alternative,
                "reached": found.reached,
                "score": found.rendered.score,
                "answers": found.rendered.answers,
                "sentence": found.sentence,
            }
        )

    return [
        Route(PREFIX, open_image, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}", live_document),
        Route(f"{PREFIX}/{{id}}/render", render, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/resample", resample, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/goal", goal, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/alternatives/{{index:int}}.png", alternative),
        *routes_of(PREFIX, shown),
    ]
