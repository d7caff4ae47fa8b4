"""How a server answers: pictures with what lets clients keep them, and errors in one line.

shown = await find_layer(request, "dover", "classes")
return await reply_picture(request, shown, "classes", grid, "png")
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from fastapi import Request, Response

from lcseg.raster.grid import Grid
from lcseg.serving.artist import Shown
from lcseg.serving.gallery import ClosedError, Gallery, UnknownError
from lcseg.serving.layers import list_layers
from lcseg.serving.pictures import Picture, encode

T = TypeVar("T")

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff"}
"""Kinds of pictures, and their media types."""

_REVALIDATE = "no-cache"
"""Clients may keep what they get, but must ask whether it still holds."""


class GoneError(Exception):
    """The client has left."""


def gallery_of(request: Request) -> Gallery:
    return cast(Gallery, request.app.state.gallery)


async def find_layer(request: Request, dataset: str, layer: str) -> Shown:
    """The data set of a layer.

    Raises:
        UnknownError: there is no such data set, or it has no such layer.
    """
    shown = await gallery_of(request).find(dataset)
    if layer not in list_layers(shown.dataset):
        raise UnknownError
    return shown


async def reply_picture(
    request: Request,
    shown: Shown,
    layer: str,
    grid: Grid,
    kind: str,
    encode_as: Callable[[Picture, str], bytes] = encode,
) -> Response:
    """Draw a layer on a grid; a client that has it already is told so without drawing."""
    tag = make_tag(shown, layer, grid, kind)
    if is_known(request, tag):
        return Response(status_code=304, headers=_headers(tag))
    artist = gallery_of(request).artist
    picture = await until_gone(request, artist.draw(shown, layer, grid))
    if not shown.dataset.is_current():
        # The tag would be of one file, and the picture of another.
        raise ClosedError
    body = await artist.run(lambda: encode_as(picture, kind))
    headers = _headers(tag)
    if picture.note:
        # Without a tag: the note goes where the server is started anew with a larger --max_blocks.
        headers = {"Cache-Control": _REVALIDATE, "X-Lcseg-Note": picture.note.replace(" ", "-")}
    return Response(body, media_type=KINDS[kind], headers=headers)


def make_tag(shown: Shown, *what: object) -> str:
    """The entity tag of what is a function of a data set and of some values."""
    text = repr((shown.dataset.version, what))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has what bears a tag."""
    known = [part.strip() for part in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return "*" in known or tag in [part.removeprefix("W/") for part in known]


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": _REVALIDATE}


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do something until it is done, the client has left, or time is up.

    Raises:
        GoneError: the client has left.
        TimeoutError: it took too long.
    """
    doing = asyncio.create_task(work)
    watching = asyncio.create_task(_watch(request))
    try:
        async with asyncio.timeout(gallery_of(request).config.timeout_s):
            await asyncio.wait([doing, watching], return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise GoneError
        return doing.result()
    finally:
        watching.cancel()
        doing.cancel()


async def _watch(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def base_url(request: Request) -> str:
    """The address of the server as the client sees it, without a slash at the end."""
    return str(request.base_url).rstrip("/")
