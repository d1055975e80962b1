"""The page's web server; of the user's files it serves only indexed audio."""

import mimetypes
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePath

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

from negclap.app.cards import MEDIA_TYPES
from negclap.app.page import Finder, build_page
from negclap.catalogue import open_searchable
from negclap.errors import InputError
from negclap.search import Searchable
from negclap.search.index import absolute

LARGEST_UPLOAD = 50 * 2**20  # bytes
_LARGEST_REQUEST = 2**20
_STYLE = Path(__file__).with_name("page.css")
_UPLOADS = "/gradio_api/upload"
for _suffix, _kind in MEDIA_TYPES.items():  # for Gradio, which checks uploads
    mimetypes.add_type(_kind, _suffix)


def serve(
    folders: Sequence[Path | str], model: str | None, benchmark: Path | None, host: str, port: int
) -> None:
    """Serve the page until the process is stopped.

    Args:
        folders: Folders of one or two indices, or folders or URLs of catalogues.
        model: Another model to search the one index with, as for `negclap.load`, or None.
        benchmark: Folder of ``negclap benchmark --out``, or None.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        InputError: If `open_columns` fails, or the address is not available.
    """
    import uvicorn

    application = build(open_columns(folders, model), benchmark)
    server = uvicorn.Server(uvicorn.Config(application, host, port, log_level="warning"))
    try:
        server.run()
    except SystemExit:  # uvicorn exits if it cannot bind the address
        raise InputError(f"cannot listen on {host}:{port}; choose another --port") from None


def open_columns(folders: Sequence[Path | str], model: str | None = None) -> dict[str, Searchable]:
    """Open the index of each column; the columns are named by their models.

    Args:
        folders: Folders or URLs, each searched with its own model.
        model: Another model for the first index, in a last column; None adds no column.

    Raises:
        InputError: If a folder contains no index, a model cannot be used, or two columns have the
            same model.
    """
    indices = [open_searchable(folder) for folder in folders]
    sources = [index.source for index in indices]
    if model is not None:
        indices.append(open_searchable(folders[0], model))
        sources.append(absolute(model))
    return dict(zip(_names(sources), indices, strict=True))


def _names(sources: Sequence[str]) -> list[str]:
    """Return the last parts of the models' paths, as many as tell the models apart."""
    paths = [PurePath(source).parts for source in sources]
    for length in range(1, max(map(len, paths)) + 1):
        names = [str(PurePath(*parts[-length:])) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise InputError(f"both columns are of the model {sources[0]}; choose two different models")


def build(columns: Mapping[str, Searchable], benchmark: Path | None) -> FastAPI:
    """Build the web application: the page at /, audio at /audio/COLUMN/TRACK.

    Args:
        columns: One or two indices by name.
        benchmark: Folder of ``negclap benchmark --out``, or None.
    """
    indices = list(columns.values())
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
        path = find_audio(indices[place], track)
        return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix.lower()))

    page = build_page(Finder(columns), benchmark)
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        css_paths=_STYLE,
        max_file_size=LARGEST_UPLOAD,
        footer_links=[],
    )
    return mounted


def find_audio(index: Searchable, track: int) -> Path:
    """Return the file of an indexed track.

    Raises:
        HTTPException: If there is no such track, or its file is gone or has changed since.
    """
    try:
        path = index.audio(track)
    except OSError as error:
        changed = error.errno is None  # an error of ours, with a text of its own
        raise HTTPException(410, str(error) if changed else "the file no longer exists") from None
    if path is None:
        raise HTTPException(404, f"no track {track}")
    return path
