"""The page's web server; of the user's files it serves only indexed audio."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

from negclap.app.page import Finder, build_page
from negclap.errors import InputError
from negclap.search import Index
from negclap.search.store import Stamp

LARGEST_UPLOAD = 50 * 2**20  # bytes
_LARGEST_REQUEST = 2**20
_STYLE = Path(__file__).with_name("page.css")
_UPLOADS = "/gradio_api/upload"


def serve(indices: Sequence[Path], benchmark: Path | None, host: str, port: int) -> None:
    """Serve the page until the process is stopped.

    Args:
        indices: Folders of one or two indices.
        benchmark: Folder of ``negclap benchmark --out``, or None.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        InputError: If a folder contains no index, or the address is not available.
    """
    import uvicorn

    application = build([Index(folder) for folder in indices], benchmark)
    server = uvicorn.Server(uvicorn.Config(application, host, port, log_level="warning"))
    try:
        server.run()
    except SystemExit:  # uvicorn exits if it cannot bind the address
        raise InputError(f"cannot listen on {host}:{port}; choose another --port") from None


def build(indices: Sequence[Index], benchmark: Path | None) -> FastAPI:
    """Build the web application: the page at /, audio at /audio/INDEX/TRACK."""
    application = FastAPI(title="negclap", docs_url=None, redoc_url=None, openapi_url=None)

    @application.middleware("http")
    async def limit(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        largest = LARGEST_UPLOAD if request.url.path == _UPLOADS else _LARGEST_REQUEST
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > largest:
            message = f"The request is too large: {size} bytes, at most {largest} allowed."
            return PlainTextResponse(message, status_code=413)
        return await call(request)

    @application.get("/audio/{place}/{track}")
    def audio(place: int, track: int) -> FileResponse:
        if not 0 <= place < len(indices):
            raise HTTPException(404, f"no index {place}")
        return FileResponse(find_audio(indices[place], track))

    page = build_page(Finder(_by_name(indices)), benchmark)
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        css_paths=_STYLE,
        max_file_size=LARGEST_UPLOAD,
        footer_links=[],
    )
    return mounted


def find_audio(index: Index, track: int) -> Path:
    """Return the file of an indexed track.

    Raises:
        HTTPException: If there is no such track, its file is gone or has changed since, or it is a
            link to a file outside the music folder.
    """
    found = index.store.file_of(track)
    if found is None:
        raise HTTPException(404, f"no track {track}")
    name, stamp, _ = found
    path = index.root / name
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_relative_to(index.root.resolve()):
            raise HTTPException(403, "the file is a link that leads outside the music folder")
        if Stamp.of(resolved) != stamp:
            raise HTTPException(410, "the file has changed since it was indexed")
    except OSError:
        raise HTTPException(410, "the file no longer exists") from None
    return resolved


def _by_name(indices: Sequence[Index]) -> dict[str, Index]:
    named = {Path(index.source).name: index for index in indices}
    if len(named) < len(indices):
        raise InputError(f"both indices are of a model named {next(iter(named))!r}")
    return named
