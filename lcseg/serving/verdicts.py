"""Suspected labels as the page lists them, and what people say of them.

suspects/dover                                 # all of them
suspects/dover/7                               # one, with its outline
POST suspects/dover/7/verdict                  # {"verdict": "wrong", "new_class": "water"}

The last is there only where the server was started with --allow_edits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import shapely
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lcseg.errors import LcsegError
from lcseg.records.suspects import WRONG, Suspect, set_verdict
from lcseg.serving.artist import Shown
from lcseg.serving.dataset import Dataset
from lcseg.serving.gallery import UnknownError
from lcseg.serving.replies import gallery_of, is_known, make_tag
from lcseg.serving.suspects import Listing, list_suspects, say_number

router = APIRouter(tags=["suspects"])
edit_router = APIRouter(tags=["suspects"])

PATH = "/suspects/{dataset}/{number}/verdict"

_LOG = logging.getLogger("lcseg")
_BEARER = HTTPBearer(auto_error=False, description="The token that the server was started with.")


@dataclass(frozen=True)
class Verdict:
    """What a person says of a label."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    verdict: Literal["wrong", "right", "unsure"] | None  # None: nothing any more.
    new_class: str | None = None  # With "wrong": class that it is to be; None: nobody knows.


@router.get("/suspects/{dataset}")
async def show_all(request: Request, dataset: str) -> Response:
    """All suspects of a data set, the most certain first."""
    shown = await _find_shown(request, dataset)
    listing = await _list(request, shown.dataset)
    is_editable = gallery_of(request).edits is not None
    headers = {"ETag": make_tag(shown, "suspects", listing.version, is_editable)}
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    body = {
        "version": listing.version,
        "editable": is_editable,
        "suspects": [_describe(listing, number) for number in listing.suspects],
    }
    return JSONResponse(body, headers=headers)


@router.get("/suspects/{dataset}/{number}")
async def show(request: Request, dataset: str, number: int) -> dict[str, Any]:
    """A suspect as GeoJSON, with its outline."""
    shown = await _find_shown(request, dataset)
    listing = await _list(request, shown.dataset)
    shape = _find(listing, number).shape
    return {
        "type": "Feature",
        "id": number,
        "geometry": shapely.geometry.mapping(shape),
        "properties": _describe(listing, number),
    }


async def require_token(
    request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> None:
    """Refuse those who do not show the token in the header `Authorization`."""
    edits = gallery_of(request).edits
    assert edits is not None
    edits.require(shown.credentials if shown else "")


@edit_router.post(PATH, dependencies=[Depends(require_token)])
async def tell(request: Request, dataset: str, number: int, said: Verdict) -> dict[str, Any]:
    """Note what a person says of a suspect, in the file; returns it as it then is."""
    shown = await _find_shown(request, dataset)
    edits = gallery_of(request).edits
    assert edits is not None
    if said.new_class is not None and said.verdict != WRONG:
        raise HTTPException(422, "new_class: goes with the verdict wrong alone")
    if said.new_class is not None and said.new_class not in shown.dataset.scheme.names:
        raise HTTPException(422, "new_class: is none of the classes of the model")
    listing = await edits.run(lambda: _write(shown.dataset, number, said))
    return {"version": listing.version, "suspect": _describe(listing, number)}


def decline() -> None:
    """Where nobody may write, there is nothing to write to."""
    raise UnknownError


def _write(dataset: Dataset, number: int, said: Verdict) -> Listing:
    path = dataset.entry.suspects
    try:
        kept = _find(list_suspects(dataset), number).new_class
        # The audit fills the class in itself, and it is asked for again with another verdict.
        new_class = said.new_class if said.verdict == WRONG else kept
        set_verdict(path, number, said.verdict, new_class)
        _LOG.info("edit: %s: suspect %d: %s, %s", path, number, said.verdict, new_class)
        return list_suspects(dataset)
    except (LcsegError, OSError) as error:
        _LOG.warning("warning: a verdict was not written: %s", error)
        raise HTTPException(
            503,
            "nothing was written: the file is open in another program, or cannot be written; "
            "close it there, or see the log of the server",
        ) from error


async def _find_shown(request: Request, dataset: str) -> Shown:
    shown = await gallery_of(request).find(dataset)
    if not shown.dataset.entry.suspects:
        raise UnknownError
    return shown


async def _list(request: Request, dataset: Dataset) -> Listing:
    return await gallery_of(request).artist.run(lambda: list_suspects(dataset))


def _find(listing: Listing, number: int) -> Suspect:
    if number not in listing.suspects:
        raise UnknownError
    return listing.suspects[number]


def _describe(listing: Listing, number: int) -> dict[str, Any]:
    suspect = listing.suspects[number]
    return {
        "id": number,
        "scene": suspect.scene,
        "label": suspect.label,
        "suggested": suspect.suggested,
        "confidence": say_number(suspect.confidence),
        "area_m2": say_number(suspect.area_m2),
        "verdict": suspect.verdict,
        "new_class": suspect.new_class,
        "note": suspect.note,
        "bounds": listing.bounds[number],
    }
