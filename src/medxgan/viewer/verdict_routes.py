"""Addresses of readers' verdicts."""

from collections.abc import Callable

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.viewer.answering import attachment, json_body
from medxgan.viewer.single_thread import SingleThread
from medxgan.viewer.verdicts import Verdict, VerdictStore, parse_verdict

CSV_TYPE = "text/csv; charset=utf-8"

Known = Callable[[str], tuple[str, str]]
"""Id of an explanation -> name of its image and where it comes from; an error if there is none."""


def verdict_routes(verdicts: VerdictStore, writer: SingleThread, known: Known) -> list[Route]:
    """Routes of a file of verdicts.

    Args:
        verdicts: the file.
        writer: the thread that saves them, in the order in which they came.
        known: what a verdict is about.
    """

    async def all_verdicts(request: Request) -> Response:
        found = await run_sync(verdicts.all)
        return JSONResponse({"verdicts": [_as_json(verdict) for verdict in found]})

    async def save(request: Request) -> Response:
        body = await json_body(request)
        name, source = known(str(body.get("explanation")))
        await writer.run(verdicts.save, parse_verdict(body, name, source))
        return JSONResponse({"saved": True})

    async def table(request: Request) -> Response:
        return attachment(await run_sync(verdicts.as_csv), CSV_TYPE, "verdicts.csv")

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
