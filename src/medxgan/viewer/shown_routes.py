"""What can be had of one explanation, saved or live: the same sub-addresses for both."""

from collections.abc import Callable

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medxgan.viewer import exporting
from medxgan.viewer.answering import attachment, download, numbers, picture
from medxgan.viewer.arrays import open_arrays
from medxgan.viewer.panes import MASK, file_stem
from medxgan.viewer.saved import SavedExplanation

Find = Callable[[str], SavedExplanation]
"""The explanation of an id, or an error that says why not."""


def routes_of(prefix: str, find: Find) -> list[Route]:
    """Routes below ``prefix/{id}`` for what ``find`` finds."""

    async def array(request: Request) -> Response:
        shown = find(request.path_params["id"])
        name = request.path_params["name"]
        values = await run_sync(shown.array, name)
        return numbers(values[None] if name == MASK else values)

    async def thumbnail(request: Request) -> Response:
        shown = find(request.path_params["id"])
        return picture(await run_sync(exporting.thumbnail_png, shown))

    async def pane(request: Request) -> Response:
        shown = find(request.path_params["id"])
        id, query = request.path_params["pane"], dict(request.query_params)
        content = await run_sync(exporting.pane_png, shown, id, query)
        return attachment(content, "image/png", f"{file_stem(shown.facts.name)}-{id}.png")

    async def film(request: Request) -> Response:
        shown = find(request.path_params["id"])
        content = await run_sync(exporting.film_gif, shown)
        return attachment(content, "image/gif", f"{file_stem(shown.facts.name)}-film.gif")

    async def arrays(request: Request) -> Response:
        shown = find(request.path_params["id"])
        await run_sync(shown.shapes)  # a sentence where the file is damaged
        file = await run_sync(open_arrays, shown.arrays_file, shown.root)
        return download(file, "application/octet-stream", f"{file_stem(shown.facts.name)}.npz")

    async def report(request: Request) -> Response:
        shown = find(request.path_params["id"])
        page = await run_sync(exporting.report_html, [shown], shown.facts.name)
        return attachment(page, "text/html", f"{file_stem(shown.facts.name)}.html")

    endpoints = {
        "arrays/{name}": array,
        "thumbnail.png": thumbnail,
        "panes/{pane}.png": pane,
        "film.gif": film,
        "arrays.npz": arrays,
        "report.html": report,
    }
    return [Route(f"{prefix}/{{id}}/{path}", endpoint) for path, endpoint in endpoints.items()]
