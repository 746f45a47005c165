"""The viewer as an ASGI application: what is opened, its routes, and the guard around them."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medxgan.errors import MedxganError
from medxgan.version import __version__
from medxgan.viewer.answering import answer_fault
from medxgan.viewer.body_limits import UPLOAD_BYTES
from medxgan.viewer.faults import UnknownError
from medxgan.viewer.pages import index, static
from medxgan.viewer.saved import SavedFolder, UnreadableExplanation, as_text
from medxgan.viewer.saved_routes import saved_routes
from medxgan.viewer.security import LOOPBACK, Guard
from medxgan.viewer.single_thread import SingleThread
from medxgan.viewer.verdict_routes import Known, verdict_routes
from medxgan.viewer.verdicts import VerdictStore

if TYPE_CHECKING:  # it comes with torch, which saved explanations do without
    from medxgan.viewer.live import LiveDesk

PIXELS = 89_478_485
"""Of an image, at most: Pillow's own limit, by which all formats are read."""


def make_app(
    *,
    verdicts: VerdictStore,
    folder: SavedFolder | None = None,
    desk: "LiveDesk | None" = None,
    title: str = "medxgan",
    hosts: Iterable[str] = LOOPBACK,
    any_address: bool = False,
    token: str | None = None,
) -> Guard:
    """The viewer of a folder of explanations, of a bundle, or of both.

    Args:
        verdicts: where readers' verdicts are kept.
        folder: whose explanations are shown.
        desk: the bundle with which images are opened.
        title: of the page.
        hosts: see ``Guard``.
        any_address: likewise.
        token: likewise.
    """
    model, files, writer = (SingleThread(name) for name in ("model", "files", "verdicts"))
    bundle, live = _live(desk, model, files, folder)

    async def state(request: Request) -> Response:
        return JSONResponse(await run_sync(_state, folder, verdicts, title, bundle))

    faults = (HTTPException, MedxganError, Exception)
    app = Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name}", static),
            Route("/api/state", state),
            *saved_routes(folder, verdicts, title),
            *verdict_routes(verdicts, writer, _known(folder, desk)),
            *live,
        ],
        lifespan=_lifespan(desk, model, files, writer),
        exception_handlers=dict.fromkeys(faults, answer_fault),
    )
    return Guard(app, hosts=hosts, any_address=any_address, token=token)


def _state(
    folder: SavedFolder | None,
    verdicts: VerdictStore,
    title: str,
    bundle: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a page must know before it shows anything."""
    entries = [] if folder is None else folder.entries()
    facts = [entry.facts for entry in entries if not isinstance(entry, UnreadableExplanation)]
    problem = verdicts.problem()
    return {
        "version": __version__,
        "title": title,
        "mode": {"saved": folder is not None, "live": bundle is not None},
        "bundle": bundle,
        "readers": verdicts.readers(),
        "count": len(entries),
        "methods": list(dict.fromkeys(name for each in facts for name in each.methods)),
        "limits": {"upload_bytes": UPLOAD_BYTES, "pixels": PIXELS},
        "notes": [] if folder is None else list(folder.notes),
        "verdicts": {
            "file": as_text(verdicts.path.name),
            "problem": problem and as_text(problem),
        },
    }


def _known(folder: SavedFolder | None, desk: "LiveDesk | None") -> Known:
    """Looks up what a verdict is about."""

    def known(id: str) -> tuple[str, str]:
        if folder is not None and any(entry.id == id for entry in folder.entries()):
            return folder.find(id).facts.name, folder.name
        session = None if desk is None else desk.judged(id)
        if session is None:
            raise UnknownError("there is no such explanation; open it again")
        return session.shown.facts.name, f"live: {session.desk.explainer.bundle.name}"

    return known


def _live(
    desk: "LiveDesk | None", model: SingleThread, files: SingleThread, folder: SavedFolder | None
) -> tuple[dict[str, Any] | None, list[Route]]:
    """What the page must know of the bundle, and the routes of open images."""
    if desk is not None:
        from medxgan.viewer.bundle_facts import bundle_facts
        from medxgan.viewer.live_routes import live_routes

        return bundle_facts(desk), live_routes(desk, model, files, folder)

    async def no_live(request: Request) -> Response:
        raise UnknownError("the viewer was opened without a bundle; name one with --bundle")

    paths = ("/api/live", "/api/live/{rest:path}")
    return None, [Route(path, no_live, methods=["GET", "POST"]) for path in paths]


def _lifespan(
    desk: "LiveDesk | None", model: SingleThread, files: SingleThread, writer: SingleThread
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """What begins and ends with the server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if desk is not None:
            model.begin(desk.prepare)
        try:
            yield
        finally:
            writer.close()
            if desk is not None:
                desk.reader.close()  # a file that is still being read would keep its thread
            files.close()
            model.close()
            if desk is not None:
                desk.close()

    return lifespan
