"""Addresses of readers' verdicts."""

from collections.abc import Callable

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.viewer.answering import attachment, json_body
from medxgan.viewer.verdicts import Verdict, VerdictStore, parse_verdict

Known = Callable[[str], tuple[str, str]]
"""Id of an explanation -> name of its image and where it comes from; an error if there is none."""


def verdict_routes(verdicts: VerdictStore, known: Known) -> list[Route]:
    """Routes of a file of verdicts."""

    async def all_verdicts(request: Request) -> Response:
        found = await run_sync(verdicts.all)
        return JSONResponse({"verdicts": [_as_json(verdict) for verdict in found]})

    async def save(request: Request) -> Response:
        body = await json_body(request)
        name, source = known(str(body.get("explanation")))
        await run_sync(verdicts.save, parse_verdict(body, name, source))
        return JSONResponse({"saved": True})

    async def table(request: Request) -> Response:
        return attachment(await run_sync(verdicts.as_csv), "text/csv", "verdicts.csv")

    return [
        Route("/api/verdicts", all_verdicts, methods=["GET"]),
        Route("/api/verdicts", save, methods=["POST"]),
        Route("/api/verdicts.csv", table),
    ]


def _as_json(verdict: Verdict) -> dict[str, str | None]:
    return {
        "explanation": verdict.explanation,
        "name": verdict.name,
        "reader": verdict.reader,
        "verdict": verdict.verdict,
        "text": verdict.text,
        "when": verdict.saved,
    }
