"""Addresses of open images: moving sliders, asking for an answer, taking something away."""

import json

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.viewer.answering import json_body, numbers, picture, while_wanted
from medxgan.viewer.controls import parse_setting
from medxgan.viewer.faults import RequestError, UnknownError
from medxgan.viewer.goals import parse_wish
from medxgan.viewer.live import NO_OTHERS, LiveDesk
from medxgan.viewer.opening_route import PREFIX, described, opening_route
from medxgan.viewer.pictures import png_bytes, thumbnail
from medxgan.viewer.saved import SavedExplanation, SavedFolder
from medxgan.viewer.shown_routes import routes_of
from medxgan.viewer.single_thread import SingleThread

LARGEST_SEED = 2**32


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

    async def live_document(request: Request) -> Response:
        id = request.path_params["id"]
        return JSONResponse(await run_sync(described, id, desk.sessions.get(id)))

    async def render(request: Request) -> Response:
        session = desk.sessions.get(request.path_params["id"])
        setting = parse_setting(await json_body(request), session.desk.controls)
        drawn = await model.run_between(session.desk.render, session, setting)
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
        found = await model.run_between(session.desk.resample, session, seed)
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
        wish = parse_wish(body, session.desk.explainer.spec)
        present = parse_setting(body, session.desk.controls)
        seeking = model.run(session.desk.seek, session, wish, present)
        found = await while_wanted(request, seeking)
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
        opening_route(desk, model, files, folder),
        Route(f"{PREFIX}/{{id}}", live_document),
        Route(f"{PREFIX}/{{id}}/render", render, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/resample", resample, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/goal", goal, methods=["POST"]),
        Route(f"{PREFIX}/{{id}}/alternatives/{{index:int}}.png", alternative),
        *routes_of(PREFIX, shown),
    ]
