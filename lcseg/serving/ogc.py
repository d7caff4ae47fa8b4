"""OGC API - Tiles: map tiles, as newer clients ask for them.

ogc/collections/dover.classes/map/tiles/WebMercatorQuad/17/49912/37604
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from lcseg.serving.dataset import Dataset
from lcseg.serving.gallery import UnknownError
from lcseg.serving.layers import list_layers, say_title
from lcseg.serving.replies import base_url, find_layer, gallery_of, reply_picture
from lcseg.serving.tiling import TMS, TMS_ID, list_limits, measure_zooms, tile_grid

router = APIRouter(prefix="/ogc", tags=["ogc"])

_CONFORMANCE = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/png",
]
_TMS_URI = f"http://www.opengis.net/def/tilematrixset/OGC/1.0/{TMS_ID}"
_CRS = "http://www.opengis.net/def/crs/EPSG/0/3857"
_TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"
_SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"


def _link(request: Request, path: str, rel: str, kind: str = "application/json") -> dict[str, Any]:
    return {"href": f"{base_url(request)}/{path}", "rel": rel, "type": kind}


@router.get("")
@router.get("/", include_in_schema=False)
async def show_landing(request: Request) -> dict[str, Any]:
    """Where everything is."""
    return {
        "title": "Land cover by lcseg",
        "links": [
            _link(request, "ogc", "self"),
            _link(request, "openapi.json", "service-desc", "application/vnd.oai.openapi+json"),
            _link(request, "ogc/conformance", "conformance"),
            _link(request, "ogc/collections", "data"),
            _link(
                request,
                "ogc/tileMatrixSets",
                "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes",
            ),
        ],
    }


@router.get("/conformance")
async def show_conformance() -> dict[str, Any]:
    """What of the standards is there."""
    return {"conformsTo": _CONFORMANCE}


@router.get("/tileMatrixSets")
async def list_schemes(request: Request) -> dict[str, Any]:
    """The one way in which the ground is cut into tiles."""
    link = _link(request, f"ogc/tileMatrixSets/{TMS_ID}", "self")
    return {"tileMatrixSets": [{"id": TMS_ID, "title": TMS.title, "links": [link]}]}


@router.get("/tileMatrixSets/{tms}")
async def show_scheme(tms: str) -> dict[str, Any]:
    """The definition of a tile matrix set."""
    if tms != TMS_ID:
        raise UnknownError
    return TMS.model_dump(mode="json", exclude_none=True)


@router.get("/collections")
async def list_collections(request: Request) -> dict[str, Any]:
    """All layers of all data sets."""
    collections = []
    for shown in await gallery_of(request).find_all():
        dataset = shown.dataset
        collections += [_describe(request, dataset, name) for name in list_layers(dataset)]
    return {"collections": collections, "links": [_link(request, "ogc/collections", "self")]}


@router.get("/collections/{collection}")
async def show_collection(request: Request, collection: str) -> dict[str, Any]:
    """A layer."""
    dataset, layer = await _find(request, collection)
    return _describe(request, dataset, layer)


@router.get("/collections/{collection}/map/tiles")
async def list_tilesets(request: Request, collection: str) -> dict[str, Any]:
    """The tile sets of a layer."""
    dataset, layer = await _find(request, collection)
    described = _describe_tileset(request, dataset, layer)
    kept = ("title", "dataType", "crs", "tileMatrixSetURI", "links")
    return {"tilesets": [{key: described[key] for key in kept}]}


@router.get("/collections/{collection}/map/tiles/{tms}")
async def show_tileset(request: Request, collection: str, tms: str) -> dict[str, Any]:
    """A tile set of a layer."""
    if tms != TMS_ID:
        raise UnknownError
    return _describe_tileset(request, *await _find(request, collection))


@router.get("/collections/{collection}/map/tiles/{tms}/{z}/{row}/{col}", response_class=Response)
async def show(request: Request, collection: str, tms: str, z: int, row: int, col: int) -> Response:
    """A tile, as PNG."""
    if tms != TMS_ID:
        raise UnknownError
    dataset, _, layer = collection.rpartition(".")
    shown = await find_layer(request, dataset, layer)
    return await reply_picture(request, shown, layer, tile_grid(z, col, row), "png")


async def _find(request: Request, collection: str) -> tuple[Dataset, str]:
    dataset, _, layer = collection.rpartition(".")
    return (await find_layer(request, dataset, layer)).dataset, layer


def _describe(request: Request, dataset: Dataset, layer: str) -> dict[str, Any]:
    path = f"ogc/collections/{dataset.id}.{layer}"
    # RFC 3339 knows no date without a time.
    date = f"{dataset.date[:10]}T00:00:00Z" if dataset.date else None
    interval = [[date, date]]
    return {
        "id": f"{dataset.id}.{layer}",
        "title": say_title(dataset, layer),
        "extent": {
            "spatial": {"bbox": [list(dataset.bounds_lonlat)]},
            "temporal": {"interval": interval},
        },
        "dataType": "map",
        "links": [
            _link(request, path, "self"),
            _link(request, f"{path}/map/tiles", _TILESETS),
        ],
    }


def _describe_tileset(request: Request, dataset: Dataset, layer: str) -> dict[str, Any]:
    path = f"ogc/collections/{dataset.id}.{layer}/map/tiles/{TMS_ID}"
    zooms, (west, south, east, north) = measure_zooms(dataset, layer), dataset.bounds_lonlat
    item = _link(request, f"{path}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}", "item", "image/png")
    limits = []
    for zoom in range(zooms.least, zooms.most + 1):
        first_row, last_row, first_col, last_col = list_limits(dataset, zoom)
        limits.append(
            {
                "tileMatrix": str(zoom),
                "minTileRow": first_row,
                "maxTileRow": last_row,
                "minTileCol": first_col,
                "maxTileCol": last_col,
            }
        )
    return {
        "title": say_title(dataset, layer),
        "dataType": "map",
        "crs": _CRS,
        "tileMatrixSetURI": _TMS_URI,
        "tileMatrixSetLimits": limits,
        "boundingBox": {
            "lowerLeft": [west, south],
            "upperRight": [east, north],
            "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        },
        "links": [
            _link(request, path, "self"),
            _link(request, f"ogc/tileMatrixSets/{TMS_ID}", _SCHEME),
            {**item, "templated": True},
        ],
    }
