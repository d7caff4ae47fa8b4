"""The web application: all ways in, and what holds for each of them.

with open_gallery(config) as gallery:
    app = make_app(gallery)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from lcseg import __version__
from lcseg.errors import LcsegError
from lcseg.serving import arcgis, network, ogc, page, tiles, verdicts, wmts
from lcseg.serving.artist import TooMuchError
from lcseg.serving.edits import WrongTokenError
from lcseg.serving.esri import EsriError
from lcseg.serving.gallery import ClosedError, Gallery, UnknownError
from lcseg.serving.replies import GoneError
from lcseg.serving.store import BusyError

_LOG = logging.getLogger("lcseg")
_COME_AGAIN_S, _LOOK_AGAIN_S = 2, 15
_MOST_BODY = 1 << 16
_MOST_PIXEL_BYTES = 1 << 26

_MOST_TARGET = 1 << 13

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Also of the page: after an upgrade, what is old must not run beside what is new.
    "Cache-Control": "no-cache",
    "Vary": "Origin",
}

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ALL_ADDRESSES = ("0.0.0.0", "::")

Handler = Callable[[Request], Awaitable[Response]]


def make_app(gallery: Gallery) -> FastAPI:
    """Make the application that shows a gallery."""
    config = gallery.config
    app = FastAPI(
        title="lcseg",
        version=__version__,
        description="Land cover by lcseg, as tiles, services and a page.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gallery = gallery
    for room in (page, tiles, wmts, ogc, arcgis, network, verdicts):
        app.include_router(room.router)
    if gallery.edits:
        app.include_router(verdicts.edit_router)
    else:
        # Without a route, the files of the page would answer that they cannot be posted to.
        app.add_api_route(
            verdicts.PATH, verdicts.decline, methods=["POST"], include_in_schema=False
        )
    app.add_api_route("/healthz", _say_alive, tags=["operations"])
    app.add_api_route("/readyz", _say_ready, tags=["operations"])
    app.add_api_route("/metrics", _show_metrics, tags=["operations"], response_class=Response)
    app.mount("/", StaticFiles(directory=page.STATIC, html=True))
    _handle_errors(app)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "X-Lcseg-Note"],
        )
    # A page elsewhere that takes this machine for its own, by a name that it made up, is refused.
    if config.hosts or config.host not in _ALL_ADDRESSES:
        own = f"[{config.host}]" if ":" in config.host else config.host
        known = dict.fromkeys((*_LOOPBACK, own, *config.hosts))
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(known), www_redirect=False)
    # Last, so that it is around all others, and what these refuse goes through it too.
    app.middleware("http")(_guard)
    return app


async def _say_alive() -> dict[str, str]:
    """Whether the server lives."""
    return {"status": "alive"}


async def _say_ready(request: Request) -> dict[str, str]:
    """Whether all data sets can be shown."""
    gallery: Gallery = request.app.state.gallery
    for identifier in gallery.entries:
        await gallery.find(identifier)
    return {"status": "ready"}


async def _show_metrics(request: Request) -> Response:
    """What was counted, for Prometheus."""
    gallery: Gallery = request.app.state.gallery
    return Response(gallery.metrics.format(), media_type="text/plain; version=0.0.4")


async def _guard(request: Request, answer: Handler) -> Response:
    """What holds for every request: it is small, counted, and its answer is not mistaken."""
    gallery: Gallery = request.app.state.gallery
    started_s = time.monotonic()
    length = request.headers.get("content-length", "0")
    most = _MOST_PIXEL_BYTES if request.url.path.endswith(network.PATH) else _MOST_BODY
    is_chunked = "transfer-encoding" in request.headers
    if is_chunked or not length.isdecimal() or int(length) > most:
        response: Response = _tell(request, 413, "the body is too large, or does not say how large")
    elif len(request.url.query) > _MOST_TARGET:
        response = _tell(request, 414, "the address is too long")
    else:
        try:
            response = await answer(request)
        except Exception:
            _LOG.exception("error: a request failed: %s", request.url.path)
            response = _tell(request, 500, "this went wrong; the log of the server says how")
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    endpoint = getattr(request.scope.get("route"), "path", "other")
    gallery.metrics.requests.labels(endpoint, str(response.status_code)).inc()
    gallery.metrics.latency.labels(endpoint).observe(time.monotonic() - started_s)
    return response


def _handle_errors(app: FastAPI) -> None:
    async def unknown(request: Request, _: Exception) -> Response:
        return _tell(request, 404, "there is no such thing here")

    async def busy(request: Request, _: Exception) -> Response:
        request.app.state.gallery.metrics.busy.inc()
        return _tell(request, 503, "busy; come again", _COME_AGAIN_S)

    async def late(request: Request, _: Exception) -> Response:
        return _tell(request, 503, "it took too long; come again", _COME_AGAIN_S)

    async def closed(request: Request, _: Exception) -> Response:
        return _tell(request, 503, "this data set cannot be read just now", _LOOK_AGAIN_S)

    async def unread(request: Request, error: Exception) -> Response:
        # As where an image was cut short since it was opened. Its name is for the log alone.
        _LOG.warning("warning: a request failed: %s", error)
        return await closed(request, error)

    async def gone(request: Request, _: Exception) -> Response:
        request.app.state.gallery.metrics.gone.inc()
        return Response(status_code=499)

    async def denied(request: Request, _: Exception) -> Response:
        response = _tell(request, 401, "this takes the token that the server was started with")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def too_much(request: Request, _: Exception) -> Response:
        return _tell(request, 400, "this takes too much; ask for less")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, EsriError)
        return _tell(request, error.status, error.message)

    async def misread(_: Request, error: Exception) -> Response:
        assert isinstance(error, wmts.KeyValueError)
        return error.reply()

    async def misspelt(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return _tell(request, 422, f"{first['loc'][-1]}: {first['msg']}")

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _tell(request, error.status_code, str(error.detail))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        UnknownError: unknown,
        BusyError: busy,
        TimeoutError: late,
        ClosedError: closed,
        LcsegError: unread,
        GoneError: gone,
        ClientDisconnect: gone,
        TooMuchError: too_much,
        WrongTokenError: denied,
        EsriError: refused,
        wmts.KeyValueError: misread,
        RequestValidationError: misspelt,
        HTTPException: plain,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _tell(request: Request, status: int, message: str, again_s: int = 0) -> Response:
    """An error, as those expect it who have asked."""
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    tell = arcgis.reply_error if path.startswith(arcgis.router.prefix) else _reply_error
    response = tell(message, status)
    if again_s:
        response.headers["Retry-After"] = str(again_s)
    return response


def _reply_error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status_code=status)
