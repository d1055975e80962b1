"""The page's server: on this machine alone, and of its files only what is indexed."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

from negclap.app.page import Finder, page
from negclap.errors import InputError
from negclap.search import Index
from negclap.search.store import Stamp

LARGEST_UPLOAD = 50 * 2**20
_LARGEST_REQUEST = 2**20
_STYLE = Path(__file__).with_name("page.css")
_UPLOADS = "/gradio_api/upload"


def serve(indices: Sequence[Path], benchmark: Path | None, host: str, port: int) -> None:
    """Serve the page until it is stopped.

    Raises:
        InputError: If an index is not there, or the address is taken.
    """
    import uvicorn

    application = build([Index(folder) for folder in indices], benchmark)
    server = uvicorn.Server(uvicorn.Config(application, host, port, log_level="warning"))
    try:
        server.run()
    except SystemExit:  # what uvicorn makes of an address that it cannot have
        raise InputError(f"{host}:{port}: cannot be listened on; choose another --port") from None


def build(indices: Sequence[Index], benchmark: Path | None) -> FastAPI:
    """The server's application: the page at /, audio at /audio/INDEX/TRACK."""
    application = FastAPI(title="negclap", docs_url=None, redoc_url=None, openapi_url=None)

    @application.middleware("http")
    async def limit(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        largest = LARGEST_UPLOAD if request.url.path == _UPLOADS else _LARGEST_REQUEST
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > largest:
            message = f"A request of {size} bytes is too large, {largest} is the most."
            return PlainTextResponse(message, status_code=413)
        return await call(request)

    @application.get("/audio/{place}/{track}")
    def audio(place: int, track: int) -> FileResponse:
        if not 0 <= place < len(indices):
            raise HTTPException(404, f"there is no index {place}")
        return FileResponse(playable(indices[place], track))

    blocks = page(Finder(_named(indices)), benchmark)
    served: FastAPI = gr.mount_gradio_app(
        application,
        blocks,
        path="/",
        css_paths=_STYLE,
        max_file_size=LARGEST_UPLOAD,
        footer_links=[],
    )
    return served


def playable(index: Index, track: int) -> Path:
    """The file of an indexed track.

    Raises:
        HTTPException: If there is no such track, its file is another one by now, or it is a link
            that leads out of the folder.
    """
    found = index.store.file_of(track)
    if found is None:
        raise HTTPException(404, f"there is no track {track}")
    name, stamp, _ = found
    path = index.root / name
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_relative_to(index.root.resolve()):
            raise HTTPException(403, "a link that leads out of the folder")
        if Stamp.of(resolved) != stamp:
            raise HTTPException(410, "the file has changed since it was indexed")
    except OSError:
        raise HTTPException(410, "the file is gone") from None
    return resolved


def _named(indices: Sequence[Index]) -> dict[str, Index]:
    named = {Path(index.source).name: index for index in indices}
    if len(named) < len(indices):
        raise InputError(f"two indices of models called {next(iter(named))!r}")
    return named
