"""The page itself: files that come with the package, and no others."""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from medxgan.viewer.faults import UnknownError

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
INDEX = "index.html"


def static_files() -> dict[str, Path]:
    """Name -> place of every file of the page; a name is looked up, never joined to a path."""
    folder = Path(str(files("medxgan.viewer"))) / "static"
    return {path.name: path for path in folder.glob("*") if path.suffix in MEDIA_TYPES}


async def index(request: Request) -> Response:
    """The page."""
    return _file(INDEX)


async def static(request: Request) -> Response:
    """A script, a style, a picture."""
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    path = static_files().get(name)
    if path is None:
        raise UnknownError("there is nothing at this address")
    return Response(path.read_bytes(), media_type=MEDIA_TYPES[path.suffix])
