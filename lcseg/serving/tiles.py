"""XYZ tiles and TileJSON: what web maps ask for.

tiles/dover/classes/17/37604/49912.png
tiles/dover/classes/tilejson.json
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from lcseg.serving.layers import say_title
from lcseg.serving.replies import base_url, find_layer, reply_picture
from lcseg.serving.tiling import measure_zooms, tile_grid

router = APIRouter(prefix="/tiles", tags=["tiles"])

_KINDS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg"}


@router.get("/{dataset}/{layer}/tilejson.json")
async def describe(request: Request, dataset: str, layer: str) -> dict[str, Any]:
    """Where the tiles of a layer lie, as TileJSON 2.2, as later ones are for vectors."""
    found = (await find_layer(request, dataset, layer)).dataset
    zooms, bounds = measure_zooms(found, layer), found.bounds_lonlat
    center = [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, zooms.native]
    return {
        "tilejson": "2.2.0",
        "name": say_title(found, layer),
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [f"{base_url(request)}/tiles/{dataset}/{layer}/{{z}}/{{x}}/{{y}}.png"],
        "bounds": list(bounds),
        "center": center,
        "minzoom": zooms.least,
        "maxzoom": zooms.most,
    }


@router.get("/{dataset}/{layer}/{z}/{x}/{y}.{kind}", response_class=Response)
async def show(
    request: Request,
    dataset: str,
    layer: str,
    z: int,
    x: int,
    y: int,
    kind: Literal["png", "jpg", "jpeg"],
) -> Response:
    """A tile of 256 px in Web Mercator."""
    shown = await find_layer(request, dataset, layer)
    return await reply_picture(request, shown, layer, tile_grid(z, x, y), _KINDS[kind])
