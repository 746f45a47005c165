"""Addresses of a folder of explanations: the list, one of them, the report of all."""

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.errors import DataError
from medxgan.viewer import exporting, listing
from medxgan.viewer.answering import attachment
from medxgan.viewer.faults import UnknownError
from medxgan.viewer.panes import document
from medxgan.viewer.saved import SavedExplanation, SavedFolder
from medxgan.viewer.shown_routes import routes_of
from medxgan.viewer.verdicts import VerdictStore

PREFIX = "/api/explanations"


def saved_routes(folder: SavedFolder | None, verdicts: VerdictStore, title: str) -> list[Route]:
    """Routes of a folder; where none was opened, the list is empty."""

    def find(id: str) -> SavedExplanation:
        if folder is None:
            raise UnknownError("the viewer was opened without a folder of explanations")
        return folder.find(id)

    def the_list() -> dict[str, object]:
        if folder is not None:
            folder.refresh()
        entries = [] if folder is None else folder.entries()
        given = verdicts.by_explanation()
        return {
            "columns": listing.columns(entries),
            "rows": [listing.row(entry, given.get(entry.id, [])) for entry in entries],
        }

    async def explanations(request: Request) -> Response:
        return JSONResponse(await run_sync(the_list))

    async def explanation(request: Request) -> Response:
        shown = find(request.path_params["id"])
        return JSONResponse(await run_sync(document, shown, f"{PREFIX}/{shown.id}"))

    def report_of_all() -> bytes | str:
        if folder is None:
            raise UnknownError("the viewer was opened without a folder of explanations")
        written = folder.report()
        if written is not None:
            return written
        readable = [entry for entry in folder.entries() if isinstance(entry, SavedExplanation)]
        if not readable:
            raise DataError("no explanation in the folder can be read; there is nothing to report")
        return exporting.report_html(readable, title)

    async def report(request: Request) -> Response:
        return attachment(await run_sync(report_of_all), "text/html", f"{title}.html")

    return [
        Route(PREFIX, explanations),
        Route(f"{PREFIX}/{{id}}", explanation),
        *routes_of(PREFIX, find),
        Route("/api/report.html", report),
    ]
